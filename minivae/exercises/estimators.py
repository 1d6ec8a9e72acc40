"""Exercises of the lecture "The gradient of an expectation"."""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

from minivae.core.arrays import Array
from minivae.distributions.nodes import gauss_hermite
from minivae.exercises.framework import Exercise, Law, Mistake
from minivae.exercises.laws import BrokenLawError, array, close, parts

Rng = np.random.Generator
_NODES, _WEIGHTS = (a.ravel() for a in gauss_hermite(12, 1))  # exact for polynomials of degree 23


def _problem(rng: Rng) -> tuple[float, float, float]:
    """Return k of f(z) = (z - k)^2, and mu and sigma of z ~ N(mu, sigma^2)."""
    return float(rng.normal()), float(rng.normal()), float(rng.uniform(0.5, 2))


# ----------------------------------------------------------------------------------------- pathwise


def _rows(estimator: Callable[..., Any], f: Callable[[Array], Array], mu: float, sigma: float) -> list[Array]:
    return parts("dmu, dsigma", estimator(f, mu, sigma, _NODES), _NODES.shape, _NODES.shape)


def _unbiased(estimator: Callable[..., Any], f: Callable[[Array], Array], mu: float, sigma: float, d: float) -> None:
    for name, rows, want in zip(("dmu", "dsigma"), _rows(estimator, f, mu, sigma), (2 * d, 2 * sigma), strict=True):
        close(
            f"The mean of {name}",
            np.array(_WEIGHTS @ rows),
            want,
            "E[(z - k)^2] = (mu - k)^2 + sigma^2, differentiated",
        )


def _variances(estimator: Callable[..., Any], f: Callable[[Array], Array], mu: float, sigma: float, want: Any) -> None:
    for name, rows, variance in zip(("dmu", "dsigma"), _rows(estimator, f, mu, sigma), want, strict=True):
        got = np.array(_WEIGHTS @ rows**2 - (_WEIGHTS @ rows) ** 2)
        close(f"The variance of {name}", got, variance, "the variance of this estimator for (z - k)^2, in closed form")


def _pathwise_is_unbiased(pathwise: Callable[..., Any], rng: Rng) -> None:
    k, mu, sigma = _problem(rng)
    _unbiased(pathwise, lambda z: 2 * (z - k), mu, sigma, mu - k)


def _pathwise_variance(pathwise: Callable[..., Any], rng: Rng) -> None:
    k, mu, sigma = _problem(rng)
    d = mu - k
    _variances(pathwise, lambda z: 2 * (z - k), mu, sigma, (4 * sigma**2, 4 * d**2 + 8 * sigma**2))


PATHWISE = Exercise(
    id="estimators.pathwise",
    task="the reparameterization gradient of E[f(z)], z ~ N(mu, sigma^2), one value a draw: dmu and "
    "dsigma, each with the "
    "shape of eps; df is the derivative of f",
    arguments="df, mu, sigma, eps",
    laws=(
        Law("its mean is the derivative of E[f]", _pathwise_is_unbiased),
        Law("it has the variance of the reparameterization gradient", _pathwise_variance),
    ),
    zoo=(
        Mistake(
            "no dz/dsigma",
            "dz/dsigma = eps is missing: both slopes are the same here.",
            lambda df, mu, sigma, eps: (df(mu + sigma * eps), df(mu + sigma * eps)),
        ),
        Mistake(
            "derivative at the mean",
            "f' is taken at mu; it belongs at the draw z = mu + sigma eps.",
            lambda df, mu, sigma, eps: (df(mu) + 0 * eps, df(mu) * eps + 0 * sigma),
        ),
        Mistake(
            "derivative at eps",
            "f' is taken at eps; it belongs at the draw z = mu + sigma eps.",
            lambda df, mu, sigma, eps: (df(eps), df(eps) * eps + 0 * mu * sigma),
        ),
        Mistake(
            "slope for log sigma",
            "dsigma has a factor sigma too many: that is the slope for log sigma.",
            lambda df, mu, sigma, eps: (df(mu + sigma * eps), sigma * eps * df(mu + sigma * eps)),
        ),
        Mistake(
            "mean taken",
            "the draws are averaged; one value a draw is asked for, so that the variance can be seen.",
            lambda df, mu, sigma, eps: (np.mean(df(mu + sigma * eps)), np.mean(eps * df(mu + sigma * eps))),
        ),
    ),
    example=lambda rng: (np.cos, *_problem(rng)[1:], rng.normal(size=6)),
)


