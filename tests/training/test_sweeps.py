"""Sweeps: every trial is the run that training alone gives, none is done twice, none stops another."""

import csv
import json
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_info

import minivae as mv
from minivae.core.errors import FileError
from minivae.core.parallel import cores, share_of_cores
from minivae.training import runs, trials, workers
from minivae.training.loop import train as real_train
from minivae.training.storage import load_model
from minivae.training.sweeps import sweep
from minivae.training.trials import trials_of

X = (np.random.default_rng(0).random((60, 6)) < 0.4).astype(np.float32)


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", X)


def make(beta=1.0, seed=0, epochs=3, rate=1e-3, data="x.npy"):
    model = mv.VAE.mlp(n_x=6, n_latent=2, n_hidden=[4])
    objective = mv.Elbo(beta=beta)
    settings = mv.Settings(epochs=epochs, batch_size=16, objective=objective, seed=seed, optimizer=mv.Adam(rate))
    return model, settings, str(Path(data).absolute())


GRID = {"beta": [0.5, 4.0], "seed": [0, 1]}


def params_of(row, folder="s"):
    return load_model(Path(folder) / row["folder"] / "model.npz")[1]


def counted(monkeypatch):
    calls = []

    def train(model, *args, **how):
        calls.append(args[2])
        return real_train(model, *args, **how)

    monkeypatch.setattr(trials, "train", train)
    return calls


def test_every_trial_is_the_run_that_training_alone_gives():
    rows = sweep(make, GRID, "s", workers=1)
    assert [(row["beta"], row["seed"]) for row in rows] == [(0.5, 0), (0.5, 1), (4.0, 0), (4.0, 1)]
    dataset = runs.open_data("x.npy")
    for row in rows:
        model, settings, _ = make(row["beta"], row["seed"])
        alone = mv.train(model, dataset.x_train, dataset.x_valid, settings)
        np.testing.assert_array_equal(params_of(row), alone.params)
        elbo = model.quantities(alone.params, dataset.x_test, row["seed"])[0]
        assert (row["test_elbo"], row["test_elbo_standard_error"]) == (elbo["value"], elbo["standard_error"])
        assert (row["status"], row["epochs_done"], row["reason"]) == ("finished", 3, "")
        assert runs.open_run(Path("s") / row["folder"]).model == model
    assert len({row["folder"] for row in rows}) == 4


