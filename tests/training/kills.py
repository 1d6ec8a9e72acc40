"""Kill trainings at random moments, resume them, and compare with the training that nobody disturbed.

``python -m tests.training.kills --kills 1000 --seed 1`` does more of what the suite does. Children are forked from one
process that has loaded everything, so that a kill falls into training and writing and not into importing. That process
has one thread, for a fork copies no other and may find their locks held. Every epoch writes a checkpoint.
"""

import argparse
import contextlib
import csv
import faulthandler
import functools
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from tqdm import tqdm

from minivae.cli import train as verb
from minivae.cli.main import main
from minivae.core.files import load_arrays
from minivae.training.checkpoints import known
from minivae.training.loop import train
from minivae.training.runs import open_run
from minivae.training.storage import load_model

EPOCHS = 80
WORDS = ["--hidden", "8", "--batch-size", "64", "--epochs", str(EPOCHS), "--quiet"]


def forked(words, errors):
    """Start ``minivae`` with these words in a forked child, its errors in that file; return its process id."""
    assert len(os.listdir("/proc/self/task") if os.path.isdir("/proc/self/task") else "1") == 1, "start with one thread"
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            os.setsid()
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
            faulthandler.enable()
            code = main(words)
        finally:
            os._exit(code)
    return pid


def exit_code(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def assert_whole(folder):
    """Read every file under its final name, as whoever wants it would."""
    for path in folder.rglob("*"):
        if path.name.startswith(".") or path.is_dir():
            continue
        match path.name:
            case "run.json":
                open_run(folder)
            case "model.npz":
                load_model(path)
            case "checkpoint.npz":
                load_arrays(path, "checkpoint", known)
            case "summary.json":
                json.loads(path.read_text())
            case "history.csv":
                rows = list(csv.DictReader(path.read_text().splitlines()))
                assert [int(row["epoch"]) for row in rows] == list(range(1, len(rows) + 1)), path
            case _:
                assert path.suffix == ".png", path
                assert path.read_bytes().endswith(b"IEND\xaeB`\x82"), path


def done(folder):
    """Return how many epochs the checkpoint holds."""
    with contextlib.suppress(FileNotFoundError), np.load(folder / "checkpoint.npz") as archive:
        return len(archive["history"])
    return 0


def assert_equal(one, other):
    """Assert that two runs have the same history, checkpoint and model, bit for bit."""
    assert (one / "history.csv").read_bytes() == (other / "history.csv").read_bytes()
    for name, kind, names in (("checkpoint.npz", "checkpoint", known), ("model.npz", "model", {"params"}.__contains__)):
        (_, a), (_, b) = (load_arrays(folder / name, kind, names) for folder in (one, other))
        assert a.keys() == b.keys()
        for key in a:
            assert a[key].tobytes() == b[key].tobytes(), (name, key)


def kill(n_kills, seed, work):
    """Kill and resume until so many have been killed and the last of them have finished; return what was seen."""
    rng = random.Random(seed)
    whole, data = work / "whole", work / "x.npy"
    np.save(data, np.random.default_rng(seed).normal(size=(400, 6)) @ np.random.default_rng(1).normal(size=(6, 6)))
    words = ["train", "--data", str(data), *WORDS, "--out"]
    verb.train = functools.partial(train, checkpoint_seconds=0)
    tqdm.monitor_interval = 0  # else a thread watches bars that nobody sees
    with contextlib.redirect_stdout(None):
        main([*words, str(work / "warm")])  # loads kernels, fonts and the data into this process
    start = time.monotonic()
    errors = work / "errors"
    assert exit_code(forked([*words, str(whole)], errors)) == 0, errors.read_text()
    seconds = time.monotonic() - start
    training = json.loads((whole / "summary.json").read_text())["seconds"]
    seen = Counter()
    for number in range(10**9):
        if seen["kills"] >= n_kills:
            break
        run = work / f"run{number}"
        while True:
            resume = ["train", "--resume", str(run), "--quiet"]
            pid = forked(resume if (run / "run.json").exists() else [*words, str(run)], errors)
            before = done(run)
            longest = 0.7 * training if before < EPOCHS else 1.5 * (seconds - training)
            time.sleep(rng.uniform(0, longest))
            how = rng.choice([signal.SIGKILL] * 4 + [signal.SIGTERM])
            os.kill(pid, how)
            code = exit_code(pid)
            assert code in (0, -how, 143), (code, how, errors.read_text())
            assert_whole(run)
            assert done(run) >= before, "a saved epoch was lost"
            if code == 0:
                break
            seen["kills"] += 1
            seen[how.name] += 1
            seen["with half a file"] += any(run.rglob(".*.part"))
            seen["before run.json"] += not (run / "run.json").exists()
            seen["after the last epoch"] += done(run) == EPOCHS
            if not (run / "run.json").exists() and run.exists():
                shutil.rmtree(run)
        assert_equal(run, whole)
        assert not list(run.rglob(".*.part")), "what killed processes left is removed"
        seen["finished runs"] += 1
    return {"seconds": round(seconds, 2), "of training": training, **seen}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(kill(options.kills, options.seed, Path(folder))))
