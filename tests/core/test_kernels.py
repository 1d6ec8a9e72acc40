"""Each kernel equals its NumPy line, compiled and interpreted, in both precisions."""

import ast
from pathlib import Path

import numpy as np
import pytest

from minivae.core import kernels
from tests import reference

K, B, L, D = 3, 5, 2, 4
RETURNING = [
    "dense",
    "dense_backward",
    "tanh",
    "tanh_backward",
    "relu",
    "relu_backward",
    "reparameterize",
    "reparameterize_backward",
    "reparameterize_score",
    "diagonal_kl",
    "diagonal_kl_backward",
    "diagonal_log_prob",
    "full_sample",
    "full_backward",
    "full_slope",
    "full_log_prob",
    "gate",
    "gate_backward",
    "planar",
    "planar_backward",
    "planar_bend",
    "planar_bend_backward",
    "planar_slope",
    "planar_inverse",
    "bernoulli",
    "weigh_rows",
    "gaussian_shared",
    "gaussian_per_pixel",
    "pathwise_rows",
    "score_rows",
    "earlier_average",
    "conv",
    "conv_backward",
    "conv_transpose",
    "conv_transpose_backward",
    "gru_step",
    "gru_backward",
]
OVERWRITING = ("dense_backward", "conv_backward", "conv_transpose_backward")
IN_PLACE = {"adam": 0, "rmsprop": 0}  # and which argument holds the result


def arguments(name, dtype):
    rng = np.random.default_rng(1)
    head, eps, rows = rng.normal(size=(B, 2 * L)), rng.normal(size=(K, B, L)), rng.normal(size=(K, B))
    out, real = rng.normal(size=(K * B, D)), rng.normal(size=(B, D))
    params, y = rng.normal(size=(D + 1) * 3), rng.normal(size=(B, D))
    packed, noise = rng.normal(size=(B, 9)), rng.normal(size=(K, B, 3))
    w, u, c = 0.4 * rng.normal(size=(B, 2, 3)), 0.4 * rng.normal(size=(B, 2, 3)), rng.random((B, 2)) + 0.1
    g, many = (2, 4, 3, 2, 3, 2, 1), 18  # more than the kernels take at once
    weights, image, small = rng.normal(size=3 * 12 + 3), rng.normal(size=(many, 24)), rng.normal(size=(many, 18))
    values = {
        "conv": (weights, image, 3, g),
        "conv_backward": (weights, image, small, np.full_like(weights, np.nan), g, True),
        "conv_transpose": (weights[:38], small, g),
        "conv_transpose_backward": (weights[:38], small, image, np.full(38, np.nan), g, True),
        "gru_step": (packed, rng.normal(size=packed.shape), u[:, 0]),
        "gru_backward": (rng.random((B, 6)), w[:, 0], packed, u[:, 0], w[:, 1]),
        "dense": (params, real, 3),
        "dense_backward": (params, real, rng.normal(size=(B, 3)), np.full_like(params, np.nan), True),
        "tanh": (3 * y,),
        "tanh_backward": (np.tanh(y), real),
        "relu": (y,),
        "relu_backward": (np.maximum(y, 0), real),
        "reparameterize": (head, eps),
        "reparameterize_backward": (head, eps, rng.normal(size=eps.shape), rows),
        "reparameterize_score": (head, eps, rows),
        "diagonal_kl": (head,),
        "diagonal_kl_backward": (head, rng.normal(size=B)),
        "diagonal_log_prob": (head, eps),
        "gate": (eps[0], head, True),
        "gate_backward": (eps[0], head, True, eps[1], rows[0]),
        "planar": (noise, w, u, c, 1 + np.sum(w * u, axis=2)),
        "planar_backward": (
            rng.normal(size=(3, K, B, 3)),
            np.tanh(rng.normal(size=(2, K, B))),
            w,
            u,
            c,
            rng.normal(size=noise.shape),
            rows,
        ),
        "planar_bend": (w, 5 * u),
        "planar_bend_backward": (w, 5 * u, rng.normal(size=u.shape), c),
        "planar_slope": (noise, np.tanh(rng.normal(size=(2, K, B))), w, u, c),
        "planar_inverse": (noise, w, u, c, 1 + np.sum(w * u, axis=2)),
        "full_sample": (packed, noise),
        "full_backward": (packed, noise, rng.normal(size=noise.shape), rows),
        "full_slope": (packed, noise),
        "full_log_prob": (packed, noise),
        "bernoulli": (out, rng.random((B, D))),
        "weigh_rows": (out, rows.ravel()),
        "gaussian_shared": (out, np.array([-0.7]), real),
        "gaussian_per_pixel": (rng.normal(size=(K * B, 2 * D)), real),
        "pathwise_rows": (out, rng.normal(size=out.shape)),
        "score_rows": (rows[:, 0], rng.normal(size=(2, L)), eps[:, 0], rng.random(L) + 0.5),
        "earlier_average": (real[:, 0], 0.7),
        "adam": (*(rng.normal(size=50) for _ in range(3)), rng.random(50), np.array([0.9, 0.999, 0.01, 1e-8])),
        "rmsprop": (*(rng.normal(size=50) for _ in range(3)), 2 + rng.random(50), np.array([0.9, 0.01, 1e-8, 1.0])),
    }[name]
    return [np.ascontiguousarray(v, dtype) if isinstance(v, np.ndarray) else v for v in values]


