"""Data sets by name or from a file: bundled digits, MNIST and friends from a folder or a checked download.

The name of an image set says what its pixels are:

- ``-grey``: values in [0, 1]; with a Bernoulli likelihood the ELBO is then a cross-entropy bound;
- ``-threshold``: 1 where the grey value is above one half;
- ``-dynamic``: zeros and ones drawn anew at every training step, with the grey values as probabilities (once, by the
  seed, for validation and test);
- ``-fixed``: one binary draw for ever (MNIST only: the published files of Larochelle and Murray, 2011);
- ``-stroke``: thresholded, and half of the images, drawn once for ever, have a stroke beside the digit (digits only);
  the labels say which.
"""

import io
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array
from minivae.core.seeds import Stream, stream
from minivae.datasets.dataset import Dataset, split_rows
from minivae.datasets.fetching import FILES, PACKED, fetch, find
from minivae.datasets.own_files import read_idx
from minivae.datasets.sines import N_STEPS, sines
from minivae.datasets.strokes import SHAPE, add_stroke

# ------------------------------------------------------------------------------------------ named sets


def load(name: str = "digits") -> Dataset:
    """Load a data set by name.

    Parameters
    ----------
    name : str
        digits (8 x 8, bundled), mnist (28 x 28), each -grey, -threshold, -dynamic, digits-stroke and mnist-fixed; frey
        (28 x 20 faces, grey), iris and wine (standardised tables), sines and sines-ragged (generated sequences).
        ``digits`` and ``mnist`` alone mean the -dynamic sets.

    Returns
    -------
    Dataset

    Raises
    ------
    ValueError
        If there is no such name (the nearest one is suggested), or a file is missing, truncated or corrupted.

    Notes
    -----
    Splits are fixed. digits: UCI's training set less every eighth row, those rows, UCI's test set (by other
    writers). mnist: first 50,000, last 10,000, test set; mnist-fixed: as published. frey: the first 80 %, the
    next 10 %, the last 10 % of the film, as neighbouring frames are alike. iris and wine: of every five
    rows the last is for testing and the one before it for validation. sines: 2,000, 500 and 500 sequences of fixed
    seeds; labels are the whole cycles in a sequence.

    Examples
    --------
    >>> digits = load("digits-threshold")
    >>> digits.x_train.shape, digits.x_valid.shape, digits.x_test.shape
    ((3346, 64), (477, 64), (1797, 64))
    """
    name = checks.choice(name, names(), "data")
    name = {"digits": "digits-dynamic", "mnist": "mnist-dynamic"}.get(name, name)
    return _LOADERS[name](name)


def names() -> list[str]:
    """Return the names that ``load`` knows, the short forms first."""
    return ["digits", "mnist", *_LOADERS]


def _digits(name: str) -> Dataset:
    with files("minivae.datasets").joinpath("optdigits.npz").open("rb") as file:
        packed = np.load(io.BytesIO(file.read()), allow_pickle=False)
    valid = np.arange(len(packed["x_train"])) % 8 == 7
    x, y = (packed["x_train"] / np.float32(16)), packed["y_train"]
    parts = (x[~valid], x[valid], packed["x_test"] / np.float32(16))
    return _image_set(name, parts, (y[~valid], y[valid], packed["y_test"]), (8, 8), 16)


def _digits_stroke(name: str) -> Dataset:
    digits = _digits("digits-threshold")
    parts, labels = [], []
    for i, x in enumerate((digits.x_train, digits.x_valid, digits.x_test)):
        has = stream(0, Stream.STROKES, i).random(len(x)) < 0.5
        parts.append(np.where(has[:, None], add_stroke(x), x))
        labels.append(has.astype(int))
    return _image_set(name, parts, labels, SHAPE, digits.divisor)


def _mnist(name: str) -> Dataset:
    x, y, x_test, y_test = (
        read_idx(fetch(FILES[f"mnist {part}"]))
        for part in ("train images", "train labels", "test images", "test labels")
    )
    x, x_test = (a.reshape(len(a), -1) / np.float32(255) for a in (x, x_test))
    return _image_set(name, (x[:50000], x[50000:], x_test), (y[:50000], y[50000:], y_test), (28, 28), 255)


