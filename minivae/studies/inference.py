"""What ``minivae infer`` does: approximate posteriors beside the exact one, error against evaluations and time."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from minivae.classical.bayesian_linear import BayesianLinear
from minivae.classical.cavi import (
    LinearFactors,
    NormalGammaFactors,
    cavi_linear,
    cavi_normal,
    mean_field_linear,
    mean_field_normal,
)
from minivae.classical.chain_diagnostics import effective_sample_size, split_r_hat
from minivae.classical.laplace_approximation import laplace
from minivae.classical.mcmc import Chains, hamiltonian, random_walk
from minivae.classical.normal_gamma import NormalGamma, UnknownNormal
from minivae.classical.stochastic_gradient_vb import sgvb
from minivae.core import checks
from minivae.core.arrays import Array
from minivae.core.seeds import Stream, stream
from minivae.studies import plots

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Moments = tuple[Array, Array]
T = TypeVar("T")
_CHAINS = 10
_LEAPFROG = 6  # steps a path
_WALK, _PATH = {"regression": 0.35, "normal": 0.7}, {"regression": 0.16, "normal": 0.2}  # steps of the chains
_ESTIMATORS = ("path", "score")
_FLOOR = 1e-8  # smaller errors are drawn here


@dataclass(frozen=True)
class InferenceTrace:
    """One method on one problem: its error as it goes.

    Attributes
    ----------
    problem, method : str
    evaluations : array of shape (n,)
        Of log p(x, z), its slope or its curvature at one z; an update of one factor by CAVI counts as one.
    seconds : array of shape (n,)
    mean_error : array of shape (n,)
        Largest error of a posterior mean, in posterior standard deviations.
    variance_error : array of shape (n,)
        Largest error of a posterior variance, as a share of it.
    limit : tuple of float
        The two errors where the method ends, in closed form.
    ess, r_hat : float or None
        Of chains: the least effective sample size of a coordinate, the largest split R-hat.
    """

    problem: str
    method: str
    evaluations: Array
    seconds: Array
    mean_error: Array
    variance_error: Array
    limit: tuple[float, float]
    ess: float | None = None
    r_hat: float | None = None

    def row(self) -> dict[str, Any]:
        """Return the end of it as a row of the table, exact beside found."""
        return {
            "problem": self.problem,
            "method": self.method,
            "mean_error": float(self.mean_error[-1]),
            "exact_mean_error": self.limit[0],
            "variance_error": float(self.variance_error[-1]),
            "exact_variance_error": self.limit[1],
            "evaluations": int(self.evaluations[-1]),
            "seconds": float(self.seconds[-1]),
            "ess": self.ess,
            "r_hat": self.r_hat,
        }


def inference_problems() -> dict[str, BayesianLinear | UnknownNormal]:
    """Return two models with their data whose posteriors are known: a regression, and a normal with both unknown.

    >>> {name: round(model.log_evidence, 6) for name, model in inference_problems().items()}
    {'regression': -4.773858, 'normal': -8.021653}
    """
    features = np.stack([np.ones(4), np.array([0.5, 1.5, 2.0, 3.0])], axis=1)
    return {
        "regression": BayesianLinear(features, np.array([1.0, 2.0, 2.2, 3.5]), 4.0, 0.5),
        "normal": UnknownNormal(np.array([1.2, -0.4, 0.7, 2.1, 0.3]), NormalGamma(0.0, 1.0, 2.0, 1.0)),
    }


def compare_inference(seed: int = 0, n_draws: int = 4000, n_steps: int = 2000) -> list[InferenceTrace]:
    """Run every method on both problems.

    Parameters
    ----------
    seed : int
    n_draws : int
        Moves of each of 10 chains of Metropolis, of which the first tenth is left out; a sixth as many paths of
        Hamiltonian Monte Carlo, each with as many steps.
    n_steps : int
        Steps of SGVB, of 20 draws each.

    Examples
    --------
    >>> found = compare_inference(n_draws=100, n_steps=20)
    >>> found[0].problem, found[0].method, [round(error, 6) for error in found[0].limit]  # variance: rho^2 is missing
    ('regression', 'CAVI', [0.0, 0.760242])
    """
    checks.seed(seed)
    n_draws, n_steps = checks.width(n_draws, "n_draws"), checks.width(n_steps, "n_steps")
    if n_draws < 10 * _LEAPFROG:
        raise ValueError(f"n_draws must be at least {10 * _LEAPFROG}, got {n_draws}. Raise it.")
    traces = []
    for i, (name, model) in enumerate(inference_problems().items()):
        for estimator in _ESTIMATORS:  # loads the kernels and what the moments need, which are no part of the time
            sgvb(model, np.random.default_rng(0), estimator, n_steps=1)
        start, rngs = np.zeros((_CHAINS, 2)), [stream(seed, Stream.INFERENCE, i, j) for j in range(4)]
        traces += [_cavi(name, model), _laplace(name, model)]
        chains, seconds = _timed(partial(random_walk, model, start, _WALK[name], n_draws, rngs[0]))
        traces.append(_of_chains(name, "Metropolis", model, chains, seconds))
        n_paths = -(-n_draws // _LEAPFROG)  # of as many evaluations, nearly
        chains, seconds = _timed(partial(hamiltonian, model, start, _PATH[name], _LEAPFROG, n_paths, rngs[1]))
        traces.append(_of_chains(name, "Hamiltonian", model, chains, seconds))
        for rng, estimator in zip(rngs[2:], _ESTIMATORS, strict=True):
            traces.append(_sgvb(name, model, estimator, n_steps, rng))
    return traces


def inference_figure(traces: Sequence[InferenceTrace]) -> "Figure":
    """Draw error against evaluations and seconds, a row for each problem; errors below 1e-8 are drawn there."""
    problems = list(dict.fromkeys(trace.problem for trace in traces))
    figure = plots.figure_of(9.6, 3.5 * len(problems) + 0.6)
    panels = figure.subplots(len(problems), 2, squeeze=False, sharey="row")
    methods = list(dict.fromkeys(trace.method for trace in traces))
    for (left, right), problem in zip(panels, problems, strict=True):
        for trace in (trace for trace in traces if trace.problem == problem):
            error = np.maximum(np.maximum(trace.mean_error, trace.variance_error), _FLOOR)
            k = methods.index(trace.method)
            look: dict[str, Any] = {"color": plots.COLORS[k], "marker": "osD^vP"[k % 6], "ms": 3.5, "lw": 1.3}
            left.loglog(trace.evaluations, error, label=trace.method, **look)
            right.loglog(trace.seconds, error, **look)
        left.set(title=f"{problem}: error against evaluations", xlabel="evaluations of log p(x, z) or its slope")
        left.set(ylabel="largest error of a mean [sd]\nor of a variance [share]")
        right.set(title=f"{problem}: error against time", xlabel="seconds")
        for axes in (left, right):
            axes.grid(alpha=0.3)
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=6, frameon=False)
    return figure


def _cavi(name: str, model: Any) -> InferenceTrace:
    linear = isinstance(model, BayesianLinear)
    steps: Iterator[LinearFactors | NormalGammaFactors] = cavi_linear(model) if linear else cavi_normal(model)
    end = mean_field_linear(model) if linear else mean_field_normal(model)
    n = 120 if linear else 15
    found, seconds = _timed(lambda: [next(steps).moments for _ in range(n)])
    ends = np.unique(np.geomspace(1, n - 1, 20).astype(int))
    return _trace(name, "CAVI", model, [found[t] for t in ends], 2.0 * ends, seconds, end.moments)


def _laplace(name: str, model: Any) -> InferenceTrace:
    found, seconds = _timed(lambda: laplace(model, np.zeros(2)))
    inverse = np.linalg.inv(-model.curvature(found.path))
    moments = [(z, np.abs(np.diag(C))) for z, C in zip(found.path, inverse, strict=True)]
    evaluations = np.linspace(1, found.n_evaluations, len(moments))
    end = model.moments if isinstance(model, BayesianLinear) else model.posterior.laplace_moments
    return _trace(name, "Laplace", model, moments, evaluations, seconds, end)


def _of_chains(name: str, method: str, model: Any, chains: Chains, seconds: float) -> InferenceTrace:
    n = len(chains.draws)
    ends = np.unique(np.geomspace(4, n, 24).astype(int))
    parts = [chains.draws[end // 10 : end].reshape(-1, 2) for end in ends]
    moments = [(part.mean(axis=0), part.var(axis=0)) for part in parts]
    kept = chains.draws[n // 10 :]
    ess, r_hat = float(effective_sample_size(kept).min()), float(split_r_hat(kept).max())
    evaluations = chains.n_evaluations * ends / n
    return _trace(name, method, model, moments, evaluations, seconds, model.moments, ess, r_hat)


def _sgvb(name: str, model: Any, estimator: str, n_steps: int, rng: np.random.Generator) -> InferenceTrace:
    found, seconds = _timed(lambda: sgvb(model, rng, estimator, n_steps=n_steps))
    ends = np.unique(np.geomspace(1, n_steps, 40).astype(int))
    moments = [(found.means[t], found.variances[t]) for t in ends]
    end = model.moments if isinstance(model, BayesianLinear) else model.posterior.best_gaussian
    return _trace(name, f"SGVB, {estimator}", model, moments, found.n_evaluations * ends / n_steps, seconds, end)


def _trace(
    name: str,
    method: str,
    model: Any,
    moments: Sequence[Moments],
    evaluations: Array,
    seconds: float,
    end: Moments,
    ess: float | None = None,
    r_hat: float | None = None,
) -> InferenceTrace:
    """Return the trace of a method: the time of all of it is shared out by the evaluations."""
    errors = np.array([_errors(found, model.moments) for found in moments])
    evaluations = np.asarray(evaluations, float)
    shares = evaluations / evaluations[-1]
    limit = _errors(end, model.moments)
    return InferenceTrace(name, method, evaluations, seconds * shares, errors[:, 0], errors[:, 1], limit, ess, r_hat)


def _errors(found: Moments, exact: Moments) -> tuple[float, float]:
    """Return the largest error of a mean, in standard deviations, and of a variance, as a share of it."""
    mean = np.abs(found[0] - exact[0]) / np.sqrt(exact[1])
    return float(mean.max()), float(np.abs(found[1] / exact[1] - 1).max())


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    start = time.perf_counter()
    return work(), time.perf_counter() - start
