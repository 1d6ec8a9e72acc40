"""E[f(b)] of a few independent bits by enumeration: exact gradients, and exact variances of their estimates."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array, sigmoid
from minivae.distributions.bits import all_states
from minivae.estimators.moments import Moments, leave_one_out_excess


@dataclass(frozen=True)
class BernoulliExpectation:
    """E[f(b)] of independent bits with logits phi, and the moments of estimates of its gradient, by enumeration.

        theta = sigmoid(phi),   score s = b - theta,   d E f / dphi = E[f s]

    Parameters
    ----------
    phi : array of shape (n,)
    f : array of shape (2^n,)
        The cost of each state, in the order of ``all_states``.

    Raises
    ------
    ValueError
        If the shapes do not fit, or a value is not finite.

    Examples
    --------
    >>> f = BernoulliExpectation(np.array([0.0]), np.array([4.0, 1.0]))
    >>> f.gradient  # theta (1 - theta) (f(1) - f(0))
    array([-0.75])
    >>> f.optimal_baseline, f.score(f.optimal_baseline).variance  # of a single bit: no noise is left
    (array([2.5]), array([0.]))
    """

    phi: Array
    f: Array

    def __post_init__(self) -> None:
        for name in ("phi", "f"):
            object.__setattr__(self, name, checks.real(getattr(self, name), name))
        if self.phi.ndim != 1 or not self.phi.size or self.f.shape != (2 ** len(self.phi),):
            raise ValueError(
                f"f must have shape (2^n,) for phi of shape (n,), got {self.f.shape} and {self.phi.shape}. "
                f"Give the cost of each row of all_states(n)."
            )

    @cached_property
    def _states(self) -> tuple[Array, Array]:
        """Probabilities (2^n,) and scores (2^n, n)."""
        b = all_states(len(self.phi))
        return np.exp(b @ self.phi - np.logaddexp(0, self.phi).sum()), b - sigmoid(self.phi)

    @property
    def mean(self) -> float:
        """E[f]."""
        return float(self._states[0] @ self.f)

    @property
    def gradient(self) -> Array:
        """The exact dE[f]/dphi, shape (n,)."""
        q, s = self._states
        return (q * self.f) @ s

    @property
    def optimal_baseline(self) -> Array:
        """c* = E[f s^2] / E[s^2], shape (n,); of a single bit (1 - theta) f(1) + theta f(0)."""
        q, s = self._states
        return (q * self.f) @ s**2 / (q @ s**2)

    def score(self, baseline: float | Array = 0.0) -> Moments:
        """Return mean and variance of one draw of (f - c) s, shape (n,), for one c or one for each coordinate."""
        q, s = self._states
        baseline = checks.real(baseline, "baseline")
        if baseline.shape not in ((), self.phi.shape):
            raise ValueError(
                f"baseline must be a number or one for each of the {len(self.phi)} bits, got shape {baseline.shape}. "
                f"Give one c for each coordinate."
            )
        rows = (self.f[:, None] - baseline) * s
        mean = q @ rows
        return Moments(mean, q @ (rows - mean) ** 2)

    def leave_one_out(self, n_draws: int) -> Moments:
        """Return mean and variance of 1/K sum_k (f_k - mean of the other f) s_k, shape (n,), K = n_draws.

        variance = [E (f - E f)^2 s^2 - g^2 + Var f E s^2 / (K-1)] / K + g^2 / (K (K-1)),   g = E[f s]:

        the mean baseline's, what estimating the mean costs, and the covariance that sharing the draws makes.
        """
        n_draws = checks.width(n_draws, "n_draws")
        if n_draws < 2:
            raise ValueError("n_draws must be at least 2, got 1: a single draw has no others. Use n_draws=2 or more.")
        q, s = self._states
        centred = self.score(self.mean)
        variance = q @ (self.f - self.mean) ** 2
        excess = leave_one_out_excess(variance, q @ s**2, centred.mean**2, n_draws)
        return Moments(centred.mean, (centred.variance + excess) / n_draws)
