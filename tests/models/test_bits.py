"""A VAE with bits, few enough to enumerate. Its gradients are in ``tests/estimators/test_weights.py`` too."""

import itertools

import numpy as np
import pytest

from minivae.core.arrays import log_mean_exp
from minivae.core.errors import NonFiniteError
from minivae.distributions.bits import Bits, all_states
from minivae.distributions.likelihoods import Gaussian
from minivae.distributions.priors import FairBits
from minivae.estimators.baselines import MovingAverage
from minivae.estimators.objectives import Elbo
from minivae.estimators.weights import ESTIMATORS
from minivae.models.bounds import iwae_bound, log_marginal, log_weights
from minivae.models.vae import VAE
from minivae.nn.optim import Adam
from minivae.training.loop import train
from minivae.training.settings import Settings
from minivae.training.storage import load_model, save_model
from tests.own_boxes import owning_bits
from tests.support import assert_within_standard_errors

DISCRETE = [name for name, row in ESTIMATORS.items() if not row.has_path and row.bound == "elbo"]
EXACT = Elbo("exact")


def small(rng, likelihood=None, dtype=np.float64):
    model = VAE.mlp(3, 2, [4], "tanh", likelihood, "bits")
    params = model.init(rng, dtype)
    return model, params + 0.3 * rng.standard_normal(params.shape).astype(dtype)


def owning(rng):
    model = owning_bits()
    return model, model.init(rng) + 0.3 * rng.standard_normal(model.n_params)


def test_the_boxes_are_bits_and_fair_bits():
    model = VAE.mlp(3, 2, [4], posterior="bits")
    assert (model.posterior, model.prior) == (Bits(2), FairBits(2))
    assert model.encoder.n_out == model.decoder.n_in == model.n_latent == 2
    assert model.continuous is False
    assert (model.variational, model.random) == (True, True)


def test_the_probabilities_of_all_images_sum_to_one(rng):
    model, params = small(rng)
    images = all_states(3)
    assert abs(np.exp(model.log_prob(params, images)).sum() - 1) < 1e-12
    gaussian, params = small(rng, Gaussian())
    x = np.linspace(-8, 8, 41)
    grid = np.stack(np.meshgrid(x, x, x), axis=-1).reshape(-1, 3)
    assert abs(np.exp(gaussian.log_prob(params, grid)).sum() * 0.4**3 - 1) < 1e-6


def test_the_probabilities_sum_to_one_under_any_prior(rng):
    model, params = owning(rng)
    assert abs(np.exp(model.log_prob(params, all_states(3))).sum() - 1) < 1e-12


@pytest.mark.parametrize("make", [small, owning], ids=["fair bits", "a prior with parameters"])
def test_the_elbo_is_below_log_p_by_the_kl_to_the_posterior(make, rng):
    model, params = make(rng)
    x = all_states(3)
    _, _, prior, decoder, _ = model.unpack(params)
    theta, log_p = model.embed(params, x), model.log_prob(params, x)
    out, _ = model.decoder.forward(decoder, all_states(2))
    rows = np.array([model.likelihood.log_prob(np.empty(0), np.tile(o, (8, 1)), x) for o in out])
    log_prior = model.prior.log_prob(prior, all_states(2)[:, None])
    joint = rows + log_prior  # log p(x|z) + log p(z), (S, B)
    b = all_states(2)[:, None]
    q = np.prod(np.where(b == 1, theta, 1 - theta), axis=2)
    kl = np.sum(q * (np.log(q) - joint + log_p), axis=0)
    np.testing.assert_allclose(log_p, np.log(np.exp(joint).sum(axis=0)), rtol=1e-12)
    terms = model.terms(params, x, objective=EXACT)
    np.testing.assert_allclose(terms.elbo, log_p - kl, rtol=1e-12)
    np.testing.assert_allclose(terms.kl, np.sum(q * (np.log(q) - log_prior), axis=0), rtol=1e-12)
    np.testing.assert_allclose(terms.log_lik, np.sum(q * rows, axis=0), rtol=1e-12)
    assert (kl > 0).all()


