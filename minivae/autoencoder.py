"""The plain autoencoder: a deterministic code, and the same losses as the VAE's reconstruction term."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from minivae import checks
from minivae.checks import Array
from minivae.layers import Layer, Sequential, mlp
from minivae.likelihoods import Gaussian, Likelihood, named_likelihood
from minivae.models import EncoderDecoder, raise_non_finite, row_chunks


@dataclass(frozen=True)
class ReconstructionTerms:
    """The reconstruction of each example: log_lik = log p(x|z = encoder(x)), shape (B,), in nats."""

    log_lik: Array

    def means(self) -> dict[str, float]:
        """Return the batch mean of log_lik, in nats per example."""
        return {"log_lik": float(self.log_lik.mean())}

    def loss(self) -> float:
        """Return -log_lik averaged over the batch: what training minimises."""
        return float(-self.log_lik.mean())


@dataclass(frozen=True)
class Autoencoder(EncoderDecoder):
    """x -> z -> x', trained so that the reconstruction is likely.

        loss = mean over the batch of -log p(x | z = encoder(x))   (nats per example)

    With ``Gaussian()`` that is half the squared error, summed over the dimensions, plus (D/2) log 2 pi (the MSE
    loss); with ``Bernoulli()`` the binary cross-entropy (the BCE loss). A VAE whose posterior has shrunk to a
    point and whose beta is 0 has this loss and this gradient.

    Parameters
    ----------
    encoder : Sequential
        From n_x values to the code.
    decoder : Sequential
        From the code to likelihood.n_out(n_x).
    likelihood : Likelihood
        Which loss.

    Raises
    ------
    ValueError
        If the widths of the boxes disagree.

    Examples
    --------
    >>> import numpy as np
    >>> model = Autoencoder.mlp(n_x=4, n_latent=2)
    >>> params = model.init(np.random.default_rng(0))
    >>> model.reconstruct(params, np.ones((3, 4))).shape
    (3, 4)
    """

    encoder: Sequential
    decoder: Sequential
    likelihood: Likelihood

    def __post_init__(self) -> None:
        if self.encoder.n_out is None:
            raise ValueError("encoder must have a known output width, got none. Put a Dense layer in it.")
        self._check_widths(self.encoder.n_out, self.encoder.n_out)

    @classmethod
    def mlp(
        cls,
        n_x: int,
        n_latent: int,
        n_hidden: Sequence[int] = (128,),
        activation: Layer | str = "relu",
        likelihood: Likelihood | str | None = None,
    ) -> "Autoencoder":
        """Build an autoencoder from dense layers, the decoder mirroring the encoder; Gaussian() unless given."""
        likelihood = named_likelihood(likelihood, Gaussian())
        n_x = checks.width(n_x, "n_x")
        n_latent = checks.width(n_latent, "n_latent")
        hidden = checks.widths(n_hidden, "n_hidden")
        return cls(
            encoder=mlp([n_x, *hidden, n_latent], activation),
            decoder=mlp([n_latent, *hidden[::-1], likelihood.n_out(n_x)], activation),
            likelihood=likelihood,
        )

    def loss_and_grad(
        self,
        params: Array,
        x: Array,
        eps: None,  # noqa: ARG002
        grads: Array,
    ) -> tuple[float, ReconstructionTerms]:
        """Return the loss and its terms, and overwrite ``grads`` with the loss's gradient.

        Parameters
        ----------
        params, grads : array of shape (n_params,)
        x : array of shape (B, n_x)
            Checked for shape only: ``check_data`` looks at every value, once.
        eps : None
            An autoencoder has no noise; the argument is there so that one training loop serves all models.

        Raises
        ------
        NonFiniteError
            If the loss is not finite; it names the first array that is not.

        Examples
        --------
        >>> import numpy as np
        >>> model = Autoencoder.mlp(n_x=4, n_latent=1)
        >>> params, x = model.init(np.random.default_rng(0)), np.ones((3, 4))
        >>> loss, terms = model.loss_and_grad(params, x, None, np.empty_like(params))
        >>> bool(abs(loss + terms.log_lik.mean()) < 1e-12)
        True
        """
        checks.gradient(params, grads, self.n_params)
        x = checks.batch(x, self.n_x, params.dtype)
        encoder, decoder, likelihood = self.unpack(params)
        dencoder, ddecoder, dlikelihood = self.unpack(grads)

        z, encoder_cache = self.encoder.forward(encoder, x)  # (B, L)
        out, decoder_cache = self.decoder.forward(decoder, z)  # (B, n_out)
        log_lik, likelihood_cache = self.likelihood.forward(likelihood, out, x)  # (B,)
        terms = ReconstructionTerms(log_lik)
        loss = terms.loss()
        if not math.isfinite(loss):
            raise_non_finite(self.trace(params, x), "the loss")

        share = np.full(len(x), -1 / len(x), params.dtype)
        dout = self.likelihood.backward(likelihood, likelihood_cache, share, dlikelihood)
        dz = cast(Array, self.decoder.backward(decoder, decoder_cache, dout, ddecoder))
        self.encoder.backward(encoder, encoder_cache, dz, dencoder, need_dx=False)
        return loss, terms

    def trace(self, params: Array, x: Array) -> Iterator[tuple[str, Array]]:
        """Yield the name and the value of every array on the way from the parameters to the loss."""
        yield from self.named(params)
        yield "x", x
        encoder, decoder, likelihood = self.unpack(params)
        out = x
        for name, out in self.encoder.trace(encoder, x):
            yield f"encoder layer {name}", out
        for name, y in self.decoder.trace(decoder, out):
            out = y
            yield f"decoder layer {name}", y
        yield "log p(x|z)", self.likelihood.log_prob(likelihood, out, x)

    def draw_noise(self, rng: np.random.Generator, n_draws: int, n_batch: int, dtype: Any) -> None:
        """Return None: an autoencoder has no noise, and the generator is left as it was."""

    def terms(self, params: Array, x: Any, *, eps: None = None) -> ReconstructionTerms:  # noqa: ARG002
        """Return log p(x | z = encoder(x)) of each example, shape (B,), in nats; memory stays bounded."""
        checks.flat(params, self.n_params)
        x = self.check_data(x, dtype=params.dtype)
        encoder, decoder, likelihood = self.unpack(params)
        log_lik = np.empty(len(x), params.dtype)
        for rows in row_chunks(len(x), 1):
            z, _ = self.encoder.forward(encoder, x[rows])
            out, _ = self.decoder.forward(decoder, z)
            log_lik[rows] = self.likelihood.log_prob(likelihood, out, x[rows])
        return ReconstructionTerms(log_lik)

    def embed(self, params: Array, x: Any) -> Array:
        """Return the codes z = encoder(x), shape (B, n_latent)."""
        return self._head(params, x)

    def reconstruct(self, params: Array, x: Any) -> Array:
        """Return E[x|z] at the code of each example, shape (B, n_x)."""
        return self.decode(params, self.embed(params, x))
