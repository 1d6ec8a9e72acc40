"""Recurrent layers on flat rows (T D): tanh, GRU and LSTM, by backpropagation through time.

All three share one loop. What x says at every step is one product, A = x W + b; then, from t = 1 to T,

    h_t = cell(A_t, h_{t-1})   where t is within the row's length, and h_t = h_{t-1} beyond it.

Backwards the loop gives, of every step, dA_t and dR_t, the gradients where x and where h_{t-1} enter; all steps
together, dW = sum x_t^T dA_t, db = sum dA_t, dU = sum h_{t-1}^T dR_t and dx_t = dA_t W^T are one product each.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from minivae.core import checks, kernels
from minivae.core.arrays import Array
from minivae.core.registry import saved
from minivae.nn.looking import LookingLayer


class Recurrent(LookingLayer):
    """Base of the recurrent layers: the loop over time; a class of its own says what a cell does.

    Rows of x hold T steps of D numbers, and where ``ragged`` their length after them, 1 to T: a number that no gradient
    goes to. Beyond its length a row's state stays, and its outputs are zero.
    """

    n_steps: int
    n_features: int
    n_units: int
    gives: Literal["last", "all"]
    ragged: bool
    reverse: bool
    analytic = True
    small_products = True
    n_gates = 1
    n_states = 1  # h, and what else goes from step to step

    def __post_init__(self) -> None:
        for name in ("n_steps", "n_features", "n_units"):
            checks.width(getattr(self, name), name)
        checks.choice(self.gives, ("last", "all"), "gives")
        checks.flag(self.ragged, "ragged")
        checks.flag(self.reverse, "reverse")
        what = (self.n_steps, self.n_features, self.n_units)
        checks.size(max(self.n_params, self.n_in, self.n_out), "n_steps, n_features and n_units", what)

    @property
    def n_in(self) -> int:  # type: ignore[override]
        """T D, and one more where rows say their length."""
        return self.n_steps * self.n_features + self.ragged

    @property
    def n_out(self) -> int:  # type: ignore[override]
        """H, or T H where it gives the state of all steps."""
        return self.n_units * (self.n_steps if self.gives == "all" else 1)

    @property
    def n_params(self) -> int:  # type: ignore[override]
        """W (D, G H), U (H, G H) and b (G H,) for G gates."""
        return (self.n_features + self.n_units + 1) * self.n_gates * self.n_units

    @property
    def shapes(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """Name and shape of what x, and what h, is multiplied by, and of the bias."""
        width = self.n_gates * self.n_units
        return ("weight", (self.n_features, width)), ("recurrent", (self.n_units, width)), ("bias", (width,))

    def _look_closer(self, x: Array) -> None:
        if self.ragged:
            check_lengths(x[:, -1].real, self.n_steps)

    def _start(self, rng: np.random.Generator) -> list[Array]:
        """Glorot weights for x; an orthogonal matrix for h in each gate, which keeps lengths; biases of zero."""
        limit = math.sqrt(6 / (self.n_features + self.n_units))
        W = rng.uniform(-limit, limit, self.shapes[0][1])
        square = [np.linalg.qr(rng.standard_normal((self.n_units, self.n_units))) for _ in range(self.n_gates)]
        U = np.concatenate([q * np.sign(np.diagonal(r)) for q, r in square], axis=1)
        return [W, U, np.zeros(self.n_gates * self.n_units)]

    def _order(self) -> range:
        return range(self.n_steps - 1, -1, -1) if self.reverse else range(self.n_steps)

    def _split(self, x: Array) -> tuple[Array, Array | None]:
        """Return the steps, time first (T, B, D), and the mask (T, B, 1) of those within the lengths, None for all."""
        T, D = self.n_steps, self.n_features
        steps = np.ascontiguousarray(x[:, : T * D].reshape(len(x), T, D).swapaxes(0, 1))
        if not self.ragged:
            return steps, None
        return steps, within(x[:, -1].real, T).T[:, :, None].astype(x.dtype)

    def _forward(self, params: Array, x: Array) -> tuple[Array, Any]:
        W, U, b = self._views(params)
        steps, mask = self._split(x)
        T, n_batch = self.n_steps, len(x)
        A = (steps.reshape(T * n_batch, -1) @ W + b).reshape(T, n_batch, -1)
        before = np.empty((T, self.n_states, n_batch, self.n_units), x.dtype)  # the states that each step starts from
        after = np.empty((T, n_batch, self.n_units), x.dtype)
        gates: list[Any] = [None] * T
        state = np.zeros(before.shape[1:], x.dtype)
        for t in self._order():
            before[t] = state
            state, gates[t] = self._cell(A[t], state, U)
            if mask is not None:
                state = np.where(mask[t] != 0, state, before[t])
            after[t] = state[0]
        y = state[0]
        if self.gives == "all":
            y = (after if mask is None else after * mask).swapaxes(0, 1).reshape(n_batch, -1)
        return y, (x, steps, mask, before, gates)

    def _backward(self, params: Array, cache: Any, dy: Array, grads: Array | None, need_dx: bool) -> Array | None:
        dA, dR = self._through_time(params, cache, dy)
        W, _, _ = self._views(params)
        x, steps, _, before, _ = cache
        rows = self.n_steps * len(x)
        dA = dA.reshape(rows, -1)
        if grads is not None:
            dW, dU, db = self._views(grads)
            np.matmul(steps.reshape(rows, -1).T, dA, out=dW)
            np.matmul(np.ascontiguousarray(before[:, 0]).reshape(rows, -1).T, dR.reshape(rows, -1), out=dU)
            db[:] = dA.sum(axis=0)
        if not need_dx:
            return None
        dx = np.zeros_like(x)
        own = (dA @ W.T).reshape(self.n_steps, len(x), -1).swapaxes(0, 1)
        dx[:, : own.shape[1] * own.shape[2]] = own.reshape(len(x), -1)
        return dx

    def _through_time(
        self, params: Array, cache: Any, dy: Array, norms: list[float] | None = None
    ) -> tuple[Array, Array]:
        """Return dA and dR of every step, shape (T, B, G H); with ``norms`` also the mean length of dh_t, in place."""
        _, U, _ = self._views(params)
        x, _, mask, before, gates = cache
        n_batch, width = len(x), self.n_gates * self.n_units
        dA = np.empty((self.n_steps, n_batch, width), x.dtype)
        dR = dA if self.n_gates != 3 else np.empty_like(dA)
        dstate = np.zeros(before.shape[1:], x.dtype)
        each = dy.reshape(n_batch, -1, self.n_units)
        if self.gives == "last":
            dstate[0] = each[:, 0]
        for t in reversed(self._order()):
            if self.gives == "all":
                dstate[0] += each[:, t] if mask is None else each[:, t] * mask[t]
            if norms is not None:
                norms[t] = float(np.sqrt((dstate[0] ** 2).sum(axis=1)).mean())
            inside = dstate if mask is None else dstate * mask[t]
            dbefore = self._cell_backward(U, before[t], gates[t], inside, dA[t], dR[t])
            dstate = dbefore if mask is None else dbefore + dstate * (1 - mask[t])
        return dA, dR

    def gradient_norms(self, params: Array, x: Array, dy: Array) -> Array:
        """Return the length of dL/dh_t at every step, mean over the batch, shape (T,): how far back learning reaches.

        Parameters
        ----------
        params : array of shape (n_params,)
        x : array of shape (batch, n_in)
        dy : array of shape (batch, n_out)
            dL/dy.
        """
        y, cache = self.forward(params, x)
        dy = checks.look(dy, "dy", y.shape, y.dtype)
        norms = [0.0] * self.n_steps
        self._through_time(params, cache, dy, norms)
        return np.array(norms)

    def step_jacobian(self, params: Array, state: Array | None = None) -> Array:
        """Return d state after / d state before of a step on which x says nothing, shape (S H, S H) for S states.

        Its spectral radius is the factor by which a gradient grows or shrinks at each step back, near that state.

        Parameters
        ----------
        params : array of shape (n_params,)
        state : array of shape (S H,), optional
            h, and for an LSTM c after it; zeros unless given.

        Examples
        --------
        >>> layer = RNN(n_steps=2, n_features=1, n_units=2)
        >>> layer.step_jacobian(np.array([0.0, 0.0, 0.5, 0.0, 0.0, 2.0, 0.0, 0.0]))
        array([[0.5, 0. ],
               [0. , 2. ]])
        """
        checks.flat(params, self.n_params)
        n = self.n_states * self.n_units
        state = np.zeros(n) if state is None else checks.real(state, "state", (n,))
        _, U, b = self._views(checks.finite(params, "params"))
        before = np.repeat(state.astype(params.dtype).reshape(self.n_states, 1, -1), n, axis=1)
        width = self.n_gates * self.n_units
        _, gates = self._cell(np.tile(b, (n, 1)), before, U)
        each = np.eye(n, dtype=params.dtype).reshape(n, self.n_states, -1).swapaxes(0, 1)
        scratch = np.empty((2, n, width), params.dtype)
        found = self._cell_backward(U, before, gates, each, scratch[0], scratch[1])
        return found.swapaxes(0, 1).reshape(n, n)

    def _cell(self, a: Array, state: Array, U: Array) -> tuple[Array, Any]:
        """Return the states after a step, and what its backward needs."""
        raise NotImplementedError

    def _cell_backward(self, U: Array, before: Array, gates: Any, dstate: Array, da: Array, dr: Array) -> Array:
        """Write da and, where that is another array, dr; return the gradient for the states before the step."""
        raise NotImplementedError


def check_lengths(lengths: Array, n_steps: int, name: str = "lengths") -> Array:
    """Return lengths, or refuse what are no whole numbers from 1 to T.

    >>> check_lengths(np.array([1.0, 3.0]), 3)
    array([1., 3.])
    """
    lengths = checks.numbers(lengths, name)
    bad = (lengths < 1) | (lengths > n_steps) | (lengths != np.floor(lengths))
    if bad.any():
        raise ValueError(
            f"{name} must be whole numbers from 1 to the {n_steps} steps, got {lengths[bad].flat[0]:g}. Drop rows "
            f"without steps, and count the steps of each."
        )
    return lengths


def within(lengths: Array, n_steps: int) -> np.ndarray:
    """Return whether each step is within the length of its row, shape (batch, T).

    >>> within(np.array([1.0, 2.0]), 2)
    array([[ True, False],
           [ True,  True]])
    """
    return np.arange(n_steps) < lengths[:, None]


def _sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), also of complex numbers; it saturates at 0 and 1 without overflow."""
    half = x.dtype.type(0.5)
    return half * np.tanh(half * x) + half


