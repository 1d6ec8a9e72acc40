"""The one place where user input is refused: each message names the argument, the rule, the value, the remedy."""

import math
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

import numpy as np

from minivae.core.arrays import Array

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def data(x: Any, n_x: int | None = None, dtype: Any = None, name: str = "x") -> Array:
    """Return ``x`` as a C-ordered float array of shape (batch, n_x), or say what is wrong with it."""
    x = batch(x, n_x, dtype, name)
    finite = np.isfinite(x)
    if not finite.all():
        row, column = np.argwhere(~finite)[0]
        raise ValueError(
            f"{name} must be finite, got {int((~finite).sum())} NaN or infinite values, the first "
            f"({x[row, column]}) in row {row}, column {column}. Drop or fill them first."
        )
    return x


def batch(x: Any, n_x: int | None = None, dtype: Any = None, name: str = "x") -> Array:
    """Return ``x`` as ``data`` does, without looking at its values: for the inside of a training loop."""
    if isinstance(x, np.ma.MaskedArray):
        raise ValueError(
            f"{name} must be an array without a mask, got a masked array, whose {int(np.ma.count_masked(x))} masked "
            f"values would be taken for data. Fill them: {name}.filled(value), or drop their rows."
        )
    x = np.asarray(x)
    if x.dtype.kind != "f":
        raise ValueError(
            f"{name} must be a floating-point array, got dtype {x.dtype}. "
            f"Convert it with .astype(np.float32), and divide 0..255 images by 255."
        )
    want = "n_x" if n_x is None else str(n_x)
    if x.ndim != 2:
        shape_hint = (
            "Flatten images with x.reshape(len(x), -1)."
            if x.ndim > 2
            else f"A single example is x[None, :], of shape (1, {want}); a single column x[:, None]."
        )
        raise ValueError(f"{name} must have shape (batch, {want}), got {x.shape}. {shape_hint}")
    if x.size == 0:
        raise ValueError(f"{name} must hold at least one value, got shape {x.shape}. Check the slice or file.")
    if n_x is not None and x.shape[1] != n_x:
        raise ValueError(
            f"{name} must have shape (batch, {n_x}), got {x.shape}. "
            f"Build the model with n_x={x.shape[1]}, or select {n_x} columns."
        )
    return np.ascontiguousarray(x, dtype=dtype if dtype is not None else x.dtype)


def square(S: Any, n: int, name: str = "S") -> Array:
    """Return a matrix of shape (n, n), without looking at its values: for the inside of a training loop."""
    S = np.asarray(S)
    if S.shape != (n, n) or S.dtype.kind not in "fiu":
        raise ValueError(
            f"{name} must hold real numbers in shape ({n}, {n}), got dtype {S.dtype} and shape {S.shape}. "
            f"Use covariance(x) of rows with {n} values."
        )
    return S


def covariance(S: Any, n: int, name: str = "S") -> Array:
    """Return a finite matrix of shape (n, n)."""
    S = square(S, n, name)
    finite = np.isfinite(S)
    if not finite.all():
        row, column = np.argwhere(~finite)[0]
        raise ValueError(
            f"{name} must be finite, got {S[row, column]} in row {row}, column {column}. Drop or fill the data's NaN."
        )
    return S


def real(value: Any, name: str) -> Array:
    """Return finite real numbers in float64, of whatever shape."""
    array = ragged(value, name)
    if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
        bad = f"{array[~np.isfinite(array)][0]}" if array.dtype.kind == "f" else f"dtype {array.dtype}"
        raise ValueError(f"{name} must hold finite real numbers, got {bad}. Check how it is made.")
    return array.astype(np.float64)


def ragged(value: Any, name: str) -> Array:
    """Return an array, or refuse rows of different lengths, of which NumPy makes none."""
    try:
        return np.asarray(value)
    except ValueError:
        raise ValueError(
            f"{name} must be an array, got rows of different lengths. Give every row the same length."
        ) from None


