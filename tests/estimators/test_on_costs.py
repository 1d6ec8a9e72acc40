"""Estimators as formulas of the noise, what their baselines may know, and what they refuse."""

import numpy as np
import pytest
from scipy import stats

from minivae.distributions.nodes import normal_nodes
from minivae.estimators.costs import Cosine, Exponential, FunctionCost, Quadratic
from minivae.estimators.exact.costs import exact_moments
from minivae.estimators.moments import summarize
from minivae.estimators.on_costs import (
    COST_ESTIMATORS,
    ImportanceScore,
    LeaveOneOutScore,
    MeasureValued,
    MovingAverageScore,
    Pathwise,
    ScoreFunction,
    sample_gradients,
)
from minivae.nn.gradcheck import check_gradient
from tests.support import assert_within_standard_errors

MU, SIGMA = np.array([0.3, -1.0]), np.array([0.7, 1.2])


def coupled_cost():
    """Return a cost that is no sum over the coordinates: cos(z1 z2) + z1."""
    return FunctionCost(
        lambda z: np.cos(z[:, 0] * z[:, 1]) + z[:, 0],
        lambda z: np.stack([1 - z[:, 1] * np.sin(z[:, 0] * z[:, 1]), -z[:, 0] * np.sin(z[:, 0] * z[:, 1])], axis=1),
    )


def exact_gradient(cost):
    """Return d E f / dmu and / dsigma, shape (2, 2), by central differences of an integral; error about 1e-9."""
    eps, w = normal_nodes(2)

    def mean(mu, sigma):
        return w @ cost.value(mu + sigma * eps[:, 0])

    h, gradient = 1e-5, np.empty((2, 2))
    for i, step in enumerate(h * np.eye(2)):
        gradient[0, i] = (mean(MU + step, SIGMA) - mean(MU - step, SIGMA)) / (2 * h)
        gradient[1, i] = (mean(MU, SIGMA + step) - mean(MU, SIGMA - step)) / (2 * h)
    return gradient


@pytest.mark.parametrize("name", ["pathwise", "score", "score-constant", "score-mean", "score-optimal"])
def test_the_mean_over_all_noise_is_the_gradient_for_any_cost(name, rng):
    cost = coupled_cost()
    eps, w = normal_nodes(2)
    rows = COST_ESTIMATORS[name].prepare(cost, MU, SIGMA, rng).gradients(cost, MU, SIGMA, eps)
    np.testing.assert_allclose(np.tensordot(w, rows, 1), exact_gradient(cost), atol=1e-8)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", COST_ESTIMATORS)
def test_every_estimator_is_unbiased_for_a_cost_of_ones_own(name, seed):
    cost = coupled_cost()
    rows = sample_gradients(name, cost, MU, SIGMA, 20_000, np.random.default_rng(seed))
    summary = summarize(rows, n_group=COST_ESTIMATORS[name].n_group)
    assert np.abs((summary.mean - exact_gradient(cost)) / summary.mean_error).max() < 5


def test_a_pathwise_row_is_the_derivative_through_the_draw(rng):
    cost, noise = coupled_cost(), rng.normal(size=(1, 1, 2))

    def value(theta):
        return cost.value((theta[:2] + theta[2:] * noise[0, 0])[None]).item()

    row = Pathwise().gradients(cost, MU, SIGMA, noise)[0]
    assert check_gradient(value, row.ravel(), np.concatenate([MU, SIGMA])).ok


def test_a_score_row_is_f_times_the_derivative_of_the_log_density_at_a_fixed_z(rng):
    cost, noise = coupled_cost(), rng.normal(size=(1, 1, 2))
    z = MU + SIGMA * noise[0, 0]
    f = cost.value(z[None]).item()

    def value(theta):
        return f * stats.norm.logpdf(z, theta[:2], theta[2:]).sum()

    row = ScoreFunction().gradients(cost, MU, SIGMA, noise)[0]
    assert check_gradient(value, row.ravel(), np.concatenate([MU, SIGMA])).ok