# ----------------------------------------------------------------------------------- score_function


def _score_is_unbiased(score_function: Callable[..., Any], rng: Rng) -> None:
    k, mu, sigma = _problem(rng)
    _unbiased(score_function, lambda z: (z - k) ** 2, mu, sigma, mu - k)


def _score_variance(score_function: Callable[..., Any], rng: Rng) -> None:
    k, mu, sigma = _problem(rng)
    d, s2 = mu - k, sigma**2
    want = d**4 / s2 + 14 * d**2 + 15 * s2, 2 * d**4 / s2 + 60 * d**2 + 74 * s2
    _variances(score_function, lambda z: (z - k) ** 2, mu, sigma, want)


def _no_slope_needed(score_function: Callable[..., Any], rng: Rng) -> None:
    _, mu, sigma = _problem(rng)
    dmu, dsigma = _rows(score_function, lambda z: np.ones_like(z), mu, sigma)
    close("The mean of dmu where f = 1", np.array(_WEIGHTS @ dmu), 0.0, "the score has mean zero")
    close("The mean of dsigma where f = 1", np.array(_WEIGHTS @ dsigma), 0.0, "the score has mean zero")
    if np.allclose(dmu, 0) or np.allclose(dsigma, 0):
        raise BrokenLawError("dmu and dsigma should not be zero draw by draw where f = 1. The law: f times the score.")


SCORE_FUNCTION = Exercise(
    id="estimators.score-function",
    task="the score-function gradient of E[f(z)], z ~ N(mu, sigma^2), one value a draw: dmu and dsigma, "
    "each with the shape "
    "of eps, from values of f alone",
    arguments="f, mu, sigma, eps",
    laws=(
        Law("its mean is zero where f is constant", _no_slope_needed),
        Law("its mean is the derivative of E[f]", _score_is_unbiased),
        Law("it has the variance of the score-function gradient", _score_variance),
    ),
    zoo=(
        Mistake(
            "score not divided by sigma",
            "the score for mu is (z - mu) / sigma^2 = eps / sigma; here it is eps.",
            lambda f, mu, sigma, eps: (f(mu + sigma * eps) * eps, f(mu + sigma * eps) * (eps**2 - 1)),
        ),
        Mistake(
            "divided by sigma twice",
            "the score for mu is (z - mu) / sigma^2, and z - mu = sigma eps: one sigma cancels.",
            lambda f, mu, sigma, eps: (
                f(mu + sigma * eps) * eps / sigma**2,
                f(mu + sigma * eps) * (eps**2 - 1) / sigma**2,
            ),
        ),
        Mistake(
            "no minus one",
            "the -1 in the score for sigma is missing: it is the slope of -log sigma, the width of the density.",
            lambda f, mu, sigma, eps: (f(mu + sigma * eps) * eps / sigma, f(mu + sigma * eps) * eps**2 / sigma),
        ),
        Mistake(
            "slope for log sigma",
            "dsigma lacks 1 / sigma: that is the slope for log sigma.",
            lambda f, mu, sigma, eps: (f(mu + sigma * eps) * eps / sigma, f(mu + sigma * eps) * (eps**2 - 1)),
        ),
        Mistake(
            "sign",
            "the sign is turned: log q rises where z comes nearer to mu.",
            lambda f, mu, sigma, eps: (-f(mu + sigma * eps) * eps / sigma, -f(mu + sigma * eps) * (eps**2 - 1) / sigma),
        ),
        Mistake(
            "the score alone",
            "f is missing: the score alone has mean zero, whatever f is.",
            lambda f, mu, sigma, eps: (eps / sigma + 0 * f(mu), (eps**2 - 1) / sigma),
        ),
        Mistake(
            "mean taken",
            "the draws are averaged; one value a draw is asked for, so that the variance can be seen.",
            lambda f, mu, sigma, eps: (
                np.mean(f(mu + sigma * eps) * eps / sigma),
                np.mean(f(mu + sigma * eps) * (eps**2 - 1) / sigma),
            ),
        ),
    ),
    example=lambda rng: (np.cos, *_problem(rng)[1:], rng.normal(size=6)),
)


