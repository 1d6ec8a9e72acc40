"""What a sweep found: means and intervals over seeds, the ELBO against a setting, rate against distortion."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from minivae.core import checks
from minivae.studies import plots

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = dict[str, Any]

_DONE = ("finished", "early")


def varied(rows: Sequence[Row], names: Sequence[str]) -> list[str]:
    """Return which of these settings differ between trials, the seed left out.

    >>> rows = [{"beta": 1.0, "latent": 2, "seed": 0}, {"beta": 4.0, "latent": 2, "seed": 1}]
    >>> varied(rows, ["beta", "latent", "seed"])
    ['beta']
    """
    rows = _checked(rows, names)
    return [name for name in names if name != "seed" and len({row[name] for row in rows}) > 1]


def over_seeds(rows: Sequence[Row], names: Sequence[str], level: float = 0.95) -> list[Row]:
    """Return one row for the trials that differ in nothing but the seed: means, and confidence intervals of the mean.

        mean +- t sd / sqrt(n),   t the quantile of Student's distribution with n - 1 degrees of freedom

    The interval is about the spread from seed to seed, of trials that all saw the same rows of test data; the standard
    error over these is another matter, and in the rows of the trials.

    Parameters
    ----------
    rows : list of dict
        As ``mv.training.sweep`` returns them.
    names : list of str
        Settings that tell the groups apart.
    level : float
        Of confidence.

    Returns
    -------
    list of dict
        The settings; ``trials`` and how many of them ``failed``; for each quantity q its mean ``q``, ``q_low`` and
        ``q_high``, None where too few trials came to their end.

    Examples
    --------
    >>> rows = [{"beta": 1.0, "seed": s, "status": "early", "test_elbo": e} for s, e in enumerate([-1.0, -2.0, -3.0])]
    >>> table = over_seeds(rows, ["beta"])
    >>> table[0]["elbo"], round(table[0]["elbo_high"], 3)  # 4.303 / sqrt(3) above
    (-2.0, 0.484)
    """
    rows = _checked(rows, names)
    level = checks.number(level, "level", low=0, high=1)
    quantities = [
        name
        for name in dict.fromkeys(name for row in rows for name in row)
        if name.startswith("test_") and not name.endswith("_standard_error")
    ]
    table = []
    for key, group in _groups(rows, names).items():
        done = [row for row in group if row["status"] in _DONE]
        line: Row = dict(zip(names, key, strict=True)) | {"trials": len(group), "failed": len(group) - len(done)}
        for quantity in quantities:
            values = [row[quantity] for row in done if row.get(quantity) is not None]
            name = quantity.removeprefix("test_")
            line |= dict(zip((name, f"{name}_low", f"{name}_high"), _interval(values, level), strict=True))
        table.append(line)
    return table


def _groups(rows: Sequence[Row], names: Sequence[str]) -> dict[tuple[Any, ...], list[Row]]:
    """Return the rows by what they have under these names, in the order of their first appearance."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in names), []).append(row)
    return groups


def _interval(values: list[float], level: float) -> tuple[float | None, float | None, float | None]:
    if not values:
        return None, None, None
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, None, None
    from scipy.special import stdtrit  # a tenth of a second that only this needs

    half = float(stdtrit(len(values) - 1, (1 + level) / 2)) * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return mean, mean - half, mean + half


def _checked(rows: Any, names: Any) -> list[Row]:
    if not isinstance(rows, (list, tuple)) or not rows or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"rows must be a list of dictionaries, got {checks.shown(rows)}. Use what a sweep returned.")
    for name in _listed(names):
        if not isinstance(name, str) or not all(name in row for row in rows):
            raise ValueError(f"names must be settings of the sweep, got {checks.shown(name)}. Look at its rows.")
    return list(rows)


def _listed(names: Any) -> Sequence[Any]:
    if not isinstance(names, (list, tuple)):
        raise ValueError(f"names must be a list of settings, got {checks.shown(names)}. For example ['beta'].")
    return names


def _finished(rows: list[Row], quantity: str) -> list[Row]:
    """Return the trials that have this quantity, or say that there are none."""
    done = [row for row in rows if row.get("status") in _DONE and row.get(quantity) is not None]
    if not done:
        raise ValueError(f"rows must have a trial that ended, with {quantity}, got none. Look at their reasons.")
    return done


