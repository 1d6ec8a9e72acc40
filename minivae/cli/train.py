"""What ``minivae train`` does: settings from the words, a run folder, training or resuming, the results."""

import argparse
import os
import signal
import warnings
from pathlib import Path
from typing import Any, NoReturn

from minivae import datasets
from minivae.cli.tables import Rows, print_table
from minivae.core import checks
from minivae.core.errors import FileError
from minivae.core.files import load_arrays, writable
from minivae.distributions.likelihoods import Gaussian, named_likelihood
from minivae.models.autoencoder import Autoencoder
from minivae.models.contraction import Contraction
from minivae.models.corruptions import CORRUPTIONS, SaltAndPepperNoise
from minivae.models.penalties import KLSparsity, L1Sparsity
from minivae.models.vae import VAE
from minivae.nn.optim import OPTIMIZERS, StepDecay
from minivae.studies.results import write_results
from minivae.training import runs
from minivae.training.checkpoints import check_epochs
from minivae.training.loop import Result, train
from minivae.training.runs import Run
from minivae.training.settings import Settings

# Values of the options of train that are not given; None in the parser tells them from those that are.
_DEFAULTS: dict[str, Any] = {
    "data": "digits",
    "image_shape": None,
    "model": "vae",
    "likelihood": None,
    "latent": None,
    "hidden": [128],
    "activation": "relu",
    "batch_size": 128,
    "optimizer": "adam",
    "learning_rate": 1e-3,
    "milestones": [],
    "decay": 0.1,
    "beta": 1.0,
    "draws": 1,
    "kl": None,
    "estimator": None,
    "clip_norm": None,
    "corruption": "masking",
    "noise": None,
    "sparsity": "kl",
    "target": KLSparsity.target,
    "weight": None,
    "seed": 0,
    "dtype": "float32",
}


# The options of train that are for some models only.
_ONLY = {
    **dict.fromkeys(("beta", "draws", "kl", "estimator"), ("vae",)),
    **dict.fromkeys(("corruption", "noise"), ("denoising",)),
    **dict.fromkeys(("sparsity", "target"), ("sparse",)),
    "weight": ("sparse", "contractive"),
}


MODELS = ("vae", "ae", "denoising", "sparse", "contractive")


_FREE = {"epochs": 300, "patience": 30}  # these may change when a run is resumed


def train_command(options: argparse.Namespace) -> tuple[int, Rows, dict[str, Any]]:
    """Train, or resume, the run that the words describe, and print its results."""
    signal.signal(signal.SIGTERM, _raise_interrupt)
    run, dataset, resume = _new(options) if options.resume is None else _resumed(options)
    if not options.json:
        hidden = [layer.n_out for layer in run.model.encoder.layers if layer.n_params][:-1]
        print(
            f"{type(run.model).__name__} {'-'.join(str(n) for n in [run.model.n_x, *hidden])}, latent "
            f"{run.model.decoder.n_in}, {run.model.n_params:,} parameters; {type(run.model.likelihood).__name__}; "
            f"{_extras(run.model)}data {dataset.name}: {len(dataset.x_train):,} / {len(dataset.x_valid):,} / "
            f"{len(dataset.x_test):,} examples to train / validate / test on"
        )
    result = train(
        run.model,
        dataset.x_train,
        dataset.x_valid,
        run.settings,
        checkpoint=run.checkpoint,
        resume=resume,
        progress=False if options.quiet else None,
    )
    if not result.history:
        raise KeyboardInterrupt
    summary = write_results(run, dataset, result)
    rows = [*summary["test"]]
    if not options.json:
        _print_training(run, result, summary)
    settings = {key: value for key, value in summary.items() if key != "test"} | {"run": str(run.folder)}
    return (130 if result.stopped == "interrupted" else 0), rows, settings


def _extras(model: VAE | Autoencoder) -> str:
    """Return the corruption and the penalty of an autoencoder that has them, as text."""
    extras = [model.corruption, model.penalty] if isinstance(model, Autoencoder) else []
    return "".join(f"{extra}; " for extra in extras if extra is not None)


def _raise_interrupt(*_: Any) -> NoReturn:
    raise KeyboardInterrupt