def test_the_csv_is_tidy_and_says_the_same():
    rows = sweep(make, GRID, "s", workers=1)
    with open("s/trials.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert [list(row) for row in table] == [list(rows[0])] * 4
    assert [float(row["test_kl"]) for row in table] == [row["test_kl"] for row in rows]
    assert json.loads(Path("s/sweep.json").read_text())["trials"][3] == {"beta": 4.0, "seed": 1}


def test_what_is_finished_is_never_done_twice_and_more_settings_do_what_is_new(monkeypatch):
    first = sweep(make, GRID, "s", workers=1)
    calls = counted(monkeypatch)
    again = sweep(make, GRID, "s", workers=1)
    assert not calls
    for a, b in zip(first, again, strict=True):
        assert {k: v for k, v in a.items() if k != "seconds"} == {k: v for k, v in b.items() if k != "seconds"}
    more = sweep(make, GRID | {"seed": [0, 1, 2]}, "s", workers=1)
    assert [settings.seed for settings in calls] == [2, 2]
    assert len(more) == 6
    sweep(make, [{"beta": 0.5, "epochs": 2}], "s", workers=1)
    assert [settings.epochs for settings in calls[2:]] == [2]  # another training has another folder


def interrupting(monkeypatch, at):
    """Let Ctrl-C come after so many epochs, of all trials together."""
    seen = []

    def train(*args, **how):
        def note(row):
            seen.append(row)
            if len(seen) == at:
                raise KeyboardInterrupt

        return real_train(*args, **how | {"on_epoch": note, "checkpoint_seconds": 0.0})

    monkeypatch.setattr(trials, "train", train)


def test_a_stopped_sweep_goes_on_where_it_was_bit_for_bit(monkeypatch):
    whole = sweep(make, GRID, "whole", workers=1)
    with monkeypatch.context() as patch:
        interrupting(patch, at=5)
        with pytest.raises(KeyboardInterrupt):
            sweep(make, GRID, "s", workers=1)
    with open("s/trials.csv", newline="") as file:
        assert [row["status"] for row in csv.DictReader(file)] == ["finished", "interrupted"]
    histories = []
    with monkeypatch.context() as patch:
        patch.setattr(trials, "train", lambda *a, **how: histories.append(how["resume"]) or real_train(*a, **how))
        rows = sweep(make, GRID, "s", workers=1)
    assert histories == [True, False, False]
    for a, b in zip(whole, rows, strict=True):
        np.testing.assert_array_equal(params_of(a, "whole"), params_of(b))


def test_failures_are_rows_with_their_reason_and_stop_no_other():
    grid = [{"beta": -1.0}, {"rate": 1e30}, {"data": "none.npy"}, {"beta": 2.0}]
    rows = sweep(make, grid, "s", workers=1)
    assert [row["status"] for row in rows] == ["failed", "failed", "failed", "finished"]
    assert rows[0]["reason"] == ("beta must be a finite number at least 0, got -1.0. Choose a value in that range.")
    assert rows[1]["reason"].startswith("training stopped at step ")
    assert "data must name a file, got " in rows[2]["reason"]
    assert rows[3]["beta"] == 2.0
    assert rows[0]["folder"] == ""
    assert rows[1]["test_elbo"] is None


def test_a_failure_is_tried_again(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(trials, "train", lambda *_, **__: 1 / 0)
        rows = sweep(make, {"beta": [1.0]}, "s", workers=1)
    assert rows[0]["status"] == "failed"
    assert rows[0]["reason"].startswith("ZeroDivisionError")
    assert sweep(make, {"beta": [1.0]}, "s", workers=1)[0]["status"] == "finished"


def test_where_no_trial_can_be_made_nothing_is():
    with pytest.raises(ValueError, match="beta must be a finite number"):
        sweep(make, {"beta": [-1.0, -2.0]}, "s", workers=1)
    assert not Path("s").exists()


def test_notes_are_what_the_training_warned_of():
    row = sweep(lambda: (make()[0], mv.Settings(epochs=1, batch_size=500), "x.npy"), [{}], "s", workers=1)[0]
    assert row["notes"].startswith("batch_size should be at most the number of training examples, 48, got 500")


def test_data_that_changed_are_refused():
    sweep(make, {"beta": [1.0]}, "s", workers=1)
    np.save("x.npy", 1 - X)
    os.utime("x.npy", (1, 1))
    with pytest.raises(FileError, match="which has changed since"):
        sweep(make, {"beta": [1.0, 2.0]}, "s", workers=1)


def test_one_process_sweeps_in_a_folder_and_it_holds_nothing_else():
    Path("s/trials").mkdir(parents=True)
    with pytest.raises(FileError, match="which holds something else"):
        sweep(make, GRID, "s", workers=1)
    Path("s/sweep.json").write_text("{}")
    with runs.locked(Path("s")), pytest.raises(FileError, match="by one process at a time"):
        sweep(make, GRID, "s", workers=1)
    with pytest.raises(FileError, match="which is a file"):
        sweep(make, GRID, "x.npy", workers=1)


def test_every_standard_executor_will_do():
    here = sweep(make, GRID, "here", workers=1, threads=1)
    with ThreadPoolExecutor(2) as executor:
        there = sweep(make, GRID, "there", executor=executor)
    for a, b in zip(here, there, strict=True):
        np.testing.assert_array_equal(params_of(a, "here"), params_of(b, "there"))


class Losing:
    """An executor that loses what it is given."""

    def submit(self, *_):
        future = Future()
        future.set_exception(OSError("gone"))
        return future

    def shutdown(self):
        pass


def test_a_trial_that_an_executor_loses_is_a_row():
    assert {row["reason"] for row in sweep(make, GRID, "s", executor=Losing())} == {"its worker was lost (OSError)"}


def test_workers_that_see_another_file_system_say_so():
    model, settings, data = make()
    run = runs.Run(Path("nowhere/trials/a").absolute(), data, None, model, settings)
    row = trials.run_trial(run, 1)
    assert row["status"] == "failed"
    assert row["reason"].startswith("folder must be one that every worker sees")


def test_what_goes_to_a_worker_is_small_and_whole():
    sent = []

    class Taking(Losing):
        def submit(self, function, *args):
            sent.append(pickle.dumps((function, args)))
            return super().submit()

    sweep(make, {"beta": [1.0]}, "s", executor=Taking())
    assert len(sent[0]) < 4096
    function, (run, n_cores) = pickle.loads(sent[0])
    assert (function, n_cores) == (trials.run_trial, 1)
    assert run.model == make()[0]


@pytest.mark.parametrize(
    ("grid", "listed"),
    [
        ({"a": [1, 2], "b": ["x"]}, [{"a": 1, "b": "x"}, {"a": 2, "b": "x"}]),
        ({"a": (1, 1.0, 1)}, [{"a": 1}, {"a": 1.0}]),
        ([{"a": (1, 2)}, {"b": None}], [{"a": [1, 2]}, {"b": None}]),
        ({"a": np.linspace(0, 1, 2)}, [{"a": 0.0}, {"a": 1.0}]),
    ],
)
def test_a_grid_is_every_combination_and_a_list_is_itself(grid, listed):
    assert trials_of(grid) == listed


@pytest.mark.parametrize(
    ("grid", "words"),
    [
        ({}, "grid must have from 1 to 1,000,000 trials, got 0"),
        ({"a": range(1001), "b": range(1000)}, "got 1,001,000"),
        ({"a": 3}, "grid must have a list of values for a, got 3"),
        ({"a": "xyz"}, "grid must have a list of values for a"),
        ({"status": [1]}, "that no result has, got 'status'"),
        ({"test_elbo": [1]}, "that no result has"),
        ({"no name": [1]}, "that no result has, got 'no name'"),
        ({"a": [float("nan")]}, "finite numbers, text and lists of them, got nan for a"),
        ({"a": [mv.Adam()]}, "finite numbers, text and lists"),
        ("beta", "a dictionary of lists, or a list of dictionaries"),
    ],
)
def test_a_grid_that_is_none_is_refused(grid, words):
    with pytest.raises(ValueError, match=words):
        trials_of(grid)


def test_threads_are_divided_among_the_workers(monkeypatch):
    seen = []

    def look(runs_, n_cores, n_workers):
        seen.append((n_workers, n_cores))
        return ((run, trials.failed("not done")) for run in runs_)

    monkeypatch.setattr("minivae.training.sweeps.on_processes", look)
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    for n_workers, threads in ((None, None), (3, None), (2, None), (16, None), (2, 3)):
        sweep(make, GRID | {"epochs": [3, 4, 5, 6]}, "s", workers=n_workers, threads=threads)
    assert seen == [(8, 1), (3, 2), (2, 4), (16, 1), (2, 3)]


def test_a_share_of_the_cores_holds_for_blas_and_for_our_threads():
    def blas():
        return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}

    before = blas(), cores()
    with share_of_cores(1):
        assert (blas(), cores()) == ({1}, 1)
        with share_of_cores(1):
            pass
        assert (blas(), cores()) == ({1}, 1)
    assert (blas(), cores()) == before


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="workers must be left out with an executor, got 2"):
        sweep(make, GRID, "s", executor=Losing(), workers=2)
    with pytest.raises(ValueError, match="workers must be at most 1024"):
        sweep(make, GRID, "s", workers=10**6)
    with pytest.raises(ValueError, match=r"make must return \(model, Settings, data\), got 3"):
        sweep(lambda **_: 3, GRID, "s", workers=1)


