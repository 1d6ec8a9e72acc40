"""The planar flow: each step moves z along one direction, by as much as a tanh along another says."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from minivae.core import checks, errors, kernels
from minivae.core.arrays import Array
from minivae.core.boxes import NoParameters
from minivae.core.registry import saved
from minivae.distributions.flows import Flow


@saved
@dataclass(frozen=True)
class PlanarFlow(Flow, NoParameters):
    """z_0 ~ N(mu, diag exp(log_var)), then n_steps times z' = z + u tanh(w^T z + b); the head holds w, v, b of each.

        log |det J| = log(1 + w^T u (1 - tanh^2))

    A step can be inverted if w^T u > -1. So the head gives v, and u is v made shorter or longer:

        u = v m(w^T v) / w^T v,   m(a) = softplus(a + log(e - 1)) - 1,   so that w^T u = m(w^T v) > -1.

    m(0) = 0, and u is smooth in w and v everywhere. (Adding a multiple of w / |w|^2 to v, as the paper does, has a pole
    at w = 0, near which an encoder starts.) What the encoder gives differs from x to x: steps of their own would bend
    every q(z|x) alike, which the decoder can undo.

    ``log_prob`` at a given z goes back step by step; w^T z solves an equation in one unknown whose left side rises.

    Parameters
    ----------
    n_latent : int
        Dimension L of z; the encoder gives n_head = 2 L + n_steps (2 L + 1) values.
    n_steps : int

    Raises
    ------
    ValueError
        If a number is below one.

    References
    ----------
    D. J. Rezende, S. Mohamed, "Variational inference with normalizing flows", 2015, section 4.1 and appendix A.1.

    Examples
    --------
    >>> q = PlanarFlow(1, n_steps=1)
    >>> head = np.array([[0.0, 0.0, 1.0, -9.0, 0.0]])  # mu, log_var, w, v, b
    >>> z, log_q, _ = q.sample(q.init(), head, np.array([[[2.0]]]))
    >>> bool(np.allclose(q.log_prob(q.init(), head, z), log_q))
    True
    """

    n_latent: int
    n_steps: int = 4

    def __post_init__(self) -> None:
        checks.width(self.n_latent, "n_latent")
        checks.width(self.n_steps, "n_steps")
        checks.size(self.n_head, "n_latent and n_steps", (self.n_latent, self.n_steps))

    @property
    def n_head(self) -> int:
        """2 L + n_steps (2 L + 1): mu, log_var, then w, v and b of each step."""
        return 2 * self.n_latent + self.n_steps * (2 * self.n_latent + 1)

    def split(self, head: Array) -> tuple[Array, Array, Array, Array]:
        """Return mu with log_var (B, 2 L), w and v (B, T, L) and b (B, T)."""
        head = checks.look(head, "head", (None, self.n_head))
        n = self.n_latent
        steps = head[:, 2 * n :].reshape(len(head), self.n_steps, 2 * n + 1)
        parts = head[:, : 2 * n], steps[:, :, :n], steps[:, :, n : 2 * n], steps[:, :, 2 * n]
        return tuple(map(np.ascontiguousarray, parts))  # type: ignore[return-value]  # of four

    @errors.spoken("a draw of z")
    def sample(self, params: Array, head: Array, eps: Array) -> tuple[Array, Array, Any]:  # noqa: ARG002
        """Return z, log q(z|x) along the path, and the cache."""
        head = checks.look(head, "head", (None, self.n_head))
        eps = checks.look(eps, "eps", (None, len(head), self.n_latent), head.dtype)
        base, w, v, b = self.split(head)
        u, c = kernels.planar_bend(w, v)
        z, log_q = kernels.reparameterize(base, eps)
        path, h, log_det = kernels.planar(z, w, u, b, c)
        return path[-1], log_q - log_det, (base, eps, path, h, (w, v, u, c))

    def backward(self, params: Array, cache: Any, dz: Array, dlog_q: Array, grads: Array) -> Array:  # noqa: ARG002
        """Return dhead through z and log q, from the last step to the first."""
        base, eps, path, h, (w, v, u, c) = cache
        dz = checks.look(dz, "dz", eps.shape, eps.dtype)
        dlog_q = checks.look(dlog_q, "dlog_q", eps.shape[:2], eps.dtype)
        dz, dw, du, db, dc = kernels.planar_backward(path, h, w, u, c, dz, -dlog_q)
        through, dv = kernels.planar_bend_backward(w, v, du, dc)
        dbase = kernels.reparameterize_backward(base, eps, dz, dlog_q)
        dsteps = np.concatenate([dw + through, dv, db[:, :, None]], axis=2)
        return np.concatenate([dbase, dsteps.reshape(len(base), -1)], axis=1)

    def slope(self, params: Array, cache: Any) -> Array:  # noqa: ARG002
        """Return d log q / dz, shape (K, B, L), by the formula of Sherman and Morrison for J^-T of each step."""
        base, eps, _, h, (w, _, u, c) = cache
        return kernels.planar_slope(-eps * np.exp(-0.5 * base[:, self.n_latent :]), h, w, u, c)

    @errors.spoken("log q(z|x)")
    def log_prob(self, params: Array, head: Array, z: Array) -> Array:
        """Return log q(z|x), shape (K, B), by going back through the steps."""
        z0, log_det = self.inverse(params, head, z)
        return kernels.diagonal_log_prob(self.split(head)[0], z0) - log_det

    @errors.spoken("z_0")
    def inverse(self, params: Array, head: Array, z: Array) -> tuple[Array, Array]:  # noqa: ARG002
        """Return the z_0 from which the flow makes z, shape (K, B, L), and log |det dz / dz_0|, shape (K, B)."""
        head = checks.look(head, "head", (None, self.n_head))
        z = checks.look(z, "z", (None, len(head), self.n_latent), head.dtype)
        _, w, v, b = self.split(head)
        u, c = kernels.planar_bend(w, v)
        return kernels.planar_inverse(z, w, u, b, c)
