"""A posterior and two priors with parameters of their own, as a user would write them."""

from dataclasses import dataclass

import numpy as np

from minivae.core.arrays import sigmoid
from minivae.core.registry import saved
from minivae.distributions.bits import Bits
from minivae.distributions.diagonal import DiagonalGaussian
from minivae.distributions.priors import FairBits, StandardNormal
from minivae.models.vae import VAE


class _Owner:
    """One vector of parameters, a number a latent."""

    @property
    def n_params(self):
        return self.n_latent

    def init(self, rng, dtype=np.float64):
        return 0.5 * rng.standard_normal(self.n_latent).astype(dtype)

    def named(self, params):
        yield "own", params


@saved
@dataclass(frozen=True)
class OffsetGaussian(_Owner, DiagonalGaussian):
    """q(z|x) = N(mu + a, diag exp(log_var + a)), with an offset a that is learned and the same for every x."""

    def _inner(self, params, head):
        return head + np.tile(params, 2)

    def mean(self, params, head):
        return super().mean(params, self._inner(params, head))

    def sample(self, params, head, eps):
        return super().sample(params, self._inner(params, head), eps)

    def log_prob(self, params, head, z):
        return super().log_prob(params, self._inner(params, head), z)

    def backward(self, params, cache, dz, dlog_q, grads):
        dhead = super().backward(params, cache, dz, dlog_q, grads)
        grads[:] = dhead.reshape(-1, self.n_latent).sum(axis=0)
        return dhead

    def score(self, params, cache, dlog_q, grads):
        dhead = super().score(params, cache, dlog_q, grads)
        grads[:] = dhead.reshape(-1, self.n_latent).sum(axis=0)
        return dhead


@saved
@dataclass(frozen=True)
class MovedNormal(_Owner, StandardNormal):
    """p(z) = N(m, I), m learned."""

    formula = "z ~ N(m, I)"

    def log_prob(self, params, z):
        return super().log_prob(params, z - params)

    def backward(self, params, z, dlog_prob, grads):
        dz = super().backward(params, z - params, dlog_prob, grads)
        grads[:] = -dz.sum(axis=(0, 1))
        return dz

    def sample(self, params, n, rng):
        return params + super().sample(params, n, rng)


@saved
@dataclass(frozen=True)
class UnfairBits(_Owner, FairBits):
    """p(z) = prod_j Bern(sigmoid(a_j)), a learned."""

    formula = "bits z, learned"

    def log_prob(self, params, z):
        return z @ params - np.logaddexp(params, params.dtype.type(0)).sum()

    def backward(self, params, z, dlog_prob, grads):
        grads[:] = np.sum(dlog_prob[:, :, None] * (z - sigmoid(params)), axis=(0, 1))
        return dlog_prob[:, :, None] * params

    def sample(self, params, n, rng):
        return (rng.random((n, self.n_latent), dtype=params.dtype) < sigmoid(params)).astype(params.dtype)


def owning_vae(n_x=3, n_latent=1, n_hidden=(4,), prior=MovedNormal):
    """Return a VAE whose posterior and prior have parameters, and no formula for their KL."""
    return VAE.mlp(n_x, n_latent, n_hidden, "tanh", posterior=OffsetGaussian(n_latent), prior=prior(n_latent))


def owning_bits(n_x=3, n_latent=2, n_hidden=(4,)):
    """Return a VAE with bits whose prior has parameters."""
    return VAE.mlp(n_x, n_latent, n_hidden, "tanh", posterior=Bits(n_latent), prior=UnfairBits(n_latent))
