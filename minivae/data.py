"""Data sets by name or from a file: bundled digits, MNIST and friends from a folder or a checked download.

The name of an image set says what its pixels are:

- ``-grey``: values in [0, 1]; with a Bernoulli likelihood the ELBO is then a cross-entropy bound;
- ``-threshold``: 1 where the grey value is above one half;
- ``-dynamic``: zeros and ones drawn anew at every training step, with the grey values as probabilities (once, by the
  seed, for validation and test);
- ``-fixed``: one binary draw for ever (MNIST only: the published files of Larochelle and Murray, 2011).
"""

import gzip
import hashlib
import io
import os
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from minivae import checks
from minivae.checks import Array
from minivae.storage import FileError
from minivae.tuning import user_cache


@dataclass(frozen=True)
class Dataset:
    """Rows to train, validate and test on.

    Attributes
    ----------
    name : str
        Says the binarisation, where there is one.
    x_train, x_valid, x_test : float32 arrays of shape (n, n_x)
        For a ``-dynamic`` set these are the probabilities; train with binarize=True.
    y_train, y_valid, y_test : int arrays of shape (n,), or None
        Labels, for figures only.
    image_shape : (height, width) or None
    likelihood : str
        The likelihood that suits the values.
    scale : (mean, std) of each column, or None
        What a table was standardised by: the model sees (value - mean) / std.
    dynamic : bool
        Whether x is to be binarised anew at every use.
    """

    name: str
    x_train: Array
    x_valid: Array
    x_test: Array
    y_train: np.ndarray | None = None
    y_valid: np.ndarray | None = None
    y_test: np.ndarray | None = None
    image_shape: tuple[int, int] | None = None
    likelihood: str = "bernoulli"
    dynamic: bool = False
    scale: tuple[Array, Array] | None = None

    @property
    def n_x(self) -> int:
        """Width of a row."""
        return self.x_train.shape[1]


@dataclass(frozen=True)
class _Remote:
    """A file of a known data set: where it stands in a data folder, where it comes from, its sha256."""

    path: str
    url: str
    sha256: str


