"""Basal or activated, cell by cell: gradient-boosted trees on the measured features, judged by wells never seen."""

import logging
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.inspection import permutation_importance
from sklearn.model_selection import StratifiedKFold

from cellular.autophagy.measure.columns import CELLS
from cellular.autophagy.state.unseen import (
    ACTIVATED,
    BASAL,
    Validation,
    importance_table,
    require_columns,
    score,
    unlabelled_beside,
    usable,
    well_folds,
)
from cellular.errors import SettingsError, import_extra

logger = logging.getLogger(__name__)

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


def train(table: pd.DataFrame, settings: ClassifySettings | None = None) -> CalibratedClassifierCV:
    """Fit on all labelled cells of `table` (the features, ``truth`` and ``well``); probabilities calibrated by well.

    Gradient-boosted trees (Friedman, Ann Stat 29, 1189, 2001) and sigmoid calibration (Platt 1999) on wells left out of
    the fit. Raises InputError for missing columns, one class only or one well only.
    """
    settings = settings or ClassifySettings()
    return _fit(usable(table, settings.unidentified, settings.features), settings)


def validate(table: pd.DataFrame, settings: ClassifySettings | None = None) -> Validation:
    """Predict every well from the others, calibration included, and score; `table` as for :func:`train`."""
    settings = settings or ClassifySettings()
    used = usable(table, settings.unidentified, settings.features)
    cells, importances = [], []
    for fit_rows, test_rows in well_folds(used, settings.folds):
        model = _fit(used.iloc[fit_rows], settings)
        unseen = used.iloc[test_rows]
        also = unlabelled_beside(table, unseen["well"], settings.unidentified)
        together = pd.concat([unseen, also], ignore_index=True)
        cells.append(together[["field", "label", "well", "truth"]].join(predict(model, together, settings)))
        importances.append(_importance(model, unseen, settings))
    importance = importance_table(settings.features, importances)
    return score(pd.concat(cells, ignore_index=True), importance, settings.unidentified)


def predict(model: CalibratedClassifierCV, table: pd.DataFrame, settings: ClassifySettings) -> pd.DataFrame:
    """``state`` and ``probability_activated`` of every row of `table`, in its index.

    With Unidentified as a class, the probability is that of activated among basal and activated.
    """
    require_columns(table, settings.features)
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
    method: str = "occlusion",
) -> pd.DataFrame:
    """What the call of each cell rests on: ``field, label, rank, feature, value, effect, method``, `top` rows per cell.

    Parameters
    ----------
    background : cells whose medians stand for "the usual cell" in occlusion.
    method : "occlusion": the change of the activated probability against the same cell with the feature at its
        median (Zeiler & Fergus, ECCV 2014, on features in place of pixels); of two features that say the same, neither
        gets credit. "shapley": exact Shapley values of the trees in log-odds of activated (Lundberg et al., Nat Mach
        Intell 2, 56, 2020), which share the credit and, over all features, add up to the cell's log-odds less the mean
        of the training cells; needs the extra ``explain``.

    Raises SettingsError for another method.
    """
    if method not in EXPLANATIONS:
        raise SettingsError(f"explanation by '{method}'; choose {' or '.join(EXPLANATIONS)}")
    require_columns(table, (*settings.features, "field", "label"))
    effects = EXPLANATIONS[method](model, table, settings, background)
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
            "method": method,
        }
    )


def _occlusion(
    model: CalibratedClassifierCV, table: pd.DataFrame, settings: ClassifySettings, background: pd.DataFrame
) -> np.ndarray:
    """(N, F) probability of activated, less that with each feature at its median of `background`."""
    usual = np.nanmedian(_matrix(background, settings), axis=0)

    def activated(cells: pd.DataFrame) -> np.ndarray:
        return predict(model, cells, settings)["probability_activated"].to_numpy()

    occluded = [activated(table.assign(**{name: value})) for name, value in zip(settings.features, usual)]
    return activated(table)[:, None] - np.column_stack(occluded)


def shapley(
    model: CalibratedClassifierCV, table: pd.DataFrame, settings: ClassifySettings, background: pd.DataFrame
) -> np.ndarray:
    """(N, F) Shapley values of the trees, in log-odds of activated against basal; `background` is not used.

    What a feature's absence means follows the trees' own training cells (path-dependent TreeSHAP). With two states the
    calibration's slope is included, so rows add up to the calibrated log-odds; with three they stay uncalibrated.
    """
    fitted = model.calibrated_classifiers_[0]
    values = np.asarray(
        import_extra("shap", "explain").TreeExplainer(fitted.estimator).shap_values(_matrix(table, settings))
    )
    classes = list(fitted.estimator.classes_)
    if values.ndim == 3:
        return values[..., classes.index(ACTIVATED)] - values[..., classes.index(BASAL)]
    # scikit-learn's sigmoid is 1 / (1 + exp(a f + b)) of the second class, basal
    return values * fitted.calibrators[0].a_


EXPLANATIONS = {"occlusion": _occlusion, "shapley": shapley}


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
    folds = well_folds(used, settings.folds) if used["well"].nunique() > 1 else []
    if folds and all(used["truth"].iloc[rows].nunique() == used["truth"].nunique() for rows, _ in folds):
        return folds
    logger.warning("too few wells of each state: probabilities are calibrated on cells of the wells trained on")
    cut = StratifiedKFold(3, shuffle=True, random_state=settings.seed)
    return list(cut.split(used["truth"], used["truth"]))


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
