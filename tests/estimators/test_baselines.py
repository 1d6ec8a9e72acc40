"""Baselines: they know no draw that they are applied to, and they do lower the variance."""

import numpy as np
import pytest

from minivae.core.kernels.estimators import earlier_average
from minivae.estimators.baselines import LearnedBaseline, MovingAverage, NormalisedBaseline
from minivae.estimators.signals import leave_one_out, leave_one_out_signal, optimal_baseline
from minivae.nn.gradcheck import check_gradient
from minivae.nn.optim import SGD, Adam
from minivae.nn.sequential import mlp


@pytest.mark.parametrize("shape", [(2,), (5, 3), (4, 3, 2)])
def test_leave_one_out_is_the_mean_of_the_others(shape, rng):
    f = rng.normal(size=shape)
    expected = [np.delete(f, k, axis=0).mean(axis=0) for k in range(len(f))]
    np.testing.assert_allclose(leave_one_out(f), expected, rtol=1e-13, atol=1e-14)


def test_leave_one_out_does_not_change_when_a_constant_is_added(rng):
    f = rng.integers(-8, 8, (4, 6)) / 8.0
    np.testing.assert_array_equal(leave_one_out_signal(f + 1024), leave_one_out_signal(f))  # no rounding: exactly
    for constant in (0.1, -1e3, 1e9):
        f = rng.normal(size=(7, 5))
        change = leave_one_out_signal(f + constant) - leave_one_out_signal(f)
        # each f + constant is rounded by half an eps, twice in a signal; the sums of 7 differences by an eps a term
        assert np.abs(change).max() <= np.finfo(float).eps * (abs(constant) + 2 * 7 * np.abs(f).max())
        np.testing.assert_allclose(leave_one_out_signal(f), f - leave_one_out(f), atol=1e-14)


@pytest.mark.parametrize("f", [np.ones(1), np.ones((1, 5)), np.float64(3.0), np.ones((0, 2))])
def test_leave_one_out_needs_two_draws(f):
    with pytest.raises(ValueError, match=r"f must hold at least 2 draws .* Use n_draws=2 or more"):
        leave_one_out(f)


def test_the_optimal_baseline_has_the_least_second_moment(rng):
    f, score = rng.normal(size=(50, 3)), rng.normal(size=(50, 3, 2))

    def second_moment(c):
        return np.mean((f[..., None] - c) ** 2 * score**2, axis=0)

    best = optimal_baseline(f, score)
    assert best.shape == (3, 2)
    for shift in (-0.01, 0.01):
        assert (second_moment(best) < second_moment(best + shift)).all()


def test_the_optimal_baseline_wants_a_score_for_each_f():
    with pytest.raises(ValueError, match=r"score must have the shape of f and one more axis, got \(3, 2\)"):
        optimal_baseline(np.ones(4), np.ones((3, 2)))


def test_a_moving_average_weights_earlier_steps_by_powers_of_the_decay(rng):
    f, x, rule = rng.normal(size=(12, 4, 3)), np.zeros((3, 2)), MovingAverage(0.7)
    state, found = rule.init(rng), []
    for step in f:
        found.append(rule.predict(state, x))
        rule.update(state, x, step)
    np.testing.assert_array_equal(found[0], np.zeros(3))
    np.testing.assert_allclose(np.array(found)[:, 0], earlier_average(f.mean(axis=(1, 2)), 0.7), rtol=1e-12)


def test_a_moving_average_of_a_constant_is_that_constant_from_the_second_step_on(rng):
    rule = MovingAverage(0.99)
    state = rule.init(rng, np.float32)
    rule.update(state, np.zeros((2, 1)), np.full(2, -80.0, np.float32))
    np.testing.assert_allclose(rule.predict(state, np.zeros((2, 1))), [-80.0, -80.0], rtol=1e-6)
    assert rule.predict(state, np.zeros((2, 1))).dtype == np.float32


