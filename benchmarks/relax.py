"""Reproduce the order of the estimators for discrete latents on MNIST, stage by stage, and the papers' toy problems.

    MINIVAE_DATA=... python -m benchmarks.relax --stages 2 --estimators nvil muprop rebar relax iwae-vimco
    python -m benchmarks.relax --toy build/toy.png

Protocol (Grathwohl et al. 2018, table 1, one linear layer): fixed-binarised MNIST, 200 bits, one affine layer each way,
fair bits as the prior; the best ELBO on the training set. Batches of 24 and Adam at 1e-3 are this script's: the paper
chose its rates by a search. A stage is five epochs, 10,420 steps; with --checkpoints a later call goes on from there.

The variance is that of one draw's gradient for the encoder's head, summed over the bits and averaged over 100 images,
of all estimators at the same parameters; what REBAR and RELAX learn, and NVIL's baseline, they learn there from other
draws (NVIL's is that before it divides its signal). The KL is in closed form for all but VIMCO, whose bound is the
K-sample one: its ELBO is given beside.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

import minivae as mv
from minivae.core.seeds import Stream, stream
from minivae.estimators.k_sample import objective_of
from minivae.estimators.weights import ESTIMATORS
from minivae.models.draws import encoder_draws
from minivae.studies import code_figures, plots
from minivae.studies.toy_bits import TOYS, toy_run

N_BITS, BATCH, RATE, EPOCHS = 200, 24, 1e-3, 5
PUBLISHED = {"nvil": -112.5, "muprop": -111.7, "rebar": -111.6, "relax": -111.2}  # best ELBO on the training set
USUAL = ("nvil", "muprop", "rebar", "relax", "iwae-vimco")
TOY_STEPS = 10_000


def model_of(n_x: int, n_bits: int = N_BITS) -> mv.VAE:
    """Return the VAE of one affine layer each way.

    >>> model_of(784).n_params
    314584
    """
    return mv.VAE.mlp(n_x, n_bits, [], likelihood=mv.Bernoulli(), posterior="bits")


def settings_of(estimator: str, n_stages: int, seed: int) -> mv.Settings:
    """Return the settings of the first stages."""
    row = ESTIMATORS.choose(estimator)
    return mv.Settings(
        epochs=EPOCHS * n_stages,
        batch_size=BATCH,
        optimizer=mv.Adam(RATE),
        objective=objective_of(estimator, row.kl[0]),
        n_draws=None if row.bound == "iwae" else row.least_draws,
        patience=None,
        seed=seed,
    )


def run(
    x_train: Any, estimator: str, n_stages: int, *, seed: int = 0, n_bits: int = N_BITS, checkpoint: str | None = None
) -> dict[str, Any]:
    """Train for the first stages, and return a row: ELBO on the training set, published, milliseconds a step."""
    model, how = model_of(x_train.shape[1], n_bits), settings_of(estimator, n_stages, seed)
    resume = checkpoint is not None and Path(checkpoint).is_file()
    result = mv.train(model, x_train, None, how, checkpoint=checkpoint, resume=resume)
    elbo = model.elbo(result.params, x_train, rng=stream(seed, Stream.IMPORTANCE), n_draws=10)
    steps = result.history[-1]["step"]
    return {
        "estimator": code_figures.called(estimator),
        "epochs": len(result.history),
        "steps": int(steps),
        "train elbo": float(elbo.mean()),
        "standard_error": float(elbo.std() / np.sqrt(len(elbo))),
        "published": PUBLISHED.get(estimator),
        "ms a step": 1e3 * result.seconds / steps,
        "params": result.params,
    }


def variances(
    model: mv.VAE, params: Any, x: Any, estimators: Any, *, n_draws: int = 200, n_learning: int = 300, seed: int = 0
) -> dict[str, float]:
    """Return the variance of one draw's head gradient by each estimator, at the same parameters."""
    rng = stream(seed, Stream.COMPARE_FIGURES)
    params, x = params.astype(np.float64), x.astype(np.float64)
    found = {}
    for name in estimators:
        row = ESTIMATORS.choose(name)
        if row.bound == "iwae":
            continue  # of another bound
        objective: Any = objective_of(name, row.kl[0]).resolved(model)
        known: Any = 0.0
        rule = objective.rule(model)
        if rule is not None:
            state, grads = rule.init(rng), np.empty_like(params)
            for _ in range(n_learning):
                eps = model.draw_noise(rng, 1, len(x), float)
                _, terms = model.loss_and_grad(params, x, eps, grads, objective, baseline=rule.predict(state, x))
                rule.update(state, x, objective.signal(terms))
            known = rule.predict(state, x)
        draws = encoder_draws(model, params, x, model.draw_noise(rng, n_draws, len(x), float))
        if row.own is None and rule is not None:
            rows = draws.rows(mv.Elbo("score"), np.asarray(getattr(known, "c", known))[:, None])
        else:
            rows = draws.rows(objective, known, row.least_draws)
        found[name] = float(rows.var(axis=0, ddof=1).sum(axis=1).mean())
    return found


def toy(path: str, n_steps: int = TOY_STEPS, seed: int = 0) -> list[dict[str, Any]]:
    """Run the toy problems, write their figure, and return a row for each run: when it arrived, and its cost."""
    every = max(1, n_steps // 100)
    runs = {t: [toy_run(name, t, n_steps, every=every, seed=seed) for name in TOYS] for t in (0.45, 0.499)}
    plots.save(code_figures.toy_figure(runs), Path(path))
    return [
        {
            "t": t,
            "estimator": code_figures.called(each.estimator),
            "arrived at step": each.arrived(t, 0.05),
            "cost": float(each.cost[-1]),
            "least": t * t,
            "log variance at the start": float(np.log(max(each.variance[1], 1e-300))),
        }
        for t, column in runs.items()
        for each in column
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stages", type=int, default=1, help="of five epochs each (default 1)")
    parser.add_argument("--estimators", nargs="+", default=list(USUAL), help=f"default {' '.join(USUAL)}")
    parser.add_argument("--train-examples", type=int, help="only the first N training images")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--checkpoints", metavar="DIR", help="save there, and go on from there")
    parser.add_argument("--json", metavar="FILE", help="also write the rows to this file")
    parser.add_argument("--toy", metavar="FILE.png", help="only the toy problems, and their figure")
    parser.add_argument("--toy-steps", type=int, default=TOY_STEPS, help=f"default {TOY_STEPS:,}")
    options = parser.parse_args()
    rows = toy(options.toy, options.toy_steps, options.seed) if options.toy else []
    x_train = None if options.toy else mv.load("mnist-fixed").x_train[: options.train_examples]
    params: Any = None
    for name in [] if options.toy else options.estimators:
        file = f"relax-{name}-seed{options.seed}.npz"
        path = None if options.checkpoints is None else str(Path(options.checkpoints) / file)
        row = run(x_train, name, options.stages, seed=options.seed, checkpoint=path)
        own = row.pop("params")
        params = own if params is None else params
        rows.append(row)
        print(row, flush=True)
    if params is not None and x_train is not None:
        start = time.monotonic()
        found = variances(model_of(x_train.shape[1]), params, x_train[:100], options.estimators, seed=options.seed)
        print(f"variances at the parameters of {options.estimators[0]} ({time.monotonic() - start:.0f} s):")
        for name, value in sorted(found.items(), key=lambda item: item[1]):
            print(f"  {code_figures.called(name):30} {value:.4g}")
        rows.append({"variances": found})
    elif options.toy:
        for row in rows:
            print(row)
    if options.json:
        Path(options.json).write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
