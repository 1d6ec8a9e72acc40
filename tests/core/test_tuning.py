"""What the package sets for the process on import, and that it can be refused."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from minivae.core import tuning

AVX512 = "fpu sse2 avx2 avx512f avx512cd avx512bw avx512dq avx512vl"


def in_a_process(code, **environment):
    clean = {k: v for k, v in os.environ.items() if k not in ("OPENBLAS_CORETYPE", "MINIVAE_TUNING")}
    result = subprocess.run(
        [sys.executable, "-c", code], env={**clean, **environment}, capture_output=True, text=True, check=True
    )
    return result.stdout.strip()


SHOW = "import os, minivae.core.tuning as t; print(os.environ.get('OPENBLAS_CORETYPE'), '|', t.DONE)"


def test_off_means_off():
    printed = in_a_process(SHOW, MINIVAE_TUNING="off")
    assert printed.startswith("None |")
    assert printed.count("as") >= 2
    assert "kept" not in printed


def test_a_choice_of_the_user_is_left_alone():
    assert in_a_process(SHOW, OPENBLAS_CORETYPE="Haswell").startswith("Haswell |")


@pytest.mark.parametrize(("flags", "expected"), [(AVX512, "SkylakeX"), (AVX512.replace("avx512vl", ""), None)])
def test_kernels_are_chosen_only_where_the_processor_has_the_instructions(flags, expected, monkeypatch):
    monkeypatch.setattr(tuning, "_cpu_flags", lambda: set(flags.split()))
    monkeypatch.setenv("OPENBLAS_CORETYPE", "")
    monkeypatch.setattr(os, "environ", dict(os.environ))
    said = tuning._choose_kernels()
    assert (os.environ.get("OPENBLAS_CORETYPE") or None) == expected
    assert ("SkylakeX" in said) == (expected is not None)


def test_flags_are_read_as_linux_writes_them(tmp_path):
    file = tmp_path / "cpuinfo"
    file.write_text("processor : 0\nflags\t\t: fpu avx512f\nprocessor : 1\nflags\t\t: fpu\n")
    assert tuning._cpu_flags(str(file)) == {"fpu", "avx512f"}
    assert tuning._cpu_flags(str(tmp_path / "none")) == set()


def test_it_comes_before_numpy_and_needs_none():
    tree = ast.parse(Path(tuning.__file__).read_text())
    imported = {a.name for n in tree.body if isinstance(n, ast.Import) for a in n.names}
    assert imported == {"contextlib", "ctypes", "os", "platform", "stat", "sys", "tempfile"}
    core = Path(tuning.__file__).parent
    assert not [n for n in ast.walk(ast.parse((core / "__init__.py").read_text())) if isinstance(n, ast.ImportFrom)]
    package = ast.parse((core.parent / "__init__.py").read_text())
    of_ours = [n for n in package.body if isinstance(n, ast.ImportFrom) and n.module.startswith("minivae")]
    assert (of_ours[0].module, of_ours[0].names[0].name) == ("minivae.core", "tuning")


def test_results_are_the_same_without_it():
    code = (
        "import numpy as np, minivae as mv; m = mv.VAE.mlp(6, 2, [5]); p = m.init(np.random.default_rng(0));"
        "print(m.elbo(p, np.ones((3, 6)), eps=np.ones((1, 3, 2))).round(9).tolist())"
    )
    assert in_a_process(code) == in_a_process(code, MINIVAE_TUNING="off")


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="nothing is compiled")
def test_compiled_kernels_are_kept_in_the_users_cache_and_not_in_the_package(tmp_path):
    # beside the source they would outlive an uninstalled package, and its folder would hide an editable installation
    code = (
        "import numpy as np, numba, minivae.core.kernels as k; before = numba.config.CACHE_DIR; "
        "k.relu(np.ones((1, 1))); print(repr(before), k.relu._cache.cache_path)"
    )
    clean = {"XDG_CACHE_HOME": str(tmp_path), "NUMBA_CACHE_DIR": ""}
    before, folder = in_a_process(code, **clean).split()
    assert before == "''"  # other packages keep theirs where they did
    assert Path(folder).is_relative_to(tmp_path / "minivae" / "kernels")
    assert list(Path(folder).glob("*.nbi"))
    other = tmp_path / "other"
    assert in_a_process(code, **clean | {"NUMBA_CACHE_DIR": str(other)}).split()[1].startswith(str(other))
