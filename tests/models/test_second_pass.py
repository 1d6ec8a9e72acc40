"""A VAE of discrete codes trained by estimators that look at the cost twice: exact means, state, words."""

import numpy as np
import pytest

from minivae.distributions.bits import Bits
from minivae.estimators.control import LearnedControl
from minivae.estimators.exact.codes import noise_nodes
from minivae.estimators.objectives import Elbo
from minivae.estimators.weights import ESTIMATORS
from minivae.models.draws import EncoderEstimator, encoder_draws, encoder_states, head_moments
from minivae.models.vae import VAE
from minivae.training.loop import train
from minivae.training.settings import Settings
from tests.support import binary

OWN = [name for name, row in ESTIMATORS.items() if row.own is not None]
UNBIASED = [name for name in OWN if not ESTIMATORS[name].biased]
CODES = ["bits", "categorical"]


def model_of(posterior, rng, n_latent=3, dtype=np.float64):
    model = VAE.mlp(4, n_latent, [5], "tanh", posterior=posterior)
    return model, (model.init(rng) + 0.4 * rng.normal(size=model.n_params)).astype(dtype)


def gradient(model, params, x, eps, objective, **how):
    grads = np.full_like(params, np.nan)
    loss, _ = model.loss_and_grad(params, x, eps, grads, objective, **how)
    assert np.isfinite(grads).all()
    return grads, loss


@pytest.mark.parametrize("name", UNBIASED)
def test_over_all_noise_the_gradient_is_that_of_enumeration(name, rng):
    model, params = model_of("bits", rng, n_latent=1)
    x = binary(rng, 1)
    head = model.encode(params, x)[0]
    eps, w = noise_nodes(Bits(1), head, antithetic=True)
    if name == "relax":  # with a network that is not zero
        rule = Elbo(name).rule(model)
        state = rule.init(rng)
        state["params"][2:] = 0.3 * rng.normal(size=len(state["params"]) - 2)
        how = {"baseline": rule.predict(state, x)}
    else:
        how = {}
    exact, exact_loss = gradient(model, params, x, None, Elbo("exact", beta=2.0))
    found, loss = gradient(model, params, x, eps[:, None], Elbo(name, beta=2.0), weights=w, **how)
    np.testing.assert_allclose(loss, exact_loss, atol=1e-10)
    np.testing.assert_allclose(found, exact, atol=1e-9)


@pytest.mark.parametrize("name", ["straight-through", "gumbel-softmax"])
def test_the_biased_ones_have_another_mean_for_the_encoder_alone(name, rng):
    model, params = model_of("bits", rng, n_latent=1)
    x = binary(rng, 1)
    eps, w = noise_nodes(Bits(1), model.encode(params, x)[0])
    exact, _ = gradient(model, params, x, None, Elbo("exact"))
    found, _ = gradient(model, params, x, eps[:, None], Elbo(name), weights=w)
    n_encoder = model.encoder.n_params
    np.testing.assert_allclose(found[n_encoder:], exact[n_encoder:], atol=1e-9)
    assert np.abs(found - exact)[:n_encoder].max() > 1e-3


@pytest.mark.parametrize("posterior", CODES)
@pytest.mark.parametrize("name", OWN)
def test_draws_and_examples_are_counted_alike(name, posterior, rng):
    # a batch is the mean of its examples, and K draws that of single ones
    model, params = model_of(posterior, rng)
    if not ESTIMATORS[name].suits(model.posterior):
        with pytest.raises(ValueError, match="got '.*arm', which is for bits"):
            Elbo(name).resolved(model)
        return
    x, eps = binary(rng, 2), model.draw_noise(rng, 3, 2, np.float64)
    whole, _ = gradient(model, params, x, eps, Elbo(name))
    each = [
        gradient(model, params, x[i : i + 1], eps[k : k + 1, i : i + 1], Elbo(name))[0]
        for k in range(3)
        for i in (0, 1)
    ]
    np.testing.assert_allclose(whole, np.mean(each, axis=0), atol=1e-12)


@pytest.mark.parametrize("posterior", CODES)
@pytest.mark.parametrize("name", OWN)
def test_rows_of_draws_are_those_of_the_step(name, posterior, rng):
    model, params = model_of(posterior, rng)
    if not ESTIMATORS[name].suits(model.posterior):
        return
    x, eps = binary(rng, 2), model.draw_noise(rng, 4, 2, np.float64)
    draws = encoder_draws(model, params, x, eps)
    rows = draws.rows(Elbo(name))
    assert rows.shape == (4, 2, 3)
    grads = np.empty_like(params)
    _, cache = model.encoder.forward(model.unpack(params)[0], x)
    model.encoder.backward(
        model.unpack(params)[0], cache, -rows.mean(axis=0) / 2, model.unpack(grads)[0], need_dx=False
    )
    found, _ = gradient(model, params, x, eps, Elbo(name))
    np.testing.assert_allclose(model.unpack(grads)[0], model.unpack(found)[0], atol=1e-12)
    with pytest.raises(ValueError, match="eps must be draws for .*, which looks behind them, got all states"):
        encoder_states(model, params, x).rows(Elbo(name), n_group=1)


