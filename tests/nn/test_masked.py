"""The masked layer: what an output cannot see it does not depend on, exactly; values and gradients."""

import numpy as np
import pytest

from minivae.core.registry import from_spec, to_spec
from minivae.nn.activations import Tanh
from minivae.nn.dense import Dense
from minivae.nn.gradcheck import check_gradient
from minivae.nn.masked import MaskedDense
from minivae.nn.sequential import Sequential


def test_the_mask_is_that_of_the_degrees():
    np.testing.assert_array_equal(MaskedDense([0, 1, 2], [1, 2]).mask, [[1, 1], [1, 1], [0, 1]])
    np.testing.assert_array_equal(MaskedDense([0, 1, 2], [1, 2], strict=True).mask, [[1, 1], [0, 1], [0, 0]])


def test_values_and_gradients_by_hand():
    layer = MaskedDense([1, 2], [1, 2], strict=True)
    params = np.array([7.0, 2.0, 7.0, 7.0, 0.5, -0.5])  # of W only the entry that is 2 is seen
    y, cache = layer.forward(params, np.array([[1.0, 3.0], [10.0, 4.0]]))
    np.testing.assert_array_equal(y, [[0.5, 1.5], [0.5, 19.5]])
    grads = np.full(6, np.nan)
    dx = layer.backward(params, cache, np.array([[1.0, 2.0], [3.0, 4.0]]), grads)
    np.testing.assert_array_equal(grads, [0, 42, 0, 0, 4, 6])
    np.testing.assert_array_equal(dx, [[4, 0], [8, 0]])
    np.testing.assert_array_equal(layer.masked(params), [[0, 2], [0, 0]])


def test_without_a_mask_it_is_the_dense_layer(rng):
    layer, plain = MaskedDense([0, 0, 0], [0, 0]), Dense(3, 2)
    params, x, dy = rng.normal(size=8), rng.normal(size=(5, 3)), rng.normal(size=(5, 2))
    grads, others = np.full(8, np.nan), np.full(8, np.nan)
    (y, cache), (other, plain_cache) = layer.forward(params, x), plain.forward(params, x)
    np.testing.assert_array_equal(y, other)
    dx = layer.backward(params, cache, dy, grads)
    np.testing.assert_array_equal(dx, plain.backward(params, plain_cache, dy, others))
    np.testing.assert_array_equal(grads, others)
    assert layer.backward(params, cache, dy, None, need_dx=False) is None


def test_a_chain_depends_on_what_comes_before_and_on_no_more(rng):
    net = Sequential([MaskedDense([1, 2, 3], [1, 2, 1, 2]), Tanh(), MaskedDense([1, 2, 1, 2], [1, 2, 3], strict=True)])
    params = rng.normal(size=net.n_params)  # those outside the masks too
    x = rng.normal(size=(1, 3))
    for i in range(3):
        changed = x.copy()
        changed[0, i] += 1
        differs = net.forward(params, x)[0] != net.forward(params, changed)[0]
        np.testing.assert_array_equal(differs[0], np.arange(3) > i)


def test_gradients_are_derivatives_and_nothing_outside_the_mask_moves(rng):
    layer = MaskedDense([0, 1, 2, 3], [1, 2, 3, 1, 2, 3], strict=True)
    params, x, dy = rng.normal(size=layer.n_params), rng.normal(size=(5, 4)), rng.normal(size=(5, 6))
    grads = np.full_like(params, np.nan)
    _, cache = layer.forward(params, x)
    dx = layer.backward(params, cache, dy, grads)
    assert check_gradient(lambda t: float(np.sum(dy * layer.forward(t, x)[0])), grads, params).ok
    at_x = check_gradient(
        lambda t: float(np.sum(dy * layer.forward(params, t.reshape(x.shape))[0])), dx.ravel(), x.ravel()
    )
    assert at_x.ok
    assert not layer.unpack(grads)[0][layer.mask == 0].any()
    W = layer.unpack(layer.init(rng))[0]
    assert not W[layer.mask == 0].any()
    assert (np.abs(W[layer.mask == 1]) <= np.sqrt(6 / 10)).all()
    assert np.abs(W).max() > 0.5


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_is_that_of_the_parameters(dtype, rng):
    layer = MaskedDense([1, 2], [1, 2])
    params = layer.init(rng, dtype)
    y, cache = layer.forward(params, np.ones((3, 2), dtype))
    assert y.dtype == layer.backward(params, cache, y, np.empty_like(params)).dtype == dtype


def test_it_is_saved_and_refuses_what_are_no_degrees():
    layer = MaskedDense([0, 1], (1, 2), strict=True)
    assert from_spec(to_spec(layer)) == layer
    assert (layer.n_in, layer.n_out, layer.n_params) == (2, 2, 6)
    for bad, words in ((3, "a list of integers"), ([], "at least one"), ([-1], "at least 0"), ([1.5], "an integer")):
        with pytest.raises(ValueError, match=f"in_degrees must .*{words}"):
            MaskedDense(bad, [1])
    with pytest.raises(ValueError, match="strict must be True or False"):
        MaskedDense([1], [1], strict=1)
