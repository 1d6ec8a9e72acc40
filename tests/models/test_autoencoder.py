"""The plain autoencoder, and the VAE that becomes one."""

import numpy as np
import pytest
from scipy import stats

from minivae.core.errors import NonFiniteError
from minivae.distributions.likelihoods import Bernoulli, Gaussian
from minivae.estimators.objectives import Elbo
from minivae.models.autoencoder import Autoencoder
from minivae.models.base import quantity
from minivae.models.contraction import Contraction
from minivae.models.corruptions import GaussianNoise, MaskingNoise, SaltAndPepperNoise
from minivae.models.penalties import KLSparsity, L1Sparsity
from minivae.models.vae import VAE
from minivae.nn.activations import Sigmoid, Tanh
from minivae.nn.sequential import Sequential, mlp
from minivae.training.loop import train
from minivae.training.settings import Settings


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
    vae_loss, _ = vae.loss_and_grad(vae_params, x, eps, vae_grads, Elbo(beta=0.0))
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


def test_what_is_to_be_known_of_it_is_what_its_names_say(rng):
    model, x = Autoencoder.mlp(4, 2, [3], "tanh", penalty=L1Sparsity(0.3)), rng.normal(size=(6, 4))
    params = model.init(rng)
    rows = {row["quantity"]: row["value"] for row in model.quantities(params, x, 0)}
    code, error = model.embed(params, x), x - model.reconstruct(params, x)
    assert rows["squared error"] == pytest.approx(np.mean(error**2))  # per pixel
    assert rows["log_lik"] == pytest.approx(-0.5 * np.sum(error**2) / 6 - 2 * np.log(2 * np.pi))
    assert rows["penalty"] == pytest.approx(0.3 * np.abs(code).sum() / 6)
    np.testing.assert_allclose(model.says(params, x), np.mean((code - code.mean(axis=0)) ** 2, axis=0), rtol=1e-12)


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


# ----------------------------------------------------------------------- denoising, sparse, contractive

NOTHING = {
    "Gaussian noise 0": {"corruption": GaussianNoise(0.0)},
    "masking 0": {"corruption": MaskingNoise(0.0)},
    "salt and pepper 0": {"corruption": SaltAndPepperNoise(0.0)},
    "L1 weight 0": {"penalty": L1Sparsity(0.0)},
    "contraction weight 0": {"penalty": Contraction(0.0)},
}
FAMILY = {
    "denoising": {"corruption": GaussianNoise(0.5)},
    "sparse, KL": {"penalty": KLSparsity(0.2)},
    "sparse, L1": {"penalty": L1Sparsity(0.3)},
    "contractive": {"penalty": Contraction(0.3)},
    "all": {"corruption": MaskingNoise(0.4), "penalty": Contraction(0.3)},
}


@pytest.mark.parametrize("name", NOTHING)
def test_without_noise_or_weight_each_is_the_plain_autoencoder_bit_for_bit(name, rng):
    x = rng.normal(size=(60, 4))
    plain, other = Autoencoder.mlp(4, 2, [6]), Autoencoder.mlp(4, 2, [6], **NOTHING[name])
    settings = Settings(epochs=3, batch_size=16)
    expected, result = (train(model, x[:40], x[40:], settings) for model in (plain, other))
    np.testing.assert_array_equal(result.params, expected.params)
    for row, want in zip(result.history, expected.history, strict=True):
        assert {key: row[key] for key in want} == want
        assert all(row[key] == 0 for key in row if key not in want)  # the penalty's columns
    # level zero given noise all the same
    params, noise = plain.init(rng), rng.random((1, 60, 4))
    np.testing.assert_array_equal(other.terms(params, x, eps=noise).log_lik, plain.terms(params, x).log_lik)


def test_a_sparse_autoencoder_without_weight_is_plain_with_the_same_sigmoid_code(rng):
    sparse = Autoencoder.mlp(4, 2, [6], penalty=KLSparsity(weight=0.0))
    plain = Autoencoder(sparse.encoder, sparse.decoder, sparse.likelihood)
    params, x = plain.init(rng), rng.normal(size=(6, 4))
    grads, expected = np.empty_like(params), np.empty_like(params)
    assert sparse.loss_and_grad(params, x, None, grads)[0] == plain.loss_and_grad(params, x, None, expected)[0]
    np.testing.assert_array_equal(grads, expected)


