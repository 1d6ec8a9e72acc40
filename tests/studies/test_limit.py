"""The limit to the plain autoencoder: the gradients meet at the predicted powers of the noise."""

import numpy as np
import pytest

from minivae.models.autoencoder import Autoencoder
from minivae.studies.limit import APPROACHES, Approach, limit_figure, limit_to_autoencoder

POWERS = {
    "sigma_f, no KL": 2.0,
    "sigma_f = sigma_g, the whole loss": 2.0,
    "sigma_f, no KL, one draw of the noise": 1.0,
    "sigma_f, KL of weight 0.01": 0.0,
}


@pytest.fixture(scope="module")
def ways():
    x = np.random.default_rng(1).standard_normal((6, 4))
    return {way.name: way for way in limit_to_autoencoder(x, sigmas=np.geomspace(1e-3, 0.03, 6))}


@pytest.mark.parametrize("name", POWERS)
def test_the_distance_falls_at_the_power_that_the_expansion_says(name, ways):
    # the next power, relatively sigma^2 (sigma for one draw), bends the fit by no more than its size
    assert abs(ways[name].power - POWERS[name]) < 0.03


def test_the_ways_are_those_of_the_table(ways):
    assert list(ways) == list(POWERS) == [name for name, *_ in APPROACHES]


def test_where_the_noise_vanishes_alone_the_kl_leaves_its_own_gradient(ways):
    # sigma^2 leaves the same gradient in both; what stays is beta f df/dtheta
    x = np.random.default_rng(1).standard_normal((6, 4))
    rng = np.random.default_rng(0)
    plain = Autoencoder.mlp(4, 2, [8], "tanh")
    params = plain.init(rng)
    params += 0.3 * rng.standard_normal(params.shape)
    target, code = np.empty_like(params), np.zeros_like(params)
    plain.loss_and_grad(params, x, None, target)
    n = plain.encoder.n_params
    f, cache = plain.encoder.forward(params[:n], x)
    plain.encoder.backward(params[:n], cache, 0.01 * f / len(x), code[:n])
    left = np.linalg.norm(code) / np.linalg.norm(target)
    assert abs(ways["sigma_f, KL of weight 0.01"].distances[0] / left - 1) < 1e-3


def test_a_power_is_fitted_where_the_noise_is_small():
    sigmas = np.array([1.0, 0.01, 0.02, 0.04])
    assert abs(Approach("a", sigmas, np.array([0.5, 1e-3, 8e-3, 64e-3])).power - 3) < 1e-12
    assert abs(Approach("a", np.array([4.0, 1.0, 2.0]), np.array([9.0, 1.0, 8.0])).power - 3) < 1e-12


def test_the_figure_names_every_way_and_its_power(ways):
    figure = limit_figure(list(ways.values()))
    axes = figure.axes[0]
    assert [t.get_text().split(": power ")[0] for t in axes.get_legend().get_texts()] == list(POWERS)
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    for line, way in zip(axes.get_lines(), ways.values(), strict=True):
        np.testing.assert_array_equal(line.get_ydata(), way.distances)


@pytest.mark.parametrize("sigmas", [(0.1,), (0.1, -0.1), (0.1, 0.0), "ab"])
def test_sigmas_must_be_positive(sigmas):
    with pytest.raises(ValueError, match="sigmas must"):
        limit_to_autoencoder(np.ones((3, 4)), sigmas=sigmas)


def test_more_latents_than_quadrature_bears_are_refused():
    with pytest.raises(ValueError, match="n_latent must be at most 4 for quadrature, got 5"):
        limit_to_autoencoder(np.ones((3, 4)), 5)
