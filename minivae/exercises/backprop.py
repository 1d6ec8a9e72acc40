"""Exercises of the lecture "Backprop by hand, and how to trust it"."""

from collections.abc import Callable
from typing import Any

import numpy as np

from minivae.core.arrays import Array
from minivae.exercises.framework import Exercise, Law, Mistake
from minivae.exercises.laws import BrokenLawError, array, close, parts, slopes

Rng = np.random.Generator


# ------------------------------------------------------------------------------------ dense_backward


def _dense_example(rng: Rng) -> tuple[Array, Array, Array]:
    """Return x (5, 3), W (3, 2), dy (5, 2)."""
    return rng.normal(size=(5, 3)), rng.normal(size=(3, 2)), rng.normal(size=(5, 2))


def _slopes_of_dense(dense_backward: Callable[..., Any], rng: Rng) -> None:
    x, W, dy = _dense_example(rng)
    got = parts("dx, dW, db", dense_backward(x, W, dy), x.shape, W.shape, (2,))
    slopes(
        "dx, dW, db",
        got,
        lambda x, W, b: float(np.sum(dy * (x @ W + b))),
        [x, W, np.zeros(2)],
        "slopes of sum(dy * y), where y = x W + b",
    )


DENSE_BACKWARD = Exercise(
    id="backprop.dense-backward",
    task="dx, dW and db of y = x W + b, given dy, the slope of the loss in each entry of y",
    arguments="x, W, dy",
    laws=(Law("dx, dW and db equal finite differences of sum(dy * (x W + b))", _slopes_of_dense),),
    zoo=(
        Mistake(
            "mean over the batch",
            "dW and db are averaged over the batch; they are sums. The 1/B belongs to the loss, and arrives within dy.",
            lambda x, W, dy: (dy @ W.T, x.T @ dy / len(x), dy.mean(axis=0)),
        ),
        Mistake(
            "mean in db only",
            "db is averaged over the batch; every row got the same b, so its slopes add up.",
            lambda x, W, dy: (dy @ W.T, x.T @ dy, dy.mean(axis=0)),
        ),
        Mistake(
            "db per example",
            "db has a row for each example; b is shared by all rows, so their slopes add up: dy.sum(axis=0).",
            lambda x, W, dy: (dy @ W.T, x.T @ dy, dy),
        ),
        Mistake(
            "dW transposed",
            "dW is transposed; it has the shape of W: one row for each input.",
            lambda x, W, dy: (dy @ W.T, dy.T @ x, dy.sum(axis=0)),
        ),
        Mistake(
            "dy of ones",
            "dy is taken to be ones; what arrives from behind must be passed on.",
            lambda x, W, dy: (np.ones_like(dy) @ W.T, x.T @ np.ones_like(dy), np.ones_like(dy).sum(axis=0)),
        ),
        Mistake(
            "other order",
            "the three are right, but in another order: dx, dW, db.",
            lambda x, W, dy: (x.T @ dy, dy.sum(axis=0), dy @ W.T),
        ),
    ),
    example=_dense_example,
)


# ------------------------------------------------------------------------------------- tanh_backward


def _tanh_example(rng: Rng) -> tuple[Array, Array]:
    """Return the output y of a tanh, not its input, and dy."""
    return np.tanh(rng.normal(size=(4, 3))), rng.normal(size=(4, 3))


def _slopes_of_tanh(tanh_backward: Callable[..., Any], rng: Rng) -> None:
    y, dy = _tanh_example(rng)
    got = array("dx", tanh_backward(y, dy), y.shape)
    slopes("dx", [got], lambda x: float(np.sum(dy * np.tanh(x))), [np.arctanh(y)], "slopes of sum(dy * tanh(x))")


