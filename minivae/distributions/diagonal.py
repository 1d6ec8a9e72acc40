"""The Gaussian posterior whose latents are independent: q(z|x) = N(mu, diag(exp(log_var)))."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from minivae.core import checks, errors, kernels
from minivae.core.arrays import Array
from minivae.core.boxes import NoParameters
from minivae.core.registry import saved
from minivae.core.trust import looked
from minivae.distributions.real import RealPosterior


@saved
@dataclass(frozen=True)
class DiagonalGaussian(RealPosterior, NoParameters):
    """q(z|x) = N(mu, diag(exp(log_var))); the head holds mu, then log_var.

    A draw is z = mu + exp(log_var / 2) eps with eps ~ N(0, I) [1]_.

    Parameters
    ----------
    n_latent : int
        Dimension L of z; the encoder gives n_head = 2 L values.

    Raises
    ------
    ValueError
        If n_latent is below one.

    References
    ----------
    .. [1] D. P. Kingma, M. Welling, "Auto-encoding variational Bayes", 2014, section 2.4.

    Examples
    --------
    >>> import numpy as np
    >>> q = DiagonalGaussian(1)
    >>> head = np.array([[0.5, -0.6]])  # mu, log_var
    >>> z, log_q, cache = q.sample(q.init(), head, eps=np.zeros((1, 1, 1)))
    >>> z.item(), round(log_q.item(), 6)  # -(log 2 pi - 0.6) / 2
    (0.5, -0.618939)
    """

    n_latent: int

    def __post_init__(self) -> None:
        checks.width(self.n_latent, "n_latent")

    @property
    def n_head(self) -> int:
        """2 n_latent: mu and log_var."""
        return 2 * self.n_latent

    def split(self, head: Array) -> tuple[Array, Array]:
        """Return mu and log_var as views of the head."""
        head = checks.look(head, "head", (None, self.n_head))
        return head[:, : self.n_latent], head[:, self.n_latent :]

    def sample(self, params: Array, head: Array, eps: Array) -> tuple[Array, Array, Any]:  # noqa: ARG002
        """Return z, log q(z|x) along the path, and the cache."""
        if not looked.already:
            head = checks.look(head, "head", (None, self.n_head))
            eps = checks.look(eps, "eps", (None, len(head), self.n_latent), head.dtype)
        z, log_q = kernels.reparameterize(head, eps)
        if not looked.already:
            errors.speak_of("z", z, log_var=self.split(head)[1])
        return z, log_q, (head, eps)

    def backward(self, params: Array, cache: Any, dz: Array, dlog_q: Array, grads: Array) -> Array:  # noqa: ARG002
        """Return dmu = sum_k dz, dlog_var = 1/2 sum_k (sigma eps dz - dlog_q)."""
        eps = cache[1]
        if not looked.already:
            dz = checks.look(dz, "dz", eps.shape, eps.dtype)
            dlog_q = checks.look(dlog_q, "dlog_q", eps.shape[:2], eps.dtype)
        return kernels.reparameterize_backward(*cache, dz, dlog_q)

    def score(self, params: Array, cache: Any, dlog_q: Array, grads: Array) -> Array:  # noqa: ARG002
        """Return dmu = sum_k eps / sigma dlog_q, dlog_var = 1/2 sum_k (eps^2 - 1) dlog_q."""
        eps = cache[1]
        if not looked.already:
            dlog_q = checks.look(dlog_q, "dlog_q", eps.shape[:2], eps.dtype)
        dhead = kernels.reparameterize_score(*cache, dlog_q)
        if not looked.already:
            errors.speak_of("the score", dhead, log_var=self.split(cache[0])[1])
        return dhead

    def slope(self, params: Array, cache: Any) -> Array:  # noqa: ARG002
        """Return d log q / dz = -eps / sigma, shape (K, B, L)."""
        head, eps = cache
        return -eps * np.exp(-0.5 * self.split(head)[1])

    def log_prob(self, params: Array, head: Array, z: Array) -> Array:  # noqa: ARG002
        """Return log q(z|x), shape (K, B)."""
        head = checks.look(head, "head", (None, self.n_head))
        z = checks.look(z, "z", (None, len(head), self.n_latent), head.dtype)
        log_prob = kernels.diagonal_log_prob(head, z)
        errors.speak_of("log q(z|x)", log_prob, log_var=self.split(head)[1])
        return log_prob

    def mean(self, params: Array, head: Array) -> Array:  # noqa: ARG002
        """Return mu."""
        return self.split(head)[0]
