"""Means and variances of gradient estimates: exact ones, and measured ones with their standard errors."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array

_ROWS = "Give an estimator's rows."
_ROUNDING = 1e-12  # of sums over many draws, relative to the size of what is summed


@dataclass(frozen=True)
class Moments:
    """The exact mean and variance of one draw of an estimator, for each component.

    Where draws come in groups, ``variance`` is the number of draws times the variance of a group's mean.
    """

    mean: Array
    variance: Array


@dataclass(frozen=True)
class Summary:
    """What n_draws rows of an estimator show, for each component of a row.

    Attributes
    ----------
    n_draws : int
    mean : array
    variance : array
        Of one draw (ddof = 1). Where draws come in groups it is the number of draws in one times the variance of
        the groups' means: what n_draws times the variance of ``mean`` is, for every estimator.
    mean_error, variance_error : array
        Standard errors. With m independent values of kurtosis k, the variance has the error
        variance sqrt((k - 1) / m + 2 / (m (m - 1))).
    kurtosis : array
        E (g - E g)^4 / variance^2, of the sample unless given; 3 for a Gaussian. NaN where all values are equal.
    snr : array
        Signal-to-noise ratio |mean| / sqrt(variance) of one draw; infinite where there is no noise.
    z_mean, z_variance : array or None
        Distance from the exact value in standard errors, those of the exact variance; None where none is known.
    """

    n_draws: int
    mean: Array
    variance: Array
    mean_error: Array
    variance_error: Array
    kurtosis: Array
    snr: Array
    z_mean: Array | None
    z_variance: Array | None


def summarize(rows: Any, exact: Moments | None = None, *, n_group: int = 1, kurtosis: Any = None) -> Summary:
    """Return the mean and variance of an estimator's rows, with standard errors and distances from exact values.

    Parameters
    ----------
    rows : array of shape (K, ...)
        One row for each draw.
    exact : Moments, optional
    n_group : int
        Number of consecutive rows that share draws: the means of such groups are the independent values.
    kurtosis : array, optional
        Of the independent values, where it is known. That of the sample is too small where the tails are heavy.

    Raises
    ------
    ValueError
        If there are fewer than two independent values, or a row is not finite.

    Examples
    --------
    >>> summary = summarize(np.array([1.0, 2.0, 3.0]), Moments(np.array(2.5), np.array(1.0)))
    >>> summary.mean.item(), summary.variance.item(), round(summary.z_mean.item(), 4)
    (2.0, 1.0, -0.866)
    """
    rows = checks.numbers(rows, "rows", _ROWS)
    with np.errstate(over="ignore"):
        rows = np.asarray(rows, np.float64)
    n_group = checks.width(n_group, "n_group")
    m = len(rows) // n_group if rows.ndim else 0
    if m < 2 or m * n_group != len(rows):
        got = f"{len(rows) if rows.ndim else 0} draws" + (f" in groups of {n_group}" if n_group > 1 else "")
        raise ValueError(
            f"rows must hold at least 2 {'whole groups of ' if n_group > 1 else ''}draws for a variance, got {got}. "
            f"Use n_draws={max(2 * n_group, 2)} or more."
        )
    if not np.isfinite(rows).all():
        draw = int(np.argwhere(~np.isfinite(rows))[0][0])
        raise ValueError(f"rows must be finite, got {rows[draw]} at draw {draw}. Look at the estimator's input there.")
    if not rows.size:
        raise ValueError(f"rows must hold at least one value, got shape {rows.shape}. {_ROWS}")
    checks.squarable(rows, "rows", 4)
    if kurtosis is not None:
        kurtosis = _fitting(kurtosis, "kurtosis", rows.shape[1:])
        if (kurtosis < 1 - 1e-6).any():
            raise ValueError(f"kurtosis must be at least 1, got {kurtosis.min():g}. It is E (g - E g)^4 / variance^2.")
    if exact is not None:
        checks.has(exact, ("mean", "variance"), "exact", "Moments", "exact_moments('score', cost, mu, sigma)")
        exact = Moments(*(_fitting(getattr(exact, n), f"exact.{n}", rows.shape[1:]) for n in ("mean", "variance")))
    independent = rows.reshape(m, n_group, *rows.shape[1:]).mean(axis=1)
    mean = _mean(independent)
    squares = (independent - mean) ** 2
    variance = n_group * squares.sum(axis=0) / (m - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        if kurtosis is None:
            kurtosis = np.mean(squares**2, axis=0) / np.mean(squares, axis=0) ** 2
        known = np.where(np.isnan(kurtosis), 3.0, kurtosis)  # of equal values it is undefined
        relative = np.sqrt(np.maximum(known - 1, 0) / m + 2 / (m * (m - 1)))
        snr = np.abs(mean) / np.sqrt(variance)
    mean_error = np.sqrt(variance / len(rows))
    variance_error = np.where(variance > 0, variance * relative, 0.0)
    z_mean = z_variance = None
    if exact is not None:  # the exact variance has no error of its own, which with few draws would be large
        size = np.sqrt(np.mean(rows**2, axis=0))
        z_mean = _distance(mean - exact.mean, np.sqrt(exact.variance / len(rows)), size)
        spread = np.where(exact.variance > 0, exact.variance * relative, 0.0)
        z_variance = _distance(variance - exact.variance, spread, size**2)
    return Summary(len(rows), mean, variance, mean_error, variance_error, np.asarray(kurtosis), snr, z_mean, z_variance)


def _fitting(value: Any, name: str, shape: tuple[int, ...]) -> Array:
    """Return numbers of this shape, or one for all; NaN is no number that is known."""
    numbers = checks.numbers(value, name)
    if numbers.shape not in ((), shape):
        raise ValueError(f"{name} must hold numbers of shape {shape}, got {checks.shown(value)}. One a component.")
    return np.asarray(numbers, np.float64)


def _mean(values: Array) -> Array:
    """Return the mean along the first axis, by distances from the first value: equal values have it as their mean.

    The mean of ten times 0.3 would differ from 0.3 by rounding, and so lend them a variance.
    """
    return values[0] + (values - values[0]).mean(axis=0)


def _distance(difference: Array, error: Array, size: Array) -> Array:
    """Difference / error, in which rounding alone is no distance: an estimator may have no variance at all."""
    error = np.hypot(error, _ROUNDING * size)
    otherwise = np.where(difference == 0, 0.0, np.copysign(np.inf, difference))
    return np.divide(difference, error, out=otherwise, where=error > 0)


def leave_one_out_excess(variance: Any, square: Any, mean: Any, n_group: int) -> Any:
    """Return what a leave-one-out baseline adds to the variance that the exact mean of f would leave, for one draw.

        (Var f E[s s^T] + E[f s] E[f s]^T) / (n_group - 1):

    the noise of the other draws' mean, and the covariance of rows that share their draws. For one coordinate
    ``square`` is E s^2 and ``mean`` is (E f s)^2.
    """
    return (variance * square + mean) / (n_group - 1)


class RunningMoments:
    """Mean and variance of rows that come in blocks, in memory that does not grow with their number.

    Parameters
    ----------
    n_group : int
        Number of consecutive rows that share draws, as in ``summarize``; a block holds whole groups.

    Examples
    --------
    >>> moments = RunningMoments()
    >>> for block in ([1.0, 2.0], [6.0]):
    ...     moments.add(np.array(block))
    >>> moments.mean.item(), moments.variance.item(), moments.n_draws
    (3.0, 7.0, 3)
    """

    def __init__(self, n_group: int = 1) -> None:
        self.n_group = checks.width(n_group, "n_group")
        self.n_draws = 0
        self.mean: Array = np.zeros(())
        self._squares: Array = np.zeros(())  # sum of (value - mean)^2 over the independent values

    @classmethod
    def side_by_side(cls, parts: Sequence["RunningMoments"]) -> "RunningMoments":
        """Join the moments of parts that each saw other components of the same rows, along the first axis."""
        if not isinstance(parts, (list, tuple)) or not parts or not all(isinstance(part, cls) for part in parts):
            raise ValueError(f"parts must be a list of RunningMoments, got {checks.shown(parts)}. Give at least one.")
        joined = cls(parts[0].n_group)
        joined.n_draws = parts[0].n_draws
        joined.mean = np.concatenate([part.mean for part in parts])
        joined._squares = np.concatenate([part._squares for part in parts])
        return joined

    def add(self, rows: Array) -> None:
        """Take a block of rows in, shape (K, ...)."""
        rows = checks.numbers(rows, "rows", _ROWS)
        if rows.ndim == 0 or not rows.size:
            raise ValueError(f"rows must hold at least one draw, got shape {rows.shape}. {_ROWS}")
        if len(rows) % self.n_group or (self.n_draws and rows.shape[1:] != self.mean.shape):
            raise ValueError(
                f"rows must hold whole groups of {self.n_group} draws, all of one shape, got shape {rows.shape}. Give "
                f"rows of one estimator."
            )
        checks.squarable(checks.finite(rows, "rows"), "rows")
        values = rows.astype(np.float64)
        if self.n_group > 1:
            values = values.reshape(-1, self.n_group, *rows.shape[1:]).mean(axis=1)
        before, new = self.n_draws // self.n_group, len(values)
        mean = _mean(values)
        values -= mean
        shift = mean - self.mean
        squares = np.einsum("k...,k...->...", values, values)
        self._squares = self._squares + squares + shift**2 * (before * new / (before + new))
        self.mean = self.mean + shift * (new / (before + new))
        self.n_draws += len(rows)

    @property
    def variance(self) -> Array:
        """Of one draw (ddof = 1); where draws come in groups, n_group times the variance of their means."""
        m = self.n_draws // self.n_group
        if m < 2:
            needed = 2 * self.n_group
            raise ValueError(f"n_draws must be at least {needed} for a variance, got {self.n_draws}. Draw more.")
        return self.n_group * self._squares / (m - 1)
