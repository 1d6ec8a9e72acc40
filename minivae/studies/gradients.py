"""One gradient check for each hand-written gradient of the package: what ``minivae gradcheck`` prints."""

from collections.abc import Iterator

import numpy as np

from minivae.core import checks
from minivae.distributions.belief import BeliefBits
from minivae.distributions.families import POSTERIORS, PRIORS
from minivae.distributions.likelihoods import LIKELIHOODS
from minivae.distributions.protocols import Prior
from minivae.estimators.costs import Cosine, Exponential, Linear, Quadratic
from minivae.models.contraction import Contraction
from minivae.models.penalties import SPARSITIES
from minivae.models.vae import VAE
from minivae.nn.activations import ACTIVATIONS
from minivae.nn.dense import Dense
from minivae.nn.front import Front
from minivae.nn.layer import Layer
from minivae.nn.masked import MaskedDense
from minivae.nn.sequential import mlp
from minivae.studies.gradient_rows import N_LATENT, N_X, GradientRow
from minivae.studies.gradients_codes import code_rows
from minivae.studies.gradients_distributions import check_likelihood, check_prior
from minivae.studies.gradients_layers import check_cost, check_layer, check_penalty
from minivae.studies.gradients_models import (
    autoencoder_rows,
    baseline_row,
    belief_rows,
    bound_rows,
    elbo_rows,
    estimator_rows,
    joint_rows,
    linear_rows,
)
from minivae.studies.gradients_posteriors import check_posterior


def gradient_checks(seed: int = 0) -> Iterator[GradientRow]:
    """Yield the check of every gradient of the package, each on random float64 inputs.

    Activations, likelihoods, posteriors with their priors, estimators, corruptions and sparsities are those of the
    tables: one that is registered has rows of its own.

    Parameters
    ----------
    seed : int
        Another seed is another set of random inputs; every one passes.

    Examples
    --------
    >>> next(iter(gradient_checks())).name
    'layer Dense'
    """
    rng = np.random.default_rng(checks.seed(seed))
    masked = MaskedDense([0, 1, 2, 3], [1, 2, 3], strict=True)
    layers: list[Layer] = [Dense(5, 4), Front(5, 3), masked, *ACTIVATIONS.values(), mlp([5, 4, 3], "tanh")]
    for layer in layers:
        yield from check_layer(layer, rng=rng)
    priors: dict[type, tuple[Prior, str | None]] = {}  # each once, though two posteriors may share it
    for make in POSTERIORS.values():
        posterior = make(N_LATENT)
        yield from check_posterior(posterior, rng=rng)
        priors[type(posterior.prior())] = (posterior.prior(), None)
    yield from check_posterior(belief := BeliefBits(N_LATENT, N_LATENT + 1), rng=rng)
    yield from check_prior(belief.prior(), rng=rng)
    for kind in PRIORS:
        prior = VAE.mlp(N_X, N_LATENT, prior=kind).prior
        priors.setdefault(type(prior), (prior, f"prior {kind}"))
    for prior, name in priors.values():  # one of whole numbers without parameters has no gradient
        yield from (row for row in check_prior(prior, name, rng) if row.ok is not None)
    for name, likelihood in LIKELIHOODS.items():
        yield from check_likelihood(likelihood, f"likelihood {name}", rng)
    for penalty in (*(sparsity(weight=2.0) for sparsity in SPARSITIES.values()), Contraction(2.0)):
        yield from check_penalty(penalty, rng=rng)
    for cost in (Linear(), Quadratic(0.7), Exponential(0.7), Cosine(0.7)):
        yield from check_cost(cost, rng=rng)
    yield from elbo_rows(rng)
    yield from bound_rows(rng)
    yield from joint_rows(rng)
    yield from estimator_rows(rng)
    yield from belief_rows(rng)
    yield from code_rows(rng)
    yield from autoencoder_rows(rng)
    yield from linear_rows(rng)
    yield baseline_row(rng)
