"""The command line: one verb per journey, each with a table to read, or with --json one object for machines."""

import argparse
import json
import math
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from minivae import datasets
from minivae.cli.commands import (
    compare_command,
    evaluate_command,
    exercises_command,
    gradcheck_command,
    info_command,
    pca_command,
    sample_command,
)
from minivae.cli.train import MODELS, train_command
from minivae.core.versions import versions
from minivae.distributions.likelihoods import LIKELIHOODS
from minivae.estimators.elbo_gradients import KL_MODES
from minivae.models.contraction import Contraction
from minivae.models.corruptions import CORRUPTIONS, GaussianNoise, MaskingNoise
from minivae.models.penalties import KLSparsity, L1Sparsity
from minivae.nn.activations import ACTIVATIONS
from minivae.nn.optim import OPTIMIZERS
from minivae.studies.compare import NAMES, PROBLEMS
from minivae.training.settings import TRAINING_ESTIMATORS


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
        options, unknown = _parser().parse_known_args(argv)
        if unknown:
            raise _UsageError(f"unrecognized arguments: {' '.join(unknown)}\nSee 'minivae {command} --help'.")
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


def _shape(text: str) -> tuple[int, int]:
    height, _, width = text.partition("x")
    if not (height.isdigit() and width.isdigit()):
        raise argparse.ArgumentTypeError(f"must be HEIGHTxWIDTH, got {text!r}; for example 28x20")
    return int(height), int(width)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="minivae", description="Variational autoencoders with every gradient written by hand.")
    parser.add_argument("--version", action="version", version=f"minivae {versions()['minivae']}")
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
        train_command,
        "train a model, and leave a run folder with model, history, figures, summary",
        seed=False,
    )
    t.add_argument("--data", help=f"{', '.join(datasets.names())}, or a .npy, .npz or IDX file (default digits)")
    t.add_argument("--image-shape", type=_shape, metavar="HxW", help="height x width of the images in a file")
    t.add_argument("--model", help=f"{', '.join(MODELS)} (default vae)")
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
    t.add_argument("--kl", help=f"{' or '.join(KL_MODES)} (default closed; sampled for the path derivative)")
    t.add_argument("--estimator", help=f"encoder's gradient: {', '.join(TRAINING_ESTIMATORS)} (default pathwise)")
    t.add_argument("--corruption", help=f"denoising: {', '.join(CORRUPTIONS)} (default masking)")
    t.add_argument(
        "--noise",
        type=float,
        help=f"denoising: standard deviation (default {GaussianNoise.std:g}), or fraction of pixels "
        f"(default {MaskingNoise.fraction:g})",
    )
    t.add_argument("--sparsity", help="sparse: kl (to a mean activation) or l1 (default kl)")
    target = f"sparse, kl: mean activation of each unit (default {KLSparsity.target:g})"
    t.add_argument("--target", type=float, help=target)
    weights = f"kl {KLSparsity.weight:g}, l1 {L1Sparsity.weight:g}, contractive {Contraction.weight:g}"
    t.add_argument("--weight", type=float, help=f"sparse, contractive: of the penalty (default {weights})")
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

    e = verb("evaluate", evaluate_command, "evaluate a run's model: ELBO, IWAE bound, log p(x), KL per latent")
    e.add_argument("run_folder", metavar="RUN", help="folder that minivae train left")
    e.add_argument("--data", help="a file of the same width, all rows, or a named set (default: the run's test set)")
    e.add_argument("--draws", type=int, default=500, metavar="K", help="importance samples (default 500)")
    e.add_argument("--examples", type=int, metavar="N", help="only the first N test examples")

    s = verb(
        "sample",
        sample_command,
        "draw samples, reconstructions, interpolations and the latent plane of a run's model",
    )
    s.add_argument("run_folder", metavar="RUN", help="folder that minivae train left")
    s.add_argument("-n", type=int, default=100, help="number of samples (default 100)")
    s.add_argument("--out", metavar="DIR", help="where to write them (default runs/RUN-samples-NNN)")

    c = verb(
        "compare",
        compare_command,
        "compare gradient estimators: means and variances beside the exact ones, and figures",
    )
    c.add_argument(
        "--problem",
        nargs="+",
        default=["quadratic", "linear-gaussian", "digits"],
        metavar="NAME",
        help=f"{', '.join(PROBLEMS)} (default quadratic linear-gaussian digits)",
    )
    c.add_argument("--estimators", nargs="+", metavar="NAME", help=f"{', '.join(NAMES)} (default all)")
    c.add_argument("--samples", type=int, default=100_000, metavar="N", help="draws an estimator (default 100000)")
    c.add_argument("--out", metavar="DIR", help="where to write the figures (default runs/compare-NNN)")
    c.add_argument("--quiet", action="store_true", help="no progress bar (there is none without a terminal either)")
    p = verb("pca", pca_command, "compare principal components with trained linear autoencoders: tables and figures")
    p.add_argument("--data", default="digits-grey", help="a named set or a file, as for train (default digits-grey)")
    p.add_argument("--image-shape", type=_shape, metavar="HxW", help="height x width of the images in a file")
    p.add_argument("--latent", type=int, default=10, metavar="N", help="components to keep (default 10)")
    p.add_argument("--out", metavar="DIR", help="where to write the figures (default runs/DATA-pca-NNN)")
    p.add_argument("--quiet", action="store_true", help="no progress bar (there is none without a terminal either)")

    verb("gradcheck", gradcheck_command, "check every hand-written gradient against finite differences")

    x = verb("exercises", exercises_command, "list the lectures' exercises, or check the answers in a file", seed=False)
    x.add_argument("file", nargs="?", metavar="FILE", help="a student's .py or .ipynb (its answers are run)")
    x.add_argument("--seconds", type=float, default=10.0, help="time limit of an answer (default 10)")
    verb(
        "info",
        info_command,
        "show versions, BLAS and threads, where data are looked for, and hints",
        seed=False,
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
