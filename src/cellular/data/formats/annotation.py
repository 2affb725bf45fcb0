"""One annotated cell."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from cellular.data.masks.combine import LabelCanvas
from cellular.labels.cells import CellMask

DEFAULT_CLASS = "cell"


@dataclass(frozen=True)
class Annotation:
    """One cell as somebody drew it; cells may overlap.

    Attributes
    ----------
    class_name : its class, "cell" where the file has none.
    cell : its pixels.
    source : where in the file it is from.
    drawn : False where the file has only a box, and the pixels are the ellipse inside it.
    """

    class_name: str
    cell: CellMask
    source: str
    drawn: bool = True


def draw(annotations: Iterable[Annotation], shape: tuple[int, int], overlap: str = "last") -> np.ndarray:
    """Label image (Y, X), uint16 or uint32, of the annotations in their order; the i-th gets label i + 1."""
    canvas = LabelCanvas(shape, overlap)
    for annotation in annotations:
        canvas.add(annotation.cell)
    return canvas.labels
