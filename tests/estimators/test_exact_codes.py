"""Estimators for discrete codes: every number by enumeration of states or quadrature of the noise."""

import itertools

import numpy as np
import pytest
from scipy import integrate, special

from minivae.distributions.bits import Bits, all_states
from minivae.distributions.categorical import Categorical
from minivae.estimators.baselines import Centred
from minivae.estimators.codes import QuadraticForm, code_gradients, squared_distance
from minivae.estimators.control import Control
from minivae.estimators.costs import FunctionCost
from minivae.estimators.exact.bits import BernoulliExpectation
from minivae.estimators.exact.codes import code_moments, gumbel_softmax_slope, noise_nodes, unit_nodes
from minivae.estimators.weights import ESTIMATORS
from tests.support import assert_within_standard_errors

THETA, T = 0.3, 0.45
PHI, F = np.log([THETA / (1 - THETA)]), squared_distance(T)
BIT = Bits(1)
UNBIASED = ["score", "score-leave-one-out", "muprop", "arm", "disarm", "rebar", "relax"]
BIASED = ["straight-through", "gumbel-softmax"]
THREE = QuadraticForm(0.3, [1, -2, 0.5], [[0, 1, -0.5], [0, 0, 0.8], [0, 0, 0]])
PHI3 = np.array([0.4, -0.7, 0.1])


def moments(name, cost=F, posterior=BIT, head=PHI, **how):
    return code_moments(name, cost, posterior, head, **how)


# --------------------------------------------------------------------------------- numbers known before


def test_score_function_and_leave_one_out_of_a_bit():
    np.testing.assert_allclose(moments("exact").mean, 0.021, atol=1e-14)
    np.testing.assert_allclose(moments("score").variance, 0.0155938125, atol=1e-14)
    mean = THETA * (1 - T) ** 2 + (1 - THETA) * T**2
    np.testing.assert_allclose(moments("score", baseline=mean).variance, 0.000336, atol=1e-14)
    np.testing.assert_allclose(moments("score", baseline=0.2725).variance, 0, atol=1e-16)
    for n_draws, expected in {2: 0.000609, 3: 0.000259, 4: 0.0001575, 8: 5.775e-5}.items():
        found = moments("score-leave-one-out", n_draws=n_draws)
        np.testing.assert_allclose(found.variance, expected, atol=1e-14)
        np.testing.assert_allclose(found.mean, 0.021, atol=1e-14)


@pytest.mark.parametrize(
    ("t", "mean"),
    [(2, -0.0044943448), (1, -0.0104265602), (0.5, -0.0076890183), (0.1, 0.0127137112), (0.01, 0.0201593118)],
)
def test_the_gumbel_softmax_is_biased_and_at_one_of_the_wrong_sign(t, mean):
    np.testing.assert_allclose(moments("gumbel-softmax", temperature=t).mean, mean, atol=2e-10)


def test_variances_of_the_gumbel_softmax_and_its_slope():
    np.testing.assert_allclose(moments("gumbel-softmax", temperature=1.0).variance, 0.0042039578, atol=1e-10)
    np.testing.assert_allclose(moments("gumbel-softmax", temperature=0.1).variance, 0.0716466843, atol=1e-10)
    for t in (0.45, 0.499, 3.0):  # the integral is 1 for any t
        np.testing.assert_allclose(gumbel_softmax_slope(squared_distance(t), PHI), -0.084, atol=1e-10)
    bias = [moments("gumbel-softmax", temperature=t).mean[0] - 0.021 for t in (1e-3, 2e-3)]
    np.testing.assert_allclose((4 * bias[0] - bias[1]) / 2e-3, -0.084, atol=1e-5)  # without the second order
    np.testing.assert_allclose(gumbel_softmax_slope(F, [0.0]), 0, atol=1e-12)


def test_straight_through_of_a_bit():
    np.testing.assert_allclose(moments("straight-through").mean, -0.063, atol=1e-14)
    phi = np.array([0.8])
    theta = special.expit(phi)
    expected = 2 * (theta - T) * theta * (1 - theta)
    np.testing.assert_allclose(moments("straight-through", head=phi).mean, expected, atol=1e-14)


