"""What flows share: a mean without a formula, and the code that stands for q(z|x)."""

from functools import lru_cache
from statistics import NormalDist

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array
from minivae.distributions.real import RealPosterior

_POINTS = 32  # and their mirror images


class Flow(RealPosterior):
    """Base of the posteriors that bend a diagonal Gaussian, step by step; the first 2 L of the head are mu and log_var.

    log q(z_T|x) = log q(z_0|x) - sum_t log |det dz_t / dz_(t-1)|
    """

    def mean(self, params: Array, head: Array) -> Array:
        """Return E_q[z], which has no formula: the mean of 64 fixed draws, exact where z is linear or odd in eps."""
        head = checks.look(head, "head", (None, self.n_head))
        total = np.zeros((len(head), self.n_latent), head.dtype)
        for eps in _points(self.n_latent):
            z, _, _ = self.sample(params, head, np.full((1, len(head), self.n_latent), eps, head.dtype))
            total += z[0]
        return total / (2 * _POINTS)

    def code(self, params: Array, head: Array) -> Array:
        """Return the draw without noise, to which the flow takes the mean of its Gaussian."""
        head = checks.look(head, "head", (None, self.n_head))
        z, _, _ = self.sample(params, head, np.zeros((1, len(head), self.n_latent), head.dtype))
        return z[0]

    def sample(self, params: Array, head: Array, eps: Array) -> tuple[Array, Array, object]:
        """Return z, log q(z|x) along the path, and the cache."""
        raise NotImplementedError


@lru_cache(maxsize=16)
def _points(n_latent: int) -> Array:
    """Return evenly spread noise and its mirror image, shape (64, L): quantiles of an additive recurrence."""
    root = 2.0
    for _ in range(64):
        root = (1 + root) ** (1 / (n_latent + 1))  # the generalised golden ratio, x^(L + 1) = x + 1
    u = (0.5 + np.outer(np.arange(1, _POINTS + 1), root ** -np.arange(1.0, n_latent + 1))) % 1
    z = np.array([[NormalDist().inv_cdf(p) for p in row] for row in u])
    return np.concatenate([z, -z])
