"""Posteriors and priors with parameters of their own work in a VAE as those without do."""

import numpy as np
import pytest
from scipy import integrate, stats

from minivae.distributions import kl as kl_module
from minivae.distributions.diagonal import DiagonalGaussian
from minivae.distributions.kl import closes
from minivae.distributions.likelihoods import Gaussian
from minivae.distributions.nodes import normal_nodes
from minivae.distributions.priors import StandardNormal
from minivae.estimators.objectives import Elbo
from minivae.models.bounds import log_marginal
from minivae.models.vae import VAE
from minivae.nn.gradcheck import check_gradient
from minivae.nn.optim import Adam
from minivae.training.loop import train
from minivae.training.settings import Settings
from minivae.training.storage import load_model, save_model
from tests.own_boxes import MovedNormal, OffsetGaussian, owning_bits, owning_vae
from tests.support import assert_within_standard_errors, binary


def own(rng, n_latent=1):
    model = owning_vae(3, n_latent)
    return model, model.init(rng) + 0.3 * rng.standard_normal(model.n_params)


def gradient(model, params, x, eps, objective, **how):
    grads = np.full_like(params, np.nan)
    loss, _ = model.loss_and_grad(params, x, eps, grads, objective, **how)
    assert np.isfinite(grads).all()
    return loss, grads


def by_nodes(model, params, x, objective):
    nodes, w = normal_nodes()
    return gradient(model, params, x, nodes, objective, weights=w)


# -------------------------------------------------------------------------------- the flat vector


def test_boxes_stand_in_the_order_encoder_posterior_prior_decoder_likelihood(rng):
    model = VAE.mlp(3, 2, [4], "tanh", Gaussian(learned=True), OffsetGaussian(2), MovedNormal(2))
    boxes = [model.encoder, model.posterior, model.prior, model.decoder, model.likelihood]
    assert list(model.boxes) == ["encoder", "posterior", "prior", "decoder", "likelihood"]
    assert list(model.boxes.values()) == boxes
    params = model.init(np.random.default_rng(1))
    views = model.unpack(params)
    assert [len(view) for view in views] == [box.n_params for box in boxes] == [16 + 20, 2, 2, 12 + 15, 1]
    np.testing.assert_array_equal(np.concatenate(views), params)
    assert all(np.shares_memory(view, params) for view in views)
    # each box starts from the generator in its turn
    again = np.random.default_rng(1)
    np.testing.assert_array_equal(np.concatenate([box.init(again, np.float64) for box in boxes]), params)
    names = dict(model.named(params))
    assert list(names)[4:6] == ["posterior.own", "prior.own"]
    assert [name.split(".")[0] for name in names] == [
        *["encoder"] * 4,
        "posterior",
        "prior",
        *["decoder"] * 4,
        "likelihood",
    ]
    marks = np.zeros_like(params)
    for _, view in model.named(marks):
        view += 1
    assert (marks == 1).all()
    x = rng.normal(size=(20, 3))
    np.testing.assert_allclose(model.decode(model.init(rng, x=x), np.zeros((1, 2)))[0], x.mean(0), rtol=1e-12)


def test_without_parameters_nothing_stands_between_encoder_and_decoder():
    model = VAE.mlp(3, 2, [4])
    assert [view.size for view in model.unpack(np.zeros(model.n_params))] == [
        model.encoder.n_params,
        0,
        0,
        model.decoder.n_params,
        0,
    ]


def test_a_prior_of_other_latents_is_refused():
    with pytest.raises(ValueError, match="prior must have the 2 latents of the posterior, got 3"):
        VAE.mlp(3, 2, [4], prior=StandardNormal(3))


# ------------------------------------------------------------------------------------ the gradient


@pytest.mark.parametrize("beta", [0.0, 1.0, 1.7])
def test_pathwise_is_the_derivative_for_every_parameter(beta, rng):
    model, params = own(rng, n_latent=2)
    x, eps, w = binary(rng, 4, 3), rng.normal(size=(3, 4, 2)), np.array([0.2, 0.5, 0.3])
    assert model.closed_kl is None
    loss, grads = gradient(model, params, x, eps, Elbo("pathwise", beta), weights=w)
    assert check_gradient(lambda p: gradient(model, p, x, eps, Elbo(beta=beta), weights=w)[0], grads, params).ok
    terms = model.terms(params, x, eps=eps, weights=w)
    assert abs(loss - np.mean(beta * terms.kl - terms.log_lik)) < 1e-13
    _, posterior, prior, _, _ = model.unpack(grads)
    assert np.abs(posterior).min() > 1e-4
    assert (np.abs(prior) > 1e-4).all() == (beta > 0)
    assert (prior == 0).all() == (beta == 0)  # and it is written all the same


