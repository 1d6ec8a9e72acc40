"""A VAE whose latents collapse, and what brings them back: warm-up, cycles, free bits, a learnt prior.

    python -m benchmarks.collapse [--epochs 60] [--only NAME ...] [--json FILE]

The network is 64-256-256-256-20 and back on the thresholded digits, ReLU, Adam with a rate of 1e-3, batches of 128.
Each way trains it from the same seed; the best epoch on the validation set is kept, at beta = 1. Of the test images:

- ELBO, reconstruction, KL: nats per image, without beta and free bits;
- active: latents whose posterior mean has a variance above 0.01;
- I(x; z): of 1,000 images, too low in expectation and at most log 1000 = 6.9 nats.
"""

import argparse
import json
from typing import Any

import numpy as np

import minivae as mv
from minivae.studies.collapse import collapse

N_LATENT, N_HIDDEN = 20, [256, 256, 256]


def ways(epochs: int) -> dict[str, tuple[mv.Elbo, dict[str, Any]]]:
    """Return each way: the objective, and what is special of the model."""
    warmup, cycle = mv.estimators.Warmup(max(1, epochs // 3)), mv.estimators.Cycle(max(1, epochs // 4))
    return {
        "plain": (mv.Elbo(), {}),
        "warm-up": (mv.Elbo(beta=warmup), {}),
        "cycles": (mv.Elbo(beta=cycle), {}),
        "free bits 0.1": (mv.Elbo(free_bits=0.1), {}),
        "mixture prior": (mv.Elbo(), {"prior": "mixture", "n_components": 10}),
        "VampPrior": (mv.Elbo(), {"prior": "vamp", "n_components": 50}),
    }


def run(name: str, epochs: int, n_hidden: list[int] | None = None, seed: int = 0) -> dict[str, Any]:
    """Train in one way, and return its row."""
    digits = mv.load("digits-threshold")
    objective, special = ways(epochs)[name]
    hidden = N_HIDDEN if n_hidden is None else n_hidden
    model = mv.VAE.mlp(64, N_LATENT, hidden, likelihood=mv.Bernoulli(), **special)
    settings = mv.Settings(epochs=epochs, objective=objective, seed=seed)
    params = mv.train(model, digits.x_train, digits.x_valid, settings).params
    terms = model.terms(params, digits.x_test, rng=np.random.default_rng(seed), n_draws=16).means()
    found = collapse(model, params, digits.x_test, seed)
    active = N_LATENT - len(found.collapsed)
    return {"way": name, **terms, "active": active, "information": float(found.information.mean())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--only", nargs="+", choices=list(ways(4)), default=list(ways(4)))
    parser.add_argument("--json", metavar="FILE", help="also write the rows to this file")
    options = parser.parse_args()
    if options.epochs < 1:
        parser.error(f"--epochs must be at least 1, got {options.epochs}")
    rows = []
    print(f"{'':<16}{'ELBO':>9}{'recon.':>9}{'KL':>7}{'active':>8}{'I(x; z)':>9}")
    for name in options.only:
        rows.append(run(name, options.epochs))
        numbers = "{elbo:>9.2f}{log_lik:>9.2f}{kl:>7.2f}{active:>8}{information:>9.2f}".format(**rows[-1])
        print(f"{name:<16}{numbers}", flush=True)
    if options.json:
        with open(options.json, "w") as file:
            json.dump(rows, file, indent=2)


if __name__ == "__main__":
    main()