def _mnist_fixed(name: str) -> Dataset:
    packed = find(PACKED)
    if packed is not None:
        with np.load(packed, allow_pickle=False) as archive:
            parts = [np.unpackbits(archive[part], axis=1) for part in ("train", "valid", "test")]
    else:
        parts = [_read_amat(fetch(FILES[f"fixed {part}"])) for part in ("train", "valid", "test")]
    train, valid, test = (part.astype(np.float32) for part in parts)
    return Dataset(name, train, valid, test, image_shape=(28, 28))


def _frey(name: str) -> Dataset:
    from scipy.io import loadmat  # only this set needs scipy.io

    x = loadmat(fetch(FILES["frey"]))["ff"].T / np.float32(255)
    a, b = int(0.8 * len(x)), int(0.9 * len(x))
    return Dataset(name, x[:a], x[a:b], x[b:], image_shape=(28, 20), likelihood="gaussian-learned", divisor=255)


def _iris(name: str) -> Dataset:
    lines = [line.split(",") for line in fetch(FILES["iris"]).read_text().split() if line]
    classes = sorted({line[-1] for line in lines})
    y = np.array([classes.index(line[-1]) for line in lines])
    return _table(name, np.array([line[:-1] for line in lines], float), y)


def _wine(name: str) -> Dataset:
    rows = np.loadtxt(fetch(FILES["wine"]), delimiter=",")
    return _table(name, rows[:, 1:], rows[:, 0].astype(int))


def _sines(name: str) -> Dataset:
    parts, labels = [], []
    ragged = name.endswith("-ragged")
    for i, n in enumerate((2000, 500, 500)):
        rows, factors = sines(n, stream(0, Stream.SINES, i), ragged=ragged)
        parts.append(rows.astype(np.float32))
        labels.append(factors["cycles"].astype(int))
    (train, valid, test), (y_train, y_valid, y_test) = parts, labels
    how: dict[str, Any] = {"likelihood": "gaussian-learned", "steps": (N_STEPS, 1), "ragged": ragged}
    return Dataset(name, train, valid, test, y_train, y_valid, y_test, **how)


_LOADERS: dict[str, Callable[[str], Dataset]] = {
    "digits-grey": _digits,
    "digits-threshold": _digits,
    "digits-dynamic": _digits,
    "digits-stroke": _digits_stroke,
    "mnist-grey": _mnist,
    "mnist-threshold": _mnist,
    "mnist-dynamic": _mnist,
    "mnist-fixed": _mnist_fixed,
    "frey": _frey,
    "iris": _iris,
    "wine": _wine,
    "sines": _sines,
    "sines-ragged": _sines,
}


def _image_set(name: str, parts: Any, labels: Any, shape: tuple[int, int], divisor: float) -> Dataset:
    if name.endswith("-threshold"):
        parts = [(x > 0.5).astype(np.float32) for x in parts]
    train, valid, test = (np.ascontiguousarray(x) for x in parts)
    y_train, y_valid, y_test = (y.astype(int) for y in labels)
    dynamic = name.endswith("-dynamic")
    return Dataset(name, train, valid, test, y_train, y_valid, y_test, shape, dynamic=dynamic, divisor=divisor)


def _table(name: str, x: Array, y: np.ndarray | None) -> Dataset:
    """Split a table by row number and standardise it by its training rows."""
    place = np.arange(len(x)) % 5
    return split_rows(
        name,
        x,
        y,
        (place < 3, place == 3, place == 4),
        standardize=True,
        likelihood="gaussian-learned",
    )


def _read_amat(path: Path) -> np.ndarray:
    """Read rows of 784 digits 0 or 1 between single blanks."""
    digits = np.frombuffer(path.read_bytes(), np.uint8)
    digits = digits[digits > ord(" ")] - ord("0")
    return digits.reshape(-1, 784)