@pytest.mark.parametrize("beta", [0.0, 1.0, 1.7])
@pytest.mark.parametrize("estimator", ["path-derivative", "score", "score-learned"])
def test_every_estimator_has_its_expectation_for_every_parameter(estimator, beta, rng):
    model, params = own(rng)
    x = binary(rng, 3, 3)
    expected_loss, expected = by_nodes(model, params, x, Elbo("pathwise", beta))
    loss, grads = by_nodes(model, params, x, Elbo(estimator, beta))
    np.testing.assert_allclose(grads, expected, atol=1e-8)
    assert abs(loss - expected_loss) < 1e-12
    # what prior and decoder learn does not depend on the estimator, at any noise
    eps = rng.normal(size=(2, 3, 1))
    _, a = gradient(model, params, x, eps, Elbo("pathwise", beta))
    _, b = gradient(model, params, x, eps, Elbo(estimator, beta))
    np.testing.assert_array_equal(a[model.slices[2].start :], b[model.slices[2].start :])
    assert np.abs(a[: model.slices[2].start] - b[: model.slices[2].start]).max() > (0 if beta else -1)


def test_leave_one_out_is_the_score_function_less_its_own_baselines(rng):
    # of two draws each is the other's baseline: 1/2 [(f1 - f2) s1 + (f2 - f1) s2], from single draws with a constant
    model, params = own(rng)
    x, eps, objective = binary(rng, 1, 3), rng.normal(size=(2, 1, 1)), Elbo("score", 1.7)
    _, _, draws = model.draw(params, x, eps)
    f = (draws.log_lik + 1.7 * (draws.log_prior - draws.log_q))[:, 0]
    alone = [gradient(model, params, x, eps[[k]], objective, baseline=f[1 - k])[1] for k in (0, 1)]
    _, both = gradient(model, params, x, eps, Elbo("score-leave-one-out", 1.7))
    np.testing.assert_allclose(both, (alone[0] + alone[1]) / 2, rtol=1e-11, atol=1e-14)


def test_float32_gradients_agree_with_float64(rng):
    for model, noise in ((owning_vae(3, 2), rng.normal), (owning_bits(), rng.random)):
        params, x, eps = model.init(rng), binary(rng, 4, 3), noise(size=(3, 4, 2)).astype(np.float32)
        estimators = ("pathwise", "path-derivative") if model.posterior.has_path else ("exact",)
        for name in (*estimators, "score", "score-leave-one-out"):
            _, exact = gradient(model, params, x, eps.astype(float), Elbo(name, 1.7))
            _, single = gradient(model, params.astype(np.float32), x, eps, Elbo(name, 1.7))
            assert single.dtype == np.float32
            np.testing.assert_allclose(single, exact, atol=1e-5)


# --------------------------------------------------------------------------------- a closed KL of one's own


class MovedKl:
    """KL(N(mu, diag sigma^2) || N(m, I)) = 1/2 sum (mu - m)^2 + sigma^2 - 1 - log sigma^2."""

    def value(self, prior, head):
        return self.per_latent(prior, head).sum(axis=1)

    def per_latent(self, prior, head):
        mu, log_var = np.split(head, 2, axis=1)
        return 0.5 * ((mu - prior) ** 2 + np.expm1(log_var) - log_var)

    def backward(self, prior, head, dkl, dprior):
        mu, log_var = np.split(head, 2, axis=1)
        dprior[:] = -dkl @ (mu - prior)
        return np.concatenate([mu - prior, 0.5 * np.expm1(log_var)], axis=1) * dkl[:, None]


@pytest.fixture
def moved(rng, monkeypatch):
    """Return a VAE whose learned prior has a closed KL, and its parameters."""
    monkeypatch.setattr(kl_module, "_CLOSED", dict(kl_module._CLOSED))
    closes(DiagonalGaussian, MovedNormal)(MovedKl)
    model = VAE.mlp(3, 1, [4], "tanh", prior=MovedNormal(1))
    return model, model.init(rng) + 0.3 * rng.standard_normal(model.n_params)


