"""Exercises that answer: laws that an answer must obey, and a zoo of classic mistakes to compare it with.

An answer is checked by laws (finite differences, closed forms, bounds, shapes), never by comparing it with a solution,
and each law is tried several times, on other numbers and other sizes. Where one breaks, the answer is run beside the
wrong answers of the zoo, alone, in pairs and times a number, and the one that it equals is the diagnosis.
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minivae.core import checks
from minivae.core.seeds import Stream, stream
from minivae.exercises.laws import BrokenLawError, shown
from minivae.exercises.outcome import Outcome
from minivae.exercises.sandbox import TimeIsUp, own_words, run_with_limit, too_late
from minivae.exercises.zoo import Lengths, Mistake, diagnosis, factor, lengths_of, mistakes_of, multiples, over, same

__all__ = ["SECONDS", "Exercise", "Law", "Mistake", "Outcome", "mistakes_of"]

SECONDS = 10.0
TRIALS = 6  # of each law: on other numbers, and on other sizes where the law draws them


class _UnsolvedError(Exception):
    """The answer is still the empty one."""


class _RaisedError(Exception):
    """The answer itself raised an exception."""


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
    prepare : callable, optional
        What has to be done before the time of an answer runs: compiling a kernel, say.
    """

    id: str
    task: str
    arguments: str
    laws: Sequence[Law]
    zoo: Sequence[Mistake]
    example: Callable[[np.random.Generator], tuple[Any, ...]] | None = None
    compare: Callable[[Any], Any] = lambda result: result
    prepare: Callable[[], None] | None = None

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
        if self.prepare is not None:
            self.prepare()
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
        called: list[tuple[Any, ...]] = []
        answer = self._watched(answer, called)
        for trial in range(TRIALS if self.arguments else 1):
            for law in self.laws:
                broken = self._breaks(law, answer, seed, trial)
                if broken is not None:
                    message = str(broken) + self._of_ratio(law, answer, called, seed, trial, broken)
                    return message, broken.mistake or self._diagnosis(answer, seed)
        return None, None

    @staticmethod
    def _breaks(law: Law, answer: Any, seed: int, trial: int) -> BrokenLawError | None:
        try:
            law.holds(answer, stream(seed, Stream.EXERCISES, trial))
        except BrokenLawError as broken:
            return broken
        return None

    def _of_ratio(
        self, law: Law, answer: Any, called: list[tuple[Any, ...]], seed: int, trial: int, broken: BrokenLawError
    ) -> str:
        """Say by which factor the answer is off, if it is the same number or size of an argument in another trial."""
        if broken.ratio is None:
            return ""
        lengths: list[Lengths] = [lengths_of(self.arguments, called[-1])]
        try:
            again = self._breaks(law, answer, seed, trial + 1)
        except _RaisedError:
            return ""
        lengths.append(lengths_of(self.arguments, called[-1]))
        words = factor([broken.ratio, None if again is None else again.ratio], lengths)
        said = (words or "").replace("that", "the right one")
        return "" if not said or said in str(broken) else f" So it is with other numbers and sizes: {said}."

    def _watched(self, answer: Any, called: list[tuple[Any, ...]]) -> Any:
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
            called[:] = [arguments]
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
                        f"an array belongs to the caller: {name} -= ... and {name}[i] = ... change it for everyone. "
                        f"Write {name} = {name} - ..., or start with {name} = {name}.copy().",
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
        """Return the explanation of the wrong answer that this one equals."""
        example = self.example
        if example is None:
            return next((m.explanation for m in self.zoo if same(answer, m.answer)), None)
        seeds = self._two_examples(example, seed)

        def results(of: Callable[..., Any]) -> list[Any]:
            return [self.compare(of(*example(np.random.default_rng(s)))) for s in seeds]

        try:
            given = results(answer)
        except Exception:  # broken in another way on this example: no mistake of the zoo
            return None
        lengths = [lengths_of(self.arguments, example(np.random.default_rng(s))) for s in seeds]
        alone = self._is_multiple(answer, seed)  # the message has the number, and nothing else is wrong
        return diagnosis(
            self.zoo, given, results, lengths, lambda mistake: alone or self._is_multiple(mistake.answer, seed)
        )

    def _two_examples(self, example: Callable[..., tuple[Any, ...]], seed: int) -> tuple[int, int]:
        """Return the seeds of two examples, of which no size is the same where sizes are drawn."""
        first, *others = (
            list(lengths_of(self.arguments, example(np.random.default_rng(seed + i))).values()) for i in range(1, 21)
        )
        apart = [sum(a != b for a, b in zip(first, other, strict=True)) for other in others]
        return seed + 1, seed + 2 + int(np.argmax(apart))

    def _is_multiple(self, answer: Callable[..., Any], seed: int) -> bool:
        """Whether a wrong answer is the right one times a number or a size.

        Of the right answer times 1/4, "the 1/2 is missing, and besides it is 1/8 of that" would be no explanation.
        """
        called: list[tuple[Any, ...]] = []
        watched = self._watched(answer, called)
        for law in self.laws:
            try:
                broken = self._breaks(law, watched, seed, 0)
                if broken is not None and broken.ratio:
                    lengths = lengths_of(self.arguments, called[-1])
                    divided = [over(answer, by, self.arguments) for by in multiples(broken.ratio, lengths)]
                    if any(self._obeys(right, seed) for right in divided):
                        return True
            except Exception:  # no numbers to divide, or broken in another way
                continue
        return False

    def _obeys(self, answer: Callable[..., Any], seed: int) -> bool:
        trials = range(1, 4)  # not the one that the number is from: one number of another would hold there as well
        return all(self._breaks(law, answer, seed, trial) is None for trial in trials for law in self.laws)
