"""What has a name: the classes that can be saved, as JSON and back, and the tables from which a user chooses by name.

A description (layer, likelihood, model, optimiser, settings) is a frozen dataclass that says ``@saved``; one function
turns any of them into JSON and one turns it back. A name that is given twice is refused when it is given.
"""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

from minivae.core import checks

T = TypeVar("T")
C = TypeVar("C", bound=type)

_CLASSES: dict[str, type] = {}
_FORMER: dict[str, Callable[[dict[str, Any]], Any]] = {}
_NAMED: list[dict[str, Any]] = [_CLASSES]  # all that can be entered into: these classes and every table


class Table(dict[str, T]):
    """Things by the names that a user says.

    Parameters
    ----------
    what : str
        The argument that takes such a name, for messages.

    Examples
    --------
    >>> colours = Table("colour")
    >>> colours.add("red", 1)
    1
    >>> colours.choose("red")
    1
    """

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what
        _NAMED.append(self)

    def add(self, name: str, thing: T) -> T:
        """Give a thing its name, and return it; a name that another thing has is refused."""
        if not isinstance(name, str) or not name:
            raise ValueError(f"{self.what} must have a name, got {checks.shown(name)}. Give a word.")
        if name in self:
            raise ValueError(
                f"{self.what} must have a name of its own, got {name!r}, which {self[name]!r} has. Rename."
            )
        self[name] = thing
        return thing

    def choose(self, name: Any) -> T:
        """Return what has the name, or say which name is nearest."""
        return self[checks.choice(name, self, self.what)]


@contextmanager
def restored() -> Iterator[None]:
    """Take out at the end what was entered meanwhile, into tables and as classes that can be saved.

    >>> colours = Table("colour")
    >>> with restored():
    ...     _ = colours.add("red", 1)
    >>> list(colours)
    []
    """
    before = [(names, dict(names)) for names in _NAMED]
    try:
        yield
    finally:
        for names, entries in before:
            names.clear()
            names.update(entries)


def saved(cls: C) -> C:
    """Let a frozen dataclass be written to files and read back, by the name of its class.

    Examples
    --------
    >>> @saved
    ... @dataclasses.dataclass(frozen=True)
    ... class Shift:
    ...     by: float = 1.0
    >>> from_spec(to_spec(Shift(2.0)))
    Shift(by=2.0)
    """
    if not isinstance(cls, type) or not dataclasses.is_dataclass(cls):
        raise ValueError(
            f"what is saved must be a class and a dataclass, got {checks.shown(cls)}. Decorate it with @dataclass."
        )
    other = _CLASSES.get(cls.__name__)
    # the same class again is a notebook's cell that was run twice
    if other is not None and (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
        raise ValueError(
            f"{cls.__name__} must have a name of its own to be saved, got one that {other.__module__} has. Rename it."
        )
    _CLASSES[cls.__name__] = cls
    return cls


def formerly(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register how the fields of a class that is no more are read: files that older versions wrote still load."""

    def register(read: Callable[..., Any]) -> Callable[..., Any]:
        _FORMER[name] = read
        return read

    return register


def to_spec(description: Any) -> Any:
    """Return a description as plain JSON values.

    >>> from minivae import Dense
    >>> to_spec(Dense(3, 2))
    {'class': 'Dense', 'n_in': 3, 'n_out': 2, 'weights': 'glorot'}
    """
    if dataclasses.is_dataclass(description) and not isinstance(description, type):
        fields = {f.name: to_spec(getattr(description, f.name)) for f in dataclasses.fields(description)}
        return {"class": type(description).__name__, **fields}
    if isinstance(description, (list, tuple)):
        return [to_spec(item) for item in description]
    if isinstance(description, np.generic):
        return description.item()
    return description


def from_spec(spec: Any) -> Any:
    """Return the description that ``to_spec`` wrote.

    >>> from minivae import Dense
    >>> from_spec({"class": "Dense", "n_in": 3, "n_out": 2, "weights": "glorot"})
    Dense(n_in=3, n_out=2, weights='glorot')
    """
    if isinstance(spec, list):
        return [from_spec(item) for item in spec]
    if not isinstance(spec, dict):
        return spec
    name = spec.get("class")
    fields = {key: from_spec(value) for key, value in spec.items() if key != "class"}
    if isinstance(name, str) and name in _FORMER:
        return _FORMER[name](fields)
    if not isinstance(name, str) or name not in _CLASSES:
        raise ValueError(
            f"class must be one that can be saved, got {str(name)[:40]!r}. Update minivae, or import the module that "
            f"defines it."
        )
    return _CLASSES[name](**fields)


def differences(saved: Any, current: Any, where: str = "") -> list[str]:
    """List the fields in which two specs differ, as 'name: saved -> current'.

    >>> differences({"beta": 1.0, "seed": 0}, {"beta": 4.0, "seed": 0})
    ['beta: 1.0 -> 4.0']
    """
    if isinstance(saved, dict) and isinstance(current, dict):
        keys = [*saved, *(key for key in current if key not in saved)]
        found = [differences(saved.get(k), current.get(k), f"{where}.{k}".strip(".")) for k in keys]
        return [line for lines in found for line in lines]
    if isinstance(saved, list) and isinstance(current, list) and len(saved) == len(current):
        found = [differences(a, b, f"{where}[{i}]") for i, (a, b) in enumerate(zip(saved, current, strict=True))]
        return [line for lines in found for line in lines]
    return [] if saved == current else [f"{where}: {saved} -> {current}"]
