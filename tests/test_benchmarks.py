"""The hand-written pieces of the benchmarks are checked as those of the package are."""

import ast
import json
from math import comb
from pathlib import Path

import numpy as np
import pytest
from py_mini_racer import MiniRacer
from scipy import stats

from benchmarks import iwae, mutants, pythae, relax
from benchmarks.autoencoders import measure, models
from benchmarks.beta_bernoulli import RULES, BetaBernoulli, steps_until_close
from benchmarks.fixed_mnist import SAMPLED, SoftplusFlow, SoftplusGaussian, flow_from, model_of
from benchmarks.published import UniformVAE
from minivae.distributions.kl import closed_kl
from minivae.models.autoencoder import Autoencoder
from minivae.models.vae import VAE
from minivae.nn.activations import Sigmoid
from minivae.nn.gradcheck import check_gradient
from minivae.nn.sequential import Sequential, mlp
from minivae.training.storage import save_model
from tests.support import assert_within_standard_errors


@pytest.mark.parametrize("q", [SoftplusGaussian(2), SoftplusFlow(2, 2, [5], 3)], ids=lambda q: type(q).__name__)
def test_the_softplus_posteriors_have_the_right_scale_and_gradient(rng, q):
    head, eps = rng.normal(size=(3, q.n_head)), rng.normal(size=(5, 3, 2))
    dz, dlog_q = rng.normal(size=eps.shape), rng.normal(size=eps.shape[:2])
    params = q.init(rng)
    grads = np.empty_like(params)
    z, log_q, cache = q.sample(params, head, eps)
    np.testing.assert_allclose(log_q, q.log_prob(params, head, z), rtol=1e-11)
    inner = np.hstack([head[:, :2], 2 * np.log(np.log1p(np.exp(head[:, 2:4]))), head[:, 4:]])
    np.testing.assert_allclose(z, type(q).__mro__[2].sample(q, params, inner, eps)[0], rtol=1e-12)

    def value(theta):
        z, log_q, _ = q.sample(params, theta.reshape(head.shape), eps)
        return float(np.sum(dz * z) + np.sum(dlog_q * log_q))

    def at_fixed_z(theta):
        return float(np.sum(dlog_q * q.log_prob(params, theta.reshape(head.shape), z)))

    assert check_gradient(value, q.backward(params, cache, dz, dlog_q, grads).ravel(), head.ravel()).ok
    assert check_gradient(at_fixed_z, q.score(params, cache, dlog_q, grads).ravel(), head.ravel()).ok
    # a softplus is not an exponential: the formula of the Gaussian's KL is not its own
    assert closed_kl(q, q.prior()) is None


def test_the_uniform_start_is_within_its_limits(rng):
    model = UniformVAE.mlp(9, 2, [4])
    for name, view in model.named(model.init(rng)):
        n_in = {"encoder.0": 9, "encoder.2": 4, "decoder.0": 2, "decoder.2": 4}[name.rsplit(".", 1)[0]]
        assert 0 < np.abs(view).max() <= 1 / np.sqrt(n_in)


def test_the_flow_starts_as_the_mean_field_that_it_goes_on_from(rng, tmp_path):
    mean_field, flow = model_of("diagonal", ours=True), model_of("iaf", ours=True)
    params = mean_field.init(rng, np.float32)
    params += 0.03 * rng.standard_normal(len(params), np.float32)
    save_model(tmp_path / "kept.npz", mean_field, params)
    begun = flow_from(tmp_path / "kept.npz", flow, rng).astype(float)
    x, eps = (rng.random((3, 784)) < 0.3).astype(float), rng.standard_normal((2, 3, 128))
    before = mean_field.elbo(params.astype(float), x, eps=eps, objective=SAMPLED)
    np.testing.assert_allclose(flow.elbo(begun, x, eps=eps, objective=SAMPLED), before, rtol=1e-5)
    other = VAE.mlp(9, 2, [4])
    save_model(tmp_path / "other.npz", other, other.init(rng))
    with pytest.raises(ValueError, match="--start must hold the mean field that --ours --save wrote"):
        flow_from(tmp_path / "other.npz", flow, rng)


