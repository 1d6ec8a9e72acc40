"""What several tests need."""

import os
from pathlib import Path

import numpy as np
import pytest

from minivae import kernels

if os.environ.get("MINIVAE_DATA"):  # tests change folders
    os.environ["MINIVAE_DATA"] = str(Path(os.environ["MINIVAE_DATA"]).resolve())


needs_jit = pytest.mark.skipif(
    not hasattr(kernels.adam, "py_func"), reason="many draws or large networks take minutes without the JIT"
)


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
