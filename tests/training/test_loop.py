"""The loop: what it promises about order, noise, the best model, stopping, guards and resuming."""

import itertools
import os
import signal
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from minivae.core.errors import FileError, NonFiniteError
from minivae.core.files import load_arrays, save_arrays
from minivae.core.seeds import Stream, stream
from minivae.distributions.likelihoods import Bernoulli, Gaussian, NotALikelihoodWarning
from minivae.estimators.objectives import Elbo, Reconstruction
from minivae.models.autoencoder import Autoencoder
from minivae.models.corruptions import MaskingNoise
from minivae.models.vae import VAE
from minivae.nn.optim import SGD, Adam, RMSprop, StepDecay
from minivae.training import arithmetic as training_arithmetic
from minivae.training.arithmetic import _ONE_THREAD, blas_threads
from minivae.training.checkpoints import known
from minivae.training.interrupts import Interrupt
from minivae.training.loop import train
from minivae.training.settings import Settings
from tests.support import needs_jit

N, D = 60, 6


@pytest.fixture
def x():
    """Return two patterns with noise: something to learn."""
    rng = np.random.default_rng(7)
    pattern = np.array([[1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1]])[rng.integers(0, 2, N)]
    return np.abs(pattern - (rng.random((N, D)) < 0.1)).astype(np.float32)


@pytest.fixture
def model():
    return VAE.mlp(D, 1, [8], "tanh")


def same(a, b):
    assert a.history == b.history
    np.testing.assert_array_equal(a.params, b.params)
    assert a.best_epoch == b.best_epoch


def test_training_improves_the_bound(model, x):
    result = train(model, x[:40], x[40:], Settings(epochs=60, batch_size=8, optimizer=Adam(0.01)))
    first, best = result.history[0]["valid_elbo"], result.history[result.best_epoch - 1]["valid_elbo"]
    assert best > first + 0.5
    assert result.stopped == "finished"


def test_the_same_seed_gives_the_same_model_bit_for_bit(model, x):
    a, b, c = (train(model, x[:40], x[40:], Settings(epochs=3, batch_size=8, seed=s)) for s in (5, 5, 6))
    same(a, b)
    assert not np.array_equal(a.params, c.params)


def test_settings_and_order_in_memory_do_not_change_the_course(model, x):
    plain = train(model, x[:40], x[40:], Settings(epochs=3, batch_size=8))
    same(plain, train(model, np.asfortranarray(x[:40]), x[40:], Settings(epochs=3, batch_size=8)))
    alone = train(model, x[:40], None, Settings(epochs=3, batch_size=8))  # validation draws from its own stream
    assert [row["train_loss"] for row in alone.history] == [row["train_loss"] for row in plain.history]


def test_history_has_the_stated_columns(model, x):
    rows = train(model, x[:40], x[40:], Settings(epochs=2, batch_size=8)).history
    names = ("loss", "elbo", "log_lik", "kl")
    columns = ["epoch", "step", "learning_rate", *(f"{part}_{n}" for part in ("train", "valid") for n in names)]
    assert list(rows[0]) == columns
    assert [(row["epoch"], row["step"]) for row in rows] == [(1, 5), (2, 10)]
    for row in rows:
        for part in ("train", "valid"):
            assert abs(row[f"{part}_elbo"] - (row[f"{part}_log_lik"] - row[f"{part}_kl"])) < 1e-5
            assert abs(row[f"{part}_loss"] + row[f"{part}_elbo"]) < 1e-5


def test_beta_is_in_the_loss_and_not_in_the_elbo(model, x):
    row = train(model, x[:40], x[40:], Settings(epochs=1, batch_size=8, objective=Elbo(beta=4.0))).history[0]
    for part in ("train", "valid"):
        assert abs(row[f"{part}_elbo"] - (row[f"{part}_log_lik"] - row[f"{part}_kl"])) < 1e-5
        assert abs(row[f"{part}_loss"] - (4 * row[f"{part}_kl"] - row[f"{part}_log_lik"])) < 1e-5


@pytest.mark.parametrize(
    ("posterior", "objective"),
    [
        ("diagonal", Elbo(beta=3.0)),
        ("diagonal", Elbo("score", 3.0, "sampled")),
        ("bits", Elbo("score-leave-one-out", 3.0, "sampled")),
        ("bits", Elbo("exact")),
    ],
)
def test_validation_is_the_objectives_on_the_noise_of_its_own_stream(posterior, objective, x):
    model = VAE.mlp(D, 2, [4], "tanh", posterior=posterior)
    settings = Settings(epochs=1, batch_size=20, objective=objective, binarize=True, seed=3)
    result = train(model, 0.9 * x[:40], 0.9 * x[40:], settings)
    rng, n_draws = stream(3, Stream.VALIDATION), settings.resolved(model).n_draws
    bits = (rng.random((20, D), dtype=np.float32) < 0.9 * x[40:]).astype(np.float32)
    eps = model.draw_noise(rng, n_draws, 20, np.float32)
    terms = model.terms(result.params, bits, eps=eps, objective=objective)
    assert result.history[0]["valid_loss"] == objective.loss(terms)
    assert {f"valid_{name}": value for name, value in terms.means().items()}.items() <= result.history[0].items()


