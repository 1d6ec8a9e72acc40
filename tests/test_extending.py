"""A toy of each kind, from outside the package: the loop, evaluation, storage and commands take it without a change."""

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minivae as mv
from minivae import cli
from minivae.cli.main import VERBS
from minivae.cli.verbs import Verb, no_options
from minivae.core.boxes import NoParameters
from minivae.core.registry import restored, saved
from minivae.distributions import LIKELIHOODS, POSTERIORS, DiagonalGaussian, StandardNormal
from minivae.estimators import ESTIMATORS, Estimator, Weights
from minivae.models.recipes import RECIPES, Option, Recipe
from minivae.nn import ACTIVATIONS
from minivae.nn.activations import Activation

SMALL = ["--epochs", "2", "--hidden", "8", "--batch-size", "512", "--quiet"]


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """Work in a folder of one's own, and forget what was registered."""
    monkeypatch.chdir(tmp_path)
    with restored():
        yield


def command(capsys, *words, **how):
    code = cli.main([*words, "--json"], **how)
    result = json.loads(capsys.readouterr().out)
    assert code == 0, result
    return result


def trains_evaluates_and_samples(capsys, *words):
    """Take a run through every command that a model meets, and return the model as it was read back."""
    trained = command(capsys, "train", *SMALL, *words, "--out", "run")
    assert all(np.isfinite(row["value"]) for row in trained["rows"])
    evaluated = command(capsys, "evaluate", "run", "--draws", "8", "--examples", "20")
    assert all(np.isfinite(row["value"]) for row in evaluated["rows"])
    files = command(capsys, "sample", "run", "-n", "4", "--out", "samples")["rows"]
    assert all(Path(row["file"]).is_file() for row in files)
    model, params, _ = mv.load_model("run/model.npz")
    assert params.shape == (model.n_params,)
    return model


def test_a_layer(capsys):
    @saved
    @dataclass(frozen=True)
    class Softsign(Activation):
        """y = x / (1 + |x|); dy/dx = (1 - |y|)^2."""

        def _forward(self, x):
            y = x / (1 + np.abs(x))
            return y, y

        def _backward(self, cache, dy):
            return (1 - np.abs(cache)) ** 2 * dy

    ACTIVATIONS.add("softsign", Softsign())
    model = trains_evaluates_and_samples(capsys, "--activation", "softsign")
    assert model.encoder.layers[1] == Softsign()


