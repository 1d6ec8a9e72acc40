"""``minivae sample``: samples, reconstructions, interpolations and the latent plane of a run."""

import argparse
import io

import numpy as np

from minivae.cli.tables import Rows, print_table
from minivae.cli.verbs import Outcome, Verb
from minivae.core import checks
from minivae.core.files import write_atomically
from minivae.studies import run_figures
from minivae.training import runs


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", metavar="RUN", help="folder that minivae train left")
    parser.add_argument("-n", type=int, default=100, help="number of samples (default 100)")
    parser.add_argument("--out", metavar="DIR", help="where to write them (default runs/RUN-samples-NNN)")


def _run(options: argparse.Namespace) -> Outcome:
    """Write samples, reconstructions, interpolations and the latent plane of a run."""
    checks.seed(options.seed)
    checks.width(options.n, "n")
    run = runs.open_run(options.run_folder)
    params = runs.read_model(run)
    dataset = run.dataset()
    folder = runs.new_folder(options.out, run.folder.name + "-samples")
    x = runs.rows_to_test_on(dataset, run.settings.seed)
    how = (run.model, params, x, dataset, folder)
    paths = run_figures.drawn(run_figures.reconstruction_figure, *how)
    paths += run_figures.drawn(run_figures.interpolation_figure, *how)
    paths += run_figures.drawn(run_figures.latent_figures, *how)
    if run.model.variational:
        paths += run_figures.drawn(run_figures.sample_figure, *how, options.n, options.seed)
        draws = run_figures.draw_samples(run.model, params, options.n, options.seed)
        if dataset.scale is not None:  # back in the units of the data
            draws = draws * dataset.scale[1] + dataset.scale[0]
        buffer = io.BytesIO()
        np.save(buffer, draws)
        write_atomically(folder / "samples.npy", buffer.getvalue())
        paths.append(str(folder / "samples.npy"))
    rows: Rows = [{"file": path} for path in paths]
    if not options.json:
        print_table(rows)
    return 0, rows, {"run": str(run.folder), "n": options.n, "seed": options.seed}


VERB = Verb(
    "sample", "draw samples, reconstructions, interpolations and the latent plane of a run's model", _options, _run
)
