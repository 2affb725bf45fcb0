"""How well a classifier of states does on cells of dates, plates or wells that it has not seen; for any classifier."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.metrics import accuracy_score, balanced_accuracy_score, brier_score_loss, confusion_matrix, roc_auc_score
from sklearn.model_selection import GroupKFold, LeaveOneGroupOut

from cellular.autophagy.measure.columns import CELLS
from cellular.autophagy.state.words import ACTIVATED, BASAL, UNIDENTIFIED
from cellular.errors import InputError, SettingsError

logger = logging.getLogger(__name__)

# What can be left out, from the highest: scores hold for new units of what was left out, and for no higher one.
UNITS = ("replicate", "date", "plate", "well", "position", "field")
# What says where a cell is from or what was done to it: never a feature of the cell.
_NO_FEATURES = frozenset(
    ("field", "label", "truth", "class", "state", "timepoint", "site", "dose", "treatment", *UNITS)
)


@dataclass(frozen=True)
class StateSettings:
    """What is told apart, and how it is judged; the same for every kind of classifier.

    Attributes
    ----------
    states : the two states, the positive one last: probabilities and log-odds are of it.
    unidentified : "unlabelled" leaves cells that the expert could not tell out of training; "class" learns them as one.
    folds : at most so many groups are left out in cross-validation and calibration.
    seed : any whole number from 0.
    """

    states: tuple[str, str] = (BASAL, ACTIVATED)
    unidentified: str = "unlabelled"
    folds: int = 6
    seed: int = 0

    def __post_init__(self) -> None:
        words = self.states
        if not (isinstance(words, tuple) and len(words) == 2 and all(isinstance(w, str) and w.strip() for w in words)):
            raise SettingsError(f"states are {words!r}; give two words, the positive one last")
        if len({*words, UNIDENTIFIED}) < 3:
            raise SettingsError(f"states are {words!r}; give two different words, neither of them {UNIDENTIFIED}")
        if self.unidentified not in ("unlabelled", "class"):
            raise SettingsError(f"unidentified is {self.unidentified!r}; choose unlabelled or class")
        require_whole(self, folds=(2, 1000), seed=(0, 2**32 - 1))

    @property
    def known(self) -> list[str]:
        """The states that are learned, in order."""
        return [*self.states, *([UNIDENTIFIED] if self.unidentified == "class" else [])]

    @property
    def probability(self) -> str:
        """Name of the column with the probability of the positive state."""
        return f"probability_{self.states[1]}"


def require_whole(settings: object, **ranges: tuple[int, int]) -> None:
    """Raise SettingsError where a field of `settings` is no whole number within its range, both ends included."""
    for name, (low, high) in ranges.items():
        value = getattr(settings, name)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise SettingsError(f"{name} is {value!r}; give a whole number from {low} to {high}")


@dataclass(frozen=True)
class Folds:
    """How cells are parted into those fitted on and those judged.

    Attributes
    ----------
    unit : what is left out whole: one of :data:`UNITS`.
    rows : pairs of rows to fit on and rows to judge.
    remarks : what the choice of the unit takes away from the scores.
    """

    unit: str
    rows: list[tuple[np.ndarray, np.ndarray]]
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Validation:
    """How the classifier did on cells of units it had not seen.

    Attributes
    ----------
    unit : what was left out: replicate, date, plate, well, position or field.
    remarks : what takes away from the scores, in sentences; empty where nothing does.
    cells : ``field, label, left_out, truth, state, probability_<positive>`` of every labelled cell, predicted unseen.
    left_out : per unit left out: ``left_out, cells, accuracy``.
    accuracy, balanced_accuracy, auc, brier : over all cells; auc and brier of the positive against the other state.
    confusion : truth by prediction among the two states.
    confusion_all : the same with the row of Unidentified cells, as the classifier calls them.
    calibration : ``predicted, observed, cells`` in ten bins of predicted probability.
    importance : ``feature, importance, spread``: balanced accuracy lost when a feature is shuffled in unseen cells.
    fields : per field: truth (the state of most of its cells), mean probability, cells.
    field_auc : of fields by mean probability; NaN with fields of one truth.
    """

    unit: str
    remarks: tuple[str, ...]
    cells: pd.DataFrame
    left_out: pd.DataFrame
    accuracy: float
    balanced_accuracy: float
    auc: float
    brier: float
    confusion: pd.DataFrame
    confusion_all: pd.DataFrame
    calibration: pd.DataFrame
    importance: pd.DataFrame
    fields: pd.DataFrame
    field_auc: float


def usable(table: pd.DataFrame, settings: StateSettings, features: Sequence[str] = ()) -> pd.DataFrame:
    """The labelled cells of `table` (`features`, ``field, label, truth`` and units), renumbered.

    Raises InputError for missing columns, unknown states, a state of fewer than two cells, and features that are not of
    the cell.
    """
    require_columns(table, (*features, "field", "label", "truth"))
    unknown = set(table["truth"].dropna()) - {*settings.states, UNIDENTIFIED}
    if unknown:
        known = ", ".join((*settings.states, UNIDENTIFIED))
        raise InputError(f"Column truth holds {sorted(map(str, unknown))}; known: {known}")
    used = table[table["truth"].isin(settings.known)].reset_index(drop=True)
    for state in settings.known:
        if used["truth"].eq(state).sum() < 2:
            raise InputError(f"{used['truth'].eq(state).sum()} cell(s) are labelled {state}: nothing to learn it from")
    _require_of_cells(used, features)
    return used


def _require_of_cells(used: pd.DataFrame, features: Sequence[str]) -> None:
    """InputError for a feature that tells of a cell's image or well: by name, or because it varies in no field."""
    many = used[used.groupby("field")["field"].transform("size") > 1]
    for name in features:
        fixed = name not in CELLS and used[name].nunique() > 1 and len(many)
        if name in _NO_FEATURES or (fixed and many.groupby("field")[name].nunique(dropna=False).max() == 1):
            raise InputError(f"{name} is of the image or the well, not of the cell: no feature to tell states by")


