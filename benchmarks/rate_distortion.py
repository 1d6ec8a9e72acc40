"""Rate against distortion of VAEs on the grey digits, beside the exact curve of the linear one; a table and a figure.

    python -m benchmarks.rate_distortion [--hidden 128] [--epochs 100] [--out FOLDER]

The decoder's variance is fixed, so that beta times it is the water level: every beta is a point of the linear VAE's
curve, which no linear model can pass. With --hidden a network is trained beside it. The curve in the figure has as
many latents as are worth their rate (21 at beta 2, 29 at 1, 40 at 0.5), the models and the table's exact columns 16:
so the points of small beta lie above the curve.
"""

import argparse
from pathlib import Path

import minivae as mv
from minivae.classical import covariance, eigenpairs
from minivae.studies import plots
from minivae.studies.rate_distortion import RatePoint, rate_distortion, rate_distortion_figure

BETAS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
S2, N_LATENT = 0.02, 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hidden", type=int, nargs="*", default=[], metavar="N", help="also a network of these widths")
    parser.add_argument("--epochs", type=int, default=100, help="of the network")
    parser.add_argument("--out", default="benchmarks/figures", metavar="FOLDER")
    options = parser.parse_args()
    if options.epochs < 1:
        parser.error(f"--epochs must be at least 1, got {options.epochs}")
    x = mv.load("digits-grey").x_train
    curves: dict[str, list[RatePoint]] = {}
    for hidden in [[], options.hidden] if options.hidden else [[]]:
        settings = mv.Settings(epochs=options.epochs, patience=None)
        name = f"network, hidden {hidden}" if hidden else "linear, trained"
        curves[name] = []
        print(f"\n{name}\n{'beta':>6}{'R':>9}{'D':>9}{'objective':>11}{'exact R':>9}{'exact D':>9}{'exact obj.':>11}")
        for p in rate_distortion(x, BETAS, s2=S2, n_latent=N_LATENT, n_hidden=hidden, settings=settings):
            curves[name].append(p)
            exact = f"{p.linear_rate:>9.4f}{p.linear_distortion:>9.4f}{p.linear_objective:>11.4f}"
            print(f"{p.beta:>6g}{p.rate:>9.4f}{p.distortion:>9.4f}{p.objective:>11.4f}{exact}", flush=True)
    values, _ = eigenpairs(covariance(x))
    folder = Path(options.out)
    folder.mkdir(parents=True, exist_ok=True)
    print(plots.save(rate_distortion_figure(values, curves), folder / "rate_distortion.png"))


if __name__ == "__main__":
    main()
