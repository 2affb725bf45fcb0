"""Corrections on disk: what is logged, taken back, refused, and what becomes of it when a program is killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cellular.data.formats.images import read_labels, write_image, write_labels
from cellular.data.plate import FieldFiles, Plate
from cellular.errors import InputError, MissingInputError
from cellular.jobs.analyse import AnalyseSettings, analyse
from cellular.jobs.corrections import LOG, FieldCorrections, annotated, corrected, open_corrections
from cellular.jobs.measure import measure
from cellular.jobs.simulate import simulate
from cellular.simulate.settings import SimulationSettings

FIELD = np.array([[1, 1, 0, 2, 2], [1, 1, 0, 2, 2], [3, 3, 3, 3, 3]], np.uint16)
SQUARE = [(0, 0), (2, 0), (2, 1), (0, 1)]


def plate_of(folder, labels=FIELD):
    return Plate(folder, "plain", (FieldFiles("f", (), labels=write_labels(folder / "own" / "f_masks.tif", labels)),))


def test_strokes_are_logged_and_the_original_stays(tmp_path):
    plate = plate_of(tmp_path)
    field = FieldCorrections(tmp_path / "corrections", "f", FIELD, who="Ada")
    field.do("merge", cells=[1, 2])
    field.do("reshape", cell=3, polygon=[(0, 2), (4, 2), (4, 3), (0, 3)])
    lines = [json.loads(line) for line in (tmp_path / "corrections" / LOG).read_text().splitlines()]
    assert [(line["who"], line["operation"], line["cells"]) for line in lines] == [
        ("Ada", "merge", [1, 2, 4]),
        ("Ada", "reshape", [3]),
    ]
    assert read_labels(tmp_path / "own" / "f_masks.tif").tolist() == FIELD.tolist()
    fixed, found = corrected(plate, tmp_path / "corrections")
    assert read_labels(fixed.fields[0].labels).tolist() == [[4, 4, 0, 4, 4], [4, 4, 0, 4, 4], [3, 3, 3, 3, 0]]
    assert found.table().to_dict("records") == [{"field": "f", "cells_edited": 2, "cells_deleted": 2}]


def test_a_user_without_a_name_is_logged_by_number(tmp_path, monkeypatch):
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 424242)
    assert FieldCorrections(tmp_path, "f", FIELD).who == "user 424242"


def test_undo_and_redo_go_back_and_forth_and_a_new_stroke_ends_redoing(tmp_path):
    field = FieldCorrections(tmp_path, "f", FIELD)
    field.do("delete", cells=[1])
    field.do("delete", cells=[2])
    assert field.undo() == [2]
    assert field.undo() == [1]
    assert not field.can_undo
    assert field.labels.tolist() == FIELD.tolist()
    assert field.redo() == [1]
    field.do("draw", polygon=SQUARE)
    assert not field.can_redo
    with pytest.raises(InputError, match="nothing to redo"):
        field.redo()
    again = FieldCorrections(tmp_path, "f", FIELD)
    assert again.labels.tolist() == [[4, 4, 0, 2, 2], [0, 0, 0, 2, 2], [3, 3, 3, 3, 3]]


def test_numbers_are_never_used_twice(tmp_path):
    field = FieldCorrections(tmp_path, "f", FIELD)
    field.do("delete", cells=[1])
    field.do("draw", polygon=SQUARE)
    field.undo()
    field.do("draw", polygon=SQUARE)
    assert sorted(np.unique(field.labels)) == [0, 2, 3, 5]


def test_a_number_that_was_painted_is_taken(tmp_path):
    field = FieldCorrections(tmp_path, "f", FIELD)
    field.become(np.where(FIELD == 0, 4, FIELD))  # 4 is what comes next, in napari too
    field.do("merge", cells=[1, 2])
    assert sorted(np.unique(field.labels)) == [3, 4, 5]
    field.do("delete", cells=[4])
    field.do("draw", polygon=[(2, 0), (3, 0), (3, 2), (2, 2)])
    assert sorted(np.unique(field.labels)) == [3, 5, 6]


def test_a_field_without_a_standing_stroke_is_not_corrected(tmp_path):
    plate = plate_of(tmp_path)
    field = FieldCorrections(tmp_path / "c", "f", FIELD)
    field.do("delete", cells=[1])
    field.undo()
    assert open_corrections(tmp_path / "c").fields == ()
    assert corrected(plate, tmp_path / "c")[0] == plate


def test_a_refused_stroke_leaves_no_trace(tmp_path):
    with pytest.raises(InputError, match="no cell 9"):
        FieldCorrections(tmp_path / "c", "f", FIELD).do("delete", cells=[9])
    assert not (tmp_path / "c").exists()


def test_corrections_of_a_label_image_that_has_changed_are_refused(tmp_path):
    FieldCorrections(tmp_path / "c", "f", FIELD).do("delete", cells=[1])
    other = FIELD.copy()
    other[0, 2] = 1
    with pytest.raises(InputError, match="f: its label image has changed"):
        corrected(plate_of(tmp_path, other), tmp_path / "c")
    with pytest.raises(InputError, match="has changed"):
        FieldCorrections(tmp_path / "c", "f", other)


def test_a_folder_without_corrections_is_named(tmp_path):
    with pytest.raises(MissingInputError, match="holds no corrections"):
        corrected(plate_of(tmp_path), tmp_path)


def test_a_torn_last_line_is_left_out_and_cut_off(tmp_path):
    field = FieldCorrections(tmp_path, "f", FIELD)
    field.do("delete", cells=[1])
    with open(tmp_path / LOG, "ab") as file:
        file.write(b'{"time": "2026')
    again = FieldCorrections(tmp_path, "f", FIELD)
    again.do("delete", cells=[2])
    assert [entry["cells"] for entry in open_corrections(tmp_path).log] == [[1], [2]]


def test_a_field_that_was_corrected_elsewhere_meanwhile_is_not_corrected_blindly(tmp_path):
    one, other = (FieldCorrections(tmp_path, "f", FIELD) for _ in range(2))
    another_field = FieldCorrections(tmp_path, "g", FIELD)
    one.do("delete", cells=[1])
    another_field.do("delete", cells=[1])
    one.do("delete", cells=[2])
    with pytest.raises(InputError, match="corrected elsewhere meanwhile"):
        other.do("delete", cells=[3])
    assert len(open_corrections(tmp_path).of("f")) == 2


def test_a_damaged_line_within_is_refused(tmp_path):
    FieldCorrections(tmp_path, "f", FIELD).do("delete", cells=[1])
    (tmp_path / LOG).write_text("nonsense\n" + (tmp_path / LOG).read_text())
    with pytest.raises(InputError, match="line 1 is damaged"):
        open_corrections(tmp_path)


KILLED = """
import os, signal, sys, numpy as np
import cellular.jobs.corrections as c
field = c.FieldCorrections(sys.argv[1], "f", np.array({field}, np.uint16))
field.do("delete", cells=[1])
if sys.argv[2] == "image":
    c.write_labels = lambda *a: os.kill(os.getpid(), signal.SIGKILL)