def test_the_loss_of_a_denoising_autoencoder_asks_for_the_clean_x(rng):
    model, draws = Autoencoder.mlp(4, 2, corruption=GaussianNoise(0.5)), 3
    plain = Autoencoder(model.encoder, model.decoder, model.likelihood)
    params, x = model.init(rng), rng.normal(size=(6, 4))
    eps = model.draw_noise(rng, draws, 6, float)
    loss, terms = model.loss_and_grad(params, x, eps, np.empty_like(params))
    squares = [((x - plain.reconstruct(params, x + 0.5 * e)) ** 2).sum(1) for e in eps]
    np.testing.assert_allclose(terms.log_lik, -0.5 * np.mean(squares, axis=0) - 2 * np.log(2 * np.pi), rtol=1e-12)
    assert abs(loss + terms.log_lik.mean()) < 1e-12
    np.testing.assert_allclose(model.terms(params, x, eps=eps).log_lik, terms.log_lik, rtol=1e-13)
    # without noise the terms are those of x itself
    np.testing.assert_array_equal(model.terms(params, x).log_lik, plain.terms(params, x).log_lik)


def test_one_linear_unit_against_the_exact_loss_of_gaussian_noise(rng):
    # x' = w v (x + s e): the expected squared error is (1 - w v)^2 x^2 + (w v s)^2, and Gauss-Hermite nodes are exact
    model = Autoencoder.mlp(1, 1, [], corruption=GaussianNoise(0.5))
    params, x = np.array([0.8, 0.0, 1.1, 0.0]), rng.normal(size=(5, 1))
    eps = np.array([-1.0, 1.0])[:, None, None] * np.ones((2, 5, 1))  # integrates quadratics exactly
    loss, _ = model.loss_and_grad(params, x, eps, np.empty_like(params))
    expected = 0.5 * np.mean((1 - 0.88) ** 2 * x**2 + (0.88 * 0.5) ** 2) + 0.5 * np.log(2 * np.pi)
    assert abs(loss - expected) < 1e-14


@pytest.mark.parametrize("name", FAMILY)
def test_evaluation_in_chunks_is_evaluation_at_once(name, rng, monkeypatch):
    model = Autoencoder.mlp(4, 2, [6], "tanh", **FAMILY[name])
    params, x = model.init(rng), rng.normal(size=(20, 4))
    eps = model.draw_noise(rng, 2, 20, float)
    at_once = model.terms(params, x, eps=eps)
    loss, terms = model.loss_and_grad(params, x, eps, np.empty_like(params))
    monkeypatch.setattr("minivae.core.parallel._ROWS_AT_ONCE", 6)
    chunks = model.terms(params, x, eps=eps)
    np.testing.assert_allclose(chunks.log_lik, at_once.log_lik, rtol=1e-13)
    assert abs(chunks.loss() - at_once.loss()) < 1e-12
    assert abs(chunks.loss() - loss) < 1e-12
    assert terms.means().keys() == chunks.means().keys() == {"log_lik"} | ({"penalty"} & set(FAMILY[name]))


@pytest.mark.parametrize("name", FAMILY)
def test_float32_gradients_of_the_family_agree_with_float64(name, rng):
    model = Autoencoder.mlp(4, 2, [6], "tanh", **FAMILY[name])
    params, x = model.init(rng), rng.normal(size=(20, 4))
    eps = model.draw_noise(rng, 1, 20, np.float64)
    grads = {}
    for dtype in (np.float32, np.float64):
        grads[dtype] = np.full(model.n_params, np.nan, dtype)
        noise = None if eps is None else eps.astype(dtype)
        model.loss_and_grad(params.astype(dtype), x.astype(dtype), noise, grads[dtype])
    scale = np.abs(grads[np.float64]).max()
    np.testing.assert_allclose(grads[np.float32], grads[np.float64], atol=1e-5 * scale)


@pytest.mark.parametrize("name", FAMILY)
def test_training_lowers_the_validation_loss_and_resumes_bit_for_bit(name, rng, tmp_path):
    x = rng.normal(size=(80, 4)) @ rng.normal(size=(4, 4))
    model = Autoencoder.mlp(4, 2, [6], "tanh", **FAMILY[name])
    whole = train(model, x[:60], x[60:], Settings(epochs=6, batch_size=16))
    train(model, x[:60], x[60:], Settings(epochs=3, batch_size=16), checkpoint=tmp_path / "c.npz")
    again = train(model, x[:60], x[60:], Settings(epochs=6, batch_size=16), checkpoint=tmp_path / "c.npz", resume=True)
    np.testing.assert_array_equal(again.params, whole.params)
    assert again.history == whole.history
    losses = [row["valid_loss"] for row in whole.history]
    assert losses[-1] < losses[0]
    for row in whole.history:
        assert abs(row["valid_loss"] - (row.get("valid_penalty", 0.0) - row["valid_log_lik"])) < 1e-5


