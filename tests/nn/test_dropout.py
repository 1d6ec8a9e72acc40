"""Dropout: what it keeps, its transpose, its mean, and how noise reaches it inside other layers and in a VAE."""

from itertools import product

import numpy as np
import pytest

import minivae as mv
from minivae.distributions import Bernoulli, TeacherForced
from minivae.models import SequenceVAE
from minivae.nn import GRU, Dense, Dropout, Residual, Sequential, Steps, Tanh, mlp

NONE = np.empty(0)


@pytest.mark.parametrize("rate", [0.0, 0.25, 0.5])
def test_what_lies_below_the_rate_is_dropped_and_the_mean_stays(rate, rng):
    layer, x = Dropout(4, rate), rng.normal(size=(3, 4))
    u = rng.random((3, 4))
    y, _ = layer.given(u).forward(NONE, x)
    np.testing.assert_allclose(y, np.where(u < rate, 0, x / (1 - rate)))
    np.testing.assert_array_equal(layer.forward(NONE, x)[0], x)
    # every mask of four entries with its probability: the mean over them is exactly x
    masks = np.array(list(product([0, 1], repeat=4)))
    p = np.prod(np.where(masks, 1 - rate, rate), axis=1)
    noise = np.where(masks, rate, np.nextafter(rate, -1))  # at the rate itself an entry is kept
    rows = layer.given(noise).forward(NONE, np.tile(x[0], (16, 1)))[0]
    np.testing.assert_allclose(p @ rows, x[0], rtol=1e-12)


def test_its_backward_is_its_transpose(rng):
    layer = Dropout(7, 0.3).given(rng.random((5, 7)))
    x, dy = rng.normal(size=(2, 5, 7))
    y, cache = layer.forward(NONE, x)
    dx = layer.backward(NONE, cache, dy, None)
    assert abs((y * dy).sum() - (x * dx).sum()) <= 1e-12 * np.abs(y * dy).sum()
    assert layer.backward(NONE, cache, dy, None, need_dx=False) is None
    assert layer.forward(NONE.astype(np.float32), x.astype(np.float32))[0].dtype == np.float32


def test_every_layer_inside_others_has_noise_of_its_own(rng):
    inner = Sequential([Dense(2, 2), Dropout(2, 0.5)])
    net = Sequential([Dropout(6, 0.5), Steps(inner, 3), Residual(Sequential([Dropout(6, 0.4), Dense(6, 6)])), Tanh()])
    assert (net.n_noise, net.layers[1].n_noise, mlp([2, 3, 2]).n_noise) == (18, 6, 0)
    params, x, u = net.init(rng), rng.normal(size=(4, 6)), rng.random((4, 18))
    (a, c), (A, C) = (Dense(2, 2), Dense(6, 6)), (params[:6], params[6:])
    h = x * (u[:, :6] >= 0.5) * 2
    h = np.concatenate([a.forward(A, np.ascontiguousarray(h[:, i : i + 2]))[0] for i in (0, 2, 4)], axis=1)
    h = h * (u[:, 6:12] >= 0.5) * 2
    h = h + c.forward(C, h * (u[:, 12:] >= 0.4) / 0.6)[0]
    np.testing.assert_allclose(net.given(u).forward(params, x)[0], np.tanh(h), rtol=1e-12)


def vae(rate=0.5):
    encoder = Sequential([Dropout(4, rate), Dense(4, 4)])
    decoder = Sequential([Dense(2, 3), Tanh(), Dropout(3, rate), Dense(3, 4)])
    like = mv.VAE.mlp(4, 2)
    return mv.VAE(encoder, like.posterior, decoder, Bernoulli())


