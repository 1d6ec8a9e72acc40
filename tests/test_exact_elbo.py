"""Exact variances of ELBO gradients, against a table, and against the real VAE with quadrature nodes as noise."""

import numpy as np
import pytest

from minivae import LinearGaussian, elbo_gradient_moments, gauss_hermite, prior_log_prob
from minivae.exact_elbo import ELBO_ESTIMATORS

from .test_vae import DELTA, S2, V, W, Y, linear_vae

KNOWN, X = LinearGaussian(W, np.zeros(3), S2), Y
MU, LOG_VAR = Y @ V.T, 2 * np.log(DELTA)[None]
TABLE = {
    ("closed", 0.0): (1.90224, 5.090724, 1.7566074, 8.33332847),
    ("total", 0.0): (3.88944, 9.950724, 2.8973898, 16.21874975),
    ("path", 0.0): (0.1472177778, 4.1852919012, 0.2029898, 6.87874975),
    ("score", 0.0): (50.2492426752, 46.2360903385, 39.9123317313, 134.0501306574),
    ("score-likelihood", 0.0): (62.8234114910, 46.4989017505, 65.1194703051, 141.3010435913),
    ("score", "optimal"): (5.9959706956, 6.7866930380, 5.2180821808, 21.9161933440),
    ("score", "mean"): (6.0796844733, 10.9437609393, 5.4591778608, 48.8539933440),
}


@pytest.mark.parametrize(("name", "baseline"), TABLE)
def test_the_table_to_the_digits_printed(name, baseline):
    exact = elbo_gradient_moments(KNOWN, X, MU, LOG_VAR, name, baseline)
    np.testing.assert_allclose(exact.mean.ravel(), [0.577, -0.3872, -0.1736, -1.835], rtol=0, atol=1e-12)
    np.testing.assert_allclose(exact.variance.ravel(), TABLE[name, baseline], rtol=0, atol=1e-9)


def test_the_mean_baseline_is_the_elbo():
    by_number = elbo_gradient_moments(KNOWN, X, MU, LOG_VAR, "score", KNOWN.elbo(X, MU, LOG_VAR).item())
    by_name = elbo_gradient_moments(KNOWN, X, MU, LOG_VAR, "score", "mean")
    np.testing.assert_allclose(by_number.variance, by_name.variance, rtol=1e-13)


