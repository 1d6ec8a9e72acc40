"""Exercises of the lecture "The VAE from scratch"."""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

from minivae.core.arrays import Array
from minivae.distributions.linear_gaussian import LinearGaussian
from minivae.distributions.nodes import gauss_hermite
from minivae.exercises.framework import Exercise, Law, Mistake
from minivae.exercises.laws import BrokenLawError, array, close, parts, slopes

Rng = np.random.Generator
_B, _L = 5, 3


def _head(rng: Rng) -> tuple[Array, Array]:
    return rng.normal(size=(_B, _L)), rng.normal(size=(_B, _L))


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
    moved = eps.copy()
    moved[0, 0] += 1.0
    change = array("z", sample_z(mu, log_var, moved), mu.shape) - array("z", sample_z(mu, log_var, eps), mu.shape)
    if change[0, 0] == 0 or np.count_nonzero(change) != 1:
        raise BrokenLawError(
            "z should change in one entry when one entry of eps does. The law: each latent has its own noise."
        )


SAMPLE_Z = Exercise(
    id="vae.sample-z",
    task="the draw of z ~ N(mu, diag(exp(log_var))) that belongs to the noise eps ~ N(0, I)",
    arguments="mu, log_var, eps",
    laws=(
        Law("z has mean mu and variance exp(log_var), exactly", _moments),
        Law("each latent has its own noise", _own_noise),
    ),
    zoo=(
        Mistake(
            "exp(log_var) as standard deviation",
            "exp(log_var) is the variance; the standard deviation is exp(log_var / 2). A gradient check does not see "
            "this one: the gradient of the wrong sampler is right for the wrong sampler.",
            lambda mu, log_var, eps: mu + np.exp(log_var) * eps,
        ),
        Mistake(
            "log_var as standard deviation",
            "log_var is the logarithm of the variance, and may be negative; it has to be exponentiated.",
            lambda mu, log_var, eps: mu + log_var * eps,
        ),
        Mistake(
            "no mean", "the noise is scaled, but never moved to mu.", lambda mu, log_var, eps: np.exp(log_var / 2) * eps
        ),
        Mistake("no scale", "the noise is moved to mu, but its width is always 1.", lambda mu, log_var, eps: mu + eps),
        Mistake(
            "no noise",
            "this returns the mean, whatever eps is: an autoencoder, not a draw.",
            lambda mu, log_var, eps: mu,
        ),
        Mistake(
            "a precision",
            "the standard deviation is exp(+log_var / 2); with the minus sign it is that of 1 / variance.",
            lambda mu, log_var, eps: mu + np.exp(-log_var / 2) * eps,
        ),
    ),
    example=lambda rng: (*_head(rng), rng.normal(size=(_B, _L))),
)


# ------------------------------------------------------------------------------------------------ kl


def _integral(mu: Array, log_var: Array) -> Array:
    """KL as its defining integral E_q[log q - log p]: the integrand is quadratic in eps, so three nodes are exact."""
    nodes, weights = gauss_hermite(3, 1)
    sigma = np.exp(log_var / 2)
    total = np.zeros_like(mu)
    for e, w in zip(nodes.ravel(), weights, strict=True):
        total += w * (-0.5 * e**2 - np.log(sigma) + 0.5 * (mu + sigma * e) ** 2)
    return total.sum(axis=1)


def _is_the_integral(kl: Callable[..., Any], rng: Rng) -> None:
    mu, log_var = _head(rng)
    got = array("kl", kl(mu, log_var), (_B,))
    close("kl", got, _integral(mu, log_var), "KL(q || p) = E_q[log q(z) - log p(z)], one value for each example")


def _at_the_prior(kl: Callable[..., Any], rng: Rng) -> None:
    mu, log_var = _head(rng)
    close("kl at mu = 0, log_var = 0", array("kl", kl(0 * mu, 0 * log_var), (_B,)), 0.0, "KL = 0 where q = p")
    low = array("kl", kl(1e-2 * mu, 1e-2 * log_var), (_B,))
    if (low < 0).any():
        raise BrokenLawError(f"kl must not be negative, got {low.min():.3g} near q = p. The law: KL >= 0.")


