"""The light of the cells, and what shines that is no cell."""

import cv2
import numpy as np

from cellular.autophagy.measure.unmix import clear_of_cells

# A speck of noise is no debris: it must be at least as wide, px.
_WIDE = 5


def signal(plane: np.ndarray, background: float) -> float:
    """How far the brightest hundredth of a plane (Y, X) rises above its `background`: its 99 % quantile less that."""
    return float(np.quantile(plane, 0.99)) - background


def debris_share(plane: np.ndarray, labels: np.ndarray) -> float:
    """Share of the ground off the cells that shines brighter than nine tenths of the cells' pixels, 0..1.

    Fibres, dust, dead cells and cells that were not outlined. `plane` and `labels` (0 = ground) are (Y, X). Only what
    is 5 px wide or more counts. NaN where there are no cells.
    """
    cells = plane[labels > 0]
    if not cells.size:
        return float("nan")
    clear = clear_of_cells(labels)
    bright = ((plane > np.quantile(cells, 0.9)) & clear).astype(np.uint8)
    wide = cv2.morphologyEx(bright, cv2.MORPH_OPEN, np.ones((_WIDE, _WIDE), np.uint8))
    return float(wide.sum() / clear.sum())