def test_the_published_networks_are_of_the_published_sizes():
    mean_field, flow = model_of("diagonal", ours=False), model_of("iaf", ours=False)
    sizes = [layer.n_in for layer in mean_field.encoder.layers[::2]] + [
        layer.n_in for layer in mean_field.decoder.layers[::2]
    ]
    assert sizes == [784, 512, 512, 128, 512, 512]
    assert flow.decoder == mean_field.decoder
    assert (flow.posterior.n_blocks, flow.posterior.n_head) == (2, 3 * 128)
    assert flow.posterior.nets[0].n_params == (256 + 1) * 512 + (512 + 1) * 256
    settings = pythae.settings_of(600, 0)
    rates = [settings.optimizer.learning_rate * settings.schedule.scale(epoch) for epoch in (199, 200, 350, 500, 599)]
    np.testing.assert_allclose(np.log10(rates), [-4, -4.2, -4.4, -4.6, -4.6], rtol=1e-12)


def test_the_beta_bernoulli_elbo_is_log_p_at_the_posterior_and_its_gradient_right(rng):
    model = BetaBernoulli()
    phi = np.log([13.0, 17.0])
    assert check_gradient(model.elbo, model.elbo_gradient, phi).ok
    best = np.log(model.posterior)
    # the sequence is one of C(10, 6) alike: log p of it is that of the count less the log of their number
    log_p = stats.betabinom.logpmf(6, 10, 10, 10) - np.log(comb(10, 6))
    assert abs(model.elbo(best) - log_p) < 1e-12
    np.testing.assert_allclose(model.elbo_gradient(best), 0, atol=1e-12)
    np.testing.assert_allclose(model.elbo_draw(best, rng.random(5)), log_p, rtol=1e-11)  # the same for every z


def test_the_beta_score_is_the_slope_of_the_log_density_and_the_estimate_unbiased(rng):
    model, phi, z = BetaBernoulli(), np.log([13.0, 17.0]), 0.37
    assert check_gradient(lambda p: float(stats.beta.logpdf(z, *np.exp(p))), model.score(phi, z), phi).ok
    draws = rng.beta(*np.exp(phi), size=20_000)
    f = model.elbo_draw(phi, draws)
    assert_within_standard_errors(f, model.elbo(phi))
    for c in (0.0, model.elbo(phi)):
        assert_within_standard_errors((f - c)[:, None] * model.score(phi, draws), model.elbo_gradient(phi))


def test_a_decaying_average_shortens_the_beta_bernoulli_run():
    # Pyro takes 167 to 1,456 steps without and 123 to 213 with an average that sets out from zero (medians 243, 160)
    plain, from_zero, debiased = (
        np.median([steps_until_close(rule, seed) for seed in range(9)]) for rule in RULES.values()
    )
    assert 123 / 2 < from_zero < 2 * 213
    assert 167 / 2 < plain < 2 * 1456
    assert debiased < from_zero < plain


def test_the_family_differs_in_its_losses_alone():
    family = models()
    assert {model.n_params for model in family.values()} == {24_928}
    assert len({(model.encoder, model.decoder, model.likelihood) for model in family.values()}) == 1
    assert len(set(family.values())) == len(family)


def test_sparseness_is_the_share_of_images_in_which_a_unit_is_off():
    # one unit that is on where x > 0 and off elsewhere, the other always half on
    model = Autoencoder(Sequential([mlp([1, 2]), Sigmoid()]), mlp([2, 1]), Autoencoder.mlp(1, 1).likelihood)
    params = np.zeros(model.n_params)
    params[0] = 1e3
    x = np.where(np.arange(1000) < 200, 1.0, -1.0)[:, None]
    row = measure(model, params, x, 0)
    assert abs(row["sparseness"] - (0.8 + 0) / 2) < 1e-12
    assert abs(row["mean code"] - (0.2 + 0.5) / 2) < 1e-12
    assert abs(row["error"] - 1) < 1e-12


def test_the_stages_of_the_importance_weighted_autoencoder_are_those_of_its_paper():
    settings = iwae.settings_of(5, 8, "iwae", 0)
    rates = [settings.optimizer.learning_rate * settings.schedule.scale(epoch) for epoch in range(settings.epochs)]
    expected = np.concatenate([np.full(3**i, 1e-3 * 10 ** (-i / 7)) for i in range(8)])
    np.testing.assert_allclose(rates, expected, rtol=1e-12)
    assert (settings.n_draws, settings.batch_size, settings.optimizer.eps, settings.binarize) == (5, 20, 1e-4, True)


