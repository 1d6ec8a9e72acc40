"""Metropolis and Hamiltonian Monte Carlo: moments, laws of the leapfrog, a planted error, what draws are worth."""

import numpy as np
import pytest

from minivae.classical.bayesian_linear import BayesianLinear
from minivae.classical.chain_diagnostics import effective_sample_size, split_r_hat
from minivae.classical.mcmc import hamiltonian, leapfrog, random_walk
from minivae.classical.normal_gamma import NormalGamma, UnknownNormal
from minivae.nn.gradcheck import check_gradient

NORMAL = UnknownNormal([1.2, -0.4, 0.7, 2.1, 0.3], NormalGamma(0.0, 1.0, 2.0, 1.0))
LINEAR = BayesianLinear(np.stack([np.ones(4), [0.5, 1.5, 2, 3]], axis=1), [1, 2, 2.2, 3.5], 4.0, 0.5)
MODELS = {"normal": NORMAL, "linear": LINEAR}
RUNS = {
    "metropolis": lambda model, rng: random_walk(model, start(model, rng), 0.6, 3000, rng),
    "hamiltonian": lambda model, rng: hamiltonian(model, start(model, rng), 0.16, 8, 800, rng),
}


def start(model, rng, n=20):
    mean, variance = model.moments
    return mean + np.sqrt(variance) * rng.standard_normal((n, 2))


def energy(model, z, p):
    return 0.5 * np.square(p).sum(axis=1) - model.log_joint(z)


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("name", MODELS)
def test_means_and_variances_within_standard_errors_of_the_effective_draws(name, run, rng):
    model = MODELS[name]
    chains = RUNS[run](model, rng)
    draws = chains.draws[200:]
    mean, variance = model.moments
    for found, exact in ((draws, mean), (np.square(draws - mean), variance)):
        error = np.sqrt(found.var(axis=(0, 1)) / effective_sample_size(found))
        assert (np.abs(found.mean(axis=(0, 1)) - exact) <= 5 * error).all()
        assert (error < 0.1 * np.sqrt(variance)).all()
    assert (split_r_hat(draws) < 1.02).all()
    np.testing.assert_array_equal(chains.log_joint[-1], model.log_joint(chains.draws[-1]))
    assert 0.1 < chains.acceptance.mean() < 1


def test_moves_are_counted():
    assert random_walk(LINEAR, np.zeros((3, 2)), 0.5, 10, np.random.default_rng(0)).n_evaluations == 3 * (1 + 10)
    # of log p(x, z) one each; of its slope one more than there are steps
    counted = {"log_joint": 0, "slope": 0}

    class Counting:
        n_latent = 2

        def log_joint(self, z):
            counted["log_joint"] += len(z)
            return LINEAR.log_joint(z)

        def slope(self, z):
            counted["slope"] += len(z)
            return LINEAR.slope(z)

    chains = hamiltonian(Counting(), np.zeros((3, 2)), 0.1, 4, 10, np.random.default_rng(0))
    assert counted == {"log_joint": 3 * 11, "slope": 3 * 10 * 5}
    assert chains.n_evaluations == sum(counted.values())


@pytest.mark.parametrize("name", MODELS)
def test_the_leapfrog_keeps_the_energy_to_the_square_of_its_step(name, rng):
    model, p = MODELS[name], rng.standard_normal((6, 2))
    z = start(model, rng, 6)
    errors = []
    for n in (64, 128, 256, 512):  # the same time, ever finer
        there, turned = leapfrog(model, z, p, 0.9 / n, n)
        errors.append(np.abs(energy(model, there, turned) - energy(model, z, p)).max())
    ratios = np.array(errors[:-1]) / errors[1:]
    np.testing.assert_allclose(ratios, 4, rtol=0.02)


@pytest.mark.parametrize("name", MODELS)
def test_the_leapfrog_can_be_run_backwards(name, rng):
    model, p = MODELS[name], rng.standard_normal((6, 2))
    z = start(model, rng, 6)
    there, turned = leapfrog(model, z, p, 0.1, 20)
    back, again = leapfrog(model, there, -turned, 0.1, 20)
    np.testing.assert_allclose(back, z, rtol=0, atol=1e-10)
    np.testing.assert_allclose(again, -p, rtol=0, atol=1e-10)
    assert np.abs(there - z).max() > 0.1


def test_the_leapfrog_keeps_volume(rng):
    state = np.concatenate([start(NORMAL, rng, 1)[0], rng.standard_normal(2)])

    def move(s):
        return np.concatenate(leapfrog(NORMAL, s[None, :2], s[None, 2:], 0.1, 5), axis=1)[0]

    J = np.array([(move(state + h) - move(state - h)) / 2e-5 for h in 1e-5 * np.eye(4)])
    assert abs(np.linalg.det(J)) == pytest.approx(1, abs=1e-8)


