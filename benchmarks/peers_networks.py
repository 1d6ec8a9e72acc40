"""Training steps of convolutional and recurrent VAEs in other libraries; ``benchmarks.peers`` has the dense ones."""

import math
from functools import partial
from typing import Any

import numpy as np

import minivae as mv
from benchmarks.peers import Problem, Step, _jax_training
from minivae.models import convolutional, recurrent

KINDS: dict[str, Any] = {
    "conv": partial(convolutional, (1, 28, 28)),  # 16 and 32 channels, kernel 4, stride 2, and back
    "gru": partial(recurrent, "gru", 28, 28),  # 128 units, and as many back
}


class Arrays(Problem):
    """A problem whose parameters are a list of arrays, for layers that have more than a matrix and a bias."""

    def weights(self) -> Any:
        """Return copies of every array of parameters, in their order."""
        return [view.copy() for _, view in self.model.named(self.params)]


def make(kind: str, n_latent: int = 20, batch: int = 128) -> Problem:
    """Draw a problem on bits of 28 x 28."""
    rng = np.random.default_rng(0)
    model = mv.VAE.of(KINDS[kind], n_latent)
    x = (rng.random((batch, 784)) < 0.5).astype(np.float32)
    eps = rng.standard_normal((1, batch, n_latent), dtype=np.float32)
    return Arrays(model, kind, True, model.init(rng, np.float32), x, eps)


def jax_step(problem: Problem) -> tuple[Step, float]:
    """Return one step of jax.jit with donated buffers and the same Adam."""
    import jax
    import jax.numpy as jnp

    kind = problem.activation
    dims = ("NCHW", "OIHW", "NCHW")

    def conv(x: Any, W: Any, b: Any) -> Any:
        y = jax.lax.conv_general_dilated(x, W, (2, 2), [(1, 1), (1, 1)], dimension_numbers=dims)
        return y + b[:, None, None]

    def transposed(x: Any, W: Any, b: Any) -> Any:
        kernel = W[:, :, ::-1, ::-1].swapaxes(0, 1)
        pads = [(2, 2), (2, 2)]
        y = jax.lax.conv_general_dilated(x, kernel, (1, 1), pads, lhs_dilation=(2, 2), dimension_numbers=dims)
        return y + b[:, None, None]

    def gru(x: Any, W: Any, U: Any, b: Any) -> Any:  # x: (T, B, D) -> every state
        H = len(U)

        def cell(h: Any, a: Any) -> Any:
            hU = h @ U
            r, u = jnp.split(jax.nn.sigmoid(a[:, : 2 * H] + hU[:, : 2 * H]), 2, axis=1)
            n = jnp.tanh(a[:, 2 * H :] + r * hU[:, 2 * H :])
            h = (1 - u) * n + u * h
            return h, h

        return jax.lax.scan(cell, jnp.zeros((x.shape[1], H), x.dtype), x @ W + b)[1]

    def encode(w: Any, x: Any) -> Any:
        if kind == "conv":
            h = jax.nn.relu(conv(x.reshape(-1, 1, 28, 28), *w[:2]))
            return jax.nn.relu(conv(h, *w[2:4])).reshape(len(x), -1) @ w[4] + w[5]
        return gru(x.reshape(-1, 28, 28).swapaxes(0, 1), *w[:3])[-1] @ w[3] + w[4]

    def decode(w: Any, z: Any) -> Any:
        if kind == "conv":
            h = jax.nn.relu(z @ w[6] + w[7]).reshape(-1, 32, 7, 7)
            return transposed(jax.nn.relu(transposed(h, *w[8:10])), *w[10:12]).reshape(len(z), -1)
        states = gru(jnp.broadcast_to(z, (28, *z.shape)), *w[5:8])
        return (states @ w[8] + w[9]).swapaxes(0, 1).reshape(len(z), -1)

    def loss(w: Any, x: Any, eps: Any) -> Any:
        mu, log_var = jnp.split(encode(w, x), 2, axis=1)
        out = decode(w, mu + jnp.exp(log_var / 2) * eps)
        log_lik = jnp.sum(x * out - jax.nn.softplus(out), axis=1)
        kl = 0.5 * jnp.sum(mu**2 + jnp.exp(log_var) - 1 - log_var, axis=1)
        return jnp.mean(kl - log_lik)

    return _jax_training(problem, loss, problem.eps[0])


