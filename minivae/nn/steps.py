"""What makes networks of recurrent layers: both directions, the same layer at every step, one vector at every step."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array
from minivae.core.registry import saved
from minivae.nn.layer import Layer
from minivae.nn.looking import LookingLayer
from minivae.nn.recurrent import Recurrent
from minivae.nn.sequential import Sequential


@saved
@dataclass(frozen=True)
class Bidirectional(LookingLayer):
    """A recurrent layer, and one of its kind from the last step to the first; what both give, side by side.

    Parameters
    ----------
    layer : RNN, GRU or LSTM
        The one from the first step on; where it gives all states, each step has those of both directions.

    References
    ----------
    M. Schuster, K. K. Paliwal, "Bidirectional recurrent neural networks", 1997.

    Examples
    --------
    >>> from minivae.nn import GRU
    >>> Bidirectional(GRU(n_steps=3, n_features=2, n_units=4)).n_out
    8
    """

    layer: Recurrent
    analytic = True
    small_products = True

    def __post_init__(self) -> None:
        if not isinstance(self.layer, Recurrent) or self.layer.reverse:
            raise ValueError(
                f"layer must be a recurrent layer that runs forwards, got {checks.shown(self.layer)}. For example "
                f"GRU(28, 28, 64)."
            )

    @cached_property
    def _backwards(self) -> Recurrent:
        return replace(self.layer, reverse=True)  # type: ignore[type-var]

    @property
    def ragged(self) -> bool:
        """Whether rows end in their length."""
        return self.layer.ragged

    @property
    def n_in(self) -> int:  # type: ignore[override]
        """That of the layer."""
        return self.layer.n_in

    @property
    def n_out(self) -> int:  # type: ignore[override]
        """Twice that of the layer."""
        return 2 * self.layer.n_out

    @property
    def n_params(self) -> int:  # type: ignore[override]
        """Twice those of the layer."""
        return 2 * self.layer.n_params

    @property
    def shapes(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """Name and shape of the arrays of both."""
        return tuple((f"{way}.{name}", shape) for way in ("forward", "backward") for name, shape in self.layer.shapes)

    def _start(self, rng: np.random.Generator) -> list[Array]:
        return [self.layer.init(rng), self.layer.init(rng)]

    def _look_closer(self, x: Array) -> None:
        self.layer._look_closer(x)

    def _halves(self, flat: Array) -> tuple[Array, Array]:
        return flat[: self.layer.n_params], flat[self.layer.n_params :]

    def _forward(self, params: Array, x: Array) -> tuple[Array, Any]:
        there, back = self._halves(params)
        y, cache = self.layer._forward(there, x)
        other, other_cache = self._backwards._forward(back, x)
        H = self.layer.n_units
        both = np.concatenate([y.reshape(len(x), -1, H), other.reshape(len(x), -1, H)], axis=2)
        return both.reshape(len(x), -1), (x, cache, other_cache)

    def _backward(self, params: Array, cache: Any, dy: Array, grads: Array | None, need_dx: bool) -> Array | None:
        there, back = self._halves(params)
        dthere, dback = (None, None) if grads is None else self._halves(grads)
        H, each = self.layer.n_units, dy.reshape(len(dy), -1, 2 * self.layer.n_units)
        own, other = (np.ascontiguousarray(part).reshape(len(dy), -1) for part in (each[:, :, :H], each[:, :, H:]))
        dx = self.layer._backward(there, cache[1], own, dthere, need_dx)
        also = self._backwards._backward(back, cache[2], other, dback, need_dx)
        return None if dx is None or also is None else dx + also


@saved
@dataclass(frozen=True)
class Steps(LookingLayer):
    """The same layers at every step: rows (T n) to rows (T m); their gradient sums over the steps.

    Parameters
    ----------
    net : Sequential
        From n to m values.
    n_steps : int
        T.

    Examples
    --------
    >>> from minivae.nn import Dense
    >>> layer = Steps(Sequential([Dense(4, 2)]), n_steps=3)
    >>> layer.n_in, layer.n_out, layer.n_params
    (12, 6, 10)
    """

    net: Sequential
    n_steps: int

    def __post_init__(self) -> None:
        checks.has(self.net, ("flat_layers", "backward"), "net", "a Sequential", "Sequential([Dense(8, 2)])")
        checks.width(self.n_steps, "n_steps")
        if self.net.n_in is None or self.net.n_out is None:
            raise ValueError("net must have known widths, got none. Put a Dense layer in it.")
        checks.size(max(self.n_in, self.n_out), "n_steps", self.n_steps)

    @property
    def analytic(self) -> bool:  # type: ignore[override]
        """Whether the layers take complex numbers."""
        return self.net.analytic

    @property
    def out_range(self) -> tuple[float, float]:  # type: ignore[override]
        """What the values lie between."""
        return self.net.out_range

    @property
    def n_in(self) -> int:  # type: ignore[override]
        """T n."""
        return self.n_steps * (self.net.n_in or 0)

    @property
    def n_out(self) -> int:  # type: ignore[override]
        """T m."""
        return self.n_steps * (self.net.n_out or 0)

    @property
    def n_params(self) -> int:  # type: ignore[override]
        """Those of the layers, once."""
        return self.net.n_params

    @property
    def n_noise(self) -> int:
        """Numbers of noise for a row, step by step."""
        return self.n_steps * self.net.n_noise

    def given(self, noise: Array) -> "Steps":
        """Return the layer that drops where the noise, shape (R, n_noise), says so, at each step other entries."""
        noise = checks.look(noise, "noise", (None, self.n_noise))
        return Steps(self.net.given(noise.reshape(len(noise) * self.n_steps, -1)), self.n_steps)

    def flat_layers(self) -> Iterator[Layer]:
        """Yield this layer, and each layer of a step."""
        yield self
        yield from self.net.flat_layers()

    def init(self, rng: np.random.Generator | None = None, dtype: Any = np.float64) -> Array:
        """Return the initial parameters of the layers."""
        return self.net.init(checks.generator(rng), dtype)

    def unpack(self, params: Array) -> list[Array]:
        """Return a view of each array of parameters."""
        return [view for _, view in self.net.named(params)]

    def named(self, params: Array) -> Iterator[tuple[str, Array]]:
        """Yield the name and the view of each array of parameters."""
        return self.net.named(params)

    def _forward(self, params: Array, x: Array) -> tuple[Array, Any]:
        y, caches = self.net.forward(params, x.reshape(len(x) * self.n_steps, -1))
        return y.reshape(len(x), -1), (x, caches)

    def _backward(self, params: Array, cache: Any, dy: Array, grads: Array | None, need_dx: bool) -> Array | None:
        each = dy.reshape(len(dy) * self.n_steps, -1)
        dx = self.net.backward(params, cache[1], each, grads, need_dx)
        return None if dx is None else dx.reshape(len(dy), -1)


@saved
@dataclass(frozen=True)
class Repeat(LookingLayer):
    """One vector at every step: rows (n) to rows (T n); dx = sum of dy over the steps.

    Parameters
    ----------
    n, n_steps : int
        Width of the vector, and T.

    Examples
    --------
    >>> Repeat(2, n_steps=2).forward(np.empty(0), np.array([[1.0, 2.0]]))[0]
    array([[1., 2., 1., 2.]])
    """

    n: int
    n_steps: int
    n_params = 0
    analytic = True

    def __post_init__(self) -> None:
        checks.size(checks.width(self.n, "n") * checks.width(self.n_steps, "n_steps"), "n_steps", self.n_steps)

    @property
    def n_in(self) -> int:  # type: ignore[override]
        """n."""
        return self.n

    @property
    def n_out(self) -> int:  # type: ignore[override]
        """T n."""
        return self.n * self.n_steps

    def _forward(self, params: Array, x: Array) -> tuple[Array, Any]:  # noqa: ARG002
        return np.tile(x, (1, self.n_steps)), x

    def _backward(self, params: Array, cache: Any, dy: Array, grads: Array | None, need_dx: bool) -> Array | None:  # noqa: ARG002
        return dy.reshape(len(dy), self.n_steps, self.n).sum(axis=1) if need_dx else None
