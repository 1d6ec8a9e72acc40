"""Convolution and its transpose on images that travel as flat rows (C H W), channel by channel, row by row."""

from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np

from minivae.core import checks, kernels
from minivae.core.arrays import Array
from minivae.core.registry import saved
from minivae.nn.looking import LookingLayer, Shape, first_weights, image_shape, pair


class _Patches(LookingLayer):
    """Base of a convolution and its transpose, which differ in which of the two images is the larger."""

    shape: Shape
    channels: int
    kernel: int | tuple[int, int]
    stride: int
    padding: int
    weights: Literal["glorot", "he"]
    analytic = True
    small_products = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", image_shape(self.shape))
        object.__setattr__(self, "kernel", pair(self.kernel, "kernel"))
        for name in ("channels", "stride"):
            checks.width(getattr(self, name), name)
        checks.whole(self.padding, "padding")
        checks.choice(self.weights, ("glorot", "he"), "weights")
        if self.padding >= min(self._patch):
            raise ValueError(
                f"padding must be smaller than the kernel, or a patch would lie in it alone, got {self.padding} with a "
                f"kernel of {self._patch[0]} x {self._patch[1]}. Use padding={min(self._patch) - 1} or less."
            )
        what = (self.shape, self.channels, self.kernel, self.stride)
        checks.size(max(self.n_out, self.n_params), "shape, channels, kernel and stride", what)

    @property
    def out_shape(self) -> Shape:
        """Shape of the output."""
        raise NotImplementedError

    @property
    def _patch(self) -> tuple[int, int]:
        return cast(tuple[int, int], self.kernel)  # of which __post_init__ made two numbers

    @property
    def n_in(self) -> int:  # type: ignore[override]
        """Numbers in an image."""
        return self.shape[0] * self.shape[1] * self.shape[2]

    @property
    def n_out(self) -> int:  # type: ignore[override]
        """Numbers in the output."""
        channels, height, width = self.out_shape
        return channels * height * width

    @property
    def n_params(self) -> int:  # type: ignore[override]
        """A weight for each channel in and out and each place of the kernel, and a bias for each channel out."""
        return self.channels * (self.shape[0] * self._patch[0] * self._patch[1] + 1)

    def _geometry(self, large: Shape) -> tuple[int, ...]:
        return (*large, *self._patch, self.stride, self.padding)


