"""The command line: one verb per journey, each with a table to read, or with --json one object for machines."""

import argparse
import json
import math
import os
import platform
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from minivae import checks, data, exercises, kernels, runs, tuning
from minivae.autoencoder import Autoencoder
from minivae.contraction import Contraction
from minivae.corruptions import CORRUPTIONS, SaltAndPepperNoise
from minivae.exercises.student_file import check_file
from minivae.gradient_suite import gradient_checks
from minivae.layers import ACTIVATIONS
from minivae.likelihoods import LIKELIHOODS, Gaussian, named_likelihood
from minivae.optim import OPTIMIZERS, StepDecay
from minivae.pca_report import report, spectrum
from minivae.penalties import KLSparsity, L1Sparsity
from minivae.runs import Run
from minivae.storage import FileError, load_arrays, writable
from minivae.training import Result, Settings, check_epochs, train
from minivae.vae import KL_MODES, VAE

Rows = list[dict[str, Any]]

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
    "kl": "closed",
    "clip_norm": None,
    "corruption": "masking",
    "noise": 0.3,
    "sparsity": "kl",
    "target": 0.05,
    "weight": None,
    "seed": 0,
    "dtype": "float32",
}
# The options of train that are for some models only, and the default weights of the penalties.
_ONLY = {
    **dict.fromkeys(("beta", "draws", "kl"), ("vae",)),
    **dict.fromkeys(("corruption", "noise"), ("denoising",)),
    **dict.fromkeys(("sparsity", "target"), ("sparse",)),
    "weight": ("sparse", "contractive"),
}
_WEIGHTS = {"kl": 1.0, "l1": 0.1, "contractive": 0.1}
_MODELS = ("vae", "ae", "denoising", "sparse", "contractive")
_FREE = {"epochs": 300, "patience": 30}  # these may change when a run is resumed


class _UsageError(Exception):
    """The words of the command line are wrong."""


class _Parser(argparse.ArgumentParser):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["allow_abbrev"] = False
        super().__init__(*args, **kwargs)

    def error(self, message: str) -> NoReturn:
        raise _UsageError(f"{message}\nSee '{self.prog} --help'.")


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``minivae``; return the exit code: 0, 1 for a failure, 2 for wrong usage, 130 after Ctrl-C."""
    argv = list(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in argv
    command = next((word for word in argv if not word.startswith("-")), "minivae")
    try:
        options = _parser().parse_args(argv)
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = _show_each_once()
            code, rows, settings = options.run(options)
    except _UsageError as error:
        return _fail(command, str(error), as_json, 2)
    except BrokenPipeError:  # the reader, head say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, FloatingPointError, OSError) as error:
        return _fail(command, str(error), as_json, 1)
    except MemoryError as error:
        remedy = "Lower --latent, --hidden, --draws or -n"
        return _fail(command, f"this needs more memory than there is ({error}). {remedy}.", as_json, 1)
    except KeyboardInterrupt:
        return _fail(command, "stopped by Ctrl-C", as_json, 130)
    if as_json:
        print(
            json.dumps(
                {
                    "command": command,
                    "ok": code == 0,
                    "rows": _finite(rows),
                    "settings": _finite(settings),
                }
            )
        )
    return int(code)


def _fail(command: str, message: str, as_json: bool, code: int) -> int:
    if as_json:
        print(json.dumps({"command": command, "ok": False, "rows": [], "settings": {}, "error": message}))
    print(f"minivae {command}: error: {message}", file=sys.stderr)
    return code


def _show_each_once() -> Callable[..., None]:
    """Return a function that prints a warning as a note, unless it has printed the same before."""
    shown = set()

    def show(message: Any, *_: Any, **__: Any) -> None:
        if str(message) not in shown:
            shown.add(str(message))
            print(f"note: {message}", file=sys.stderr)

    return show


def _finite(value: Any) -> Any:
    """Replace NaN and infinities, which JSON does not know, by null."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


# ---------------------------------------------------------------------------------------------- train


