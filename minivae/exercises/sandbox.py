"""Run a student's code: with a time limit, and with its exceptions turned into sentences."""

import ctypes
import linecache
import threading
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np


class TimeIsUp(BaseException):
    """Thrown into an answer that takes too long."""


def run_with_limit(work: Callable[[], Any], seconds: float) -> Any:
    """Return work(), or raise TimeoutError if it takes longer; from any thread, on any system.

    The work has a thread of its own. One that is late has an exception thrown into it at its next Python instruction;
    should it catch even that, it is left behind as a daemon.
    """
    result: list[Any] = []
    error: list[BaseException] = []

    def run() -> None:
        try:
            with np.errstate(all="ignore"):  # NaN and infinities are judged, not warned of
                result.append(work())
        except BaseException as raised:
            error.append(raised)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        thread.join(seconds)
    finally:  # also after Ctrl-C
        late = thread.is_alive()
        for _ in range(20):
            if not thread.is_alive():
                break
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(TimeIsUp))
            thread.join(0.05)
    if late:
        raise TimeoutError
    if error:
        raise error[0]
    return result[0]


def own_words(error: BaseException, file: str | None) -> str:
    """Say the exception of a student's code with the line of its file that it came from."""
    if isinstance(error, SyntaxError) and error.filename == file:
        source = linecache.getline(error.filename or "", error.lineno or 0).strip()
        return f"Python does not understand line {error.lineno} of your answer, `{source}`: {error.msg}."
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file and frame.lineno]
    place = ""
    if lines:
        source = linecache.getline(lines[-1].filename, lines[-1].lineno or 0).strip()
        place = f" in line {lines[-1].lineno}" + (f", `{source}`," if source else "")
    said = f": {error}" if str(error) else ""
    return f"Your answer stopped{place} with {type(error).__name__}{said}."


def too_late(seconds: float) -> str:
    """Say that the time is up."""
    return (
        f"Your answer was still running after {seconds:g} seconds and was stopped. "
        f"A right one needs far less than a second: look for a loop that never ends."
    )
