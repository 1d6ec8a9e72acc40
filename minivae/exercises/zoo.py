"""Classic mistakes: one, two at once, or one times a number; and which of them an answer makes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations, product
from typing import Any

import numpy as np

from minivae.core.arrays import Array
from minivae.exercises.laws import constant_ratio, times


@dataclass(frozen=True)
class Mistake:
    """A classic wrong answer, and the sentence that explains it."""

    name: str
    explanation: str
    answer: Any
    form: Callable[..., Any] | None = None
    switches: Mapping[str, Any] = field(default_factory=dict)

    def beside(self, other: "Mistake") -> Callable[..., Any] | None:
        """Return the answer that makes both mistakes, where they are switches of one form and not of one place."""
        if self.form is None or self.form is not other.form or set(self.switches) & set(other.switches):
            return None
        return partial(self.form, **self.switches, **other.switches)


def mistakes_of(form: Callable[..., Any]) -> Callable[..., Mistake]:
    """Return a maker of mistakes that are switches of one form, so that two of them can be made at once.

    The form is the right answer, written with a keyword for each place where a mistake is made.

    >>> def mean(x, *, power=1):
    ...     return x.sum() / len(x) ** power
    >>> mistakes_of(mean)("sum", "the mean is a sum.", power=0).answer(np.ones(3)).item()
    3.0
    """

    def mistake(name: str, explanation: str, **switches: Any) -> Mistake:
        return Mistake(name, explanation, partial(form, **switches), form, switches)

    return mistake


Lengths = dict[str, int]
_POWERS = {1: "{}", -1: "1 / {}", 0.5: "sqrt({})", -0.5: "1 / sqrt({})"}  # of a length, and the words for them


def diagnosis(
    zoo: Sequence[Mistake],
    results: list[Any],
    wrong: Callable[[Callable[..., Any]], list[Any]],
    lengths: list[Lengths],
    is_multiple: Callable[[Mistake], bool],
) -> str | None:
    """Explain the wrong answer that has these results: one of the zoo, two of it at once, or one times a number.

    ``wrong`` gives the results of an answer on the same examples, whose arguments have the ``lengths``; a mistake that
    ``is_multiple`` of the right answer explains no number beside it.
    """

    def is_it(answer: Callable[..., Any]) -> bool:
        return all(same(a, b) for a, b in zip(results, wrong(answer), strict=True))

    for mistake in zoo:
        if is_it(mistake.answer):
            return mistake.explanation
    for one, other in combinations(zoo, 2):
        both = one.beside(other)
        if both is not None and is_it(both):
            return _two(one.explanation, other.explanation)
    for mistake in zoo:
        words = factor([_ratio(a, b) for a, b in zip(results, wrong(mistake.answer), strict=True)], lengths)
        if words and not is_multiple(mistake):
            return _two(mistake.explanation, f"besides, every entry is {words}.")
    return None


def _two(one: str, other: str) -> str:
    return f"two mistakes at once. One: {one} The other: {other}"


def lengths_of(names: str, arguments: tuple[Any, ...]) -> Lengths:
    """Return the lengths of the arguments' axes by the words for them.

    >>> lengths_of("x, f", (np.zeros((3, 2)), abs))
    {'x.shape[0]': 3, 'x.shape[1]': 2, 'x.size': 6}
    """
    named = zip(names.split(", "), arguments, strict=True)
    arrays = {name: value.shape for name, value in named if isinstance(value, np.ndarray)}
    lengths = {f"{name}.shape[{i}]": n for name, shape in arrays.items() for i, n in enumerate(shape)}
    return lengths | {f"{name}.size": int(np.prod(shape)) for name, shape in arrays.items() if len(shape) > 1}


def factor(ratios: list[float | None], lengths: list[Lengths]) -> str | None:
    """Say a factor that is the same on two examples: as a number, or as the length of an axis (or its root).

    >>> factor([1 / 3, 1 / 5], [{"len(x)": 3}, {"len(x)": 5}])
    '1 / len(x) of that'
    """
    one, other = ratios
    if one is None or other is None or not one or not other:
        return None
    if abs(one - 1) < 0.01:  # of numbers far from zero, such as log-weights: a difference, not a factor
        return None
    if abs(one / other - 1) < 1e-6:
        return times(one).replace("the right one", "that")
    sign = "-" if one < 0 else ""
    for name, (power, words) in product(lengths[0], _POWERS.items()):
        if all(
            n.get(name) and abs(abs(r) / n[name] ** power - 1) < 1e-6
            for r, n in zip((one, other), lengths, strict=True)
        ):
            return f"{sign}{words.format(name)} {'times' if power > 0 else 'of'} that"
    return None


def multiples(ratio: float, lengths: Lengths) -> Iterator[Callable[[Lengths], float]]:
    """Yield what a ratio may be on other arguments, too: the number itself, or a power of the length of an axis.

    >>> [of({"len(x)": 4}) for of in multiples(-1 / 3, {"len(x)": 3})]
    [-0.3333333333333333, -0.25]
    """
    yield lambda lengths: ratio
    sign = 1 if ratio > 0 else -1
    for name, power in product(lengths, _POWERS):
        if lengths[name] and abs(abs(ratio) / lengths[name] ** power - 1) < 1e-6:
            yield lambda lengths, name=name, power=power: sign * float(lengths[name]) ** power  # type: ignore[misc]


def over(answer: Callable[..., Any], by: Callable[[Lengths], float], names: str) -> Callable[..., Any]:
    """Return an answer over a number, which may depend on the lengths of the arguments of these names.

    >>> over(np.sum, lambda lengths: lengths["x.shape[0]"], "x")(np.ones(3)).item()
    1.0
    """

    def divided(*arguments: Any) -> Any:
        result, number = answer(*arguments), by(lengths_of(names, arguments))
        if isinstance(result, (tuple, list)) and isinstance(result[0], np.ndarray):
            return tuple(part / number for part in result)
        return np.asarray(result) / number

    return divided


def _ratio(a: Any, b: Any) -> float | None:
    """Return the c with a = c b for two results of the same parts, if there is one."""
    parts = [list(_flat(result)) for result in (a, b)]
    if len(parts[0]) != len(parts[1]) or not parts[0] or any(p.shape != q.shape for p, q in zip(*parts, strict=True)):
        return None
    return constant_ratio(*(np.concatenate([p.ravel() for p in side]) for side in parts))


def _flat(result: Any) -> Iterator[Array]:
    """Yield the arrays of a result; nothing for one that is not made of numbers."""
    if isinstance(result, dict):
        result = [result[key] for key in sorted(result, key=str)]
    if isinstance(result, (tuple, list)) and any(isinstance(part, (np.ndarray, tuple, list, dict)) for part in result):
        for part in result:
            yield from _flat(part)
        return
    try:
        yield np.asarray(result, float)
    except Exception:  # not numbers, or a class of the student's own
        return


def same(a: Any, b: Any) -> bool:
    """Say whether two answers have the same parts, up to rounding."""
    if isinstance(b, (tuple, list)):
        return isinstance(a, (tuple, list)) and len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(b, dict):
        return isinstance(a, dict) and set(a) == set(b) and all(same(a[key], b[key]) for key in b)
    if isinstance(b, str):
        return isinstance(a, str) and a == b
    try:
        a, b = np.asarray(a, float), np.asarray(b, float)
    except Exception:  # not numbers, or an integer too large for a float
        return False
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=1e-7, atol=1e-9, equal_nan=True))
