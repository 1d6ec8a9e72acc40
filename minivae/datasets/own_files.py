"""A user's own data: .npy, .npz or IDX files."""

import math
import struct
from pathlib import Path
from typing import IO, Any

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array
from minivae.core.reading import existing_file, open_maybe_gzipped, read_exactly, read_npy, read_npz, reading
from minivae.datasets.dataset import Dataset, split_rows

# ------------------------------------------------------------------------------------- a user's own file


def load_file(path: str | Path, image_shape: tuple[int, int] | None = None) -> Dataset:
    """Load a user's own data: .npy, .npz (an array x and, if there, labels y and lengths), or IDX, each also gzipped.

    Arrays of more than two dimensions are flattened, uint8 values are images and divided by 255, values in
    [0, 1] get a Bernoulli likelihood, others are standardised and get a Gaussian. A tenth of the rows each,
    chosen by a fixed seed, are for testing and for validation.

    An array (N, T, D) with D below 5, or with an array of N ``lengths`` beside it, holds sequences: values beyond a
    length count for nothing, whatever they are, and the length becomes the last number of a row. Others (N, H, W) are
    images, which a recurrent encoder reads row by row.

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
    given_shape = None if image_shape is None else checks.image_shape(image_shape)
    x, y, own_shape, divisor, steps, ragged = _read(path, None)
    path = Path(path)
    image_shape = given_shape or own_shape
    if len(x) < 10:
        raise ValueError(f"{path.name} must hold at least 10 rows to be split, got {len(x)}. Add data.")
    if y is not None and y.shape != (len(x),):
        raise ValueError(f"y in {path.name} must have shape ({len(x)},), got {y.shape}. One label a row.")
    if steps is not None and given_shape is not None:
        raise ValueError(
            f"image_shape must be left away for sequences, got {given_shape[0]} x {given_shape[1]} with {path.name}. "
            f"Drop it."
        )
    side = round(x.shape[1] ** 0.5)
    if steps is None and image_shape is None and side >= 7 and side * side == x.shape[1]:
        image_shape = (side, side)
    if image_shape is not None and image_shape[0] * image_shape[1] != x.shape[1]:
        raise ValueError(
            f"image_shape must have {x.shape[1]} pixels as the rows of {path.name} do, got {image_shape[0]} x "
            f"{image_shape[1]}. Give height x width."
        )
    values = x[:, :-1] if ragged else x
    unit = bool(values.min() >= 0 and values.max() <= 1)
    # the same generator for ever: another split would show old runs their training rows as test rows
    place = np.random.default_rng(0).permutation(len(x)) % 10
    likelihood = "bernoulli" if unit else "gaussian-learned"
    masks = (place < 8, place == 8, place == 9)
    how: dict[str, Any] = {"image_shape": image_shape, "likelihood": likelihood, "divisor": divisor}
    return split_rows(path.name, x, y, masks, standardize=not unit, steps=steps, ragged=ragged, **how)


def read_rows(
    path: str | Path, divisor: float | None = None
) -> tuple[Array, np.ndarray | None, tuple[int, int] | None]:
    """Return the rows of a file as floats, its labels and its image shape, where it has them.

    uint8 values are divided by the divisor: 255, or 1 where none is above 1, unless given. With a divisor given, values
    that are floats already must lie in [0, 1], or they would be in other units.
    """
    divisor = None if divisor is None else checks.number(divisor, "divisor", low=0)
    x, y, shape, *_ = _read(path, divisor)
    return x, y, shape


def _read(path: Any, divisor: float | None) -> tuple[Any, ...]:
    """Return what ``read_rows`` does, what values were divided by, and of sequences (T, D), and if they are ragged."""
    path = existing_file(path, "data", "Check the path, or give the name of a data set.")
    x, y, lengths = _read_arrays(path)
    if lengths is not None:
        x, lengths = _within_lengths(x, lengths, path.name)
    divided = 1.0
    if x.dtype == np.uint8:
        divided = (255.0 if x.max(initial=0) > 1 else 1.0) if divisor is None else divisor
        x = x / np.float32(divided)
    elif divisor not in (None, 1) and x.dtype.kind == "f" and x.size and np.nanmax(x) > 1:
        raise ValueError(
            f"x in {path.name} must lie in [0, 1] as the images that the model was trained on do, got values up to "
            f"{np.nanmax(x):g}. Divide by {divisor:g}, or save them as uint8."
        )
    elif x.dtype == bool:
        x = x.astype(np.float32)
    shape = (x.shape[1], x.shape[2]) if x.ndim == 3 else None
    steps = shape if shape is not None and (lengths is not None or shape[1] < _FEW) else None
    x = checks.data(x.reshape(len(x), -1) if x.ndim > 2 and x.size else x, name=f"x in {path.name}")
    x = x.astype(np.float32 if x.dtype == np.float16 else x.dtype)
    if lengths is not None:
        x = np.concatenate([x, lengths[:, None].astype(x.dtype)], axis=1)
    return x, y, None if steps else shape, divided, steps, lengths is not None


_FEW = 5  # numbers a step below which an array of three axes holds sequences, not images


def _within_lengths(x: np.ndarray, lengths: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return steps (N, T, D), zero beyond the lengths, and the lengths, or refuse what are none."""
    x = x[:, :, None] if x.ndim == 2 else x
    if x.ndim != 3:
        raise ValueError(
            f"x in {name} must have shape (N, T, D) beside lengths, got {x.shape}. Give N sequences of T steps."
        )
    if lengths.shape != (len(x),) or lengths.dtype.kind not in "iu":
        raise ValueError(
            f"lengths in {name} must be {len(x)} integers, one for each row of x, got {checks.shown(lengths)}. "
            f"Count the steps of each row."
        )
    bad = (lengths < 1) | (lengths > x.shape[1])
    if bad.any():
        raise ValueError(
            f"lengths in {name} must lie between 1 and the {x.shape[1]} steps of x, got {lengths[bad][0]}. Drop rows "
            f"without steps."
        )
    inside = np.arange(x.shape[1]) < lengths[:, None]
    return np.where(inside[:, :, None], x, np.zeros((), x.dtype)), lengths


