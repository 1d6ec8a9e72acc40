"""Costs with closed-form moments, against numerical integration."""

import numpy as np
import pytest

from minivae.distributions.nodes import normal_nodes
from minivae.estimators.costs import Cosine, Exponential, FunctionCost, Linear, Quadratic
from minivae.estimators.on_costs import Pathwise, ScoreFunction

COSTS = [Linear(), Quadratic(-0.7), Exponential(0.6), Exponential(0.0), Cosine(1.3), Cosine(-0.4)]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("cost", COSTS, ids=str)
def test_moments_are_the_integrals(cost, seed):
    rng = np.random.default_rng(seed)
    mu, sigma = rng.normal(size=3), rng.uniform(0.3, 1.5, 3)
    eps, w = normal_nodes()
    u = sigma * eps[:, 0]
    for n in range(5):
        for power in (0, 1, 2):
            expected = w @ (cost.each(mu + u) ** power * u**n)
            np.testing.assert_allclose(cost.moment(power, n, mu, sigma), expected, rtol=1e-11, atol=1e-11)
        if n in (0, 2):
            expected = w @ (cost.slope(mu + u) ** 2 * u**n)
            np.testing.assert_allclose(cost.slope_moment(n, mu, sigma), expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("cost", COSTS, ids=str)
def test_no_other_baseline_has_less_variance_than_the_optimal_one(cost, seed):
    # E (f - c)^2 s^2 is a parabola in c, here of two coordinates, integrated over a grid
    rng = np.random.default_rng(seed)
    mu, sigma = rng.normal(size=2), rng.uniform(0.3, 1.5, 2)
    eps, w = normal_nodes(2)
    eps = eps[:, 0]
    f, score = cost.value(mu + sigma * eps), np.stack([eps, eps**2 - 1], axis=1) / sigma
    best = np.einsum("k,k,kpd->pd", w, f, score**2) / np.einsum("k,kpd->pd", w, score**2)
    np.testing.assert_allclose(cost.optimal_baseline(mu, sigma), best, rtol=1e-10, atol=1e-10)


def test_parameters_are_checked():
    with pytest.raises(ValueError, match="k must be a finite number at least 0, got -1"):
        Exponential(-1.0)
    for cost in (Quadratic, Cosine):
        with pytest.raises(ValueError, match="k must be a finite number"):
            cost(np.nan)


@pytest.mark.parametrize(
    ("f", "message"),
    [
        (lambda z: z, r"cost.value must give real numbers of shape \(3,\) for z of shape \(3, 1\)"),
        (lambda z: 1.0, r"got dtype float64 and shape \(\)"),  # noqa: ARG005
        (lambda z: [[1.0], [2.0, 3.0], [4.0]], "cost.value must be an array, got rows of different lengths"),  # noqa: ARG005
        (lambda z: z[:, 0] * 1j, "got dtype complex128"),
        (lambda z: np.where(np.arange(3) == 1, np.nan, z[:, 0]), r"must be finite, got nan at draw 1, z = \[2.\]"),
        (lambda z: np.where(np.arange(3) == 2, -np.inf, z[:, 0]), r"must be finite, got -inf at draw 2"),
    ],
)
def test_a_cost_that_goes_wrong_is_told_where(f, message):
    noise = np.array([1.0, 2.0, 3.0])[:, None, None]
    with pytest.raises(ValueError, match=message):
        ScoreFunction().gradients(FunctionCost(f), 0.0, 1.0, noise)


def test_a_gradient_that_goes_wrong_is_told_where():
    noise = np.array([1.0, 2.0, 3.0])[:, None, None]
    cost = FunctionCost(lambda z: z[:, 0], lambda z: z[:, 0])
    with pytest.raises(ValueError, match=r"cost.gradient must give real numbers of shape \(3, 1\)"):
        Pathwise().gradients(cost, 0.0, 1.0, noise)
    cost = FunctionCost(lambda z: z[:, 0], lambda z: np.where(z == 2, np.nan, z))
    with pytest.raises(ValueError, match=r"cost.gradient must be finite, got \[nan\] at draw 1"):
        Pathwise().gradients(cost, 0.0, 1.0, noise)


@pytest.mark.parametrize("estimator", [ScoreFunction(), Pathwise()])
def test_a_bare_function_is_no_cost(estimator):
    with pytest.raises(ValueError, match="got the function .*. Wrap a function in FunctionCost"):
        estimator.gradients(lambda z: z[:, 0], 0.0, 1.0, np.ones((3, 1, 1)))


def test_pathwise_needs_a_gradient_and_says_what_does_not():
    with pytest.raises(ValueError, match=r"df must be given .* choose a score-function or measure-valued estimator"):
        Pathwise().gradients(FunctionCost(lambda z: z[:, 0]), 0.0, 1.0, np.ones((1, 1, 1)))
