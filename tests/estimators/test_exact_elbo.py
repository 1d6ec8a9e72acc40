"""Exact variances of ELBO gradients, against a table, and against the real VAE with quadrature nodes as noise."""

import numpy as np
import pytest

from minivae.distributions.linear_gaussian import LinearGaussian
from minivae.distributions.nodes import gauss_hermite
from minivae.estimators.exact.elbo import elbo_gradient_moments
from minivae.estimators.objectives import Elbo
from minivae.models.draws import encoder_draws
from tests.support import DELTA, S2, V, W, Y, linear_vae

KNOWN, X = LinearGaussian(W, np.zeros(3), S2), Y
MU, LOG_VAR = Y @ V.T, 2 * np.log(DELTA)[None]
ESTIMATORS = [
    ("pathwise", "closed"),
    ("pathwise", "sampled"),
    ("path-derivative", "sampled"),
    ("score", "closed"),
    ("score", "sampled"),
]
TABLE = {
    ("pathwise", "closed", 0.0): (1.90224, 5.090724, 1.7566074, 8.33332847),
    ("pathwise", "sampled", 0.0): (3.88944, 9.950724, 2.8973898, 16.21874975),
    ("path-derivative", "sampled", 0.0): (0.1472177778, 4.1852919012, 0.2029898, 6.87874975),
    ("score", "sampled", 0.0): (50.2492426752, 46.2360903385, 39.9123317313, 134.0501306574),
    ("score", "closed", 0.0): (62.8234114910, 46.4989017505, 65.1194703051, 141.3010435913),
    ("score", "sampled", "optimal"): (5.9959706956, 6.7866930380, 5.2180821808, 21.9161933440),
    ("score", "sampled", "mean"): (6.0796844733, 10.9437609393, 5.4591778608, 48.8539933440),
}


@pytest.mark.parametrize(("estimator", "kl", "baseline"), TABLE)
def test_the_table_to_the_digits_printed(estimator, kl, baseline):
    exact = elbo_gradient_moments(KNOWN, X, MU, LOG_VAR, Elbo(estimator, kl=kl), baseline)
    by_log_sigma = np.array([1, 1, 2, 2])  # the table is of log sigma = log_var / 2
    found = by_log_sigma * exact.mean.ravel()
    np.testing.assert_allclose(found, [0.577, -0.3872, -0.1736, -1.835], rtol=0, atol=1e-12)
    found = by_log_sigma**2 * exact.variance.ravel()
    np.testing.assert_allclose(found, TABLE[estimator, kl, baseline], rtol=0, atol=1e-9)


def test_the_mean_baseline_is_the_elbo():
    by_number = elbo_gradient_moments(
        KNOWN, X, MU, LOG_VAR, Elbo("score", kl="sampled"), KNOWN.elbo(X, MU, LOG_VAR).item()
    )
    by_name = elbo_gradient_moments(KNOWN, X, MU, LOG_VAR, Elbo("score", kl="sampled"), "mean")
    np.testing.assert_allclose(by_number.variance, by_name.variance, rtol=1e-13)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("estimator", "kl"), ESTIMATORS)
