"""Gradients through time: what the spectral radius predicts, what gates and clipping do."""

import numpy as np
import pytest

from minivae.studies import clipping, reach_through_time
from minivae.studies.through_time import through_time_figure

FOUND = {each.name: each for each in reach_through_time()}


@pytest.mark.parametrize("gain", [0.8, 1.0, 1.2])
def test_near_rest_a_gradient_is_a_power_of_the_spectral_radius(gain):
    found = FOUND[f"RNN, gain {gain:g}"]
    assert abs(found.radius - gain) < 1e-12
    assert abs(found.small[-1] - 1) < 1e-12
    # tanh' = 1 - h^2, and h is a sum of inputs of 1e-6 that grow by the gain, to some 1e-2
    back = np.arange(49, -1, -1)
    np.testing.assert_allclose(found.small, gain ** back.astype(float), rtol=1e-3 if gain > 1 else 1e-8)


@pytest.mark.parametrize("name", ["GRU", "LSTM"])
def test_gates_at_rest_forget_at_a_rate_that_lies_below_their_radius(name):
    found = FOUND[name]
    assert 0.9 * found.radius < found.rate <= found.radius + 1e-3


def test_a_tanh_that_bends_lets_less_through():
    for gain in (0.8, 1.0, 1.2):
        found = FOUND[f"RNN, gain {gain:g}"]
        assert found.large[0] < found.small[0]


def test_clipping_bounds_what_is_taken_and_training_stays_sane():
    free, clipped = clipping(None), clipping(1.0)
    assert free.norms.max() > 10
    assert clipped.losses[-20:].mean() < free.losses[-20:].mean()
    first = clipping(1e9, n_updates=5)  # a bound that is never met changes nothing
    np.testing.assert_array_equal(first.losses, clipping(None, n_updates=5).losses)


def test_the_figure_has_three_panels_with_labels():
    figure = through_time_figure(list(FOUND.values()), [clipping(None, 3), clipping(1.0, 3)])
    assert [len(axes.lines) for axes in figure.axes] == [11, 5, 2]
    assert all(axes.get_xlabel() and axes.get_ylabel() and axes.get_title() for axes in figure.axes)
