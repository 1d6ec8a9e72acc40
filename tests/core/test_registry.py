"""Names: each is given once, is found again, and what older versions wrote is still read."""

import json
from dataclasses import dataclass

import numpy as np
import pytest
from scipy import special

from minivae.core.registry import _CLASSES, Table, differences, formerly, from_spec, saved, to_spec
from minivae.distributions.bits import Bits, all_states
from minivae.distributions.diagonal import DiagonalGaussian
from minivae.distributions.likelihoods import LIKELIHOODS, Bernoulli
from minivae.distributions.priors import FairBits, StandardNormal
from minivae.estimators.objectives import Elbo, Reconstruction
from minivae.models.vae import VAE
from minivae.nn.optim import Adam
from minivae.training.settings import Settings


@pytest.fixture
def own_names(monkeypatch):
    """Leave no name of a test behind."""
    monkeypatch.setattr("minivae.core.registry._CLASSES", dict(_CLASSES))


def test_a_table_takes_each_name_once_and_says_what_holds_it():
    table = Table("colour")
    assert table.add("red", 1) == 1
    with pytest.raises(ValueError, match="colour must have a name of its own, got 'red', which 1 has. Rename"):
        table.add("red", 2)
    assert table.add("green", 3) == 3
    assert table == {"red": 1, "green": 3}
    assert list(table) == ["red", "green"]  # in the order in which they were given


def test_a_table_gives_what_has_the_name_or_the_nearest():
    assert LIKELIHOODS.choose("bernoulli") == Bernoulli()
    with pytest.raises(ValueError, match=r"likelihood must be one of bernoulli, .*got 'gausian'. Did you mean 'gauss"):
        LIKELIHOODS.choose("gausian")


@pytest.mark.usefixtures("own_names")
def test_two_classes_of_one_name_are_refused_and_one_defined_twice_is_not():
    def cell(n=1.0):
        @saved
        @dataclass(frozen=True)
        class Shift:
            by: float = n

        return Shift

    first, again = cell(), cell(2.0)  # a notebook's cell that was run twice
    assert first is not again
    assert from_spec({"class": "Shift"}) == again()

    with pytest.raises(ValueError, match="VAE must have a name of its own to be saved, got one that minivae.mod"):

        @saved
        @dataclass(frozen=True)
        class VAE:
            pass

    assert type(from_spec(to_spec(LARGE))).__module__ == "minivae.models.vae"


@pytest.mark.usefixtures("own_names")
def test_only_dataclasses_can_be_saved():
    with pytest.raises(ValueError, match="must be a class and a dataclass, got the class Plain"):

        @saved
        class Plain:
            pass


LARGE = VAE.mlp(4, 3, [5], "elu", "gaussian-learned", "bits")


@pytest.mark.parametrize(
    "thing",
    [
        LARGE,
        VAE.mlp(4, 2, prior=StandardNormal(2)),
        DiagonalGaussian(3),
        Bits(3),
        StandardNormal(3),
        FairBits(3),
        Elbo(),
        Elbo("score", 4.0, "sampled"),
        Reconstruction(),
        Settings(),
        Settings(objective=Elbo(beta=4.0), n_draws=2, optimizer=Adam(0.5)),
        Settings().resolved(LARGE),
    ],
    ids=lambda thing: type(thing).__name__,
)
def test_what_is_saved_survives_json(thing):
    again = from_spec(json.loads(json.dumps(to_spec(thing))))
    assert again == thing
    assert type(again) is type(thing)


def test_numpy_numbers_and_nested_lists_become_plain_json():
    assert json.dumps(to_spec([np.float32(0.5), (np.int64(3), [Bits(2)])])) == (
        '[0.5, [3, [{"class": "Bits", "n_latent": 2}]]]'
    )


@pytest.mark.parametrize("name", ["Nobody", None, ["VAE"], 3])
def test_a_class_that_nobody_registered_is_refused(name):
    with pytest.raises(ValueError, match="class must be one that can be saved, got"):
        from_spec({"class": name, "n_in": 1})


@pytest.mark.usefixtures("own_names")
def test_a_former_class_is_read_by_its_own_rule(monkeypatch):
    monkeypatch.setattr("minivae.core.registry._FORMER", {})

    @formerly("Gauss")
    def read(fields):
        return DiagonalGaussian(fields["latents"])

    assert from_spec([{"class": "Gauss", "latents": 2}]) == [DiagonalGaussian(2)]
    assert read({"latents": 3}) == DiagonalGaussian(3)


def test_differences_name_the_field_and_both_values():
    a, b = (to_spec(Settings(objective=objective)) for objective in (Elbo(beta=1.0), Elbo(beta=4.0)))
    assert differences(a, b) == ["objective.beta: 1.0 -> 4.0"]
    assert differences({"old": 1}, {"new": [1, {"a": 2}]}) == ["old: 1 -> None", "new: None -> [1, {'a': 2}]"]
    assert differences([1, {"a": 2}], [1, {"a": 3}], "list") == ["list[1].a: 2 -> 3"]


