"""Activations: layers without parameters, each with its slope and its curvature."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from minivae.core import checks, kernels
from minivae.core.arrays import Array, sigmoid
from minivae.core.boxes import NoParameters
from minivae.core.registry import Table, saved
from minivae.core.trust import looked


class Activation(NoParameters):
    """Base of the activations y = f(x), one number at a time: layers without parameters, which work on any width.

    One whose ``curvature`` f''(x) is known gives it, for gradients of a Jacobian.

    Attributes
    ----------
    analytic : bool
        Whether f takes complex numbers, so that the complex step can check it.
    initial_weights : {"glorot", "he"}
        How a dense layer before it should start.
    out_range : (float, float)
        What the values lie between.
    """

    n_in: int | None = None
    n_out: int | None = None
    analytic: bool = False
    initial_weights: Literal["glorot", "he"] = "glorot"
    out_range: tuple[float, float] = (-math.inf, math.inf)

    def out_bias(self, params: Array) -> None:
        """Return None: there is no bias to set."""

    def forward(self, params: Array, x: Array) -> tuple[Array, Array]:  # noqa: ARG002
        """Return y and the cache."""
        if not looked.already:
            complex_step = self.analytic and type(x) is np.ndarray and x.dtype == np.complex128
            x = x if complex_step else checks.look(x, "x", (None, None))
        return self._forward(x)

    def backward(
        self,
        params: Array,  # noqa: ARG002
        cache: Array,
        dy: Array,
        grads: Array | None,  # noqa: ARG002
        need_dx: bool = True,
    ) -> Array | None:
        """Return dx = dy f'(x)."""
        if not looked.already:
            need_dx = checks.flag(need_dx, "need_dx")
            if isinstance(cache, np.ndarray):
                dy = checks.look(dy, "dy", cache.shape, cache.dtype)
        return self._backward(cache, dy) if need_dx else None

    def slope(self, cache: Array) -> Array:
        """Return f'(x), of the shape of x."""
        return self._backward(cache, np.ones_like(cache))

    def _forward(self, x: Array) -> tuple[Array, Array]:
        raise NotImplementedError

    def _backward(self, cache: Array, dy: Array) -> Array:
        raise NotImplementedError


@saved
@dataclass(frozen=True)
class Tanh(Activation):
    """y = tanh(x); dy/dx = 1 - y^2; d2y/dx2 = -2 y (1 - y^2).

    >>> Tanh().forward(np.empty(0), np.array([[0.0, 100.0]]))[0]
    array([[0., 1.]])
    """

    analytic = True
    out_range = (-1.0, 1.0)

    def _forward(self, x: Array) -> tuple[Array, Array]:
        y = kernels.tanh(x)
        return y, y

    def _backward(self, cache: Array, dy: Array) -> Array:
        return kernels.tanh_backward(cache, dy)

    def curvature(self, cache: Array) -> Array:
        """Return -2 y (1 - y^2)."""
        return -2 * cache * (1 - cache * cache)


@saved
@dataclass(frozen=True)
class ReLU(Activation):
    """y = max(x, 0); dy/dx = 1 where x > 0, else 0 (so 0 at the kink); d2y/dx2 = 0.

    >>> ReLU().forward(np.empty(0), np.array([[-1.0, 2.0]]))[0]
    array([[0., 2.]])
    """

    initial_weights = "he"
    out_range = (0.0, math.inf)

    def _forward(self, x: Array) -> tuple[Array, Array]:
        y = kernels.relu(x)
        return y, y

    def _backward(self, cache: Array, dy: Array) -> Array:
        return kernels.relu_backward(cache, dy)

    def curvature(self, cache: Array) -> Array:
        """Return 0: the kink has no part in it."""
        return np.zeros_like(cache)


@saved
@dataclass(frozen=True)
class ELU(Activation):
    """y = x where x > 0, else exp(x) - 1; dy/dx = 1 and d2y/dx2 = 0 where x > 0, else both y + 1.

    >>> ELU().forward(np.empty(0), np.array([[-1000.0, 2.0]]))[0]
    array([[-1.,  2.]])
    """

    initial_weights = "he"
    out_range = (-1.0, math.inf)

    def _forward(self, x: Array) -> tuple[Array, Array]:
        y = np.where(x > 0, x, np.expm1(np.minimum(x, 0)))
        return y, y

    def _backward(self, cache: Array, dy: Array) -> Array:
        return (np.minimum(cache, 0) + 1) * dy

    def curvature(self, cache: Array) -> Array:
        """Return y + 1 where x <= 0, else 0."""
        return np.where(cache > 0, 0, cache + 1).astype(cache.dtype, copy=False)


@saved
@dataclass(frozen=True)
class Sigmoid(Activation):
    """y = 1 / (1 + exp(-x)); dy/dx = y (1 - y); d2y/dx2 = y (1 - y) (1 - 2 y).

    >>> Sigmoid().forward(np.empty(0), np.array([[-1000.0, 0.0, 1000.0]]))[0]
    array([[0. , 0.5, 1. ]])
    """

    out_range = (0.0, 1.0)

    def _forward(self, x: Array) -> tuple[Array, Array]:
        y = sigmoid(x)
        return y, y

    def _backward(self, cache: Array, dy: Array) -> Array:
        return cache * (1 - cache) * dy

    def curvature(self, cache: Array) -> Array:
        """Return y (1 - y) (1 - 2 y)."""
        return cache * (1 - cache) * (1 - 2 * cache)


@saved
@dataclass(frozen=True)
class Softplus(Activation):
    """y = log(1 + exp(x)); dy/dx = sigmoid(x); d2y/dx2 = sigmoid(x) sigmoid(-x).

    >>> Softplus().forward(np.empty(0), np.array([[-1000.0, 1000.0]]))[0]
    array([[   0., 1000.]])
    """

    out_range = (0.0, math.inf)

    def _forward(self, x: Array) -> tuple[Array, Array]:
        return np.logaddexp(x, x.dtype.type(0)), x

    def _backward(self, cache: Array, dy: Array) -> Array:
        return sigmoid(cache) * dy

    def curvature(self, cache: Array) -> Array:
        """Return sigmoid(x) sigmoid(-x)."""
        return sigmoid(cache) * sigmoid(-cache)


ACTIVATIONS: Table[Activation] = Table("activation")
for _activation in (ReLU(), Tanh(), ELU(), Softplus(), Sigmoid()):
    ACTIVATIONS.add(type(_activation).__name__.lower(), _activation)
