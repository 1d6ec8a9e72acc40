"""p(x|z) of sequences: a likelihood at every step, given z alone or given z and all that came before.

A row of x holds T steps of D numbers, and where it is ragged, its length after them, 1 to T. The length is given, not
modelled: steps beyond it count for nothing, and what is drawn runs to the end.
"""

import copy
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array
from minivae.core.registry import saved
from minivae.core.trust import looked
from minivae.distributions.protocols import Likelihood
from minivae.nn.dropout import n_noise
from minivae.nn.recurrent import check_lengths, within
from minivae.nn.sequential import Sequential


class _EachStep:
    """Base: how rows are taken apart into steps, and put together."""

    likelihood: Likelihood
    n_steps: int
    n_features: int
    ragged: bool

    def __post_init__(self) -> None:
        checks.has(self.likelihood, ("n_out", "log_prob", "backward"), "likelihood", "a likelihood", "Bernoulli()")
        for name in ("n_steps", "n_features"):
            checks.width(getattr(self, name), name)
        checks.flag(self.ragged, "ragged")
        checks.size(self.n_x, "n_steps and n_features", (self.n_steps, self.n_features))

    @property
    def n_x(self) -> int:
        """Width of a row of data."""
        return self.n_steps * self.n_features + self.ragged

    def starting_at(self, x: Array) -> Any:
        """Return the likelihood whose own start suits the steps of the data."""
        own = self.likelihood.starting_at(self._inside(x))
        return dataclasses.replace(self, likelihood=own)  # type: ignore[type-var]

    def check(self, x: Array) -> None:
        """Refuse lengths that are none, and values within them outside the support."""
        self.likelihood.check(self._inside(x))

    def check_training(self, x: Array) -> None:
        """Refuse data on which the likelihood could be raised without bound."""
        self.likelihood.check_training(self._inside(x))

    def is_density(self, x: Array) -> bool:
        """Say whether the values within the lengths are in the support."""
        return self.likelihood.is_density(self._inside(x))

    def _inside(self, x: Any) -> Array:
        """Return the steps within the lengths, shape (n, D)."""
        x = checks.data(x, self.n_x)
        steps, mask = self._steps(x)
        if mask is None:
            return steps
        check_lengths(x[:, -1], self.n_steps)
        return steps[mask.ravel() != 0]

    def _steps(self, x: Array) -> tuple[Array, Array | None]:
        """Return every step, shape (B T, D), and which count, (B, T), None for all."""
        T, D = self.n_steps, self.n_features
        steps = np.ascontiguousarray(x[:, : T * D]).reshape(-1, D)
        return steps, within(x[:, -1], T).astype(x.dtype) if self.ragged else None

    def _look(self, out: Any, x: Any, n_out: int) -> tuple[Array, Array]:
        if looked.already:
            return out, x
        out = checks.look(out, "out", (None, n_out))
        x = checks.look(x, "x", (None, self.n_x), out.dtype)
        if len(out) % len(x):
            raise ValueError(
                f"x must have a number of rows that divides the {len(out)} rows of out, got {len(x)}. Give a row of "
                f"out for each draw of each x."
            )
        return out, x

    def _score(self, params: Array, out: Array, x: Array) -> tuple[Array, Any]:
        """Return the sum over the steps of log p, shape (R,), of the output for every step, (R, T n), and the cache."""
        steps, mask = self._steps(x)
        each, cache = self.likelihood.forward(params, out.reshape(len(out) * self.n_steps, -1), steps)
        each = each.reshape(len(out), self.n_steps)
        if mask is not None:
            mask = np.tile(mask, (len(out) // len(x), 1))
            each = np.where(mask != 0, each, 0)
        return each.sum(axis=1), (cache, mask, len(out))

    def _score_backward(self, params: Array, cache: Any, dlog_prob: Array, grads: Array) -> Array:
        """Return the gradient for the output of every step, shape (R, T n)."""
        own, mask, n_rows = cache
        dlog_prob = checks.look(dlog_prob, "dlog_prob", (n_rows,))
        share = np.repeat(dlog_prob[:, None], self.n_steps, axis=1)
        if mask is not None:
            share *= mask
        dout = self.likelihood.backward(params, own, share.ravel(), grads)
        return dout.reshape(len(dlog_prob), -1)

    def _rows(self, steps: Array) -> Array:
        """Return rows of data of steps (R, T D): the full length after them."""
        if not self.ragged:
            return steps
        return np.concatenate([steps, np.full((len(steps), 1), self.n_steps, steps.dtype)], axis=1)


@saved
@dataclass(frozen=True)
class EachStep(_EachStep):
    """Steps that are independent given z: log p(x|z) = sum over t within the length of log p(x_t | out_t).

    Parameters
    ----------
    likelihood : Likelihood
        Of one step.
    n_steps, n_features : int
        T and D.
    ragged : bool
        Whether rows end in their length.

    Examples
    --------
    >>> from minivae.distributions import Bernoulli
    >>> steps = EachStep(Bernoulli(), n_steps=3, n_features=1, ragged=True)
    >>> x = np.array([[1.0, 1.0, 0.0, 2.0]])  # two steps count
    >>> (steps.log_prob(steps.init(), np.zeros((1, 3)), x) / np.log(2)).round(6)
    array([-2.])
    """

    likelihood: Likelihood
    n_steps: int
    n_features: int
    ragged: bool = False

    @property
    def n_params(self) -> int:
        """Those of the likelihood of a step."""
        return self.likelihood.n_params

    def init(self, rng: np.random.Generator | None = None, dtype: Any = np.float64) -> Array:
        """Return the initial parameters of the likelihood of a step."""
        return self.likelihood.init(rng, dtype)  # type: ignore[arg-type]

    def named(self, params: Array) -> Iterator[tuple[str, Array]]:
        """Yield the names and views of the likelihood of a step."""
        return self.likelihood.named(params)

    def n_out(self, n_x: int) -> int:
        """Return what the decoder gives for all steps, for rows of the width that the steps have."""
        _hold_width(n_x, self.n_x)
        return self.n_steps * self.likelihood.n_out(self.n_features)

    def out_at_mean(self, x: Array) -> Array:
        """Return the output under which each step has its own mean, of all rows, or of those that are long enough."""
        x = checks.data(x, self.n_x)
        steps, mask = self._steps(x)
        steps = steps.reshape(len(x), self.n_steps, -1)
        parts = []
        for t in range(self.n_steps):
            some = steps[:, t] if mask is None or not mask[:, t].any() else steps[mask[:, t] != 0, t]
            parts.append(self.likelihood.out_at_mean(some))
        return np.concatenate(parts)

    def forward(self, params: Array, out: Array, x: Array) -> tuple[Array, Any]:
        """Return log p(x|z), shape (R,), and the cache."""
        return self._score(params, *self._look(out, x, self.n_out(self.n_x)))

    def log_prob(self, params: Array, out: Array, x: Array) -> Array:
        """Return log p(x|z), shape (R,)."""
        return self.forward(params, out, x)[0]

    def backward(self, params: Array, cache: Any, dlog_prob: Array, grads: Array) -> Array:
        """Overwrite ``grads`` and return dout, shape (R, n_out)."""
        return self._score_backward(params, cache, dlog_prob, grads)

    def mean(self, params: Array, out: Array) -> Array:
        """Return E[x|z] of all steps, shape (R, n_x)."""
        out = checks.look(out, "out", (None, self.n_out(self.n_x)))
        each = self.likelihood.mean(params, out.reshape(len(out) * self.n_steps, -1))
        return self._rows(each.reshape(len(out), -1))

    def sample(self, params: Array, out: Array, rng: np.random.Generator) -> Array:
        """Draw all steps."""
        out = checks.look(out, "out", (None, self.n_out(self.n_x)))
        each = self.likelihood.sample(params, out.reshape(len(out) * self.n_steps, -1), rng)
        return self._rows(each.reshape(len(out), -1))


@saved
@dataclass(frozen=True)
class TeacherForced(_EachStep):
    """Each step given z and the steps before it: log p(x|z) = sum_t log p(x_t | x_1 .. x_{t-1}, c), with c made of z.

    A network reads, at step t, the step before it (zero at first) beside c, and gives the output for step t. In
    training it is shown the true steps, whatever it would have said itself; so it can do without c, and z may collapse.
    Words that are dropped, shown as zero, make it ask c again.

    Parameters
    ----------
    network : Sequential
        From rows of T (D + C) numbers to rows of T n; step t sees steps up to t only, as a recurrent layer does.
    likelihood : Likelihood
        Of one step.
    n_steps, n_features, n_context : int
        T, D and C; the decoder gives c.
    ragged : bool

    References
    ----------
    S. Bowman et al., "Generating sentences from a continuous space", 2016.

    Examples
    --------
    >>> from minivae.distributions import Bernoulli
    >>> from minivae.nn import GRU, Dense, Steps
    >>> network = Sequential([GRU(4, 1 + 2, 8, "all"), Steps(Sequential([Dense(8, 1)]), 4)])
    >>> forced = TeacherForced(network, Bernoulli(), n_steps=4, n_features=1, n_context=2)
    >>> params, c = forced.init(np.random.default_rng(0)), np.zeros((3, 2))
    >>> forced.log_prob(params, c, np.ones((3, 4))).shape
    (3,)
    """

    network: Sequential
    likelihood: Likelihood
    n_steps: int
    n_features: int
    n_context: int
    ragged: bool = False

    _kept = None  # which of the steps before are shown, (R, T) of zeros and ones; all unless said by ``dropping``

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.width(self.n_context, "n_context")
        checks.has(self.network, ("flat_layers", "backward"), "network", "a Sequential", "Sequential([...])")
        wanted = (
            self.n_steps * (self.n_features + self.n_context),
            self.n_steps * self.likelihood.n_out(self.n_features),
        )
        if n_noise([self.network]):
            raise ValueError("network must hold no Dropout, got some. Drop words: SequenceVAE has word_dropout.")
        if (self.network.n_in, self.network.n_out) != wanted:
            raise ValueError(
                f"network must take {wanted[0]} values, a step and its context {self.n_steps} times, and give "
                f"{wanted[1]}, got {self.network.n_in} and {self.network.n_out}. Change its layers."
            )

    @property
    def n_params(self) -> int:
        """Those of the network, and of the likelihood of a step."""
        return self.network.n_params + self.likelihood.n_params

    def init(self, rng: np.random.Generator, dtype: Any = np.float64) -> Array:
        """Return the initial parameters of both."""
        return np.concatenate([self.network.init(rng, dtype), self.likelihood.init(rng, dtype)])

    def named(self, params: Array) -> Iterator[tuple[str, Array]]:
        """Yield the names and views of both."""
        network, own = self._halves(params)
        for name, view in self.network.named(network):
            yield f"network.{name}", view
        yield from self.likelihood.named(own)

    def _halves(self, flat: Array) -> tuple[Array, Array]:
        checks.parameters(flat, self.n_params)
        return flat[: self.network.n_params], flat[self.network.n_params :]

    def n_out(self, n_x: int) -> int:
        """Return C, for rows of the width that the steps have."""
        _hold_width(n_x, self.n_x)
        return self.n_context

    def out_at_mean(self, x: Array) -> Array:
        """Return zeros: what the steps are depends on the network."""
        checks.data(x, self.n_x)
        return np.zeros(self.n_context)

    def dropping(self, kept: Array) -> "TeacherForced":
        """Return the likelihood that is shown, of the steps before, those only where ``kept``, (R, T), is one."""
        shown = copy.copy(self)
        object.__setattr__(shown, "_kept", checks.look(kept, "kept", (None, self.n_steps)))
        return shown

    def forward(self, params: Array, out: Array, x: Array) -> tuple[Array, Any]:
        """Return log p(x|z), shape (R,), and the cache."""
        out, x = self._look(out, x, self.n_context)
        network, own = self._halves(params)
        said, caches = self.network.forward(network, self._seen(out, x))
        log_prob, cache = self._score(own, said, x)
        return log_prob, (caches, cache)

    def _seen(self, out: Array, x: Array) -> Array:
        """Return what the network reads: the step before, and the context, at every step, shape (R, T (D + C))."""
        T, D, R = self.n_steps, self.n_features, len(out)
        seen = np.zeros((R, T, D + self.n_context), out.dtype)
        before = x[:, : (T - 1) * D].reshape(len(x), T - 1, D)
        seen[:, 1:, :D] = np.tile(before, (R // len(x), 1, 1))
        if self._kept is not None:
            seen[:, 1:, :D] *= self._kept[:, :-1, None]
        seen[:, :, D:] = out[:, None]
        return seen.reshape(R, -1)

    def log_prob(self, params: Array, out: Array, x: Array) -> Array:
        """Return log p(x|z), shape (R,)."""
        return self.forward(params, out, x)[0]

    def backward(self, params: Array, cache: Any, dlog_prob: Array, grads: Array) -> Array:
        """Overwrite ``grads`` and return dout, shape (R, C)."""
        (network, own), (caches, inner) = self._halves(params), cache
        checks.place(grads, self.n_params, params.dtype)
        dnetwork, down = self._halves(grads)
        dsaid = self._score_backward(own, inner, dlog_prob, down)
        dseen = self.network.backward(network, caches, dsaid, dnetwork, need_dx=True)
        assert dseen is not None
        return dseen.reshape(len(dlog_prob), self.n_steps, -1)[:, :, self.n_features :].sum(axis=1)

    def mean(self, params: Array, out: Array) -> Array:
        """Return steps, shape (R, n_x), each the mean given the means before it: the network's own way, no noise."""
        own = self._halves(params)[1]
        return self._run(params, out, lambda said: self.likelihood.mean(own, said))

    def sample(self, params: Array, out: Array, rng: np.random.Generator) -> Array:
        """Draw each step given those that were drawn before it."""
        own, rng = self._halves(params)[1], checks.generator(rng)
        return self._run(params, out, lambda said: self.likelihood.sample(own, said, rng))

    def _run(self, params: Array, out: Any, say: Any) -> Array:
        """Let the network read what it says, step by step; it is run anew for each, which keeps no state about."""
        out = checks.look(out, "out", (None, self.n_context))
        network, T, D = self._halves(params)[0], self.n_steps, self.n_features
        steps = np.zeros((len(out), T * D), out.dtype)
        for t in range(T):
            said, _ = self.network.forward(network, self._seen(out, steps))
            now = np.ascontiguousarray(said.reshape(len(out), T, -1)[:, t])
            steps[:, t * D : (t + 1) * D] = say(now)
        return self._rows(steps)


def _hold_width(n_x: Any, wanted: int) -> None:
    if checks.width(n_x, "n_x") != wanted:
        raise ValueError(
            f"n_x must be {wanted}, the steps of a row and their features, got {n_x}. Build another for it."
        )
