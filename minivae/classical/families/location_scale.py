"""Location-scale families: z = loc + scale e, the noise e of a standard member, which gives its density's slope."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy import special

from minivae.classical.families.family import Family, rows
from minivae.classical.families.implicit import beta_logit_path, beta_quantiles
from minivae.core.arrays import Array
from minivae.core.kernels.compiled import LOG_2PI


@dataclass(frozen=True)
class LocationScale(Family):
    """Base of z = loc + scale e(u): a member gives e(u), log p0(e) of the standard member, and its slope.

        dz/d(loc, scale) = 1, e
        dlog p/d(loc, scale) = -s / scale, -(1 + e s) / scale,   s = dlog p0/de

    So every member has the same path and the same score.
    """

    loc: Any = 0.0
    scale: Any = 1.0

    parameters: ClassVar[tuple[str, ...]] = ("loc", "scale")

    def _standard(self, u: Array) -> Array:
        """Return e(u)."""
        raise NotImplementedError

    def _standard_log_prob(self, e: Array) -> Array:
        """Return log p0(e)."""
        raise NotImplementedError

    def _standard_slope(self, e: Array) -> Array:
        """Return dlog p0/de."""
        raise NotImplementedError

    def _sample(self, u: Array) -> Array:
        return self.loc + self.scale * self._standard(u)

    def _log_prob(self, z: Array) -> Array:
        return self._standard_log_prob((z - self.loc) / self.scale) - np.log(self.scale)

    def _path(self, u: Array, z: Array) -> Array:
        return rows(z, 1.0, self._standard(u))

    def _score(self, z: Array) -> Array:
        e = (z - self.loc) / self.scale
        slope = self._standard_slope(e)
        return rows(e, -slope / self.scale, -(1 + e * slope) / self.scale)


@dataclass(frozen=True)
class Normal(LocationScale):
    """N(loc, scale^2): e = Phi^-1(u), slope -e.

    >>> Normal(1.0, 2.0).score(5.0)  # (z - loc) / scale^2, ((z - loc)^2 / scale^2 - 1) / scale
    array([1. , 1.5])
    """

    def _standard(self, u: Array) -> Array:
        return special.ndtri(u)

    def _standard_log_prob(self, e: Array) -> Array:
        return -0.5 * (e**2 + LOG_2PI)

    def _standard_slope(self, e: Array) -> Array:
        return -e


@dataclass(frozen=True)
class Laplace(LocationScale):
    """p0 = exp(-|e|) / 2: e = -sign(u - 1/2) log(1 - 2 |u - 1/2|), slope -sign(e), with a kink at 0.

    >>> Laplace().sample([0.25, 0.5, 0.75]) + 0.0  # -log 2, 0, log 2
    array([-0.69314718,  0.        ,  0.69314718])
    """

    def _standard(self, u: Array) -> Array:
        return np.sign(0.5 - u) * np.log(2 * np.minimum(u, 1 - u))  # 1 - 2 |u - 1/2| loses a small u

    def _standard_log_prob(self, e: Array) -> Array:
        return -np.abs(e) - np.log(2)

    def _standard_slope(self, e: Array) -> Array:
        return -np.sign(e)


@dataclass(frozen=True)
class Logistic(LocationScale):
    """p0 = sigmoid(e) sigmoid(-e): e = log(u / (1 - u)), slope -tanh(e / 2).

    >>> Logistic(0.0, 2.0).sample(0.5)
    array(0.)
    """

    def _standard(self, u: Array) -> Array:
        return special.logit(u)

    def _standard_log_prob(self, e: Array) -> Array:
        return -np.abs(e) - 2 * np.log1p(np.exp(-np.abs(e)))

    def _standard_slope(self, e: Array) -> Array:
        return -np.tanh(e / 2)


@dataclass(frozen=True)
class Cauchy(LocationScale):
    """p0 = 1 / (pi (1 + e^2)): e = tan(pi (u - 1/2)), slope -2 e / (1 + e^2).

    It has no mean. Also where f and E[f] are bounded, E|f'(z) dz/dscale| may be infinite: for f = cos it is.

    >>> Cauchy().sample([0.25, 0.75]).round(12)
    array([-1.,  1.])
    """

    def _standard(self, u: Array) -> Array:
        return np.sign(u - 0.5) / np.tan(np.pi * np.minimum(u, 1 - u))  # near the poles as exact as u is

    def _standard_log_prob(self, e: Array) -> Array:
        return -np.log(np.pi) - np.log1p(e**2)

    def _standard_slope(self, e: Array) -> Array:
        return -2 * e / (1 + e**2)


@dataclass(frozen=True)
class Gumbel(LocationScale):
    """P(e < t) = exp(-exp(-t)): e = -log(-log u), slope exp(-e) - 1.

    >>> round(Gumbel().sample(np.exp(-1)).item(), 12) + 0.0
    0.0
    """

    def _standard(self, u: Array) -> Array:
        return -np.log(-np.log(u))

    def _standard_log_prob(self, e: Array) -> Array:
        return -e - np.exp(-e)

    def _standard_slope(self, e: Array) -> Array:
        return np.expm1(-e)


@dataclass(frozen=True)
class StudentT(LocationScale):
    """p0 proportional to (1 + e^2 / df)^(-(df + 1) / 2); the degrees of freedom are real, and differentiable too.

    w = e^2 / (df + e^2) ~ Beta(1/2, df / 2), whose implicit path gives that of e at a fixed u:

        de/ddf = e (1 / df + dlogit(w)/ddf) / 2

    >>> StudentT(df=1.0).sample([0.25, 0.75]).round(12)  # the Cauchy distribution
    array([-1.,  1.])
    """

    df: Any = 3.0

    parameters: ClassVar[tuple[str, ...]] = ("loc", "scale", "df")

    def _squared(self, u: Array) -> tuple[Array, Array]:
        """Return w and 1 - w, both to full relative accuracy."""
        rest, w = beta_quantiles(self.df / 2, 0.5, 2 * np.minimum(u, 1 - u))
        return w, rest

    def _standard(self, u: Array) -> Array:
        w, rest = self._squared(u)
        return np.sign(u - 0.5) * np.sqrt(self.df * w / rest)

    def _standard_log_prob(self, e: Array) -> Array:
        half = self.df / 2
        return -np.log1p(e**2 / self.df) * (half + 0.5) - special.betaln(half, 0.5) - 0.5 * np.log(self.df)

    def _standard_slope(self, e: Array) -> Array:
        return -(self.df + 1) * e / (self.df + e**2)

    def _path(self, u: Array, z: Array) -> Array:
        w, rest = self._squared(u)
        moves = beta_logit_path(0.5, self.df / 2, w, rest)[1] / 2
        e = self._standard(u)
        return rows(z, 1.0, e, 0.5 * self.scale * e * (1 / self.df + moves))

    def _score(self, z: Array) -> Array:
        e, df = (z - self.loc) / self.scale, self.df
        w = e**2 / (df + e**2)
        constant = special.digamma((df + 1) / 2) - special.digamma(df / 2) - 1 / df
        return np.concatenate([super()._score(z), 0.5 * (constant - np.log1p(e**2 / df) + (1 + 1 / df) * w)[None]])
