"""The figures of ``minivae compare``: exact curves drawn through measured points."""

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from minivae import datasets
from minivae.core.arrays import Array
from minivae.core.seeds import Stream, stream
from minivae.estimators.costs import Cosine, Cost, Exponential, Quadratic
from minivae.estimators.exact.costs import exact_moments, variance_crossings
from minivae.estimators.moments import Summary, summarize
from minivae.estimators.objectives import Elbo
from minivae.estimators.on_costs import COST_ESTIMATORS, sample_gradients
from minivae.estimators.weights import ESTIMATORS
from minivae.models.vae import VAE
from minivae.nn.optim import Adam
from minivae.studies import code_figures
from minivae.studies.compare_codes import CODES_BITS, CODES_CATEGORICAL, CodeProblem
from minivae.studies.compare_costs import COSINE, EXPONENTIAL, QUADRATIC
from minivae.studies.compare_digits import BITS, DIGITS, DigitsProblem
from minivae.studies.compare_rows import Problem, Row
from minivae.studies.compare_summary import totals
from minivae.studies.plots import COLORS, figure_of, save
from minivae.training.loop import train
from minivae.training.settings import Settings

if TYPE_CHECKING:
    from matplotlib.figure import Figure


_STYLE = {  # colour and marker of each estimator, the same in every figure
    "pathwise": (COLORS[0], "o"),
    "score": (COLORS[1], "s"),
    "score-optimal": (COLORS[2], "^"),
    "score-leave-one-out": (COLORS[3], "v"),
    "measure-valued": (COLORS[4], "D"),
}


_FAMILIES: dict[str, Callable[[float], Cost]] = {
    "$f = (x - k)^2$": Quadratic,
    "$f = e^{-kx^2}$": Exponential,
    r"$f = \cos kx$": Cosine,
}


_N = 20_000  # draws behind each measured point


def write(
    folder: Path, problems: Sequence[Problem], rows: Sequence[Row], seed: int, advance: Callable[[], Any]
) -> list[str]:
    """Write the figures that belong to the rows into a folder as PNG files, and return their paths.

    One for each problem; three more where one of the costs in the table is among them, and the learning curves of each
    VAE on the digits, and of discrete codes what the temperature does. ``advance`` is called at each figure and each
    training.
    """
    rng = stream(seed, Stream.COMPARE_FIGURES)
    made: dict[str, Callable[[], Figure]] = {}
    for problem in problems:
        if own := [row for row in rows if row["problem"] == problem.name]:
            made[f"variance_{problem.name}"] = partial(relative_variance, problem, own)
    if any(problem in (QUADRATIC, EXPONENTIAL, COSINE) for problem in problems):
        made["variance_against_k"] = partial(variance_against_k, rng)
        made["variance_against_dimension"] = partial(variance_against_dimension, rng)
        made["variance_against_samples"] = partial(variance_against_samples, rng)
    for digits in (problem for problem in (DIGITS, BITS) if problem in problems):
        measured = {row["estimator"] for row in rows if row["problem"] == digits.name}
        if ways := [name for name in CURVES if name in measured]:
            made[f"learning_curves_{digits.name}"] = partial(learning_curves, digits, ways, seed, advance)
    if any(problem in (CODES_BITS, CODES_CATEGORICAL) for problem in problems):
        made["variance_against_temperature"] = partial(code_figures.against_temperature, rng)
    for codes in (problem for problem in (CODES_BITS, CODES_CATEGORICAL) if problem in problems):
        made[f"learning_curves_{codes.name}"] = partial(learning_codes, codes, seed, advance)
    paths = []
    for name, make in made.items():
        paths.append(save(make(), folder / f"{name}.png"))
        advance()
    return paths


