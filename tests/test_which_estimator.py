"""The page "which estimator when": its exact numbers are computed anew."""

import re
from pathlib import Path

import numpy as np
import pytest

from minivae.distributions.bits import Bits
from minivae.estimators.codes import squared_distance
from minivae.estimators.exact.codes import code_moments, gumbel_softmax_slope
from minivae.studies.compare_codes import CODES_BITS, CODES_CATEGORICAL
from minivae.studies.toy_bits import toy_run

PAGE = (Path(__file__).parent.parent / "lectures" / "which_estimator.md").read_text()
PHI, COST = np.log([0.3 / 0.7]), squared_distance(0.45)
CELLS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("| ")]
ROWS = [row for row in CELLS if len(row) == 6 and re.fullmatch(r"[\d.]+", row[2])]


@pytest.mark.parametrize("row", [row for row in ROWS if "learnt" not in row[0]], ids=lambda row: row[0])
def test_the_exact_table(row):
    name = re.match("[a-z-]+", row[0])[0]
    for problem, variance, bias in ((CODES_BITS, *row[2:4]), (CODES_CATEGORICAL, *row[4:6])):
        if not variance:
            assert name in problem.lacks
            continue
        found = problem.moments(name)
        gradient = code_moments("exact", problem.cost, problem.posterior, problem.head).mean
        assert abs(found.variance.sum() - float(variance)) < 6e-5
        relative = np.linalg.norm(found.mean - gradient) / np.linalg.norm(gradient)
        assert abs(relative - float(bias)) < 6e-4
        assert ("(biased)" in row[0]) == (relative > 1e-6)


def test_the_numbers_of_the_single_bit():
    def of(name, **how):
        found = code_moments(name, COST, Bits(1), PHI, **how)
        return float(found.mean[0]), float(found.variance[0])

    score = of("score")[1]
    said = {
        "0.0155938": score,
        "0.000339": of("arm")[1],
        "0.000294": of("disarm")[1],
        "46 and 53 times": (score / of("arm")[1], score / of("disarm")[1]),
        "0.017234": of("rebar", temperature=1.0)[1],
        "0.028749, 1.8 times": (of("muprop")[1], of("muprop")[1] / score),
        "-0.063": of("straight-through")[0],
        "-0.0104266": of("gumbel-softmax", temperature=1.0)[0],
        "-0.0076890": of("gumbel-softmax", temperature=0.5)[0],
        "0.0127137": of("gumbel-softmax", temperature=0.1)[0],
        "0.0201593": of("gumbel-softmax", temperature=0.01)[0],
        "0.733, 47 times": (
            of("gumbel-softmax", temperature=0.01)[1],
            of("gumbel-softmax", temperature=0.01)[1] / score,
        ),
        "-0.084": gumbel_softmax_slope(COST, PHI),
        "0.000609": of("score-leave-one-out", n_draws=2)[1],
        "0.0001575": of("score-leave-one-out", n_draws=4)[1],
        "0.00005775": of("score-leave-one-out", n_draws=8)[1],
    }
    for text, values in said.items():
        assert text in PAGE, text
        for number, value in zip(re.findall(r"-?[\d.]+", text), np.atleast_1d(values), strict=True):
            digits = len(number.split(".")[1]) if "." in number else 0
            assert abs(float(number) - value) <= 0.51 * 10.0**-digits, (text, value)


def test_disarm_arrives_when_the_page_says():
    for t, column in ((0.45, 1), (0.499, 2)):
        row = next(row for row in CELLS if len(row) == 3 and row[0] == "disarm" and "," in row[1])
        assert f"{toy_run('disarm', t, 1500, every=60).arrived(t, 0.05):,}" == row[column]


def test_figures_of_the_page_are_there():
    for target in re.findall(r"\]\((\.\./[^)]+)\)", PAGE):
        assert (Path(__file__).parent.parent / "lectures" / target).is_file(), target
