"""The belief network of two layers of bits: probabilities by enumeration of everything, gradients, training."""

import itertools

import numpy as np
import pytest
from scipy import special

from minivae.distributions.belief import BeliefBits, BeliefPrior
from minivae.distributions.bits import all_states
from minivae.estimators.k_sample import KSampleBound
from minivae.estimators.objectives import Elbo
from minivae.models.belief import belief_network
from minivae.models.bounds import iwae_bound, log_marginal
from minivae.models.recipes import RECIPES
from minivae.nn.front import Front
from minivae.nn.optim import Adam
from minivae.training.loop import train
from minivae.training.settings import Settings
from minivae.training.storage import load_model, save_model
from tests.support import assert_within_standard_errors, binary

N1, N2 = 2, 3


@pytest.fixture
def network(rng):
    model = belief_network(4, N1, N2)
    return model, model.init(rng) + 0.7 * rng.normal(size=model.n_params)


def by_hand(model, params):
    """Return p(z1, z2), p(x|z1) and q(z1, z2|x), from the weights alone, as functions of single codes."""
    p = {name: np.array(view) for name, view in model.named(params)}

    def bern(z, logits):
        return float(np.prod(np.where(np.asarray(z) == 1, special.expit(logits), special.expit(-logits))))

    def prior(z1, z2):
        return bern(z2, p["prior.logits"]) * bern(z1, z2 @ p["prior.lower.weight"] + p["prior.lower.bias"])

    def decoder(x, z1):
        return bern(x, z1 @ p["decoder.1.weight"] + p["decoder.1.bias"])

    def posterior(x, z1, z2):
        lower = bern(z1, x @ p["encoder.0.weight"] + p["encoder.0.bias"])
        return lower * bern(z2, z1 @ p["posterior.upper.weight"] + p["posterior.upper.bias"])

    return prior, decoder, posterior


CODES = [
    (np.array(a, float), np.array(b, float))
    for a in itertools.product((0, 1), repeat=N1)
    for b in itertools.product((0, 1), repeat=N2)
]


def test_elbo_and_log_p_are_the_sums_over_all_codes(network, rng):
    model, params = network
    prior, decoder, posterior = by_hand(model, params)
    x = binary(rng, 3)
    for i, row in enumerate(x):
        joint = np.array([prior(a, b) * decoder(row, a) for a, b in CODES])
        q = np.array([posterior(row, a, b) for a, b in CODES])
        assert abs(q.sum() - 1) < 1e-12
        np.testing.assert_allclose(model.log_prob(params, x)[i], np.log(joint.sum()), rtol=1e-12)
        elbo = model.elbo(params, x, objective=Elbo("exact"))[i]
        np.testing.assert_allclose(elbo, q @ (np.log(joint) - np.log(q)), rtol=1e-11)
        assert elbo <= np.log(joint.sum())


def test_the_probabilities_of_all_images_and_of_all_codes_sum_to_one(network):
    model, params = network
    assert abs(np.exp(model.log_prob(params, all_states(4))).sum() - 1) < 1e-12
    z = all_states(N1 + N2)[:, None]
    _, own, prior, _, _ = model.unpack(params)
    assert abs(np.exp(model.prior.log_prob(prior, z)).sum() - 1) < 1e-12
    assert abs(np.exp(model.posterior.log_prob(own, np.zeros((1, N1)), z)).sum() - 1) < 1e-12


def test_draws_come_as_often_as_their_probabilities(network, rng):
    model, params = network
    _, own, prior, _, _ = model.unpack(params)
    states = all_states(N1 + N2)
    z = model.prior.sample(prior, 50_000, rng)
    assert_within_standard_errors(
        (z[:, None] == states).all(axis=2), np.exp(model.prior.log_prob(prior, states[:, None]))[:, 0]
    )
    head = model.encode(params, binary(rng, 1))
    eps = model.draw_noise(rng, 50_000, 1, float)
    z, log_q, _ = model.posterior.sample(own, head, eps)
    _, known, _ = model.posterior.states(own, head)
    assert_within_standard_errors((z == states).all(axis=2), np.exp(known[:, 0]))
    np.testing.assert_allclose(log_q, model.posterior.log_prob(own, head, z), rtol=1e-12)