def test_an_objective_may_change_from_epoch_to_epoch(model, x):
    @dataclass(frozen=True)
    class Annealed(Elbo):
        def at(self, epoch):
            return replace(self, beta=0.5 * epoch)

    rows = train(model, x[:40], x[40:], Settings(epochs=4, batch_size=8, objective=Annealed())).history
    for epoch, row in enumerate(rows):
        assert abs(row["train_loss"] - (0.5 * epoch * row["train_kl"] - row["train_log_lik"])) < 1e-5
        assert abs(row["valid_loss"] + row["valid_elbo"]) < 1e-5  # which is compared between epochs


class Recorder(Autoencoder):
    """An autoencoder that notes the batches it is shown."""

    def loss_and_grad(self, params, x, *how):
        self.__dict__.setdefault("batches", []).append(x.copy())
        return super().loss_and_grad(params, x, *how)


def test_every_epoch_shows_every_example_once_in_other_batches():
    x = np.arange(20, dtype=np.float64)[:, None] / 20
    recorder = Recorder.mlp(1, 1, [])
    train(recorder, x, None, Settings(epochs=2, batch_size=6, dtype="float64"))
    batches = recorder.__dict__["batches"][1:]  # the first is the warm-up
    assert [len(b) for b in batches] == [6, 6, 6, 2] * 2
    for epoch in (batches[:4], batches[4:]):
        np.testing.assert_array_equal(np.sort(np.concatenate(epoch), axis=0), x)
    # a full reshuffle changes which examples stand together, not only where the batches begin
    assert [sorted(b.ravel()) for b in batches[:4]] != [sorted(b.ravel()) for b in batches[4:]]


def test_training_loss_is_the_mean_over_examples_not_over_batches():
    x = np.arange(7, dtype=np.float64)[:, None]
    model = Autoencoder.mlp(1, 1, [])
    settings = Settings(epochs=1, batch_size=3, optimizer=SGD(1e-300), dtype="float64")
    row = train(model, x, x, settings).history[0]
    assert abs(row["train_loss"] - row["valid_loss"]) < 1e-12


def test_dynamic_binarisation_draws_anew_with_the_grey_values_as_means():
    grey = np.tile(np.array([[0.0, 0.25, 1.0]]), (400, 1))
    recorder = Recorder.mlp(3, 1, [], likelihood=Bernoulli())
    train(recorder, grey, None, Settings(epochs=10, batch_size=400, binarize=True))
    batches = np.array(recorder.__dict__["batches"][1:])  # the first is the warm-up
    assert set(np.unique(batches)) == {0.0, 1.0}
    assert not np.array_equal(batches[0], batches[1])
    mean = batches.mean(axis=(0, 1))
    assert mean[0] == 0
    assert mean[2] == 1
    assert abs(mean[1] - 0.25) <= 5 * np.sqrt(0.25 * 0.75 / 4000)


def test_best_parameters_are_those_of_the_best_epoch(model, x):
    settings = Settings(epochs=25, batch_size=8, optimizer=Adam(0.05))
    result = train(model, x[:20], x[20:], settings)
    losses = [row["valid_loss"] for row in result.history]
    assert result.best_epoch == 1 + int(np.argmin(losses))
    shorter = train(model, x[:20], x[20:], Settings(**{**vars(settings), "epochs": result.best_epoch}))
    np.testing.assert_array_equal(result.params, shorter.params)


def test_early_stopping_counts_epochs_without_a_better_one(model, x):
    result = train(model, x[:20], x[20:], Settings(epochs=500, batch_size=4, optimizer=Adam(0.05), patience=5))
    assert result.stopped == "early"
    assert len(result.history) == result.best_epoch + 5


def test_the_schedule_sets_the_learning_rate_of_its_epochs(model, x):
    settings = Settings(epochs=5, batch_size=8, optimizer=Adam(0.01), schedule=StepDecay((2, 4), 0.5))
    rates = [row["learning_rate"] for row in train(model, x, None, settings).history]
    np.testing.assert_allclose(rates, [0.01, 0.01, 0.005, 0.005, 0.0025])


@pytest.mark.parametrize("optimizer", [SGD, RMSprop, Adam])
def test_a_schedule_trains_as_the_rate_that_it_makes(optimizer, model, x):
    scaled = Settings(epochs=2, batch_size=8, optimizer=optimizer(0.01), schedule=StepDecay((0,), 0.25))
    plain = Settings(epochs=2, batch_size=8, optimizer=optimizer(0.0025))
    same(train(model, x[:40], x[40:], scaled), train(model, x[:40], x[40:], plain))


@pytest.mark.parametrize("at_mean", [True, False])
def test_training_starts_at_the_mean_of_the_data_unless_told_otherwise(at_mean):
    x = np.random.default_rng(0).normal(5.0, 1.0, (20, 3))
    model = Autoencoder.mlp(3, 1, [])
    settings = Settings(epochs=1, optimizer=SGD(1e-300), batch_size=20, start_at_mean=at_mean, dtype="float64")
    bias = dict(model.named(train(model, x, None, settings).params))["decoder.0.bias"]
    np.testing.assert_allclose(bias, x.mean(axis=0) if at_mean else 0, rtol=1e-12, atol=1e-290)


