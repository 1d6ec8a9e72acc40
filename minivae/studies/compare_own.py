"""A cost of one's own for ``minivae compare``: a function of z in a Python file, with its derivative beside it."""

import contextlib
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array
from minivae.estimators.costs import FunctionCost
from minivae.studies.compare_costs import CostProblem
from minivae.studies.own_module import running


def own_problem(
    cost: str,
    derivative: str | None = None,
    mu: Sequence[float] | None = None,
    sigma: Sequence[float] | None = None,
) -> CostProblem:
    """Return the problem of a cost that a file defines; the file is run.

    Parameters
    ----------
    cost : str
        FILE.py:NAME. NAME is a function from z, shape (K, D), to f(z), shape (K,), or an object with such a ``value``
        and perhaps a ``gradient``.
    derivative : str, optional
        The name of the function in the same file that gives df/dz, shape (K, D). Unless given NAME_gradient or dNAME,
        where there is one.
    mu, sigma : sequence of float, optional
        One number each dimension: mu is one zero unless given, sigma ones.

    Raises
    ------
    FileError
        If the file cannot be read or run.
    ValueError
        If it does not hold what is asked for, or the cost does not give the right shape.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "costs.py"
    >>> _ = path.write_text("def cube(z): return (z ** 3).sum(axis=1)")
    >>> own_problem(f"{path}:cube").lacks["pathwise"]
    'the derivative: define dcube(z) beside it'
    """
    file, colon, name = cost.rpartition(":")
    if not (colon and file and name.isidentifier()):
        raise ValueError(f"cost must be FILE.py:NAME, got {cost!r}. Put the name after a colon: costs.py:f, say.")
    with contextlib.redirect_stdout(sys.stderr), running(Path(file)) as (module, _):
        pass  # its functions outlive it
    thing = _named(module, name, "cost")
    mu = [0.0] if mu is None else list(mu)
    sigma = [1.0] * len(mu) if sigma is None else list(sigma)
    if isinstance(thing, type):
        raise ValueError(
            f"cost must name a function or an object, got {name} in {file}, a class. Make one of it there: "
            f"f = {name}(), and name f."
        )
    value = getattr(thing, "value", thing)
    if not callable(value):
        raise ValueError(
            f"cost must name a function of z, or an object with value(z), got {name} in {file}, a "
            f"{type(thing).__name__}. Define it: def {name}(z): ..."
        )
    slope = _derivative(module, thing, name, derivative)
    own = FunctionCost(_Guarded(value, name, file), None if slope is None else _Guarded(*slope, file))
    remedy = f"define d{name}(z) beside it"
    return CostProblem(name, own, tuple(mu), tuple(sigma), remedy=remedy)


def _derivative(
    module: ModuleType, thing: Any, name: str, asked: str | None
) -> tuple[Callable[[Any], Any], str] | None:
    """Return df and what it is called: the one that is asked for, the object's own, or the one beside it."""
    if asked is not None:
        function = _named(module, asked, "derivative")
        if not callable(function):
            raise ValueError(
                f"derivative must name a function of z, got {asked}, a {type(function).__name__}. Define it: "
                f"def {asked}(z): ..."
            )
        return function, asked
    if callable(getattr(thing, "gradient", None)):
        return thing.gradient, f"{name}.gradient"
    for beside in (f"{name}_gradient", f"d{name}"):
        if callable(getattr(module, beside, None)):
            return getattr(module, beside), beside
    return None


def _named(module: ModuleType, name: str, what: str) -> Any:
    if not hasattr(module, name):
        names = [other for other in vars(module) if not other.startswith("_")]
        remedy = checks.did_you_mean(name, names) or f"Define it there: def {name}(z): ..."
        raise ValueError(f"{what} must be a name in {module.__file__}, got {name!r}. {remedy}")
    return getattr(module, name)


def _words(error: BaseException, path: str) -> str:
    """Return what went wrong, and in which line of the file."""
    here = Path(path).resolve()
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).resolve() == here]
    return f"{type(error).__name__}: {error}" + (f" (line {lines[-1]})" if lines else "")


@dataclass(frozen=True)
class _Guarded:
    """A function of another's: it gets a copy of z, prints to standard error, and its errors are told as its file's."""

    function: Callable[[Any], Any]
    name: str
    file: str

    def __call__(self, z: Array) -> Any:
        try:
            with contextlib.redirect_stdout(sys.stderr):
                return self.function(np.array(z))
        except Exception as error:
            raise ValueError(
                f"{self.name} must run for z of shape (K, {z.shape[1]}), got {_words(error, self.file)} in {self.file} "
                f"at K = {len(z)}. It is given all draws at once, as rows."
            ) from error
