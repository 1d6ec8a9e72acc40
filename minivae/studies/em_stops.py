"""Why EM stops at networks: the E-step's posterior, on a latent of one dimension where it can be drawn."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from minivae.classical.free_form import free_form_optimum
from minivae.classical.gaussian_form import decoder_joint, gaussian_ascent
from minivae.core import checks
from minivae.core.arrays import Array
from minivae.nn.sequential import Sequential, mlp
from minivae.studies import plots

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_VARIANCE = 0.05  # of the decoder


@dataclass(frozen=True)
class LatentPosterior:
    """p(z | x) of one decoder and one x, on a grid, beside the Gaussian with the highest ELBO.

    Attributes
    ----------
    decoder : str
    x : float
    z, exact, gaussian : array of shape (n,)
        The grid, and the two densities on it.
    gap : float
        log p(x) less the ELBO of the Gaussian, nats: 0 where the posterior is a Gaussian.
    """

    decoder: str
    x: float
    z: Array
    exact: Array
    gaussian: Array
    gap: float


def latent_posteriors(xs: Sequence[float] = (-0.5, 1.0, 1.9)) -> list[LatentPosterior]:
    """Return p(z | x) for z ~ N(0, 1) and x ~ N(f(z), 0.05): f linear, then f a network with two hidden units.

    The E-step of EM needs p(z | x). With f(z) = z it is a Gaussian for every x, its moments are formulas. With the
    network f(z) = tanh(2 z + 2) - tanh(2 z - 2) its normaliser int p(x | z) p(z) dz has no formula, and it has another
    form for each x: two hills, or a plateau.

    Parameters
    ----------
    xs : sequence of float
        Between -5 and 5.

    Examples
    --------
    >>> [(found.decoder, round(found.gap, 3) + 0.0) for found in latent_posteriors([1.0])]
    [('linear', 0.0), ('network', 0.699)]
    """
    xs = [checks.number(x, "xs", low=-5, high=5) for x in checks.real(xs, "xs", (None,)).tolist()]
    z = np.linspace(-6.0, 6.0, 2401)
    found = []
    for name, (network, params) in _decoders().items():
        for x in xs:
            log_joint = decoder_joint(
                lambda at, network=network, params=params: network.forward(params, at)[0], [x], _VARIANCE, z
            )
            exact = free_form_optimum(log_joint, z[1] - z[0])
            # from each hill, for there may be several
            tops = 1 + np.flatnonzero((np.diff(log_joint[:-1]) > 0) & (np.diff(log_joint[1:]) <= 0))
            ends = [
                next(itertools.islice(gaussian_ascent(z, log_joint, float(z[top]), 0.01, 0.3), 200, None))
                for top in tops
            ]
            best = max(ends, key=lambda end: end.elbo)
            density = np.exp(-0.5 * (z - best.mean) ** 2 / best.variance) / np.sqrt(2 * np.pi * best.variance)
            found.append(LatentPosterior(name, float(x), z, exact.q, density, exact.elbo - best.elbo))
    return found


def latent_posteriors_figure(posteriors: Sequence[LatentPosterior]) -> "Figure":
    """Draw p(z | x) and the best Gaussian, a row for each decoder and a column for each x."""
    decoders = list(dict.fromkeys(posterior.decoder for posterior in posteriors))
    n = len(posteriors) // len(decoders)
    figure = plots.figure_of(3.2 * n, 2.6 * len(decoders) + 0.5)
    panels = figure.subplots(len(decoders), n, squeeze=False, sharex=True)
    for axes, posterior in zip(panels.ravel(), posteriors, strict=True):
        axes.plot(posterior.z, posterior.exact, color=plots.COLORS[0], lw=1.8, label="p(z|x), exact")
        axes.plot(posterior.z, posterior.gaussian, color=plots.COLORS[3], lw=1.4, ls="--", label="best Gaussian")
        axes.set_title(f"{posterior.decoder}, x = {posterior.x:g}: gap {abs(posterior.gap):.3f} nats", fontsize=10)
        axes.set(xlabel="latent z", ylabel="density", xlim=(-3.5, 3.5))
        axes.grid(alpha=0.3)
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    return figure


def _decoders() -> dict[str, tuple[Sequential, Array]]:
    """Return f(z) = z, and f(z) = tanh(2 z + 2) - tanh(2 z - 2), each as a network with its parameters."""
    linear, bump = mlp([1, 1], "tanh"), mlp([1, 2, 1], "tanh")
    values = {"linear": [[1.0], [0.0]], "network": [[2.0, 2.0], [2.0, -2.0], [1.0, -1.0], [0.0]]}
    found: dict[str, tuple[Sequential, Array]] = {}
    for name, network in (("linear", linear), ("network", bump)):
        params = np.zeros(network.n_params)
        for (_, view), value in zip(network.named(params), values[name], strict=True):
            view.ravel()[:] = value
        found[name] = (network, params)
    return found
