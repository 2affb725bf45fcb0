"""One annotated cell."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from cellular.data.combine import LabelCanvas
from cellular.data.images import as_labels
from cellular.data.mask_png import CellMask

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


def cells_of(labels: np.ndarray) -> list[tuple[int, CellMask]]:
    """Each label of a (Y, X) label image with its pixels, in order of label."""
    labels = as_labels(labels)
    present = np.unique(labels)
    present = present[present > 0]
    dense = labels if present.size and present[-1] == present.size else np.searchsorted(present, labels) + (labels > 0)
    return [
        (int(label), CellMask(labels.shape, box[0].start, box[1].start, labels[box] == label))
        for label, box in zip(present, ndimage.find_objects(dense.astype(np.int64, copy=False)))
    ]
