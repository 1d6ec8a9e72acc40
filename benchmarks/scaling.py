"""Time a training step, and take its peak memory, against hidden width, batch size and latent size.

    pip install ".[bench]" && python -m benchmarks.scaling --figure scaling.png

One size changes at a time, the others stay at 256 hidden units, a batch of 128 and 16 latents (784 pixels, Bernoulli,
float32, Adam). Nothing should grow faster than the arithmetic: the grey line has the slope of the multiplications.
"""

import argparse
import importlib.util
import json
import multiprocessing
import resource
import statistics
import time
from typing import Any

from tqdm import tqdm

from benchmarks import peers
from benchmarks.peers import Problem
from benchmarks.speed import machine

BASE = {"hidden": 256, "batch": 128, "latent": 16}
AXES = {
    "hidden": [64, 128, 256, 512, 1024, 2048],
    "batch": [16, 32, 64, 128, 256, 512, 1024, 2048],
    "latent": [2, 8, 32, 128, 512],
}
LABELS = {"hidden": "hidden units", "batch": "batch size", "latent": "latents"}
LIBRARIES = {"minivae": peers.minivae_step, "jax.jit": peers.jax_step}
_BLOCK_SECONDS = 0.15


def multiplications(hidden: int, batch: int, latent: int) -> int:
    """Return the multiplications of one step: forward, and twice as many backward but for the first layer's dx."""
    weights = 784 * hidden + hidden * 2 * latent + latent * hidden + hidden * 784
    return batch * (3 * weights - 784 * hidden)


def _worker(pipe: Any, library: str, sizes: dict[str, int]) -> None:
    problem = Problem.make((784, sizes["hidden"], sizes["latent"]), "tanh", True, sizes["batch"])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    step, _ = LIBRARIES[library](problem)
    step()  # compiled before the steps of a block are counted
    start = time.perf_counter()
    n_steps = 0
    while time.perf_counter() - start < _BLOCK_SECONDS:
        step()
        n_steps += 1
    pipe.send(None)
    while pipe.recv():
        for _ in range(n_steps // 2 + 1):  # caches and clocks are cold after the wait
            step()
        start = time.perf_counter()
        for _ in range(n_steps):
            step()
        pipe.send((time.perf_counter() - start) / n_steps)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pipe.send((peak - before) * 1024)


def measure(sizes: dict[str, int], libraries: list[str], rounds: int) -> dict[str, tuple[float, int]]:
    """Return the median seconds of a step and the peak memory above the start, of each library, taken in turn."""
    context = multiprocessing.get_context("spawn")
    pipes = {}
    for library in libraries:
        pipes[library], other = context.Pipe()
        context.Process(target=_worker, args=(other, library, sizes), daemon=True).start()
        other.close()
        pipes[library].recv()
    times: dict[str, list[float]] = {library: [] for library in libraries}
    for _ in range(rounds):
        for library, pipe in pipes.items():
            time.sleep(0.2)  # the threads of the one before spin for a while after their last product
            pipe.send(True)
            times[library].append(pipe.recv())
    found = {}
    for library, pipe in pipes.items():
        pipe.send(False)
        found[library] = (statistics.median(times[library]), pipe.recv())
    return found


def draw(rows: list[dict[str, Any]], path: str) -> None:
    """Draw time against each size, and memory against the batch size, on log axes."""
    from matplotlib.figure import Figure

    from minivae.studies.plots import COLORS

    figure = Figure(figsize=(10, 7), layout="constrained", dpi=120)
    panels = figure.subplots(2, 2).ravel()
    libraries = list(dict.fromkeys(row["library"] for row in rows))
    for axis, panel in zip([*AXES, "memory"], panels, strict=True):
        size = "batch" if axis == "memory" else axis
        for library, color, marker in zip(libraries, (COLORS[0], COLORS[1]), "os", strict=False):
            chosen = [row for row in rows if row["axis"] == size and row["library"] == library]
            y = [row["peak_bytes"] / 1e6 if axis == "memory" else 1e3 * row["seconds"] for row in chosen]
            panel.plot([row[size] for row in chosen], y, marker=marker, color=color, label=library)
            if library == "minivae" and axis != "memory":
                work = [multiplications(row["hidden"], row["batch"], row["latent"]) for row in chosen]
                scale = y[-1] / work[-1]
                line = [scale * w for w in work]
                panel.plot([row[size] for row in chosen], line, color="0.6", lw=1, ls="--", label="arithmetic")
        panel.set_xscale("log", base=2)
        panel.set_yscale("log")
        panel.set_xlabel(LABELS[size])
        panel.set_ylabel("peak memory above the start (MB)" if axis == "memory" else "time of a step (ms)")
        panel.grid(alpha=0.3, which="both")
        panel.legend(frameon=False)
    figure.suptitle("784 pixels, 256 hidden units, batch 128, 16 latents; one of them changes")
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--figure", metavar="PNG", help="draw the curves to this file")
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")
    options = parser.parse_args()
    libraries = ["minivae"] + (["jax.jit"] if importlib.util.find_spec("jax") else [])
    points = [(axis, {**BASE, axis: value}) for axis, values in AXES.items() for value in values]
    rows: list[dict[str, Any]] = []
    for axis, sizes in tqdm(points, disable=None):
        for library, (seconds, peak) in measure(sizes, libraries, options.rounds).items():
            rows.append({"axis": axis, **sizes, "library": library, "seconds": seconds, "peak_bytes": peak})
    if options.figure:
        draw(rows, options.figure)
    if options.json:
        settings = {"rounds": options.rounds, "machine": machine()}
        print(json.dumps({"command": "benchmarks.scaling", "ok": True, "rows": rows, "settings": settings}))
        return
    print(f"{'axis':<8}{'hidden':>8}{'batch':>8}{'latent':>8}  {'library':<10}{'ms':>10}{'peak MB':>10}")
    for row in rows:
        sizes = "".join(f"{row[name]:>8}" for name in BASE)
        milliseconds, megabytes = 1e3 * row["seconds"], row["peak_bytes"] / 1e6
        print(f"{row['axis']:<8}{sizes}  {row['library']:<10}{milliseconds:>10.3f}{megabytes:>10.1f}")


if __name__ == "__main__":
    main()
