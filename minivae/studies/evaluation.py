"""What the numbers of an evaluation are, in words."""

import numpy as np

from minivae.core.arrays import Array
from minivae.datasets.dataset import Dataset
from minivae.models.base import Model
from minivae.nn.recurrent import within


def meaning(model: Model, x: Array, dataset: Dataset) -> str:
    """Say in one sentence what the reported numbers are."""
    text = model.meaning(x)
    if dataset.scale is not None:
        each = np.log(dataset.scale[1])
        if dataset.ragged and dataset.steps is not None:  # values beyond a length have no density
            n_steps, n_features = dataset.steps
            each = np.repeat(within(x[:, -1], n_steps).mean(axis=0), n_features) * each[:-1]
        constant = -float(each.sum())
        text += f", x standardised by its training rows; per original unit add {constant:.3f}"
    return text
