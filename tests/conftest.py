"""What several tests need."""

import os
from pathlib import Path

import numpy as np
import pytest

if os.environ.get("MINIVAE_DATA"):  # tests change folders
    os.environ["MINIVAE_DATA"] = str(Path(os.environ["MINIVAE_DATA"]).resolve())


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def data_folder():
    """Return the folder with MNIST and friends, or skip."""
    folder = os.environ.get("MINIVAE_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("MINIVAE_DATA names no folder: tests on MNIST, Frey, Iris and Wine are left out")
    return Path(folder)


def assert_within_standard_errors(samples, exact, n_errors=5.0):
    """Assert that the mean of independent samples (first axis) is the exact value, in standard errors."""
    samples = np.asarray(samples, float)
    error = samples.std(axis=0, ddof=1) / np.sqrt(len(samples))
    distance = np.abs(samples.mean(axis=0) - exact)
    assert np.all(distance <= n_errors * error), f"{np.max(distance / error):.1f} standard errors from {exact}"


def normal_nodes(n_latent=1, step=0.1, far=9.0):
    """Return nodes (K, 1, n_latent) and weights (K,) of the trapezoidal rule against N(0, I).

    Its error falls faster than any power of the step for analytic functions: Gauss-Hermite nodes are exact for
    polynomials only.
    """
    step = step if n_latent == 1 else 2.5 * step
    x = np.arange(-far, far + step / 2, step)
    w = np.exp(-(x**2) / 2)
    grid = np.stack(np.meshgrid(*[x] * n_latent, indexing="ij"), axis=-1).reshape(-1, 1, n_latent)
    weights = np.prod(np.stack(np.meshgrid(*[w / w.sum()] * n_latent, indexing="ij"), axis=-1), axis=-1).ravel()
    return grid, weights
