"""The ways to estimate the gradient for a VAE's encoder, their baselines taken from draws made for that alone."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from minivae.core.arrays import Array
from minivae.core.registry import Table
from minivae.estimators.baselines import LearnedBaseline
from minivae.estimators.objectives import Elbo
from minivae.estimators.signals import optimal_baseline
from minivae.models.draws import EncoderDraws, EncoderEstimator, encoder_draws
from minivae.models.vae import VAE

_N_PILOT = 500
_LEARNING_STEPS, _LEARNING_BATCH = 300, 128


@dataclass(frozen=True)
class Pilot:
    """Draws that baselines are taken from, and nothing else.

    Attributes
    ----------
    draws : EncoderDraws
        Of the examples that are studied.
    x_train : array of shape (N, D)
        Other examples, that a baseline c(x) can learn from.
    rng : numpy.random.Generator
    """

    draws: EncoderDraws
    x_train: Array
    rng: np.random.Generator

    @classmethod
    def of(cls, model: VAE, params: Array, x: Array, x_train: Array, rng: np.random.Generator) -> "Pilot":
        """Draw them."""
        return cls(encoder_draws(model, params, x, model.draw_noise(rng, _N_PILOT, len(x), float)), x_train, rng)

    @cached_property
    def f(self) -> Array:
        """log p(x|z), shape (K, B)."""
        return self.draws.values()

    @property
    def at_code(self) -> Array:
        """log p(x|z) at the one z that stands for q(z|x), its mean or its mode; shape (B,)."""
        model = self.draws.model
        _, posterior, _, decoder, likelihood = model.unpack(self.draws.params)
        out, _ = model.decoder.forward(decoder, model.posterior.code(posterior, self.draws.head))
        return model.likelihood.log_prob(likelihood, out, self.draws.x)

    @property
    def learned(self) -> Array:
        """c(x) of a network that has learnt log p(x|z) on other examples; shape (B,)."""
        return learned_baseline(self.draws.model, self.draws.params, self.x_train, self.draws.x, self.rng)


def learned_baseline(model: VAE, params: Array, x_train: Array, x: Array, rng: np.random.Generator) -> Array:
    """Return c(x), shape (B,), of a small network that has learnt f = log p(x|z) from draws on other examples."""
    rule = LearnedBaseline.mlp(model.n_x)
    state = rule.init(rng)
    for _ in range(_LEARNING_STEPS):
        batch = x_train[rng.integers(0, len(x_train), _LEARNING_BATCH)]
        _, _, draws = model.draw(params, batch, model.draw_noise(rng, 1, len(batch), float))
        rule.update(state, batch, draws.log_lik)
    return rule.predict(state, x)


@dataclass(frozen=True)
class Way:
    """A way to estimate the encoder's gradient, whose baseline is taken from a pilot.

    Parameters
    ----------
    objective : Elbo
        Names the estimator and the KL.
    baseline : callable, optional
        From the pilot to c: a number, or one for each example (B, 1) or each output of the head (B, H). None is zero.
    learns : bool
        Whether c depends on x, which takes more than one example.
    """

    objective: Elbo
    baseline: Callable[[Pilot], Any] | None = None
    learns: bool = False

    def settled(self, pilot: Pilot) -> EncoderEstimator:
        """Return it with its baseline as numbers; draws are taken in groups where the estimator uses several."""
        c = 0.0 if self.baseline is None else self.baseline(pilot)
        return EncoderEstimator(self.objective, c, self.objective.row.usual_draws)


WAYS: Table[Way] = Table("estimators")
WAYS.add("pathwise", Way(Elbo("pathwise")))
WAYS.add("pathwise-sampled-kl", Way(Elbo("pathwise", kl="sampled")))
WAYS.add("path-derivative", Way(Elbo("path-derivative", kl="sampled")))
WAYS.add("score", Way(Elbo("score")))
WAYS.add("score-sampled-kl", Way(Elbo("score", kl="sampled")))
WAYS.add("score-constant", Way(Elbo("score"), lambda pilot: pilot.at_code[:, None]))
WAYS.add("score-mean", Way(Elbo("score"), lambda pilot: pilot.f.mean(axis=0)[:, None]))
WAYS.add("score-optimal", Way(Elbo("score"), lambda pilot: optimal_baseline(pilot.f, pilot.draws.score)))
WAYS.add("score-leave-one-out", Way(Elbo("score-leave-one-out")))
# one number for all examples, where it settles: the mean over draws and examples
WAYS.add("score-moving-average", Way(Elbo("score"), lambda pilot: pilot.f.mean()))
WAYS.add("score-learned", Way(Elbo("score"), lambda pilot: pilot.learned[:, None], learns=True))


def ways(*, path: bool = True, learns: bool = True) -> dict[str, Way]:
    """Return the ways that are open: those through the draw where it has a path, those that learn where they can.

    >>> list(ways(path=False))[:2], "score-learned" in ways(learns=False)
    (['score', 'score-sampled-kl'], False)
    """
    return {
        name: way
        for name, way in WAYS.items()
        if (path or not way.objective.row.has_path) and (learns or not way.learns)
    }
