"""``minivae train``: settings from the words, a run folder, training or resuming, the results."""

import argparse
import dataclasses
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from minivae import datasets
from minivae.cli.encoders import ENCODERS
from minivae.cli.tables import print_table
from minivae.cli.verbs import Outcome, Verb, add_quiet, image_shape
from minivae.core import checks
from minivae.core.errors import FileError
from minivae.core.files import writable
from minivae.distributions.likelihoods import LIKELIHOODS, Gaussian, named_likelihood
from minivae.distributions.sequences import EachStep
from minivae.estimators.k_sample import BOUNDS, Bound
from minivae.estimators.objectives import Elbo
from minivae.estimators.schedules import Cycle, Warmup
from minivae.estimators.weights import ESTIMATORS, KL_MODES
from minivae.models.base import Model
from minivae.models.networks import convolutional, recurrent
from minivae.models.recipes import RECIPES, Option, Recipe, default_of
from minivae.models.vae import VAE
from minivae.nn.activations import ACTIVATIONS
from minivae.nn.optim import OPTIMIZERS, Adam, StepDecay
from minivae.studies.results import write_results
from minivae.training import runs
from minivae.training.checkpoints import check_epochs
from minivae.training.interrupts import Terminated, sigterm_raises
from minivae.training.loop import Result, train
from minivae.training.runs import Run
from minivae.training.settings import Settings

_HOW = {
    "finished": "finished",
    "early": "stopped early",
    "interrupted": "stopped by Ctrl-C",
    "terminated": "stopped by SIGTERM",
}
_CODES = {"interrupted": 130, "terminated": 143}
_FREE = ("epochs", "patience")  # these may change when a run is resumed
_OBJECTIVE = ("estimator", "beta", "kl", "bound", "free_bits", "temperature", "beta_warmup", "beta_cycle")
_SCHEDULES = {"beta_cycle": Cycle, "beta_warmup": Warmup}
# options that are fields of Settings under another name, or its own, with their types
_SETTINGS = {"batch_size": "batch_size", "clip_norm": "clip_norm", "draws": "n_draws", "dtype": "dtype", "seed": "seed"}
_DENSE = {"hidden": "n_hidden", "activation": "activation"}  # of every model of dense layers
_DEFAULT = {f.name: f.default for f in dataclasses.fields(Settings)}


