"""A field, or a position over time, as what napari's readers give: arrays, how they are drawn, and of which kind."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cellular.data.image import FieldImage, load_labels, read_field
from cellular.data.plate import FieldFiles, Kind
from cellular.errors import InputError
from cellular.files import read_csv
from cellular.jobs.corrections import FieldCorrections
from cellular.jobs.view import Run
from cellular.napari.states import drawn_states, label_features, states_image, states_on_tracks, states_told
from cellular.report.autophagy import KIND_COLOURS
from cellular.report.outlines import only_numbers
from cellular.tables import of_fields

Layer = tuple[Any, dict[str, Any], str]
# Where a layer's metadata says what it shows.
KEY = "cellular"
# Channels as the dataset's composites have them; others get a free one.
COLOURMAPS = {"mRFP": "red", "EGFP": "green", "DNA": "bop blue", "transmitted": "gray"}
OTHERS = ("magenta", "cyan", "yellow", "bop orange")
# A punctum is circled at so many sigmas, as in the pictures of the report.
RADIUS_SIGMAS = 2.5


@dataclass(frozen=True)
class Shown:
    """What a layer shows.

    Attributes
    ----------
    run : of which. frames : its field, or the fields of one position in order of time.
    role, kind : of an image layer's channel, None where it is not known, and of the image.
    corrections : of a label layer, the field's corrections, frame by frame; saving goes by these.
    states : whether it is the layer of the cells' states.
    """

    run: Run
    frames: tuple[FieldFiles, ...]
    role: str | None = None
    kind: Kind = "raw"
    corrections: tuple[FieldCorrections, ...] = ()
    states: bool = False


def choices(run: Run) -> dict[str, tuple[FieldFiles, ...]]:
    """What can be shown: every position that was imaged more than once, over time, and every field, by name."""
    series: dict[str, list[FieldFiles]] = {}
    for item in run.plate.fields:
        if item.timepoint is not None:
            series.setdefault(item.series, []).append(item)
    over_time = {
        f"{name} over time": tuple(sorted(items, key=lambda item: item.timepoint or 0))
        for name, items in series.items()
        if len(items) > 1
    }
    return over_time | {item.name: (item,) for item in run.plate.fields}


def first_choice(run: Run) -> str:
    """Which of :func:`choices` is shown to begin with: a position over time where cells were followed, else a field."""
    names = list(choices(run))
    return names[0] if _tracks_of(run).is_file() else run.plate.fields[0].name


def layers_of(run: Run, frames: Sequence[FieldFiles]) -> list[Layer]:
    """Layers of a field (Y, X), or of a position's fields over time (T, Y, X).

    An image a channel, named by its role; the label image as corrected, empty where there is none yet, of a field with
    the cells' table as its features; states where any is told; puncta by kind; tracks. In um where the pixel size is
    known.

    Raises InputError or MissingInputError for images or label images that cannot be read or do not fit together.
    """
    frames = tuple(frames)
    images = [read_field(item) for item in frames]
    if len({(image.pixels.shape, image.roles) for image in images}) > 1:
        raise InputError(f"{frames[0].name} and the same place later differ in size or channels; show them one by one")
    placed = placing(images[0].pixel_size_um, len(frames))
    layers = image_layers(images, placed, Shown(run, frames, kind=images[0].kind))
    corrections = tuple(
        FieldCorrections(run.corrections, item.name, _original(item, image), pixel_size_um=image.pixel_size_um)
        for item, image in zip(frames, images)
    )
    cells = stacked([found.labels for found in corrections])
    # over time a number is another cell in the next frame: the session, which knows the frame that is shown, tells
    told = {"features": label_features(run.tables, corrections[0])} if len(frames) == 1 else {}
    shown = {"metadata": {KEY: Shown(run, frames, corrections=corrections)}}
    layers.append((cells, {"name": "cells", "opacity": 0.4, **placed, **shown, **told}, "labels"))
    states = states_told(run, corrections)
    if len(states):
        layers.append(states_layer(run, corrections, states, placed, frames))
    here = {item.name: number for number, item in enumerate(frames)}
    for name in ("puncta", "marker_puncta"):
        if (spots := of_fields(run.tables, name, list(here))) is not None:
            layers.append(_with(points_layer(spots, name, here, placed), Shown(run, frames)))
    if len(frames) > 1 and _tracks_of(run).is_file():
        data, about, kind = _with(tracks_layer(read_csv(_tracks_of(run)), here, placed), Shown(run, frames))
        by_state = states_on_tracks(run, states, data, about["features"]) if len(states) else {}
        layers.append((data, {**about, **by_state}, kind))
    return layers


def image_layers(images: Sequence[FieldImage], placed: Mapping[str, Any], shown: Shown | None = None) -> list[Layer]:
    """A layer a channel of the frames `images`; one in colours of 8-bit composites and pictures."""
    first = images[0]
    told = {} if shown is None else {"metadata": {KEY: shown}}
    if first.kind != "raw" and first.pixels.shape[2] == 3 and first.pixels.dtype == np.uint8:
        return [(stacked([i.pixels for i in images]), {"name": first.kind, "rgb": True, **placed, **told}, "image")]
    free, layers = iter(OTHERS * len(first.roles)), []
    for index, (role, name) in enumerate(zip(first.roles, first.channels)):
        plane = stacked([image.pixels[:, :, index] for image in images])
        low, high = np.percentile(only_numbers(plane), (1, 99.5))
        about = {
            "name": name,
            "colormap": "gray" if len(first.roles) == 1 else COLOURMAPS.get(role or "") or next(free),
            "blending": "additive",
            "contrast_limits": (float(low), float(max(high, low + 1e-6))),
            # transmitted light over fluorescence is fog
            "visible": role != "transmitted" or not any(other in first.roles for other in ("mRFP", "EGFP", "DNA")),
        }
        if shown is not None:
            told = {"metadata": {KEY: Shown(shown.run, shown.frames, role, shown.kind)}}
        layers.append((plane, {**about, **placed, **told}, "image"))
    return layers


def placing(pixel_size_um: float | None, frames: int = 1) -> dict[str, Any]:
    """Scale and units of a layer of so many frames.

    >>> placing(0.5)
    {'scale': (0.5, 0.5), 'units': ('um', 'um'), 'axis_labels': ('y', 'x')}
    >>> placing(None, 3)["units"], placing(None, 3)["axis_labels"]
    (('pixel', 'pixel', 'pixel'), ('t', 'y', 'x'))
    """
    unit, size = ("um", float(pixel_size_um)) if pixel_size_um else ("pixel", 1.0)
    placed = {"scale": (size, size), "units": (unit, unit), "axis_labels": ("y", "x")}
    time = {"scale": 1, "units": "pixel", "axis_labels": "t"}  # a number of a frame: nothing tells the hours
    return {name: (time[name], *values) for name, values in placed.items()} if frames > 1 else placed


def states_layer(
    run: Run,
    corrections: Sequence[FieldCorrections],
    told: pd.DataFrame,
    placed: Mapping[str, Any],
    frames: tuple[FieldFiles, ...],
) -> Layer:
    """The cells' states as an image of labels, the states `told` of the fields `frames`; hidden to begin with."""
    about = {"name": "states", "visible": False, "metadata": {KEY: Shown(run, frames, states=True)}}
    return states_image(told, corrections), {**about, **drawn_states(run), **placed}, "labels"


