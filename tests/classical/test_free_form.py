"""Calculus of variations on the ELBO: its derivative as a limit, three optima under three restrictions, their rates."""

import itertools

import numpy as np
import pytest

from minivae.classical.bayesian_linear import BayesianLinear
from minivae.classical.cavi import cavi_linear, mean_field_linear
from minivae.classical.free_form import (
    free_form_ascent,
    free_form_optimum,
    functional_derivative,
    functional_elbo,
    mean_field_ascent,
)
from minivae.classical.gaussian_form import decoder_joint, gaussian_ascent
from minivae.nn.gradcheck import check_gradient

Z = np.linspace(-7, 7, 281)
DZ = Z[1] - Z[0]
TWO_HILLS = np.logaddexp(-0.5 * (Z - 1.5) ** 2 / 0.4, -0.8 - 0.5 * (Z + 1) ** 2 / 0.6) - 3.0


def take(steps, n):
    return list(itertools.islice(steps, n))


def test_the_functional_derivative_is_the_derivative_at_each_point(rng):
    log_joint, q = rng.standard_normal((3, 4)), rng.uniform(0.1, 1, (3, 4))

    def value(v):
        return functional_elbo(v.reshape(3, 4), log_joint, 0.3) / 0.3

    found = check_gradient(value, functional_derivative(q, log_joint).ravel(), q.ravel())
    assert found.ok, found


def test_a_variation_that_keeps_the_integral_moves_the_elbo_to_first_order(rng):
    q, h = free_form_optimum(TWO_HILLS, DZ).q * np.exp(0.1 * np.sin(Z)), rng.standard_normal(len(Z)) * np.exp(-(Z**2))
    q /= q.sum() * DZ
    h = q * (h - (q * h).sum() * DZ)
    slope = (functional_elbo(q + 1e-5 * h, TWO_HILLS, DZ) - functional_elbo(q - 1e-5 * h, TWO_HILLS, DZ)) / 2e-5
    assert slope == pytest.approx((h * functional_derivative(q, TWO_HILLS)).sum() * DZ, rel=1e-7)


def test_at_the_optimum_the_derivative_is_constant_and_the_elbo_is_the_evidence(rng):
    best = free_form_optimum(TWO_HILLS, DZ)
    log_p = np.log((np.sqrt(2 * np.pi * 0.4) + np.exp(-0.8) * np.sqrt(2 * np.pi * 0.6)) * np.exp(-3))
    assert best.elbo == pytest.approx(log_p, abs=1e-12)
    assert best.q.sum() * DZ == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(functional_derivative(best.q, TWO_HILLS), log_p - 1, atol=1e-10)
    for _ in range(20):
        q = best.q * np.exp(0.2 * rng.standard_normal(len(Z)))
        q /= q.sum() * DZ
        kl = (q * np.log(q / best.q)).sum() * DZ
        assert best.elbo - functional_elbo(q, TWO_HILLS, DZ) == pytest.approx(kl, rel=1e-9)
    one = np.zeros(len(Z))
    one[50] = 1 / DZ  # all on one point: no entropy but that of the cell
    assert functional_elbo(one, TWO_HILLS, DZ) == pytest.approx(TWO_HILLS[50] + np.log(DZ), rel=1e-12)


@pytest.mark.parametrize("step", [0.3, 1.0, 1.5])
def test_ascent_on_the_simplex_contracts_log_ratios_by_one_minus_the_step(step):
    best = free_form_optimum(TWO_HILLS, DZ)
    steps = take(free_form_ascent(np.exp(-np.abs(Z)), TWO_HILLS, DZ, step), 60)

    def away(q):  # the free constant taken out
        ratio = np.log(q / best.q)
        return ratio - ratio[140]

    for a, b in itertools.pairwise(steps[:6]):
        np.testing.assert_allclose(away(b.q), (1 - step) * away(a.q), atol=1e-9)
    for a, b in itertools.pairwise(steps):
        assert b.q.sum() * DZ == pytest.approx(1, abs=1e-12)
        assert b.elbo == pytest.approx(functional_elbo(b.q, TWO_HILLS, DZ), abs=1e-12)
        assert b.elbo >= a.elbo - 1e-12 or step > 1
    assert steps[-1].elbo == pytest.approx(best.elbo, abs=1e-9)


