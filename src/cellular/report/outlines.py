"""Cells drawn over their image."""

import math
from collections.abc import Sequence

import cv2
import numpy as np

from cellular.data.image import FieldImage
from cellular.data.plate import ROLE_ORDER
from cellular.labels.cells import windows_of, without_gaps
from cellular.labels.regions import Regions

# Longest side of a picture, px: sharp on a screen, light in a mail.
LONGEST = 1500
# Smaller images are enlarged by a whole number to this many pixels or more, or their outlines hide the cells.
SMALLEST = 700
# Okabe and Ito's palette, as RGB; none of them is a colour of the reporter's yellow, green and red.
MATCHED, MISSED, SPURIOUS, PLAIN = (86, 180, 233), (230, 159, 0), (204, 121, 167), (255, 255, 255)


# Nuclei: of the same palette, seen on blue DNA.
NUCLEUS = (86, 180, 233)
# x and y of the corners of an outline, (N,) px.
Ring = tuple[np.ndarray, np.ndarray]


def colour_image(image: FieldImage) -> np.ndarray:
    """What to show of a field: (Y, X, 3) with mRFP red, EGFP green and DNA or transmitted light blue.

    Without mRFP the first marker is red, without EGFP the next one green. Composites, pictures and images of nothing
    that is known are shown as they are; channels of 8 bit come as float32, so that dim ones are stretched like all.
    """
    known = [role for role in image.roles if role]
    if image.kind != "raw" or not known or len(image.roles) == 1:
        return image.array()
    markers = iter(role for role in known if role not in ROLE_ORDER)
    blue = next((role for role in ("transmitted", "DNA") if image.has(role)), None)
    colours = [role if image.has(role) else next(markers, None) for role in ("mRFP", "EGFP")]
    dark = np.zeros(image.shape, np.float32 if image.pixels.dtype == np.uint8 else image.pixels.dtype)
    return np.stack([dark if role is None else image.plane(role) for role in (*colours, blue)], axis=-1)


def outline_overlay(image: np.ndarray, layers: Sequence[tuple[np.ndarray, tuple[int, int, int]]]) -> np.ndarray:
    """The image as 8-bit RGB (Y', X', 3), SMALLEST to LONGEST px on its longer side, with outlines drawn over it.

    `image` is (Y, X) or (Y, X, C); `layers` are label images (Y, X) with the colour of their outlines, last on top.
    """
    longer = max(image.shape[:2])
    scale = LONGEST / longer if longer > LONGEST else math.ceil(SMALLEST / longer)
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    # to more than half its size, a mean of the nearest four pixels leaves none out, and takes a sixth of the time
    how = cv2.INTER_AREA if scale <= 0.5 else cv2.INTER_LINEAR if scale < 1 else cv2.INTER_NEAREST
    picture = cv2.resize(display_image(image), size, interpolation=how)
    for labels, colour in layers:
        picture[_outline(labels, size)] = colour
    return picture


def display_image(image: np.ndarray) -> np.ndarray:
    """Any image as 8-bit RGB (Y, X, 3): 8-bit colour as it is, everything else stretched from its 1 % to 99.5 %."""
    if image.ndim == 3 and image.shape[2] == 2:
        image = np.dstack([image, np.zeros_like(image[..., :1])])
    planes = np.atleast_3d(image)[..., :3]
    if planes.shape[2] == 1:
        planes = np.repeat(planes, 3, axis=2)
    if planes.dtype == np.uint8:
        return np.ascontiguousarray(planes)
    planes = only_numbers(planes)
    low, high = np.percentile(planes, (1, 99.5), axis=(0, 1))
    scaled = (planes - low) / np.maximum(high - low, 1e-9)
    return (255 * scaled.clip(0, 1)).astype(np.uint8)


def only_numbers(image: np.ndarray) -> np.ndarray:
    """The image to be drawn, pixels that are no numbers as its least one: one NaN makes all percentiles NaN.

    >>> only_numbers(np.array([2.5, np.nan, np.inf, 1.5])).tolist()
    [2.5, 1.5, 1.5, 1.5]
    """
    if image.dtype.kind != "f" or (known := np.isfinite(image)).all():
        return image
    return np.where(known, image, image[known].min() if known.any() else 0).astype(image.dtype)


def outlines_of(labels: np.ndarray, within: float = 0.7) -> dict[int, Ring]:
    """Outlines of a label image (Y, X): label -> x and y of its corners, px, parts set apart by NaN, without holes.

    Arrays of float32, which Bokeh writes as one piece: a list it takes number by number.

    They run through the middles of border pixels, and are straightened by at most `within` px.
    """
    found = {}
    for label, window in zip(*windows_of(labels)):
        here = labels[window] == label
        mask = np.zeros((here.shape[0] + 2, here.shape[1] + 2), np.uint8)
        mask[1:-1, 1:-1] = here
        rings = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
        parts = [cv2.approxPolyDP(ring, within, True)[:, 0] for ring in rings]
        corners = (parts[0] if len(parts) == 1 else _set_apart(parts)).astype(np.float32)
        x0, y0 = window[1].start - 0.5, window[0].start - 0.5
        found[int(label)] = corners[:, 0] + np.float32(x0), corners[:, 1] + np.float32(y0)
    return found


# Columns of a pixel of each cell.
MIDDLE = ("middle_x", "middle_y")


def middles_of(labels: np.ndarray) -> dict[str, np.ndarray]:
    """:data:`MIDDLE` (N,) of the cells of a label image (Y, X), ascending: the pixel of each nearest to its centroid.

    In px, as :func:`outlines_of`.
    """
    regions = Regions.of(labels)
    places = np.divmod(regions.pixels, labels.shape[1])
    far = sum((axis - regions.spread(regions.mean(axis))) ** 2 for axis in places)
    order = np.lexsort((far, regions.spread(np.arange(regions.labels.size))))
    y, x = (axis[order][regions.starts] + 0.5 for axis in places)
    return dict(zip(MIDDLE, (x, y)))


def labels_at(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A label image (Y, X) at a picture's `size` (X', Y'), by nearest pixels; ids beyond single floats are others."""
    if labels.dtype != np.uint16:
        labels = (without_gaps(labels)[1] if labels.max(initial=0) > 1 << 24 else labels).astype(np.float32)
    return cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)


def _set_apart(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Corners (N, 2) of all parts with a row of NaN between any two."""
    gap = np.full((1, 2), np.nan, np.float32)
    return np.concatenate([rows for part in parts for rows in (part, gap)][:-1])


def _outline(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Mask (Y', X') of outlines, about two pixels wide, at the picture's size."""
    small = labels_at(labels, size)
    inner = cv2.erode(small, np.ones((3, 3), np.uint8))
    outer = cv2.dilate(small, np.ones((3, 3), np.uint8))
    return (small > 0) & (inner != outer)