def rebar_of_independent_noise(t, eta):
    """Return mean and variance of REBAR whose v is drawn anew, by nodes of u and v."""
    v, w = unit_nodes(120)
    eps, w_eps = noise_nodes(BIT, PHI)
    z, y = (eps[:, 0] > 1 - THETA)[:, None].astype(float), BIT.behind(PHI[None], eps[:, None])[:, :, 0]
    u = np.where(z == 1, v * THETA + 1 - THETA, v * (1 - THETA))  # (K, V)
    held = PHI + special.logit(u)
    free = BIT.left_free(PHI[None], held[:, :, None].swapaxes(1, 2).reshape(-1, 1, 1), np.repeat(z, 121)[:, None, None])

    def control(y):
        zeta = special.expit(y / t)
        return (zeta - T) ** 2, 2 * (zeta - T) * zeta * (1 - zeta) / t

    c_held, slope_held = control(held)
    g = ((z - T) ** 2 - eta * c_held) * (z - THETA) + eta * control(y)[1]
    g = g - eta * slope_held * (1 - free.reshape(g.shape))
    mean = w_eps @ g @ w
    return mean, w_eps @ (g - mean) ** 2 @ w


def test_rebar_of_a_bit_with_coupled_and_with_independent_noise():
    np.testing.assert_allclose(moments("rebar", temperature=1.0).variance, 0.017234, atol=1e-9)
    np.testing.assert_allclose(rebar_of_independent_noise(1.0, 1.0), (0.021, 0.0178572043), atol=1e-10)
    np.testing.assert_allclose(rebar_of_independent_noise(0.5, 1.0), (0.021, 0.0215607765), atol=1e-10)


@pytest.mark.parametrize(("t", "least", "at"), [(0.45, 0.0155832, 0.07), (0.2, 0.0367, None)])
def test_the_best_eta_of_a_bit(t, least, at):
    def variance(eta):
        control = Control(np.array([eta, 0.0]), np.empty(2))
        return moments("rebar", squared_distance(t), temperature=1.0, baseline=control).variance[0]

    v = [variance(eta) for eta in (-1.0, 0.0, 1.0)]  # a parabola
    best = (v[0] - v[2]) / (2 * (v[0] - 2 * v[1] + v[2]))
    np.testing.assert_allclose(variance(best), least, atol=5e-8 if at else 5e-5)
    if at:
        assert abs(best - at) < 0.005
    np.testing.assert_allclose(variance(0.0), moments("score", squared_distance(t)).variance, rtol=1e-10)


def test_three_bits():
    three = {"cost": THREE, "posterior": Bits(3), "head": PHI3}
    gradient = [0.2569162535, -0.2175732700, 0.1162356567]
    np.testing.assert_allclose(moments("exact", **three).mean, gradient, atol=1e-10)
    np.testing.assert_allclose(
        moments("score", **three).variance, [0.1704977977, 0.1850203406, 0.2622912346], atol=1e-10
    )
    pair = moments("score-leave-one-out", **three, n_draws=2)
    np.testing.assert_allclose(pair.variance, [0.1749744616, 0.1864275676, 0.1650084070], atol=1e-10)


def log_weights_of_three(shift=0.0):
    f = THREE.value(all_states(3)) + shift
    q = np.exp(all_states(3) @ PHI3 - np.logaddexp(0, PHI3).sum())
    return BernoulliExpectation(PHI3, f - 3 * np.log(2) - np.log(q))


def test_vimco_of_three_bits():
    table = log_weights_of_three()
    for shift in (0.0, -4.0):  # a constant is nothing
        found = log_weights_of_three(shift).vimco(2)
        np.testing.assert_allclose(found.mean, [0.0704483273, -0.0067798655, 0.0373940189], atol=1e-10)
        np.testing.assert_allclose(found.variance, [0.1419527135, 0.1192576675, 0.1299236481], atol=1e-10)
    q = table._states[0]
    for n_draws, expected in {2: 0.6597485116, 3: 0.6748467737}.items():
        f = table.f[np.indices((8,) * n_draws).reshape(n_draws, -1)]
        w = q[np.indices((8,) * n_draws).reshape(n_draws, -1)].prod(axis=0)
        assert abs(w @ np.log(np.exp(f).mean(axis=0)) - expected) < 1e-10
    with pytest.raises(ValueError, match="n_draws must be at least 2, got 1: a single draw has no others"):
        table.vimco(1)
    with pytest.raises(ValueError, match="n_draws must be at most 5 to enumerate all groups of draws of 3 bits, got 6"):
        table.vimco(6)


# ------------------------------------------------------------------------------------------------ laws


