"""The gradient check of anything that is a layer, a penalty or a cost by its methods, ours or yours."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from minivae.core.arrays import Array
from minivae.estimators.costs import Cost
from minivae.models.penalties import Penalty
from minivae.nn.layer import Layer
from minivae.nn.sequential import Sequential, mlp
from minivae.studies.gradient_rows import BATCH, DRAWS, N_LATENT, N_X, GradientRow, Part, compare
from minivae.studies.gradients_contract import (
    ContractError,
    array_of,
    attempt,
    call,
    finite,
    jitter,
    own_params,
    trait,
    tuple_of,
    written,
)


def check_layer(layer: Layer, name: str | None = None, rng: np.random.Generator | None = None) -> list[GradientRow]:
    """Check dx and the parameters' gradient of a layer, and the slope, curvature or matrix that it gives.

    Parameters
    ----------
    layer : Layer
    name : str, optional
        Title of the rows.
    rng : numpy.random.Generator, optional
        For the inputs; seeded with 0 unless given.

    Examples
    --------
    >>> from minivae.nn import Tanh
    >>> [(row.name, row.ok) for row in check_layer(Tanh())]
    [('layer Tanh', True), ('layer Tanh, slope and curvature', True)]
    """
    name = f"layer {type(layer).__name__}" if name is None else name
    rng = np.random.default_rng(0) if rng is None else rng
    rows = [attempt(name, lambda: _layer(layer, name, rng))]
    traits = [which for which in ("slope", "curvature", "matrix") if hasattr(layer, which)]
    if traits and rows[0].ok:
        title = f"{name}, {' and '.join(traits)}"
        rows.append(attempt(title, lambda: _traits(layer, title, traits, rng)))
    return rows


def _layer(layer: Any, name: str, rng: np.random.Generator) -> GradientRow:
    what = type(layer).__name__
    params, x, y, cache = _run(layer, rng)
    dy = rng.standard_normal(y.shape)
    dx, grads = written(layer, "backward", (params, cache, dy), params)
    array_of(dx, x.shape, f"the dx of {what}.backward")
    parts = [Part("the parameters' gradient", params, grads, layer.named), Part("dx", x, dx)]

    def value(params: Array, x: Array) -> Any:
        return np.sum(dy * call(layer, "forward", params, x)[0])

    row = _compared(layer, name, value, parts)
    if row.ok:
        _without(layer, params, cache, dy, grads, dx)
    return row


def _run(layer: Any, rng: np.random.Generator) -> tuple[Array, Array, Array, Any]:
    """Return parameters, an input, and what forward makes of them."""
    what, width = type(layer).__name__, "Give the width, or None where any goes."
    n_in, n_out = trait(layer, "n_in", width), trait(layer, "n_out", width)
    params = own_params(layer, rng)
    x = rng.standard_normal((BATCH, N_X if n_in is None else n_in))
    y, cache = tuple_of(call(layer, "forward", params, x), 2, f"{what}.forward must return y and the cache: it")
    array_of(y, (BATCH, x.shape[1] if n_out is None else n_out), f"the y of {what}.forward")
    finite(y, f"{what}.forward, with x drawn from N(0, 1),")
    return params, x, y, cache


def _compared(layer: Any, name: str, value: Callable[..., Any], parts: list[Part]) -> GradientRow:
    """Compare by the complex step where the layer says that it can, and else by central differences."""
    if getattr(layer, "analytic", False):
        method: Literal["complex"] = "complex"
        try:
            row = compare(name, value, parts, method=method)
            found = "gives another slope for complex numbers than for real ones"
        except (ContractError, ValueError) as error:
            row, found = None, f"does not take complex numbers ({error})"
        if row is not None and row.ok:
            return row
        central = compare(name, value, parts)
        if not central.ok:
            return central
        raise ContractError(
            f"{type(layer).__name__} says analytic = True, but its forward {found}. Leave analytic out."
        )
    return compare(name, value, parts)


def _without(layer: Any, params: Array, cache: Any, dy: Array, grads: Array, dx: Array) -> None:
    """See that backward gives the same where only one of dx and the parameters' gradient is wanted."""
    what, again = f"{type(layer).__name__}.backward", np.full_like(params, np.nan)
    call(layer, "backward", params, cache, dy, again, writes=again, need_dx=False)
    if not np.allclose(again, grads, rtol=1e-10, atol=0, equal_nan=True):
        raise ContractError(f"{what} with need_dx=False writes another gradient than without. It leaves out dx only.")
    alone = call(layer, "backward", params, cache, dy, None)
    if not np.allclose(array_of(alone, dx.shape, f"the dx of {what} with grads=None"), dx, rtol=1e-10, atol=0):
        raise ContractError(f"{what} with grads=None returns another dx. It leaves out the parameters only.")


