"""Diagrams: well-formed files, every part within, arrows from rim to rim, and words that say what is there."""

import math
import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest

from minivae.models.autoencoder import Autoencoder
from minivae.models.vae import VAE
from minivae.studies.diagrams import graph
from minivae.studies.diagrams_layers import architecture

SVG = "{http://www.w3.org/2000/svg}"
NODES = {"z": ("latent", 0, 0), "x": ("observed", 2, 0), "θ": ("parameter", 1.5, -1), "<&>": ("latent", 0, 1.5)}
MODELS = {
    "paper": VAE.mlp(784, 20, [400]),
    "wide code": VAE.mlp(4, 300, [8, 3], activation="tanh", posterior="full"),
    "point": Autoencoder.mlp(64, 2, [16]),
    "linear": VAE.mlp(8, 1, [], likelihood="gaussian-per-pixel"),
}


def drawn(drawing):
    root = ET.fromstring(drawing.svg)  # refuses what is no XML
    left, top, width, height = map(float, root.get("viewBox").split())
    assert root.find(f"{SVG}title").text == drawing.alt
    for element in root.iter():
        for points in corners(element):
            for x, y in points:
                assert left <= x <= left + width, (element.tag, x)
                assert top <= y <= top + height, (element.tag, y)
    return root


def corners(element):
    """Yield the corners of what is painted, words with the room that they take."""
    kind = element.tag.removeprefix(SVG)
    get = lambda name: float(element.get(name))  # noqa: E731
    if kind == "circle":
        yield [(get("cx") + s * get("r"), get("cy") + s * get("r")) for s in (-1, 1)]
    elif kind == "rect":
        yield [(get("x"), get("y")), (get("x") + get("width"), get("y") + get("height"))]
    elif kind == "text":
        half = 0.3 * get("font-size") * len(element.text)
        shift = -half if element.get("text-anchor") == "end" else 0
        yield [(get("x") + shift + s * half, get("y") - up) for s, up in ((-1, 0), (1, get("font-size")))]
    elif kind in ("polygon", "path"):
        numbers = list(map(float, re.findall(r"-?[\d.]+", element.get("points") or element.get("d"))))
        yield list(zip(numbers[::2], numbers[1::2], strict=True))


def arrows(root):
    """Return start and tip of each arrow."""
    paths, heads = root.findall(f"{SVG}path"), root.findall(f"{SVG}polygon")
    assert len(paths) == len(heads)
    return [(next(corners(p))[0], next(corners(h))[0]) for p, h in zip(paths, heads, strict=True)]


def test_arrows_run_from_rim_to_rim():
    drawing = graph(NODES, [("z", "x"), ("θ", "x"), ("z", "<&>")], guesses=[("x", "z")], plates={"N": ["z", "x"]})
    root = drawn(drawing)
    centres = {name: (110 * x, 110 * y) for name, (_, x, y) in NODES.items()}
    rim = {name: 4 if kind == "parameter" else 26 for name, (kind, _, _) in NODES.items()}
    pairs = [("z", "x"), ("θ", "x"), ("z", "<&>"), ("x", "z")]
    for (a, b), (start, tip) in zip(pairs, arrows(root), strict=True):
        assert math.dist(start, centres[a]) == pytest.approx(rim[a], abs=0.02)
        assert math.dist(tip, centres[b]) == pytest.approx(rim[b], abs=0.02)
        assert math.dist(start, tip) < math.dist(centres[a], centres[b])
    there, back = arrows(root)[0], arrows(root)[3]
    for bent, path in ((there, root.findall(f"{SVG}path")[0]), (back, root.findall(f"{SVG}path")[3])):
        heights = [y for _, y in next(corners(path))] + [y for _, y in bent]
        assert len({math.copysign(1, y) for y in heights}) == 1  # all of it on one side
    assert there[0][1] * back[0][1] < 0  # the two ways of one pair do not lie on each other
    assert [circle.get("fill") for circle in root.findall(f"{SVG}circle")].count("#d5dce3") == 1
    dashed = [path.get("stroke-dasharray") for path in root.findall(f"{SVG}path")]
    assert dashed == [None, None, None, "5 4"]