def flat(array: Any, n_params: int, name: str = "params") -> None:
    """Refuse anything but one contiguous float vector of n_params entries."""
    if not isinstance(array, np.ndarray) or array.dtype not in _FLOATS:
        raise ValueError(
            f"{name} must be a float32 or float64 array, got {_kind(array)}. Make it with model.init(rng)."
        )
    if array.shape != (n_params,):
        raise ValueError(
            f"{name} must have shape ({n_params},), got {array.shape}. "
            f"It belongs to another model; make it with model.init(rng)."
        )
    if not array.flags.c_contiguous:
        raise ValueError(f"{name} must be contiguous, got strides {array.strides}. Use np.ascontiguousarray({name}).")


def gradient(params: Any, grads: Any, n_params: int) -> None:
    """Refuse parameters and a place for their gradient that are not alike."""
    flat(params, n_params)
    flat(grads, n_params, "grads")
    if grads.dtype != params.dtype:
        raise ValueError(
            f"grads must have the dtype of params, {params.dtype}, got {grads.dtype}. Use np.empty_like(params)."
        )
    if np.may_share_memory(params, grads):
        raise ValueError(
            "grads must be memory of its own, got an array that shares memory with params and would overwrite them. "
            "Use np.empty_like(params)."
        )


def noise_or_generator(eps: Any, rng: Any, name: str = "eps") -> None:
    """Refuse both or neither of the noise itself and a generator to draw it from."""
    if (eps is None) == (rng is None):
        raise ValueError(
            f"give either {name} (the noise itself) or rng (a numpy.random.Generator), "
            f"got {'neither' if eps is None else 'both'}. For example rng=np.random.default_rng(0)."
        )
    if rng is not None:
        generator(rng)


def noise(eps: Any, shape: tuple[int, int], dtype: Any, name: str = "eps") -> Array:
    """Return noise of shape (draws, batch, n_noise), ``shape`` being (batch, n_noise), or say what is wrong with it."""
    if eps is None:
        noise_or_generator(eps, None, name)
    eps = np.asarray(eps)
    if eps.dtype == dtype and eps.ndim == 3 and eps.shape[1:] == shape and eps.flags.c_contiguous and len(eps):
        return eps  # the usual case, at the price of a look
    if eps.dtype.kind != "f":
        raise ValueError(f"{name} must be a floating-point array, got dtype {eps.dtype}. Use {name}.astype(float).")
    if eps.ndim != 3 or eps.shape[0] < 1 or eps.shape[1] not in (1, shape[0]) or eps.shape[2] != shape[1]:
        raise ValueError(
            f"{name} must have shape (draws, batch, n_latent) = (K, {shape[0]}, {shape[1]}), or (K, 1, {shape[1]}) "
            f"to share draws between examples, got {eps.shape}. One draw each is {name}[None]."
        )
    return np.ascontiguousarray(np.broadcast_to(eps, (len(eps), *shape)), dtype=dtype)


def draw_weights(weights: Any, n_draws: int, dtype: Any) -> Array:
    """Return the given quadrature weights, one a draw, which must sum to one."""
    weights = np.asarray(weights, dtype)
    if weights.shape != (n_draws,) or not abs(float(weights.sum()) - 1) < 1e-4:
        raise ValueError(
            f"weights must have shape ({n_draws},), one a draw, and sum to 1, got shape {weights.shape} "
            f"and sum {float(weights.sum()):.6g}. Divide them by their sum."
        )
    return weights


def baseline(value: Any, n_batch: int, dtype: Any) -> Array:
    """Return what is taken off the score function's signal: one number, or one for each example."""
    if type(value) is float and math.isfinite(value):  # the usual case, at the price of a look
        return np.full((), value, dtype)
    c = np.asarray(value, dtype)
    if c.shape not in ((), (n_batch,)) or not np.isfinite(c).all():
        raise ValueError(
            f"baseline must be a finite number or one for each example, shape ({n_batch},), got shape {c.shape}. "
            f"Take it from draws other than these."
        )
    return c


def generator(rng: Any) -> np.random.Generator:
    """Return rng if it is a generator."""
    if not isinstance(rng, np.random.Generator):
        raise ValueError(f"rng must be a numpy.random.Generator, got {_kind(rng)}. Use np.random.default_rng(seed).")
    return rng


