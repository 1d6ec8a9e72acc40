"""Calling what another person wrote: each exception, wrong shape or broken promise becomes a sentence that names it."""

import inspect
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from minivae.core.arrays import Array
from minivae.studies.gradient_rows import GradientRow, Part


class ContractError(Exception):
    """A box does not do what its protocol says; the message names the method, and what it did."""


def attempt(name: str, check: Callable[[], GradientRow]) -> GradientRow:
    """Return the row of a check; a box that breaks its contract is a failed row that says how."""
    try:
        with np.errstate(all="ignore"):  # NaN and infinities are judged, not warned of
            return check()
    except ContractError as error:
        return GradientRow(name, ok=False, message=str(error))


def call(box: Any, method: str, *args: Any, writes: Array | None = None, **kwargs: Any) -> Any:
    """Return what a method of a box returns, or say where it stopped, or what it changed but must not."""
    what = f"{type(box).__name__}.{method}"
    function = trait(box, method, "See the protocol of such a box in minivae.")
    before = [(i, a, a.copy()) for i, a in enumerate(args) if isinstance(a, np.ndarray) and a is not writes]
    try:
        result = function(*args, **kwargs)
    except NotImplementedError as error:
        where = traceback.extract_tb(error.__traceback__)[-1].name
        raise ContractError(f"{what} stopped with NotImplementedError: write {where}") from error
    except Exception as error:
        if isinstance(error, TypeError) and traceback.extract_tb(error.__traceback__)[-1].filename == __file__:
            raise ContractError(f"{what} does not take the arguments of the protocol: {error}") from error
        raise ContractError(f"{what} {stopped(error)}") from error
    for i, array, was in before:
        if not np.array_equal(array, was, equal_nan=True):
            argument = [*inspect.signature(function).parameters][i : i + 1] or [f"argument {i + 1}"]
            raise ContractError(f"{what} changes {argument[0]} in place, which is the caller's. Work on a copy.")
    return result


def trait(box: Any, name: str, remedy: str) -> Any:
    """Return an attribute of a box, or say that it is missing."""
    try:
        return getattr(box, name)
    except Exception as error:
        raise ContractError(f"{type(box).__name__} has no {name}. {remedy}") from error


def stopped(error: BaseException) -> str:
    """Say an exception with its line in the innermost file that is neither the check's nor an installed package's."""
    place = ""
    for frame in traceback.extract_tb(error.__traceback__):
        path = Path(frame.filename)
        if path.parent != Path(__file__).parent and "site-packages" not in path.parts and path.suffix == ".py":
            place = f" in line {frame.lineno} of {path.name}"
    said = f": {str(error).splitlines()[0]}" if str(error).strip() else ""
    return f"stopped{place} with {type(error).__name__}{said}"


def array_of(result: Any, shape: tuple[int, ...], what: str) -> Array:
    """Return a float array of a shape, or say what came instead."""
    if not isinstance(result, np.ndarray) or result.shape != shape or result.dtype.kind not in "fc":
        got = f"{result.dtype} of shape {result.shape}" if isinstance(result, np.ndarray) else type(result).__name__
        raise ContractError(f"{what} must be a float array of shape {shape}, got {got}")
    return result


def finite(array: Array, what: str) -> Array:
    """Return an array that holds no NaN and no infinity, or say how many it holds."""
    bad = int(array.size - np.isfinite(array).sum())
    if bad:
        raise ContractError(f"{what} gives {bad} NaN or infinite values of {array.size}")
    return array


def tuple_of(result: Any, n: int, what: str) -> Any:
    """Return a tuple of n things, or say what came instead."""
    if not isinstance(result, tuple) or len(result) != n:
        got = f"a tuple of {len(result)}" if isinstance(result, tuple) else type(result).__name__
        raise ContractError(f"{what} must be a tuple of {n}, got {got}")
    return result


def jitter(params: Array, rng: np.random.Generator) -> Array:
    """Move the parameters off their special initial values, such as zero biases."""
    return params + 0.1 * rng.standard_normal(params.shape)


def own_params(box: Any, rng: np.random.Generator) -> Array:
    """Return parameters of a box, off their special initial values."""
    remedy = "Derive from minivae.core.boxes.NoParameters where there are no parameters."
    n_params = trait(box, "n_params", remedy)
    for name in ("init", "named"):
        trait(box, name, remedy)
    params = call(box, "init", rng, np.float64)
    return jitter(array_of(params, (n_params,), f"{type(box).__name__}.init(rng, dtype)"), rng)


def written(box: Any, method: str, args: tuple[Any, ...], params: Array) -> tuple[Any, Array]:
    """Return the result of a backward pass and the gradient that it wrote, or say what it did not overwrite."""

    def run(fill: float) -> tuple[Any, Array]:
        grads = np.full_like(params, fill)
        return call(box, method, *args, grads, writes=grads), grads

    result, grads = run(np.nan)
    if np.isnan(grads).any():
        what = f"{type(box).__name__}.{method}"
        zero, one = run(0.0)[1], run(1.0)[1]
        for name, index in Part("the parameters' gradient", params, grads, box.named).entries():
            if np.allclose(one[index] - zero[index], 1):  # what was there is still in it
                if zero[index].any():
                    raise ContractError(f"{what} adds to {name}, and must overwrite it: grads[...] = ..., not +=")
                raise ContractError(f"{what} never writes {name}: what was in grads stays there")
    return result, grads
