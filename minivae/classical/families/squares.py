"""Sums of squares of normals: scale and noncentrality are differentiable, the number of squares is a loop count.

The noise is normal, ``df`` numbers a draw. Another df is another number of them, and no small change of the draw: the
derivative with respect to a real df is that of the gamma distribution with shape df / 2.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy import special

from minivae.classical.families.family import Family, rows
from minivae.classical.families.gammas import Gamma
from minivae.core import checks
from minivae.core.arrays import Array


@dataclass(frozen=True)
class ChiSquare(Family):
    """z = scale sum_i eps_i^2 with df normal numbers: Gamma(df / 2, 2 scale).

    Parameters
    ----------
    scale : float or array
    df : int
        A constant.

    Examples
    --------
    >>> ChiSquare(0.5, df=3).sample([1.0, 2.0, 3.0]).item()
    7.0
    >>> ChiSquare(0.5, df=3).as_gamma()
    Gamma(shape=1.5, scale=1.0)
    """

    scale: Any = 1.0
    df: int = 1

    parameters: ClassVar[tuple[str, ...]] = ("scale",)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "df", checks.width(self.df, "df"))

    @property
    def support(self) -> tuple[float, float]:
        """(0, inf)."""
        return 0.0, np.inf

    @property
    def noise_shape(self) -> tuple[int, ...]:
        """(df,)."""
        return (self.df,)

    def noise(self, rng: np.random.Generator, shape: tuple[int, ...] = ()) -> Array:
        """Draw normal noise for this many draws, shape (*shape, df)."""
        return checks.generator(rng).standard_normal((*checks.shape_of(shape, "shape"), self.df))

    def as_gamma(self) -> Gamma:
        """Return the same distribution with a shape df / 2 that can be differentiated."""
        return Gamma(self.df / 2, 2 * self.scale)

    def _check_noise(self, u: Array) -> None:
        """Take any number: it may be normal."""

    def _sample(self, u: Array) -> Array:
        return self.scale * (u**2).sum(axis=-1)

    def _log_prob(self, z: Array) -> Array:
        half, x = self.df / 2, z / self.scale
        return (half - 1) * np.log(x / 2) - x / 2 - special.gammaln(half) - np.log(2 * self.scale)

    def _path(self, u: Array, z: Array) -> Array:  # noqa: ARG002
        return rows(z, z / self.scale)

    def _score(self, z: Array) -> Array:
        return ((z / self.scale - self.df) / (2 * self.scale))[None]


@dataclass(frozen=True)
class NoncentralChiSquare(ChiSquare):
    """z = scale [(eps_1 + sqrt(nc))^2 + eps_2^2 + ...]: of the shifts only the sum of squares, nc > 0, matters.

        dz/d(scale, nc) = z / scale, scale (1 + eps_1 / sqrt(nc))

    With x = z / scale, nu = df / 2 - 1, I_nu the modified Bessel function, r = I_(nu+1) / I_nu at sqrt(nc x):

        p = (x / nc)^(nu/2) I_nu(sqrt(nc x)) exp(-(x + nc) / 2) / (2 scale)
        dlog p/dnc = (sqrt(x / nc) r - 1) / 2
        dlog p/dscale = -(1 + x dlog p/dx) / scale,   dlog p/dx = nu / x + (sqrt(nc / x) r - 1) / 2

    >>> NoncentralChiSquare(1.0, df=2, nc=4.0).sample([1.0, 1.0]).item()  # 3^2 + 1
    10.0
    """

    nc: Any = 1.0

    parameters: ClassVar[tuple[str, ...]] = ("scale", "nc")

    def as_gamma(self) -> Gamma:
        """Refuse: a noncentral one is no gamma distribution."""
        raise ValueError(f"nc must be 0 for a gamma distribution, got {self.nc}. Use ChiSquare.")

    def _shifted(self, u: Array) -> Array:
        return u[..., 0] + np.sqrt(self.nc)

    def _sample(self, u: Array) -> Array:
        return self.scale * (self._shifted(u) ** 2 + (u[..., 1:] ** 2).sum(axis=-1))

    def _log_prob(self, z: Array) -> Array:
        nu, x = self.df / 2 - 1, z / self.scale
        far = np.log(special.ive(nu, np.sqrt(self.nc * x))) - 0.5 * (np.sqrt(x) - np.sqrt(self.nc)) ** 2
        return 0.5 * nu * np.log(x / self.nc) + far - np.log(2 * self.scale)

    def _path(self, u: Array, z: Array) -> Array:
        return rows(z, z / self.scale, self.scale * self._shifted(u) / np.sqrt(self.nc))

    def _score(self, z: Array) -> Array:
        nu, x = self.df / 2 - 1, z / self.scale
        at = np.sqrt(self.nc * x)
        ratio = special.ive(nu + 1, at) / special.ive(nu, at)
        dx = nu / x + 0.5 * (self.nc * ratio / at - 1)
        return rows(x, -(1 + x * dx) / self.scale, 0.5 * (x * ratio / at - 1))
