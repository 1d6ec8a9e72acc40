"""Objectives: what they settle, what they refuse in words, and what they are worth."""

import numpy as np
import pytest

from minivae.distributions.bits import Bits
from minivae.estimators.baselines import LearnedBaseline, MovingAverage
from minivae.estimators.k_sample import objective_of
from minivae.estimators.objectives import Elbo, Reconstruction
from minivae.estimators.terms import ElboTerms, ReconstructionTerms
from minivae.estimators.weights import ESTIMATORS
from minivae.models.autoencoder import Autoencoder
from minivae.models.corruptions import MaskingNoise
from minivae.models.penalties import KLSparsity
from minivae.models.vae import VAE
from minivae.training.settings import Settings
from tests.own_boxes import owning_bits, owning_vae
from tests.support import binary

NORMAL = VAE.mlp(4, 2, [3])
BITS = VAE.mlp(4, 2, [3], posterior="bits")
MANY_BITS = VAE.mlp(4, 17, [3], posterior="bits")
OWN = owning_vae()
OWN_BITS = owning_bits()
PLAIN = Autoencoder.mlp(4, 2, [3])
SPARSE = Autoencoder.mlp(4, 2, [3], penalty=KLSparsity())
NOISY = Autoencoder.mlp(4, 2, [3], corruption=MaskingNoise(0.5))
STILL = Autoencoder.mlp(4, 2, [3], corruption=MaskingNoise(0.0))


@pytest.mark.parametrize(
    ("model", "given", "settled", "n_draws"),
    [
        (NORMAL, None, Elbo("pathwise", 1.0, "closed"), 1),
        (NORMAL, Elbo(beta=4.0), Elbo("pathwise", 4.0, "closed"), 1),
        (NORMAL, Elbo(kl="sampled"), Elbo("pathwise", 1.0, "sampled"), 1),
        (NORMAL, Elbo("path-derivative"), Elbo("path-derivative", 1.0, "sampled"), 1),
        (NORMAL, Elbo("score-learned"), Elbo("score-learned", 1.0, "closed"), 1),
        (NORMAL, Elbo("score-leave-one-out"), Elbo("score-leave-one-out", 1.0, "closed"), 4),
        (BITS, None, Elbo("score-leave-one-out", 1.0, "closed"), 4),
        (BITS, Elbo("exact"), Elbo("exact", 1.0, "closed"), 1),
        (BITS, Elbo("exact", kl="sampled"), Elbo("exact", 1.0, "sampled"), 1),
        (MANY_BITS, None, Elbo("score-leave-one-out", 1.0, "closed"), 4),
        (OWN, None, Elbo("pathwise", 1.0, "sampled"), 1),
        (OWN, Elbo("score"), Elbo("score", 1.0, "sampled"), 1),
        (OWN_BITS, None, Elbo("score-leave-one-out", 1.0, "sampled"), 4),
        (PLAIN, None, Reconstruction(), 1),
        (NOISY, None, Reconstruction(), 1),
    ],
)
def test_what_is_left_open_depends_on_the_model(model, given, settled, n_draws):
    settings = Settings(objective=given).resolved(model)
    assert settings.objective == settled
    assert settings.n_draws == n_draws
    assert settings.resolved(model) == settings  # once is enough
    assert settled.resolved(model) is settled
    if given is None:
        assert model.objective == settled
    # and nothing that was said is changed
    asked = Settings(objective=given, n_draws=3)
    if not (isinstance(settled, Elbo) and settled.row.enumerates) and getattr(model, "random", False):
        assert asked.resolved(model).n_draws == 3


REFUSED = [
    (
        PLAIN,
        Settings(objective=Elbo(beta=7)),
        r"objective must be Reconstruction\(\) for Autoencoder, whose code is",
    ),
    (SPARSE, Settings(objective=Elbo("score")), "Leave estimator, beta and kl away"),
    (PLAIN, Settings(n_draws=2), "n_draws must be 1 for Autoencoder without a corruption, .* got 2. Leave it away"),
    (STILL, Settings(n_draws=2), "n_draws must be 1 for Autoencoder without a corruption"),
    (NORMAL, Settings(objective=Reconstruction()), r"objective must be Elbo\(\) for VAE, .* Elbo\(beta=0\)"),
    (
        BITS,
        Settings(objective=Elbo("pathwise")),
        r"path for Bits, got 'pathwise': .* Use one of score, score-leave",
    ),
    (BITS, Settings(objective=Elbo("path-derivative")), "zero almost everywhere, so nothing comes back through it"),
    (NORMAL, Settings(objective=Elbo("exact")), "DiagonalGaussian with 2 latents, whose states cannot be enumerated"),
    (MANY_BITS, Settings(objective=Elbo("exact")), "Bits with 17 latents, whose states cannot be .* or fewer bits"),
    (
        OWN,
        Settings(objective=Elbo(kl="closed")),
        "kl must be 'sampled' for OffsetGaussian and MovedNormal, which",
    ),
    (OWN_BITS, Settings(objective=Elbo("exact", kl="closed")), "kl must be 'sampled' for Bits and UnfairBits"),
    (
        NORMAL,
        Settings(objective=Elbo("score-leave-one-out"), n_draws=1),
        "at least 2 .* got 1: a single draw",
    ),
    (BITS, Settings(n_draws=1), "n_draws must be at least 2 for the estimator 'score-leave-one-out', got 1"),
    (BITS, Settings(objective=Elbo("exact"), n_draws=2), "n_draws must be 1 .*'exact', which enumerates all 4 states"),
]


