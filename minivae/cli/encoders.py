"""``--encoder``: what networks a kind of encoder means for the data at hand, and which data it is not for."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from minivae.core.registry import Table
from minivae.datasets.dataset import Dataset
from minivae.distributions.protocols import Likelihood
from minivae.distributions.sequences import EachStep
from minivae.models.base import Networks, mirrored
from minivae.models.networks import CELLS, convolutional, recurrent
from minivae.models.recipes import default_of
from minivae.models.vae import VAE

Kind = Callable[[Dataset, Sequence[int] | None, str | None], Callable[..., Networks]]
ENCODERS: Table[Kind] = Table("encoder")


def _steps(dataset: Dataset) -> tuple[int, int] | None:
    """Return how many steps of how many numbers a row holds: those of a sequence, or the rows of an image."""
    return dataset.steps or dataset.image_shape


def _dense(dataset: Dataset, hidden: Sequence[int] | None, activation: str | None) -> Callable[..., Networks]:
    widths = default_of(VAE.mlp, "n_hidden") if hidden is None else hidden
    bend = activation or default_of(VAE.mlp, "activation")

    def networks(n_head: int, n_latent: int, likelihood: Likelihood) -> Networks:
        whole = likelihood
        if dataset.ragged and dataset.steps is not None:
            whole = EachStep(likelihood, *dataset.steps, ragged=True)
        return (*mirrored(dataset.n_x, n_head, n_latent, widths, bend, whole), whole)

    return networks


def _convolutional(dataset: Dataset, hidden: Sequence[int] | None, activation: str | None) -> Callable[..., Networks]:
    if dataset.image_shape is None:
        what = "sequences" if dataset.steps is not None else "rows whose image shape is not known"
        remedy = "Choose --encoder gru." if dataset.steps is not None else "Say it with --image-shape."
        raise ValueError(f"--encoder conv is for images, got {dataset.name}, which holds {what}. {remedy}")
    given: dict[str, Any] = {} if hidden is None else {"channels": hidden}
    given |= {} if activation is None else {"activation": activation}
    return partial(convolutional, (1, *dataset.image_shape), **given)


def _recurrent(
    cell: str, dataset: Dataset, hidden: Sequence[int] | None, activation: str | None
) -> Callable[..., Networks]:
    steps = _steps(dataset)
    if steps is None:
        raise ValueError(
            f"--encoder {cell} is for sequences, or images row by row, got {dataset.name}, whose rows are neither. Say "
            f"how many steps of how many numbers with --image-shape."
        )
    if activation is not None:
        raise ValueError(
            f"--activation must be left away with --encoder {cell}, got {activation}. Its cells have their own."
        )
    if hidden is not None and len(hidden) != 1:
        raise ValueError(f"--hidden must be one number with --encoder {cell}, its units, got {len(hidden)}. Give one.")
    given: dict[str, Any] = {} if hidden is None else {"n_units": hidden[0]}
    return partial(recurrent, cell, *steps, ragged=dataset.ragged, **given)


ENCODERS.add("dense", _dense)
ENCODERS.add("conv", _convolutional)
for _cell in CELLS:
    ENCODERS.add(_cell, partial(_recurrent, _cell))
