"""Autoencoders: a deterministic code, the VAE's reconstruction losses, and optionally a corruption or a penalty."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from minivae.core import checks, errors
from minivae.core.arrays import Array
from minivae.core.errors import raise_non_finite
from minivae.core.parallel import row_chunks
from minivae.core.registry import saved
from minivae.core.seeds import Stream, stream
from minivae.core.trust import looks_once
from minivae.distributions.likelihoods import Gaussian, named_likelihood
from minivae.distributions.protocols import Likelihood
from minivae.estimators.objectives import Reconstruction
from minivae.estimators.terms import ReconstructionTerms
from minivae.models.base import EncoderDecoder, Networks, Quantity, mirrored, networks_from, quantity
from minivae.models.corruptions import Corruption
from minivae.models.penalties import Penalty
from minivae.nn.dropout import n_noise
from minivae.nn.layer import Layer
from minivae.nn.sequential import Sequential


@saved
@dataclass(frozen=True)
class Autoencoder(EncoderDecoder):
    """x -> z -> x', trained so that the reconstruction is likely.

        loss = mean over the batch of -log p(x | z = encoder(x~)) + penalty   (nats per example)

    With ``Gaussian()`` that is half the squared error, summed over the dimensions, plus (D/2) log 2 pi (the MSE
    loss); with ``Bernoulli()`` the binary cross-entropy (the BCE loss). A VAE whose posterior has shrunk to a
    point and whose beta is 0 has this loss and this gradient.

    Without more, x~ is x and there is no penalty: the plain autoencoder. A corruption makes it a denoising
    autoencoder: the encoder sees x~, the loss asks for x. A penalty makes it sparse (``KLSparsity``, ``L1Sparsity``)
    or contractive (``Contraction``). With noise or weight zero each is the plain autoencoder exactly.

    Parameters
    ----------
    encoder : Sequential
        From n_x values to the code.
    decoder : Sequential
        From the code to likelihood.n_out(n_x).
    likelihood : Likelihood
        Which loss.
    corruption : Corruption, optional
    penalty : Penalty, optional

    Raises
    ------
    ValueError
        If the widths of the boxes disagree, or the penalty has no meaning for the encoder.

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
    corruption: Corruption | None = None
    penalty: Penalty | None = None
    variational = False
    continuous = False

    def __post_init__(self) -> None:
        self._check_boxes()
        if self.corruption is not None:
            checks.has(self.corruption, ("draw", "apply", "active"), "corruption", "a corruption", "MaskingNoise(0.3)")
        if self.penalty is not None:
            checks.has(self.penalty, ("check", "value", "slope", "weight"), "penalty", "a penalty", "Contraction(0.1)")
        if self.encoder.n_out is None:
            raise ValueError("encoder must have a known output width, got none. Put a Dense layer in it.")
        self._check_widths(self.encoder.n_out, self.encoder.n_out)
        if n_noise([self.encoder, self.decoder]):
            raise ValueError(
                "encoder and decoder must hold no Dropout in an Autoencoder, got some. Use a VAE, or a corruption."
            )
        if self.penalty is not None:
            self.penalty.check(self.encoder)

    @classmethod
    def mlp(
        cls,
        n_x: int,
        n_latent: int,
        n_hidden: Sequence[int] = (128,),
        activation: Layer | str = "relu",
        likelihood: Likelihood | str | None = None,
        corruption: Corruption | None = None,
        penalty: Penalty | None = None,
    ) -> "Autoencoder":
        """Build an autoencoder from dense layers, the decoder mirroring the encoder; Gaussian() unless given.

        With ``KLSparsity``, whose codes lie in (0, 1), the encoder ends in a Sigmoid; so with any penalty's
        ``last_layer``.
        """

        def dense(n_head: int, n_latent: int, likelihood: Likelihood) -> Networks:
            return (*mirrored(n_x, n_head, n_latent, n_hidden, activation, likelihood), likelihood)

        return cls.of(dense, n_latent, likelihood, corruption, penalty)

    @classmethod
    def of(
        cls,
        networks: Callable[..., Networks],
        n_latent: int,
        likelihood: Likelihood | str | None = None,
        corruption: Corruption | None = None,
        penalty: Penalty | None = None,
    ) -> "Autoencoder":
        """Build an autoencoder of networks of any kind, as ``VAE.of`` does; the encoder may get a last layer."""
        likelihood = named_likelihood(likelihood, Gaussian())
        n_latent = checks.width(n_latent, "n_latent")
        encoder, decoder, likelihood = networks_from(networks, n_latent, n_latent, likelihood)
        last_layer = getattr(penalty, "last_layer", None)
        if last_layer is not None:
            encoder = Sequential([*encoder.layers, last_layer])
        return cls(
            encoder=encoder,
            decoder=decoder,
            likelihood=likelihood,
            corruption=corruption,
            penalty=penalty,
        )

    @property
    def random(self) -> bool:
        """Whether a corruption draws noise."""
        return self.corruption is not None and self.corruption.active

    @property
    def objective(self) -> Reconstruction:
        """What it is trained for: the reconstruction, and its penalty."""
        return Reconstruction()

    @looks_once
    def loss_and_grad(
        self,
        params: Array,
        x: Array,
        eps: Array | None,
        grads: Array,
        objective: Reconstruction | None = None,
    ) -> tuple[float, ReconstructionTerms]:
        """Return the loss and its terms, and overwrite ``grads`` with the loss's gradient.

        Parameters
        ----------
        params, grads : array of shape (n_params,)
        x : array of shape (B, n_x)
            Checked for shape only: ``check_data`` looks at every value, once.
        eps : array of shape (K, B, n_x), or None
            Noise for the corruption, as ``draw_noise`` gives it; None without one.
        objective : Reconstruction, optional
            The only one that it has.

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
        objective = self._resolved(objective)
        seen = self._seen(x, eps)  # (K B, n_x)
        encoder, decoder, likelihood = self.unpack(params)
        dencoder, ddecoder, dlikelihood = self.unpack(grads)
        penalty = self.penalty if self.penalty is not None and self.penalty.weight else None

        z, encoder_cache = self.encoder.forward(encoder, seen)  # (K B, L)
        out, decoder_cache = self.decoder.forward(decoder, z)  # (K B, n_out)
        log_lik, likelihood_cache = self.likelihood.forward(likelihood, out, x)  # (K B,)
        added = None if self.penalty is None else 0.0
        if penalty is not None:
            statistics, penalty_cache = penalty.forward(self.encoder, encoder, z, encoder_cache)  # (K B, k)
            mean = statistics.mean(axis=0, dtype=np.float64)
            added = penalty.value(mean)
        terms = ReconstructionTerms(log_lik.reshape(-1, len(x)).mean(axis=0), added)
        loss = objective.loss(terms)
        if not math.isfinite(loss):
            raise_non_finite(self.trace(params, x, eps), "the loss")

        share = np.full(len(z), -1 / len(z), params.dtype)
        dout = self.likelihood.backward(likelihood, likelihood_cache, share, dlikelihood)
        dz = cast(Array, self.decoder.backward(decoder, decoder_cache, dout, ddecoder))
        beside: Array | None = None  # what the penalty adds without going through z
        if penalty is not None:
            dstatistics = np.broadcast_to(penalty.slope(mean) / len(z), statistics.shape).astype(params.dtype)
            own, beside = penalty.backward(self.encoder, encoder, encoder_cache, penalty_cache, dstatistics)
            dz = dz if own is None else dz + own
        self.encoder.backward(encoder, encoder_cache, dz, dencoder, need_dx=False)
        if beside is not None:
            dencoder += beside
        return loss, terms

    def _resolved(self, objective: Reconstruction | None) -> Reconstruction:
        if objective is None:
            return self.objective
        checks.has(objective, ("resolved", "loss"), "objective", "an objective", "Reconstruction()")
        return objective.resolved(self)

    def trace(self, params: Array, x: Array, eps: Array | None = None) -> Iterator[tuple[str, Array]]:
        """Yield the name and the value of every array on the way from the parameters to the loss."""
        checks.flat(params, self.n_params)
        x = checks.batch(x, self.n_x, params.dtype)
        seen = out = self._seen(x, eps)
        yield from self.named(params)
        yield "x", x
        encoder, decoder, likelihood = self.unpack(params)
        if seen is not x:
            yield "corrupted x", seen
        for name, out in self.encoder.trace(encoder, seen):
            yield f"encoder layer {name}", out
        for name, y in self.decoder.trace(decoder, out):
            out = y
            yield f"decoder layer {name}", y
        yield "log p(x|z)", self.likelihood.log_prob(likelihood, out, x)
        if self.penalty is not None and self.penalty.weight:
            z, caches = self.encoder.forward(encoder, seen)
            statistics, _ = self.penalty.forward(self.encoder, encoder, z, caches)
            yield "penalty", np.array([self.penalty.value(statistics.mean(axis=0, dtype=np.float64))])

    def draw_noise(self, rng: np.random.Generator, n_draws: int, n_batch: int, dtype: Any) -> Array | None:
        """Return noise for the corruption, shape (n_draws, n_batch, n_x).

        Without one, or at level zero, return None and leave the generator as it was.
        """
        if self.corruption is None or not self.random:
            return None
        shape = checks.width(n_draws, "n_draws"), checks.width(n_batch, "n_batch"), self.n_x
        return self.corruption.draw(checks.generator(rng), shape, checks.float_dtype(dtype))

    @errors.spoken("the loss")
    @looks_once
    def terms(
        self, params: Array, x: Any, *, eps: Array | None = None, objective: Reconstruction | None = None
    ) -> ReconstructionTerms:
        """Return the loss's terms; memory stays bounded.

        Parameters
        ----------
        params : array of shape (n_params,)
        x : array of shape (B, n_x)
            Checked: finite, in the likelihood's support.
        eps : array of shape (K, B, n_x), optional
            Noise for the corruption, as in training (and as ``train`` validates); without it the encoder sees x itself.
        objective : Reconstruction, optional

        Returns
        -------
        ReconstructionTerms
            log_lik of shape (B,), and the penalty, whose means are over all of x.
        """
        checks.flat(params, self.n_params)
        x = self.check_data(x, dtype=params.dtype)
        self._resolved(objective)
        encoder, decoder, likelihood = self.unpack(params)
        penalty = self.penalty if self.penalty is not None and self.penalty.weight else None
        if eps is not None:
            eps = checks.finite(checks.noise(eps, (len(x), self.n_x), params.dtype), "eps")
        n_draws = 1 if eps is None else len(eps)
        log_lik, total = np.empty(len(x), params.dtype), np.zeros(1)
        for rows in row_chunks(len(x), n_draws):
            seen = x[rows] if eps is None else self._seen(x[rows], eps[:, rows])
            z, caches = self.encoder.forward(encoder, seen)
            out, _ = self.decoder.forward(decoder, z)
            each = self.likelihood.log_prob(likelihood, out, x[rows])
            log_lik[rows] = each.reshape(-1, rows.stop - rows.start).mean(axis=0)
            if penalty is not None:
                statistics, _ = penalty.forward(self.encoder, encoder, z, caches)
                total = total + statistics.sum(axis=0, dtype=np.float64)
        if penalty is None:
            return ReconstructionTerms(log_lik, None if self.penalty is None else 0.0)
        return ReconstructionTerms(log_lik, penalty.value(total / (n_draws * len(x))))

    def seen(self, x: Any, rng: np.random.Generator) -> Array:
        """Return x as the encoder sees it in training: corrupted once where the model has a corruption.

        Examples
        --------
        >>> import numpy as np
        >>> from minivae.models.corruptions import MaskingNoise
        >>> model = Autoencoder.mlp(n_x=4, n_latent=1, corruption=MaskingNoise(0.5))
        >>> model.seen(np.ones((1, 4)), np.random.default_rng(1))
        array([[1., 1., 0., 1.]])
        """
        x = checks.data(x, self.n_x)
        return self._seen(x, self.draw_noise(rng, 1, len(x), x.dtype))

    def _seen(self, x: Array, eps: Array | None) -> Array:
        """Return what the encoder sees, shape (K B, n_x): draw by draw, so that row r belongs to example r % B."""
        if self.corruption is None or not self.random:
            return x
        eps = checks.noise(eps, (len(x), self.n_x), x.dtype)
        return self.corruption.apply(x, eps).reshape(-1, self.n_x)

    @errors.spoken("the code")
    def embed(self, params: Array, x: Any) -> Array:
        """Return the codes z = encoder(x), shape (B, n_latent)."""
        return self._head(params, x)

    @errors.spoken("the reconstruction")
    def reconstruct(self, params: Array, x: Any) -> Array:
        """Return E[x|z] at the code of each example, shape (B, n_x)."""
        return self.decode(params, self.embed(params, x))

    @errors.spoken("what the latents say")
    def says(self, params: Array, x: Any) -> Array:
        """Return the variance of each latent over the examples, shape (n_latent,)."""
        return self.embed(params, x).var(axis=0)

    def quantities(self, params: Array, x: Array, seed: int, n_draws: int | None = None) -> list[Quantity]:  # noqa: ARG002
        """Return the reconstruction's log-likelihood, from corrupted input too, the penalty and the squared error."""
        checks.seed(seed)
        x = self.check_data(x, dtype=checks.dtype_of(params))
        terms = self.terms(params, x)
        rows = [quantity("log_lik", terms.log_lik)]
        eps = self.draw_noise(stream(seed, Stream.TEST_NOISE), 1, len(x), params.dtype)
        if eps is not None:
            rows.append(quantity("log_lik, corrupted input", self.terms(params, x, eps=eps).log_lik))
        if terms.penalty is not None:
            rows.append(quantity("penalty", terms.penalty))
        error = np.mean((x - self.reconstruct(params, x)) ** 2, axis=1)
        return [*rows, quantity("squared error", error, "per pixel")]

    def meaning(self, x: Array) -> str:
        """Say what log_lik is for such data."""
        grey = (
            ""
            if self.likelihood.is_density(checks.data(x, self.n_x))
            else " (a cross-entropy: x lies strictly between 0 and 1)"
        )
        return f"log_lik is the log-likelihood of the reconstruction{grey}"
