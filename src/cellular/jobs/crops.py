"""The cells of a table cut out of the images that they were measured on, for networks that look at them."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from cellular.autophagy.state.by_hand import check_measured
from cellular.autophagy.state.crop_model import CropModel, CropSettings
from cellular.autophagy.state.crops import Crops, cut_crops
from cellular.data.find import as_plate
from cellular.data.image import FieldImage, load_labels, load_others
from cellular.data.plate import FieldFiles, Plate
from cellular.errors import InputError
from cellular.jobs.scale import common_scale, read_comparable
from cellular.progress import progress


def fields_of(cells: pd.DataFrame, images: str | Path | Plate, labels: str | Path) -> dict[str, FieldFiles]:
    """Image and label image of every field of `cells`; InputError where one is missing."""
    fields = {item.name: item for item in as_plate(images, labels).fields if item.labels}
    names = sorted(cells["field"].unique())
    missing = [name for name in names if name not in fields]
    if missing:
        raise InputError(
            f"No image and label image of {missing[0]} ({len(missing)} of {len(names)} fields are missing)"
        )
    return {name: fields[name] for name in names}


def crops_by_field(fields: Mapping[str, FieldFiles], cells: pd.DataFrame, settings: CropSettings) -> Iterator[Crops]:
    """Crops of each field, of the light as it was recorded.

    Raises InputError where a field's rows of `cells` were measured on other outlines, or its levels or lengths cannot
    be compared with those of most fields.
    """
    rows = dict(tuple(cells.groupby("field", sort=False)))
    scale = common_scale(list(fields.values()))
    for name, item in progress(fields.items(), desc="crops", unit="field"):
        image = read_comparable(item, scale)
        labels = load_labels(item, image.shape)
        check_measured(name, rows[name], labels)
        yield crops_of(image, labels, name, settings, load_others(item, image.shape))


def crops_of(
    image: FieldImage, labels: np.ndarray, name: str, settings: CropSettings, others: np.ndarray | None = None
) -> Crops:
    """The cells of one field cut out as the network wants them; of `others` see :func:`cut_crops`."""
    channels, side_px, size = settings.channels, settings.side_px, settings.size
    return cut_crops(image, labels, name, channels=channels, side_px=side_px, size=size, others=others)


def no_crops(model: CropModel) -> Crops:
    """Crops of a table without cells."""
    channels, size = model.settings.channels, model.settings.size
    cells = pd.DataFrame({"field": np.empty(0, object), "label": np.empty(0, np.int64)})
    return Crops(np.empty((0, len(channels) + 1, size, size), np.float32), cells, channels, model.source)
