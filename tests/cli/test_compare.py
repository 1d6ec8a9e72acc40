"""minivae compare, as a user runs it: what it prints, writes, refuses, and the code it returns."""

import csv
import json
import re
from pathlib import Path

import pytest

from minivae.cli.main import main
from minivae.models.draws import EncoderDraws
from minivae.studies.compare import PROBLEMS
from tests.support import needs_jit

pytestmark = needs_jit


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(
        "import numpy as np\nprint('hello')\n"
        "def f(z): return np.sin(z).sum(axis=1)\ndef df(z): return np.cos(z)\n"
        "def g(z): return np.abs(z).sum(axis=1)\n"
    )


@pytest.fixture
def no_figures(monkeypatch):
    monkeypatch.setattr("minivae.studies.compare_figures.write", lambda *_: [])


def table_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_one_line_an_estimator_one_sentence_a_table_and_figures(capsys):
    words = ["compare", "--problem", "quadratic", "linear-gaussian", "--samples", "10000", "--out", "out", "--quiet"]
    assert main(words) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.split("\nTable: ")[0].splitlines())) < 100
    assert "standard errors of the exact ones." in text
    assert text.count("variance of one draw, all parameters in sum, relative to pathwise\n") == 2
    assert text.count(" has the least variance") == 2
    assert "exact_variance" not in text
    for name in ("quadratic", "linear-gaussian"):
        block = text[text.index(f"{name}: ") :]
        lines = [line.split() for line in block.split("\n\n")[1].splitlines()]
        assert lines[0] == ["estimator", "exact", "measured", "signal/noise", "ns", "per", "draw"]
        assert [line[0] for line in lines[1:]] == list(PROBLEMS[name].estimators)
    assert re.search(r"\nscore +15\.46 ", text)  # (87 + 346) / (4 + 24)
    made = {path.name for path in Path("out").iterdir()}
    figures = ["quadratic", "linear-gaussian", "against_k", "against_dimension", "against_samples"]
    assert made == {"compare.csv", *(f"variance_{name}.png" for name in figures)}


@pytest.mark.usefixtures("no_figures")
def test_full_prints_every_parameter(capsys):
    words = ["compare", "--problem", "quadratic", "--samples", "10000", "--out", "out", "--quiet", "--full"]
    assert main(words) == 0
    text = capsys.readouterr().out
    assert "exact_variance" in text
    assert "variance_ratio: the exact variance over that of pathwise" in text
    assert len(re.findall(r"^score +(mu|sigma) ", text, re.M)) == 2
    assert "has the least variance" in text
    assert "standard errors of the exact ones." in text


@pytest.mark.usefixtures("no_figures")
def test_the_csv_and_json_hold_the_full_table_and_agree(capsys):
    words = ["compare", "--problem", "cosine", "--samples", "1000", "--out", "out", "--quiet"]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    table = table_of("out/compare.csv")
    assert found["settings"]["table"].endswith("compare.csv")
    assert len(table) == len(found["rows"]) == 2 * len(PROBLEMS["cosine"].estimators)
    for line, row in zip(table, found["rows"], strict=True):
        assert list(line) == list(row)
        assert float(line["exact_variance"]) == row["exact_variance"]


def test_the_table_is_there_before_the_figures(monkeypatch):
    seen = []
    monkeypatch.setattr(
        "minivae.studies.compare_figures.write",
        lambda folder, *_: seen.append((folder / "compare.csv").is_file()) or [],
    )
    assert main(["compare", "--problem", "quadratic", "--samples", "100", "--out", "out", "--quiet"]) == 0
    assert seen == [True]


@pytest.mark.usefixtures("no_figures")
def test_few_draws_give_no_verdict(capsys):
    assert main(["compare", "--problem", "quadratic", "--samples", "16", "--out", "out", "--quiet"]) == 0
    assert "this is no verdict" in capsys.readouterr().out


@pytest.mark.usefixtures("no_figures")
def test_a_biased_estimator_fails_the_command(monkeypatch, capsys):
    right = EncoderDraws.rows
    monkeypatch.setattr(EncoderDraws, "rows", lambda self, *args, **how: right(self, *args, **how) * 1.05)
    assert main(["compare", "--problem", "linear-gaussian", "--out", "out", "--quiet"]) == 1
    assert "beyond 6 something is wrong" in capsys.readouterr().out


