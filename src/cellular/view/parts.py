"""Parts of the page that Panel has in a form that not everybody can use: here in one that keyboards and readers can."""

from collections.abc import Callable
from typing import Any, cast

import panel as pn
from bokeh.models import Range1d

# Rows that a table shows at once.
ROWS = 8


def tick(name: str, value: bool = False, **how: Any) -> pn.widgets.CheckBoxGroup:
    """A box to tick that has its words as its name, which Panel's own has not; its value is an empty list or not."""
    return pn.widgets.CheckBoxGroup(options=[name], value=[name] if value else [], **how)


def press(button: pn.widgets.Button, action: Callable[[], None]) -> None:
    """Have `action` done when the button is pressed."""
    button.on_click(lambda _: action())


def ends(axis: Range1d) -> tuple[float, float]:
    """Start and end of an axis: numbers here, though Bokeh allows for dates too."""
    return cast(float, axis.start), cast(float, axis.end)


def number(name: str, kind: type = int, value: float | None = None, **how: Any) -> pn.widgets.LiteralInput:
    """A field for a number; without the arrows, buttons that no reader can name."""
    return pn.widgets.LiteralInput(name=name, type=kind, value=value, **how)