def torch_step(problem: Problem) -> tuple[Step, float]:
    """Return one step of PyTorch, eager, with fused Adam."""
    import torch

    torch.set_num_threads(2)
    kind, functional = problem.activation, torch.nn.functional
    w = [torch.nn.Parameter(torch.from_numpy(a)) for a in problem.weights()]
    x, eps = torch.from_numpy(problem.x), torch.from_numpy(problem.eps[0])
    flat: list[Any] = list(w)

    def gru_of(W: Any, U: Any, b: Any) -> Any:
        layer = torch.nn.GRU(W.shape[0], U.shape[0], batch_first=True)
        with torch.no_grad():  # its gates have the same order
            layer.weight_ih_l0.copy_(W.T)
            layer.weight_hh_l0.copy_(U.T)
            layer.bias_ih_l0.copy_(b)
            layer.bias_hh_l0.zero_()
        return layer

    if kind == "gru":
        reader, writer = gru_of(*w[:3]), gru_of(*w[5:8])
        flat = [*w[3:5], *w[8:], *reader.parameters(), *writer.parameters()]

    def encode() -> Any:
        if kind == "conv":
            h = torch.relu(functional.conv2d(x.view(-1, 1, 28, 28), w[0], w[1], stride=2, padding=1))
            h = torch.relu(functional.conv2d(h, w[2], w[3], stride=2, padding=1))
            return torch.addmm(w[5], h.flatten(1), w[4])
        return torch.addmm(w[4], reader(x.view(-1, 28, 28))[1][0], w[3])

    def decode(z: Any) -> Any:
        if kind == "conv":
            h = torch.relu(torch.addmm(w[7], z, w[6])).view(-1, 32, 7, 7)
            h = torch.relu(functional.conv_transpose2d(h, w[8], w[9], stride=2, padding=1))
            return functional.conv_transpose2d(h, w[10], w[11], stride=2, padding=1).flatten(1)
        states = writer(z[:, None].expand(-1, 28, -1))[0]
        return (states @ w[8] + w[9]).flatten(1)

    def loss() -> Any:
        mu, log_var = encode().chunk(2, dim=1)
        out = decode(mu + torch.exp(log_var / 2) * eps)
        log_lik = -functional.binary_cross_entropy_with_logits(out, x, reduction="none").sum(1)
        kl = 0.5 * (mu**2 + torch.exp(log_var) - 1 - log_var).sum(1)
        return (kl - log_lik).mean()

    rule = torch.optim.Adam(flat, lr=1e-3, fused=True)

    def step() -> None:
        rule.zero_grad(set_to_none=True)
        loss().backward()
        rule.step()

    return step, float(loss().detach())


def products_step(problem: Problem) -> tuple[Step, None]:
    """Return the matrix products of the step alone, each of its full size: the floor."""
    ones = np.ones
    sizes = {  # (rows, inner, columns), forward; backward has two of the same size
        "conv": [(16, 16, 25088), (32, 256, 6272), (128, 1568, 40), (128, 20, 1568), (256, 32, 6272), (16, 16, 25088)],
        "gru": [(3584, 28, 384), (3584, 20, 384), *[(128, 128, 384)] * 56, (128, 128, 40), (3584, 128, 28)],
    }[problem.activation]
    pairs = [(ones((m, k), np.float32), ones((k, n), np.float32), ones((m, n), np.float32)) for m, k, n in sizes]

    def step() -> None:
        for a, b, c in pairs:
            a @ b, c @ b.T, a.T @ c

    assert math.prod(problem.x.shape) == 128 * 784
    return step, None
