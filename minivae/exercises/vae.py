"""Exercises of the lecture "The VAE from scratch"."""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

from minivae.core.arrays import Array
from minivae.distributions.linear_gaussian import LinearGaussian
from minivae.distributions.nodes import gauss_hermite
from minivae.exercises.framework import Exercise, Law, mistakes_of
from minivae.exercises.laws import BrokenLawError, array, close, parts, sizes, slopes

Rng = np.random.Generator
_THREE_NODES = tuple(a.ravel().tolist() for a in gauss_hermite(3, 1))


def _head(rng: Rng) -> tuple[Array, Array]:
    """Return mu and log_var, (B, L)."""
    shape = sizes(rng, 2)
    return rng.normal(size=shape), rng.normal(size=shape)


def _rows(a: Array) -> Array:
    return a.sum(axis=1)


def _row_means(a: Array) -> Array:
    return a.mean(axis=1)


# ------------------------------------------------------------------------------------------ sample_z


def _moments(sample_z: Callable[..., Any], rng: Rng) -> None:
    mu, log_var = _head(rng)
    nodes, weights = gauss_hermite(6, 1)  # polynomials of degree 11 are integrated exactly
    draws = np.array([array("z", sample_z(mu, log_var, np.full(mu.shape, e)), mu.shape) for e in nodes.ravel()])
    mean = np.tensordot(weights, draws, 1)
    close("The mean of z over eps ~ N(0, 1)", mean, mu, "E[z] = mu")
    close(
        "The variance of z over eps ~ N(0, 1)",
        np.tensordot(weights, (draws - mean) ** 2, 1),
        np.exp(log_var),
        "Var[z] = exp(log_var)",
    )


def _own_noise(sample_z: Callable[..., Any], rng: Rng) -> None:
    mu, log_var = _head(rng)
    eps = rng.normal(size=mu.shape)
    z = array("z", sample_z(mu, log_var, eps), mu.shape)
    for place in np.ndindex(mu.shape):
        moved = eps.copy()
        moved[place] += 1.0
        change = array("z", sample_z(mu, log_var, moved), mu.shape) - z
        if change[place] == 0 or np.count_nonzero(change) != 1:
            raise BrokenLawError(
                "z should change in one entry when one entry of eps does. The law: each latent has its own noise."
            )


def _in_standard_deviations(sample_z: Callable[..., Any], rng: Rng) -> None:
    mu, log_var = _head(rng)
    eps = rng.normal(size=mu.shape)
    z = array("z", sample_z(mu, log_var, eps), mu.shape)
    close(
        "The distance of z from mu in standard deviations",
        (z - mu) * np.exp(log_var) ** -0.5,
        eps,
        "eps says how many standard deviations z lies above mu, so that z belongs to this eps and no other",
    )


def _sample_z(
    mu: Array,
    log_var: Array,
    eps: Array,
    *,
    mean: float = 1,
    sign: float = 1,
    scale: Callable[[Array], Any] = lambda log_var: np.exp(log_var / 2),
) -> Array:
    return mean * mu + sign * scale(log_var) * eps


_sampling = mistakes_of(_sample_z)


def _with_noise(mu: Array, log_var: Array, rng: Rng) -> tuple[Array, Array, Array]:
    return mu, log_var, rng.normal(size=mu.shape)


SAMPLE_Z = Exercise(
    id="vae.sample-z",
    task="the draw of z ~ N(mu, diag(exp(log_var))) that belongs to the noise eps ~ N(0, I)",
    arguments="mu, log_var, eps",
    laws=(
        Law("z has mean mu and variance exp(log_var), exactly", _moments),
        Law("each latent has its own noise", _own_noise),
        Law("eps counts the standard deviations from mu to z", _in_standard_deviations),
    ),
    zoo=(
        _sampling(
            "exp(log_var) as standard deviation",
            "exp(log_var) is the variance; the standard deviation is exp(log_var / 2). A gradient check does not see "
            "this one: the gradient of the wrong sampler is right for the wrong sampler.",
            scale=np.exp,
        ),
        _sampling(
            "log_var as standard deviation",
            "log_var is the logarithm of the variance, and may be negative; it has to be exponentiated.",
            scale=lambda log_var: log_var,
        ),
        _sampling("no mean", "the noise is scaled, but never moved to mu.", mean=0),
        _sampling("no scale", "the noise is moved to mu, but its width is always 1.", scale=lambda log_var: 1),
        _sampling("no noise", "this returns the mean, whatever eps is: an autoencoder, not a draw.", sign=0),
        _sampling(
            "a precision",
            "the standard deviation is exp(+log_var / 2); with the minus sign it is that of 1 / variance.",
            scale=lambda log_var: np.exp(-log_var / 2),
        ),
        _sampling(
            "noise taken away",
            "the noise is taken away: that z has the right distribution, but it belongs to -eps. A positive eps is a z "
            "above mu.",
            sign=-1,
        ),
    ),
    example=lambda rng: _with_noise(*_head(rng), rng),
)


