"""Tidying label images: numbering, holes, cells too small or too large."""

import numpy as np

from cellular.jit import njit
from cellular.segment.flows.numba.cells import find_cells
from cellular.segment.threads import over_threads


def keep_labels(labels: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """Erase in place the labels k with ``keep[k - 1]`` False; number the others 1..N as they first appear.

    Returns the former number (N,) int64 of each label that is left.
    """
    number = _renumber(labels, np.concatenate([[False], keep]))
    left = np.flatnonzero(number)
    return left[np.argsort(number[left])]


def areas(labels: np.ndarray) -> np.ndarray:
    """Pixels (N,) of labels 1..N, where N is the largest label present."""
    return _areas(labels, int(labels.max()))


def fill_holes_and_drop_small(labels: np.ndarray, min_size: int) -> np.ndarray:
    """Fill the holes of every cell and erase cells under `min_size` px, before and after; renumber; in place.

    A hole is what a walk over edges (4 neighbours) cannot reach from outside the cell's box; a cell inside a hole
    is taken over by the cell around it. Labels are judged by their own areas: Cellpose's filter pairs areas with
    labels by rank and deletes the wrong cell when numbers are missing. Returns former numbers as `keep_labels` does.
    """
    former = keep_labels(labels, areas(labels) >= max(min_size, 1))
    boxes = find_cells(labels).box
    holed = np.zeros(len(boxes), bool)
    over_threads(_find_holes, np.arange(len(boxes)), labels, boxes, holed)
    _fill_holes(np.flatnonzero(holed), labels, boxes)
    return former[keep_labels(labels, areas(labels) >= max(min_size, 1)) - 1]


@njit
def _areas(labels: np.ndarray, count: int) -> np.ndarray:
    """Runs of one label, which label images are made of, cost one write each."""
    area = np.zeros(count + 1, np.int64)
    for row in labels:
        own, since = row[0], 0
        for x in range(1, len(row)):
            if row[x] != own:
                area[own] += x - since
                own, since = row[x], x
        area[own] += len(row) - since
    return area[1:]


@njit
def _renumber(labels: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """New number by old number, 0 for what is erased or not there."""
    number = np.zeros(len(keep), labels.dtype)
    last = 0
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            label = labels[y, x]
            if label == 0:
                continue
            if keep[label] and number[label] == 0:
                last += 1
                number[label] = last
            labels[y, x] = number[label]
    return number


@njit
def _find_holes(which: np.ndarray, labels: np.ndarray, boxes: np.ndarray, holed: np.ndarray) -> None:
    """Whether the cells `which` (labels minus one) have holes, into `holed` (N,)."""
    for k in which:
        window = _window(labels, boxes[k])
        outside = _reach_from_border(window, k + 1)
        for y in range(window.shape[0]):
            for x in range(window.shape[1]):
                holed[k] |= not outside[y, x] and window[y, x] != k + 1


@njit
def _fill_holes(which: np.ndarray, labels: np.ndarray, boxes: np.ndarray) -> None:
    """Fill the holes of the cells `which` one after the other: a cell may lose its own to the one around it.

    Filling gives no other cell a hole that it had not before, so that the cells found by :func:`_find_holes` will do.
    """
    for k in which:
        window = _window(labels, boxes[k])
        outside = _reach_from_border(window, k + 1)
        for y in range(window.shape[0]):
            for x in range(window.shape[1]):
                if not outside[y, x]:
                    window[y, x] = k + 1


@njit
def _window(labels: np.ndarray, box: np.ndarray) -> np.ndarray:
    return labels[box[0] : box[1] + 1, box[2] : box[3] + 1]


@njit
def _reach_from_border(window: np.ndarray, label: int) -> np.ndarray:
    """(h, w) bool: pixels other than `label` that a walk over edges reaches from outside the window.

    Sweeps down and up, along each row to and fro, until nothing changes: one or two do for most cells.
    """
    height, width = window.shape
    reached = np.ones((height + 2, width + 2), np.bool_)
    inside = reached[1:-1, 1:-1]
    for y in range(height):
        for x in range(width):
            inside[y, x] = False
    changed = True
    while changed:
        changed = False
        for sweep in range(2):
            for k in range(height):
                y = k if sweep == 0 else height - 1 - k
                before = reached[y] if sweep == 0 else reached[y + 2]
                row, own = reached[y + 1], window[y]
                for x in range(width):
                    if own[x] != label and not row[x + 1] and (before[x + 1] or row[x]):
                        row[x + 1] = changed = True
                for x in range(width - 1, -1, -1):
                    if own[x] != label and not row[x + 1] and row[x + 2]:
                        row[x + 1] = changed = True
    return inside
