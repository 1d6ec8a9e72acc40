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


def pytest_addoption(parser):
    parser.addoption("--fuzz", type=int, default=300, help="damaged files of each kind to try (default 300)")