_MNIST = "https://ossci-datasets.s3.amazonaws.com/mnist/"
_LAROCHELLE = "https://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist/"
_UCI = "https://archive.ics.uci.edu/ml/machine-learning-databases/"
_FILES = {
    "mnist train images": _Remote(
        "mnist/train-images-idx3-ubyte.gz",
        _MNIST + "train-images-idx3-ubyte.gz",
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    ),
    "mnist train labels": _Remote(
        "mnist/train-labels-idx1-ubyte.gz",
        _MNIST + "train-labels-idx1-ubyte.gz",
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    ),
    "mnist test images": _Remote(
        "mnist/t10k-images-idx3-ubyte.gz",
        _MNIST + "t10k-images-idx3-ubyte.gz",
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    ),
    "mnist test labels": _Remote(
        "mnist/t10k-labels-idx1-ubyte.gz",
        _MNIST + "t10k-labels-idx1-ubyte.gz",
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
    "fixed train": _Remote(
        "binarized_mnist/binarized_mnist_train.amat",
        _LAROCHELLE + "binarized_mnist_train.amat",
        "ad693b29f94c14277b095f5238ddefbbdaaae0939789dd2f4f0205278cee3e4d",
    ),
    "fixed valid": _Remote(
        "binarized_mnist/binarized_mnist_valid.amat",
        _LAROCHELLE + "binarized_mnist_valid.amat",
        "1de3d397c40fe8eeb33dafd4099a1f665ec01e96d9be234aaeeac8a34930e2e2",
    ),
    "fixed test": _Remote(
        "binarized_mnist/binarized_mnist_test.amat",
        _LAROCHELLE + "binarized_mnist_test.amat",
        "e6687bfea3f820c174f33b7865140b2a2dd2930ef786f35d45795fc193b5ab2c",
    ),
    "frey": _Remote(
        "frey/frey_rawface.mat",
        "https://cs.nyu.edu/~roweis/data/frey_rawface.mat",
        "265a83a23adb081755cd3de375509828e690324d1d60f076b8ecebc840d59c64",
    ),
    "iris": _Remote(
        "tabular/iris.data",
        _UCI + "iris/iris.data",
        "6f608b71a7317216319b4d27b4d9bc84e6abd734eda7872b71a458569e2656c0",
    ),
    "wine": _Remote(
        "tabular/wine.data",
        _UCI + "wine/wine.data",
        "6be6b1203f3d51df0b553a70e57b8a723cd405683958204f96d23d7cd6aea659",
    ),
}
# The same bits as the three .amat files, eight to a byte; read in their place where it is there.
_PACKED = _Remote(
    "binarized_mnist/binarized_mnist_packed.npz",
    "",
    "50de2c8299a5a297789293ab2c30f6fc3cb8c359a15e5e88d5501aa18ebb8fa5",
)


def data_folders() -> list[Path]:
    """Return the folders in which data files are looked for: MINIVAE_DATA if set, then the user's cache."""
    cache = user_cache()
    given = os.environ.get("MINIVAE_DATA")
    return [Path(given).expanduser(), cache] if given else [cache]


# ------------------------------------------------------------------------------------------ named sets


def load(name: str = "digits") -> Dataset:
    """Load a data set by name.

    Parameters
    ----------
    name : str
        digits (8 x 8, bundled), mnist (28 x 28), each -grey, -threshold, -dynamic, and mnist-fixed; frey (28 x 20
        faces, grey), iris and wine (standardised tables). ``digits`` and ``mnist`` alone mean the -dynamic sets.

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
    rows the last is for testing and the one before it for validation.

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
    return _image_set(name, parts, (y[~valid], y[valid], packed["y_test"]), (8, 8))


def _mnist(name: str) -> Dataset:
    x, y, x_test, y_test = (
        _read_idx(_fetch(_FILES[f"mnist {part}"]))
        for part in ("train images", "train labels", "test images", "test labels")
    )
    x, x_test = (a.reshape(len(a), -1) / np.float32(255) for a in (x, x_test))
    return _image_set(name, (x[:50000], x[50000:], x_test), (y[:50000], y[50000:], y_test), (28, 28))


def _mnist_fixed(name: str) -> Dataset:
    packed = _find(_PACKED)
    if packed is not None:
        with np.load(packed, allow_pickle=False) as archive:
            parts = [np.unpackbits(archive[part], axis=1) for part in ("train", "valid", "test")]
    else:
        parts = [_read_amat(_fetch(_FILES[f"fixed {part}"])) for part in ("train", "valid", "test")]
    train, valid, test = (part.astype(np.float32) for part in parts)
    return Dataset(name, train, valid, test, image_shape=(28, 28))


def _frey(name: str) -> Dataset:
    from scipy.io import loadmat  # only this set needs scipy.io

    x = loadmat(_fetch(_FILES["frey"]))["ff"].T / np.float32(255)
    a, b = int(0.8 * len(x)), int(0.9 * len(x))
    return Dataset(name, x[:a], x[a:b], x[b:], image_shape=(28, 20), likelihood="gaussian-learned")


def _iris(name: str) -> Dataset:
    lines = [line.split(",") for line in _fetch(_FILES["iris"]).read_text().split() if line]
    classes = sorted({line[-1] for line in lines})
    y = np.array([classes.index(line[-1]) for line in lines])
    return _table(name, np.array([line[:-1] for line in lines], float), y)


def _wine(name: str) -> Dataset:
    rows = np.loadtxt(_fetch(_FILES["wine"]), delimiter=",")
    return _table(name, rows[:, 1:], rows[:, 0].astype(int))


_LOADERS: dict[str, Callable[[str], Dataset]] = {
    "digits-grey": _digits,
    "digits-threshold": _digits,
    "digits-dynamic": _digits,
    "mnist-grey": _mnist,
    "mnist-threshold": _mnist,
    "mnist-dynamic": _mnist,
    "mnist-fixed": _mnist_fixed,
    "frey": _frey,
    "iris": _iris,
    "wine": _wine,
}


def _image_set(name: str, parts: Any, labels: Any, shape: tuple[int, int]) -> Dataset:
    if name.endswith("-threshold"):
        parts = [(x > 0.5).astype(np.float32) for x in parts]
    train, valid, test = (np.ascontiguousarray(x) for x in parts)
    y_train, y_valid, y_test = (y.astype(int) for y in labels)
    dynamic = name.endswith("-dynamic")
    return Dataset(name, train, valid, test, y_train, y_valid, y_test, shape, dynamic=dynamic)


def _table(name: str, x: Array, y: np.ndarray | None) -> Dataset:
    """Split a table by row number and standardise it by its training rows."""
    place = np.arange(len(x)) % 5
    return _split(
        name,
        x,
        y,
        (place < 3, place == 3, place == 4),
        standardize=True,
        likelihood="gaussian-learned",
    )


def _split(name: str, x: Array, y: np.ndarray | None, masks: Any, *, standardize: bool, **fields: Any) -> Dataset:
    if standardize:
        fields["scale"] = mean, std = standard_scale(x[masks[0]])
        x = (x - mean) / std
    train, valid, test = (np.ascontiguousarray(x[mask], np.float32) for mask in masks)
    y_train, y_valid, y_test = (None if y is None else y[mask] for mask in masks)
    return Dataset(name, train, valid, test, y_train, y_valid, y_test, **fields)


def standard_scale(x: Array) -> tuple[Array, Array]:
    """Return the mean and the standard deviation of each column, with 1 for a column that never changes.

    >>> standard_scale(np.array([[0.0], [2.0]]))
    (array([1.]), array([1.]))
    """
    constant = checks.constant_columns(x)
    if constant:
        warnings.warn(
            f"x should vary in every column to be standardised, got constant column(s) "
            f"{checks.listed(constant)}, which stay at 0. Drop them if they mean nothing.",
            stacklevel=3,
        )
    with np.errstate(over="ignore", invalid="ignore"):
        mean, std = x.mean(axis=0, dtype=np.float64), x.std(axis=0, dtype=np.float64)
    std[constant] = 1
    bad = np.flatnonzero(~(np.isfinite(mean) & np.isfinite(std) & (std > 0))).tolist()
    if bad:
        raise ValueError(
            f"x must have columns whose mean and standard deviation are ordinary numbers, got column(s) "
            f"{checks.listed(bad)} with none. Rescale them first."
        )
    return mean, std


# ------------------------------------------------------------------------------------- a user's own file


def load_file(path: str | Path, image_shape: tuple[int, int] | None = None) -> Dataset:
    """Load a user's own data: .npy, .npz (an array x and, if there, labels y), or IDX, each also gzipped.

    Arrays of more than two dimensions are flattened, uint8 values are images and divided by 255, values in
    [0, 1] get a Bernoulli likelihood, others are standardised and get a Gaussian. A tenth of the rows each,
    chosen by a fixed seed, are for testing and for validation.

    Parameters
    ----------
    path : path
    image_shape : (height, width), optional
        For figures; known where the array has it, and guessed for square images of 49 pixels or more.

    Raises
    ------
    FileError
        If the file is missing, truncated, corrupted or not of these kinds.
    ValueError
        If its values cannot be used: too few rows, NaN, object or integer dtype.
    """
    path = Path(path)
    x, y, own_shape = read_rows(path)
    image_shape = image_shape or own_shape
    if len(x) < 10:
        raise ValueError(f"{path.name} must hold at least 10 rows to be split, got {len(x)}. Add data.")
    if y is not None and y.shape != (len(x),):
        raise ValueError(f"y in {path.name} must have shape ({len(x)},), got {y.shape}. One label a row.")
    side = round(x.shape[1] ** 0.5)
    if image_shape is None and side >= 7 and side * side == x.shape[1]:
        image_shape = (side, side)
    if image_shape is not None and image_shape[0] * image_shape[1] != x.shape[1]:
        raise ValueError(
            f"image_shape must have {x.shape[1]} pixels as the rows of {path.name} do, got {image_shape[0]} x "
            f"{image_shape[1]}. Give height x width."
        )
    unit = bool(x.min() >= 0 and x.max() <= 1)
    place = np.random.default_rng(0).permutation(len(x)) % 10
    likelihood = "bernoulli" if unit else "gaussian-learned"
    masks = (place < 8, place == 8, place == 9)
    return _split(path.name, x, y, masks, standardize=not unit, image_shape=image_shape, likelihood=likelihood)


def read_rows(path: str | Path) -> tuple[Array, np.ndarray | None, tuple[int, int] | None]:
    """Return the rows of a file as floats, its labels and its image shape, where it has them."""
    path = Path(path)
    if not path.is_file():
        raise FileError(f"data must name a data set or a file, got {path}, which does not exist. Check the path.")
    x, y = _read_arrays(path)
    if x.dtype == np.uint8:
        x = x / np.float32(255 if x.max(initial=0) > 1 else 1)
    elif x.dtype == bool:
        x = x.astype(np.float32)
    shape = (x.shape[1], x.shape[2]) if x.ndim == 3 else None
    x = checks.data(x.reshape(len(x), -1) if x.ndim > 2 else x, name=f"x in {path.name}")
    return x.astype(np.float32 if x.dtype == np.float16 else x.dtype), y, shape


def _read_arrays(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    try:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
        if content[:6] == b"\x93NUMPY":
            return np.load(io.BytesIO(content), allow_pickle=False), None
        if content[:2] == b"PK":
            with np.load(io.BytesIO(content), allow_pickle=False) as archive:
                found = {key: archive[key] for key in archive.files}
            key = "x" if "x" in found or len(found) != 1 else next(iter(found))
            if key not in found:
                raise ValueError(f"it must hold one array, or one named x, and holds {', '.join(found) or 'nothing'}")
            return found[key], found.get("y")
        return _parse_idx(content), None
    except (
        ValueError,
        OSError,
        EOFError,
        RuntimeError,
        MemoryError,
        zlib.error,
        zipfile.BadZipFile,
        KeyError,
    ) as error:
        pickled = "allow_pickle" in str(error)
        what = "it holds Python objects, not numbers; save a float array" if pickled else str(error)
        raise FileError(f"data must be an intact .npy, .npz or IDX file, got {path}: {what}.") from error


def _read_idx(path: Path) -> np.ndarray:
    return _read_arrays(path)[0]


def _parse_idx(content: bytes) -> np.ndarray:
    """Parse IDX: two zero bytes, the type, the number of dimensions, big-endian sizes, big-endian values."""
    types = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
    if len(content) < 4 or content[:2] != b"\x00\x00" or content[2] not in types or len(content) < 4 + 4 * content[3]:
        raise ValueError("it is none of these; turn a text table into one with np.save('x.npy', np.loadtxt(...))")
    shape = struct.unpack(f">{content[3]}I", content[4 : 4 + 4 * content[3]])
    body, dtype = content[4 + 4 * content[3] :], np.dtype(types[content[2]])
    promised = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if len(body) != promised:
        raise ValueError(f"its header promises {promised} bytes and {len(body)} follow")
    return np.frombuffer(body, dtype).reshape(shape).astype(dtype.newbyteorder("="))


def _read_amat(path: Path) -> np.ndarray:
    """Read rows of 784 digits 0 or 1 between single blanks."""
    digits = np.frombuffer(path.read_bytes(), np.uint8)
    digits = digits[digits > ord(" ")] - ord("0")
    return digits.reshape(-1, 784)


# ------------------------------------------------------------------------------------- finding the files


def _find(file: _Remote) -> Path | None:
    """Return the checked local copy of a file, or None where there is none."""
    for folder in data_folders():
        path = folder / file.path
        if path.is_file():
            found = hashlib.sha256(path.read_bytes()).hexdigest()
            if found != file.sha256:
                raise FileError(
                    f"data file {path} must have sha256 {file.sha256[:12]}..., got {found[:12]}...: it is truncated "
                    f"or corrupted. Delete it, and it is fetched again."
                )
            return path
    return None


def _fetch(file: _Remote) -> Path:
    """Return a checked copy of a file, downloading it into the user's cache if it is nowhere else."""
    found = _find(file)
    if found is not None:
        return found
    looked = " and ".join(str(folder) for folder in data_folders())
    missing = f"data file {file.path} must be in one of the data folders, got none in {looked}."
    try:
        import pooch
    except ImportError:
        raise FileError(
            f"{missing} Put it there and set MINIVAE_DATA to the folder, or let minivae download it: "
            f'pip install "minivae[data]".'
        ) from None
    target = data_folders()[-1] / file.path
    try:
        pooch.retrieve(file.url, f"sha256:{file.sha256}", fname=target.name, path=target.parent)
    except Exception as error:  # pooch passes on what requests, urllib3 and the file system raise
        wrong_checksum = isinstance(error, ValueError)
        reason = str(error)[:100] if wrong_checksum else type(error).__name__
        raise FileError(
            f"{missing} Downloading {file.url} failed ({reason}). If you are offline, "
            f"put the file there by hand and set MINIVAE_DATA to the folder."
        ) from error
    return target
