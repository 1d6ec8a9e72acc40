"""The sigmoid belief network of two stochastic layers, as a VAE of bits: z2 -> z1 -> x, and x -> z1 -> z2.

    p(x, z1, z2) = p(z2) p(z1|z2) p(x|z1),   q(z1, z2|x) = q(z1|x) q(z2|z1)

The prior learns p(z2) and p(z1|z2), the posterior q(z2|z1); the decoder sees z1 alone. With up to 16 bits in all
log p(x) is exact, ``model.log_prob``; with more it is importance-sampled, ``log_marginal``.
"""

from collections.abc import Sequence
from typing import cast

from minivae.core import checks
from minivae.distributions.belief import BeliefBits
from minivae.distributions.likelihoods import Bernoulli, named_likelihood
from minivae.distributions.protocols import Likelihood, Posterior
from minivae.models.vae import VAE
from minivae.nn.front import Front
from minivae.nn.layer import Layer
from minivae.nn.sequential import Sequential, mlp


def belief_network(
    n_x: int,
    n_latent: int,
    n_upper: int | None = None,
    n_hidden: Sequence[int] = (),
    activation: Layer | str = "tanh",
    likelihood: Likelihood | str | None = None,
) -> VAE:
    """Return a belief network of two layers of bits.

    Parameters
    ----------
    n_x, n_latent : int
        Width of the data, and bits of the lower layer z1.
    n_upper : int, optional
        Bits of the upper layer z2; as many as of the lower one unless given.
    n_hidden : sequence of int
        Widths of deterministic layers between x and z1, from the data inwards; none is the classic network.
    activation : Layer or str
        Between those.
    likelihood : Likelihood or str, optional
        Bernoulli() unless given.

    Examples
    --------
    >>> import numpy as np
    >>> model, rng = belief_network(n_x=4, n_latent=3, n_upper=2), np.random.default_rng(0)
    >>> params, x = model.init(rng), np.ones((1, 4))
    >>> bool(model.elbo(params, x, rng=rng, n_draws=50)[0] < model.log_prob(params, x)[0])
    True
    """
    n_latent = checks.width(n_latent, "n_latent")
    posterior = BeliefBits(n_latent, n_latent if n_upper is None else checks.width(n_upper, "n_upper"))
    n_x, hidden = checks.width(n_x, "n_x"), checks.widths(n_hidden, "n_hidden")
    likelihood = named_likelihood(likelihood, Bernoulli())
    encoder = mlp([n_x, *hidden, n_latent], activation)
    decoder = mlp([n_latent, *hidden[::-1], likelihood.n_out(n_x)], activation)
    seen = Sequential([Front(posterior.n_latent, n_latent), *decoder.layers])
    return VAE(encoder, cast(Posterior, posterior), seen, likelihood)
