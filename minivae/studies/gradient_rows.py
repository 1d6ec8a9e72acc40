"""A row of the gradient check: a gradient beside finite differences, and in words which part of it is wrong."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import numpy as np

from minivae.core.arrays import Array
from minivae.nn.gradcheck import check_gradient

# sizes that differ from each other, so that an axis taken for another is seen, and a factor tells where it comes from
BATCH, DRAWS, N_X, N_LATENT = 3, 5, 4, 2
_MOST = 500  # coordinates that are checked one by one; larger gradients along random directions
_FACTORS = {
    -1.0: " (the sign)",
    BATCH: f" (counted once for each of the {BATCH} examples?)",
    1 / BATCH: f" (a mean over the {BATCH} examples where a sum belongs?)",
    DRAWS: f" (counted once for each of the {DRAWS} draws?)",
    1 / DRAWS: f" (a mean over the {DRAWS} draws where a sum belongs?)",
}


@dataclass(frozen=True)
class GradientRow:
    """What the check of a gradient found.

    Attributes
    ----------
    name : str
    n_checked, n_kinks : int
        Coordinates or directions compared, and those left out because the function has a kink there.
    relative_error : float or None
        The largest error, on the scale that ``check_gradient`` states; None where none was measured.
    tolerance : float or None
    ok : bool or None
        Whether the gradient is right; None where it could not be checked.
    message : str
        What is wrong, and where; empty where nothing is.
    """

    name: str
    n_checked: int = 0
    n_kinks: int = 0
    relative_error: float | None = None
    tolerance: float | None = None
    ok: bool | None = None
    message: str = ""


@dataclass(frozen=True)
class Part:
    """An array that a function depends on, and the gradient for it; a vector of parameters may name its parts.

    Attributes
    ----------
    name : str
        What the gradient is called: "dx".
    at, gradient : array
        Of one shape.
    named : callable, optional
        The ``named`` of the box whose parameters ``at`` holds.
    """

    name: str
    at: Array
    gradient: Array
    named: Callable[[Array], Iterable[tuple[str, Array]]] | None = None

    def entries(self) -> Iterator[tuple[str, np.ndarray]]:
        """Yield the name of each array in the part, and where its entries stand in the flat part."""
        where = np.arange(self.at.size, dtype=np.float64)
        rest = np.ones(self.at.size, bool)
        if self.named is not None:
            for name, view in self.named(where):
                index = np.asarray(view).astype(np.intp)
                rest[index.ravel()] = False
                yield f"the gradient of {name}", index
        if self.named is None or rest.any():
            yield self.name, where.reshape(self.at.shape).astype(np.intp) if rest.all() else np.flatnonzero(rest)


def compare(
    name: str,
    value: Callable[..., Any],
    parts: Sequence[Part],
    *,
    method: Literal["central", "complex"] = "central",
    n_directions: int | None = None,
    rng: np.random.Generator | None = None,
) -> GradientRow:
    """Compare the gradient of a function of several arrays with finite differences.

    Parameters
    ----------
    name : str
        Title of the row.
    value : callable
        Takes an array for each part, in their order, and returns a number.
    parts : sequence of Part
    method, n_directions, rng
        As in ``check_gradient``; a gradient of more than 500 entries is checked along 20 directions.

    Examples
    --------
    >>> a, b = np.array([1.0, 2.0]), np.array([[3.0]])
    >>> def value(a, b):
    ...     return np.sum(a**2) * b.item()
    >>> compare("right", value, [Part("da", a, 6 * a), Part("db", b, np.array([[5.0]]))]).ok
    True
    >>> compare("wrong", value, [Part("da", a, 3 * a), Part("db", b, np.array([[5.0]]))]).message
    'da is 1/2 times the right one, in every entry'
    """
    theta = np.concatenate([part.at.ravel() for part in parts]) if parts else np.empty(0)
    gradient = np.concatenate([part.gradient.ravel() for part in parts]) if parts else np.empty(0)
    if not theta.size:
        return GradientRow(name, message="there is nothing to differentiate")
    ends = np.cumsum([part.at.size for part in parts])[:-1]

    def flat(theta: Array) -> Any:
        pieces = np.split(theta, ends)
        return value(*(piece.reshape(part.at.shape) for piece, part in zip(pieces, parts, strict=True)))

    if n_directions is None and theta.size > _MOST:
        n_directions = 20
    with np.errstate(invalid="ignore"):  # a NaN is a wrong gradient, and not a warning
        found = check_gradient(flat, gradient, theta, name=name, method=method, n_directions=n_directions, rng=rng)
        message = "" if found.ok else _explain(flat, parts, gradient, theta, found.tolerance)
    return GradientRow(
        name, found.n_checked, found.n_kinks, found.relative_error, found.tolerance, found.ok, message or _vague(found)
    )


def _vague(found: Any) -> str:
    if found.ok:
        return ""
    if found.n_checked <= found.n_kinks:
        return f"there are kinks at {found.n_kinks} of {found.n_kinks + found.n_checked} places: too few are left"
    return f"the error is {found.relative_error:.1e}, but none of the entries that were looked at is wrong"


def _explain(
    value: Callable[[Array], Any], parts: Sequence[Part], gradient: Array, theta: Array, tolerance: float
) -> str:
    """Say which parts of a gradient are wrong and how, from central differences of up to 200 entries of each."""
    if not np.isfinite(value(theta.copy())):
        return "the function itself is NaN or infinite"
    said, start = [], 0
    for part in parts:
        for name, index in part.entries():
            some = np.arange(index.size)[:: -(-index.size // 200) or 1]
            flat = start + index.ravel()[some]
            right = np.array([_difference(value, theta, i) for i in flat])
            of = f"{index.size} entries" if len(some) == index.size else f"the {len(some)} entries that were looked at"
            fault = _fault(gradient[flat], right, max(tolerance, 1e-7), of)
            if fault is not None:
                words, worst = fault
                place = [int(j) for j in np.unravel_index(some[worst], index.shape)]
                said.append(f"{name} {words.replace('ENTRY', str(place))}")
        start += part.at.size
    return "; ".join(said)


def _difference(value: Callable[[Array], Any], theta: Array, i: int) -> float:
    v = np.zeros(theta.size)
    v[i] = 6e-6 * max(1.0, abs(theta[i]))
    return float(np.real(value(theta + v)) - np.real(value(theta - v))) / (2 * v[i])


def _fault(g: Array, right: Array, tolerance: float, of: str) -> tuple[str, int] | None:
    """Return what is wrong with g, in words about the ENTRY at an index, or None where nothing is."""
    bad = ~np.isfinite(g)
    if bad.any():
        return f"holds {int(bad.sum())} NaN or infinite values in {of}", 0
    wrong = np.abs(g - right) > tolerance * (1 + np.abs(g))
    if not wrong.any():
        return None
    if not g.any():
        return "is zero, and should not be", 0
    factor = float(g[wrong] @ right[wrong]) / (float(right[wrong] @ right[wrong]) or np.nan)
    close = np.abs(g - factor * right) <= 1e-5 * (np.abs(right) + np.abs(right[wrong]).max())
    times, count = f"is {_factor(factor)} times the right one", f"{int(wrong.sum())} of {of}"
    if close.all():
        return f"{times}, in every entry{_hint(factor)}", 0
    if close[wrong].all() and wrong.sum() > 1:
        return f"{times} in {count}{_hint(factor)}", 0
    i = int(np.argmax(np.where(wrong, np.abs(g - right) / (1 + np.abs(g)), 0)))
    return f"is wrong in {count}: entry ENTRY is {g[i]:.6g}, and should be {right[i]:.6g}", i


def _factor(factor: float) -> str:
    """Return a factor as a person would write it: 2, -1/3, 1.001."""
    simple = Fraction(factor).limit_denominator(20) if np.isfinite(factor) else Fraction(0)
    return str(simple) if simple and abs(factor / float(simple) - 1) < 1e-6 else f"{factor:.6g}"


def _hint(factor: float) -> str:
    return next((hint for known, hint in _FACTORS.items() if abs(factor / known - 1) < 1e-6), "")
