"""Settings, the loop, its files and run folders."""

from minivae.training.arithmetic import blas_threads, reproducible
from minivae.training.bits import binarize
from minivae.training.loop import Result, train
from minivae.training.settings import Settings
from minivae.training.storage import load_model, save_model
from minivae.training.sweeps import sweep

__all__ = [
    "Result",
    "Settings",
    "binarize",
    "blas_threads",
    "load_model",
    "reproducible",
    "save_model",
    "sweep",
    "train",
]
