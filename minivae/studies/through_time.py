"""How far back a recurrent layer learns: the length of dL/dh_t against t, what predicts it, and what clipping does.

    dL/dh_t = J_{t+1}^T J_{t+2}^T ... J_T^T dL/dh_T,   J_t = dh_t / dh_{t-1}

Near a state at rest all J are alike, and the length falls or grows as a power of their spectral radius. Where tanh
bends, its slope is below one and the length falls faster; gates that are open keep it.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array
from minivae.core.seeds import Stream, stream
from minivae.nn.optim import clip_by_norm
from minivae.nn.recurrent import GRU, LSTM, RNN, Recurrent
from minivae.studies import plots

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STEPS, _UNITS, _ROWS = 50, 32, 64
_GAINS = (0.8, 1.0, 1.2)


@dataclass(frozen=True)
class Reach:
    """How a gradient goes back in time through one layer.

    Attributes
    ----------
    name : str
    radius : float
        Spectral radius of the Jacobian of a step at rest.
    small, large : array of shape (T,)
        Length of dL/dh_t over that of dL/dh_T, mean over rows, for inputs of standard deviation 1e-6, and of 1.
    """

    name: str
    radius: float
    small: Array
    large: Array

    @property
    def rate(self) -> float:
        """The factor a step back, of the small inputs, over the earlier half of the steps."""
        half = len(self.small) // 2
        return float((self.small[0] / self.small[half]) ** (1 / half))


def reach_through_time(seed: int = 0) -> list[Reach]:
    """Return how far back tanh layers, a GRU and an LSTM learn at their initial weights.

    The recurrent weights of the tanh layers are 0.8, 1 and 1.2 times an orthogonal matrix. L is a fixed direction of
    the last state, after 50 steps of random input.

    Examples
    --------
    >>> [found.name for found in reach_through_time()]
    ['RNN, gain 0.8', 'RNN, gain 1', 'RNN, gain 1.2', 'GRU', 'LSTM']
    """
    rng = stream(checks.seed(seed), Stream.THROUGH_TIME)
    x = rng.standard_normal((_ROWS, _STEPS))
    direction = np.tile(rng.standard_normal(_UNITS), (_ROWS, 1))
    found = []
    for name, layer, gain in (
        *((f"RNN, gain {gain:g}", RNN(_STEPS, 1, _UNITS), gain) for gain in _GAINS),
        ("GRU", GRU(_STEPS, 1, _UNITS), 1.0),
        ("LSTM", LSTM(_STEPS, 1, _UNITS), 1.0),
    ):
        params = layer.init(rng)
        layer.unpack(params)[1][:] *= gain
        radius = float(np.abs(np.linalg.eigvals(layer.step_jacobian(params))).max())
        norms = [layer.gradient_norms(params, scale * x, direction) for scale in (1e-6, 1.0)]
        found.append(Reach(name, radius, *(each / each[-1] for each in norms)))
    return found


@dataclass(frozen=True)
class Clipping:
    """A training of a layer whose gradients explode.

    Attributes
    ----------
    max_norm : float or None
    losses, norms : array of shape (n_updates,)
        Mean squared error, and the length of its gradient before it is clipped.
    """

    max_norm: float | None
    losses: Array
    norms: Array


def clipping(max_norm: float | None, n_updates: int = 200, seed: int = 0) -> Clipping:
    """Train a tanh layer with gain 1.5 to give the first of 20 inputs back at the end, by plain descent, rate 0.1.

    Parameters
    ----------
    max_norm : float, optional
        Longest gradient that is taken as it is; none is clipped unless given.
    n_updates : int
    seed : int

    Examples
    --------
    >>> clipping(1.0, n_updates=3).losses.shape
    (3,)
    """
    if max_norm is not None:
        max_norm = checks.number(max_norm, "max_norm", low=0)
    rng = stream(checks.seed(seed), Stream.THROUGH_TIME, 1)
    layer: Recurrent = RNN(20, 1, _UNITS)
    params = layer.init(rng)
    layer.unpack(params)[1][:] *= 1.5
    readout, grads = rng.standard_normal(_UNITS) / np.sqrt(_UNITS), np.empty_like(params)
    losses, norms = np.empty(checks.width(n_updates, "n_updates")), np.empty(n_updates)
    for i in range(n_updates):
        x = rng.standard_normal((_ROWS, 20)) * np.where(np.arange(20) == 0, 1.0, 0.1)
        h, cache = layer.forward(params, x)
        error = h @ readout - x[:, 0]
        layer.backward(params, cache, np.outer(2 * error / _ROWS, readout), grads, need_dx=False)
        losses[i], norms[i] = np.mean(error**2), np.linalg.norm(grads)
        if max_norm is not None:
            clip_by_norm(grads, float(norms[i]), max_norm)
        params -= 0.1 * grads
    return Clipping(max_norm, losses, norms)


def through_time_figure(found: list[Reach], trained: list[Clipping]) -> "Figure":
    """Draw the lengths against the steps back, with the power of the spectral radius, and trainings with their clip.

    Parameters
    ----------
    found : list of Reach
    trained : list of Clipping
    """
    figure = plots.figure_of(13.5, 4.2)
    small, large, training = figure.subplots(1, 3)
    for color, each in zip(plots.COLORS, found, strict=False):
        back = np.arange(len(each.small))[::-1]
        small.plot(back, each.small, color=color, lw=1.8, label=each.name)
        small.plot(back, each.radius**back, color="black", lw=0.8, ls="--")
        large.plot(back, each.large, color=color, lw=1.8)
    small.plot([], [], color="black", lw=0.8, ls="--", label="power of the spectral radius")
    for axes, title in (
        (small, "inputs of 1e-6: the state is near rest"),
        (large, "inputs of 1: tanh bends, gates move"),
    ):
        axes.set(yscale="log", title=title, xlabel="steps back from the end", ylabel="length of dL/dh, at the end 1")
    for color, run in zip(plots.COLORS[3:], trained, strict=False):
        label = "not clipped" if run.max_norm is None else f"clipped at {run.max_norm:g}"
        training.plot(np.arange(1, len(run.losses) + 1), run.losses, color=color, lw=1.2, label=label)
    training.set(
        yscale="log", title="RNN, gain 1.5, gives its first input back", xlabel="update", ylabel="mean squared error"
    )
    small.legend(frameon=False, fontsize=8)
    training.legend(frameon=False, fontsize=8)
    return figure
