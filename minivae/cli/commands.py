"""What the other verbs do: each takes the options, prints a table unless --json, and returns code, rows, settings."""

import argparse
import os
import platform
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from minivae import datasets, exercises
from minivae.cli.tables import Rows, print_table
from minivae.core import checks, kernels, tuning
from minivae.core.versions import versions
from minivae.exercises.student_file import check_file
from minivae.models.autoencoder import Autoencoder
from minivae.models.vae import VAE
from minivae.studies import evaluation, run_figures
from minivae.studies.compare import ENOUGH, FAR, NAMES, PROBLEMS, check_request, compare, known
from minivae.studies.gradients import gradient_checks
from minivae.studies.pca_report import report, spectrum
from minivae.training import runs


def evaluate_command(options: argparse.Namespace) -> tuple[int, Rows, dict[str, Any]]:
    """Print and return the bounds and estimates of a run on its test set, or on other data."""
    run = runs.open_run(options.run_folder)
    params = runs.read_model(run)
    checks.seed(options.seed)
    dataset = run.dataset()
    x = runs.foreign_rows(run, options.data) if options.data else runs.test_data(dataset, run.settings.seed)
    if options.examples is not None:
        x = x[: checks.width(options.examples, "examples")]
    if isinstance(run.model, Autoencoder):
        rows = evaluation.test_rows(run.model, params, x, options.seed)
    else:
        rows = evaluation.evaluation_rows(run.model, params, x, checks.width(options.draws, "draws"), options.seed)
    source = options.data or dataset.name
    settings = {"run": str(run.folder), "data": source, "n_examples": len(x), "draws": options.draws}
    settings |= {"seed": options.seed, "meaning": evaluation.meaning(run.model, x, dataset)}
    if not options.json:
        print(f"{run.folder}: {len(x):,} examples of {source}\n")
        print_table(rows)
        print(f"\n{settings['meaning']}")
    return 0, rows, settings


def sample_command(options: argparse.Namespace) -> tuple[int, Rows, dict[str, Any]]:
    """Write samples, reconstructions, interpolations and the latent plane of a run."""
    checks.seed(options.seed)
    checks.width(options.n, "n")
    run = runs.open_run(options.run_folder)
    params = runs.read_model(run)
    dataset = run.dataset()
    folder = runs.new_folder(options.out, run.folder.name + "-samples")
    x = runs.test_data(dataset, run.settings.seed)
    paths: list[str | None] = [run_figures.reconstruction_figure(run.model, params, x, dataset, folder)]
    paths.append(run_figures.interpolation_figure(run.model, params, x, dataset, folder))
    paths += run_figures.latent_figures(run.model, params, x, dataset, folder)
    if isinstance(run.model, VAE):
        paths.append(run_figures.sample_figure(run.model, params, x, dataset, folder, options.n, options.seed))
        draws = run_figures.draw_samples(run.model, params, options.n, options.seed)
        if dataset.scale is not None:  # back in the units of the data
            draws = draws * dataset.scale[1] + dataset.scale[0]
        np.save(folder / "samples.npy", draws)
        paths.append(str(folder / "samples.npy"))
    rows: Rows = [{"file": path} for path in paths if path is not None]
    if not options.json:
        print_table(rows)
    return 0, rows, {"run": str(run.folder), "n": options.n, "seed": options.seed}


def compare_command(options: argparse.Namespace) -> tuple[int, Rows, dict[str, Any]]:
    """Measure gradient estimators beside their exact values; the code is 1 where a number lies too far off."""
    names = options.estimators or list(NAMES)
    for problem in options.problem:
        check_request(problem, names, options.samples, options.seed)
    if not any(known(problem) & set(names) for problem in options.problem):
        raise ValueError(
            f"estimators must hold one that {', '.join(options.problem)} knows, got {', '.join(names)}. "
            f"Leave --estimators away to see all."
        )
    folder = runs.new_folder(options.out, "compare")
    rows: Rows = []
    bar = tqdm(total=len(options.problem) + 10, disable=True if options.quiet else None, desc="comparing")
    with bar:
        for problem in options.problem:
            found = list(compare(problem, names, options.samples, options.seed))
            rows += found
            bar.update(1)
            if not options.json and found:
                bar.clear()
                print(f"{PROBLEMS[problem]}\n")
                print_table([{k: v for k, v in row.items() if k != "problem"} for row in found], _DIGITS)
                print()
        from minivae.studies import compare_figures  # half a second for matplotlib that refusals need not wait for

        paths = compare_figures.write(folder, rows, names, options.seed, bar.update)
    distances = [abs(row[z]) for row in rows for z in ("z_mean", "z_variance") if row[z] is not None]
    worst = max(distances, default=0.0)
    ok = worst < FAR or options.samples < ENOUGH
    if not options.json:
        verdict = "." if ok else f": beyond {FAR:g} something is wrong."
        if options.samples < ENOUGH:
            verdict = f"; with fewer than {ENOUGH:,} draws those errors are rough, and this is no verdict."
        print(f"{len(distances)} means and variances lie within {worst:.1f} standard errors of the exact ones{verdict}")
        print("Figures: " + ", ".join(paths))
    settings = {"samples": options.samples, "seed": options.seed, "out": str(folder), "figures": paths}
    return int(not ok), rows, settings