def _train(options: argparse.Namespace) -> tuple[int, Rows, dict[str, Any]]:
    signal.signal(signal.SIGTERM, _interrupt)
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
    summary = runs.write_results(run, dataset, result)
    rows = [*summary["test"]]
    if not options.json:
        _print_training(run, result, summary)
    settings = {key: value for key, value in summary.items() if key != "test"} | {"run": str(run.folder)}
    return (130 if result.stopped == "interrupted" else 0), rows, settings


def _extras(model: VAE | Autoencoder) -> str:
    """Return the corruption and the penalty of an autoencoder that has them, as text."""
    extras = [model.corruption, model.penalty] if isinstance(model, Autoencoder) else []
    return "".join(f"{extra}; " for extra in extras if extra is not None)


def _interrupt(*_: Any) -> NoReturn:
    raise KeyboardInterrupt


def _new(options: argparse.Namespace) -> tuple[Run, data.Dataset, bool]:
    kind = checks.choice(options.model or "vae", _MODELS, "model")
    for name, kinds in _ONLY.items():
        if getattr(options, name) is not None and kind not in kinds:
            raise ValueError(f"--{name} is for --model {' or '.join(kinds)}, got it with --model {kind}. Drop it.")
    if options.image_shape is not None and (options.data or "digits") in data.names():
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
        kl=o.kl,
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


def _corruption(kind: str, o: argparse.Namespace, dataset: data.Dataset) -> Any:
    if kind != "denoising":
        return None
    name = checks.choice(o.corruption, CORRUPTIONS, "corruption")
    if name == "salt-and-pepper":  # to the ends of the data's own range
        return SaltAndPepperNoise(o.noise, float(dataset.x_train.min()), float(dataset.x_train.max()))
    return CORRUPTIONS[name](o.noise)


def _penalty(kind: str, o: argparse.Namespace) -> Any:
    if kind == "contractive":
        return Contraction(_WEIGHTS[kind] if o.weight is None else o.weight)
    if kind != "sparse":
        return None
    name = checks.choice(o.sparsity, ("kl", "l1"), "sparsity")
    weight = _WEIGHTS[name] if o.weight is None else o.weight
    return KLSparsity(o.target, weight) if name == "kl" else L1Sparsity(weight)


def _resumed(options: argparse.Namespace) -> tuple[Run, data.Dataset, bool]:
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
    _print_table(summary["test"])
    print(f"\n{summary['meaning']}")
    print(f"model    {run.folder / 'model.npz'}")
    if result.stopped == "interrupted":
        print(f"resume   minivae train --resume {run.folder}")
    print(f"figures  {run.folder / 'figures'}{os.sep}: {', '.join(Path(p).name for p in summary['figures'])}")


# ----------------------------------------------------------------------------- evaluate, sample, gradcheck, info


def _evaluate(options: argparse.Namespace) -> tuple[int, Rows, dict[str, Any]]:
    run = runs.open_run(options.run_folder)
    params = runs.read_model(run)
    checks.seed(options.seed)
    dataset = run.dataset()
    x = runs.foreign_rows(run, options.data) if options.data else runs.test_data(dataset, run.settings.seed)
    if options.examples is not None:
        x = x[: checks.width(options.examples, "examples")]
    if isinstance(run.model, Autoencoder):
        rows = runs.test_rows(run.model, params, x, options.seed)
    else:
        rows = runs.evaluation_rows(run.model, params, x, checks.width(options.draws, "draws"), options.seed)
    source = options.data or dataset.name
    settings = {"run": str(run.folder), "data": source, "n_examples": len(x), "draws": options.draws}
    settings |= {"seed": options.seed, "meaning": runs.meaning(run.model, x, dataset)}
    if not options.json:
        print(f"{run.folder}: {len(x):,} examples of {source}\n")
        _print_table(rows)
        print(f"\n{settings['meaning']}")
    return 0, rows, settings


