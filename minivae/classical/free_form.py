"""Calculus of variations on the ELBO: q a function on a grid, or a product of functions.

The ELBO is a functional, F[q] = int q(z) [log p(x, z) - log q(z)] dz. Perturbed by eps h with int h = 0 it changes by

    F[q + eps h] - F[q] = eps int h(z) d(z) dz + O(eps^2),   d(z) = dF/dq(z) = log p(x, z) - log q(z) - 1,

so where F is highest d is constant: q(z) = exp(log p(x, z)) / p(x), the posterior. A restricted q is highest where the
part of d that it can follow is constant:

    any q                 log q <- log q + step d                       q* = p(z | x)
    q_1(z_1) q_2(z_2)     log q_j <- log q_j + step E[d | z_j]          q_j* = exp(E[log p(x, z) | z_j]) / const
    N(m, s^2)             log q <- log q + step (d projected on z, z^2) E[dlog p/dz] = 0, s^-2 = -E[d^2 log p/dz^2]

Each is a step of gradient ascent on the simplex in the geometry of the KL: q stays positive, and is normalised after
it. The third is in ``gaussian_form``.

References
----------
C. M. Bishop, "Pattern recognition and machine learning", 2006, section 10.1 and appendix D; T. Salimans, D. A. Knowles,
"Fixed-form variational posterior approximation through stochastic linear regression", 2013.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array


@dataclass(frozen=True)
class FreeForm:
    """A density on a grid, of no given form, and its ELBO in nats.

    Attributes
    ----------
    q : array
        Density at the points of the grid, in its shape; q.sum() times the cell is 1.
    elbo : float
    """

    q: Array
    elbo: float


@dataclass(frozen=True)
class FactorsOnGrid:
    """The densities of the factors of q, one an axis of the grid, and their ELBO in nats."""

    factors: tuple[Array, ...]
    elbo: float


def functional_elbo(q: Any, log_joint: Any, cell: float) -> float:
    """Return F[q] = sum q (log p(x, z) - log q) cell, nats; 0 log 0 is 0.

    Parameters
    ----------
    q : array
        Density on the grid, not negative. It need not be normalised, so that F can be differentiated.
    log_joint : array
        log p(x, z) on the grid, in the same shape.
    cell : float
        Volume of a cell of the grid.

    Examples
    --------
    >>> z = np.linspace(-8, 8, 401)
    >>> log_joint = -0.5 * z**2 - 2.0  # Z = sqrt(2 pi) e^-2
    >>> best = free_form_optimum(log_joint, z[1] - z[0])
    >>> round(best.elbo, 10), round(functional_elbo(best.q, log_joint, z[1] - z[0]), 10)
    (-1.0810614668, -1.0810614668)
    """
    log_joint, cell = on_grid(log_joint, cell)
    q = _like(q, log_joint, zero=True)
    inside = q > 0
    return cell * float((q[inside] * (log_joint[inside] - np.log(q[inside]))).sum())


def functional_derivative(q: Any, log_joint: Any) -> Array:
    """Return dF/dq(z) = log p(x, z) - log q(z) - 1 on the grid.

    The derivative of ``functional_elbo`` with respect to q at a point, divided by the cell.

    Parameters
    ----------
    q, log_joint : array
        Of one shape, q above 0.
    """
    log_joint, _ = on_grid(log_joint, 1.0)
    return log_joint - np.log(_like(q, log_joint)) - 1


def free_form_optimum(log_joint: Any, cell: float) -> FreeForm:
    """Return the q with the highest ELBO: exp(log p(x, z)) normalised, whose ELBO is log p(x).

    Parameters
    ----------
    log_joint : array
        log p(x, z) on a grid that covers it.
    cell : float
        Volume of a cell of the grid.
    """
    log_joint, cell = on_grid(log_joint, cell)
    log_p = float(np.logaddexp.reduce(log_joint, axis=None)) + np.log(cell)
    return FreeForm(np.exp(log_joint - log_p), float(log_p))


def free_form_ascent(q: Any, log_joint: Any, cell: float, step: float = 0.5) -> Iterator[FreeForm]:
    """Yield the iterates q <- q exp(step dF/dq) / const, the start first, for as long as they are asked for.

    log q - log p(z | x) falls by the factor 1 - step each time, but for a constant: a step of 1 is there at once.

    Parameters
    ----------
    q : array
        Where to start: a density on the grid, above 0; it is normalised.
    log_joint, cell
        As in ``free_form_optimum``.
    step : float
        In (0, 2).

    Examples
    --------
    >>> z = np.linspace(-8, 8, 401)
    >>> steps = free_form_ascent(np.ones(401), -0.5 * z**2, z[1] - z[0], step=0.5)
    >>> [round(next(steps).elbo, 4) for _ in range(4)]  # log p(x) = 0.9189
    [-7.9449, 0.7655, 0.8961, 0.9143]
    """
    log_joint, cell = on_grid(log_joint, cell)
    log_q = np.log(_like(q, log_joint))
    step = checks.number(step, "step", low=0, high=2)
    while True:
        log_q = log_q - np.logaddexp.reduce(log_q, axis=None) - np.log(cell)
        q = np.exp(log_q)
        yield FreeForm(q, cell * float((q * (log_joint - log_q)).sum()))
        log_q = log_q + step * (log_joint - log_q - 1)


def mean_field_ascent(
    factors: Sequence[Any], log_joint: Any, cells: Sequence[float], step: float = 1.0
) -> Iterator[FactorsOnGrid]:
    """Yield the iterates of a q that is a product over the axes of the grid, the start first, without end.

        log q_j <- (1 - step) log q_j + step E[log p(x, z) | z_j],   E over the other factors, j in turn

    With a step of 1 this is coordinate ascent (CAVI) without a form for the factors.

    Parameters
    ----------
    factors : sequence of array
        One density above 0 for each axis; they are normalised.
    log_joint : array
        log p(x, z) on the grid, an axis for each factor.
    cells : sequence of float
        Width of a cell along each axis.
    step : float
        In (0, 2).

    Examples
    --------
    >>> z = np.linspace(-9, 9, 121)
    >>> a, b = np.meshgrid(z, z, indexing="ij")
    >>> steps = mean_field_ascent([np.ones(121)] * 2, -0.5 * (a**2 + b**2 + a * b), [z[1] - z[0]] * 2)
    >>> q = [next(steps) for _ in range(3)][-1]
    >>> round(float(q.factors[0] @ z**2 * (z[1] - z[0])), 10)  # 1 / P_11, not (P^-1)_11 = 4/3
    1.0
    """
    widths = checks.real(cells, "cells", (None,))
    if not (widths > 0).all():
        raise ValueError(f"cells must be above 0, got {widths.min():g}. Use z[1] - z[0] of each axis.")
    log_joint, _ = on_grid(log_joint, 1.0)
    if isinstance(factors, np.ndarray) or not isinstance(factors, Sequence) or isinstance(factors, str | bytes):
        raise ValueError(f"factors must be a list of densities, got {checks.shown(factors)}. One an axis of the grid.")
    if not len(factors) == len(widths) == log_joint.ndim:
        raise ValueError(
            f"factors and cells must have one entry for each of the {log_joint.ndim} axes of log_joint, got "
            f"{len(factors)} and {len(widths)}. Make them fit."
        )
    logs = []
    for j, factor in enumerate(factors):
        along = checks.real(factor, f"factors[{j}]", (log_joint.shape[j],))
        if not (along > 0).all():
            raise ValueError(f"factors must be above 0, got {along.min():g} in factors[{j}]. Start from ones.")
        logs.append(_normalised(np.log(along), widths[j]))
    step = checks.number(step, "step", low=0, high=2)
    while True:
        shares = [np.exp(log_q) * width for log_q, width in zip(logs, widths, strict=True)]
        bound = float(shares[0] @ _expected(log_joint, shares, 0))
        bound -= sum(float(share @ log_q) for share, log_q in zip(shares, logs, strict=True))
        yield FactorsOnGrid(tuple(np.exp(log_q) for log_q in logs), bound)
        for j, width in enumerate(widths):
            towards = _expected(log_joint, shares, j)
            logs[j] = _normalised((1 - step) * logs[j] + step * towards, width)
            shares[j] = np.exp(logs[j]) * width


def on_grid(log_joint: Any, cell: float) -> tuple[Array, float]:
    """Return log p(x, z) on a grid and the volume of its cells, or say what is wrong with them."""
    log_joint = checks.real(log_joint, "log_joint")
    if not log_joint.ndim or not log_joint.size:
        raise ValueError(f"log_joint must be an array over a grid, got shape {log_joint.shape}. Evaluate it on one.")
    return log_joint, checks.number(cell, "cell", low=0)


def _like(q: Any, log_joint: Array, zero: bool = False) -> Array:
    q = checks.real(q, "q")
    if q.shape != log_joint.shape:
        raise ValueError(
            f"q must have the shape of log_joint, {log_joint.shape}, got {q.shape}. Use one grid for both."
        )
    if not (q >= 0).all() or not (zero or (q > 0).all()):
        rule = "not be negative" if zero else "be above 0"
        raise ValueError(f"q must {rule} on the whole grid, got {q.min():g}. Start from ones, say.")
    return q


def _normalised(log_q: Array, cell: float) -> Array:
    return log_q - np.logaddexp.reduce(log_q) - np.log(cell)


def _expected(log_joint: Array, shares: list[Array], j: int) -> Array:
    """Return E[log p(x, z) | z_j] under the other factors."""
    for axis in reversed(range(log_joint.ndim)):
        if axis != j:
            log_joint = np.tensordot(log_joint, shares[axis], axes=(axis, 0))
    return log_joint
