"""Draw the diagrams of the pages that are no notebooks: ``python lectures/diagrams/draw.py``."""

from pathlib import Path

import minivae as mv
from minivae.studies.diagrams import graph
from minivae.studies.diagrams_layers import architecture

VAE_NODES = {
    "φ": ("parameter", 0, -0.9),
    "θ": ("parameter", 2, -0.9),
    "z": ("latent", 0, 0),
    "x": ("observed", 2, 0),
}

DRAWINGS = {
    "vae_graph": graph(
        VAE_NODES,
        [("z", "x"), ("θ", "x")],
        guesses=[("x", "z"), ("φ", "z")],
        plates={"N examples": ["z", "x"]},
    ),
    "vae_layers": architecture(
        mv.VAE.mlp(n_x=784, n_latent=20, n_hidden=[400])
    ),
}

if __name__ == "__main__":
    for name, drawing in DRAWINGS.items():
        (Path(__file__).parent / f"{name}.svg").write_text(drawing.svg)
