"""The command line, run as a user runs it: tables, JSON, run folders, exit codes, interrupts."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from minivae import cli
from minivae.classical.linear_autoencoder import LinearAutoencoder
from minivae.distributions.families import POSTERIORS
from minivae.distributions.likelihoods import Gaussian
from minivae.models.contraction import Contraction
from minivae.models.corruptions import GaussianNoise, MaskingNoise
from minivae.models.penalties import KLSparsity, L1Sparsity
from minivae.models.vae import VAE
from minivae.studies import results, run_figures
from minivae.training.loop import train as real_train
from minivae.training.storage import load_model
from tests.support import needs_jit

PNG = b"\x89PNG\r\n\x1a\n"
SMALL = ["--epochs", "2", "--hidden", "8", "--batch-size", "512"]
FIGURES = ["latent_codes.png", "latent_plane.png", "learning_curves.png", "reconstructions.png", "samples.png"]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def run_json(capsys, *words):
    """Run a command with --json; return the exit code and the one object on standard output."""
    code = cli.main([*words, "--json"])
    return code, json.loads(capsys.readouterr().out)


@pytest.fixture
def trained(capsys):
    assert cli.main(["train", "--data", "digits-threshold", *SMALL, "--out", "run"]) == 0
    capsys.readouterr()
    return Path("run")


def test_train_leaves_a_run_folder_and_prints_where(capsys):
    assert cli.main(["train", *SMALL]) == 0
    printed = capsys.readouterr()
    folder = Path("runs/digits-vae-001")
    assert sorted(p.name for p in folder.iterdir()) == [
        *["checkpoint.npz", "figures", "history.csv", "model.npz", "run.json", "summary.json"]
    ]
    assert sorted(p.name for p in (folder / "figures").iterdir()) == FIGURES
    assert all(p.read_bytes()[:8] == PNG for p in (folder / "figures").iterdir())
    rows = list(csv.DictReader((folder / "history.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert printed.out.splitlines()[-1].startswith(f"figures  {folder / 'figures'}{os.sep}: learning_curves.png")
    assert "elbo" in printed.out
    assert "the ELBO is a lower bound on log p(x)\n" in printed.out
    assert printed.err == ""  # no progress bar where there is no terminal
    cli.main(["train", *SMALL])
    assert Path("runs/digits-vae-002").is_dir()


def test_summary_says_results_settings_and_versions(trained):
    summary = json.loads((trained / "summary.json").read_text())
    test = {row["quantity"]: row["value"] for row in summary["test"]}
    assert abs(test["elbo"] - (test["log_lik"] - test["kl"])) < 1e-4
    assert test["elbo"] < 0 < test["kl"]
    assert summary["settings"]["batch_size"] == 512
    assert summary["data"] == "digits-threshold"
    assert summary["meaning"] == "the ELBO is a lower bound on log p(x)"
    assert {"python", "numpy", "numba", "minivae"} <= set(summary["versions"])
    assert summary["examples_per_second"] > 0
    model, params, _ = load_model(trained / "model.npz")
    assert params.shape == (model.n_params,)
    assert params.dtype == np.float32


def test_train_json_is_one_object(capsys):
    code, result = run_json(capsys, "train", *SMALL, "--out", "run")
    assert code == 0
    assert (result["command"], result["ok"]) == ("train", True)
    assert [row["quantity"] for row in result["rows"]] == ["elbo", "log_lik", "kl"]
    assert result["settings"]["run"] == "run"
    assert all(Path(p).is_file() for p in result["settings"]["figures"])


POLITE = (signal.SIGINT, signal.SIGTERM)  # signals that may be answered
QUICK = [
    ["--model", "ae", "--data", "digits-grey", "--likelihood", "gaussian"],
    ["--model", "denoising", "--corruption", "salt-and-pepper"],
    ["--model", "sparse", "--sparsity", "l1", "--latent", "5"],
    ["--likelihood", "gaussian-learned", "--data", "digits-grey", "--latent", "1"],
    ["--optimizer", "rmsprop", "--milestones", "1", "--decay", "0.5", "--dtype", "float64", "--activation", "elu"],
    ["--posterior", "iaf", "--latent", "1", "--estimator", "path-derivative", "--dtype", "float64"],
    ["--posterior", "bits", "--latent", "4", "--bound", "iwae"],
    ["--hidden"],
]
LONG = [
    ["--model", "ae"],
    ["--model", "denoising"],
    ["--model", "denoising", "--corruption", "gaussian", "--noise", "0.5", "--data", "digits-grey"],
    ["--model", "sparse", "--latent", "5", "--target", "0.1", "--weight", "3"],
    ["--model", "contractive", "--weight", "0.01", "--activation", "softplus"],
    ["--latent", "5", "--beta", "4", "--draws", "3", "--kl", "sampled", "--clip-norm", "1"],
    ["--posterior", "fixed", "--variance", "0.1", "--likelihood", "gaussian", "--data", "digits-grey"],
    ["--bound", "iwae", "--draws", "3"],
    ["--estimator", "iwae-dreg"],
    ["--bound", "elbo"],
    *(["--posterior", name, "--latent", "3"] for name in POSTERIORS),
    ["--posterior", "full", "--kl", "sampled", "--estimator", "score-leave-one-out"],
]


@pytest.mark.parametrize(
    "words", [*QUICK, *(pytest.param(words, marks=pytest.mark.long) for words in LONG)], ids=" ".join
)
def test_train_with_other_settings(words, capsys):
    code, result = run_json(capsys, "train", *SMALL, *words, "--out", "run")
    assert code == 0
    assert all(np.isfinite(row["value"]) for row in result["rows"])
    evaluated, _ = run_json(capsys, "evaluate", "run", "--draws", "3", "--examples", "20")
    sampled, files = run_json(capsys, "sample", "run", "--out", "drawn")
    assert (evaluated, sampled) == (0, 0)
    assert all(Path(row["file"]).is_file() for row in files["rows"])


def test_the_bound_is_kept_in_the_run_and_its_numbers_are_named(capsys):
    words = ["train", *SMALL, "--estimator", "iwae-dreg", "--draws", "4", "--out", "run"]
    assert run_json(capsys, *words)[0] == 0
    settings = json.loads(Path("run/run.json").read_text())["settings"]
    assert (settings["objective"]["class"], settings["objective"]["estimator"]) == ("KSampleBound", "iwae-dreg")
    assert settings["n_draws"] == 4
    columns = Path("run/history.csv").read_text().splitlines()[0].split(",")
    assert {"train_iwae_bound", "train_elbo", "valid_loss", "valid_iwae_bound", "valid_elbo"} <= set(columns)


@pytest.mark.long
def test_evaluate_anneals(capsys):
    assert run_json(capsys, "train", *SMALL, "--out", "run")[0] == 0
    code, result = run_json(capsys, "evaluate", "run", "--draws", "200", "--examples", "10", "--ais", "50")
    assert (code, result["settings"]["ais"]) == (0, 50)
    rows = {row["quantity"]: row for row in result["rows"]}
    annealed, drawn = rows["log p(x) annealed, N=50, 16 chains"], rows["log p(x) estimate, K=200"]
    assert abs(annealed["value"] - drawn["value"]) < 0.5
    assert 0.5 < rows["accepted steps, annealed"]["value"] <= 1
    assert cli.main(["evaluate", "run", "--ais", "0"]) == 1
    assert "ais must be an integer of at least 1, got 0" in capsys.readouterr().err
    assert run_json(capsys, "train", *SMALL, "--model", "ae", "--out", "plain")[0] == 0
    assert cli.main(["evaluate", "plain", "--ais", "5"]) == 1
    assert (
        "--ais is for a model that has a p(x), as --model vae has, got it with Autoencoder" in capsys.readouterr().err
    )


@pytest.mark.long
@pytest.mark.parametrize("name", POSTERIORS)
def test_a_run_of_every_posterior_goes_on_where_it_stopped(name):
    words = ["--data", "digits-threshold", "--posterior", name, *SMALL[2:], "--quiet"]
    assert cli.main(["train", *words, "--epochs", "1", "--out", "run"]) == 0
    assert cli.main(["train", "--resume", "run", "--epochs", "2", "--quiet"]) == 0
    assert cli.main(["train", *words, "--epochs", "2", "--out", "whole"]) == 0
    (model, params, _), (other, others, _) = (load_model(Path(run) / "model.npz") for run in ("run", "whole"))
    assert model == other
    assert type(model.posterior) is type(POSTERIORS[name](2))
    np.testing.assert_array_equal(params, others)


def test_the_help_says_what_the_posteriors_are(capsys):
    with pytest.raises(SystemExit):
        cli.main(["train", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert all(name in text for name in POSTERIORS)
    assert "flows" in text


def test_grey_data_are_labelled_a_cross_entropy_bound(capsys):
    assert cli.main(["train", "--data", "digits-grey", *SMALL, "--out", "run"]) == 0
    printed = capsys.readouterr()
    assert printed.err.count("note: x") == 1  # said once
    assert "with a Bernoulli likelihood the ELBO is a cross-entropy bound" in printed.err
    assert "the ELBO is a cross-entropy bound" in printed.out
    assert "cross-entropy bound" in json.loads(Path("run/summary.json").read_text())["meaning"]


def test_training_on_files_of_ones_own(capsys, rng):
    np.save("images.npy", rng.integers(0, 256, (60, 7, 9)).astype(np.uint8))
    np.savez("table.npz", x=rng.normal(size=(60, 3)) * [1, 10, 100], y=np.arange(60) % 2)
    for name, figures in (("images.npy", FIGURES), ("table.npz", [f for f in FIGURES if "plane" not in f])):
        code, result = run_json(capsys, "train", "--data", name, *SMALL[:4], "--batch-size", "16", "--out", name[:5])
        assert code == 0
        assert sorted(Path(p).name for p in result["settings"]["figures"]) == figures
        assert run_json(capsys, "sample", name[:5], "--out", f"{name}-drawn")[0] == 0


LARGE = [pytest.param(name, marks=[needs_jit, pytest.mark.long]) for name in ("mnist-dynamic", "mnist-fixed")]


@pytest.mark.parametrize("name", [*LARGE, "frey", "iris", "wine"])
def test_training_on_named_sets(name, data_folder, capsys):  # noqa: ARG001
    words = ["--epochs", "1", "--hidden", "8", "--batch-size", "1024" if name.startswith("mnist") else "16"]
    code, result = run_json(capsys, "train", "--data", name, *words, "--out", "run")
    assert code == 0
    assert result["settings"]["data"] == name


def test_evaluate_prints_bounds_in_order(trained, capsys):
    code, result = run_json(capsys, "evaluate", str(trained), "--draws", "200", "--examples", "100")
    assert code == 0
    values = {row["quantity"]: row["value"] for row in result["rows"]}
    assert values["elbo"] < values["IWAE bound, K=5"] < values["IWAE bound, K=50"] < 0
    assert values["log p(x) estimate, K=200"] > values["IWAE bound, K=5"]
    assert 1 <= values["effective sample size, smallest"] <= values["effective sample size, mean"] <= 200
    # two estimates of the same KL: the latents' terms sum to it
    assert abs(values["KL of latent 1"] + values["KL of latent 2"] - values["kl"]) < 1e-3
    assert values["active latents"] in (0, 1, 2)
    assert cli.main(["evaluate", str(trained), "--draws", "20", "--examples", "10"]) == 0
    assert "10 examples of digits-threshold" in capsys.readouterr().out


def test_another_file_is_scaled_as_the_run_was_and_read_whole(capsys, rng):
    table = rng.normal(size=(60, 3)) * [1, 10, 100]
    np.save("a.npy", table)
    np.save("b.npy", table + 10 * table.std(0))
    np.save("d.npy", 1000 * table + 77)
    np.save("c.npy", table[:7])
    run_json(capsys, "train", "--data", "a.npy", *SMALL[:4], "--batch-size", "16", "--out", "run")
    rows = {}
    for name, n in (("a.npy", 60), ("b.npy", 60), ("c.npy", 7)):
        code, result = run_json(capsys, "evaluate", "run", "--data", name, "--draws", "5")
        assert (code, result["settings"]["n_examples"]) == (0, n)
        assert "x standardised by its training rows; per original unit add -" in result["settings"]["meaning"]
        rows[name] = result["rows"][0]["value"]
    assert rows["b.npy"] < rows["a.npy"] - 10  # outside what the model has seen
    code, result = run_json(capsys, "evaluate", "run", "--data", "d.npy")
    assert code == 1
    assert "examples is not finite. They lie far from the data" in result["error"]
    run_json(capsys, "sample", "run", "-n", "400", "--out", "drawn")
    spread = np.load("drawn/samples.npy").std(0)
    assert spread[0] < spread[1] < spread[2]  # in the units of the data


def test_grey_data_have_no_row_that_claims_log_p(capsys):
    run_json(capsys, "train", "--data", "digits-grey", *SMALL, "--out", "run")
    _, result = run_json(capsys, "evaluate", "run", "--draws", "10", "--examples", "10")
    names = [row["quantity"] for row in result["rows"]]
    assert not [name for name in names if "log p" in name or "IWAE" in name]
    assert "cross-entropy K-sample bound, K=10" in names


@pytest.mark.parametrize("n", ["0", "-5"])
def test_number_of_examples_must_be_positive(n, trained, capsys):
    assert cli.main(["evaluate", str(trained), "--examples", n]) == 1
    assert f"examples must be an integer of at least 1, got {n}" in capsys.readouterr().err


def test_fewer_epochs_than_done_are_refused_and_change_nothing(trained, capsys):
    before = (trained / "run.json").read_text()
    assert cli.main(["train", "--resume", str(trained), "--epochs", "1"]) == 1
    assert "epochs must be at least the 2 that the checkpoint holds, got 1" in capsys.readouterr().err
    assert (trained / "run.json").read_text() == before


def test_sample_writes_figures_and_draws(trained, capsys):
    code, result = run_json(capsys, "sample", str(trained), "-n", "30")
    names = [Path(row["file"]).name for row in result["rows"]]
    assert code == 0
    assert {"samples.png", "reconstructions.png", "interpolations.png", "latent_plane.png", "samples.npy"} <= set(names)
    draws = np.load(Path(result["rows"][0]["file"]).parent / "samples.npy")
    assert draws.shape == (30, 64)
    assert set(np.unique(draws)) == {0.0, 1.0}


DRAWN = ["reconstructions.png", "interpolations.png", "latent_codes.png"]
OF_VAE = ["interpolations_spherical.png", "latent_plane.png", "near.png", "samples.png", "samples.npy"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--latent", "3"], [*DRAWN, *OF_VAE, "attribute.png"]),
        pytest.param(
            ["--latent", "1"],
            [*DRAWN, "attribute.png", "near.png", "samples.png", "samples.npy"],
            marks=pytest.mark.long,
        ),
        pytest.param(["--posterior", "fixed"], [*DRAWN, *OF_VAE, "attribute.png"], marks=pytest.mark.long),
        (["--posterior", "bits", "--latent", "4"], [*DRAWN, "near.png", "samples.png", "samples.npy"]),
        pytest.param(["--model", "ae"], [*DRAWN, "attribute.png"], marks=pytest.mark.long),
    ],
    ids=" ".join,
)
def test_sample_draws_what_has_a_meaning_for_the_model(words, expected, capsys):
    run_json(capsys, "train", "--data", "digits-threshold", *SMALL, *words, "--out", "run")
    code, result = run_json(capsys, "sample", "run", "--out", "drawn")
    assert code == 0
    assert sorted(Path(row["file"]).name for row in result["rows"]) == sorted(expected)
    assert all(p.read_bytes()[:8] == PNG and p.stat().st_size > 5000 for p in Path("drawn").glob("*.png"))


def test_sample_takes_its_options(trained, capsys):
    words = ["--near", "3", "--draws", "4", "--sampled", "--path", "spherical", "--steps", "6"]
    code, result = run_json(capsys, "sample", str(trained), *words, "--attribute", "3", "8", "--strength", "1.5")
    names = [Path(row["file"]).name for row in result["rows"]]
    assert code == 0
    assert "interpolations.png" not in names
    assert {"interpolations_spherical.png", "near.png", "attribute.png"} <= set(names)
    settings = result["settings"]
    assert (settings["labels"], settings["paths"], settings["strength"]) == ([3, 8], ["spherical"], 1.5)
    assert [row["n"] for row in settings["attribute"]] == [183] * 4 + [174] * 3
    assert cli.main(["sample", str(trained), "--attribute", "3", "8"]) == 0
    assert "in how many test images label 8 is found, in place of label 3" in capsys.readouterr().out


@pytest.mark.usefixtures("trained")
def test_explore_writes_one_page_or_says_why_not(capsys, monkeypatch):
    monkeypatch.setattr(results, "figures", lambda *_: [])
    code, result = run_json(capsys, "explore", "run")
    page = Path("run/explorer.html").read_text()
    assert (code, result["rows"][0]["bytes"]) == (0, len(page.encode()))
    assert "<title>run</title>" in page
    digits = ["train", "--data", "digits-threshold", *SMALL, "--epochs", "1"]
    assert cli.main([*digits, "--beta", "3", "--out", "other"]) == 0
    assert cli.main([*digits, "--beta", "2", "--posterior", "bits", "--out", "bits"]) == 0
    np.save("x.npy", np.eye(20, dtype=np.float32))
    assert cli.main(["train", "--data", "x.npy", "--latent", "1", *SMALL, "--out", "table"]) == 0
    capsys.readouterr()
    assert cli.main(["explore", "run", "--beta-runs", "other", "--out", "both.html"]) == 0
    assert "needs no network" in capsys.readouterr().out
    assert '"beta":3.0' in Path("both.html").read_text()
    Path("other/model.npz").write_bytes(Path("other/model.npz").read_bytes()[:200])
    before = sorted(Path().rglob("*"))
    for words, message in {
        ("--out", "page"): "out must end in .html, got 'page'",
        ("--out", "none/page.html"): "out must be in a folder that is there, got none/page.html",
        ("--beta-runs", "run"): "each with a beta of its own, got beta 1, 1",
        ("--beta-runs", "table"): "beta-runs must be on the data of the run, digits-threshold, got table",
        ("--beta-runs", "bits"): "posterior must be one that the page can draw",
        ("--beta-runs", "other"): "path must name an intact model file",
    }.items():
        code, result = run_json(capsys, "explore", "run", *words)
        assert (code, message in result["error"]) == (1, True), result["error"]
    assert sorted(Path().rglob("*")) == before


@pytest.mark.long
def test_sample_counts_strokes_with_their_own_detector(capsys):
    run_json(capsys, "train", "--data", "digits-stroke", *SMALL, "--out", "run")
    _, result = run_json(capsys, "sample", "run")
    rows = result["settings"]["attribute"]
    assert result["settings"]["labels"] == [0, 1]
    assert (rows[0]["found"], rows[4]["found"]) == (0, rows[4]["n"])


@pytest.mark.parametrize(
    ("train", "words", "message"),
    [
        (["--model", "ae"], ["--near", "3"], "--near is for a model whose code is a distribution q(z|x), got a run of"),
        (["--model", "ae"], ["--sampled"], "--sampled is for a model whose code is a distribution"),
        (["--model", "ae"], ["--path", "spherical"], "path must be straight where z has no prior on the real line"),
        (["--posterior", "bits"], ["--path", "spherical"], "path must be straight where z has no prior on the real"),
        (
            ["--posterior", "bits"],
            ["--attribute", "0", "1"],
            "model must have real codes to add a direction to",
        ),
        (["--latent", "1"], ["--path", "spherical"], "path must be straight where z has one dimension"),
        ([], ["--path", "round"], "path must be one of straight, spherical; got 'round'"),
        ([], ["--attribute", "0", "12"], "attribute must name labels of digits-threshold, 0, 1, 2"),
        ([], ["--steps", "1"], "steps must be at least 2, got 1"),
        ([], ["--near", "101"], "near must be at most 100 to be seen in a figure, got 101"),
        ([], ["--draws", "0"], "draws must be an integer of at least 1, got 0"),
        ([], ["--strength", "inf"], "strength must be a finite number"),
    ],
)
def test_what_sample_cannot_draw_is_refused_before_anything_is_made(train, words, message, capsys):
    run_json(capsys, "train", "--data", "digits-threshold", *SMALL[2:], "--epochs", "1", *train, "--out", "run")
    code, result = run_json(capsys, "sample", "run", *words, "--out", "drawn")
    assert code == 1
    assert message in result["error"]
    assert not Path("drawn").exists()


def test_tables_have_no_pictures_to_ask_for(capsys, rng):
    np.savez("table.npz", x=rng.normal(size=(60, 3)), y=np.arange(60) % 2)
    run_json(capsys, "train", "--data", "table.npz", *SMALL[:4], "--batch-size", "16", "--out", "run")
    assert run_json(capsys, "sample", "run")[0] == 0
    for words in (["--near", "3"], ["--sampled"], ["--attribute", "0", "1"], ["--path", "straight"]):
        code, result = run_json(capsys, "sample", "run", *words)
        assert code == 1
        assert f"{words[0]} is for images, got a run on table.npz, whose rows are none" in result["error"]


def test_samples_and_their_figure_are_of_the_same_codes():
    # with next to no variance in p(x|z), a draw is the mean at its code
    model = VAE.mlp(4, 2, [8], likelihood=Gaussian(1e-12))
    params = model.init(np.random.default_rng(0))
    draws, means = (run_figures.draw_samples(model, params, 50, 3, mean=mean) for mean in (False, True))
    np.testing.assert_allclose(draws, means, atol=1e-5)
    assert means.std() > 0.1


@pytest.mark.long
def test_autoencoders_of_each_kind_report_their_own_terms(capsys):
    quantities = {
        "ae": [],
        "denoising": ["log_lik, corrupted input"],
        "sparse": ["penalty"],
        "contractive": ["penalty"],
    }
    for kind, own in quantities.items():
        code, result = run_json(capsys, "train", *SMALL, "--model", kind, "--out", kind)
        assert code == 0
        assert [row["quantity"] for row in result["rows"]] == ["log_lik", *own, "squared error"]
        figures = {Path(p).name for p in result["settings"]["figures"]}
        assert {"learning_curves.png", "reconstructions.png", "receptive_fields.png"} <= figures
        model, _, _ = load_model(Path(kind) / "model.npz")
        assert (model.corruption is not None) == (kind == "denoising")
        assert (model.penalty is not None) == (kind in ("sparse", "contractive"))
    assert model.decoder.n_in == 2
    assert load_model("sparse/model.npz")[0].decoder.n_in == 32
    assert cli.main(["train", *SMALL, "--model", "denoising", "--out", "again"]) == 0
    assert "Bernoulli(); MaskingNoise(fraction=0.3)\ndata digits-dynamic" in capsys.readouterr().out


@needs_jit
def test_pca_compares_and_draws(capsys):
    code, result = run_json(capsys, "pca", "--latent", "3", "--out", "found")
    assert (code, result["ok"]) == (0, True)
    assert all(row["ok"] and row["difference"] <= row["tolerance"] for row in result["rows"])
    components = result["settings"]["components"]
    assert [row["component"] for row in components] == [1, 2, 3]
    assert all(abs(row["l2_decoder_cosine"] - 1) < 1e-9 for row in components)
    assert any(row["raw_decoder_cosine"] < 0.99 for row in components)
    assert all(abs(row["l2_shrinkage"] - row["l2_shrinkage_exact"]) < 1e-6 for row in components)
    names = ["loss.png", "components.png", "reconstructions.png"]
    assert [Path(p).name for p in result["settings"]["figures"]] == names
    assert all(Path(p).read_bytes()[:8] == PNG for p in result["settings"]["figures"])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["denoising"], {"corruption": MaskingNoise()}),
        (["denoising", "--corruption", "gaussian"], {"corruption": GaussianNoise()}),
        (["denoising", "--noise", "0.2"], {"corruption": MaskingNoise(0.2)}),
        (["sparse"], {"penalty": KLSparsity()}),
        (["sparse", "--sparsity", "l1"], {"penalty": L1Sparsity()}),
        (["sparse", "--target", "0.2", "--weight", "2"], {"penalty": KLSparsity(0.2, 2.0)}),
        (["contractive"], {"penalty": Contraction()}),
    ],
)
def test_corruptions_and_penalties_have_the_defaults_of_their_classes(words, expected, capsys):
    assert cli.main(["train", *SMALL, "--epochs", "1", "--out", "run", "--quiet", "--json", "--model", *words]) == 0
    capsys.readouterr()
    model = load_model("run/model.npz")[0]
    assert {name: getattr(model, name) for name in expected} == expected


def test_pca_of_a_table_and_of_a_wrong_optimum(capsys, rng, monkeypatch):
    np.save("table.npy", rng.normal(size=(60, 4)) @ rng.normal(size=(4, 4)))
    code, result = run_json(capsys, "pca", "--data", "table.npy", "--latent", "2", "--out", "a")
    assert code == 0
    assert [Path(p).name for p in result["settings"]["figures"]] == ["loss.png"]
    assert cli.main(["pca", "--data", "table.npy", "--latent", "2", "--seed", "3"]) == 0
    printed = capsys.readouterr()
    assert "PCA and linear autoencoders, 2 latents; table.npy: " in printed.out
    assert "figures  runs/table-pca-001" in printed.out
    assert printed.err == ""
    right = LinearAutoencoder.optimum
    monkeypatch.setattr(LinearAutoencoder, "optimum", lambda *a: (1.001 * right(*a)[0], right(*a)[1]))
    code, result = run_json(capsys, "pca", "--data", "table.npy", "--latent", "2", "--out", "b")
    assert (code, result["ok"]) == (1, False)
    assert "linear AE by Adam, loss" in [row["check"] for row in result["rows"] if not row["ok"]]


def test_info_tells_versions_blas_and_folders(capsys, monkeypatch):
    monkeypatch.setenv("MINIVAE_DATA", "/some/where")
    code, result = run_json(capsys, "info")
    rows = {row["name"]: row["value"] for row in result["rows"]}
    assert code == 0
    assert rows["numpy"] == np.__version__
    assert "threads" in rows["BLAS"]
    assert "/some/where (not there yet)" in [row["value"] for row in result["rows"]]
    monkeypatch.delenv("MINIVAE_DATA")
    assert cli.main(["info"]) == 0
    assert "set MINIVAE_DATA" in capsys.readouterr().out


# ------------------------------------------------------------------------------------ errors and exit codes


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["train", "--data", "digit"], 1, "got 'digit'. Did you mean 'digits'"),
        (["train", "--data", "none.npy"], 1, "got none.npy, which does not exist"),
        (["train", "--latent", "0"], 1, "n_latent must be an integer of at least 1, got 0"),
        (["train", "--hidden", "0"], 1, "n_hidden must be an integer of at least 1, got 0"),
        (["train", "--beta", "-1"], 1, "beta must be a finite number at least 0, got -1.0"),
        (["train", "--learning-rate", "0"], 1, "learning_rate must be a finite number greater than 0, got 0.0"),
        (["train", "--likelihood", "bernouli"], 1, "Did you mean 'bernoulli'"),
        (["train", "--model", "va"], 1, "Did you mean 'vae'"),
        (["train", "--optimizer", "adma"], 1, "Did you mean 'adam'"),
        (["train", "--data", "iris-", "--seed", "-1"], 1, "Did you mean 'iris'"),
        (["train", "--epochs", "many"], 2, "argument --epochs: invalid int value: 'many'"),
        (["train", "--image-shape", "8"], 2, "must be HEIGHTxWIDTH, got '8'"),
        (["fly"], 2, "invalid choice: 'fly'"),
        ([], 2, "the following arguments are required"),
        (["evaluate", "nowhere"], 1, "got nowhere, which has no run.json"),
        (["train", "--resume", "nowhere"], 1, "got nowhere, which has no run.json"),
        (["train", "--resume", ""], 1, "which has no run.json"),
        (["train", "--seed", "-1"], 1, "seed must be an integer from 0"),
        (["gradcheck", "--seed", "-1"], 1, "seed must be an integer from 0"),
        (["gradcheck", "--js"], 2, "unrecognized arguments: --js"),
        (
            ["train", "--model", "ae", "--beta", "4"],
            1,
            "--beta is for a model whose code is a distribution, as that of --model vae is, got it with --model ae",
        ),
        (
            ["train", "--bound", "iwae", "--beta", "2"],
            1,
            "--beta is for --bound elbo, got it with --bound iwae. Drop it.",
        ),
        (["train", "--estimator", "iwae", "--kl", "sampled"], 1, "--kl is for --bound elbo, got it with --bound iwae."),
        (["train", "--bound", "elbow"], 1, "bound must be one of elbo, iwae; got 'elbow'. Did you mean 'elbo'?"),
        (["train", "--bound", "elbo", "--estimator", "iwae"], 1, "or --bound iwae."),
        (["train", "--bound", "iwae", "--draws", "0"], 1, "n_draws must be an integer of at least 1, got 0"),
        (["train", "--noise", "0.1"], 1, "--noise is for --model denoising, got it with --model vae"),
        (["train", "--model", "ae", "--weight", "1"], 1, "--weight is for --model sparse or contractive, got it with"),
        (
            ["train", "--model", "denoising", "--noise", "1"],
            1,
            "fraction must be a finite number at least 0 and below 1",
        ),
        (["train", "--model", "denoising", "--corruption", "mask"], 1, "Did you mean 'masking'"),
        (["train", "--model", "sparse", "--sparsity", "l2"], 1, "sparsity must be one of kl, l1; got 'l2'"),
        (["train", "--variance", "0"], 1, "variance must be a finite number greater than 0, got 0"),
        (["train", "--posterior", "bits", "--variance", "1"], 1, "variance must be given with posterior='fixed' only"),
        (["train", "--model", "ae", "--variance", "1"], 1, "--variance is for --model vae, got it with --model ae"),
        (["train", "--model", "sparse", "--target", "1"], 1, "target must be a finite number greater than 0"),
        (["pca", "--latent", "0"], 1, "latent must be an integer of at least 1, got 0"),
        (["pca", "--latent", "64"], 1, "latent must be below the rank of the centred data, 62, got 64"),
        (["pca", "--data", "digit"], 1, "Did you mean 'digits'"),
        (["pca", "--seed", "-1"], 1, "seed must be an integer from 0"),
        (["train", "--image-shape", "8x8"], 1, "--image-shape is for a file, got it with digits"),
        (["train", "--resume", "nowhere", "--beta", "2"], 1, "--resume keeps a run's settings, got --beta as well"),
    ],
)
def test_errors_name_the_remedy_and_exit_non_zero(words, code, message, capsys):
    assert cli.main(words) == code
    printed = capsys.readouterr()
    assert message in printed.err
    assert "Traceback" not in printed.err
    assert printed.out == ""
    if words:
        assert cli.main([*words, "--json"]) == code
        result = json.loads(capsys.readouterr().out)
        assert result["ok"] is False
        assert message in result["error"]
    assert not Path("runs").exists()  # refused before anything was made


def test_a_model_too_large_for_the_machine_is_refused(capsys, monkeypatch):
    code, result = run_json(capsys, "train", "--latent", "200000000000")
    assert code == 1
    assert "n_latent must be at most 1,000,000,000, got 200000000000" in result["error"]
    code, result = run_json(capsys, "train", "--latent", "400000000")
    assert code == 1
    assert "n_in and n_out must leave arrays that fit in memory, got (128, 800000000)" in result["error"]

    def out_of_memory(*_):
        raise MemoryError("Unable to allocate 149. GiB")

    monkeypatch.setattr(VAE, "init", out_of_memory)
    code, result = run_json(capsys, "train", *SMALL)
    assert code == 1
    assert "this needs more memory than there is" in result["error"]
    assert "Lower --latent, --hidden, --draws or -n." in result["error"]


def test_an_absurd_learning_rate_is_stopped_by_the_guard(capsys):
    words = ["train", *SMALL, "--epochs", "50", "--optimizer", "sgd", "--learning-rate", "1e20"]
    with np.errstate(all="ignore"):
        assert cli.main(words) == 1
    message = capsys.readouterr().err
    assert "training stopped at step" in message
    assert "a lower learning_rate (1e+20 in this epoch)" in message


def test_a_folder_that_cannot_be_used_is_refused_before_training(trained, capsys, monkeypatch):
    monkeypatch.setattr("minivae.cli.train.train", lambda *_, **__: pytest.fail("trained before looking at the folder"))
    Path("file").write_text("")
    for out in (str(trained), "file", "file/below"):
        assert cli.main(["train", "--out", out]) == 1
        assert "out must be a" in capsys.readouterr().err
    monkeypatch.setattr("tempfile.TemporaryFile", _refuse)
    assert cli.main(["train", "--out", "locked"]) == 1
    assert "out must be a folder that can be written to, got locked (" in capsys.readouterr().err


def _refuse(*_, **__):
    raise PermissionError(13, "Permission denied")


@pytest.mark.parametrize("name", ["model.npz", "run.json"])
def test_a_damaged_run_is_named(name, trained, capsys):
    path = trained / name
    path.write_bytes(path.read_bytes()[:100])
    for verb in ("evaluate", "sample"):
        assert cli.main([verb, str(trained)]) == 1
        assert "damaged" in capsys.readouterr().err


def test_a_run_without_its_checkpoint_is_not_overwritten(trained, capsys):
    before = (trained / "model.npz").read_bytes()
    (trained / "checkpoint.npz").unlink()
    assert cli.main(["train", "--resume", str(trained), "--epochs", "5"]) == 1
    assert "run must hold the checkpoint.npz to go on from" in capsys.readouterr().err
    assert (trained / "model.npz").read_bytes() == before


def test_a_damaged_checkpoint_is_named(trained, capsys):
    path = trained / "checkpoint.npz"
    path.write_bytes(path.read_bytes()[:-50])
    assert cli.main(["train", "--resume", str(trained)]) == 1
    assert "must name an intact checkpoint file" in capsys.readouterr().err


def test_other_data_are_named_or_suggested(trained, capsys):
    assert cli.main(["evaluate", str(trained), "--data", "digitz"]) == 1
    assert "Did you mean 'digits'" in capsys.readouterr().err
    assert cli.main(["sample", str(trained), "-n", "0", "--out", "none"]) == 1
    assert "n must be an integer of at least 1, got 0" in capsys.readouterr().err
    assert not Path("none").exists()


def test_a_run_on_a_file_can_be_evaluated_from_elsewhere(capsys, rng, monkeypatch):
    np.save("a.npy", rng.normal(size=(60, 3)))
    run_json(capsys, "train", "--data", "a.npy", *SMALL[:4], "--batch-size", "16", "--out", "run")
    Path("below").mkdir()
    monkeypatch.chdir("below")
    assert run_json(capsys, "evaluate", "../run", "--draws", "3")[0] == 0


def test_a_model_of_another_run_is_refused(trained, capsys):
    cli.main(["train", "--data", "digits-threshold", *SMALL, "--latent", "3", "--out", "other"])
    (trained / "model.npz").write_bytes(Path("other/model.npz").read_bytes())
    assert cli.main(["evaluate", str(trained)]) == 1
    assert "must hold the model that run.json describes" in capsys.readouterr().err


# ------------------------------------------------------------------------------------ interrupts and resuming


def history(folder):
    return (Path(folder) / "history.csv").read_text()


def parameters(folder):
    return load_model(Path(folder) / "model.npz")[1]


def test_ctrl_c_writes_what_there_is_and_says_how_to_go_on(capsys, monkeypatch):
    def interrupted(*args, **kwargs):
        def stop(row):
            if row["epoch"] == 2:
                raise KeyboardInterrupt

        return real_train(*args, **kwargs, on_epoch=stop)

    words = ["train", "--data", "digits-threshold", "--hidden", "8", "--batch-size", "512"]
    with monkeypatch.context() as patch:
        patch.setattr("minivae.cli.train.train", interrupted)
        assert cli.main([*words, "--epochs", "4", "--out", "run"]) == 130
    printed = capsys.readouterr().out
    assert "stopped by Ctrl-C after 2 epochs" in printed
    assert "minivae train --resume run" in printed
    assert len(history("run").splitlines()) == 3
    assert cli.main(["train", "--resume", "run"]) == 0
    assert cli.main([*words, "--epochs", "4", "--out", "whole"]) == 0
    assert history("run") == history("whole")
    np.testing.assert_array_equal(parameters("run"), parameters("whole"))


def test_resume_may_lengthen_a_run(trained, capsys):
    assert cli.main(["train", "--resume", str(trained), "--epochs", "4"]) == 0
    assert cli.main(["train", "--data", "digits-threshold", *SMALL, "--epochs", "4", "--out", "whole"]) == 0
    assert history(trained) == history("whole")
    assert cli.main(["evaluate", str(trained), "--draws", "5", "--examples", "5"]) == 0
    capsys.readouterr()


def spawn(*words):
    return subprocess.Popen(
        [sys.executable, "-m", "minivae", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.usefixtures("heeded_interrupts")
@pytest.mark.parametrize("how", [signal.SIGKILL, *(pytest.param(how, marks=pytest.mark.long) for how in POLITE)])
def test_a_killed_run_goes_on_as_if_nothing_had_happened(how):
    words = ["--data", "digits-threshold", "--hidden", "8", "--batch-size", "64", "--epochs"]
    process = spawn("train", *words, "100000", "--out", "run")
    deadline = time.monotonic() + 120
    while not Path("run/run.json").is_file() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.5)
    process.send_signal(how)
    output, errors = process.communicate(timeout=120)
    codes = {signal.SIGKILL: -signal.SIGKILL, signal.SIGINT: 130, signal.SIGTERM: 143}
    assert process.returncode == codes[how], output + errors
    assert "Traceback" not in errors
    done = 3
    if Path("run/checkpoint.npz").is_file():
        with np.load("run/checkpoint.npz") as archive:
            done = len(archive["history"])
    assert cli.main(["train", "--resume", "run", "--epochs", str(done + 2)]) == 0
    assert cli.main(["train", *words, str(done + 2), "--out", "whole"]) == 0
    assert history("run") == history("whole")
    np.testing.assert_array_equal(parameters("run"), parameters("whole"))


def test_module_and_command_are_one_and_help_names_every_verb():
    process = spawn("--help")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    for verb in ("train", "evaluate", "sample", "pca", "infer", "gradcheck", "info"):
        assert verb in output
