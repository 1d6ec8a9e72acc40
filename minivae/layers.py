"""Layers: frozen descriptions of differentiable maps whose arrays belong to the caller.

A layer maps a batch of rows to a batch of rows. Its parameters are a slice of one flat vector; weights
are views of that slice. ``forward`` returns what ``backward`` needs, and ``backward`` overwrites
``grads``: there is nothing to zero, and two forwards before one backward are safe.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from minivae import checks, kernels
from minivae.checks import Array


@runtime_checkable
class Layer(Protocol):
    """A differentiable map from one batch to the next; it owns no arrays."""

    @property
    def n_params(self) -> int:
        """Length of the layer's slice of the flat parameter vector."""

    @property
    def n_in(self) -> int | None:
        """Width of the input; None where any width goes."""

    @property
    def n_out(self) -> int | None:
        """Width of the output; None where it is that of the input."""

    def init(self, rng: np.random.Generator, dtype: Any = np.float64) -> Array:
        """Return initial parameters, shape (n_params,)."""

    def forward(self, params: Array, x: Array) -> tuple[Array, Any]:
        """Return y and the cache that backward needs."""

    def backward(self, params: Array, cache: Any, dy: Array, grads: Array, need_dx: bool = True) -> Array | None:
        """Overwrite ``grads`` with the gradient for the parameters and return dx (None if not needed)."""

    def named(self, params: Array) -> Iterator[tuple[str, Array]]:
        """Yield the name and the view of each parameter array."""


@dataclass(frozen=True)
class Dense:
    """Affine map y = x W + b.

    Backward: dW = x^T dy, db = sum over the batch of dy, dx = dy W^T.

    Parameters
    ----------
    n_in, n_out : int
        Widths. W has shape (n_in, n_out), b has shape (n_out,); ``params`` holds W row by row, then b.
    weights : {"glorot", "he"}
        Initial W: uniform in +-sqrt(6 / (n_in + n_out)) [1]_, or normal with variance 2 / n_in for layers
        that a ReLU follows [2]_. Biases start at zero.

    Raises
    ------
    ValueError
        If a width is below one, the scheme unknown, or an input has another width or dtype.

    References
    ----------
    .. [1] X. Glorot, Y. Bengio, AISTATS 2010.
    .. [2] K. He, X. Zhang, S. Ren, J. Sun, ICCV 2015.

    Examples
    --------
    >>> import numpy as np
    >>> layer = Dense(3, 2)
    >>> params = layer.init(np.random.default_rng(0))
    >>> y, cache = layer.forward(params, np.ones((5, 3)))
    >>> grads = np.empty_like(params)
    >>> dx = layer.backward(params, cache, np.ones((5, 2)), grads)
    >>> y.shape, dx.shape, grads[-2:]
    ((5, 2), (5, 3), array([5., 5.]))
    """

    n_in: int
    n_out: int
    weights: Literal["glorot", "he"] = "glorot"

    def __post_init__(self) -> None:
        checks.width(self.n_in, "n_in")
        checks.width(self.n_out, "n_out")
        checks.choice(self.weights, ("glorot", "he"), "weights")

    @property
    def n_params(self) -> int:
        """n_in n_out weights and n_out biases."""
        return (self.n_in + 1) * self.n_out

    def unpack(self, params: Array) -> tuple[Array, Array]:
        """Return W (n_in, n_out) and b (n_out,) as views of a flat vector of parameters or gradients."""
        n_weights = self.n_in * self.n_out
        return params[:n_weights].reshape(self.n_in, self.n_out), params[n_weights:]

    def named(self, params: Array) -> Iterator[tuple[str, Array]]:
        """Yield ("weight", W) and ("bias", b)."""
        W, b = self.unpack(params)
        yield "weight", W
        yield "bias", b

    def init(self, rng: np.random.Generator, dtype: Any = np.float64) -> Array:
        """Draw W in float64 and round it, so that float32 and float64 models start at the same point."""
        shape = (self.n_in, self.n_out)
        if self.weights == "he":
            W = math.sqrt(2 / self.n_in) * rng.standard_normal(shape)
        else:
            limit = math.sqrt(6 / (self.n_in + self.n_out))
            W = rng.uniform(-limit, limit, shape)
        return np.concatenate([W.ravel(), np.zeros(self.n_out)]).astype(checks.float_dtype(dtype))

    def forward(self, params: Array, x: Array) -> tuple[Array, Array]:
        """Return y = x W + b, shape (batch, n_out), and the cache x."""
        if x.ndim != 2 or x.shape[1] != self.n_in or x.dtype != params.dtype:
            raise ValueError(
                f"x must have shape (batch, {self.n_in}) and the parameters' dtype {params.dtype}, "
                f"got {x.shape} and {x.dtype}. Use x.reshape(len(x), -1).astype(params.dtype)."
            )
        x = np.ascontiguousarray(x)
        return kernels.dense(params, x, self.n_out), x

    def backward(self, params: Array, cache: Array, dy: Array, grads: Array, need_dx: bool = True) -> Array | None:
        """Write dW and db into ``grads``; return dx."""
        dx = kernels.dense_backward(params, cache, np.ascontiguousarray(dy), grads, need_dx)
        return dx if need_dx else None


