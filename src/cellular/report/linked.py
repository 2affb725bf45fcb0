"""Figures of the same cells: SuperPlot, map, table and plate, as Bokeh models on one source of rows.

A cell that is selected in one of them is selected in all, since the rows are the same. Plain functions, data in and
models out; :func:`link` ties a plate's wells and a viewer to them.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from bokeh.models import (
    BooleanFilter,
    CDSView,
    ColumnDataSource,
    CustomJS,
    FixedTicker,
    GroupFilter,
    HoverTool,
    LinearColorMapper,
    Range1d,
)
from bokeh.models.annotations.labels import Label, Title
from bokeh.models.annotations.legends import ColorBar, Legend, LegendItem
from bokeh.models.renderers.glyph_renderer import GlyphRenderer
from bokeh.models.ui.ui_element import UIElement
from bokeh.models.widgets.inputs import MultiSelect, Select
from bokeh.models.widgets.markups import Div
from bokeh.models.widgets.sliders import RangeSlider
from bokeh.models.widgets.tables import DataTable, HTMLTemplateFormatter, TableColumn
from bokeh.palettes import Viridis256
from bokeh.plotting import figure

from cellular.autophagy.compare.design import in_order
from cellular.autophagy.measure.documentation import axis_label
from cellular.data.wells import PLATE_SIZES, plate_size, row_letters, row_number, split_well
from cellular.report import glue
from cellular.report.colours import scale_of
from cellular.report.style import PALETTE, treatment_looks
from cellular.report.viewer import Choices, Viewer, abbreviated, as_written, hovered, slider_numbers

# Cells on a page: all of the fields that are shown, and of the others as many as make this number.
CELLS_SHOWN = 10_000
# Measurements that a reader can choose between, those of the comparison first.
FEATURES_SHOWN = 24
MARKERS = ("circle", "square", "triangle", "diamond", "inverted_triangle", "hex", "star", "plus")
_TOOLS = "pan,wheel_zoom,box_zoom,lasso_select,tap,reset,save"
_FAINT = 0.12
# Entries of a legend at most; a longer one leaves no room to the plot. px that a treatment takes on an axis, at least.
_LEGEND, _WIDE = 14, 24
# What tells where a cell is from, as far as the page knows it.
PLACES = ("replicate", "sample", "plate", "well")
# Letters that a number takes in the table, at least.
_DIGITS = 8


def choose_rows(cells: pd.DataFrame, shown: Sequence[str], most: int = CELLS_SHOWN, seed: int = 0) -> pd.DataFrame:
    """The cells that a page holds: those of the fields `shown`, and of the others as many as make `most`, at random."""
    if len(cells) <= most:
        return cells
    here = cells["field"].isin(shown)
    others = cells[~here].sample(max(0, min(most - int(here.sum()), int((~here).sum()))), random_state=seed)
    return cells.loc[cells.index[here].union(others.index)]


def cell_source(
    cells: pd.DataFrame,
    features: Sequence[str],
    outlines: Mapping[tuple[str, int], tuple[np.ndarray, np.ndarray]],
    frames: Sequence[str],
    *,
    unit: str = "well",
) -> ColumnDataSource:
    """One row a cell, for every figure of the page.

    Parameters
    ----------
    cells : ``field, label, x, y`` and, where known, ``treatment``, ``replicate``, ``sample``, ``plate``, ``well``,
        ``flagged``, ``state``, ``first`` and ``second`` of a map, and the `features`.
    outlines : by field and label. frames : fields that the viewer shows, in its order.
    unit : column of the replicates (or wells) that have their own colour.
    """
    number = {name: k for k, name in enumerate(frames)}
    own: list[Any] = [outlines.get((field, label), ([], [])) for field, label in zip(cells["field"], cells["label"])]
    data: dict[str, Any] = {
        "field": cells["field"].astype(str).tolist(),
        # ids of a database do not fit 32 bits with a sign, and Bokeh has no integers of 64
        "label": cells["label"].to_numpy(np.float64),
        "frame": cells["field"].map(number).fillna(-1).to_numpy(np.int32),
        "x": cells["x"].to_numpy(np.float32) + 0.5,
        "y": cells["y"].to_numpy(np.float32) + 0.5,
        "xs": [xs for xs, _ in own],
        "ys": [ys for _, ys in own],
    }
    for name in dict.fromkeys(("treatment", *PLACES, "state", "verdict", unit)):
        if name in cells:
            data[name] = cells[name].astype(object).where(cells[name].notna(), "").astype(str).tolist()
    data["flagged"] = cells["flagged"].to_numpy(bool).tolist() if "flagged" in cells else [False] * len(cells)
    for name in dict.fromkeys([*features, "first", "second"]):
        if name in cells:
            data[name] = cells[name].to_numpy(np.float32, na_value=np.nan)
    data["well_row"] = np.full(len(cells), -1, np.int32)
    return ColumnDataSource(data)


def _places(treatments: Sequence[str], order: Sequence[str], seed: int) -> np.ndarray:
    """Where each cell stands sideways in a SuperPlot: by its treatment in `order`, a little to the left or right."""
    at = np.array([order.index(name) if name in order else np.nan for name in treatments], np.float32)
    return at + np.random.default_rng(seed).uniform(-0.3, 0.3, len(at)).astype(np.float32)


def _treatments(values: Iterable[Any]) -> list[str]:
    return in_order({value for value in values if value})


def superplot_figure(
    cells: ColumnDataSource,
    means: pd.DataFrame,
    feature: str,
    view: CDSView,
    *,
    unit: str = "well",
    width: int = 460,
    seed: int = 0,
) -> tuple[figure, list]:
    """Every cell a dot, every unit's mean a large marker; returned with the renderers whose value can be changed.

    `means` has a row a treatment and unit: ``treatment``, `unit` and a column a feature. Of some treatments there may
    be no cell among those of the page.
    """
    treatments = _treatments([*cells.data["treatment"], *means["treatment"].astype(str)])
    short = abbreviated(treatments)
    cells.data["place"] = _places(list(cells.data["treatment"]), treatments, seed)
    units = in_order(means[unit].astype(str))
    colour = {name: PALETTE[k % len(PALETTE)] for k, name in enumerate(units)}
    cells.data["unit_colour"] = [colour.get(name, "#666666") for name in cells.data[unit]]
    hint = "" if len(units) <= _LEGEND else f"; point at one for its {unit}"
    shown = figure(
        width=max(width, _WIDE * len(treatments)), height=360, tools=_TOOLS, name="superplot",
        x_range=Range1d(start=-0.6, end=len(treatments) - 0.4), toolbar_location="above",
        active_drag="lasso_select", title="Cells and the means of units" + hint,
    )  # fmt: skip
    shown.xaxis.ticker = FixedTicker(ticks=list(range(len(treatments))))
    shown.xaxis.major_label_overrides = {k: as_written(short[name]) for k, name in enumerate(treatments)}
    shown.xaxis.major_label_orientation = 0.6 if len(treatments) > 3 else 0
    shown.yaxis.axis_label = as_written(axis_label(feature))
    dots = shown.scatter("place", feature, source=cells, view=view, size=4, color="unit_colour", alpha=0.35)
    _marked(dots)
    data = {name: means[name].to_numpy(float) for name in means if name not in ("treatment", unit)}
    shift = np.array([(units.index(str(u)) - (len(units) - 1) / 2) * min(0.08, 0.5 / len(units)) for u in means[unit]])
    data |= {"place": [treatments.index(t) for t in means["treatment"].astype(str)] + shift, "unit": list(means[unit])}
    data |= {"colour": [colour[str(u)] for u in means[unit]], "treatment": list(means["treatment"])}
    data |= {"marker": [MARKERS[units.index(str(u)) % len(MARKERS)] for u in means[unit]]}
    large = shown.scatter(
        "place", feature, source=ColumnDataSource(data), size=13, color="colour", marker="marker", line_color="black"
    )
    shown.add_tools(HoverTool(renderers=[large], tooltips=[(unit, "@unit"), ("treatment", "@treatment")]))
    # else those of the treatments, in the legend of the map beside it, would be taken for theirs
    if len(units) <= _LEGEND:
        told, few = abbreviated(units), len(units) <= 4
        first = [list(means[unit].astype(str)).index(name) for name in units]
        dots_of: Any = [large]
        items = [LegendItem(label={"value": told[name]}, renderers=dots_of, index=k) for name, k in zip(units, first)]
        look: dict[str, Any] = {"title": unit, "label_text_font_size": "8pt"}
        legend = Legend(items=items, orientation="horizontal" if few else "vertical", **look)
        shown.add_layout(legend, "below" if few else "right")
    return shown, [dots, large]


def map_figure(
    cells: ColumnDataSource,
    view: CDSView,
    by: str = "treatment",
    *,
    names: tuple[str, str],
    colours: Mapping[str, str] | None = None,
    page: Sequence[str] = (),
    width: int = 460,
) -> figure:
    """All cells in two dimensions, ``first`` and ``second``, coloured and marked by what column `by` says.

    `page` are all treatments of the page: in all its figures they look the same.
    """
    entries = _treatments(cells.data[by])
    looks = _condition_looks(entries, page)
    colours = colours or {name: colour for name, (colour, _) in looks.items()}
    markers = {name: marker for name, (_, marker) in looks.items()}
    cells.data["map_colour"] = [colours.get(name, "#666666") for name in cells.data[by]]
    cells.data["map_marker"] = [markers.get(name, "dot") for name in cells.data[by]]
    shown = figure(
        width=width,
        height=360,
        tools=_TOOLS,
        active_drag="lasso_select",
        toolbar_location="above",
        name="map",
        x_axis_label=as_written(names[0]),
        y_axis_label=as_written(names[1]),
        title="Map of all cells" + ("" if len(entries) <= _LEGEND else f"; point at one for its {by}"),
    )
    look: dict[str, Any] = {"color": "map_colour", "marker": "map_marker", "size": 5, "alpha": 0.5}
    dots = shown.scatter("first", "second", source=cells, view=view, **look)
    _marked(dots)
    shown.add_tools(HoverTool(renderers=[dots], tooltips=[(by, f"@{by}"), ("field", "@field"), ("cell", "@label")]))
    if len(entries) > _LEGEND:
        return shown
    short = abbreviated(entries)
    for name in entries:  # a legend of the cells' own dots would be as faint and as small
        shown.scatter([np.nan], [np.nan], color=colours[name], marker=markers[name], size=8, legend_label=short[name])
    shown.legend.label_text_font_size = "8pt"
    few = len(entries) <= 4
    shown.legend.orientation = "horizontal" if few else "vertical"
    shown.add_layout(shown.legend[0], "below" if few else "right")
    return shown


def _condition_looks(entries: Sequence[str], page: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Colour and marker of conditions: the colour of the treatment that each begins with, as far as they stay apart."""
    of = {name: max((t for t in page if f"{name}, ".startswith(f"{t}, ")), key=len, default=name) for name in entries}
    looks = treatment_looks(list(of.values()), page, MARKERS)
    kin = {
        name: looks[own] if name == own else (looks[own][0], MARKERS[k % len(MARKERS)])
        for k, (name, own) in enumerate(of.items())
    }
    return kin if len(set(kin.values())) == len(kin) else treatment_looks(entries, page, MARKERS)