# ------------------------------------------------------------------------------------------------ kl


def _integral(mu: Array, log_var: Array) -> Array:
    """KL as its defining integral E_q[log q - log p]: the integrand is quadratic in eps, so three nodes are exact."""
    sigma = np.exp(log_var / 2)
    total = np.zeros_like(mu)
    for e, w in zip(*_THREE_NODES, strict=True):
        total += w * (-0.5 * e**2 - np.log(sigma) + 0.5 * (mu + sigma * e) ** 2)
    return total.sum(axis=1)


def _is_the_integral(kl: Callable[..., Any], rng: Rng) -> None:
    mu, log_var = _head(rng)
    got = array("kl", kl(mu, log_var), mu.shape[:1])
    close("kl", got, _integral(mu, log_var), "KL(q || p) = E_q[log q(z) - log p(z)], one value for each example")


def _at_the_prior(kl: Callable[..., Any], rng: Rng) -> None:
    mu, log_var = _head(rng)
    got = array("kl", kl(0 * mu, 0 * log_var), mu.shape[:1])
    close("kl at mu = 0, log_var = 0", got, 0.0, "KL = 0 where q = p")
    low = array("kl", kl(1e-2 * mu, 1e-2 * log_var), mu.shape[:1])
    if (low < 0).any():
        raise BrokenLawError(f"kl must not be negative, got {low.min():.3g} near q = p. The law: KL >= 0.")


def _kl(
    mu: Array,
    log_var: Array,
    *,
    half: float = 0.5,
    sign: float = 1,
    one: float = 1,
    reduce: Callable[[Array], Any] = _rows,
    of_variance: float = 1,
    other_way: bool = False,
) -> Any:
    log_var = of_variance * log_var
    var = np.exp(log_var)
    square, log_ratio = ((1 + mu**2) / var - var, -log_var) if other_way else (mu**2, log_var)
    return sign * half * reduce(square + var - one - log_ratio)


_kl_mistake = mistakes_of(_kl)

KL = Exercise(
    id="vae.kl",
    task="KL(N(mu, diag(exp(log_var))) || N(0, I)) in nats, shape (batch,)",
    arguments="mu, log_var",
    laws=(
        Law("it is zero at the prior and nowhere negative", _at_the_prior),
        Law("it equals the integral E_q[log q - log p]", _is_the_integral),
    ),
    zoo=(
        _kl_mistake("no half", "the factor 1/2 is missing.", half=1),
        _kl_mistake(
            "sign", "the sign is turned: a KL is never negative, and it is subtracted in the ELBO, not here.", sign=-1
        ),
        _kl_mistake(
            "mean over the latents",
            "the latents are independent, so their KLs add; a mean over them is a hidden beta of 1/L.",
            reduce=_row_means,
        ),
        _kl_mistake(
            "mean over the batch",
            "one number comes back for the whole batch; leave the mean over the examples to the loss.",
            reduce=lambda a: a.sum(axis=1).mean(),
        ),
        _kl_mistake(
            "sum over everything", "the batch is summed too; sum over the latents only (axis=1).", reduce=np.sum
        ),
        _kl_mistake(
            "log sigma",
            "log_var was read as log sigma: the variance is exp(log_var), not exp(2 log_var).",
            of_variance=2,
        ),
        _kl_mistake("other direction", "this is KL(p || q); the ELBO has KL(q || p).", other_way=True),
        _kl_mistake("no minus one", "the -1 of each latent is missing, so it is not zero at the prior.", one=0),
    ),
    example=_head,
)


# --------------------------------------------------------------------------------------- kl_backward


def _weighted(rng: Rng) -> tuple[Array, Array, Array]:
    mu, log_var = _head(rng)
    return mu, log_var, rng.normal(size=len(mu))


