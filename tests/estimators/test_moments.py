"""Measured means and variances, their standard errors, and their distance from the exact values."""

import itertools

import numpy as np
import pytest
from scipy import stats

from minivae.estimators.moments import Moments, RunningMoments, summarize


def test_mean_variance_and_their_errors(rng):
    rows = rng.exponential(size=(50, 2, 3))
    summary = summarize(rows)
    np.testing.assert_allclose(summary.mean, rows.mean(0), rtol=1e-13)
    np.testing.assert_allclose(summary.variance, rows.var(0, ddof=1), rtol=1e-13)
    np.testing.assert_allclose(summary.mean_error, stats.sem(rows), rtol=1e-12)
    np.testing.assert_allclose(summary.kurtosis, stats.kurtosis(rows, fisher=False), rtol=1e-12)
    np.testing.assert_allclose(summary.snr, rows.mean(0) / rows.std(0, ddof=1), rtol=1e-12)
    assert summary.n_draws == 50
    assert summary.z_mean is None
    assert summary.z_variance is None


@pytest.mark.parametrize("n_group", [1, 4])
def test_distances_have_a_standard_normal_spread(n_group, rng):
    # exponential values: kurtosis 9 of one, 3 + 6 / 4 of a mean of four; 4,000 repetitions of 400 values
    rows = rng.exponential(size=(400 * n_group, 4000))
    summary = summarize(rows, Moments(np.ones(4000), np.ones(4000)), n_group=n_group, kurtosis=3 + 6 / n_group)
    for z in (summary.z_mean, summary.variance - 1):
        scale = 1.0 if z is summary.z_mean else np.sqrt((2 + 6 / n_group) / 400 + 2 / (400 * 399))
        kurtosis = stats.kurtosis(z, fisher=False)
        assert abs(np.mean(z)) <= 5 * scale / np.sqrt(4000)
        assert abs(np.var(z) / scale**2 - 1) <= 5 * np.sqrt((kurtosis - 1) / 4000)


def test_rows_of_a_group_may_depend_on_each_other(rng):
    # two equal rows a group are as good as one: their variance for each draw is twice as large
    rows = np.repeat(rng.normal(size=2000), 2)
    assert abs(summarize(rows, n_group=2).variance / (2 * rows[::2].var(ddof=1)) - 1) < 1e-12


# A number that takes three values, and every sequence of n of them with its probability: an expectation is a sum.
VALUES, CHANCES = np.array([-1.0, 0.5, 4.0]), np.array([0.5, 0.3, 0.2])


def moment(power):
    return CHANCES @ (VALUES - CHANCES @ VALUES) ** power


@pytest.mark.parametrize(("n", "n_group"), [(2, 1), (5, 1), (4, 2), (6, 3), (6, 2)])
def test_over_all_sequences_the_squared_distances_have_mean_one(n, n_group):
    chosen = np.array(list(itertools.product(range(3), repeat=n))).T  # (n, 3^n): each sequence is a component
    p = CHANCES[chosen].prod(axis=0)
    exact = Moments(np.full(3**n, CHANCES @ VALUES), np.full(3**n, moment(2)))
    kurtosis = 3 + (moment(4) / moment(2) ** 2 - 3) / n_group  # of a mean of n_group values
    found = summarize(VALUES[chosen], exact, n_group=n_group, kurtosis=kurtosis)
    for value, unbiased in ((found.mean, CHANCES @ VALUES), (found.variance, moment(2))):
        assert p @ value == pytest.approx(unbiased, rel=1e-12)
    for z in (found.z_mean, found.z_variance):
        assert abs(p @ z) < 1e-10
        assert p @ z**2 == pytest.approx(1, rel=1e-10)


@pytest.mark.parametrize("n_group", [1, 5])
@pytest.mark.parametrize("given", [None, 4.5])
def test_errors_and_distances_are_the_formulas(n_group, given, rng):
    rows, m = rng.gamma(2.0, size=(60, 3)), 60 // n_group
    exact = Moments(np.array([1.9, 2.0, 2.1]), np.array([1.0, 2.0, 3.0]))
    found = summarize(rows, exact, n_group=n_group, kurtosis=given)
    groups = np.array([rows[i : i + n_group].mean(axis=0) for i in range(0, 60, n_group)])
    variance = n_group * np.var(groups, axis=0, ddof=1)
    k = stats.kurtosis(groups, fisher=False) if given is None else given
    relative = np.sqrt((k - 1) / m + 2 / (m * (m - 1)))
    np.testing.assert_allclose(found.kurtosis, k, rtol=1e-12)
    np.testing.assert_allclose(found.mean_error, np.sqrt(variance / 60), rtol=1e-12)
    np.testing.assert_allclose(found.variance_error, variance * relative, rtol=1e-12)
    np.testing.assert_allclose(found.z_mean, (groups.mean(axis=0) - exact.mean) / np.sqrt(exact.variance / 60))
    np.testing.assert_allclose(found.z_variance, (variance - exact.variance) / (exact.variance * relative), rtol=1e-9)