# ------------------------------------------------------------------------------------ optimal_baseline


def _values_and_scores(rng: Rng) -> tuple[Array, Array]:
    eps = rng.normal(size=8)
    return (eps + 2) ** 2, eps / 0.7


def _lowest(optimal_baseline: Callable[..., Any], rng: Rng) -> None:
    f, s = _values_and_scores(rng)
    c = float(array("c", optimal_baseline(f, s), ()))

    def second_moment(c: float) -> float:
        return float(np.mean(((f - c) * s) ** 2))

    slope = (second_moment(c + 1e-3) - second_moment(c - 1e-3)) / 2e-3  # exact: it is a parabola
    if abs(slope) > 1e-8 * (1 + np.mean(s**2) * np.ptp(f)):
        raise BrokenLawError(
            f"The mean square of (f - c) s should be lowest at c = {c:.4g}, but it still has the slope "
            f"{slope:.3g} there. "
            f"The law: the best baseline minimises E[((f - c) s)^2]."
        )


OPTIMAL_BASELINE = Exercise(
    id="estimators.optimal-baseline",
    task="the number c for which the mean square of (f - c) s over the draws is lowest; f are values of "
    "the cost, s scores",
    arguments="f, s",
    laws=(Law("no other c gives a lower mean square of (f - c) s", _lowest),),
    zoo=(
        Mistake(
            "mean of f",
            "the mean of f is the best guess at f, but draws with a large score count more: it can even "
            "raise the variance.",
            lambda f, s: np.mean(f) + 0 * s[0],
        ),
        Mistake(
            "weighted by s", "the weights are the squares of the scores, not the scores.", lambda f, s: f @ s / s.sum()
        ),
        Mistake(
            "weighted by |s|",
            "the weights are the squares of the scores, not their sizes.",
            lambda f, s: f @ abs(s) / abs(s).sum(),
        ),
        Mistake("not normalised", "the weights s^2 have to be divided by their sum.", lambda f, s: np.mean(f * s**2)),
        Mistake(
            "regression of f on s",
            "this is the slope of f on s; the baseline is a constant.",
            lambda f, s: f @ s / (s @ s),
        ),
    ),
    example=_values_and_scores,
)


# ------------------------------------------------------------------------------------ leave_one_out_gradient


def _coin(rng: Rng) -> tuple[float, Callable[[Array], Array], float]:
    """Return p, a cost of b in {0, 1}, and the exact slope of E[f(b)] in the logit of p."""
    p, f0, f1 = float(rng.uniform(0.2, 0.8)), float(rng.normal()), float(rng.normal())
    return p, lambda b: f0 + (f1 - f0) * b, p * (1 - p) * (f1 - f0)


def _enumerated(leave_one_out_gradient: Callable[..., Any], rng: Rng) -> None:
    p, cost, exact = _coin(rng)
    for n_draws in (2, 3):
        mean = 0.0
        for outcome in product([0.0, 1.0], repeat=n_draws):
            b = np.array(outcome)
            probability = float(np.prod(np.where(b == 1, p, 1 - p)))
            mean += probability * float(array("The estimate", leave_one_out_gradient(cost(b), b - p), ()))
        close(
            f"The mean over all outcomes of {n_draws} coins",
            np.array(mean),
            exact,
            "a baseline that does not see its own draw leaves the mean as it is",
        )


