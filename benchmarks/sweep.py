"""What a sweep costs: two workers beside one, seconds and bytes of a trial; and what a large one would need.

    python -m benchmarks.sweep [--trials 8] [--epochs 40] [--repeats 3] [--json FILE]

The trials are `minivae train --data digits` with other seeds, 64-128-2-128-64, patience off. One worker has all cores
for itself, in BLAS and in threads; two have half of them each. Both do the same trials, in turn, in folders of their
own, after one round that nobody counts. Wall clock is the least of the repeats: other jobs on the machine only add to
it. The CPU time of a trial does not mind them, and is what the large sweep is reckoned from: that of one worker's
process, and that of the two, their start included.

What moves for a trial: the call and its answer between the scheduler and a worker; the rows, read from the worker's
disk; the run folder, written to the disk that all share.
"""

import argparse
import json
import pickle
import resource
import tempfile
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import minivae as mv
from minivae.core.parallel import cores
from minivae.training.sweeps import sweep

DATA = "digits"


def make(seed: int, epochs: int) -> tuple[Any, mv.Settings, str]:
    """Return the trial of a seed."""
    settings = mv.Settings(epochs=epochs, patience=None, seed=seed)
    return mv.VAE.mlp(n_x=64, n_latent=2, n_hidden=[128]), settings, DATA


def timed(n_workers: int, grid: dict[str, Any], processes: bool = True) -> dict[str, float]:
    """Return the seconds of a sweep in a new folder, those of its trials, and the bytes that it wrote."""
    folder = Path(tempfile.mkdtemp(prefix="sweep"))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start, own = time.perf_counter(), time.process_time()
    rows = sweep(make, grid, folder, workers=n_workers)
    seconds, own = time.perf_counter() - start, time.process_time() - own
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    children = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert all(row["status"] == "finished" for row in rows)
    written = sum(path.stat().st_size for path in (folder / "trials").rglob("*") if path.is_file())
    inside = sum(row["training_seconds"] for row in rows)
    return {
        "wall": seconds,
        "cpu": (children if processes else own) / len(rows),
        "trial": sum(row["seconds"] for row in rows) / len(rows),
        "training": inside / len(rows),
        "written": written / len(rows),
    }


def moved(epochs: int) -> tuple[int, int]:
    """Return the bytes of the call that goes to a worker, and of the answer that comes back."""
    sizes = []

    class Here:
        """An executor that does what it is given at once."""

        def submit(self, function: Any, *args: Any) -> Future[Any]:
            future: Future[Any] = Future()
            answer = function(*args)
            sizes.append((len(pickle.dumps((function, args))), len(pickle.dumps(answer))))
            future.set_result(answer)
            return future

        def shutdown(self) -> None:
            pass

    here: Any = Here()
    sweep(make, {"seed": [0], "epochs": [epochs]}, tempfile.mkdtemp(prefix="sweep"), executor=here)
    return sizes[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", metavar="FILE", help="also write what was measured to this file")
    options = parser.parse_args()
    for name in ("trials", "epochs", "repeats"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} must be at least 1, got {getattr(options, name)}")
    grid = {"seed": range(options.trials), "epochs": [options.epochs]}
    timed(2, {"seed": range(2), "epochs": [1]})  # so that the kernels are compiled
    found: dict[int, list[dict[str, float]]] = {1: [], 2: []}
    for _ in range(options.repeats):
        for n_workers in found:
            found[n_workers].append(timed(n_workers, grid, processes=n_workers > 1))
    call, answer = moved(options.epochs)
    digits = mv.load(DATA)
    n_data = sum(x.nbytes for x in (digits.x_train, digits.x_valid, digits.x_test))
    print(f"{options.trials} trials of {options.epochs} epochs, {cores()} cores\n")
    print(f"{'workers':>8}{'wall, s':>10}{'a trial in its worker, s':>26}{'of that training, s':>21}{'CPU, s':>8}")
    for n_workers, runs in found.items():
        best = min(runs, key=lambda r: r["wall"])
        print(f"{n_workers:>8}{best['wall']:>10.1f}{best['trial']:>26.2f}{best['training']:>21.2f}{best['cpu']:>8.2f}")
    one, two = (min(r["wall"] for r in found[n]) for n in found)
    best = min(found[1], key=lambda r: r["cpu"])
    print(f"\ntwo workers take {two / one:.2f} times as long as one")
    print(
        f"bytes of a trial: call {call:,}, answer {answer:,}, run folder {best['written']:,.0f}, rows read {n_data:,}"
    )
    large = {"trials": 10_000, "machines": 100, "workers": 200}
    seconds = large["trials"] / large["workers"] * best["cpu"]
    print(
        f"10,000 trials on 100 machines with 2 workers each, at these figures: {seconds / 60:.1f} minutes, "
        f"{large['trials'] * best['cpu'] / 3600:.1f} hours of CPU; "
        f"scheduler {large['trials'] * (call + answer) / 1e6:.0f} MB in all, {large['trials'] / seconds:.0f} trials/s; "
        f"shared disk {large['trials'] * best['written'] / 1e9:.2f} GB in all, "
        f"{large['trials'] * best['written'] / seconds / 1e6:.1f} MB/s"
    )
    if options.json:
        content = {"runs": found, "call": call, "answer": answer, "data": n_data}
        Path(options.json).write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
