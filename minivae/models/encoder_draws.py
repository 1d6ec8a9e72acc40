"""The ELBO's gradient for the encoder of a VAE, one row for each draw: what the estimators give, how much they vary.

One pass through the model gives log p(x|z), d log p(x|z) / dz and the score of q for each draw; every estimator is
simple algebra on these. Rows are gradients of the ELBO (to be maximised) of each example.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array
from minivae.core.parallel import for_each_chunk, row_chunks
from minivae.estimators.elbo_gradients import ElboEstimator, KlMode, check_estimator, draw_values, path_gradient
from minivae.estimators.moments import RunningMoments
from minivae.estimators.signals import leave_one_out_signal
from minivae.models.vae import VAE

_DRAWS_AT_ONCE = 64


@dataclass(frozen=True)
class EncoderDraws:
    """K draws of each of B examples, and all that the estimators need to know of them.

    Attributes
    ----------
    model : VAE
    params : array
        The model's flat parameters.
    x : array of shape (B, D)
    head : array of shape (B, H)
        The encoder's output.
    eps, z : array of shape (K, B, L)
    log_q, log_lik : array of shape (K, B)
        log q(z|x) and log p(x|z).
    back : callable
        Takes the derivative of log p(x|z) back to z.

    Examples
    --------
    >>> import numpy as np
    >>> model, rng = VAE.mlp(n_x=4, n_latent=1), np.random.default_rng(0)
    >>> draws = encoder_draws(model, model.init(rng), np.ones((3, 4)), rng.standard_normal((10, 3, 1)))
    >>> draws.rows("pathwise").shape, draws.rows("score").shape
    ((10, 3, 2), (10, 3, 2))
    """

    model: VAE
    params: Array
    x: Array
    head: Array
    eps: Array
    z: Array
    log_q: Array
    log_lik: Array
    back: Callable[[], Array]

    @cached_property
    def slope(self) -> Array:
        """d log p(x|z) / dz, shape (K, B, L); the score function does without it."""
        return self.back().reshape(self.z.shape)

    def at(self, eps: Array) -> "EncoderDraws":
        """Return other draws of the same examples."""
        return _draws(self.model, self.params, self.x, eps.astype(self.head.dtype))

    def values(self, kl: KlMode = "closed") -> Array:
        """Return the score function's f, shape (K, B): log p(x|z), with the sampled KL also log p(z) - log q(z|x)."""
        return draw_values(self.log_lik, self.log_q, self.z, float(kl == "sampled"))

    @cached_property
    def score(self) -> Array:
        """d log q(z|x) / d head at fixed z, shape (K, B, H)."""
        return self._each(self.model.posterior.log_prob_backward(self._heads, self._flat(self.z), self._ones)[0])

    def rows(
        self,
        estimator: ElboEstimator = "pathwise",
        kl: KlMode = "closed",
        baseline: Any = 0.0,
        n_group: int | None = None,
    ) -> Array:
        """Return the gradient of the ELBO for the head by each draw, shape (K, B, H).

        Parameters
        ----------
        estimator, kl
            As in ``VAE.loss_and_grad``.
        baseline : float or array that broadcasts to (B, H)
            Taken off f by the score function; it may differ between the head's outputs.
        n_group : int, optional
            For "score-leave-one-out": the draws come in groups of so many, all K in one unless given. The rows of
            a group depend on each other, and groups do not.
        """
        n_group = len(self.eps) if n_group is None else checks.width(n_group, "n_group")
        check_estimator(estimator, kl, n_group)
        if len(self.eps) % n_group:
            raise ValueError(f"n_group must divide the {len(self.eps)} draws, got {n_group}. Choose another.")
        posterior = self.model.posterior
        if estimator in ("pathwise", "path-derivative"):
            _, _, path = posterior.sample(self._heads, self._flat(self.eps))
            dz, total = self._flat(self.slope), estimator == "pathwise"
            weight = self.head.dtype.type(kl == "sampled")
            rows = path_gradient(posterior, self._heads, path, self._flat(self.z), self._ones, dz, weight, total)
            rows = self._each(rows)
        else:
            f = self.values(kl)
            if estimator == "score-leave-one-out":
                groups = f.reshape(-1, n_group, f.shape[1]).swapaxes(0, 1)
                f = leave_one_out_signal(groups).swapaxes(0, 1).reshape(f.shape)
            rows = (f[:, :, None] - _baseline(baseline, self.head)) * self.score
        if kl == "closed":
            rows = rows - posterior.kl_backward(self.head, np.ones(len(self.head), rows.dtype))
        return rows

    # every draw as a batch row of its own: then the posterior's sums over draws have one term

    @cached_property
    def _heads(self) -> Array:
        return np.tile(self.head, (len(self.eps), 1))

    @cached_property
    def _ones(self) -> Array:
        return np.ones((1, self.log_q.size), self.head.dtype)

    def _flat(self, array: Array) -> Array:
        return array.reshape(1, self.log_q.size, -1)

    def _each(self, rows: Array) -> Array:
        return rows.reshape(*self.log_q.shape, -1)


