"""State from features, judged by wells."""

import numpy as np
import pandas as pd
import pytest

from cellular.autophagy.state.tree_model import ClassifySettings, predict
from cellular.autophagy.state.trees import explain, shapley, train, validate
from cellular.autophagy.state.truth import add_truth
from cellular.autophagy.state.unseen import unit_folds
from cellular.autophagy.state.words import ACTIVATED, BASAL, UNIDENTIFIED
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
    assert result.unit == "well"
    assert set(result.left_out["left_out"]) == {"A", "B", "C", "D"}
    assert len(result.cells) == 240


@pytest.mark.parametrize("wells", [3, 4, 9])
def test_wells_are_left_out_whole(rng, wells):
    table = cells(rng, wells=[f"W{i}" for i in range(wells)], each=20)
    tested = []
    for fit_rows, test_rows in unit_folds(table, 6).rows:
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
    with pytest.raises(InputError, match="Nothing can be left out"):
        validate(table.assign(well="A"), settings)
    with pytest.raises(InputError, match="0 cell.* labelled basal"):
        train(table[table["truth"] != BASAL], settings)
    with pytest.raises(InputError, match="known:"):
        train(table.assign(truth="happy"), settings)
    with pytest.raises(SettingsError, match="unidentified"):
        ClassifySettings(unidentified="maybe")


def plated(rng, light):
    """Two dates of three plates of two wells, a state a well; `tells` is 2 higher in the activated, `light` of a plate.

    On one plate of two, cells of basal wells are brighter, on the other those of activated ones.
    """
    rows = []
    for date in ("d1", "d2"):
        for plate in range(3):
            brightness = light * rng.normal()
            for well, truth in (("A", BASAL), ("B", ACTIVATED)):
                names = {"date": date, "plate": f"{date}-{plate}", "well": f"{date}-{plate}/{well}", "truth": truth}
                for _ in range(25):
                    tells = 2 * (truth == ACTIVATED) + rng.normal()
                    rows.append(names | {"tells": tells, "idle": brightness + 0.1 * rng.normal()})
    table = pd.DataFrame(rows)
    return table.assign(field=table["well"], label=range(len(table)))


def test_the_highest_unit_that_varies_is_left_out(rng):
    table = plated(rng, 1)
    assert unit_folds(table, 6).unit == "date"
    assert unit_folds(table.assign(replicate=table["plate"]), 6).unit == "replicate"
    one = table[table["date"] == "d1"]
    assert unit_folds(one, 6).unit == "plate"
    assert unit_folds(one.assign(plate=None), 6).unit == "well"
    fields = unit_folds(one.assign(plate="p", well=None), 6)
    assert fields.unit == "field"
    assert "too good" in fields.remarks[0]
    # not known of every cell: no unit
    assert unit_folds(one.assign(plate=one["plate"].where(one.index != one.index[0])), 6).unit == "well"
    # a state on one date only cannot be learned when that is left out
    apart = unit_folds(table[(table["date"] == "d1") | (table["truth"] == BASAL)], 6)
    assert apart.unit == "plate"
    assert "activated cells are of one date only" in apart.remarks[0]


def test_a_film_is_judged_on_cells_that_were_never_learned(rng):
    """Features are each cell's own chance number, the same at five times: no state can be told from them."""
    names = [f"220518-ST_{well}_s{site}" for well in ("C05", "I05") for site in range(1, 5)]
    own = pd.DataFrame({"place": np.repeat(names, 20), "label": np.tile(np.arange(1, 21), 8)})
    own = own.assign(tells=rng.normal(size=len(own)), idle=rng.normal(size=len(own)))
    film = pd.concat([own.assign(field=f"Timepoint_00{time}_" + own["place"]) for time in range(1, 6)])
    table = add_truth(film, None)
    result = validate(table, ClassifySettings(**QUICK | {"min_leaf": 3}))
    assert result.unit == "position"
    assert "too good" in result.remarks[1]
    assert result.balanced_accuracy < 0.65
    for learned, judged in unit_folds(table.reset_index(drop=True), 6).rows:
        assert not set(table["place"].iloc[learned]) & set(table["place"].iloc[judged])
    with pytest.raises(InputError, match="two positions"):
        validate(add_truth(film[film["place"].isin(names[1:5])], None), ClassifySettings(**QUICK))


def test_every_fold_has_every_state_to_learn_from(rng):
    table = plated(rng, 1)
    # six of twelve wells are activated; three groups by size can hold all of a state
    lone = table[(table["truth"] == BASAL) | table["well"].isin(["d1-0/B", "d1-1/B"])].assign(date="d", plate="p")
    for folds in (2, 3, 6):
        for rows, _ in unit_folds(lone, folds).rows:
            assert lone["truth"].iloc[rows].nunique() == 2


