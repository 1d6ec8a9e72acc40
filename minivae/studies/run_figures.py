"""The figures of a run: learning curves, reconstructions, samples, codes, the decoded plane."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from minivae.core.arrays import Array
from minivae.core.errors import FileError
from minivae.core.reading import words
from minivae.core.seeds import Stream, stream
from minivae.datasets.dataset import Dataset
from minivae.models.base import Model, Variational
from minivae.models.contraction import jacobian
from minivae.studies import plots
from minivae.training.runs import Run, rows_to_test_on


def active_pair(model: Model, params: Array, x: Array) -> tuple[int, int]:
    """Return the two latents that say most about x, in ascending order: the axes of the plane."""
    first, second = sorted(np.argsort(-model.says(params, x), kind="stable")[:2].tolist())
    return first, second


def figures(run: Run, dataset: Dataset, params: Array, history: list[dict[str, float]]) -> list[str]:
    """Draw every figure of a training run; return their paths."""
    model, folder = run.model, run.folder / "figures"
    x = rows_to_test_on(dataset, run.settings.seed)
    paths = drawn(lambda: plots.save(plots.learning_curves(history), folder / "learning_curves.png"))
    paths += drawn(latent_figures, model, params, x, dataset, folder)
    paths += drawn(reconstruction_figure, model, params, x, dataset, folder)
    if not model.variational and dataset.image_shape is not None:
        paths += drawn(_receptive_fields, model, params, x, dataset, folder)
    if model.variational:
        n = 100 if dataset.image_shape is not None else 500
        paths += drawn(sample_figure, model, params, x, dataset, folder, n, run.settings.seed)
    return paths


def drawn(draw: Callable[..., str | list[str] | None], *args: Any) -> list[str]:
    """Return the paths that draw(*args) does; where the numbers cannot be drawn, say so and go on without.

    A finished training may have values that no axis holds: its results matter more than a picture of them.
    """
    try:
        paths = draw(*args)
    except FileError:
        raise
    except Exception as error:  # whatever Matplotlib says of infinite axes, empty grids, missing fonts
        warnings.warn(
            f"a figure could not be drawn ({words(error)}); the numbers do not depend on it. Look at their size in "
            f"history.csv.",
            stacklevel=2,
        )
        return []
    return [paths] if isinstance(paths, str) else paths or []


def _receptive_fields(model: Model, params: Array, x: Array, dataset: Dataset, folder: Path) -> str:
    assert dataset.image_shape is not None
    mean = jacobian(model.encoder, params[: model.encoder.n_params], x[:256]).mean(axis=0)
    return plots.save(plots.receptive_fields(mean, dataset.image_shape), folder / "receptive_fields.png")


def reconstruction_figure(model: Model, params: Array, x: Array, dataset: Dataset, folder: Path) -> str:
    """Draw test rows beside their reconstructions."""
    path = folder / "reconstructions.png"
    if dataset.image_shape is None:
        return plots.save(plots.table_reconstructions(x, model.reconstruct(params, x)), path)
    some = x[np.linspace(0, len(x) - 1, min(12, len(x))).astype(int)]
    seen = model.seen(some, stream(0, Stream.CORRUPTION))
    if not np.array_equal(seen, some):
        rows = {"original x": some, "corrupted x": seen, "E[x|z]": model.reconstruct(params, seen)}
        title = "Originals, what the encoder sees, and reconstructions from that"
        return plots.save(plots.image_rows(rows, dataset.image_shape, plots.Shades.of(x), title), path)
    x_hat = model.reconstruct(params, some)
    return plots.save(plots.reconstructions(some, x_hat, dataset.image_shape, plots.Shades.of(x)), path)


def draw_samples(model: Variational, params: Array, n: int, seed: int, *, mean: bool = False) -> Array:
    """Draw n samples, or the means E[x|z] at the same draws of z."""
    return model.sample(params, n, stream(seed, Stream.SAMPLES), mean=mean)


def sample_figure(
    model: Variational, params: Array, x: Array, dataset: Dataset, folder: Path, n: int, seed: int
) -> str:
    """Draw samples of the model: for images the means E[x|z] of draws z of the prior."""
    path = folder / "samples.png"
    if dataset.image_shape is None:
        return plots.save(plots.table_samples(x, draw_samples(model, params, n, seed), model.prior.formula), path)
    means = draw_samples(model, params, n, seed, mean=True)
    title = f"Samples: E[x|z] for {model.prior.formula}"
    return plots.save(plots.image_grid(means, dataset.image_shape, plots.Shades.of(x), title), path)


def latent_figures(model: Model, params: Array, x: Array, dataset: Dataset, folder: Path) -> list[str]:
    """Draw the codes of the test set and, for images, the decoded plane of the two latents that say most."""
    z = model.embed(params, x)
    dims = (0, 0) if z.shape[1] == 1 else active_pair(model, params, x)
    paths = [plots.save(plots.latent_scatter(z, dataset.y_test, dims), folder / "latent_codes.png")]
    if dataset.image_shape is not None and z.shape[1] > 1 and model.continuous:
        shades = plots.Shades.of(x)
        figure = plots.latent_grid(lambda z: model.decode(params, z), z.shape[1], dataset.image_shape, shades, dims)
        paths.append(plots.save(figure, folder / "latent_plane.png"))
    return paths


def interpolation_figure(model: Model, params: Array, x: Array, dataset: Dataset, folder: Path) -> str | None:
    """Draw straight lines in latent space between codes of test images, decoded; None where there are no images."""
    if dataset.image_shape is None or len(x) < 2:
        return None
    n = min(8, len(x) // 2)
    ends_at = np.linspace(0, len(x) - 1, 2 * n).astype(int)
    ends = model.embed(params, x[ends_at])
    t = np.linspace(0, 1, 10)[None, :, None]
    z = (1 - t) * ends[:n, None] + t * ends[n:, None]  # (n, 10, L)
    between = model.decode(params, z.reshape(n * 10, -1)).reshape(n, 10, -1)
    images = np.concatenate([x[ends_at[:n], None], between, x[ends_at[n:], None]], axis=1).reshape(n * 12, -1)
    title = "E[x|z] along lines between the codes of two originals"
    figure = plots.image_grid(images, dataset.image_shape, plots.Shades.of(x), title, n_columns=12)
    return plots.save(figure, folder / "interpolations.png")
