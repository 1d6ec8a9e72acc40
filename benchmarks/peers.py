"""The same VAE step in other libraries, and the matrix products of that step alone.

Each function takes a ``Problem`` and returns a step to be timed, and the loss of the first call on the given
parameters and noise, so that all can be seen to compute the same thing before any is timed.
"""

import atexit
import contextlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import minivae as mv
from minivae.training.arithmetic import blas_threads

Step = Callable[[], Any]


@dataclass(frozen=True)
class Problem:
    """One scenario: a model with one hidden layer each way, its start, a batch and the noise."""

    model: mv.VAE
    activation: str
    bernoulli: bool
    params: Any
    x: Any
    eps: Any

    @classmethod
    def make(
        cls,
        widths: tuple[int, int, int],
        activation: str,
        bernoulli: bool,
        batch: int,
        n_draws: int = 1,
        posterior: str = "diagonal",
    ) -> "Problem":
        """Draw a problem; widths are (data, hidden, latent)."""
        n_x, n_hidden, n_latent = widths
        rng = np.random.default_rng(0)
        likelihood = mv.Bernoulli() if bernoulli else mv.Gaussian()
        model = mv.VAE.mlp(n_x, n_latent, [n_hidden], activation, likelihood, posterior)
        x = (rng.random((batch, n_x)) < 0.5).astype(np.float32)
        return cls(
            model,
            activation,
            bernoulli,
            model.init(rng, np.float32),
            x if bernoulli else rng.standard_normal(x.shape, dtype=np.float32),
            model.draw_noise(rng, n_draws, batch, np.float32),
        )

    def weights(self) -> list[tuple[Any, Any]]:
        """Return copies of (W, b) of the dense layers: two of the encoder, a flow's, two of the decoder."""
        views = [view.copy() for _, view in self.model.named(self.params)]
        return list(zip(views[::2], views[1::2], strict=True))


def minivae_step(problem: Problem, objective: Any = None) -> tuple[Step, float]:
    """Return one training step of minivae with Adam, and with the BLAS threads that ``train`` chooses."""
    model, params = problem.model, problem.params.copy()
    grads, rule = np.empty_like(params), mv.Adam(1e-3)
    state = rule.init(params)

    def step() -> None:
        model.loss_and_grad(params, problem.x, problem.eps, grads, objective)
        rule.update(params, grads, state)

    loss, _ = model.loss_and_grad(params, problem.x, problem.eps, grads, objective)  # this loads every BLAS there is
    held = contextlib.ExitStack()  # never closed, and registered so that it lives as long as the process
    held.enter_context(blas_threads(model, len(problem.eps) * len(problem.x)))
    atexit.register(held.close)
    return step, loss


def products_step(problem: Problem) -> tuple[Step, None]:
    """Return the eleven matrix products of the step, through NumPy, and nothing else: the floor."""
    (W1, _), (W2, _), (W3, _), (W4, _) = problem.weights()
    x, z, batch = problem.x, problem.eps[0], len(problem.x)
    h, head, h2, out = (np.ones((batch, W.shape[1]), np.float32) for W in (W1, W2, W3, W4))
    dW1, dW2, dW3, dW4 = (np.empty_like(W) for W in (W1, W2, W3, W4))

    def step() -> None:
        x @ W1, h @ W2, z @ W3, h2 @ W4
        np.matmul(h2.T, out, out=dW4)
        out @ W4.T
        np.matmul(z.T, h2, out=dW3)
        h2 @ W3.T
        np.matmul(h.T, head, out=dW2)
        head @ W2.T
        np.matmul(x.T, h, out=dW1)

    return step, None


def minivae_iwae_step(problem: Problem) -> tuple[Step, float]:
    """Return the same step on the K-sample bound."""
    return minivae_step(problem, mv.KSampleBound("iwae"))


