"""Which field is shown, and what was corrected in it."""

from typing import Any

from magicgui.types import FileDialogMode
from magicgui.widgets import ComboBox, Container, FileEdit, LineEdit, PushButton

from cellular.autophagy.state.by_hand import choices_of
from cellular.napari.layers import choices
from cellular.napari.session import Session


class FieldsPane(Container):
    """Open a plate or run, choose a field, save corrections, tell states."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.folder = FileEdit(mode=FileDialogMode.EXISTING_DIRECTORY, label="Plate or run")
        self.channels = LineEdit(label="Channels", tooltip="what they are, where names do not tell: mRFP=w3 EGFP=w2")
        self.open = PushButton(text="Open")
        self.field = ComboBox(choices=self._offered, nullable=True, label="Field")
        self.save = PushButton(text="Save corrections", tooltip="what was painted in the label layer; the run's stays")
        self.right = PushButton(text="Field is right", tooltip="nothing to correct here: it may be learnt from")
        self.open.changed.connect(session.guarded(lambda: session.open(str(self.folder.value), self.channels.value)))
        self.field.changed.connect(session.guarded(self._choose))
        self.save.changed.connect(session.guarded(lambda: self._said(session.save(), "saved", "nothing was painted")))
        self.right.changed.connect(session.guarded(lambda: self._said(session.check(), "right", "")))
        self.state = ComboBox(choices=lambda _: list(self._states()), label="State")
        self.tell = PushButton(text="Tell of picked cell", tooltip="of the number that is picked in the label layer")
        self.tell.changed.connect(session.guarded(self._tell_state))
        buttons = Container(widgets=[self.save, self.right], layout="horizontal", labels=False)
        states = Container(widgets=[self.state, self.tell], layout="horizontal", labels=False)
        super().__init__(widgets=[self.folder, self.channels, self.open, self.field, buttons, states])
        session.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """List the run's fields, and point at the one that is shown."""
        run, shown = self.session.run, self.session.shown()
        with self.field.changed.blocked():
            self.field.reset_choices()
            self.field.value = shown
        self.state.reset_choices()
        if run is not None:
            self.folder.value = run.plate.folder if run.verb is None else run.folder

    def _offered(self, *_: Any) -> list[str]:
        return list(choices(self.session.run)) if self.session.run else []

    def _states(self) -> dict[str, str | None]:
        return choices_of(self.session.run.tables.get("cells") if self.session.run else None)

    def _tell_state(self) -> None:
        self.session.told.emit(self.session.tell_state(self._states()[self.state.value]))

    def _choose(self) -> None:
        if self.field.value and self.field.value != self.session.shown():
            try:
                self.session.show(self.field.value)
            finally:
                self.refresh()

    def _said(self, fields: list[str], done: str, none: str) -> None:
        where = self.session.run.corrections if self.session.run else ""
        self.session.told.emit(f"{done}: {', '.join(fields)}, in {where}" if fields else none)
