"""KL(q(z|x) || p(z)) where it has a closed form: a table of pairs, with the gradient beside each formula.

A pair that is not in the table has its KL sampled: log q(z|x) - log p(z) at the draws. ``gaussian_kl`` is the formula
for any two Gaussians.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np

from minivae.core import checks, errors, kernels
from minivae.core.arrays import Array, sigmoid
from minivae.distributions.bits import Bits
from minivae.distributions.categorical import Categorical
from minivae.distributions.diagonal import DiagonalGaussian
from minivae.distributions.fixed import FixedGaussian
from minivae.distributions.full import FullGaussian, packed_latents
from minivae.distributions.priors import FairBits, StandardNormal, UniformCategories
from minivae.distributions.protocols import Posterior, Prior
from minivae.distributions.symmetric import SymmetricGaussian, divided_differences, packed_gradient


class ClosedKl(Protocol):
    """The KL of a posterior from a prior, in nats, as functions of the head and of the prior's own parameters."""

    def value(self, prior: Array, head: Array) -> Array:
        """Return the KL of each example, shape (B,)."""

    def per_latent(self, prior: Array, head: Array) -> Array:
        """Return its terms, shape (B, L); the rows sum to ``value``."""

    def backward(self, prior: Array, head: Array, dkl: Array, dprior: Array) -> Array:
        """Overwrite the prior's gradient and return dhead, through ``value``."""

    def backward_per_latent(self, prior: Array, head: Array, dkl: Array, dprior: Array) -> Array:
        """Do the same through ``per_latent``, for dkl of shape (B, L)."""


K = TypeVar("K", bound=type)
_CLOSED: dict[tuple[type, type], Callable[[], ClosedKl]] = {}


def closes(posterior: type, prior: type) -> Callable[[K], K]:
    """Enter a class into the table, as the closed KL of a pair; a pair that has one is refused.

    It is made without arguments; or, where the formula needs what the boxes hold, by its ``of(posterior, prior)``.
    """
    for name, box in (("posterior", posterior), ("prior", prior)):
        if not isinstance(box, type):
            raise ValueError(f"{name} must be a class, got {checks.shown(box)}. For example DiagonalGaussian.")

    def enter(cls: K) -> K:
        if (posterior, prior) in _CLOSED:
            raise ValueError(
                f"the KL of {posterior.__name__} from {prior.__name__} must be entered once, got {cls.__name__} as "
                f"well. Define a posterior of its own name."
            )
        _CLOSED[posterior, prior] = cls
        return cls

    return enter


def closed_kl(posterior: Posterior, prior: Prior) -> ClosedKl | None:
    """Return the closed KL of a pair, or None where it must be sampled.

    Examples
    --------
    >>> kl = closed_kl(DiagonalGaussian(1), StandardNormal(1))
    >>> round(kl.value(np.empty(0), np.array([[0.5, -0.6]])).item(), 10)
    0.199405818
    """
    checks.has(posterior, ("n_head",), "posterior", "a posterior", "DiagonalGaussian(2)")
    checks.has(prior, ("n_latent", "log_prob"), "prior", "a prior", "StandardNormal(2)")
    found = _CLOSED.get((type(posterior), type(prior)))
    return None if found is None else getattr(found, "of", lambda *_: found())(posterior, prior)


@closes(DiagonalGaussian, StandardNormal)
class _DiagonalFromStandard:
    """KL(N(mu, diag sigma^2) || N(0, I)) = 1/2 sum_j (mu_j^2 + exp(log_var_j) - 1 - log_var_j).

    dmu = mu, dlog_var = (exp(log_var) - 1) / 2; D. P. Kingma, M. Welling, 2014, appendix B.
    """

    def value(self, prior: Array, head: Array) -> Array:  # noqa: ARG002
        return kernels.diagonal_kl(head)

    def per_latent(self, prior: Array, head: Array) -> Array:  # noqa: ARG002
        mu, log_var = np.split(head, 2, axis=1)
        return 0.5 * (mu**2 + np.expm1(log_var) - log_var)

    def backward(self, prior: Array, head: Array, dkl: Array, dprior: Array) -> Array:  # noqa: ARG002
        return kernels.diagonal_kl_backward(head, dkl)

    def backward_per_latent(self, prior: Array, head: Array, dkl: Array, dprior: Array) -> Array:  # noqa: ARG002
        mu, log_var = np.split(head, 2, axis=1)
        return np.concatenate([mu * dkl, 0.5 * np.expm1(log_var) * dkl], axis=1)