@pytest.mark.parametrize("kl", ["closed", "sampled"])
def test_exact_terms_need_no_noise_and_are_those_of_the_gradient(kl, rng):
    model, params = small(rng)
    x, objective = all_states(3), Elbo("exact", 2.0, kl)
    loss, found = model.loss_and_grad(params, x, None, np.empty_like(params), objective)
    for eps in (None, rng.random((2, 8, 2))):  # as ``train`` gives it to every objective
        terms = model.terms(params, x, eps=eps, objective=objective)
        np.testing.assert_allclose(terms.log_lik, found.log_lik, rtol=1e-13)
        np.testing.assert_allclose(terms.kl, found.kl, rtol=1e-13)
    assert abs(loss - np.mean(2 * terms.kl - terms.log_lik)) < 1e-13
    np.testing.assert_array_equal(model.elbo(params, x, objective=objective), terms.elbo)


def test_leave_one_out_ignores_a_baseline(rng):
    model, params = small(rng)
    x, u = all_states(3), rng.random((3, 8, 2))
    a, b = np.empty_like(params), np.empty_like(params)
    model.loss_and_grad(params, x, u, a, Elbo("score-leave-one-out"))
    model.loss_and_grad(params, x, u, b, Elbo("score-leave-one-out"), baseline=np.arange(8.0))
    np.testing.assert_allclose(a, b, atol=1e-14)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["score", "constant", "moving average", "score-leave-one-out"])
def test_sampled_gradients_are_unbiased_and_baselines_help(kind, seed):
    rng = np.random.default_rng(seed)
    objective = Elbo("score-leave-one-out" if kind == "score-leave-one-out" else "score")
    model, params = small(rng, Gaussian(0.2))
    x, expected = rng.normal(size=(4, 3)), np.empty_like(params)
    _, terms = model.loss_and_grad(params, x, None, expected, EXACT)
    rule = MovingAverage(0.9)
    state, rows = rule.init(rng), np.empty((2000, params.size))
    for grads in rows:
        baseline = {"constant": terms.log_lik, "moving average": rule.predict(state, x)}.get(kind, 0.0)
        u = model.draw_noise(rng, 2, 4, float)
        _, found = model.loss_and_grad(params, x, u, grads, objective, baseline=baseline)
        rule.update(state, x, found.log_lik)
    encoder = model.slices[0]
    assert_within_standard_errors(rows, expected)
    if kind != "score":
        plain = np.empty((500, params.size))
        for grads in plain:
            model.loss_and_grad(params, x, model.draw_noise(rng, 2, 4, float), grads, Elbo("score"))
        assert rows[:, encoder].var(axis=0).sum() < 0.7 * plain[:, encoder].var(axis=0).sum()


def test_draws_have_the_probabilities_of_the_encoder(rng):
    model, params = small(rng)
    x = np.array([[1.0, 0.0, 1.0]])
    _, z, _ = model.draw(params, x, model.draw_noise(rng, 20_000, 1, np.float64))
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
    with pytest.raises(ValueError, match=r"the draw is a step, .* zero almost everywhere.* score-leave-one-out"):
        model.loss_and_grad(params, x, u, np.empty_like(params), Elbo("pathwise"))


@pytest.mark.parametrize("estimator", DISCRETE)
def test_training_saving_and_loading(estimator, tmp_path):
    rng = np.random.default_rng(1)
    kinds = np.array([[1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1], [1, 0, 1, 0, 1, 0], [0, 1, 0, 1, 0, 1]], np.float32)
    x = np.repeat(kinds, 16, axis=0)
    model, n_draws = VAE.mlp(6, 2, [16], "tanh", posterior="bits"), None if estimator == "exact" else 4
    settings = Settings(
        epochs=150,
        batch_size=16,
        optimizer=Adam(1e-2),
        objective=Elbo(estimator),
        n_draws=n_draws,
        start_at_mean=False,
        seed=1,
    )
    result = train(model, x, x, settings)
    start = model.init(rng)
    before, after = (model.elbo(p, x, objective=EXACT).mean() for p in (start, result.params))
    assert after > before + 1
    log_p = model.log_prob(result.params, x)
    assert (model.elbo(result.params, x, objective=EXACT) <= log_p + 1e-5).all()
    assert log_p.mean() <= -2 * np.log(2) + 1e-5  # two bits at least are in four kinds of images
    save_model(tmp_path / "model.npz", model, result.params)
    loaded, params, _ = load_model(tmp_path / "model.npz")
    assert loaded == model
    np.testing.assert_array_equal(params, result.params)
    np.testing.assert_array_equal(loaded.log_prob(params, x), log_p)


