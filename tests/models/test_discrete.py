"""A VAE with Bernoulli latents small enough to enumerate."""

import itertools

import numpy as np
import pytest

from minivae.distributions.likelihoods import Gaussian
from minivae.estimators.baselines import MovingAverage
from minivae.estimators.exact.bits import all_states
from minivae.models.discrete import DISCRETE_ESTIMATORS, BernoulliVAE
from minivae.nn.optim import Adam
from minivae.training.loop import train
from minivae.training.settings import Settings
from minivae.training.storage import load_model, save_model
from tests.support import assert_within_standard_errors


def small(rng, estimator="score", likelihood=None, dtype=np.float64):
    model = BernoulliVAE.mlp(3, 2, [4], "tanh", likelihood, estimator)
    params = model.init(rng, dtype)
    return model, params + 0.3 * rng.standard_normal(params.shape).astype(dtype)


def every_noise(model, params, x, n_draws):
    """Yield noise (K, 1, 2) that gives each tuple of codes of one x in turn, with its probability."""
    theta = model.embed(params, x)[0]
    for codes in itertools.product(all_states(2), repeat=n_draws):
        z = np.array(codes)
        yield np.where(z == 1, 1.0, 0.0)[:, None], np.prod(np.where(z == 1, theta, 1 - theta))


def test_the_probabilities_of_all_images_sum_to_one(rng):
    model, params = small(rng)
    images = all_states(3)
    assert abs(np.exp(model.log_prob(params, images)).sum() - 1) < 1e-12
    gaussian, params = small(rng, likelihood=Gaussian())
    x = np.linspace(-8, 8, 41)
    grid = np.stack(np.meshgrid(x, x, x), axis=-1).reshape(-1, 3)
    assert abs(np.exp(gaussian.log_prob(params, grid)).sum() * 0.4**3 - 1) < 1e-6


def test_the_elbo_is_below_log_p_by_the_kl_to_the_posterior(rng):
    model, params = small(rng)
    x = all_states(3)
    decoder, theta = model.unpack(params)[1], model.embed(params, x)
    out, _ = model.decoder.forward(decoder, all_states(2))
    rows = [model.likelihood.log_prob(np.empty(0), np.tile(o, (8, 1)), x) for o in out]
    joint = np.array(rows) - 2 * np.log(2)  # log p(x|z) + log p(z), (S, B)
    b = all_states(2)[:, None]
    q = np.prod(np.where(b == 1, theta, 1 - theta), axis=2)
    kl = np.sum(q * (np.log(q) - joint + model.log_prob(params, x)), axis=0)
    terms = model.exact_terms(params, x)
    np.testing.assert_allclose(terms.elbo, model.log_prob(params, x) - kl, rtol=1e-12)
    np.testing.assert_allclose(terms.kl, np.sum(q * (np.log(q) + 2 * np.log(2)), axis=0), rtol=1e-12)
    assert (kl > 0).all()


@pytest.mark.parametrize("likelihood", [None, Gaussian(0.5, learned=True)], ids=["bernoulli", "gaussian"])
@pytest.mark.parametrize(("estimator", "n_draws", "baseline"), [
    ("score", 1, 0.0), ("score", 2, -3.0), ("score-leave-one-out", 2, 0.0), ("score-leave-one-out", 3, 5.0),
])  # fmt: skip
def test_the_mean_over_all_noise_is_the_exact_gradient(estimator, n_draws, baseline, likelihood, rng):
    model, params = small(rng, estimator, likelihood)
    exact, x = BernoulliVAE(model.encoder, model.decoder, model.likelihood, "exact"), np.array([[1.0, 0.0, 1.0]])
    expected, grads, mean, mean_loss = np.full_like(params, np.nan), np.empty_like(params), 0.0, 0.0
    loss, terms = exact.loss_and_grad(params, x, None, expected, beta=2.0)
    for u, weight in every_noise(model, params, x, n_draws):
        grads[:] = np.nan
        one, _ = model.loss_and_grad(params, x, u, grads, beta=2.0, baseline=baseline)
        mean, mean_loss = mean + weight * grads, mean_loss + weight * one
    np.testing.assert_allclose(mean, expected, rtol=1e-11, atol=1e-13)
    assert abs(mean_loss - loss) < 1e-12
    assert abs(2 * terms.kl.item() - terms.log_lik.item() - loss) < 1e-12


