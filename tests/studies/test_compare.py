"""minivae compare: every number beside its exact value, and a wrong one is caught."""

from pathlib import Path

import numpy as np
import pytest

from minivae.cli.main import main
from minivae.distributions.linear_gaussian import LinearGaussian
from minivae.distributions.nodes import normal_nodes
from minivae.models.encoder_draws import EncoderDraws, encoder_draws
from minivae.models.vae import VAE
from minivae.studies import compare_figures
from minivae.studies.compare import (
    FAR,
    NAMES,
    PROBLEMS,
    _EncoderStudy,
    compare,
    encoder_estimators,
    known,
    learned_baseline,
    linear_vae,
)
from tests.support import binary, needs_jit, small_vae

pytestmark = needs_jit

COLUMNS = [
    *["problem", "estimator", "parameter", "n_samples", "mean", "exact_mean", "z_mean", "variance", "exact_variance"],
    *["z_variance", "variance_ratio", "snr", "ns_per_draw"],
]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("problem", ["quadratic", "exponential", "cosine", "linear-gaussian"])
def test_means_and_variances_lie_within_standard_errors_of_the_exact_ones(problem, seed):
    rows = list(compare(problem, NAMES, 20_000, seed))
    assert {row["estimator"] for row in rows} == known(problem)
    for row in rows:
        assert list(row) == COLUMNS
        assert abs(row["z_mean"]) < FAR, row
        assert abs(row["z_variance"]) < FAR, row
        assert row["ns_per_draw"] > 0


def test_the_exact_columns_hold_the_known_numbers():
    rows = {(r["estimator"], r["parameter"]): r for r in compare("quadratic", NAMES, 1000)}
    for name, mu, sigma in [
        ("pathwise", 4, 24),
        ("score", 87, 346),
        ("score-mean", 42, 216),
        ("score-optimal", 38, 184),
    ]:
        assert abs(rows[name, "mu"]["exact_variance"] - mu) < 1e-9
        assert abs(rows[name, "sigma"]["exact_variance"] - sigma) < 1e-9
    assert abs(rows["score", "mu"]["exact_mean"] + 4) < 1e-12
    assert abs(rows["score", "mu"]["variance_ratio"] - 87 / 4) < 1e-9
    rows = {(r["estimator"], r["parameter"]): r for r in compare("linear-gaussian", NAMES, 1000)}
    # log_var in place of log sigma: half the mean, a quarter of the variance
    assert abs(rows["path-derivative", "mu 1"]["exact_variance"] - 0.1472177778) < 1e-9
    assert abs(rows["score-sampled-kl", "log_var 2"]["exact_variance"] - 134.0501306574 / 4) < 1e-9
    assert abs(rows["score", "log_var 1"]["exact_mean"] + 0.1736 / 2) < 1e-12


def test_linear_vae_is_the_model_it_names(rng):
    known = LinearGaussian(rng.normal(size=(3, 2)), rng.normal(size=3), 0.4)
    V, sigma, x = rng.normal(size=(2, 3)), np.array([0.5, 1.5]), rng.normal(size=(4, 3))
    model, params = linear_vae(known, V, sigma)
    nodes, w = normal_nodes(2, step=0.25)
    expected = known.elbo(x, (x - known.b) @ V.T, np.tile(2 * np.log(sigma), (4, 1)))
    np.testing.assert_allclose(model.elbo(params, x, eps=nodes, weights=w), expected, rtol=1e-9)


@pytest.fixture
def study(rng):
    model, params = small_vae(rng)
    return _EncoderStudy(model, params, binary(rng, 3))


def test_the_encoders_exact_variance_is_that_of_its_weights_gradient(study, rng):
    draws = encoder_draws(study.model, study.params, study.x, rng.standard_normal((50, 3, 2)))
    for name, how in encoder_estimators(draws).items():
        if name == "score-leave-one-out":
            continue
        rows = study.at_nodes.rows(how.estimator, how.kl, how.baseline)  # (K, B, H)
        total = 0.0
        for b in range(3):  # examples have noise of their own, so their variances add
            alone = np.zeros_like(rows)
            alone[:, b] = rows[:, b] - study.eta[b]
            total += study.w @ np.array([np.sum(study._through(dhead) ** 2) for dhead in alone])
        found = np.sum(study.grams * study.covariance(how)) / 9
        np.testing.assert_allclose(found, total, rtol=1e-9)


