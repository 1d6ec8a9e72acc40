"""The posterior of independent bits: z in {0, 1}^L, through whose draw no path leads."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array, sigmoid
from minivae.core.boxes import NoParameters
from minivae.core.registry import saved
from minivae.distributions.priors import FairBits

_MOST_BITS = 16
MOST_STATES = 2**_MOST_BITS


def all_states(n: int) -> Array:
    """Return every vector of n bits, shape (2^n, n), in binary order.

    >>> all_states(2)
    array([[0., 0.],
           [0., 1.],
           [1., 0.],
           [1., 1.]])
    """
    if checks.width(n, "n") > _MOST_BITS:
        raise ValueError(f"n must be at most {_MOST_BITS} to enumerate 2^n states, got {n}. Draw them instead.")
    return (np.arange(2**n)[:, None] >> np.arange(n)[::-1] & 1).astype(np.float64)


def check_uniform(eps: Array, what: str) -> None:
    """Refuse noise outside [0, 1], of a posterior whose noise is uniform.

    >>> check_uniform(np.array([0.0, 0.5]), "bits")
    """
    eps = checks.array(eps, "eps")
    if eps.dtype.kind != "f" or not eps.size:
        raise ValueError(f"eps must be floats, got {checks.shown(eps)}. Take it of draw_noise.")
    if not 0 <= eps.min() <= eps.max() <= 1:
        raise ValueError(
            f"eps must be uniform noise in [0, 1) for {what}, got values from {eps.min():.3g} to {eps.max():.3g}. "
            f"Take rng.random(...) or model.draw_noise, not normal draws."
        )


def inside_of_unit(u: Array) -> Array:
    """Return u in (0, 1): 0 and 1 become their nearest neighbours, whose logarithms are finite.

    >>> inside_of_unit(np.array([0.0, 0.5])).round(12)
    array([0. , 0.5])
    """
    info = np.finfo(u.dtype)
    return np.clip(u, info.tiny, 1 - info.epsneg)


@saved
@dataclass(frozen=True)
class Bits(NoParameters):
    """q(z|x) = prod_j Bern(theta_j), theta = sigmoid(phi); the head holds the logits phi.

        log q(z|x) = sum_j z_j phi_j - log(1 + exp(phi_j)),   d log q / dphi = z - theta

    A draw is z = 1 where u > 1 - theta with u uniform in [0, 1): a step in theta, whose derivative is zero wherever it
    exists. So the encoder learns by the score function, or exactly, by enumeration of the 2^L states.

    Parameters
    ----------
    n_latent : int
        Number L of bits; the encoder gives as many logits.

    References
    ----------
    A. Mnih, K. Gregor, "Neural variational inference and learning in belief networks", 2014.

    Examples
    --------
    >>> q = Bits(1)
    >>> z, log_q, _ = q.sample(q.init(), np.array([[0.0]]), eps=np.array([[[0.2]], [[0.7]]]))
    >>> z.ravel(), np.exp(log_q).ravel()
    (array([0., 1.]), array([0.5, 0.5]))
    """

    n_latent: int
    has_path = False
    antithetic = True  # the noise 1 - u draws bits, too

    def __post_init__(self) -> None:
        checks.width(self.n_latent, "n_latent")

    @property
    def n_head(self) -> int:
        """One logit a bit."""
        return self.n_latent

    @property
    def n_states(self) -> int | None:
        """2^L, up to 16 bits."""
        return 2**self.n_latent if self.n_latent <= _MOST_BITS else None

    def prior(self) -> FairBits:
        """Return fair bits."""
        return FairBits(self.n_latent)

    def draw_noise(self, rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> Array:
        """Return draws uniform in [0, 1)."""
        return checks.generator(rng).random(checks.shape_of(shape), dtype=checks.float_dtype(dtype))

    def check_noise(self, eps: Array) -> None:
        """Refuse values outside [0, 1]."""
        check_uniform(eps, "bits")

    def sample(self, params: Array, head: Array, eps: Array) -> tuple[Array, Array, Any]:
        """Return the bits, their log-probability, and the cache."""
        head = checks.look(head, "head", (None, self.n_latent))
        eps = checks.look(eps, "eps", (None, len(head), self.n_latent), head.dtype)
        theta = sigmoid(head)
        z = (eps > 1 - theta).astype(head.dtype)
        return z, self.log_prob(params, head, z), (z, theta)

    def states(self, params: Array, head: Array) -> tuple[Array, Array, Any]:  # noqa: ARG002
        """Return all 2^L codes, their log-probabilities for each example, and the cache."""
        head = checks.look(head, "head", (None, self.n_latent))
        z = all_states(self.n_latent).astype(head.dtype)
        log_q = z @ head.T - np.logaddexp(head, head.dtype.type(0)).sum(axis=1)  # (S, B)
        return z[:, None], log_q, (z[:, None], sigmoid(head))

    def backward(self, params: Array, cache: Any, dz: Array, dlog_q: Array, grads: Array) -> Array:
        """Return dhead through log q alone: z does not move with the head."""
        z = cache[0]
        checks.look(dz, "dz", (len(z), None, self.n_latent), z.dtype)
        return self.score(params, cache, dlog_q, grads)

    def score(self, params: Array, cache: Any, dlog_q: Array, grads: Array) -> Array:  # noqa: ARG002
        """Return dphi = sum_k (z - theta) dlog_q."""
        z, theta = cache
        dlog_q = checks.look(dlog_q, "dlog_q", (len(z), len(theta)), theta.dtype)
        if z.shape[1] == 1:  # codes that all examples share
            return dlog_q.T @ z[:, 0] - dlog_q.sum(axis=0)[:, None] * theta
        return np.sum(dlog_q[:, :, None] * (z - theta), axis=0)

    def log_prob(self, params: Array, head: Array, z: Array) -> Array:  # noqa: ARG002
        """Return log q(z|x), shape (K, B)."""
        head = checks.look(head, "head", (None, self.n_latent))
        z = checks.look(z, "z", (None, None, self.n_latent), head.dtype)
        if z.shape[1] not in (1, len(head)):
            raise ValueError(f"z must have {len(head)} examples as head does, got shape {z.shape}. Make them agree.")
        return np.sum(z * head, axis=-1) - np.logaddexp(head, head.dtype.type(0)).sum(axis=1)

    def mean(self, params: Array, head: Array) -> Array:  # noqa: ARG002
        """Return the probabilities theta."""
        return sigmoid(checks.look(head, "head", (None, self.n_latent)))

    def code(self, params: Array, head: Array) -> Array:  # noqa: ARG002
        """Return the most probable code."""
        head = checks.look(head, "head", (None, self.n_latent))
        return (head > 0).astype(head.dtype)

    # --------------------------------------------------------------------------- between the states

    def behind(self, head: Array, eps: Array) -> Array:
        """Return y = phi + log(u / (1 - u)), shape (K, B, L): z is 1 where y > 0."""
        head = checks.look(head, "head", (None, self.n_latent))
        u = inside_of_unit(checks.look(eps, "eps", (None, len(head), self.n_latent), head.dtype))
        return head + np.log(u) - np.log1p(-u)

    def behind_backward(self, head: Array, dy: Array) -> Array:
        """Return dhead of each draw through y at fixed noise: dy."""
        head = checks.look(head, "head", (None, self.n_latent))
        return checks.look(dy, "dy", (None, len(head), self.n_latent), head.dtype)

    def behind_forward(self, head: Array, dhead: Array) -> Array:
        """Return dy of each draw along a direction of the head, shape (K, B, L): the direction."""
        head = checks.look(head, "head", (None, self.n_latent))
        return checks.look(dhead, "dhead", (None, len(head), self.n_latent), head.dtype)

    def left_free(self, head: Array, y: Array, z: Array) -> Array:
        """Return d(y - y~)/dphi, y~ being y given z, at the draw where y~ = y.

        Given z = 1, u~ = v theta + 1 - theta, given z = 0, u~ = v (1 - theta), and y~ = phi + log(u~ / (1 - u~)) at
        fixed v; where u~ = u this leaves (1 - theta) / u of dy/dphi = 1, or theta / (1 - u).
        """
        head = checks.look(head, "head", (None, self.n_latent))
        y = checks.look(y, "y", (None, len(head), self.n_latent), head.dtype)
        z = checks.look(z, "z", (None, None, self.n_latent), head.dtype)
        sign = 2 * z - 1  # by symmetry both are (1 - theta) / u of the bit that was drawn
        return np.exp(np.logaddexp(sign * (head - y), 0) - np.logaddexp(sign * head, 0)).astype(head.dtype)

    def relaxed(self, y: Array) -> Array:
        """Return sigmoid(y), a code between the states."""
        return sigmoid(y)

    def relaxed_backward(self, zeta: Array, d: Array) -> Array:
        """Return J d = zeta (1 - zeta) d, J the derivative of ``relaxed``."""
        return zeta * (1 - zeta) * d

    def relaxed_bend(self, zeta: Array, along: Array, d: Array) -> Array:
        """Return how J d changes as zeta moves along a direction: (1 - 2 zeta) along d."""
        return (1 - 2 * zeta) * along * d
