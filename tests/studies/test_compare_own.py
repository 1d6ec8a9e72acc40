"""A cost of one's own: found in a file, measured beside exact values, refused in words."""

import sys

import numpy as np
import pytest

from minivae.core.errors import FileError
from minivae.estimators.costs import Cosine, FunctionCost, Quadratic
from minivae.estimators.exact.costs import exact_moments
from minivae.estimators.moments import Moments, summarize
from minivae.studies.compare import check_request, compare
from minivae.studies.compare_costs import CostProblem, with_heavy_tails
from minivae.studies.compare_own import own_problem
from minivae.studies.compare_rows import FAR
from minivae.studies.compare_summary import finding
from tests.support import needs_jit

pytestmark = needs_jit

COSTS = '''
"""Costs."""
import dataclasses
import numpy as np
print("on standard output")

def wave(z):
    return np.cos(0.8 * z).sum(axis=1)
def dwave(z):
    return -0.8 * np.sin(0.8 * z)

def ring(z):
    return (z[:, 0] ** 2 + z[:, 1] ** 2 - 1) ** 2
def ring_gradient(z):
    return 4 * (np.sum(z**2, axis=1, keepdims=True) - 1) * z
def other(z):
    return 7 * z

def bare(z):
    return np.sin(z[:, 0])

def greedy(z):
    z -= 3
    return np.sum(z**2, axis=1)

@dataclasses.dataclass
class Bowl:
    centre: float
    def value(self, z):
        return np.sum((z - self.centre) ** 2, axis=1)
    def gradient(self, z):
        return 2 * (z - self.centre)
bowl = Bowl(3.0)

class Valued:
    def value(self, z):
        return bowl.value(z)
valued = Valued()

def broken(z):
    return z.nothing
def column(z):
    return z
def hole(z):
    return np.where(z[:, 0] > 0.2, np.nan, 1.0)
number = 3
'''


@pytest.fixture
def costs(tmp_path):
    path = tmp_path / "costs.py"
    path.write_text(COSTS)
    return path


def test_a_function_and_the_derivative_beside_it(costs, capsys, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    problem = own_problem(f"{costs}:wave", None, [1.0], [1.5])
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "on standard output\n")
    assert not list(costs.parent.glob("__pycache__"))
    assert not sys.dont_write_bytecode
    assert str(costs.parent) not in sys.path
    assert problem.estimators[0] == "pathwise"
    assert not problem.lacks
    rows = list(compare(problem, None, 20_000))
    for row in rows:
        exact = exact_moments(row["estimator"], Cosine(0.8), 1.0, 1.5, 20_000)
        i = ("mu", "sigma").index(row["parameter"])
        assert row["exact_mean"] == pytest.approx(exact.mean[i, 0], abs=1e-8)
        assert row["exact_variance"] == pytest.approx(exact.variance[i, 0], abs=1e-8)
        assert abs(row["z_mean"]) < FAR, row
        assert abs(row["z_variance"]) < FAR, row


@pytest.mark.parametrize("seed", range(2))
def test_a_cost_of_two_variables(costs, seed):
    problem = own_problem(f"{costs}:ring", None, [0.2, 1.0], [1.0, 0.5])
    rows = list(compare(problem, None, 20_000, seed))
    assert [row["parameter"] for row in rows[:4]] == ["mu 1", "mu 2", "sigma 1", "sigma 2"]
    assert len(rows) == 4 * 10
    # E of the quartic by moments: d/dmu_i E = E[4 (r2 - 1) z_i]
    mu, s2 = np.array([0.2, 1.0]), np.array([1.0, 0.25])
    expected = 4 * (mu**3 + 3 * mu * s2 + mu * (mu[::-1] ** 2 + s2[::-1]) - mu)
    for row in rows:
        if row["parameter"].startswith("mu"):
            assert row["exact_mean"] == pytest.approx(expected[int(row["parameter"][-1]) - 1], rel=1e-8)
        assert abs(row["z_mean"]) < FAR, row
        assert abs(row["z_variance"]) < FAR, row


def test_three_variables_have_no_exact_values():
    problem = CostProblem("sum", FunctionCost(lambda z: np.prod(np.sin(z), axis=1)), (0.1, 0.2, 0.3), (1.0, 1.0, 1.0))
    rows = list(compare(problem, ["score", "score-optimal", "score-leave-one-out"], 1000))
    assert len(rows) == 3 * 6
    for row in rows:
        assert row["exact_mean"] is row["exact_variance"] is row["z_mean"] is row["z_variance"] is None
        assert row["variance"] > 0


def test_closed_forms_serve_in_any_number_of_dimensions():
    mu, sigma = (0.1, 0.2, 0.3), (1.0, 0.5, 1.0)
    rows = list(compare(CostProblem("bowl", Quadratic(3.0), mu, sigma), ["score-mean"], 1000))
    exact = exact_moments("score-mean", Quadratic(3.0), mu, sigma).variance.ravel()
    np.testing.assert_allclose([row["exact_variance"] for row in rows], exact, rtol=1e-12)