def _shift_invariant(leave_one_out_gradient: Callable[..., Any], rng: Rng) -> None:
    f, s = _values_and_scores(rng)
    a, b = (float(array("The estimate", leave_one_out_gradient(f + shift, s), ())) for shift in (0.0, 100.0))
    close(
        "The estimate with 100 added to f", np.array(b), a, "a constant in f has no slope, and drops out draw by draw"
    )


LEAVE_ONE_OUT = Exercise(
    id="estimators.leave-one-out-gradient",
    task="one estimate of the gradient from K draws, values f and scores s: the mean of (f_i - c_i) s_i, "
    "where c_i is the "
    "mean of the other f",
    arguments="f, s",
    laws=(
        Law("adding a constant to f changes nothing", _shift_invariant),
        Law("its mean over all outcomes of a coin is the exact gradient", _enumerated),
    ),
    zoo=(
        Mistake(
            "own draw included",
            "the mean includes the draw's own f: the estimate is then too small by (K - 1) / K.",
            lambda f, s: np.mean((f - f.mean()) * s),
        ),
        Mistake(
            "no baseline",
            "no baseline is taken away: it is unbiased, but 100 added to f changes it.",
            lambda f, s: np.mean(f * s),
        ),
        Mistake(
            "sum",
            "the draws are summed; the estimate is their mean.",
            lambda f, s: np.sum((f - f.mean()) * s) * len(f) / (len(f) - 1),
        ),
        Mistake(
            "mean over K of the others",
            "the others are K - 1, not K: divide their sum by K - 1.",
            lambda f, s: np.mean((f - (f.sum() - f) / len(f)) * s),
        ),
    ),
    example=_values_and_scores,
)


# ----------------------------------------------------------------------------------- standard_error


def _all_samples(standard_error: Callable[..., Any], rng: Rng) -> None:
    low, high = np.sort(rng.normal(size=2))
    for n in (2, 3, 4):
        errors = [
            float(array("The error", standard_error(np.array(sample)), ())) for sample in product([low, high], repeat=n)
        ]
        close(
            f"The mean square of the error over all {2**n} samples of {n} fair coins",
            np.array(np.mean(np.square(errors))),
            (high - low) ** 2 / 4 / n,
            "the variance of a mean of n draws is Var / n, and its estimate is unbiased",
        )


STANDARD_ERROR = Exercise(
    id="estimators.standard-error",
    task="the standard error of the mean of the draws g, shape (n,): the root of an unbiased estimate of its variance",
    arguments="g",
    laws=(Law("its square is an unbiased estimate of Var / n", _all_samples),),
    zoo=(
        Mistake(
            "divided by n",
            "np.std divides by n, which is too small on average: the mean has used up one degree of freedom (ddof=1).",
            lambda g: np.std(g) / np.sqrt(len(g)),
        ),
        Mistake(
            "spread of one draw",
            "this is the spread of one draw; that of the mean is smaller by sqrt(n).",
            lambda g: np.std(g, ddof=1),
        ),
        Mistake(
            "spread of one draw, divided by n",
            "this is the spread of one draw, with n in place of n - 1; that of the mean is smaller by sqrt(n).",
            lambda g: np.std(g),
        ),
        Mistake("n for its root", "the error falls as sqrt(n), not as n.", lambda g: np.std(g, ddof=1) / len(g)),
        Mistake(
            "variance", "this is the variance of the mean; the error is its root.", lambda g: np.var(g, ddof=1) / len(g)
        ),
    ),
    example=lambda rng: (rng.normal(size=7),),
)

EXERCISES = (PATHWISE, SCORE_FUNCTION, OPTIMAL_BASELINE, LEAVE_ONE_OUT, STANDARD_ERROR)