class Activation:
    """Base of the layers without parameters, which work on any width."""

    n_params: int = 0
    n_in: int | None = None
    n_out: int | None = None

    def init(self, rng: np.random.Generator, dtype: Any = np.float64) -> Array:  # noqa: ARG002
        """Return no parameters."""
        return np.empty(0, dtype)

    def named(self, params: Array) -> Iterator[tuple[str, Array]]:  # noqa: ARG002
        """Yield nothing."""
        return iter(())

    def forward(self, params: Array, x: Array) -> tuple[Array, Array]:  # noqa: ARG002
        """Return y and the cache."""
        return self._forward(x)

    def backward(
        self,
        params: Array,  # noqa: ARG002
        cache: Array,
        dy: Array,
        grads: Array,  # noqa: ARG002
        need_dx: bool = True,
    ) -> Array | None:
        """Return dx = dy f'(x)."""
        return self._backward(cache, dy) if need_dx else None

    def slope(self, cache: Array) -> Array:
        """Return f'(x), of the shape of x."""
        return self._backward(cache, np.ones_like(cache))

    def curvature(self, cache: Array) -> Array:
        """Return f''(x), of the shape of x: for gradients of a Jacobian."""
        raise NotImplementedError

    def _forward(self, x: Array) -> tuple[Array, Array]:
        raise NotImplementedError

    def _backward(self, cache: Array, dy: Array) -> Array:
        raise NotImplementedError


@dataclass(frozen=True)
class Tanh(Activation):
    """y = tanh(x); dy/dx = 1 - y^2; d2y/dx2 = -2 y (1 - y^2).

    >>> Tanh().forward(np.empty(0), np.array([[0.0, 100.0]]))[0]
    array([[0., 1.]])
    """

    def _forward(self, x: Array) -> tuple[Array, Array]:
        y = np.tanh(x)
        return y, y

    def _backward(self, cache: Array, dy: Array) -> Array:
        return kernels.tanh_backward(cache, dy)

    def curvature(self, cache: Array) -> Array:
        """Return -2 y (1 - y^2)."""
        return -2 * cache * (1 - cache * cache)


@dataclass(frozen=True)
class ReLU(Activation):
    """y = max(x, 0); dy/dx = 1 where x > 0, else 0 (so 0 at the kink); d2y/dx2 = 0.

    >>> ReLU().forward(np.empty(0), np.array([[-1.0, 2.0]]))[0]
    array([[0., 2.]])
    """

    def _forward(self, x: Array) -> tuple[Array, Array]:
        y = np.maximum(x, 0)
        return y, y

    def _backward(self, cache: Array, dy: Array) -> Array:
        return kernels.relu_backward(cache, dy)

    def curvature(self, cache: Array) -> Array:
        """Return 0: the kink has no part in it."""
        return np.zeros_like(cache)


@dataclass(frozen=True)
class ELU(Activation):
    """y = x where x > 0, else exp(x) - 1; dy/dx = 1 and d2y/dx2 = 0 where x > 0, else both y + 1.

    >>> ELU().forward(np.empty(0), np.array([[-1000.0, 2.0]]))[0]
    array([[-1.,  2.]])
    """

    def _forward(self, x: Array) -> tuple[Array, Array]:
        y = np.where(x > 0, x, np.expm1(np.minimum(x, 0)))
        return y, y

    def _backward(self, cache: Array, dy: Array) -> Array:
        return (np.minimum(cache, 0) + 1) * dy

    def curvature(self, cache: Array) -> Array:
        """Return y + 1 where x <= 0, else 0."""
        return np.where(cache > 0, 0, cache + 1).astype(cache.dtype, copy=False)


@dataclass(frozen=True)
class Sigmoid(Activation):
    """y = 1 / (1 + exp(-x)); dy/dx = y (1 - y); d2y/dx2 = y (1 - y) (1 - 2 y).

    >>> Sigmoid().forward(np.empty(0), np.array([[-1000.0, 0.0, 1000.0]]))[0]
    array([[0. , 0.5, 1. ]])
    """

    def _forward(self, x: Array) -> tuple[Array, Array]:
        y = sigmoid(x)
        return y, y

    def _backward(self, cache: Array, dy: Array) -> Array:
        return cache * (1 - cache) * dy

    def curvature(self, cache: Array) -> Array:
        """Return y (1 - y) (1 - 2 y)."""
        return cache * (1 - cache) * (1 - 2 * cache)


