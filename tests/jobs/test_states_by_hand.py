"""States told by hand: in the log beside the outlines, undone with them, and never an outline of their own."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from cellular.autophagy.compare.design import StatsSettings
from cellular.autophagy.compare.effects import choose_features
from cellular.autophagy.state.by_hand import not_there, with_states
from cellular.autophagy.state.files import load_model, save_model
from cellular.autophagy.state.tree_model import ClassifySettings
from cellular.cli.main import main
from cellular.data.find import find_plate
from cellular.data.formats.images import read_labels, write_labels
from cellular.data.plate import FieldFiles, Plate
from cellular.errors import InputError, SettingsError
from cellular.files import alone_in, read_csv, read_json
from cellular.jobs.analyse import AnalyseSettings, analyse
from cellular.jobs.classify import classify, train_state
from cellular.jobs.corrections import (
    FieldCorrections,
    annotated,
    check_states,
    corrected,
    open_corrections,
    told_states,
)
from cellular.jobs.corrections_log import LOG
from cellular.jobs.measure import measure
from cellular.jobs.simulate import simulate
from cellular.jobs.states_by_hand import STATES
from cellular.jobs.stats import compare_tables
from cellular.simulate.settings import SimulationSettings
from cellular.tables import read_table

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


@pytest.mark.parametrize(
    "opened", [open_corrections, lambda folder: FieldCorrections(folder, "g", FIELD)], ids=["a verb", "the page"]
)
def test_a_table_older_than_the_log_is_made_from_it(tmp_path, opened):
    field = FieldCorrections(tmp_path, "f", FIELD)
    field.do("state", cells=[1], state="fed")
    before = (tmp_path / STATES).read_bytes()
    field.do("state", cells=[2], state="unfed")
    after = (tmp_path / STATES).read_bytes()
    (tmp_path / STATES).write_bytes(before)  # killed between the log and the table
    opened(tmp_path)
    assert (tmp_path / STATES).read_bytes() == after
    (tmp_path / STATES).unlink()  # killed at the first stroke
    opened(tmp_path)
    assert (tmp_path / STATES).read_bytes() == after


def test_an_old_table_is_left_to_whoever_is_at_work_there(tmp_path):
    FieldCorrections(tmp_path, "f", FIELD).do("state", cells=[1], state="fed")
    (tmp_path / STATES).write_text("old")
    with alone_in(tmp_path):
        assert states_of(tmp_path) == {("f", 1): "basal"}
    assert (tmp_path / STATES).read_text() == "old"


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
    pd.testing.assert_frame_equal(table.astype(object), open_corrections(tmp_path).states().astype(object))


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


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """Cells that a model told the states of, and corrections in which one of them, of the second field, is another."""
    folder = tmp_path_factory.mktemp("told")
    made = simulate(folder / "sim", SimulationSettings(fields=3, size_px=128, diameter_px=30, cells_per_field=5))
    measure(made.images, made.truth, folder / "measured", overlays=0)
    cells = read_table(folder / "measured" / "cells.csv")
    cells[["field", "label"]].assign(state=np.where(cells["label"] % 2, "fed", "unfed")).to_csv(folder / "truth.csv")
    how = ClassifySettings(trees=3, features=("area", "circularity"))
    model = train_state(folder / "measured" / "cells.csv", folder / "state", folder / "truth.csv", how).model
    before = classify(folder / "measured" / "cells.csv", model, folder / "told", top=0)
    cell = before[before["field"] == before["field"].unique()[1]].iloc[0]
    other = "basal" if cell["state"] == "activated" else "activated"
    labels = read_labels(Path(made.truth) / f"{cell['field']}_labels.tif")
    FieldCorrections(folder / "c", cell["field"], labels).do("state", cells=[cell["label"]], state=other)
    return SimpleNamespace(folder=folder, made=made, model=model, before=before, cell=cell, other=other)


def test_cells_unlike_those_trained_on_are_told_of_once_for_all_fields(told, tmp_path, caplog):
    """Each field had its own line, and a run that went on had none of the fields done before."""
    model = load_model(told.model)
    save_model(tmp_path / "model.safetensors", replace(model, seen=model.seen * 0))
    settings = AnalyseSettings(state_model=str(tmp_path / "model.safetensors"), overlays=0)
    for _ in range(2):
        caplog.clear()
        analyse(told.made.images, tmp_path / "run", settings, labels=told.made.truth)
        (said,) = (one for one in caplog.messages if "outside the range" in one)
        assert said.startswith("area, circularity: most cells lie outside")


def test_analyse_tells_states_by_hand(told, tmp_path):
    settings = AnalyseSettings(state_model=str(told.model), overlays=0)
    how = {"labels": told.made.truth, "corrections": told.folder / "c"}
    result = analyse(told.made.images, tmp_path, settings, **how)
    assert result.problems == {}
    cells = read_table(tmp_path / "cells.parquet")
    changed = cells[cells["state"] != cells["state_model"]]
    assert changed[["field", "label", "state"]].to_numpy().tolist() == [
        [told.cell["field"], told.cell["label"], told.other]
    ]
    assert changed["probability_activated"].tolist() == [float(told.other == "activated")]
    assert cells["state_model"].tolist() == told.before["state"].tolist()
    assert cells["probability_activated_model"].tolist() == told.before["probability_activated"].tolist()
    assert int(cells["state_by_hand"].sum()) == 1
    assert {"state_by_hand", "state_model"} <= set(read_csv(tmp_path / "columns.csv")["column"])
    assert "states told by hand" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_telling_a_state_measures_nothing_anew_and_can_be_taken_back(told, tmp_path):
    def run(**how):
        return measure(told.made.images, told.made.truth, tmp_path, overlays=0, **how).cells

    before = run()
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.glob("fields/*/cells.csv")}
    assert run(corrections=told.folder / "c")["state"].dropna().tolist() == [told.other]
    pd.testing.assert_frame_equal(run(), before)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("fields/*/cells.csv")} == stamps


def test_a_deleted_cell_is_told_of_nowhere_and_a_cell_that_is_gone_from_the_labels_is_named(told, tmp_path):
    folder = Path(shutil.copytree(told.folder / "c", tmp_path / "c"))
    labels = read_labels(Path(told.made.truth) / f"{told.cell['field']}_labels.tif")
    FieldCorrections(folder, told.cell["field"], labels).do("delete", cells=[told.cell["label"]])
    result = measure(told.made.images, told.made.truth, tmp_path / "out", overlays=0, corrections=folder)
    assert "state_by_hand" not in result.cells
    # label images made anew elsewhere: the number is another cell's now
    others = tmp_path / "others"
    for path in Path(told.made.truth).glob("*_labels.tif"):
        write_labels(others / path.name, np.flip(read_labels(path), 0))
    with pytest.raises(InputError, match="its label image has changed"):
        measure(told.made.images, others, tmp_path / "flipped", overlays=0, corrections=told.folder / "c")
    assert not (tmp_path / "flipped").exists()
    plate = find_plate(told.made.images, labels=others)
    cells = told.before.assign(y=lambda rows: 127 - rows["y"])
    lost = not_there(with_states(cells, told_states(plate, open_corrections(told.folder / "c"))), states_table(told))
    assert list(lost) == [told.cell["field"]]


def states_table(told):
    return open_corrections(told.folder / "c").states()


def test_measure_without_a_model_gives_the_states_by_hand_alone(told, tmp_path):
    how = {"overlays": 0, "corrections": told.folder / "c"}
    cells = measure(told.made.images, told.made.truth, tmp_path / "out", formats=["anndata"], **how).cells
    assert cells["state"].dropna().tolist() == [told.other]
    assert "state_model" not in cells
    anndata = pytest.importorskip("anndata")
    assert anndata.read_h5ad(tmp_path / "out" / "cells.h5ad").obs["state_by_hand"].sum() == 1


def test_classify_tells_states_by_hand_over_the_models(told, tmp_path, capsys):
    cells, how = told.folder / "measured" / "cells.csv", {"corrections": told.folder / "c"}
    words = ["classify", "predict", cells, "--model", told.model, "--out", tmp_path / "told", "--top", "0"]
    assert main([*map(str, words), "--corrections", str(told.folder / "c")]) == 0
    assert "1 of these states were told by hand" in capsys.readouterr().out
    classified = read_table(tmp_path / "told" / "cells.csv")
    assert classified["state_model"].tolist() == told.before["state"].tolist()
    assert (classified["state"] != classified["state_model"]).sum() == 1
    plain = classify(tmp_path / "told" / "cells.csv", told.model, tmp_path / "plain", top=0)
    assert "state_by_hand" not in plain
    assert plain["state"].tolist() == told.before["state"].tolist()
    moved = read_csv(cells).assign(y=lambda rows: rows["y"] + 1)
    moved.to_csv(tmp_path / "moved.csv", index=False)
    with pytest.raises(InputError, match="no cell is as it was"):
        classify(tmp_path / "moved.csv", told.model, tmp_path / "none", top=0, **how)
    assert not (tmp_path / "none").exists()


def test_stats_tells_states_by_hand_and_says_so(told, tmp_path):
    cells, how = told.folder / "told" / "cells.csv", {"maps": (), "corrections": told.folder / "c"}
    images = told.folder / "measured" / "images.csv"
    settings = StatsSettings(features=("probability_activated",))
    result, _ = compare_tables(cells, tmp_path, settings, images=images, **how)
    assert result.notes[-1].startswith(f"1 of {len(told.before)} states were told by hand")
    meant = told.before["probability_activated"].where(told.before.index != told.cell.name, told.other == "activated")
    assert result.cells["probability_activated"].tolist() == meant.astype(float).tolist()
    laid = with_states(told.before, states_table(told))
    assert "probability_activated" in choose_features(laid, StatsSettings())
    assert "probability_activated_model" not in choose_features(laid, StatsSettings())


def test_training_takes_the_cells_told_by_hand_and_no_others(told, tmp_path):
    for field, rows in told.before.groupby("field"):
        labels = read_labels(Path(told.made.truth) / f"{field}_labels.tif")
        corrections = FieldCorrections(tmp_path / "c", field, labels)
        corrections.do("state", cells=rows["label"].tolist()[:2], state="fed")
        corrections.do("state", cells=rows["label"].tolist()[2:4], state="unfed")
    cells, how = told.folder / "measured" / "cells.csv", ClassifySettings(trees=3, features=("area",))
    trained = train_state(cells, tmp_path / "state", settings=how, corrections=tmp_path / "c")
    assert len(trained.validation.cells) == 4 * told.before["field"].nunique()
    assert "told by hand" in read_json(tmp_path / "state" / "validation.json")["note"]
    with pytest.raises(SettingsError, match="told twice"):
        train_state(cells, tmp_path / "twice", told.folder / "truth.csv", how, corrections=tmp_path / "c")
