"""What ``minivae pca`` does: principal components beside the trained linear autoencoder, as tables and figures."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from minivae.classical.descent import Descent, descend, lbfgs
from minivae.classical.linear_autoencoder import LinearAutoencoder
from minivae.classical.pca import PCA
from minivae.classical.power import deflate, power_iteration
from minivae.classical.subspaces import centre, covariance, eigenpairs, subspace_distance, with_signs
from minivae.core import checks
from minivae.core.arrays import Array
from minivae.core.parallel import one_blas_thread
from minivae.core.seeds import Stream, stream
from minivae.datasets.dataset import Dataset
from minivae.studies import plots

Rows = list[dict[str, Any]]


_RATE_STEPS, _RATE_TOLERANCE = 20_000, 1e-3


# Eigenvalues nearer than this share of the trace count as equal: data in float32 know them to 1e-7, and training, which
# ends at gradients of 1e-11 of the trace, knows directions to 1e-5 at such a gap.
_EQUAL = 1e-6


@dataclass(frozen=True)
class Report:
    """The tables and figures of ``minivae pca``.

    Attributes
    ----------
    checks : list of dict
        What was found beside what theory says, one row each.
        ``ok`` is None where equal eigenvalues on both sides of the cut leave the quantity arbitrary.
    components : list of dict
        One row for each component that is kept; without cosines where a neighbour shares its eigenvalue.
    arbitrary : list of int
        Numbers of those components, from 1: only the space that equal ones span is determined.
    figures : list of str
    """

    checks: Rows
    components: Rows
    arbitrary: list[int]
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

    def determined(self, n_latent: int) -> bool:
        """Whether the span of the first components is determined: not where the next has an equal eigenvalue."""
        return self.clusters(n_latent + 1)[-1].start == n_latent

    def clusters(self, n: int) -> list[slice]:
        """Return the runs of equal eigenvalues among the first n: what each spans is determined, no more."""
        edges = np.flatnonzero(self.values[: n - 1] - self.values[1:n] > _EQUAL * self.values.sum()) + 1
        return [slice(a, b) for a, b in zip([0, *edges.tolist()], [*edges.tolist(), n], strict=True)]


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
    with bar, one_blas_thread():  # a second thread gains nothing on such products
        for name, train, model in (("Adam", descend, raw), ("L-BFGS", lbfgs, raw), ("L2", lbfgs, l2)):
            ends[name] = train(model, model.init(stream(seed, Stream.LINEAR, 0, len(ends))), S)
            bar.update()
        rows = _subspace_rows(raw, ends, spectrum) + _l2_rows(l2, ends["L2"], spectrum)
        rows += _solver_rows(dataset.x_train.astype(np.float64), spectrum, n_latent)
        bar.update()
        for k in range(n_latent):
            rates.append(_rate(spectrum, k, stream(seed, Stream.POWER, k)))
            bar.update()
        for q in widths:
            model = LinearAutoencoder(len(S), q)
            losses[q] = descend(model, model.init(stream(seed, Stream.LINEAR, 1, q)), S).loss
            bar.update()
    rows.append(_rate_row(rates, spectrum))
    directions = {"Adam": raw.decoder_directions(ends["Adam"].params), "L2": l2.decoder_directions(ends["L2"].params)}
    squares = np.linalg.svd(l2.unpack(ends["L2"].params)[1], compute_uv=False) ** 2
    # the first that is left out may be one of a run, too
    runs = [run for run in spectrum.clusters(n_latent + 1) if run.stop - run.start > 1]
    arbitrary = [i + 1 for run in runs for i in range(run.start, min(run.stop, n_latent))]

    def cosine(name: str, i: int) -> float | None:
        return None if i + 1 in arbitrary else float(abs(directions[name][i] @ U[i]))

    components: Rows = [
        {
            "component": i + 1,
            "eigenvalue": float(values[i]),
            "share": float(values[i] / values.sum()),
            "power_rate": rates[i][0],
            "eigenvalue_ratio": float(values[i + 1] / values[i]),
            "raw_decoder_cosine": cosine("Adam", i),
            "l2_decoder_cosine": cosine("L2", i),
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
    return Report(rows, components, arbitrary, figures)


def _row(name: str, found: float, exact: float, tolerance: float, determined: bool = True) -> dict[str, Any]:
    difference = abs(found - exact)
    return {
        "check": name,
        "found": float(found),
        "exact": float(exact),
        "difference": float(difference),
        "tolerance": tolerance,
        "ok": bool(difference <= tolerance) if determined else None,
    }


def _subspace_rows(model: LinearAutoencoder, ends: dict[str, Descent], spectrum: Spectrum) -> Rows:
    """Return the rows on the unregularised autoencoder: loss, subspace, and which directions are the components."""
    values, U, q = spectrum.values, spectrum.U, model.n_latent
    exact, total, known = model.optimum(values)[0], float(values.sum()), spectrum.determined(q)
    rows = []
    for name in ("Adam", "L-BFGS"):
        end = ends[name]
        rows.append(_row(f"linear AE by {name}, loss", end.loss, exact, 1e-8 * total))
        distance = subspace_distance(model.unpack(end.params)[1].T, U[:q])
        rows.append(_row(f"linear AE by {name}, distance of subspaces", distance, 0.0, 1e-6, known))
    found, vectors = model.components(ends["L-BFGS"].params, spectrum.S)
    sine = _largest_sine(vectors, spectrum)
    rows.append(_row("components of its reconstructions, largest sine", sine, 0.0, 1e-5, known))
    rows.append(_row(f"variance of component {q} of them", found[-1], values[q - 1], 1e-6 * values[0]))
    return rows


def _l2_rows(model: LinearAutoencoder, end: Descent, spectrum: Spectrum) -> Rows:
    """Return the rows on the autoencoder with L2: loss, components, shrinkage."""
    values = spectrum.values
    exact, squares = model.optimum(values)
    singular = np.linalg.svd(model.unpack(end.params)[1], compute_uv=False) ** 2
    worst = int(np.argmax(np.abs(singular - squares)))
    name = f"with L2 = {model.l2:.3g}"
    sine = _largest_sine(model.decoder_directions(end.params), spectrum)
    return [
        _row(f"{name}, loss", end.loss, exact, 1e-8 * float(values.sum())),
        _row(f"{name}, decoder, largest sine", sine, 0.0, 1e-5, spectrum.determined(model.n_latent)),
        _row(f"{name}, squared singular value {worst + 1}", singular[worst], squares[worst], 1e-5),
    ]


def _solver_rows(x: Array, spectrum: Spectrum, n_latent: int) -> Rows:
    """Return the rows on the other two ways to the same components."""
    rows = []
    for solver in ("svd", "power"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of equal variances: the report says so itself
            fitted = PCA(n_latent, solver).fit(x)
        distance = subspace_distance(fitted.components_, spectrum.U[:n_latent])
        rows.append(_row(f"PCA by {solver}, distance of subspaces", distance, 0.0, 1e-9, spectrum.determined(n_latent)))
    return rows


def _largest_sine(vectors: Array, spectrum: Spectrum) -> float:
    """Return the largest sine of the angle between directions and components of the same rank, equal ones together."""
    return max(subspace_distance(vectors[run], spectrum.U[run]) for run in spectrum.clusters(len(vectors)))


def _rate(spectrum: Spectrum, k: int, rng: np.random.Generator) -> tuple[float, float]:
    """Return the factor by which the tangent of the angle to component k falls, after deflation, and a tolerance.

    The factor is lambda_{k+1} / lambda_k less what the later components still take part in the step. By the start's
    coefficients c and rho_i = lambda_i / lambda_{k+1} that is, as a part of it, after t steps at most

        slack = sum_{i > k+1} (1 - rho_i^2) rho_i^{2 (t-1)} c_i^2 / c_{k+1}^2,

    and the iteration goes on until this is 1e-6. The tolerance is 1e-3, or the slack where the angle is lost in
    rounding before.
    """
    S, values, U = spectrum.S, spectrum.values, spectrum.U
    left = deflate(lambda v: S @ v, values[:k], U[:k])
    start = rng.standard_normal(len(S))
    start -= (U[:k] @ start) @ U[:k]  # what the first step would take away is no part of the rate
    squares = np.square(U[k + 1 :] @ start)
    rho = np.square(values[k + 1 :] / values[k + 1])
    ratio, rate, before = float(values[k + 1] / values[k]), 1.0, 0.0
    for t, step in enumerate(power_iteration(left, start)):
        along = float(step.vector @ U[k])
        tangent = float(np.linalg.norm(step.vector - along * U[k])) / abs(along)
        if t:
            rate = tangent / before
            slack = ratio * float(((1 - rho) * rho ** (t - 1)) @ squares / squares[0])
            if tangent < 1e-7:
                return rate, max(_RATE_TOLERANCE, slack)
            if slack < 1e-6 or t >= _RATE_STEPS:
                break
        before = tangent
    return rate, _RATE_TOLERANCE


def _rate_row(rates: list[tuple[float, float]], spectrum: Spectrum) -> dict[str, Any]:
    """Return the row on the component whose rate is farthest from lambda_{k+1} / lambda_k, by its tolerance."""
    rate, tolerance = np.array(rates).T
    exact = spectrum.values[1 : len(rate) + 1] / spectrum.values[: len(rate)]
    worst = int(np.argmax(np.abs(rate - exact) / tolerance))
    name = f"power iteration, rate of component {worst + 1}"
    return _row(name, rate[worst], exact[worst], float(tolerance[worst]))


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
