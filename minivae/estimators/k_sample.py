"""The objective of the importance-weighted autoencoder: a bound from K draws that tightens as K grows."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from minivae.core import checks
from minivae.core.arrays import Array
from minivae.core.registry import Table, saved
from minivae.estimators.baselines import Baseline
from minivae.estimators.objectives import Elbo, check_bound, check_path
from minivae.estimators.terms import ElboTerms, KSampleTerms
from minivae.estimators.weights import ESTIMATORS, Draws, Estimator, KlMode, Weights, shares_of_bound


@saved
@dataclass(frozen=True)
class KSampleBound:
    """-L_K, the negative K-sample bound, and its gradient by an estimator.

        loss = -mean over the batch of log (1/K) sum_k w_k,   w_k = p(x, z_k) / q(z_k|x),   z_k ~ q(z|x)

    In expectation ELBO = L_1 <= L_2 <= ... <= log p(x) [1]_. K is ``Settings.n_draws``. The decoder learns by the
    draws' shares v_k = w_k / sum_j w_j whatever the estimator; for the encoder there is

    - "iwae": the total derivative. As K grows its signal fades faster than its noise [2]_;
    - "iwae-stl": the path alone, with v_k. Its variance is small, and for K > 1 its mean is another gradient;
    - "iwae-dreg": the path alone, with v_k^2. No bias, and the signal-to-noise ratio grows with K [3]_;
    - "iwae-score", "iwae-vimco": without a path, for bits; the second with a baseline of the other draws [4]_.

    Parameters
    ----------
    estimator : str, optional
        Unless given "iwae" where a path leads through the draw, else "iwae-vimco".

    Raises
    ------
    ValueError
        If the name is unknown, or of an estimator of the ELBO.

    References
    ----------
    .. [1] Y. Burda, R. Grosse, R. Salakhutdinov, "Importance weighted autoencoders", 2016.
    .. [2] T. Rainforth et al., "Tighter variational bounds are not necessarily better", 2018.
    .. [3] G. Tucker, D. Lawson, S. Gu, C. Maddison, "Doubly reparameterized gradient estimators", 2019.
    .. [4] A. Mnih, D. Rezende, "Variational inference for Monte Carlo objectives", 2016.

    Examples
    --------
    >>> from minivae import VAE, Settings
    >>> settings = Settings(objective=KSampleBound("iwae-dreg"), n_draws=50).resolved(VAE.mlp(n_x=4, n_latent=2))
    >>> KSampleBound().resolved(VAE.mlp(n_x=4, n_latent=2, posterior="bits"))
    KSampleBound(estimator='iwae-vimco')
    """

    estimator: str | None = None
    variational = True
    final_beta = 1.0
    free_bits = 0.0
    kl: ClassVar[KlMode] = "sampled"

    def __post_init__(self) -> None:
        if self.estimator is not None:
            check_bound(self.estimator, "iwae")

    @cached_property
    def row(self) -> Estimator:
        """The estimator's row of the table."""
        return ESTIMATORS[self.estimator or "iwae"]

    def resolved(self, model: Any) -> "KSampleBound":
        """Return the objective with its estimator named, or refuse a model that it cannot train."""
        checks.has(model, ("variational", "loss_and_grad"), "model", "a model", "VAE.mlp(n_x=4, n_latent=2)")
        if not model.variational:
            raise ValueError(
                f"objective must be Reconstruction() for {type(model).__name__}, whose code is one point and has no "
                f"weights, got {self!r}. Leave bound and estimator away."
            )
        estimator = self.estimator or ("iwae" if model.posterior.has_path else "iwae-vimco")
        check_path(estimator, model.posterior)
        return self if estimator == self.estimator else replace(self, estimator=estimator)

    def check(self, model: Any, n_draws: int) -> None:  # noqa: ARG002
        """Refuse too few draws for the estimator."""
        if checks.width(n_draws, "n_draws") < self.row.least_draws:
            raise ValueError(
                f"n_draws must be at least {self.row.least_draws} for the estimator {self.estimator!r}, got {n_draws}: "
                f"a single draw has no others. Use n_draws={self.row.usual_draws}, or estimator='iwae-score'."
            )

    def usual_draws(self, model: Any) -> int:
        """Return K unless said otherwise."""
        return self.resolved(model).row.usual_draws

    def at(self, epoch: int) -> "KSampleBound":  # noqa: ARG002
        """Return the objective itself."""
        return self

    def weights(self, draws: Draws, baseline: Any = 0.0) -> Weights:
        """Return what each draw counts for decoder, path and score."""
        checks.has(draws, ("log_lik", "share"), "draws", "Draws", "model.draw(params, x, eps)[2]")
        return self.row.weights(draws, baseline)

    def terms(self, elbo: ElboTerms, draws: Draws, w: Array) -> KSampleTerms:
        """Return the bound beside the terms of the ELBO; -inf where no draw has any weight."""
        f = draws.f
        some = np.isfinite(np.max(np.where(w.reshape(len(f), -1) == 0, -np.inf, f), axis=0))
        value = np.full(f.shape[1], -np.inf, f.dtype)
        value[some], _ = shares_of_bound(f[:, some], w if w.ndim == 1 else w[:, some])
        return KSampleTerms(elbo.log_lik, elbo.kl, value)

    def loss(self, terms: ElboTerms) -> float:
        """Return -iwae_bound, averaged over the batch."""
        bound = self.signal(terms)
        return -float(np.add.reduce(bound)) / len(bound)

    def signal(self, terms: ElboTerms) -> Array:
        """Return the bound, which the score function multiplies."""
        return _with_bound(terms).iwae_bound

    def rule(self, model: Any) -> Baseline | None:
        """Return the rule of the estimator's baseline, for the model's data."""
        checks.has(model, ("variational", "loss_and_grad"), "model", "a model", "VAE.mlp(n_x=4, n_latent=2)")
        return None if self.row.rule is None else self.row.rule(model)


def _with_bound(terms: Any) -> Any:
    return checks.has(terms, ("iwae_bound",), "terms", "terms of the K-sample bound", "model.terms(params, x, ...)")


Bound = Elbo | KSampleBound
BOUNDS: Table[Any] = Table("bound")
BOUNDS.add("elbo", Elbo)
BOUNDS.add("iwae", KSampleBound)


def objective_of(estimator: str, kl: KlMode, beta: float = 1.0) -> Bound:
    """Return the objective that an estimator of the table raises; the K-sample bound has no beta.

    >>> objective_of("iwae-dreg", "sampled")
    KSampleBound(estimator='iwae-dreg')
    """
    return KSampleBound(estimator) if ESTIMATORS.choose(estimator).bound == "iwae" else Elbo(estimator, beta, kl)
