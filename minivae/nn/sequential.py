"""Layers one after the other."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array
from minivae.core.boxes import slices_of
from minivae.core.registry import saved
from minivae.core.trust import looked
from minivae.nn.activations import ACTIVATIONS
from minivae.nn.dense import Dense
from minivae.nn.dropout import n_noise
from minivae.nn.layer import Layer


@saved
@dataclass(frozen=True)
class Sequential:
    """Layers one after the other; itself a layer, so it may stand inside another.

    ``forward`` is a loop; ``backward`` is the same loop reversed.

    Parameters
    ----------
    layers : sequence of Layer
        Neighbouring widths must agree.

    Examples
    --------
    >>> import numpy as np
    >>> from minivae.nn import Tanh
    >>> net = Sequential([Dense(4, 8), Tanh(), Dense(8, 2)])
    >>> params = net.init(np.random.default_rng(0))
    >>> y, caches = net.forward(params, np.ones((3, 4)))
    >>> y.shape, net.n_params
    ((3, 2), 58)
    """

    layers: tuple[Layer, ...]

    def __init__(self, layers: Sequence[Layer]) -> None:
        if not isinstance(layers, Iterable) or isinstance(layers, (str, bytes, np.ndarray)):
            raise ValueError(f"layers must be a list of layers, got {checks.shown(layers)}. Write Sequential([...]).")
        object.__setattr__(self, "layers", tuple(layers))
        if not self.layers:
            raise ValueError("layers must hold at least one layer, got none. Add a Dense.")
        width, image = None, None
        for i, layer in enumerate(self.layers):
            if isinstance(layer, type) or not isinstance(layer, Layer):
                raise ValueError(f"layers[{i}] must be a layer, got {checks.shown(layer)}. Pass Tanh(), not Tanh.")
            if layer.n_in is not None and width is not None and layer.n_in != width:
                raise ValueError(
                    f"layers[{i}] must take the {width} values of the layer before it, "
                    f"got n_in={layer.n_in}. Make neighbouring widths agree."
                )
            width = layer.n_out if layer.n_out is not None else width
            shape = getattr(layer, "shape", None)
            if shape is not None and image is not None and shape != image:
                raise ValueError(
                    f"layers[{i}] must take the images of the layer before it, channels, height and width {image}, "
                    f"got {shape}. Make neighbouring shapes agree."
                )
            image = getattr(layer, "out_shape", None) if layer.n_out is not None else image
        checks.size(self.n_params, "layers", self.layers)

    @cached_property
    def n_params(self) -> int:
        """Sum over the layers."""
        return sum(layer.n_params for layer in self.layers)

    @cached_property
    def n_in(self) -> int | None:
        """Width that the first layer with a width takes."""
        return next((layer.n_in for layer in self.layers if layer.n_in is not None), None)

    @cached_property
    def n_out(self) -> int | None:
        """Width that the last layer with a width gives."""
        return next((layer.n_out for layer in reversed(self.layers) if layer.n_out is not None), None)

    @cached_property
    def shape(self) -> Any:
        """Shape of the images that the first layer with a width takes, (channels, height, width), or None."""
        return next((getattr(layer, "shape", None) for layer in self.layers if layer.n_in is not None), None)

    @cached_property
    def out_shape(self) -> Any:
        """Shape of the images that the last layer with a width gives, or None."""
        own = (getattr(layer, "out_shape", None) for layer in reversed(self.layers) if layer.n_out is not None)
        return next(own, None)

    @cached_property
    def slices(self) -> tuple[slice, ...]:
        """Where each layer's parameters stand in the flat vector."""
        return slices_of(self.layers)

    @cached_property
    def analytic(self) -> bool:
        """Whether every layer takes complex numbers."""
        return all(getattr(layer, "analytic", False) for layer in self.layers)

    @cached_property
    def n_noise(self) -> int:
        """Numbers of noise for a row, of each ``Dropout`` in turn."""
        return n_noise(self.layers)

    def given(self, noise: Array) -> "Sequential":
        """Return the network that drops where the noise, shape (R, n_noise), says so: ``Dropout.given``."""
        noise, layers, start = checks.look(noise, "noise", (None, self.n_noise)), [], 0
        for layer in self.layers:
            n = n_noise([layer])
            layers.append(layer.given(noise[:, start : start + n]) if n else layer)  # type: ignore[attr-defined]
            start += n
        return Sequential(layers)

    @property
    def out_range(self) -> tuple[float, float]:
        """What the values of the last layer lie between."""
        return getattr(self.layers[-1], "out_range", (-math.inf, math.inf))

    def out_bias(self, params: Array) -> Array | None:
        """Return the view of the last layer's bias, or None where it has none."""
        checks.parameters(params, self.n_params)
        last = self.layers[-1]
        return last.out_bias(params[self.slices[-1]]) if hasattr(last, "out_bias") else None

    def flat_layers(self) -> Iterator[Layer]:
        """Yield each layer, those inside others too."""
        for layer in self.layers:
            if hasattr(layer, "flat_layers"):
                yield from layer.flat_layers()
            else:
                yield layer

    def steps(self, caches: list[Any], *flats: Array) -> Iterator[tuple[Any, Any, list[Array]]]:
        """Yield each layer, those inside others too, with its cache and its slices of the flat vectors."""
        for layer, part, cache in zip(self.layers, self.slices, caches, strict=True):
            own = [flat[part] for flat in flats]
            if isinstance(layer, Sequential):
                yield from layer.steps(cache, *own)
            else:
                yield layer, cache, own

    def init(self, rng: np.random.Generator, dtype: Any = np.float64) -> Array:
        """Return the layers' initial parameters, end to end."""
        return np.concatenate([layer.init(rng, dtype) for layer in self.layers])

    def named(self, params: Array) -> Iterator[tuple[str, Array]]:
        """Yield ("0.weight", view) and so on, numbered by layer."""
        checks.parameters(params, self.n_params)
        for i, (layer, part) in enumerate(zip(self.layers, self.slices, strict=True)):
            for name, view in layer.named(params[part]):
                yield f"{i}.{name}", view

    def forward(self, params: Array, x: Array) -> tuple[Array, list[Any]]:
        """Return the last layer's output and every layer's cache."""
        checks.parameters(params, self.n_params)
        caches = []
        for layer, part in zip(self.layers, self.slices, strict=True):
            x, cache = layer.forward(params[part], x)
            caches.append(cache)
        return x, caches

    def backward(
        self, params: Array, cache: list[Any], dy: Array, grads: Array | None, need_dx: bool = True
    ) -> Array | None:
        """Overwrite ``grads`` and return dx; the first layer's dx is skipped unless needed."""
        if not looked.already:
            checks.parameters(params, self.n_params)
            need_dx = checks.flag(need_dx, "need_dx")
            if grads is not None:
                checks.place(grads, self.n_params, params.dtype)
        d: Any = dy
        for i in reversed(range(len(self.layers))):
            part = self.slices[i]
            own = None if grads is None else grads[part]
            d = self.layers[i].backward(params[part], cache[i], d, own, need_dx or i > 0)
        return d

    def trace(self, params: Array, x: Array) -> Iterator[tuple[str, Array]]:
        """Yield the name and the output of each layer in turn."""
        checks.parameters(params, self.n_params)
        for i, (layer, part) in enumerate(zip(self.layers, self.slices, strict=True)):
            x, _ = layer.forward(params[part], x)
            yield f"{i} ({type(layer).__name__}) output", x


