"""Annealed importance sampling: log p(x) by chains that walk from the prior to the posterior, as a judge of the others.

A chain starts at z ~ p(z) and goes through the distributions

    f_b(z) = p(z) p(x|z)^b,   b = b_0 < b_1 < ... < b_N,   b_0 = 0 (the prior), b_N = 1 (the posterior, unnormalised).

At each it collects (b_n - b_(n-1)) log p(x|z), then takes a step of Hamiltonian Monte Carlo that leaves f_(b_n) as it
is: a momentum is drawn, z follows the slope d log f_b / dz by leapfrog steps, and the end is accepted or refused so
that the discretisation makes no error. What was collected is the log of a weight whose expectation is p(x), exactly,
however few the temperatures and however bad the steps; with more of both it varies less.

The encoder plays no part in it: so it judges bounds that rest on the encoder.

References
----------
R. Neal, "Annealed importance sampling", 2001; "MCMC using Hamiltonian dynamics", 2011.
Y. Wu, Y. Burda, R. Salakhutdinov, R. Grosse, "On the quantitative analysis of decoder-based generative models", 2017.
"""

from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array
from minivae.core.parallel import for_each_chunk, row_chunks
from minivae.core.seeds import Stream, stream
from minivae.models.base import Quantity, Variational, quantity
from minivae.models.bounds import DRAWS_AT_ONCE, LogMarginal, RunningWeights, speak_of_weights, warn_if_collapsed

_ACCEPT = 0.8  # the share of accepted steps that step sizes are set for
_PILOT_CHAINS, _PILOT_TEMPERATURES, _PILOT_MOVES = 8, 60, 3
_POWER = 3  # temperatures (n / N)^3: close together at the prior, where log p(x|z) varies most


@dataclass(frozen=True)
class AnnealedMarginal(LogMarginal):
    """Log p(x) of each example by annealing.

    Attributes
    ----------
    log_p : array of shape (B,)
        log of the chains' mean weight in nats; in expectation at most log p(x).
    ess : array of shape (B,)
        Effective sample size of the chains, between 1 and their number.
    n_draws : int
        Number of chains.
    acceptance : array of shape (B,)
        The share of steps that were accepted; step sizes aim at 0.8.
    """

    acceptance: Array


def temperatures(n: int) -> Array:
    """Return the exponents b_0 = 0 < ... < b_n = 1 of the likelihood, shape (n + 1,).

    >>> temperatures(2)
    array([0.   , 0.125, 1.   ])
    """
    return np.linspace(0, 1, checks.width(n, "n") + 1) ** _POWER


@dataclass(frozen=True)
class Position:
    """K chains of B examples: z of shape (K, B, L), log p(z) and log p(x|z) there, (K, B), and their slopes in z."""

    z: Array
    log_prior: Array
    log_lik: Array
    dprior: Array
    dlik: Array

    def log_f(self, b: float) -> Array:
        """Return log f_b = log p(z) + b log p(x|z)."""
        return self.log_prior + self.log_prior.dtype.type(b) * self.log_lik

    def slope(self, b: float) -> Array:
        """Return d log f_b / dz."""
        return self.dprior + self.dprior.dtype.type(b) * self.dlik

    def where(self, chosen: Array, other: "Position") -> "Position":
        """Return this position in the chosen chains, and the other one elsewhere."""
        wide = chosen[:, :, None]
        return Position(
            np.where(wide, self.z, other.z),
            np.where(chosen, self.log_prior, other.log_prior),
            np.where(chosen, self.log_lik, other.log_lik),
            np.where(wide, self.dprior, other.dprior),
            np.where(wide, self.dlik, other.dlik),
        )