def as_tuple(result):
    return result if isinstance(result, tuple) else (result,)


@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 1e-12), (np.float32, 2e-5)])
@pytest.mark.parametrize("name", RETURNING)
def test_kernel_equals_its_numpy_line(name, dtype, rtol):
    kernel = getattr(kernels, name)
    expected = as_tuple(getattr(reference, name)(*arguments(name, np.float64)))
    for version in (kernel, getattr(kernel, "py_func", kernel)):
        found = as_tuple(version(*arguments(name, dtype)))
        for a, b in zip(found, expected, strict=True):
            assert a.dtype == dtype
            np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol)


@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 1e-12), (np.float32, 1e-5)])
@pytest.mark.parametrize("name", IN_PLACE)
def test_kernel_in_place_equals_its_numpy_line(name, dtype, rtol):
    kernel = getattr(kernels, name)
    expected = arguments(name, np.float64)
    getattr(reference, name)(*expected)
    for version in (kernel, getattr(kernel, "py_func", kernel)):
        found = arguments(name, dtype)
        version(*found)
        for a, b in zip(found, expected, strict=True):
            assert a.dtype == dtype
            np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("name", [*RETURNING, *IN_PLACE])
def test_a_nan_in_any_argument_reaches_the_result(name):
    for i, original in enumerate(arguments(name, np.float64)):
        if (
            (name in ("adam", "rmsprop") and i == 4)
            or (name == "full_backward" and i == 0)  # of the head only the diagonal is looked at
            or not isinstance(original, np.ndarray)
            or (name in OVERWRITING and i == 3)
        ):
            continue  # settings are checked when the optimiser is built; gradients are overwritten
        args = arguments(name, np.float64)
        first = name.startswith(("dense", "conv")) or name in (
            "earlier_average",
            "planar_backward",
        )  # whose last draw counts for nothing
        args[i][(0,) * original.ndim if first else (-1,) * original.ndim] = np.nan  # a log-variance
        with np.errstate(invalid="ignore"):
            result = getattr(kernels, name)(*args)
        arrays = [args[IN_PLACE[name]]] if name in IN_PLACE else as_tuple(result)
        if name in OVERWRITING:
            arrays = (*arrays, args[3])
        assert not all(np.isfinite(a).all() for a in arrays), f"argument {i} of {name}"


