"""The gradient of E[f(z)] for the logits of a discrete z, one row a draw, by any estimator of the table."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array
from minivae.distributions.protocols import Relaxable
from minivae.estimators.baselines import Centred
from minivae.estimators.costs import known, slopes, values
from minivae.estimators.objectives import Elbo, check_path
from minivae.estimators.second_pass import SecondPass
from minivae.estimators.weights import ESTIMATORS, Draws, even_share


@dataclass(frozen=True)
class QuadraticForm:
    """f(z) = a + c . z + z^T Q z for each row of z, (K, D): of bits and of numbers between them.

    Examples
    --------
    >>> f = QuadraticForm(0.25, [-1.0], [[1.0]])  # (z - 1/2)^2
    >>> f.value(np.array([[1.0], [0.5]]))
    array([0.25, 0.  ])
    """

    a: float
    c: Any
    Q: Any

    def __post_init__(self) -> None:
        checks.number(self.a, "a", low=-np.inf)
        object.__setattr__(self, "c", checks.real(self.c, "c", (None,)))
        object.__setattr__(self, "Q", checks.real(self.Q, "Q", (len(self.c), len(self.c))))

    def value(self, z: Array) -> Array:
        """Return f(z), shape (K,)."""
        z = checks.look(z, "z", (None, len(self.c)))
        return self.a + z @ self.c + np.einsum("ki,ij,kj->k", z, self.Q, z)

    def gradient(self, z: Array) -> Array:
        """Return c + (Q + Q^T) z, shape (K, D)."""
        return self.c + checks.look(z, "z", (None, len(self.c))) @ (self.Q + self.Q.T)

    def bend(self, z: Array, along: Array) -> Array:  # noqa: ARG002
        """Return the derivative of the gradient along a direction of each row: (Q + Q^T) along."""
        return checks.look(along, "along", (None, len(self.c))) @ (self.Q + self.Q.T)


def squared_distance(t: float) -> QuadraticForm:
    """Return f(b) = (b - t)^2 of one bit.

    >>> squared_distance(0.25).value(np.array([[1.0], [0.0]]))
    array([0.5625, 0.0625])
    """
    t = checks.number(t, "t", low=-np.inf)
    return QuadraticForm(t * t, [-2 * t], [[1.0]])


@dataclass
class CostOfRows:
    """A cost of rows (``Cost``, with a ``bend`` where a temperature is to learn) at codes of shape (K, B, L)."""

    cost: Any
    z: Array

    def __post_init__(self) -> None:
        self._rows = np.ascontiguousarray(self.z).reshape(-1, self.z.shape[2])
        self.value = values(self.cost, self._rows).reshape(self.z.shape[:2])

    def slope(self) -> Array:
        """Return df/dz."""
        return slopes(self.cost, self._rows).reshape(self.z.shape)

    def bend(self, along: Array) -> Array:
        """Return the derivative of the slope along a direction."""
        return known(self.cost, "bend").bend(self._rows, along.reshape(self._rows.shape)).reshape(self.z.shape)


def seen_at(posterior: Relaxable, head: Array, eps: Array, cost: Any) -> SecondPass:
    """Return the draws that the noise (K, L) makes for logits of shape (L,), and the cost anywhere.

    >>> from minivae.distributions import Bits
    >>> seen_at(Bits(1), np.zeros(1), np.array([[0.2], [0.7]]), squared_distance(0.0)).f.ravel()
    array([0., 1.])
    """
    head, eps = checks.real(head, "head", (posterior.n_latent,)), checks.real(eps, "eps", (None, posterior.n_latent))
    z, _, _ = posterior.sample(np.empty(0), head[None], eps[:, None])
    return SecondPass(posterior, head[None], eps[:, None], z, CostOfRows(cost, z).value, _at(cost))


def _at(cost: Any) -> Callable[[Array], CostOfRows]:
    return lambda z: CostOfRows(cost, z)


def code_gradients(
    estimator: str,
    cost: Any,
    posterior: Relaxable,
    head: Any,
    eps: Any,
    *,
    baseline: Any = 0.0,
    temperature: float | None = None,
) -> Array:
    """Return the gradient of E[f(z)] for the logits by each draw, shape (K, L).

    Parameters
    ----------
    estimator : str
        A name in ``mv.estimators.ESTIMATORS`` that raises an ELBO, and suits the posterior.
    cost : Cost
        With value(z) and gradient(z) for rows z anywhere between the codes; REBAR and RELAX also take ``bend``.
    posterior : Relaxable
        ``Bits`` or ``Categorical``.
    head : array of shape (L,)
        The logits.
    eps : array of shape (K, L)
        Uniform noise. An estimator that takes several draws at once has all of them as one group.
    baseline : optional
        Taken off f by the score function: a number, or one for each logit, shape (L,); for NVIL ``Centred``, for REBAR
        and RELAX a ``Control``.
    temperature : float, optional

    Examples
    --------
    >>> from minivae.distributions import Bits
    >>> code_gradients("arm", squared_distance(0.45), Bits(1), [0.0], [[0.8], [0.2]]).round(12).ravel()
    array([0.03, 0.03])
    """
    row = ESTIMATORS.choose(estimator)
    checks.has(posterior, ("behind", "relaxed"), "posterior", "a discrete posterior", "Bits(3)")
    check_path(estimator, posterior)
    objective = Elbo(estimator, temperature=temperature)
    known(cost)
    posterior.check_noise(checks.real(eps, "eps"))
    seen = seen_at(posterior, checks.real(head, "head"), checks.real(eps, "eps"), cost)
    if len(seen.f) < row.least_draws:
        raise ValueError(
            f"eps must hold at least {row.least_draws} draws for {estimator!r}, got {len(seen.f)}. Draw more."
        )
    if row.own is not None:
        own = row.own(seen, baseline, objective.temperature or row.temperature or 1.0)
        return own[:, 0]
    if row.enumerates:
        raise ValueError(f"estimator must be one that draws, got {estimator!r}. Use code_moments for exact values.")
    c = baseline_of(baseline, posterior.n_latent)
    share = even_share(len(seen.f), 1, float(len(seen.f)), seen.f.dtype)
    by_logit = estimator == "score" and np.ndim(c) == 1
    counts = row.weights(Draws(seen.f, np.zeros_like(seen.f), None, share), 0.0 if by_logit else c)
    signal = np.asarray(counts.score)[:, :, None] - (c if by_logit else 0.0)
    return (signal * seen.score)[:, 0]


def baseline_of(value: Any, n_latent: int) -> Any:
    """Return a baseline as NVIL takes it, or a number, or one for each logit, shape (L,).

    >>> baseline_of([1, 2], 2)
    array([1., 2.])
    """
    if isinstance(value, Centred):
        return value
    c = checks.real(value, "baseline")
    if c.shape not in ((), (n_latent,)):
        raise ValueError(
            f"baseline must be a number or one for each of {n_latent} logits, got shape {c.shape}. Give one."
        )
    return c
