"""Exact mean and variance of the estimators for discrete codes: sums over states, or over nodes of the uniform noise.

What is a function of the code alone is summed over all states. What also depends on the noise behind it (REBAR, RELAX,
the Gumbel-softmax) is integrated over that, of few latents: the noise is cut where the code changes, and tanh-sinh
nodes are taken between, which do not mind what happens at the ends.
"""

import itertools
from typing import Any

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array, sigmoid
from minivae.distributions.bits import Bits
from minivae.distributions.categorical import Categorical
from minivae.estimators.baselines import Centred
from minivae.estimators.codes import CostOfRows, _at, baseline_of, code_gradients
from minivae.estimators.costs import known
from minivae.estimators.exact.bits import BernoulliExpectation, of_states
from minivae.estimators.moments import Moments
from minivae.estimators.objectives import Elbo, check_path
from minivae.estimators.second_pass import SecondPass, arm, disarm, muprop, straight_through
from minivae.estimators.weights import ESTIMATORS

_NODES = {1: 200, 2: 64, 3: 32}  # in each piece of an axis, by the number of bits
_NODES_OF_A_GROUP = {1: 400, 2: 128, 3: 48}  # in an axis, by the number of categories


def unit_nodes(n: int) -> tuple[Array, Array]:
    """Return n tanh-sinh nodes in (0, 1) and their weights, which sum to one.

        u = 1 / (1 + exp(-pi sinh t)),   t in even steps from -3.2 to 3.2

    >>> u, w = unit_nodes(60)
    >>> round(float(w @ u**-0.5), 6)  # the integral of u^(-1/2)
    2.0
    """
    t = np.linspace(-3.2, 3.2, checks.width(n, "n") + 1)
    u = sigmoid(np.pi * np.sinh(t))
    w = np.cosh(t) * u * sigmoid(-np.pi * np.sinh(t))
    return u, w / w.sum()


def _product(axes: list[tuple[Array, Array]]) -> tuple[Array, Array]:
    """Return all combinations of nodes, shape (K, n_axes), and the products of their weights."""
    points = np.stack(np.meshgrid(*(u for u, _ in axes), indexing="ij"), axis=-1).reshape(-1, len(axes))
    weights = axes[0][1]
    for _, w in axes[1:]:
        weights = np.multiply.outer(weights, w)
    return points, weights.ravel()


def noise_nodes(posterior: Any, head: Any, *, antithetic: bool = False) -> tuple[Array, Array] | None:
    """Return nodes of the uniform noise, shape (K, L), and their weights; None where there are too many latents.

    Of bits up to three; of categories one group of up to three. Each bit's noise is cut where z jumps, and with
    ``antithetic`` where the bit of 1 - u does. Of a group whose largest entry is c, e = -log u_c / theta_c and
    -log u_i - theta_i e are independent exponentials, whose distribution functions are the axes.

    Examples
    --------
    >>> eps, w = noise_nodes(Bits(1), [0.5])
    >>> eps.shape, round(float(w.sum()), 12), round(float(w @ eps[:, 0]), 12)
    ((402, 1), 1.0, 0.5)
    """
    head = checks.real(head, "head", (posterior.n_latent,))
    if isinstance(posterior, Bits) and posterior.n_latent in _NODES:
        u, w = unit_nodes(_NODES[posterior.n_latent])
        axes = []
        for theta in sigmoid(head):
            cuts = [0.0, *sorted((theta, 1 - theta) if antithetic else (1 - theta,)), 1.0]
            pieces = [(a + (b - a) * u, (b - a) * w) for a, b in itertools.pairwise(cuts) if b > a]
            axes.append((np.concatenate([p for p, _ in pieces]), np.concatenate([p for _, p in pieces])))
        return _product(axes)
    if isinstance(posterior, Categorical) and posterior.n_groups == 1 and posterior.n_latent in _NODES_OF_A_GROUP:
        n, theta = posterior.n_latent, posterior.relaxed(head)
        v, w = _product([unit_nodes(_NODES_OF_A_GROUP[n])] * n)
        parts = []
        for c in range(n):
            eps = v * v[:, c : c + 1] ** theta
            eps[:, c] = v[:, c] ** theta[c]
            parts.append(eps)
        return np.concatenate(parts), np.concatenate([w * t for t in theta])
    return None