def _slopes_of_kl(kl_backward: Callable[..., Any], rng: Rng) -> None:
    mu, log_var, dkl = _weighted(rng)
    got = parts("dmu, dlog_var", kl_backward(mu, log_var, dkl), mu.shape, mu.shape)
    slopes("dmu, dlog_var", got, lambda m, v: float(dkl @ _integral(m, v)), [mu, log_var], "slopes of sum(dkl * kl)")


def _kl_backward(
    mu: Array,
    log_var: Array,
    dkl: Array,
    *,
    half: float = 0.5,
    sign: float = 1,
    one: float = 1,
    of_mu: float = 1,
    arriving: Callable[[Array], Any] = lambda dkl: dkl[:, None],
) -> tuple[Array, Array]:
    return of_mu * mu * sign * arriving(dkl), half * (np.exp(log_var) - one) * sign * arriving(dkl)


_kl_slope = mistakes_of(_kl_backward)

KL_BACKWARD = Exercise(
    id="vae.kl-backward",
    task="dmu and dlog_var, the gradient of sum(dkl * kl(mu, log_var)); dkl has shape (batch,)",
    arguments="mu, log_var, dkl",
    laws=(Law("dmu and dlog_var equal finite differences of the KL, weighted by dkl", _slopes_of_kl),),
    zoo=(
        _kl_slope(
            "slope for log sigma",
            "exp(log_var) - 1 is the slope for log sigma; log_var = 2 log sigma, so its slope is half of that.",
            half=1,
        ),
        _kl_slope(
            "dkl left out",
            "dkl is missing: every slope on the way back is multiplied by the slope that arrives.",
            arriving=lambda dkl: 1,
        ),
        _kl_slope("sign", "the sign is turned: this goes down the KL, and the gradient points up.", sign=-1),
        _kl_slope("no minus one", "the slope of -log_var / 2 is missing: at the prior dlog_var is zero.", one=0),
        _kl_slope("twice mu", "mu^2 / 2 has the slope mu; the factors 1/2 and 2 cancel.", of_mu=2),
    ),
    example=_weighted,
)


# ------------------------------------------------------------------------------------- log_bernoulli


def _sums_to_one(log_bernoulli: Callable[..., Any], rng: Rng) -> None:
    (n_x,) = sizes(rng, 1, high=6)
    images = np.array(list(product([0.0, 1.0], repeat=n_x)))  # all of them
    logits = np.tile(rng.normal(size=n_x), (len(images), 1))
    got = array("log p(x|z)", log_bernoulli(logits, images), (len(images),))
    close("The sum of p(x|z) over all x", np.exp(got).sum(), 1.0, "probabilities of all images add up to one")


def _log_odds(log_bernoulli: Callable[..., Any], rng: Rng) -> None:
    logits, x = _pixels(rng, 2.0)
    shape = logits.shape[:1]
    for j in range(logits.shape[1]):
        on, off = x.copy(), x.copy()
        on[:, j], off[:, j] = 1.0, 0.0
        odds = array("log p(x|z)", log_bernoulli(logits, on), shape) - array(
            "log p(x|z)", log_bernoulli(logits, off), shape
        )
        close(f"The log-odds of pixel {j}", odds, logits[:, j], "logit = log p(x=1) - log p(x=0)")


def _product_of_pixels(log_bernoulli: Callable[..., Any], rng: Rng) -> None:
    logits, x = _pixels(rng, 2.0)
    p = 1 / (1 + np.exp(-logits))
    want = np.log(np.prod(np.where(x == 1, p, 1 - p), axis=1))
    got = array("log p(x|z)", log_bernoulli(logits, x), logits.shape[:1])
    close("log p(x|z)", got, want, "p(x|z) is the product over the pixels of sigmoid(l) or 1 - sigmoid(l)")


def _large_logits(log_bernoulli: Callable[..., Any], rng: Rng) -> None:
    sign = np.where(rng.random(4) < 0.5, -1.0, 1.0)
    logits, x = 1000 * np.array([sign, sign]).T, np.array([(sign > 0) * 1.0, (sign < 0) * 1.0]).T
    got = array("log p(x|z) at logits of 1000", log_bernoulli(logits, x), (4,))
    close(
        "log p(x|z) at logits of 1000", got, -1000.0, "log p(x|z) is about -|logit| for a pixel that is sure and wrong"
    )


