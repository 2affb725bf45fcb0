"""Trees as plain arrays: scikit-learn's own answers, the same bytes, and files of strangers refused, never run."""

import json
import pickle
import subprocess
import sys
import zipfile
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file
from sklearn.ensemble import HistGradientBoostingClassifier

from cellular.autophagy.state.files import FORMAT, load_model, save_model
from cellular.autophagy.state.tree_model import (
    ARRAYS,
    ClassifySettings,
    TreeModel,
    numbers,
    predict,
    upright,
    warn_of_strangers,
)
from cellular.autophagy.state.trees import fit_sklearn, occlusion, shapley, train
from cellular.autophagy.state.words import ACTIVATED, BASAL, UNIDENTIFIED
from cellular.errors import CellularError, InputError, MissingInputError

SETTINGS = ClassifySettings(features=("tells", "idle", "gaps"), trees=12, min_leaf=5)


@pytest.fixture
def table(rng):
    """200 cells in four wells; `tells` tells, `gaps` often has no value."""
    activated, n = rng.random(200) < 0.4, 200
    truth = np.where(activated, ACTIVATED, BASAL).astype(object)
    truth[::5] = UNIDENTIFIED
    cells = {"field": "f", "label": np.arange(n), "well": np.repeat(list("ABCD"), 50), "truth": truth}
    tells = rng.normal(size=n) + 2 * activated
    gaps = np.where(rng.random(n) < 0.5, np.nan, rng.normal(size=n) + activated)
    idle = rng.normal(size=n) + 2 * (truth == UNIDENTIFIED)
    return pd.DataFrame(cells | {"tells": tells, "idle": idle, "gaps": gaps})


def stump(**changes):
    """One tree by hand: `a` at most 1, or missing, adds -2; more adds 3; on 0.5, calibrated by a = -1, b = 0."""
    arrays = {
        "start": np.array([0, 3], np.int32),
        "feature": np.zeros(3, np.int32),
        "threshold": np.array([1.0, 0, 0]),
        "missing_left": np.array([1, 0, 0], np.uint8),
        "left": np.array([1, 1, 2], np.int32),
        "right": np.array([2, 1, 2], np.int32),
        "value": np.array([0.0, -2, 3]),
        "count": np.array([10.0, 6, 4]),
        "usual": np.array([0.0]),
        "seen": np.array([[0.0, 2.0]]),
        "baseline": np.array([0.5]),
        "sigmoid": np.array([[-1.0, 0]]),
    }
    return TreeModel(ClassifySettings(features=("a",)), **(arrays | changes))


def test_a_tree_is_walked_as_by_hand():
    model = stump()
    told = predict(model, pd.DataFrame({"b": [9.0] * 4, "a": [1.0, 1.5, np.nan, 1e300]}, index=[5, 6, 7, 8]))
    low, high = 1 / (1 + np.exp(1.5)), 1 / (1 + np.exp(-3.5))
    np.testing.assert_allclose(told["probability_activated"], [low, high, low, high], rtol=1e-15)
    assert told["state"].tolist() == [BASAL, ACTIVATED, BASAL, ACTIVATED]
    assert told.index.tolist() == [5, 6, 7, 8]
    # beside the usual cell, a = 0, which goes left
    np.testing.assert_allclose(occlusion(model, np.array([[1.5], [0.5]])), [[high - low], [0]], rtol=1e-14)


def test_shapley_of_one_tree_by_hand():
    pytest.importorskip("shap")
    # the mean over the training cells is (6 * -2 + 4 * 3) / 10 = 0
    np.testing.assert_allclose(shapley(stump(), np.array([[0.0], [2.0], [np.nan]])), [[-2], [3], [-2]], atol=1e-6)


@pytest.mark.parametrize("unidentified", ["unlabelled", "class"])
def test_probabilities_are_those_of_scikit_learn(table, tmp_path, unidentified):
    settings = replace(SETTINGS, unidentified=unidentified)
    used = table if unidentified == "class" else table[table["truth"] != UNIDENTIFIED].reset_index(drop=True)
    loaded = load_model(save_model(tmp_path / "model.safetensors", train(table, settings)))
    matrix = loaded.matrix(table)
    expected = fit_sklearn(used, settings).predict_proba(matrix)
    np.testing.assert_array_equal(loaded.probabilities(matrix), expected)
    assert loaded.settings == settings


