"""Layer normalisation."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array
from minivae.core.registry import saved
from minivae.nn.looking import LookingLayer


@saved
@dataclass(frozen=True)
class LayerNorm(LookingLayer):
    """y = gain u + shift, with u = (x - mean) / sqrt(variance + eps) of the n numbers of each row.

    Backward, with g = gain dy and s = sqrt(variance + eps): dx = (g - mean(g) - u mean(g u)) / s, dgain = sum over the
    batch of dy u, dshift = sum of dy. Gains start at one and shifts at zero.

    Parameters
    ----------
    n : int
        Width of a row.
    eps : float
        Keeps a row of equal numbers finite.

    References
    ----------
    J. L. Ba, J. R. Kiros, G. E. Hinton, "Layer normalization", 2016.

    Examples
    --------
    >>> layer = LayerNorm(2)
    >>> layer.forward(layer.init(), np.array([[1.0, 3.0]]))[0].round(4)
    array([[-1.,  1.]])
    """

    n: int
    eps: float = 1e-5
    analytic = True

    def __post_init__(self) -> None:
        checks.width(self.n, "n")
        checks.number(self.eps, "eps", low=0)

    @property
    def n_in(self) -> int:  # type: ignore[override]
        """n."""
        return self.n

    @property
    def n_out(self) -> int:  # type: ignore[override]
        """n."""
        return self.n

    @property
    def n_params(self) -> int:  # type: ignore[override]
        """A gain and a shift for each place."""
        return 2 * self.n

    @property
    def shapes(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """Name and shape of gains and shifts."""
        return ("gain", (self.n,)), ("shift", (self.n,))

    def init(self, rng: np.random.Generator | None = None, dtype: Any = np.float64) -> Array:  # noqa: ARG002
        """Return gains of one and shifts of zero."""
        return np.repeat([1.0, 0.0], self.n).astype(checks.float_dtype(dtype))

    def out_bias(self, params: Array) -> Array:
        """Return the shifts, which move the output."""
        return self.unpack(params)[1]

    def _forward(self, params: Array, x: Array) -> tuple[Array, Any]:
        gain, shift = self._views(params)
        centred = x - x.mean(axis=1, keepdims=True)
        scale = np.sqrt((centred * centred).mean(axis=1, keepdims=True) + x.dtype.type(self.eps))
        u = centred / scale
        return gain * u + shift, (u, scale)

    def _backward(self, params: Array, cache: Any, dy: Array, grads: Array | None, need_dx: bool) -> Array | None:
        (gain, _), (u, scale) = self._views(params), cache
        if grads is not None:
            dgain, dshift = self._views(grads)
            dgain[:], dshift[:] = (dy * u).sum(axis=0), dy.sum(axis=0)
        if not need_dx:
            return None
        g = gain * dy
        return (g - g.mean(axis=1, keepdims=True) - u * (g * u).mean(axis=1, keepdims=True)) / scale
