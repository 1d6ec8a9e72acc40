"""The affine map in which an output sees only the inputs that come before it."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from minivae.core import checks, kernels
from minivae.core.arrays import Array
from minivae.core.registry import saved
from minivae.core.trust import looked


@saved
@dataclass(frozen=True)
class MaskedDense:
    """Affine map y = x (M o W) + b, where M_ij = 1 if output j may see input i, and 0 otherwise.

    Every input and output has a degree. A hidden unit sees the inputs of its own degree and below; an output, where
    ``strict``, those below only. So in a chain of such layers, the last one strict, the output of degree d depends on
    the inputs of degree below d and on no others, exactly. An input of degree 0 is seen by all.

    Backward: dW = M o (x^T dy), db = sum over the batch of dy, dx = dy (M o W)^T. Entries of W outside the mask start
    at zero, have no gradient, and count for nothing.

    Parameters
    ----------
    in_degrees, out_degrees : sequence of int
        Degree of each input and of each output, at least 0.
    strict : bool
        Whether an output sees only what is below its degree.

    Raises
    ------
    ValueError
        If there are no degrees, or one is no integer of at least 0.

    References
    ----------
    M. Germain, K. Gregor, I. Murray, H. Larochelle, "MADE: masked autoencoder for distribution estimation", 2015.

    Examples
    --------
    >>> layer = MaskedDense([1, 2], [1, 2], strict=True)
    >>> layer.mask
    array([[0., 1.],
           [0., 0.]])
    """

    in_degrees: tuple[int, ...]
    out_degrees: tuple[int, ...]
    strict: bool = False
    analytic = True
    out_range = (-math.inf, math.inf)

    def __init__(self, in_degrees: Sequence[int], out_degrees: Sequence[int], strict: bool = False) -> None:
        object.__setattr__(self, "in_degrees", checks.counts(in_degrees, "in_degrees"))
        object.__setattr__(self, "out_degrees", checks.counts(out_degrees, "out_degrees"))
        object.__setattr__(self, "strict", checks.flag(strict, "strict"))
        checks.size(self.n_params, "in_degrees and out_degrees", (self.n_in, self.n_out))

    @property
    def n_in(self) -> int:
        """Width of the input."""
        return len(self.in_degrees)

    @property
    def n_out(self) -> int:
        """Width of the output."""
        return len(self.out_degrees)

    @property
    def n_params(self) -> int:
        """n_in n_out weights, those outside the mask too, and n_out biases."""
        return (self.n_in + 1) * self.n_out

    @cached_property
    def mask(self) -> Array:
        """M, shape (n_in, n_out)."""
        d, e = np.array(self.in_degrees)[:, None], np.array(self.out_degrees)
        return (e > d if self.strict else e >= d).astype(np.float64)

    @cached_property
    def _flat_mask(self) -> dict[Any, Array]:
        """The mask of the parameters, biases too, in each dtype."""
        flat = np.concatenate([self.mask.ravel(), np.ones(self.n_out)])
        return {np.dtype(t): flat.astype(t) for t in (np.float32, np.float64, np.complex128)}

    def unpack(self, params: Array) -> tuple[Array, Array]:
        """Return W (n_in, n_out) and b (n_out,), as views of a flat vector of parameters or gradients."""
        checks.parameters(params, self.n_params)
        n_weights = self.n_in * self.n_out
        return params[:n_weights].reshape(self.n_in, self.n_out), params[n_weights:]

    def masked(self, params: Array) -> Array:
        """Return M o W, which is dy/dx^T; a copy, where ``Dense.matrix`` is a view."""
        return self.unpack(params)[0] * self.mask.astype(params.dtype)

    def out_bias(self, params: Array) -> Array:
        """Return b, which moves the output."""
        return self.unpack(params)[1]

    def named(self, params: Array) -> Iterator[tuple[str, Array]]:
        """Yield ("weight", W) and ("bias", b)."""
        W, b = self.unpack(params)
        yield "weight", W
        yield "bias", b

    def init(self, rng: np.random.Generator, dtype: Any = np.float64) -> Array:
        """Draw W uniform in +-sqrt(6 / (n_in + n_out)), zero outside the mask; biases start at zero."""
        rng, dtype = checks.generator(rng), checks.float_dtype(dtype)
        limit = math.sqrt(6 / (self.n_in + self.n_out))
        W = rng.uniform(-limit, limit, (self.n_in, self.n_out)) * self.mask
        return np.concatenate([W.ravel(), np.zeros(self.n_out)]).astype(dtype)

    def forward(self, params: Array, x: Array) -> tuple[Array, tuple[Array, Array]]:
        """Return y = x (M o W) + b, shape (batch, n_out), and the cache: x and the masked parameters."""
        if not looked.already:
            checks.parameters(params, self.n_params)
            x = checks.look(x, "x", (None, self.n_in), params.dtype, "Use x.reshape(len(x), -1).astype(params.dtype).")
        masked = params * self._flat_mask[params.dtype]
        return kernels.dense(masked, x, self.n_out), (x, masked)

    def backward(self, params: Array, cache: Any, dy: Array, grads: Array | None, need_dx: bool = True) -> Array | None:
        """Write dW and db into ``grads``; return dx."""
        x, masked = cache
        if not looked.already:
            checks.parameters(params, self.n_params)
            dy = checks.look(dy, "dy", (len(x), self.n_out), params.dtype)
            need_dx = checks.flag(need_dx, "need_dx")
            if grads is not None:
                checks.place(grads, self.n_params, params.dtype)
        dx = kernels.dense_backward(masked, x, dy, params[:0] if grads is None else grads, need_dx)
        if grads is not None:
            grads *= self._flat_mask[params.dtype]
        return dx if need_dx else None