def _pixels(rng: Rng, width: float) -> tuple[Array, Array]:
    """Return logits and binary pixels, (B, D)."""
    shape = sizes(rng, 2)
    return width * rng.normal(size=shape), (rng.random(shape) < 0.5) * 1.0


def _many_large(rng: Rng) -> tuple[Array, Array]:
    """Return logits so large that probabilities round to 0 or 1 in many rows, and pixels."""
    (n_x,) = sizes(rng, 1)
    return 60 * rng.normal(size=(40, n_x)), (rng.random((40, n_x)) < 0.5) * 1.0


def _softplus(a: Array) -> Array:
    return np.logaddexp(0, a)


def _each(logits: Array, x: Array) -> Array:
    return x * logits - _softplus(logits)


def _of_probabilities(clip: float) -> Callable[[Array, Array], Array]:
    def each(logits: Array, x: Array) -> Array:
        p = np.clip(1 / (1 + np.exp(-logits)), clip, 1 - clip)
        return x * np.log(p) + (1 - x) * np.log(1 - p)

    return each


def _log_bernoulli(
    logits: Array,
    x: Array,
    *,
    each: Callable[[Array, Array], Array] = _each,
    sign: float = 1,
    reduce: Callable[[Array], Any] = _rows,
) -> Any:
    return sign * reduce(each(logits, x))


_pixel_mistake = mistakes_of(_log_bernoulli)

LOG_BERNOULLI = Exercise(
    id="vae.log-bernoulli",
    task="log p(x|z) in nats, shape (batch,), of binary pixels x under the logits that the decoder gives",
    arguments="logits, x",
    laws=(
        Law("the probabilities of all images add up to one", _sums_to_one),
        Law("a logit is the log-odds of its pixel", _log_odds),
        Law("p(x|z) is the product of the pixels' probabilities", _product_of_pixels),
        Law("logits of 1000 are no trouble", _large_logits),
    ),
    zoo=(
        _pixel_mistake(
            "mean over the pixels",
            "a mean over the pixels is the log of no probability; it makes the KL count D times too much "
            "(a hidden beta).",
            reduce=_row_means,
        ),
        _pixel_mistake(
            "loss for log-likelihood",
            "this is the cross-entropy, the loss; the log-likelihood is minus that, and never above zero.",
            sign=-1,
        ),
        _pixel_mistake(
            "logs of rounded probabilities",
            "sigmoid rounds to 0 or 1 at large logits and its log is lost; work with softplus "
            "(np.logaddexp(0, logits)).",
            each=_of_probabilities(0),
        ),
        _pixel_mistake(
            "clipped probabilities",
            "clipping the probabilities hides the trouble: every sure and wrong pixel then costs the same.",
            each=_of_probabilities(1e-7),
        ),
        _pixel_mistake(
            "ones only",
            "only the pixels that are 1 are counted; those that are 0 have a probability too, 1 - sigmoid(logit).",
            each=lambda logits, x: -x * _softplus(-logits),
        ),
        _pixel_mistake(
            "squared error",
            "a squared error belongs to a Gaussian decoder; these pixels are zeros and ones.",
            each=lambda logits, x: -0.5 * (x - 1 / (1 + np.exp(-logits))) ** 2,
        ),
        _pixel_mistake(
            "sum over everything", "the batch is summed too; sum over the pixels only (axis=1).", reduce=np.sum
        ),
    ),
    example=_many_large,
)


# ---------------------------------------------------------------------------------------------- elbo


def _linear_gaussian(rng: Rng) -> tuple[LinearGaussian, Array, Array, Array, Array, Array]:
    """Return a model with known answers, data, an encoder's head, and log p(x|z) and KL for 2^L draws of z.

    The draws are the corners eps = (+-1, ..., +-1), which average a quadratic exactly.
    """
    n_x, n_latent = int(rng.integers(2, 6)), int(rng.integers(1, 4))
    n_batch = int(rng.choice([3, 5, 6, 7]))  # never 2^L
    model = LinearGaussian(rng.normal(size=(n_x, n_latent)), rng.normal(size=n_x), float(rng.uniform(0.3, 2)))
    x, (mu, log_var) = rng.normal(size=(n_batch, n_x)), rng.normal(size=(2, n_batch, n_latent))
    eps = np.array(list(product([-1.0, 1.0], repeat=n_latent)))[:, None, :]
    z = mu + np.exp(log_var / 2) * eps  # (K, B, L)
    squares = np.sum((x - model.b - z @ model.W.T) ** 2, axis=2)
    log_lik = -0.5 * (squares / model.s2 + n_x * np.log(2 * np.pi * model.s2))
    return model, x, mu, log_var, log_lik, _integral(mu, log_var)


