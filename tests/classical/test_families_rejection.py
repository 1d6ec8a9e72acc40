"""Gamma, beta and Dirichlet by rejection: exact gradients by quadrature over the accepted noise, and its draws."""

import numpy as np
import pytest
from scipy import special, stats

from minivae.classical.families import (
    Beta,
    BetaByRejection,
    Dirichlet,
    DirichletByRejection,
    Gamma,
    GammaByRejection,
    uniform_nodes,
)


def eps_nodes(alpha, n=200):
    """Return Gauss-Legendre nodes from where v = 0 to where no mass is left."""
    x, w = np.polynomial.legendre.leggauss(n)
    low, high = -np.sqrt(9 * alpha - 3), 11.0
    return low + (high - low) * (x + 1) / 2, w * (high - low) / 2


def gamma_nodes(alpha, boost):
    """Return noise and weights of the accepted noise with up to one uniform number."""
    one = GammaByRejection(alpha, boost=boost)
    eps, w = eps_nodes(alpha + boost)
    if not boost:
        return one, eps[:, None], w * np.exp(one.log_noise(eps[:, None]))
    u, wu = uniform_nodes(0.05)
    noise = np.stack(np.meshgrid(eps, u, indexing="ij"), axis=-1).reshape(-1, 2)
    return one, noise, np.multiply.outer(w, wu).ravel() * np.exp(one.log_noise(noise))


def test_the_known_gradient_and_its_variance():
    one, u, w = gamma_nodes(2.0, 0)
    z, path, correction = one.sample(u), one.path(u)[0], one.correction(u)[0]
    assert w @ path == pytest.approx(1.0054843441, abs=1e-9)
    assert w @ (z * correction) == pytest.approx(-0.0054843441, abs=1e-9)
    assert w @ (path + z * correction) ** 2 - 1 == pytest.approx(0.1411546442, abs=1e-9)


@pytest.mark.parametrize(("alpha", "boost"), [(1.0, 0), (2.0, 0), (7.5, 0), (0.3, 1), (1.0, 1), (2.0, 1)])
def test_path_and_correction_together_are_right(alpha, boost):
    one, u, w = gamma_nodes(alpha, boost)
    z, path, correction = one.sample(u), one.path(u)[0], one.correction(u)[0]
    assert w.sum() == pytest.approx(1, abs=1e-9)
    assert w @ z == pytest.approx(alpha, abs=1e-9)
    assert w @ z**2 == pytest.approx(alpha * (alpha + 1), abs=1e-8)
    assert w @ correction == pytest.approx(0, abs=1e-8)
    assert w @ (path + z * correction) == pytest.approx(1, abs=1e-8)
    assert w @ (2 * z * path + z**2 * correction) == pytest.approx(2 * alpha + 1, abs=1e-8)
    assert abs(w @ path - 1) > 1e-6  # without the correction it is biased
    np.testing.assert_array_equal(one.correction(u)[1], 0)


def test_a_boost_makes_the_correction_smaller():
    sizes = [w @ one.correction(u)[0] ** 2 for one, u, w in (gamma_nodes(2.0, 0), gamma_nodes(2.0, 1))]
    assert sizes[1] < sizes[0] / 2


@pytest.mark.parametrize("boost", [1, 3])
def test_boosted_draws_are_the_formula(boost):
    one, u = GammaByRejection(0.4, 2.0, boost), np.linspace(0.2, 0.6, 1 + boost)
    inner = GammaByRejection(0.4 + boost, boost=0).sample(u[:1])
    z = 2 * inner * np.prod([u[i] ** (1 / (0.4 + i - 1)) for i in range(1, boost + 1)])
    assert one.sample(u) == pytest.approx(z, rel=1e-14)


@pytest.mark.parametrize(("alpha", "boost"), [(1.0, 0), (0.2, 1), (2.5, 2), (np.array([0.3, 4.0]), 1)])
def test_accepted_draws_have_the_distribution(alpha, boost):
    one = GammaByRejection(alpha, 0.5, boost)
    n = 4000
    noise = one.noise(np.random.default_rng(0), (n, *np.shape(alpha)))
    z = one.sample(noise)
    for x, a in zip(np.reshape(z, (n, -1)).T, np.ravel(alpha), strict=True):
        assert stats.kstest(x, stats.gamma(a, scale=0.5).cdf).pvalue > 1e-4
        assert abs(x.mean() - a / 2) < 5 * np.sqrt(a / n) / 2


