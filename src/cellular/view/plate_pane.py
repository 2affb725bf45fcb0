"""The plate: any column as a map of its wells, its fields in a table, its cells as dots; one choice for all of them."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import panel as pn
from bokeh.models import (
    BasicTicker,
    ColumnDataSource,
    CustomJSTickFormatter,
    FactorRange,
    HoverTool,
    LinearColorMapper,
    TapTool,
)
from bokeh.models.annotations import ColorBar
from bokeh.palettes import Viridis256
from bokeh.plotting import figure

from cellular.autophagy.compare.design import StatsSettings, in_order, nest
from cellular.autophagy.measure.documentation import axis_label
from cellular.data.plate import plates_apart
from cellular.data.platemap import SAMPLE
from cellular.data.wells import PLATE_SIZES, plate_size, row_letters, row_number, split_well
from cellular.errors import InputError
from cellular.files import number_order, of_words
from cellular.jobs.conditions import conditions, samples_apart
from cellular.report.colours import scale_of, treatment_colours
from cellular.report.viewer import abbreviated, as_written, hovered
from cellular.view.desk import Desk
from cellular.view.parts import as_is, fill, paged_table, tick, turn_to, words_of

# Dots of the plot; of more cells a fair draw is shown, and said to be one.
MOST_DOTS = 5000
PLACES = ("plate", "well", "site", "timepoint", "date")
CONDITION = "condition"
# What there is to compare by where all fields are alike: their cells are one group.
NOTHING = "nothing"
# What fields are called of which a column tells nothing.
NOT_TOLD = "(not told)"
# Why a field is left out of the comparison, where it is.
LEFT_OUT = "left_out"


class PlatePane:
    """Wells, fields and cells of the run; `open_cell` is called with a field, and a cell or None, that were chosen."""

    def __init__(self, desk: Desk, open_cell: Callable[[str, int | None], None]) -> None:
        self.desk, self.open_cell = desk, open_cell
        self.fields, self.columns = _field_table(desk)
        self._busy, self._drawn = False, ""
        self.column = pn.widgets.Select(label="Column", options=self.columns, width=240, visible=bool(self.columns))
        plates = _plates(self.fields)
        self.plate = pn.widgets.Select(label="Map of plate", options=plates, width=140, visible=len(plates) > 1)
        self.groups = _groups(self.fields)
        first = next((name for name in (CONDITION, "treatment", *self.groups) if name in self.groups), NOTHING)
        self.by = pn.widgets.Select(label="Compare by", options=self.groups or [NOTHING], value=first, width=160)
        self.only = pn.widgets.MultiChoice(label="Only", options=[], width=240)
        self.good = tick("fields without a flag only", visible="flagged" in self.fields)
        self.compared = tick("without fields that are left out", True, visible=LEFT_OUT in self.fields)
        self.wells = ColumnDataSource({name: [] for name in ("x", "y", "well", "value", "fields")})
        self.dots = ColumnDataSource({name: [] for name in ("x", "y", "field", "label", "well", "group", "colour")})
        self._make_map()
        self._make_plot()
        self.table = paged_table("fields", self.fields, 1)
        self.table.on_click(lambda event: self._clicked(event.row))
        # of one height, said or not: in a narrow window the picture is below
        self.note = pn.pane.Markdown("", sizing_mode="stretch_width", height=44, styles={"overflow": "auto"})
        for part in (self.column, self.plate, self.only, self.good, self.compared):
            part.param.watch(lambda _: self.refresh(), "value")
        self.by.param.watch(lambda _: self._offer(), "value")
        self._offer()
        self.view = pn.Column(
            pn.FlexBox(self.column, self.plate, self.by, self.only, self.good, self.compared),
            pn.pane.Bokeh(self.map, sizing_mode="stretch_width"),
            pn.pane.Bokeh(self.plot, sizing_mode="stretch_width"),
            self.note,
            self.table,
            sizing_mode="stretch_width",
        )

    def _make_map(self) -> None:
        self.mapper = LinearColorMapper(palette=Viridis256, nan_color="#DDDDDD")
        self.map = figure(height=300, sizing_mode="stretch_width", tools="", toolbar_location=None, name="wells")
        self.map.grid.visible = False
        self.map.xaxis.ticker = BasicTicker(max_interval=4, min_interval=1, num_minor_ticks=0)
        self.map.rect(  # type: ignore[call-arg]  # Bokeh's types lack the widths of its prefixes
            "x", "y", width=0.92, height=0.92, source=self.wells, line_color=None, nonselection_fill_alpha=1,
            selection_line_color="black", selection_line_width=3,
            fill_color={"field": "value", "transform": self.mapper},
        )  # fmt: skip
        self.scale = ColorBar(color_mapper=self.mapper, width=12)
        self.map.add_layout(self.scale, "right")
        told, as_read = hovered({"value": "value"})
        tooltips = [("well", "@well"), *told, ("fields", "@fields")]
        self.map.add_tools(TapTool(), HoverTool(tooltips=tooltips, formatters=as_read))
        self.wells.selected.on_change("indices", lambda attr, old, new: self._well_chosen())

    def _make_plot(self) -> None:
        self.groups_shown = FactorRange(factors=["all"])
        self.plot = figure(
            height=280, sizing_mode="stretch_width", tools="tap,box_zoom,wheel_zoom,reset", name="dots",
            x_range=self.groups_shown,
        )  # fmt: skip
        self.plot.scatter(  # type: ignore[call-arg]  # the same
            "x", "y", source=self.dots, size=6, color="colour", fill_alpha=0.6, line_color=None,
            nonselection_fill_alpha=0.25, selection_line_color="black", selection_line_width=2,
        )  # fmt: skip
        self.plot.xaxis.major_label_orientation = 0.6
        self.short = CustomJSTickFormatter(
            args={"names": [], "shown": []}, code="return shown[names.indexOf(tick)] ?? tick"
        )
        self.plot.xaxis.formatter = self.short
        told, as_read = hovered({"y": "value"})
        tooltips = [("field", "@field"), ("cell", "@label"), ("group", "@group"), *told]
        self.plot.add_tools(HoverTool(tooltips=tooltips, formatters=as_read))
        self.dots.selected.on_change("indices", lambda attr, old, new: self._dot_chosen())

    def _offer(self) -> None:
        """The groups that can be looked at alone."""
        values = in_order(self._groups_now().dropna().astype(str)) if self.by.value in self.fields else []
        self.only.param.update(options=words_of(values), value=[])
        self.refresh()

    def _groups_now(self) -> pd.Series:
        """What each field of the run is in that by which is compared now; "all" where they are alike."""
        if self.by.value not in self.fields:
            return pd.Series("all", self.fields.index)
        return _compared(self.fields, self.by.value)

    # --- what is shown

    def reload(self) -> None:
        """Take the run's tables anew."""
        self.fields, self.columns = _field_table(self.desk)
        self.groups, plates, only = _groups(self.fields), _plates(self.fields), self.only.value
        self.only.value = []
        for part, options in ((self.column, self.columns), (self.plate, plates), (self.by, self.groups or [NOTHING])):
            value = part.value if part.value in options else next(iter(options), None)
            part.param.update(options=options, value=value)
        self.column.visible, self.plate.visible, self.good.visible = (
            bool(self.columns), len(plates) > 1, "flagged" in self.fields,
        )  # fmt: skip
        self.compared.visible = LEFT_OUT in self.fields
        self._offer()
        self.only.value = [value for value in only if value in self.only.values]

    def shown(self) -> pd.DataFrame:
        """The fields that the filters leave."""
        found = self.fields
        if self.only.value:
            found = found[self._groups_now().astype(str).isin(self.only.value)]
        if self.good.value:
            found = found[~found["flagged"].fillna(False).astype(bool)]
        if self.compared.value and LEFT_OUT in found:
            found = found[found[LEFT_OUT].isna()]
        return found

    def refresh(self) -> None:
        """Draw map, dots and table for the column and the filters."""
        fields = self.shown()
        values = self._values(fields)
        finite = values[np.isfinite(values["value"])]  # what is infinite is in no mean, as in the tables
        known = fields.assign(value=fields["field"].map(finite.groupby("field")["value"].mean()))
        self._draw_map(known)
        self._draw_dots(fields, values)
        known_of = [name for name in fields if fields[name].dropna().astype(str).ne("").any()]
        names = ["field", *(n for n in ("well", self.by.value) if n in known_of and n != "field"), "value"]
        rest = [name for name in known_of if name not in names]
        self.table.selection = []
        fill(self.table, known[[*dict.fromkeys(names), *rest[:12]]].reset_index(drop=True))

    def _values(self, fields: pd.DataFrame) -> pd.DataFrame:
        """A row a cell, or a field where the column is one of fields: ``field, label, value``."""
        cells, name = self.desk.run.tables.get("cells"), self.column.value
        if cells is not None and name in cells:
            mine = cells[cells["field"].isin(fields["field"])]
            return pd.DataFrame({"field": mine["field"], "label": mine["label"], "value": mine[name].astype(float)})
        if name in fields:
            return pd.DataFrame({"field": fields["field"], "label": 0, "value": fields[name].astype(float)})
        return pd.DataFrame({"field": fields["field"], "label": 0, "value": 1.0})

    def _draw_map(self, known: pd.DataFrame) -> None:
        here = known[known["plate"] == self.plate.value]
        here = here[here["well"].notna()]
        if here.empty:
            self.map.visible = False
            return
        self.map.visible = True
        table = here.groupby("well").agg(value=("value", "mean"), fields=("field", "size")).reset_index()
        places = [split_well(well) for well in table["well"]]
        rows, columns = PLATE_SIZES[plate_size(here["well"])]
        table["x"], table["y"] = [column for _, column in places], [row_number(letters) for letters, _ in places]
        self.scale.visible = bool(table["value"].notna().any())
        if self.scale.visible:
            low, high = scale_of(table["value"])
            self.mapper.update(low=low, high=high)
        self.map.x_range.update(start=0.4, end=columns + 0.6)
        self.map.y_range.update(start=rows + 0.6, end=0.4)
        shown = list(range(1, rows + 1, max(1, rows // 16)))
        self.map.yaxis.ticker = shown
        self.map.yaxis.major_label_overrides = {n: row_letters(n) for n in shown}
        self.map.height = int(np.clip(26 * rows + 40, 160, 420))
        self.wells.data = {name: table[name].tolist() for name in ("x", "y", "well", "value", "fields")}

    def _draw_dots(self, fields: pd.DataFrame, values: pd.DataFrame) -> None:
        of_all = self._groups_now().set_axis(self.fields["field"])
        well = fields.set_index("field")["well"]
        table = values.assign(group=values["field"].map(of_all), well=values["field"].map(well))
        table = table.dropna(subset=["value"])
        total = len(table)
        if total > MOST_DOTS:
            table = table.sample(MOST_DOTS, random_state=0)
        table["group"] = _names_of(table["group"])
        groups = sorted(table["group"].unique(), key=number_order)
        self._drawn = f"{min(total, MOST_DOTS):,} of {total:,} dots, drawn fairly." if total > MOST_DOTS else ""
        self.tell_corrected()
        if list(self.groups_shown.factors) != groups:
            short = abbreviated(groups)
            self.short.args = {"names": list(short), "shown": list(short.values())}
            self.groups_shown.factors = groups or ["none"]
        side = np.random.default_rng(0).uniform(-0.3, 0.3, len(table))
        # of all fields, shown or not: a group keeps its colour
        colour = treatment_colours(sorted(_names_of(of_all).unique(), key=number_order))
        self.plot.yaxis.axis_label = as_written(axis_label(self.column.value or ""))
        self.dots.selected.indices = []
        self.dots.data = {
            "x": [(name, float(off)) for name, off in zip(table["group"], side)],
            "y": table["value"].tolist(),
            "field": table["field"].tolist(),
            "label": table["label"].tolist(),
            "well": table["well"].fillna("").tolist(),
            "group": table["group"].tolist(),
            "colour": [colour[name] for name in table["group"]],
        }

    def tell_corrected(self) -> None:
        """Say below the dots which fields are not drawn as they are corrected: they were measured before."""
        old = self.desk.run.unmeasured()
        few = ", ".join(old[:3]) + (f" and {len(old) - 3} more" if len(old) > 3 else "")
        said = f"Corrected since their cells were measured, and here as they were before: {few}." if old else ""
        self.note.object = as_is(" ".join(filter(None, (self._drawn, said))))

    def told(self, field: str) -> list[str]:
        """What is known of a field, in words: what its well was given, and why it is flagged."""
        row = self.fields[self.fields["field"] == field].iloc[0]
        return [
            f"{name} {row[name]}"
            for name in dict.fromkeys((*self.groups, "reasons", LEFT_OUT))
            if name in row and not pd.isna(row[name])
        ]

    # --- what is chosen

    def _well_chosen(self) -> None:
        if self._busy or not self.wells.selected.indices:
            return
        well = self.wells.data["well"][self.wells.selected.indices[0]]
        fields = self.shown()
        mine = fields[(fields["well"] == well) & (fields["plate"] == self.plate.value)]
        self.open_cell(str(mine["field"].iloc[0]), None)

    def _dot_chosen(self) -> None:
        if self._busy or not self.dots.selected.indices:
            return
        place = self.dots.selected.indices[0]
        label = int(self.dots.data["label"][place])
        self.open_cell(self.dots.data["field"][place], label or None)

    def _clicked(self, row: int) -> None:
        if not self._busy:
            self.open_cell(str(self.table.value["field"].iloc[row]), None)

    def show_choice(self, field: str, cells: list[int]) -> None:
        """Mark field and cells in map, dots and table, wherever they were chosen."""
        self._busy = True
        try:
            told = self.fields[self.fields["field"] == field].iloc[0]
            if told["plate"] in self.plate.options and self.plate.value != told["plate"]:
                self.plate.value = told["plate"]
            self.wells.selected.indices = [k for k, well in enumerate(self.wells.data["well"]) if well == told["well"]]
            dots, wanted = self.dots.data, set(cells)
            mine = [k for k, one in enumerate(dots["field"]) if one == field]
            self.dots.selected.indices = [k for k in mine if dots["label"][k] in wanted] if wanted else mine
            rows = np.flatnonzero(self.table.value["field"] == field)
            self.table.selection = [int(row) for row in rows]
            if len(rows):
                turn_to(self.table, int(rows[0]))
        finally:
            self._busy = False


def _field_table(desk: Desk) -> tuple[pd.DataFrame, list[str]]:
    """A row a field of the plate, with what is known of it; and the columns to map, those of cells first.

    Plates of one name on several dates have names that tell them apart. Where the map says more of wells than their
    treatment, ``condition`` is all of it: wells with and without an inhibitor are never one.
    """
    tables = desk.run.tables
    fields = desk.run.plate.table()
    compared = desk.run.record.get("stats") or {}  # how the run was told to compare wells
    treatment = compared.get("treatment") or "treatment"
    if treatment in fields and CONDITION not in fields:
        inhibitor, replicate = compared.get("inhibitor") or "inhibitor", compared.get("replicate")
        every = conditions(desk.run.plate, fields, treatment, inhibitor, replicate)
        fields = fields if every.equals(fields[treatment].astype(object)) else fields.assign(**{CONDITION: every})
    fields["plate"] = plates_apart(fields)
    if SAMPLE in fields and fields["well"].isna().all():
        fields[SAMPLE] = _samples(fields, compared.get("replicate"))
    images = tables["images"]
    told = [name for name in images if name not in fields]
    fields = fields.merge(images[["field", *told]], on="field", how="left")
    quality = tables.get("quality")
    if quality is not None:
        more = [name for name in quality if name not in fields]
        fields = fields.merge(quality[["field", *more]], on="field", how="left")
    if (ledger := tables.get("exclusions")) is not None:
        fields = fields.merge(ledger[["field", "reason"]].set_axis(["field", LEFT_OUT], axis=1), on="field", how="left")
    cells = tables.get("cells")
    names = [] if cells is None else [n for n in cells if cells[n].dtype.kind in "iufb" and n not in ("label", *PLACES)]
    first = [name for name in ("puncta_total", "area") if name in names]
    names = [*first, *(name for name in names if name not in first)]
    of_fields = [n for n in fields if fields[n].dtype.kind in "iufb" and n not in (*PLACES, *names)]
    return fields, [*names, *of_fields]


def _samples(fields: pd.DataFrame, replicate: str | None) -> pd.Series:
    """Names of dishes that tell those of several replicates apart, these as the run's comparison takes them."""
    if replicate is None and "replicate" in fields and fields["replicate"].notna().any():
        replicate = "replicate"
    try:
        nested = nest(fields.assign(treatment="any"), StatsSettings(replicate=replicate))
    except InputError:  # no comparison could be made by that column
        return samples_apart(fields)
    return samples_apart(fields.assign(replicate=nested["replicate"]))


def _names_of(groups: pd.Series) -> pd.Series:
    """Groups as text; "none" may be what was given, as an inhibitor, and is not what is not told."""
    return groups.astype(object).where(groups.notna(), NOT_TOLD).astype(str)


def _plates(fields: pd.DataFrame) -> list[str]:
    return sorted(set(fields["plate"]), key=number_order) or [""]


def _groups(fields: pd.DataFrame) -> list[str]:
    """The columns by which fields can be told apart."""
    return [name for name in fields if _is_group(_compared(fields, name), name)]


def _compared(fields: pd.DataFrame, name: str) -> pd.Series:
    """A column by which fields are compared: wells are those of their plate, A01 of another is another well."""
    if name != "well" or fields["plate"].nunique() < 2:
        return fields[name]
    return (fields["plate"] + " " + fields["well"]).str.strip()


def _is_group(column: pd.Series, name: str) -> bool:
    """Whether fields can be told apart by this: a few words, or a well."""
    words = column.dropna()
    return name != "field" and 1 < words.nunique() <= 48 and (of_words(words) or name in ("dose", "timepoint"))
