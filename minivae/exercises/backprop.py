"""Exercises of the lecture "Backprop by hand, and how to trust it"."""

from collections.abc import Callable
from typing import Any

import numpy as np

from minivae.core.arrays import Array
from minivae.exercises.framework import Exercise, Law, mistakes_of
from minivae.exercises.laws import array, close, parts, sizes, slopes

Rng = np.random.Generator


# ------------------------------------------------------------------------------------ dense_backward


def _dense_example(rng: Rng) -> tuple[Array, Array, Array]:
    """Return x (B, n), W (n, m), dy (B, m)."""
    n_batch, n_in, n_out = sizes(rng, 3)
    return rng.normal(size=(n_batch, n_in)), rng.normal(size=(n_in, n_out)), rng.normal(size=(n_batch, n_out))


def _slopes_of_dense(dense_backward: Callable[..., Any], rng: Rng) -> None:
    x, W, dy = _dense_example(rng)
    n_out = W.shape[1]
    got = parts("dx, dW, db", dense_backward(x, W, dy), x.shape, W.shape, (n_out,))
    slopes(
        "dx, dW, db",
        got,
        lambda x, W, b: float(np.sum(dy * (x @ W + b))),
        [x, W, np.zeros(n_out)],
        "slopes of sum(dy * y), where y = x W + b",
    )


def _columns(a: Array) -> Array:
    return a.sum(axis=0)


def _dense_backward(
    x: Array,
    W: Array,
    dy: Array,
    *,
    of_dW: Callable[[Array, Array], float] = lambda x, dy: 1.0,
    db: Callable[[Array], Array] = _columns,
    turned: bool = False,
    arriving: Callable[[Array], Array] = lambda dy: dy,
    order: tuple[int, ...] = (0, 1, 2),
) -> tuple[Array, ...]:
    dy = arriving(dy)
    dW = x.T @ dy * of_dW(x, dy)
    found = dy @ W.T, dW.T if turned else dW, db(dy)
    return tuple(found[i] for i in order)


_dense_mistake = mistakes_of(_dense_backward)

DENSE_BACKWARD = Exercise(
    id="backprop.dense-backward",
    task="dx, dW and db of y = x W + b, given dy, the slope of the loss in each entry of y",
    arguments="x, W, dy",
    laws=(Law("dx, dW and db equal finite differences of sum(dy * (x W + b))", _slopes_of_dense),),
    zoo=(
        _dense_mistake(
            "mean over the batch",
            "dW and db are averaged over the batch; they are sums. The 1/B belongs to the loss, and arrives within dy.",
            of_dW=lambda x, dy: 1 / len(x),
            db=lambda dy: dy.mean(axis=0),
        ),
        _dense_mistake(
            "mean in dW only",
            "dW is averaged over the batch; it is a sum. The 1/B belongs to the loss, and arrives within dy.",
            of_dW=lambda x, dy: 1 / len(x),
        ),
        _dense_mistake(
            "mean in db only",
            "db is averaged over the batch; every row got the same b, so its slopes add up.",
            db=lambda dy: dy.mean(axis=0),
        ),
        _dense_mistake(
            "db per example",
            "db has a row for each example; b is shared by all rows, so their slopes add up: dy.sum(axis=0).",
            db=lambda dy: dy,
        ),
        _dense_mistake(
            "dW transposed", "dW is transposed; it has the shape of W: one row for each input.", turned=True
        ),
        _dense_mistake(
            "dy of ones", "dy is taken to be ones; what arrives from behind must be passed on.", arriving=np.ones_like
        ),
        _dense_mistake("other order", "the three are right, but in another order: dx, dW, db.", order=(1, 2, 0)),
    ),
    example=_dense_example,
)


# ------------------------------------------------------------------------------------- tanh_backward


def _tanh_example(rng: Rng) -> tuple[Array, Array]:
    """Return the output y of a tanh, not its input, and dy."""
    shape = sizes(rng, 2)
    return np.tanh(rng.normal(size=shape)), rng.normal(size=shape)


def _slopes_of_tanh(tanh_backward: Callable[..., Any], rng: Rng) -> None:
    y, dy = _tanh_example(rng)
    got = array("dx", tanh_backward(y, dy), y.shape)
    slopes("dx", [got], lambda x: float(np.sum(dy * np.tanh(x))), [np.arctanh(y)], "slopes of sum(dy * tanh(x))")


def _tanh_backward(
    y: Array,
    dy: Array,
    *,
    slope: Callable[[Array], Array] = lambda y: 1 - y**2,
    arriving: Callable[[Array], Any] = lambda dy: dy,
    sign: float = 1,
) -> Array:
    return sign * slope(y) * arriving(dy)


