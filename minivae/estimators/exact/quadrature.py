"""Exact means and variances of the gradient estimators on any cost of one or two variables, by quadrature."""

from typing import Any

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array
from minivae.distributions.nodes import normal_nodes
from minivae.estimators.costs import Cost, values
from minivae.estimators.exact.costs import weight_square
from minivae.estimators.exact.settling import Expectation, Grid, settled
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


def quadrature_moments(
    estimator: CostEstimator | str, cost: Cost, mu: Any, sigma: Any, n_draws: int | None = None
) -> Moments | None:
    """Return the exact mean and variance of one row of an estimator, each of shape (2, D): d/dmu, d/dsigma.

    The integrals over the noise are sums over nodes; with z = mu + sigma eps and the scores s of both parameters:

        mean            E[f s] for every estimator: it needs the values of f alone, so a derivative that is not that
                        of f shows as a pathwise estimate that is off
        one draw        E g^2 - (E g)^2 of pathwise, score and importance rows; c of a baseline is E f, E[f s^2] / E s^2
        several draws   the mean baseline's, and what ``exact_moments`` adds for leave-one-out and moving averages
        measure-valued  E g^2 over the two densities and the other coordinate, - mean^2

    The nodes get finer and reach farther out until three answers in a row agree to 1e-4 of a standard deviation; where
    the cost is smooth, the last of them is then right to ten digits or so.

    Parameters
    ----------
    estimator : CostEstimator or str
    cost : Cost
    mu, sigma : array of shape (D,), or a number
    n_draws : int, optional
        How many draws follow one another where a moving average starts, as in ``exact_moments``.

    Returns
    -------
    Moments or None
        None where D is more than 2, where the answers do not agree (the cost jumps, or there is no variance), and
        where the cost has no finite value far out.

    Examples
    --------
    >>> from minivae.estimators.costs import FunctionCost
    >>> cost = FunctionCost(lambda z: np.abs(z[:, 0]))
    >>> quadrature_moments("score", cost, 0.0, 1.0).mean.ravel().round(4)  # d/dsigma of sigma sqrt(2 / pi)
    array([0.    , 0.7979])
    """
    estimator = named_estimator(estimator)
    problem = Expectation.of(cost, mu, sigma)
    if isinstance(estimator, MeasureValued):
        return settled(lambda grid: _measure_valued(estimator, problem, grid), problem, estimator.coupled)
    if isinstance(estimator, Pathwise | ScoreFunction | ImportanceScore | LeaveOneOutScore | MovingAverageScore):
        return settled(lambda grid: _of_rows(estimator, problem, n_draws, grid), problem)
    return None


def quadrature_baseline(rule: str, cost: Cost, mu: Any, sigma: Any) -> Array | None:
    """Return c of the score function's rule "mean" or "optimal" for each parameter, shape (2, D); None as above.

        E f,   or   c* = E[f s^2] / E[s^2]

    Examples
    --------
    >>> from minivae.estimators.costs import Quadratic
    >>> quadrature_baseline("optimal", Quadratic(3.0), 1.0, 1.0).ravel().round(9)
    array([7., 9.])
    """
    checks.choice(rule, ("mean", "optimal"), "rule")
    problem = Expectation.of(cost, mu, sigma)

    def at(grid: Grid) -> Moments:
        f, score = problem.at(grid)
        c = _constant(rule, f, score, grid.w)
        return Moments(c, np.tensordot(grid.w, (f[:, None, None] - c) ** 2, 1))

    found = settled(at, problem)
    return None if found is None else found.mean


def _constant(rule: str, f: Array, score: Array, w: Array) -> Array:
    """E f, or E[f s^2] / E[s^2], for each parameter, shape (2, D)."""
    weights = np.ones_like(score) if rule == "mean" else score**2
    return np.tensordot(w * f, weights, 1) / np.tensordot(w, weights, 1)


