"""``minivae infer``: approximate posteriors beside exact ones, where the exact one is known."""

import argparse
import os
from pathlib import Path

from minivae.cli.tables import print_table
from minivae.cli.verbs import Outcome, Verb
from minivae.core import checks
from minivae.studies import plots
from minivae.studies.inference import compare_inference, inference_figure
from minivae.training import runs


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", metavar="DIR", help="where to write the figure (default runs/infer-NNN)")


def _run(options: argparse.Namespace) -> Outcome:
    """Run each method on both problems; print the table, draw the figure."""
    checks.seed(options.seed)
    folder = runs.new_folder(options.out, "infer")
    traces = compare_inference(options.seed)
    rows = [trace.row() for trace in traces]
    path = plots.save(inference_figure(traces), folder / "inference.png")
    if not options.json:
        print("Two models with an exact posterior: a regression, and a normal whose mean and precision are unknown.")
        print(
            "Errors: of means in posterior standard deviations, of variances as a share; exact: of the method's end.\n"
        )
        print_table(rows, {"evaluations": 0, "ess": 0})
        print(f"\nfigure  {folder}{os.sep}{Path(path).name}")
    return 0, rows, {"seed": options.seed, "out": str(folder), "figures": [path]}


VERB = Verb("infer", "compare ways to a posterior with the exact one: a table and a figure", _options, _run)
