"""Basal or activated, cell by cell: gradient-boosted trees on the measured features, judged by wells never seen."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.inspection import permutation_importance
from sklearn.metrics import accuracy_score, balanced_accuracy_score, brier_score_loss, confusion_matrix, roc_auc_score
from sklearn.model_selection import GroupKFold, LeaveOneGroupOut, StratifiedKFold

from cellular.autophagy.columns import CELLS
from cellular.errors import InputError, SettingsError

logger = logging.getLogger(__name__)

BASAL, ACTIVATED, UNIDENTIFIED = "basal", "activated", "Unidentified"
# The dataset's classes and treatments, as states.
STATES = {"fed": BASAL, "unfed": ACTIVATED, "starved": ACTIVATED, BASAL: BASAL, ACTIVATED: ACTIVATED}
# Where a cell is, and how it lies, says nothing about its state.
FEATURES = tuple(
    n for n in CELLS if n not in ("field", "label", "y", "x", "orientation", "touches_border", "saturated")
)


@dataclass(frozen=True)
class ClassifySettings:
    """How the classifier is trained.

    Attributes
    ----------
    features : columns it may use.
    unidentified : "unlabelled" leaves cells that the expert could not tell out of training; "class" learns them as one.
    trees, depth, learning_rate, min_leaf : of the gradient boosting (min_leaf in cells).
    folds : at most so many groups of wells in cross-validation and calibration.
    seed : any whole number from 0.
    """

    features: tuple[str, ...] = FEATURES
    unidentified: str = "unlabelled"
    trees: int = 120
    depth: int = 4
    learning_rate: float = 0.06
    min_leaf: int = 15
    folds: int = 6
    seed: int = 0

    def __post_init__(self) -> None:
        if self.unidentified not in ("unlabelled", "class"):
            raise SettingsError(f"unidentified is '{self.unidentified}'; choose unlabelled or class")
        if not self.features:
            raise SettingsError("no features to classify by")


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


def train(table: pd.DataFrame, settings: ClassifySettings | None = None) -> CalibratedClassifierCV:
    """Fit on all labelled cells of `table` (the features, ``truth`` and ``well``); probabilities calibrated by well.

    Gradient-boosted trees (Friedman, Ann Stat 29, 1189, 2001) and sigmoid calibration (Platt 1999) on wells left out of
    the fit. Raises InputError for missing columns, one class only or one well only.
    """
    settings = settings or ClassifySettings()
    used = _usable(table, settings)
    return _fit(used, settings)


def validate(table: pd.DataFrame, settings: ClassifySettings | None = None) -> Validation:
    """Predict every well from the others, calibration included, and score; `table` as for :func:`train`."""
    settings = settings or ClassifySettings()
    used = _usable(table, settings)
    unlabelled = table[table["truth"].eq(UNIDENTIFIED)] if settings.unidentified == "unlabelled" else table.iloc[:0]
    cells, importances = [], []
    for fit_rows, test_rows in _folds(used, settings):
        model = _fit(used.iloc[fit_rows], settings)
        unseen = used.iloc[test_rows]
        also = unlabelled[unlabelled["well"].isin(unseen["well"])]
        together = pd.concat([unseen, also], ignore_index=True)
        cells.append(together[["field", "label", "well", "truth"]].join(predict(model, together, settings)))
        importances.append(_importance(model, unseen, settings))
    return _score(pd.concat(cells, ignore_index=True), importances, settings)


def predict(model: CalibratedClassifierCV, table: pd.DataFrame, settings: ClassifySettings) -> pd.DataFrame:
    """``state`` and ``probability_activated`` of every row of `table`, in its index.

    With Unidentified as a class, the probability is that of activated among basal and activated.
    """
    _require(table, settings.features)
    probability = pd.DataFrame(model.predict_proba(_matrix(table, settings)), table.index, list(model.classes_))
    told = probability[BASAL] + probability[ACTIVATED]
    activated = (probability[ACTIVATED] / told.where(told > 0)).fillna(0.5)
    return pd.DataFrame({"state": probability.idxmax(axis=1), "probability_activated": activated})


def explain(
    model: CalibratedClassifierCV,
    table: pd.DataFrame,
    settings: ClassifySettings,
    background: pd.DataFrame,
    top: int = 3,
) -> pd.DataFrame:
    """What the call of each cell rests on: ``field, label, rank, feature, value, effect``, `top` rows per cell.

    Effect by occlusion: the change of the activated probability against the same cell with the feature at its median
    of `background` (Zeiler & Fergus, ECCV 2014, on features in place of pixels). Features that say the same share no
    credit: occluding one of two twins shows little.
    """
    usual = np.nanmedian(_matrix(background, settings), axis=0)

    def activated(cells: pd.DataFrame) -> np.ndarray:
        return predict(model, cells, settings)["probability_activated"].to_numpy()

    base = activated(table)
    occluded = [activated(table.assign(**{name: value})) for name, value in zip(settings.features, usual)]
    effects = base[:, None] - np.column_stack(occluded)
    order = np.argsort(-np.abs(effects), axis=1)[:, :top]
    rows = np.repeat(np.arange(len(table)), order.shape[1])
    chosen = order.ravel()
    return pd.DataFrame(
        {
            "field": table["field"].to_numpy()[rows],
            "label": table["label"].to_numpy()[rows],
            "rank": np.tile(np.arange(1, order.shape[1] + 1), len(table)),
            "feature": np.array(settings.features)[chosen],
            "value": _matrix(table, settings)[rows, chosen],
            "effect": effects[rows, chosen],
        }
    )


def _fit(used: pd.DataFrame, settings: ClassifySettings) -> CalibratedClassifierCV:
    boosted = HistGradientBoostingClassifier(
        max_iter=settings.trees,
        max_depth=settings.depth,
        learning_rate=settings.learning_rate,
        min_samples_leaf=settings.min_leaf,
        class_weight="balanced",
        random_state=settings.seed,
    )
    folds = _calibration_folds(used, settings)
    model = CalibratedClassifierCV(boosted, method="sigmoid", cv=folds, ensemble=False)
    # the sigmoid sees each state as often as the other, as the trees do
    weight = used["truth"].map(len(used) / used["truth"].nunique() / used["truth"].value_counts())
    return model.fit(_matrix(used, settings), used["truth"].to_numpy(), sample_weight=weight.to_numpy())


def _calibration_folds(used: pd.DataFrame, settings: ClassifySettings) -> list[tuple[np.ndarray, np.ndarray]]:
    """Wells left out in turn; cells where some state is in one well only (said aloud; never judged so)."""
    folds = _folds(used, settings) if used["well"].nunique() > 1 else []
    if folds and all(used["truth"].iloc[rows].nunique() == used["truth"].nunique() for rows, _ in folds):
        return folds
    logger.warning("too few wells of each state: probabilities are calibrated on cells of the wells trained on")
    cut = StratifiedKFold(3, shuffle=True, random_state=settings.seed)
    return list(cut.split(used["truth"], used["truth"]))


def _folds(used: pd.DataFrame, settings: ClassifySettings) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows to fit on and rows to test on: whole wells, one left out at a time or in `folds` groups."""
    wells = used["well"].to_numpy()
    few = used["well"].nunique() <= settings.folds
    cut = LeaveOneGroupOut() if few else GroupKFold(settings.folds)
    return list(cut.split(wells, groups=wells))