@pytest.mark.parametrize("kl", ["closed", "sampled"])
def test_float32_agrees_with_float64(kl, rng):
    for estimator in (name for name in DISCRETE if kl in ESTIMATORS[name].kl):
        model, params = small(rng)
        x, u, objective = all_states(3), rng.random((2, 8, 2)).astype(np.float32), Elbo(estimator, 1.7, kl)
        a, b = np.empty_like(params), np.empty(params.shape, np.float32)
        noise = (None, None) if estimator == "exact" else (u.astype(float), u)
        loss, _ = model.loss_and_grad(params, x, noise[0], a, objective)
        single, terms = model.loss_and_grad(params.astype(np.float32), x, noise[1], b, objective)
        assert terms.log_lik.dtype == terms.kl.dtype == np.float32
        assert abs(loss - single) < 1e-5
        np.testing.assert_allclose(b, a, atol=1e-5)


@pytest.mark.parametrize("kl", ["closed", "sampled"])
def test_evaluation_in_chunks_is_evaluation_at_once(kl, rng, monkeypatch):
    for estimator in (name for name in DISCRETE if kl in ESTIMATORS[name].kl):
        model, params = small(rng)
        x, u, objective = all_states(3), rng.random((2, 8, 2)), Elbo(estimator, kl=kl)
        whole = model.terms(params, x, eps=u, objective=objective).elbo, model.log_prob(params, x)
        with monkeypatch.context() as patch:
            patch.setattr("minivae.core.parallel._ROWS_AT_ONCE", 8)
            np.testing.assert_allclose(model.elbo(params, x, eps=u, objective=objective), whole[0], rtol=1e-13)
            np.testing.assert_allclose(model.log_prob(params, x), whole[1], rtol=1e-13)


@pytest.mark.parametrize("make", [small, owning], ids=["fair bits", "a prior with parameters"])
def test_samples_have_the_frequencies_of_log_prob(make, rng):
    model, params = make(rng)
    x = model.sample(params, 20_000, rng)
    hits = (x[:, None] == all_states(3)).all(axis=2)
    assert_within_standard_errors(hits, np.exp(model.log_prob(params, all_states(3))))
    # and a mean is E[x|z] of a code, which has the mean of x
    means = model.sample(params, 20_000, rng, mean=True)
    codes = model.decode(params, all_states(2))
    assert {row.tobytes() for row in means.round(12)} == {row.tobytes() for row in codes.round(12)}
    assert_within_standard_errors(means, np.exp(model.log_prob(params, all_states(3))) @ all_states(3))


def test_reconstruction_is_that_of_the_most_probable_code(rng):
    model, params = small(rng)
    x = all_states(3)
    codes = (model.embed(params, x) > 0.5).astype(float)
    np.testing.assert_array_equal(model.reconstruct(params, x), model.decode(params, codes))
    np.testing.assert_array_equal(model.posterior.code(np.empty(0), model.encode(params, x)), codes)


# ------------------------------------------------------------------------------------------- the bounds


def every_tuple(model, params, x, n_draws):
    """Yield noise (K, 1, 2) that gives each tuple of codes of one x in turn, with its probability."""
    theta = model.embed(params, x)[0]
    for codes in itertools.product(all_states(2), repeat=n_draws):
        z = np.array(codes)
        yield np.where(z == 1, 1.0, 0.0)[:, None], np.prod(np.where(z == 1, theta, 1 - theta))


@pytest.mark.parametrize("make", [small, owning], ids=["fair bits", "a prior with parameters"])
def test_the_expected_weight_is_p_and_the_expected_bounds_grow_up_to_log_p(make, rng):
    model, params = make(rng)
    x = np.array([[1.0, 0.0, 1.0]])
    log_p = model.log_prob(params, x).item()
    weights = [(np.exp(log_weights(model, params, x, u)).item(), w) for u, w in every_tuple(model, params, x, 1)]
    assert abs(np.log(sum(w * value for value, w in weights)) - log_p) < 1e-12
    bounds = []
    for n_draws in (1, 2, 3, 4):
        tuples = every_tuple(model, params, x, n_draws)
        bounds.append(sum(w * iwae_bound(model, params, x, u).item() for u, w in tuples))
    assert abs(bounds[0] - model.elbo(params, x, objective=EXACT).item()) < 1e-12
    assert bounds[0] < bounds[1] < bounds[2] < bounds[3] < log_p
    # the gap closes like 1 / K
    assert log_p - bounds[3] < 0.6 * (log_p - bounds[1])


