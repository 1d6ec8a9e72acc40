"""One trial of a sweep: what a grid says, the run folder that belongs to it, and what a worker does there."""

import hashlib
import itertools
import json
import math
import re
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from minivae.core import checks
from minivae.core.errors import FileError, NonFiniteError
from minivae.core.parallel import share_of_cores
from minivae.core.reading import read_json, reading, words
from minivae.core.registry import to_spec
from minivae.training.loop import train
from minivae.training.results import write_numbers
from minivae.training.runs import Run, locked, open_run

Values = dict[str, Any]  # what of a trial varies, or is the same in all, by name
Row = dict[str, Any]

MOST = 10**6  # trials of one sweep
DONE = ("finished", "early")
_RESULTS = {
    *("status", "n_params", "epochs_done", "best_epoch", "training_seconds", "seconds", "folder", "reason", "notes")
}


@dataclass(frozen=True)
class Trial:
    """What is varied, and the run that it describes; or why there can be none.

    Attributes
    ----------
    values : dict
        The settings of the grid, by name.
    run : Run or None
        Its folder is made by who trains in it.
    reason : str
        Why there is no run.
    """

    values: Values
    run: Run | None
    reason: str = ""


def trials_of(grid: Any) -> list[Values]:
    """Return the settings of every trial: of each combination of a grid's values, or as a list gives them.

    >>> trials_of({"beta": [1.0, 4.0], "seed": [0, 1]})[1]
    {'beta': 1.0, 'seed': 1}
    >>> trials_of([{"beta": 1.0}, {"beta": 4.0, "latent": 8}])[0]
    {'beta': 1.0}
    """
    if isinstance(grid, Mapping):
        for name, options in grid.items():
            plain = isinstance(options, (str, bytes, Mapping)) or getattr(options, "shape", None) == ()
            if plain or not isinstance(options, Iterable):
                raise ValueError(f"grid must have a list of values for {name}, got {checks.shown(options)}. Use [it].")
        lists = {name: list(options) for name, options in grid.items()}
        _count(math.prod(map(len, lists.values())) if lists else 0)
        listed = [dict(zip(lists, values, strict=True)) for values in itertools.product(*lists.values())]
    elif isinstance(grid, (list, tuple)) and all(isinstance(values, Mapping) for values in grid):
        _count(len(grid))
        listed = [dict(values) for values in grid]
    else:
        raise ValueError(
            f"grid must be a dictionary of lists, or a list of dictionaries, got {checks.shown(grid)}. For example "
            f"{{'beta': [1.0, 4.0], 'seed': [0, 1, 2]}}."
        )
    for values in listed:
        for name, value in values.items():
            if not isinstance(name, str) or not name.isidentifier() or name in _RESULTS or name.startswith("test_"):
                raise ValueError(
                    f"grid must have names of arguments that no result has, got {checks.shown(name)}. For example "
                    f"'beta'."
                )
            values[name] = _plain(name, value)
    return list({json.dumps(values, sort_keys=True): values for values in listed}.values())


def _count(n: int) -> None:
    if not 0 < n <= MOST:
        raise ValueError(f"grid must have from 1 to {MOST:,} trials, got {n:,}. Give each setting a value, or fewer.")


def _plain(name: str, value: Any) -> Any:
    """Return a value as JSON has it."""
    value = to_spec(list(value) if isinstance(value, tuple) else value)
    parts = value if isinstance(value, list) else [value]
    for part in parts:
        if not isinstance(part, (str, int, float, type(None))) or (isinstance(part, float) and not math.isfinite(part)):
            raise ValueError(
                f"grid must hold finite numbers, text and lists of them, got {checks.shown(value)} for {name}. Make "
                f"objects in the function that takes them."
            )
    return value


def shown_value(value: Any) -> Any:
    """Return a value as a cell of a table has it.

    >>> shown_value([128, 64]), shown_value(0.5)
    ('128-64', 0.5)
    """
    return "-".join(map(str, value)) if isinstance(value, list) else value


