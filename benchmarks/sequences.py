"""The collapse of a VAE whose decoder is shown the steps before, and what brings the latents back.

    python -m benchmarks.sequences [--epochs 60] [--data digits-threshold] [--only NAME ...] [--json FILE]

Digits are read row by row (8 steps of 8 pixels) by a bidirectional GRU of 64 units, and written by another, which sees
z and the true rows before the one that it writes (Bowman et al. 2016), 8 latents. Of the test images:

- ELBO, reconstruction, KL: nats per image at beta 1, with no row dropped;
- active: latents whose posterior mean has a variance above 0.01; I(x; z) as ``minivae evaluate`` estimates it.
"""

import argparse
import json
from typing import Any

import numpy as np

import minivae as mv
from minivae.models import SequenceVAE
from minivae.studies.collapse import collapse

N_LATENT, N_UNITS = 8, 64


def ways(epochs: int) -> dict[str, tuple[mv.Elbo, float]]:
    """Return each way: the objective, and the share of the rows that is dropped."""
    warmup = mv.estimators.Warmup(max(1, epochs // 2))
    return {
        "plain": (mv.Elbo(), 0.0),
        "warm-up": (mv.Elbo(beta=warmup), 0.0),
        "free bits 0.25": (mv.Elbo(free_bits=0.25), 0.0),
        "word dropout 0.5": (mv.Elbo(), 0.5),
        "word dropout 1": (mv.Elbo(), 1.0),
        "warm-up, dropout 0.5": (mv.Elbo(beta=warmup), 0.5),
    }


def run(name: str, epochs: int, data: mv.datasets.Dataset, n_units: int = N_UNITS, seed: int = 0) -> dict[str, Any]:
    """Train in one way, and return its row."""
    objective, word_dropout = ways(epochs)[name]
    assert data.image_shape is not None
    model = SequenceVAE.recurrent(*data.image_shape, N_LATENT, n_units, word_dropout=word_dropout)
    settings = mv.Settings(epochs=epochs, objective=objective, seed=seed, patience=None)
    params = mv.train(model, data.x_train, data.x_valid, settings).params
    terms = model.terms(params, data.x_test, rng=np.random.default_rng(seed), n_draws=16).means()
    found = collapse(model, params, data.x_test, seed)
    active = N_LATENT - len(found.collapsed)
    return {"way": name, **terms, "active": active, "information": float(found.information.mean())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--data", default="digits-threshold", choices=["digits-threshold", "mnist-fixed"])
    parser.add_argument("--only", nargs="+", choices=list(ways(4)), default=list(ways(4)))
    parser.add_argument("--json", metavar="FILE", help="also write the rows to this file")
    options = parser.parse_args()
    if options.epochs < 1:
        parser.error(f"--epochs must be at least 1, got {options.epochs}")
    data, rows = mv.load(options.data), []
    print(f"{'':<22}{'ELBO':>9}{'recon.':>9}{'KL':>7}{'active':>8}{'I(x; z)':>9}")
    for name in options.only:
        rows.append(run(name, options.epochs, data))
        numbers = "{elbo:>9.2f}{log_lik:>9.2f}{kl:>7.2f}{active:>8}{information:>9.2f}".format(**rows[-1])
        print(f"{name:<22}{numbers}", flush=True)
    if options.json:
        with open(options.json, "w") as file:
            json.dump(rows, file, indent=2)


if __name__ == "__main__":
    main()
