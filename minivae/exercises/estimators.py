"""Exercises of the lecture "The gradient of an expectation"."""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

from minivae.core.arrays import Array
from minivae.distributions.nodes import gauss_hermite
from minivae.exercises.framework import Exercise, Law, Mistake, mistakes_of
from minivae.exercises.laws import array, close, parts, sizes

Rng = np.random.Generator
_NODES, _WEIGHTS = (a.ravel() for a in gauss_hermite(12, 1))  # exact for polynomials of degree 23


def _problem(rng: Rng) -> tuple[float, float, float]:
    """Return k of f(z) = (z - k)^2, and mu and sigma of z ~ N(mu, sigma^2)."""
    return float(rng.normal()), float(rng.normal()), float(rng.uniform(0.5, 2))


def _smooth(rng: Rng) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """Return a random smooth function of a number or an array, and its derivative."""
    a, b, c = rng.normal(size=3)
    return lambda z: a * np.sin(z) + b * z**2 + c * z, lambda z: a * np.cos(z) + 2 * b * z + c


def _draws(rng: Rng) -> tuple[float, float, Array]:
    """Return mu, sigma and noise of which no draw is the mirror image of another."""
    _, mu, sigma = _problem(rng)
    return mu, sigma, rng.normal(size=sizes(rng, 1, 3, 9))


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


def _slope_of_each_draw(pathwise: Callable[..., Any], rng: Rng) -> None:
    f, df = _smooth(rng)
    mu, sigma, eps = _draws(rng)
    got = parts("dmu, dsigma", pathwise(df, mu, sigma, eps), eps.shape, eps.shape)
    h, why = 1e-5, "each is the slope of f(mu + sigma eps) for its own eps"
    by_mu = (f(mu + h + sigma * eps) - f(mu - h + sigma * eps)) / (2 * h)
    by_sigma = (f(mu + (sigma + h) * eps) - f(mu + (sigma - h) * eps)) / (2 * h)
    close("dmu", got[0], by_mu, why, 1e-7)
    close("dsigma", got[1], by_sigma, why, 1e-7)


def _pathwise(
    df: Callable[[Any], Any],
    mu: float,
    sigma: float,
    eps: Array,
    *,
    at: Callable[[float, float, Array], Any] = lambda mu, sigma, eps: mu + sigma * eps,
    dz_dsigma: Callable[[float, Array], Any] = lambda sigma, eps: eps,
    over_draws: Callable[[Array], Any] = lambda a: a,
) -> tuple[Any, Any]:
    slope = df(at(mu, sigma, eps)) + 0 * eps
    return over_draws(slope), over_draws(slope * dz_dsigma(sigma, eps))


_path_mistake = mistakes_of(_pathwise)