def folder_name(values: Values, run: Run) -> str:
    """Return the name of a trial's folder: readable, and another for whatever else is trained."""
    what = [to_spec(run.model), to_spec(run.settings), run.source, run.image_shape, values]
    digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:10]
    words = "_".join(f"{name}-{shown_value(value)}" for name, value in values.items())
    return f"{re.sub(r'[^A-Za-z0-9._-]+', '-', words)[:80]}-{digest}"


def run_trial(run: Run, n_cores: int, stop: Callable[[], bool] | None = None) -> Row:
    """Train a run in its folder, or go on with it there; return a row of results, or of the reason why there are none.

    This is what a worker does, on whatever machine: it takes a description and gives some numbers, and all else is in
    the folder. Nothing but Ctrl-C gets out of here.

    Parameters
    ----------
    run : Run
        Its folder must be one that this process and the one that asks both see.
    n_cores : int
        How many it may keep busy.
    stop : callable, optional
        Asked after each epoch whether to leave off.
    """
    start = time.monotonic()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            with share_of_cores(n_cores):
                row = _trained(run, stop)
        except (ValueError, FloatingPointError, OSError, MemoryError) as error:
            row = failed(error)
        except Exception as error:  # a box of the user's own: its fault stops no other trial
            row = failed(f"{type(error).__name__}: {words(error)}")
    notes = dict.fromkeys(str(note.message) for note in said if issubclass(note.category, UserWarning))
    return row | {"seconds": round(time.monotonic() - start, 3), "notes": " ".join(notes)}


def failed(reason: BaseException | str) -> Row:
    """Return the row of a trial that failed, for a reason in one line."""
    if isinstance(reason, OSError):
        reason = f"{reason.filename or 'the system'}: {words(reason)}"
    elif isinstance(reason, BaseException) and not isinstance(reason, (FileError, NonFiniteError, ValueError)):
        reason = words(reason)
    return {"status": "failed", "reason": " ".join(str(reason).split())}


def _trained(run: Run, stop: Callable[[], bool] | None) -> Row:
    if not run.folder.parent.is_dir():
        raise FileError(
            f"folder must be one that every worker sees, got {run.folder.parent}, which is not there for one of them. "
            f"Use a file system that all machines share."
        )
    run.folder.mkdir(exist_ok=True)
    with locked(run.folder):
        if run.has_results:  # another worker has done it meanwhile
            return row_of(run)
        dataset = run.dataset()
        if not run.checkpoint.is_file():
            run.save()

        def watch(_: Any) -> None:
            if stop is not None and stop():
                raise KeyboardInterrupt

        result = train(
            run.model,
            dataset.x_train,
            dataset.x_valid,
            run.settings,
            checkpoint=run.checkpoint,
            resume=run.checkpoint.is_file(),
            on_epoch=None if stop is None else watch,
        )
        if result.stopped not in DONE:
            return {"status": "interrupted", "reason": "stopped before its end; a sweep in this folder goes on with it"}
        write_numbers(run, dataset, result)
        return row_of(run)


def row_of(run: Run) -> Row:
    """Return the row of a run that has come to its end, from its summary."""
    path, remedy = run.folder / "summary.json", "Remove its folder, and sweep again."
    rule = "a trial must have an intact summary.json"
    summary = read_json(path, rule, remedy)
    with reading(rule, path, remedy):
        row = {"status": str(summary["stopped"])}
        for quantity in summary["test"]:
            name = "test_" + re.sub(r"\W+", "_", quantity["quantity"]).strip("_")
            row |= {name: quantity["value"], f"{name}_standard_error": quantity["standard_error"]}
        row |= {"n_params": summary["n_params"], "epochs_done": summary["epochs"], "best_epoch": summary["best_epoch"]}
        row["training_seconds"] = summary["seconds"]
    return row


def is_done(run: Run) -> bool:
    """Say whether a run came to its end in its folder; refuse one whose data were others than they are now."""
    if not run.has_results:
        return False
    if open_run(run.folder).data != json.loads(json.dumps(run.data)):
        raise FileError(
            f"data must be as they were in the trials that are done, got {run.source}, which has changed since. "
            f"Restore them, or sweep in another folder."
        )
    return True


def placed(values: Values, run: Run, folder: Path) -> Trial:
    """Return the trial of a run, with its folder among those of a sweep."""
    return Trial(values, replace(run, folder=folder / folder_name(values, run)))
