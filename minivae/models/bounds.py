"""Bounds and estimates from K importance samples: the IWAE bound, and log p(x) with its effective sample size.

Three names for three things: the ``elbo`` averages log-weights, the ``iwae_bound`` is the log of an average of
K weights, and ``log_marginal`` is that with so many draws that it serves as an estimate of log p(x), said
together with how many of the draws counted.
"""

from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from minivae.core import checks, errors
from minivae.core.arrays import Array, log_mean_exp
from minivae.core.parallel import for_each_chunk, row_chunks
from minivae.core.trust import inside
from minivae.models.base import Variational, checked_rows

_DRAWS_AT_ONCE = 16


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


def log_marginal(model: Variational, params: Array, x: Any, n_draws: int, rng: np.random.Generator) -> LogMarginal:
    """Estimate log p(x) of each example by importance sampling with q(z|x) as the proposal.

        log p(x) ~ log (1/K) sum_k p(x|z_k) p(z_k) / q(z_k|x),   z_k ~ q(z|x)

    The sums are streamed, so memory does not grow with n_draws.

    Parameters
    ----------
    model, params
        The model and its flat parameters.
    x : array of shape (B, n_x)
    n_draws : int
        K.
    rng : numpy.random.Generator

    Returns
    -------
    LogMarginal

    Examples
    --------
    >>> import numpy as np
    >>> from minivae.models.vae import VAE
    >>> model = VAE.mlp(n_x=4, n_latent=1)
    >>> rng = np.random.default_rng(0)
    >>> estimate = log_marginal(model, model.init(rng), np.ones((3, 4)), 100, rng)
    >>> estimate.log_p.shape, bool((estimate.ess <= 100).all())
    ((3,), True)
    """
    x = checked_rows(model, params, x)
    n_draws = checks.width(n_draws, "n_draws")
    log_p, ess = np.empty(len(x)), np.empty(len(x))

    def stream(rows: slice, rng: np.random.Generator) -> None:
        top = np.full(rows.stop - rows.start, -np.inf)  # the largest log-weight so far
        total = np.zeros_like(top)  # sum of w / exp(top), and of its square
        squares = np.zeros_like(top)
        for start in range(0, n_draws, _DRAWS_AT_ONCE):
            k = min(_DRAWS_AT_ONCE, n_draws - start)
            eps = cast(Array, model.draw_noise(rng, k, len(top), params.dtype))
            log_w = _log_weights(model, params, x[rows], eps).astype(np.float64)
            new_top = np.maximum(top, log_w.max(axis=0))
            shift = np.where(new_top == -np.inf, 0.0, new_top)  # no draw of any weight yet: 0, not -inf - -inf
            shrink = np.exp(top - shift)
            w = np.exp(log_w - shift)
            total = total * shrink + w.sum(axis=0)
            squares = squares * shrink**2 + (w**2).sum(axis=0)
            top = new_top
        with np.errstate(divide="ignore"):  # no draw of any weight at all: log p is -inf, and no draw counted
            log_p[rows] = np.where(top == -np.inf, -np.inf, top + np.log(total / n_draws))
        ess[rows] = np.divide(total**2, squares, out=np.zeros_like(total), where=squares != 0)

    for_each_chunk(stream, row_chunks(len(x), min(n_draws, _DRAWS_AT_ONCE)), rng)
    return LogMarginal(log_p, ess, n_draws)
