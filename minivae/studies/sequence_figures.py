"""Figures of sequences: each in a panel, its numbers against the step."""

from typing import TYPE_CHECKING

import numpy as np

from minivae.core.arrays import Array
from minivae.datasets.dataset import Dataset
from minivae.studies import plots

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PANELS = 12


def sequences(rows: dict[str, Array], dataset: Dataset, title: str) -> "Figure":
    """Draw the first 12 rows of each kind, those of one place in one panel; an original ends at its length.

    Parameters
    ----------
    rows : dict of arrays of shape (n, n_x)
        By their names in the legend, the originals or samples first.
    dataset : Dataset
        Of sequences: it knows steps, lengths and scale.
    title : str
    """
    assert dataset.steps is not None
    T, D = dataset.steps
    n = min(_PANELS, *(len(x) for x in rows.values()))
    figure = plots.figure_of(11, 2.1 * -(-n // 4) + 0.8)
    panels = np.ravel(figure.subplots(-(-n // 4), 4, sharex=True, sharey=True, squeeze=False))
    first = next(iter(rows.values()))
    for i, panel in enumerate(panels):
        if i >= n:
            panel.set_axis_off()
            continue
        length = int(first[i, -1]) if dataset.ragged else T
        for style, (name, x) in zip(("-", "--", ":"), rows.items(), strict=False):
            steps = x[i, : T * D].reshape(T, D)[:length]
            for j in range(D):
                label = name if D == 1 else f"{name}, number {j + 1}"
                panel.plot(np.arange(1, length + 1), steps[:, j], style, color=plots.COLORS[j], lw=1.3, label=label)
        panel.set(xlabel="step", ylabel="value" if dataset.scale is None else "value, standardised")
        panel.label_outer()
    figure.suptitle(title)
    if len(rows) * D > 1:
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    return figure