def test_what_cannot_be_done_is_refused_before_any_work(capsys, tmp_path):
    assert main(["compare", "--samples", "100", "--out", "out", "--quiet"]) == 1  # enough for the quadratic alone
    out, err = capsys.readouterr()
    assert not out
    assert "samples must be at least 800 for a variance on digits" in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--samples", "1"], "samples must be at least 8 for a variance on quadratic, got 1"),
        (["--samples", "0"], "samples must be an integer of at least 1, got 0"),
        (["--samples", "100000000"], "samples must be at most 1 million"),
        (["--estimators", "pathwize"], "Did you mean 'pathwise'"),
        (["--problem", "digit"], "Did you mean 'digits'"),
        (["--estimators", "path-derivative"], "estimators must hold one that quadratic knows"),
        (["--problem", "digits-bits", "--estimators", "pathwise"], "estimators must hold one that digits-bits knows"),
        (["--seed", "-1"], "seed must be an integer from 0"),
        (["--mu", "1"], "mu must go with --cost"),
        (["--sigma", "1"], "sigma must go with --cost"),
        (["--derivative", "df"], "derivative must go with --cost"),
        (["--cost", "mine.py"], "cost must be FILE.py:NAME, got 'mine.py'"),
        (["--cost", "yours.py:f"], "file must be a readable .py file, got"),
        (["--cost", "mine.py:h"], "cost must be a name in"),
        (["--cost", "mine.py:f", "--sigma", "0"], "sigma must be a positive standard deviation"),
        (["--cost", "mine.py:f", "--mu", "0", "1", "--sigma", "1"], "mu and sigma must have one shape"),
        (
            ["--cost", "mine.py:g", "--estimators", "pathwise"],
            "estimators must leave pathwise out for g, got pathwise. pathwise needs the derivative: define dg(z)",
        ),
    ],
)
def test_bad_words_are_refused(words, message, capsys, tmp_path):
    base = ["compare", "--out", "out", "--quiet"]
    base += [] if "--problem" in words or "--cost" in words else ["--problem", "quadratic"]
    assert main(base + words) == 1
    out, err = capsys.readouterr()
    assert message in err
    assert not out
    assert not (tmp_path / "out").exists()


def test_an_unknown_option_points_to_the_help_of_its_verb(capsys):
    assert main(["compare", "--estimator", "score"]) == 2
    assert "See 'minivae compare --help'." in capsys.readouterr().err


def test_a_cost_of_ones_own_takes_the_place_of_the_usual_problems(capsys):
    words = ["compare", "--cost", "mine.py:f", "--mu", "-0.5", "1", "--sigma", "1", "0.5", "--samples", "10000"]
    assert main([*words, "--out", "out", "--quiet"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("f: d/dmu, d/dsigma of E[f(z)], z ~ N(mu, diag sigma^2), mu = -0.5, 1, sigma = 1, 0.5\n")
    assert "relative to pathwise" in text
    assert "needs the derivative" not in text
    assert "80 means and variances lie within" in text
    assert "quadratic" not in text
    assert {line["problem"] for line in table_of("out/compare.csv")} == {"f"}


@pytest.mark.usefixtures("no_figures")
def test_without_a_derivative_it_says_what_is_missing(capsys):
    words = ["compare", "--cost", "mine.py:g", "--mu", "0.3", "--samples", "10000", "--out", "out", "--quiet"]
    assert main([*words, "--problem", "quadratic"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "relative to score-leave-one-out (there is no pathwise)" in text
    assert "pathwise needs the derivative: define dg(z) beside it." in text
    assert [*dict.fromkeys(line["problem"] for line in table_of("out/compare.csv"))] == ["quadratic", "g"]


@pytest.mark.usefixtures("no_figures")
def test_with_json_there_is_one_object_whatever_the_cost_prints(capsys, tmp_path):
    (tmp_path / "loud.py").write_text("print(1)\ndef f(z):\n    print('value')\n    return z[:, 0]\n")
    words = ["compare", "--cost", "loud.py:f", "--samples", "100", "--out", "out", "--quiet", "--json"]
    assert main(words) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["rows"][0]["problem"] == "f"


@pytest.mark.usefixtures("no_figures")
def test_a_derivative_of_another_function_fails_the_command(capsys):
    words = ["compare", "--cost", "mine.py:g", "--derivative", "df", "--out", "out", "--quiet"]
    assert main(words) == 1
    text = " ".join(capsys.readouterr().out.split())
    assert re.search(r"pathwise is biased: its mean for (mu is 0.6|sigma is -?0.0).* the exact one (0|0.79)", text)
    assert "beyond 6 something is wrong" in text


@pytest.mark.usefixtures("no_figures")
def test_without_exact_values_there_is_nothing_to_fail(capsys):
    words = ["compare", "--cost", "mine.py:f", "--mu", "0", "0", "0", "--samples", "10000", "--out", "out", "--quiet"]
    assert main(words) == 0
    assert "No exact values are known" in capsys.readouterr().out
