"""Layers that are open, segmented and measured: roles by name, and the same numbers as the verbs give."""

from dataclasses import replace
from threading import Event

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("napari", reason="needs the extra napari")

from napari.layers import Image

from cellular.data.image import load_labels, read_field
from cellular.errors import InputError
from cellular.files import read_csv
from cellular.jobs.segment import segment
from cellular.jobs.view import open_run
from cellular.napari.in_memory import Cancelled, images_of, measure_frame, segment_frames
from cellular.segment.settings import SegmentSettings

PLANE = np.arange(12, dtype=np.uint16).reshape(3, 4)
QUICK = SegmentSettings(diameter=30, augment=False)


def test_layers_are_channels_by_their_names():
    layers = [Image(PLANE, name="DAPI"), Image(PLANE + 1, name="mCherry"), Image(PLANE, name="what")]
    (image,) = images_of(layers)
    assert image.roles == ("DNA", "mRFP", "marker:what")
    assert image.plane("mRFP").tolist() == (PLANE + 1).tolist()
    assert image.pixel_size_um is None


def test_pixel_sizes_are_taken_in_any_unit_of_length():
    (image,) = images_of([Image(PLANE, name="GFP", scale=(650, 650), units=("nm", "nm"))])
    assert image.pixel_size_um == pytest.approx(0.65)


def test_a_stack_is_a_frame_a_timepoint():
    images = images_of([Image(np.stack([PLANE, PLANE + 5]), name="GFP")])
    assert [image.plane("EGFP")[0, 0] for image in images] == [0, 5]


def test_colours_stand_alone():
    colours = Image(np.zeros((3, 4, 3), np.uint8), rgb=True, name="photo")
    assert images_of([colours])[0].kind == "picture"
    with pytest.raises(InputError, match="photo has all colours"):
        images_of([colours, Image(PLANE, name="GFP")])


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ([], "choose one"),
        ([Image(PLANE, name="GFP"), Image(PLANE[:2], name="RFP")], "of one size"),
        ([Image(np.zeros((2, 2, 2, 2)), name="4D")], r"\(Y, X\)"),
        ([Image(PLANE, name="GFP"), Image(PLANE, name="EGFP")], "two of the layers are EGFP"),
    ],
)
def test_layers_that_make_no_image_are_refused(layers, said):
    with pytest.raises(InputError, match=said):
        images_of(layers)


def test_a_segmented_frame_is_what_the_verb_segments(made, tmp_path):
    plate = open_run(made.images).plate
    plate = replace(plate, fields=plate.fields[:1])
    done = segment(plate, tmp_path / "segmented", settings=QUICK, device="cpu")
    ((labels, cells),) = segment_frames([read_field(plate.fields[0])], "starter", QUICK, Event(), "cpu")
    pd.testing.assert_frame_equal(cells.drop(columns="image"), done.cells.drop(columns="image"), check_dtype=False)
    assert labels.max() == len(cells) > 0


def test_segmenting_ends_when_it_is_told_to(made):
    stop, image = Event(), read_field(open_run(made.images).plate.fields[0])
    frames = segment_frames([image, image], "starter", QUICK, stop, "cpu")
    next(frames)
    stop.set()
    with pytest.raises(Cancelled):
        next(frames)


def test_a_measured_frame_is_what_the_verb_measures(measured):
    run = open_run(measured)
    item = run.plate.fields[1]
    image = read_field(item)
    tables = measure_frame(image, load_labels(item), item.name, run.plate)
    for name in ("cells", "puncta"):
        there = read_csv(measured / f"{name}.csv").query("field == @item.name").reset_index(drop=True)
        pd.testing.assert_frame_equal(tables[name], there[list(tables[name])], check_dtype=False, rtol=1e-6)


def test_a_deleted_cell_is_no_ground_in_a_measured_frame(measured):
    run = open_run(measured)
    item = run.plate.fields[1]
    image, labels = read_field(item), load_labels(item)
    before = measure_frame(image, labels, item.name, run.plate)["images"]
    kept = np.where(labels == labels.max(), labels, 0)
    after = measure_frame(image, kept, item.name, run.plate)["images"]
    assert after["background__mRFP"].item() == before["background__mRFP"].item()


def test_nothing_is_measured_without_cells(measured):
    image = read_field(open_run(measured).plate.fields[0])
    with pytest.raises(InputError, match="no cell in the label layer"):
        measure_frame(image, np.zeros(image.shape, np.uint16))
