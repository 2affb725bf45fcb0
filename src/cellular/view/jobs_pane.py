"""What runs in the background: measuring again, teaching, new images. It outlives the page."""

import html
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import panel as pn

from cellular.data.formats.suffixes import IMAGE_SUFFIXES
from cellular.errors import CellularError, InputError
from cellular.jobs.lessons import decide, helped, lessons, shares
from cellular.jobs.queue import QUEUED, RUNNING, Job
from cellular.jobs.upload import MOST_BYTES, keep_upload
from cellular.view.desk import Desk
from cellular.view.parts import as_is, number, press

# Jobs that are listed: the latest ones.
SHOWN = 8


class JobsPane:
    """The queue as a list; `finished` is called with each job that came to its end since the last look."""

    def __init__(self, desk: Desk, finished: Callable[[Job], None]) -> None:
        self.desk, self.finished = desk, finished
        self._over = {job.name for job in desk.queue.jobs() if job.state not in (QUEUED, RUNNING)}
        self._drawn: list[tuple] | None = None
        self.view = pn.Column(sizing_mode="stretch_width", name="jobs")
        self.refresh()

    def refresh(self) -> None:
        """Look at the disk, and draw what has changed."""
        jobs = self.desk.queue.jobs()
        drawn = [(job, *self.desk.queue.progress(job.name)) for job in jobs[-SHOWN:]]
        if drawn != self._drawn:
            self._drawn = drawn
            rows: list[Any] = [self._row(*row) for row in reversed(drawn)]
            self.view[:] = rows or [pn.pane.Markdown("No jobs yet.")]
        for job in jobs:
            if job.state not in (QUEUED, RUNNING) and job.name not in self._over:
                self._over.add(job.name)
                self.finished(job)

    def _row(self, job: Job, line: str, percent: int) -> pn.Row:
        text = f"{job.title}: {job.state}" + (f" · {line}" if line else "")
        parts: list[Any] = [pn.widgets.StaticText(value=html.escape(text), sizing_mode="stretch_width")]
        if job.state == RUNNING:
            parts.append(pn.indicators.Progress(value=percent, max=100, width=140))
        if job.state in (QUEUED, RUNNING):
            stop = pn.widgets.Button(label="Stop", width=70)
            press(stop, partial(self.desk.queue.stop, job.name))
            parts.append(stop)
        return pn.Row(*parts, sizing_mode="stretch_width")


class TeachPane:
    """Fine-tuning on corrected fields, and what it was worth; `tell` gets sentences."""

    def __init__(self, desk: Desk, tell: Callable[[str], None]) -> None:
        self.desk, self.tell = desk, tell
        self.words = pn.pane.Markdown("")
        self.epochs = number("Passes over the fields", value=20, width=160)
        self.button = pn.widgets.Button(label="Teach the model", color="primary", width=160)
        self.button.on_click(lambda _: self._begin())
        self.results = pn.Column(sizing_mode="stretch_width")
        self.view = pn.Column(
            self.words, pn.FlexBox(self.epochs, self.button), self.results, sizing_mode="stretch_width"
        )
        self.refresh()

    def refresh(self) -> None:
        """What can be learnt from, and what came of earlier lessons."""
        found = self.desk.run.corrected()
        here = {item.name: item for item in self.desk.run.plate.fields}
        fields = [here[name] for name in (found.fields if found else ()) if name in here]
        learnt = 0
        try:
            learnt, settled, held = map(len, shares(fields))
            thresholds = f"its thresholds are settled on {settled}; " if settled else ""
            what = f"learns from {learnt}; {thresholds}the latest {held} are held out, and tell whether it helped."
        except InputError:
            what = (
                "takes two or more, of two positions: one is held out, and tells whether teaching helped. A field "
                "without a fault counts once *Field is right* is pressed on it."
            )
        self.button.disabled = not learnt
        self.words.object = f"**{len(fields)} corrected fields.** The model {what}"
        self.results[:] = [self._lesson(name, told) for name, told in reversed(lessons(self._folder).items())]

    @property
    def _folder(self) -> Path:
        return self.desk.run.folder / "teach"

    def _begin(self) -> None:
        if not (self.epochs.value or 0) > 0:
            self.tell("passes over the fields are a number above 0")
            return
        lesson = 1 + max((int(path.name) for path in self._folder.glob("[0-9]*")), default=0)
        words = [
            "teach",
            *self.desk.run.words(),
            "--out",
            self._folder / f"{lesson:06d}",
            "--n_epochs",
            self.epochs.value,
        ]
        try:
            self._folder.joinpath(f"{lesson:06d}").mkdir(parents=True)
            self.desk.add_job(f"Teach {lesson}", words)
        except CellularError as error:
            self.tell(str(error))

    def _lesson(self, name: str, told: dict[str, Any]) -> pn.Row:
        pairs = "; ".join(f"{key} {value:.3f} → **{told['after'][key]:.3f}**" for key, value in told["before"].items())
        said = {None: "", True: " · kept", False: " · discarded"}[told["kept"]]
        held = as_is(", ".join(told["held_out"]))
        better = helped(told["before"], told["after"])
        advice = "" if told["kept"] is not None else f" **{'Keep' if better else 'Discard'} is proposed.**"
        parts: list[Any] = [
            pn.pane.Markdown(f"Lesson {int(name)}{said}, on {held}: {pairs}.{advice}", sizing_mode="stretch_width")
        ]
        if told["kept"] is None:
            for text, keep in (("Keep", True), ("Discard", False)):
                button = pn.widgets.Button(label=text, width=90, color="primary" if keep == better else "default")
                press(button, partial(self._decide, name, keep))
                parts.append(button)
        return pn.Row(*parts, sizing_mode="stretch_width")

    def _decide(self, name: str, keep: bool) -> None:
        try:
            kept = decide(self._folder / name, keep, self.desk.run.folder / "models")
            self.tell(f"kept as {kept}; give it to --model" if kept else "discarded")
        except CellularError as error:
            self.tell(str(error))
        self.refresh()


