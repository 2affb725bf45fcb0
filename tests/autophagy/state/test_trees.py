"""State from features, judged by wells."""

import numpy as np
import pandas as pd
import pytest

from cellular.autophagy.state.tree_model import ClassifySettings, predict
from cellular.autophagy.state.trees import explain, shapley, train, validate
from cellular.autophagy.state.unseen import ACTIVATED, BASAL, UNIDENTIFIED, well_folds
from cellular.errors import InputError, SettingsError

QUICK = {"features": ("tells", "idle"), "trees": 15, "min_leaf": 5}


def cells(rng, shift=2.5, wells=("A", "B", "C", "D"), each=60):
    """`tells` is higher by `shift` in activated cells; `idle` is noise. Every tenth is Unidentified."""
    n = each * len(wells)
    activated = rng.random(n) < 0.5
    truth = np.where(activated, ACTIVATED, BASAL).astype(object)
    truth[::10] = UNIDENTIFIED
    table = {"field": "f", "label": np.arange(n), "well": np.repeat(wells, each), "truth": truth}
    return pd.DataFrame(table | {"tells": rng.normal(size=n) + shift * activated, "idle": rng.normal(size=n)})


def test_unseen_wells_are_told_apart(rng):
    result = validate(cells(rng, shift=4), ClassifySettings(**QUICK))
    assert result.balanced_accuracy > 0.9
    assert result.importance["feature"].iloc[0] == "tells"
    assert result.confusion.to_numpy().sum() == 216
    assert result.confusion_all.loc[UNIDENTIFIED].sum() == 24
    assert set(result.wells["well"]) == {"A", "B", "C", "D"}
    assert len(result.cells) == 240


@pytest.mark.parametrize("wells", [3, 4, 9])
def test_wells_are_left_out_whole(rng, wells):
    table = cells(rng, wells=[f"W{i}" for i in range(wells)], each=20)
    tested = []
    for fit_rows, test_rows in well_folds(table, 6):
        assert not set(table["well"].iloc[fit_rows]) & set(table["well"].iloc[test_rows])
        tested += list(test_rows)
    assert sorted(tested) == list(range(len(table)))


def test_probabilities_are_calibrated(rng):
    result = validate(cells(rng, shift=1.2, each=300), ClassifySettings(**QUICK))
    sure = result.calibration[result.calibration["cells"] > 60]
    assert np.abs(sure["predicted"] - sure["observed"]).max() < 0.15


def test_unidentified_as_a_class(rng):
    settings = ClassifySettings(**QUICK, unidentified="class")
    table = cells(rng, each=100)
    table.loc[table["truth"] == UNIDENTIFIED, "idle"] += 8
    result = validate(table, settings)
    assert result.confusion.shape == (3, 3)
    assert result.confusion.loc[UNIDENTIFIED, UNIDENTIFIED] > 30
    assert result.cells["probability_activated"].between(0, 1).all()


def test_explanations_name_the_feature_that_decides(rng):
    table, settings = cells(rng, shift=6), ClassifySettings(**QUICK)
    told = explain(train(table, settings), table.head(20), top=1)
    assert (told["feature"] == "tells").mean() > 0.9
    activated = predict(train(table, settings), table.head(20))["probability_activated"].to_numpy() > 0.5
    # with the median on the side of the larger state, occluding its cells changes nothing
    assert (told["effect"][activated] >= 0).all()
    assert (told["effect"][~activated] <= 0).all()
    assert told["effect"].abs().max() > 0.5


def test_shapley_values_add_up_to_the_log_odds(rng):
    pytest.importorskip("shap")
    table, settings = cells(rng), ClassifySettings(**QUICK)
    table.loc[::7, "idle"] = np.nan
    model = train(table, settings)
    effects, probability = shapley(model, model.matrix(table)), predict(model, table)
    activated = probability["probability_activated"].to_numpy()
    rest = np.log(activated / (1 - activated)) - effects.sum(axis=1)
    assert np.ptp(rest) < 1e-6
    told = explain(model, table, top=2, method="shapley")
    assert set(told["method"]) == {"shapley"}
    assert (told.query("rank == 1")["feature"] == "tells").mean() > 0.8
    with pytest.raises(SettingsError, match="occlusion or shapley"):
        explain(model, table, method="guess")


def test_what_cannot_be_learned_is_said(rng):
    settings, table = ClassifySettings(**QUICK), cells(rng)
    with pytest.raises(InputError, match="lacks column"):
        train(table.drop(columns="idle"), settings)
    with pytest.raises(InputError, match="at least 3"):
        train(table.assign(well=np.where(table["well"] == "A", "A", "B")), settings)
    with pytest.raises(InputError, match="labelled basal"):
        train(table[table["truth"] != BASAL], settings)
    with pytest.raises(InputError, match="known:"):
        train(table.assign(truth="happy"), settings)
    with pytest.raises(SettingsError, match="unidentified"):
        ClassifySettings(unidentified="maybe")
