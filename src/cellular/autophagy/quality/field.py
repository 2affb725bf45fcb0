"""The quality of one field: image in, one row of numbers out; and its light tile by tile, for the flat field."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cellular.autophagy.measure.columns import PATTERNS
from cellular.autophagy.measure.unmix import clear_of_cells
from cellular.autophagy.quality.alignment import OUTLINES, align, reporter_pair
from cellular.autophagy.quality.background import Background, find_background
from cellular.autophagy.quality.flat_field import light_of_tiles
from cellular.autophagy.quality.focus import power_slope, sharpness
from cellular.autophagy.quality.saturation import saturated_share
from cellular.autophagy.quality.signal import debris_share, signal
from cellular.data.image import FieldImage
from cellular.errors import InputError

# Under this side, px, there are no frequencies to tell focus by.
SMALLEST = 32
# Of a reporter of two channels, which show the same cells.
ALIGNMENT = ("channel_shift_y", "channel_shift_x", "channel_agreement")
PLACE = ("date", "plate", "well", "site", "timepoint")


def measure_quality(
    image: FieldImage,
    field: str,
    labels: np.ndarray | None = None,
    about: Mapping[str, Any] | None = None,
    others: np.ndarray | None = None,
) -> dict[str, pd.DataFrame]:
    """Measure one field as the camera recorded it.

    Parameters
    ----------
    image : not corrected in any way; every channel is measured.
    field : its name.
    labels : (Y, X) label image, 0 = ground, for cells and debris; None leaves them missing.
    about : where it is on the plate: a row of :meth:`cellular.data.plate.Plate.table`.
    others : (Y, X) bool, pixels of cells that are not among `labels` and no debris; None where none are known.

    Returns
    -------
    Table "quality", one row (:data:`cellular.autophagy.measure.columns.QUALITY` without flags), and of raw channels
    "light" (:func:`light_of_field`).

    Raises InputError for an image under 32 px a side, or with values that are no numbers.
    """
    _check(image)
    about = about or {}
    row: dict[str, Any] = {"field": field, **{name: about.get(name) for name in PLACE}}
    row["cells"] = None if labels is None else int(np.count_nonzero(np.unique(labels)))
    measured: dict[str, dict[str, float]] = {name: {} for name in PATTERNS["quality"]}
    planes = _planes(image)
    grounds = [find_background(plane) for plane in planes]
    places = None if labels is None else (labels > 0, clear_of_cells(labels, others))
    for index, (channel, plane, ground) in enumerate(zip(image.channels, planes, grounds)):
        for name, value in _measure_plane(plane, saturated_share(image, index), ground, places).items():
            measured[name][channel] = value
    row |= {f"{name}__{channel}": value for name, values in measured.items() for channel, value in values.items()}
    if pair := reporter_pair(image.channels):
        row |= dict(zip(ALIGNMENT, align(*(planes[image.channels.index(name)] for name in pair))))
    if labels is not None:
        row[OUTLINES] = _outline_agreement(image, planes, labels)
    tables = {"quality": pd.DataFrame([row])}
    return tables | ({"light": light_of_field(image, field, grounds)} if image.kind == "raw" else {})


def light_of_field(image: FieldImage, field: str, grounds: Sequence[Background] | None = None) -> pd.DataFrame:
    """The light of every channel tile by tile (:func:`cellular.autophagy.quality.flat_field.light_of_tiles`).

    Raises InputError as :func:`measure_quality` does.
    """
    _check(image)
    planes = _planes(image)
    grounds = grounds or [find_background(plane) for plane in planes]
    tables = [light_of_tiles(*each) for each in zip(planes, grounds, image.channels)]
    return pd.concat(tables, ignore_index=True).assign(field=field)


def _check(image: FieldImage) -> None:
    if min(image.shape) < SMALLEST:
        raise InputError(f"the image is {image.shape} px; its quality is told from {SMALLEST} px a side up")
    if image.pixels.dtype.kind == "f" and not np.isfinite(image.pixels).all():
        raise InputError("the image holds NaN or infinite intensities; mend them, or leave the field out")


def _planes(image: FieldImage) -> list[np.ndarray]:
    """(Y, X) of each channel, its pixels side by side."""
    return [np.ascontiguousarray(image.pixels[:, :, index]) for index in range(len(image.roles))]


def _measure_plane(
    plane: np.ndarray, saturated: float, ground: Background, places: tuple[np.ndarray, np.ndarray] | None
) -> dict[str, float]:
    """The numbers of one channel; `places` are masks (Y, X) of the cells and of what is clear of them."""
    return {
        "power_slope": power_slope(plane),
        "sharpness": sharpness(plane),
        "saturated": saturated,
        "background": ground.level,
        "background_range": ground.range,
        "noise": ground.noise,
        "signal": signal(plane, ground.level),
        "debris": float("nan") if places is None else debris_share(plane, *places),
    }


def _outline_agreement(image: FieldImage, planes: Sequence[np.ndarray], labels: np.ndarray) -> float:
    """How well cells and light agree as they lie, over how well where they do best; NaN without cells or light."""
    # by its range, since rounding gives a plane of one value a deviation
    lit = [plane for name, plane in zip(image.channels, planes) if name != "transmitted" and np.ptp(plane) > 0]
    if not lit or not labels.any():
        return float("nan")
    light = sum(
        (plane.astype(np.float32) / np.float32(plane.std(dtype=np.float64)) for plane in lit),
        np.zeros(image.shape, np.float32),
    )
    found = align(light, labels > 0)
    return found.at_rest / found.agreement if found.agreement > 0 else float("nan")