_tanh_mistake = mistakes_of(_tanh_backward)

TANH_BACKWARD = Exercise(
    id="backprop.tanh-backward",
    task="dx of y = tanh(x), from the output y (which forward has kept) and dy",
    arguments="y, dy",
    laws=(Law("dx equals finite differences of sum(dy * tanh(x))", _slopes_of_tanh),),
    zoo=(
        _tanh_mistake(
            "tanh twice",
            "y is already tanh(x); here tanh is taken of it once more.",
            slope=lambda y: 1 - np.tanh(y) ** 2,
        ),
        _tanh_mistake("no square", "the slope is 1 - y^2, with the square.", slope=lambda y: 1 - y),
        _tanh_mistake(
            "dy left out",
            "dy is missing: every slope on the way back is multiplied by the slope that arrives.",
            arriving=lambda dy: 1,
        ),
        _tanh_mistake("sign", "the sign is turned: tanh rises, so its slope is positive.", sign=-1),
        _tanh_mistake("sigmoid", "y (1 - y) is the slope of the sigmoid.", slope=lambda y: y * (1 - y)),
    ),
    example=_tanh_example,
)


# --------------------------------------------------------------------------------- two_layer_gradient


def _network(rng: Rng) -> tuple[Array, ...]:
    """Return W1 (n, h), b1 (h,), W2 (h, m), b2 (m,), x (B, n), t (B, m)."""
    n_batch, n_in, n_hidden, n_out = sizes(rng, 4, high=6)
    shapes = ((n_in, n_hidden), (n_hidden,), (n_hidden, n_out), (n_out,), (n_batch, n_in), (n_batch, n_out))
    return tuple(rng.normal(size=shape) for shape in shapes)


def _loss(W1: Array, b1: Array, W2: Array, b2: Array, x: Array, t: Array) -> float:
    return float(0.5 * np.sum((np.tanh(x @ W1 + b1) @ W2 + b2 - t) ** 2) / len(x))


def _slopes_of_network(two_layer_gradient: Callable[..., Any], rng: Rng) -> None:
    *theta, x, t = _network(rng)
    names = "dW1, db1, dW2, db2"
    got = parts(names, two_layer_gradient(*theta, x, t), *(a.shape for a in theta))
    slopes(names, got, lambda W1, b1, W2, b2: _loss(W1, b1, W2, b2, x, t), theta, "slopes of the loss")


def _two_layer_gradient(
    W1: Array,
    b1: Array,
    W2: Array,
    b2: Array,
    x: Array,
    t: Array,
    *,
    factor: float = 1,
    sign: float = 1,
    shared: Callable[[Array], int] = len,
    slope: Callable[[Array], Array] = lambda h: 1 - h**2,
) -> tuple[Array, ...]:
    h = np.tanh(x @ W1 + b1)
    dy = sign * factor * (h @ W2 + b2 - t) / shared(t)
    da = dy @ W2.T * slope(h)
    return x.T @ da, da.sum(axis=0), h.T @ dy, dy.sum(axis=0)


_network_mistake = mistakes_of(_two_layer_gradient)

TWO_LAYER_GRADIENT = Exercise(
    id="backprop.two-layer-gradient",
    task="dW1, db1, dW2 and db2 of the loss: half the squared error of y = tanh(x W1 + b1) W2 + b2 "
    "against t, summed over "
    "the outputs, averaged over the batch",
    arguments="W1, b1, W2, b2, x, t",
    laws=(Law("all four equal finite differences of the loss", _slopes_of_network),),
    zoo=(
        _network_mistake(
            "sum over the batch",
            "the loss is a mean over the batch: its 1/B is missing in dy.",
            shared=lambda t: 1,
        ),
        _network_mistake(
            "mean over the outputs too",
            "dy is divided by the number of all entries; the loss sums over the outputs and averages over "
            "the batch only.",
            shared=np.size,
        ),
        _network_mistake("a factor two", "the 2 of the square is cancelled by the half in the loss.", factor=2),
        _network_mistake(
            "sign", "dy is y - t, over B; with t - y this goes down the loss, and the gradient points up.", sign=-1
        ),
        _network_mistake(
            "no slope of tanh",
            "the way back skips the tanh box: its slope 1 - h^2 is missing in dW1 and db1.",
            slope=np.ones_like,
        ),
        _network_mistake(
            "slope of tanh at its output",
            "h is already tanh(a): its slope is 1 - h^2, not 1 - tanh(h)^2.",
            slope=lambda h: 1 - np.tanh(h) ** 2,
        ),
    ),
    example=_network,
)


