"""The cells of a label image, one by one: pixels and boxes."""

import hashlib
from dataclasses import dataclass

import numpy as np
import scipy  # `scipy.ndimage` is slow to import, and is when it is first asked for

from cellular.labels.checks import as_labels


@dataclass(frozen=True)
class CellMask:
    """One cell in a field of `shape` (Y, X): its box and the pixels inside it.

    Attributes
    ----------
    shape : (Y, X) of the whole field, px.
    y, x : upper left corner of the box, px.
    pixels : (h, w) bool, True = cell; (0, 0) when the mask is empty.
    """

    shape: tuple[int, int]
    y: int
    x: int
    pixels: np.ndarray

    @property
    def area(self) -> int:
        """Number of pixels, px."""
        return int(np.count_nonzero(self.pixels))

    @property
    def box(self) -> tuple[int, int, int, int]:
        """(y0, x0, y1, x1), px, half-open."""
        height, width = self.pixels.shape
        return self.y, self.x, self.y + height, self.x + width

    @property
    def centroid(self) -> tuple[float, float]:
        """(y, x), px: the mean place of its pixels."""
        rows, columns = (self.pixels.sum(axis=axis) for axis in (1, 0))
        return self.y + rows @ np.arange(rows.size) / self.area, self.x + columns @ np.arange(columns.size) / self.area

    @property
    def window(self) -> tuple[slice, slice]:
        """The box as an index into a (Y, X) array."""
        y0, x0, y1, x1 = self.box
        return slice(y0, y1), slice(x0, x1)

    def full(self) -> np.ndarray:
        """The whole field as (Y, X) bool."""
        field = np.zeros(self.shape, bool)
        field[self.window] = self.pixels
        return field


def crop_mask(field: np.ndarray) -> CellMask:
    """The cell in a (Y, X) or (Y, X, C) array: every pixel that is not zero in any channel."""
    cell: np.ndarray = np.asarray(field.any(axis=2) if field.ndim == 3 else field != 0)
    rows, columns = np.flatnonzero(cell.any(axis=1)), np.flatnonzero(cell.any(axis=0))
    if not rows.size:
        return CellMask(cell.shape, 0, 0, np.zeros((0, 0), bool))
    y, x = int(rows[0]), int(columns[0])
    return CellMask(cell.shape, y, x, cell[y : rows[-1] + 1, x : columns[-1] + 1].copy())


def cells_of(labels: np.ndarray) -> list[tuple[int, CellMask]]:
    """Each label of a (Y, X) label image with its pixels, in order of label."""
    labels = as_labels(labels)
    present, boxes = windows_of(labels)
    return [
        (int(label), CellMask(labels.shape, box[0].start, box[1].start, labels[box] == label))
        for label, box in zip(present, boxes)
    ]


def cell_boxes(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels (N,) present in a label image (Y, X) and their boxes (N, 4) float64 y0, x0, y1, x1, end exclusive, px."""
    present, boxes = windows_of(labels)
    corners = [(rows.start, columns.start, rows.stop, columns.stop) for rows, columns in boxes]
    return present, np.array(corners, float).reshape(-1, 4)


def windows_of(labels: np.ndarray) -> tuple[np.ndarray, list[tuple[slice, slice]]]:
    """Labels (N,) int64 present in a label image (Y, X), ascending, and the box of each."""
    if labels.size and labels.max() <= labels.size:
        boxes = scipy.ndimage.find_objects(labels)
        present = np.flatnonzero([box is not None for box in boxes]) + 1
        return present, [boxes[label - 1] for label in present]
    present, dense = without_gaps(labels)
    return present, scipy.ndimage.find_objects(dense)


def without_gaps(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels (N,) int64 present in a label image, ascending, and the image with 1..N in their place.

    For few labels of high numbers, ids of a database: a list of all numbers would be one of billions.
    """
    present = np.setdiff1d(labels, 0).astype(np.int64)
    return present, np.searchsorted(present, labels) + (labels > 0)


def areas_of(labels: np.ndarray) -> np.ndarray:
    """Areas (N,) int64 of the cells of a label image, px, in ascending order of label."""
    if labels.max(initial=0) > labels.size:
        labels = without_gaps(labels)[1]
    areas = np.bincount(labels.ravel())[1:]
    return areas[areas > 0]


def pixel_hash(labels: np.ndarray) -> str:
    """SHA-256 of a label image's size and numbers, however they are stored."""
    digest = hashlib.sha256(repr(labels.shape).encode())
    digest.update(np.ascontiguousarray(labels, np.uint32).data)
    return digest.hexdigest()