def test_a_vae_drops_in_training_alone(rng):
    model, x = vae(), (rng.random((5, 4)) < 0.5).astype(float)
    params = model.init(rng)
    eps = model.training_noise(np.random.default_rng(0), 3, 5, np.float64)
    assert eps.shape == (3, 5, 2 + 4 + 3)
    own = np.ascontiguousarray(eps[:, :, :2])
    np.testing.assert_array_equal(own, model.draw_noise(np.random.default_rng(0), 3, 5, np.float64))
    grads, other = np.empty_like(params), np.empty_like(params)
    loss, _ = model.loss_and_grad(params, x, eps, grads)
    # the same by hand: the encoder sees the masked x of the first draw, the decoder a mask for each draw and example
    kept, rows = eps[0, :, 2:6] >= 0.5, eps[:, :, 6:].reshape(15, 3)
    dense, (W, b) = model.encoder.layers[1], Dense(3, 4).unpack(params[-16:])
    head, _ = dense.forward(params[:20], 2 * x * kept)
    z = (head[:, :2] + np.exp(head[:, 2:] / 2) * own).reshape(15, 2)
    h = np.tanh(Dense(2, 3).forward(params[20:29], z)[0])
    logits = 2 * h * (rows >= 0.5) @ W + b
    log_lik = (np.tile(x, (3, 1)) * logits - np.logaddexp(0, logits)).sum(axis=1)
    kl = 0.5 * (head[:, :2] ** 2 + np.exp(head[:, 2:]) - 1 - head[:, 2:]).sum(axis=1)
    assert abs(loss - (kl.mean() - log_lik.mean())) < 1e-12
    # without its noise, and with none that drops, it is the model without the layers
    plain = mv.VAE(
        Sequential(model.encoder.layers[1:]),
        model.posterior,
        Sequential([model.decoder.layers[i] for i in (0, 1, 3)]),
        Bernoulli(),
    )
    expected = plain.loss_and_grad(params, x, own, other)[0]
    assert abs(model.loss_and_grad(params, x, own, grads)[0] - expected) < 1e-12
    np.testing.assert_allclose(grads, other, rtol=1e-12)
    np.testing.assert_array_equal(model.elbo(params, x, eps=own), plain.elbo(params, x, eps=own))
    np.testing.assert_array_equal(
        plain.training_noise(np.random.default_rng(0), 1, 2, np.float32),
        plain.draw_noise(np.random.default_rng(0), 1, 2, np.float32),
    )


def test_training_uses_the_noise(rng):
    x = (rng.random((64, 4)) < 0.5).astype(np.float32)
    ends = []
    for rate in (0.0, 0.5):
        result = mv.train(vae(rate), x, x, mv.Settings(epochs=1, batch_size=16), progress=False)
        ends.append(result.params)
    assert not np.array_equal(*ends)


def test_words_and_entries_are_dropped_by_numbers_of_their_own(rng):
    base = SequenceVAE.recurrent(3, 1, 2, n_units=4)
    encoder = Sequential([*base.encoder.layers[:-1], Dropout(8, 0.5), base.encoder.layers[-1]])
    model = SequenceVAE(encoder, base.posterior, base.decoder, base.likelihood, word_dropout=0.5)
    eps = model.training_noise(rng, 2, 5, np.float64)
    assert eps.shape == (2, 5, 2 + 8 + 3)
    params, x = model.init(rng), np.ones((5, 3))
    grads, losses = np.empty_like(params), []
    for part in (slice(0, 0), slice(2, 10), slice(10, 13)):
        some = eps.copy()
        some[:, :, part] = 0.0  # drops all
        losses.append(model.loss_and_grad(params, x, some, grads)[0])
    assert len(set(losses)) == 3


def test_where_it_would_drop_nothing_it_is_refused(rng):
    net = Sequential([Dense(4, 2), Dropout(2)])
    with pytest.raises(ValueError, match="encoder and decoder must hold no Dropout in an Autoencoder"):
        mv.Autoencoder(net, mlp([2, 4]), mv.Gaussian())
    network = Sequential([GRU(2, 3, 2, "all"), Steps(Sequential([Dense(2, 1), Dropout(1)]), 2)])
    with pytest.raises(ValueError, match="network must hold no Dropout"):
        TeacherForced(network, Bernoulli(), 2, 1, 2)
    with pytest.raises(ValueError, match="noise must have a row for each of the 3 rows of x, got 2"):
        Dropout(2).given(rng.random((2, 2))).forward(NONE, np.ones((3, 2)))
    with pytest.raises(ValueError, match="rate must be a finite number at least 0 and below 1, got 1"):
        Dropout(2, 1.0)
    with pytest.raises(ValueError, match="noise must"):
        Dropout(2).given(np.ones((3, 3)))
