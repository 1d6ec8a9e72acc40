"""Figures as the lectures show them: one style, made without pyplot, each with a text for those who cannot see it."""

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from minivae.core import checks

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def panels(n: int = 1, width: float = 4.6, height: float = 3.4) -> tuple["Figure", Any]:
    """Return a figure with n panels side by side, and its axes (an array of them where n > 1); sizes in inches.

    >>> figure, axes = panels(2)
    >>> axes.shape
    (2,)
    """
    from matplotlib.figure import Figure  # half a second that only figures need

    n = checks.width(n, "n")
    figure = Figure(figsize=(width * n, height), layout="constrained", dpi=100)
    axes = figure.subplots(1, n)
    for panel in axes if n > 1 else [axes]:
        panel.grid(alpha=0.3)
        panel.spines[["top", "right"]].set_visible(False)
    return figure, axes


@dataclass(frozen=True)
class Picture:
    """A figure and its alternative text; the last line of a notebook's cell shows it."""

    figure: "Figure"
    alt: str

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png")
        return {"image/png": buffer.getvalue(), "text/plain": self.alt}, {"image/png": {"alt": self.alt}}


def show(figure: "Figure", alt: str) -> Picture:
    """Return the figure as a notebook shows it, with the sentence that says what is to be seen in it.

    Raises
    ------
    ValueError
        If alt is empty.
    """
    if not alt.strip():
        raise ValueError("alt must say what the figure shows, got an empty text. One sentence is enough.")
    return Picture(figure, alt)
