"""How well a classifier of states does on wells that it has not seen; the same for every kind of classifier."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.metrics import accuracy_score, balanced_accuracy_score, brier_score_loss, confusion_matrix, roc_auc_score
from sklearn.model_selection import GroupKFold, LeaveOneGroupOut

from cellular.errors import InputError

BASAL, ACTIVATED, UNIDENTIFIED = "basal", "activated", "Unidentified"
# The dataset's classes and treatments, as states.
STATES = {"fed": BASAL, "unfed": ACTIVATED, "starved": ACTIVATED, BASAL: BASAL, ACTIVATED: ACTIVATED}


@dataclass(frozen=True)
class Validation:
    """How the classifier did on wells it had not seen.

    Attributes
    ----------
    cells : ``field, label, well, truth, state, probability_activated`` of every labelled cell, predicted unseen.
    wells : per left-out well (or group of wells): cells, accuracy.
    accuracy, balanced_accuracy, auc, brier : over all cells; auc and brier of the activated against the basal ones.
    confusion : truth by prediction among basal and activated cells.
    confusion_all : the same with the row of Unidentified cells, as the classifier calls them.
    calibration : ``predicted, observed, cells`` in ten bins of predicted probability.
    importance : ``feature, importance, spread``: balanced accuracy lost when a feature is shuffled in unseen wells.
    fields : per field: truth (the state of most of its cells), mean probability, cells.
    field_auc : of fields by mean probability; NaN with fields of one truth.
    """

    cells: pd.DataFrame
    wells: pd.DataFrame
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


def known_states(unidentified: str) -> list[str]:
    """The states that are learned, in order; `unidentified` as in the settings, "unlabelled" or "class"."""
    return [BASAL, ACTIVATED, *([UNIDENTIFIED] if unidentified == "class" else [])]


def usable(table: pd.DataFrame, unidentified: str, features: Sequence[str] = ()) -> pd.DataFrame:
    """The labelled cells of `table` (`features`, ``field, label, truth, well``), renumbered.

    Raises InputError for missing columns, unknown states, one state only or fewer than three wells.
    """
    require_columns(table, (*features, "field", "label", "truth", "well"))
    unknown = set(table["truth"].dropna()) - {BASAL, ACTIVATED, UNIDENTIFIED}
    if unknown:
        raise InputError(f"Column truth holds {sorted(unknown)}; known: {BASAL}, {ACTIVATED}, {UNIDENTIFIED}")
    used = table[table["truth"].isin(known_states(unidentified))].reset_index(drop=True)
    for state in (BASAL, ACTIVATED):
        if not used["truth"].eq(state).any():
            raise InputError(f"No cell is labelled {state}: nothing to tell apart")
    if used["well"].nunique() < 3:
        raise InputError(f"Cells of {used['well'].nunique()} well(s): leaving wells out needs at least 3")
    return used


def require_columns(table: pd.DataFrame, names: Sequence[str]) -> None:
    """Raise InputError where `table` lacks one of `names`."""
    missing = [name for name in names if name not in table]
    if missing:
        raise InputError(f"The table of cells lacks column(s) {', '.join(missing[:5])}; cellular measure writes them")


def unlabelled_beside(table: pd.DataFrame, wells: Sequence[str], unidentified: str) -> pd.DataFrame:
    """Unidentified cells of `wells` that are no class of their own: predicted with the others, never learned from."""
    if unidentified == "class":
        return table.iloc[:0]
    return table[table["truth"].eq(UNIDENTIFIED) & table["well"].isin(wells)]


def well_folds(used: pd.DataFrame, folds: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows to fit on and rows to test on: whole wells, one left out at a time or in `folds` groups."""
    wells = used["well"].to_numpy()
    few = used["well"].nunique() <= folds
    cut = LeaveOneGroupOut() if few else GroupKFold(folds)
    return list(cut.split(wells, groups=wells))


def importance_table(features: Sequence[str], lost: Sequence[np.ndarray]) -> pd.DataFrame:
    """``feature, importance, spread``, falling, of the accuracy `lost` (F, R) per fold with a feature shuffled."""
    shuffled = np.concatenate(lost, axis=1)
    table = pd.DataFrame({"feature": features, "importance": shuffled.mean(axis=1), "spread": shuffled.std(axis=1)})
    return table.sort_values("importance", ascending=False, ignore_index=True)


def score(cells: pd.DataFrame, importance: pd.DataFrame, unidentified: str) -> Validation:
    """The scores of `cells` (``field, label, well, truth, state, probability_activated``), each predicted unseen."""
    told = cells[cells["truth"].isin([BASAL, ACTIVATED])]
    known = cells if unidentified == "class" else told
    names = known_states(unidentified)
    activated = told["truth"] == ACTIVATED
    all_names = [BASAL, ACTIVATED, UNIDENTIFIED]
    every = pd.DataFrame(confusion_matrix(cells["truth"], cells["state"], labels=all_names), all_names, all_names)
    wells = known.groupby("well").apply(
        lambda w: pd.Series({"cells": len(w), "accuracy": accuracy_score(w["truth"], w["state"])}), include_groups=False
    )
    fields = told.groupby("field").agg(
        well=("well", "first"),
        truth=("truth", lambda t: t.mode()[0]),
        probability_activated=("probability_activated", "mean"),
        cells=("label", "size"),
    )
    return Validation(
        cells=cells,
        wells=wells.reset_index(),
        accuracy=accuracy_score(known["truth"], known["state"]),
        balanced_accuracy=balanced_accuracy_score(known["truth"], known["state"]),
        auc=roc_auc_score(activated, told["probability_activated"]),
        brier=brier_score_loss(activated, told["probability_activated"]),
        confusion=every.loc[names, names],
        confusion_all=every,
        calibration=_calibration(activated, told["probability_activated"]),
        importance=importance,
        fields=fields.reset_index(),
        field_auc=roc_auc_score(fields["truth"] == ACTIVATED, fields["probability_activated"])
        if fields["truth"].nunique() == 2
        else np.nan,
    )


def _calibration(activated: pd.Series, probability: pd.Series) -> pd.DataFrame:
    """``predicted, observed, cells`` in ten equal bins of probability; empty bins left out."""
    bins = (probability * 10).astype(int).clip(0, 9)
    grouped = pd.DataFrame({"predicted": probability, "observed": activated.astype(float)}).groupby(bins)
    return grouped.mean().assign(cells=grouped.size()).reset_index(drop=True)
