"""Maximum likelihood as least KL, on grids and samples; bias and variance of fits, exact beside measured."""

import math

import numpy as np
import pytest
from scipy import stats

from minivae.classical.maximum_likelihood import (
    cross_entropy,
    empirical_distribution,
    entropy,
    expected_fit_error,
    fit_errors,
    kl_divergence,
    kl_from_samples,
)
from minivae.distributions.kl import gaussian_kl
from tests.support import assert_within_standard_errors

S = np.array([[1.0, 0.6, 0.2], [0.6, 2.0, -0.3], [0.2, -0.3, 0.5]])


def test_the_mean_log_likelihood_is_minus_the_cross_entropy_of_the_empirical_distribution(rng):
    x = rng.binomial(6, 0.3, 50)
    p = empirical_distribution(x, 7)
    for theta in (0.1, 0.3, 0.7):
        q = stats.binom(6, theta).pmf(np.arange(7))
        mean = stats.binom(6, theta).logpmf(x).mean()
        assert mean == pytest.approx(-cross_entropy(p, q), rel=1e-12)
        assert mean == pytest.approx(-entropy(p) - kl_divergence(p, q), rel=1e-12)


def test_the_most_likely_parameter_has_the_least_kl(rng):
    x = rng.binomial(6, 0.3, 50)
    p, thetas = empirical_distribution(x, 7), np.linspace(0.05, 0.95, 181)
    kl = [kl_divergence(p, stats.binom(6, t).pmf(np.arange(7))) for t in thetas]
    likelihood = [stats.binom(6, t).logpmf(x).sum() for t in thetas]
    assert np.argmin(kl) == np.argmax(likelihood) == np.argmin(np.abs(thetas - x.mean() / 6))


def test_the_fit_goes_to_the_member_of_a_wrong_class_with_the_least_kl():
    """A Poisson class, data of a binomial: the best rate is the mean, and a large sample finds it."""
    p = stats.binom(10, 0.4).pmf(np.arange(11))
    rates = np.linspace(2, 6, 401)
    loss = []
    for rate in rates:  # the Poisson gives the rest of its mass to values that p does not take
        q = stats.poisson(rate).pmf(np.arange(11))
        loss.append(cross_entropy(p, q / q.sum()) - np.log(q.sum()) - entropy(p))
    assert rates[np.argmin(loss)] == pytest.approx(4.0, abs=0.011)
    assert min(loss) == pytest.approx((p * (np.log(p) - stats.poisson(4).logpmf(np.arange(11)))).sum(), abs=1e-6)
    assert min(loss) > 0.05


def test_on_a_grid_they_are_scipys_and_the_integrals(rng):
    p, q = rng.dirichlet(np.ones(8)), rng.dirichlet(np.ones(8))
    assert entropy(p) == pytest.approx(stats.entropy(p), rel=1e-12)
    assert kl_divergence(p, q) == pytest.approx(stats.entropy(p, q), rel=1e-12)
    assert cross_entropy(p, q) == pytest.approx(entropy(p) + kl_divergence(p, q), rel=1e-12)
    z = np.linspace(-12, 12, 4001)
    cell = z[1] - z[0]
    a, b = stats.norm(0.3, 1.2).pdf(z) * cell, stats.norm(-0.5, 0.9).pdf(z) * cell
    exact = gaussian_kl(np.array([0.3]), np.array([[1.2]]), np.array([-0.5]), np.array([[0.9]]))
    assert kl_divergence(a, b) == pytest.approx(float(exact), abs=1e-10)
    assert entropy(a) + math.log(cell) == pytest.approx(0.5 * (1 + math.log(2 * math.pi)) + math.log(1.2), abs=1e-10)
    assert entropy([0.0, 1.0]) == 0
    assert kl_divergence([[0.0, 1.0]], [[0.5, 0.5]]) == pytest.approx(math.log(2))


