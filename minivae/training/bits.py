"""Zeros and ones from grey values."""

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array


def binarize(x: Array, rng: np.random.Generator) -> Array:
    """Draw zeros and ones with the grey values of x in [0, 1] as probabilities.

    >>> binarize(np.array([[0.0, 1.0]]), np.random.default_rng(0))
    array([[0., 1.]])
    """
    x = checks.data(x)
    check_probabilities(x, "x")
    return draw_bits(x, checks.generator(rng))


def draw_bits(x: Array, rng: np.random.Generator) -> Array:
    """Return zeros and ones of probabilities that have been looked at."""
    return (rng.random(x.shape, dtype=x.dtype) < x).astype(x.dtype)


def check_probabilities(x: Array, name: str) -> None:
    """Refuse values outside [0, 1]."""
    if x.min() < 0 or x.max() > 1:
        raise ValueError(
            f"{name} must lie in [0, 1] to be binarised, got {x.min():g} to {x.max():g}. Divide by the maximum."
        )
