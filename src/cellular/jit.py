"""Compiled functions, kept on disk from run to run where there is a place to keep them."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numba


def njit(function: Callable | None = None, **options: Any) -> Callable:
    """`numba.njit` without Python's lock, cached; with `options` a decorator that has them.

    A package on a read-only disk used from an account without a home has no place for a cache, which numba takes for
    an error: there the function is compiled in every run.
    """
    if function is None:
        return partial(njit, **options)
    try:
        return numba.njit(nogil=True, cache=True, **options)(function)
    except RuntimeError as error:
        if "cannot cache" not in str(error):
            raise
        return numba.njit(nogil=True, **options)(function)
