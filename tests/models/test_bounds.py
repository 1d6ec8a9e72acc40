"""The K-sample bounds and the importance-sampled log p(x), against a model whose log p(x) is known."""

import itertools
import warnings

import numpy as np
import pytest
from scipy import special, stats

from minivae.core.arrays import log_mean_exp
from minivae.core.errors import NonFiniteError
from minivae.core.parallel import for_each_chunk, row_chunks
from minivae.distributions.likelihoods import Gaussian
from minivae.distributions.linear_gaussian import LinearGaussian
from minivae.distributions.nodes import gauss_hermite
from minivae.models import bounds
from minivae.models.bounds import (
    CollapsedWeightsWarning,
    LogMarginal,
    importance_estimate,
    iwae_bound,
    log_marginal,
    log_weights,
    warn_if_collapsed,
)
from minivae.models.vae import VAE
from tests import support
from tests.support import assert_within_standard_errors, binary, linear_vae, small_vae

# p(z) = N(0, 1), p(x|z) = N(z, 1), x = 1, q = N(0.2, 0.8^2): bounds by quadrature, log p(x) = log N(1; 0, 2)
BOUNDS = {1: -1.6220820845, 2: -1.5600750476, 3: -1.5434754596, 4: -1.5358804718}
LOG_P = -1.5155121235
X = np.ones((1, 1))


@pytest.fixture
def one_dimensional():
    model = VAE.mlp(1, 1, [], likelihood=Gaussian())
    params = np.zeros(model.n_params)
    parts = dict(model.named(params))
    parts["encoder.0.bias"][:] = 0.2, 2 * np.log(0.8)
    parts["decoder.0.weight"][:] = 1.0
    return model, params


def exact_posterior(W, b, s2):
    """Return a linear VAE whose q(z|x) is the exact posterior (W has orthogonal columns), as functions of x."""
    model = VAE.mlp(*W.shape, [], likelihood=Gaussian(s2))
    params = np.zeros(model.n_params)
    parts, q = dict(model.named(params)), W.shape[1]
    covariance = np.linalg.inv(LinearGaussian(W, b, s2).precision)
    parts["encoder.0.weight"][:, :q] = W @ covariance / s2
    parts["encoder.0.bias"][:q] = -b @ W @ covariance / s2
    parts["encoder.0.bias"][q:] = np.log(np.diag(covariance))
    parts["decoder.0.weight"][:], parts["decoder.0.bias"][:] = W.T, b
    return model, params


def test_log_mean_exp_is_stable_and_right(rng):
    a = rng.normal(size=(7, 3)) * 5
    np.testing.assert_allclose(log_mean_exp(a), special.logsumexp(a, axis=0) - np.log(7), rtol=1e-13)
    np.testing.assert_allclose(log_mean_exp(a - 1e5), log_mean_exp(a) - 1e5, rtol=1e-13)
    assert log_mean_exp(np.full((3, 1), -np.inf)).item() == -np.inf


def test_first_bound_is_the_elbo(one_dimensional):
    model, params = one_dimensional
    eps, w = gauss_hermite(20, 1)
    bounds = [iwae_bound(model, params, X, eps[k : k + 1]).item() for k in range(len(w))]
    assert abs(w @ bounds - BOUNDS[1]) < 1e-9


def test_second_bound_by_quadrature(one_dimensional):
    model, params = one_dimensional
    eps, w = gauss_hermite(120, 1)
    log_w = log_weights(model, params, X, eps)[:, 0]
    pairs = log_mean_exp(np.stack(np.broadcast_arrays(log_w[:, None], log_w[None, :])), axis=0)
    assert abs(w @ pairs @ w - BOUNDS[2]) < 1e-9


@pytest.mark.parametrize("k", BOUNDS)
def test_bounds_by_sampling(one_dimensional, k):
    model, params = one_dimensional
    rng, n = np.random.default_rng(k), 50_000
    x = np.ones((n, 1))
    assert_within_standard_errors(iwae_bound(model, params, x, rng.standard_normal((k, n, 1))), BOUNDS[k])


def test_bounds_grow_with_the_number_of_draws_and_stay_below_log_p(one_dimensional):
    model, params = one_dimensional
    rng, n = np.random.default_rng(0), 20_000
    x = np.ones((n, 1))
    means = [iwae_bound(model, params, x, rng.standard_normal((k, n, 1))).mean() for k in (1, 5, 50)]
    assert means[0] < means[1] < means[2] < LOG_P