def instance(seed, n=3):
    rng = np.random.default_rng(seed)
    return QuadraticForm(rng.normal(), rng.normal(size=n), rng.normal(size=(n, n))), rng.normal(size=n)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("name", "posterior"),
    [(name, q) for name in UNBIASED[:-1] for q in (Bits(2), Categorical(3)) if ESTIMATORS[name].suits(q)],
)
def test_unbiased_ones_have_the_gradient_of_the_mean(name, posterior, seed):
    cost, head = instance(seed, posterior.n_latent)
    found = code_moments(name, cost, posterior, head, temperature=0.7 if name == "rebar" else None, n_draws=3)
    exact = code_moments("exact", cost, posterior, head).mean
    np.testing.assert_allclose(found.mean, exact, atol=1e-9)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", [*UNBIASED, *BIASED])
def test_draws_have_the_exact_moments_and_biased_ones_are_found_out(name, seed, rng):
    cost, head = instance(seed, 2)
    eps = rng.random((6000 if name == "score-leave-one-out" else 40_000, 2))
    exact = code_moments("exact", cost, Bits(2), head).mean
    known = code_moments(name, cost, Bits(2), head, n_draws=4)
    rows = code_gradients(name, cost, Bits(2), head, eps)
    if name == "score-leave-one-out":  # all of them as one group, whose rows depend on each other
        rows = np.concatenate([code_gradients(name, cost, Bits(2), head, part) for part in eps.reshape(-1, 4, 2)])
        rows = rows.reshape(-1, 4, 2).mean(axis=1)
    assert_within_standard_errors(rows, known.mean)
    if name in BIASED:
        error = rows.std(axis=0) / np.sqrt(len(rows))
        distance = (rows.mean(axis=0) - exact) / error
        assert np.max(np.abs(distance)) > 5
        worst = np.argmax(np.abs(distance))
        assert np.sign(distance[worst]) == np.sign((known.mean - exact)[worst])
    else:
        np.testing.assert_allclose(known.mean, exact, atol=1e-9)


@pytest.mark.parametrize("n", [1, 3, 6])
@pytest.mark.parametrize("seed", range(3))
def test_disarm_never_varies_more_than_arm(n, seed):
    rng = np.random.default_rng(seed)
    table = BernoulliExpectation(2 * rng.normal(size=n), rng.normal(size=2**n))
    arm, disarm = table.arm(), table.disarm()
    assert (disarm.variance <= arm.variance + 1e-15).all()
    np.testing.assert_allclose(arm.mean, table.gradient, rtol=1e-12)


@pytest.mark.parametrize("name", ["arm", "disarm"])
@pytest.mark.parametrize("n", [1, 2])
def test_the_sum_over_pairs_is_the_integral_over_the_noise(name, n, rng):
    head, cost = 1.5 * rng.normal(size=n), QuadraticForm(0.2, rng.normal(size=n), rng.normal(size=(n, n)))
    eps, w = noise_nodes(Bits(n), head, antithetic=True)
    rows = code_gradients(name, cost, Bits(n), head, eps)
    found = code_moments(name, cost, Bits(n), head)
    np.testing.assert_allclose(w @ rows, found.mean, atol=1e-10)
    np.testing.assert_allclose(w @ (rows - w @ rows) ** 2, found.variance, atol=1e-10)


def test_sixteen_bits_are_enumerated_and_no_more():
    cost, head = instance(0, 16)
    table = BernoulliExpectation(head, cost.value(all_states(16)))
    for found in (code_moments(name, cost, Bits(16), head) for name in ("muprop", "arm", "disarm")):
        np.testing.assert_allclose(found.mean, table.gradient, atol=1e-10)
        assert (found.variance > 0).all()
    assert code_moments("rebar", cost, Bits(16), head) is None
    cost, head = instance(0, 17)
    with pytest.raises(ValueError, match="posterior must have at most 65,536 states to be enumerated, got 17 latents"):
        code_moments("muprop", cost, Bits(17), head)


def test_straight_through_has_no_bias_where_the_cost_is_linear_in_each_bit():
    three = {"cost": THREE, "posterior": Bits(3), "head": PHI3}
    np.testing.assert_allclose(moments("straight-through", **three).mean, moments("exact", **three).mean, atol=1e-14)