def test_one_step_of_the_leapfrog_by_hand():
    z, p = np.array([[0.2, 0.3]]), np.array([[1.0, -0.5]])
    half = p + 0.05 * LINEAR.slope(z)
    there = z + 0.1 * half
    found = leapfrog(LINEAR, z, p, 0.1, 1)
    np.testing.assert_allclose(found[0], there, rtol=1e-15)
    np.testing.assert_allclose(found[1], half + 0.05 * LINEAR.slope(there), rtol=1e-15)


class Wrong:
    """A regression whose slope is planted to be wrong by a factor."""

    n_latent = 2

    def __init__(self, factor):
        self.factor = factor

    def log_joint(self, z):
        return LINEAR.log_joint(z)

    def slope(self, z):
        return self.factor * LINEAR.slope(z)


def test_a_wrong_sign_of_the_slope_is_seen_in_the_acceptance(rng):
    z = start(LINEAR, rng)
    assert hamiltonian(LINEAR, z, 0.1, 3, 400, rng).acceptance.mean() > 0.95
    assert hamiltonian(Wrong(-1.0), z, 0.1, 3, 400, rng).acceptance.mean() < 0.5
    with pytest.raises(ValueError, match="step must let some .* got 0.1, .* Lower it, or mend the slope"):
        hamiltonian(Wrong(-1.0), z, 0.1, 20, 50, rng)


@pytest.mark.parametrize("factor", [0.5, 1.5])
def test_a_wrong_size_of_the_slope_costs_acceptance_and_leaves_the_draws_right(factor, rng):
    """The last step makes up for any slope."""
    wrong = hamiltonian(Wrong(factor), start(LINEAR, rng), 0.1, 4, 800, rng)
    assert wrong.acceptance.mean() < 0.9
    draws = np.square(wrong.draws - LINEAR.mean)
    error = np.sqrt(draws.var(axis=(0, 1)) / effective_sample_size(draws))
    assert (np.abs(draws.mean(axis=(0, 1)) - LINEAR.moments[1]) <= 5 * error).all()


@pytest.mark.parametrize("nothing", [np.nan, -np.inf])
def test_what_has_no_density_is_never_entered(nothing):
    class Cut(Wrong):
        def log_joint(self, z):
            return np.where(z[:, 0] > 0.5, nothing, LINEAR.log_joint(z))

    z = np.array([[0.0, 1.0]]) * np.ones((20, 1))
    for chains in (
        random_walk(Cut(1.0), z, 0.3, 200, np.random.default_rng(0)),
        hamiltonian(Cut(1.0), z, 0.1, 5, 200, np.random.default_rng(0)),
    ):
        assert chains.draws[:, :, 0].max() <= 0.5
        assert np.isfinite(chains.log_joint).all()
        assert chains.draws[:, :, 0].max() > 0.45
    far = leapfrog(NORMAL, z, z, 50.0, 400)  # out of the numbers, without a warning
    assert not np.isfinite(far[0]).all()


def test_steps_of_no_use_are_refused_or_spoken_of():
    g = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"step must let some .* got 1e\+06, .* none of 200 was. Lower it"):
        random_walk(LINEAR, np.ones((4, 2)), 1e6, 50, g)
    with pytest.raises(ValueError, match=r"step must let some moves be accepted, got 50, .* Lower it"):
        hamiltonian(LINEAR, np.ones((4, 2)), 50.0, 5, 20, g)
    with pytest.warns(UserWarning, match=r"all 200 moves were accepted: with step = 1e-09 .* Raise it"):
        random_walk(LINEAR, LINEAR.mean[None] * np.ones((4, 1)), 1e-9, 50, g)
    with pytest.warns(UserWarning, match="Raise it"):
        hamiltonian(LINEAR, np.ones((4, 2)), 1e-4, 2, 50, g)


def test_what_is_refused():
    g = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"start must have shape \(any, 2\), got \(3, 1\)"):
        random_walk(LINEAR, np.zeros((3, 1)), 0.1, 5, g)
    with pytest.raises(ValueError, match="start must have a finite log p"):
        random_walk(NORMAL, [[0.0, 1000.0]], 0.1, 5, g)
    with pytest.raises(ValueError, match="joint must be an object with n_latent, log_joint, slope, got 3"):
        hamiltonian(3, np.zeros((3, 1)), 0.1, 2, 5, g)


def autoregression(phi, n, m, seed=0):
    g = np.random.default_rng(seed)
    x = np.empty((n, m))
    x[0] = g.standard_normal(m) / np.sqrt(1 - phi**2)
    eps = g.standard_normal((n, m))
    for t in range(1, n):
        x[t] = phi * x[t - 1] + eps[t]
    return x


@pytest.mark.parametrize("phi", [-0.5, 0.0, 0.5, 0.9])
def test_the_effective_sample_size_of_an_autoregression(phi):
    x = autoregression(phi, 20_000, 4)
    assert effective_sample_size(x) / x.size == pytest.approx((1 - phi) / (1 + phi), rel=0.1)