def test_below_chance_is_said(rng):
    table = plated(rng, 30).assign(date="d")
    # plates differ far more than states do, and hold a well of each: the left-out well looks like its neighbour
    wells = validate(table.assign(plate="p", tells=0.0), ClassifySettings(**QUICK))
    assert wells.unit == "well"
    assert wells.balanced_accuracy < 0.4
    assert "below chance (0.50)" in wells.remarks[0]
    plates = validate(table, ClassifySettings(**QUICK))
    assert plates.unit == "plate"
    assert plates.balanced_accuracy > 0.6
    assert plates.remarks == ()


def test_states_in_any_words(rng):
    words = {BASAL: "drug A", ACTIVATED: "control", UNIDENTIFIED: UNIDENTIFIED}
    table = cells(rng, shift=4)
    other = table.assign(truth=table["truth"].map(words))
    settings = ClassifySettings(**QUICK, states=("drug A", "control"))
    result, ours = validate(other, settings), validate(table, ClassifySettings(**QUICK))
    assert (result.auc, result.balanced_accuracy) == (ours.auc, ours.balanced_accuracy)
    told, same = predict(train(other, settings), other), predict(train(table, ClassifySettings(**QUICK)), table)
    np.testing.assert_array_equal(told["probability_control"], same["probability_activated"])
    assert (told["state"] == same["state"].map(words)).all()


def test_features_of_the_image_are_refused(rng):
    table = plated(rng, 1)
    table["background"] = table["well"].map({well: i for i, well in enumerate(table["well"].unique())})
    for name in ("background", "date", "label", "dose"):
        settings = ClassifySettings(features=("tells", name))
        with pytest.raises(InputError, match=f"{name} is of the image or the well"):
            validate(table.assign(dose=rng.normal(size=len(table))), settings)


def test_constant_and_empty_columns_tell_nothing_and_break_nothing(rng, caplog):
    table = cells(rng, shift=4).assign(same=1.0, empty=np.nan)
    settings = ClassifySettings(features=("tells", "same", "empty"), trees=15, min_leaf=5)
    result = validate(table, settings).importance.set_index("feature")["importance"]
    assert result["same"] == result["empty"] == 0
    told = explain(train(table, settings), table.head(3), top=3)
    assert told.loc[told["feature"].isin(["same", "empty"]), "effect"].eq(0).all()
    assert "no labelled cell has a value in empty" in caplog.text


def test_a_column_that_one_well_alone_has_is_empty_where_that_well_is_left_out(rng):
    table = cells(rng, shift=4)
    table["once"] = table["idle"].where(table["well"] == "A")
    settings = ClassifySettings(features=("tells", "once"), trees=15, min_leaf=5)
    assert validate(table, settings).balanced_accuracy > 0.9
    # what trees were fitted on without a value of it, they do not ask for
    others = train(table[table["well"] != "A"], settings)
    told, without = (predict(others, table.assign(once=value)) for value in (table["idle"], np.nan))
    assert told.equals(without)


def test_a_table_without_rows_gives_one_without_rows(rng):
    table, settings = cells(rng), ClassifySettings(**QUICK)
    model = train(table, settings)
    assert list(predict(model, table.head(0))) == ["state", "probability_activated"]
    for method in ("occlusion", "shapley"):
        assert explain(model, table.head(0), method=method).shape == (0, 7)
    with pytest.raises(InputError, match="labelled basal"):
        validate(table.head(0), settings)


def one_state_a_well(rng, each):
    """Noise alone, three wells of each state: with one left out, its state is the rarer of those learned from."""
    wells = np.repeat(list("ABCDEF"), each)
    truth = np.where(wells < "D", BASAL, ACTIVATED)
    numbers = {"tells": rng.normal(size=wells.size), "idle": rng.normal(size=wells.size)}
    return pd.DataFrame({"field": wells, "label": np.arange(wells.size), "well": wells, "truth": truth, **numbers})


def test_noise_tells_no_state_of_a_well_left_out(rng):
    """States weighed twice (by class and by sample) made 0.7 of it, the rarer one being favoured."""
    settings = ClassifySettings(**QUICK)
    scores = [validate(one_state_a_well(rng, 20), settings) for _ in range(4)]
    assert np.mean([score.accuracy for score in scores]) < 0.55
    assert np.mean([score.auc for score in scores]) < 0.55


def test_cells_too_few_to_part_are_said_and_called_by_no_number(rng):
    found = validate(one_state_a_well(rng, 5), ClassifySettings(**QUICK | {"min_leaf": 15}))
    assert found.cells["probability_activated"].to_numpy() == pytest.approx(0.5, abs=1e-6)  # as 0.6 and 0.4 before
    assert "25 cells are learned from with a well left out" in found.remarks[0]
