"""Categories: frequencies, probabilities, scores and the codes between them, against enumeration of all states."""

import itertools

import numpy as np
import pytest
from scipy import special

from minivae.distributions.bits import Bits
from minivae.distributions.categorical import Categorical, all_codes
from minivae.distributions.kl import closed_kl
from minivae.distributions.priors import UniformCategories
from minivae.models.recipes import RECIPES
from minivae.models.vae import VAE
from minivae.nn.gradcheck import check_gradient
from tests.support import assert_within_standard_errors

N = 100_000
NONE = np.empty(0)
Q = Categorical(6, 3)


@pytest.fixture
def head(rng):
    return 1.5 * rng.normal(size=(4, 6))


def probabilities(head):
    return special.softmax(head.reshape(len(head), 2, 3), axis=2)


def test_codes_are_all_pairs_of_one_hot_rows_in_order():
    codes = all_codes(2, 3).reshape(9, 2, 3)
    np.testing.assert_array_equal(codes.sum(axis=2), 1)
    pairs = [tuple(int(i) for i in row) for row in codes.argmax(axis=2)]
    assert pairs == list(itertools.product(range(3), repeat=2))


def test_states_are_drawn_as_often_as_their_probabilities(head, rng):
    z, _, _ = Q.sample(NONE, head[:1], Q.draw_noise(rng, (N, 1, 6), np.float64))
    hits = (z == all_codes(2, 3)).all(axis=2)
    theta = probabilities(head[:1])[0]
    assert_within_standard_errors(hits, np.outer(*theta).ravel())


def test_two_categories_are_a_bit_whose_logit_is_their_difference(head):
    q, bits = Categorical(2), Bits(1)
    phi = head[:, :2]
    for z in all_codes(1, 2):
        log_q = q.log_prob(NONE, phi, np.tile(z, (1, 4, 1)))
        one = bits.log_prob(NONE, phi[:, :1] - phi[:, 1:], np.tile(z[:1], (1, 4, 1)))
        np.testing.assert_allclose(log_q, one, rtol=1e-12)


def test_log_prob_is_that_of_independent_categories_and_sums_to_one(head):
    z, log_q, _ = Q.states(NONE, head)
    assert z.shape == (9, 1, 6)
    theta = probabilities(head)
    np.testing.assert_allclose(np.exp(log_q).T.reshape(4, 3, 3), theta[:, 0, :, None] * theta[:, 1, None], rtol=1e-12)
    np.testing.assert_allclose(Q.log_prob(NONE, head, np.repeat(z, 4, axis=1)), log_q, rtol=1e-12)
    np.testing.assert_allclose(np.exp(log_q).sum(axis=0), 1, rtol=1e-13)


def test_score_mean_and_code_are_those_of_the_states(head, rng):
    z, log_q, cache = Q.states(NONE, head)
    np.testing.assert_allclose(Q.mean(NONE, head), np.exp(log_q).T @ z[:, 0], rtol=1e-12)
    np.testing.assert_array_equal(Q.code(NONE, head), z[log_q.argmax(axis=0), 0])
    np.testing.assert_allclose(Q.score(NONE, cache, np.exp(log_q), NONE), 0, atol=1e-14)
    dlog_q = rng.normal(size=(9, 4))

    def value(theta):
        return float(np.sum(dlog_q * Q.states(NONE, theta.reshape(4, 6))[1]))

    found = Q.score(NONE, cache, dlog_q, NONE)
    assert check_gradient(value, found.ravel(), head.ravel()).ok
    drawn = np.repeat(z, 4, axis=1), cache[1]  # the same codes as draws of each example
    np.testing.assert_allclose(Q.score(NONE, drawn, dlog_q, NONE), found, rtol=1e-12)
    dz = rng.normal(size=(9, 4, 6))
    np.testing.assert_array_equal(Q.backward(NONE, cache, dz, dlog_q, NONE), found)


def test_the_kl_is_that_of_the_states_and_every_entry_counts_at_least_nothing(head):
    kl = closed_kl(Q, Q.prior())
    _, log_q, _ = Q.states(NONE, head)
    expected = np.sum(np.exp(log_q) * (log_q + 2 * np.log(3)), axis=0)
    np.testing.assert_allclose(kl.value(NONE, head), expected, rtol=1e-12)
    each = kl.per_latent(NONE, head)
    assert (each >= 0).all()
    np.testing.assert_allclose(each.reshape(4, 2, 3).sum(axis=2).sum(axis=1), expected, rtol=1e-12)
    np.testing.assert_allclose(kl.value(NONE, np.zeros((1, 6))), 0, atol=1e-15)


def test_the_prior_is_uniform_over_the_states(rng):
    p = UniformCategories(6, 3)
    np.testing.assert_allclose(p.log_prob(NONE, all_codes(2, 3)[:, None]), -2 * np.log(3), rtol=1e-14)
    z = p.sample(NONE, N, rng)
    hits = (z[:, None] == all_codes(2, 3)).all(axis=2)
    assert_within_standard_errors(hits, 1 / 9)


# ------------------------------------------------------------------------- codes between the states


