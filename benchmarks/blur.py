"""Why images of a VAE are blurry, measured: two images that share a code, and VAEs of the digits by the KL's weight.

    python -m benchmarks.blur [--epochs 100] [--out FOLDER]

The first part needs no training to speak of: what one code makes of a 3 and an 8, beside the closed forms of
``minivae.studies.blur``. The second trains a VAE (64-128-8-128-64, thresholded digits) for each weight of the KL and
measures on the test images how sharp its images are: the mean squared difference of neighbouring pixels. The ELBO is
that of weight one, whatever weight was trained with.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

import minivae as mv
from minivae.studies import plots
from minivae.studies.blur import contrast_figure, fit_shared_code, measure_sharpness, sharpness, two_images_figure

BETAS = (4.0, 1.0, 0.25, 0.05)


def two_digits() -> tuple[Any, Any]:
    """Return the first 3 and the first 8 of the test set, thresholded."""
    data = mv.load("digits-threshold")
    assert data.y_test is not None
    return tuple(data.x_test[data.y_test == label][0].astype(float) for label in (3, 8))  # type: ignore[return-value]


def by_weight(epochs: int, seed: int, quiet: bool) -> list[dict[str, Any]]:
    """Return a row for each weight of the KL."""
    data = mv.load("digits-threshold")
    model = mv.VAE.mlp(64, 8, [128])
    rows = []
    for beta in BETAS:
        objective = mv.Elbo(beta=beta)
        settings = mv.Settings(epochs=epochs, batch_size=128, optimizer=mv.Adam(2e-3), seed=seed, objective=objective)
        params = mv.train(model, data.x_train, data.x_valid, settings, progress=False if quiet else None).params
        terms = model.terms(params, data.x_test, rng=np.random.default_rng(seed), n_draws=10)
        found = measure_sharpness(model, params, data.x_test, (8, 8), seed)
        rows.append({"beta": beta} | found | {"KL": float(terms.kl.mean()), "ELBO": float(terms.elbo.mean())})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/figures"), metavar="FOLDER")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.add_argument("--json", metavar="FILE", help="also write the rows to this file")
    options = parser.parse_args()
    a, b = two_digits()
    images = np.stack([a, b])
    for name in ("gaussian", "bernoulli"):
        found = fit_shared_code(images, name)
        own, shared = sharpness(images, (8, 8)).mean(), sharpness(found.image[None], (8, 8)).item()
        print(f"one code, {name}: the mean to {found.distance:.0e}; sharpness {shared:.3f}, of the two {own:.3f}")
    print(plots.save(two_images_figure(a, b, (8, 8)), options.out / "blur.png"))
    print(plots.save(contrast_figure(a, b), options.out / "blur_contrast.png"))
    rows = by_weight(options.epochs, options.seed, options.quiet)
    print("| " + " | ".join(rows[0]) + " |\n" + "|---" * len(rows[0]) + "|")
    for row in rows:
        print("| " + " | ".join(f"{v:.3g}" for v in row.values()) + " |")
    if options.json:
        Path(options.json).write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
