"""The affine map y = x W + b."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from minivae.core import checks, kernels
from minivae.core.arrays import Array
from minivae.core.registry import saved
from minivae.core.trust import looked


@saved
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
    analytic = True
    out_range = (-math.inf, math.inf)

    def __post_init__(self) -> None:
        checks.width(self.n_in, "n_in")
        checks.width(self.n_out, "n_out")
        checks.choice(self.weights, ("glorot", "he"), "weights")
        checks.size(self.n_params, "n_in and n_out", (self.n_in, self.n_out))

    @property
    def n_params(self) -> int:
        """n_in n_out weights and n_out biases."""
        return (self.n_in + 1) * self.n_out

    def unpack(self, params: Array) -> tuple[Array, Array]:
        """Return W (n_in, n_out) and b (n_out,) as views of a flat vector of parameters or gradients."""
        checks.parameters(params, self.n_params)
        n_weights = self.n_in * self.n_out
        return params[:n_weights].reshape(self.n_in, self.n_out), params[n_weights:]

    def matrix(self, params: Array) -> Array:
        """Return W, which is dy/dx^T."""
        return self.unpack(params)[0]

    def out_bias(self, params: Array) -> Array:
        """Return b, which moves the output."""
        return self.unpack(params)[1]

    def named(self, params: Array) -> Iterator[tuple[str, Array]]:
        """Yield ("weight", W) and ("bias", b)."""
        W, b = self.unpack(params)
        yield "weight", W
        yield "bias", b

    def init(self, rng: np.random.Generator, dtype: Any = np.float64) -> Array:
        """Draw W in float64 and round it, so that float32 and float64 models start at the same point."""
        rng, dtype = checks.generator(rng), checks.float_dtype(dtype)
        shape = (self.n_in, self.n_out)
        if self.weights == "he":
            W = math.sqrt(2 / self.n_in) * rng.standard_normal(shape)
        else:
            limit = math.sqrt(6 / (self.n_in + self.n_out))
            W = rng.uniform(-limit, limit, shape)
        return np.concatenate([W.ravel(), np.zeros(self.n_out)]).astype(dtype)

    def forward(self, params: Array, x: Array) -> tuple[Array, Array]:
        """Return y = x W + b, shape (batch, n_out), and the cache x."""
        if not looked.already:
            params = checks.ready(params, self.n_params)
            remedy = "Use x.reshape(len(x), -1).astype(params.dtype)."
            x = checks.look(x, "x", (None, self.n_in), params.dtype, remedy)
        return kernels.dense(params, x, self.n_out), x

    def backward(
        self, params: Array, cache: Array, dy: Array, grads: Array | None, need_dx: bool = True
    ) -> Array | None:
        """Write dW and db into ``grads``; return dx."""
        if not looked.already:
            params = checks.ready(params, self.n_params)
            dy = checks.look(dy, "dy", (len(cache), self.n_out), params.dtype)
            need_dx = checks.flag(need_dx, "need_dx")
            if grads is not None:
                checks.place(grads, self.n_params, params.dtype)
        dx = kernels.dense_backward(params, cache, dy, params[:0] if grads is None else grads, need_dx)
        return dx if need_dx else None