TANH_BACKWARD = Exercise(
    id="backprop.tanh-backward",
    task="dx of y = tanh(x), from the output y (which forward has kept) and dy",
    arguments="y, dy",
    laws=(Law("dx equals finite differences of sum(dy * tanh(x))", _slopes_of_tanh),),
    zoo=(
        Mistake(
            "tanh twice",
            "y is already tanh(x); here tanh is taken of it once more.",
            lambda y, dy: (1 - np.tanh(y) ** 2) * dy,
        ),
        Mistake("no square", "the slope is 1 - y^2, with the square.", lambda y, dy: (1 - y) * dy),
        Mistake(
            "dy left out",
            "dy is missing: every slope on the way back is multiplied by the slope that arrives.",
            lambda y, dy: 1 - y**2,
        ),
        Mistake("sign", "the sign is turned: tanh rises, so its slope is positive.", lambda y, dy: (y**2 - 1) * dy),
        Mistake("sigmoid", "y (1 - y) is the slope of the sigmoid.", lambda y, dy: y * (1 - y) * dy),
    ),
    example=_tanh_example,
)


# --------------------------------------------------------------------------------- two_layer_gradient


def _network(rng: Rng) -> tuple[Array, ...]:
    """Return W1 (3, 4), b1, W2 (4, 2), b2, x (5, 3), t (5, 2)."""
    shapes = ((3, 4), (4,), (4, 2), (2,), (5, 3), (5, 2))
    return tuple(rng.normal(size=shape) for shape in shapes)


def _loss(W1: Array, b1: Array, W2: Array, b2: Array, x: Array, t: Array) -> float:
    return float(0.5 * np.sum((np.tanh(x @ W1 + b1) @ W2 + b2 - t) ** 2) / len(x))


def _slopes_of_network(two_layer_gradient: Callable[..., Any], rng: Rng) -> None:
    *theta, x, t = _network(rng)
    names = "dW1, db1, dW2, db2"
    got = parts(names, two_layer_gradient(*theta, x, t), *(a.shape for a in theta))
    slopes(names, got, lambda W1, b1, W2, b2: _loss(W1, b1, W2, b2, x, t), theta, "slopes of the loss")


def _backward(W1: Array, b1: Array, W2: Array, x: Array, dy: Array, slope: Callable[[Array], Array]) -> tuple[Any, ...]:
    h = np.tanh(x @ W1 + b1)
    da = dy @ W2.T * slope(h)
    return x.T @ da, da.sum(axis=0), h.T @ dy, dy.sum(axis=0)


def _error(W1: Array, b1: Array, W2: Array, b2: Array, x: Array, t: Array) -> Array:
    return np.tanh(x @ W1 + b1) @ W2 + b2 - t


def _tanh_slope(h: Array) -> Array:
    return 1 - h**2


TWO_LAYER_GRADIENT = Exercise(
    id="backprop.two-layer-gradient",
    task="dW1, db1, dW2 and db2 of the loss: half the squared error of y = tanh(x W1 + b1) W2 + b2 "
    "against t, summed over "
    "the outputs, averaged over the batch",
    arguments="W1, b1, W2, b2, x, t",
    laws=(Law("all four equal finite differences of the loss", _slopes_of_network),),
    zoo=(
        Mistake(
            "sum over the batch",
            "the loss is a mean over the batch: its 1/B is missing in dy.",
            lambda W1, b1, W2, b2, x, t: _backward(W1, b1, W2, x, _error(W1, b1, W2, b2, x, t), _tanh_slope),
        ),
        Mistake(
            "mean over the outputs too",
            "dy is divided by the number of all entries; the loss sums over the outputs and averages over "
            "the batch only.",
            lambda W1, b1, W2, b2, x, t: _backward(W1, b1, W2, x, _error(W1, b1, W2, b2, x, t) / t.size, _tanh_slope),
        ),
        Mistake(
            "a factor two",
            "the 2 of the square is cancelled by the half in the loss.",
            lambda W1, b1, W2, b2, x, t: _backward(
                W1, b1, W2, x, 2 * _error(W1, b1, W2, b2, x, t) / len(x), _tanh_slope
            ),
        ),
        Mistake(
            "sign",
            "dy is y - t, over B; with t - y this goes down the loss, and the gradient points up.",
            lambda W1, b1, W2, b2, x, t: _backward(W1, b1, W2, x, -_error(W1, b1, W2, b2, x, t) / len(x), _tanh_slope),
        ),
        Mistake(
            "no slope of tanh",
            "the way back skips the tanh box: its slope 1 - h^2 is missing in dW1 and db1.",
            lambda W1, b1, W2, b2, x, t: _backward(
                W1, b1, W2, x, _error(W1, b1, W2, b2, x, t) / len(x), lambda h: np.ones_like(h)
            ),
        ),
        Mistake(
            "slope of tanh at its output",
            "h is already tanh(a): its slope is 1 - h^2, not 1 - tanh(h)^2.",
            lambda W1, b1, W2, b2, x, t: _backward(
                W1, b1, W2, x, _error(W1, b1, W2, b2, x, t) / len(x), lambda h: 1 - np.tanh(h) ** 2
            ),
        ),
    ),
    example=_network,
)


