"""Families whose quantile has a formula: z = Q(u), and the path is the quantile's own derivative."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy import special

from minivae.classical.families.family import Family, rows
from minivae.core import checks
from minivae.core.arrays import Array
from minivae.core.kernels.compiled import LOG_2PI


@dataclass(frozen=True)
class Exponential(Family):
    """p = rate exp(-rate z): z = -log(u) / rate, dz/drate = -z / rate.

    >>> Exponential(2.0).path(np.exp(-1)).round(12)
    array([-0.25])
    """

    rate: Any = 1.0

    parameters: ClassVar[tuple[str, ...]] = ("rate",)

    @property
    def support(self) -> tuple[float, float]:
        """(0, inf)."""
        return 0.0, np.inf

    def _sample(self, u: Array) -> Array:
        return -np.log(u) / self.rate

    def _log_prob(self, z: Array) -> Array:
        return np.log(self.rate) - self.rate * z

    def _path(self, u: Array, z: Array) -> Array:  # noqa: ARG002
        return rows(z, -z / self.rate)

    def _score(self, z: Array) -> Array:
        return (1 / self.rate - z)[None]


@dataclass(frozen=True)
class Weibull(Family):
    """P(z > t) = exp(-(t / scale)^shape): z = scale (-log u)^(1 / shape).

        dz/d(scale, shape) = z / scale, -z log(z / scale) / shape

    >>> round(Weibull(2.0, 3.0).sample(np.exp(-1)).item(), 12)
    2.0
    """

    scale: Any = 1.0
    shape: Any = 1.0

    parameters: ClassVar[tuple[str, ...]] = ("scale", "shape")

    @property
    def support(self) -> tuple[float, float]:
        """(0, inf)."""
        return 0.0, np.inf

    def _sample(self, u: Array) -> Array:
        return self.scale * (-np.log(u)) ** (1 / self.shape)

    def _log_prob(self, z: Array) -> Array:
        ratio = z / self.scale
        return np.log(self.shape / self.scale) + (self.shape - 1) * np.log(ratio) - ratio**self.shape

    def _path(self, u: Array, z: Array) -> Array:
        log_ratio = np.log(-np.log(u)) / self.shape
        return rows(z, z / self.scale, -z * log_ratio / self.shape)

    def _score(self, z: Array) -> Array:
        ratio = z / self.scale
        excess = ratio**self.shape - 1
        return rows(excess, self.shape / self.scale * excess, 1 / self.shape - excess * np.log(ratio))


@dataclass(frozen=True)
class Kumaraswamy(Family):
    """P(z > t) = (1 - t^a)^b on (0, 1): z = (1 - (1 - u)^(1/b))^(1/a), much like a beta distribution.

        dz/da = -z log(z) / a,   dz/db = z^(1-a) (1 - u)^(1/b) log(1 - u) / (a b^2)

    Examples
    --------
    >>> round(Kumaraswamy(2.0, 1.0).sample(0.25).item(), 12)
    0.5

    References
    ----------
    P. Kumaraswamy, Journal of Hydrology 46, 1980.
    """

    a: Any = 1.0
    b: Any = 1.0

    parameters: ClassVar[tuple[str, ...]] = ("a", "b")

    @property
    def support(self) -> tuple[float, float]:
        """(0, 1)."""
        return 0.0, 1.0

    def _log_sample(self, u: Array) -> Array:
        return np.log(-np.expm1(np.log1p(-u) / self.b)) / self.a

    def _sample(self, u: Array) -> Array:
        return np.exp(self._log_sample(u))

    def _log_prob(self, z: Array) -> Array:
        log_z = np.log(z)
        return np.log(self.a * self.b) + (self.a - 1) * log_z + (self.b - 1) * np.log(-np.expm1(self.a * log_z))

    def _path(self, u: Array, z: Array) -> Array:
        log_z, log_rest = self._log_sample(u), np.log1p(-u)
        db = np.exp((1 - self.a) * log_z + log_rest / self.b) * log_rest / (self.a * self.b**2)
        return rows(z, -z * log_z / self.a, db)

    def _score(self, z: Array) -> Array:
        log_z = np.log(z)
        rest = -np.expm1(self.a * log_z)  # 1 - z^a
        return rows(rest, 1 / self.a + log_z - (self.b - 1) * log_z * (1 / rest - 1), 1 / self.b + np.log(rest))


@dataclass(frozen=True)
class TruncatedNormal(Family):
    """N(loc, scale^2) between two constants: Phi(e) = (1 - u) Phi(alpha) + u Phi(beta), z = loc + scale e.

    With phi the density, alpha and beta the standardised ends,

        dz/dloc   = 1 - [(1 - u) phi(alpha) + u phi(beta)] / phi(e)
        dz/dscale = e - [(1 - u) alpha phi(alpha) + u beta phi(beta)] / phi(e)

    which is zero at both ends: they do not move. All in logarithms, in the tail where the ends are small.

    Parameters
    ----------
    loc, scale : float or array
    low, high : float
        Constants, which may be infinite.

    Examples
    --------
    >>> half = TruncatedNormal(0.0, 1.0, low=0.0)
    >>> round(half.sample(0.5).item(), 6), round(TruncatedNormal(low=50.0).sample(0.5).item(), 6)
    (0.67449, 50.013855)
    """

    loc: Any = 0.0
    scale: Any = 1.0
    low: float = -np.inf
    high: float = np.inf

    parameters: ClassVar[tuple[str, ...]] = ("loc", "scale")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, infinite in (("low", -np.inf), ("high", np.inf)):
            value = getattr(self, name)
            if not (isinstance(value, float) and value == infinite):
                object.__setattr__(self, name, checks.number(value, name, low=-np.inf))
        if not self.low < self.high:
            raise ValueError(f"low must be below high, got {self.low:g} and {self.high:g}. Swap them.")

    @property
    def support(self) -> tuple[float, float]:
        """(low, high)."""
        return self.low, self.high

    def _ends(self) -> tuple[Any, Any, Any]:
        """Return alpha and beta, both mirrored where they lie on the right, and the sign that mirrors them back."""
        alpha, beta = (self.low - self.loc) / self.scale, (self.high - self.loc) / self.scale
        right = alpha + beta > 0 if np.isfinite(self.low) or np.isfinite(self.high) else np.zeros_like(alpha, bool)
        sign = np.where(right, -1.0, 1.0)
        return np.where(right, -beta, alpha), np.where(right, -alpha, beta), sign

    def _log_mass(self) -> Any:
        """Return log(Phi(beta) - Phi(alpha))."""
        alpha, beta, _ = self._ends()
        above = special.log_ndtr(beta)
        return above + np.log(-np.expm1(special.log_ndtr(alpha) - above))

    def _standard(self, u: Array) -> Array:
        alpha, beta, sign = self._ends()
        v = np.where(sign > 0, u, 1 - u), np.where(sign > 0, 1 - u, u)
        log_cdf = np.logaddexp(np.log(v[0]) + special.log_ndtr(beta), np.log(v[1]) + special.log_ndtr(alpha))
        return sign * special.ndtri_exp(np.minimum(log_cdf, 0))

    def _sample(self, u: Array) -> Array:
        return self.loc + self.scale * self._standard(u)

    def _log_prob(self, z: Array) -> Array:
        e = (z - self.loc) / self.scale
        return -0.5 * (e**2 + LOG_2PI) - np.log(self.scale) - self._log_mass()

    def _path(self, u: Array, z: Array) -> Array:
        e = self._standard(u)
        held = [np.zeros_like(z), np.zeros_like(z)]
        for end, share in ((self.low, 1 - u), (self.high, u)):
            if np.isfinite(end):
                a = (end - self.loc) / self.scale
                held[0] = held[0] + share * np.exp((e - a) * (e + a) / 2)
                held[1] = held[1] + share * np.exp((e - a) * (e + a) / 2) * a
        return rows(z, 1 - held[0], e - held[1])

    def _score(self, z: Array) -> Array:
        e = (z - self.loc) / self.scale
        mean, square = e, e**2 - 1
        for end, sign in ((self.low, 1), (self.high, -1)):
            if np.isfinite(end):
                a = (end - self.loc) / self.scale
                hazard = np.exp(-0.5 * (a**2 + LOG_2PI) - self._log_mass())
                mean, square = mean - sign * hazard, square - sign * a * hazard
        return rows(e, mean / self.scale, square / self.scale)
