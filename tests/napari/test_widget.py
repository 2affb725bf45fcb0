"""The widget as it is used: open, choose, segment, cancel, paint, save, and what is queued for all fields."""

import shutil

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("napari", reason="needs the extra napari")

from cellular.cli.main import main
from cellular.data.formats.images import read_labels
from cellular.errors import InputError
from cellular.files import read_csv, write_json
from cellular.jobs.corrections import FieldCorrections, open_corrections
from cellular.jobs.lessons import MODEL
from cellular.jobs.queue import DONE, STOPPED
from cellular.jobs.view import open_run
from cellular.report.colours import STATES, rgb

FIRST, SECOND = (f"Timepoint_00{t}_220518-ST_C05_s1" for t in (1, 2))


@pytest.fixture
def run(measured, tmp_path):
    """A copy of the run that may be corrected."""
    shutil.copytree(measured, tmp_path / "run")
    return tmp_path / "run"


def press(button):
    button.changed.emit(True)


def opened(widget, folder, field=FIRST):
    widget.fields.folder.value = folder
    press(widget.fields.open)
    widget.fields.field.value = field
    return widget.session.viewer.layers


def test_a_run_is_opened_and_another_field_takes_the_place_of_the_first(widget, run):
    layers = opened(widget, run, SECOND)
    assert [layer.name for layer in layers] == ["mRFP", "EGFP", "transmitted", "cells", "puncta"]
    assert widget.session.shown() == SECOND
    assert [layer.name for layer in widget.trying.images.value] == ["mRFP", "EGFP", "transmitted"]
    assert widget.trying.cells.value is layers["cells"]
    own = layers["puncta"].features["field"].unique().tolist()
    assert own == [SECOND]


def test_layers_that_the_reader_made_are_the_widget_s(widget, run):
    from napari.layers import Layer

    from cellular.napari.reader import read_folder

    for parts in read_folder(str(run)):
        widget.session.viewer.add_layer(Layer.create(*parts))
    assert widget.fields.field.value == FIRST
    assert widget.fields.folder.value == run


def test_a_folder_that_is_no_plate_is_told_and_changes_nothing(widget, run, tmp_path):
    layers = opened(widget, run)
    (tmp_path / "empty").mkdir()
    widget.fields.folder.value = tmp_path / "empty"
    press(widget.fields.open)
    assert str(tmp_path / "empty") in widget.status.value
    assert len(layers) == 5
    assert widget.session.run.folder == run


def test_what_was_painted_is_saved_as_corrections_and_the_run_s_label_image_stays(widget, run, made):
    cells = opened(widget, run)["cells"]
    before = read_labels(made.truth / f"{FIRST}_labels.tif")
    cells.data[:3, :4] = 99
    widget.fields.field.value = SECOND
    assert "save corrections" in widget.status.value
    assert widget.session.shown() == widget.fields.field.value == FIRST
    press(widget.fields.save)
    expected = before.copy()
    expected[:3, :4] = 99
    assert read_labels(run / "corrections" / f"{FIRST}_masks.tif").tolist() == expected.tolist()
    assert read_labels(made.truth / f"{FIRST}_labels.tif").tolist() == before.tolist()
    (entry,) = open_corrections(run / "corrections").log
    assert entry["operation"] == "paint"
    assert 99 in entry["cells"]
    press(widget.fields.save)
    assert widget.status.value == "nothing was painted"
    assert len(open_corrections(run / "corrections").log) == 1
    widget.fields.field.value = SECOND
    assert widget.session.shown() == SECOND


def test_the_state_of_the_picked_cell_is_told_and_stands_in_its_features(widget, run):
    cells = opened(widget, run)["cells"]
    cells.selected_label = 2
    widget.fields.state.value = "Activated (unfed)"
    press(widget.fields.tell)
    assert f"{FIRST}, cell 2: activated" in widget.status.value
    assert open_corrections(run / "corrections").states()[["field", "label", "state"]].to_numpy().tolist() == [
        [FIRST, 2, "activated"]
    ]
    told = cells.features.set_index("index")
    assert told["state"].dropna().to_dict() == {2: "activated"}
    assert told["area"].notna().all()
    assert widget.fields.state.value == "Activated (unfed)"
    assert not widget.all_fields.teach.enabled
    cells.selected_label = 99
    press(widget.fields.tell)
    assert "no cell 99" in widget.status.value
    cells.data[:3, :4] = 99
    press(widget.fields.tell)
    assert "save corrections" in widget.status.value
    assert len(open_corrections(run / "corrections").log) == 1


