"""``minivae evaluate``: the bounds and estimates of a run on its test set, or on other data."""

import argparse

from minivae.cli.tables import Rows, print_table
from minivae.cli.verbs import Outcome, Verb
from minivae.core import checks
from minivae.core.arrays import Array
from minivae.models.annealing import annealed_quantities
from minivae.models.base import Model
from minivae.models.vae import VAE
from minivae.studies.collapse import collapse, collapse_figure
from minivae.studies.run_figures import drawn
from minivae.training import runs
from minivae.training.results import meaning


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", metavar="RUN", help="folder that minivae train left")
    data = "a file of the same width, all rows, or a named set (default: the run's test set)"
    parser.add_argument("--data", help=data)
    parser.add_argument("--draws", type=int, default=500, metavar="K", help="importance samples (default 500)")
    anneal = "also log p(x) by annealing from the prior in N temperatures, such as 1000: slow, and judges the rest"
    parser.add_argument("--ais", type=int, metavar="N", help=anneal)
    parser.add_argument("--examples", type=int, metavar="N", help="only the first N test examples")
    out = "where to write a histogram of the latents' variances (default: no figure is drawn)"
    parser.add_argument("--out", metavar="DIR", help=out)


def _run(options: argparse.Namespace) -> Outcome:
    """Print and return the bounds and estimates of a run on its test set, or on other data."""
    run = runs.open_run(options.run_folder)
    if options.out is not None and not run.model.variational:
        raise ValueError(
            f"--out is for the latents of a model whose code is a distribution, got it with "
            f"{type(run.model).__name__}. Drop it."
        )
    params = runs.read_model(run)
    checks.seed(options.seed)
    dataset = run.dataset()
    x = (
        runs.foreign_rows(run, dataset, options.data)
        if options.data is not None
        else runs.rows_to_test_on(dataset, run.settings.seed)
    )
    if options.examples is not None:
        x = x[: checks.width(options.examples, "examples")]
    checks.width(options.draws, "draws")
    annealed = [] if options.ais is None else _annealed(run.model, params, x, options)
    rows = [*run.model.quantities(params, x, options.seed, options.draws), *annealed]
    found = collapse(run.model, params, x, options.seed) if isinstance(run.model, VAE) else None
    rows += [] if found is None else found.rows
    source = dataset.name if options.data is None else options.data
    settings = {"run": str(run.folder), "data": source, "n_examples": len(x), "draws": options.draws}
    settings |= {"ais": options.ais}
    settings |= {"seed": options.seed, "meaning": meaning(run.model, x, dataset)}
    settings |= {} if found is None else {"latents": found.verdict}
    if found is not None and options.out is not None:
        settings["figures"] = drawn(
            collapse_figure, found, runs.new_folder(options.out, f"{run.folder.name}-evaluated")
        )
    if not options.json:
        print(f"{run.folder}: {len(x):,} examples of {source}\n")
        print_table(rows)
        print(f"\n{settings['meaning']}")
        for key in ("latents", "figures"):
            if key in settings:
                print(f"{key}: {settings[key] if key == 'latents' else ', '.join(settings[key])}")
    return 0, rows, settings


def _annealed(model: Model, params: Array, x: Array, options: argparse.Namespace) -> Rows:
    if not model.variational:
        raise ValueError(
            f"--ais is for a model that has a p(x), as --model vae has, got it with {type(model).__name__}. Drop it."
        )
    return annealed_quantities(model, params, x, checks.width(options.ais, "ais"), options.seed)


VERB = Verb(
    "evaluate", "evaluate a run's model: ELBO, IWAE bound, log p(x), which latents say something", _options, _run
)
