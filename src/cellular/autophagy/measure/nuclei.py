"""Nuclei: which cell each belongs to, and what lies how far from them."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from cellular.autophagy.measure.intensity import divide
from cellular.autophagy.measure.shape import measure_shape
from cellular.autophagy.measure.unmix import DNA, Channels
from cellular.errors import InputError
from cellular.labels.checks import as_labels
from cellular.labels.regions import Regions

_SHAPE = ("y", "x", "area", "eccentricity", "solidity", "touches_border")


@dataclass(frozen=True)
class Nuclei:
    """The nuclei of a field, each with its cell.

    Attributes
    ----------
    labels : (Y, X) label image. A nucleus has its cell's number; a cell's second one, and one without a cell, have
        numbers above those of all cells.
    numbers : (M,) the values in it, ascending.
    cells : (M,) the label of the cell of each, 0 for none.
    """

    labels: np.ndarray
    numbers: np.ndarray
    cells: np.ndarray


def match_nuclei(nuclei: np.ndarray, cells: np.ndarray) -> Nuclei:
    """Give each nucleus to the cell that holds more than half of it, and number it with its cell.

    Parameters
    ----------
    nuclei, cells : label images (Y, X), 0 = background. Of several nuclei of a cell the largest has its number.

    Raises InputError where the two differ in size.
    """
    if nuclei.shape != cells.shape:
        raise InputError(f"label images of nuclei {nuclei.shape} and cells {cells.shape} differ in size")
    regions = Regions.of(nuclei)
    owner = regions.holders(cells)
    numbers = np.zeros(owner.size, np.int64)
    order = np.lexsort((regions.labels, -regions.area))
    first = order[np.unique(owner[order], return_index=True)[1]]
    first = first[owner[first] > 0]
    numbers[first] = owner[first]
    others = np.flatnonzero(numbers == 0)
    numbers[others] = int(cells.max(initial=0)) + 1 + np.arange(others.size)
    image = np.zeros(nuclei.size, np.int64)
    image[regions.pixels] = np.repeat(numbers, regions.area)
    order = np.argsort(numbers)
    return Nuclei(as_labels(image.reshape(nuclei.shape)), numbers[order], owner[order])


def measure_nuclei(nuclei: Nuclei, channels: Channels, field: str) -> dict[str, np.ndarray]:
    """Columns (M,) of the table of nuclei: shape and DNA; see :mod:`cellular.autophagy.measure.columns`."""
    regions = Regions.of(nuclei.labels)
    shape = measure_shape(nuclei.labels, regions)
    table = {"field": np.full(nuclei.numbers.size, field, object), "nucleus": nuclei.numbers, "label": nuclei.cells}
    table |= {name: shape[name] for name in _SHAPE}
    if DNA in channels.names:
        values = regions.values(channels.planes[DNA]) - channels.off(DNA)[0]
        table |= {f"mean__{DNA}": regions.mean(values), f"integrated__{DNA}": regions.sum(values)}
    return table


def nuclei_of_cells(nuclei: Nuclei, regions: Regions, channels: Channels) -> dict[str, np.ndarray]:
    """Columns (N,) of each cell: how many nuclei, how large, and the light of every channel in and out of them.

    Only pixels of the cell count for light. The ratio of nucleus to cytoplasm tells where a factor such as TFEB is
    (Settembre et al., EMBO J 31, 1095, 2012).
    """
    n = regions.labels.size
    area = Regions.of(nuclei.labels).area
    cell = np.searchsorted(regions.labels, nuclei.cells[nuclei.cells > 0])
    count = np.bincount(cell, minlength=n)
    inside = _own(nuclei, regions)
    pixels = regions.sum(inside.astype(float))
    columns = {
        "nuclei": count,
        "nuclei_flagged": count != 1,
        "nucleus_area": np.bincount(cell, area[nuclei.cells > 0], n).astype(np.int64),
        "nucleus_share": divide(pixels, regions.area),
    }
    for name in channels.names:
        light = regions.values(channels.planes[name]) - channels.off(name)[0]
        within, every = regions.sum(light * inside), regions.sum(light)
        mean, outside = divide(within, pixels), divide(every - within, regions.area - pixels)
        columns |= {f"nucleus_mean__{name}": mean, f"nucleus_integrated__{name}": within}
        columns |= {f"cytoplasm_mean__{name}": outside}
        columns[f"nuclear_ratio__{name}"] = divide(np.where(mean > 0, mean, np.nan), outside)
    return columns


def _own(nuclei: Nuclei, regions: Regions) -> np.ndarray:
    """(P,) bool: pixels of the cells, cell after cell, that lie in a nucleus of the same cell."""
    numbers, owner = np.append(0, nuclei.numbers), np.append(0, nuclei.cells)
    there = np.searchsorted(numbers, nuclei.labels.ravel()[regions.pixels])
    return owner[there] == regions.spread(regions.labels)


def nucleus_distances(puncta: pd.DataFrame, nuclei: Nuclei) -> np.ndarray:
    """(P,) px from the centre of each punctum to the nearest pixel of its own cell's nuclei.

    0 inside one; NaN in a cell without. Distances are between centres of pixels, as scipy's Euclidean distance
    transform gives them.
    """
    distance = np.full(len(puncta), np.nan)
    regions = Regions.of(nuclei.labels)
    y, x = np.divmod(regions.pixels, regions.shape[1])
    owner = np.repeat(nuclei.cells, regions.area)
    order = np.argsort(owner, kind="stable")
    places, owner = np.stack([y, x], axis=1)[order], owner[order]
    centres = puncta[["y", "x"]].to_numpy(float)
    for label, rows in puncta.groupby("label").indices.items():
        own = places[np.searchsorted(owner, label) : np.searchsorted(owner, label, "right")]
        if len(own):
            distance[rows] = cKDTree(own).query(centres[rows])[0]
    height, width = nuclei.labels.shape
    row, column = np.rint(centres).astype(int).T if len(centres) else (np.zeros(0, int),) * 2
    here = nuclei.labels[row.clip(0, height - 1), column.clip(0, width - 1)]
    owner_of = dict(zip(nuclei.numbers, nuclei.cells))
    inside = np.array([owner_of.get(number, -1) for number in here], np.int64) == puncta["label"].to_numpy()
    return np.where(inside, 0.0, distance)