def test_factors_without_a_form_are_those_of_cavi():
    """The free factors of a regression come out Gaussian, with CAVI's means, sweep by sweep, and its ELBO."""
    model = BayesianLinear(np.stack([np.ones(4), [0.5, 1.5, 2, 3]], axis=1), [1, 2, 2.2, 3.5], 4.0, 0.5)
    (mean, variance), q = model.moments, mean_field_linear(model)
    a, b = (np.linspace(m - 9 * s, m + 9 * s, 301) for m, s in zip(mean, np.sqrt(variance), strict=True))
    grid = np.stack(np.meshgrid(a, b, indexing="ij"), axis=-1).reshape(-1, 2)
    cells = [a[1] - a[0], b[1] - b[0]]
    # from factors of the right widths, one sweep of each has the same means
    away = mean + np.array([0.4, -0.1])
    start = [np.exp(-0.5 * (t - m) ** 2 / v) for t, m, v in zip((a, b), away, q.variance, strict=True)]
    steps = take(mean_field_ascent(start, model.log_joint(grid).reshape(301, 301), cells), 60)
    for ours, theirs in zip(steps[:6], take(cavi_linear(model, away), 6), strict=True):
        means = [f @ t * c for f, t, c in zip(ours.factors, (a, b), cells, strict=True)]
        np.testing.assert_allclose(means, theirs.mean, atol=1e-9)
        assert ours.elbo == pytest.approx(theirs.elbo, abs=1e-9)
    for factor, t, m, v in zip(steps[-1].factors, (a, b), mean, q.variance, strict=True):
        exact = np.exp(-0.5 * (t - m) ** 2 / v) / np.sqrt(2 * np.pi * v)
        np.testing.assert_allclose(factor, exact, atol=2e-6 * exact.max())
    assert steps[-1].elbo == pytest.approx(q.elbo, abs=1e-9)


def test_factors_of_three_axes_meet_their_own_condition(rng):
    log_joint = rng.standard_normal((4, 5, 6))
    cells = [0.5, 0.7, 0.9]
    steps = take(mean_field_ascent([np.ones(4), np.ones(5), np.ones(6)], log_joint, cells, step=0.9), 400)
    q = steps[-1].factors
    assert all(b.elbo >= a.elbo - 1e-12 for a, b in itertools.pairwise(steps))
    shares = [f * c for f, c in zip(q, cells, strict=True)]
    for j, others in enumerate(("abc,b,c->a", "abc,a,c->b", "abc,a,b->c")):
        expected = np.einsum(others, log_joint, *(s for i, s in enumerate(shares) if i != j))
        ratio = np.log(q[j]) - expected
        np.testing.assert_allclose(ratio, ratio[0], atol=1e-9)
    product = np.einsum("a,b,c->abc", *q)
    assert steps[-1].elbo == pytest.approx(functional_elbo(product, log_joint, np.prod(cells)), abs=1e-12)
    assert steps[-1].elbo < free_form_optimum(log_joint, float(np.prod(cells))).elbo


def test_a_gaussian_ends_where_its_slopes_are_zero():
    steps = take(gaussian_ascent(Z, TWO_HILLS, 1.0, 0.5, 0.5), 200)
    q = steps[-1]
    assert all(b.elbo >= a.elbo - 1e-12 for a, b in itertools.pairwise(steps))
    assert abs(q.dmean) < 1e-9
    assert abs(q.dlog_var) < 1e-9
    weight = np.exp(-0.5 * (Z - q.mean) ** 2 / q.variance) / np.sqrt(2 * np.pi * q.variance) * DZ
    slope, curve = np.gradient(TWO_HILLS, DZ, edge_order=2), None
    curve = np.gradient(slope, DZ, edge_order=2)
    assert weight @ slope == pytest.approx(0, abs=1e-3)  # Bonnet and Price, to the differences on the grid
    assert -weight @ curve == pytest.approx(1 / q.variance, rel=1e-2)
    assert q.elbo < free_form_optimum(TWO_HILLS, DZ).elbo - 0.01
    for m, v in ((q.mean + 0.05, q.variance), (q.mean - 0.05, q.variance), (q.mean, 1.1 * q.variance)):
        assert next(gaussian_ascent(Z, TWO_HILLS, m, v)).elbo < q.elbo