def seed(value: Any) -> int:
    """Return a seed: an integer from 0 to 2^63 - 1."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not 0 <= value < 2**63:
        raise ValueError(f"seed must be an integer from 0 to 2^63 - 1, got {str(value)[:40]}. Use seed=0.")
    return int(value)


def width(value: Any, name: str) -> int:
    """Return a layer width or count as an int of at least one."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"{name} must be an integer of at least 1, got {value!r}. Use {name}=1 or more.")
    return int(value)


def widths(values: Any, name: str) -> list[int]:
    """Return a list of layer widths, each at least one; the list may be empty."""
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise ValueError(f"{name} must be a list of integers, got {values!r}. One hidden layer is {name}=[128].")
    return [width(value, name) for value in values]


def number(value: Any, name: str, *, low: float, closed: bool = False, high: float = math.inf) -> float:
    """Return a finite number in (low, high), or in [low, high) where closed."""
    ok = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    ok = ok and abs(value) < 1e300 and (value >= low if closed else value > low) and value < high  # a NaN is not
    if not ok:
        rule = f"{'at least' if closed else 'greater than'} {low:g}"
        rule += f" and below {high:g}" if high < math.inf else ""
        raise ValueError(f"{name} must be a finite number {rule}, got {value!r}. Choose a value in that range.")
    return float(value)


def location(mu: Any, sigma: Any) -> tuple[Array, Array]:
    """Return mu and sigma as float64 vectors of one length, or say what is wrong with them."""
    mu, sigma = np.atleast_1d(np.asarray(mu, np.float64)), np.atleast_1d(np.asarray(sigma, np.float64))
    if mu.ndim != 1 or mu.shape != sigma.shape or not mu.size:
        raise ValueError(f"mu and sigma must have one shape (D,), got {mu.shape} and {sigma.shape}. Make them alike.")
    if not np.isfinite(mu).all():
        raise ValueError(f"mu must be finite, got {mu[~np.isfinite(mu)][0]}. Choose a point on the real line.")
    if not ((sigma > 0) & np.isfinite(sigma)).all():
        bad = sigma[~((sigma > 0) & np.isfinite(sigma))][0]
        raise ValueError(f"sigma must be a positive standard deviation, got {bad:g}. Use exp(log_var / 2), say.")
    return mu, sigma


def choice(value: Any, options: Iterable[str], name: str) -> str:
    """Return ``value`` if it is one of the options, else name the nearest one."""
    options = list(options)
    if value in options:
        return str(value)
    remedy = did_you_mean(value, options) or f"Choose {options[0]!r}, for instance."
    raise ValueError(f"{name} must be one of {', '.join(options)}; got {value!r}. {remedy}")


def did_you_mean(value: Any, options: Iterable[str]) -> str:
    """Return the question after the nearest option; empty if none is near."""
    near = get_close_matches(str(value), list(options), n=1, cutoff=0.4)
    return f"Did you mean {near[0]!r}?" if near else ""


def float_dtype(value: Any) -> Any:
    """Return float32 or float64 as a dtype."""
    try:
        dtype = None if value is None else np.dtype(value)  # None would mean float64
    except TypeError:
        dtype = None
    if dtype is None or dtype not in _FLOATS:
        raise ValueError(f"dtype must be float32 or float64, got {value!r}. float32 trains faster, float64 checks.")
    return dtype


def constant_columns(x: Array) -> list[int]:
    """Return the indices of the columns of ``x`` that never change."""
    return np.flatnonzero(x.min(axis=0) == x.max(axis=0)).tolist()


def listed(indices: list[int], limit: int = 5) -> str:
    """Return '0, 32, 39' or '0, 1, 2, 3, 4 and 7 more'."""
    text = ", ".join(str(i) for i in indices[:limit])
    return text if len(indices) <= limit else f"{text} and {len(indices) - limit} more"


def _kind(value: Any) -> str:
    return f"an array of dtype {value.dtype}" if isinstance(value, np.ndarray) else repr(type(value).__name__)