# ---------------------------------------------------------------------------------------------- processes


@pytest.mark.long
def test_two_processes_do_what_one_does():
    here = sweep(make, GRID, "here", workers=1, threads=1)
    there = sweep(make, GRID, "there", workers=2)
    for a, b in zip(here, there, strict=True):
        np.testing.assert_array_equal(params_of(a, "here"), params_of(b, "there"))


@pytest.mark.long
def test_a_killed_worker_costs_no_trial():
    grid = {"seed": range(4), "epochs": [300]}
    killed = []

    def kill():
        while not list(Path("s/trials").glob("*/run.json")):
            time.sleep(0.05)
        killed.append(multiprocessing.active_children()[0].pid)
        os.kill(killed[0], signal.SIGKILL)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    rows = sweep(make, grid, "s", workers=2)
    thread.join()
    assert killed
    assert {row["status"] for row in rows} <= {"finished", "early"}


@pytest.mark.long
def test_a_trial_that_always_kills_its_worker_fails_by_itself(monkeypatch):
    model, settings, data = make()
    folder = Path("s/trials").absolute()
    folder.mkdir(parents=True)
    fingerprint = runs.data_fingerprint(runs.open_data(data))
    jobs = [runs.Run(folder / name, data, None, model, settings, fingerprint) for name in ("dies", "a", "b")]
    monkeypatch.setattr(workers, "run_trial_here", dies)
    rows = {run.folder.name: row for run, row in workers.on_processes(jobs, 1, 2)}
    assert rows["dies"]["reason"] == "its worker died 3 times, killed or out of memory"
    assert {rows["a"]["status"], rows["b"]["status"]} == {"finished"}


def dies(run, n_cores):
    if run.folder.name == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    return trials.run_trial(run, n_cores)


SCRIPT = """
from tests.training.test_sweeps import make
from minivae.training.sweeps import sweep
if __name__ == "__main__":
    sweep(make, {"seed": range(2), "epochs": [10**6]}, "s", workers=2)
"""


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.usefixtures("heeded_interrupts")
def test_no_worker_outlives_its_sweep(number):
    Path("script.py").write_text(SCRIPT)
    path = os.pathsep.join([str(Path(mv.__file__).parent.parent), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen([sys.executable, "script.py"], env=os.environ | {"PYTHONPATH": path})
    try:
        while len(list(Path("s/trials").glob("*/run.json"))) < 2:
            time.sleep(0.1)
            assert process.poll() is None
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert len(children) >= 2
        process.send_signal(number)
        process.wait(60)
        for _ in range(200):
            if not any(alive(pid) for pid in children):
                break
            time.sleep(0.1)
        assert not any(alive(pid) for pid in children)
    finally:
        process.kill()
    if number == signal.SIGINT:  # between two epochs, with its state
        assert len(list(Path("s/trials").glob("*/checkpoint.npz"))) == 2
