"""The command line: one verb per journey, each with a table to read, or with --json one object for machines."""

import argparse
import json
import math
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from minivae.cli import (
    compare,
    evaluate,
    exchange,
    exercises,
    explore,
    gradcheck,
    infer,
    info,
    output,
    pca,
    sample,
    sweep,
    train,
)
from minivae.cli.verbs import Verb
from minivae.core.reading import words
from minivae.core.versions import versions
from minivae.training.interrupts import Terminated

_FIRST, _LAST = (train, sweep, evaluate, sample, explore), (compare, pca, infer, exercises, gradcheck, info)
VERBS = (*(verb.VERB for verb in _FIRST), exchange.EXPORT, exchange.IMPORT, *(verb.VERB for verb in _LAST))


class _UsageError(Exception):
    """The words of the command line are wrong."""


class _Parser(argparse.ArgumentParser):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["allow_abbrev"] = False
        super().__init__(*args, **kwargs)

    def error(self, message: str) -> NoReturn:
        raise _UsageError(f"{message}\nSee '{self.prog} --help'.")


def main(argv: Sequence[str] | None = None, verbs: Sequence[Verb] = VERBS) -> int:
    """Run ``minivae``; return the exit code.

    It is 0, 1 for a failure, 2 for wrong usage, 130 after Ctrl-C, 143 after SIGTERM.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in argv
    command = next((word for word in argv if not word.startswith("-")), "minivae")
    output.prepare()
    return output.written(
        lambda: _answer(argv, verbs, command, as_json), lambda message: _fail(command, message, False, 1)
    )


def _answer(argv: list[str], verbs: Sequence[Verb], command: str, as_json: bool) -> int:
    """Do what the words say, and print what came of it."""
    try:
        options, unknown = parser_of(verbs).parse_known_args(argv)
        if unknown:
            raise _UsageError(f"unrecognized arguments: {' '.join(unknown)}\nSee 'minivae {command} --help'.")
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.simplefilter("ignore", ResourceWarning)  # says nothing to a user
            warnings.showwarning = _show_each_once()
            code, rows, settings = options.run(options)
    except _UsageError as error:
        return _fail(command, str(error), as_json, 2)
    except OSError as error:
        if error.filename is None:  # it is standard output that takes no more
            raise
        return _fail(command, f"{error.filename}: {words(error)}. Mend that, and try again.", as_json, 1)
    except (ValueError, FloatingPointError) as error:
        return _fail(command, str(error), as_json, 1)
    except MemoryError as error:
        remedy = "Lower --latent, --hidden, --draws or -n"
        return _fail(command, f"this needs more memory than there is ({error}). {remedy}.", as_json, 1)
    except Terminated:
        return _fail(command, "stopped by SIGTERM", as_json, 143)
    except KeyboardInterrupt:
        return _fail(command, "stopped by Ctrl-C", as_json, 130)
    if as_json:
        answer = {"command": command, "ok": code == 0, "rows": _finite(rows), "settings": _finite(settings)}
        print(json.dumps(answer))
    return int(code)


def _fail(command: str, message: str, as_json: bool, code: int) -> int:
    if as_json:
        print(json.dumps({"command": command, "ok": False, "rows": [], "settings": {}, "error": message}))
    print(f"minivae {command}: error: {message}", file=sys.stderr)
    return code


def _show_each_once() -> Callable[..., None]:
    """Return a function that prints a warning as a note, unless it has printed the same before."""
    shown = set()

    def show(message: Any, *_: Any, **__: Any) -> None:
        if str(message) not in shown:
            shown.add(str(message))
            print(f"note: {message}", file=sys.stderr)

    return show


def _finite(value: Any) -> Any:
    """Replace NaN and infinities, which JSON does not know, by null."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def parser_of(verbs: Sequence[Verb]) -> argparse.ArgumentParser:
    """Return the parser of the command line with these verbs."""
    parser = _Parser(prog="minivae", description="Variational autoencoders with every gradient written by hand.")
    parser.add_argument("--version", action="version", version=f"minivae {versions()['minivae']}")
    subparsers = parser.add_subparsers(metavar="VERB", required=True, parser_class=_Parser)
    for verb in verbs:
        sub = subparsers.add_parser(verb.name, help=verb.help, description=f"{verb.help[0].upper()}{verb.help[1:]}.")
        sub.set_defaults(run=verb.run)
        sub.add_argument("--json", action="store_true", help="print one JSON object on standard output")
        if verb.seeded:
            sub.add_argument("--seed", type=int, default=0, help="seed of everything random (default 0)")
        verb.options(sub)
    return parser
