"""How many cells of a treatment are in a state: a share that is learned from all of them together.

A classifier is wrong of some cells. Counted as they are told, the frequent state lends more cells to the rare one than
it gets back, and means of probabilities are drawn towards a half.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.stats import t as student

from cellular.autophagy.compare.design import StatsSettings, in_order, told
from cellular.autophagy.compare.images import unit_of_means
from cellular.autophagy.state.by_hand import probability_column, states_of
from cellular.autophagy.state.probabilities import LEAST, left_out
from cellular.autophagy.state.words import UNIDENTIFIED

COLUMNS = ("state", "treatment", "timepoint", "cells", "called", "share", "ci_low", "ci_high", "unit", "n")


def states_over_time(table: pd.DataFrame, settings: StatsSettings) -> pd.DataFrame:
    """The share of cells in the state that probabilities are of, by treatment and timepoint; no rows without states.

    Cells are of two kinds whose odds by the classifier are those of what it saw in either state; the share of the one
    has the largest likelihood of all cells together (as Saerens et al., Neural Comput 14, 21, 2002). As for means
    (:func:`cellular.autophagy.compare.images.means_over_time`), units weigh the same, images within a unit, and cells
    within an image. Unidentified cells are left out.

    Parameters
    ----------
    table : nested (:func:`cellular.autophagy.compare.design.nest`), with ``state`` and ``probability_<state>``, 0..1,
        calibrated where both states are as frequent.

    Returns
    -------
    A row a treatment and timepoint: ``state, treatment, timepoint, cells``; ``called``, the share as it is told cell
    by cell; ``share``, as it is learned, 0..1, with ``ci_low, ci_high``; ``unit, n`` as for means. The interval holds
    all shares that are as likely as Student's quantile allows, for likelihoods that vary like the share does as each
    unit is left out (Kent, Biometrika 69, 19, 1982), at least as for independent cells. It knows of no error of the
    classifier's own. NaN with fewer than two units.
    """
    name = probability_column(table)
    if name is None:
        return pd.DataFrame(columns=list(COLUMNS))
    unit = unit_of_means(table, settings)
    cells = table.loc[table[name].notna() & (table["state"] != UNIDENTIFIED)]
    cells = cells[["treatment", "timepoint", "image", unit, name]].rename(columns={unit: "unit", name: "told"})
    rows = [
        {"treatment": treatment, "timepoint": timepoint, **_learned(own, settings.level)}
        for (treatment, timepoint), own in _groups(cells)
    ]
    found = pd.DataFrame(rows, columns=list(COLUMNS)).assign(state=states_of(table)[1], unit=unit)
    if told(table[unit]).isna().any():
        found = found.assign(ci_low=np.nan, ci_high=np.nan)
    return found


def _groups(cells: pd.DataFrame) -> Iterator[tuple[tuple[str, int], pd.DataFrame]]:
    for treatment in in_order(cells["treatment"]):
        for timepoint, own in cells[cells["treatment"] == treatment].groupby("timepoint"):
            yield (treatment, int(timepoint)), own


def _learned(cells: pd.DataFrame, level: float) -> dict[str, float]:
    """``cells, called, share, ci_low, ci_high, n`` of one treatment at one time."""
    images = cells.groupby("unit")["image"].transform("nunique")
    weight = (1 / (images * cells.groupby("image")["told"].transform("size"))).to_numpy(float)
    p = cells["told"].to_numpy(float).clip(LEAST, 1 - LEAST)
    gain = (2 * p - 1) / (1 - p)
    share = most_likely(gain, weight)
    units, number = np.unique(cells["unit"], return_inverse=True)
    low, high = np.nan, np.nan
    if np.isfinite(share) and len(units) > 1:
        low, high = _interval(gain, weight, share, number, level)
    return {
        "cells": len(cells),
        "called": float(np.average(p > 0.5, weights=weight)),
        "share": share,
        "ci_low": low,
        "ci_high": high,
        "n": len(units),
    }


def most_likely(gain: np.ndarray, weight: np.ndarray) -> float:
    """The share, 0..1, of the largest likelihood: the sum of ``weight * log(1 + share * gain)``; NaN where all are.

    `gain` (N,) is by how much likelier what was seen of a cell is in the state than not, less 1; `weight` (N,).
    """
    if not gain.any():
        return np.nan

    def slope(share: float) -> float:
        return float((weight * gain / (1 + share * gain)).sum())

    if slope(0.0) <= 0 or slope(1.0) >= 0:
        return float(slope(0.0) > 0)
    return float(brentq(slope, 0.0, 1.0, xtol=1e-9))


def _interval(
    gain: np.ndarray, weight: np.ndarray, share: float, unit: np.ndarray, level: float
) -> tuple[float, float]:
    """Ends of what is likely enough; `unit` (N,) counts from 0."""
    others = [~np.isin(unit, group) for group in left_out(unit.max() + 1)]
    without = np.array([most_likely(gain[rest], weight[rest]) for rest in others])
    steep = weight * gain / (1 + share * gain)
    curvature = (steep**2 / weight).sum()
    spread = (len(without) - 1) / len(without) * ((without - share) ** 2).sum()
    spread = max(spread, (steep**2).sum() / curvature**2)
    allowed = spread * curvature * student.ppf((1 + level) / 2, len(without) - 1) ** 2

    def beyond(other: float) -> float:
        """Above 0 where a share is not likely enough."""
        lost = weight * (np.log1p(share * gain) - np.log1p(other * gain))
        return float(2 * lost.sum() - allowed)

    low = brentq(beyond, 0.0, share) if share > 0 and beyond(0.0) > 0 else 0.0
    high = brentq(beyond, share, 1.0) if share < 1 and beyond(1.0) > 0 else 1.0
    return float(low), float(high)
