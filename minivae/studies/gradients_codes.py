"""The gradient check of what lies between discrete codes: relaxed draws, costs there, and control variates."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from minivae.distributions.families import POSTERIORS
from minivae.distributions.likelihoods import LIKELIHOODS
from minivae.estimators.control import Control, ControlNetwork, controlled
from minivae.estimators.second_pass import SecondPass
from minivae.models.code_costs import CodeCost
from minivae.models.vae import VAE
from minivae.studies.gradient_rows import BATCH, DRAWS, N_LATENT, N_X, GradientRow, Part, compare
from minivae.studies.gradients_contract import jitter


def code_rows(rng: np.random.Generator) -> Iterator[GradientRow]:
    """Yield the rows of each posterior that can be relaxed, and of log p(x|z) between its codes for each likelihood.

    Examples
    --------
    >>> [row.name for row in code_rows(np.random.default_rng(0))][:3]
    ['relaxed draw, bits', 'relaxed draw, bits, bend', 'control variate, bits, its variance']
    """
    for name in POSTERIORS:
        model = VAE.mlp(N_X, N_LATENT, [5], "tanh", posterior=name)
        if hasattr(model.posterior, "behind"):
            yield _relaxed(f"relaxed draw, {name}", model.posterior, rng)
            yield _bend_of_draw(f"relaxed draw, {name}, bend", model.posterior, rng)
            yield _control(f"control variate, {name}, its variance", model, rng)
    for name in LIKELIHOODS:
        model = VAE.mlp(N_X, N_LATENT, [5], "softplus", likelihood=name, posterior="bits")
        yield from _cost(f"log p(x|z) between codes, {name}", model, rng)
    yield _network(rng)


def _relaxed(name: str, q: Any, rng: np.random.Generator) -> GradientRow:
    """Check dhead of relaxed(y(head, eps) / t)."""
    t, head = 0.7, rng.standard_normal((BATCH, N_LATENT))
    eps, d = q.draw_noise(rng, (DRAWS, BATCH, N_LATENT), np.float64), rng.standard_normal((DRAWS, BATCH, N_LATENT))
    dy = q.relaxed_backward(q.relaxed(q.behind(head, eps) / t), d) / t
    dhead = q.behind_backward(head, dy).sum(axis=0)
    return compare(name, lambda head: np.sum(d * q.relaxed(q.behind(head, eps) / t)), [Part("dhead", head, dhead)])


def _bend_of_draw(name: str, q: Any, rng: np.random.Generator) -> GradientRow:
    """Check that J d bends as it says: sum of e . J(zeta) d, whose derivative along a direction of zeta is e . bend."""
    y, d, e, direction = rng.standard_normal((4, DRAWS, BATCH, N_LATENT))
    zeta = q.relaxed(y)
    along = np.array([float(np.sum(e * q.relaxed_bend(zeta, direction, d)))])
    step = np.zeros(1)
    part = Part("the derivative along a direction", step, along)
    return compare(name, lambda step: np.sum(e * q.relaxed_backward(zeta + step * direction, d)), [part])


def _control(name: str, model: VAE, rng: np.random.Generator) -> GradientRow:
    """Check the gradient of the measured variance for eta, the temperature and the network."""
    params, x = jitter(model.init(rng), rng), np.round(rng.random((BATCH, N_X)))
    eps = model.draw_noise(rng, DRAWS, BATCH, params.dtype)
    head, z, draws = model.draw(params, x, eps)
    q: Any = model.posterior
    seen = SecondPass(q, head, eps, z, draws.log_lik, CodeCost(model, model.unpack(params)[-2:], x))
    net = ControlNetwork(N_LATENT, N_X, n_hidden=3)
    own = np.concatenate([[0.8, -0.2], jitter(net.network.init(rng), rng)])
    grads = np.full_like(own, np.nan)
    controlled(seen, Control(own, grads, net, x), 0.6)

    def value(own: Any) -> float:
        g = controlled(seen, Control(own, np.empty_like(own), net, x), 0.6)
        return float(np.mean(np.sum(g**2, axis=2)))

    return compare(name, value, [Part("the gradient", own, grads)])


def _cost(name: str, model: VAE, rng: np.random.Generator) -> Iterator[GradientRow]:
    """Check the slope in z, and the bend along a direction: the gradient of the slope in that direction."""
    params, x = jitter(model.init(rng), rng), np.round(rng.random((BATCH, N_X)))
    z, direction = rng.random((DRAWS, BATCH, N_LATENT)), rng.standard_normal((DRAWS, BATCH, N_LATENT))
    cost = CodeCost(model, model.unpack(params)[-2:], x)
    yield compare(name, lambda z: cost(z).value.sum(), [Part("dz", z, cost(z).slope())])
    bend = Part("the bend", z, cost(z).bend(direction))
    yield compare(f"{name}, bend", lambda z: np.sum(direction * cost(z).slope()), [bend])


def _network(rng: np.random.Generator) -> GradientRow:
    """Check the gradient of r and of its slope together."""
    net = ControlNetwork(N_LATENT, N_X, n_hidden=3)
    params = jitter(net.network.init(rng), rng)
    y, x = rng.standard_normal((BATCH, N_LATENT)), rng.standard_normal((BATCH, N_X))
    dr, dslope = rng.standard_normal(BATCH), rng.standard_normal((BATCH, N_LATENT))
    grads = np.full_like(params, np.nan)
    net.backward(params, net.forward(params, y, x)[2], dr, dslope, grads)

    def value(params: Any) -> float:
        r, slope, _ = net.forward(params, y, x)
        return float(dr @ r + np.sum(dslope * slope))

    return compare("control network and its slope", value, [Part("the gradient", params, grads, net.network.named)])
