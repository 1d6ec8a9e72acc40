"""What a loss is made of, example by example, in nats."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Self

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array


@dataclass(frozen=True)
class ElboTerms:
    """The ELBO of each example, in nats, and what it is made of; beta never enters here.

    Attributes
    ----------
    log_lik : array of shape (B,)
        Reconstruction: the mean of log p(x|z) over the draws.
    kl : array of shape (B,)
        KL(q(z|x) || p(z)), in closed form or as the mean of log q(z|x) - log p(z) over the draws.
    kl_per_latent : array of shape (B, L), or None
        The terms of a closed KL, where free bits ask for them.
    """

    log_lik: Array
    kl: Array
    kl_per_latent: Array | None = field(default=None, kw_only=True)

    @property
    def elbo(self) -> Array:
        """log_lik - kl: a lower bound on log p(x) in expectation; higher is better."""
        return self.log_lik - self.kl

    def joined(self, parts: Sequence[Self]) -> Self:
        """Return the terms of all examples, of which these are some after another."""
        known = [f.name for f in fields(self) if getattr(self, f.name) is not None]
        return type(self)(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in known})

    def means(self) -> dict[str, float]:
        """Return the batch means of elbo, log_lik and kl, in nats per example."""
        log_lik, kl = (float(np.add.reduce(a)) / len(a) for a in (self.log_lik, self.kl))
        return {"elbo": log_lik - kl, "log_lik": log_lik, "kl": kl}

    def latent_means(self) -> Array:
        """Return the KL of each latent, averaged over the batch in float64, shape (L,)."""
        if self.kl_per_latent is None:
            raise ValueError(
                "terms must hold the KL of each latent for free bits, got none. Take them of "
                "model.terms(..., objective=Elbo(free_bits=0.1)), say."
            )
        return np.mean(self.kl_per_latent, axis=0, dtype=np.float64)

    def loss(self, beta: float = 1.0, free_bits: float = 0.0) -> float:
        """Return -(log_lik - beta kl) averaged over the batch, or beta sum_j max(free_bits, mean KL_j) in place of it.

        This is what training minimises.
        """
        checks.number(beta, "beta", low=0, closed=True)
        if checks.number(free_bits, "free_bits", low=0, closed=True):
            kl = float(beta) * float(np.maximum(self.latent_means(), free_bits).sum()) if beta else 0.0
            return kl - float(np.add.reduce(self.log_lik)) / len(self.kl)
        # np.add.reduce: these few numbers are summed at every step, and a plain mean costs twice the time
        kl = beta * np.add.reduce(self.kl) if beta else 0.0  # without weight even an infinite KL does not count
        return float(kl - np.add.reduce(self.log_lik)) / len(self.kl)


@dataclass(frozen=True)
class KSampleTerms(ElboTerms):
    """What the K-sample bound is made of, beside the ELBO of the same draws.

    Attributes
    ----------
    log_lik, kl : array of shape (B,)
        Means over the draws, as of the ELBO.
    iwae_bound : array of shape (B,)
        log (1/K) sum_k w_k, in nats: its expectation L_K lies between the ELBO and log p(x).
    """

    iwae_bound: Array

    def means(self) -> dict[str, float]:
        """Return the batch means of iwae_bound, elbo, log_lik and kl, in nats per example."""
        return {"iwae_bound": float(np.add.reduce(self.iwae_bound)) / len(self.iwae_bound)} | super().means()


@dataclass(frozen=True)
class ReconstructionTerms:
    """What the loss of an autoencoder is made of, in nats.

    Attributes
    ----------
    log_lik : array of shape (B,)
        log p(x | z), z the code of x, or of corrupted x (then the mean over the draws).
    penalty : float or None
        What the penalty adds to the loss, its weight included; None where the model has none.
    """

    log_lik: Array
    penalty: float | None = None

    def means(self) -> dict[str, float]:
        """Return the batch mean of log_lik, and the penalty where there is one, in nats per example."""
        means = {"log_lik": float(self.log_lik.mean())}
        return means if self.penalty is None else means | {"penalty": self.penalty}

    def loss(self) -> float:
        """Return -log_lik averaged over the batch, plus the penalty: what training minimises."""
        return float(-self.log_lik.mean()) + (self.penalty or 0.0)
