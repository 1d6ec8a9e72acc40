"""The problems with discrete codes: exact columns, bias named, figures, and the toy problems."""

import numpy as np
import pytest

from minivae.distributions.bits import all_states
from minivae.estimators.control import LearnedControl
from minivae.estimators.exact.bits import BernoulliExpectation
from minivae.estimators.weights import ESTIMATORS
from minivae.studies import code_figures, compare_figures
from minivae.studies.compare import PROBLEMS, check_request, compare
from minivae.studies.compare_codes import CODE_WAYS, CODES_BITS, CODES_CATEGORICAL, learnt_control
from minivae.studies.compare_summary import caption, finding, short_table, totals
from minivae.studies.toy_bits import ToyRun, toy_run

QUICK = [name for name, way in CODE_WAYS.items() if way.rule not in ("control", "network")]


@pytest.fixture(scope="module")
def found():
    both = (CODES_BITS, CODES_CATEGORICAL)
    return {p.name: list(compare(p.name, [n for n in QUICK if n in p.estimators], 12_000)) for p in both}


def test_every_number_lies_near_its_exact_value(found):
    for rows in found.values():
        assert max(abs(row[z]) for row in rows for z in ("z_mean", "z_variance")) < 5


def test_the_exact_columns_hold_the_known_numbers(found):
    rows = {(row["estimator"], row["parameter"]): row for row in found["bits"]}
    gradient = [0.2569162535, -0.2175732700, 0.1162356567]
    for i in range(3):
        assert abs(rows["score", f"phi {i + 1}"]["exact_mean"] - gradient[i]) < 1e-10
        assert rows["score", f"phi {i + 1}"]["exact_bias"] == 0.0
        row = rows["straight-through", f"phi {i + 1}"]
        assert abs(row["exact_mean"] - row["exact_bias"] - gradient[i]) < 1e-10
        assert abs(row["exact_bias"]) > 1e-3
    table = BernoulliExpectation(np.array(CODES_BITS.head), CODES_BITS.cost.value(all_states(3)))
    four = table.leave_one_out(4)
    for i in range(3):  # of one draw: four times that of the mean of four
        assert abs(rows["score-leave-one-out", f"phi {i + 1}"]["exact_variance"] - 4 * four.variance[i]) < 1e-12
        assert abs(rows["score", f"phi {i + 1}"]["reference_variance"] - 4 * four.variance[i]) < 1e-12
    assert rows["score-optimal", "phi 1"]["exact_variance"] >= table.score(table.optimal_baseline).variance[0]


def test_the_biased_say_so_in_table_sentence_and_figure(found):
    for name, rows in found.items():
        problem = PROBLEMS[name]
        lines = {line["estimator"]: line for line in short_table(problem, rows)}
        for estimator in ("straight-through", "gumbel-softmax"):
            assert lines[f"{estimator} (biased)"]["bias"] > 0.01
            assert f"{estimator} is biased, by 0." in finding(problem, rows)
        assert lines["score"]["bias"] == 0
        biased = {"bits": 0.1250, "categorical": 0.2175}[name]  # |bias| / |gradient|
        assert abs(lines["straight-through (biased)"]["bias"] - biased) < 1e-3
        assert "relative to score-leave-one-out (there is no pathwise)" in caption(problem, rows)
        least = min((t for t in totals(problem, rows) if not t.bias), key=lambda t: t.exact_ratio)
        assert f"{least.estimator} has the least variance" in finding(problem, rows)
        ticks = compare_figures.relative_variance(problem, rows).axes[0].get_yticklabels()
        assert {"gumbel-softmax (biased)", "score"} <= {tick.get_text() for tick in ticks}
    assert "bias" not in short_table(PROBLEMS["quadratic"], list(compare("quadratic", ["score"], 1000)))[0]


def test_categories_have_no_antithetic_noise():
    assert set(CODES_CATEGORICAL.lacks) == {"arm", "disarm"}
    assert set(CODES_BITS.estimators) - set(CODES_CATEGORICAL.estimators) == {"arm", "disarm"}
    with pytest.raises(ValueError, match="estimators must leave arm out for categorical, got arm. arm needs bits"):
        check_request("categorical", ["arm"], 1000, 0)


