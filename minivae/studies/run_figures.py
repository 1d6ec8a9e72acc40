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
from minivae.datasets.strokes import has_stroke
from minivae.models.base import Model, Variational
from minivae.models.contraction import jacobian
from minivae.models.generation import attribute_direction, interpolate, near, with_attribute
from minivae.studies import plots
from minivae.studies.attributes import measure_attribute, nearer_to_second
from minivae.studies.sequence_figures import sequences
from minivae.training.bits import binarize
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
    differentiable = all(
        hasattr(layer, "matrix") or hasattr(layer, "curvature") for layer in model.encoder.flat_layers()
    )
    if not model.variational and dataset.image_shape is not None and differentiable:
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
    if dataset.steps is not None:
        some = x[np.linspace(0, len(x) - 1, min(12, len(x))).astype(int)]
        rows = {"original x": some, "E[x|z]": model.reconstruct(params, some)}
        return plots.save(sequences(rows, dataset, "Originals and their reconstructions"), path)
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
    if dataset.steps is not None:
        rows = {"x ~ p(x|z)": draw_samples(model, params, 12, seed)}
        return plots.save(sequences(rows, dataset, f"Samples: x ~ p(x|z) for {model.prior.formula}"), path)
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


def interpolation_figure(
    model: Model, params: Array, x: Array, dataset: Dataset, folder: Path, n_steps: int = 10, spherical: bool = False
) -> str | None:
    """Draw paths in latent space between codes of test images, decoded; None where there are no images."""
    if dataset.image_shape is None or len(x) < 2:
        return None
    n = min(8, len(x) // 2)
    ends_at = np.linspace(0, len(x) - 1, 2 * n).astype(int)
    ends = model.embed(params, x[ends_at])
    z = interpolate(ends[:n], ends[n:], n_steps, spherical=spherical).swapaxes(0, 1)  # (n, n_steps, L)
    between = model.decode(params, z.reshape(n * n_steps, -1).astype(params.dtype)).reshape(n, n_steps, -1)
    images = np.concatenate([x[ends_at[:n], None], between, x[ends_at[n:], None]], axis=1).reshape(-1, x.shape[1])
    title = f"E[x|z] along {'arcs' if spherical else 'lines'} between the codes of two originals"
    figure = plots.image_grid(images, dataset.image_shape, plots.Shades.of(x), title, n_columns=n_steps + 2)
    return plots.save(figure, folder / f"interpolations{'_spherical' if spherical else ''}.png")


def near_figure(
    model: Variational,
    params: Array,
    x: Array,
    dataset: Dataset,
    folder: Path,
    n: int = 8,
    n_draws: int = 8,
    seed: int = 0,
    sampled: bool = False,
) -> str | None:
    """Draw n test images, their reconstructions, and images decoded from draws of q(z|x); None without images."""
    if dataset.image_shape is None:
        return None
    some = x[np.linspace(0, len(x) - 1, min(n, len(x))).astype(int)]
    draws = near(model, params, some, n_draws, rng=stream(seed, Stream.NEAR), mean=not sampled)  # (K, n, D)
    columns = np.concatenate([some[None], model.reconstruct(params, some)[None], draws]).swapaxes(0, 1)
    what = "x ~ p(x|z)" if sampled else "E[x|z]"
    title = f"Original, reconstruction, and {what} of draws z ~ q(z|x)"
    images = columns.reshape(-1, x.shape[1])
    figure = plots.image_grid(images, dataset.image_shape, plots.Shades.of(x), title, n_columns=n_draws + 2)
    return plots.save(figure, folder / "near.png")


def attribute_groups(dataset: Dataset, labels: tuple[int, int] | None) -> tuple[int, int] | None:
    """Return the two labels between which a direction is taken: those given, or the first two; None where it has none.

    Examples
    --------
    >>> from minivae.datasets import load
    >>> attribute_groups(load("digits-threshold"), None), attribute_groups(load("digits-threshold"), (3, 8))
    ((0, 1), (3, 8))
    """
    if dataset.y_train is None or dataset.y_test is None:
        if labels is None:
            return None
        raise ValueError(f"attribute must be of data with labels, got {dataset.name}, which has none. Drop it.")
    known = np.intersect1d(dataset.y_train, dataset.y_test).tolist()
    if labels is None:
        return (known[0], known[1]) if len(known) > 1 else None
    for label in labels:
        if label not in known:
            listed = ", ".join(map(str, known[:20]))
            raise ValueError(
                f"attribute must name labels of {dataset.name}, {listed}; got {label}. Choose two of them."
            )
    if labels[0] == labels[1]:
        raise ValueError(f"attribute must name two different labels, got {labels[0]} twice. Choose another.")
    return labels


def _groups(dataset: Dataset, labels: tuple[int, int], seed: int) -> tuple[Array, np.ndarray]:
    """Return the training rows of two labels, as a model is trained on them, and which have the second one."""
    assert dataset.y_train is not None
    at = np.isin(dataset.y_train, labels)
    x = dataset.x_train[at]
    return binarize(x, stream(seed, Stream.ATTRIBUTE, 1)) if dataset.dynamic else x, dataset.y_train[at] == labels[1]


def attribute_rows(
    model: Model,
    params: Array,
    x: Array,
    dataset: Dataset,
    labels: tuple[int, int],
    strength: float = 1.0,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Count in how many test images arithmetic on the codes turns the first label into the second.

    The detector of digits-stroke looks for the stroke; that of other data asks which mean image is nearer.
    """
    assert dataset.y_test is not None
    at_test = np.isin(dataset.y_test, labels)
    x_train, has = _groups(dataset, labels, seed)
    detect = has_stroke if dataset.name == "digits-stroke" else nearer_to_second(x_train[~has], x_train[has])
    test = (x[at_test], dataset.y_test[at_test] == labels[1])
    return measure_attribute(model, params, (x_train, has), test, detect, strength, seed)


def attribute_figure(
    model: Model,
    params: Array,
    x: Array,
    dataset: Dataset,
    folder: Path,
    labels: tuple[int, int],
    rows: list[dict[str, Any]],
    strength: float = 1.0,
    seed: int = 0,
) -> str | None:
    """Draw test images of the first label as the direction to the second is added to their codes."""
    if dataset.image_shape is None or dataset.y_train is None or dataset.y_test is None:
        return None
    x_train, has = _groups(dataset, labels, seed)
    direction = attribute_direction(model.embed(params, x_train), has)
    those = x[dataset.y_test == labels[0]]
    some = those[np.linspace(0, len(those) - 1, min(12, len(those))).astype(int)]
    pictures = {f"label {labels[0]}": some, "E[x|z]": model.reconstruct(params, some)}
    for share in (1 / 3, 2 / 3, 1.0):
        step = share * strength
        pictures[f"z + {step:.2g} d"] = with_attribute(model, params, some, direction, step)
    count = f"found in {rows[1]['found']} of {rows[1]['n']} before, in {rows[2]['found']} after"
    title = f"Mean code of label {labels[1]} less that of label {labels[0]}, added: {count}"
    figure = plots.image_rows(pictures, dataset.image_shape, plots.Shades.of(x), title)
    return plots.save(figure, folder / "attribute.png")
