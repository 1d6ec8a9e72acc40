"""Exact means and variances of the estimators, against tables, formulas, integration and enumeration of the noise."""

import numpy as np
import pytest
from scipy import integrate
from scipy.special import dawsn, erf

from minivae.distributions.nodes import gauss_hermite, normal_nodes
from minivae.estimators.costs import Cosine, Exponential, FunctionCost, Linear, Quadratic
from minivae.estimators.exact.costs import exact_moments, variance_crossings
from minivae.estimators.moments import summarize
from minivae.estimators.on_costs import (
    COST_ESTIMATORS,
    ImportanceScore,
    LeaveOneOutScore,
    MeasureValued,
    MovingAverageScore,
    ScoreFunction,
    sample_gradients,
)

EXP, COS = (Exponential(0.5), 1.0, 1.5), (Cosine(0.8), 1.0, 1.5)

# (mean, then the variances): for mu and for sigma
TABLE = {
    (Quadratic(3.0), 1.0, 1.0): {
        "mean": (-4, 2),
        "pathwise": (4, 24),
        "score": (87, 346),
        "score-mean": (42, 216),
        "score-optimal": (38, 184),
        "measure-valued": (4.3718327158, 20),
        "measure-valued-uncoupled": (3.4591559026, 72),
    },
    EXP: {
        "mean": (-0.1463391145, -0.1519675420),
        "pathwise": (0.1357746898, 0.0666765911),
        "score": (0.0543232637, 0.0643751927),
        "score-mean": (0.0501592094, 0.1284657259),
        "score-optimal": (0.0270650756, 0.0410470591),
        "measure-valued": (0.0060627901, 0.0325993471),
    },
    COS: {
        "mean": (-0.2793397565, -0.3255586200),
        "pathwise": (0.2424938151, 0.2115148952),
        "score": (0.1459253350, 0.3340349537),
        "score-mean": (0.2420182267, 0.6086561712),
        "score-optimal": (0.1360298117, 0.2613533327),
        "measure-valued": (0.0142209066, 0.1186313853),
    },
}
OPTIMAL = {(Quadratic(3.0), 1.0, 1.0): (7, 9), EXP: (0.2476508092, 0.1620004638), COS: (-0.1492143675, -0.2859489879)}
ROWS = [(problem, name) for problem, rows in TABLE.items() for name in rows if name != "mean"]


@pytest.mark.parametrize(("problem", "name"), ROWS, ids=lambda v: v if isinstance(v, str) else str(v[0]))
def test_the_tables_to_ten_digits(problem, name):
    exact = exact_moments(name, *problem)
    np.testing.assert_allclose(exact.mean.ravel(), TABLE[problem]["mean"], rtol=0, atol=1.1e-10)
    np.testing.assert_allclose(exact.variance.ravel(), TABLE[problem][name], rtol=0, atol=1.1e-10)


@pytest.mark.parametrize("problem", OPTIMAL, ids=lambda v: str(v[0]))
def test_the_optimal_baselines_to_ten_digits(problem):
    cost, mu, sigma = problem
    found = cost.optimal_baseline(np.array([mu]), np.array([sigma])).ravel()
    np.testing.assert_allclose(found, OPTIMAL[problem], rtol=0, atol=1.1e-10)
    assert abs(EXP[0].mean(np.array([1.0]), np.array([1.5])) - 0.4756021222) < 1e-10