KL = Exercise(
    id="vae.kl",
    task="KL(N(mu, diag(exp(log_var))) || N(0, I)) in nats, shape (batch,)",
    arguments="mu, log_var",
    laws=(
        Law("it is zero at the prior and nowhere negative", _at_the_prior),
        Law("it equals the integral E_q[log q - log p]", _is_the_integral),
    ),
    zoo=(
        Mistake(
            "no half",
            "the factor 1/2 is missing.",
            lambda mu, log_var: np.sum(mu**2 + np.exp(log_var) - 1 - log_var, axis=1),
        ),
        Mistake(
            "sign",
            "the sign is turned: a KL is never negative, and it is subtracted in the ELBO, not here.",
            lambda mu, log_var: -0.5 * np.sum(mu**2 + np.exp(log_var) - 1 - log_var, axis=1),
        ),
        Mistake(
            "mean over the latents",
            "the latents are independent, so their KLs add; a mean over them is a hidden beta of 1/L.",
            lambda mu, log_var: 0.5 * np.mean(mu**2 + np.exp(log_var) - 1 - log_var, axis=1),
        ),
        Mistake(
            "mean over the batch",
            "one number comes back for the whole batch; leave the mean over the examples to the loss.",
            lambda mu, log_var: 0.5 * np.mean(np.sum(mu**2 + np.exp(log_var) - 1 - log_var, axis=1)),
        ),
        Mistake(
            "sum over everything",
            "the batch is summed too; sum over the latents only (axis=1).",
            lambda mu, log_var: 0.5 * np.sum(mu**2 + np.exp(log_var) - 1 - log_var),
        ),
        Mistake(
            "log sigma",
            "log_var was read as log sigma: the variance is exp(log_var), not exp(2 log_var).",
            lambda mu, log_var: 0.5 * np.sum(mu**2 + np.exp(2 * log_var) - 1 - 2 * log_var, axis=1),
        ),
        Mistake(
            "other direction",
            "this is KL(p || q); the ELBO has KL(q || p).",
            lambda mu, log_var: 0.5 * np.sum((1 + mu**2) * np.exp(-log_var) - 1 + log_var, axis=1),
        ),
        Mistake(
            "no minus one",
            "the -1 of each latent is missing, so it is not zero at the prior.",
            lambda mu, log_var: 0.5 * np.sum(mu**2 + np.exp(log_var) - log_var, axis=1),
        ),
    ),
    example=_head,
)


# --------------------------------------------------------------------------------------- kl_backward


def _slopes_of_kl(kl_backward: Callable[..., Any], rng: Rng) -> None:
    mu, log_var = _head(rng)
    dkl = rng.normal(size=_B)
    got = parts("dmu, dlog_var", kl_backward(mu, log_var, dkl), mu.shape, mu.shape)
    slopes("dmu, dlog_var", got, lambda m, v: float(dkl @ _integral(m, v)), [mu, log_var], "slopes of sum(dkl * kl)")


KL_BACKWARD = Exercise(
    id="vae.kl-backward",
    task="dmu and dlog_var, the gradient of sum(dkl * kl(mu, log_var)); dkl has shape (batch,)",
    arguments="mu, log_var, dkl",
    laws=(Law("dmu and dlog_var equal finite differences of the KL, weighted by dkl", _slopes_of_kl),),
    zoo=(
        Mistake(
            "slope for log sigma",
            "exp(log_var) - 1 is the slope for log sigma; log_var = 2 log sigma, so its slope is half of that.",
            lambda mu, log_var, dkl: (mu * dkl[:, None], (np.exp(log_var) - 1) * dkl[:, None]),
        ),
        Mistake(
            "dkl left out",
            "dkl is missing: every slope on the way back is multiplied by the slope that arrives.",
            lambda mu, log_var, dkl: (mu, 0.5 * (np.exp(log_var) - 1)),
        ),
        Mistake(
            "sign",
            "the sign is turned: this goes down the KL, and the gradient points up.",
            lambda mu, log_var, dkl: (-mu * dkl[:, None], 0.5 * (1 - np.exp(log_var)) * dkl[:, None]),
        ),
        Mistake(
            "no minus one",
            "the slope of -log_var / 2 is missing: at the prior dlog_var is zero.",
            lambda mu, log_var, dkl: (mu * dkl[:, None], 0.5 * np.exp(log_var) * dkl[:, None]),
        ),
        Mistake(
            "twice mu",
            "mu^2 / 2 has the slope mu; the factors 1/2 and 2 cancel.",
            lambda mu, log_var, dkl: (2 * mu * dkl[:, None], 0.5 * (np.exp(log_var) - 1) * dkl[:, None]),
        ),
    ),
    example=lambda rng: (*_head(rng), rng.normal(size=_B)),
)


