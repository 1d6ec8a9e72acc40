"""minivae compare: every number beside its exact value, whatever the problem."""

import dataclasses

import numpy as np
import pytest
from scipy import integrate, stats

from minivae.core.registry import Table
from minivae.core.seeds import Stream, stream
from minivae.distributions.linear_gaussian import LinearGaussian
from minivae.distributions.nodes import gauss_hermite, normal_nodes
from minivae.estimators.objectives import Elbo
from minivae.estimators.on_costs import COST_ESTIMATORS
from minivae.models.draws import encoder_draws
from minivae.studies import compare as module
from minivae.studies import compare_costs, compare_digits, compare_linear, compare_rows
from minivae.studies.compare import NAMES, PROBLEMS, check_request, compare, named_problem, write_table
from minivae.studies.compare_codes import CODE_WAYS
from minivae.studies.compare_encoder import WAYS
from minivae.studies.compare_linear import linear_vae
from minivae.studies.compare_rows import FAR, quotient, timed
from tests.support import needs_jit

pytestmark = needs_jit

COLUMNS = [
    *["problem", "estimator", "parameter", "n_samples", "mean", "exact_mean", "z_mean", "variance", "exact_variance"],
    *["z_variance", "reference_variance", "exact_bias", "variance_ratio", "snr", "ns_per_draw"],
]
QUICK = ["quadratic", "exponential", "cosine", "linear-gaussian"]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("problem", QUICK)
def test_means_and_variances_lie_within_standard_errors_of_the_exact_ones(problem, seed):
    rows = list(compare(problem, None, 20_000, seed))
    assert list(dict.fromkeys(row["estimator"] for row in rows)) == list(PROBLEMS[problem].estimators)
    for row in rows:
        assert list(row) == COLUMNS
        assert abs(row["z_mean"]) < FAR, row
        assert abs(row["z_variance"]) < FAR, row
        assert row["ns_per_draw"] > 0
        assert row["snr"] == pytest.approx(abs(row["mean"]) / np.sqrt(row["variance"]))
        assert row["variance_ratio"] == row["exact_variance"] / row["reference_variance"]


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


def test_the_error_of_a_variance_is_that_of_the_exact_kurtosis():
    # (s^2 - variance) / z = variance sqrt((k - 1) / m + 2 / (m (m - 1)))
    known = {"pathwise": (3, 29 / 3), "score": (26.797, 177.50), "score-optimal": (37.687, 180.78)}
    for row in compare("quadratic", list(known), 10_000):
        m, k = 10_000, known[row["estimator"]][("mu", "sigma").index(row["parameter"])]
        error = (row["variance"] - row["exact_variance"]) / row["z_variance"] / row["exact_variance"]
        assert (error**2 - 2 / (m * (m - 1))) * m + 1 == pytest.approx(k, rel=1e-4)


def test_linear_vae_is_the_model_it_names(rng):
    known = LinearGaussian(rng.normal(size=(3, 2)), rng.normal(size=3), 0.4)
    V, sigma, x = rng.normal(size=(2, 3)), np.array([0.5, 1.5]), rng.normal(size=(4, 3))
    model, params = linear_vae(known, V, sigma)
    nodes, w = normal_nodes(2, step=0.25)
    expected = known.elbo(x, (x - known.b) @ V.T, np.tile(2 * np.log(sigma), (4, 1)))
    np.testing.assert_allclose(model.elbo(params, x, eps=nodes, weights=w), expected, rtol=1e-9)


def test_only_what_is_asked_for_is_measured():
    rows = list(compare("quadratic", ["score"], 1000))
    assert {row["estimator"] for row in rows} == {"score"}
    assert abs(rows[0]["variance_ratio"] - 87 / 4) < 1e-9


