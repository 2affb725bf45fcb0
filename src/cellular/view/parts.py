"""Parts of the page that Panel has in a form that not everybody can use: here in one that keyboards and readers can."""

import html
import re
from collections.abc import Callable, Iterable
from typing import Any, cast

import pandas as pd
import panel as pn
from bokeh.models import Range1d
from bokeh.models.widgets.tables import HTMLTemplateFormatter

from cellular.report.glue import NUMBER

# Rows that a table shows at once.
ROWS = 8
# A chosen row under the mouse: Tabulator's own blue is too dark for its letters.
HOVERED = ".tabulator-row.tabulator-selected:hover { background-color: #9abcea !important; }"


def as_is(text: str) -> str:
    r"""`text` for Markdown, every letter as it stands: a treatment may be called ``<b>`` or ``*x*``.

    >>> as_is("a_b <i>")
    'a\\_b \\<i\\>'
    """
    return re.sub(r"([\\`*_{}\[\]()<>#+!&|~-])", r"\\\1", text)


def words_of(values: Iterable[str]) -> dict[str, str]:
    """Values of a list to choose from by what stands for them where the browser takes it for HTML."""
    return {html.escape(value): value for value in values}


def tick(name: str, value: bool = False, **how: Any) -> pn.widgets.CheckBoxGroup:
    """A box to tick that has its words as its name, which Panel's own has not; its value is an empty list or not."""
    return pn.widgets.CheckBoxGroup(options=[name], value=[name] if value else [], **how)


def paged_table(name: str, table: pd.DataFrame, selectable: bool | int) -> pn.widgets.Tabulator:
    """A table by pages of :data:`ROWS` rows, which readers call `name`: see :data:`cellular.report.glue.GRIDS`."""
    return pn.widgets.Tabulator(
        table, pagination="remote", page_size=ROWS, disabled=True, selectable=selectable, show_index=False,
        sizing_mode="stretch_width", height=330, layout="fit_data", tags=[name], stylesheets=[HOVERED],
    )  # fmt: skip


def fill(table: pn.widgets.Tabulator, rows: pd.DataFrame) -> None:
    """Show these rows, in the order that the table is sorted by as far as they have its columns."""
    order = [by for by in table.sorters if by["field"] in rows]
    table.param.update(value=rows, formatters=numbers_of(rows), sorters=order)


def turn_to(table: pn.widgets.Tabulator, row: int) -> None:
    """Show the page of a row of the table's value, in the order that the table is sorted by now."""
    table.page = list(table.current_view.index).index(table.value.index[row]) // ROWS + 1


def numbers_of(table: pd.DataFrame) -> dict[str, HTMLTemplateFormatter]:
    """How a table's fractions are told; Panel's own have six decimals, and 0.0000004 is 0."""
    return {
        name: HTMLTemplateFormatter(template=f"<%= ({NUMBER})(value) %>") for name in table.select_dtypes("floating")
    }


def press(button: pn.widgets.Button, action: Callable[[], None]) -> None:
    """Have `action` done when the button is pressed."""
    button.on_click(lambda _: action())


def ends(axis: Range1d) -> tuple[float, float]:
    """Start and end of an axis: numbers here, though Bokeh allows for dates too."""
    return cast(float, axis.start), cast(float, axis.end)


def number(name: str, kind: type = int, value: float | None = None, **how: Any) -> pn.widgets.LiteralInput:
    """A field for a number; without the arrows, buttons that no reader can name."""
    return pn.widgets.LiteralInput(label=name, type=kind, value=value, **how)
