"""Runs and plates as napari's layers: where everything lies, how it is drawn, what it is called."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("napari", reason="needs the extra napari")

from cellular.data.formats.images import read_labels, write_image, write_labels
from cellular.data.image import FieldImage
from cellular.errors import InputError
from cellular.files import read_csv
from cellular.jobs.corrections import FieldCorrections
from cellular.jobs.view import open_run
from cellular.napari.layers import (
    KEY,
    choices,
    first_choice,
    image_layers,
    layers_of,
    placing,
    points_layer,
    tracks_layer,
)

FIRST, SECOND = (f"Timepoint_00{t}_220518-ST_C05_s1" for t in (1, 2))


def named(layers):
    return {about["name"]: (data, about, kind) for data, about, kind in layers}


def test_a_run_offers_its_position_over_time_and_its_fields(measured):
    found = choices(open_run(measured))
    assert {name: [item.name for item in items] for name, items in found.items()} == {
        "220518-ST_C05_s1 over time": [FIRST, SECOND],
        FIRST: [FIRST],
        SECOND: [SECOND],
    }


def test_a_field_of_a_run_has_its_channels_cells_and_puncta(measured, made):
    run = open_run(measured)
    layers = named(layers_of(run, choices(run)[SECOND]))
    assert [(name, kind) for name, (_, _, kind) in layers.items()] == [
        ("mRFP", "image"), ("EGFP", "image"), ("transmitted", "image"), ("cells", "labels"), ("puncta", "points"),
    ]  # fmt: skip
    assert [layers[name][1]["colormap"] for name in ("mRFP", "EGFP", "transmitted")] == ["red", "green", "gray"]
    assert [layers[name][1]["visible"] for name in ("mRFP", "EGFP", "transmitted")] == [True, True, False]
    assert layers["EGFP"][1]["metadata"][KEY].role == "EGFP"
    labels, about, _ = layers["cells"]
    assert labels.tolist() == read_labels(made.truth / f"{SECOND}_labels.tif").tolist()
    areas = dict(zip(about["features"]["index"], about["features"]["area"]))
    assert areas == {label: int((labels == label).sum()) for label in range(1, labels.max() + 1) if label in labels}
    spots = read_csv(measured / "puncta.csv").query("field == @SECOND")
    assert layers["puncta"][0].tolist() == spots[["y", "x"]].to_numpy().tolist()


def test_a_position_over_time_is_stacked_with_its_tracks(measured, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(measured, folder)
    rows = [(FIRST, 0, 1, 10.0, 20.0, 7, 0), (SECOND, 1, 2, 11.0, 21.0, 7, 0), (SECOND, 1, 3, 5.0, 6.0, 8, 7)]
    names = ["field", "frame", "label", "y", "x", "track", "parent"]
    (folder / "tracks").mkdir()
    pd.DataFrame(rows, columns=names).assign(lineage=7).to_csv(folder / "tracks" / "tracks.csv", index=False)
    run = open_run(folder)
    assert first_choice(open_run(measured)) == FIRST
    assert first_choice(run) == "220518-ST_C05_s1 over time"
    layers = named(layers_of(run, choices(run)[first_choice(run)]))
    assert layers["EGFP"][0].shape == layers["cells"][0].shape == (2, 160, 160)
    data, about, kind = layers["tracks"]
    assert kind == "tracks"
    assert data.tolist() == [[7, 0, 10, 20], [7, 1, 11, 21], [8, 1, 5, 6]]
    assert about["graph"] == {8: [7]}
    per_frame = read_csv(folder / "puncta.csv")["field"].value_counts()
    assert np.bincount(layers["puncta"][0][:, 0].astype(int)).tolist() == [per_frame[FIRST], per_frame[SECOND]]
    assert len(layers["puncta"][1]["axis_labels"]) == layers["puncta"][1]["ndim"] == 3


def test_states_of_model_and_hand_are_shown_at_each_timepoint(measured, made, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(measured, folder)
    (folder / "cells.parquet").unlink(missing_ok=True)
    cells = read_csv(folder / "cells.csv")
    second = cells["field"] == SECOND
    cells["state"] = np.where(second & (cells["label"] == 1), "activated", np.where(second, "basal", None))
    cells.assign(probability_activated=0.5).to_csv(folder / "cells.csv", index=False)
    originals = [read_labels(made.truth / f"{field}_labels.tif") for field in (FIRST, SECOND)]
    by_hand = FieldCorrections(folder / "corrections", FIRST, originals[0])
    by_hand.do("state", cells=[2], state="Unidentified")
    (folder / "tracks").mkdir()
    rows = [(FIRST, 2, 1.0, 2.0, 7), (SECOND, 1, 3.0, 4.0, 7), (FIRST, 1, 5.0, 6.0, 8), (SECOND, 2, 7.0, 8.0, 8)]
    tracks = pd.DataFrame(rows, columns=["field", "label", "y", "x", "track"]).assign(parent=0, lineage=1)
    tracks.to_csv(folder / "tracks" / "tracks.csv", index=False)
    run = open_run(folder)
    layers = named(layers_of(run, choices(run)[first_choice(run)]))
    data, about, kind = layers["states"]
    assert (kind, about["visible"], data.dtype, data.shape) == ("labels", False, np.uint8, (2, 160, 160))
    assert about["features"]["state"].tolist() == ["basal", "activated", "Unidentified"]
    np.testing.assert_array_equal(data[0], np.where(originals[0] == 2, 3, 0))
    np.testing.assert_array_equal(data[1], np.select([originals[1] == 1, originals[1] > 0], [2, 1]))
    about = layers["tracks"][1]
    assert about["color_by"] == "state"
    assert about["features"]["state"].tolist() == [3, 2, 0, 1]
    assert "features" not in layers["cells"][1], "a number is another cell in the next frame"
    (alone,) = (about for name, (_, about, _) in named(layers_of(run, choices(run)[SECOND])).items() if name == "cells")
    assert set(alone["features"]["state"]) == {"basal", "activated"}


def test_corrected_cells_are_shown_as_corrected(measured, made, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(measured, folder)
    original = read_labels(made.truth / f"{FIRST}_labels.tif")
    FieldCorrections(folder / "corrections", FIRST, original).do("delete", cells=[1])
    run = open_run(folder)
    data, _, _ = named(layers_of(run, choices(run)[FIRST]))["cells"]
    assert 1 in original
    assert data.tolist() == np.where(original == 1, 0, original).tolist()


def test_a_prepared_folder_shows_its_label_images(tmp_path):
    pixels, labels = np.zeros((4, 5, 3), np.uint8), np.array([[1, 1, 0, 0, 2]] * 4, np.uint16)
    write_image(tmp_path / "f.png", pixels + np.uint8(9))
    write_labels(tmp_path / "f_masks.tif", labels)
    run = open_run(tmp_path)
    layers = named(layers_of(run, choices(run)["f"]))
    assert list(layers) == ["picture", "cells"]
    assert layers["picture"][1]["rgb"] is True
    assert layers["cells"][0].tolist() == labels.tolist()
    assert layers["cells"][1]["features"].columns.tolist() == ["index"]


def test_layers_are_placed_in_micrometres():
    image = FieldImage.of(np.arange(8, dtype=np.uint16).reshape(2, 2, 2), ("DNA", "marker:LAMP1"), "raw", 0.65)
    layers = named(image_layers([image], placing(image.pixel_size_um)))
    assert layers["DNA"][1]["scale"] == (0.65, 0.65)
    assert layers["DNA"][1]["units"] == ("um", "um")
    assert layers["DNA"][0].tolist() == [[0, 2], [4, 6]]
    assert [layers[name][1]["colormap"] for name in ("DNA", "marker:LAMP1")] == ["bop blue", "magenta"]


def test_puncta_are_coloured_by_kind_and_as_large_as_in_the_report():
    spots = pd.DataFrame(
        {"field": "f", "y": [1.0, 2], "x": [3.0, 4], "sigma": [2.0, 1], "kind": ["yellow", "red_only"]}
    )
    data, about, _ = points_layer(spots, "puncta", {"f": 0}, placing(None))
    assert data.tolist() == [[1, 3], [2, 4]]
    assert about["size"].tolist() == [10, 5]
    assert (about["border_color"] * 255).round().tolist() == [[240, 228, 66, 255], [204, 121, 167, 255]]
    none = points_layer(spots[:0], "puncta", {"f": 0}, placing(None))
    assert none[0].shape == none[1]["border_color"][:, :2].shape == (0, 2)


def test_a_track_whose_parent_lies_elsewhere_has_no_branch():
    rows = pd.DataFrame({"field": ["f"], "label": 1, "lineage": 4, "track": 5, "parent": 4, "y": 1.0, "x": 2.0})
    assert tracks_layer(rows, {"f": 0}, placing(None, 2))[1]["graph"] == {}


def test_fields_of_different_sizes_are_no_position_over_time(tmp_path):
    for time, side in ((1, 4), (2, 5)):
        write_image(tmp_path / f"a_A01_s1_t{time}.tif", np.ones((side, 4), np.uint16))
    run = open_run(tmp_path, pattern=r"(?P<series>a)_(?P<well>A01)_s(?P<site>\d)_t(?P<timepoint>\d)")
    over_time = next(name for name in choices(run) if name.endswith("over time"))
    with pytest.raises(InputError, match="differ in size"):
        layers_of(run, choices(run)[over_time])


def test_napari_takes_every_layer(qtbot, measured):
    from napari.layers import Layer

    run = open_run(measured)
    for frames in choices(run).values():
        for data, about, kind in layers_of(run, frames):
            layer = Layer.create(data, about, kind)
            assert layer.name == about["name"]
            assert json.dumps([str(unit) for unit in layer.units]) == json.dumps(["pixel"] * layer.ndim)
