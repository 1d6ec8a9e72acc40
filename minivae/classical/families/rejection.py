"""Gamma, beta and Dirichlet by rejection: z is a formula of the accepted noise, whose density depends on theta.

With z = h(eps; theta), q the target and pi(eps; theta) = q(h) dh/deps the density of the accepted noise,

    d E[f(z)] / dtheta = E_pi[f'(z) dh/dtheta] + E_pi[f(z) dlog pi/dtheta]:

the path alone is biased, and ``correction`` is what it lacks. The better the proposal, the smaller the correction.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from minivae.classical.families.family import Family, rows
from minivae.classical.families.gammas import Beta, Dirichlet, Gamma
from minivae.core import checks
from minivae.core.arrays import Array
from minivae.core.errors import spoken


@dataclass(frozen=True)
class MarsagliaTsang:
    """z ~ Gamma(alpha, 1) from accepted noise eps and B uniform numbers, alpha + B >= 1.

        z = d (1 + c eps)^3 prod_i u_i^(1 / (alpha + i - 1)),   d = alpha + B - 1/3,   c = 1 / sqrt(9 d)

    A normal eps is accepted with probability min(1, exp(eps^2/2 + d - d v + d log v)), v = (1 + c eps)^3: above 0.95.
    Noise has shape (..., 1 + B). The uniform numbers, the boost, make any alpha possible, and the correction smaller.

    References
    ----------
    G. Marsaglia, W. W. Tsang, ACM Transactions on Mathematical Software 26, 2000; C. Naesseth, F. Ruiz, S. Linderman,
    D. Blei, "Reparameterization gradients through acceptance-rejection sampling algorithms", 2017.
    """

    alpha: Any
    boost: int

    @property
    def _d(self) -> Any:
        return self.alpha + self.boost - 1 / 3

    @property
    def _c(self) -> Any:
        return 1 / np.sqrt(9 * self._d)

    def _orders(self) -> Any:
        """Return alpha + i - 1 for each uniform number."""
        return np.asarray(self.alpha)[..., None] + np.arange(self.boost)

    def noise(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        """Draw accepted noise, shape (*shape, 1 + B)."""
        u = np.maximum(rng.random((*shape, 1 + self.boost)), 2.0**-54)
        eps = np.empty(shape)
        d, c = np.broadcast_to(self._d, shape), np.broadcast_to(self._c, shape)
        left = np.ones(shape, bool)
        while left.any():
            e, level = rng.standard_normal(int(left.sum())), np.log1p(-rng.random(int(left.sum())))
            v = np.maximum(1 + c[left] * e, 0) ** 3
            log_v = np.log(np.maximum(v, 1e-300))
            taken = (v > 0) & (level < 0.5 * e**2 + d[left] * (1 - v + log_v))
            place = np.flatnonzero(left.ravel())[taken]
            eps.ravel()[place] = e[taken]
            left.ravel()[place] = False
        u[..., 0] = eps
        return u

    def check_noise(self, u: Array) -> None:
        """Refuse noise that is never accepted."""
        if not (1 + self._c * u[..., 0] > 0).all():
            raise ValueError(f"u must be accepted noise, got {u[..., 0].min():g}. Draw it with noise(rng, shape).")
        if not ((u[..., 1:] > 0) & (u[..., 1:] < 1)).all():
            raise ValueError(
                "u must be uniform numbers after the first, got one outside (0, 1). Draw it with noise(rng, shape)."
            )

    def log_z(self, u: Array) -> Array:
        """Return log z."""
        return self._log_h(u[..., 0]) + (np.log(u[..., 1:]) / self._orders()).sum(axis=-1)

    def log_path(self, u: Array) -> Array:
        """Return dlog z/dalpha: (1 - c eps / 2) / (d (1 + c eps)) - sum_i log u_i / (alpha + i - 1)^2."""
        return self._log_h_path(u[..., 0]) - (np.log(u[..., 1:]) / self._orders() ** 2).sum(axis=-1)

    def _log_h(self, eps: Array) -> Array:
        return np.log(self._d) + 3 * np.log1p(self._c * eps)

    def _log_h_path(self, eps: Array) -> Array:
        return (1 - self._c * eps / 2) / (self._d * (1 + self._c * eps))

    def log_noise(self, u: Array) -> Array:
        """Return log pi(eps) = log q(h) + log dh/deps, q = Gamma(alpha + B, 1); of the uniform numbers it is 0."""
        log_h, eps = self._log_h(u[..., 0]), u[..., 0]
        alpha = self.alpha + self.boost
        log_q = (alpha - 1) * log_h - np.exp(log_h) - special.gammaln(alpha)
        return log_q + np.log(3 * self._d * self._c) + 2 * np.log1p(self._c * eps)

    def correction(self, u: Array) -> Array:
        """Return dlog pi(eps)/dalpha, with a = alpha + B and h of the accepted noise alone.

            log h - psi(a) + (a - 1 - h) dlog h/dalpha + (1/2 - c eps / (1 + c eps)) / d

        In this order: dlog q/dalpha at fixed z, what the path adds to log q, and dlog(dh/deps)/dalpha.
        """
        eps = u[..., 0]
        log_h, alpha, step = self._log_h(eps), self.alpha + self.boost, self._c * eps
        moved = (alpha - 1 - np.exp(log_h)) * self._log_h_path(eps)
        return log_h - special.digamma(alpha) + moved + (0.5 - step / (1 + step)) / self._d


class ByRejection(Family):
    """What the families by rejection share: accepted noise for each of their gamma variables."""

    boost: int

    def __post_init__(self) -> None:
        super().__post_init__()
        boost, least = checks.whole(self.boost, "boost"), float(np.min(self._alphas))
        checks.size(boost, "boost", boost)
        if least + boost < 1:
            raise ValueError(f"boost must lift every shape to 1, got {boost} for a shape of {least:g}. Use boost=1.")
        object.__setattr__(self, "boost", boost)

    @property
    def _alphas(self) -> Array:
        """The shapes of the gamma variables, with an axis of their own last where a draw takes several."""
        raise NotImplementedError

    @property
    def _parts(self) -> tuple[int, ...]:
        """The shape of that axis."""
        return ()

    @property
    def _proposal(self) -> MarsagliaTsang:
        return MarsagliaTsang(self._alphas, self.boost)

    @property
    def noise_shape(self) -> tuple[int, ...]:
        """(number of gamma variables where there are several, 1 + boost)."""
        return (*self._parts, 1 + self.boost)

    def noise(self, rng: np.random.Generator, shape: tuple[int, ...] = ()) -> Array:
        """Draw accepted noise for this many draws, with as many as there are parameters where those are arrays."""
        shape = self._with_parameters(checks.shape_of(shape, "shape"), "the noise")
        return self._proposal.noise(checks.generator(rng), (*shape, *self._parts))

    @spoken("log p(u)")
    def log_noise(self, u: Any) -> Array:
        """Return the log-density of the accepted noise, of which ``correction`` is the derivative."""
        found = self._proposal.log_noise(self._looked_noise(u))
        return found.sum(axis=-1) if self._parts else found

    def _check_noise(self, u: Array) -> None:
        self._proposal.check_noise(u)

    def _correction(self, u: Array) -> Array:
        return np.moveaxis(self._proposal.correction(u), -1, 0)


@dataclass(frozen=True)
class GammaByRejection(ByRejection, Gamma):
    """Gamma whose path goes through accepted noise: ``MarsagliaTsang`` says how.

    Parameters
    ----------
    shape, scale : float or array
    boost : int
        Number B of uniform numbers beside the accepted one, a constant.

    Examples
    --------
    >>> gamma = GammaByRejection(2.0, boost=0)
    >>> u = np.zeros(1)  # the proposal's middle
    >>> round(gamma.sample(u).item(), 6), gamma.path(u)[0].item(), round(gamma.correction(u)[0].item(), 6)
    (1.666667, 1.0, -0.011959)
    """

    boost: int = 1

    @property
    def _alphas(self) -> Array:
        return np.asarray(self.shape)

    def _sample(self, u: Array) -> Array:
        return self.scale * np.exp(self._proposal.log_z(u))

    def _path(self, u: Array, z: Array) -> Array:
        return rows(z, z * self._proposal.log_path(u), z / self.scale)

    def _correction(self, u: Array) -> Array:
        found = np.broadcast_to(self._proposal.correction(u), self._draws(u, self.noise_shape, "u"))
        return rows(found, found, 0.0)


@dataclass(frozen=True)
class BetaByRejection(ByRejection, Beta):
    """Beta as g_1 / (g_1 + g_2) of two gamma variables by rejection: noise of shape (..., 2, 1 + boost).

    >>> BetaByRejection(2.0, 2.0, boost=0).sample(np.zeros((2, 1))).item()
    0.5
    """

    boost: int = 1

    @property
    def _alphas(self) -> Array:
        return np.stack(np.broadcast_arrays(self.a, self.b), axis=-1)

    @property
    def _parts(self) -> tuple[int, ...]:
        return (2,)

    def _sample(self, u: Array) -> Array:
        log_g = self._proposal.log_z(u)
        return special.expit(log_g[..., 0] - log_g[..., 1])

    def _path(self, u: Array, z: Array) -> Array:
        log_g, moves = self._proposal.log_z(u), self._proposal.log_path(u)
        rest = special.expit(log_g[..., 1] - log_g[..., 0])
        return z * rest * rows(z, moves[..., 0], -moves[..., 1])


@dataclass(frozen=True)
class DirichletByRejection(ByRejection, Dirichlet):
    """Dirichlet of gamma variables by rejection: noise of shape (..., D, 1 + boost).

    >>> DirichletByRejection([2.0, 2.0], boost=0).sample(np.zeros((2, 1)))
    array([0.5, 0.5])
    """

    boost: int = 1

    @property
    def _alphas(self) -> Array:
        return self.concentration

    @property
    def _parts(self) -> tuple[int, ...]:
        return self.z_shape

    def _log_gammas(self, u: Array) -> Array:
        return self._proposal.log_z(u)

    def _moves(self, u: Array) -> Array:
        return self._proposal.log_path(u)
