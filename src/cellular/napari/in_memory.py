"""Segmenting and measuring the layers that are open: arrays in, arrays and tables out; nothing is written."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pandas as pd
import torch

from cellular.autophagy.measure.field import MeasureSettings, measure_field
from cellular.data.channels import role_of
from cellular.data.image import FieldImage, load_others
from cellular.data.plate import Kind, Plate
from cellular.errors import CellularError, InputError
from cellular.jobs.measure import with_puncta_sizes
from cellular.jobs.segment import cell_table, segment_image
from cellular.labels.diameter import median_diameter
from cellular.napari.layers import KEY
from cellular.segment.segmenter import Segmenter
from cellular.segment.settings import SegmentSettings


class Cancelled(CellularError):
    """Somebody pressed Cancel."""


def images_of(layers: Sequence[Any]) -> list[FieldImage]:
    """The image of each frame that napari's Image `layers` make together.

    A layer is a channel: its role is the one that its field's files give, else the one that its name gives. A layer in
    colours stands alone. Layers are (Y, X), or (T, Y, X) with a frame a timepoint.

    Raises InputError for no layer, or layers that do not fit together.
    """
    if not layers:
        raise InputError("choose one or more image layers")
    colours = [layer for layer in layers if layer.rgb]
    if colours and len(layers) > 1:
        raise InputError(f"the layer {colours[0].name} has all colours in it: choose it alone, or the others")
    if len({layer.data.shape for layer in layers}) > 1 or layers[0].ndim not in (2, 3):
        shapes = ", ".join(f"{layer.name} {layer.data.shape}" for layer in layers)
        raise InputError(f"the layers are (Y, X) or (T, Y, X) and of one size; chosen are {shapes}")
    shown, size = layers[0].metadata.get(KEY), pixel_size_of(layers[0])
    if colours:
        pixels = np.asarray(layers[0].data)
        kind: Kind = shown.kind if shown else "picture"
        frames = pixels[None] if layers[0].ndim == 2 else pixels
        return [FieldImage.of(frame[..., :3], None, kind, size) for frame in frames]
    pixels = np.stack([np.asarray(layer.data) for layer in layers], axis=-1)
    roles = [layer.metadata[KEY].role if layer.metadata.get(KEY) else role_of(layer.name) for layer in layers]
    if twice := sorted({role for role in roles if role and roles.count(role) > 1}):
        raise InputError(f"two of the layers are {twice[0]}: choose one, or rename the other")
    names = tuple(layer.name for layer in layers)
    frames = pixels[None] if layers[0].ndim == 2 else pixels
    return [replace(FieldImage.of(frame, roles, "raw", size), names=names) for frame in frames]


def pixel_size_of(layer: Any) -> float | None:
    """Pixel size, um, of a layer; None where its units are no lengths."""
    unit = layer.units[-1]
    if not unit.is_compatible_with("um"):
        return None
    return float((layer.scale[-1] * unit).to("um").magnitude)


def segment_frames(
    images: Sequence[FieldImage], model: str, settings: SegmentSettings, stop: Event, device: str = "auto"
) -> Iterator[tuple[np.ndarray, pd.DataFrame]]:
    """The label image (Y, X) of each frame and the table of its cells, frame by frame.

    Raises Cancelled, between two batches of tiles, once `stop` is set.
    """
    segmenter = Segmenter.from_pretrained(model, device)
    with ended_by(stop, segmenter.network(segmenter.precision(settings.precision, settings.tiling))):
        for number, image in enumerate(images):
            found = segment_image(image, segmenter, settings)
            yield found.labels, cell_table(str(number), found.labels, found.scores)


@contextmanager
def ended_by(stop: Event, network: torch.nn.Module) -> Iterator[None]:
    """Inside, the network raises Cancelled in place of beginning another batch once `stop` is set."""

    def look(*_: Any) -> None:
        if stop.is_set():
            raise Cancelled("cancelled")

    look()
    handle = network.register_forward_pre_hook(look)
    try:
        yield
    finally:
        handle.remove()


def measure_frame(
    image: FieldImage, labels: np.ndarray, name: str = "", plate: Plate | None = None
) -> dict[str, pd.DataFrame]:
    """Tables of one frame as `cellular measure` makes them, puncta's sizes settled by it alone.

    `plate` is the one that the field is from, if it is from any. Raises InputError as :func:`measure_field` does.
    """
    if not labels.any():
        raise InputError("there is no cell in the label layer: segment, or draw some")
    plate = plate or Plate(Path(), "layers", ())
    own = MeasureSettings(pixel_size_um=image.pixel_size_um)
    settings = with_puncta_sizes(own, plate, (), cell_px=round(median_diameter(labels), 1))
    item = next((item for item in plate.fields if item.name == name), None)
    others = None if item is None else load_others(replace(item, original=item.labels), image.shape)
    return measure_field(image, labels, name, settings, others=others)