@saved
@dataclass(frozen=True)
class RNN(Recurrent):
    """h_t = tanh(x_t W + h_{t-1} U + b), from h_0 = 0.

    Backward: da_t = (1 - h_t^2) dh_t, dh_{t-1} = da_t U^T; so far back a gradient is multiplied by U^T again and again.

    Parameters
    ----------
    n_steps, n_features, n_units : int
        T, D and H: a row of x is T D numbers.
    gives : {"last", "all"}
        h_T, shape (batch, H), or every h_t, (batch, T H).
    ragged : bool
        Whether rows end in their length, one number more.
    reverse : bool
        From the last step to the first.

    Examples
    --------
    >>> layer = RNN(n_steps=3, n_features=2, n_units=4)
    >>> params = layer.init(np.random.default_rng(0))
    >>> layer.forward(params, np.ones((5, 6)))[0].shape
    (5, 4)
    """

    n_steps: int
    n_features: int
    n_units: int
    gives: Literal["last", "all"] = "last"
    ragged: bool = False
    reverse: bool = False

    def _cell(self, a: Array, state: Array, U: Array) -> tuple[Array, Any]:
        h = np.tanh(a + state[0] @ U)
        return h[None], h

    def _cell_backward(self, U: Array, before: Array, gates: Any, dstate: Array, da: Array, dr: Array) -> Array:  # noqa: ARG002
        np.multiply(1 - gates * gates, dstate[0], out=da)
        return (da @ U.T)[None]