def test_means_are_those_of_the_states_and_codes_follow_the_layers(network, rng, monkeypatch):
    model, params = network
    own, head, q = model.unpack(params)[1], rng.normal(size=(5, N1)), model.posterior
    z, log_q, _ = q.states(own, head)
    exact = np.exp(log_q).T @ z[:, 0]
    np.testing.assert_allclose(q.mean(own, head), exact, rtol=1e-12)
    monkeypatch.setattr("minivae.distributions.belief._FEW", 1)  # fixed draws in place of all states
    np.testing.assert_allclose(q.mean(own, head), exact, atol=0.15)
    code = q.code(own, head)
    np.testing.assert_array_equal(code[:, :N1], head > 0)
    logits = code[:, :N1] @ dict(q.named(own))["upper.weight"] + dict(q.named(own))["upper.bias"]
    np.testing.assert_array_equal(code[:, N1:], logits > 0)


@pytest.mark.parametrize("name", ["score", "score-leave-one-out", "nvil"])
def test_draws_have_the_gradient_of_enumeration(name, network, rng):
    model, params = network
    x, exact = binary(rng, 2), np.empty_like(params)
    model.loss_and_grad(params, x, None, exact, Elbo("exact"))
    rows = np.empty((2500, model.n_params))
    for row in rows:
        model.loss_and_grad(params, x, model.draw_noise(rng, 2, 2, float), row, Elbo(name))
    assert_within_standard_errors(rows, exact)


def test_vimco_has_the_gradient_of_the_bound(network, rng):
    model, params = network
    x, n_pairs = binary(rng, 1), 1500
    rows = np.empty((n_pairs, model.n_params))
    for row in rows:
        model.loss_and_grad(params, x, model.draw_noise(rng, 2, 1, float), row, KSampleBound("iwae-vimco"))

    def loss(theta):
        _, _, draws = model.draw(theta, x, None)
        f, q = draws.f[:, 0], np.exp(draws.log_q[:, 0])
        return -float(q @ np.logaddexp(f[:, None], f) @ q - np.log(2))

    exact = np.empty(model.n_params)
    for i in range(model.n_params):
        h = np.zeros(model.n_params)
        h[i] = 1e-5
        exact[i] = (loss(params + h) - loss(params - h)) / 2e-5
    assert_within_standard_errors(rows, exact)


def test_importance_sampling_comes_near_log_p(network, rng):
    model, params = network
    x = binary(rng, 3)
    exact = model.log_prob(params, x)
    np.testing.assert_allclose(log_marginal(model, params, x, 20_000, rng).log_p, exact, atol=0.03)
    bounds = np.array([iwae_bound(model, params, x, model.draw_noise(rng, 5, 3, float)) for _ in range(300)])
    assert (bounds.mean(axis=0) < exact).all()


def test_training_by_enumeration_raises_log_p_and_a_saved_one_is_the_same(tmp_path):
    x = np.repeat(np.array([[1, 1, 0, 0], [0, 0, 1, 1.0]]), 10, axis=0)
    model = belief_network(4, 2, 2)
    how = Settings(epochs=300, batch_size=20, optimizer=Adam(0.05), objective=Elbo("exact"), patience=None)
    result = train(model, x, settings=how)
    log_p = model.log_prob(result.params, x).mean()
    assert -np.log(2) - 0.1 < log_p <= -np.log(2)  # two images, each as often
    save_model(tmp_path / "m.npz", model, result.params)
    loaded, params, *_ = load_model(tmp_path / "m.npz")
    np.testing.assert_array_equal(loaded.log_prob(params, x), model.log_prob(result.params, x))


def test_many_bits_are_sampled_and_the_words_say_so(rng):
    model = belief_network(4, 10)
    params, x = model.init(rng), binary(rng, 2)
    with pytest.raises(ValueError, match="posterior must have states that can be enumerated, got BeliefBits with 20"):
        model.log_prob(params, x)
    with pytest.raises(ValueError, match="whose states cannot be enumerated, got 'exact'"):
        Elbo("exact").resolved(model)
    assert np.isfinite(log_marginal(model, params, x, 100, rng).log_p).all()


def test_what_needs_a_closed_kl_or_one_layer_is_refused():
    model = belief_network(4, 2)
    with pytest.raises(ValueError, match="estimator must be one that suits BeliefBits, got 'rebar', which is for disc"):
        Elbo("rebar").resolved(model)
    with pytest.raises(ValueError, match="got 'disarm', which is for bits"):
        Elbo("disarm").resolved(model)
    assert Elbo().resolved(model).kl == "sampled"
    built = RECIPES["belief"].build(None, {"n_x": 4, "n_latent": 3}, {"upper": 2})
    assert (built.posterior, built.prior) == (BeliefBits(3, 2), BeliefPrior(3, 2))
    with pytest.raises(ValueError, match="n_out must be at most n_in=2, got 3"):
        Front(2, 3)