def require_columns(table: pd.DataFrame, names: Sequence[str], what: str = "The table of cells") -> None:
    """Raise InputError where `table` lacks one of `names`."""
    missing = [name for name in names if name not in table]
    if missing:
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        remedy = "; cellular measure writes them" if set(missing) & set(CELLS) else ""
        raise InputError(f"{what} lacks column(s) {', '.join(missing[:5])}{more}{remedy}")


def unlabelled_beside(table: pd.DataFrame, unseen: pd.DataFrame, unit: str, settings: StateSettings) -> pd.DataFrame:
    """Unidentified cells of the units of `unseen` that are no class of their own: predicted too, never learned from."""
    if settings.unidentified == "class":
        return table.iloc[:0]
    return table[table["truth"].eq(UNIDENTIFIED) & table[unit].isin(unseen[unit])]


def unit_folds(used: pd.DataFrame, folds: int) -> Folds:
    """Leave out whole units of the highest kind that varies, one at a time or in `folds` groups.

    A kind of :data:`UNITS` serves if it is known of every cell and every state occurs in two of its units, so that each
    state is there to be learned when one is left out. Raises InputError where none does.
    """
    remarks: list[str] = []
    # images of one position, over time, show the same cells
    for unit in UNITS[:-1] if "position" in used else UNITS:
        if unit not in used or used[unit].isna().any() or used[unit].nunique() < 2:
            continue
        within = used.groupby("truth")[unit].nunique()
        if within.min() < 2:
            remarks.append(f"{within.idxmin()} cells are of one {unit} only: {unit}s could not be left out")
            continue
        if unit in ("position", "field"):
            remarks.append(f"{unit}s were left out, not wells: cells of one well are alike, so scores are too good")
        return Folds(unit, _group_rows(used, unit, folds), tuple(remarks))
    raise InputError(
        "Nothing can be left out to judge the classifier by: every state has to be in two positions at least"
        + "".join(f"; {remark}" for remark in remarks)
    )


