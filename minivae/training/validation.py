"""The validation loss, on noise that is the same at every call."""

import warnings
from typing import Any

import numpy as np

from minivae.core.arrays import Array
from minivae.distributions.likelihoods import NotALikelihoodWarning
from minivae.models.discrete import BernoulliVAE
from minivae.models.vae import VAE
from minivae.training.binarize import binarize
from minivae.training.checkpoints import Row, State
from minivae.training.settings import Settings


class Validation:
    """The loss and its terms on x_valid, on noise that is the same at every call."""

    def __init__(self, model: Any, x_valid: Array | None, settings: Settings, params: Array) -> None:
        self.model, self.settings, self.given = model, settings, x_valid is not None
        self.before: float | None = None
        if x_valid is None:
            return
        # a stream of its own, so that validation never changes the course of training
        rng = np.random.default_rng([settings.seed, 1])
        self.x = binarize(x_valid, rng) if settings.binarize else x_valid
        self.eps = model.draw_noise(rng, settings.n_draws, len(self.x), np.dtype(settings.dtype))
        self.before = self(params)["valid_loss"]

    def __call__(self, params: Array) -> Row:
        """Return the loss and its terms, by the names of the history's columns; nothing without a validation set."""
        if not self.given:
            return {}
        how = {"kl": self.settings.kl} if isinstance(self.model, VAE) else {}
        with warnings.catch_warnings(), np.errstate(over="ignore", invalid="ignore"):
            warnings.simplefilter("ignore", NotALikelihoodWarning)  # said once, at the start
            terms = self.model.terms(params, self.x, eps=self.eps, **how)
        loss = terms.loss(self.settings.beta) if isinstance(self.model, VAE | BernoulliVAE) else terms.loss()
        return {"valid_loss": loss} | {f"valid_{name}": value for name, value in terms.means().items()}

    def best(self, state: State) -> float:
        """Return the best validation loss so far."""
        losses = [row["valid_loss"] for row in state.history if np.isfinite(row["valid_loss"])]
        return min(losses, default=np.inf)