@pytest.mark.parametrize("beta", [0.0, 1.0, 1.7])
@pytest.mark.parametrize("estimator", ["pathwise", "path-derivative", "score"])
def test_a_closed_kl_that_is_entered_is_the_sampled_one_in_expectation(estimator, beta, moved, rng):
    model, params = moved
    x = binary(rng, 3, 3)
    assert type(model.closed_kl) is MovedKl
    assert model.objective == Elbo("pathwise", 1.0, "closed")
    expected_loss, expected = by_nodes(model, params, x, Elbo("pathwise", beta, "closed"))
    loss, grads = by_nodes(model, params, x, Elbo(estimator, beta, "sampled"))
    np.testing.assert_allclose(grads, expected, atol=1e-8)
    assert abs(loss - expected_loss) < 1e-10
    nodes, w = normal_nodes()
    closed, sampled = (
        model.terms(params, x, eps=nodes, weights=w, objective=Elbo(kl=kl)).kl for kl in ("closed", "sampled")
    )
    np.testing.assert_allclose(sampled, closed, rtol=1e-10)


@pytest.mark.parametrize("beta", [0.0, 1.7])
@pytest.mark.parametrize("estimator", ["pathwise", "score"])
def test_the_gradient_of_an_entered_kl_reaches_the_prior(estimator, beta, moved, rng):
    model, params = moved
    x, eps = binary(rng, 3, 3), rng.normal(size=(2, 3, 1))
    _, grads = gradient(model, params, x, eps, Elbo(estimator, beta, "closed"))
    mu = model.embed(params, x)[:, 0]
    expected = -beta * np.mean(mu - dict(model.named(params))["prior.own"])
    np.testing.assert_allclose(dict(model.named(grads))["prior.own"], expected, rtol=1e-12, atol=0)
    if estimator == "pathwise":
        objective = Elbo(estimator, beta, "closed")
        assert check_gradient(lambda p: gradient(model, p, x, eps, objective)[0], grads, params).ok


# ------------------------------------------------------------------------------------------- using it


def test_bounds_and_terms_know_the_prior(rng):
    # log p(x) by the integral of p(z) p(x|z), one latent
    model, params = own(rng)
    x = binary(rng, 3, 3)
    _, _, prior, decoder, _ = model.unpack(params)

    def joint(z, row):
        out, _ = model.decoder.forward(decoder, np.array([[z]]))
        return stats.norm.pdf(z, prior[0]) * np.exp(model.likelihood.log_prob(np.empty(0), out, row[None]).item())

    log_p = [np.log(integrate.quad(joint, -12, 12, args=(row,), epsabs=1e-13)[0]) for row in x]
    nodes, w = normal_nodes()
    elbo = model.elbo(params, x, eps=nodes, weights=w)
    assert (elbo < np.array(log_p)).all()
    estimate = log_marginal(model, params, x, 20_000, rng)
    error = np.sqrt((estimate.n_draws / estimate.ess - 1) / estimate.n_draws)
    assert (np.abs(estimate.log_p - log_p) <= 5 * error).all()


def test_training_moves_every_box_and_the_model_is_stored_with_them(rng, tmp_path):
    x = (rng.random((60, 1)) < 0.5) * np.array([[1.0, 1.0, 0.0]]) + (rng.random((60, 3)) < 0.1)
    x = np.minimum(x, 1.0)
    for model, estimators in (
        (owning_vae(3, 2), ["pathwise", "path-derivative", "score-leave-one-out"]),
        (owning_bits(), ["exact", "score-leave-one-out", "score-learned"]),
    ):
        for estimator in estimators:
            how = Settings(epochs=30, batch_size=20, optimizer=Adam(0.02), objective=Elbo(estimator), patience=None)
            result = train(model, x, x, how)
            assert result.history[-1]["valid_elbo"] > result.history[0]["valid_elbo"]
            start = dict(model.named(train(model, x, None, Settings(1, 20, Adam(1e-30))).params))
            for name, view in model.named(result.params):
                assert np.abs(view - start[name]).min() > 0, name
            save_model(tmp_path / "m.npz", model, result.params)
            loaded, params, _ = load_model(tmp_path / "m.npz")
            assert loaded == model
            np.testing.assert_array_equal(params, result.params)


