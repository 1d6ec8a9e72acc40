"""The whole state of a training, written to a file and read again, so that a run goes on as if it had never stopped."""

import json
import warnings
import zlib
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minivae.core.arrays import Array, Arrays
from minivae.core.errors import FileError
from minivae.core.files import load_arrays, save_arrays
from minivae.core.reading import reading
from minivae.core.registry import differences
from minivae.training.settings import Settings

Row = dict[str, float]


@dataclass
class State:
    """All that changes during training, as of the end of an epoch: what a checkpoint holds."""

    params: Array
    best: Array
    optimizer: Arrays
    baseline: Arrays
    rng: np.random.Generator
    history: list[Row]
    best_epoch: int = 0
    seconds: float = 0.0

    def copy(self) -> "State":
        """Return the state as it is now, which later steps cannot change."""
        return State(
            self.params.copy(),
            self.best.copy(),
            {name: array.copy() for name, array in self.optimizer.items()},
            {name: array.copy() for name, array in self.baseline.items()},
            deepcopy(self.rng),
            self.history[:],
            self.best_epoch,
            self.seconds,
        )

    def keep(self, row: Row, *, better: bool) -> None:
        """Take in the row of a whole epoch, and its parameters where they are better than all before."""
        self.history.append(row)
        if better:
            self.best[:] = self.params
            self.best_epoch = len(self.history)

    def save(self, path: Path, spec: dict[str, Any], arithmetic: dict[str, Any]) -> None:
        """Write the state, what run it is of, and on what arithmetic it was made, to a file, atomically."""
        header = {
            "kind": "checkpoint",
            "spec": spec,
            "arithmetic": arithmetic,
            "rng": self.rng.bit_generator.state,
            "best_epoch": self.best_epoch,
            "seconds": self.seconds,
            "columns": list(self.history[0]),
        }
        history = np.array([list(row.values()) for row in self.history])
        save_arrays(path, header, {**self.arrays(), "history": history})

    def arrays(self) -> Arrays:
        """Return the arrays by the names that they have in a checkpoint."""
        optimizer = {f"optimizer.{name}": array for name, array in self.optimizer.items()}
        baseline = {f"baseline.{name}": array for name, array in self.baseline.items()}
        return {"params": self.params, "best": self.best, **optimizer, **baseline}

    def restore(self, header: dict[str, Any], arrays: Arrays) -> None:
        """Take over the state that a checkpoint holds."""
        for name, array in self.arrays().items():
            saved = arrays[name]
            if saved.shape != array.shape or saved.dtype != array.dtype or not np.isfinite(saved).all():
                raise ValueError(f"{name}, which has the wrong shape, dtype or values")
            array[:] = saved
        self.rng.bit_generator.state = header["rng"]
        self.history[:] = _history(header["columns"], arrays["history"])
        self.best_epoch, self.seconds = int(header["best_epoch"]), float(header["seconds"])
        if not 1 <= self.best_epoch <= len(self.history):
            raise ValueError(f"best_epoch is {self.best_epoch} of {len(self.history)}")
        if not 0 <= self.seconds < np.inf:
            raise ValueError(f"seconds is {self.seconds}")


_COLUMNS = ("epoch", "step", "learning_rate", "train_loss")  # at least


def _history(columns: list[str], table: Array) -> list[Row]:
    """Return the rows of a checkpoint's history, or refuse what no training wrote."""
    if table.ndim != 2 or not len(table) or table.shape[1] != len(columns) or table.dtype != np.float64:
        raise ValueError(f"history has dtype {table.dtype} and shape {table.shape} for {len(columns)} columns")
    if tuple(columns[:4]) != _COLUMNS or len(set(columns)) != len(columns):
        raise ValueError(f"history has the columns {', '.join(map(str, columns))[:80]}")
    if not np.isfinite(table).all() or not np.array_equal(table[:, 0], np.arange(1, len(table) + 1)):
        raise ValueError("history is not finite, or does not count its epochs 1, 2, 3")
    return [
        {c: int(v) if c in ("epoch", "step") else v for c, v in zip(columns, row, strict=True)}
        for row in table.tolist()
    ]


def known(name: str) -> bool:
    """Say whether an array of this name belongs into a checkpoint."""
    return name in ("params", "best", "history") or name.startswith(("optimizer.", "baseline."))


def check_epochs(path: Path, settings: Settings) -> tuple[dict[str, Any], Arrays]:
    """Refuse settings with fewer epochs than a checkpoint holds; return what it holds."""
    header, arrays = load_arrays(path, "checkpoint", known)
    with reading("checkpoint must be complete", path, "Train anew."):
        done = len(_history(header["columns"], arrays["history"]))
    if done > settings.epochs:
        raise ValueError(
            f"epochs must be at least the {done} that the checkpoint holds, got {settings.epochs}. Raise it."
        )
    return header, arrays


def restore(state: State, path: Path, spec: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """Fill the state from a checkpoint, or refuse one that is damaged or of another run; return its arithmetic."""
    header, arrays = check_epochs(path, settings)
    with reading("checkpoint must be of the same model, settings and data", path, "Train anew."):
        _check_spec(path, header["spec"], json.loads(json.dumps(spec)))
    with reading("checkpoint must be complete", path, "Train anew."):
        state.restore(header, arrays)
        begun_with = header.get("arithmetic", {})  # former versions did not record it
        if not isinstance(begun_with, dict):
            raise ValueError(f"arithmetic is {str(begun_with)[:40]}")
    return begun_with


def _check_spec(path: Path, saved: Any, current: Any) -> None:
    if "objective" not in saved["settings"]:
        raise FileError(
            f"checkpoint must be of this version of minivae, got {path}, of one whose sums are rounded otherwise: "
            f"going on from it would not give the run that was begun. Train anew; its model.npz still loads."
        )
    objective = saved["settings"]["objective"]
    if objective and objective["class"] == "Elbo":
        objective.setdefault("free_bits", 0.0)  # which earlier versions did not have
    for either in (saved, current):
        for free in ("epochs", "patience"):
            either["settings"].pop(free, None)
    changed = [line[:120] for line in differences(saved, current)]
    if changed:
        raise FileError(
            f"checkpoint must be of the same model, settings and data, got {path}, which differs in "
            f"{'; '.join(changed[:4])}{' and more' if len(changed) > 4 else ''} (saved -> now). "
            f"Resume with the saved values, or train anew."
        )


def warn_of_other_arithmetic(saved: dict[str, Any], current: dict[str, Any]) -> None:
    """Say so where a run goes on under other BLAS kernels, threads or versions than it was begun with."""
    changed = differences(saved, current) if saved else []
    if changed:
        warnings.warn(
            f"the run should go on with the arithmetic that it was begun with to be the uninterrupted one bit for bit, "
            f"got {'; '.join(line[:120] for line in changed)} (saved -> now). Its last digits may differ; the threads "
            f"can be set by OPENBLAS_NUM_THREADS, or MKL_NUM_THREADS, before the start.",
            stacklevel=3,
        )


def fingerprint(x_train: Array, x_valid: Array | None, x_test: Array | None = None) -> dict[str, Any]:
    """Return shapes and checksums of the data, by which another data set is told."""
    parts = {"train": x_train, "valid": x_valid, "test": x_test}
    given = {name: x for name, x in parts.items() if x is not None}
    return {name: {"shape": list(x.shape), "crc32": zlib.crc32(x.tobytes())} for name, x in given.items()}
