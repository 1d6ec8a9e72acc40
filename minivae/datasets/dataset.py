"""A data set: rows to train, validate and test on."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array


@dataclass(frozen=True)
class Dataset:
    """Rows to train, validate and test on.

    Attributes
    ----------
    name : str
        Says the binarisation, where there is one.
    x_train, x_valid, x_test : float32 arrays of shape (n, D)
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
    divisor : float
        What uint8 values of the file were divided by; 1 where they were not.
    steps : (T, D) or None
        How many steps of how many numbers a row holds, where it is a sequence.
    ragged : bool
        Whether a row has its own length, 1 to T, as its last number.
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
    divisor: float = 1.0
    steps: tuple[int, int] | None = None
    ragged: bool = False

    def __post_init__(self) -> None:
        n_x = None
        for name in ("x_train", "x_valid", "x_test"):
            x = checks.batch(getattr(self, name), n_x, name=name)  # their values are looked at where they are used
            object.__setattr__(self, name, x)
            n_x = x.shape[1]

    @property
    def n_x(self) -> int:
        """Width of a row."""
        return self.x_train.shape[1]


def split_rows(name: str, x: Array, y: np.ndarray | None, masks: Any, *, standardize: bool, **fields: Any) -> Dataset:
    """Return the rows that each mask selects, to train, validate and test on; standardised by the first if wished."""
    if standardize:
        steps = fields.get("steps")
        fields["scale"] = mean, std = (
            standard_scale(x[masks[0]]) if steps is None else _scale_of_steps(x[masks[0]], steps, fields["ragged"])
        )
        x = (x - mean) / std
    train, valid, test = (np.ascontiguousarray(x[mask], np.float32) for mask in masks)
    y_train, y_valid, y_test = (None if y is None else y[mask] for mask in masks)
    return Dataset(name, train, valid, test, y_train, y_valid, y_test, **fields)


def _scale_of_steps(x: Array, steps: tuple[int, int], ragged: bool) -> tuple[Array, Array]:
    """Return mean and standard deviation of each column: those of its feature over all steps within the lengths."""
    T, D = steps
    each = x[:, : T * D].reshape(len(x), T, D)
    inside = np.arange(T) < x[:, -1:] if ragged else np.ones((len(x), T), bool)
    mean, std = (np.tile(part, T) for part in standard_scale(each[inside]))
    return (np.append(mean, 0), np.append(std, 1)) if ragged else (mean, std)


def standard_scale(x: Array) -> tuple[Array, Array]:
    """Return the mean and the standard deviation of each column, with 1 for a column that never changes.

    >>> standard_scale(np.array([[0.0], [2.0]]))
    (array([1.]), array([1.]))
    """
    x = checks.data(x)
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
