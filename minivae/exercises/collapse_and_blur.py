"""Exercises of the lecture "Beta, collapse and blur"."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minivae.core.arrays import Array
from minivae.exercises.framework import Exercise, Law, Mistake
from minivae.exercises.laws import array, close, parts

Rng = np.random.Generator
_SIZES = ((3, 5, 4, 2), (2, 3, 6, 4), (4, 2, 1, 3))  # draws, examples, pixels, latents: no two alike


# ------------------------------------------------------------------------------------- regularised_loss


def _coded(rng: Rng, n_draws: int = 3, n_batch: int = 5, n_x: int = 4, n_latent: int = 7) -> tuple[Any, ...]:
    x, f = rng.normal(size=(n_batch, n_x)), rng.normal(size=(n_batch, n_latent))
    return x, f, rng.normal(size=(n_draws, n_batch, n_x)), float(rng.uniform(0.4, 0.8))


def _two_terms(regularised_loss: Callable[..., Any], rng: Rng) -> None:
    for sizes in _SIZES:
        x, f, x_hat, sigma_g = _coded(rng, *sizes)
        got = array("The loss", regularised_loss(x, f, x_hat, sigma_g), (sizes[1],))
        want = np.zeros(sizes[1])
        for b in range(sizes[1]):
            squares = [math.fsum((x[b] - x_hat[k, b]) ** 2) for k in range(sizes[0])]
            want[b] = math.fsum(squares) / sizes[0] / (2 * sigma_g**2) + math.fsum(f[b] ** 2) / 2
        close("The loss", got, want, "E ||x - x_hat||^2 / (2 sigma_g^2) + ||f||^2 / 2 for each example")


def _loss(x: Array, f: Array, x_hat: Array, scale: float, code: float = 0.5) -> Array:
    return np.sum((x - x_hat) ** 2, axis=2).mean(axis=0) * scale + code * np.sum(f**2, axis=1)


REGULARISED_LOSS = Exercise(
    id="collapse_and_blur.regularised-loss",
    task="the loss of the regularised autoencoder without its constant, shape (B,): the mean over K draws of the "
    "squared error over 2 sigma_g^2, plus half the squared length of the code f; x is (B, D), f (B, L), x_hat "
    "(K, B, D)",
    arguments="x, f, x_hat, sigma_g",
    laws=(Law("it is the noisy squared error and the length of the code, example by example", _two_terms),),
    zoo=(
        Mistake(
            "sigma_g not squared",
            "the squared error is divided by 2 sigma_g; it is the variance sigma_g^2 that belongs there.",
            lambda x, f, x_hat, s: _loss(x, f, x_hat, 0.5 / s),
        ),
        Mistake(
            "no sigma_g",
            "sigma_g is missing: it says how much the squared error counts beside the code.",
            lambda x, f, x_hat, s: _loss(x, f, x_hat, 0.5),
        ),
        Mistake(
            "no half at the error",
            "the 1/2 of the normal density is missing at the squared error.",
            lambda x, f, x_hat, s: _loss(x, f, x_hat, 1 / s**2),
        ),
        Mistake(
            "no half at the code",
            "the 1/2 of the prior's density is missing at the length of the code.",
            lambda x, f, x_hat, s: _loss(x, f, x_hat, 0.5 / s**2, 1.0),
        ),
        Mistake(
            "code left out",
            "the length of the code is missing: nothing keeps the codes near the prior then.",
            lambda x, f, x_hat, s: _loss(x, f, x_hat, 0.5 / s**2, 0.0),
        ),
        Mistake(
            "error of the mean",
            "this is the squared error of the mean of the draws; the expectation is of the squared errors, which the "
            "spread of the draws raises.",
            lambda x, f, x_hat, s: _loss(x, f, x_hat.mean(axis=0)[None], 0.5 / s**2),
        ),
        Mistake(
            "sum over the draws",
            "the draws are summed; an expectation is their mean.",
            lambda x, f, x_hat, s: _loss(x, f, x_hat, 0.5 / s**2 * len(x_hat)),
        ),
        Mistake(
            "mean over the pixels",
            "the squares are averaged over the pixels; a density multiplies over them, so they add.",
            lambda x, f, x_hat, s: _loss(x, f, x_hat, 0.5 / s**2 / x.shape[1]),
        ),
        Mistake(
            "mean over the batch",
            "one number comes back for the whole batch; one for each example is asked.",
            lambda x, f, x_hat, s: _loss(x, f, x_hat, 0.5 / s**2).mean(),
        ),
    ),
    example=_coded,
)


# ---------------------------------------------------------------------------------------- water_filling


def _spectrum(rng: Rng, n: int = 5) -> tuple[Array, float]:
    values = np.exp(rng.normal(size=n))
    low, high = np.sort(values)[[0, -1]]
    return values, float(low + rng.uniform(0.3, 0.7) * (high - low))


def _fills(water_filling: Callable[..., Any], rng: Rng) -> None:
    for n in (5, 3, 8):
        values, level = _spectrum(rng, n)
        for water in (level, 0.5 * values.min(), 2 * values.max()):
            rate, distortion = parts("rate, distortion", water_filling(values, water), (), ())
            below = [min(v, water) for v in values.tolist()]
            nats = math.fsum(0.5 * math.log(v / m) for v, m in zip(values.tolist(), below, strict=True))
            where = f"{n} variances, of which {sum(values > water)} are above the level"
            close(f"The rate of {where}", rate, nats, "1/2 sum of log(lambda / level) over those above the level")
            close(f"The distortion of {where}", distortion, math.fsum(below), "sum of min(lambda, level)")


def _filled(values: Array, level: float, half: float = 0.5) -> tuple[Any, Any]:
    return half * np.log(np.maximum(values / level, 1)).sum(), np.minimum(values, level).sum()


WATER_FILLING = Exercise(
    id="collapse_and_blur.water-filling",
    task="rate and distortion, two numbers, of the best linear VAE for data with these variances along their principal "
    "directions, where beta times the decoder's variance is the level",
    arguments="eigenvalues, level",
    laws=(Law("rate and distortion add up over the directions, above the level and below it", _fills),),
    zoo=(
        Mistake(
            "negative rates",
            "directions below the level get a negative rate; they are switched off, and cost nothing.",
            lambda v, t: (0.5 * np.log(v / t).sum(), np.minimum(v, t).sum()),
        ),
        Mistake("no half", "the factor 1/2 of the rate is missing.", lambda v, t: _filled(v, t, 1.0)),
        Mistake(
            "bits", "this is in bits; a nat is the natural logarithm's.", lambda v, t: _filled(v, t, 0.5 / np.log(2))
        ),
        Mistake(
            "level everywhere",
            "each direction is given the level as its error; one that is switched off errs by its variance, which is "
            "less.",
            lambda v, t: (_filled(v, t)[0], t * len(v)),
        ),
        Mistake(
            "only those switched off",
            "the error of the directions that are kept is missing: each errs by the level.",
            lambda v, t: (_filled(v, t)[0], v[v <= t].sum()),
        ),
        Mistake(
            "only those kept",
            "the error of the directions that are switched off is missing: their variance.",
            lambda v, t: (_filled(v, t)[0], t * np.sum(v > t)),
        ),
        Mistake("exchanged", "rate and distortion are exchanged.", lambda v, t: _filled(v, t)[::-1]),
    ),
    example=_spectrum,
)


# ----------------------------------------------------------------------------------------- one_bit_cost


def _bit(rng: Rng) -> tuple[int, float, float]:
    return int(rng.integers(2, 9)), float(rng.uniform(0.05, 0.45)), float(rng.uniform(0.5, 3.0))


def _enumerated(one_bit_cost: Callable[..., Any], rng: Rng) -> None:
    for n in (1, 2, 5, 12):
        _, error, beta = _bit(rng)
        log_lik = kl = 0.0
        for x in (0, 1):
            for z in (0, 1):
                q = 1 - error if x == z else error  # also p(x|z) of the best decoder, for each pixel
                log_lik += 0.5 * q * n * math.log(q)
                kl += 0.5 * q * math.log(q / 0.5)
        got = array("The loss", one_bit_cost(n, error, beta), ())
        close(f"The loss of {n} pixels", got, -log_lik + beta * kl, "-E log p(x|z) + beta KL, over all x and z")
    for n in (3, 4):
        got = array("The loss", one_bit_cost(n, 0.5, 2.0), ())
        close(f"The loss of {n} pixels and a bit that says nothing", got, n * math.log(2), "each pixel costs log 2")


def _entropy(e: float) -> Any:
    return -e * np.log(e) - (1 - e) * np.log(1 - e)


ONE_BIT_COST = Exercise(
    id="collapse_and_blur.one-bit-cost",
    task="the least loss, in nats, where n pixels are all 0 or all 1, equally likely, and the code is one bit that is "
    "wrong with the probability error: -E log p(x|z) of the best decoder of independent pixels, plus beta KL(q || p) "
    "with a fair prior",
    arguments="n, error, beta",
    laws=(Law("it is the sum over the two images and the two codes", _enumerated),),
    zoo=(
        Mistake(
            "one pixel",
            "the entropy is counted once; the decoder's pixels are independent given z, so each pays it.",
            lambda n, e, beta: _entropy(e) + beta * (np.log(2) - _entropy(e)) + 0 * n,
        ),
        Mistake(
            "kl left out", "the KL is missing: what the code costs.", lambda n, e, beta: n * _entropy(e) + 0 * beta
        ),
        Mistake(
            "no beta",
            "beta is missing: it multiplies the KL.",
            lambda n, e, beta: n * _entropy(e) + np.log(2) - _entropy(e) + 0 * beta,
        ),
        Mistake(
            "full price",
            "the code costs log 2 here however little it says; its KL is log 2 - h(error), less for a bit that errs.",
            lambda n, e, beta: n * _entropy(e) + beta * np.log(2),
        ),
        Mistake(
            "bits",
            "this is in bits; use the natural logarithm.",
            lambda n, e, beta: (n * _entropy(e) + beta * (np.log(2) - _entropy(e))) / np.log(2),
        ),
        Mistake(
            "kl taken away",
            "the KL is taken away; in a loss it is added.",
            lambda n, e, beta: n * _entropy(e) - beta * (np.log(2) - _entropy(e)),
        ),
    ),
    example=_bit,
)


# ------------------------------------------------------------------------------------ shared_code_cost


def _images(rng: Rng, n_images: int = 4, n_x: int = 3) -> tuple[Array, float]:
    return rng.normal(size=(n_images, n_x)), float(rng.uniform(0.3, 0.8))


def _above_known(shared_code_cost: Callable[..., Any], rng: Rng) -> None:
    for n_images, n_x in ((2, 5), (4, 3), (7, 1)):
        images, variance = _images(rng, n_images, n_x)
        got = array("The cost", shared_code_cost(images, variance), ())
        pairs = math.fsum(math.fsum((a - b) ** 2) for a in images for b in images)  # 2 n^2 times the variance
        want = pairs / (4 * n_images**2 * variance)
        close(
            f"The cost of one code for {n_images} images",
            got,
            want,
            "the least mean of ||x - m||^2 / (2 variance) over m; of two images ||a - b||^2 / (8 variance)",
        )


SHARED_CODE_COST = Exercise(
    id="collapse_and_blur.shared-code-cost",
    task="what it costs, in nats an image, that all images, shape (n, D), have the same code: the mean of -log p(x|z) "
    "for the best E[x|z], above that of a decoder that knows each; p(x|z) is Gaussian of this variance",
    arguments="images, variance",
    laws=(Law("it is the least mean squared distance from one image, over twice the variance", _above_known),),
    zoo=(
        Mistake(
            "no half",
            "the factor 1/2 of the normal density is missing.",
            lambda x, v: np.sum((x - x.mean(axis=0)) ** 2) / len(x) / v,
        ),
        Mistake(
            "nearest to zero",
            "the images are compared with a blank one; the best that one code decodes to is their mean.",
            lambda x, v: np.sum(x**2) / len(x) / (2 * v),
        ),
        Mistake(
            "first image",
            "this is the cost of decoding to the first image, sharp and far from the others; the mean is nearer to "
            "all.",
            lambda x, v: np.sum((x - x[0]) ** 2) / len(x) / (2 * v),
        ),
        Mistake(
            "all images",
            "this is the cost of all images together; divide by their number.",
            lambda x, v: np.sum((x - x.mean(axis=0)) ** 2) / (2 * v),
        ),
        Mistake(
            "mean over the pixels",
            "the squares are averaged over the pixels; their costs add.",
            lambda x, v: np.mean((x - x.mean(axis=0)) ** 2) / (2 * v),
        ),
        Mistake(
            "mean of all pixels",
            "the mean is taken over the pixels as well: one grey value for all; each pixel has its own mean.",
            lambda x, v: np.sum((x - x.mean()) ** 2) / len(x) / (2 * v),
        ),
        Mistake(
            "standard deviation",
            "the variance is squared here: it was given as a variance.",
            lambda x, v: np.sum((x - x.mean(axis=0)) ** 2) / len(x) / (2 * v**2),
        ),
    ),
    example=_images,
)

EXERCISES = (REGULARISED_LOSS, WATER_FILLING, ONE_BIT_COST, SHARED_CODE_COST)
