"""A failed row says which part of a gradient is wrong, and how; right gradients of every size pass in silence."""

import numpy as np
import pytest

from minivae.studies.gradient_rows import BATCH, DRAWS, Part, compare

A = np.random.default_rng(0).normal(size=(3, 4)) + 3


def squares(*arrays):
    return sum(np.sum(a**2) for a in arrays) / 2


def message(gradient, at=A):
    row = compare("row", squares, [Part("da", at, gradient)])
    assert row.ok is False
    return row.message


def test_a_right_gradient_is_said_nothing_of():
    row = compare("row", squares, [Part("da", A, A.copy()), Part("db", A[0], A[0].copy())])
    assert (row.ok, row.n_checked, row.n_kinks, row.message) == (True, 16, 0, "")
    assert row.relative_error < row.tolerance == 1e-7


@pytest.mark.parametrize(
    ("factor", "said"),
    [
        (2, "2 times the right one, in every entry"),
        (1.001, "1.001 times the right one, in every entry"),
        (-2 / 3, "-2/3 times the right one, in every entry"),
        (np.pi, "3.14159 times the right one, in every entry"),
        (-1, "-1 times the right one, in every entry (the sign)"),
        (BATCH, "3 times the right one, in every entry (counted once for each of the 3 examples?)"),
        (1 / BATCH, "1/3 times the right one, in every entry (a mean over the 3 examples where a sum belongs?)"),
        (DRAWS, "5 times the right one, in every entry (counted once for each of the 5 draws?)"),
        (1 / DRAWS, "1/5 times the right one, in every entry (a mean over the 5 draws where a sum belongs?)"),
    ],
)
def test_a_constant_factor_is_said_with_what_it_may_come_from(factor, said):
    assert message(factor * A) == f"da is {said}"


def test_the_worst_of_several_wrong_entries_is_named_by_its_place():
    g = A.copy()
    g[2, 1], g[0, 0] = 0.5, g[0, 0] + 0.01
    assert message(g) == f"da is wrong in 2 of 12 entries: entry [2, 1] is 0.5, and should be {A[2, 1]:.6g}"
    g = A.copy()
    g[1, 3] *= 2  # of one entry no factor is said: it may have any
    assert message(g) == f"da is wrong in 1 of 12 entries: entry [1, 3] is {g[1, 3]:.6g}, and should be {A[1, 3]:.6g}"
    g[0, 2] *= 2
    assert message(g) == "da is 2 times the right one in 2 of 12 entries"


def test_nan_and_zero_are_said():
    g = A.copy()
    g[0, :2] = np.nan, np.inf
    assert message(g) == "da holds 2 NaN or infinite values in 12 entries"
    assert message(0 * A) == "da is zero, and should not be"
    row = compare("row", lambda a: np.sum(a) * np.nan, [Part("da", A, A)])
    assert (row.ok, row.message) == (False, "the function itself is NaN or infinite")


def test_what_should_be_zero_is_said():
    row = compare("row", lambda a: a[0, 0], [Part("da", A, np.ones((3, 4)))])
    assert row.message == "da is wrong in 11 of 12 entries: entry [0, 1] is 1, and should be 0"


def named(flat):
    yield "weight", flat[:6].reshape(2, 3)
    yield "bias", flat[6:8]


def test_only_the_parts_that_are_wrong_are_named_those_without_a_name_by_the_whole():
    flat = A.ravel()[:10]
    for place, said in (
        (slice(0, 6), "the gradient of weight is 2 times the right one, in every entry"),
        (slice(6, 8), "the gradient of bias is 2 times the right one, in every entry"),
        (slice(8, 10), "params is 2 times the right one, in every entry"),
        (4, f"the gradient of weight is wrong in 1 of 6 entries: entry [1, 1] is {2 * flat[4]:.6g}, and should be "),
    ):
        g = flat.copy()
        g[place] *= 2
        row = compare("row", squares, [Part("da", A, A.copy()), Part("params", flat, g, named)])
        assert row.message.startswith(said)
        assert ";" not in row.message
    row = compare("row", squares, [Part("da", A, -A), Part("params", flat, 2 * flat, named)])
    assert row.message.count(";") == 3


def test_large_gradients_are_checked_along_directions_and_the_fault_is_still_found():
    at = np.random.default_rng(0).normal(size=(60, 50)) + 3
    row = compare("row", squares, [Part("da", at, at.copy())])
    assert (row.ok, row.n_checked) == (True, 20)
    assert message(1.001 * at, at) == "da is 1.001 times the right one, in every entry"
    g = at.copy()
    g[10] = 0  # entries 500 to 549, of which the 500th, 515th ... are looked at
    assert message(g, at) == "da is 0 times the right one in 3 of the 200 entries that were looked at"
    g[10] = at[10] + np.arange(50)
    place = f"entry [10, 40] is {g[10, 40]:.6g}, and should be {at[10, 40]:.6g}"
    assert message(g, at) == f"da is wrong in 3 of the 200 entries that were looked at: {place}"
    g = at.copy()
    g[10, 1] += 1
    assert message(g, at).endswith("but none of the entries that were looked at is wrong")


def test_a_function_of_kinks_and_one_of_nothing_are_no_passes():
    zeros = np.zeros(4)
    row = compare("row", lambda a: np.abs(a).sum(), [Part("da", zeros, np.ones(4))])
    assert (row.ok, row.n_kinks) == (False, 4)
    row = compare("row", squares, [Part("params", np.empty(0), np.empty(0))])
    assert (row.ok, row.message) == (None, "there is nothing to differentiate")