@saved
@dataclass(frozen=True)
class GRU(Recurrent):
    """The gated recurrent unit: how much of the old state is kept is learnt, at every step and for every unit.

        r = sigmoid(x W_r + h U_r + b_r)        what of h the candidate sees
        u = sigmoid(x W_u + h U_u + b_u)        what of h stays
        n = tanh(x W_n + r (h U_n) + b_n)       the candidate
        h' = (1 - u) n + u h

    Arguments as for ``RNN``; W, U and b hold r, u and n side by side.

    References
    ----------
    K. Cho et al., "Learning phrase representations using RNN encoder-decoder", 2014.

    Examples
    --------
    >>> GRU(n_steps=28, n_features=28, n_units=128).n_params
    60288
    """

    n_steps: int
    n_features: int
    n_units: int
    gives: Literal["last", "all"] = "last"
    ragged: bool = False
    reverse: bool = False
    n_gates = 3

    def _cell(self, a: Array, state: Array, U: Array) -> tuple[Array, Any]:
        h = state[0]
        hU = h @ U
        ru, n, after = kernels.gru_step(a, hU, h)
        return after[None], (ru, n, hU)

    def _cell_backward(self, U: Array, before: Array, gates: Any, dstate: Array, da: Array, dr: Array) -> Array:
        ru, n, hU = gates
        da[:], dr[:], stays = kernels.gru_backward(ru, n, hU, before[0], np.ascontiguousarray(dstate[0]))
        return (dr @ U.T + stays)[None]


