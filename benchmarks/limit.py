"""How fast a VAE becomes an autoencoder: the distance of their gradients against the noise, as a table and a figure.

    python -m benchmarks.limit [--out FILE.png]

On the first 64 test digits (grey), a network 64-8-2-8-64 of tanh units, random parameters; the noise is integrated over
with six quadrature nodes a latent. ``minivae.studies.limit`` says what is predicted: power 2 where the noise is
integrated over, 1 for a single draw, and no limit at all while the KL keeps its weight.
"""

import argparse
from pathlib import Path

import minivae as mv
from minivae.studies import plots
from minivae.studies.limit import limit_figure, limit_to_autoencoder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/figures/limit.png"), metavar="FILE")
    options = parser.parse_args()
    approaches = limit_to_autoencoder(mv.load("digits-grey").x_test[:64], seed=options.seed)
    print(f"{'relative distance of the gradients at sigma_f =':<48}{'0.001':>10}{'0.01':>10}{'0.1':>10}{'power':>8}")
    for way in approaches:
        cells = "".join(f"{distance:>10.1e}" for distance in way.distances[[0, 4, 8]])
        print(f"{way.name:<48}{cells}{way.power:>8.2f}")
    print(plots.save(limit_figure(approaches), options.out))


if __name__ == "__main__":
    main()
