"""What the bits of a result depend on beside data, settings and seed: BLAS and its threads, processor, versions."""

import contextlib
import importlib
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numba
import numpy as np
from llvmlite.binding import get_host_cpu_name
from threadpoolctl import threadpool_info

from minivae.core import checks
from minivae.core.parallel import one_blas_thread

_LOOKS, _BETWEEN = 10, 0.003  # seconds: what runs for less than 30 ms is no work
_ONE_THREAD = 4_000_000  # multiplications in the largest product of a step below which one BLAS thread is best


def blas_threads(model: Any, n_rows: int) -> AbstractContextManager[None]:
    """Return a context in which the products of a step take one BLAS thread, where that is best."""
    return threads_of(one_thread_is_best(model, n_rows))


def threads_of(one: bool) -> AbstractContextManager[None]:
    """Return a context in which BLAS has one thread, or as many as it has outside."""
    return one_blas_thread() if one else contextlib.nullcontext()


def one_thread_is_best(model: Any, n_rows: int) -> bool:
    """Say whether one BLAS thread is best for a step: products are small, or other processes are at work.

    Two gain nothing on small products. On large ones they do, but wait for each other by spinning: where another
    process takes one of the cores, a step on two threads takes two to four times as long as on one.
    """
    checks.has(model, ("encoder", "decoder"), "model", "a model", "VAE.mlp(n_x=4, n_latent=2)")
    checks.width(n_rows, "n_rows")
    layers = [*model.encoder.layers, *model.decoder.layers]
    products = [layer.n_in * layer.n_out for layer in layers if layer.n_in and layer.n_out]
    small = n_rows * max(products) < _ONE_THREAD or any(getattr(layer, "small_products", False) for layer in layers)
    return small or others_at_work()


def others_at_work() -> bool:
    """Say whether another process keeps a core busy: whether, at each of some looks, more runs than this process."""
    for look in range(_LOOKS):
        if look:
            time.sleep(_BETWEEN)
        running, own = _running()
        if running <= own:
            return False
    return True


def _running() -> tuple[int, int]:
    """Return how many tasks are running, and how many of them are this process's own; zeros where nobody says.

    Own ones are not only the one that looks: BLAS threads spin for a while after a product.
    """
    try:
        running = Path("/proc/loadavg").read_text().split()[3].split("/")[0]
        own = [task.read_text().rpartition(")")[2].split()[0] for task in Path("/proc/self/task").glob("*/stat")]
    except (OSError, IndexError):
        return 0, 0
    return int(running), own.count("R")


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
