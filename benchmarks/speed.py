"""Time minivae beside other libraries, interleaved in one run, and print medians, ratios and goals.

    pip install ".[bench]" && python -m benchmarks.speed

Every scenario first checks that all compute the same loss on the same parameters and noise. Machines are shared
and noisy, so a time alone means little: the columns to read are the ratios. Peers that are not installed are
left out, and said so.
"""

import argparse
import contextlib
import importlib.util
import json
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks import peers, peers_networks
from benchmarks.load import busy
from benchmarks.peers import Problem

UNTUNED = "minivae, default BLAS"  # MINIVAE_TUNING=off: what the settings made on import are worth
TRAINING = {
    "minivae": peers.minivae_step,
    UNTUNED: peers.minivae_step,
    "NumPy products": peers.products_step,
    "jax.jit": peers.jax_step,
    "PyTorch eager": peers.torch_step,
    "torch.compile": peers.torch_compile_step,
}
IWAE = {
    "minivae": peers.minivae_iwae_step,
    "NumPy products": peers.products_iwae_step,
    "jax.jit": peers.jax_iwae_step,
}
VIMCO = {
    "minivae": peers.minivae_vimco_step,
    "NumPy products": peers.products_iwae_step,
    "jax.jit": peers.jax_vimco_step,
}
FLOW = {"minivae": peers.minivae_step, "jax.jit": peers.jax_flow_step}
NETWORKS = {
    "minivae": peers.minivae_step,
    "NumPy products": peers_networks.products_step,
    "jax.jit": peers_networks.jax_step,
    "PyTorch eager": peers_networks.torch_step,
}
LOG_P = {"minivae": peers.minivae_log_p, "NumPy products": peers.products_log_p, "jax.jit": peers.jax_log_p}
STUDY = {"minivae": peers.minivae_study, "NumPy products": peers.products_study, "jax.jit": peers.jax_study}
NEEDS = {"jax.jit": "jax", "PyTorch eager": "torch", "torch.compile": "torch"}

# scenario: what is timed, its sizes, steps in one block, and the goal for (peer's seconds / ours)
SCENARIOS: dict[str, dict[str, Any]] = {
    "paper": {
        "what": TRAINING,
        "problem": ((784, 500, 20), "tanh", True, 100),
        "steps": 60,
        "goals": {"jax.jit": 1.2, "PyTorch eager": 2.0, "NumPy products": 1 / 1.25},
    },
    "digits": {
        "what": TRAINING,
        "problem": ((64, 128, 2), "relu", True, 128),
        "steps": 1000,
        "goals": {"jax.jit": 2.0, "PyTorch eager": 4.0},
    },
    "toy": {
        "what": TRAINING,
        "problem": ((2, 64, 2), "tanh", False, 64),
        "steps": 3000,
        "goals": {"jax.jit": 2.0, "PyTorch eager": 10.0},
    },
    "iwae": {  # 50 draws: the decoder has 50 times the encoder's rows
        "what": IWAE,
        "problem": ((784, 200, 50), "tanh", True, 20, 50),
        "steps": 20,
        "goals": {"jax.jit": 1.0},
    },
    "vimco": {  # 10 draws of 20 bits
        "what": VIMCO,
        "problem": ((784, 500, 20), "tanh", True, 20, 10, "bits"),
        "steps": 20,
        "goals": {"jax.jit": 1.0},
    },
    "iaf": {  # two blocks of 32 hidden units that look at 8 further outputs of the encoder
        "what": FLOW,
        "problem": ((784, 500, 20), "tanh", True, 100, 1, "iaf"),
        "steps": 60,
        "goals": {"jax.jit": 1.0},
    },
    "conv": {  # two convolutions of stride 2 with 16 and 32 channels, and back, 20 latents, batches of 128
        "what": NETWORKS,
        "make": peers_networks.make,
        "problem": ("conv",),
        "steps": 20,
        "goals": {"PyTorch eager": 1.0},
    },
    "gru": {  # 28 steps of 28 pixels, 128 units each way, 20 latents, batches of 128
        "what": NETWORKS,
        "make": peers_networks.make,
        "problem": ("gru",),
        "steps": 20,
        "goals": {"PyTorch eager": 1.0},
    },
    "log p(x)": {
        "what": LOG_P,
        "problem": ((784, 500, 20), "tanh", True, 100),
        "steps": 1,
        "goals": {"jax.jit": 1.2, "NumPy products": 1 / 1.3},
    },
    "estimator study": {
        "what": STUDY,
        "problem": ((64, 128, 2), "relu", True, 100),
        "steps": 5,
        "goals": {"jax.jit": 1.1},
    },
}
# the same while another process keeps a core busy
SCENARIOS |= {
    f"{name}, loaded": {
        **SCENARIOS[name],
        "what": {who: what for who, what in SCENARIOS[name]["what"].items() if who in ("minivae", "jax.jit")},
        "goals": {"jax.jit": 1.0},
        "busy": 1,
    }
    for name in ("paper", "log p(x)", "estimator study")
}


