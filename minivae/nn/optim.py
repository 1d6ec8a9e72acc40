"""Gradient descent on one flat vector: SGD, RMSprop, Adam, step-wise learning rates, clipping by the norm.

An optimiser is a frozen description. ``init`` makes its state, a dictionary of arrays that the caller keeps
(and saves); ``update`` changes parameters and state in place.
"""

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from minivae.core import checks, kernels
from minivae.core.arrays import Array
from minivae.core.registry import Table, saved

State = dict[str, np.ndarray]


class Optimizer(Protocol):
    """A rule that turns a gradient into a step."""

    @property
    def learning_rate(self) -> float:
        """Base step size; a schedule multiplies it."""

    def init(self, params: Array) -> State:
        """Return the state before the first step."""

    def update(self, params: Array, grads: Array, state: State, scale: float = 1.0) -> None:
        """Take one step in place with the learning rate times ``scale``."""


@saved
@dataclass(frozen=True)
class SGD:
    """velocity = momentum velocity + g; params -= learning_rate velocity.

    Parameters
    ----------
    learning_rate : float
    momentum : float
        In [0, 1).

    Examples
    --------
    >>> import numpy as np
    >>> rule, params = SGD(0.1), np.array([1.0])
    >>> rule.update(params, np.array([2.0]), rule.init(params))
    >>> params
    array([0.8])
    """

    learning_rate: float = 0.01
    momentum: float = 0.0

    def __post_init__(self) -> None:
        checks.number(self.learning_rate, "learning_rate", low=0)
        checks.number(self.momentum, "momentum", low=0, closed=True, high=1)

    def init(self, params: Array) -> State:
        """Return a zero velocity."""
        checks.vector(params)
        return {"velocity": np.zeros_like(params)}

    def update(self, params: Array, grads: Array, state: State, scale: float = 1.0) -> None:
        """Take one step in place."""
        grads = _checked(params, grads, state, ("velocity",), scale)
        velocity = state["velocity"]
        velocity *= self.momentum
        velocity += grads
        params -= params.dtype.type(self.learning_rate * scale) * velocity


@saved
@dataclass(frozen=True)
class RMSprop:
    """square = decay square + (1 - decay) g^2; params -= learning_rate g / (sqrt(square) + eps).

    Centred: the square root is of square - mean^2, the decaying variance of the gradient, where
    mean = decay mean + (1 - decay) g [1]_.

    Parameters
    ----------
    learning_rate : float
    decay : float
        In [0, 1).
    eps : float
    centered : bool

    References
    ----------
    .. [1] A. Graves, "Generating sequences with recurrent neural networks", 2013.

    Examples
    --------
    >>> import numpy as np
    >>> rule, params = RMSprop(0.1, decay=0.75), np.array([1.0])
    >>> rule.update(params, np.array([2.0]), rule.init(params))
    >>> params.round(6)  # 0.1 * 2 / sqrt(0.25 * 4)
    array([0.8])
    """

    learning_rate: float = 1e-3
    decay: float = 0.99
    eps: float = 1e-8
    centered: bool = False

    def __post_init__(self) -> None:
        checks.number(self.learning_rate, "learning_rate", low=0)
        checks.number(self.decay, "decay", low=0, closed=True, high=1)
        checks.number(self.eps, "eps", low=0)
        checks.flag(self.centered, "centered")

    def init(self, params: Array) -> State:
        """Return zero means of g and g^2."""
        _check_rounding(params, decay=self.decay, eps=self.eps)
        return {"mean": np.zeros_like(params), "square": np.zeros_like(params)}

    def update(self, params: Array, grads: Array, state: State, scale: float = 1.0) -> None:
        """Take one step in place."""
        grads = _checked(params, grads, state, ("mean", "square"), scale)
        hyper = np.array([self.decay, self.learning_rate * scale, self.eps, self.centered], params.dtype)
        kernels.rmsprop(params, grads, state["mean"], state["square"], hyper)