def node_gradients(model, params, x, eps, name):
    """Return the gradient of the ELBO wrt (mu, log sigma) of one x at each node, shape (K, 2, q), and f and s."""
    q, n_latent = model.posterior, model.posterior.n_latent
    rows, f, scores = [], [], []
    for e in eps:
        grads = np.empty_like(params)
        model.loss_and_grad(
            params, x, e[None], grads, kl="closed" if name in ("closed", "score-likelihood") else "sampled"
        )
        through = -dict(model.named(grads))["encoder.0.bias"]
        head, z, log_q, log_lik = model.draw(params, x, e[None])
        score, _ = q.log_prob_backward(head, z, np.ones((1, 1)))
        if name == "path":
            through = through + score[0]  # the total derivative holds minus the score of log q
        value = log_lik if name == "score-likelihood" else log_lik + prior_log_prob(z) - log_q
        rows.append(through.reshape(2, n_latent))
        f.append(value.item())
        scores.append(score.reshape(2, n_latent))
    halved = np.array([[1.0], [2.0]])  # d log_var = 2 d log sigma
    return np.array(rows) * halved, np.array(f), np.array(scores) * halved


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ELBO_ESTIMATORS)
def test_mean_and_variance_are_those_of_the_vae_over_all_noise(name, seed):
    rng = np.random.default_rng(seed)
    W, V, s2, delta = rng.normal(size=(4, 2)), rng.normal(size=(2, 4)), rng.uniform(0.3, 2), rng.uniform(0.3, 1.5, 2)
    b, x = rng.normal(size=4), rng.normal(size=(2, 4))
    model, params = linear_vae(W, b, float(s2), V, delta)
    eps, w = gauss_hermite(6, 2)  # polynomials of degree 8 at most
    linear, log_var = LinearGaussian(W, b, float(s2)), np.tile(2 * np.log(delta), (2, 1))
    c = rng.normal(size=(2, 2, 2)) if name.startswith("score") else np.zeros((2, 2, 2))
    exact = elbo_gradient_moments(linear, x, x @ V.T, log_var, name, c)
    for i, row in enumerate(x[:, None]):
        rows, f, score = node_gradients(model, params, row, eps, name)
        if name.startswith("score"):
            rows = (f[:, None, None] - c[i]) * score
            if name == "score-likelihood":
                rows = rows + np.stack([-(row @ V.T)[0], 1 - delta**2])  # minus the closed KL's gradient
        mean = np.tensordot(w, rows, 1)
        np.testing.assert_allclose(exact.mean[i], mean, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(exact.variance[i], np.tensordot(w, (rows - mean) ** 2, 1), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["score", "score-likelihood"])
def test_the_optimal_baseline_is_the_bottom_of_the_parabola(name, rng):
    best = elbo_gradient_moments(KNOWN, X, MU, LOG_VAR, name, "optimal").variance
    c, sigma = rng.normal(size=(1, 2, 2)), np.exp(LOG_VAR / 2)
    at = [elbo_gradient_moments(KNOWN, X, MU, LOG_VAR, name, b).variance for b in (c - 1, c, c + 1)]
    # Var(c) = Var* + (c - c*)^2 E s^2, with E s^2 = 1 / sigma^2 for mu and 2 for log sigma
    square = np.stack([1 / sigma**2, 2 + 0 * sigma], axis=1)
    np.testing.assert_allclose((at[0] - 2 * at[1] + at[2]) / 2, square, rtol=1e-9)
    bottom = at[1] - ((at[2] - at[0]) / 4) ** 2 / square
    np.testing.assert_allclose(best, bottom, rtol=1e-8, atol=1e-8)


def test_at_the_exact_posterior_only_the_path_derivative_has_no_variance():
    # orthogonal columns, so that the posterior is diagonal
    model = LinearGaussian(np.array([[1.0, 0.5], [-0.5, 1.0], [0.0, 0.0]]), np.zeros(3), 0.7)
    mu, covariance = model.posterior(X)
    log_var = np.log(np.diag(covariance))[None]
    variance = {n: elbo_gradient_moments(model, X, mu, log_var, n).variance for n in ELBO_ESTIMATORS}
    assert variance["path"].max() < 1e-25
    assert variance["total"].min() > 1
    # f is log p(x) for every z there: as a baseline it leaves nothing, and without one c^2 E s^2
    log_p = model.log_prob(X).item()
    assert elbo_gradient_moments(model, X, mu, log_var, "score", log_p).variance.max() < 1e-12
    np.testing.assert_allclose(variance["score"][0, 0], log_p**2 * np.exp(-log_var[0]), rtol=1e-10)
    np.testing.assert_allclose(variance["score"][0, 1], 2 * log_p**2, rtol=1e-10)


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="Did you mean 'closed'"):
        elbo_gradient_moments(KNOWN, X, MU, LOG_VAR, "close")
    with pytest.raises(ValueError, match="Did you mean 'optimal'"):
        elbo_gradient_moments(KNOWN, X, MU, LOG_VAR, "score", "optimum")
    with pytest.raises(ValueError, match=r"log_var must have shape \(1, 2\), a row for each x, got \(2,\)"):
        elbo_gradient_moments(KNOWN, X, MU, LOG_VAR[0], "score")
    with pytest.raises(ValueError, match=r"x must have shape \(batch, 3\)"):
        elbo_gradient_moments(KNOWN, X[0], MU, LOG_VAR, "score")
