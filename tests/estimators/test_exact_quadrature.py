"""Exact moments on any cost: the closed forms where these are known, brute force where not, and None without either."""

import numpy as np
import pytest
from scipy import stats

from minivae.distributions.nodes import gauss_hermite
from minivae.estimators.costs import Cosine, Exponential, FunctionCost, Linear, Quadratic
from minivae.estimators.exact.costs import exact_moments
from minivae.estimators.exact.quadrature import quadrature_baseline, quadrature_moments
from minivae.estimators.moments import summarize
from minivae.estimators.on_costs import COST_ESTIMATORS, CostEstimator, LeaveOneOutScore, ScoreFunction
from tests.support import needs_jit

pytestmark = needs_jit

COSTS = [Linear(), Quadratic(3.0), Exponential(0.5), Cosine(0.8)]
PLACES = {1: (1.0, 1.5), 2: (np.array([0.5, -1.0]), np.array([0.7, 1.2]))}


def own(cost):
    """Return the same cost as one of which nothing is known."""
    return FunctionCost(cost.value, cost.gradient)


@pytest.mark.parametrize("n_latent", PLACES)
@pytest.mark.parametrize("cost", COSTS, ids=str)
@pytest.mark.parametrize("name", COST_ESTIMATORS)
def test_quadrature_gives_the_closed_forms(name, cost, n_latent):
    mu, sigma = PLACES[n_latent]
    for n_draws in (None, 50):
        found, exact = (
            quadrature_moments(name, own(cost), mu, sigma, n_draws),
            exact_moments(name, cost, mu, sigma, n_draws),
        )
        np.testing.assert_allclose(found.mean, exact.mean, rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(found.variance, exact.variance, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("n_latent", PLACES)
@pytest.mark.parametrize("cost", COSTS, ids=str)
def test_baselines_are_the_closed_ones(cost, n_latent):
    mu, sigma = (np.atleast_1d(value) for value in PLACES[n_latent])
    mean, optimal = (quadrature_baseline(rule, own(cost), mu, sigma) for rule in ("mean", "optimal"))
    np.testing.assert_allclose(mean, np.full((2, n_latent), cost.mean(mu, sigma)), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(optimal, cost.optimal_baseline(mu, sigma), rtol=1e-9, atol=1e-9)
    with pytest.raises(ValueError, match="rule must be one of mean, optimal"):
        quadrature_baseline("none", cost, mu, sigma)


def product(z):
    """Return a cost that is no sum over its two coordinates: sin z1 cos z2."""
    return np.sin(z[:, 0]) * np.cos(z[:, 1])


def product_slope(z):
    return np.stack([np.cos(z[:, 0]) * np.cos(z[:, 1]), -np.sin(z[:, 0]) * np.sin(z[:, 1])], axis=1)


@pytest.mark.parametrize("name", ["measure-valued", "measure-valued-uncoupled"])
def test_measure_valued_over_noise_of_all_five_kinds(name):
    # its noise, drawn a million times: brute force, in standard errors
    mu, sigma, rng = np.array([0.4, -0.3]), np.array([0.8, 1.1]), np.random.default_rng(5)
    cost, estimator = FunctionCost(product), COST_ESTIMATORS[name]
    rows = estimator.gradients(cost, mu, sigma, estimator.draw_noise(rng, 10**6, 2))
    summary = summarize(rows, quadrature_moments(name, cost, mu, sigma))
    assert np.abs(summary.z_mean).max() < 5
    assert np.abs(summary.z_variance).max() < 5


@pytest.mark.parametrize("n_group", [2, 3])
def test_leave_one_out_over_all_sequences_of_nodes(n_group):
    mu, sigma, cost = np.array([0.4]), np.array([0.6]), FunctionCost(lambda z: np.sin(z[:, 0]) + z[:, 0] ** 2)
    x, w = gauss_hermite(14, n_group)  # all groups of n_group draws
    estimator = LeaveOneOutScore(n_group)
    means = np.array([estimator.gradients(cost, mu, sigma, e.reshape(-1, 1, 1)).mean(axis=0).ravel() for e in x])
    found = quadrature_moments(estimator, cost, mu, sigma)
    np.testing.assert_allclose(found.mean.ravel(), w @ means, rtol=1e-8)
    np.testing.assert_allclose(found.variance.ravel(), n_group * (w @ (means - w @ means) ** 2), rtol=1e-7)


def test_the_score_of_a_step_is_that_of_a_probability():
    # f = 1 where z > t: E f = P(z > t), and (f - c)^2 s^2 are truncated moments
    t, mu, sigma = 0.3, 0.1, 1.2
    a = (t - mu) / sigma
    cost, phi, tail = FunctionCost(lambda z: (z[:, 0] > t).astype(float)), stats.norm.pdf(a), stats.norm.sf(a)
    found = quadrature_moments("score", cost, mu, sigma)
    mean = np.array([phi, a * phi]) / sigma
    square = np.array([tail + a * phi, 2 * tail + (a**3 + a) * phi]) / sigma**2  # E f eps^2, E f (eps^2 - 1)^2
    # within a tenth of the standard errors of a million draws, as promised
    np.testing.assert_allclose(found.mean.ravel(), mean, atol=1e-4 * np.sqrt(square).min())
    np.testing.assert_allclose(found.variance.ravel(), square - mean**2, rtol=2e-4)
    # whose derivative is zero almost everywhere: the mean is the gradient all the same, which no path finds
    path = quadrature_moments("pathwise", FunctionCost(cost.f, lambda z: 0 * z), mu, sigma)
    np.testing.assert_allclose(path.mean.ravel(), mean, atol=1e-4)
    np.testing.assert_array_equal(path.variance, 0)


def test_the_mean_needs_no_derivative_so_a_wrong_one_shows():
    wrong = FunctionCost(lambda z: np.sin(z[:, 0]), lambda z: 1.1 * np.cos(z))
    mean = quadrature_moments("pathwise", wrong, 0.4, 0.9).mean[0, 0]
    np.testing.assert_allclose(mean, np.cos(0.4) * np.exp(-(0.9**2) / 2), rtol=1e-9)


@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_a_constant_has_no_gradient(offset):
    cost = FunctionCost(lambda z: np.full(len(z), offset), lambda z: 0 * z)
    for name in COST_ESTIMATORS:
        found = quadrature_moments(name, cost, np.zeros(2), np.ones(2))
        np.testing.assert_array_equal(found.mean, 0)
        if not name.startswith("score") or name in ("score-mean", "score-optimal", "score-leave-one-out"):
            np.testing.assert_allclose(found.variance, 0, atol=1e-20)
    # one draw of (f - 0) s has the variance f^2 E s^2
    np.testing.assert_allclose(
        quadrature_moments("score", cost, 0.0, 2.0).variance.ravel(), offset**2 / np.array([4, 2])
    )


def test_a_symmetric_cost_has_no_gradient_at_its_centre():
    # there both draws of a coupled pair have one f: no mean, no variance, and no rounding in either
    cost = FunctionCost(lambda z: np.cos(z).sum(axis=1))
    found = quadrature_moments("measure-valued", cost, np.zeros(2), np.ones(2))
    np.testing.assert_array_equal([found.mean[0], found.variance[0]], 0)


@pytest.mark.parametrize(
    ("f", "why"),
    [
        (lambda z: np.exp(0.3 * z[:, 0] ** 2), "no variance"),
        (lambda z: 1 / (z[:, 0] - 0.3), "no mean"),
        (lambda z: np.log(z[:, 0] + 4), "no value beyond four standard deviations"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_what_does_not_settle_is_not_known(f, why):
    assert quadrature_moments("score", FunctionCost(f), 0.0, 1.0) is None, why
    assert quadrature_baseline("mean", FunctionCost(f), 0.0, 1.0) is None or why == "no variance"


def test_a_wave_that_fits_grids_of_half_steps_is_not_taken_for_a_constant():
    cost = FunctionCost(lambda z: np.cos(80 * np.pi * z[:, 0]))  # 1 at every multiple of 0.1, 0.05 and 0.025
    np.testing.assert_allclose(quadrature_baseline("mean", cost, 0.0, 1.0), 0, atol=1e-12)


def test_only_one_and_two_dimensions_are_integrated():
    assert quadrature_moments("score", Quadratic(), np.zeros(3), np.ones(3)) is None
    assert quadrature_baseline("mean", Quadratic(), np.zeros(3), np.ones(3)) is None


class Unknown(CostEstimator):
    """An estimator of whose rows nothing is known."""


def test_arguments_are_checked():
    cost = FunctionCost(lambda z: z.sum(axis=1))
    assert quadrature_moments(Unknown(), cost, 0.0, 1.0) is None
    with pytest.raises(ValueError, match="Did you mean 'pathwise'"):
        quadrature_moments("pathwize", cost, 0.0, 1.0)
    with pytest.raises(ValueError, match="sigma must be a positive standard deviation"):
        quadrature_moments("score", cost, 0.0, -1.0)
    with pytest.raises(ValueError, match="df must be given for an estimator that differentiates"):
        quadrature_moments("pathwise", cost, 0.0, 1.0)
    with pytest.raises(ValueError, match="cost.value must give real numbers of shape"):
        quadrature_moments("score", FunctionCost(lambda z: z), 0.0, 1.0)
    with pytest.raises(ValueError, match="n_draws must be an integer of at least 1, got 0"):
        quadrature_moments("score-moving-average", cost, 0.0, 1.0, 0)
    number = quadrature_moments(ScoreFunction(np.array([[1.0], [2.0]])), cost, 0.0, 1.0)  # Var* + (c - c*)^2 E s^2
    best = quadrature_moments("score-optimal", cost, 0.0, 1.0)
    np.testing.assert_allclose(number.variance - best.variance, [[1.0], [8.0]], rtol=1e-9)
