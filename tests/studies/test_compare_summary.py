"""One line an estimator and one sentence: sums over the rows, and what they say."""

import csv

import pytest

from minivae.estimators.costs import FunctionCost
from minivae.studies.compare import PROBLEMS, compare, write_table
from minivae.studies.compare_costs import CostProblem
from minivae.studies.compare_summary import caption, finding, short_table, totals
from tests.support import needs_jit

pytestmark = needs_jit


def row(estimator, parameter="mu", exact=None, variance=None, reference=None, **more):
    """Return a row with what a summary looks at."""
    variance = exact if variance is None else variance
    found = {"estimator": estimator, "parameter": parameter, "n_samples": 10_000, "mean": 1.0, "exact_mean": 1.0}
    found |= {"z_mean": 0.0, "variance": variance, "exact_variance": exact, "reference_variance": reference}
    ratio = exact / reference if exact is not None and reference else None
    return found | {"variance_ratio": ratio, "snr": 1.0, "ns_per_draw": 1.0} | more


@pytest.mark.parametrize("name", ["quadratic", "exponential", "cosine", "linear-gaussian"])
def test_the_short_table_is_the_trace_of_the_full_one(name, tmp_path):
    problem = PROBLEMS[name]
    rows = list(compare(problem, None, 1000))
    with open(write_table(tmp_path / "compare.csv", rows), newline="") as file:
        table = list(csv.DictReader(file))
    sums = {}
    for line in table:
        total = sums.setdefault(line["estimator"], [0.0, 0.0, 0.0])
        for i, column in enumerate(("exact_variance", "variance", "exact_mean")):
            total[i] += float(line[column]) ** (2 if column == "exact_mean" else 1)
    lines = short_table(problem, rows)
    assert [line["estimator"] for line in lines] == list(problem.estimators)
    for line in lines:
        exact, measured, power = sums[line["estimator"]]
        assert line["exact"] == pytest.approx(exact / sums["pathwise"][0], rel=1e-12)
        assert line["measured"] == pytest.approx(measured / sums["pathwise"][0], rel=1e-12)
        assert line["signal/noise"] == pytest.approx((power / measured) ** 0.5, rel=1e-12)


def test_the_squared_signal_to_noise_times_the_variance_is_the_power():
    # of the exact means where these are known, else of the measured ones: 3^2 + 4^2 of one, 6^2 + 8^2 of the other
    parts = (("mu", 3.0, 20.0), ("sigma", 4.0, 30.0))
    rows = [row("pathwise", p, v, mean=m + 0.1, exact_mean=m, reference=v) for p, m, v in parts]
    rows += [row("score", p, None, 2 * v, mean=2 * m, exact_mean=None) for p, m, v in parts]
    known, measured = totals(PROBLEMS["quadratic"], rows)
    assert known.snr**2 * known.variance == pytest.approx(25)
    assert measured.snr**2 * measured.variance == pytest.approx(100)
    assert (known.variance, measured.variance) == (50, 100)
    assert measured.exact_variance is None
    (quiet,) = totals(PROBLEMS["quadratic"], [row("pathwise", "mu", 0.0, reference=0.0)])
    assert quiet.snr == float("inf")


def test_where_one_row_holds_all_it_stands_alone():
    rows = [
        *[row("score", part, exact, 2 * exact, 1.0) for part, exact in (("phi", 7.0), ("encoder", 40.0))],
        *[row("score-leave-one-out", part, exact, exact, exact) for part, exact in (("phi", 1.0), ("encoder", 10.0))],
    ]
    rows[1]["reference_variance"] = 10.0
    found = totals(PROBLEMS["digits-bits"], rows)
    assert [(t.exact_ratio, t.ratio) for t in found] == [(4.0, 8.0), (1.0, 1.0)]


def test_the_reference_is_known_even_if_it_is_not_measured():
    rows = list(compare("quadratic", ["score"], 1000))
    (total,) = totals(PROBLEMS["quadratic"], rows)
    assert total.exact_ratio == pytest.approx((87 + 346) / (4 + 24))
    assert total.reference == "pathwise"
    assert finding(PROBLEMS["quadratic"], rows) == "score has 15.5 times pathwise's."


