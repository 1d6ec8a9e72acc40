"""VAEs whose prior is learnt: one standard component is the standard prior; more win what is known to be won."""

import json

import numpy as np
import pytest

import minivae as mv
from minivae import cli
from minivae.distributions import DiagonalGaussian, MixtureOfGaussians, StandardNormal, VampPrior
from minivae.estimators import Elbo
from minivae.models.bounds import log_marginal
from minivae.models.vae import VAE
from minivae.nn.gradcheck import check_gradient
from minivae.studies.one_bit import one_bit_optimum, train_one_bit
from tests.support import assert_within_standard_errors, binary

ESTIMATORS = ("pathwise", "path-derivative", "score", "score-leave-one-out")


def pair(rng):
    """Return a VAE with the standard prior and one with a single standard component, at the same parameters."""
    plain = VAE.mlp(4, 2, [6], "tanh")
    mixed = VAE(plain.encoder, plain.posterior, plain.decoder, plain.likelihood, MixtureOfGaussians(2, 1))
    params = plain.init(rng) + 0.2 * rng.standard_normal(plain.n_params)
    encoder, posterior, _, decoder, likelihood = plain.unpack(params)
    return plain, mixed, params, np.concatenate([encoder, posterior, np.zeros(5), decoder, likelihood])


@pytest.mark.parametrize("beta", [0.0, 1.0, 4.0])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_one_standard_component_is_the_standard_prior(estimator, beta, rng):
    plain, mixed, params, theta = pair(rng)
    x, eps = binary(rng), rng.standard_normal((3, 5, 2))
    objective = Elbo(estimator, beta, "sampled")
    grads, dtheta = np.empty_like(params), np.empty_like(theta)
    loss, terms = plain.loss_and_grad(params, x, eps, grads, objective)
    loss_mixed, terms_mixed = mixed.loss_and_grad(theta, x, eps, dtheta, objective)
    np.testing.assert_allclose(loss_mixed, loss, rtol=1e-13)
    np.testing.assert_allclose(terms_mixed.elbo, terms.elbo, rtol=1e-12)
    for i in (0, 1, 3, 4):
        np.testing.assert_allclose(mixed.unpack(dtheta)[i], plain.unpack(grads)[i], rtol=1e-10, atol=1e-13)
    assert mixed.unpack(dtheta)[2][0] == 0  # the weight of a single component is one
    assert mixed.unpack(dtheta)[2][1:].any() == (beta > 0)


def test_one_standard_component_gives_the_bounds_and_draws_of_the_standard_prior(rng):
    plain, mixed, params, theta = pair(rng)
    x, eps = binary(rng), rng.standard_normal((3, 5, 2))
    np.testing.assert_allclose(
        mixed.elbo(theta, x, eps=eps), plain.elbo(params, x, eps=eps, objective=Elbo(kl="sampled"))
    )
    bounds = [log_marginal(m, p, x, 50, np.random.default_rng(1)).log_p for m, p in ((plain, params), (mixed, theta))]
    np.testing.assert_allclose(*bounds, rtol=1e-12)
    means = [
        m.sample(p, 20_000, np.random.default_rng(s), mean=True) for s, m, p in ((1, plain, params), (2, mixed, theta))
    ]
    assert_within_standard_errors(means[1] - means[0], 0.0)
    assert_within_standard_errors(means[1] ** 2 - means[0] ** 2, 0.0)


def vamp(rng, likelihood="bernoulli", n_components=3):
    model = VAE.mlp(4, 2, [6], "tanh", likelihood, prior="vamp", n_components=n_components)
    return model, model.init(rng) + 0.2 * rng.standard_normal(model.n_params)


def test_the_vamp_prior_is_the_mean_of_the_models_own_posteriors(rng):
    model, params = vamp(rng)
    x, eps = binary(rng), rng.standard_normal((3, 5, 2))
    _, z, draws = model.draw(params, x, eps)
    u = 1 / (1 + np.exp(-model.unpack(params)[2].reshape(3, 4)))
    own = [model.posterior.log_prob(np.empty(0), np.repeat(h[None], 5, axis=0), z) for h in model.encode(params, u)]
    np.testing.assert_allclose(draws.log_prior, np.log(np.mean(np.exp(own), axis=0)), rtol=1e-12)
    assert dict(model.named(params))["prior.pseudo_inputs"].shape == (3, 4)