def _new(options: argparse.Namespace) -> tuple[Run, datasets.Dataset, bool]:
    kind = checks.choice(options.model or "vae", MODELS, "model")
    for name, kinds in _ONLY.items():
        if getattr(options, name) is not None and kind not in kinds:
            raise ValueError(f"--{name} is for --model {' or '.join(kinds)}, got it with --model {kind}. Drop it.")
    if options.image_shape is not None and (options.data or "digits") in datasets.names():
        raise ValueError(f"--image-shape is for a file, got it with {options.data or 'digits'}. Drop it.")
    given = {key: getattr(options, key) for key in (*_DEFAULTS, *_FREE)}
    o = argparse.Namespace(**{key: (_DEFAULTS | _FREE)[key] if v is None else v for key, v in given.items()})
    dataset = runs.open_data(o.data, o.image_shape)
    likelihood = named_likelihood(o.likelihood or dataset.likelihood, Gaussian())
    if isinstance(likelihood, Gaussian) and likelihood.learned:  # start at the spread of the data, not far from it
        likelihood = Gaussian(max(float(dataset.x_train.var(axis=0).mean()), 1e-6), learned=True)
    latent = o.latent if o.latent is not None else 32 if kind == "sparse" else 2
    if kind == "vae":
        model: VAE | Autoencoder = VAE.mlp(dataset.n_x, latent, o.hidden, o.activation, likelihood)
    else:
        boxes = {"corruption": _corruption(kind, o, dataset), "penalty": _penalty(kind, o)}
        model = Autoencoder.mlp(dataset.n_x, latent, o.hidden, o.activation, likelihood, **boxes)
    rule = OPTIMIZERS[checks.choice(o.optimizer, OPTIMIZERS, "optimizer")]
    settings = Settings(
        epochs=o.epochs,
        batch_size=o.batch_size,
        optimizer=rule(learning_rate=o.learning_rate),
        schedule=StepDecay(tuple(o.milestones), o.decay),
        beta=o.beta,
        n_draws=o.draws,
        kl=o.kl or ("sampled" if o.estimator == "path-derivative" else "closed"),
        estimator=o.estimator,
        clip_norm=o.clip_norm,
        patience=o.patience,
        binarize=dataset.dynamic,
        dtype=o.dtype,
        seed=o.seed,
    )
    for part in (dataset.x_train, dataset.x_valid, dataset.x_test):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # said once, by train
            model.check_data(part)
    name = f"{Path(o.data).name.split('.')[0]}-{o.model}"
    source = str(Path(o.data).resolve()) if runs.is_path(o.data) else o.data
    run = Run(runs.new_folder(options.out, name), source, o.image_shape, model, settings)
    run.save()
    return run, dataset, False


def _corruption(kind: str, o: argparse.Namespace, dataset: datasets.Dataset) -> Any:
    if kind != "denoising":
        return None
    name = checks.choice(o.corruption, CORRUPTIONS, "corruption")
    if name == "salt-and-pepper":  # to the ends of the data's own range
        fraction = SaltAndPepperNoise.fraction if o.noise is None else o.noise
        return SaltAndPepperNoise(fraction, float(dataset.x_train.min()), float(dataset.x_train.max()))
    return CORRUPTIONS[name]() if o.noise is None else CORRUPTIONS[name](o.noise)


def _penalty(kind: str, o: argparse.Namespace) -> Any:
    weight = {} if o.weight is None else {"weight": o.weight}
    if kind == "contractive":
        return Contraction(**weight)
    if kind != "sparse":
        return None
    name = checks.choice(o.sparsity, ("kl", "l1"), "sparsity")
    return KLSparsity(o.target, **weight) if name == "kl" else L1Sparsity(**weight)


def _resumed(options: argparse.Namespace) -> tuple[Run, datasets.Dataset, bool]:
    changed = [key for key in (*_DEFAULTS, "out") if getattr(options, key) is not None]
    if changed:
        raise ValueError(
            f"--resume keeps a run's settings, got --{changed[0].replace('_', '-')} as well. Only --epochs and "
            f"--patience may change; for others start a new run."
        )
    run = runs.open_run(options.resume)
    writable(run.folder, "run")
    values = {key: getattr(options, key) for key in _FREE if getattr(options, key) is not None}
    settings = Settings(**{**vars(run.settings), **values})
    run = Run(run.folder, run.source, run.image_shape, run.model, settings)
    if run.checkpoint.is_file():
        check_epochs(load_arrays(run.checkpoint, "checkpoint")[1], settings)
    elif (run.folder / "model.npz").is_file():
        raise FileError(
            f"run must hold the checkpoint.npz to go on from, got {run.folder}, where it is missing. Start a new run."
        )
    # killed before the first checkpoint: the seed makes a new start the same run
    run.save()
    return run, run.dataset(), run.checkpoint.is_file()


def _print_training(run: Run, result: Result, summary: dict[str, Any]) -> None:
    how = {"finished": "finished", "early": "stopped early", "interrupted": "stopped by Ctrl-C"}[result.stopped]
    print(
        f"{how} after {len(result.history)} epochs, {result.seconds:.1f} s, "
        f"{result.examples_per_second:,.0f} examples/s; best epoch {result.best_epoch}\n"
    )
    print_table(summary["test"])
    print(f"\n{summary['meaning']}")
    print(f"model    {run.folder / 'model.npz'}")
    if result.stopped == "interrupted":
        print(f"resume   minivae train --resume {run.folder}")
    print(f"figures  {run.folder / 'figures'}{os.sep}: {', '.join(Path(p).name for p in summary['figures'])}")
