"""Implicit paths of gamma, beta and Dirichlet: beside differences of scipy's incomplete functions, in all regimes."""

import itertools

import numpy as np
import pytest
from scipy import special

from minivae.classical.families import Beta, Dirichlet, Gamma, uniform_nodes
from minivae.classical.families.quadrature import half_line

U = np.array([1e-12, 1e-8, 1e-4, 0.01, 0.2, 0.5, 0.8, 0.99, 1 - 1e-6, 1 - 1e-10])


def slope(f, x):
    """Return df/dx by central differences of the fourth order."""
    h = 1e-4 * x
    return (8 * (f(x + h) - f(x - h)) - f(x + 2 * h) + f(x - 2 * h)) / (12 * h)


@pytest.mark.parametrize("alpha", [0.3, 0.9, 1.0, 1.5, 3.0, 20.0, 300.0])
def test_gamma_beside_differences_of_its_cdf(alpha):
    z = special.gammaincinv(alpha, U)
    cdf_slope = slope(lambda a: np.where(U < 0.5, special.gammainc(a, z), -special.gammaincc(a, z)), alpha)
    gamma = Gamma(alpha, 2.0)
    np.testing.assert_allclose(gamma.path(U)[0], -cdf_slope / np.exp(gamma.log_prob(2 * z)), rtol=1e-9)
    np.testing.assert_allclose(gamma.path(U)[1], z, rtol=1e-14)


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.3, 1.0, 20.0, 1e4, 1e6])
def test_gamma_beside_differences_of_its_quantile(alpha):
    u = U[special.gammaincinv(alpha, U) > 1e-280]
    wanted = slope(lambda a: np.log(special.gammaincinv(a, u)), alpha)
    gamma = Gamma(alpha)
    np.testing.assert_allclose(gamma.path(u)[0] / gamma.sample(u), wanted, rtol=1e-7)


@pytest.mark.parametrize(("a", "b"), list(itertools.product([0.3, 2.0, 30.0, 1e3], repeat=2)))
def test_beta_beside_differences_of_its_cdf(a, b):
    u = U[special.betaincinv(a, b, U) < 1 - 1e-9]
    z = special.betaincinv(a, b, u)

    def cdf(a, b):
        return np.where(u < 0.5, special.betainc(a, b, z), -special.betaincc(a, b, z))

    wanted = np.stack([slope(lambda a: cdf(a, b), a), slope(lambda b: cdf(a, b), b)]) / -np.exp(Beta(a, b).log_prob(z))
    np.testing.assert_allclose(Beta(a, b).path(u), wanted, rtol=2e-8)


@pytest.mark.parametrize(("a", "b"), list(itertools.product([0.01, 0.3, 1.0, 30.0], repeat=2)))
def test_beta_mirrored_is_beta(a, b):
    u = np.array([1e-4, 0.01, 0.25, 0.5, 0.875, 0.99])
    np.testing.assert_allclose(Beta(a, b).path(u), -Beta(b, a).path(1 - u)[::-1], rtol=1e-10, atol=1e-300)


def test_beta_with_one_shape_of_one_has_a_formula():
    u = np.array([1e-9, 0.01, 0.5, 0.99])
    for a in (0.02, 0.5, 7.0):
        z = u ** (1 / a)
        np.testing.assert_allclose(Beta(a, 1.0).path(u)[0], -z * np.log(u) / a**2, rtol=1e-12)


@pytest.mark.parametrize("a", [0.003, 0.05, 0.5, 3.0, 40.0])
def test_beta_with_a_shape_of_two_has_a_cdf(a):
    # F = (a + 1) z^a - a z^(a + 1)
    z = np.array([1e-30, 0.01, 0.3, 0.7, 0.95])
    u = (a + 1) * z**a - a * z ** (a + 1)
    z, u = z[u > 1e-15], u[u > 1e-15]
    cdf_slope = z**a * (1 + (a + 1) * np.log(z)) - z ** (a + 1) * (1 + a * np.log(z))
    wanted = -cdf_slope / (a * (a + 1) * z ** (a - 1) * (1 - z))
    np.testing.assert_allclose(Beta(a, 2.0).path(u)[0], wanted, rtol=1e-9)
    inner = z > 1e-3  # 1 - u has few digits of a u that is small
    np.testing.assert_allclose(Beta(2.0, a).path(1 - u[inner])[1], -wanted[inner], rtol=1e-6)


