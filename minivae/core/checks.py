"""The one place where user input is refused: each message names the argument, the rule, the value, the remedy."""

import math
import os
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np

from minivae.core.arrays import Array
from minivae.core.trust import looked

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
_INNER = (*_FLOATS, np.dtype(np.complex128))  # what goes through a layer: complex numbers by the complex step
_FAR = 1e38  # its eighth power, of which moments are made, is finite
_MOST = 10**9  # of anything that is counted
_MOST_NUMBERS = 2**36  # in one array: 256 GB in float32


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
    x = array(x, name)
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
    return _floats(x, dtype)


def _floats(x: Array, dtype: Any = None) -> Array:
    """Return x in C order and a native dtype; what that cannot hold becomes infinite, without a word of NumPy's."""
    if dtype is None:
        dtype = x.dtype if x.dtype in _FLOATS else np.float32 if x.dtype.itemsize <= 4 else np.float64
    if x.dtype == dtype:  # a kernel would be compiled anew for an array that is read-only
        return x if x.flags.carray else np.array(x, order="C")
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(x, dtype)


def array(value: Any, name: str) -> np.ndarray:
    """Return an array, or refuse a mask, which would be lost, and rows of different lengths."""
    if type(value) is np.ndarray:
        return value
    if isinstance(value, np.ma.MaskedArray):
        raise ValueError(
            f"{name} must be an array without a mask, got a masked array, whose {int(np.ma.count_masked(value))} "
            f"masked values would be taken for data. Fill them: {name}.filled(value), or drop their rows."
        )
    try:
        return np.asarray(value)
    except (ValueError, TypeError):
        raise ValueError(
            f"{name} must be an array, got rows of different lengths. Give every row the same length."
        ) from None


def numbers(value: Any, name: str, remedy: str = "Check how it is made.") -> Array:
    """Return an array of real numbers, of whatever shape, dtype and values."""
    found = array(value, name)
    if found.dtype.kind not in "fiu":
        raise ValueError(f"{name} must hold real numbers, got {shown(value)}. {remedy}")
    return found


def look(value: Any, name: str, shape: tuple[int | None, ...], dtype: Any = None, remedy: str = "") -> Array:
    """Return floats of this shape (None: any length but 0), ready for a kernel: for the inside of a training loop.

    What is such an array already costs a look; values are not looked at. Another layout is put in order.
    """
    if looked.already:
        return value
    if (
        type(value) is np.ndarray
        and (value.dtype == dtype if dtype is not None else value.dtype in _FLOATS)
        and value.flags.carray
        and (_one_more(value.shape, shape) or _fits(value.shape, shape))
    ):
        return value
    value = array(value, name)
    native = value.dtype.newbyteorder("=")
    if not (native == dtype if dtype is not None else native in _FLOATS) or not _fits(value.shape, shape):
        want = "float32 or float64" if dtype is None else str(dtype)
        remedy = remedy or "Make it fit what it is given with, in shape and dtype."
        raise ValueError(
            f"{name} must be an array of shape {_pattern(shape)} and dtype {want}, got {shown(value)}. {remedy}"
        )
    return np.array(value, native, order="C")


def _pattern(shape: tuple[int | None, ...]) -> str:
    sizes = ", ".join("any" if n is None else str(n) for n in shape)
    return f"({sizes},)" if len(shape) == 1 else f"({sizes})"


