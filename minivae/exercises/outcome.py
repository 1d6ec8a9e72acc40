"""What a check found, as text and as a box in a notebook."""

import html
import textwrap
from dataclasses import dataclass
from typing import Literal

State = Literal["right", "not yet", "wrong"]

_WORDS = {"right": "right", "not yet": "not yet", "wrong": "not right"}
_MARKS = {"right": ("✓", "#0072B2"), "not yet": ("…", "#767676"), "wrong": ("✗", "#D55E00")}


@dataclass(frozen=True)
class Outcome:
    """What a check found; shows itself in a terminal and in a notebook.

    Attributes
    ----------
    id : str
        The exercise.
    state : {"right", "not yet", "wrong"}
    message : str
        Which laws hold, what is still to do, or what was expected and what came.
    mistake : str or None
        The classic mistake that this is, where it is one.
    """

    id: str
    state: State
    message: str
    mistake: str | None = None

    @property
    def ok(self) -> bool:
        """Whether the answer is right."""
        return self.state == "right"

    @property
    def _lines(self) -> list[str]:
        return [self.message, *([f"This looks like a classic mistake: {self.mistake}"] if self.mistake else [])]

    def __repr__(self) -> str:
        body = "\n".join(textwrap.fill(line, 100, initial_indent="  ", subsequent_indent="  ") for line in self._lines)
        return f"{_MARKS[self.state][0]} {self.id}: {_WORDS[self.state]}\n{body}"

    def _repr_html_(self) -> str:
        mark, color = _MARKS[self.state]
        body = "".join(f"<div>{html.escape(line)}</div>" for line in self._lines)
        head = f'<b style="color:{color}">{mark} {html.escape(self.id)}: {_WORDS[self.state]}</b>'
        return f'<div style="border-left:4px solid {color};padding:2px 10px">{head}{body}</div>'
