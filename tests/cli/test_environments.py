"""The command line where people run it: pipes that close, encodings without signs, full disks, users without a home."""

import ctypes
import errno
import json
import os
import signal
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest

import minivae as mv
from minivae import cli
from minivae.core import tuning
from minivae.core.errors import FileError
from minivae.core.files import write_atomically
from minivae.studies import run_figures
from minivae.training.arithmetic import arithmetic
from tests.support import needs_jit

PYTHON = [sys.executable, "-m", "minivae"]
SMALL = ["--epochs", "2", "--hidden", "4", "--batch-size", "64", "--quiet"]

OTHERS = ("numpy._core", "minivae.nn.dense")  # modules in the middle of whose loading Ctrl-C may come


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def shell(script, **environment):
    """Run a line of shell in which $M is the command line."""
    return subprocess.run(
        ["sh", "-c", script], capture_output=True, text=True, env=os.environ | {"M": " ".join(PYTHON)} | environment
    )


# ------------------------------------------------------------------------------------------------- output


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_closed_pipes_are_no_failure_and_lost_output_is():
    for words in ("info --json", "exercises"):
        result = shell(f"{{ $M {words}; echo $? >&2; }} | head -0")
        assert (result.stdout, result.stderr) == ("", "0\n")
    result = shell("$M info > /dev/full; echo $?; $M info --json > /dev/full 2> /dev/full; echo $?")
    said = "standard output must take the results, got No space left on device. Send them elsewhere."
    assert (result.stdout, result.stderr) == ("1\n1\n", f"minivae info: error: {said}\n")


@pytest.mark.long
def test_missing_streams_swallow_what_is_said():
    result = shell("$M info --json 2>&-; $M evaluate nowhere 2>&-; echo $?; $M exercises >&-; echo $?")
    first, *codes = result.stdout.splitlines()
    assert json.loads(first)["ok"]
    assert codes == ["1", "0"]
    assert result.stderr == ""


@pytest.mark.parametrize("encoding", ["ascii", pytest.param("cp1252", marks=pytest.mark.long)])
def test_every_result_goes_out_in_every_encoding(encoding):
    right = "import numpy as np\ndef sample_z(mu, log_var, eps):\n    return mu + np.exp(log_var / 2) * eps\n"
    Path("a.py").write_text(right)
    script = "$M exercises a.py && $M train --epochs 1 --hidden 4 --quiet --out Übung"
    words, environment = ["sh", "-c", script], {"M": " ".join(PYTHON), "PYTHONIOENCODING": encoding}
    result = subprocess.run(words, capture_output=True, env=os.environ | environment)
    assert result.returncode == 0, result.stderr
    said = result.stdout.decode(encoding)
    assert said.startswith("ok vae.sample-z")
    assert ("\\xdcbung/model.npz" if encoding == "ascii" else "Übung/model.npz") in said


# ----------------------------------------------------------------------------------------- the system's users


@pytest.mark.long
def test_a_user_without_home_and_name_trains_and_nothing_is_left_in_the_folder():
    code = (
        "import pwd, sys\n"
        "def nobody(*_): raise KeyError('getpwuid(): uid not found')\n"
        "pwd.getpwuid = nobody\n"
        "from minivae.__main__ import main\n"
        f"sys.argv = ['minivae', 'train', *{SMALL}, '--out', 'run']\n"
        "sys.exit(main())"
    )
    away = ("HOME", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR", "MPLCONFIGDIR")
    environment = {name: value for name, value in os.environ.items() if name not in away}
    environment["TMPDIR"] = str(Path("temporary").absolute())
    Path("temporary").mkdir()
    environment["NUMBA_DISABLE_JIT"] = "1"  # a compilation takes longer than all the rest
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr
    assert sorted(path.name for path in Path().iterdir()) == ["run", "temporary"]


def test_the_folder_of_a_user_without_home_is_his_alone(monkeypatch, tmp_path):
    def homeless(*_):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(tuning.tempfile, "tempdir", str(tmp_path))
    folder = tuning.user_cache()
    assert folder == tuning.user_cache()
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)  # as another user may have made it, to put code there
    other = tuning.user_cache()
    assert other != folder
    assert other.stat().st_mode & 0o777 == 0o700


# ------------------------------------------------------------------------------------------------- signals


@pytest.mark.usefixtures("heeded_interrupts")
@pytest.mark.parametrize(
    "module",
    ["numba.core.types", *(pytest.param(m, marks=pytest.mark.long) for m in ("numpy._core", "minivae.nn.dense"))],
)
def test_ctrl_c_while_loading_ends_without_a_traceback(module):
    words = [sys.executable, "-X", "importtime", "-m", "minivae", "train", "--epochs", "100000", "--quiet"]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if module in line:
            break
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    assert "Traceback" not in said


def test_the_command_line_works_outside_the_main_thread_and_puts_handlers_back():
    codes = []
    thread = threading.Thread(target=lambda: codes.append(cli.main(["train", *SMALL, "--out", "a"])))
    thread.start()
    thread.join()
    before = signal.getsignal(signal.SIGTERM)
    codes.append(cli.main(["train", *SMALL, "--out", "b"]))
    assert codes == [0, 0]
    assert signal.getsignal(signal.SIGTERM) is before
    assert Path("a/history.csv").read_bytes() == Path("b/history.csv").read_bytes()


# ------------------------------------------------------------------------------------------------- disks


@pytest.fixture
def small_disk(tmp_path):
    """Mount a disk of 100 kB where that is allowed."""
    folder = tmp_path / "disk"
    folder.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "mount") or libc.mount(b"none", bytes(folder), b"tmpfs", 0, b"size=100k"):
        pytest.skip("no file system may be mounted here")
    yield folder
    libc.umount2(bytes(folder), 2)


