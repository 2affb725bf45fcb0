"""The part of a page that is looked into: fields, their cells, and every figure of them, on one selection."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from bokeh.document import Document
from bokeh.events import DocumentReady
from bokeh.models import CDSView, Column, ColumnDataSource, CustomJS, Row, Toolbar
from bokeh.models.renderers.glyph_renderer import GlyphRenderer
from bokeh.models.ui.ui_element import UIElement
from bokeh.plotting import figure

from cellular.autophagy.compare.design import in_order
from cellular.report import glue
from cellular.report.filtered import add_note
from cellular.report.linked import (
    FEATURES_SHOWN,
    PLACES,
    cell_source,
    cell_table,
    feature_choice,
    filters,
    link,
    map_figure,
    plate_figures,
    superplot_figure,
)
from cellular.report.viewer import WRAP, Frame, Viewer, field_viewer

# Columns that say which cell it is, not how it is.
_NO_MEASUREMENT = {"label", *PLACES, "site", "timepoint", "dose", "track", "lineage", "first", "second"}
# Columns of the table and of what is said where a cell is hovered.
_TOLD = 10


@dataclass(frozen=True)
class Explored:
    """What there is to look into.

    Attributes
    ----------
    frames : the fields that are shown. outlines : of their cells, by (field, label).
    cells : rows as of :func:`cellular.report.linked.cell_source`. features : measurements, the main ones first.
    means : of units, as :func:`cellular.report.linked.superplot_figure` takes them; None without treatments.
    wells : as :func:`cellular.report.linked.plate_figures` takes them; None without.
    puncta, steps, layers : as :func:`cellular.report.viewer.field_viewer` takes them.
    unit : whose means are shown. treatments : of the comparison, which look the same in all figures of the page.
    map_names : of the axes of the map.
    """

    frames: Sequence[Frame]
    outlines: dict[tuple[str, int], tuple[np.ndarray, np.ndarray]]
    cells: pd.DataFrame
    features: Sequence[str]
    means: pd.DataFrame | None = None
    wells: pd.DataFrame | None = None
    puncta: pd.DataFrame | None = None
    steps: pd.DataFrame | None = None
    layers: dict[str, tuple[str, str, str, str]] = field(default_factory=dict)
    further: dict[str, tuple] = field(default_factory=dict)
    unit: str = "well"
    treatments: Sequence[str] = ()
    map_names: tuple[str, str] = ("component 1", "component 2")


def explorer(told: Explored) -> Document:
    """All of it as a Bokeh document: the picture, SuperPlot and map, plate, filters and the table.

    Without a cell the picture alone: it may show why there is none.
    """
    features = list(told.features)
    cells = cell_source(told.cells, features, told.outlines, [f.field for f in told.frames], unit=told.unit)
    tips = [("cell", "@label"), *((n, f"@{n}") for n in ("treatment", "well", "state", "verdict") if n in cells.data)]
    viewer = field_viewer(
        told.frames,
        cells,
        puncta=told.puncta,
        outlines=told.layers or None,
        further=told.further or None,
        steps=told.steps,
        tooltips=tips,
        numbers=features[:_TOLD],
    )
    rest = _of_cells(told, cells, viewer) if len(told.cells) else []
    document = Document()
    document.add_root(Column(children=[viewer.layout, *rest], name="explorer", sizing_mode="stretch_width"))
    # all that the document knows already: to select means to walk through every value once more
    for toolbar in (model for model in document.models if isinstance(model, Toolbar)):
        toolbar.logo = None
    of_table = [CustomJS(args={"table": rest[-1]}, code=code) for code in (glue.LEAVE, glue.ROWS)] if rest else []
    document.js_on_event(DocumentReady, *viewer.show, *of_table, CustomJS(code=glue.NAMES))
    return document


def _of_cells(told: Explored, cells: ColumnDataSource, viewer: Viewer) -> list[UIElement]:
    """What is below the picture: plots, plates, filters and, last, the table, all of the same cells."""
    features = list(told.features)
    view = CDSView(filter=viewer.passing)
    plots: list[figure] = []
    changed: list[GlyphRenderer] = []
    plates: list[figure] = []
    if told.means is not None and len(told.means):
        superplot, changed = superplot_figure(cells, told.means, features[0], view, unit=told.unit)
        plots.append(superplot)
    by = next((name for name in ("treatment", "verdict") if name in cells.data), None)
    if "first" in cells.data and by is not None:
        drawn_in = {value: colour for column, value, colour, _ in told.layers.values() if column == by}
        plots.append(map_figure(cells, view, by, names=told.map_names, colours=drawn_in, page=told.treatments))
    drawn: list[GlyphRenderer] = []
    wells = mapper = None
    if told.wells is not None and len(told.wells):
        wells, mapper, plates, drawn = plate_figures(told.wells, features[0])
    axis = plots[0].yaxis[0] if changed else None
    choice = [feature_choice(features, changed, axis, wells, mapper, drawn, plates)] if changed or wells else []
    said = link(cells, viewer, wells)
    shown = (Row(children=[*figures], **WRAP) for figures in (plots, plates) if figures)
    notes = [add_note(viewer.figure, over=True), *map(add_note, plots)]
    narrowed = Row(children=filters(cells, features, viewer.passing, notes), **WRAP)
    return [said, *choice, *shown, narrowed, cell_table(cells, features[:_TOLD], view)]


def measurements(cells: pd.DataFrame, first: Sequence[str], most: int = FEATURES_SHOWN) -> list[str]:
    """Numeric columns that differ between cells (any, where none does), those of `first` in front, at most `most`."""
    numbers = [name for name in cells.select_dtypes("number") if name not in _NO_MEASUREMENT and name not in ("x", "y")]
    differ = [name for name in numbers if cells[name].min() < cells[name].max()] or numbers
    return list(dict.fromkeys([*(name for name in first if name in differ), *differ]))[:most]


def unit_means(cells: pd.DataFrame, features: Sequence[str], unit: str) -> pd.DataFrame:
    """Means of units by treatment as in the comparison: images count alike, however many cells they hold."""
    known = cells[cells["treatment"].notna() & cells[unit].notna()]
    return _means(known, [unit, "treatment"], features).reset_index()


def well_table(cells: pd.DataFrame, features: Sequence[str]) -> pd.DataFrame:
    """A row a well: ``plate, well, treatment`` (where known) and the mean of every feature over its images.

    Of a well that holds several arms no mean is one of the well: it has none, and names them all.
    """
    keys = ["plate", "well"]
    known = cells[cells["well"].notna()].assign(plate=cells["plate"].fillna("") if "plate" in cells else "")
    wells = _means(known, keys, features)
    if "treatment" in known:
        arms = known[[*keys, "treatment"]].drop_duplicates().groupby(keys, observed=True, dropna=False)["treatment"]
        wells.loc[arms.size() > 1] = np.nan
        wells.insert(0, "treatment", arms.agg(lambda names: " / ".join(in_order(names.dropna())) or None))
    return wells.reset_index()


def _means(cells: pd.DataFrame, keys: list[str], features: Sequence[str]) -> pd.DataFrame:
    """Means of the images' means by `keys`; what is infinite is in none, as in the comparison."""
    finite = cells[list(features)].replace([np.inf, -np.inf], np.nan)
    images = finite.groupby([cells[name] for name in (*keys, "field")], observed=True).mean()
    return images.groupby(keys, observed=True).mean()
