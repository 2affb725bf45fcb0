"""One field: its image by tiles, cells, puncta; the table and the plot of its cells, which are one with the picture."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import panel as pn
from bokeh.events import RangesUpdate
from bokeh.models import (
    ColumnDataSource,
    FreehandDrawTool,
    HoverTool,
    LassoSelectTool,
    PanTool,
    PointDrawTool,
    Range1d,
    TapTool,
    Tool,
    WheelZoomTool,
)
from bokeh.palettes import Viridis256
from bokeh.plotting import figure

from cellular.autophagy.measure.documentation import axis_label
from cellular.autophagy.state.by_hand import BY_HAND, as_measured, as_the_model_said, overlaid
from cellular.data.plate import FieldFiles
from cellular.data.window import step_for
from cellular.errors import CellularError, InputError
from cellular.labels.cells import areas_of
from cellular.report.colours import EDGE, EDITED, STATES, colours_of
from cellular.report.outlines import MIDDLE, middles_of, outlines_of
from cellular.report.viewer import as_written, hovered
from cellular.tables import puncta_of
from cellular.view.desk import Desk
from cellular.view.parts import ends, fill, paged_table, press, tick, turn_to
from cellular.view.picture import compose, contrast, looked_at, ramp, scale_bar, spots, to_read, whole
from cellular.view.tracks import colour_of, paths, with_tracks

# Of the picture on the page, px of the screen; and the pixels that it has along a side, at most.
HEIGHT, SIDE = 620, 1400
# How long the view must rest before its tiles are read, ms.
REST_MS = 120
FIRST_COLUMNS = (
    "state", BY_HAND, "area", "circularity", "puncta_total", "puncta_yellow", "puncta_red_only", "red_only_fraction",
)  # fmt: skip
# Outlines are straightened by this at most, px: they stay in the pixels of the border, and have half the corners.
WITHIN = 0.5
# px; by width, too, the cells stand out whose state was told by hand.
THIN, THICK = 1.2, 3.5


class FieldPane:
    """The picture of a field and what belongs to it; `tell` is called with a sentence when something goes wrong."""

    def __init__(self, desk: Desk, tell: Callable[[str], None]) -> None:
        self.desk, self.tell = desk, tell
        self.item: FieldFiles | None = None
        self.windows: Any = None  # the FieldWindows of what is shown
        self.ranges: list[tuple[float, float]] = []
        self._seen: tuple | None = None
        self._waiting: Any = None
        self._busy, self.version = False, ("", 0)  # of the corrections that are drawn
        self._size: dict[str, int] = {}
        self._ticks: list[pn.widgets.CheckBoxGroup] = []
        self.image = ColumnDataSource({name: [] for name in ("image", "x", "y", "dw", "dh")})
        self.cells = ColumnDataSource({name: [] for name in ("label", "xs", "ys", "edge", "width", *MIDDLE)})
        self.puncta = ColumnDataSource({"x": [], "y": [], "kind": [], "colour": []})
        self.paths = ColumnDataSource({"xs": [], "ys": [], "colour": []})
        self.pen = ColumnDataSource({"xs": [], "ys": [], "field": []})
        self.seeds = ColumnDataSource({"x": [], "y": [], "field": []})
        self.bar = ColumnDataSource({"x0": [], "x1": [], "y": [], "text": []})
        self._make_figure()
        self._make_controls()
        self.table = paged_table("cells", pd.DataFrame({"label": []}), True)
        self.table.param.watch(self._row_chosen, "selection")
        self.cells.selected.on_change("indices", lambda attr, old, new: self._mark_rows())
        self._make_plot()

    def _make_figure(self) -> None:
        self.x_range, self.y_range = Range1d(start=0, end=1), Range1d(start=1, end=0)
        pan, wheel = PanTool(), WheelZoomTool()
        plot = figure(
            x_range=self.x_range, y_range=self.y_range, tools=[pan, wheel], toolbar_location=None,
            sizing_mode="stretch_width", min_border=0, background_fill_color="#000000", border_fill_color="#000000",
            outline_line_color=None, name="field", x_axis_type=None, y_axis_type=None, height=HEIGHT,
        )  # fmt: skip
        plot.grid.visible = False
        plot.image_rgba("image", "x", "y", "dw", "dh", source=self.image)
        cells = plot.patches(  # type: ignore[call-arg]  # Bokeh's types lack the widths of its prefixes
            "xs", "ys", source=self.cells, fill_alpha=0, line_color="edge", line_width="width", selection_line_width=3,
            selection_line_color="#FFFF00", nonselection_line_alpha=1, nonselection_line_color="edge",
            selection_fill_color="#FFFF00", selection_fill_alpha=0.15, nonselection_fill_alpha=0,
        )  # fmt: skip
        middles = plot.scatter(*MIDDLE, source=self.cells, size=1, alpha=0, selection_alpha=0, nonselection_alpha=0)
        spots = plot.scatter("x", "y", source=self.puncta, size=8, fill_alpha=0, line_color="colour", line_width=1.5)
        paths: Any = plot.multi_line("xs", "ys", source=self.paths, line_color="colour", line_width=2)
        pen: Any = plot.multi_line("xs", "ys", source=self.pen, line_color="#FFFF00", line_width=2)
        seeds: Any = plot.scatter("x", "y", source=self.seeds, size=10, color="#FFFF00", marker="x", line_width=3)
        plot.segment("x0", "y", "x1", "y", source=self.bar, line_color="white", line_width=4)
        above: dict[str, Any] = {"text_color": "white", "text_font_size": "13px", "y_offset": -8}
        plot.text("x0", "y", "text", source=self.bar, **above)
        self.renderers = [("outlines", cells), ("outlines", middles), ("puncta", spots), ("tracks", paths)]
        self.tap, self.hover = TapTool(renderers=[cells]), HoverTool(renderers=[cells], tooltips=[("cell", "@label")])
        self.tools: dict[str, Tool] = {
            "pan": pan,
            # by whole outlines, cells in pieces and many at the image's border would be in no loop
            "lasso": LassoSelectTool(renderers=[middles], continuous=False),
            "pen": FreehandDrawTool(renderers=[pen], num_objects=1),
            "seeds": PointDrawTool(renderers=[seeds], num_objects=2),
            "tap": self.tap,
            "hover": self.hover,
        }
        plot.add_tools(*(tool for name, tool in self.tools.items() if name != "pan"))
        plot.toolbar.active_scroll, plot.toolbar.active_drag = wheel, pan
        plot.toolbar.active_tap = self.tap
        plot.on_event(RangesUpdate, self._moved)
        for name in ("inner_width", "inner_height"):
            plot.on_change(name, lambda attr, old, new: self._resized(attr, new))
        self.figure = plot

    def _make_controls(self) -> None:
        self.channels = pn.Column(sizing_mode="stretch_width")
        layers = ["outlines", "puncta", *(["tracks"] if "tracks" in self.desk.run.tables else [])]
        self.layers = pn.widgets.CheckButtonGroup(label="layers", options=layers, value=["outlines"], color="default")
        self.safe = tick("colours that all eyes tell apart")
        self.colour_by = pn.widgets.Select(label="Colour outlines by", options=["nothing"], width=220)
        self.buttons = [pn.widgets.Button(label=name, width=60) for name in ("Fit", "Zoom +", "Zoom −")]
        fit, closer, further = self.buttons
        press(fit, self.fit)
        press(closer, partial(self.zoom, 0.5))
        press(further, partial(self.zoom, 2.0))
        self.layers.param.watch(lambda _: self._show_layers(), "value")
        self.safe.param.watch(lambda _: self.paint(), "value")
        self.colour_by.param.watch(lambda _: self.show_cells(keep=self.chosen()), "value")

    def _make_plot(self) -> None:
        self.x_column, self.y_column = (pn.widgets.Select(label=name, options=[], width=180) for name in "xy")
        tools = "tap,lasso_select,wheel_zoom,pan,reset"
        self.plot = figure(height=280, sizing_mode="stretch_width", tools=tools, name="plot")
        self.plot.scatter("plot_x", "plot_y", source=self.cells, size=7, color="#0072B2", nonselection_alpha=0.35)
        for part in (self.x_column, self.y_column):
            part.param.watch(lambda _: self.show_cells(), "value")

    # --- a field

    def open(self, item: FieldFiles) -> None:
        """Show the field from edge to edge; one whose images cannot be read leaves all as it was, and raises."""
        self._read(item)
        self.cells.selected.indices = []
        self.fit()
        self.show_cells()

    def _read(self, item: FieldFiles) -> None:
        """Make it the field that is shown, and offer its channels."""
        windows = self.desk.windows(item)
        # at the step of the whole field in view: read once
        sample = [slice(0, size, step_for(max(windows.shape), SIDE)) for size in windows.shape]
        ranges = [contrast(windows.window(k, *sample)) for k in range(len(windows.channels))]
        self.item, self.windows, self.ranges, self._seen = item, windows, ranges, None
        self._show_channels(windows.channels)

    def renew(self) -> str:
        """Draw the field anew where its images were written since; what hinders that, empty where nothing does."""
        if self.item is not None and not self.windows.is_current(self.item):
            try:
                self._read(self.item)
            except CellularError as error:
                return f"{error}. What is shown was read before"
            self.paint()
            self.show_cells(keep=self.chosen())
        return ""

    @property
    def opened(self) -> FieldFiles:
        """The field that is shown; InputError where there is none yet."""
        if self.item is None:
            raise InputError("no field is open")
        return self.item

    def fit(self) -> None:
        """The whole field in view."""
        height, width = self.windows.shape
        self._look(width / 2, height / 2, whole(self.windows.shape, self._aspect()) / 2)

    def zoom(self, factor: float) -> None:
        """Show `factor` as much along either side."""
        x, y, half = self._middle()
        self._look(x, y, half * factor)

    def centre_on(self, x: float, y: float) -> None:
        """Bring a place into the middle, without a change of scale."""
        self._look(x, y, self._middle()[2])

    def _aspect(self) -> float:
        """Width over height of what the picture is drawn in, as the browser says; 1 before it has."""
        width, height = (self._size.get(name) for name in ("inner_width", "inner_height"))
        return width / height if width and height else 1.0

    def _look(self, x: float, y: float, half: float) -> None:
        """Show what lies `half` above and below a place, and as much beside it as there is room for."""
        across, down = looked_at(x, y, 2 * half, self.windows.shape, self._aspect())
        self.x_range.update(**across)
        self.y_range.update(**down)
        self._repaint()

    def _resized(self, name: str, size: int) -> None:
        """A pixel is square whatever the width of the window."""
        self._size[name] = size
        if self.item is not None:
            self._look(*self._middle())

    def _middle(self) -> tuple[float, float, float]:
        (x0, x1), (y0, y1) = ends(self.x_range), ends(self.y_range)
        return (x0 + x1) / 2, (y0 + y1) / 2, abs(y1 - y0) / 2

    # --- the image

    def _show_channels(self, names: Sequence[str]) -> None:
        rows, self._ticks = [], []
        for number, (name, (low, high)) in enumerate(zip(names, self.ranges)):
            shown = tick(name, True, width=110, align="center")
            start, end = min(0.0, low), high + (high - low) * 2  # Panel's step of 0.1 is more than fractions have
            how: dict[str, Any] = {"start": start, "end": end, "value": (low, high), "step": (end - start) / 1000}
            how |= {"label": f"contrast of {name}", "sizing_mode": "stretch_width", "show_value": False}
            level = pn.widgets.RangeSlider(**how)
            shown.param.watch(lambda _: self.paint(), "value")
            level.param.watch(lambda event, k=number: self._set_range(k, event.new), "value_throttled")
            self._ticks.append(shown)
            rows.append(pn.Row(shown, level, sizing_mode="stretch_width"))
        self.channels[:] = rows

    def _set_range(self, number: int, value: tuple[float, float]) -> None:
        self.ranges[number] = value
        self.paint()

    def _moved(self, event: Any) -> None:
        """Read the tiles once the view rests: a wheel turns many times a second."""
        self.x_range.update(start=event.x0, end=event.x1)
        self.y_range.update(start=event.y0, end=event.y1)
        if (document := pn.state.curdoc) is None:
            return
        if self._waiting is not None:
            document.remove_timeout_callback(self._waiting)
        self._waiting = document.add_timeout_callback(self._rested, REST_MS)

    def _rested(self) -> None:
        self._waiting = None
        if self.item is not None:
            self._repaint()

    def _repaint(self) -> None:
        """Draw what is in view now: megabytes go to the browser, so not again what is there already."""
        self.paint() if self._view() != self._seen else self._paint_bar()

    def _view(self) -> tuple[int, int, int, int, int]:
        """Rows, columns and step to read for what is in view: a margin more than is seen, on a grid of the step."""
        height, width = self.windows.shape
        (x0, x1), (y0, y1) = sorted(ends(self.x_range)), sorted(ends(self.y_range))
        step = step_for(min(max(x1 - x0, y1 - y0), max(height, width)), SIDE)
        return (*to_read(y0, y1, height, step), *to_read(x0, x1, width, step), step)

    def paint(self) -> None:
        """Draw the image that is in view, its channels in their colours, and the scale bar."""
        if self.item is None:
            return
        self._seen = y0, y1, x0, x1, step = self._view()
        if y1 <= y0 or x1 <= x0:
            self.image.data = {name: [] for name in self.image.data}
            return
        shown = [k for k, row in enumerate(self._ticks) if row.value]
        colours = colours_of(self.windows.channels, bool(self.safe.value))
        try:
            planes = [self.windows.window(k, slice(y0, y1, step), slice(x0, x1, step)) for k in shown]
        except CellularError as error:
            self.tell(str(error))
            self._seen = None
            return
        if not planes:
            planes, shown = [np.zeros((2, 2))], [0]
        picture = compose(planes, [self.ranges[k] for k in shown], [colours[k] for k in shown])
        rows, columns = picture.shape
        tall, wide = (rows * step, columns * step) if len(planes[0]) > 2 else (y1 - y0, x1 - x0)
        self.image.data = {"image": [picture], "x": [x0], "y": [y0], "dw": [wide], "dh": [tall]}
        self._paint_bar()

    def _paint_bar(self) -> None:
        self.bar.data = scale_bar(*ends(self.x_range), max(ends(self.y_range)), self.windows.pixel_size_um)

    # --- cells

    def show_cells(self, keep: Sequence[int] = ()) -> None:
        """Draw outlines, puncta, table and plot anew; the cells `keep` stay chosen."""
        if self.item is None:
            return
        try:
            found = self.desk.correcting(self.item)
            labels, told, self.version = self.desk.labels(self.item), found.states, found.version
        except CellularError as error:
            self.tell(str(error))
            labels, told = None, {}
        tracks = self.desk.run.tables.get("tracks")
        table = self._with_numbers(np.zeros((1, 1), np.uint16) if labels is None else labels, told)
        table = with_tracks(table, tracks, self.item.name)
        self.paths.data = paths(tracks, self.item)
        numbers = [n for n in table if table[n].dtype.kind in "iuf" and n not in ("label", "site", *MIDDLE)]
        self._offer(numbers)
        by_hand = table[BY_HAND] if BY_HAND in table and self.colour_by.value == "state" else np.zeros(len(table), bool)
        table["edge"], table["width"] = self._edges(table), np.where(by_hand, THICK, THIN)
        for axis, part in (("x", self.x_column), ("y", self.y_column)):
            table[f"plot_{axis}"] = table.get(part.value, np.nan)
            getattr(self.plot, f"{axis}axis").axis_label = as_written(axis_label(part.value or ""))
        shown = [name for name in FIRST_COLUMNS if name in table]
        names = ["label", *dict.fromkeys((*shown, *numbers))][:24]
        tips, as_read = hovered({name: axis_label(name) for name in shown}, set(shown).difference(numbers))
        self.hover.update(tooltips=[("cell", "@label"), *tips], formatters=as_read)
        chosen = [int(k) for k in np.flatnonzero(table["label"].isin(list(keep)))]
        self._busy = True  # rows that are chosen must be there
        self.cells.selected.indices, self.table.selection = [], []
        self.cells.data = {name: table[name].tolist() for name in table}
        fill(self.table, table[names])
        self._busy = False
        self.cells.selected.indices = chosen
        self._show_puncta()
        self._show_layers()

    def _with_numbers(self, labels: np.ndarray, told: Mapping[int, str]) -> pd.DataFrame:
        """Outlines with what was measured of them, and states told by hand; what was drawn since has an area alone."""
        rings = outlines_of(labels, WITHIN)
        xs, ys = ([ring[k] for ring in rings.values()] for k in (0, 1))
        drawn = pd.DataFrame({"label": list(rings), "xs": xs, "ys": ys, "area": areas_of(labels), **middles_of(labels)})
        cells = self.desk.run.tables.get("cells")
        if cells is not None and "label" in cells:
            mine = as_measured(cells[cells["field"] == self.opened.name].drop_duplicates("label"), labels)
            mine = as_the_model_said(mine).drop(columns=["field", "area"])
            drawn = drawn.merge(mine, on="label", how="left")
        return overlaid(drawn, drawn["label"].map(told)) if told else drawn

    def _offer(self, numbers: Sequence[str]) -> None:
        self.colour_by.options = ["nothing", "what was edited", "state", *numbers]
        for part, first in ((self.x_column, "area"), (self.y_column, "puncta_total")):
            if list(part.options) != list(numbers) and numbers:
                value = part.value if part.value in numbers else first if first in numbers else numbers[0]
                part.param.update(options=list(numbers), value=value)

    def _edges(self, table: pd.DataFrame) -> list[str]:
        by = self.colour_by.value
        if by == "what was edited":
            touched = set(self.desk.correcting(self.opened).edited())
            return [EDITED if label in touched else EDGE for label in table["label"]]
        if by == "track":
            return [colour_of(track) for track in table["track"]]
        if by == "state":
            return [STATES.get(str(state), EDGE) for state in table.get("state", [""] * len(table))]
        return ramp(table[by], Viridis256) if by in table else [EDGE] * len(table)

    def _show_puncta(self) -> None:
        try:
            mine = puncta_of(self.desk.run.tables, [self.opened.name])
        except CellularError as error:  # while a command writes them anew there are none
            self.tell(str(error))
            mine = None
        self.puncta.data = spots(mine)

    def _show_layers(self) -> None:
        for name, renderer in self.renderers:
            renderer.visible = name in self.layers.value

    # --- which cells are chosen

    def chosen(self) -> list[int]:
        """Labels of the cells that are chosen, in picture, table or plot."""
        return [int(self.cells.data["label"][k]) for k in self.cells.selected.indices]

    def _row_chosen(self, event: Any) -> None:
        if not self._busy:
            self.cells.selected.indices = list(event.new)

    def _mark_rows(self) -> None:
        """The rows of the chosen cells, on the page of the first."""
        places = list(self.cells.selected.indices)
        if self._busy or places == list(self.table.selection):
            return
        self._busy = True
        self.table.selection = places
        if places:
            turn_to(self.table, places[0])
        self._busy = False

    def choose(self, labels: Sequence[int]) -> None:
        """Choose cells, and bring the first into view where it is not."""
        places = [k for k, label in enumerate(self.cells.data["label"]) if label in set(labels)]
        self.cells.selected.indices = places
        if places:
            x, y = (float(np.nanmean(self.cells.data[axis][places[0]])) for axis in ("xs", "ys"))
            (left, right), (bottom, top) = ends(self.x_range), ends(self.y_range)
            if not (left < x < right and top < y < bottom):
                self.centre_on(x, y)
