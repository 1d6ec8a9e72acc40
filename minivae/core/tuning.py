"""Two settings of the process that make products and large arrays faster, and where compiled kernels are kept.

- **BLAS kernels.** On some AVX-512 processors OpenBLAS does not know the model and falls back to kernels for older
  ones, which are 1.6 times slower. Where the processor has the instructions, ``OPENBLAS_CORETYPE=SkylakeX`` is set in
  the environment before OpenBLAS is loaded; a value that is already there is left alone.
- **Freed memory.** The C library gives every freed block of a few megabytes back to the system, and clearing its
  pages anew costs as much as computing on them. glibc is told to keep such blocks (at most 512 MB).

``MINIVAE_TUNING=off`` in the environment refuses both; ``minivae info`` shows what was done. This module is imported
before NumPy, so it needs neither NumPy nor anything that needs it.

Numba keeps compiled code beside the source unless told otherwise. Files that pip does not know stay behind in an
installed package when it is removed or replaced, and the empty folder then hides an editable installation: so the
kernels are kept in the user's cache, or where NUMBA_CACHE_DIR says.
"""

import contextlib
import ctypes
import os
import platform
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_AVX512 = {"avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"}  # what the SkylakeX kernels use


_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # parameters of mallopt, from glibc's malloc.h


_KEEP, _LARGEST = 512 * 2**20, 32 * 2**20  # 32 MB is the largest block that glibc can keep


def apply() -> dict[str, str]:
    """Apply both settings unless refused; return what was done, in words, by name."""
    if os.environ.get("MINIVAE_TUNING", "").lower() in ("off", "0", "no"):
        return {"BLAS kernels": "as they are (MINIVAE_TUNING=off)", "freed memory": "as it is (MINIVAE_TUNING=off)"}
    return {"BLAS kernels": _choose_kernels(), "freed memory": _keep_memory()}


def _choose_kernels() -> str:
    given = os.environ.get("OPENBLAS_CORETYPE")
    if given:
        return f"OPENBLAS_CORETYPE={given}, from the environment"
    if not _cpu_flags() >= _AVX512:
        return "chosen by OpenBLAS (no AVX-512 here)"
    os.environ["OPENBLAS_CORETYPE"] = "SkylakeX"
    late = " (NumPy was imported before: set it in the environment for NumPy's own)" if "numpy" in sys.modules else ""
    return f"OPENBLAS_CORETYPE=SkylakeX{late}"


def _cpu_flags(path: str = "/proc/cpuinfo") -> set[str]:
    """Return the processor's features as Linux lists them; none elsewhere."""
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return set()
    return next((set(line.split(":", 1)[1].split()) for line in lines if line.startswith("flags")), set())


def _keep_memory() -> str:
    if platform.libc_ver()[0] != "glibc":
        return "left to the C library (not glibc)"
    mallopt = ctypes.CDLL(None).mallopt
    kept = mallopt(_M_MMAP_THRESHOLD, _LARGEST) and mallopt(_M_TRIM_THRESHOLD, _KEEP)
    return "up to 512 MB kept for reuse" if kept else "left to the C library (it refused)"


def user_cache() -> Path:
    """Return the folder of this user for what can be made or fetched again."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "minivae"
    except RuntimeError:  # a container's user may have neither home nor name
        return _private_folder()


def _private_folder() -> Path:
    """Return a folder among the temporary ones that this user made and no other may look into."""
    user = getattr(os, "getuid", int)()
    folder = Path(tempfile.gettempdir()) / f"minivae-{user}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    state = folder.lstat()
    own = stat.S_ISDIR(state.st_mode) and state.st_uid == user and not state.st_mode & 0o077
    return folder if own else Path(tempfile.mkdtemp(prefix="minivae-"))


@contextlib.contextmanager
def kernel_cache() -> Iterator[None]:
    """Let functions that are decorated in here be kept in the user's cache; other code's stay where they were."""
    import numba

    config: Any = numba.config  # its names are made when it is imported
    before = config.CACHE_DIR
    if not before:
        with contextlib.suppress(OSError):  # no place for temporary files either
            config.CACHE_DIR = str(user_cache() / "kernels")
    try:
        yield
    finally:
        config.CACHE_DIR = before


DONE = apply()