def variance_against_k(rng: np.random.Generator) -> "Figure":
    """Draw the variance of four estimators on three costs, and where score function and path are level."""
    names = ("pathwise", "score", "score-optimal", "measure-valued")
    figure = figure_of(10.5, 6.4)
    panels = figure.subplots(2, 3, sharex="col")
    for column, (formula, cost) in enumerate(_FAMILIES.items()):
        grid = np.linspace(0.02, 3, 41)
        chosen = np.linspace(0.25, 3, 6)
        crossings = variance_crossings(cost, 1.0, 1.0, 0.02, 3.0, n_grid=100)
        for name in names:
            curve = np.array([_exact(name, cost(k), 1.0) for k in grid])
            points = [_measured(name, cost(k), 1.0, rng) for k in chosen]
            color, marker = _STYLE[name]
            for row in range(2):
                axes = panels[row, column]
                axes.plot(grid, curve[:, row, 0], color=color, lw=1.3)
                _points(axes, chosen, points, (row, 0), color, marker, name)
        for row, parameter in enumerate(("mu", "sigma")):
            axes = panels[row, column]
            for k in crossings[row]:
                axes.axvline(k, color="0.4", lw=0.9, ls=":")
            axes.set_yscale("log")
            axes.set_ylim(max(axes.get_ylim()[0], 1e-4), None)
            axes.grid(alpha=0.3)
            axes.set_title(f"{formula}, gradient for {parameter}", fontsize=10)
        panels[1, column].set_xlabel("parameter k of the cost")
    for row in range(2):
        panels[row, 0].set_ylabel("variance of one draw")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    figure.suptitle("x ~ N(1, 1): exact variance (curves), measured (points), score function = path (dotted)")
    return figure


def variance_against_dimension(rng: np.random.Generator) -> "Figure":
    """Draw the variance for one coordinate of mu on f = sum (x_i - k)^2 as the dimension grows."""
    figure = figure_of(6.6, 4.6)
    axes = figure.subplots()
    dimensions = (1, 2, 5, 10, 20, 50, 100)
    for name in ("pathwise", "score", "score-optimal", "score-leave-one-out"):
        color, marker = _STYLE[name]
        mus = [np.full(d, 0.5) for d in dimensions]
        axes.plot(dimensions, [_exact(name, Quadratic(0.0), mu)[0, 0] for mu in mus], color=color, lw=1.3)
        points = [_measured(name, Quadratic(0.0), mu, rng) for mu in mus]
        _points(axes, dimensions, points, (0, 0), color, marker, name)
    axes.set(xscale="log", yscale="log", xlabel="dimension D", ylabel="variance of one draw, one coordinate of mu")
    axes.set_title(r"$f = \sum_i x_i^2$, x ~ N(0.5, 1): exact (lines), measured (points)", fontsize=11)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return figure


def variance_against_samples(rng: np.random.Generator) -> "Figure":
    """Draw the variance of the mean of n draws, which falls as 1 / n for every estimator."""
    figure = figure_of(6.6, 4.6)
    axes = figure.subplots()
    sizes = (4, 16, 64, 256, 1024)
    for name in ("pathwise", "score", "score-optimal", "score-leave-one-out"):
        color, marker = _STYLE[name]
        rows = sample_gradients(name, Quadratic(3.0), 1.0, 1.0, 256 * max(sizes), rng)[:, 0, 0]
        one = _exact(name, Quadratic(3.0), 1.0)[0, 0]
        axes.plot(sizes, one / np.array(sizes), color=color, lw=1.3)
        points = [summarize(rows.reshape(-1, n).mean(axis=1)) for n in sizes]
        _points(axes, sizes, points, (), color, marker, name)
    axes.set(xscale="log", yscale="log", xlabel="draws n", ylabel="variance of the mean of n draws")
    axes.set_title("$f = (x - 3)^2$, x ~ N(1, 1), gradient for mu: exact (lines), measured (points)", fontsize=11)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return figure


CURVES = {  # the estimators that VAEs are trained with, and their colours
    "pathwise": COLORS[0],
    "path-derivative": COLORS[4],
    "score-leave-one-out": COLORS[3],
    "score-learned": COLORS[2],
    "score-moving-average": COLORS[5],
    "score": COLORS[1],
}


