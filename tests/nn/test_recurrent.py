"""Recurrent layers: the formulas step by step, lengths, directions, gradients, how far back they reach."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from minivae.core.registry import from_spec, to_spec
from minivae.models.networks import CELLS
from minivae.nn import GRU, LSTM, RNN, Bidirectional, Dense, Repeat, Sequential, Steps, Tanh, mlp
from minivae.studies.gradients_layers import check_layer

T, D, H, B = 5, 2, 3, 4


def rnn(W, U, b, x):
    h, states = np.zeros(len(U)), []
    for step in x:
        h = np.tanh(step @ W + h @ U + b)
        states.append(h)
    return states


def gru(W, U, b, x):
    h, states = np.zeros(len(U)), []
    for step in x:
        (ar, au, an), (hr, hu, hn) = np.split(step @ W + b, 3), np.split(h @ U, 3)
        r, u = expit(ar + hr), expit(au + hu)
        h = (1 - u) * np.tanh(an + r * hn) + u * h
        states.append(h)
    return states


def lstm(W, U, b, x):
    h, c, states = np.zeros(len(U)), np.zeros(len(U)), []
    for step in x:
        i, f, o, g = np.split(step @ W + h @ U + b, 4)
        c = expit(f) * c + expit(i) * np.tanh(g)
        h = expit(o) * np.tanh(c)
        states.append(h)
    return states


BY_HAND = {RNN: rnn, GRU: gru, LSTM: lstm}


def problem(cell, rng, **how):
    layer = cell(T, D, H, **how)
    params = layer.init(rng) + 0.3 * rng.normal(size=layer.n_params)
    return layer, params, rng.normal(size=(B, T * D))


def with_lengths(x, lengths):
    return np.concatenate([x, np.array(lengths, x.dtype)[:, None]], axis=1)


@pytest.mark.parametrize("cell", BY_HAND)
def test_every_state_is_the_formula_step_by_step(cell, rng):
    layer, params, x = problem(cell, rng, gives="all")
    W, U, b = layer.unpack(params)
    states = layer.forward(params, x)[0].reshape(B, T, H)
    for row, found in zip(x, states, strict=True):
        np.testing.assert_allclose(found, BY_HAND[cell](W, U, b, row.reshape(T, D)), atol=1e-14)
    last = cell(T, D, H).forward(params, x)[0]
    np.testing.assert_array_equal(last, states[:, -1])


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("cell", BY_HAND)
def test_a_length_is_the_same_as_a_shorter_sequence(cell, reverse, rng):
    layer, params, x = problem(cell, rng, ragged=True, reverse=reverse)
    lengths = [3, 1, 5, 2]  # in no order
    every = cell(T, D, H, "all", ragged=True, reverse=reverse)
    last, all_states = (each.forward(params, with_lengths(x, lengths))[0] for each in (layer, every))
    for i, n in enumerate(lengths):
        short = cell(n, D, H, reverse=reverse)
        row = x[i : i + 1, : n * D]
        np.testing.assert_allclose(last[i : i + 1], short.forward(params, row)[0], atol=1e-14)
        states = cell(n, D, H, "all", reverse=reverse).forward(params, row)[0]
        np.testing.assert_allclose(all_states[i, : n * H], states[0], atol=1e-14)
        assert not all_states[i, n * H :].any()


@pytest.mark.parametrize("gives", ["last", "all"])
@pytest.mark.parametrize("cell", BY_HAND)
def test_nothing_beyond_a_length_has_a_gradient_or_an_effect(cell, gives, rng):
    layer, params, x = problem(cell, rng, gives=gives, ragged=True)
    rows = with_lengths(x, [3, 1, 5, 2])
    y, cache = layer.forward(params, rows)
    dx = layer.backward(params, cache, rng.normal(size=y.shape), np.empty_like(params))
    inside = np.arange(T) < rows[:, -1:]
    assert not dx[:, -1].any()
    np.testing.assert_array_equal((dx[:, :-1].reshape(B, T, D) != 0).all(axis=2), inside)
    other = rows.copy()
    other[:, :-1].reshape(B, T, D)[~inside] = 99.0
    other_steps = np.where(np.repeat(inside, D, axis=1), rows[:, :-1], 99.0)
    other = np.concatenate([other_steps, rows[:, -1:]], axis=1)
    np.testing.assert_array_equal(layer.forward(params, other)[0], y)


@pytest.mark.parametrize("cell", BY_HAND)
def test_from_the_last_step_on_is_the_sequence_turned_round(cell, rng):
    layer, params, x = problem(cell, rng, gives="all", reverse=True)
    turned = x.reshape(B, T, D)[:, ::-1].reshape(B, -1)
    there = cell(T, D, H, "all").forward(params, turned)[0].reshape(B, T, H)[:, ::-1]
    np.testing.assert_allclose(layer.forward(params, x)[0].reshape(B, T, H), there, atol=1e-15)


@pytest.mark.parametrize("gives", ["last", "all"])
def test_both_directions_stand_side_by_side(gives, rng):
    both = Bidirectional(GRU(T, D, H, gives))
    params, x = both.init(rng), rng.normal(size=(B, T * D))
    half = both.n_params // 2
    y = both.forward(params, x)[0].reshape(B, -1, 2 * H)
    for own, part, reverse in ((params[:half], y[:, :, :H], False), (params[half:], y[:, :, H:], True)):
        alone = GRU(T, D, H, gives, reverse=reverse).forward(own, x)[0]
        np.testing.assert_array_equal(alone.reshape(B, -1, H), part)


@settings(deadline=None, max_examples=8)
@given(st.sampled_from(list(CELLS.values())), *[st.integers(1, 3)] * 3, st.sampled_from(["last", "all"]), st.booleans())
def test_gradients_on_random_shapes(cell, n_steps, n_features, n_units, gives, reverse):
    (row,) = check_layer(cell(n_steps, n_features, n_units, gives, reverse=reverse))
    assert row.ok, row.message


LAYERS = [RNN(T, D, H), GRU(T, D, H, "all"), LSTM(T, D, H), Bidirectional(LSTM(T, D, H, "all"))]
LAYERS += [Steps(mlp([2, 3, 4]), T), Repeat(3, T)]


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: type(layer).__name__)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_contract_of_a_layer(layer, dtype, rng):
    params, x = layer.init(rng, dtype), rng.normal(size=(B, layer.n_in)).astype(dtype)
    kept = x.copy()
    y, cache = layer.forward(params, x)
    layer.forward(params, 2 * x)
    first, second = np.full_like(params, np.nan), np.zeros_like(params)
    dx = layer.backward(params, cache, y, first)
    np.testing.assert_array_equal(layer.backward(params, cache, y, second), dx)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(x, kept)
    assert layer.backward(params, cache, y, second, need_dx=False) is None
    np.testing.assert_array_equal(layer.backward(params, cache, y, None), dx)
    assert y.dtype == dx.dtype == params.dtype == dtype
    assert (y.shape, dx.shape) == ((B, layer.n_out), x.shape)
    assert from_spec(to_spec(layer)) == layer
    flat = np.zeros(layer.n_params)
    for _, view in layer.named(flat):
        view += 1
    assert (flat == 1).all()


@pytest.mark.parametrize(
    "layer", [Bidirectional(GRU(3, 2, 2, "all")), Steps(mlp([2, 3, 2], "tanh"), 3), Repeat(3, 4)], ids=repr
)
def test_gradients_of_layers_made_of_others(layer, rng):
    for row in check_layer(layer, rng=rng):
        assert row.ok, row.message


def test_a_layer_at_every_step_and_a_vector_at_every_step(rng):
    net = mlp([2, 3, 4])
    layer, params, x = Steps(net, T), net.init(rng), rng.normal(size=(B, T * 2))
    each = np.stack([net.forward(params, x[:, 2 * t : 2 * t + 2])[0] for t in range(T)], axis=1)
    np.testing.assert_allclose(layer.forward(params, x)[0], each.reshape(B, -1), atol=1e-15)
    assert [type(one).__name__ for one in layer.flat_layers()] == ["Steps", "Dense", "ReLU", "Dense"]
    y, cache = Repeat(3, 2).forward(np.empty(0), np.array([[1.0, 2.0, 3.0]]))
    np.testing.assert_array_equal(y, [[1, 2, 3, 1, 2, 3]])
    dy = np.arange(6.0)[None]
    np.testing.assert_array_equal(Repeat(3, 2).backward(np.empty(0), cache, dy, np.empty(0)), [[3, 5, 7]])


@pytest.mark.parametrize("gain", [0.5, 1.0, 1.5])
def test_a_gradient_through_an_orthogonal_rnn_is_a_power_of_its_gain(gain, rng):
    layer = RNN(20, 1, H)
    params = layer.init(rng)
    _, U, b = layer.unpack(params)
    np.testing.assert_allclose(U @ U.T, np.eye(H), atol=1e-14)
    assert not b.any()
    U *= gain
    norms = layer.gradient_norms(params, np.zeros((B, 20)), np.ones((B, H)))  # at h = 0, where tanh' is 1
    np.testing.assert_allclose(norms, np.sqrt(H) * gain ** np.arange(19, -1, -1), rtol=1e-12)
    np.testing.assert_allclose(np.abs(np.linalg.eigvals(layer.step_jacobian(params))), gain, rtol=1e-12)


@pytest.mark.parametrize("cell", BY_HAND)
def test_the_jacobian_of_a_step_is_that_of_differences(cell, rng):
    layer, params, _ = problem(cell, rng)
    state = 0.5 * rng.normal(size=(layer.n_states, 1, H))
    _, U, b = layer.unpack(params)
    found, h = layer.step_jacobian(params, state.reshape(-1)), 1e-6
    for i in range(layer.n_states * H):
        move = np.zeros(layer.n_states * H)
        move[i] = h
        up, down = (layer._cell(b[None], state + s * move.reshape(state.shape), U)[0] for s in (1, -1))
        np.testing.assert_allclose(found[:, i], ((up - down) / (2 * h)).ravel(), atol=1e-8)


def test_the_jacobians_of_gates_at_rest_have_closed_forms(rng):
    gated, remembers = GRU(T, D, H), LSTM(T, D, H)
    params = gated.init(rng)
    n = gated.unpack(params)[1][:, 2 * H :]
    np.testing.assert_allclose(gated.step_jacobian(params), 0.5 * np.eye(H) + 0.25 * n.T, atol=1e-15)
    params = remembers.init(rng)
    g = remembers.unpack(params)[1][:, 3 * H :]
    kept = expit(1.0) * np.eye(H)  # the bias of the forget gate is one
    expected = np.block([[0.25 * g.T, 0.5 * kept], [0.5 * g.T, kept]])
    np.testing.assert_allclose(remembers.step_jacobian(params), expected, atol=1e-15)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GRU(0, 1, 1), "n_steps must be an integer of at least 1, got 0"),
        (lambda: RNN(3, 2, 4, "first"), "gives must be one of last, all"),
        (lambda: Bidirectional(GRU(3, 2, 4, reverse=True)), "layer must be a recurrent layer that runs forwards"),
        (lambda: Bidirectional(Dense(3, 2)), "layer must be a recurrent layer that runs forwards"),
        (lambda: Steps(Sequential([Tanh()]), 3), "net must have known widths"),
    ],
)
def test_wrong_descriptions_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("length", [0.0, -1.0, 6.0, 2.5])
@pytest.mark.parametrize("make", [lambda layer: layer, Bidirectional])
def test_lengths_that_are_none_are_refused(length, make, rng):
    layer = make(GRU(T, D, H, ragged=True))
    x = with_lengths(rng.normal(size=(2, T * D)), [2.0, length])
    with pytest.raises(ValueError, match=rf"lengths must be whole numbers from 1 to the 5 steps, got {length:g}\."):
        layer.forward(layer.init(rng), x)
