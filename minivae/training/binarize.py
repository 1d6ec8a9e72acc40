"""Zeros and ones from grey values."""

import numpy as np

from minivae.core.arrays import Array


def binarize(x: Array, rng: np.random.Generator) -> Array:
    """Draw zeros and ones with the grey values of x in [0, 1] as probabilities.

    >>> binarize(np.array([[0.0, 1.0]]), np.random.default_rng(0))
    array([[0., 1.]])
    """
    return (rng.random(x.shape, dtype=x.dtype) < x).astype(x.dtype)
