"""Optimisers against their formulas written out, schedules, clipping."""

import numpy as np
import pytest

from minivae.nn.optim import SGD, Adam, RMSprop, StepDecay, clip_by_norm

GRADIENTS = np.random.default_rng(0).normal(size=(6, 3))


def run(rule, dtype=np.float64, scale=1.0):
    params = np.array([1.0, -2.0, 0.5], dtype)
    state = rule.init(params)
    for g in GRADIENTS:
        rule.update(params, g.astype(dtype), state, scale)
    return params


def test_sgd_is_plain_descent():
    np.testing.assert_allclose(run(SGD(0.1)), [1, -2, 0.5] - 0.1 * GRADIENTS.sum(0), rtol=1e-14)


def test_momentum_sums_decayed_gradients():
    velocity, params = np.zeros(3), np.array([1.0, -2.0, 0.5])
    for g in GRADIENTS:
        velocity = 0.9 * velocity + g
        params = params - 0.1 * velocity
    np.testing.assert_allclose(run(SGD(0.1, momentum=0.9)), params, rtol=1e-13)


def test_adam_is_algorithm_one_of_its_paper():
    m, v, params = np.zeros(3), np.zeros(3), np.array([1.0, -2.0, 0.5])
    for t, g in enumerate(GRADIENTS, 1):
        m, v = 0.8 * m + 0.2 * g, 0.95 * v + 0.05 * g**2
        params = params - 0.1 * (m / (1 - 0.8**t)) / (np.sqrt(v / (1 - 0.95**t)) + 1e-3)
    np.testing.assert_allclose(run(Adam(0.1, 0.8, 0.95, 1e-3)), params, rtol=1e-13)


@pytest.mark.parametrize("centered", [False, True])
def test_rmsprop_divides_by_the_root_of_the_second_moment(centered):
    mean, square, params = np.zeros(3), np.zeros(3), np.array([1.0, -2.0, 0.5])
    for g in GRADIENTS:
        mean, square = 0.9 * mean + 0.1 * g, 0.9 * square + 0.1 * g**2
        params = params - 0.1 * g / (np.sqrt(square - centered * mean**2) + 1e-8)
    np.testing.assert_allclose(run(RMSprop(0.1, 0.9, centered=centered)), params, rtol=1e-13)


@pytest.mark.parametrize("rule", [SGD(0.1, 0.9), RMSprop(0.1), RMSprop(0.1, centered=True), Adam(0.1)])
def test_float32_follows_float64_and_scale_multiplies_the_learning_rate(rule):
    assert run(rule, np.float32).dtype == np.float32
    np.testing.assert_allclose(run(rule, np.float32), run(rule), rtol=1e-4)
    half = type(rule)(**{**vars(rule), "learning_rate": 0.05})
    np.testing.assert_allclose(run(rule, scale=0.5), run(half), rtol=1e-13)


@pytest.mark.parametrize("rule", [SGD(0.1), SGD(0.05, 0.9), RMSprop(0.05, 0.9), Adam(0.1)])
def test_every_rule_finds_the_bottom_of_a_bowl(rule):
    params = np.array([3.0, -1.0])
    state = rule.init(params)
    for step in range(600):
        rule.update(params, params - [1.0, 2.0], state, scale=0.99**step)
    np.testing.assert_allclose(params, [1.0, 2.0], atol=0.02)


def test_step_decay_and_its_limits():
    schedule = StepDecay((200, 350, 500), 10**-0.2)
    assert [round(schedule.scale(e), 6) for e in (0, 199, 200, 349, 350, 500)] == [
        1,
        1,
        0.630957,
        0.630957,
        0.398107,
        0.251189,
    ]
    assert StepDecay().scale(10**6) == 1.0
    for milestones in ((3, 2), (2, 2), (-1, 4)):
        with pytest.raises(ValueError, match="milestones must be increasing epochs from 0"):
            StepDecay(milestones)


def test_clipping_keeps_direction_and_small_gradients():
    g = np.array([3.0, 4.0], np.float32)
    clip_by_norm(g, 5.0, 10.0)
    np.testing.assert_array_equal(g, np.array([3.0, 4.0], np.float32))
    clip_by_norm(g, 5.0, 2.5)
    np.testing.assert_allclose(g, [1.5, 2.0])


@pytest.mark.parametrize("rule", [SGD, RMSprop, Adam])
@pytest.mark.parametrize("rate", [0, -1e-3, np.nan, np.inf, "fast"])
def test_learning_rate_must_be_positive(rule, rate):
    with pytest.raises(ValueError, match="learning_rate must be a finite number greater than 0, got"):
        rule(rate)


def test_decays_must_be_below_one():
    for make in (lambda: Adam(beta1=1.0), lambda: RMSprop(decay=1.5), lambda: SGD(momentum=1.0)):
        with pytest.raises(ValueError, match=r"must be a finite number at least 0 and below 1, got"):
            make()