def test_quadrature_has_converged(study):
    finer = _EncoderStudy(study.model, study.params, study.x)
    nodes, finer.w = normal_nodes(2, step=0.15, far=8.0)
    finer.at_nodes = encoder_draws(study.model, study.params, study.x, nodes)
    finer.f = finer.at_nodes.values()
    finer.eta = np.tensordot(finer.w, finer.at_nodes.rows(), 1)
    np.testing.assert_allclose(study.eta, finer.eta, rtol=1e-8, atol=1e-9)
    for how in encoder_estimators(encoder_draws(study.model, study.params, study.x, nodes[::100])).values():
        # far below the standard errors of a million draws
        np.testing.assert_allclose(study.covariance(how), finer.covariance(how), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_measured_encoder_gradients_lie_within_standard_errors(study, seed):
    rng = np.random.default_rng(seed)
    pilot = encoder_draws(study.model, study.params, study.x, rng.standard_normal((200, 3, 2)))
    for name, how in encoder_estimators(pilot).items():
        for row in study.rows(name, how, 2000, rng):
            assert abs(row["z_mean"]) < FAR, row
            assert abs(row["z_variance"]) < FAR, row


def test_a_learned_baseline_predicts_what_it_was_taught(rng):
    model = VAE.mlp(4, 2, [6], "tanh")
    params = model.init(rng)
    dict(model.named(params))["decoder.2.bias"][:] = [2.0, -2.0, 2.0, -2.0]  # so that f depends on x
    x_train = np.round(rng.random((500, 4)))
    x = np.array([[1.0, 0, 1, 0], [0, 1, 0, 1]])
    c = learned_baseline(model, params, x_train, x, rng)
    nodes, w = normal_nodes(2, step=0.25)
    mean = w @ encoder_draws(model, params, x, nodes).values()
    assert (np.abs(c - mean) < 0.2 * np.ptp(mean)).all()


def test_the_command_prints_draws_and_is_silent_about_nothing(tmp_path, capsys):
    arguments = ["compare", "--problem", "quadratic", "--samples", "10000", "--out", str(tmp_path / "out")]
    assert main([*arguments, "--quiet"]) == 0
    text = capsys.readouterr().out
    assert "exact_variance" in text
    assert "standard errors of the exact ones." in text
    made = {path.stem for path in (tmp_path / "out").iterdir()}
    assert made == {"variance_against_k", "variance_against_dimension", "variance_against_samples"}


def test_the_digits_have_their_own_figures(tmp_path, monkeypatch):
    row = {"problem": "digits", "parameter": "encoder", "variance": 2.0, "exact_variance": 2.1}
    rows = [row | {"estimator": name} for name in ("pathwise", "score")]
    asked = []
    monkeypatch.setattr(
        "minivae.studies.compare_figures.train", lambda *args: asked.append(args[3].estimator) or Trained
    )
    steps = []
    paths = compare_figures.write(tmp_path, rows, ["score", "pathwise"], 0, lambda: steps.append(1))
    assert [Path(path).stem for path in paths] == ["encoder_variance", "learning_curves"]
    assert asked == ["pathwise", "score"]  # those asked for, in the order of the figure
    assert len(steps) <= 10


class Trained:
    history = tuple({"epoch": e, "valid_elbo": -30.0 + e} for e in range(1, 8))


def test_few_draws_give_no_verdict(tmp_path, capsys):
    arguments = ["compare", "--problem", "quadratic", "--samples", "16", "--out", str(tmp_path / "out"), "--quiet"]
    assert main(arguments) == 0
    assert "this is no verdict" in capsys.readouterr().out


def test_what_cannot_be_done_is_refused_before_any_work(tmp_path, capsys):
    base = ["compare", "--samples", "100", "--out", str(tmp_path / "out"), "--quiet"]
    assert main(base) == 1  # enough for the quadratic, and not for the digits
    out, err = capsys.readouterr()
    assert not out
    assert "samples must be at least 800 for a variance on digits" in err
    assert not (tmp_path / "out").exists()


def test_only_what_is_asked_for_is_measured():
    rows = list(compare("quadratic", ["score"], 1000))
    assert {row["estimator"] for row in rows} == {"score"}
    assert abs(rows[0]["variance_ratio"] - 87 / 4) < 1e-9


def test_a_biased_estimator_fails_the_command(tmp_path, monkeypatch):
    right = EncoderDraws.rows
    monkeypatch.setattr(EncoderDraws, "rows", lambda self, *args, **how: right(self, *args, **how) * 1.05)
    arguments = ["compare", "--problem", "linear-gaussian", "--out", str(tmp_path / "out"), "--quiet"]
    monkeypatch.setattr("minivae.studies.compare_figures.write", lambda *_: [])
    assert main(arguments) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--samples", "1"], "samples must be at least 8 for a variance on quadratic, got 1"),
        (["--samples", "0"], "samples must be an integer of at least 1, got 0"),
        (["--samples", "100000000"], "samples must be at most 1 million"),
        (["--estimators", "pathwize"], "Did you mean 'pathwise'"),
        (["--problem", "digit"], "Did you mean 'digits'"),
        (["--estimators", "path-derivative"], "estimators must hold one that quadratic knows"),
        (["--seed", "-1"], "seed must be an integer from 0"),
    ],
)
def test_bad_words_are_refused(words, message, tmp_path, capsys):
    base = ["compare", "--out", str(tmp_path / "out"), "--quiet"]
    base += [] if "--problem" in words else ["--problem", "quadratic"]
    assert main(base + words) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_unknown_option_points_to_the_help_of_its_verb(capsys):
    assert main(["compare", "--estimator", "score"]) == 2
    assert "See 'minivae compare --help'." in capsys.readouterr().err


def test_every_problem_is_explained():
    assert all(text.startswith(f"{name}: ") for name, text in PROBLEMS.items())