def products_iwae_step(problem: Problem) -> tuple[Step, None]:
    """Return the products of a step with K draws: the decoder has K times the encoder's rows."""
    (W1, _), (W2, _), (W3, _), (W4, _) = problem.weights()
    x, z = problem.x, problem.eps.reshape(-1, problem.eps.shape[2])
    h, head = (np.ones((len(x), W.shape[1]), np.float32) for W in (W1, W2))
    h2, out = (np.ones((len(z), W.shape[1]), np.float32) for W in (W3, W4))

    def step() -> None:
        x @ W1, h @ W2, z @ W3, h2 @ W4
        h2.T @ out, out @ W4.T, z.T @ h2, h2 @ W3.T
        h.T @ head, head @ W2.T, x.T @ h

    return step, None


def jax_iwae_step(problem: Problem) -> tuple[Step, float]:
    """Return the step on the K-sample bound by jax.jit."""
    import jax
    import jax.numpy as jnp

    activation = {"tanh": jnp.tanh, "relu": jax.nn.relu}[problem.activation]

    def loss(weights: Any, x: Any, eps: Any) -> Any:
        (W1, b1), (W2, b2), (W3, b3), (W4, b4) = weights
        mu, log_var = jnp.split(activation(x @ W1 + b1) @ W2 + b2, 2, axis=1)
        z = mu + jnp.exp(log_var / 2) * eps  # (K, B, L)
        out = activation(z @ W3 + b3) @ W4 + b4
        log_lik = jnp.sum(x * out - jax.nn.softplus(out), axis=-1)
        log_w = log_lik + 0.5 * jnp.sum(eps**2 + log_var - z**2, axis=-1)
        return -jnp.mean(jax.nn.logsumexp(log_w, axis=0) - math.log(len(eps)))

    return _jax_training(problem, loss, problem.eps)


def minivae_vimco_step(problem: Problem) -> tuple[Step, float]:
    """Return the step on the K-sample bound of a code of bits, with VIMCO's baseline."""
    return minivae_step(problem, mv.KSampleBound("iwae-vimco"))


def jax_vimco_step(problem: Problem) -> tuple[Step, float]:
    """Return the same step by jax.jit: the gradient is that of a surrogate, the value that of the bound."""
    import jax
    import jax.numpy as jnp

    activation = {"tanh": jnp.tanh, "relu": jax.nn.relu}[problem.activation]
    n_draws = len(problem.eps)

    def bound(log_w: Any) -> Any:
        return jax.nn.logsumexp(log_w, axis=0) - math.log(n_draws)

    def loss(weights: Any, x: Any, eps: Any) -> Any:
        (W1, b1), (W2, b2), (W3, b3), (W4, b4) = weights
        logits = activation(x @ W1 + b1) @ W2 + b2
        z = (eps > 1 - jax.nn.sigmoid(jax.lax.stop_gradient(logits))).astype(x.dtype)
        log_q = jnp.sum(z * logits - jax.nn.softplus(logits), axis=-1)  # (K, B)
        out = activation(z @ W3 + b3) @ W4 + b4
        log_w = jnp.sum(x * out - jax.nn.softplus(out), axis=-1) - z.shape[-1] * math.log(2) - log_q
        f = jax.lax.stop_gradient(log_w)
        others = (f.sum(axis=0) - f) / (n_draws - 1)
        replaced = jnp.where(jnp.eye(n_draws, dtype=bool)[:, :, None], others[:, None], f[None])  # (K, K, B)
        signal = bound(f) - (jax.nn.logsumexp(replaced, axis=1) - math.log(n_draws))
        value, score = bound(log_w), jnp.sum(signal * log_q, axis=0)
        return -jnp.mean(value + score - jax.lax.stop_gradient(score))

    return _jax_training(problem, loss, problem.eps)


