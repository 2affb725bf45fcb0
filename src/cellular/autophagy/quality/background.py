"""The light off the cells, found without knowing where the cells are."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from cellular.autophagy.quality.levels import quantile

# The field is looked at in TILES x TILES parts.
TILES = 8
# The level is found from about as many pixels, evenly spread.
_ENOUGH = 50_000
# A tile's background is told by its darkest pixels: this share of them, which lies this many deviations below the mean.
_DARKEST, _DEVIATIONS = 0.05, 1.645
_ROUNDS = 10


@dataclass(frozen=True)
class Background:
    """The background of a plane.

    Attributes
    ----------
    level : the most common level, in the plane's unit.
    noise : robust standard deviation of a pixel of background, from what lies below the level.
    surface : (TILES, TILES), the background across the field; it may be brighter in the middle or to one side.
    """

    level: float
    noise: float
    surface: np.ndarray

    @property
    def range(self) -> float:
        """Brightest less darkest part of the surface."""
        return float(np.ptp(self.surface))


def find_background(plane: np.ndarray) -> Background:
    """The background of a plane (Y, X).

    Cells have many levels, the ground between them one: it is the mode. So at least some ground must be seen, in most
    of the tiles for `surface`, a bowl fitted to the darkest pixels of each of them; tiles that are full of cells count
    as little as they stick out above it.
    """
    values = np.asarray(plane.ravel()[:: max(1, plane.size // _ENOUGH)], np.float64)
    level = mode(values)
    below = level - values[values < level]
    noise = float(np.median(below)) / 0.6745 if below.size else 0.0
    darkest = np.array([quantile(tile, _DARKEST) for tile in tiles_of(plane)]) + _DEVIATIONS * noise
    return Background(level, noise, _lower_surface(darkest, noise).reshape(TILES, TILES))


def mode(values: np.ndarray) -> float:
    """The most common value: the half-sample mode (Bickel and Fruehwirth, Comput Stat Data Anal 50, 3500, 2006).

    >>> mode(np.array([1.0, 5.0, 5.1, 5.2, 9.0]))
    5.05
    """
    values = np.sort(values)
    while values.size > 3:
        half = (values.size + 1) // 2
        widths = values[half - 1 :] - values[: values.size - half + 1]
        # whole numbers make many halves equally narrow: the first would be too low
        narrowest = np.flatnonzero(widths == widths.min())
        start = int(narrowest[narrowest.size // 2])
        values = values[start : start + half]
    if values.size == 3:
        low, high = np.diff(values)
        values = values if low == high else values[:2] if low < high else values[1:]
    return float(values.mean())


def tiles_of(plane: np.ndarray) -> list[np.ndarray]:
    """The TILES x TILES parts of a plane (Y, X), row by row."""
    rows, columns = (np.linspace(0, side, TILES + 1).astype(int) for side in plane.shape)
    return [plane[top:bottom, left:right] for top, bottom in pairwise(rows) for left, right in pairwise(columns)]


def tile_centres() -> tuple[np.ndarray, np.ndarray]:
    """(TILES * TILES,) row and column of the tiles' centres, from -1 to 1 across the field."""
    centres = (np.arange(TILES) + 0.5) / TILES * 2 - 1
    v, u = np.meshgrid(centres, centres, indexing="ij")
    return v.ravel(), u.ravel()


def bowl(v: np.ndarray, u: np.ndarray) -> np.ndarray:
    """(..., 4): the terms of a round bowl whose middle may lie anywhere, 1, v, u and v² + u²."""
    return np.stack([np.ones_like(v), v, u, v * v + u * u], axis=-1)


def _lower_surface(levels: np.ndarray, noise: float) -> np.ndarray:
    """A bowl (N,) through the lower of the tiles' `levels` (N,): Huber's weights, for what lies above it alone."""
    terms = bowl(*tile_centres())
    weights = np.minimum(1, max(noise, 1e-9) / np.maximum(levels - np.median(levels), 1e-9)) ** 2
    for _ in range(_ROUNDS):
        root = np.sqrt(weights)
        surface = terms @ np.linalg.lstsq(terms * root[:, None], levels * root, rcond=None)[0]
        weights = np.minimum(1, max(noise, 1e-9) / np.maximum(levels - surface, 1e-9)) ** 2
    return surface