@dataclass(frozen=True)
class EncoderEstimator:
    """One way to estimate the encoder's gradient: the arguments of ``EncoderDraws.rows``."""

    estimator: ElboEstimator = "pathwise"
    kl: KlMode = "closed"
    baseline: Any = 0.0
    n_group: int = 1

    def __post_init__(self) -> None:
        if checks.width(self.n_group, "n_group") < 2 and self.estimator == "score-leave-one-out":
            raise ValueError(
                "n_group must be at least 2 for a leave-one-out baseline, got 1: a single draw has no others. Use "
                "EncoderEstimator('score-leave-one-out', n_group=4)."
            )
        check_estimator(self.estimator, self.kl, self.n_group)


def head_moments(
    model: VAE,
    params: Array,
    x: Any,
    estimators: Mapping[str, EncoderEstimator],
    n_draws: int,
    rng: np.random.Generator,
) -> dict[str, RunningMoments]:
    """Return mean and variance of one draw's gradient for the head, shape (B, H), by each estimator.

    All estimators see the same draws. Memory does not grow with n_draws.

    Parameters
    ----------
    model, params
        The VAE and its flat parameters.
    x : array of shape (B, n_x)
    estimators : mapping of str to EncoderEstimator
    n_draws : int
    rng : numpy.random.Generator

    Examples
    --------
    >>> import numpy as np
    >>> model, rng = VAE.mlp(n_x=4, n_latent=1), np.random.default_rng(0)
    >>> both = {"pathwise": EncoderEstimator(), "score": EncoderEstimator("score")}
    >>> moments = head_moments(model, model.init(rng), np.ones((3, 4)), both, 100, rng)
    >>> bool((moments["score"].variance > moments["pathwise"].variance).mean() > 0.5)
    True
    """
    n_draws = checks.width(n_draws, "n_draws")
    checks.flat(params, model.n_params)
    x = model.check_data(x, dtype=params.dtype)
    shape = (len(x), model.posterior.n_head)
    like = np.empty(shape, params.dtype)
    baselines = {name: _baseline(how.baseline, like) for name, how in estimators.items()}
    at_once = math.lcm(*(how.n_group for how in estimators.values()))
    if n_draws % at_once:
        raise ValueError(f"n_draws must hold whole groups of {at_once}, got {n_draws}. Use a multiple of {at_once}.")
    at_once *= -(-_DRAWS_AT_ONCE // at_once)

    def study(rows: slice, rng: np.random.Generator) -> list[RunningMoments]:
        moments = [RunningMoments(how.n_group) for how in estimators.values()]
        for start in range(0, n_draws, at_once):
            eps = model.draw_noise(rng, min(at_once, n_draws - start), rows.stop - rows.start, params.dtype)
            draws = _draws(model, params, x[rows], eps)
            for (name, how), running in zip(estimators.items(), moments, strict=True):
                running.add(draws.rows(how.estimator, how.kl, baselines[name][rows], how.n_group))
        return moments

    parts = for_each_chunk(study, row_chunks(len(x), -(-at_once // 4)), rng)
    return {
        name: RunningMoments.side_by_side(column)
        for name, column in zip(estimators, zip(*parts, strict=True), strict=True)
    }


def _baseline(value: Any, head: Array) -> Array:
    """Return c for each output of the head, shape (B, H), in its dtype."""
    c = np.asarray(value, head.dtype)
    if c.ndim > 2 or any(a not in (1, b) for a, b in zip(c.shape[::-1], head.shape[::-1], strict=False)):
        raise ValueError(f"baseline must broadcast to {head.shape}, got shape {c.shape}. One an example is c[:, None].")
    if not np.isfinite(c).all():
        raise ValueError("baseline must be finite, got NaN or infinity. Take it from draws that are finite.")
    return np.broadcast_to(c, head.shape)


def encoder_draws(model: VAE, params: Array, x: Any, eps: Any) -> EncoderDraws:
    """Send the noise through the model, and the derivative of log p(x|z) back to z.

    Parameters
    ----------
    model, params
        The VAE and its flat parameters.
    x : array of shape (B, n_x)
    eps : array of shape (K, B, n_latent) or (K, 1, n_latent)
        Draws, or quadrature nodes.
    """
    checks.flat(params, model.n_params)
    x = model.check_data(x, dtype=params.dtype)
    return _draws(model, params, x, checks.noise(eps, None, (1, len(x), model.posterior.n_latent), params.dtype))


def _draws(model: VAE, params: Array, x: Array, eps: Array) -> EncoderDraws:
    encoder, decoder, likelihood = model.unpack(params)
    head, _ = model.encoder.forward(encoder, x)
    z, log_q, _ = model.posterior.sample(head, eps)
    out, decoder_cache = model.decoder.forward(decoder, z.reshape(-1, z.shape[-1]))
    log_lik, cache = model.likelihood.forward(likelihood, out, x)

    def back() -> Array:
        dout = model.likelihood.backward(likelihood, cache, np.ones_like(log_lik), np.empty_like(likelihood))
        return cast(Array, model.decoder.backward(decoder, decoder_cache, dout, None))

    return EncoderDraws(model, params, x, head, eps, z, log_q, log_lik.reshape(log_q.shape), back)
