"""What a label image must be."""

import logging

import numpy as np
import scipy  # `scipy.ndimage` is slow to import, and is when it is first asked for

from cellular.errors import InputError

logger = logging.getLogger(__name__)

# Between touching cells background is left in many places, up to 230 of a CELLULAR field; within one cell in few.
MOST_GAPS = 10
# What masks of foreground are drawn with.
_WHITE = (255, 65535)


def as_labels(image: np.ndarray, path: object = "label image") -> np.ndarray:
    """Labels as uint16 while the largest is at most 65,535, else uint32; never wrapped.

    Raises InputError, which names `path`, for fractions, negative numbers, and a label that does not fit 32 bits.
    """
    if image.dtype.kind == "f" and not (image % 1 == 0).all():
        raise InputError(f"{path}: a label image holds whole numbers, this one has fractions")
    if image.dtype.kind != "u" and (least := image.min(initial=0)) < 0:
        raise InputError(f"{path}: labels are 0 (background) and up, this image has {least}")
    largest = int(image.max(initial=0))
    if largest > np.iinfo(np.uint32).max:
        raise InputError(f"{path}: label {largest} does not fit 32 bits")
    return image.astype(np.uint16 if largest <= np.iinfo(np.uint16).max else np.uint32, copy=False)


def check_cells(labels: np.ndarray, path: object) -> np.ndarray:
    """The label image (Y, X) at `path` as it is; InputError where its one number stands for many cells.

    A mask of foreground, 0 and 255 or true and false, would be one cell as large as all together. Specks beside one
    cell are let pass: a tenth of it at most; and so are up to ten holes in it. A few cells that touch pass for
    one, too; where their number is white, a warning says so.
    """
    largest = labels.max(initial=0)
    if largest == 0 or (labels[labels > 0] != largest).any():
        return labels
    pieces, count = scipy.ndimage.label(labels, np.ones((3, 3)))
    apart = count > 1 and 10 * np.bincount(pieces.ravel())[1:].max() < 9 * np.count_nonzero(labels)
    gaps = 0 if apart else scipy.ndimage.label(labels == 0)[1]
    if apart or gaps > MOST_GAPS:
        parts = f"is in {count} pieces" if apart else f"surrounds {gaps} gaps"
        raise InputError(
            f"{path}: its one label, {largest}, {parts}; a label image has a number for each cell, so "
            "number them first (ImageJ: Analyze Particles, count masks; scikit-image: measure.label)"
        )
    if largest in _WHITE:
        logger.warning(
            "%s: its one label is %d, white, and taken for one cell; if it is a mask of several, number them first",
            *(path, largest),
        )
    return labels
