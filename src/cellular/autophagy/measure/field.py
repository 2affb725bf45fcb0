"""All measurements of one field: image and label image in, tables of cells, puncta and the image out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from dataclasses import field as dataclass_field
from typing import Any

import numpy as np
import pandas as pd

from cellular.autophagy.measure.columns import in_micrometres, typed
from cellular.autophagy.measure.counts import count_puncta
from cellular.autophagy.measure.intensity import measure_colocalisation, measure_intensity, measure_ratio
from cellular.autophagy.measure.puncta import PunctaSettings, find_puncta
from cellular.autophagy.measure.shape import measure_shape
from cellular.autophagy.measure.unmix import REPORTER, Channels, unmix
from cellular.data.image import FieldImage
from cellular.errors import SettingsError
from cellular.labels.regions import Regions


@dataclass(frozen=True)
class MeasureSettings:
    """What to measure.

    Attributes
    ----------
    pixel_size_um : size of a pixel in um; None where it is not known (all lengths are in px either way).
    puncta : how puncta are found.
    """

    pixel_size_um: float | None = None
    puncta: PunctaSettings = dataclass_field(default_factory=PunctaSettings)

    def __post_init__(self) -> None:
        if self.pixel_size_um is not None and not self.pixel_size_um > 0:
            raise SettingsError(f"pixel_size_um is {self.pixel_size_um}; it must be above 0")

    def for_field(self, pixel_size_um: float | None) -> "MeasureSettings":
        """The settings for a field whose file gives `pixel_size_um`, um: a size that was given overrules it."""
        known = self.pixel_size_um or pixel_size_um
        puncta = self.puncta.resolved(known)
        puncta.sigmas(known)
        return replace(self, pixel_size_um=known, puncta=puncta)


@dataclass(frozen=True)
class Material:
    """What every measurement may draw on: labels (Y, X), their pixels by cell, the channels, the puncta in them."""

    labels: np.ndarray
    regions: Regions
    channels: Channels
    puncta: pd.DataFrame


# Name -> function from the material to columns (N,), one value per cell in ascending order of label.
MEASUREMENTS: dict[str, Callable[[Material], dict[str, np.ndarray]]] = {
    "shape": lambda m: measure_shape(m.labels, m.regions),
    "intensity": lambda m: measure_intensity(m.channels, m.regions),
    "ratio": lambda m: measure_ratio(m.channels, m.regions),
    "colocalisation": lambda m: measure_colocalisation(m.channels, m.regions),
    "puncta": lambda m: count_puncta(m.puncta, m.regions),
}


def measure_field(
    image: FieldImage,
    labels: np.ndarray,
    field: str,
    settings: MeasureSettings | None = None,
    about: Mapping[str, Any] | None = None,
) -> dict[str, pd.DataFrame]:
    """Measure every cell of one field.

    Parameters
    ----------
    image : with the channels mRFP and EGFP; see :func:`unmix`.
    labels : (Y, X) label image, 0 = background.
    field : its name.
    about : where it is on the plate (``date, plate, well, site, timepoint``) and what its well was given, for the table
        of images: a row of :meth:`cellular.data.plate.Plate.table`.

    Returns
    -------
    Tables "cells" (one row per cell), "puncta" (one per punctum) and "images" (one row), with the columns of
    :mod:`cellular.autophagy.measure.columns`.

    Raises InputError where image and labels do not fit together, or a channel is missing.
    """
    settings = (settings or MeasureSettings()).for_field(image.pixel_size_um)
    channels = unmix(image, labels)
    regions = Regions.of(labels)
    puncta = find_puncta(channels, labels, settings.puncta, settings.pixel_size_um)
    material = Material(labels, regions, channels, puncta)
    n = regions.labels.size
    cells = {"field": np.full(n, field, object), "label": regions.labels}
    for measure in MEASUREMENTS.values():
        cells |= measure(material)
    spots = {"field": np.full(len(puncta), field, object), **{name: puncta[name].to_numpy() for name in puncta}}
    if settings.pixel_size_um:
        cells |= in_micrometres("cells", cells, settings.pixel_size_um)
        spots |= in_micrometres("puncta", spots, settings.pixel_size_um)
    return {
        "cells": typed("cells", cells),
        "puncta": typed("puncta", spots),
        "images": typed("images", _image_row(field, labels.shape, channels, n, len(puncta), settings, about or {})),
    }


def _image_row(
    field: str,
    shape: tuple[int, int],
    channels: Channels,
    cells: int,
    puncta: int,
    settings: MeasureSettings,
    about: Mapping[str, Any],
) -> dict[str, list]:
    """The one row of the table of images; what the plate map says comes last, as text."""
    row = {
        "field": field,
        **{name: about.get(name) for name in ("date", "plate", "well", "site", "timepoint", "treatment")},
        "height": shape[0],
        "width": shape[1],
        "pixel_size_um": settings.pixel_size_um if settings.pixel_size_um else np.nan,
        "source": channels.source,
        "cells": cells,
        "puncta": puncta,
    }
    for index, name in enumerate(REPORTER):
        row[f"background__{name}"] = channels.background[index]
        row[f"noise__{name}"] = channels.noise[index]
        row[f"transmitted_share__{name}"] = channels.transmitted_share[index]
    row |= {name: value for name, value in about.items() if name not in row}
    return {name: [value] for name, value in row.items()}
