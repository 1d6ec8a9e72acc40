"""Mean-field coordinate ascent (CAVI): each factor in turn takes the best form at the others, exp(E[log p(x, z)]).

The fixed points and the rates at which the iterates reach them have closed forms here:

    regression     means exact, variances 1 / P_jj <= (P^-1)_jj, a sweep is one of Gauss and Seidel on P m = h
    Normal-Gamma   E tau exact, the variances of mu and tau too small, the error of the rate times 1 / (2 a) a sweep

References
----------
C. M. Bishop, "Pattern recognition and machine learning", 2006, section 10.1; D. MacKay, "Information theory, inference,
and learning algorithms", 2003, chapter 33.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from minivae.classical.bayesian_linear import BayesianLinear
from minivae.classical.normal_gamma import UnknownNormal
from minivae.core import checks
from minivae.core.arrays import Array
from minivae.core.kernels.compiled import LOG_2PI


@dataclass(frozen=True)
class LinearFactors:
    """q(w) = prod_j N(w_j; mean_j, variance_j) for a Bayesian linear regression.

    Attributes
    ----------
    mean, variance : array of shape (d,)
    elbo : float
        Nats.
    """

    mean: Array
    variance: Array
    elbo: float

    @property
    def moments(self) -> tuple[Array, Array]:
        """Means and variances of the weights."""
        return self.mean, self.variance


@dataclass(frozen=True)
class NormalGammaFactors:
    """q(mu) q(tau) = N(mu; mean, variance) Gamma(tau; shape, rate).

    Attributes
    ----------
    mean, variance, shape, rate, elbo : float
    """

    mean: float
    variance: float
    shape: float
    rate: float
    elbo: float

    @property
    def moments(self) -> tuple[Array, Array]:
        """Means and variances of mu and log tau."""
        from scipy.special import digamma, polygamma

        mean = np.array([self.mean, digamma(self.shape) - math.log(self.rate)])
        return mean, np.array([self.variance, float(polygamma(1, self.shape))])


def cavi_linear(model: BayesianLinear, start: Any = None) -> Iterator[LinearFactors]:
    """Yield the iterates of mean-field coordinate ascent for a regression, the start first, without end.

        m_j <- (h_j - sum_{k != j} P_jk m_k) / P_jj,   h = noise Phi^T y;   variance_j = 1 / P_jj at once

    Parameters
    ----------
    model : BayesianLinear
    start : array of shape (d,), optional
        Means to start from; zeros unless given.

    Examples
    --------
    >>> model = BayesianLinear([[1.0, 0.0], [1.0, 1.0]], [1.0, 2.0], 1.0, 1.0)
    >>> steps = cavi_linear(model)
    >>> [next(steps).mean.round(6).tolist() for _ in range(3)]
    [[0.0, 0.0], [1.0, 0.5], [0.833333, 0.583333]]
    """
    P, d = _regression(model).precision, model.n_latent
    mean = np.zeros(d) if start is None else checks.real(start, "start", (d,)).copy()
    h = model.noise * model.features.T @ model.y
    while True:
        yield _factors(model, mean.copy())
        for j in range(d):
            mean[j] += (h[j] - P[j] @ mean) / P[j, j]


def mean_field_linear(model: BayesianLinear) -> LinearFactors:
    """Return where ``cavi_linear`` ends: the exact means, and variances 1 / P_jj.

    Its gap to log p(y) is (sum_j log P_jj - log det P) / 2; for two weights -log(1 - rho^2) / 2, rho their correlation.
    """
    return _factors(_regression(model), model.mean)


def cavi_linear_rate(model: BayesianLinear) -> float:
    """Return the factor by which the error falls in a sweep: the largest |eigenvalue| of (D + L)^-1 U, P = D + L + U.

    For two weights it is rho^2.
    """
    P = _regression(model).precision
    lower = np.tril(P)
    return float(np.abs(np.linalg.eigvals(np.linalg.solve(lower, P - lower))).max())


def cavi_normal(model: UnknownNormal, rate: float = 1.0) -> Iterator[NormalGammaFactors]:
    """Yield the iterates of mean-field coordinate ascent for a normal with unknown mean and precision, without end.

        q(mu) = N(m, 1 / (lambda E tau)),   q(tau) = Gamma(a, b),   a = a_N + 1/2,   b <- b_N + lambda Var_q(mu) / 2

    Parameters
    ----------
    model : UnknownNormal
    rate : float
        b to start from.

    Examples
    --------
    >>> from minivae.classical.normal_gamma import NormalGamma
    >>> steps = cavi_normal(UnknownNormal([1.2, -0.4, 0.7, 2.1, 0.3], NormalGamma(0.0, 1.0, 2.0, 1.0)))
    >>> [round(next(steps).rate, 6) for _ in range(4)]
    [1.0, 3.1275, 3.34025, 3.361525]
    """
    exact = _normal(model).posterior
    shape, b = exact.shape + 0.5, checks.number(rate, "rate", low=0, high=1e100)
    while True:
        variance = b / (exact.count * shape)
        yield NormalGammaFactors(exact.mean, variance, shape, b, _elbo(model, variance, shape, b))
        b = exact.rate + 0.5 * exact.count * variance


def mean_field_normal(model: UnknownNormal) -> NormalGammaFactors:
    """Return where ``cavi_normal`` ends: b = 2 a b_N / (2 a - 1).

    Then E tau = a_N / b_N is exact, Var_q tau / Var tau = a_N / (a_N + 1/2) and Var_q mu / Var mu = (a_N - 1) / a_N.
    The gap to log p(x) depends on a_N alone: log Gamma(a_N) - log Gamma(a) + a_N log(a / a_N) + (log a - 1) / 2.
    """
    exact = _normal(model).posterior
    shape = exact.shape + 0.5
    b = 2 * shape * exact.rate / (2 * shape - 1)
    variance = b / (exact.count * shape)
    return NormalGammaFactors(exact.mean, variance, shape, b, _elbo(model, variance, shape, b))


def cavi_normal_rate(model: UnknownNormal) -> float:
    """Return the factor by which the error of b falls in a sweep: 1 / (2 a), a = a_N + 1/2."""
    return 1 / (2 * _normal(model).posterior.shape + 1)


def _factors(model: BayesianLinear, mean: Array) -> LinearFactors:
    """ELBO = log p(y, mean) - 1/2 sum_j P_jj variance_j + 1/2 sum_j log(2 pi e variance_j)."""
    variance = 1 / np.diag(model.precision)
    entropy = 0.5 * float((LOG_2PI + 1 + np.log(variance)).sum())
    return LinearFactors(mean, variance, float(model.log_joint(mean[None])[0]) - 0.5 * len(mean) + entropy)


def _elbo(model: UnknownNormal, variance: float, shape: float, rate: float) -> float:
    """ELBO = log p(x) - KL(q || p(mu, tau | x)), the expectations of log tau, tau and (mu - m)^2 under q put in."""
    from scipy.special import digamma

    p = model.posterior
    tau, log_tau = shape / rate, float(digamma(shape)) - math.log(rate)
    log_p = 0.5 * (math.log(p.count) - LOG_2PI) + p.shape * math.log(p.rate) - math.lgamma(p.shape)
    log_p += (p.shape - 0.5) * log_tau - tau * (p.rate + 0.5 * p.count * variance)
    log_q = shape * math.log(rate) - math.lgamma(shape) + (shape - 1) * log_tau - shape
    return model.log_evidence + log_p - log_q + 0.5 * (LOG_2PI + 1 + math.log(variance))


def _regression(model: Any) -> BayesianLinear:
    if not isinstance(model, BayesianLinear):
        raise ValueError(
            f"model must be a BayesianLinear, got {checks.shown(model)}. Use BayesianLinear(features, y, 1.0, 1.0)."
        )
    return model


def _normal(model: Any) -> UnknownNormal:
    if not isinstance(model, UnknownNormal):
        raise ValueError(f"model must be an UnknownNormal, got {checks.shown(model)}. Use UnknownNormal(x, prior).")
    return model