# -------------------------------------------------------------------------------------- central_slope


def _cubic(rng: Rng, n: int) -> tuple[Callable[[Any], float], Array, Array]:
    """Return f(theta) = sum (C theta)^3 + theta^T A theta + b^T theta, all random; then C, and A + A^T beside b.

    C mixes the coordinates: a slope that is put together from one coordinate after the other has another error.
    """
    C, A, b = rng.normal(size=(n, n)) / n**0.5, rng.normal(size=(n, n)), rng.normal(size=n)

    def f(theta: Any) -> float:
        theta = np.asarray(theta, float)
        return float(np.sum((C @ theta) ** 3) + theta @ A @ theta + b @ theta)

    return f, C, np.column_stack([A + A.T, b])


def _slope_example(rng: Rng) -> tuple[Callable[[Any], float], Array, Array, float]:
    (n,) = sizes(rng, 1)
    return _cubic(rng, n)[0], rng.normal(size=n), rng.normal(size=n), float(rng.uniform(0.01, 0.1))


def _exact_on_quadratics(central_slope: Callable[..., Any], rng: Rng) -> None:
    (n,) = sizes(rng, 1)
    A, theta, v = rng.normal(size=(n, n)), rng.normal(size=n), rng.normal(size=n)

    def quadratic(t: Any) -> float:
        t = np.asarray(t, float)
        return float(t @ A @ t)

    got = array("The slope", central_slope(quadratic, theta, v, float(rng.uniform(0.05, 0.2))), ())
    close(
        "The slope of a quadratic", got, theta @ (A + A.T) @ v, "central differences are exact on quadratics, for any h"
    )


def _error_on_cubics(central_slope: Callable[..., Any], rng: Rng) -> None:
    (n,) = sizes(rng, 1)
    f, C, linear = _cubic(rng, n)
    theta, v = rng.normal(size=n), rng.normal(size=n)
    slope = 3 * (C @ theta) ** 2 @ (C @ v) + (linear[:, :n] @ theta + linear[:, n]) @ v
    for h in (0.3, 1e-1, 1e-2):
        got = array("The slope", central_slope(f, theta, v, h), ())
        error = h**2 * np.sum((C @ v) ** 3)  # the third slope is 6 sum (C v)^3
        close(f"The slope of a cubic with h = {h:g}", got, slope + error, "the error is h^2 f''' / 6, exactly")


def _central_slope(
    f: Callable[[Array], float],
    theta: Array,
    v: Array,
    h: float,
    *,
    ends: tuple[float, float] = (1, -1),
    apart: float | None = 2,
    along: Callable[[Array], Array] = lambda v: v,
    sign: float = 1,
) -> float:
    up, down = (f(theta + end * h * along(v)) for end in ends)
    return sign * (up - down) / (1 if apart is None else apart * h)


_slope_mistake = mistakes_of(_central_slope)

CENTRAL_SLOPE = Exercise(
    id="backprop.central-slope",
    task="the central difference of f at theta along v with step h: the slope of f in that direction",
    arguments="f, theta, v, h",
    laws=(
        Law("it is exact on quadratics", _exact_on_quadratics),
        Law("its error on a cubic is h^2 f''' / 6", _error_on_cubics),
    ),
    zoo=(
        _slope_mistake(
            "forward difference",
            "this is the forward difference, whose error falls only as h; step to both sides.",
            ends=(1, 0),
            apart=1,
        ),
        _slope_mistake(
            "backward difference",
            "this is the backward difference, whose error falls only as h; step to both sides.",
            ends=(0, -1),
            apart=1,
        ),
        _slope_mistake("no two", "the two points are 2 h apart, so divide by 2 h.", apart=1),
        _slope_mistake(
            "not divided", "the difference is not divided by the distance of the two points, 2 h.", apart=None
        ),
        _slope_mistake("sign", "the two points are swapped.", sign=-1),
        _slope_mistake(
            "no direction", "v is missing: the step goes along (1, ..., 1) whatever v is.", along=np.ones_like
        ),
        _slope_mistake(
            "unit direction",
            "v is shortened to length one; the slope along v grows with the length of v.",
            along=lambda v: v / np.sqrt(v @ v),
        ),
    ),
    example=_slope_example,
)

EXERCISES = (DENSE_BACKWARD, TANH_BACKWARD, TWO_LAYER_GRADIENT, CENTRAL_SLOPE)
