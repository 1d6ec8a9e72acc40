"""A mixture of Gaussians whose posterior over components is known: log p(x), responsibilities, free energy, draws."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array
from minivae.core.kernels.compiled import LOG_2PI


@dataclass(frozen=True)
class GaussianMixture:
    """p(x) = sum_k w_k N(x; m_k, S_k): the latent-variable model with one latent, the component.

    Parameters
    ----------
    weights : array of shape (K,)
        Positive, of sum 1.
    means : array of shape (K, d)
    covariances : array of shape (K, d, d) or (K, d)
        Full covariances, or the variances where they are diagonal.

    Raises
    ------
    ValueError
        If the shapes do not fit, the weights are no probabilities, or a covariance is singular.

    References
    ----------
    C. M. Bishop, "Pattern recognition and machine learning", 2006, section 9.2.

    Examples
    --------
    >>> two = GaussianMixture([0.5, 0.5], [[-1.0], [1.0]], [[1.0], [1.0]])
    >>> two.responsibilities(np.array([[0.0], [0.5]])).round(10)
    array([[0.5       , 0.5       ],
           [0.26894142, 0.73105858]])
    """

    weights: Array
    means: Array
    covariances: Array

    def __post_init__(self) -> None:
        weights, means = checks.real(self.weights, "weights", (None,)), checks.real(self.means, "means", (None, None))
        covariances = checks.real(self.covariances, "covariances")
        n, d = means.shape
        if len(weights) != n or covariances.shape not in ((n, d, d), (n, d)):
            raise ValueError(
                f"weights, means and covariances must have shapes (K,), (K, d) and (K, d, d) or (K, d), got "
                f"{weights.shape}, {means.shape} and {covariances.shape}. Give one row for each component."
            )
        if not (weights > 0).all() or not abs(weights.sum() - 1) < 1e-6:
            raise ValueError(
                f"weights must be positive and sum to 1, got {weights.min():g} as the least and {weights.sum():.6g} "
                f"as the sum. Divide them by their sum, and leave out components without weight."
            )
        roots = np.sqrt(np.maximum(covariances, 0)) if covariances.ndim == 2 else _roots(covariances)
        scales = roots if covariances.ndim == 2 else np.diagonal(roots, axis1=1, axis2=2)
        if not (scales > 0).all():
            raise ValueError(
                f"covariances must be positive definite, got a singular one for component "
                f"{int(np.argmin(scales.min(axis=1)))}. Raise its variances."
            )
        for name, value in (("weights", weights), ("means", means), ("covariances", covariances), ("_roots", roots)):
            object.__setattr__(self, name, value)

    @property
    def n_components(self) -> int:
        """K."""
        return len(self.weights)

    def log_joint(self, x: Any) -> Array:
        """Return log w_k + log N(x_n; m_k, S_k), shape (n, K).

        Parameters
        ----------
        x : array of shape (n, d)
        """
        x = self._rows(x)
        apart = x[None] - self.means[:, None]  # (K, n, d)
        roots: Array = self._roots  # type: ignore[attr-defined]
        if roots.ndim == 2:
            scaled, log_det = apart / roots[:, None], np.log(roots).sum(axis=1)
        else:
            scaled = np.linalg.solve(roots, apart.transpose(0, 2, 1)).transpose(0, 2, 1)
            log_det = np.log(np.diagonal(roots, axis1=1, axis2=2)).sum(axis=1)
        log_normal = -0.5 * (np.square(scaled).sum(axis=2) + x.shape[1] * LOG_2PI) - log_det[:, None]
        return (np.log(self.weights)[:, None] + log_normal).T

    def log_prob(self, x: Any) -> Array:
        """Return log p(x), shape (n,), nats.

        >>> round(GaussianMixture([1.0], [[0.0]], [[1.0]]).log_prob([[0.0]]).item(), 10)
        -0.9189385332
        """
        return np.logaddexp.reduce(self.log_joint(x), axis=1)

    def responsibilities(self, x: Any) -> Array:
        """Return r_nk = p(component k | x_n), shape (n, K): the exact posterior, the E-step of EM."""
        joint = self.log_joint(x)
        return np.exp(joint - np.logaddexp.reduce(joint, axis=1, keepdims=True))

    def free_energy(self, x: Any, r: Any) -> float:
        """Return the ELBO of any responsibilities, summed over the rows, nats.

            F(r) = sum_nk r_nk [log w_k N(x_n; m_k, S_k) - log r_nk] = sum_n log p(x_n) - KL(r_n || p(k | x_n))

        Parameters
        ----------
        x : array of shape (n, d)
        r : array of shape (n, K)
            Not negative, each row of sum 1.

        Examples
        --------
        >>> two, x = GaussianMixture([0.5, 0.5], [[-1.0], [1.0]], [[1.0], [1.0]]), np.array([[0.5], [2.0]])
        >>> gap = two.log_prob(x).sum() - two.free_energy(x, two.responsibilities(x))
        >>> bool(abs(gap) < 1e-12)
        True
        """
        joint = self.log_joint(x)
        r = shares(r, joint.shape)
        inside = r > 0  # 0 log 0 = 0
        return float((r[inside] * (joint[inside] - np.log(r[inside]))).sum())

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Draw n rows: a component, then x in it; shape (n, d)."""
        n, rng = checks.width(n, "n"), checks.generator(rng)
        checks.size(n * self.means.shape[1], "n", n)
        chosen = rng.choice(self.n_components, n, p=self.weights / self.weights.sum())
        eps = rng.standard_normal((n, self.means.shape[1]))
        roots: Array = self._roots[chosen]  # type: ignore[attr-defined]
        return self.means[chosen] + (roots * eps if roots.ndim == 2 else np.einsum("nij,nj->ni", roots, eps))

    def _rows(self, x: Any) -> Array:
        return checks.squarable(checks.data(x, self.means.shape[1], np.dtype(np.float64)))


def shares(r: Any, shape: tuple[int, int]) -> Array:
    """Return responsibilities of shape (n, K), or say why they are none."""
    r = checks.real(r, "r")
    if r.shape != shape:
        raise ValueError(f"r must have shape {shape}, one row for each row of x, got {r.shape}. Make them fit.")
    if not (r >= 0).all() or not (np.abs(r.sum(axis=1) - 1) < 1e-6).all():
        raise ValueError(
            f"r must hold one distribution over components a row, got {r.min():g} as the least entry and row sums from "
            f"{r.sum(axis=1).min():.6g} to {r.sum(axis=1).max():.6g}. Divide each row by its sum."
        )
    return r


def _roots(covariances: Array) -> Array:
    """Return lower Cholesky factors of full covariances; of a singular one zeros."""
    roots = np.zeros_like(covariances)
    for k, S in enumerate(covariances):
        if not np.allclose(S, S.T, rtol=1e-8, atol=0):
            raise ValueError(
                f"covariances must be symmetric, got one that is not for component {k}. Use (S + S.T) / 2."
            )
        try:
            roots[k] = np.linalg.cholesky(S)
        except np.linalg.LinAlgError:
            continue
    return roots
