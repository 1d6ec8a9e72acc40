"""Layers of known width that look at their arguments in one place, and leave the mathematics to the class."""

import math
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array
from minivae.core.trust import looked


class LookingLayer:
    """Base of layers of known width: ``forward`` and ``backward`` look at shapes, ``_forward`` and ``_backward`` work.

    A cache is x, or a tuple whose first array has a row for each example.
    """

    n_params: int
    n_in: int
    n_out: int
    analytic: bool = False
    small_products: bool = False  # one after the other, so that a second thread of BLAS would wait more than work
    out_range: tuple[float, float] = (-math.inf, math.inf)

    @property
    def shapes(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """Name and shape of each array of parameters, in their order."""
        return ()

    def init(self, rng: np.random.Generator | None = None, dtype: Any = np.float64) -> Array:
        """Return initial parameters, drawn in float64 and rounded."""
        dtype = checks.float_dtype(dtype)
        if not self.n_params:
            return np.empty(0, dtype)
        return np.concatenate([part.ravel() for part in self._start(checks.generator(rng))]).astype(dtype)

    def unpack(self, params: Array) -> list[Array]:
        """Return a view of each array of parameters, of a flat vector of parameters or gradients."""
        checks.parameters(params, self.n_params)
        return self._views(params)

    def named(self, params: Array) -> Iterator[tuple[str, Array]]:
        """Yield the name and the view of each array of parameters."""
        checks.parameters(params, self.n_params)
        return iter([(name, view) for (name, _), view in zip(self.shapes, self._views(params), strict=True)])

    def out_bias(self, params: Array) -> Array | None:
        """Return None: there is no bias of one number an output."""
        checks.parameters(params, self.n_params)
        return None

    def forward(self, params: Array, x: Array) -> tuple[Array, Any]:
        """Return y, shape (batch, n_out), and the cache."""
        if not looked.already:
            params = checks.ready(params, self.n_params)
            remedy = "Use x.reshape(len(x), -1).astype(params.dtype)."
            x = checks.look(x, "x", (None, self.n_in), params.dtype, remedy)
            self._look_closer(x)
        return self._forward(params, x)

    def backward(self, params: Array, cache: Any, dy: Array, grads: Array | None, need_dx: bool = True) -> Array | None:
        """Write the parameters' gradient into ``grads``, unless None; return dx, (batch, n_in), unless not needed."""
        if not looked.already:
            params = checks.ready(params, self.n_params)
            n_batch = len(cache[0] if isinstance(cache, tuple) else cache)
            dy = checks.look(dy, "dy", (n_batch, self.n_out), params.dtype)
            need_dx = checks.flag(need_dx, "need_dx")
            if grads is not None:
                checks.place(grads, self.n_params, params.dtype)
        return self._backward(params, cache, dy, grads, need_dx)

    def _look_closer(self, x: Array) -> None:
        """Refuse what has the right shape, and no meaning for this layer."""

    def _views(self, params: Array) -> list[Array]:
        views, start = [], 0
        for _, shape in self.shapes:
            stop = start + math.prod(shape)
            views.append(params[start:stop].reshape(shape))
            start = stop
        return views

    def _start(self, rng: np.random.Generator) -> list[Array]:
        raise NotImplementedError

    def _forward(self, params: Array, x: Array) -> tuple[Array, Any]:
        raise NotImplementedError

    def _backward(self, params: Array, cache: Any, dy: Array, grads: Array | None, need_dx: bool) -> Array | None:
        raise NotImplementedError


def first_weights(
    rng: np.random.Generator, scheme: Literal["glorot", "he"], shape: tuple[int, ...], fan_in: float, fan_out: float
) -> Array:
    """Return weights: uniform in +-sqrt(6 / (fan_in + fan_out)), or normal with variance 2 / fan_in.

    >>> first_weights(np.random.default_rng(0), "he", (2, 3), 3, 2).shape
    (2, 3)
    """
    if scheme == "he":
        return math.sqrt(2 / fan_in) * rng.standard_normal(shape)
    limit = math.sqrt(6 / (fan_in + fan_out))
    return rng.uniform(-limit, limit, shape)


Shape = tuple[int, int, int]


def image_shape(value: Any, name: str = "shape") -> Shape:
    """Return the shape of an image with its channels, (channels, height, width)."""
    if not isinstance(value, (tuple, list)) or len(value) != 3:
        raise ValueError(
            f"{name} must be (channels, height, width), got {checks.shown(value)}. A grey image is (1, 28, 28)."
        )
    channels, height, width = (checks.width(n, f"{name}[{i}]") for i, n in enumerate(value))
    checks.size(channels * height * width, name, value)
    return channels, height, width


def pair(value: Any, name: str) -> tuple[int, int]:
    """Return (height, width), which one number gives if they are equal."""
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            raise ValueError(f"{name} must be one number or (height, width), got {checks.shown(value)}. For example 4.")
        return checks.width(value[0], f"{name}[0]"), checks.width(value[1], f"{name}[1]")
    return (checks.width(value, name),) * 2
