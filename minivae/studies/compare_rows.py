"""What a problem of ``minivae compare`` is, and the rows that it yields: a measured number beside its exact value."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

from minivae.core.arrays import Array
from minivae.estimators.moments import Moments, Summary

Row = dict[str, Any]

FAR = 6.0  # standard errors that hundreds of right numbers stay within
_LONG = 0.3  # seconds: what takes longer is timed once


class Problem(Protocol):
    """An expectation whose gradient the estimators estimate: a frozen description."""

    @property
    def name(self) -> str:
        """The word for it on the command line."""

    @property
    def title(self) -> str:
        """What it is, in words that begin with the name."""

    @property
    def note(self) -> str:
        """What its parameters are, where their names do not say it; may be empty."""

    @property
    def estimators(self) -> tuple[str, ...]:
        """The names of the estimators that it has, in the order of its rows."""

    @property
    def lacks(self) -> Mapping[str, str]:
        """Estimators that it could have, and what each of them needs."""

    @property
    def whole(self) -> str | None:
        """The parameter that stands for all of them; None where their variances are summed."""

    @property
    def fewest(self) -> int:
        """The fewest samples that give every estimator a variance."""

    def rows(self, names: Sequence[str], n_samples: int, seed: int, rng: np.random.Generator) -> Iterator[Row]:
        """Yield the rows of those of the names that it has: all columns but problem and variance_ratio."""


def reference_of(estimators: Iterable[str]) -> str:
    """Return the estimator whose variance the others' are divided by: pathwise, or leave-one-out where there is none.

    >>> reference_of(["pathwise", "score"]), reference_of(["score", "score-leave-one-out"])
    ('pathwise', 'score-leave-one-out')
    """
    return "pathwise" if "pathwise" in set(estimators) else "score-leave-one-out"


def quotient(a: float | None, b: float | None) -> float | None:
    """Return a / b, or None where one of them is not known or b is zero.

    >>> quotient(3.0, 2.0), quotient(None, 2.0), quotient(1.0, 0.0)
    (1.5, None, None)
    """
    return None if a is None or not b else a / b


def component_rows(
    name: str,
    parameters: Sequence[str],
    found: Summary,
    exact: Moments | None,
    reference: Array | None,
    seconds: float,
) -> Iterator[Row]:
    """Yield a row for each component of what was measured.

    Parameters
    ----------
    name : str
        Of the estimator.
    parameters : sequence of str
        The names of the components.
    found : Summary
        Of shape (len(parameters),) each.
    exact : Moments, optional
        Where they are known.
    reference : array of shape (len(parameters),), optional
        The exact variances of the estimator that the others are divided by.
    seconds : float
        For one draw.
    """
    for i, parameter in enumerate(parameters):
        yield {
            "estimator": name,
            "parameter": parameter,
            "n_samples": found.n_draws,
            "mean": float(found.mean[i]),
            "exact_mean": None if exact is None else float(exact.mean[i]),
            "z_mean": None if found.z_mean is None else float(found.z_mean[i]),
            "variance": float(found.variance[i]),
            "exact_variance": None if exact is None else float(exact.variance[i]),
            "z_variance": None if found.z_variance is None else float(found.z_variance[i]),
            "reference_variance": None if reference is None else float(reference[i]),
            "snr": float(found.snr[i]),
            "ns_per_draw": 1e9 * seconds,
        }


def kurtosis(rows: Array, w: Array, exact: Moments) -> Array:
    """Return E (g - E g)^4 / (E (g - E g)^2)^2 of rows at nodes with weights w; 1 where there is no variance.

    >>> kurtosis(np.array([[-1.0], [1.0]]), np.array([0.5, 0.5]), Moments(np.zeros(1), np.ones(1)))
    array([1.])
    """
    square, fourth = (w @ (rows - w @ rows) ** power for power in (2, 4))
    return np.divide(fourth, square**2, out=np.ones_like(fourth), where=(exact.variance > 0) & (square > 0))


T = TypeVar("T")


def timed(run: Callable[[], T]) -> tuple[T, float]:
    """Return what a function gives, and the shortest of three times that it takes: others use the processor too."""
    result, shortest = None, np.inf
    for _ in range(3):
        start = time.perf_counter()
        result = run()
        shortest = min(shortest, time.perf_counter() - start)
        if shortest > _LONG:
            break
    return result, shortest  # type: ignore[return-value]