def _sample(options: argparse.Namespace) -> tuple[int, Rows, dict[str, Any]]:
    checks.seed(options.seed)
    checks.width(options.n, "n")
    run = runs.open_run(options.run_folder)
    params = runs.read_model(run)
    dataset = run.dataset()
    folder = runs.new_folder(options.out, run.folder.name + "-samples")
    x = runs.test_data(dataset, run.settings.seed)
    paths: list[str | None] = [runs.reconstruction_figure(run.model, params, x, dataset, folder)]
    paths.append(runs.interpolation_figure(run.model, params, x, dataset, folder))
    paths += runs.latent_figures(run.model, params, x, dataset, folder)
    if isinstance(run.model, VAE):
        paths.append(runs.sample_figure(run.model, params, x, dataset, folder, options.n, options.seed))
        draws = runs.draw_samples(run.model, params, options.n, options.seed)
        if dataset.scale is not None:  # back in the units of the data
            draws = draws * dataset.scale[1] + dataset.scale[0]
        np.save(folder / "samples.npy", draws)
        paths.append(str(folder / "samples.npy"))
    rows: Rows = [{"file": path} for path in paths if path is not None]
    if not options.json:
        _print_table(rows)
    return 0, rows, {"run": str(run.folder), "n": options.n, "seed": options.seed}


def _pca(options: argparse.Namespace) -> tuple[int, Rows, dict[str, Any]]:
    checks.seed(options.seed)
    dataset = runs.open_data(options.data, options.image_shape)
    eigen = spectrum(dataset, options.latent)
    folder = runs.new_folder(options.out, f"{Path(options.data).name.split('.')[0]}-pca")
    found = report(dataset, eigen, options.latent, options.seed, folder, False if options.quiet else None)
    failed = [row for row in found.checks if not row["ok"]]
    if not options.json:
        n, d = dataset.x_train.shape
        print(f"PCA and linear autoencoders, {options.latent} latents; {dataset.name}: {n:,} rows of {d} values\n")
        _print_table(found.components)
        print()
        _print_table(found.checks)
        print(
            "\nThe raw decoder spans the components and mixes them: its cosines are not 1, and need not be. "
            "With L2 they are."
        )
        print(f"figures  {folder}{os.sep}: {', '.join(Path(path).name for path in found.figures)}")
    settings = {"data": dataset.name, "latent": options.latent, "seed": options.seed, "out": str(folder)}
    settings |= {"components": found.components, "figures": found.figures}
    return int(bool(failed)), found.checks, settings


def _gradcheck(options: argparse.Namespace) -> tuple[int, Rows, dict[str, Any]]:
    rows: Rows = []
    for check in gradient_checks(checks.seed(options.seed)):
        rows.append(
            {
                "name": check.name,
                "n_checked": check.n_checked,
                "n_kinks": check.n_kinks,
                "relative_error": check.relative_error,
                "tolerance": check.tolerance,
                "ok": check.ok,
            }
        )
    failed = [row for row in rows if not row["ok"]]
    if not options.json:
        _print_table(rows)
        verdict = f"{len(failed)} of {len(rows)} gradients are wrong" if failed else f"all {len(rows)} gradients agree"
        print(f"\n{verdict} with finite differences (central, or complex steps where the tolerance is 1e-12)")
    return int(bool(failed)), rows, {"seed": options.seed}


def _exercises(options: argparse.Namespace) -> tuple[int, Rows, dict[str, Any]]:
    if options.file is None:
        rows: Rows = [
            {
                "exercise": exercise.id,
                "answer": exercise.signature,
                "lecture": exercises.LECTURES[exercise.topic],
                "task": exercise.task,
            }
            for exercise in exercises.EXERCISES.values()
        ]
        if not options.json:
            _print_table([{key: value for key, value in row.items() if key != "task"} for row in rows])
            print("\nIn a lecture: mv.check(EXERCISE, your function). A whole file: minivae exercises FILE.")
        return 0, rows, {}
    outcomes = check_file(options.file, exercises.EXERCISES, checks.number(options.seconds, "seconds", low=0))
    rows = [
        {"exercise": o.id, "state": o.state, "ok": o.ok, "message": o.message, "mistake": o.mistake} for o in outcomes
    ]
    n_right = sum(outcome.ok for outcome in outcomes)
    if not options.json:
        print(*outcomes, sep="\n")
        print(f"\n{n_right} of {len(outcomes)} answers in {options.file} are right")
    return int(n_right < len(outcomes)), rows, {"file": options.file, "seconds": options.seconds}


