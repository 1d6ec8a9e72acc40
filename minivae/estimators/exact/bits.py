"""E[f(b)] of a few independent bits by enumeration: exact gradients, and exact variances of their estimates."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array, log_mean_exp, sigmoid
from minivae.distributions.bits import MOST_STATES, all_states
from minivae.estimators.moments import Moments, leave_one_out_excess
from minivae.estimators.signals import leave_one_out

_MOST_BITS = MOST_STATES.bit_length() - 1


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
        q, s = self._states
        return of_states(q, s, self.f, n_draws)

    def arm(self) -> Moments:
        """Return mean and variance of one draw of ARM, (f(b) - f(b')) (u - 1/2), b' the bits of the noise 1 - u.

        A second moment is a sum over pairs of codes (b, b') of (f(b) - f(b'))^2 times a product over the bits: 2 n
        steps of a pair of bits each, in place of 4^n pairs. Of one bit both are 1 with probability
        max(0, 2 theta - 1), both 0 with max(0, 1 - 2 theta), and each way of differing has m = min(theta, 1 - theta):
        there |u - 1/2| is uniform between 1/2 - m and 1/2, and where they agree between 0 and 1/2 - m.
        """
        m = np.minimum(sigmoid(self.phi), sigmoid(-self.phi))
        apart = (1 - (1 - 2 * m) ** 3) / 24  # E (u - 1/2)^2 where b > b', and where b < b'
        return self._antithetic(apart, (1 - 2 * m) ** 3 / 12)

    def disarm(self) -> Moments:
        """Return mean and variance of one draw of DisARM, ARM's mean given the codes: |u - 1/2| becomes (1 - m) / 2."""
        m = np.minimum(sigmoid(self.phi), sigmoid(-self.phi))
        return self._antithetic(m * ((1 - m) / 2) ** 2, np.zeros_like(m))

    def _antithetic(self, apart: Array, alike: Array) -> Moments:
        """Return the moments, given each bit's own square where it differs from its opposite, and where it agrees."""
        theta = sigmoid(self.phi)
        m = np.minimum(theta, 1 - theta)
        n = len(theta)
        both, neither = np.maximum(2 * theta - 1, 0), np.maximum(1 - 2 * theta, 0)
        pairs = np.stack([np.stack([neither, m], axis=1), np.stack([m, both], axis=1)], axis=1)  # (n, b, b')
        square = np.empty(n)
        for j in range(n):
            own = pairs.copy()
            one = theta[j] > 0.5
            own[j] = [[0.0 if one else alike[j], apart[j]], [apart[j], alike[j] if one else 0.0]]
            marginal = self.f**2 @ _product_of(own, np.ones(len(self.f)))  # symmetric: of b and of b'
            square[j] = 2 * marginal - 2 * self.f @ _product_of(own, self.f)
        mean = self.gradient
        return Moments(mean, np.maximum(square - mean**2, 0))

    def vimco(self, n_draws: int) -> Moments:
        """Return mean and variance of VIMCO's gradient for L_K = E log (1/K) sum_k exp(f(b_k)), log w = f given.

            sum_k (L - L_k) s_k - v_k s_k,   v_k = exp(f_k) / sum_j exp(f_j):

        f stands for log p(x, b) - log q(b), so that d f / dphi = -s. The sum is over all K-tuples of states.
        """
        n_draws = checks.width(n_draws, "n_draws")
        if n_draws < 2:
            raise ValueError("n_draws must be at least 2, got 1: a single draw has no others. Use n_draws=2 or more.")
        if n_draws * len(self.phi) > _MOST_BITS:
            raise ValueError(
                f"n_draws must be at most {_MOST_BITS // len(self.phi)} to enumerate all groups of draws of "
                f"{len(self.phi)} bits, got {n_draws}. Draw them instead."
            )
        q, s = self._states
        index = np.indices((len(q),) * n_draws).reshape(n_draws, -1)
        f, w = self.f[index], q[index].prod(axis=0)
        others = leave_one_out(f)
        bound = log_mean_exp(f)
        rows = np.zeros((len(w), len(self.phi)))
        for k in range(n_draws):
            replaced = f.copy()
            replaced[k] = others[k]
            share = np.exp(f[k] - bound) / n_draws
            rows += (bound - log_mean_exp(replaced) - share)[:, None] * s[index[k]]
        mean = w @ rows
        return Moments(mean, w @ (rows - mean) ** 2)


def _product_of(pairs: Array, f: Array) -> Array:
    """Return sum over b' of prod_j pairs[j, b_j, b'_j] f(b'), shape (2^n,), bit after bit."""
    g = f.reshape((2,) * len(pairs))
    for j, pair in enumerate(pairs):
        g = np.moveaxis(np.tensordot(pair, g, axes=(1, j)), 0, j)
    return g.reshape(-1)


def of_states(q: Array, s: Array, f: Array, n_draws: int) -> Moments:
    """Return what ``BernoulliExpectation.leave_one_out`` does, of states with probabilities q (S,), scores s and f.

    >>> moments = of_states(np.full(2, 0.5), np.array([[-0.5], [0.5]]), np.array([4.0, 1.0]), 2)
    >>> moments.mean
    array([-0.75])
    """
    if checks.width(n_draws, "n_draws") < 2:
        raise ValueError("n_draws must be at least 2, got 1: a single draw has no others. Use n_draws=2 or more.")
    centred = (f - q @ f)[:, None] * s
    mean = q @ centred
    excess = leave_one_out_excess(q @ (f - q @ f) ** 2, q @ s**2, mean**2, n_draws)
    return Moments(mean, (q @ (centred - mean) ** 2 + excess) / n_draws)
