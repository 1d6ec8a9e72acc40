"""Work on examples in chunks: bounded memory, and every core busy."""

import contextvars
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
from threadpoolctl import OpenBLASController, threadpool_limits

from minivae.core import checks

_ROWS_AT_ONCE = 512  # decoder rows in one pass of an evaluation: bounded memory, and it stays in the cache


class _Limit:
    """A limit of the process, set by the first who wants it and lifted by the last, in whatever thread they are."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users = 0
        self.n_threads = 0  # as long as somebody wants it
        self.limits: Any = None

    @contextmanager
    def held(self, n_threads: int = 1) -> Iterator[None]:
        with self.lock:
            self.users += 1
            if self.users == 1:
                self.n_threads = n_threads
                self._take_control()
                self.limits = threadpool_limits(n_threads, user_api="blas")
        try:
            yield
        finally:
            with self.lock:
                self.users -= 1
                if not self.users:
                    self._take_control()
                    self.limits.__exit__(None, None, None)

    def _take_control(self) -> None:
        """Let this thread set the limit: threadpoolctl lets the first one that did, until told otherwise."""
        clear = getattr(OpenBLASController, "clear_controlling_thread", None)  # before 3.8 every thread may
        if clear is not None:
            clear(force=True)


one_blas_thread = _Limit().held
_share = _Limit()


def share_of_cores(n_cores: int) -> AbstractContextManager[None]:
    """Return a context in which BLAS and threads of our own keep so many cores busy: one of many processes at work.

    >>> with share_of_cores(1):
    ...     cores()
    1
    """
    return _share.held(checks.width(n_cores, "n_cores"))


def cores() -> int:
    """Return how many cores this process may keep busy: its share of them, or all."""
    return _share.n_threads if _share.users else os.cpu_count() or 1


def row_chunks(n_rows: int, draws: int) -> Iterator[slice]:
    """Yield nearly equal slices of the examples so that a pass with ``draws`` draws each stays small.

    >>> [len(range(*rows.indices(100))) for rows in row_chunks(100, draws=16)]
    [25, 25, 25, 25]
    """
    n_chunks = -(-n_rows // max(1, _ROWS_AT_ONCE // draws))
    ends = [i * n_rows // n_chunks for i in range(n_chunks + 1)]
    yield from map(slice, ends[:-1], ends[1:])


def for_each_chunk(
    work: Callable[[slice, np.random.Generator], Any], chunks: Iterable[slice], rng: np.random.Generator
) -> list[Any]:
    """Return work(rows, rng) of every chunk of rows, from as many threads as there are cores, each with a BLAS of one.

    Two chunks side by side keep two cores busy in the element-wise loops too, where a BLAS of two threads cannot.
    Each chunk has a generator of its own, so the result does not depend on the number of threads.
    """
    chunks = list(chunks)
    seeds = checks.generator(rng).integers(2**63, size=len(chunks)).tolist()
    rngs = [np.random.default_rng(seed) for seed in seeds]
    n_threads = min(len(chunks), cores())
    if n_threads == 1:
        return list(map(work, chunks, rngs))
    contexts = [contextvars.copy_context() for _ in chunks]  # np.errstate lives in the context
    with one_blas_thread(), ThreadPoolExecutor(n_threads) as pool:
        return list(pool.map(lambda context, *args: context.run(work, *args), contexts, chunks, rngs))
