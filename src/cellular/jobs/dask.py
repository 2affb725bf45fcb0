"""The workers of a Dask cluster: one that runs already, or jobs of a cluster's own scheduler.

Each worker is told once what the work is, and does one item at a time. Which item goes where is settled here and not
by Dask: only so is it known what a worker was at when it died, whatever cluster it belongs to.
"""

from __future__ import annotations

import logging
import os
import pickle
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cellular import __version__
from cellular.errors import EngineError, InputError, MissingInputError, SettingsError, import_extra
from cellular.jobs.engines import Died, Outcome, outcome_in_worker, share_out
from cellular.jobs.machine import limit_threads

logger = logging.getLogger(__name__)

KINDS = {
    "slurm": "SLURMCluster",
    "pbs": "PBSCluster",
    "lsf": "LSFCluster",
    "sge": "SGECluster",
    "htcondor": "HTCondorCluster",
}
LOCAL = "local"
# An outcome is a small record: fetching it takes no longer than this, s.
FETCH_S = 30.0
# How often the list of workers is read anew, s; and how often it is said that there is none.
LOOK_S, SAY_S = 1.0, 60.0


@dataclass(frozen=True)
class ClusterSettings:
    """What a file for ``--cluster`` says.

    Attributes
    ----------
    kind : slurm, pbs, lsf, sge or htcondor; local for processes of this machine.
    maximum, minimum : workers at once, and those that stay while there is nothing to do.
    options : of dask-jobqueue's class, such as queue, memory and walltime.
    """

    kind: str
    maximum: int
    minimum: int = 0
    options: dict[str, Any] = field(default_factory=dict)


def read_cluster(path: str | Path) -> ClusterSettings:
    """Read the file of ``--cluster``; SettingsError, naming file and key, for what is not known or does not fit."""
    yaml = import_extra("yaml", "dask")
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise MissingInputError(f"No such file: {path}") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path} is not a readable YAML file: {error}") from error
    if not isinstance(content, dict) or content.get("kind") not in (*KINDS, LOCAL):
        raise SettingsError(f"{path}: needs a line 'kind: K' with K one of {', '.join((*KINDS, LOCAL))}")
    numbers = {name: content.pop(name) for name in ("maximum", "minimum") if name in content}
    kind = content.pop("kind")
    if "maximum" not in numbers:
        raise SettingsError(f"{path}: needs a line 'maximum: N', the most workers at once")
    for name, value in numbers.items():
        if type(value) is not int or value < (name == "maximum"):
            raise SettingsError(f"{path}: {name} is a whole number, got {value!r}")
    if numbers["maximum"] < numbers.get("minimum", 0):
        raise SettingsError(f"{path}: minimum is above maximum")
    return ClusterSettings(kind, **numbers, options=content)


class Dask:
    """A Dask cluster as engine: give `address` of a scheduler, or `cluster` for one that is made and taken down here.

    Used as a context, it keeps its cluster from one run to the next. A scheduler is waited for for `patience_s`.
    """

    def __init__(self, address: str | None = None, cluster: ClusterSettings | None = None, patience_s: float = 30):
        if (address is None) == (cluster is None):
            raise SettingsError("a Dask engine takes an address or a cluster, one of the two")
        # read when distributed is imported; what the user has in a file of Dask's own goes before it
        import_extra("dask.config", "dask").update_defaults({"logging": {"distributed": "warning"}})
        import_extra("distributed", "dask")
        self.address, self.settings, self.patience_s = address, cluster, patience_s
        self._open, self._left = ExitStack(), 0
        self._client: Any = None

    def __enter__(self) -> Dask:
        return self

    def __exit__(self, *exception: object) -> None:
        self._open.close()
        self._client = None

    def run(self, do: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[tuple[int, Outcome]]:
        """See :class:`cellular.jobs.engines.Engine`."""
        if not items:
            return
        crew = _Workers(self._connected(), pickle.dumps(do))
        self._left = len(items)
        try:
            for number, outcome in share_out(items, crew):
                self._left -= 1
                yield number, outcome
        finally:
            self._left = 0
            crew.stop()

    def _connected(self) -> Any:
        if self._client is None:
            distributed = import_extra("distributed", "dask")
            where = self._open.enter_context(self._made(self.settings)) if self.settings else self.address
            try:
                self._client = self._open.enter_context(
                    distributed.Client(where, timeout=self.patience_s, set_as_default=False)
                )
            except (OSError, TimeoutError, ValueError) as error:
                raise EngineError(f"no Dask scheduler answers at {where}: {error}") from error
            logger.info("Dask dashboard: %s", self._client.dashboard_link)
        return self._client

    def _made(self, settings: ClusterSettings) -> Any:
        """The cluster that is asked for; it grows and shrinks with the items that are left."""
        kind, options = settings.kind, settings.options
        distributed = import_extra("distributed", "dask")
        if kind == LOCAL:
            make = distributed.LocalCluster
            options = {"n_workers": 0, "threads_per_worker": 1, "dashboard_address": None, **options}
        else:
            make = getattr(_jobqueue(), KINDS[kind])
        try:
            cluster = make(**options)
        except (TypeError, ValueError) as error:
            raise SettingsError(f"the cluster's file does not fit {make.__name__}: {error}") from error
        cluster.scale(max(1, settings.minimum))
        try:
            cluster.sync(_settled, cluster)  # a job that is refused is refused now
        except (RuntimeError, OSError) as error:
            cluster.close()
            raise EngineError(f"the cluster takes no worker: {' '.join(str(error).split())}") from error
        cluster.adapt(
            minimum=settings.minimum,
            maximum=settings.maximum,
            interval="1s",
            wait_count=5,
            Adaptive=_adaptive(distributed, lambda: self._left),
        )
        return cluster


def _jobqueue() -> Any:
    """dask-jobqueue, without what 0.9 does when it is imported: from then on Ctrl-C ends as if all were well."""
    before = signal.getsignal(signal.SIGINT)
    module = import_extra("dask_jobqueue", "dask")
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, before)
    return module


