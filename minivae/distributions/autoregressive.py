"""The inverse autoregressive flow: each latent is scaled and moved by what is known of those before it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from minivae.core import checks, errors, kernels
from minivae.core.arrays import Array, sigmoid
from minivae.core.boxes import slices_of
from minivae.core.registry import saved
from minivae.distributions.flows import Flow
from minivae.nn.activations import Tanh
from minivae.nn.layer import Layer
from minivae.nn.masked import MaskedDense
from minivae.nn.sequential import Sequential

_OPEN = 2.0  # logit of s at the start, where little is gated


@saved
@dataclass(frozen=True)
class InverseAutoregressiveFlow(Flow):
    """z_0 ~ N(mu, diag exp(log_var)), then n_blocks steps by masked networks of its own; the head adds a context h.

        gate:    z' = s o z + (1 - s) o m,    affine:  z' = s o z + m,      s = sigmoid(logit)
        (m_i, logit_i) = network(z_1, ..., z_(i-1), h),    log q(z'|x) = log q(z|x) - sum_i log s_i

    The Jacobian is triangular, so its determinant is a product. The second block takes the latents in the opposite
    order, the third in the first order, and so on. A draw costs one pass through each network; ``log_prob`` at a given
    z and the score cost one pass for each latent, since they go from latent to latent.

    Without hidden layers and in the affine form, one block is a linear map of z: q(z|x) is a Gaussian whose full
    covariance is the same for every x, and whose mean the encoder gives.

    Parameters
    ----------
    n_latent : int
        Dimension L of z; the encoder gives n_head = 2 L + n_context values.
    n_blocks : int
    n_hidden : sequence of int
        Hidden widths of each network; may be empty.
    n_context : int
        Width of h; 0 for networks that do not look at x.
    form : {"gate", "affine"}

    Raises
    ------
    ValueError
        If a number is out of range, or the form unknown.

    References
    ----------
    D. P. Kingma et al., "Improving variational inference with inverse autoregressive flow", 2016.

    Examples
    --------
    >>> q = InverseAutoregressiveFlow(2, n_blocks=1, n_context=0)
    >>> params, head = q.init(np.random.default_rng(0)), np.zeros((1, 4))
    >>> z, log_q, _ = q.sample(params, head, np.array([[[0.5, -0.5]]]))
    >>> bool(np.allclose(q.log_prob(params, head, z), log_q))
    True
    """

    n_latent: int
    n_blocks: int = 2
    n_hidden: tuple[int, ...] = (32,)
    n_context: int = 8
    form: Literal["gate", "affine"] = "gate"

    def __init__(
        self,
        n_latent: int,
        n_blocks: int = 2,
        n_hidden: Sequence[int] = (32,),
        n_context: int = 8,
        form: Literal["gate", "affine"] = "gate",
    ) -> None:
        object.__setattr__(self, "n_latent", checks.width(n_latent, "n_latent"))
        object.__setattr__(self, "n_blocks", checks.width(n_blocks, "n_blocks"))
        object.__setattr__(self, "n_hidden", tuple(checks.widths(n_hidden, "n_hidden")))
        object.__setattr__(self, "n_context", checks.whole(n_context, "n_context"))
        object.__setattr__(self, "form", checks.choice(form, ("gate", "affine"), "form"))
        widths = [self.n_latent + self.n_context, *self.n_hidden, 2 * self.n_latent]
        largest = max(a * b for a, b in zip(widths[:-1], widths[1:], strict=True))
        checks.size(self.n_blocks * largest, "n_latent, n_blocks, n_hidden and n_context", (n_blocks, *widths))

    @property
    def n_head(self) -> int:
        """2 L + n_context: mu, log_var and the context."""
        return 2 * self.n_latent + self.n_context

    def order(self, block: int) -> list[int]:
        """Return the latents in the order in which a block goes through them, numbered from 0."""
        forth = list(range(self.n_latent))
        return forth[::-1] if checks.whole(block, "block") % 2 else forth

    @cached_property
    def nets(self) -> tuple[Sequential, ...]:
        """The masked network of each block, from z and the context to m and the logits of s."""
        return tuple(self._net(block) for block in range(self.n_blocks))

    def _net(self, block: int) -> Sequential:
        n = self.n_latent
        places = [self.order(block).index(i) + 1 for i in range(n)]  # of each latent in the block's order
        lowest = 0 if self.n_context or n == 1 else 1  # a unit of degree 0 sees the context alone
        degrees = [0] * self.n_context
        layers: list[Layer] = []
        inputs = [*places, *degrees]
        for width in self.n_hidden:
            hidden = [lowest + i % (n - lowest) for i in range(width)]
            layers += [MaskedDense(inputs, hidden), Tanh()]
            inputs = hidden
        return Sequential([*layers, MaskedDense(inputs, places * 2, strict=True)])

    @cached_property
    def slices(self) -> tuple[slice, ...]:
        """Where each network's parameters stand in the flat vector."""
        return slices_of(self.nets)

    @cached_property
    def n_params(self) -> int:
        """Those of the networks."""
        return sum(net.n_params for net in self.nets)

    def init(self, rng: np.random.Generator, dtype: Any = np.float64) -> Array:
        """Return the networks' initial parameters; s starts near 0.88, so that a block starts near the identity."""
        params = np.concatenate([net.init(rng, dtype) for net in self.nets])
        for net, part in zip(self.nets, self.slices, strict=True):
            bias = net.out_bias(params[part])
            assert bias is not None  # the last layer is a MaskedDense
            bias[self.n_latent :] = _OPEN
        return params

    def named(self, params: Array) -> Iterator[tuple[str, Array]]:
        """Yield ("block 0.0.weight", view) and so on."""
        checks.parameters(params, self.n_params)
        for i, (net, part) in enumerate(zip(self.nets, self.slices, strict=True)):
            for name, view in net.named(params[part]):
                yield f"block {i}.{name}", view

    def split(self, head: Array) -> tuple[Array, Array]:
        """Return mu with log_var, a head of a ``DiagonalGaussian``, and the context."""
        head = checks.look(head, "head", (None, self.n_head))
        return np.ascontiguousarray(head[:, : 2 * self.n_latent]), head[:, 2 * self.n_latent :]

    def _inputs(self, context: Array, n_draws: int) -> Array:
        """Return rows for a network: place for z, then the context, shape (K B, L + n_context)."""
        n_batch, n = len(context), self.n_latent
        x = np.empty((n_draws, n_batch, n + self.n_context), context.dtype)
        x[:, :, n:] = context
        return x.reshape(n_draws * n_batch, -1)

    @errors.spoken("a draw of z")
    def sample(self, params: Array, head: Array, eps: Array) -> tuple[Array, Array, Any]:
        """Return z, log q(z|x) along the path, and the cache."""
        params = checks.look(params, "params", (self.n_params,), remedy="Make it with init(rng).")
        head = checks.look(head, "head", (None, self.n_head), params.dtype)
        eps = checks.look(eps, "eps", (None, len(head), self.n_latent), head.dtype)
        base, context = self.split(head)
        z, log_q = kernels.reparameterize(base, eps)
        z, steps = z.reshape(-1, self.n_latent), []
        for net, part in zip(self.nets, self.slices, strict=True):
            x = self._inputs(context, len(eps))  # a new one for each block: its cache keeps it
            x[:, : self.n_latent] = z
            out, cache = net.forward(params[part], x)
            steps.append((cache, z, out))
            z, log_det = kernels.gate(z, out, self.form == "gate")
            log_q -= log_det.reshape(log_q.shape)
        return z.reshape(eps.shape), log_q, (base, eps, steps)

    def backward(self, params: Array, cache: Any, dz: Array, dlog_q: Array, grads: Array) -> Array:
        """Return dhead through z and log q, from the last block to the first, and overwrite ``grads``."""
        base, eps, steps = cache
        params = checks.look(params, "params", (self.n_params,), eps.dtype)
        checks.place(grads, self.n_params, params.dtype)
        d = checks.look(dz, "dz", eps.shape, eps.dtype).reshape(-1, self.n_latent)
        dlog_q = checks.look(dlog_q, "dlog_q", eps.shape[:2], eps.dtype)
        dlog_det, dcontext = -dlog_q.ravel(), np.zeros((len(d), self.n_context), d.dtype)
        for net, part, (kept, z, out) in reversed(list(zip(self.nets, self.slices, steps, strict=True))):
            d, dout = kernels.gate_backward(z, out, self.form == "gate", d, dlog_det)
            dx: Any = net.backward(params[part], kept, dout, grads[part])
            d += dx[:, : self.n_latent]
            dcontext += dx[:, self.n_latent :]
        dbase = kernels.reparameterize_backward(base, eps, d.reshape(eps.shape), dlog_q)
        dcontext = dcontext.reshape(*eps.shape[:2], self.n_context).sum(axis=0)
        return np.concatenate([dbase, dcontext], axis=1)

    def slope(self, params: Array, cache: Any) -> Array:
        """Return d log q / dz, shape (K, B, L): J^-T of what it is before a block, by substitution from the end."""
        base, eps, steps = cache
        params = checks.look(params, "params", (self.n_params,), eps.dtype)
        g = (-eps * np.exp(-0.5 * base[:, self.n_latent :])).reshape(-1, self.n_latent)
        ones = np.ones(len(g), g.dtype)
        for block, (net, part, (kept, z, out)) in enumerate(zip(self.nets, self.slices, steps, strict=True)):
            s = sigmoid(out[:, self.n_latent :])
            new = np.zeros_like(g)
            for i in reversed(self.order(block)):  # what comes to latent i through those after it is known by now
                _, dout = kernels.gate_backward(z, out, self.form == "gate", new, ones)
                dx: Any = net.backward(params[part], kept, dout, None)
                new[:, i] = (g[:, i] - dx[:, i]) / s[:, i]
            g = new
        return g.reshape(eps.shape)

    @errors.spoken("log q(z|x)")
    def log_prob(self, params: Array, head: Array, z: Array) -> Array:
        """Return log q(z|x), shape (K, B), by going back through the blocks, latent after latent."""
        z0, log_det = self.inverse(params, head, z)
        return kernels.diagonal_log_prob(self.split(head)[0], z0) - log_det

    @errors.spoken("z_0")
    def inverse(self, params: Array, head: Array, z: Array) -> tuple[Array, Array]:
        """Return the z_0 from which the flow makes z, shape (K, B, L), and log |det dz / dz_0|, shape (K, B)."""
        params = checks.look(params, "params", (self.n_params,), remedy="Make it with init(rng).")
        head = checks.look(head, "head", (None, self.n_head), params.dtype)
        z = checks.look(z, "z", (None, len(head), self.n_latent), head.dtype)
        x, n = self._inputs(self.split(head)[1], len(z)), self.n_latent
        y, log_det = z.reshape(-1, n), np.zeros(z.shape[0] * z.shape[1], z.dtype)
        for block in reversed(range(self.n_blocks)):
            x[:, :n] = 0
            for i in self.order(block):
                out, _ = self.nets[block].forward(params[self.slices[block]], x)
                logit, m = out[:, n + i], out[:, i]
                moved = m * sigmoid(-logit) if self.form == "gate" else m
                x[:, i] = (y[:, i] - moved) / sigmoid(logit)
                log_det -= np.logaddexp(-logit, logit.dtype.type(0))
            y = x[:, :n].copy()
        return y.reshape(z.shape), log_det.reshape(z.shape[:2])
