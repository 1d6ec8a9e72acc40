"""Noise on the input of a denoising autoencoder: the encoder sees it, the loss asks for the clean x.

The noise is an argument, as everywhere: ``draw`` takes it from a generator, ``apply`` is deterministic. With a level of
zero a corruption draws nothing and changes nothing, so the model is the plain autoencoder, bit for bit.
"""

from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array
from minivae.core.registry import Table, saved


class Corruption(Protocol):
    """A random change of x.

    Attributes
    ----------
    level : str
        The name of the argument that says how strong it is.
    """

    level: str

    @property
    def active(self) -> bool:
        """Whether it changes anything."""

    @classmethod
    def fitting(cls, x: Array, **values: float) -> Self:
        """Return the corruption for data x, with these values of its own."""

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> Array:
        """Return noise of the given shape, in the distribution that ``apply`` expects."""

    def apply(self, x: Array, noise: Array) -> Array:
        """Return the corrupted x, of the shape of the noise; x broadcasts against it."""


def _pair(x: Any, noise: Any) -> tuple[Array, Array]:
    """Return x and the noise, whose last axes are those of x; at the price of a look."""
    if type(x) is not np.ndarray or x.dtype.kind != "f" or not x.size:
        raise ValueError(f"x must be an array of floats, got {checks.shown(x)}. Use x.astype(np.float32).")
    if (
        type(noise) is not np.ndarray
        or noise.dtype.kind != "f"
        or noise.ndim < x.ndim
        or noise.shape[noise.ndim - x.ndim :] != x.shape
    ):
        raise ValueError(
            f"noise must be floats of shape (..., {', '.join(map(str, x.shape))}), as x, got {checks.shown(noise)}. "
            f"Make it with draw(rng, shape, dtype)."
        )
    return x, noise


class _Fitting:
    """What most corruptions share: they do not depend on the data."""

    @classmethod
    def fitting(cls, x: Array, **values: float) -> Self:  # noqa: ARG003
        """Return the corruption for data x."""
        return cls(**values)


class _Uniform(_Fitting):
    """What the corruptions that choose pixels share: a fraction, and noise uniform in [0, 1)."""

    fraction: float
    level = "fraction"

    def __post_init__(self) -> None:
        checks.number(self.fraction, "fraction", low=0, closed=True, high=1)

    @property
    def active(self) -> bool:
        """Whether any pixel may change."""
        return self.fraction > 0

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> Array:
        """Return draws uniform in [0, 1)."""
        return checks.generator(rng).random(checks.shape_of(shape), dtype=checks.float_dtype(dtype))


@saved
@dataclass(frozen=True)
class GaussianNoise(_Fitting):
    """x + std eps, eps ~ N(0, I).

    Parameters
    ----------
    std : float
        Standard deviation, in the units of x.

    Examples
    --------
    >>> import numpy as np
    >>> GaussianNoise(0.5).apply(np.array([[1.0]]), np.array([[2.0]]))
    array([[2.]])
    """

    std: float = 0.3
    level = "std"

    def __post_init__(self) -> None:
        checks.number(self.std, "std", low=0, closed=True)

    @property
    def active(self) -> bool:
        """Whether std is positive."""
        return self.std > 0

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> Array:
        """Return draws of N(0, 1)."""
        return checks.generator(rng).standard_normal(checks.shape_of(shape), dtype=checks.float_dtype(dtype))

    def apply(self, x: Array, noise: Array) -> Array:
        """Return x + std noise."""
        x, noise = _pair(x, noise)
        return x + noise.dtype.type(self.std) * noise


@saved
@dataclass(frozen=True)
class MaskingNoise(_Uniform):
    """Each value becomes 0 with probability ``fraction``: where u < fraction, u uniform in [0, 1).

    Parameters
    ----------
    fraction : float
        In [0, 1).

    References
    ----------
    P. Vincent, H. Larochelle, Y. Bengio, P.-A. Manzagol, "Extracting and composing robust features with denoising
    autoencoders", 2008.

    Examples
    --------
    >>> import numpy as np
    >>> MaskingNoise(0.5).apply(np.array([[1.0, 1.0]]), np.array([[0.4, 0.6]]))
    array([[0., 1.]])
    """

    fraction: float = 0.3

    def apply(self, x: Array, noise: Array) -> Array:
        """Return x where noise >= fraction, else 0."""
        x, noise = _pair(x, noise)
        return np.where(noise < self.fraction, noise.dtype.type(0), x)


@saved
@dataclass(frozen=True)
class SaltAndPepperNoise(_Uniform):
    """Each value becomes ``low`` or ``high``, with probability fraction / 2 each: where u falls in an end of [0, 1).

    Parameters
    ----------
    fraction : float
        In [0, 1).
    low, high : float
        Pepper and salt: the ends of the data's range.

    Examples
    --------
    >>> import numpy as np
    >>> SaltAndPepperNoise(0.5).apply(np.full((1, 3), 0.5), np.array([[0.1, 0.5, 0.9]]))
    array([[0. , 0.5, 1. ]])
    """

    fraction: float = 0.3
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.number(self.low, "low", low=-np.inf)
        checks.number(self.high, "high", low=self.low)

    @classmethod
    def fitting(cls, x: Array, **values: float) -> "SaltAndPepperNoise":
        """Return the corruption to the ends of the range of the data."""
        x = checks.data(x)
        return cls(low=float(x.min()), high=float(x.max()), **values)

    def apply(self, x: Array, noise: Array) -> Array:
        """Return low where noise < fraction / 2, high where noise >= 1 - fraction / 2, else x."""
        x, noise = _pair(x, noise)
        low, high = noise.dtype.type(self.low), noise.dtype.type(self.high)
        return np.where(noise < self.fraction / 2, low, np.where(noise >= 1 - self.fraction / 2, high, x))


CORRUPTIONS: Table[type[Any]] = Table("corruption")
CORRUPTIONS.add("gaussian", GaussianNoise)
CORRUPTIONS.add("masking", MaskingNoise)
CORRUPTIONS.add("salt-and-pepper", SaltAndPepperNoise)
