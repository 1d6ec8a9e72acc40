"""How kernels are compiled, and where the compiled code is kept."""

import contextlib
from pathlib import Path
from typing import Any

from numba import njit
from numba.core.caching import FunctionCache

from minivae.core.tuning import kernel_cache

LOG_2PI = 1.8378770664093453


class _Cache(FunctionCache):
    """Compiled code on disk, of which a damaged file or a full disk costs a compilation and nothing else.

    It holds for the source that it was made from: the kernel's own file, and that of the exponentials in it.
    """

    def __init__(self, function: Any) -> None:
        super().__init__(function)
        index: Any = self._cache_file
        index._source_stamp = (index._source_stamp, _stamp_of_exponentials())

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # whatever unpickling half a file raises
            with contextlib.suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        with contextlib.suppress(Exception):
            super().save_overload(sig, data)


def _stamp_of_exponentials() -> tuple[float, int]:
    state = Path(__file__).with_name("exponential.py").stat()
    return state.st_mtime, state.st_size


def _compiled(**options: Any) -> Any:
    """Return a decorator that compiles, and keeps the result on disk where some place can be written to."""

    def decorate(function: Any) -> Any:
        kernel = njit(**options)(function)
        if kernel is not function:  # which it is with the JIT off
            # no place for a cache: a read-only installation without a home folder
            with contextlib.suppress(RuntimeError, OSError), kernel_cache():
                kernel._cache = _Cache(function)
        return kernel

    return decorate


# error_model="numpy": a division gives inf or NaN as in NumPy, without a check in every iteration,
# so the loops vectorise and a non-finite value still reaches the guard of the training loop.
jit = _compiled(error_model="numpy", nogil=True)


# Sums and products may be taken in any order, so that they vectorise too; NaN and infinities keep their meaning.
jit_reassociated = _compiled(error_model="numpy", nogil=True, fastmath={"reassoc", "contract", "nsz"})