def test_shapley_values_are_those_of_scikit_learns_trees(table):
    shap = pytest.importorskip("shap")
    settings = replace(SETTINGS, unidentified="class")
    model, matrix = train(table, settings), table[list(SETTINGS.features)].to_numpy()
    boosted = fit_sklearn(table, settings).calibrated_classifiers_[0].estimator
    assert isinstance(boosted, HistGradientBoostingClassifier)
    values = shap.TreeExplainer(boosted).shap_values(matrix)
    np.testing.assert_allclose(shapley(model, matrix), values[..., 1] - values[..., 0], atol=1e-9)


def test_the_same_seed_gives_the_same_file(table, tmp_path):
    for name in ("one", "two"):
        save_model(tmp_path / name, train(table, SETTINGS))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    command = (
        "import sys, pandas as pd; from cellular.autophagy.state.trees import train; "
        "from cellular.autophagy.state.files import save_model; from cellular.autophagy.state.tree_model import *; "
        "s = ClassifySettings(features=('tells', 'idle', 'gaps'), trees=12, min_leaf=5); "
        "save_model(sys.argv[2], train(pd.read_csv(sys.argv[1], float_precision='round_trip'), s))"
    )
    table.to_csv(tmp_path / "cells.csv", index=False)
    three = tmp_path / "three"
    subprocess.run([sys.executable, "-c", command, str(tmp_path / "cells.csv"), str(three)], check=True)
    assert three.read_bytes() == (tmp_path / "one").read_bytes()


def test_features_are_taken_by_name(table):
    model = train(table, SETTINGS)
    shuffled = table[["gaps", "label", "idle", "field", "tells"]]
    pd.testing.assert_frame_equal(predict(model, shuffled), predict(model, table))
    with pytest.raises(InputError, match="gaps"):
        predict(model, table.drop(columns="gaps"))


def test_a_skops_file_that_runs_a_command_is_refused(tmp_path):
    """The chain of attributes by which a former model reached the shell, under its own name and under the new one."""
    schema = {"__class__": "partial", "__module__": "functools", "__loader__": "MethodNode", "content": "os.system"}
    for name in ("model.skops", "MODEL.SKOPS", "model.safetensors"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("schema.json", json.dumps(schema))
        with pytest.raises(InputError, match="train again" if name.lower().endswith("skops") else "not a model"):
            load_model(tmp_path / name)


class _Touch:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


def test_strange_files_are_refused_and_not_run(tmp_path):
    with pytest.raises(MissingInputError, match="No such model"):
        load_model(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("hello")
    (tmp_path / "empty.safetensors").touch()
    (tmp_path / "pickle.safetensors").write_bytes(pickle.dumps(_Touch(tmp_path / "ran")))
    save_file({"a": np.zeros(2)}, tmp_path / "other.safetensors")
    save_file({"a": np.zeros(2)}, tmp_path / "list.safetensors", {"cellular": "[1]"})
    save_file({"a": np.zeros(2)}, tmp_path / "deep.safetensors", {"cellular": "[" * 100_000})
    save_file({"a": np.zeros(2)}, tmp_path / "crops.safetensors", {"cellular": '{"format": "cellular-crops-1"}'})
    for name in ("text", "empty", "pickle", "other", "list", "deep", "crops"):
        with pytest.raises(InputError, match=r"not (a model|trees) of cellular classify"):
            load_model(tmp_path / f"{name}.safetensors")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"left": np.array([0, 1, 2], np.int32)}, "leads out"),
        ({"left": np.array([2, 1, 2], np.int32)}, "no parent, or two"),
        ({"right": np.array([3, 1, 2], np.int32)}, "leads out"),
        ({"left": np.array([1, 0, 2], np.int32)}, "leads out"),
        ({"left": np.array([-1, 1, 2], np.int32)}, "leads out"),
        ({"feature": np.array([1, 0, 0], np.int32)}, "outside the 1 features"),
        ({"feature": np.array([-1, 0, 0], np.int32)}, "outside the 1 features"),
        ({"threshold": np.array([np.nan, 0, 0])}, "not finite"),
        ({"value": np.array([0, np.inf, 0])}, "not finite"),
        ({"usual": np.array([-np.inf])}, "not finite"),
        ({"seen": np.zeros((2, 2))}, "seen is float64 of shape"),
        ({"usual": np.zeros(2)}, "usual is float64 of shape"),
        ({"value": np.zeros((3, 1))}, "value is float64 of shape"),
        ({"value": np.zeros(3, np.float32)}, "value is float32"),
        ({"baseline": np.zeros(2)}, "baseline is float64 of shape"),
        ({"missing_left": np.array([2, 0, 0], np.uint8)}, "missing_left"),
        ({"count": np.array([10.0, -6, 4])}, "below 0"),
        ({"start": np.array([0, 2], np.int32)}, "start does not cut"),
        ({"start": np.array([0, 2, 1, 3], np.int32)}, "start does not cut"),
        ({"start": np.array(3, np.int32)}, "start does not cut"),
        ({"settings": ClassifySettings(features=("a",), unidentified="class")}, "baseline|share out"),
    ],
)
def test_arrays_that_are_no_trees_are_refused(tmp_path, changes, said):
    path = save_model(tmp_path / "good.safetensors", stump())
    assert load_model(path).settings == stump().settings
    path = save_model(tmp_path / "bad.safetensors", replace(stump(), **changes))
    with pytest.raises(InputError, match=said):
        load_model(path)


