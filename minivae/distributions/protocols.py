"""What a posterior q(z|x), a prior p(z) and a likelihood p(x|z) must give. Each is a box and may own parameters.

Shapes: B examples, K draws, L latents, R = K B decoder rows; log-probabilities in nats. ``params`` and ``grads`` are
the box's own slice of the flat vectors, often empty; ``backward`` and ``score`` overwrite ``grads``.
"""

from typing import Any, Protocol

import numpy as np

from minivae.core.arrays import Array
from minivae.core.boxes import Box


class Prior(Box, Protocol):
    """A distribution p(z) over the latents."""

    @property
    def n_latent(self) -> int:
        """Dimension of z."""

    @property
    def formula(self) -> str:
        """What z is drawn from, for titles: "z ~ N(0, I)", say."""

    def log_prob(self, params: Array, z: Array) -> Array:
        """Return log p(z), shape (K, B), for z of shape (K, B, L)."""

    def backward(self, params: Array, z: Array, dlog_prob: Array, grads: Array) -> Array:
        """Return dz through ``log_prob``."""

    def sample(self, params: Array, n: int, rng: np.random.Generator) -> Array:
        """Draw n values of z, shape (n, L), in the dtype of the parameters."""


class Posterior(Box, Protocol):
    """A family of distributions q(z|x), with the noise as an argument.

    Shapes: head (B, n_head) from the encoder; eps and z (K, B, n_latent); log-densities (K, B).
    """

    @property
    def n_latent(self) -> int:
        """Dimension of z."""

    @property
    def n_head(self) -> int:
        """Width that the encoder must give."""

    @property
    def has_path(self) -> bool:
        """Whether z is a differentiable function of the head, so that a gradient can go through the draw."""

    @property
    def n_states(self) -> int | None:
        """How many values z can take, where that is a number that can be enumerated."""

    def prior(self) -> Prior:
        """Return the prior that goes with it unless another is given."""

    def draw_noise(self, rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> Array:
        """Return noise in the distribution that ``sample`` expects."""

    def check_noise(self, eps: Array) -> None:
        """Refuse noise that is visibly of another distribution."""

    def sample(self, params: Array, head: Array, eps: Array) -> tuple[Array, Array, Any]:
        """Return z(eps), log q(z|x) at that z, and the cache for ``backward`` and ``score``."""

    def states(self, params: Array, head: Array) -> tuple[Array, Array, Any]:
        """Return every z, shape (S, 1, L), log q(z|x) of shape (S, B), and the cache for ``score``."""

    def backward(self, params: Array, cache: Any, dz: Array, dlog_q: Array, grads: Array) -> Array:
        """Return dhead through both results of ``sample``: the total derivative."""

    def score(self, params: Array, cache: Any, dlog_q: Array, grads: Array) -> Array:
        """Return dhead through log q(z|x) at fixed z: the weighted sum of scores."""

    def log_prob(self, params: Array, head: Array, z: Array) -> Array:
        """Return log q(z|x) at any z."""

    def mean(self, params: Array, head: Array) -> Array:
        """Return E_q[z], shape (B, L); where it has no formula, as near as fixed draws tell."""

    def code(self, params: Array, head: Array) -> Array:
        """Return the one z that stands for q(z|x) in a reconstruction, shape (B, L): mean, mode, or noiseless draw."""


class Relaxable(Posterior, Protocol):
    """A discrete posterior whose draw is a rounding of real numbers y(head, eps), so that there are codes between.

    ``relaxed(y / temperature)`` is such a code; as the temperature falls to zero it becomes the draw itself.
    """

    def behind(self, head: Array, eps: Array) -> Array:
        """Return y, shape (K, B, L)."""

    def behind_backward(self, head: Array, dy: Array) -> Array:
        """Return dhead of each draw, shape (K, B, n_head), through y at fixed noise."""

    def behind_forward(self, head: Array, dhead: Array) -> Array:
        """Return dy of each draw along a direction of the head: the transpose of ``behind_backward``."""

    def left_free(self, head: Array, y: Array, z: Array) -> Array:
        """Return what of dy/dhead is left where the derivative of y given z is taken off, entry by entry."""

    def relaxed(self, y: Array) -> Array:
        """Return the code between the states, of the shape of y; of the head the mean of q(z|x)."""

    def relaxed_backward(self, zeta: Array, d: Array) -> Array:
        """Return dy, given the code zeta and its gradient d."""

    def relaxed_bend(self, zeta: Array, along: Array, d: Array) -> Array:
        """Return the derivative of ``relaxed_backward`` along a direction of zeta, d held fixed."""


class Likelihood(Box, Protocol):
    """log p(x | decoder output).

    ``forward`` gives the log-probability of each decoder row (nats, summed over the data dimensions) and, computed in
    the same pass, its derivative with respect to the decoder's output; ``backward`` weights that derivative. Decoder
    row r belongs to data row r % B, so K draws need no copies.
    """

    def starting_at(self, x: Array) -> "Likelihood":
        """Return the likelihood with initial parameters that suit the data."""

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
