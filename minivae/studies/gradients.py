"""One gradient check for each hand-written gradient of the package: what ``minivae gradcheck`` prints."""

from collections.abc import Callable, Iterator

import numpy as np

from minivae.core import checks
from minivae.core.seeds import Stream, stream
from minivae.distributions.belief import BeliefBits
from minivae.distributions.families import POSTERIORS, PRIORS
from minivae.distributions.likelihoods import LIKELIHOODS
from minivae.distributions.protocols import Prior
from minivae.estimators.costs import Cosine, Exponential, Linear, Quadratic
from minivae.models.contraction import Contraction
from minivae.models.penalties import SPARSITIES
from minivae.models.vae import VAE
from minivae.nn.activations import ACTIVATIONS
from minivae.nn.convolution import Conv2d, ConvTranspose2d
from minivae.nn.dense import Dense
from minivae.nn.dropout import Dropout
from minivae.nn.front import Front
from minivae.nn.layer import Layer
from minivae.nn.masked import MaskedDense
from minivae.nn.normalisation import LayerNorm
from minivae.nn.pooling import AveragePool, MaxPool, Upsample
from minivae.nn.residual import Residual
from minivae.nn.sequential import mlp
from minivae.nn.steps import Repeat, Steps
from minivae.studies.gradient_rows import N_LATENT, N_X, GradientRow
from minivae.studies.gradients_codes import code_rows
from minivae.studies.gradients_distributions import check_likelihood, check_prior
from minivae.studies.gradients_inference import inference_rows
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
from minivae.studies.gradients_sequences import layer_rows, sequence_rows


def _layers(rng: np.random.Generator) -> Iterator[GradientRow]:
    masked = MaskedDense([0, 1, 2, 3], [1, 2, 3], strict=True)
    layers: list[Layer] = [Dense(5, 4), Front(5, 3), masked, *ACTIVATIONS.values(), mlp([5, 4, 3], "tanh")]
    layers += [Conv2d((2, 5, 4), 3, (3, 2), 2, 1), ConvTranspose2d((3, 3, 3), 2, (3, 2), 2, 1)]
    layers += [AveragePool((2, 4, 2), 2), MaxPool((2, 4, 2), 2), Upsample((2, 1, 2), 3), LayerNorm(5)]
    layers += [Dropout(5, 0.4)]
    layers += [Residual(mlp([4, 3, 4], "tanh")), Steps(mlp([2, 3, 2], "tanh"), 3), Repeat(3, 4)]
    for layer in layers:
        yield from check_layer(layer, rng=rng)
    yield from layer_rows(rng)


def _posteriors(rng: np.random.Generator) -> Iterator[GradientRow]:
    for make in POSTERIORS.values():
        yield from check_posterior(make(N_LATENT), rng=rng)
    yield from check_posterior(BeliefBits(N_LATENT, N_LATENT + 1), rng=rng)


def _priors(rng: np.random.Generator) -> Iterator[GradientRow]:
    """Yield the rows of each prior, once though two posteriors may share it."""
    own = [make(N_LATENT).prior() for make in POSTERIORS.values()] + [BeliefBits(N_LATENT, N_LATENT + 1).prior()]
    priors: dict[type, tuple[Prior, str | None]] = {type(prior): (prior, None) for prior in own}
    for kind in PRIORS:
        prior = VAE.mlp(N_X, N_LATENT, prior=kind).prior
        priors.setdefault(type(prior), (prior, f"prior {kind}"))
    for prior, name in priors.values():  # one of whole numbers without parameters has no gradient
        yield from (row for row in check_prior(prior, name, rng) if row.ok is not None)


def _likelihoods(rng: np.random.Generator) -> Iterator[GradientRow]:
    for name, likelihood in LIKELIHOODS.items():
        yield from check_likelihood(likelihood, f"likelihood {name}", rng)


def _penalties(rng: np.random.Generator) -> Iterator[GradientRow]:
    for penalty in (*(sparsity(weight=2.0) for sparsity in SPARSITIES.values()), Contraction(2.0)):
        yield from check_penalty(penalty, rng=rng)


def _costs(rng: np.random.Generator) -> Iterator[GradientRow]:
    for cost in (Linear(), Quadratic(0.7), Exponential(0.7), Cosine(0.7)):
        yield from check_cost(cost, rng=rng)


def _families(rng: np.random.Generator) -> Iterator[GradientRow]:
    from minivae.studies.gradients_families import family_rows  # scipy.special, which only these need

    yield from family_rows(rng)


GROUPS: dict[str, Callable[[np.random.Generator], Iterator[GradientRow]]] = {
    "layer": _layers,
    "posterior": _posteriors,
    "prior": _priors,
    "likelihood": _likelihoods,
    "penalty": _penalties,
    "cost": _costs,
    "ELBO": elbo_rows,
    "K-sample": bound_rows,
    "annealed": joint_rows,
    "estimator": estimator_rows,
    "belief": belief_rows,
    "code": code_rows,
    "autoencoder": autoencoder_rows,
    "linear": linear_rows,
    "learned": lambda rng: iter([baseline_row(rng)]),
    "family": _families,
    "inference": inference_rows,
    "sequence": sequence_rows,
}


def gradient_checks(seed: int = 0, *groups: str) -> Iterator[GradientRow]:
    """Yield the check of every gradient of the package, each on random float64 inputs.

    Activations, likelihoods, posteriors with their priors, estimators, corruptions and sparsities are those of the
    tables: one that is registered has rows of its own.

    Parameters
    ----------
    seed : int
        Another seed is another set of random inputs; every one passes.
    *groups : str
        Only these, of: layer, posterior, prior, likelihood, penalty, cost, ELBO, K-sample, annealed, estimator,
        belief, code, autoencoder, linear, learned, family, inference, sequence. Each has random numbers of its
        own, so that it may go alone.

    Examples
    --------
    >>> next(iter(gradient_checks())).name
    'layer Dense'
    """
    chosen = [checks.choice(name, GROUPS, "groups") for name in groups] or list(GROUPS)
    for i, (name, rows) in enumerate(GROUPS.items()):
        if name in chosen:
            yield from rows(stream(seed, Stream.GRADIENTS, i))