def mlp(widths: Sequence[int], activation: Layer | str = "relu") -> Sequential:
    """Return Dense layers with an activation between them, and none after the last.

    Parameters
    ----------
    widths : sequence of int
        Widths of input, hidden layers and output; at least two.
    activation : Layer or str
        A layer without parameters, or its name in lower case. Layers before a ReLU or ELU start with He
        weights, the others with Glorot weights.

    Examples
    --------
    >>> mlp([64, 128, 4]).n_params
    8836
    """
    widths = checks.widths(widths, "widths")
    if len(widths) < 2:
        raise ValueError(f"widths must name at least input and output, got {widths}. Use [n_in, n_out].")
    if isinstance(activation, str):
        activation = ACTIVATIONS.choose(activation)
    elif isinstance(activation, type) or not isinstance(activation, Layer):
        raise ValueError(
            f"activation must be a layer or its name, got {checks.shown(activation)}. For example Tanh(), or 'tanh'."
        )
    scheme: Literal["glorot", "he"] = getattr(activation, "initial_weights", "glorot")
    layers: list[Layer] = []
    for n_in, n_out in zip(widths[:-2], widths[1:-1], strict=True):
        layers += [Dense(n_in, n_out, scheme), activation]
    return Sequential([*layers, Dense(widths[-2], widths[-1])])