def test_importance_weights_are_ratios_of_densities(rng):
    cost, noise = coupled_cost(), rng.normal(size=(5, 1, 2))
    z = MU + 1.5 * SIGMA * noise[:, 0]
    log_weight = stats.norm.logpdf(z, MU, SIGMA) - stats.norm.logpdf(z, MU, 1.5 * SIGMA)
    plain = ScoreFunction().gradients(cost, MU, SIGMA, 1.5 * noise)
    expected = np.exp(log_weight.sum(axis=1))[:, None, None] * plain
    np.testing.assert_allclose(ImportanceScore(1.5).gradients(cost, MU, SIGMA, noise), expected, rtol=1e-12)
    np.testing.assert_array_equal(
        ImportanceScore(1.0).gradients(cost, MU, SIGMA, noise), ScoreFunction().gradients(cost, MU, SIGMA, noise)
    )


@pytest.mark.parametrize("coupled", [True, False])
def test_measure_valued_noise_has_the_right_densities(coupled, rng):
    _, w, w2, m, n = np.moveaxis(MeasureValued(coupled).draw_noise(rng, 20_000, 1)[:, :, 0], 1, 0)
    normal = stats.norm.cdf
    for sample, cdf in (
        (w, stats.rayleigh.cdf),
        (w2, stats.rayleigh.cdf),
        (m, lambda x: normal(x) - x * stats.norm.pdf(x)),  # the integral of m^2 phi(m)
        (n, normal),
    ):
        assert stats.kstest(sample, cdf).pvalue > 1e-4
    assert np.array_equal(w, w2) == coupled
    assert (np.abs(n) <= np.abs(m)).all() == coupled


@pytest.mark.parametrize("coupled", [True, False])
def test_measure_valued_noise_has_the_right_moments(coupled, rng):
    # of every coordinate: Rayleigh E w^n = 2^(n/2) Gamma(1 + n/2), double-sided Maxwell E m^n = E eps^(n+2)
    eps, w, w2, m, n = np.moveaxis(MeasureValued(coupled).draw_noise(rng, 50_000, 2), 1, 0)
    for rayleigh in (w, w2):
        assert (rayleigh > 0).all()
        for power, exact in ((1, np.sqrt(np.pi / 2)), (2, 2.0), (3, 3 * np.sqrt(np.pi / 2)), (4, 8.0)):
            assert_within_standard_errors(rayleigh**power, exact)
    for power, exact in ((1, 0.0), (2, 3.0), (3, 0.0), (4, 15.0)):
        assert_within_standard_errors(m**power, exact)
    assert_within_standard_errors(np.abs(m), 2 * np.sqrt(2 / np.pi))
    for normal in (eps, n):
        for power, exact in ((1, 0.0), (2, 1.0), (3, 0.0), (4, 3.0)):
            assert_within_standard_errors(normal**power, exact)
    # z goes with none of them, coordinates do not go together, and w and m only with their own pair
    for a, b in ((eps, w), (eps, m), (eps, n), (w, m), (w, n)):
        assert_within_standard_errors((a - a.mean()) * (b - b.mean()), 0.0)
        assert_within_standard_errors((a**2 - (a**2).mean()) * (b**2 - (b**2).mean()), 0.0)
    for noise in (eps, w, w2, m, n):
        square = noise**2 - (noise**2).mean(axis=0)
        assert_within_standard_errors(square[:, 0] * square[:, 1], 0.0)
    if coupled:  # n = m u
        u = n / m
        assert stats.kstest(u[:, 0], "uniform").pvalue > 1e-4
        assert_within_standard_errors((u - 0.5) * (m**2 - 3), 0.0)
    else:
        assert_within_standard_errors((w**2 - 2) * (w2**2 - 2), 0.0)
        assert_within_standard_errors((m**2 - 3) * (n**2 - 1), 0.0)
        assert_within_standard_errors(m * n, 0.0)