def test_leave_one_out_ignores_a_baseline(rng):
    model, params = small(rng, "score-leave-one-out")
    x, u = all_states(3), rng.random((3, 8, 2))
    a, b = np.empty_like(params), np.empty_like(params)
    model.loss_and_grad(params, x, u, a)
    model.loss_and_grad(params, x, u, b, baseline=np.arange(8.0))
    np.testing.assert_allclose(a, b, atol=1e-14)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["score", "constant", "moving average", "score-leave-one-out"])
def test_sampled_gradients_are_unbiased_and_baselines_help(kind, seed):
    rng = np.random.default_rng(seed)
    estimator = "score-leave-one-out" if kind == "score-leave-one-out" else "score"
    model, params = small(rng, estimator, Gaussian(0.2))
    x = rng.normal(size=(4, 3))
    exact, expected = BernoulliVAE(model.encoder, model.decoder, model.likelihood, "exact"), np.empty_like(params)
    _, terms = exact.loss_and_grad(params, x, None, expected)
    rule = MovingAverage(0.9)
    state, rows = rule.init(rng), np.empty((2000, params.size))
    for grads in rows:
        baseline = {"constant": terms.log_lik, "moving average": rule.predict(state, x)}.get(kind, 0.0)
        _, found = model.loss_and_grad(params, x, model.draw_noise(rng, 2, 4, float), grads, baseline=baseline)
        rule.update(state, x, found.log_lik)
    encoder = model.slices[0]
    assert_within_standard_errors(rows, expected)
    if kind != "score":
        plain = np.empty((500, params.size))
        bare = BernoulliVAE(model.encoder, model.decoder, model.likelihood, "score")
        for grads in plain:
            bare.loss_and_grad(params, x, bare.draw_noise(rng, 2, 4, float), grads)
        assert rows[:, encoder].var(axis=0).sum() < 0.7 * plain[:, encoder].var(axis=0).sum()


def test_draws_have_the_probabilities_of_the_encoder(rng):
    model, params = small(rng)
    x = np.array([[1.0, 0.0, 1.0]])
    u = model.draw_noise(rng, 20_000, 1, np.float64)
    z, _ = model._codes(model.encoder.forward(model.unpack(params)[0], x)[0], u)
    assert_within_standard_errors(z[:, 0], model.embed(params, x)[0])


def test_nothing_comes_back_through_the_draw(rng):
    # at frozen noise a small change of the encoder moves no bit: the derivative of the reconstruction is zero
    model, params = small(rng)
    x, u = all_states(3), rng.random((2, 8, 2))
    before = model.terms(params, x, eps=u).log_lik
    for i in range(model.slices[0].stop):
        moved = params.copy()
        moved[i] += 1e-9
        np.testing.assert_array_equal(model.terms(moved, x, eps=u).log_lik, before)
    with pytest.raises(ValueError, match=r"the draw is a step, .* zero almost everywhere.* Use 'score-leave-one-out'"):
        BernoulliVAE.mlp(3, 2, estimator="pathwise")