@saved
@dataclass(frozen=True)
class Conv2d(_Patches):
    """Convolution (a correlation, as everywhere in this field), each output pixel a sum over a patch of every channel.

        y[o, i, j] = b[o] + sum_{c, k, l} W[o, c, k, l] x[c, stride i + k - padding, stride j + l - padding]

    Backward: dW[o, c, k, l] = sum dy[o, i, j] x[c, ...] over batch and pixels, db = sum dy, and dx gathers W dy from
    all patches that a pixel lies in. Outside the image x is zero.

    Parameters
    ----------
    shape : (channels, height, width)
        Of the image; a row of x is that many numbers, channel by channel.
    channels : int
        Of the output.
    kernel : int or (height, width)
    stride, padding : int
    weights : {"glorot", "he"}
        As for ``Dense``, with the numbers that an output is made of, and that an input goes to, for n_in and n_out.

    Raises
    ------
    ValueError
        If the kernel is larger than the image with its padding, or the stride does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> layer = Conv2d((1, 28, 28), 16, kernel=4, stride=2, padding=1)
    >>> layer.out_shape, layer.n_params
    ((16, 14, 14), 272)
    >>> y, cache = layer.forward(layer.init(np.random.default_rng(0)), np.ones((3, 784)))
    >>> y.shape
    (3, 3136)
    """

    shape: Shape
    channels: int
    kernel: int | tuple[int, int]
    stride: int = 1
    padding: int = 0
    weights: Literal["glorot", "he"] = "glorot"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._fits()

    @property
    def out_shape(self) -> Shape:
        """Shape of the output."""
        h, w = ((n + 2 * self.padding - k) // self.stride + 1 for n, k in zip(self.shape[1:], self._patch, strict=True))
        return self.channels, h, w

    def _fits(self) -> None:
        """Refuse a kernel that is larger than the image, and a stride that leaves pixels over."""
        for name, size, k in zip(("height", "width"), self.shape[1:], self._patch, strict=True):
            padded = size + 2 * self.padding
            if k > padded:
                raise ValueError(
                    f"kernel must fit into the image, got {k} in {name}, where that is {padded} with its padding. "
                    f"Use a kernel of {padded} or less."
                )
            left = (padded - k) % self.stride
            if left:
                raise ValueError(
                    f"stride must fit the {name}: ({size} + 2 * {self.padding} - {k}) / {self.stride} + 1 must be "
                    f"whole, got an output of {(padded - k) / self.stride + 1:g}. Use a kernel of {k + left}, or "
                    f"another padding."
                )

    @property
    def shapes(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """Name and shape of the weights and of the biases."""
        return ("weight", (self.channels, self.shape[0], *self._patch)), ("bias", (self.channels,))

    def _start(self, rng: np.random.Generator) -> list[Array]:
        (_, shape), _ = self.shapes
        fan_in, fan_out = shape[1] * shape[2] * shape[3], shape[0] * shape[2] * shape[3] / self.stride**2
        return [first_weights(rng, self.weights, shape, fan_in, fan_out), np.zeros(self.channels)]

    def _forward(self, params: Array, x: Array) -> tuple[Array, Any]:
        return kernels.conv(params, x, self.channels, self._geometry(self.shape)), x

    def _backward(self, params: Array, cache: Any, dy: Array, grads: Array | None, need_dx: bool) -> Array | None:
        own = params[:0].copy() if grads is None else grads
        dx = kernels.conv_backward(params, cache, dy, own, self._geometry(self.shape), need_dx)
        return dx if need_dx else None


@saved
@dataclass(frozen=True)
class ConvTranspose2d(_Patches):
    """The transpose of a convolution, from its output's shape to its input's: each pixel puts a patch, patches add up.

        y[c, stride i + k - padding, stride j + l - padding] += sum_o W[o, c, k, l] x[o, i, j],   then y[c] += b[c]

    Backward it is a convolution: dx[o, i, j] = sum W[o, c, k, l] dy[c, stride i + k - padding, ...]; dW and db as
    there. Height and width become (h - 1) stride + kernel - 2 padding.

    Parameters
    ----------
    shape : (channels, height, width)
        Of the image that comes in, the smaller one.
    channels : int
        Of the output.
    kernel : int or (height, width)
    stride, padding : int
    weights : {"glorot", "he"}

    Examples
    --------
    >>> import numpy as np
    >>> layer = ConvTranspose2d((16, 14, 14), 1, kernel=4, stride=2, padding=1)
    >>> layer.out_shape, layer.n_params
    ((1, 28, 28), 257)
    """

    shape: Shape
    channels: int
    kernel: int | tuple[int, int]
    stride: int = 1
    padding: int = 0
    weights: Literal["glorot", "he"] = "glorot"

    def __post_init__(self) -> None:
        super().__post_init__()
        _, h, w = self.out_shape
        if min(h, w) < 1:
            raise ValueError(
                f"padding must leave an image, got {self.padding}, which leaves {h} x {w}. Use a smaller one, or a "
                f"larger kernel."
            )

    @property
    def out_shape(self) -> Shape:
        """Shape of the output."""
        h, w = ((n - 1) * self.stride + k - 2 * self.padding for n, k in zip(self.shape[1:], self._patch, strict=True))
        return self.channels, h, w

    @property
    def shapes(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """Name and shape of the weights and of the biases."""
        return ("weight", (self.shape[0], self.channels, *self._patch)), ("bias", (self.channels,))

    def _start(self, rng: np.random.Generator) -> list[Array]:
        (_, shape), _ = self.shapes
        fan_in, fan_out = shape[0] * shape[2] * shape[3] / self.stride**2, shape[1] * shape[2] * shape[3]
        return [first_weights(rng, self.weights, shape, fan_in, fan_out), np.zeros(self.channels)]

    def _forward(self, params: Array, x: Array) -> tuple[Array, Any]:
        return kernels.conv_transpose(params, x, self._geometry(self.out_shape)), x

    def _backward(self, params: Array, cache: Any, dy: Array, grads: Array | None, need_dx: bool) -> Array | None:
        own = params[:0].copy() if grads is None else grads
        dx = kernels.conv_transpose_backward(params, cache, dy, own, self._geometry(self.out_shape), need_dx)
        return dx if need_dx else None