def _marked(dots: GlyphRenderer) -> None:
    """Selected dots stand out by size and rim, not by colour alone; the others step back."""
    dots.selection_glyph = dots.glyph.clone(size=10, fill_alpha=1, line_color="black", line_alpha=1, line_width=1.5)
    dots.nonselection_glyph = dots.glyph.clone(fill_alpha=_FAINT, line_alpha=_FAINT)


def cell_table(cells: ColumnDataSource, features: Sequence[str], view: CDSView) -> DataTable:
    """The cells as a table; wider than the page it scrolls."""
    names = [name for name in PLACES if len(set(cells.data.get(name, ()))) > 1]
    told = [name for name in ("field", "label", "treatment", *names, "state", "verdict") if name in cells.data]
    longest = {name: max(map(len, map(str, cells.data[name])), default=0) for name in told}
    columns = [TableColumn(field=n, title=n, width=20 + 7 * max(len(n), longest[n])) for n in told]
    numbers = HTMLTemplateFormatter(template=f"<%= ({glue.NUMBER})(value) %>")
    titles = {feature: axis_label(feature) for feature in features}
    wide = {feature: 20 + 7 * max(len(title), _DIGITS) for feature, title in titles.items()}
    columns += [TableColumn(field=f, title=t, formatter=numbers, width=wide[f]) for f, t in titles.items()]
    look: dict[str, Any] = {
        "reorderable": False,
        "autosize_mode": "none",
        "scroll_to_selection": True,
        "selectable": True,
        "index_position": None,
    }
    return DataTable(
        source=cells, columns=columns, view=view, sizing_mode="stretch_width", height=300, name="table", **look
    )


