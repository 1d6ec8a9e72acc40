"""The gradient of E[f(z)], z ~ N(mu, diag sigma^2), for a cost f: exact in closed form, or by quadrature."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array
from minivae.distributions.nodes import normal_nodes
from minivae.estimators.costs import Cosine, Cost, Exponential, FunctionCost, Quadratic, slopes, values
from minivae.estimators.exact.costs import exact_moments
from minivae.estimators.exact.quadrature import quadrature_baseline, quadrature_moments
from minivae.estimators.moments import Moments, Summary, summarize
from minivae.estimators.on_costs import COST_ESTIMATORS, CostEstimator, ScoreFunction
from minivae.studies.compare_rows import Row, component_rows, kurtosis, reference_of, timed

_GROUP = max(estimator.n_group for estimator in COST_ESTIMATORS.values())


@dataclass(frozen=True)
class CostProblem:
    """d/dmu and d/dsigma of E[f(z)], z ~ N(mu, diag sigma^2).

    Parameters
    ----------
    name : str
    cost : Cost
        ``FunctionCost`` makes one of any function; without its derivative there is no pathwise estimator.
    mu, sigma : tuple of float
        One number each dimension; sigma is a standard deviation.
    text : str
        What it is, for titles; written from the rest unless given.
    remedy : str
        What to do about a missing derivative.

    Raises
    ------
    ValueError
        If mu and sigma do not go together, or the cost does not give numbers of the right shape near mu.

    Examples
    --------
    >>> from minivae.studies.compare import compare
    >>> problem = CostProblem("norm", FunctionCost(lambda z: np.sum(z**2, axis=1)), (1.0, 0.0), (0.5, 2.0))
    >>> problem.title
    'norm: d/dmu, d/dsigma of E[norm(z)], z ~ N(mu, diag sigma^2), mu = 1, 0, sigma = 0.5, 2'
    >>> row = next(compare(problem, ["score"], 1000))
    >>> row["parameter"], round(row["exact_mean"], 9), round(row["exact_variance"], 9)
    ('mu 1', 2.0, 269.75)
    """

    name: str
    cost: Cost
    mu: tuple[float, ...] = (0.0,)
    sigma: tuple[float, ...] = (1.0,)
    text: str = ""
    remedy: str = "pass df= to FunctionCost"
    whole = None
    note = ""

    def __post_init__(self) -> None:
        mu, sigma = checks.location(self.mu, self.sigma)
        object.__setattr__(self, "mu", tuple(mu.tolist()))
        object.__setattr__(self, "sigma", tuple(sigma.tolist()))
        near = mu + sigma * np.array([[0.0], [0.5], [-1.0]])
        values(self.cost, near.copy())
        if "pathwise" not in self.lacks:
            slopes(self.cost, near)

    @property
    def title(self) -> str:
        """The name, and the expectation."""
        if self.text:
            return f"{self.name}: {self.text}"
        where = ", ".join(
            f"{name} = {', '.join(f'{v:g}' for v in vector)}"
            for name, vector in (("mu", self.mu), ("sigma", self.sigma))
        )
        return f"{self.name}: d/dmu, d/dsigma of E[{self.name}(z)], z ~ N(mu, diag sigma^2), {where}"

    @property
    def lacks(self) -> Mapping[str, str]:
        """The pathwise estimator, where the cost has no derivative."""
        no_slope = not hasattr(self.cost, "gradient") or (isinstance(self.cost, FunctionCost) and self.cost.df is None)
        return {"pathwise": f"the derivative: {self.remedy}"} if no_slope else {}

    @property
    def estimators(self) -> tuple[str, ...]:
        """All that there are for costs, but for what needs a derivative that is not there."""
        return tuple(name for name in COST_ESTIMATORS if name not in self.lacks)

    @property
    def fewest(self) -> int:
        """Two groups of draws."""
        return 2 * _GROUP

    @property
    def parameters(self) -> tuple[str, ...]:
        """mu and sigma, or mu 1, mu 2, ..., sigma 1, ... in several dimensions."""
        if len(self.mu) == 1:
            return ("mu", "sigma")
        return tuple(f"{name} {i + 1}" for name in ("mu", "sigma") for i in range(len(self.mu)))

    def moments(self, estimator: CostEstimator | str, n_draws: int | None = None) -> Moments | None:
        """Return the exact mean and variance of a row, shape (2, D): closed, or by quadrature, or None."""
        closed = exact_moments(estimator, self.cost, self.mu, self.sigma, n_draws)
        return closed or quadrature_moments(estimator, self.cost, self.mu, self.sigma, n_draws)

    def prepared(self, estimator: CostEstimator, rng: np.random.Generator) -> CostEstimator:
        """Return the estimator with its baseline as numbers: exact ones, or where there are none those of a pilot."""
        rule = str(estimator.baseline) if isinstance(estimator, ScoreFunction) else ""
        if rule in ("mean", "optimal") and exact_moments(estimator, self.cost, self.mu, self.sigma) is None:
            c = quadrature_baseline(rule, self.cost, self.mu, self.sigma)
            if c is not None:
                return ScoreFunction(c)
        return estimator.prepare(self.cost, self.mu, self.sigma, rng)

    def rows(self, names: Sequence[str], n_samples: int, seed: int, rng: np.random.Generator) -> Iterator[Row]:  # noqa: ARG002
        """Yield the rows of each estimator: all mu, then all sigma."""
        n_draws = n_samples - n_samples % _GROUP
        reference = self.moments(reference_of(self.estimators))
        divisor = None if reference is None else reference.variance.ravel()
        for name in self.estimators:
            if name not in names:
                continue
            estimator = self.prepared(COST_ESTIMATORS[name], rng)
            warm = estimator.draw_noise(rng, _GROUP, len(self.mu))
            estimator.gradients(self.cost, self.mu, self.sigma, warm)  # compiled before the clock starts
            noise = estimator.draw_noise(rng, n_draws, len(self.mu))
            rows, seconds = timed(partial(estimator.gradients, self.cost, self.mu, self.sigma, noise))
            exact = _flat(self.moments(estimator, n_draws))
            known = None if name == "score-moving-average" else self._kurtosis(estimator, exact)
            found = summarize(rows.reshape(n_draws, -1), exact, n_group=estimator.n_group, kurtosis=known)
            found = found if exact is None else with_heavy_tails(found, exact, exact_kurtosis=known is not None)
            yield from component_rows(name, self.parameters, found, exact, divisor, seconds / n_draws)

    def _kurtosis(self, estimator: CostEstimator, exact: Moments | None) -> Array | None:
        """Return that of independent rows with one noise each, which nodes can stand in for."""
        if exact is None or estimator.n_noise > 1 or estimator.n_group > 1 or len(self.mu) > 2:
            return None
        eps, w = normal_nodes() if len(self.mu) == 1 else normal_nodes(2, step=0.2, far=8.0)
        rows = estimator.gradients(self.cost, self.mu, self.sigma, eps)
        return kurtosis(rows.reshape(len(w), -1), w, exact)


def with_heavy_tails(found: Summary, exact: Moments, *, exact_kurtosis: bool) -> Summary:
    """Return distances by the sample's own errors where these are larger: a rare large draw raises both.

    Of the variance only where its error is not that of the exact kurtosis.

    >>> exact, rows = Moments(np.zeros(1), np.ones(1)), np.append(np.zeros(999), 900.0)[:, None]
    >>> found = summarize(rows, exact)
    >>> found.z_mean.round(1), with_heavy_tails(found, exact, exact_kurtosis=False).z_mean.round(1)
    (array([28.5]), array([1.]))
    """
    z_mean = _nearer(found.z_mean, found.mean - exact.mean, found.mean_error)
    if exact_kurtosis:
        return replace(found, z_mean=z_mean)
    z_variance = _nearer(found.z_variance, found.variance - exact.variance, found.variance_error)
    return replace(found, z_mean=z_mean, z_variance=z_variance)


def _nearer(z: Any, difference: Array, error: Array) -> Array:
    own = np.divide(difference, error, out=np.full_like(difference, np.inf), where=error > 0)
    return np.where(np.abs(own) < np.abs(z), own, z)


def _flat(moments: Moments | None) -> Moments | None:
    return None if moments is None else Moments(moments.mean.ravel(), moments.variance.ravel())


QUADRATIC = CostProblem("quadratic", Quadratic(3.0), (1.0,), (1.0,), "d/dmu, d/dsigma of E[(x - 3)^2], x ~ N(1, 1)")
EXPONENTIAL = CostProblem(
    "exponential", Exponential(0.5), (1.0,), (1.5,), "d/dmu, d/dsigma of E[exp(-x^2 / 2)], x ~ N(1, 1.5^2)"
)
COSINE = CostProblem("cosine", Cosine(0.8), (1.0,), (1.5,), "d/dmu, d/dsigma of E[cos 0.8 x], x ~ N(1, 1.5^2)")
