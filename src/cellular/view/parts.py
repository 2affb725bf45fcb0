"""Parts of the page that Panel has in a form that not everybody can use: here in one that keyboards and readers can."""

from typing import Any

import panel as pn


def tick(name: str, value: bool = False, **how: Any) -> pn.widgets.CheckBoxGroup:
    """A box to tick that has its words as its name, which Panel's own has not; its value is an empty list or not."""
    return pn.widgets.CheckBoxGroup(options=[name], value=[name] if value else [], **how)


def number(name: str, kind: type = int, value: float | None = None, **how: Any) -> pn.widgets.LiteralInput:
    """A field for a number; without the arrows, buttons that no reader can name."""
    return pn.widgets.LiteralInput(name=name, type=kind, value=value, **how)
