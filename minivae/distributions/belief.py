"""Two layers of bits: posterior and prior of a sigmoid belief network, in which each layer is drawn given the next."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array, sigmoid
from minivae.core.registry import saved
from minivae.distributions.bits import MOST_STATES, all_states, check_uniform
from minivae.nn.dense import Dense

_FEW = 2**10  # states of the lower layer up to which a mean is summed over them
_N_FIXED = 64  # draws that stand for them where there are more


def _log_bits(logits: Array, z: Array) -> Array:
    """Return log p of bits z given their logits, summed over the last axis: sum z l - log(1 + exp l)."""
    return np.sum(z * logits - np.logaddexp(logits, logits.dtype.type(0)), axis=-1)


@saved
@dataclass(frozen=True)
class BeliefBits:
    """q(z|x) = q(z1|x) q(z2|z1): bits z1 with logits from the encoder, bits z2 with logits z1 W + b of its own.

        log q = sum log Bern(z1; sigmoid(phi)) + sum log Bern(z2; sigmoid(z1 W + b)),
        d log q / dphi = z1 - sigmoid(phi),   d log q / d(z1 W + b) = z2 - sigmoid(z1 W + b)

    z holds z1, then z2. No path leads through the draw; the parameters W, b learn by the score function as the encoder
    does.

    Parameters
    ----------
    n_lower, n_upper : int
        Bits of z1, next to the data, and of z2.

    References
    ----------
    A. Mnih, K. Gregor, "Neural variational inference and learning in belief networks", 2014.

    Examples
    --------
    >>> q, rng = BeliefBits(2, 3), np.random.default_rng(0)
    >>> z, log_q, _ = q.sample(q.init(rng), np.zeros((4, 2)), rng.random((5, 4, 5)))
    >>> z.shape, log_q.shape, q.n_params
    ((5, 4, 5), (5, 4), 9)
    """

    n_lower: int
    n_upper: int
    has_path = False

    def __post_init__(self) -> None:
        checks.width(self.n_lower, "n_lower")
        checks.width(self.n_upper, "n_upper")

    @property
    def n_latent(self) -> int:
        """Bits of both layers."""
        return self.n_lower + self.n_upper

    @property
    def n_head(self) -> int:
        """One logit for each bit of the lower layer."""
        return self.n_lower

    @property
    def n_states(self) -> int | None:
        """Of both layers, up to 65,536."""
        return 2**self.n_latent if 2**self.n_latent <= MOST_STATES else None

    @cached_property
    def _upper(self) -> Dense:
        return Dense(self.n_lower, self.n_upper)

    @property
    def n_params(self) -> int:
        """Of the layer from z1 to z2."""
        return self._upper.n_params

    def init(self, rng: np.random.Generator, dtype: Any = np.float64) -> Array:
        """Return the layer's initial parameters."""
        return self._upper.init(rng, dtype)

    def named(self, params: Array) -> Iterator[tuple[str, Array]]:
        """Yield ("upper.weight", W) and ("upper.bias", b)."""
        for name, view in self._upper.named(params):
            yield f"upper.{name}", view

    def prior(self) -> "BeliefPrior":
        """Return the prior of two layers."""
        return BeliefPrior(self.n_lower, self.n_upper)

    def draw_noise(self, rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> Array:
        """Return draws uniform in [0, 1)."""
        return checks.generator(rng).random(checks.shape_of(shape), dtype=checks.float_dtype(dtype))

    def check_noise(self, eps: Array) -> None:
        """Refuse values outside [0, 1]."""
        check_uniform(eps, "bits")

    def _logits(self, params: Array, lower: Array) -> Array:
        """Return the logits of z2 given z1 of shape (..., n_lower)."""
        rows, _ = self._upper.forward(params, np.ascontiguousarray(lower).reshape(-1, self.n_lower))
        return rows.reshape(*lower.shape[:-1], self.n_upper)

    def sample(self, params: Array, head: Array, eps: Array) -> tuple[Array, Array, Any]:
        """Return the bits of both layers, their log-probability, and the cache."""
        head = checks.look(head, "head", (None, self.n_lower))
        eps = checks.look(eps, "eps", (None, len(head), self.n_latent), head.dtype)
        lower = (eps[..., : self.n_lower] > 1 - sigmoid(head)).astype(head.dtype)
        logits = self._logits(params, lower)
        upper = (eps[..., self.n_lower :] > 1 - sigmoid(logits)).astype(head.dtype)
        z = np.concatenate([lower, upper], axis=-1)
        return z, _log_bits(head, lower) + _log_bits(logits, upper), (z, sigmoid(head), sigmoid(logits))

    def states(self, params: Array, head: Array) -> tuple[Array, Array, Any]:
        """Return all codes of both layers, their log-probabilities for each example, and the cache."""
        head = checks.look(head, "head", (None, self.n_lower))
        z = all_states(self.n_latent).astype(head.dtype)[:, None]
        upper = sigmoid(self._logits(params, z[..., : self.n_lower]))
        return z, self.log_prob(params, head, z), (z, sigmoid(head), upper)

    def backward(self, params: Array, cache: Any, dz: Array, dlog_q: Array, grads: Array) -> Array:
        """Return dhead through log q alone: z does not move."""
        checks.look(dz, "dz", (len(cache[0]), None, self.n_latent), cache[0].dtype)
        return self.score(params, cache, dlog_q, grads)

    def score(self, params: Array, cache: Any, dlog_q: Array, grads: Array) -> Array:
        """Overwrite ``grads`` and return dphi = sum_k (z1 - theta1) dlog_q."""
        z, theta, upper = cache
        params = checks.look(params, "params", (self.n_params,), theta.dtype)
        checks.place(grads, self.n_params, theta.dtype)
        lower = z[..., : self.n_lower]
        dlog_q = checks.look(dlog_q, "dlog_q", (len(z), len(theta)), theta.dtype)
        own = dlog_q if z.shape[1] == len(theta) else dlog_q.sum(axis=1, keepdims=True)  # codes that examples share
        dlogits = own[:, :, None] * (z[..., self.n_lower :] - upper)
        rows = np.ascontiguousarray(lower).reshape(-1, self.n_lower)
        self._upper.backward(params, rows, dlogits.reshape(len(rows), -1), grads, need_dx=False)
        return np.einsum("kb,kbl->bl", dlog_q, np.broadcast_to(lower, (*dlog_q.shape, self.n_lower)) - theta)

    def log_prob(self, params: Array, head: Array, z: Array) -> Array:
        """Return log q(z|x), shape (K, B)."""
        head = checks.look(head, "head", (None, self.n_lower))
        z = checks.look(z, "z", (None, None, self.n_latent), head.dtype)
        if z.shape[1] not in (1, len(head)):
            raise ValueError(f"z must have {len(head)} examples as head does, got shape {z.shape}. Make them agree.")
        lower = z[..., : self.n_lower]
        return _log_bits(head, lower) + _log_bits(self._logits(params, lower), z[..., self.n_lower :])

    def mean(self, params: Array, head: Array) -> Array:
        """Return the probabilities of both layers; those of the upper one over all z1, or over fixed draws of many."""
        head = checks.look(head, "head", (None, self.n_lower))
        theta = sigmoid(head)
        if 2**self.n_lower <= _FEW:
            z = all_states(self.n_lower).astype(head.dtype)
            upper = np.exp(_log_bits(head, z[:, None])).T @ sigmoid(self._logits(params, z))
        else:
            u = np.random.default_rng(0).random((_N_FIXED, 1, self.n_lower)).astype(head.dtype)
            upper = sigmoid(self._logits(params, (u > 1 - theta).astype(head.dtype))).mean(axis=0)
        return np.concatenate([theta, upper], axis=1)

    def code(self, params: Array, head: Array) -> Array:
        """Return the most probable z1, and the most probable z2 given that."""
        head = checks.look(head, "head", (None, self.n_lower))
        lower = (head > 0).astype(head.dtype)
        return np.concatenate([lower, (self._logits(params, lower) > 0).astype(head.dtype)], axis=1)


@saved
@dataclass(frozen=True)
class BeliefPrior:
    """p(z) = p(z2) p(z1|z2): bits z2 with logits c, bits z1 with logits z2 V + d, all of them learnt.

    z holds z1, then z2, as in ``BeliefBits``. d log p / dc = z2 - sigmoid(c), and of z1's logits it is
    z1 - sigmoid(z2 V + d).

    Examples
    --------
    >>> p = BeliefPrior(1, 1)
    >>> params = np.zeros(p.n_params)
    >>> round(float(np.exp(p.log_prob(params, np.ones((1, 1, 2))))[0, 0]), 12)
    0.25
    """

    n_lower: int
    n_upper: int
    formula = "two layers of bits z"

    def __post_init__(self) -> None:
        checks.width(self.n_lower, "n_lower")
        checks.width(self.n_upper, "n_upper")

    @property
    def n_latent(self) -> int:
        """Bits of both layers."""
        return self.n_lower + self.n_upper

    @cached_property
    def _lower(self) -> Dense:
        return Dense(self.n_upper, self.n_lower)

    @property
    def n_params(self) -> int:
        """c, V and d."""
        return self.n_upper + self._lower.n_params

    def init(self, rng: np.random.Generator, dtype: Any = np.float64) -> Array:
        """Return fair bits z2, and the initial parameters of the layer from z2 to z1."""
        layer = self._lower.init(rng, dtype)
        return np.concatenate([np.zeros(self.n_upper, layer.dtype), layer])

    def named(self, params: Array) -> Iterator[tuple[str, Array]]:
        """Yield ("logits", c), ("lower.weight", V) and ("lower.bias", d)."""
        checks.parameters(params, self.n_params)
        yield "logits", params[: self.n_upper]
        for name, view in self._lower.named(params[self.n_upper :]):
            yield f"lower.{name}", view

    def _parts(self, params: Array, z: Array) -> tuple[Array, Array, Array, Array]:
        """Return z1 and z2 as rows, and the logits of both."""
        checks.parameters(params, self.n_params)
        rows = np.ascontiguousarray(z).reshape(-1, self.n_latent)
        upper = np.ascontiguousarray(rows[:, self.n_lower :])
        logits, _ = self._lower.forward(params[self.n_upper :], upper)
        return rows[:, : self.n_lower], upper, logits, params[: self.n_upper]

    def log_prob(self, params: Array, z: Array) -> Array:
        """Return log p(z), shape (K, B)."""
        z = checks.look(z, "z", (None, None, self.n_latent))
        lower, upper, logits, c = self._parts(params, z)
        return (_log_bits(logits, lower) + _log_bits(c, upper)).reshape(z.shape[:2])

    def backward(self, params: Array, z: Array, dlog_prob: Array, grads: Array) -> Array:
        """Overwrite ``grads`` and return zero: z is a whole number."""
        z = checks.look(z, "z", (None, None, self.n_latent))
        lower, upper, logits, c = self._parts(params, z)
        dlog_prob = checks.look(dlog_prob, "dlog_prob", (len(z), None), lower.dtype)
        checks.place(grads, self.n_params, lower.dtype)
        own = dlog_prob if dlog_prob.shape[1] == z.shape[1] else dlog_prob.sum(axis=1)  # codes that examples share
        if own.size != len(lower):
            raise ValueError(
                f"dlog_prob must have shape {z.shape[:2]} as z does, got {dlog_prob.shape}. Make them agree."
            )
        d = own.reshape(-1, 1)
        grads[: self.n_upper] = np.sum(d * (upper - sigmoid(c)), axis=0)
        dlogits = d * (lower - sigmoid(logits))
        self._lower.backward(params[self.n_upper :], upper, dlogits, grads[self.n_upper :], need_dx=False)
        return np.zeros_like(z)

    def sample(self, params: Array, n: int, rng: np.random.Generator) -> Array:
        """Draw z2, then z1 given z2; shape (n, L)."""
        checks.parameters(params, self.n_params)
        dtype, rng = checks.dtype_of(params), checks.generator(rng)
        checks.size(checks.width(n, "n") * self.n_latent, "n", n)
        upper = (rng.random((n, self.n_upper), dtype=dtype) < sigmoid(params[: self.n_upper])).astype(dtype)
        logits, _ = self._lower.forward(params[self.n_upper :], upper)
        lower = (rng.random((n, self.n_lower), dtype=dtype) < sigmoid(logits)).astype(dtype)
        return np.concatenate([lower, upper], axis=1)