class Joint:
    """log p(z) and log p(x|z) of some examples as functions of z, with their slopes by the hand-written backward."""

    def __init__(self, model: Any, params: Array, x: Array) -> None:
        self.model, self.x = model, x
        *_, self.decoder, self.likelihood = model.unpack(params)
        self.prior = model.prior_params(params)

    def at(self, z: Array) -> Position:
        """Return what is known at z, shape (K, B, L)."""
        model, shape = self.model, z.shape[:2]
        ones = np.ones(shape, z.dtype)
        log_prior = model.prior.log_prob(self.prior, z)
        dprior = model.prior.backward(self.prior, z, ones, np.empty_like(self.prior))
        out, decoder_cache = model.decoder.forward(self.decoder, z.reshape(-1, z.shape[2]))
        log_lik, cache = model.likelihood.forward(self.likelihood, out, self.x)
        dout = model.likelihood.backward(self.likelihood, cache, ones.ravel(), np.empty_like(self.likelihood))
        dlik = cast(Array, model.decoder.backward(self.decoder, decoder_cache, dout, None))
        return Position(z, log_prior, log_lik.reshape(shape), dprior, dlik.reshape(z.shape))

    def start(self, n_chains: int, rng: np.random.Generator) -> Position:
        """Return draws of the prior."""
        z = self.model.prior.sample(self.prior, n_chains * len(self.x), rng)
        return self.at(z.reshape(n_chains, len(self.x), -1))


def leapfrog(
    joint: Joint, here: Position, momentum: Array, b: float, step: Array, n_steps: int
) -> tuple[Position, Array]:
    """Return where z and the momentum are after n_steps of size ``step``, shape (B,).

    Half a step of the momentum along d log f_b / dz, a step of z along the momentum, half a step of the momentum: from
    the end, with the momentum turned round, the same steps lead back.
    """
    step = step.astype(momentum.dtype)[:, None]
    momentum = momentum + step / 2 * here.slope(b)
    for i in range(n_steps):
        here = joint.at(here.z + step * momentum)
        momentum = momentum + (step if i < n_steps - 1 else step / 2) * here.slope(b)
    return here, momentum


def move(
    joint: Joint, here: Position, b: float, step: Array, n_steps: int, rng: np.random.Generator
) -> tuple[Position, Array]:
    """Take one step of Hamiltonian Monte Carlo; return the new position, and the probability that it was accepted.

    The end is accepted with probability min(1, exp(change of log f_b - |momentum|^2 / 2)); an end that is not finite is
    refused. f_b stays as it is.
    """
    momentum = rng.standard_normal(here.z.shape, here.z.dtype)
    step = step * rng.uniform(0.8, 1.2)  # no orbit closes for every size
    there, turned = leapfrog(joint, here, momentum, b, step, n_steps)
    energy = 0.5 * np.sum(turned**2 - momentum**2, axis=2)
    gain = there.log_f(b) - here.log_f(b) - energy  # (K, B)
    accepted = -rng.standard_exponential(gain.shape) < gain  # log u < gain; NaN is refused
    rate = np.where(np.isnan(gain), 0.0, np.exp(np.minimum(gain, 0.0)))
    return there.where(accepted, here), rate


def _step_sizes(joint: Joint, ladder: Array, n_steps: int, rng: np.random.Generator) -> Array:
    """Return step sizes for each temperature of a ladder and each example, set by chains that are then forgotten."""
    here = joint.start(_PILOT_CHAINS, rng)
    log_step = np.full(len(joint.x), np.log(0.5))
    steps = np.empty((len(ladder), len(joint.x)))
    for i, b in enumerate(ladder):
        for _ in range(_PILOT_MOVES if i else 4 * _PILOT_MOVES):
            here, rate = move(joint, here, b, np.exp(log_step), n_steps, rng)
            log_step = np.minimum(log_step + 0.4 * (rate.mean(axis=0) - _ACCEPT), np.log(2.0))
        steps[i] = np.exp(log_step)
    return steps


