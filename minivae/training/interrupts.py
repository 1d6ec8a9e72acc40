"""Ctrl-C and SIGTERM between two steps of a training, never in the middle of one."""

import signal
import threading
from typing import Any


class Interrupt:
    """Ctrl-C between two steps, not in the middle of one: there it could leave an update half done.

    A second Ctrl-C acts at once. A SIGTERM handler that raises is put off in the same way.
    """

    def __init__(self) -> None:
        self.wanted = False
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

    def _note(self, *_: Any) -> None:
        if self.wanted:
            raise KeyboardInterrupt
        self.wanted = True

    def check(self) -> None:
        """Raise KeyboardInterrupt if there has been one."""
        if self.wanted:
            raise KeyboardInterrupt
