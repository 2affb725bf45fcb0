"""Many cells into one label image, one cell at a time."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cellular.errors import InputError, SettingsError
from cellular.labels.cells import CellMask

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
        """Paint a cell and return its label, counting from 1. 65,535 labels fit 16 bits, more turn the image 32 bit.

        Raises InputError for a cell of another field's size.
        """
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


class FieldPainting:
    """The label images of one field while its cells come in.

    Attributes
    ----------
    shape : (Y, X), px.
    all : every cell whose class is not in `exclude`.
    classes : the same by class.
    ignore : the cells of excluded classes; None while there is none.
    """

    def __init__(self, shape: tuple[int, int], overlap: str, exclude: Sequence[str]) -> None:
        self.shape, self.overlap, self.exclude = shape, overlap, exclude
        self.all = LabelCanvas(shape, overlap)
        self.classes: dict[str, LabelCanvas] = {}
        self.ignore: LabelCanvas | None = None
        self._rows: list[dict[str, Any]] = []

    def add(self, name: str, source: str, cell: CellMask) -> None:
        """Paint a cell of class `name`, read from the file `source`."""
        row = {"class": name, "label": 0, "class_label": 0, "ignore_label": 0, "source": source}
        if name in self.exclude:
            self.ignore = self.ignore or LabelCanvas(self.shape, self.overlap)
            row["ignore_label"] = self.ignore.add(cell)
        else:
            row["label"] = self.all.add(cell)
            row["class_label"] = self._canvas(name).add(cell)
        self._rows.append({**row, "area_px": cell.area, **dict(zip(("y0", "x0", "y1", "x1"), cell.box))})

    def _canvas(self, name: str) -> LabelCanvas:
        if name not in self.classes:
            self.classes[name] = LabelCanvas(self.shape, self.overlap)
        return self.classes[name]

    def cells(self) -> list[dict[str, Any]]:
        """A row per cell, as in cells.csv, with the pixels that it lost."""
        in_all, in_class = self.all.lost(), {name: canvas.lost() for name, canvas in self.classes.items()}
        in_ignore = self.ignore.lost() if self.ignore else None
        for row in self._rows:
            if in_ignore is not None and row["ignore_label"]:
                row["lost_px"] = row["class_lost_px"] = int(in_ignore[row["ignore_label"]])
            else:
                row["lost_px"] = int(in_all[row["label"]])
                row["class_lost_px"] = int(in_class[row["class"]][row["class_label"]])
        return self._rows