def test_the_slopes_of_a_gaussian_are_derivatives_of_its_elbo():
    def value(theta):
        return next(gaussian_ascent(Z, TWO_HILLS, float(theta[0]), float(np.exp(theta[1])))).elbo

    theta = np.array([0.4, -0.3])
    at = next(gaussian_ascent(Z, TWO_HILLS, 0.4, float(np.exp(-0.3))))
    assert check_gradient(value, np.array([at.dmean, at.dlog_var]), theta).ok


def test_a_quadratic_takes_one_step_and_less_with_less():
    log_joint = -0.5 * (Z - 0.7) ** 2 / 0.3
    one = take(gaussian_ascent(Z, log_joint, -0.5, 0.8), 2)[1]
    assert (one.mean, one.variance) == pytest.approx((0.7, 0.3), abs=1e-9)
    half = take(gaussian_ascent(Z, log_joint, -0.5, 0.8, 0.25), 2)[1]  # natural parameters in the mean
    precision = 0.75 / 0.8 + 0.25 / 0.3
    assert half.variance == pytest.approx(1 / precision, abs=1e-9)
    assert half.mean == pytest.approx((0.75 * -0.5 / 0.8 + 0.25 * 0.7 / 0.3) / precision, abs=1e-9)


def test_a_linear_decoder_has_a_gaussian_posterior_and_a_network_has_none():
    W, b, x, s2 = np.array([[0.8, -1.1]]), np.array([0.2, 0.1]), np.array([0.5, -0.7]), 0.3
    log_joint = decoder_joint(lambda z: z @ W + b, x, s2, Z)
    C = W.T @ W + s2 * np.eye(2)
    y = x - b
    log_p = -0.5 * (2 * np.log(2 * np.pi) + np.linalg.slogdet(C)[1] + y @ np.linalg.solve(C, y))
    assert free_form_optimum(log_joint, DZ).elbo == pytest.approx(log_p, abs=1e-10)
    q = take(gaussian_ascent(Z, log_joint, 0.0, 0.5), 2)[1]
    precision = 1 + (W @ W.T).item() / s2
    assert (q.mean, q.variance) == pytest.approx(((W @ y).item() / s2 / precision, 1 / precision), abs=1e-9)
    assert log_p - q.elbo == pytest.approx(0, abs=1e-9)
    bump = decoder_joint(lambda z: np.tanh(2 * z + 2) - np.tanh(2 * z - 2), [1.0], 0.02, Z)
    exact = free_form_optimum(bump, DZ)
    assert np.sum(np.diff(np.sign(np.diff(exact.q))) < 0) == 2  # two hills
    best = max((take(gaussian_ascent(Z, bump, m, 0.05, 0.2), 200)[-1] for m in (-1.0, 1.0)), key=lambda q: q.elbo)
    assert exact.elbo - best.elbo > 0.5  # it takes one hill: at least log 2 is lost


def test_what_is_refused():
    with pytest.raises(ValueError, match=r"q must have the shape of log_joint, \(281,\), got \(3,\)"):
        functional_elbo(np.ones(3), TWO_HILLS, DZ)
    with pytest.raises(ValueError, match="q must not be negative on the whole grid, got -1"):
        functional_elbo(-np.ones(281), TWO_HILLS, DZ)
    with pytest.raises(ValueError, match="q must be above 0 on the whole grid, got 0"):
        functional_derivative(np.zeros(281), TWO_HILLS)
    with pytest.raises(ValueError, match=r"z must cover q, got a grid from -7 to 7 .* Widen it"):
        next(gaussian_ascent(Z, TWO_HILLS, 6.9))
    with pytest.raises(ValueError, match="z must be an even, rising grid"):
        next(gaussian_ascent(Z**3, TWO_HILLS))
    with pytest.raises(ValueError, match="step must leave a positive variance, got 1 where log_joint curves upwards"):
        take(gaussian_ascent(Z, np.cos(3 * Z), 1.0, 0.05), 2)
    with pytest.raises(ValueError, match="factors and cells must have one entry for each of the 1 axes"):
        next(mean_field_ascent([Z, Z], TWO_HILLS, [DZ, DZ]))
    with pytest.raises(ValueError, match=r"decode must give finite means of shape \(281, 2\)"):
        decoder_joint(lambda z: z, [0.0, 1.0], 1.0, Z)
