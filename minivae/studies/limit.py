"""How fast a VAE becomes an autoencoder as its noise and its KL vanish: the distance of their gradients.

With a fixed noise sigma in the code the expected gradient of the squared error expands in even powers of sigma,

    E_xi grad e(f(x) + sigma xi) = grad e(f(x)) + sigma^2/2 grad tr(d^2 e / dz^2) + O(sigma^4)

with e(z) = 1/2 ||x - g(z)||^2, as odd powers of xi have mean zero: the distance is O(sigma^2). Of a single draw it is
O(sigma). A KL of weight beta adds beta f(x) df/dtheta: the limit asks for beta -> 0 as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array
from minivae.distributions.nodes import gauss_hermite
from minivae.estimators.objectives import Elbo
from minivae.models.autoencoder import Autoencoder
from minivae.models.coupling import regularised_autoencoder
from minivae.studies import plots

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SMALL = 0.05
_NODES = 6  # a latent: exact up to the eleventh power of the noise
SIGMAS = tuple(np.geomspace(1e-3, 1.0, 13).tolist())


@dataclass(frozen=True)
class Approach:
    """One way of going to the limit, and how far the gradients are along it.

    Attributes
    ----------
    name : str
    sigmas : array of shape (n,)
    distances : array of shape (n,)
        ||gradient of the rescaled loss - that of the autoencoder|| / ||that of the autoencoder||.
    """

    name: str
    sigmas: Array
    distances: Array

    @property
    def power(self) -> float:
        """The fitted power of sigma, over the sigmas up to 0.05, or the two smallest."""
        small = self.sigmas <= max(_SMALL, np.partition(self.sigmas, 1)[1])
        return float(np.polyfit(np.log(self.sigmas[small]), np.log(self.distances[small]), 1)[0])


# name, whether sigma_g = sigma_f (else 1), weight of the KL, whether the noise is integrated over
APPROACHES = (
    ("sigma_f, no KL", False, 0.0, True),
    ("sigma_f = sigma_g, the whole loss", True, 1.0, True),
    ("sigma_f, no KL, one draw of the noise", False, 0.0, False),
    ("sigma_f, KL of weight 0.01", False, 0.01, True),
)


def limit_to_autoencoder(
    x: Array, n_latent: int = 2, sigmas: Sequence[float] = SIGMAS, seed: int = 0
) -> list[Approach]:
    """Return how far a regularised autoencoder's gradient is from the plain one's, along four ways to no noise.

    Both have one hidden layer of eight tanh units and the same random parameters. The loss of the noisy one is taken
    times sigma_g^2, so that its first term is half the squared error.

    Parameters
    ----------
    x : array of shape (B, n_x)
    n_latent : int
        At most 4: the noise is integrated over by quadrature.
    sigmas : sequence of float
        Values of sigma_f, at least two.
    seed : int
        Of the parameters and of the single draw.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).standard_normal((5, 3))
    >>> [round(way.power, 2) for way in limit_to_autoencoder(x)[:3]]
    [2.0, 2.0, 1.0]
    """
    x = checks.data(x, dtype=np.float64)
    if checks.width(n_latent, "n_latent") > 4:
        raise ValueError(f"n_latent must be at most 4 for quadrature, got {n_latent}. Use 2.")
    values = checks.real(sigmas, "sigmas", (None,))
    if len(values) < 2 or not (values > 0).all():
        raise ValueError(f"sigmas must be two positive numbers or more, got {checks.shown(sigmas)}. Use (0.1, 0.01).")
    rng = np.random.default_rng(checks.seed(seed))
    plain = Autoencoder.mlp(x.shape[1], n_latent, [8], "tanh")
    params = plain.init(rng)
    params += 0.3 * rng.standard_normal(params.shape)
    target = np.empty_like(params)
    plain.loss_and_grad(params, x, None, target)
    nodes, w = gauss_hermite(_NODES, n_latent)
    draw = rng.standard_normal((1, len(x), n_latent))

    def distance(sigma_f: float, sigma_g: float, beta: float, integrated: bool) -> float:
        model = regularised_autoencoder(x.shape[1], n_latent, sigma_f, sigma_g, [8], "tanh")
        grads, eps = np.empty_like(params), np.repeat(nodes, len(x), axis=1) if integrated else draw
        weights: Any = {"weights": w} if integrated else {}
        model.loss_and_grad(params, x, eps, grads, Elbo(beta=beta, kl="closed"), **weights)
        return float(np.linalg.norm(sigma_g**2 * grads - target) / np.linalg.norm(target))

    return [
        Approach(name, values, np.array([distance(s, s if both else 1.0, beta, mean) for s in values.tolist()]))
        for name, both, beta, mean in APPROACHES
    ]


def limit_figure(approaches: Sequence[Approach]) -> "Figure":
    """Draw the distance of the gradients against the noise, with the fitted powers."""
    figure = plots.figure_of(6.8, 4.4)
    axes = figure.subplots()
    for way, color, marker in zip(approaches, plots.COLORS, "osD^", strict=False):
        label = f"{way.name}: power {way.power:.2f}"
        axes.loglog(way.sigmas, way.distances, color=color, marker=marker, ms=4.5, lw=1.2, label=label)
    axes.set(xlabel="noise in the code, sigma_f", ylabel="relative distance of the gradients")
    axes.set_title("A VAE's gradient on its way to the autoencoder's")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=8.5)
    return figure