def jax_flow_step(problem: Problem) -> tuple[Step, float]:
    """Return the step with an inverse autoregressive flow by jax.jit, its masks constants."""
    import jax
    import jax.numpy as jnp

    activation = {"tanh": jnp.tanh, "relu": jax.nn.relu}[problem.activation]
    flow, log_2pi = problem.model.posterior, math.log(2 * math.pi)
    assert isinstance(flow, mv.distributions.InverseAutoregressiveFlow)
    n = flow.n_latent
    masks = [jnp.array(layer.mask, jnp.float32) for net in flow.nets for layer in net.layers[::2]]

    def loss(weights: Any, x: Any, eps: Any) -> Any:
        (W1, b1), (W2, b2), *blocks, (W3, b3), (W4, b4) = weights
        mu, log_var, context = jnp.split(activation(x @ W1 + b1) @ W2 + b2, [n, 2 * n], axis=1)
        z = mu + jnp.exp(log_var / 2) * eps
        log_q = -0.5 * jnp.sum(eps**2 + log_var + log_2pi, axis=1)
        for i in range(0, len(blocks), 2):
            (Wa, ba), (Wb, bb) = blocks[i : i + 2]
            hidden = jnp.tanh(jnp.concatenate([z, context], axis=1) @ (masks[i] * Wa) + ba)
            m, logit = jnp.split(hidden @ (masks[i + 1] * Wb) + bb, 2, axis=1)
            s = jax.nn.sigmoid(logit)
            z = s * z + (1 - s) * m
            log_q -= jnp.sum(jax.nn.log_sigmoid(logit), axis=1)
        out = activation(z @ W3 + b3) @ W4 + b4
        log_lik = jnp.sum(x * out - jax.nn.softplus(out), axis=1)
        return jnp.mean(log_q + 0.5 * jnp.sum(z**2 + log_2pi, axis=1) - log_lik)

    return _jax_training(problem, loss, problem.eps[0])


def jax_step(problem: Problem) -> tuple[Step, float]:
    """Return one step of jax.jit with donated buffers and the same Adam."""
    import jax
    import jax.numpy as jnp

    activation = {"tanh": jnp.tanh, "relu": jax.nn.relu}[problem.activation]

    def loss(weights: Any, x: Any, eps: Any) -> Any:
        (W1, b1), (W2, b2), (W3, b3), (W4, b4) = weights
        mu, log_var = jnp.split(activation(x @ W1 + b1) @ W2 + b2, 2, axis=1)
        z = mu + jnp.exp(log_var / 2) * eps
        out = activation(z @ W3 + b3) @ W4 + b4
        if problem.bernoulli:
            log_lik = jnp.sum(x * out - jax.nn.softplus(out), axis=1)
        else:
            log_lik = -0.5 * jnp.sum((x - out) ** 2 + math.log(2 * math.pi), axis=1)
        kl = 0.5 * jnp.sum(mu**2 + jnp.exp(log_var) - 1 - log_var, axis=1)
        return jnp.mean(kl - log_lik)

    return _jax_training(problem, loss, problem.eps[0])


def _jax_training(problem: Problem, loss: Callable[..., Any], eps: Any) -> tuple[Step, float]:
    import jax
    import jax.numpy as jnp

    def adam(weights: Any, m: Any, v: Any, t: Any, x: Any, eps: Any) -> Any:
        value, g = jax.value_and_grad(loss)(weights, x, eps)
        t = t + 1
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
        root = jnp.sqrt(1 - 0.999**t)
        rate = 1e-3 * root / (1 - 0.9**t)
        weights = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) + 1e-8 * root), weights, m, v)
        return weights, m, v, t, value

    compiled = jax.jit(adam, donate_argnums=(0, 1, 2, 3))
    weights = jax.tree.map(jnp.array, problem.weights())
    x, eps = jnp.array(problem.x), jnp.array(eps)
    first = float(jax.jit(loss)(weights, x, eps))
    state = [weights, jax.tree.map(jnp.zeros_like, weights), jax.tree.map(jnp.zeros_like, weights), jnp.float32(0)]

    def step() -> None:
        *state[:], value = compiled(*state, x, eps)
        value.block_until_ready()

    return step, first


