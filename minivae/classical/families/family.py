"""What a reparameterizable family is: z made from noise whose distribution is known, with its two derivatives.

``path`` differentiates the draw at fixed noise, ``score`` the log-density at a fixed draw. For a smooth f

    d E[f(z)] / dtheta = E[f'(z) path + f(z) correction] = E[f(z) score],

where the correction is zero unless the noise itself depends on theta, as accepted noise does.
"""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeVar

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array
from minivae.core.errors import spoken

_TINY = float(np.finfo(np.float64).tiny)
F = TypeVar("F", bound="Family")


@dataclass(frozen=True)
class Family:
    """Base of the families of one real z: a member gives the formulas, which are named with an underscore.

    Parameters of a family are numbers, or arrays of one shape with the noise, entry for entry. The noise is uniform
    on (0, 1) unless a family says otherwise.

    Attributes
    ----------
    parameters : tuple of str
        What can be differentiated, in the order of the rows of ``path`` and ``score``; other fields are constants.
    """

    parameters: ClassVar[tuple[str, ...]] = ()
    _real: ClassVar[tuple[str, ...]] = ("loc",)  # the parameters that need not be positive

    def __post_init__(self) -> None:
        for name in self.parameters:
            check = checks.real if name in self._real else checks.positive
            found = check(getattr(self, name), name)
            if not found.size:
                raise ValueError(f"{name} must hold at least one number, got none. Use a number or an array of them.")
            object.__setattr__(self, name, found if found.ndim else float(found))
        self._shape()

    def _shape(self) -> tuple[int, ...]:
        """Return the shape that the parameters have together."""
        shapes = [np.shape(getattr(self, name)) for name in self.parameters]
        try:
            return np.broadcast_shapes(*shapes)
        except ValueError:
            raise ValueError(
                f"{' and '.join(self.parameters)} must have one shape, or be numbers, got shapes "
                f"{', '.join(map(str, shapes))}. Make them alike."
            ) from None

    @property
    def theta(self) -> Array:
        """The parameters as one vector; of arrays, all entries one after the other."""
        return np.concatenate([np.ravel(getattr(self, name)) for name in self.parameters])

    def at(self: F, theta: Any) -> F:
        """Return the family with other parameters, one number each, and the same constants.

        >>> from minivae.classical.families import Normal
        >>> Normal(0.0, 1.0).at([3.0, 2.0])
        Normal(loc=3.0, scale=2.0)
        """
        theta = checks.real(theta, "theta", (len(self.parameters),))
        return replace(self, **dict(zip(self.parameters, theta.tolist(), strict=True)))

    @property
    def support(self) -> tuple[float, float]:
        """The ends of the interval outside which the density is zero."""
        return -np.inf, np.inf

    @property
    def noise_shape(self) -> tuple[int, ...]:
        """The shape of the noise of one draw, which stands last in that of the noise."""
        return ()

    @property
    def z_shape(self) -> tuple[int, ...]:
        """The shape of one draw."""
        return ()

    def noise(self, rng: np.random.Generator, shape: tuple[int, ...] = ()) -> Array:
        """Draw noise for this many draws, shape (*shape, *noise_shape), inside (0, 1)."""
        shape = checks.shape_of(shape, "shape")
        return np.maximum(checks.generator(rng).random((*shape, *self.noise_shape)), 2.0**-54)  # random() may be 0

    @spoken("z")
    def sample(self, u: Any) -> Array:
        """Return z(u), one for each draw of noise; what rounds to an end of the support lies just inside."""
        low, high = self.support
        least = _TINY if low == 0 else np.nextafter(low, np.inf) if np.isfinite(low) else low
        most = np.nextafter(high, -np.inf) if np.isfinite(high) else high
        return np.asarray(np.clip(self._sample(self._looked_noise(u)), least, most))

    @spoken("log p(z)")
    def log_prob(self, z: Any) -> Array:
        """Return log p(z) in nats, for z inside the support."""
        return np.asarray(self._log_prob(self._looked(z)))

    @spoken("the path")
    def path(self, u: Any) -> Array:
        """Return dz/dtheta at fixed noise, shape (n_params, *shape of z)."""
        u = self._looked_noise(u)
        return self._path(u, self._sample(u))

    @spoken("the score")
    def score(self, z: Any) -> Array:
        """Return dlog p(z)/dtheta at fixed z, shape (n_params, *shape of log p)."""
        return self._score(self._looked(z))

    @spoken("the correction")
    def correction(self, u: Any) -> Array:
        """Return dlog p(u)/dtheta of the noise, shape (n_params, *shape of log p): zero where it knows no theta."""
        return self._correction(self._looked_noise(u))

    def moving_ends(self) -> list[tuple[float, Array]]:
        """Return the ends of the support that move with theta: z there, and the flux -+p(z) dz/dtheta out of it."""
        return []

    def _sample(self, u: Array) -> Array:
        raise NotImplementedError

    def _log_prob(self, z: Array) -> Array:
        raise NotImplementedError

    def _path(self, u: Array, z: Array) -> Array:
        raise NotImplementedError

    def _score(self, z: Array) -> Array:
        raise NotImplementedError

    def _correction(self, u: Array) -> Array:
        n_params = len(self.parameters) * int(np.prod(self.z_shape))
        return np.zeros((n_params, *self._draws(u, self.noise_shape, "u")))

    def _looked_noise(self, u: Any) -> Array:
        """Return noise, or refuse what is none of this family."""
        u = checks.real(u, "u")
        self._draws(u, self.noise_shape, "u")
        self._check_noise(u)
        return u

    def _check_noise(self, u: Array) -> None:
        """Refuse noise of another distribution."""
        outside = ~((u > 0) & (u < 1))
        if outside.any():
            raise ValueError(
                f"u must lie between 0 and 1, both excluded, got {u[outside][0]:g}. Draw it with noise(rng, shape)."
            )

    def _looked(self, z: Any) -> Array:
        """Return z, or refuse what lies outside the support."""
        z = checks.real(z, "z")
        self._draws(z, self.z_shape, "z")
        low, high = self.support
        outside = ~((z > low) & (z < high))
        if outside.any():
            raise ValueError(
                f"z must lie inside the support ({low:g}, {high:g}), got {z[outside][0]:g}. Its density is zero there."
            )
        return z

    def _draws(self, value: Array, last: tuple[int, ...], name: str) -> tuple[int, ...]:
        """Return the shape of the draws in an array that ends in the shape of one."""
        shape, n = value.shape, value.ndim - len(last)
        if n < 0 or shape[n:] != last:
            sizes = ", ".join(map(str, last))
            raise ValueError(f"{name} must have shape (..., {sizes}), got {shape}. Those are the numbers of one draw.")
        return self._with_parameters(shape[:n], name)

    def _with_parameters(self, shape: tuple[int, ...], name: str) -> tuple[int, ...]:
        """Return the shape that draws of this shape have with the parameters."""
        try:
            return np.broadcast_shapes(shape, self._shape())
        except ValueError:
            raise ValueError(
                f"{name} must have a shape that goes with that of the parameters, {self._shape()}, got {shape}. Give "
                f"one value for each, with the draws as first axis."
            ) from None


def rows(like: Array, *each: Any) -> Array:
    """Return one row for each parameter, each of the shape of z."""
    return np.stack([np.broadcast_to(row, like.shape) for row in each])
