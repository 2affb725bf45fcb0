"""Tidying label images: numbering, holes, cells too small or too large."""

import numba
import numpy as np

from cellular.segment._cells import find_cells


def keep_labels(labels: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """Erase in place the labels k with ``keep[k - 1]`` False; number the others 1..N as they first appear.

    Returns the former number (N,) int64 of each label that is left.
    """
    number = _renumber(labels, np.concatenate([[False], keep]))
    left = np.flatnonzero(number)
    return left[np.argsort(number[left])]


def areas(labels: np.ndarray) -> np.ndarray:
    """Pixels (N,) of labels 1..N, where N is the largest label present."""
    return np.bincount(labels.ravel())[1:]


def fill_holes_and_drop_small(labels: np.ndarray, min_size: int) -> np.ndarray:
    """Fill the holes of every cell and erase cells under `min_size` px, before and after; renumber; in place.

    A hole is what a walk over edges (4 neighbours) cannot reach from outside the cell's box; a cell inside a hole
    is taken over by the cell around it. Labels are judged by their own areas: Cellpose's filter pairs areas with
    labels by rank and deletes the wrong cell when numbers are missing. Returns former numbers as `keep_labels` does.
    """
    former = keep_labels(labels, areas(labels) >= max(min_size, 1))
    _fill_holes(labels, find_cells(labels).box)
    return former[keep_labels(labels, areas(labels) >= max(min_size, 1)) - 1]


@numba.njit(nogil=True, cache=True)
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


@numba.njit(nogil=True, cache=True)
def _fill_holes(labels: np.ndarray, boxes: np.ndarray) -> None:
    for k in range(len(boxes)):
        y0, x0 = boxes[k, 0], boxes[k, 2]
        height, width = boxes[k, 1] - y0 + 1, boxes[k, 3] - x0 + 1
        outside = _reach_from_border(labels[y0 : y0 + height, x0 : x0 + width], k + 1)
        for y in range(height):
            for x in range(width):
                if not outside[y, x]:
                    labels[y0 + y, x0 + x] = k + 1


@numba.njit(nogil=True, cache=True)
def _reach_from_border(window: np.ndarray, label: int) -> np.ndarray:
    """(h, w) bool: pixels other than `label` that a walk over edges reaches from outside the window."""
    height, width = window.shape
    reached = np.zeros((height, width), np.bool_)
    stack = []
    for y in range(height):
        for x in range(width):
            if (y == 0 or x == 0 or y == height - 1 or x == width - 1) and window[y, x] != label:
                reached[y, x] = True
                stack.append((y, x))
    while len(stack) > 0:
        y, x = stack.pop()
        for dy, dx in ((-1, 0), (1, 0), (0, -1), (0, 1)):
            v, u = y + dy, x + dx
            if 0 <= v < height and 0 <= u < width and not reached[v, u] and window[v, u] != label:
                reached[v, u] = True
                stack.append((v, u))
    return reached