@pytest.mark.parametrize(
    "settings",
    [
        {"features": ["a", "a"]},
        {"features": [1]},
        {"features": "a"},
        {"features": None},
        {"features": ["a"], "trees": "many"},
        {"features": ["a"], "depth": 1e9},
        {"features": ["a"], "seed": True},
        {"features": ["a"], "learning_rate": "fast"},
        {"features": ["a"], "colour": 1},
        {"features": ["a"], "unidentified": ["class"]},
        {"features": ["a"], "states": ["basal"]},
        {"features": ["a"], "states": ["basal", "Unidentified"]},
        {"features": ["a"], "states": "no"},
        {"features": ["a"], "folds": 0},
        [],
    ],
)
def test_settings_in_a_file_are_checked(tmp_path, settings):
    arrays = {name: getattr(stump(), name) for name in ARRAYS}
    about = {"format": FORMAT, "settings": settings}
    save_file(arrays, tmp_path / "m.safetensors", {"cellular": json.dumps(about)})
    with pytest.raises(InputError, match="not a model"):
        load_model(tmp_path / "m.safetensors")


def test_mutated_files_raise_only_our_errors(table, tmp_path, rng):
    """Seeded: bytes flipped, cut, and swapped anywhere; what still loads still predicts probabilities."""
    whole = save_model(tmp_path / "whole.safetensors", train(table, replace(SETTINGS, trees=3))).read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    path, refused = tmp_path / "mutated.safetensors", 0
    for round_of in range(300):
        content = bytearray(whole)
        end = header if round_of % 2 else len(whole)
        for place in rng.integers(0, end, rng.integers(1, 6)):
            content[place] = rng.integers(0, 256)
        path.write_bytes(content[: rng.integers(1, end)] if round_of % 10 == 0 else content)
        try:
            model = load_model(path)
        except CellularError:
            refused += 1
            continue
        cells = table.reindex(columns=[*table.columns, *model.settings.features]).loc[
            :, lambda t: ~t.columns.duplicated()
        ]
        assert not np.isnan(predict(model, cells)["probability_activated"]).any()
    assert refused > 150


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["True", "False"], "holds True"),
        ([True, False], "holds True"),
        ([1.0, "much"], "holds much"),
        ([1.0, np.inf], "holds inf"),
        ([1.0, True], "holds True"),
    ],
)
def test_what_is_no_measurement_is_refused(values, said):
    with pytest.raises(InputError, match=f"Column a {said}"):
        numbers(pd.DataFrame({"a": values}), ("a",))


def test_calibration_never_turns_the_order_over():
    assert upright(-0.7, 0.2) == (-0.7, 0.2)
    assert upright(0.7, 0.2) == upright(0.0, 0.2) == (-1, 0)


def test_numbers_in_any_type_are_numbers():
    table = pd.DataFrame({"a": pd.array([1, None], "Int64"), "b": ["2", None], "c": [1, 2]})
    np.testing.assert_array_equal(numbers(table, ("b", "a")), [[2, 1], [np.nan, np.nan]])
    assert numbers(table.iloc[:0], ("a", "b")).shape == (0, 2)


def test_cells_unlike_those_trained_on_are_warned_of(caplog):
    warn_of_strangers(stump(), pd.DataFrame({"a": [0.0, 1, 9]}))
    warn_of_strangers(stump(), pd.DataFrame({"a": []}))
    assert not caplog.messages
    warn_of_strangers(stump(), pd.DataFrame({"a": [0.0, 8, 9]}))
    assert "a: most cells lie outside" in caplog.text
    warn_of_strangers(stump(), pd.DataFrame({"a": [np.nan, np.nan]}))
    assert "no cell has a value in a" in caplog.text
