"""The figures of minivae compare: which are made, and that they show the numbers of the rows."""

from pathlib import Path

import numpy as np
import pytest

from minivae.estimators.costs import FunctionCost
from minivae.studies import compare_figures
from minivae.studies.compare import PROBLEMS
from minivae.studies.compare_costs import CostProblem
from tests.studies.test_compare_summary import row
from tests.support import needs_jit

pytestmark = needs_jit


class Trained:
    history = tuple({"epoch": e, "valid_elbo": -30.0 + e} for e in range(1, 8))


@pytest.fixture
def asked(monkeypatch):
    """Train nothing, and tell with which model and settings it would have been."""
    found = []

    def train(model, _, __, settings):
        found.append((type(model.posterior).__name__, settings.objective.estimator, settings.n_draws))
        settings.resolved(model)  # what cannot be trained is refused
        return Trained

    monkeypatch.setattr(compare_figures, "train", train)
    return found


@pytest.mark.parametrize(("name", "posterior"), [("digits", "DiagonalGaussian"), ("digits-bits", "Bits")])
def test_the_digits_have_their_own_figures(name, posterior, asked, tmp_path):
    names = ["score", "score-leave-one-out", *(["path-derivative", "pathwise"] if name == "digits" else [])]
    rows = [{"problem": name} | row(n, "encoder", 2.1, 2.0, 2.1) for n in names]
    steps = []
    paths = compare_figures.write(tmp_path, [PROBLEMS[name]], rows, 0, lambda: steps.append(1))
    assert [Path(path).stem for path in paths] == [f"variance_{name}", f"learning_curves_{name}"]
    assert all(Path(path).read_bytes().startswith(b"\x89PNG") for path in paths)
    # those that were measured, in the order of the figure
    expected = [n for n in compare_figures.CURVES if n in names]
    assert asked == [(posterior, n, 4) for n in expected]
    assert len(steps) == 2 + len(expected)


def test_a_cost_of_ones_own_has_one_figure(tmp_path, asked):
    problem = CostProblem("mine", FunctionCost(lambda z: z.sum(axis=1)))
    rows = [{"problem": "mine"} | row(name, "mu", 2.0, 2.5, 1.0) for name in ("score", "score-mean")]
    paths = compare_figures.write(tmp_path, [problem], rows, 0, lambda: None)
    assert [Path(path).name for path in paths] == ["variance_mine.png"]
    assert not asked


def test_a_problem_without_rows_has_none(tmp_path):
    assert compare_figures.write(tmp_path, [PROBLEMS["digits"]], [], 0, lambda: None) == []


def test_the_figure_shows_the_totals():
    problem = PROBLEMS["quadratic"]
    rows = [row("pathwise", "mu", 4.0, 4.4, 4.0), row("score", "mu", 80.0, 76.0, 4.0)]
    axes = compare_figures.relative_variance(problem, rows).axes[0]
    measured, exact = (line.get_xdata() for line in axes.get_lines())
    np.testing.assert_allclose(measured, [1.1, 19.0])
    np.testing.assert_allclose(exact, [1.0, 20.0])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["pathwise", "score"]
    assert axes.get_xscale() == "log"


def test_what_is_not_known_is_not_drawn():
    problem = CostProblem("mine", FunctionCost(lambda z: z.sum(axis=1)))
    rows = [row("score-mean", "mu", None, 2.0), row("score", "mu", None, 6.0)]
    axes = compare_figures.relative_variance(problem, rows).axes[0]
    assert len(axes.get_lines()) == 1
    np.testing.assert_allclose(axes.get_lines()[0].get_xdata(), [1.0, 3.0])
    flat = [row("pathwise", "mu", 0.0, 0.0, 0.0), row("score", "mu", 1.0, 1.0, 0.0)]
    assert compare_figures.relative_variance(PROBLEMS["quadratic"], flat).axes[0].get_xscale() == "linear"


def test_the_variance_of_a_mean_falls_as_the_draws_and_its_bars_are_two_standard_errors(rng):
    axes = compare_figures.variance_against_samples(rng).axes[0]
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    curves = [line for line in axes.get_lines() if line.get_linestyle() == "-"]
    known = {"pathwise": 4.0, "score": 87.0, "score-optimal": 38.0}  # f = (x - 3)^2 at N(1, 1), one draw
    for name, curve, points in zip(names, curves, axes.containers, strict=True):
        n, exact = curve.get_xdata(), curve.get_ydata()
        if name in known:
            np.testing.assert_allclose(exact, known[name] / n, rtol=1e-12)
        measured = points.lines[0].get_ydata()
        bars = np.array([np.ptp(segment[:, 1]) / 2 for segment in points.lines[2][0].get_segments()])
        assert (np.abs(measured - exact) < 2.5 * bars).all()  # five standard errors
        # of 256 means of 1,024 draws, which are nearly normal: sqrt(2 / 255) of the variance, give or take a tenth
        assert 0.7 < bars[-1] / (2 * np.sqrt(2 / 255) * measured[-1]) < 1.4
