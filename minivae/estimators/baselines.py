"""What a score-function estimator subtracts from f: it changes the variance, and must not know the draw itself.

    E[(f - c) s] = E[f s] = d E[f]   for every c that does not depend on the draw, as the score s has mean zero.

A ``Baseline`` is a frozen description like an optimiser: ``init`` makes its state, a dictionary of arrays that the
caller keeps; ``predict`` gives c for each example, from earlier steps only; ``update`` learns from the f of this
step, after its gradient has been taken.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array
from minivae.nn.layer import Layer
from minivae.nn.optim import Adam, Optimizer, State
from minivae.nn.sequential import Sequential, mlp


class Baseline(Protocol):
    """A rule that predicts f from x, learnt from earlier steps."""

    def init(self, rng: np.random.Generator, dtype: Any = np.float64) -> State:
        """Return the state before the first step."""

    def predict(self, state: State, x: Array) -> Any:
        """Return c for each example, shape (B,), or what else its estimator takes in that place."""

    def update(self, state: State, x: Array, f: Array) -> None:
        """Learn from f, shape (K, B) or (B,), in place."""


def _signal(f: Any) -> Array:
    """Return f, shape (K, B) or (B,), at the price of a look."""
    if type(f) is not np.ndarray or f.dtype.kind != "f" or f.ndim not in (1, 2) or not f.size:
        raise ValueError(f"f must be floats of shape (K, B) or (B,), got {checks.shown(f)}. Give f of each draw.")
    return f


@dataclass(frozen=True)
class MovingAverage:
    """c = decaying average of the mean f of earlier steps, the same for every example.

    After n steps with means f_1, ..., f_n

        c = sum_i w_i f_i,   w_i = (1 - decay) decay^(n-i) / (1 - decay^n),

    which sum to one: the start at zero is divided out, so that E[c] = E[f] from the second step on. At the first
    step there is nothing to average, and c = 0. Without ``debias`` the weights lack that division: c sets out from
    zero, and the large first gradients stay long in the second moment of Adam.

    Parameters
    ----------
    decay : float
        In [0, 1); 0 keeps the last step only.
    debias : bool

    Examples
    --------
    >>> rule, x = MovingAverage(0.5), np.zeros((2, 3))
    >>> state = rule.init(np.random.default_rng(0))
    >>> for f in (3.0, 6.0):
    ...     rule.update(state, x, np.array([f, f]))
    >>> rule.predict(state, x)  # (6 + 3/2) / (1 + 1/2)
    array([5., 5.])
    """

    decay: float = 0.9
    debias: bool = True

    def __post_init__(self) -> None:
        checks.number(self.decay, "decay", low=0, closed=True, high=1)
        checks.flag(self.debias, "debias")

    def init(self, rng: np.random.Generator, dtype: Any = np.float64) -> State:  # noqa: ARG002
        """Return an average of nothing: a sum of zero and a weight of zero."""
        dtype = checks.float_dtype(dtype)
        return {"sum": np.zeros(1, dtype), "weight": np.zeros(1, dtype)}

    def predict(self, state: State, x: Array) -> Array:
        """Return the average, shape (B,)."""
        x = checks.look(x, "x", (None, None))
        c = state["sum"] / state["weight"] if self.debias and state["weight"][0] else state["sum"]
        return np.full(len(x), c[0])

    def update(self, state: State, x: Array, f: Array) -> None:  # noqa: ARG002
        """Take in the mean of f."""
        f = _signal(f)
        state["sum"] *= self.decay
        state["sum"] += (1 - self.decay) * np.mean(f)
        state["weight"] *= self.decay
        state["weight"] += 1 - self.decay


@dataclass(frozen=True)
class LearnedBaseline:
    """c(x) = moving average + network(x): a small network that learns by regression which x have a high f [1]_.

        loss = 1/2 mean over the batch of (f - average - network(x))^2

    Parameters
    ----------
    network : Sequential
        From n_x values to one.
    optimizer : Optimizer
    average : MovingAverage

    Raises
    ------
    ValueError
        If the network does not give one value.

    References
    ----------
    .. [1] A. Mnih, K. Gregor, "Neural variational inference and learning in belief networks", 2014.

    Examples
    --------
    >>> rule, rng = LearnedBaseline.mlp(n_x=3, n_hidden=[4]), np.random.default_rng(0)
    >>> state, x = rule.init(rng), rng.normal(size=(5, 3))
    >>> rule.update(state, x, x[:, 0])
    >>> rule.predict(state, x).shape
    (5,)
    """

    network: Sequential
    optimizer: Optimizer = field(default_factory=lambda: Adam(1e-2))
    average: MovingAverage = field(default_factory=MovingAverage)

    def __post_init__(self) -> None:
        checks.has(self.network, ("forward", "n_out"), "network", "a layer", "mlp([n_x, 32, 1])")
        checks.has(self.optimizer, ("init", "update", "learning_rate"), "optimizer", "an optimiser", "Adam(1e-2)")
        checks.has(self.average, ("init", "predict", "update"), "average", "a baseline", "MovingAverage()")
        if self.network.n_out != 1:
            raise ValueError(f"network must give 1 value, got {self.network.n_out}. End it with Dense(n, 1).")

    @classmethod
    def mlp(cls, n_x: int, n_hidden: Sequence[int] = (32,), activation: Layer | str = "tanh") -> Self:
        """Build the network from dense layers."""
        return cls(mlp([checks.width(n_x, "n_x"), *checks.widths(n_hidden, "n_hidden"), 1], activation))

    def init(self, rng: np.random.Generator, dtype: Any = np.float64) -> State:
        """Return the network's initial parameters, and the states of its optimiser and of the average."""
        params = self.network.init(rng, dtype)
        optimizer = {f"optimizer.{name}": array for name, array in self.optimizer.init(params).items()}
        return {"params": params, **self.average.init(rng, dtype), **optimizer}

    def predict(self, state: State, x: Array) -> Array:
        """Return average + network(x), shape (B,)."""
        return self.average.predict(state, x) + self.network.forward(state["params"], x)[0][:, 0]

    def update(self, state: State, x: Array, f: Array) -> None:
        """Update the average, then take one step of the regression on what it leaves of the mean f of each example."""
        x = checks.look(x, "x", (None, None))
        f = _signal(f).astype(state["params"].dtype, copy=False)
        f = f.mean(axis=0) if f.ndim == 2 else f  # (B,)
        if len(f) != len(x):
            raise ValueError(f"f must have a value for each of the {len(x)} rows of x, got {len(f)}. Make them agree.")
        params, grads = state["params"], np.empty_like(state["params"])
        self.average.update(state, x, f)
        self.loss_and_grad(params, x, f - self.average.predict(state, x), grads)
        optimizer = {name[10:]: array for name, array in state.items() if name.startswith("optimizer.")}
        self.optimizer.update(params, grads, optimizer)

    def loss_and_grad(self, params: Array, x: Array, target: Array, grads: Array) -> float:
        """Return the loss 1/2 mean (target - network(x))^2, and overwrite ``grads`` with its gradient."""
        y, cache = self.network.forward(params, x)
        target = checks.look(target, "target", (len(y),))
        checks.place(grads, self.network.n_params, params.dtype)
        error = y[:, 0] - target.astype(params.dtype, copy=False)
        self.network.backward(params, cache, error[:, None] / params.dtype.type(len(x)), grads, need_dx=False)
        return 0.5 * float(np.mean(error**2))


