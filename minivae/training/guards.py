"""What stops a training that went wrong, with the place, the step and the remedy."""

import warnings
from typing import Any

import numpy as np

from minivae.core.arrays import Array
from minivae.core.errors import NonFiniteError, first_non_finite
from minivae.training.checkpoints import Row
from minivae.training.settings import Settings


def warn_if_diverging(history: list[Row], before: float | None, settings: Settings) -> None:
    """Say so once, after the first epoch, when training made the model much worse."""
    if len(history) != 1 or before is None:
        return
    after = history[0]["valid_loss"]
    if not after <= before + 10 * (1 + abs(before)):
        warnings.warn(
            f"learning_rate {settings.optimizer.learning_rate:g} is probably too high: the validation loss went from "
            f"{before:.4g} before training to {after:.4g} nats per example after one epoch. Lower it.",
            stacklevel=3,
        )


def check_update(model: Any, params: Array, row: Row, settings: Settings) -> None:
    """Stop where the last step of an epoch spoiled the parameters."""
    where = None if np.isfinite(np.add.reduce(params)) else first_non_finite(model.named(params))
    if where is not None:
        said = f"the parameters are not finite after the update: {where}"
        raise guard(int(row["step"]), int(row["epoch"]) - 1, said, settings)


def check_validation(row: Row, settings: Settings) -> None:
    """Stop where the validation loss is not finite."""
    if not np.isfinite(row.get("valid_loss", 0.0)):
        parts = ", ".join(name for name, value in row.items() if not np.isfinite(value))
        said = f"the validation loss is not finite ({parts})"
        raise guard(int(row["step"]), int(row["epoch"]) - 1, said, settings)


def finite_norm(model: Any, grads: Array, step: int, epoch: int, settings: Settings) -> float:
    """Return the Euclidean norm of the gradient, or stop where it is not finite."""
    norm = float(np.sqrt(np.dot(grads, grads)))
    if not np.isfinite(norm):  # in float32 the squares may overflow where the norm does not
        norm = float(np.linalg.norm(grads.astype(np.float64)))
    if not np.isfinite(norm):
        where = first_non_finite(model.named(grads)) or "its norm overflows"
        raise guard(step, epoch, f"the gradient is not finite: in it, {where}", settings, updated=step > 1)
    return norm


def guard(step: int, epoch: int, where: str, settings: Settings, *, updated: bool = True) -> NonFiniteError:
    """Return the error that says where training stopped, and the likely remedy."""
    if not updated:  # no learning rate is too high yet
        remedy = (
            "Nothing was updated yet, so look at the data's scale (standardise them: subtract each column's mean and "
            "divide by its standard deviation), and at beta."
        )
    else:
        rate = settings.optimizer.learning_rate * settings.schedule.scale(epoch)
        clip = "set clip_norm" if settings.clip_norm is None else f"lower clip_norm (now {settings.clip_norm:g})"
        remedy = f"Likely remedy: a lower learning_rate ({rate:g} in this epoch), or {clip}."
    return NonFiniteError(f"training stopped at step {step} (epoch {epoch + 1}): {where}", remedy)
