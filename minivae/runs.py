"""A run folder: what ``minivae train`` leaves, and what ``evaluate`` and ``sample`` start from.

run.json        how the run was set up: data, model, settings
checkpoint.npz  the whole state of the training, to resume from
model.npz       the best model
history.csv     one row an epoch
summary.json    the results on the test set, settings, versions
figures/        PNG files
"""

import csv
import io
import json
import os
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from minivae import bounds, data, plots
from minivae.autoencoder import Autoencoder
from minivae.checks import Array, NonFiniteError
from minivae.contraction import jacobian
from minivae.data import Dataset
from minivae.settings import Settings
from minivae.storage import FileError, from_spec, load_model, save_model, to_spec, writable, write_atomically
from minivae.training import Result, binarize
from minivae.vae import VAE

_TEST_DRAWS = 16


@dataclass(frozen=True)
class Run:
    """How a run was set up: enough to go on with it, or to evaluate its model."""

    folder: Path
    source: str
    image_shape: tuple[int, int] | None
    model: Any
    settings: Settings

    def dataset(self) -> Dataset:
        """Load the run's data again."""
        return open_data(self.source, self.image_shape)

    def save(self) -> None:
        """Write run.json."""
        shape = None if self.image_shape is None else list(self.image_shape)
        content = {
            "source": self.source,
            "image_shape": shape,
            "model": to_spec(self.model),
            "settings": to_spec(self.settings),
        }
        write_atomically(self.folder / "run.json", (json.dumps(content, indent=2) + "\n").encode())

    @property
    def checkpoint(self) -> Path:
        """Where the state of the training is."""
        return self.folder / "checkpoint.npz"


