"""Annealed importance sampling: its parts by their laws, its answer against models whose log p(x) is known."""

import tracemalloc

import numpy as np
import pytest

import minivae as mv
from minivae.core.errors import NonFiniteError
from minivae.distributions.likelihoods import Gaussian, GaussianPerPixel
from minivae.distributions.linear_gaussian import LinearGaussian
from minivae.models import annealing
from minivae.models.annealing import (
    Joint,
    annealed_log_marginal,
    annealed_quantities,
    leapfrog,
    move,
    temperatures,
)
from minivae.models.bounds import CollapsedWeightsWarning, log_marginal
from minivae.models.vae import VAE
from tests.own_boxes import owning_vae
from tests.support import assert_within_standard_errors, binary, linear_vae, needs_jit

quiet = pytest.mark.filterwarnings("ignore::minivae.models.bounds.CollapsedWeightsWarning")


def linear(W, s2, b=None):
    """Return a linear model whose encoder knows nothing, its parameters, and its closed form."""
    p, q = W.shape
    b = np.zeros(p) if b is None else b
    return *linear_vae(W, b, s2, np.zeros((q, p)), np.ones(q)), LinearGaussian(W, b, s2)


def draws_of(known, n, rng):
    z = rng.normal(size=(n, known.W.shape[1]))
    return z @ known.W.T + known.b + np.sqrt(known.s2) * rng.normal(size=(n, len(known.W)))


MODELS = {
    "bernoulli": lambda: VAE.mlp(4, 3, [5], "tanh"),
    "learned variance": lambda: VAE.mlp(4, 3, [5], "tanh", Gaussian(0.3, learned=True)),
    "variance per pixel": lambda: VAE.mlp(4, 3, [5], "tanh", GaussianPerPixel()),
    "a prior with parameters": owning_vae,
}


# ------------------------------------------------------------------------------------------------ the parts


