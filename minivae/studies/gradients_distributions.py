"""The gradient check of anything that is a likelihood or a prior by its methods, ours or yours."""

import math
import warnings
from functools import partial
from typing import Any

import numpy as np

from minivae.core.arrays import Array
from minivae.distributions.mixtures import AsksTheEncoder
from minivae.distributions.protocols import Likelihood, Prior
from minivae.studies.gradient_rows import BATCH, DRAWS, N_X, GradientRow, Part, compare
from minivae.studies.gradients_contract import (
    ContractError,
    array_of,
    attempt,
    call,
    finite,
    own_params,
    trait,
    tuple_of,
    written,
)


def check_likelihood(
    likelihood: Likelihood, name: str | None = None, rng: np.random.Generator | None = None
) -> list[GradientRow]:
    """Check the gradients of log p(x|z) for the decoder's output and for the likelihood's own parameters.

    The data are of a kind that the likelihood's ``check`` accepts: real numbers, counts, positive numbers, rows with a
    single 1, or else pixels, binary and grey.

    Parameters
    ----------
    likelihood : Likelihood
    name : str, optional
        Title of the rows.
    rng : numpy.random.Generator, optional
        For the inputs; seeded with 0 unless given.

    Examples
    --------
    >>> from minivae.distributions import Bernoulli
    >>> [(row.name, row.ok) for row in check_likelihood(Bernoulli())]
    [('likelihood Bernoulli', True), ('likelihood Bernoulli, grey x', True)]
    """
    name = f"likelihood {type(likelihood).__name__}" if name is None else name
    rng = np.random.default_rng(0) if rng is None else rng
    try:
        data = _data(likelihood, rng)
    except ContractError as error:
        return [GradientRow(name, ok=False, message=str(error))]
    titled = [(name + (f", {kind}" if i else ""), x) for i, (kind, x) in enumerate(data)]
    return [attempt(title, partial(_likelihood, likelihood, title, x, rng)) for title, x in titled]


def _data(likelihood: Any, rng: np.random.Generator) -> list[tuple[str, Array]]:
    """Return the first kind of data that the likelihood accepts; of pixels both kinds."""
    shape = (BATCH, N_X)
    kinds = {
        "real x": rng.standard_normal(shape),
        "counts": rng.poisson(2.0, shape).astype(float),
        "positive x": rng.gamma(2.0, 1.0, shape),
        "one-hot x": np.eye(N_X)[rng.integers(N_X, size=BATCH)],
        "binary x": np.round(rng.random(shape)),
        "grey x": rng.random(shape),
    }
    accepted: dict[str, Array] = {}
    refusal = ""
    for kind, x in kinds.items():
        try:
            with warnings.catch_warnings(action="ignore"):
                likelihood.check(x)
            accepted[kind] = x
        except ValueError as error:
            refusal = f"{kind}: {error}"
        except Exception:
            call(likelihood, "check", x)
    whole = next((kind for kind in ("real x", "counts", "positive x") if kind in accepted), None)
    if whole is not None:
        return [(whole, accepted[whole])]
    if not accepted:
        raise ContractError(f"{type(likelihood).__name__}.check refuses every kind of data that was tried; {refusal}")
    pixels: list[tuple[str, Array]] = [(kind, accepted[kind]) for kind in ("binary x", "grey x") if kind in accepted]
    return pixels or [*accepted.items()]


def _likelihood(likelihood: Any, name: str, x: Array, rng: np.random.Generator) -> GradientRow:
    what = type(likelihood).__name__
    params = own_params(likelihood, rng)
    out = rng.standard_normal((2 * BATCH, call(likelihood, "n_out", N_X)))  # two draws of each example
    result = call(likelihood, "forward", params, out, x)
    log_prob, cache = tuple_of(result, 2, f"{what}.forward must return log_prob and the cache: it")
    array_of(log_prob, (len(out),), f"the log_prob of {what}.forward")
    finite(log_prob, f"{what}.check accepts data of which {what}.forward")
    dlog_prob = rng.standard_normal(len(out))
    dout, grads = written(likelihood, "backward", (params, cache, dlog_prob), params)
    array_of(dout, out.shape, f"the dout of {what}.backward")
    parts = [Part("the parameters' gradient", params, grads, likelihood.named), Part("dout", out, dout)]
    row = compare(name, lambda params, out: dlog_prob @ call(likelihood, "forward", params, out, x)[0], parts)
    alone = array_of(call(likelihood, "log_prob", params, out, x), log_prob.shape, f"{what}.log_prob")
    if row.ok and not np.allclose(alone, log_prob, rtol=1e-10, atol=1e-12):
        raise ContractError(f"{what}.log_prob gives other numbers than {what}.forward. Let it return forward(...)[0].")
    return row


def check_prior(prior: Prior, name: str | None = None, rng: np.random.Generator | None = None) -> list[GradientRow]:
    """Check the gradients of log p(z) for z, where it is real, and for the prior's own parameters.

    The z are draws from the prior itself. Where they are whole numbers there is no derivative for them. Arguments as in
    ``check_likelihood``.

    Examples
    --------
    >>> from minivae.distributions import StandardNormal
    >>> check_prior(StandardNormal(2))[0].ok
    True
    """
    name = f"prior {type(prior).__name__}" if name is None else name
    rng = np.random.default_rng(0) if rng is None else rng
    if not isinstance(prior, AsksTheEncoder):
        return [attempt(name, lambda: _prior(prior, name, rng))]
    inputs = f"{name}, pseudo-inputs"
    return [
        attempt(name, lambda: _prior(prior, name, rng)),
        attempt(inputs, lambda: _pseudo_inputs(prior, inputs, rng)),
    ]


def _prior(prior: Any, name: str, rng: np.random.Generator) -> GradientRow:
    what = type(prior).__name__
    n_latent = trait(prior, "n_latent", "Give the dimension of z.")
    asks = isinstance(prior, AsksTheEncoder)  # then its density takes heads
    params, named = own_params(prior, rng), None if asks else prior.named
    params = rng.standard_normal(math.prod(prior.heads_shape)) if asks else params
    z = call(prior, "sample", params, DRAWS * BATCH, rng)
    z = array_of(z, (DRAWS * BATCH, n_latent), f"{what}.sample(params, n, rng)").reshape(DRAWS, BATCH, n_latent)
    log_prob = array_of(call(prior, "log_prob", params, z), (DRAWS, BATCH), f"{what}.log_prob of z of shape {z.shape}")
    finite(log_prob, f"{what}.log_prob at draws of its own")
    dlog_prob = rng.standard_normal(log_prob.shape)
    dz, grads = written(prior, "backward", (params, z, dlog_prob), params)
    array_of(dz, z.shape, f"the dz of {what}.backward")
    parts, inputs = [Part("the parameters' gradient", params, grads, named)], [z]
    if np.any(z != np.round(z)):
        parts, inputs = [*parts, Part("dz", z, dz)], []
    elif not params.size:
        return GradientRow(name, message="z is a whole number and there are no parameters: there is no gradient")
    return compare(name, lambda params, *z: np.sum(dlog_prob * call(prior, "log_prob", params, *z, *inputs)), parts)


def _pseudo_inputs(prior: Any, name: str, rng: np.random.Generator) -> GradientRow:
    params = own_params(prior, rng)
    inputs = call(prior, "inputs", params)
    dinputs = rng.standard_normal(inputs.shape)
    _, grads = written(prior, "inputs_backward", (params, inputs, dinputs), params)
    parts = [Part("the parameters' gradient", params, grads, prior.named)]
    return compare(name, lambda params: np.sum(dinputs * call(prior, "inputs", params)), parts)
