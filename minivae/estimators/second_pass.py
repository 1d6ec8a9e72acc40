"""Estimators for discrete codes that look at the cost f once more, at other codes than those that were drawn.

Three weights a draw do not say what these do, so they give a gradient for the head of their own: a row for each draw,
counted as the decoder counts it. With z the draw, s = z - theta its score, y the real numbers whose rounding z is,
zeta = relaxed(y / temperature) a code between the states, and J the derivative of ``relaxed``:

    straight-through  J(theta) f'(z)                                            biased Bengio et al.
    gumbel-softmax    J(zeta) f'(zeta) / temperature dy/dhead                   biased Jang et al.; Maddison et al.
    muprop            [f(z) - f(theta) - f'(theta) . (z - theta)] s + J(theta) f'(theta)          Gu et al.
    arm               (f(z) - f(z')) (u - 1/2)           z' the bits of the noise 1 - u           Yin, Zhou
    disarm            1/2 (f(z) - f(z')) (z - z') sigmoid(|phi|): arm's mean given the two codes  Dong et al.

The decoder learns from the draws, whatever the encoder does. For bits the Gumbel-softmax's bias is

    temperature theta (1 - theta) (2 theta - 1) times the integral of y d[f(sigmoid(y))], and terms of second order.

``control`` has the two with a control variate that learns, REBAR and RELAX.

References
----------
Y. Bengio, N. Leonard, A. Courville, "Estimating or propagating gradients through stochastic neurons", 2013.
E. Jang, S. Gu, B. Poole, "Categorical reparameterization with Gumbel-softmax", 2017.
C. Maddison, A. Mnih, Y. W. Teh, "The concrete distribution", 2017.
S. Gu, S. Levine, I. Sutskever, A. Mnih, "MuProp: unbiased backpropagation for stochastic neural networks", 2016.
M. Yin, M. Zhou, "ARM: augment-REINFORCE-merge gradient for stochastic binary networks", 2019.
Z. Dong, A. Mnih, G. Tucker, "DisARM: an antithetic gradient estimator for binary latent variables", 2020.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from minivae.core.arrays import Array, sigmoid
from minivae.distributions.protocols import Relaxable
from minivae.estimators.weights import ESTIMATORS, Draws, Estimator, Weights


class CostAt(Protocol):
    """A cost f at codes z of shape (K, B, L): a function of each code that is smooth between the states, too."""

    @property
    def value(self) -> Array:
        """f(z), shape (K, B)."""

    def slope(self) -> Array:
        """Return df/dz, shape (K, B, L)."""

    def bend(self, along: Array) -> Array:
        """Return the derivative of the slope along a direction of z, shape (K, B, L)."""


@dataclass
class SecondPass:
    """Draws of a discrete posterior, and the cost to be looked at anywhere.

    Attributes
    ----------
    posterior : Relaxable
    head : array of shape (B, H)
        Logits, one for each entry of z.
    eps, z : array of shape (K, B, L)
        Noise, and the codes that it makes.
    f : array of shape (K, B)
        The cost there, which is raised.
    cost : callable
        From codes of shape (K, B, L) to the cost there.
    """

    posterior: Relaxable
    head: Array
    eps: Array
    z: Array
    f: Array
    cost: Callable[[Array], CostAt]

    @cached_property
    def theta(self) -> Array:
        """The mean of q(z|x), shape (B, L)."""
        return self.posterior.relaxed(self.head)

    @cached_property
    def score(self) -> Array:
        """d log q / dhead of each draw, shape (K, B, H): of logits it is z - theta."""
        return self.z - self.theta

    @cached_property
    def y(self) -> Array:
        """The real numbers whose rounding z is."""
        return self.posterior.behind(self.head, self.eps)


def straight_through(seen: SecondPass, control: Any, temperature: float) -> Array:  # noqa: ARG001
    """Return J(theta) f'(z), shape (K, B, H): as if the draw were its mean."""
    return seen.posterior.relaxed_backward(seen.theta, seen.cost(seen.z).slope())


def gumbel_softmax(seen: SecondPass, control: Any, temperature: float) -> Array:  # noqa: ARG001
    """Return the path's gradient of f(zeta), shape (K, B, H): of another function than f of the draw."""
    t = seen.head.dtype.type(temperature)
    zeta = seen.posterior.relaxed(seen.y / t)
    dy = seen.posterior.relaxed_backward(zeta, seen.cost(zeta).slope()) / t
    return seen.posterior.behind_backward(seen.head, dy)


def muprop(seen: SecondPass, control: Any, temperature: float) -> Array:  # noqa: ARG001
    """Return the score of what a line through f at the mean leaves, and that line's own gradient; (K, B, H)."""
    at_mean = seen.cost(seen.theta[None])
    slope = at_mean.slope()
    left = seen.f - at_mean.value - np.sum(slope * seen.score, axis=2)
    return left[:, :, None] * seen.score + seen.posterior.relaxed_backward(seen.theta, slope)


def _opposite(seen: SecondPass) -> tuple[Array, Array]:
    """Return the bits z' of the noise 1 - u, and f(z) - f(z'), shape (K, B, 1)."""
    other = (1 - seen.eps > 1 - seen.theta).astype(seen.z.dtype)
    return other, (seen.f - seen.cost(other).value)[:, :, None]


def arm(seen: SecondPass, control: Any, temperature: float) -> Array:  # noqa: ARG001
    """Return (f(z) - f(z')) (u - 1/2), shape (K, B, H)."""
    _, difference = _opposite(seen)
    return difference * (seen.eps - seen.eps.dtype.type(0.5))


def disarm(seen: SecondPass, control: Any, temperature: float) -> Array:  # noqa: ARG001
    """Return 1/2 (f(z) - f(z')) (z - z') sigmoid(|phi|), shape (K, B, H)."""
    other, difference = _opposite(seen)
    return difference * (seen.z - other) * (sigmoid(np.abs(seen.head)) / 2)


def counted_as_drawn(draws: Draws, baseline: Any) -> Weights:  # noqa: ARG001
    """Return the weights of an estimator whose head gradient is its own: the decoder learns from the draws.

    >>> share = np.full((2, 1), 0.5)
    >>> counted_as_drawn(Draws(share, share, None, share), 0.0).decoder.ravel()
    array([0.5, 0.5])
    """
    return Weights(draws.share)


OF_CODES: dict[str, Any] = {"kl": ("closed",), "needs": "behind"}  # what all rows of a second pass say
ESTIMATORS.add("straight-through", Estimator(counted_as_drawn, own=straight_through, biased=True, **OF_CODES))
ESTIMATORS.add(
    "gumbel-softmax", Estimator(counted_as_drawn, own=gumbel_softmax, biased=True, temperature=0.5, **OF_CODES)
)
ESTIMATORS.add("muprop", Estimator(counted_as_drawn, own=muprop, **OF_CODES))
ESTIMATORS.add("arm", Estimator(counted_as_drawn, own=arm, **OF_CODES | {"needs": "antithetic"}))
ESTIMATORS.add("disarm", Estimator(counted_as_drawn, own=disarm, **OF_CODES | {"needs": "antithetic"}))