def _traits(layer: Any, name: str, traits: list[str], rng: np.random.Generator) -> GradientRow:
    """Check slope f'(x), curvature f''(x), or the matrix dy/dx^T: what ``Contraction`` needs to know of a layer."""
    what = type(layer).__name__
    params, x, y, cache = _run(layer, rng)
    parts, terms = [], []
    if "slope" in traits:
        c = rng.standard_normal(x.shape)
        slope = array_of(call(layer, "slope", cache), x.shape, f"{what}.slope(cache)")
        parts.append(Part("slope", x, c * slope))
        terms.append(lambda x: np.sum(c * call(layer, "forward", params, x)[0]))
    if "curvature" in traits:
        d = rng.standard_normal(x.shape)
        trait(layer, "slope", "A layer with a curvature has a slope.")
        curvature = array_of(call(layer, "curvature", cache), x.shape, f"{what}.curvature(cache)")
        parts.append(Part("curvature", x, d * curvature))
        terms.append(lambda x: np.sum(d * call(layer, "slope", call(layer, "forward", params, x)[1])))
    if "matrix" in traits:
        dy = rng.standard_normal(y.shape)
        W = array_of(call(layer, "matrix", params), (x.shape[1], y.shape[1]), f"{what}.matrix(params)")
        if not np.shares_memory(W, params):
            raise ContractError(f"{what}.matrix(params) must be a view of params, got a copy")
        parts.append(Part("matrix", x, dy @ W.T))
        terms.append(lambda x: np.sum(dy * call(layer, "forward", params, x)[0]))

    return compare(name, lambda *xs: sum(term(x) for term, x in zip(terms, xs, strict=True)), parts)


def check_penalty(
    penalty: Penalty, name: str | None = None, rng: np.random.Generator | None = None
) -> list[GradientRow]:
    """Check the slope of a penalty, and its gradient for an encoder's parameters; arguments as in ``check_layer``.

    Examples
    --------
    >>> from minivae.models.penalties import L1Sparsity
    >>> [(row.name, row.ok) for row in check_penalty(L1Sparsity())]
    [('penalty L1Sparsity', True)]
    """
    name = f"penalty {type(penalty).__name__}" if name is None else name
    rng = np.random.default_rng(0) if rng is None else rng
    return [attempt(name, lambda: _penalty(penalty, name, rng))]


def _penalty(penalty: Any, name: str, rng: np.random.Generator) -> GradientRow:
    what = type(penalty).__name__
    last = trait(penalty, "last_layer", "Give the layer that the encoder should end in, or None.")
    encoder = Sequential([mlp([N_X, 6, N_LATENT], "tanh"), *([] if last is None else [last])])
    call(penalty, "check", encoder)
    params, x = jitter(encoder.init(rng), rng), rng.standard_normal((BATCH, N_X))

    def statistics(params: Array) -> tuple[Array, Any, list[Any]]:
        z, caches = encoder.forward(params, x)
        result = call(penalty, "forward", encoder, params, z, caches)
        rows, cache = tuple_of(result, 2, f"{what}.forward must return statistics and the cache: it")
        if np.ndim(rows) != 2 or len(rows) != BATCH:
            raise ContractError(f"the statistics of {what}.forward must have shape (batch, k), got {np.shape(rows)}")
        return rows, cache, caches

    rows, cache, caches = statistics(params)
    mean = rows.mean(axis=0)
    slope = array_of(call(penalty, "slope", mean), mean.shape, f"{what}.slope(mean)")
    dstatistics = np.broadcast_to(slope / BATCH, rows.shape).copy()
    result = call(penalty, "backward", encoder, params, caches, cache, dstatistics)
    dz, beside = tuple_of(result, 2, f"{what}.backward must return dz and the rest, or None for either: it")
    grads = np.zeros_like(params)
    if dz is not None:
        encoder.backward(params, caches, array_of(dz, (BATCH, N_LATENT), f"the dz of {what}.backward"), grads, False)
    if beside is not None:
        grads += array_of(beside, params.shape, f"the gradient of {what}.backward for the encoder")

    def value(mean: Array, params: Array) -> float:
        return call(penalty, "value", mean) + call(penalty, "value", statistics(params)[0].mean(axis=0))

    gradient = "dz" if beside is None else "the gradient for the encoder"
    return compare(name, value, [Part("slope", mean, slope), Part(gradient, params, grads)])


def check_cost(cost: Cost, name: str | None = None, rng: np.random.Generator | None = None) -> list[GradientRow]:
    """Check the gradient of a cost f(z); arguments as in ``check_layer``.

    Examples
    --------
    >>> from minivae.estimators.costs import FunctionCost
    >>> check_cost(FunctionCost(lambda z: np.sum(z**2, axis=1), lambda z: z))[0].message
    'df/dz is 1/2 times the right one, in every entry'
    """
    name = f"cost {type(cost).__name__}" if name is None else name
    rng = np.random.default_rng(0) if rng is None else rng
    return [attempt(name, lambda: _cost(cost, name, rng))]


def _cost(cost: Any, name: str, rng: np.random.Generator) -> GradientRow:
    what = type(cost).__name__
    z, df = rng.standard_normal((DRAWS, N_LATENT)), rng.standard_normal(DRAWS)
    finite(array_of(call(cost, "value", z), (DRAWS,), f"{what}.value(z)"), f"{what}.value")
    gradient = array_of(call(cost, "gradient", z), z.shape, f"{what}.gradient(z)")
    return compare(name, lambda z: df @ call(cost, "value", z), [Part("df/dz", z, df[:, None] * gradient)])