def test_the_state_of_a_frame_is_that_field_s(widget, run):
    cells = opened(widget, run, "220518-ST_C05_s1 over time")["cells"]
    widget.session.viewer.dims.set_current_step(0, 1)
    cells.selected_label = 1
    widget.fields.state.value = "Basal (fed)"
    press(widget.fields.tell)
    assert open_corrections(run / "corrections").states()["field"].tolist() == [SECOND]
    states = widget.session.viewer.layers["states"]
    assert states.data[0].max() == 0
    np.testing.assert_array_equal(states.data[1] == 1, cells.data[1] == 1)
    assert [layer for layer in widget.trying.cells.choices if layer] == [cells], "states are no cells to measure"
    states.visible = True
    assert states.get_status((1, *np.argwhere(cells.data[1] == 1)[0]))["value"] == "1; state: basal"


def test_over_time_the_features_are_those_of_the_frame_that_is_seen(widget, run):
    cells = opened(widget, run, "220518-ST_C05_s1 over time")["cells"]
    table = read_csv(run / "cells.csv").set_index("field")
    for frame, field in ((1, SECOND), (0, FIRST)):
        widget.session.viewer.dims.set_current_step(0, frame)
        assert cells.features["index"].tolist() == table.loc[field, "label"].tolist()
        assert cells.features["area"].tolist() == table.loc[field, "area"].tolist()
    assert table.loc[FIRST, "area"].tolist() != table.loc[SECOND, "area"].tolist()


def test_tracks_are_coloured_by_the_state_that_is_told_unless_another_column_was_chosen(widget, run):
    rows = [(FIRST, 0, 1, 10.0, 20.0, 7), (SECOND, 1, 1, 11.0, 21.0, 7)]
    (run / "tracks").mkdir()
    made = pd.DataFrame(rows, columns=["field", "frame", "label", "y", "x", "track"]).assign(lineage=7, parent=0)
    made.to_csv(run / "tracks" / "tracks.csv", index=False)
    layers = opened(widget, run, "220518-ST_C05_s1 over time")
    cells, tracks = layers["cells"], layers["tracks"]
    assert tracks.color_by == "track_id", "no state is told yet"
    cells.selected_label = 1
    for frame, state, expected in ((1, "Activated (unfed)", [0, 2]), (0, "Basal (fed)", [1, 2])):
        widget.session.viewer.dims.set_current_step(0, frame)
        widget.fields.state.value = state
        press(widget.fields.tell)
        assert tracks.features["state"].tolist() == expected
        assert tracks.color_by == "state"
    colours = [np.array([*rgb(STATES[state]), 255]) / 255 for state in ("basal", "activated")]
    np.testing.assert_allclose(tracks.track_colors, colours, atol=1e-6)
    tracks.color_by = "label"
    widget.fields.state.value = "As the model said"
    press(widget.fields.tell)
    assert (tracks.color_by, tracks.features["state"].tolist()) == ("label", [0, 2])


def test_frames_of_a_position_are_saved_each_to_its_field(widget, run):
    cells = opened(widget, run, "220518-ST_C05_s1 over time")["cells"]
    cells.data[1, :2, :2] = 50
    press(widget.fields.save)
    assert open_corrections(run / "corrections").fields == (SECOND,)


def test_corrections_made_elsewhere_meanwhile_are_not_painted_over(widget, run, made):
    cells = opened(widget, run)["cells"]
    original = read_labels(made.truth / f"{FIRST}_labels.tif")
    FieldCorrections(run / "corrections", FIRST, original).do("delete", cells=[1])
    cells.data[:3, :4] = 99
    press(widget.fields.save)
    assert "corrected elsewhere meanwhile" in widget.status.value
    assert len(open_corrections(run / "corrections").log) == 1


def test_two_fields_that_are_right_can_be_learnt_from(widget, run):
    opened(widget, run)
    press(widget.fields.right)
    assert not widget.all_fields.teach.enabled
    widget.fields.field.value = SECOND
    press(widget.fields.right)
    assert open_corrections(run / "corrections").fields == (FIRST, SECOND)
    assert widget.all_fields.teach.enabled


