"""Hostile values, and the judge of what comes of them: a right answer, or a refusal in our own words."""

import dataclasses
import itertools
import linecache
import re
import signal
import traceback
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import minivae
from minivae.core import kernels
from minivae.core.errors import NonFiniteError

HOME = str(Path(minivae.__file__).parent)
SECONDS = 60.0  # for one call: all are of tiny arrays, and what takes so long hangs


def a_function(*_):
    """Return nothing, whatever comes."""


PLAIN = {
    "None": None,
    "0": 0,
    "-1": -1,
    "1.5": 1.5,
    "True": True,
    "nan": float("nan"),
    "inf": float("inf"),
    "10**30": 10**30,
    "10**12": 10**12,
    "''": "",
    "'x'": "x",
    "b'x'": b"x",
    "[]": [],
    "ragged": [[1.0], [1.0, 2.0]],
    "{}": {},
    "object": object(),
    "class": int,
    "function": a_function,
}
HARMLESS = ("strided", "Fortran", "read-only", "np scalar")  # must give what the plain value gives


def arrays(like: np.ndarray) -> Iterator[tuple[str, Any]]:
    """Yield arrays that are nearly ``like``: of another dtype, shape or layout."""
    yield "0-d", np.array(0.5)
    yield "empty", like[:0].copy()
    yield "3-d", np.ones((1, 1, *like.shape[:1])) if like.ndim != 3 else like[0].copy()
    yield "deeper", like[None].copy()
    yield "wide", np.concatenate([like, like[..., -1:]], axis=-1)
    yield "long", np.concatenate([like, like[-1:]], axis=0)
    if like.dtype.kind == "f":
        yield "integers", np.rint(np.nan_to_num(like)).astype(int)
    yield "complex", like.astype(complex)
    yield "objects", like.astype(object)
    yield "array of None", np.full(like.shape, None)
    yield "strings", like.astype(str)
    yield "masked", np.ma.masked_array(like, np.arange(like.size).reshape(like.shape) == 0)
    yield "float16", like.astype(np.float16)
    yield "other float", like.astype(np.float32 if like.dtype == np.float64 else np.float64)
    yield "big-endian", like.astype(like.dtype.newbyteorder(">"))
    yield "list", like.tolist()
    if like.dtype.kind == "f":
        for name, value in (("NaN in it", np.nan), ("inf in it", np.inf), ("1e300 in it", 1e300)):
            spoiled = like.astype(np.float64 if value == 1e300 else like.dtype)
            spoiled.flat[0] = value
            yield name, spoiled


def layouts(like: np.ndarray) -> Iterator[tuple[str, Any]]:
    """Yield the same values in other layouts."""
    strided = np.repeat(like, 2, axis=-1)[..., ::2]
    yield "strided", strided
    yield "Fortran", np.asfortranarray(like)
    fixed = like.copy()
    fixed.flags.writeable = False
    yield "read-only", fixed


def values(right: Any) -> Iterator[tuple[str, Any]]:
    """Yield hostile values for an argument whose right value is given."""
    yield from PLAIN.items()
    like = right if isinstance(right, np.ndarray) and right.size else np.array([[0.5, 1.0], [1.0, 0.0]])
    yield from arrays(like)
    if isinstance(right, np.ndarray) and right.size:
        yield from layouts(right)
    elif isinstance(right, int) and not isinstance(right, bool):
        yield "np scalar", np.int64(right)
    elif isinstance(right, float):
        yield "np scalar", np.float64(right)
        if float(np.float32(right)) == right:
            yield "np scalar", np.float32(right)


def parts(result: Any, depth: int = 0) -> Iterator[Any]:
    """Yield the numbers and arrays that a result is made of."""
    if isinstance(result, (bool, int, float, complex, np.generic, np.ndarray)):
        yield result
    elif depth > 4 or isinstance(result, (str, bytes, type)) or result is None:
        return
    elif isinstance(result, Mapping):
        for value in result.values():
            yield from parts(value, depth + 1)
    elif isinstance(result, (list, tuple)):
        for value in result:
            yield from parts(value, depth + 1)
    elif dataclasses.is_dataclass(result):
        for field in dataclasses.fields(result):
            yield from parts(getattr(result, field.name, None), depth + 1)


def finite(result: Any) -> bool:
    """Say whether all numbers in a result are finite numbers."""
    for part in parts(result):
        if isinstance(part, int):
            continue
        array = np.asarray(part)
        if array.dtype.kind == "O" or (array.dtype.kind in "fc" and not np.isfinite(array).all()):
            return False
    return True


def equal(a: Any, b: Any) -> bool:
    """Say whether two results hold the same numbers, bit for bit."""
    pairs = itertools.zip_longest(parts(a), parts(b))
    return all(_alike(x, y) for x, y in pairs)


def _alike(x: Any, y: Any) -> bool:
    x, y = np.asarray(x), np.asarray(y)
    numbers = x.dtype.kind in "fc" and y.dtype.kind in "fc"
    return x.dtype.kind != "O" and np.array_equal(x, y, equal_nan=numbers)


class _SlowError(BaseException):
    """The time is up."""


def _alarm(*_: Any) -> None:
    raise _SlowError


def called(call: Any, args: dict[str, Any]) -> Any:
    """Return the result; of a generator its first values, for a generator does nothing before it is asked."""
    before = signal.signal(signal.SIGALRM, _alarm)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        with warnings.catch_warnings(), np.errstate(all="warn", under="ignore"):
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", UserWarning)  # our own words
            warnings.simplefilter("ignore", ResourceWarning)
            if not hasattr(kernels.adam, "py_func"):  # as in conftest
                warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"minivae\.core\.kernels")
            result = call(**args)
            return list(itertools.islice(result, 50)) if isinstance(result, Iterator) else result
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


RULE = re.compile(r"\b(must|give|needs?|should)\b")
REMEDY = re.compile(r"\bgot\b.*[.?!)] [A-Z`'\"a-z].*[.?)]$", re.DOTALL)
FOREIGN = re.compile(
    r"be broadcast|'NoneType' object|array element|has no attribute|not supported|operand|could not convert|ufunc|"
    r"iterable|invalid literal|has no len|einsum|unhashable|[Nn]umba|subscriptable|out of bounds|too large to|"
    r"Unable to allocate|encountered in"
)


def refusal(error: BaseException, names: tuple[str, ...]) -> str | None:
    """Return what is wrong with the words of a refusal, or None."""
    said = f"{type(error).__name__}: {str(error)[:200]}"
    if not isinstance(error, (ValueError, TypeError, NonFiniteError)):
        return said
    frame = traceback.extract_tb(error.__traceback__)[-1]
    line = linecache.getline(frame.filename, frame.lineno or 0).strip()
    if not frame.filename.startswith(HOME) or not line.startswith("raise"):
        return f"not raised by us: {said}"
    text = str(error)
    if FOREIGN.search(text):
        return f"foreign words: {said}"
    if isinstance(error, NonFiniteError):
        return None if "finite" in text and re.search(r"[.] .*[.]$", text) else f"no remedy: {said}"
    if not any(re.search(rf"\b{re.escape(name)}\b", text) for name in names):
        return f"names none of {', '.join(names)}: {said}"
    if not RULE.search(text):
        return f"no rule: {said}"
    if len(text) > 1500:
        return f"{len(text)} characters: {said}"
    return None if REMEDY.search(text) else f"no value or no remedy: {said}"
