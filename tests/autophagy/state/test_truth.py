"""The expert's words and the units of cells, from tables as people write them."""

import numpy as np
import pandas as pd
import pytest

from cellular.autophagy.state.truth import add_truth, checked_cells, two_states
from cellular.autophagy.state.words import ACTIVATED, BASAL, UNIDENTIFIED
from cellular.errors import CellularError, InputError, SettingsError

FIELDS = [
    f"Timepoint_001_{date}-{plate}_{well}_s1"
    for date, plate, well in (("220518", "ST", "C03"), ("220519", "ST", "I04"))
]


def table(**columns):
    return pd.DataFrame({"field": FIELDS, "label": [1, 2]} | columns)


def test_words_of_the_dataset_are_states():
    truth = table(**{"class": [" Fed", "UNFED"]})
    assert add_truth(table(), truth)["truth"].tolist() == [BASAL, ACTIVATED]
    assert add_truth(table(), table(**{"class": ["unidentified", "starved"]}))["truth"].tolist() == [
        UNIDENTIFIED,
        ACTIVATED,
    ]
    assert add_truth(table(), None)["truth"].tolist() == [BASAL, ACTIVATED]


def test_other_words_are_kept():
    assert add_truth(table(), table(state=["Torin 1", " "]))["truth"].dropna().to_dict() == {0: "Torin 1"}
    assert add_truth(table(), table(state=[0, 1]))["truth"].tolist() == ["0", "1"]
    assert add_truth(table(), table(state=[1.0, None]))["truth"].dropna().to_dict() == {0: "1"}
    assert add_truth(table(), table(state=[True, False]))["truth"].tolist() == ["True", "False"]


def test_cells_are_met_by_field_and_label_in_any_order():
    truth = table(**{"class": ["fed", "unfed"]}).iloc[::-1]
    assert add_truth(table(label=["1", 2.0]).set_index(pd.Index([7, 9])), truth)["truth"].to_dict() == {
        7: BASAL,
        9: ACTIVATED,
    }


def test_units_are_told_apart_by_what_is_above_them():
    found = add_truth(table(), table(**{"class": ["fed", "unfed"]}))
    assert found["date"].tolist() == ["220518", "220519"]
    assert found["plate"].tolist() == ["220518-ST", "220519-ST"]
    assert found["well"].tolist() == ["220518-ST/C03", "220519-ST/I04"]
    assert found["replicate"].isna().all()
    # columns of the table go before names; the same plate and well of two replicates are two
    own = add_truth(table(replicate=[1, 2], date="d", plate="p", well="A01"), table(**{"class": ["fed", "unfed"]}))
    assert own["well"].tolist() == ["1-d-p/A01", "2-d-p/A01"]
    odd = pd.DataFrame({"field": ["a", "b"], "label": [1, 1]})
    named = add_truth(odd, odd.assign(state=["x", "y"], well=["A01", None]))
    assert named["well"].tolist() == ["A01", None]
    assert named["plate"].isna().all()
    dishes = add_truth(odd.assign(replicate=["1", "2"], sample="dish 1"), odd.assign(state=["x", "y"]))
    assert dishes["well"].tolist() == ["1/dish 1", "2/dish 1"]
    assert add_truth(odd.assign(well="A01", sample="x"), odd.assign(state=["x", "y"]))["well"].tolist() == ["A01"] * 2
    assert add_truth(odd, odd.assign(state=["x", "y"], date=["d", None], well="A01"))["well"].tolist() == [
        "d/A01",
        "A01",
    ]


def test_a_dish_and_a_plate_that_were_imaged_past_midnight_are_one_unit():
    """A film's cells must not be learned from and judged by, as those of one dish on two days would be."""
    rows = [(f"{dish}_t{time:03d}", f"24030{time}", time, dish) for dish in ("a", "b") for time in (1, 2)]
    cells = pd.DataFrame(rows, columns=["field", "date", "timepoint", "sample"]).assign(label=1)
    truth = cells.assign(state=["x", "x", "y", "y"])
    found = add_truth(cells, truth)
    assert found["well"].tolist() == ["240301/a"] * 2 + ["240301/b"] * 2
    assert found["date"].tolist() == ["240301"] * 4
    on_a_plate = add_truth(cells.assign(plate="P", well=cells["sample"], site=1), truth)
    assert on_a_plate["well"].tolist() == ["240301-P/a"] * 2 + ["240301-P/b"] * 2
    # another week's plate of the same name is another
    anew = add_truth(cells.assign(plate="P", well=cells["sample"], site=1, timepoint=1), truth)
    assert anew["well"].tolist() == ["240301-P/a", "240302-P/a", "240301-P/b", "240302-P/b"]


@pytest.mark.parametrize(
    ("words", "positive", "states"),
    [
        ([BASAL, ACTIVATED, UNIDENTIFIED, None], None, (BASAL, ACTIVATED)),
        ([BASAL, ACTIVATED], "fed", (ACTIVATED, BASAL)),
        (["yes", "no"], "yes", ("no", "yes")),
        (["yes", "no"], " no ", ("yes", "no")),
    ],
)
def test_two_states_the_positive_last(words, positive, states):
    assert two_states(pd.Series(words), positive) == states


