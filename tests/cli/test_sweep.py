"""minivae sweep: words, lists and folders make the trials; what comes of them is a table, a CSV and figures."""

import csv
import json
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from minivae import cli
from minivae.cli.sweep import _values
from minivae.training import trials
from minivae.training.loop import train as real_train
from minivae.training.storage import load_model

WORDS = ["data=x.npy", "latent=1", "epochs=2", "hidden=3", "batch-size=16"]
HERE = ["--workers", "1", "--quiet"]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", (np.random.default_rng(0).random((60, 4)) < 0.4).astype(np.float32))
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def run_json(capsys, *words):
    code = cli.main(["sweep", *words, *HERE, "--json"])
    return code, json.loads(capsys.readouterr().out)


def table():
    with next(Path().glob("*/trials.csv")).open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_sweep_leaves_tables_figures_and_run_folders(monkeypatch, capsys):
    assert cli.main(["sweep", *WORDS, "beta=0.5,4", "seed=0..1", *HERE, "--out", "s"]) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[0] == "4 trials"
    assert sorted(p.name for p in Path("s").iterdir()) == [
        *("rate_distortion.png", "sweep.json", "sweep.png", "table.csv", "trials", "trials.csv")
    ]
    rows = table()
    assert [(row["beta"], row["seed"]) for row in rows] == [("0.5", "0"), ("0.5", "1"), ("4.0", "0"), ("4.0", "1")]
    with Path("s/table.csv").open(newline="") as file:
        means = list(csv.DictReader(file))
    assert float(means[1]["elbo"]) == pytest.approx(np.mean([float(row["test_elbo"]) for row in rows[2:]]))
    # and each is the run of minivae train
    monkeypatch.setattr("minivae.studies.results.figures", lambda *_: [])
    assert cli.main(["train", *(f"--{word}" for word in [*WORDS, "beta=4", "seed=1"]), "--quiet"]) == 0
    alone = load_model(next(Path("runs").glob("*/model.npz")))
    swept = load_model(Path("s") / rows[3]["folder"] / "model.npz")
    assert alone[0] == swept[0]
    np.testing.assert_array_equal(alone[1], swept[1])
    assert cli.main(["evaluate", str(Path("s") / rows[3]["folder"]), "--draws", "2"]) == 0


def test_json_has_the_rows_and_the_table(capsys):
    code, answer = run_json(capsys, *WORDS, "posterior=diagonal,bits", "estimator=score-learned")
    assert (code, answer["ok"]) == (0, True)
    assert [row["posterior"] for row in answer["rows"]] == ["diagonal", "bits"]
    assert [line["trials"] for line in answer["settings"]["table"]] == [1, 1]


def test_failures_have_exit_code_1_and_their_reason(capsys):
    assert cli.main(["sweep", *WORDS, "posterior=bits,diagonal", "estimator=pathwise", *HERE, "--out", "s"]) == 1
    said = capsys.readouterr().out
    assert "estimator must be" in said
    assert "2, of which 1 failed" in said


def test_a_stopped_sweep_is_resumed_by_its_folder(monkeypatch, capsys):
    def stopping(*args, **how):
        if args[3].seed == 1:
            raise KeyboardInterrupt
        return real_train(*args, **how)

    with monkeypatch.context() as patch:
        patch.setattr(trials, "train", stopping)
        assert cli.main(["sweep", *WORDS, "seed=0..2", *HERE]) == 130
    assert "resume   minivae sweep --resume runs/sweep-001" in capsys.readouterr().out
    seeds = []
    monkeypatch.setattr(trials, "train", lambda *a, **how: seeds.append(a[3].seed) or real_train(*a, **how))
    code, answer = run_json(capsys, "--resume", "runs/sweep-001")
    assert (code, len(answer["rows"]), seeds) == (0, 3, [1, 2])
    code, answer = run_json(capsys, "--resume", "runs/sweep-001", "beta=3")
    assert answer["error"].startswith("--resume keeps a sweep's settings, got settings as well")


def test_a_list_of_trials_comes_from_a_csv(capsys):
    Path("list.csv").write_text("beta,hidden\n0.5,3-2\n2,\n")
    code, answer = run_json(capsys, "--trials", "list.csv", "seed=0,1", "data=x.npy", "epochs=1", "batch-size=16")
    assert code == 0
    got = [(row["beta"], row["hidden"], row["seed"]) for row in answer["rows"]]
    assert got == [(0.5, "3-2", 0), (0.5, "3-2", 1), (2.0, None, 0), (2.0, None, 1)]


@pytest.mark.parametrize(
    "content",
    [b"", b"beta\n", b"\n\n", b"beta,beta\n1,2\n", b"beta,seed\n1\n", b"\xff\xfe\x00", b'"beta\n1\n', b"nobeta\n1\n"],
)
def test_a_list_that_is_none_is_refused(content, capsys):
    Path("list.csv").write_bytes(content)
    code, answer = run_json(capsys, "--trials", "list.csv")
    assert code == 1
    assert answer["error"].startswith(("trials must be a CSV", "settings must have the name of an option"))
    assert not Path("runs").exists()


@pytest.mark.parametrize("content", ["{", "[]", '{"trials": 3}', '{"trials": [{"make": 1}]}', '{"trials": [[1]]}'])
def test_a_damaged_sweep_is_refused(content, capsys):
    Path("s").mkdir()
    Path("s/sweep.json").write_text(content)
    code, answer = run_json(capsys, "--resume", "s")
    assert code == 1
    assert "resume must be the folder of a sweep, with an intact sweep.json" in answer["error"]


@pytest.mark.parametrize(
    ("word", "name", "values"),
    [
        ("beta=0.5,1", "beta", [0.5, 1.0]),
        ("seed=3..5", "seed", [3, 4, 5]),
        ("hidden=128-64,256", "hidden", [[128, 64], [256]]),
        ("image-shape=8x8", "image_shape", [[8, 8]]),
        ("milestones=1-2", "milestones", [[1, 2]]),
        ("prior=normal,vamp", "prior", ["normal", "vamp"]),
    ],
)
def test_words_are_typed_as_in_train(word, name, values):
    assert _values(word) == (name, values)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["beta"], "settings must be NAME=VALUE, or NAME=VALUE,VALUE, got 'beta'"),
        (["betaa=1"], "got 'betaa'. Did you mean 'beta'?"),
        (["out=x"], "that can vary, got 'out'"),
        (["beta=x"], "finite numbers for beta as minivae train takes them, got 'x'"),
        (["beta=1,,2"], "got ''"),
        (["beta=nan"], "got 'nan'"),
        (["hidden=8-x"], "Several in one are 128-64"),
        (["beta=1", "beta=2"], "must name each setting once, got beta twice"),
        (["seed=5..1"], "must go up"),
        (["seed=0..999999", "latent=1,2"], "at most 1,000,000 trials, got 2,000,000"),
        ([], "must say what varies, got none"),
        (["beta=1", "--scheduler", "tcp://127.0.0.1:1", "--workers", "2"], "--workers is for this machine"),
    ],
)
def test_words_that_say_nothing_are_refused_and_leave_nothing(words, said, capsys):
    code = cli.main(["sweep", *words, "--json"])
    assert code == 1
    assert said in json.loads(capsys.readouterr().out)["error"]
    assert not Path("runs").exists()


def test_without_dask_a_scheduler_is_refused(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert cli.main(["sweep", "beta=1", "--scheduler", "local"]) == 1
    assert 'pip install "minivae[sweep]"' in capsys.readouterr().err
