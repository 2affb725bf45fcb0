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
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any

from cellular.errors import EngineError, SettingsError
from cellular.jobs.engines import (
    GARBAGE_EVERY,
    HERE,
    Died,
    Outcome,
    Threads,
    outcome_in_worker,
    outcome_of,
    share_out,
)
from cellular.jobs.machine import cores, free_memory, libraries_take, limit_threads, peak_memory, threads_taken

if TYPE_CHECKING:
    from typing_extensions import Self

logger = logging.getLogger(__name__)

_READY = "ready"
# More threads than this wait for each other: a part of every item's work holds the interpreter's lock.
MOST_THREADS = 4
# Bytes for an item that any field does with: the largest window that is segmented in one piece takes 3 GB.
AMPLE = 4_000_000_000


class _Keeper:
    """Processes that are kept from one run to the next where it is used as a context."""

    _keeps = False

    def __enter__(self) -> Self:
        self._keeps = True
        return self

    def __exit__(self, *exception: object) -> None:
        self._keeps = False
        self._stop()

    def _stop(self) -> None:
        """Stop what is kept."""
        raise NotImplementedError


class Processes(_Keeper):
    """Worker processes of this machine. Used as a context, it keeps them from one run to the next.

    Parameters
    ----------
    workers : most processes at once.
    threads : of each; None shares the cores out.
    memory : bytes that they may take together. The first works alone until it is known what a field takes; None starts
        with as many as fit into the memory that is free if each took what this process has.
    """

    def __init__(self, workers: int, threads: int | None = None, memory: int | None = None) -> None:
        if workers < 1 or (threads is not None and threads < 1):
            raise SettingsError(f"workers and threads are 1 or more, got {workers} and {threads}")
        if memory is not None and (memory < 1 or peak_memory() is None):
            raise SettingsError(f"memory of {memory} bytes: must be above 0, and this system must tell what is used")
        self.workers, self.threads, self.memory = workers, threads, memory
        self._crew: _Processes | None = None

    def _stop(self) -> None:
        if self._crew is not None:
            self._crew.stop()
            self._crew = None

    def run(self, do: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[tuple[int, Outcome]]:
        """See :class:`cellular.jobs.engines.Engine`. Scripts call it below ``if __name__ == "__main__":``."""
        if not items:
            return
        work = pickle.dumps(do)
        if self._crew is None:
            self._crew = _Processes(self.threads or max(1, cores() // self.workers), self.memory)
        self._crew.begin(work, min(self.workers, len(items)))
        try:
            yield from share_out(items, self._crew)
        finally:
            if self._keeps:
                self._crew.end()
            else:
                self._stop()


class Best(_Keeper):
    """Here, until what the first items take says that processes of one core each are sooner done with the rest.

    A process pays, before its first item, what this one has paid before its own: reading libraries and models. Used as
    a context, it keeps its processes from one run to the next.

    Parameters
    ----------
    threads : whether several items are done at once here, each on one core: for work that mostly lets go of the
        interpreter's lock. Else one is done after the other, on all cores.
    """

    def __init__(self, threads: bool = False) -> None:
        self.threads = threads
        self.start: float | None = None
        self._processes: Processes | None = None

    def _stop(self) -> None:
        if self._processes is not None:
            self._processes.__exit__()
            self._processes = None

    def _by(self, count: int) -> Processes:
        """So many processes; those of an earlier run where they are as many."""
        if not self._keeps:
            return Processes(count)
        if self._processes is None or self._processes.workers != count:
            self._stop()
            self._processes = Processes(count).__enter__()
        return self._processes

    def run(self, do: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[tuple[int, Outcome]]:
        """See :class:`cellular.jobs.engines.Engine`."""
        self.start = start = time.process_time() if self.start is None else self.start
        return (self._by_threads if self.threads else self._one_by_one)(do, items, start)

    def _by_threads(
        self, do: Callable[[Any], Any], items: Sequence[Any], start: float
    ) -> Iterator[tuple[int, Outcome]]:
        with libraries_take(1):
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
        yield from _numbered_from(done, self._by(processes).run(do, items[done:]))

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
                yield from _numbered_from(number + 1, self._by(count).run(do, items[number + 1 :]))
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

    def __init__(self, threads: int):
        context = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
        self.pipe, theirs = context.Pipe()
        level = logging.getLogger().getEffectiveLevel()
        self.process = context.Process(target=_serve, args=(theirs, threads, level), daemon=True)
        self.began, self.ready = False, False  # ever; and for the work that it was told last
        self.number: int | None = None
        with threads_taken(threads):
            self.process.start()
        theirs.close()

    def learn(self, work: bytes) -> None:
        """Tell it what the work is, which it answers with :data:`_READY`."""
        self.ready = False
        self._send((None, work))

    def do(self, number: int, item: Any) -> None:
        """Have it do an item."""
        self.number = number
        self._send((number, item))

    def _send(self, message: Any) -> None:
        with suppress(BrokenPipeError):  # it died; that is seen when it is waited for
            self.pipe.send(message)

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

    def __init__(self, threads: int, memory: int | None):
        self.threads, self.bounded = threads, memory is not None
        self.memory = memory or free_memory()
        self.workers: list[_Worker] = []

    def begin(self, work: bytes, most: int) -> None:
        """A run of at most `most` workers; those of an earlier one are told what the work is now."""
        self.work, self.most = work, most
        own = peak_memory()
        # until the first has told what a field takes: alone, or by what this process has
        self.limit = 1 if self.bounded else min(most, max(1, self.memory // own) if self.memory and own else most)
        self._dismiss([worker for worker in self.workers if not worker.process.is_alive()])
        self._dismiss(self.workers[self.limit :])
        for worker in self.workers:
            worker.learn(work)

    def end(self) -> None:
        """Keep who has nothing to do; who is at an item of a run that was stopped is stopped too."""
        self._dismiss([worker for worker in self.workers if worker.number is not None])

    def _dismiss(self, workers: Sequence[_Worker]) -> None:
        for worker in workers:
            worker.stop()
            self.workers.remove(worker)

    def idle(self, waiting: int) -> list[_Worker]:
        free = [worker for worker in self.workers if worker.number is None]
        busy = len(self.workers) - len(free)
        self._dismiss(free[max(0, self.limit - busy) :])
        while len(self.workers) < min(self.limit, busy + waiting):
            self.workers.append(_Worker(self.threads))
            self.workers[-1].learn(self.work)
        return [worker for worker in self.workers if worker.ready and worker.number is None][:waiting]

    def give(self, worker: _Worker, number: int, item: Any) -> None:
        worker.do(number, item)

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
                worker.began = worker.ready = True
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
        if not worker.began:
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
        self._dismiss(list(self.workers))


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
    do: Any = None  # what it was told last
    with suppress(EOFError):
        while True:
            number, told = pipe.recv()
            if number is not None:
                outcome = outcome_in_worker(do, told)
                pipe.send(Outcome(outcome.value, outcome.problem, outcome.error, outcome.trace, peak_memory()))
                continue
            try:
                do = pickle.loads(told)
            except Exception as error:
                pipe.send(Outcome(error=RuntimeError(f"{type(error).__name__}: {error}")))
                return
            limit_threads(threads)
            pipe.send(_READY)
