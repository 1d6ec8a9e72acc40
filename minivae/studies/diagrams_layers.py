"""Diagrams of models: their layers from x over z to p(x|z)."""

import math
from typing import Any

from minivae.core import checks
from minivae.studies.svg import INK, RED, SEEN, SOFT, WHITE, Drawing, arrow, label, whole

_LAYER = "#e8f1f8"


def architecture(model: Any, alt: str = "") -> Drawing:
    """Draw a model's layers as bars whose heights grow with the logarithm of their widths, from x over z to p(x|z).

    Parameters
    ----------
    model : VAE or Autoencoder
        Its encoder and decoder say what is drawn; a random code has its noise eps beside it.
    alt : str
        What the picture shows; made of the widths unless given.

    Examples
    --------
    >>> from minivae import VAE
    >>> architecture(VAE.mlp(n_x=784, n_latent=20, n_hidden=[400])).alt
    'A VAE: x 784, relu 400, DiagonalGaussian 40, z 20 with noise eps, relu 400, Bernoulli 784.'
    """
    checks.has(model, ("encoder", "decoder", "likelihood"), "model", "a VAE or an Autoencoder", "VAE.mlp(4, 2)")
    bars = _bars(model)
    step, middle = 110.0, 0.0
    heights = [22 + 22 * math.log2(1 + width) for _, width, _ in bars]
    parts, tallest = [], max(heights)
    for i, ((name, width, color), height) in enumerate(zip(bars, heights, strict=True)):
        x = i * step
        if i:
            parts.append(arrow((x - step, middle), (x, middle), 15, 15, INK, False, False))
        box = f'<rect x="{x - 13:g}" y="{middle - height / 2:.2f}" width="26" height="{height:.2f}" rx="4"'
        parts.append(f'{box} fill="{color}" stroke="{INK}"/>')
        parts.append(label(str(width), x, middle - height / 2 - 6, size=13, color=SOFT))
        parts.append(label(name, x, middle + tallest / 2 + 22, size=13))
    top = middle - tallest / 2 - 24
    if getattr(model, "variational", False):
        at = next(i for i, bar in enumerate(bars) if bar[0] == "z")
        x, end = at * step, middle - heights[at] / 2 - 20
        parts += [
            label("eps", x, end - 40, size=13, color=RED),
            arrow((x, end - 34), (x, end), 0, 0, RED, False, False),
        ]
        top = min(top, end - 56)
    corners = [(-70.0, top), ((len(bars) - 1) * step + 70, middle + tallest / 2 + 30)]
    said = ", ".join(f"{name} {width}" + _noise(name, model) for name, width, _ in bars)
    alt = alt or f"A{'n' if type(model).__name__[0] in 'AEIOU' else ''} {type(model).__name__}: {said}."
    return Drawing(whole(parts, corners, alt), alt)


def _noise(name: str, model: Any) -> str:
    return " with noise eps" if name == "z" and getattr(model, "variational", False) else ""


def _bars(model: Any) -> list[tuple[str, int, str]]:
    """Return name, width and colour of each stage."""
    bars = [("x", int(model.n_x), SEEN)]
    head = type(model.posterior).__name__ if hasattr(model, "posterior") else "z"
    for net, last in ((model.encoder, head), (model.decoder, type(model.likelihood).__name__)):
        layers, width = list(net.flat_layers()), 0
        stages: list[tuple[str, int]] = []
        for layer in layers:
            if layer.n_out is not None:
                width = layer.n_out
                stages.append((type(layer).__name__.lower(), width))
            elif stages:  # an activation gives its name to the layer before it
                stages[-1] = (type(layer).__name__.lower(), width)
        stages[-1] = (last, stages[-1][1])
        bars += [
            (name, width, SEEN if name == last != "z" and net is model.decoder else _LAYER) for name, width in stages
        ]
        if net is model.encoder and head != "z":
            bars.append(("z", int(model.decoder.n_in), WHITE))
    return bars