def _options(t: argparse.ArgumentParser) -> None:
    """Add the options of data, model, objective and training; one that is not given has the default of its class."""
    hidden = " ".join(str(n) for n in default_of(VAE.mlp, "n_hidden"))
    t.add_argument("--data", help=f"{', '.join(datasets.names())}, or a .npy, .npz or IDX file (default {_data()})")
    t.add_argument("--image-shape", type=image_shape, metavar="HxW", help="height x width of the images in a file")
    t.add_argument("--model", help=f"{', '.join(RECIPES)} (default {next(iter(RECIPES))})")
    t.add_argument("--likelihood", help=f"{', '.join(LIKELIHOODS)} (default: what suits the data)")
    latents = {name: recipe.n_latent for name, recipe in RECIPES.items() if recipe.n_latent != Recipe.n_latent}
    others = "".join(f", or {n} for {name}" for name, n in latents.items())
    t.add_argument("--latent", type=int, metavar="N", help=f"latent dimensions (default {Recipe.n_latent}{others})")
    kinds = f"{', '.join(ENCODERS)} (default {next(iter(ENCODERS))}); gru, lstm, rnn read images row by row"
    t.add_argument("--encoder", help=f"{kinds}; the decoder mirrors it")
    channels = " ".join(str(n) for n in default_of(convolutional, "channels"))
    others = f"conv: channels (default {channels}); recurrent: units (default {default_of(recurrent, 'n_units')})"
    t.add_argument(
        "--hidden", type=int, nargs="*", metavar="N", help=f"widths of the hidden layers (default {hidden}); {others}"
    )
    activation = default_of(VAE.mlp, "activation")
    t.add_argument("--activation", help=f"{', '.join(ACTIVATIONS)} (default {activation})")
    for option in _own_options().values():
        t.add_argument(f"--{option.name}", type=option.kind, help=option.help)
    t.add_argument("--bound", help=f"{', '.join(BOUNDS)}: what is raised (default: what the estimator raises)")
    t.add_argument("--beta", type=float, help=f"weight of the KL in the loss, never in a reported ELBO ({_of('beta')})")
    warmup = "beta rises from 0 in a straight line over the first N epochs; the validation loss is at the full beta"
    t.add_argument("--beta-warmup", type=int, metavar="N", help=warmup)
    cycle = "beta rises from 0 in the first half of every N epochs, again and again"
    t.add_argument("--beta-cycle", type=int, metavar="N", help=cycle)
    free = "count the mean KL of each latent as at least so many nats, which it may then use freely (default 0)"
    t.add_argument("--free-bits", type=float, metavar="NATS", help=free)
    t.add_argument("--kl", help=f"{' or '.join(KL_MODES)} (default: the formula where there is one)")
    t.add_argument("--estimator", help=f"of the encoder's gradient: {', '.join(ESTIMATORS)} (default: what suits q)")
    biased = ", ".join(name for name, row in ESTIMATORS.items() if row.biased)
    relaxed = (
        f"of the estimators that relax bits or categories (default {ESTIMATORS['rebar'].temperature}); biased: {biased}"
    )
    t.add_argument("--temperature", type=float, metavar="T", help=relaxed)
    t.add_argument("--draws", type=int, metavar="K", help="draws of z an example and step (default: the estimator's)")
    t.add_argument("--epochs", type=int, metavar="N", help=f"passes over the data at most ({_of('epochs')})")
    patience = f"stop after N epochs without a better one ({_of('patience')})"
    t.add_argument("--patience", type=int, metavar="N", help=patience)
    t.add_argument("--batch-size", type=int, metavar="N", help=f"examples a step ({_of('batch_size')})")
    t.add_argument("--optimizer", help=f"{', '.join(OPTIMIZERS)} (default {next(iter(OPTIMIZERS))})")
    rate = f"step size (default {default_of(Adam, 'learning_rate'):g} for adam)"
    t.add_argument("--learning-rate", type=float, metavar="R", help=rate)
    milestones = "multiply it by --decay at these epochs"
    t.add_argument("--milestones", type=int, nargs="+", metavar="EPOCH", help=milestones)
    decay = f"factor at each milestone (default {default_of(StepDecay, 'factor'):g})"
    t.add_argument("--decay", type=float, metavar="F", help=decay)
    t.add_argument("--clip-norm", type=float, metavar="C", help="largest norm of the gradient (default: not clipped)")
    t.add_argument("--dtype", help=f"float32 or float64 ({_of('dtype')})")
    t.add_argument("--seed", type=int, help=f"the same seed gives the same model, bit for bit ({_of('seed')})")
    t.add_argument("--out", metavar="DIR", help="run folder (default runs/DATA-MODEL-NNN)")
    t.add_argument("--resume", metavar="DIR", help="continue the run in this folder")
    add_quiet(t)


def _own_options() -> dict[str, Option]:
    """Return the options that belong to some models only."""
    return {option.name: option for recipe in RECIPES.values() for option in recipe.options}


def _of(name: str) -> str:
    value = default_of(Elbo, "beta") if name == "beta" else _DEFAULT[name]
    return f"default {value:g}" if isinstance(value, float) else f"default {value}"


def _data() -> str:
    return str(default_of(datasets.load, "name"))


def _run(options: argparse.Namespace) -> Outcome:
    """Train, or resume, the run that the words describe, and print its results."""
    with sigterm_raises():
        run, dataset, resume = _new(options) if options.resume is None else _resumed(options)
        with runs.locked(run.folder):
            return _train(options, run, dataset, resume)


def _train(options: argparse.Namespace, run: Run, dataset: datasets.Dataset, resume: bool) -> Outcome:
    if not options.json:
        print(_title(run.model, dataset))
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
        raise Terminated if result.stopped == "terminated" else KeyboardInterrupt
    try:
        summary = write_results(run, dataset, result)
    except FileError as error:  # a full disk, say
        goes_on = run.checkpoint.is_file() or not run.has_results
        then = f"Then `minivae train --resume {run.folder}` goes on." if goes_on else "The numbers are there."
        raise FileError(f"{error} {then}") from error
    rows = [*summary["test"]]
    if not options.json:
        _print_training(run, result, summary)
    settings = {key: value for key, value in summary.items() if key != "test"} | {"run": str(run.folder)}
    return _CODES.get(result.stopped, 0), rows, settings


