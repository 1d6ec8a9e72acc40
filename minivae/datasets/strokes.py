"""An attribute that is known exactly: a vertical stroke left of an 8 x 8 digit, where no bundled digit has ink."""

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array

SHAPE = (8, 8)
STROKE = np.isin(np.arange(64), 8 * np.arange(1, 7))  # six pixels of the first column


def add_stroke(x: Array) -> Array:
    """Return a copy of 8 x 8 images, shape (n, 64), with ink on the stroke's six pixels.

    Examples
    --------
    >>> x = np.zeros((1, 64), np.float32)
    >>> add_stroke(x).sum().item(), has_stroke(x).item(), has_stroke(add_stroke(x)).item()
    (6.0, False, True)
    """
    x = checks.data(x, STROKE.size).copy()
    x[:, STROKE] = 1
    return x


def has_stroke(x: Array) -> np.ndarray:
    """Return whether each 8 x 8 image has the stroke, shape (n,): more than half the ink on its six pixels.

    Of the bundled digits none has any ink there, so it is wrong of no original, with a stroke or without.

    Examples
    --------
    >>> has_stroke(np.full((1, 64), 0.4)).item()
    False
    """
    return checks.data(x, STROKE.size)[:, STROKE].mean(axis=1) > 0.5
