"""Smaller and larger images without parameters: the mean or the largest of each window, and pixels repeated."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array
from minivae.core.registry import saved
from minivae.nn.looking import LookingLayer, Shape, image_shape


class _Windows(LookingLayer):
    """Base: windows of size x size pixels, side by side, of images that travel as flat rows."""

    shape: Shape
    size: int
    n_params = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", image_shape(self.shape))
        checks.width(self.size, "size")

    @property
    def n_in(self) -> int:  # type: ignore[override]
        """Numbers in an image."""
        return self.shape[0] * self.shape[1] * self.shape[2]

    @property
    def n_out(self) -> int:  # type: ignore[override]
        """Numbers in the output."""
        channels, h, w = self.out_shape
        return channels * h * w

    @property
    def out_shape(self) -> Shape:
        """Shape of the output."""
        return self.shape[0], self.shape[1] // self.size, self.shape[2] // self.size

    def _fits(self) -> None:
        for name, n in zip(("height", "width"), self.shape[1:], strict=True):
            if n % self.size:
                raise ValueError(
                    f"size must divide the {name}, {n}, got {self.size}, which would give {n / self.size:g} windows. "
                    f"Use another size, or another shape before it."
                )


@saved
@dataclass(frozen=True)
class AveragePool(_Windows):
    """y = mean of each window of size x size pixels; dx = dy / size^2 for each pixel of it.

    Parameters
    ----------
    shape : (channels, height, width)
    size : int
        It divides height and width.

    Examples
    --------
    >>> AveragePool((1, 2, 2), 2).forward(np.empty(0), np.array([[1.0, 2.0, 3.0, 6.0]]))[0]
    array([[3.]])
    """

    shape: Shape
    size: int
    analytic = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._fits()

    def _forward(self, params: Array, x: Array) -> tuple[Array, Any]:  # noqa: ARG002
        c, h, w = self.out_shape
        y = x.reshape(len(x), c * h, self.size, w, self.size).mean(axis=(2, 4))
        return y.reshape(len(x), -1), x

    def _backward(self, params: Array, cache: Any, dy: Array, grads: Array | None, need_dx: bool) -> Array | None:  # noqa: ARG002
        return _repeated(dy / dy.dtype.type(self.size**2), self.out_shape, self.size) if need_dx else None


@saved
@dataclass(frozen=True)
class MaxPool(_Windows):
    """y = largest of each window of size x size pixels; dx = dy at the first pixel that has it, and 0 elsewhere.

    Parameters
    ----------
    shape : (channels, height, width)
    size : int
        It divides height and width.

    Examples
    --------
    >>> MaxPool((1, 2, 2), 2).forward(np.empty(0), np.array([[1.0, 2.0, 3.0, 6.0]]))[0]
    array([[6.]])
    """

    shape: Shape
    size: int

    def __post_init__(self) -> None:
        super().__post_init__()
        self._fits()

    def _forward(self, params: Array, x: Array) -> tuple[Array, Any]:  # noqa: ARG002
        (c, h, w), s = self.out_shape, self.size
        windows = x.reshape(len(x), c * h, s, w, s).swapaxes(2, 3).reshape(len(x), -1, s * s)
        at = windows.argmax(axis=2)[..., None]  # also the place of a NaN
        return np.take_along_axis(windows, at, axis=2)[..., 0], at

    def _backward(self, params: Array, cache: Any, dy: Array, grads: Array | None, need_dx: bool) -> Array | None:  # noqa: ARG002
        if not need_dx:
            return None
        (c, h, w), s = self.out_shape, self.size
        windows = np.zeros((*dy.shape, s * s), dy.dtype)
        np.put_along_axis(windows, cache, dy[..., None], axis=2)
        return windows.reshape(len(dy), c * h, w, s, s).swapaxes(2, 3).reshape(len(dy), -1)


@saved
@dataclass(frozen=True)
class Upsample(_Windows):
    """Nearest-neighbour upsampling: each pixel becomes size x size equal ones; dx = sum of dy over them.

    Parameters
    ----------
    shape : (channels, height, width)
    size : int

    Examples
    --------
    >>> Upsample((1, 1, 2), 2).forward(np.empty(0), np.array([[1.0, 2.0]]))[0]
    array([[1., 1., 2., 2., 1., 1., 2., 2.]])
    """

    shape: Shape
    size: int
    analytic = True

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.size(self.n_out, "shape and size", (self.shape, self.size))

    @property
    def out_shape(self) -> Shape:
        """Shape of the output."""
        return self.shape[0], self.shape[1] * self.size, self.shape[2] * self.size

    def _forward(self, params: Array, x: Array) -> tuple[Array, Any]:  # noqa: ARG002
        return _repeated(x, self.shape, self.size), x

    def _backward(self, params: Array, cache: Any, dy: Array, grads: Array | None, need_dx: bool) -> Array | None:  # noqa: ARG002
        if not need_dx:
            return None
        c, h, w = self.shape
        return dy.reshape(len(dy), c * h, self.size, w, self.size).sum(axis=(2, 4)).reshape(len(dy), -1)


def _repeated(x: Array, shape: Shape, size: int) -> Array:
    """Return images of a shape with each pixel size x size times."""
    c, h, w = shape
    large = np.broadcast_to(x.reshape(len(x), c * h, 1, w, 1), (len(x), c * h, size, w, size))
    return large.reshape(len(x), -1)