def _title(model: Model, dataset: datasets.Dataset) -> str:
    """Say what is trained on what."""
    hidden = [layer.n_out for layer in model.encoder.layers if layer.n_params][:-1]
    boxes = [getattr(model, name, None) for name in ("posterior", "prior", "likelihood", "corruption", "penalty")]
    if isinstance(model, VAE) and model.prior == model.posterior.prior():
        boxes.remove(model.prior)  # goes without saying
    extras = "; ".join(str(box) for box in boxes if box is not None)
    return (
        f"{type(model).__name__} {'-'.join(str(n) for n in [model.n_x, *hidden])}, latent {model.decoder.n_in}, "
        f"{model.n_params:,} parameters; {extras}\n"
        f"data {dataset.name}: {len(dataset.x_train):,} / {len(dataset.x_valid):,} / {len(dataset.x_test):,} examples "
        f"to train / validate / test on"
    )


def _given(options: argparse.Namespace, names: Any) -> dict[str, Any]:
    """Return the options of these names that were given."""
    return {name: getattr(options, name) for name in names if getattr(options, name) is not None}


def _new(options: argparse.Namespace) -> tuple[Run, datasets.Dataset, bool]:
    """Return a new run as the words describe it, in a folder made for it, and its data."""
    model, settings, source, dataset = planned(options)
    for part in (dataset.x_train, dataset.x_valid, dataset.x_test):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # said once, by train
            model.check_data(part)
    kind = options.model or next(iter(RECIPES))
    folder = runs.new_folder(options.out, f"{Path(source).name.split('.')[0]}-{kind}")
    run = Run(folder, source, options.image_shape, model, settings, runs.data_fingerprint(dataset))
    run.save()
    return run, dataset, False


def planned(
    options: argparse.Namespace, opened: Callable[..., datasets.Dataset] = runs.open_data
) -> tuple[Model, Settings, str, datasets.Dataset]:
    """Return the model and the settings that the words describe, where the data are, and the data; write nothing."""
    source = options.data or _data()
    if options.image_shape is not None and source in datasets.names():
        raise ValueError(f"--image-shape is for a file, got it with {source}. Drop it.")
    kind = options.model or next(iter(RECIPES))
    recipe = RECIPES.choose(kind)
    own = _given(options, _own_options())
    for name in own:
        kinds = [k for k, other in RECIPES.items() if name in {option.name for option in other.options}]
        if kind not in kinds:
            raise ValueError(f"--{name} is for --model {' or '.join(kinds)}, got it with --model {kind}. Drop it.")
    dataset = opened(source, options.image_shape)
    model = _model(recipe, options, dataset, own)
    settings = _settings(options, model, dataset, kind)
    return model, settings, str(Path(source).resolve()) if runs.is_path(source) else source, dataset


def _model(recipe: Recipe, options: argparse.Namespace, dataset: datasets.Dataset, own: dict[str, Any]) -> Model:
    kind = options.encoder or next(iter(ENCODERS))
    networks = ENCODERS.choose(kind)(dataset, options.hidden, options.activation)
    plain = kind == next(iter(ENCODERS)) and not dataset.ragged
    if not plain and not recipe.takes_networks:
        raise ValueError(
            f"--model must be one that takes such networks, got {options.model} with --encoder {kind} and data "
            f"{dataset.name}. Choose --model {next(iter(RECIPES))}."
        )
    likelihood = named_likelihood(options.likelihood or dataset.likelihood, Gaussian())
    if dataset.ragged:
        n_steps, n_features = cast(tuple[int, int], dataset.steps)
        likelihood = EachStep(likelihood, n_steps, n_features, ragged=True).starting_at(dataset.x_train).likelihood
    else:
        likelihood = likelihood.starting_at(dataset.x_train)
    latent = recipe.n_latent if options.latent is None else options.latent
    common: dict[str, Any] = {"n_latent": latent, "likelihood": likelihood}
    common |= {"n_x": dataset.n_x} if plain else {"networks": networks}
    common |= {_DENSE[name]: value for name, value in _given(options, _DENSE).items()} if plain else {}
    return recipe.build(dataset.x_train, common, own)