def _group_rows(used: pd.DataFrame, unit: str, folds: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows to fit on and to judge; single units where groups of them would take all of a state away."""
    groups = used[unit].to_numpy()
    one_by_one = list(LeaveOneGroupOut().split(groups, groups=groups))
    if len(one_by_one) <= folds:
        return one_by_one
    grouped = list(GroupKFold(folds).split(groups, groups=groups))
    whole = all(used["truth"].iloc[rows].nunique() == used["truth"].nunique() for rows, _ in grouped)
    return grouped if whole else one_by_one


def importance_table(features: Sequence[str], lost: Sequence[np.ndarray]) -> pd.DataFrame:
    """``feature, importance, spread``, falling, of the accuracy `lost` (F, R) per fold with a feature shuffled."""
    shuffled = np.concatenate(lost, axis=1)
    table = pd.DataFrame({"feature": features, "importance": shuffled.mean(axis=1), "spread": shuffled.std(axis=1)})
    return table.sort_values("importance", ascending=False, ignore_index=True)


def score(cells: pd.DataFrame, importance: pd.DataFrame, settings: StateSettings, folds: Folds) -> Validation:
    """The scores of `cells` (``field, label, left_out, truth, state, probability_...``), each predicted unseen."""
    told = cells[cells["truth"].isin(settings.states)]
    known = cells[cells["truth"].isin(settings.known)]
    positive = told["truth"] == settings.states[1]
    probability = told[settings.probability]
    all_names = [*settings.states, UNIDENTIFIED]
    every = pd.DataFrame(confusion_matrix(cells["truth"], cells["state"], labels=all_names), all_names, all_names)
    left_out = known.groupby("left_out").apply(
        lambda w: pd.Series({"cells": len(w), "accuracy": accuracy_score(w["truth"], w["state"])}), include_groups=False
    )
    fields = told.groupby("field").agg(
        left_out=("left_out", "first"),
        truth=("truth", lambda t: t.mode()[0]),
        **{settings.probability: (settings.probability, "mean")},
        cells=("label", "size"),
    )
    balanced = balanced_accuracy_score(known["truth"], known["state"])
    return Validation(
        unit=folds.unit,
        remarks=(*folds.remarks, *_below_chance(balanced, settings, folds.unit)),
        cells=cells,
        left_out=left_out.astype({"cells": int}).reset_index(),
        accuracy=accuracy_score(known["truth"], known["state"]),
        balanced_accuracy=balanced,
        auc=roc_auc_score(positive, probability),
        brier=brier_score_loss(positive, probability),
        confusion=every.loc[settings.known, settings.known],
        confusion_all=every,
        calibration=_calibration(positive, probability),
        importance=importance,
        fields=fields.reset_index(),
        field_auc=roc_auc_score(fields["truth"] == settings.states[1], fields[settings.probability])
        if fields["truth"].nunique() == 2
        else np.nan,
    )


def _below_chance(balanced: float, settings: StateSettings, unit: str) -> tuple[str, ...]:
    """A remark where calls are worse than a coin's: what was learned does not hold for the units left out."""
    chance = 1 / len(settings.known)
    if balanced >= chance:
        return ()
    return (
        f"balanced accuracy {balanced:.2f} is below chance ({chance:.2f}): what tells the states apart in some {unit}s "
        f"does not in others, as where each state has {unit}s of its own and these differ by themselves; do not use it",
    )


def _calibration(positive: pd.Series, probability: pd.Series) -> pd.DataFrame:
    """``predicted, observed, cells`` in ten equal bins of probability; empty bins left out."""
    bins = (probability * 10).astype(int).clip(0, 9)
    grouped = pd.DataFrame({"predicted": probability, "observed": positive.astype(float)}).groupby(bins)
    return grouped.mean().assign(cells=grouped.size()).reset_index(drop=True)
