"""An estimator of the gradient of a bound is three weights a draw; one backward pass serves them all.

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
    nvil                      1/K      0     (f_k - c(x) - c) / max(1, sd) / K     sd the spread of f; kl sampled
    exact                     q_k      0     q_k f_k                  every state z_k of a discrete q(z|x)

These raise the ELBO. The K-sample bound is log (1/K) sum_k w_k, w_k = exp(f_k) with a sampled KL and beta = 1; let L be
its value at these draws and v_k = w_k / sum_j w_j the share of a draw in it. What raises its expectation:

                              decoder  path   score
    iwae                      v_k      v_k    -v_k            the total derivative, by Burda et al.
    iwae-stl                  v_k      v_k    0               biased where K > 1
    iwae-dreg                 v_k      v_k^2  0               "doubly reparameterized": no bias, by Tucker et al.
    iwae-score                v_k      0      L - c - v_k
    iwae-vimco                v_k      0      L - L_k - v_k   L_k is L with f_k replaced by the mean of the other f

Those that look at f a second time, at other codes, give a gradient of their own for the head: ``second_pass``.

A new estimator is a function from ``Draws`` to ``Weights``, and a row of this table.

References
----------
G. Roeder, Y. Wu, D. Duvenaud, "Sticking the landing", 2017.
Y. Burda, R. Grosse, R. Salakhutdinov, "Importance weighted autoencoders", 2016.
G. Tucker, D. Lawson, S. Gu, C. Maddison, "Doubly reparameterized gradient estimators", 2019.
A. Mnih, K. Gregor, "Neural variational inference and learning in belief networks", 2014: nvil.
A. Mnih, D. Rezende, "Variational inference for Monte Carlo objectives", 2016.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array
from minivae.core.errors import NonFiniteError
from minivae.core.registry import Table
from minivae.estimators.baselines import Baseline, Centred, LearnedBaseline, MovingAverage, NormalisedBaseline
from minivae.estimators.signals import leave_one_out, leave_one_out_signal

KlMode = Literal["closed", "sampled"]
KL_MODES: tuple[KlMode, ...] = ("closed", "sampled")
BoundName = Literal["elbo", "iwae"]


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
    closed: together with the path, the total derivative. ``own``, where it is given, stands for both: from a
    ``SecondPass`` to a gradient for the head, a row for each draw, counted as the decoder counts it.
    """

    decoder: Array
    path: Array | None = None
    score: Array | None = None
    own: Callable[[Any], Array] | None = None


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
    bound : {"elbo", "iwae"}
        What it raises: the ELBO, or the K-sample bound.
    rule : callable, optional
        From the model to the baseline that is learnt along the way.
    own : callable, optional
        From a ``SecondPass``, what the rule predicts and the temperature to a gradient for the head, (K, B, H).
    biased : bool
        Whether its mean is another gradient than the objective's.
    temperature : float, optional
        The one that is usual, of an estimator that relaxes the draw.
    needs : str
        What a posterior must have for it, where not all do.
    """

    weights: Callable[[Draws, Any], Weights]
    has_path: bool = False
    kl: tuple[KlMode, ...] = KL_MODES
    least_draws: int = 1
    usual_draws: int = 1
    enumerates: bool = False
    bound: BoundName = "elbo"
    rule: Callable[[Any], Baseline] | None = None
    own: Callable[[Any, Any, float], Array] | None = None
    biased: bool = False
    temperature: float | None = None
    needs: str = "n_head"

    def suits(self, posterior: Any) -> bool:
        """Say whether it can be used with a posterior."""
        return (posterior.has_path or not self.has_path) and hasattr(posterior, self.needs)


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


def _nvil(draws: Draws, baseline: Any) -> Weights:
    known = baseline if isinstance(baseline, Centred) else Centred(baseline)
    f = draws.f
    c = checks.baseline(known.c, f.shape[1], f.dtype)
    return Weights(draws.share, score=draws.share * ((f - c) / f.dtype.type(max(1.0, known.spread))))


def _exact(draws: Draws, baseline: Any) -> Weights:  # noqa: ARG001
    return Weights(draws.share, score=draws.share * draws.f)


def shares_of_bound(f: Array, w: Array) -> tuple[Array, Array]:
    """Return L = log sum_k w_k exp(f_k), shape (B,), and the share of each draw in that sum, shape (K, B).

    Parameters
    ----------
    f : array of shape (K, B)
        Log-weights.
    w : array of shape (K,) or (K, B)
        Weights of a mean over the draws: 1 / K each.

    Raises
    ------
    NonFiniteError
        If no draw of an example has any weight, or a log-weight is NaN or +inf.

    Examples
    --------
    >>> value, share = shares_of_bound(np.log([[1.0], [3.0]]) - 1000, np.array([0.5, 0.5]))
    >>> (value + 1000).round(12), share.round(12).ravel()  # log 2
    (array([0.69314718]), array([0.25, 0.75]))
    """
    w = w if w.ndim == 2 else w[:, None]
    f = np.where(w == 0, f.dtype.type(-np.inf), f)  # what counts for nothing may be of any size
    top = np.max(f, axis=0)
    if not np.isfinite(top).all():
        none = int((top == -np.inf).sum())
        raise NonFiniteError(
            f"no draw of {none} of {top.size} examples has any weight: log w is -inf for each of the {len(f)} draws"
            if none
            else f"log w is NaN or +inf for {int((~np.isfinite(top)).sum())} of {top.size} examples",
            "The model calls these examples impossible: look at the scale of the data and the likelihood's variance.",
        )
    each = w * np.exp(f - top)  # the largest is of order one: nothing overflows, and not all of it underflows
    total = np.add.reduce(each, axis=0)
    return top + np.log(total), each / total


def _of_bound(draws: Draws) -> tuple[Array, Array, Array]:
    """Return what the bound counts for, (B,), its value, (B,), and the draws' shares in it, (K, B)."""
    total = np.add.reduce(draws.share, axis=0)
    value, share = shares_of_bound(draws.f, draws.share / total)
    return total, value, share


