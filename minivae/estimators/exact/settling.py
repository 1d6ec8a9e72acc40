"""Integrals over Gaussian noise at ever finer nodes, until they agree: for costs of which nothing is known."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array
from minivae.distributions.nodes import normal_nodes
from minivae.estimators.costs import Cost, values
from minivae.estimators.moments import Moments
from minivae.estimators.on_costs import CostEstimator

MOST_LATENTS = 2
_MOST_POINTS = (2**22, 2**20)  # at which a cost of one and of two variables is looked at, before quadrature gives up
_MOST_CROSSED = 2**24  # of an integral that has one dimension more, taken in pieces
_CLOSE = 1e-4  # of a standard deviation, and of a variance: a tenth of the standard errors of a million draws
_ROUNDING = 1e-12  # of what is summed
_FINER = 0.62  # the next step: no simple fraction, under which a wave could look constant to two grids


class _NoValueError(Exception):
    """The cost is not finite at a node."""


@dataclass(frozen=True)
class _Finite:
    """A cost that says so where it is not finite: what draws hardly reach is no error."""

    cost: Cost

    def value(self, z: Array) -> Array:
        return self._seen(self.cost.value(z))

    def gradient(self, z: Array) -> Array:
        return self._seen(self.cost.gradient(z))

    def _seen(self, result: Any) -> Any:
        result = checks.array(result, "cost")
        if result.dtype.kind == "f" and not np.isfinite(result).all():
            raise _NoValueError
        return result


@dataclass(frozen=True)
class Grid:
    """Nodes of the noise, shape (K, 1, D), and their weights; they go out to ``far`` in steps of ``step``."""

    step: float
    far: float
    nodes: Array
    w: Array


@dataclass(frozen=True)
class Expectation:
    """E[f(z)] of z ~ N(mu, diag sigma^2)."""

    cost: Cost
    mu: Array
    sigma: Array

    @classmethod
    def of(cls, cost: Cost, mu: Any, sigma: Any) -> "Expectation":
        """Return that of a cost that need not be finite everywhere."""
        return cls(_Finite(cost), *checks.location(mu, sigma))

    @property
    def information(self) -> Array:
        """E s^2, shape (2, D)."""
        return np.array([[1.0], [2.0]]) / self.sigma**2

    def at(self, grid: Grid) -> tuple[Array, Array]:
        """Return f and the scores at the nodes, shapes (K,) and (K, 2, D)."""
        eps = grid.nodes[:, 0]
        return values(self.cost, self.mu + self.sigma * eps), np.stack([eps, eps**2 - 1], axis=1) / self.sigma

    def rows(self, estimator: CostEstimator, grid: Grid) -> Array:
        """Return the estimator's rows at the nodes."""
        return estimator.gradients(self.cost, self.mu, self.sigma, grid.nodes)


def _grids(n_latent: int, crossed: bool) -> Iterator[Grid]:
    """Yield grids that get finer and wider; ``crossed`` ones are multiplied by a quarter of their length."""
    step, far, most = 0.1 if n_latent == 1 else 0.4, 8.0, _MOST_CROSSED if crossed else _MOST_POINTS[n_latent - 1]
    while (2 * far / step + 1) ** n_latent * (0.5 * far / step if crossed else 1.0) <= most:
        yield Grid(step, far, *normal_nodes(n_latent, step, far))
        step, far = step * _FINER, far + 0.5


def settled(at: Callable[[Grid], Moments], problem: Expectation, crossed: bool = False) -> Moments | None:
    """Return what three grids in a row agree on, or nothing."""
    if len(problem.mu) > MOST_LATENTS:
        return None
    before, agreed = None, 0
    for grid in _grids(len(problem.mu), crossed):
        try:
            with np.errstate(all="ignore"):
                found, f = at(grid), problem.at(grid)[0]
        except _NoValueError:
            return None
        rounding = _ROUNDING * np.sqrt((grid.w @ f**2) * (1 + problem.information))
        agreed = agreed + 1 if before is not None and _agree(before, found, rounding) else 0
        if agreed == 2:
            return Moments(np.where(np.abs(found.mean) > rounding, found.mean, 0.0), found.variance)
        before = found
    return None


def _agree(a: Moments, b: Moments, rounding: Array) -> bool:
    scale = np.where(b.variance > 0, b.variance, b.mean**2)  # without noise: to digits of the mean
    means = np.abs(a.mean - b.mean) <= _CLOSE * np.sqrt(scale) + rounding
    variances = np.abs(a.variance - b.variance) <= _CLOSE * b.variance + rounding**2
    return bool(means.all() and variances.all())
