"""Time whole jobs, from the command to the number, beside the same job in plain PyTorch and plain jax scripts.

    pip install -e ".[bench]" && MINIVAE_DATA=... python -m benchmarks.jobs

Every run is a fresh process with what a person waits for in it: imports, compiling, reading, and of minivae also its
tables, figures and saved run. The scripts are ``jobs_torch.py`` and ``jobs_jax.py``; data (and for log p(x) the
weights) are laid out for them beforehand. The jobs take turns, and the memory is the largest that a process held.
"""

import argparse
import importlib.util
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

import minivae as mv
from benchmarks.load import busy
from benchmarks.speed import machine

SCRIPTS = {"PyTorch": ("torch", "benchmarks.jobs_torch"), "jax": ("jax", "benchmarks.jobs_jax")}
VARIANCES = ("pathwise", "path-derivative", "score", "score-mean", "score-leave-one-out")
GOALS = {"PyTorch": 1.0, "jax": 1.0}


def _elbo(said: dict[str, Any]) -> list[float]:
    return [row["value"] for row in said["rows"] if row["quantity"] == "elbo"]


def _log_p(said: dict[str, Any]) -> list[float]:
    return [row["value"] for row in said["rows"] if row["quantity"] == "log_p"]


def _variances(said: dict[str, Any]) -> list[float]:
    rows = {(row["estimator"], row["parameter"]): row["variance"] for row in said["rows"]}
    return [rows[name, part] for name in VARIANCES for part in ("mu", "log_var")]


@dataclass(frozen=True)
class Job:
    """One job: the command, the same in numbers for the scripts, and how far apart what they find may lie.

    Attributes
    ----------
    what : str
    command : tuple of str
        After ``minivae``; ``{out}`` is a new folder, ``{run}`` one with a trained model.
    data : str
        The data set's name.
    found : callable
        Takes the numbers to compare out of what the command prints with ``--json``.
    tolerance : float
        Of those numbers, relative: other draws, other starts.
    how : dict
        For the scripts.
    n_test : int or None
        How many test examples they take.
    from_run : bool
        Whether it begins with the weights of a trained model.
    """

    what: str
    command: tuple[str, ...]
    data: str
    found: Callable[[dict[str, Any]], list[float]]
    tolerance: float
    how: dict[str, Any] = field(default_factory=dict)
    n_test: int | None = None
    from_run: bool = False


_PAPER = {"hidden": 500, "latent": 20, "activation": "tanh", "batch": 100, "rate": 1e-3, "binarize": False}
_PAPER_FLAGS = (
    "--data",
    "mnist-threshold",
    *["--hidden", "500", "--latent", "20", "--activation", "tanh", "--batch-size", "100"],
)
JOBS = {
    "mnist": Job(
        "MNIST, 784-500-20-500-784, 5 epochs, test ELBO",
        ("train", *_PAPER_FLAGS, "--epochs", "5", "--out", "{out}"),
        "mnist-threshold",
        _elbo,
        0.03,
        {**_PAPER, "epochs": 5},
    ),
    "variances": Job(
        "variances of five estimators on a digits VAE, 100 examples with 1,000 draws each",
        ("compare", "--problem", "digits", "--estimators", *VARIANCES, "--samples", "100000", "--out", "{out}"),
        "digits-threshold",
        _variances,
        2.0,  # another start: only the sizes can be compared
        {
            **{"hidden": 128, "latent": 2, "activation": "tanh", "batch": 128, "rate": 3e-3, "binarize": False},
            **{"epochs": 60, "draws": 1000, "group": 2},
        },
        n_test=100,
    ),
    "digits": Job(
        "the default training of the digits, 60 epochs, test ELBO",
        ("train", "--epochs", "60", "--out", "{out}"),
        "digits-dynamic",
        _elbo,
        0.03,
        {
            **{"hidden": 128, "latent": 2, "activation": "relu", "batch": 128, "rate": 1e-3, "binarize": True},
            "epochs": 60,
        },
    ),
    "log p(x)": Job(
        "log p(x) of 1,000 test images of MNIST with 1,000 draws each, 784-500-20-500-784",
        ("evaluate", "{run}", "--draws", "1000", "--examples", "1000"),
        "mnist-threshold",
        _log_p,
        0.003,
        {**_PAPER, "draws": 1000},
        n_test=1000,
        from_run=True,
    ),
}


