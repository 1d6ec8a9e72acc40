"""The plain autoencoder, and the VAE that becomes one."""

import numpy as np
import pytest

from minivae import VAE, Autoencoder, Bernoulli, Gaussian, NonFiniteError, mlp


@pytest.mark.parametrize("likelihood", [Gaussian(), Bernoulli(), Gaussian(0.3, learned=True)])
@pytest.mark.parametrize("by", ["zero noise", "zero variance"])
def test_a_vae_without_noise_and_with_beta_zero_is_an_autoencoder(likelihood, by, rng):
    vae = VAE.mlp(4, 2, [6], "tanh", likelihood)
    ae = Autoencoder.mlp(4, 2, [6], "tanh", likelihood)
    vae_params = vae.init(rng)
    x = np.round(rng.random((5, 4)))
    eps = np.zeros((1, 5, 2)) if by == "zero noise" else rng.standard_normal((1, 5, 2))
    parts = dict(vae.named(vae_params))
    if by == "zero variance":
        parts["encoder.2.weight"][:, 2:] = 0
        parts["encoder.2.bias"][2:] = -1000.0
    # the autoencoder's parameters are the VAE's less the half of the head that gives log_var
    mean_half = np.ones(vae.n_params, bool)
    for name in ("encoder.2.weight", "encoder.2.bias"):
        dict(vae.named(marks := mean_half.astype(float)))[name][..., 2:] = 0
        mean_half = marks.astype(bool)
    ae_params = vae_params[mean_half]
    vae_grads, ae_grads = np.empty_like(vae_params), np.empty_like(ae_params)
    vae_loss, _ = vae.loss_and_grad(vae_params, x, eps, vae_grads, beta=0.0)
    ae_loss, _ = ae.loss_and_grad(ae_params, x, None, ae_grads)
    assert abs(vae_loss - ae_loss) < 1e-13
    np.testing.assert_allclose(vae_grads[mean_half], ae_grads, atol=1e-13)
    if by == "zero variance":
        np.testing.assert_allclose(vae_grads[~mean_half], 0, atol=1e-200)


def test_gaussian_loss_is_half_the_squared_error_and_a_constant(rng):
    model = Autoencoder.mlp(4, 2)
    params, x = model.init(rng), rng.normal(size=(6, 4))
    loss, terms = model.loss_and_grad(params, x, None, np.empty_like(params))
    squares = ((x - model.reconstruct(params, x)) ** 2).sum(1)
    assert abs(loss - (0.5 * squares.mean() + 2 * np.log(2 * np.pi))) < 1e-12
    np.testing.assert_allclose(model.terms(params, x).log_lik, terms.log_lik, rtol=1e-13)


def test_reconstruction_is_the_decoded_code(rng):
    model = Autoencoder.mlp(4, 2, likelihood=Bernoulli())
    params, x = model.init(rng), np.round(rng.random((6, 4)))
    np.testing.assert_array_equal(model.reconstruct(params, x), model.decode(params, model.embed(params, x)))
    assert ((model.reconstruct(params, x) > 0) & (model.reconstruct(params, x) < 1)).all()


def test_widths_that_disagree_are_refused():
    with pytest.raises(ValueError, match="decoder must take 2 values"):
        Autoencoder(mlp([4, 2]), mlp([3, 4]), Gaussian())
    with pytest.raises(ValueError, match="decoder must give 4 values"):
        Autoencoder(mlp([4, 2]), mlp([2, 5]), Gaussian())


def test_a_loss_that_is_not_finite_names_the_first_array(rng):
    model = Autoencoder.mlp(4, 2)
    params, x = model.init(rng), rng.normal(size=(6, 4))
    dict(model.named(params))["decoder.0.bias"][1] = np.inf
    with pytest.raises(NonFiniteError, match=r"the loss is not finite: decoder.0.bias holds 1"):
        model.loss_and_grad(params, x, None, np.empty_like(params))


def test_grads_must_be_like_params(rng):
    model = Autoencoder.mlp(4, 2)
    params = model.init(rng)
    with pytest.raises(ValueError, match="grads must have the dtype of params, float64, got float32"):
        model.loss_and_grad(params, np.ones((3, 4)), None, np.empty_like(params, dtype=np.float32))


def test_decode_refuses_codes_of_another_width(rng):
    model = Autoencoder.mlp(4, 2)
    with pytest.raises(ValueError, match=r"z must have shape \(batch, 2\), got \(3, 4\)"):
        model.decode(model.init(rng), np.ones((3, 4)))
