"""What it costs to say that two outlines at different times are one cell: distance, overlap, appearance."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.ndimage import uniform_filter
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
    missed, as long as most stay nearer to themselves than to a neighbour. Where the stage jumped they do not: the
    movement that most pairs of cells share is taken if of those that it leaves in the image it puts a clearly larger
    share on cells, half as much again, and in all two cells more, or nearly all of these.
    """
    if min(len(earlier.labels), len(later.labels)) < _FEWEST:
        return np.zeros(2)
    before, after = earlier.centroids, later.centroids
    radius = float(np.median(np.concatenate([earlier.diameters, later.diameters]))) / 2
    nearest = _median_step(before, after, np.zeros(2), np.inf)
    met, well = _meeting(before, after, nearest, radius, earlier.index.shape)
    if _CLEARLY * well >= 1:
        return nearest  # nothing can be that much better
    # maps of specks in a large image would fill the memory
    unit = max(radius / 2, max(earlier.index.shape) / _MOST_SQUARES)
    jump = _median_step(before, after, _commonest_step(before, after, unit), 2 * unit)
    meet, better = _meeting(before, after, jump, radius, earlier.index.shape)
    # of cells that crawl or come and go, some far step puts half of the few that it leaves in the image on others
    sure = meet > met + _MORE or better > _NEARLY_ALL
    return jump if sure and better >= max(_CLEARLY * well, _MEET) else nearest


# Pairs that a movement is told by; how much better a jump must explain the cells; and how well, of 1 for all in place,
# with so many more of them in place, or else of nearly all that it leaves in the image.
_FEWEST, _CLEARLY, _MEET, _MORE, _NEARLY_ALL = 5, 1.5, 0.45, 2, 0.8
# Squares along the side of the image in the maps that a jump is looked for in, at most.
_MOST_SQUARES = 512


def _mutual(before: np.ndarray, after: np.ndarray, step: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices of cells that are nearest to each other after `step`, and how far apart these are, px."""
    distance = cdist(before + step, after)
    forward, backward = distance.argmin(axis=1), distance.argmin(axis=0)
    mutual = np.flatnonzero(backward[forward] == np.arange(len(forward)))
    return mutual, forward[mutual], distance[mutual, forward[mutual]]


def _median_step(before: np.ndarray, after: np.ndarray, about: np.ndarray, reach: float) -> np.ndarray:
    """Median step (dy, dx) of pairs within `reach` px of each other after the step `about`; zero with too few."""
    i, j, apart = _mutual(before, after, about)
    near = apart <= reach
    return np.median(after[j[near]] - before[i[near]], axis=0) if near.sum() >= _FEWEST else np.zeros(2)


def _meeting(
    before: np.ndarray, after: np.ndarray, step: np.ndarray, radius: float, shape: tuple[int, ...]
) -> tuple[float, float]:
    """How many cells meet another after `step`, 1 for each in place, 0 for a `radius` off; and of those in the image.

    At least a third of all counts as left: of a few in a corner some step puts most on others.
    """
    moved = before + step
    staying = int(((moved >= 0) & (moved <= np.array(shape) - 1)).all(axis=1).sum())
    *_, apart = _mutual(before, after, step)
    meeting = float(np.clip(1 - (apart / radius) ** 2, 0, None).sum())
    return meeting, meeting / max(staying, len(before) / 3)


def _commonest_step(before: np.ndarray, after: np.ndarray, unit: float) -> np.ndarray:
    """The step (dy, dx) that more pairs of cells share than chance would have it, to about a `unit` px.

    A correlation of maps of centroids, against what as many cells strewn over the same field would give.
    """
    cells = [(centroids // unit).astype(int) for centroids in (before, after)]
    size = np.maximum(*(cell.max(axis=0) for cell in cells)) + 1
    shape = tuple(2 * size)
    maps = np.zeros((2, *shape))
    for drawn, cell in zip(maps, cells):
        np.add.at(drawn, tuple(cell.T), 1)
    first, second = np.fft.rfft2(maps)
    pairs = uniform_filter(np.fft.irfft2(second * first.conj(), shape), 3, mode="wrap")
    steps = [(np.arange(2 * side) + side) % (2 * side) - side for side in size]
    rows, columns = (1 - np.abs(step) / side for step, side in zip(steps, size))
    chance = len(before) * len(after) / size.prod() * np.outer(rows, columns)
    # a ninth of pairs is one in each of the nine places; of a corner that a few cells share nothing can be told
    y, x = np.unravel_index(np.argmax((pairs - chance) / np.sqrt(chance + 1 / 9)), shape)
    return np.array([steps[0][y], steps[1][x]]) * unit