def _usable(table: pd.DataFrame, settings: ClassifySettings) -> pd.DataFrame:
    """The labelled cells; checked."""
    _require(table, (*settings.features, "field", "label", "truth", "well"))
    unknown = set(table["truth"].dropna()) - {BASAL, ACTIVATED, UNIDENTIFIED}
    if unknown:
        raise InputError(f"Column truth holds {sorted(unknown)}; known: {BASAL}, {ACTIVATED}, {UNIDENTIFIED}")
    known = [BASAL, ACTIVATED, *([UNIDENTIFIED] if settings.unidentified == "class" else [])]
    used = table[table["truth"].isin(known)].reset_index(drop=True)
    for state in (BASAL, ACTIVATED):
        if not used["truth"].eq(state).any():
            raise InputError(f"No cell is labelled {state}: nothing to tell apart")
    if used["well"].nunique() < 3:
        raise InputError(f"Cells of {used['well'].nunique()} well(s): leaving wells out needs at least 3")
    return used


def _require(table: pd.DataFrame, names: Sequence[str]) -> None:
    missing = [name for name in names if name not in table]
    if missing:
        raise InputError(f"The table of cells lacks column(s) {', '.join(missing[:5])}; cellular measure writes them")


def _matrix(table: pd.DataFrame, settings: ClassifySettings) -> np.ndarray:
    return table[list(settings.features)].to_numpy(np.float64)


def _importance(model: CalibratedClassifierCV, unseen: pd.DataFrame, settings: ClassifySettings) -> np.ndarray:
    """(F, R) loss of accuracy, every state weighing the same, by R shufflings of each feature (Breiman 2001)."""
    sample = unseen.sample(min(len(unseen), 400), random_state=settings.seed)
    weight = sample["truth"].map(1 / sample["truth"].value_counts()).to_numpy()
    result = permutation_importance(
        model,
        _matrix(sample, settings),
        sample["truth"].to_numpy(),
        n_repeats=3,
        random_state=settings.seed,
        sample_weight=weight,
    )
    return result.importances


def _score(cells: pd.DataFrame, importances: list[np.ndarray], settings: ClassifySettings) -> Validation:
    told = cells[cells["truth"].isin([BASAL, ACTIVATED])]
    known = cells if settings.unidentified == "class" else told
    names = [BASAL, ACTIVATED, *([UNIDENTIFIED] if settings.unidentified == "class" else [])]
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
    shuffled = np.concatenate(importances, axis=1)
    importance = pd.DataFrame(
        {"feature": settings.features, "importance": shuffled.mean(axis=1), "spread": shuffled.std(axis=1)}
    ).sort_values("importance", ascending=False, ignore_index=True)
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
