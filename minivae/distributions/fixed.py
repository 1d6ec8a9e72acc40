"""The Gaussian posterior whose variance is given, not learned: q(z|x) = N(f(x), v I)."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from minivae.core import checks, errors
from minivae.core.arrays import Array
from minivae.core.boxes import NoParameters
from minivae.core.kernels.compiled import LOG_2PI
from minivae.core.registry import saved
from minivae.distributions.real import RealPosterior


@saved
@dataclass(frozen=True)
class FixedGaussian(RealPosterior, NoParameters):
    """q(z|x) = N(mu, v I) with one variance v = sigma_f^2 for all latents and all x; the head is mu alone.

        z = mu + sqrt(v) eps,   log q(z|x) = -1/2 [ ||eps||^2 + L log(2 pi v) ]

    Along the path log q does not move with mu. With ``Gaussian(sigma_g**2)`` as the likelihood it makes the VAE an
    autoencoder with noise in its code and a penalty on the code's length: ``mv.models.coupling_terms`` has the formula.

    Parameters
    ----------
    n_latent : int
        Dimension L of z; the encoder gives as many values.
    variance : float
        v, positive. For v = 1 the KL from N(0, I) is ||mu||^2 / 2.

    Raises
    ------
    ValueError
        If n_latent is below one, or the variance not a finite positive number.

    Examples
    --------
    >>> q = FixedGaussian(1, variance=0.25)
    >>> z, log_q, _ = q.sample(q.init(), np.array([[3.0]]), eps=np.array([[[2.0]]]))
    >>> z.item(), round(log_q.item(), 6)  # -(4 + log(pi / 2)) / 2
    (4.0, -2.225791)
    """

    n_latent: int
    variance: float = 1.0

    def __post_init__(self) -> None:
        checks.width(self.n_latent, "n_latent")
        checks.number(self.variance, "variance", low=0)

    @property
    def n_head(self) -> int:
        """n_latent: mu."""
        return self.n_latent

    def sample(self, params: Array, head: Array, eps: Array) -> tuple[Array, Array, Any]:  # noqa: ARG002
        """Return z, log q(z|x) along the path, and the cache."""
        head = checks.look(head, "head", (None, self.n_latent))
        eps = checks.look(eps, "eps", (None, len(head), self.n_latent), head.dtype)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            z = head + self._sigma(head) * eps
            log_q = self._log_density(eps)
        errors.speak_of("z", z, head=head, eps=eps)
        errors.speak_of("log q(z|x)", log_q, eps=eps)
        return z, log_q, eps

    def backward(self, params: Array, cache: Any, dz: Array, dlog_q: Array, grads: Array) -> Array:  # noqa: ARG002
        """Return dmu = sum_k dz."""
        dz = checks.look(dz, "dz", cache.shape, cache.dtype)
        checks.look(dlog_q, "dlog_q", cache.shape[:2], cache.dtype)
        return dz.sum(axis=0)

    def slope(self, params: Array, cache: Any) -> Array:  # noqa: ARG002
        """Return d log q / dz = -eps / sqrt(v), shape (K, B, L)."""
        return -cache / self._sigma(cache)

    def log_prob(self, params: Array, head: Array, z: Array) -> Array:  # noqa: ARG002
        """Return log q(z|x), shape (K, B)."""
        head = checks.look(head, "head", (None, self.n_latent))
        z = checks.look(z, "z", (None, len(head), self.n_latent), head.dtype)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            log_prob = self._log_density((z - head) / self._sigma(head))
        errors.speak_of("log q(z|x)", log_prob, head=head, z=z)
        return log_prob

    def mean(self, params: Array, head: Array) -> Array:  # noqa: ARG002
        """Return mu."""
        return checks.look(head, "head", (None, self.n_latent))

    def _sigma(self, like: Array) -> Any:
        return like.dtype.type(math.sqrt(self.variance))

    def _log_density(self, eps: Array) -> Array:
        """Return -1/2 [ ||eps||^2 + L log(2 pi v) ]."""
        constant = eps.dtype.type(self.n_latent * (LOG_2PI + math.log(self.variance)))
        return -0.5 * (np.einsum("kbl,kbl->kb", eps, eps) + constant)
