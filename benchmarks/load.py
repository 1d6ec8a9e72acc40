"""Other work beside what is timed: processes that keep so many cores busy."""

import contextlib
import multiprocessing
from collections.abc import Iterator
from multiprocessing.synchronize import Semaphore


def _spin(started: Semaphore) -> None:
    started.release()
    while True:
        pass


@contextlib.contextmanager
def busy(n_processes: int) -> Iterator[None]:
    """Keep so many processes busy meanwhile, each on a core if it gets one; all of them are when it begins."""
    context = multiprocessing.get_context("spawn")
    started = context.Semaphore(0)
    processes = [context.Process(target=_spin, args=(started,), daemon=True) for _ in range(n_processes)]
    for process in processes:
        process.start()
    try:
        for _ in processes:
            if not started.acquire(timeout=60):
                raise RuntimeError("processes that should spin did not start within a minute.")
        yield
    finally:
        for process in processes:
            process.kill()
            process.join()
