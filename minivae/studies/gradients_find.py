"""What a person's module holds that has a gradient: told by its methods, constructed where that can be done."""

import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np

from minivae.core.registry import Table
from minivae.studies.gradient_rows import N_LATENT, N_X, GradientRow
from minivae.studies.gradients_contract import stopped
from minivae.studies.gradients_distributions import check_likelihood, check_prior
from minivae.studies.gradients_layers import check_cost, check_layer, check_penalty
from minivae.studies.gradients_posteriors import check_posterior

# what an argument of a constructor is given by its name, or else by its type
_BY_NAME = {"n_in": 5, "n_out": 4, "n_latent": N_LATENT, "n_x": N_X, "n_hidden": 6}
_BY_TYPE = {int: 3, "int": 3, float: 0.7, "float": 0.7}
_TELLING = ("forward", "backward", "gradient", "log_prob", "score")


@dataclass(frozen=True)
class Kind:
    """What a thing is, as its methods and attributes tell: it has some, and lacks those of another kind.

    Attributes
    ----------
    has, lacks : tuple of str
    check : callable
        From the thing, a title and a generator to the rows.
    """

    has: tuple[str, ...]
    check: Callable[..., list[GradientRow]]
    lacks: tuple[str, ...] = ()


KINDS = {
    "layer": Kind(("forward", "backward", "n_in", "n_out"), check_layer, ("log_prob",)),
    "likelihood": Kind(("forward", "backward", "n_out", "mean"), check_likelihood, ("n_in",)),
    "posterior": Kind(("sample", "backward", "score", "n_head"), check_posterior),
    "prior": Kind(("log_prob", "backward", "sample"), check_prior, ("forward", "n_head")),
    "penalty": Kind(("forward", "backward", "value", "slope"), check_penalty, ("n_out",)),
    "cost": Kind(("value", "gradient"), check_cost),
}


@dataclass(frozen=True)
class Found:
    """A thing of a kind, and what to call it; or, where there is none, a row that says why.

    Attributes
    ----------
    title : str
    thing : object
    excuse : str
        Why there is no thing.
    """

    title: str
    thing: Any = None
    excuse: str = ""

    @property
    def kind(self) -> str | None:
        """Which of ``KINDS`` it is."""
        return kind_of(dir(self.thing))

    def rows(self, rng: np.random.Generator) -> list[GradientRow]:
        """Return the rows of its check."""
        if self.kind is None:
            return [GradientRow(self.title, message=self.excuse)]
        return KINDS[self.kind].check(self.thing, self.title, rng)


def kind_of(names: Iterable[str]) -> str | None:
    """Return what a thing with such methods and attributes is.

    >>> kind_of(["value", "gradient"])
    'cost'
    """
    names = set(names)
    return next((k for k, kind in KINDS.items() if names.issuperset(kind.has) and names.isdisjoint(kind.lacks)), None)


def things(module: ModuleType, imported: set[str], entered: list[tuple[str, str, Any]]) -> list[Found]:
    """Return what a module entered into tables, and what it constructed, each once.

    Parameters
    ----------
    module : module
    imported : set of str
        Names that it has from elsewhere.
    entered : list of (kind, name, thing)
    """
    found: list[Found] = []
    for kind, name, thing in entered:
        if kind == "posterior":  # the table holds what makes one
            new = _built(partial(thing, N_LATENT), f"posterior {name!r}", f"posterior = ...({N_LATENT})")
            thing = new.thing
            if new.excuse:
                found.append(new)
        if kind_of(dir(thing)) is not None:
            found.append(Found(f"{kind} {type(thing).__name__}", thing))
    for name, thing in _constructed(module, imported):
        by_methods = kind_of(dir(thing))
        if by_methods is not None and not any(_same(old.thing, thing) for old in found):
            found.append(Found(f"{by_methods} {type(thing).__name__} ({name})", thing))
    return found


def _same(a: Any, b: Any) -> bool:
    """Whether two things are one, or equal ones of one class."""
    try:
        return a is b or (type(a) is type(b) and (a == b) is True)
    except Exception:  # no answer to ==
        return False


