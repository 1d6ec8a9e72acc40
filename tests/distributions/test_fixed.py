"""The Gaussian posterior of given variance: its moments, its density, its gradients, its KL, against closed forms."""

import numpy as np
import pytest
from scipy import integrate, stats

from minivae.distributions.diagonal import DiagonalGaussian
from minivae.distributions.fixed import FixedGaussian
from minivae.distributions.kl import closed_kl
from minivae.distributions.nodes import gauss_hermite
from minivae.distributions.priors import StandardNormal
from minivae.nn.gradcheck import check_gradient
from tests.support import assert_within_standard_errors

N = 200_000
NONE = np.empty(0)


def as_diagonal(q, head):
    """Return the head of the diagonal Gaussian that is the same distribution."""
    return np.concatenate([head, np.full_like(head, np.log(q.variance))], axis=1)


def test_samples_have_the_mean_of_the_head_and_the_given_variance(rng):
    mu = np.array([0.7, -2.0])
    z, _, _ = FixedGaussian(2, 0.3).sample(NONE, mu[None], rng.standard_normal((N, 1, 2)))
    assert_within_standard_errors(z[:, 0], mu)
    assert_within_standard_errors((z[:, 0] - mu) ** 2, 0.3)  # taken for a standard deviation it would be 0.09
    assert_within_standard_errors((z[:, 0, 0] - mu[0]) * (z[:, 0, 1] - mu[1]), 0.0)


def test_log_prob_is_the_normal_density_and_integrates_to_one(rng):
    head, z = rng.normal(size=(4, 3)), rng.normal(size=(5, 4, 3))
    expected = stats.norm.logpdf(z, head, np.sqrt(0.3)).sum(-1)
    np.testing.assert_allclose(FixedGaussian(3, 0.3).log_prob(NONE, head, z), expected, rtol=1e-12)
    q, head = FixedGaussian(1, 0.2), np.array([[0.3]])
    total, _ = integrate.quad(lambda z: np.exp(q.log_prob(NONE, head, np.full((1, 1, 1), z)).item()), -np.inf, np.inf)
    assert abs(total - 1) < 1e-9


@pytest.mark.parametrize("variance", [1.0, 0.04, 3.0])
def test_it_is_the_diagonal_gaussian_with_one_constant_variance(variance, rng):
    q, diagonal, head = FixedGaussian(3, variance), DiagonalGaussian(3), rng.normal(size=(4, 3))
    eps, dz, dlog_q = rng.normal(size=(5, 4, 3)), rng.normal(size=(5, 4, 3)), rng.normal(size=(5, 4))
    z, log_q, cache = q.sample(NONE, head, eps)
    z_, log_q_, cache_ = diagonal.sample(NONE, as_diagonal(q, head), eps)
    np.testing.assert_allclose(z, z_, rtol=1e-12)
    np.testing.assert_allclose(log_q, log_q_, rtol=1e-12)
    np.testing.assert_allclose(log_q, q.log_prob(NONE, head, z), rtol=1e-12)
    for name, given in (("backward", (dz, dlog_q)), ("score", (dlog_q,))):
        own = getattr(q, name)(NONE, cache, *given, NONE)
        theirs = getattr(diagonal, name)(NONE, cache_, *given, NONE)[:, :3]
        np.testing.assert_allclose(own, theirs, rtol=1e-11, atol=1e-13)
    kl, kl_ = (closed_kl(box, StandardNormal(3)) for box in (q, diagonal))
    np.testing.assert_allclose(kl.value(NONE, head), kl_.value(NONE, as_diagonal(q, head)), rtol=1e-12)
    np.testing.assert_allclose(kl.per_latent(NONE, head), kl_.per_latent(NONE, as_diagonal(q, head)), rtol=1e-12)