def _below_log_p(elbo: Callable[..., Any], rng: Rng) -> None:
    model, x, *_, log_lik, kl = _linear_gaussian(rng)
    got = array("elbo", elbo(log_lik, kl), kl.shape)
    log_p = model.log_prob(x)
    if (got > log_p).any():
        i = int(np.argmax(got - log_p))
        raise BrokenLawError(
            f"elbo must not exceed log p(x) = {log_p[i]:.4g}, got {got[i]:.4g}. The law: ELBO <= log p(x)."
        )


def _equals_closed_form(elbo: Callable[..., Any], rng: Rng) -> None:
    model, x, mu, log_var, log_lik, kl = _linear_gaussian(rng)
    got = array("elbo", elbo(log_lik, kl), kl.shape)
    close("elbo", got, model.elbo(x, mu, log_var), "ELBO = E_q[log p(x|z)] - KL, exact on a linear-Gaussian model")


def _each_draw_counts(elbo: Callable[..., Any], rng: Rng) -> None:
    log_lik, kl = _estimates(rng)
    got = array("elbo", elbo(log_lik, kl), kl.shape)
    for k, b in np.ndindex(log_lik.shape):
        raised = log_lik.copy()
        raised[k, b] += 1.0
        want = np.where(np.arange(len(kl)) == b, 1 / len(log_lik), 0.0)
        change = array("elbo", elbo(raised, kl), kl.shape) - got
        close(f"The change of elbo with draw {k} of example {b}", change, want, "each of K draws counts 1/K")


def _estimates(rng: Rng) -> tuple[Array, Array]:
    """Return log p(x|z) of K draws, (K, B), and KLs, (B,)."""
    n_draws, n_batch = sizes(rng, 2)
    return rng.normal(size=(n_draws, n_batch)) - 4, rng.uniform(0.1, 2, size=n_batch)


def _log_mean_exp(a: Array) -> Array:
    return a.max(axis=0) + np.log(np.mean(np.exp(a - a.max(axis=0)), axis=0))


def _elbo(
    log_lik: Array,
    kl: Array,
    *,
    sign: float = 1,
    of_kl: float = 1,
    over_draws: Callable[[Array], Array] = lambda a: a.mean(axis=0),
    over_batch: Callable[[Array], Any] = lambda a: a,
) -> Any:
    return over_batch(sign * (over_draws(log_lik) - of_kl * kl))


_elbo_mistake = mistakes_of(_elbo)

ELBO = Exercise(
    id="vae.elbo",
    task="the ELBO of each example, shape (batch,), from log p(x|z) of K draws, shape (K, batch), and kl, "
    "shape (batch,)",
    arguments="log_lik, kl",
    laws=(
        Law("it stays below log p(x) on a model where that is known", _below_log_p),
        Law("it equals the closed form of a linear-Gaussian model", _equals_closed_form),
        Law("each of K draws counts 1/K, for its own example", _each_draw_counts),
    ),
    zoo=(
        _elbo_mistake("kl added", "the KL is added; it is what the code costs, so it is subtracted.", of_kl=-1),
        _elbo_mistake("kl left out", "the KL is missing.", of_kl=0),
        _elbo_mistake(
            "sum over the draws",
            "the draws are summed; an expectation is their mean.",
            over_draws=lambda a: a.sum(axis=0),
        ),
        _elbo_mistake(
            "log of the mean",
            "this takes the log of the mean probability; the expectation is of log p(x|z): the mean of logs.",
            over_draws=_log_mean_exp,
        ),
        _elbo_mistake(
            "best draw",
            "only the best draw counts here; the expectation is over all.",
            over_draws=lambda a: a.max(axis=0),
        ),
        _elbo_mistake("loss", "this is the loss, minus the ELBO; the ELBO is to be raised.", sign=-1),
        _elbo_mistake(
            "mean over the batch",
            "one number comes back for the whole batch; average over the draws only (axis=0).",
            over_batch=np.mean,
        ),
    ),
    example=_estimates,
)

EXERCISES = (SAMPLE_Z, KL, KL_BACKWARD, LOG_BERNOULLI, ELBO)