def _constructed(module: ModuleType, imported: set[str]) -> Iterator[tuple[str, Any]]:
    """Yield what stands at the top level of a module, also within lists and dictionaries, by name."""
    for name, thing in list(vars(module).items()):
        if name.startswith("__") or name in imported or isinstance(thing, Table):
            continue
        inside: dict[str, Any] = {name: thing}
        if isinstance(thing, (list, tuple)):
            inside = {f"{name}[{i}]": item for i, item in enumerate(thing)}
        elif isinstance(thing, dict):
            inside = {f"{name}[{key!r}]": item for key, item in thing.items()}
        yield from ((n, item) for n, item in inside.items() if not isinstance(item, (type, ModuleType)))


def classes(module: ModuleType) -> list[type]:
    """Return the classes that a module defines and that may have a gradient."""
    own = [c for c in vars(module).values() if isinstance(c, type) and c.__module__ == module.__name__]
    return [
        c
        for c in dict.fromkeys(own)
        if any(callable(getattr(c, method, None)) for method in _TELLING)
        and not getattr(c, "_is_protocol", False)
        and not hasattr(c, "per_latent")  # a closed KL is checked with its posterior
        and not hasattr(c, "loss_and_grad")  # a model
    ]


def of_class(cls: type) -> Found:
    """Return an instance of a class, or why there is none."""
    needed = _arguments(cls)
    guessed = kind_of({*dir(cls), *_told(cls)})
    example = f"{guessed or 'thing'} = {cls.__name__}({', '.join(f'{name}=...' for name in needed)})"
    title = f"{guessed or 'class'} {cls.__name__}"
    if inspect.isabstract(cls):
        return Found(title, excuse=f"{cls.__name__} is abstract. Write the methods that it leaves out")
    given = {n: _BY_NAME.get(n, _BY_TYPE.get(p.annotation)) for n, p in needed.items()}
    missing = [name for name, value in given.items() if value is None]
    if missing:
        said = f"{cls.__name__} needs {', '.join(missing)} to be constructed. Construct one in the file: {example}"
        return Found(title, excuse=said)
    new = _built(lambda: cls(**given), title, example)
    if new.thing is None:
        return new
    kind = kind_of(dir(new.thing))
    if kind is None:
        return Found(f"class {cls.__name__}", excuse=_near(cls.__name__, set(dir(new.thing))))
    shown = ", ".join(f"{name}={value}" for name, value in given.items())
    return Found(f"{kind} {cls.__name__}({shown})" if shown else f"{kind} {cls.__name__}", new.thing)


def _told(cls: type) -> Iterator[str]:
    """Yield the names of what an instance may have beside its class: fields, and all that a constructor mentions."""
    for c in cls.__mro__:
        yield from getattr(c, "__annotations__", {})
        yield from getattr(getattr(c.__dict__.get("__init__"), "__code__", None), "co_names", ())


def _arguments(cls: type) -> dict[str, inspect.Parameter]:
    """Return the arguments of a constructor that have no default."""
    try:
        parameters = inspect.signature(cls).parameters
    except (TypeError, ValueError):
        return {}
    rest = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {name: p for name, p in parameters.items() if p.default is p.empty and p.kind not in rest}


def _built(make: Callable[[], Any], title: str, example: str) -> Found:
    try:
        return Found(title, make())
    except Exception as error:
        said = f"constructing it {stopped(error)}".rstrip(".")
        return Found(title, excuse=f"{said}. Construct one in the file: {example}")


def _near(name: str, names: set[str]) -> str:
    """Say what a class lacks to be of the kind that it is nearest to."""
    possible = [k for k in KINDS if names.isdisjoint(KINDS[k].lacks)]
    kind = max(possible, key=lambda k: len(names & {*KINDS[k].has}) / len(KINDS[k].has))
    has = [n for n in KINDS[kind].has if n in names]
    lacks = [n for n in KINDS[kind].has if n not in names]
    return f"it has {' and '.join(has)}, but as a {kind} {name} also needs {' and '.join(lacks)}. Add what is missing"


def is_stub(cls: type, others: list[type], rows: list[GradientRow]) -> bool:
    """Whether a class is a base of others, with methods that it leaves to them."""
    base = any(other is not cls and issubclass(other, cls) for other in others)
    return base and any(row.ok is None or "NotImplementedError" in row.message for row in rows)
