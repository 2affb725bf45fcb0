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
# Labels that are looked at for whether they are in pieces.
_COMMONEST = 10
# An image of as many levels, or fewer, has several pixels of each.
_LEVELS = 255


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
    """The label image (Y, X) at `path` as it is; InputError where a number stands for many cells.

    A mask of foreground, 0 and 255 or true and false, would be one cell as large as all together. Specks beside one
    cell are let pass: a tenth of it at most; and so are up to ten holes in it. A few cells that touch pass for
    one, too; where their number is white, a warning says so. Of several numbers, classes or the grey levels of an
    image, each lies mostly outside of its largest piece, or is of a pixel. Where no pixel is 0, the commonest number
    may be the background of classes from 1, as ilastik numbers them: the others are looked at by themselves.
    """
    _check_numbers(labels, path)
    if labels.size and labels.all():
        values, areas = np.unique(labels, return_counts=True)
        others = np.where(labels == values[areas.argmax()], 0, labels)
        _check_numbers(others, path)
        if (gaps := scipy.ndimage.label(others)[1]) > MOST_GAPS:
            raise InputError(
                f"{path}: no pixel is 0, and label {values[areas.argmax()]} surrounds {gaps} gaps; it looks like the "
                "background, which is 0 in a label image"
            )
    return labels


def _check_numbers(labels: np.ndarray, path: object) -> None:
    largest = labels.max(initial=0)
    if largest == 0:
        return
    if (labels[labels > 0] != largest).any():
        if how := _scattered(labels):
            raise InputError(
                f"{path}: its numbers are each {how}, as grey levels of an image are, or classes; a "
                "label image has a number for each cell, in one piece"
            )
        return
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


def _scattered(labels: np.ndarray) -> str:
    """How labels lie about, empty where they do not.

    Either most are of a pixel, all over more than half of the image; or of the commonest labels more than half lies
    outside of the largest piece (8 neighbours), in the mean of labels, one of which may be the background.
    """
    cells = labels != 0
    right, below = (labels[:, 1:] == labels[:, :-1]) & cells[:, 1:], (labels[1:] == labels[:-1]) & cells[1:]
    squares = right[1:] & right[:-1] & below[:, 1:]
    # Euler's number: pieces less holes
    area = np.count_nonzero(cells)
    left = area - np.count_nonzero(right) - np.count_nonzero(below) + np.count_nonzero(squares)
    if labels.max() > labels.size:
        present, areas = np.unique(labels[cells], return_counts=True)
    else:
        counts = np.bincount(labels.ravel())
        present = np.flatnonzero(counts[1:]) + 1
        areas = counts[present]
    counted = labels.max() < 1.1 * len(present)  # from 1 on, as cells are and levels are not
    if len(present) > _LEVELS and 2 * left > area > labels.size / 2 and not counted:
        return "of a pixel or two"
    if left < 2 * len(present):
        return ""
    commonest = present[np.argsort(areas)[-_COMMONEST:]]
    pieces = [scipy.ndimage.label(labels == label, np.ones((3, 3)))[0] for label in commonest]
    sizes = [np.bincount(one.ravel())[1:] for one in pieces]
    return "in pieces all over it" if np.mean([of.max() / of.sum() for of in sizes]) < 0.5 else ""
