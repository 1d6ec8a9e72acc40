"""Data sets by name, or from your own file."""

from minivae.datasets.dataset import Dataset, standard_scale
from minivae.datasets.fetching import data_folders
from minivae.datasets.own_files import load_file, read_rows
from minivae.datasets.sets import load, names
from minivae.datasets.sines import sines
from minivae.datasets.strokes import add_stroke, has_stroke

__all__ = [
    "Dataset",
    "add_stroke",
    "data_folders",
    "has_stroke",
    "load",
    "load_file",
    "names",
    "read_rows",
    "sines",
    "standard_scale",
]
