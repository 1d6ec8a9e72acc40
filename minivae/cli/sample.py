"""``minivae sample``: samples, neighbours, interpolations, attributes and the latent plane of a run."""

import argparse
import io
from pathlib import Path
from typing import Any

import numpy as np

from minivae.cli.tables import Rows, print_table
from minivae.cli.verbs import Outcome, Verb
from minivae.core import checks
from minivae.core.files import write_atomically
from minivae.datasets.dataset import Dataset
from minivae.distributions.priors import StandardNormal
from minivae.models.base import Model
from minivae.models.generation import has_real_codes
from minivae.studies import run_figures
from minivae.training import runs

_PATHS = ("straight", "spherical")
_MOST = 100  # in a row or a column of a figure


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", metavar="RUN", help="folder that minivae train left")
    parser.add_argument("-n", type=int, default=100, help="number of samples of the prior (default 100)")
    parser.add_argument("--near", type=int, metavar="N", help="test images whose neighbours are drawn (default 8)")
    parser.add_argument("--draws", type=int, default=8, metavar="K", help="draws of q(z|x) for each (default 8)")
    parser.add_argument("--sampled", action="store_true", help="near: draw x ~ p(x|z), not its mean E[x|z]")
    parser.add_argument("--path", help="of interpolations: straight, spherical (default both where z ~ N(0, I))")
    parser.add_argument("--steps", type=int, default=10, metavar="N", help="images of an interpolation (default 10)")
    attribute = "two labels: their mean codes' difference is added to the first one's codes (default the first two)"
    parser.add_argument("--attribute", type=int, nargs=2, metavar=("FROM", "TO"), help=attribute)
    parser.add_argument("--strength", type=float, default=1.0, metavar="S", help="times that difference (default 1)")
    parser.add_argument("--out", metavar="DIR", help="where to write them (default runs/RUN-samples-NNN)")


def _run(options: argparse.Namespace) -> Outcome:
    """Write samples, neighbours, reconstructions, interpolations, attributes and the latent plane of a run."""
    checks.seed(options.seed)
    checks.width(options.n, "n")
    for name in ("near", "draws", "steps"):
        _few(getattr(options, name), name)
    if options.steps < 2:
        raise ValueError("steps must be at least 2, got 1. Both ends are among the images.")
    checks.number(options.strength, "strength", low=-1e6, high=1e6)
    run = runs.open_run(options.run_folder)
    params = runs.read_model(run)
    dataset = run.dataset()
    paths = _paths(options.path, run.model, dataset)
    _refuse(options, run.model, dataset)
    labels = run_figures.attribute_groups(dataset, None if options.attribute is None else tuple(options.attribute))
    folder = runs.new_folder(options.out, run.folder.name + "-samples")
    x = runs.rows_to_test_on(dataset, run.settings.seed)
    how = (run.model, params, x, dataset, folder)
    files = run_figures.drawn(run_figures.reconstruction_figure, *how)
    for path in paths:
        files += run_figures.drawn(run_figures.interpolation_figure, *how, options.steps, path == "spherical")
    files += run_figures.drawn(run_figures.latent_figures, *how)
    counts: Rows = []
    if labels is not None and dataset.image_shape is not None and _real(run.model):
        counts = run_figures.attribute_rows(run.model, params, x, dataset, labels, options.strength, options.seed)
        files += run_figures.drawn(run_figures.attribute_figure, *how, labels, counts, options.strength, options.seed)
    if run.model.variational:
        near = (options.near or 8, options.draws, options.seed, options.sampled)
        files += run_figures.drawn(run_figures.near_figure, *how, *near)
        files += run_figures.drawn(run_figures.sample_figure, *how, options.n, options.seed)
        files.append(_write_draws(run.model, params, dataset, folder, options.n, options.seed))
    rows: Rows = [{"file": path} for path in files]
    if not options.json:
        print_table(rows)
        if counts and labels is not None:
            print(f"\nin how many test images label {labels[1]} is found, in place of label {labels[0]}:")
            print_table(counts)
    settings = {"run": str(run.folder), "n": options.n, "seed": options.seed, "paths": list(paths)}
    return 0, rows, settings | {"labels": labels, "attribute": counts, "strength": options.strength}


def _few(value: int | None, name: str) -> None:
    """Refuse what no figure shows."""
    if value is not None and checks.width(value, name) > _MOST:
        raise ValueError(f"{name} must be at most {_MOST} to be seen in a figure, got {value}. Use a smaller one.")


def _real(model: Model) -> bool:
    return model.continuous or not model.variational


def _paths(path: str | None, model: Model, dataset: Dataset) -> tuple[str, ...]:
    """Return the paths to be drawn: an arc by default only where z ~ N(0, I) has a shell to stay in."""
    if path is None:
        shell = model.continuous and isinstance(getattr(model, "prior", None), StandardNormal)
        return _PATHS if shell and model.decoder.n_in != 1 else _PATHS[:1]
    checks.choice(path, _PATHS, "path")
    _needs_images(dataset, "path")
    if path == "spherical" and not model.continuous:
        raise ValueError(f"path must be straight where z has no prior on the real line, got {path!r}. Drop it.")
    if path == "spherical" and model.decoder.n_in == 1:
        raise ValueError(f"path must be straight where z has one dimension, got {path!r}. Drop it.")
    return (path,)


def _refuse(options: argparse.Namespace, model: Model, dataset: Dataset) -> None:
    """Refuse what was asked for and has no meaning for the model or its data."""
    asked = "near" if options.near is not None else "sampled" if options.sampled else None
    if asked is not None:
        if not model.variational:
            raise ValueError(
                f"--{asked} is for a model whose code is a distribution q(z|x), got a run of {type(model).__name__}, "
                f"whose code is a point. Drop it."
            )
        _needs_images(dataset, asked)
    if options.attribute is not None:
        has_real_codes(model)
        _needs_images(dataset, "attribute")


def _needs_images(dataset: Dataset, name: str) -> None:
    if dataset.image_shape is None:
        raise ValueError(f"--{name} is for images, got a run on {dataset.name}, whose rows are none. Drop it.")


def _write_draws(model: Any, params: Any, dataset: Dataset, folder: Path, n: int, seed: int) -> str:
    draws = run_figures.draw_samples(model, params, n, seed)
    if dataset.scale is not None:  # back in the units of the data
        draws = draws * dataset.scale[1] + dataset.scale[0]
    buffer = io.BytesIO()
    np.save(buffer, draws)
    write_atomically(folder / "samples.npy", buffer.getvalue())
    return str(folder / "samples.npy")


VERB = Verb(
    "sample",
    "draw samples, neighbours, interpolations, attributes and the latent plane of a run's model",
    _options,
    _run,
)
