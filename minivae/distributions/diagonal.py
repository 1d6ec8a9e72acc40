"""q(z|x) = N(mu, diag(exp(log_var)))."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from minivae.core import checks, kernels
from minivae.core.arrays import Array
from minivae.core.registry import saved


@saved
@dataclass(frozen=True)
class DiagonalGaussian:
    """q(z|x) = N(mu, diag(exp(log_var))); the head holds mu, then log_var.

    A draw is z = mu + exp(log_var / 2) eps with eps ~ N(0, I) [1]_, and

        KL(q || N(0, I)) = 1/2 sum_j (mu_j^2 + exp(log_var_j) - 1 - log_var_j)   (nats).

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
    .. [1] D. P. Kingma, M. Welling, "Auto-encoding variational Bayes", 2014, section 2.4 and appendix B.

    Examples
    --------
    >>> import numpy as np
    >>> q = DiagonalGaussian(1)
    >>> head = np.array([[0.5, -0.6]])  # mu, log_var
    >>> z, log_q, cache = q.sample(head, eps=np.zeros((1, 1, 1)))
    >>> z.item(), round(q.kl(head).item(), 10)
    (0.5, 0.199405818)
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
        return head[:, : self.n_latent], head[:, self.n_latent :]

    def sample(self, head: Array, eps: Array) -> tuple[Array, Array, Any]:
        """Return z, log q(z|x) along the path, and the cache."""
        z, log_q = kernels.reparameterize(head, eps)
        return z, log_q, (head, eps)

    def backward(self, cache: Any, dz: Array, dlog_q: Array) -> Array:
        """Dmu = sum_k dz, dlog_var = 1/2 sum_k (sigma eps dz - dlog_q)."""
        head, eps = cache
        return kernels.reparameterize_backward(head, eps, dz, dlog_q)

    def kl(self, head: Array) -> Array:
        """Return KL(q || N(0, I)) in nats, shape (B,)."""
        return kernels.diagonal_kl(head)

    def kl_backward(self, head: Array, dkl: Array) -> Array:
        """Dmu = mu dkl, dlog_var = 1/2 (exp(log_var) - 1) dkl."""
        return kernels.diagonal_kl_backward(head, dkl)

    def kl_per_latent(self, head: Array) -> Array:
        """Return the KL of each latent, shape (B, n_latent); the rows sum to ``kl``."""
        mu, log_var = self.split(head)
        return 0.5 * (mu**2 + np.expm1(log_var) - log_var)

    def log_prob(self, head: Array, z: Array) -> Array:
        """Return log q(z|x), shape (K, B)."""
        return kernels.diagonal_log_prob(head, z)

    def log_prob_backward(self, head: Array, z: Array, dlog_prob: Array) -> tuple[Array, Array]:
        """Return dhead at fixed z, and dz at fixed head."""
        return kernels.diagonal_log_prob_backward(head, z, dlog_prob)

    def mean(self, head: Array) -> Array:
        """Return mu."""
        return self.split(head)[0]
