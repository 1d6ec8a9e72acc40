"""Markov chains whose stationary distribution is the posterior: random-walk Metropolis, and Hamiltonian Monte Carlo.

References
----------
N. Metropolis et al., "Equation of state calculations by fast computing machines", 1953; R. M. Neal, "MCMC using
Hamiltonian dynamics", 2011.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from minivae.classical.joint import Joint, density, joint_of, slope_of
from minivae.core import checks
from minivae.core.arrays import Array

_MOVES_TO_JUDGE = 100


@dataclass(frozen=True)
class Chains:
    """Draws of several chains.

    Attributes
    ----------
    draws : array of shape (n, C, d)
        States after each move, of C chains.
    log_joint : array of shape (n, C)
        log p(x, z) at them.
    acceptance : array of shape (C,)
        The share of moves that were accepted.
    n_evaluations : int
        Values of log p(x, z) and of its slope that were taken, over all chains.
    """

    draws: Array
    log_joint: Array
    acceptance: Array
    n_evaluations: int

    def to_arviz(self) -> dict[str, dict[str, Array]]:
        """Return the draws as ArviZ reads them: its groups, each a dictionary of arrays of shape (C, n, ...).

        ``arviz.from_dict(**chains.to_arviz())`` makes its InferenceData, ``arviz.from_dict(chains.to_arviz())`` from
        version 1 on. The latents are ``z``; ``lp`` is log p(x, z).

        Examples
        --------
        >>> chains = Chains(np.zeros((100, 4, 2)), np.zeros((100, 4)), np.ones(4), 404)
        >>> groups = chains.to_arviz()
        >>> groups["posterior"]["z"].shape, groups["sample_stats"]["lp"].shape
        ((4, 100, 2), (4, 100))
        """
        draws, log_joint = self.draws.swapaxes(0, 1).copy(), self.log_joint.swapaxes(0, 1).copy()
        return {"posterior": {"z": draws}, "sample_stats": {"lp": log_joint}}


def random_walk(joint: Joint, start: Any, step: float, n_draws: int, rng: np.random.Generator) -> Chains:
    """Run random-walk Metropolis: z' = z + step eps, accepted with probability min(1, p(x, z') / p(x, z)).

    The best steps accept a quarter to a half of the moves.

    Parameters
    ----------
    joint : Joint
    start : array of shape (C, d)
        One row a chain.
    step : float
        Standard deviation of a proposal in each dimension.
    n_draws : int
        Moves of each chain.
    rng : numpy.random.Generator

    Raises
    ------
    ValueError
        If the density is 0 where a chain starts, or no move at all is accepted.

    Warns
    -----
    UserWarning
        If every one of 100 moves or more is accepted: the step is too small.

    Examples
    --------
    >>> from minivae.classical.bayesian_linear import BayesianLinear
    >>> model = BayesianLinear([[1.0]], [0.0], 1.0, 1.0)  # N(0, 1/2)
    >>> chains = random_walk(model, np.zeros((4, 1)), 1.7, 5000, np.random.default_rng(0))
    >>> chains.draws.shape, round(float(chains.draws.var()), 1), round(float(chains.acceptance.mean()), 1)
    ((5000, 4, 1), 0.5, 0.4)
    """
    z, value, n_draws, rng = _started(joint, start, n_draws, rng)
    step = checks.number(step, "step", low=0, high=1e100)
    moves = step * rng.standard_normal((n_draws, *z.shape))

    def propose(t: int, z: Array, value: Array) -> tuple[Array, Array, Array]:
        there = z + moves[t]
        log_joint = density(joint, there)
        return there, log_joint, log_joint - value

    return _run(propose, z, value, n_draws, rng, step, 1)


def leapfrog(joint: Joint, z: Array, momentum: Array, step: float, n_steps: int) -> tuple[Array, Array]:
    """Follow dz/dt = p, dp/dt = d log p(x, z) / dz for n_steps of a length: half a kick, drift, kick, ..., half a kick.

    The map keeps volume, is its own inverse after a flip of the momentum, and keeps the energy -log p(x, z) + |p|^2 / 2
    to O(step^2).

    Parameters
    ----------
    joint : Joint
    z, momentum : array of shape (C, d)
    step : float
    n_steps : int

    Returns
    -------
    z, momentum : array of shape (C, d)

    Examples
    --------
    >>> from minivae.classical.bayesian_linear import BayesianLinear
    >>> model = BayesianLinear([[1.0]], [0.0], 0.5, 0.5)  # N(0, 1): a circle
    >>> z, p = leapfrog(model, np.array([[1.0]]), np.array([[0.0]]), np.pi / 2000, 1000)
    >>> bool(abs(z.item()) < 1e-5), round(p.item(), 5)
    (True, -1.0)
    """
    joint_of(joint, "slope")
    z = checks.look(z, "z", (None, joint.n_latent), np.dtype(np.float64)).copy()
    momentum = checks.look(momentum, "momentum", z.shape, np.dtype(np.float64))
    step, n_steps = checks.number(step, "step", low=0, high=1e100), checks.width(n_steps, "n_steps")
    with np.errstate(over="ignore", invalid="ignore"):  # a path that leaves the numbers is refused at its end
        momentum = momentum + 0.5 * step * slope_of(joint, z)
        for i in range(n_steps):
            z += step * momentum
            momentum += (step if i < n_steps - 1 else 0.5 * step) * slope_of(joint, z)
    return z, momentum


def hamiltonian(
    joint: Joint, start: Any, step: float, n_leapfrog: int, n_draws: int, rng: np.random.Generator
) -> Chains:
    """Run Hamiltonian Monte Carlo: a new momentum N(0, I), a leapfrog path, accepted by the change of the energy.

        min(1, exp(log p(x, z') - |p'|^2 / 2 - log p(x, z) + |p|^2 / 2))

    Steps that accept some 0.8 of the paths are good; a path should be about a quarter of an orbit long. Each has a step
    of its own, between 0.9 and 1.1 of the one given, for paths of one length can come back to where they began.

    Parameters
    ----------
    joint : Joint
    start : array of shape (C, d)
        One row a chain.
    step : float
        Of the leapfrog.
    n_leapfrog : int
        Steps a path.
    n_draws : int
        Paths of each chain.
    rng : numpy.random.Generator

    Raises
    ------
    ValueError
        If the density is 0 where a chain starts, or no path at all is accepted.

    Warns
    -----
    UserWarning
        If every one of 100 paths or more is accepted: the step is smaller than it need be.

    Examples
    --------
    >>> from minivae.classical.bayesian_linear import BayesianLinear
    >>> model = BayesianLinear([[1.0]], [0.0], 1.0, 1.0)  # N(0, 1/2)
    >>> chains = hamiltonian(model, np.zeros((4, 1)), 0.8, 2, 2000, np.random.default_rng(0))
    >>> round(float(chains.draws.var()), 1), chains.n_evaluations  # of log p(x, z), and three slopes a path
    (0.5, 32004)
    """
    joint_of(joint, "slope")
    z, value, n_draws, rng = _started(joint, start, n_draws, rng)
    step, n_leapfrog = checks.number(step, "step", low=0, high=1e100), checks.width(n_leapfrog, "n_leapfrog")
    kicks, lengths = rng.standard_normal((n_draws, *z.shape)), step * rng.uniform(0.9, 1.1, n_draws)

    def propose(t: int, z: Array, value: Array) -> tuple[Array, Array, Array]:
        there, turned = leapfrog(joint, z, kicks[t], lengths[t], n_leapfrog)
        log_joint = density(joint, there)
        with np.errstate(over="ignore", invalid="ignore"):
            kinetic = 0.5 * (np.square(kicks[t]).sum(axis=1) - np.square(turned).sum(axis=1))
            return there, log_joint, log_joint - value + kinetic

    return _run(propose, z, value, n_draws, rng, step, n_leapfrog + 2)


def _started(joint: Any, start: Any, n_draws: int, rng: Any) -> tuple[Array, Array, int, np.random.Generator]:
    joint_of(joint)
    z = checks.real(start, "start", (None, joint.n_latent)).copy()
    n_draws, rng = checks.width(n_draws, "n_draws"), checks.generator(rng)
    checks.size(n_draws * z.size, "n_draws", n_draws)
    value = density(joint, z)
    if not np.isfinite(value).all():
        raise ValueError(
            f"start must have a finite log p(x, z), got {value[~np.isfinite(value)][0]} for a chain. Start elsewhere."
        )
    return z, value, n_draws, rng


def _run(
    propose: Callable[[int, Array, Array], tuple[Array, Array, Array]],
    z: Array,
    value: Array,
    n_draws: int,
    rng: np.random.Generator,
    step: float,
    cost: int,
) -> Chains:
    """Move the chains, each move accepted with probability min(1, exp(gain)); what is not finite is refused."""
    draws, values = np.empty((n_draws, *z.shape)), np.empty((n_draws, len(z)))
    accepted = np.zeros(len(z))
    thresholds = -rng.standard_exponential((n_draws, len(z)))  # log u
    for t in range(n_draws):
        there, log_joint, gain = propose(t, z, value)
        takes = thresholds[t] < gain  # a NaN is refused
        z, value = np.where(takes[:, None], there, z), np.where(takes, log_joint, value)
        draws[t], values[t] = z, value
        accepted += takes
    if not accepted.any():
        raise ValueError(
            f"step must let some moves be accepted, got {step:g}, with which none of {n_draws * len(z)} was. "
            f"Lower it{', or mend the slope' if cost > 1 else ''}."
        )
    if n_draws * len(z) >= _MOVES_TO_JUDGE and (accepted == n_draws).all():
        warnings.warn(
            f"all {n_draws * len(z)} moves were accepted: with step = {step:g} the chains move less than they could. "
            f"Raise it.",
            stacklevel=3,
        )
    return Chains(draws, values, accepted / n_draws, len(z) * (1 + cost * n_draws))