def test_the_proposal_is_accepted_as_often_as_known():
    # pi is the normal density times the acceptance, over the share that is accepted: 0.95 at alpha = 1
    alpha = 1.0
    one, u, w = gamma_nodes(alpha, 0)
    d = alpha - 1 / 3
    level = np.exp(0.5 * u[:, 0] ** 2 + d - d * (1 + u[:, 0] / np.sqrt(9 * d)) ** 3) * (
        1 + u[:, 0] / np.sqrt(9 * d)
    ) ** (3 * d)
    ratio = np.exp(one.log_noise(u)) / (stats.norm.pdf(u[:, 0]) * level)
    np.testing.assert_allclose(ratio[w > 1e-12], ratio[100], rtol=1e-10)
    assert 1 / ratio[100] == pytest.approx(0.9516, abs=1e-3)


def pairs(a, b):
    (x, w), (y, v) = eps_nodes(a, 120), eps_nodes(b, 120)
    noise = np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2, 1)
    return noise, np.multiply.outer(w, v).ravel()


def test_beta_and_dirichlet_by_rejection():
    a, b = 2.0, 1.5
    noise, weight = pairs(a, b)
    beta, two = BetaByRejection(a, b, boost=0), DirichletByRejection([a, b], boost=0)
    w = weight * np.exp(beta.log_noise(noise))
    z = beta.sample(noise)
    assert w @ z == pytest.approx(a / (a + b), abs=1e-9)
    gradient = (beta.path(noise) + z * beta.correction(noise)) @ w
    np.testing.assert_allclose(gradient, np.array([b, -a]) / (a + b) ** 2, atol=1e-9)
    np.testing.assert_allclose(two.sample(noise)[:, 0], z, rtol=1e-13)
    np.testing.assert_allclose(two.path(noise)[:, :, 0], beta.path(noise), rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(two.correction(noise), beta.correction(noise), rtol=1e-13)
    np.testing.assert_allclose(two.log_noise(noise), beta.log_noise(noise), rtol=1e-13)


def test_draws_of_beta_and_dirichlet_have_their_moments():
    n, rng = 4000, np.random.default_rng(1)
    beta = BetaByRejection(0.5, 2.0)
    z = beta.sample(beta.noise(rng, (n,)))
    assert stats.kstest(z, stats.beta(0.5, 2.0).cdf).pvalue > 1e-4
    alpha = np.array([0.5, 2.0, 1.5])
    one = DirichletByRejection(alpha)
    z = one.sample(one.noise(rng, (n,)))
    mean = alpha / alpha.sum()
    error = np.sqrt(mean * (1 - mean) / (alpha.sum() + 1) / n)
    assert (np.abs(z.mean(axis=0) - mean) < 5 * error).all()
    implicit = Dirichlet(alpha).sample(Dirichlet(alpha).noise(rng, (n,)))
    assert (np.abs(implicit.mean(axis=0) - mean) < 5 * error).all()


def test_densities_are_those_of_the_families_themselves():
    z = np.array([0.2, 0.7])
    for one, other in ((GammaByRejection(2.0, 0.7), Gamma(2.0, 0.7)), (BetaByRejection(2.0, 0.7), Beta(2.0, 0.7))):
        np.testing.assert_array_equal(one.log_prob(z), other.log_prob(z))
        np.testing.assert_array_equal(one.score(z), other.score(z))


def test_what_is_refused():
    with pytest.raises(ValueError, match="boost must lift every shape to 1, got 0 for a shape of 0.5. Use boost=1."):
        GammaByRejection(0.5, boost=0)
    with pytest.raises(ValueError, match="boost must lift every shape to 1, got 0 for a shape of 0.5"):
        BetaByRejection(2.0, 0.5, boost=0)
    with pytest.raises(ValueError, match="u must be accepted noise, got -6. Draw it with noise"):
        GammaByRejection(2.0, boost=0).sample([-6.0])
    with pytest.raises(ValueError, match="u must be uniform numbers after the first"):
        GammaByRejection(2.0).sample([0.3, 1.2])
    with pytest.raises(ValueError, match=r"the noise must have a shape that goes with that of the parameters, \(2,\)"):
        GammaByRejection(np.ones(2)).noise(np.random.default_rng(0), (3,))
    with pytest.raises(ValueError, match=r"u must have shape \(..., 2, 2\), got \(2,\)"):
        BetaByRejection(2.0, 2.0).sample([0.3, 0.2])


def test_score_and_rejection_estimate_the_same():
    assert special.polygamma(1, 2.0) == pytest.approx(0.6449340668, abs=1e-9)
    one, u, w = gamma_nodes(2.0, 0)  # f = log z
    z = one.sample(u)
    assert w @ (one.path(u)[0] / z + np.log(z) * one.correction(u)[0]) == pytest.approx(0.6449340668, abs=1e-8)
