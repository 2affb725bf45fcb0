"""The shape of each cell."""

import cv2
import numpy as np

from cellular.labels.regions import Regions


def measure_shape(labels: np.ndarray, regions: Regions) -> dict[str, np.ndarray]:
    """Columns (N,) of shape, in px; `labels` is (Y, X).

    The definitions are scikit-image's regionprops', from moments summed for all cells at once (its own way takes as
    long as everything else together). Solidity counts the pixel centres in the hull of the cell's pixel centres,
    scikit-image those in the hull of its pixels' edges: up to 3 % apart in small cells. Circularity is
    4 pi area / perimeter², at most 1.
    """
    columns = _moments(regions)
    area = regions.area
    columns["perimeter"] = _perimeters(labels, regions)
    columns["solidity"] = area / np.array([hull_pixels(ends) for ends in _ends_of_runs(regions)], float)
    columns["extent"] = area / _box_areas(regions)
    around = np.where(columns["perimeter"] > 0, columns["perimeter"], np.inf)
    columns["circularity"] = np.where(np.isinf(around), 1.0, (4 * np.pi * area / around**2).clip(0, 1))
    border = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    columns["touches_border"] = np.isin(regions.labels, border)
    return columns


def _moments(regions: Regions) -> dict[str, np.ndarray]:
    """Area, centroid and the ellipse with the same second moments.

    Of whole numbers, summed in closed form along each run, about the cell's first pixel, so that small sums stay exact.
    """
    area, n = regions.area, np.diff(regions.runs[:, 1:], axis=1)[:, 0] + 1
    origin = regions.runs[regions.first_runs, :2]
    y, x = (regions.runs[:, :2] - np.repeat(origin, _run_counts(regions), axis=0)).T
    of_x = n * x + n * (n - 1) // 2
    of_xx = n * x * x + x * n * (n - 1) + (n - 1) * n * (2 * n - 1) // 6
    sums = [_over_runs(values, regions) for values in (n * y, of_x, n * y * y, of_xx, y * of_x)]
    sum_y, sum_x, sum_yy, sum_xx, sum_yx = np.array(sums, float)
    yy, xx = (sum_yy * area - sum_y**2) / area**2, (sum_xx * area - sum_x**2) / area**2
    yx = (sum_yx * area - sum_y * sum_x) / area**2
    half, spread = (yy + xx) / 2, np.hypot((yy - xx) / 2, yx)
    return {
        "y": origin[:, 0] + sum_y / area,
        "x": origin[:, 1] + sum_x / area,
        "area": area,
        "major_axis": 4 * np.sqrt(half + spread),
        "minor_axis": 4 * np.sqrt(np.maximum(half - spread, 0)),
        "eccentricity": np.sqrt(2 * spread / np.maximum(half + spread, 1e-12)),
        "orientation": 0.5 * np.arctan2(2 * yx, yy - xx),
    }


def _run_counts(regions: Regions) -> np.ndarray:
    return np.diff(regions.first_runs, append=len(regions.runs))


def _over_runs(values: np.ndarray, regions: Regions, how: np.ufunc = np.add) -> np.ndarray:
    """(N,) sum, or what `how` makes, of each cell's runs."""
    return how.reduceat(values, regions.first_runs) if regions.first_runs.size else values[:0]


def _box_areas(regions: Regions) -> np.ndarray:
    """(N,) pixels in the box about each cell."""
    low, high = (_over_runs(regions.runs, regions, how) for how in (np.minimum, np.maximum))
    return (high[:, 0] - low[:, 0] + 1) * (high[:, 2] - low[:, 1] + 1)


def _ends_of_runs(regions: Regions) -> list[np.ndarray]:
    """(n, 2) x and y of both ends of all runs of each cell: no pixel of it lies outside of their hull."""
    row, first, last = regions.runs.T
    ends = np.stack([np.stack([first, row], axis=1), np.stack([last, row], axis=1)], axis=1).astype(np.int32)
    return [part.reshape(-1, 2) for part in np.split(ends, regions.first_runs[1:])] if len(ends) else []


# Length that a border pixel stands for, by 2 x its neighbours over edges + 10 x those over corners that are border
# pixels of the same cell too (Benkrid et al., as in scikit-image).
_LENGTHS = np.zeros(49)
_LENGTHS[[4, 6, 14, 16, 24, 26]] = 1
_LENGTHS[[20, 32]] = np.sqrt(2)
_LENGTHS[[12, 22]] = (1 + np.sqrt(2)) / 2


def _perimeters(labels: np.ndarray, regions: Regions) -> np.ndarray:
    """(N,) length of a line through the centres of each cell's border pixels: those beside another label."""
    around = np.pad(labels, 1)
    inner = np.ones(labels.shape, bool)
    for row, column in ((0, 1), (2, 1), (1, 0), (1, 2)):
        inner &= around[row : row + labels.shape[0], column : column + labels.shape[1]] == labels
    around[1:-1, 1:-1][inner] = 0
    flat, width = around.ravel(), around.shape[1]
    at = np.flatnonzero(flat)
    own, code = flat[at], np.zeros(at.size, np.int64)
    for weight, steps in ((2, (-width, -1, 1, width)), (10, (-width - 1, -width + 1, width - 1, width + 1))):
        for step in steps:
            code += weight * (flat[at + step] == own)
    cell = np.searchsorted(regions.labels, own)
    return np.bincount(cell, _LENGTHS[code], regions.labels.size)


def hull_pixels(points: np.ndarray) -> float:
    """Pixel centres in or on the convex hull of `points`, (n, 2) int32 pixel centres.

    By Pick's theorem: area of the lattice polygon + half the lattice points on its border + 1.
    """
    hull = cv2.convexHull(points)[:, 0].astype(np.int64)
    step = np.roll(hull, -1, axis=0) - hull
    twice_area = abs(np.sum(hull[:, 0] * np.roll(hull[:, 1], -1) - hull[:, 1] * np.roll(hull[:, 0], -1)))
    return (twice_area + np.gcd(*step.T).sum()) / 2 + 1
