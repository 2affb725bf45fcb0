"""Many cells into one label image, one cell at a time."""

import numpy as np

from cellular.data.mask_png import CellMask
from cellular.errors import InputError, SettingsError

OVERLAPS = ("last", "first", "smallest")


class LabelCanvas:
    """A label image that cells are painted onto; memory does not grow with their number.

    Parameters
    ----------
    shape : (Y, X), px.
    overlap : who keeps a pixel that two cells claim: the ``"last"`` painted (as published), the ``"first"``, or
        the ``"smallest"`` by whole area (of two equal ones the first).
    """

    def __init__(self, shape: tuple[int, int], overlap: str = "last") -> None:
        if overlap not in OVERLAPS:
            raise SettingsError(f"Unknown overlap policy '{overlap}'; use one of {', '.join(OVERLAPS)}")
        self.overlap = overlap
        self.labels = np.zeros(shape, np.uint16)
        self.areas = [0]  # whole area of each label in px, by label; background first

    def add(self, cell: CellMask) -> int:
        """Paint a cell and return its label, counting from 1. 65,535 labels fit 16 bits, more turn the image 32 bit."""
        if cell.shape != self.labels.shape:
            raise InputError(f"a mask of {cell.shape} px cannot be painted on a field of {self.labels.shape} px")
        label = len(self.areas)
        self.areas.append(cell.area)
        if label > np.iinfo(self.labels.dtype).max:
            self.labels = self.labels.astype(np.uint32)
        window = self.labels[cell.window]
        window[self._won(window, cell)] = label
        return label

    def _won(self, window: np.ndarray, cell: CellMask) -> np.ndarray:
        """(h, w) bool: the pixels of the cell's box that the newest cell takes."""
        if self.overlap == "last":
            return cell.pixels
        free = window == 0
        if self.overlap == "smallest":
            larger = [rival for rival in np.unique(window[cell.pixels]) if self.areas[rival] > self.areas[-1]]
            free |= np.isin(window, larger)
        return cell.pixels & free

    def lost(self) -> np.ndarray:
        """(N + 1,) int64: pixels that each label lost to overlap, px, by label; background first."""
        visible = np.bincount(self.labels.ravel(), minlength=len(self.areas))
        visible[0] = 0
        return np.asarray(self.areas) - visible
