"""Progress with time left, on stderr, for anything that takes more than a blink."""

import sys
from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def progress(
    items: Iterable[T] | None = None, *, total: int | None = None, desc: str = "", unit: str = "it", show: bool = True
) -> tqdm:
    """A tqdm bar on stderr: refreshed often on a terminal, a line every few seconds in a log file."""
    interactive = sys.stderr.isatty()
    return tqdm(
        items,
        total=total,
        desc=desc,
        unit=unit,
        file=sys.stderr,
        mininterval=0.2 if interactive else 5.0,
        dynamic_ncols=interactive,
        leave=True,
        disable=not show,
    )


def byte_progress(total: int | None, desc: str, show: bool = True, start: int = 0) -> tqdm:
    """A bar of bytes, with bytes/s and time left; `start` bytes are there already and do not count as speed."""
    interactive = sys.stderr.isatty()
    return tqdm(
        total=total,
        desc=desc,
        unit="B",
        unit_scale=True,
        initial=start,
        file=sys.stderr,
        mininterval=0.2 if interactive else 5.0,
        dynamic_ncols=interactive,
        disable=not show,
    )