def test_moments_of_the_head_take_them_beside_others(rng):
    model, params = model_of("bits", rng)
    both = {name: EncoderEstimator(Elbo(name)) for name in ("score", "disarm", "rebar")}
    found = head_moments(model, params, binary(rng, 2), both, 400, rng)
    total = {name: moments.variance.sum() for name, moments in found.items()}
    assert total["disarm"] < total["score"]
    assert total["rebar"] < total["score"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", [*OWN, "nvil"])
def test_training_runs_and_goes_on_as_if_it_had_not_stopped(name, dtype, rng, tmp_path):
    x = binary(rng, 12).astype(dtype)
    model = VAE.mlp(4, 2, [3], "tanh", posterior="bits")
    how = {"batch_size": 5, "objective": Elbo(name), "patience": None, "dtype": np.dtype(dtype).name}
    whole = train(model, x, settings=Settings(epochs=4, **how))
    path = tmp_path / "c.npz"
    train(model, x, settings=Settings(epochs=2, **how), checkpoint=path, checkpoint_seconds=0)
    resumed = train(model, x, settings=Settings(epochs=4, **how), checkpoint=path, resume=True)
    np.testing.assert_array_equal(whole.params, resumed.params)
    assert whole.params.dtype == dtype


def test_what_learns_has_moved_after_a_training(rng):
    model = VAE.mlp(4, 2, [3], "tanh", posterior="bits")
    x = binary(rng, 30)
    for name in ("rebar", "relax"):
        rule = Elbo(name).rule(model)
        assert isinstance(rule, LearnedControl)
        state, params = rule.init(rng), model.init(rng)
        grads, before = np.empty_like(params), state["params"].copy()
        for _ in range(3):
            how = {"baseline": rule.predict(state, x)}
            _, terms = model.loss_and_grad(params, x, model.draw_noise(rng, 1, 30, float), grads, Elbo(name), **how)
            rule.update(state, x, terms.log_lik)
        assert (state["params"] != before)[: 2 if name == "rebar" else -1].any()


def test_the_temperature_reaches_the_estimator(rng):
    model, params = model_of("bits", rng)
    x, eps = binary(rng, 2), model.draw_noise(rng, 3, 2, np.float64)
    for name in ("gumbel-softmax", "rebar"):
        usual, half, one = (gradient(model, params, x, eps, Elbo(name, temperature=t))[0] for t in (None, 0.5, 1.0))
        np.testing.assert_array_equal(usual, half)
        assert np.abs(one - half).max() > 1e-4


# ------------------------------------------------------------------------------------------------ words


@pytest.mark.parametrize("temperature", [0, -1.0, np.nan, np.inf])
def test_a_temperature_is_positive(temperature):
    with pytest.raises(ValueError, match="temperature must be a finite number greater than 0, got"):
        Elbo("gumbel-softmax", temperature=temperature)


def test_what_cannot_be_is_refused(rng):
    bits, real = VAE.mlp(4, 2, posterior="bits"), VAE.mlp(4, 2)
    with pytest.raises(ValueError, match=r"must go with an estimator that relaxes the draw \(gumbel.*0.5 with 'score'"):
        Elbo("score", temperature=0.5)
    with pytest.raises(ValueError, match="kl must be 'closed' for the estimator 'rebar', .* got 'sampled'. Leave"):
        Elbo("rebar", kl="sampled")
    with pytest.raises(ValueError, match="one that suits DiagonalGaussian, got 'disarm', which is for bits. Use"):
        Elbo("disarm").resolved(real)
    with pytest.raises(ValueError, match="got 'relax', which is for discrete codes, which it looks between"):
        Elbo("relax").resolved(real)
    message = (
        "estimator must be one that needs no path for Bits, got 'pathwise'.*nvil.*rebar.*, or straight-through or "
        "gumbel-softmax, which follow the path of a relaxation and are biased"
    )
    with pytest.raises(ValueError, match=message):
        Elbo("pathwise").resolved(bits)
    own = bits.init(rng)
    with pytest.raises(ValueError, match="baseline must be"):
        gradient(bits, own, binary(rng, 2), rng.random((2, 2, 2)), Elbo("nvil"), baseline="x")
