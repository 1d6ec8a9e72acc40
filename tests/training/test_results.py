"""The sentence on what an evaluation's numbers are: the units in which a density is meant."""

import re
from functools import partial

import numpy as np

from minivae.datasets.dataset import split_rows
from minivae.distributions.likelihoods import Gaussian
from minivae.distributions.sequences import EachStep
from minivae.models.networks import recurrent
from minivae.models.vae import VAE
from minivae.training.results import meaning
from tests.support import binary


def test_the_constant_turns_log_p_of_standardised_rows_into_that_of_the_rows(rng):
    # of one Gaussian for all rows: its density of the rows themselves is known, too
    x = rng.normal([3.0, -1.0, 0.0], [5.0, 0.2, 2.0], size=(40, 3))
    masks = (np.arange(40) < 30, np.arange(40) == 30, np.arange(40) > 30)
    dataset = split_rows("table", x, None, masks, standardize=True)
    mean, std = dataset.scale
    text = meaning(VAE.mlp(3, 1, likelihood="gaussian"), dataset.x_test, dataset)
    constant = float(re.search(r"per original unit add (-?\d+\.\d+)$", text)[1])
    lik = Gaussian()
    of_rows = -0.5 * np.sum(((x[31:] - mean) / std) ** 2 + np.log(2 * np.pi * std**2), axis=1)
    of_standardised = lik.log_prob(lik.init(), np.zeros((9, 3)), dataset.x_test.astype(float))
    np.testing.assert_allclose(of_standardised + constant, of_rows, atol=1e-3)  # three decimals, float32


def test_of_sequences_the_constant_counts_the_steps_within_their_lengths(rng):
    x, lengths = rng.normal([3.0, -1.0], [5.0, 0.2], size=(40, 3, 2)), rng.integers(1, 4, 40)
    rows, masks = np.concatenate([x.reshape(40, 6), lengths[:, None]], axis=1), (np.arange(40) < 30,) * 2
    masks = (*masks, np.arange(40) >= 30)
    dataset = split_rows("steps", rows, None, masks, standardize=True, steps=(3, 2), ragged=True)
    likelihood = EachStep(Gaussian(), 3, 2, ragged=True)
    model = VAE.of(partial(recurrent, "gru", 3, 2, ragged=True), 1, likelihood="gaussian")
    text = meaning(model, dataset.x_test, dataset)
    constant = float(re.search(r"per original unit add (-?\d+\.\d+)$", text)[1])
    of_standardised = likelihood.log_prob(likelihood.init(), np.zeros((10, 6)), dataset.x_test.astype(float))
    mean, std = dataset.scale[0][:2], dataset.scale[1][:2]
    each = -0.5 * np.sum(((x[30:] - mean) / std) ** 2 + np.log(2 * np.pi * std**2), axis=2)
    of_rows = np.where(np.arange(3) < lengths[30:, None], each, 0).sum(axis=1)
    assert abs(of_standardised.mean() + constant - of_rows.mean()) < 1e-3


def test_zeros_and_ones_have_no_units(rng):
    x = binary(rng, 10)
    masks = (np.arange(10) < 8, np.arange(10) == 8, np.arange(10) == 9)
    dataset = split_rows("bits", x, None, masks, standardize=False)
    assert meaning(VAE.mlp(4, 1), x, dataset) == "the ELBO is a lower bound on log p(x)"
