"""What the numbers of an evaluation are, in words."""

import numpy as np

from minivae.core.arrays import Array
from minivae.datasets.dataset import Dataset
from minivae.models.base import Model


def meaning(model: Model, x: Array, dataset: Dataset) -> str:
    """Say in one sentence what the reported numbers are."""
    text = model.meaning(x)
    if dataset.scale is not None:
        constant = -float(np.log(dataset.scale[1]).sum())
        text += f", x standardised by its training rows; per original unit add {constant:.3f}"
    return text
