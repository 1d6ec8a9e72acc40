"""The regularised autoencoder: its terms are those of the KL of two couplings, and its limit is the autoencoder."""

import numpy as np
import pytest

from minivae.distributions.fixed import FixedGaussian
from minivae.distributions.likelihoods import Gaussian
from minivae.distributions.linear_gaussian import LinearGaussian
from minivae.distributions.nodes import gauss_hermite
from minivae.estimators.objectives import Elbo
from minivae.models.autoencoder import Autoencoder
from minivae.models.coupling import coupling_terms, regularised_autoencoder
from minivae.models.vae import VAE
from minivae.nn.gradcheck import check_gradient
from tests.support import S2, W, Y

SIGMA_F, SIGMA_G = 0.6, 0.3


def made(rng, sigma_f=SIGMA_F, sigma_g=SIGMA_G, n_hidden=(5,)):
    model = regularised_autoencoder(4, 2, sigma_f, sigma_g, n_hidden, "tanh")
    params = model.init(rng)
    return model, params + 0.2 * rng.standard_normal(params.shape), rng.standard_normal((3, 4))


def linear(A, a, W, b, sigma_f, sigma_g):
    """Return the model f(u) = A u + a, g(z) = W z + b, and its parameters."""
    p, q = W.shape
    model = regularised_autoencoder(p, q, sigma_f, sigma_g, [])
    params = np.zeros(model.n_params)
    parts = dict(model.named(params))
    parts["encoder.0.weight"][:], parts["encoder.0.bias"][:] = A.T, a
    parts["decoder.0.weight"][:], parts["decoder.0.bias"][:] = W.T, b
    return model, params


def gaussian_kl(m0, S0, m1, S1):
    """Return KL(N(m0, S0) || N(m1, S1)): the lemma for full covariances."""
    d = m1 - m0
    trace = np.trace(np.linalg.solve(S1, S0)) + d @ np.linalg.solve(S1, d) - len(d)
    return 0.5 * (trace + np.linalg.slogdet(S1)[1] - np.linalg.slogdet(S0)[1])


def test_each_term_is_that_of_the_elbo_in_the_other_notation(rng):
    model, params, x = made(rng)
    eps, w = rng.standard_normal((6, 3, 2)), np.array([0.1, 0.3, 0.2, 0.1, 0.25, 0.05])
    for weights in (None, w):
        found = coupling_terms(model, params, x, eps, weights)
        elbo = model.terms(params, x, eps=eps, weights=weights)
        constant_g = 4 / 2 * np.log(2 * np.pi * SIGMA_G**2)
        constant_f = 2 / 2 * (SIGMA_F**2 - 1 - np.log(SIGMA_F**2))
        np.testing.assert_allclose(found.reconstruction + constant_g, -elbo.log_lik, rtol=1e-12)
        np.testing.assert_allclose(found.code + constant_f, elbo.kl, rtol=1e-12)
        assert abs(found.constant - constant_g - constant_f) < 1e-12
        np.testing.assert_allclose(found.loss, -elbo.elbo, rtol=1e-12)
        loss, _ = model.loss_and_grad(params, x, eps, np.empty_like(params), weights=weights)
        assert abs(loss - found.loss.mean()) < 1e-12 * abs(loss)


def test_the_terms_are_what_the_notation_says(rng):
    model, params, x = made(rng)
    eps = rng.standard_normal((1, 3, 2))
    found, f = coupling_terms(model, params, x, eps), model.embed(params, x)
    g = model.decode(params, f + SIGMA_F * eps[0])
    np.testing.assert_allclose(found.reconstruction, np.sum((x - g) ** 2, axis=1) / (2 * SIGMA_G**2), rtol=1e-13)
    np.testing.assert_allclose(found.code, np.sum(f**2, axis=1) / 2, rtol=1e-13)


def test_the_loss_is_the_kl_of_the_two_couplings_and_the_entropy_of_the_data(rng):
    # gamma = N(m, S), f and g linear: both couplings are Gaussians of (u, z), whose KL the lemma gives
    A, a, b, m = rng.normal(size=(2, 3)), rng.normal(size=2), rng.normal(size=3), rng.normal(size=3)
    root = rng.normal(size=(3, 3))
    S = root @ root.T + 0.1 * np.eye(3)
    model, params = linear(A, a, W, b, SIGMA_F, SIGMA_G)
    f_mean, g_mean = np.concatenate([m, A @ m + a]), np.concatenate([b, np.zeros(2)])
    f_cov = np.block([[S, S @ A.T], [A @ S, A @ S @ A.T + SIGMA_F**2 * np.eye(2)]])
    g_cov = np.block([[W @ W.T + SIGMA_G**2 * np.eye(3), W], [W.T, np.eye(2)]])
    kl = gaussian_kl(f_mean, f_cov, g_mean, g_cov)
    entropy = 0.5 * np.linalg.slogdet(2 * np.pi * np.e * S)[1]
    nodes, wu = gauss_hermite(3, 3)  # the loss is quadratic in u and in xi
    eps, wz = gauss_hermite(3, 2)
    u = m + nodes[:, 0] @ np.linalg.cholesky(S).T
    loss = wu @ coupling_terms(model, params, u, eps, wz).loss
    assert abs(loss - entropy - kl) < 1e-10 * abs(kl)


