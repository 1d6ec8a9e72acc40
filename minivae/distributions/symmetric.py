"""The Gaussian posterior by the symmetric square root of its covariance: z = mu + Sigma^(1/2) eps."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from minivae.core import checks, errors, kernels
from minivae.core.arrays import Array
from minivae.core.boxes import NoParameters
from minivae.core.registry import saved
from minivae.distributions.full import packed_width
from minivae.distributions.real import RealPosterior


@saved
@dataclass(frozen=True)
class SymmetricGaussian(RealPosterior, NoParameters):
    """q(z|x) = N(mu, S S), S = exp(A) symmetric and positive definite; the head holds mu, then A.

        z = mu + S eps,   log q(z|x) = log N(eps; 0, I) - tr A

    S is the square root of the covariance Sigma = exp(2 A), and the only one that is symmetric and positive definite.
    The matrix exponential makes every symmetric A a covariance, and log det S a trace. With A = U diag(a) U^T and
    G = sum_k (dz_k eps_k^T + eps_k dz_k^T) / 2,

        dA = U [(U^T G U) o F] U^T - I sum_k dlog_q,   F_ij = (exp(a_i) - exp(a_j)) / (a_i - a_j),  F_ii = exp(a_i).

    The head holds A's diagonal, then what is below it, row by row. A diagonal A is ``DiagonalGaussian`` with
    log_var = 2 A_ii.

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
    N. J. Higham, "Functions of matrices", 2008, theorem 3.11 (the derivative by divided differences).

    Examples
    --------
    >>> q = SymmetricGaussian(2)
    >>> head = np.array([[0.5, -0.5, 0.0, 0.0, np.log(2)]])  # mu, A's diagonal, what is below it
    >>> z, log_q, cache = q.sample(q.init(), head, eps=np.array([[[1.0, 0.0]]]))
    >>> z[0, 0], round(log_q.item(), 6)  # S = [[1.25, 0.75], [0.75, 1.25]]
    (array([1.75, 0.25]), -2.337877)
    """

    n_latent: int

    def __post_init__(self) -> None:
        checks.width(self.n_latent, "n_latent")
        checks.size(self.n_latent**2, "n_latent", self.n_latent)

    @property
    def n_head(self) -> int:
        """L + L (L + 1) / 2: mu and a triangle."""
        return packed_width(self.n_latent)

    @cached_property
    def _places(self) -> Any:
        """Column of the head that holds A_ij, shape (L, L)."""
        n = self.n_latent
        places = np.diag(np.arange(n, 2 * n))
        i, j = np.tril_indices(n, -1)
        places[i, j] = places[j, i] = np.arange(2 * n, self.n_head)
        return places

    def logarithm(self, head: Array) -> tuple[Array, Array, Array]:
        """Return A = log S, shape (B, L, L), its eigenvalues a (B, L) and eigenvectors U (B, L, L)."""
        head = checks.look(head, "head", (None, self.n_head))
        A = head[:, self._places]
        bad = np.asarray(~np.isfinite(A).all(axis=(1, 2)))
        if not bad.any():
            return A, *np.linalg.eigh(A)
        a, U = np.linalg.eigh(np.where(bad[:, None, None], 0, A))  # LAPACK refuses what is not finite
        a[bad] = np.nan
        return A, a, U

    @errors.spoken("a draw of z")
    def sample(self, params: Array, head: Array, eps: Array) -> tuple[Array, Array, Any]:  # noqa: ARG002
        """Return z, log q(z|x) along the path, and the cache."""
        head = checks.look(head, "head", (None, self.n_head))
        eps = checks.look(eps, "eps", (None, len(head), self.n_latent), head.dtype)
        _, a, U = self.logarithm(head)
        z = head[:, : self.n_latent] + _times(eps, _function(np.exp(a), U))
        log_q = _log_normal(eps) - head[:, self.n_latent : 2 * self.n_latent].sum(axis=1)
        return z, log_q, (eps, a, U)

    def backward(self, params: Array, cache: Any, dz: Array, dlog_q: Array, grads: Array) -> Array:  # noqa: ARG002
        """Return dmu = sum_k dz and dA by divided differences, as the class says."""
        eps, a, U = cache
        dz = checks.look(dz, "dz", eps.shape, eps.dtype)
        dlog_q = checks.look(dlog_q, "dlog_q", eps.shape[:2], eps.dtype)
        G = dz.transpose(1, 2, 0) @ eps.transpose(1, 0, 2)  # (B, L, L)
        G = (G + G.transpose(0, 2, 1)) / 2
        Ut = U.transpose(0, 2, 1)
        dA = U @ (Ut @ G @ U * divided_differences(a)) @ Ut
        np.einsum("bii->bi", dA)[...] -= dlog_q.sum(axis=0)[:, None]  # a view of the diagonal
        return packed_gradient(dz.sum(axis=0), dA)

    def slope(self, params: Array, cache: Any) -> Array:  # noqa: ARG002
        """Return d log q / dz = -S^-1 eps, shape (K, B, L)."""
        eps, a, U = cache
        return -_times(eps, _function(np.exp(-a), U))

    @errors.spoken("log q(z|x)")
    def log_prob(self, params: Array, head: Array, z: Array) -> Array:  # noqa: ARG002
        """Return log q(z|x), shape (K, B)."""
        head = checks.look(head, "head", (None, self.n_head))
        z = checks.look(z, "z", (None, len(head), self.n_latent), head.dtype)
        _, a, U = self.logarithm(head)
        u = _times(z - head[:, : self.n_latent], _function(np.exp(-a), U))
        return _log_normal(u) - head[:, self.n_latent : 2 * self.n_latent].sum(axis=1)

    def mean(self, params: Array, head: Array) -> Array:  # noqa: ARG002
        """Return mu."""
        return checks.look(head, "head", (None, self.n_head))[:, : self.n_latent]


def packed_gradient(dmu: Array, dA: Array) -> Array:
    """Return dhead, shape (B, n_head), for dmu (B, L) and a symmetric dA (B, L, L).

    An entry that stands at two places counts twice.
    """
    n = dmu.shape[1]
    dhead = np.empty((len(dmu), packed_width(n)), dmu.dtype)
    dhead[:, :n] = dmu
    dhead[:, n : 2 * n] = np.diagonal(dA, axis1=1, axis2=2)
    dhead[:, 2 * n :] = 2 * dA[:, *np.tril_indices(n, -1)]
    return dhead


def _function(values: Array, U: Array) -> Array:
    """U diag(values) U^T, shape (B, L, L)."""
    return (U * values[:, None, :]) @ U.transpose(0, 2, 1)


def _times(rows: Array, S: Array) -> Array:
    """S_b rows_kb for each draw k and example b, shape (K, B, L); S is symmetric."""
    return np.ascontiguousarray((rows.transpose(1, 0, 2) @ S).transpose(1, 0, 2))


def _log_normal(u: Array) -> Array:
    """log N(u; 0, I), shape (K, B)."""
    return -0.5 * (np.einsum("kbl,kbl->kb", u, u) + u.dtype.type(u.shape[2] * kernels.LOG_2PI))


def divided_differences(a: Array) -> Array:
    """(exp(a_i) - exp(a_j)) / (a_i - a_j), shape (B, L, L); in a form that is exact where the two are near."""
    larger = np.maximum(a[:, :, None], a[:, None, :])
    d = np.abs(a[:, :, None] - a[:, None, :])
    ratio = np.divide(-np.expm1(-d), d, out=np.ones_like(d), where=d > 0)
    return np.exp(larger) * ratio