@dataclass(frozen=True)
class Centred:
    """A baseline c, a number or one for each example, and the spread (a standard deviation) of what it leaves of f."""

    c: Any
    spread: float = 1.0


@dataclass(frozen=True)
class NormalisedBaseline(LearnedBaseline):
    """c(x) as of ``LearnedBaseline``, and the spread of f - c(x), by which NVIL divides its signal where it is above 1.

        variance <- decay variance + (1 - decay) mean (f - c(x))^2

    over earlier steps, the start at zero divided out. The centred signal has no bias; the division scales the encoder's
    steps, all alike.

    Examples
    --------
    >>> rule = NormalisedBaseline.mlp(n_x=1, n_hidden=[2])
    >>> state, x = rule.init(np.random.default_rng(0)), np.zeros((2, 1))
    >>> rule.update(state, x, np.array([3.0, -3.0]))
    >>> round(rule.predict(state, x).spread, 12)
    3.0
    """

    def init(self, rng: np.random.Generator, dtype: Any = np.float64) -> State:
        """Return the state of the baseline, and a spread of nothing."""
        state = super().init(rng, dtype)
        return {**state, "square": np.zeros(1, state["params"].dtype)}

    def predict(self, state: State, x: Array) -> Centred:  # type: ignore[override]
        """Return c(x) and the spread."""
        weight = float(state["weight"][0])
        spread = math.sqrt(float(state["square"][0]) / weight) if weight else 1.0
        return Centred(super().predict(state, x), spread)

    def update(self, state: State, x: Array, f: Array) -> None:
        """Take in the square of what the baseline of before leaves, then learn."""
        before = super().predict(state, x)
        super().update(state, x, f)
        decay = self.average.decay
        state["square"] *= decay
        state["square"] += (1 - decay) * np.mean((f - before) ** 2)