def test_one_stage_of_the_importance_weighted_autoencoder_on_a_few_digits(tmp_path, rng):
    x = rng.random((60, 9)).astype(np.float32)
    how = {"draws": 5, "widths": (6, 5), "n_latent": 3, "checkpoint": str(tmp_path / "c.npz")}
    one, two = (iwae.run(x[:40], x[40:], 5, n, **how) for n in (1, 2))  # the second goes on where the first stopped
    assert (one["epochs"], two["epochs"]) == (1, 4)
    assert one["-log p(x)"] <= one["-elbo"]
    assert abs(one["seconds_of_the_rest"] - one["seconds"] * 3279) < 1e-6
    assert abs(two["seconds_of_the_rest"] - two["seconds"] / 4 * 3276) < 1e-6


def test_a_stage_of_the_discrete_estimators_on_a_few_images(tmp_path, rng, monkeypatch):
    monkeypatch.setattr(relax, "EPOCHS", 1)
    x = (rng.random((60, 9)) < 0.4).astype(np.float32)
    for name in ("nvil", "relax", "iwae-vimco"):
        how = {"n_bits": 3, "checkpoint": str(tmp_path / f"{name}.npz")}
        one, two = (relax.run(x, name, n, **how) for n in (1, 2))
        assert (one["epochs"], two["epochs"], two["steps"]) == (1, 2, 6)
        assert (one["published"] is None) == (name == "iwae-vimco")
    found = relax.variances(
        relax.model_of(9, 3), two["params"], x[:5], ("score", "nvil", "disarm", "relax"), n_draws=100, n_learning=50
    )
    assert found["disarm"] < found["score"]
    assert found["relax"] < found["score"]
    assert found["nvil"] < found["score"]


def test_the_toy_problems_leave_a_figure_and_name_the_biased(tmp_path):
    rows = relax.toy(str(tmp_path / "toy.png"), n_steps=20)
    assert (tmp_path / "toy.png").is_file()
    assert {row["t"] for row in rows} == {0.45, 0.499}
    assert "gumbel-softmax (biased)" in {row["estimator"] for row in rows}


EDITS = mutants.read()


def test_there_are_edits_of_every_room_and_none_stands_there_twice():
    assert len(EDITS) == len(set(EDITS)) >= 220
    rooms = {Path(edit.file).parts[1] for edit in EDITS}
    assert rooms >= {"core", "nn", "distributions", "estimators", "models", "classical", "training", "datasets"}


def parsed(file, source):
    """Return what a file says, however it is laid out; a syntax error is raised."""
    if file.endswith(".py"):
        return ast.dump(ast.parse(source))
    MiniRacer().eval(f"new Function({json.dumps(source)}); 0")
    return "".join(source.split())


@pytest.mark.parametrize("file", dict.fromkeys(edit.file for edit in EDITS))
def test_every_edit_fits_the_source_and_changes_what_it_says(file):
    source = (mutants.ROOT / file).read_text()
    for edit in (edit for edit in EDITS if edit.file == file):
        assert parsed(file, edit.applied(source)) != parsed(file, source), edit.new
        assert all((mutants.ROOT / test).is_file() for test in edit.near)


def test_a_planted_error_is_caught_and_one_that_no_test_looks_at_survives(tmp_path):
    file, near = "package/room/area.py", ("tests/room/test_area.py",)
    test = "from package.room.area import area\n\n\ndef test_area():\n    assert area({}) == {}\n"
    files = {
        file: "def area(a, b):\n    return a * b\n\n\ndef unseen(a):\n    return a + 1\n",
        near[0]: test.format("2, 3", 6),
        "tests/room/test_more.py": test.format("1, 3", 3),
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    changes = {"a * b": "a + b", "return a * b": "return 6", "a + 1": "a - 1"}
    edits = [mutants.Edit(file, old, new, near) for old, new in changes.items()]
    rows = mutants.judge([*edits, mutants.Edit(file, "a * b", "b * a", near, 0, "a b = b a")], tmp_path)
    assert [row["outcome"] for row in rows] == ["near", "room", "survived", "equivalent"]
    assert [row["line"] for row in rows] == [2, 2, 6, 2]
    assert (tmp_path / file).read_text() == files[file]
    with pytest.raises(mutants.CannotJudgeError, match="once, got it 2 times"):
        mutants.judge([mutants.Edit(file, "return", "yield", near)], tmp_path)
    (tmp_path / near[0]).write_text("def test_wrong():\n    assert False\n")
    with pytest.raises(mutants.CannotJudgeError, match="must pass without an edit"):
        mutants.judge(edits, tmp_path)
