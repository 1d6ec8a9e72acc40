"""The variational autoencoder: encoder, posterior, decoder and likelihood make the ELBO and its gradient.

The way of the data, and the same picture read from right to left in ``loss_and_grad``::

    x --encoder--> head --posterior(eps)--> z --decoder--> out --likelihood(x)--> log p(x|z)
                     |                      |
                     +------ KL, or log q(z|x) - log p(z) at the draw
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array
from minivae.core.errors import raise_non_finite
from minivae.core.parallel import row_chunks
from minivae.core.registry import saved
from minivae.distributions.diagonal import DiagonalGaussian
from minivae.distributions.likelihoods import Bernoulli, named_likelihood
from minivae.distributions.priors import prior_log_prob
from minivae.distributions.protocols import Likelihood, Posterior
from minivae.estimators.elbo_gradients import (
    KL_MODES,
    ElboEstimator,
    KlMode,
    check_estimator,
    draw_values,
    path_gradient,
)
from minivae.estimators.signals import leave_one_out_signal
from minivae.models.base import EncoderDecoder, mirrored
from minivae.nn.layer import Layer
from minivae.nn.sequential import Sequential


@dataclass(frozen=True)
class ElboTerms:
    """The ELBO of each example, in nats, and what it is made of; beta never enters here.

    Attributes
    ----------
    log_lik : array of shape (B,)
        Reconstruction: the mean of log p(x|z) over the draws.
    kl : array of shape (B,)
        KL(q(z|x) || p(z)), in closed form or as the mean of log q(z|x) - log p(z) over the draws.
    """

    log_lik: Array
    kl: Array

    @property
    def elbo(self) -> Array:
        """log_lik - kl: a lower bound on log p(x) in expectation; higher is better."""
        return self.log_lik - self.kl

    def means(self) -> dict[str, float]:
        """Return the batch means of elbo, log_lik and kl, in nats per example."""
        log_lik, kl = (float(np.add.reduce(a)) / len(a) for a in (self.log_lik, self.kl))
        return {"elbo": log_lik - kl, "log_lik": log_lik, "kl": kl}

    def loss(self, beta: float = 1.0) -> float:
        """Return -(log_lik - beta kl) averaged over the batch: what training minimises."""
        # np.add.reduce: these few numbers are summed at every step, and a plain mean costs twice the time
        kl = beta * np.add.reduce(self.kl) if beta else 0.0  # without weight even an infinite KL does not count
        return float(kl - np.add.reduce(self.log_lik)) / len(self.kl)


@saved
@dataclass(frozen=True)
class VAE(EncoderDecoder):
    """A variational autoencoder with prior N(0, I), described by its four boxes.

        ELBO(x) = E_q[log p(x|z)] - KL(q(z|x) || p(z)) <= log p(x)   (nats).

    The description owns no arrays: parameters are one flat vector that the caller holds,
    [encoder | decoder | likelihood], and its dtype (float32 or float64) is the dtype of everything.

    Parameters
    ----------
    encoder : Sequential
        From n_x values to posterior.n_head.
    posterior : Posterior
        What the head means; ``DiagonalGaussian`` for (mu, log_var).
    decoder : Sequential
        From n_latent values to likelihood.n_out(n_x).
    likelihood : Likelihood
        p(x|z).

    Raises
    ------
    ValueError
        If the widths of the boxes disagree.

    References
    ----------
    D. P. Kingma, M. Welling, "Auto-encoding variational Bayes", 2014.

    Examples
    --------
    >>> import numpy as np
    >>> model = VAE.mlp(n_x=4, n_latent=2, n_hidden=[8])
    >>> rng = np.random.default_rng(0)
    >>> params = model.init(rng)
    >>> x = (rng.random((5, 4)) < 0.5).astype(float)
    >>> model.elbo(params, x, rng=rng, n_draws=3).shape
    (5,)
    """

    encoder: Sequential
    posterior: Posterior
    decoder: Sequential
    likelihood: Likelihood

    def __post_init__(self) -> None:
        self._check_widths(self.posterior.n_head, self.posterior.n_latent)

    @classmethod
    def mlp(
        cls,
        n_x: int,
        n_latent: int,
        n_hidden: Sequence[int] = (128,),
        activation: Layer | str = "relu",
        likelihood: Likelihood | str | None = None,
    ) -> "VAE":
        """Build a VAE from dense layers, the decoder mirroring the encoder.

        Parameters
        ----------
        n_x, n_latent : int
            Width of the data and dimension of z.
        n_hidden : sequence of int
            Hidden widths of the encoder, from the data inwards; may be empty (a linear VAE).
        activation : Layer or str
            Between the dense layers.
        likelihood : Likelihood or str
            Or its name: bernoulli, gaussian, gaussian-learned, gaussian-per-pixel. Bernoulli() unless given.
        """
        likelihood = named_likelihood(likelihood, Bernoulli())
        posterior = DiagonalGaussian(n_latent)
        encoder, decoder = mirrored(n_x, posterior.n_head, n_latent, n_hidden, activation, likelihood)
        return cls(encoder, posterior, decoder, likelihood)

    # ------------------------------------------------------------------------------------- the gradient

    def loss_and_grad(
        self,
        params: Array,
        x: Array,
        eps: Array,
        grads: Array,
        *,
        beta: float = 1.0,
        kl: KlMode = "closed",
        weights: Array | None = None,
        estimator: ElboEstimator = "pathwise",
        baseline: float | Array = 0.0,
    ) -> tuple[float, ElboTerms]:
        """Return the loss and the ELBO's terms, and overwrite ``grads`` with the loss's gradient.

            loss = mean over the batch of [ beta KL - sum_k w_k log p(x|z_k) ],   z_k = mu + sigma eps_k

        With kl="closed" the KL is the formula; with kl="sampled" it is sum_k w_k [log q(z_k|x) - log p(z_k)].
        The estimator says how the gradient reaches the encoder; the loss and the decoder's gradient do not depend on
        it. "pathwise" is the derivative of this loss as a function of the parameters; the others have the same
        expectation over eps: "path-derivative" leaves the score of log q(z|x) out ("sticking the landing" [1]_),
        "score" uses nothing else, and "score-leave-one-out" takes the mean of the other draws off first.

        Parameters
        ----------
        params, grads : array of shape (n_params,)
            ``grads`` has the dtype of ``params`` and is overwritten.
        x : array of shape (B, n_x)
            Checked for shape only: ``check_data`` looks at every value, once.
        eps : array of shape (K, B, n_latent)
            Noise, N(0, 1) draws or quadrature nodes.
        beta : float
            Weight of the KL in the loss and its gradient; the returned terms never contain it.
        kl : {"closed", "sampled"}
        weights : array of shape (K,), optional
            Weights of the draws; 1 / K unless given (quadrature weights, say).
        estimator : {"pathwise", "path-derivative", "score", "score-leave-one-out"}
        baseline : float or array of shape (B,)
            Taken off the score function's signal; it must not depend on these draws.

        References
        ----------
        .. [1] G. Roeder, Y. Wu, D. Duvenaud, "Sticking the landing", 2017.

        Raises
        ------
        ValueError
            If an argument has the wrong shape, dtype or range.
        NonFiniteError
            If the loss is not finite; it names the first array that is not.

        Examples
        --------
        >>> import numpy as np
        >>> model = VAE.mlp(n_x=4, n_latent=1)
        >>> rng = np.random.default_rng(0)
        >>> params, x = model.init(rng), np.ones((3, 4))
        >>> grads = np.empty_like(params)
        >>> loss, terms = model.loss_and_grad(params, x, rng.standard_normal((1, 3, 1)), grads)
        >>> bool(abs(loss + terms.elbo.mean()) < 1e-12)
        True
        """
        checks.gradient(params, grads, self.n_params)
        beta = checks.number(beta, "beta", low=0, closed=True)
        x = checks.batch(x, self.n_x, params.dtype)
        n_batch = len(x)
        eps = checks.noise(eps, None, (1, n_batch, self.posterior.n_latent), params.dtype)
        n_draws = len(eps)
        check_estimator(estimator, kl, n_draws)
        w = checks.draw_weights(weights, n_draws, params.dtype)
        encoder, decoder, likelihood = self.unpack(params)
        dencoder, ddecoder, dlikelihood = self.unpack(grads)

        # forward
        head, encoder_cache = self.encoder.forward(encoder, x)  # (B, n_head)
        z, log_q, path = self.posterior.sample(head, eps)  # (K, B, L), (K, B)
        rows = z.reshape(n_draws * n_batch, -1)  # (K B, L)
        out, decoder_cache = self.decoder.forward(decoder, rows)  # (K B, n_out)
        log_lik, likelihood_cache = self.likelihood.forward(likelihood, out, x)  # (K B,)
        log_lik = log_lik.reshape(n_draws, n_batch)
        divergence = self.posterior.kl(head) if kl == "closed" else w @ (log_q - prior_log_prob(z))
        terms = ElboTerms(log_lik=w @ log_lik, kl=divergence)
        loss = terms.loss(beta)
        if not math.isfinite(loss):
            raise_non_finite(self.trace(params, x, eps, kl=kl), "the loss")

        # backward: the same boxes from right to left
        dlog_lik = (w / -n_batch).repeat(n_batch)  # (K B,): what each decoder row counts in the loss
        dout = self.likelihood.backward(likelihood, likelihood_cache, dlog_lik, dlikelihood)
        a = dlog_lik.reshape(n_draws, n_batch)
        kl_weight = params.dtype.type(beta if kl == "sampled" else 0.0)
        if estimator in ("pathwise", "path-derivative"):
            drows = cast(Array, self.decoder.backward(decoder, decoder_cache, dout, ddecoder))
            dz, total = drows.reshape(z.shape), estimator == "pathwise"
            dhead = path_gradient(self.posterior, head, path, z, a, dz, kl_weight, total)
        else:
            self.decoder.backward(decoder, decoder_cache, dout, ddecoder, need_dx=False)
            f: Array = draw_values(log_lik, log_q, z, kl_weight) - checks.baseline(baseline, n_batch, params.dtype)
            f = leave_one_out_signal(f) if estimator == "score-leave-one-out" else f
            dhead, _ = self.posterior.log_prob_backward(head, z, a * f)
        if kl == "closed" and beta:
            dhead += self.posterior.kl_backward(head, np.full(n_batch, beta / n_batch, params.dtype))
        self.encoder.backward(encoder, encoder_cache, dhead, dencoder, need_dx=False)
        return loss, terms

    def trace(self, params: Array, x: Array, eps: Array, *, kl: KlMode = "closed") -> Iterator[tuple[str, Array]]:
        """Yield the name and the value of every array on the way from the parameters to the ELBO's terms.

        Examples
        --------
        >>> import numpy as np
        >>> model = VAE.mlp(n_x=4, n_latent=1, n_hidden=[])
        >>> trace = model.trace(model.init(np.random.default_rng(0)), np.ones((3, 4)), np.zeros((2, 3, 1)))
        >>> {name: array.shape for name, array in trace}["z"]
        (2, 3, 1)
        """
        yield from self.named(params)
        yield "x", x
        yield "eps", eps
        encoder, decoder, likelihood = self.unpack(params)
        head = x
        for name, head in self.encoder.trace(encoder, x):
            yield f"encoder layer {name}", head
        z, log_q, _ = self.posterior.sample(head, eps)
        yield "z", z
        out = z.reshape(-1, z.shape[-1])
        for name, y in self.decoder.trace(decoder, out):
            out = y
            yield f"decoder layer {name}", y
        yield "log p(x|z)", self.likelihood.log_prob(likelihood, out, x)
        yield "KL", self.posterior.kl(head) if kl == "closed" else log_q - prior_log_prob(z)

    # --------------------------------------------------------------------------------------- evaluation

    def draw_noise(self, rng: np.random.Generator, n_draws: int, n_batch: int, dtype: Any) -> Array:
        """Return N(0, 1) noise of shape (n_draws, n_batch, n_latent)."""
        return checks.generator(rng).standard_normal((n_draws, n_batch, self.posterior.n_latent), dtype=dtype)

    def terms(
        self,
        params: Array,
        x: Any,
        *,
        eps: Any = None,
        rng: np.random.Generator | None = None,
        n_draws: int = 1,
        kl: KlMode = "closed",
        weights: Array | None = None,
    ) -> ElboTerms:
        """Return the ELBO's terms of each example; memory stays bounded however many examples and draws.

        Parameters
        ----------
        params : array of shape (n_params,)
        x : array of shape (B, n_x)
            Checked: finite, in the likelihood's support.
        eps : array of shape (K, B, n_latent) or (K, 1, n_latent), optional
            The noise; or give ``rng``, and n_draws draws of each example are taken from it.
        n_draws : int
            K, where ``rng`` is given.
        kl : {"closed", "sampled"}
        weights : array of shape (K,), optional
            Weights of the draws; 1 / K unless given.

        Returns
        -------
        ElboTerms
            log_lik and kl of shape (B,), in nats.
        """
        checks.flat(params, self.n_params)
        checks.choice(kl, KL_MODES, "kl")
        x = self.check_data(x, dtype=params.dtype)
        shape = (checks.width(n_draws, "n_draws"), len(x), self.posterior.n_latent)
        if rng is None or eps is not None:
            eps = checks.noise(eps, rng, shape, params.dtype)
            n_draws = len(eps)
        w = checks.draw_weights(weights, n_draws, params.dtype)
        log_lik, divergence = np.empty(len(x), params.dtype), np.empty(len(x), params.dtype)
        for rows in row_chunks(len(x), n_draws):
            shape = (n_draws, rows.stop - rows.start, shape[2])
            e = checks.noise(None if eps is None else eps[:, rows], rng, shape, params.dtype)
            head, z, log_q, log_p = self.draw(params, x[rows], e)
            log_lik[rows] = w @ log_p
            divergence[rows] = self.posterior.kl(head) if kl == "closed" else w @ (log_q - prior_log_prob(z))
        return ElboTerms(log_lik, divergence)

    def elbo(self, params: Array, x: Any, **how: Any) -> Array:
        """Return the ELBO of each example in nats, shape (B,); arguments as in ``terms``. Higher is better."""
        return self.terms(params, x, **how).elbo

    def draw(self, params: Array, x: Array, eps: Array) -> tuple[Array, Array, Array, Array]:
        """Return head (B, n_head), z (K, B, L), log q(z|x) (K, B) and log p(x|z) (K, B), unchecked."""
        encoder, decoder, likelihood = self.unpack(params)
        head, _ = self.encoder.forward(encoder, x)
        z, log_q, _ = self.posterior.sample(head, eps)
        out, _ = self.decoder.forward(decoder, z.reshape(-1, z.shape[-1]))
        log_p = self.likelihood.log_prob(likelihood, out, x)
        return head, z, log_q, log_p.reshape(log_q.shape)

    # ----------------------------------------------------------------------------------------- using it

    def encode(self, params: Array, x: Any) -> Array:
        """Return the encoder's head, shape (B, n_head): the parameters of q(z|x)."""
        return self._head(params, x)

    def embed(self, params: Array, x: Any) -> Array:
        """Return the posterior means E_q[z], shape (B, n_latent)."""
        return self.posterior.mean(self._head(params, x))

    def reconstruct(self, params: Array, x: Any) -> Array:
        """Return E[x|z] at the posterior mean of each example, shape (B, n_x)."""
        return self.decode(params, self.embed(params, x))

    def sample(self, params: Array, n: int, rng: np.random.Generator, *, mean: bool = False) -> Array:
        """Draw n data points: z from the prior, then x from p(x|z), or its mean; shape (n, n_x).

        Examples
        --------
        >>> import numpy as np
        >>> model = VAE.mlp(n_x=4, n_latent=1)
        >>> rng = np.random.default_rng(0)
        >>> model.sample(model.init(rng), 3, rng).shape
        (3, 4)
        """
        checks.flat(params, self.n_params)
        n = checks.width(n, "n")
        _, decoder, likelihood = self.unpack(params)
        z = self.draw_noise(rng, 1, n, params.dtype)[0]
        out, _ = self.decoder.forward(decoder, z)
        return self.likelihood.mean(likelihood, out) if mean else self.likelihood.sample(likelihood, out, rng)