else:
    os.fsync = lambda *a: os.kill(os.getpid(), signal.SIGKILL)
field.do("delete", cells=[2])
"""


@pytest.mark.parametrize("at", ["image", "log"])
def test_killed_in_mid_write_the_stroke_in_hand_is_the_most_that_is_lost(tmp_path, at):
    plate = plate_of(tmp_path)
    code = KILLED.format(field=FIELD.tolist())
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "c"), at], env=os.environ)
    assert done.returncode == -signal.SIGKILL
    # whoever measures next mends the label image by the log
    fixed, _ = corrected(plate, tmp_path / "c")
    assert read_labels(fixed.fields[0].labels).tolist() == [[0, 0, 0, 0, 0], [0, 0, 0, 0, 0], [3, 3, 3, 3, 3]]
    again = FieldCorrections(tmp_path / "c", "f", FIELD)
    again.undo()
    assert sorted(np.unique(again.labels)) == [0, 2, 3]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    settings = SimulationSettings(fields=3, size_px=128, diameter_px=30, cells_per_field=5)
    return simulate(tmp_path_factory.mktemp("sim") / "sim", settings)


def edit_one(made, folder):
    """Delete a cell of the second field; the field's name."""
    path = sorted(Path(made.truth).glob("*_labels.tif"))[1]
    name = path.name.removesuffix("_labels.tif")
    labels = read_labels(path)
    FieldCorrections(folder, name, labels).do("delete", cells=[int(labels.max())])
    return name


def stamps(out):
    return {path.parent.name: path.stat().st_mtime_ns for path in out.glob("fields/*/cells.csv")}


