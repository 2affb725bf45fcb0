"""Processes of this machine, each with its share of the threads."""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from cellular.errors import EngineError, SettingsError
from cellular.jobs.engines import (
    GARBAGE_EVERY,
    HERE,
    Died,
    Outcome,
    Place,
    Threads,
    outcome_in_worker,
    outcome_of,
    share_out,
)

logger = logging.getLogger(__name__)

# By these, libraries settle how many threads they take when they are first imported.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
_READY = "ready"
# More threads than this wait for each other: a part of every item's work holds the interpreter's lock.
MOST_THREADS = 4
# Bytes for an item that any field does with: the largest window that is segmented in one piece takes 3 GB.
AMPLE = 4_000_000_000


@dataclass(frozen=True)
class Processes(Place):
    """Worker processes of this machine.

    Attributes
    ----------
    workers : most processes at once.
    threads : of each; None shares the cores out.
    memory : bytes that they may take together. The first works alone until it is known what a field takes; None starts
        with as many as fit into the memory that is free if each took what this process has.
    """

    workers: int
    threads: int | None = None
    memory: int | None = None

    def __post_init__(self) -> None:
        if self.workers < 1 or (self.threads is not None and self.threads < 1):
            raise SettingsError(f"workers and threads are 1 or more, got {self.workers} and {self.threads}")
        if self.memory is not None and (self.memory < 1 or peak_memory() is None):
            raise SettingsError(
                f"memory of {self.memory} bytes: must be above 0, and this system must tell what is used"
            )

    def run(self, do: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[tuple[int, Outcome]]:
        """See :class:`cellular.jobs.engines.Engine`. Scripts call it below ``if __name__ == "__main__":``."""
        if not items:
            return
        threads = self.threads or max(1, cores() // self.workers)
        crew = _Processes(pickle.dumps(do), min(self.workers, len(items)), threads, self.memory)
        try:
            yield from share_out(items, crew)
        finally:
            crew.stop()


class Best(Place):
    """Here, until what the first items take says that processes of one core each are sooner done with the rest.

    A process pays, before its first item, what this one has paid before its own: reading libraries and models.

    Parameters
    ----------
    threads : whether several items are done at once here, each on one core: for work that mostly lets go of the
        interpreter's lock. Else one is done after the other, on all cores.
    """

    def __init__(self, threads: bool = False) -> None:
        self.threads = threads
        self.start: float | None = None

    def run(self, do: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[tuple[int, Outcome]]:
        """See :class:`cellular.jobs.engines.Engine`."""
        self.start = start = time.process_time() if self.start is None else self.start
        return (self._by_threads if self.threads else self._one_by_one)(do, items, start)

    def _by_threads(
        self, do: Callable[[Any], Any], items: Sequence[Any], start: float
    ) -> Iterator[tuple[int, Outcome]]:
        with _threads_of_libraries(1):
            count, done = min(cores(), MOST_THREADS), 0
            if (free_memory() or 0) < count * AMPLE:
                # alone, the first shows what an item takes
                before = peak_memory() or 0
                yield from HERE.run(do, items[:1])
                count, done = _fitting(count, (peak_memory() or 0) - before), 1
            first = items[done : done + 2 * count]
            began = time.process_time()
            yield from _numbered_from(done, Threads(count).run(do, first))
            every = (time.process_time() - began) / max(1, len(first))
            done += len(first)
            left = len(items) - done
            processes = faster_by(left, every / count, every, start)
            if processes == 1:
                yield from _numbered_from(done, Threads(count).run(do, items[done:]))
                return
        logger.info("%d processes do the rest, %.1f s of an item each; --workers 1 keeps to one", processes, every)
        yield from _numbered_from(done, Processes(processes).run(do, items[done:]))

    def _one_by_one(
        self, do: Callable[[Any], Any], items: Sequence[Any], start: float
    ) -> Iterator[tuple[int, Outcome]]:
        # What all threads take together an item would take alone on a core; what the thread that waits for them takes
        # is how long it lasts here, whatever else this machine is doing.
        for number, item in enumerate(items):
            own, every = time.thread_time(), time.process_time()
            outcome = outcome_of(do, item)
            own, every = time.thread_time() - own, time.process_time() - every
            yield number, outcome
            left = len(items) - number - 1
            # the first item pays for what is compiled or read at its first use
            if number and (count := faster_by(left, own, every, start)) > 1:
                told = "%d processes do the rest: %.1f of %.1f s of an item are one thread's; --workers 1 keeps to one"
                logger.info(told, count, own, every)
                yield from _numbered_from(number + 1, Processes(count).run(do, items[number + 1 :]))
                return


def _numbered_from(first: int, came: Iterator[tuple[int, Outcome]]) -> Iterator[tuple[int, Outcome]]:
    return ((first + number, outcome) for number, outcome in came)


def _fitting(count: int, memory: int) -> int:
    """How many items of so many bytes each there is room for; at least one, at most `count`."""
    free = free_memory()
    return max(1, min(count, free // memory)) if free is not None and memory > 0 else count


def here() -> Threads:
    """Where files that need little memory are unpacked and packed: threads of this process, one a core, at most 8."""
    return Threads(min(cores(), 8))


def faster_by(left: int, own: float, every: float, start: float, most: int | None = None) -> int:
    """How many processes do `left` items sooner than this one would; 1 where none do.

    Parameters
    ----------
    own, every : processor time, s, of an item's first thread, and of all its threads.
    start : s of a processor until a new process can begin.
    most : cores; None counts them.

    Examples
    --------
    >>> faster_by(100, own=5.0, every=5.0, start=8.0, most=2)  # one core of two is busy
    2
    >>> faster_by(100, own=2.55, every=5.0, start=8.0, most=2)  # both are
    1
    """
    most = most or cores()
    count = min(most, left)
    return count if count > 1 and start + left * every / count < left * max(own, every / most) else 1


class _Worker:
    """One process, the pipe to it, and the number of what it is at."""

    def __init__(self, work: bytes, threads: int):
        context = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
        self.pipe, theirs = context.Pipe()
        level = logging.getLogger().getEffectiveLevel()
        self.process = context.Process(target=_serve, args=(theirs, threads, level), daemon=True)
        self.ready = False
        self.number: int | None = None
        with _threads(threads):
            self.process.start()
        theirs.close()
        with suppress(BrokenPipeError):  # it died; that is seen when it is waited for
            self.pipe.send_bytes(work)

    def stop(self) -> None:
        self.process.terminate()
        self.process.join()
        self.pipe.close()

    def how_it_died(self) -> str:
        self.process.join()
        code = self.process.exitcode or 0
        if code == -9:
            return "was killed (signal 9; the memory may have been full)"
        return f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"


class _Processes:
    """The crew; see :class:`cellular.jobs.engines.Crew`."""

    def __init__(self, work: bytes, most: int, threads: int, memory: int | None):
        self.work, self.threads = work, threads
        self.memory, self.most = memory or free_memory(), most
        own = peak_memory()
        # until the first has told what a field takes: alone, or by what this process has
        self.limit = 1 if memory else min(most, max(1, self.memory // own) if self.memory and own else most)
        self.workers: list[_Worker] = []

    def idle(self, waiting: int) -> list[_Worker]:
        busy = [worker for worker in self.workers if worker.number is not None]
        wanted = min(self.limit, len(busy) + waiting)
        for worker in [worker for worker in self.workers if worker.number is None][max(0, wanted - len(busy)) :]:
            worker.stop()
            self.workers.remove(worker)
        while len(self.workers) < wanted:
            self.workers.append(_Worker(self.work, self.threads))
        return [worker for worker in self.workers if worker.ready and worker.number is None][:waiting]

    def give(self, worker: _Worker, number: int, item: Any) -> None:
        worker.number = number
        with suppress(BrokenPipeError):  # it died; that is seen when it is waited for
            worker.pipe.send((number, item))

    def wait(self) -> list[tuple[int, Outcome | Died]]:
        came: list[tuple[int, Outcome | Died]] = []
        by_pipe: dict[object, _Worker] = {worker.pipe: worker for worker in self.workers}
        for pipe in wait([worker.pipe for worker in self.workers]):
            worker = by_pipe[pipe]
            try:
                message = worker.pipe.recv()
            except (EOFError, ConnectionResetError):
                came += self._buried(worker)
                continue
            if message == _READY:
                worker.ready = True
                continue
            if worker.number is None:  # it was given nothing yet
                raise EngineError(f"A worker process cannot start: {message.error}") from message.error
            came.append((worker.number, message))
            worker.number = None
            self._reckon(message.peak)
        return came

    def _buried(self, worker: _Worker) -> list[tuple[int, Died]]:
        """Take a dead worker off the list; what it died of."""
        how = worker.how_it_died()
        self.workers.remove(worker)
        if not worker.ready:
            raise EngineError(
                f"A worker process {how} before it could begin; in a script, call this below "
                "if __name__ == '__main__':, or leave the engine out"
            )
        if worker.process.exitcode == -9:
            self.most = max(1, self.most - 1)
            self.limit = min(self.limit, self.most)
        return [] if worker.number is None else [(worker.number, Died(how))]

    def _reckon(self, peak: int | None) -> None:
        """As many workers as fit, each with the most that any has taken."""
        if not (self.memory and peak):
            return
        fits = self.memory // peak
        if not fits and self.limit > 1:
            logger.warning("a worker takes %.1f GB, more than there is; one works at a time", peak / 1e9)
        self.limit = max(1, min(self.most, fits))

    def stop(self) -> None:
        for worker in self.workers:
            worker.stop()


def _serve(pipe: Connection, threads: int, level: int) -> None:
    """What a worker process does until its parent closes the pipe, or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; the parent decides
    if (parent := multiprocessing.parent_process()) is not None:
        gone = [parent.sentinel]
        threading.Thread(target=lambda: (wait(gone), os._exit(1)), daemon=True).start()
    logging.basicConfig(level=level, format="%(levelname)s %(message)s", stream=sys.stderr)
    for noisy in ("matplotlib", "numba", "PIL", "fontTools"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    gc.set_threshold(GARBAGE_EVERY)
    with suppress(EOFError):
        try:
            do = pickle.loads(pipe.recv_bytes())
        except Exception as error:
            pipe.send(Outcome(error=RuntimeError(f"{type(error).__name__}: {error}")))
            return
        limit_threads(threads)
        pipe.send(_READY)
        while True:
            _, item = pipe.recv()
            outcome = outcome_in_worker(do, item)
            pipe.send(Outcome(outcome.value, outcome.problem, outcome.error, outcome.trace, peak_memory()))


@contextmanager
def _threads(count: int) -> Iterator[None]:
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
def _threads_of_libraries(count: int) -> Iterator[None]:
    """Inside, libraries take `count` threads in this process; then as many as before."""
    before = int((os.environ.get(THREADS[0]) or str(cores())).split(",")[0])  # OpenMP takes a list, for nested work
    with _threads(count):
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
