"""Gradients of E[f(z)], z ~ N(mu, diag sigma^2), with respect to mu and sigma: one row for each draw.

Every estimator has one signature. ``draw_noise`` draws what is random, of shape (K, n_noise, D); ``gradients`` makes
of it K rows (d/dmu, d/dsigma), whose mean is an unbiased estimate. Noise is an argument, so quadrature nodes can
stand in place of draws.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from minivae.core import checks, errors, kernels
from minivae.core.arrays import Array
from minivae.estimators.costs import Cost, SeparableCost, known, slopes, values
from minivae.estimators.signals import leave_one_out_signal, optimal_baseline

CONSTANTS = ("none", "constant", "mean", "optimal")


class CostEstimator:
    """Base of the estimators; ``n_group`` consecutive rows share draws, and groups are independent."""

    n_group: int = 1
    n_noise: int = 1

    def prepare(self, cost: Cost, mu: Any, sigma: Any, rng: np.random.Generator) -> "CostEstimator":  # noqa: ARG002
        """Return the estimator with all settled that needs draws of its own; most need none."""
        return self

    def draw_noise(self, rng: np.random.Generator, n_draws: int, n_latent: int) -> Array:
        """Return noise of shape (n_draws, n_noise, n_latent): N(0, 1) unless said otherwise."""
        n_draws, n_latent = checks.width(n_draws, "n_draws"), checks.width(n_latent, "n_latent")
        checks.size(n_draws * self.n_noise * n_latent, "n_draws and n_latent", (n_draws, n_latent))
        return checks.generator(rng).standard_normal((n_draws, self.n_noise, n_latent))

    def gradients(self, cost: Cost, mu: Any, sigma: Any, noise: Any) -> Array:
        """Return the rows (d/dmu, d/dsigma), shape (K, 2, D).

        Parameters
        ----------
        cost : Cost
        mu, sigma : array of shape (D,), or a number where D is 1
            sigma is a standard deviation, positive.
        noise : array of shape (K, n_noise, D)

        Raises
        ------
        ValueError
            If an argument has the wrong shape or range, or the cost gives no finite number for a draw.
        """
        cost = known(cost)
        mu, sigma = checks.location(mu, sigma)
        noise = checks.numbers(noise, "noise", "Make it with draw_noise.")
        noise = checks.finite(np.ascontiguousarray(noise, np.float64), "noise")
        if noise.ndim != 3 or not len(noise) or noise.shape[1:] != (self.n_noise, len(mu)):
            raise ValueError(
                f"noise must have shape (draws, {self.n_noise}, {len(mu)}), got {noise.shape}. "
                f"Make it with estimator.draw_noise(rng, n_draws, n_latent={len(mu)})."
            )
        if len(noise) % self.n_group:
            raise ValueError(
                f"noise must hold whole groups of {self.n_group} draws, got {len(noise)} draws. "
                f"Use a multiple of {self.n_group}."
            )
        with np.errstate(over="ignore", invalid="ignore"):
            rows = self._rows(cost, mu, sigma, noise)
        errors.speak_of("the gradient", rows, noise=noise)
        return rows

    def _rows(self, cost: Cost, mu: Array, sigma: Array, noise: Array) -> Array:
        raise NotImplementedError


@dataclass(frozen=True)
class Pathwise(CostEstimator):
    """Differentiate through the draw z = mu + sigma eps: g = f'(z), f'(z) eps (reparameterization).

    Examples
    --------
    >>> from minivae.estimators.costs import Quadratic
    >>> Pathwise().gradients(Quadratic(3.0), mu=1.0, sigma=1.0, noise=np.array([[[0.5]]])).ravel()
    array([-3. , -1.5])
    """

    def _rows(self, cost: Cost, mu: Array, sigma: Array, noise: Array) -> Array:
        eps = noise[:, 0]
        return kernels.pathwise_rows(slopes(cost, mu + sigma * eps), eps)


@dataclass(frozen=True, eq=False)
class ScoreFunction(CostEstimator):
    """Differentiate the density: g = (f(z) - c) s, with the scores s = eps / sigma, (eps^2 - 1) / sigma.

    Parameters
    ----------
    baseline : float, array of shape (2, D), or {"none", "constant", "mean", "optimal"}
        c: a number, one for each parameter, or a rule. "constant" is f(mu); "mean" is E[f]; "optimal" is
        c* = E[f s^2] / E[s^2] of each parameter, which has the least variance. The last two come from the cost's
        closed form where it has one, else from ``n_pilot`` draws of their own, in ``prepare``.
    n_pilot : int

    References
    ----------
    S. Mohamed, M. Rosca, M. Figurnov, A. Mnih, "Monte Carlo gradient estimation in machine learning", 2020.

    Examples
    --------
    >>> from minivae.estimators.costs import Quadratic
    >>> rule = ScoreFunction("mean")  # c = 5, f = 2.25
    >>> rule.gradients(Quadratic(3.0), mu=1.0, sigma=1.0, noise=np.array([[[0.5]]])).ravel()
    array([-1.375 ,  2.0625])
    """

    baseline: float | Array | str = "none"
    n_pilot: int = 1000

    def __post_init__(self) -> None:
        if isinstance(self.baseline, str):
            checks.choice(self.baseline, CONSTANTS, "baseline")
        elif isinstance(self.baseline, bool) or self.baseline is None:
            raise ValueError(
                f"baseline must be finite numbers or one of {', '.join(CONSTANTS)}, got {self.baseline!r}. Use 'none'."
            )
        else:
            shape = checks.real(self.baseline, "baseline").shape
            if shape != () and (len(shape) != 2 or shape[0] != 2):
                raise ValueError(f"baseline must be a number or have shape (2, D), got {shape}. One a gradient.")
        checks.width(self.n_pilot, "n_pilot")

    def prepare(self, cost: Cost, mu: Any, sigma: Any, rng: np.random.Generator) -> "ScoreFunction":
        """Return the estimator with its baseline as numbers, from separate draws where there is no closed form."""
        mu, sigma = checks.location(mu, sigma)
        cost, rng = known(cost), checks.generator(rng)
        settled = not isinstance(self.baseline, str) or self.baseline not in ("mean", "optimal")
        if settled or isinstance(cost, SeparableCost):
            return replace(self, baseline=self.constants(cost, mu, sigma))
        eps = self.draw_noise(rng, self.n_pilot, len(mu))[:, 0]
        f = values(cost, mu + sigma * eps)
        if self.baseline == "mean":
            return replace(self, baseline=np.full((2, len(mu)), f.mean()))
        score = np.stack([eps, eps**2 - 1], axis=1) / sigma  # (n_pilot, 2, D)
        return replace(self, baseline=optimal_baseline(f, score.reshape(len(f), -1)).reshape(2, -1))

    def constants(self, cost: Cost, mu: Array, sigma: Array) -> Array:
        """Return c for each parameter, shape (2, D), where it needs no draws."""
        cost = known(cost)
        mu, sigma = checks.location(mu, sigma)
        shape = (2, len(mu))
        if not isinstance(self.baseline, str):
            c = np.asarray(self.baseline, np.float64)
            if c.shape not in ((), shape):
                raise ValueError(f"baseline must be a number or have shape {shape}, got {c.shape}. One a gradient.")
            return np.array(np.broadcast_to(c, shape))
        if self.baseline == "none":
            return np.zeros(shape)
        if self.baseline == "constant":
            return np.full(shape, values(cost, mu[None]).item())
        if not isinstance(cost, SeparableCost):
            raise ValueError(
                f"baseline must be numbers for a cost without closed form, got {self.baseline!r}. Estimate it from "
                f"separate draws with estimator.prepare(cost, mu, sigma, rng)."
            )
        return np.full(shape, cost.mean(mu, sigma)) if self.baseline == "mean" else cost.optimal_baseline(mu, sigma)

    def _rows(self, cost: Cost, mu: Array, sigma: Array, noise: Array) -> Array:
        eps = noise[:, 0]
        return kernels.score_rows(values(cost, mu + sigma * eps), self.constants(cost, mu, sigma), eps, sigma)


@dataclass(frozen=True)
class LeaveOneOutScore(CostEstimator):
    """Score function in groups of n_group draws, each with the mean f of the others as its baseline.

    The rows of a group are dependent; what counts is the variance of a group's mean.

    Examples
    --------
    >>> from minivae.estimators.costs import Linear
    >>> rows = LeaveOneOutScore(2).gradients(Linear(), 0.0, 1.0, np.array([[[1.0]], [[3.0]]]))
    >>> rows[:, 0, 0]  # (1 - 3) 1 and (3 - 1) 3
    array([-2.,  6.])
    """

    n_group: int = 4

    def __post_init__(self) -> None:
        if checks.width(self.n_group, "n_group") < 2:
            raise ValueError("n_group must be at least 2, got 1: a single draw has no others. Use n_group=2 or more.")

    def _rows(self, cost: Cost, mu: Array, sigma: Array, noise: Array) -> Array:
        eps = noise[:, 0]
        f = values(cost, mu + sigma * eps).reshape(-1, self.n_group).T  # (n_group, groups)
        signal = np.ascontiguousarray(leave_one_out_signal(f).T).ravel()
        return kernels.score_rows(signal, np.zeros((2, len(mu))), eps, sigma)


@dataclass(frozen=True)
class MovingAverageScore(CostEstimator):
    """Score function whose baseline is the decaying average of the f of earlier draws (0 at the first draw).

    The weights of the earlier draws sum to one: the start at zero is divided out, as in ``MovingAverage``.

    Parameters
    ----------
    decay : float
        In [0, 1).
    """

    decay: float = 0.9

    def __post_init__(self) -> None:
        checks.number(self.decay, "decay", low=0, closed=True, high=1)

    def _rows(self, cost: Cost, mu: Array, sigma: Array, noise: Array) -> Array:
        eps = noise[:, 0]
        f = values(cost, mu + sigma * eps)
        f = f - kernels.earlier_average(f, self.decay)
        return kernels.score_rows(f, np.zeros((2, len(mu))), eps, sigma)


@dataclass(frozen=True)
class ImportanceScore(CostEstimator):
    """Score function on draws from the wider N(mu, (scale sigma)^2), weighted by q / proposal.

    z = mu + scale sigma eps, and g = w f(z) s(z) with w = scale^D exp(-(scale^2 - 1) |eps|^2 / 2).

    Parameters
    ----------
    scale : float
        Above sqrt(1/2), below which the weights have no variance; 1 gives the plain score function.
    """

    scale: float = 1.5

    def __post_init__(self) -> None:
        checks.number(self.scale, "scale", low=math.sqrt(0.5))

    def _rows(self, cost: Cost, mu: Array, sigma: Array, noise: Array) -> Array:
        eps = noise[:, 0]
        log_weight = eps.shape[1] * math.log(self.scale) - (self.scale**2 - 1) / 2 * np.sum(eps**2, axis=1)
        weighted = np.exp(log_weight) * values(cost, mu + self.scale * sigma * eps)
        return kernels.score_rows(weighted, np.zeros((2, len(mu))), self.scale * eps, sigma)


@dataclass(frozen=True)
class MeasureValued(CostEstimator):
    """Write the derivative of the density as a difference of two densities, and f at a draw of each [1]_.

    With z_i -> x for a draw z whose coordinate i is replaced by x:

        d/dmu_i     [f(z_i -> mu + sigma w) - f(z_i -> mu - sigma w')] / (sigma sqrt(2 pi)),   w, w' ~ Rayleigh(1)
        d/dsigma_i  [f(z_i -> mu + sigma m) - f(z_i -> mu + sigma n)] / sigma

    with m double-sided Maxwell, of density m^2 phi(m), and n ~ N(0, 1). Coupled: w' = w, and n = m u with u uniform,
    which is N(0, 1). A row takes 4 D evaluations of f, and coupling does not always lower the variance.

    Parameters
    ----------
    coupled : bool

    References
    ----------
    .. [1] S. Mohamed, M. Rosca, M. Figurnov, A. Mnih, "Monte Carlo gradient estimation in machine learning", 2020.
    """

    coupled: bool = True
    n_noise = 5  # z, w, w', m, n

    def __post_init__(self) -> None:
        checks.flag(self.coupled, "coupled")

    def draw_noise(self, rng: np.random.Generator, n_draws: int, n_latent: int) -> Array:
        """Return eps, w, w', m, n of each draw and coordinate, shape (n_draws, 5, n_latent)."""
        shape = (checks.width(n_draws, "n_draws"), checks.width(n_latent, "n_latent"))
        checks.size(5 * shape[0] * shape[1], "n_draws and n_latent", shape)
        noise = np.empty((shape[0], 5, shape[1]))
        noise[:, 0] = checks.generator(rng).standard_normal(shape)
        noise[:, 1] = rng.rayleigh(size=shape)
        noise[:, 2] = noise[:, 1] if self.coupled else rng.rayleigh(size=shape)
        noise[:, 3] = np.sqrt(rng.chisquare(3, shape)) * rng.choice([-1.0, 1.0], shape)
        noise[:, 4] = noise[:, 3] * rng.random(shape) if self.coupled else rng.standard_normal(shape)
        return noise

    def _rows(self, cost: Cost, mu: Array, sigma: Array, noise: Array) -> Array:
        eps, w, w2, m, n = np.moveaxis(noise, 1, 0)
        z = mu + sigma * eps
        rows = np.empty((len(z), 2, len(mu)))

        def f(i: int, shift: Array) -> Array:
            at = z.copy()
            at[:, i] = mu[i] + sigma[i] * shift[:, i]
            return values(cost, at)

        for i in range(len(mu)):
            rows[:, 0, i] = (f(i, w) - f(i, -w2)) / (sigma[i] * math.sqrt(2 * math.pi))
            rows[:, 1, i] = (f(i, m) - f(i, n)) / sigma[i]
        return rows


COST_ESTIMATORS: dict[str, CostEstimator] = {
    "pathwise": Pathwise(),
    "score": ScoreFunction(),
    "score-constant": ScoreFunction("constant"),
    "score-mean": ScoreFunction("mean"),
    "score-optimal": ScoreFunction("optimal"),
    "score-leave-one-out": LeaveOneOutScore(),
    "score-moving-average": MovingAverageScore(),
    "score-importance": ImportanceScore(),
    "measure-valued": MeasureValued(),
    "measure-valued-uncoupled": MeasureValued(coupled=False),
}


def named_estimator(estimator: CostEstimator | str) -> CostEstimator:
    """Return an estimator given as itself or by its name.

    >>> named_estimator("score-mean")
    ScoreFunction(baseline='mean', n_pilot=1000)
    """
    if isinstance(estimator, str):
        return COST_ESTIMATORS[checks.choice(estimator, COST_ESTIMATORS, "estimator")]
    if not isinstance(estimator, CostEstimator):
        raise ValueError(
            f"estimator must be an estimator or its name, got {checks.shown(estimator)}. For example 'pathwise'."
        )
    return estimator


def sample_gradients(
    estimator: CostEstimator | str, cost: Cost, mu: Any, sigma: Any, n_draws: int, rng: np.random.Generator
) -> Array:
    """Return n_draws rows (d/dmu, d/dsigma) of an estimator, shape (n_draws, 2, D): prepare, draw, differentiate.

    Examples
    --------
    >>> from minivae.estimators.costs import Quadratic
    >>> rows = sample_gradients("pathwise", Quadratic(3.0), 1.0, 1.0, 1000, np.random.default_rng(0))
    >>> rows.mean(axis=0).ravel().round()  # 2 (mu - k), 2 sigma
    array([-4.,  2.])
    """
    mu, sigma, n_draws = *checks.location(mu, sigma), checks.width(n_draws, "n_draws")
    prepared = named_estimator(estimator).prepare(cost, mu, sigma, checks.generator(rng))
    return prepared.gradients(cost, mu, sigma, prepared.draw_noise(rng, n_draws, len(mu)))