async def _settled(cluster: Any) -> None:
    """Wait until the cluster has asked for the workers that it should have, those too that were lost."""
    await cluster
    # A refusal goes to whoever asked first, which may be the cluster itself: who was not started is asked for again.
    for worker in list(cluster.workers.values()):
        if worker.status.name == "created":
            try:
                await worker
            except BaseException:
                worker.status = type(worker.status).failed  # else the cluster cannot be closed
                raise


def _adaptive(distributed: Any, left: Callable[[], int]) -> type:
    """Dask's way to grow and shrink, by what is left to do: tasks are handed out singly, so Dask sees only a few."""

    class ByItemsLeft(distributed.deploy.Adaptive):
        async def target(self) -> int:
            # one that died is still on the cluster's list, and is asked for again here
            await _settled(self.cluster)
            return left()

    return ByItemsLeft


class _Workers:
    """The crew; see :class:`cellular.jobs.engines.Crew`."""

    def __init__(self, client: Any, work: bytes):
        self.distributed = import_extra("distributed", "dask")
        self.client, self.work, self.key = client, work, uuid.uuid4().hex
        self.told: dict[str, Any] = {}  # by address of a worker: what it answers when it is told of the work
        self.ready: set[str] = set()
        self.at: dict[str, tuple[int, Any]] = {}  # by address: the number of an item and its future
        self.news = threading.Event()  # some future is done
        self.news.set()
        self.looked, self.said = 0.0, time.monotonic()

    def idle(self, waiting: int) -> list[str]:
        return sorted(self.ready - self.at.keys())[:waiting]

    def give(self, worker: str, number: int, item: Any) -> None:
        self.at[worker] = number, self._submit(worker, _do, self.key, item)

    def _submit(self, worker: str, function: Callable, *arguments: Any) -> Any:
        where = {"workers": [worker], "allow_other_workers": False, "pure": False}
        future = self.client.submit(function, *arguments, **where)
        future.add_done_callback(lambda _: self.news.set())
        return future

    def wait(self) -> list[tuple[int, Outcome | Died]]:
        self.news.wait(LOOK_S)
        self.news.clear()
        came = [(number, self._result(worker)) for worker, (number, future) in list(self.at.items()) if future.done()]
        if time.monotonic() - self.looked > LOOK_S:
            came += self._look()
        for worker, future in self.told.items():
            if worker not in self.ready and future.done():
                self._welcome(worker, future)
        return came

    def _result(self, worker: str) -> Outcome | Died:
        _, future = self.at.pop(worker)
        lost = (self.distributed.scheduler.KilledWorker, self.distributed.client.FutureCancelledError, TimeoutError)
        try:
            # a worker may die with the outcome in its hands; Dask would wait for it to come back
            result = future.result(timeout=FETCH_S)
        except lost:
            future.cancel()
            result = Died(f"at {worker} was lost")
        if isinstance(result, Died):  # gone, or another process at the same address
            self._forget(worker)
        return result

    def _forget(self, worker: str) -> None:
        self.told.pop(worker, None)
        self.ready.discard(worker)

    def _look(self) -> list[tuple[int, Died]]:
        """Tell new workers what the work is; what those were at that are gone."""
        self.looked, lost = time.monotonic(), []
        there = self.client.nthreads()
        for worker in self.told.keys() - there.keys():
            self._forget(worker)
        for worker in self.at.keys() - there.keys():
            number, future = self.at.pop(worker)
            future.cancel()
            lost.append((number, Died(f"at {worker} was lost")))
        for worker in there.keys() - self.told.keys():
            self.told[worker] = self._submit(
                worker, _learn, self.key, self.work, __version__, os.getcwd(), there[worker]
            )
        if not there and time.monotonic() - self.said > SAY_S:
            self.said = time.monotonic()
            logger.info("there is no worker yet; is the queue long?")
        return lost

    def _welcome(self, worker: str, future: Any) -> None:
        if future.status == "error":
            error = future.exception()
            if isinstance(error, self.distributed.scheduler.KilledWorker):
                self._forget(worker)
                return
            raise EngineError(f"The worker at {worker} cannot do this: {type(error).__name__}: {error}") from error
        if future.status == "finished":
            self.ready.add(worker)
        else:
            self._forget(worker)

    def stop(self) -> None:
        for _, future in self.at.values():
            future.cancel()
        for worker in self.ready & self.client.nthreads().keys():
            self.distributed.fire_and_forget(self._submit(worker, _unlearn, self.key))


# In a worker's process: the works it was told of, each with the folder that paths are relative to; one at a time.
_WORKS: dict[str, tuple[Callable[[Any], Any], str]] = {}
_ONE = threading.Lock()


def _learn(key: str, work: bytes, version: str, folder: str, threads: int) -> None:
    if version != __version__:
        raise EngineError(f"it has cellular {__version__}, not {version}")
    if not os.path.isdir(folder):
        raise EngineError(f"it does not see {folder}; workers need the same disk")
    with _ONE:
        limit_threads(threads)  # before libraries are imported, and after
        do = pickle.loads(work)
        limit_threads(threads)
        _WORKS[key] = do, folder


def _unlearn(key: str) -> None:
    _WORKS.pop(key, None)


def _do(key: str, item: Any) -> Outcome | Died:
    if key not in _WORKS:
        return Died("was started again")
    with _ONE:
        do, folder = _WORKS[key]
        before = os.getcwd()
        os.chdir(folder)
        try:
            return outcome_in_worker(do, item)
        finally:
            os.chdir(before)
