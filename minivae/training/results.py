"""What is known of a run when its training has ended, in its folder: model, history, summary."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from minivae.core.arrays import Array
from minivae.core.files import write_atomically
from minivae.core.registry import to_spec
from minivae.core.versions import versions
from minivae.datasets.dataset import Dataset
from minivae.models.base import Model
from minivae.nn.recurrent import within
from minivae.training.loop import Result
from minivae.training.runs import Run, rows_to_test_on
from minivae.training.storage import save_model


def meaning(model: Model, x: Array, dataset: Dataset) -> str:
    """Say in one sentence what the reported numbers are."""
    text = model.meaning(x)
    if dataset.scale is not None:
        each = np.log(dataset.scale[1])
        if dataset.ragged and dataset.steps is not None:  # values beyond a length have no density
            n_steps, n_features = dataset.steps
            each = np.repeat(within(x[:, -1], n_steps).mean(axis=0), n_features) * each[:-1]
        constant = -float(each.sum())
        text += f", x standardised by its training rows; per original unit add {constant:.3f}"
    return text


def write_numbers(run: Run, dataset: Dataset, result: Result) -> dict[str, Any]:
    """Write model, history and summary; return the summary."""
    x = rows_to_test_on(dataset, run.settings.seed)
    run.save()  # so that a folder that was moved away meanwhile is whole again
    save_model(run.folder / "model.npz", run.model, result.params, source=run.source)
    write_atomically(run.folder / "history.csv", csv_text(result.history).encode())
    summary = {
        "data": dataset.name,
        "meaning": meaning(run.model, x, dataset),
        "test": run.model.quantities(result.params, x, run.settings.seed),
        "stopped": result.stopped,
        "epochs": len(result.history),
        "best_epoch": result.best_epoch,
        "n_params": run.model.n_params,
        "n_train": len(dataset.x_train),
        "seconds": round(result.seconds, 3),
        "examples_per_second": round(result.examples_per_second, 1),
        "figures": [],
        "model": to_spec(run.model),
        "settings": to_spec(run.settings),
        "versions": versions(),
    }
    write_json(run.folder / "summary.json", summary)
    return summary


def csv_text(rows: list[dict[str, Any]]) -> str:
    r"""Return rows as CSV, one column a name in the order of their first appearance; None is an empty cell.

    >>> csv_text([{"a": 1}, {"a": 2.5, "b": "x"}])
    'a,b\n1,\n2.5,x\n'
    """
    text = io.StringIO()
    writer = csv.DictWriter(
        text, fieldnames=list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def write_json(path: Path, content: Any) -> None:
    """Write JSON that a person can read, atomically."""
    write_atomically(path, (json.dumps(content, indent=2) + "\n").encode())
