"""The plugin's widget: fields, trying, and what is done to all fields, one above the other."""

from typing import TYPE_CHECKING

from magicgui.widgets import Container, Label
from napari.utils.notifications import show_warning

from cellular.napari.fields_pane import FieldsPane
from cellular.napari.jobs_pane import JobsPane
from cellular.napari.session import Session
from cellular.napari.try_pane import TryPane

if TYPE_CHECKING:
    import napari.viewer


class CellularWidget(Container):
    """Segment, measure, correct and teach in `viewer`."""

    def __init__(self, viewer: "napari.viewer.Viewer") -> None:
        self.session = Session(viewer)
        self.status = Label(value="open a plate, a run, or any image")
        self.fields = FieldsPane(self.session)
        self.trying = TryPane(self.session)
        self.all_fields = JobsPane(self.session, self.trying)
        heads = [Label(value=f"<b>{text}</b>") for text in ("Field", "The layers that are open", "All fields")]
        panes = (self.fields, self.trying, self.all_fields)
        widgets = [part for pair in zip(heads, panes) for part in pair]
        super().__init__(widgets=[*widgets, self.status], labels=False)
        self.status.native.setWordWrap(True)
        self.session.told.connect(self._tell)

    def _tell(self, text: str) -> None:
        self.status.value = text
        if len(text) > 80:  # more than the line shows
            show_warning(text)