@closes(FixedGaussian, StandardNormal)
@dataclass(frozen=True)
class _FixedFromStandard:
    """KL(N(mu, v I) || N(0, I)) = 1/2 ||mu||^2 + L/2 (v - 1 - log v), dmu = mu."""

    variance: float

    @classmethod
    def of(cls, posterior: FixedGaussian, prior: StandardNormal) -> "_FixedFromStandard":  # noqa: ARG003
        return cls(posterior.variance)

    def value(self, prior: Array, head: Array) -> Array:
        return self.per_latent(prior, head).sum(axis=1)

    def per_latent(self, prior: Array, head: Array) -> Array:  # noqa: ARG002
        one: Any = head.dtype.type
        return 0.5 * (head**2 + one(self.variance - 1 - math.log(self.variance)))

    def backward(self, prior: Array, head: Array, dkl: Array, dprior: Array) -> Array:  # noqa: ARG002
        return head * dkl[:, None]

    def backward_per_latent(self, prior: Array, head: Array, dkl: Array, dprior: Array) -> Array:  # noqa: ARG002
        return head * dkl


@closes(Bits, FairBits)
class _BitsFromFair:
    """KL = sum_j theta_j phi_j - log(1 + exp(phi_j)) + log 2, dphi = theta (1 - theta) phi."""

    def value(self, prior: Array, head: Array) -> Array:
        return self.per_latent(prior, head).sum(axis=1)

    def per_latent(self, prior: Array, head: Array) -> Array:  # noqa: ARG002
        one: Any = head.dtype.type
        return sigmoid(head) * head - np.logaddexp(head, one(0)) + one(math.log(2))

    def backward(self, prior: Array, head: Array, dkl: Array, dprior: Array) -> Array:
        return self.backward_per_latent(prior, head, dkl[:, None], dprior)

    def backward_per_latent(self, prior: Array, head: Array, dkl: Array, dprior: Array) -> Array:  # noqa: ARG002
        theta = sigmoid(head)
        return theta * (1 - theta) * head * dkl


@closes(Categorical, UniformCategories)
@dataclass(frozen=True)
class _CategoricalFromUniform:
    """KL = sum_gc theta_gc log(C theta_gc), dphi_gc = theta_gc (log theta_gc - sum_c theta_gc log theta_gc).

    An entry's own term is theta log(C theta) - theta + 1 / C >= 0: the last two sum to zero over a group.
    """

    q: Categorical
    log_c: float

    @classmethod
    def of(cls, posterior: Categorical, prior: UniformCategories) -> "_CategoricalFromUniform":
        if posterior.n_categories != prior.n_categories:
            raise ValueError(
                f"prior must have groups of {posterior.n_categories} categories as the posterior does, got "
                f"{prior.n_categories}. Leave it away."
            )
        return cls(posterior, math.log(prior.n_categories))

    def _parts(self, head: Array) -> tuple[Array, Array]:
        """Return theta and log(C theta)."""
        return self.q.relaxed(head), self.q.log_theta(head) + head.dtype.type(self.log_c)

    def value(self, prior: Array, head: Array) -> Array:
        return self.per_latent(prior, head).sum(axis=1)

    def per_latent(self, prior: Array, head: Array) -> Array:  # noqa: ARG002
        theta, log_ratio = self._parts(head)
        return theta * log_ratio - theta + head.dtype.type(math.exp(-self.log_c))

    def backward(self, prior: Array, head: Array, dkl: Array, dprior: Array) -> Array:
        return self.backward_per_latent(prior, head, np.broadcast_to(dkl[:, None], head.shape), dprior)

    def backward_per_latent(self, prior: Array, head: Array, dkl: Array, dprior: Array) -> Array:  # noqa: ARG002
        theta, log_ratio = self._parts(head)
        return self.q.relaxed_backward(theta, log_ratio * dkl)  # d(theta log(C theta) - theta)/dtheta = log(C theta)


