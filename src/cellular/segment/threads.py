"""Work shared out among threads: the kernels release the GIL, so Python's own threads do."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numba
import numpy as np

CHUNKS_PER_THREAD = 8


def over_threads(work: Callable[..., Any], items: np.ndarray, *arguments: Any) -> None:
    """Call ``work(part, *arguments)`` on parts of `items`, in as many threads as numba may use.

    Parts interleave, so that items sorted largest first end together. `work` writes disjoint places of `arguments`.
    """
    threads = numba.config.NUMBA_NUM_THREADS
    parts = min(CHUNKS_PER_THREAD * threads, len(items))
    if threads == 1 or parts <= 1:
        work(items, *arguments)
        return
    left = iter(range(parts))

    def take_parts() -> None:
        for first in left:
            work(items[first::parts].copy(), *arguments)

    # The caller takes parts, too: where the others are kept waiting by busy cores, it goes on.
    others = [_pool().submit(take_parts) for _ in range(min(threads, parts) - 1)]
    take_parts()
    for other in others:
        if not other.cancel():  # what waits behind the work of another call has nothing left to do here
            other.result()


@cache
def _pool() -> ThreadPoolExecutor:
    """Threads kept from one call to the next; as many of them are made as are ever asked for at once."""
    return ThreadPoolExecutor(max(1, (os.cpu_count() or 1) - 1), "over_threads")


# A forked process has none of its parent's threads.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)
