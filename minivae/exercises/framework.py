"""Exercises that answer: laws that an answer must obey, and a zoo of classic mistakes to compare it with.

An answer is checked by laws (finite differences, closed forms, bounds, shapes), never by comparing it with a solution.
Where a law breaks, the answer is run beside the wrong answers of the zoo, and the one that it equals is the diagnosis.
"""

import html
import inspect
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from minivae.core import checks
from minivae.exercises.laws import BrokenLawError, shown
from minivae.exercises.sandbox import TimeIsUp, own_words, run_with_limit, too_late

SECONDS = 10.0
State = Literal["right", "not yet", "wrong"]

_WORDS = {"right": "right", "not yet": "not yet", "wrong": "not right"}
_MARKS = {"right": ("✓", "#0072B2"), "not yet": ("…", "#767676"), "wrong": ("✗", "#D55E00")}


class _UnsolvedError(Exception):
    """The answer is still the empty one."""


class _RaisedError(Exception):
    """The answer itself raised an exception."""


@dataclass(frozen=True)
class Mistake:
    """A classic wrong answer, and the sentence that explains it."""

    name: str
    explanation: str
    answer: Any


@dataclass(frozen=True)
class Law:
    """Something that every right answer obeys: ``holds(answer, rng)`` raises ``BrokenLawError`` where it does not."""

    statement: str
    holds: Callable[[Any, np.random.Generator], None]


