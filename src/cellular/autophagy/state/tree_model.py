"""Trees that tell a cell's state from its measurements: settings, the trained model as plain arrays, prediction."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype
from scipy.special import expit
from sklearn.calibration import CalibratedClassifierCV

from cellular.autophagy.measure.columns import CELLS
from cellular.autophagy.state.unseen import StateSettings, require_columns, require_whole
from cellular.errors import InputError, SettingsError
from cellular.jit import njit

logger = logging.getLogger(__name__)

# Where a cell is, and how it lies, says nothing about its state.
FEATURES = tuple(
    n for n in CELLS if n not in ("field", "label", "y", "x", "orientation", "touches_border", "saturated")
)


@dataclass(frozen=True)
class ClassifySettings(StateSettings):
    """How trees are trained.

    Attributes
    ----------
    states, unidentified, folds, seed : as in :class:`StateSettings`.
    features : columns they may use.
    trees, depth, learning_rate, min_leaf : of the gradient boosting (min_leaf in cells).
    """

    features: tuple[str, ...] = FEATURES
    trees: int = 120
    depth: int = 4
    learning_rate: float = 0.06
    min_leaf: int = 15

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.features:
            raise SettingsError("no features to classify by")
        if len(set(self.features)) < len(self.features) or not all(isinstance(n, str) and n for n in self.features):
            raise SettingsError(f"features are {list(self.features)}; give names of columns, each once")
        require_whole(self, trees=(1, 10_000), depth=(1, 32), min_leaf=(1, 1_000_000))
        rate = self.learning_rate
        if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 < rate <= 1:
            raise SettingsError(f"learning_rate is {rate!r}; give a number above 0 and at most 1")


@dataclass(frozen=True, eq=False)
class TreeModel:
    """Trained trees with what is needed to use them; S states, C = 1 decision for two states, else C = S.

    Attributes
    ----------
    start : (T + 1,) int32: tree t is the nodes ``start[t]`` to ``start[t + 1]``, its root first; trees of the C
        decisions take turns.
    feature : (M,) int32, the column that a node asks for; 0 at leaves.
    threshold : (M,) float64; a cell with at most this value goes left.
    missing_left : (M,) uint8, 1 where cells without a value go left.
    left, right : (M,) int32, the next node; a leaf's is itself.
    value : (M,) float64, what a leaf adds to its decision.
    count : (M,) float64, training cells that came by.
    usual : (F,) float64, median of each feature in the training cells; NaN for one without a number.
    seen : (F, 2) float64, their lowest and highest value.
    baseline : (C,) float64, decision before any tree.
    sigmoid : (C, 2) float64, a and b of Platt's calibration: probability 1 / (1 + exp(a decision + b)).
    """

    settings: ClassifySettings
    start: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    missing_left: np.ndarray
    left: np.ndarray
    right: np.ndarray
    value: np.ndarray
    count: np.ndarray
    usual: np.ndarray
    seen: np.ndarray
    baseline: np.ndarray
    sigmoid: np.ndarray

    @property
    def states(self) -> list[str]:
        """What the columns of :meth:`probabilities` stand for, in order."""
        return self.settings.known

    def matrix(self, table: pd.DataFrame) -> np.ndarray:
        """(N, F) float64: the model's features of `table`, by name; as :func:`numbers`."""
        return numbers(table, self.settings.features)

    def decisions(self, matrix: np.ndarray) -> np.ndarray:
        """(N, C) log-odds of cells (N, F), not calibrated."""
        result = np.tile(self.baseline, (len(matrix), 1))
        nodes = (self.feature, self.threshold, self.missing_left, self.left, self.right, self.value)
        _walk(np.ascontiguousarray(matrix), self.start, *nodes, result)
        return result

    def probabilities(self, matrix: np.ndarray) -> np.ndarray:
        """(N, S) calibrated probability of each state, as scikit-learn's CalibratedClassifierCV gives it."""
        told = expit(-(self.sigmoid[:, 0] * self.decisions(matrix) + self.sigmoid[:, 1]))
        if len(self.baseline) == 1:
            return np.column_stack([1 - told[:, 0], told[:, 0]])
        total = told.sum(axis=1, keepdims=True)
        return np.divide(told, total, out=np.full_like(told, 1 / told.shape[1]), where=total != 0)

    def probability_positive(self, matrix: np.ndarray) -> np.ndarray:
        """(N,) probability of the positive state among the two; one half where neither is possible."""
        told = self.probabilities(matrix)[:, :2]
        total = told.sum(axis=1)
        return np.divide(told[:, 1], total, out=np.full(len(told), 0.5), where=total > 0)


