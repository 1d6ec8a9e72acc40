"""``minivae sweep``: words such as beta=0.5,1,4 make the trials; workers do them; a table, a CSV and figures."""

import argparse
import csv
import functools
import itertools
import math
import os
import re
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

from minivae.cli import train
from minivae.cli.tables import Rows, print_table
from minivae.cli.verbs import Outcome, Verb, add_quiet
from minivae.core import checks
from minivae.core.files import write_atomically
from minivae.core.reading import existing_file, read_json, reading
from minivae.studies.sweep_report import write_report
from minivae.training import runs
from minivae.training.interrupts import sigterm_raises
from minivae.training.results import csv_text
from minivae.training.sweeps import sweep
from minivae.training.trials import DONE, MOST, Values
from minivae.training.workers import dask_executor

_NOT_VARIED = ("help", "out", "resume", "quiet")


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "settings",
        nargs="*",
        metavar="NAME=VALUE,VALUE,...",
        help="an option of minivae train and its values: beta=0.5,1,4 seed=0..4 latent=8 hidden=128-64,256 data=mnist; "
        "every combination is a trial",
    )
    parser.add_argument("--trials", metavar="FILE", help="a CSV with a column a setting and a row a trial, or several")
    parser.add_argument("--workers", type=int, metavar="N", help="processes on this machine (default: one a core)")
    parser.add_argument(
        "--threads", type=int, metavar="N", help="cores a trial (default: the machine's, divided by the workers)"
    )
    parser.add_argument(
        "--scheduler", metavar="ADDRESS", help="of Dask, tcp://host:8786; local starts one here, with --workers"
    )
    parser.add_argument("--out", metavar="DIR", help="sweep folder, new or to go on in (default runs/sweep-NNN)")
    parser.add_argument("--resume", metavar="DIR", help="go on with the sweep in this folder")
    add_quiet(parser)


@functools.cache
def _train_options() -> tuple[dict[str, argparse.Action], dict[str, Any]]:
    """Return the options of train that can vary, by name, and what all are unless given."""
    parser = argparse.ArgumentParser()
    train.VERB.options(parser)
    actions = {a.dest: a for a in parser._actions if a.dest not in _NOT_VARIED}
    return actions, vars(parser.parse_args([]))


def _action(name: str) -> argparse.Action:
    actions, _ = _train_options()
    dest = name.replace("-", "_")
    if dest not in actions:
        near = checks.did_you_mean(name, [a.replace("_", "-") for a in actions])
        raise ValueError(
            f"settings must have the name of an option of minivae train that can vary, got {name[:60]!r}. "
            f"{near or 'For example beta=1,4.'}"
        )
    return actions[dest]


def _values(word: str) -> tuple[str, list[Any]]:
    """Return the name and the values of a word.

    >>> _values("batch-size=64,128"), _values("hidden=128-64,256"), _values("seed=0..2")
    (('batch_size', [64, 128]), ('hidden', [[128, 64], [256]]), ('seed', [0, 1, 2]))
    """
    name, equals, text = word.partition("=")
    if not equals or not name or not text:
        raise ValueError(
            f"settings must be NAME=VALUE, or NAME=VALUE,VALUE, got {word[:60]!r}. For example beta=0.5,1,4 seed=0..4."
        )
    action = _action(name)
    span = re.fullmatch(r"(\d{1,18})\.\.(\d{1,18})", text)
    if span is not None and action.type is int and not action.nargs:
        first, last = int(span[1]), int(span[2])
        if not 0 <= last - first < MOST:
            raise ValueError(f"settings must go up, through at most {MOST:,} values, got {word!r}. Use seed=0..4, say.")
        return action.dest, list(range(first, last + 1))
    return action.dest, [_value(action, part) for part in text.split(",")]


def _value(action: argparse.Action, text: str) -> Any:
    kind: Any = action.type or str
    try:
        value = [kind(part) for part in text.split("-")] if action.nargs else kind(text)
    except (ValueError, argparse.ArgumentTypeError):
        value = None
    if value is None or value == "" or (isinstance(value, float) and not math.isfinite(value)):
        what = {int: "integers", float: "finite numbers"}.get(kind, "values")
        example = " Several in one are 128-64." if action.nargs else ""
        raise ValueError(
            f"settings must have {what} for {action.dest.replace('_', '-')} as minivae train takes them, got "
            f"{text[:60]!r}. Look at minivae train --help.{example}"
        )
    if action.dest == "data" and runs.is_path(text):
        return str(Path(text).resolve())
    return list(value) if isinstance(value, tuple) else value


def _listed(path: str) -> list[Values]:
    """Return the trials that a CSV lists; an empty cell is a setting that is not given."""
    file = existing_file(path, "trials", "Give a CSV with a column a setting.")
    rule, remedy = "trials must be a CSV with a column a setting and a row a trial", "Write it again, as UTF-8."
    with reading(rule, file, remedy), file.open(newline="", encoding="utf-8-sig") as text:
        lines = [row for row in csv.reader(text, strict=True) if row]
        names, rows = (lines or [[]])[0], lines[1:]
        if not rows or len({len(row) for row in rows} | {len(names)}) > 1 or len(set(names)) < len(names):
            raise ValueError("it has no rows, or rows of different lengths, or two columns of one name")
    actions = [_action(name) for name in names]
    return [{a.dest: _value(a, cell) for a, cell in zip(actions, row, strict=True) if cell} for row in rows]