@pytest.mark.parametrize(("model", "settings", "message"), REFUSED)
def test_what_a_model_cannot_do_is_refused_in_words(model, settings, message):
    with pytest.raises(ValueError, match=message):
        settings.resolved(model)


@pytest.mark.parametrize(("model", "settings", "message"), [row for row in REFUSED if row[1].n_draws != 2])
def test_the_gradient_refuses_the_same_before_it_writes(model, settings, message, rng):
    params, x = model.init(rng), binary(rng, 3, model.n_x)
    grads, eps = np.full_like(params, 7.0), model.draw_noise(rng, settings.n_draws or 2, 3, np.float64)
    with pytest.raises(ValueError, match=message):
        model.loss_and_grad(params, x, eps, grads, settings.objective)
    np.testing.assert_array_equal(grads, 7.0)


@pytest.mark.parametrize(("model", "settings", "message"), [row for row in REFUSED if row[1].n_draws is None])
def test_the_terms_refuse_the_same(model, settings, message, rng):
    params, x = model.init(rng), binary(rng, 3, model.n_x)
    eps = model.draw_noise(rng, 2, 3, np.float64)
    with pytest.raises(ValueError, match=message):
        model.terms(params, x, eps=eps, objective=settings.objective)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Elbo("score-learnt"), "estimator must be one of pathwise, .*Did you mean 'score-learned'"),
        (lambda: Elbo("leave-one-out"), "Did you mean 'score-leave-one-out'"),
        (lambda: Elbo(kl="close"), "kl must be one of closed, sampled; got 'close'. Did you mean 'closed'"),
        (lambda: Elbo(kl="open"), "kl must be one of closed, sampled; got 'open'"),
        (lambda: Elbo("path-derivative", kl="closed"), "kl must be 'sampled' for the estimator 'path-derivative'"),
        (lambda: Elbo(beta=-0.5), "beta must be a finite number at least 0, got -0.5"),
        (lambda: Elbo(beta=np.nan), "beta must be a finite number at least 0, got nan"),
        (lambda: Elbo(beta=True), "beta must be a finite number at least 0, got True"),
    ],
)
def test_impossible_objectives_are_refused_when_they_are_made(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_loss_weighs_the_kl_by_beta_and_the_terms_do_not(rng):
    log_lik, kl = rng.normal(size=(2, 6))
    terms = ElboTerms(log_lik, kl)
    np.testing.assert_allclose(Elbo(beta=4.0).loss(terms), np.mean(4 * kl - log_lik), rtol=1e-13)
    np.testing.assert_allclose(terms.elbo, log_lik - kl, rtol=1e-13)
    means = terms.means()
    assert list(means) == ["elbo", "log_lik", "kl"]
    np.testing.assert_allclose(list(means.values()), [np.mean(log_lik - kl), log_lik.mean(), kl.mean()], rtol=1e-12)
    # without weight even an infinite KL does not count
    assert Elbo(beta=0.0).loss(ElboTerms(log_lik, np.full(6, np.inf))) == pytest.approx(-log_lik.mean())


def test_a_reconstruction_counts_its_penalty_once(rng):
    log_lik = rng.normal(size=6)
    for penalty, added in ((None, 0.0), (0.5, 0.5)):
        terms = ReconstructionTerms(log_lik, penalty)
        assert Reconstruction().loss(terms) == pytest.approx(added - log_lik.mean(), rel=1e-13)
        assert set(terms.means()) == {"log_lik"} | (set() if penalty is None else {"penalty"})


@pytest.mark.parametrize("kl", ["closed", "sampled"])
@pytest.mark.parametrize("model", [NORMAL, BITS], ids=["normal", "bits"])
def test_the_signal_is_the_mean_of_what_the_score_function_multiplies(model, kl, rng):
    # what a learnt baseline should predict: f, with the KL in it only where that is sampled
    params, x, beta = model.init(rng), binary(rng), 1.7
    eps, objective = model.draw_noise(rng, 3, 5, np.float64), Elbo("score", beta, kl)
    _, terms = model.loss_and_grad(params, x, eps, np.empty_like(params), objective)
    _, _, draws = model.draw(params, x, eps)
    f = draws.log_lik + (beta * (draws.log_prior - draws.log_q) if kl == "sampled" else 0.0)
    np.testing.assert_allclose(objective.signal(terms), f.mean(axis=0), rtol=1e-12)


def test_few_estimators_learn_along_the_way():
    rules = {name: objective_of(name, row.kl[-1]).rule(NORMAL) for name, row in ESTIMATORS.items()}
    learn = {"score-moving-average", "score-learned", "nvil", "rebar", "relax"}
    assert {name for name, rule in rules.items() if rule is not None} == learn
    assert rules["score-moving-average"] == MovingAverage()
    learned = rules["score-learned"]
    assert isinstance(learned, LearnedBaseline)
    assert (learned.network.n_in, learned.network.n_out) == (4, 1)
    assert Reconstruction().rule(PLAIN) is None


def test_every_epoch_has_the_same_objective_unless_an_objective_says_otherwise():
    settings = Settings(objective=Elbo(beta=2.0)).resolved(NORMAL)
    assert settings.objective_at(0) is settings.objective_at(9) is settings.objective
    assert Reconstruction().at(3) == Reconstruction()
    assert (Elbo().variational, Reconstruction().variational) == (True, False)


def test_sixteen_bits_are_the_most_that_are_enumerated():
    assert Elbo("exact").resolved(VAE.mlp(4, 16, [3], posterior=Bits(16))).row.enumerates