def test_the_rate_is_of_all_examples_that_were_shown(model, x):
    result = train(model, x[:40], x[40:], Settings(epochs=3, batch_size=8))
    assert result.examples_per_second * result.seconds == pytest.approx(3 * 40)


def test_clipping_bounds_the_step(model, x):
    settings = Settings(
        epochs=1, batch_size=N, optimizer=SGD(1.0), clip_norm=1e-3, start_at_mean=False, dtype="float64"
    )
    start = model.init(np.random.default_rng(0), np.float64)
    after = train(model, x, None, settings).params
    assert abs(np.linalg.norm(after - start) - 1e-3) < 1e-12


BASELINES = ["score-moving-average", "score-learned"]


@pytest.mark.parametrize("estimator", ["path-derivative", "score-leave-one-out", *BASELINES])
def test_a_vae_learns_with_every_estimator(estimator, model, x):
    kl = "sampled" if estimator == "path-derivative" else "closed"
    how = Settings(epochs=60, batch_size=12, optimizer=Adam(0.02), n_draws=4, objective=Elbo(estimator, kl=kl))
    history = train(model, x, x, how).history
    pathwise = train(model, x, x, replace(how, objective=Elbo("pathwise", kl=kl))).history
    assert history[-1]["valid_kl"] > 0.3  # the encoder is used
    assert history[-1]["valid_elbo"] > history[0]["valid_elbo"] + 0.5
    assert history[0] != pathwise[0]  # and it is not the same gradient


@pytest.mark.parametrize("posterior", ["diagonal", "bits"])
@pytest.mark.parametrize("kl", ["closed", "sampled"])
@pytest.mark.parametrize("estimator", BASELINES)
def test_a_learnt_baseline_knows_earlier_steps_only(estimator, kl, posterior, x):
    model = VAE.mlp(D, 1, [4], "tanh", posterior=posterior)
    steps, take, beta = [], VAE.loss_and_grad, 3.0

    class Spy(VAE):
        def loss_and_grad(self, params, x, eps, grads, objective, **how):
            loss, terms = take(self, params, x, eps, grads, objective, **how)
            if "baseline" in how:
                # f as the score function has it: what the KL's formula holds is no part of it
                _, _, draws = self.draw(params, x, eps)
                f = draws.log_lik + (kl == "sampled") * beta * (draws.log_prior - draws.log_q)
                steps.append((how["baseline"], x.copy(), f))
            return loss, terms

    spy = Spy(model.encoder, model.posterior, model.decoder, model.likelihood)
    settings = Settings(epochs=2, batch_size=20, n_draws=2, objective=Elbo(estimator, beta, kl), seed=3)
    train(spy, x, None, settings)
    rule = settings.resolved(model).rule(model)
    state = rule.init(stream(3, Stream.BASELINE), np.float32)
    assert len(steps) == 6
    for c, batch, f in steps:  # what the steps before have taught it, and then this one
        np.testing.assert_allclose(c, rule.predict(state, batch), rtol=1e-4, atol=1e-4)
        rule.update(state, batch, f)
    assert len({c.tobytes() for c, _, _ in steps}) == 6


@pytest.mark.parametrize("estimator", BASELINES)
def test_a_resumed_run_goes_on_with_its_baseline(estimator, model, x, tmp_path):
    how = {"batch_size": 8, "objective": Elbo(estimator)}
    whole = train(model, x[:40], x[40:], Settings(epochs=6, **how))
    file = tmp_path / "checkpoint.npz"
    train(model, x[:40], x[40:], Settings(epochs=2, **how), checkpoint=file)
    same(train(model, x[:40], x[40:], Settings(epochs=6, **how), checkpoint=file, resume=True), whole)


VAE_1, BITS = VAE.mlp(D, 1, [4]), VAE.mlp(D, 2, [4], posterior="bits")


@pytest.mark.parametrize(
    ("model", "how", "message"),
    [
        (Autoencoder.mlp(D, 1), {"objective": Elbo(beta=7.0)}, r"objective must be Reconstruction\(\) for Autoencoder"),
        (Autoencoder.mlp(D, 1), {"objective": Elbo("score")}, "Leave estimator, beta and kl away"),
        (Autoencoder.mlp(D, 1), {"n_draws": 2}, "n_draws must be 1 for Autoencoder without a corruption.* got 2"),
        (VAE_1, {"objective": Reconstruction()}, r"objective must be Elbo\(\) for VAE.* take Elbo\(beta=0\)"),
        (VAE_1, {"objective": Elbo("exact")}, "states cannot be enumerated, got 'exact'"),
        (VAE_1, {"objective": Elbo("score-leave-one-out"), "n_draws": 1}, "n_draws must be at least 2 .* got 1"),
        (BITS, {"objective": Elbo("pathwise")}, r"the draw is a step, .* zero almost everywhere"),
        (BITS, {"objective": Elbo("exact"), "n_draws": 2}, "n_draws must be 1 .* enumerates all 4 states .* got 2"),
        (BITS, {"n_draws": 1}, "n_draws must be at least 2 for the estimator 'score-leave-one-out', got 1"),
    ],
)
def test_an_objective_that_the_model_cannot_be_trained_for_is_refused_before_any_work(model, how, message, x, tmp_path):
    with pytest.raises(ValueError, match=message):
        train(model, x[:40], x[40:], Settings(batch_size=8, **how), checkpoint=tmp_path / "new" / "c.npz")
    assert list(tmp_path.iterdir()) == []