def test_draws_that_underflow_lie_just_inside_the_support_and_do_not_move():
    gamma = Gamma(0.01)
    assert 0 < gamma.sample(1e-6) < 1e-300
    assert np.isfinite(gamma.log_prob(gamma.sample(1e-6)))
    np.testing.assert_array_equal(gamma.path(1e-6), 0)
    np.testing.assert_allclose(Beta(0.01, 2.0).path(1e-6), 0, atol=1e-300)
    np.testing.assert_allclose(Beta(2.0, 0.01).path(1 - 1e-6), 0, atol=1e-300)
    assert 1 - 1e-15 < Beta(2.0, 0.01).sample(1 - 1e-6) < 1


def test_a_dirichlet_of_tiny_concentrations_is_on_the_simplex():
    # log g = (log u + log Gamma(alpha + 1)) / alpha, far below what a float64 holds
    one, u = Dirichlet([0.001, 0.001]), np.array([0.2, 0.21])
    ratio = np.log(u[1] / u[0]) / 0.001
    z = one.sample(u)
    np.testing.assert_allclose(z, [np.exp(-ratio), 1], rtol=1e-9)
    # log of z_1 : z_2 is (log u_1 - log u_2) / alpha + ..., whose slope in alpha_1 is -log u_1 / alpha^2 - ...
    moved = slope(lambda a: (np.log(0.2) + special.gammaln(a + 1)) / a, 0.001)
    np.testing.assert_allclose(one.path(u)[0] / (z[0] * z[1]), [moved, -moved], rtol=1e-9)


def test_a_dirichlet_of_two_is_a_beta():
    a, b = 2.0, 0.7
    u, w = uniform_nodes(0.1)
    grid, weights = np.stack(np.meshgrid(u, u, indexing="ij"), axis=-1), np.multiply.outer(w, w)
    one = Dirichlet([a, b])
    z, path = one.sample(grid), one.path(grid)
    np.testing.assert_allclose(z.sum(axis=-1), 1, rtol=1e-15)
    np.testing.assert_allclose(path.sum(axis=-1), 0, atol=1e-12)
    # d E[z_j] / dalpha_i of E[z] = alpha / sum, and the same through the score
    wanted = np.array([[b, -b], [-a, a]]) / (a + b) ** 2
    np.testing.assert_allclose(np.einsum("kl,iklj->ij", weights, path), wanted, atol=1e-9)
    inner = ((z > 0) & (z < 1)).all(axis=-1)
    some = np.einsum("k,ik,kj->ij", weights[inner], one.score(z[inner]), z[inner])
    np.testing.assert_allclose(some, wanted, atol=1e-9)
    np.testing.assert_allclose(one.log_prob(z[5:9, 30]), Beta(a, b).log_prob(z[5:9, 30, 0]), rtol=1e-9)
    np.testing.assert_allclose(one.score(z[5:9, 30]), Beta(a, b).score(z[5:9, 30, 0]), rtol=1e-9)


def test_the_slope_of_half_a_mean_square():
    # E[z^2] / 2 = alpha (alpha + 1) scale^2 / 2
    u, w = uniform_nodes()
    gamma = Gamma(1.0, 1.0)
    assert w @ (gamma.sample(u) * gamma.path(u)[1]) == pytest.approx(2, abs=1e-9)
    assert w @ (gamma.sample(u) * gamma.path(u)[0]) == pytest.approx(1.5, abs=1e-9)  # alpha + 1/2


@pytest.mark.parametrize("rate", [1e-3, 1.0, 1e5])
def test_integrals_over_a_half_line(rate):
    rate = np.array([rate, 2 * rate])
    np.testing.assert_allclose(half_line(lambda s: np.exp(-rate * s), 1 / rate), 1 / rate, rtol=1e-13)
    np.testing.assert_allclose(
        half_line(lambda s: np.exp(-((rate * s) ** 2)), 1 / rate), np.sqrt(np.pi) / 2 / rate, rtol=1e-13
    )


def test_uniform_nodes():
    u, w = uniform_nodes()
    assert ((u > 0) & (u < 1)).all()
    for power in (-0.5, 0, 1, 7):
        assert w @ u**power == pytest.approx(1 / (power + 1), abs=1e-12)
    assert w @ np.log(u) ** 2 == pytest.approx(2, abs=1e-12)