PATHWISE = Exercise(
    id="estimators.pathwise",
    task="the reparameterization gradient of E[f(z)], z = mu + sigma eps, one value a draw: dmu and "
    "dsigma, each with the "
    "shape of eps; df is the derivative of f",
    arguments="df, mu, sigma, eps",
    laws=(
        Law("its mean is the derivative of E[f]", _pathwise_is_unbiased),
        Law("it has the variance of the reparameterization gradient", _pathwise_variance),
        Law("each value is the slope of f at its own draw", _slope_of_each_draw),
    ),
    zoo=(
        _path_mistake(
            "no dz/dsigma",
            "dz/dsigma = eps is missing: both slopes are the same here.",
            dz_dsigma=lambda sigma, eps: 1,
        ),
        _path_mistake(
            "derivative at the mean",
            "f' is taken at mu; it belongs at the draw z = mu + sigma eps.",
            at=lambda mu, sigma, eps: mu,
        ),
        _path_mistake(
            "derivative at eps",
            "f' is taken at eps; it belongs at the draw z = mu + sigma eps.",
            at=lambda mu, sigma, eps: eps,
        ),
        _path_mistake(
            "derivative at the mirror image",
            "f' is taken at mu - sigma eps, the mirror image of the draw z = mu + sigma eps.",
            at=lambda mu, sigma, eps: mu - sigma * eps,
        ),
        _path_mistake(
            "slope for log sigma",
            "dsigma has a factor sigma too many: that is the slope for log sigma.",
            dz_dsigma=lambda sigma, eps: sigma * eps,
        ),
        _path_mistake("sign", "the sign of dz/dsigma is turned: it is +eps.", dz_dsigma=lambda sigma, eps: -eps),
        _path_mistake(
            "mean taken",
            "the draws are averaged; one value a draw is asked for, so that the variance can be seen.",
            over_draws=np.mean,
        ),
    ),
    example=lambda rng: (_smooth(rng)[1], *_draws(rng)),
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
    dmu, dsigma = _rows(score_function, np.ones_like, mu, sigma)
    close("The mean of dmu where f = 1", np.array(_WEIGHTS @ dmu), 0.0, "the score has mean zero")
    close("The mean of dsigma where f = 1", np.array(_WEIGHTS @ dsigma), 0.0, "the score has mean zero")


def _score_of_each_draw(score_function: Callable[..., Any], rng: Rng) -> None:
    f, _ = _smooth(rng)
    mu, sigma, eps = _draws(rng)
    got = parts("dmu, dsigma", score_function(f, mu, sigma, eps), eps.shape, eps.shape)
    z, h, why = mu + sigma * eps, 1e-5, "each is f times the slope of log q at its own draw, with z held fixed"

    def log_q(mu: float, sigma: float) -> Any:
        return -0.5 * ((z - mu) / sigma) ** 2 - np.log(sigma)

    by_mu = f(z) * (log_q(mu + h, sigma) - log_q(mu - h, sigma)) / (2 * h)
    by_sigma = f(z) * (log_q(mu, sigma + h) - log_q(mu, sigma - h)) / (2 * h)
    close("dmu", got[0], by_mu, why, 1e-6)
    close("dsigma", got[1], by_sigma, why, 1e-6)


def _score_function(
    f: Callable[[Any], Any],
    mu: float,
    sigma: float,
    eps: Array,
    *,
    powers: tuple[int, int] = (1, 1),
    one: float = 1,
    sign: float = 1,
    value: Callable[[Any], Any] = lambda value: value,
    over_draws: Callable[[Array], Any] = lambda a: a,
) -> tuple[Any, Any]:
    times = sign * value(f(mu + sigma * eps))
    return over_draws(times * eps / sigma ** powers[0]), over_draws(times * (eps**2 - one) / sigma ** powers[1])


_score_mistake = mistakes_of(_score_function)

SCORE_FUNCTION = Exercise(
    id="estimators.score-function",
    task="the score-function gradient of E[f(z)], z = mu + sigma eps, one value a draw: dmu and dsigma, "
    "each with the shape "
    "of eps, from values of f alone",
    arguments="f, mu, sigma, eps",
    laws=(
        Law("its mean is zero where f is constant", _no_slope_needed),
        Law("its mean is the derivative of E[f]", _score_is_unbiased),
        Law("it has the variance of the score-function gradient", _score_variance),
        Law("each value is f times the score at its own draw", _score_of_each_draw),
    ),
    zoo=(
        _score_mistake(
            "score not divided by sigma",
            "the score for mu is (z - mu) / sigma^2 = eps / sigma; here it is eps.",
            powers=(0, 0),
        ),
        _score_mistake(
            "divided by sigma twice",
            "the score for mu is (z - mu) / sigma^2, and z - mu = sigma eps: one sigma cancels.",
            powers=(2, 2),
        ),
        _score_mistake(
            "no minus one",
            "the -1 in the score for sigma is missing: it is the slope of -log sigma, the width of the density.",
            one=0,
        ),
        _score_mistake(
            "slope for log sigma", "dsigma lacks 1 / sigma: that is the slope for log sigma.", powers=(1, 0)
        ),
        _score_mistake("sign", "the sign is turned: log q rises where z comes nearer to mu.", sign=-1),
        _score_mistake(
            "the score alone",
            "f is missing: the score alone has mean zero, whatever f is.",
            value=np.ones_like,
        ),
        _score_mistake(
            "mean taken",
            "the draws are averaged; one value a draw is asked for, so that the variance can be seen.",
            over_draws=np.mean,
        ),
    ),
    example=lambda rng: (_smooth(rng)[0], *_draws(rng)),
)


# ------------------------------------------------------------------------------------ optimal_baseline


def _values_and_scores(rng: Rng) -> tuple[Array, Array]:
    """Return values f and scores s of K draws, K at least 3; neither can be told from the other."""
    (n_draws,) = sizes(rng, 1, 3, 9)
    return 3 * rng.normal(size=n_draws), rng.normal(size=n_draws)


def _lowest(optimal_baseline: Callable[..., Any], rng: Rng) -> None:
    f, s = _values_and_scores(rng)
    got = array("c", optimal_baseline(f, s), ())
    low, middle, high = (float(np.mean(((f - c) * s) ** 2)) for c in (-1.0, 0.0, 1.0))
    lowest = 0.5 * (low - high) / (low - 2 * middle + high)  # of the parabola through three points
    close("c", got, lowest, "the mean square of (f - c) s is a parabola in c, and this is its lowest point")


def _optimal_baseline(
    f: Array, s: Array, *, weight: Callable[[Array], Array] = np.square, total: Callable[[Array], Any] = np.sum
) -> Any:
    return np.sum(f * weight(s)) / total(weight(s))


_baseline_mistake = mistakes_of(_optimal_baseline)

OPTIMAL_BASELINE = Exercise(
    id="estimators.optimal-baseline",
    task="the number c for which the mean square of (f - c) s over the draws is lowest; f are values of "
    "the cost, s scores",
    arguments="f, s",
    laws=(Law("no other c gives a lower mean square of (f - c) s", _lowest),),
    zoo=(
        _baseline_mistake(
            "mean of f",
            "the mean of f is the best guess at f, but draws with a large score count more: it can even "
            "raise the variance.",
            weight=np.ones_like,
        ),
        _baseline_mistake(
            "weighted by s", "the weights are the squares of the scores, not the scores.", weight=lambda s: s
        ),
        _baseline_mistake(
            "weighted by |s|", "the weights are the squares of the scores, not their sizes.", weight=np.abs
        ),
        _baseline_mistake("not normalised", "the weights s^2 have to be divided by their sum.", total=np.size),
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
    for n_draws in (2, 3, 4):
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


def _is_a_covariance(leave_one_out_gradient: Callable[..., Any], rng: Rng) -> None:
    f, s = _values_and_scores(rng)
    got = array("The estimate", leave_one_out_gradient(f, s), ())
    close("The estimate", got, np.cov(f, s)[0, 1], "it is the sample covariance of f and s, sum over K - 1")


def _leave_one_out(
    f: Array,
    s: Array,
    *,
    baseline: Callable[[Array], Any] = lambda f: (f.sum() - f) / (len(f) - 1),
    over_draws: Callable[[Array], Any] = np.mean,
    sign: float = 1,
) -> Any:
    return over_draws((f - sign * baseline(f)) * s)


_others_mistake = mistakes_of(_leave_one_out)

LEAVE_ONE_OUT = Exercise(
    id="estimators.leave-one-out-gradient",
    task="one estimate of the gradient from K draws, values f and scores s: the mean of (f_i - c_i) s_i, "
    "where c_i is the "
    "mean of the other f",
    arguments="f, s",
    laws=(
        Law("adding a constant to f changes nothing", _shift_invariant),
        Law("its mean over all outcomes of a coin is the exact gradient", _enumerated),
        Law("it is the sample covariance of f and s", _is_a_covariance),
    ),
    zoo=(
        _others_mistake(
            "own draw included",
            "the mean includes the draw's own f: the estimate is then too small by (K - 1) / K.",
            baseline=np.mean,
        ),
        _others_mistake(
            "no baseline",
            "no baseline is taken away: it is unbiased, but 100 added to f changes it.",
            baseline=lambda f: 0,
        ),
        _others_mistake("sum", "the draws are summed; the estimate is their mean.", over_draws=np.sum),
        _others_mistake(
            "mean over K of the others",
            "the others are K - 1, not K: divide their sum by K - 1.",
            baseline=lambda f: (f.sum() - f) / len(f),
        ),
        _others_mistake(
            "median of the others",
            "this is the median of the others; it does not see its own draw either, but their mean is asked for.",
            baseline=lambda f: np.array([np.median(np.delete(f, i)) for i in range(len(f))]),
        ),
        _others_mistake("added", "the baseline is added; it is to be taken away.", sign=-1),
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


def _of_pairs(standard_error: Callable[..., Any], rng: Rng) -> None:
    (g,) = _sample(rng)
    got = array("The error", standard_error(g), ())
    pairs = [(a - b) ** 2 / 2 for i, a in enumerate(g) for b in g[:i]]
    close(
        "The error",
        got,
        np.sqrt(np.mean(pairs) / len(g)),
        "half the squared difference of two draws has the mean Var; over all pairs it estimates Var without a bias",
    )


def _sample(rng: Rng) -> tuple[Array]:
    return (rng.normal(size=sizes(rng, 1, 3, 9)) + 1,)


def _standard_error(g: Array, *, ddof: int = 1, power: float = 0.5, root: float = 0.5) -> Any:
    return np.var(g, ddof=ddof) ** root / len(g) ** power


_spread_mistake = mistakes_of(_standard_error)

STANDARD_ERROR = Exercise(
    id="estimators.standard-error",
    task="the standard error of the mean of the draws g, shape (n,): the root of an unbiased estimate of its variance",
    arguments="g",
    laws=(
        Law("its square is the estimate of Var / n that all pairs of draws give", _of_pairs),
        Law("that estimate is unbiased", _all_samples),
    ),
    zoo=(
        _spread_mistake(
            "divided by n",
            "np.std divides by n, which is too small on average: the mean has used up one degree of freedom (ddof=1).",
            ddof=0,
        ),
        _spread_mistake(
            "spread of one draw", "this is the spread of one draw; that of the mean is smaller by sqrt(n).", power=0
        ),
        _spread_mistake("n for its root", "the error falls as sqrt(n), not as n.", power=1),
        _spread_mistake("variance", "this is the variance of the mean; the error is its root.", root=1, power=1),
    ),
    example=_sample,
)

EXERCISES = (PATHWISE, SCORE_FUNCTION, OPTIMAL_BASELINE, LEAVE_ONE_OUT, STANDARD_ERROR)
