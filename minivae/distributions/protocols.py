"""What a posterior q(z|x), a prior p(z) and a likelihood p(x|z) must give."""

from typing import Any, Protocol

import numpy as np

from minivae.core.arrays import Array


class Posterior(Protocol):
    """A family of distributions over z, with the noise as an argument.

    Shapes: head (B, n_head) from the encoder, eps and z (K, B, n_latent), log-densities (K, B).
    """

    @property
    def n_latent(self) -> int:
        """Dimension of z."""

    @property
    def n_head(self) -> int:
        """Width that the encoder must give."""

    def sample(self, head: Array, eps: Array) -> tuple[Array, Array, Any]:
        """Return z(eps), log q(z|x) at that z, and the cache for ``backward``."""

    def backward(self, cache: Any, dz: Array, dlog_q: Array) -> Array:
        """Return dhead through both results of ``sample``: the total derivative."""

    def kl(self, head: Array) -> Array:
        """Return KL(q || N(0, I)), shape (B,)."""

    def kl_backward(self, head: Array, dkl: Array) -> Array:
        """Return dhead through ``kl``."""

    def kl_per_latent(self, head: Array) -> Array:
        """Return the KL's terms, shape (B, n_latent)."""

    def log_prob(self, head: Array, z: Array) -> Array:
        """Return log q(z|x) at any z."""

    def log_prob_backward(self, head: Array, z: Array, dlog_prob: Array) -> tuple[Array, Array]:
        """Return dhead at fixed z (the score), and dz at fixed head."""

    def mean(self, head: Array) -> Array:
        """Return E_q[z], shape (B, n_latent)."""


class Likelihood(Protocol):
    """log p(x | decoder output); ``params`` is its own slice of the flat vector, often empty."""

    @property
    def n_params(self) -> int:
        """Number of parameters that belong to the likelihood itself."""

    def init(self, dtype: Any = np.float64) -> Array:
        """Return initial parameters, shape (n_params,)."""

    def n_out(self, n_x: int) -> int:
        """Return the width that the decoder must give for data of width n_x."""

    def out_at_mean(self, x: Array) -> Array:
        """Return the decoder output, shape (n_out,), under which E[x|z] is the mean of the rows of x."""

    def check(self, x: Array) -> None:
        """Refuse data outside the support."""

    def check_training(self, x: Array) -> None:
        """Refuse data on which the likelihood could be raised without bound."""

    def is_density(self, x: Array) -> bool:
        """Say whether ``forward`` is a log-probability (density) for these data."""

    def forward(self, params: Array, out: Array, x: Array) -> tuple[Array, Any]:
        """Return log p(x|z), shape (R,), and the cache."""

    def log_prob(self, params: Array, out: Array, x: Array) -> Array:
        """Return log p(x|z) alone, shape (R,): for evaluation, which needs no cache."""

    def backward(self, params: Array, cache: Any, dlog_prob: Array, grads: Array) -> Array:
        """Overwrite ``grads`` and return dout, shape (R, n_out)."""

    def mean(self, params: Array, out: Array) -> Array:
        """Return E[x|z], shape (R, n_x)."""

    def sample(self, params: Array, out: Array, rng: np.random.Generator) -> Array:
        """Draw x given the decoder's output."""
