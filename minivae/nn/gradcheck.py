"""Finite differences done right: compare a hand-written gradient with the function it claims to differentiate."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array

# Tolerances and steps: theory gives an error of eps^(2/3) ~ 4e-11 at h = eps^(1/3) for central differences of a
# smooth function in float64, and eps for the complex step, whose h can be tiny because nothing is subtracted.
_STEP = {"central": 6e-6, "complex": 1e-30}


_TOLERANCE = {"central": 1e-7, "complex": 1e-12}


@dataclass(frozen=True)
class GradCheck:
    """What a gradient check found.

    Attributes
    ----------
    name : str
    n_checked : int
        Coordinates or directions compared; those at a kink are not among them.
    relative_error : float
        The largest error found, on the scale that ``check_gradient`` states.
    worst : int
        Coordinate or direction at which it was found.
    n_kinks : int
        Coordinates or directions left out because the function has a kink there.
    tolerance : float
    """

    name: str
    n_checked: int
    relative_error: float
    worst: int
    n_kinks: int
    tolerance: float

    @property
    def ok(self) -> bool:
        """Whether the error is within the tolerance (a NaN is not), and most places could be checked."""
        return self.n_checked > self.n_kinks and self.relative_error <= self.tolerance


def check_gradient(
    value: Callable[[Array], float],
    gradient: Array | Callable[[Array], Array],
    theta: Array,
    *,
    name: str = "gradient",
    n_directions: int | None = None,
    method: Literal["central", "complex"] = "central",
    tolerance: float | None = None,
    rng: np.random.Generator | None = None,
) -> GradCheck:
    """Compare a gradient with finite differences of the function, and report how far apart they are.

    Along a unit direction v (a coordinate, or a random one)

        error = |D_v - g . v| / (1 + |g|),   D_v = (f(theta + h v) - f(theta - h v)) / 2h

    with h = 6e-6 max(1, |theta|_inf), or D_v = Im f(theta + i h v) / h with h = 1e-30 for the complex step. For a
    coordinate, both scales are its own: error = |D_i - g_i| / (1 + |g_i|), h = 6e-6 max(1, |theta_i|). A plain
    relative error would fail a right gradient where it is nearly zero. Where g is far below 1, rescale f first.

    Where a kink (of a ReLU, say) lies inside the step, the differences are wrong and not the gradient. A
    kink shows in the second difference, which then shrinks no faster than the step; such a place is tried
    again with steps 10 and 100 times smaller, and left out and counted if it lies on the kink itself.

    Parameters
    ----------
    value : callable
        f(theta) -> float, deterministic: freeze all noise.
    gradient : array or callable
        The gradient at theta, shape (n,), or a function that returns it.
    theta : array of shape (n,), float64
    name : str
        Title of the report.
    n_directions : int, optional
        Number of random directions; every coordinate is checked unless given.
    method : {"central", "complex"}
        The complex step is exact to rounding, but f must accept complex numbers and be analytic.
    tolerance : float, optional
        1e-7 for central differences, 1e-12 for the complex step.
    rng : numpy.random.Generator, optional
        For the directions; seeded with 0 unless given.

    Returns
    -------
    GradCheck

    Raises
    ------
    ValueError
        If theta is not a non-empty float64 vector, the gradient has another shape, or f drops the
        imaginary part of its argument.

    References
    ----------
    J. Nocedal, S. Wright, "Numerical optimization", section 8.1; W. Squire, G. Trapp, SIAM Review 40, 1998.

    Examples
    --------
    >>> import numpy as np
    >>> check_gradient(lambda t: float(t @ t), lambda t: 2 * t, np.array([1.0, -2.0])).ok
    True
    >>> check_gradient(lambda t: float(t @ t), lambda t: 2.002 * t, np.array([1.0, -2.0])).ok
    False
    """
    checks.choice(method, _STEP, "method")
    value = _numeric(checks.function(value, "value"))
    theta = checks.array(theta, "theta")
    if theta.dtype != np.float64 or theta.ndim != 1 or theta.size == 0:
        raise ValueError(
            f"theta must be a non-empty float64 vector, got dtype {theta.dtype} and shape {theta.shape}. "
            f"Finite differences need float64: use theta.astype(np.float64).ravel()."
        )
    checks.finite(theta, "theta")
    g = gradient(theta.copy()) if callable(gradient) else gradient
    g = checks.numbers(g, "gradient", "Use gradient.astype(float).")
    if g.shape != theta.shape:
        raise ValueError(f"gradient must have the shape of theta, {theta.shape}, got {g.shape}. Flatten both alike.")
    if not isinstance(name, str):
        raise ValueError(f"name must be a word, got {checks.shown(name)}. It is the title of the report.")
    rng = np.random.default_rng(0) if rng is None else checks.generator(rng)
    tolerance = _TOLERANCE[method] if tolerance is None else checks.number(tolerance, "tolerance", low=0)
    with np.errstate(over="ignore", invalid="ignore"):  # an infinite one fails the check
        scale = 1 + float(np.linalg.norm(g))
    worst, worst_error, n_checked, n_kinks = -1, 0.0, 0, 0
    for i in range(theta.size if n_directions is None else checks.width(n_directions, "n_directions")):
        v = _direction(i, theta.size, None if n_directions is None else rng)
        length = max(1.0, abs(theta[i]) if n_directions is None else float(np.abs(theta).max()))
        if method == "complex":
            difference, kink = _complex_step(value, theta, v), False
        else:
            # one coordinate is compared on its own scale, so that no large neighbour hides it
            difference, kink = _central(value, theta, v, length * _STEP[method], float(g @ v), tolerance)
        if kink:
            n_kinks += 1
            continue
        n_checked += 1
        own = 1 + abs(float(g @ v)) if n_directions is None else scale
        error = abs(difference - float(g @ v)) / own
        if not error <= worst_error:  # also true for a NaN
            worst, worst_error = i, float(error)
            if np.isnan(error):
                break
    return GradCheck(name, n_checked, worst_error, worst, n_kinks, tolerance)


def _numeric(value: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return the function, which then refuses to give anything but a number."""

    def number(theta: Any) -> Any:
        result = value(theta)
        if isinstance(result, np.ndarray) and result.size == 1:
            result = result.item()
        if not isinstance(result, (int, float, complex, np.number)):
            raise ValueError(f"value must return a number, got {checks.shown(result)}. Sum over what it gives.")
        return result

    return number


