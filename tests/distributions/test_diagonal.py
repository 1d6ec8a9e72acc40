"""The diagonal Gaussian: its moments, its density, its gradients, against closed forms and scipy."""

import numpy as np
import pytest
from scipy import integrate, stats

from minivae.distributions.diagonal import DiagonalGaussian
from minivae.distributions.nodes import gauss_hermite
from minivae.distributions.real import RealPosterior
from minivae.nn.gradcheck import check_gradient
from tests.support import assert_within_standard_errors

N = 200_000
NONE = np.empty(0)


def test_samples_have_the_mean_and_the_variance_of_the_head(rng):
    mu, log_var = np.array([0.7, -2.0]), np.array([-1.0, 1.5])
    z, _, _ = DiagonalGaussian(2).sample(NONE, np.concatenate([mu, log_var])[None], rng.standard_normal((N, 1, 2)))
    z = z[:, 0]
    assert_within_standard_errors(z, mu)
    # exp(log_var) is the variance: taken for the standard deviation it would be off by hundreds of errors
    assert_within_standard_errors((z - mu) ** 2, np.exp(log_var))
    assert_within_standard_errors((z[:, 0] - mu[0]) * (z[:, 1] - mu[1]), 0.0)


def test_log_prob_is_the_normal_density(rng):
    head, z = rng.normal(size=(4, 6)), rng.normal(size=(5, 4, 3))
    expected = stats.norm.logpdf(z, head[:, :3], np.exp(head[:, 3:] / 2)).sum(-1)
    np.testing.assert_allclose(DiagonalGaussian(3).log_prob(NONE, head, z), expected, rtol=1e-12)


def test_density_integrates_to_one():
    q, head = DiagonalGaussian(1), np.array([[0.3, -0.8]])
    total, _ = integrate.quad(lambda z: np.exp(q.log_prob(NONE, head, np.full((1, 1, 1), z)).item()), -np.inf, np.inf)
    assert abs(total - 1) < 1e-9


def test_log_q_along_the_path_is_the_density_at_the_draw(rng):
    q, head = DiagonalGaussian(3), rng.normal(size=(4, 6))
    z, log_q, _ = q.sample(NONE, head, rng.normal(size=(5, 4, 3)))
    np.testing.assert_allclose(log_q, q.log_prob(NONE, head, z), rtol=1e-12)


def test_a_variance_of_zero_leaves_the_mean():
    z, _, _ = DiagonalGaussian(1).sample(NONE, np.array([[0.25, -2000.0]]), np.ones((1, 1, 1)))
    assert z.item() == 0.25


def test_score_has_mean_zero(rng):
    # E_q[d log q / d head] = 0 for every distribution q
    q, head = DiagonalGaussian(2), np.array([[0.4, -1.0, 0.3, -0.6]])
    heads, eps = np.repeat(head, 20_000, axis=0), rng.standard_normal((1, 20_000, 2))
    _, _, cache = q.sample(NONE, heads, eps)
    assert_within_standard_errors(q.score(NONE, cache, np.ones((1, 20_000)), NONE), 0.0)
    # and the score is quadratic in the noise, so that two nodes a latent give its mean to every digit
    nodes, w = gauss_hermite(2, 2)
    _, _, cache = q.sample(NONE, head, nodes)
    np.testing.assert_allclose(q.score(NONE, cache, w[:, None], NONE), 0.0, atol=1e-15)


def test_score_is_the_derivative_of_log_prob_at_fixed_z(rng):
    q, head, dlog_q = DiagonalGaussian(3), rng.normal(size=(4, 6)), rng.normal(size=(5, 4))
    z, _, cache = q.sample(NONE, head, rng.normal(size=(5, 4, 3)))

    def value(theta):
        return float(np.sum(dlog_q * q.log_prob(NONE, theta.reshape(head.shape), z)))

    assert check_gradient(value, q.score(NONE, cache, dlog_q, NONE).ravel(), head.ravel()).ok


def test_backward_is_the_total_derivative_of_draw_and_density(rng):
    q, head, eps = DiagonalGaussian(3), rng.normal(size=(4, 6)), rng.normal(size=(5, 4, 3))
    dz, dlog_q = rng.normal(size=eps.shape), rng.normal(size=eps.shape[:2])
    _, _, cache = q.sample(NONE, head, eps)

    def value(theta):
        z, log_q, _ = q.sample(NONE, theta.reshape(head.shape), eps)
        return float(np.sum(dz * z) + np.sum(dlog_q * log_q))

    assert check_gradient(value, q.backward(NONE, cache, dz, dlog_q, NONE).ravel(), head.ravel()).ok


def test_noise_is_normal_and_any_noise_is_taken(rng):
    q = DiagonalGaussian(2)
    eps = q.draw_noise(rng, (N, 1, 2), np.float64)[:, 0]
    for power, moment in ((1, 0), (2, 1), (3, 0), (4, 3)):
        assert_within_standard_errors(eps**power, moment)
    q.check_noise(np.array([-1e6, 1e6]))
    assert q.draw_noise(rng, (1, 1, 2), np.float32).dtype == np.float32


def test_mean_and_code_are_mu_and_states_are_refused(rng):
    q, head = DiagonalGaussian(2), rng.normal(size=(3, 4))
    np.testing.assert_array_equal(q.mean(NONE, head), head[:, :2])
    np.testing.assert_array_equal(q.code(NONE, head), head[:, :2])
    assert q.n_states is None
    with pytest.raises(ValueError, match="posterior must have states that can be enumerated, got DiagonalGaussian"):
        q.states(NONE, head)


@pytest.mark.parametrize("n_latent", [0, -1, 2.0, True])
def test_n_latent_must_be_a_positive_integer(n_latent):
    with pytest.raises(ValueError, match="n_latent must be an integer of at least 1, got"):
        DiagonalGaussian(n_latent)


def test_the_score_by_way_of_the_path_is_the_formula(rng):
    q = DiagonalGaussian(3)
    head, eps, dlog_q = rng.normal(size=(4, 6)), rng.normal(size=(5, 4, 3)), rng.normal(size=(5, 4))
    z, _, cache = q.sample(q.init(), head, eps)
    np.testing.assert_allclose(q.slope(q.init(), cache), (head[:, :3] - z) / np.exp(head[:, 3:]), rtol=1e-12)
    by_path = RealPosterior.score(q, q.init(), cache, dlog_q, q.init())
    np.testing.assert_allclose(by_path, q.score(q.init(), cache, dlog_q, q.init()), rtol=1e-12, atol=1e-13)
