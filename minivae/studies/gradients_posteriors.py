"""The gradient check of anything that is a posterior by its methods, and of the closed KL of a pair."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from minivae.core.arrays import Array
from minivae.distributions.kl import ClosedKl, closed_kl
from minivae.distributions.protocols import Posterior, Prior
from minivae.studies.gradient_rows import BATCH, DRAWS, GradientRow, Part, compare
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


def check_posterior(
    posterior: Posterior, name: str | None = None, rng: np.random.Generator | None = None
) -> list[GradientRow]:
    """Check the gradients of a posterior: through its draw, of log q(z|x) at fixed z, of its states, and of its KL.

    The draw is checked where a path leads through it or its states can be
    enumerated, the KL where its formula for the posterior's own prior is known.

    Parameters
    ----------
    posterior : Posterior
    name : str, optional
        Title of the rows.
    rng : numpy.random.Generator, optional
        For the inputs; seeded with 0 unless given.

    Examples
    --------
    >>> from minivae.distributions import Bits
    >>> [row.name for row in check_posterior(Bits(2))][2:]
    ['posterior Bits, all states', 'KL of Bits from FairBits', 'KL of Bits from FairBits, each latent']
    """
    name = f"posterior {type(posterior).__name__}" if name is None else name
    rng = np.random.default_rng(0) if rng is None else rng
    return list(_posterior(posterior, name, rng))


def _posterior(posterior: Any, name: str, rng: np.random.Generator) -> Iterator[GradientRow]:
    try:
        remedy = "See minivae.distributions.protocols.Posterior."
        has_path = trait(posterior, "has_path", f"Say whether a gradient can go through the draw. {remedy}")
        n_states = trait(posterior, "n_states", f"Give None where z is real. {remedy}")
        trait(posterior, "n_latent", f"Give the dimension of z. {remedy}")
        prior = call(posterior, "prior")
    except ContractError as error:
        yield GradientRow(name, ok=False, message=str(error))
        return
    if has_path or n_states is not None:
        title = f"{name}, draw"
        yield attempt(title, lambda: _draw(posterior, title, rng))
    fixed = f"{name}, log q at fixed z"
    yield attempt(fixed, lambda: _score(posterior, fixed, rng))
    if n_states is not None:
        states = f"{name}, all states"
        yield attempt(states, lambda: _states(posterior, states, rng))
    yield from check_kl(posterior, prior, rng)


def _sampled(posterior: Any, rng: np.random.Generator) -> tuple[Array, Array, Array, tuple[Array, Array, Any]]:
    """Return parameters, a head, noise, and what ``sample`` makes of them."""
    what, shape = type(posterior).__name__, (DRAWS, BATCH, posterior.n_latent)
    params, head = own_params(posterior, rng), rng.standard_normal((BATCH, posterior.n_head))
    eps = array_of(call(posterior, "draw_noise", rng, shape, np.float64), shape, f"{what}.draw_noise")
    z, log_q, cache = tuple_of(call(posterior, "sample", params, head, eps), 3, f"{what}.sample")
    finite(array_of(z, shape, f"the z of {what}.sample"), f"{what}.sample")
    finite(array_of(log_q, shape[:2], f"the log q of {what}.sample"), f"the log q of {what}.sample")
    return params, head, eps, (z, log_q, cache)


def _parts(posterior: Any, params: Array, grads: Array, head: Array, dhead: Any, method: str) -> list[Part]:
    array_of(dhead, head.shape, f"the dhead of {type(posterior).__name__}.{method}")
    return [Part("the parameters' gradient", params, grads, posterior.named), Part("dhead", head, dhead)]


def _draw(posterior: Any, name: str, rng: np.random.Generator) -> GradientRow:
    params, head, eps, (z, log_q, cache) = _sampled(posterior, rng)
    dz, dlog_q = rng.standard_normal(z.shape), rng.standard_normal(log_q.shape)
    dhead, grads = written(posterior, "backward", (params, cache, dz, dlog_q), params)

    def value(params: Array, head: Array) -> Any:
        z, log_q, _ = call(posterior, "sample", params, head, eps)
        return np.sum(dz * z) + np.sum(dlog_q * log_q)

    return compare(name, value, _parts(posterior, params, grads, head, dhead, "backward"))


def _score(posterior: Any, name: str, rng: np.random.Generator) -> GradientRow:
    params, head, _, (z, log_q, cache) = _sampled(posterior, rng)
    dlog_q, what = rng.standard_normal(log_q.shape), type(posterior).__name__
    at_z = array_of(call(posterior, "log_prob", params, head, z), log_q.shape, f"{what}.log_prob")
    if not np.allclose(at_z, log_q, rtol=1e-9, atol=1e-9):
        raise ContractError(
            f"{what}.sample and {what}.log_prob must agree on log q(z|x) of the same z, got {log_q[0, 0]:.6g} and "
            f"{at_z[0, 0]:.6g}"
        )
    dhead, grads = written(posterior, "score", (params, cache, dlog_q), params)
    parts = _parts(posterior, params, grads, head, dhead, "score")
    return compare(name, lambda params, head: np.sum(dlog_q * call(posterior, "log_prob", params, head, z)), parts)


def _states(posterior: Any, name: str, rng: np.random.Generator) -> GradientRow:
    params, head, _, _ = _sampled(posterior, rng)
    n, what = posterior.n_states, type(posterior).__name__
    z, log_q, cache = tuple_of(call(posterior, "states", params, head), 3, f"{what}.states")
    array_of(z, (n, 1, posterior.n_latent), f"the z of {what}.states")
    array_of(log_q, (n, BATCH), f"the log q of {what}.states")
    if not np.allclose(np.exp(log_q).sum(axis=0), 1, atol=1e-9):
        raise ContractError(
            f"the probabilities of {what}.states sum to {np.exp(log_q).sum(axis=0)[0]:.6g}, and not to 1"
        )
    dlog_q = rng.standard_normal(log_q.shape)
    dhead, grads = written(posterior, "score", (params, cache, dlog_q), params)
    parts = _parts(posterior, params, grads, head, dhead, "score")
    return compare(name, lambda params, head: np.sum(dlog_q * call(posterior, "states", params, head)[1]), parts)


def check_kl(posterior: Posterior, prior: Prior, rng: np.random.Generator | None = None) -> list[GradientRow]:
    """Check the gradient of the closed KL of a posterior from a prior; no rows where there is no formula."""
    kl, rng = closed_kl(posterior, prior), np.random.default_rng(0) if rng is None else rng
    name = f"KL of {type(posterior).__name__} from {type(prior).__name__}"
    if kl is None:
        return []
    each = f"{name}, each latent"
    return [
        attempt(name, lambda: _kl(kl, posterior, prior, name, rng)),
        attempt(each, lambda: _kl_each(kl, posterior, prior, each, rng)),
    ]


def _kl(kl: ClosedKl, posterior: Posterior, prior: Prior, name: str, rng: np.random.Generator) -> GradientRow:
    params, head = own_params(prior, rng), rng.standard_normal((BATCH, posterior.n_head))
    each = array_of(call(kl, "per_latent", params, head), (BATCH, posterior.n_latent), "per_latent of the KL")
    kls = finite(array_of(call(kl, "value", params, head), (BATCH,), "the value of the KL"), "the KL")
    if not np.allclose(each.sum(axis=1), kls, rtol=1e-9, atol=1e-9):
        raise ContractError(f"per_latent of the KL sums to {each[0].sum():.6g}, and value is {kls[0]:.6g}")
    dkl = rng.standard_normal(BATCH)
    dhead, dprior = written(kl, "backward", (params, head, dkl), params)
    array_of(dhead, head.shape, "the dhead of the KL's backward")
    parts = [Part("the prior's gradient", params, dprior, prior.named), Part("dhead", head, dhead)]
    return compare(name, lambda params, head: dkl @ call(kl, "value", params, head), parts)


def _kl_each(kl: Any, posterior: Posterior, prior: Prior, name: str, rng: np.random.Generator) -> GradientRow:
    params, head = own_params(prior, rng), rng.standard_normal((BATCH, posterior.n_head))
    dkl = rng.standard_normal((BATCH, posterior.n_latent))
    dhead, dprior = written(kl, "backward_per_latent", (params, head, dkl), params)
    array_of(dhead, head.shape, "the dhead of the KL's backward_per_latent")
    parts = [Part("the prior's gradient", params, dprior, prior.named), Part("dhead", head, dhead)]
    return compare(name, lambda params, head: np.sum(dkl * call(kl, "per_latent", params, head)), parts)
