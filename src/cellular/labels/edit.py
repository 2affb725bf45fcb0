"""Correcting a label image: delete, merge, split, draw, reshape, paint.

A cell that is not named keeps pixels and number.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import scipy  # `scipy.ndimage` is slow to import, and is when it is first asked for
from skimage.draw import line as line_pixels

from cellular.errors import InputError
from cellular.labels.checks import as_labels
from cellular.labels.outlines import fill

# What of a polygon that crosses itself is inside, by the names that SVG gives its rules.
EVEN_ODD, NONZERO = "evenodd", "nonzero"

Points = Sequence[Sequence[float]]  # corners or seeds, (x, y) in px; pixel (y, x) covers the square from (x, y)


def delete(labels: np.ndarray, cells: Sequence[int]) -> np.ndarray:
    """`labels` (Y, X) without `cells`.

    Raises InputError for no cell, or one that is not there.
    """
    check_cells(labels, cells, 1)
    return np.where(np.isin(labels, cells), 0, labels).astype(labels.dtype)


def merge(labels: np.ndarray, cells: Sequence[int], new: int) -> np.ndarray:
    """`labels` (Y, X) with two or more `cells` as one, of number `new`.

    Raises InputError for fewer than two, one that is not there, and a number that is taken.
    """
    check_cells(labels, cells, 2)
    return _painted(labels, np.isin(labels, cells), new)


def split_by_line(labels: np.ndarray, cell: int, line: Points, new: Sequence[int]) -> np.ndarray:
    """`labels` (Y, X) with `cell` cut along `line`, its parts numbered by `new`, from the largest down.

    Pixels under the line go to the part that is nearest. Raises InputError where the line does not cut the cell, or
    into more parts than there are numbers.
    """
    check_cells(labels, [cell], 1)
    whole = labels == cell
    cut = whole & ~_line_mask(line, labels.shape)
    parts, count = scipy.ndimage.label(cut)  # 4-connected: nothing slips through a line of pixels that touch at corners
    if count <= scipy.ndimage.label(whole)[1]:
        raise InputError(f"the line does not cut cell {cell} in two; draw it from edge to edge")
    return _numbered(labels, whole, parts, count, new)


def split_by_seeds(labels: np.ndarray, cell: int, seeds: Points, new: Sequence[int]) -> np.ndarray:
    """`labels` (Y, X) with `cell` parted between `seeds`, one in each part, by watershed of the distance to its edge.

    Raises InputError for fewer than two seeds, or one that is not in the cell.
    """
    check_cells(labels, [cell], 1)
    whole = labels == cell
    markers = np.zeros(labels.shape, np.int32)
    places = {_pixel(seed, labels.shape) for seed in seeds}
    outside = [place for place in places if not whole[place]]
    if len(places) < 2 or outside:
        raise InputError(f"splitting cell {cell} takes two or more points inside of it, got {len(places)}")
    for number, place in enumerate(sorted(places), 1):
        markers[place] = number
    from skimage.segmentation import watershed  # slow to import, and this stroke alone needs it

    parts = watershed(-scipy.ndimage.distance_transform_edt(whole), markers, mask=whole)
    return _numbered(labels, whole, parts, len(places), new)


def draw(labels: np.ndarray, polygon: Points, new: int, rule: str = EVEN_ODD) -> np.ndarray:
    """`labels` (Y, X) with a cell `new` inside `polygon`, where no other cell is.

    By `rule`, what a polygon that crosses itself goes around twice is a hole (:data:`EVEN_ODD`) or inside
    (:data:`NONZERO`). Raises InputError for a polygon without a free pixel.
    """
    free = _inside(polygon, labels.shape, rule) & (labels == 0)
    if not free.any():
        raise InputError("the outline holds no pixel that is free; delete or reshape the cell that is there")
    return _painted(labels, free, new)


def reshape(labels: np.ndarray, cell: int, polygon: Points, rule: str = EVEN_ODD) -> np.ndarray:
    """`labels` (Y, X) with `cell` inside `polygon` in place of where it was; other cells keep their pixels.

    `rule` is as for :func:`draw`. Raises InputError where nothing of the cell would be left.
    """
    check_cells(labels, [cell], 1)
    inside = _inside(polygon, labels.shape, rule) & ((labels == 0) | (labels == cell))
    if not inside.any():
        raise InputError(f"nothing of cell {cell} would be left: the outline holds no pixel that is free")
    edited = np.where(labels == cell, 0, labels).astype(labels.dtype)
    edited[inside] = cell
    return edited


def paint(labels: np.ndarray, runs: Sequence[Sequence[int]]) -> np.ndarray:
    """`labels` (Y, X) with other numbers in some pixels, as :func:`painting` tells them; 0 is background.

    Raises InputError for a run that does not lie in the field.

    >>> paint(np.array([[1, 1, 0], [2, 2, 0]], np.uint16), [[1, 2, 3], [4, 1, 0]]).tolist()
    [[1, 3, 3], [2, 0, 0]]
    """
    edited = labels.astype(np.uint32).ravel()
    for start, length, number in runs:
        if start < 0 or length < 1 or start + length > edited.size or not 0 <= number < 2**32:
            raise InputError(f"{length} pixels from {start} as cell {number} do not fit {edited.size} pixels")
        edited[start : start + length] = number
    return as_labels(edited.reshape(labels.shape))


def painting(labels: np.ndarray, edited: np.ndarray) -> list[list[int]]:
    """What makes `edited` (Y, X) of `labels` (Y, X): runs ``[first pixel, pixels, number]``, in order of rows.

    >>> painting(np.array([[1, 1, 0], [2, 2, 0]]), np.array([[1, 3, 3], [2, 0, 0]]))
    [[1, 2, 3], [4, 1, 0]]
    """
    where = np.flatnonzero(labels != edited)
    if not where.size:
        return []
    numbers = edited.ravel()[where].astype(np.int64)
    begins = np.flatnonzero(np.r_[True, (np.diff(where) != 1) | (np.diff(numbers) != 0)])
    lengths = np.diff(np.r_[begins, where.size])
    return np.stack([where[begins], lengths, numbers[begins]], axis=1).tolist()


def changed_cells(original: np.ndarray, edited: np.ndarray) -> tuple[list[int], list[int]]:
    """Cells of `edited` that are new or of another shape than in `original`, and cells of `original` that are gone.

    >>> changed_cells(np.array([[1, 2, 0]]), np.array([[1, 0, 3]]))
    ([3], [2])
    """
    differs = original != edited
    touched = np.union1d(original[differs], edited[differs])
    there = np.zeros(int(max(original.max(initial=0), edited.max(initial=0))) + 1, bool)
    there[edited.ravel()] = True
    cells = [int(cell) for cell in touched if cell]
    return [cell for cell in cells if there[cell]], [cell for cell in cells if not there[cell]]


def check_cells(labels: np.ndarray, cells: Sequence[int], least: int) -> None:
    """Raise InputError for fewer cells than `least`, or one that is not in `labels` (Y, X)."""
    if len(set(cells)) < least:
        raise InputError(f"this takes {least} cell(s) or more, {len(set(cells))} chosen")
    missing = [cell for cell in cells if cell <= 0 or not (labels == cell).any()]
    if missing:
        raise InputError(f"there is no cell {missing[0]} in this field")


def _painted(labels: np.ndarray, where: np.ndarray, new: int) -> np.ndarray:
    if new <= 0 or (labels == new).any():
        raise InputError(f"number {new} is no free number for a cell")
    edited = labels.astype(np.uint32)
    edited[where] = new
    return as_labels(edited)


def _numbered(labels: np.ndarray, whole: np.ndarray, parts: np.ndarray, count: int, new: Sequence[int]) -> np.ndarray:
    """`labels` with the `parts` 1 to `count` of a cell under the numbers `new`; what is in none goes to the nearest."""
    if count > len(new):
        raise InputError(f"that would be {count} parts; split into {len(new)} at once")
    nearest = scipy.ndimage.distance_transform_edt(parts == 0, return_distances=False, return_indices=True)
    full = parts[tuple(nearest)]
    sizes = np.bincount(full[whole], minlength=count + 1)[1:]
    edited = labels
    for number, part in zip(new, np.argsort(-sizes, kind="stable") + 1):
        edited = _painted(edited, whole & (full == part), number)
    return edited


def _inside(polygon: Points, shape: tuple[int, int], rule: str) -> np.ndarray:
    """The pixels (Y, X) whose centre lies inside `polygon`."""
    if rule not in (EVEN_ODD, NONZERO):
        raise InputError(f"unknown rule '{rule}' for a polygon that crosses itself; known: {EVEN_ODD}, {NONZERO}")
    ring = _ring(polygon)
    inside = fill([ring], shape).full()
    return inside if rule == EVEN_ODD else inside | (np.abs(_turns(ring, shape)) > 1)


def _turns(ring: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """How often `ring` goes around the centre of each pixel (Y, X); what goes around it backwards counts against."""
    crossings = np.zeros((shape[0], shape[1] + 1), np.int32)
    for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, axis=0)):
        low, high = np.clip(np.ceil(np.array(sorted((y0, y1))) - 0.5), 0, shape[0]).astype(int)
        rows = np.arange(low, high)  # the rows whose centres lie between the ends of this edge
        if rows.size:
            x = x0 + (rows + 0.5 - y0) * (x1 - x0) / (y1 - y0)
            crossings[rows, np.clip(np.ceil(x - 0.5), 0, shape[1]).astype(int)] += 1 if y1 > y0 else -1
    return np.cumsum(crossings, axis=1)[:, :-1]


def _ring(polygon: Points) -> np.ndarray:
    ring = np.asarray(polygon, float)
    if ring.ndim != 2 or ring.shape[1:] != (2,) or len(ring) < 3:
        raise InputError("an outline needs three corners or more")
    return ring


def _line_mask(line: Points, shape: tuple[int, int]) -> np.ndarray:
    """The pixels (Y, X) under a line of corners (x, y); what lies outside is cut off."""
    corners = np.asarray(line, float)
    if corners.ndim != 2 or corners.shape[1:] != (2,) or len(corners) < 2 or not np.isfinite(corners).all():
        raise InputError("a line needs two points or more")
    whole = np.floor(np.clip(corners, -1, np.array(shape[::-1]))).astype(int)
    mask = np.zeros(np.array(shape) + 2, bool)  # a frame for what is clipped
    for (x0, y0), (x1, y1) in pairwise(whole):
        mask[line_pixels(y0 + 1, x0 + 1, y1 + 1, x1 + 1)] = True
    return mask[1:-1, 1:-1]


def _pixel(point: Sequence[float], shape: tuple[int, int]) -> tuple[int, int]:
    x, y = (int(np.floor(value)) for value in point)
    if not (0 <= y < shape[0] and 0 <= x < shape[1]):
        raise InputError(f"the point x = {point[0]:.0f}, y = {point[1]:.0f} is outside of the field")
    return y, x
