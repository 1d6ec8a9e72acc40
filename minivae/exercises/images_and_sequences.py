"""Exercises of the lecture "Images and sequences"."""

from collections.abc import Callable
from typing import Any

import numpy as np

from minivae.core.arrays import Array
from minivae.exercises.framework import Exercise, Law, Mistake, mistakes_of
from minivae.exercises.laws import array, close, parts, sizes, slopes

Rng = np.random.Generator


# ----------------------------------------------------------------------------------------- conv_size


def _places(n: int, kernel: int, stride: int, padding: int) -> int:
    """Count the places of the kernel, one after the other, that lie within the row and its padding."""
    return sum(1 for start in range(-padding, n + padding - kernel + 1, stride))


def _draw_size(rng: Rng) -> tuple[int, int, int, int]:
    """Return n, kernel, stride and padding, the padding below the kernel."""
    kernel = int(rng.integers(1, 6))
    return int(rng.integers(kernel, 30)), kernel, int(rng.integers(1, 5)), int(rng.integers(0, kernel))


def _counted(conv_size: Callable[..., Any], rng: Rng) -> None:
    for _ in range(20):
        n, kernel, stride, padding = _draw_size(rng)
        got = array("The size", conv_size(n, kernel, stride, padding), ())
        why = (
            f"count the places of the kernel: n = {n}, kernel {kernel}, stride {stride}, {padding} zeros at either end"
        )
        close("The size", got, _places(n, kernel, stride, padding), why)


def _size_example(rng: Rng) -> tuple[int, int, int, int]:
    """Return sizes for which no two answers of the zoo are the same, nor the right one."""
    while True:
        drawn = _draw_size(rng)
        answers = [mistake.answer(*drawn) for mistake in CONV_SIZE.zoo]
        if len({*answers, _places(*drawn)}) == len(answers) + 1:
            return drawn


