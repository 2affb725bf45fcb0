"""States told by hand: in the log beside the outlines, undone with them, and never an outline of their own."""

import json

import numpy as np
import pandas as pd
import pytest

from cellular.data.formats.images import write_labels
from cellular.data.plate import FieldFiles, Plate
from cellular.errors import InputError
from cellular.files import read_csv
from cellular.jobs.corrections import (
    FieldCorrections,
    annotated,
    check_states,
    corrected,
    open_corrections,
    told_states,
)
from cellular.jobs.corrections_log import LOG
from cellular.jobs.states_by_hand import STATES

FIELD = np.array([[1, 1, 0, 2, 2], [1, 1, 0, 2, 2], [3, 3, 3, 3, 3]], np.uint16)


def plate_of(folder, labels=FIELD, names="f"):
    fields = [FieldFiles(n, (), labels=write_labels(folder / "own" / f"{n}_masks.tif", labels)) for n in names]
    return Plate(folder, "plain", tuple(fields))


def states_of(folder):
    return {(row.field, row.label): row.state for row in open_corrections(folder).states().itertuples()}


def test_a_state_is_saved_with_who_and_where_and_touches_no_outline(tmp_path):
    field = FieldCorrections(tmp_path, "f", FIELD, who="Ada")
    assert field.do("state", cells=[2, 3], state="unfed") == [2, 3]
    line = json.loads((tmp_path / LOG).read_text())
    assert (line["who"], line["operation"], line["arguments"]) == (
        "Ada",
        "state",
        {"cells": [2, 3], "state": "activated"},
    )
    assert not (tmp_path / "f_masks.tif").exists()
    table = read_csv(tmp_path / STATES)
    assert table[["field", "label", "state", "area", "y", "x", "who"]].to_numpy().tolist() == [
        ["f", 2, "activated", 4, 0.5, 3.5, "Ada"],
        ["f", 3, "activated", 5, 2.0, 2.0, "Ada"],
    ]
    assert FieldCorrections(tmp_path, "f", FIELD).states == {2: "activated", 3: "activated"}


def test_states_and_outlines_are_undone_one_after_another(tmp_path):
    field = FieldCorrections(tmp_path, "f", FIELD)
    field.do("state", cells=[1], state="fed")
    field.do("delete", cells=[1])
    field.do("state", cells=[2], state="Unidentified")
    assert field.states == states_by_label(tmp_path) == {2: "Unidentified"}
    assert field.undo() == [2]
    assert field.states == states_by_label(tmp_path) == {}
    assert field.undo() == [1]
    assert field.states == states_by_label(tmp_path) == {1: "basal"}
    assert field.redo() == [1]
    assert field.states == states_by_label(tmp_path) == {}
    field.undo()
    assert FieldCorrections(tmp_path, "f", FIELD).states == {1: "basal"}
    assert read_csv(tmp_path / STATES)["label"].tolist() == [1]


def states_by_label(folder):
    return {label: state for (_, label), state in states_of(folder).items()}


def test_what_the_model_said_comes_back(tmp_path):
    field = FieldCorrections(tmp_path, "f", FIELD)
    field.do("state", cells=[1, 2], state="basal")
    field.do("state", cells=[1], state=None)
    assert states_of(tmp_path) == {("f", 2): "basal"}
    with pytest.raises(InputError, match="no state was told by hand of these cells"):
        field.do("state", cells=[1], state=None)
    assert len((tmp_path / LOG).read_text().splitlines()) == 2


def test_a_merge_of_two_states_has_none_and_undoing_brings_both_back(tmp_path):
    field = FieldCorrections(tmp_path, "f", FIELD)
    field.do("state", cells=[1], state="basal")
    field.do("state", cells=[2], state="activated")
    field.do("merge", cells=[1, 2])
    assert states_of(tmp_path) == {}
    field.undo()
    assert states_of(tmp_path) == {("f", 1): "basal", ("f", 2): "activated"}
    field.undo()
    field.do("state", cells=[2], state="basal")
    field.do("merge", cells=[1, 2])
    assert states_of(tmp_path) == {("f", 5): "basal"}  # a number is never used twice