def grid_of(coupled, parameter):
    """Return noise of all five kinds on a grid for the gradient of mu or sigma, shape (K, 5, 1), and its weights.

    After Gauss and Legendre, with the densities w exp(-w^2 / 2) of w and w', m^2 phi(m) of m, phi(n) of n, 1 of u.
    """
    x, dx = np.polynomial.legendre.leggauss(90)
    w, dw = 6 * (x + 1), 6 * dx  # [0, 12]
    m, dm = 12 * x, 12 * dx
    u, du = (x + 1) / 2, dx / 2
    rayleigh, maxwell, normal = dw * w * np.exp(-(w**2) / 2), dm * m**2 * stats.norm.pdf(m), dm * stats.norm.pdf(m)
    if parameter == "mu":
        first, other, p, q = (w, w[:1], rayleigh, np.ones(1)) if coupled else (w, w, rayleigh, rayleigh)
    else:
        first, other, p, q = (m, u, maxwell, du) if coupled else (m, m, maxwell, normal)
    a, b = (grid.ravel() for grid in np.meshgrid(first, other, indexing="ij"))
    noise, at = np.zeros((a.size, 5, 1)), 1 if parameter == "mu" else 3
    noise[:, at, 0] = a
    noise[:, at + 1, 0] = b if not coupled else a if parameter == "mu" else a * b
    return noise, np.outer(p, q).ravel()


@pytest.mark.parametrize(("k", "mu", "sigma"), [(3.0, 1.0, 1.0), (-0.4, 0.9, 1.7), (0.2, 0.2, 0.6)])
@pytest.mark.parametrize("coupled", [True, False])
def test_measure_valued_rows_on_a_grid_of_the_noise_have_the_moments_of_the_quadratic_cost(coupled, k, mu, sigma):
    # E (x - k)^2 = d^2 + sigma^2 with d = mu - k
    d2, s2, pi = (mu - k) ** 2, sigma**2, np.pi
    exact = {
        "mu": (2 * (mu - k), (16 / pi - 4) * d2 if coupled else (8 / pi - 2) * d2 + 4 * s2 / pi),
        "sigma": (2 * sigma, 4 * d2 + 4 * s2 if coupled else 16 * d2 + 8 * s2),
    }
    for i, (parameter, (mean, variance)) in enumerate(exact.items()):
        noise, w = grid_of(coupled, parameter)
        assert abs(w.sum() - 1) < 1e-10
        rows = MeasureValued(coupled).gradients(Quadratic(k), mu, sigma, noise)[:, i, 0]
        assert abs(w @ rows - mean) < 1e-10
        assert abs(w @ (rows - mean) ** 2 - variance) < 1e-9


@pytest.mark.parametrize("coupled", [True, False])
def test_measure_valued_rows_on_a_grid_have_the_mean_of_any_cost(coupled):
    # d/dmu E cos kx = -k sin(k mu) E_1, d/dsigma E cos kx = -k^2 sigma cos(k mu) E_1, E_1 = exp(-k^2 sigma^2 / 2)
    k, mu, sigma = 0.8, 1.0, 1.5
    for i, (parameter, slope) in enumerate((("mu", -k * np.sin(k * mu)), ("sigma", -(k**2) * sigma * np.cos(k * mu)))):
        noise, w = grid_of(coupled, parameter)
        rows = MeasureValued(coupled).gradients(Cosine(k), mu, sigma, noise)[:, i, 0]
        assert abs(w @ rows - slope * np.exp(-((k * sigma) ** 2) / 2)) < 1e-10


def test_a_measure_valued_row_replaces_one_coordinate_by_its_own_noise(rng):
    cost, noise = coupled_cost(), rng.normal(size=(3, 5, 2))
    rows = MeasureValued().gradients(cost, MU, SIGMA, noise)
    for k, (eps, w, w2, m, n) in enumerate(noise):

        def f(i, shift, eps=eps):
            z = MU + SIGMA * eps
            z[i] = MU[i] + SIGMA[i] * shift
            return cost.value(z[None]).item()

        for i in range(2):
            at_mu = (f(i, w[i]) - f(i, -w2[i])) / (SIGMA[i] * np.sqrt(2 * np.pi))
            at_sigma = (f(i, m[i]) - f(i, n[i])) / SIGMA[i]
            np.testing.assert_allclose(rows[k, :, i], [at_mu, at_sigma], rtol=1e-12)