@pytest.mark.parametrize("q", [Q, Bits(6)])
def test_relaxed_codes_have_their_derivatives(q, rng):
    y, d, along = rng.normal(size=(3, 5, 4, 6))

    def value(theta):
        return float(np.sum(d * q.relaxed(theta.reshape(5, 4, 6))))

    zeta = q.relaxed(y)
    assert check_gradient(value, q.relaxed_backward(zeta, d).ravel(), y.ravel()).ok
    h = 1e-6
    ahead, behind = (q.relaxed_backward(zeta + s * h * along, d) for s in (1, -1))
    np.testing.assert_allclose(q.relaxed_bend(zeta, along, d), (ahead - behind) / (2 * h), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("q", [Q, Bits(6)])
def test_what_lies_behind_a_draw_rounds_to_it_and_has_its_derivative(q, head, rng):
    eps, dy = q.draw_noise(rng, (5, 4, 6), np.float64), rng.normal(size=(5, 4, 6))
    z, y = q.sample(NONE, head, eps)[0], q.behind(head, eps)
    np.testing.assert_allclose(q.relaxed(y * 1e4), z, atol=1e-3)

    def value(theta):
        return float(np.sum(dy * q.behind(theta.reshape(4, 6), eps)))

    assert check_gradient(value, q.behind_backward(head, dy).sum(axis=0).ravel(), head.ravel()).ok


def test_what_is_left_free_of_a_bit(head, rng):
    # y~ from v: u~ = v theta + 1 - theta where z = 1, else v (1 - theta); at the v where y~ = y
    q, eps = Bits(6), rng.random((5, 4, 6))
    z, y, theta = q.sample(NONE, head, eps)[0], q.behind(head, eps), special.expit(head)
    v = np.where(z == 1, (eps - 1 + theta) / theta, eps / (1 - theta))

    def held(head):
        theta = special.expit(head)
        u = np.where(z == 1, v * theta + 1 - theta, v * (1 - theta))
        return head + special.logit(u)

    np.testing.assert_allclose(held(head), y, rtol=1e-9)
    slope = (held(head + 1e-6) - held(head - 1e-6)) / 2e-6
    np.testing.assert_allclose(q.left_free(head, y, z), 1 - slope, rtol=1e-6, atol=1e-8)


def test_what_is_left_free_of_categories(rng):
    # exp(-y_c) of the largest stands still; exp(-y_i) = exp(-y_c) + a_i / theta_i with a_i held
    q, log_theta = Categorical(3), np.log([[0.2, 0.5, 0.3]])
    eps = rng.random((50, 1, 3))
    z, y = q.sample(NONE, log_theta, eps)[0], q.behind(log_theta, eps)
    top = np.exp(-np.max(y, axis=2, keepdims=True))
    a = np.exp(log_theta) * (np.exp(-y) - top)

    def held(log_theta):
        return -np.log(top + a / np.exp(log_theta))

    np.testing.assert_allclose(held(log_theta), y, rtol=1e-9)
    slope = (held(log_theta + 1e-6) - held(log_theta - 1e-6)) / 2e-6
    np.testing.assert_allclose(q.left_free(log_theta, y, z), 1 - slope, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_follows_the_head_and_extremes_are_finite(dtype):
    edge = np.array([0.0, 1.0, 0.5, 1.0, 0.0, 1.0], dtype)[None, None]
    head = np.array([[1000, -1000, 0, 0, 0, 0]], dtype)
    for q in (Q, Bits(6)):
        z, log_q, cache = q.sample(NONE, head, edge)
        y = q.behind(head, edge)
        for array in (z, log_q, q.score(NONE, cache, log_q, NONE), y, q.relaxed(y), q.left_free(head, y, z)):
            assert array.dtype == dtype
            assert np.isfinite(array).all()


def test_words_of_the_command_line_make_groups():
    model = RECIPES["vae"].build(None, {"n_x": 4, "n_latent": 3}, {"posterior": "categorical", "categories": 5})
    assert model.posterior == Categorical(15, 5)
    assert VAE.mlp(4, 6, posterior="categorical").posterior == Categorical(6, 6)
    with pytest.raises(ValueError, match="categories must be given with posterior='categorical' only, got it with 'b"):
        RECIPES["vae"].build(None, {"n_x": 4, "n_latent": 3}, {"posterior": "bits", "categories": 5})


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="n_categories must be at least 2, got 1: a single category says nothing"):
        Categorical(4, 1)
    with pytest.raises(ValueError, match=r"n_latent must hold whole groups of 3 categories, got 7. Use n_latent=6"):
        Categorical(7, 3)
    with pytest.raises(ValueError, match="n_latent must hold whole groups of 3 categories, got 7"):
        UniformCategories(7, 3)
    with pytest.raises(ValueError, match="n_groups must be small enough to enumerate at most 65,536 states, got 11"):
        all_codes(11, 3)
    assert [Categorical(n * 4, 4).n_states for n in (1, 8, 9)] == [4, 4**8, None]
    with pytest.raises(ValueError, match="prior must have groups of 3 categories as the posterior does, got 2"):
        closed_kl(Q, UniformCategories(6, 2))
    with pytest.raises(ValueError, match=r"eps must be uniform noise in \[0, 1\) for categories, got values from"):
        Q.check_noise(np.array([1.5]))
