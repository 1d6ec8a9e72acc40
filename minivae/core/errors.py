"""The errors that minivae raises, beside ValueError; and how the first non-finite array is found and named."""

import dataclasses
import functools
from collections.abc import Callable, Iterable
from typing import Any, ParamSpec, TypeVar

import numpy as np

from minivae.core.arrays import Array
from minivae.core.trust import looked

P = ParamSpec("P")
R = TypeVar("R")


class NonFiniteError(FloatingPointError):
    """A value became NaN or infinite.

    Attributes
    ----------
    where : str
        What is not finite, and the first array on the way to it that is not.
    """

    def __init__(self, where: str, remedy: str = "") -> None:
        super().__init__(f"{where}. {remedy}".rstrip())
        self.where = where


class FileError(ValueError):
    """A file is missing, damaged, or not what it should be; the message says which and what to do."""


def first_non_finite(arrays: Iterable[tuple[str, Array]]) -> str | None:
    """Describe the first array that holds a NaN or an infinity; None where all are finite.

    >>> first_non_finite([("x", np.zeros(2)), ("z", np.array([0.0, np.nan]))])
    'z holds 1 NaN or infinite value(s) of 2'
    """
    for name, array in arrays:
        bad = int(array.size - np.isfinite(array).sum())
        if bad:
            return f"{name} holds {bad} NaN or infinite value(s) of {array.size}"
    return None


def raise_non_finite(arrays: Iterable[tuple[str, Array]], what: str) -> None:
    """Raise NonFiniteError that names the first non-finite array on the way to ``what``."""
    with np.errstate(all="ignore"):
        where = first_non_finite(arrays) or f"{what} overflows though every array before it is finite"
    remedy = "If the data are right, the parameters have moved too far: lower the learning rate or clip the gradient."
    raise NonFiniteError(f"{what} is not finite: {where}", remedy)


def speak_of(name: str, result: Array, **sources: Array) -> None:
    """Raise NonFiniteError where a box's result is not finite; say nothing under ``np.errstate(over="ignore")``.

    As with NumPy's own warnings: a caller that ignores them looks at the results itself, as the training loop does, and
    there nothing is looked at twice.
    """
    if looked.already or np.geterr()["over"] == "ignore" or np.isfinite(result).all():
        return
    where = ", ".join(f"{source} from {array.min():.4g} to {array.max():.4g}" for source, array in sources.items())
    raise NonFiniteError(
        f"{name} is not finite in {result.dtype}: {where}",
        "Make them smaller, or use float64; np.errstate(over='ignore') takes it without a word.",
    )


def spoken(
    what: str, parts: Callable[[Any], Any] = lambda result: result
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a method raise NonFiniteError where what it returns is not finite, in place of NumPy's warnings; as above.

    What is looked at are the ``parts`` of the result: an array, or a tuple or dataclass of arrays.
    """

    def decorate(method: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(method)
        def speaking(*args: P.args, **kwargs: P.kwargs) -> R:
            if np.geterr()["over"] == "ignore":
                return method(*args, **kwargs)
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                result = method(*args, **kwargs)
            for array in _arrays(parts(result)):
                if array.dtype.kind == "f" and not np.isfinite(array).all():
                    raise NonFiniteError(
                        f"{what} holds {int((~np.isfinite(array)).sum())} NaN or infinite value(s) of {array.size}",
                        "Look at the parameters and at the size of the data: one of them is not finite or too large.",
                    )
            return result

        return speaking

    return decorate


def _arrays(result: Any) -> Iterable[np.ndarray]:
    if isinstance(result, np.ndarray):
        yield result
    elif isinstance(result, tuple):
        for part in result:
            yield from _arrays(part)
    elif dataclasses.is_dataclass(result):
        for field in dataclasses.fields(result):
            yield from _arrays(getattr(result, field.name))
