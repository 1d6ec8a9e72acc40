"""What training raises or lowers: the ELBO by an estimator of its gradient, or the reconstruction alone.

An objective is a setting of the training, not a part of a model: the same model can be trained with any that suits it.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array
from minivae.core.registry import saved
from minivae.core.trust import looked
from minivae.estimators.baselines import Baseline
from minivae.estimators.schedules import BetaSchedule
from minivae.estimators.terms import ElboTerms, ReconstructionTerms
from minivae.estimators.weights import ESTIMATORS, KL_MODES, BoundName, Draws, Estimator, KlMode, Weights


class Objective(Protocol):
    """What a training minimises, and how it estimates the gradient."""

    @property
    def variational(self) -> bool:
        """Whether it needs a distribution q(z|x)."""

    def resolved(self, model: Any) -> "Objective":
        """Return the objective with all settled that depends on the model, or refuse a model that it cannot train."""

    def check(self, model: Any, n_draws: int) -> None:
        """Refuse a number of draws with which it cannot work."""

    def usual_draws(self, model: Any) -> int:
        """Return the draws of an example at a step, unless said otherwise."""

    def at(self, epoch: int) -> "Objective":
        """Return the objective of an epoch, counted from 0."""

    def loss(self, terms: Any) -> float:
        """Return the loss, in nats per example."""

    def signal(self, terms: Any) -> Array:
        """Return what a learnt baseline predicts, shape (B,)."""

    def rule(self, model: Any) -> Baseline | None:
        """Return the rule of a baseline that is learnt along the way, or none."""


def _model(model: Any) -> Any:
    if looked.already:
        return model
    return checks.has(model, ("variational", "loss_and_grad"), "model", "a model", "VAE.mlp(n_x=4, n_latent=2)")


def _known(terms: Any, *parts: str) -> Any:
    if type(terms) is (ElboTerms if "kl" in parts else ReconstructionTerms):  # the usual case, at the price of a look
        return terms
    return checks.has(terms, parts, "terms", f"terms with {' and '.join(parts)}", "model.terms(params, x)")


def _kind(model: Any) -> str:
    return type(model).__name__


def check_bound(estimator: str, bound: BoundName) -> None:
    """Refuse an estimator that raises another bound than the objective's.

    >>> check_bound("pathwise", "elbo")
    """
    if ESTIMATORS.choose(estimator).bound != bound:
        fit = [name for name, row in ESTIMATORS.items() if row.bound == bound]
        other = "KSampleBound" if bound == "elbo" else "Elbo"
        raise ValueError(
            f"estimator must be one of {', '.join(fit)} for this objective, got {estimator!r}, which raises another "
            f"bound. Use {other}({estimator!r}), or --bound {ESTIMATORS[estimator].bound}."
        )


def check_path(estimator: str, posterior: Any) -> None:
    """Refuse an estimator that goes through the draw where no path leads through it, or one that relaxes what is real.

    >>> from minivae.distributions import Bits
    >>> check_path("score", Bits(2))
    """
    row = ESTIMATORS.choose(estimator)
    if row.suits(posterior):
        return
    kind = type(posterior).__name__
    fit = {name: other for name, other in ESTIMATORS.items() if other.bound == row.bound and other.suits(posterior)}
    others = ", ".join(name for name, other in fit.items() if not other.biased)
    if row.has_path:
        relaxed = " or ".join(name for name, other in fit.items() if other.biased)
        biased = f", or {relaxed}, which follow the path of a relaxation and are biased" if relaxed else ""
        raise ValueError(
            f"estimator must be one that needs no path for {kind}, got {estimator!r}: the draw is a step, whose "
            f"derivative is zero almost everywhere, so nothing comes back through it. Use one of {others}{biased}."
        )
    what = "bits" if row.needs == "antithetic" else "discrete codes, which it looks between"
    raise ValueError(
        f"estimator must be one that suits {kind}, got {estimator!r}, which is for {what}. Use one of {others}."
    )


@saved
@dataclass(frozen=True)
class Elbo:
    """-ELBO with the KL weighted by beta, and its gradient by an estimator.

        loss = mean over the batch of [ beta KL(q(z|x) || p(z)) - 1/K sum_k log p(x|z_k) ]

    With free bits lambda the KL is that of each latent, averaged over the batch, and at least lambda nats [1]_:

        loss = beta sum_j max(lambda, mean KL_j) - mean over the batch of 1/K sum_k log p(x|z_k)

    so that a latent whose mean KL is at most lambda has no gradient from it, and is free to say so much.

    Parameters
    ----------
    estimator : str, optional
        How the gradient reaches the encoder, a name in ``mv.estimators.ESTIMATORS``. Unless given "pathwise" where a
        path leads through the draw, else "score-leave-one-out".
    beta : float or BetaSchedule
        Weight of the KL in the loss and its gradient; a reported ELBO never contains it. A schedule, ``Warmup`` or
        ``Cycle``, gives each epoch of a training its own. The validation loss, by which the best epoch is told, is
        taken at the beta that the schedule leads to, so that all epochs are judged alike; patience waits until the
        schedule has settled. Outside of a training that beta counts, too.
    kl : {"closed", "sampled"}, optional
        The formula, or log q(z|x) - log p(z) at the draws. Unless given the formula, where there is one and the
        estimator can use it.
    free_bits : float
        lambda, in nats; 0 is the plain KL. It takes the formula for the KL of each latent.
    temperature : float, optional
        Of an estimator that relaxes a discrete draw: the Gumbel-softmax's, whose bias it scales, or the one at which
        REBAR and RELAX start to learn theirs. What is usual unless given.

    Raises
    ------
    ValueError
        If a name is unknown, a value out of range, or the two cannot go together.

    References
    ----------
    .. [1] D. P. Kingma et al., "Improved variational inference with inverse autoregressive flow", 2016, appendix C.8.

    Examples
    --------
    >>> from minivae import VAE
    >>> Elbo(beta=4.0).resolved(VAE.mlp(n_x=4, n_latent=2))
    Elbo(estimator='pathwise', beta=4.0, kl='closed', free_bits=0.0, temperature=None)
    >>> Elbo().resolved(VAE.mlp(n_x=4, n_latent=2, posterior="bits"))
    Elbo(estimator='score-leave-one-out', beta=1.0, kl='closed', free_bits=0.0, temperature=None)
    """

    estimator: str | None = None
    beta: float | BetaSchedule = 1.0
    kl: KlMode | None = None
    free_bits: float = 0.0
    temperature: float | None = None
    variational = True

    def __post_init__(self) -> None:
        if self._schedule is None:
            checks.number(self.beta, "beta", low=0, closed=True)
        checks.number(self.free_bits, "free_bits", low=0, closed=True)
        if self.free_bits and self.kl == "sampled":
            raise ValueError(
                f"kl must be 'closed' with free bits, which need the KL of each latent, got 'sampled' and "
                f"free_bits={self.free_bits:g}. Leave kl away."
            )
        if self.kl is not None:
            checks.choice(self.kl, KL_MODES, "kl")
        if self.estimator is not None:
            check_bound(self.estimator, "elbo")
        if self.estimator is not None and self.kl not in (None, *ESTIMATORS[self.estimator].kl):
            raise ValueError(
                f"kl must be 'sampled' for the estimator {self.estimator!r}, which looks at log p(z) - log q(z|x) at "
                f"the draw, got {self.kl!r}. Use kl='sampled', or another estimator."
                if self.kl == "closed"
                else f"kl must be 'closed' for the estimator {self.estimator!r}, which looks at log p(x|z) between the "
                f"codes, got {self.kl!r}. Leave kl away."
            )
        if self.temperature is not None:
            checks.number(self.temperature, "temperature", low=0)
            usual = [name for name, row in ESTIMATORS.items() if row.temperature is not None]
            if self.estimator not in usual:
                raise ValueError(
                    f"temperature must go with an estimator that relaxes the draw ({', '.join(usual)}), got "
                    f"{self.temperature:g} with {self.estimator!r}. Leave it away."
                )

    @cached_property
    def _schedule(self) -> BetaSchedule | None:
        parts = ("at", "final", "settles")
        given: Any = self.beta
        return given if not isinstance(given, type) and all(hasattr(given, part) for part in parts) else None

    @cached_property
    def final_beta(self) -> float:
        """beta, or the one that its schedule leads to: what counts outside of a training."""
        return self.beta if self._schedule is None else self._schedule.final  # type: ignore[return-value]

    @property
    def settles(self) -> int:
        """The epoch from which on patience counts: 0, or where the schedule of beta has settled."""
        return 0 if self._schedule is None else self._schedule.settles

    @cached_property
    def row(self) -> Estimator:
        """The estimator's row of the table."""
        return ESTIMATORS[self.estimator or "pathwise"]

    def resolved(self, model: Any) -> "Elbo":
        """Return the objective with estimator and KL named, or refuse a model that it cannot train."""
        if not _model(model).variational:
            raise ValueError(
                f"objective must be Reconstruction() for {_kind(model)}, whose code is one point and has no KL, got "
                f"{self!r}. Leave estimator, beta and kl away."
            )
        posterior = model.posterior
        estimator = self.estimator or ("pathwise" if posterior.has_path else "score-leave-one-out")
        row = ESTIMATORS.choose(estimator)
        check_path(estimator, posterior)
        if row.enumerates and posterior.n_states is None:
            raise ValueError(
                f"estimator must be one that draws for {type(posterior).__name__} with {posterior.n_latent} latents, "
                f"whose states cannot be enumerated, got {estimator!r}. Use 'score-leave-one-out', or fewer bits."
            )
        closed = model.closed_kl is not None
        if self.kl == "closed" and not closed:
            raise ValueError(
                f"kl must be 'sampled' for {type(posterior).__name__} and {type(model.prior).__name__}, which have no "
                f"formula for their KL, got 'closed'. Leave kl away."
            )
        if self.free_bits and not (closed and "closed" in row.kl):
            raise ValueError(
                f"free_bits must be 0 where the KL of each latent has no formula, or {estimator!r} cannot use it, got "
                f"{self.free_bits:g} with {type(posterior).__name__} and {type(model.prior).__name__}. Leave it away, "
                f"or use a posterior and a prior with a closed KL."
            )
        if not closed and "sampled" not in row.kl:
            raise ValueError(
                f"estimator must be one that can sample the KL of {type(posterior).__name__} from "
                f"{type(model.prior).__name__}, which has no formula, got {estimator!r}. Use 'score-leave-one-out'."
            )
        kl: KlMode = self.kl or ("closed" if closed and "closed" in row.kl else "sampled")
        return self if (estimator, kl) == (self.estimator, self.kl) else replace(self, estimator=estimator, kl=kl)

    def check(self, model: Any, n_draws: int) -> None:
        """Refuse too few draws for the estimator, and draws where it enumerates."""
        row = self.row
        n_draws = checks.width(n_draws, "n_draws")
        if n_draws < row.least_draws:
            raise ValueError(
                f"n_draws must be at least {row.least_draws} for the estimator {self.estimator!r}, got {n_draws}: a "
                f"single draw has no others. Use n_draws={row.usual_draws}, or estimator='score' with a baseline."
            )
        if row.enumerates and n_draws != 1:
            raise ValueError(
                f"n_draws must be 1 for the estimator {self.estimator!r}, which enumerates all "
                f"{model.posterior.n_states} states and draws none, got {n_draws}. Leave it away."
            )

    def usual_draws(self, model: Any) -> int:
        """Return the draws that the estimator takes unless said otherwise."""
        return self.resolved(model).row.usual_draws

    def at(self, epoch: int) -> "Elbo":
        """Return the objective with the beta of an epoch, counted from 0; itself where beta never changes."""
        return self if self._schedule is None else replace(self, beta=self._schedule.at(epoch))

    def weights(self, draws: Draws, baseline: Any = 0.0) -> Weights:
        """Return what each draw counts for decoder, path and score."""
        if type(draws) is not Draws:
            checks.has(draws, ("log_lik", "share"), "draws", "Draws", "model.draw(params, x, eps)[2]")
        weights = self.row.weights(draws, baseline)
        for name in ("decoder", "path", "score"):
            given = getattr(weights, name)
            if given is not None and given.shape != draws.log_q.shape:  # which a kernel would not notice
                raise ValueError(
                    f"{name} of the weights of {self.estimator!r} must have shape {draws.log_q.shape}, one a draw and "
                    f"example, got {given.shape}. Give each draw its own."
                )
        if weights.own is None and self.row.own is not None:
            own, temperature = self.row.own, self.temperature or self.row.temperature or 1.0
            return replace(weights, own=lambda seen: own(seen, baseline, temperature))
        return weights

    def terms(self, elbo: ElboTerms, draws: Draws, w: Array) -> ElboTerms:  # noqa: ARG002
        """Return the terms of the loss, from those of the ELBO, the draws and their weights in a mean: the ELBO's."""
        return elbo

    def loss(self, terms: ElboTerms) -> float:
        """Return beta KL - log_lik, averaged over the batch, with free bits that of each latent at least so many."""
        return _known(terms, "log_lik", "kl", "loss").loss(self.final_beta, self.free_bits)

    def kl_share(self, terms: ElboTerms) -> Array:
        """Return what a closed KL counts in the loss: of each example, (B,), or with free bits of each latent, (B, L).

        beta / B, and zero for a latent whose mean KL is at most the free bits.
        """
        kl = _known(terms, "log_lik", "kl").kl
        share = kl.dtype.type(self.final_beta / len(kl))
        if not self.free_bits:
            return np.full(len(kl), share)
        held = terms.latent_means() > self.free_bits
        return np.tile(np.where(held, share, kl.dtype.type(0)), (len(kl), 1))

    def signal(self, terms: ElboTerms) -> Array:
        """Return the mean over the draws of the score function's f."""
        terms = _known(terms, "log_lik", "kl")
        return terms.log_lik - self.final_beta * terms.kl if self.kl == "sampled" else terms.log_lik

    def rule(self, model: Any) -> Baseline | None:
        """Return the rule of the estimator's baseline, for the model's data."""
        return None if self.row.rule is None else self.row.rule(_model(model))


