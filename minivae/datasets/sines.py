"""Sequences whose factors are known: sines with an amplitude, a number of cycles, a phase, and noise."""

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array

N_STEPS = 24
NOISE = 0.1  # standard deviation
_SHORTEST = 12


def sines(n: int, rng: np.random.Generator, *, ragged: bool = False) -> tuple[Array, dict[str, Array]]:
    """Return n sequences of 24 steps of one number, and the factors that each was made of.

        x_t = amplitude sin(2 pi (cycles t / 24 + phase)) + 0.1 noise_t,   t = 0 .. 23

    with an amplitude in [0.5, 1.5], cycles in [1, 4) and a phase in [0, 1), all uniform and independent, and standard
    normal noise: of a model that knows the factors, log p(x) is -24 (log(0.1) + (1 + log 2 pi) / 2) = 21.2 nats a row.

    Parameters
    ----------
    n : int
    rng : numpy.random.Generator
    ragged : bool
        Give each row a length, 12 to 24 steps, as its last number; beyond it x is zero.

    Returns
    -------
    x : array of shape (n, 24), or (n, 25)
    factors : dict of arrays of shape (n,)
        amplitude, cycles, phase, and length where ragged.

    Examples
    --------
    >>> x, factors = sines(3, np.random.default_rng(0), ragged=True)
    >>> x.shape, sorted(factors)
    ((3, 25), ['amplitude', 'cycles', 'length', 'phase'])
    """
    n, rng = checks.width(n, "n"), checks.generator(rng)
    checks.size(n * (N_STEPS + 1), "n", n)
    ragged = checks.flag(ragged, "ragged")
    t = np.arange(N_STEPS)
    factors: dict[str, Array] = {"amplitude": 0.5 + rng.random(n), "cycles": 1 + 3 * rng.random(n)}
    factors["phase"] = rng.random(n)
    turns = factors["cycles"][:, None] * t / N_STEPS + factors["phase"][:, None]
    x: Array = factors["amplitude"][:, None] * np.sin(2 * np.pi * turns) + NOISE * rng.standard_normal((n, N_STEPS))
    if not ragged:
        return x, factors
    factors["length"] = rng.integers(_SHORTEST, N_STEPS + 1, n).astype(np.float64)
    x = np.where(t < factors["length"][:, None], x, 0)
    return np.concatenate([x, factors["length"][:, None]], axis=1), factors
