"""What has been looked at once is not looked at again: a model looks at its arguments, its boxes then need not."""

import contextlib
import functools
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

T = TypeVar("T")


class _Looked(threading.local):
    """How many methods of models, which have looked, are running in a thread."""

    already = 0


looked = _Looked()


class _Inside:
    def __enter__(self) -> None:
        looked.already += 1

    def __exit__(self, *_: Any) -> None:
        looked.already -= 1


_INSIDE, _OUTSIDE = _Inside(), contextlib.nullcontext()


def inside(model: Any) -> AbstractContextManager[None]:
    """Return a context in which the boxes of a model do not look at shapes that the model has looked at.

    The widths of its boxes were held to each other when it was built, so shapes that go in right stay right. That holds
    for the boxes of this package; a model with one of another's is looked at everywhere.
    """
    return _INSIDE if getattr(model, "own_boxes", False) else _OUTSIDE


def looks_once(method: Callable[..., T]) -> Callable[..., T]:
    """Let a model's method, which looks at its arguments, run ``inside`` the model."""

    @functools.wraps(method)
    def looking(model: Any, *args: Any, **kwargs: Any) -> T:
        with inside(model):
            return method(model, *args, **kwargs)

    return looking
