"""Bounds and estimates from K importance samples: the IWAE bound, and log p(x) with its effective sample size.

Three names for three things: the ``elbo`` averages log-weights, the ``iwae_bound`` is the log of an average of
K weights, and ``log_marginal`` is that with so many draws that it serves as an estimate of log p(x), said
together with how many of the draws counted. ``models.annealing`` judges such estimates.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from minivae.core import checks, errors
from minivae.core.arrays import Array, log_mean_exp
from minivae.core.parallel import for_each_chunk, row_chunks
from minivae.core.trust import inside
from minivae.models.base import Variational, checked_rows

DRAWS_AT_ONCE = 16
_FEW = 2  # fewer draws that count are a collapse


class CollapsedWeightsWarning(UserWarning):
    """A single draw makes nearly all of an estimate: it is a loose lower bound on log p(x), and no estimate of it."""


@dataclass(frozen=True)
class LogMarginal:
    """Importance-sampled log p(x) of each example.

    Attributes
    ----------
    log_p : array of shape (B,)
        log (1/K) sum_k w_k in nats; its expectation is the IWAE bound L_K <= log p(x).
    ess : array of shape (B,)
        Effective sample size (sum w)^2 / sum w^2, between 1 and K. Where it is near 1 the estimate is still a
        bound in expectation, but a loose one.
    n_draws : int
        K.
    """

    log_p: Array
    ess: Array
    n_draws: int


@errors.spoken("log w")
def log_weights(model: Variational, params: Array, x: Array, eps: Array) -> Array:
    """Return log w = log p(x|z) + log p(z) - log q(z|x) at z(eps), shape (K, B), in nats.

    Parameters
    ----------
    model, params
        The model and its flat parameters.
    x : array of shape (B, n_x)
    eps : array of shape (K, B, n_latent), or (K, 1, n_latent) to share the draws

    Examples
    --------
    >>> import numpy as np
    >>> from minivae.models.vae import VAE
    >>> model = VAE.mlp(n_x=4, n_latent=1)
    >>> params = model.init(np.random.default_rng(0))
    >>> log_weights(model, params, np.ones((3, 4)), np.zeros((5, 3, 1))).shape
    (5, 3)
    """
    x = checked_rows(model, params, x)
    eps = checks.noise(eps, (len(x), model.posterior.n_latent), params.dtype)
    model.posterior.check_noise(checks.finite(eps, "eps"))
    return _log_weights(model, params, x, eps)


def _log_weights(model: Variational, params: Array, x: Array, eps: Array) -> Array:
    with inside(model):
        return model.draw(params, x, eps)[2].f


def iwae_bound(model: Variational, params: Array, x: Array, eps: Array) -> Array:
    """Return log (1/K) sum_k w_k of each example, shape (B,): one draw of the K-sample bound.

    E[iwae_bound] = L_K, and ELBO = L_1 <= L_2 <= ... <= log p(x) [1]_. K is the first axis of eps.

    Parameters
    ----------
    model, params, x, eps
        As in ``log_weights``.

    References
    ----------
    .. [1] Y. Burda, R. Grosse, R. Salakhutdinov, "Importance weighted autoencoders", 2016, theorem 1.

    Examples
    --------
    >>> import numpy as np
    >>> from minivae.models.vae import VAE
    >>> model = VAE.mlp(n_x=4, n_latent=1)
    >>> rng = np.random.default_rng(0)
    >>> iwae_bound(model, model.init(rng), np.ones((3, 4)), rng.standard_normal((50, 3, 1))).shape
    (3,)
    """
    return log_mean_exp(log_weights(model, params, x, eps), axis=0)


class RunningWeights:
    """Sums of the weights of B examples, draw after draw: memory does not grow with the number of draws.

    >>> sums = RunningWeights(1)
    >>> for log_w in (-1000.0, -1000.0, -np.inf):
    ...     sums.add(np.array([[log_w]]))
    >>> np.exp(sums.log_mean() + 1000).round(12), sums.ess()  # two draws of three count, and count alike
    (array([0.66666667]), array([2.]))
    """

    def __init__(self, n_batch: int) -> None:
        self.n_draws = 0
        self.top = np.full(n_batch, -np.inf)  # the largest log-weight so far
        self.total = np.zeros(n_batch)  # sum of w / exp(top), and of its square
        self.squares = np.zeros(n_batch)

    def add(self, log_w: Array) -> None:
        """Take in more draws, shape (K, B)."""
        log_w = log_w.astype(np.float64)
        new_top = np.maximum(self.top, log_w.max(axis=0))
        shift = np.where(new_top == -np.inf, 0.0, new_top)  # no draw of any weight yet: 0, not -inf - -inf
        shrink = np.exp(self.top - shift)
        w = np.exp(log_w - shift)
        self.total = self.total * shrink + w.sum(axis=0)
        self.squares = self.squares * shrink**2 + (w**2).sum(axis=0)
        self.top = new_top
        self.n_draws += len(log_w)

    def log_mean(self) -> Array:
        """Return the log of the mean weight, shape (B,); -inf where no draw has any weight."""
        with np.errstate(divide="ignore"):
            return np.where(self.top == -np.inf, -np.inf, self.top + np.log(self.total / self.n_draws))

    def ess(self) -> Array:
        """Return (sum w)^2 / sum w^2, shape (B,); 0 where no draw has any weight."""
        return np.divide(self.total**2, self.squares, out=np.zeros_like(self.total), where=self.squares != 0)


def _from_posterior(model: Variational, params: Array, x: Array, n_draws: int, rng: np.random.Generator) -> Array:
    eps = cast(Array, model.draw_noise(rng, n_draws, len(x), params.dtype))
    return _log_weights(model, params, x, eps)


def _from_prior(model: Any, params: Array, x: Array, n_draws: int, rng: np.random.Generator) -> Array:
    """Return log w = log p(x|z) at draws of the prior; far from the posterior it may well be -inf."""
    *_, decoder, likelihood = model.unpack(params)
    z = model.prior.sample(model.prior_params(params), n_draws * len(x), rng)
    with np.errstate(over="ignore", invalid="ignore"):
        out, _ = model.decoder.forward(decoder, z)
        return model.likelihood.log_prob(likelihood, out, x).reshape(n_draws, len(x))


PROPOSALS: dict[str, Callable[..., Array]] = {"posterior": _from_posterior, "prior": _from_prior}


def log_marginal(
    model: Variational, params: Array, x: Any, n_draws: int, rng: np.random.Generator, proposal: str = "posterior"
) -> LogMarginal:
    """Estimate log p(x) of each example by importance sampling.

        log p(x) ~ log (1/K) sum_k p(x|z_k) p(z_k) / q(z_k|x),   z_k ~ q(z|x)

    With the prior as the proposal the weights are p(x|z_k): plain Monte Carlo. One weight's relative variance is then
    exp(2 I(x; z)) - 1 on average over x of a linear-Gaussian model, I being the mutual information: K must grow
    exponentially with the nats that z carries. The sums are streamed, so memory does not grow with n_draws.

    Parameters
    ----------
    model, params
        The model and its flat parameters.
    x : array of shape (B, n_x)
    n_draws : int
        K.
    rng : numpy.random.Generator
    proposal : {"posterior", "prior"}
        Where the draws come from: q(z|x), or p(z).

    Returns
    -------
    LogMarginal

    Warns
    -----
    CollapsedWeightsWarning
        If one draw makes nearly all of the estimate: effective sample sizes below 2 of 20 draws or more.

    Examples
    --------
    >>> import numpy as np
    >>> from minivae.models.vae import VAE
    >>> model = VAE.mlp(n_x=4, n_latent=1, n_hidden=[])
    >>> rng = np.random.default_rng(0)
    >>> estimate = log_marginal(model, model.init(rng), np.ones((3, 4)), 100, rng)
    >>> estimate.log_p.shape, bool((estimate.ess <= 100).all())
    ((3,), True)
    """
    estimate = importance_estimate(model, params, x, n_draws, rng, proposal)
    first = "Draw from the posterior" if proposal == "prior" else "Take more draws, train the encoder longer"
    judge = "anneal: annealed_log_marginal, or minivae evaluate --ais 1000" if model.posterior.has_path else "enumerate"
    warn_if_collapsed(estimate, f"{first}, or {judge}.")
    return estimate


def importance_estimate(
    model: Variational, params: Array, x: Any, n_draws: int, rng: np.random.Generator, proposal: str = "posterior"
) -> LogMarginal:
    """Return what ``log_marginal`` returns, without a warning: as a bound it holds however few draws count."""
    x = checked_rows(model, params, x)
    n_draws = checks.width(n_draws, "n_draws")
    log_weights_of = PROPOSALS[checks.choice(proposal, PROPOSALS, "proposal")]
    log_p, ess = np.empty(len(x)), np.empty(len(x))

    def stream(rows: slice, rng: np.random.Generator) -> None:
        sums = RunningWeights(rows.stop - rows.start)
        for start in range(0, n_draws, DRAWS_AT_ONCE):
            sums.add(log_weights_of(model, params, x[rows], min(DRAWS_AT_ONCE, n_draws - start), rng))
        log_p[rows], ess[rows] = sums.log_mean(), sums.ess()

    for_each_chunk(stream, row_chunks(len(x), min(n_draws, DRAWS_AT_ONCE)), rng)
    speak_of_weights(log_p, n_draws, proposal)
    return LogMarginal(log_p, ess, n_draws)


def speak_of_weights(log_p: Array, n_draws: int, proposal: str) -> None:
    """Raise NonFiniteError where no draw has any weight; say nothing under ``np.errstate(over="ignore")``."""
    bad = int((~np.isfinite(log_p)).sum())
    if bad and np.geterr()["over"] != "ignore":
        raise errors.NonFiniteError(
            f"log p(x) of {bad} of {len(log_p)} examples is not finite: log w is -inf or NaN for all {n_draws} draws "
            f"of the {proposal}",
            "They lie where the model gives no probability that can be told: check the scale of the data and the "
            "likelihood's variance, or use float64.",
        )


def warn_if_collapsed(estimate: LogMarginal, remedy: str, least: int = 20) -> None:
    """Warn where the effective sample size is near 1 for any of a hundred examples, or for one in a hundred of more.

    Fewer than ``least`` draws make no estimate, and no warning.
    """
    low, n = int((estimate.ess < _FEW).sum()), len(estimate.ess)
    if estimate.n_draws >= least and low > 0.01 * n:
        warnings.warn(
            f"the effective sample size of {low} of {n} examples is below {_FEW} of {estimate.n_draws} draws: one draw "
            f"makes nearly all of their estimate, which is then a loose lower bound on log p(x) and does not say how "
            f"loose. {remedy}",
            CollapsedWeightsWarning,
            stacklevel=3,
        )
