"""Every cell cut out of its field: what is outside its outline is empty, so that neither neighbours nor medium tell."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import pandas as pd

from cellular.autophagy.measure.unmix import REPORTER, clear_of_cells, unmix
from cellular.data.image import FieldImage
from cellular.errors import InputError
from cellular.labels.cells import windows_of

TRANSMITTED = "transmitted"
CHANNELS = (*REPORTER, TRANSMITTED)


@dataclass(frozen=True)
class Crops:
    """Cells cut out, one after the other.

    Attributes
    ----------
    pixels : (N, C + 1, S, S) float32, the `channels` with the field's background subtracted, in counts or grey levels,
        0 outside the cell; last the share of each pixel that is inside the outline, 0..1.
    cells : ``field, label`` of each.
    channels : names of the planes before the outline.
    source : "raw" or "composite"; the two have no common unit.
    pixel_size_um : side of the image's pixels, µm; None where it is not known.
    """

    pixels: np.ndarray
    cells: pd.DataFrame
    channels: tuple[str, ...]
    source: str
    pixel_size_um: float | None = None

    def __len__(self) -> int:
        return len(self.pixels)


def cut_crops(
    image: FieldImage,
    labels: np.ndarray,
    field: str,
    *,
    channels: Sequence[str] = REPORTER,
    side_px: int = 160,
    size: int = 80,
    others: np.ndarray | None = None,
) -> Crops:
    """Crops of all cells of one field, in ascending order of label.

    Parameters
    ----------
    image : with the channels asked for, and those that :func:`unmix` needs.
    labels : (Y, X), 0 = background.
    side_px : side of the square about the middle of the cell's box; what reaches beyond is cut off.
    size : side of the crop in its own pixels, each the mean of those of the image it covers.
    others : (Y, X) bool, pixels of further cells, which are no background; None where none are known.

    Raises InputError for an image without the channels asked for.
    """
    planes, source = _planes(image, labels, channels, others)
    numbers, boxes = windows_of(labels)
    pixels = np.zeros((len(numbers), len(planes) + 1, size, size), np.float32)
    for crop, number, box in zip(pixels, numbers, boxes):
        window, place = _windows(box, labels.shape, side_px)
        inside = labels[window] == number
        for plane, values in zip(crop, [*(p[window] for p in planes), inside]):
            square = np.zeros((side_px, side_px), np.float32)
            square[place] = values * inside
            plane[:] = cv2.resize(square, (size, size), interpolation=cv2.INTER_AREA)
    cells = pd.DataFrame({"field": np.full(len(numbers), field, object), "label": numbers.astype(np.int64)})
    return Crops(pixels, cells, tuple(channels), source, image.pixel_size_um)


def join_crops(parts: Sequence[Crops]) -> Crops:
    """Crops of several fields as one; InputError where raw channels and composites are mixed."""
    sources = {part.source for part in parts}
    if len(sources) != 1:
        raise InputError(f"Crops of {' and '.join(sorted(sources)) or 'no fields'}: use images of one kind")
    return Crops(
        np.concatenate([part.pixels for part in parts]),
        pd.concat([part.cells for part in parts], ignore_index=True),
        parts[0].channels,
        parts[0].source,
        next((part.pixel_size_um for part in parts if part.pixel_size_um), None),
    )


def _planes(
    image: FieldImage, labels: np.ndarray, channels: Sequence[str], others: np.ndarray | None
) -> tuple[list[np.ndarray], str]:
    """The channels asked for, each less its median off the cells."""
    found = unmix(image, labels, others=others)
    planes = {name: plane - level for (name, plane), level in zip(found.planes.items(), found.background)}
    if TRANSMITTED in channels:
        light = image.plane(TRANSMITTED).astype(np.float32)
        planes[TRANSMITTED] = light - np.median(light[clear_of_cells(labels, others)])
    return [planes[name] for name in channels], found.source


def _windows(
    box: tuple[slice, slice], shape: tuple[int, int], side: int
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where the square about the middle of `box` lies in the image, and where that part lies in the square."""
    window, place = [], []
    for span, length in zip(box, shape):
        start = (span.start + span.stop) // 2 - side // 2
        low, high = max(0, start), min(length, start + side)
        window.append(slice(low, high))
        place.append(slice(low - start, high - start))
    return (window[0], window[1]), (place[0], place[1])
