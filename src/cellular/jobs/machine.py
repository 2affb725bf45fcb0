"""What this machine has for those who work on it: cores, threads of libraries, memory; and who they are."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# By these, libraries settle how many threads they take when they are first imported.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


@contextmanager
def threads_taken(count: int) -> Iterator[None]:
    """The environment of a process to be started, in which libraries take `count` threads."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, str(count)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def libraries_take(count: int) -> Iterator[None]:
    """Inside, libraries take `count` threads in this process; then as many as before."""
    before = int((os.environ.get(THREADS[0]) or str(cores())).split(",")[0])  # OpenMP takes a list, for nested work
    with threads_taken(count):
        limit_threads(count)
        try:
            yield
        finally:
            limit_threads(before)


def limit_threads(count: int) -> None:
    """Have libraries take `count` threads: those to be imported yet, and those that are."""
    os.environ.update(dict.fromkeys(THREADS, str(count)))
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(count)
    if "numba" in sys.modules:
        sys.modules["numba"].config.NUMBA_NUM_THREADS = count
    if "cv2" in sys.modules:
        sys.modules["cv2"].setNumThreads(count)


def cores() -> int:
    """Cores that this process may use: fewer than the machine has in a job of a cluster."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def peak_memory() -> int | None:
    """Most memory that this process has held, bytes; None where the system does not tell."""
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage of Linux would count what the parent held when it started this process
        lines = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
        if lines:
            return int(lines[0].split()[1]) * 1024
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def free_memory() -> int | None:
    """Memory, bytes, that can be had without swapping, in a container or job no more than its own; None if unknown."""
    found = []
    with suppress(OSError, IndexError, ValueError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        found.append(next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")))
    for path in _cgroup_limits():
        with suppress(OSError, ValueError):  # "max" is no number, and no limit
            found.append(int(path.read_text()))
    return min(found, default=None)


def _cgroup_limits() -> Iterator[Path]:
    """Files that may hold a limit on this process: of its own control group, and of those that this lies in."""
    own = "/"
    with suppress(OSError):
        own = next(
            (line[3:] for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::")), "/"
        )
    group = Path("/sys/fs/cgroup") / own.lstrip("/")
    for folder in (group, *group.parents):
        if folder.is_relative_to("/sys/fs/cgroup"):
            yield folder / "memory.max"
    yield Path("/sys/fs/cgroup/memory/memory.limit_in_bytes")


def user() -> str:
    """The user's name; the number of one without a name, as whoever runs a container may be."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # OSError from Python 3.13 on
        return f"user {os.getuid()}"
