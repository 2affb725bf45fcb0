"""What follows from filters of cells: what belongs to a cell goes with it, and a figure that is saved tells of them."""

from typing import Any

import numpy as np
import pandas as pd
from bokeh.models import BooleanFilter, CDSView, ColumnDataSource, CustomJS, GroupFilter, PlainText
from bokeh.models.annotations.labels import Label, Title
from bokeh.plotting import figure

from cellular.report import glue


def rows_of(cells: ColumnDataSource, of: pd.DataFrame) -> np.ndarray:
    """(N,) int32 row in `cells` of the cell to which each row of `of` (``frame, label``) belongs; -1 for none."""
    if "label" not in of or "label" not in cells.data:
        return np.full(len(of), -1, np.int32)
    row = {key: k for k, key in enumerate(zip(cells.data["frame"], cells.data["label"]))}
    return np.array([row.get(key, -1) for key in zip(of["frame"], of["label"])], np.int32)


def view_of(source: ColumnDataSource, here: GroupFilter, passing: BooleanFilter) -> CDSView:
    """What `here` leaves of `source`, and `passing` of the cells that its ``cell`` (:func:`rows_of`) tells."""
    own = BooleanFilter()
    args = {"own": own, "passing": passing, "source": source}
    passing.js_on_change("booleans", CustomJS(args=args, code=glue.FOLLOW))
    return CDSView(filter=here & own)


def add_note(shown: figure, over: bool = False) -> Title | Label:
    """Room in a figure for a sentence on filters, below it or, where its size is that of a picture, over it."""
    look: dict[str, Any] = {"text": PlainText(text=""), "text_font_size": "8pt", "visible": False}
    if not over:
        below = Title(text_font_style="normal", **look)
        shown.add_layout(below, "below")
        return below
    look |= {"background_fill_color": "white", "background_fill_alpha": 0.8}
    note = Label(x=4, y=4, x_units="screen", y_units="screen", **look)
    shown.add_layout(note)
    return note
