"""A box owns a slice of the flat parameter vector: what layers, posteriors, priors and likelihoods have in common."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array


class Box(Protocol):
    """A frozen description whose parameters are a slice of a vector that the caller holds."""

    @property
    def n_params(self) -> int:
        """Length of the box's slice."""

    def init(self, rng: np.random.Generator, dtype: Any = np.float64) -> Array:
        """Return initial parameters, shape (n_params,)."""

    def named(self, params: Array) -> Iterator[tuple[str, Array]]:
        """Yield the name and the view of each parameter array."""


class NoParameters:
    """Base of the boxes without parameters."""

    n_params: int = 0

    def init(self, rng: np.random.Generator | None = None, dtype: Any = np.float64) -> Array:  # noqa: ARG002
        """Return no parameters."""
        return np.empty(0, checks.float_dtype(dtype))

    def named(self, params: Array) -> Iterator[tuple[str, Array]]:  # noqa: ARG002
        """Yield nothing."""
        return iter(())


def slices_of(boxes: Sequence[Box]) -> tuple[slice, ...]:
    """Return where each box's parameters stand in the flat vector.

    >>> slices_of([NoParameters(), NoParameters()])
    (slice(0, 0, None), slice(0, 0, None))
    """
    ends = np.cumsum([0, *(box.n_params for box in boxes)]).tolist()
    return tuple(slice(a, b) for a, b in zip(ends[:-1], ends[1:], strict=True))
