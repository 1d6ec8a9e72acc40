"""Measured means and variances, their standard errors, and their distance from the exact values."""

import numpy as np
import pytest
from scipy import stats

from minivae.estimators.moments import Moments, summarize


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


def test_rounding_is_no_distance_where_there_is_no_variance():
    rows = 0.1 + 1e-17 * np.arange(10)[:, None]
    summary = summarize(rows, Moments(np.full(1, 0.1), np.zeros(1)))
    assert abs(summary.z_mean[0]) < 1
    assert abs(summary.z_variance[0]) < 1
    wrong = summarize(rows, Moments(np.full(1, 0.2), np.zeros(1)))
    assert abs(wrong.z_mean[0]) > 5
    assert abs(summarize(rows, Moments(np.full(1, 0.1), np.ones(1))).z_variance[0]) > 1.5  # of 10 equal values
    zero = summarize(np.zeros((3, 1)), Moments(np.zeros(1), np.zeros(1)))
    assert (zero.z_mean[0], zero.z_variance[0], zero.variance_error[0]) == (0, 0, 0)


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
