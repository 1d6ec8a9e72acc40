"""Convolutional against dense on fixed-binarised MNIST, 20 latents: at equal parameters, and at equal time.

    python -m benchmarks.convolution [--epochs 50] [--seeds 3] [--seconds S] [--json FILE]

The convolutional network has two layers of stride 2 with 16 and 32 channels, kernels of 4, and the same back; the dense
one has a hidden layer each way, as wide as makes its parameters the nearest in number. ReLU, Adam with a rate of 1e-3,
batches of 128, the same seeds; the epoch that is best on the validation set is kept. With --seconds both train for that
long on the clock instead, however many epochs that makes. Of the test set:

- ELBO: nats per image, 16 draws each, mean over images, with the standard deviation over seeds;
- examples per second: of training, validation included, on this machine.
"""

import argparse
import json
import time
from functools import partial
from typing import Any

import numpy as np

import minivae as mv
from minivae.models import convolutional

N_LATENT, N_X = 20, 784


def models() -> dict[str, mv.VAE]:
    """Return both models.

    >>> sizes = [model.n_params for model in models().values()]
    >>> abs(sizes[0] - sizes[1]) < 850  # a hidden unit more or less
    True
    """
    conv = mv.VAE.of(partial(convolutional, (1, 28, 28)), N_LATENT)
    per_unit = (N_X + 1) + 2 * N_LATENT + (N_LATENT + 1) + N_X  # weights and biases that come with a hidden unit
    width = round((conv.n_params - 2 * N_LATENT - N_X) / per_unit)
    return {"convolutional": conv, "dense": mv.VAE.mlp(N_X, N_LATENT, [width])}


def run(
    model: mv.VAE, data: mv.datasets.Dataset, epochs: int, seed: int, seconds: float | None = None
) -> dict[str, Any]:
    """Train once, and return what it reached."""
    n_epochs = epochs
    if seconds is not None:  # one epoch says how many fit
        start = time.perf_counter()
        mv.train(model, data.x_train, data.x_valid, mv.Settings(epochs=1, patience=None, seed=seed), progress=False)
        n_epochs = max(1, round(seconds / (time.perf_counter() - start)))
    settings = mv.Settings(epochs=n_epochs, batch_size=128, patience=None, seed=seed)
    result = mv.train(model, data.x_train, data.x_valid, settings)
    elbo = model.elbo(result.params, data.x_test, rng=np.random.default_rng(seed), n_draws=16)
    return {
        "epochs": n_epochs,
        "best_epoch": result.best_epoch,
        "elbo": float(elbo.mean(dtype=np.float64)),
        "examples_per_second": result.examples_per_second,
        "seconds": result.seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument("--seconds", type=float, help="train each for so long instead of --epochs")
    parser.add_argument("--json", metavar="FILE", help="also write the rows to this file")
    options = parser.parse_args()
    for name in ("epochs", "seeds"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} must be at least 1, got {getattr(options, name)}")
    if options.seconds is not None and not options.seconds > 0:
        parser.error(f"--seconds must be positive, got {options.seconds:g}")
    data, rows = mv.load("mnist-fixed"), []
    print(f"{'':<15}{'parameters':>11}{'seed':>6}{'epochs':>8}{'ELBO':>10}{'examples/s':>12}{'seconds':>9}")
    for name, model in models().items():
        own = []
        for seed in range(options.seeds):
            own.append({"model": name, "n_params": model.n_params, "seed": seed})
            own[-1] |= run(model, data, options.epochs, seed, options.seconds)
            line = "{n_params:>11,}{seed:>6}{epochs:>8}{elbo:>10.2f}{examples_per_second:>12,.0f}{seconds:>9.0f}"
            print(f"{name:<15}{line.format(**own[-1])}", flush=True)
        elbos = np.array([row["elbo"] for row in own])
        spread = f" +- {elbos.std(ddof=1):.2f} over seeds" if len(elbos) > 1 else ""
        print(f"{name:<15}mean ELBO {elbos.mean():.2f}{spread}", flush=True)
        rows += own
    if options.json:
        with open(options.json, "w") as file:
            json.dump(rows, file, indent=2)


if __name__ == "__main__":
    main()
