"""Basal or activated, cell by cell: gradient-boosted trees on the measured features, judged by wells never seen."""

import logging
from dataclasses import replace

import numpy as np
import pandas as pd
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedKFold
from threadpoolctl import threadpool_limits

from cellular.autophagy.state.tree_model import ClassifySettings, TreeModel, from_sklearn, numbers, predict
from cellular.autophagy.state.unseen import (
    Folds,
    Validation,
    importance_table,
    require_columns,
    score,
    unit_folds,
    unlabelled_beside,
    usable,
)
from cellular.errors import InputError, SettingsError, import_extra

logger = logging.getLogger(__name__)

_SHUFFLES = 3


def train(table: pd.DataFrame, settings: ClassifySettings | None = None) -> TreeModel:
    """Fit on all labelled cells of `table` (features, ``field, label, truth`` and units as of `add_truth`).

    Gradient-boosted trees (Friedman, Ann Stat 29, 1189, 2001) and sigmoid calibration (Platt 1999) on units left out of
    the fit. Raises InputError for missing columns, columns that are no numbers, and too few cells of a state.
    """
    settings = settings or ClassifySettings()
    used = usable(table, settings, settings.features)
    matrix = numbers(used, settings.features)
    empty = [name for name, values in zip(settings.features, matrix.T) if np.isnan(values).all()]
    if empty:
        logger.warning("no labelled cell has a value in %s: these tell nothing", ", ".join(empty))
    if _calibration_unit(used, settings) is None:
        logger.warning("too few fields of each state: probabilities are calibrated on cells of the fields fitted on")
    model = _fit(used, settings)
    if (model.sigmoid == (-1, 0)).all(axis=1).any():
        logger.warning("probabilities are not calibrated: units left out are called worse than by chance")
    return model


def validate(table: pd.DataFrame, settings: ClassifySettings | None = None) -> Validation:
    """Predict every unit from the others, calibration included, and score; `table` as for :func:`train`.

    The unit is the highest that varies (:func:`cellular.autophagy.state.unseen.unit_folds`).
    """
    settings = settings or ClassifySettings()
    used = usable(table, settings, settings.features)
    folds = unit_folds(used, settings.folds)
    folds = replace(folds, remarks=(*folds.remarks, *_too_few(folds, settings)))
    cells, importances = [], []
    for fit_rows, test_rows in folds.rows:
        model = _fit(used.iloc[fit_rows], settings)
        unseen = used.iloc[test_rows]
        also = unlabelled_beside(table, unseen, folds.unit, settings)
        together = pd.concat([unseen, also], ignore_index=True)
        known = together[["field", "label", "truth"]].assign(left_out=together[folds.unit])
        cells.append(known.join(predict(model, together)))
        importances.append(_importance(model, unseen, settings))
    importance = importance_table(settings.features, importances)
    return score(pd.concat(cells, ignore_index=True), importance, settings, folds)


def _too_few(folds: Folds, settings: ClassifySettings) -> tuple[str, ...]:
    """A remark where trees cannot part the cells they are fitted on: what they call is a matter of rounding then."""
    fewest = min(len(rows) for rows, _ in folds.rows)
    if fewest >= 2 * settings.min_leaf:
        return ()
    needed = 2 * settings.min_leaf
    return (
        f"{fewest} cells are learned from with a {folds.unit} left out, and trees with leaves of {settings.min_leaf} "
        f"part none of fewer than {needed}: these scores say nothing, label more cells",
    )


def explain(model: TreeModel, table: pd.DataFrame, top: int = 3, method: str = "occlusion") -> pd.DataFrame:
    """What the call of each cell rests on: ``field, label, rank, feature, value, effect, method``, `top` rows per cell.

    Parameters
    ----------
    method : "occlusion": the change of the positive state's probability against the same cell with the feature at its
        median in the training cells (Zeiler & Fergus, ECCV 2014, on features in place of pixels); of two features that
        say the same, neither gets credit. "shapley": exact Shapley values of the trees in log-odds of the positive
        (Lundberg et al., Nat Mach Intell 2, 56, 2020), which share the credit and, over all features, add up to the
        cell's log-odds less the mean of the training cells; needs the extra ``explain``.

    Raises SettingsError for another method.
    """
    if method not in EXPLANATIONS:
        raise SettingsError(f"explanation by '{method}'; choose {' or '.join(EXPLANATIONS)}")
    require_columns(table, ("field", "label"))
    matrix = model.matrix(table)
    effects = EXPLANATIONS[method](model, matrix)
    order = np.argsort(-np.abs(effects), axis=1, kind="stable")[:, :top]
    rows = np.repeat(np.arange(len(table)), order.shape[1])
    chosen = order.ravel()
    return pd.DataFrame(
        {
            "field": table["field"].to_numpy()[rows],
            "label": table["label"].to_numpy()[rows],
            "rank": np.tile(np.arange(1, order.shape[1] + 1), len(table)),
            "feature": np.array(model.settings.features, object)[chosen],
            "value": matrix[rows, chosen],
            "effect": effects[rows, chosen],
            "method": method,
        }
    )


def occlusion(model: TreeModel, matrix: np.ndarray) -> np.ndarray:
    """(N, F) probability of the positive state, less that with each feature at the training cells' median."""
    effects = np.empty(matrix.shape)
    told = model.probability_positive(matrix)
    for feature, usual in enumerate(model.usual):
        occluded = matrix.copy()
        occluded[:, feature] = usual
        effects[:, feature] = told - model.probability_positive(occluded)
    return effects


