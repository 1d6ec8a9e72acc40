"""Priors: they integrate to one, are drawn from as they say, and know their slope."""

import numpy as np
import pytest
from scipy import integrate, stats

from minivae.distributions.bits import all_states
from minivae.distributions.nodes import gauss_hermite
from minivae.distributions.priors import FairBits, StandardNormal
from minivae.nn.gradcheck import check_gradient
from tests.own_boxes import MovedNormal, UnfairBits
from tests.support import assert_within_standard_errors

N = 200_000
NONE = np.empty(0)
PRIORS = [StandardNormal(2), FairBits(2), MovedNormal(2), UnfairBits(2)]


def test_standard_normal_is_scipys(rng):
    z = rng.normal(size=(3, 4, 2))
    np.testing.assert_allclose(StandardNormal(2).log_prob(NONE, z), stats.norm.logpdf(z).sum(-1), rtol=1e-13)


def test_standard_normal_integrates_to_one():
    p = StandardNormal(1)
    total, _ = integrate.quad(lambda z: np.exp(p.log_prob(NONE, np.full((1, 1, 1), z)).item()), -np.inf, np.inf)
    assert abs(total - 1) < 1e-9
    # in three dimensions against nodes of N(0, I) themselves: E[N(z; 0, I)] = (4 pi)^(-3/2)
    eps, w = gauss_hermite(40, 3)
    np.testing.assert_allclose(w @ np.exp(StandardNormal(3).log_prob(NONE, eps))[:, 0], (4 * np.pi) ** -1.5, rtol=1e-9)


def test_standard_normal_draws_have_mean_zero_and_unit_covariance(rng):
    z = StandardNormal(2).sample(NONE, N, rng)
    assert_within_standard_errors(z, 0.0)
    assert_within_standard_errors(z**2, 1.0)
    assert_within_standard_errors(z[:, 0] * z[:, 1], 0.0)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_fair_bits_sum_to_one_and_are_all_alike(n):
    log_p = FairBits(n).log_prob(NONE, all_states(n)[:, None])
    np.testing.assert_allclose(np.exp(log_p).sum(axis=0), 1.0, rtol=1e-14)
    assert np.ptp(log_p) == 0


def test_fair_bits_are_drawn_alike_often_and_one_by_one(rng):
    z = FairBits(2).sample(NONE, N, rng)
    hits = (z[:, None] == all_states(2)).all(axis=2)
    assert_within_standard_errors(hits, 0.25)


@pytest.mark.parametrize("prior", PRIORS, ids=lambda p: type(p).__name__)
def test_draws_have_the_density_that_is_stated(prior, rng):
    # the mean of log p over its own draws is minus the entropy, and the mean of its score is zero
    params = prior.init(rng)
    z = prior.sample(params, N, rng)
    assert z.shape == (N, 2)
    log_p = prior.log_prob(params, z[None])[0]
    if isinstance(prior, StandardNormal):
        entropy = 1 + np.log(2 * np.pi)  # of two latents
    else:
        states = all_states(2)[:, None]
        q = np.exp(prior.log_prob(params, states))
        np.testing.assert_allclose(q.sum(), 1.0, rtol=1e-13)
        entropy = -np.sum(q * np.log(q))
    if isinstance(prior, FairBits) and not prior.n_params:
        np.testing.assert_allclose(log_p, -entropy, rtol=1e-14)
    else:
        assert_within_standard_errors(log_p, -entropy)


@pytest.mark.parametrize("prior", PRIORS, ids=lambda p: type(p).__name__)
def test_backward_is_the_derivative_of_log_prob(prior, rng):
    params, z, dlog_prob = prior.init(rng), rng.normal(size=(3, 4, 2)), rng.normal(size=(3, 4))
    grads = np.full(prior.n_params, np.nan)
    dz = prior.backward(params, z, dlog_prob, grads)

    def value(theta):
        log_p = prior.log_prob(theta[: prior.n_params], theta[prior.n_params :].reshape(z.shape))
        return float(np.sum(dlog_prob * log_p))

    assert check_gradient(value, np.concatenate([grads, dz.ravel()]), np.concatenate([params, z.ravel()])).ok
    assert dz.shape == z.shape


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("prior", PRIORS, ids=lambda p: type(p).__name__)
def test_dtype_follows_the_parameters(prior, dtype, rng):
    params = prior.init(rng, dtype)
    z = prior.sample(params, 5, rng)[None]
    log_p = prior.log_prob(params, z)
    dz = prior.backward(params, z, log_p, np.empty_like(params))
    assert params.dtype == z.dtype == log_p.dtype == dz.dtype == dtype


@pytest.mark.parametrize("kind", [StandardNormal, FairBits])
@pytest.mark.parametrize("n_latent", [0, -1, 2.0, True])
def test_n_latent_must_be_a_positive_integer(kind, n_latent):
    with pytest.raises(ValueError, match="n_latent must be an integer of at least 1, got"):
        kind(n_latent)


@pytest.mark.parametrize("kind", [StandardNormal, FairBits])
def test_a_generator_is_asked_for(kind):
    with pytest.raises(ValueError, match="rng must be a numpy.random.Generator"):
        kind(2).sample(NONE, 3, 0)