def _direction(i: int, n: int, rng: np.random.Generator | None) -> Array:
    if rng is None:
        v = np.zeros(n)
        v[i] = 1.0
        return v
    v = rng.standard_normal(n)
    return v / np.linalg.norm(v)


def _central(
    value: Callable[[Array], float], theta: Array, v: Array, h: float, slope: float, tolerance: float
) -> tuple[float, bool]:
    """Return the central difference, and whether a kink at theta itself spoils it."""
    middle, differences, bends = float(value(theta.copy())), [], []
    for step in (h, h / 10, h / 100):
        up, down = float(value(theta + step * v)), float(value(theta - step * v))
        differences.append((up - down) / (2 * step))
        error = abs(differences[-1] - slope)
        if error <= tolerance * (1 + abs(slope)) or np.isnan(error):
            return differences[-1], False
        # a kink inside the step moves the central difference by at most half its bend
        bends.append(abs(up - 2 * middle + down) / step)
        if bends[-1] < error:
            break  # smooth, so the gradient is wrong
    # the bend of a kink at theta stays as the step shrinks; that of a smooth function falls with it
    kink = len(bends) == 3 and bends[-1] > 0.5 * bends[0]
    return min(differences, key=lambda d: abs(d - slope)), kink


def _complex_step(value: Callable[[Any], Any], theta: Array, v: Array) -> float:
    h = _STEP["complex"]
    result = value(theta + 1j * h * v)
    if not np.iscomplexobj(result):
        raise ValueError(
            f"value must return a complex number for the complex step, got {type(result).__name__}. "
            f"It drops the imaginary part (float(), abs(), a real array): use method='central'."
        )
    return float(np.imag(result)) / h
