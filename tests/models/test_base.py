"""What the models share: the rows of their tables, nets that mirror each other, where they start."""

import numpy as np
import pytest

from minivae.distributions.likelihoods import LIKELIHOODS, Bernoulli
from minivae.models.autoencoder import Autoencoder
from minivae.models.base import mirrored, quantity
from minivae.nn.dense import Dense


def test_a_row_holds_the_mean_and_its_standard_error():
    row = quantity("elbo", np.array([1.0, 2.0, 6.0]))
    assert row["value"] == 3
    assert row["standard_error"] == pytest.approx(np.sqrt((4 + 1 + 9) / 2 / 3))  # sqrt(sample variance / n)
    assert quantity("elbo", np.array([2.0]))["standard_error"] is None
    assert quantity("active latents", 2)["value"] == 2


def test_the_decoder_mirrors_the_encoder():
    nets = mirrored(7, 4, 2, [5, 3], "tanh", Bernoulli())
    widths = [[(layer.n_in, layer.n_out) for layer in net.layers if isinstance(layer, Dense)] for net in nets]
    assert widths == [[(7, 5), (5, 3), (3, 4)], [(2, 3), (3, 5), (5, 7)]]


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_data_move_the_last_bias_and_nothing_else(name, rng):
    x = (rng.random((30, 4)) < [0.1, 0.5, 0.9, 0.3]).astype(float)
    model = Autoencoder.mlp(4, 2, [3], likelihood=name)
    plain, moved = (dict(model.named(model.init(np.random.default_rng(0), x=given))) for given in (None, x))
    np.testing.assert_allclose(moved.pop("decoder.2.bias"), model.likelihood.out_at_mean(x), rtol=1e-14)
    assert not plain.pop("decoder.2.bias").any()
    for part, view in plain.items():
        np.testing.assert_array_equal(moved[part], view)