# ------------------------------------------------------------------------------------- log_bernoulli


def _sums_to_one(log_bernoulli: Callable[..., Any], rng: Rng) -> None:
    images = np.array(list(product([0.0, 1.0], repeat=_L)))  # all 2^3 of them
    logits = np.tile(rng.normal(size=_L), (len(images), 1))
    got = array("log p(x|z)", log_bernoulli(logits, images), (len(images),))
    close("The sum of p(x|z) over all x", np.exp(got).sum(), 1.0, "probabilities of all images add up to one")


def _one_pixel(log_bernoulli: Callable[..., Any], rng: Rng) -> None:
    logits = rng.normal(size=(_B, 1))
    p = np.exp(array("log p(x|z)", log_bernoulli(logits, np.ones((_B, 1))), (_B,)))
    close("The log-odds of a pixel", np.log(p / (1 - p)), logits[:, 0], "logit = log p(x=1) - log p(x=0)")


def _large_logits(log_bernoulli: Callable[..., Any], rng: Rng) -> None:
    sign = np.where(rng.random(4) < 0.5, -1.0, 1.0)
    logits, x = 1000 * np.array([sign, sign]).T, np.array([(sign > 0) * 1.0, (sign < 0) * 1.0]).T
    got = array("log p(x|z) at logits of 1000", log_bernoulli(logits, x), (4,))
    close(
        "log p(x|z) at logits of 1000", got, -1000.0, "log p(x|z) is about -|logit| for a pixel that is sure and wrong"
    )


def _softplus(a: Array) -> Array:
    return np.logaddexp(0, a)


LOG_BERNOULLI = Exercise(
    id="vae.log-bernoulli",
    task="log p(x|z) in nats, shape (batch,), of binary pixels x under the logits that the decoder gives",
    arguments="logits, x",
    laws=(
        Law("the probabilities of all images add up to one", _sums_to_one),
        Law("a logit is the log-odds of its pixel", _one_pixel),
        Law("logits of 1000 are no trouble", _large_logits),
    ),
    zoo=(
        Mistake(
            "mean over the pixels",
            "a mean over the pixels is the log of no probability; it makes the KL count D times too much "
            "(a hidden beta).",
            lambda logits, x: np.mean(x * logits - _softplus(logits), axis=1),
        ),
        Mistake(
            "loss for log-likelihood",
            "this is the cross-entropy, the loss; the log-likelihood is minus that, and never above zero.",
            lambda logits, x: np.sum(_softplus(logits) - x * logits, axis=1),
        ),
        Mistake(
            "logs of rounded probabilities",
            "sigmoid rounds to 0 or 1 at large logits and its log is lost; work with softplus "
            "(np.logaddexp(0, logits)).",
            lambda logits, x: np.sum(
                x * np.log(1 / (1 + np.exp(-logits))) + (1 - x) * np.log(1 - 1 / (1 + np.exp(-logits))), axis=1
            ),
        ),
        Mistake(
            "clipped probabilities",
            "clipping the probabilities hides the trouble: every sure and wrong pixel then costs the same.",
            lambda logits, x: _of_probabilities(np.clip(1 / (1 + np.exp(-logits)), 1e-7, 1 - 1e-7), x),
        ),
        Mistake(
            "ones only",
            "only the pixels that are 1 are counted; those that are 0 have a probability too, 1 - sigmoid(logit).",
            lambda logits, x: -np.sum(x * _softplus(-logits), axis=1),
        ),
        Mistake(
            "squared error",
            "a squared error belongs to a Gaussian decoder; these pixels are zeros and ones.",
            lambda logits, x: -0.5 * np.sum((x - 1 / (1 + np.exp(-logits))) ** 2, axis=1),
        ),
        Mistake(
            "sum over everything",
            "the batch is summed too; sum over the pixels only (axis=1).",
            lambda logits, x: np.sum(x * logits - _softplus(logits)),
        ),
    ),
    example=lambda rng: (60 * rng.normal(size=(40, 4)), (rng.random((40, 4)) < 0.5) * 1.0),
)


