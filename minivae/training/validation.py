"""The validation loss, on noise that is the same at every call."""

import warnings

import numpy as np

from minivae.core.arrays import Array
from minivae.core.seeds import Stream, stream
from minivae.distributions.likelihoods import NotALikelihoodWarning
from minivae.models.base import Model
from minivae.training.bits import binarize
from minivae.training.checkpoints import Row, State
from minivae.training.settings import Settings


class Validation:
    """The loss and its terms on x_valid, on noise that is the same at every call."""

    def __init__(self, model: Model, x_valid: Array | None, settings: Settings, params: Array) -> None:
        self.model, self.settings, self.given = model, settings, x_valid is not None
        self.before: float | None = None
        if x_valid is None:
            return
        # a stream of its own, so that validation never changes the course of training
        rng = stream(settings.seed, Stream.VALIDATION)
        self.x = binarize(x_valid, rng) if settings.binarize else x_valid
        self.eps = model.draw_noise(rng, settings.n_draws or 1, len(self.x), np.dtype(settings.dtype))
        self.before = self(params)["valid_loss"]

    def __call__(self, params: Array) -> Row:
        """Return the loss and its terms, by the names of the history's columns; nothing without a validation set."""
        if not self.given:
            return {}
        with warnings.catch_warnings(), np.errstate(over="ignore", invalid="ignore"):
            warnings.simplefilter("ignore", NotALikelihoodWarning)  # said once, at the start
            terms = self.model.terms(params, self.x, eps=self.eps, objective=self.settings.objective)
        assert self.settings.objective is not None
        loss = self.settings.objective.loss(terms)
        return {"valid_loss": loss} | {f"valid_{name}": value for name, value in terms.means().items()}

    def best(self, state: State) -> float:
        """Return the best validation loss so far."""
        losses = [row["valid_loss"] for row in state.history if np.isfinite(row["valid_loss"])]
        return min(losses, default=np.inf)