def test_the_same_seed_gives_the_same_numbers_and_problems_have_streams_of_their_own(monkeypatch):
    def numbers(problem, seed):
        return [row["mean"] for row in compare(problem, ["pathwise", "score-mean"], 1000, seed)]

    assert numbers("quadratic", 3) == numbers("quadratic", 3) != numbers("quadratic", 4)
    table = Table("problem")
    for name in ("first", "second", "third"):
        table.add(name, Coin(name))
    monkeypatch.setattr(module, "PROBLEMS", table)
    means = {next(compare(problem, None, 1000))["mean"] for problem in (*table.values(), Coin("not in the table"))}
    assert len(means) == 4


def test_names_are_those_of_the_problems():
    assert set(NAMES) == set(COST_ESTIMATORS) | set(WAYS) | set(CODE_WAYS)
    for name, problem in PROBLEMS.items():
        assert problem.name == name
        assert problem.title.startswith(f"{name}: ")
        assert set(problem.estimators) <= set(NAMES)
    assert "score-learned" in PROBLEMS["digits"].estimators
    assert "score-learned" not in PROBLEMS["linear-gaussian"].estimators
    bits = PROBLEMS["digits-bits"].estimators
    assert set(bits) == {name for name in PROBLEMS["digits"].estimators if not name.startswith("path")}


@dataclasses.dataclass(frozen=True)
class Coin:
    """A problem of someone else's, with one estimator that is a draw."""

    name: str = "coin"
    title = "coin: d/dphi of E[b]"
    note = ""
    estimators = ("flip",)
    lacks = {}  # noqa: RUF012
    whole = None
    fewest = 2

    def rows(self, names, n_samples, seed, rng):
        yield {
            **{"estimator": "flip", "parameter": "phi", "n_samples": n_samples, "mean": rng.random()},
            **{"exact_mean": 0.25, "z_mean": 0.0, "variance": 1.0, "exact_variance": None, "z_variance": None},
            **{"reference_variance": None, "snr": 1.0, "ns_per_draw": float(seed + len(names))},
        }


def test_a_new_problem_needs_an_entry_and_nothing_else(monkeypatch):
    table = Table("problem")
    for problem in (*PROBLEMS.values(), Coin()):
        table.add(problem.name, problem)
    monkeypatch.setattr(module, "PROBLEMS", table)
    (row,) = compare("coin", n_samples=100)
    assert list(row) == COLUMNS
    assert (row["problem"], row["variance_ratio"], row["ns_per_draw"]) == ("coin", None, 1.0)
    with pytest.raises(ValueError, match="problem must have a name of its own, got 'coin'"):
        table.add("coin", Coin())


def test_requests_are_checked():
    for names, n_samples, message in [
        (["pathwize"], 1000, "estimators must be one of .* Did you mean 'pathwise'"),
        (None, 1, "samples must be at least 8 for a variance on quadratic, got 1"),
        (None, 10**6 + 1, "samples must be at most 1 million"),
        (None, 2.5, "samples must be an integer"),
    ]:
        with pytest.raises(ValueError, match=message):
            check_request("quadratic", names, n_samples, 0)
    for name in ("digits", "digits-bits"):
        with pytest.raises(ValueError, match=f"samples must be at least 800 for a variance on {name}, got 799"):
            check_request(name, None, 799, 0)
    with pytest.raises(ValueError, match="problem must be one of .* Did you mean 'digits'"):
        named_problem("digit")
    with pytest.raises(ValueError, match="seed must be an integer from 0"):
        check_request("quadratic", None, 100, -1)


def test_a_table_holds_every_digit(tmp_path):
    rows = [{"a": "x", "b": 1 / 3, "c": None}, {"a": "y, z", "b": float("inf"), "c": 2}]
    write_table(tmp_path / "t.csv", rows)
    lines = (tmp_path / "t.csv").read_text().splitlines()
    assert lines == ["a,b,c", "x,0.3333333333333333,", '"y, z",inf,2']
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


