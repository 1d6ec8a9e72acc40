"""Each likelihood against scipy, its moments, its support and what it says about data outside."""

import warnings

import numpy as np
import pytest
from scipy import integrate, special, stats

from minivae.distributions.likelihoods import LIKELIHOODS, Bernoulli, Gaussian, GaussianPerPixel, NotALikelihoodWarning
from tests.support import assert_within_standard_errors

B, D = 4, 3


@pytest.fixture
def real(rng):
    return rng.normal(size=(B, D))


def test_bernoulli_log_prob_is_scipys(rng):
    x, logits = (rng.random((B, D)) < 0.5).astype(float), rng.normal(size=(B, D)) * 3
    log_prob, _ = Bernoulli().forward(np.empty(0), logits, x)
    np.testing.assert_allclose(log_prob, stats.bernoulli.logpmf(x, special.expit(logits)).sum(1), rtol=1e-11)


def test_bernoulli_probabilities_sum_to_one(rng):
    logits = np.repeat(rng.normal(size=(1, D)), 2**D, axis=0)
    every_x = np.array(np.meshgrid(*[[0.0, 1.0]] * D)).reshape(D, -1).T.copy()
    log_prob, _ = Bernoulli().forward(np.empty(0), logits, every_x)
    assert abs(np.exp(log_prob).sum() - 1) < 1e-14


def test_bernoulli_on_grey_values_is_the_mean_over_their_binarisations(rng):
    logits, grey = rng.normal(size=(1, 1)), 0.3
    of = {x: Bernoulli().forward(np.empty(0), logits, np.full((1, 1), x))[0].item() for x in (0.0, 1.0, grey)}
    assert abs(of[grey] - (grey * of[1.0] + (1 - grey) * of[0.0])) < 1e-14


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("variance", [0.25, 1.0, 3.0])
def test_gaussian_log_prob_is_scipys(rng, real, variance, learned):
    mean, lik = rng.normal(size=(B, D)), Gaussian(variance, learned)
    log_prob, _ = lik.forward(lik.init(), mean, real)
    np.testing.assert_allclose(log_prob, stats.norm.logpdf(real, mean, np.sqrt(variance)).sum(1), rtol=1e-12)


def test_unit_variance_is_half_the_squared_error_up_to_a_constant(rng, real):
    mean, lik = rng.normal(size=(B, D)), Gaussian()
    log_prob, _ = lik.forward(lik.init(), mean, real)
    half_squares = 0.5 * ((real - mean) ** 2).sum(1)
    np.testing.assert_allclose(-log_prob - half_squares, 0.5 * D * np.log(2 * np.pi), rtol=1e-12)


def test_gaussian_per_pixel_log_prob_is_scipys(rng, real):
    out = rng.normal(size=(B, 2 * D))
    log_prob, _ = GaussianPerPixel().forward(np.empty(0), out, real)
    expected = stats.norm.logpdf(real, out[:, :D], np.exp(out[:, D:] / 2)).sum(1)
    np.testing.assert_allclose(log_prob, expected, rtol=1e-12)


@pytest.mark.parametrize("lik", [Gaussian(0.7), Gaussian(0.7, learned=True), GaussianPerPixel()])
def test_gaussian_densities_integrate_to_one(lik):
    out = np.array([[0.3, -0.4][: lik.n_out(1)]])
    total, _ = integrate.quad(
        lambda x: np.exp(lik.forward(lik.init(), out, np.full((1, 1), x))[0].item()), -np.inf, np.inf
    )
    assert abs(total - 1) < 1e-8


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_samples_have_the_stated_mean_and_variance(name, rng):
    lik, n = LIKELIHOODS[name], 100_000
    out = np.repeat(np.array([[0.4, -1.0, 0.3, -0.6]])[:, : lik.n_out(2)], n, axis=0)
    mean = lik.mean(lik.init(), out[:1])[0]
    variance = {
        "bernoulli": mean * (1 - mean),
        "gaussian": np.ones(2),
        "gaussian-learned": np.ones(2),
        "gaussian-per-pixel": np.exp([0.3, -0.6]),
    }[name]
    draws = lik.sample(lik.init(), out, rng)
    assert_within_standard_errors(draws, mean)
    assert_within_standard_errors((draws - mean) ** 2, variance)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_dtype_follows_the_decoder(name, rng):
    lik = LIKELIHOODS[name]
    out, x = rng.normal(size=(2 * B, lik.n_out(D))).astype(np.float32), np.round(rng.random((B, D), dtype=np.float32))
    params = lik.init(dtype=np.float32)
    log_prob, cache = lik.forward(params, out, x)
    dout = lik.backward(params, cache, log_prob, np.empty_like(params))
    arrays = log_prob, dout, lik.mean(params, out), lik.sample(params, out, rng)
    assert {a.dtype for a in arrays} == {np.dtype(np.float32)}


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_out_at_mean_gives_the_mean_of_the_data(name, rng):
    lik, x = LIKELIHOODS[name], (rng.random((500, 3)) < [0.2, 0.5, 0.0]).astype(float)
    out = lik.out_at_mean(x)
    assert out.shape == (lik.n_out(3),)
    assert np.isfinite(out).all()
    expected = (x.sum(0) + 1) / 502 if name == "bernoulli" else x.mean(0)
    np.testing.assert_allclose(lik.mean(lik.init(), out[None])[0], expected, rtol=1e-12)


