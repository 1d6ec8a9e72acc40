"""Settings, the loop, its files and run folders."""

from minivae.training.arithmetic import blas_threads, reproducible
from minivae.training.bits import binarize
from minivae.training.loop import Result, train
from minivae.training.settings import Settings
from minivae.training.state_dicts import load_state_dict, save_state_dict
from minivae.training.storage import load_model, save_model
from minivae.training.sweeps import sweep

__all__ = [
    "Result",
    "Settings",
    "binarize",
    "blas_threads",
    "load_model",
    "load_state_dict",
    "reproducible",
    "save_model",
    "save_state_dict",
    "sweep",
    "train",
]
