"""REBAR and RELAX: a control variate c of the numbers behind a draw, which learns to lessen the variance.

With y the real numbers whose rounding z is, and y~ the same given z, at the draw of it where y~ = y,

    g = (f(z) - c(y)) s + dc(y)/dhead - dc(y~)/dhead,      dc(y)/dhead - dc(y~)/dhead = free o c'(y),

``free`` being what of dy/dhead is left (``Relaxable.left_free``). E[c(y~) s + dc(y~)/dhead] = dE[c(y)]/dhead for any c,
so g has no bias, whatever c is:

    rebar  c(y) = eta f(relaxed(y / temperature))                eta and the temperature learn, by Tucker et al.
    relax  c(y) = eta f(relaxed(y / temperature)) + r(y, x)      r a network that learns along, by Grathwohl et al.

At eta = 0 rebar is the score function. What they learn is a descent of the measured variance: as E[g] does not depend
on c, the gradient of E|g|^2 is that of the variance. With a = g . s and w = free o (dy/dhead g), both of each draw,

    d|g|^2 / dp = 2 (-a dc/dp + w . dc'/dp)      for every parameter p of c.

References
----------
G. Tucker, A. Mnih, C. Maddison, J. Lawson, J. Sohl-Dickstein, "REBAR: low-variance, unbiased gradient estimates for
discrete latent variable models", 2017.
W. Grathwohl, D. Choi, Y. Wu, G. Roeder, D. Duvenaud, "Backpropagation through the void: optimizing control variates for
black-box gradient estimation", 2018.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array
from minivae.estimators.second_pass import OF_CODES, SecondPass, counted_as_drawn
from minivae.estimators.weights import ESTIMATORS, Estimator
from minivae.nn.optim import Adam, Optimizer, State
from minivae.nn.sequential import Sequential, mlp

_N_OWN = 2  # eta, and the logarithm of the temperature over the one that is given


@dataclass(frozen=True)
class ControlNetwork:
    """r(y, x) = v . tanh(W [y, x] + b) + d, its slope in y, and the gradient of both for its parameters.

    With h = tanh(...) and W_y the rows of W that y meets

        dr/dy = W_y (v (1 - h^2)),
        d (w . dr/dy) / d pre-activation = -2 h (1 - h^2) v (W_y^T w)      for a direction w.

    Parameters
    ----------
    n_y, n_x : int
        Widths of y and of x.
    n_hidden : int

    Examples
    --------
    >>> net = ControlNetwork(2, 3, n_hidden=4)
    >>> net.network.n_params
    29
    """

    n_y: int
    n_x: int
    n_hidden: int = 32

    def __post_init__(self) -> None:
        for name in ("n_y", "n_x", "n_hidden"):
            checks.width(getattr(self, name), name)

    @property
    def network(self) -> Sequential:
        """The same as layers."""
        return mlp([self.n_y + self.n_x, self.n_hidden, 1], "tanh")

    def init(self, rng: np.random.Generator, dtype: Any = np.float64) -> Array:
        """Return initial parameters under which r is 0 everywhere."""
        params = self.network.init(rng, dtype)
        params[-self.n_hidden - 1 :] = 0
        return params

    def _unpack(self, params: Array) -> tuple[Array, Array, Array, Array]:
        """Return W (n_y + n_x, m), b, v and d as views."""
        views = dict(self.network.named(params))
        return views["0.weight"], views["0.bias"], views["2.weight"][:, 0], views["2.bias"]

    def forward(self, params: Array, y: Array, x: Array) -> tuple[Array, Array, Any]:
        """Return r, shape (R,), dr/dy, shape (R, n_y), and the cache, for rows y and x."""
        W, b, v, d = self._unpack(params)
        given = np.concatenate([y, x], axis=1)
        h = np.tanh(given @ W + b)
        p = 1 - h * h
        return h @ v + d[0], (p * v) @ W[: self.n_y].T, (given, h, p)

    def backward(self, params: Array, cache: Any, dr: Array, dslope: Array, grads: Array) -> None:
        """Overwrite ``grads`` with the gradient of sum of dr r + sum of dslope . dr/dy."""
        (given, h, p), (W, _, v, _) = cache, self._unpack(params)
        dW, db, dv, dd = self._unpack(grads)
        along = dslope @ W[: self.n_y]  # (R, m)
        dv[:] = h.T @ dr + (p * along).sum(axis=0)
        dd[:] = dr.sum()
        dpre = v * p * (dr[:, None] - 2 * h * along)
        dW[:] = given.T @ dpre
        dW[: self.n_y] += dslope.T @ (p * v)
        db[:] = dpre.sum(axis=0)


@dataclass
class Control:
    """A control variate at its present parameters, for the examples of one step.

    Attributes
    ----------
    params, grads : array of shape (n,)
        [eta, log of the temperature over that of the objective, network]; a step overwrites ``grads`` with the gradient
        of the variance.
    network : ControlNetwork, optional
    x : array of shape (B, n_x), optional
        What the network looks at beside y.
    """

    params: Array
    grads: Array
    network: ControlNetwork | None = None
    x: Array | None = None


def controlled(seen: SecondPass, control: Any, temperature: float) -> Array:
    """Return g, shape (K, B, H), and overwrite the control's ``grads`` with the gradient of the variance.

    That is of the mean over draws and examples of |g|^2. Without a control (0.0, say) eta is 1, and nothing learns.
    """
    dtype = seen.head.dtype
    if not isinstance(control, Control):
        control = Control(np.array([1.0, 0.0], dtype), np.empty(_N_OWN, dtype))
    eta, log_ratio = control.params[:_N_OWN]
    t = dtype.type(temperature) * np.exp(log_ratio)
    posterior, y = seen.posterior, seen.y
    zeta = posterior.relaxed(y / t)
    at = seen.cost(zeta)
    df = at.slope()
    slope = posterior.relaxed_backward(zeta, df) / t  # of f(relaxed(y / t)) in y
    c, dc = eta * at.value, eta * slope
    net, cache, own = control.network, None, control.params[_N_OWN:]
    if net is not None:
        r, dr, cache = net.forward(own, y.reshape(-1, net.n_y), _tiled(control.x, len(y)))
        c, dc = c + r.reshape(c.shape), dc + dr.reshape(dc.shape)
    free = posterior.left_free(seen.head, y, seen.z)
    g = (seen.f - c)[:, :, None] * seen.score + posterior.behind_backward(seen.head, free * dc)

    # the gradient of the variance
    each = dtype.type(2 / c.size)
    a = -each * np.sum(g * seen.score, axis=2)  # of c
    w = each * free * posterior.behind_forward(seen.head, g)  # of c'
    control.grads[0] = np.sum(a * at.value) + np.sum(w * slope)
    along = posterior.relaxed_backward(zeta, -y / t)  # of zeta, as log t grows
    turned = posterior.relaxed_bend(zeta, along, df) + posterior.relaxed_backward(zeta, at.bend(along))
    control.grads[1] = eta * (np.sum(a * np.sum(df * along, axis=2)) + np.sum(w * (turned / t - slope)))
    if net is not None:
        net.backward(own, cache, a.ravel(), w.reshape(-1, net.n_y), control.grads[_N_OWN:])
    return g


def _tiled(x: Array | None, n_draws: int) -> Array:
    return np.tile(cast(Array, x), (n_draws, 1))


@dataclass(frozen=True)
class LearnedControl:
    """How a control variate learns: by steps of an optimiser down the measured variance, after each of the model's.

    To the training it is a baseline: ``predict`` gives the ``Control`` of a step, and ``update`` learns from what that
    step left in it.

    Parameters
    ----------
    network : ControlNetwork, optional
        RELAX's; REBAR has none.
    optimizer : Optimizer

    Examples
    --------
    >>> rule = LearnedControl()
    >>> state = rule.init(np.random.default_rng(0))
    >>> rule.predict(state, np.zeros((3, 4))).params
    array([1., 0.])
    """

    network: ControlNetwork | None = None
    optimizer: Optimizer = field(default_factory=lambda: Adam(1e-2))

    def __post_init__(self) -> None:
        if self.network is not None:
            checks.has(self.network, ("forward", "n_y"), "network", "a ControlNetwork", "ControlNetwork(8, 64)")
        checks.has(self.optimizer, ("init", "update", "learning_rate"), "optimizer", "an optimiser", "Adam(1e-2)")

    def init(self, rng: np.random.Generator, dtype: Any = np.float64) -> State:
        """Return eta = 1, the temperature of the objective, a network that is 0, and the optimiser's state."""
        rng, dtype = checks.generator(rng), checks.float_dtype(dtype)
        own = [] if self.network is None else [self.network.init(rng, dtype)]
        params = np.concatenate([np.array([1.0, 0.0], dtype), *own])
        optimizer = {f"optimizer.{name}": array for name, array in self.optimizer.init(params).items()}
        return {"params": params, "grads": np.zeros_like(params), **optimizer}

    def predict(self, state: State, x: Array) -> Control:
        """Return the control of a step on these examples."""
        x = checks.look(x, "x", (None, None if self.network is None else self.network.n_x))
        return Control(state["params"], state["grads"], self.network, x)

    def update(self, state: State, x: Array, f: Array) -> None:  # noqa: ARG002
        """Take a step down the gradient that the step of the model has left."""
        optimizer = dict(_optimizer(state))
        self.optimizer.update(state["params"], state["grads"], optimizer)


def _optimizer(state: State) -> Iterator[tuple[str, Array]]:
    return ((name[10:], array) for name, array in state.items() if name.startswith("optimizer."))


def _relax(model: Any) -> LearnedControl:
    return LearnedControl(ControlNetwork(model.posterior.n_latent, model.n_x))


_LEARNS: dict[str, Any] = {"own": controlled, "temperature": 0.5, **OF_CODES}
ESTIMATORS.add("rebar", Estimator(counted_as_drawn, rule=lambda _: LearnedControl(), **_LEARNS))
ESTIMATORS.add("relax", Estimator(counted_as_drawn, rule=_relax, **_LEARNS))
