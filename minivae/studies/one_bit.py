"""The smallest VAE that may ignore its latent: n pixels that are all 0 or all 1, one bit of information in all.

With the best decoder the loss is n log 2 - (n - 1) I(x; z) + KL(q(z) || p(z)): for a single pixel it is least where the
latent says nothing, and from two on where it tells the bit, though log 2 itself is out of reach of Gaussians.
"""

from typing import Any

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array
from minivae.distributions.nodes import gauss_hermite, normal_nodes
from minivae.distributions.protocols import Prior
from minivae.estimators.objectives import Elbo
from minivae.models.vae import VAE
from minivae.studies.quadrature_training import minimise


def one_bit_data(n_x: int) -> Array:
    """Return the two rows, n zeros and n ones.

    >>> one_bit_data(3)
    array([[0., 0., 0.],
           [1., 1., 1.]])
    """
    n_x = checks.width(n_x, "n_x")
    return np.stack([np.zeros(n_x), np.ones(n_x)])


def one_bit_loss(n_x: int, rho: Any, beta: float = 1.0) -> Array:
    """Return the least loss with q(z|x) = N(+-mu, sigma^2) for each ratio rho = mu / sigma, in nats, shape of rho.

        loss = n E log(1 + exp(-2 rho Y)) + beta / 2 log(1 + rho^2),   Y ~ N(rho, 1)

    at the best scale, sigma^2 = 1 / (1 + rho^2), and the best decoder, whose logits are 2 mu z / sigma^2. rho = 0 is a
    latent that says nothing.

    References
    ----------
    R. Shu, "Autoencoding a single bit", 2017.

    Examples
    --------
    >>> np.round(one_bit_loss(2, np.array([0.0, 1.7275924988])), 10)
    array([1.38629436, 0.90755757])
    """
    rho, n_x = checks.real(rho, "rho"), checks.width(n_x, "n_x")
    if not rho.size:
        raise ValueError(f"rho must hold a number at least, got {checks.shown(rho)}. Use np.linspace(0, 5), say.")
    beta = checks.number(beta, "beta", low=0, closed=True)
    eps, w = normal_nodes(1, step=0.05, far=9.0)
    ratio = rho[..., None]
    missed = np.logaddexp(0, -2 * ratio * (ratio + eps[:, 0, 0])) @ w
    return n_x * missed + 0.5 * beta * np.log1p(rho**2)


def one_bit_optimum(n_x: int, beta: float = 1.0) -> tuple[float, float]:
    """Return the least loss, and rho there: 0 where the latent had better say nothing, which is where n <= beta.

    >>> loss, rho = one_bit_optimum(2)
    >>> round(loss, 8), round(rho, 4)
    (0.90755757, 1.7276)
    >>> round(one_bit_optimum(1)[0], 10), one_bit_optimum(1)[1]  # log 2
    (0.6931471806, 0.0)
    """
    n_x, beta = checks.width(n_x, "n_x"), checks.number(beta, "beta", low=0)
    if n_x <= beta:
        return float(n_x * np.log(2)), 0.0
    low, high = 0.0, 20.0
    for _ in range(12):  # the loss falls, then rises: look ever closer
        rho = np.linspace(low, high, 41)
        i = int(np.argmin(one_bit_loss(n_x, rho, beta)))
        low, high = rho[max(i - 1, 0)], rho[min(i + 1, 40)]
    best = (low + high) / 2
    return float(one_bit_loss(n_x, best, beta)), float(best)


def train_one_bit(
    n_x: int,
    objective: Elbo | None = None,
    prior: Prior | str | None = None,
    n_components: int | None = None,
    seed: int = 0,
    n_nodes: int = 40,
) -> tuple[VAE, Array, float]:
    """Train a VAE of linear encoder and decoder on the two rows, without noise; return it, its parameters, its loss.

    Parameters
    ----------
    n_x : int
        n, the number of pixels.
    objective : Elbo, optional
        beta and free bits, say.
    prior : Prior or str, optional
        N(0, 1) unless given.
    n_components : int, optional
        Of a mixture that is given by name.
    seed : int
        Of the initial parameters.
    n_nodes : int
        Gauss-Hermite nodes in place of draws.

    Examples
    --------
    >>> _, _, loss = train_one_bit(2)
    >>> abs(loss - one_bit_optimum(2)[0]) < 1e-6
    True
    """
    x = one_bit_data(n_x)
    model = VAE.mlp(x.shape[1], 1, [], prior=prior, n_components=n_components)
    params = model.init(np.random.default_rng(checks.seed(seed)))
    params, loss = minimise(model, params, x, gauss_hermite(n_nodes, 1), objective)
    return model, params, loss