@pytest.mark.parametrize("n_group", [1, 4])
@pytest.mark.parametrize("unit", [1e-14, 1e14])
def test_a_distance_has_no_unit(unit, n_group, rng):
    rows, mean, variance = rng.normal(size=(200, 5)), rng.normal(size=5), rng.uniform(0.5, 2, 5)
    rows[:, 3:], variance[3:] = 0.3, 0.0  # and two components without noise, one of them off its mean
    mean[3] = 0.3
    one, other = (summarize(u * rows, Moments(u * mean, u**2 * variance), n_group=n_group) for u in (1.0, unit))
    np.testing.assert_allclose(other.z_mean, one.z_mean, rtol=1e-9, atol=1e-3)  # a thousandth of rounding is nothing
    np.testing.assert_allclose(other.z_variance, one.z_variance, rtol=1e-9, atol=1e-3)
    np.testing.assert_allclose(other.kurtosis, one.kurtosis, rtol=1e-9)
    np.testing.assert_allclose(other.variance_error, unit**2 * one.variance_error, rtol=1e-9)
    assert abs(one.z_mean[3]) < 1
    assert abs(one.z_mean[4]) > 5


@pytest.mark.parametrize("n_group", [1, 2])
@pytest.mark.parametrize("noise", [1.0, 1e-3, 1e-5])
def test_noise_where_there_should_be_none_is_far_off(noise, n_group, rng):
    rows = 3.0 + noise * rng.standard_normal((20, 2))
    found = summarize(rows, Moments(np.full(2, 3.0), np.zeros(2)), n_group=n_group)
    assert (np.abs(found.z_variance) > 5).all()


@pytest.mark.parametrize("n", [2, 3, 7, 10, 1000])
@pytest.mark.parametrize("value", [0.1, 0.3, 1 / 3, 0.7, -1e-9 / 3, 1e9 / 7])
def test_equal_rows_have_no_variance_and_no_kurtosis(value, n):
    # to the last digit, though the sum of n equal numbers is rounded
    rows = np.full((n, 2), value)
    found = summarize(rows, Moments(np.full(2, value), np.array([0.0, value**2])))
    np.testing.assert_array_equal(found.mean, value)
    np.testing.assert_array_equal([found.variance, found.mean_error, found.variance_error], 0)
    assert np.isnan(found.kurtosis).all()
    assert np.isinf(found.snr).all()
    np.testing.assert_array_equal(found.z_mean, 0)
    # what should have a variance is as far off as its error for a Gaussian, whose kurtosis is 3
    np.testing.assert_allclose(found.z_variance, [0, -1 / np.sqrt(2 / n + 2 / (n * (n - 1)))], rtol=1e-12)
    running = RunningMoments()
    for block in (rows[:1], rows[1:]):
        running.add(block)
    np.testing.assert_array_equal(running.mean, value)
    np.testing.assert_array_equal(running.variance, 0)


def test_rounding_is_no_distance_where_there_is_no_variance():
    rows = 0.1 + 1e-17 * np.arange(10)[:, None]  # neighbours of 0.1: no two or three numbers are apart by more
    assert 1 < len(np.unique(rows)) < 10
    summary = summarize(rows, Moments(np.full(1, 0.1), np.zeros(1)))
    assert 0 < summary.variance < 1e-32
    assert abs(summary.z_mean[0]) < 1
    assert abs(summary.z_variance[0]) < 1
    wrong = summarize(rows, Moments(np.full(1, 0.2), np.zeros(1)))
    assert abs(wrong.z_mean[0]) > 5
    # ten values that differ by rounding alone miss a variance of one by at least what a kurtosis of 3 would allow
    spread = summarize(rows, Moments(np.full(1, 0.1), np.ones(1)))
    assert spread.z_variance[0] == pytest.approx(-1 / np.sqrt((spread.kurtosis[0] - 1) / 10 + 2 / 90))
    zero = summarize(np.zeros((3, 1)), Moments(np.zeros(1), np.zeros(1)))
    assert (zero.z_mean[0], zero.z_variance[0], zero.variance_error[0]) == (0, 0, 0)
    # zeros are infinitely far from any other number that has no noise
    none = summarize(np.zeros((3, 2)), Moments(np.array([1e-300, -1e-300]), np.zeros(2)))
    np.testing.assert_array_equal(none.z_mean, [-np.inf, np.inf])


@pytest.mark.parametrize(("shape", "n_group"), [((0, 2), 1), ((1, 2), 1), ((4, 2), 4), ((), 1)])
def test_a_variance_needs_two_draws(shape, n_group):
    with pytest.raises(ValueError, match=r"rows must hold at least 2 .*draws for a variance"):
        summarize(np.ones(shape), n_group=n_group)


def test_groups_must_be_whole():
    with pytest.raises(ValueError, match="at least 2 whole groups of draws for a variance, got 7 draws in groups of 3"):
        summarize(np.ones(7), n_group=3)


def test_a_row_that_is_not_finite_is_named():
    with pytest.raises(ValueError, match="rows must be finite, got nan at draw 2"):
        summarize(np.array([1.0, 2.0, np.nan]))
