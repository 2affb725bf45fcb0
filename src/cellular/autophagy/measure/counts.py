"""Puncta summed up cell by cell."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cellular.autophagy.measure.intensity import divide
from cellular.autophagy.measure.puncta import KINDS
from cellular.autophagy.measure.unmix import REPORTER
from cellular.labels.regions import Regions

PSEUDOCOUNT = 0.5


def count_puncta(
    puncta: pd.DataFrame, regions: Regions, kinds: Sequence[str] = KINDS, channels: Sequence[str] = REPORTER
) -> dict[str, np.ndarray]:
    """Columns (N,) of counts, areas and means per cell; see :mod:`cellular.autophagy.measure.columns`.

    `kinds` are those that the puncta can be of: those of the tandem reporter, or channels, each for itself.
    """
    cell = np.searchsorted(regions.labels, puncta["label"])
    n, area = regions.labels.size, regions.area

    def total(weights: np.ndarray | None = None) -> np.ndarray:
        return np.bincount(cell, weights, n)

    of_kind = {kind: (puncta["kind"] == kind).to_numpy() for kind in kinds}
    mark = "_" if tuple(kinds) == KINDS else "__"
    every = total()
    columns = {"puncta_total": every}
    columns |= {f"puncta{mark}{kind}": total(mine).astype(np.int64) for kind, mine in of_kind.items()}
    columns["puncta_area"] = total(puncta["area"])
    columns |= {f"puncta_area{mark}{kind}": total(puncta["area"] * mine) for kind, mine in of_kind.items()}
    columns["puncta_area_fraction"] = np.minimum(columns["puncta_area"] / area, 1)
    columns["puncta_density"] = 1000 * every / area
    if tuple(kinds) == KINDS:
        columns["red_only_fraction"] = red_only_fraction(columns["puncta_red_only"], columns["puncta_yellow"])
    for name, source in [("sigma", "sigma"), *((f"contrast__{c}", f"contrast__{c}") for c in channels)]:
        told = puncta[source].notna().to_numpy()
        columns[f"puncta_mean_{name}"] = divide(total(puncta[source].fillna(0)), total(told))
    return columns


def over_level(count: np.ndarray, mean: np.ndarray, noise: float) -> np.ndarray:
    """Puncta per level of the reporter (N,): a cell that expresses more of it shows more puncta.

    NaN where the mean is not above the field's noise.

    >>> over_level(np.array([10, 3]), np.array([50.0, 1.0]), 2.0)
    array([0.2, nan])
    """
    return divide(count, np.where(mean > noise, mean, 0))


def red_only_fraction(red_only: np.ndarray, yellow: np.ndarray) -> np.ndarray:
    """(red-only + 0.5) / (red-only + yellow + 1), the share of autolysosomes; NaN where there is neither.

    >>> red_only_fraction(np.array([3, 0, 0]), np.array([0, 1, 0]))
    array([0.875, 0.25 ,   nan])
    """
    red_only, yellow = np.asarray(red_only, float), np.asarray(yellow, float)
    fraction = (red_only + PSEUDOCOUNT) / (red_only + yellow + 2 * PSEUDOCOUNT)
    return np.where(red_only + yellow > 0, fraction, np.nan)


def red_spots(cells: pd.DataFrame, puncta: pd.DataFrame) -> pd.DataFrame:
    """The published readout of the dataset: number and area of spots in the red channel, field by field.

    Red spots are yellow and red-only puncta. Columns ``field, cells, spots, spots_per_cell`` (of all cells) and
    ``mean_area`` (px²; NaN without spots).
    """
    red = puncta[puncta["kind"] != "green_only"]
    table = cells.groupby("field").size().rename("cells").to_frame()
    table["spots"] = red.groupby("field").size().reindex(table.index, fill_value=0)
    table["spots_per_cell"] = table["spots"] / table["cells"]
    table["mean_area"] = red.groupby("field")["area"].mean().reindex(table.index)
    return table.reset_index()
