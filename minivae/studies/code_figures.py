"""Figures of the estimators for discrete codes: against the temperature, along a training, on the toy problems."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minivae.core.arrays import Array
from minivae.distributions.bits import Bits
from minivae.estimators.codes import code_gradients, squared_distance
from minivae.estimators.exact.codes import code_moments, gumbel_softmax_slope
from minivae.estimators.moments import summarize
from minivae.estimators.weights import ESTIMATORS
from minivae.studies.plots import COLORS, figure_of
from minivae.studies.toy_bits import ToyRun

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_T, _THETA = 0.45, 0.3
_N = 20_000

CODE_COLORS = {  # of each estimator, the same in every figure
    "score": COLORS[1],
    "score-leave-one-out": COLORS[3],
    "nvil": "tab:olive",
    "muprop": COLORS[5],
    "arm": "tab:brown",
    "disarm": COLORS[0],
    "rebar": COLORS[2],
    "relax": COLORS[4],
    "straight-through": "0.55",
    "gumbel-softmax": "black",
}


def called(name: str) -> str:
    """Return an estimator's name, with a word where it is biased.

    >>> called("gumbel-softmax"), called("rebar")
    ('gumbel-softmax (biased)', 'rebar')
    """
    return f"{name} (biased)" if ESTIMATORS[name].biased else name


def against_temperature(rng: np.random.Generator) -> "Figure":
    """Draw variance and mean of a bit's estimators on (b - 0.45)^2, theta = 0.3, against the temperature."""
    cost, phi, q = squared_distance(_T), np.log([_THETA / (1 - _THETA)]), Bits(1)
    grid, chosen = np.geomspace(0.01, 4, 60), np.geomspace(0.02, 3, 7)
    figure = figure_of(10.6, 4.4)
    left, right = figure.subplots(1, 2)
    for name in ("gumbel-softmax", "rebar"):
        exact = [_moments(name, cost, q, phi, t) for t in grid]
        label = called(name) + (", eta = 1" if name == "rebar" else "")
        left.loglog(grid, [v for _, v in exact], color=CODE_COLORS[name], lw=1.4, label=label)
        right.semilogx(grid, [m for m, _ in exact], color=CODE_COLORS[name], lw=1.4, label=label)
        for t in chosen:
            rows = code_gradients(name, cost, q, phi, q.draw_noise(rng, (_N, 1), float), temperature=t)
            found = summarize(rows)
            style: dict[str, Any] = {"fmt": "o", "ms": 4, "lw": 1, "color": CODE_COLORS[name]}
            left.errorbar(t, found.variance[0], 2 * found.variance_error[0], **style)
            right.errorbar(t, found.mean[0], 2 * found.mean_error[0], **style)
    for name in ("score", "muprop", "arm", "disarm", "straight-through"):
        mean, variance = _moments(name, cost, q, phi)
        left.axhline(variance, color=CODE_COLORS[name], lw=1.1, ls="--", label=called(name))
        if ESTIMATORS[name].biased:
            right.axhline(mean, color=CODE_COLORS[name], lw=1.1, ls="--", label=called(name))
    gradient = _moments("exact", cost, q, phi)[0]
    right.axhline(gradient, color="0.4", lw=0.9, ls=":", label="the gradient")
    slope = gumbel_softmax_slope(cost, phi)
    near = grid[grid < 0.7]
    right.plot(near, gradient + slope * near, color=COLORS[1], lw=1.2, ls="-.", label=f"exact slope {slope:.3f}")
    left.set(xlabel="temperature", ylabel="variance of one draw")
    right.set(xlabel="temperature", ylabel="mean of one draw, d/dphi")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, fontsize=8)
    figure.suptitle(
        "$f = (b - 0.45)^2$, theta = 0.3: exact (lines), measured (points, two standard errors)", fontsize=11
    )
    return figure


def _moments(name: str, cost: Any, q: Any, phi: Array, t: float | None = None) -> tuple[float, float]:
    found = code_moments(name, cost, q, phi, temperature=t)
    assert found is not None
    return float(found.mean[0]), float(found.variance[0])


def code_curves(histories: Mapping[str, Sequence[dict[str, float]]], what: str) -> "Figure":
    """Draw the validation ELBO of one model trained with each estimator, given the rows of their epochs."""
    figure = figure_of(7.6, 5.0)
    axes = figure.subplots()
    for name, rows in histories.items():
        style = "--" if name in ESTIMATORS and ESTIMATORS[name].biased else "-"
        color = CODE_COLORS.get(name, "tab:cyan")
        epochs, elbo = [row["epoch"] for row in rows], [row["valid_elbo"] for row in rows]
        axes.plot(epochs, elbo, style, color=color, lw=1.4, label=called(name) if name in ESTIMATORS else name)
    lowest = min(min(row["valid_elbo"] for row in list(rows)[len(rows) // 8 :]) for rows in histories.values())
    axes.set_ylim(lowest - 0.3, None)
    axes.set(xlabel="epoch", ylabel="validation ELBO (nats per image)")
    axes.set_title(what, fontsize=11)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=8, ncols=2)
    return figure


def toy_figure(runs: dict[float, Sequence[ToyRun]]) -> "Figure":
    """Draw cost and variance along the runs of the toy problems, a column for each t."""
    figure = figure_of(10.6, 6.4)
    panels = figure.subplots(2, len(runs), sharex=True, squeeze=False)
    for (t, column), (above, below) in zip(runs.items(), panels.T, strict=True):
        for run in column:
            style: dict[str, Any] = {
                "color": CODE_COLORS[run.estimator],
                "lw": 1.3,
                "ls": "--" if ESTIMATORS[run.estimator].biased else "-",
            }
            above.plot(run.steps, run.cost, label=called(run.estimator), **style)
            below.semilogy(run.steps, np.maximum(run.variance, 1e-16), **style)
        above.axhline(t * t, color="0.4", lw=0.9, ls=":")
        above.set_title(f"f = (b - {t:g})^2 (dotted: the least cost)", fontsize=10)
        below.set_xlabel("step")
        for axes in (above, below):
            axes.grid(alpha=0.3)
    panels[0, 0].set_ylabel("E f")
    panels[1, 0].set_ylabel("variance of one draw")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    return figure