def test_the_loss_is_never_below_minus_log_p_and_the_gap_is_the_kl_to_the_true_posterior(rng):
    b, V = np.zeros(3), rng.normal(size=(2, 3))
    exact = LinearGaussian(W, b, S2)
    x = np.concatenate([Y, rng.normal(size=(20, 3))])
    nodes, w = gauss_hermite(3, 2)
    for sigma_f in (0.1, 0.6, 2.0):
        model, params = linear(V, np.zeros(2), W, b, sigma_f, np.sqrt(S2))
        elbo = -coupling_terms(model, params, x, nodes, w).loss
        np.testing.assert_allclose(elbo, exact.elbo(x, x @ V.T, np.full((21, 2), 2 * np.log(sigma_f))), rtol=1e-11)
        mean, cov = exact.posterior(x)
        gap = [gaussian_kl(mu, sigma_f**2 * np.eye(2), m, cov) for mu, m in zip(x @ V.T, mean, strict=True)]
        np.testing.assert_allclose(exact.log_prob(x) - elbo, gap, rtol=1e-9)
        assert np.all(elbo < exact.log_prob(x))


def test_of_all_fixed_variances_the_harmonic_mean_of_the_posteriors_variances_is_best():
    # at the true mean the gap is 1/2 [v tr P - L - L log v - log det P], least at v = L / tr P
    exact = LinearGaussian(W, np.zeros(3), S2)
    P, (mean, _) = exact.precision, exact.posterior(Y)
    best = 2 / np.trace(P)

    def gap(v):
        return (exact.log_prob(Y) - exact.elbo(Y, mean, np.full((1, 2), np.log(v)))).item()

    assert abs(gap(best) - 0.5 * (-2 * np.log(best) - np.linalg.slogdet(P)[1])) < 1e-12
    assert gap(best) > exact.diagonal_gap
    assert min(gap(1.01 * best), gap(best / 1.01)) > gap(best)


@pytest.mark.parametrize(
    ("estimator", "kl"), [("pathwise", "closed"), ("pathwise", "sampled"), ("path-derivative", "sampled")]
)
def test_the_gradient_is_that_of_the_formula(estimator, kl, rng):
    model, params, x = made(rng)
    eps, w = gauss_hermite(12, 2)  # as if all the noise were drawn
    grads = np.empty_like(params)
    model.loss_and_grad(params, x, eps, grads, Elbo(estimator, kl=kl), weights=w)

    def loss(theta):
        return float(coupling_terms(model, theta, x, eps, w).loss.mean())

    # with nodes the estimators agree as far as the decoder is a polynomial of degree 22 on them
    assert check_gradient(loss, grads, params, tolerance=1e-6).ok


def test_without_noise_the_rescaled_loss_and_gradient_are_the_autoencoders(rng):
    # xi = 0 and beta = 0: sigma_g^2 times the gradient is that of 1/2 ||x - g(f(x))||^2, whatever the sigmas
    plain = Autoencoder.mlp(4, 2, [5], "tanh")
    for sigma_f, sigma_g in ((0.5, 0.3), (2.0, 1.0)):
        model, params, x = made(rng, sigma_f, sigma_g)
        assert plain.n_params == model.n_params
        assert [name for name, _ in plain.named(params)] == [name for name, _ in model.named(params)]
        grads, theirs = np.empty_like(params), np.empty_like(params)
        model.loss_and_grad(params, x, np.zeros((1, 3, 2)), grads, Elbo(beta=0.0))
        plain.loss_and_grad(params, x, None, theirs)
        np.testing.assert_allclose(sigma_g**2 * grads, theirs, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(model.reconstruct(params, x), plain.reconstruct(params, x), rtol=1e-14)


@pytest.mark.parametrize(
    ("model", "got"),
    [
        (VAE.mlp(4, 2, likelihood=Gaussian()), "DiagonalGaussian, StandardNormal, Gaussian"),
        (VAE.mlp(4, 2, posterior="fixed"), "FixedGaussian, StandardNormal, Bernoulli"),
        (VAE.mlp(4, 2, posterior="fixed", likelihood="gaussian-learned"), "Gaussian of a learned variance"),
        (Autoencoder.mlp(4, 2), "NoneType, NoneType, Gaussian"),
    ],
    ids=["diagonal", "Bernoulli", "learned", "autoencoder"],
)
def test_other_boxes_are_refused(model, got, rng):
    with pytest.raises(ValueError, match=f"model must have a FixedGaussian posterior.*got .*{got}"):
        coupling_terms(model, model.init(rng), np.ones((3, 4)), np.zeros((1, 3, 2)))


@pytest.mark.parametrize("name", ["sigma_f", "sigma_g"])
@pytest.mark.parametrize("sigma", [0.0, -1.0, np.nan, 1e200, "1"])
def test_sigmas_must_be_positive(name, sigma):
    with pytest.raises(ValueError, match=f"{name} must"):
        regularised_autoencoder(4, 2, **{name: sigma})


def test_the_posterior_holds_the_square():
    model = regularised_autoencoder(4, 2, 0.5, 0.2)
    assert (model.posterior, model.likelihood) == (FixedGaussian(2, 0.25), Gaussian(0.2**2))