def _settings(options: argparse.Namespace, model: Model, dataset: datasets.Dataset, kind: str) -> Settings:
    """Return the settings that are given, resolved for the model; what it cannot do is refused here."""
    values = {_SETTINGS[name]: value for name, value in _given(options, _SETTINGS).items()} | _given(options, _FREE)
    objective = _given(options, _OBJECTIVE)
    if objective and not model.variational:
        name = next(iter(objective)).replace("_", "-")
        raise ValueError(
            f"--{name} is for a model whose code is a distribution, as that of --model vae is, got it with --model "
            f"{kind}. Drop it."
        )
    if objective:
        values["objective"] = _objective(**objective)
    rate = {} if options.learning_rate is None else {"learning_rate": options.learning_rate}
    values["optimizer"] = OPTIMIZERS.choose(options.optimizer or next(iter(OPTIMIZERS)))(**rate)
    if options.decay is not None and options.milestones is None:
        raise ValueError(
            f"--decay is the factor at each of the --milestones, got {options.decay:g} and none. Give both."
        )
    if options.milestones is not None:
        factor = {} if options.decay is None else {"factor": options.decay}
        values["schedule"] = StepDecay(tuple(options.milestones), **factor)
    return Settings(binarize=dataset.dynamic, **values).resolved(model)


def _objective(bound: str | None = None, **own: Any) -> Bound:
    """Return the objective of the bound that is named, or else of the one that the estimator raises."""
    if bound is None:
        bound = ESTIMATORS.choose(own["estimator"]).bound if "estimator" in own else next(iter(BOUNDS))
    objective: type[Bound] = BOUNDS.choose(bound)
    known = {f.name for f in dataclasses.fields(objective)}
    foreign = sorted(own.keys() - known - (_SCHEDULES.keys() if "beta" in known else set()))
    if foreign:
        name = foreign[0].replace("_", "-")
        raise ValueError(f"--{name} is for --bound elbo, got it with --bound {bound}. Drop it.")
    beta = checks.number(own.get("beta", 1.0), "beta", low=0, closed=True)
    periods = {name: own.pop(name) for name in _SCHEDULES if name in own}
    if len(periods) > 1:
        got = " and ".join(str(n) for n in periods.values())
        raise ValueError(f"--beta-cycle must go without --beta-warmup, got {got}. Drop one.")
    for name, n_epochs in periods.items():
        own["beta"] = _SCHEDULES[name](checks.width(n_epochs, f"--{name.replace('_', '-')}"), final=beta)
    return objective(**own)


def _resumed(options: argparse.Namespace) -> tuple[Run, datasets.Dataset, bool]:
    """Return the run in a folder and its data, and whether there is a checkpoint to go on from."""
    words = vars(options).keys() - {*_FREE, "resume", "quiet", "json", "run"}
    changed = sorted(_given(options, words))
    if changed:
        raise ValueError(
            f"--resume keeps a run's settings, got --{changed[0].replace('_', '-')} as well. Only --epochs and "
            f"--patience may change; for others start a new run."
        )
    run = runs.open_run(options.resume)
    writable(run.folder, "run")
    settings = dataclasses.replace(run.settings, **_given(options, _FREE))
    run = dataclasses.replace(run, settings=settings)
    if run.checkpoint.is_file():
        check_epochs(run.checkpoint, settings)
    elif run.has_results:
        raise FileError(
            f"run must hold the checkpoint.npz to go on from, got {run.folder}, where it is missing. Start a new run."
        )
    # killed before the first checkpoint: the seed makes a new start the same run
    run.save()
    return run, run.dataset(), run.checkpoint.is_file()


def _print_training(run: Run, result: Result, summary: dict[str, Any]) -> None:
    print(
        f"{_HOW[result.stopped]} after {len(result.history)} epochs, {result.seconds:.1f} s, "
        f"{result.examples_per_second:,.0f} examples/s; best epoch {result.best_epoch}\n"
    )
    print("on the test set:")
    print_table(summary["test"])
    print(f"\n{summary['meaning']}")
    print(f"model    {run.folder / 'model.npz'}")
    if result.stopped in _CODES:
        print(f"resume   minivae train --resume {run.folder}")
    print(f"figures  {run.folder / 'figures'}{os.sep}: {', '.join(Path(p).name for p in summary['figures'])}")


VERB = Verb(
    "train", "train a model, and leave a run folder with model, history, figures, summary", _options, _run, seeded=False
)