def _worker(pipe: Any, scenario: str, peer: str) -> None:
    """Build one library's step in this process, send its loss, and time a block each time it is asked to."""
    problem = SCENARIOS[scenario].get("make", Problem.make)(*SCENARIOS[scenario]["problem"])
    step, loss = SCENARIOS[scenario]["what"][peer](problem)
    n_steps = SCENARIOS[scenario]["steps"]
    step()
    pipe.send(loss)
    while pipe.recv():
        for _ in range(max(1, n_steps // 2)):
            step()
        start = time.perf_counter()
        for _ in range(n_steps):
            step()
        pipe.send((time.perf_counter() - start) / n_steps)


@contextlib.contextmanager
def _environment(untuned: bool) -> Iterator[None]:
    """Let a process that starts here find the environment as the user gave it, or with the tuning refused."""
    before = dict(os.environ)
    if untuned:
        os.environ.pop("OPENBLAS_CORETYPE", None)
        os.environ["MINIVAE_TUNING"] = "off"
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def run_scenario(name: str, rounds: int, show: bool, compile_torch: bool) -> list[dict[str, Any]]:
    """Check that all agree, time them A B C A B C ..., and return a row for each peer.

    Each library has a process of its own, so that the idle threads and the allocator of one are not the other's. They
    start one after the other: a training looks at the start whether others are at work.
    """
    with busy(SCENARIOS[name].get("busy", 0)):
        return _run_scenario(name, rounds, show, compile_torch)


def _run_scenario(name: str, rounds: int, show: bool, compile_torch: bool) -> list[dict[str, Any]]:
    context = multiprocessing.get_context("spawn")
    pipes, processes, losses = {}, [], {}
    for peer in SCENARIOS[name]["what"]:
        missing = peer in NEEDS and importlib.util.find_spec(NEEDS[peer]) is None
        if missing or (peer == "torch.compile" and not compile_torch):
            print(f"{name}: {peer} left out ({'not installed' if missing else 'no --compile'})", file=sys.stderr)
            continue
        pipes[peer], other = context.Pipe()
        processes.append(context.Process(target=_worker, args=(other, name, peer), daemon=True))
        with _environment(untuned=peer == UNTUNED):
            processes[-1].start()
        other.close()
        losses[peer] = pipes[peer].recv()
    for peer, loss in losses.items():
        if loss is not None and abs(loss - losses["minivae"]) > 1e-4 * abs(losses["minivae"]):
            raise SystemExit(f"{name}: {peer} computes the loss {loss}, minivae {losses['minivae']}: not comparable")
    times: dict[str, list[float]] = {peer: [] for peer in pipes}
    for _ in tqdm(range(rounds), desc=name, leave=False, disable=None if show else True):
        for peer, pipe in pipes.items():
            time.sleep(0.3)  # the threads of the one before spin for a while after their last product
            pipe.send(True)
            times[peer].append(pipe.recv())
    for pipe in pipes.values():
        pipe.send(False)
    for process in processes:
        process.join()
    seconds = {peer: statistics.median(values) for peer, values in times.items()}
    goals = SCENARIOS[name]["goals"]
    return [
        _row(name, peer, seconds["minivae"], value, goals.get(peer))
        | {"ratios": [theirs / ours for theirs, ours in zip(times[peer], times["minivae"], strict=True)]}
        for peer, value in seconds.items()
        if peer != "minivae"
    ]


def cold_start(rounds: int) -> list[dict[str, Any]]:
    """Time a fresh process: import, build, one step, with the kernels on disk; beside ``import torch`` alone."""
    ours = (
        "import numpy as np, minivae as mv; m = mv.VAE.mlp(64, 2); rng = np.random.default_rng(0); "
        "p = m.init(rng, np.float32); g = np.empty_like(p); r = mv.Adam(); "
        "m.loss_and_grad(p, np.ones((8, 64), np.float32), m.draw_noise(rng, 1, 8, np.float32), g); "
        "r.update(p, g, r.init(p))"
    )
    commands = {"minivae": ours}
    for peer in ("torch", "jax"):
        if importlib.util.find_spec(peer) is not None:
            commands[f"import {peer}"] = f"import {peer}"
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds + 1):  # the first round warms the disk, and compiles where nothing is cached yet
        for name, code in commands.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            times[name].append(time.perf_counter() - start)
    seconds = {name: statistics.median(values[1:]) for name, values in times.items()}
    with tempfile.TemporaryDirectory() as empty:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", ours], check=True, env={**os.environ, "NUMBA_CACHE_DIR": empty})
        seconds["the first run ever, which compiles"] = time.perf_counter() - start
    goals = {"import torch": 1.0}
    return [
        _row("cold start", peer, seconds["minivae"], value, goals.get(peer))
        for peer, value in seconds.items()
        if peer != "minivae"
    ]


def _row(scenario: str, peer: str, seconds: float, peer_seconds: float, goal: float | None) -> dict[str, Any]:
    ratio = peer_seconds / seconds
    met = None if goal is None else ratio >= goal
    return {
        "scenario": scenario,
        "peer": peer,
        "seconds": seconds,
        "peer_seconds": peer_seconds,
        "ratio": ratio,
        "goal": goal,
        "met": met,
    }


def machine() -> dict[str, Any]:
    """Return what the numbers depend on: processor, BLAS, threads, versions."""
    from importlib.metadata import PackageNotFoundError, version

    from threadpoolctl import threadpool_info

    versions = {}
    for package in ("minivae", "numpy", "numba", "scipy", "jax", "torch"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    model = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []:
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    blas = [
        f"{pool['internal_api']} {pool.get('version')} {pool.get('architecture')}, {pool['num_threads']} threads"
        for pool in threadpool_info()
        if pool["user_api"] == "blas"
    ]
    coretype = os.environ.get("OPENBLAS_CORETYPE")
    return {"processor": model, "cores": os.cpu_count(), "blas": blas, "coretype": coretype, "versions": versions}


def draw(rows: list[dict[str, Any]], path: str) -> None:
    """Draw the ratios of the medians as bars, with the middle half of the rounds as a line, and the goals marked."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    from minivae.studies.plots import COLORS

    states = {True: (COLORS[2], "goal met"), False: (COLORS[3], "goal missed"), None: (COLORS[8], "no goal")}
    figure = Figure(figsize=(7.5, 0.34 * len(rows) + 1.8), layout="constrained", dpi=120)
    axes = figure.subplots()
    for i, row in enumerate(reversed(rows)):
        axes.barh(i, row["ratio"] - 1, left=1, color=states[row["met"]][0])
        if row.get("ratios"):
            low, _, high = statistics.quantiles(row["ratios"], n=4) if len(row["ratios"]) > 1 else row["ratios"] * 3
            axes.plot([low, high], [i, i], color="0.25", lw=2.5, solid_capstyle="butt")
        if row["goal"] is not None:
            axes.plot([row["goal"]] * 2, [i - 0.42, i + 0.42], color="black", lw=2)
    axes.set_yticks(range(len(rows)), [f"{row['scenario']}: {row['peer']}" for row in reversed(rows)])
    axes.axvline(1, color="black", lw=0.8)
    axes.set_xscale("log")
    ticks = [0.25, 0.5, 1, 2, 4, 8]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("seconds of the peer / seconds of minivae (log scale)")
    axes.set_title("Right of 1 minivae is faster\ngrey lines: half of the rounds; black marks: goals")
    handles = [Patch(color=color, label=label) for color, label in states.values()]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(path)


def table(rows: list[dict[str, Any]]) -> str:
    """Return the ratios in Markdown, a line for each scenario and a column for each library."""
    peers_seen = list(dict.fromkeys(row["peer"] for row in rows if row["scenario"] != "cold start"))
    lines = [["scenario", "minivae, ms", *peers_seen], ["---"] * (2 + len(peers_seen))]
    for scenario in dict.fromkeys(row["scenario"] for row in rows if row["scenario"] != "cold start"):
        own = {row["peer"]: row for row in rows if row["scenario"] == scenario}
        ours = next(iter(own.values()))["seconds"]
        ratios = [f"{own[peer]['ratio']:.2f}" if peer in own else "" for peer in peers_seen]
        lines.append([scenario, f"{1e3 * ours:.3g}", *ratios])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    names = [*SCENARIOS, "cold start"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenarios", nargs="+", choices=names, default=names)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--compile", action="store_true", help="time torch.compile too (it needs a C++ compiler)")
    parser.add_argument("--figure", metavar="PNG", help="draw the ratios to this file")
    parser.add_argument("--table", metavar="FILE", help="write the ratios to this file, in Markdown")
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for name in options.scenarios:
        if name == "cold start":
            rows += cold_start(min(options.rounds, 5))
        else:
            rows += run_scenario(name, options.rounds, not options.json, options.compile)
    settings = {"rounds": options.rounds, "machine": machine()}
    if options.figure:
        draw(rows, options.figure)
    if options.table:
        Path(options.table).write_text(table(rows) + "\n")
    if options.json:
        print(json.dumps({"command": "benchmarks.speed", "ok": True, "rows": rows, "settings": settings}))
        return
    print(json.dumps(settings["machine"], indent=2))
    print(f"{'scenario':<25}{'peer':<36}{'minivae ms':>12}{'peer ms':>12}{'ratio':>8}{'goal':>8}  met")
    for row in rows:
        goal, met = ("-", "-") if row["goal"] is None else (f"{row['goal']:.2f}", "yes" if row["met"] else "no")
        ours, theirs = 1e3 * row["seconds"], 1e3 * row["peer_seconds"]
        print(f"{row['scenario']:<25}{row['peer']:<36}{ours:>12.3f}{theirs:>12.3f}{row['ratio']:>8.2f}{goal:>8}  {met}")


if __name__ == "__main__":
    main()
