"""What training leaves in the run folder: model, history, summary and figures."""

import csv
import io
import json
from pathlib import Path
from typing import Any

from minivae.core.files import write_atomically
from minivae.core.registry import to_spec
from minivae.core.versions import versions
from minivae.datasets.dataset import Dataset
from minivae.studies.evaluation import meaning
from minivae.studies.run_figures import figures
from minivae.training.loop import Result
from minivae.training.runs import Run, rows_to_test_on
from minivae.training.storage import save_model


def write_results(run: Run, dataset: Dataset, result: Result) -> dict[str, Any]:
    """Write model, history, summary and figures; return the summary."""
    x = rows_to_test_on(dataset, run.settings.seed)
    run.save()  # so that a folder that was moved away meanwhile is whole again
    save_model(run.folder / "model.npz", run.model, result.params, source=run.source)
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(result.history[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(result.history)
    write_atomically(run.folder / "history.csv", text.getvalue().encode())
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
    _write_json(run.folder / "summary.json", summary)  # before the figures, so that no figure costs the results
    summary["figures"] = figures(run, dataset, result.params, result.history)
    _write_json(run.folder / "summary.json", summary)
    return summary


def _write_json(path: Path, content: dict[str, Any]) -> None:
    write_atomically(path, (json.dumps(content, indent=2) + "\n").encode())
