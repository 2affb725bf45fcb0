"""Outlines of cells: closed curves in polar coordinates, cut where two cells press against each other."""

from dataclasses import dataclass

import numpy as np

from cellular.simulate.population import ANGLES, SPREAD, Cell

# Share of neighbouring pairs that press a common border; the others lie over one another.
PRESSING_SHARE = 0.7


@dataclass(frozen=True)
class Shape:
    """A cell's outline on the pixels of one field.

    Attributes
    ----------
    box : (y0, x0, y1, x1) in px, half open, inside the field.
    distance : (y1 - y0, x1 - x0) float32, distance from the cell's centre in px.
    rho : (y1 - y0, x1 - x0) float32, that distance over the outline's in the same direction: 1 on the outline.
    theta : (y1 - y0, x1 - x0) float32, angle about the centre in radians, 0..2 pi.
    mask : (y1 - y0, x1 - x0) bool, the cell.
    """

    box: tuple[int, int, int, int]
    distance: np.ndarray
    rho: np.ndarray
    theta: np.ndarray
    mask: np.ndarray

    @property
    def window(self) -> tuple[slice, slice]:
        """Slices of the field that the box covers."""
        y0, x0, y1, x1 = self.box
        return slice(y0, y1), slice(x0, x1)


def outlines(cells: list[Cell], pressing: np.ndarray) -> np.ndarray:
    """Radii (N, ANGLES) of the cells' outlines in px, for angles from 0 (along x) towards y.

    Pairs with `pressing` (N, N) bool are cut at the line where their circles' powers are equal, so that they share
    a border, as cells in a crowded dish do.
    """
    theta = np.arange(ANGLES) * (2 * np.pi / ANGLES)
    radius = np.array([cell.radius for cell in cells])
    radii = radius[:, None] * np.array([cell.outline for cell in cells])
    centres = np.array([(cell.y, cell.x) for cell in cells])
    offset = centres[None] - centres[:, None]
    distance = np.linalg.norm(offset, axis=2)
    near = pressing & (distance > 0) & (distance < 1.3 * (radius[:, None] + radius[None]))
    for i, j in zip(*np.nonzero(near)):
        border = (distance[i, j] ** 2 + radius[i] ** 2 - radius[j] ** 2) / (2 * distance[i, j])
        toward = np.cos(theta - np.arctan2(offset[i, j, 0], offset[i, j, 1]))
        limit = np.where(toward > 0.05, max(border, 0.3 * radius[i]) / np.maximum(toward, 0.05), np.inf)
        radii[i] = np.minimum(radii[i], limit)
    return radii


def pressing_pairs(cells: list[Cell]) -> np.ndarray:
    """(N, N) bool: which pairs share a border rather than overlap; a fixed draw of the two track numbers.

    Rounded-up cells keep their round outline and lie on or under their neighbours.
    """
    tracks = np.array([cell.track for cell in cells], np.uint64)
    low, high = np.minimum.outer(tracks, tracks), np.maximum.outer(tracks, tracks)
    mixed = (low * np.uint64(2654435761) + high * np.uint64(40503)) % np.uint64(1000)
    spread = np.array([cell.build in SPREAD for cell in cells])
    return (mixed < PRESSING_SHARE * 1000) & np.logical_and.outer(spread, spread)


def shape_on(cell: Cell, radii: np.ndarray, size: int, margin: float = 1.0) -> Shape | None:
    """The cell's shape on a field of side `size`; None where no pixel of it is inside.

    `radii` is the cell's row of :func:`outlines`; the box keeps `margin` px around the cell.
    """
    reach = radii.max() + margin
    y0, x0 = max(0, int(cell.y - reach)), max(0, int(cell.x - reach))
    y1, x1 = min(size, int(cell.y + reach) + 2), min(size, int(cell.x + reach) + 2)
    if y0 >= y1 or x0 >= x1:
        return None
    dy = (np.arange(y0, y1, dtype=np.float32) - np.float32(cell.y))[:, None]
    dx = (np.arange(x0, x1, dtype=np.float32) - np.float32(cell.x))[None]
    theta = np.arctan2(dy, dx) % np.float32(2 * np.pi)
    place = theta * np.float32(ANGLES / (2 * np.pi))
    closed = np.append(radii, radii[:2]).astype(np.float32)
    index = place.astype(np.int32)
    here = closed[index]
    distance = np.sqrt(dy * dy + dx * dx)
    rho = distance / (here + (place - index) * (closed[index + 1] - here))
    mask = rho <= 1
    return Shape((y0, x0, y1, x1), distance, rho, theta, mask) if mask.any() else None