def _one_more(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    """Say whether shapes are the same but for a first axis of any length: the usual case, at half the price."""
    return shape == wanted or (wanted[0] is None and shape[1:] == wanted[1:] and shape[:1] > (0,))


def _fits(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    if shape == wanted:
        return True
    if len(shape) != len(wanted):
        return False
    for have, want in zip(shape, wanted, strict=False):  # noqa: SIM110  a generator costs three times as much
        if have != want and (want is not None or not have):
            return False
    return True


def parameters(params: Any, n_params: int) -> None:
    """Refuse what is no slice of parameters of this length: for the inside of a training loop."""
    if looked.already or (type(params) is np.ndarray and params.shape == (n_params,) and params.dtype in _INNER):
        return
    raise ValueError(
        f"params must be an array of floats of shape ({n_params},), got {shown(params)}. Make it with init(rng)."
    )


def ready(params: Any, n_params: int) -> Array:
    """Return a box's own slice of the parameters for a kernel: for the inside of a training loop."""
    if looked.already:
        return params
    parameters(params, n_params)
    return params if params.flags.carray else params.copy()


def vector(value: Any, name: str = "params") -> None:
    """Refuse what is no contiguous vector of floats that can be changed in place."""
    if not (type(value) is np.ndarray and value.dtype in _FLOATS and value.ndim == 1 and value.flags.carray):
        raise ValueError(
            f"{name} must be a contiguous vector of float32 or float64 that can be written to, got {shown(value)}. "
            f"Use np.ascontiguousarray({name}), say."
        )


def state(value: Any, names: Iterable[str], like: Array) -> None:
    """Refuse what is not the state that an optimiser made for such parameters: for the inside of a training loop."""
    for name in names:
        held = value.get(name) if isinstance(value, dict) else None
        if type(held) is not np.ndarray or held.shape != like.shape or held.dtype != like.dtype:
            raise ValueError(
                f"state must be what init(params) gave for these parameters, got {shown(value)}. Call init anew."
            )


def place(grads: Any, n_params: int, dtype: Any, name: str = "grads") -> None:
    """Refuse what a gradient cannot be written into: for the inside of a training loop."""
    if looked.already:
        return
    if type(grads) is np.ndarray and grads.dtype == dtype and grads.shape == (n_params,) and grads.flags.carray:
        return
    raise ValueError(
        f"{name} must be a contiguous array of dtype {dtype} and shape ({n_params},) that can be written to, got "
        f"{shown(grads)}. Use np.empty_like(params)."
    )


def finite(value: Array, name: str) -> Array:
    """Return an array if all its values are finite."""
    bad = ~np.isfinite(value)
    if bad.any():
        raise ValueError(f"{name} must be finite, got {value[bad].flat[0]} in it. Look at how it is made.")
    return value


def squarable(x: Array, name: str = "x", power: int = 2) -> Array:
    """Return an array of finite values if their squares, or a higher power of them, are finite, too."""
    largest = float(np.abs(x).max())
    if largest > 10 ** (300 / power):
        what = "squares" if power == 2 else f"powers up to {power}"
        raise ValueError(f"{name} must have values whose {what} are finite, got one of {largest:.0e}. Rescale it.")
    return x


def dtype_of(params: Any, name: str = "params") -> Any:
    """Return the dtype that parameters say everything has, also those of a box without any."""
    if type(params) is not np.ndarray or params.dtype not in _FLOATS:
        raise ValueError(f"{name} must be a float32 or float64 array, got {shown(params)}. Make it with init(rng).")
    return params.dtype


def square(S: Any, n: int, name: str = "S") -> Array:
    """Return a matrix of shape (n, n), without looking at its values: for the inside of a training loop."""
    S = array(S, name)
    if S.shape != (n, n) or S.dtype.kind not in "fiu":
        raise ValueError(
            f"{name} must hold real numbers in shape ({n}, {n}), got dtype {S.dtype} and shape {S.shape}. "
            f"Use covariance(x) of rows with {n} values."
        )
    return S


def covariance(S: Any, n: int | None = None, name: str = "S") -> Array:
    """Return a finite matrix of shape (n, n)."""
    S = array(S, name)
    if n is None and (S.ndim != 2 or not S.size):
        raise ValueError(f"{name} must be a square matrix, got {shown(S)}. Use covariance(x).")
    S = square(S, len(S) if n is None else n, name)
    finite = np.isfinite(S)
    if not finite.all():
        row, column = np.argwhere(~finite)[0]
        raise ValueError(
            f"{name} must be finite, got {S[row, column]} in row {row}, column {column}. Drop or fill the data's NaN."
        )
    return squarable(_floats(S) if S.dtype.kind == "f" else S.astype(np.float64), name)


def real(value: Any, name: str, shape: tuple[int | None, ...] | None = None) -> Array:
    """Return finite real numbers in float64: of this shape (None: any length but 0), or of whatever shape."""
    found = array(value, name)
    if found.dtype.kind not in "fiu" or not np.isfinite(found).all():
        bad = f"{found[~np.isfinite(found)][0]}" if found.dtype.kind == "f" else shown(value)
        raise ValueError(f"{name} must hold finite real numbers, got {bad}. Check how it is made.")
    if shape is not None and not _fits(found.shape, shape):
        raise ValueError(f"{name} must have shape {_pattern(shape)}, got {found.shape}. Make it fit.")
    with np.errstate(over="ignore"):  # of long doubles
        found = np.ascontiguousarray(found, np.float64).reshape(found.shape)
    return squarable(found, name) if found.size else found


def positive(value: Any, name: str) -> Array:
    """Return positive finite numbers in float64, of whatever shape."""
    found = real(value, name)
    if not (found > 0).all():
        raise ValueError(f"{name} must be positive, got {found[found <= 0].flat[0]:g}. Use exp of what you have, say.")
    return found


def triangular(value: Any, name: str, shape: tuple[int, ...]) -> Array:
    """Return lower triangular matrices with a positive diagonal in float64, one for each vector of a shape."""
    L = real(value, name, (*shape, shape[-1]))
    above = np.triu(L, 1)
    if above.any():
        raise ValueError(
            f"{name} must be lower triangular, got {above[above != 0].flat[0]:g} above the diagonal. Use "
            f"np.linalg.cholesky of the covariance."
        )
    diagonal = np.diagonal(L, axis1=-2, axis2=-1)
    if not (diagonal > 0).all():
        raise ValueError(
            f"{name} must have a positive diagonal, got {diagonal.min():g} on it. Use np.linalg.cholesky of the "
            f"covariance."
        )
    return L


def flat(array: Any, n_params: int, name: str = "params") -> None:
    """Refuse anything but one contiguous float vector of n_params entries."""
    masked = isinstance(array, np.ma.MaskedArray)
    if not isinstance(array, np.ndarray) or masked or array.dtype not in _FLOATS:
        got = "a masked array" if masked else _kind(array)
        raise ValueError(f"{name} must be a float32 or float64 array, got {got}. Make it with model.init(rng).")
    if array.shape != (n_params,):
        raise ValueError(
            f"{name} must have shape ({n_params},), got {array.shape}. "
            f"It belongs to another model; make it with model.init(rng)."
        )
    if not array.flags.c_contiguous:
        raise ValueError(f"{name} must be contiguous, got strides {array.strides}. Use np.ascontiguousarray({name}).")


def parameters_of(model: Any, params: Any) -> Array:
    """Return the parameters, or refuse what are none of the model, or not finite."""
    flat(params, model.n_params)
    return finite(params, "params")


def gradient(params: Any, grads: Any, n_params: int) -> None:
    """Refuse parameters and a place for their gradient that are not alike."""
    flat(params, n_params)
    flat(grads, n_params, "grads")
    if grads.dtype != params.dtype:
        raise ValueError(
            f"grads must have the dtype of params, {params.dtype}, got {grads.dtype}. Use np.empty_like(params)."
        )
    if not grads.flags.writeable:
        raise ValueError("grads must be an array to write to, got one that is read-only. Use np.empty_like(params).")
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
    eps = array(eps, name)
    if eps.dtype == dtype and eps.ndim == 3 and eps.shape[1:] == shape and eps.flags.carray and len(eps):
        return eps  # the usual case, at the price of a look
    if eps.dtype.kind != "f":
        raise ValueError(f"{name} must be a floating-point array, got dtype {eps.dtype}. Use {name}.astype(float).")
    if eps.ndim != 3 or eps.shape[0] < 1 or eps.shape[1] not in (1, shape[0]) or eps.shape[2] != shape[1]:
        raise ValueError(
            f"{name} must have shape (draws, batch, n_latent) = (K, {shape[0]}, {shape[1]}), or (K, 1, {shape[1]}) "
            f"to share draws between examples, got {eps.shape}. One draw each is {name}[None]."
        )
    with np.errstate(over="ignore"):
        return np.array(np.broadcast_to(eps, (len(eps), *shape)), dtype=dtype, order="C")


def draw_weights(weights: Any, n_draws: int, dtype: Any) -> Array:
    """Return the given quadrature weights, one a draw, which must sum to one."""
    weights = real(weights, "weights").astype(dtype)
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
    c = array(value, "baseline")
    if c.dtype.kind not in "fiu" or c.shape not in ((), (n_batch,)) or not np.isfinite(c).all():
        raise ValueError(
            f"baseline must be a finite number or one for each example, shape ({n_batch},), got {shown(value)}. "
            f"Take it from draws other than these."
        )
    return _floats(c, dtype).reshape(c.shape)


def generator(rng: Any) -> np.random.Generator:
    """Return rng if it is a generator."""
    if not isinstance(rng, np.random.Generator):
        raise ValueError(f"rng must be a numpy.random.Generator, got {_kind(rng)}. Use np.random.default_rng(seed).")
    return rng


def seed(value: Any) -> int:
    """Return a seed: an integer from 0 to 2^63 - 1."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not 0 <= value < 2**63:
        raise ValueError(f"seed must be an integer from 0 to 2^63 - 1, got {shown(value)}. Use seed=0.")
    return int(value)


def width(value: Any, name: str) -> int:
    """Return a layer width or count as an int of at least one."""
    if type(value) is int and 0 < value <= _MOST:  # the usual case, at the price of a look
        return value
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"{name} must be an integer of at least 1, got {shown(value)}. Use {name}=1 or more.")
    if value > _MOST:
        raise ValueError(f"{name} must be at most {_MOST:,}, got {shown(value)}. Use a smaller one.")
    return int(value)


def size(n_numbers: int, name: str, value: Any) -> int:
    """Return how many numbers an array will hold, or refuse what no memory holds."""
    if n_numbers > _MOST_NUMBERS:
        raise ValueError(
            f"{name} must leave arrays that fit in memory, got {shown(value)}, which asks for {n_numbers:.1e} numbers. "
            f"Use a smaller one."
        )
    return n_numbers


def whole(value: Any, name: str) -> int:
    """Return an integer of at least zero."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0:
        raise ValueError(f"{name} must be an integer of at least 0, got {shown(value)}. Count from 0.")
    return int(value)


def widths(values: Any, name: str) -> list[int]:
    """Return a list of layer widths, each at least one; the list may be empty."""
    if (
        isinstance(values, (str, bytes, Mapping))
        or not isinstance(values, Iterable)
        or getattr(values, "shape", None) == ()
    ):
        raise ValueError(f"{name} must be a list of integers, got {shown(values)}. One hidden layer is {name}=[128].")
    return [width(value, name) for value in values]


def counts(values: Any, name: str) -> tuple[int, ...]:
    """Return integers of at least zero, one or more."""
    if (
        isinstance(values, (str, bytes, Mapping))
        or not isinstance(values, Iterable)
        or getattr(values, "shape", None) == ()
    ):
        raise ValueError(f"{name} must be a list of integers, got {shown(values)}. For example {name}=[1, 2].")
    found = tuple(whole(value, name) for value in values)
    if not found:
        raise ValueError(f"{name} must hold at least one integer, got none. For example {name}=[1, 2].")
    return found


def number(value: Any, name: str, *, low: float, closed: bool = False, high: float = math.inf) -> float:
    """Return a finite number in (low, high), or in [low, high) where closed."""
    if type(value) is float and low < value < min(high, 1e300):  # the usual case, at the price of a look
        return value
    ok = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    value = float(value) if isinstance(value, np.floating) else value
    ok = ok and abs(value) < 1e300 and (value >= low if closed else value > low) and value < high  # a NaN is not
    if not ok:
        rule = f"{'at least' if closed else 'greater than'} {low:g}"
        rule += f" and below {high:g}" if high < math.inf else ""
        raise ValueError(f"{name} must be a finite number {rule}, got {shown(value)}. Choose a value in that range.")
    return float(value)


def location(mu: Any, sigma: Any) -> tuple[Array, Array]:
    """Return mu and sigma as float64 vectors of one length, or say what is wrong with them."""
    if type(mu) is not np.ndarray or type(sigma) is not np.ndarray or mu.dtype != np.float64 or sigma.dtype != mu.dtype:
        mu, sigma = numbers(mu, "mu"), numbers(sigma, "sigma")
    mu, sigma = (np.atleast_1d(np.ascontiguousarray(value, np.float64)) for value in (mu, sigma))
    if mu.ndim != 1 or mu.shape != sigma.shape or not mu.size:
        raise ValueError(f"mu and sigma must have one shape (D,), got {mu.shape} and {sigma.shape}. Make them alike.")
    far = ~(np.abs(mu) <= _FAR)
    if far.any():
        bad = mu[far][0]
        above = f", above {_FAR:g}" if math.isfinite(bad) else ""
        raise ValueError(f"mu must be finite, got {bad}{above}. Choose a point on the real line.")
    wrong = ~((sigma >= 1 / _FAR) & (sigma <= _FAR))
    if wrong.any():
        bad = sigma[wrong][0]
        outside = f", outside {1 / _FAR:g} to {_FAR:g}" if 0 < bad < math.inf else ""
        raise ValueError(
            f"sigma must be a positive standard deviation, got {bad:g}{outside}. Use exp(log_var / 2), say."
        )
    return mu, sigma


def choice(value: Any, options: Iterable[str], name: str) -> str:
    """Return ``value`` if it is one of the options, else name the nearest one."""
    options = list(options)
    if isinstance(value, str) and value in options:
        return str(value)
    remedy = did_you_mean(value, options) or f"Choose {options[0]!r}, for instance."
    raise ValueError(f"{name} must be one of {', '.join(options)}; got {shown(value)}. {remedy}")


def did_you_mean(value: Any, options: Iterable[str]) -> str:
    """Return the question after the nearest option; empty if none is near."""
    near = get_close_matches(str(value)[:80] if isinstance(value, str) else "", list(options), n=1, cutoff=0.4)
    return f"Did you mean {near[0]!r}?" if near else ""


def float_dtype(value: Any) -> Any:
    """Return float32 or float64 as a dtype."""
    try:
        dtype = None if value is None else np.dtype(value)  # None would mean float64
    except (TypeError, ValueError):
        dtype = None
    if dtype is None or dtype not in _FLOATS:
        raise ValueError(
            f"dtype must be float32 or float64, got {shown(value)}. float32 trains faster, float64 checks."
        )
    return dtype


def constant_columns(x: Array) -> list[int]:
    """Return the indices of the columns of ``x`` that never change."""
    return np.flatnonzero(x.min(axis=0) == x.max(axis=0)).tolist()


def listed(indices: list[int], limit: int = 5) -> str:
    """Return '0, 32, 39' or '0, 1, 2, 3, 4 and 7 more'."""
    text = ", ".join(str(i) for i in indices[:limit])
    return text if len(indices) <= limit else f"{text} and {len(indices) - limit} more"


def flag(value: Any, name: str) -> bool:
    """Return True or False."""
    if value is True or value is False:  # the usual case, at the price of a look
        return value
    if not isinstance(value, (bool, np.bool)):
        raise ValueError(f"{name} must be True or False, got {shown(value)}. Choose one.")
    return bool(value)


def path(value: Any, name: str = "path") -> Path:
    """Return the name of a file as a path."""
    text = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(text, str) or not text or "\0" in text:
        raise ValueError(f"{name} must be the name of a file, got {shown(value)}. Give a str or a Path.")
    return Path(text)


def image_shape(value: Any) -> tuple[int, int]:
    """Return (height, width)."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise ValueError(f"image_shape must be (height, width), got {shown(value)}. For example (28, 20).")
    return width(value[0], "image_shape[0]"), width(value[1], "image_shape[1]")


def function(
    value: Any, name: str, remedy: str = "Pass the function itself, without calling it."
) -> Callable[..., Any]:
    """Return what can be called."""
    if not callable(value):
        raise ValueError(f"{name} must be a function, got {shown(value)}. {remedy}")
    return value


def has(value: Any, names: Iterable[str], name: str, what: str, example: str) -> Any:
    """Return an object that has the methods of what it should be, and is no class of such."""
    if isinstance(value, type) or not all(hasattr(value, one) for one in names):
        raise ValueError(f"{name} must be {what}, got {shown(value)}. For example {example}.")
    return value


def shape_of(value: Any, name: str = "shape") -> tuple[int, ...]:
    """Return a shape: integers of at least one."""
    if not isinstance(value, (tuple, list)):
        raise ValueError(f"{name} must be a tuple of integers, got {shown(value)}. For example (1, 128, 2).")
    sizes = tuple(width(n, f"{name}[{i}]") for i, n in enumerate(value))
    size(math.prod(sizes), name, value)
    return sizes


def shown(value: Any) -> str:
    """Describe a value briefly.

    >>> shown(np.zeros((3, 2))), shown("abc"), shown(int)
    ('an array of dtype float64 and shape (3, 2)', "'abc'", 'the class int')
    """
    if isinstance(value, np.ndarray):
        return f"{_kind(value)} and shape {value.shape}"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if isinstance(value, FunctionType):
        return f"the function {value.__name__}"
    try:
        text = repr(value)
    except Exception:  # a class of the caller's, or an integer of thousands of digits
        return f"a value of type {type(value).__name__} that cannot be shown"
    return text if len(text) <= 60 else f"{text[:57]}..."


def _kind(value: Any) -> str:
    return f"an array of dtype {value.dtype}" if isinstance(value, np.ndarray) else repr(type(value).__name__)