def test_without_a_derivative_pathwise_is_left_out_and_leave_one_out_relates(costs):
    problem = own_problem(f"{costs}:bare")
    assert "pathwise" not in problem.estimators
    assert problem.lacks == {"pathwise": "the derivative: define dbare(z) beside it"}
    rows = list(compare(problem, None, 1000))
    assert {row["estimator"] for row in rows} == set(problem.estimators)
    for row in rows:
        if row["estimator"] == "score-leave-one-out":
            assert row["variance_ratio"] == pytest.approx(1.0)
    with pytest.raises(ValueError, match=r"leave pathwise out for bare, got score, pathwise.*define dbare\(z\) beside"):
        check_request(problem, ["score", "pathwise"], 1000, 0)


def test_baselines_are_exact_where_they_can_be(costs):
    # the same numbers as the closed forms give, so no pilot has been drawn
    problem, known = own_problem(f"{costs}:wave", None, [1.0], [1.5]), CostProblem("c", Cosine(0.8), (1.0,), (1.5,))
    for name in ("score-mean", "score-optimal"):
        a, b = (next(compare(p, [name], 1000)) for p in (problem, known))
        assert a["mean"] == pytest.approx(b["mean"], rel=1e-7)


def test_a_rare_large_draw_is_no_alarm_and_a_wrong_variance_is_one(rng):
    exact = Moments(np.zeros(1), np.ones(1))
    rare = np.append(rng.normal(size=(9999, 1)), [[700.0]], axis=0)  # 50 times the variance, by one draw
    before = summarize(rare, exact)
    after = with_heavy_tails(before, exact, exact_kurtosis=False)
    assert min(abs(before.z_mean), abs(before.z_variance)) > FAR
    assert max(abs(after.z_mean), abs(after.z_variance)) < 1.1
    assert with_heavy_tails(before, exact, exact_kurtosis=True).z_variance == before.z_variance
    for wrong in (rng.normal(0, 1.1, (9999, 1)), rng.normal(0, 0.9, (9999, 1))):
        assert abs(with_heavy_tails(summarize(wrong, exact), exact, exact_kurtosis=False).z_variance) > FAR
    narrow = summarize(rng.normal(0, 0.1, (9999, 1)), exact)  # whose own error would be too small
    assert with_heavy_tails(narrow, exact, exact_kurtosis=False).z_variance == narrow.z_variance
    shifted = rng.normal(0.1, 1.0, (9999, 1))
    assert abs(with_heavy_tails(summarize(shifted, exact), exact, exact_kurtosis=False).z_mean) > FAR
    still = summarize(np.full((10, 1), 0.5), Moments(np.zeros(1), np.zeros(1)))  # no noise to be blamed
    assert np.isinf(with_heavy_tails(still, Moments(np.zeros(1), np.zeros(1)), exact_kurtosis=False).z_mean) or (
        abs(still.z_mean) > 1e6
    )


def test_a_kink_at_a_node_leaves_a_finite_distance():
    # the sign of z at mu = 0: a variance of one, of which rounding nodes must not make a negative error
    problem = CostProblem("abs", FunctionCost(lambda z: np.abs(z[:, 0]), np.sign), (0.0,), (1.0,))
    for row in compare(problem, ["pathwise"], 20_000):
        assert abs(row["z_mean"]) < FAR
        assert abs(row["z_variance"]) < FAR


@pytest.mark.parametrize("asked", ["ring_gradient", "other"])
def test_the_derivative_that_is_named_is_used(costs, asked):
    problem = own_problem(f"{costs}:ring", asked, [0.2, 1.0])
    z = np.array([[0.5, -1.0]])
    expected = 7 * z if asked == "other" else 4 * (1.25 - 1) * z
    np.testing.assert_allclose(problem.cost.gradient(z), expected)


@pytest.mark.parametrize(("name", "path"), [("bowl", True), ("valued", False)])
def test_an_object_with_value_and_perhaps_gradient(costs, name, path):
    problem = own_problem(f"{costs}:{name}", None, [1.0])
    assert ("pathwise" in problem.estimators) == path
    row = next(compare(problem, ["score"], 1000))
    assert row["exact_variance"] == pytest.approx(87.0, rel=1e-9)


def test_a_cost_that_writes_into_z_harms_nothing(costs):
    problem, z = own_problem(f"{costs}:greedy", None, [1.0]), np.array([[5.0]])
    np.testing.assert_array_equal([problem.cost.value(z), z[0]], [[4.0], [5.0]])
    row = next(compare(problem, ["score-constant"], 1000))
    exact = exact_moments("score-constant", Quadratic(3.0), 1.0, 1.0)
    assert row["exact_variance"] == pytest.approx(exact.variance[0, 0], rel=1e-9)


