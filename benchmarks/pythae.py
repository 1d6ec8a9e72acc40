"""Reproduce the VAE's row in the table of reproduced papers of pythae: -log p(x) on fixed-binarised MNIST.

    MINIVAE_DATA=... python -m benchmarks.pythae

Protocol: MNIST as binarised once, 50,000 / 10,000 / 10,000; 784-400-(2 x 40) and back, ReLU; batch 100; Adam with
the rate 1e-4, which at epochs 200, 350 and 500 of 600 falls by 10^-0.2; the best epoch on the validation set; log p(x)
of the test set by 200 importance samples. That is 300,000 steps. Weights and biases start there uniform in
+-1/sqrt(n_in), which decides more than it seems to; ``--ours`` starts them as minivae does (He weights, the output's
bias at the data's mean).
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import minivae as mv
from benchmarks.published import Row, UniformVAE, table
from minivae.core.seeds import Stream, stream

PUBLISHED = 89.78
EPOCHS, DRAWS = 600, 200


def settings_of(epochs: int, seed: int, ours: bool = False) -> mv.Settings:
    """Return the protocol's settings, for so many epochs of it."""
    return mv.Settings(
        epochs=epochs,
        batch_size=100,
        optimizer=mv.Adam(1e-4),
        schedule=mv.nn.StepDecay((200, 350, 500), 10**-0.2),
        patience=None,
        start_at_mean=ours,
        seed=seed,
    )


def run(
    epochs: int, seed: int, checkpoint: str | None = None, progress: bool | None = None, *, ours: bool = False
) -> list[Row]:
    """Train, and return -log p(x) and -ELBO of the test set."""
    data = mv.load("mnist-fixed")
    model = (mv.VAE if ours else UniformVAE).mlp(data.n_x, 40, [400], "relu", mv.Bernoulli())
    resume = checkpoint is not None and Path(checkpoint).is_file()
    how = settings_of(epochs, seed, ours)
    result = mv.train(model, data.x_train, data.x_valid, how, checkpoint=checkpoint, resume=resume, progress=progress)
    rng = stream(seed, Stream.IMPORTANCE)
    log_p = mv.log_marginal(model, result.params, data.x_test, DRAWS, rng).log_p
    elbo = model.elbo(result.params, data.x_test, rng=rng, n_draws=16)
    protocol = f"784-400-40{', our start' if ours else ''}, {len(result.history)} of {EPOCHS} epochs"
    return [
        Row("pythae", protocol, f"-log p(x), {DRAWS} draws", PUBLISHED, -float(log_p.mean()), result.seconds),
        Row("pythae", protocol, "-ELBO", None, -float(elbo.mean()), result.seconds),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ours", action="store_true", help="minivae's own start: He weights")
    parser.add_argument("--checkpoint", metavar="FILE", help="save there, and go on from there")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.add_argument("--json", metavar="FILE", help="also write the rows to this file")
    options = parser.parse_args()
    rows = run(options.epochs, options.seed, options.checkpoint, False if options.quiet else None, ours=options.ours)
    print(table(rows))
    if options.json:
        Path(options.json).write_text(json.dumps([asdict(row) for row in rows], indent=2))


if __name__ == "__main__":
    main()