def _info(options: argparse.Namespace) -> tuple[int, Rows, dict[str, Any]]:
    from threadpoolctl import threadpool_info

    kernels.dense(
        np.zeros(2, np.float32), np.zeros((1, 1), np.float32), 1
    )  # now every BLAS in use is loaded, and listed

    rows: Rows = [{"name": name, "value": value} for name, value in runs.versions().items()]
    rows.append({"name": "processor", "value": f"{platform.machine()}, {os.cpu_count()} cores"})
    for pool in threadpool_info():
        kind = "BLAS" if pool["user_api"] == "blas" else pool["user_api"]
        text = f"{pool['internal_api']} {pool.get('version') or ''} {pool.get('architecture', '')}".rstrip()
        rows.append({"name": kind, "value": f"{text}, {pool['num_threads']} threads"})
    rows += [{"name": name, "value": value} for name, value in tuning.DONE.items()]
    for folder in data.data_folders():
        state = "" if folder.is_dir() else " (not there yet)"
        rows.append({"name": "data folder", "value": f"{folder}{state}"})
    if "MINIVAE_DATA" not in os.environ:
        hint = "set MINIVAE_DATA to a folder that holds mnist/, frey/ ... to use data that are already on disk"
        rows.append({"name": "hint", "value": hint})
    if not options.json:
        _print_table(rows)
    return 0, rows, {}


# --------------------------------------------------------------------------------------------- the words


def _print_table(rows: Rows) -> None:
    """Print rows under their field names, numbers to the right."""
    columns = list(rows[0])
    cells = [[_cell(row[column]) for column in columns] for row in rows]
    widths = [max(len(c), *(len(row[i]) for row in cells)) for i, c in enumerate(columns)]
    numeric = [any(isinstance(row[c], (int, float)) and not isinstance(row[c], bool) for row in rows) for c in columns]
    for line in [columns, *cells]:
        padded = [
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(line, widths, numeric, strict=True)
        ]
        print("  ".join(padded).rstrip())


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "ok" if value else "FAIL"
    if isinstance(value, float):
        return f"{value:.1e}" if 0 < abs(value) < 1e-3 else f"{value:.3f}"
    return str(value)