def _iwae(draws: Draws, baseline: Any) -> Weights:  # noqa: ARG001
    total, _, share = _of_bound(draws)
    counts = total * share
    return Weights(counts, counts)


def _iwae_stl(draws: Draws, baseline: Any) -> Weights:  # noqa: ARG001
    total, _, share = _of_bound(draws)
    counts = total * share
    return Weights(counts, counts, np.zeros_like(counts))


def _iwae_dreg(draws: Draws, baseline: Any) -> Weights:  # noqa: ARG001
    total, _, share = _of_bound(draws)
    counts = total * share
    return Weights(counts, counts * share, np.zeros_like(counts))


def _iwae_score(draws: Draws, baseline: Any) -> Weights:
    total, value, share = _of_bound(draws)
    c = checks.baseline(baseline, share.shape[1], share.dtype)
    return Weights(total * share, score=total * (value - c - share))


def _iwae_vimco(draws: Draws, baseline: Any) -> Weights:  # noqa: ARG001
    total, value, share = _of_bound(draws)
    f, mean = draws.f, draws.share / total
    others = leave_one_out(f)
    without = np.empty_like(share)  # L_k
    for k in range(len(f)):
        replaced = f.copy()
        replaced[k] = others[k]
        without[k], _ = shares_of_bound(replaced, mean)
    return Weights(total * share, score=total * (value - without - share))


ESTIMATORS: Table[Estimator] = Table("estimator")
ESTIMATORS.add("pathwise", Estimator(_pathwise, has_path=True))
ESTIMATORS.add("path-derivative", Estimator(_path_derivative, has_path=True, kl=("sampled",)))
ESTIMATORS.add("score", Estimator(_score))
ESTIMATORS.add("score-leave-one-out", Estimator(_leave_one_out, least_draws=2, usual_draws=4))
ESTIMATORS.add("score-moving-average", Estimator(_score, rule=lambda _: MovingAverage()))
ESTIMATORS.add("score-learned", Estimator(_score, rule=lambda model: LearnedBaseline.mlp(model.n_x)))
ESTIMATORS.add("nvil", Estimator(_nvil, kl=("sampled",), rule=lambda model: NormalisedBaseline.mlp(model.n_x)))
ESTIMATORS.add("exact", Estimator(_exact, enumerates=True))
_K_SAMPLE: dict[str, Any] = {"kl": ("sampled",), "bound": "iwae", "usual_draws": 5}
ESTIMATORS.add("iwae", Estimator(_iwae, has_path=True, **_K_SAMPLE))
ESTIMATORS.add("iwae-stl", Estimator(_iwae_stl, has_path=True, **_K_SAMPLE))
ESTIMATORS.add("iwae-dreg", Estimator(_iwae_dreg, has_path=True, **_K_SAMPLE))
ESTIMATORS.add("iwae-score", Estimator(_iwae_score, **_K_SAMPLE))
ESTIMATORS.add("iwae-vimco", Estimator(_iwae_vimco, least_draws=2, **_K_SAMPLE))


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
