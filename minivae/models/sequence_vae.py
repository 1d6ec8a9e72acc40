"""The VAE of sequences with a decoder that is shown the steps before, as in Bowman et al. 2016, and word dropout."""

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array
from minivae.core.registry import saved
from minivae.distributions.diagonal import DiagonalGaussian
from minivae.distributions.likelihoods import Bernoulli, named_likelihood
from minivae.distributions.protocols import Likelihood
from minivae.distributions.sequences import TeacherForced
from minivae.estimators.k_sample import Bound
from minivae.estimators.terms import ElboTerms
from minivae.models.networks import CELLS
from minivae.models.vae import VAE
from minivae.nn.dense import Dense
from minivae.nn.sequential import Sequential
from minivae.nn.steps import Bidirectional, Steps


@saved
@dataclass(frozen=True)
class SequenceVAE(VAE):
    """A VAE whose likelihood is ``TeacherForced``; in training a share of the steps that it is shown are dropped.

    The noise of training has T more numbers in [0, 1) for each draw of each example: step t is dropped where the t-th
    is below ``word_dropout``. Without them none is, so that the ELBO that is reported is that of the model.

    Parameters
    ----------
    encoder, posterior, decoder, likelihood, prior
        As of ``VAE``; the likelihood is TeacherForced.
    word_dropout : float
        In [0, 1]; with 1 the decoder sees nothing but z.

    Examples
    --------
    >>> model = SequenceVAE.recurrent(n_steps=4, n_features=1, n_latent=2, n_units=8)
    >>> rng = np.random.default_rng(0)
    >>> params = model.init(rng)
    >>> model.sample(params, 3, rng).shape
    (3, 4)
    """

    word_dropout: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.likelihood, TeacherForced):
            raise ValueError(
                f"likelihood must be TeacherForced, got {checks.shown(self.likelihood)}. For others use VAE."
            )
        checks.number(self.word_dropout, "word_dropout", low=0, closed=True, high=1 + 1e-9)

    @classmethod
    def recurrent(
        cls,
        n_steps: int,
        n_features: int,
        n_latent: int,
        n_units: int = 64,
        cell: str = "gru",
        likelihood: Likelihood | str | None = None,
        ragged: bool = False,
        word_dropout: float = 0.0,
    ) -> "SequenceVAE":
        """Build a bidirectional encoder and a decoder of one recurrent layer, to which z comes at every step.

        Parameters
        ----------
        n_steps, n_features : int
            T and D of the rows.
        n_latent, n_units : int
        cell : str
            gru, lstm or rnn.
        likelihood : Likelihood or str
            Of one step; Bernoulli() unless given.
        ragged : bool
            Whether rows end in their length.
        word_dropout : float
        """
        layer = CELLS.choose(cell)
        n_latent = checks.width(n_latent, "n_latent")
        one = named_likelihood(likelihood, Bernoulli())
        posterior = DiagonalGaussian(n_latent)
        reader = Bidirectional(layer(n_steps, n_features, n_units, ragged=ragged))
        encoder = Sequential([reader, Dense(2 * n_units, posterior.n_head)])
        writer = layer(n_steps, n_features + n_latent, n_units, "all")
        network = Sequential([writer, Steps(Sequential([Dense(n_units, one.n_out(n_features))]), n_steps)])
        forced = TeacherForced(network, one, n_steps, n_features, n_latent, ragged)
        decoder = Sequential([Dense(n_latent, n_latent)])
        return cls(encoder, posterior, decoder, forced, word_dropout=word_dropout)

    def training_noise(self, rng: np.random.Generator, n_draws: int, n_batch: int, dtype: Any) -> Array | None:
        """Return the noise of a VAE, and where steps are dropped T numbers in [0, 1) after it."""
        eps = super().training_noise(rng, n_draws, n_batch, dtype)
        if not self.word_dropout or eps is None:
            return eps
        uniform = rng.random((n_draws, n_batch, self._n_steps), dtype=np.dtype(dtype).type)
        return np.concatenate([eps, uniform], axis=2)

    @property
    def _n_steps(self) -> int:
        return self.likelihood.n_steps  # type: ignore[attr-defined]

    def loss_and_grad(
        self, params: Array, x: Array, eps: Any, grads: Array, objective: Bound | None = None, **how: Any
    ) -> tuple[float, ElboTerms]:
        """Return the loss and its terms as ``VAE.loss_and_grad`` does, with the steps dropped that the noise says."""
        uniform = self._uniform(eps)
        if uniform is None:
            return super().loss_and_grad(params, x, eps, grads, objective, **how)
        kept = (uniform >= self.word_dropout).reshape(-1, self._n_steps).astype(np.asarray(params).dtype)
        shown = copy.copy(self)
        object.__setattr__(shown, "likelihood", self.likelihood.dropping(kept))  # type: ignore[attr-defined]
        own = np.ascontiguousarray(eps[:, :, : -self._n_steps])
        return VAE.loss_and_grad(shown, params, x, own, grads, objective, **how)

    def _uniform(self, eps: Any) -> Array | None:
        """Return what the noise says of the steps, where it says anything, shape (K, B, T)."""
        width = self.posterior.n_latent + sum(self._n_dropped or ()) + self._n_steps
        if not isinstance(eps, np.ndarray) or eps.ndim != 3 or eps.shape[2] != width:
            return None
        return eps[:, :, -self._n_steps :]
