"""What the bits of a result depend on beside data, settings and seed: BLAS and its threads, processor, versions."""

import contextlib
import importlib
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
    small = n_rows * max(products) < _ONE_THREAD or any(getattr(layer, "small_products", False) for layer in layers)
    return one_blas_thread() if small else contextlib.nullcontext()


def reproducible() -> AbstractContextManager[None]:
    """Return a context in which the number of BLAS threads changes no bit of a training or an evaluation.

    A product on two threads may be summed in another order than on one, and rounded otherwise. In here BLAS uses one
    thread, whatever the machine or the environment says. The price is the other cores in products above four million
    multiplications; smaller ones use one thread anyway. The kinds of BLAS kernels and of processor remain conditions;
    a checkpoint records both, and ``train`` warns where it is resumed under others.

    Examples
    --------
    >>> with reproducible():
    ...     arithmetic()["blas_threads"]
    1
    """
    load_blas()
    return one_blas_thread()


def arithmetic() -> dict[str, Any]:
    """Return what a result's bits depend on here and now: how NumPy and the kernels multiply, and for what processor.

    Kernels multiply by the BLAS that SciPy brings; without the JIT it is NumPy's alone.
    """
    load_blas()
    pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        pools = [pool for pool in pools if "numpy" in pool["filepath"]] or pools
    kinds = {f"{p['internal_api']} {p.get('version') or ''} {p.get('architecture') or ''}".strip() for p in pools}
    compiled = "off" if numba.config.DISABLE_JIT else f"{numba.__version__} for {get_host_cpu_name()}"  # type: ignore[attr-defined]
    return {
        "blas": ", ".join(sorted(kinds)) or "none that is known",
        "blas_threads": max((pool["num_threads"] for pool in pools), default=1),
        "numpy": np.__version__,
        "numba": compiled,
    }


def load_blas() -> None:
    """Load the library that kernels multiply by, as Numba does: what is not loaded is neither limited nor listed."""
    if not numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        importlib.import_module("scipy.linalg.cython_blas")
