"""Instances and laws that several tests share."""

import numpy as np
import pytest

from minivae.core import kernels
from minivae.distributions.likelihoods import Gaussian
from minivae.models.vae import VAE

needs_jit = pytest.mark.skipif(
    not hasattr(kernels.adam, "py_func"), reason="many draws or large networks take minutes without the JIT"
)


def assert_within_standard_errors(samples, exact, n_errors=5.0):
    """Assert that the mean of independent samples (first axis) is the exact value, in standard errors."""
    samples = np.asarray(samples, float)
    error = samples.std(axis=0, ddof=1) / np.sqrt(len(samples))
    distance = np.abs(samples.mean(axis=0) - exact)
    assert np.all(distance <= n_errors * error), f"{np.max(distance / error):.1f} standard errors from {exact}"


# The instance of the linear-Gaussian VAE that is worked out by hand; y = x - b, so that the encoder sees y.
W = np.array([[1, 0.5], [-0.3, 0.8], [0.2, -0.6]])


S2, DELTA = 0.5, np.array([0.6, 0.9])


V = np.array([[0.4, -0.1, 0.2], [0.3, 0.5, -0.2]])


Y = np.array([[1.0, -0.5, 0.8]]) - np.array([[0.1, -0.2, 0.3]])


def linear_vae(W, b, s2, V, delta):
    """Return a linear VAE and its parameters: mu = V y, log_var constant, decoder W z + b, one learned variance."""
    p, q = W.shape
    model = VAE.mlp(p, q, [], likelihood=Gaussian(s2, learned=True))
    params = np.zeros(model.n_params)
    parts = dict(model.named(params))
    parts["encoder.0.weight"][:, :q] = V.T
    parts["encoder.0.bias"][q:] = 2 * np.log(delta)
    parts["decoder.0.weight"][:] = W.T
    parts["decoder.0.bias"][:] = b
    parts["likelihood.log_var"][:] = np.log(s2)
    return model, params


def small_vae(rng, likelihood=None, n_hidden=(6,), dtype=np.float64):
    model = VAE.mlp(4, 2, n_hidden, "tanh", likelihood)
    params = model.init(rng, dtype)
    params += 0.2 * rng.standard_normal(params.shape).astype(dtype)
    return model, params


def binary(rng, n=5, d=4):
    return (rng.random((n, d)) < 0.5).astype(float)


def exact_covariance_data(eigenvalues, n, rng):
    """Return n centred rows whose 1/N covariance is exactly diag(eigenvalues), turned by a random rotation."""
    p = len(eigenvalues)
    x = rng.normal(size=(n, p))
    q, _ = np.linalg.qr(x - x.mean(0))
    rotation, _ = np.linalg.qr(rng.normal(size=(p, p)))
    return np.sqrt(n) * q * np.sqrt(eigenvalues) @ rotation


# The ELBO of a linear VAE is quadratic in the noise, so the four corners (+-1, +-1) integrate it exactly.
CORNERS = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]], float)[:, None]
