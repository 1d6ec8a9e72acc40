"""Mixture priors: densities that integrate to one, samplers with the right moments, slopes beside differences."""

import numpy as np
import pytest
from scipy import special, stats

from minivae.core.errors import NonFiniteError
from minivae.distributions.bits import Bits
from minivae.distributions.diagonal import DiagonalGaussian
from minivae.distributions.families import PRIORS, named_prior
from minivae.distributions.likelihoods import Bernoulli, Gaussian
from minivae.distributions.mixtures import AsksTheEncoder, MixtureOfGaussians, VampPrior
from minivae.distributions.priors import StandardNormal
from minivae.nn.gradcheck import check_gradient
from tests.support import assert_within_standard_errors

N = 200_000
NONE = np.empty(0)
MIX = MixtureOfGaussians(2, 3)
LOGITS, MEANS = np.array([0.3, -0.5, 1.0]), np.array([[1.0, -0.5], [-1.5, 0.5], [0.2, 1.2]])
LOG_VARS = np.log([[0.5, 0.3], [0.4, 1.1], [0.8, 0.2]])
W = np.exp(LOGITS) / np.exp(LOGITS).sum()
PARAMS = np.concatenate([LOGITS, MEANS.ravel(), LOG_VARS.ravel()])
VAMP = VampPrior(2, 3, 4)
HEADS = np.concatenate([MEANS, LOG_VARS], axis=1).ravel()  # the same components, alike in weight


def scipys(z, w=W):
    each = [stats.norm.logpdf(z, m, np.exp(v / 2)).sum(-1) for m, v in zip(MEANS, LOG_VARS, strict=True)]
    return special.logsumexp(each, b=np.reshape(w, (3, 1, 1)), axis=0)


CASES = [(MIX, PARAMS, W), (VAMP, HEADS, np.full(3, 1 / 3))]
weighted = pytest.mark.parametrize(("prior", "params", "w"), CASES, ids=["mixture", "vamp"])
each = pytest.mark.parametrize(("prior", "params"), [case[:2] for case in CASES], ids=["mixture", "vamp"])


@weighted
def test_log_prob_is_scipys(prior, params, w, rng):
    z = 2 * rng.normal(size=(3, 4, 2))
    np.testing.assert_allclose(prior.log_prob(params, z), scipys(z, w), rtol=1e-12)


@each
def test_the_density_integrates_to_one(prior, params):
    grid = np.linspace(-9, 9, 361)
    z = np.stack(np.meshgrid(grid, grid), axis=-1)
    total = np.exp(prior.log_prob(params, z)).sum() * (grid[1] - grid[0]) ** 2
    assert abs(total - 1) < 1e-10


@weighted
def test_draws_have_the_moments_of_the_mixture(prior, params, w, rng):
    z = prior.sample(params, N, rng)
    mean = w @ MEANS
    second = np.einsum("c,ci,cj->ij", w, MEANS, MEANS) + np.diag(w @ np.exp(LOG_VARS))
    assert z.shape == (N, 2)
    assert_within_standard_errors(z, mean)
    assert_within_standard_errors(z[:, :, None] * z[:, None], second)


@each
def test_draws_have_the_density_that_is_stated(prior, params, rng):
    # E[log p] over the prior's own draws is minus the entropy, which the grid knows
    grid = np.linspace(-9, 9, 361)
    z = np.stack(np.meshgrid(grid, grid), axis=-1)
    log_p = prior.log_prob(params, z)
    entropy = -np.sum(np.exp(log_p) * log_p) * (grid[1] - grid[0]) ** 2
    assert_within_standard_errors(prior.log_prob(params, prior.sample(params, N, rng)[None])[0], -entropy)


