"""What training leaves in the run folder: model, history, summary and figures."""

from typing import Any

from minivae.datasets.dataset import Dataset
from minivae.studies.run_figures import figures
from minivae.training.loop import Result
from minivae.training.results import write_json, write_numbers
from minivae.training.runs import Run


def write_results(run: Run, dataset: Dataset, result: Result) -> dict[str, Any]:
    """Write model, history, summary and figures; return the summary."""
    summary = write_numbers(run, dataset, result)  # before the figures, so that no figure costs the results
    summary["figures"] = figures(run, dataset, result.params, result.history)
    write_json(run.folder / "summary.json", summary)
    return summary
