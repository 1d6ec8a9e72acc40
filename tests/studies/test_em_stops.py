"""The E-step's posterior: a Gaussian for a linear decoder, anything for a network."""

import numpy as np
import pytest

from minivae.studies.em_stops import latent_posteriors, latent_posteriors_figure


@pytest.fixture(scope="module")
def posteriors():
    return latent_posteriors()


def test_a_linear_decoder_leaves_no_gap_and_the_posterior_is_the_formula(posteriors):
    for found in posteriors[:3]:
        v = 1 / (1 + 1 / 0.05)
        exact = np.exp(-0.5 * (found.z - v * found.x / 0.05) ** 2 / v) / np.sqrt(2 * np.pi * v)
        assert (found.decoder, found.gap) == ("linear", pytest.approx(0, abs=1e-10))
        np.testing.assert_allclose(found.exact, exact, atol=1e-9)
        np.testing.assert_allclose(found.gaussian, exact, atol=1e-9)


def test_a_networks_posterior_is_bayes_rule_and_no_gaussian(posteriors):
    for found in posteriors[3:]:
        mean = np.tanh(2 * found.z + 2) - np.tanh(2 * found.z - 2)
        density = np.exp(-0.5 * found.z**2 - 0.5 * (found.x - mean) ** 2 / 0.05)
        dz = found.z[1] - found.z[0]
        np.testing.assert_allclose(found.exact, density / (density.sum() * dz), rtol=1e-9, atol=1e-300)
        assert found.gaussian.sum() * dz == pytest.approx(1, abs=1e-9)
        kl = (found.gaussian * np.log(np.maximum(found.gaussian, 1e-300) / found.exact)).sum() * dz
        assert found.gap == pytest.approx(kl, abs=1e-6)
        assert found.gap > 0.01
    two_hills = posteriors[4]
    assert two_hills.gap > np.log(2) - 1e-6  # a Gaussian takes one of two


def test_the_figure(posteriors):
    figure = latent_posteriors_figure(posteriors)
    assert len(figure.axes) == 6
    assert "network, x = 1: gap 0.699" in figure.axes[4].get_title()
    for axes, found in zip(figure.axes, posteriors, strict=True):
        np.testing.assert_array_equal(axes.lines[0].get_ydata(), found.exact)
        np.testing.assert_array_equal(axes.lines[1].get_ydata(), found.gaussian)