@pytest.mark.parametrize("verb", ["measure", "analyse"])
def test_only_the_corrected_field_is_measured_again(tmp_path, made, verb):
    out = tmp_path / "out"

    def run(**how):
        if verb == "measure":
            return measure(made.images, made.truth, out, overlays=0, **how).tables
        return analyse(made.images, out, labels=made.truth, **how).tables

    before, first = len(run()["cells"]), stamps(out)  # read now: the next run writes the same file
    name = edit_one(made, tmp_path / "c")
    after, second = run(corrections=tmp_path / "c"), stamps(out)
    assert {field for field in first if first[field] != second[field]} == {name}
    assert len(after["cells"]) == before - 1
    told = after["images"].set_index("field")["cells_deleted"]
    assert (told[name], told.sum(), after["images"]["cells_edited"].sum()) == (1, 1, 0)
    if verb == "analyse":
        assert "cells edited by hand" in (out / "report.html").read_text()


def crowded(folder):
    """Twelve cells of 300 levels on a ground of 100, a third of it, and their labels."""
    labels = np.zeros((120, 160), np.uint16)
    for number in range(12):
        y, x = 6 + 38 * (number // 4), 6 + 38 * (number % 4)
        labels[y : y + 32, x : x + 32] = number + 1
    noise = np.random.default_rng(0)
    light = (np.where(labels > 0, 300, 100) + noise.integers(-9, 10, (2, *labels.shape))).astype(np.uint16)
    for channel, plane in zip(("mRFP", "EGFP"), light):
        write_image(folder / "images" / f"A01_{channel}.tif", plane)
    write_labels(folder / "truth" / "A01_labels.tif", labels)
    return labels


def measured(folder, out, **how):
    return measure(folder / "images", folder / "truth", folder / out, overlays=0, **how).tables


def test_deleted_cells_are_no_ground_for_the_others(tmp_path):
    labels = crowded(tmp_path)
    before = measured(tmp_path, "before")["cells"].set_index("label")
    gone = [2, 3, 5, 8, 9, 12]
    FieldCorrections(tmp_path / "c", "A01", labels).do("delete", cells=gone)
    after = measured(tmp_path, "after", corrections=tmp_path / "c")
    assert after["images"]["background__mRFP"].item() == pytest.approx(100, abs=3)
    light = ["mean__mRFP", "median__EGFP", "integrated__mRFP", "log2_ratio"]
    pd.testing.assert_frame_equal(after["cells"].set_index("label")[light], before.drop(gone)[light])
    result = analyse(tmp_path / "images", tmp_path / "run", labels=tmp_path / "truth", corrections=tmp_path / "c")
    assert result.tables["images"]["background__mRFP"].item() == pytest.approx(100, abs=3)
    assert pd.read_csv(tmp_path / "run" / "quality.csv")["debris__mRFP"].item() == 0


def test_deleted_cells_that_are_ground_for_lost_labels_are_told_of(tmp_path, caplog):
    labels = crowded(tmp_path)
    for kind in ("mRFP", "EGFP"):
        shutil.copy(tmp_path / "images" / f"A01_{kind}.tif", tmp_path / "images" / f"A02_{kind}.tif")
    write_labels(tmp_path / "truth" / "A02_labels.tif", labels)
    FieldCorrections(tmp_path / "c", "A01", labels).do("delete", cells=[2, 3, 5, 8, 9, 12])
    measured(tmp_path, "out", corrections=tmp_path / "c")
    assert "background" not in caplog.text
    (tmp_path / "truth" / "A01_labels.tif").unlink()
    measured(tmp_path, "out", corrections=tmp_path / "c")
    assert "A01: the label image that was corrected is gone" in caplog.text


def test_cells_that_do_not_count_are_no_ground(tmp_path):
    labels = crowded(tmp_path)
    some = np.isin(labels, [2, 3, 5, 8, 9, 12])
    for path in (tmp_path / "images").iterdir():
        path.rename(tmp_path / path.name)
    write_labels(tmp_path / "A01_masks.png", np.where(some, 0, labels).astype(np.uint16))
    write_labels(tmp_path / "A01_ignore.png", np.where(some, labels, 0).astype(np.uint16))
    (tmp_path / "truth" / "A01_labels.tif").unlink()
    cells = measure(tmp_path, None, tmp_path / "out", overlays=0).tables["cells"]
    assert len(cells) == 6
    assert cells["mean__mRFP"].tolist() == pytest.approx([200] * 6, abs=3)


@pytest.mark.parametrize("verb", ["measure", "analyse"])
def test_no_picture_of_earlier_outlines_stays_beside_new_numbers(tmp_path, made, verb):
    out = tmp_path / "out"

    def run(drawn, **how):
        if verb == "measure":
            measure(made.images, made.truth, out, overlays=drawn, **how)
        else:
            analyse(made.images, out, AnalyseSettings(overlays=drawn), labels=made.truth, **how)
        return {path.name.removesuffix(".jpg").removesuffix("_puncta") for path in (out / "overlays").glob("*.jpg")}

    names = sorted(path.name.removesuffix("_labels.tif") for path in Path(made.truth).glob("*_labels.tif"))
    assert run(3) == set(names)
    old = out / "overlays" / "field_of_a_plate_that_was_larger.jpg"
    old.write_bytes(b"")
    assert run(3) == set(names)
    assert not old.exists()
    if verb == "measure":
        edit_one(made, tmp_path / "c")
        assert run(1, corrections=tmp_path / "c") == {names[0]}
        assert run(3, corrections=tmp_path / "c") == set(names), "drawn anew where they are wanted again"


def test_training_and_evaluation_take_corrected_fields_alone(tmp_path, made):
    name = edit_one(made, tmp_path / "c")
    plate = annotated(made.images, tmp_path / "c")
    assert [(item.name, item.labels) for item in plate.fields] == [(name, tmp_path / "c" / f"{name}_masks.tif")]


def test_annotated_fields_keep_their_own_labels_where_nobody_corrected(tmp_path):
    for name in "fg":
        write_image(tmp_path / "d" / f"{name}.png", np.zeros(FIELD.shape, np.uint8))
        write_labels(tmp_path / "d" / f"{name}_masks.png", FIELD)
    FieldCorrections(tmp_path / "c", "g", FIELD).do("delete", cells=[1])
    plate = annotated(tmp_path / "d", tmp_path / "c")
    assert [item.labels.parent.name for item in plate.fields] == ["d", "c"]


def test_corrections_of_another_plate_are_refused(tmp_path):
    FieldCorrections(tmp_path / "c", "g", FIELD).do("delete", cells=[1])
    with pytest.raises(InputError, match="corrects g and the like, no field of"):
        corrected(plate_of(tmp_path), tmp_path / "c")


def test_a_corrected_image_that_somebody_changed_is_made_again(tmp_path):
    plate = plate_of(tmp_path)
    FieldCorrections(tmp_path / "c", "f", FIELD).do("delete", cells=[1])
    write_labels(tmp_path / "c" / "f_masks.tif", np.zeros_like(FIELD))
    assert sorted(np.unique(read_labels(corrected(plate, tmp_path / "c")[0].fields[0].labels))) == [0, 2, 3]
    write_labels(tmp_path / "c" / "f_masks.tif", np.zeros_like(FIELD))
    bare = replace(plate, fields=(replace(plate.fields[0], labels=None),))
    with pytest.raises(InputError, match="is not what corrections.jsonl says"):
        corrected(bare, tmp_path / "c")


def test_a_field_painted_elsewhere_is_one_stroke_that_can_be_taken_back(tmp_path):
    field = FieldCorrections(tmp_path, "f", FIELD)
    painted = np.array([[1, 1, 9, 2, 2], [1, 0, 9, 2, 2], [3, 3, 3, 3, 3]])
    assert field.become(painted) == [1, 9]
    assert field.become(painted) == []
    assert len(open_corrections(tmp_path).log) == 1
    again = FieldCorrections(tmp_path, "f", FIELD)
    assert again.labels.tolist() == painted.tolist()
    assert again.edited() == [1, 9]
    again.undo()
    assert again.labels.tolist() == FIELD.tolist()


@pytest.mark.parametrize("painted", [FIELD[:2], FIELD.astype(float)], ids=["size", "floats"])
def test_what_is_no_label_image_of_the_field_is_refused_and_not_written(tmp_path, painted):
    with pytest.raises(InputError, match="no label image of this field"):
        FieldCorrections(tmp_path / "corrections", "f", FIELD).become(painted)
    assert not (tmp_path / "corrections").exists()