def test_the_start_on_data_is_where_the_likelihood_of_one_output_for_all_is_highest(rng):
    x = rng.normal([1.0, -2.0, 0.5], [0.3, 2.0, 1.0], size=(50, 3))
    for lik in (Gaussian(learned=True), GaussianPerPixel()):
        lik = lik.starting_at(x)
        params, out = lik.init(), np.repeat(lik.out_at_mean(x)[None], len(x), axis=0)
        _, cache = lik.forward(params, out, x)
        slope = np.empty_like(params)
        np.testing.assert_allclose(lik.backward(params, cache, np.ones(len(x)), slope).sum(axis=0), 0, atol=1e-12)
        np.testing.assert_allclose(slope, 0, atol=1e-12)  # of the mean over the columns, whose scales differ


def test_backward_leaves_the_cache_alone(rng, real):
    for lik in LIKELIHOODS.values():
        params, out, x = lik.init(), rng.normal(size=(B, lik.n_out(D))), np.round(special.expit(real))
        _, cache = lik.forward(params, out, x)
        first = lik.backward(params, cache, np.full(B, 2.0), np.empty_like(params))
        np.testing.assert_array_equal(lik.backward(params, cache, np.full(B, 2.0), np.empty_like(params)), first)


def test_bernoulli_refuses_values_outside_and_names_the_remedy():
    with pytest.raises(ValueError, match=r"x must lie in \[0, 1\].*got values from 0 to 255.*Divide 0..255 images by"):
        Bernoulli().check(np.array([[0.0, 255.0]]))
    with pytest.raises(ValueError, match="got values from -0.5 to 1"):
        Bernoulli().check(np.array([[-0.5, 1.0]]))


def test_bernoulli_warns_of_grey_values_only():
    with pytest.warns(NotALikelihoodWarning, match="cross-entropy bound, not a bound on log p"):
        Bernoulli().check(np.array([[0.0, 0.5]]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Bernoulli().check(np.array([[0.0, 1.0]]))
    assert Bernoulli().is_density(np.array([[0.0, 1.0]]))
    assert not Bernoulli().is_density(np.array([[0.0, 0.5]]))


def test_a_variance_per_pixel_refuses_constant_columns():
    x = np.array([[1.0, 2.0, 5.0], [1.0, 3.0, 5.0]])
    with pytest.raises(ValueError, match=r"2 constant column\(s\): 0, 2; .*Drop them"):
        GaussianPerPixel().check_training(x)
    GaussianPerPixel().check_training(x[:, 1:2])
    GaussianPerPixel().check(x)  # to evaluate on them is another matter
    Gaussian(learned=True).check_training(x)
    with pytest.raises(ValueError, match="x must vary in at least one column where the variance is learned"):
        Gaussian(learned=True).check_training(x[:, [0, 2]])
    Gaussian(learned=True).check(x[:, [0, 2]])
    Gaussian().check_training(x[:, [0, 2]])


@pytest.mark.parametrize("variance", [0.0, -1.0, np.nan, np.inf, "1"])
def test_variance_must_be_positive(variance):
    with pytest.raises(ValueError, match="variance must be a finite number greater than 0, got"):
        Gaussian(variance)
