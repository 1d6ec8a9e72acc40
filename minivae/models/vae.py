"""The variational autoencoder: encoder, posterior, prior, decoder and likelihood make the ELBO and its gradient.

The way of the data, and the same picture read from right to left in ``loss_and_grad``::

    x --encoder--> head --posterior(eps)--> z --decoder--> out --likelihood(x)--> log p(x|z)
                     |                      |
                     +------ KL, or log q(z|x) - log p(z) at the draw
"""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, cast

import numpy as np

from minivae.core import checks, errors
from minivae.core.arrays import Array, log_mean_exp
from minivae.core.boxes import Box
from minivae.core.errors import NonFiniteError, raise_non_finite
from minivae.core.parallel import row_chunks
from minivae.core.registry import formerly, saved
from minivae.core.seeds import Stream, stream
from minivae.core.trust import looks_once
from minivae.distributions.families import named_posterior, named_prior
from minivae.distributions.kl import ClosedKl, closed_kl
from minivae.distributions.likelihoods import Bernoulli, named_likelihood
from minivae.distributions.mixtures import AsksTheEncoder
from minivae.distributions.protocols import Likelihood, Posterior, Prior, Relaxable
from minivae.estimators.backward import head_gradient
from minivae.estimators.k_sample import Bound
from minivae.estimators.objectives import Elbo
from minivae.estimators.second_pass import SecondPass
from minivae.estimators.terms import ElboTerms
from minivae.estimators.weights import Draws, even_share, even_weights
from minivae.models import bounds
from minivae.models.base import EncoderDecoder, Networks, Quantity, mirrored, networks_from, quantity
from minivae.models.code_costs import CodeCost
from minivae.nn.dropout import n_noise
from minivae.nn.layer import Layer
from minivae.nn.sequential import Sequential

_TEST_DRAWS = 16
_EXACT_STATES = 4096  # up to which `evaluate` enumerates them


