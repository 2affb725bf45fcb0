"""Where the work on fields is done: here, by processes of this machine, or by the workers of a Dask cluster.

An engine takes a function and items and gives back an outcome for each, in any order. What the function does must not
depend on where it runs: it travels once to each worker, pickled; then only items and small outcomes do. This file
imports nothing heavy, so that a worker can settle its number of threads before any library is there to read it.
"""

from __future__ import annotations

import errno
import logging
import pickle
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from cellular.errors import CellularError, OutputError

if TYPE_CHECKING:
    from typing_extensions import Self

logger = logging.getLogger(__name__)

# A field is given up once as many workers have died while they were at it: one may be chance, two hardly.
DEATHS = 2
# Set for a command that another process may interrupt: see cellular.jobs.queue.
INTERRUPTIBLE = "CELLULAR_INTERRUPTIBLE"
# Objects made between two looks for garbage, in the command and in workers: at Python's own 700, a fifth of the time
# of reading libraries, and of drawing figures, goes into looking.
GARBAGE_EVERY = 10_000


@dataclass(frozen=True)
class Outcome:
    """What came of one item: its value, or why it was passed over, or what must stop the run.

    Attributes
    ----------
    value : what the work returned.
    problem : why the item was passed over; None where it was not.
    error, trace : what was raised in a worker that the next item would meet too, and where.
    peak : most memory that the worker has held so far, bytes; None where that is not known.
    """

    value: Any = None
    problem: str | None = None
    error: Exception | None = None
    trace: str = ""
    peak: int | None = None


@dataclass(frozen=True)
class Died:
    """In place of an outcome: the worker died, and how."""

    how: str


class Engine(Protocol):
    """A place to work; a context, for what it may hold open from one run to the next."""

    def __enter__(self) -> Any: ...

    def __exit__(self, *exception: object) -> None: ...

    def run(self, do: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[tuple[int, Outcome]]:
        """Number and outcome of each of `items`, as they come; an error that is no problem of the item is raised."""


class Crew(Protocol):
    """Workers, each of whom does one item at a time."""

    def idle(self, waiting: int) -> Sequence[Any]:
        """The workers that can be given something now, at most `waiting`."""

    def give(self, worker: Any, number: int, item: Any) -> None:
        """Have `worker` do an item."""

    def wait(self) -> Sequence[tuple[int, Outcome | Died]]:
        """Wait for something to happen; what came of the items that are no longer being done."""


class Place:
    """An engine that holds nothing open between runs, to be used like one that does: as a context."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """Let go of what is held open."""


@dataclass(frozen=True)
class Here(Place):
    """The process that asks, one item after the other."""

    def run(self, do: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[tuple[int, Outcome]]:
        """See :class:`Engine`."""
        for number, item in enumerate(items):
            yield number, outcome_of(do, item)


HERE = Here()


@dataclass(frozen=True)
class Threads(Place):
    """Threads of this process, each at most two items ahead: for work that mostly lets go of the interpreter's lock."""

    count: int

    def run(self, do: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[tuple[int, Outcome]]:
        """See :class:`Engine`."""
        if self.count == 1:
            yield from HERE.run(do, items)
            return
        ahead: deque[tuple[int, Future]] = deque()
        pool = ThreadPoolExecutor(self.count)
        try:
            for number, item in enumerate(items):
                ahead.append((number, pool.submit(outcome_of, do, item)))
                if len(ahead) >= 2 * self.count:
                    first, future = ahead.popleft()
                    yield first, future.result()
            yield from ((first, future.result()) for first, future in ahead)
        finally:  # the run is stopped: what has begun comes to its end, what has not does not begin
            pool.shutdown(cancel_futures=True)


def outcome_of(do: Callable[[Any], Any], item: Any) -> Outcome:
    """Do the item; a :class:`CellularError` is its problem, unless the disk cannot be written to."""
    try:
        return Outcome(do(item))
    except CellularError as error:
        if is_of_the_disk(error):
            raise
        logger.debug("%s passed over", item.name, exc_info=True)
        return Outcome(problem=str(error))


def outcome_in_worker(do: Callable[[Any], Any], item: Any) -> Outcome:
    """The same where errors have to travel: with where they were raised, and as text if they cannot be pickled."""
    try:
        return outcome_of(do, item)
    except Exception as error:
        trace = traceback.format_exc()
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:  # whatever a library's own exceptions do when pickled
            error = RuntimeError(f"{type(error).__name__}: {error}")
        return Outcome(error=error, trace=trace)


def is_of_the_disk(error: CellularError) -> bool:
    """Whether the next item would meet it too: a full or read-only disk, but not a name that is too long."""
    return isinstance(error, OutputError) and getattr(error.__cause__, "errno", None) != errno.ENAMETOOLONG


def share_out(items: Sequence[Any], crew: Crew) -> Iterator[tuple[int, Outcome]]:
    """Give each idle worker of `crew` the next item until all are done; see :meth:`Engine.run`.

    What a worker died of is done again at the end, by another; :data:`DEATHS` times, then it is a problem.
    """
    waiting, under_way = deque(range(len(items))), 0
    deaths: Counter[int] = Counter()
    while waiting or under_way:
        for worker in crew.idle(len(waiting)):
            number = waiting.popleft()
            crew.give(worker, number, items[number])
            under_way += 1
        for number, outcome in crew.wait():
            under_way -= 1
            if isinstance(outcome, Died):
                deaths[number] += 1
                logger.warning("a worker %s while it was at %s", outcome.how, items[number].name)
                if deaths[number] < DEATHS:
                    waiting.append(number)
                    continue
                problem = f"{DEATHS} workers died while they were at it; the last {outcome.how}"
                outcome = Outcome(problem=f"{problem}. Give workers more memory, or look at the field's files")
            if outcome.error is not None:
                raise outcome.error from RuntimeError(f"in a worker, at {items[number].name}:\n{outcome.trace}")
            yield number, outcome
