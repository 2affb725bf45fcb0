"""From expert boxes to label images: what the starter learns from on the real CELLULAR fields."""

from pathlib import Path

import numpy as np

from cellular.labels.cells import cell_boxes

# |u|^p + |v|^p <= 1 inside a box: 2 is an ellipse, infinity the box itself. The union of these outlines has IoU 0.86
# with the expert's own foreground on the one field where that is public.
EXPONENT = 2.5
# Mean side of the training boxes, px: the scale at which real fields are segmented.
FIELD_DIAMETER = 121.0


def read_boxes(path: Path, side: int) -> np.ndarray:
    """Boxes (N, 4) float64 as y0, x0, y1, x1 in px of a square field of `side` px, from a YOLO text file."""
    x, y, width, height = np.loadtxt(path, ndmin=2).T * side
    return np.clip(np.stack([y - height / 2, x - width / 2, y + height / 2, x + width / 2], axis=1), 0, side)


def outlines(boxes: np.ndarray, side: int, exponent: float = EXPONENT) -> np.ndarray:
    """Label image (side, side) uint16 of superellipses inscribed in `boxes`; smaller boxes lie on top of larger ones.

    With the small ones on top, 99.9 % of the real fields' boxes can be read back off the label image at IoU 0.5.
    """
    labels = np.zeros((side, side), np.uint16)
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    for label in np.argsort(-area, kind="stable"):
        y0, x0, y1, x1 = boxes[label]
        rows, columns = slice(int(y0), int(np.ceil(y1))), slice(int(x0), int(np.ceil(x1)))
        v = (np.arange(rows.start, rows.stop)[:, None] + 0.5 - (y0 + y1) / 2) / max((y1 - y0) / 2, 0.5)
        u = (np.arange(columns.start, columns.stop)[None] + 0.5 - (x0 + x1) / 2) / max((x1 - x0) / 2, 0.5)
        labels[rows, columns][np.abs(u) ** exponent + np.abs(v) ** exponent <= 1] = label + 1
    return labels


def refined(boxes: np.ndarray, labels: np.ndarray, found: np.ndarray, least_iou: float = 0.7) -> np.ndarray:
    """`labels` of :func:`outlines` with a model's outlines in place of the superellipses where the two agree.

    A cell of `found` (Y, X) is taken for an expert's box when their boxes' IoU is at least `least_iou`; what sticks
    out of the expert's box is cut off.
    """
    numbers, found_boxes = cell_boxes(found)
    result = labels.copy()
    if not len(numbers):
        return result
    iou = iou_matrix(boxes, found_boxes)
    for label, k in enumerate(iou.argmax(axis=1), start=1):
        if iou[label - 1, k] < least_iou:
            continue
        y0, x0, y1, x1 = boxes[label - 1].round().astype(int)
        window, cell = result[y0:y1, x0:x1], found[y0:y1, x0:x1] == numbers[k]
        window[window == label] = 0
        window[cell & (window == 0)] = label
    return result


def iou_matrix(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """IoU (N, M) of boxes y0, x0, y1, x1."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=2)
    area = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (a, b)]
    return shared / np.maximum(area[0][:, None] + area[1][None] - shared, 1e-9)
