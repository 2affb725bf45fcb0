"""Puncta summed up cell by cell."""

import numpy as np
import pandas as pd

from cellular.autophagy.measure.puncta import KINDS
from cellular.autophagy.measure.unmix import REPORTER
from cellular.labels.regions import Regions

PSEUDOCOUNT = 0.5


def count_puncta(puncta: pd.DataFrame, regions: Regions) -> dict[str, np.ndarray]:
    """Columns (N,) of counts, areas and means per cell; see :mod:`cellular.autophagy.measure.columns`."""
    cell = np.searchsorted(regions.labels, puncta["label"])
    n, area = regions.labels.size, regions.area

    def total(weights: np.ndarray | None = None) -> np.ndarray:
        return np.bincount(cell, weights, n)

    counts = {f"puncta_{kind}": total(puncta["kind"] == kind).astype(np.int64) for kind in KINDS}
    every = total()
    columns = {"puncta_total": every, **counts}
    columns["puncta_area_fraction"] = np.minimum(total(puncta["area"]) / area, 1)
    columns["puncta_density"] = 1000 * every / area
    columns["red_only_fraction"] = red_only_fraction(counts["puncta_red_only"], counts["puncta_yellow"])
    for name, source in [("sigma", "sigma"), *((f"contrast__{c}", f"contrast__{c}") for c in REPORTER)]:
        mean = np.full(n, np.nan)
        np.divide(total(puncta[source]), every, out=mean, where=every > 0)
        columns[f"puncta_mean_{name}"] = mean
    return columns


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