def plate_figures(wells: pd.DataFrame, feature: str) -> tuple[ColumnDataSource, LinearColorMapper, list[figure], list]:
    """A heatmap a plate: its wells' source, the mapper of colours, the figures and their renderers.

    `wells` has a row a well: ``plate``, ``well``, ``treatment`` where known, and a column a feature.
    """
    size = plate_size(wells["well"])
    rows, columns = PLATE_SIZES[size]
    places = [split_well(well) for well in wells["well"]]
    measured = list(wells.select_dtypes("number"))
    data = {name: wells[name].to_numpy(float) for name in measured}
    data |= {"well": wells["well"].tolist(), "plate": wells["plate"].fillna("").astype(str).tolist()}
    data |= {"column": [c for _, c in places], "row": [row_number(letters) for letters, _ in places]}
    data |= {
        "treatment": wells["treatment"].fillna("").astype(str).tolist() if "treatment" in wells else [""] * len(wells)
    }
    source = ColumnDataSource(data)
    low, high = scale_of(wells[feature])  # without a value every well is grey, whatever the scale
    mapper = LinearColorMapper(palette=Viridis256, low=low, high=high, nan_color="#dddddd")
    figures, drawn = [], []
    longest = max(len(axis_label(name)) for name in measured)  # which stands above the wells, and must fit
    for plate in dict.fromkeys(data["plate"]):
        shown = figure(
            width=max(min(460, 22 * columns) + 150, 7 * longest + 60),
            height=min(300, 22 * rows) + 90,
            sizing_mode="fixed",
            tools="tap,box_select,save",
            x_range=Range1d(start=0.5, end=columns + 0.5),
            y_range=Range1d(start=rows + 0.5, end=0.5),
            title=Title(text=as_written(plate or "plate")),
            name="plate",
            toolbar_location="above",
            x_axis_location="above",
        )
        shown.xaxis.ticker = FixedTicker(ticks=list(range(1, columns + 1, max(1, columns // 12))))
        shown.xaxis.axis_label = as_written(axis_label(feature))
        shown.grid.visible = False
        step = max(1, rows // 16)
        shown.yaxis.ticker = FixedTicker(ticks=list(range(1, rows + 1, step)))
        shown.yaxis.major_label_overrides = {k: row_letters(k) for k in range(1, rows + 1, step)}
        view = CDSView(filter=GroupFilter(column_name="plate", group=plate))
        look: dict[str, Any] = {"fill_color": {"field": feature, "transform": mapper}, "line_color": "#888888"}
        wells_drawn = shown.rect("column", "row", 0.92, 0.92, source=source, view=view, **look)
        wells_drawn.selection_glyph = wells_drawn.glyph.clone(line_color="black", line_width=3)
        # not paler: their colours are those of the scale
        wells_drawn.nonselection_glyph = wells_drawn.glyph.clone()
        told, as_read = hovered({name: axis_label(name) for name in measured})
        tooltips = [("well", "@well"), ("treatment", "@treatment"), told[measured.index(feature)]]
        shown.add_tools(HoverTool(tooltips=tooltips, formatters=as_read))
        shown.add_layout(ColorBar(color_mapper=mapper, width=10), "right")
        figures.append(shown)
        drawn.append(wells_drawn)
    return source, mapper, figures, drawn


def feature_choice(
    features: Sequence[str], changed: Sequence, axis: object, wells: ColumnDataSource | None = None,
    mapper: LinearColorMapper | None = None, drawn: Sequence = (), plates: Sequence[figure] = (),
) -> Select:  # fmt: skip
    """What the SuperPlot and the plate show: one of the `features`."""
    what = Select(title="Shown", value=features[0], options=_named(features), name="feature")
    told: dict[str, Any] = {"features": list(features), "names": [axis_label(name) for name in features], "what": what}
    if changed:
        args = told | {"renderers": list(changed), "axis": axis}
        what.js_on_change("value", CustomJS(args=args, code=glue.FEATURE))
    if wells is not None:
        hovers = [hover for plate in plates for hover in plate.hover]
        args = told | {"mapper": mapper, "renderers": list(drawn), "hovers": hovers}
        args["scales"] = [scale_of(wells.data.get(name, [])) for name in features]
        args["axes"] = [axis for plate in plates for axis in plate.xaxis]
        what.js_on_change("value", CustomJS(args=args, code=glue.WELL_FEATURE))
    return what


def _named(features: Sequence[str]) -> Choices:
    return [(feature, axis_label(feature)) for feature in features]


def filters(
    cells: ColumnDataSource, features: Sequence[str], passing: BooleanFilter, notes: Sequence[Title | Label] = ()
) -> list[UIElement]:
    """Widgets that narrow all figures to cells of some treatments, replicates, plates, wells, quality or values.

    `notes` (:func:`cellular.report.filtered.add_note`) are made to say by which.
    """
    columns = [name for name in ("treatment", *PLACES) if len(set(cells.data.get(name, ()))) > 1]
    choices = [
        MultiSelect(
            title=name.capitalize(), options=[*in_order(filter(None, cells.data[name]))], name=f"by_{name}", width=230
        )
        for name in columns
    ]
    kinds: Choices = ["all", "usual", "flagged"]
    quality = Select(title="Quality of the field", value="all", options=kinds, name="by_quality")
    what = Select(title="Value of", value=features[0], options=_named(features), name="by_value")
    known = np.asarray(cells.data[features[0]], float)
    known = known[np.isfinite(known)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    high = high if high > low else low + 1
    look: dict[str, Any] = {"format": slider_numbers(), "name": "by_range"}
    value = RangeSlider(title="between", start=low, end=high, value=(low, high), step=(high - low) / 200, **look)
    told = Div(text=f"{len(cells.data['field'])} of {len(cells.data['field'])} cells pass the filters.", name="passing")
    args = {"cells": cells, "passing": passing, "columns": columns, "choices": choices, "quality": quality}
    narrow = CustomJS(args=args | {"what": what, "value": value, "told": told, "notes": list(notes)}, code=glue.FILTER)
    what.js_on_change("value", CustomJS(args={"cells": cells, "what": what, "value": value}, code=glue.SPAN), narrow)
    for widget in (*choices, quality, value):
        widget.js_on_change("value", narrow)
    return [*choices, quality, what, value, told]


def link(cells: ColumnDataSource, viewer: Viewer, wells: ColumnDataSource | None = None) -> Div:
    """Let cells that are selected show their field and wells, and wells select their cells; returns what it says."""
    told = Div(text="No cell is selected.", name="selected", render_as_text=True)
    if wells is not None:
        row = {key: k for k, key in enumerate(zip(wells.data["plate"], wells.data["well"]))}
        plates = cells.data.get("plate", [""] * len(cells.data["field"]))
        cells.data["well_row"] = np.array([row.get(key, -1) for key in zip(plates, cells.data["well"])], np.int32)
        wells.selected.js_on_change("indices", CustomJS(args={"cells": cells, "wells": wells}, code=glue.WELLS))
    args: dict[str, Any] = {
        "cells": cells,
        "wells": wells,
        "frames": viewer.frames,
        "where": viewer.where,
        "when": viewer.when,
    }
    args |= {"figure": viewer.figure, "here": viewer.here, "passing": viewer.passing, "told": told}
    cells.selected.js_on_change("indices", CustomJS(args=args, code=glue.SAID + glue.SELECTED))
    viewer.passing.js_on_change("booleans", CustomJS(args=args, code=glue.SAID))
    return told