def test_a_wrong_derivative_is_found_out(tmp_path):
    (tmp_path / "w.py").write_text(
        "import numpy as np\ndef f(z): return np.sin(z[:, 0])\ndef df(z): return -np.cos(z)\n"
    )
    problem = own_problem(f"{tmp_path / 'w.py'}:f", None, [0.3])
    rows = list(compare(problem, None, 20_000))
    far = {row["estimator"] for row in rows if abs(row["z_mean"]) > FAR}
    assert far == {"pathwise"}
    assert finding(problem, rows).startswith("pathwise is biased: its mean for mu is -0.5")  # -E cos z


def test_a_file_can_import_its_neighbours(tmp_path):
    (tmp_path / "helper_of_costs.py").write_text("def twice(z): return 2 * z[:, 0]\n")
    (tmp_path / "c.py").write_text("from helper_of_costs import twice\ndef f(z): return twice(z)\n")
    problem = own_problem(f"{tmp_path / 'c.py'}:f")
    np.testing.assert_allclose(problem.cost.value(np.array([[3.0]])), [6.0])


@pytest.mark.parametrize(
    ("name", "more", "message"),
    [
        ("wawe", {}, "cost must be a name in .*costs.py, got 'wawe'. Did you mean 'wave'"),
        ("number", {}, "cost must name a function of z, or an object with value.*got number in .*, a int"),
        ("Bowl", {}, "cost must name a function or an object, got Bowl in .*, a class. Make one"),
        ("wave", {"derivative": "dwawe"}, "derivative must be a name in .*costs.py, got 'dwawe'. Did you mean 'dwave'"),
        ("wave", {"derivative": "number"}, "derivative must name a function of z, got number, a int"),
        ("wave", {"mu": [0, 1], "sigma": [1]}, r"mu and sigma must have one shape \(D,\)"),
        ("wave", {"sigma": [0.0]}, "sigma must be a positive standard deviation, got 0"),
        ("wave", {"mu": [np.nan]}, "mu must be finite"),
        ("broken", {}, r"broken must run for z of shape \(K, 1\), got AttributeError: .* \(line \d+\) in .*costs.py"),
        ("column", {}, r"cost.value must give real numbers of shape \(3,\)"),
        ("hole", {"mu": [0.5]}, "cost.value must be finite, got nan at draw 0"),
        ("wave", {"derivative": "bare"}, r"cost.gradient must give real numbers of shape \(3, 1\), that of z"),
    ],
)
def test_what_is_wrong_with_a_cost_is_said(costs, name, more, message):
    with pytest.raises(ValueError, match=message):
        own_problem(f"{costs}:{name}", **more)


@pytest.mark.parametrize("cost", ["costs.py", "costs.py:", ":f", "costs.py:two words", ""])
def test_a_cost_is_a_file_and_a_name(cost):
    with pytest.raises(ValueError, match="cost must be FILE.py:NAME, got"):
        own_problem(cost)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def f(z) return z", r"with a syntax error in line 1, `def f\(z\) return z`"),
        ("import numpy\n1 / 0", r"stops in line 2, `1 / 0`, with ZeroDivisionError: division by zero"),
        ("import sys\nsys.exit(3)", r"stops in line 2, `sys.exit\(3\)`, with SystemExit: 3"),
        ("import no_such_module", r"stops in line 1, .* ModuleNotFoundError: No module named 'no_such_module'"),
        ("x = '\0'", r"file must be (Python|a readable \.py file), got .*bad\.py"),
    ],
)
def test_a_file_that_does_not_run_is_refused(text, message, tmp_path):
    (tmp_path / "bad.py").write_text(text)
    with pytest.raises(FileError, match=message):
        own_problem(f"{tmp_path / 'bad.py'}:f")
    assert not [name for name in sys.modules if name.startswith("own_bad")]


def test_a_file_must_be_there(tmp_path):
    with pytest.raises(FileError, match=r"file must be a readable \.py file, got .*no\.py"):
        own_problem(f"{tmp_path / 'no.py'}:f")
    (tmp_path / "no.txt").write_text("f = 1")
    with pytest.raises(FileError, match=r"file must be a \.py file, got .*no\.txt"):
        own_problem(f"{tmp_path / 'no.txt'}:f")


def test_an_error_at_a_draw_is_told_as_the_costs(tmp_path):
    text = "def f(z):\n    if len(z) > 4 and (z > 2).any():\n        raise KeyError('far')\n    return z[:, 0]\n"
    (tmp_path / "late.py").write_text(text)
    problem = own_problem(f"{tmp_path / 'late.py'}:f")
    with pytest.raises(ValueError, match=r"f must run for z of shape \(K, 1\), got KeyError: 'far' \(line 3\) in"):
        list(compare(problem, ["score"], 1000))
