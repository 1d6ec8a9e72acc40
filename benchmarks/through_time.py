"""How far back RNN, GRU and LSTM learn, what predicts it, and what clipping does: a table and a figure.

    python -m benchmarks.through_time [--seed 0] [--out FOLDER]

A gradient that goes back through a step is multiplied by the step's Jacobian: the spectral radius of that at rest says
by what factor its length falls or grows.
"""

import argparse
from pathlib import Path

from minivae.studies import plots
from minivae.studies.through_time import clipping, reach_through_time, through_time_figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="benchmarks/figures", metavar="FOLDER")
    options = parser.parse_args()
    found = reach_through_time(options.seed)
    print(f"{'':<15}{'spectral radius':>16}{'factor a step back':>20}{'after 49 steps, inputs of 1':>29}")
    for each in found:
        print(f"{each.name:<15}{each.radius:>16.3f}{each.rate:>20.3f}{each.large[0]:>29.1e}")
    trained = [clipping(max_norm, seed=options.seed) for max_norm in (None, 1.0)]
    for training in trained:
        name = "not clipped" if training.max_norm is None else f"clipped at {training.max_norm:g}"
        end = training.losses[-20:].mean()
        print(f"{name:<15}longest gradient {training.norms.max():.1e}, error of the last 20 updates {end:.3g}")
    folder = Path(options.out)
    folder.mkdir(parents=True, exist_ok=True)
    print(plots.save(through_time_figure(found, trained), folder / "through_time.png"))


if __name__ == "__main__":
    main()
