"""What is done to all fields: commands in the run's queue, in processes of their own, as from the live page."""

import time
from collections.abc import Iterator
from pathlib import Path

from magicgui.widgets import Container, Label, ProgressBar, PushButton, SpinBox
from napari.qt.threading import create_worker

from cellular.errors import InputError
from cellular.jobs.lessons import decide, lessons
from cellular.jobs.queue import DONE, QUEUED, RUNNING, Job, Queue
from cellular.jobs.view import Run
from cellular.napari.session import Session
from cellular.napari.try_pane import TryPane

# Seconds between two looks at a job.
LOOK = 0.3


class JobsPane(Container):
    """Segment and measure all fields, teach the model, with progress; `chosen` says by which model."""

    def __init__(self, session: Session, chosen: TryPane) -> None:
        self.session, self.chosen, self.worker, self._job = session, chosen, None, None
        self.segment = PushButton(text="Segment all")
        self.measure = PushButton(text="Measure all")
        self.epochs = SpinBox(value=20, min=1, max=1000, label="Passes")
        self.teach = PushButton(text="Teach the model")
        self.stop = PushButton(text="Stop", enabled=False)
        self.bar = ProgressBar(value=0, min=0, max=100, visible=False)
        self.lesson = Label(value="")
        self.lesson.native.setWordWrap(True)
        self.keep, self.discard = PushButton(text="Keep", visible=False), PushButton(text="Discard", visible=False)
        self.segment.changed.connect(session.guarded(self._segment))
        self.measure.changed.connect(session.guarded(self._measure))
        self.teach.changed.connect(session.guarded(self._teach))
        self.stop.changed.connect(session.guarded(lambda: session.queue().stop(self._job.name)))
        self.keep.changed.connect(session.guarded(lambda: self._decide(True)))
        self.discard.changed.connect(session.guarded(lambda: self._decide(False)))
        all_fields = Container(widgets=[self.segment, self.measure, self.stop], layout="horizontal", labels=False)
        decision = Container(widgets=[self.keep, self.discard], layout="horizontal", labels=False)
        teaching = Container(widgets=[self.epochs, self.teach], layout="horizontal")
        super().__init__(widgets=[all_fields, teaching, self.bar, self.lesson, decision], labels=False)
        session.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """What can be done now, and what came of the last lesson."""
        run = self.session.run
        found = run.corrected() if run else None
        corrected = len(found.fields) if found else 0
        self.segment.enabled, self.measure.enabled = run is not None, run is not None and run.verb is not None
        self.teach.enabled = corrected > 1
        last = self._last()
        self.lesson.value = (
            last[1] if last else f"{corrected} corrected field(s); teaching takes two or more, one is held out"
        )
        self.keep.visible = self.discard.visible = bool(last and last[2])

    def _segment(self) -> None:
        model, settings = self.chosen.chosen()
        words = segment_words(self.session.run, model, settings.diameter, settings.channels)
        self._begin("Segment", words, _out_of(words))

    def _measure(self) -> None:
        words = measure_words(self.session.run)
        self._begin("Measure", words, _out_of(words))

    def _teach(self) -> None:
        if self.session.edited():
            raise InputError("save corrections first: the lesson is on what is saved")
        run = self.session.run
        number = 1 + max((int(path.name) for path in (run.folder / "teach").glob("[0-9]*")), default=0)
        out = run.folder / "teach" / f"{number:06d}"
        out.mkdir(parents=True)
        self._begin(f"Teach {number}", ["teach", *run.words(), "--out", out, "--n_epochs", self.epochs.value], None)

    def _begin(self, title: str, words: list, opened: str | None) -> None:
        """Put a command into the queue and watch it; `opened` is the folder to show when it is done."""
        queue = self.session.queue()
        self._job = queue.add(title, words)
        self.bar.value, self.bar.visible, self.stop.enabled = 0, True, True
        self.worker = create_worker(watch, queue, self._job.name, _start_thread=False)
        self.worker.yielded.connect(self._tell)
        self.worker.returned.connect(lambda job: self._over(job, queue, opened))
        self.worker.start()

    def _tell(self, seen: tuple[Job, str, int]) -> None:
        job, line, percent = seen
        self.bar.value = percent
        self.session.told.emit(f"{job.title}: {job.state}" + (f" · {line}" if line else ""))

    def _over(self, job: Job, queue: Queue, opened: str | None) -> None:
        self.bar.visible, self.stop.enabled = False, False
        self._tell((job, queue.progress(job.name)[0], 100))
        if job.state == DONE and opened is not None:
            self.session.guarded(lambda: self.session.open(opened))()
        self.refresh()

    def _last(self) -> tuple[str, str, bool] | None:
        """The last lesson: its name, what it was worth, and whether nobody has decided about it yet."""
        told = lessons(self.session.run.folder / "teach") if self.session.run else {}
        if not told:
            return None
        name, last = list(told.items())[-1]
        pairs = "\n".join(f"{key} {value:.3f} -> {last['after'][key]:.3f}" for key, value in last["before"].items())
        said = {None: "", True: " (kept)", False: " (discarded)"}[last["kept"]]
        return name, f"lesson {int(name)}{said}, on {', '.join(last['held_out'])}\n{pairs}", last["kept"] is None

    def _decide(self, keep: bool) -> None:
        run = self.session.run
        kept = decide(run.folder / "teach" / self._last()[0], keep, run.folder / "models")
        self.session.told.emit(f"kept as {kept}; it is among the models now" if kept else "discarded")
        self.session.changed.emit()


def _out_of(words: list[str]) -> str:
    return words[words.index("--out") + 1]


def segment_words(run: Run | None, model: str, diameter: float | None, channels: tuple[int, ...] | None) -> list[str]:
    """The command that segments all fields of the run's plate, into a folder named by the settings."""
    if run is None:
        raise InputError("open a plate or a run first")
    if channels and "--channels" in run.found():
        raise InputError("the plate's channels are told by role: leave the numbers empty")
    told = [Path(model).stem, *([f"{diameter:g}px"] if diameter else []), *map(str, channels or ())]
    place = run.folder if run.verb is None else run.folder.parent
    words = ["segment", str(run.plate.folder), "--out", str(place / "_".join(["segmented", *told])), "--model", model]
    words += ["--diameter", f"{diameter:g}"] if diameter else []
    return [*words, *(["--channels", *map(str, channels)] if channels else []), *run.found()]


def measure_words(run: Run | None) -> list[str]:
    """The command that measures all fields of a run, or those again that were corrected since they were measured."""
    if run is None or run.verb is None:
        raise InputError("segment all fields first: it is their label images that are measured by")
    corrections = ["--corrections", str(run.corrections)] if run.corrected() else []
    if run.verb == "segment":
        out = run.folder.with_name(f"{run.folder.name}_measured")
        return ["measure", str(run.plate.folder), str(run.folder), "--out", str(out), *run.found(), *corrections]
    if not corrections:
        raise InputError(f"{run.folder} is measured, and nothing was corrected since")
    if (words := run.again()) is None:
        raise InputError(f"{run.folder} was made from Python: measure again there, with its corrections")
    return words


def watch(queue: Queue, name: str) -> Iterator[tuple[Job, str, int]]:
    """The job, what it said last and how far it is, every now and then until it is over; returns it as it ended."""
    while True:
        job = next(job for job in queue.jobs() if job.name == name)
        if job.state not in (QUEUED, RUNNING):
            return job
        yield job, *queue.progress(name)
        time.sleep(LOOK)
