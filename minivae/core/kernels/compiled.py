"""How kernels are compiled, and where the compiled code is kept."""

from typing import Any

from numba import njit

from minivae.core.tuning import kernel_cache

LOG_2PI = 1.8378770664093453


def _compiled(**options: Any) -> Any:
    """Return a decorator that compiles, and keeps the result on disk where some place can be written to."""

    def decorate(function: Any) -> Any:
        try:
            with kernel_cache():
                return njit(cache=True, **options)(function)
        except RuntimeError:  # no place for a cache: a read-only installation without a home folder
            return njit(**options)(function)

    return decorate


# error_model="numpy": a division gives inf or NaN as in NumPy, without a check in every iteration,
# so the loops vectorise and a non-finite value still reaches the guard of the training loop.
jit = _compiled(error_model="numpy", nogil=True)


# Sums and products may be taken in any order, so that they vectorise too; NaN and infinities keep their meaning.
jit_reassociated = _compiled(error_model="numpy", nogil=True, fastmath={"reassoc", "contract", "nsz"})
