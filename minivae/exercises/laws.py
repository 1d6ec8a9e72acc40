"""Words for laws: what a law expects of an answer, and the sentence that is said where it does not hold."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minivae.core.arrays import Array


class BrokenLawError(Exception):
    """A law does not hold; the message says which, what was expected and what came, and perhaps why."""

    def __init__(self, message: str, mistake: str | None = None) -> None:
        super().__init__(message)
        self.mistake = mistake


def shown(value: Any) -> str:
    """Describe a value briefly.

    >>> shown(np.zeros((3, 2))), shown("abc")
    ('an array of shape (3, 2)', "'abc'")
    """
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    try:
        text = repr(value)
    except Exception:  # a student's own class, or an integer of thousands of digits
        return f"a value of type {type(value).__name__} that cannot be shown"
    return text if len(text) <= 40 else f"{text[:37]}..."


def array(name: str, value: Any, shape: tuple[int, ...]) -> Array:
    """Return a part of an answer as a float array of the shape, or break the law that it is one."""
    try:
        got = np.asarray(value)
    except Exception:  # ragged, or with an __array__ of its own that fails
        raise BrokenLawError(f"{name} must be an array of shape {shape}, got {shown(value)}.") from None
    if got.dtype.kind not in "fiub":
        raise BrokenLawError(
            f"{name} must be an array of real numbers, got {shown(value)} of type {type(value).__name__}."
        )
    if got.shape != shape:
        want = f"have shape {shape}" if shape else "be one number"
        turned = len(shape) == 2 and got.shape == shape[::-1]
        raise BrokenLawError(f"{name} must {want}, got shape {got.shape}.{' Is it transposed?' if turned else ''}")
    if not np.isfinite(got).all():
        raise BrokenLawError(f"{name} must be finite, got {int((~np.isfinite(got)).sum())} NaN or infinite value(s).")
    return got.astype(float)


def parts(names: str, value: Any, *shapes: tuple[int, ...]) -> list[Array]:
    """Return the parts of an answer that gives several arrays, "dmu, dlog_var" say."""
    wanted = names.split(", ")
    if not isinstance(value, (tuple, list)) or len(value) != len(wanted):
        got = f"{len(value)} values" if isinstance(value, (tuple, list)) else shown(value)
        raise BrokenLawError(f"The function must return {len(wanted)} values, {names}; got {got}.")
    return [array(name, part, shape) for name, part, shape in zip(wanted, value, shapes, strict=True)]


def close(name: str, got: Array, want: Any, why: str, tolerance: float = 1e-9) -> None:
    """Break the law ``why`` unless every entry is within tolerance (1 + |want|) of what it should be."""
    want = np.broadcast_to(np.asarray(want, float), got.shape)
    error = np.abs(got - want) / (1 + np.abs(want))
    if error.size == 0 or float(error.max()) <= tolerance:
        return
    worst = np.unravel_index(int(error.argmax()), error.shape)
    place = f" at {tuple(int(i) for i in worst)}" if got.ndim else ""
    raise BrokenLawError(
        f"{name} should be {want[worst]:.6g}{place}, got {got[worst]:.6g}{_ratio(got, want)}. The law: {why}."
    )


def _ratio(got: Array, want: Array) -> str:
    """Say by which simple factor all entries are off, if it is one."""
    for factor, words in ((-1, "minus"), (2, "twice"), (0.5, "half of")):
        if got.size > 1 and np.allclose(got, factor * want, rtol=1e-6, atol=1e-9):
            return f" (every entry is {words} what it should be)"
    return ""


def slopes(
    names: str, got: Sequence[Array], value: Callable[..., float], at: Sequence[Array], why: str, h: float = 1e-5
) -> None:
    """Break the law unless each array of ``got`` holds the slopes of ``value`` in the array of ``at`` beside it.

    Central differences of a smooth function err by about 1e-10 here, and the law asks for 1e-6.
    """
    for i, (name, gradient) in enumerate(zip(names.split(", "), got, strict=True)):
        want = np.empty_like(gradient)
        for j in np.ndindex(gradient.shape):
            up, down = [a.copy() for a in at], [a.copy() for a in at]
            up[i][j] += h
            down[i][j] -= h
            want[j] = (value(*up) - value(*down)) / (2 * h)
        close(name, gradient, want, why, tolerance=1e-6)
