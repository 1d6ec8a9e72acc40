"""What ``minivae pca`` does: principal components beside the trained linear autoencoder, as tables and figures."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from minivae import checks, plots
from minivae.checks import Array
from minivae.data import Dataset
from minivae.linear import Descent, LinearAutoencoder, descend, lbfgs
from minivae.pca import PCA
from minivae.power import deflate, power_iteration
from minivae.subspaces import centre, covariance, eigenpairs, subspace_distance, with_signs

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
    """Eigenvalues (d,) of the covariance S of the training rows, falling, eigenvectors (d, d) as rows U, and the rank.

    For a data set that is to be binarised anew at every use, of its grey values.
    """

    S: Array
    values: Array
    U: Array
    rank: int


def spectrum(dataset: Dataset, n_latent: int) -> Spectrum:
    """Return the spectrum of the training rows, or refuse a number of components that leaves nothing out."""
    S = covariance(dataset.x_train)
    values, vectors = eigenpairs(S)
    rank = int(np.sum(values > len(values) * np.finfo(float).eps * values[0]))
    if not checks.width(n_latent, "latent") < rank:
        raise ValueError(f"latent must be below the rank of the centred data, {rank}, got {n_latent}. Lower it.")
    return Spectrum(S, values, with_signs(vectors), rank)


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
    S, values, U = spectrum.S, spectrum.values, spectrum.U
    raw, l2 = LinearAutoencoder(len(S), n_latent), LinearAutoencoder(len(S), n_latent, values[n_latent - 1] / 2)
    widths = sorted({q for q in (1, 2, 4, 8, 16, 32) if q < spectrum.rank} | {n_latent})
    bar = tqdm(total=4 + n_latent + len(widths), unit="fit", disable=None if progress is None else not progress)
    ends: dict[str, Descent] = {}
    rates, losses = [], {}
    with bar, threadpool_limits(1, user_api="blas"):  # a second thread gains nothing on such products
        for name, train, model in (("Adam", descend, raw), ("L-BFGS", lbfgs, raw), ("L2", lbfgs, l2)):
            ends[name] = train(model, model.init(np.random.default_rng([seed, len(ends)])), S)
            bar.update()
        rows = _subspace_rows(raw, ends, spectrum) + _l2_rows(l2, ends["L2"], spectrum)
        rows += _solver_rows(dataset.x_train.astype(np.float64), U[:n_latent])
        bar.update()
        for k in range(n_latent):
            rates.append(_rate(spectrum, k, np.random.default_rng([seed, 9, k])))
            bar.update()
        for q in widths:
            model = LinearAutoencoder(len(S), q)
            losses[q] = descend(model, model.init(np.random.default_rng([seed, q])), S).loss
            bar.update()
    rows.append(_rate_row(rates, spectrum))
    directions = {"Adam": raw.decoder_directions(ends["Adam"].params), "L2": l2.decoder_directions(ends["L2"].params)}
    squares = np.linalg.svd(l2.unpack(ends["L2"].params)[1], compute_uv=False) ** 2
    components: Rows = [
        {
            "component": i + 1,
            "eigenvalue": float(values[i]),
            "share": float(values[i] / values.sum()),
            "power_rate": rates[i][0],
            "eigenvalue_ratio": float(values[i + 1] / values[i]),
            "raw_decoder_cosine": float(abs(directions["Adam"][i] @ U[i])),
            "l2_decoder_cosine": float(abs(directions["L2"][i] @ U[i])),
            "l2_shrinkage": float(squares[i]),
            "l2_shrinkage_exact": float(l2.optimum(values)[1][i]),
        }
        for i in range(n_latent)
    ]
    discarded = np.append(np.cumsum(values[::-1])[::-1], 0.0)  # the sum after the first q, for q = 0, 1, ..., d
    figures = [plots.save(plots.loss_against_latents(discarded, losses), folder / "loss.png")]
    if dataset.image_shape is not None:
        figures.append(_components_figure(U[:n_latent], directions, dataset.image_shape, folder))
        models: dict[str, Callable[[Array], Array]] = {
            "PCA": lambda rows: rows @ U[:n_latent].T @ U[:n_latent],
            "linear AE": lambda rows: raw.reconstruct(ends["Adam"].params, rows),
            "linear AE, L2": lambda rows: l2.reconstruct(ends["L2"].params, rows),
        }
        figures.append(_reconstructions_figure(models, dataset, dataset.image_shape, folder))
    return Report(rows, components, figures)


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


def _subspace_rows(model: LinearAutoencoder, ends: dict[str, Descent], spectrum: Spectrum) -> Rows:
    """Return the rows on the unregularised autoencoder: loss, subspace, and which directions are the components."""
    values, U, q = spectrum.values, spectrum.U, model.n_latent
    exact, total = model.optimum(values)[0], float(values.sum())
    rows = []
    for name in ("Adam", "L-BFGS"):
        end = ends[name]
        rows.append(_row(f"linear AE by {name}, loss", end.loss, exact, 1e-8 * total))
        distance = subspace_distance(model.unpack(end.params)[1].T, U[:q])
        # theory: the loss is above its minimum by at least the gap times the squared sines of the angles
        excess = max(end.loss - exact, 0.0) + 1e-15 * total
        bound = max(1e-6, math.sqrt(excess / max(values[q - 1] - values[q], 1e-15 * total)))
        rows.append(_row(f"linear AE by {name}, distance of subspaces", distance, 0.0, bound))
    found, vectors = model.components(ends["L-BFGS"].params, spectrum.S)
    rows.append(_row("components of its reconstructions, largest sine", _largest_sine(vectors, U), 0.0, 1e-5))
    rows.append(_row(f"variance of component {q} of them", found[-1], values[q - 1], 1e-6 * values[0]))
    return rows


def _l2_rows(model: LinearAutoencoder, end: Descent, spectrum: Spectrum) -> Rows:
    """Return the rows on the autoencoder with L2: loss, components, shrinkage."""
    values, U = spectrum.values, spectrum.U
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


def _rate(spectrum: Spectrum, k: int, rng: np.random.Generator) -> tuple[float, float]:
    """Return the factor by which the tangent of the angle to component k falls, after deflation, and a slack.

    The last factor before the angle is lost in rounding. It is at most lambda_{k+1} / lambda_k, and below that by what
    the later components still take part in the step: the second number is how much that is.
    """
    S, values, U = spectrum.S, spectrum.values, spectrum.U
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


def _rate_row(rates: list[tuple[float, float]], spectrum: Spectrum) -> dict[str, Any]:
    """Return the row on the component whose rate is farthest from lambda_{k+1} / lambda_k, its slack taken off."""
    rate, slack = np.array(rates).T
    exact = spectrum.values[1 : len(rate) + 1] / spectrum.values[: len(rate)]
    worst = int(np.argmax(np.abs(rate - exact) - slack))
    name = f"power iteration, rate of component {worst + 1}"
    return _row(name, rate[worst], exact[worst], float(1e-6 + slack[worst]))


def _components_figure(U: Array, directions: dict[str, Array], shape: tuple[int, int], folder: Path) -> str:
    """Draw the components, the decoder's directions without L2 and with it, each turned to the component's sign."""
    rows = {"PCA": U, "raw decoder": directions["Adam"], "decoder, L2": directions["L2"]}
    rows = {name: (v * np.where(np.sum(v * U, axis=1) < 0, -1, 1)[:, None])[:12] for name, v in rows.items()}
    shades = plots.Shades.signed(np.concatenate(list(rows.values())))
    title = "Components, and left singular vectors of the decoder"
    return plots.save(plots.image_rows(rows, shape, shades, title, "entry of the direction"), folder / "components.png")


def _reconstructions_figure(
    models: dict[str, Callable[[Array], Array]], dataset: Dataset, shape: tuple[int, int], folder: Path
) -> str:
    """Draw test rows and their reconstructions by each model."""
    _, mean = centre(dataset.x_train)
    x = dataset.x_test[np.linspace(0, len(dataset.x_test) - 1, 12).astype(int)].astype(np.float64)
    rows = {"original x": x} | {name: model(x - mean) + mean for name, model in models.items()}
    figure = plots.image_rows(rows, shape, plots.Shades.of(dataset.x_test), "Test images, reconstructed")
    return plots.save(figure, folder / "reconstructions.png")
