"""The closed forms themselves, against other routes to the same numbers."""

import numpy as np
import pytest
from scipy import stats

from minivae.classical.probabilistic_pca import ppca_optimum
from minivae.distributions.linear_gaussian import LinearGaussian
from minivae.distributions.nodes import gauss_hermite
from tests.support import assert_within_standard_errors


@pytest.mark.parametrize("n_latent", [1, 2, 3])
def test_gauss_hermite_integrates_polynomials_exactly(n_latent):
    eps, w = gauss_hermite(4, n_latent)
    assert eps.shape == (4**n_latent, 1, n_latent)
    assert abs(w.sum() - 1) < 1e-14
    for power, moment in enumerate([1, 0, 1, 0, 3, 0, 15, 0]):
        np.testing.assert_allclose(w @ eps[:, 0] ** power, np.full(n_latent, moment), atol=1e-12)
    np.testing.assert_allclose(w @ np.prod(eps[:, 0] ** 2, axis=1), 1.0, atol=1e-12)


def random_model(rng, p=4, q=2):
    return LinearGaussian(rng.normal(size=(p, q)), rng.normal(size=p), float(rng.uniform(0.2, 2)))


def test_log_prob_is_the_marginal_gaussian(rng):
    model, x = random_model(rng), rng.normal(size=(5, 4))
    expected = stats.multivariate_normal.logpdf(x, model.b, model.W @ model.W.T + model.s2 * np.eye(4))
    np.testing.assert_allclose(model.log_prob(x), expected, rtol=1e-12)


def test_posterior_is_by_bayes_rule(rng):
    # log p(z|x) = log p(x|z) + log p(z) - log p(x) at any z
    model, x, z = random_model(rng), rng.normal(size=(1, 4)), rng.normal(size=2)
    mean, covariance = model.posterior(x)
    bayes = (
        stats.norm.logpdf(x[0], model.W @ z + model.b, np.sqrt(model.s2)).sum()
        + stats.norm.logpdf(z).sum()
        - model.log_prob(x).item()
    )
    np.testing.assert_allclose(stats.multivariate_normal.logpdf(z, mean[0], covariance), bayes, rtol=1e-11)


def test_elbo_is_log_prob_less_the_kl_to_the_posterior(rng):
    model, x = random_model(rng), rng.normal(size=(3, 4))
    mu, log_var = rng.normal(size=(3, 2)), rng.normal(size=(3, 2))
    mean, covariance = model.posterior(x)
    precision = np.linalg.inv(covariance)
    d = mu - mean
    trace = np.exp(log_var) @ np.diag(precision)
    kl = 0.5 * (
        trace + np.einsum("bi,ij,bj->b", d, precision, d) - 2 - log_var.sum(1) + np.linalg.slogdet(covariance)[1]
    )
    np.testing.assert_allclose(model.elbo(x, mu, log_var), model.log_prob(x) - kl, rtol=1e-11)


def test_the_best_diagonal_posterior_misses_log_p_by_the_gap_at_every_x(rng):
    model, x = random_model(rng), rng.normal(size=(5, 4))
    mean = model.posterior(x)[0]
    best = np.tile(-np.log(np.diag(model.precision)), (5, 1))
    np.testing.assert_allclose(model.log_prob(x) - model.elbo(x, mean, best), model.diagonal_gap, rtol=1e-9)
    assert model.diagonal_gap > 0.01
    for shift in (-0.1, 0.1):  # no other variances do better
        assert (model.elbo(x, mean, best + shift) < model.elbo(x, mean, best)).all()
    orthogonal = LinearGaussian(np.linalg.qr(model.W)[0] * [2.0, 0.5], model.b, model.s2)
    assert abs(orthogonal.diagonal_gap) < 1e-14


def test_draws_have_the_mean_b_and_the_covariance_of_the_marginal(rng):
    model = random_model(rng)
    y = model.sample(50_000, rng) - model.b
    assert_within_standard_errors(y, 0)
    assert_within_standard_errors(y[:, :, None] * y[:, None], model.W @ model.W.T + model.s2 * np.eye(4))


def test_known_instance_to_ten_digits():
    W = np.array([[1, 0.5], [-0.3, 0.8], [0.2, -0.6]])
    model = LinearGaussian(W, np.array([0.1, -0.2, 0.3]), 0.5)
    x = np.array([[1.0, -0.5, 0.8]])
    V, log_var = np.array([[0.4, -0.1, 0.2], [0.3, 0.5, -0.2]]), 2 * np.log([[0.6, 0.9]])
    np.testing.assert_allclose(model.log_prob(x), -3.3325970840, atol=5e-11)
    np.testing.assert_allclose(model.posterior(x)[0], [[0.6777860143, -0.1056514526]], atol=5e-11)
    np.testing.assert_allclose(model.elbo(x, (x - model.b) @ V.T, log_var), -3.8177879682, atol=5e-11)
    best = -np.log(np.diag(model.precision))[None]
    np.testing.assert_allclose(model.elbo(x, model.posterior(x)[0], best), -3.3360445244, atol=5e-11)


def test_ppca_optimum_beats_its_neighbours(rng):
    eigenvalues = np.array([5, 3, 1.2, 0.6, 0.4])
    log_p, s2 = ppca_optimum(eigenvalues, 2)

    def mean_log_prob(W, s2):
        C = W @ W.T + s2 * np.eye(5)
        return -0.5 * (
            5 * np.log(2 * np.pi) + np.linalg.slogdet(C)[1] + np.trace(np.linalg.solve(C, np.diag(eigenvalues)))
        )

    W = np.zeros((5, 2))
    W[0, 0], W[1, 1] = np.sqrt(eigenvalues[:2] - s2)
    assert abs(mean_log_prob(W, s2) - log_p) < 1e-12
    for _ in range(20):
        assert mean_log_prob(W + 0.05 * rng.normal(size=W.shape), s2 + 0.05 * rng.normal()) < log_p


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match=r"W must have shape \(p, q\) and b shape \(p,\)"):
        LinearGaussian(np.ones((3, 2)), np.ones(2), 1.0)
    with pytest.raises(ValueError, match="s2 must be a finite number greater than 0"):
        LinearGaussian(np.ones((3, 2)), np.ones(3), 0.0)
    with pytest.raises(ValueError, match="n_latent must be at least 1 and below 3"):
        ppca_optimum(np.ones(3), 3)