@each
def test_backward_is_the_derivative_of_log_prob(prior, params, rng):
    z, dlog_prob = rng.normal(size=(3, 4, 2)), rng.normal(size=(3, 4))
    grads = np.full_like(params, np.nan)
    dz = prior.backward(params, z, dlog_prob, grads)

    def value(theta):
        return float(np.sum(dlog_prob * prior.log_prob(theta[: params.size], theta[params.size :].reshape(z.shape))))

    assert check_gradient(value, np.concatenate([grads, dz.ravel()]), np.concatenate([params, z.ravel()])).ok


def test_gradients_are_those_of_the_sum_over_draws_however_they_are_cut(rng):
    z, dlog_prob = rng.normal(size=(3, 4, 2)), rng.normal(size=(3, 4))
    whole, part, total = np.empty_like(PARAMS), np.empty_like(PARAMS), np.zeros_like(PARAMS)
    MIX.backward(PARAMS, z, dlog_prob, whole)
    for k in range(3):
        MIX.backward(PARAMS, z[k : k + 1], dlog_prob[k : k + 1], part)
        total += part
    np.testing.assert_allclose(whole, total, rtol=1e-12)
    assert abs(whole[:3].sum()) < 1e-12  # weights sum to one: what one gains the others lose


@pytest.mark.parametrize(("one", "size"), [(MixtureOfGaussians(2, 1), 5), (VampPrior(2, 1, 4), 4)])
def test_a_single_standard_component_is_the_standard_normal(one, size, rng):
    zeros, z, dlog_prob = np.zeros(size), rng.normal(size=(3, 4, 2)), rng.normal(size=(3, 4))
    np.testing.assert_allclose(one.log_prob(zeros, z), StandardNormal(2).log_prob(NONE, z), rtol=1e-14)
    dz = one.backward(zeros, z, dlog_prob, np.empty_like(zeros))
    np.testing.assert_allclose(dz, StandardNormal(2).backward(NONE, z, dlog_prob, NONE), rtol=1e-13)


@each
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_follows_the_parameters(prior, params, dtype, rng):
    params = params.astype(dtype)
    z = prior.sample(params, 5, rng)[None]
    log_p = prior.log_prob(params, z)
    grads = np.empty_like(params)
    dz = prior.backward(params, z, log_p, grads)
    assert z.dtype == log_p.dtype == dz.dtype == dtype
    wide = prior.log_prob(params.astype(np.float64), z.astype(np.float64))
    np.testing.assert_allclose(log_p, wide, rtol=1e-6 if dtype == np.float32 else 1e-14)


@weighted
def test_far_away_the_nearest_component_counts_alone(prior, params, w):
    z = np.full((1, 1, 2), 1e4)
    far, grads = prior.log_prob(params, z), np.empty_like(params)
    np.testing.assert_allclose(far, scipys(z, w), rtol=1e-12)
    assert np.isfinite(prior.backward(params, z, np.ones((1, 1)), grads)).all()
    assert np.isfinite(grads).all()


def test_a_density_that_overflows_is_named():
    tight = PARAMS.astype(np.float32)
    tight[9:] = -200.0
    with pytest.raises(NonFiniteError, match=r"log p\(z\) holds 1 NaN or infinite"):
        MIX.log_prob(tight, np.full((1, 1, 2), 5, np.float32))


def test_a_mixture_starts_as_the_standard_normal_in_mean_and_covariance(rng):
    prior = MixtureOfGaussians(2, 20_000)
    logits, means, log_vars = (view for _, view in prior.named(prior.init(rng)))
    assert not logits.any()
    assert_within_standard_errors(means, 0.0)
    assert_within_standard_errors(means**2, 0.5)
    np.testing.assert_allclose(np.exp(log_vars), 0.5)
    assert not MixtureOfGaussians(3, 1).init(rng).any()