def _of_probabilities(p: Array, x: Array) -> Array:
    return np.sum(x * np.log(p) + (1 - x) * np.log(1 - p), axis=1)


# ---------------------------------------------------------------------------------------------- elbo


def _linear_gaussian(rng: Rng) -> tuple[LinearGaussian, Array, Array, Array, Array, Array]:
    """Return a model with known answers, data, an encoder's head, and log p(x|z) and KL for four draws of z.

    The draws are the corners eps = (+-1, +-1), which average a quadratic exactly.
    """
    model = LinearGaussian(rng.normal(size=(4, 2)), rng.normal(size=4), float(rng.uniform(0.3, 2)))
    x, mu, log_var = rng.normal(size=(_B, 4)), rng.normal(size=(_B, 2)), rng.normal(size=(_B, 2))
    eps = np.array(list(product([-1.0, 1.0], repeat=2)))[:, None, :]
    z = mu + np.exp(log_var / 2) * eps  # (K, B, L)
    squares = np.sum((x - model.b - z @ model.W.T) ** 2, axis=2)
    log_lik = -0.5 * (squares / model.s2 + 4 * np.log(2 * np.pi * model.s2))
    return model, x, mu, log_var, log_lik, _integral(mu, log_var)


def _below_log_p(elbo: Callable[..., Any], rng: Rng) -> None:
    model, x, *_, log_lik, kl = _linear_gaussian(rng)
    got = array("elbo", elbo(log_lik, kl), (_B,))
    log_p = model.log_prob(x)
    if (got > log_p).any():
        i = int(np.argmax(got - log_p))
        raise BrokenLawError(
            f"elbo must not exceed log p(x) = {log_p[i]:.4g}, got {got[i]:.4g}. The law: ELBO <= log p(x)."
        )


def _equals_closed_form(elbo: Callable[..., Any], rng: Rng) -> None:
    model, x, mu, log_var, log_lik, kl = _linear_gaussian(rng)
    got = array("elbo", elbo(log_lik, kl), (_B,))
    close("elbo", got, model.elbo(x, mu, log_var), "ELBO = E_q[log p(x|z)] - KL, exact on a linear-Gaussian model")


def _log_mean_exp(a: Array) -> Array:
    return a.max(axis=0) + np.log(np.mean(np.exp(a - a.max(axis=0)), axis=0))


ELBO = Exercise(
    id="vae.elbo",
    task="the ELBO of each example, shape (batch,), from log p(x|z) of K draws, shape (K, batch), and kl, "
    "shape (batch,)",
    arguments="log_lik, kl",
    laws=(
        Law("it stays below log p(x) on a model where that is known", _below_log_p),
        Law("it equals the closed form of a linear-Gaussian model", _equals_closed_form),
    ),
    zoo=(
        Mistake(
            "kl added", "the KL is added; it is what the code costs, so it is subtracted.", lambda a, kl: a.mean(0) + kl
        ),
        Mistake("kl left out", "the KL is missing.", lambda a, kl: a.mean(0)),
        Mistake(
            "sum over the draws",
            "the draws are summed; an expectation is their mean.",
            lambda a, kl: a.sum(0) - kl,
        ),
        Mistake(
            "log of the mean",
            "this takes the log of the mean probability; the expectation is of log p(x|z): the mean of logs.",
            lambda a, kl: _log_mean_exp(a) - kl,
        ),
        Mistake(
            "best draw", "only the best draw counts here; the expectation is over all.", lambda a, kl: a.max(0) - kl
        ),
        Mistake("loss", "this is the loss, minus the ELBO; the ELBO is to be raised.", lambda a, kl: kl - a.mean(0)),
        Mistake(
            "mean over the batch",
            "one number comes back for the whole batch; average over the draws only (axis=0).",
            lambda a, kl: a.mean() - kl.mean(),
        ),
    ),
    example=lambda rng: _linear_gaussian(rng)[-2:],
)

EXERCISES = (SAMPLE_Z, KL, KL_BACKWARD, LOG_BERNOULLI, ELBO)