CONV_SIZE = Exercise(
    id="images_and_sequences.conv-size",
    task="how many outputs a correlation gives along an axis of n pixels with padding zeros at either end, for a "
    "kernel that moves by stride; what is left over at the end, too short for the kernel, is not read",
    arguments="n, kernel, stride, padding",
    laws=(Law("it is the number of places at which the kernel lies within the padded row", _counted),),
    zoo=(
        Mistake(
            "no plus one",
            "the first place is missing: the quotient counts the steps, and there is one place more than steps.",
            lambda n, k, s, p: (n + 2 * p - k) // s,
        ),
        Mistake(
            "padding once",
            "the padding is added once; it stands at both ends.",
            lambda n, k, s, p: (n + p - k) // s + 1,
        ),
        Mistake(
            "padding left out", "the padding is left out; it makes the row longer.", lambda n, k, s, p: (n - k) // s + 1
        ),
        Mistake(
            "rounded up",
            "the quotient is rounded up: the last patch would reach beyond the padded row.",
            lambda n, k, s, p: -(-(n + 2 * p - k) // s) + 1,
        ),
        Mistake("stride left out", "the kernel moves by stride, not by one.", lambda n, k, s, p: n + 2 * p - k + 1),
        Mistake(
            "not whole",
            "a number of outputs is whole: what is left over is dropped, with // in place of /.",
            lambda n, k, s, p: (n + 2 * p - k) / s + 1,
        ),
        Mistake(
            "kernel left out",
            "the kernel's own length is left out: its last place is the one that ends with the row.",
            lambda n, k, s, p: (n + 2 * p) // s + 1,
        ),
        Mistake(
            "the transpose",
            "this is the size that the transposed convolution makes of n; here it is the other way round.",
            lambda n, k, s, p: (n - 1) * s + k - 2 * p,
        ),
    ),
    example=_size_example,
)


# ------------------------------------------------------------------------------------- conv_backward


def _correlation(x: Array, w: Array, b: Array, stride: int, n_out: int) -> Array:
    return np.array([x[stride * i : stride * i + len(w)] @ w for i in range(n_out)]) + b


def _conv_example(rng: Rng) -> tuple[Array, Array, Array, int]:
    """Return x (n,), w (k,), dy (m,) and a stride below k; the last pixels of x may be left over."""
    n_kernel, n_out = sizes(rng, 2, low=3, high=6)
    return _conv_arguments(rng, n_kernel, n_out, int(rng.integers(2, n_kernel)))


def _conv_arguments(rng: Rng, n_kernel: int, n_out: int, stride: int) -> tuple[Array, Array, Array, int]:
    n = (n_out - 1) * stride + n_kernel + int(rng.integers(stride))
    return rng.normal(size=n), rng.normal(size=n_kernel), rng.normal(size=n_out), stride


def _slopes_of_conv(conv_backward: Callable[..., Any], rng: Rng) -> None:
    for stride in (1, 2, 3):
        n_kernel, n_out = sizes(rng, 2)
        x, w, dy, _ = _conv_arguments(rng, n_kernel, n_out, stride)
        got = parts("dx, dw, db", conv_backward(x, w, dy, stride), x.shape, w.shape, ())
        slopes(
            "dx, dw, db",
            got,
            lambda x, w, b, dy=dy, stride=stride: float(dy @ _correlation(x, w, b, stride, len(dy))),
            [x, w, np.zeros(())],
            f"slopes of sum(dy * y), where y is the correlation of x and w with stride {stride}, plus b",
        )


def _conv_backward(
    x: Array,
    w: Array,
    dy: Array,
    stride: int,
    *,
    puts: Callable[[Array], Array] = lambda w: w,
    adds: bool = True,
    step: Callable[[int], int] = lambda stride: stride,
    turned: bool = False,
    arriving: Callable[[Array], Array] = lambda dy: dy,
    db: Callable[[Array], Any] = np.sum,
    order: tuple[int, ...] = (0, 1, 2),
) -> tuple[Any, ...]:
    dy = arriving(dy)
    dx, dw = np.zeros(len(x)), np.zeros(len(w))
    for i, slope in enumerate(dy):
        patch = slice(step(stride) * i, step(stride) * i + len(w))
        dx[patch] = adds * dx[patch] + puts(w) * slope
        dw += x[patch] * slope
    found = dx, dw[::-1] if turned else dw, db(dy)
    return tuple(found[i] for i in order)


_conv_mistake = mistakes_of(_conv_backward)

CONV_BACKWARD = Exercise(
    id="images_and_sequences.conv-backward",
    task="dx, dw and db of the correlation y_i = b + sum_k w_k x_{stride i + k} of a row of pixels, given dy, the "
    "slope of the loss in each y_i; pixels that no patch reads have a slope of zero",
    arguments="x, w, dy, stride",
    laws=(Law("dx, dw and db equal finite differences of sum(dy * y)", _slopes_of_conv),),
    zoo=(
        _conv_mistake(
            "kernel turned round in dx",
            "the kernel is turned round where it is put down: y_i reads x_{stride i + k} with w_k, so dy_i goes back "
            "to that pixel with the same w_k.",
            puts=lambda w: w[::-1],
        ),
        _conv_mistake(
            "dw turned round", "dw is turned round: w_k meets the k-th pixel of each patch, in order.", turned=True
        ),
        _conv_mistake(
            "overwritten",
            "patches overlap, and dx keeps the last one's part only; what comes from several outputs is added: +=.",
            adds=False,
        ),
        _conv_mistake("stride left out", "patch i starts at stride * i, also on the way back.", step=lambda stride: 1),
        _conv_mistake("db a mean", "db is averaged; every y_i got the same b, so its slopes add up.", db=np.mean),
        _conv_mistake(
            "db per output",
            "db has an entry for each output; one b is shared by all, so add them up.",
            db=lambda dy: dy,
        ),
        _conv_mistake(
            "dy of ones", "dy is taken to be ones; what arrives from behind must be passed on.", arriving=np.ones_like
        ),
        _conv_mistake(
            "mean over the outputs",
            "all is divided by the number of outputs; w is shared, and slopes of what is shared are sums.",
            arriving=lambda dy: dy / len(dy),
        ),
        _conv_mistake("other order", "the three are right, but in another order: dx, dw, db.", order=(1, 0, 2)),
    ),
    example=_conv_example,
)


# -------------------------------------------------------------------------------------- rnn_backward


def _states(x: Array, W: Array, U: Array, b: Array, start: Array) -> Array:
    """Return the states h_0 .. h_T, shape (T + 1, H)."""
    h = [start]
    for row in x:
        h.append(np.tanh(row @ W + h[-1] @ U + b))
    return np.array(h)


def _recurrence(rng: Rng) -> tuple[Array, ...]:
    """Return x (T, D), W (D, H), U (H, H), b (H,), a start (H,) and dh (T, H)."""
    n_steps, n_features, n_units = sizes(rng, 3, high=6)
    W, U = rng.normal(size=(n_features, n_units)) / 2, rng.normal(size=(n_units, n_units)) / np.sqrt(n_units)
    x, dh = rng.normal(size=(n_steps, n_features)), rng.normal(size=(n_steps, n_units))
    return x, W, U, rng.normal(size=n_units) / 2, rng.uniform(-2, 2, size=n_units), dh


def _rnn_example(rng: Rng) -> tuple[Array, ...]:
    x, W, U, b, start, dh = _recurrence(rng)
    return x, _states(x, W, U, b, start), U, dh


def _slopes_of_recurrence(rnn_backward: Callable[..., Any], rng: Rng) -> None:
    x, W, U, b, start, dh = _recurrence(rng)
    got = parts("dW, dU, db", rnn_backward(x, _states(x, W, U, b, start), U, dh), W.shape, U.shape, b.shape)
    slopes(
        "dW, dU, db",
        got,
        lambda W, U, b: float(np.sum(dh * _states(x, W, U, b, start)[1:])),
        [W, U, b],
        "slopes of sum(dh * h), where h_t = tanh(x_t W + h_{t-1} U + b)",
    )


def _rnn_backward(
    x: Array,
    h: Array,
    U: Array,
    dh: Array,
    *,
    carried: Callable[[Array, Array], Array] = lambda da, U: da @ U.T,
    added: Callable[[Array, int, int], Any] = lambda dh, t, n: dh[t],
    slope: Callable[[Array], Array] = lambda h: 1 - h**2,
    before: Callable[[Array], Array] = lambda h: h[:-1],
    shared: Callable[[Array], int] = lambda x: 1,
    order: tuple[int, ...] = (0, 1, 2),
) -> tuple[Array, ...]:
    n_steps = len(x)
    da = np.zeros(dh.shape)
    late: Array = np.zeros(dh.shape[1])
    for t in reversed(range(n_steps)):
        da[t] = slope(h[t + 1]) * (added(dh, t, n_steps) + late)
        late = carried(da[t], U)
    da = da / shared(x)
    found = x.T @ da, before(h).T @ da, da.sum(axis=0)
    return tuple(found[i] for i in order)


_rnn_mistake = mistakes_of(_rnn_backward)

RNN_BACKWARD = Exercise(
    id="images_and_sequences.rnn-backward",
    task="dW, dU and db of h_t = tanh(x_t W + h_{t-1} U + b), summed over the T steps; x has shape (T, D); h, (T + 1, "
    "H), holds h_0 to h_T; dh, (T, H), holds what arrives at h_1 to h_T from the loss directly",
    arguments="x, h, U, dh",
    laws=(Law("dW, dU and db equal finite differences of sum(dh * h)", _slopes_of_recurrence),),
    zoo=(
        _rnn_mistake(
            "nothing through time",
            "nothing is carried from step to step: h_t also acts through h_{t+1}, which sends back da_{t+1} U^T.",
            carried=lambda da, U: np.zeros_like(da),
        ),
        _rnn_mistake(
            "U not transposed",
            "what goes back through h U is multiplied by U^T, not by U: (h U)_j = sum_i h_i U_ij.",
            carried=lambda da, U: da @ U,
        ),
        _rnn_mistake(
            "the last step's slopes only",
            "the slopes that arrive at earlier steps are lost: each dh_t is added to what comes from the step after.",
            added=lambda dh, t, n: dh[t] * (t == n - 1),
        ),
        _rnn_mistake(
            "no slope of tanh", "the way back skips tanh: its slope 1 - h_t^2 is missing.", slope=np.ones_like
        ),
        _rnn_mistake(
            "slope of tanh at its output",
            "h is already tanh(a): its slope is 1 - h^2, not 1 - tanh(h)^2.",
            slope=lambda h: 1 - np.tanh(h) ** 2,
        ),
        _rnn_mistake(
            "the state after",
            "dU takes the state after each step; U multiplies the one before, h_{t-1}.",
            before=lambda h: h[1:],
        ),
        _rnn_mistake(
            "mean over the steps",
            "the sums are divided by the number of steps; W, U and b are shared by all steps, so their slopes add up.",
            shared=len,
        ),
        _rnn_mistake("other order", "the three are right, but in another order: dW, dU, db.", order=(1, 0, 2)),
    ),
    example=_rnn_example,
)


# -------------------------------------------------------------------------------------- clip_by_norm


def _gradient(rng: Rng, share: float) -> tuple[Array, float]:
    """Return a gradient, and ``share`` of its length."""
    grads = rng.normal(size=sizes(rng, 1)[0]) * rng.uniform(0.5, 4)
    return grads, float(share * np.sqrt(grads @ grads))


def _long_ones(clip_by_norm: Callable[..., Any], rng: Rng) -> None:
    for share in rng.uniform(0.05, 0.98, size=4):
        grads, max_norm = _gradient(rng, share)
        got = array("The clipped gradient", clip_by_norm(grads, max_norm), grads.shape)
        close("The clipped gradient", got, share * grads, "one that is too long keeps its direction, with length "
              "max_norm")  # fmt: skip


def _short_ones(clip_by_norm: Callable[..., Any], rng: Rng) -> None:
    for share in rng.uniform(1.02, 3, size=4):
        grads, max_norm = _gradient(rng, share)
        got = array("The gradient", clip_by_norm(grads, max_norm), grads.shape)
        close("The gradient", got, grads, "one that is no longer than max_norm stays as it is")


def _none(clip_by_norm: Callable[..., Any], rng: Rng) -> None:
    (n,) = sizes(rng, 1)
    got = array("The gradient", clip_by_norm(np.zeros(n), float(rng.uniform(0.5, 2))), (n,))
    close("The gradient", got, 0, "a gradient of zero stays zero")


def _clip_by_norm(
    grads: Array,
    max_norm: float,
    *,
    length: Callable[[Array], Any] = lambda g: np.sqrt(g @ g),
    largest: float = 1,
) -> Array:
    return grads * np.minimum(largest, max_norm / length(grads))


_clip_mistake = mistakes_of(_clip_by_norm)

CLIP_BY_NORM = Exercise(
    id="images_and_sequences.clip-by-norm",
    task="the gradient, a vector, as it is where its Euclidean length is at most max_norm, and of that length in the "
    "same direction where it is longer",
    arguments="grads, max_norm",
    laws=(
        Law("a gradient that is too long gets the length max_norm and keeps its direction", _long_ones),
        Law("a shorter one stays", _short_ones),
        Law("a gradient of zero stays zero", _none),
    ),
    zoo=(
        Mistake(
            "each entry",
            "each entry is clipped by itself; that turns the gradient. Multiply all entries by one number.",
            lambda g, m: np.clip(g, -m / 2, m / 2),
        ),
        Mistake(
            "each entry at max_norm",
            "each entry is clipped by itself at max_norm; that turns the gradient, or leaves it too long. Multiply all "
            "entries by one number.",
            lambda g, m: np.clip(g, -m, m),
        ),
        _clip_mistake(
            "squared length",
            "the sum of squares is taken for the length: its root is missing.",
            length=lambda g: g @ g,
        ),
        _clip_mistake(
            "sum of sizes", "the sizes of the entries are added up; the Euclidean length is the root of the sum of "
            "their squares.", length=lambda g: np.sum(np.abs(g)),
        ),
        _clip_mistake(
            "largest entry",
            "the largest entry is taken for the length, so the vector stays too long.",
            length=lambda g: np.max(np.abs(g)),
        ),
        _clip_mistake(
            "per entry's share",
            "the root mean square is taken for the length; add up the squares.",
            length=lambda g: np.sqrt(np.mean(g**2)),
        ),
        _clip_mistake(
            "always scaled",
            "a short gradient is made longer; only one that is too long is scaled.",
            largest=np.inf,
        ),
        Mistake(
            "unit length",
            "it comes out with length one; it should come out with length max_norm.",
            lambda g, m: g / max(1e-300, np.sqrt(g @ g)) if g @ g > m**2 else g,
        ),
    ),
    example=lambda rng: _gradient(rng, 0.3),
)  # fmt: skip

EXERCISES = (CONV_SIZE, CONV_BACKWARD, RNN_BACKWARD, CLIP_BY_NORM)
