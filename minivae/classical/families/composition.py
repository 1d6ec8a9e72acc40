"""A function of a family's draw is a family, too: the path follows by the chain rule, and the score stays."""

from dataclasses import dataclass

import numpy as np

from minivae.classical.families.location_scale import Normal
from minivae.core.arrays import Array


@dataclass(frozen=True)
class LogNormal(Normal):
    """z = exp(x) with x ~ N(loc, scale^2).

        log p(z) = log N(log z) - log z,   dz/dtheta = z dx/dtheta,   dlog p/dtheta = dlog N(log z)/dtheta

    >>> bool(LogNormal(0.5, 2.0).sample(0.5) == np.exp(0.5))
    True
    """

    @property
    def support(self) -> tuple[float, float]:
        """(0, inf)."""
        return 0.0, np.inf

    def _sample(self, u: Array) -> Array:
        return np.exp(super()._sample(u))

    def _log_prob(self, z: Array) -> Array:
        x = np.log(z)
        return super()._log_prob(x) - x

    def _path(self, u: Array, z: Array) -> Array:
        return z * super()._path(u, z)

    def _score(self, z: Array) -> Array:
        return super()._score(np.log(z))