@dataclass(frozen=True)
class Softplus(Activation):
    """y = log(1 + exp(x)); dy/dx = sigmoid(x); d2y/dx2 = sigmoid(x) sigmoid(-x).

    >>> Softplus().forward(np.empty(0), np.array([[-1000.0, 1000.0]]))[0]
    array([[   0., 1000.]])
    """

    def _forward(self, x: Array) -> tuple[Array, Array]:
        return np.logaddexp(x, x.dtype.type(0)), x

    def _backward(self, cache: Array, dy: Array) -> Array:
        return sigmoid(cache) * dy

    def curvature(self, cache: Array) -> Array:
        """Return sigmoid(x) sigmoid(-x)."""
        return sigmoid(cache) * sigmoid(-cache)


def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + exp(-x)), accurate in both tails and in the dtype of x.

    >>> sigmoid(np.array([-40.0]))
    array([4.24835426e-18])
    """
    return np.exp(-np.logaddexp(-x, x.dtype.type(0)))


ACTIVATIONS: dict[str, Activation] = {
    "relu": ReLU(),
    "tanh": Tanh(),
    "elu": ELU(),
    "softplus": Softplus(),
    "sigmoid": Sigmoid(),
}


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
    >>> net = Sequential([Dense(4, 8), Tanh(), Dense(8, 2)])
    >>> params = net.init(np.random.default_rng(0))
    >>> y, caches = net.forward(params, np.ones((3, 4)))
    >>> y.shape, net.n_params
    ((3, 2), 58)
    """

    layers: tuple[Layer, ...]

    def __init__(self, layers: Sequence[Layer]) -> None:
        object.__setattr__(self, "layers", tuple(layers))
        if not self.layers:
            raise ValueError("layers must hold at least one layer, got none. Add a Dense.")
        width = None
        for i, layer in enumerate(self.layers):
            if isinstance(layer, type) or not isinstance(layer, Layer):
                raise ValueError(f"layers[{i}] must be a layer, got {layer!r}. Pass Tanh(), not Tanh.")
            if layer.n_in is not None and width is not None and layer.n_in != width:
                raise ValueError(
                    f"layers[{i}] must take the {width} values of the layer before it, "
                    f"got n_in={layer.n_in}. Make neighbouring widths agree."
                )
            width = layer.n_out if layer.n_out is not None else width

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
    def slices(self) -> tuple[slice, ...]:
        """Where each layer's parameters stand in the flat vector."""
        ends = np.cumsum([0] + [layer.n_params for layer in self.layers]).tolist()
        return tuple(slice(a, b) for a, b in zip(ends[:-1], ends[1:], strict=True))

    def init(self, rng: np.random.Generator, dtype: Any = np.float64) -> Array:
        """Return the layers' initial parameters, end to end."""
        return np.concatenate([layer.init(rng, dtype) for layer in self.layers])

    def named(self, params: Array) -> Iterator[tuple[str, Array]]:
        """Yield ("0.weight", view) and so on, numbered by layer."""
        for i, (layer, part) in enumerate(zip(self.layers, self.slices, strict=True)):
            for name, view in layer.named(params[part]):
                yield f"{i}.{name}", view

    def forward(self, params: Array, x: Array) -> tuple[Array, list[Any]]:
        """Return the last layer's output and every layer's cache."""
        caches = []
        for layer, part in zip(self.layers, self.slices, strict=True):
            x, cache = layer.forward(params[part], x)
            caches.append(cache)
        return x, caches

    def backward(self, params: Array, cache: list[Any], dy: Array, grads: Array, need_dx: bool = True) -> Array | None:
        """Overwrite ``grads`` and return dx; the first layer's dx is skipped unless needed."""
        d: Any = dy
        for i in reversed(range(len(self.layers))):
            part = self.slices[i]
            d = self.layers[i].backward(params[part], cache[i], d, grads[part], need_dx or i > 0)
        return d

    def trace(self, params: Array, x: Array) -> Iterator[tuple[str, Array]]:
        """Yield the name and the output of each layer in turn."""
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
    if len(widths) < 2:
        raise ValueError(f"widths must name at least input and output, got {list(widths)}. Use [n_in, n_out].")
    if isinstance(activation, str):
        activation = ACTIVATIONS[checks.choice(activation, ACTIVATIONS, "activation")]
    scheme: Literal["glorot", "he"] = "he" if isinstance(activation, ReLU | ELU) else "glorot"
    layers: list[Layer] = []
    for n_in, n_out in zip(widths[:-2], widths[1:-1], strict=True):
        layers += [Dense(n_in, n_out, scheme), activation]
    return Sequential([*layers, Dense(widths[-2], widths[-1])])
