"""What ``minivae pca`` does: principal components beside the trained linear autoencoder, as tables and figures."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from minivae import checks, plots
from minivae.checks import Array
from minivae.data import Dataset
from minivae.linear import Descent, LinearAutoencoder, descend, lbfgs
from minivae.pca import PCA
from minivae.power import deflate, power_iteration
from minivae.subspaces import centre, covariance, subspace_distance, with_signs

Rows = list[dict[str, Any]]

_RATE_STEPS = 20_000


@dataclass(frozen=True)
class Report:
    """The tables and figures of ``minivae pca``.

    Attributes
    ----------
    checks : list of dict
        What was found beside what theory says, one row each.
    components : list of dict
        One row for each component that is kept.
    figures : list of str
    """

    checks: Rows
    components: Rows
    figures: list[str]


@dataclass(frozen=True)
class Spectrum:
    """Eigenvalues (d,) of the covariance S of the training rows, falling, and eigenvectors (d, d) as rows U.

    For a data set that is to be binarised anew at every use, of its grey values.
    """

    S: Array
    values: Array
    U: Array


def spectrum(dataset: Dataset, n_latent: int) -> Spectrum:
    """Return the spectrum of the training rows, or refuse a number of components that leaves nothing out."""
    S = covariance(dataset.x_train)
    values, columns = np.linalg.eigh(S)
    values, U = np.maximum(values[::-1], 0), with_signs(columns.T[::-1])
    rank = int(np.sum(values > len(values) * np.finfo(float).eps * values[0]))
    if not checks.width(n_latent, "latent") < rank:
        raise ValueError(f"latent must be below the rank of the centred data, {rank}, got {n_latent}. Lower it.")
    return Spectrum(S, values, U)


def report(
    dataset: Dataset, spectrum: Spectrum, n_latent: int, seed: int, folder: Path, progress: bool | None = None
) -> Report:
    """Compare PCA with linear autoencoders that are trained on the training rows; write the figures into a folder.

    Parameters
    ----------
    dataset : Dataset
    spectrum : Spectrum
    n_latent : int
        Components to keep.
    seed : int
        Of the initial weights and of the starts of the power iteration.
    folder : path
    progress : bool or None
        Show a progress bar; None shows it on a terminal only.
    """
    x = dataset.x_train.astype(np.float64)
    S, values, U = spectrum.S, spectrum.values, spectrum.U
    discarded = np.append(np.cumsum(values[::-1])[::-1], 0.0)  # the sum after the first q, for q = 0, 1, ..., d
    widths = sorted({q for q in (1, 2, 4, 8, 16, 32) if q < np.linalg.matrix_rank(S)} | {n_latent})
    bar = tqdm(total=4 + n_latent + len(widths), unit="fit", disable=None if progress is None else not progress)
    with bar:
        raw, l2 = LinearAutoencoder(len(S), n_latent), LinearAutoencoder(len(S), n_latent, values[n_latent - 1] / 2)
        ends: dict[str, Descent] = {}
        for name, train, model in (("Adam", descend, raw), ("L-BFGS", lbfgs, raw), ("L2", lbfgs, l2)):
            start = model.init(np.random.default_rng([seed, len(ends)]))
            ends[name] = train(model, start, S)
            bar.update()
        rows = _subspace_rows(raw, ends, values, U, S) + _l2_rows(l2, ends["L2"], values, U)
        rows += _solver_rows(x, U[:n_latent])
        bar.update()
        rates = []
        for k in range(n_latent):
            rates.append(_rate(S, values, U, k, np.random.default_rng([seed, 9, k])))
            bar.update()
        trained = {}
        for q in widths:
            model = LinearAutoencoder(len(S), q)
            trained[q] = descend(model, model.init(np.random.default_rng([seed, q])), S).loss
            bar.update()
    exact_rates = values[1 : n_latent + 1] / values[:n_latent]
    rate, slack = np.array(rates).T
    worst = int(np.argmax(np.abs(rate - exact_rates) - slack))
    name = f"power iteration, rate of component {worst + 1}"
    rows.append(_row(name, rate[worst], exact_rates[worst], 1e-6 + slack[worst]))
    directions = {name: model.decoder_directions(ends[name].params) for name, model in (("Adam", raw), ("L2", l2))}
    singular = np.linalg.svd(l2.unpack(ends["L2"].params)[1], compute_uv=False)
    predicted = l2.optimum(values)[1]
    table: Rows = [
        {
            "component": i + 1,
            "eigenvalue": float(values[i]),
            "share": float(values[i] / values.sum()),
            "power_rate": float(rate[i]),
            "eigenvalue_ratio": float(exact_rates[i]),
            "raw_decoder_cosine": float(abs(directions["Adam"][i] @ U[i])),
            "l2_decoder_cosine": float(abs(directions["L2"][i] @ U[i])),
            "l2_shrinkage": float(singular[i] ** 2),
            "l2_shrinkage_exact": float(predicted[i]),
        }
        for i in range(n_latent)
    ]
    figures = [plots.save(plots.loss_against_latents(discarded, trained), folder / "loss.png")]
    if dataset.image_shape is not None:
        figures.append(_components_figure(U[:n_latent], directions, dataset.image_shape, folder))
        models = {
            "PCA": lambda rows: rows @ U[:n_latent].T @ U[:n_latent],
            "linear AE": lambda rows: raw.reconstruct(ends["Adam"].params, rows),
            "linear AE, L2": lambda rows: l2.reconstruct(ends["L2"].params, rows),
        }
        figures.append(_reconstructions_figure(models, dataset, centre(x)[1], folder))
    return Report(rows, table, figures)


def _row(name: str, found: float, exact: float, tolerance: float) -> dict[str, Any]:
    difference = abs(found - exact)
    return {
        "check": name,
        "found": float(found),
        "exact": float(exact),
        "difference": float(difference),
        "tolerance": tolerance,
        "ok": bool(difference <= tolerance),
    }


def _subspace_rows(model: LinearAutoencoder, ends: dict[str, Descent], values: Array, U: Array, S: Array) -> Rows:
    """Return the rows on the unregularised autoencoder: loss, subspace, and which directions are the components."""
    exact, q, total = model.optimum(values)[0], model.n_latent, float(values.sum())
    rows = []
    for name in ("Adam", "L-BFGS"):
        end = ends[name]
        rows.append(_row(f"linear AE by {name}, loss", end.loss, exact, 1e-8 * total))
        distance = subspace_distance(model.unpack(end.params)[1].T, U[:q])
        # theory: the loss is above its minimum by at least the gap times the squared sines of the angles
        excess = max(end.loss - exact, 0.0) + 1e-15 * total
        bound = max(1e-6, math.sqrt(excess / max(values[q - 1] - values[q], 1e-15 * total)))
        rows.append(_row(f"linear AE by {name}, distance of subspaces", distance, 0.0, bound))
    found, vectors = model.components(ends["L-BFGS"].params, S)
    rows.append(_row("components of its reconstructions, largest sine", _largest_sine(vectors, U), 0.0, 1e-5))
    rows.append(_row(f"variance of component {q} of them", found[-1], values[q - 1], 1e-6 * values[0]))
    return rows


def _l2_rows(model: LinearAutoencoder, end: Descent, values: Array, U: Array) -> Rows:
    """Return the rows on the autoencoder with L2: loss, components, shrinkage."""
    exact, squares = model.optimum(values)
    singular = np.linalg.svd(model.unpack(end.params)[1], compute_uv=False) ** 2
    worst = int(np.argmax(np.abs(singular - squares)))
    name = f"with L2 = {model.l2:.3g}"
    return [
        _row(f"{name}, loss", end.loss, exact, 1e-8 * float(values.sum())),
        _row(f"{name}, decoder, largest sine", _largest_sine(model.decoder_directions(end.params), U), 0.0, 1e-5),
        _row(f"{name}, squared singular value {worst + 1}", singular[worst], squares[worst], 1e-5),
    ]


def _solver_rows(x: Array, U: Array) -> Rows:
    """Return the rows on the other two ways to the same components."""
    rows = []
    for solver in ("svd", "power"):
        fitted = PCA(len(U), solver).fit(x)
        rows.append(
            _row(f"PCA by {solver}, distance of subspaces", subspace_distance(fitted.components_, U), 0.0, 1e-9)
        )
    return rows


def _largest_sine(vectors: Array, U: Array) -> float:
    """Return the largest sine of the angle between a direction and the component of the same rank."""
    U = U[: len(vectors)]
    along = np.sum(vectors * U, axis=1, keepdims=True)
    return float(np.linalg.norm(vectors - along * U, axis=1).max())


def _rate(S: Array, values: Array, U: Array, k: int, rng: np.random.Generator) -> tuple[float, float]:
    """Return the factor by which the tangent of the angle to component k falls, after deflation, and a slack.

    The last factor before the angle is lost in rounding. It is at most lambda_{k+1} / lambda_k, and below that by what
    the later components still take part in the step: the second number is how much that is.
    """
    left = deflate(lambda v: S @ v, values[:k], U[:k])
    rate, before, others = 1.0, 0.0, np.zeros(0)
    for t, step in enumerate(power_iteration(left, rng.standard_normal(len(S)))):
        along = float(step.vector @ U[k])
        tangent = float(np.linalg.norm(step.vector - along * U[k])) / abs(along)
        if t:
            rate = tangent / before
        if tangent < 1e-7 or t == _RATE_STEPS:
            break
        before, others = tangent, np.square(U[k + 1 :] @ step.vector)
    mean = np.sqrt(others @ np.square(values[k + 1 :]) / others.sum()) / values[k]
    return rate, float(values[k + 1] / values[k] - mean)


def _components_figure(U: Array, directions: dict[str, Array], shape: tuple[int, int], folder: Path) -> str:
    """Draw the components, the decoder's directions without L2 and with it, each turned to the component's sign."""
    rows = {"PCA": U, "raw decoder": directions["Adam"], "decoder, L2": directions["L2"]}
    rows = {name: (v * np.where(np.sum(v * U, axis=1) < 0, -1, 1)[:, None])[:12] for name, v in rows.items()}
    shades = plots.Shades.signed(np.concatenate(list(rows.values())))
    title = "Components, and left singular vectors of the decoder"
    return plots.save(plots.image_rows(rows, shape, shades, title, "entry of the direction"), folder / "components.png")


def _reconstructions_figure(
    models: dict[str, Callable[[Array], Array]], dataset: Dataset, mean: Array, folder: Path
) -> str:
    """Draw test rows and their reconstructions by each model."""
    x = dataset.x_test[np.linspace(0, len(dataset.x_test) - 1, 12).astype(int)].astype(np.float64)
    rows = {"original x": x} | {name: model(x - mean) + mean for name, model in models.items()}
    assert dataset.image_shape is not None
    figure = plots.image_rows(rows, dataset.image_shape, plots.Shades.of(dataset.x_test), "Test images, reconstructed")
    return plots.save(figure, folder / "reconstructions.png")