HIGH = CostProblem("high", FunctionCost(lambda z: z.sum(axis=1)), (0.0,) * 3, (1.0,) * 3)  # nothing is known of it


def test_without_exact_values_measured_ones_are_related():
    rows = [row("score", variance=6.0, exact_mean=None), row("score-leave-one-out", variance=2.0, exact_mean=None)]
    assert [total.ratio for total in totals(HIGH, rows)] == [3.0, 1.0]
    assert [total.exact_ratio for total in totals(HIGH, rows)] == [None, None]
    assert finding(HIGH, rows) == "score-leave-one-out has the least variance (3 times without a baseline)."
    assert "relative to score-leave-one-out (there is no pathwise)" in caption(HIGH, rows)
    rows = [row("score", variance=6.0), row("score-mean", variance=2.0)]
    assert [total.ratio for total in totals(HIGH, rows)] == [3.0, 1.0]
    assert "relative to score-mean (score-leave-one-out was left out)" in caption(HIGH, rows)
    assert finding(HIGH, [row("score", variance=6.0)]) == "score is what the others are relative to."


def test_a_reference_without_variance_relates_nothing():
    problem = PROBLEMS["quadratic"]
    rows = [row("pathwise", exact=0.0, reference=0.0), row("score-leave-one-out", exact=2.0, reference=0.0)]
    rows += [row("score", exact=8.0, reference=0.0)]
    assert [total.exact_ratio for total in totals(problem, rows)] == [0.0, 1.0, 4.0]
    assert "relative to score-leave-one-out (pathwise has no variance)" in caption(problem, rows)
    nothing = [row("pathwise", exact=0.0, reference=0.0), row("score", exact=0.0, reference=0.0)]
    assert [total.ratio for total in totals(problem, nothing)] == [None, None]
    assert caption(problem, nothing).endswith("all parameters in sum: there is none")
    assert finding(problem, nothing) == "nothing has a variance."


@pytest.mark.parametrize(
    ("variances", "sentence"),
    [
        (
            {"pathwise": 2.0, "score": 20.0, "score-mean": 6.0},
            "pathwise has the least variance; the best score function, score-mean, has 3 times pathwise's (10 times "
            "without a baseline).",
        ),
        (
            {"pathwise": 2.0, "score": 6000.0},
            "pathwise has the least variance; the best score function, score, has 3,000 times pathwise's.",
        ),
        (
            {"pathwise": 2.0, "measure-valued": 1.0},
            "measure-valued has the least variance, 0.5 of pathwise's.",
        ),
        (
            {"pathwise": 2.0, "score": 3.0, "score-optimal": 0.5},
            "score-optimal has the least variance, 0.25 of pathwise's (1.5 times without a baseline); the score "
            "function beats the path for mu (score-optimal, 0.25 of its variance).",
        ),
    ],
)
def test_the_sentence_says_who_varies_least(variances, sentence):
    rows = [row(name, exact=variance, reference=2.0) for name, variance in variances.items()]
    assert finding(PROBLEMS["quadratic"], rows) == sentence


def test_where_the_score_function_beats_the_path_is_named_by_parameter():
    rows = [row("pathwise", "mu", 4.0, reference=4.0), row("pathwise", "sigma", 1.0, reference=1.0)]
    rows += [row("score", "mu", 2.0, reference=4.0), row("score", "sigma", 9.0, reference=1.0)]
    text = finding(PROBLEMS["quadratic"], rows)
    assert text.endswith("; the score function beats the path for mu (score, 0.5 of its variance).")
    assert "sigma" not in text


def test_what_is_biased_is_said_and_not_praised():
    rows = [row("pathwise", "mu", 1.0, reference=1.0, mean=0.5, z_mean=-40.0), row("score", "mu", 0.9, reference=1.0)]
    rows.append(row("score-mean", "mu", 2.0, reference=1.0))
    text = finding(PROBLEMS["quadratic"], rows)
    assert text.startswith(
        "pathwise is biased: its mean for mu is 0.5, the exact one 1, 40 standard errors away (a der"
    )
    assert "pathwise has the least" not in text
    assert "beats" not in text
    few = [one | {"n_samples": 16} for one in rows]
    assert "biased" not in finding(PROBLEMS["quadratic"], few)
