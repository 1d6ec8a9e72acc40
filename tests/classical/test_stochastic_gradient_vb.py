"""SGVB: its gradients at exact nodes, the worked instance of a full covariance, where it ends, and its noise there."""

import numpy as np
import pytest

from minivae.classical.bayesian_linear import BayesianLinear
from minivae.classical.cavi import mean_field_linear
from minivae.classical.normal_gamma import NormalGamma, UnknownNormal
from minivae.classical.stochastic_gradient_vb import sgvb, sgvb_gradient
from minivae.distributions.nodes import gauss_hermite
from minivae.nn.gradcheck import check_gradient
from minivae.nn.optim import SGD
from tests.support import S2, W, Y, assert_within_standard_errors

# the linear-Gaussian model that is worked out by hand: x - b = W z + noise is a regression of x - b on W
MODEL = BayesianLinear(W, Y[0], 1 / S2, 1.0)
LINEAR = BayesianLinear(np.stack([np.ones(4), [0.5, 1.5, 2, 3]], axis=1), [1, 2, 2.2, 3.5], 4.0, 0.5)
NORMAL = UnknownNormal([1.2, -0.4, 0.7, 2.1, 0.3], NormalGamma(0.0, 1.0, 2.0, 1.0))
M, L = np.array([0.2, 0.1]), np.array([[0.8, 0.0], [0.3, 0.6]])
HEAD = np.array([*M, *np.log([0.8, 0.6]), 0.3])
SIGMA_POINTS = np.sqrt(2) * np.array([[1, 0], [-1, 0], [0, 1], [0, -1.0]])  # equal weights, exact for quadratics


def entries_of_l(dhead):
    """From (mu, log L_11, log L_22, L_21) to the entries of dL."""
    return np.array([[dhead[2] / L[0, 0], 0], [dhead[4], dhead[3] / L[1, 1]]])


def test_the_worked_elbo_of_a_full_covariance_and_its_gradient():
    elbo, dhead = sgvb_gradient(MODEL, HEAD, SIGMA_POINTS)
    assert abs(elbo + 4.1692640039) < 1e-10
    np.testing.assert_allclose(dhead[:2], [1.5, -0.586], rtol=0, atol=1e-10)
    np.testing.assert_allclose(entries_of_l(dhead), [[-1.442, 0], [-1.274, -0.4333333333]], rtol=0, atol=1e-10)


def test_the_worked_optimum_is_the_posterior_and_its_elbo_is_the_evidence():
    C = np.linalg.cholesky(np.linalg.inv(MODEL.precision))
    np.testing.assert_allclose(C, [[0.5557614313, 0], [-0.0444609145, 0.5345224838]], rtol=0, atol=1e-10)
    head = np.array([*MODEL.mean, *np.log(np.diag(C)), C[1, 0]])
    elbo, dhead = sgvb_gradient(MODEL, head, SIGMA_POINTS)
    assert elbo == pytest.approx(MODEL.log_evidence, abs=1e-12)
    np.testing.assert_allclose(dhead, 0, atol=1e-12)


def test_the_worked_variances_of_one_draw():
    """Var g_L_ij = rho_i^2 + |(P L)_i|^2 + (P L)_ij^2, by quadrature over the noise."""
    (eps, weights) = gauss_hermite(5, 2)
    eps = eps.reshape(-1, 2)
    each = np.array([entries_of_l(sgvb_gradient(MODEL, HEAD, e[None])[1]) for e in eps])
    mean = np.einsum("k,kij->ij", weights, each)
    variance = np.einsum("k,kij->ij", weights, np.square(each - mean))
    np.testing.assert_allclose(variance, [[16.771952, 0], [7.999548, 10.786472]], rtol=0, atol=1e-9)
    rho, PL = MODEL.precision @ (MODEL.mean - M), MODEL.precision @ L
    closed = np.square(rho)[:, None] + np.square(PL).sum(axis=1)[:, None] + np.square(PL)
    np.testing.assert_allclose(variance, np.tril(closed), atol=1e-10)


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
@pytest.mark.parametrize("model", [MODEL, NORMAL])
def test_the_path_is_the_derivative_of_its_own_estimate(model, covariance, rng):
    eps = rng.standard_normal((5, 2))
    head = 0.3 * rng.standard_normal(5 if covariance == "full" else 4)

    def value(h):
        return sgvb_gradient(model, h, eps, "path", covariance)[0]

    assert check_gradient(value, sgvb_gradient(model, head, eps, "path", covariance)[1], head).ok


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
@pytest.mark.parametrize("model", [MODEL, NORMAL])
def test_the_score_has_the_paths_mean(model, covariance):
    """Exactly, by quadrature over the noise of both of two draws."""
    nodes, weights = gauss_hermite(7, 2)
    nodes = nodes.reshape(-1, 2)
    head = np.array([0.3, 0.2, -0.4, -0.6, 0.25])[: 5 if covariance == "full" else 4]
    path = weights @ np.array([sgvb_gradient(model, head, e[None], "path", covariance)[1] for e in nodes])
    score = 0
    for i in range(len(nodes)):
        for j in range(i):  # both orders at once; of two equal draws the score is 0
            score += 2 * weights[i] * weights[j] * sgvb_gradient(model, head, nodes[[i, j]], "score", covariance)[1]
    np.testing.assert_allclose(score, path, atol=1e-10 if model is MODEL else 2e-3)


