"""Cells as polygons along pixel edges, and back. Both ways are exact.

A polygon's vertices are pixel corners: pixel (y, x) covers the square from (x, y) to (x + 1, y + 1). A pixel belongs
to a polygon when its centre is inside. QuPath, ImageJ's traced ROIs and COCO's rasteriser follow the same convention.
"""

from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
from skimage.draw import polygon

from cellular.errors import InputError, import_extra
from cellular.labels.cells import CellMask, crop_mask

Ring = np.ndarray  # (M, 2) float or int, columns x and y in px


def outline(cell: CellMask) -> Any:
    """Outline of a cell as a valid shapely Polygon, or MultiPolygon where it is in pieces; holes are kept."""
    shapely = import_extra("shapely", "export")
    steps = np.diff(np.pad(cell.pixels.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    (y, start), (_, stop) = np.nonzero(steps == 1), np.nonzero(steps == -1)
    y, start, stop = y + cell.y, start + cell.x, stop + cell.x
    return shapely.union_all(shapely.box(start, y, stop, y + 1)).simplify(0)


def rings_of(shape: Any) -> list[Ring]:
    """Every ring of a shapely polygon, outer ones and holes, as (M, 2) int64 corners, the first not repeated."""
    parts = getattr(shape, "geoms", [shape])
    rings = (ring for part in parts for ring in (part.exterior, *part.interiors))
    return [np.rint(np.asarray(ring.coords)[:-1]).astype(np.int64) for ring in rings]


def single_ring(rings: list[Ring]) -> Ring:
    """One ring that covers the same pixels as `rings` together, for formats that hold one ring a cell.

    Rings are joined by seams, walked there and back, along pixel edges; a seam has no area and meets no pixel centre.
    """
    path = [*rings[0], rings[0][0]]
    start = rings[0][0]
    for ring in rings[1:]:
        corner = np.array([ring[0][0], start[1]])
        path += [corner, *ring, ring[0], corner, start]
    return np.array(path[:-1] if len(rings) == 1 else path)


def fill(rings: Iterable[Ring], shape: tuple[int, int]) -> CellMask:
    """Pixels of a (Y, X) `shape` whose centre lies inside an odd number of `rings`; what lies outside is cut off.

    Raises InputError for a ring without area, with fewer than 3 corners or with coordinates that are no numbers.
    """
    rings = [np.asarray(ring, np.float64) for ring in rings]
    for ring in rings:
        if ring.ndim != 2 or ring.shape[1:] != (2,) or len(ring) < 3 or not np.isfinite(ring).all():
            raise InputError(f"a polygon needs 3 or more corners (x, y) that are numbers, got {len(ring)}")
    if not rings:
        raise InputError("a cell without a polygon")
    corners = np.concatenate(rings)
    limit = np.array(shape[::-1])
    x0, y0 = np.clip(np.floor(corners.min(axis=0)), 0, limit).astype(int)
    x1, y1 = np.clip(np.ceil(corners.max(axis=0)), 0, limit).astype(int)
    pixels = np.zeros((y1 - y0, x1 - x0), bool)
    for ring in rings:
        inside = polygon(ring[:, 1] - y0 - 0.5, ring[:, 0] - x0 - 0.5, pixels.shape)
        pixels[inside] ^= True
    cell = crop_mask(pixels)
    return CellMask((shape[0], shape[1]), int(y0) + cell.y, int(x0) + cell.x, cell.pixels)


def fill_contour(pixels: Ring, shape: tuple[int, int]) -> CellMask:
    """The cell whose border pixels are `pixels`, (M, 2) x and y: they and all within, as OpenCV's findContours traces.

    Raises InputError where they are no whole numbers or fewer than 1; what lies outside of `shape` is cut off.
    """
    pixels = np.asarray(pixels, np.float64)
    if pixels.ndim != 2 or pixels.shape[1:] != (2,) or not len(pixels) or not (pixels == np.round(pixels)).all():
        raise InputError(f"a chain of border pixels is whole numbers x, y; got {pixels.size} numbers")
    if np.abs(pixels).max() > np.iinfo(np.int16).max:
        raise InputError(f"a border pixel at {np.abs(pixels).max():.0f}, outside of any field")
    field = np.zeros(shape, np.uint8)
    return crop_mask(cv2.fillPoly(field, [pixels.astype(np.int32)], 1))


def ellipse_in(x0: float, y0: float, width: float, height: float, corners: int = 64) -> Ring:
    """The ellipse that fills a box, as a ring: the likeliest outline of a cell of which only the box is known."""
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return np.stack([x0 + width / 2 * (1 + np.cos(angle)), y0 + height / 2 * (1 + np.sin(angle))], axis=1)
