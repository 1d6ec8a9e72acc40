"""Rate against distortion: a VAE trained at several betas, beside the exact curve of the linear one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from minivae.classical.rate_distortion import beta_vae_optimum, reverse_water_filling
from minivae.classical.subspaces import covariance, eigenpairs
from minivae.core import checks
from minivae.core.arrays import Array
from minivae.core.seeds import Stream, stream
from minivae.distributions.likelihoods import Gaussian
from minivae.estimators.objectives import Elbo
from minivae.models.vae import VAE
from minivae.studies import plots
from minivae.studies.quadrature_training import axis_nodes, minimise
from minivae.training.loop import train
from minivae.training.settings import Settings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TEST_DRAWS = 16


@dataclass(frozen=True)
class RatePoint:
    """Where a training at one beta ended, in nats and squared units per example.

    Attributes
    ----------
    beta, rate, distortion, objective : float
        Weight of the KL; mean KL; mean squared error of E[x|z] at draws of z, summed over the dimensions; -loss.
    linear_rate, linear_distortion, linear_objective : float
        The same of the best linear VAE, in closed form, for the covariance of the rows.
    """

    beta: float
    rate: float
    distortion: float
    objective: float
    linear_rate: float
    linear_distortion: float
    linear_objective: float


def rate_distortion(
    x: Any,
    betas: Sequence[float],
    *,
    s2: float,
    n_latent: int,
    n_hidden: Sequence[int] = (),
    settings: Settings | None = None,
    seed: int = 0,
) -> Iterator[RatePoint]:
    """Yield rate and distortion of a VAE with a Gaussian decoder of variance s2, trained at each beta.

    Without hidden layers the VAE is linear and trained without noise, by L-BFGS on quadrature nodes: it ends on the
    rate-distortion curve of a Gaussian, at the level beta s2, where no latent is lacking. Its loss depends on the rows'
    mean and covariance alone, so 2 n_x rows that have the same stand for all. With hidden layers it is trained as
    ``settings`` say, their beta replaced, on all rows.

    Parameters
    ----------
    x : array of shape (N, n_x)
    betas : sequence of float
        Each above 0.
    s2 : float
        Variance of the decoder, fixed.
    n_latent : int
    n_hidden : sequence of int
    settings : Settings, optional
        Of trainings with hidden layers.
    seed : int
        Of the initial parameters, and of the draws under which they are measured.

    Examples
    --------
    >>> x = np.array([[2.0, 1.0], [2.0, -1.0], [-2.0, 1.0], [-2.0, -1.0]])  # variances 4 and 1
    >>> for point in rate_distortion(x, [1.0, 4.0], s2=0.5, n_latent=2):
    ...     print(round(point.rate, 3), round(point.distortion, 3), round(point.linear_rate, 3))
    1.386 1.0 1.386
    0.347 3.0 0.347
    """
    x = checks.data(x, dtype=np.dtype(np.float64))
    betas = checks.real(betas, "betas", (None,)).tolist()
    for beta in betas:
        checks.number(beta, "betas", low=0)
    if settings is not None and not isinstance(settings, Settings):
        raise ValueError(f"settings must be Settings, got {checks.shown(settings)}. For example Settings(epochs=10).")
    settings = Settings(patience=None, epochs=200) if settings is None else settings
    s2 = checks.number(s2, "s2", low=0)
    values, _ = eigenpairs(covariance(x))
    hidden = checks.widths(n_hidden, "n_hidden")
    model = VAE.mlp(x.shape[1], checks.width(n_latent, "n_latent"), hidden, likelihood=Gaussian(s2))
    nodes, checked_seed = axis_nodes(n_latent), checks.seed(seed)
    for beta in betas:
        objective = Elbo(beta=beta)
        if hidden:
            how: dict[str, Any] = {"objective": objective, "dtype": "float64", "seed": checked_seed}
            params = train(model, x, settings=replace(settings, **how)).params
            eps = model.draw_noise(stream(checked_seed, Stream.TEST_NOISE), _TEST_DRAWS, len(x), params.dtype)
            terms = model.terms(params, x, eps=eps)
        else:
            few = alike_in_covariance(x)
            start = model.init(stream(checked_seed, Stream.LINEAR), x=few)
            params, _ = minimise(model, start, few, nodes, objective)
            terms = model.terms(params, few, eps=nodes[0], weights=nodes[1])
        log_lik, rate = float(terms.log_lik.mean()), float(terms.kl.mean())
        constant = 0.5 * x.shape[1] * np.log(2 * np.pi * s2)
        best = beta_vae_optimum(values, beta, min(n_latent, len(values)), s2)
        exact = best.rate, best.distortion, best.objective
        yield RatePoint(beta, rate, float(-2 * s2 * (log_lik + constant)), log_lik - beta * rate, *exact)


def alike_in_covariance(x: Array) -> Array:
    """Return 2 d rows with the mean and the 1/N covariance of x: mean +- sqrt(d lambda_j) u_j.

    >>> few = alike_in_covariance(np.array([[2.0, 1.0], [2.0, -1.0], [-2.0, 1.0], [-2.0, -1.0]]))
    >>> np.abs(few.T @ few / 4).round(12)
    array([[4., 0.],
           [0., 1.]])
    """
    values, vectors = eigenpairs(covariance(x))
    away = np.sqrt(len(values) * np.maximum(values, 0))[:, None] * vectors
    return np.ascontiguousarray(x.mean(axis=0) + np.concatenate([away, -away]))


def rate_distortion_figure(eigenvalues: Array, curves: dict[str, Sequence[RatePoint]]) -> "Figure":
    """Draw rate against distortion: points of trainings by their names, and the exact curve of the linear VAE."""
    values = checks.real(eigenvalues, "eigenvalues", (None,))
    levels = np.geomspace(1e-3 * values.max(), values.max(), 300)
    curve = np.array([reverse_water_filling(values, level) for level in levels])
    figure = plots.figure_of(5.6, 4.0)
    axes = figure.subplots()
    axes.plot(curve[:, 1], curve[:, 0], color="black", lw=1.2, label="linear, exact: reverse water-filling")
    for (name, points), color, marker in zip(curves.items(), plots.COLORS, "os^vD", strict=False):
        axes.plot([p.distortion for p in points], [p.rate for p in points], marker, color=color, label=name)
    highest = max((p.rate for points in curves.values() for p in points), default=float(curve[0, 0]))
    axes.set(ylim=(-0.05 * highest, 1.2 * highest), xlabel="distortion: squared error per example")
    axes.set(ylabel="rate: KL, nats per example", title="Each beta is one point of the trade")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return figure