def learning_curves(problem: DigitsProblem, ways: Sequence[str], seed: int, advance: Callable[[], Any]) -> "Figure":
    """Train the same VAE on the digits with each estimator, four draws a step, and draw the validation ELBO."""
    digits = datasets.load("digits-threshold")
    model = VAE.mlp(digits.n_x, problem.n_latent, [64], "tanh", posterior=problem.posterior)
    figure = figure_of(7.2, 4.8)
    axes = figure.subplots()
    lowest = 0.0
    for name in ways:
        settings = Settings(epochs=40, n_draws=4, optimizer=Adam(3e-3), objective=Elbo(name), seed=seed)
        history = train(model, digits.x_train, digits.x_valid, settings).history
        elbo = [row["valid_elbo"] for row in history]
        lowest = min(lowest, *elbo[5:])
        axes.plot([row["epoch"] for row in history], elbo, color=CURVES[name], lw=1.5, label=name)
        advance()
    axes.set_ylim(lowest - 0.5, None)
    axes.set(xlabel="epoch", ylabel="validation ELBO (nats per image)")
    axes.set_title(f"{problem.name}: one VAE, trained with each estimator (4 draws a step)", fontsize=11)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return figure


def learning_codes(problem: CodeProblem, seed: int, advance: Callable[[], Any]) -> "Figure":
    """Train a VAE on the digits, its code bits or categories, with each estimator, four draws a step."""
    digits = datasets.load("digits-threshold")
    model = VAE.mlp(digits.n_x, 18, [64], "tanh", posterior=replace(problem.posterior, n_latent=18))
    histories = {}
    for name in (
        name for name, row in ESTIMATORS.items() if name in code_figures.CODE_COLORS and row.suits(model.posterior)
    ):
        how = Settings(epochs=40, n_draws=4, optimizer=Adam(3e-3), objective=Elbo(name), seed=seed)
        histories[name] = train(model, digits.x_train, digits.x_valid, how).history
    advance()
    kind = "18 bits" if problem is CODES_BITS else "6 groups of 3 categories"
    return code_figures.code_curves(histories, f"a VAE of the digits with {kind}, trained with each estimator")


def relative_variance(problem: Problem, rows: Sequence[Row]) -> "Figure":
    """Draw the total variance of each estimator on one problem, relative to the reference's: exact and measured."""
    found = sorted(totals(problem, rows), key=lambda total: total.best_ratio or 0.0)
    reference = found[0].reference
    figure = figure_of(7.6, 0.4 * len(found) + 1.7)
    axes = figure.subplots()
    measured = [total.ratio or 0.0 for total in found]
    exact = [total.exact_ratio for total in found]
    known = [(value, i) for i, value in enumerate(exact) if value is not None]
    axes.plot(measured, range(len(found)), "o", color=COLORS[0], label="measured")
    if known:
        axes.plot(*zip(*known, strict=True), "|", color="black", ms=18, mew=1.6, label="exact")
    for i, (a, b) in enumerate(zip(measured, exact, strict=True)):
        axes.annotate(
            f"{b if b is not None else a:.3g}", (max(a, b or a), i), (12, -3), textcoords="offset points", fontsize=9
        )
    axes.set_yticks(range(len(found)), [total.estimator + (" (biased)" if total.bias else "") for total in found])
    axes.set_ylim(len(found) - 0.5, -0.5)
    if all(value for value in measured):
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
    axes.margins(x=0.2)
    what = "all weights of the encoder" if problem.whole else "all parameters in sum"
    axes.set_xlabel(f"variance of one draw, {what}" + (f", relative to {reference}" if reference else ""))
    axes.set_title(textwrap.fill(problem.title, 84, break_on_hyphens=False), fontsize=10)
    axes.grid(alpha=0.3, axis="x")
    axes.legend(frameon=False)
    return figure


def _exact(name: str, cost: Cost, mu: Any) -> Array:
    moments = exact_moments(name, cost, mu, np.ones_like(np.asarray(mu, float)))
    assert moments is not None
    return moments.variance


def _measured(name: str, cost: Cost, mu: Any, rng: np.random.Generator) -> Summary:
    rows = sample_gradients(name, cost, mu, np.ones_like(np.asarray(mu, float)), _N, rng)
    return summarize(rows, n_group=COST_ESTIMATORS[name].n_group)


def _points(
    axes: Any, x: Any, points: Sequence[Summary], at: tuple[int, ...], color: str, marker: str, label: str
) -> None:
    """Draw measured variances with two standard errors."""
    y = [float(p.variance[at]) for p in points]
    error = [2 * float(p.variance_error[at]) for p in points]
    axes.errorbar(x, y, error, fmt=marker, color=color, ms=5, lw=1, label=label)
