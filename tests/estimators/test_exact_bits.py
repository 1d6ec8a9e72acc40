"""Expectations over a few bits: every number has an exact value."""

import itertools

import numpy as np
import pytest

from minivae.estimators.exact.bits import BernoulliExpectation, all_states
from minivae.estimators.signals import optimal_baseline

THETA, T = 0.3, 0.45
BIT = BernoulliExpectation(np.array([np.log(THETA / (1 - THETA))]), (all_states(1)[:, 0] - T) ** 2)


def three_bits(shift=0.0):
    b = all_states(3)
    Q = np.array([[0, 1, -0.5], [0, 0, 0.8], [0, 0, 0]])
    f = b @ [1, -2, 0.5] + np.einsum("si,ij,sj->s", b, Q, b) + 0.3
    return BernoulliExpectation(np.array([0.4, -0.7, 0.1]), f + shift)


def test_one_bit_to_ten_digits():
    np.testing.assert_allclose(BIT.gradient, 0.021, atol=1e-14)
    np.testing.assert_allclose(BIT.score().variance, 0.0155938125, atol=1e-14)
    np.testing.assert_allclose(BIT.score(BIT.mean).variance, 0.000336, atol=1e-14)
    np.testing.assert_allclose(BIT.optimal_baseline, 0.2725, atol=1e-14)
    for n_draws, expected in {2: 0.000609, 3: 0.000259, 4: 0.0001575, 8: 5.775e-5}.items():
        np.testing.assert_allclose(BIT.leave_one_out(n_draws).variance, expected, atol=1e-14)


def test_three_bits_to_ten_digits():
    table = three_bits()
    assert abs(table.mean - 0.6784110148) < 1e-10
    np.testing.assert_allclose(table.gradient, [0.2569162535, -0.2175732700, 0.1162356567], atol=1e-10)
    np.testing.assert_allclose(table.score().variance, [0.1704977977, 0.1850203406, 0.2622912346], atol=1e-10)
    pair = [0.1749744616, 0.1864275676, 0.1650084070]
    np.testing.assert_allclose(table.leave_one_out(2).variance, pair, atol=1e-10)
    np.testing.assert_allclose(three_bits(-4.0).leave_one_out(2).variance, pair, atol=1e-10)  # a constant is nothing


def test_the_elbo_of_three_bits_to_ten_digits():
    # prior Bern(1/2)^3 and log p(x|b) = f; the density's own gradient has mean zero, so that f may hold log q
    table = three_bits()
    q = np.exp(all_states(3) @ table.phi - np.logaddexp(0, table.phi).sum())
    elbo = BernoulliExpectation(table.phi, table.f - 3 * np.log(2) - np.log(q))
    assert abs(np.log(np.mean(np.exp(table.f))) - 0.7006825602) < 1e-10
    assert abs(elbo.mean - 0.5998630112) < 1e-10
    np.testing.assert_allclose(elbo.gradient, [0.1608119552, -0.0623742587, 0.0912980527], atol=1e-10)


@pytest.mark.parametrize("seed", range(5))
def test_a_single_bit_with_the_optimal_baseline_has_no_variance(seed):
    rng = np.random.default_rng(seed)
    f, phi = rng.normal(size=2), rng.normal(size=1)
    bit, theta = BernoulliExpectation(phi, f), 1 / (1 + np.exp(-phi))
    np.testing.assert_allclose(bit.optimal_baseline, (1 - theta) * f[1] + theta * f[0], rtol=1e-12)
    assert bit.score(bit.optimal_baseline).variance < 1e-30
    assert bit.score(bit.mean).variance > 1e-6


@pytest.mark.parametrize("seed", range(3))
def test_the_gradient_is_that_of_the_mean_and_every_estimator_has_it(seed):
    rng = np.random.default_rng(seed)
    phi, f = rng.normal(size=4), rng.normal(size=16)
    table, theta = BernoulliExpectation(phi, f), 1 / (1 + np.exp(-phi))
    for j in range(4):
        given = [BernoulliExpectation(np.where(np.arange(4) == j, sign * 800.0, phi), f).mean for sign in (1, -1)]
        np.testing.assert_allclose(table.gradient[j], theta[j] * (1 - theta[j]) * (given[0] - given[1]), rtol=1e-11)
    for estimate in (table.score(), table.score(3.7), table.score(table.optimal_baseline), table.leave_one_out(3)):
        np.testing.assert_allclose(estimate.mean, table.gradient, rtol=1e-11, atol=1e-14)


def test_the_optimal_baseline_is_the_bottom_of_the_parabola(rng):
    table = BernoulliExpectation(rng.normal(size=3), rng.normal(size=8))
    c, theta = rng.normal(size=3), 1 / (1 + np.exp(-table.phi))
    expected = table.score(table.optimal_baseline).variance + (c - table.optimal_baseline) ** 2 * theta * (1 - theta)
    np.testing.assert_allclose(table.score(c).variance, expected, rtol=1e-12)
    fair = BernoulliExpectation(np.zeros(3), table.f)  # every state alike: the estimate from all states is exact
    np.testing.assert_allclose(optimal_baseline(table.f, all_states(3) - 0.5), fair.optimal_baseline, rtol=1e-12)


@pytest.mark.parametrize("n_draws", [2, 3])
def test_leave_one_out_by_enumerating_all_tuples_of_draws(n_draws, rng):
    phi, f = rng.normal(size=2), rng.normal(size=4)
    table, b = BernoulliExpectation(phi, f), all_states(2)
    q, s = np.exp(b @ phi - np.logaddexp(0, phi).sum()), b - 1 / (1 + np.exp(-phi))
    mean, square = np.zeros(2), np.zeros(2)
    for draws in itertools.product(range(4), repeat=n_draws):
        others = [np.mean([f[j] for m, j in enumerate(draws) if m != k]) for k in range(n_draws)]
        g = np.mean([(f[i] - c) * s[i] for i, c in zip(draws, others, strict=True)], axis=0)
        mean += np.prod(q[list(draws)]) * g
        square += np.prod(q[list(draws)]) * g**2
    found = table.leave_one_out(n_draws)
    np.testing.assert_allclose(found.mean, mean, rtol=1e-12)
    np.testing.assert_allclose(found.variance, square - mean**2, rtol=1e-12)


def test_lists_are_taken_as_arrays():
    listed = BernoulliExpectation([0, 0], [1, 2, 3, 4])
    assert listed.mean == 2.5
    np.testing.assert_allclose(listed.gradient, [0.5, 0.25], atol=1e-15)  # theta (1 - theta) (f(1) - f(0))


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="n must be at most 16 to enumerate"):
        all_states(17)
    with pytest.raises(ValueError, match=r"f must have shape \(2\^n,\) for phi of shape \(n,\), got \(3,\) and \(2,\)"):
        BernoulliExpectation(np.zeros(2), np.zeros(3))
    with pytest.raises(ValueError, match="f must hold finite real numbers, got nan"):
        BernoulliExpectation(np.zeros(1), np.array([1.0, np.nan]))
    with pytest.raises(ValueError, match=r"phi must hold finite real numbers, got \['a'\]"):
        BernoulliExpectation(["a"], np.zeros(2))
    with pytest.raises(ValueError, match="f must be an array, got rows of different lengths"):
        BernoulliExpectation(np.zeros(1), [[1.0, 2.0], [3.0]])
    with pytest.raises(ValueError, match="n_draws must be at least 2, got 1"):
        BIT.leave_one_out(1)
