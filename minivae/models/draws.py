"""The ELBO's gradient for the encoder of a VAE, one row for each draw: what the estimators give, how much they vary.

One pass through the model gives log p(x|z), d log p(x|z) / dz and the score of q for each draw; every estimator is
three weights on these. Rows are gradients of the ELBO (to be maximised) of each example.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

import numpy as np

from minivae.core import checks, errors
from minivae.core.arrays import Array
from minivae.core.parallel import for_each_chunk, row_chunks
from minivae.core.trust import inside
from minivae.estimators.backward import head_gradient
from minivae.estimators.k_sample import Bound
from minivae.estimators.moments import RunningMoments
from minivae.estimators.objectives import Elbo
from minivae.estimators.second_pass import SecondPass
from minivae.estimators.weights import Draws, Weights
from minivae.models.base import Variational, checked_rows
from minivae.models.code_costs import CodeCost
from minivae.models.decoding import Decoding, there_and_back

_DRAWS_AT_ONCE = 256
_ROWS_KEPT = 20_000  # of the decoder, until their derivative is asked for: more are taken there and back in parts


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
    eps : array of shape (K, B, L), or None
        None where the K "draws" are all the states of z.
    z : array of shape (K, B, L)
    log_q, log_lik : array of shape (K, B)
        log q(z|x) and log p(x|z).
    cache : object
        Of the posterior, each draw being a batch row of its own: then its sums over draws have one term. Of states it
        is that of ``Posterior.states``.
    back : callable
        Gives the derivative of log p(x|z) for z.

    Examples
    --------
    >>> import numpy as np
    >>> from minivae import VAE, Elbo
    >>> model, rng = VAE.mlp(n_x=4, n_latent=1), np.random.default_rng(0)
    >>> draws = encoder_draws(model, model.init(rng), np.ones((3, 4)), rng.standard_normal((10, 3, 1)))
    >>> draws.rows(Elbo("pathwise")).shape, draws.rows(Elbo("score")).shape
    ((10, 3, 2), (10, 3, 2))
    """

    model: Any
    params: Array
    x: Array
    head: Array
    eps: Array | None
    z: Array
    log_q: Array
    log_lik: Array
    cache: Any
    back: Callable[[], Array]

    @cached_property
    def slope(self) -> Array:
        """d log p(x|z) / dz, shape (K, B, L); the score function does without it."""
        return self.back()

    @cached_property
    def log_prior(self) -> Array:
        """log p(z), shape (K, B); a closed KL does without it."""
        return self.model.prior.log_prob(self._own[1], self.z)

    @cached_property
    def score(self) -> Array:
        """d log q(z|x) / d head at fixed z, shape (K, B, H)."""
        own, grads = self._own[0], np.empty_like(self._own[0])
        if self.eps is None:  # the examples share the states: one after the other
            ones = np.ones(len(self.head), self.head.dtype)
            each = (np.outer(one, ones) for one in np.eye(len(self.log_q), dtype=ones.dtype))
            return np.stack([self.model.posterior.score(own, self.cache, dlog_q, grads) for dlog_q in each])
        return self._each(self.model.posterior.score(own, self.cache, self._ones, grads))

    def at(self, eps: Array) -> "EncoderDraws":
        """Return other draws of the same examples."""
        eps = checks.noise(eps, (len(self.x), self.model.posterior.n_latent), self.head.dtype)
        self.model.posterior.check_noise(checks.finite(eps, "eps"))
        return _draws(self.model, self.params, self.x, eps)

    def values(self, objective: Bound | None = None) -> Array:
        """Return the score function's f, shape (K, B): log p(x|z), with a sampled KL also log p(z) - log q(z|x)."""
        return self._known(self._objective(objective), self.log_q.shape).f

    def rows(self, objective: Bound | None = None, baseline: Any = 0.0, n_group: int | None = None) -> Array:
        """Return the gradient of the ELBO for the head by each draw, shape (K, B, H).

        Parameters
        ----------
        objective : Elbo, optional
            Estimator and KL; the model's own unless given. Its beta is not looked at.
        baseline : float or array that broadcasts to (B, H)
            Taken off f by the score function; it may differ between the head's outputs.
        n_group : int, optional
            The draws come in groups of so many, for an estimator that uses several at once; all K in one unless given.
            The rows of a group depend on each other, and groups do not.
        """
        objective = self._objective(objective)
        n_draws = len(self.log_q)
        n_group = n_draws if n_group is None else checks.width(n_group, "n_group")
        rows: Array
        objective.check(self.model, n_group)
        if n_draws % n_group:
            raise ValueError(f"n_group must divide the {n_draws} draws, got {n_group}. Choose another.")
        posterior, prior = self._own
        if objective.row.own is not None:
            rows = self._own_rows(objective, baseline)
        elif (counts := self._counts(objective, n_group)).path is None:
            c = _baseline(baseline, self.head)
            rows = (self._each(cast(Array, counts.score)) - c) * self.score
        else:
            draws = self._known(objective, (1, self.log_q.size))
            boxes, theirs = (self.model.posterior, self.model.prior), (posterior, prior)
            dz = self._flat(self.slope)
            if counts.decoder is not self._ones:
                dz = dz * counts.decoder[:, :, None]
            grads = np.empty_like(posterior), np.empty_like(prior)
            rows = self._each(head_gradient(counts, draws, boxes, theirs, grads, self._flat(self.z), self.cache, dz))
        if objective.kl == "closed":
            ones = np.ones(len(self.head), rows.dtype)
            rows = rows - self.model.closed_kl.backward(prior, self.head, ones, np.empty_like(prior))
        return rows

    def _own_rows(self, objective: Bound, control: Any) -> Array:
        """Return the rows of an estimator that looks at the cost a second time, shape (K, B, H)."""
        if self.eps is None:
            raise ValueError(
                f"eps must be draws for {objective.estimator!r}, which looks behind them, got all states. Use "
                f"encoder_draws."
            )
        cost = CodeCost(self.model, self.model.unpack(self.params)[-2:], self.x)
        seen = SecondPass(self.model.posterior, self.head, self.eps, self.z, self.log_lik, cost)
        own = objective.weights(self._known(objective, self.log_q.shape), control).own
        return cast(Callable[[SecondPass], Array], own)(seen)

    def _objective(self, objective: Bound | None) -> Bound:
        if objective is None:
            return self.model.objective
        return _elbo(objective).resolved(self.model)

    def _known(self, objective: Bound, shape: tuple[int, ...]) -> Draws:
        """Return what is known of the draws, in this shape; each counts one."""
        arrays = (self.log_lik, self.log_q, None if objective.kl == "closed" else self.log_prior)
        log_lik, log_q, log_prior = (None if a is None else a.reshape(shape) for a in arrays)
        share = self._ones if shape == self._ones.shape else self._ones.reshape(shape)
        return Draws(cast(Array, log_lik), cast(Array, log_q), log_prior, share)

    def _counts(self, objective: Bound, n_group: int) -> Weights:
        """Return the weights of the draws, each a row of its own, shape (1, K B), as taken within its group."""
        draws = self._known(objective, (1, self.log_q.size))
        if n_group == 1:
            return objective.weights(draws)
        n_draws, n_batch = self.log_q.shape
        groups = (n_draws // n_group, n_group, n_batch)

        def grouped(array: Array | None) -> Array | None:  # the draws of a group along the first axis
            return None if array is None else array.reshape(groups).swapaxes(0, 1).reshape(n_group, -1)

        def apart(array: Array | None) -> Array | None:
            return None if array is None else array.reshape(n_group, -1, n_batch).swapaxes(0, 1).reshape(1, -1)

        log_lik, log_q, share = (cast(Array, grouped(a)) for a in (draws.log_lik, draws.log_q, draws.share))
        together = Draws(log_lik, log_q, grouped(draws.log_prior), share)
        counts = objective.weights(together)
        decoder = self._ones if counts.decoder is together.share else apart(counts.decoder)
        path = decoder if counts.path is counts.decoder else apart(counts.path)
        return Weights(cast(Array, decoder), path, apart(counts.score))

    @cached_property
    def _ones(self) -> Array:
        return np.ones((1, self.log_q.size), self.head.dtype)

    @cached_property
    def _own(self) -> tuple[Array, Array]:
        """The parameters of the posterior, and what the prior's density takes."""
        return self.model.unpack(self.params)[1], self.model.prior_params(self.params)

    def _flat(self, array: Array) -> Array:
        return array.reshape(1, self.log_q.size, -1)

    def _each(self, rows: Array) -> Array:
        return rows.reshape(*self.log_q.shape, -1)


@dataclass(frozen=True)
class EncoderEstimator:
    """One way to estimate the encoder's gradient: the arguments of ``EncoderDraws.rows``."""

    objective: Bound = field(default_factory=Elbo)
    baseline: Any = 0.0
    n_group: int = 1

    def __post_init__(self) -> None:
        checks.real(self.baseline, "baseline")
        least = _elbo(self.objective).row.least_draws
        if checks.width(self.n_group, "n_group") < least:
            raise ValueError(
                f"n_group must be at least {least} for the estimator {self.objective.estimator!r}, got {self.n_group}: "
                f"a single draw has no others. Use n_group={self.objective.row.usual_draws}."
            )


def _elbo(objective: Any) -> Bound:
    return checks.has(objective, ("resolved", "row", "weights"), "objective", "an Elbo", "Elbo('score')")


def head_moments(
    model: Variational,
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
    >>> from minivae import VAE, Elbo
    >>> model, rng = VAE.mlp(n_x=4, n_latent=1), np.random.default_rng(0)
    >>> both = {name: EncoderEstimator(Elbo(name)) for name in ("pathwise", "score")}
    >>> moments = head_moments(model, model.init(rng), np.ones((3, 4)), both, 100, rng)
    >>> bool((moments["score"].variance > moments["pathwise"].variance).mean() > 0.5)
    True
    """
    n_draws = checks.width(n_draws, "n_draws")
    checks.generator(rng)
    x = checked_rows(model, params, x)
    if not isinstance(estimators, Mapping) or not estimators:
        raise ValueError(
            f"estimators must be a dictionary of EncoderEstimator, got {checks.shown(estimators)}. Give each a name."
        )
    for how in estimators.values():
        checks.has(how, ("objective", "n_group"), "estimators", "EncoderEstimators", "{'score': EncoderEstimator()}")
    shape = (len(x), model.posterior.n_head)
    like = np.empty(shape, params.dtype)
    baselines = {name: _baseline(how.baseline, like) for name, how in estimators.items()}
    objectives = {name: how.objective.resolved(model) for name, how in estimators.items()}
    at_once = math.lcm(*(how.n_group for how in estimators.values()))
    if n_draws % at_once:
        raise ValueError(f"n_draws must hold whole groups of {at_once}, got {n_draws}. Use a multiple of {at_once}.")
    at_once *= -(-_DRAWS_AT_ONCE // at_once)
    sloped = any(objective.row.has_path for objective in objectives.values())

    def study(rows: slice, rng: np.random.Generator) -> list[RunningMoments]:
        moments = [RunningMoments(how.n_group) for how in estimators.values()]
        for start in range(0, n_draws, at_once):
            with inside(model):
                eps = model.draw_noise(rng, min(at_once, n_draws - start), rows.stop - rows.start, params.dtype)
                draws = _draws(model, params, x[rows], cast(Array, eps), sloped=sloped)
                blocks = [draws.rows(objectives[n], baselines[n][rows], how.n_group) for n, how in estimators.items()]
            for block, running in zip(blocks, moments, strict=True):
                running.add(block)
        return moments

    parts = for_each_chunk(study, row_chunks(len(x), -(-at_once // 16)), rng)
    return {
        name: RunningMoments.side_by_side(column)
        for name, column in zip(estimators, zip(*parts, strict=True), strict=True)
    }


def _baseline(value: Any, head: Array) -> Array:
    """Return c for each output of the head, shape (B, H), in its dtype."""
    c = checks.real(value, "baseline").astype(head.dtype)
    if c.ndim > 2 or any(a not in (1, b) for a, b in zip(c.shape[::-1], head.shape[::-1], strict=False)):
        raise ValueError(f"baseline must broadcast to {head.shape}, got shape {c.shape}. One an example is c[:, None].")
    return np.broadcast_to(c, head.shape)


def encoder_draws(model: Variational, params: Array, x: Any, eps: Any) -> EncoderDraws:
    """Send the noise through the model, and the derivative of log p(x|z) back to z.

    Parameters
    ----------
    model, params
        The VAE and its flat parameters.
    x : array of shape (B, n_x)
    eps : array of shape (K, B, n_latent) or (K, 1, n_latent)
        Draws, or quadrature nodes.
    """
    x = checked_rows(model, params, x)
    eps = checks.noise(eps, (len(x), model.posterior.n_latent), params.dtype)
    model.posterior.check_noise(checks.finite(eps, "eps"))
    return _draws(model, params, x, eps)


def encoder_states(model: Variational, params: Array, x: Any) -> EncoderDraws:
    """Send every state of a discrete z through the model, in place of draws: q(z|x) weights them.

    Parameters
    ----------
    model, params
        The VAE and its flat parameters.
    x : array of shape (B, n_x)

    Raises
    ------
    ValueError
        If z has no states that can be enumerated.

    Examples
    --------
    >>> import numpy as np
    >>> from minivae import VAE, Elbo
    >>> model, rng = VAE.mlp(n_x=4, n_latent=3, posterior="bits"), np.random.default_rng(0)
    >>> states = encoder_states(model, model.init(rng), np.ones((2, 4)))
    >>> gradient = np.sum(np.exp(states.log_q)[:, :, None] * states.rows(Elbo("score"), n_group=1), axis=0)
    >>> states.z.shape, gradient.shape  # of the ELBO, for the logits: exact
    ((8, 2, 3), (2, 3))
    """
    return _draws(model, params, checked_rows(model, params, x), None)


@errors.spoken("log p(x|z) or q(z|x)", lambda draws: (draws.z, draws.log_q, draws.log_lik))
def _draws(model: Any, params: Array, x: Array, eps: Array | None, *, sloped: bool = False) -> EncoderDraws:
    """Return the draws, with their slope at once where it is wanted for sure, or too much would be kept for it."""
    encoder, posterior, _, decoder, likelihood = model.unpack(params)
    head, _ = model.encoder.forward(encoder, x)
    if eps is None:
        z, log_q, posterior_cache = model.posterior.states(posterior, head)
        z = np.repeat(z, len(x), axis=1)
    else:  # every draw as a batch row of its own: then the posterior's sums over draws have one term
        heads = np.broadcast_to(head, (len(eps), *head.shape)).reshape(-1, head.shape[1])
        z, log_q, posterior_cache = model.posterior.sample(posterior, heads, eps.reshape(1, len(heads), -1))
        z, log_q = z.reshape(eps.shape), log_q.reshape(eps.shape[:2])
    params_there = decoder, likelihood
    if sloped or log_q.size > _ROWS_KEPT:
        log_lik, slope = there_and_back(model, params_there, z, x)
        return EncoderDraws(model, params, x, head, eps, z, log_q, log_lik, posterior_cache, lambda: slope)
    decoding = Decoding.of(model, params_there, z, x)
    return EncoderDraws(model, params, x, head, eps, z, log_q, decoding.log_lik, posterior_cache, decoding.slope)