def points_layer(spots: pd.DataFrame, name: str, here: Mapping[str, int], placed: Mapping[str, Any]) -> Layer:
    """Puncta as circles, coloured by kind; `here` is the frame of each field."""
    where = spots[["y", "x"]].to_numpy(float)
    if len(here) > 1:
        where = np.column_stack([spots["field"].map(here), where])
    about = {"name": name, "size": 2 * RADIUS_SIGMAS * spots["sigma"].to_numpy(float) if len(spots) else 10}
    about |= {"features": spots.reset_index(drop=True), "face_color": "transparent", "border_width": 0.6}
    about |= {"border_width_is_relative": False}
    if "kind" in spots:
        kinds = {kind: np.array([*colour, 255]) / 255 for kind, colour in KIND_COLOURS.items()}
        about["border_color"] = np.array([kinds.get(kind, np.ones(4)) for kind in spots["kind"]]).reshape(-1, 4)
    return where, {**about, "ndim": where.shape[1], **placed}, "points"


def tracks_layer(tracks: pd.DataFrame, here: Mapping[str, int], placed: Mapping[str, Any]) -> Layer:
    """The tracks through the fields `here`, a field's frame each; divisions are branches."""
    rows = tracks[tracks["field"].isin(list(here))]
    rows = rows.assign(t=rows["field"].map(here)).sort_values(["track", "t"])
    known = set(rows["track"])
    parents = rows.drop_duplicates("track").set_index("track")["parent"]
    graph = {int(track): [int(parent)] for track, parent in parents.items() if parent in known}
    about = {"name": "tracks", "graph": graph, "features": rows[["label", "lineage"]].reset_index(drop=True)}
    return rows[["track", "t", "y", "x"]].to_numpy(float), {**about, **placed}, "tracks"


def stacked(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """The one array, or several along a new first axis."""
    return arrays[0].copy() if len(arrays) == 1 else np.stack(arrays)


def _tracks_of(run: Run) -> Path:
    return run.folder / "tracks" / "tracks.csv"


def _original(item: FieldFiles, image: FieldImage) -> np.ndarray:
    return load_labels(item, image.shape) if item.labels else np.zeros(image.shape, np.uint16)


def _with(layer: Layer, shown: Shown) -> Layer:
    data, about, kind = layer
    return data, {**about, "metadata": {KEY: shown}}, kind
