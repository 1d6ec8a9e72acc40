"""Functions f(z) whose mean under N(mu, diag sigma^2) the estimators differentiate, and their moments in closed form.

A cost gives f and its gradient for each row of z. Those below are sums over the coordinates, f(z) = sum_i h(z_i),
whose moments are known; ``FunctionCost`` makes a cost of any function.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array


class Cost(Protocol):
    """A function of each row of z, shape (K, D)."""

    def value(self, z: Array) -> Array:
        """Return f(z), shape (K,)."""

    def gradient(self, z: Array) -> Array:
        """Return df/dz, shape (K, D)."""


class SeparableCost:
    """Base of the costs f(z) = sum_i h(z_i): a subclass gives h, its slope, and their moments.

    Moments are of x ~ N(mu, sigma^2), one for each entry of mu and sigma, and with u = x - mu.
    """

    def each(self, x: Array) -> Array:
        """Return h(x), of the shape of x."""
        raise NotImplementedError

    def slope(self, x: Array) -> Array:
        """Return dh/dx."""
        raise NotImplementedError

    def moment(self, power: int, n: int, mu: Array, sigma: Array) -> Array:
        """Return E[h(x)^power u^n] for a power of 0, 1 or 2."""
        raise NotImplementedError

    def slope_moment(self, n: int, mu: Array, sigma: Array) -> Array:
        """Return E[h'(x)^2 u^n]."""
        raise NotImplementedError

    def value(self, z: Array) -> Array:
        """Return sum_i h(z_i), shape (K,)."""
        return self.each(_draws(z)).sum(axis=1)

    def gradient(self, z: Array) -> Array:
        """Return h'(z_i), shape (K, D)."""
        return self.slope(_draws(z))

    def mean(self, mu: Array, sigma: Array) -> float:
        """Return E[f]."""
        mu, sigma = checks.location(mu, sigma)
        return float(self.moment(1, 0, mu, sigma).sum())

    def score_square(self, power: int, mu: Array, sigma: Array, spread: Array) -> Array:
        """Return E[h^power s^2] for the scores s of N(mu, sigma^2) but x ~ N(mu, spread^2), shape (2, D).

        s_mu = u / sigma^2 and s_sigma = (u^2 / sigma^2 - 1) / sigma.
        """
        m0, m2, m4 = (self.moment(power, n, mu, spread) for n in (0, 2, 4))
        return np.stack([m2 / sigma**4, (m4 / sigma**4 - 2 * m2 / sigma**2 + m0) / sigma**2])

    def optimal_baseline(self, mu: Array, sigma: Array) -> Array:
        """Return c* = E[f s^2] / E[s^2] for each of mu and sigma, shape (2, D)."""
        mu, sigma = checks.location(mu, sigma)
        others = self.mean(mu, sigma) - self.moment(1, 0, mu, sigma)
        return self.score_square(1, mu, sigma, sigma) * sigma**2 / np.array([[1.0], [2.0]]) + others


@dataclass(frozen=True)
class Linear(SeparableCost):
    """f(z) = sum_i z_i.

    >>> Linear().value(np.array([[1.0, 2.0]]))
    array([3.])
    """

    def each(self, x: Array) -> Array:
        """Return x."""
        return x

    def slope(self, x: Array) -> Array:
        """Return 1."""
        return np.ones_like(x)

    def moment(self, power: int, n: int, mu: Array, sigma: Array) -> Array:
        """Return E[x^power u^n]."""
        return _shifted_power(power, n, mu, sigma)

    def slope_moment(self, n: int, mu: Array, sigma: Array) -> Array:
        """Return E[u^n]."""
        return _shifted_power(0, n, mu, sigma)


@dataclass(frozen=True)
class Quadratic(SeparableCost):
    """f(z) = sum_i (z_i - k)^2.

    Examples
    --------
    >>> cost, one = Quadratic(3.0), np.ones(1)
    >>> cost.mean(one, one)  # (1 - 3)^2 + 1
    5.0
    >>> cost.optimal_baseline(one, one).ravel()
    array([7., 9.])
    """

    k: float = 0.0

    def __post_init__(self) -> None:
        checks.number(self.k, "k", low=-math.inf)

    def each(self, x: Array) -> Array:
        """Return (x - k)^2."""
        return (x - self.k) ** 2

    def slope(self, x: Array) -> Array:
        """Return 2 (x - k)."""
        return 2 * (x - self.k)

    def moment(self, power: int, n: int, mu: Array, sigma: Array) -> Array:
        """Return E[(x - k)^(2 power) u^n]."""
        return _shifted_power(2 * power, n, mu - self.k, sigma)

    def slope_moment(self, n: int, mu: Array, sigma: Array) -> Array:
        """Return 4 E[(x - k)^2 u^n]."""
        return 4 * _shifted_power(2, n, mu - self.k, sigma)


@dataclass(frozen=True)
class Exponential(SeparableCost):
    """f(z) = sum_i exp(-k z_i^2), k >= 0.

    A Gaussian times exp(-a x^2) is a Gaussian of another mean and variance, so with A = 1 + 2 a sigma^2

        E[exp(-a x^2) g(x)] = A^(-1/2) exp(-a mu^2 / A) E[g(x')],   x' ~ N(mu / A, sigma^2 / A).

    >>> round(Exponential(0.5).mean(np.array([1.0]), np.array([1.5])), 10)
    0.4756021222
    """

    k: float = 1.0

    def __post_init__(self) -> None:
        checks.number(self.k, "k", low=0, closed=True)

    def each(self, x: Array) -> Array:
        """Return exp(-k x^2)."""
        return np.exp(-self.k * x**2)

    def slope(self, x: Array) -> Array:
        """Return -2 k x exp(-k x^2)."""
        return -2 * self.k * x * self.each(x)

    def moment(self, power: int, n: int, mu: Array, sigma: Array) -> Array:
        """Return E[exp(-power k x^2) u^n]."""
        mass, mean, variance = self._tilted(power * self.k, mu, sigma)
        return mass * _gaussian_moment(n, mean, variance)

    def slope_moment(self, n: int, mu: Array, sigma: Array) -> Array:
        """Return 4 k^2 E[x^2 exp(-2 k x^2) u^n], with x^2 = u^2 + 2 mu u + mu^2."""
        mass, mean, variance = self._tilted(2 * self.k, mu, sigma)
        m0, m1, m2 = (_gaussian_moment(n + i, mean, variance) for i in range(3))
        return 4 * self.k**2 * mass * (m2 + 2 * mu * m1 + mu**2 * m0)

    @staticmethod
    def _tilted(a: float, mu: Array, sigma: Array) -> tuple[Array, Array, Array]:
        """Return the mass, and the mean and variance of u, under N(mu, sigma^2) times exp(-a x^2)."""
        A = 1 + 2 * a * sigma**2
        return np.exp(-a * mu**2 / A) / np.sqrt(A), mu / A - mu, sigma**2 / A


@dataclass(frozen=True)
class Cosine(SeparableCost):
    """f(z) = sum_i cos(k z_i).

    A Gaussian times exp(i t x) is a Gaussian whose mean is shifted by i t sigma^2, so

        E[cos(t x) u^n] = Re[ exp(i t mu - t^2 sigma^2 / 2) E[(i t sigma^2 + sigma eps)^n] ].

    >>> round(Cosine(0.8).optimal_baseline(np.array([1.0]), np.array([1.5]))[0].item(), 10)
    -0.1492143675
    """

    k: float = 1.0

    def __post_init__(self) -> None:
        checks.number(self.k, "k", low=-math.inf)

    def each(self, x: Array) -> Array:
        """Return cos(k x)."""
        return np.cos(self.k * x)

    def slope(self, x: Array) -> Array:
        """Return -k sin(k x)."""
        return -self.k * np.sin(self.k * x)

    def moment(self, power: int, n: int, mu: Array, sigma: Array) -> Array:
        """Return E[cos(k x)^power u^n]; cos^2 = (1 + cos 2 k x) / 2."""
        if power < 2:
            return self._wave(power * self.k, n, mu, sigma)
        return (self._wave(0.0, n, mu, sigma) + self._wave(2 * self.k, n, mu, sigma)) / 2

    def slope_moment(self, n: int, mu: Array, sigma: Array) -> Array:
        """Return k^2 E[sin(k x)^2 u^n]."""
        return self.k**2 * (self._wave(0.0, n, mu, sigma) - self._wave(2 * self.k, n, mu, sigma)) / 2

    @staticmethod
    def _wave(t: float, n: int, mu: Array, sigma: Array) -> Array:
        mass = np.exp(1j * t * mu - t**2 * sigma**2 / 2)
        return np.real(mass * _gaussian_moment(n, 1j * t * sigma**2, sigma**2))


@dataclass(frozen=True)
class FunctionCost:
    """A cost made of functions of z, shape (K, D): ``f`` gives (K,), and ``df``, where it is known, (K, D).

    Without ``df`` every estimator but the pathwise one can be used; none has a known exact variance.

    >>> FunctionCost(lambda z: z.max(axis=1)).value(np.array([[1.0, 2.0]]))
    array([2.])
    """

    f: Callable[[Any], Any]
    df: Callable[[Any], Any] | None = None

    def __post_init__(self) -> None:
        checks.function(self.f, "f")
        if self.df is not None:
            checks.function(self.df, "df")

    def value(self, z: Array) -> Array:
        """Return f(z)."""
        return self.f(_draws(z))

    def gradient(self, z: Array) -> Array:
        """Return df(z)."""
        if self.df is None:
            raise ValueError(
                "df must be given for an estimator that differentiates the cost, got none. Pass df=, or choose a "
                "score-function or measure-valued estimator, which need the values of f only."
            )
        return self.df(_draws(z))


def _draws(z: Any) -> Array:
    """Return z, shape (K, D), at the price of a look; complex where a complex step takes it."""
    if type(z) is np.ndarray and z.dtype == np.complex128 and z.ndim == 2:
        return z
    return checks.look(z, "z", (None, None))


def known(cost: Any, name: str = "value") -> Any:
    """Return a cost that has a method, or refuse what is none."""
    if isinstance(cost, type) or not hasattr(cost, name):
        raise ValueError(
            f"cost must have value(z) and gradient(z), got {checks.shown(cost)}. Wrap a function in FunctionCost."
        )
    return cost


def values(cost: Cost, z: Array) -> Array:
    """Return f(z) of each draw, shape (K,), or say at which draw the cost went wrong."""
    return _checked(cost, "value", z, (len(z),))


def slopes(cost: Cost, z: Array) -> Array:
    """Return df/dz of each draw, shape (K, D), or say at which draw the cost went wrong."""
    return _checked(cost, "gradient", z, z.shape)


def _checked(cost: Cost, name: str, z: Array, shape: tuple[int, ...]) -> Array:
    result = checks.array(getattr(known(cost, name), name)(z), f"cost.{name}")
    if result.shape != shape or result.dtype.kind not in "fiu":
        raise ValueError(
            f"cost.{name} must give real numbers of shape {shape} for z of shape {z.shape}, got dtype {result.dtype} "
            f"and shape {result.shape}. Reduce over the last axis only."
            if name == "value"
            else f"cost.{name} must give real numbers of shape {shape}, that of z, got dtype {result.dtype} and shape "
            f"{result.shape}. Give df/dz of each draw."
        )
    finite = np.isfinite(result)
    if not finite.all():
        draw = int(np.argwhere(~finite)[0][0])
        raise ValueError(
            f"cost.{name} must be finite, got {result[draw]} at draw {draw}, z = {z[draw]}. "
            f"Check the cost there, or a smaller sigma."
        )
    return np.ascontiguousarray(result, np.float64)


def _gaussian_moment(n: int, mean: Any, variance: Any) -> Any:
    """E[x^n] of N(mean, variance): M_n = mean M_(n-1) + (n - 1) variance M_(n-2)."""
    before, now = 0 * mean, 0 * mean + 1.0
    for i in range(n):
        before, now = now, mean * now + i * variance * before
    return now


def _shifted_power(power: int, n: int, d: Array, sigma: Array) -> Array:
    """E[(d + u)^power u^n] of u ~ N(0, sigma^2), by the binomial theorem."""
    zero = 0 * (d + sigma)
    terms = (
        math.comb(power, j) * d ** (power - j) * _gaussian_moment(n + j, zero, sigma**2 + zero)
        for j in range(power + 1)
    )
    return sum(terms, zero)
