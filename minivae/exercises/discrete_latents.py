"""Exercises of the lecture "Discrete latents"."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minivae.core.arrays import Array
from minivae.distributions.bits import all_states
from minivae.exercises.framework import Exercise, Law, Mistake
from minivae.exercises.laws import array, close

Rng = np.random.Generator
_SIZES = ((4, 3), (5, 2), (3, 1), (2, 4))  # draws, bits: no two alike


def _sigmoid(a: Any) -> Any:
    return 1 / (1 + np.exp(-a))


def _cost(rng: Rng, n: int) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
    """Return f(z) = c . z + (w . z)^2 + sin(v . z) for each row, and its slopes."""
    c, w, v = rng.normal(size=(3, n))

    def f(z: Array) -> Array:
        z = np.asarray(z, float)
        return np.asarray(z @ c + (z @ w) ** 2 + np.sin(z @ v))

    def df(z: Array) -> Array:
        z = np.asarray(z, float)
        return np.asarray(c + 2 * (z @ w)[..., None] * w + np.cos(z @ v)[..., None] * v)

    return f, df


# --------------------------------------------------------------------------------- enumerated_gradient


def _table(rng: Rng, n: int = 3) -> tuple[Array, Array, Array]:
    states = all_states(n)[rng.permutation(2**n)]
    return rng.normal(size=n), states, rng.normal(size=2**n) + 2


def _expected(phi: Array, states: Array, f: Array) -> float:
    total = 0.0
    for z, value in zip(states, f, strict=True):
        total += value * math.prod(_sigmoid(p) if b else 1 - _sigmoid(p) for p, b in zip(phi, z, strict=True))
    return total


def _exact(enumerated_gradient: Callable[..., Any], rng: Rng) -> None:
    for n in (3, 1, 2, 4):
        phi, states, f = _table(rng, n)
        got = array("The gradient", enumerated_gradient(phi, states, f), (n,))
        want = [(_expected(phi + h, states, f) - _expected(phi - h, states, f)) / 2e-5 for h in 1e-5 * np.eye(n)]
        close(f"The gradient for {n} bits", got, want, "slopes of sum_z q(z) f(z) in the logits, by differences", 1e-7)


def _q(phi: Array, states: Array) -> Array:
    return np.exp(states @ phi - np.logaddexp(0, phi).sum())


ENUMERATED_GRADIENT = Exercise(
    id="discrete_latents.enumerated-gradient",
    task="the exact gradient of E[f(z)] for the logits phi, shape (L,), from all states of L independent bits, shape "
    "(2^L, L), and their costs f, shape (2^L,)",
    arguments="phi, states, f",
    laws=(Law("it holds the slopes of the sum over all states", _exact),),
    zoo=(
        Mistake(
            "no probabilities",
            "all states count alike here; each counts with its probability q(z).",
            lambda phi, z, f: f @ (z - _sigmoid(phi)) / len(f),
        ),
        Mistake(
            "no score",
            "f is multiplied by z; the slope of log q(z) in a logit is z - theta.",
            lambda phi, z, f: (_q(phi, z) * f) @ z,
        ),
        Mistake(
            "slopes for theta",
            "these are slopes for the probabilities theta; for the logits they are multiplied by theta (1 - theta).",
            lambda phi, z, f: (_q(phi, z) * f) @ (z - _sigmoid(phi)) / (_sigmoid(phi) * _sigmoid(-phi)),
        ),
        Mistake("sign", "the sign is turned.", lambda phi, z, f: (_q(phi, z) * f) @ (_sigmoid(phi) - z)),
        Mistake(
            "logit for probability",
            "the logit was taken away from z; it is the probability theta = sigmoid(phi).",
            lambda phi, z, f: (_q(phi, z) * f) @ (z - phi),
        ),
        Mistake(
            "the score alone",
            "f is missing: the mean of the score is zero.",
            lambda phi, z, f: _q(phi, z) @ (z - _sigmoid(phi)) + 0 * f[0],
        ),
    ),
    example=_table,
)


# -------------------------------------------------------------------------- straight_through


def _drawn(rng: Rng, n_draws: int = 4, n: int = 3) -> tuple[Any, Array, Array]:
    return _cost(rng, n)[1], rng.normal(size=n), rng.random((n_draws, n))


def _pretends(straight_through: Callable[..., Any], rng: Rng) -> None:
    for n_draws, n in _SIZES:
        df, phi, u = _drawn(rng, n_draws, n)
        got = array("The gradient", straight_through(df, phi, u), u.shape)
        want = np.empty_like(u)
        for k in range(n_draws):
            theta = np.array([_sigmoid(p) for p in phi])
            z = np.array([1.0 if v > 1 - t else 0.0 for v, t in zip(u[k], theta, strict=True)])
            want[k] = df(z[None])[0] * theta * (1 - theta)
        close("The gradient", got, want, "slope of f at the bits z = 1[u > 1 - theta], times dtheta/dphi")


def _bits(phi: Array, u: Array) -> Array:
    return (u > _sigmoid(-phi)) * 1.0


STRAIGHT_THROUGH = Exercise(
    id="discrete_latents.straight-through",
    task="the straight-through gradient for the logits, one row a draw, shape (K, L): df at the bits z = 1 where u > 1 "
    "- theta, sent back as if z were theta = sigmoid(phi)",
    arguments="df, phi, u",
    laws=(Law("it is the slope of f at the drawn bits, times that of theta", _pretends),),
    zoo=(
        Mistake(
            "slope at theta",
            "the slope of f is taken at the probabilities; straight-through takes it at the drawn bits.",
            lambda df, phi, u: df(_sigmoid(phi) + 0 * u) * _sigmoid(phi) * _sigmoid(-phi),
        ),
        Mistake(
            "slopes for theta",
            "this is for theta; for the logits it is multiplied by dtheta/dphi = theta (1 - theta).",
            lambda df, phi, u: df(_bits(phi, u)),
        ),
        Mistake(
            "bits turned",
            "the bits are turned: z is 1 where u > 1 - theta, which has the probability theta.",
            lambda df, phi, u: df(1 - _bits(phi, u)) * _sigmoid(phi) * _sigmoid(-phi),
        ),
        Mistake(
            "other noise",
            "z is 1 where u < theta here: as probable, but the other half of the noise; the task says u > 1 - theta.",
            lambda df, phi, u: df((u < _sigmoid(phi)) * 1.0) * _sigmoid(phi) * _sigmoid(-phi),
        ),
        Mistake(
            "mean over the draws",
            "the draws are averaged; one row a draw is asked for.",
            lambda df, phi, u: np.mean(df(_bits(phi, u)) * _sigmoid(phi) * _sigmoid(-phi), axis=0),
        ),
        Mistake(
            "slope at the bits",
            "z (1 - z) of a bit is zero: it is the slope of theta that is used, not that of z.",
            lambda df, phi, u: df(_bits(phi, u)) * _bits(phi, u) * (1 - _bits(phi, u)),
        ),
    ),
    example=_drawn,
)


# ------------------------------------------------------------------------------------ relaxed_gradient


def _relaxed(rng: Rng, n_draws: int = 4, n: int = 3) -> tuple[Any, Array, Array, float]:
    return (*_drawn(rng, n_draws, n), float(rng.uniform(0.3, 0.8)))


def _path(relaxed_gradient: Callable[..., Any], rng: Rng) -> None:
    for n_draws, n in _SIZES:
        f, df = _cost(rng, n)
        phi, u, tau = rng.normal(size=n), rng.random((n_draws, n)), float(rng.uniform(0.3, 2.5))
        got = array("The gradient", relaxed_gradient(df, phi, u, tau), u.shape)

        def value(phi: Array, u: Array = u, tau: float = tau, f: Any = f) -> Array:
            return np.asarray(f(_sigmoid((phi + np.log(u / (1 - u))) / tau)))

        steps = 1e-6 * np.eye(n)
        want = np.stack([(value(phi + h) - value(phi - h)) / 2e-6 for h in steps], axis=1)
        close("The gradient", got, want, "slope of f(sigmoid((phi + logit u) / tau)) in phi, by differences", 1e-6)


def _zeta(phi: Array, u: Array, tau: float) -> Array:
    return np.asarray(_sigmoid((phi + np.log(u / (1 - u))) / tau))


RELAXED_GRADIENT = Exercise(
    id="discrete_latents.relaxed-gradient",
    task="the binary Gumbel-softmax gradient for the logits, one row a draw, shape (K, L): the slope of f(zeta) in "
    "phi, zeta = sigmoid((phi + logit u) / tau)",
    arguments="df, phi, u, tau",
    laws=(Law("it equals finite differences of f(zeta), draw by draw", _path),),
    zoo=(
        Mistake(
            "no 1/tau",
            "the 1/tau is missing: the slope of sigmoid(y / tau) in y is zeta (1 - zeta) / tau.",
            lambda df, phi, u, tau: df(_zeta(phi, u, tau)) * _zeta(phi, u, tau) * (1 - _zeta(phi, u, tau)),
        ),
        Mistake(
            "slope at the bits",
            "the slope of f is taken at the bits; the relaxation is a path, and f is taken on it, at zeta.",
            lambda df, phi, u, tau: df(_bits(phi, u)) * _zeta(phi, u, tau) * (1 - _zeta(phi, u, tau)) / tau,
        ),
        Mistake(
            "no temperature",
            "the temperature is not used: this is the path at tau = 1.",
            lambda df, phi, u, tau: df(_zeta(phi, u, 1.0)) * _zeta(phi, u, 1.0) * (1 - _zeta(phi, u, 1.0)) + 0 * tau,
        ),
        Mistake(
            "times tau",
            "the logits are multiplied by the temperature; they are divided by it.",
            lambda df, phi, u, tau: (
                df(_zeta(phi, u, 1 / tau)) * _zeta(phi, u, 1 / tau) * (1 - _zeta(phi, u, 1 / tau)) * tau
            ),
        ),
        Mistake(
            "slope of theta",
            "the slope of theta = sigmoid(phi) is used, that of straight-through; the path's own is zeta (1 - zeta) / "
            "tau.",
            lambda df, phi, u, tau: df(_zeta(phi, u, tau)) * _sigmoid(phi) * _sigmoid(-phi),
        ),
        Mistake(
            "noise turned",
            "the noise is taken away from the logits: log((1 - u) / u). The task adds logit u = log(u / (1 - u)).",
            lambda df, phi, u, tau: (
                df(_zeta(phi, 1 - u, tau)) * _zeta(phi, 1 - u, tau) * (1 - _zeta(phi, 1 - u, tau)) / tau
            ),
        ),
    ),
    example=_relaxed,
)


# ---------------------------------------------------------------------------------------- arm_gradient


def _two_looks(rng: Rng, n_draws: int = 4, n: int = 3) -> tuple[Any, Array, Array]:
    return _cost(rng, n)[0], rng.normal(size=n), rng.random((n_draws, n))


def _antithetic(arm_gradient: Callable[..., Any], rng: Rng) -> None:
    for n_draws, n in _SIZES:
        f, phi, u = _two_looks(rng, n_draws, n)
        got = array("The gradient", arm_gradient(f, phi, u), u.shape)
        want = np.empty_like(u)
        for k in range(n_draws):
            one = np.array([[1.0 if v > 1 - _sigmoid(p) else 0.0 for v, p in zip(u[k], phi, strict=True)]])
            other = np.array([[1.0 if 1 - v > 1 - _sigmoid(p) else 0.0 for v, p in zip(u[k], phi, strict=True)]])
            want[k] = (f(one)[0] - f(other)[0]) * (u[k] - 0.5)
        close("The gradient", got, want, "(f(b) - f(b')) (u - 1/2), b' the bits of the noise 1 - u")


def _one_bit(arm_gradient: Callable[..., Any], rng: Rng) -> None:
    f, _ = _cost(rng, 1)
    phi = rng.normal(size=1)
    theta = float(_sigmoid(phi[0]))
    cuts = np.sort([0.0, theta, 1 - theta, 1.0])
    mean = 0.0
    for low, high in zip(cuts[:-1], cuts[1:], strict=True):  # linear in u between the cuts: the middle is exact
        got = array("The gradient", arm_gradient(f, phi, np.array([[(low + high) / 2]])), (1, 1))
        mean += (high - low) * float(got[0, 0])
    change = (f(np.ones((1, 1))) - f(np.zeros((1, 1))))[0]
    close(
        "The mean over u for one bit", np.array(mean), theta * (1 - theta) * change, "theta (1 - theta) (f(1) - f(0))"
    )


ARM_GRADIENT = Exercise(
    id="discrete_latents.arm-gradient",
    task="the ARM gradient for the logits, one row a draw, shape (K, L): (f(b) - f(b')) (u - 1/2), where b is 1 where "
    "u > 1 - theta, and b' the bits that the noise 1 - u makes; f gives one value a row",
    arguments="f, phi, u",
    laws=(
        Law("its mean over the noise of one bit is the exact gradient", _one_bit),
        Law("it is the difference of the two looks at f, times u - 1/2", _antithetic),
    ),
    zoo=(
        Mistake(
            "bits turned over",
            "b' was taken as 1 - b; it is what the noise 1 - u makes, which is often the same as b.",
            lambda f, phi, u: (f(_bits(phi, u)) - f(1 - _bits(phi, u)))[:, None] * (u - 0.5),
        ),
        Mistake(
            "one look",
            "f is looked at once: the second look takes away what both have in common.",
            lambda f, phi, u: f(_bits(phi, u))[:, None] * (u - 0.5),
        ),
        Mistake(
            "no half",
            "the noise is multiplied as it is; it is u - 1/2, of mean zero.",
            lambda f, phi, u: (f(_bits(phi, u)) - f(_bits(phi, 1 - u)))[:, None] * u,
        ),
        Mistake(
            "sign",
            "the sign is turned: where u is large, b is 1.",
            lambda f, phi, u: (f(_bits(phi, 1 - u)) - f(_bits(phi, u)))[:, None] * (u - 0.5),
        ),
        Mistake(
            "the score",
            "the score b - theta is used; ARM's factor is u - 1/2.",
            lambda f, phi, u: (f(_bits(phi, u)) - f(_bits(phi, 1 - u)))[:, None] * (_bits(phi, u) - _sigmoid(phi)),
        ),
        Mistake(
            "theta as the cut",
            "b is 1 where u > theta here, which has the probability 1 - theta.",
            lambda f, phi, u: (f(_bits(-phi, u)) - f(_bits(-phi, 1 - u)))[:, None] * (u - 0.5),
        ),
    ),
    example=_two_looks,
)

EXERCISES = (ENUMERATED_GRADIENT, STRAIGHT_THROUGH, RELAXED_GRADIENT, ARM_GRADIENT)