@pytest.mark.parametrize("estimator", DISCRETE_ESTIMATORS)
def test_training_saving_and_loading(estimator, tmp_path):
    rng = np.random.default_rng(1)
    kinds = np.array([[1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1], [1, 0, 1, 0, 1, 0], [0, 1, 0, 1, 0, 1]], np.float32)
    x = np.repeat(kinds, 16, axis=0)
    model = BernoulliVAE.mlp(6, 2, [16], "tanh", estimator=estimator)
    settings = Settings(epochs=150, batch_size=16, optimizer=Adam(1e-2), n_draws=4, start_at_mean=False, seed=1)
    result = train(model, x, x, settings)
    start = model.init(rng)
    before, after = (model.exact_terms(p, x).elbo.mean() for p in (start, result.params))
    assert after > before + 1
    log_p = model.log_prob(result.params, x)
    assert (model.exact_terms(result.params, x).elbo <= log_p + 1e-5).all()
    assert log_p.mean() <= -2 * np.log(2) + 1e-5  # two bits at least are in four kinds of images
    save_model(tmp_path / "model.npz", model, result.params)
    loaded, params, _ = load_model(tmp_path / "model.npz")
    assert loaded == model
    np.testing.assert_array_equal(params, result.params)


def test_float32_agrees_with_float64(rng):
    for estimator in DISCRETE_ESTIMATORS:
        model, params = small(rng, estimator)
        x, u = all_states(3), rng.random((2, 8, 2)).astype(np.float32)
        a, b = np.empty_like(params), np.empty(params.shape, np.float32)
        loss, _ = model.loss_and_grad(params, x, u.astype(float), a)
        single, terms = model.loss_and_grad(params.astype(np.float32), x, u, b)
        assert terms.log_lik.dtype == terms.kl.dtype == np.float32
        assert abs(loss - single) < 1e-5
        np.testing.assert_allclose(b, a, atol=1e-5)


def test_evaluation_in_chunks_is_evaluation_at_once(rng, monkeypatch):
    for estimator in DISCRETE_ESTIMATORS:
        model, params = small(rng, estimator)
        x, u = all_states(3), rng.random((2, 8, 2))
        whole = model.terms(params, x, eps=u).elbo, model.log_prob(params, x)
        with monkeypatch.context() as patch:
            patch.setattr("minivae.core.parallel._ROWS_AT_ONCE", 8)
            np.testing.assert_allclose(model.terms(params, x, eps=u).elbo, whole[0], rtol=1e-13)
            np.testing.assert_allclose(model.log_prob(params, x), whole[1], rtol=1e-13)


def test_samples_have_the_frequencies_of_log_prob(rng):
    model, params = small(rng)
    x = model.sample(params, 20_000, rng)
    hits = (x[:, None] == all_states(3)).all(axis=2)
    assert_within_standard_errors(hits, np.exp(model.log_prob(params, all_states(3))))
    assert model.reconstruct(params, x[:5]).shape == (5, 3)


def test_bad_input_is_refused(rng):
    with pytest.raises(ValueError, match="Did you mean 'score-leave-one-out'"):
        BernoulliVAE.mlp(3, 2, estimator="leave-one-out")
    model, params = small(rng, "score-leave-one-out")
    x, grads = all_states(3), np.empty_like(params)
    with pytest.raises(ValueError, match=r"f must hold at least 2 draws .* Use n_draws=2 or more"):
        model.loss_and_grad(params, x, rng.random((1, 8, 2)), grads)
    with pytest.raises(ValueError, match=r"baseline must be a finite number .* shape \(8,\), got shape \(3,\)"):
        model.loss_and_grad(params, x, rng.random((2, 8, 2)), grads, baseline=np.zeros(3))
    with pytest.raises(ValueError, match=r"eps must have shape \(draws, batch, n_latent\) = \(K, 8, 2\)"):
        model.loss_and_grad(params, x, rng.random((2, 8, 3)), grads)


def test_normal_noise_for_bits_is_refused(rng):
    model, params = small(rng, "score-leave-one-out")
    x, grads = all_states(3), np.empty_like(params)
    with pytest.raises(ValueError, match=r"eps must be uniform noise in \[0, 1\) for bits, got values from -"):
        model.loss_and_grad(params, x, rng.standard_normal((2, 8, 2)), grads)
