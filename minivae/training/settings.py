"""How to train: every choice, with its default and its range."""

from dataclasses import dataclass, field, replace
from typing import Any, cast

from minivae.core import checks
from minivae.core.registry import formerly, saved
from minivae.estimators.baselines import Baseline
from minivae.estimators.objectives import Elbo, Objective
from minivae.nn.optim import Adam, Optimizer, StepDecay


@saved
@dataclass(frozen=True)
class Settings:
    """How to train.

    Parameters
    ----------
    epochs : int
        Passes over the data at most; patience ends most trainings before.
    batch_size : int
    optimizer : Optimizer
    schedule : StepDecay
        Multiplies the optimiser's learning rate.
    objective : Objective, optional
        What is minimised and how the gradient is estimated: ``Elbo(estimator, beta, kl)`` or
        ``KSampleBound(estimator)`` for a VAE, ``Reconstruction()`` for an autoencoder. The model's own unless given.
    n_draws : int, optional
        Draws of z for each example and step; what the objective's estimator usually takes unless given.
    clip_norm : float, optional
        Largest Euclidean norm of the gradient; not clipped unless given.
    patience : int, optional
        Stop after this many epochs without a better validation loss; never where None, or without a validation set.
        They are counted once a schedule of beta has settled.
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

    epochs: int = 2000
    batch_size: int = 128
    optimizer: Optimizer = field(default_factory=Adam)
    schedule: StepDecay = field(default_factory=StepDecay)
    objective: Objective | None = None
    n_draws: int | None = None
    clip_norm: float | None = None
    patience: int | None = 100
    binarize: bool = False
    start_at_mean: bool = True
    dtype: str = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            checks.width(getattr(self, name), name)
        for name in ("n_draws", "patience"):
            if getattr(self, name) is not None:
                checks.width(getattr(self, name), name)
        if self.clip_norm is not None:
            checks.number(self.clip_norm, "clip_norm", low=0)
        object.__setattr__(self, "dtype", checks.float_dtype(self.dtype).name)
        checks.seed(self.seed)
        parts = ("init", "update", "learning_rate")
        checks.has(self.optimizer, parts, "optimizer", "an optimiser", "Adam(1e-3)")
        if not isinstance(self.schedule, StepDecay):
            raise ValueError(
                f"schedule must be a StepDecay, got {self.schedule!r}. StepDecay() never changes the rate."
            )
        if self.objective is not None:
            checks.has(self.objective, ("resolved", "loss"), "objective", "an objective", "Elbo(beta=4.0)")
        for name in ("binarize", "start_at_mean"):
            checks.flag(getattr(self, name), name)

    def resolved(self, model: Any) -> "Settings":
        """Return the settings with all settled that depends on the model, or refuse what it cannot do.

        >>> from minivae import VAE
        >>> settings = Settings(objective=Elbo("score-leave-one-out")).resolved(VAE.mlp(n_x=4, n_latent=2))
        >>> settings.n_draws, settings.objective.kl
        (4, 'closed')
        """
        parts = ("loss_and_grad", "objective")
        checks.has(model, parts, "model", "a model", "VAE.mlp(n_x=4, n_latent=2)")
        objective = (model.objective if self.objective is None else self.objective).resolved(model)
        n_draws = objective.usual_draws(model) if self.n_draws is None else self.n_draws
        objective.check(model, n_draws)
        return replace(self, objective=objective, n_draws=n_draws)

    def objective_at(self, epoch: int) -> Any:
        """Return the resolved objective of an epoch, counted from 0."""
        assert self.objective is not None, "resolved settings have an objective"
        return self.objective.at(epoch)

    @property
    def settles(self) -> int:
        """The epoch from which on patience counts."""
        return getattr(self.objective, "settles", 0)

    def rule(self, model: Any) -> Baseline | None:
        """Return the rule of a baseline that is learnt along the way, or none."""
        return self.objective_at(0).rule(model)


@formerly("Settings")
def _read_settings(fields: dict[str, Any]) -> Settings:
    """Read settings in which beta, KL and estimator stood beside each other, or as they are now."""
    if "beta" in fields:
        names = ("estimator", "beta", "kl")
        old = {name: fields.pop(name) for name in names}
        if tuple(old.values()) != (None, 1.0, "closed"):
            fields["objective"] = Elbo(**cast(Any, old))
    return Settings(**fields)