@dataclass(frozen=True)
class Exercise:
    """One exercise.

    Parameters
    ----------
    id : str
        "topic.name"; the answer is called by the name, with underscores.
    task : str
        What to write, in one sentence.
    arguments : str
        Those of the function, "mu, log_var, eps"; empty where the answer is a value.
    laws : sequence of Law
    zoo : sequence of Mistake
    example : callable, optional
        From a generator to one set of arguments, on which answers are compared with the zoo's.
    compare : callable, optional
        What of a result is compared with the zoo's; all of it unless given (an eigenvector's sign is free, say).
    """

    id: str
    task: str
    arguments: str
    laws: Sequence[Law]
    zoo: Sequence[Mistake]
    example: Callable[[np.random.Generator], tuple[Any, ...]] | None = None
    compare: Callable[[Any], Any] = lambda result: result

    @property
    def topic(self) -> str:
        """The part of the id before the dot."""
        return self.id.partition(".")[0]

    @property
    def answer_name(self) -> str:
        """Name of the function or value in a student's file: "vae.sample-z" is ``sample_z``."""
        return self.id.partition(".")[2].replace("-", "_")

    @property
    def signature(self) -> str:
        """How the answer is written down: ``sample_z(mu, log_var, eps)``, or ``answer = ...`` for a value."""
        return f"{self.answer_name}({self.arguments})" if self.arguments else f"{self.answer_name} = ..."

    def check(self, answer: Any, seed: int = 0, seconds: float = SECONDS) -> "Outcome":
        """Check an answer; whatever it does, what comes back is an ``Outcome``."""
        checks.seed(seed)
        checks.number(seconds, "seconds", low=0)
        try:
            message, mistake = run_with_limit(lambda: self._judge(answer, seed), seconds)
        except _UnsolvedError as unsolved:
            return Outcome(self.id, "not yet", str(unsolved))
        except _RaisedError as raised:
            return Outcome(self.id, "wrong", str(raised))
        except TimeoutError:
            return Outcome(self.id, "wrong", too_late(seconds))
        except Exception as error:
            return Outcome(
                self.id,
                "wrong",
                f"What your answer gives cannot be judged ({type(error).__name__} on the way). "
                "Return plain numbers and NumPy arrays of them.",
            )
        if message is None:
            return Outcome(self.id, "right", "; ".join(law.statement for law in self.laws) + ".")
        return Outcome(self.id, "wrong", message, mistake)

    def _judge(self, answer: Any, seed: int) -> tuple[str | None, str | None]:
        """Return which law breaks and how, and the diagnosis; nothing for a right answer."""
        answer = self._watched(answer)
        try:
            for law in self.laws:
                law.holds(answer, np.random.default_rng(seed))
        except BrokenLawError as broken:
            return str(broken), broken.mistake or self._diagnosis(answer, seed)
        return None, None

    def _watched(self, answer: Any) -> Any:
        """Return the answer such that an empty one, a raised exception and a wrong kind are told apart."""
        if answer is None or answer is Ellipsis:
            raise _UnsolvedError(f"Write {self.signature}: {self.task}.")
        if not self.arguments:
            return answer
        if not callable(answer):
            raise _RaisedError(
                f"{self.answer_name} must be a function, got {shown(answer)}. Pass the function itself, "
                "without calling it."
            )
        self._check_signature(answer)

        def call(*arguments: Any) -> Any:
            given = [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
            try:
                result = answer(*given)
            except NotImplementedError as error:
                raise _UnsolvedError(f"Write {self.signature}: {self.task}.") from error
            except (BrokenLawError, TimeIsUp):  # the first comes from a function that the exercise passes in
                raise
            except BaseException as error:
                file = getattr(getattr(answer, "__code__", None), "co_filename", None)
                raise _RaisedError(f"{own_words(error, file)} {self._shapes(arguments)}".rstrip()) from error
            if result is Ellipsis:
                raise _UnsolvedError(f"Write {self.signature}: {self.task}.")
            if result is None:
                raise _UnsolvedError(
                    f"{self.answer_name} returns nothing. It should give: {self.task}. "
                    f"If you have written it already, is the return missing?"
                )
            for name, before, after in zip(self.arguments.split(", "), arguments, given, strict=True):
                if isinstance(before, np.ndarray) and not np.array_equal(before, after):
                    raise BrokenLawError(
                        f"{name} must be left as it was, but it was changed in place.",
                        f"an array belongs to the caller: -= and the like change it for everyone. Write "
                        f"{name} = {name} - ...",
                    )
            return result

        return call

    def _shapes(self, arguments: tuple[Any, ...]) -> str:
        """Say the shapes of the arrays that the answer was called with."""
        named = zip(self.arguments.split(", "), arguments, strict=True)
        shapes = [f"{name} {value.shape}" for name, value in named if isinstance(value, np.ndarray)]
        return f"It was called with arrays of these shapes: {', '.join(shapes)}." if shapes else ""

    def _check_signature(self, answer: Callable[..., Any]) -> None:
        wanted = self.arguments.split(", ")
        try:
            signature = inspect.signature(answer)
        except (TypeError, ValueError):  # built-in functions have none
            return
        try:
            signature.bind(*wanted)
        except TypeError:
            raise _RaisedError(f"{self.answer_name} must take ({self.arguments}), yours takes {signature}.") from None

    def _diagnosis(self, answer: Any, seed: int) -> str | None:
        """Return the explanation of the wrong answer in the zoo that this one equals."""
        example = self.example
        if example is None:
            return next((m.explanation for m in self.zoo if _same(answer, m.answer)), None)
        try:
            results = [answer(*example(np.random.default_rng(s))) for s in (seed + 1, seed + 2)]
            results = [self.compare(result) for result in results]
        except Exception:  # broken in another way on this example: no mistake of the zoo
            return None
        for mistake in self.zoo:
            wrong = (mistake.answer(*example(np.random.default_rng(s))) for s in (seed + 1, seed + 2))
            if all(_same(a, self.compare(b)) for a, b in zip(results, wrong, strict=True)):
                return mistake.explanation
        return None


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


def _same(a: Any, b: Any) -> bool:
    """Say whether two answers have the same parts, up to rounding."""
    if isinstance(b, (tuple, list)):
        return isinstance(a, (tuple, list)) and len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(b, dict):
        return isinstance(a, dict) and set(a) == set(b) and all(_same(a[key], b[key]) for key in b)
    if isinstance(b, str):
        return isinstance(a, str) and a == b
    try:
        a, b = np.asarray(a, float), np.asarray(b, float)
    except Exception:  # not numbers, or an integer too large for a float
        return False
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=1e-7, atol=1e-9, equal_nan=True))
