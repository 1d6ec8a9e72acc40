"""Exactly solvable models and mean-field coordinate ascent on them: worked instances, integrals, rates, gaps."""

import itertools
import math

import numpy as np
import pytest
from scipy import integrate, stats
from scipy.special import digamma

from minivae.classical.bayesian_linear import BayesianLinear
from minivae.classical.cavi import (
    cavi_linear,
    cavi_linear_rate,
    cavi_normal,
    cavi_normal_rate,
    mean_field_linear,
    mean_field_normal,
)
from minivae.classical.normal_gamma import NormalGamma, UnknownNormal
from minivae.distributions import gaussian_kl
from minivae.nn.gradcheck import check_gradient

# worked out apart from this package
NORMAL = UnknownNormal([1.2, -0.4, 0.7, 2.1, 0.3], NormalGamma(0.0, 1.0, 2.0, 1.0))
FEATURES = np.stack([np.ones(4), [0.5, 1.5, 2, 3]], axis=1)
LINEAR = BayesianLinear(FEATURES, [1, 2, 2.2, 3.5], 4.0, 0.5)
MODELS = {"normal": NORMAL, "linear": LINEAR}


def take(steps, n):
    return list(itertools.islice(steps, n))


def test_the_worked_normal_gamma():
    p, q = NORMAL.posterior, mean_field_normal(NORMAL)
    assert (p.shape, p.rate) == pytest.approx((4.5, 3.0275), rel=1e-14)
    assert abs(q.rate - 3.3638888889) < 1e-10
    assert abs(q.shape / q.rate - 1.4863748968) < 1e-10
    assert q.shape / q.rate == pytest.approx(p.shape / p.rate, rel=1e-14)
    var_tau, var_mu = q.shape / q.rate**2, q.variance
    assert var_tau / (p.shape / p.rate**2) == pytest.approx(0.9, rel=1e-12)
    assert var_mu / p.moments[1][0] == pytest.approx(7 / 9, rel=1e-12)
    assert abs(NORMAL.log_evidence + 8.0216532138) < 1e-10
    assert abs(q.elbo + 8.0761772310) < 1e-10
    assert abs(NORMAL.log_evidence - q.elbo - 0.0545240172) < 1e-10
    a = p.shape
    gap = math.lgamma(a) - math.lgamma(a + 0.5) + a * math.log((a + 0.5) / a) + 0.5 * math.log(a + 0.5) - 0.5
    assert NORMAL.log_evidence - q.elbo == pytest.approx(gap, abs=1e-12)


def test_the_worked_iterates_contract_at_the_rate():
    steps = take(cavi_normal(NORMAL, 1.0), 12)
    np.testing.assert_allclose([s.rate for s in steps[1:4]], [3.1275, 3.34025, 3.361525], rtol=0, atol=1e-10)
    end = mean_field_normal(NORMAL)
    errors = np.array([s.rate - end.rate for s in steps])
    np.testing.assert_allclose(errors[1:8] / errors[:7], 0.1, rtol=1e-7)
    assert cavi_normal_rate(NORMAL) == pytest.approx(0.1, rel=1e-14)
    assert all(b.elbo >= a.elbo - 1e-13 for a, b in itertools.pairwise(steps))
    assert steps[-1].elbo == pytest.approx(end.elbo, abs=1e-13)


def test_the_worked_regression():
    q, (mean, variance) = mean_field_linear(LINEAR), LINEAR.moments
    np.testing.assert_allclose(mean, [0.4618806876, 0.9706774520], rtol=0, atol=1e-10)
    np.testing.assert_allclose(variance, [0.2527805865, 0.0667340748], rtol=0, atol=1e-10)
    np.testing.assert_allclose(q.mean, mean, rtol=0, atol=1e-14)
    np.testing.assert_allclose(q.variance, [0.0606060606, 0.016], rtol=0, atol=1e-10)
    np.testing.assert_allclose(q.variance / variance, 0.2397575758, rtol=0, atol=1e-10)
    assert abs(LINEAR.log_evidence + 4.7738583802) < 1e-10
    assert abs(LINEAR.log_evidence - q.elbo - 0.7140634836) < 1e-10
    assert abs(cavi_linear_rate(LINEAR) - 0.7602424242) < 1e-10
    rho2 = 1 - 0.2397575758
    assert LINEAR.log_evidence - q.elbo == pytest.approx(-0.5 * math.log(1 - rho2), abs=1e-9)