def _grid(options: argparse.Namespace) -> list[Values]:
    """Return the settings of each trial: the combinations of the words, for each row of the file."""
    if options.resume is not None:
        return _resumed(options)
    pairs = [_values(word) for word in options.settings]
    names = [name for name, _ in pairs]
    twice = [name for i, name in enumerate(names) if name in names[:i]]
    if twice:
        raise ValueError(
            f"settings must name each setting once, got {twice[0]} twice. Give all its values in one word."
        )
    listed = [{}] if options.trials is None else _listed(options.trials)
    if not pairs and options.trials is None:
        raise ValueError("settings must say what varies, got none. For example beta=0.5,1,4 seed=0..4.")
    both = [name for name in names if any(name in values for values in listed)]
    if both:
        raise ValueError(f"settings must not be in the file as well, got {both[0]} in both. Drop one.")
    n_trials = len(listed) * math.prod(len(values) for _, values in pairs)
    if n_trials > MOST:
        raise ValueError(f"settings must make at most {MOST:,} trials, got {n_trials:,}. Give fewer values.")
    combinations = [dict(zip(names, values, strict=True)) for values in itertools.product(*(v for _, v in pairs))]
    return [some | values for some in listed for values in combinations]


def _resumed(options: argparse.Namespace) -> list[Values]:
    """Return the trials of the sweep in a folder."""
    for name in ("settings", "trials", "out"):
        if getattr(options, name):
            raise ValueError(
                f"--resume keeps a sweep's settings, got {name} as well. Drop it, or give --out in its place."
            )
    file = existing_file(Path(options.resume) / "sweep.json", "resume", "Give the folder of a sweep.")
    rule, remedy = "resume must be the folder of a sweep, with an intact sweep.json", "Sweep anew."
    content = read_json(file, rule, remedy)
    with reading(rule, file, remedy):
        listed = [dict(values) for values in content["trials"]]
        for values in listed:
            for name in values:
                if name not in _train_options()[0]:
                    raise ValueError(f"it was made by a function of Python, not by minivae sweep: {name[:40]}")
    return listed


def _run(options: argparse.Namespace) -> Outcome:
    """Do the trials that are not done; print the table over seeds, draw the figures."""
    opened = functools.lru_cache(maxsize=2)(runs.open_data)
    _, defaults = _train_options()

    def make(**values: Any) -> tuple[Any, ...]:
        shape = values.get("image_shape")
        given = argparse.Namespace(**defaults | values | {"image_shape": None if shape is None else tuple(shape)})
        model, settings, source, _ = train.planned(given, opened)
        return model, settings, source, given.image_shape

    listed = _grid(options)
    who = _who(options)
    if not options.json:
        print(f"{len(listed)} trial{'s'[: len(listed) > 1]}")
    with sigterm_raises(), who as executor:
        folder = _folder(options)
        progress = False if options.quiet else None
        how = {"executor": executor} if executor is not None else {"workers": options.workers}
        try:
            rows = sweep(make, listed, folder, threads=options.threads, progress=progress, **how)
        except KeyboardInterrupt:
            if not options.json:
                print(f"\nresume   minivae sweep --resume {folder}")
            raise
        except ValueError:
            if options.out is None and options.resume is None:  # was made for nothing
                with suppress(OSError):
                    folder.rmdir()
                    folder.parent.rmdir()
            raise
    names = list(dict.fromkeys(name for values in listed for name in values))
    table, figures = write_report(rows, names, folder)
    write_atomically(folder / "table.csv", csv_text(table).encode())
    failures = [row for row in rows if row["status"] not in DONE]
    if not options.json:
        _print(rows, table, failures, folder, figures)
    return int(bool(failures)), rows, {"out": str(folder), "table": table, "figures": figures}


def _who(options: argparse.Namespace) -> Any:
    """Return a context with the executor that a scheduler gives, or none."""
    for name in ("workers", "threads"):
        if getattr(options, name) is not None:
            checks.width(getattr(options, name), name)
    if options.scheduler is None:
        return nullcontext()
    if options.scheduler != "local" and options.workers is not None:
        raise ValueError(f"--workers is for this machine, got it with --scheduler {options.scheduler}. Drop it.")
    return dask_executor(options.scheduler, options.workers or os.cpu_count() or 1)


def _folder(options: argparse.Namespace) -> Path:
    given = options.resume or options.out
    return runs.new_folder(None, "sweep") if given is None else Path(given)


def _print(rows: Rows, table: Rows, failures: Rows, folder: Path, figures: list[str]) -> None:
    left_out = {name for name in table[0] if name.endswith(("_low", "_high")) and not name.startswith("elbo_")}
    shown = [{name: value for name, value in line.items() if name not in left_out} for line in table]
    print("on the test set, means over seeds, nats per example (low, high: 95 % interval of the mean):")
    print_table(shown, {name: 4 for name in shown[0] if name == "beta"})
    for row in failures[:10]:
        print(f"\n{row['status']}: {row['folder'] or ''} {row['reason']}")
    if len(failures) > 10:
        print(f"\nand {len(failures) - 10} more")
    print(f"\ntrials   {folder / 'trials.csv'}: {len(rows)}, of which {len(failures)} failed")
    print(f"table    {folder / 'table.csv'}")
    if figures:
        print(f"figures  {folder}{os.sep}: {', '.join(Path(p).name for p in figures)}")


VERB = Verb("sweep", "train at every combination of settings, by many workers", _options, _run, seeded=False)
