"""The toy problems of the papers: a bit learns to make E[(b - t)^2] small, by each estimator's gradient.

With t below 1/2 the least cost is t^2, at b = 0; the two costs differ by 1 - 2 t, so that near 1/2 the gradient is all
but lost in noise: t = 0.45 [1]_ and t = 0.499 [2]_.

References
----------
.. [1] G. Tucker et al., "REBAR: low-variance, unbiased gradient estimates for discrete latent variable models", 2017.
.. [2] W. Grathwohl et al., "Backpropagation through the void", 2018.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array, sigmoid
from minivae.core.seeds import Stream, stream
from minivae.distributions.bits import Bits
from minivae.estimators.baselines import Centred
from minivae.estimators.codes import seen_at, squared_distance
from minivae.estimators.control import ControlNetwork, LearnedControl, controlled
from minivae.estimators.exact.codes import code_moments
from minivae.estimators.weights import ESTIMATORS
from minivae.nn.optim import Adam

TOYS = ("score", "nvil", "muprop", "disarm", "rebar", "relax", "straight-through", "gumbel-softmax")
_X = np.zeros((1, 1))


@dataclass(frozen=True)
class ToyRun:
    """How a bit learnt.

    Attributes
    ----------
    estimator : str
    steps : array of shape (n,)
        At which the rest was looked at.
    cost : array of shape (n,)
        E[(b - t)^2], exactly.
    variance : array of shape (n,)
        The exact variance of one draw of the estimator as it then was.
    """

    estimator: str
    steps: Array
    cost: Array
    variance: Array

    def arrived(self, t: float, share: float = 0.01) -> int | None:
        """Return the first look from which on the cost is within a share of the way to the best, or None."""
        best, start = min(t * t, (1 - t) ** 2), (t * t + (1 - t) ** 2) / 2
        near = self.cost - best <= share * (start - best)
        last = len(near) - int(np.argmin(near[::-1])) if not near.all() else 0
        return None if last == len(near) else int(self.steps[last])


def toy_run(
    estimator: str, t: float, n_steps: int = 5000, *, learning_rate: float = 0.01, every: int = 100, seed: int = 0
) -> ToyRun:
    """Descend E[(b - t)^2] from theta = 1/2 by one draw a step, with Adam for the logit and for what learns along.

    Parameters
    ----------
    estimator : str
        One that suits bits and draws singly.
    t : float
        Between 0 and 1, and not 1/2.
    n_steps : int
    learning_rate : float
        Of both.
    every : int
        Steps between looks.
    seed : int

    Examples
    --------
    >>> run = toy_run("disarm", 0.45, 1000, every=500)
    >>> run.cost.round(2), float(run.variance[0])  # at theta = 1/2 its two codes always differ: no noise
    (array([0.25, 0.21, 0.21]), 0.0)
    """
    row = ESTIMATORS.choose(estimator)
    checks.number(t, "t", low=0, closed=True, high=1)
    n_steps, every = checks.width(n_steps, "n_steps"), checks.width(every, "every")
    rng, cost, q = stream(seed, Stream.TOY_BITS), squared_distance(t), Bits(1)
    phi, grads = np.zeros(1), np.zeros(1)
    adam = Adam(learning_rate)
    state, rule, learnt = adam.init(phi), _rule(estimator, learning_rate), {}
    if rule is not None:
        learnt = rule.init(rng)
    mean = square = weight = 0.0  # NVIL's, decaying
    looked: list[tuple[int, float, float]] = []
    for step in range(n_steps + 1):
        known: Any = 0.0
        if rule is not None:
            known = rule.predict(learnt, _X)
        elif estimator == "nvil" and weight:
            known = Centred(mean / weight, float(np.sqrt(square / weight)))
        if step % every == 0:
            theta = float(sigmoid(phi)[0])
            moments = code_moments(estimator, cost, q, phi, baseline=known)
            assert moments is not None
            value = theta * (1 - t) ** 2 + (1 - theta) * t * t
            looked.append((step, value, float(moments.variance[0])))
        eps = q.draw_noise(rng, (1, 1), float)
        seen = seen_at(q, phi, eps, cost)
        f = float(seen.f[0, 0])
        if row.own is not None:
            grads[:] = row.own(seen, known, row.temperature or 1.0)[0, 0]
        else:
            c = known.c if isinstance(known, Centred) else 0.0
            grads[:] = (f - c) * seen.score[0, 0] / max(1.0, getattr(known, "spread", 1.0))
            square = 0.9 * square + 0.1 * (f - c) ** 2
            mean, weight = 0.9 * mean + 0.1 * f, 0.9 * weight + 0.1
        adam.update(phi, grads, state)
        if rule is not None:
            rule.update(learnt, _X, seen.f)
    steps, costs, variances = (np.array(column) for column in zip(*looked, strict=True))
    return ToyRun(estimator, steps, costs, variances)


def _rule(estimator: str, learning_rate: float) -> LearnedControl | None:
    if ESTIMATORS[estimator].own is not controlled:
        return None
    network = ControlNetwork(1, 1, 8) if estimator == "relax" else None
    return LearnedControl(network, Adam(learning_rate))
