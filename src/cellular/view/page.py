"""The page: plate, field and cells side by side, and behind tabs what is taught and what is new."""

import re
from typing import Any

import panel as pn
import param
from bokeh.events import DocumentReady
from bokeh.models import CustomJS

from cellular.data.plate import FieldFiles
from cellular.errors import CellularError
from cellular.jobs.queue import Job
from cellular.jobs.view import open_run
from cellular.report.glue import GRIDS, NAMES
from cellular.view.correct_pane import CorrectPane
from cellular.view.desk import Desk
from cellular.view.field_pane import FieldPane
from cellular.view.jobs_pane import JobsPane, TeachPane, UploadPane
from cellular.view.parts import as_is
from cellular.view.plate_pane import PlatePane

# How often the page looks at the queue, ms.
LOOK_MS = 1500
STYLE = """
:host, body { font-family: system-ui, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.4rem; margin: 0.2rem 0; }
"""
# What a tab hides is hidden from keyboards and readers too.
HIDDEN = "[aria-hidden='true'] { display: none !important; }"


class Choice(param.Parameterized):
    """What the page shows; it stands in the address, so that a reload shows the same."""

    field = param.String(default="")
    cell = param.Integer(default=0)


class Page:
    """One open page on a desk."""

    def __init__(self, desk: Desk) -> None:
        self._trouble = desk.renew()
        self.desk, self.choice, self._run = desk, Choice(), desk.run
        # of one height, said or not: what moves under the mouse is hit wrongly
        self.message = pn.pane.Markdown(
            "", sizing_mode="stretch_width", height=60, styles={"overflow": "auto", "flex": "1 1 300px"}
        )
        self.head = pn.pane.Markdown(self._told())
        self.title = pn.pane.Markdown("", sizing_mode="stretch_width")
        self.field = FieldPane(desk, self.tell)
        self.time = pn.widgets.IntSlider(label="Timepoint", visible=False, sizing_mode="stretch_width")
        self.time.param.watch(lambda event: self._go_to(event.new), "value_throttled")
        self.correct = CorrectPane(self.field, self.tell, self._corrected)
        self.plate = PlatePane(desk, self.open)
        self.teach, self.upload = TeachPane(desk, self.tell), UploadPane(desk, self.tell)
        self.jobs = JobsPane(desk, self._finished)
        self.measure = pn.widgets.Button(label="Measure corrected fields again", color="primary")
        self.measure.on_click(lambda _: self._measure())
        self.field.cells.selected.on_change("indices", lambda attr, old, new: self._cells_chosen())

    def view(self) -> pn.Column:
        """What is drawn, and the first field opened."""
        left = pn.Column(self.plate.view, styles={"flex": "1 1 420px", "min-width": "0"})
        field = self.field
        right = pn.Column(
            self.title,
            self.correct.view,
            self.time,
            pn.pane.Bokeh(field.figure, sizing_mode="stretch_width"),
            pn.FlexBox(*field.buttons, field.layers, field.colour_by, field.safe),
            field.channels,
            field.table,
            pn.FlexBox(field.x_column, field.y_column),
            pn.pane.Bokeh(field.plot, sizing_mode="stretch_width"),
            styles={"flex": "1 1 520px", "min-width": "0"},
        )
        tabs = pn.Tabs(
            ("Look and correct", pn.FlexBox(left, right, sizing_mode="stretch_width", align_items="flex-start")),
            ("Teach", self.teach.view),
            ("New images", self.upload.view),
            ("Jobs", self.jobs.view),
            sizing_mode="stretch_width",
            stylesheets=[HIDDEN],
        )
        self.tell(self._trouble)
        if pn.state.location:
            pn.state.location.sync(self.choice, {"field": "field", "cell": "cell"})
        names = [item.name for item in self.desk.run.plate.fields]
        self.open(self.choice.field if self.choice.field in names else names[0], self.choice.cell or None)
        pn.state.add_periodic_callback(self._look, LOOK_MS)
        self.field.channels.jscallback(children=NAMES)  # those of another field
        if pn.state.curdoc:
            pn.state.curdoc.js_on_event(DocumentReady, CustomJS(code=NAMES), CustomJS(code=GRIDS))
        head_row = pn.FlexBox(self.head, self.message, self.measure, justify_content="space-between")
        return pn.Column(head_row, tabs, sizing_mode="stretch_width", stylesheets=[STYLE])

    def _told(self) -> str:
        run = self.desk.run
        cells = run.tables.get("cells")
        what = f"{len(run.plate):,} fields" + (f", {len(cells):,} cells" if cells is not None else "")
        return f"# {as_is(run.folder.resolve().name)}\n{what} · {as_is(str(run.plate.folder))}"

    def tell(self, sentence: str) -> None:
        """Say it at the top of the page."""
        self.message.object = as_is(sentence)

    def open(self, name: str, cell: int | None = None) -> None:
        """Show a field, and in it a cell."""
        try:
            if self.field.item is None or self.field.item.name != name:
                item = self.desk.run.field(name)
                self.field.open(item)
                self.correct.refresh()
                self._show_time(item)
                self._name(name)
        except CellularError as error:
            self.tell(str(error))
            if self.field.item is not None:  # what is marked elsewhere is what is still shown
                self.plate.show_choice(self.field.item.name, self.field.chosen())
            return
        self.choice.field = name
        self.field.choose([cell] if cell else [])
        self.plate.show_choice(name, [cell] if cell else [])

    def _name(self, field: str) -> None:
        self.title.object = " · ".join([f"**{as_is(field)}**", *map(as_is, self.plate.told(field))])

    def _show_time(self, item: FieldFiles) -> None:
        """The slider through the timepoints of the field's position, where there are several."""
        times = [one.timepoint for one in self.desk.run.frames(item)]
        self.time.visible = len(times) > 1
        if len(times) > 1:
            self.time.param.update(start=times[0], end=times[-1], value=item.timepoint)

    def _go_to(self, time: int) -> None:
        """Open the position at this timepoint, or the nearest that was imaged."""
        frames = self.desk.run.frames(self.field.opened)
        item = min(frames, key=lambda one: abs((one.timepoint or 0) - time))
        self.open(item.name)
        self._show_time(self.field.opened)  # the nearest, or the one before where this cannot be read

    def _cells_chosen(self) -> None:
        chosen = self.field.chosen()
        self.choice.cell = chosen[0] if len(chosen) == 1 else 0
        if self.field.item is not None:
            self.plate.show_choice(self.field.item.name, chosen)

    def _corrected(self) -> None:
        self.teach.refresh()
        self.plate.tell_corrected()

    def _measure(self) -> None:
        words = self.desk.run.again()
        try:
            if words is None:
                self.tell("only a run of the command `analyse` or `measure` can be measured again; see docs/view.md")
            elif self.desk.run.corrected() is None:
                self.tell("nothing was corrected yet")
            else:
                self.desk.add_job("Measure again", words)
                self.tell("measuring the corrected fields again; see Jobs")
        except CellularError as error:
            self.tell(str(error))

    def _look(self) -> None:
        self._renew()
        self.jobs.refresh()

    def _renew(self) -> None:
        """Show the run as it is now where a command has written it since, this page's or another."""
        trouble = self.desk.renew()
        if self.desk.run is not self._run:
            self._reload()
        trouble = trouble or self.field.renew()
        if trouble != self._trouble:
            self._trouble = trouble
            self.tell(trouble)

    def _reload(self) -> None:
        """Show the run that the desk has now."""
        self._run = self.desk.run
        self.head.object = self._told()
        self.plate.reload()
        self.teach.refresh()
        shown = {item.name: item for item in self._run.plate.fields}.get(self.choice.field)
        if shown is None:
            self.open(self._run.plate.fields[0].name)
            return
        self.field.item = shown
        self.field.show_cells(keep=self.field.chosen())
        self.correct.refresh()
        self._name(shown.name)
        self.plate.show_choice(shown.name, self.field.chosen())

    def _finished(self, job: Job) -> None:
        """Say what became of a job."""
        self.tell(f"{job.title}: {job.state}")
        self.teach.refresh()
        self.upload.refresh()


def page(desk: Desk) -> Any:
    """The page for a new visitor: of the run, or of a lot of images that was handed in and analysed."""
    pn.extension("tabulator", "filedropper")
    lot = pn.state.session_args.get("lot", [b""])[0].decode(errors="replace")
    if lot:
        folder = desk.home / "uploads" / lot / "results"
        if not re.fullmatch(r"\d{6}", lot) or not folder.is_dir():
            return pn.pane.Alert(as_is(f"There is no lot {lot[:20]!r} here."), alert_type="warning")
        desk = desk.beside(open_run(folder))
    return Page(desk).view()