def test_every_estimator_that_suits_bits_is_a_way():
    of_the_elbo = {n for n, row in ESTIMATORS.items() if row.bound == "elbo" and row.suits(CODES_BITS.posterior)}
    left_out = {"exact", "score-moving-average", "score-learned"}  # no noise; nothing to learn from without x
    assert {way.estimator for way in CODE_WAYS.values()} == of_the_elbo - left_out


def test_rebar_has_learnt_when_it_is_measured(rng):
    p, rule = CODES_CATEGORICAL, LearnedControl()
    learnt = learnt_control(rule, p.posterior, np.array(p.head), p.cost, rng, 150)
    before, after = (p.moments("rebar", control).variance.sum() for control in (0.0, learnt))
    assert after < 0.95 * before


def test_the_temperature_figure_has_exact_curves_and_the_slope(rng, monkeypatch):
    monkeypatch.setattr(code_figures, "_N", 500)
    figure = code_figures.against_temperature(rng)
    left, right = figure.axes
    labels = [text.get_text() for text in right.get_legend().get_texts()]
    assert "exact slope -0.084" in labels
    assert "gumbel-softmax (biased)" in labels
    curve = next(line for line in right.get_lines() if line.get_label() == "gumbel-softmax (biased)")
    np.testing.assert_allclose(np.interp(1.0, *curve.get_data()), -0.0104265602, atol=1e-4)
    assert left.get_xlabel() == right.get_xlabel() == "temperature"


def test_curves_of_a_training_name_the_biased():
    rows = [{"epoch": i + 1, "valid_elbo": -20.0 + i} for i in range(3)]
    figure = code_figures.code_curves({"disarm": rows, "straight-through": rows}, "a VAE")
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels == ["disarm", "straight-through (biased)"]


# ------------------------------------------------------------------------------------- toy problems


def test_disarm_arrives_and_a_biased_estimator_goes_elsewhere():
    run = toy_run("disarm", 0.45, 3000, every=100)
    assert run.arrived(0.45, 0.05) is not None
    assert run.cost[-1] < 0.2035
    assert run.cost[0] == (0.45**2 + 0.55**2) / 2
    assert (np.diff(run.cost) < 1e-9).mean() > 0.9
    stuck = toy_run("straight-through", 0.45, 600, every=100)
    assert stuck.arrived(0.45) is None


@pytest.mark.parametrize("name", ["score", "nvil", "muprop", "rebar", "relax", "gumbel-softmax"])
def test_every_toy_runs_by_its_exact_variance(name):
    run = toy_run(name, 0.499, 60, every=30)
    np.testing.assert_array_equal(run.steps, [0, 30, 60])
    assert np.isfinite(run.variance).all()
    if name == "score":
        np.testing.assert_allclose(run.variance[0], (0.499**4 + 0.501**4) / 8 - (0.25 * 0.002) ** 2, rtol=1e-9)


def test_arriving_is_staying():
    run = ToyRun("disarm", np.arange(5), np.array([0.25, 0.2025, 0.25, 0.2025, 0.2025]), np.zeros(5))
    assert run.arrived(0.45) == 3
    assert ToyRun("disarm", run.steps, run.cost[::-1].copy(), run.variance).arrived(0.45) is None
    assert ToyRun("disarm", run.steps, np.full(5, 0.2025), run.variance).arrived(0.45) == 0


def test_the_toy_figure_has_a_column_for_each_problem():
    runs = {t: [toy_run("disarm", t, 20, every=10), toy_run("gumbel-softmax", t, 20, every=10)] for t in (0.45, 0.499)}
    figure = code_figures.toy_figure(runs)
    assert len(figure.axes) == 4
    assert {text.get_text() for text in figure.legends[0].get_texts()} == {"disarm", "gumbel-softmax (biased)"}


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="t must be a finite number at least 0 and below 1, got 2"):
        toy_run("disarm", 2.0)