def test_the_score_with_two_draws_by_hand(rng):
    eps = rng.standard_normal((2, 2))
    _, dhead = sgvb_gradient(MODEL, HEAD, eps, "score")
    z = M + eps @ L.T
    log_q = -0.5 * np.square(eps).sum(axis=1) - np.log(2 * np.pi) - np.log(0.48)
    f = MODEL.log_joint(z) - log_q
    back = np.linalg.inv(L).T
    in_l = [np.outer(back @ e, e) - np.diag(1 / np.diag(L)) for e in eps]
    scores = [np.array([*(back @ e), g[0, 0], g[1, 0], g[1, 1]]) for e, g in zip(eps, in_l, strict=True)]
    exact = 0.5 * (f[0] - f[1]) * (scores[0] - scores[1])
    found = entries_of_l(dhead)
    np.testing.assert_allclose([*dhead[:2], found[0, 0], found[1, 0], found[1, 1]], exact, rtol=1e-10)


def test_the_score_is_unbiased(rng):
    exact = sgvb_gradient(MODEL, HEAD, SIGMA_POINTS)[1]
    draws = [sgvb_gradient(MODEL, HEAD, rng.standard_normal((4, 2)), "score")[1] for _ in range(1500)]
    assert_within_standard_errors(draws, exact)


@pytest.mark.parametrize("estimator", ["path", "score"])
def test_a_full_covariance_ends_at_the_exact_posterior(estimator):
    found = sgvb(LINEAR, np.random.default_rng(0), estimator)
    np.testing.assert_allclose(found.mean, LINEAR.mean, rtol=0, atol=2e-2)
    np.testing.assert_allclose(found.covariance, np.linalg.inv(LINEAR.precision), rtol=0, atol=2e-2)
    assert found.elbos[-100:].mean() == pytest.approx(LINEAR.log_evidence, abs=2e-2)
    np.testing.assert_array_equal(found.variances[-1], found.moments[1])
    np.testing.assert_array_equal(found.variances[0], 1)
    np.testing.assert_array_equal(found.means[-1], found.mean)


@pytest.mark.parametrize("estimator", ["path", "score"])
def test_a_diagonal_covariance_ends_at_the_mean_field(estimator):
    found, exact = sgvb(MODEL, np.random.default_rng(0), estimator, "diagonal"), mean_field_linear(MODEL)
    np.testing.assert_allclose(found.mean, exact.mean, rtol=0, atol=2e-2)
    np.testing.assert_allclose(found.covariance, np.diag(exact.variance), rtol=0, atol=2e-2)


@pytest.mark.parametrize("estimator", ["path", "score"])
def test_the_best_gaussian_of_a_normal_gamma(estimator):
    """N(m, b / (lambda a)) N(log(a / b) - v / 2, v), v = 1 / (a + 1/2): there E tau is exact."""
    p = NORMAL.posterior
    v = 1 / (p.shape + 0.5)
    found = sgvb(NORMAL, np.random.default_rng(0), estimator)
    np.testing.assert_allclose(found.mean, [p.mean, np.log(p.shape / p.rate) - v / 2], rtol=0, atol=2e-2)
    exact = np.diag([p.rate / (p.count * p.shape), v])
    np.testing.assert_allclose(found.covariance, exact, rtol=0, atol=2e-2)
    mean, variance = p.best_gaussian
    np.testing.assert_allclose(variance, np.diag(exact), rtol=1e-12)
    # the gradient there is 0
    head = np.array([*mean, *(0.5 * np.log(variance)), 0.0])
    nodes, weights = gauss_hermite(30, 2)
    each = [sgvb_gradient(NORMAL, head, e[None])[1] for e in nodes.reshape(-1, 2)]
    np.testing.assert_allclose(weights @ np.array(each), 0, atol=1e-10)


def test_at_the_exact_posterior_the_score_with_its_baseline_has_no_noise_and_the_path_has():
    C = np.linalg.cholesky(np.linalg.inv(MODEL.precision))
    head = np.array([*MODEL.mean, *np.log(np.diag(C)), C[1, 0]])
    eps = np.random.default_rng(0).standard_normal((8, 2))
    np.testing.assert_allclose(sgvb_gradient(MODEL, head, eps, "score")[1], 0, atol=1e-12)
    assert np.abs(sgvb_gradient(MODEL, head, eps, "path")[1]).max() > 0.05


def test_evaluations_and_what_is_refused(rng):
    assert sgvb(MODEL, rng, "path", n_steps=3, n_draws=4).n_evaluations == 24
    assert sgvb(MODEL, rng, "score", n_steps=3, n_draws=4).n_evaluations == 12
    with pytest.raises(ValueError, match="n_draws must be at least 2 for the score"):
        sgvb(MODEL, rng, "score", n_draws=1)
    with pytest.raises(ValueError, match="eps must hold at least 2 draws for the score"):
        sgvb_gradient(MODEL, HEAD, [[0.0, 1.0]], "score")
    with pytest.raises(ValueError, match="Did you mean 'path'"):
        sgvb(MODEL, rng, "pathwise")
    with pytest.raises(FloatingPointError, match="is not finite"):
        sgvb(NORMAL, rng, optimizer=SGD(1e6), n_steps=50)
