"""The contract of a layer: a frozen description of a differentiable map whose arrays belong to the caller."""

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import numpy as np

from minivae.core.arrays import Array


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

    def backward(self, params: Array, cache: Any, dy: Array, grads: Array | None, need_dx: bool = True) -> Array | None:
        """Overwrite ``grads`` with the gradient for the parameters (unless None) and return dx (None if not needed)."""

    def named(self, params: Array) -> Iterator[tuple[str, Array]]:
        """Yield the name and the view of each parameter array."""