def torch_step(problem: Problem, compiled: bool = False) -> tuple[Step, float]:
    """Return one step of PyTorch with fused Adam, eager or through torch.compile."""
    import torch

    torch.set_num_threads(2)
    activation = {"tanh": torch.tanh, "relu": torch.relu}[problem.activation]
    flat = [torch.nn.Parameter(torch.from_numpy(a)) for pair in problem.weights() for a in pair]
    x, eps = torch.from_numpy(problem.x), torch.from_numpy(problem.eps[0])

    def loss(*weights: Any) -> Any:
        W1, b1, W2, b2, W3, b3, W4, b4 = weights
        head = torch.addmm(b2, activation(torch.addmm(b1, x, W1)), W2)
        mu, log_var = head.chunk(2, dim=1)
        z = mu + torch.exp(log_var / 2) * eps
        out = torch.addmm(b4, activation(torch.addmm(b3, z, W3)), W4)
        if problem.bernoulli:
            each = torch.nn.functional.binary_cross_entropy_with_logits(out, x, reduction="none")
            log_lik = -each.sum(1)
        else:
            log_lik = -0.5 * ((x - out) ** 2 + math.log(2 * math.pi)).sum(1)
        kl = 0.5 * (mu**2 + torch.exp(log_var) - 1 - log_var).sum(1)
        return (kl - log_lik).mean()

    value = torch.compile(loss) if compiled else loss
    rule = torch.optim.Adam(flat, lr=1e-3, fused=True)

    def step() -> None:
        rule.zero_grad(set_to_none=True)
        value(*flat).backward()
        rule.step()

    return step, float(value(*flat).detach())


def torch_compile_step(problem: Problem) -> tuple[Step, float]:
    """Return one step of PyTorch through torch.compile."""
    return torch_step(problem, compiled=True)


# ------------------------------------------------------------------------------------ log p(x) by sampling

DRAWS = 1000
_CHUNK = 50


def minivae_log_p(problem: Problem) -> tuple[Step, float]:
    """Return log_marginal with 1,000 draws of each example; the value to compare is that of the given noise."""
    rng = np.random.default_rng(1)
    value = float(mv.iwae_bound(problem.model, problem.params, problem.x, problem.eps).mean())
    return lambda: mv.log_marginal(problem.model, problem.params, problem.x, DRAWS, rng), value