def test_the_baseline_of_a_score_function_changes_the_course(x):
    plain, averaged, learned = (
        train(BITS, x, x, Settings(epochs=2, batch_size=20, objective=Elbo(name))).history
        for name in ("score", *BASELINES)
    )
    assert plain != averaged != learned != plain


NOISY = Autoencoder.mlp(D, 1, [8], likelihood=Bernoulli(), corruption=MaskingNoise(0.3))


@pytest.mark.parametrize("model", [VAE.mlp(D, 1, [8]), NOISY], ids=["VAE", "Autoencoder"])
@pytest.mark.parametrize("optimizer", [Adam(0.01), RMSprop(0.01, centered=True), SGD(0.01, 0.9)])
def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(model, optimizer, x, tmp_path):
    how = {"batch_size": 8, "optimizer": optimizer, "schedule": StepDecay((3,), 0.5), "binarize": True, "n_draws": 2}
    whole = train(model, x[:40], x[40:], Settings(epochs=6, **how))
    file = tmp_path / "checkpoint.npz"
    train(model, x[:40], x[40:], Settings(epochs=2, **how), checkpoint=file)
    resumed = train(model, x[:40], x[40:], Settings(epochs=6, **how), checkpoint=file, resume=True)
    same(resumed, whole)


def interrupt_in_epoch(number):
    def on_epoch(row):
        if row["epoch"] == number:
            raise KeyboardInterrupt

    return on_epoch


def test_ctrl_c_keeps_the_best_model_and_the_run_goes_on_from_there(model, x, tmp_path):
    settings, file = Settings(epochs=6, batch_size=8), tmp_path / "checkpoint.npz"
    whole = train(model, x[:40], x[40:], settings)
    stopped = train(model, x[:40], x[40:], settings, checkpoint=file, on_epoch=interrupt_in_epoch(3))
    assert stopped.stopped == "interrupted"
    assert len(stopped.history) == 3
    np.testing.assert_array_equal(stopped.params, train(model, x[:40], x[40:], Settings(epochs=3, batch_size=8)).params)
    same(train(model, x[:40], x[40:], settings, checkpoint=file, resume=True), whole)


def test_ctrl_c_in_the_middle_of_an_epoch_resumes_from_its_start(x, tmp_path):
    class Interrupted(VAE):
        def loss_and_grad(self, *args, **kwargs):
            self.__dict__["calls"] = self.__dict__.get("calls", 0) + 1
            if self.__dict__["calls"] == 14:  # the warm-up, ten steps, and the third step of the third epoch
                raise KeyboardInterrupt
            return super().loss_and_grad(*args, **kwargs)

    model, settings, file = VAE.mlp(D, 1, [8]), Settings(epochs=5, batch_size=8), tmp_path / "checkpoint.npz"
    fragile = Interrupted(model.encoder, model.posterior, model.decoder, model.likelihood)
    object.__setattr__(fragile, "__class__", Interrupted)
    stopped = train(fragile, x[:40], x[40:], settings, checkpoint=file)
    assert (stopped.stopped, len(stopped.history)) == ("interrupted", 2)
    resumed = train(fragile, x[:40], x[40:], settings, checkpoint=file, resume=True)
    same(resumed, train(model, x[:40], x[40:], settings))


def test_resuming_a_run_that_stopped_early_changes_nothing(model, x, tmp_path):
    settings, file = Settings(epochs=500, batch_size=4, optimizer=Adam(0.05), patience=5), tmp_path / "checkpoint.npz"
    a = train(model, x[:20], x[20:], settings, checkpoint=file)
    b = train(model, x[:20], x[20:], settings, checkpoint=file, resume=True)
    same(a, b)
    assert a.stopped == b.stopped == "early"
    assert b.seconds == a.seconds > 0


def test_fewer_epochs_than_a_checkpoint_holds_are_refused(model, x, tmp_path):
    file = tmp_path / "checkpoint.npz"
    train(model, x[:40], x[40:], Settings(epochs=3, batch_size=8), checkpoint=file)
    with pytest.raises(ValueError, match="epochs must be at least the 3 that the checkpoint holds, got 2"):
        train(model, x[:40], x[40:], Settings(epochs=2, batch_size=8), checkpoint=file, resume=True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("params", np.zeros(1, np.float32)),
        ("best", np.zeros(3)),
        ("optimizer.m", None),
        ("history", np.empty((0, 11))),
        ("params", "nan"),
    ],
)
def test_a_checkpoint_with_wrong_arrays_is_refused(name, value, model, x, tmp_path):
    file, settings = tmp_path / "checkpoint.npz", Settings(epochs=1, batch_size=8)
    train(model, x[:40], x[40:], settings, checkpoint=file)
    header, arrays = load_arrays(file, "checkpoint", known)
    if value is None:
        del arrays[name]
    else:
        arrays[name] = np.full_like(arrays[name], np.nan) if isinstance(value, str) else value
    header.pop("format")
    save_arrays(file, header, arrays)
    with pytest.raises(FileError, match=f"checkpoint must be complete, got .*{name}"):
        train(model, x[:40], x[40:], settings, checkpoint=file, resume=True)


