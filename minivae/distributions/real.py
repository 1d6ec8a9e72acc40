"""What the posteriors of a real z share: normal noise, the prior N(0, I), and the score by way of the path."""

from typing import Any

import numpy as np

from minivae.core import checks, errors
from minivae.core.arrays import Array
from minivae.distributions.priors import StandardNormal


class RealPosterior:
    """Base of the posteriors whose z is a differentiable function of the head and of noise eps ~ N(0, I).

    Its score needs no formula of its own. log q moves with the head at fixed z, and with z; ``backward`` gives both
    together, and with dz = -dlog_q (d log q / dz) the second cancels:

        score(dlog_q) = backward(dz = -dlog_q d log q / dz, dlog_q).
    """

    n_latent: int
    has_path = True
    n_states = None

    @property
    def n_head(self) -> int:
        """Width that the encoder must give."""
        raise NotImplementedError

    def prior(self) -> StandardNormal:
        """Return N(0, I)."""
        return StandardNormal(self.n_latent)

    def draw_noise(self, rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> Array:
        """Return draws of N(0, 1)."""
        return checks.generator(rng).standard_normal(checks.shape_of(shape), dtype=checks.float_dtype(dtype))

    def check_noise(self, eps: Array) -> None:
        """Accept any: quadrature nodes lie where they like."""

    def states(self, params: Array, head: Array) -> tuple[Array, Array, Any]:  # noqa: ARG002
        """Refuse: the states of a real z cannot be counted."""
        raise ValueError(
            f"posterior must have states that can be enumerated, got {type(self).__name__}. Use quadrature nodes as "
            f"eps, or bits."
        )

    def backward(self, params: Array, cache: Any, dz: Array, dlog_q: Array, grads: Array) -> Array:
        """Return dhead through z and log q."""
        raise NotImplementedError

    def slope(self, params: Array, cache: Any) -> Array:
        """Return d log q / dz at the draws, shape (K, B, L)."""
        raise NotImplementedError

    @errors.spoken("the score")
    def score(self, params: Array, cache: Any, dlog_q: Array, grads: Array) -> Array:
        """Return dhead through log q at fixed z: the total derivative less what comes through z."""
        slope = self.slope(params, cache)
        dlog_q = checks.look(dlog_q, "dlog_q", slope.shape[:2], slope.dtype)
        return self.backward(params, cache, slope * -dlog_q[:, :, None], dlog_q, grads)

    def mean(self, params: Array, head: Array) -> Array:
        """Return E_q[z], shape (B, L)."""
        raise NotImplementedError

    def code(self, params: Array, head: Array) -> Array:
        """Return E_q[z], shape (B, L)."""
        return self.mean(params, head)