@pytest.mark.parametrize("b", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("kind", MODELS)
def test_the_slope_is_that_of_the_tempered_density(kind, b, rng):
    model = MODELS[kind]()
    params = model.init(rng) + 0.4 * rng.standard_normal(model.n_params)
    joint = Joint(model, params, binary(rng, 3, model.n_x))
    z = rng.normal(size=(2, 3, model.posterior.n_latent))
    slope, numeric = joint.at(z).slope(b), np.empty(z.shape)
    for i in range(z.shape[2]):
        h = np.zeros(z.shape[2])
        h[i] = 1e-5
        numeric[:, :, i] = (joint.at(z + h).log_f(b) - joint.at(z - h).log_f(b)) / 2e-5
    np.testing.assert_allclose(slope, numeric, atol=1e-8)
    assert np.abs(slope).max() > 0.1


def test_temperatures_rise_from_the_prior_to_the_posterior():
    for n in (1, 2, 7):
        b = temperatures(n)
        assert (len(b), b[0], b[-1]) == (n + 1, 0, 1)
        assert (np.diff(b) > 0).all()


def orbit(rng):
    model, params = MODELS["bernoulli"](), None
    params = model.init(rng) + 0.4 * rng.standard_normal(model.n_params)
    joint = Joint(model, params, binary(rng, 3))
    return joint, rng.normal(size=(2, 3, 3)), rng.normal(size=(2, 3, 3)), np.array([0.1, 0.2, 0.3])


def test_leapfrog_steps_lead_back(rng):
    joint, z, momentum, step = orbit(rng)
    there, turned = leapfrog(joint, joint.at(z), momentum, 0.6, step, 7)
    back, again = leapfrog(joint, there, -turned, 0.6, step, 7)
    np.testing.assert_allclose(back.z, z, atol=1e-12)
    np.testing.assert_allclose(again, -momentum, atol=1e-12)
    assert np.abs(there.z - z).max() > 0.1


def test_leapfrog_keeps_volume(rng):
    joint, z, momentum, step = orbit(rng)
    joint.x, z, momentum, step = joint.x[:1], z[:1, :1], momentum[:1, :1], np.array([0.4])

    def end(point):
        there, turned = leapfrog(joint, joint.at(point[:3].reshape(1, 1, 3)), point[3:].reshape(1, 1, 3), 0.6, step, 5)
        return np.concatenate([there.z.ravel(), turned.ravel()])

    start, h = np.concatenate([z.ravel(), momentum.ravel()]), 1e-5
    jacobian = np.stack([(end(start + h * e) - end(start - h * e)) / (2 * h) for e in np.eye(6)])
    assert abs(np.linalg.det(jacobian) - 1) < 1e-8
    assert np.abs(jacobian - np.eye(6)).max() > 0.1


def test_leapfrog_keeps_energy_to_second_order(rng):
    joint, z, momentum, _ = orbit(rng)
    errors = []
    for n in (10, 20, 40):
        here = joint.at(z)
        there, turned = leapfrog(joint, here, momentum, 0.6, np.full(3, 1.0 / n), n)
        energy = [0.5 * np.sum(m**2, axis=2) - at.log_f(0.6) for m, at in ((momentum, here), (turned, there))]
        errors.append(np.abs(energy[1] - energy[0]).max())
    assert 3.5 < errors[0] / errors[1] < 4.5
    assert 3.5 < errors[1] / errors[2] < 4.5


@needs_jit
@pytest.mark.parametrize("b", [0.2, 1.0])
def test_a_move_leaves_its_distribution_as_it_is(b):
    # z ~ N(m, S) at temperature b; large steps, so that many are refused: without that the spread would grow
    rng = np.random.default_rng(0)
    W, s2, n = np.array([[1.0, 0.4], [0.2, -0.8], [0.5, 0.5]]), 0.3, 40_000
    model, params, _ = linear(W, s2)
    x = np.array([[0.7, -1.0, 0.4]])
    S = np.linalg.inv(np.eye(2) + b * W.T @ W / s2)
    m = x[0] @ W @ S * b / s2
    joint = Joint(model, params, x)
    here = joint.at((m + rng.normal(size=(n, 2)) @ np.linalg.cholesky(S).T)[:, None])
    start = here.z
    rates = []
    for _ in range(3):
        here, rate = move(joint, here, b, np.array([1.6 * np.sqrt(S[1, 1])]), 2, rng)
        rates.append(rate.mean())
    assert 0.3 < np.mean(rates) < 0.9
    z = here.z[:, 0]
    assert 0.5 < np.mean(z != start[:, 0]) < 1
    assert_within_standard_errors(z, m)
    assert_within_standard_errors((z - m)[:, :, None] * (z - m)[:, None, :], S)


def test_a_refused_move_stays_where_it_was(rng):
    joint, z, _, _ = orbit(rng)
    here = joint.at(z)
    with np.errstate(all="ignore"):
        there, rate = move(joint, here, 1.0, np.array([1e-3, 1e200, 1e-3]), 3, rng)
    np.testing.assert_array_equal(there.z[:, 1], z[:, 1])
    for name in ("log_prior", "log_lik", "dprior", "dlik"):
        np.testing.assert_array_equal(getattr(there, name)[:, 1], getattr(here, name)[:, 1])
        np.testing.assert_allclose(getattr(there, name), getattr(joint.at(there.z), name), rtol=1e-12)
    np.testing.assert_array_equal(rate[:, 1], 0)
    assert (rate[:, [0, 2]] > 0.9).all()
    assert (there.z[:, [0, 2]] != z[:, [0, 2]]).any()


# ------------------------------------------------------------------------------------- log p(x) that is known


def test_one_temperature_is_monte_carlo_over_the_prior(rng):
    model, params, _ = linear(rng.normal(size=(3, 2)), 0.5)
    x = rng.normal(size=(40, 3))
    a = annealed_log_marginal(model, params, x, 1, np.random.default_rng(1), n_chains=20)
    b = log_marginal(model, params, x, 20, np.random.default_rng(1), "prior")
    np.testing.assert_allclose(a.log_p, b.log_p, rtol=1e-14)
    np.testing.assert_allclose(a.ess, b.ess, rtol=1e-12)


@quiet
@needs_jit
@pytest.mark.parametrize(("n_temperatures", "n_leapfrog"), [(2, 1), (5, 3), (30, 1)])
def test_the_mean_weight_is_the_probability_however_few_the_temperatures(n_temperatures, n_leapfrog):
    rng = np.random.default_rng(n_temperatures)
    model, params, known = linear(rng.normal(size=(3, 2)), 0.6, rng.normal(size=3))
    x = np.tile(draws_of(known, 1, rng), (3000, 1))
    found = annealed_log_marginal(model, params, x, n_temperatures, rng, n_chains=4, n_leapfrog=n_leapfrog)
    exact = known.log_prob(x[:1]).item()
    assert_within_standard_errors(np.exp(found.log_p - exact), 1.0)
    assert 0.6 < found.acceptance.mean() < 0.95
    # so that its log is below in expectation
    assert found.log_p.mean() <= exact + 5 * found.log_p.std() / np.sqrt(len(x))
    assert found.log_p.mean() < exact


@needs_jit
@pytest.mark.parametrize("seed", range(3))
def test_it_finds_log_p_of_linear_models(seed):
    rng = np.random.default_rng(seed)
    model, params, known = linear(rng.normal(size=(5, 3)), 0.2, rng.normal(size=5))
    x = draws_of(known, 12, rng)
    found = annealed_log_marginal(model, params, x, 300, rng)
    # delta method: the relative variance of the mean weight is (K / ESS - 1) / K
    error = np.sqrt((found.n_draws / found.ess - 1) / found.n_draws)
    gap = found.log_p - known.log_prob(x)
    assert (np.abs(gap) <= 5 * error + 1e-9).all()
    assert np.sqrt(np.mean(gap**2)) < 0.3
    assert (np.abs(found.acceptance - 0.8) < 0.1).all()


@quiet
@needs_jit
def test_it_judges_where_the_prior_cannot():
    # ten dimensions with s2 = 0.1: the prior would need 7e7 draws for 10 %
    rng = np.random.default_rng(3)
    model, params, known = linear(np.eye(10), 0.1)
    x = draws_of(known, 8, rng)
    exact = known.log_prob(x)
    annealed = annealed_log_marginal(model, params, x, 200, rng, n_leapfrog=5)
    prior = log_marginal(model, params, x, 16 * 200 * 5, rng, "prior")  # as many passes through the decoder
    gaps = [np.sqrt(np.mean((found.log_p - exact) ** 2)) for found in (annealed, prior)]
    assert gaps[0] < 0.5
    assert gaps[1] > 4 * gaps[0]
    assert prior.log_p.mean() < exact.mean() - 0.5  # it misses the posterior, and is too low


@quiet
@needs_jit
def test_more_temperatures_leave_less_variance():
    rng = np.random.default_rng(0)
    model, params, known = linear(np.eye(4), 0.2)
    x = draws_of(known, 20, rng)
    ess = [annealed_log_marginal(model, params, x, n, rng, n_chains=9, n_leapfrog=5).ess.mean() for n in (3, 20, 200)]
    assert ess[0] < ess[1] < ess[2]
    assert ess[2] > 6


@needs_jit
def test_step_sizes_follow_a_narrow_posterior():
    rng = np.random.default_rng(0)
    model, params, known = linear(np.eye(2), 1e-4)
    x = draws_of(known, 4, rng)
    found = annealed_log_marginal(model, params, x, 400, rng)
    assert (found.acceptance > 0.6).all()
    assert (np.abs(found.log_p - known.log_prob(x)) < 1.5).all()


@needs_jit
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_it_agrees_with_importance_sampling_of_a_network(dtype):
    rng = np.random.default_rng(0)
    model = VAE.mlp(6, 2, [5], "tanh")
    params = model.init(rng) + 0.5 * rng.standard_normal(model.n_params)
    params = params.astype(dtype)
    x = binary(rng, 6, 6).astype(dtype)
    a = annealed_log_marginal(model, params, x, 200, rng)
    b = log_marginal(model, params, x, 50_000, rng, "prior")
    error = [np.sqrt((found.n_draws / found.ess - 1) / found.n_draws) for found in (a, b)]
    assert (np.abs(a.log_p - b.log_p) <= 5 * np.hypot(*error)).all()


# --------------------------------------------------------------------------------- memory, threads, words


@pytest.mark.parametrize("n_cores", [1, 3])
def test_the_estimate_does_not_depend_on_the_number_of_threads(rng, monkeypatch, n_cores):
    model, params, _ = linear(rng.normal(size=(3, 2)), 0.5)
    x = rng.normal(size=(70, 3))
    expected = annealed_log_marginal(model, params, x, 5, np.random.default_rng(1))
    monkeypatch.setattr("os.cpu_count", lambda: n_cores)
    found = annealed_log_marginal(model, params, x, 5, np.random.default_rng(1))
    np.testing.assert_array_equal(found.log_p, expected.log_p)
    np.testing.assert_array_equal(found.acceptance, expected.acceptance)


def peak(call, n_draws):
    tracemalloc.start()
    call(n_draws)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most


@quiet
@needs_jit
@pytest.mark.parametrize("how", ["posterior", "prior", "annealed"])
def test_memory_does_not_grow_with_the_draws(how):
    rng = np.random.default_rng(0)
    model, params, known = linear(rng.normal(size=(4, 2)), 0.5)
    x = draws_of(known, 3, rng)

    def call(n_draws):
        if how == "annealed":
            annealed_log_marginal(model, params, x, 2, rng, n_chains=-(-n_draws // 5), n_leapfrog=1)
        else:
            log_marginal(model, params, x, n_draws, rng, how)

    call(320)  # what is loaded once
    few, many = peak(call, 320), peak(call, 100_000)
    assert many < few + 300_000  # the log-weights alone would be 2.4 MB, and 480 kB of a fifth of them


def test_a_collapse_is_warned_of_with_its_remedy():
    rng = np.random.default_rng(0)
    model, params, known = linear(np.eye(12), 0.01)
    with pytest.warns(CollapsedWeightsWarning, match=r"of 5 examples is below 2 of 16 draws.*Raise n_temp.*now 2\."):
        annealed_log_marginal(model, params, draws_of(known, 5, rng), 2, rng)


def test_impossible_data_are_refused_in_words(rng):
    model = VAE.mlp(3, 2, [4], likelihood=Gaussian(1e-38))
    params = model.init(rng, np.float32)
    with pytest.raises(NonFiniteError, match="of 2 of 2 examples is not finite: log w is -inf or NaN for all"):
        annealed_log_marginal(model, params, np.full((2, 3), 10, np.float32), 3, rng)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"n_temperatures": 0}, "n_temperatures must be an integer of at least 1, got 0"),
        ({"n_chains": 0}, "n_chains must be an integer of at least 1, got 0"),
        ({"n_leapfrog": 2.5}, "n_leapfrog must be an integer of at least 1, got 2.5"),
        ({"rng": 3}, "rng must be a numpy.random.Generator"),
        ({"model": VAE.mlp(3, 2, [4], posterior="bits")}, "posterior must be of real z, .* got Bits. Enumerate by mod"),
        ({"model": mv.Autoencoder.mlp(3, 2, [4])}, "model must be a model whose code is a distribution"),
    ],
)
def test_what_cannot_be_is_refused(how, words, rng):
    args = {"model": VAE.mlp(3, 2, [4]), "x": np.ones((2, 3)), "n_temperatures": 3, "rng": rng} | how
    args["params"] = args["model"].init(np.random.default_rng(0))
    with pytest.raises(ValueError, match=words):
        annealed_log_marginal(**args)


def test_the_rows_of_the_table_say_what_they_are(rng):
    model = VAE.mlp(3, 1, [4])
    params = model.init(rng)
    rows = annealed_quantities(model, params, np.ones((2, 3)), 20, 3)
    assert [row["quantity"] for row in rows] == [
        "log p(x) annealed, N=20, 16 chains",
        "effective sample size, annealed, smallest",
        "accepted steps, annealed",
    ]
    again = annealed_quantities(model, params, np.ones((2, 3)), 20, 3)
    assert rows == again
    with pytest.warns(UserWarning, match="strictly between 0 and 1"):
        grey = annealed_quantities(model, params, np.full((2, 3), 0.5), 20, 3)
    assert grey[0]["quantity"] == "cross-entropy bound annealed, N=20, 16 chains"


def test_the_pilot_has_a_step_for_each_of_its_temperatures(rng):
    model, params, _ = linear(rng.normal(size=(3, 2)), 0.5)
    steps = annealing._step_sizes(Joint(model, params, rng.normal(size=(4, 3))), temperatures(6)[1:], 3, rng)
    assert steps.shape == (6, 4)
    assert (steps[0] > steps[-1]).all()  # the prior is wider than any posterior