def test_log_marginal_reaches_log_p(rng):
    b, x = rng.normal(size=4), rng.normal(size=(6, 4))
    W = rng.normal(size=(4, 2))
    model, params = exact_posterior(W, b, 0.7)  # nearly the posterior: its off-diagonal part is missing
    log_p = LinearGaussian(W, b, 0.7).log_prob(x)
    estimate = log_marginal(model, params, x, 20_000, rng)
    # delta method: the relative variance of the mean weight is (K / ESS - 1) / K
    error = np.sqrt((estimate.n_draws / estimate.ess - 1) / estimate.n_draws)
    assert (np.abs(estimate.log_p - log_p) <= 5 * error + 1e-12).all()
    assert (estimate.ess < estimate.n_draws).all()


def test_with_the_exact_posterior_every_draw_gives_log_p(rng):
    W, _ = np.linalg.qr(rng.normal(size=(4, 2)))
    W, b, x = W * [2.0, 1.0], rng.normal(size=4), rng.normal(size=(6, 4))
    model, params = exact_posterior(W, b, 0.7)
    log_p = LinearGaussian(W, b, 0.7).log_prob(x)
    estimate = log_marginal(model, params, x, 3, rng)
    np.testing.assert_allclose(estimate.log_p, log_p, rtol=1e-11)
    np.testing.assert_allclose(estimate.ess, 3, rtol=1e-11)
    np.testing.assert_allclose(iwae_bound(model, params, x, rng.standard_normal((2, 6, 2))), log_p, rtol=1e-11)


def test_streaming_over_draws_and_examples_changes_nothing(rng, monkeypatch):
    model = VAE.mlp(3, 2, [4], "tanh")
    params, x = model.init(rng), np.round(rng.random((10, 3)))
    monkeypatch.setattr("minivae.models.bounds.DRAWS_AT_ONCE", 5)
    monkeypatch.setattr("minivae.core.parallel._ROWS_AT_ONCE", 20)  # 4 examples at once: chunks of 3, 3 and 4
    streamed = log_marginal(model, params, x, 17, np.random.default_rng(1))
    seeds = np.random.default_rng(1).integers(2**63, size=3)
    rngs = [np.random.default_rng(seed) for seed in seeds]  # one generator a chunk
    parts = [[model.draw_noise(r, k, n, float) for k in (5, 5, 5, 2)] for r, n in zip(rngs, (3, 3, 4), strict=True)]
    eps = np.concatenate([np.concatenate(part) for part in parts], axis=1)
    log_w = log_weights(model, params, x, eps)
    np.testing.assert_allclose(streamed.log_p, log_mean_exp(log_w), rtol=1e-12)
    w = np.exp(log_w - log_w.max(0))
    np.testing.assert_allclose(streamed.ess, w.sum(0) ** 2 / (w**2).sum(0), rtol=1e-12)


@pytest.mark.parametrize("n_cores", [1, 2, 5])
def test_the_estimate_does_not_depend_on_the_number_of_threads(rng, monkeypatch, n_cores):
    model = VAE.mlp(3, 2, [4], "tanh")
    params, x = model.init(rng), np.round(rng.random((100, 3)))
    expected = log_marginal(model, params, x, 40, np.random.default_rng(1))
    monkeypatch.setattr("os.cpu_count", lambda: n_cores)
    found = log_marginal(model, params, x, 40, np.random.default_rng(1))
    np.testing.assert_array_equal(found.log_p, expected.log_p)


def test_an_error_in_a_thread_and_the_callers_errstate_reach_the_other_side():
    seen = []

    def work(rows, _):
        seen.append(np.geterr()["divide"])
        if rows.start:
            raise ValueError("in a thread")

    with np.errstate(divide="raise"), pytest.raises(ValueError, match="in a thread"):
        for_each_chunk(work, [slice(0, 1), slice(1, 2)], np.random.default_rng(0))
    assert seen == ["raise", "raise"]


def test_chunks_cover_every_row_once_and_stay_small():
    for n_rows, draws in itertools.product((1, 2, 31, 32, 33, 100, 1797), (1, 16, 1000)):
        chunks = list(row_chunks(n_rows, draws))
        assert [i for rows in chunks for i in range(n_rows)[rows]] == list(range(n_rows))
        sizes = [rows.stop - rows.start for rows in chunks]
        assert min(sizes) >= 1
        assert max(sizes) - min(sizes) <= 1
        assert max(sizes) * draws <= 512 or max(sizes) == 1