@pytest.mark.parametrize("held", [["z", "x"], ["z", "<&>"]])
def test_a_plate_holds_its_nodes_and_no_others(held):
    root = drawn(graph(NODES, [], plates={"N examples": held}))
    plate = root.findall(f"{SVG}rect")[1]
    (left, top), (right, bottom) = next(corners(plate))
    for name, (kind, x, y) in NODES.items():
        r = 4 if kind == "parameter" else 26
        inside = left <= 110 * x - r and 110 * x + r <= right and top <= 110 * y - r and 110 * y + r <= bottom
        assert inside == (name in held)


def test_the_words_say_who_depends_on_whom():
    drawing = graph(NODES, [("z", "x")], guesses=[("x", "z")], plates={"N": ["z", "x"]})
    assert drawing.alt == "A graphical model: z to x; guessed: x to z; x is observed; repeated N: z, x."
    assert graph(NODES, [("z", "x")], alt="Two.").alt == "Two."
    data, metadata = drawing._repr_mimebundle_()
    assert data["image/svg+xml"] == drawing.svg
    assert metadata["image/svg+xml"]["alt"] == drawing.alt


@pytest.mark.parametrize("name", MODELS)
def test_bars_are_the_layers_and_do_not_touch(name):
    model = MODELS[name]
    root = drawn(architecture(model))
    bars = root.findall(f"{SVG}rect")[1:]
    widths = [int(text.text) for text in root.findall(f"{SVG}text") if text.text.isdigit()]
    dense = [layer.n_out for net in (model.encoder, model.decoder) for layer in net.flat_layers() if layer.n_out]
    z = [] if name == "point" else [model.decoder.n_in]
    n = len(model.encoder.layers) // 2 + 1
    assert widths == [model.n_x, *dense[:n], *z, *dense[n:]]
    for a, b in pairwise(bars):
        assert float(a.get("x")) + float(a.get("width")) < float(b.get("x"))
    heights = dict(zip(widths, (float(bar.get("height")) for bar in bars), strict=True))
    assert sorted(heights, key=heights.get) == sorted(heights)  # the wider the layer, the higher the bar
    assert ("eps" in [text.text for text in root.iter(f"{SVG}text")]) == (name != "point")
    assert len(arrows(root)) == len(bars) - 1 + (name != "point")


REFUSED = {
    "no nodes": (lambda: graph({}, []), "nodes must name at least one variable"),
    "no place": (lambda: graph({"z": ("latent", 0)}, []), r"nodes must be \(kind, across, down\), got"),
    "strange kind": (lambda: graph({"z": ("hidden", 0, 0)}, []), "kind must be one of latent, observed, parameter"),
    "far away": (lambda: graph({"z": ("latent", 1e9, 0)}, []), "place must be"),
    "one place": (lambda: graph({"z": ("latent", 0, 0), "x": ("latent", 0, 0)}, []), "places of their own, got 'x'"),
    "strange end": (lambda: graph(NODES, [("z", "y")]), "edges must name nodes, z, x, θ, <&>; got 'y'"),
    "to itself": (lambda: graph(NODES, [("z", "z")]), "edges must be pairs of different names"),
    "no pair": (lambda: graph(NODES, ["zx"]), "edges must be pairs of different names"),
    "strange guess": (lambda: graph(NODES, [], [("z", "y")]), "guesses must name nodes"),
    "strange plate": (lambda: graph(NODES, [], plates={"N": ["y"]}), "plates must name nodes"),
    "no model": (lambda: architecture(3), "model must be a VAE or an Autoencoder"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_drawn_is_refused_in_words(case):
    call, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        call()