def annealed_log_marginal(
    model: Variational,
    params: Array,
    x: Any,
    n_temperatures: int,
    rng: np.random.Generator,
    *,
    n_chains: int = 16,
    n_leapfrog: int = 10,
) -> AnnealedMarginal:
    """Estimate log p(x) of each example by annealed importance sampling from the prior to the posterior.

        log p(x) ~ log (1/K) sum_k w_k,   log w_k = sum_n (b_n - b_(n-1)) log p(x|z_k,n-1)

    E[w] = p(x) whatever the settings, so that in expectation log_p is at most log p(x). With one temperature it is
    plain Monte Carlo over the prior. The encoder is not used. Memory does not grow with the chains or the examples.

    Parameters
    ----------
    model, params
        The model, whose z must be real, and its flat parameters.
    x : array of shape (B, n_x)
    n_temperatures : int
        N: steps from the prior to the posterior. 1,000 is usual; twice as many say whether it was enough.
    rng : numpy.random.Generator
    n_chains : int
        K, for each example.
    n_leapfrog : int
        Leapfrog steps a temperature; 1 is a Langevin step.

    Returns
    -------
    AnnealedMarginal

    Raises
    ------
    ValueError
        If z is not real: then ``model.log_prob`` enumerates, or ``log_marginal`` estimates.

    Warns
    -----
    CollapsedWeightsWarning
        If one chain makes nearly all of the estimate.

    Examples
    --------
    >>> from minivae import VAE, Gaussian
    >>> model = VAE.mlp(n_x=1, n_latent=1, n_hidden=[], likelihood=Gaussian())
    >>> params = np.zeros(model.n_params)
    >>> dict(model.named(params))["decoder.0.weight"][:] = 1  # p(x) = N(0, 2)
    >>> found = annealed_log_marginal(model, params, np.ones((1, 1)), 100, np.random.default_rng(0))
    >>> bool(abs(found.log_p.item() + 1.5155121235) < 0.05)
    True
    """
    what = "a model whose code is a distribution"
    checks.has(model, ("draw", "posterior", "prior"), "model", what, "VAE.mlp(n_x=4, n_latent=2)")
    checks.parameters_of(model, params)
    x = model.check_data(x, dtype=params.dtype)
    n_temperatures = checks.width(n_temperatures, "n_temperatures")
    n_chains, n_leapfrog = checks.width(n_chains, "n_chains"), checks.width(n_leapfrog, "n_leapfrog")
    if not model.posterior.has_path:
        raise ValueError(
            f"posterior must be of real z, whose slope leads from the prior to the posterior, got "
            f"{type(model.posterior).__name__}. Enumerate by model.log_prob, or draw by log_marginal."
        )
    log_p, ess, acceptance = np.empty(len(x)), np.empty(len(x)), np.ones(len(x))
    b = temperatures(n_temperatures)
    pilot = b[1:] if n_temperatures <= _PILOT_TEMPERATURES else temperatures(_PILOT_TEMPERATURES)[1:]

    def walk(rows: slice, rng: np.random.Generator) -> None:
        joint = Joint(model, params, x[rows])
        sums, accepted = RunningWeights(rows.stop - rows.start), np.zeros(rows.stop - rows.start)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # what runs off is refused
            steps = _step_sizes(joint, pilot, n_leapfrog, rng) if n_temperatures > 1 else pilot
            for first in range(0, n_chains, DRAWS_AT_ONCE):
                here = joint.start(min(DRAWS_AT_ONCE, n_chains - first), rng)
                log_w = np.zeros(here.log_lik.shape)
                for n in range(1, n_temperatures + 1):
                    log_w += (b[n] - b[n - 1]) * here.log_lik
                    if n < n_temperatures:  # a step at the last would change no weight
                        step = steps[np.searchsorted(pilot, b[n])]  # of the next temperature of the pilot
                        here, rate = move(joint, here, b[n], step, n_leapfrog, rng)
                        accepted += rate.sum(axis=0)
                sums.add(log_w)
        log_p[rows], ess[rows] = sums.log_mean(), sums.ess()
        if n_temperatures > 1:
            acceptance[rows] = accepted / ((n_temperatures - 1) * n_chains)

    for_each_chunk(walk, row_chunks(len(x), min(n_chains, DRAWS_AT_ONCE)), rng)
    speak_of_weights(log_p, n_chains, "prior")
    found = AnnealedMarginal(log_p, ess, n_chains, acceptance)
    warn_if_collapsed(found, f"Raise n_temperatures, now {n_temperatures}.", least=8)
    return found


def annealed_quantities(model: Any, params: Array, x: Any, n_temperatures: int, seed: int) -> list[Quantity]:
    """Return log p(x) by annealing, and how far it is to be trusted, as rows of a table."""
    found = annealed_log_marginal(model, params, x, n_temperatures, stream(seed, Stream.IMPORTANCE, 1))
    name = f"annealed, N={n_temperatures}, {found.n_draws} chains"
    density = model.likelihood.is_density(model.check_data(x, dtype=params.dtype))
    return [
        quantity(f"{'log p(x)' if density else 'cross-entropy bound'} {name}", found.log_p),
        quantity("effective sample size, annealed, smallest", float(found.ess.min()), "chains"),
        quantity("accepted steps, annealed", float(found.acceptance.mean()), "share"),
    ]
