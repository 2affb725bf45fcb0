"""Work on made-up items, for the engines' tests: what is sent to other processes must be importable there."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cellular.errors import InputError, OutputError


@dataclass(frozen=True)
class Thing:
    """An item: `what` says how it behaves."""

    name: str
    what: str = "well"


@dataclass(frozen=True)
class Doing:
    """Writes a table a thing; leaves a mark in `marks` for each begin."""

    marks: Path
    seconds: float = 0.0

    def do(self, item):
        number = len(list(self.marks.glob(f"{item.name}.*")))
        (self.marks / f"{item.name}.{number}.{os.getpid()}").touch()
        time.sleep(self.seconds)
        if item.what == "bad":
            raise InputError(f"{item.name} is bad")
        if item.what == "full":
            raise OutputError("no room") from OSError(28, "No space left on device")
        if item.what == "bug":
            raise KeyError(item.name)
        if item.what == "poison" or (item.what == "once" and number == 0):
            os.kill(os.getpid(), signal.SIGKILL)
        return {"rows": pd.DataFrame({"field": [item.name], "value": [len(item.name) / 3]})}

    def inputs(self, item):
        return ()


def threads_of(item):
    """What a worker's libraries may take: they read it when they are imported."""
    return os.environ["OMP_NUM_THREADS"], os.environ["NUMBA_NUM_THREADS"]


def hold(item):
    """Hold 200 MB for a moment; how many workers do at that time, by files in the item's folder.

    Where a file ``wait`` is in it, all but the first item wait for another worker, however slowly it starts.
    """
    folder = Path(item.what)
    mark, wait = folder / f"{item.name}.{os.getpid()}", folder / "wait"
    mark.touch()
    block = bytearray(b"x") * 200_000_000
    end = time.monotonic() + (0.3 if item.name == "a" or not wait.exists() else 60)
    while (others := len(list(folder.glob("*.*")))) < 2 and time.monotonic() < end:
        time.sleep(0.02)
    if others > 1:
        wait.unlink(missing_ok=True)
    mark.unlink()
    return others, len(block)
