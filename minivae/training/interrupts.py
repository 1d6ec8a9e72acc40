"""Ctrl-C and SIGTERM between two steps of a training, never in the middle of one."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any, NoReturn


class Terminated(KeyboardInterrupt):
    """SIGTERM: the system, or another person, asks the process to end."""


@contextlib.contextmanager
def sigterm_raises() -> Iterator[None]:
    """Let SIGTERM raise Terminated, as Ctrl-C raises KeyboardInterrupt; the former handler is put back at the end."""
    if threading.current_thread() is not threading.main_thread():  # Python allows handlers there only
        yield
        return
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminate(*_: Any) -> NoReturn:
    raise Terminated


class Interrupt:
    """Ctrl-C between two steps, not in the middle of one: there it could leave an update half done.

    A second Ctrl-C acts at once. A SIGTERM handler that raises is put off in the same way.
    """

    def __init__(self) -> None:
        self.wanted: type[KeyboardInterrupt] | None = None
        self.before: dict[int, Any] = {}

    def __enter__(self) -> "Interrupt":
        if threading.current_thread() is threading.main_thread():  # Python allows handlers there only
            for number in (signal.SIGINT, signal.SIGTERM):
                if callable(handler := signal.getsignal(number)):
                    self.before[number] = handler
                    signal.signal(number, self._note)
        return self

    def __exit__(self, *_: Any) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
        self.before = {}

    def _note(self, number: int, _: Any) -> None:
        again = self.wanted is not None
        self.wanted = Terminated if number == signal.SIGTERM else KeyboardInterrupt
        if again:
            raise self.wanted

    def check(self) -> None:
        """Raise KeyboardInterrupt, or Terminated, if there has been a signal."""
        if self.wanted is not None:
            raise self.wanted