_DIGITS = {"z_mean": 1, "z_variance": 1, "variance_ratio": 2, "ns_per_draw": 0}


def pca_command(options: argparse.Namespace) -> tuple[int, Rows, dict[str, Any]]:
    """Hold trained linear autoencoders to the eigendecomposition; the code is 1 where a check fails."""
    checks.seed(options.seed)
    dataset = runs.open_data(options.data, options.image_shape)
    eigen = spectrum(dataset, options.latent)
    folder = runs.new_folder(options.out, f"{Path(options.data).name.split('.')[0]}-pca")
    found = report(dataset, eigen, options.latent, options.seed, folder, False if options.quiet else None)
    failed = [row for row in found.checks if row["ok"] is False]
    if not options.json:
        n, d = dataset.x_train.shape
        print(f"PCA and linear autoencoders, {options.latent} latents; {dataset.name}: {n:,} rows of {d} values\n")
        print_table(found.components)
        print()
        print_table([{**row, "ok": "arbitrary" if row["ok"] is None else row["ok"]} for row in found.checks])
        print(
            "\nThe raw decoder spans the components and mixes them: its cosines are not 1, and need not be. "
            + (f"{len(failed)} of {len(found.checks)} checks FAIL." if failed else "With L2 they are.")
        )
        if found.arbitrary:
            print(
                f"Arbitrary: components {checks.listed(found.arbitrary)}. A neighbour shares their eigenvalue: only "
                f"what equal ones span together is determined."
            )
        print(f"figures  {folder}{os.sep}: {', '.join(Path(path).name for path in found.figures)}")
    settings = {"data": dataset.name, "latent": options.latent, "seed": options.seed, "out": str(folder)}
    settings |= {"components": found.components, "arbitrary": found.arbitrary}
    settings |= {"figures": found.figures}
    return int(bool(failed)), found.checks, settings


def gradcheck_command(options: argparse.Namespace) -> tuple[int, Rows, dict[str, Any]]:
    """Check every hand-written gradient; the code is 1 where one is wrong."""
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
        print_table(rows)
        verdict = f"{len(failed)} of {len(rows)} gradients are wrong" if failed else f"all {len(rows)} gradients agree"
        print(f"\n{verdict} with finite differences (central, or complex steps where the tolerance is 1e-12)")
    return int(bool(failed)), rows, {"seed": options.seed}


def exercises_command(options: argparse.Namespace) -> tuple[int, Rows, dict[str, Any]]:
    """List the exercises, or check the answers in a file."""
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
            print_table([{key: value for key, value in row.items() if key != "task"} for row in rows])
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


def info_command(options: argparse.Namespace) -> tuple[int, Rows, dict[str, Any]]:
    """Show versions, BLAS and threads, data folders and hints."""
    from threadpoolctl import threadpool_info

    kernels.dense(
        np.zeros(2, np.float32), np.zeros((1, 1), np.float32), 1
    )  # now every BLAS in use is loaded, and listed

    rows: Rows = [{"name": name, "value": value} for name, value in versions().items()]
    rows.append({"name": "processor", "value": f"{platform.machine()}, {os.cpu_count()} cores"})
    for pool in threadpool_info():
        kind = "BLAS" if pool["user_api"] == "blas" else pool["user_api"]
        text = f"{pool['internal_api']} {pool.get('version') or ''} {pool.get('architecture', '')}".rstrip()
        rows.append({"name": kind, "value": f"{text}, {pool['num_threads']} threads"})
    rows += [{"name": name, "value": value} for name, value in tuning.DONE.items()]
    for folder in datasets.data_folders():
        state = "" if folder.is_dir() else " (not there yet)"
        rows.append({"name": "data folder", "value": f"{folder}{state}"})
    if "MINIVAE_DATA" not in os.environ:
        hint = "set MINIVAE_DATA to a folder that holds mnist/, frey/ ... to use data that are already on disk"
        rows.append({"name": "hint", "value": hint})
    if not options.json:
        print_table(rows)
    return 0, rows, {}