def test_resuming_a_finished_run_changes_nothing(model, x, tmp_path):
    settings, file = Settings(epochs=3, batch_size=8), tmp_path / "checkpoint.npz"
    a = train(model, x[:40], x[40:], settings, checkpoint=file)
    same(train(model, x[:40], x[40:], settings, checkpoint=file, resume=True), a)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": VAE.mlp(D, 2, [8], "tanh")}, r"differs in model.encoder.layers\[2\].n_out: 2 -> 4"),
        ({"model": VAE.mlp(D, 1, [8], "relu")}, r"class: Tanh -> ReLU"),
        ({"settings": {"objective": Elbo(beta=2.0)}}, r"settings.objective.beta: 1.0 -> 2.0 \(saved -> now\)"),
        ({"settings": {"objective": Elbo("score")}}, "settings.objective.estimator: pathwise -> score"),
        ({"settings": {"objective": Elbo(kl="sampled")}}, "settings.objective.kl: closed -> sampled"),
        ({"settings": {"seed": 1}}, r"settings.seed: 0 -> 1"),
        ({"settings": {"optimizer": Adam(0.5)}}, "settings.optimizer.learning_rate: 0.001 -> 0.5"),
        ({"rows": slice(1, 41)}, "data.train.crc32"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(change, message, model, x, tmp_path):
    file = tmp_path / "checkpoint.npz"
    train(model, x[:40], x[40:], Settings(epochs=1, batch_size=8), checkpoint=file)
    settings = Settings(epochs=2, batch_size=8, **change.get("settings", {}))
    rows = change.get("rows", slice(0, 40))
    with pytest.raises(FileError, match=message):
        train(change.get("model", model), x[rows], x[40:], settings, checkpoint=file, resume=True)


def test_a_place_that_cannot_be_written_to_is_found_before_training(model, x, tmp_path, monkeypatch):
    monkeypatch.setattr("minivae.training.loop._epoch", lambda *_: pytest.fail("trained before looking"))
    settings = Settings(epochs=1, batch_size=8)
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="checkpoint's folder must be a folder that can be written to"):
        train(model, x, None, settings, checkpoint=tmp_path / "file" / "c.npz")
    with pytest.raises(FileError, match="checkpoint must name a file, got .*, which is a folder"):
        train(model, x, None, settings, checkpoint=tmp_path)


@pytest.mark.parametrize("keep", [0, 100, -40])
def test_a_truncated_checkpoint_is_refused(keep, model, x, tmp_path):
    file, settings = tmp_path / "checkpoint.npz", Settings(epochs=1, batch_size=8)
    train(model, x[:40], x[40:], settings, checkpoint=file)
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(FileError, match="must name an intact checkpoint file, got .*damaged"):
        train(model, x[:40], x[40:], settings, checkpoint=file, resume=True)


def test_resume_needs_a_checkpoint(model, x, tmp_path):
    with pytest.raises(ValueError, match="checkpoint must name the file to resume from"):
        train(model, x, None, Settings(batch_size=8), resume=True)
    with pytest.raises(FileError, match="does not exist"):
        train(model, x, None, Settings(batch_size=8), checkpoint=tmp_path / "none.npz", resume=True)


# ------------------------------------------------------------------------------------------- the guard


@pytest.mark.parametrize("rate", [1e6, 1e30])
def test_an_absurd_learning_rate_is_named_by_the_guard(rate, x):
    model = VAE.mlp(D, 1, [8], "relu", Gaussian())
    settings = Settings(epochs=200, batch_size=8, optimizer=SGD(rate))
    with np.errstate(all="ignore"), pytest.raises(NonFiniteError) as error:
        train(model, x[:40], None, settings)
    message = str(error.value)
    assert message.startswith("training stopped at step ")
    assert "holds" in message
    assert f"a lower learning_rate ({rate:g} in this epoch), or set clip_norm" in message


def test_before_the_first_update_the_guard_speaks_of_the_data_and_not_of_the_learning_rate(x):
    model = VAE.mlp(D, 1, [8], "relu", Gaussian())
    with pytest.raises(NonFiniteError, match="training stopped at step 1 ") as error:
        train(model, x[:40] * 1e30, None, Settings(epochs=2, batch_size=8, start_at_mean=False))
    assert "Nothing was updated yet, so look at the data's scale (standardise them" in str(error.value)
    assert "learning_rate" not in str(error.value)