def test_a_full_disk_is_named_and_loses_nothing_that_was_saved(small_disk, capsys):
    run = small_disk / "run"
    words = ["train", "--data", "x.npy", *SMALL, "--out", str(run)]
    np.save("x.npy", np.random.default_rng(0).normal(size=(60, 3)))
    free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_bsize
    (small_disk / "filler").write_bytes(bytes(free - 9000))
    assert cli.main(words) == 1
    said = capsys.readouterr().err
    assert "must be written, got No space left on device. Make room" in said
    assert f"Then `minivae train --resume {run}` goes on." in said
    assert not list(run.rglob(".*.part"))
    (small_disk / "filler").unlink()
    assert cli.main(["train", "--resume", str(run)]) in (0, 1)  # five figures need more than this disk has
    assert cli.main([*words[:-1], "elsewhere"]) == 0
    assert (run / "history.csv").read_bytes() == Path("elsewhere/history.csv").read_bytes()


def full(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_training_outlives_a_full_disk(monkeypatch):
    # a stub of the system call, for where nothing may be mounted
    model, x = mv.VAE.mlp(3, 1, [4]), (np.random.default_rng(0).random((24, 3)) < 0.5).astype(np.float32)
    settings = mv.Settings(epochs=3, batch_size=8)
    undisturbed = mv.train(model, x, settings=settings)
    monkeypatch.setattr(os, "fsync", full)
    said = r"c.npz must be written, got No space left on device.*Training goes on without"
    with pytest.warns(UserWarning, match=said):
        result = mv.train(model, x, settings=settings, checkpoint="c.npz", checkpoint_seconds=0)
    np.testing.assert_array_equal(result.params, undisturbed.params)
    assert not list(Path().iterdir())


@pytest.mark.parametrize("call", ["fsync", "replace", "chmod"])
def test_whatever_the_system_refuses_the_old_file_stays(call, monkeypatch):
    path = Path("f")
    write_atomically(path, b"old")
    monkeypatch.setattr(os, call, full)
    with pytest.raises(FileError, match="f must be written, got No space left on device. Make room"):
        write_atomically(path, b"new")
    assert [p.name for p in Path().iterdir()] == ["f"]
    assert path.read_bytes() == b"old"


def test_a_folder_is_no_place_for_a_file():
    Path("folder").mkdir()
    with pytest.raises(FileError, match="path must name a file, got folder, which is a folder"):
        mv.save_model("folder", mv.VAE.mlp(3, 1, [4]), np.zeros(mv.VAE.mlp(3, 1, [4]).n_params))


# ------------------------------------------------------------------------------------------------- figures


def test_a_figure_that_cannot_be_drawn_costs_no_result(monkeypatch, capsys):
    def infinite(*_):
        raise ValueError("Axis limits cannot be NaN or Inf")

    monkeypatch.setattr(run_figures, "latent_figures", infinite)
    assert cli.main(["train", *SMALL, "--out", "run"]) == 0
    said = capsys.readouterr()
    assert "note: a figure could not be drawn (Axis limits cannot be NaN or Inf); the numbers do not depend" in said.err
    assert "on the test set" in said.out
    drawn = json.loads(Path("run/summary.json").read_text())["figures"]
    assert [Path(path).name for path in drawn] == ["learning_curves.png", "reconstructions.png", "samples.png"]


# --------------------------------------------------------------------------------------------- arithmetic


@needs_jit
def test_a_resume_under_other_arithmetic_is_warned_of(monkeypatch):
    model, x = mv.VAE.mlp(3, 1, [4]), np.ones((24, 3), np.float32)
    how = {"settings": mv.Settings(epochs=2, batch_size=8), "checkpoint": "c.npz"}
    mv.train(model, x, **how)
    here = arithmetic()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mv.train(model, x, **how, resume=True)
    elsewhere = here | {"blas_threads": 64, "blas": "another"}
    monkeypatch.setattr("minivae.training.loop.arithmetic", lambda: elsewhere)
    said = rf"the arithmetic that it was begun with.*got blas: {here['blas']} -> another; blas_threads: 1 -> 64"
    with pytest.warns(UserWarning, match=said):
        mv.train(model, x, **how, resume=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match=said):  # and not an error about the file
            mv.train(model, x, **how, resume=True)


WIDE = """
import sys, zlib, numpy as np, minivae as mv
from contextlib import nullcontext
x = (np.random.default_rng(0).random((300, 500)) < 0.5).astype(np.float32)
with mv.training.reproducible() if sys.argv[1] == "reproducible" else nullcontext():
    model = mv.VAE.mlp(500, 10, [400])
    params = mv.train(model, x, settings=mv.Settings(epochs=2, batch_size=100)).params
    z = mv.PCA(5).fit(x.astype(float)).components_
    print(zlib.crc32(params.tobytes()), zlib.crc32(z.tobytes()))
"""


@needs_jit
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one core has one thread")
def test_reproducible_makes_the_number_of_threads_no_condition():
    def run(how, threads):
        environment = os.environ | {"OPENBLAS_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
        words = [sys.executable, "-c", WIDE, how]
        return subprocess.run(words, capture_output=True, text=True, env=environment, check=True).stdout

    assert run("reproducible", "1") == run("reproducible", "2") == run("as it is", "1")


@needs_jit
def test_trainings_side_by_side_leave_blas_with_its_threads():
    before = arithmetic()["blas_threads"]
    model, x = mv.VAE.mlp(3, 1, [4]), np.ones((24, 3), np.float32)
    inside = []

    def work():
        mv.train(model, x, settings=mv.Settings(epochs=2, batch_size=8), on_epoch=lambda _: inside.append(arithmetic()))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert arithmetic()["blas_threads"] == before
    assert {how["blas_threads"] for how in inside} == {1}
