"""Nuclei as seeds: a cell that the network made of several is parted between their nuclei."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from skimage.segmentation import watershed

from cellular.labels.checks import as_labels
from cellular.labels.diameter import median_diameter
from cellular.labels.regions import Regions

# Two nuclei, the only ones of their cell, with no more than this between them (px, centre to centre of pixels) are
# taken for those of one binucleate cell: daughters that have not parted, and twins, touch.
TOUCHING_PX = 2.0
# What a logit of cell probability weighs against distance, in median nuclear diameters. Probability alone cuts along
# the rims of nuclei where the network saw no edge between the cells, distance alone past edges that it saw.
LOGIT = 0.15


@dataclass(frozen=True)
class Seeded:
    """Cells after their nuclei were asked.

    Attributes
    ----------
    labels : (Y, X) label image; a parted cell's number stays with one part, the others have numbers above all others.
    parted : (N,) bool, whether cell 1..N is a part of what the network took for one.
    nuclei : (N,) int64, nuclei of each: more than half of a nucleus lies in its cell.
    """

    labels: np.ndarray
    parted: np.ndarray
    nuclei: np.ndarray


def part_by_nuclei(labels: np.ndarray, cell_probability: np.ndarray, nuclei: np.ndarray) -> Seeded:
    """Part each cell that holds several nuclei, a nucleus in each part, midway or where the network was least sure.

    Nothing else changes: no outline but those between parts; a cell without a nucleus stays, a nucleus outside of all
    cells makes none. A cell whose two only nuclei touch (`TOUCHING_PX`) is binucleate and stays whole.

    Parameters
    ----------
    labels, nuclei : label images (Y, X), 0 = background; cells are numbered 1..N.
    cell_probability : (Y, X) logits of the network.

    Notes
    -----
    Seeded watershed (Meyer, Signal Processing 38, 113, 1994, by scikit-image) of the distance to the nearest nucleus
    less the weighed probability.
    """
    regions = Regions.of(nuclei)
    holder = regions.holders(labels)
    count, weight = int(labels.max(initial=0)), LOGIT * median_diameter(nuclei)
    result, parted = labels.astype(np.int64), np.zeros(count + regions.labels.size + 1, bool)
    boxes = ndimage.find_objects(labels)
    for cell in np.flatnonzero(np.bincount(holder[holder > 0]) > 1):
        box, own = boxes[cell - 1], regions.labels[holder == cell]
        inside = labels[box] == cell
        seeds = np.where(inside & np.isin(nuclei[box], own), np.searchsorted(own, nuclei[box]) + 1, 0)
        if len(own) == 2 and _touch(seeds):
            continue
        away = ndimage.distance_transform_edt(seeds == 0) - weight * cell_probability[box]
        numbers = np.array([0, cell, *range(count + 1, count + len(own))])
        result[box][inside] = numbers[watershed(away, seeds, mask=inside)[inside]]
        parted[numbers[1:]] = True
        count += len(own) - 1
    numbers = np.bincount(regions.holders(result), minlength=count + 1)
    return Seeded(as_labels(result), parted[1 : count + 1], numbers[1:])


def _touch(seeds: np.ndarray) -> bool:
    """Whether markers 1 and 2 (Y, X) come within `TOUCHING_PX` of each other."""
    return bool(ndimage.distance_transform_edt(seeds != 1)[seeds == 2].min() <= TOUCHING_PX)
