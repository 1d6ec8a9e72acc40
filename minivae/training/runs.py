"""A run folder: what ``minivae train`` leaves, and what ``evaluate`` and ``sample`` start from.

run.json        how the run was set up: data, model, settings
checkpoint.npz  the whole state of the training, to resume from
model.npz       the best model
history.csv     one row an epoch
summary.json    the results on the test set, settings, versions
figures/        PNG files
"""

import contextlib
import itertools
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]

from minivae import datasets
from minivae.core import checks
from minivae.core.arrays import Array
from minivae.core.errors import FileError
from minivae.core.files import remove_parts, writable, write_atomically
from minivae.core.reading import existing_file, read_json, reading
from minivae.core.registry import differences, from_spec, to_spec
from minivae.core.seeds import Stream, stream
from minivae.datasets.dataset import Dataset
from minivae.training.bits import binarize
from minivae.training.checkpoints import fingerprint
from minivae.training.settings import Settings
from minivae.training.storage import load_model

_STREAMS = {name.name.lower(): int(name) for name in Stream}  # what of a seed is used for what


@dataclass(frozen=True)
class Run:
    """How a run was set up: enough to go on with it, or to evaluate its model."""

    folder: Path
    source: str
    image_shape: tuple[int, int] | None
    model: Any
    settings: Settings
    data: dict[str, Any] | None = None

    def dataset(self) -> Dataset:
        """Load the run's data again, and hold them to the fingerprint that was taken when the run was set up."""
        dataset = open_data(self.source, self.image_shape)
        found = data_fingerprint(dataset)
        changed = [] if self.data is None else [name for name in found if found[name] != self.data.get(name)]
        if changed:
            raise FileError(
                f"data must be as they were in training, got {self.source}, which has changed since: other "
                f"{' and '.join(changed)} rows. Restore the file, or train anew."
            )
        return dataset

    def save(self) -> None:
        """Write run.json."""
        shape = None if self.image_shape is None else list(self.image_shape)
        content = {
            "source": self.source,
            "image_shape": shape,
            "model": to_spec(self.model),
            "settings": to_spec(self.settings),
            "data": self.data,
            "streams": _STREAMS,
        }
        write_atomically(self.folder / "run.json", (json.dumps(content, indent=2) + "\n").encode())

    @property
    def checkpoint(self) -> Path:
        """Where the state of the training is."""
        return self.folder / "checkpoint.npz"

    @property
    def has_results(self) -> bool:
        """Whether the training came to its end and wrote what it found."""
        return (self.folder / "summary.json").is_file()


def open_run(folder: str | Path) -> Run:
    """Read run.json of a run folder."""
    if not isinstance(folder, (str, os.PathLike)):
        raise ValueError(f"run must be the path of a folder, got {folder!r}. For example runs/digits-vae-001.")
    folder = Path(folder)
    remedy = "Give the folder that training printed, such as runs/digits-vae-001."
    if not folder.is_dir() or not (folder / "run.json").exists():
        raise FileError(
            f"run must be a folder that minivae train made, got {str(folder)[:160]}, which has no run.json. {remedy}"
        )
    path = existing_file(folder / "run.json", "run", remedy)
    rule, remedy = "run must hold an intact run.json", "Restore it from a copy, or train again."
    content = read_json(path, rule, remedy)
    with reading(rule, path, remedy):
        shape, data = content["image_shape"], content.get("data")  # which runs of former versions have not
        model, settings = from_spec(content["model"]), from_spec(content["settings"])
        if not isinstance(content["source"], str) or not isinstance(data, dict | None):
            raise ValueError("its source or its data are none")
        if not hasattr(model, "loss_and_grad") or not isinstance(settings, Settings):
            raise ValueError("its model or its settings are none")
        shape = None if shape is None else checks.image_shape(shape)
        streams = content.get("streams", {})
        changed = differences(streams, {name: number for name, number in _STREAMS.items() if name in streams})
        if changed:
            raise ValueError(f"its random numbers came from other streams, {changed[0]}")
    return Run(folder, content["source"], shape, model, settings, data)


def open_data(source: str, image_shape: tuple[int, int] | None = None) -> Dataset:
    """Load a data set by name, or a user's own file by path."""
    return datasets.load_file(source, image_shape) if is_path(source) else datasets.load(source)


def is_path(source: str) -> bool:
    """Say whether a source of data means a file: it is one, or it looks like one and is not a name."""
    looks_like_path = Path(source).suffix in (".npy", ".npz", ".gz", ".idx") or os.sep in source or "ubyte" in source
    return source not in datasets.names() and (looks_like_path or Path(source).is_file())


def foreign_rows(run: Run, own: Dataset, source: str) -> Array:
    """Return all rows of another file, scaled as the run's own data were, or the test set of a named set."""
    if is_path(source):
        x, _, _ = datasets.read_rows(source, own.divisor)
    else:
        other = datasets.load(source)
        x = rows_to_test_on(other, run.settings.seed)
        if other.scale is not None:  # back in its own units, so that the run's scale can be taken
            x = x * other.scale[1] + other.scale[0]
    if x.shape[1] != run.model.n_x:
        raise ValueError(
            f"data must have the {run.model.n_x} columns of the run's data, got {x.shape[1]} in {source}. Select those "
            f"that the model was trained on."
        )
    return x if own.scale is None else (x - own.scale[0]) / own.scale[1]


def new_folder(wanted: str | None, name: str) -> Path:
    """Make the folder of a new run, and see that it can be written to before any work is done.

    Without a wish it is runs/NAME-001, or the next number that is free.
    """
    if wanted is not None:
        folder = Path(wanted)
        if folder.exists() and not folder.is_dir():
            raise FileError(f"out must be a new or empty folder, got {folder}, which is a file. Choose another.")
        if folder.is_dir() and any(folder.iterdir()):
            resume = f", or continue that run with --resume {folder}" if (folder / "run.json").is_file() else ""
            raise FileError(
                f"out must be a new or empty folder, got {folder}, which holds something. Choose another{resume}."
            )
        writable(folder, "out")
        return folder
    writable(Path("runs"), "the folder runs")
    for number in itertools.count(1):  # made, not only looked for: two processes cannot be given the same
        folder = Path("runs") / f"{name}-{number:03d}"
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            break
    return folder


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from training in a run's folder; the lock goes with the process, however that ends.

    Unfinished files that a killed process left there are removed.
    """
    if fcntl is None:  # not a Unix: nothing there to lock a folder with
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FileError(
                f"run must be trained by one process at a time, got {folder}, in which another one trains. Wait, or "
                f"stop it."
            ) from None
        remove_parts(folder)
        yield
    finally:
        os.close(handle)


def data_fingerprint(dataset: Dataset) -> dict[str, Any]:
    """Return by what a data set's three parts are known."""
    return fingerprint(dataset.x_train, dataset.x_valid, dataset.x_test)


def rows_to_test_on(dataset: Dataset, seed: int) -> Array:
    """Return the test rows; those of a dynamic set binarised once, by the seed."""
    if not dataset.dynamic:
        return dataset.x_test
    return binarize(dataset.x_test, stream(seed, Stream.TEST_BITS))


def read_model(run: Run) -> Array:
    """Return the parameters in a run's model.npz, seen to belong to the run's model."""
    model, params, _ = load_model(run.folder / "model.npz")
    if model != run.model:
        raise FileError(f"model.npz must hold the model that run.json describes, got another in {run.folder}.")
    return params