def test_on_samples_within_standard_errors(rng):
    p, q = stats.norm(0.3, 1.2), stats.norm(-0.5, 1.5)
    x = p.rvs(4000, random_state=rng)
    kl, error = kl_from_samples(p.logpdf(x), q.logpdf(x))
    exact = gaussian_kl(np.array([0.3]), np.array([[1.2]]), np.array([-0.5]), np.array([[1.5]]))
    assert abs(kl - float(exact)) < 5 * error
    assert error == pytest.approx((p.logpdf(x) - q.logpdf(x)).std(ddof=1) / math.sqrt(4000), rel=1e-12)


@pytest.mark.parametrize("n", [8, 15, 60])
@pytest.mark.parametrize("model_class", ["full", "diagonal"])
def test_measured_fits_have_the_exact_error_in_the_mean(model_class, n, rng):
    errors = fit_errors(S, n, model_class, 4000, rng)
    assert_within_standard_errors(errors, expected_fit_error(S, n, model_class).total)


def test_a_fit_by_hand():
    x = np.random.default_rng(0).standard_normal((1, 6, 3)) @ np.linalg.cholesky(S).T
    x = x[0]
    C = np.cov(x.T, bias=True)
    for model_class, fitted in (("full", C), ("diagonal", np.diag(np.diag(C)))):
        found = fit_errors(S, 6, model_class, 1, np.random.default_rng(0))
        inverse, mean = np.linalg.inv(fitted), x.mean(axis=0)
        kl = np.trace(inverse @ S) + mean @ inverse @ mean - 3 + np.linalg.slogdet(fitted)[1] - np.linalg.slogdet(S)[1]
        assert found.item() == pytest.approx(0.5 * kl, rel=1e-10)


def test_the_bias_is_the_kl_to_the_best_of_the_class():
    L, best = np.linalg.cholesky(S), np.diag(np.sqrt(np.diag(S)))
    exact = float(gaussian_kl(np.zeros(3), L, np.zeros(3), best))
    assert expected_fit_error(S, 10, "diagonal").bias == pytest.approx(exact, rel=1e-12)
    assert expected_fit_error(S, 10).bias == 0
    for scale in (0.97, 1.03):
        assert float(gaussian_kl(np.zeros(3), L, np.zeros(3), scale * best)) > exact
    assert fit_errors(S, 20_000, "diagonal", 4, np.random.default_rng(0)).mean() == pytest.approx(exact, abs=2e-3)


def test_the_variance_is_about_half_a_nat_a_parameter_over_n():
    n = 100_000
    assert 2 * n * expected_fit_error(S, n).variance == pytest.approx(3 + 6, rel=1e-3)
    assert 2 * n * expected_fit_error(S, n, "diagonal").variance == pytest.approx(6, rel=1e-3)


def test_few_rows_are_for_the_small_class_and_many_for_the_large_one():
    full, diagonal = (
        np.array([expected_fit_error(S, n, c).total for n in range(6, 200)]) for c in ("full", "diagonal")
    )
    assert diagonal[0] < full[0]
    assert full[-1] < diagonal[-1]
    better = full < diagonal
    assert (np.diff(better.astype(int)) >= 0).all()  # once better it stays so
    assert (np.diff(full) < 0).all()


def test_what_is_refused():
    with pytest.raises(ValueError, match="p must hold probabilities that sum to 1, got 0.5 as the least and 1.1"):
        entropy([0.5, 0.6])
    with pytest.raises(ValueError, match="q must be above 0 wherever p is, got 0 where p is 0.5"):
        kl_divergence([0.5, 0.5], [1.0, 0.0])
    with pytest.raises(ValueError, match=r"p and q must have one shape, got \(2,\) and \(3,\)"):
        cross_entropy([0.5, 0.5], [0.5, 0.25, 0.25])
    with pytest.raises(ValueError, match="x must hold integers from 0 to 2"):
        empirical_distribution([0, 3], 3)
    with pytest.raises(ValueError, match="n must be above 5, got 5: below, the expected KL is infinite"):
        expected_fit_error(S, 5)
    with pytest.raises(ValueError, match="S must be symmetric and positive definite, got one with 0 as"):
        expected_fit_error(np.zeros((2, 2)), 10)
    with pytest.raises(ValueError, match="n must be above 3, got 3: the fitted covariance would be singular"):
        fit_errors(S, 3, "full", 1, np.random.default_rng(0))
