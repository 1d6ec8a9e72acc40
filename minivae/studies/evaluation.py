"""What `evaluate` prints: a model's quantities on data, with standard errors."""

from typing import Any

import numpy as np

from minivae.core.arrays import Array
from minivae.core.errors import NonFiniteError
from minivae.datasets.dataset import Dataset
from minivae.models import bounds
from minivae.models.autoencoder import Autoencoder
from minivae.models.vae import VAE

_TEST_DRAWS = 16


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
