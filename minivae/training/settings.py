"""How to train: every choice, with its default and its range."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from minivae.core import checks
from minivae.core.registry import saved
from minivae.estimators.baselines import Baseline, LearnedBaseline, MovingAverage
from minivae.estimators.elbo_gradients import ELBO_ESTIMATORS, ElboEstimator, KlMode, check_estimator
from minivae.models.discrete import BernoulliVAE
from minivae.models.vae import VAE
from minivae.nn.optim import Adam, Optimizer, StepDecay

_BASELINES: dict[str, Callable[[int], Baseline]] = {
    "score-moving-average": lambda _: MovingAverage(),
    "score-learned": LearnedBaseline.mlp,
}


TRAINING_ESTIMATORS = (*ELBO_ESTIMATORS, *_BASELINES)


@saved
@dataclass(frozen=True)
class Settings:
    """How to train.

    Parameters
    ----------
    epochs : int
        Passes over the data at most.
    batch_size : int
    optimizer : Optimizer
    schedule : StepDecay
        Multiplies the optimiser's learning rate.
    beta : float
        Weight of the KL in the loss; reported ELBOs never contain it. Not used by an autoencoder.
    n_draws : int
        Draws of z for each example and step.
    kl : {"closed", "sampled"}
    estimator : str, optional
        How the gradient reaches the encoder: "pathwise" (a VAE's unless given), "path-derivative", "score",
        "score-leave-one-out", or the score function with a baseline that is learnt along the way,
        "score-moving-average" or "score-learned". The last two serve a ``BernoulliVAE`` with estimator "score" too;
        its other estimators are its own.
    clip_norm : float, optional
        Largest Euclidean norm of the gradient; not clipped unless given.
    patience : int, optional
        Stop after this many epochs without a better validation loss; never unless given.
    binarize : bool
        Draw each x anew from Bernoulli(x) whenever it is used (dynamic binarisation). The validation set is
        binarised once.
    start_at_mean : bool
        Set the decoder's last bias so that training starts from the mean of the data.
    dtype : {"float32", "float64"}
    seed : int
        Of everything random: initial parameters, order, noise. The same seed gives the same model, bit for bit.

    Raises
    ------
    ValueError
        If a value is out of range.
    """

    epochs: int = 100
    batch_size: int = 128
    optimizer: Optimizer = field(default_factory=Adam)
    schedule: StepDecay = field(default_factory=StepDecay)
    beta: float = 1.0
    n_draws: int = 1
    kl: KlMode = "closed"
    estimator: str | None = None
    clip_norm: float | None = None
    patience: int | None = None
    binarize: bool = False
    start_at_mean: bool = True
    dtype: str = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "n_draws"):
            checks.width(getattr(self, name), name)
        if self.patience is not None:
            checks.width(self.patience, "patience")
        checks.number(self.beta, "beta", low=0, closed=True)
        if self.estimator is not None:
            checks.choice(self.estimator, TRAINING_ESTIMATORS, "estimator")
        check_estimator(self.at_each_step, self.kl, self.n_draws)
        if self.clip_norm is not None:
            checks.number(self.clip_norm, "clip_norm", low=0)
        object.__setattr__(self, "dtype", checks.float_dtype(self.dtype).name)
        checks.seed(self.seed)
        if isinstance(self.optimizer, type) or not hasattr(self.optimizer, "update"):
            raise ValueError(f"optimizer must be an optimiser, got {self.optimizer!r}. For example Adam(1e-3).")
        if not isinstance(self.schedule, StepDecay):
            raise ValueError(
                f"schedule must be a StepDecay, got {self.schedule!r}. StepDecay() never changes the rate."
            )
        for name in ("binarize", "start_at_mean"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} must be True or False, got {getattr(self, name)!r}. Choose one.")

    @property
    def at_each_step(self) -> ElboEstimator:
        """The estimator that a step uses: the score function where its baseline is learnt outside of it."""
        return cast(ElboEstimator, "score" if self.estimator in _BASELINES else self.estimator or "pathwise")

    def baseline(self, model: Any) -> Baseline | None:
        """Return the rule whose baseline is learnt along the way, or none."""
        rule = _BASELINES.get(self.estimator or "")
        return None if rule is None else rule(model.n_x)


def check_estimator_of(model: Any, settings: Settings) -> None:
    """Refuse an estimator that the model does not know."""
    if settings.estimator is None or isinstance(model, VAE):
        return
    if isinstance(model, BernoulliVAE) and model.estimator == "score" and settings.estimator in _BASELINES:
        return
    name = type(model).__name__
    remedy = "Drop it."
    if isinstance(model, BernoulliVAE):
        remedy = (
            "A discrete latent has no path. Choose the model's own estimator, or with estimator='score' there, "
            f"{' or '.join(_BASELINES)} here."
        )
    raise ValueError(f"estimator must be one that {name} knows, got {settings.estimator!r}. {remedy}")
