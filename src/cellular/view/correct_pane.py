"""Correcting by mouse, by buttons and by keyboard: each stroke is on disk before the next one is drawn."""

from collections.abc import Callable
from functools import partial
from typing import Any

import panel as pn

from cellular.autophagy.state.by_hand import choices_of
from cellular.errors import CellularError, InputError
from cellular.jobs.corrections import FieldCorrections
from cellular.jobs.corrections_log import STATE
from cellular.labels.edit import NONZERO
from cellular.view.field_pane import FieldPane
from cellular.view.parts import number, press

# What a drag or a click in the picture means, and the tool that takes it.
MODES = {
    "Move and choose": "pan",
    "Choose by lasso": "lasso",
    "Draw a cell": "pen",
    "Reshape the chosen": "pen",
    "Cut the chosen": "pen",
    "Part by two points": "seeds",
}
# A stroke of the pen has a point a pixel of the screen: no cell needs more.
MOST_POINTS = 4000


class CorrectPane:
    """Tools for the field that `pane` shows; `changed` is called after each stroke."""

    def __init__(self, pane: FieldPane, tell: Callable[[str], None], changed: Callable[[], None]) -> None:
        self.pane, self.tell, self.changed = pane, tell, changed
        self.mode = pn.widgets.RadioButtonGroup(
            label="mode", options=list(MODES), value="Move and choose", variant="outline", color="primary",
            sizing_mode="stretch_width", stylesheets=[".bk-btn-group { flex-wrap: wrap; }"],
        )  # fmt: skip
        self.mode.param.watch(self._switch, "value")
        actions = {
            "Delete": self._delete, "Merge": self._merge, "Undo": self._undo, "Redo": self._redo,
            "Field is right": self._check,
        }  # fmt: skip
        self.buttons = {name: pn.widgets.Button(label=name, width=110) for name in actions}
        for name, action in actions.items():
            press(self.buttons[name], partial(self._pressed, action))
        states = choices_of(pane.desk.run.tables.get("cells"))
        self.states = {name: pn.widgets.Button(label=name, width=125) for name in states}
        for name, state in states.items():
            press(self.states[name], partial(self._pressed, partial(self._tell_state, state)))
        self.cell = number("Cell number", width=110)
        self.cell.param.watch(lambda event: self._choose(event.new), "value")
        self.corners = pn.widgets.TextInput(
            label="Corners instead of a stroke, x,y in px", placeholder="10,12 30,12 30,40", width=300
        )
        self.apply = pn.widgets.Button(label="Apply corners", width=120)
        self.apply.on_click(lambda _: self._pressed(self._by_corners))
        pane.pen.on_change("data", lambda attr, old, new: self._guarded(self._stroke))
        pane.seeds.on_change("data", lambda attr, old, new: self._guarded(self._part))
        self.view = pn.Column(
            self.mode,
            pn.FlexBox(*self.buttons.values()),
            pn.FlexBox(pn.pane.HTML("State of the chosen:", align="center"), *self.states.values()),
            pn.Card(
                pn.FlexBox(self.cell, self.corners, self.apply),
                title="By keyboard", collapsed=True, sizing_mode="stretch_width",
            ),
            sizing_mode="stretch_width",
        )  # fmt: skip
        self.refresh()

    def refresh(self) -> None:
        """Enable what can be done now."""
        if self.pane.item is None:
            return
        for name in ("pen", "seeds"):  # what is drawn says on which field: the browser may still show the one before
            self.pane.tools[name].update(default_overrides={"field": self.pane.item.name})
        try:
            found = self.pane.desk.correcting(self.pane.item)
        except CellularError as error:
            self.tell(str(error))
            self.view.visible = False
            return
        self.view.visible = True
        self.buttons["Undo"].disabled, self.buttons["Redo"].disabled = not found.can_undo, not found.can_redo

    def _switch(self, event: Any) -> None:
        """Give the mouse to the mode's tool."""
        bar, tool = self.pane.figure.toolbar, self.pane.tools[MODES[event.new]]
        drawing = MODES[event.new] in ("pen", "seeds")  # Bokeh's tools for several gestures have a place of their own
        if not drawing:
            # first: a pen that goes takes with it, in the browser, what has its drags and taps by then
            bar.active_multi = None
        bar.update(
            active_drag=None if drawing else tool,
            active_tap=None if drawing else self.pane.tools["tap"],
            active_multi=tool if drawing else None,
        )
        self._clear()

    def _clear(self) -> None:
        """Take away what the tools have drawn."""
        if self.pane.pen.data["xs"]:
            self.pane.pen.data = {"xs": [], "ys": [], "field": []}
        if self.pane.seeds.data["x"]:
            self.pane.seeds.data = {"x": [], "y": [], "field": []}

    def _pressed(self, action: Callable[[], None]) -> None:
        """Do it when the page may be drawn on: Panel hands over a button that is pressed while it is still at work."""
        pn.state.execute(lambda: self._guarded(action), schedule=True)

    def _guarded(self, action: Callable[[], None]) -> None:
        try:
            action()
        except CellularError as error:
            self.tell(str(error))
            if self.pane.item is not None and "meanwhile" in str(error):
                self.pane.show_cells()
                self.refresh()

    def _found(self) -> FieldCorrections:
        """The field's corrections; InputError where they are not those that are drawn: another page has made some."""
        found = self.pane.desk.correcting(self.pane.opened)
        if found.version != self.pane.version:
            where = "in another window" if found.version[0] == self.pane.version[0] else "by another command"
            raise InputError(f"{found.field} was changed {where} meanwhile; look at it, and do it again")
        return found

    def _do(self, operation: str, **arguments: Any) -> None:
        """One stroke, and the picture after it."""
        found = self._found()
        told = found.states
        touched = found.do(operation, **arguments)
        lost = [str(cell) for cell in told if cell not in found.states and operation != STATE]
        gone = f"; what was told by hand of cell {', '.join(lost)} is gone with it" if lost else ""
        self._after(arguments["cells"] if operation == STATE else touched, f"{operation}: saved{gone}")

    def _after(self, touched: list[int], said: str) -> None:
        self.pane.show_cells(keep=touched)
        self.refresh()
        self.tell(said)
        self.changed()

    def _delete(self) -> None:
        self._do("delete", cells=self.pane.chosen())

    def _merge(self) -> None:
        self._do("merge", cells=self.pane.chosen())

    def _check(self) -> None:
        self._do("check")

    def _tell_state(self, state: str | None) -> None:
        self._do(STATE, cells=self.pane.chosen(), state=state)
        if self.pane.colour_by.value == "nothing" and state is not None:
            self.pane.colour_by.value = STATE  # else nothing would be seen of it

    def _undo(self) -> None:
        self._after(self._found().undo(), "undone")

    def _redo(self) -> None:
        self._after(self._found().redo(), "done again")

    def _choose(self, cell: int | None) -> None:
        if cell:
            self.pane.choose([cell])

    def _one(self) -> int:
        chosen = self.pane.chosen()
        if len(chosen) != 1:
            raise InputError(f"choose the one cell that is meant; {len(chosen)} are chosen")
        return chosen[0]

    def _stroke(self) -> None:
        """A stroke of the pen, when it is done."""
        if not self.pane.pen.data["xs"]:
            return
        xs, ys = (list(self.pane.pen.data[axis][-1]) for axis in ("xs", "ys"))
        drawn_on = list(self.pane.pen.data["field"])
        every = -(-len(xs) // MOST_POINTS)
        points = [(float(x), float(y)) for x, y in zip(xs, ys)][:: max(1, every)]
        self._clear()
        self._check_drawn_on(drawn_on)
        self._with_points(points)

    def _with_points(self, points: list[tuple[float, float]]) -> None:
        if self.mode.value == "Reshape the chosen":
            self._do("reshape", cell=self._one(), polygon=points, rule=NONZERO)
        elif self.mode.value == "Cut the chosen":
            self._do("split", cell=self._one(), line=points)
        elif self.mode.value == "Part by two points":
            self._do("split", cell=self._one(), seeds=points)
        else:
            self._do("draw", polygon=points, rule=NONZERO)

    def _check_drawn_on(self, fields: list[str]) -> None:
        """InputError for what was drawn on the field before, while this one was being opened."""
        here = self.pane.opened.name
        if other := set(fields) - {here}:
            raise InputError(f"that was drawn on {other.pop()}, before {here} was shown; do it again")

    def _part(self) -> None:
        """Two points in a cell, when both are there."""
        points = [(float(x), float(y)) for x, y in zip(self.pane.seeds.data["x"], self.pane.seeds.data["y"])]
        if len(points) == 2:
            drawn_on = list(self.pane.seeds.data["field"])
            self._clear()
            self._check_drawn_on(drawn_on)
            self._do("split", cell=self._one(), seeds=points)

    def _by_corners(self) -> None:
        try:
            pairs = [word.split(",") for word in (self.corners.value or "").split()]
            points = [(float(x), float(y)) for x, y in pairs]
        except ValueError:
            points = []
        if not points:
            raise InputError(f"corners are pairs x,y with spaces between, not '{self.corners.value}'")
        self._with_points(points)
