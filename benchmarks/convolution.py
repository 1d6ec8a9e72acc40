"""Convolutional against dense on fixed-binarised MNIST, 20 latents: at equal parameters, and at equal time.

    python -m benchmarks.convolution [--epochs 50] [--seeds 3] [--json FILE]

The convolutional network has two layers of stride 2 with 16 and 32 channels, kernels of 4, and the same back; the dense
one has a hidden layer each way, as wide as makes its parameters the nearest in number. ReLU, Adam with a rate of 1e-3,
batches of 128, the same seeds; the epoch that is best on the validation set is kept. The dense network is trained a
second time for as long as the convolutional one took, however many epochs that makes. All on one core, and seconds are
those of the processor, validation included, so that other work on the machine does not count. Of the test set:

- ELBO: nats per image, 16 draws each, mean over images, with the standard deviation over seeds.
"""

import argparse
import json
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

import minivae as mv
from minivae.models import convolutional
from minivae.training.arithmetic import reproducible

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


def run(model: mv.VAE, data: mv.datasets.Dataset, epochs: int, seed: int) -> dict[str, Any]:
    """Train once, and return what it reached and what it cost."""
    settings = mv.Settings(epochs=epochs, batch_size=128, patience=None, seed=seed)
    start = time.process_time()
    result = mv.train(model, data.x_train, data.x_valid, settings, progress=False)
    seconds = time.process_time() - start
    elbo = model.elbo(result.params, data.x_test, rng=np.random.default_rng(seed), n_draws=16)
    return {
        "epochs": epochs,
        "best_epoch": result.best_epoch,
        "elbo": float(elbo.mean(dtype=np.float64)),
        "examples_per_second": epochs * len(data.x_train) / seconds,
        "seconds": seconds,
    }


def compare(data: mv.datasets.Dataset, epochs: int, n_seeds: int) -> Iterator[dict[str, Any]]:
    """Yield the row of each network and seed, the dense one at as many epochs and then at as many seconds."""
    both, seconds = models(), {}
    for name, model in both.items():
        rows = [run(model, data, epochs, seed) | {"seed": seed} for seed in range(n_seeds)]
        seconds[name] = sum(row["seconds"] for row in rows)
        yield from ({"network": name, "n_params": model.n_params} | row for row in rows)
    more = max(1, round(epochs * seconds["convolutional"] / seconds["dense"]))
    for seed in range(n_seeds):
        row = run(both["dense"], data, more, seed)
        yield {"network": "dense, equal time", "n_params": both["dense"].n_params, "seed": seed} | row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument("--json", metavar="FILE", help="also write the rows to this file")
    options = parser.parse_args()
    for name in ("epochs", "seeds"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} must be at least 1, got {getattr(options, name)}")
    data, rows = mv.load("mnist-fixed"), []
    print(f"{'':<19}{'parameters':>11}{'seed':>6}{'epochs':>8}{'ELBO':>10}{'examples/s':>12}{'seconds':>9}")
    with reproducible():
        for row in compare(data, options.epochs, options.seeds):
            start = "{network:<19}{n_params:>11,}{seed:>6}{epochs:>8}".format(**row)
            print(start + "{elbo:>10.2f}{examples_per_second:>12,.0f}{seconds:>9.0f}".format(**row), flush=True)
            rows.append(row)
    for name in dict.fromkeys(row["network"] for row in rows):
        elbos = np.array([row["elbo"] for row in rows if row["network"] == name])
        spread = f" +- {elbos.std(ddof=1):.2f} over seeds" if len(elbos) > 1 else ""
        print(f"{name:<19}mean ELBO {elbos.mean():.2f}{spread}")
    if options.json:
        with open(options.json, "w") as file:
            json.dump(rows, file, indent=2)


if __name__ == "__main__":
    main()