# -------------------------------------------------------------------------------------- central_slope


def _cubic(theta: Array) -> float:
    return float(np.sum(theta**3))


def _slope_example(rng: Rng) -> tuple[Callable[[Array], float], Array, Array, float]:
    return _cubic, rng.normal(size=4), rng.normal(size=4), 1e-2


def _exact_on_quadratics(central_slope: Callable[..., Any], rng: Rng) -> None:
    A, theta, v = rng.normal(size=(4, 4)), rng.normal(size=4), rng.normal(size=4)
    got = array("The slope", central_slope(lambda t: float(t @ A @ t), theta, v, 0.1), ())
    close(
        "The slope of a quadratic", got, theta @ (A + A.T) @ v, "central differences are exact on quadratics, for any h"
    )


def _second_order(central_slope: Callable[..., Any], rng: Rng) -> None:
    _, theta, v, _ = _slope_example(rng)
    right = 3 * float(theta**2 @ v)
    for h in (1e-1, 1e-2):
        error = abs(float(array("The slope", central_slope(_cubic, theta, v, h), ())) - right)
        allowed = h**2 * abs(float(np.sum(v**3))) + 1e-9
        if error > 1.001 * allowed:
            raise BrokenLawError(
                f"The slope of sum(theta^3) with h = {h:g} should be within {allowed:.2g}, it is off by {error:.2g}. "
                f"The law: the error is h^2 f''' / 6."
            )


CENTRAL_SLOPE = Exercise(
    id="backprop.central-slope",
    task="the central difference of f at theta along v with step h: the slope of f in that direction",
    arguments="f, theta, v, h",
    laws=(
        Law("it is exact on quadratics", _exact_on_quadratics),
        Law("its error on a cubic falls as h^2", _second_order),
    ),
    zoo=(
        Mistake(
            "forward difference",
            "this is the forward difference, whose error falls only as h; step to both sides.",
            lambda f, theta, v, h: (f(theta + h * v) - f(theta)) / h,
        ),
        Mistake(
            "backward difference",
            "this is the backward difference, whose error falls only as h; step to both sides.",
            lambda f, theta, v, h: (f(theta) - f(theta - h * v)) / h,
        ),
        Mistake(
            "no two",
            "the two points are 2 h apart, so divide by 2 h.",
            lambda f, theta, v, h: (f(theta + h * v) - f(theta - h * v)) / h,
        ),
        Mistake(
            "not divided",
            "the difference is not divided by the distance of the two points, 2 h.",
            lambda f, theta, v, h: f(theta + h * v) - f(theta - h * v),
        ),
        Mistake(
            "sign",
            "the two points are swapped.",
            lambda f, theta, v, h: (f(theta - h * v) - f(theta + h * v)) / (2 * h),
        ),
        Mistake(
            "no direction",
            "v is missing: the step goes along (1, ..., 1) whatever v is.",
            lambda f, theta, v, h: (f(theta + h) - f(theta - h)) / (2 * h),
        ),
        Mistake(
            "unit direction",
            "v is shortened to length one; the slope along v grows with the length of v.",
            lambda f, theta, v, h: (f(theta + h * v / np.sqrt(v @ v)) - f(theta - h * v / np.sqrt(v @ v))) / (2 * h),
        ),
    ),
    example=_slope_example,
)

EXERCISES = (DENSE_BACKWARD, TANH_BACKWARD, TWO_LAYER_GRADIENT, CENTRAL_SLOPE)