def test_the_encoder_hears_from_the_prior(rng):
    # of log p(z) at fixed z alone, the gradient for encoder and pseudo-inputs is that of the heads, sent back
    model, params = vamp(rng)
    x, eps = binary(rng), rng.standard_normal((3, 5, 2))
    objective = Elbo("path-derivative", 1.0)
    grads, silent = np.empty_like(params), np.empty_like(params)
    model.loss_and_grad(params, x, eps, grads, objective)
    frozen = VAE(model.encoder, model.posterior, model.decoder, model.likelihood, MixtureOfGaussians(2, 3))
    parts = list(model.unpack(params))
    heads = model.encode(params, model.prior.inputs(parts[2]))
    parts[2] = np.concatenate([np.zeros(3), heads[:, :2].ravel(), heads[:, 2:].ravel()])
    silent = np.empty(frozen.n_params)
    frozen.loss_and_grad(np.concatenate(parts), x, eps, silent, objective)
    z = model.draw(params, x, eps)[1]

    def from_the_prior(theta):
        return -float(model.prior.log_prob(model.prior_params(theta), z).mean())

    heard = np.zeros_like(params)
    heard[model.slices[0]] = model.unpack(grads)[0] - frozen.unpack(silent)[0]
    heard[model.slices[2]] = model.unpack(grads)[2]
    assert np.abs(heard[model.slices[0]]).max() > 1e-3
    assert check_gradient(from_the_prior, heard, params).ok
    np.testing.assert_allclose(model.unpack(grads)[3], frozen.unpack(silent)[3], rtol=1e-12)


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_pseudo_inputs_start_at_the_rows_that_init_is_given(likelihood, rng):
    x = binary(rng, 50)
    model = VAE.mlp(4, 2, [6], "tanh", likelihood, prior="vamp", n_components=20)
    u = model.prior.inputs(model.unpack(model.init(rng, np.float64, x))[2])
    near = np.abs(u[:, None] - x[None]).max(axis=2).min(axis=1)
    assert near.max() < 0.3
    one, two = (model.init(np.random.default_rng(0), dtype, x) for dtype in (np.float32, np.float64))
    np.testing.assert_allclose(one, two, rtol=1e-6, atol=1e-7)  # the same start in either dtype


def test_samples_of_a_vamp_prior_have_the_moments_of_its_components(rng):
    model, params = vamp(rng, "gaussian")
    heads = model.encode(params, model.prior.inputs(model.unpack(params)[2]))
    z = model.prior.sample(model.prior_params(params), 100_000, rng)
    assert_within_standard_errors(z, heads[:, :2].mean(axis=0))
    assert_within_standard_errors(z**2, (heads[:, :2] ** 2 + np.exp(heads[:, 2:])).mean(axis=0))


def test_a_vamp_prior_is_refused_where_it_does_not_fit():
    with pytest.raises(ValueError, match="prior must be of another kind for Bits, got VampPrior"):
        VAE.mlp(4, 2, posterior="bits", prior=VampPrior(2, 3, 4))
    with pytest.raises(ValueError, match="prior must have pseudo-inputs of n_x=4 values"):
        VAE.mlp(4, 2, prior=VampPrior(2, 3, 5))
    assert VAE.mlp(4, 2, prior="normal").prior == StandardNormal(2) == DiagonalGaussian(2).prior()


@pytest.mark.parametrize("n_x", [2, 10])
@pytest.mark.parametrize("prior", ["mixture", "vamp"])
def test_two_components_win_back_on_a_bimodal_code_all_that_one_loses(prior, n_x):
    # one bit in n pixels: a single Gaussian cannot reach -log p(x) = log 2, and two components can
    loss, _ = one_bit_optimum(n_x)
    _, _, found = train_one_bit(n_x, prior=prior, n_components=2)
    assert np.log(2) - 1e-6 < found < np.log(2) + 1e-5
    assert loss - found > 0.21


@pytest.mark.long
def test_a_run_with_a_learnt_prior_is_trained_read_back_and_used(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["--epochs", "2", "--hidden", "8", "--batch-size", "512", "--quiet"]
    for prior in ("mixture", "vamp"):
        assert cli.main(["train", *words, "--prior", prior, "--components", "4", "--out", prior, "--json"]) == 0
        assert cli.main(["evaluate", prior, "--draws", "8", "--examples", "20", "--json"]) == 0
        assert cli.main(["sample", prior, "-n", "4", "--out", f"{prior}-samples", "--json"]) == 0
        model, params, _ = mv.load_model(f"{prior}/model.npz")
        assert model.prior.n_components == 4
        assert params.shape == (model.n_params,)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert all(np.isfinite(row["value"]) for answer in lines for row in answer["rows"] if "value" in row)
