"""Exact means and variances of the gradient estimators on costs that are sums over the coordinates."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array
from minivae.estimators.costs import Cost, SeparableCost, known
from minivae.estimators.moments import Moments, leave_one_out_excess
from minivae.estimators.on_costs import (
    CostEstimator,
    ImportanceScore,
    LeaveOneOutScore,
    MeasureValued,
    MovingAverageScore,
    Pathwise,
    ScoreFunction,
    named_estimator,
)


def exact_moments(
    estimator: CostEstimator | str, cost: Cost, mu: Any, sigma: Any, n_draws: int | None = None
) -> Moments | None:
    """Return the exact mean and variance of one row of an estimator, each of shape (2, D): d/dmu, d/dsigma.

    With f = h_i + R, where R = sum_(j != i) h_j is independent of coordinate i, everything follows from moments of h:

        pathwise        E h'^2, E h'^2 eps^2
        score           E (f - c)^2 s^2 = Var_opt + (c - c*)^2 E s^2,  plus the squared mean
        leave-one-out   the mean baseline's, + Var f E s^2 / (K - 1), + mean^2 / (K - 1) from the shared draws
        moving average  the mean baseline's, + Var f E s^2 sum_i w_i^2 for each draw
        importance      E w^2 f^2 s^2, again a Gaussian mean: of spread tau, 1 / tau^2 = 2 / sigma^2 - 1 / proposal^2
        measure-valued  one-dimensional integrals, as R cancels; taken numerically (to about 1e-10)

    Parameters
    ----------
    estimator : CostEstimator or str
    cost : Cost
    mu, sigma : array of shape (D,), or a number
    n_draws : int, optional
        How many draws follow one another where a moving average starts; as many as it takes to forget its start
        unless given.

    Returns
    -------
    Moments or None
        None where the cost has no closed form.

    References
    ----------
    S. Mohamed, M. Rosca, M. Figurnov, A. Mnih, "Monte Carlo gradient estimation in machine learning", 2020; the
    closed forms are derived here.

    Examples
    --------
    >>> from minivae.estimators.costs import Quadratic
    >>> exact_moments("pathwise", Quadratic(3.0), 1.0, 1.0).variance.ravel()
    array([ 4., 24.])
    >>> exact_moments("score-optimal", Quadratic(3.0), 1.0, 1.0).variance.ravel()
    array([ 38., 184.])
    """
    estimator = named_estimator(estimator)
    mu, sigma = checks.location(mu, sigma)
    n_draws = None if n_draws is None else checks.width(n_draws, "n_draws")
    cost = known(cost)
    if not isinstance(cost, SeparableCost):
        return None
    mean = _gradient(cost, mu, sigma)
    if isinstance(estimator, Pathwise):
        m0, m2 = (cost.slope_moment(n, mu, sigma) for n in (0, 2))
        square = np.stack([m0, m2 / sigma**2])
    elif isinstance(estimator, ScoreFunction):
        square = _score_square(cost, mu, sigma, sigma, estimator.constants(cost, mu, sigma))
    elif isinstance(estimator, ImportanceScore):
        r = estimator.scale
        shrunk = r / math.sqrt(2 * r**2 - 1)  # E[w^2 g] = (r shrunk)^D E[g] under N(mu, (shrunk sigma)^2)
        square = _score_square(cost, mu, sigma, shrunk * sigma, 0.0) * (r * shrunk) ** len(mu)
    elif isinstance(estimator, LeaveOneOutScore | MovingAverageScore):
        square = _score_square(cost, mu, sigma, sigma, cost.mean(mu, sigma))
        information = np.array([[1.0], [2.0]]) / sigma**2  # E s^2
        variance = float(_variance(cost, mu, sigma).sum())
        spread = information * variance
        if isinstance(estimator, LeaveOneOutScore):
            square = square + leave_one_out_excess(variance, information, mean**2, estimator.n_group)
        elif n_draws is None:
            square = square + spread * (1 - estimator.decay) / (1 + estimator.decay)
        else:
            first = _score_square(cost, mu, sigma, sigma, 0.0)  # which has no earlier draw
            later = square + spread * weight_square(estimator.decay, n_draws)
            square = (first + (n_draws - 1) * later) / n_draws
    elif isinstance(estimator, MeasureValued):
        columns = [_measure_valued_square(cost, m, s, estimator.coupled) for m, s in zip(mu, sigma, strict=True)]
        square = np.stack(columns, axis=1)
    else:
        return None
    return Moments(mean, np.maximum(square - mean**2, 0.0))


def variance_crossings(
    costs: Callable[[float], Cost],
    mu: float,
    sigma: float,
    low: float,
    high: float,
    *,
    estimators: tuple[CostEstimator | str, CostEstimator | str] = ("score", "pathwise"),
    n_grid: int = 400,
) -> tuple[list[float], list[float]]:
    """Return the k in [low, high] at which two estimators have the same variance: for d/dmu, and for d/dsigma.

    Parameters
    ----------
    costs : callable
        Gives the cost of a k, such as ``Cosine``.
    mu, sigma : float
    low, high : float
    estimators : pair of CostEstimator or str
    n_grid : int
        Number of intervals searched for a change of sign; crossings closer together than that may be missed.

    Raises
    ------
    ValueError
        If the cost has no closed form, or the interval is empty.

    Examples
    --------
    >>> from minivae.estimators.costs import Exponential
    >>> at_mu, at_sigma = variance_crossings(Exponential, mu=1.0, sigma=1.0, low=0.1, high=3.0)
    >>> [round(k, 3) for k in at_mu + at_sigma]  # below them pathwise is the better one, above them the score function
    [0.87, 1.003]
    """
    from scipy.optimize import brentq

    checks.function(costs, "costs", "Pass a class such as Cosine.")
    low, high = (checks.number(value, name, low=-math.inf) for name, value in (("low", low), ("high", high)))
    checks.number(mu, "mu", low=-math.inf)
    checks.number(sigma, "sigma", low=0)
    checks.width(n_grid, "n_grid")
    if not isinstance(estimators, (tuple, list)) or len(estimators) != 2:
        raise ValueError(
            f"estimators must be two estimators, got {checks.shown(estimators)}. For example ('score', 'pathwise')."
        )
    if not low < high:
        raise ValueError(f"low must be below high, got {low} and {high}. Give the interval of k to search.")

    def difference(k: float, parameter: int) -> float:
        moments = [exact_moments(e, costs(k), mu, sigma) for e in estimators]
        if moments[0] is None or moments[1] is None:
            raise ValueError(f"costs must have a closed form, got {costs(k)!r}. Use Quadratic, Exponential or Cosine.")
        return float(moments[0].variance[parameter, 0] - moments[1].variance[parameter, 0])

    grid = np.linspace(low, high, n_grid + 1)
    found: tuple[list[float], list[float]] = ([], [])
    for parameter, roots in enumerate(found):
        signs = np.array([difference(k, parameter) for k in grid])
        for i in np.flatnonzero(signs[:-1] * signs[1:] < 0):
            roots.append(float(brentq(difference, grid[i], grid[i + 1], (parameter,), xtol=1e-12)))
        roots += grid[signs == 0].tolist()
        roots.sort()
    return found


def _gradient(cost: SeparableCost, mu: Array, sigma: Array) -> Array:
    """(d/dmu, d/dsigma) E f = E[f s], shape (2, D)."""
    m0, m1, m2 = (cost.moment(1, n, mu, sigma) for n in range(3))
    return np.stack([m1 / sigma**2, (m2 / sigma**2 - m0) / sigma])


def _variance(cost: SeparableCost, mu: Array, spread: Array) -> Array:
    """Var h_i, shape (D,)."""
    return cost.moment(2, 0, mu, spread) - cost.moment(1, 0, mu, spread) ** 2


def _score_square(cost: SeparableCost, mu: Array, sigma: Array, spread: Array, c: Array | float) -> Array:
    """E[(h_i + R - c)^2 s_i^2] under N(mu, diag spread^2), shape (2, D)."""
    s2, hs2, h2s2 = (cost.score_square(power, mu, sigma, spread) for power in (0, 1, 2))
    mean, variance = cost.moment(1, 0, mu, spread), _variance(cost, mu, spread)
    rest = mean.sum() - mean - c
    return h2s2 + 2 * rest * hs2 + (rest**2 + variance.sum() - variance) * s2


def weight_square(decay: float, n_draws: int) -> float:
    """Mean over draws 2, ..., n_draws of sum w_i^2 = (1 - a) (1 + a^n) / ((1 + a) (1 - a^n)), n earlier draws."""
    power = decay ** np.arange(1, n_draws)
    return float(np.mean((1 + power) / (1 - power))) * (1 - decay) / (1 + decay) if n_draws > 1 else 0.0


def _measure_valued_square(cost: SeparableCost, mu: float, sigma: float, coupled: bool) -> Array:
    """E g^2 for d/dmu and d/dsigma of one coordinate, shape (2,)."""
    m, s = np.array([mu]), np.array([sigma])

    def h(shift: Any) -> Any:
        return cost.each(mu + sigma * shift)

    def rayleigh(g: Callable[[float], float]) -> float:
        return _integral(lambda w: g(w) * w * math.exp(-(w**2) / 2), 0.0)

    if coupled:
        at_mu = rayleigh(lambda w: (h(w) - h(-w)) ** 2)
        nodes, weights = np.polynomial.legendre.leggauss(120)
        u, du = (nodes + 1) / 2, weights / 2  # n = m u
        cross = _integral(lambda w: w**2 * math.exp(-(w**2) / 2) * h(w) * float(du @ h(w * u)), -_FAR)
        cross /= math.sqrt(2 * math.pi)
    else:
        squares = rayleigh(lambda w: h(w) ** 2 + h(-w) ** 2)
        at_mu = squares - 2 * rayleigh(h) * rayleigh(lambda w: h(-w))
        cross = (cost.moment(1, 2, m, s) / sigma**2 * cost.moment(1, 0, m, s)).item()
    maxwell, normal = (cost.moment(2, n, m, s).item() / sigma**n for n in (2, 0))
    return np.array([at_mu / (2 * math.pi), maxwell + normal - 2 * cross]) / sigma**2


_FAR = 14.0  # standard deviations, beyond which a Gaussian weighs 1e-43


def _integral(g: Callable[[float], float], low: float) -> float:
    from scipy.integrate import quad

    return float(quad(g, low, _FAR, epsabs=1e-13, epsrel=1e-12, limit=500)[0])
