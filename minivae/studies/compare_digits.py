"""The gradient of the ELBO for the encoder of a VAE trained on the bundled digits: with real latents, or with bits."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from minivae import datasets
from minivae.core.arrays import Array
from minivae.core.parallel import one_blas_thread
from minivae.models.draws import EncoderEstimator, encoder_draws
from minivae.models.vae import VAE
from minivae.nn.optim import Adam
from minivae.studies.compare_encoder import WAYS, Pilot, Way, ways
from minivae.studies.compare_exact import EncoderMoments, weighted_nodes
from minivae.studies.compare_rows import Row, reference_of
from minivae.training.loop import train
from minivae.training.settings import Settings

_EXAMPLES = 100  # test images
_GROUP = max(way.objective.row.usual_draws for way in WAYS.values())
_DRAWS_AT_ONCE = 5 * _GROUP
_STEP, _FAR = 0.5, 7.0  # of the nodes: variances of these VAEs are within 1e-8 of those by steps of 1/8 out to 8
_SETTINGS = Settings(epochs=60, optimizer=Adam(3e-3))


@dataclass(frozen=True)
class DigitsProblem:
    """The gradient for the encoder of a VAE 64-128-L-128-64, tanh, trained on the digits, on 100 test images.

    Parameters
    ----------
    name, text : str
        What it is called, and what it is.
    posterior : str
        The name of a posterior over which expectations are exact: few latents, for nodes; or bits, for states.
    n_latent : int
    parts : tuple of str
        The parts of the encoder's head.

    Examples
    --------
    >>> DigitsProblem("digits-bits", "", "bits", 6, ("phi",)).estimators[0]
    'score'
    """

    name: str
    text: str
    posterior: str
    n_latent: int
    parts: tuple[str, ...]
    whole = "encoder"
    note = (
        "means over 100 images and all latents; encoder: all its weights at once, its mean that along the exact "
        "gradient"
    )

    @property
    def title(self) -> str:
        """The name, and what it is."""
        return f"{self.name}: {self.text}"

    @property
    def lacks(self) -> Mapping[str, str]:
        """Nothing."""
        return {}

    @property
    def _ways(self) -> dict[str, Way]:
        return ways(path=self.model(1).posterior.has_path)

    @property
    def estimators(self) -> tuple[str, ...]:
        """All, or where the draw has no path those that need none."""
        return tuple(self._ways)

    @property
    def fewest(self) -> int:
        """Two groups of draws of each image."""
        return 2 * _GROUP * _EXAMPLES

    def model(self, n_x: int) -> VAE:
        """Return the VAE for data of width n_x."""
        return VAE.mlp(n_x, self.n_latent, [128], "tanh", posterior=self.posterior)

    def rows(self, names: Sequence[str], n_samples: int, seed: int, rng: np.random.Generator) -> Iterator[Row]:
        """Train the VAE, and yield the rows of each estimator: the parts of the head, and all of the encoder."""
        digits = datasets.load("digits-threshold")
        model = self.model(digits.n_x)
        settings = replace(_SETTINGS, seed=seed)
        params = train(model, digits.x_train, digits.x_valid, settings).params.astype(np.float64)
        x, x_train = digits.x_test[:_EXAMPLES].astype(np.float64), digits.x_train[:2000].astype(np.float64)
        pilot = Pilot.of(model, params, x, x_train, rng)
        exact = EncoderMoments(model, params, x, self.parts, weighted_nodes(model, params, x, _STEP, _FAR))
        estimators = {name: way.settled(pilot) for name, way in self._ways.items() if name in names}
        reference = exact.variances(self._ways[reference_of(self._ways)].settled(pilot))
        n_draws = n_samples // _EXAMPLES // _GROUP * _GROUP
        for name, how in estimators.items():
            yield from study_rows(exact, reference, name, how, n_draws, rng)


def study_rows(
    exact: EncoderMoments,
    reference: dict[str, float],
    name: str,
    how: EncoderEstimator,
    n_draws: int,
    rng: np.random.Generator,
) -> Iterator[Row]:
    """Yield a row for each part of the head, and one for all the encoder's weights.

    Parameters
    ----------
    exact : EncoderMoments
    reference : dict
        The variances that the others are divided by, as ``EncoderMoments.variances`` gives them.
    name : str
    how : EncoderEstimator
    n_draws : int
        Of each example; whole groups.
    rng : numpy.random.Generator
    """
    with one_blas_thread():  # two gain little here, and lose much when disturbed
        means, squares, seconds = _measured(exact, how, n_draws, rng)
    variances = exact.variances(how)
    for part, mean in means.items():
        # all weights at once: their mean is that along the exact gradient, whose own is its length
        length = float(np.linalg.norm(exact.eta_weights))
        eta = np.array([length]) if part == "encoder" else exact.eta[:, exact.parts[part]]
        square, exact_mean, m = squares[part], float(eta.mean()), len(mean)
        variance = float(square.mean())
        # examples have draws of their own, so the errors of their variances add in squares
        error = np.sqrt(square.var(axis=0, ddof=1).sum() / m) / square.shape[1]
        yield {
            "estimator": name,
            "parameter": part,
            "n_samples": n_draws,
            "mean": float(mean.mean()),
            "exact_mean": exact_mean,
            "z_mean": float((mean.mean() - exact_mean) / (mean.std(ddof=1) / np.sqrt(m))),
            "variance": variance,
            "exact_variance": variances[part],
            "z_variance": float((variance - variances[part]) / error),
            "reference_variance": reference[part],
            "snr": float(np.sqrt(np.mean(eta**2) / variance)),
            "ns_per_draw": 1e9 * seconds,
        }


def _measured(
    exact: EncoderMoments, how: EncoderEstimator, n_draws: int, rng: np.random.Generator
) -> tuple[dict[str, Array], dict[str, Array], float]:
    """Return by part the mean of each group (m,) and n_group times its squared distance (m, 1 or B); and seconds.

    Seconds are those of one draw of one example, the median over the blocks.
    """
    n_batch, n_head = exact.eta.shape
    direction = exact.eta_weights / np.linalg.norm(exact.eta_weights)
    means: dict[str, list[Array]] = {part: [] for part in (*exact.parts, "encoder")}
    squares: dict[str, list[Array]] = {part: [] for part in (*exact.parts, "encoder")}
    seconds = []
    for start in range(0, n_draws, _DRAWS_AT_ONCE):
        k = min(_DRAWS_AT_ONCE, n_draws - start)
        eps = exact.model.draw_noise(rng, k, n_batch, float)
        began = time.perf_counter()
        draws = encoder_draws(exact.model, exact.params, exact.x, eps)
        block = draws.rows(how.objective, how.baseline, how.n_group)
        seconds.append((time.perf_counter() - began) / (k * n_batch))
        groups = block.reshape(-1, how.n_group, n_batch, n_head).mean(axis=1)
        for part, columns in exact.parts.items():
            means[part].append(groups[:, :, columns].mean(axis=(1, 2)))
            squares[part].append(how.n_group * ((groups - exact.eta)[:, :, columns] ** 2).mean(axis=2))
        weights = np.array([exact.through(g) for g in groups])
        means["encoder"].append(weights @ direction)
        squares["encoder"].append(how.n_group * ((weights - exact.eta_weights) ** 2).sum(axis=1)[:, None])
    joined = [{part: np.concatenate(blocks) for part, blocks in found.items()} for found in (means, squares)]
    return joined[0], joined[1], float(np.median(seconds))


DIGITS = DigitsProblem(
    "digits",
    "the ELBO's gradient for the encoder of a VAE with 2 latents, exact by quadrature",
    "diagonal",
    2,
    ("mu", "log_var"),
)
BITS = DigitsProblem(
    "digits-bits",
    "the ELBO's gradient for the encoder of a VAE with 6 bits, exact by enumeration of 64 codes",
    "bits",
    6,
    ("phi",),
)
