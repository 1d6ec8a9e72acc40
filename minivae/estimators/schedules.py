"""How beta, the weight of the KL, changes from epoch to epoch."""

from dataclasses import dataclass
from typing import Protocol

from minivae.core import checks
from minivae.core.registry import saved


class BetaSchedule(Protocol):
    """A rule for beta in each epoch."""

    @property
    def final(self) -> float:
        """The beta that it leads to, under which the validation loss is taken in every epoch."""

    @property
    def settles(self) -> int:
        """The epoch, counted from 0, up to which training must not be judged by its validation loss."""

    def at(self, epoch: int) -> float:
        """Return beta in an epoch, counted from 0."""


@saved
@dataclass(frozen=True)
class Warmup:
    """beta goes in a straight line from ``start`` to ``final`` during the first n epochs, and stays there [1]_.

    Parameters
    ----------
    n_epochs : int
        Epoch 0 has ``start``, epoch n_epochs the first ``final``.
    start, final : float

    References
    ----------
    .. [1] C. K. Sønderby et al., "Ladder variational autoencoders", 2016, section 2.3.

    Examples
    --------
    >>> [Warmup(4).at(epoch) for epoch in range(6)]
    [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
    """

    n_epochs: int
    start: float = 0.0
    final: float = 1.0

    def __post_init__(self) -> None:
        checks.width(self.n_epochs, "n_epochs")
        for name in ("start", "final"):
            checks.number(getattr(self, name), name, low=0, closed=True)

    @property
    def settles(self) -> int:
        """n_epochs."""
        return self.n_epochs

    def at(self, epoch: int) -> float:
        """Return beta in an epoch, counted from 0."""
        return _on_line(self.start, self.final, checks.whole(epoch, "epoch") / self.n_epochs)


@saved
@dataclass(frozen=True)
class Cycle:
    """beta goes again and again from ``start`` to ``final``, and stays there for the rest of each period [1]_.

    Parameters
    ----------
    period : int
        Epochs in a cycle.
    ramp : float
        Share of the period in which beta rises, above 0 and at most 1.
    start, final : float

    References
    ----------
    .. [1] H. Fu et al., "Cyclical annealing schedule", 2019, section 3.2.

    Examples
    --------
    >>> [Cycle(4).at(epoch) for epoch in range(6)]
    [0.0, 0.5, 1.0, 1.0, 0.0, 0.5]
    """

    period: int
    ramp: float = 0.5
    start: float = 0.0
    final: float = 1.0

    def __post_init__(self) -> None:
        checks.width(self.period, "period")
        if checks.number(self.ramp, "ramp", low=0) > 1:
            raise ValueError(f"ramp must be a share of the period, at most 1, got {self.ramp:g}. Use ramp=0.5, say.")
        for name in ("start", "final"):
            checks.number(getattr(self, name), name, low=0, closed=True)

    @property
    def settles(self) -> int:
        """The period: one whole cycle."""
        return self.period

    def at(self, epoch: int) -> float:
        """Return beta in an epoch, counted from 0."""
        return _on_line(self.start, self.final, checks.whole(epoch, "epoch") % self.period / (self.period * self.ramp))


def _on_line(start: float, final: float, share: float) -> float:
    """Return the value at a share of the way, which ends at 1."""
    return float(final if share >= 1 else start + (final - start) * share)