def test_without_debiasing_a_moving_average_sets_out_from_zero(rng):
    rule, x = MovingAverage(0.9, debias=False), np.zeros((1, 1))
    state = rule.init(rng)
    for step in range(5):
        np.testing.assert_allclose(rule.predict(state, x), [-7 * (1 - 0.9**step)], rtol=1e-12)
        rule.update(state, x, np.array([-7.0]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_learned_baseline_explains_what_depends_on_x(dtype, rng):
    rule = LearnedBaseline(mlp([2, 16, 1], "tanh"), Adam(1e-2))
    average, average_state = rule.average, rule.average.init(rng)
    state = rule.init(rng, dtype)
    left = np.zeros((2, 0))
    for step in range(600):
        x = rng.normal(size=(32, 2)).astype(dtype)
        f = (3 * np.tanh(x[:, 0]) - 90 + 0.1 * rng.standard_normal((4, 32))).astype(dtype)
        if step >= 500:
            errors = [f - rule.predict(state, x), f - average.predict(average_state, x)]
            left = np.hstack([left, np.reshape(errors, (2, -1))])
        rule.update(state, x, f)
        average.update(average_state, x, f)
    learned, averaged = np.mean(left**2, axis=1)
    assert rule.predict(state, x).dtype == dtype
    # the average leaves Var f = 9 E tanh^2 + 0.01 = 3.56; the network leaves the noise, and little more
    assert averaged > 3
    assert learned < 0.1


def by_hand(params, x):
    """Return what a network 2-3-1 of tanh gives for x, shape (B,), its parameters W, b, W, b in one vector."""
    h = np.tanh(x @ params[:6].reshape(2, 3) + params[6:9])
    return h @ params[9:12] + params[12]


def test_the_gradient_of_a_learned_baseline_is_that_of_half_the_mean_squared_error(rng):
    rule, x, target = LearnedBaseline.mlp(2, [3]), rng.normal(size=(7, 2)), rng.normal(size=7)
    params = rule.network.init(rng) + 0.3 * rng.standard_normal(13)

    def loss(params):
        return np.mean((target - by_hand(params, x)) ** 2) / 2

    grads = np.full_like(params, np.nan)
    assert abs(rule.loss_and_grad(params, x, target, grads) - loss(params)) < 1e-14
    assert check_gradient(loss, grads, params).ok
    # at an exact fit there is nothing to learn
    assert rule.loss_and_grad(params, x, by_hand(params, x), grads) < 1e-28
    np.testing.assert_allclose(grads, 0, atol=1e-14)


@pytest.mark.parametrize("n_draws", [None, 4])
def test_a_learned_baseline_takes_a_gradient_step_on_what_the_average_leaves(n_draws, rng):
    # two steps: f comes as (B,) or (K, B), whose mean over the draws is what is learnt
    rule = LearnedBaseline(mlp([2, 3, 1], "tanh"), SGD(0.1), MovingAverage(0.6))
    state = rule.init(rng)
    params, total, weight = state["params"].copy(), 0.0, 0.0
    for _ in range(2):
        x = rng.normal(size=(7, 2))
        f = 5 + rng.normal(size=7 if n_draws is None else (n_draws, 7))
        mean_f = f if n_draws is None else f.mean(axis=0)
        total, weight = 0.6 * total + 0.4 * f.mean(), 0.6 * weight + 0.4
        target = mean_f - total / weight
        h = 1e-6
        slope = [
            (np.mean((target - by_hand(params + d, x)) ** 2) - np.mean((target - by_hand(params - d, x)) ** 2))
            / (4 * h)
            for d in h * np.eye(13)
        ]
        params = params - 0.1 * np.array(slope)
        rule.update(state, x, f)
        np.testing.assert_allclose(state["params"], params, atol=1e-9)
        np.testing.assert_allclose(rule.predict(state, x), total / weight + by_hand(params, x), atol=1e-8)


@pytest.mark.parametrize("rule", [MovingAverage(0.5), LearnedBaseline.mlp(2, [4])], ids=["average", "learned"])
def test_a_prediction_made_before_the_update_knows_nothing_of_this_f(rule, rng):
    x, f = rng.normal(size=(5, 2)), rng.normal(size=(3, 5))
    predictions = []
    for last in (f, f + 100):
        state = rule.init(np.random.default_rng(3))
        rule.update(state, x, f)
        predictions.append(rule.predict(state, x))
        rule.update(state, x, last)
    np.testing.assert_array_equal(*predictions)
    assert all(isinstance(array, np.ndarray) for array in state.values())  # what a checkpoint can hold


def test_the_state_is_the_callers_and_saved_states_go_on_alike(rng):
    rule, x, f = LearnedBaseline.mlp(2, [4]), rng.normal(size=(5, 2)), rng.normal(size=5)
    state = rule.init(rng)
    rule.update(state, x, f)
    copy = {name: array.copy() for name, array in state.items()}
    for one in (state, copy):
        rule.update(one, x, f)
    for name in state:
        np.testing.assert_array_equal(state[name], copy[name])


def test_settings_are_checked():
    with pytest.raises(ValueError, match="decay must be a finite number at least 0 and below 1, got 1"):
        MovingAverage(1.0)
    with pytest.raises(ValueError, match="network must give 1 value, got 2"):
        LearnedBaseline(mlp([3, 2]))


def test_the_spread_is_that_of_what_the_baseline_of_before_left(rng):
    # with a network that never moves c is the average alone, and everything is known
    rule = NormalisedBaseline(mlp([2, 3, 1], "tanh"), SGD(1e-12), MovingAverage(0.5))
    state, x = rule.init(rng), np.zeros((2, 2))
    state["params"][:] = 0
    assert rule.predict(state, x).spread == 1.0  # nothing is known yet
    squares, weights, c = [], [], 0.0
    for f in (np.array([3.0, 5.0]), np.array([1.0, -1.0]), np.array([[2.0, 8.0], [0.0, 4.0]])):
        squares.append(np.mean((f - c) ** 2))
        rule.update(state, x, f)
        weights = [w / 2 for w in weights] + [0.5]
        c = rule.predict(state, x).c[0]
    expected = np.dot(weights, squares) / np.sum(weights)
    np.testing.assert_allclose(rule.predict(state, x).spread ** 2, expected, rtol=1e-9)
    np.testing.assert_allclose(c, (4 * 0.125 + 0 * 0.25 + 3.5 * 0.5) / 0.875, rtol=1e-9)
