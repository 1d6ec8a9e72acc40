"""The Gaussian posterior with a full covariance: q(z|x) = N(mu, L L^T), L lower triangular."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from minivae.core import checks, errors, kernels
from minivae.core.arrays import Array
from minivae.core.boxes import NoParameters
from minivae.core.registry import saved
from minivae.distributions.real import RealPosterior


def packed_width(n_latent: int) -> int:
    """Return how wide a head is that holds mean and a triangle: 2 + 3 + ... + (n_latent + 1).

    >>> packed_width(2)
    5
    """
    return n_latent * (n_latent + 3) // 2


def packed_latents(n_head: int) -> int:
    """Return the number of latents of a head of that width: the inverse of ``packed_width``.

    >>> packed_latents(packed_width(7))
    7
    """
    return (math.isqrt(9 + 8 * n_head) - 3) // 2


@saved
@dataclass(frozen=True)
class FullGaussian(RealPosterior, NoParameters):
    """q(z|x) = N(mu, L L^T); the head holds mu, the logarithms of L's diagonal, then L below it, row by row.

        z = mu + L eps,   log q(z|x) = log N(eps; 0, I) - sum_i log L_ii

    The diagonal of L is an exponential, so that L can always be inverted. Where all that is below it is zero, this is
    ``DiagonalGaussian`` with log_var = 2 log L_ii.

    Parameters
    ----------
    n_latent : int
        Dimension L of z; the encoder gives n_head = L + L (L + 1) / 2 values.

    Raises
    ------
    ValueError
        If n_latent is below one.

    References
    ----------
    D. J. Rezende, S. Mohamed, D. Wierstra, "Stochastic backpropagation and approximate inference in deep generative
    models", 2014, section 4.3.

    Examples
    --------
    >>> q = FullGaussian(2)
    >>> head = np.array([[0.5, -0.5, 0.0, 0.0, 2.0]])  # mu, log of the diagonal, what is below it
    >>> z, log_q, cache = q.sample(q.init(), head, eps=np.array([[[1.0, 0.0]]]))
    >>> z[0, 0], round(log_q.item(), 6)
    (array([1.5, 1.5]), -2.337877)
    """

    n_latent: int

    def __post_init__(self) -> None:
        checks.width(self.n_latent, "n_latent")

    @property
    def n_head(self) -> int:
        """L + L (L + 1) / 2: mu and a triangle."""
        return packed_width(self.n_latent)

    def split(self, head: Array) -> tuple[Array, Array, Array]:
        """Return mu (B, L), log L_ii (B, L) and L below its diagonal (B, L (L - 1) / 2), as views of the head."""
        head = checks.look(head, "head", (None, self.n_head))
        n = self.n_latent
        return head[:, :n], head[:, n : 2 * n], head[:, 2 * n :]

    def factor(self, head: Array) -> Array:
        """Return L, shape (B, L, L)."""
        _, log_diagonal, below = self.split(head)
        L = np.zeros((len(head), self.n_latent, self.n_latent), log_diagonal.dtype)
        diagonal = np.arange(self.n_latent)
        with np.errstate(over="ignore"):
            L[:, diagonal, diagonal] = np.exp(log_diagonal)
        L[:, *np.tril_indices(self.n_latent, -1)] = below
        errors.speak_of("L", L, log_diagonal=log_diagonal)
        return L

    def sample(self, params: Array, head: Array, eps: Array) -> tuple[Array, Array, Any]:  # noqa: ARG002
        """Return z, log q(z|x) along the path, and the cache."""
        head = checks.look(head, "head", (None, self.n_head))
        eps = checks.look(eps, "eps", (None, len(head), self.n_latent), head.dtype)
        z, log_q = kernels.full_sample(head, eps)
        errors.speak_of("z", z, log_diagonal=self.split(head)[1])
        return z, log_q, (head, eps)

    def backward(self, params: Array, cache: Any, dz: Array, dlog_q: Array, grads: Array) -> Array:  # noqa: ARG002
        """Return dmu = sum_k dz, dlog L_ii = sum_k (L_ii eps_i dz_i - dlog_q), dL_ij = sum_k dz_i eps_j."""
        eps = cache[1]
        dz = checks.look(dz, "dz", eps.shape, eps.dtype)
        dlog_q = checks.look(dlog_q, "dlog_q", eps.shape[:2], eps.dtype)
        return kernels.full_backward(*cache, dz, dlog_q)

    def slope(self, params: Array, cache: Any) -> Array:  # noqa: ARG002
        """Return d log q / dz = -L^-T eps, shape (K, B, L)."""
        return kernels.full_slope(*cache)

    def log_prob(self, params: Array, head: Array, z: Array) -> Array:  # noqa: ARG002
        """Return log q(z|x), shape (K, B), by one triangular solve each."""
        head = checks.look(head, "head", (None, self.n_head))
        z = checks.look(z, "z", (None, len(head), self.n_latent), head.dtype)
        log_prob = kernels.full_log_prob(head, z)
        errors.speak_of("log q(z|x)", log_prob, log_diagonal=self.split(head)[1])
        return log_prob

    def mean(self, params: Array, head: Array) -> Array:  # noqa: ARG002
        """Return mu."""
        return self.split(head)[0]
