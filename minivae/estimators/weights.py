"""An estimator of the ELBO's gradient is three weights a draw; one backward pass serves them all.

With K draws z_k of q(z|x), f_k = log p(x|z_k) + beta [log p(z_k) - log q(z_k|x)], the bracket where the KL is sampled
(a closed KL has a gradient of its own), each estimator says what draw k counts for

    the decoder  a_k   in d f_k / d(decoder)
    the path     p_k   in (d f_k / dz) (dz / dhead), z differentiated through the draw
    the score    s_k   in d log q(z_k|x) / dhead at fixed z_k

                              decoder  path  score
    pathwise                  1/K      1/K   -beta/K (0 with a closed KL): with the path, the total derivative
    path-derivative           1/K      1/K   0                        "sticking the landing", by Roeder et al.
    score                     1/K      0     (f_k - c) / K            c a baseline that does not depend on these draws
    score-moving-average      1/K      0     the same, c the average of earlier steps
    score-learned             1/K      0     the same, c(x) a network that learns along
    score-leave-one-out       1/K      0     (f_k - mean of the other f) / K
    exact                     q_k      0     q_k f_k                  every state z_k of a discrete q(z|x)

A new estimator is a function from ``Draws`` to ``Weights``, and a row of this table.

References
----------
G. Roeder, Y. Wu, D. Duvenaud, "Sticking the landing", 2017.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array
from minivae.core.registry import Table
from minivae.estimators.baselines import Baseline, LearnedBaseline, MovingAverage
from minivae.estimators.signals import leave_one_out_signal

KlMode = Literal["closed", "sampled"]
KL_MODES: tuple[KlMode, ...] = ("closed", "sampled")


@dataclass
class Draws:
    """K draws of each of B examples, as the estimators see them.

    Attributes
    ----------
    log_lik, log_q : array of shape (K, B)
        log p(x|z) and log q(z|x).
    log_prior : array of shape (K, B), or None
        log p(z); None where the KL is closed, and nothing needs it.
    share : array of shape (K, B)
        What each draw counts in what is differentiated: 1 / K of an ELBO, and -1 / (K B) of a loss.
    beta : float
        Weight of the KL.
    """

    log_lik: Array
    log_q: Array
    log_prior: Array | None
    share: Array
    beta: float = 1.0

    @property
    def kl_weight(self) -> Any:
        """beta where the KL is sampled, 0 where it is closed, in the draws' dtype."""
        return self.log_lik.dtype.type(0.0 if self.log_prior is None else self.beta)

    @property
    def f(self) -> Array:
        """f_k, shape (K, B)."""
        if self.log_prior is None or not self.beta:
            return self.log_lik
        return self.log_lik + self.kl_weight * (self.log_prior - self.log_q)


@dataclass(frozen=True)
class Weights:
    """The three weights, each of shape (K, B), in units of ``Draws.share``.

    ``path`` None is zero. ``score`` None is -beta times the path's where the KL is sampled, and zero where it is
    closed: together with the path, the total derivative.
    """

    decoder: Array
    path: Array | None = None
    score: Array | None = None


@dataclass(frozen=True)
class Estimator:
    """A row of the table.

    Parameters
    ----------
    weights : callable
        From the draws and a baseline (a number, or one for each example) to ``Weights``.
    has_path : bool
        Whether it goes through the draw: not possible where a posterior has none.
    kl : tuple of str
        The ways of the KL that it can use.
    least_draws, usual_draws : int
        Draws that it needs, and that are taken unless said otherwise.
    enumerates : bool
        Whether its draws are all the states of z.
    rule : callable, optional
        From the width of x to the baseline that is learnt along the way.
    """

    weights: Callable[[Draws, Any], Weights]
    has_path: bool = False
    kl: tuple[KlMode, ...] = KL_MODES
    least_draws: int = 1
    usual_draws: int = 1
    enumerates: bool = False
    rule: Callable[[int], Baseline] | None = None


def _pathwise(draws: Draws, baseline: Any) -> Weights:  # noqa: ARG001
    return Weights(draws.share, draws.share)


def _path_derivative(draws: Draws, baseline: Any) -> Weights:  # noqa: ARG001
    return Weights(draws.share, draws.share, np.zeros_like(draws.share))


def _score(draws: Draws, baseline: Any) -> Weights:
    f = draws.f
    c = checks.baseline(baseline, f.shape[1], f.dtype)
    return Weights(draws.share, score=draws.share * (f - c))


def _leave_one_out(draws: Draws, baseline: Any) -> Weights:  # noqa: ARG001
    return Weights(draws.share, score=draws.share * leave_one_out_signal(draws.f))


def _exact(draws: Draws, baseline: Any) -> Weights:  # noqa: ARG001
    return Weights(draws.share, score=draws.share * draws.f)


ESTIMATORS: Table[Estimator] = Table("estimator")
ESTIMATORS.add("pathwise", Estimator(_pathwise, has_path=True))
ESTIMATORS.add("path-derivative", Estimator(_path_derivative, has_path=True, kl=("sampled",)))
ESTIMATORS.add("score", Estimator(_score))
ESTIMATORS.add("score-leave-one-out", Estimator(_leave_one_out, least_draws=2, usual_draws=4))
ESTIMATORS.add("score-moving-average", Estimator(_score, rule=lambda _: MovingAverage()))
ESTIMATORS.add("score-learned", Estimator(_score, rule=LearnedBaseline.mlp))
ESTIMATORS.add("exact", Estimator(_exact, enumerates=True))


@lru_cache(maxsize=16)
def even_weights(n_draws: int, dtype: Any) -> Array:
    """Return the weights of a mean over draws that count alike, 1 / K each, shape (K,). Not to be written to.

    >>> even_weights(2, np.dtype(float))
    array([0.5, 0.5])
    """
    return np.full(n_draws, 1 / n_draws, dtype)


@lru_cache(maxsize=16)
def even_share(n_draws: int, n_batch: int, total: float, dtype: Any) -> Array:
    """Return the share of draws that count alike: total / K each, shape (K, B). Not to be written to.

    >>> even_share(2, 1, 1.0, np.dtype(float))
    array([[0.5],
           [0.5]])
    """
    return np.full((n_draws, n_batch), total / n_draws, dtype)
