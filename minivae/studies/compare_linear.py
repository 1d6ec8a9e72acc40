"""The gradient of the ELBO for q(z|x) of a linear-Gaussian VAE, on one example: exact in closed form."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from minivae.core.arrays import Array
from minivae.distributions.likelihoods import Gaussian
from minivae.distributions.linear_gaussian import LinearGaussian
from minivae.distributions.nodes import normal_nodes
from minivae.estimators.exact.elbo import elbo_gradient_moments
from minivae.estimators.moments import Moments, summarize
from minivae.models.draws import EncoderDraws, EncoderEstimator, encoder_draws
from minivae.models.vae import VAE
from minivae.studies.compare_encoder import WAYS, Pilot, Way, ways
from minivae.studies.compare_rows import Row, component_rows, kurtosis, reference_of, timed

_GROUP = max(way.objective.row.usual_draws for way in WAYS.values())
_KNOWN = LinearGaussian(np.array([[1.0, 0.5], [-0.3, 0.8], [0.2, -0.6]]), np.array([0.1, -0.2, 0.3]), 0.5)
_V, _SIGMA = np.array([[0.4, -0.1, 0.2], [0.3, 0.5, -0.2]]), np.array([0.6, 0.9])
_X = np.array([[1.0, -0.5, 0.8]])


def linear_vae(known: LinearGaussian, V: Array, sigma: Array) -> tuple[VAE, Array]:
    """Return the VAE with decoder W z + b and q(z|x) = N(V (x - b), diag sigma^2), and its parameters.

    >>> model, params = linear_vae(LinearGaussian(np.ones((1, 1)), np.zeros(1), 1.0), np.array([[0.5]]), np.ones(1))
    >>> model.embed(params, np.array([[3.0]]))
    array([[1.5]])
    """
    p, q = known.W.shape
    model = VAE.mlp(p, q, [], likelihood=Gaussian(known.s2))
    params = np.zeros(model.n_params)
    parts = dict(model.named(params))
    parts["encoder.0.weight"][:, :q] = V.T
    parts["encoder.0.bias"][:] = np.concatenate([-V @ known.b, 2 * np.log(sigma)])
    parts["decoder.0.weight"][:] = known.W.T
    parts["decoder.0.bias"][:] = known.b
    return model, params


@dataclass(frozen=True)
class LinearGaussianProblem:
    """The ELBO's gradient for the means and log-variances of one example with three dimensions and two latents.

    >>> "score-learned" in LinearGaussianProblem().estimators  # with a single x there is nothing to learn
    False
    """

    name: str = "linear-gaussian"
    parameters: tuple[str, ...] = ("mu 1", "mu 2", "log_var 1", "log_var 2")
    whole = None
    note = ""

    @property
    def title(self) -> str:
        """The name, and what it is."""
        return f"{self.name}: the ELBO's gradient for q(z|x) = N(mu, exp(log_var)), exact in closed form"

    @property
    def lacks(self) -> Mapping[str, str]:
        """Nothing."""
        return {}

    @property
    def _ways(self) -> dict[str, Way]:
        return ways(learns=False)

    @property
    def estimators(self) -> tuple[str, ...]:
        """All that can do with one example."""
        return tuple(self._ways)

    @property
    def fewest(self) -> int:
        """Two groups of draws."""
        return 2 * _GROUP

    def moments(self, how: EncoderEstimator) -> Moments:
        """Return the exact mean and variance of one draw for each parameter, shape (4,)."""
        mu, log_var = (_X - _KNOWN.b) @ _V.T, 2 * np.log(_SIGMA)[None]
        baseline = np.broadcast_to(how.baseline, (1, 4)).reshape(1, 2, 2)
        exact = elbo_gradient_moments(_KNOWN, _X, mu, log_var, how.objective, baseline, how.n_group)
        return Moments(exact.mean.ravel(), exact.variance.ravel())

    def rows(self, names: Sequence[str], n_samples: int, seed: int, rng: np.random.Generator) -> Iterator[Row]:  # noqa: ARG002
        """Yield the rows of each estimator: the means, then the log-variances."""
        n_draws = n_samples - n_samples % _GROUP
        model, params = linear_vae(_KNOWN, _V, _SIGMA)
        pilot = Pilot.of(model, params, _X, _X, rng)
        nodes, w = normal_nodes(2, step=0.25)
        at_nodes = encoder_draws(model, params, _X, nodes)
        at_nodes.rows()  # every kernel is loaded before the clock starts
        reference = self.moments(self._ways[reference_of(self._ways)].settled(pilot)).variance
        for name, way in self._ways.items():
            if name not in names:
                continue
            how, eps = way.settled(pilot), model.draw_noise(rng, n_draws, 1, float)
            rows, seconds = timed(partial(_drawn_rows, model, params, eps, how))
            exact = self.moments(how)
            known = None if how.n_group > 1 else kurtosis(_rows(at_nodes, how), w, exact)
            found = summarize(rows, exact, n_group=how.n_group, kurtosis=known)
            yield from component_rows(name, self.parameters, found, exact, reference, seconds / n_draws)


def _drawn_rows(model: VAE, params: Array, eps: Array, how: EncoderEstimator) -> Array:
    return _rows(encoder_draws(model, params, _X, eps), how)


def _rows(draws: EncoderDraws, how: EncoderEstimator) -> Array:
    return draws.rows(how.objective, how.baseline, how.n_group)[:, 0]


LINEAR_GAUSSIAN = LinearGaussianProblem()
