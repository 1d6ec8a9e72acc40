"""Exercises of the lecture "How good is the model?"."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minivae.core.arrays import Array
from minivae.exercises.framework import Exercise, Law, Mistake
from minivae.exercises.laws import array, close

Rng = np.random.Generator
_SIZES = ((5, 3), (2, 4), (7, 1))  # draws, examples: no two alike
_FAR = -2000.0  # log-weights of images are there: exp gives zero


def _log_w(rng: Rng, n_draws: int = 5, n_batch: int = 3) -> Array:
    return _FAR + 2 * rng.normal(size=(n_draws, n_batch))


def _weights(log_w: Array) -> Array:
    return np.exp(log_w - log_w.max(axis=0))


# -------------------------------------------------------------------------------------- log_mean_weight


def _own_sizes(rng: Rng) -> tuple[Array, Array]:
    """Return log-weights (4, 3) far apart, over the draws and over the examples, and the largest of each example."""
    largest = np.array([0.0, _FAR, 900.0]) + rng.normal(size=3)
    below = np.zeros((4, 3))
    below[1:] = rng.uniform(-5000, -3000, (3, 3))  # so far that one draw makes the sum
    order = np.stack([rng.permutation(4) for _ in range(3)], axis=1)
    return largest + np.take_along_axis(below, order, axis=0), largest


def _each_by_itself(log_mean_weight: Callable[..., Any], rng: Rng) -> None:
    log_w, largest = _own_sizes(rng)
    name = "The log of the mean weight, log-weights of one example thousands above another's"
    got = array(name, log_mean_weight(log_w), (3,))
    close(name, got, largest - np.log(4), "the largest log-weight of each example is taken out, not one for all")


def _is_the_log_mean(log_mean_weight: Callable[..., Any], rng: Rng) -> None:
    for sizes in _SIZES:
        near = 2 * rng.normal(size=sizes)
        want = [math.log(math.fsum(math.exp(v) for v in column) / sizes[0]) for column in near.T.tolist()]
        for shift in (0.0, _FAR, 900.0):
            got = array("log p(x)", log_mean_weight(near + shift), sizes[1:])
            close(
                f"The log of the mean weight, log-weights near {shift:g}",
                got - shift,
                want,
                "log (1/K) sum_k w_k",
                1e-8,
            )


LOG_MEAN_WEIGHT = Exercise(
    id="how_good_is_the_model.log-mean-weight",
    task="log (1/K) sum_k w_k of each example, shape (batch,), from log-weights, shape (K, batch), which may be near "
    "-2000, and thousands apart",
    arguments="log_w",
    laws=(
        Law("it is the log of the mean weight, near 0, near -2000 and near 900", _is_the_log_mean),
        Law("draws and examples may be thousands apart", _each_by_itself),
    ),
    zoo=(
        Mistake(
            "mean of logs",
            "this is the mean of the log-weights, the ELBO; here the weights are averaged first, and the log is last.",
            lambda w: w.mean(axis=0),
        ),
        Mistake(
            "sum",
            "the weights are summed; the estimate is their mean, so log K has to be taken away.",
            lambda w: w.max(axis=0) + np.log(_weights(w).sum(axis=0)),
        ),
        Mistake(
            "no shift",
            "exp(-2000) is zero in floating point, and its log minus infinity. Take the largest log-weight out first, "
            "and put it back after the log.",
            lambda w: np.log(np.mean(np.exp(w), axis=0)),
        ),
        Mistake(
            "shift not put back",
            "the largest log-weight was taken out, and not put back after the log.",
            lambda w: np.log(_weights(w).mean(axis=0)),
        ),
        Mistake("best draw", "this is the largest log-weight alone.", lambda w: w.max(axis=0)),
        Mistake(
            "mean over the batch",
            "one number comes back for the whole batch; average over the draws only (axis=0).",
            lambda w: np.mean(w.max(axis=0) + np.log(_weights(w).mean(axis=0))),
        ),
    ),
    example=lambda rng: (_log_w(rng),),
)


# ----------------------------------------------------------------------------------- weights_that_count


def _counts(weights_that_count: Callable[..., Any], rng: Rng) -> None:
    for n_draws, n_batch in _SIZES:
        near = 2 * rng.normal(size=(n_draws, n_batch))
        w = np.exp(near)
        for shift in (0.0, _FAR, 900.0):
            got = array("ess", weights_that_count(near + shift), (n_batch,))
            close(
                f"The effective sample size, log-weights near {shift:g}",
                got,
                w.sum(axis=0) ** 2 / (w**2).sum(axis=0),
                "(sum_k w_k)^2 / sum_k w_k^2: K where all are alike, and a common factor changes nothing",
                1e-8,
            )


def _ends(weights_that_count: Callable[..., Any], rng: Rng) -> None:
    for n_draws in (4, 7):
        alike = np.zeros((n_draws, 2)) + rng.normal(size=2)
        got = array("ess", weights_that_count(alike), (2,))
        close("The effective sample size of equal weights", got, float(n_draws), "all draws count")
        alike[1] += 100
        got = array("ess", weights_that_count(alike), (2,))
        close("The effective sample size where one weight is far above the others", got, 1.0, "one draw counts")
    name = "The effective sample size, log-weights of one example thousands above another's"
    got = array(name, weights_that_count(_own_sizes(rng)[0]), (3,))
    close(name, got, 1.0, "one draw counts; the largest log-weight of each example is taken out, not one for all")


WEIGHTS_THAT_COUNT = Exercise(
    id="how_good_is_the_model.weights-that-count",
    task="the effective sample size (sum w)^2 / sum w^2 of each example, shape (batch,), from log-weights, shape (K, "
    "batch), which may be near -2000, and thousands apart",
    arguments="log_w",
    laws=(
        Law("it is K for equal weights, and 1 where one is far above the others", _ends),
        Law("it is (sum w)^2 / sum w^2, near 0, near -2000 and near 900", _counts),
    ),
    zoo=(
        Mistake(
            "not normalised",
            "this is 1 / sum w^2 of weights that do not add up to one; divide them by their sum first.",
            lambda w: 1 / np.sum(_weights(w) ** 2, axis=0),
        ),
        Mistake(
            "upside down",
            "the fraction is upside down: it would be small where all draws count.",
            lambda w: np.sum(_weights(w) ** 2, axis=0) / _weights(w).sum(axis=0) ** 2,
        ),
        Mistake(
            "share",
            "this is the share of the draws that count, between 1/K and 1; the number of them is K times that.",
            lambda w: np.mean(_weights(w), axis=0) ** 2 / np.mean(_weights(w) ** 2, axis=0),
        ),
        Mistake(
            "no shift",
            "exp(-2000) is zero in floating point, and zero over zero is no number. A common factor of the weights "
            "cancels: take the largest log-weight out first.",
            lambda w: np.sum(np.exp(w), axis=0) ** 2 / np.sum(np.exp(2 * w), axis=0),
        ),
        Mistake(
            "square root",
            "this is the root of it: sum w is squared, and so are the weights below.",
            lambda w: _weights(w).sum(axis=0) / np.sqrt(np.sum(_weights(w) ** 2, axis=0)),
        ),
        Mistake(
            "not squared",
            "the sum of the weights above has to be squared, or the value would change with their unit.",
            lambda w: _weights(w).sum(axis=0) / np.sum(_weights(w) ** 2, axis=0),
        ),
    ),
    example=lambda rng: (_log_w(rng),),
)


# ----------------------------------------------------------------------------------------- draws_needed


def _linear(rng: Rng, n_x: int = 5, n_latent: int = 2) -> tuple[Array, float, float]:
    return rng.normal(size=(n_x, n_latent)), float(rng.uniform(0.3, 0.8)), float(rng.uniform(0.05, 0.3))


def _from_singular_values(draws_needed: Callable[..., Any], rng: Rng) -> None:
    for n_x, n_latent in ((5, 2), (3, 4), (6, 1), (1, 3)):
        W, s2, error = _linear(rng, n_x, n_latent)
        got = array("The number of draws", draws_needed(W, s2, error), ())
        factors = 1 + np.linalg.svd(W, compute_uv=False) ** 2 / s2
        close(
            f"The number of draws for {n_x} pixels and {n_latent} latents",
            got,
            (np.prod(factors) - 1) / error**2,
            "N = (exp(2 I) - 1) / error^2, and exp(2 I) is the product of 1 + (singular value of W)^2 / s2",
            1e-8,
        )


def _more_pixels(draws_needed: Callable[..., Any], rng: Rng) -> None:
    W, s2, error = _linear(rng)
    few = float(array("The number of draws", draws_needed(W, s2, error), ()))
    many = array("The number of draws", draws_needed(np.repeat(W, 3, axis=0), 3 * s2, error), ())
    close(
        "The number of draws where each pixel is there three times, with three times the noise",
        many,
        few,
        "such pixels tell no more of z, so they cost no more draws",
        1e-8,
    )


def _draws(
    W: Array, s2: float, error: float, of: Callable[[float], float] = lambda log_det: np.exp(log_det) - 1
) -> Any:
    return of(np.linalg.slogdet(np.eye(W.shape[1]) + W.T @ W / s2)[1]) / error**2


DRAWS_NEEDED = Exercise(
    id="how_good_is_the_model.draws-needed",
    task="how many draws of the prior are needed, on average over x, for this relative error of p(x), where z ~ N(0, "
    "I) and x|z ~ N(W z, s2 I)",
    arguments="W, s2, relative_error",
    laws=(
        Law("pixels that tell nothing new cost nothing", _more_pixels),
        Law(
            "it is the product of 1 + (singular value)^2 / s2, less one, over the square of the error",
            _from_singular_values,
        ),
    ),
    zoo=(
        Mistake(
            "information once",
            "this is exp(I) - 1; the information counts twice, since the weights are squared.",
            lambda W, s2, e: _draws(W, s2, e, lambda log_det: np.exp(log_det / 2) - 1),
        ),
        Mistake(
            "no minus one",
            "the -1 is missing: without any information one draw would be enough.",
            lambda W, s2, e: _draws(W, s2, e, np.exp),
        ),
        Mistake(
            "logarithm",
            "this grows with the information itself; the number of draws grows with its exponential.",
            lambda W, s2, e: _draws(W, s2, e, lambda log_det: log_det),
        ),
        Mistake(
            "error not squared",
            "the relative variance falls as 1/N, so the relative error falls as the root of it: divide by its square.",
            lambda W, s2, e: _draws(W, s2, e) * e,
        ),
        Mistake(
            "s2 as a standard deviation",
            "s2 is the variance of the noise; it is not to be squared.",
            lambda W, s2, e: _draws(W, s2**2, e),
        ),
        Mistake(
            "trace",
            "the determinant is not one plus the trace: the factors of the latents multiply.",
            lambda W, s2, e: np.sum(W**2) / s2 / e**2,
        ),
    ),
    example=_linear,
)


# ---------------------------------------------------------------------------------- annealed_log_weight


def _walk(rng: Rng, n: int = 5, n_chains: int = 3) -> tuple[Array, Array]:
    inner = np.sort(rng.random(n - 1)) if n > 1 else np.empty(0)
    return 5 * rng.normal(size=(n, n_chains)), np.concatenate([[0.0], inner, [1.0]])


def _collects(annealed_log_weight: Callable[..., Any], rng: Rng) -> None:
    for n, n_chains in ((5, 3), (2, 6), (1, 4)):
        log_lik, b = _walk(rng, n, n_chains)
        got = array("log w", annealed_log_weight(log_lik, b), (n_chains,))
        want = np.zeros(n_chains)
        for step in range(n):
            want += (b[step + 1] - b[step]) * log_lik[step]
        close(
            f"The log-weights of {n_chains} chains over {n} steps",
            got,
            want,
            "log w = sum_n (b_n - b_(n-1)) log p(x|z)",
        )


ANNEALED_LOG_WEIGHT = Exercise(
    id="how_good_is_the_model.annealed-log-weight",
    task="log w of each chain, shape (K,), from log p(x|z) where the chains stand before each of N steps, shape (N, "
    "K), and the exponents b_0 = 0 < ... < b_N = 1",
    arguments="log_lik, b",
    laws=(Law("each step adds (b_n - b_(n-1)) log p(x|z) at the place before its move", _collects),),
    zoo=(
        Mistake(
            "exponents for their steps",
            "log p(x|z) is multiplied by b_n; it is the rise from the exponent before that counts.",
            lambda ll, b: b[1:] @ ll,
        ),
        Mistake(
            "even steps",
            "this takes all steps for equal, 1/N; the exponents say how long each is.",
            lambda ll, b: ll.mean(axis=0) + 0 * b[0],
        ),
        Mistake("no exponents", "the whole log p(x|z) is added at each step.", lambda ll, b: ll.sum(axis=0) + 0 * b[0]),
        Mistake(
            "sign",
            "the sign is turned: the next distribution is divided by the one before.",
            lambda ll, b: -np.diff(b) @ ll,
        ),
        Mistake(
            "from the end",
            "the steps are counted from the end: the first row is the one before the first step.",
            lambda ll, b: np.diff(b)[::-1] @ ll,
        ),
        Mistake(
            "chains added",
            "the chains are added up; each has a weight of its own.",
            lambda ll, b: np.sum(np.diff(b) @ ll),
        ),
    ),
    example=_walk,
)

EXERCISES = (LOG_MEAN_WEIGHT, WEIGHTS_THAT_COUNT, DRAWS_NEEDED, ANNEALED_LOG_WEIGHT)