# ------------------------------------------------------------------ what version 0.1 wrote before the boxes

OLD_NETS = {
    "encoder": {
        "class": "Sequential",
        "layers": [
            {"class": "Dense", "n_in": 3, "n_out": 4, "weights": "glorot"},
            {"class": "Tanh"},
            {"class": "Dense", "n_in": 4, "n_out": 2, "weights": "glorot"},
        ],
    },
    "decoder": {"class": "Sequential", "layers": [{"class": "Dense", "n_in": 2, "n_out": 3, "weights": "glorot"}]},
    "likelihood": {"class": "Bernoulli"},
}
OLD_SETTINGS = {
    "class": "Settings",
    "epochs": 7,
    "batch_size": 16,
    "optimizer": {"class": "Adam", "learning_rate": 0.01, "beta1": 0.9, "beta2": 0.999, "eps": 1e-08},
    "schedule": {"class": "StepDecay", "milestones": [], "factor": 0.1},
    "beta": 1.0,
    "n_draws": 1,
    "clip_norm": None,
    "patience": None,
    "binarize": False,
    "start_at_mean": True,
    "kl": "closed",
    "estimator": None,
    "dtype": "float32",
    "seed": 0,
}


@pytest.mark.parametrize("estimator", ["score", "score-leave-one-out", "exact"])
def test_a_bernoulli_vae_is_read_as_a_vae_with_bits_and_its_parameters_mean_the_same(estimator, rng):
    model = from_spec({"class": "BernoulliVAE", **OLD_NETS, "estimator": estimator})
    assert type(model) is VAE
    assert (model.posterior, model.prior) == (Bits(2), FairBits(2))
    # the flat vector was, in this order: two dense layers of the encoder, one of the decoder, weights before biases
    parts = [rng.normal(size=shape) for shape in ((3, 4), 4, (4, 2), 2, (2, 3), 3)]
    W1, b1, W2, b2, W3, b3 = parts
    params = np.concatenate([part.ravel() for part in parts])
    assert model.n_params == len(params)
    x = all_states(3)
    theta = special.expit(np.tanh(x @ W1 + b1) @ W2 + b2)
    np.testing.assert_allclose(model.embed(params, x), theta, rtol=1e-12)
    logits = all_states(2) @ W3 + b3  # (S, 3)
    likelihoods = np.prod(np.where(x[:, None] == 1, special.expit(logits), special.expit(-logits)), axis=2)
    np.testing.assert_allclose(model.log_prob(params, x), np.log(likelihoods.mean(axis=1)), rtol=1e-12)
    assert to_spec(model)["class"] == "VAE"


def test_a_vae_that_names_no_prior_is_read_with_its_posteriors_own():
    nets = json.loads(json.dumps(OLD_NETS))
    nets["encoder"]["layers"][2]["n_out"] = 4
    model = from_spec({"class": "VAE", "posterior": {"class": "DiagonalGaussian", "n_latent": 2}, **nets})
    assert (model.posterior, model.prior) == (DiagonalGaussian(2), StandardNormal(2))
    assert model.n_params == model.encoder.n_params + model.decoder.n_params == (16 + 20) + 9


@pytest.mark.parametrize(
    ("changed", "objective"),
    [
        ({}, None),
        ({"beta": 4.0}, Elbo(beta=4.0, kl="closed")),
        ({"kl": "sampled"}, Elbo(kl="sampled")),
        ({"estimator": "score-learned", "n_draws": 3}, Elbo("score-learned", kl="closed")),
        ({"estimator": "path-derivative", "kl": "sampled", "beta": 0.5}, Elbo("path-derivative", 0.5, "sampled")),
    ],
)
def test_settings_that_named_beta_kl_and_estimator_are_read_as_an_objective(changed, objective):
    settings, given = from_spec({**OLD_SETTINGS, **changed}), changed.get("n_draws", 1)
    as_before = {name: OLD_SETTINGS[name] for name in ("epochs", "batch_size", "clip_norm", "patience", "seed")}
    assert settings == Settings(optimizer=Adam(0.01), objective=objective, n_draws=given, **as_before)
    # and in a model they come to what they meant
    resolved = settings.resolved(VAE.mlp(4, 2))
    meant = {"estimator": "pathwise", "beta": 1.0, "kl": "closed", **changed, "n_draws": given}
    assert resolved.objective == Elbo(meant["estimator"], meant["beta"], meant["kl"])
    assert resolved.n_draws == given


def test_the_settings_of_now_are_no_former_ones():
    settings = Settings(objective=Elbo("score", 2.0))
    assert from_spec(to_spec(settings)) == settings