def test_pseudo_inputs_start_at_training_rows_each_its_own(rng):
    x = (np.arange(16)[:, None] >> np.arange(4) & 1).astype(float)  # the 16 corners
    prior = VampPrior(2, 16, 4)
    params = prior.init(rng)
    prior.init_at(params, x, rng)
    u = prior.inputs(params)
    assert 0.05 < u.min() < u.max() < 0.95
    assert sorted(map(tuple, np.round(u))) == sorted(map(tuple, x))
    spread = np.log(u) - np.log1p(-u) - np.log(9) * (2 * np.round(u) - 1)
    assert_within_standard_errors(spread.ravel(), 0.0)
    assert abs(spread.std() / 0.1 - 1) < 5 / np.sqrt(2 * spread.size)


def test_pseudo_inputs_of_other_data_are_near_rows_in_their_units(rng):
    x = np.tile([[300.0, 3.0], [100.0, 1.0]], (100, 1))  # standard deviations 100 and 1
    prior = VampPrior(2, 200, 2, pixels=False)
    params = prior.init(rng)
    prior.init_at(params, x, rng)
    u = prior.inputs(params) / [100.0, 1.0]
    away = u - np.where(u > 2, 3.0, 1.0)
    assert_within_standard_errors(away, 0.0)
    assert np.all(np.abs(away.std(axis=0) / 0.1 - 1) < 5 / np.sqrt(2 * 200))


def test_pseudo_inputs_may_be_more_than_the_rows(rng):
    prior = VampPrior(1, 5, 2)
    params = prior.init(rng)
    prior.init_at(params, np.array([[0.0, 1.0], [1.0, 0.0]]), rng)
    assert {tuple(row) for row in np.round(prior.inputs(params))} <= {(0.0, 1.0), (1.0, 0.0)}


@pytest.mark.parametrize("pixels", [True, False])
def test_the_gradient_of_the_pseudo_inputs(pixels, rng):
    prior = VampPrior(2, 3, 4, pixels)
    params, du, grads = prior.init(rng), rng.normal(size=(3, 4)), np.full(12, np.nan)
    prior.inputs_backward(params, prior.inputs(params), du, grads)
    assert check_gradient(lambda theta: float(np.sum(du * prior.inputs(theta))), grads, params).ok


def test_priors_have_names_and_suit_the_data():
    q = DiagonalGaussian(2)
    assert list(PRIORS) == ["normal", "mixture", "vamp"]
    assert named_prior("normal", q, None, Bernoulli(), 4) == StandardNormal(2)
    assert named_prior("mixture", q, None, Bernoulli(), 4) == MixtureOfGaussians(2, 10)
    assert named_prior("vamp", q, 3, Bernoulli(), 4) == VampPrior(2, 3, 4, pixels=True)
    assert named_prior("vamp", q, 3, Gaussian(), 4) == VampPrior(2, 3, 4, pixels=False)
    assert named_prior(None, q, None, Bernoulli(), 4) is None
    assert isinstance(VAMP, AsksTheEncoder)
    assert not isinstance(MIX, AsksTheEncoder)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("vampire", DiagonalGaussian(2), None), "prior must be one of normal, mixture, vamp; got 'vampire'. Did you"),
        (("mixture", Bits(2), None), "prior must be left away for Bits, .* got 'mixture'. It brings its own"),
        (("normal", DiagonalGaussian(2), 3), "n_components must go with a prior that is a mixture, got 3 and 'normal'"),
        ((None, DiagonalGaussian(2), 3), "n_components must go with the name of a mixture, got 3 and prior=None"),
        (("mixture", DiagonalGaussian(2), 0), "n_components must be an integer of at least 1, got 0"),
    ],
)
def test_what_does_not_go_together_is_refused(args, words):
    with pytest.raises(ValueError, match=words):
        named_prior(*args, Bernoulli(), 4)


def test_a_vamp_prior_refuses_other_posteriors_and_widths():
    with pytest.raises(ValueError, match="prior must be of another kind for Bits, got VampPrior"):
        VAMP.check_model(Bits(2), 4)
    with pytest.raises(ValueError, match="prior must have pseudo-inputs of n_x=5 values as the data have, got 4"):
        VAMP.check_model(DiagonalGaussian(2), 5)
