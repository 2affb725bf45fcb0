"""Trying on the layers that are open: a model, a diameter, channels; nothing is written."""

from collections.abc import Generator
from threading import Event
from typing import Any

import numpy as np
import pandas as pd
from magicgui.types import FileDialogMode
from magicgui.widgets import ComboBox, Container, FileEdit, FloatSpinBox, LineEdit, ProgressBar, PushButton, Select
from napari.layers import Image, Labels
from napari.qt.threading import create_worker

from cellular.data.archive.catalogue import WEIGHTS
from cellular.errors import CellularError, InputError
from cellular.napari.in_memory import images_of, measure_frame, segment_frames
from cellular.napari.layers import KEY, points_layer
from cellular.napari.session import Session, shows_states
from cellular.segment.model.registry import SHIPPED
from cellular.segment.settings import SegmentSettings


class TryPane(Container):
    """Segment and measure the chosen layers."""

    def __init__(self, session: Session) -> None:
        self.session, self._stop = session, Event()
        self.worker: Any = None
        self.model = ComboBox(choices=self._models, label="Model")
        self.file = FileEdit(label="or model file", mode=FileDialogMode.EXISTING_FILE, nullable=True)
        self.diameter = FloatSpinBox(min=0, max=2000, step=1, value=0, label="Diameter, px", tooltip="0: the model's")
        self.images = Select(choices=self._image_layers, label="Image layers", tooltip="by their names: mRFP, EGFP ...")
        self.numbers = LineEdit(
            label="By number",
            tooltip="which layers the network gets: 2 1; 0 is grey",
        )
        self.cells = ComboBox(choices=self._label_layers, nullable=True, label="Label layer")
        self.images.native.setMaximumHeight(90)
        self.segment = PushButton(text="Segment")
        self.cancel = PushButton(text="Cancel", enabled=False)
        self.measure = PushButton(text="Measure")
        self.bar = ProgressBar(value=0, min=0, max=1, visible=False)
        self.segment.changed.connect(session.guarded(self._segment))
        self.cancel.changed.connect(lambda _: self._stop.set())
        self.measure.changed.connect(session.guarded(self._measure))
        buttons = Container(widgets=[self.segment, self.cancel, self.measure], layout="horizontal", labels=False)
        parts = [self.model, self.file, self.diameter, self.images, self.numbers, self.cells]
        super().__init__(widgets=[*parts, buttons, self.bar])
        session.changed.connect(self.refresh)
        for event in (session.viewer.layers.events.inserted, session.viewer.layers.events.removed):
            event.connect(self.refresh)
        self.refresh()

    def refresh(self, *_: Any) -> None:
        """Offer the layers and models that are there now; every channel is chosen to begin with."""
        for choice in (self.model, self.images, self.cells):
            choice.reset_choices()
        self.images.value = self._image_layers()
        if self.cells.value is None and self._label_layers():
            self.cells.value = self._label_layers()[0]

    def chosen(self) -> tuple[str, SegmentSettings]:
        """The model, by name or file, and the settings.

        Raises SettingsError or InputError for what cannot be meant.
        """
        try:
            channels = tuple(int(word) for word in self.numbers.value.split()) or None
        except ValueError as error:
            raise InputError(f"channels are numbers, such as 2 1, not '{self.numbers.value}'") from error
        model = str(self.file.value) if self.file.value else self.model.value
        return model, SegmentSettings(diameter=self.diameter.value or None, channels=channels)

    def _models(self, *_: Any) -> list[str]:
        run = self.session.run
        kept: list[str] = sorted(map(str, (run.folder / "models").glob("[!.]*"))) if run else []
        return [*SHIPPED, *(name for name in WEIGHTS if name not in SHIPPED), *(k for k in kept if k[-5:] != ".json")]

    def _image_layers(self, *_: Any) -> list[Image]:
        return [layer for layer in self.session.viewer.layers if isinstance(layer, Image)]

    def _label_layers(self, *_: Any) -> list[Labels]:
        return [one for one in self.session.viewer.layers if isinstance(one, Labels) and not shows_states(one)]

    def _segment(self) -> None:
        layers = list(self.images.value)
        images, (model, settings) = images_of(layers), self.chosen()
        self._stop, found = Event(), []
        self._busy(len(images))
        self.worker = create_worker(_by_frames, images, model, settings, self._stop, _start_thread=False)

        def keep(one: tuple[np.ndarray, pd.DataFrame]) -> None:
            found.append(one)
            self.bar.max, self.bar.value = len(images), len(found)

        self.worker.yielded.connect(keep)
        self.worker.returned.connect(lambda came: None if self._refused(came) else self._show(layers[0], found))
        self.worker.finished.connect(self._idle)
        self.worker.start()

    def _show(self, like: Image, found: list[tuple[np.ndarray, pd.DataFrame]]) -> None:
        """A new label layer over the image layer `like`, with scores where there is one frame."""
        labels = np.stack([labels for labels, _ in found]) if like.ndim == 3 else found[0][0]
        layer = Labels(labels, name="segmented", scale=like.scale, units=like.units, translate=like.translate)
        if len(found) == 1:
            cells = found[0][1]
            layer.features = cells.drop(columns=["image", "label"]).assign(index=cells["label"])
        self.session.viewer.add_layer(layer)
        self.cells.value = layer
        self.session.told.emit(f"{sum(len(cells) for _, cells in found)} cells")

    def _refused(self, came: object) -> bool:
        """Whether a worker came back with a refusal, which is told; faults of the program napari shows by itself."""
        if isinstance(came, str):
            self.session.refused.emit(came)
        return isinstance(came, str)

    def _busy(self, frames: int) -> None:
        self.bar.value, self.bar.max = 0, frames if frames > 1 else 0  # 0: it moves, and nobody knows how far
        self.bar.visible, self.cancel.enabled, self.segment.enabled = True, True, False
        self.session.told.emit("segmenting")

    def _idle(self) -> None:
        self.bar.visible, self.cancel.enabled, self.segment.enabled = False, False, True

    def _measure(self) -> None:
        layers, layer = list(self.images.value), self.cells.value
        images = images_of(layers)
        if layer is None or layer.data.shape != layers[0].data.shape[: layers[0].ndim] or len(images) > 1:
            raise InputError("choose a label layer (Y, X) of the images' size; over time, measure all fields below")
        shown = layers[0].metadata.get(KEY)
        name = shown.frames[0].name if shown else layers[0].name
        plate = shown.run.plate if shown else None
        self.worker = create_worker(
            _tables, images[0], np.array(layer.data), name, plate, _start_thread=False
        )  # fmt: skip
        self.worker.returned.connect(lambda came: None if self._refused(came) else self._measured(layer, came))
        self.worker.start()

    def _measured(self, layer: Labels, tables: dict[str, pd.DataFrame]) -> None:
        """The cells' table as features of the label layer, and puncta in a layer of their own."""
        cells = tables["cells"]
        layer.features = cells.drop(columns=["field", "label"]).assign(index=cells["label"])
        for name in ("puncta", "marker_puncta"):
            if name in tables:
                data, about, _ = points_layer(tables[name], f"{name} measured", {"": 0}, {})
                about |= {"scale": layer.scale, "units": layer.units, "translate": layer.translate}
                self.session.viewer.add_points(data, **about)
        self.session.told.emit(f"{len(cells)} cells measured: the features of '{layer.name}'")


def _by_frames(*asked: Any) -> Generator[tuple[np.ndarray, pd.DataFrame], None, str | None]:
    """:func:`segment_frames`; what it refuses is returned as text: napari shows what a worker raises as a fault."""
    try:
        yield from segment_frames(*asked)
    except CellularError as error:
        return str(error)
    return None


def _tables(*asked: Any) -> dict[str, pd.DataFrame] | str:
    """:func:`measure_frame`; what it refuses is returned as text."""
    try:
        return measure_frame(*asked)
    except CellularError as error:
        return str(error)