def _of_rows(estimator: CostEstimator, problem: Expectation, n_draws: int | None, grid: Grid) -> Moments:
    """Return the moments of rows that nodes can stand in for, and of those of several draws by what these add."""
    f, score = problem.at(grid)
    mean_f = float(grid.w @ f)
    mean = np.tensordot(grid.w * (f - mean_f), score, 1)
    if isinstance(estimator, LeaveOneOutScore | MovingAverageScore):
        variance = _variance(problem.rows(ScoreFunction(mean_f), grid), grid.w)
        spread = grid.w @ (f - mean_f) ** 2  # Var f
        if isinstance(estimator, LeaveOneOutScore):
            excess = leave_one_out_excess(spread, problem.information, mean**2, estimator.n_group)
            return Moments(mean, variance + excess)
        first = _variance(problem.rows(ScoreFunction(), grid), grid.w)  # which has no earlier draw
        return Moments(mean, _moving_average(estimator.decay, n_draws, first, variance, spread * problem.information))
    if isinstance(estimator, ScoreFunction) and str(estimator.baseline) in ("mean", "optimal"):
        estimator = ScoreFunction(_constant(str(estimator.baseline), f, score, grid.w))
    return Moments(mean, _variance(problem.rows(estimator, grid), grid.w))


def _moving_average(decay: float, n_draws: int | None, first: Array, settled: Array, noise: Array) -> Array:
    """Return the variance of a row of n_draws that follow one another, as in ``exact_moments``."""
    if n_draws is None:
        return settled + noise * (1 - decay) / (1 + decay)
    later = settled + noise * weight_square(decay, checks.width(n_draws, "n_draws"))
    return (first + (n_draws - 1) * later) / n_draws


def _variance(rows: Array, w: Array) -> Array:
    """Variance of each component under the weights; what rounding alone makes of equal rows is none."""
    variance = np.tensordot(w, (rows - np.tensordot(w, rows, 1)) ** 2, 1)
    return np.where(variance > 1e-26 * np.tensordot(w, rows**2, 1), variance, 0.0)


def _measure_valued(estimator: MeasureValued, problem: Expectation, grid: Grid) -> Moments:
    """E g^2 - mean^2: products of f at both draws, integrated over them and over the other coordinate."""
    step, far, n_latent = grid.step, grid.far, len(problem.mu)
    values_at_nodes, score = problem.at(grid)
    centre = grid.w @ values_at_nodes  # the differences do not see it, and have fewer digits to lose without
    mean = np.tensordot(grid.w * (values_at_nodes - centre), score, 1)
    others, v = normal_nodes(n_latent - 1, step, far) if n_latent > 1 else (np.zeros((1, 1, 0)), np.ones(1))
    m, normal = normal_nodes(1, step, far)
    m, maxwell = m.ravel(), normal * m.ravel() ** 2
    w, rayleigh = _legendre(2 * far / step, far)
    rayleigh = rayleigh * w * np.exp(-(w**2) / 2)
    u, du = _legendre(max(32.0, 0.5 * far / step), 1.0)
    square = np.empty((2, n_latent))
    for i in range(n_latent):

        def f(shift: Array, rest: Array = others, i: int = i) -> Array:
            """f where coordinate i is shifted and the others are at their nodes: (nodes of others, shifts)."""
            eps = np.insert(np.repeat(rest[:, 0], shift.size, axis=0), i, np.tile(shift.ravel(), len(rest)), axis=1)
            f = values(problem.cost, problem.mu + problem.sigma * eps) - centre
            return f.reshape(len(rest), *shift.shape)

        plus, minus, at_m = f(w), f(-w), f(m)
        if estimator.coupled:  # one w for both, and n = m u
            at_mu = v @ ((plus - minus) ** 2 @ rayleigh)
            at_n = np.concatenate([f(np.multiply.outer(m, u), rest[None]) @ du for rest in others])
            cross = v @ ((at_m * at_n) @ maxwell)
        else:
            at_mu = v @ ((plus**2 + minus**2) @ rayleigh - 2 * (plus @ rayleigh) * (minus @ rayleigh))
            cross = v @ ((at_m @ maxwell) * (at_m @ normal))
        square[:, i] = at_mu / (2 * np.pi), v @ (at_m**2 @ (maxwell + normal)) - 2 * cross
    variance = square / problem.sigma**2 - mean**2
    return Moments(mean, np.where(variance > 1e-13 * mean**2, variance, 0.0))


def _legendre(n: float, high: float) -> tuple[Array, Array]:
    """Nodes and weights on [0, high]: n or a few more, in panels of 16 after Gauss and Legendre."""
    x, w = np.polynomial.legendre.leggauss(16)
    width = high / np.ceil(n / 16)
    starts = width * np.arange(np.ceil(n / 16))
    return np.add.outer(starts, width * (x + 1) / 2).ravel(), np.tile(width * w / 2, len(starts))