def test_the_guard_quotes_the_learning_rate_of_its_epoch(x):
    class Spoiled(VAE):
        def loss_and_grad(self, params, x, eps, grads, *how):
            result = super().loss_and_grad(params, x, eps, grads, *how)
            self.__dict__["calls"] = self.__dict__.get("calls", 0) + 1
            if self.__dict__["calls"] == 13:  # the warm-up, and twelve steps of five an epoch
                grads[0] = np.nan
            return result

    good = VAE.mlp(D, 1, [8], "tanh")
    model = Spoiled(good.encoder, good.posterior, good.decoder, good.likelihood)
    settings = Settings(epochs=5, batch_size=8, optimizer=SGD(0.5), schedule=StepDecay((2,), 0.25))
    with pytest.raises(NonFiniteError, match=r"step 12 \(epoch 3\).*a lower learning_rate \(0.125 in this epoch\)"):
        train(model, x[:40], None, settings)


def test_a_rate_that_is_too_high_but_finite_is_warned_of(x):
    model = Autoencoder.mlp(D, 1, [8], "tanh", Bernoulli())
    with pytest.warns(UserWarning, match=r"learning_rate 100000 is probably too high: the validation loss went from"):
        train(model, x[:40], x[40:], Settings(epochs=1, batch_size=8, optimizer=SGD(1e5)))


def test_the_guard_names_a_gradient_and_its_step(x):
    class Broken(VAE):
        def loss_and_grad(self, params, x, eps, grads, *how):
            result = super().loss_and_grad(params, x, eps, grads, *how)
            self.__dict__["calls"] = self.__dict__.get("calls", 0) + 1
            if self.__dict__["calls"] == 8:  # the warm-up, and seven steps
                dict(self.named(grads))["decoder.2.weight"][0, 0] = np.inf
            return result

    good = VAE.mlp(D, 1, [8], "tanh")
    model = Broken(good.encoder, good.posterior, good.decoder, good.likelihood)
    with pytest.raises(NonFiniteError, match=r"stopped at step 7 \(epoch 2\).*decoder.2.weight holds 1 NaN or inf"):
        train(model, x[:40], None, Settings(epochs=5, batch_size=8))


def test_the_guard_sees_what_the_last_step_of_an_epoch_spoils(model, x):
    # one step in all: no later loss could show that its update overflowed
    settings = Settings(epochs=1, batch_size=40, optimizer=SGD(1e39))
    with np.errstate(all="ignore"), pytest.raises(NonFiniteError, match="step 1 .*the parameters are not finite after"):
        train(model, x[:40], None, settings)
    for rate in (1e38, 1e39):
        settings = Settings(epochs=1, batch_size=40, optimizer=SGD(rate))
        with np.errstate(all="ignore"), pytest.raises(NonFiniteError, match="Likely remedy: a lower learning_rate"):
            train(VAE.mlp(D, 1, [8], "relu"), x[:40], x[40:], settings)


def test_a_gradient_too_large_for_a_float32_norm_can_still_be_clipped(x):
    class Steep(Autoencoder):
        def loss_and_grad(self, params, x, eps, grads, *how):
            result = super().loss_and_grad(params, x, eps, grads, *how)
            grads[:] = 1e25
            return result

    good = Autoencoder.mlp(D, 1, [8], "tanh")
    model = Steep(good.encoder, good.decoder, good.likelihood)
    settings = Settings(epochs=1, batch_size=40, optimizer=SGD(1.0), clip_norm=1e-3, start_at_mean=False)
    after = train(model, x[:40], None, settings).params
    start = good.init(np.random.default_rng(0), np.float32)
    assert abs(np.linalg.norm(after.astype(float) - start) - 1e-3) < 1e-6


def test_after_the_guard_the_checkpoint_of_the_last_good_epoch_remains(x, tmp_path):
    class Broken(VAE):
        def loss_and_grad(self, params, x, eps, grads, *how):
            self.__dict__["calls"] = self.__dict__.get("calls", 0) + 1
            if self.__dict__["calls"] == 14:  # the warm-up, and thirteen steps
                raise NonFiniteError("planted")
            return super().loss_and_grad(params, x, eps, grads, *how)

    good, file, settings = VAE.mlp(D, 1, [8]), tmp_path / "checkpoint.npz", Settings(epochs=4, batch_size=8)
    model = Broken(good.encoder, good.posterior, good.decoder, good.likelihood)
    with pytest.raises(NonFiniteError, match="step 13"):
        train(model, x[:40], x[40:], settings, checkpoint=file)
    resumed = train(model, x[:40], x[40:], settings, checkpoint=file, resume=True)
    same(resumed, train(good, x[:40], x[40:], settings))


# ------------------------------------------------------------------------------------------- bad input


def test_fewer_examples_than_the_batch_is_said_and_works(model, x):
    with pytest.warns(UserWarning, match="batch_size should be at most the number of training examples, 10, got 128"):
        result = train(model, x[:10], None, Settings(epochs=2))
    assert [row["step"] for row in result.history] == [1, 2]


def test_grey_values_are_warned_of_once(model, x):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        train(model, 0.5 * x[:40], 0.5 * x[40:], Settings(epochs=2, batch_size=8))
    assert [w.category for w in caught] == [NotALikelihoodWarning]


