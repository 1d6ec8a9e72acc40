"""What a verb of the command line is: its name, its options and its action, side by side in one module each."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from minivae.cli.tables import Rows

# exit code (0, 1 for a failure, 130 after Ctrl-C), the rows of the table, and the settings, both as --json prints them
Outcome = tuple[int, Rows, dict[str, Any]]


@dataclass(frozen=True)
class Verb:
    """A word after ``minivae``.

    Attributes
    ----------
    name, help : str
        The word, and what it does, for --help.
    options : callable
        Adds its options to a parser; --json is there already, and --seed where ``seeded``.
    run : callable
        Takes the parsed options, prints a table unless --json, and returns its outcome.
    """

    name: str
    help: str
    options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], Outcome]
    seeded: bool = True


def no_options(parser: argparse.ArgumentParser) -> None:
    """Add nothing."""


def add_quiet(parser: argparse.ArgumentParser) -> None:
    """Add --quiet."""
    parser.add_argument(
        "--quiet", action="store_true", help="no progress bar (there is none without a terminal either)"
    )


def image_shape(text: str) -> tuple[int, int]:
    """Return (height, width) of the text HEIGHTxWIDTH.

    >>> image_shape("28x20")
    (28, 20)
    """
    height, _, width = text.partition("x")
    if not (height.isdigit() and width.isdigit()):
        raise argparse.ArgumentTypeError(f"must be HEIGHTxWIDTH, got {text!r}; for example 28x20")
    return int(height), int(width)
