"""A posterior, a prior and a KL with parameters of their own, as a person might write them in a file."""
# ruff: noqa: ARG002  a protocol has arguments that not every class needs

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from minivae.core import kernels
from minivae.distributions.diagonal import DiagonalGaussian
from minivae.distributions.kl import closes


def log_normal(z, mu, log_var):
    return -0.5 * np.sum((z - mu) ** 2 * np.exp(-log_var) + log_var + kernels.LOG_2PI, axis=-1)


@dataclass(frozen=True)
class LearnedNormal:
    """p(z) = N(m, diag exp(v)), both learned."""

    n_latent: int
    formula: ClassVar[str] = "z ~ N(m, exp v)"

    @property
    def n_params(self):
        return 2 * self.n_latent

    def init(self, rng, dtype=np.float64):
        return np.zeros(self.n_params, dtype)

    def named(self, params):
        yield "mean", params[: self.n_latent]
        yield "log_var", params[self.n_latent :]

    def log_prob(self, params, z):
        return log_normal(z, *np.split(params, 2))

    def backward(self, params, z, dlog_prob, grads):
        m, v = np.split(params, 2)
        u = (z - m) * np.exp(-v)
        d = dlog_prob[:, :, None]
        grads[: self.n_latent] = np.sum(d * u, axis=(0, 1))
        grads[self.n_latent :] = 0.5 * np.sum(d * (u * (z - m) - 1), axis=(0, 1))
        return -d * u

    def sample(self, params, n, rng):
        m, v = np.split(params, 2)
        return (m + np.exp(v / 2) * rng.standard_normal((n, self.n_latent))).astype(params.dtype)


@dataclass(frozen=True)
class SharedScale:
    """q(z|x) = N(mu(x), diag exp(s)): the head is mu, and s is learned once for all x."""

    n_latent: int
    has_path: ClassVar[bool] = True
    n_states: ClassVar[None] = None

    @property
    def n_head(self):
        return self.n_latent

    @property
    def n_params(self):
        return self.n_latent

    def init(self, rng, dtype=np.float64):
        return np.zeros(self.n_params, dtype)

    def named(self, params):
        yield "log_var", params

    def prior(self):
        return LearnedNormal(self.n_latent)

    def draw_noise(self, rng, shape, dtype):
        return rng.standard_normal(shape, dtype=dtype)

    def check_noise(self, eps):
        pass

    def sample(self, params, head, eps):
        sigma = np.exp(params / 2)
        z = head + sigma * eps
        return z, self.log_prob(params, head, z), (sigma, eps)

    def states(self, params, head):
        raise ValueError("posterior must have states that can be enumerated, got SharedScale.")

    def backward(self, params, cache, dz, dlog_q, grads):
        sigma, eps = cache
        grads[:] = 0.5 * np.sum(dz * sigma * eps - dlog_q[:, :, None], axis=(0, 1))
        return dz.sum(axis=0)

    def score(self, params, cache, dlog_q, grads):
        sigma, eps = cache
        d = dlog_q[:, :, None]
        grads[:] = 0.5 * np.sum(d * (eps**2 - 1), axis=(0, 1))
        return np.sum(d * eps / sigma, axis=0)

    def log_prob(self, params, head, z):
        return log_normal(z, head, params)

    def mean(self, params, head):
        return head

    def code(self, params, head):
        return head


@closes(DiagonalGaussian, LearnedNormal)
class DiagonalFromLearned:
    """KL(N(mu, diag exp(l)) || N(m, diag exp(v))) = 1/2 sum [ ((mu - m)^2 + exp(l)) exp(-v) - 1 - l + v ]."""

    def per_latent(self, prior, head):
        (m, v), (mu, log_var) = np.split(prior, 2), np.split(head, 2, axis=1)
        return 0.5 * (((mu - m) ** 2 + np.exp(log_var)) * np.exp(-v) - 1 - log_var + v)

    def value(self, prior, head):
        return self.per_latent(prior, head).sum(axis=1)

    def backward(self, prior, head, dkl, dprior):
        return self.backward_per_latent(prior, head, dkl[:, None], dprior)

    def backward_per_latent(self, prior, head, d, dprior):
        (m, v), (mu, log_var) = np.split(prior, 2), np.split(head, 2, axis=1)
        dmu = d * (mu - m) * np.exp(-v)
        dprior[: len(m)] = -dmu.sum(axis=0)
        dprior[len(m) :] = 0.5 * np.sum(d * (1 - ((mu - m) ** 2 + np.exp(log_var)) * np.exp(-v)), axis=0)
        return np.hstack([dmu, 0.5 * d * (np.exp(log_var - v) - 1)])
