"""Exercises of the lecture "Generation"."""

from collections.abc import Callable
from typing import Any

import numpy as np

from minivae.core.arrays import Array
from minivae.exercises.framework import Exercise, Law, Mistake
from minivae.exercises.laws import BrokenLawError, array, close

Rng = np.random.Generator


# ---------------------------------------------------------------------------------------- pixels_drawn


def _logits(rng: Rng, n: int = 5, n_x: int = 3) -> tuple[Array, Array]:
    return 2 * rng.normal(size=(n, n_x)), rng.random((n, n_x))


def _chances(pixels_drawn: Callable[..., Any], rng: Rng) -> None:
    steps = (np.arange(2000) + 0.5) / 2000  # every value of u, equally often
    for n, n_x in ((5, 3), (2, 4), (1, 6)):
        logits, u = _logits(rng, n, n_x)
        x = array("x", pixels_drawn(logits, u), logits.shape)
        if not np.isin(x, (0.0, 1.0)).all():
            raise BrokenLawError(f"x should be zeros and ones, got {x.ravel()[~np.isin(x.ravel(), (0, 1))][0]:.4g}.")
        found = np.mean([array("x", pixels_drawn(logits, np.full_like(u, s)), u.shape) for s in steps[::20]], axis=0)
        close("The share of ones over all u", found, 1 / (1 + np.exp(-logits)), "P(x = 1) = sigmoid(logit)", 0.01)
        moved = u.copy()
        moved[0, 0] = 0.0 if x[0, 0] == 0 else 1.0
        other = array("x", pixels_drawn(logits, np.clip(moved, 1e-9, 1 - 1e-9)), u.shape)
        if np.count_nonzero(other != x) > 1:
            raise BrokenLawError("One entry of u should change one pixel. The law: each pixel has its own noise.")
        own = (u < 1 / (1 + np.exp(-logits))) * 1.0, (u > 1 / (1 + np.exp(logits))) * 1.0
        if not any(np.array_equal(x, way) for way in own):
            raise BrokenLawError(
                "Each pixel should be drawn with its own logit and its own u. The law: entry by entry."
            )


PIXELS_DRAWN = Exercise(
    id="generation.pixels-drawn",
    task="a draw of binary pixels x ~ p(x|z), zeros and ones of the shape of logits, that belongs to uniform noise u "
    "in (0, 1)",
    arguments="logits, u",
    laws=(Law("each pixel is 1 with the probability sigmoid(logit), by its own noise", _chances),),
    zoo=(
        Mistake(
            "the mean",
            "these are the probabilities, E[x|z]; a draw is zeros and ones.",
            lambda logits, u: 1 / (1 + np.exp(-logits)) + 0 * u,
        ),
        Mistake(
            "most probable",
            "this is the most probable image, without any noise; a pixel of probability 0.4 should be 1 in four draws "
            "of ten.",
            lambda logits, u: (logits > 0) * 1.0 + 0 * u,
        ),
        Mistake(
            "logits as probabilities",
            "u is compared with the logit; the probability is sigmoid(logit).",
            lambda logits, u: (u < logits) * 1.0,
        ),
        Mistake(
            "turned",
            "a pixel is 1 here with the probability of being 0.",
            lambda logits, u: (u > 1 / (1 + np.exp(-logits))) * 1.0,
        ),
        Mistake(
            "one noise for all",
            "all pixels of an image share one u; given z they are independent.",
            lambda logits, u: (u[:, :1] < 1 / (1 + np.exp(-logits))) * 1.0,
        ),
    ),
    example=_logits,
)


# -------------------------------------------------------------------------------------------- variants


def _networks(rng: Rng, n_draws: int = 4, n_batch: int = 3, n_x: int = 5, n_latent: int = 2) -> tuple[Any, ...]:
    A, C, D = (rng.normal(size=shape) for shape in ((n_x, n_latent), (n_x, n_latent), (n_latent, n_x)))

    def encode(x: Array) -> tuple[Array, Array]:
        return np.tanh(x @ A), 0.5 * x @ C

    def decode(z: Array) -> Array:
        return np.tanh(np.asarray(z) @ D)

    return encode, decode, rng.normal(size=(n_batch, n_x)), rng.normal(size=(n_draws, n_batch, n_latent))


def _decoded(variants: Callable[..., Any], rng: Rng) -> None:
    for sizes in ((4, 3, 5, 2), (2, 5, 3, 4), (6, 1, 2, 3)):
        encode, decode, x, eps = _networks(rng, *sizes)
        got = array("The variants", variants(encode, decode, x, eps), (*eps.shape[:2], x.shape[1]))
        mu, log_var = encode(x)
        for k, b in np.ndindex(eps.shape[:2]):
            z = mu[b] + np.exp(log_var[b] / 2) * eps[k, b]
            close(f"Variant {k} of example {b}", got[k, b], decode(z), "encode, z = mu + sigma eps, decode")


