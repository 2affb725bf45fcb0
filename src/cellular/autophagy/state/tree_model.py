"""Trees that tell a cell's state from its measurements: settings, the trained model as plain arrays, prediction."""

from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.calibration import CalibratedClassifierCV

from cellular.autophagy.measure.columns import CELLS
from cellular.autophagy.state.unseen import known_states, require_columns
from cellular.errors import SettingsError

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
        if len(set(self.features)) < len(self.features) or not all(isinstance(n, str) and n for n in self.features):
            raise SettingsError(f"features are {list(self.features)}; give names of columns, each once")
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                raise SettingsError(f"{name} is {value!r}; give a whole number from {low} to {high}")
        if isinstance(self.learning_rate, bool) or not isinstance(self.learning_rate, (int, float)):
            raise SettingsError(f"learning_rate is {self.learning_rate!r}; give a number above 0 and at most 1")
        if not 0 < self.learning_rate <= 1:
            raise SettingsError(f"learning_rate is {self.learning_rate}; give a number above 0 and at most 1")


_RANGES = (
    ("trees", 1, 10_000),
    ("depth", 1, 32),
    ("min_leaf", 1, 1_000_000),
    ("folds", 2, 1000),
    ("seed", 0, 2**32 - 1),
)


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
    baseline: np.ndarray
    sigmoid: np.ndarray

    @property
    def states(self) -> list[str]:
        """What the columns of :meth:`probabilities` stand for, in order."""
        return known_states(self.settings.unidentified)

    @cached_property
    def _depths(self) -> list[int]:
        spans = zip(self.start[:-1], self.start[1:])
        return [depth_of(self.left[root:stop] - root, self.right[root:stop] - root) for root, stop in spans]

    def matrix(self, table: pd.DataFrame) -> np.ndarray:
        """(N, F) float64: the model's features of `table`, by name; InputError where one is missing."""
        require_columns(table, self.settings.features)
        return table[list(self.settings.features)].to_numpy(np.float64)

    def decisions(self, matrix: np.ndarray) -> np.ndarray:
        """(N, C) log-odds of cells (N, F), not calibrated."""
        rows = np.arange(len(matrix))
        result = np.tile(self.baseline, (len(matrix), 1))
        for tree, (root, depth) in enumerate(zip(self.start, self._depths)):
            at = np.full(len(matrix), root)
            for _ in range(depth):
                asked = matrix[rows, self.feature[at]]
                left = np.where(np.isnan(asked), self.missing_left[at] == 1, asked <= self.threshold[at])
                at = np.where(left, self.left[at], self.right[at])
            result[:, tree % len(self.baseline)] += self.value[at]
        return result

    def probabilities(self, matrix: np.ndarray) -> np.ndarray:
        """(N, S) calibrated probability of each state, as scikit-learn's CalibratedClassifierCV gives it."""
        told = expit(-(self.sigmoid[:, 0] * self.decisions(matrix) + self.sigmoid[:, 1]))
        if len(self.baseline) == 1:
            return np.column_stack([1 - told[:, 0], told[:, 0]])
        total = told.sum(axis=1, keepdims=True)
        return np.divide(told, total, out=np.full_like(told, 1 / told.shape[1]), where=total != 0)

    def probability_positive(self, matrix: np.ndarray) -> np.ndarray:
        """(N,) probability of activated among basal and activated; one half where neither is possible."""
        told = self.probabilities(matrix)[:, :2]
        total = told.sum(axis=1)
        return np.divide(told[:, 1], total, out=np.full(len(told), 0.5), where=total > 0)


def depth_of(left: np.ndarray, right: np.ndarray) -> int:
    """Steps from the root (node 0) to the deepest leaf of one tree; children have higher numbers than their parent."""
    depth = np.zeros(len(left), np.int64)
    for node in range(len(left)):
        if left[node] != node:
            depth[[left[node], right[node]]] = depth[node] + 1
    return int(depth.max())


def from_sklearn(fitted: CalibratedClassifierCV, settings: ClassifySettings, usual: np.ndarray) -> TreeModel:
    """The arrays of one calibrated HistGradientBoostingClassifier, fitted on states numbered as in `known_states`;
    `usual` are the medians of the training cells.
    """
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
        "usual": usual,
        "baseline": np.ravel(boosted._baseline_prediction),
        "sigmoid": np.array([[each.a_, each.b_] for each in calibrated.calibrators]),
    }
    return TreeModel(settings, **{name: np.ascontiguousarray(v.astype(DTYPES[name])) for name, v in arrays.items()})


DTYPES = {
    **dict.fromkeys(("start", "feature", "left", "right"), np.dtype(np.int32)),
    "missing_left": np.dtype(np.uint8),
    **dict.fromkeys(("threshold", "value", "count", "usual", "baseline", "sigmoid"), np.dtype(np.float64)),
}
ARRAYS = tuple(field.name for field in fields(TreeModel) if field.name != "settings")


def predict(model: TreeModel, table: pd.DataFrame) -> pd.DataFrame:
    """``state`` and ``probability_activated`` of every row of `table`, in its index.

    With Unidentified as a class, the probability is that of activated among basal and activated.
    """
    matrix = model.matrix(table)
    state = np.array(model.states, object)[model.probabilities(matrix).argmax(axis=1)]
    return pd.DataFrame({"state": state, "probability_activated": model.probability_positive(matrix)}, table.index)