def test_mean_and_variance_are_those_of_the_vae_over_all_noise(estimator, kl, seed):
    rng = np.random.default_rng(seed)
    W, V, s2, delta = rng.normal(size=(4, 2)), rng.normal(size=(2, 4)), rng.uniform(0.3, 2), rng.uniform(0.3, 1.5, 2)
    b, x = rng.normal(size=4), rng.normal(size=(2, 4))
    model, params = linear_vae(W, b, float(s2), V, delta)
    eps, w = gauss_hermite(6, 2)  # polynomials of degree 8 at most
    linear, log_var = LinearGaussian(W, b, float(s2)), np.tile(2 * np.log(delta), (2, 1))
    c = rng.normal(size=(2, 2, 2)) if estimator == "score" else np.zeros((2, 2, 2))
    exact = elbo_gradient_moments(linear, x, x @ V.T, log_var, Elbo(estimator, kl=kl), c)
    rows = encoder_draws(model, params, x, eps).rows(Elbo(estimator, kl=kl), c.reshape(2, 4))
    rows = rows.reshape(-1, 2, 2, 2)
    mean = np.tensordot(w, rows, 1)
    np.testing.assert_allclose(exact.mean, mean, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(exact.variance, np.tensordot(w, (rows - mean) ** 2, 1), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kl", ["closed", "sampled"])
def test_leave_one_out_over_all_pairs_of_draws(kl):
    rng = np.random.default_rng(7)
    W, V, delta, x = rng.normal(size=(3, 1)), rng.normal(size=(1, 3)), np.array([0.7]), rng.normal(size=(2, 3))
    model, params = linear_vae(W, np.zeros(3), 0.5, V, delta)
    nodes, w = gauss_hermite(8, 1)
    pairs = np.stack([np.repeat(nodes, 8, axis=0), np.tile(nodes, (8, 1, 1))], axis=1).reshape(-1, 1, 1)
    weights = np.outer(w, w).ravel()
    rows = encoder_draws(model, params, x, pairs).rows(Elbo("score-leave-one-out", kl=kl), n_group=2)
    means = rows.reshape(64, 2, 2, 2).mean(axis=1)  # of each pair: (64, B, H)
    linear, log_var = LinearGaussian(W, np.zeros(3), 0.5), np.full((2, 1), 2 * np.log(0.7))
    exact = elbo_gradient_moments(linear, x, x @ V.T, log_var, Elbo("score-leave-one-out", kl=kl), n_group=2)
    mean = np.tensordot(weights, means, 1)
    np.testing.assert_allclose(exact.mean[:, :, 0], mean, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(exact.variance[:, :, 0], 2 * np.tensordot(weights, (means - mean) ** 2, 1), rtol=1e-9)


@pytest.mark.parametrize("kl", ["closed", "sampled"])
def test_the_optimal_baseline_is_the_bottom_of_the_parabola(kl, rng):
    best = elbo_gradient_moments(KNOWN, X, MU, LOG_VAR, Elbo("score", kl=kl), "optimal").variance
    c, sigma = rng.normal(size=(1, 2, 2)), np.exp(LOG_VAR / 2)
    at = [elbo_gradient_moments(KNOWN, X, MU, LOG_VAR, Elbo("score", kl=kl), b).variance for b in (c - 1, c, c + 1)]
    # Var(c) = Var* + (c - c*)^2 E s^2, with E s^2 = 1 / sigma^2 for mu and 1/2 for log_var
    square = np.stack([1 / sigma**2, 0.5 + 0 * sigma], axis=1)
    np.testing.assert_allclose((at[0] - 2 * at[1] + at[2]) / 2, square, rtol=1e-9)
    bottom = at[1] - ((at[2] - at[0]) / 4) ** 2 / square
    np.testing.assert_allclose(best, bottom, rtol=1e-8, atol=1e-8)


def test_at_the_exact_posterior_only_the_path_derivative_has_no_variance():
    # orthogonal columns, so that the posterior is diagonal
    model = LinearGaussian(np.array([[1.0, 0.5], [-0.5, 1.0], [0.0, 0.0]]), np.zeros(3), 0.7)
    mu, covariance = model.posterior(X)
    log_var = np.log(np.diag(covariance))[None]
    variance = {(e, kl): elbo_gradient_moments(model, X, mu, log_var, Elbo(e, kl=kl)).variance for e, kl in ESTIMATORS}
    assert variance["path-derivative", "sampled"].max() < 1e-25
    assert (variance["pathwise", "sampled"] * [[1], [4]]).min() > 1
    # f is log p(x) for every z there: as a baseline it leaves nothing, and without one c^2 E s^2
    log_p = model.log_prob(X).item()
    assert elbo_gradient_moments(model, X, mu, log_var, Elbo("score", kl="sampled"), log_p).variance.max() < 1e-12
    np.testing.assert_allclose(variance["score", "sampled"][0, 0], log_p**2 * np.exp(-log_var[0]), rtol=1e-10)
    np.testing.assert_allclose(variance["score", "sampled"][0, 1], log_p**2 / 2, rtol=1e-10)


def test_unless_said_otherwise_it_is_pathwise_with_a_closed_kl():
    usual, named = (elbo_gradient_moments(KNOWN, X, MU, LOG_VAR, how) for how in (None, Elbo("pathwise", kl="closed")))
    np.testing.assert_array_equal(usual.variance, named.variance)


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="Did you mean 'pathwise'"):
        elbo_gradient_moments(KNOWN, X, MU, LOG_VAR, Elbo("pathwize"))
    with pytest.raises(ValueError, match="Did you mean 'optimal'"):
        elbo_gradient_moments(KNOWN, X, MU, LOG_VAR, Elbo("score"), "optimum")
    with pytest.raises(ValueError, match=r"log_var must have shape \(1, 2\), got \(2,\)"):
        elbo_gradient_moments(KNOWN, X, MU, LOG_VAR[0], Elbo("score"))
    with pytest.raises(ValueError, match=r"x must have shape \(batch, 3\)"):
        elbo_gradient_moments(KNOWN, X[0], MU, LOG_VAR, Elbo("score"))
    with pytest.raises(ValueError, match="n_group must be at least 2 for 'score-leave-one-out', got 1"):
        elbo_gradient_moments(KNOWN, X, MU, LOG_VAR, Elbo("score-leave-one-out"), n_group=1)
