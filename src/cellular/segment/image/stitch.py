"""Large images by overlapping windows: cells across seams are put together, not cut."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from cellular.errors import InputError, SettingsError
from cellular.segment.flows.numba.cells import find_cells
from cellular.segment.flows.numba.tidy import keep_labels

# A window also offers cells whose centre lies this part of the overlap beyond its core.
SLACK = 16


class Window(NamedTuple):
    """Rows y0..y1 and columns x0..x1 (last excluded) to segment, and the part (core) this window decides about."""

    y0: int
    y1: int
    x0: int
    x1: int
    core_y0: int
    core_y1: int
    core_x0: int
    core_x1: int


def windows(shape: tuple[int, int], size: int, overlap: int) -> list[Window]:
    """Windows of at most `size` px a side that cover `shape` (Y, X), neighbours sharing `overlap` px, in raster order.

    The cores part the image without gaps; between neighbours the border runs through the middle of the overlap.

    Raises SettingsError for an overlap below 0 or above half of `size`.
    """
    if overlap < 0 or 2 * overlap > size:
        raise SettingsError(f"A window of {size} px takes an overlap of 0 to {size // 2} px, got {overlap}")
    rows, columns = (_spans(length, size, overlap) for length in shape)
    return [Window(y0, y1, x0, x1, a, b, c, d) for y0, y1, a, b in rows for x0, x1, c, d in columns]


def _spans(length: int, size: int, overlap: int) -> list[tuple[int, int, int, int]]:
    """(start, stop, core start, core stop) along one axis."""
    count = 1 if length <= size else -(-(length - overlap) // (size - overlap))
    starts = [round(k * (length - size) / (count - 1)) for k in range(count)] if count > 1 else [0]
    stops = [min(start + size, length) for start in starts]
    borders = [0, *((stop + start) // 2 for stop, start in zip(stops, starts[1:])), length]
    return list(zip(starts, stops, borders, borders[1:]))


def segment_by_windows(
    segment: Callable[[int, int, int, int], np.ndarray],
    shape: tuple[int, int],
    size: int,
    overlap: int,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Segment an image window by window into one label image; cells across seams come out whole.

    A cell is taken from the window in whose core its centre (mean position) lies, or a little beyond, since windows
    may place it differently. A cell that shares half of the smaller one's pixels with a cell already taken is the
    same and is left; where different cells overlap, the earlier keeps the pixels. Take an overlap of two cell
    diameters or more: then every cell is whole in its window, and if `segment` decides by what is near, the result
    equals that of one window. Memory holds one window's labels and `out`.

    Parameters
    ----------
    segment : called as ``segment(y0, y1, x0, x1)``, gives the window's labels (y1 - y0, x1 - x0), 0 = background.
    shape : (Y, X) of the image, px.
    size : side of a window, px.
    overlap : px that neighbouring windows share at least.
    out : (Y, X) uint32 of zeros to write into, such as a ``numpy.memmap``; None makes an array.

    Returns
    -------
    `out`, (Y, X) uint32, cells 1..N in raster order of their first pixels.
    """

    def without_values(*window: int) -> tuple[np.ndarray, np.ndarray]:
        labels = segment(*window)
        return labels, np.empty((int(labels.max(initial=0)), 0))

    return measure_by_windows(without_values, shape, size, overlap, out)[0]


def measure_by_windows(
    segment: Callable[[int, int, int, int], tuple[np.ndarray, np.ndarray]],
    shape: tuple[int, int],
    size: int,
    overlap: int,
    out: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """:func:`segment_by_windows` where `segment` also gives values (n, V) of the window's cells 1..n.

    Returns the labels (Y, X) uint32 and the values (N, V) of cells 1..N, each from the window it was taken from.

    Raises SettingsError for `out` of another shape or type, InputError for labels that do not fit their window.
    """
    out = np.zeros(shape, np.uint32) if out is None else out
    if out.shape != tuple(shape) or out.dtype != np.uint32:
        raise SettingsError(f"The output must be {tuple(shape)} of uint32, got {out.shape} of {out.dtype}")
    areas, values = [0], []
    for window in windows(shape, size, overlap):
        labels, measured = segment(window.y0, window.y1, window.x0, window.x1)
        labels = np.ascontiguousarray(labels, np.uint32)
        if labels.shape != (window.y1 - window.y0, window.x1 - window.x0):
            raise InputError(f"Window {window[:4]} was segmented into labels of shape {labels.shape}")
        values.append(measured[_paste(labels, window, overlap // SLACK, out, areas)])
    former = keep_labels(out, np.ones(len(areas) - 1, bool))
    return out, np.concatenate(values)[former - 1]


def _paste(labels: np.ndarray, window: Window, slack: int, out: np.ndarray, areas: list[int]) -> list[int]:
    """Add to `out` the cells of one window that are its own and not there yet; `areas` grows by their areas, px.

    Returns the window's labels, less one, of the cells added.
    """
    added = []
    cells = find_cells(labels)
    for k in np.flatnonzero(cells.area):
        centre_y, centre_x = cells.total[k] / cells.area[k] + (window.y0, window.x0)
        if not (
            window.core_y0 - slack <= centre_y < window.core_y1 + slack
            and window.core_x0 - slack <= centre_x < window.core_x1 + slack
        ):
            continue
        top, bottom, left, right = cells.box[k]
        cell = labels[top : bottom + 1, left : right + 1] == k + 1
        target = out[window.y0 + top : window.y0 + bottom + 1, window.x0 + left : window.x0 + right + 1]
        if not _is_there(target[cell], areas):
            free = cell & (target == 0)
            target[free] = len(areas)
            areas.append(int(free.sum()))
            added.append(int(k))
    return added


def _is_there(taken: np.ndarray, areas: list[int]) -> bool:
    """Whether one of the labels `taken` at a cell's pixels shares half of itself or half of the cell."""
    there, shared = np.unique(taken[taken > 0], return_counts=True)
    return any(s >= min(len(taken), areas[label]) / 2 for label, s in zip(there, shared))
