"""A training may be killed at any moment: nothing saved is lost, and the resumed run is the undisturbed one."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.support import needs_jit
from tests.training.kills import assert_equal, assert_whole

ROOT = Path(__file__).parents[2]


@pytest.mark.long
@needs_jit
@pytest.mark.skipif(not hasattr(os, "fork"), reason="children are forked")
def test_a_hundred_kills_at_random_moments_change_no_bit():
    # in a process of its own: what pytest has started would be forked along
    words = [sys.executable, "-m", "tests.training.kills", "--kills", "100", "--seed", "7"]
    one_thread = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    result = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, env=one_thread)
    assert result.returncode == 0, result.stderr
    seen = json.loads(result.stdout)
    assert seen["kills"] >= 100
    assert min(seen["with half a file"], seen["after the last epoch"], seen["SIGTERM"]) > 0, seen
    assert seen["finished runs"] > 3


@pytest.mark.long
@needs_jit
def test_kills_in_the_first_compilation_leave_a_cache_that_works(tmp_path):
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "kernels")}
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(60, 3)))
    words = [sys.executable, "-m", "minivae", "train", "--data", "x.npy", "--hidden", "4", "--epochs", "3", "--quiet"]
    moments = random.Random(3)
    for number in range(8):
        process = subprocess.Popen([*words, "--out", f"killed{number}"], cwd=tmp_path, env=environment)
        time.sleep(moments.uniform(0.5, 5))
        process.send_signal(moments.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGINT, signal.SIGTERM]))
        process.wait()
        if (tmp_path / f"killed{number}").exists():
            assert_whole(tmp_path / f"killed{number}")
    fresh = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "fresh")}
    for name, env in (("one", environment), ("other", fresh)):
        subprocess.run([*words, "--out", name], cwd=tmp_path, env=env, check=True, capture_output=True)
    assert_equal(tmp_path / "one", tmp_path / "other")


@needs_jit
@pytest.mark.long
def test_a_damaged_cache_of_kernels_is_compiled_anew(tmp_path):
    code = "import numpy as np; from minivae.core import kernels; print(kernels.dense(np.ones(6), np.ones((2, 2)), 2))"
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}

    def run():
        words = [sys.executable, "-W", "error", "-c", code]
        return subprocess.run(words, env=environment, capture_output=True, text=True)

    first = run()
    (index,), (compiled,) = (list(tmp_path.rglob(f"*{suffix}")) for suffix in (".nbi", ".nbc"))
    damages = [
        {index: b""},
        {compiled: compiled.read_bytes()[:-1000]},
        {index: bytes(500), compiled: b"garbage"},
    ]
    for damage in damages:
        for path, content in damage.items():
            path.write_bytes(content)
        again = run()
        assert (again.stdout, again.stderr) == (first.stdout, "") != ("", "")
    assert min(index.stat().st_size, compiled.stat().st_size) > 500
