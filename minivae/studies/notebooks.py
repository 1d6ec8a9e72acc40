"""Figures as the lectures show them: one style, made without pyplot, each with a text for those who cannot see it."""

import base64
import html
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
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
        return {"image/png": _png(self.figure), "text/plain": self.alt}, {"image/png": {"alt": self.alt}}


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


_FRAMES = 24  # pictures of a slider, at most: each is stored in the notebook


@dataclass(frozen=True)
class Slider:
    """Pictures, one a value of a number, and a slider that chooses among them; the last line of a cell shows it.

    Where a kernel runs and ipywidgets is installed, the slider is a widget that draws anew, between the values too.
    Elsewhere (in the book, say) it is the stored pictures and a few words of plain JavaScript.
    """

    draw: "Callable[[float], Figure]" = field(repr=False)
    name: str
    values: tuple[float, ...]
    alt: str

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        frames = [_png(self.draw(value)) for value in self.values]
        start = len(frames) // 2
        bundle = {"text/html": self._html(frames, start), "text/plain": f"{self.alt} ({self.name}: a slider)"}
        widget = self._widget(frames[start])
        return bundle if widget is None else widget._repr_mimebundle_() | bundle

    def _html(self, frames: list[bytes], start: int) -> str:
        """Return the pictures and their slider; without scripts the one in the middle is seen."""
        name, alt = html.escape(self.name), html.escape(self.alt)
        images = "".join(
            f'<img src="data:image/png;base64,{base64.b64encode(frame).decode()}" alt="{alt} {name} = {value:g}"'
            f"{'' if i == start else ' hidden'}>"
            for i, (frame, value) in enumerate(zip(frames, self.values, strict=True))
        )
        values = " ".join(f"{value:g}" for value in self.values)
        act = (
            "const d=this.closest('div'),v=d.dataset.values.split(' ')[this.value];"
            "d.querySelectorAll('img').forEach((p,i)=>{p.hidden=i!=this.value});"
            "d.querySelector('output').textContent=v;this.setAttribute('aria-valuetext',v)"
        )
        return (
            f'<div class="minivae-slider" data-values="{values}"><label>{name} <input type="range" min="0" '
            f'max="{len(frames) - 1}" value="{start}" aria-valuetext="{self.values[start]:g}" oninput="{act}"> '
            f"<output>{self.values[start]:g}</output></label><br>{images}</div>"
        )

    def _widget(self, first: bytes) -> Any:
        """Return the slider as a widget, or None where ipywidgets is not installed."""
        try:
            import ipywidgets
        except ImportError:
            return None
        low, high = self.values[0], self.values[-1]
        step = (high - low) / 100
        slider = ipywidgets.FloatSlider(
            self.values[len(self.values) // 2], min=low, max=high, step=step, description=self.name
        )
        image = ipywidgets.Image(value=first, format="png", alt=self.alt)
        slider.observe(lambda change: setattr(image, "value", _png(self.draw(change["new"]))), "value")
        return ipywidgets.VBox([slider, image])


def slide(draw: "Callable[[float], Figure]", name: str, values: Sequence[float], alt: str) -> Slider:
    """Return a slider over a number that moves a figure.

    Parameters
    ----------
    draw : callable
        From the number to a Figure.
    name : str
        Of the number, such as "beta".
    values : sequence of float
        Rising; a picture of each is stored in the notebook, so there are at most 24.
    alt : str
        What is to be seen.

    Raises
    ------
    ValueError
        If there are fewer than two values or too many, they do not rise, or name or alt are empty.

    Examples
    --------
    >>> def draw(k):
    ...     figure, axes = panels()
    ...     axes.plot([0, 1], [0, k])
    ...     return figure
    >>> slide(draw, "k", [1, 2, 3], "A line of slope k.")
    Slider(name='k', values=(1.0, 2.0, 3.0), alt='A line of slope k.')
    """
    if not callable(draw):
        raise ValueError(
            f"draw must be a function from a number to a Figure, got {checks.shown(draw)}. Pass a function."
        )
    for text, what in ((name, "name"), (alt, "alt")):
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"{what} must be text, got {checks.shown(text)}. A few words are enough.")
    at = checks.real(values, "values", (None,))
    if not 2 <= len(at) <= _FRAMES or (at[1:] <= at[:-1]).any():
        raise ValueError(
            f"values must be from 2 to {_FRAMES} rising numbers, got {checks.shown(values)}. Take "
            f"np.linspace(0, 1, 11), say."
        )
    return Slider(draw, name, tuple(at.tolist()), alt)


def _png(figure: "Figure") -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
