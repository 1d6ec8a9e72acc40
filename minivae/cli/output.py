"""The one boundary between the command line and what it writes to: encodings, closed pipes, missing streams."""

import codecs
import os
import sys
from collections.abc import Callable
from typing import Any

_PLAIN = {"✓": "ok", "✗": "wrong:", "…": "...", "±": "+-", "−": "-", "–": "-", "→": "->", "·": "*", "β": "beta"}


def _plain(error: UnicodeError) -> tuple[str, int]:
    """Say in ASCII what the encoding of a terminal has no signs for."""
    assert isinstance(error, UnicodeEncodeError)
    bad = error.object[error.start : error.end]
    return "".join(_PLAIN.get(c) or c.encode("ascii", "backslashreplace").decode() for c in bad), error.end


codecs.register_error("minivae-plain", _plain)


def prepare() -> None:
    """Give the process an output and an error stream that take every text; a missing one swallows it."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None or stream.closed:  # started with >&-
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115  as long as the process
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="minivae-plain")


def written(answer: Callable[[], int], fail: Callable[[str], int]) -> int:
    """Return the exit code of an answer once all that it printed has gone out.

    A reader that has seen enough, as ``head`` does, is no failure; output that is lost is one.
    """
    code = 0
    try:
        code = answer()
        sys.stdout.flush()
    except BrokenPipeError:
        _give_up()
    except OSError as error:
        _give_up()
        code = fail(f"standard output must take the results, got {error.strerror}. Send them elsewhere.")
    return code


def _give_up() -> None:
    """Let what is still to be written to standard output vanish, at exit too."""
    null: Any = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
