"""A VAE with Bernoulli latents, where no path leads through the draw: score function, or exact by enumeration."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, cast

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array, log_mean_exp, sigmoid
from minivae.core.errors import raise_non_finite
from minivae.core.parallel import row_chunks
from minivae.core.registry import saved
from minivae.distributions.likelihoods import Bernoulli, named_likelihood
from minivae.distributions.protocols import Likelihood
from minivae.estimators.exact.bits import all_states
from minivae.estimators.signals import leave_one_out_signal
from minivae.models.base import EncoderDecoder, mirrored
from minivae.models.vae import ElboTerms
from minivae.nn.layer import Layer
from minivae.nn.sequential import Sequential

DiscreteEstimator = Literal["score", "score-leave-one-out", "exact"]


DISCRETE_ESTIMATORS: tuple[DiscreteEstimator, ...] = ("score", "score-leave-one-out", "exact")


@saved
@dataclass(frozen=True)
class BernoulliVAE(EncoderDecoder):
    """A VAE whose code is n_latent bits: z ~ Bern(1/2) each, q(z|x) = Bern(sigmoid(phi)), phi = encoder(x).

        ELBO(x) = E_q[log p(x|z)] - KL(q || p),   KL = sum_j theta_j phi_j - softplus(phi_j) + log 2   (nats)

    A draw is z = 1 where u > 1 - theta with u uniform: a step in theta, whose derivative is zero wherever it
    exists. So the encoder learns by the score function, d E_q f / dphi = E_q[(f - c) (z - theta)] with f = log p(x|z),
    while the KL, and the decoder given the draw, are differentiated as ever.

    Parameters
    ----------
    encoder : Sequential
        From n_x values to n_latent logits.
    decoder : Sequential
        From n_latent bits to likelihood.n_out(n_x).
    likelihood : Likelihood
    estimator : {"score-leave-one-out", "score", "exact"}
        Of the encoder's gradient. "score-leave-one-out" needs two draws or more; "score" has the baseline that is
        given to ``loss_and_grad``, or none; "exact" enumerates all 2^n_latent codes, for the decoder too.

    Raises
    ------
    ValueError
        If the widths of the boxes disagree, or the estimator cannot exist.

    References
    ----------
    A. Mnih, K. Gregor, "Neural variational inference and learning in belief networks", 2014.

    Examples
    --------
    >>> model = BernoulliVAE.mlp(n_x=4, n_latent=3, n_hidden=[8])
    >>> rng = np.random.default_rng(0)
    >>> params, x = model.init(rng), np.ones((5, 4))
    >>> exact = model.exact_terms(params, x)
    >>> bool((exact.elbo <= model.log_prob(params, x)).all())
    True
    """

    encoder: Sequential
    decoder: Sequential
    likelihood: Likelihood
    estimator: DiscreteEstimator = "score-leave-one-out"

    def __post_init__(self) -> None:
        if self.estimator == cast(Any, "pathwise"):
            raise ValueError(
                "estimator must not be pathwise for a discrete latent, got 'pathwise': the draw is a step, whose "
                "derivative is zero almost everywhere, so nothing comes back through it. Use 'score-leave-one-out', "
                "'score' with a baseline, or 'exact' where there are few latents."
            )
        checks.choice(self.estimator, DISCRETE_ESTIMATORS, "estimator")
        if self.decoder.n_in is None:
            raise ValueError("decoder must have a known input width, got none. Put a Dense layer in it.")
        self._check_widths(self.n_latent, self.n_latent)

    @classmethod
    def mlp(
        cls,
        n_x: int,
        n_latent: int,
        n_hidden: Sequence[int] = (128,),
        activation: Layer | str = "relu",
        likelihood: Likelihood | str | None = None,
        estimator: DiscreteEstimator = "score-leave-one-out",
    ) -> "BernoulliVAE":
        """Build the model from dense layers, the decoder mirroring the encoder; Bernoulli() unless given."""
        likelihood = named_likelihood(likelihood, Bernoulli())
        n_latent = checks.width(n_latent, "n_latent")
        encoder, decoder = mirrored(n_x, n_latent, n_latent, n_hidden, activation, likelihood)
        return cls(encoder, decoder, likelihood, estimator)

    @property
    def n_latent(self) -> int:
        """Number of bits of the code."""
        return cast(int, self.decoder.n_in)

    # ------------------------------------------------------------------------------------- the gradient

    def loss_and_grad(
        self,
        params: Array,
        x: Array,
        eps: Any,
        grads: Array,
        *,
        beta: float = 1.0,
        baseline: float | Array = 0.0,
    ) -> tuple[float, ElboTerms]:
        """Return the loss and the ELBO's terms, and overwrite ``grads`` with an estimate of the loss's gradient.

            loss = mean over the batch of [ beta KL - 1/K sum_k log p(x|z_k) ]

        Parameters
        ----------
        params, grads : array of shape (n_params,)
        x : array of shape (B, n_x)
            Checked for shape only: ``check_data`` looks at every value, once.
        eps : array of shape (K, B, n_latent)
            Uniform noise u in [0, 1): z = 1 where u > 1 - theta. Not used by the exact estimator.
        beta : float
            Weight of the KL in the loss and its gradient.
        baseline : float or array of shape (B,)
            c, which must not depend on these draws: from ``MovingAverage`` or ``LearnedBaseline``, say.

        Raises
        ------
        ValueError
            If an argument has the wrong shape, dtype or range, or a leave-one-out baseline has a single draw.
        NonFiniteError
            If the loss is not finite; it names the first array that is not.
        """
        checks.gradient(params, grads, self.n_params)
        beta = checks.number(beta, "beta", low=0, closed=True)
        x = checks.batch(x, self.n_x, params.dtype)
        c = checks.baseline(baseline, len(x), params.dtype)
        dencoder, ddecoder, dlikelihood = self.unpack(grads)
        encoder, decoder, likelihood = self.unpack(params)

        # forward
        phi, encoder_cache = self.encoder.forward(encoder, x)  # (B, L)
        theta = sigmoid(phi)
        z, w = self._codes(phi, eps)  # (K, B, L) or (S, 1, L), and the weight of each (K, B)
        out, decoder_cache = self.decoder.forward(decoder, z.reshape(-1, self.n_latent))
        log_lik, likelihood_cache = self._log_lik(likelihood, out, x)  # (K, B)
        terms = ElboTerms(np.sum(w * log_lik, axis=0), self._kl(phi))
        loss = terms.loss(beta)
        if not math.isfinite(loss):
            raise_non_finite(self.trace(params, x, eps), "the loss")

        # backward
        share = w / params.dtype.type(len(x))  # what each log p(x|z) counts in the loss
        dout = self.likelihood.backward(likelihood, likelihood_cache, -share.ravel(), dlikelihood)
        dcodes = dout.reshape(len(out), -1, dout.shape[1]).sum(axis=1)  # summed over examples that share a code
        self.decoder.backward(decoder, decoder_cache, dcodes, ddecoder, need_dx=False)
        signal: Array = log_lik - c
        if self.estimator == "score-leave-one-out":
            signal = leave_one_out_signal(signal)
        dphi = -np.sum((share * signal)[:, :, None] * (z - theta), axis=0)
        dphi += params.dtype.type(beta / len(x)) * theta * (1 - theta) * phi
        self.encoder.backward(encoder, encoder_cache, dphi, dencoder, need_dx=False)
        return loss, terms

    def _codes(self, phi: Array, eps: Any) -> tuple[Array, Array]:
        """Return the codes and their weights: every state with its q(z|x), or K draws with 1 / K each."""
        if self.estimator == "exact":
            states = all_states(self.n_latent).astype(phi.dtype)
            q = np.exp(states @ phi.T - np.logaddexp(phi, phi.dtype.type(0)).sum(axis=1))  # (S, B)
            return states[:, None], q
        u = checks.noise(eps, None, (1, *phi.shape), phi.dtype)
        if u.min() < 0 or u.max() > 1:
            raise ValueError(
                f"eps must be uniform noise in [0, 1) for bits, got values from {u.min():.3g} to {u.max():.3g}. Take "
                f"rng.random(...) or model.draw_noise, not normal draws."
            )
        return (u > 1 - sigmoid(phi)).astype(phi.dtype), np.full(u.shape[:2], 1 / len(u), phi.dtype)

    def _log_lik(self, likelihood: Array, out: Array, x: Array) -> tuple[Array, Any]:
        """Return log p(x|z), shape (K, B), for decoder rows of K draws of each x, or of K codes that all x share."""
        shared = len(x) if self.estimator == "exact" else 1
        log_lik, cache = self.likelihood.forward(likelihood, np.repeat(out, shared, axis=0), x)
        return log_lik.reshape(-1, len(x)), cache

    @staticmethod
    def _kl(phi: Array) -> Array:
        log_2 = phi.dtype.type(math.log(2))
        return np.sum(sigmoid(phi) * phi - np.logaddexp(phi, phi.dtype.type(0)) + log_2, axis=1)

    def trace(self, params: Array, x: Array, eps: Any) -> Iterator[tuple[str, Array]]:
        """Yield the name and the value of every array on the way from the parameters to the ELBO's terms."""
        yield from self.named(params)
        yield "x", x
        encoder, decoder, likelihood = self.unpack(params)
        phi = x
        for name, phi in self.encoder.trace(encoder, x):
            yield f"encoder layer {name}", phi
        out = self._codes(phi, eps)[0].reshape(-1, self.n_latent)
        for name, y in self.decoder.trace(decoder, out):
            out = y
            yield f"decoder layer {name}", y
        yield "log p(x|z)", self._log_lik(likelihood, out, x)[0]
        yield "KL", self._kl(phi)

    # --------------------------------------------------------------------------------------- evaluation

    def draw_noise(self, rng: np.random.Generator, n_draws: int, n_batch: int, dtype: Any) -> Array | None:
        """Return uniform noise of shape (n_draws, n_batch, n_latent); None for the exact estimator, which has none."""
        if self.estimator == "exact":
            return None
        return checks.generator(rng).random((n_draws, n_batch, self.n_latent), dtype=dtype)

    def terms(self, params: Array, x: Any, *, eps: Any = None) -> ElboTerms:
        """Return the ELBO's terms of each example from the noise, as training sees them; memory stays bounded.

        Parameters
        ----------
        params : array of shape (n_params,)
        x : array of shape (B, n_x)
        eps : array of shape (K, B, n_latent) or (K, 1, n_latent)
            Uniform noise. The exact estimator needs none, and gives the exact terms.
        """
        checks.flat(params, self.n_params)
        x = self.check_data(x, dtype=params.dtype)
        if self.estimator != "exact":
            eps = checks.noise(eps, None, (1, len(x), self.n_latent), params.dtype)
        log_lik, kl = np.empty(len(x), params.dtype), np.empty(len(x), params.dtype)
        encoder, decoder, likelihood = self.unpack(params)
        for rows in row_chunks(len(x), 2**self.n_latent if self.estimator == "exact" else len(eps)):
            phi, _ = self.encoder.forward(encoder, x[rows])
            z, w = self._codes(phi, eps if eps is None else eps[:, rows])
            out, _ = self.decoder.forward(decoder, z.reshape(-1, self.n_latent))
            log_lik[rows] = np.sum(w * self._log_lik(likelihood, out, x[rows])[0], axis=0)
            kl[rows] = self._kl(phi)
        return ElboTerms(log_lik, kl)

    def exact_terms(self, params: Array, x: Any) -> ElboTerms:
        """Return the exact terms of the ELBO of each example, by enumeration of the codes."""
        return self._exact.terms(params, x)

    def log_prob(self, params: Array, x: Any) -> Array:
        """Return the exact log p(x) in nats, shape (B,): the log of the mean of p(x|z) over all codes."""
        checks.flat(params, self.n_params)
        x = self.check_data(x, dtype=params.dtype)
        _, decoder, likelihood = self.unpack(params)
        out, _ = self.decoder.forward(decoder, all_states(self.n_latent).astype(params.dtype))
        chunks = row_chunks(len(x), len(out))
        return np.concatenate([log_mean_exp(self._exact._log_lik(likelihood, out, x[rows])[0]) for rows in chunks])

    @cached_property
    def _exact(self) -> "BernoulliVAE":
        return BernoulliVAE(self.encoder, self.decoder, self.likelihood, "exact")

    # ----------------------------------------------------------------------------------------- using it

    def embed(self, params: Array, x: Any) -> Array:
        """Return the probabilities theta of the bits, shape (B, n_latent)."""
        return sigmoid(self._head(params, x))

    def reconstruct(self, params: Array, x: Any) -> Array:
        """Return E[x|z] at the most probable code of each example, shape (B, n_x)."""
        return self.decode(params, (self._head(params, x) > 0).astype(params.dtype))

    def sample(self, params: Array, n: int, rng: np.random.Generator) -> Array:
        """Draw n data points: fair bits, then x from p(x|z); shape (n, n_x)."""
        checks.flat(params, self.n_params)
        z = checks.generator(rng).integers(0, 2, (checks.width(n, "n"), self.n_latent)).astype(params.dtype)
        _, decoder, likelihood = self.unpack(params)
        return self.likelihood.sample(likelihood, self.decoder.forward(decoder, z)[0], rng)