@pytest.mark.parametrize("seed", range(5))
def test_the_formulas_of_the_quadratic_cost(seed):
    rng = np.random.default_rng(seed)
    k, mu, s = rng.normal(), rng.normal(), rng.uniform(0.3, 2)
    d2, s2, pi = (mu - k) ** 2, s**2, np.pi
    for name, expected in {
        "pathwise": (4 * s2, 4 * d2 + 8 * s2),
        "score": (d2**2 / s2 + 14 * d2 + 15 * s2, 2 * d2**2 / s2 + 60 * d2 + 74 * s2),
        "score-mean": (8 * d2 + 10 * s2, 40 * d2 + 56 * s2),
        "score-optimal": (8 * d2 + 6 * s2, 40 * d2 + 24 * s2),
        "measure-valued": ((16 / pi - 4) * d2, 4 * d2 + 4 * s2),
        "measure-valued-uncoupled": ((8 / pi - 2) * d2 + 4 * s2 / pi, 16 * d2 + 8 * s2),
    }.items():
        exact = exact_moments(name, Quadratic(k), mu, s)
        np.testing.assert_allclose(exact.variance.ravel(), expected, rtol=1e-10, atol=1e-10, err_msg=name)
        np.testing.assert_allclose(exact.mean.ravel(), [2 * (mu - k), 2 * s], rtol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_the_coupled_measure_valued_formulas_of_exp_and_cos(seed):
    rng = np.random.default_rng(seed)
    k, mu, s = rng.uniform(0.2, 1.2), rng.normal(), rng.uniform(0.3, 1.5)
    exact = exact_moments("measure-valued", Exponential(k), mu, s)
    A, B = 1 + 4 * k * s**2, 4 * k * mu * s
    tilted = np.exp(-2 * k * mu**2 / A) / np.sqrt(A)
    square = tilted * B / A * erf(B / np.sqrt(2 * A)) / (np.sqrt(2 * np.pi) * s**2)
    np.testing.assert_allclose(exact.variance[0, 0], square - exact.mean[0, 0] ** 2, rtol=1e-9)

    exact = exact_moments("measure-valued", Cosine(k), mu, s)
    t, E1 = 2 * k * s, np.exp(-((k * s) ** 2) / 2)
    E2 = np.exp(-(t**2) / 2)
    at_mu = np.sin(k * mu) ** 2 / (np.pi * s**2) * np.sqrt(2) * t * dawsn(t / np.sqrt(2))
    at_sigma = (1 - E1 + np.cos(2 * k * mu) * (E1 - E2 - 2 * (k * s) ** 2 * E2)) / s**2
    np.testing.assert_allclose(exact.variance.ravel(), [at_mu, at_sigma] - exact.mean.ravel() ** 2, rtol=1e-9)


@pytest.mark.parametrize("cost", [Exponential(0.7), Cosine(0.9)], ids=str)
def test_the_uncoupled_measure_valued_variance_is_the_double_integral(cost):
    mu, s = 0.4, 1.2
    w, p = np.polynomial.legendre.leggauss(200)
    w, p = 5 * (w + 1), 5 * p * 5 * (w + 1) * np.exp(-((5 * (w + 1)) ** 2) / 2)  # Rayleigh on [0, 10]
    g = (cost.each(mu + s * w)[:, None] - cost.each(mu - s * w)) / (s * np.sqrt(2 * np.pi))
    exact = exact_moments("measure-valued-uncoupled", cost, mu, s)
    np.testing.assert_allclose(exact.mean[0, 0], p @ g @ p, rtol=1e-10)
    np.testing.assert_allclose(exact.variance[0, 0], p @ g**2 @ p - (p @ g @ p) ** 2, rtol=1e-9)
    n, q = normal_nodes()
    n = n.ravel()
    g = (cost.each(mu + s * n)[:, None] - cost.each(mu + s * n)) / s
    maxwell = q * n**2
    np.testing.assert_allclose(exact.mean[1, 0], maxwell @ g @ q, rtol=1e-10)
    np.testing.assert_allclose(exact.variance[1, 0], maxwell @ g**2 @ q - (maxwell @ g @ q) ** 2, rtol=1e-9)


ONE_DRAW = ["pathwise", "score", "score-constant", "score-mean", "score-optimal", "score-importance"]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("n_latent", [1, 2])
@pytest.mark.parametrize("cost", [Linear(), Quadratic(0.6), Exponential(0.5), Cosine(0.8)], ids=str)
def test_mean_and_variance_are_the_integrals_over_the_noise(cost, n_latent, seed):
    rng = np.random.default_rng(seed)
    mu, sigma = rng.normal(size=n_latent), rng.uniform(0.4, 1.5, n_latent)
    eps, w = normal_nodes(n_latent)
    for name in ONE_DRAW:
        rows = COST_ESTIMATORS[name].gradients(cost, mu, sigma, eps)
        exact = exact_moments(name, cost, mu, sigma)
        mean = np.tensordot(w, rows, 1)
        np.testing.assert_allclose(exact.mean, mean, rtol=1e-9, atol=1e-9, err_msg=name)
        np.testing.assert_allclose(exact.variance, np.tensordot(w, (rows - mean) ** 2, 1), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["pathwise", "score", "score-mean", "score-optimal"])
def test_polynomial_estimators_are_exact_at_twelve_gauss_hermite_nodes(name):
    eps, w = gauss_hermite(12, 1)
    rows = COST_ESTIMATORS[name].gradients(Quadratic(3.0), 1.0, 1.0, eps)[:, :, 0]
    np.testing.assert_allclose(w @ rows, [-4, 2], atol=1e-10)
    np.testing.assert_allclose(w @ (rows - [-4, 2]) ** 2, TABLE[Quadratic(3.0), 1.0, 1.0][name], atol=1e-9)


def sequences(n_draws, n_nodes=8):
    """Yield every sequence of n_draws nodes, shape (n_draws, 1, 1), with its weight."""
    x, w = gauss_hermite(n_nodes, n_draws)
    return [(noise.reshape(n_draws, 1, 1), weight) for noise, weight in zip(x, w, strict=True)]


@pytest.mark.parametrize("n_draws", [2, 3])
@pytest.mark.parametrize("kind", ["leave-one-out", "moving average"])
def test_estimators_with_several_draws_by_enumerating_all_sequences_of_nodes(kind, n_draws):
    cost, mu, sigma = Quadratic(0.6), 0.2, 0.8
    rule = LeaveOneOutScore(n_draws) if kind == "leave-one-out" else MovingAverageScore(0.7)
    weights = np.array([weight for _, weight in sequences(n_draws)])
    means = np.array([rule.gradients(cost, mu, sigma, eps).mean(axis=0).ravel() for eps, _ in sequences(n_draws)])
    exact = exact_moments(rule, cost, mu, sigma, n_draws)
    np.testing.assert_allclose(weights @ means, exact.mean.ravel(), atol=1e-10)
    variance = n_draws * weights @ (means - exact.mean.ravel()) ** 2
    np.testing.assert_allclose(variance, exact.variance.ravel(), rtol=1e-10)


@pytest.mark.parametrize(("n_draws", "cost", "n_nodes"), [(2, Quadratic(0.5), 5), (3, Linear(), 4)])
@pytest.mark.parametrize("kind", ["leave-one-out", "moving average"])
def test_the_same_in_two_dimensions(kind, n_draws, cost, n_nodes):
    # a squared row has degree 2 (2 + 2) in each number of a quadratic cost, 2 (1 + 2) of a linear one: exact
    mu, sigma = np.array([0.2, -0.7]), np.array([0.8, 1.3])
    rule = LeaveOneOutScore(n_draws) if kind == "leave-one-out" else MovingAverageScore(0.7)
    noise, w = gauss_hermite(n_nodes, 2 * n_draws)
    sequences = noise.reshape(-1, n_draws, 1, 2)
    means = np.array([rule.gradients(cost, mu, sigma, eps).mean(axis=0) for eps in sequences])
    exact = exact_moments(rule, cost, mu, sigma, n_draws)
    np.testing.assert_allclose(np.tensordot(w, means, 1), exact.mean, atol=1e-10)
    variance = n_draws * np.tensordot(w, (means - exact.mean) ** 2, 1)
    np.testing.assert_allclose(variance, exact.variance, rtol=1e-10)


def test_a_moving_average_that_has_forgotten_its_start():
    args = (Quadratic(0.6), 0.2, 0.8)
    settled = exact_moments(MovingAverageScore(0.9), *args).variance
    np.testing.assert_allclose(exact_moments(MovingAverageScore(0.9), *args, 10**6).variance, settled, rtol=1e-4)
    last_only = exact_moments(MovingAverageScore(0.0), *args, 10**6).variance  # one earlier draw: as a pair, less
    pair = exact_moments(LeaveOneOutScore(2), *args)  # what the two draws of a pair share
    np.testing.assert_allclose(last_only, pair.variance - pair.mean**2, rtol=1e-4)


@pytest.mark.parametrize(("n", "score", "optimal"), [(1, 18.5625, 8), (10, 245.25, 35), (100, 16434, 305)])
def test_quadratic_cost_in_many_dimensions(n, score, optimal):
    mu, sigma = np.full(n, 0.5), np.ones(n)
    for name, expected in {"pathwise": 4, "score": score, "score-optimal": optimal}.items():
        np.testing.assert_allclose(exact_moments(name, Quadratic(), mu, sigma).variance[0], expected, rtol=1e-12)


@pytest.mark.parametrize("n", [1, 3, 20])
def test_linear_cost_in_many_dimensions(n, rng):
    mu, sigma = rng.normal(size=n), np.full(n, 0.7)
    S = mu.sum()
    np.testing.assert_allclose(exact_moments("pathwise", Linear(), mu, sigma).variance[0], 0, atol=1e-14)
    plain = exact_moments("score", Linear(), mu, sigma).variance
    np.testing.assert_allclose(plain[0], S**2 / 0.7**2 + n + 1, rtol=1e-12)
    np.testing.assert_allclose(plain[1], 2 * S**2 / 0.7**2 + 2 * n + 8, rtol=1e-12)
    np.testing.assert_allclose(exact_moments(ScoreFunction(S), Linear(), mu, sigma).variance[0], n + 1, rtol=1e-12)
    np.testing.assert_allclose(exact_moments("score-optimal", Linear(), mu, sigma).variance[0], n + 1, rtol=1e-12)


def test_any_constant_costs_its_squared_distance_from_the_optimal_one(rng):
    cost, mu, sigma = Cosine(0.8), rng.normal(size=3), rng.uniform(0.5, 1.5, 3)
    best, c = exact_moments("score-optimal", cost, mu, sigma).variance, rng.normal(size=(2, 3))
    expected = best + (c - cost.optimal_baseline(mu, sigma)) ** 2 * np.array([[1], [2]]) / sigma**2
    np.testing.assert_allclose(exact_moments(ScoreFunction(c), cost, mu, sigma).variance, expected, rtol=1e-11)


def test_a_mean_baseline_can_raise_the_variance_and_the_score_can_beat_the_path():
    plain, mean, path = (exact_moments(name, *EXP).variance.ravel() for name in ("score", "score-mean", "pathwise"))
    assert mean[1] > 1.9 * plain[1]
    assert (plain < path).all()
    assert exact_moments("score", *COS).variance[0] < exact_moments("pathwise", *COS).variance[0]


@pytest.mark.parametrize("family", [Exponential, Cosine])
def test_crossings_are_where_both_variances_agree_and_change_places(family):
    found = variance_crossings(family, 1.0, 1.0, 0.05, 2.5)
    assert len(found[0]) == len(found[1]) == 1
    for parameter, (k,) in enumerate(found):

        def integral(name, k, parameter=parameter):
            def row(e):
                return COST_ESTIMATORS[name].gradients(family(k), 1.0, 1.0, np.array([[[e]]]))[0, parameter, 0]

            def against_normal(power):
                weight = lambda e: np.exp(-(e**2) / 2) / np.sqrt(2 * np.pi)  # noqa: E731
                return integrate.quad(lambda e: row(e) ** power * weight(e), -10, 10, epsabs=1e-12)[0]

            return against_normal(2) - against_normal(1) ** 2

        assert abs(integral("score", k) - integral("pathwise", k)) < 1e-8
        assert integral("score", 0.9 * k) > integral("pathwise", 0.9 * k)
        assert integral("score", 1.1 * k) < integral("pathwise", 1.1 * k)


@pytest.mark.parametrize(("c", "low", "high", "n_grid"), [(20.0, -4.0, 4.1, 50), (14.0, -2.0, 3.5, 10)])
def test_every_crossing_is_found_and_they_are_sorted(c, low, high, n_grid):
    # Var(c) = Var* + (c - c*)^2 E s^2: the constants 0 and c vary alike where c* = c / 2, and on f = (x - k)^2,
    # x ~ N(0, 1), c* = k^2 + 3 for mu and k^2 + 5 for sigma: twice each; with c = 14 the first is the end of the grid
    pair = (ScoreFunction(0.0), ScoreFunction(c))
    found = variance_crossings(Quadratic, 0.0, 1.0, low, high, estimators=pair, n_grid=n_grid)
    for roots, own in zip(found, (3, 5), strict=True):
        k = np.sqrt(c / 2 - own)
        np.testing.assert_allclose(roots, [-k, k], atol=1e-11)


def test_between_many_crossings_the_better_estimator_alternates():
    # Var of the constants 0 and c is alike where c* = c / 2, and of cos kx, x ~ N(1, 0.3), c* is a damped wave in k
    pair, (low, high) = (ScoreFunction(0.0), ScoreFunction(0.1)), (0.1, 9.0)
    for parameter, roots in enumerate(variance_crossings(Cosine, 1.0, 0.3, low, high, estimators=pair)):
        h = 0.3 * np.linspace(low, high, 100_001)
        wave = {0: 1 - h**2, 1: (h**4 - 4 * h**2 + 2) / 2}[parameter] * np.cos(h / 0.3) * np.exp(-(h**2) / 2)
        changes = np.flatnonzero(np.diff(np.sign(wave - 0.05)))
        assert len(roots) == len(changes) >= 2
        np.testing.assert_allclose(roots, h[changes] / 0.3, atol=1e-4)  # a step of the fine grid
        ends = [low, *roots, high]
        middle = [(a + b) / 2 for a, b in zip(ends, ends[1:], strict=False)]
        first, other = (
            np.array([exact_moments(e, Cosine(k), 1.0, 0.3).variance[parameter, 0] for k in middle]) for e in pair
        )
        signs = np.sign(first - other)
        np.testing.assert_array_equal(signs[1:], -signs[:-1])


def test_where_the_path_always_wins_there_are_no_crossings():
    assert variance_crossings(Quadratic, 1.0, 1.0, -3.0, 3.0) == ([], [])


PROBLEMS = [Linear(), Quadratic(0.6), Exponential(0.5), Cosine(0.8)]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("cost", PROBLEMS, ids=str)
@pytest.mark.parametrize("name", COST_ESTIMATORS)
def test_sampled_means_and_variances_are_within_five_standard_errors(name, cost, seed):
    rng = np.random.default_rng([seed, 7])
    n_latent, n_draws = 1 + seed, 20_000
    mu, sigma = rng.normal(size=n_latent), rng.uniform(0.5, 1.5, n_latent)
    rows = sample_gradients(name, cost, mu, sigma, n_draws, rng)
    exact = exact_moments(name, cost, mu, sigma, n_draws)
    summary = summarize(rows, exact, n_group=COST_ESTIMATORS[name].n_group)
    assert np.abs(summary.z_mean).max() < 5
    assert np.abs(summary.z_variance).max() < 5


KURTOSIS = {"pathwise": (3, 29 / 3), "score": (26.797, 177.50), "score-optimal": (37.687, 180.78)}


@pytest.mark.parametrize("name", KURTOSIS)
def test_with_the_exact_kurtosis_the_band_of_the_variance_is_right(name):
    # of the score with respect to sigma it is 177: a million draws would know the variance to 1.3 % only
    eps, w = gauss_hermite(20, 1)
    rows = COST_ESTIMATORS[name].gradients(Quadratic(3.0), 1.0, 1.0, eps)[:, :, 0] - [-4, 2]
    kurtosis = w @ rows**4 / (w @ rows**2) ** 2
    np.testing.assert_allclose(kurtosis, KURTOSIS[name], rtol=2e-5)
    rng = np.random.default_rng(5)
    rows = sample_gradients(name, Quadratic(3.0), 1.0, 1.0, 50_000, rng)
    exact = exact_moments(name, Quadratic(3.0), 1.0, 1.0)
    assert np.abs(summarize(rows, exact, kurtosis=kurtosis[:, None]).z_variance).max() < 5


def test_a_biased_estimator_is_caught(rng):
    # a baseline that contains its own draw shrinks the gradient by (K - 1) / K
    cost, eps = Quadratic(3.0), rng.standard_normal((20_000, 1))
    f = cost.value(1.0 + eps).reshape(-1, 4)
    signal = (f - f.mean(axis=1, keepdims=True)).ravel()
    rows = np.stack([signal[:, None] * eps, signal[:, None] * (eps**2 - 1)], axis=1)
    summary = summarize(rows, exact_moments("score-mean", cost, 1.0, 1.0), n_group=4)
    assert np.abs(summary.z_mean[0, 0]) > 10


def test_a_cost_without_closed_form_has_no_exact_moments():
    assert exact_moments("pathwise", FunctionCost(lambda z: z[:, 0]), 0.0, 1.0) is None
    with pytest.raises(ValueError, match="costs must have a closed form"):
        variance_crossings(lambda k: FunctionCost(lambda z: k * z[:, 0]), 0.0, 1.0, 0.1, 1.0)
    with pytest.raises(ValueError, match="low must be below high, got 2"):
        variance_crossings(Cosine, 0.0, 1.0, 2.0, 1.0)


def test_estimators_know_their_exact_moments():
    for rule in (*COST_ESTIMATORS.values(), ImportanceScore(0.8), MeasureValued(False), ScoreFunction(2.0)):
        exact = exact_moments(rule, Cosine(0.8), np.zeros(2), np.ones(2))
        assert exact.mean.shape == exact.variance.shape == (2, 2)
        assert (exact.variance > 0).any()
