"""A sweep: the same training at every setting of a grid or a list, by many workers, each trial a run folder."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from tqdm import tqdm

from minivae.core import checks
from minivae.core.errors import FileError
from minivae.core.files import writable, write_atomically
from minivae.core.parallel import cores
from minivae.training.results import csv_text, write_json
from minivae.training.runs import Run, data_fingerprint, locked, open_data
from minivae.training.settings import Settings
from minivae.training.trials import Row, Trial, Values, failed, is_done, placed, row_of, shown_value, trials_of
from minivae.training.workers import here, on_executor, on_processes

_CSV_SECONDS = 5.0  # between two writings of the table while trials come in

_MOST_WORKERS = 1024

Make = Callable[..., tuple[Any, ...]]


def sweep(
    make: Make,
    grid: Any,
    folder: str | Path,
    *,
    executor: Executor | None = None,
    workers: int | None = None,
    threads: int | None = None,
    progress: bool | None = False,
) -> list[Row]:
    """Train at every setting of a grid or a list; each trial is a run folder, and none that is finished is done again.

    The same sweep in the same folder goes on where it was stopped, bit for bit; one with more settings does those that
    are new. A trial that fails is a row that says why, and stops no other; the next sweep tries it again. The folder
    has ``trials.csv``, one row a trial, ``sweep.json``, what was asked for, and ``trials/``, the run folders.

    Parameters
    ----------
    make : callable
        From the settings of a trial, by name, to (model, Settings, data) with data the name of a data set or the path
        of a file, and optionally an image_shape for a file. It is called here, not in a worker. Whether the data are
        binarised anew at every step is the data's affair, not that of the Settings.
    grid : dict of lists, or list of dicts
        Every combination, or the settings of each trial. Values are numbers, text, None or lists of these.
    folder : path
        New, empty, or that of an earlier sweep. Every worker must see it under this name.
    executor : concurrent.futures.Executor, optional
        Who does the trials: ``distributed.Client(...).get_executor()``, say. Processes of this machine unless given; a
        script then needs the usual ``if __name__ == "__main__":``.
    workers : int, optional
        How many processes; one a core unless given, and with 1 the trials are done in this one. Not with an executor.
    threads : int, optional
        Cores that a trial may keep busy, in BLAS and in threads of its own: those of the machine divided by the workers
        unless given, and 1 with an executor.
    progress : bool or None
        Show a progress bar with the time left; None shows it on a terminal only.

    Returns
    -------
    list of dict
        One row a trial: its settings, status ("finished", "early" or "failed"), the quantities of the test set with
        their standard errors over examples, sizes, seconds, the run folder, and the reason where it failed.

    Raises
    ------
    ValueError
        If an argument is not as it must be, or no trial at all can be made.
    FileError
        If the folder holds something else, or another process sweeps in it, or the data have changed since.

    Notes
    -----
    The rounding of a large product depends on the number of BLAS threads, and with it the last digits of a trial:
    ``threads=1`` gives the same ones with any number of workers.

    Examples
    --------
    >>> import tempfile
    >>> import minivae as mv
    >>> def make(beta, seed):
    ...     model = mv.VAE.mlp(n_x=64, n_latent=2, n_hidden=[8])
    ...     return model, mv.Settings(epochs=1, objective=mv.Elbo(beta=beta), seed=seed), "digits-threshold"
    >>> rows = sweep(make, {"beta": [1.0, 4.0], "seed": [0]}, tempfile.mkdtemp(), workers=1)
    >>> [(row["beta"], row["status"], row["test_elbo"] < 0) for row in rows]
    [(1.0, 'finished', True), (4.0, 'finished', True)]
    """
    checks.function(make, "make")
    listed = trials_of(grid)
    folder = checks.path(folder, "folder")
    n_workers, n_cores = _division(executor, workers, threads)
    if progress is not None:
        checks.flag(progress, "progress")
    trials = [_trial(make, values, folder.absolute() / "trials") for values in listed]
    if not any(trial.run for trial in trials):
        raise ValueError(trials[0].reason)
    _opened(folder)
    with locked(folder):
        write_json(folder / "sweep.json", {"trials": listed})
        return _swept(trials, folder, executor, n_workers, n_cores, progress)


def _division(executor: Any, workers: int | None, threads: int | None) -> tuple[int, int]:
    """Return how many processes there are, and how many cores each trial has."""
    if executor is not None:
        what = "a concurrent.futures.Executor"
        checks.has(executor, ("submit", "shutdown"), "executor", what, "ProcessPoolExecutor(2)")
        if workers is not None:
            raise ValueError(f"workers must be left out with an executor, got {checks.shown(workers)}. It has its own.")
        return 0, 1 if threads is None else checks.width(threads, "threads")
    n_workers = cores() if workers is None else checks.width(workers, "workers")
    if n_workers > _MOST_WORKERS:
        raise ValueError(f"workers must be at most {_MOST_WORKERS}, got {n_workers}. Use one a core, or an executor.")
    return n_workers, max(1, cores() // n_workers) if threads is None else checks.width(threads, "threads")


@lru_cache(maxsize=8)
def _known(source: str, image_shape: tuple[int, int] | None, changed: float) -> tuple[dict[str, Any], bool]:  # noqa: ARG001
    """Return by what a data set is known, and whether it is binarised at every step."""
    dataset = open_data(source, image_shape)
    return data_fingerprint(dataset), dataset.dynamic


def _trial(make: Make, values: Values, folder: Path) -> Trial:
    """Return the trial of these settings; what make refuses is its reason."""
    try:
        made = make(**values)
    except (ValueError, FloatingPointError, MemoryError) as error:
        return Trial(values, None, failed(error)["reason"])
    if not isinstance(made, tuple) or not 3 <= len(made) <= 4 or not isinstance(made[1], Settings):
        raise ValueError(
            f"make must return (model, Settings, data), got {checks.shown(made)}. Let data be a name or a path."
        )
    model, settings, source = made[:3]
    shape = None if len(made) < 4 or made[3] is None else checks.image_shape(made[3])
    checks.has(model, ("loss_and_grad", "n_params"), "make's model", "a model", "VAE.mlp(n_x=4, n_latent=2)")
    source = str(checks.path(source, "make's data"))
    path = Path(source)
    try:
        known, dynamic = _known(source, shape, path.stat().st_mtime if path.is_file() else 0.0)
        settings = replace(settings, binarize=dynamic).resolved(model)
        return placed(values, Run(Path(), source, shape, model, settings, known), folder)
    except ValueError as error:
        return Trial(values, None, failed(error)["reason"])


def _opened(folder: Path) -> None:
    """Make the folder of a sweep, or see that it is that of an earlier one."""
    if folder.exists() and not folder.is_dir():
        raise FileError(f"folder must be a new or empty one, got {folder}, which is a file. Choose another.")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "sweep.json").is_file():
        raise FileError(
            f"folder must be new, empty, or that of an earlier sweep, got {folder}, which holds something else. Choose "
            f"another."
        )
    writable(folder, "folder")
    writable(folder / "trials", "folder")


def _swept(
    trials: list[Trial], folder: Path, executor: Executor | None, n_workers: int, n_cores: int, progress: bool | None
) -> list[Row]:
    """Do what is not done, and return all rows, in the order of the trials."""
    rows: dict[int, Row] = {}
    todo: dict[Path, int] = {}
    for i, trial in enumerate(trials):
        if trial.run is None:
            rows[i] = failed(trial.reason)
        elif is_done(trial.run):
            rows[i] = row_of(trial.run)
        else:
            todo[trial.run.folder] = i
    runs = [run for i in todo.values() if (run := trials[i].run) is not None]
    bar = tqdm(total=len(runs), unit="trial", disable=None if progress is None else not progress, desc="trials")
    written = time.monotonic()
    try:
        with bar:
            for run, row in _done(runs, executor, n_workers, n_cores):
                rows[todo[run.folder]] = row
                bar.update(1)
                if time.monotonic() - written >= _CSV_SECONDS:
                    _write(folder, trials, rows)
                    written = time.monotonic()
    finally:
        _write(folder, trials, rows)
    return _table(folder, trials, rows)


def _done(runs: list[Run], executor: Executor | None, n_workers: int, n_cores: int) -> Iterator[tuple[Run, Row]]:
    if not runs:
        return iter(())
    if executor is not None:
        return on_executor(runs, n_cores, executor)
    if n_workers == 1:
        return here(runs, n_cores)
    return on_processes(runs, n_cores, min(n_workers, len(runs)))


def _table(folder: Path, trials: list[Trial], rows: dict[int, Row]) -> list[Row]:
    """Return the rows that are there, with the settings of their trials first and what is long last."""
    names = dict.fromkeys(name for trial in trials for name in trial.values)
    results = dict.fromkeys(name for row in rows.values() for name in row if name not in ("status", "reason", "notes"))
    table = []
    for i, row in sorted(rows.items()):
        run = trials[i].run
        where = "" if run is None else str(run.folder.relative_to(folder.absolute()))
        settings = {name: shown_value(trials[i].values.get(name)) for name in names}
        table.append(
            settings
            | {"status": row["status"]}
            | {name: row.get(name) for name in results}
            | {"folder": where, "reason": row.get("reason", ""), "notes": row.get("notes", "")}
        )
    return table


def _write(folder: Path, trials: list[Trial], rows: dict[int, Row]) -> None:
    if rows:
        write_atomically(folder / "trials.csv", csv_text(_table(folder, trials, rows)).encode())
