"""Bits: frequencies, probabilities and scores, against enumeration of all states."""

import numpy as np
import pytest
from scipy import special

from minivae.distributions.bits import Bits, all_states
from minivae.nn.gradcheck import check_gradient
from tests.support import assert_within_standard_errors

N = 200_000
NONE = np.empty(0)


@pytest.fixture
def head(rng):
    return 2 * rng.normal(size=(4, 3))


def noise_of(z):
    """Return noise under which these codes are drawn, whatever the probabilities."""
    return np.where(z == 1, 1.0, 0.0)


def test_states_are_the_binary_numbers_in_order():
    for n in (1, 3, 5):
        states = all_states(n)
        assert states.shape == (2**n, n)
        np.testing.assert_array_equal(states @ 2.0 ** np.arange(n)[::-1], np.arange(2**n))
    with pytest.raises(ValueError, match="n must be at most 16 to enumerate"):
        all_states(17)


def test_states_are_drawn_as_often_as_their_probabilities(head, rng):
    # one by one: the frequency of each state is the product of its bits' probabilities
    q = Bits(3)
    z, _, _ = q.sample(NONE, head[:1], q.draw_noise(rng, (N, 1, 3), np.float64))
    theta = special.expit(head[0])
    assert_within_standard_errors(z[:, 0], theta)
    hits = (z == all_states(3)).all(axis=2)
    assert_within_standard_errors(hits, np.prod(np.where(all_states(3) == 1, theta, 1 - theta), axis=1))


def test_a_bit_is_one_where_the_noise_is_above_one_less_theta():
    # theta = sigmoid(log 3) = 3/4, so that z = 1 for u above 1/4
    z, log_q, _ = Bits(1).sample(NONE, np.log([[3.0]]), np.array([0.2, 0.3, 0.74, 0.76])[:, None, None])
    np.testing.assert_array_equal(z.ravel(), [0, 1, 1, 1])
    np.testing.assert_allclose(np.exp(log_q).ravel(), [0.25, 0.75, 0.75, 0.75], rtol=1e-14)


def test_log_prob_is_that_of_independent_bits_and_sums_to_one(head):
    q, states = Bits(3), all_states(3)[:, None]
    theta = special.expit(head)
    log_q = q.log_prob(NONE, head, np.repeat(states, 4, axis=1))
    np.testing.assert_allclose(log_q, np.log(np.where(states == 1, theta, 1 - theta)).sum(axis=2), rtol=1e-11)
    np.testing.assert_allclose(np.exp(log_q).sum(axis=0), 1.0, rtol=1e-13)


def test_states_and_draws_agree(head, rng):
    q = Bits(3)
    z, log_q, states_cache = q.states(NONE, head)
    assert z.shape == (8, 1, 3)
    drawn, drawn_log_q, cache = q.sample(NONE, head, noise_of(np.repeat(z, 4, axis=1)))
    np.testing.assert_array_equal(drawn, np.repeat(z, 4, axis=1))
    np.testing.assert_allclose(drawn_log_q, log_q, rtol=1e-12)
    np.testing.assert_allclose(drawn_log_q, q.log_prob(NONE, head, drawn), rtol=1e-12)
    dlog_q = rng.normal(size=(8, 4))
    scores = [q.score(NONE, each, dlog_q, NONE) for each in (states_cache, cache)]
    np.testing.assert_allclose(*scores, rtol=1e-11)


def test_the_score_is_the_derivative_of_log_prob_at_fixed_z(head, rng):
    q, dlog_q = Bits(3), rng.normal(size=(5, 4))
    z, _, cache = q.sample(NONE, head, rng.random((5, 4, 3)))

    def value(theta):
        return float(np.sum(dlog_q * q.log_prob(NONE, theta.reshape(head.shape), z)))

    assert check_gradient(value, q.score(NONE, cache, dlog_q, NONE).ravel(), head.ravel()).ok
    # no path leads through the draw: what comes back to z is not passed on
    dz = rng.normal(size=z.shape)
    np.testing.assert_array_equal(q.backward(NONE, cache, dz, dlog_q, NONE), q.score(NONE, cache, dlog_q, NONE))


def test_the_score_has_mean_zero(head):
    # sum over the states of q d log q / d head = d/d head of sum q = 0
    q = Bits(3)
    _, log_q, cache = q.states(NONE, head)
    np.testing.assert_allclose(q.score(NONE, cache, np.exp(log_q), NONE), 0.0, atol=1e-14)


def test_the_mean_is_that_of_the_states_and_the_code_the_most_probable_of_them(head):
    q = Bits(3)
    z, log_q, _ = q.states(NONE, head)
    np.testing.assert_allclose(q.mean(NONE, head), np.exp(log_q).T @ z[:, 0], rtol=1e-12)
    np.testing.assert_array_equal(q.code(NONE, head), z[log_q.argmax(axis=0), 0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_follows_the_head(dtype, rng):
    q, head = Bits(3), rng.normal(size=(4, 3)).astype(dtype)
    eps = q.draw_noise(rng, (2, 4, 3), dtype)
    for z, log_q, cache in (q.sample(NONE, head, eps), q.states(NONE, head)):
        score = q.score(NONE, cache, log_q, NONE)
        assert eps.dtype == z.dtype == log_q.dtype == score.dtype == dtype
    assert q.mean(NONE, head).dtype == q.code(NONE, head).dtype == dtype


def test_extreme_logits_are_certain_and_finite():
    q, head = Bits(2), np.array([[1000.0, -1000.0]])
    z, log_q, cache = q.sample(NONE, head, np.array([[[1e-9, 1 - 1e-9]]]))
    np.testing.assert_array_equal(z, [[[1.0, 0.0]]])
    assert log_q.item() == 0
    np.testing.assert_array_equal(q.score(NONE, cache, np.ones((1, 1)), NONE), [[0.0, 0.0]])
    _, log_q, _ = q.states(NONE, head)
    np.testing.assert_array_equal(log_q[:, 0], [-1000.0, -2000.0, 0.0, -1000.0])


def test_noise_is_uniform_and_normal_draws_are_refused(rng):
    q = Bits(2)
    eps = q.draw_noise(rng, (N, 1, 2), np.float64)
    assert 0 <= eps.min() < eps.max() < 1
    for power in (1, 2, 3):
        assert_within_standard_errors(eps[:, 0] ** power, 1 / (power + 1))
    q.check_noise(np.array([0.0, 1.0]))
    for bad in (-0.01, 1.01, np.nan):
        with pytest.raises(ValueError, match=r"eps must be uniform noise in \[0, 1\) for bits, got values from"):
            q.check_noise(np.array([0.5, bad]))
    with pytest.raises(ValueError, match="rng must be a numpy.random.Generator"):
        q.draw_noise(0, (1, 1, 2), np.float64)


def test_states_are_counted_up_to_sixteen_bits():
    assert [Bits(n).n_states for n in (1, 3, 16, 17)] == [2, 8, 2**16, None]
    with pytest.raises(ValueError, match="n must be at most 16"):
        Bits(17).states(NONE, np.zeros((1, 17)))


@pytest.mark.parametrize("n_latent", [0, -1, 2.0, True])
def test_n_latent_must_be_a_positive_integer(n_latent):
    with pytest.raises(ValueError, match="n_latent must be an integer of at least 1, got"):
        Bits(n_latent)
