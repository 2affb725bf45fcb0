"""Nuclei as seeds: a cell that the network made of several is parted between their nuclei."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from skimage.segmentation import watershed

from cellular.labels.checks import as_labels
from cellular.labels.diameter import median_diameter
from cellular.labels.regions import Regions

# Nuclei of a cell no farther apart, edge to edge, than this share of the field's median nuclear diameter are of one
# binucleate cell: daughters that have not parted, and twins, lie side by side; neighbours have cytoplasm between.
BINUCLEATE = 0.25


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
    """Part each cell that holds several nuclei by a watershed on the network's cell probability, a nucleus in each part.

    Nothing else changes: no outline but those between parts, a cell without a nucleus stays, a nucleus outside of all
    cells makes none. Nuclei that lie side by side (`BINUCLEATE`) are one seed.

    Parameters
    ----------
    labels, nuclei : label images (Y, X), 0 = background; cells are numbered 1..N.
    cell_probability : (Y, X), the higher the surer; cells are cut where it is low.

    Notes
    -----
    Seeded watershed: Meyer, Signal Processing 38, 113 (1994), by scikit-image.
    """
    regions = Regions.of(nuclei)
    holder = regions.holders(labels)
    count = before = int(labels.max(initial=0))
    gap = BINUCLEATE * median_diameter(nuclei)
    result, parted = labels.astype(np.int64), np.zeros(before + regions.labels.size + 1, bool)
    boxes = ndimage.find_objects(labels)
    for cell in np.flatnonzero(np.bincount(holder[holder > 0]) > 1):
        box = boxes[cell - 1]
        inside = labels[box] == cell
        own = np.isin(nuclei[box], regions.labels[holder == cell])
        seeds, found = _seeds(own, gap)
        if found < 2:
            continue
        parts = watershed(-cell_probability[box], seeds * inside, mask=inside)
        numbers = np.array([0, cell, *range(count + 1, count + found)])
        result[box][inside] = numbers[parts[inside]]
        parted[numbers[1:]] = True
        count += found - 1
    numbers = np.bincount(regions.holders(result), minlength=count + 1)
    return Seeded(as_labels(result), parted[1 : count + 1], numbers[1:])


def _seeds(own: np.ndarray, gap: float) -> tuple[np.ndarray, int]:
    """Nuclei (Y, X) bool as markers 1..K, those within `gap` px of each other as one; and K."""
    grown = ndimage.distance_transform_edt(~own) <= gap / 2
    markers, count = ndimage.label(grown, np.ones((3, 3)))
    return markers * own, count
