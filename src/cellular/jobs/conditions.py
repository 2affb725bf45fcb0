"""What cells were given, in words: the conditions that the page, its gallery and the live page tell apart."""

from collections.abc import Sequence

import pandas as pd

from cellular.data.plate import Plate
from cellular.data.platemap import SAMPLE

# Of more conditions than these, treatments alone are told.
MOST_CONDITIONS = 24


def conditions(
    plate: Plate, cells: pd.DataFrame, treatment: str, inhibitor: str = "inhibitor", replicate: str | None = None
) -> pd.Series:
    """What each cell was given, in words: its treatment, then what else the map says but for replicates and controls.

    The treatment alone where that makes too many, but with its inhibitor: their pools are two, and a mean of both is
    neither. Missing for a cell without a treatment.
    """
    if treatment not in cells:
        return pd.Series("all cells", cells.index)
    left_out = (treatment, replicate, "replicate", "control", "dose_unit", *([SAMPLE] if plate.map_by_field else ()))
    others = [name for name in plate.map_columns if name in cells and name not in left_out]
    words = _in_words(cells, treatment, others)
    few = words.nunique() <= MOST_CONDITIONS
    return words if few else _in_words(cells, treatment, [name for name in others if name == inhibitor])


def samples_apart(table: pd.DataFrame) -> pd.Series:
    """The column ``sample``, "dish 1" of another replicate by another name: it is another dish."""
    samples = table[SAMPLE].astype(object)
    if "replicate" not in table or table["replicate"].nunique() < 2:
        return samples
    return (table["replicate"].astype(str) + ": " + samples.astype(str)).where(samples.notna())


def _in_words(cells: pd.DataFrame, treatment: str, others: Sequence[str]) -> pd.Series:
    first = cells[treatment].astype(object)
    words = first.where(first.isna(), first.astype(str))
    for name in (name for name in others if cells[name].nunique() > 1):
        known = cells[name].notna()
        unit: pd.Series | str = ""
        if name == "dose" and "dose_unit" in cells:
            unit = cells["dose_unit"].map(lambda given: "" if pd.isna(given) else f" {given}")
        text = cells[name].map(lambda value: f", {value:g}" if isinstance(value, float) else f", {value}") + unit
        words = words.where(~known, words + text)
    return words
