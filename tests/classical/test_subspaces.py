"""Centring, covariances, and the distance between subspaces."""

import numpy as np
import pytest

from minivae.classical.subspaces import centre, covariance, eigenpairs, subspace_distance, with_signs


def test_a_large_mean_costs_no_precision(rng):
    # whole numbers on a mean of 2^40: every step is exact but the mean itself
    x = rng.integers(-50, 50, (999, 3)).astype(float)
    expected = np.cov(x.T, bias=True)
    shifted = covariance(x + 2.0**40)
    np.testing.assert_allclose(shifted, expected, rtol=1e-12, atol=1e-12 * np.abs(expected).max())
    # the formula with the difference of squares has lost every digit there
    y = x + 2.0**40
    assert np.abs(y.T @ y / len(y) - np.outer(y.mean(0), y.mean(0)) - expected).max() > 1e3


def test_centred_rows_sum_to_zero_and_the_mean_puts_them_back(rng):
    shift = np.array([0, 1, 1e4, -1e8])
    x = rng.normal(size=(200, 4)) + shift
    centred, mean = centre(x)
    assert (np.abs(centred.mean(0)) < 1e-15).all()
    assert (np.abs(centred + mean - x) <= 4 * np.spacing(np.abs(x).max(0))).all()


def test_eigenpairs_fall_to_zero_and_no_further(rng):
    rows = rng.normal(size=(3, 6))
    values, vectors = eigenpairs(rows.T @ rows)
    assert (np.diff(values) <= 0).all()
    assert (values >= 0).all()
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(6), atol=1e-14)
    np.testing.assert_allclose(vectors.T * values @ vectors, rows.T @ rows, atol=1e-13)


def test_float32_data_are_centred_in_float64(rng):
    x = (rng.normal(size=(500, 3)) + 1000).astype(np.float32)
    assert covariance(x).dtype == np.float64
    np.testing.assert_allclose(covariance(x), np.cov(x.T.astype(float), bias=True), rtol=1e-12, atol=1e-12)


def test_distance_is_the_sine_of_the_largest_angle(rng):
    rotation, _ = np.linalg.qr(rng.normal(size=(5, 5)))
    for angles in ((0.3, 0.7), (1e-9, 1e-12), (0.1, np.pi / 2)):
        c, s = np.cos(angles), np.sin(angles)
        a = np.eye(5)[:2]
        b = np.array([[c[0], 0, s[0], 0, 0], [0, c[1], 0, s[1], 0]])
        mixed = rng.normal(size=(2, 2)) @ b @ rotation  # any basis of the same span
        assert abs(subspace_distance(a @ rotation, mixed) - max(s)) < 1e-14
        assert abs(subspace_distance(mixed, a @ rotation) - max(s)) < 1e-14


def test_distance_is_the_norm_of_the_difference_of_projectors(rng):
    a, b = rng.normal(size=(2, 3, 7))
    p, q = (np.linalg.pinv(m) @ m for m in (a, b))
    assert abs(subspace_distance(a, b) - np.linalg.norm(p - q, 2)) < 1e-13


def test_spaces_of_different_rank_are_at_distance_one(rng):
    a = rng.normal(size=(2, 4))
    assert subspace_distance(a, a[:1]) == 1
    assert subspace_distance(np.vstack([a[0], 2 * a[0]]), a[:1]) < 1e-15  # a repeated direction adds no dimension
    assert subspace_distance(np.zeros((1, 4)), a[:1]) == 1
    assert subspace_distance(np.zeros((1, 4)), np.zeros((2, 4))) == 0


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="a and b must have rows of one length, got 2 and 3"):
        subspace_distance(np.ones((1, 2)), np.ones((1, 3)))
    with pytest.raises(ValueError, match="x must have at least 2 rows to vary at all, got 1"):
        covariance(np.ones((1, 3)))
    with pytest.raises(ValueError, match="x must have values whose squares are finite, got one of 1e\\+200"):
        covariance(np.array([[1e200], [0.0]]))
    with pytest.raises(ValueError, match="x must be finite"):
        covariance(np.array([[np.nan], [0.0]]))


def test_signs_make_the_largest_entry_positive_and_ties_go_to_the_first():
    v = np.array([[0.6, -0.8], [-0.5, 0.5 * (1 + 1e-15)], [0.5, -0.5 * (1 + 1e-15)]])
    signed = with_signs(v)
    np.testing.assert_array_equal(np.sign(signed), [[-1, 1], [1, -1], [1, -1]])
    np.testing.assert_array_equal(np.abs(signed), np.abs(v))
