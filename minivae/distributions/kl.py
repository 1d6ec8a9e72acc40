"""KL(q(z|x) || p(z)) where it has a closed form: a table of pairs, with the gradient beside each formula.

A pair that is not in the table has its KL sampled: log q(z|x) - log p(z) at the draws.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np

from minivae.core import checks, kernels
from minivae.core.arrays import Array, sigmoid
from minivae.distributions.bits import Bits
from minivae.distributions.diagonal import DiagonalGaussian
from minivae.distributions.fixed import FixedGaussian
from minivae.distributions.priors import FairBits, StandardNormal
from minivae.distributions.protocols import Posterior, Prior


class ClosedKl(Protocol):
    """The KL of a posterior from a prior, in nats, as functions of the head and of the prior's own parameters."""

    def value(self, prior: Array, head: Array) -> Array:
        """Return the KL of each example, shape (B,)."""

    def per_latent(self, prior: Array, head: Array) -> Array:
        """Return its terms, shape (B, L); the rows sum to ``value``."""

    def backward(self, prior: Array, head: Array, dkl: Array, dprior: Array) -> Array:
        """Overwrite the prior's gradient and return dhead, through ``value``.

        A formula that free bits can use has also ``backward_per_latent``: the same through ``per_latent``, for dkl of
        shape (B, L).
        """


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