@closes(FullGaussian, StandardNormal)
class _FullFromStandard:
    """KL(N(mu, L L^T) || N(0, I)) = 1/2 (|mu|^2 + |L|^2 - n) - sum_i log L_ii.

    dmu = mu, dlog L_ii = L_ii^2 - 1, dL_ij = L_ij. By the chain rule it is a sum over the latents in their order, of

        E KL(q(z_i|z_<i, x) || N(0, 1)) = 1/2 (mu_i^2 + sum_j<=i L_ij^2 - 1) - log L_ii,

    none of which is negative.
    """

    @errors.spoken("the KL")
    def value(self, prior: Array, head: Array) -> Array:  # noqa: ARG002
        mu, log_diagonal, below = _packed(head)
        squares = np.einsum("bl,bl->b", mu, mu) + np.einsum("bl,bl->b", below, below)
        return 0.5 * squares + np.sum(0.5 * np.expm1(2 * log_diagonal) - log_diagonal, axis=1)

    def per_latent(self, prior: Array, head: Array) -> Array:  # noqa: ARG002
        mu, log_diagonal, below = _packed(head)
        rows = 0.5 * (mu**2 + np.expm1(2 * log_diagonal)) - log_diagonal
        for i in range(1, mu.shape[1]):
            rows[:, i] += 0.5 * np.sum(below[:, i * (i - 1) // 2 : i * (i + 1) // 2] ** 2, axis=1)
        return rows

    @errors.spoken("the gradient of the KL")
    def backward(self, prior: Array, head: Array, dkl: Array, dprior: Array) -> Array:  # noqa: ARG002
        dhead = head * dkl[:, None]
        n = packed_latents(head.shape[1])
        dhead[:, n : 2 * n] = np.expm1(2 * head[:, n : 2 * n]) * dkl[:, None]
        return dhead

    @errors.spoken("the gradient of the KL")
    def backward_per_latent(self, prior: Array, head: Array, dkl: Array, dprior: Array) -> Array:  # noqa: ARG002
        mu, log_diagonal, below = _packed(head)
        row = np.tril_indices(mu.shape[1], -1)[0]  # the latent i of each L_ij
        return np.concatenate([mu * dkl, np.expm1(2 * log_diagonal) * dkl, below * dkl[:, row]], axis=1)


@closes(SymmetricGaussian, StandardNormal)
class _SymmetricFromStandard:
    """KL(N(mu, exp(2 A)) || N(0, I)) = 1/2 (|mu|^2 + tr exp(2 A) - n) - tr A; dmu = mu, dA = exp(2 A) - I.

    Each latent has its own entries of the two traces, 1/2 (mu_i^2 + exp(2 A)_ii - 1) - A_ii: never negative, since
    exp(2 A)_ii >= exp(2 A_ii) by Jensen's inequality.
    """

    @errors.spoken("the KL")
    def value(self, prior: Array, head: Array) -> Array:  # noqa: ARG002
        mu, _, _ = _packed(head)
        _, a, _ = SymmetricGaussian(mu.shape[1]).logarithm(head)
        return np.sum(0.5 * (mu**2 + np.expm1(2 * a)) - a, axis=1)

    def per_latent(self, prior: Array, head: Array) -> Array:  # noqa: ARG002
        mu, diagonal, _ = _packed(head)
        _, a, U = SymmetricGaussian(mu.shape[1]).logarithm(head)
        return 0.5 * (mu**2 + np.einsum("bij,bj->bi", U**2, np.expm1(2 * a))) - diagonal

    @errors.spoken("the gradient of the KL")
    def backward(self, prior: Array, head: Array, dkl: Array, dprior: Array) -> Array:  # noqa: ARG002
        q = SymmetricGaussian(packed_latents(head.shape[1]))
        _, a, U = q.logarithm(head)
        dA = (U * np.expm1(2 * a)[:, None, :]) @ U.transpose(0, 2, 1)
        return packed_gradient(head[:, : q.n_latent], dA) * dkl[:, None]

    @errors.spoken("the gradient of the KL")
    def backward_per_latent(self, prior: Array, head: Array, dkl: Array, dprior: Array) -> Array:  # noqa: ARG002
        q = SymmetricGaussian(packed_latents(head.shape[1]))
        _, a, U = q.logarithm(head)
        Ut = U.transpose(0, 2, 1)
        dA = U @ ((Ut * dkl[:, None, :]) @ U * divided_differences(2 * a)) @ Ut  # of tr[diag(dkl) exp(2 A)] / 2
        np.einsum("bii->bi", dA)[...] -= dkl  # a view of the diagonal
        return packed_gradient(head[:, : q.n_latent] * dkl, dA)


def _packed(head: Array) -> tuple[Array, Array, Array]:
    """Return the head's mu, the diagonal, and what is below it."""
    n = packed_latents(head.shape[1])
    return head[:, :n], head[:, n : 2 * n], head[:, 2 * n :]


# ------------------------------------------------------------------------------------- any two Gaussians


def gaussian_kl(mu0: Array, L0: Array, mu1: Array, L1: Array) -> Array:
    """Return KL(N(mu0, L0 L0^T) || N(mu1, L1 L1^T)) in nats.

        KL = 1/2 (|M|^2 + |u|^2 - n) + sum_i log L1_ii - sum_i log L0_ii,   M = L1^-1 L0,  u = L1^-1 (mu0 - mu1)

    Parameters
    ----------
    mu0, mu1 : array of shape (n,) or (B, n)
    L0, L1 : array of shape (n, n) or (B, n, n)
        Lower triangular, with a positive diagonal: Cholesky factors of the covariances.

    Returns
    -------
    array of shape () or (B,), in float64

    Raises
    ------
    ValueError
        If shapes disagree, a number is not finite, or a factor is not lower triangular with a positive diagonal.

    Examples
    --------
    >>> mu0, L0 = np.array([0.3, -0.2]), np.array([[1.2, 0.0], [0.4, 0.7]])
    >>> mu1, L1 = np.array([-0.1, 0.5]), np.array([[0.9, 0.0], [-0.3, 1.1]])
    >>> round(gaussian_kl(mu0, L0, mu1, L1).item(), 10)
    0.7515900628
    """
    mu0, L0, mu1, L1 = _gaussians(mu0, L0, mu1, L1)
    M, u = np.linalg.solve(L1, L0), np.linalg.solve(L1, (mu0 - mu1)[..., None])
    squares = np.sum(M**2, axis=(-2, -1)) + np.sum(u**2, axis=(-2, -1)) - mu0.shape[-1]
    kl = 0.5 * squares + np.sum(np.log(_diagonal(L1)) - np.log(_diagonal(L0)), axis=-1)
    errors.speak_of("the KL", kl, L0=L0, L1=L1)
    return kl


def gaussian_kl_backward(mu0: Array, L0: Array, mu1: Array, L1: Array, dkl: Array) -> tuple[Array, Array, Array, Array]:
    """Return dmu0, dL0, dmu1 and dL1 through ``gaussian_kl``, each in the shape of its argument.

        dmu0 = L1^-T u,   dL0 = tril(L1^-T M) - diag(1 / L0_ii)
        dmu1 = -dmu0,     dL1 = diag(1 / L1_ii) - tril(L1^-T (M M^T + u u^T))

    Parameters
    ----------
    mu0, L0, mu1, L1 : array
        As in ``gaussian_kl``.
    dkl : float or array of shape (B,)
        Derivative with respect to each KL.

    Examples
    --------
    >>> mu, L = np.zeros(1), np.eye(1)
    >>> dmu0, dL0, _, _ = gaussian_kl_backward(mu + 0.5, 2 * L, mu, L, np.ones(()))
    >>> dmu0, dL0  # mu and sigma - 1 / sigma
    (array([0.5]), array([[1.5]]))
    """
    mu0, L0, mu1, L1 = _gaussians(mu0, L0, mu1, L1)
    dkl = checks.real(dkl, "dkl")
    if dkl.shape != mu0.shape[:-1]:
        raise ValueError(f"dkl must have shape {mu0.shape[:-1]}, one for each KL, got {dkl.shape}. Make it fit.")
    each = dkl[..., None, None]
    M, u = np.linalg.solve(L1, L0), np.linalg.solve(L1, (mu0 - mu1)[..., None])
    back = np.swapaxes(L1, -2, -1)
    eye = np.eye(mu0.shape[-1])
    dmu0 = (each * np.linalg.solve(back, u))[..., 0]
    dL0 = each * (np.tril(np.linalg.solve(back, M)) - eye / _diagonal(L0)[..., None])
    spread = M @ np.swapaxes(M, -2, -1) + u @ np.swapaxes(u, -2, -1)
    dL1 = each * (eye / _diagonal(L1)[..., None] - np.tril(np.linalg.solve(back, spread)))
    errors.speak_of("the gradient of the KL", np.concatenate([dL0, dL1]), L0=L0, L1=L1)
    return dmu0, dL0, -dmu0, dL1


def _diagonal(L: Array) -> Array:
    return np.diagonal(L, axis1=-2, axis2=-1)


def _gaussians(mu0: Any, L0: Any, mu1: Any, L1: Any) -> tuple[Array, Array, Array, Array]:
    """Return means and factors in float64, or say what is wrong with them."""
    mu0 = checks.real(mu0, "mu0")
    if mu0.ndim not in (1, 2) or not mu0.size:
        raise ValueError(f"mu0 must have shape (n,) or (B, n), got {mu0.shape}. One mean is a vector.")
    mu1 = checks.real(mu1, "mu1")
    if mu1.shape != mu0.shape:
        raise ValueError(f"mu0 and mu1 must have one shape, got {mu0.shape} and {mu1.shape}. Make them alike.")
    return mu0, checks.triangular(L0, "L0", mu0.shape), mu1, checks.triangular(L1, "L1", mu0.shape)