@saved
@dataclass(frozen=True)
class VAE(EncoderDecoder):
    """A variational autoencoder, described by its five boxes.

        ELBO(x) = E_q[log p(x|z)] - KL(q(z|x) || p(z)) <= log p(x)   (nats).

    The description owns no arrays: parameters are one flat vector that the caller holds,
    [encoder | posterior | prior | decoder | likelihood], and its dtype (float32 or float64) is the dtype of everything.

    Parameters
    ----------
    encoder : Sequential
        From n_x values to posterior.n_head.
    posterior : Posterior
        What the head means; ``DiagonalGaussian`` for (mu, log_var), ``Bits`` for logits, say.
    decoder : Sequential
        From n_latent values to likelihood.n_out(n_x).
    likelihood : Likelihood
        p(x|z).
    prior : Prior, optional
        p(z); the one that goes with the posterior unless given: N(0, I), or fair bits. It may learn along, and one that
        ``AsksTheEncoder`` describes is made of heads that the encoder gives of pseudo-inputs.

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
    prior: Prior = None  # type: ignore[assignment]  # set by __post_init__
    variational = True
    random = True

    def __post_init__(self) -> None:
        self._check_boxes()
        checks.has(self.posterior, ("n_head", "sample", "score"), "posterior", "a posterior", "DiagonalGaussian(2)")
        if self.prior is None:
            object.__setattr__(self, "prior", self.posterior.prior())
        checks.has(self.prior, ("n_latent", "log_prob", "sample"), "prior", "a prior", "StandardNormal(2)")
        if self.prior.n_latent != self.posterior.n_latent:
            raise ValueError(
                f"prior must have the {self.posterior.n_latent} latents of the posterior, got {self.prior.n_latent}. "
                f"Make them agree."
            )
        self._check_widths(self.posterior.n_head, self.posterior.n_latent)
        if self._asking is not None:
            self._asking.check_model(self.posterior, self.n_x)
            if getattr(self.likelihood, "ragged", False):
                raise ValueError(
                    f"prior must not be made of rows of data where these have lengths, got "
                    f"{type(self.prior).__name__}. Choose 'mixture', say."
                )

    @classmethod
    def mlp(
        cls,
        n_x: int,
        n_latent: int,
        n_hidden: Sequence[int] = (128,),
        activation: Layer | str = "relu",
        likelihood: Likelihood | str | None = None,
        posterior: Posterior | str = "diagonal",
        prior: Prior | str | None = None,
        n_components: int | None = None,
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
        posterior : Posterior or str
            Or its name: diagonal, full, symmetric, iaf, planar, bits, categorical, fixed.
        prior : Prior or str, optional
            Or its name: normal, mixture, vamp. The posterior's own unless given.
        n_components : int, optional
            Of a prior given by name that is a mixture.
        """

        def dense(n_head: int, n_latent: int, likelihood: Likelihood) -> Networks:
            return (*mirrored(n_x, n_head, n_latent, n_hidden, activation, likelihood), likelihood)

        return cls.of(dense, n_latent, likelihood, posterior, prior, n_components)

    @classmethod
    def of(
        cls,
        networks: Callable[..., Networks],
        n_latent: int,
        likelihood: Likelihood | str | None = None,
        posterior: Posterior | str = "diagonal",
        prior: Prior | str | None = None,
        n_components: int | None = None,
    ) -> "VAE":
        """Build a VAE of networks of any kind.

        Parameters
        ----------
        networks : callable
            From n_head, n_latent and likelihood, by name, to encoder, decoder and the likelihood of whole rows:
            ``partial(mv.models.convolutional, (1, 28, 28))``, say.
        n_latent, likelihood, posterior, prior, n_components
            As of ``mlp``.

        Examples
        --------
        >>> from functools import partial
        >>> from minivae.models import convolutional
        >>> VAE.of(partial(convolutional, (1, 28, 28), channels=[4, 8]), n_latent=20).n_params
        25121
        """
        likelihood = named_likelihood(likelihood, Bernoulli())
        posterior = named_posterior(posterior, checks.width(n_latent, "n_latent"))
        encoder, decoder, likelihood = networks_from(networks, posterior.n_head, n_latent, likelihood)
        chosen = named_prior(prior, posterior, n_components, likelihood, cast(int, encoder.n_in))
        return cls(encoder, posterior, decoder, likelihood, cast(Prior, chosen))

    @cached_property
    def boxes(self) -> dict[str, Box]:
        """The five boxes by name, in the order of their parameters."""
        names = ("encoder", "posterior", "prior", "decoder", "likelihood")
        return {name: getattr(self, name) for name in names}

    @cached_property
    def closed_kl(self) -> ClosedKl | None:
        """The formula of KL(q(z|x) || p(z)), or None where it has to be sampled."""
        return closed_kl(self.posterior, self.prior)

    @cached_property
    def _asking(self) -> AsksTheEncoder | None:
        """The prior, where its density is made of heads that the encoder gives."""
        return self.prior if isinstance(self.prior, AsksTheEncoder) else None

    def prior_params(self, params: Array) -> Array:
        """Return what the prior's density takes: its own parameters, or the heads of its pseudo-inputs, flat."""
        encoder, _, prior, _, _ = self.unpack(params)
        return self._ask(encoder, prior)[0]

    def _ask(self, encoder: Array, prior: Array) -> tuple[Array, Any]:
        """Return what the prior's density takes, and the cache of the way there, None where there is none."""
        if self._asking is None:
            return prior, None
        inputs = self._asking.inputs(prior)
        heads, cache = self.encoder.forward(encoder, inputs)
        return heads.ravel(), (inputs, cache)

    def _asked_backward(self, own: tuple[Array, Array], cache: Any, dheads: Array, grads: tuple[Array, Array]) -> None:
        """Add to the encoder's gradient, and overwrite the prior's, given that of the heads of the pseudo-inputs."""
        asking, (encoder, prior), (inputs, encoder_cache), (dencoder, dprior) = self._asking, own, cache, grads
        assert asking is not None
        also = np.empty_like(dencoder)
        dheads = dheads.reshape(asking.heads_shape)
        dinputs = self.encoder.backward(encoder, encoder_cache, dheads, also, need_dx=True)
        dencoder += also
        asking.inputs_backward(prior, inputs, cast(Array, dinputs), dprior)

    @cached_property
    def objective(self) -> Elbo:
        """What the model is trained for unless said otherwise: the ELBO."""
        return Elbo().resolved(self)

    @property
    def continuous(self) -> bool:
        """Whether z is real and has a path."""
        return self.posterior.has_path

    # ------------------------------------------------------------------------------------- the gradient

    @looks_once
    def loss_and_grad(
        self,
        params: Array,
        x: Array,
        eps: Any,
        grads: Array,
        objective: Bound | None = None,
        *,
        weights: Array | None = None,
        baseline: float | Array = 0.0,
    ) -> tuple[float, ElboTerms]:
        """Return the loss and the ELBO's terms, and overwrite ``grads`` with the loss's gradient.

            loss = mean over the batch of [ beta KL - sum_k w_k log p(x|z_k) ],   z_k = z(eps_k)

        With a closed KL it is the formula; with a sampled one it is sum_k w_k [log q(z_k|x) - log p(z_k)].
        The estimator says how the gradient reaches the encoder: ``mv.estimators.weights`` is the table. The loss and
        the decoder's gradient do not depend on it. "pathwise" is the derivative of this loss as a function of the
        parameters; the others have the same expectation over eps.

        Parameters
        ----------
        params, grads : array of shape (n_params,)
            ``grads`` has the dtype of ``params`` and is overwritten.
        x : array of shape (B, n_x)
            Checked for shape only: ``check_data`` looks at every value, once.
        eps : array of shape (K, B, n_latent)
            Noise of the posterior (``draw_noise``), or quadrature nodes. Not used where the estimator enumerates. With
            Dropout in the networks, what ``training_noise`` gives, or nothing is dropped.
        objective : Elbo or KSampleBound, optional
            Estimator, beta and KL; ``model.objective`` unless given. Of a KSampleBound the loss is
            -log sum_k w_k p(x, z_k) / q(z_k|x), averaged over the batch.
        weights : array of shape (K,), optional
            Weights of the draws; 1 / K unless given (quadrature weights, say).
        baseline : float or array of shape (B,)
            Taken off the score function's signal; it must not depend on these draws.

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
        if self._n_dropped and getattr(eps, "shape", ())[2:] == (self.posterior.n_latent + sum(self._n_dropped),):
            shown, eps = self._dropping(eps)
            return shown.loss_and_grad(params, x, eps, grads, objective, weights=weights, baseline=baseline)
        checks.gradient(params, grads, self.n_params)
        x = checks.batch(x, self.n_x, params.dtype)
        objective = self._resolved(objective)
        eps = self._noise(eps, len(x), params.dtype, objective)
        objective.check(self, 1 if eps is None else len(eps))
        encoder, posterior, own_prior, decoder, likelihood = self.unpack(params)
        dencoder, dposterior, own_dprior, ddecoder, dlikelihood = self.unpack(grads)

        # forward
        head, encoder_cache = self.encoder.forward(encoder, x)  # (B, n_head)
        prior, asked = self._ask(encoder, own_prior)
        z, log_q, path = self._draw(posterior, head, eps)  # (K, B, L), (K, B); all states: (S, 1, L), (S, B)
        out, decoder_cache = self.decoder.forward(decoder, z.reshape(-1, z.shape[-1]))  # (K B, n_out), (S, n_out)
        log_lik, likelihood_cache = self.likelihood.forward(likelihood, _for_each(out, z, x), x)  # (K B,)
        log_prior = None if objective.kl == "closed" else self._log_prior(prior, z, log_q)
        w, share = self._weights(weights, log_q, eps is None, -1 / len(x))
        draws = Draws(log_lik.reshape(log_q.shape), log_q, log_prior, share, objective.final_beta)
        terms = objective.terms(self._terms(draws, w, prior, head, objective.free_bits), draws, w)
        loss = objective.loss(terms)
        if not math.isfinite(loss):
            raise_non_finite(self.trace(params, x, eps, objective), "the loss")

        # backward: the same boxes from right to left
        counts = objective.weights(draws, baseline)
        drows = self.likelihood.backward(likelihood, likelihood_cache, counts.decoder.ravel(), dlikelihood)
        dout = drows if len(drows) == len(out) else drows.reshape(len(out), len(x), -1).sum(axis=1)
        dcodes = self.decoder.backward(decoder, decoder_cache, dout, ddecoder, need_dx=counts.path is not None)
        dz = None if dcodes is None else dcodes.reshape(z.shape)
        boxes, theirs = (self.posterior, self.prior), (posterior, prior)
        dprior = own_dprior if asked is None else np.empty_like(prior)
        seen = partial(self._seen_again, head, eps, z, draws, (decoder, likelihood), x)
        dhead = head_gradient(counts, draws, boxes, theirs, (dposterior, dprior), z, path, dz, seen)
        if self.closed_kl is not None and log_prior is None and objective.final_beta:
            dhead += self._kl_backward(cast(Elbo, objective), terms, prior, head, dprior)
        self.encoder.backward(encoder, encoder_cache, dhead, dencoder, need_dx=False)
        if asked is not None:
            self._asked_backward((encoder, own_prior), asked, dprior, (dencoder, own_dprior))
        return loss, terms

    def _seen_again(
        self, head: Array, eps: Array, z: Array, draws: Draws, params: tuple[Array, Array], x: Array
    ) -> SecondPass:
        """Return the draws and log p(x|z) at any codes, for an estimator that looks at it a second time."""
        return SecondPass(cast(Relaxable, self.posterior), head, eps, z, draws.log_lik, CodeCost(self, params, x))

    def _resolved(self, objective: Bound | None) -> Bound:
        if objective is None or objective is self.objective:  # the usual case, at the price of a look
            return self.objective
        if type(objective) is not Elbo:
            checks.has(objective, ("resolved", "loss"), "objective", "an objective", "Elbo(beta=4.0)")
        return objective.resolved(self)

    @cached_property
    def _n_dropped(self) -> tuple[int, int] | None:
        """Numbers of noise that Dropout in the encoder and in the decoder takes for a row, None where there is none."""
        counts = n_noise([self.encoder]), n_noise([self.decoder])
        return counts if any(counts) else None

    def training_noise(self, rng: np.random.Generator, n_draws: int, n_batch: int, dtype: Any) -> Array | None:
        """Return the posterior's noise, and where layers drop entries their noise in [0, 1) after it."""
        eps = self.draw_noise(rng, n_draws, n_batch, dtype)
        if self._n_dropped is None or eps is None:
            return eps
        uniform = rng.random((n_draws, n_batch, sum(self._n_dropped)), dtype=np.dtype(dtype).type)
        return np.concatenate([eps, uniform], axis=2)

    def _dropping(self, eps: Array) -> tuple["VAE", Array]:
        """Return the model whose layers drop what the noise says, the encoder's by the first draw's, and the rest."""
        n_latent, (n_encoder, n_decoder) = self.posterior.n_latent, cast(tuple[int, int], self._n_dropped)
        shown, uniform = copy.copy(self), eps[:, :, n_latent:]
        if n_encoder:
            object.__setattr__(shown, "encoder", self.encoder.given(uniform[0, :, :n_encoder]))
        if n_decoder:
            object.__setattr__(shown, "decoder", self.decoder.given(uniform[:, :, n_encoder:].reshape(-1, n_decoder)))
        return shown, np.ascontiguousarray(eps[:, :, :n_latent])

    def _noise(self, eps: Any, n_batch: int, dtype: Any, objective: Bound) -> Array | None:
        """Return checked noise, or None where the states are enumerated."""
        if objective.row.enumerates:
            return None
        eps = checks.noise(eps, (n_batch, self.posterior.n_latent), dtype)
        self.posterior.check_noise(eps)
        return eps

    def _draw(self, posterior: Array, head: Array, eps: Array | None) -> tuple[Array, Array, Any]:
        """Return z, log q(z|x) and the cache, of draws or of every state."""
        return self.posterior.states(posterior, head) if eps is None else self.posterior.sample(posterior, head, eps)

    def _log_prior(self, prior: Array, z: Array, log_q: Array) -> Array:
        log_prior = self.prior.log_prob(prior, z)
        return log_prior if log_prior.shape == log_q.shape else np.broadcast_to(log_prior, log_q.shape)

    def _weights(self, weights: Any, log_q: Array, all_states: bool, total: float) -> tuple[Array, Array]:
        """Return the weights of a mean over the draws, (K,) or (K, B), and total times them, (K, B)."""
        if all_states:
            q = np.exp(log_q)
            return q, q * q.dtype.type(total)
        n_draws, n_batch = log_q.shape
        if weights is None:
            return even_weights(n_draws, log_q.dtype), even_share(n_draws, n_batch, total, log_q.dtype)
        w = checks.draw_weights(weights, n_draws, log_q.dtype)
        return w, np.multiply.outer(w * w.dtype.type(total), np.ones(n_batch, w.dtype))

    def _kl_backward(self, objective: Elbo, terms: ElboTerms, prior: Array, head: Array, dprior: Array) -> Array:
        """Overwrite the prior's gradient and return dhead, through a closed KL."""
        kl: Any = self.closed_kl
        backward = kl.backward_per_latent if objective.free_bits else kl.backward
        return backward(prior, head, objective.kl_share(terms), dprior)

    def _terms(self, draws: Draws, w: Array, prior: Array, head: Array, free_bits: float) -> ElboTerms:
        if draws.log_prior is None and self.closed_kl is not None:
            each = self.closed_kl.per_latent(prior, head) if free_bits else None
            return ElboTerms(_mean(w, draws.log_lik), self.closed_kl.value(prior, head), kl_per_latent=each)
        return ElboTerms(_mean(w, draws.log_lik), _mean(w, draws.log_q - cast(Array, draws.log_prior)))

    def trace(self, params: Array, x: Array, eps: Any, objective: Bound | None = None) -> Iterator[tuple[str, Array]]:
        """Yield the name and the value of every array on the way from the parameters to the ELBO's terms.

        Examples
        --------
        >>> import numpy as np
        >>> model = VAE.mlp(n_x=4, n_latent=1, n_hidden=[])
        >>> trace = model.trace(model.init(np.random.default_rng(0)), np.ones((3, 4)), np.zeros((2, 3, 1)))
        >>> {name: array.shape for name, array in trace}["z"]
        (2, 3, 1)
        """
        objective = self._resolved(objective)
        checks.flat(params, self.n_params)
        x = checks.batch(x, self.n_x, params.dtype)
        eps = self._noise(eps, len(x), params.dtype, objective)
        yield from self.named(params)
        yield "x", x
        if eps is not None:
            yield "eps", eps
        encoder, posterior, _, decoder, likelihood = self.unpack(params)
        prior, head = self.prior_params(params), x
        for name, head in self.encoder.trace(encoder, x):
            yield f"encoder layer {name}", head
        z, log_q, _ = self._draw(posterior, head, eps)
        yield "z", z
        out = z.reshape(-1, z.shape[-1])
        for name, y in self.decoder.trace(decoder, out):
            out = y
            yield f"decoder layer {name}", y
        yield "log p(x|z)", self.likelihood.log_prob(likelihood, _for_each(out, z, x), x)
        if objective.kl == "closed" and self.closed_kl is not None:
            yield "KL", self.closed_kl.value(prior, head)
        else:
            yield "KL", log_q - self._log_prior(prior, z, log_q)

    # --------------------------------------------------------------------------------------- evaluation

    def draw_noise(self, rng: np.random.Generator, n_draws: int, n_batch: int, dtype: Any) -> Array:
        """Return the posterior's noise, shape (n_draws, n_batch, n_latent)."""
        shape = checks.width(n_draws, "n_draws"), checks.width(n_batch, "n_batch"), self.posterior.n_latent
        return self.posterior.draw_noise(checks.generator(rng), shape, checks.float_dtype(dtype))

    def draw(self, params: Array, x: Array, eps: Array | None) -> tuple[Array, Array, Draws]:
        """Return head (B, n_head), z (K, B, L) and what is known of the draws; unchecked. All states without eps."""
        encoder, posterior, prior, decoder, likelihood = self.unpack(params)
        prior, _ = self._ask(encoder, prior)
        head, _ = self.encoder.forward(encoder, x)
        z, log_q, _ = self._draw(posterior, head, eps)
        out, _ = self.decoder.forward(decoder, z.reshape(-1, z.shape[-1]))
        log_lik = self.likelihood.log_prob(likelihood, _for_each(out, z, x), x).reshape(log_q.shape)
        share = even_share(*log_q.shape, 1.0, log_q.dtype)
        return head, z, Draws(log_lik, log_q, self._log_prior(prior, z, log_q), share)

    @errors.spoken("the ELBO")
    @looks_once
    def terms(
        self,
        params: Array,
        x: Any,
        *,
        eps: Any = None,
        rng: np.random.Generator | None = None,
        n_draws: int = 1,
        objective: Bound | None = None,
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
        objective : Elbo, optional
            Says whether the KL is closed or sampled; with the estimator "exact" all states are enumerated, and neither
            eps nor rng is needed.
        weights : array of shape (K,), optional
            Weights of the draws; 1 / K unless given.

        Returns
        -------
        ElboTerms
            log_lik and kl of shape (B,), in nats; of the K-sample bound also iwae_bound.
        """
        checks.flat(params, self.n_params)
        x = self.check_data(x, dtype=params.dtype)
        objective = self._resolved(objective)
        n_draws, enumerates = checks.width(n_draws, "n_draws"), objective.row.enumerates
        if not enumerates:
            checks.noise_or_generator(eps, rng)
        if eps is not None and not enumerates:
            eps = checks.finite(cast(Array, self._noise(eps, len(x), params.dtype, objective)), "eps")
            n_draws = len(eps)
        parts: list[ElboTerms] = []
        prior = self.prior_params(params)
        for rows in row_chunks(len(x), self.posterior.n_states or 1 if enumerates else n_draws):
            n_batch = rows.stop - rows.start
            e = None
            if not enumerates:
                e = self.draw_noise(cast(Any, rng), n_draws, n_batch, params.dtype) if eps is None else eps[:, rows]
            head, _, draws = self.draw(params, x[rows], e)
            w, _ = self._weights(weights, draws.log_q, enumerates, 1.0)
            if objective.kl == "closed":
                draws.log_prior = None
            terms = self._terms(draws, w, prior, head, objective.free_bits)
            parts.append(objective.terms(terms, draws, w))
        return parts[0].joined(parts)

    def elbo(self, params: Array, x: Any, **how: Any) -> Array:
        """Return the ELBO of each example in nats, shape (B,); arguments as in ``terms``. Higher is better."""
        return self.terms(params, x, **how).elbo

    @errors.spoken("log p(x)")
    def log_prob(self, params: Array, x: Any) -> Array:
        """Return the exact log p(x) in nats, shape (B,), by enumeration of all states of z: log sum_z p(z) p(x|z).

        Raises
        ------
        ValueError
            If z has no states that can be enumerated.
        """
        checks.parameters_of(self, params)
        x = self.check_data(x, dtype=params.dtype)
        n_states = self.posterior.n_states
        if n_states is None:
            raise ValueError(
                f"posterior must have states that can be enumerated, got {type(self.posterior).__name__} with "
                f"{self.posterior.n_latent} latents. Estimate log p(x) by log_marginal."
            )
        parts = []
        for rows in row_chunks(len(x), n_states):
            _, _, draws = self.draw(params, x[rows], None)
            parts.append(log_mean_exp(draws.log_lik + cast(Array, draws.log_prior)) + math.log(n_states))
        return np.concatenate(parts)

    def quantities(self, params: Array, x: Array, seed: int, n_draws: int | None = None) -> list[Quantity]:
        """Return the ELBO and its parts; with n_draws also the bounds, log p(x) and what the latents do."""
        checks.seed(seed)
        n_draws = None if n_draws is None else checks.width(n_draws, "n_draws")
        with np.errstate(over="ignore", invalid="ignore"):
            terms = self.terms(params, x, rng=stream(seed, Stream.TEST_NOISE), n_draws=_TEST_DRAWS)
        bad = int((~np.isfinite(terms.elbo)).sum())
        if bad:
            raise NonFiniteError(
                f"the ELBO of {bad} of {len(x)} examples is not finite",
                "They lie far from the data that the model was trained on: check their units.",
            )
        rows = [quantity("elbo", terms.elbo), quantity("log_lik", terms.log_lik), quantity("kl", terms.kl)]
        if n_draws is None:
            return rows
        rng, density = stream(seed, Stream.IMPORTANCE), self.likelihood.is_density(x)
        bound, final = ("IWAE bound", "log p(x) estimate") if density else ("cross-entropy K-sample bound",) * 2
        for k in (5, 50):
            if k < n_draws:
                rows.append(quantity(f"{bound}, K={k}", bounds.importance_estimate(self, params, x, k, rng).log_p))
        estimate = bounds.log_marginal(self, params, x, n_draws, rng)
        rows.append(quantity(f"{final}, K={n_draws}", estimate.log_p))
        rows.append(quantity("effective sample size, mean", estimate.ess, "draws"))
        rows.append(quantity("effective sample size, smallest", float(estimate.ess.min()), "draws"))
        if (self.posterior.n_states or math.inf) <= _EXACT_STATES:
            rows.append(quantity("exact elbo", self.elbo(params, x, objective=Elbo("exact"))))
            rows.append(
                quantity("exact log p(x)" if density else "exact cross-entropy bound", self.log_prob(params, x))
            )
        if self.closed_kl is not None:
            per_latent = self.closed_kl.per_latent(self.prior_params(params), self.encode(params, x))
            rows += [quantity(f"KL of latent {j + 1}", column) for j, column in enumerate(per_latent.T)]
        # a latent is active where its posterior mean moves with x (Burda et al. 2016, section 5.2)
        active = int((self.embed(params, x).var(axis=0) > 0.01).sum())
        return [*rows, quantity("active latents", active, "latents")]

    def meaning(self, x: Array) -> str:
        """Say what the ELBO is for such data."""
        if self.likelihood.is_density(checks.data(x, self.n_x)):
            return "the ELBO is a lower bound on log p(x)"
        return "the ELBO is a cross-entropy bound: x lies strictly between 0 and 1, so it is no bound on log p(x)"

    @errors.spoken("what the latents say")
    def says(self, params: Array, x: Any) -> Array:
        """Return the mean KL of each latent, or where it has no formula the variance of its mean, shape (n_latent,)."""
        if self.closed_kl is None:
            return self.embed(params, x).var(axis=0)
        return self.closed_kl.per_latent(self.prior_params(params), self.encode(params, x)).mean(axis=0)

    # ----------------------------------------------------------------------------------------- using it

    def seen(self, x: Any, rng: np.random.Generator) -> Array:  # noqa: ARG002
        """Return x: the encoder sees it as it is."""
        return checks.data(x, self.n_x)

    @errors.spoken("the head")
    def encode(self, params: Array, x: Any) -> Array:
        """Return the encoder's head, shape (B, n_head): the parameters of q(z|x)."""
        return self._head(params, x)

    @errors.spoken("the code")
    def embed(self, params: Array, x: Any) -> Array:
        """Return the posterior means E_q[z], shape (B, n_latent); of a flow as near as fixed draws tell."""
        return self.posterior.mean(self.unpack(params)[1], self._head(params, x))

    @errors.spoken("the reconstruction")
    def reconstruct(self, params: Array, x: Any) -> Array:
        """Return E[x|z] at the code of each example: mean, mode or centre of q(z|x); shape (B, n_x)."""
        return self.decode(params, self.posterior.code(self.unpack(params)[1], self._head(params, x)))

    @errors.spoken("the sample")
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
        checks.parameters_of(self, params)
        checks.size(checks.width(n, "n") * self.n_x, "n", n)
        mean = checks.flag(mean, "mean")
        *_, decoder, likelihood = self.unpack(params)
        z = self.prior.sample(self.prior_params(params), n, checks.generator(rng))
        out, _ = self.decoder.forward(decoder, z)
        return self.likelihood.mean(likelihood, out) if mean else self.likelihood.sample(likelihood, out, rng)


def _for_each(out: Array, z: Array, x: Array) -> Array:
    """Return a decoder row for each draw of each example: those of states, which all examples share, are repeated."""
    return np.repeat(out, len(x), axis=0) if z.shape[1] != len(x) else out


def _mean(w: Array, values: Array) -> Array:
    """Return the mean over the draws, shape (B,), under weights of shape (K,) or (K, B)."""
    return w @ values if w.ndim == 1 else np.sum(w * values, axis=0)


@formerly("BernoulliVAE")
def _read_bernoulli_vae(fields: dict[str, Any]) -> VAE:
    """Read what was a class of its own; its estimator is a setting of the training now."""
    posterior = named_posterior("bits", fields["decoder"].n_in)
    return VAE(fields["encoder"], posterior, fields["decoder"], fields["likelihood"])
