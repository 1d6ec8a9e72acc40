"""Free bits: the loss by its definition, and no gradient at all of a latent that stays below."""

import csv
from dataclasses import replace

import numpy as np
import pytest

from minivae import cli
from minivae.distributions import Bits, DiagonalGaussian, FairBits, MixtureOfGaussians, StandardNormal, closed_kl
from minivae.estimators import Elbo, ElboTerms, Warmup
from minivae.models.vae import VAE
from minivae.nn.gradcheck import check_gradient
from minivae.training import loop, runs
from minivae.training.arithmetic import reproducible
from minivae.training.loop import train
from minivae.training.settings import Settings
from tests.support import binary, needs_jit, small_vae

PAIRS = [(DiagonalGaussian(2), StandardNormal(2)), (Bits(2), FairBits(2))]
NONE = np.empty(0)


def test_the_loss_is_the_larger_of_the_mean_kl_and_the_free_bits_latent_by_latent():
    each = np.array([[0.0, 1.0, 2.0], [0.2, 3.0, 0.0]])  # means 0.1, 2, 1
    terms = ElboTerms(np.array([-5.0, -7.0]), each.sum(axis=1), kl_per_latent=each)
    assert terms.loss(1.0) == pytest.approx(6 + 3.1)
    assert terms.loss(1.0, 0.5) == pytest.approx(6 + 0.5 + 2 + 1)
    assert terms.loss(2.0, 1.5) == pytest.approx(6 + 2 * (1.5 + 2 + 1.5))
    assert terms.loss(0.0, 1.5) == pytest.approx(6)
    with pytest.raises(ValueError, match="terms must hold the KL of each latent for free bits, got none"):
        ElboTerms(np.zeros(2), np.ones(2)).loss(1.0, 0.5)


@pytest.mark.parametrize(("q", "p"), PAIRS)
def test_the_gradient_of_each_latents_kl(q, p, rng):
    kl, head, dkl = closed_kl(q, p), rng.normal(size=(5, q.n_head)), rng.normal(size=(5, 2))
    dhead = kl.backward_per_latent(NONE, head, dkl, NONE)

    def value(theta):
        return float(np.sum(dkl * kl.per_latent(NONE, theta.reshape(head.shape))))

    assert check_gradient(value, dhead.ravel(), head.ravel()).ok
    alike = np.repeat(dkl[:, :1], 2, axis=1)  # every latent counts alike: the gradient of the sum
    np.testing.assert_allclose(
        kl.backward_per_latent(NONE, head, alike, NONE), kl.backward(NONE, head, dkl[:, 0].copy(), NONE), rtol=1e-13
    )


def means_of(model, params, x):
    return model.closed_kl.per_latent(NONE, model.encode(params, x)).mean(axis=0)


@pytest.mark.parametrize("beta", [1.0, 3.0])
@pytest.mark.parametrize("estimator", ["pathwise", "score", "score-leave-one-out"])
def test_what_is_below_has_no_gradient_and_what_is_above_its_own(estimator, beta, rng):
    model, params = small_vae(rng)
    x, eps = binary(rng), rng.standard_normal((3, 5, 2))
    means = means_of(model, params, x)
    assert abs(means[0] - means[1]) > 1e-3
    above, mid = int(np.argmax(means)), float(means.mean())

    def gradient(objective):
        grads = np.empty_like(params)
        loss, terms = model.loss_and_grad(params, x, eps, grads, objective)
        return loss, grads, terms

    _, without, _ = gradient(Elbo(estimator, 0.0, "closed"))  # of the reconstruction alone
    loss, all_below, terms = gradient(Elbo(estimator, beta, free_bits=float(means.max()) + 0.1))
    np.testing.assert_array_equal(all_below, without)
    assert loss == pytest.approx(beta * 2 * (means.max() + 0.1) - terms.log_lik.mean())

    loss, grads, terms = gradient(Elbo(estimator, beta, free_bits=mid))
    assert loss == pytest.approx(beta * (means.max() + mid) - terms.log_lik.mean())

    def kl_above(theta):
        return beta * float(means_of(model, theta, x)[above])

    assert check_gradient(kl_above, grads - without, params).ok

    plain, least = gradient(Elbo(estimator, beta)), gradient(Elbo(estimator, beta, free_bits=1e-9))
    np.testing.assert_allclose(least[1], plain[1], rtol=1e-9, atol=1e-13)
    assert least[0] == pytest.approx(plain[0])


def test_at_the_very_threshold_a_latent_is_free():
    each = np.array([[0.5, 1.0]])
    share = Elbo(beta=2.0, free_bits=0.5).kl_share(ElboTerms(np.zeros(1), each.sum(axis=1), kl_per_latent=each))
    np.testing.assert_array_equal(share, [[0.0, 2.0]])
    np.testing.assert_array_equal(Elbo(beta=2.0).kl_share(ElboTerms(np.zeros(4), np.ones(4))), np.full(4, 0.5))