def test_the_kl_is_half_the_squared_length_of_the_code_and_a_constant(rng):
    head = rng.normal(size=(4, 3))
    half = 0.5 * np.sum(head**2, axis=1)
    np.testing.assert_allclose(closed_kl(FixedGaussian(3), StandardNormal(3)).value(NONE, head), half, rtol=1e-15)
    wide = closed_kl(FixedGaussian(3, 0.2), StandardNormal(3)).value(NONE, head)
    np.testing.assert_allclose(wide - half, 1.5 * (0.2 - 1 - np.log(0.2)), rtol=1e-14)
    dkl = rng.normal(size=4)  # so that the derivative is the code itself, weighted
    dhead = closed_kl(FixedGaussian(3, 0.2), StandardNormal(3)).backward(NONE, head, dkl, NONE)
    np.testing.assert_allclose(dhead, head * dkl[:, None], rtol=1e-15)
    # and it is what its draws say: log q - log p is quadratic in the noise, so that three nodes are exact
    q, prior, (nodes, w) = FixedGaussian(3, 0.2), StandardNormal(3), gauss_hermite(3, 3)
    z, log_q, _ = q.sample(NONE, head, np.repeat(nodes, 4, axis=1))
    np.testing.assert_allclose(w @ (log_q - prior.log_prob(NONE, z)), wide, rtol=1e-13)


def test_the_kls_of_two_variances_do_not_mix():
    head = np.zeros((1, 2))
    first, second = (closed_kl(FixedGaussian(2, v), StandardNormal(2)) for v in (0.5, 0.1))
    assert abs(first.value(NONE, head).item() - (0.5 - 1 - np.log(0.5))) < 1e-15
    assert abs(second.value(NONE, head).item() - (0.1 - 1 - np.log(0.1))) < 1e-15


def test_score_has_mean_zero():
    # linear in the noise: two nodes a latent give its mean to every digit
    q, head, (nodes, w) = FixedGaussian(2, 0.3), np.array([[0.4, -1.0]]), gauss_hermite(2, 2)
    _, _, cache = q.sample(NONE, head, nodes)
    np.testing.assert_allclose(q.score(NONE, cache, w[:, None], NONE), 0.0, atol=1e-15)


def test_backward_and_score_are_the_derivatives_that_they_say(rng):
    q, head, eps = FixedGaussian(3, 0.3), rng.normal(size=(4, 3)), rng.normal(size=(5, 4, 3))
    dz, dlog_q = rng.normal(size=eps.shape), rng.normal(size=eps.shape[:2])
    z, _, cache = q.sample(NONE, head, eps)

    def along_the_path(theta):
        z, log_q, _ = q.sample(NONE, theta.reshape(head.shape), eps)
        return float(np.sum(dz * z) + np.sum(dlog_q * log_q))

    def at_fixed_z(theta):
        return float(np.sum(dlog_q * q.log_prob(NONE, theta.reshape(head.shape), z)))

    assert check_gradient(along_the_path, q.backward(NONE, cache, dz, dlog_q, NONE).ravel(), head.ravel()).ok
    assert check_gradient(at_fixed_z, q.score(NONE, cache, dlog_q, NONE).ravel(), head.ravel()).ok


def test_single_precision_stays_single(rng):
    q, head = FixedGaussian(2, 0.3), rng.normal(size=(3, 2)).astype(np.float32)
    eps = q.draw_noise(rng, (5, 3, 2), np.float32)
    z, log_q, cache = q.sample(NONE, head, eps)
    kl = closed_kl(q, StandardNormal(2))
    results = (z, log_q, q.score(NONE, cache, log_q, NONE), q.backward(NONE, cache, z, log_q, NONE))
    results += (q.log_prob(NONE, head, z), kl.value(NONE, head), kl.backward(NONE, head, log_q[0], NONE))
    assert {array.dtype for array in results} == {np.dtype(np.float32)}


def test_mean_and_code_are_mu_and_states_are_refused(rng):
    q, head = FixedGaussian(2), rng.normal(size=(3, 2))
    np.testing.assert_array_equal(q.mean(NONE, head), head)
    np.testing.assert_array_equal(q.code(NONE, head), head)
    q.check_noise(np.array([-1e6, 1e6]))
    with pytest.raises(ValueError, match="posterior must have states that can be enumerated, got FixedGaussian"):
        q.states(NONE, head)


@pytest.mark.parametrize("variance", [0.0, -1.0, np.nan, np.inf, True, "1"])
def test_the_variance_must_be_positive(variance):
    with pytest.raises(ValueError, match="variance must be a finite number greater than 0, got"):
        FixedGaussian(2, variance)


def test_a_variance_that_single_precision_cannot_hold_is_named():
    _, _, cache = FixedGaussian(1, 1e-100).sample(NONE, np.ones((1, 1), np.float32), np.ones((1, 1, 1), np.float32))
    with pytest.raises(FloatingPointError, match="the score holds 1 NaN or infinite value"):
        FixedGaussian(1, 1e-100).score(NONE, cache, np.ones((1, 1), np.float32), NONE)
