"""The layer that passes on the first of its inputs: what stands behind them is not seen by the next layer."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array
from minivae.core.boxes import NoParameters
from minivae.core.registry import saved
from minivae.core.trust import looked


@saved
@dataclass(frozen=True)
class Front(NoParameters):
    """y = the first n_out entries of x; dx = dy, and 0 for the others.

    Parameters
    ----------
    n_in, n_out : int
        Widths, n_out at most n_in.

    Examples
    --------
    >>> layer = Front(3, 2)
    >>> layer.forward(layer.init(), np.array([[1.0, 2.0, 3.0]]))[0]
    array([[1., 2.]])
    """

    n_in: int
    n_out: int
    analytic = True

    def __post_init__(self) -> None:
        if checks.width(self.n_out, "n_out") > checks.width(self.n_in, "n_in"):
            raise ValueError(f"n_out must be at most n_in={self.n_in}, got {self.n_out}. Take fewer.")

    def named(self, params: Array) -> Iterator[tuple[str, Array]]:  # noqa: ARG002
        """Yield nothing."""
        return iter(())

    def forward(self, params: Array, x: Array) -> tuple[Array, None]:  # noqa: ARG002
        """Return y; no cache is needed."""
        if not looked.already:
            complex_step = type(x) is np.ndarray and x.dtype == np.complex128
            x = x if complex_step else checks.look(x, "x", (None, self.n_in))
        return np.ascontiguousarray(x[:, : self.n_out]), None

    def backward(
        self,
        params: Array,  # noqa: ARG002
        cache: None,  # noqa: ARG002
        dy: Array,
        grads: Array | None,  # noqa: ARG002
        need_dx: bool = True,
    ) -> Array | None:
        """Return dx."""
        if not looked.already:
            need_dx = checks.flag(need_dx, "need_dx")
            dy = checks.look(dy, "dy", (None, self.n_out))
        return np.pad(dy, ((0, 0), (0, self.n_in - self.n_out))) if need_dx else None
