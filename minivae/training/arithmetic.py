"""What the bits of a result depend on beside data, settings and seed: BLAS and its threads, processor, versions."""

import contextlib
from contextlib import AbstractContextManager
from typing import Any

import numba
import numpy as np
from llvmlite.binding import get_host_cpu_name
from threadpoolctl import threadpool_info

from minivae.core import checks
from minivae.core.parallel import one_blas_thread

_ONE_THREAD = 4_000_000  # multiplications in the largest product of a step below which one BLAS thread is best


def blas_threads(model: Any, n_rows: int) -> AbstractContextManager[None]:
    """Return a context in which small products use one thread: two gain nothing there, and lose much when disturbed."""
    checks.has(model, ("encoder", "decoder"), "model", "a model", "VAE.mlp(n_x=4, n_latent=2)")
    checks.width(n_rows, "n_rows")
    layers = [*model.encoder.layers, *model.decoder.layers]
    products = [layer.n_in * layer.n_out for layer in layers if layer.n_in and layer.n_out]
    return one_blas_thread() if n_rows * max(products) < _ONE_THREAD else contextlib.nullcontext()


def reproducible() -> AbstractContextManager[None]:
    """Return a context in which the number of BLAS threads changes no bit of a training or an evaluation.

    A product on two threads may be summed in another order than on one, and rounded otherwise. In here BLAS uses one
    thread, whatever the machine or the environment says. The price is the second core in products above four million
    multiplications (smaller ones use one thread anyway); the README says how much that is. The kinds of BLAS kernels
    and of processor remain conditions; a run records both, and ``train`` warns where it is resumed under others.

    Examples
    --------
    >>> with reproducible():
    ...     arithmetic()["blas_threads"]
    1
    """
    return one_blas_thread()


def arithmetic() -> dict[str, Any]:
    """Return what a result's bits depend on here and now: how NumPy multiplies, and for what kernels are compiled."""
    # NumPy's own library comes first where SciPy has brought another
    pools = sorted(
        (pool for pool in threadpool_info() if pool["user_api"] == "blas"),
        key=lambda pool: "numpy" not in pool["filepath"],
    )
    blas, threads = "none that is known", 1
    if pools:
        blas = " ".join(str(pools[0].get(part) or "") for part in ("internal_api", "version", "architecture")).strip()
        threads = pools[0]["num_threads"]
    compiled = "off" if numba.config.DISABLE_JIT else f"{numba.__version__} for {get_host_cpu_name()}"  # type: ignore[attr-defined]
    return {"blas": blas, "blas_threads": threads, "numpy": np.__version__, "numba": compiled}
