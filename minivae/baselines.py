"""What a score-function estimator subtracts from f: it changes the variance, and must not know the draw itself.

    E[(f - c) s] = E[f s] = d E[f]   for every c that does not depend on the draw, as the score s has mean zero.

A ``Baseline`` is a frozen description like an optimiser: ``init`` makes its state, a dictionary of arrays that the
caller keeps; ``predict`` gives c for each example, from earlier steps only; ``update`` learns from the f of this
step, after its gradient has been taken.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from minivae import checks
from minivae.checks import Array
from minivae.layers import Layer, Sequential, mlp
from minivae.optim import Adam, Optimizer, State


def leave_one_out(f: Any) -> Array:
    """Return the mean of the other draws' f for each draw, of the shape of f.

        c_k = 1/(K-1) sum_(j != k) f_j

    Parameters
    ----------
    f : array of shape (K, ...)
        At least two draws along the first axis.

    Raises
    ------
    ValueError
        If there are fewer than two draws.

    References
    ----------
    W. Kool, H. van Hoof, M. Welling, "Buy 4 REINFORCE samples, get a baseline for free!", 2019.

    Examples
    --------
    >>> leave_one_out(np.array([1.0, 2.0, 6.0]))
    array([4. , 3.5, 1.5])
    """
    f = np.asarray(f)
    return f - leave_one_out_signal(f)


def leave_one_out_signal(f: Any) -> Array:
    """Return f - leave_one_out(f), taken of differences between draws: what multiplies the score.

    Adding a constant to f changes nothing: nothing at all where f + constant is not rounded.

    >>> leave_one_out_signal(np.array([1.0, 2.0, 6.0]) + 1e6)
    array([-3. , -1.5,  4.5])
    """
    f = np.asarray(f)
    if f.ndim == 0 or len(f) < 2:
        raise ValueError(
            f"f must hold at least 2 draws for a leave-one-out baseline, got shape {f.shape}: a single draw has no "
            f"others. Use n_draws=2 or more, or another baseline."
        )
    difference = f - f[0]
    return difference - (difference.sum(axis=0) - difference) / (len(f) - 1)


def optimal_baseline(f: Any, score: Any) -> Array:
    """Return the constant of least variance for each coordinate of the score, estimated from draws.

        c* = E[f s^2] / E[s^2]

    In general it is not E[f]. Use draws that the baseline is not applied to.

    Parameters
    ----------
    f : array of shape (K, ...)
    score : array of shape (K, ..., H)

    Returns
    -------
    array of shape (..., H)

    References
    ----------
    E. Greensmith, P. Bartlett, J. Baxter, "Variance reduction techniques for gradient estimates in reinforcement
    learning", 2004.

    Examples
    --------
    >>> b = np.array([0.0, 1.0, 1.0])  # a single bit: f is 4 where b = 0, else 1
    >>> optimal_baseline(4 - 3 * b, (b - 0.5)[:, None])
    array([2.])
    """
    f, score = np.asarray(f), np.asarray(score)
    if f.ndim == 0 or score.shape[:-1] != f.shape or not len(f):
        raise ValueError(
            f"score must have the shape of f and one more axis, got {score.shape} for f of shape {f.shape}. "
            f"One coordinate is score[..., None]."
        )
    square = score**2
    return np.sum(f[..., None] * square, axis=0) / np.sum(square, axis=0)


class Baseline(Protocol):
    """A rule that predicts f from x, learnt from earlier steps."""

    def init(self, rng: np.random.Generator, dtype: Any = np.float64) -> State:
        """Return the state before the first step."""

    def predict(self, state: State, x: Array) -> Array:
        """Return c for each example, shape (B,)."""

    def update(self, state: State, x: Array, f: Array) -> None:
        """Learn from f, shape (K, B) or (B,), in place."""


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

    def init(self, rng: np.random.Generator, dtype: Any = np.float64) -> State:  # noqa: ARG002
        """Return an average of nothing: a sum of zero and a weight of zero."""
        return {"sum": np.zeros(1, dtype), "weight": np.zeros(1, dtype)}

    def predict(self, state: State, x: Array) -> Array:
        """Return the average, shape (B,)."""
        c = state["sum"] / state["weight"] if self.debias and state["weight"][0] else state["sum"]
        return np.full(len(x), c[0])

    def update(self, state: State, x: Array, f: Array) -> None:  # noqa: ARG002
        """Take in the mean of f."""
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
        if self.network.n_out != 1:
            raise ValueError(f"network must give 1 value, got {self.network.n_out}. End it with Dense(n, 1).")

    @classmethod
    def mlp(cls, n_x: int, n_hidden: Sequence[int] = (32,), activation: Layer | str = "tanh") -> "LearnedBaseline":
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
        """Take one step of the regression on what the average leaves, then update the average."""
        f = f.mean(axis=0) if f.ndim == 2 else f  # (B,)
        params, grads = state["params"], np.empty_like(state["params"])
        self.average.update(state, x, f)
        self.loss_and_grad(params, x, f - self.average.predict(state, x), grads)
        optimizer = {name[10:]: array for name, array in state.items() if name.startswith("optimizer.")}
        self.optimizer.update(params, grads, optimizer)

    def loss_and_grad(self, params: Array, x: Array, target: Array, grads: Array) -> float:
        """Return the loss 1/2 mean (target - network(x))^2, and overwrite ``grads`` with its gradient."""
        y, cache = self.network.forward(params, x)
        error = y[:, 0] - target.astype(params.dtype, copy=False)
        self.network.backward(params, cache, error[:, None] / params.dtype.type(len(x)), grads, need_dx=False)
        return 0.5 * float(np.mean(error**2))
