"""Work over cells, shared out among threads: the kernels release the GIL, so Python's own threads do."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda first: work(items[first::parts].copy(), *arguments), range(parts)))
