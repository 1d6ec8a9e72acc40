"""The residual block."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array
from minivae.core.registry import saved
from minivae.core.trust import looked
from minivae.nn.sequential import Sequential


@saved
@dataclass(frozen=True)
class Residual:
    """y = x + f(x): what f learns is the difference; dx = dy + the dx of f, and f's own gradient.

    Parameters
    ----------
    net : Sequential
        f, as wide at its end as at its start.

    References
    ----------
    K. He, X. Zhang, S. Ren, J. Sun, "Deep residual learning for image recognition", 2016.

    Examples
    --------
    >>> from minivae.nn import mlp
    >>> block = Residual(mlp([4, 8, 4]))
    >>> block.forward(np.zeros(block.n_params), np.ones((1, 4)))[0]
    array([[1., 1., 1., 1.]])
    """

    net: Sequential

    def __post_init__(self) -> None:
        checks.has(self.net, ("flat_layers", "backward"), "net", "a Sequential", "mlp([4, 8, 4])")
        if self.net.n_in is None or self.net.n_in != self.net.n_out:
            raise ValueError(
                f"net must give as many values as it takes, got {self.net.n_in} to {self.net.n_out}. Change its last "
                f"layer."
            )
        if self.shape is not None and self.out_shape not in (None, self.shape):
            raise ValueError(
                f"net must give images of the shape that it takes, {self.shape}, got {self.out_shape}. Change its "
                f"layers."
            )

    @property
    def n_params(self) -> int:
        """Those of f."""
        return self.net.n_params

    @property
    def n_in(self) -> int | None:
        """Width of x."""
        return self.net.n_in

    @property
    def n_out(self) -> int | None:
        """Width of x."""
        return self.net.n_out

    @property
    def shape(self) -> Any:
        """Shape of the images that it takes, where they are known."""
        return self.net.shape

    @property
    def out_shape(self) -> Any:
        """Shape of the images that it gives, where they are known."""
        return self.net.out_shape

    @property
    def n_noise(self) -> int:
        """Numbers of noise for a row."""
        return self.net.n_noise

    def given(self, noise: Array) -> "Residual":
        """Return the block whose f drops where the noise, shape (R, n_noise), says so."""
        return Residual(self.net.given(noise))

    @property
    def analytic(self) -> bool:
        """Whether f takes complex numbers."""
        return self.net.analytic

    def flat_layers(self) -> Iterator[Any]:
        """Yield the block, and each layer of f."""
        yield self
        yield from self.net.flat_layers()

    def init(self, rng: np.random.Generator, dtype: Any = np.float64) -> Array:
        """Return the initial parameters of f."""
        return self.net.init(rng, dtype)

    def named(self, params: Array) -> Iterator[tuple[str, Array]]:
        """Yield the names and views of f."""
        return self.net.named(params)

    def out_bias(self, params: Array) -> Array | None:
        """Return the view of f's last bias, which moves the output, or None where it has none."""
        return self.net.out_bias(params)

    def forward(self, params: Array, x: Array) -> tuple[Array, Any]:
        """Return x + f(x) and f's caches."""
        x = checks.look(x, "x", (None, self.n_in), params.dtype if isinstance(params, np.ndarray) else None)
        y, caches = self.net.forward(params, x)
        return x + y, caches

    def backward(self, params: Array, cache: Any, dy: Array, grads: Array | None, need_dx: bool = True) -> Array | None:
        """Write f's gradient into ``grads``; return dy + the dx of f."""
        if not looked.already:
            need_dx = checks.flag(need_dx, "need_dx")
        through = self.net.backward(params, cache, dy, grads, need_dx)
        return None if through is None else dy + through
