"""Where the cells of a label image lie."""

from typing import NamedTuple

import numpy as np

from cellular.errors import InputError
from cellular.jit import njit


class Cells(NamedTuple):
    """One row per label 1..N of a label image; a label that no pixel carries has `area` 0.

    Attributes
    ----------
    area : (N,) int64, px.
    box : (N, 4) int64, first and last row, first and last column (last included).
    total : (N, 2) int64, sum of the rows and of the columns of the cell's pixels.
    """

    area: np.ndarray
    box: np.ndarray
    total: np.ndarray


def checked_labels(labels: np.ndarray) -> np.ndarray:
    """`labels` as a contiguous (Y, X) uint32 array (one type: each more would cost a compilation), or InputError."""
    labels = np.asarray(labels)
    if labels.ndim != 2 or labels.size == 0 or labels.dtype.kind not in "uib":
        raise InputError(
            f"A label image is a non-empty (Y, X) array of integers, got shape {labels.shape}, dtype {labels.dtype}"
        )
    if labels.dtype.kind == "i" and labels.min() < 0:
        raise InputError(f"Labels are 0 (background) and up, got {labels.min()}")
    if labels.max() > np.iinfo(np.uint32).max:
        raise InputError(f"Label {labels.max()} does not fit 32 bits")
    return np.ascontiguousarray(labels, np.uint32)


def without_gaps(labels: np.ndarray) -> np.ndarray:
    """`labels` renumbered 1..N in ascending order where the largest label exceeds the number of pixels, else as is."""
    if int(labels.max()) <= labels.size:
        return labels
    present, numbered = np.unique(np.append(labels.ravel(), 0), return_inverse=True)
    return numbered[:-1].reshape(labels.shape).astype(np.uint32)


def find_cells(labels: np.ndarray) -> Cells:
    """Area, box and coordinate sums of every cell, in one pass over `labels` (Y, X)."""
    return Cells(*_find_cells(labels, int(labels.max())))


def largest_first(cells: Cells) -> np.ndarray:
    """Labels minus one of the cells that have pixels, by falling area: so shared out, threads end together."""
    return np.argsort(-cells.area, kind="stable")[: np.count_nonzero(cells.area)]


@njit
def _find_cells(labels: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    height, width = labels.shape
    area = np.zeros(count, np.int64)
    total = np.zeros((count, 2), np.int64)
    box = np.empty((count, 4), np.int64)
    box[:, 0] = height
    box[:, 1] = -1
    box[:, 2] = width
    box[:, 3] = -1
    for y in range(height):
        for x in range(width):
            if labels[y, x] == 0:
                continue
            k = np.int64(labels[y, x]) - 1
            area[k] += 1
            total[k, 0] += y
            total[k, 1] += x
            box[k, 0] = min(box[k, 0], y)
            box[k, 1] = y
            box[k, 2] = min(box[k, 2], x)
            box[k, 3] = max(box[k, 3], x)
    return area, box, total
