"""Attribute arithmetic on digits with a stroke, counted: whether the stroke appears, and whether the digit stays.

    python -m benchmarks.attributes [--epochs 60] [--seeds 3]

A VAE (64-128-L-128-64) learns the digits of ``digits-stroke``, half of which have a stroke beside them. The mean code
of those with it less that of those without, of the training images, is added to the codes of the test images without it
(taken off those with it). Columns, in per cent of the test images, mean over seeds, the least and most in brackets:

- added, random: the stroke is found in the decoded image, by a detector that is right of every original; random is a
  random direction of the same length;
- taken: the stroke is still found where its direction was taken away;
- kept: the digit, without the stroke's column, is nearest to the same class mean as that of the plain reconstruction.
"""

import argparse
from typing import Any

import numpy as np

import minivae as mv
from minivae.datasets import has_stroke
from minivae.models import attribute_direction, with_attribute
from minivae.studies import measure_attribute

COLUMNS = ("added", "random", "taken", "kept")


def shown_digit(images: Any, means: Any) -> Any:
    """Return which class mean is nearest, the first column left out."""
    images = images.reshape(-1, 8, 8)[:, :, 1:].reshape(len(images), -1)
    return np.argmin(np.sum((images[:, None] - means) ** 2, axis=2), axis=1)


def run(n_latent: int, epochs: int, seed: int, quiet: bool) -> dict[str, float]:
    """Return the shares of one training."""
    data, digits = mv.load("digits-stroke"), mv.load("digits-threshold")
    assert data.y_train is not None
    assert data.y_test is not None
    model = mv.VAE.mlp(64, n_latent, [128])
    settings = mv.Settings(epochs=epochs, batch_size=128, optimizer=mv.Adam(2e-3), seed=seed)
    params = mv.train(model, data.x_train, data.x_valid, settings, progress=False if quiet else None).params
    train, test = (data.x_train, data.y_train == 1), (data.x_test, data.y_test == 1)
    found = [row["found"] / row["n"] for row in measure_attribute(model, params, train, test, has_stroke, seed=seed)]
    inner = digits.x_train.reshape(-1, 8, 8)[:, :, 1:].reshape(len(digits.x_train), -1)
    means = np.array([inner[digits.y_train == label].mean(axis=0) for label in range(10)])
    without = test[0][~test[1]]
    direction = attribute_direction(model.embed(params, train[0]), train[1])
    moved = with_attribute(model, params, without, direction)
    kept = shown_digit(moved, means) == shown_digit(model.reconstruct(params, without), means)
    return dict(zip(COLUMNS, (found[2], found[3], found[6], float(kept.mean())), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=3, help="number of trainings for each dimension of z")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    options = parser.parse_args()
    print("| latents | " + " | ".join(COLUMNS) + " |\n|---" + "|---" * len(COLUMNS) + "|")
    for n_latent in (2, 8):
        rows = [run(n_latent, options.epochs, seed, options.quiet) for seed in range(options.seeds)]
        cells = []
        for name in COLUMNS:
            values = 100 * np.array([row[name] for row in rows])
            cells.append(f"{values.mean():.0f} ({values.min():.0f} to {values.max():.0f})")
        print(f"| {n_latent} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
