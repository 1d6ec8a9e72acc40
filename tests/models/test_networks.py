"""Models of convolutions and of recurrent layers: shapes, bounds, training, word dropout."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import minivae as mv
from minivae.distributions import Bernoulli, Gaussian, GaussianPerPixel
from minivae.models import SequenceVAE, convolutional, recurrent
from minivae.nn import GRU, LSTM, RNN, Conv2d, ConvTranspose2d, Dense, ReLU
from minivae.training.arithmetic import blas_threads


@pytest.mark.parametrize("size", [(28, 28), (8, 8), (28, 20), (7, 9), (1, 5), (2, 3)])
@pytest.mark.parametrize("likelihood", [Bernoulli(), GaussianPerPixel()])
def test_convolutions_fit_images_of_every_size_and_the_decoder_mirrors_the_encoder(size, likelihood):
    encoder, decoder, same = convolutional((1, *size), 6, 3, likelihood, channels=[2, 3])
    assert same is likelihood
    n_x = size[0] * size[1]
    assert (encoder.n_in, encoder.n_out, decoder.n_in) == (n_x, 6, 3)
    assert decoder.n_out == likelihood.n_out(n_x)
    down = [layer for layer in encoder.layers if isinstance(layer, Conv2d)]
    up = [layer for layer in decoder.layers if isinstance(layer, ConvTranspose2d)]
    assert [layer.shape for layer in up] == [layer.out_shape for layer in reversed(down)]
    assert [layer.out_shape[1:] for layer in up] == [layer.shape[1:] for layer in reversed(down)]


def test_the_default_is_two_layers_of_16_and_32_channels_each_way():
    model = mv.VAE.of(partial(convolutional, (1, 28, 28)), 20)
    kinds = [type(layer) for layer in model.decoder.layers]
    assert kinds == [Dense, ReLU, ConvTranspose2d, ReLU, ConvTranspose2d]
    assert [layer.channels for layer in model.encoder.layers if isinstance(layer, Conv2d)] == [16, 32]
    conv = 16 * 17 + 32 * 257 + 1569 * 40
    assert model.n_params == conv + 21 * 1568 + 16 * (32 * 16 + 1) + 257


def test_no_convolution_at_all_is_a_linear_model():
    encoder, decoder, _ = convolutional((1, 4, 4), 4, 2, Bernoulli(), channels=[])
    assert [type(layer) for layer in (*encoder.layers, *decoder.layers)] == [Dense, Dense]


@pytest.mark.parametrize(
    "networks", [partial(convolutional, (1, 2, 2), channels=[3]), partial(recurrent, "gru", 2, 2, n_units=4)]
)
def test_a_bound_stays_below_log_p(networks, rng):
    model = mv.VAE.of(networks, n_latent=1)
    params = model.init(rng) + 0.3 * rng.normal(size=model.n_params)
    x = (rng.random((4, 4)) < 0.5).astype(float)
    nodes, weights = np.polynomial.hermite.hermgauss(60)
    nodes, weights = np.sqrt(2) * nodes, weights / np.sqrt(np.pi)
    z = nodes[:, None]
    out, _ = model.decoder.forward(model.unpack(params)[3], z)
    each = np.exp([model.likelihood.log_prob(model.unpack(params)[4], out, row[None]) for row in x])
    log_p = np.log(each @ weights)
    elbo = model.elbo(params, x, eps=np.tile(nodes[:, None, None], (1, 4, 1)), weights=weights)
    assert (elbo < log_p).all()


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize(("cell", "kind"), [("gru", GRU), ("lstm", LSTM), ("rnn", RNN)])
def test_recurrent_networks_read_and_say_every_step(cell, kind, ragged, rng):
    model = mv.VAE.of(partial(recurrent, cell, 5, 2, n_units=4, ragged=ragged), 3, Gaussian())
    assert isinstance(model.encoder.layers[0], kind)
    assert model.n_x == 10 + ragged
    params, x = model.init(rng), rng.normal(size=(6, model.n_x))
    if ragged:
        x[:, -1] = [1, 2, 3, 4, 5, 5]
    assert model.sample(params, 3, rng).shape == (3, model.n_x)
    # what lies beyond a length says nothing
    other = x.copy()
    other[0, 2:10] += ragged
    eps = rng.normal(size=(1, 6, 3))
    np.testing.assert_array_equal(model.elbo(params, x, eps=eps), model.elbo(params, other, eps=eps))


def test_a_prior_of_pseudo_inputs_is_refused_where_rows_have_lengths():
    with pytest.raises(
        ValueError, match="prior must not be made of rows of data where these have lengths, got VampPrior"
    ):
        mv.VAE.of(partial(recurrent, "gru", 5, 2, ragged=True), 3, prior="vamp")


def test_training_learns_on_images_and_on_sequences():
    x = np.repeat(np.eye(4, dtype=np.float32), 4, axis=1)[np.arange(64) % 4]
    for networks in (partial(convolutional, (1, 4, 4), channels=[4]), partial(recurrent, "lstm", 4, 4, n_units=8)):
        model = mv.VAE.of(networks, 2)
        result = mv.train(model, x, x, mv.Settings(epochs=40, batch_size=16, optimizer=mv.Adam(3e-2)), progress=False)
        history = [row["valid_elbo"] for row in result.history]
        assert max(history) > history[0] + 2


@pytest.mark.parametrize("networks", [partial(convolutional, (1, 28, 28)), partial(recurrent, "gru", 28, 28)])
def test_many_small_products_have_one_thread(networks):
    with threadpool_limits(2, user_api="blas"), blas_threads(mv.VAE.of(networks, 2), 1000):
        assert {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"} == {1}


def sequence(word_dropout=0.0, **how):
    return SequenceVAE.recurrent(4, 1, 2, n_units=5, word_dropout=word_dropout, **how)


def test_without_dropped_words_it_is_a_vae(rng):
    model = sequence()
    params, x = model.init(rng), (rng.random((3, 4)) < 0.5).astype(float)
    eps = model.training_noise(rng, 2, 3, np.float64)
    assert eps.shape == (2, 3, 2)
    plain = mv.VAE(model.encoder, model.posterior, model.decoder, model.likelihood)
    grads, expected = np.empty_like(params), np.empty_like(params)
    assert model.loss_and_grad(params, x, eps, grads)[0] == plain.loss_and_grad(params, x, eps, expected)[0]
    np.testing.assert_array_equal(grads, expected)


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_the_noise_says_which_words_are_dropped_and_evaluation_drops_none(share, rng):
    model, plain = sequence(share), sequence()
    params, x = model.init(rng), (rng.random((3, 4)) < 0.5).astype(float)
    eps = model.training_noise(rng, 2, 3, np.float64)
    assert eps.shape == (2, 3, 6)
    assert ((eps[:, :, 2:] >= 0) & (eps[:, :, 2:] < 1)).all()
    kept = (eps[:, :, 2:] >= share).reshape(6, 4).astype(float)
    shown = replace(plain, likelihood=plain.likelihood)
    object.__setattr__(shown, "likelihood", plain.likelihood.dropping(kept))
    grads, expected = np.empty_like(params), np.empty_like(params)
    loss, _ = model.loss_and_grad(params, x, eps, grads)
    own = eps[:, :, :2].copy()
    assert loss == shown.loss_and_grad(params, x, own, expected)[0]
    np.testing.assert_array_equal(grads, expected)
    np.testing.assert_array_equal(model.elbo(params, x, eps=own), plain.elbo(params, x, eps=own))
    whole = model.loss_and_grad(params, x, own, grads)[0]  # noise of z alone drops nothing
    assert whole == plain.loss_and_grad(params, x, own, grads)[0] != loss


def test_the_share_that_is_dropped_is_word_dropout():
    eps = sequence(0.3).training_noise(np.random.default_rng(1), 1, 5000, np.float32)
    dropped = (eps[:, :, 2:] < 0.3).mean()
    assert abs(dropped - 0.3) <= 5 * np.sqrt(0.21 / 20000)
    assert eps.dtype == np.float32


def test_other_likelihoods_and_shares_are_refused():
    model = sequence()
    with pytest.raises(ValueError, match="likelihood must be TeacherForced, got Bernoulli"):
        SequenceVAE(model.encoder, model.posterior, mv.nn.mlp([2, 4]), Bernoulli())
    with pytest.raises(ValueError, match="word_dropout must be a finite number"):
        sequence(1.5)
    with pytest.raises(ValueError, match="cell must be one of gru, lstm, rnn"):
        sequence(cell="gur")
