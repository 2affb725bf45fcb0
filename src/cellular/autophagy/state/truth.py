"""What is known of cells before training: their state in the expert's words, their date, plate and well."""

from functools import partial

import numpy as np
import pandas as pd

from cellular.autophagy.state.unseen import require_columns
from cellular.autophagy.state.words import ACTIVATED, BASAL, UNIDENTIFIED, in_our_words
from cellular.data.dates import days_of, experiments, first_dates
from cellular.data.fields import Field, parse_field, series_of
from cellular.data.platemap import SAMPLE, cellular_treatment
from cellular.errors import InputError, SettingsError


def checked_cells(table: pd.DataFrame, what: str = "The table of cells") -> pd.DataFrame:
    """`table` with ``field`` as text and ``label`` as whole numbers, each cell once; InputError for anything else."""
    require_columns(table, ("field", "label"), what)
    label = pd.to_numeric(table["label"], errors="coerce")
    wrong = (
        label.isna()
        | (label % 1 != 0)
        | (label.abs() >= 2**53)
        | table["label"].map(lambda value: isinstance(value, bool))
    )
    if wrong.any():
        raise InputError(f"{what} holds the label '{table['label'][wrong].iloc[0]}'; labels are whole numbers")
    if table["field"].isna().any():
        raise InputError(f"{what} has {table['field'].isna().sum()} row(s) without a field")
    checked = table.assign(field=table["field"].astype(str), label=label.astype(np.int64))
    twice = checked.duplicated(["field", "label"])
    if twice.any():
        cell = checked[twice].iloc[0]
        raise InputError(f"{what} holds cell {cell['label']} of {cell['field']} more than once")
    return checked


def add_truth(cells: pd.DataFrame, truth: pd.DataFrame | None) -> pd.DataFrame:
    """`cells` with columns ``truth`` and the units that can be left out: ``replicate, date, plate, well, position``.

    Parameters
    ----------
    truth : table with ``field, label`` and ``class`` or ``state``, in any words; an empty one and Unidentified are
        unlabelled. fed is basal; unfed and starved are activated. Without a table the well's treatment stands in: the
        column of that name or, without one, CELLULAR's plate map. ``y0, x0, y1, x1`` (px), as in ``cells.csv`` of
        prepare, are held against the cells' ``y, x``; rows of label 0 are of no cell.

    The units are columns of `cells`, else of `truth`, else read from the field's name, else missing. Wells of different
    plates, and plates of different dates, are told apart; where no well is known, a column ``sample`` stands for it. A
    position is a site of a well, else the field's name without its timepoint: all images of one place show the same
    cells.

    Raises InputError for missing columns, labels that are none, cells named twice or that lie elsewhere in the truth,
    and where no cell has a state.
    """
    cells = checked_cells(cells)
    if truth is None:
        told, words = cells[["field"]], cells["treatment"] if "treatment" in cells else cells["field"].map(_treatment)
    else:
        column = next((name for name in ("class", "state") if name in truth), None)
        if column is None:
            raise InputError("The table of truth needs the columns field, label and class (or state)")
        require_columns(truth, ("field", "label"), "The table of truth")
        truth = checked_cells(truth[pd.to_numeric(truth["label"], errors="coerce") != 0], "The table of truth")
        told = cells[["field", "label"]].merge(truth, on=["field", "label"], how="left").set_axis(cells.index)
        _check_places(cells, told)
        words = told[column]
    known = words.map(in_our_words)
    if known.isna().all():
        raise InputError("No cell has a known state: fields and labels of cells and truth do not meet")
    return cells.assign(truth=known, **_units(cells, told))


def _check_places(cells: pd.DataFrame, told: pd.DataFrame) -> None:
    """Refuse a truth of other outlines, the expert's where a model's were measured: its labels are other cells."""
    box = ["y0", "x0", "y1", "x1"]
    if not ({"y", "x"} <= set(cells) and set(box) <= set(told)):
        return
    at, (low, high) = cells[["y", "x"]].to_numpy(float), (told[side].to_numpy(float) for side in (box[:2], box[2:]))
    away = ((at < low - 0.5) | (at > high)).any(axis=1)
    if away.any():
        row = int(np.flatnonzero(away)[0])
        cell, (y0, x0, y1, x1) = cells.iloc[row], told.iloc[row][box].astype(int)
        raise InputError(
            f"The table of truth is of other outlines: cell {cell['label']} of {cell['field']} is measured at y "
            f"{cell['y']:.0f}, x {cell['x']:.0f} px, and lies there within y {y0} to {y1}, x {x0} to {x1}; measure the "
            "label images that the truth is of"
        )


def _treatment(field: str) -> str | None:
    return cellular_treatment(parse_field(field).well)


def two_states(truth: pd.Series, positive: str | None = None) -> tuple[str, str]:
    """The two states that the column `truth` tells apart, the positive one last.

    `positive` names it; basal and activated need no word of it. Raises InputError for more or fewer than two states,
    SettingsError for a `positive` that is none of them, or is needed and not given.
    """
    found = sorted(set(truth.dropna()) - {UNIDENTIFIED})
    if len(found) != 2:
        raise InputError(
            f"The cells' states are {', '.join(found) or 'not named'}: classify tells two apart; "
            f"leave the state of others empty, or write {UNIDENTIFIED}"
        )
    chosen = in_our_words(positive) or (ACTIVATED if found == [ACTIVATED, BASAL] else None)
    if chosen is None or chosen not in found:
        said = "is not named" if chosen is None else f"'{positive}' is none of them"
        raise SettingsError(f"The cells' states are {' and '.join(found)}; the positive one {said}: give --positive")
    return next(word for word in found if word != chosen), chosen


def _units(cells: pd.DataFrame, told: pd.DataFrame) -> dict[str, pd.Series]:
    """Names of the units of each cell, a plate's with its date, a well's with its plate, a position's with its well."""
    parts = cells["field"].map(parse_field)
    named: dict[str, pd.Series] = {}
    for unit in ("replicate", "date", "plate", "well", "site", "timepoint", SAMPLE):
        by_name = parts.map(partial(_part, unit))
        source = cells[unit] if unit in cells else told.get(unit, by_name)
        named[unit] = source.map(lambda name: None if pd.isna(name) or not str(name).strip() else str(name).strip())
    series = cells["field"].map(series_of)
    sample, dates = named.pop(SAMPLE), days_of(named["date"])
    places = (named["plate"], named["well"])
    if named["well"].isna().all():
        named["well"], places, dates = sample, (sample, sample), first_dates(dates, series)
    # a dish, or a plate, that was imaged past midnight is one
    named["date"] = experiments(dates, *places, named["site"], named.pop("timepoint"))
    above = [named["replicate"], named["date"]] if named["replicate"].notna().any() else [named["date"]]
    plate = _joined([*above, named["plate"]], "-")
    well = _joined([_joined([*above, named["plate"]], "-", partly=True), named["well"]], "/", partly=True)
    well = well.where(named["well"].notna(), None)
    place = _joined([well, named.pop("site")], "/").where(well.notna(), None)
    return {**named, "plate": plate, "well": well, "position": place.fillna(series)}


def _part(unit: str, field: Field) -> str | None:
    return getattr(field, unit, None)


def _joined(columns: list[pd.Series], mark: str, partly: bool = False) -> pd.Series:
    """Names joined row by row; None where the last is missing, unless `partly`, which joins what there is."""
    rows = zip(*(column.fillna("") for column in columns))
    return pd.Series(
        [mark.join(filter(None, row)) if partly or row[-1] else None for row in rows], columns[0].index, dtype=object
    )