def test_the_linear_problem_draws_what_it_says():
    # its rows are those of a VAE with the same parameters, at the same noise
    problem = PROBLEMS["linear-gaussian"]
    rows = list(problem.rows(["pathwise"], 1000, 0, np.random.default_rng(3)))
    V, sigma = np.array([[0.4, -0.1, 0.2], [0.3, 0.5, -0.2]]), np.array([0.6, 0.9])
    known = LinearGaussian(np.array([[1.0, 0.5], [-0.3, 0.8], [0.2, -0.6]]), np.array([0.1, -0.2, 0.3]), 0.5)
    model, params = linear_vae(known, V, sigma)
    again = np.random.default_rng(3)
    again.standard_normal((500, 1, 2))  # the pilot
    draws = encoder_draws(model, params, np.array([[1.0, -0.5, 0.8]]), again.standard_normal((1000, 1, 2)))
    found = [row["mean"] for row in rows]
    np.testing.assert_allclose(found, draws.rows(Elbo("pathwise")).mean(axis=(0, 1)), rtol=1e-12)


@pytest.mark.parametrize("problem", ["quadratic", "linear-gaussian"])
def test_draws_that_make_no_whole_group_are_left_out(problem):
    # 1003 = 250 groups of 4, and 3 draws more
    whole, more = (list(compare(problem, None, n)) for n in (1000, 1003))
    for a, b in zip(whole, more, strict=True):
        assert a | {"ns_per_draw": 0} == b | {"ns_per_draw": 0}
        assert b["n_samples"] == 1000


class Untrained:
    """Parameters that stand for trained ones."""

    def __init__(self, model, *_):
        self.params = model.init(np.random.default_rng(0))


@pytest.fixture
def untrained_digits(monkeypatch):
    """Compare on the digits without training, on three images."""
    monkeypatch.setattr(compare_digits, "train", Untrained)
    monkeypatch.setattr(compare_digits, "_EXAMPLES", 3)


@pytest.mark.usefixtures("untrained_digits")
@pytest.mark.parametrize("problem", ["digits", "digits-bits"])
def test_draws_of_each_image_are_whole_groups_too(problem):
    # of 3 images: 80 = 3 x 26 + 2, and 26 = 6 groups of 4, and 2
    rows = list(compare(problem, ["score", "score-leave-one-out"], 80))
    assert {row["n_samples"] for row in rows} == {24}
    assert rows[0]["estimator"] == "score"
    assert {row["problem"] for row in rows} == {problem}
    for row in rows:
        for value in ("mean", "variance", "snr"):
            assert np.isfinite(row[value])


@pytest.mark.parametrize("name", QUICK)
def test_the_squared_signal_to_noise_times_the_variance_is_the_squared_mean(name):
    for row in compare(name, None, 1000):
        assert row["snr"] ** 2 * row["variance"] == pytest.approx(row["mean"] ** 2, rel=1e-12)


class Clock:
    """A clock that is one, two, three, ... seconds further at each look: each look takes longer than the last."""

    def __init__(self):
        self.time, self.step = 0.0, 0.0

    def perf_counter(self):
        self.step += 1.0
        self.time += self.step
        return self.time


def test_the_shortest_of_three_times_counts_unless_the_first_is_long(monkeypatch):
    monkeypatch.setattr(compare_rows, "time", Clock())
    monkeypatch.setattr(compare_rows, "_LONG", 1e9)
    assert timed(lambda: "value") == ("value", 2.0)  # of 2, 4 and 6 seconds
    monkeypatch.setattr(compare_rows, "_LONG", 1.0)
    calls = []
    timed(lambda: calls.append(1))
    assert len(calls) == 1


@pytest.mark.parametrize("problem", ["quadratic", "linear-gaussian"])
def test_the_cost_of_a_draw_is_that_of_all_divided_by_their_number(problem, monkeypatch):
    for study in (compare_costs, compare_linear):
        monkeypatch.setattr(study, "timed", lambda run: (run(), 0.25))
    rows = list(compare(problem, None, 1000))
    assert [row["ns_per_draw"] for row in rows] == pytest.approx([0.25 / 1000 * 1e9] * len(rows))


