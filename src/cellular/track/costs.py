"""What it costs to say that two outlines at different times are one cell: distance, overlap, appearance."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.spatial.distance import cdist

from cellular.jit import njit


@dataclass(frozen=True)
class Cells:
    """The cells of one label image, in order of their labels.

    Attributes
    ----------
    labels : (N,) label numbers. index : (Y, X) int32, 0 = background, i + 1 = cell i.
    centroids : (N, 2) float64, (y, x) in px. areas : (N,) px.
    appearance : (N, F) extra features in comparable units (see :func:`cellular.track.link.link`), or (N, 0).
    """

    labels: np.ndarray
    index: np.ndarray
    centroids: np.ndarray
    areas: np.ndarray
    appearance: np.ndarray

    @property
    def diameters(self) -> np.ndarray:
        """Diameter in px of the circle with each cell's area."""
        return 2 * np.sqrt(self.areas / np.pi)


def cells_of(labels: np.ndarray) -> Cells:
    """Centroids and areas of a label image (Y, X), whatever the label numbers.

    >>> cells_of(np.array([[0, 7, 7], [0, 0, 3]])).centroids.tolist()
    [[1.0, 2.0], [0.0, 1.5]]
    """
    if int(labels.max(initial=0)) > 1 << 24:  # a table from 0 to the largest label would not fit in memory
        found, labels = np.unique(labels, return_inverse=True)
    else:
        found = np.arange(int(labels.max(initial=0)) + 1)
    present = np.flatnonzero(np.bincount(labels.ravel(), minlength=len(found)))
    present = present[found[present] > 0]
    numbers = np.zeros(len(found), np.int32)
    numbers[present] = np.arange(1, len(present) + 1)
    values = found[present]
    index, areas, sums = _measure(labels, numbers, len(values))
    return Cells(values, index, sums / areas[:, None], areas, np.empty((len(values), 0)))


@njit
def _measure(
    labels: np.ndarray, numbers: np.ndarray, n: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # pragma: no cover - compiled
    """Renumber by table to 1..n, 0 for background, and sum pixels and coordinates, in one pass."""
    index = np.zeros(labels.shape, np.int32)
    areas = np.zeros(n, np.int64)
    sums = np.zeros((n, 2), np.float64)
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            cell = numbers[labels[y, x]]
            if cell:
                index[y, x] = cell
                areas[cell - 1] += 1
                sums[cell - 1, 0] += y
                sums[cell - 1, 1] += x
    return index, areas, sums


@njit
def _shared_pixels(
    before: np.ndarray, after: np.ndarray, dy: int, dx: int, n: int, m: int
) -> np.ndarray:  # pragma: no cover - compiled
    """(n, m) pixels that cell i, moved by whole pixels (dy, dx), shares with cell j."""
    shared = np.zeros((n, m), np.int64)
    rows, columns = before.shape
    for y in range(max(0, -dy), min(rows, rows - dy)):
        for x in range(max(0, -dx), min(columns, columns - dx)):
            i, j = before[y, x], after[y + dy, x + dx]
            if i and j:
                shared[i - 1, j - 1] += 1
    return shared


@dataclass(frozen=True)
class PairCosts:
    """Tables of all pairs of cells between an `earlier` and a `later` image.

    `shift` is the whole field's movement (dy, dx) in px from earlier to later (stage and medium), which is taken off
    before anything is compared.
    """

    earlier: Cells
    later: Cells
    shift: np.ndarray

    @cached_property
    def distance(self) -> np.ndarray:
        """(N, M) centroid distance in px after the shift."""
        return cdist(self.earlier.centroids + self.shift, self.later.centroids)

    @cached_property
    def overlap(self) -> np.ndarray:
        """(N, M) intersection over union after the shift, rounded to whole pixels."""
        dy, dx = (int(step) for step in np.round(self.shift))
        n, m = len(self.earlier.labels), len(self.later.labels)
        shared = _shared_pixels(self.earlier.index, self.later.index, dy, dx, n, m)
        return shared / (self.earlier.areas[:, None] + self.later.areas[None, :] - shared)

    @cached_property
    def appearance(self) -> np.ndarray:
        """(N, M) in 0..1: 0 for alike, 1 for an area off by e or features two robust deviations apart."""
        area = np.abs(np.log(self.earlier.areas)[:, None] - np.log(self.later.areas)[None, :])
        difference = np.minimum(area, 1)
        if self.earlier.appearance.shape[1]:
            features = cdist(self.earlier.appearance, self.later.appearance, "cityblock")
            features = np.minimum(features / self.earlier.appearance.shape[1] / 2, 1)
            difference = (difference + features) / 2
        return difference

    @cached_property
    def area_ratio(self) -> np.ndarray:
        """(N, M) later area over earlier area."""
        return self.later.areas[None, :] / self.earlier.areas[:, None]


def drift(earlier: Cells, later: Cells) -> np.ndarray:
    """Movement (dy, dx) in px of the field as a whole: median step between mutually nearest cells.

    Zero where there are fewer than five such pairs. A median is not moved by the cells that crawl, divide or are
    missed, as long as most stay nearer to themselves than to a neighbour.
    """
    if min(len(earlier.labels), len(later.labels)) < 5:
        return np.zeros(2)
    distance = cdist(earlier.centroids, later.centroids)
    forward, backward = distance.argmin(axis=1), distance.argmin(axis=0)
    mutual = np.flatnonzero(backward[forward] == np.arange(len(forward)))
    if len(mutual) < 5:
        return np.zeros(2)
    return np.median(later.centroids[forward[mutual]] - earlier.centroids[mutual], axis=0)