def _lay_out(name: str, path: Path, run: Path) -> None:
    """Write what the scripts read."""
    job = JOBS[name]
    data = mv.load(job.data)
    arrays = {"x_train": data.x_train, "x_valid": data.x_valid, "x_test": data.x_test[: job.n_test]}
    if job.from_run:
        model, params, _ = mv.training.load_model(run / "model.npz")
        for name, view in model.named(params):  # as PyTorch has them: a row for each output
            arrays[name] = np.ascontiguousarray(view.T)
    np.savez(path, how=json.dumps(job.how), **{k: np.asarray(v, np.float32) for k, v in arrays.items()})


def _timed(command: list[str]) -> tuple[float, float, str]:
    """Run the command; return its seconds, the megabytes that it held at most, and what it printed."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        if process.returncode:
            errors.seek(0)
            raise SystemExit(f"{' '.join(command)} failed:\n{errors.read().decode()[-2000:]}")
        return seconds, usage.ru_maxrss / 1024, out.read().decode()


def measure(name: str, rounds: int, run: Path, show: bool) -> list[dict[str, Any]]:
    """Return a row for each script: seconds and megabytes of it and of minivae, and the ratio of the medians."""
    job = JOBS[name]
    seconds: dict[str, list[float]] = {}
    held: dict[str, float] = {}
    values: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as place:
        data = f"{place}/data.npz"
        # in a process of its own: those that start from here begin to count memory at this one's peak
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            pool.submit(_lay_out, name, Path(data), run).result()
        scripts = {who: module for who, (package, module) in SCRIPTS.items() if importlib.util.find_spec(package)}
        for i in tqdm(range(rounds + 1), desc=name, leave=False, disable=None if show else True):
            filled = [part.format(out=f"{place}/run-{i}", run=run) for part in job.command]
            quiet = [] if job.from_run else ["--quiet"]
            commands = {"minivae": [sys.executable, "-m", "minivae", *filled, *quiet, "--json"]}
            commands |= {who: [sys.executable, "-m", module, name, data] for who, module in scripts.items()}
            for who, command in commands.items():
                took, megabytes, said = _timed(command)
                found = json.loads(said.splitlines()[-1])
                values[who] = job.found(found) if who == "minivae" else np.ravel(_flat(found)).tolist()
                held[who] = max(held.get(who, 0.0), megabytes)
                if i:  # the first round warms the disk, and compiles where nothing is kept yet
                    seconds.setdefault(who, []).append(took)
    for who in scripts:
        if not np.allclose(values[who], values["minivae"], rtol=job.tolerance):
            raise SystemExit(f"{name}: {who} found {values[who]}, minivae {values['minivae']}: not the same job")
    own = statistics.median(seconds["minivae"])
    return [
        {
            "job": name,
            "peer": who,
            "seconds": own,
            "peer_seconds": statistics.median(seconds[who]),
            "ratio": statistics.median(seconds[who]) / own,
            "ratios": [theirs / ours for theirs, ours in zip(seconds[who], seconds["minivae"], strict=True)],
            "megabytes": held["minivae"],
            "peer_megabytes": held[who],
            "goal": GOALS[who],
        }
        for who in scripts
    ]


def _flat(found: Any) -> Any:
    return list(found.values()) if isinstance(found, dict) else found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", nargs="+", choices=JOBS, default=list(JOBS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--busy", type=int, metavar="N", default=0, help="N other processes are at work meanwhile")
    parser.add_argument("--json", metavar="FILE", help="also write the rows to this file")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as place, busy(options.busy):
        run = Path(place) / "trained"
        if any(JOBS[name].from_run for name in options.jobs):
            _timed([sys.executable, "-m", "minivae", "train", *_PAPER_FLAGS, "--epochs", "1", "--out", str(run)])
        print("| job | beside | minivae, s | the script, s | ratio | minivae, MB | the script, MB |")
        print("|---|---|---|---|---|---|---|")
        for name in options.jobs:
            for row in measure(name, options.rounds, run, sys.stderr.isatty()):
                rows.append(row)
                print(
                    f"| {JOBS[name].what} | {row['peer']} | {row['seconds']:.1f} | {row['peer_seconds']:.1f} | "
                    f"{row['ratio']:.2f} | {row['megabytes']:.0f} | {row['peer_megabytes']:.0f} |",
                    flush=True,
                )
    if options.json:
        settings = {"rounds": options.rounds, "busy": options.busy, "machine": machine()}
        Path(options.json).write_text(json.dumps({"rows": rows, "settings": settings}, indent=2))


if __name__ == "__main__":
    main()