def test_a_sweep_of_the_regression_contracts_by_the_squared_correlation():
    steps = take(cavi_linear(LINEAR, [3.0, -1.0]), 90)
    errors = np.array([s.mean - LINEAR.mean for s in steps])
    np.testing.assert_allclose(errors[2:30] / errors[1:29], cavi_linear_rate(LINEAR), rtol=1e-9)
    assert all(b.elbo > a.elbo for a, b in itertools.pairwise(steps[:40]))
    np.testing.assert_allclose(steps[-1].mean, LINEAR.mean, atol=1e-9)
    np.testing.assert_allclose(next(cavi_linear(LINEAR)).mean, 0)


def test_the_gap_is_the_kl_of_two_gaussians_in_three_dimensions(rng):
    model = BayesianLinear(rng.standard_normal((6, 3)), rng.standard_normal(6), 1.7, 0.4)
    q = mean_field_linear(model)
    L = np.linalg.cholesky(np.linalg.inv(model.precision))
    kl = gaussian_kl(q.mean, np.diag(np.sqrt(q.variance)), model.mean, L)
    assert model.log_evidence - q.elbo == pytest.approx(float(kl), rel=1e-10)
    P = model.precision
    assert model.log_evidence - q.elbo == pytest.approx(
        0.5 * (np.log(np.diag(P)).sum() - np.linalg.slogdet(P)[1]), rel=1e-10
    )
    steps = take(cavi_linear(model, rng.standard_normal(3)), 60)
    size = [np.abs(s.mean - model.mean).max() for s in steps]
    assert (size[40] / size[20]) ** (1 / 20) == pytest.approx(cavi_linear_rate(model), rel=0.05)
    np.testing.assert_allclose(steps[-1].mean, model.mean, atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_the_joint_is_the_posterior_times_the_evidence(name):
    """The integral of p(x, z) over z is p(x); its mean and variance under p(z | x) are the exact moments."""
    model = MODELS[name]
    mean, variance = model.moments
    a, b = (np.linspace(m - 14 * s, m + 14 * s, 1401) for m, s in zip(mean, np.sqrt(variance), strict=True))
    grid = np.stack(np.meshgrid(a, b, indexing="ij"), axis=-1).reshape(-1, 2)
    weight = np.exp(model.log_joint(grid) - model.log_evidence) * (a[1] - a[0]) * (b[1] - b[0])
    tolerance = 1e-6 if name == "normal" else 1e-10  # mu has heavy tails: Student's t with 9 degrees of freedom
    assert abs(weight.sum() - 1) < tolerance
    np.testing.assert_allclose(weight @ grid, mean, atol=tolerance)
    np.testing.assert_allclose(weight @ np.square(grid - mean), variance, atol=20 * tolerance)


def test_the_normal_gamma_joint_is_scipys(rng):
    z = rng.standard_normal((6, 2))
    mu, tau = z[:, 0], np.exp(z[:, 1])
    prior = NormalGamma(0.3, 1.4, 2.2, 0.7)
    log_prior = stats.gamma(2.2, scale=1 / 0.7).logpdf(tau) + z[:, 1]
    log_prior += stats.norm(0.3, 1 / np.sqrt(1.4 * tau)).logpdf(mu)
    np.testing.assert_allclose(prior.log_prob(z), log_prior, rtol=1e-12)
    model = UnknownNormal([0.5, -1.0, 2.0], prior)
    log_lik = stats.norm(mu[:, None], 1 / np.sqrt(tau[:, None])).logpdf(model.x).sum(axis=1)
    np.testing.assert_allclose(model.log_joint(z), log_prior + log_lik, rtol=1e-12)
    np.testing.assert_allclose(model.posterior.log_prob(z) + model.log_evidence, model.log_joint(z), rtol=1e-12)
    mean, variance = prior.moments
    draws = np.log(stats.gamma(2.2, scale=1 / 0.7).ppf((np.arange(200_000) + 0.5) / 200_000))
    assert mean[1] == pytest.approx(draws.mean(), abs=1e-4)
    assert variance[1] == pytest.approx(draws.var(), rel=1e-3)
    assert variance[0] == pytest.approx(0.7 / (1.4 * 1.2), rel=1e-14)
    assert NormalGamma(0.0, 1.0, 0.9, 1.0).moments[1][0] == np.inf


def test_the_regressions_joint_is_scipys(rng):
    z = rng.standard_normal((5, 2))
    log_lik = stats.norm(z @ FEATURES.T, 0.5).logpdf(LINEAR.y).sum(axis=1)
    log_prior = stats.norm(0, np.sqrt(2)).logpdf(z).sum(axis=1)
    np.testing.assert_allclose(LINEAR.log_joint(z), log_lik + log_prior, rtol=1e-12)
    S = np.eye(4) / 4 + FEATURES @ FEATURES.T / 0.5
    assert LINEAR.log_evidence == pytest.approx(stats.multivariate_normal(np.zeros(4), S).logpdf(LINEAR.y), rel=1e-12)


@pytest.mark.parametrize("name", [*MODELS, "prior"])
def test_slopes_and_curvatures_are_derivatives(name, rng):
    density = NORMAL.prior if name == "prior" else MODELS[name]
    f = density.log_prob if name == "prior" else density.log_joint
    for z in rng.standard_normal((3, 2)):
        assert check_gradient(lambda v: f(v[None])[0], density.slope(z[None])[0], z).ok
        for j in range(2):
            curve = density.curvature(z[None])[0, j]
            assert check_gradient(lambda v, j=j: density.slope(v[None])[0, j], curve, z).ok
    z = rng.standard_normal((4, 2))  # rows do not mix
    np.testing.assert_array_equal(density.slope(z)[2], density.slope(z[2:3])[0])
    np.testing.assert_array_equal(density.curvature(z)[2], density.curvature(z[2:3])[0])


def test_the_elbo_of_any_factors_is_an_integral():
    """At an iterate that is no fixed point: E_q[log p(x, mu, tau)] + the entropies, by quadrature over tau."""
    q = take(cavi_normal(NORMAL, 0.8), 1)[0]
    p, x = NORMAL.prior, NORMAL.x

    def inner(tau):
        second = ((x - q.mean) ** 2).sum() + len(x) * q.variance
        log_p = 0.5 * len(x) * math.log(tau / (2 * math.pi)) - 0.5 * tau * second
        log_p += 0.5 * math.log(p.count * tau / (2 * math.pi))
        log_p -= 0.5 * p.count * tau * ((q.mean - p.mean) ** 2 + q.variance)
        density = stats.gamma(q.shape, scale=1 / q.rate).pdf(tau)
        return density * (log_p + stats.gamma(p.shape, scale=1 / p.rate).logpdf(tau))

    value = integrate.quad(inner, 0, 60, points=[q.shape / q.rate], epsabs=1e-12, limit=200)[0]
    value += stats.gamma(q.shape, scale=1 / q.rate).entropy() + stats.norm(0, math.sqrt(q.variance)).entropy()
    assert q.elbo == pytest.approx(float(value), abs=1e-9)
    mean, variance = q.moments
    assert mean[1] == pytest.approx(digamma(q.shape) - math.log(q.rate))
    assert variance[0] == q.variance


def test_the_elbo_of_any_linear_factors_is_its_closed_form():
    q = take(cavi_linear(LINEAR, [0.3, 0.1]), 1)[0]
    z = q.mean + np.sqrt(q.variance) * np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])  # exact for a quadratic
    entropy = sum(stats.norm(0, np.sqrt(v)).entropy() for v in q.variance)
    assert q.elbo == pytest.approx(LINEAR.log_joint(z).mean() + entropy, abs=1e-12)


def test_what_is_refused():
    with pytest.raises(ValueError, match="y must have one value for each of the 4 rows, got 3"):
        BayesianLinear(FEATURES, [1.0, 2.0, 3.0], 1.0, 1.0)
    with pytest.raises(ValueError, match="prior must leave a precision that can be inverted, got 1e-20"):
        BayesianLinear(np.ones((4, 2)), np.ones(4), 1.0, 1e-20)
    with pytest.raises(ValueError, match="prior must be a NormalGamma, got 3"):
        UnknownNormal([1.0], 3)
    with pytest.raises(ValueError, match="shape must be a finite number greater than 0"):
        NormalGamma(0.0, 1.0, -1.0, 1.0)
    with pytest.raises(ValueError, match=r"x must have shape \(any,\), got \(0,\)"):
        UnknownNormal([], NormalGamma(0.0, 1.0, 1.0, 1.0))