def _read_arrays(path: Path) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Return x, and where the file has them labels and lengths."""
    rule, remedy = "data must be an intact .npy, .npz or IDX file", "Save a float array with np.save."
    with reading(rule, path, remedy), open_maybe_gzipped(path) as file:
        start = file.peek(6)  # type: ignore[attr-defined]
        if start[:6] == b"\x93NUMPY":
            return read_npy(file), None, None
        if start[:2] == b"PK":
            arrays = read_npz(file, _rows_and_labels)
            y = arrays.pop("y", None) if len(arrays) > 1 else None
            lengths = arrays.pop("lengths", None) if len(arrays) > 1 else None
            return next(iter(arrays.values())), y, lengths
        return _parse_idx(file), None, None


def _rows_and_labels(names: list[str]) -> list[str]:
    """Return the names of the arrays to read, of those that an .npz file holds: x, and y and lengths where they are."""
    if len(names) == 1:
        return names
    if "x" not in names:
        raise ValueError(f"it must hold one array, or one named x, and holds {_listed(names)}")
    return [name for name in ("x", "y", "lengths") if name in names]


def _listed(names: list[str]) -> str:
    shown = ", ".join(name[:40] for name in names[:5]) or "nothing"
    return f"{shown} and {len(names) - 5:,} more" if len(names) > 5 else shown


def read_idx(path: Path) -> np.ndarray:
    """Return the array of an IDX file."""
    return _read_arrays(path)[0]


def _parse_idx(file: IO[bytes]) -> np.ndarray:
    """Parse IDX: two zero bytes, the type, the number of dimensions, big-endian sizes, big-endian values."""
    types = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
    magic = file.read(4)
    sizes = file.read(4 * magic[3]) if len(magic) == 4 else b""
    if len(magic) < 4 or magic[:2] != b"\x00\x00" or magic[2] not in types or len(sizes) < 4 * magic[3]:
        raise ValueError("it is none of these; turn a text table into one with np.save('x.npy', np.loadtxt(...))")
    shape, dtype = struct.unpack(f">{magic[3]}I", sizes), np.dtype(types[magic[2]])
    body = read_exactly(file, math.prod(shape) * dtype.itemsize)
    return np.frombuffer(body, dtype).reshape(shape).astype(dtype.newbyteorder("="))
