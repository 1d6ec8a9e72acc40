"""The whole state of a training, written to a file and read again, so that a run goes on as if it had never stopped."""

import json
import zlib
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minivae.core.arrays import Array, Arrays
from minivae.core.errors import FileError
from minivae.core.files import load_arrays, save_arrays
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

    def save(self, path: Path, spec: dict[str, Any]) -> None:
        """Write the state, and what run it is of, to a file, atomically."""
        header = {
            "kind": "checkpoint",
            "spec": spec,
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
        self.history[:] = [
            {c: int(v) if c in ("epoch", "step") else v for c, v in zip(header["columns"], row, strict=True)}
            for row in arrays["history"].tolist()
        ]
        self.best_epoch, self.seconds = int(header["best_epoch"]), float(header["seconds"])
        if not self.history:
            raise ValueError("history, which is empty")


def check_epochs(arrays: Arrays, settings: Settings) -> None:
    """Refuse settings with fewer epochs than a checkpoint's arrays hold."""
    done = len(arrays.get("history", ()))
    if done > settings.epochs:
        raise ValueError(
            f"epochs must be at least the {done} that the checkpoint holds, got {settings.epochs}. Raise it."
        )


def restore(state: State, path: Path, spec: dict[str, Any], settings: Settings) -> None:
    """Fill the state from a checkpoint, or refuse one that is damaged or of another run."""
    header, arrays = load_arrays(path, "checkpoint")
    check_epochs(arrays, settings)
    saved, current = header.get("spec"), json.loads(json.dumps(spec))
    settings_then = saved.get("settings") if isinstance(saved, dict) else None
    if isinstance(settings_then, dict) and "objective" not in settings_then:
        raise FileError(
            f"checkpoint must be of this version of minivae, got {path}, of one whose sums are rounded otherwise: "
            f"going on from it would not give the run that was begun. Train anew; its model.npz still loads."
        )
    for either in (saved, current):
        for free in ("epochs", "patience"):
            if isinstance(either, dict) and isinstance(either.get("settings"), dict):
                either["settings"].pop(free, None)
    changed = differences(saved, current)
    if changed:
        raise FileError(
            f"checkpoint must be of the same model, settings and data, got {path}, which differs in "
            f"{'; '.join(changed[:4])}{' and more' if len(changed) > 4 else ''} (saved -> now). "
            f"Resume with the saved values, or train anew."
        )
    try:
        state.restore(header, arrays)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise FileError(
            f"checkpoint must be complete, got {path}, which lacks or misshapes {error}. Train anew."
        ) from error


def fingerprint(x_train: Array, x_valid: Array | None, x_test: Array | None = None) -> dict[str, Any]:
    """Return shapes and checksums of the data, by which another data set is told."""
    parts = {"train": x_train, "valid": x_valid, "test": x_test}
    given = {name: x for name, x in parts.items() if x is not None}
    return {name: {"shape": list(x.shape), "crc32": zlib.crc32(x.tobytes())} for name, x in given.items()}
