"""What a sparse autoencoder adds to its loss, and the contract that all penalties keep.

A penalty looks at each example and gives its statistics, a row of numbers; what it adds to the loss is a function of
their mean over the batch. So a penalty is as exact in chunks as at once, and the sparsity's mean activation is one over
all examples that it is given: a batch in training, the whole validation or test set in evaluation.
"""

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array
from minivae.core.registry import Table, saved
from minivae.nn.activations import Sigmoid
from minivae.nn.layer import Layer
from minivae.nn.sequential import Sequential


class Penalty(Protocol):
    """A term of the loss that depends on the encoder alone."""

    @property
    def weight(self) -> float:
        """Factor of the penalty in the loss."""

    @property
    def last_layer(self) -> Layer | None:
        """What an encoder of dense layers should end in, or None."""

    def check(self, encoder: Sequential) -> None:
        """Refuse encoders for which the penalty has no meaning."""

    def forward(self, encoder: Sequential, params: Array, z: Array, caches: list[Any]) -> tuple[Array, Any]:
        """Return the statistics of each example, shape (B, k), and the cache."""

    def value(self, mean: Array) -> float:
        """Return the addition to the loss, in nats per example, from the statistics' mean, shape (k,)."""

    def slope(self, mean: Array) -> Array:
        """Return the derivative of ``value``, shape (k,)."""

    def backward(
        self, encoder: Sequential, params: Array, caches: list[Any], cache: Any, dstatistics: Array
    ) -> tuple[Array | None, Array | None]:
        """Return dz, and the gradient for the encoder's parameters that does not go through z; None for zero."""


class _Sparsity:
    """What the penalties on the code alone share."""

    weight: float
    last_layer: Layer | None = None

    def __post_init__(self) -> None:
        checks.number(self.weight, "weight", low=0, closed=True)

    def check(self, encoder: Sequential) -> None:
        """Accept any encoder."""

    def forward(
        self,
        encoder: Sequential,  # noqa: ARG002
        params: Array,  # noqa: ARG002
        z: Array,
        caches: list[Any],  # noqa: ARG002
    ) -> tuple[Array, Any]:
        """Return the statistics of each example and the cache."""
        return self._forward(z)

    def backward(
        self,
        encoder: Sequential,  # noqa: ARG002
        params: Array,  # noqa: ARG002
        caches: list[Any],  # noqa: ARG002
        cache: Any,
        dstatistics: Array,
    ) -> tuple[Array, None]:
        """Return dz; all of the gradient goes through it."""
        return self._backward(cache, dstatistics), None

    def _forward(self, z: Array) -> tuple[Array, Any]:
        raise NotImplementedError

    def _backward(self, cache: Any, dstatistics: Array) -> Array:
        raise NotImplementedError


@saved
@dataclass(frozen=True)
class KLSparsity(_Sparsity):
    """weight sum_j KL(rho || rho_j), rho_j the mean of the code z_j over the batch, z_j in (0, 1).

        KL(rho || rho_j) = rho log(rho / rho_j) + (1 - rho) log((1 - rho) / (1 - rho_j))
        dz_j = weight / B [ (1 - rho) / (1 - rho_j) - rho / rho_j ]

    The mean is over the batch: a KL for each example would make every code of every example rho. It is a mean all the
    same, which units that are always a little active satisfy as well as units that are seldom fully so: look at the
    spread of the codes too.

    Parameters
    ----------
    target : float
        rho, the mean activation that each unit of the code should have; in (0, 1).
    weight : float

    Raises
    ------
    ValueError
        If a value is out of range, or the encoder does not end in a Sigmoid.

    Examples
    --------
    >>> import numpy as np
    >>> round(KLSparsity(target=0.25).value(np.array([0.25, 0.5])), 10)  # 0 + (log 1/2 + 3 log 3/2) / 4
    0.1308120359
    """

    target: float = 0.05
    weight: float = 1.0
    last_layer = Sigmoid()

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.number(self.target, "target", low=0, high=1)

    def check(self, encoder: Sequential) -> None:
        """Refuse an encoder whose code may leave (0, 1)."""
        low, high = checks.has(encoder, ("out_range",), "encoder", "a Sequential", "mlp([4, 8, 2])").out_range
        if low < 0 or high > 1:
            raise ValueError(
                f"encoder must end in Sigmoid() for KLSparsity, whose units are active or not, got a last layer whose "
                f"values lie between {low:g} and {high:g}. Add Sigmoid(), or use L1Sparsity."
            )

    def value(self, mean: Array) -> float:
        """Return weight sum_j KL(rho || rho_j)."""
        rho, mean = self.target, checks.look(mean, "mean", (None,))
        with np.errstate(divide="ignore"):  # a unit that is always off or always on: infinite, and the guard says so
            kl = rho * (math.log(rho) - np.log(mean)) + (1 - rho) * (math.log1p(-rho) - np.log1p(-mean))
        return float(self.weight * kl.sum())

    def slope(self, mean: Array) -> Array:
        """Return weight [(1 - rho) / (1 - rho_j) - rho / rho_j]."""
        mean = checks.look(mean, "mean", (None,))
        return self.weight * ((1 - self.target) / (1 - mean) - self.target / mean)

    def _forward(self, z: Array) -> tuple[Array, None]:
        return z, None

    def _backward(self, cache: None, dstatistics: Array) -> Array:  # noqa: ARG002
        return dstatistics


@saved
@dataclass(frozen=True)
class L1Sparsity(_Sparsity):
    """weight sum_j |z_j|, its mean over the batch; dz_j = weight sign(z_j) / B, and 0 at z_j = 0.

    Parameters
    ----------
    weight : float

    Examples
    --------
    >>> import numpy as np
    >>> L1Sparsity(weight=2.0).value(np.array([3.0]))
    6.0
    """

    weight: float = 0.1

    def value(self, mean: Array) -> float:
        """Return weight times the mean."""
        mean = checks.look(mean, "mean", (None,))
        return float(self.weight * mean[0])

    def slope(self, mean: Array) -> Array:
        """Return the weight."""
        mean = checks.look(mean, "mean", (None,))
        return np.full_like(mean, self.weight)

    def _forward(self, z: Array) -> tuple[Array, Array]:
        return np.abs(z).sum(axis=1, keepdims=True), np.sign(z)

    def _backward(self, cache: Array, dstatistics: Array) -> Array:
        return cache * dstatistics


SPARSITIES: Table[type[Any]] = Table("sparsity")
SPARSITIES.add("kl", KLSparsity)
SPARSITIES.add("l1", L1Sparsity)