def _shape(text: str) -> tuple[int, int]:
    height, _, width = text.partition("x")
    if not (height.isdigit() and width.isdigit()):
        raise argparse.ArgumentTypeError(f"must be HEIGHTxWIDTH, got {text!r}; for example 28x20")
    return int(height), int(width)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="minivae", description="Variational autoencoders with every gradient written by hand.")
    parser.add_argument("--version", action="version", version=f"minivae {runs.versions()['minivae']}")
    verbs = parser.add_subparsers(metavar="VERB", required=True, parser_class=_Parser)

    def verb(name: str, run: Callable[..., Any], text: str, seed: bool = True) -> argparse.ArgumentParser:
        sub = verbs.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        sub.set_defaults(run=run)
        sub.add_argument("--json", action="store_true", help="print one JSON object on standard output")
        if seed:
            sub.add_argument("--seed", type=int, default=0, help="seed of everything random (default 0)")
        return sub

    t = verb(
        "train",
        _train,
        "train a model, and leave a run folder with model, history, figures, summary",
        seed=False,
    )
    t.add_argument("--data", help=f"{', '.join(data.names())}, or a .npy, .npz or IDX file (default digits)")
    t.add_argument("--image-shape", type=_shape, metavar="HxW", help="height x width of the images in a file")
    t.add_argument("--model", help=f"{', '.join(_MODELS)} (default vae)")
    t.add_argument("--likelihood", help=f"{', '.join(LIKELIHOODS)} (default: what suits the data)")
    t.add_argument("--latent", type=int, metavar="N", help="latent dimensions (default 2, or 32 for sparse)")
    t.add_argument(
        "--hidden",
        type=int,
        nargs="*",
        metavar="N",
        help="widths of the hidden layers (default 128)",
    )
    t.add_argument("--activation", help=f"{', '.join(ACTIVATIONS)} (default relu)")
    t.add_argument("--epochs", type=int, metavar="N", help="passes over the data at most (default 300)")
    t.add_argument(
        "--patience",
        type=int,
        metavar="N",
        help="stop after N epochs without a better one (default 30)",
    )
    t.add_argument("--batch-size", type=int, metavar="N", help="examples a step (default 128)")
    t.add_argument("--optimizer", help=f"{', '.join(OPTIMIZERS)} (default adam)")
    t.add_argument("--learning-rate", type=float, metavar="R", help="step size (default 0.001)")
    t.add_argument(
        "--milestones",
        type=int,
        nargs="+",
        metavar="EPOCH",
        help="multiply it by --decay at these epochs",
    )
    t.add_argument("--decay", type=float, metavar="F", help="factor at each milestone (default 0.1)")
    t.add_argument(
        "--beta",
        type=float,
        help="weight of the KL in the loss, never in a reported ELBO (default 1)",
    )
    t.add_argument("--draws", type=int, metavar="K", help="draws of z for each example and step (default 1)")
    t.add_argument("--kl", help=f"{' or '.join(KL_MODES)} (default closed)")
    t.add_argument("--corruption", help=f"denoising: {', '.join(CORRUPTIONS)} (default masking)")
    t.add_argument("--noise", type=float, help="denoising: standard deviation, or fraction of pixels (default 0.3)")
    t.add_argument("--sparsity", help="sparse: kl (to a mean activation) or l1 (default kl)")
    t.add_argument("--target", type=float, help="sparse, kl: mean activation of each unit (default 0.05)")
    t.add_argument("--weight", type=float, help="sparse, contractive: of the penalty (default 1; l1, contractive 0.1)")
    t.add_argument(
        "--clip-norm",
        type=float,
        metavar="C",
        help="largest norm of the gradient (default: not clipped)",
    )
    t.add_argument("--dtype", help="float32 or float64 (default float32)")
    t.add_argument("--seed", type=int, help="the same seed gives the same model, bit for bit (default 0)")
    t.add_argument("--out", metavar="DIR", help="run folder (default runs/DATA-MODEL-NNN)")
    t.add_argument("--resume", metavar="DIR", help="continue the run in this folder")
    t.add_argument(
        "--quiet",
        action="store_true",
        help="no progress bar (there is none without a terminal either)",
    )

    e = verb("evaluate", _evaluate, "evaluate a run's model: ELBO, IWAE bound, log p(x), KL per latent")
    e.add_argument("run_folder", metavar="RUN", help="folder that minivae train left")
    e.add_argument("--data", help="a file of the same width, all rows, or a named set (default: the run's test set)")
    e.add_argument("--draws", type=int, default=500, metavar="K", help="importance samples (default 500)")
    e.add_argument("--examples", type=int, metavar="N", help="only the first N test examples")

    s = verb(
        "sample",
        _sample,
        "draw samples, reconstructions, interpolations and the latent plane of a run's model",
    )
    s.add_argument("run_folder", metavar="RUN", help="folder that minivae train left")
    s.add_argument("-n", type=int, default=100, help="number of samples (default 100)")
    s.add_argument("--out", metavar="DIR", help="where to write them (default runs/RUN-samples-NNN)")

    p = verb("pca", _pca, "compare principal components with trained linear autoencoders: tables and figures")
    p.add_argument("--data", default="digits-grey", help="a named set or a file, as for train (default digits-grey)")
    p.add_argument("--image-shape", type=_shape, metavar="HxW", help="height x width of the images in a file")
    p.add_argument("--latent", type=int, default=10, metavar="N", help="components to keep (default 10)")
    p.add_argument("--out", metavar="DIR", help="where to write the figures (default runs/DATA-pca-NNN)")
    p.add_argument("--quiet", action="store_true", help="no progress bar (there is none without a terminal either)")

    verb("gradcheck", _gradcheck, "check every hand-written gradient against finite differences")

    x = verb("exercises", _exercises, "list the lectures' exercises, or check the answers in a file", seed=False)
    x.add_argument("file", nargs="?", metavar="FILE", help="a student's .py or .ipynb (its answers are run)")
    x.add_argument("--seconds", type=float, default=10.0, help="time limit of an answer (default 10)")
    verb(
        "info",
        _info,
        "show versions, BLAS and threads, where data are looked for, and hints",
        seed=False,
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