VARIANTS = Exercise(
    id="generation.variants",
    task="K variants of each example, shape (K, B, D): draws of q(z|x) for the noise eps, shape (K, B, L), decoded; "
    "encode(x) gives mu and log_var, decode(z) gives E[x|z]",
    arguments="encode, decode, x, eps",
    laws=(Law("each variant is the decoded draw that belongs to its own noise", _decoded),),
    zoo=(
        Mistake(
            "from the prior",
            "the noise itself is decoded: these are samples of the prior, which know nothing of x.",
            lambda encode, decode, x, eps: decode(eps) + 0 * encode(x)[0].sum(),
        ),
        Mistake(
            "no noise",
            "the mean code is decoded: that is the reconstruction, K times.",
            lambda encode, decode, x, eps: decode(encode(x)[0] + 0 * eps),
        ),
        Mistake(
            "exp(log_var) as standard deviation",
            "exp(log_var) is the variance; the standard deviation is exp(log_var / 2).",
            lambda encode, decode, x, eps: decode(encode(x)[0] + np.exp(encode(x)[1]) * eps),
        ),
        Mistake(
            "unit noise",
            "the noise is not scaled: q(z|x) has its own width.",
            lambda encode, decode, x, eps: decode(encode(x)[0] + eps),
        ),
        Mistake(
            "no mean",
            "the mean of q(z|x) is missing.",
            lambda encode, decode, x, eps: decode(np.exp(encode(x)[1] / 2) * eps),
        ),
        Mistake(
            "one draw",
            "the first draw is used for all K.",
            lambda encode, decode, x, eps: decode(encode(x)[0] + np.exp(encode(x)[1] / 2) * eps[:1] + 0 * eps),
        ),
        Mistake(
            "codes",
            "these are the codes; they have to be decoded.",
            lambda encode, decode, x, eps: encode(x)[0] + np.exp(encode(x)[1] / 2) * eps,
        ),
    ),
    example=_networks,
)


# ------------------------------------------------------------------------------------------------- arc


def _ends(rng: Rng, n: int = 4, n_steps: int = 5) -> tuple[Array, Array, Array]:
    return rng.normal(size=n), rng.normal(size=n), np.sort(rng.random(n_steps))


def _turns(arc: Callable[..., Any], rng: Rng) -> None:
    for n, n_steps in ((4, 5), (2, 3), (7, 6)):
        a, b, t = _ends(rng, n, n_steps)
        for near in (False, True):
            if near:  # an end that is nearly in the direction of the other: arccos does not see the angle
                across = rng.normal(size=n)
                across -= across @ a / (a @ a) * a
                b = 1.5 * (a + 1e-8 * np.linalg.norm(a) / np.linalg.norm(across) * across)
            z = array("z", arc(a, b, t), (n_steps, n))
            lengths = (1 - t) * np.linalg.norm(a) + t * np.linalg.norm(b)
            close("The length of z", np.linalg.norm(z, axis=1), lengths, "the length runs straight from |a| to |b|")
            u = a / np.linalg.norm(a)
            rest = b - (b @ u) * u
            rest = rest - (rest @ u) * u  # once more: of a short rest rounding is a large share
            angle = np.arctan2(np.linalg.norm(rest), b @ u)
            v = rest / np.linalg.norm(rest)
            v = v - (v @ u) * u
            why = "the direction turns from a to b at constant speed, in the plane of the two"
            close("z along a, over its length", z @ u / lengths, np.cos(t * angle), why)
            across_z = z @ v / lengths / angle  # a small angle counts as much as a large one
            close("The angle by which z has turned", across_z, np.sin(t * angle) / angle, why, 1e-6)
            left_over = z - np.outer(z @ u, u) - np.outer(z @ v, v)
            close("What of z lies outside the plane of a and b", np.abs(left_over).max(axis=1), 0.0, why)


def _straight(a: Array, b: Array, t: Array) -> Array:
    return np.outer(1 - t, a) + np.outer(t, b)


def _slerp(a: Array, b: Array, t: Array) -> Array:
    u, v = a / np.linalg.norm(a), b / np.linalg.norm(b)
    omega = 2 * np.arctan2(np.linalg.norm(u - v), np.linalg.norm(u + v))
    return (np.outer(np.sin((1 - t) * omega), a) + np.outer(np.sin(t * omega), b)) / np.sin(omega)


def _lengths(a: Array, b: Array, t: Array) -> Array:
    return ((1 - t) * np.linalg.norm(a) + t * np.linalg.norm(b))[:, None]


