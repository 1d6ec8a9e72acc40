"""A sweep on a real Dask cluster of two worker processes on this machine, one of which is killed in the middle."""

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import minivae as mv
from minivae import cli
from minivae.core.errors import FileError
from minivae.training.storage import load_model
from minivae.training.sweeps import sweep
from minivae.training.workers import dask_executor

distributed = pytest.importorskip("distributed")
pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore")]

X = (np.random.default_rng(0).random((200, 6)) < 0.4).astype(np.float32)


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", X)


@pytest.fixture(scope="module")
def client():
    how = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with distributed.LocalCluster(**how) as cluster, distributed.Client(cluster) as client:
        yield client


def make(seed, epochs):
    settings = mv.Settings(epochs=epochs, batch_size=16, seed=seed, patience=None)
    return mv.VAE.mlp(n_x=6, n_latent=2, n_hidden=[4]), settings, str(Path("x.npy").absolute())


def test_a_worker_that_is_killed_costs_no_trial_and_no_bit(client):
    grid = {"seed": range(4), "epochs": [150]}
    before = client.run(os.getpid)
    assert len(before) == 2
    killed = []

    def kill():
        while not list(Path("there/trials").glob("*/checkpoint.npz")):
            time.sleep(0.02)
        killed.append(next(iter(before.values())))
        os.kill(killed[0], signal.SIGKILL)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    with client.get_executor() as executor:
        there = sweep(make, grid, "there", executor=executor)
    thread.join()
    assert killed
    assert [row["status"] for row in there] == ["finished"] * 4
    done = {path: path.stat().st_mtime_ns for path in Path("there/trials").glob("*/model.npz")}
    assert len(done) == 4
    here = sweep(make, grid, "here", workers=1, threads=1)
    for a, b in zip(here, there, strict=True):
        one, other = (load_model(Path(f) / r["folder"] / "model.npz")[1] for f, r in (("here", a), ("there", b)))
        np.testing.assert_array_equal(one, other)
    # and what is finished is left as it is, whoever asks for it
    again = sweep(make, grid, "there", workers=1)
    assert {path: path.stat().st_mtime_ns for path in done} == done
    assert [row["test_elbo"] for row in again] == [row["test_elbo"] for row in there]


def test_the_command_line_finds_a_scheduler_by_its_address(client, capsys):
    words = ["data=x.npy", "epochs=2", "hidden=3", "batch-size=16", "seed=0,1", "--quiet"]
    assert cli.main(["sweep", *words, "--scheduler", client.scheduler.address]) == 0
    assert "2, of which 0 failed" in capsys.readouterr().out


def test_the_command_line_starts_a_cluster_of_its_own(capsys):
    words = ["data=x.npy", "epochs=2", "hidden=3", "batch-size=16", "seed=0,1", "--quiet"]
    assert cli.main(["sweep", *words, "--scheduler", "local", "--workers", "2"]) == 0
    assert "2, of which 0 failed" in capsys.readouterr().out


def test_a_scheduler_that_does_not_answer_is_refused(monkeypatch):
    monkeypatch.setattr("minivae.training.workers.SECONDS", 1)
    for address in ("tcp://127.0.0.1:1", "nothing", "x://y"):
        with pytest.raises(FileError, match="must be the address of a Dask scheduler that answers"):  # noqa: SIM117
            with dask_executor(address, 2):
                pass