def sweep_figure(rows: Sequence[Row], names: Sequence[str]) -> "Figure":
    """Draw the test ELBO (or log p(x|z) of an autoencoder) against a setting: each trial, means and 95 % intervals.

    The setting is the first number among ``names``, or else the first; the others are told apart by colour.
    """
    rows = _checked(rows, names)
    axis = _axis(rows, names)
    others = [name for name in names if name != axis]
    quantity = "test_elbo" if any(row.get("test_elbo") is not None for row in rows) else "test_log_lik"
    done = _finished(rows, quantity)
    places = _places(rows, axis)
    figure = plots.figure_of(6.4, 4.4)
    axes = figure.subplots()
    table = over_seeds(done, [axis, *others])
    short = quantity.removeprefix("test_")
    several = False
    lines_of = _groups(table, others)
    for i, (key, seeds) in enumerate(_groups(done, others).items()):
        color = plots.COLORS[i % len(plots.COLORS)]
        lines = sorted(lines_of[key], key=lambda t: places[t[axis]])
        x = np.array([places[t[axis]] for t in lines], float)
        y = np.array([t[short] for t in lines])
        half = np.array([math.nan if t[f"{short}_high"] is None else t[f"{short}_high"] - t[short] for t in lines])
        several |= bool(np.isfinite(half).any())
        label = ", ".join(f"{n} {v}" for n, v in zip(others, key, strict=True)) or "mean over seeds"
        axes.errorbar(x, y, half, color=color, lw=1.4, marker="o", ms=4, capsize=3, label=label)
        axes.plot([places[r[axis]] for r in seeds], [r[quantity] for r in seeds], "_", color=color, ms=9, alpha=0.6)
    ends = "; bars: 95 % intervals of the mean over seeds, dashes: trials" if several else ""
    what = "ELBO" if short == "elbo" else "log p(x|z) of the reconstruction"
    axes.set(xlabel=axis.replace("_", " "), ylabel=f"test {what}, nats per example", title=f"{what}{ends}")
    axes.title.set_fontsize(9)
    _scale(axes, places)
    axes.grid(alpha=0.3)
    if others:
        axes.legend(frameon=False, fontsize=8)
    return figure


def _axis(rows: list[Row], names: Sequence[str]) -> str:
    """Return the setting that is drawn along x."""
    numeric = [n for n in names if all(isinstance(row[n], (int, float)) for row in rows)]
    return (numeric or list(names) or ["seed"])[0]


def _places(rows: list[Row], axis: str) -> dict[Any, float]:
    """Return where each value of a setting stands: itself, or one step after the other."""
    values = list(dict.fromkeys(row.get(axis) for row in rows))
    if all(isinstance(v, (int, float)) for v in values):
        return {v: float(v) for v in values}  # type: ignore[arg-type]
    return {v: float(i) for i, v in enumerate(values)}


def _scale(axes: Any, places: dict[Any, float]) -> None:
    """Label the values; by their logarithm where they span a factor of ten."""
    x = list(places.values())
    if min(x) > 0 and max(x) / min(x) >= 10:
        axes.set_xscale("log")
    if len(x) <= 12:
        axes.set_xticks(x, ["none" if v is None else f"{v}" for v in places])
        axes.minorticks_off()


def sweep_rate_figure(rows: Sequence[Row], names: Sequence[str]) -> "Figure":
    """Draw the distortion -E_q log p(x|z) against the rate KL(q(z|x) || p(z)), means over seeds, one point a beta.

    The dotted line has the best ELBO, -rate - distortion, all along.
    """
    rows = _finished(_checked(rows, [*_listed(names), "beta"]), "test_kl")
    others = [name for name in names if name != "beta"]
    table = over_seeds(rows, ["beta", *others])
    figure = plots.figure_of(5.6, 4.6)
    axes = figure.subplots()
    for i, (key, group) in enumerate(_groups(table, others).items()):
        color = plots.COLORS[i % len(plots.COLORS)]
        lines = sorted(group, key=lambda t: t["beta"])
        label = ", ".join(f"{n} {v}" for n, v in zip(others, key, strict=True)) or None
        rate, distortion = np.array([t["kl"] for t in lines]), -np.array([t["log_lik"] for t in lines])
        axes.plot(rate, distortion, color=color, marker="o", ms=4, lw=1.2, label=label)
        for t, r, d in zip(lines, rate, distortion, strict=True):
            axes.annotate(f"β = {t['beta']:g}", (r, d), (5, 4), textcoords="offset points", fontsize=8, color=color)
    best = max(t["elbo"] for t in table)
    rates = np.array([t["kl"] for t in table])
    ends = np.array([rates.min(), rates.max()])
    axes.plot(ends, -best - ends, ":", color=plots.COLORS[8], lw=1.2, label=f"ELBO = {best:.2f}, the best")
    axes.set(xlabel="rate KL(q(z|x) || p(z)), nats", ylabel="distortion -E log p(x|z), nats")
    axes.set_title("Rate against distortion, test set, per example")
    axes.margins(x=0.2)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=8)
    return figure


def write_report(rows: Sequence[Row], names: Sequence[str], folder: Path) -> tuple[list[Row], list[str]]:
    """Write the figures that the trials allow; return the table over seeds and the paths."""
    settings = varied(rows, names)
    table = over_seeds(rows, settings)
    done = [row for row in rows if row["status"] in _DONE]
    paths: list[str] = []
    if done and (settings or "seed" in names):
        paths.append(plots.save(sweep_figure(rows, settings), folder / "sweep.png"))
    if "beta" in settings and any(row.get("test_kl") is not None for row in done):
        with_beta = [row for row in rows if row["beta"] is not None]
        paths.append(plots.save(sweep_rate_figure(with_beta, settings), folder / "rate_distortion.png"))
    return table, paths
