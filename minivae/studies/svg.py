"""SVG pictures, written by code: arrows, words, and the file around them."""

import html
import math
from dataclasses import dataclass
from typing import Any

INK, SOFT, WHITE, SEEN, RED = "#222222", "#666666", "#ffffff", "#d5dce3", "#d55e00"
Place = tuple[float, float]


@dataclass(frozen=True)
class Drawing:
    """An SVG picture, and the sentence that says what is to be seen in it; the last line of a notebook's cell shows it.

    Attributes
    ----------
    svg : str
        A whole SVG file.
    alt : str
    """

    svg: str
    alt: str

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        return {"image/svg+xml": self.svg, "text/plain": self.alt}, {"image/svg+xml": {"alt": self.alt}}


def arrow(a: Place, b: Place, from_: float, to: float, color: str, dashed: bool, bent: bool) -> str:
    """Draw an arrow from rim to rim; bent to its left where another goes the other way."""
    length = math.dist(a, b)
    ux, uy = (b[0] - a[0]) / length, (b[1] - a[1]) / length
    turn = math.radians(25) if bent else 0.0
    start, end = _turned(ux, uy, -turn), _turned(-ux, -uy, turn)
    x0, y0 = a[0] + from_ * start[0], a[1] + from_ * start[1]
    x1, y1 = b[0] + to * end[0], b[1] + to * end[1]
    shift = 0.18 * length if bent else 0.0
    cx, cy = (x0 + x1) / 2 + shift * uy, (y0 + y1) / 2 - shift * ux
    tx, ty = x1 - cx, y1 - cy
    size = math.hypot(tx, ty)
    tx, ty = tx / size, ty / size
    head = f"{x1:.2f},{y1:.2f} " + " ".join(
        f"{x1 - 9 * tx + s * 4.5 * ty:.2f},{y1 - 9 * ty - s * 4.5 * tx:.2f}" for s in (1, -1)
    )
    dash = ' stroke-dasharray="5 4"' if dashed else ""
    way = f"M{x0:.2f},{y0:.2f} Q{cx:.2f},{cy:.2f} {x1 - 7 * tx:.2f},{y1 - 7 * ty:.2f}"
    line = f'<path d="{way}" fill="none" stroke="{color}" stroke-width="1.6"{dash}/>'
    return line + f'<polygon points="{head}" fill="{color}"/>'


def _turned(x: float, y: float, angle: float) -> Place:
    """Turn a vector by an angle."""
    return x * math.cos(angle) - y * math.sin(angle), x * math.sin(angle) + y * math.cos(angle)


def label(words: str, x: float, y: float, anchor: str = "middle", size: int = 16, color: str = INK) -> str:
    """Write words at a place."""
    style = f'text-anchor="{anchor}" font-size="{size}" fill="{color}"'
    return f'<text x="{x:g}" y="{y:g}" {style}>{html.escape(words)}</text>'


def whole(parts: list[str], corners: list[Place], alt: str) -> str:
    """Return a whole file around the parts; white behind them, for a dark page too."""
    margin = 10.0
    left, top = (min(c[i] for c in corners) - margin for i in (0, 1))
    width, height = (max(c[i] for c in corners) + margin - low for i, low in ((0, left), (1, top)))
    box = f"{left:g} {top:g} {width:g} {height:g}"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" width="{width:g}" height="{height:g}" role="img" '
        f'font-family="sans-serif">',
        f"<title>{html.escape(alt)}</title>",
        f'<rect x="{left:g}" y="{top:g}" width="{width:g}" height="{height:g}" fill="{WHITE}"/>',
        *parts,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"