def test_the_validation_loss_is_of_the_whole_set_however_it_is_cut(rng, monkeypatch):
    model, params = small_vae(rng)
    x, eps = binary(rng, 40), rng.standard_normal((2, 40, 2))
    objective = Elbo("pathwise", free_bits=float(means_of(model, params, x).mean()))
    whole = model.terms(params, x, eps=eps, objective=objective)
    monkeypatch.setattr("minivae.core.parallel._ROWS_AT_ONCE", 6)
    parts = model.terms(params, x, eps=eps, objective=objective)
    np.testing.assert_allclose(parts.kl_per_latent, whole.kl_per_latent, rtol=1e-14)
    assert objective.loss(parts) == pytest.approx(objective.loss(whole), rel=1e-14)
    assert model.terms(params, x, eps=eps).kl_per_latent is None


def test_a_latent_with_free_bits_takes_them():
    # constant data: nothing is to be said, and without free bits the KL goes to zero; with them it is of no cost
    x = np.ones((40, 4))
    settings = Settings(epochs=150, batch_size=40, objective=Elbo(free_bits=0.2), dtype="float64", patience=None)
    result = train(VAE.mlp(4, 2, [5], "tanh"), x, settings=settings)
    row = result.history[-1]
    assert row["train_loss"] + row["train_log_lik"] == pytest.approx(0.4, abs=0.02)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Elbo(free_bits=-0.1), "free_bits must be a finite number at least 0, got -0.1"),
        (lambda: Elbo(free_bits=float("nan")), "free_bits must be a finite number at least 0, got nan"),
        (lambda: Elbo(kl="sampled", free_bits=0.1), "kl must be 'closed' with free bits, .* got 'sampled'"),
        (
            lambda: Elbo(free_bits=0.1).resolved(VAE.mlp(4, 2, prior=MixtureOfGaussians(2))),
            "free_bits must be 0 where the KL of each latent has no formula, .* and MixtureOfGaussians",
        ),
        (
            lambda: Elbo("path-derivative", free_bits=0.1).resolved(VAE.mlp(4, 2)),
            "free_bits must be 0 where .* 'path-derivative' cannot use it, got 0.1",
        ),
    ],
)
def test_free_bits_are_refused_where_they_do_not_apply(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--model", "ae", "--free-bits", "0.1"], "--free-bits is for a model whose code is a distribution"),
        (["--model", "ae", "--beta-warmup", "3"], "--beta-warmup is for a model whose code is a distribution"),
        (["--beta-warmup", "3", "--beta-cycle", "4"], "--beta-cycle must go without --beta-warmup, got 4 and 3. Drop"),
        (["--beta-warmup", "0"], "--beta-warmup must be an integer of at least 1, got 0"),
        (["--beta-cycle", "0"], "--beta-cycle must be an integer of at least 1, got 0"),
        (["--beta", "-1", "--beta-cycle", "2"], "beta must be a finite number at least 0, got -1.0"),
        (
            ["--prior", "mixture", "--free-bits", "0.1"],
            "free_bits must be 0 where the KL of each latent has no formula",
        ),
        (["--components", "3"], "n_components must go with the name of a mixture, got 3 and prior=None"),
        (["--model", "ae", "--prior", "mixture"], "--prior is for --model vae, got it with --model ae"),
    ],
)
def test_the_command_refuses_what_does_not_apply(words, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", "--quiet", *words]) in (1, 2)
    assert said in " ".join(capsys.readouterr().err.split())
    assert not list(tmp_path.iterdir())


@needs_jit  # it trains on the digits
def test_the_command_trains_with_them(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["--epochs", "2", "--hidden", "8", "--batch-size", "512", "--quiet", "--out", "run"]
    extra = ["--beta", "2", "--beta-warmup", "1", "--free-bits", "0.1"]
    assert cli.main(["train", *words, *extra]) == 0
    settings = runs.open_run("run").settings
    assert settings.objective == Elbo("pathwise", Warmup(1, final=2.0), "closed", 0.1)
    rows = list(csv.DictReader((tmp_path / "run" / "history.csv").read_text().splitlines()))
    assert [float(row["beta"]) for row in rows] == [0.0, 2.0]
    capsys.readouterr()
    assert cli.main(["train", "--resume", "run", "--epochs", "3", "--quiet"]) == 0


def test_a_checkpoint_without_free_bits_is_resumed(tmp_path, monkeypatch):
    # as versions wrote them that did not know the word
    path, x = tmp_path / "c.npz", np.round(np.random.default_rng(0).random((40, 4)))
    model, settings = VAE.mlp(4, 2, [5]), Settings(epochs=2, batch_size=20)
    to_spec = loop.to_spec

    def former(description):
        spec = to_spec(description)
        if "objective" in spec:
            del spec["objective"]["free_bits"]
        return spec

    with reproducible():
        with monkeypatch.context() as patch:
            patch.setattr(loop, "to_spec", former)
            train(model, x, settings=settings, checkpoint=path)
        resumed = train(model, x, settings=replace(settings, epochs=3), checkpoint=path, resume=True)
    assert len(resumed.history) == 3
