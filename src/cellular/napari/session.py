"""What the parts of the widget share: the viewer, the run whose fields are shown, and its queue of jobs."""

import atexit
from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari.layers import Labels, Layer, Tracks
from psygnal import Signal

from cellular.data.plate import FieldFiles
from cellular.errors import CellularError, InputError
from cellular.jobs.corrections import FieldCorrections
from cellular.jobs.queue import Queue
from cellular.jobs.view import Run, open_run
from cellular.napari.layers import KEY, Shown, choices, first_choice, layers_of, states_layer
from cellular.napari.states import label_features, states_image, states_on_tracks, states_told


class Session:
    """One viewer's run; `changed` tells of another run or field, `told` and `refused` give sentences for people."""

    changed = Signal()
    told = Signal(str)
    refused = Signal(str)

    def __init__(self, viewer: Any) -> None:
        self.viewer = viewer
        self.run: Run | None = None
        self._queues: dict[Path, Queue] = {}
        for layer in viewer.layers:
            self._adopt(layer)
        viewer.layers.events.inserted.connect(lambda event: self._adopt(event.value))
        viewer.dims.events.current_step.connect(lambda event: self._follow())
        atexit.register(self.close)

    def close(self) -> None:
        """Let the queues go: a job that runs is interrupted, and goes on when its run is opened again."""
        atexit.unregister(self.close)
        while self._queues:
            self._queues.popitem()[1].close()

    def guarded(self, action: Callable[[], None]) -> Callable[..., None]:
        """`action` for a button: what it refuses is told, not thrown."""

        def act(*_: Any) -> None:
            try:
                action()
            except CellularError as error:
                self.refused.emit(str(error))

        return act

    def open(self, folder: str | Path, channels: str = "") -> None:
        """Show the first field of a plate or run; `channels` as on the command line, ``mRFP=w3 EGFP=w2``."""
        self._check_saved()
        told: dict[str, Any] = {"channels": channels.split()} if channels.split() else {}
        run = open_run(folder, **told)
        self._put(run, first_choice(run))

    def show(self, name: str) -> None:
        """Show another of :func:`choices`."""
        self._check_saved()
        self._put(self.opened(), name)

    def opened(self) -> Run:
        """The run; raises InputError before one is opened."""
        if self.run is None:
            raise InputError("open a plate or a run first")
        return self.run

    def shown(self) -> str | None:
        """Which of :func:`choices` is shown; None where no field is."""
        found = [layer.metadata.get(KEY) for layer in self.viewer.layers]
        frames = next((one.frames for one in found if isinstance(one, Shown) and one.run is self.run), None)
        offered = choices(self.run) if self.run else {}
        return next((name for name, items in offered.items() if items == frames), None)

    def edited(self) -> list[Layer]:
        """The label layers that differ from what is saved."""
        return [
            layer
            for layer in self.viewer.layers
            if isinstance(layer, Labels) and any((now != c.labels).any() for c, now in frames_of(layer))
        ]

    def save(self) -> list[str]:
        """Save what was painted in the label layers of runs as corrections; names of the fields that changed.

        Raises InputError where somebody else has corrected such a field meanwhile.
        """
        saved = []
        for layer in self.edited():
            saved += [c.field for c, now in frames_of(layer) if c.become(now)]
            self._show_states(layer)
        self.changed.emit()
        return saved

    def check(self) -> list[str]:
        """Write down that the fields shown are right as they are, after what was painted is saved."""
        self.save()
        fields = [c for layer in self.viewer.layers if isinstance(layer, Labels) for c, _ in frames_of(layer)]
        if not fields:
            raise InputError("no field of a plate or run is shown")
        for found in fields:
            found.do("check")
        self.changed.emit()
        return [found.field for found in fields]

    def tell_state(self, state: str | None) -> str:
        """Tell the state of the cell that is picked in the label layer; what was told, in a sentence.

        None is what the model said. Raises InputError for a layer with unsaved strokes, or a number that is no cell.
        """
        self._check_saved()
        layer = next((one for one in self.viewer.layers if isinstance(one, Labels) and frames_of(one)), None)
        if layer is None:
            raise InputError("no field of a plate or run is shown")
        shown, cell = layer.metadata[KEY], int(layer.selected_label)
        found = self._correcting(shown)
        if found is None:
            raise InputError(f"'{layer.name}' has no frame at the time that is shown")
        found.do("state", cells=[cell], state=state)
        self._show_states(layer)
        self.changed.emit()
        return f"{found.field}, cell {cell}: {state or 'as the model said'}, in {found.folder}"

    def queue(self) -> Queue:
        """The run's jobs; raises OutputExistsError where `cellular view`, or another napari, works on them."""
        folder = self.opened().folder / "jobs"
        if folder not in self._queues:
            queue = Queue(folder)
            queue.start()
            self._queues[folder] = queue
        return self._queues[folder]

    def _correcting(self, shown: Shown) -> FieldCorrections | None:
        """The corrections of the frame that is seen; None at a time that only other layers have."""
        frame = self.viewer.dims.current_step[0] if len(shown.corrections) > 1 else 0
        return shown.corrections[frame] if frame < len(shown.corrections) else None

    def _follow(self) -> None:
        """Have label layers over time tell of the frame that is seen: in the next, a number is another cell."""
        for layer in self.viewer.layers:
            shown = layer.metadata.get(KEY)
            if isinstance(shown, Shown) and len(shown.corrections) > 1:
                self._tell_cells(layer)

    def _tell_cells(self, layer: Labels) -> None:
        """Have a label layer's features tell of its cells, of those of the frame that is seen."""
        shown = layer.metadata[KEY]
        if found := self._correcting(shown):
            layer.features = label_features(shown.run.tables, found)

    def _show_states(self, layer: Labels) -> None:
        """Show the states of the layer's cells as they are told now, in its features and in the layers beside it."""
        shown = layer.metadata[KEY]
        run, told = shown.run, states_told(shown.run, shown.corrections)
        self._tell_cells(layer)
        beside = [one for one in self.viewer.layers if _frames_shown(one) == shown.frames]
        drawn = [one for one in beside if shows_states(one)]
        for one in drawn:
            one.data = states_image(told, shown.corrections)
        for tracks in (one for one in beside if isinstance(one, Tracks)):
            by = {"color_by": tracks.color_by} if drawn else {}  # as somebody has chosen since
            for name, value in (states_on_tracks(run, told, tracks.data, tracks.features) | by).items():
                setattr(tracks, name, value)
        if len(told) and not drawn:
            placed = {name: getattr(layer, name) for name in ("scale", "units", "axis_labels")}
            self.viewer.add_layer(Layer.create(*states_layer(run, shown.corrections, told, placed, shown.frames)))

    def _adopt(self, layer: Layer) -> None:
        shown = layer.metadata.get(KEY)
        if isinstance(shown, Shown) and shown.run is not self.run:
            self.run = shown.run
            self.changed.emit()
        if isinstance(shown, Shown) and len(shown.corrections) > 1:
            self._tell_cells(layer)

    def _check_saved(self) -> None:
        if edited := self.edited():
            raise InputError(f"'{edited[0].name}' was edited: save corrections, or delete the layer, first")

    def _put(self, run: Run, name: str) -> None:
        """Layers of a field in place of those of another; read first, so that what is refused changes nothing."""
        made = [Layer.create(*parts) for parts in layers_of(run, choices(run)[name])]
        for layer in [layer for layer in self.viewer.layers if isinstance(layer.metadata.get(KEY), Shown)]:
            self.viewer.layers.remove(layer)
        for layer in made:
            self.viewer.add_layer(layer)
        self.run = run
        self.viewer.reset_view()
        self.changed.emit()


def _frames_shown(layer: Layer) -> tuple[FieldFiles, ...] | None:
    shown = layer.metadata.get(KEY)
    return shown.frames if isinstance(shown, Shown) else None


def shows_states(layer: Layer) -> bool:
    """Whether a layer shows the states of cells, and no cells."""
    shown = layer.metadata.get(KEY)
    return isinstance(shown, Shown) and shown.states


def frames_of(layer: Labels) -> list[tuple[Any, Any]]:
    """The corrections of each frame of a label layer, and its label image as it is now; empty for other layers."""
    shown = layer.metadata.get(KEY)
    corrections = shown.corrections if isinstance(shown, Shown) else ()
    return list(zip(corrections, [layer.data] if len(corrections) == 1 else layer.data))