@pytest.mark.long
def test_a_likelihood(capsys):
    @saved
    @dataclass(frozen=True)
    class Laplace(NoParameters):
        """log p(x|z) = -|x - m| - log 2 for each pixel, m from the decoder."""

        def starting_at(self, x):
            return self

        def n_out(self, n_x):
            return n_x

        def out_at_mean(self, x):
            return x.mean(axis=0)

        def check(self, x):
            pass

        check_training = check

        def is_density(self, x):
            return True

        def forward(self, params, out, x):
            difference = np.tile(x, (len(out) // len(x), 1)) - out
            return -np.abs(difference).sum(axis=1) - out.shape[1] * out.dtype.type(math.log(2)), np.sign(difference)

        def log_prob(self, params, out, x):
            return self.forward(params, out, x)[0]

        def backward(self, params, cache, dlog_prob, grads):
            return cache * dlog_prob[:, None]

        def mean(self, params, out):
            return out

        def sample(self, params, out, rng):
            return out + rng.laplace(size=out.shape).astype(out.dtype)

    LIKELIHOODS.add("laplace", Laplace())
    model = trains_evaluates_and_samples(capsys, "--data", "digits-grey", "--likelihood", "laplace")
    assert model.likelihood == Laplace()


@dataclass(frozen=True)
class Warmed(DiagonalGaussian):
    """A Gaussian whose log-variances have a learnt offset that all examples share: a posterior with a parameter."""

    @property
    def n_params(self):
        return self.n_latent

    def init(self, rng=None, dtype=np.float64):
        return np.full(self.n_latent, -0.5, dtype)

    def named(self, params):
        yield "offset", params

    def _inner(self, params, head):
        return head + np.concatenate([np.zeros_like(params), params])

    def sample(self, params, head, eps):
        return super().sample(params, self._inner(params, head), eps)

    def log_prob(self, params, head, z):
        return super().log_prob(params, self._inner(params, head), z)

    def backward(self, params, cache, dz, dlog_q, grads):
        dhead = super().backward(params, cache, dz, dlog_q, grads)
        grads[:] = self.split(dhead)[1].sum(axis=0)
        return dhead

    def score(self, params, cache, dlog_q, grads):
        dhead = super().score(params, cache, dlog_q, grads)
        grads[:] = self.split(dhead)[1].sum(axis=0)
        return dhead

    def mean(self, params, head):
        return self.split(head)[0]


def test_a_posterior_with_a_parameter_of_its_own(capsys):
    POSTERIORS.add("warmed", saved(Warmed))
    model = trains_evaluates_and_samples(capsys, "--posterior", "warmed", "--hidden", "16", "--epochs", "3")
    assert model.posterior == Warmed(2)
    assert model.closed_kl is None  # a pair that is not in the table: the KL was sampled
    assert json.loads(Path("run/run.json").read_text())["settings"]["objective"]["kl"] == "sampled"
    _, params, _ = mv.load_model("run/model.npz")
    assert (dict(model.named(params))["posterior.offset"] != -0.5).all()


def test_a_prior_with_a_parameter_of_its_own(tmp_path):
    @saved
    @dataclass(frozen=True)
    class Moved(StandardNormal):
        """N(m, I), m learnt."""

        @property
        def n_params(self):
            return self.n_latent

        def init(self, rng=None, dtype=np.float64):
            return np.zeros(self.n_latent, dtype)

        def named(self, params):
            yield "mean", params

        def log_prob(self, params, z):
            return super().log_prob(params, z - params)

        def backward(self, params, z, dlog_prob, grads):
            dz = super().backward(params, z - params, dlog_prob, grads)
            grads[:] = -dz.sum(axis=(0, 1))
            return dz

        def sample(self, params, n, rng):
            return params + super().sample(params, n, rng)

    digits = mv.load("digits-threshold")
    model = dataclasses.replace(mv.VAE.mlp(64, 2, [8]), prior=Moved(2))
    result = mv.train(model, digits.x_train, digits.x_valid, mv.Settings(epochs=3, batch_size=512))
    path = tmp_path / "model.npz"
    mv.save_model(path, model, result.params)
    read, params, _ = mv.load_model(path)
    assert read == model
    assert (dict(read.named(params))["prior.mean"] != 0).all()
    estimate = mv.log_marginal(read, params, digits.x_test[:10], 20, np.random.default_rng(0))
    assert np.isfinite(estimate.log_p).all()


@pytest.mark.long
def test_an_estimator(capsys):
    def of_the_first_draw(draws, baseline):
        """Score function whose baseline is f of the draw before it: independent of this draw, so without bias."""
        f = draws.f
        return Weights(draws.share, score=draws.share * (f - np.roll(f, 1, axis=0)))

    ESTIMATORS.add("score-neighbour", Estimator(of_the_first_draw, least_draws=2, usual_draws=3))
    trains_evaluates_and_samples(capsys, "--estimator", "score-neighbour")
    settings = json.loads(Path("run/run.json").read_text())["settings"]
    assert (settings["objective"]["estimator"], settings["n_draws"]) == ("score-neighbour", 3)
    assert cli.main(["train", *SMALL, "--estimator", "score-neighbour", "--draws", "1"]) == 1
    assert "n_draws must be at least 2" in capsys.readouterr().err


def test_an_objective():
    @saved
    @dataclass(frozen=True)
    class Warming(mv.Elbo):
        """An ELBO whose beta rises from 0 to 1 in the first epochs."""

        n_epochs: int = 4

        def at(self, epoch):
            return dataclasses.replace(self, beta=min(1.0, epoch / self.n_epochs))

    digits = mv.load("digits-threshold")
    settings = mv.Settings(epochs=6, batch_size=512, objective=Warming())
    result = mv.train(mv.VAE.mlp(64, 2, [8]), digits.x_train, None, settings)
    losses = [row["train_loss"] + row["train_log_lik"] for row in result.history]  # beta KL
    weights = [loss / row["train_kl"] for loss, row in zip(losses, result.history, strict=True)]
    np.testing.assert_allclose(weights, [0, 0.25, 0.5, 0.75, 1, 1], atol=1e-4)


def test_a_model(capsys):
    @saved
    @dataclass(frozen=True)
    class Centred(mv.Autoencoder):
        """An autoencoder with a name and an option of its own."""

        scale: float = 1.0

    def build(x: Any, common: dict[str, Any], own: Any):
        plain = mv.Autoencoder.mlp(**common)
        return Centred(plain.encoder, plain.decoder, plain.likelihood, **own)

    RECIPES.add("centred", Recipe(build, (Option("scale", float, "centred: a number"),), n_latent=3))
    model = trains_evaluates_and_samples(capsys, "--model", "centred", "--scale", "2.5")
    assert (type(model).__name__, model.scale, model.n_latent) == ("Centred", 2.5, 3)
    assert cli.main(["train", *SMALL, "--scale", "2"]) == 1
    assert "--scale is for --model centred, got it with --model vae" in capsys.readouterr().err


def test_a_command(capsys):
    hello = Verb("hello", "say hello", no_options, lambda options: (0, [{"seed": options.seed}], {}))
    assert command(capsys, "hello", "--seed", "3", verbs=(*VERBS, hello))["rows"] == [{"seed": 3}]
