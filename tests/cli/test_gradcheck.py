"""``minivae gradcheck``: the package's own gradients, and those of a file."""

import json
import re

import pytest

from minivae import cli
from minivae.core import kernels

MINE = """
import numpy as np
from minivae.nn import Activation

print("this belongs to the file")

class Square(Activation):
    def _forward(self, x):
        return x**2, x

    def _backward(self, cache, dy):
        return 2 * cache * dy
"""
NEEDS = """
class Needs(Activation):
    def __init__(self, table):
        self.table = table
"""


@pytest.fixture
def run(capsys):
    """Return a function that runs ``minivae gradcheck`` and returns code, standard output and standard error."""

    def gradcheck(*words):
        code = cli.main(["gradcheck", *map(str, words)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return gradcheck


@pytest.fixture
def mine(tmp_path):
    """Return a function that writes a file and returns its path."""

    def write(text):
        (tmp_path / "mine.py").write_text(text)
        return tmp_path / "mine.py"

    return write


@pytest.mark.long
def test_the_package_passes_with_a_row_for_each_gradient(run):
    code, out, err = run("--json")
    result = json.loads(out)
    assert (code, result["ok"], err) == (0, True, "")
    assert set(result["rows"][0]) == {"name", "n_checked", "n_kinks", "relative_error", "tolerance", "ok", "message"}
    assert result["settings"] == {"seed": 0, "file": None}
    assert len(result["rows"]) > 75
    code, out, _ = run("--seed", 3)
    assert code == 0
    assert f"all {len(result['rows'])} gradients agree with finite differences" in out
    assert "message" not in out


@pytest.mark.long
def test_a_planted_error_fails_and_is_said_in_words(run, monkeypatch):
    right = kernels.diagonal_kl_backward
    monkeypatch.setattr(kernels, "diagonal_kl_backward", lambda *args: 1.001 * right(*args))
    code, out, _ = run()
    assert code == 1
    assert re.search(r"^KL of DiagonalGaussian from StandardNormal .* FAIL$", out, re.MULTILINE)
    assert "\nKL of DiagonalGaussian from StandardNormal: dhead is 1.001 times the right one, in every entry.\n" in out
    assert re.search(r"\n\d+ of \d+ gradients failed the check\n$", out)


def test_a_right_file_passes_and_what_it_prints_stays_out_of_the_table(run, mine):
    path = mine(MINE)
    code, out, err = run(path)
    assert code == 0
    assert [line.split()[-1] for line in out.splitlines()[1:3]] == ["ok", "ok"]
    assert out.endswith(
        f"\n\nall 2 gradients in {path} agree with finite differences (central, or complex steps where "
        f"the tolerance is 1e-12)\n"
    )
    assert err == "this belongs to the file\n"
    code, out, _ = run(path, "--json", "--seed", 1)
    result = json.loads(out)
    assert (code, result["ok"], result["settings"]) == (0, True, {"seed": 1, "file": str(path)})
    assert [row["name"] for row in result["rows"]] == ["layer Square", "layer Square, slope"]


def test_a_wrong_file_fails_with_its_fault(run, mine):
    path = mine(MINE.replace("return 2 * cache", "return cache"))
    code, out, _ = run(path)
    assert code == 1
    assert "\nlayer Square: dx is 1/2 times the right one, in every entry.\n" in out
    assert out.endswith(f"1 of 1 gradients in {path} failed the check\n")
    result = json.loads(run(path, "--json")[1])
    assert (result["ok"], result["rows"][0]["ok"]) == (False, False)
    assert result["rows"][0]["message"] == "dx is 1/2 times the right one, in every entry"


def test_an_exception_is_a_failed_row_and_no_traceback(run, mine):
    code, out, err = run(mine(MINE.replace("return 2 * cache * dy", "return 2 * cache * dz")))
    assert code == 1
    assert (
        "layer Square: Square.backward stopped in line 12 of mine.py with NameError: name 'dz' is not defined.\n" in out
    )
    assert "Traceback" not in out + err


def test_a_nan_is_a_failed_row_and_null_in_json(run, mine):
    path = mine(MINE.replace("return 2 * cache * dy", "return np.log(-np.abs(cache)) * dy"))
    assert "dx holds 12 NaN or infinite values in 12 entries." in run(path)[1]
    assert json.loads(run(path, "--json")[1])["rows"][0]["relative_error"] is None


def test_what_is_not_checked_is_said_and_fails_only_where_nothing_else_was(run, mine):
    code, out, _ = run(mine(MINE + NEEDS))
    assert code == 0
    assert re.search(r"^layer Needs .* -$", out, re.MULTILINE)
    assert (
        "layer Needs: not checked: Needs needs table to be constructed. Construct one in the file: layer = Needs("
        in out
    )
    assert "\nall 2 gradients in" in out
    code, out, _ = run(mine("from minivae.nn import Activation\n" + NEEDS))
    assert code == 1
    assert re.search(r"\nnone of the gradients in .*mine\.py could be checked\n$", out)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def f(:\n", "with a syntax error in line 1, `def f(:`"),
        ("x = 1\nx.y\n", "which stops in line 2, `x.y`, with AttributeError: 'int' object has no attribute 'y'"),
        ("x = 1\n", "none is found. They are told by their methods: a layer has forward, backward, n_in and n_out"),
    ],
)  # fmt: skip
def test_a_file_that_holds_nothing_to_check_is_an_error_in_words(run, mine, text, said):
    code, out, err = run(mine(text))
    assert (code, out) == (1, "")
    assert err.startswith("minivae gradcheck: error: file must ")
    assert said in err
    assert "Traceback" not in err
    code, out, err = run(mine(text), "--json")
    assert (code, json.loads(out)["ok"]) == (1, False)
    assert said in json.loads(out)["error"]


def test_a_seed_out_of_range_is_refused(run):
    code, _, err = run("--seed", -1)
    assert (code, "seed must be an integer from 0" in err) == (1, True)