@pytest.mark.usefixtures("untrained_digits")
def test_the_cost_of_a_draw_on_the_digits_is_that_of_one_image(monkeypatch):
    monkeypatch.setattr(compare_digits, "time", Clock())
    for row in compare("digits-bits", ["score"], 3 * 44):
        # 44 draws in blocks of 20, 20 and 4 of 3 images, that take 2, 4 and 6 seconds: the median of the ratios
        assert row["ns_per_draw"] == pytest.approx(1e9 * np.median([2 / 60, 4 / 60, 6 / 12]))


def test_the_constant_baseline_of_a_cost_is_its_value_at_mu():
    # E (f - f(mu))^2 s^2 - (E f s)^2, f = cos 0.8 x, x ~ N(1, 1.5^2)
    def mean(g):
        return integrate.quad(lambda e: g(e) * stats.norm.pdf(e), -12, 12, epsabs=1e-13, limit=200)[0]

    rows = {r["parameter"]: r for r in compare("cosine", ["score-constant"], 1000)}
    for parameter, score in (("mu", lambda e: e / 1.5), ("sigma", lambda e: (e**2 - 1) / 1.5)):

        def g(e, score=score):
            return (np.cos(0.8 * (1 + 1.5 * e)) - np.cos(0.8)) * score(e)

        exact = mean(lambda e, g=g: g(e) ** 2) - mean(g) ** 2
        assert rows[parameter]["exact_variance"] == pytest.approx(exact, rel=1e-9)


def test_the_moving_baseline_of_a_cost_starts_at_its_first_draw():
    # n draws of f = (x - 3)^2, x ~ N(1, 1), decay a: the first has no baseline, draw k a weighted mean of the k - 1
    # before it, which adds Var f E s^2 sum w_i^2 to the variance under E f; Var f = 4 d^2 + 2 = 18
    n, a = 40, 0.9
    squares = []
    for k in range(1, n):
        w = a ** np.arange(k)
        squares.append(np.sum((w / w.sum()) ** 2))
    rows = {r["parameter"]: r for r in compare("quadratic", ["score-moving-average"], n)}
    for parameter, first, under_mean, information in (("mu", 87, 42, 1), ("sigma", 346, 216, 2)):
        exact = (first + sum(under_mean + 18 * information * square for square in squares)) / n
        assert rows[parameter]["exact_variance"] == pytest.approx(exact, rel=1e-9)


def test_the_constant_and_the_moving_baseline_of_the_linear_model():
    V, sigma = np.array([[0.4, -0.1, 0.2], [0.3, 0.5, -0.2]]), np.array([0.6, 0.9])
    W, b = np.array([[1.0, 0.5], [-0.3, 0.8], [0.2, -0.6]]), np.array([0.1, -0.2, 0.3])
    x = np.array([1.0, -0.5, 0.8])
    mu = V @ (x - b)

    def f(eps):  # log p(x|z)
        return stats.norm.logpdf(x, (mu + sigma * eps) @ W.T + b, np.sqrt(0.5)).sum(axis=-1)

    nodes, w = gauss_hermite(6, 2)  # polynomials of degree 8 at most
    eps = nodes[:, 0]
    score = np.hstack([eps / sigma, (eps**2 - 1) / 2])
    seed = 3
    pilot = stream(seed, Stream.COMPARE, list(PROBLEMS).index("linear-gaussian")).standard_normal((500, 2))
    baselines = {"score-constant": f(np.zeros(2)), "score-moving-average": f(pilot).mean()}
    rows = list(compare("linear-gaussian", list(baselines), 1000, seed))
    for name, c in baselines.items():
        drawn = (f(eps) - c)[:, None] * score
        exact = w @ drawn**2 - (w @ drawn) ** 2
        found = [row["exact_variance"] for row in rows if row["estimator"] == name]
        np.testing.assert_allclose(found, exact, rtol=1e-9)


def test_small_helpers():
    assert quotient(1.0, None) is None
    assert quotient(0.0, 2.0) == 0.0
    calls = []
    result, seconds = timed(lambda: calls.append(1) or len(calls))
    assert (result, len(calls)) == (3, 3)
    assert seconds >= 0
