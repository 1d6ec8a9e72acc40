"""What several tests need."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from minivae.core import kernels

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


def pytest_configure(config):
    if not hasattr(kernels.adam, "py_func"):  # without the JIT kernels are NumPy's, which warns before we speak
        config.addinivalue_line("filterwarnings", r"ignore::RuntimeWarning:minivae\.core\.kernels")


def pytest_addoption(parser):
    parser.addoption("--fuzz", type=int, default=300, help="damaged files of each kind to try (default 300)")


@pytest.fixture
def heeded_interrupts():
    """Heed Ctrl-C and SIGTERM here and in processes started from here, though the suite may have to ignore them.

    A process that is started in the background, as by nohup, ignores SIGINT, and so does all that it starts.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