def baselines_of(rule, cost, eps):
    """Return the c of each draw, read off the rows: g = (f - c) s."""
    rows = rule.gradients(cost, 0.5, 1.3, eps)[:, 0, 0]
    return cost.value(0.5 + 1.3 * eps[:, 0]) - rows * 1.3 / eps[:, 0, 0]


@pytest.mark.parametrize(
    ("rule", "depends"),
    [
        *((ScoreFunction(baseline), lambda i, j: False) for baseline in ("constant", "mean", "optimal")),  # noqa: ARG005
        (LeaveOneOutScore(3), lambda i, j: i != j and i // 3 == j // 3),
        (MovingAverageScore(0.5), lambda i, j: j < i),
    ],
    ids=["constant", "mean", "optimal", "leave-one-out", "moving average"],
)
def test_a_baseline_knows_no_draw_that_it_is_applied_to(rule, depends, rng):
    cost, eps = Quadratic(2.0), rng.normal(size=(6, 1, 1))
    before = baselines_of(rule, cost, eps)
    for j in range(6):
        moved = eps.copy()
        moved[j] *= 3
        changed = np.abs(baselines_of(rule, cost, moved) - before) > 1e-9
        assert changed.tolist() == [depends(i, j) for i in range(6)]


def test_the_constant_is_the_cost_at_the_mean(rng):
    cost, eps = coupled_cost(), rng.normal(size=(5, 1, 2))
    c = float(np.cos(MU[0] * MU[1]) + MU[0])
    rows = ScoreFunction("constant").gradients(cost, MU, SIGMA, eps)
    np.testing.assert_allclose(rows, ScoreFunction(c).gradients(cost, MU, SIGMA, eps), rtol=1e-12)


@pytest.mark.parametrize("cost", [Quadratic(2.0), Cosine(0.8)], ids=["quadratic", "cosine"])
@pytest.mark.parametrize("baseline", ["mean", "optimal"])
def test_where_there_is_no_closed_form_the_baseline_comes_from_draws_of_its_own(baseline, cost, rng):
    own, eps = FunctionCost(cost.value), np.random.default_rng(9).normal(size=(6, 1, 1))
    rule = ScoreFunction(baseline, n_pilot=200_000)
    with pytest.raises(ValueError, match=r"Estimate it from separate draws with estimator.prepare"):
        rule.gradients(own, 0.5, 1.3, eps)
    prepared = rule.prepare(own, 0.5, 1.3, rng)
    before = baselines_of(prepared, own, eps)
    np.testing.assert_allclose(baselines_of(prepared, own, 2 * eps), before, rtol=1e-9)  # no row's draw is in it
    # c* is a ratio of means: its error is that of the mean of (f - c*) s^2 / E s^2
    nodes, w = normal_nodes()
    e = nodes[:, 0]
    f = cost.value(0.5 + 1.3 * e)[:, None, None]
    square = np.stack([e, e**2 - 1], axis=1) ** 2 if baseline == "optimal" else np.ones((len(w), 2, 1))
    exact = rule.prepare(cost, 0.5, 1.3, rng).baseline
    spread = np.tensordot(w, ((f - exact) * square) ** 2, 1) ** 0.5 / np.tensordot(w, square, 1)
    assert (np.abs(prepared.baseline - exact) <= 5 * spread / np.sqrt(200_000)).all()
    assert np.abs(prepared.baseline - exact).max() > 0


def test_a_constant_added_to_the_cost_leaves_leave_one_out_alone(rng):
    cost, eps = Cosine(0.8), rng.normal(size=(8, 1, 1))
    shifted = FunctionCost(lambda z: cost.value(z) + 1000.0)
    a, b = (LeaveOneOutScore(4).gradients(c, 0.5, 1.3, eps) for c in (cost, shifted))
    score = np.stack([eps[:, 0], eps[:, 0] ** 2 - 1], axis=1) / 1.3
    # the rounding of f + 1000, and of the sums
    assert (np.abs(a - b) <= np.finfo(float).eps * (1000 + 8) * np.abs(score)).all()
    assert np.abs(a - ScoreFunction().gradients(cost, 0.5, 1.3, eps)).max() > 0.01


def test_the_same_generator_gives_the_same_rows():
    for name, rule in COST_ESTIMATORS.items():
        a, b = (sample_gradients(r, Exponential(0.5), MU, SIGMA, 8, np.random.default_rng(4)) for r in (name, rule))
        np.testing.assert_array_equal(a, b)
        assert a.shape == (8, 2, 2)


@pytest.mark.parametrize("sigma", [0.0, -1.0, np.nan, np.inf])
def test_sigma_must_be_positive(sigma, rng):
    with pytest.raises(ValueError, match=r"sigma must be a positive standard deviation, got .* Use exp"):
        sample_gradients("pathwise", Quadratic(), 0.0, sigma, 10, rng)


@pytest.mark.parametrize(
    ("mu", "sigma", "message"),
    [
        (np.zeros(2), np.ones(3), r"mu and sigma must have one shape \(D,\), got \(2,\) and \(3,\)"),
        (np.zeros((1, 1)), np.ones((1, 1)), r"mu and sigma must have one shape \(D,\)"),
        (np.nan, 1.0, "mu must be finite, got nan"),
    ],
)
def test_mu_and_sigma_must_agree(mu, sigma, message, rng):
    with pytest.raises(ValueError, match=message):
        sample_gradients("score", Quadratic(), mu, sigma, 10, rng)


def test_noise_must_be_of_the_estimator():
    with pytest.raises(ValueError, match=r"noise must have shape \(draws, 1, 1\), got \(3, 1\)"):
        Pathwise().gradients(Quadratic(), 0.0, 1.0, np.ones((3, 1)))
    with pytest.raises(ValueError, match=r"noise must have shape \(draws, 5, 1\), got \(3, 1, 1\)"):
        MeasureValued().gradients(Quadratic(), 0.0, 1.0, np.ones((3, 1, 1)))
    with pytest.raises(ValueError, match="noise must hold whole groups of 4 draws, got 6 draws"):
        LeaveOneOutScore(4).gradients(Quadratic(), 0.0, 1.0, np.ones((6, 1, 1)))
    with pytest.raises(ValueError, match="n_draws must be an integer of at least 1, got 0"):
        sample_gradients("score", Quadratic(), 0.0, 1.0, 0, np.random.default_rng(0))


def test_names_and_settings_are_checked(rng):
    with pytest.raises(ValueError, match="Did you mean 'pathwise'"):
        sample_gradients("pathwize", Quadratic(), 0.0, 1.0, 10, rng)
    with pytest.raises(ValueError, match="estimator must be an estimator or its name, got the class"):
        sample_gradients(Pathwise, Quadratic(), 0.0, 1.0, 10, rng)
    with pytest.raises(ValueError, match="Did you mean 'optimal'"):
        ScoreFunction("optimum")
    with pytest.raises(ValueError, match="n_group must be at least 2, got 1"):
        LeaveOneOutScore(1)
    with pytest.raises(ValueError, match="scale must be a finite number greater than 0.707"):
        ImportanceScore(0.7)
    with pytest.raises(ValueError, match="decay must be a finite number at least 0 and below 1"):
        MovingAverageScore(1.0)


def test_a_baseline_may_be_numbers_for_each_gradient(rng):
    c = np.array([[5.0], [7.0]])
    rows = sample_gradients(ScoreFunction(c), Quadratic(3.0), 1.0, 1.0, 50_000, rng)
    assert_within_standard_errors(rows[:, :, 0], [-4.0, 2.0])
    exact = exact_moments(ScoreFunction(c), Quadratic(3.0), 1.0, 1.0).variance[:, 0]
    np.testing.assert_allclose(exact, [42, 346 - 2 * (81 - 4)])  # Var(c) = Var* + (c - c*)^2 E s^2, c* = 7 and 9
    for bad, message in (
        (np.nan, "hold finite"),
        (None, "be finite numbers"),
        (np.zeros(3), "be a number or have shape"),
    ):
        with pytest.raises(ValueError, match=f"baseline must {message}"):
            sample_gradients(ScoreFunction(bad), Quadratic(3.0), 1.0, 1.0, 10, rng)
