"""Arrays of floats, and the small functions of them that every room uses."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]


Arrays = dict[str, np.ndarray]


def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + exp(-x)), accurate in both tails and in the dtype of x.

    >>> sigmoid(np.array([-40.0]))
    array([4.24835426e-18])
    """
    return np.exp(-np.logaddexp(-x, x.dtype.type(0)))


def log_mean_exp(a: Array, axis: int = 0) -> Array:
    """Return log(mean(exp(a))) along an axis, without overflow.

    >>> import numpy as np
    >>> log_mean_exp(np.array([1000.0, 1000.0])).item()
    1000.0
    """
    top = np.max(a, axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0)  # all -inf: the mean is zero
    with np.errstate(divide="ignore"):
        return np.squeeze(top, axis) + np.log(np.mean(np.exp(a - top), axis=axis))
