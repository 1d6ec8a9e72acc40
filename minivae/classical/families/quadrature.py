"""Rules that integrate smooth functions to rounding: over uniform noise on (0, 1), and over a half-line."""

from collections.abc import Callable
from typing import Any

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array

_STEP, _LEFT, _RIGHT = 0.16, -38.0, 7.0  # in log s


def uniform_nodes(step: float = 0.02) -> tuple[Array, Array]:
    """Return nodes u inside (0, 1) and weights that integrate against the uniform distribution, both of shape (K,).

        u = sigmoid(pi sinh t),   sum_k w_k f(u_k) = E[f(u)]

    with t on a grid of this step: the double-exponential rule of Takahasi and Mori, for which singular ends are no
    matter. Fed as noise, they make an estimate the exact value; near 1 they are as fine as float64 is.

    Examples
    --------
    >>> u, w = uniform_nodes()
    >>> round(float(w @ np.log(u)), 12)
    -1.0
    """
    step = checks.number(step, "step", low=0.001, high=0.5)
    t = step * np.arange(-int(6 / step), int(6 / step) + 1)
    x = np.pi * np.sinh(t)
    u = np.exp(-np.logaddexp(0, -x))
    w = step * np.pi * np.cosh(t) * u * np.exp(-np.logaddexp(0, x))
    inside = (u > 1e-300) & (u < 1)
    return u[inside], w[inside] / w[inside].sum()


def half_line(f: Callable[[float | Array], Any], width: Any) -> Array:
    """Return the integral of f(s) over s > 0, for each width, the scale of s above which f falls exponentially.

    The trapezoidal rule in log s: accurate at all scales from ``width`` down, whatever f does below.

    >>> round(float(half_line(lambda s: np.exp(-3 * s), 1 / 3)), 12)
    0.333333333333
    """
    total: Any = 0.0
    for x in np.arange(_LEFT, _RIGHT, _STEP):
        s = width * np.exp(x)
        total = total + s * f(s)
    return _STEP * total
