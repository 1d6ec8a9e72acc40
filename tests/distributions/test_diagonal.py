"""The diagonal Gaussian: its moments, its density, its KL, against closed forms and scipy."""

import numpy as np
import pytest
from scipy import integrate, stats

from minivae.distributions.diagonal import DiagonalGaussian
from minivae.distributions.nodes import gauss_hermite
from minivae.distributions.priors import prior_log_prob
from tests.support import assert_within_standard_errors

N = 200_000


def head_of(mu, log_sigma):
    return np.concatenate([np.atleast_2d(mu), 2 * np.atleast_2d(log_sigma)], axis=1).astype(float)


def test_samples_have_the_mean_and_the_variance_of_the_head(rng):
    mu, log_var = np.array([0.7, -2.0]), np.array([-1.0, 1.5])
    z, _, _ = DiagonalGaussian(2).sample(np.concatenate([mu, log_var])[None], rng.standard_normal((N, 1, 2)))
    z = z[:, 0]
    assert_within_standard_errors(z, mu)
    # exp(log_var) is the variance: taken for the standard deviation it would be off by hundreds of errors
    assert_within_standard_errors((z - mu) ** 2, np.exp(log_var))
    assert_within_standard_errors((z[:, 0] - mu[0]) * (z[:, 1] - mu[1]), 0.0)


def test_log_prob_is_the_normal_density(rng):
    head, z = rng.normal(size=(4, 6)), rng.normal(size=(5, 4, 3))
    expected = stats.norm.logpdf(z, head[:, :3], np.exp(head[:, 3:] / 2)).sum(-1)
    np.testing.assert_allclose(DiagonalGaussian(3).log_prob(head, z), expected, rtol=1e-12)


def test_density_integrates_to_one():
    q, head = DiagonalGaussian(1), np.array([[0.3, -0.8]])
    total, _ = integrate.quad(lambda z: np.exp(q.log_prob(head, np.full((1, 1, 1), z)).item()), -np.inf, np.inf)
    assert abs(total - 1) < 1e-9


def test_log_q_along_the_path_is_the_density_at_the_draw(rng):
    q, head = DiagonalGaussian(3), rng.normal(size=(4, 6))
    z, log_q, _ = q.sample(head, rng.normal(size=(5, 4, 3)))
    np.testing.assert_allclose(log_q, q.log_prob(head, z), rtol=1e-12)


def test_kl_in_one_dimension_to_ten_digits():
    # mu = 0.5, log sigma = -0.3: exact values derived by hand, checked by quadrature
    q, head = DiagonalGaussian(1), head_of(0.5, -0.3)
    np.testing.assert_allclose(q.kl(head), 0.1994058180, atol=5e-11)
    dmu, dlog_var = q.kl_backward(head, np.ones(1))[0]
    np.testing.assert_allclose(dmu, 0.5, atol=1e-14)
    np.testing.assert_allclose(dlog_var, -0.2255941820, atol=5e-11)
    np.testing.assert_allclose(2 * dlog_var, -0.4511883639, atol=5e-11)  # with respect to log sigma


def test_kl_is_the_expected_log_ratio_by_quadrature(rng):
    q, head = DiagonalGaussian(2), rng.normal(size=(6, 4))
    eps, w = gauss_hermite(3, 2)
    z, log_q, _ = q.sample(head, np.repeat(eps, 6, axis=1))
    np.testing.assert_allclose(w @ (log_q - prior_log_prob(z)), q.kl(head), rtol=1e-12)


def test_kl_is_zero_at_the_prior_and_positive_elsewhere(rng):
    q = DiagonalGaussian(2)
    assert q.kl(np.zeros((1, 4))).item() == 0
    assert (q.kl(rng.normal(size=(1000, 4))) > 0).all()


def test_kl_per_latent_sums_to_the_kl(rng):
    q, head = DiagonalGaussian(3), rng.normal(size=(5, 6))
    np.testing.assert_allclose(q.kl_per_latent(head).sum(1), q.kl(head), rtol=1e-12)


def test_extreme_log_variances():
    q = DiagonalGaussian(1)
    # exp(-1000) is zero to every digit: KL = (log_var term) 1000 / 2 - 1 / 2
    np.testing.assert_allclose(q.kl(np.array([[0.0, -1000.0]])), 499.5, rtol=1e-15)
    with np.errstate(over="ignore"):
        assert q.kl(np.array([[0.0, 1000.0]])).item() == np.inf
    z, _, _ = q.sample(np.array([[0.25, -2000.0]]), np.ones((1, 1, 1)))
    assert z.item() == 0.25


def test_score_has_mean_zero(rng):
    # E_q[d log q / d head] = 0 for every distribution q
    q, head = DiagonalGaussian(2), np.array([[0.4, -1.0, 0.3, -0.6]])
    z, _, _ = q.sample(head, rng.standard_normal((20_000, 1, 2)))
    heads = np.repeat(head, 20_000, axis=0)
    scores, _ = q.log_prob_backward(heads, z.reshape(1, -1, 2), np.ones((1, 20_000)))
    assert_within_standard_errors(scores, 0.0)


def test_prior_log_prob_is_the_standard_normal(rng):
    z = rng.normal(size=(3, 4, 2))
    np.testing.assert_allclose(prior_log_prob(z), stats.norm.logpdf(z).sum(-1), rtol=1e-13)
    assert prior_log_prob(z.astype(np.float32)).dtype == np.float32


@pytest.mark.parametrize("n_latent", [0, -1, 2.0, True])
def test_n_latent_must_be_a_positive_integer(n_latent):
    with pytest.raises(ValueError, match="n_latent must be an integer of at least 1, got"):
        DiagonalGaussian(n_latent)
