"""Gamma, beta and Dirichlet by implicit gradients: quantiles without a formula, whose paths ``implicit`` integrates."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from scipy import special

from minivae.classical.families.family import Family, rows
from minivae.classical.families.implicit import beta_logit_path, beta_quantiles, gamma_log_path
from minivae.core import checks
from minivae.core.arrays import Array

_TINY = 1e-290  # below it a quantile is a power of u, and only its logarithm can be told


def _gamma_quantile(alpha: Any, u: Array) -> tuple[Array, Array]:
    """Return z and log z, z^alpha / Gamma(alpha + 1) = u where z is tiny."""
    z = special.gammaincinv(alpha, u)
    small = (np.log(u) + special.gammaln(alpha + 1)) / alpha
    return z, np.where(z > _TINY, np.log(np.maximum(z, _TINY)), small)


@dataclass(frozen=True)
class Gamma(Family):
    """p = (z / scale)^(shape - 1) exp(-z / scale) / (scale Gamma(shape)), by implicit gradients.

    z = scale P^-1(shape, u), with P the regularised incomplete gamma function, and dz/dshape as in ``implicit``. A
    small shape has draws below the smallest float64, which come out as that.

    Examples
    --------
    >>> Gamma(1.0, 2.0).sample([1 - np.exp(-1)]).round(12)  # with shape 1 the exponential distribution
    array([2.])
    """

    shape: Any = 1.0
    scale: Any = 1.0

    parameters: ClassVar[tuple[str, ...]] = ("shape", "scale")

    @property
    def support(self) -> tuple[float, float]:
        """(0, inf)."""
        return 0.0, np.inf

    def _sample(self, u: Array) -> Array:
        return self.scale * _gamma_quantile(self.shape, u)[0]

    def _log_prob(self, z: Array) -> Array:
        x = z / self.scale
        return (self.shape - 1) * np.log(x) - x - special.gammaln(self.shape) - np.log(self.scale)

    def _path(self, u: Array, z: Array) -> Array:
        return rows(z, z * gamma_log_path(self.shape, *_gamma_quantile(self.shape, u)), z / self.scale)

    def _score(self, z: Array) -> Array:
        x = z / self.scale
        return rows(x, np.log(x) - special.digamma(self.shape), (x - self.shape) / self.scale)


@dataclass(frozen=True)
class Beta(Family):
    """p = z^(a - 1) (1 - z)^(b - 1) / B(a, b) on (0, 1), by implicit gradients.

    >>> Beta(2.0, 1.0).sample([0.25]).round(12)  # with b = 1 z = u^(1/a)
    array([0.5])
    """

    a: Any = 1.0
    b: Any = 1.0

    parameters: ClassVar[tuple[str, ...]] = ("a", "b")

    @property
    def support(self) -> tuple[float, float]:
        """(0, 1)."""
        return 0.0, 1.0

    def _sample(self, u: Array) -> Array:
        return special.betaincinv(self.a, self.b, u)

    def _log_prob(self, z: Array) -> Array:
        return (self.a - 1) * np.log(z) + (self.b - 1) * np.log1p(-z) - special.betaln(self.a, self.b)

    def _path(self, u: Array, z: Array) -> Array:
        z, rest = beta_quantiles(self.a, self.b, u)
        return z * rest * beta_logit_path(self.a, self.b, z, rest)

    def _score(self, z: Array) -> Array:
        both = special.digamma(self.a + self.b)
        return rows(z, np.log(z) + both - special.digamma(self.a), np.log1p(-z) + both - special.digamma(self.b))


@dataclass(frozen=True)
class Dirichlet(Family):
    """Gamma variables g_i of shape alpha_i, divided by their sum: z on the simplex, by implicit gradients.

        z_j = g_j / sum_i g_i,   dz_j/dalpha_i = (delta_ij - z_i) z_j dlog g_i/dalpha_i

    Each draw takes D uniform numbers; paths and scores have D rows, one for each entry of the concentration.

    Parameters
    ----------
    concentration : array of shape (D,)
        At least two.

    Examples
    --------
    >>> Dirichlet([1.0, 1.0, 1.0]).sample([0.3, 0.3, 0.3]).round(12)
    array([0.33333333, 0.33333333, 0.33333333])
    """

    concentration: Any = (1.0, 1.0)

    parameters: ClassVar[tuple[str, ...]] = ("concentration",)

    def __post_init__(self) -> None:
        found = checks.real(self.concentration, "concentration", (None,))
        if len(found) < 2:
            raise ValueError("concentration must hold at least two numbers, got one. Use Beta(a, b) for two parts.")
        object.__setattr__(self, "concentration", checks.positive(found, "concentration"))

    def at(self, theta: Any) -> "Dirichlet":
        """Return the family with another concentration of the same length."""
        return replace(self, concentration=checks.real(theta, "theta", self.concentration.shape))

    def _shape(self) -> tuple[int, ...]:
        return ()

    @property
    def support(self) -> tuple[float, float]:
        """(0, 1) for each part; together they are 1."""
        return 0.0, 1.0

    @property
    def noise_shape(self) -> tuple[int, ...]:
        """(D,)."""
        return self.concentration.shape

    @property
    def z_shape(self) -> tuple[int, ...]:
        """(D,)."""
        return self.concentration.shape

    def _looked(self, z: Any) -> Array:
        z = super()._looked(z)
        off = np.abs(z.sum(axis=-1) - 1)
        if (off > 1e-9).any():
            raise ValueError(f"z must sum to 1 over its parts, got a sum {off.max():.1e} off. Divide by the sum.")
        return z

    def _log_gammas(self, u: Array) -> Array:
        """Return log g_i(u_i)."""
        return _gamma_quantile(self.concentration, u)[1]

    def _moves(self, u: Array) -> Array:
        """Return dlog g_i/dalpha_i at fixed noise."""
        return gamma_log_path(self.concentration, *_gamma_quantile(self.concentration, u))

    def _sample(self, u: Array) -> Array:
        return special.softmax(self._log_gammas(u), axis=-1)

    def _path(self, u: Array, z: Array) -> Array:
        mine = np.eye(z.shape[-1]) - z[..., None]  # entry i, j of each draw: delta_ij - z_i
        return np.moveaxis(mine * z[..., None, :] * self._moves(u)[..., None], -2, 0)

    def _log_prob(self, z: Array) -> Array:
        alpha = self.concentration
        return ((alpha - 1) * np.log(z) - special.gammaln(alpha)).sum(axis=-1) + special.gammaln(alpha.sum())

    def _score(self, z: Array) -> Array:
        alpha = self.concentration
        return np.moveaxis(np.log(z) + special.digamma(alpha.sum()) - special.digamma(alpha), -1, 0)