def open_run(folder: str | Path) -> Run:
    """Read run.json of a run folder."""
    folder = Path(folder)
    path = folder / "run.json"
    if not path.is_file():
        raise FileError(
            f"run must be a folder that minivae train made, got {folder}, which has no run.json. "
            f"Give the folder that training printed, such as runs/digits-vae-001."
        )
    try:
        content = json.loads(path.read_text())
        shape = content["image_shape"]
        settings = dict(content["settings"])
        settings.pop("class")
        return Run(
            folder,
            content["source"],
            None if shape is None else (shape[0], shape[1]),
            from_spec(content["model"]),
            Settings(**{key: from_spec(value) for key, value in settings.items()}),
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise FileError(
            f"run must hold an intact run.json, got {path}, which is damaged ({error}). "
            f"Restore it from a copy, or train again."
        ) from error


def open_data(source: str, image_shape: tuple[int, int] | None = None) -> Dataset:
    """Load a data set by name, or a user's own file by path."""
    return data.load_file(source, image_shape) if is_path(source) else data.load(source)


def is_path(source: str) -> bool:
    """Say whether a source of data means a file: it is one, or it looks like one and is not a name."""
    looks_like_path = Path(source).suffix in (".npy", ".npz", ".gz", ".idx") or os.sep in source or "ubyte" in source
    return source not in data.names() and (looks_like_path or Path(source).is_file())


def foreign_rows(run: Run, source: str) -> Array:
    """Return all rows of another file, scaled as the run's own data were, or the test set of a named set."""
    if not is_path(source):
        other = data.load(source)
        return test_data(other, run.settings.seed)
    x, _, _ = data.read_rows(source)
    scale = run.dataset().scale
    return x if scale is None else (x - scale[0]) / scale[1]


def new_folder(wanted: str | None, name: str) -> Path:
    """Make the folder of a new run, and see that it can be written to before any work is done.

    Without a wish it is runs/NAME-001, or the next number that is free.
    """
    if wanted is not None:
        folder = Path(wanted)
        if folder.exists() and not folder.is_dir():
            raise FileError(f"out must be a new or empty folder, got {folder}, which is a file. Choose another.")
        if folder.is_dir() and any(folder.iterdir()):
            resume = f", or continue that run with --resume {folder}" if (folder / "run.json").is_file() else ""
            raise FileError(
                f"out must be a new or empty folder, got {folder}, which holds something. Choose another{resume}."
            )
    else:
        number = 1
        while (folder := Path("runs") / f"{name}-{number:03d}").exists():
            number += 1
    writable(folder, "out")
    return folder


def test_data(dataset: Dataset, seed: int) -> Array:
    """Return the test rows; those of a dynamic set binarised once, by the seed."""
    if not dataset.dynamic:
        return dataset.x_test
    return binarize(dataset.x_test, np.random.default_rng([seed, 2]))


def meaning(model: Any, x: Array, dataset: Dataset) -> str:
    """Say in one sentence what the reported numbers are."""
    if isinstance(model, Autoencoder):
        text = "log_lik is the log-likelihood of the reconstruction"
        text += "" if model.likelihood.is_density(x) else " (a cross-entropy: x lies strictly between 0 and 1)"
    elif model.likelihood.is_density(x):
        text = "the ELBO is a lower bound on log p(x)"
    else:
        text = "the ELBO is a cross-entropy bound: x lies strictly between 0 and 1, so it is no bound on log p(x)"
    if dataset.scale is not None:
        constant = -float(np.log(dataset.scale[1]).sum())
        text += f", x standardised by its training rows; per original unit add {constant:.3f}"
    return text


Quantity = dict[str, Any]


def _quantity(name: str, values: Array) -> Quantity:
    values = np.asarray(values, np.float64)
    error = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
    return {
        "quantity": name,
        "value": float(values.mean()),
        "standard_error": error,
        "unit": "nats per example",
    }


def test_rows(model: Any, params: Array, x: Array, seed: int) -> list[Quantity]:
    """Return the table of a training run: test ELBO, reconstruction and KL, with standard errors over examples."""
    if isinstance(model, Autoencoder):
        terms = model.terms(params, x)
        rows = [_quantity("test log_lik", terms.log_lik)]
        eps = model.draw_noise(np.random.default_rng([seed, 3]), 1, len(x), params.dtype)
        if eps is not None:
            rows.append(_quantity("test log_lik, corrupted input", model.terms(params, x, eps=eps).log_lik))
        if terms.penalty is not None:
            rows.append({**rows[0], "quantity": "test penalty", "value": terms.penalty, "standard_error": None})
        error = np.mean((x - model.reconstruct(params, x)) ** 2, axis=1)
        return [*rows, _quantity("test squared error", error) | {"unit": "per pixel"}]
    with np.errstate(over="ignore", invalid="ignore"):
        terms = model.terms(params, x, rng=np.random.default_rng([seed, 3]), n_draws=_TEST_DRAWS)
    bad = int((~np.isfinite(terms.elbo)).sum())
    if bad:
        raise NonFiniteError(
            f"the ELBO of {bad} of {len(x)} examples is not finite",
            "They lie far from the data that the model was trained on: check their units.",
        )
    parts = {"elbo": terms.elbo, "log_lik": terms.log_lik, "kl": terms.kl}
    return [_quantity(f"test {name}", values) for name, values in parts.items()]


def evaluation_rows(model: VAE, params: Array, x: Array, n_draws: int, seed: int) -> list[Quantity]:
    """Return the table of ``minivae evaluate``: the bounds, log p(x) with its effective sample size, the latents."""
    rng = np.random.default_rng([seed, 4])
    rows = test_rows(model, params, x, seed)
    head = model.encode(params, x)
    density = model.likelihood.is_density(x)
    bound, final = ("IWAE bound", "log p(x) estimate") if density else ("cross-entropy K-sample bound",) * 2
    for k in (5, 50):
        if k < n_draws:
            rows.append(_quantity(f"{bound}, K={k}", bounds.log_marginal(model, params, x, k, rng).log_p))
    estimate = bounds.log_marginal(model, params, x, n_draws, rng)
    rows.append(_quantity(f"{final}, K={n_draws}", estimate.log_p))
    rows.append(_quantity("effective sample size, mean", estimate.ess) | {"unit": "draws"})
    rows.append(
        {
            "quantity": "effective sample size, smallest",
            "value": float(estimate.ess.min()),
            "standard_error": None,
            "unit": "draws",
        }
    )
    for j, column in enumerate(model.posterior.kl_per_latent(head).T):
        rows.append(_quantity(f"KL of latent {j + 1}", column))
    # a latent is active where its posterior mean moves with x (Burda et al. 2016, section 5.2)
    active = int((model.posterior.mean(head).var(axis=0) > 0.01).sum())
    rows.append({"quantity": "active latents", "value": active, "standard_error": None, "unit": "latents"})
    return rows


def active_pair(model: Any, params: Array, x: Array) -> tuple[int, int]:
    """Return the two latents that say most about x, in ascending order: the axes of the plane."""
    z = model.embed(params, x)
    spread = model.posterior.kl_per_latent(model.encode(params, x)).mean(axis=0) if isinstance(model, VAE) else z.var(0)
    first, second = sorted(np.argsort(-spread, kind="stable")[:2].tolist())
    return first, second


def figures(run: Run, dataset: Dataset, params: Array, history: list[dict[str, float]]) -> list[str]:
    """Draw every figure of a training run; return their paths."""
    model, folder = run.model, run.folder / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    x = test_data(dataset, run.settings.seed)
    paths = [plots.save(plots.learning_curves(history), folder / "learning_curves.png")]
    paths += latent_figures(model, params, x, dataset, folder)
    paths.append(reconstruction_figure(model, params, x, dataset, folder))
    if isinstance(model, Autoencoder) and dataset.image_shape is not None:
        mean = jacobian(model.encoder, model.unpack(params)[0], x[:256]).mean(axis=0)
        figure = plots.receptive_fields(mean, dataset.image_shape)
        paths.append(plots.save(figure, folder / "receptive_fields.png"))
    if isinstance(model, VAE):
        n = 100 if dataset.image_shape is not None else 500
        paths.append(sample_figure(model, params, x, dataset, folder, n, run.settings.seed))
    return paths


def reconstruction_figure(model: Any, params: Array, x: Array, dataset: Dataset, folder: Path) -> str:
    """Draw test rows beside their reconstructions."""
    path = folder / "reconstructions.png"
    if dataset.image_shape is None:
        return plots.save(plots.table_reconstructions(x, model.reconstruct(params, x)), path)
    some = x[np.linspace(0, len(x) - 1, min(12, len(x))).astype(int)]
    if isinstance(model, Autoencoder) and model.corruption is not None:
        seen = model.corrupt(some, np.random.default_rng(0))
        rows = {"original x": some, "corrupted x": seen, "E[x|z]": model.reconstruct(params, seen)}
        title = "Originals, what the encoder sees, and reconstructions from that"
        return plots.save(plots.image_rows(rows, dataset.image_shape, plots.Shades.of(x), title), path)
    x_hat = model.reconstruct(params, some)
    return plots.save(plots.reconstructions(some, x_hat, dataset.image_shape, plots.Shades.of(x)), path)


def draw_samples(model: VAE, params: Array, n: int, seed: int, *, mean: bool = False) -> Array:
    """Draw n samples, or the means E[x|z] at the same draws of z."""
    return model.sample(params, n, np.random.default_rng([seed, 5]), mean=mean)


def sample_figure(model: VAE, params: Array, x: Array, dataset: Dataset, folder: Path, n: int, seed: int) -> str:
    """Draw samples of the model: for images the means E[x|z] of draws z of the prior."""
    path = folder / "samples.png"
    if dataset.image_shape is None:
        return plots.save(plots.table_samples(x, draw_samples(model, params, n, seed)), path)
    means = draw_samples(model, params, n, seed, mean=True)
    title = "Samples: E[x|z] for z ~ N(0, I)"
    return plots.save(plots.image_grid(means, dataset.image_shape, plots.Shades.of(x), title), path)


def latent_figures(model: Any, params: Array, x: Array, dataset: Dataset, folder: Path) -> list[str]:
    """Draw the codes of the test set and, for images, the decoded plane of the two latents that say most."""
    z = model.embed(params, x)
    dims = (0, 0) if z.shape[1] == 1 else active_pair(model, params, x)
    paths = [plots.save(plots.latent_scatter(z, dataset.y_test, dims), folder / "latent_codes.png")]
    if dataset.image_shape is not None and z.shape[1] > 1 and isinstance(model, VAE):
        shades = plots.Shades.of(x)
        figure = plots.latent_grid(lambda z: model.decode(params, z), z.shape[1], dataset.image_shape, shades, dims)
        paths.append(plots.save(figure, folder / "latent_plane.png"))
    return paths


def interpolation_figure(model: Any, params: Array, x: Array, dataset: Dataset, folder: Path) -> str | None:
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


def write_results(run: Run, dataset: Dataset, result: Result) -> dict[str, Any]:
    """Write model, history, summary and figures; return the summary."""
    x = test_data(dataset, run.settings.seed)
    save_model(run.folder / "model.npz", run.model, result.params, source=run.source)
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(result.history[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(result.history)
    write_atomically(run.folder / "history.csv", text.getvalue().encode())
    summary = {
        "data": dataset.name,
        "meaning": meaning(run.model, x, dataset),
        "test": test_rows(run.model, result.params, x, run.settings.seed),
        "stopped": result.stopped,
        "epochs": len(result.history),
        "best_epoch": result.best_epoch,
        "n_params": run.model.n_params,
        "n_train": len(dataset.x_train),
        "seconds": round(result.seconds, 3),
        "examples_per_second": round(result.examples_per_second, 1),
        "figures": figures(run, dataset, result.params, result.history),
        "model": to_spec(run.model),
        "settings": to_spec(run.settings),
        "versions": versions(),
    }
    write_atomically(run.folder / "summary.json", (json.dumps(summary, indent=2) + "\n").encode())
    return summary


def read_model(run: Run) -> Array:
    """Return the parameters in a run's model.npz, seen to belong to the run's model."""
    model, params, _ = load_model(run.folder / "model.npz")
    if model != run.model:
        raise FileError(f"model.npz must hold the model that run.json describes, got another in {run.folder}.")
    return params


def versions() -> dict[str, str]:
    """Return the versions of minivae, Python and what the numbers depend on."""
    packages = ("minivae", "numpy", "numba", "llvmlite", "scipy", "matplotlib")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}