def shapley(model: TreeModel, matrix: np.ndarray) -> np.ndarray:
    """(N, F) Shapley values of the trees for cells (N, F), in log-odds of the positive state against the other.

    What a feature's absence means follows the trees' own training cells (path-dependent TreeSHAP). With two states the
    calibration's slope is included, so rows add up to the calibrated log-odds; with three they stay uncalibrated.
    """
    if not len(matrix):
        return np.empty(matrix.shape)
    explainer = import_extra("shap", "explain").TreeExplainer
    values = [np.asarray(explainer(_for_shap(model, k)).shap_values(matrix)) for k in range(len(model.baseline))]
    # Platt's sigmoid is 1 / (1 + exp(a f + b))
    return -model.sigmoid[0, 0] * values[0] if len(values) == 1 else values[1] - values[0]


def _for_shap(model: TreeModel, decision: int) -> dict:
    """The trees of one decision as shap's TreeExplainer takes them; -1 stands for no child."""
    trees = []
    for root, stop in list(zip(model.start[:-1], model.start[1:]))[decision :: len(model.baseline)]:
        left, right = (side[root:stop] - root for side in (model.left, model.right))
        leaf = left == np.arange(len(left))
        missing = np.where(model.missing_left[root:stop] == 1, left, right)
        trees.append(
            {
                "children_left": np.where(leaf, -1, left),
                "children_right": np.where(leaf, -1, right),
                "children_default": np.where(leaf, -1, missing),
                "features": np.where(leaf, -2, model.feature[root:stop]),
                "thresholds": model.threshold[root:stop],
                "values": model.value[root:stop, None],
                "node_sample_weight": model.count[root:stop],
            }
        )
    return {"trees": trees, "base_offset": model.baseline[decision], "tree_output": "log_odds", "input_dtype": float}


EXPLANATIONS = {"occlusion": occlusion, "shapley": shapley}


class _Boosted(HistGradientBoostingClassifier):
    """Trees that learn nothing from a column without a value, as there is in folds; scikit-learn 1.9 fails on one.

    `sample_weight`, which :class:`CalibratedClassifierCV` hands on, is the sigmoid's alone: states weigh the same by
    ``class_weight`` in whatever cells the trees are fitted on. Weighed twice, the rarer one would be favoured, which
    in cross-validation is that of the unit left out.
    """

    def fit(self, X: np.ndarray, y: np.ndarray, sample_weight: np.ndarray | None = None) -> "_Boosted":
        return super().fit(np.where(np.isnan(X).all(axis=0), 0.0, X), y)


def fit_sklearn(used: pd.DataFrame, settings: ClassifySettings) -> CalibratedClassifierCV:
    """scikit-learn's own model of `used` (features, ``truth`` and units); states are numbered as in the settings."""
    boosted = _Boosted(
        max_iter=settings.trees,
        max_depth=settings.depth,
        learning_rate=settings.learning_rate,
        min_samples_leaf=settings.min_leaf,
        early_stopping=False,
        class_weight="balanced",
        random_state=settings.seed,
    )
    folds = _calibration_folds(used, settings)
    model = CalibratedClassifierCV(boosted, method="sigmoid", cv=folds, ensemble=False)
    truth = used["truth"].map(settings.known.index).to_numpy()
    # the sigmoid sees each state as often as the other, as the trees do
    weight = (len(truth) / np.unique(truth).size / np.bincount(truth))[truth]
    # One thread: waiting for one another, threads take longer than these tables, and their sums differ from run to run
    with threadpool_limits(1, user_api="openmp"):
        return model.fit(numbers(used, settings.features), truth, sample_weight=weight)


def _fit(used: pd.DataFrame, settings: ClassifySettings) -> TreeModel:
    return from_sklearn(fit_sklearn(used, settings), settings, numbers(used, settings.features))


def _calibration_unit(used: pd.DataFrame, settings: ClassifySettings) -> Folds | None:
    try:
        return unit_folds(used, settings.folds)
    except InputError:
        return None


def _calibration_folds(used: pd.DataFrame, settings: ClassifySettings) -> list[tuple[np.ndarray, np.ndarray]]:
    """Units left out in turn; cells where some state is in one field only (said aloud by `train`; never judged so)."""
    folds = _calibration_unit(used, settings)
    if folds:
        return folds.rows
    fewest = int(used["truth"].value_counts().min())
    if fewest < 2 or used["truth"].nunique() < len(settings.known):
        raise InputError("A state has fewer than two cells to learn from with others left out: label more cells")
    cut = StratifiedKFold(min(3, fewest), shuffle=True, random_state=settings.seed)
    return list(cut.split(used["truth"], used["truth"]))


def _importance(model: TreeModel, unseen: pd.DataFrame, settings: ClassifySettings) -> np.ndarray:
    """(F, R) loss of accuracy, every state weighing the same, by R shufflings of each feature (Breiman 2001)."""
    sample = unseen.sample(min(len(unseen), 400), random_state=settings.seed)
    matrix, draw = model.matrix(sample), np.random.default_rng(settings.seed)
    truth = sample["truth"].map(model.states.index).to_numpy()

    def accuracy(cells: np.ndarray) -> float:
        called = model.probabilities(cells).argmax(axis=1)
        return float(np.mean([(called == truth)[truth == state].mean() for state in np.unique(truth)]))

    whole = accuracy(matrix)
    lost = np.empty((matrix.shape[1], _SHUFFLES))
    for (feature, repeat), _ in np.ndenumerate(lost):
        shuffled = matrix.copy()
        shuffled[:, feature] = draw.permutation(shuffled[:, feature])
        lost[feature, repeat] = whole - accuracy(shuffled)
    return lost