@pytest.mark.parametrize("make", [small, owning], ids=["fair bits", "a prior with parameters"])
def test_the_importance_sampled_log_p_reaches_the_exact_one(make, rng):
    model, params = make(rng)
    x = all_states(3)
    log_p = model.log_prob(params, x)
    estimate = log_marginal(model, params, x, 20_000, rng)
    # delta method: the relative variance of the mean weight is (K / ESS - 1) / K
    error = np.sqrt((estimate.n_draws / estimate.ess - 1) / estimate.n_draws)
    assert (np.abs(estimate.log_p - log_p) <= 5 * error + 1e-12).all()
    assert (error > 0).all()
    # repeated with few draws its mean is the K-sample bound, not above log p(x)
    rows = log_marginal(model, params, np.repeat(x[:1], 4000, axis=0), 2, rng).log_p
    tuples = every_tuple(model, params, x[:1], 2)
    bound = sum(w * log_mean_exp(log_weights(model, params, x[:1], u)).item() for u, w in tuples)
    assert_within_standard_errors(rows, bound)
    assert bound < log_p[0]


def test_log_p_of_too_many_states_is_refused():
    for model in (VAE.mlp(3, 17, [4], posterior="bits"), VAE.mlp(3, 2, [4])):
        params = model.init(np.random.default_rng(0))
        with pytest.raises(ValueError, match=r"posterior must have states that can be enumerated, .*by log_marginal"):
            model.log_prob(params, np.ones((1, 3)))


def test_what_is_to_be_known_of_it_holds_the_exact_numbers(rng):
    model, params = small(rng)
    x = np.repeat(all_states(3), 5, axis=0)
    rows = {row["quantity"]: row for row in model.quantities(params, x, 0, 1000)}
    assert list(rows)[:3] == ["elbo", "log_lik", "kl"]
    for name, exact in (
        ("exact elbo", model.elbo(params, x, objective=EXACT)),
        ("exact log p(x)", model.log_prob(params, x)),
        ("KL of latent 1", model.closed_kl.per_latent(np.empty(0), model.encode(params, x))[:, 0]),
    ):
        np.testing.assert_allclose(rows[name]["value"], exact.mean(), rtol=1e-12)
        np.testing.assert_allclose(rows[name]["standard_error"], exact.std(ddof=1) / np.sqrt(40), rtol=1e-12)
    # what was sampled is within its errors: 16 draws of each example for the ELBO, 1000 for log p(x)
    _, _, states = model.draw(params, x, None)
    q = np.exp(states.log_q)
    spread = np.sum(q * (states.log_lik - np.sum(q * states.log_lik, axis=0)) ** 2, axis=0)
    error = np.sqrt(spread.mean() / 16 / 40)
    assert abs(rows["elbo"]["value"] - rows["exact elbo"]["value"]) <= 5 * error
    spread = np.sum(q * np.expm1(states.f - model.log_prob(params, x)) ** 2, axis=0)
    error = np.sqrt(spread.mean() / 1000 / 40)
    assert abs(rows["log p(x) estimate, K=1000"]["value"] - rows["exact log p(x)"]["value"]) <= 5 * error
    assert {"IWAE bound, K=5", "IWAE bound, K=50"} <= set(rows)
    own, params = owning(rng)
    names = {row["quantity"] for row in own.quantities(params, x, 0, 10)}
    assert "exact log p(x)" in names
    assert not any(name.startswith("KL of latent") for name in names)  # no formula
    large = VAE.mlp(3, 13, [4], posterior="bits")
    names = {row["quantity"] for row in large.quantities(large.init(rng), x[:2], 0, 10)}
    assert not any(name.startswith("exact") for name in names)  # 8192 states are many


# ------------------------------------------------------------------------------------------- bad input