def test_validation_rows_may_be_equal_where_the_variance_is_learned(x):
    for likelihood in ("gaussian-learned", "gaussian-per-pixel"):
        model = VAE.mlp(D, 1, [8], "tanh", likelihood)
        result = train(model, x[:40], np.repeat(x[:1], 3, axis=0), Settings(epochs=1, batch_size=8))
        assert np.isfinite(result.params).all()
        with pytest.raises(ValueError, match="x must vary"):
            train(model, np.repeat(x[:1], 8, axis=0), None, Settings(epochs=1, batch_size=8))


def test_dtype_may_be_a_numpy_type(model, x, tmp_path):
    train(model, x, None, Settings(epochs=1, batch_size=8, dtype=np.float64), checkpoint=tmp_path / "c.npz")


def test_values_that_float32_cannot_hold_are_refused():
    model = VAE.mlp(2, 1, [4], "tanh", Gaussian())
    with pytest.raises(ValueError, match="x_train must be finite, got 1 NaN or infinite"):
        train(model, np.array([[1e300, 0.0], [0.0, 1.0]]), None, Settings(batch_size=2))


def test_a_single_example_can_be_trained_on(model, x):
    result = train(model, x[:1], None, Settings(epochs=2, batch_size=1))
    assert np.isfinite(result.params).all()


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.full((4, D), np.nan), "x_train must be finite"),
        (np.ones((4, D), int), "x_train must be a floating-point array, got dtype int64"),
        (np.ones((4, D + 1)), r"x_train must have shape \(batch, 6\), got \(4, 7\)"),
        (np.ones((4, 2, 3)), "Flatten images"),
        (np.full((4, D), 255.0), r"must lie in \[0, 1\]"),
        (np.empty((0, D)), "x_train must hold at least one value"),
    ],
)
def test_bad_data_are_refused_before_any_work(model, bad, message, tmp_path):
    file = tmp_path / "checkpoint.npz"
    with pytest.raises(ValueError, match=message):
        train(model, bad, None, Settings(epochs=1), checkpoint=file)
    with pytest.raises(ValueError, match=message.replace("x_train", "x_valid")):
        train(model, np.ones((4, D)), bad, Settings(epochs=1, batch_size=4), checkpoint=file)
    assert not file.exists()


def test_data_that_cannot_be_binarised_are_refused():
    model = VAE.mlp(2, 1, [], likelihood=Gaussian())
    with pytest.raises(ValueError, match=r"x_train must lie in \[0, 1\] to be binarised, got -1 to 1"):
        train(model, np.array([[-1.0, 1.0]]), None, Settings(binarize=True, batch_size=1))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"epochs": 0}, "epochs must be an integer of at least 1, got 0"),
        ({"batch_size": 0}, "batch_size must be an integer of at least 1"),
        ({"n_draws": 0}, "n_draws must be an integer of at least 1"),
        ({"clip_norm": 0}, "clip_norm must be a finite number greater than 0"),
        ({"patience": 0}, "patience must be an integer of at least 1"),
        ({"objective": Elbo}, "objective must be an objective, got the class .*For example Elbo"),
        ({"objective": "elbo"}, "objective must be an objective, got 'elbo'"),
        ({"dtype": "float16"}, "dtype must be float32 or float64, got 'float16'"),
        ({"dtype": "flat32"}, "dtype must be float32 or float64, got 'flat32'"),
        ({"seed": -1}, "seed must be an integer from 0"),
        ({"seed": 1.5}, "seed must be an integer from 0"),
        ({"seed": 10**400}, "seed must be an integer from 0"),
        ({"optimizer": Adam}, "optimizer must be an optimiser"),
        ({"optimizer": 3}, "optimizer must be an optimiser, got 3"),
        ({"schedule": None}, "schedule must be a StepDecay, got None"),
        ({"binarize": "no"}, "binarize must be True or False, got 'no'"),
    ],
)
def test_settings_out_of_range_are_refused(setting, message):
    with pytest.raises(ValueError, match=message):
        Settings(**setting)


def signalled(number, steps):
    """Return a VAE that sends its own process a signal in the midst of some of its steps, and counts them."""

    class Signalled(VAE):
        def loss_and_grad(self, params, x, eps, grads, *how):
            calls = self.__dict__["calls"] = self.__dict__.get("calls", 0) + 1
            if calls in steps:
                signal.raise_signal(number)
            result = super().loss_and_grad(params, x, eps, grads, *how)
            self.__dict__["done"] = calls
            return result

    good = VAE.mlp(D, 1, [8])
    return Signalled(good.encoder, good.posterior, good.decoder, good.likelihood)


@pytest.mark.usefixtures("heeded_interrupts")
def test_ctrl_c_waits_for_the_end_of_the_step_and_the_handler_is_put_back(x):
    model = signalled(signal.SIGINT, [7])
    result = train(model, x[:40], x[40:], Settings(epochs=9, batch_size=8))
    assert (result.stopped, len(result.history)) == ("interrupted", 1)
    assert model.__dict__["done"] == 7
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.usefixtures("heeded_interrupts")
def test_where_ctrl_c_is_ignored_training_goes_on(x):
    # so that a training in the background, under nohup, outlives the terminal
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    result = train(signalled(signal.SIGINT, [7]), x[:40], x[40:], Settings(epochs=3, batch_size=8))
    assert (result.stopped, len(result.history)) == ("finished", 3)
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN


