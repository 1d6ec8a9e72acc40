"""Maximum likelihood is least KL from the empirical distribution; and what a larger class of models costs.

With p^ the empirical distribution of x_1, ..., x_n,

    1/n sum_i log p_theta(x_i) = -H(p^, p_theta) = -H(p^) - KL(p^ || p_theta),

and H(p^) does not depend on theta. As n grows p^ goes to p, so the fit goes to the member of the class with the least
KL(p || p_theta). How far from p a fit ends up has two parts: how near the class comes to p (bias), and how far from its
best member n rows leave the fit (variance, about k / 2n for k free parameters).
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array
from minivae.distributions.kl import gaussian_kl

_CLASSES = ("full", "diagonal")


def empirical_distribution(x: Any, n_values: int) -> Array:
    """Return the share of each of the values 0, ..., n_values - 1 among the observations, shape (n_values,).

    Parameters
    ----------
    x : array of integers of shape (n,)
    n_values : int

    Examples
    --------
    >>> empirical_distribution([0, 2, 2, 1], 4)
    array([0.25, 0.25, 0.5 , 0.  ])
    """
    x, n_values = checks.numbers(x, "x"), checks.width(n_values, "n_values")
    checks.size(n_values, "n_values", n_values)
    if x.dtype.kind not in "iu" or x.ndim != 1 or not x.size or x.min() < 0 or x.max() >= n_values:
        raise ValueError(
            f"x must hold integers from 0 to {n_values - 1} in shape (n,), got {checks.shown(x)}. Number the values "
            f"from 0."
        )
    return np.bincount(x.astype(np.int64), minlength=n_values) / len(x)


def entropy(p: Any) -> float:
    """Return H(p) = -sum p log p, nats; 0 log 0 is 0.

    Parameters
    ----------
    p : array
        Probabilities, in any shape: of values, or of the cells of a grid (density times cell).

    Examples
    --------
    >>> round(entropy([0.5, 0.25, 0.25]) / math.log(2), 10)  # bits
    1.5
    """
    p = _probabilities(p, "p")
    inside = p > 0
    return -float((p[inside] * np.log(p[inside])).sum()) + 0.0


def cross_entropy(p: Any, q: Any) -> float:
    """Return H(p, q) = -sum p log q, nats: minus the mean log-likelihood under q where p is empirical.

    Raises
    ------
    ValueError
        If q is 0 where p is not: there it is infinite.

    Examples
    --------
    >>> x, q = np.array([0, 2, 2, 1]), np.array([0.5, 0.2, 0.3])
    >>> bool(abs(cross_entropy(empirical_distribution(x, 3), q) + np.log(q[x]).mean()) < 1e-12)
    True
    """
    p, q = _pair(p, q)
    inside = p > 0
    return -float((p[inside] * np.log(q[inside])).sum()) + 0.0


def kl_divergence(p: Any, q: Any) -> float:
    """Return KL(p || q) = sum p log(p / q) = H(p, q) - H(p), nats.

    Parameters
    ----------
    p, q : array
        Probabilities in one shape.

    Examples
    --------
    >>> round(kl_divergence([0.5, 0.5], [0.25, 0.75]), 6), kl_divergence([0.5, 0.5], [0.5, 0.5])
    (0.143841, 0.0)
    """
    p, q = _pair(p, q)
    inside = p > 0
    return float((p[inside] * np.log(p[inside] / q[inside])).sum())


def kl_from_samples(log_p: Any, log_q: Any) -> tuple[float, float]:
    """Return the estimate mean(log p(x) - log q(x)) of KL(p || q) from draws x of p, and its standard error, nats.

    Parameters
    ----------
    log_p, log_q : array of shape (n,)
        Log-densities at independent draws of p, at least two.

    Examples
    --------
    >>> x = np.random.default_rng(0).standard_normal(10_000)
    >>> kl, error = kl_from_samples(-0.5 * x**2, -0.5 * (x - 1) ** 2)  # exactly 1/2
    >>> bool(abs(kl - 0.5) < 4 * error), round(error, 2)
    (True, 0.01)
    """
    log_p = checks.real(log_p, "log_p", (None,))
    log_q = checks.real(log_q, "log_q", (None,))
    if len(log_p) != len(log_q) or len(log_p) < 2:
        raise ValueError(
            f"log_p and log_q must have one value for each of at least 2 draws, got {len(log_p)} and {len(log_q)}. "
            f"Evaluate both at the same draws."
        )
    ratio = log_p - log_q
    return float(ratio.mean()), float(ratio.std(ddof=1) / math.sqrt(len(ratio)))


@dataclass(frozen=True)
class FitError:
    """The expected KL(p || fit) of a class of models, in its two parts, nats.

    Attributes
    ----------
    bias : float
        KL(p || the best of the class).
    variance : float
        What n rows add to it in the mean.
    """

    bias: float
    variance: float

    @property
    def total(self) -> float:
        """E KL(p || fit)."""
        return self.bias + self.variance


def expected_fit_error(S: Any, n: int, model_class: str = "full") -> FitError:
    """Return E KL(N(m, S) || fit), the fit by maximum likelihood to n rows of N(m, S), exactly.

        variance(full, d) = 1/2 [(n + 1) d / (n - d - 2) - d + sum_{i=1}^d psi((n - i) / 2) + d log(2 / n)]
        variance(diagonal, d) = d variance(full, 1),   bias(diagonal) = 1/2 (sum_j log S_jj - log det S)

    by the expectations of W^-1 and log det W of a Wishart matrix with n - 1 degrees of freedom [1]_. Both
    classes have the best mean in them, and the full one p itself.

    Parameters
    ----------
    S : array of shape (d, d)
        Covariance of the data.
    n : int
        Rows; above d + 2 for "full", above 3 for "diagonal", or the expectation is infinite.
    model_class : str
        Gaussians with a "full" or a "diagonal" covariance.

    References
    ----------
    .. [1] K. V. Mardia, J. T. Kent, J. M. Bibby, "Multivariate analysis", 1979, section 3.4.

    Examples
    --------
    >>> S = np.full((4, 4), 0.5) + 0.5 * np.eye(4)
    >>> [(n, max(("full", "diagonal"), key=lambda c: -expected_fit_error(S, n, c).total)) for n in (10, 20, 40)]
    [(10, 'diagonal'), (20, 'full'), (40, 'full')]
    """
    L, model_class = _factor(S), checks.choice(model_class, _CLASSES, "model_class")
    S, d, n = L @ L.T, len(L), checks.width(n, "n")
    k = d if model_class == "full" else 1
    if n <= k + 2:
        raise ValueError(f"n must be above {k + 2}, got {n}: below, the expected KL is infinite. Use more rows.")
    if model_class == "full":
        return FitError(0.0, _variance(n, d))
    return FitError(0.5 * float(np.log(np.diag(S)).sum()) - float(np.log(np.diag(L)).sum()), d * _variance(n, 1))


def fit_errors(S: Any, n: int, model_class: str, n_fits: int, rng: np.random.Generator) -> Array:
    """Return KL(N(0, S) || fit) of each of n_fits fits to n rows of N(0, S), shape (n_fits,), nats.

    Their mean is measured what ``expected_fit_error`` says.

    Examples
    --------
    >>> errors = fit_errors(np.eye(2), 20, "diagonal", 500, np.random.default_rng(0))
    >>> exact = expected_fit_error(np.eye(2), 20, "diagonal").total
    >>> bool(abs(errors.mean() - exact) < 4 * errors.std() / 500**0.5)
    True
    """
    L, model_class = _factor(S), checks.choice(model_class, _CLASSES, "model_class")
    d, n, n_fits, rng = len(L), checks.width(n, "n"), checks.width(n_fits, "n_fits"), checks.generator(rng)
    least = d if model_class == "full" else 1
    if n <= least:
        raise ValueError(f"n must be above {least}, got {n}: the fitted covariance would be singular. Use more rows.")
    checks.size(n_fits * n * d, "n and n_fits", (n, n_fits))
    x = rng.standard_normal((n_fits, n, d)) @ L.T
    means = x.mean(axis=1)
    x -= means[:, None]
    fitted = np.einsum("fni,fnj->fij", x, x) / n
    if model_class == "diagonal":
        fitted *= np.eye(d)
    truth = np.broadcast_to(L, fitted.shape)
    return gaussian_kl(np.zeros_like(means), truth, means, np.linalg.cholesky(fitted))


def _variance(n: int, d: int) -> float:
    from scipy.special import digamma  # a tenth of a second that only this needs

    log_det = float(digamma((n - np.arange(1, d + 1)) / 2).sum()) + d * math.log(2 / n)
    return 0.5 * ((n + 1) * d / (n - d - 2) - d + log_det)


def _factor(S: Any) -> Array:
    """Return the Cholesky factor of a covariance, or refuse a matrix that is none."""
    S = checks.covariance(S).astype(np.float64)
    if np.allclose(S, S.T, rtol=1e-8, atol=0):
        try:
            return np.linalg.cholesky(S)
        except np.linalg.LinAlgError:
            pass
    least = float(np.linalg.eigvalsh(0.5 * (S + S.T))[0])
    raise ValueError(
        f"S must be symmetric and positive definite, got one with {least:.3g} as its least eigenvalue. Use "
        f"covariance(x) of more rows than columns."
    )


def _probabilities(p: Any, name: str) -> Array:
    p = checks.real(p, name)
    if not p.size or not (p >= 0).all() or not abs(p.sum() - 1) < 1e-6:
        got = f"{p.min():g} as the least and {p.sum():.6g} as the sum" if p.size else "none"
        raise ValueError(f"{name} must hold probabilities that sum to 1, got {got}. Divide it by its sum.")
    return p


def _pair(p: Any, q: Any) -> tuple[Array, Array]:
    p, q = _probabilities(p, "p"), _probabilities(q, "q")
    if p.shape != q.shape:
        raise ValueError(f"p and q must have one shape, got {p.shape} and {q.shape}. Use one grid for both.")
    if (q[p > 0] == 0).any():
        raise ValueError(
            f"q must be above 0 wherever p is, got 0 where p is {p[(q == 0) & (p > 0)].max():g}: the cross-entropy is "
            f"infinite. Smooth q."
        )
    return p, q
