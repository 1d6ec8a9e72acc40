"""The study of rate and distortion: what it measures is what the closed form says."""

import numpy as np
import pytest

from minivae.classical import covariance
from minivae.studies.rate_distortion import alike_in_covariance, rate_distortion, rate_distortion_figure
from minivae.training.settings import Settings
from tests.support import exact_covariance_data

EIG = [4.0, 2.0, 1.0, 0.5]


def test_a_trained_linear_vae_lies_on_the_exact_curve(rng):
    x = exact_covariance_data(EIG, 30, rng) + 3.0
    points = list(rate_distortion(x, [1.0, 2.0, 4.0], s2=0.7, n_latent=4))
    assert [point.beta for point in points] == [1.0, 2.0, 4.0]
    for point, objective in zip(points, (-6.3942802888, -7.4403298848, -8.1757541328), strict=True):
        assert point.linear_objective == pytest.approx(objective, abs=1e-9)
        assert point.objective == pytest.approx(objective, abs=1e-6)
        assert point.rate == pytest.approx(point.linear_rate, abs=1e-3)
        assert point.distortion == pytest.approx(point.linear_distortion, abs=1e-3)
    (axes,) = rate_distortion_figure(np.array(EIG), {"trained": points}).axes
    assert [line.get_label() for line in axes.lines] == ["linear, exact: reverse water-filling", "trained"]


def test_few_rows_stand_for_all_in_mean_and_covariance(rng):
    x = exact_covariance_data(EIG, 30, rng) + 3.0
    few = alike_in_covariance(x)
    assert few.shape == (8, 4)
    np.testing.assert_allclose(few.mean(axis=0), x.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(covariance(few), covariance(x), atol=1e-12)


def test_a_network_is_measured_on_its_own_draws(rng):
    x = exact_covariance_data(EIG, 30, rng)
    settings = Settings(epochs=2, batch_size=10, patience=None)
    (point,) = rate_distortion(x, [1.0], s2=0.7, n_latent=2, n_hidden=[5], settings=settings)
    assert point.rate >= 0
    assert point.objective <= -0.5 * (4 * np.log(2 * np.pi * 0.7) + point.distortion / 0.7) + 1e-9
