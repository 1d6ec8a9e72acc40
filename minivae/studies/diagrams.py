"""Diagrams of graphical models: who depends on whom, what is observed, what is repeated."""

from collections.abc import Iterable, Mapping
from typing import Any

from minivae.core import checks
from minivae.studies.svg import INK, RED, SEEN, SOFT, WHITE, Drawing, Place, arrow, label, whole

_RADIUS = 26.0
_UNIT = 110.0  # between neighbouring places
_KINDS = ("latent", "observed", "parameter")


def graph(
    nodes: Mapping[str, tuple[str, float, float]],
    edges: Iterable[tuple[str, str]],
    guesses: Iterable[tuple[str, str]] = (),
    plates: Mapping[str, Iterable[str]] | None = None,
    alt: str = "",
) -> Drawing:
    """Draw a graphical model: circles for random variables, grey where they are observed, dots for parameters.

    Parameters
    ----------
    nodes : dict
        Name to (kind, across, down): kind "latent", "observed" or "parameter", and a place on a grid of unit steps.
    edges : pairs of names
        From what is drawn first to what depends on it: the model p.
    guesses : pairs of names
        Dashed: the posterior q that stands in for the one that nobody can compute.
    plates : dict, optional
        Text of a frame, such as "N examples", to the names of what is repeated in it.
    alt : str
        What the picture shows; made of the edges unless given.

    Raises
    ------
    ValueError
        If a kind or a name is unknown, or two nodes stand in one place.

    Examples
    --------
    >>> drawing = graph({"z": ("latent", 0, 0), "x": ("observed", 1, 0)}, [("z", "x")], plates={"N": ["z", "x"]})
    >>> drawing.alt
    'A graphical model: z to x; x is observed; repeated N: z, x.'
    """
    places, kinds = _placed(nodes)
    frames = {text: _known(names, places, "plates") for text, names in (plates or {}).items()}
    edges, guesses = [_pair(e, places, "edges") for e in edges], [_pair(e, places, "guesses") for e in guesses]
    back = set(edges) & {(b, a) for a, b in guesses}
    parts = [_plate(text, [places[name] for name in names]) for text, names in frames.items()]
    for color, dashed, pairs in ((INK, False, edges), (RED, True, guesses)):
        for a, b in pairs:
            bent = (a, b) in back or (b, a) in back
            parts.append(arrow(places[a], places[b], _size(kinds[a]), _size(kinds[b]), color, dashed, bent))
    parts += [_node(name, kinds[name], places[name]) for name in places]
    corners = [(x + s * _RADIUS, y + s * _RADIUS) for x, y in places.values() for s in (-1, 1)]
    for names in frames.values():
        corners += _frame([places[name] for name in names])
    alt = alt or _in_words(kinds, edges, guesses, frames)
    return Drawing(whole(parts, corners, alt), alt)


def _placed(nodes: Any) -> tuple[dict[str, Place], dict[str, str]]:
    """Return where each node stands, in units of the picture, and its kind."""
    if not isinstance(nodes, Mapping) or not nodes:
        example = '{"z": ("latent", 0, 0)}'
        raise ValueError(f"nodes must name at least one variable, got {checks.shown(nodes)}. Write {example}.")
    places: dict[str, Place] = {}
    for name, node in nodes.items():
        if not isinstance(node, (tuple, list)) or len(node) != 3:
            raise ValueError(f"nodes must be (kind, across, down), got {checks.shown(node)}. Write ('latent', 0, 0).")
        checks.choice(node[0], _KINDS, "kind")
        x, y = (checks.number(value, "place", low=-1e3, high=1e3) for value in node[1:])
        place = (x * _UNIT, y * _UNIT)
        if place in places.values():
            raise ValueError(f"nodes must stand in places of their own, got {name!r} where another is. Move it.")
        places[name] = place
    return places, {name: node[0] for name, node in nodes.items()}


def _known(names: Iterable[str], places: Mapping[str, Place], what: str) -> list[str]:
    names = list(names)
    for name in names:
        if name not in places:
            raise ValueError(f"{what} must name nodes, {', '.join(places)}; got {name!r}. Add it to nodes.")
    return names


def _pair(edge: Any, places: Mapping[str, Place], what: str) -> tuple[str, str]:
    if not isinstance(edge, (tuple, list)) or len(edge) != 2 or edge[0] == edge[1]:
        raise ValueError(f"{what} must be pairs of different names, got {checks.shown(edge)}. Write ('z', 'x').")
    a, b = _known(edge, places, what)
    return a, b


def _size(kind: str) -> float:
    return 4.0 if kind == "parameter" else _RADIUS


def _in_words(kinds: Mapping[str, str], edges: Any, guesses: Any, plates: Mapping[str, list[str]]) -> str:
    said = ["A graphical model: " + ", ".join(f"{a} to {b}" for a, b in edges)]
    if guesses:
        said.append("guessed: " + ", ".join(f"{a} to {b}" for a, b in guesses))
    seen = [name for name, kind in kinds.items() if kind == "observed"]
    if seen:
        said.append(f"{', '.join(seen)} {'is' if len(seen) == 1 else 'are'} observed")
    said += [f"repeated {text}: {', '.join(names)}" for text, names in plates.items()]
    return "; ".join(said) + "."


def _node(name: str, kind: str, place: Place) -> str:
    x, y = place
    if kind == "parameter":
        return f'<circle cx="{x:g}" cy="{y:g}" r="4" fill="{INK}"/>' + label(name, x, y - 12)
    fill = SEEN if kind == "observed" else WHITE
    ring = f'<circle cx="{x:g}" cy="{y:g}" r="{_RADIUS:g}" fill="{fill}" stroke="{INK}" stroke-width="1.5"/>'
    return ring + label(name, x, y + 5)


def _frame(places: list[Place]) -> list[Place]:
    """Return two corners of the frame around nodes, with room for its text."""
    xs, ys, room = [x for x, _ in places], [y for _, y in places], _RADIUS + 14
    return [(min(xs) - room, min(ys) - room), (max(xs) + room, max(ys) + room + 14)]


def _plate(text: str, places: list[Place]) -> str:
    (left, top), (right, bottom) = _frame(places)
    box = f'<rect x="{left:g}" y="{top:g}" width="{right - left:g}" height="{bottom - top:g}" rx="8" fill="none"'
    return f'{box} stroke="{SOFT}"/>' + label(text, right - 8, bottom - 8, "end", 13, SOFT)