@pytest.mark.parametrize(
    ("words", "positive", "said"),
    [
        (["a", "b"], None, "not named: give --positive"),
        (["a", "b"], "c", "'c' is none of them: give --positive"),
        (["a", "b", "c"], "a", "a, b, c: classify tells two apart"),
        (["a", UNIDENTIFIED], "a", "a: classify tells two apart"),
        ([UNIDENTIFIED], None, "not named: classify"),
    ],
)
def test_what_are_not_two_states_is_said(words, positive, said):
    with pytest.raises((InputError, SettingsError), match=said):
        two_states(pd.Series(words), positive)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"label": [1, "two"]}, "label 'two'"),
        ({"label": [1, 1.5]}, "label"),
        ({"label": [1, np.nan]}, "label 'nan'"),
        ({"label": [1, np.inf]}, "label 'inf'"),
        ({"label": [1, True]}, "label 'True'"),
        ({"label": ["True", "False"]}, "label 'True'"),
        ({"field": [None, "b"]}, "without a field"),
        ({"field": ["a", "a"], "label": [1, 1]}, "cell 1 of a more than once"),
    ],
)
def test_tables_that_name_no_cells_are_refused(columns, said):
    with pytest.raises(InputError, match=said):
        checked_cells(table(**columns))
    with pytest.raises(InputError, match=f"The table of truth.*{said}"):
        add_truth(table(), table(**{"class": ["fed", "fed"], **columns}))


def test_truth_of_nothing_is_refused():
    with pytest.raises(InputError, match="do not meet"):
        add_truth(table(), table(**{"class": "fed"}).iloc[:0])
    with pytest.raises(InputError, match="do not meet"):
        add_truth(table().iloc[:0], table(**{"class": "fed"}))
    with pytest.raises(InputError, match="class"):
        add_truth(table(), table())


def test_mutated_tables_raise_only_our_errors(rng):
    odd = ["", " ", None, np.nan, "NA", "None", "nan", 0, -1, 1.5, 1e300, True, "True", "1", "é", "[]", 2**70]
    for _ in range(300):
        cells, truth = table().astype(object), table(**{"class": ["fed", "unfed"], "well": "A01"}).astype(object)
        for changed in (cells, truth):
            row, column = rng.integers(2), rng.integers(changed.shape[1])
            changed.iloc[row, column] = odd[rng.integers(len(odd))]
        try:
            found = add_truth(cells, truth)
            two_states(found["truth"])
        except CellularError:
            continue
        assert set(found["truth"].dropna()) == {BASAL, ACTIVATED}


def test_a_position_is_a_place_at_all_of_its_times():
    film = pd.DataFrame({"field": [f"Timepoint_00{t}_220518-ST_C03_s{s}" for t in (1, 2) for s in (1, 2)], "label": 1})
    told = film.assign(state=["x", "y"] * 2)
    assert add_truth(film, told)["position"].tolist() == ["220518-ST/C03/1", "220518-ST/C03/2"] * 2
    # another maker's names: by the columns of measure, without a well by the name
    named = film.assign(field=["A01_s1_t001", "A01_s2_t001", "A01_s1_t002", "A01_s2_t002"])
    told = named.assign(state=["x", "y"] * 2)
    assert add_truth(named, told)["position"].tolist() == ["A01_s1", "A01_s2"] * 2
    known = named.assign(field=list("abcd"), well="A01", site=[1, 2, 1, 2])
    assert add_truth(known, known.assign(state=["x", "y"] * 2))["position"].tolist() == ["A01/1", "A01/2"] * 2
    alone = named.assign(field=list("abcd"))
    assert add_truth(alone, alone.assign(state=["x", "y"] * 2))["position"].tolist() == list("abcd")


def test_a_truth_of_other_outlines_is_refused():
    """Labels of a model's outlines and of an expert's are numbers of different cells."""
    box = {"y0": [0, 10], "x0": [0, 0], "y1": [10, 30], "x1": [10, 20]}
    truth = table(**{"class": ["fed", "unfed"]}, **box)
    measured = table(y=[0.0, 29.0], x=[9.0, 19.0])  # pixel centres at whole numbers
    assert add_truth(measured, truth)["truth"].tolist() == [BASAL, ACTIVATED]
    with pytest.raises(InputError, match=r"other outlines: cell 2 .* y 31, x 19 px"):
        add_truth(table(y=[0.0, 31.0], x=[9.0, 19.0]), truth)
    # cells that the table does not know may be anywhere; excluded ones, of label 0 in prepare's table, are of no cell
    excluded = pd.concat([truth.iloc[:1], truth.assign(label=0), truth.assign(label=0)])
    known = add_truth(table(y=[0.0, 300.0], x=[9.0, 300.0]), excluded)["truth"]
    assert known.isna().tolist() == [False, True]
