"""Laplace's approximation: exact for a Gaussian, its closed form for a Normal-Gamma, and what has no mode."""

import math

import numpy as np
import pytest

from minivae.classical.bayesian_linear import BayesianLinear
from minivae.classical.laplace_approximation import laplace
from minivae.classical.normal_gamma import NormalGamma, UnknownNormal
from minivae.core.errors import NonFiniteError

NORMAL = UnknownNormal([1.2, -0.4, 0.7, 2.1, 0.3], NormalGamma(0.0, 1.0, 2.0, 1.0))


def test_a_gaussian_posterior_is_found_in_one_step(rng):
    model = BayesianLinear(rng.standard_normal((6, 3)), rng.standard_normal(6), 1.7, 0.4)
    found = laplace(model, rng.standard_normal(3))
    np.testing.assert_allclose(found.mean, model.mean, rtol=1e-10)
    np.testing.assert_allclose(found.covariance, np.linalg.inv(model.precision), rtol=1e-10)
    assert found.log_evidence == pytest.approx(model.log_evidence, abs=1e-10)
    assert len(found.path) == 2
    assert found.n_evaluations == 1 + 2 + 1 + 2
    np.testing.assert_array_equal(found.moments[1], np.diag(found.covariance))


@pytest.mark.parametrize("start", [[0.0, 0.0], [3.0, 4.0], [-2.0, -3.0]])
def test_the_normal_gamma_in_closed_form(start):
    p = NORMAL.posterior
    found = laplace(NORMAL, start, tolerance=1e-20)
    tau = (p.shape + 0.5) / p.rate
    np.testing.assert_allclose(found.mean, [p.mean, math.log(tau)], atol=1e-9)
    np.testing.assert_allclose(found.covariance, [[1 / (p.count * tau), 0], [0, 1 / (p.shape + 0.5)]], atol=1e-9)
    np.testing.assert_allclose(p.laplace_moments, found.moments, atol=1e-9)
    # the integral of p(z | x) that it takes for 1
    a = p.shape
    log_mass = 0.5 * math.log(2 * math.pi) - math.lgamma(a) + (a - 0.5) * math.log(a + 0.5) - (a + 0.5)
    assert found.log_evidence - NORMAL.log_evidence == pytest.approx(log_mass, abs=1e-9)
    values = NORMAL.log_joint(found.path)
    assert (np.diff(values) > 0).all()


class Saddle:
    """-(z_1^2 - 1)^2 - z_2^2: two modes, and a saddle at 0 between them."""

    n_latent = 2

    def log_joint(self, z):
        return -((z[:, 0] ** 2 - 1) ** 2) - z[:, 1] ** 2

    def slope(self, z):
        return np.stack([-4 * z[:, 0] * (z[:, 0] ** 2 - 1), -2 * z[:, 1]], axis=1)

    def curvature(self, z):
        return np.array([[[-12 * a**2 + 4, 0], [0, -2.0]] for a in z[:, 0]])


def test_where_the_curvature_points_up_it_walks_to_a_mode():
    found = laplace(Saddle(), [0.1, 0.5])
    np.testing.assert_allclose(found.mean, [1, 0], atol=1e-5)
    np.testing.assert_allclose(found.covariance, [[1 / 8, 0], [0, 1 / 2]], atol=1e-4)


def test_what_is_refused():
    class Slope(Saddle):
        def log_joint(self, z):
            return z[:, 0]

        def slope(self, z):
            return np.stack([np.ones(len(z)), 0 * z[:, 0]], axis=1)

        def curvature(self, z):
            return np.zeros((len(z), 2, 2)) - 1e-3 * np.eye(2)

    with pytest.raises(NonFiniteError, match="no finite mode of log p"):
        laplace(Slope(), [0.0, 0.0], n_steps=5)

    class Wrong(Saddle):
        def slope(self, z):
            return -super().slope(z)

    with pytest.raises(NonFiniteError, match="does not rise along Newton's step. Is its slope right?"):
        laplace(Wrong(), [2.0, 0.5])
    with pytest.raises(ValueError, match=r"start must have shape \(2,\), got \(1,\)"):
        laplace(Saddle(), [0.0])
    with pytest.raises(ValueError, match="start must have a finite log p"):
        laplace(NORMAL, [0.0, 1000.0])
    with pytest.raises(ValueError, match="joint must be an object with n_latent, log_joint, slope, curvature"):
        laplace(None, [0.0])
