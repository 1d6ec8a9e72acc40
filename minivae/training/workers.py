"""Who does the trials of a sweep: this process, processes beside it, or an executor, of Dask's say.

All three give the same: pairs of a run and its row, in the order in which they come to their end.
"""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    as_completed,
    wait,
)
from contextlib import contextmanager
from typing import Any

from minivae.core.errors import FileError
from minivae.training.arithmetic import load_blas
from minivae.training.runs import Run
from minivae.training.trials import Row, failed, run_trial

SECONDS = 10  # within which a scheduler should answer
_TRIES = 3  # of a trial whose worker dies
_DIED = f"its worker died {_TRIES} times, killed or out of memory"

_stop: Any = None  # the event that tells the trials of a worker process to leave off


def here(runs: Sequence[Run], n_cores: int) -> Iterator[tuple[Run, Row]]:
    """Do one trial after the other in this process."""
    for run in runs:
        row = run_trial(run, n_cores)
        yield run, row
        if row["status"] == "interrupted":
            raise KeyboardInterrupt


def on_executor(runs: Sequence[Run], n_cores: int, executor: Executor) -> Iterator[tuple[Run, Row]]:
    """Hand all trials to an executor, whose own affair it is to do again what a lost worker had."""
    futures = {executor.submit(run_trial, run, n_cores): run for run in runs}
    try:
        for future in as_completed(futures):
            yield futures[future], _row(future)
    finally:
        for future in futures:
            future.cancel()


def _row(future: Future[Row]) -> Row:
    error = future.exception()
    return future.result() if error is None else failed(f"its worker was lost ({type(error).__name__})")


def on_processes(runs: Sequence[Run], n_cores: int, n_workers: int) -> Iterator[tuple[Run, Row]]:
    """Do the trials in so many processes beside this one, each a new interpreter.

    When one dies the others of its pool go, too, and a new pool goes on. Whoever was at work then may be the cause: it
    is done again by itself, from its checkpoint, once all others are done.
    """
    waiting, suspects, tries = deque(runs), deque[Run](), dict.fromkeys((run.folder for run in runs), 0)
    while waiting or suspects:
        with _pool(n_workers) as pool:
            running: dict[Future[Row], Run] = {}
            lost: list[Run] = []
            while (waiting or suspects or running) and not lost:
                while waiting and len(running) < n_workers:
                    running[pool.submit(run_trial_here, waiting[0], n_cores)] = waiting[0]
                    waiting.popleft()
                if suspects and not running:
                    running[pool.submit(run_trial_here, suspects[0], n_cores)] = suspects[0]
                    suspects.popleft()
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    run = running.pop(future)
                    if isinstance(future.exception(), BrokenExecutor):
                        lost.append(run)
                    else:
                        yield run, _row(future)
            for run in lost + list(running.values()) if lost else []:
                tries[run.folder] += 1
                if tries[run.folder] < _TRIES:
                    suspects.append(run)
                else:
                    yield run, failed(_DIED)


@contextmanager
def _pool(n_workers: int) -> Iterator[ProcessPoolExecutor]:
    """Return worker processes; at the end they leave off after the epoch that they are at."""
    context = multiprocessing.get_context("spawn")  # a fork would copy locks that threads of BLAS hold
    stop = context.Event()
    pool = ProcessPoolExecutor(n_workers, context, _begin, (stop,))
    try:
        yield pool
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


def _begin(stop: Any) -> None:
    """Prepare a worker process: Ctrl-C is for the one that started it, and it does not outlive that one."""
    global _stop
    _stop = stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    load_blas()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def run_trial_here(run: Run, n_cores: int) -> Row:
    """Do a trial in a worker process, which is told when to leave off."""
    return run_trial(run, n_cores, None if _stop is None else _stop.is_set)


@contextmanager
def dask_executor(address: str, n_workers: int) -> Iterator[Executor]:
    """Return an executor on the workers of a Dask scheduler; "local" starts both, with so many worker processes."""
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise FileError(
            f'scheduler must have Dask to speak to, got {address!r} without it. Run pip install "minivae[sweep]".'
        ) from error
    if address == "local":
        how = {"n_workers": n_workers, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
        with LocalCluster(**how) as cluster, Client(cluster) as client:
            yield client.get_executor()
        return
    try:
        client = Client(address, timeout=SECONDS)
    except (OSError, TimeoutError, ValueError) as error:
        raise FileError(
            f"scheduler must be the address of a Dask scheduler that answers, got {address!r}, which does not. Start "
            f"one with `dask scheduler`, or use 'local'."
        ) from error
    with client:
        yield client.get_executor()