def code_moments(
    estimator: str,
    cost: Any,
    posterior: Any,
    head: Any,
    *,
    baseline: Any = 0.0,
    temperature: float | None = None,
    n_draws: int = 1,
) -> Moments | None:
    """Return the exact mean and variance of one draw of ``code_gradients``, shape (L,) each; None where not known.

    Parameters
    ----------
    estimator, cost, posterior, head, baseline, temperature
        As there. "exact" has the exact gradient, and no variance.
    n_draws : int
        Of a group, for leave-one-out.

    Examples
    --------
    >>> from minivae.estimators.codes import squared_distance
    >>> phi = np.log([0.3 / 0.7])
    >>> moments = code_moments("gumbel-softmax", squared_distance(0.45), Bits(1), phi, temperature=1.0)
    >>> moments.mean.round(10), moments.variance.round(10)  # of the wrong sign: the gradient is 0.021
    (array([-0.01042656]), array([0.00420396]))
    """
    row = ESTIMATORS.choose(estimator)
    checks.has(posterior, ("behind", "relaxed"), "posterior", "a discrete posterior", "Bits(3)")
    head = checks.real(head, "head", (posterior.n_latent,))
    check_path(estimator, posterior)
    Elbo(estimator, temperature=temperature)  # or refused
    if row.own in (None, straight_through, muprop, arm, disarm):
        if posterior.n_states is None:
            raise ValueError(
                f"posterior must have at most 65,536 states to be enumerated, got {posterior.n_latent} latents. Draw: "
                f"code_gradients."
            )
        z, log_q, _ = posterior.states(np.empty(0), head[None])
        q, f = np.exp(log_q[:, 0]), CostOfRows(known(cost), z).value
        seen = SecondPass(posterior, head[None], np.zeros_like(z), z, f, _at(cost))
        score = seen.score[:, 0]
        if row.own in (arm, disarm):
            bits = BernoulliExpectation(head, f[:, 0])
            return bits.arm() if row.own is arm else bits.disarm()
        if row.own is not None:
            return _summed(q, row.own(seen, baseline, 1.0)[:, 0])
        if row.enumerates:
            return Moments((q * f[:, 0]) @ score, np.zeros(posterior.n_latent))
        if row.least_draws > 1:
            return of_states(q, score, f[:, 0], n_draws)
        known_of = baseline_of(baseline, posterior.n_latent)
        c, spread = (known_of.c, known_of.spread) if isinstance(known_of, Centred) else (known_of, 1.0)
        return _summed(q, (f - c) * score / max(1.0, spread))
    nodes = noise_nodes(posterior, head)
    if nodes is None:
        return None
    eps, w = nodes
    return _summed(w, code_gradients(estimator, cost, posterior, head, eps, baseline=baseline, temperature=temperature))


def _summed(w: Array, rows: Array) -> Moments:
    mean = w @ rows
    return Moments(mean, w @ (rows - mean) ** 2)


def gumbel_softmax_slope(cost: Any, head: Any) -> float:
    """Return d bias / d temperature of a single bit's Gumbel-softmax at temperature 0.

        theta (1 - theta) (2 theta - 1) int y d[f(sigmoid(y))],   d[f(sigmoid(y))] = f'(zeta) zeta (1 - zeta) dy

    Examples
    --------
    >>> from minivae.estimators.codes import squared_distance
    >>> round(gumbel_softmax_slope(squared_distance(0.45), np.log([0.3 / 0.7])), 10)
    -0.084
    """
    head = checks.real(head, "head", (1,))
    zeta, w = unit_nodes(400)  # zeta = sigmoid(y), so that the integral is of logit(zeta) f'(zeta) over (0, 1)
    inside = (zeta > 0) & (zeta < 1)
    zeta, w = zeta[inside], w[inside]
    slope = CostOfRows(known(cost, "gradient"), zeta[:, None, None]).slope().ravel()
    theta = float(sigmoid(head)[0])
    return theta * (1 - theta) * (2 * theta - 1) * float(w @ (np.log(zeta / (1 - zeta)) * slope))