class UploadPane:
    """Images dropped onto the page, to be analysed without a terminal."""

    def __init__(self, desk: Desk, tell: Callable[[str], None]) -> None:
        self.desk, self.tell = desk, tell
        self.drop = BoundedDropper(
            multiple=True, accepted_filetypes=list(IMAGE_SUFFIXES), max_file_size=f"{MOST_BYTES >> 20}MB", previews=[],
            chunk_size=8 << 20, sizing_mode="stretch_width", height=160, label="Images",
        )  # fmt: skip
        self.drop.param.watch(self._dropped, "value")
        self.lot = pn.widgets.StaticText(value="no image yet")
        self.channels = pn.widgets.TextInput(label="Channels, where names do not tell", placeholder="mRFP=w3 EGFP=w2")
        self.reporter = pn.widgets.Select(
            label="Reporter", options=["auto", "tandem", "mito-qc", "mt-keima", "none"], width=120
        )
        self.model = pn.widgets.TextInput(label="Model", value="starter", width=160)
        self.diameter = number("Cell diameter, px", float, width=160)
        self.button = pn.widgets.Button(label="Segment and measure", color="primary", width=180, disabled=True)
        self.button.on_click(lambda _: self._begin())
        self.done = pn.pane.Markdown("")
        self.view = pn.Column(
            self.drop,
            self.lot,
            pn.FlexBox(self.channels, self.reporter, self.model, self.diameter, self.button),
            self.done,
            sizing_mode="stretch_width",
        )
        self.number: str | None = None
        self.refresh()

    @property
    def _folder(self) -> Path:
        return self.desk.home / "uploads"

    def refresh(self) -> None:
        """Links to the lots that are done."""
        over = sorted(path.parent.parent.name for path in self._folder.glob("*/results/report.html"))
        self.done.object = "\n".join(f"- [Lot {int(name)}: look at it](/?lot={name})" for name in over)

    def _dropped(self, event: Any) -> None:
        """Keep what is an image; what is not is named."""
        files, refused = dict(self.drop.value), []
        if self.number is None:
            self.number = f"{1 + max((int(path.name) for path in self._folder.glob('[0-9]*')), default=0):06d}"
        for name, data in files.items():
            try:
                keep_upload(
                    name, data if isinstance(data, bytes) else data.encode(), self._folder / self.number / "images"
                )
            except CellularError as error:
                refused.append(str(error))
        self.drop.value.clear()
        place = self._folder / self.number / "images"
        there = sorted(path.name for path in place.glob("[!.]*")) if place.is_dir() else []
        self.lot.value = html.escape(f"{len(there)} images in lot {int(self.number)}: {', '.join(there[:6])}")
        self.button.disabled = not there
        if refused:
            self.tell("; ".join(refused))

    def _begin(self) -> None:
        if self.number is None:
            return  # pressed twice
        lot = self._folder / self.number
        words: list[Any] = ["analyse", lot / "images", "--out", lot / "results", "--model", self.model.value]
        words += ["--reporter", self.reporter.value]
        words += ["--diameter", self.diameter.value] if self.diameter.value else []
        try:
            told = (self.channels.value or "").split()
            if wrong := [w for w in told if not re.fullmatch(r"[\w:+-]+=[\w .-]+", w)]:
                raise InputError(f"a channel is told as ROLE=CHANNEL, such as mRFP=w3, not '{wrong[0]}'")
            words += ["--channels", *told] if told else []
            self.desk.add_job(f"Lot {int(self.number)}", words)
        except CellularError as error:
            self.tell(str(error))
            return
        self.number, self.button.disabled, self.lot.value = None, True, "queued; more can be dropped"


class BoundedDropper(pn.widgets.FileDropper):
    """Panel's dropper, of which pieces beyond the most that a file may have are dropped."""

    def _process_event(self, event: Any) -> None:
        data = getattr(event, "data", {})
        held = sum(map(len, self._file_buffer.get(data.get("name"), [])))
        if event.event_name == "upload_event" and held + len(data.get("data", b"")) > MOST_BYTES:
            self._file_buffer.pop(data["name"], None)
            return
        if event.event_name == "upload_event" and data["chunk"] != 1 and data["name"] not in self._file_buffer:
            return  # the rest of what was not kept
        super()._process_event(event)