def products_log_p(problem: Problem) -> tuple[Step, None]:
    """Return the decoder's products for 1,000 draws of each example, in the same chunks, through NumPy."""
    (W1, _), (W2, _), (W3, _), (W4, _) = problem.weights()
    x, rows = problem.x, _CHUNK * len(problem.x)
    z, h = np.ones((rows, W3.shape[0]), np.float32), np.ones((rows, W4.shape[0]), np.float32)

    def step() -> None:
        (x @ W1) @ W2
        for _ in range(DRAWS // _CHUNK):
            z @ W3, h @ W4

    return step, None


def jax_log_p(problem: Problem) -> tuple[Step, float]:
    """Return the same estimate by jax.jit, streamed over chunks of draws."""
    import jax
    import jax.numpy as jnp

    activation = {"tanh": jnp.tanh, "relu": jax.nn.relu}[problem.activation]
    (W1, b1), (W2, b2), (W3, b3), (W4, b4) = jax.tree.map(jnp.array, problem.weights())
    x = jnp.array(problem.x)

    def chunk(head: Any, eps: Any) -> Any:
        mu, log_var = head
        z = mu + jnp.exp(log_var / 2) * eps
        out = activation(z @ W3 + b3) @ W4 + b4
        log_lik = jnp.sum(x * out - jax.nn.softplus(out), axis=-1)
        log_w = log_lik + 0.5 * jnp.sum(eps**2 + log_var - z**2, axis=-1)
        return jax.nn.logsumexp(log_w, axis=0)

    def encode() -> Any:
        return jnp.split(activation(x @ W1 + b1) @ W2 + b2, 2, axis=1)

    @jax.jit
    def estimate(key: Any) -> Any:
        head = encode()
        keys = jax.random.split(key, DRAWS // _CHUNK)
        chunks = jax.lax.map(lambda key: chunk(head, jax.random.normal(key, (_CHUNK, *head[0].shape))), keys)
        return jax.nn.logsumexp(chunks, axis=0) - math.log(DRAWS)

    key = jax.random.key(0)
    return lambda: estimate(key).block_until_ready(), float(chunk(encode(), jnp.array(problem.eps)).mean())


# ------------------------------------------------------- gradients for the encoder's head by two estimators


def minivae_study(problem: Problem) -> tuple[Step, float]:
    """Return head_moments of both estimators, 1,000 draws of each example; the value is of the given noise."""
    rng = np.random.default_rng(1)
    objectives = [mv.Elbo("pathwise"), mv.Elbo("score")]
    estimators = {str(how.estimator): mv.models.EncoderEstimator(how) for how in objectives}
    draws = mv.models.encoder_draws(problem.model, problem.params, problem.x, problem.eps)
    value = sum(float(np.mean(draws.rows(how) ** 2)) for how in objectives)
    return lambda: mv.models.head_moments(problem.model, problem.params, problem.x, estimators, DRAWS, rng), value


def products_study(problem: Problem) -> tuple[Step, None]:
    """Return the products of the decoder and of its derivative for z, for 1,000 draws, in chunks, through NumPy."""
    (W1, _), (W2, _), (W3, _), (W4, _) = problem.weights()
    x, rows = problem.x, _CHUNK * len(problem.x)
    z, h, out = (np.ones((rows, n), np.float32) for n in (*W3.shape, W4.shape[1]))

    def step() -> None:
        (x @ W1) @ W2
        for _ in range(DRAWS // _CHUNK):
            z @ W3, h @ W4, out @ W4.T, h @ W3.T

    return step, None


def jax_study(problem: Problem) -> tuple[Step, float]:
    """Return mean and variance of both estimators' gradients by jax.jit, streamed over chunks of draws."""
    import jax
    import jax.numpy as jnp

    activation = {"tanh": jnp.tanh, "relu": jax.nn.relu}[problem.activation]
    (W1, b1), (W2, b2), (W3, b3), (W4, b4) = jax.tree.map(jnp.array, problem.weights())
    x = jnp.array(problem.x)

    def log_lik(z: Any) -> Any:
        out = activation(z @ W3 + b3) @ W4 + b4
        return jnp.sum(x * out - jax.nn.softplus(out), axis=-1)  # (K, B)

    def encode() -> Any:
        return jnp.split(activation(x @ W1 + b1) @ W2 + b2, 2, axis=1)

    def rows(head: Any, eps: Any) -> Any:
        mu, log_var = head
        sigma = jnp.exp(log_var / 2)
        f, back = jax.vjp(log_lik, mu + sigma * eps)
        (dz,) = back(jnp.ones_like(f))
        kl = jnp.concatenate([mu, (jnp.exp(log_var) - 1) / 2], axis=-1)
        path = jnp.concatenate([dz, dz * eps * sigma / 2], axis=-1) - kl
        score = jnp.concatenate([eps / sigma, (eps**2 - 1) / 2], axis=-1)
        return path, f[..., None] * score - kl

    @jax.jit
    def moments(key: Any) -> Any:
        head = encode()

        def chunk(key: Any) -> Any:
            both = rows(head, jax.random.normal(key, (_CHUNK, *head[0].shape)))
            return [(r.mean(axis=0), r.var(axis=0)) for r in both]

        parts = jax.lax.map(chunk, jax.random.split(key, DRAWS // _CHUNK))
        return [(mean.mean(axis=0), variance.mean(axis=0) + mean.var(axis=0)) for mean, variance in parts]

    key = jax.random.key(0)
    value = float(sum(jnp.mean(r**2) for r in rows(encode(), jnp.array(problem.eps))))
    return lambda: jax.block_until_ready(moments(key)), value