def _rescaled(path: Array, lengths: Array) -> Array:
    return path / np.linalg.norm(path, axis=1, keepdims=True) * lengths


def _directions(a: Array, b: Array) -> tuple[Array, Array]:
    return a / np.linalg.norm(a), b / np.linalg.norm(b)


def _by_arccos(a: Array, b: Array, t: Array) -> Array:
    u, v = _directions(a, b)
    omega = np.arccos(np.clip(u @ v, -1, 1))
    if omega < 1e-7:  # rounded: as if the ends had one direction
        return np.outer(_lengths(a, b, t), u)
    return _lengths(a, b, t) * _slerp(u, v, t)


ARC = Exercise(
    id="generation.arc",
    task="codes at the times t, shape (n, L), on the arc from a to b: the direction turns at constant speed, and the "
    "length runs straight from |a| to |b|; a and b have shape (L,), t has shape (n,)",
    arguments="a, b, t",
    laws=(Law("direction and length run evenly, also for ends that are 1e-8 apart in angle", _turns),),
    zoo=(
        Mistake("straight line", "this is the straight line; in its middle the length sinks.", _straight),
        Mistake(
            "straight line, rescaled",
            "the straight line was pushed out to the right lengths: it runs along the arc, but not at constant speed.",
            lambda a, b, t: _rescaled(_straight(a, b, t), _lengths(a, b, t)),
        ),
        Mistake(
            "on the unit sphere",
            "the directions are right, and all lengths are one; the codes' own lengths are part of them.",
            lambda a, b, t: _slerp(*_directions(a, b), t),
        ),
        Mistake(
            "ends of different lengths",
            "this formula is for ends of one length; use it on the directions, and let the length run by itself.",
            _slerp,
        ),
        Mistake(
            "backwards",
            "the path runs from b to a.",
            lambda a, b, t: _slerp(*_directions(b, a), t) * _lengths(b, a, t),
        ),
        Mistake(
            "blind to small angles",
            "arccos of a scalar product does not see angles below 1e-8: the cosine rounds to 1. Take arctan2 of what "
            "is across and what is along.",
            _by_arccos,
        ),
    ),
    example=_ends,
)


# ------------------------------------------------------------------------------------ attribute_vector


def _codes(rng: Rng, n: int = 9, n_latent: int = 3) -> tuple[Array, np.ndarray]:
    has = np.arange(n) < n // 3  # not as many with it as without
    return rng.normal(size=(n, n_latent)), rng.permutation(has)


def _difference(attribute_vector: Callable[..., Any], rng: Rng) -> None:
    for n, n_latent in ((9, 3), (7, 2), (12, 5)):
        z, has = _codes(rng, n, n_latent)
        got = array("The direction", attribute_vector(z, has), (n_latent,))
        design = np.stack([np.ones(n), has * 1.0], axis=1)
        slope = np.linalg.lstsq(design, z, rcond=None)[0][1]
        close("The direction", got, slope, "it is the slope of z on having the attribute: mean with less mean without")


ATTRIBUTE_VECTOR = Exercise(
    id="generation.attribute-vector",
    task="the direction of an attribute, shape (L,): the mean code of those that have it less the mean code of those "
    "that do not; z has shape (n, L), has is True or False for each",
    arguments="z, has",
    laws=(Law("it is the least-squares slope of the codes on having the attribute", _difference),),
    zoo=(
        Mistake(
            "those with it alone",
            "this is the mean code of those that have it: what they have in common with all others is still in it.",
            lambda z, has: z[has].mean(axis=0),
        ),
        Mistake(
            "less the mean of all",
            "the mean of all is taken away; they contain those with the attribute, so the step is too short.",
            lambda z, has: z[has].mean(axis=0) - z.mean(axis=0),
        ),
        Mistake(
            "sign",
            "the direction is turned: this step takes the attribute away.",
            lambda z, has: z[~has].mean(axis=0) - z[has].mean(axis=0),
        ),
        Mistake(
            "sums",
            "the sums are compared, and the groups are not of one size; take means.",
            lambda z, has: z[has].sum(axis=0) - z[~has].sum(axis=0),
        ),
        Mistake(
            "length one",
            "the direction was made a unit vector: how long the step is, is part of the answer.",
            lambda z, has: _unit(z[has].mean(axis=0) - z[~has].mean(axis=0)),
        ),
        Mistake(
            "one number",
            "the latents are averaged too; each has its own difference (axis=0).",
            lambda z, has: z[has].mean() - z[~has].mean() + 0 * z[0],
        ),
    ),
    example=_codes,
)


def _unit(v: Array) -> Array:
    return v / np.linalg.norm(v)


EXERCISES = (PIXELS_DRAWN, VARIANTS, ARC, ATTRIBUTE_VECTOR)
