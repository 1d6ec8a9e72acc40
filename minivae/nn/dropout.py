"""Dropout whose noise is an argument, so that a loss stays a function that can be differentiated and repeated."""

import copy
from dataclasses import dataclass
from typing import Any

from minivae.core import checks
from minivae.core.arrays import Array
from minivae.core.registry import saved
from minivae.nn.looking import LookingLayer


@saved
@dataclass(frozen=True)
class Dropout(LookingLayer):
    """y = x m / (1 - rate), where m is 0 for a share ``rate`` of the entries and 1 for the others; E[y] = x.

    The layer itself drops nothing, y = x, as in an evaluation. ``given(u)`` is the layer that drops the entries whose
    noise u lies below the rate; dx = dy m / (1 - rate). A VAE gives it noise in training, and there only.

    Parameters
    ----------
    n : int
        Width of a row.
    rate : float
        In [0, 1).

    References
    ----------
    N. Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", 2014.

    Examples
    --------
    >>> import numpy as np
    >>> layer, x = Dropout(2, 0.5), np.ones((1, 2))
    >>> layer.forward(layer.init(), x)[0]
    array([[1., 1.]])
    >>> layer.given(np.array([[0.3, 0.7]])).forward(layer.init(), x)[0]
    array([[0., 2.]])
    """

    n: int
    rate: float = 0.5
    n_params = 0
    analytic = True

    _noise = None  # u, (R, n), unless nothing is dropped

    def __post_init__(self) -> None:
        checks.width(self.n, "n")
        checks.number(self.rate, "rate", low=0, closed=True, high=1)

    @property
    def n_in(self) -> int:  # type: ignore[override]
        """n."""
        return self.n

    @property
    def n_out(self) -> int:  # type: ignore[override]
        """n."""
        return self.n

    @property
    def n_noise(self) -> int:
        """Numbers of noise for a row: one for each entry."""
        return self.n

    def given(self, noise: Array) -> "Dropout":
        """Return the layer that drops where the noise, in [0, 1), shape (R, n), lies below the rate."""
        shown = copy.copy(self)
        object.__setattr__(shown, "_noise", checks.look(noise, "noise", (None, self.n)))
        return shown

    def _forward(self, params: Array, x: Array) -> tuple[Array, Any]:  # noqa: ARG002
        if self._noise is None:
            return x, (x, None)
        if len(self._noise) != len(x):
            raise ValueError(
                f"noise must have a row for each of the {len(x)} rows of x, got {len(self._noise)}. Dropout goes "
                f"neither with pseudo-inputs nor with an estimator that enumerates."
            )
        m = (self._noise >= self.rate).astype(x.dtype) / x.dtype.type(1 - self.rate)
        return x * m, (x, m)

    def _backward(self, params: Array, cache: Any, dy: Array, grads: Array | None, need_dx: bool) -> Array | None:  # noqa: ARG002
        if not need_dx:
            return None
        return dy if cache[1] is None else dy * cache[1]


def n_noise(layers: Any) -> int:
    """Return how many numbers of noise the layers take for a row, those inside others too.

    >>> n_noise([Dropout(3), Dropout(2)])
    5
    """
    return sum(getattr(layer, "n_noise", 0) for layer in layers)
