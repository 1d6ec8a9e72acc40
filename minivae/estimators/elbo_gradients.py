"""How the gradient of E_q reaches the encoder's head: along the path of the draw, or through the score of q(z|x).

With a_k the weight of draw k, the loss holds for each example, besides a closed KL,

    sum_k a_k f_k,   f_k = log p(x|z_k) - beta [log q(z_k|x) - log p(z_k)]     (the bracket where kl is "sampled")

    estimator          d / d head
    pathwise           through z_k(eps), and through the head in log q: the total derivative
    path-derivative    through z_k(eps) only: d log q / d head at fixed z has mean zero, so it may be left out
    score...           (f_k - c) d log q(z_k|x) / d head at fixed z_k
"""

from typing import Any, Literal

from minivae.core import checks
from minivae.core.arrays import Array
from minivae.distributions.priors import prior_log_prob
from minivae.distributions.protocols import Posterior

KlMode = Literal["closed", "sampled"]


KL_MODES: tuple[KlMode, ...] = ("closed", "sampled")


ElboEstimator = Literal["pathwise", "path-derivative", "score", "score-leave-one-out"]


ELBO_ESTIMATORS: tuple[ElboEstimator, ...] = ("pathwise", "path-derivative", "score", "score-leave-one-out")


def check_estimator(estimator: Any, kl: Any, n_draws: int) -> None:
    """Refuse an unknown estimator or KL, and combinations that cannot exist."""
    checks.choice(kl, KL_MODES, "kl")
    checks.choice(estimator, ELBO_ESTIMATORS, "estimator")
    if estimator == "path-derivative" and kl == "closed":
        raise ValueError(
            "kl must be 'sampled' for the path derivative, which leaves out a part of log q(z|x) at the draw, got "
            "'closed'. Use kl='sampled', or estimator='pathwise'."
        )
    if estimator == "score-leave-one-out" and n_draws < 2:
        raise ValueError(
            "n_draws must be at least 2 for a leave-one-out baseline, got 1: a single draw has no others. Use "
            "n_draws=2 or more, or estimator='score' with a baseline."
        )


def draw_values(log_lik: Array, log_q: Array, z: Array, kl_weight: Any) -> Array:
    """Return f of each draw, shape (K, B); kl_weight is beta where the KL is sampled, else 0."""
    return log_lik - kl_weight * (log_q - prior_log_prob(z)) if kl_weight else log_lik


def path_gradient(
    posterior: Posterior, head: Array, path: Any, z: Array, a: Array, dz: Array, kl_weight: Any, total: bool
) -> Array:
    """Return d/dhead of sum_k a_k f_k along the path, shape (B, n_head).

    Parameters
    ----------
    posterior : Posterior
    head : array of shape (B, n_head)
    path : object
        The cache of ``posterior.sample``.
    z : array of shape (K, B, L)
    a : array of shape (K, B)
    dz : array of shape (K, B, L)
        a_k d log p(x|z_k) / dz_k.
    kl_weight : scalar
        As in ``draw_values``.
    total : bool
        Take the head in log q along; else only the path.
    """
    dlog_q = -kl_weight * a
    if kl_weight:
        dz = dz + dlog_q[:, :, None] * z  # d log p(z) / dz = -z
        if not total:
            dz = dz + posterior.log_prob_backward(head, z, dlog_q)[1]
            dlog_q = 0 * dlog_q
    return posterior.backward(path, dz, dlog_q)
