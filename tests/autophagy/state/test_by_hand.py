"""States told by hand in tables: over the model's, at the cells that were meant, and nowhere else."""

import numpy as np
import pandas as pd
import pytest

from cellular.autophagy.state.by_hand import (
    as_the_model_said,
    by_hand_note,
    check_words,
    laid_over,
    not_there,
    states_of,
    with_states,
)
from cellular.errors import InputError

CELLS = pd.DataFrame(
    {
        "field": ["f", "f", "f", "g"],
        "label": [1, 2, 3, 1],
        "area": [10, 20, 30, 40],
        "y": [1.0, 2.0, 3.0, 4.0],
        "x": [5.0, 6.0, 7.0, 8.0],
        "state": ["basal", "activated", "basal", "basal"],
        "probability_activated": [0.1, 0.9, 0.2, 0.3],
    }
)


def told(*rows):
    return pd.DataFrame(rows, columns=["field", "label", "state", "area", "y", "x"])


BOTH = told(("f", 1, "activated", 10, 1.0, 5.0), ("f", 2, "Unidentified", 20, 2.0, 6.0))


def test_the_models_answer_stays_beside_the_hands():
    found = with_states(CELLS, BOTH)
    assert found["state"].tolist() == ["activated", "Unidentified", "basal", "basal"]
    assert found["state_model"].tolist() == CELLS["state"].tolist()
    assert found["state_by_hand"].tolist() == [True, True, False, False]
    np.testing.assert_array_equal(found["probability_activated"], [1.0, np.nan, 0.2, 0.3])
    assert found["probability_activated_model"].tolist() == [0.1, 0.9, 0.2, 0.3]
    assert not_there(found, BOTH) == {}
    pd.testing.assert_frame_equal(as_the_model_said(found), CELLS)


def test_telling_again_takes_the_earlier_back():
    again = with_states(with_states(CELLS, BOTH), told(("g", 1, "activated", 40, 4.0, 8.0)))
    assert again["state"].tolist() == ["basal", "activated", "basal", "activated"]
    assert again["probability_activated"].tolist() == [0.1, 0.9, 0.2, 1.0]


@pytest.mark.parametrize("column", ["area", "y", "x"])
def test_another_cell_of_the_same_number_is_not_told(column):
    one = told(("f", 1, "activated", 10, 1.0, 5.0))
    one[column] += 1
    found = with_states(CELLS, one)
    assert found["state"].tolist() == CELLS["state"].tolist()
    assert not found["state_by_hand"].any()
    assert list(not_there(found, one)) == ["f"]
    with pytest.raises(InputError, match="f: the state told by hand of cell 1 is left out"):
        laid_over(CELLS, one)


def test_without_a_model_there_is_the_hand_alone():
    found = with_states(CELLS.drop(columns=["state", "probability_activated"]), BOTH)
    assert found["state"].tolist()[:2] == ["activated", "Unidentified"]
    assert found["state"].isna().tolist() == [False, False, True, True]
    assert "state_model" not in found
    assert "state" not in as_the_model_said(found)


def test_other_fields_are_passed_over_and_none_at_all_is_refused():
    elsewhere = told(("h", 1, "activated", 10, 1.0, 5.0))
    assert laid_over(CELLS, pd.concat([BOTH, elsewhere]))["state_by_hand"].sum() == 2
    with pytest.raises(InputError, match="no state was told by hand in any field"):
        laid_over(CELLS, elsewhere)


def test_a_table_that_does_not_say_which_cell_is_which_is_refused():
    with pytest.raises(InputError, match="lacks area, y, x"):
        with_states(CELLS[["field", "label", "state"]], BOTH)


def test_words_that_the_model_does_not_know_are_refused():
    check_words(BOTH, ["basal", "activated"])
    with pytest.raises(InputError, match="f, cell 1: 'activated' was told by hand, and the model tells old and young"):
        check_words(BOTH, ["young", "old", "Unidentified"])


def test_the_states_of_a_table():
    assert states_of(None) == states_of(CELLS) == ("basal", "activated")
    own = CELLS.assign(state=["young", "old", "young", "Unidentified"]).drop(columns="probability_activated")
    assert states_of(own.assign(probability_old=0.5)) == ("young", "old")
    assert states_of(with_states(own.assign(probability_old=0.5), BOTH)) == ("young", "old")


def test_a_comparison_is_told_how_many_of_what_treatment():
    cells = with_states(CELLS, BOTH).assign(treatment=["fed", "fed", "fed", "starved"])
    assert by_hand_note(cells).startswith("2 of 4 states were told by hand (fed: 2, starved: 0), and count as certain")
    assert by_hand_note(CELLS) == ""
