"""Layers: values, the contract of flat parameters, composition, initial weights."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from minivae.nn.activations import ACTIVATIONS, ELU, ReLU, Sigmoid, Softplus, Tanh
from minivae.nn.dense import Dense
from minivae.nn.sequential import Sequential, mlp

ACTIVATION_VALUES = {
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
    "elu": lambda x: np.where(x > 0, x, special.expm1(np.minimum(x, 0))),
    "softplus": lambda x: special.log1p(np.exp(-np.abs(x))) + np.maximum(x, 0),
    "sigmoid": special.expit,
}


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_activation_values(name, dtype):
    x = np.linspace(-30, 30, 121, dtype=dtype)[None, :]
    y, _ = ACTIVATIONS[name].forward(np.empty(0, dtype), x)
    assert y.dtype == dtype
    np.testing.assert_allclose(y, ACTIVATION_VALUES[name](x.astype(float)), rtol=1e-5 if dtype == np.float32 else 1e-12)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_stays_finite_far_out_and_passes_nan_on(name):
    x = np.array([[-1e4, 1e4, np.nan]])
    with np.errstate(invalid="ignore"):
        y, cache = ACTIVATIONS[name].forward(np.empty(0), x)
        dx = ACTIVATIONS[name].backward(np.empty(0), cache, np.ones_like(x), np.empty(0))
    assert np.isfinite(y[0, :2]).all()
    assert np.isfinite(dx[0, :2]).all()
    assert np.isnan(y[0, 2])


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_slope_and_curvature_are_the_derivatives(name, rng):
    layer, x = ACTIVATIONS[name], rng.normal(size=(4, 9))
    x[0, :3] = [-40.0, 40.0, 6.0]  # far out, and where a difference of near numbers would lose digits
    h = 1e-5

    def value(x):
        return layer.forward(np.empty(0), x)[0]

    def slope(x):
        return layer.slope(layer.forward(np.empty(0), x)[1])

    np.testing.assert_allclose(slope(x), (value(x + h) - value(x - h)) / (2 * h), atol=1e-9)
    curvature = layer.curvature(layer.forward(np.empty(0), x)[1])
    np.testing.assert_allclose(curvature, (slope(x + h) - slope(x - h)) / (2 * h), atol=1e-9)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_backward_is_the_slope_times_what_comes_from_above(name, rng):
    layer, x, dy = ACTIVATIONS[name], rng.normal(size=(4, 9)), rng.normal(size=(4, 9))
    _, cache = layer.forward(np.empty(0), x)
    h = 1e-5
    difference = (ACTIVATION_VALUES[name](x + h) - ACTIVATION_VALUES[name](x - h)) / (2 * h)
    dx = layer.backward(np.empty(0), cache, dy, np.empty(0))
    np.testing.assert_allclose(dx, difference * dy, atol=1e-9)
    np.testing.assert_allclose(layer.slope(cache) * dy, dx, rtol=1e-12)


def test_elu_has_its_left_curvature_at_its_kink():
    _, cache = ELU().forward(np.empty(0), np.array([[0.0]]))
    assert (ELU().slope(cache).item(), ELU().curvature(cache).item()) == (1.0, 1.0)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_slope_and_curvature_keep_the_dtype(name):
    _, cache = ACTIVATIONS[name].forward(np.empty(0, np.float32), np.array([[-1.0, 2.0]], np.float32))
    assert ACTIVATIONS[name].slope(cache).dtype == ACTIVATIONS[name].curvature(cache).dtype == np.float32


def test_relu_has_slope_zero_at_its_kink():
    _, cache = ReLU().forward(np.empty(0), np.array([[0.0, -0.0]]))
    np.testing.assert_array_equal(ReLU().backward(np.empty(0), cache, np.ones((1, 2)), np.empty(0)), [[0.0, 0.0]])


def test_dense_values_and_gradients_by_hand():
    layer = Dense(2, 1)
    params = np.array([2.0, -1.0, 0.5])  # W = (2, -1), b = 0.5
    x = np.array([[1.0, 3.0], [0.0, 1.0]])
    y, cache = layer.forward(params, x)
    np.testing.assert_array_equal(y, [[-0.5], [-0.5]])
    grads = np.full(3, np.nan)
    dx = layer.backward(params, cache, np.array([[1.0], [10.0]]), grads)
    np.testing.assert_array_equal(grads, [1.0, 13.0, 11.0])
    np.testing.assert_array_equal(dx, [[2.0, -1.0], [20.0, -10.0]])


def test_weights_are_views_of_the_flat_vector():
    layer = Dense(3, 2)
    flat = np.zeros(layer.n_params)
    W, b = layer.unpack(flat)
    W[2, 1], b[0] = 7.0, 8.0
    np.testing.assert_array_equal(flat, [0, 0, 0, 0, 0, 7, 8, 0])


def nets():
    return [
        Dense(4, 3),
        *ACTIVATIONS.values(),
        mlp([4, 6, 3], "tanh"),
        Sequential([Dense(4, 5), Sequential([ELU(), Dense(5, 4), Softplus()]), Dense(4, 2), Sigmoid()]),
    ]


@pytest.mark.parametrize("layer", nets(), ids=lambda layer: type(layer).__name__)
def test_backward_overwrites_and_leaves_params_cache_and_upstream_alone(layer, rng):
    params, x = layer.init(rng), rng.normal(size=(5, 4))
    y, cache = layer.forward(params, x)
    dy = rng.normal(size=y.shape)
    before = params.copy(), dy.copy(), x.copy()
    first, second = np.full_like(params, np.nan), rng.normal(size=params.shape)
    dx1 = layer.backward(params, cache, dy, first)
    dx2 = layer.backward(params, cache, dy, second)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(dx1, dx2)
    for old, new in zip(before, (params, dy, x), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("layer", nets(), ids=lambda layer: type(layer).__name__)
def test_two_forwards_before_one_backward_do_not_mix(layer, rng):
    params, x1, x2 = layer.init(rng), rng.normal(size=(5, 4)), rng.normal(size=(7, 4))
    y1, cache1 = layer.forward(params, x1)
    dy = rng.normal(size=y1.shape)
    alone = np.empty_like(params)
    dx_alone = layer.backward(params, cache1, dy, alone)
    _, cache1 = layer.forward(params, x1)
    layer.forward(params, x2)
    after = np.empty_like(params)
    np.testing.assert_array_equal(layer.backward(params, cache1, dy, after), dx_alone)
    np.testing.assert_array_equal(after, alone)


@pytest.mark.parametrize("layer", nets(), ids=lambda layer: type(layer).__name__)
def test_gradient_of_the_first_input_can_be_skipped(layer, rng):
    params, x = layer.init(rng), rng.normal(size=(5, 4))
    y, cache = layer.forward(params, x)
    with_dx, without = np.empty_like(params), np.empty_like(params)
    layer.backward(params, cache, np.ones_like(y), with_dx)
    assert layer.backward(params, cache, np.ones_like(y), without, need_dx=False) is None
    np.testing.assert_array_equal(with_dx, without)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_follows_the_parameters(dtype, rng):
    for layer in nets():
        params = layer.init(rng, dtype)
        y, cache = layer.forward(params, rng.normal(size=(5, 4)).astype(dtype))
        grads = np.empty_like(params)
        dx = layer.backward(params, cache, y, grads)
        assert params.dtype == y.dtype == grads.dtype == dx.dtype == dtype


def test_float32_and_float64_start_at_the_same_point():
    net = mlp([4, 6, 3])
    a, b = (net.init(np.random.default_rng(3), dtype) for dtype in (np.float32, np.float64))
    np.testing.assert_array_equal(a, b.astype(np.float32))


@pytest.mark.parametrize(("scheme", "variance", "kurtosis"), [("glorot", 2 / (300 + 200), 9 / 5), ("he", 2 / 300, 3.0)])
def test_initial_weights_have_the_stated_variance_and_zero_biases(scheme, variance, kurtosis):
    layer = Dense(300, 200, scheme)
    W, b = layer.unpack(layer.init(np.random.default_rng(0)))
    assert not b.any()
    assert abs(W.mean()) <= 5 * np.sqrt(variance / W.size)
    # the standard error of a variance is variance sqrt((kurtosis - 1) / n)
    assert abs(W.var() - variance) <= 5 * variance * np.sqrt((kurtosis - 1) / W.size)


@pytest.mark.parametrize(("n_in", "n_out"), [(300, 200), (20, 900), (900, 20)])
def test_glorot_weights_are_uniform_up_to_their_bound(n_in, n_out):
    layer = Dense(n_in, n_out)
    W, _ = layer.unpack(layer.init(np.random.default_rng(1)))
    bound = np.sqrt(6 / (n_in + n_out))
    # of n weights the largest misses the bound by 20 / n of it with chance exp(-10)
    for extreme in (W.max(), -W.min()):
        assert bound * (1 - 20 / W.size) < extreme <= bound
    assert stats.kstest(W.ravel(), stats.uniform(-bound, 2 * bound).cdf).pvalue > 1e-4
    # and no row or column has a scale of its own: a uniform variance has the error variance sqrt((9/5 - 1) / n)
    for axis in (0, 1):
        error = bound**2 / 3 * np.sqrt(0.8 / W.shape[axis])
        assert (np.abs((W**2).mean(axis=axis) - bound**2 / 3) <= 5.5 * error).all()


def test_he_weights_are_normal():
    layer = Dense(300, 200, "he")
    W, _ = layer.unpack(layer.init(np.random.default_rng(1)))
    assert stats.kstest(W.ravel(), stats.norm(0, np.sqrt(2 / 300)).cdf).pvalue > 1e-4


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_mlp_uses_he_before_relu_and_elu_and_glorot_elsewhere(name):
    hidden = "he" if name in ("relu", "elu") else "glorot"
    schemes = [layer.weights for layer in mlp([4, 6, 5, 3], name).layers if isinstance(layer, Dense)]
    assert schemes == [hidden, hidden, "glorot"]


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(1, 6), min_size=2, max_size=5), st.integers(1, 4))
def test_sequential_is_composition(widths, batch):
    net, rng = mlp(widths, "tanh"), np.random.default_rng(0)
    params = net.init(rng)
    x = rng.normal(size=(batch, widths[0]))
    y = x
    for layer, part in zip(net.layers, net.slices, strict=True):
        y, _ = layer.forward(params[part], y)
    np.testing.assert_array_equal(net.forward(params, x)[0], y)
    assert net.n_params == sum((a + 1) * b for a, b in zip(widths, widths[1:], strict=False))


@pytest.mark.parametrize("net", [mlp([4, 6, 3]), mlp([4, 3]), Sequential([Tanh(), mlp([4, 5, 3])])])
def test_the_outer_bias_moves_the_output_by_itself(net, rng):
    params, x, c = net.init(rng), rng.normal(size=(5, 4)), rng.normal(size=3)
    before = net.forward(params, x)[0]
    net.out_bias(params)[:] += c
    np.testing.assert_allclose(net.forward(params, x)[0], before + c, rtol=1e-12)
    bent = Sequential([net, Sigmoid()])
    assert bent.out_bias(bent.init(rng)) is None


def test_names_cover_every_parameter_once():
    net = mlp([4, 6, 3])
    flat = np.zeros(net.n_params)
    for _, view in net.named(flat):
        view += 1
    assert (flat == 1).all()
    assert [name for name, _ in net.named(flat)] == ["0.weight", "0.bias", "2.weight", "2.bias"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Dense(0, 3), "n_in must be an integer of at least 1, got 0"),
        (lambda: Dense(3, 2.5), "n_out must be an integer of at least 1, got 2.5"),
        (lambda: Dense(3, 2, "glorrot"), "weights must be one of glorot, he; got 'glorrot'. Did you mean 'glorot'"),
        (lambda: Sequential([Dense(3, 2), Tanh(), Dense(3, 2)]), r"layers\[2\] must take the 2 values"),
        (lambda: Sequential([]), "layers must hold at least one layer"),
        (lambda: Sequential([Dense(3, 2), Tanh]), r"Pass Tanh\(\), not Tanh"),
        (lambda: mlp([4]), "widths must name at least input and output"),
        (lambda: mlp([4, 3, 2], "tahn"), "Did you mean 'tanh'"),
    ],
)
def test_wrong_descriptions_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_dense_refuses_an_input_of_another_width_or_dtype(rng):
    layer = Dense(3, 2)
    params = layer.init(rng)
    for x in (np.ones((4, 2)), np.ones(3), np.ones((4, 3), np.float32)):
        with pytest.raises(ValueError, match=r"x must be an array of shape \(any, 3\) and dtype float64"):
            layer.forward(params, x)