@pytest.mark.parametrize("prior", [StandardNormal, MovedNormal])
def test_samples_are_drawn_from_the_prior(prior, rng):
    # a linear decoder: E x = W m + b and Cov x = W W^T + I
    model = VAE.mlp(3, 2, [], likelihood=Gaussian(), prior=prior(2))
    params = model.init(rng)
    parts = dict(model.named(params))
    m = np.array([5.0, -3.0]) if prior is MovedNormal else np.zeros(2)
    if prior is MovedNormal:
        parts["prior.own"][:] = m
    W, b = parts["decoder.0.weight"], parts["decoder.0.bias"]
    x = model.sample(params, 50_000, rng)
    assert_within_standard_errors(x, m @ W + b)
    centred = x - (m @ W + b)
    assert_within_standard_errors(centred[:, 0] * centred[:, 1], (W.T @ W)[0, 1])
    assert_within_standard_errors(centred[:, 0] ** 2, (W.T @ W)[0, 0] + 1)


@pytest.mark.parametrize("model", [VAE.mlp(3, 2, [4]), owning_vae(3, 2), owning_bits()], ids=["plain", "own", "bits"])
def test_mean_samples_are_the_decoded_draws_of_the_prior(model, rng):
    params = model.init(rng)
    z = model.prior.sample(model.unpack(params)[2], 7, np.random.default_rng(3))
    means = model.sample(params, 7, np.random.default_rng(3), mean=True)
    np.testing.assert_array_equal(means, model.decode(params, z))
    drawn = model.sample(params, 7, np.random.default_rng(3))  # the same codes, and then x
    assert set(np.unique(drawn)) <= {0.0, 1.0}
    assert drawn.shape == means.shape == (7, 3)


@pytest.mark.parametrize("model", [VAE.mlp(3, 2, [4]), owning_vae(3, 2), owning_bits()], ids=["plain", "own", "bits"])
def test_reconstruction_is_the_decoded_code_of_the_posterior(model, rng):
    params, x = model.init(rng), binary(rng, 6, 3)
    own, head = model.unpack(params)[1], model.encode(params, x)
    np.testing.assert_array_equal(model.reconstruct(params, x), model.decode(params, model.posterior.code(own, head)))
    np.testing.assert_array_equal(model.embed(params, x), model.posterior.mean(own, head))
    np.testing.assert_array_equal(model.seen(x, rng), x)


def test_what_the_latents_say_is_the_kl_or_without_a_formula_the_spread_of_the_means(moved, rng):
    model, params = moved
    x = binary(rng, 6, 3)
    head, m = model.encode(params, x), dict(model.named(params))["prior.own"]
    np.testing.assert_allclose(model.says(params, x), MovedKl().per_latent(m, head).mean(axis=0), rtol=1e-13)
    model, params = own(rng, 2)
    np.testing.assert_allclose(model.says(params, x), model.embed(params, x).var(axis=0), rtol=1e-13)


def test_the_toys_are_as_they_say(rng):
    # their own derivatives are those of their densities: what is built on them tests the package, not the toys
    q, head, a = OffsetGaussian(2), rng.normal(size=(3, 4)), rng.normal(size=2)
    eps, dz, dlog_q = rng.normal(size=(5, 3, 2)), rng.normal(size=(5, 3, 2)), rng.normal(size=(5, 3))
    z, log_q, cache = q.sample(a, head, eps)
    np.testing.assert_allclose(log_q, q.log_prob(a, head, z), rtol=1e-12)
    da, point = np.full(2, np.nan), np.concatenate([a, head.ravel()])

    def along_the_path(p):
        z, log_q, _ = q.sample(p[:2], p[2:].reshape(head.shape), eps)
        return float(np.sum(dz * z) + np.sum(dlog_q * log_q))

    def at_fixed_z(p):
        return float(np.sum(dlog_q * q.log_prob(p[:2], p[2:].reshape(head.shape), z)))

    dhead = q.backward(a, cache, dz, dlog_q, da)
    assert check_gradient(along_the_path, np.concatenate([da, dhead.ravel()]), point).ok
    dhead = q.score(a, cache, dlog_q, da)
    assert check_gradient(at_fixed_z, np.concatenate([da, dhead.ravel()]), point).ok
