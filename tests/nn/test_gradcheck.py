"""The checker is checked: it passes right gradients, kinks included, and catches errors of 0.1 %."""

import numpy as np
import pytest

from minivae.nn.gradcheck import check_gradient


def cubic(theta):
    return np.sum(theta**3) / 3


@pytest.mark.parametrize("method", ["central", "complex"])
@pytest.mark.parametrize("n_directions", [None, 5])
def test_a_right_gradient_passes_and_small_errors_fail(method, n_directions, rng):
    theta = rng.normal(size=8)
    assert check_gradient(cubic, theta**2, theta, method=method, n_directions=n_directions).ok
    for wrong in (1.001 * theta**2, -(theta**2), 0 * theta):
        assert not check_gradient(cubic, wrong, theta, method=method, n_directions=n_directions).ok


def test_one_wrong_coordinate_is_found_and_named(rng):
    theta = rng.normal(size=8)
    g = theta**2
    g[5] *= 1.01
    report = check_gradient(cubic, g, theta)
    assert (report.ok, report.worst, report.n_checked) == (False, 5, 8)


def test_errors_have_the_size_that_theory_gives(rng):
    theta = rng.normal(size=20)
    assert check_gradient(cubic, theta**2, theta).relative_error < 1e-9  # eps^(2/3)
    assert check_gradient(cubic, theta**2, theta, method="complex").relative_error < 1e-15  # eps


def test_a_nan_is_a_failure(rng):
    theta = rng.normal(size=3)
    g = theta**2
    g[1] = np.nan
    assert not check_gradient(cubic, g, theta).ok


def test_a_projection_that_is_nearly_zero_is_no_false_alarm():
    # at the minimum every slope is zero, and a plain relative error would be 0 / 0
    assert check_gradient(lambda t: float(np.cosh(t).sum()), np.sinh, np.zeros(3)).ok


def test_kinks_inside_the_step_do_not_fail_and_kinks_at_the_point_are_counted():
    def relu_sum(theta):
        return float(np.maximum(theta, 0).sum())

    theta = np.array([1.0, -1.0, 2e-6, -3e-7, 0.0])
    report = check_gradient(relu_sum, (theta > 0).astype(float), theta)
    assert report.ok
    assert (report.n_checked, report.n_kinks) == (4, 1)
    wrong = (theta > 0) * 1.0
    wrong[2] = 0.0  # the wrong side of a nearby kink is still seen
    assert not check_gradient(relu_sum, wrong, theta).ok


def test_strong_curvature_is_not_taken_for_a_kink():
    # the second difference of a parabola is larger than the planted error at every step, but it falls with the step
    theta = np.array([1e-5, 1.0])
    right = np.array([1e5 * theta[0], 1.0])
    for factor, ok in ((1.0, True), (1.001, False)):
        report = check_gradient(lambda t: float(0.5e5 * t[0] ** 2 + t[1]), right * [factor, 1], theta)
        assert (report.ok, report.n_kinks) == (ok, 0)


@pytest.mark.parametrize("unit", [1e-3, 1.0, 1e3])
def test_what_is_a_kink_does_not_depend_on_the_unit(unit):
    at_kink = check_gradient(lambda t: unit * (abs(t[0]) + t[1:].sum()), np.full(4, unit), np.zeros(4))
    assert (at_kink.n_checked, at_kink.n_kinks, at_kink.ok) == (3, 1, True)
    steep = 1e4  # smooth, but its slope changes within a step by more than an error of one per cent
    wrong = check_gradient(lambda t: unit * np.sin(steep * t[0]), np.array([1.01 * unit * steep]), np.zeros(1))
    assert (wrong.n_kinks, wrong.ok) == (0, False)


@pytest.mark.parametrize(("n_smooth", "ok"), [(1, False), (2, True)])
def test_most_places_must_be_smooth(n_smooth, ok):
    report = check_gradient(lambda t: abs(t[0]) + t[1:].sum(), np.ones(1 + n_smooth), np.zeros(1 + n_smooth))
    assert (report.n_checked, report.n_kinks, report.ok) == (n_smooth, 1, ok)


def test_only_kinks_is_not_a_pass():
    report = check_gradient(lambda t: float(np.abs(t).sum()), np.ones(2), np.zeros(2))
    assert (report.n_checked, report.n_kinks, report.ok) == (0, 2, False)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match=r"theta must be a non-empty float64 vector, got dtype float32"):
        check_gradient(cubic, np.ones(2), np.ones(2, np.float32))
    with pytest.raises(ValueError, match=r"gradient must have the shape of theta, \(2,\), got \(3,\)"):
        check_gradient(cubic, np.ones(3), np.ones(2))
    with pytest.raises(ValueError, match="It drops the imaginary part"):
        check_gradient(lambda t: float(np.real(t).sum()), np.ones(2), np.ones(2), method="complex")
    with pytest.raises(ValueError, match="Did you mean 'complex'"):
        check_gradient(cubic, np.ones(2), np.ones(2), method="complx")


@pytest.mark.parametrize(("n_kinks", "ok"), [(1, True), (2, False), (3, False)])
def test_where_most_places_are_kinks_nothing_is_right(n_kinks, ok):
    theta = np.arange(1.0, 5.0)
    theta[:n_kinks] = 0.0
    found = check_gradient(lambda t: float(np.abs(t).sum()), np.ones(4), theta)  # of the one side
    assert (found.n_checked, found.n_kinks, found.ok) == (4 - n_kinks, n_kinks, ok)


def test_a_large_neighbour_does_not_hide_a_coordinate():
    wrong = np.array([1e3, 1 + 1e-5])
    found = check_gradient(lambda t: float(1e3 * t[0] + t[1]), wrong, np.array([0.0, 1.0]))
    assert (found.ok, found.worst) == (False, 1)
    assert abs(found.relative_error - 1e-5 / 2) < 1e-8


def test_random_directions_have_length_one():
    # of a function that does not change: no slope along a unit vector exceeds the length of the gradient
    found = check_gradient(lambda _: 0.0, np.ones(50), np.zeros(50), n_directions=30)
    assert 0 < found.relative_error <= np.sqrt(50) / (1 + np.sqrt(50))