def test_muprop_leaves_no_noise_of_a_linear_cost():
    cost = QuadraticForm(0.3, [1.0, -2.0, 0.5], np.zeros((3, 3)))
    found = moments("muprop", cost, Bits(3), PHI3)
    np.testing.assert_allclose(found.variance, 0, atol=1e-28)
    q = Categorical(3)
    np.testing.assert_allclose(moments("muprop", cost, q, PHI3).variance, 0, atol=1e-28)


def test_nvil_is_a_score_function_on_another_scale():
    f = moments("score", baseline=0.2)
    within, beyond = (moments("nvil", baseline=Centred(0.2, spread)) for spread in (0.5, 4.0))
    np.testing.assert_allclose(within.variance, f.variance, rtol=1e-14)
    np.testing.assert_allclose(beyond.mean, f.mean / 4, rtol=1e-14)
    np.testing.assert_allclose(beyond.variance, f.variance / 16, rtol=1e-14)
    eps = np.array([[0.2], [0.9]])
    one, other = (code_gradients("nvil", F, BIT, PHI, eps, baseline=Centred(0.2, spread)) for spread in (0.5, 4.0))
    np.testing.assert_allclose(one, code_gradients("score", F, BIT, PHI, eps, baseline=0.2), rtol=1e-14)
    np.testing.assert_allclose(other, one / 4, rtol=1e-14)


@pytest.mark.parametrize("t", [0.1, 1.0])
def test_nodes_integrate_as_an_adaptive_rule_does(t):
    def row(u):
        return code_gradients("rebar", F, BIT, PHI, [[u]], temperature=t)[0, 0] ** 2

    pieces = [(0, THETA), (THETA, 1 - THETA), (1 - THETA, 1 - 0.05), (1 - 0.05, 1)]
    square = sum(integrate.quad(row, a, b, limit=200, epsabs=1e-11)[0] for a, b in pieces)
    found = moments("rebar", temperature=t)
    np.testing.assert_allclose(found.variance + found.mean**2, square, rtol=1e-8)


def test_nodes_of_categories_have_their_probabilities_and_their_gumbels():
    q, head = Categorical(3), np.array([0.4, -0.7, 0.1])
    eps, w = noise_nodes(q, head)
    z, y = q.sample(np.empty(0), head[None], eps[:, None])[0][:, 0], q.behind(head[None], eps[:, None])[:, 0]
    np.testing.assert_allclose(w @ z, special.softmax(head), atol=1e-12)
    for power in (1, 2):  # of the uniform noise itself, and of products of two
        np.testing.assert_allclose(w @ eps**power, 1 / (power + 1), atol=1e-8)
    for i, j in itertools.combinations(range(3), 2):
        np.testing.assert_allclose(w @ (eps[:, i] * eps[:, j]), 0.25, atol=1e-8)
    np.testing.assert_allclose(w @ y, special.log_softmax(head) + np.euler_gamma, atol=1e-7)


# ------------------------------------------------------------------------------------------------ words


def test_bad_input_is_refused():
    eps = [[0.5]]
    for t in (0.0, -1.0):
        with pytest.raises(ValueError, match=f"temperature must be a finite number greater than 0, got {t}"):
            code_gradients("gumbel-softmax", F, BIT, PHI, eps, temperature=t)
    with pytest.raises(ValueError, match="estimator must be one that suits Categorical, got 'arm', which is for bits"):
        code_gradients("arm", THREE, Categorical(3), PHI3, [[0.5, 0.5, 0.5]])
    with pytest.raises(ValueError, match="needs no path for Bits, got 'pathwise'.*relaxation and are biased"):
        code_gradients("pathwise", F, BIT, PHI, eps)
    with pytest.raises(ValueError, match="eps must hold at least 2 draws for 'score-leave-one-out', got 1"):
        code_gradients("score-leave-one-out", F, BIT, PHI, eps)
    with pytest.raises(ValueError, match="estimator must be one that draws, got 'exact'"):
        code_gradients("exact", F, BIT, PHI, eps)
    with pytest.raises(ValueError, match="df must be given for an estimator that differentiates the cost"):
        code_gradients("muprop", FunctionCost(lambda z: z[:, 0]), BIT, PHI, eps)
    with pytest.raises(ValueError, match="cost must have value"):
        code_gradients("rebar", FunctionCost(lambda z: z[:, 0], lambda z: np.ones_like(z)), BIT, PHI, eps)
    with pytest.raises(ValueError, match=r"eps must be uniform noise in \[0, 1\) for bits"):
        code_gradients("score", F, BIT, PHI, [[-0.5]])