@pytest.mark.parametrize("need_dx", [True, False])
@pytest.mark.parametrize("name", OVERWRITING)
def test_backward_overwrites_the_gradient(name, need_dx):
    *args, _ = arguments(name, np.float64)
    expected = [a.copy() if isinstance(a, np.ndarray) else a for a in args]
    dx, dx_expected = getattr(kernels, name)(*args, need_dx), getattr(reference, name)(*expected, need_dx)
    np.testing.assert_allclose(args[3], expected[3], rtol=1e-12)
    assert dx.shape == dx_expected.shape


FILES = {path.stem: ast.parse(path.read_text()) for path in Path(kernels.__file__).parent.glob("*.py")}
KERNELS = {
    topic: {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")}
    for topic, tree in FILES.items()
    if topic not in ("__init__", "compiled", "exponential")
}


def test_every_kernel_is_compared_and_public():
    defined = set().union(*KERNELS.values())
    assert sum(map(len, KERNELS.values())) == len(defined)
    assert defined == {*RETURNING, *IN_PLACE}
    assert {*kernels.__all__} == {*defined, "LOG_2PI"}


@pytest.mark.parametrize("topic", KERNELS)
def test_kernels_import_numpy_and_how_to_compile_only(topic):
    imported = set()
    for node in ast.walk(FILES[topic]):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module)
    assert imported <= {"numpy", "typing", "minivae.core.kernels.compiled", "minivae.core.kernels.exponential"}


@pytest.mark.parametrize("topic", KERNELS)
def test_no_kernel_calls_one_of_another_file(topic):
    # Numba's cache on disk sees edits of the kernel's own file only: a callee elsewhere would stay as it was compiled.
    # Of the exponentials it is told (test_exponential)
    taken = {a.name for n in ast.walk(FILES[topic]) if isinstance(n, ast.ImportFrom) for a in n.names}
    assert taken <= {"Any", "jit", "jit_reassociated", "LOG_2PI", "exp", "expm1", "tanh"}


def test_bernoulli_is_finite_for_logits_that_overflow_a_naive_formula():
    logits, x = np.array([[1000.0, -1000.0]]), np.array([[1.0, 0.0]])
    for sign, log_prob, score in ((1, 0.0, [[0.0, 0.0]]), (-1, -2000.0, [[1.0, -1.0]])):
        found = kernels.bernoulli(sign * logits, x)
        assert found[0] == log_prob
        np.testing.assert_array_equal(found[1], score)


@pytest.mark.parametrize("bad", [-0.01, 1.01, 255.0])
def test_bernoulli_gives_no_probability_outside_its_support(bad):
    x = np.array([[0.0, 1.0, 0.5], [0.0, bad, 1.0]])
    log_prob, _ = kernels.bernoulli(np.zeros((2, 3)), x)
    np.testing.assert_allclose(log_prob, [-3 * np.log(2), -np.inf])


def test_kl_keeps_its_digits_near_the_prior():
    # to second order KL = log_var^2 / 4; exp(log_var) - 1 - log_var would have lost every digit
    kl = kernels.diagonal_kl(np.array([[0.0, 1e-6]]))
    np.testing.assert_allclose(kl, 0.25e-12 * (1 + 1e-6 / 3), rtol=1e-4)


def test_rows_of_the_decoder_pair_with_examples_draw_by_draw():
    logits, x = np.zeros((4, 1)), np.array([[0.0], [1.0]])
    logits[:, 0] = [1.0, 2.0, 3.0, 4.0]  # draws (1, 2) of examples (0, 1), then (3, 4)
    log_prob, _ = kernels.bernoulli(logits, x)
    expected = [-np.log1p(np.exp(1)), -np.log1p(np.exp(-2)), -np.log1p(np.exp(3)), -np.log1p(np.exp(-4))]
    np.testing.assert_allclose(log_prob, expected, rtol=1e-14)


def test_a_wide_gate_sums_the_logs_of_all_its_blocks(rng):
    z, out = rng.normal(size=(3, 150)), rng.normal(size=(3, 300))  # products are taken every 64 factors
    for a, b in zip(kernels.gate(z, out, True), reference.gate(z, out, True), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