@pytest.mark.parametrize("log_w", [[0.0, -2000.0, 5.0, -2000.0], [-2000.0, 0.0, -2000.0, -np.inf]])
def test_weights_may_fall_and_rise_by_any_factor_from_draw_to_draw(log_w, monkeypatch, rng):
    model, params = small_vae(rng)
    left = iter(log_w)
    monkeypatch.setattr(bounds, "DRAWS_AT_ONCE", 1)
    monkeypatch.setattr(bounds, "_log_weights", lambda *_: np.array([[next(left)]]))
    found = log_marginal(model, params, binary(rng, 1), 4, rng)
    np.testing.assert_allclose(found.log_p, log_mean_exp(np.array(log_w)), rtol=1e-12)
    w = np.exp(np.array(log_w) - max(log_w))
    np.testing.assert_allclose(found.ess, w.sum() ** 2 / (w**2).sum(), rtol=1e-12)


def test_number_of_draws_is_honoured_below_the_batch_size(rng):
    model = VAE.mlp(3, 2, [4], "tanh")
    params, x = model.init(rng), np.ones((100, 3))
    assert np.ptp(log_marginal(model, params, x, 1, rng).ess) < 1e-12
    assert log_marginal(model, params, x, 7, rng).ess.max() > 1.5


@pytest.mark.parametrize("n_draws", [0, -3, 2.5])
def test_number_of_draws_must_be_positive(one_dimensional, n_draws, rng):
    with pytest.raises(ValueError, match="n_draws must be an integer of at least 1"):
        log_marginal(*one_dimensional, X, n_draws, rng)


# ------------------------------------------------------------------------------------ the prior as proposal


def from_the_prior(W, b, s2):
    """Return a linear model whose encoder gives the prior, so that its weights are p(x|z)."""
    q = W.shape[1]
    return linear_vae(W, b, s2, np.zeros((q, len(W))), np.ones(q))


def relative_variance(W, s2, y):
    """Return the relative variance of p(x|z), z ~ p(z): one draw of plain Monte Carlo."""
    p = len(W)
    wide, narrow = W @ W.T + 0.5 * s2 * np.eye(p), W @ W.T + s2 * np.eye(p)
    log = [stats.multivariate_normal(np.zeros(p), C).logpdf(y) for C in (wide, narrow)]
    return np.exp(-p / 2 * np.log(4 * np.pi * s2) + log[0] - 2 * log[1]) - 1


@pytest.mark.parametrize(
    ("W", "s2", "y", "known"),
    [(support.W, support.S2, support.Y, 1.6162251550), (np.ones((1, 1)), 1.0, np.ones((1, 1)), 0.3641175048)],
)
def test_the_relative_variance_of_the_prior_is_known(W, s2, y, known):
    model, params = from_the_prior(W, np.zeros(len(W)), s2)
    assert abs(relative_variance(W, s2, y[0]) - known) < 1e-9
    eps, w = gauss_hermite(90, W.shape[1])
    weights = np.exp(log_weights(model, params, y, eps))[:, 0]
    assert abs(w @ weights**2 / (w @ weights) ** 2 - 1 - known) < 1e-9
    # and the sampled weights have it: K / ESS - 1 estimates it
    n = 400
    found = log_marginal(model, params, np.tile(y, (n, 1)), 2000, np.random.default_rng(0), "prior")
    exact = np.log(w @ weights)
    assert_within_standard_errors(np.exp(found.log_p - exact), 1.0)
    assert_within_standard_errors(2000 * (np.exp(found.log_p - exact) - 1) ** 2, known)
    assert abs((found.n_draws / found.ess - 1).mean() / known - 1) < 0.05


def test_the_prior_needs_exponentially_many_draws_in_the_dimension():
    factor = [relative_variance(np.eye(d), 0.1, np.full(d, np.sqrt(1.1))) + 1 for d in (1, 5, 10)]
    np.testing.assert_allclose(factor, 3.8644699442 ** np.array([1, 5, 10]), rtol=1e-8)
    rng = np.random.default_rng(0)
    ess = []
    for d in (1, 5, 10):
        model, params = from_the_prior(np.eye(d), np.zeros(d), 0.1)
        found = importance_estimate(model, params, np.full((50, d), np.sqrt(1.1)), 2000, rng, "prior")
        ess.append(found.ess.mean())
        # below 2000 / factor where the draws are too few to have seen the largest weights
        assert ess[-1] < 1.3 * 2000 / factor[len(ess) - 1] + 3
    assert ess[0] > 400 > 5 * ess[1] / 2
    assert ess[2] < 5


