"""The autoencoder family at equal size on the digits: plain, denoising, sparse, contractive, as a table and pictures.

    python -m benchmarks.autoencoders [--epochs 200] [--out FOLDER]

All have the layers 64-128-32-128-64 (24,928 parameters), a ReLU and a sigmoid code, so that they differ in their loss
alone, and the same data, seed and optimiser. Every number is on the 1,797 test images (grey, by other writers):

- error: squared error of the reconstruction, summed over the 64 pixels, in pixel units of [0, 1];
- error from noise: the same where the input has lost 30 % of its pixels, or has salt and pepper on 20 %, or Gaussian
  noise of standard deviation 0.3; the target stays clean;
- mean code: the mean activation, and sparseness, 1 - (mean z)^2 / mean z^2 of a unit, averaged over units: 0 for a
  constant, 1 - p for a unit that is on in a share p of the images and off in the others;
- ||J||^2: squared Frobenius norm of dz/dx, mean over images; and divided by the total variance of the codes.

Sparseness and the last column do not change when a code is made small and the decoder large: mean code and ||J||^2
can be lowered in that way alone, so a penalty on them does more only where these two say so.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

import minivae as mv
from minivae.studies import plots

NOISES: dict[str, mv.models.Corruption] = {
    "masked": mv.models.MaskingNoise(0.3),
    "salt and pepper": mv.models.SaltAndPepperNoise(0.2),
    "Gaussian": mv.models.GaussianNoise(0.3),
}


def models() -> dict[str, mv.Autoencoder]:
    """Return the members of the family, with a sigmoid code each."""
    plain = mv.Autoencoder.mlp(64, 32, [128], "relu", penalty=mv.models.KLSparsity(weight=0.0))
    encoder, decoder, likelihood = plain.encoder, plain.decoder, plain.likelihood

    def member(**extra: Any) -> mv.Autoencoder:
        return mv.Autoencoder(encoder, decoder, likelihood, **extra)

    return {
        "plain": member(),
        "denoising, masking 0.3": member(corruption=NOISES["masked"]),
        "denoising, Gaussian 0.3": member(corruption=NOISES["Gaussian"]),
        "sparse, KL to 0.05": member(penalty=mv.models.KLSparsity(0.05, 0.1)),
        "sparse, L1": member(penalty=mv.models.L1Sparsity(0.2)),
        "contractive": member(penalty=mv.models.Contraction(0.1)),
    }


def measure(model: mv.Autoencoder, params: Any, x: Any, seed: int) -> dict[str, float]:
    """Return the numbers of one row."""

    def error(seen: Any) -> float:
        return float(np.sum((x - model.reconstruct(params, seen)) ** 2, axis=1).mean())

    row = {"error": error(x)}
    for name, noise in NOISES.items():
        row[f"error, {name}"] = error(noise.apply(x, noise.draw(np.random.default_rng([seed, 7]), x.shape, x.dtype)))
    z = model.embed(params, x)
    J = mv.models.jacobian(model.encoder, model.unpack(params)[0], x)
    squared = float(np.sum(J.astype(np.float64) ** 2, axis=(1, 2)).mean())
    sparseness = 1 - z.mean(axis=0) ** 2 / (z**2).mean(axis=0)
    row |= {"mean code": float(z.mean()), "sparseness": float(sparseness.mean())}
    return row | {"||J||^2": squared, "||J||^2 / Var z": squared / float(z.var(axis=0).sum())}


def run(epochs: int, seed: int, folder: Path, quiet: bool) -> list[dict[str, Any]]:
    """Train each member; write its pictures; return the table."""
    data = mv.load("digits-grey")
    settings = mv.Settings(epochs=epochs, batch_size=128, optimizer=mv.Adam(2e-3), seed=seed)
    some = data.x_test[np.linspace(0, len(data.x_test) - 1, 12).astype(int)]
    noise = NOISES["masked"]
    seen = noise.apply(some, noise.draw(np.random.default_rng([seed, 8]), some.shape, some.dtype))
    pictures = {"original": some, "masked": seen}
    rows: list[dict[str, Any]] = []
    for name, model in models().items():
        result = mv.train(model, data.x_train, data.x_valid, settings, progress=False if quiet else None)
        rows.append({"model": name, **measure(model, result.params, data.x_test, seed), "seconds": result.seconds})
        pictures[name.split(", ")[-1]] = model.reconstruct(result.params, seen)
        fields = mv.models.jacobian(model.encoder, model.unpack(result.params)[0], data.x_test[:256]).mean(axis=0)
        figure = plots.receptive_fields(fields, (8, 8))
        figure.axes[0].set_title(f"{name}: mean of dz/dx, the latents that react most first")
        plots.save(figure, folder / f"fields-{name.split(',')[0]}-{len(rows)}.png")
    title = "Reconstructions from masked images"
    plots.save(plots.image_rows(pictures, (8, 8), plots.Shades.of(some), title), folder / "reconstructions.png")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/autoencoders"), metavar="FOLDER")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.add_argument("--json", metavar="FILE", help="also write the rows to this file")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    rows = run(options.epochs, options.seed, options.out, options.quiet)
    columns = list(rows[0])
    print("| " + " | ".join(columns) + " |")
    print("|---" * len(columns) + "|")
    for row in rows:
        print("| " + " | ".join(f"{v:.3g}" if isinstance(v, float) else v for v in row.values()) + " |")
    if options.json:
        Path(options.json).write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
