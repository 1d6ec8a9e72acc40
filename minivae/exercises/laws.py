"""Words for laws: what a law expects of an answer, and the sentence that is said where it does not hold."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from minivae.core.arrays import Array


class BrokenLawError(Exception):
    """A law does not hold; the message says which, what was expected and what came, and perhaps why.

    ``ratio`` is what came over what was expected, where that is one number for all entries.
    """

    def __init__(self, message: str, mistake: str | None = None, ratio: float | None = None) -> None:
        super().__init__(message)
        self.mistake = mistake
        self.ratio = ratio


def sizes(rng: np.random.Generator, n: int, low: int = 2, high: int = 8) -> tuple[int, ...]:
    """Draw n sizes between low and high, no two of them equal: a law that holds by a coincidence of sizes is none.

    >>> sizes(np.random.default_rng(0), 3)
    (4, 6, 5)
    """
    return tuple(int(i) for i in rng.permutation(np.arange(low, high + 1))[:n])


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
        kind = f"dtype {got.dtype}" if isinstance(value, np.ndarray) else f"type {type(value).__name__}"
        raise BrokenLawError(f"{name} must be an array of real numbers, got {shown(value)} of {kind}.")
    if got.shape != shape:
        want = f"have shape {shape}" if shape else "be one number"
        raise BrokenLawError(f"{name} must {want}, got shape {got.shape}.{_guess(got.shape, shape)}")
    if not np.isfinite(got).all():
        raise BrokenLawError(f"{name} must be finite, got {int((~np.isfinite(got)).sum())} NaN or infinite value(s).")
    return got.astype(float)


def _guess(got: tuple[int, ...], want: tuple[int, ...]) -> str:
    """Say how a shape may have come about, if it is plain."""
    if len(want) > 1 and got == want[::-1]:
        return " Is it transposed?"
    if tuple(n for n in got if n != 1) == tuple(n for n in want if n != 1):
        return " An axis of length one is too many (keepdims, x[:, None])." if len(got) > len(want) else ""
    return ""


def parts(names: str, value: Any, *shapes: tuple[int, ...]) -> list[Array]:
    """Return the parts of an answer that gives several arrays, "dmu, dlog_var" say."""
    wanted = names.split(", ")
    if isinstance(value, np.ndarray) and value.ndim and len(value) == len(wanted):
        value = list(value)  # arrays of one shape, put into one: it is taken apart as a tuple is
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
    expected, came = _apart(float(want[worst]), float(got[worst]))
    factor = constant_ratio(got, want)
    certain = factor is not None and (got.size > 1 or _fraction(factor, 12) is not None)
    words = f" ({'every entry' if got.size > 1 else 'it'} is {times(factor)})" if certain and factor is not None else ""
    mistake = None
    if float(error.max()) < 2e-5:
        mistake, words = _SINGLE, ""
    raise BrokenLawError(f"{name} should be {expected}{place}, got {came}{words}. The law: {why}.", mistake, factor)


_SINGLE = (
    "the numbers agree to about five digits and no further. So it is with float32 (compute in float64, as the "
    "arguments are), where a slope is measured rather than worked out, or where a small number is in it that the "
    "formula does not have (+ 1e-8 against a division by zero, or clipping)."
)


def _apart(want: float, got: float) -> tuple[str, str]:
    """Write two numbers with as many digits as it takes to see that they differ, six at least."""
    pairs = ((f"{want:.{digits}g}", f"{got:.{digits}g}") for digits in range(6, 18))
    return next((pair for pair in pairs if pair[0] != pair[1]), (repr(want), repr(got)))


def constant_ratio(got: Array, want: Any) -> float | None:
    """Return the c with got = c want in every entry, if there is one and it is not 1.

    >>> constant_ratio(np.array([-1.0, 2.0]), np.array([2.0, -4.0]))
    -0.5
    """
    want = np.broadcast_to(np.asarray(want, float), got.shape)
    scale = float(np.abs(want).max(initial=0))
    if not 0 < scale < np.inf or not np.isfinite(got).all():
        return None
    largest = np.unravel_index(int(np.abs(want).argmax()), want.shape)
    factor = float(got[largest] / want[largest])
    constant = np.abs(got - factor * want).max() <= 1e-6 * scale * max(abs(factor), 1e-3)
    return factor if constant and abs(factor - 1) > 1e-6 else None


def _fraction(factor: float, largest: int) -> Fraction | None:
    near = Fraction(factor).limit_denominator(largest)
    return near if near and abs(factor - float(near)) <= 1e-6 * abs(factor) else None


def times(factor: float) -> str:
    """Say "c times the right one", with c as a fraction where it is one.

    >>> times(-0.5), times(2.0), times(0.123456)
    ('-1/2 of the right one', 'twice the right one', '0.123456 times the right one')
    """
    if abs(factor) < 1e-6:
        return "zero"
    plain = {-1: "minus the right one", 2: "twice the right one", -2: "minus twice the right one"}
    near = _fraction(factor, 64)
    if near is None or abs(factor) >= 1e6:
        return f"{factor:.6g} times the right one"
    if near.denominator == 1:
        return plain.get(near.numerator, f"{near} times the right one")
    return f"{near} of the right one"


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