@pytest.mark.parametrize("proposal", ["posterior", "prior"])
@pytest.mark.parametrize("seed", range(4))
def test_no_estimate_exceeds_log_p_in_expectation(proposal, seed):
    rng = np.random.default_rng(seed)
    W, b, s2 = rng.normal(size=(4, 2)), rng.normal(size=4), 0.3 + rng.random()
    model, params = linear_vae(W, b, s2, 0.3 * rng.normal(size=(2, 4)), 0.5 + rng.random(2))
    x, n = rng.normal(size=(1, 4)), 3000
    exact = LinearGaussian(W, b, s2).log_prob(x).item()
    found = log_marginal(model, params, np.tile(x, (n, 1)), 8, rng, proposal).log_p
    assert found.mean() <= exact + 5 * found.std() / np.sqrt(n)
    # the weights themselves have the mean p(x)
    assert_within_standard_errors(np.exp(found - exact), 1.0, 6)


def test_bits_have_a_prior_too(rng):
    model = VAE.mlp(3, 3, [4], posterior="bits")
    params, x = model.init(rng) + 0.3 * rng.standard_normal(model.n_params), np.round(rng.random((5, 3)))
    found = log_marginal(model, params, x, 20_000, rng, "prior")
    error = np.sqrt((found.n_draws / found.ess - 1) / found.n_draws)
    assert (np.abs(found.log_p - model.log_prob(params, x)) <= 5 * error).all()


# ----------------------------------------------------------------------------------------- a collapse, in words


@pytest.mark.parametrize(
    ("proposal", "remedy"), [("prior", "Draw from the posterior"), ("posterior", "Take more draws, train the encoder")]
)
def test_a_collapse_is_warned_of(proposal, remedy, rng):
    model, params = from_the_prior(np.eye(10), np.zeros(10), 0.01)
    x = rng.normal(size=(3, 10))
    words = rf"of 3 examples is below 2 of 50 draws: one draw makes nearly all .* loose lower bound .*{remedy}.*--ais"
    with pytest.warns(CollapsedWeightsWarning, match=words):
        found = log_marginal(model, params, x, 50, rng, proposal)
    assert (found.ess < 2).any()
    # a bound holds however few draws count, and few draws are no estimate
    importance_estimate(model, params, x, 50, rng, proposal)
    log_marginal(model, params, x, 19, rng, proposal)


def test_a_collapse_of_bits_is_not_to_be_annealed(rng):
    model = VAE.mlp(30, 6, [], posterior="bits")
    params = 20 * model.init(rng)
    with pytest.warns(CollapsedWeightsWarning, match="Draw from the posterior, or enumerate"):
        log_marginal(model, params, np.round(rng.random((4, 30))), 20, rng, "prior")


def test_one_example_in_a_hundred_is_not_yet_a_collapse():
    ess = np.full(200, 50.0)
    for low, warns in ((0, False), (2, False), (3, True)):
        ess[:low] = 1.5
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            warn_if_collapsed(LogMarginal(ess, ess, 100), "Remedy.")
        assert bool(said) is warns
    with pytest.warns(CollapsedWeightsWarning, match="of 1 of 1 examples is below 2 of 20 draws"):
        warn_if_collapsed(LogMarginal(np.zeros(1), np.ones(1), 20), "Remedy.")


def test_where_no_draw_of_the_prior_counts_it_is_said(rng):
    model = VAE.mlp(3, 2, [4], likelihood=Gaussian(1e-38))
    params, x = model.init(rng, np.float32), np.full((2, 3), 10, np.float32)
    with pytest.raises(NonFiniteError, match=r"of 2 of 2 examples is not finite: .* all 20 draws of the prior"):
        log_marginal(model, params, x, 20, rng, "prior")
    with np.errstate(over="ignore"), pytest.warns(CollapsedWeightsWarning):  # a caller that looks itself
        found = log_marginal(model, params, x, 20, rng, "prior")
    np.testing.assert_array_equal(found.log_p, -np.inf)
    np.testing.assert_array_equal(found.ess, 0)


def test_the_proposal_has_a_name(one_dimensional, rng):
    with pytest.raises(ValueError, match="proposal must be one of posterior, prior; got 'priors'"):
        log_marginal(*one_dimensional, X, 5, rng, "priors")