@pytest.mark.usefixtures("heeded_interrupts")
def test_a_second_ctrl_c_acts_at_once():
    with Interrupt() as interrupt:
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            interrupt.check()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("before", [1, 2])
def test_small_products_take_one_blas_thread_and_large_ones_what_there_are(before, monkeypatch):
    monkeypatch.setattr(training_arithmetic, "others_at_work", lambda: False)
    # the largest product of a step has rows x 20 x 2,000 multiplications: in the decoder, which gives 2 x 1,000 values
    model = VAE.mlp(1000, 1, [20], likelihood="gaussian-per-pixel")
    rows = _ONE_THREAD // (20 * 2000)

    def now():
        return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

    with threadpool_limits(before, user_api="blas"):
        outside = now()
        assert outside
        assert set(outside) == {before}
        with blas_threads(model, rows - 1):
            assert set(now()) == {1}
        assert now() == outside
        with blas_threads(model, rows):
            assert now() == outside
        with pytest.raises(RuntimeError, match="in the midst"), blas_threads(model, 1):
            raise RuntimeError("in the midst")
        assert now() == outside


def test_one_thread_is_best_while_others_are_at_work(monkeypatch):
    model = VAE.mlp(1000, 1, [_ONE_THREAD // 1000])
    for busy in (False, True):
        monkeypatch.setattr(training_arithmetic, "others_at_work", lambda busy=busy: busy)
        assert training_arithmetic.one_thread_is_best(model, 1) is busy


@pytest.mark.parametrize(
    ("looks", "at_work"),
    [
        *[([(2, 1)], True), ([(3, 2)], True), ([(1, 1)], False), ([(2, 2)], False), ([(0, 0)], False)],
        ([(2, 1), (2, 1), (1, 1), (2, 1)], False),  # what runs at some looks only is no work
    ],
)
def test_others_are_at_work_where_more_than_this_process_runs_at_every_look(looks, at_work, monkeypatch):
    seen = itertools.cycle(looks)
    monkeypatch.setattr(training_arithmetic, "_running", lambda: next(seen))
    monkeypatch.setattr(training_arithmetic, "_BETWEEN", 0)
    assert training_arithmetic.others_at_work() is at_work


@pytest.mark.skipif(not Path("/proc/loadavg").exists(), reason="only Linux tells what runs")
def test_a_busy_process_is_seen_and_spinning_threads_of_ones_own_are_not_taken_for_one():
    spinning = subprocess.Popen(
        [sys.executable, "-c", "print(1, flush=True)\nwhile True: pass"], stdout=subprocess.PIPE
    )
    try:
        spinning.stdout.readline()
        assert training_arithmetic.others_at_work()
        running, own = training_arithmetic._running()
        assert running > own >= 1
    finally:
        spinning.kill()
        spinning.communicate()


@needs_jit
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one core has one thread")
@pytest.mark.parametrize("begun_busy", [True, False])
def test_a_run_goes_on_with_the_threads_that_it_was_begun_with(begun_busy, monkeypatch, tmp_path):
    model = VAE.mlp(500, 2, [400])
    x = (np.random.default_rng(0).random((100, 500)) < 0.5).astype(np.float32)
    path, inside = tmp_path / "c.npz", []

    def run(epochs, busy, resume):
        monkeypatch.setattr(training_arithmetic, "others_at_work", lambda: busy)
        settings = Settings(epochs=epochs, batch_size=50)
        with threadpool_limits(2, user_api="blas"), warnings.catch_warnings():
            warnings.simplefilter("error")
            return train(
                model,
                x,
                settings=settings,
                checkpoint=path,
                resume=resume,
                on_epoch=lambda _: inside.append(training_arithmetic.arithmetic()["blas_threads"]),
            )

    run(1, begun_busy, resume=False)
    run(2, not begun_busy, resume=True)
    assert inside == [1, 1] if begun_busy else [2, 2]


def test_training_in_a_thread_works(model, x):
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(train, model, x[:40], x[40:], Settings(epochs=2, batch_size=8)).result()
    same(result, train(model, x[:40], x[40:], Settings(epochs=2, batch_size=8)))


def test_a_checkpoint_of_a_former_version_is_refused_in_words(x, tmp_path):
    model, path = VAE.mlp(x.shape[1], 2, [4]), tmp_path / "c.npz"
    train(model, x, settings=Settings(epochs=1, batch_size=16), checkpoint=path)
    header, arrays = load_arrays(path, "checkpoint", known)
    del header["spec"]["settings"]["objective"]
    save_arrays(path, header, arrays)
    with pytest.raises(FileError, match=r"checkpoint must be of this version of minivae, got .*model\.npz still loads"):
        train(model, x, settings=Settings(epochs=2, batch_size=16), checkpoint=path, resume=True)