def test_bad_input_is_refused(rng):
    model, params = small(rng)
    x, grads = all_states(3), np.empty_like(params)
    with pytest.raises(ValueError, match=r"n_draws must be at least 2 .*, got 1: a single draw .* Use n_draws=4"):
        model.loss_and_grad(params, x, rng.random((1, 8, 2)), grads)
    with pytest.raises(ValueError, match=r"baseline must be a finite number .* shape \(8,\), got .* shape \(3,\)"):
        model.loss_and_grad(params, x, rng.random((2, 8, 2)), grads, Elbo("score"), baseline=np.zeros(3))
    with pytest.raises(ValueError, match=r"eps must have shape \(draws, batch, n_latent\) = \(K, 8, 2\)"):
        model.loss_and_grad(params, x, rng.random((2, 8, 3)), grads)
    for call in (model.log_prob, model.embed, model.reconstruct):
        with pytest.raises(ValueError, match=r"x must have shape \(batch, 3\), got \(8, 2\)"):
            call(params, x[:, :2])
    with pytest.raises(ValueError, match=r"x must lie in \[0, 1\]"):
        model.log_prob(params, 2 * x)


def test_normal_noise_for_bits_is_refused(rng):
    model, params = small(rng)
    x, normal = all_states(3), rng.standard_normal((2, 8, 2))
    for call in (
        lambda: model.loss_and_grad(params, x, normal, np.empty_like(params)),
        lambda: model.terms(params, x, eps=normal),
        lambda: log_weights(model, params, x, normal),
    ):
        with pytest.raises(ValueError, match=r"eps must be uniform noise in \[0, 1\) for bits, got values from -"):
            call()


@pytest.mark.parametrize("objective", [EXACT, Elbo("score", kl="closed"), Elbo("score", kl="sampled")], ids=str)
@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda a: a["x"].__setitem__((2, 1), np.nan), "x holds 1 NaN"),
        (lambda a: a["params"].__setitem__(0, np.nan), "encoder.0.weight holds 1 NaN"),
        (
            lambda a: dict(a["model"].named(a["params"]))["decoder.2.bias"].__setitem__(1, np.inf),
            "decoder.2.bias holds 1",
        ),
        (lambda a: a["x"].__setitem__((2, 1), 255.0), r"log p\(x\|z\) holds"),
    ],
)
def test_a_loss_that_is_not_finite_names_the_first_array(spoil, named, objective, rng):
    model, params = small(rng)
    x = all_states(3)
    spoil({"model": model, "params": params, "x": x})
    with np.errstate(all="ignore"), pytest.raises(NonFiniteError, match=f"the loss is not finite: {named}"):
        model.loss_and_grad(params, x, rng.random((2, 8, 2)), np.empty_like(params), objective)


def test_trace_has_the_shapes_of_draws_or_of_states(rng):
    model, params = small(rng)
    for objective, first in ((EXACT, 4), (Elbo("score"), 2)):
        trace = dict(model.trace(params, all_states(3), rng.random((2, 8, 2)), objective))
        assert list(trace)[: len(list(model.named(params)))] == [name for name, _ in model.named(params)]
        assert trace["z"].shape == (first, 1 if objective is EXACT else 8, 2)
        assert trace["log p(x|z)"].shape == (first * 8,)
        assert ("eps" in trace) == (objective is not EXACT)


@pytest.mark.parametrize("make", [small, owning], ids=["fair bits", "a prior with parameters"])
@pytest.mark.parametrize("estimator", ["exact", "score"])
def test_the_sampled_kl_of_trace_is_the_log_ratio_of_two_probabilities(estimator, make, rng):
    model, params = make(rng)
    x, u = all_states(3), rng.random((5, 8, 2))
    trace = dict(model.trace(params, x, u, Elbo(estimator, kl="sampled")))
    theta, (_, _, prior, decoder, _) = model.embed(params, x), model.unpack(params)
    z = all_states(2)[:, None] if estimator == "exact" else (u > 1 - theta).astype(float)
    np.testing.assert_array_equal(trace["z"], z)
    fair = 1 / (1 + np.exp(-prior)) if prior.size else np.full(2, 0.5)
    q, p = (np.prod(np.where(z == 1, chance, 1 - chance), axis=2) for chance in (theta, fair))
    np.testing.assert_allclose(trace["KL"], np.log(q) - np.log(p), rtol=1e-10, atol=1e-12)
    out, _ = model.decoder.forward(decoder, z.reshape(-1, 2))
    pixels = 1 / (1 + np.exp(-out.reshape(len(z), -1, 3)))
    log_lik = np.log(np.where(x == 1, pixels, 1 - pixels)).sum(axis=2)
    np.testing.assert_allclose(trace["log p(x|z)"].reshape(-1, 8), log_lik, rtol=1e-10)
