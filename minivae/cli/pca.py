"""``minivae pca``: principal components beside trained linear autoencoders."""

import argparse
import os
from pathlib import Path

from minivae.cli.tables import print_table
from minivae.cli.verbs import Outcome, Verb, add_quiet, image_shape
from minivae.core import checks
from minivae.studies.pca_report import report, spectrum
from minivae.training import runs


def _options(parser: argparse.ArgumentParser) -> None:
    data = "a named set or a file, as for train (default digits-grey)"
    parser.add_argument("--data", default="digits-grey", help=data)
    parser.add_argument("--image-shape", type=image_shape, metavar="HxW", help="height x width of the images in a file")
    parser.add_argument("--latent", type=int, default=10, metavar="N", help="components to keep (default 10)")
    parser.add_argument("--out", metavar="DIR", help="where to write the figures (default runs/DATA-pca-NNN)")
    add_quiet(parser)


def _run(options: argparse.Namespace) -> Outcome:
    """Hold trained linear autoencoders to the eigendecomposition; the code is 1 where a check fails."""
    checks.seed(options.seed)
    dataset = runs.open_data(options.data, options.image_shape)
    eigen = spectrum(dataset, options.latent)
    folder = runs.new_folder(options.out, f"{Path(options.data).name.split('.')[0]}-pca")
    found = report(dataset, eigen, options.latent, options.seed, folder, False if options.quiet else None)
    failed = [row for row in found.checks if row["ok"] is False]
    if not options.json:
        n, d = dataset.x_train.shape
        print(f"PCA and linear autoencoders, {options.latent} latents; {dataset.name}: {n:,} rows of {d} values\n")
        print_table(found.components)
        print()
        print_table([{**row, "ok": "arbitrary" if row["ok"] is None else row["ok"]} for row in found.checks])
        print(
            "\nThe raw decoder spans the components and mixes them: its cosines are not 1, and need not be. "
            + (f"{len(failed)} of {len(found.checks)} checks FAIL." if failed else "With L2 they are.")
        )
        if found.arbitrary:
            print(
                f"Arbitrary: components {checks.listed(found.arbitrary)}. A neighbour shares their eigenvalue: only "
                f"what equal ones span together is determined."
            )
        print(f"figures  {folder}{os.sep}: {', '.join(Path(path).name for path in found.figures)}")
    settings = {"data": dataset.name, "latent": options.latent, "seed": options.seed, "out": str(folder)}
    settings |= {"components": found.components, "arbitrary": found.arbitrary}
    settings |= {"figures": found.figures}
    return int(bool(failed)), found.checks, settings


VERB = Verb("pca", "compare principal components with trained linear autoencoders: tables and figures", _options, _run)
