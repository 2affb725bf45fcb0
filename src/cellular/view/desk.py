"""What all open pages share: the run, the fields looked at last, the corrections under way, and the queue of jobs."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np

from cellular.data.image import load_labels
from cellular.data.plate import FieldFiles
from cellular.data.window import FieldWindows, RecentFields, stamp
from cellular.errors import CellularError, InputError
from cellular.jobs.corrections import FieldCorrections
from cellular.jobs.queue import Job, Queue
from cellular.jobs.view import Run, open_run

# Fields whose label images are kept in memory.
MOST_FIELDS = 8
# A stroke on a larger label image would take seconds, and gigabytes.
MOST_LABELS_PX = 1 << 26


class Desk:
    """Everything behind the pages of one server; used as a context, in which the queue is worked on."""

    def __init__(self, run: Run, queue: Queue, who: str | None = None) -> None:
        self.run, self.queue, self.who, self.home = run, queue, who, run.folder
        self._recent = RecentFields()
        self._corrections: OrderedDict[str, tuple[FieldCorrections, object]] = OrderedDict()
        self._written, self._trouble = run.written(), ""
        self._started = False
        self._start: Callable[[], None] = self._start_queue
        self._lock = threading.RLock()

    def __enter__(self) -> "Desk":
        if self.queue.jobs():
            self._start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._started:
            self.queue.close()

    def beside(self, run: Run) -> "Desk":
        """A desk for another run, with this one's queue and place for what is handed in."""
        other = Desk(run, self.queue, self.who)
        other.home, other._start = self.home, self._start
        return other

    def _start_queue(self) -> None:
        if not self._started:
            self.queue.start()
            self._started = True

    def add_job(self, title: str, words: Sequence[str]) -> Job:
        """Put a command of `cellular` into the queue."""
        with self._lock:
            self._start()
        return self.queue.add(title, words)

    def windows(self, item: FieldFiles) -> FieldWindows:
        """The field's pixels."""
        return self._recent.of(item)

    def correcting(self, item: FieldFiles) -> FieldCorrections:
        """The field under correction, one object for all pages; on a field without label image cells can be drawn.

        It is read from the disk again where somebody else has corrected it, or written its label image, since.
        """
        rows, columns = self.windows(item).shape
        if rows * columns > MOST_LABELS_PX:
            raise InputError(f"{item.name}: {columns} x {rows} px are looked at here, and not outlined or corrected")
        with self._lock:
            found, of = self._corrections.pop(item.name, (None, None))
            now = (item.labels, item.labels and stamp(item.labels))
            if found is None or of != now or not found.is_current():
                windows = self.windows(item)
                original = load_labels(item, windows.shape) if item.labels else np.zeros(windows.shape, np.uint16)
                found = FieldCorrections(self.run.corrections, item.name, original, self.who, windows.pixel_size_um)
            self._corrections[item.name] = found, now
            while len(self._corrections) > MOST_FIELDS:
                self._corrections.popitem(last=False)
            return found

    def labels(self, item: FieldFiles) -> np.ndarray | None:
        """The field's label image as corrected; None for a field that nobody has segmented or corrected.

        Raises InputError for one that is too large to be held.
        """
        found = self.correcting(item)
        return found.labels if item.labels is not None or found.can_undo else None

    def renew(self) -> str:
        """Open the run anew where a command has written it since; what hinders that, empty where nothing does.

        While one is writing, some tables are older than others: the run stays as it was until the next look.
        """
        with self._lock:
            if (now := self.run.written()) != self._written:
                self._written, self._trouble = now, ""
                try:
                    self.run = open_run(self.run.folder, self.run.images)
                except CellularError as error:
                    self._trouble = f"{error}. What is shown was read before"
            return self._trouble
