"""Layers on images: SciPy's correlation, transposes, gradients on random shapes, what does not fit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import correlate2d

from minivae.core.registry import from_spec, to_spec
from minivae.nn import (
    AveragePool,
    Conv2d,
    ConvTranspose2d,
    Dense,
    LayerNorm,
    MaxPool,
    ReLU,
    Residual,
    Sequential,
    Tanh,
    Upsample,
    mlp,
)
from minivae.studies.gradients_layers import check_layer

NONE = np.empty(0)


@st.composite
def convolutions(draw):
    """Return arguments that fit: an image, channels, a kernel in it, a stride."""
    kernel, stride = (draw(st.integers(1, 3)), draw(st.integers(1, 3))), draw(st.integers(1, 3))
    padding = draw(st.integers(0, min(kernel) - 1))
    sizes = [k - 2 * padding + stride * draw(st.integers(0, 3)) for k in kernel]
    sizes = [n if n > 0 else n + stride * (1 - n // stride) for n in sizes]
    return (draw(st.integers(1, 3)), *sizes), draw(st.integers(1, 3)), kernel, stride, padding


@settings(deadline=None, max_examples=40)
@given(convolutions(), st.integers(1, 20))
def test_a_convolution_is_scipys_correlation(how, batch):
    layer, rng = Conv2d(*how), np.random.default_rng(0)
    params, x = rng.normal(size=layer.n_params), rng.normal(size=(batch, layer.n_in))
    (W, b), padding = layer.unpack(params), layer.padding
    images = np.pad(x.reshape(batch, *layer.shape), [(0, 0), (0, 0), (padding,) * 2, (padding,) * 2])
    expected = [
        [sum(correlate2d(plane, w, "valid") for plane, w in zip(image, kernel, strict=True)) for kernel in W]
        for image in images
    ]
    expected = np.array(expected)[:, :, :: layer.stride, :: layer.stride] + b[:, None, None]
    assert expected.shape[1:] == layer.out_shape
    np.testing.assert_allclose(layer.forward(params, x)[0], expected.reshape(batch, -1), atol=1e-12)


@settings(deadline=None, max_examples=40)
@given(convolutions(), st.sampled_from([3, 16, 17]))
def test_the_transposed_convolution_is_the_transpose(how, batch):
    layer, rng = Conv2d(*how), np.random.default_rng(0)
    back = ConvTranspose2d(layer.out_shape, layer.shape[0], layer.kernel, layer.stride, layer.padding)
    assert back.out_shape == layer.shape
    weights = rng.normal(size=layer.n_params - layer.channels)
    x, y = rng.normal(size=(batch, layer.n_in)), rng.normal(size=(batch, layer.n_out))
    forth = layer.forward(np.append(weights, np.zeros(layer.channels)), x)[0]
    there = back.forward(np.append(weights, np.zeros(back.channels)), y)[0]
    size = np.linalg.norm(forth) * np.linalg.norm(y) + 1
    assert abs(np.sum(forth * y) - np.sum(x * there)) <= 1e-12 * size


LINEAR = [
    Conv2d((2, 5, 4), 3, (3, 2), 2, 1),
    ConvTranspose2d((3, 3, 3), 2, (3, 2), 2, 1),
    AveragePool((2, 4, 6), 2),
    Upsample((2, 2, 3), 2),
]


@pytest.mark.parametrize("layer", LINEAR, ids=lambda layer: type(layer).__name__)
def test_backward_of_a_linear_layer_is_its_transpose(layer, rng):
    params = rng.normal(size=layer.n_params)
    if layer.n_params:
        layer.unpack(params)[1][:] = 0
    x, dy = rng.normal(size=(20, layer.n_in)), rng.normal(size=(20, layer.n_out))
    y, cache = layer.forward(params, x)
    grads = np.empty_like(params)
    dx = layer.backward(params, cache, dy, grads)
    assert abs(np.sum(y * dy) - np.sum(x * dx)) <= 1e-12 * np.linalg.norm(y) * np.linalg.norm(dy)
    if layer.n_params:  # linear in the weights, too
        W, dW = layer.unpack(params)[0], layer.unpack(grads)[0]
        assert abs(np.sum(y * dy) - np.sum(W * dW)) <= 1e-12 * np.linalg.norm(y) * np.linalg.norm(dy)


@settings(deadline=None, max_examples=10)
@given(convolutions())
def test_gradients_on_random_shapes(how):
    layer = Conv2d(*how)
    back = ConvTranspose2d(layer.out_shape, layer.shape[0], layer.kernel, layer.stride, layer.padding)
    for each in (layer, back):
        (row,) = check_layer(each)
        assert row.ok, row.message


@settings(deadline=None, max_examples=10)
@given(st.integers(1, 2), st.integers(1, 2), st.integers(1, 2), st.integers(1, 3))
def test_gradients_of_windows_on_random_shapes(channels, h, w, size):
    shape = (channels, h * size, w * size)
    for layer in (AveragePool(shape, size), MaxPool(shape, size), Upsample((channels, h, w), size)):
        (row,) = check_layer(layer)
        assert row.ok, row.message


LAYERS = [*LINEAR, MaxPool((2, 4, 6), 2), LayerNorm(5), Residual(mlp([4, 3, 4], "tanh"))]


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: type(layer).__name__)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_contract_of_a_layer(layer, dtype, rng):
    params = layer.init(rng, dtype)
    x = rng.normal(size=(5, layer.n_in)).astype(dtype)
    kept = x.copy()
    y, cache = layer.forward(params, x)
    layer.forward(params, 2 * x)  # another pass between leaves the first as it was
    first, second = np.full_like(params, np.nan), np.zeros_like(params)
    dx = layer.backward(params, cache, y, first)
    np.testing.assert_array_equal(layer.backward(params, cache, y, second), dx)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(x, kept)
    assert layer.backward(params, cache, y, second, need_dx=False) is None
    np.testing.assert_array_equal(layer.backward(params, cache, y, None), dx)
    assert y.shape == (5, layer.n_out)
    assert dx.shape == x.shape
    assert y.dtype == dx.dtype == params.dtype == dtype
    assert from_spec(to_spec(layer)) == layer
    flat = np.zeros(layer.n_params)
    for _, view in layer.named(flat):
        view += 1
    assert (flat == 1).all()


@pytest.mark.parametrize("layer", [LayerNorm(5), Residual(mlp([4, 3, 4], "tanh"))])
def test_gradients_of_layers_of_any_rows(layer, rng):
    for row in check_layer(layer, rng=rng):
        assert row.ok, row.message


@pytest.mark.parametrize(("kind", "function"), [(AveragePool, np.mean), (MaxPool, np.max)])
def test_pooling_takes_each_window(kind, function, rng):
    layer, x = kind((2, 4, 6), 2), rng.normal(size=(3, 48))
    images, expected = x.reshape(3, 2, 4, 6), np.empty((3, 2, 2, 3))
    for i in range(2):
        for j in range(3):
            window = images[:, :, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].reshape(3, 2, 4)
            expected[:, :, i, j] = function(window, axis=2)
    np.testing.assert_allclose(layer.forward(NONE, x)[0], expected.reshape(3, -1), rtol=1e-14)


def test_upsampling_is_kron_and_pooling_undoes_it(rng):
    x = rng.normal(size=(1, 6))
    y, _ = Upsample((1, 2, 3), 2).forward(NONE, x)
    np.testing.assert_array_equal(y.reshape(4, 6), np.kron(x.reshape(2, 3), np.ones((2, 2))))
    np.testing.assert_allclose(AveragePool((1, 4, 6), 2).forward(NONE, y)[0], x, rtol=1e-15)


def test_the_first_of_equal_pixels_gets_the_gradient_of_a_maximum():
    layer = MaxPool((1, 2, 2), 2)
    _, cache = layer.forward(NONE, np.array([[1.0, 3.0, 3.0, 0.0]]))
    np.testing.assert_array_equal(layer.backward(NONE, cache, np.array([[2.0]]), NONE), [[0, 2, 0, 0]])


def test_layer_norm_does_not_see_the_scale_and_the_place_of_a_row(rng):
    layer, x = LayerNorm(6, eps=1e-12), rng.normal(size=(4, 6))
    params = layer.init()
    y, _ = layer.forward(params, x)
    np.testing.assert_allclose(y.mean(axis=1), 0, atol=1e-15)
    np.testing.assert_allclose((y**2).mean(axis=1), 1, rtol=1e-10)
    np.testing.assert_allclose(layer.forward(params, 3 * x + 7)[0], y, rtol=1e-9)
    layer.out_bias(params)[:] += 2
    np.testing.assert_allclose(layer.forward(params, x)[0], y + 2, rtol=1e-12)
    assert np.isfinite(layer.forward(params, np.ones((1, 6)))[0]).all()


def test_a_residual_block_adds(rng):
    net = mlp([4, 3, 4])
    block, params, x = Residual(net), net.init(rng), rng.normal(size=(2, 4))
    np.testing.assert_array_equal(block.forward(params, x)[0], x + net.forward(params, x)[0])
    assert [type(layer).__name__ for layer in Sequential([block]).flat_layers()] == [
        "Residual",
        "Dense",
        "ReLU",
        "Dense",
    ]
    image = Residual(Sequential([Conv2d((2, 4, 4), 2, 3, padding=1), ReLU()]))
    assert image.shape == image.out_shape == (2, 4, 4)


@pytest.mark.parametrize("scheme", ["glorot", "he"])
@pytest.mark.parametrize("kind", [Conv2d, ConvTranspose2d])
def test_initial_weights_keep_the_scale_of_what_goes_through(kind, scheme):
    layer = kind((8, 10, 10), 32, 4, 2, 1, scheme)
    params = layer.init(np.random.default_rng(0))
    W, b = layer.unpack(params)
    a = 8 * 16 if kind is Conv2d else 8 * 16 / 4  # numbers that an output is made of
    c = 32 * 16 / 4 if kind is Conv2d else 32 * 16  # and that an input goes to
    variance, kurtosis = (2 / a, 3.0) if scheme == "he" else (2 / (a + c), 9 / 5)
    assert abs(W.var() - variance) <= 5 * variance * np.sqrt((kurtosis - 1) / W.size)
    assert not b.any()


def test_ten_lines_spell_a_network_out(rng):
    encoder = Sequential(
        [
            Conv2d((1, 8, 8), 4, kernel=4, stride=2, padding=1, weights="he"),
            ReLU(),
            Residual(Sequential([Conv2d((4, 4, 4), 4, kernel=3, padding=1), Tanh()])),
            MaxPool((4, 4, 4), 2),
            Dense(16, 5),
        ]
    )
    x = rng.normal(size=(3, 64))
    assert encoder.forward(encoder.init(rng), x)[0].shape == (3, 5)
    assert encoder.shape == (1, 8, 8)
    assert encoder.out_shape is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Conv2d((1, 3, 9), 1, 5), "kernel must fit into the image, got 5 in height, where that is 3 with its"),
        (lambda: Conv2d((1, 9, 3), 1, (1, 5)), "kernel must fit into the image, got 5 in width"),
        (
            lambda: Conv2d((1, 28, 28), 1, 3, 2, 1),
            r"must be whole, got an output of 14.5. Use a kernel of 4, or another",
        ),
        (lambda: Conv2d((28, 28), 1, 3), r"shape must be \(channels, height, width\), got \(28, 28\)"),
        (
            lambda: Conv2d((1, 4, 4), 1, 2, 1, 2),
            "padding must be smaller than the kernel.*got 2.*Use padding=1 or less",
        ),
        (lambda: ConvTranspose2d((1, 1, 1), 1, 2, 1, 1), "padding must leave an image, got 1, which leaves 0 x 0"),
        (lambda: AveragePool((1, 5, 4), 2), "size must divide the height, 5, got 2, which would give 2.5 windows"),
        (
            lambda: Sequential([Conv2d((1, 4, 4), 4, 2, 2), ReLU(), Conv2d((1, 4, 4), 1, 2)]),
            r"layers\[2\] must take the images of the layer before it, .* width \(4, 2, 2\), got \(1, 4",
        ),
        (lambda: Residual(mlp([4, 3])), "net must give as many values as it takes, got 4 to 3"),
        (
            lambda: Residual(Sequential([Conv2d((4, 1, 1), 1, 1), Upsample((1, 1, 1), 2)])),
            r"net must give images of the shape that it takes, \(4, 1, 1\), got \(1, 2, 2\)",
        ),
    ],
)
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