def test_a_penalty_that_overflows_is_named(rng):
    model = Autoencoder.mlp(4, 2, penalty=KLSparsity(0.2))
    params, x = model.init(rng), rng.normal(size=(6, 4))
    dict(model.named(params))["encoder.2.bias"][:] = -1e4  # units that are off for every example
    with pytest.raises(NonFiniteError, match="the loss is not finite: penalty holds 1 NaN or infinite"):
        model.loss_and_grad(params, x, None, np.empty_like(params))


def test_noise_is_asked_for_in_its_shape(rng):
    model = Autoencoder.mlp(4, 2, corruption=MaskingNoise(0.5))
    params, x = model.init(rng), rng.normal(size=(6, 4))
    with pytest.raises(ValueError, match="give either eps"):
        model.loss_and_grad(params, x, None, np.empty_like(params))
    with pytest.raises(ValueError, match=r"eps must have shape .* = \(K, 6, 4\).*got \(1, 6, 3\)"):
        model.terms(params, x, eps=np.zeros((1, 6, 3)))
    shared = model.draw_noise(rng, 2, 1, float)
    np.testing.assert_array_equal(
        model.terms(params, x, eps=shared).log_lik, model.terms(params, x, eps=np.repeat(shared, 6, 1)).log_lik
    )


def test_the_code_of_a_sparse_autoencoder_is_a_probability(rng):
    model = Autoencoder.mlp(4, 3, penalty=KLSparsity())
    z = model.embed(model.init(rng), rng.normal(size=(50, 4)))
    assert ((z > 0) & (z < 1)).all()
    with pytest.raises(ValueError, match=r"encoder must end in Sigmoid\(\) for KLSparsity.* between -inf and inf"):
        Autoencoder(mlp([4, 2]), mlp([2, 4]), Gaussian(), penalty=KLSparsity())
    with pytest.raises(ValueError, match="whose values lie between -1 and 1"):
        Autoencoder(Sequential([mlp([4, 2]), Tanh()]), mlp([2, 4]), Gaussian(), penalty=KLSparsity())
    nested = Sequential([mlp([4, 2]), Sequential([Sigmoid()])])
    assert Autoencoder(nested, mlp([2, 4]), Gaussian(), penalty=KLSparsity()).n_x == 4


def test_a_latent_says_as_much_as_it_varies_from_example_to_example(rng):
    model = Autoencoder.mlp(4, 2, [])
    params, x = model.init(rng), rng.normal(size=(50, 4))
    W = dict(model.named(params))["encoder.0.weight"]
    np.testing.assert_allclose(model.says(params, x), np.diag(W.T @ np.cov(x.T, ddof=0) @ W), rtol=1e-12)


def test_a_quantity_is_a_mean_with_its_standard_error(rng):
    values = rng.normal(size=20)
    row = quantity("q", values, "units")
    assert (row["quantity"], row["unit"]) == ("q", "units")
    assert row["value"] == pytest.approx(values.mean(), rel=1e-14)
    assert row["standard_error"] == pytest.approx(stats.sem(values), rel=1e-12)
    assert quantity("q", np.array([1.5]))["standard_error"] is None  # of one example nothing is known of its error
    assert (quantity("q", 3)["value"], quantity("q", 3)["standard_error"]) == (3, None)


def test_the_squared_error_of_a_reconstruction_is_a_mean_over_pixels(rng):
    model = Autoencoder.mlp(4, 2, [3], likelihood=Gaussian(0.3))
    params, x = model.init(rng), rng.normal(size=(20, 4))
    rows = {row["quantity"]: row["value"] for row in model.quantities(params, x, 0)}
    assert rows["squared error"] == pytest.approx(np.mean((x - model.reconstruct(params, x)) ** 2), rel=1e-12)
    # log p(x|z) of a Gaussian holds the same error
    assert rows["log_lik"] == pytest.approx(-2 * (rows["squared error"] / 0.3 + np.log(2 * np.pi * 0.3)), rel=1e-12)