@saved
@dataclass(frozen=True)
class Adam:
    """params -= learning_rate m_hat / (sqrt(v_hat) + eps), with bias-corrected means m of g and v of g^2 [1]_.

    Parameters
    ----------
    learning_rate : float
    beta1, beta2 : float
        Decay of the two means, in [0, 1).
    eps : float

    References
    ----------
    .. [1] D. P. Kingma, J. Ba, "Adam: a method for stochastic optimization", 2015, algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> rule, params = Adam(0.1), np.array([1.0])
    >>> rule.update(params, np.array([2.0]), rule.init(params))
    >>> params.round(6)  # the first step has the length of the learning rate
    array([0.9])
    """

    learning_rate: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8

    def __post_init__(self) -> None:
        checks.number(self.learning_rate, "learning_rate", low=0)
        checks.number(self.beta1, "beta1", low=0, closed=True, high=1)
        checks.number(self.beta2, "beta2", low=0, closed=True, high=1)
        checks.number(self.eps, "eps", low=0)

    def init(self, params: Array) -> State:
        """Return zero means and a step count of zero."""
        _check_rounding(params, beta1=self.beta1, beta2=self.beta2, eps=self.eps)
        return {"m": np.zeros_like(params), "v": np.zeros_like(params), "t": np.zeros(1, np.int64)}

    def update(self, params: Array, grads: Array, state: State, scale: float = 1.0) -> None:
        """Take one step in place."""
        grads = _checked(params, grads, state, ("m", "v"), scale)
        state["t"] += 1
        t = int(state["t"][0])
        # lr m_hat / (sqrt(v_hat) + eps) with both corrections moved into the two scalars
        root = math.sqrt(1 - self.beta2**t)
        step = self.learning_rate * scale * root / (1 - self.beta1**t)
        hyper = np.array([self.beta1, self.beta2, step, self.eps * root], params.dtype)
        kernels.adam(params, grads, state["m"], state["v"], hyper)


def _checked(params: Array, grads: Any, state: Any, names: tuple[str, ...], scale: float) -> Array:
    """Return the gradient, or refuse what does not belong together, at the price of a look."""
    checks.vector(params)
    checks.state(state, names, params)
    checks.number(scale, "scale", low=0, closed=True)
    return checks.look(grads, "grads", params.shape, params.dtype)


def _check_rounding(params: Array, **constants: float) -> None:
    """Refuse constants that the dtype of the parameters rounds to 1, or to 0 where they are not 0."""
    checks.vector(params)
    for name, value in constants.items():
        rounded = float(params.dtype.type(value))
        if rounded == 1 or (rounded == 0) != (value == 0):
            raise ValueError(
                f"{name} must stay below 1, and above 0 where it is, in the parameters' dtype {params.dtype}, got "
                f"{value!r}, which that rounds to {rounded:g}. Choose a value that it can tell apart, or float64."
            )


OPTIMIZERS: Table[type[Any]] = Table("optimizer")
OPTIMIZERS.add("adam", Adam)
OPTIMIZERS.add("rmsprop", RMSprop)
OPTIMIZERS.add("sgd", SGD)


@saved
@dataclass(frozen=True)
class StepDecay:
    """Learning-rate schedule: multiply by ``factor`` at each milestone (an epoch, counted from 0).

    Parameters
    ----------
    milestones : tuple of int
        Increasing epochs.
    factor : float

    Examples
    --------
    >>> schedule = StepDecay((2, 4), factor=0.5)
    >>> [schedule.scale(epoch) for epoch in range(6)]
    [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]
    """

    milestones: tuple[int, ...] = ()
    factor: float = 0.1

    def __post_init__(self) -> None:
        if (
            not isinstance(self.milestones, (tuple, list, range, np.ndarray))
            or getattr(self.milestones, "shape", None) == ()
        ):
            raise ValueError(
                f"milestones must be epochs, got {checks.shown(self.milestones)}. For example (200, 350, 500)."
            )
        object.__setattr__(self, "milestones", tuple(self.milestones))
        for milestone in self.milestones:
            if isinstance(milestone, bool) or not isinstance(milestone, (int, np.integer)):
                raise ValueError(
                    f"milestones must be whole epochs, got {checks.shown(milestone)}. For example (200, 350, 500)."
                )
        increasing = all(a < b for a, b in zip(self.milestones, self.milestones[1:], strict=False))
        if not increasing or any(m < 0 for m in self.milestones):
            raise ValueError(
                f"milestones must be increasing epochs from 0, got {self.milestones}. For example (200, 350, 500)."
            )
        checks.number(self.factor, "factor", low=0)

    def scale(self, epoch: int) -> float:
        """Return the factor of the base learning rate in this epoch."""
        checks.whole(epoch, "epoch")
        return float(self.factor ** sum(epoch >= m for m in self.milestones))


def clip_by_norm(grads: Array, norm: float, max_norm: float) -> None:
    """Scale ``grads`` in place so that its Euclidean norm, given as ``norm``, is at most max_norm.

    >>> import numpy as np
    >>> grads = np.array([3.0, 4.0])
    >>> clip_by_norm(grads, norm=5.0, max_norm=1.0)
    >>> grads
    array([0.6, 0.8])
    """
    checks.vector(grads, "grads")
    checks.number(norm, "norm", low=0, closed=True)
    if norm > checks.number(max_norm, "max_norm", low=0):
        grads *= grads.dtype.type(max_norm / norm)