def test_chains_that_disagree_have_a_large_r_hat_and_few_effective_draws():
    x = autoregression(0.3, 500, 4)
    assert split_r_hat(x) < 1.02
    apart = x + np.array([0.0, 0.0, 3.0, 3.0])
    assert split_r_hat(apart) > 1.5
    assert effective_sample_size(apart) < 0.03 * effective_sample_size(x)
    drift = x + np.linspace(-3, 3, 500)[:, None]
    assert split_r_hat(drift) > 1.5  # seen because the chains are cut in halves
    halves = np.concatenate([apart[:250], apart[250:]], axis=1)
    n, B, W = 250, 250 * halves.mean(axis=0).var(ddof=1), halves.var(axis=0, ddof=1).mean()
    assert split_r_hat(apart) == pytest.approx(np.sqrt(((n - 1) / n * W + B / n) / W), rel=1e-12)
    both = np.stack([x, apart], axis=2)
    np.testing.assert_array_equal(effective_sample_size(both), [effective_sample_size(x), effective_sample_size(apart)])
    np.testing.assert_array_equal(split_r_hat(both), [split_r_hat(x), split_r_hat(apart)])


def test_chains_that_stand_still():
    still = np.ones((20, 3))
    assert effective_sample_size(still) == 60
    assert split_r_hat(still) == 1
    assert split_r_hat(still * [1.0, 1.0, 2.0]) == np.inf
    with pytest.raises(ValueError, match=r"draws must have shape .* n at least 8, got \(7, 3\). Run the chains longer"):
        effective_sample_size(np.ones((7, 3)))


@pytest.mark.parametrize("n", [101, 500, 2000])
@pytest.mark.parametrize("phi", [-0.5, 0.0, 0.5, 0.9, 0.99])
def test_both_are_arvizs(phi, n):
    arviz = pytest.importorskip("arviz")
    x = autoregression(phi, n, 4, seed=n)
    assert split_r_hat(x) == pytest.approx(arviz.rhat(x.T, method="split"), rel=1e-12)
    assert effective_sample_size(x) == pytest.approx(arviz.ess(x.T, method="mean"), rel=1e-10)


def test_hamiltonians_slope_is_checked_as_any_gradient(rng):
    z = rng.standard_normal(2)
    assert not check_gradient(lambda v: LINEAR.log_joint(v[None])[0], -LINEAR.slope(z[None])[0], z).ok


@pytest.mark.parametrize(("phi", "n"), [(0.9, 60), (0.5, 61), (-0.6, 80), (0.99, 40)])
def test_the_effective_sample_size_by_its_formula(phi, n):
    """Lag by lag, without a transform: short chains, whose last lags count."""
    x = autoregression(phi, n, 3, seed=n)
    half = n // 2
    halves = [*x[:half].T, *x[n - half :].T]
    lags = [np.mean([((c := h - h.mean())[: half - t] * c[t:]).sum() / half for h in halves]) for t in range(half)]
    within = lags[0] * half / (half - 1)
    total = lags[0] + np.var([h.mean() for h in halves], ddof=1)
    rho = [1.0] + [1 - (within - lag) / total for lag in lags[1:]]
    tau, before, t = -1.0, np.inf, 0
    while t < 2 * ((half - 1) // 2) - 2 and rho[t] + rho[t + 1] > 0:
        before = min(before, rho[t] + rho[t + 1])
        tau, t = tau + 2 * before, t + 2
    tau += max(0.0, rho[t])
    assert effective_sample_size(x) == pytest.approx(x[: 2 * half].size / max(tau, 1 / np.log10(6 * half)), rel=1e-10)


def test_arviz_reads_what_the_samplers_give():
    arviz = pytest.importorskip("arviz")
    model = BayesianLinear(np.array([[1.0, 0.2], [0.0, 1.0], [1.0, 1.0]]), np.array([0.5, -0.3, 1.0]), 1.0, 1.0)
    chains = hamiltonian(model, np.zeros((4, 2)), 0.5, 3, 200, np.random.default_rng(0))
    groups = chains.to_arviz()
    new = int(arviz.__version__.split(".")[0]) > 0
    data = arviz.from_dict(groups) if new else arviz.from_dict(**groups)
    assert dict(data["posterior"].sizes) == {"chain": 4, "draw": 200, "z_dim_0": 2}
    np.testing.assert_array_equal(data["posterior"]["z"].values[1, 7], chains.draws[7, 1])
    np.testing.assert_array_equal(data["sample_stats"]["lp"].values[3, 5], chains.log_joint[5, 3])
    assert arviz.ess(data, method="mean")["z"].values == pytest.approx(effective_sample_size(chains.draws), rel=1e-9)
