"""``minivae sample``: samples, reconstructions, interpolations and the latent plane of a run."""

import argparse

import numpy as np

from minivae.cli.tables import Rows, print_table
from minivae.cli.verbs import Outcome, Verb
from minivae.core import checks
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
    x = runs.test_data(dataset, run.settings.seed)
    paths: list[str | None] = [run_figures.reconstruction_figure(run.model, params, x, dataset, folder)]
    paths.append(run_figures.interpolation_figure(run.model, params, x, dataset, folder))
    paths += run_figures.latent_figures(run.model, params, x, dataset, folder)
    if run.model.variational:
        paths.append(run_figures.sample_figure(run.model, params, x, dataset, folder, options.n, options.seed))
        draws = run_figures.draw_samples(run.model, params, options.n, options.seed)
        if dataset.scale is not None:  # back in the units of the data
            draws = draws * dataset.scale[1] + dataset.scale[0]
        np.save(folder / "samples.npy", draws)
        paths.append(str(folder / "samples.npy"))
    rows: Rows = [{"file": path} for path in paths if path is not None]
    if not options.json:
        print_table(rows)
    return 0, rows, {"run": str(run.folder), "n": options.n, "seed": options.seed}


VERB = Verb(
    "sample", "draw samples, reconstructions, interpolations and the latent plane of a run's model", _options, _run
)