@saved
@dataclass(frozen=True)
class LSTM(Recurrent):
    """Long short-term memory: a cell c beside h, to which each step adds, and which it forgets by a factor.

        i, f, o = sigmoid(x W + h U + b), each its own;   g = tanh(x W_g + h U_g + b_g)
        c' = f c + i g,   h' = o tanh(c')

    Arguments as for ``RNN``; W, U and b hold i, f, o and g side by side. The bias of f starts at one: c is kept.

    References
    ----------
    S. Hochreiter, J. Schmidhuber, "Long short-term memory", 1997; F. Gers et al., "Learning to forget", 2000.

    Examples
    --------
    >>> LSTM(n_steps=3, n_features=2, n_units=4).n_params
    112
    """

    n_steps: int
    n_features: int
    n_units: int
    gives: Literal["last", "all"] = "last"
    ragged: bool = False
    reverse: bool = False
    n_gates = 4
    n_states = 2

    def _start(self, rng: np.random.Generator) -> list[Array]:
        W, U, b = super()._start(rng)
        b[self.n_units : 2 * self.n_units] = 1
        return [W, U, b]

    def _cell(self, a: Array, state: Array, U: Array) -> tuple[Array, Any]:
        (h, c), H = state, self.n_units
        a = a + h @ U
        ifo, g = _sigmoid(a[:, : 3 * H]), np.tanh(a[:, 3 * H :])
        new = ifo[:, H : 2 * H] * c + ifo[:, :H] * g
        bent = np.tanh(new)
        return np.stack([ifo[:, 2 * H :] * bent, new]), (ifo, g, bent)

    def _cell_backward(self, U: Array, before: Array, gates: Any, dstate: Array, da: Array, dr: Array) -> Array:  # noqa: ARG002
        (ifo, g, bent), (dh, dc), H = gates, dstate, self.n_units
        dc = dc + dh * ifo[:, 2 * H :] * (1 - bent * bent)
        da[:, :H] = dc * g
        da[:, H : 2 * H] = dc * before[1]
        da[:, 2 * H : 3 * H] = dh * bent
        da[:, : 3 * H] *= ifo * (1 - ifo)
        da[:, 3 * H :] = dc * ifo[:, :H] * (1 - g * g)
        return np.stack([da @ U.T, dc * ifo[:, H : 2 * H]])