def test_a_reshaped_cell_is_told_with_its_new_place(tmp_path):
    field = FieldCorrections(tmp_path, "f", FIELD)
    field.do("state", cells=[3], state="basal")
    field.do("reshape", cell=3, polygon=[(0, 2), (4, 2), (4, 3), (0, 3)])
    row = open_corrections(tmp_path).states().iloc[0]
    assert (row["label"], row["area"], row["y"], row["x"]) == (3, 4, 2.0, 1.5)
    field.do("reshape", cell=3, polygon=[(2, 0), (3, 0), (3, 2), (2, 2)])  # elsewhere altogether
    assert states_of(tmp_path) == {}


def test_a_field_of_states_alone_is_no_corrected_field(tmp_path):
    plate, folder = plate_of(tmp_path, names="fg"), tmp_path / "c"
    FieldCorrections(folder, "f", FIELD).do("state", cells=[1], state="basal")
    found = open_corrections(folder)
    assert found.fields == ()
    assert len(found.table()) == 0
    assert corrected(plate, folder)[0] == plate
    FieldCorrections(folder, "g", FIELD).do("check")
    assert open_corrections(folder).fields == ("g",)
    assert [item.labels.parent.name for item in corrected(plate, folder)[0].fields] == ["own", "c"]
    bare = Plate(tmp_path, "plain", (FieldFiles("f", ()), FieldFiles("g", ())))
    assert [item.name for item in annotated(bare, folder).fields] == ["g"]


def test_a_field_whose_outlines_are_all_taken_back_keeps_its_states_and_its_own_label_image(tmp_path):
    plate, folder = plate_of(tmp_path), tmp_path / "c"
    field = FieldCorrections(folder, "f", FIELD)
    field.do("delete", cells=[1])
    field.undo()
    field.do("state", cells=[1], state="basal")
    assert open_corrections(folder).fields == ()
    assert corrected(plate, folder)[0] == plate
    assert told_states(plate, open_corrections(folder))["label"].tolist() == [1]


def test_states_of_a_label_image_that_has_changed_are_refused(tmp_path):
    folder = tmp_path / "c"
    FieldCorrections(folder, "f", FIELD).do("state", cells=[1], state="basal")
    check_states(plate_of(tmp_path), open_corrections(folder))
    other = np.where(FIELD == 1, 2, np.where(FIELD == 2, 1, FIELD)).astype(np.uint16)
    with pytest.raises(InputError, match="f: its label image has changed"):
        check_states(plate_of(tmp_path, other), open_corrections(folder))
    with pytest.raises(InputError, match="f: its label image has changed"):
        FieldCorrections(folder, "f", other)


def test_states_of_another_plate_are_refused(tmp_path):
    FieldCorrections(tmp_path / "c", "g", FIELD).do("state", cells=[1], state="basal")
    with pytest.raises(InputError, match="corrects g and the like, no field of"):
        corrected(plate_of(tmp_path), tmp_path / "c")


def test_the_table_beside_the_log_holds_all_fields_and_follows_other_programs(tmp_path):
    one, other = FieldCorrections(tmp_path, "f", FIELD), FieldCorrections(tmp_path, "g", FIELD)
    one.do("state", cells=[1], state="basal")
    other.do("state", cells=[2], state="activated")
    one.do("draw", polygon=[(2, 0), (3, 0), (3, 2), (2, 2)])
    one.do("state", cells=[3], state="basal")
    table = read_csv(tmp_path / STATES)
    assert table[["field", "label"]].to_numpy().tolist() == [["f", 1], ["f", 3], ["g", 2]]
    pd.testing.assert_frame_equal(table, open_corrections(tmp_path).states())


@pytest.mark.parametrize(
    ("wrong", "match"),
    [({"3": {"state": "basal"}}, "line 1 is no correction"), ({"3": None}, "it is damaged")],
    ids=["form", "content"],
)
def test_states_that_the_strokes_do_not_give_are_noticed(tmp_path, wrong, match):
    FieldCorrections(tmp_path, "f", FIELD).do("state", cells=[3], state="basal")
    line = json.loads((tmp_path / LOG).read_text())
    (tmp_path / LOG).write_text(json.dumps(line | {"states": wrong}) + "\n")
    with pytest.raises(InputError, match=match):
        FieldCorrections(tmp_path, "f", FIELD)


def test_a_log_of_before_there_were_states_is_read(tmp_path):
    FieldCorrections(tmp_path, "f", FIELD).do("delete", cells=[1])
    assert "states" not in json.loads((tmp_path / LOG).read_text())
    assert FieldCorrections(tmp_path, "f", FIELD).states == {}
