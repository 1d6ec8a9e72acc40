"""beta by the epoch: the values of each rule, and which of them judge a training."""

import numpy as np
import pytest

import minivae as mv
from minivae.core.registry import from_spec, to_spec
from minivae.estimators import Cycle, Elbo, Warmup
from minivae.models.vae import VAE
from minivae.training.loop import train
from minivae.training.settings import Settings
from tests.support import binary


def test_a_warm_up_is_a_straight_line_that_ends():
    rule = Warmup(5, start=0.5, final=3.0)
    np.testing.assert_allclose([rule.at(e) for e in range(8)], [0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.0, 3.0])
    assert (rule.final, rule.settles) == (3.0, 5)


def test_a_cycle_rises_stays_and_begins_anew():
    rule = Cycle(8, ramp=0.25, start=1.0, final=2.0)
    one = [1.0, 1.5, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0]
    np.testing.assert_allclose([rule.at(e) for e in range(24)], 3 * one)
    assert (rule.final, rule.settles) == (2.0, 8)
    assert [Cycle(4, ramp=1.0).at(e) for e in range(5)] == [0.0, 0.25, 0.5, 0.75, 0.0]


@pytest.mark.parametrize("rule", [Warmup(3), Cycle(4, 0.5, 0.1, 2.0)])
def test_the_objective_of_an_epoch_has_its_beta_and_is_read_back(rule):
    objective = Elbo("score", rule, "sampled")
    for epoch in range(9):
        assert objective.at(epoch) == Elbo("score", rule.at(epoch), "sampled")
    assert objective.final_beta == rule.final
    assert from_spec(to_spec(objective)) == objective
    fixed = Elbo(beta=0.5)
    assert fixed.at(7) is fixed


def test_outside_of_a_training_the_last_beta_counts(rng):
    model = VAE.mlp(4, 2, [5], "tanh")
    params, x, eps = model.init(rng), binary(rng), rng.standard_normal((2, 5, 2))
    for kl in ("closed", "sampled"):
        results = []
        for beta in (Warmup(3, final=2.0), 2.0):
            grads = np.empty_like(params)
            loss, _ = model.loss_and_grad(params, x, eps, grads, Elbo(beta=beta, kl=kl))
            results.append((loss, grads))
        assert results[0][0] == results[1][0]
        np.testing.assert_array_equal(results[0][1], results[1][1])


def history(objective, rng, **how):
    x = binary(rng, 60)
    settings = Settings(**{"epochs": 4, "batch_size": 20, "dtype": "float64"} | how, objective=objective)
    return train(VAE.mlp(4, 2, [5], "tanh"), x[:40], x[40:], settings)


def test_training_follows_the_schedule_and_validation_the_last_beta(rng):
    result = history(Elbo(beta=Warmup(2, final=3.0)), rng)
    assert [row["beta"] for row in result.history] == [0.0, 1.5, 3.0, 3.0]
    for row in result.history:
        loss = row["beta"] * row["train_kl"] - row["train_log_lik"]
        np.testing.assert_allclose(row["train_loss"], loss, rtol=1e-12)
        np.testing.assert_allclose(row["valid_loss"], 3 * row["valid_kl"] - row["valid_log_lik"], rtol=1e-12)
        np.testing.assert_allclose(row["valid_elbo"], row["valid_log_lik"] - row["valid_kl"], rtol=1e-12)
    assert "beta" not in history(Elbo(), rng).history[0]


def test_a_schedule_that_is_flat_trains_as_a_number_does():
    one, two = (history(Elbo(beta=b), np.random.default_rng(0)) for b in (Warmup(2, 0.5, 0.5), 0.5))
    np.testing.assert_array_equal(one.params, two.params)


def test_patience_waits_until_the_schedule_has_settled(rng):
    # the validation loss never falls after the first epoch: the learning rate is far too small
    how = {"epochs": 30, "patience": 2, "optimizer": mv.Adam(1e-300)}
    assert len(history(Elbo(), rng, **how).history) == 3
    assert len(history(Elbo(beta=Warmup(10)), rng, **how).history) == 12
    assert len(history(Elbo(beta=Cycle(7)), rng, **how).history) == 9


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Warmup(0), "n_epochs must be an integer of at least 1, got 0"),
        (lambda: Warmup(3, start=-0.1), "start must be a finite number at least 0, got -0.1"),
        (lambda: Warmup(3, final=float("nan")), "final must be a finite number at least 0, got nan"),
        (lambda: Cycle(0), "period must be an integer of at least 1, got 0"),
        (lambda: Cycle(4, ramp=0.0), "ramp must be a finite number greater than 0, got 0.0"),
        (lambda: Cycle(4, ramp=1.5), "ramp must be a share of the period, at most 1, got 1.5"),
        (lambda: Elbo(beta=-1.0), "beta must be a finite number at least 0, got -1.0"),
        (lambda: Elbo(beta=float("nan")), "beta must be a finite number at least 0, got nan"),
        (lambda: Elbo(beta=Warmup), "beta must be a finite number at least 0, got the class Warmup"),
        (lambda: Warmup(3).at(-1), "epoch must be an integer of at least 0, got -1"),
    ],
)
def test_bad_schedules_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
