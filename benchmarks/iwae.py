"""Reproduce the importance-weighted autoencoder's published gain over the VAE on MNIST, stage by stage.

    MINIVAE_DATA=... python -m benchmarks.iwae --stages 5

Protocol (Burda, Grosse, Salakhutdinov 2016, table 1, one stochastic layer): MNIST, 60,000 images to train on and
10,000 to test on, binarised anew at each minibatch (the test set once, by the seed); 784-200-200-(2 x 50) and back,
tanh; the output's bias starts at the logits of the training mean; batch 20; Adam with epsilon 1e-4; stage i = 0 ... 7
takes 3^i epochs at the rate 1e-3 x 10^(-i/7); log p(x) by 5,000 importance samples. The first five stages are 121 of
3,280 epochs: what the rest would take is printed. k = 1 is the VAE with a sampled KL.

The loss is a mean over the batch. A unit is active where the variance over x of its posterior mean exceeds 0.01.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

import minivae as mv
from minivae.core.seeds import Stream, stream
from minivae.training.bits import binarize

N_STAGES, BATCH, DRAWS = 8, 20, 5000
WIDTHS, N_LATENT = (200, 200), 50
PUBLISHED = {1: 86.76, 5: 85.54, 50: 84.78}  # -log p(x) after all eight stages
FACTOR = 10 ** (-1 / 7)


def epochs(n_stages: int) -> int:
    """Return the epochs of the first stages: 1 + 3 + 9 + ...

    >>> epochs(5), epochs(8)
    (121, 3280)
    """
    return (3**n_stages - 1) // 2


def settings_of(k: int, n_stages: int, estimator: str, seed: int) -> mv.Settings:
    """Return the settings of the first stages."""
    return mv.Settings(
        epochs=epochs(n_stages),
        batch_size=BATCH,
        optimizer=mv.Adam(1e-3, eps=1e-4),
        schedule=mv.nn.StepDecay(tuple(epochs(i) for i in range(1, N_STAGES)), FACTOR),
        objective=mv.KSampleBound(estimator),
        n_draws=k,
        patience=None,
        binarize=True,
        seed=seed,
    )


def run(
    x_train: Any,
    x_test: Any,
    k: int,
    n_stages: int,
    *,
    estimator: str = "iwae",
    draws: int = DRAWS,
    seed: int = 0,
    widths: tuple[int, ...] = WIDTHS,
    n_latent: int = N_LATENT,
    checkpoint: str | None = None,
    progress: bool | None = False,
) -> dict[str, Any]:
    """Train for the first stages, and return a row: log p(x), ELBO, active units, seconds, and those of the rest."""
    model = mv.VAE.mlp(x_train.shape[1], n_latent, widths, "tanh", mv.Bernoulli())
    resume = checkpoint is not None and Path(checkpoint).is_file()
    how = settings_of(k, n_stages, estimator, seed)
    result = mv.train(model, x_train, None, how, checkpoint=checkpoint, resume=resume, progress=progress)
    x = binarize(x_test, stream(seed, Stream.TEST_BITS)).astype(result.params.dtype)
    rng = stream(seed, Stream.IMPORTANCE)
    found = mv.log_marginal(model, result.params, x, draws, rng)
    elbo = model.elbo(result.params, x, rng=rng, n_draws=16)
    n_epochs = len(result.history)
    return {
        "k": k,
        "stages": n_stages,
        "epochs": n_epochs,
        "-log p(x)": float(-found.log_p.mean()),
        "standard_error": float(found.log_p.std() / np.sqrt(len(x))),
        "published": PUBLISHED.get(k),
        "-elbo": float(-elbo.mean()),
        "ess": float(found.ess.mean()),
        "active": int((model.embed(result.params, x).var(axis=0) > 0.01).sum()),
        "seconds": result.seconds,
        "seconds_of_the_rest": result.seconds / n_epochs * (epochs(N_STAGES) - n_epochs),
    }


def _said(row: dict[str, Any], draws: int) -> str:
    """Return a row in words."""
    return (
        f"k = {row['k']}, epochs {row['epochs']}: -log p(x) {row['-log p(x)']:.2f} +- {row['standard_error']:.2f} "
        f"(published after {epochs(N_STAGES):,}: {row['published'] or '-'}), -ELBO {row['-elbo']:.2f}, {row['active']} "
        f"active units, mean ESS {row['ess']:.0f} of {draws}; {row['seconds']:.0f} s, and the other "
        f"{epochs(N_STAGES) - row['epochs']:,} epochs would take {row['seconds_of_the_rest']:,.0f} s more"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stages", type=int, choices=range(1, N_STAGES + 1), default=5, help="of eight (default 5)")
    parser.add_argument("--k", type=int, nargs="+", default=[1, 5], help="draws of a step (default 1 and 5)")
    parser.add_argument("--estimator", default="iwae", help="iwae, iwae-stl or iwae-dreg (default iwae)")
    parser.add_argument("--draws", type=int, default=DRAWS, help="importance samples of the test (default 5,000)")
    parser.add_argument("--examples", type=int, help="only the first N test images")
    parser.add_argument("--train-examples", type=int, help="only the first N training images")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--checkpoints", metavar="DIR", help="save there, and go on from there")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.add_argument("--json", metavar="FILE", help="also write the rows to this file")
    options = parser.parse_args()
    data = mv.load("mnist-dynamic")
    x_train = np.concatenate([data.x_train, data.x_valid])[: options.train_examples]
    rows = []
    for k in options.k:
        name = f"iwae-{options.estimator}-k{k}-seed{options.seed}.npz"
        rows.append(
            run(
                x_train,
                data.x_test[: options.examples],
                k,
                options.stages,
                estimator=options.estimator,
                draws=options.draws,
                seed=options.seed,
                checkpoint=None if options.checkpoints is None else str(Path(options.checkpoints) / name),
                progress=False if options.quiet else None,
            )
        )
        row = rows[-1]
        print(_said(row, options.draws))
    if options.json:
        Path(options.json).write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
