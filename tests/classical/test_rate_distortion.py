"""The linear beta-VAE: its closed form, the rate-distortion curve of a Gaussian, and a training that ends there."""

import numpy as np
import pytest

from minivae.classical.probabilistic_pca import ppca_optimum
from minivae.classical.rate_distortion import beta_vae_optimum, reverse_water_filling
from minivae.distributions.likelihoods import Gaussian
from minivae.estimators import Elbo
from minivae.models.vae import VAE
from minivae.studies.quadrature_training import axis_nodes, minimise
from tests.support import exact_covariance_data

EIG = [4.0, 2.0, 1.0, 0.5]
# worked out apart from this package: beta, s2 -> objective, squared weights, rate, distortion
FIXED = {
    (1.0, 0.7): (-6.3942802888, [3.3, 1.3, 0.3, 0.0], 1.5747331867, 2.6),
    (2.0, 0.7): (-7.4403298848, [2.6, 0.6, 0.0, 0.0], 0.7032485342, 4.3),
    (4.0, 0.7): (-8.1757541328, [1.2, 0.0, 0.0, 0.0], 0.5 * np.log(4 / 2.8), 6.3),
    (1.0, 1.5): (-6.6209400118, [2.5, 0.5, 0.0, 0.0], 0.5 * np.log(8 / 2.25), 4.5),
}


@pytest.mark.parametrize(("beta", "s2"), FIXED)
def test_the_optimum_at_a_given_variance(beta, s2):
    best = beta_vae_optimum(EIG, beta, s2=s2)
    objective, weights, rate, distortion = FIXED[beta, s2]
    assert abs(best.objective - objective) < 1e-9
    np.testing.assert_allclose(best.squared_weights, weights, atol=1e-12)
    assert abs(best.rate - rate) < 1e-9
    assert abs(best.distortion - distortion) < 1e-12
    assert (best.rate, best.distortion) == pytest.approx(reverse_water_filling(EIG, beta * s2))
    assert best.elbo == pytest.approx(objective + (beta - 1) * rate)
    np.testing.assert_allclose(best.variances, np.minimum(beta * s2 / np.array(EIG), 1))


@pytest.mark.parametrize(("beta", "s2", "n_kept"), [(0.5, 0.5, 2), (1.0, 0.75, 2), (1.5, 1.4, 1)])
def test_the_optimum_with_a_learned_variance(beta, s2, n_kept):
    best = beta_vae_optimum(EIG, beta, n_latent=2)
    assert best.s2 == pytest.approx(s2, rel=1e-12)
    assert best.n_kept == n_kept
    # no other variance does better
    others = [beta_vae_optimum(EIG, beta, 2, s2=v).objective for v in np.linspace(0.2, 3, 600)]
    assert max(others) <= best.objective + 1e-12


def test_at_beta_one_it_is_probabilistic_pca():
    best = beta_vae_optimum([5, 3, 1.2, 0.6, 0.4], 1.0, 2)
    assert (best.objective, best.s2) == pytest.approx(ppca_optimum(np.array([5, 3, 1.2, 0.6, 0.4]), 2), rel=1e-12)
    assert best.elbo == best.objective


@pytest.mark.parametrize("beta", [0.5, 1.0, 1.9999, 2.0, 2.0001, 4.0, 50.0])
def test_a_latent_collapses_where_its_eigenvalue_is_at_most_beta_times_the_variance(beta):
    best = beta_vae_optimum(EIG, beta, s2=0.5)
    assert best.n_kept == sum(value > beta * 0.5 for value in EIG)
    np.testing.assert_array_equal(best.squared_weights > 0, np.array(EIG) > beta * 0.5)


def test_the_curve_falls_and_its_slope_is_minus_half_the_inverse_level():
    levels = np.linspace(0.05, 3.9, 400)
    R, D = np.transpose([reverse_water_filling(EIG, t) for t in levels])
    assert (np.diff(R) < 0).all()
    assert (np.diff(D) > 0).all()
    slope = np.diff(R) / np.diff(D)  # dR/dD = -1 / (2 level)
    assert np.all(slope < -0.5 / levels[1:] + 1e-12)
    assert np.all(slope > -0.5 / levels[:-1] - 1e-12)
    assert reverse_water_filling(EIG, 4.0) == (0.0, 7.5)


def trained(beta, s2, n_latent, rng, learned=False, seed=0):
    x = exact_covariance_data(EIG, 40, rng)
    model = VAE.mlp(4, n_latent, [], likelihood=Gaussian(s2, learned=learned))
    params = model.init(np.random.default_rng(seed))
    nodes = axis_nodes(n_latent)
    params, loss = minimise(model, params, x, nodes, Elbo(beta=beta), n_steps=5000)
    return model, params, loss, x, nodes


@pytest.mark.parametrize(("beta", "s2"), FIXED)
def test_a_linear_vae_is_trained_to_the_exact_curve(beta, s2, rng):
    model, params, loss, x, (eps, w) = trained(beta, s2, 4, rng)
    objective, weights, rate, distortion = FIXED[beta, s2]
    assert abs(-loss - objective) < 1e-6
    terms = model.terms(params, x, eps=eps, weights=w)
    assert abs(terms.kl.mean() - rate) < 1e-3
    W = dict(model.named(params))["decoder.0.weight"]
    np.testing.assert_allclose(np.sort((W**2).sum(axis=1))[::-1], weights, atol=2e-3)
    found = -2 * s2 * (terms.log_lik.mean() + 2 * np.log(2 * np.pi * s2))
    assert abs(found - distortion) < 1e-3


@pytest.mark.parametrize(("beta", "s2", "n_kept"), [(0.5, 0.5, 2), (1.0, 0.75, 2), (1.5, 1.4, 1)])
def test_a_linear_vae_learns_the_variance_with_which_a_latent_switches_off(beta, s2, n_kept, rng):
    model, params, loss, *_ = trained(beta, 1.0, 2, rng, learned=True)
    best = beta_vae_optimum(EIG, beta, 2)
    assert abs(-loss - best.objective) < 1e-6
    assert np.exp(dict(model.named(params))["likelihood.log_var"]).item() == pytest.approx(s2, abs=1e-3)
    W = dict(model.named(params))["decoder.0.weight"]
    assert int(((W**2).sum(axis=1) > 0.05).sum()) == n_kept


def test_axis_nodes_integrate_quadratic_functions(rng):
    eps, w = axis_nodes(3)
    A, b = rng.normal(size=(3, 3)), rng.normal(size=3)
    value = np.einsum("ki,ij,kj->k", eps[:, 0], A, eps[:, 0]) + eps[:, 0] @ b + 2.0
    assert w @ value == pytest.approx(np.trace(A) + 2.0)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"beta": 0.0}, "beta must be a finite number greater than 0, got 0.0"),
        ({"beta": 1.0, "n_latent": 5, "s2": 0.5}, "n_latent must be at most the 4 eigenvalues, got 5"),
        ({"beta": 0.5}, "s2 must be given where its best value is 0, got beta=0.5 and n_latent=4"),
        ({"beta": 1.0, "s2": 0.0}, "s2 must be a finite number greater than 0"),
    ],
)
def test_what_has_no_optimum_is_refused(how, words):
    with pytest.raises(ValueError, match=words):
        beta_vae_optimum(EIG, **how)
    with pytest.raises(ValueError, match="eigenvalues must be those of a covariance, none negative"):
        reverse_water_filling([1.0, -0.5], 0.1)
