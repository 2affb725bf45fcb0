"""The light of the cells, and what shines that is no cell."""

import cv2
import numpy as np

from cellular.autophagy.quality.levels import quantile

# A speck of noise is no debris: it must be at least as wide, px.
_WIDE = 5


def signal(plane: np.ndarray, background: float) -> float:
    """How far the brightest hundredth of a plane (Y, X) rises above its `background`: its 99 % quantile less that."""
    return quantile(plane, 0.99) - background


def debris_share(plane: np.ndarray, cells: np.ndarray, clear: np.ndarray) -> float:
    """Share of the ground off the cells that shines brighter than nine tenths of the cells' pixels, 0..1.

    Fibres, dust, dead cells and cells that were not outlined. All are (Y, X), `cells` and the ground `clear` of them
    bool. Only what is 5 px wide or more counts. NaN where there are no cells, or nothing else.
    """
    light = plane[cells]
    if not light.size or not clear.any():
        return float("nan")
    bright = ((plane > quantile(light, 0.9)) & clear).view(np.uint8)
    wide = cv2.morphologyEx(bright, cv2.MORPH_OPEN, np.ones((_WIDE, _WIDE), np.uint8))
    return np.count_nonzero(wide) / np.count_nonzero(clear)