@njit
def _walk(
    matrix: np.ndarray,
    start: np.ndarray,
    feature: np.ndarray,
    threshold: np.ndarray,
    missing_left: np.ndarray,
    left: np.ndarray,
    right: np.ndarray,
    value: np.ndarray,
    result: np.ndarray,
) -> None:
    """Add the leaves that cells `matrix` (N, F) come to in every tree to `result` (N, C), tree by tree."""
    for cell in range(len(matrix)):
        for tree in range(len(start) - 1):
            node = start[tree]
            while left[node] != node:
                asked = matrix[cell, feature[node]]
                if missing_left[node] == 1 if np.isnan(asked) else asked <= threshold[node]:
                    node = left[node]
                else:
                    node = right[node]
            result[cell, tree % result.shape[1]] += value[node]


def from_sklearn(fitted: CalibratedClassifierCV, settings: ClassifySettings, matrix: np.ndarray) -> TreeModel:
    """The arrays of one calibrated HistGradientBoostingClassifier, fitted on cells `matrix` (N, F).

    Its states are numbered as in the settings.
    """
    columns = pd.DataFrame(matrix)
    calibrated = fitted.calibrated_classifiers_[0]
    boosted = calibrated.estimator
    trees = [tree.nodes for round_of in boosted._predictors for tree in round_of]
    start = np.cumsum([0, *map(len, trees)])
    nodes = np.concatenate(trees)
    own, root = np.arange(len(nodes)), np.repeat(start[:-1], [len(tree) for tree in trees])
    leaf = nodes["is_leaf"] == 1
    arrays = {
        "start": start,
        "feature": np.where(leaf, 0, nodes["feature_idx"]),
        "threshold": np.where(leaf, 0, nodes["num_threshold"]),
        "missing_left": nodes["missing_go_to_left"],
        "left": np.where(leaf, own, nodes["left"] + root),
        "right": np.where(leaf, own, nodes["right"] + root),
        "value": nodes["value"],
        "count": nodes["count"],
        "usual": columns.median().to_numpy(),
        "seen": columns.agg(["min", "max"]).to_numpy().T,
        "baseline": np.ravel(boosted._baseline_prediction),
        "sigmoid": np.array([upright(each.a_, each.b_) for each in calibrated.calibrators]),
    }
    return TreeModel(settings, **{name: np.ascontiguousarray(v.astype(DTYPES[name])) for name, v in arrays.items()})


def upright(a: float, b: float) -> tuple[float, float]:
    """Platt's a and b, those of the log-odds themselves (-1, 0) where they would turn the order of the cells over.

    That fits best where units left out look like the other state. It is no knowledge of cells: turned over, such trees
    would score well on these units by the way they were left out, and fail on others.
    """
    return (a, b) if a < 0 else (-1.0, 0.0)


DTYPES = {
    **dict.fromkeys(("start", "feature", "left", "right"), np.dtype(np.int32)),
    "missing_left": np.dtype(np.uint8),
    **dict.fromkeys(("threshold", "value", "count", "usual", "seen", "baseline", "sigmoid"), np.dtype(np.float64)),
}
ARRAYS = tuple(field.name for field in fields(TreeModel) if field.name != "settings")


def numbers(table: pd.DataFrame, features: Sequence[str]) -> np.ndarray:
    """(N, F) float64 of columns `features`, NaN where empty.

    Raises InputError for a column that is missing, and for one that holds text, truth values or infinity.
    """
    require_columns(table, features)
    matrix = np.empty((len(table), len(features)))
    for column, name in enumerate(features):
        values = table[name]
        plain = pd.to_numeric(values, errors="coerce").astype(float)
        truths = values.map(type).isin((bool, np.bool_)) if values.dtype == object else is_bool_dtype(values)
        wrong = (plain.isna() & values.notna()) | np.isinf(plain) | truths
        if wrong.any():
            raise InputError(f"Column {name} holds {values[wrong].iloc[0]}, which is no measurement; give numbers")
        matrix[:, column] = plain
    return matrix


def predict(model: TreeModel, table: pd.DataFrame) -> pd.DataFrame:
    """``state`` and ``probability_<positive>`` of every row of `table`, in its index.

    With Unidentified as a class, the probability is that of the positive state among the two.
    """
    matrix = model.matrix(table)
    state = np.array(model.states, object)[model.probabilities(matrix).argmax(axis=1)]
    return pd.DataFrame({"state": state, model.settings.probability: model.probability_positive(matrix)}, table.index)


def warn_of_strangers(model: TreeModel, table: pd.DataFrame) -> None:
    """Warn of features of `table` without a value, and of those mostly outside the range of the training cells."""
    if table.empty:
        return
    matrix = model.matrix(table)
    names, empty = np.array(model.settings.features, object), np.isnan(matrix).all(axis=0)
    gone = empty & ~np.isnan(model.usual)
    if gone.any():
        logger.warning("no cell has a value in %s, which the model was trained on", ", ".join(names[gone]))
    low, high = model.seen.T
    outside = ((matrix < low) | (matrix > high)).sum(axis=0) > 0.5 * (~np.isnan(matrix)).sum(axis=0)
    if outside.any():
        logger.warning(
            "%s: most cells lie outside the range of the training cells; another unit, exposure or kind of image? "
            "Their states are not to be relied on",
            ", ".join(names[outside]),
        )