@saved
@dataclass(frozen=True)
class Reconstruction:
    """-log p(x | z = encoder(x)) averaged over the batch, with the model's own penalty: what autoencoders minimise."""

    variational = False

    def resolved(self, model: Any) -> "Reconstruction":
        """Return the objective itself, or refuse a model whose code is a distribution."""
        if _model(model).variational:
            raise ValueError(
                f"objective must be Elbo() for {_kind(model)}, whose code is a distribution, got Reconstruction(). For "
                f"the reconstruction alone take Elbo(beta=0)."
            )
        return self

    def check(self, model: Any, n_draws: int) -> None:
        """Refuse draws where nothing is random."""
        if checks.width(n_draws, "n_draws") != 1 and not _model(model).random:
            raise ValueError(
                f"n_draws must be 1 for {_kind(model)} without a corruption, in which nothing is random, got "
                f"{n_draws}. Leave it away."
            )

    def usual_draws(self, model: Any) -> int:  # noqa: ARG002
        """Return 1."""
        return 1

    def at(self, epoch: int) -> "Reconstruction":  # noqa: ARG002
        """Return the objective itself."""
        return self

    def loss(self, terms: ReconstructionTerms) -> float:
        """Return -log_lik averaged over the batch, plus the penalty."""
        return _known(terms, "log_lik", "loss").loss()

    def signal(self, terms: ReconstructionTerms) -> Array:
        """Return log_lik."""
        return _known(terms, "log_lik").log_lik

    def rule(self, model: Any) -> None:
        """Return none: there is no score function whose baseline could be learnt."""