def test_layers_are_segmented_and_measured(widget, run, qtbot):
    layers = opened(widget, run)
    widget.trying.diameter.value = 30
    press(widget.trying.segment)
    assert widget.trying.cancel.enabled
    qtbot.waitUntil(lambda: "segmented" in layers and widget.trying.segment.enabled, timeout=60_000)
    found = layers["segmented"]
    assert found.features["index"].tolist() == np.unique(found.data[found.data > 0]).tolist()
    assert widget.trying.cells.value is found
    press(widget.trying.measure)
    qtbot.waitUntil(lambda: "puncta measured" in layers, timeout=60_000)
    areas = dict(zip(found.features["index"], found.features["area"]))
    assert areas == {label: int((found.data == label).sum()) for label in areas}
    assert not (run / "corrections").exists()


def test_segmenting_is_cancelled(widget, run, qtbot):
    layers = opened(widget, run)
    press(widget.trying.segment)
    press(widget.trying.cancel)
    qtbot.waitUntil(lambda: widget.trying.segment.enabled, timeout=60_000)
    assert widget.status.value == "cancelled"
    assert "segmented" not in layers


@pytest.mark.parametrize(
    ("numbers", "said"), [("2 x", "channels are numbers"), ("1 2 3 4 5", "channel")], ids=["words", "many"]
)
def test_channels_that_cannot_be_meant_are_told(widget, run, qtbot, numbers, said):
    opened(widget, run)
    widget.trying.numbers.value = numbers
    press(widget.trying.segment)
    qtbot.waitUntil(lambda: said in widget.status.value and widget.trying.segment.enabled, timeout=60_000)


def test_the_queued_commands_are_the_verbs(made, tmp_path, monkeypatch):
    """What the buttons queue is what `cellular` takes, from a bare plate to a run that is measured again."""
    from cellular.napari.jobs_pane import measure_words, segment_words

    plate = shutil.copytree(made.images, tmp_path / "images")
    bare = open_run(plate, channels=["mRFP=w2", "EGFP=w1"])
    with pytest.raises(InputError, match="segment all fields first"):
        measure_words(bare)
    words = segment_words(bare, "starter", 30, None)
    assert words[words.index("--out") + 1] == str(bare.folder / "segmented_starter_30px")
    assert main([*words, "--device", "cpu"]) == 0
    segmented = open_run(words[words.index("--out") + 1])
    assert main(measure_words(segmented)) == 0
    measured = open_run(segmented.folder.with_name("segmented_starter_30px_measured"))
    with pytest.raises(InputError, match="nothing was corrected"):
        measure_words(measured)
    labels = read_labels(segmented.field(FIRST).labels)
    FieldCorrections(measured.corrections, FIRST, labels).do("delete", cells=[1])
    before = len(measured.tables["cells"])
    assert main(measure_words(measured)) == 0
    assert len(read_csv(measured.folder / "cells.csv")) == before - 1


def test_a_job_is_watched_until_it_is_over_and_can_be_stopped(widget, run, qtbot):
    opened(widget, run)
    pane, queue = widget.all_fields, widget.session.queue()
    pane._begin("Ask", ["--version"], None)
    qtbot.waitUntil(lambda: not pane.stop.enabled, timeout=60_000)
    assert widget.status.value.startswith("Ask: done")
    pane._begin("Long", ["simulate", str(run / "sim"), "--fields", "600"], None)
    press(pane.stop)
    qtbot.waitUntil(lambda: not pane.stop.enabled, timeout=60_000)
    assert [job.state for job in queue.jobs()] == [DONE, STOPPED]


def test_a_lesson_is_told_and_decided(widget, run):
    scores = {"instance.0.50.f1": 0.5}
    told = {"model": MODEL, "learnt": [FIRST], "settled": [], "held_out": [SECOND], "before": scores}
    folder = run / "teach" / "000001"
    write_json(folder / "teach.json", {**told, "after": {"instance.0.50.f1": 0.75}, "kept": None})
    (folder / MODEL).write_bytes(b"weights")
    opened(widget, run)
    assert "0.500 -> 0.750" in widget.all_fields.lesson.value
    assert SECOND in widget.all_fields.lesson.value
    press(widget.all_fields.keep)
    assert (run / "models" / "000001.safetensors").read_bytes() == b"weights"
    assert str(run / "models" / "000001.safetensors") in widget.trying.model.choices
    assert "(kept)" in widget.all_fields.lesson.value
