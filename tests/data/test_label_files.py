"""Which file holds whose labels: label images, and the outlines of other programs, for every verb that takes labels."""

import json
import logging
import shutil

import numpy as np
import pytest
import roifile
import tifffile

from cellular.cli.main import EXIT_ERROR, main
from cellular.data.find import find_label_fields, find_plate
from cellular.data.formats.image_file import describe_image
from cellular.data.formats.images import read_image, write_image, write_labels
from cellular.data.formats.read import read_any_labels
from cellular.data.image import load_labels
from cellular.data.label_files import find_labels
from cellular.errors import InputError
from cellular.files import read_csv
from cellular.jobs.export import export
from cellular.labels.checks import check_cells

LABELS = np.zeros((40, 50), np.uint16)
LABELS[4:16, 5:25] = 7
LABELS[22:34, 30:45] = 2
SQUARES = {7: [[5, 4], [25, 4], [25, 16], [5, 16]], 2: [[30, 22], [45, 22], [45, 34], [30, 34]]}


def geojson(path):
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
            "properties": {"objectType": "annotation", "name": str(label)},
        }
        for label, ring in SQUARES.items()
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))


def rois(path):
    found = [roifile.ImagejRoi.frompoints(np.array(ring), name=str(label)) for label, ring in SQUARES.items()]
    for roi, label in zip(found, SQUARES):
        roi.props = f"label: {label}\n"
    roifile.roiwrite(path, found)


WRITERS = {
    "_masks.tif": lambda path: write_labels(path, LABELS),
    "_cp_masks.png": lambda path: write_labels(path, LABELS),
    "_seg.npy": lambda path: np.save(path, {"masks": LABELS}, allow_pickle=True),
    ".geojson": geojson,
    "_rois.zip": rois,
}


@pytest.fixture
def images(tmp_path):
    rng = np.random.default_rng(0)
    for token in ("w1", "w2"):
        pixels = (rng.normal(100, 2, LABELS.shape) + 50 * (LABELS > 0)).astype(np.uint16)
        write_image(tmp_path / "images" / f"A01_s1_{token}.tif", pixels)
    (tmp_path / "labels").mkdir()
    return tmp_path / "images"


@pytest.mark.parametrize("ending", WRITERS)
def test_measure_takes_corrected_outlines_with_their_numbers(ending, images, tmp_path):
    WRITERS[ending](tmp_path / "labels" / f"A01_s1{ending}")
    how = ["--channels", "mRFP=w2", "EGFP=w1", "--min_sigma", "1", "--max_sigma", "3", "--overlays", "0"]
    argv = ["measure", str(images), str(tmp_path / "labels"), "--out", str(tmp_path / "out"), *how]
    assert main(argv) == 0
    cells = read_csv(tmp_path / "out" / "cells.csv")
    assert dict(zip(cells["label"], cells["area"])) == {2: 180, 7: 240}


@pytest.mark.parametrize("verb", ["measure", "analyse", "quality"])
def test_labels_of_none_of_the_fields_say_what_is_looked_for_and_what_is_there(verb, images, tmp_path, capsys):
    """`analyse` said that no label image showed a cell, and `quality` went on without."""
    write_labels(tmp_path / "labels" / "B07_masks.tif", LABELS)
    given = [str(tmp_path / "labels")] if verb == "measure" else ["--labels", str(tmp_path / "labels")]
    roles = ["--channels", "mRFP=w1", "EGFP=w2"]
    assert main([verb, str(images), *given, "--out", str(tmp_path / "out"), *roles]) == EXIT_ERROR
    said = capsys.readouterr().err
    assert "no label image of any of the 1 fields" in said
    assert "A01_s1_masks.tif" in said
    assert "B07_masks.tif" in said
    assert not (tmp_path / "out").exists()


def test_images_are_not_their_own_labels(tmp_path):
    """Every level was a cell; so it was of a copy of the image."""
    write_image(tmp_path / "a.png", LABELS.astype(np.uint8) + 1)
    write_image(tmp_path / "other" / "a.png", LABELS.astype(np.uint8))
    (tmp_path / "copies").mkdir()
    shutil.copy(tmp_path / "a.png", tmp_path / "copies")
    for folder in (tmp_path, tmp_path / "copies"):
        with pytest.raises(InputError, match="a.png is the image itself"):
            find_plate(tmp_path, labels=folder)
    assert find_plate(tmp_path, labels=tmp_path / "other").fields[0].labels == tmp_path / "other" / "a.png"


def test_images_beside_annotations_are_not_taken_for_labels(images, tmp_path):
    """A data set of COCO holds its images: their levels were cells, and what the file tells was not read."""
    write_labels(tmp_path / "labels" / "A01_s1_masks.tif", LABELS)
    export(tmp_path / "labels", "coco", tmp_path / "exported", images=images)
    for image in images.iterdir():
        shutil.copy(image, tmp_path / "exported")
    found = find_plate(images, labels=tmp_path / "exported").fields[0]
    assert found.labels.suffix == ".json"
    assert np.unique(load_labels(found)).tolist() == [0, 1, 2]
    for image in images.iterdir():  # written again, they are no copies
        write_image(tmp_path / "exported" / f"{image.stem}.png", read_image(image))
        (tmp_path / "exported" / image.name).unlink()
    assert find_plate(images, labels=tmp_path / "exported").fields[0].labels == found.labels


@pytest.mark.parametrize(
    ("name", "content"),
    [("A01_s1.txt", "Exposure 100 ms\n"), ("A01_s1.txt", "1 2\n3 4\n"), ("A01_s1.txt", ""), ("A01_s1.zip", "none")],
)
def test_what_a_microscope_tells_beside_label_images_is_no_annotation(name, content, images, tmp_path):
    """Label images beside it were refused for it; beside an empty text, the field had no cell."""
    write_image(tmp_path / "labels" / "A01_s1.tif", LABELS)
    (tmp_path / "labels" / name).write_text(content)
    (item,) = find_plate(images, labels=tmp_path / "labels").fields
    np.testing.assert_array_equal(load_labels(item), LABELS)


def test_json_of_another_kind_hides_no_annotations(images, tmp_path, caplog):
    write_labels(tmp_path / "labels" / "A01_s1_masks.tif", LABELS)
    export(tmp_path / "labels", "coco", tmp_path / "coco", images=images)
    (found,) = (tmp_path / "coco").glob("*.json")
    (found.parent / "a.json").write_text('{"a": 1}')
    (item,) = find_plate(images, labels=found.parent).fields
    assert item.labels == found
    assert "1 JSON file(s) without annotations were left out" in caplog.text
    found.unlink()
    with pytest.raises(InputError, match="a.json is neither COCO"):
        find_plate(images, labels=found.parent)


def test_numbers_in_pieces_all_over_are_no_labels(images, tmp_path, capsys):
    """Grey levels became cells, and so did the classes of a mask of two."""
    grey = read_image(images / "A01_s1_w1.tif") - 90
    with pytest.raises(InputError, match="a.png: its numbers are each in pieces all over it"):
        check_cells(grey, "a.png")
    classes = np.tile(np.where(LABELS > 0, LABELS // 4 + 1, 0), (2, 2))
    with pytest.raises(InputError, match="as grey levels of an image are, or classes"):
        check_cells(classes, "a.png")
    cells = LABELS.copy()
    cells[2:4, 5:25:2] = 7  # a ragged edge, of pieces that touch by corners or not at all
    cells[0, ::2] = 7
    assert check_cells(cells, "a.png") is cells
    assert main(["export", str(images), "--to", "coco", "--out", str(tmp_path / "out")]) == EXIT_ERROR
    assert "its numbers are each in pieces all over it" in capsys.readouterr().err


def test_a_background_with_a_number_does_not_hide_grey_levels_and_classes():
    """Its one large piece was most of the commonest numbers; and levels of one pixel each are in one piece."""
    rng = np.random.default_rng(1)
    grey = np.full((64, 64), 5, np.uint8)
    grey[8:40, 8:40] = rng.integers(0, 200, (32, 32))
    with pytest.raises(InputError, match="its numbers are each in pieces all over it"):
        check_cells(grey, "a.png")
    with pytest.raises(InputError, match="its numbers are each of a pixel or two"):
        check_cells(rng.integers(0, 2**16, (64, 64)).astype(np.uint16), "a.tif")
    sheet = np.tile(np.pad(np.ones((6, 6), np.uint8), 3), (4, 4))
    for classes, cells in ((sheet + 1, 2), (2 - sheet, 1)):
        with pytest.raises(InputError, match=f"its one label, {cells}, is in 16 pieces"):
            check_cells(classes, "a.tif")
    numbered = np.where(sheet, np.kron(np.arange(2, 18).reshape(4, 4), np.ones((12, 12), int)), 1).astype(np.uint16)
    with pytest.raises(InputError, match="no pixel is 0, and label 1 surrounds 16 gaps"):  # would be a cell itself
        check_cells(numbered, "a.tif")
    without_gaps = np.kron(np.arange(1, 10).reshape(3, 3), np.ones((5, 5), int)).astype(np.uint16)
    assert check_cells(without_gaps, "a.tif") is without_gaps
    two = np.zeros((20, 40), np.uint16)
    two[2:18, 2:18], two[2:18:3, 22:38] = 1, 2  # one of two cells is in pieces
    assert check_cells(two, "a.tif") is two


def test_of_what_cellpose_wrote_of_one_image_the_corrected_file_is_taken(tmp_path):
    for ending in ("_cp_masks.png", "_seg.npy", "_rois.zip"):
        WRITERS[ending](tmp_path / f"A01{ending}")
    assert find_labels(tmp_path) == {"A01": tmp_path / "A01_seg.npy"}
    geojson(tmp_path / "A01.geojson")
    with pytest.raises(InputError, match=r"Two label images for field A01: .*remove one"):
        find_labels(tmp_path)


def test_labels_in_a_store_of_the_image_are_labels(images, tmp_path):
    """A store was taken for a folder of masks, one a cell; of tracks, its image was the label image."""
    pytest.importorskip("ome_zarr")
    write_labels(tmp_path / "labels" / "A01_s1_masks.tif", LABELS)
    export(tmp_path / "labels", "ome-zarr", tmp_path / "stores", images=images)
    (item,) = find_plate(images, labels=tmp_path / "stores").fields
    np.testing.assert_array_equal(load_labels(item), LABELS)
    (item,) = find_label_fields(tmp_path / "stores").fields
    assert item.name == "A01_s1"
    np.testing.assert_array_equal(load_labels(item), LABELS)


@pytest.mark.parametrize("to", ["coco", "yolo"])
def test_exports_to_coco_and_yolo_are_labels_again_in_the_order_of_their_numbers(to, images, tmp_path):
    """They were said to hold no label images: only `prepare` read what `export` wrote."""
    write_labels(tmp_path / "labels" / "A01_s1_masks.tif", LABELS)
    export(tmp_path / "labels", to, tmp_path / "exported", images=images)
    plate = find_plate(images, labels=tmp_path / "exported")
    expected = np.where(LABELS == 2, 1, np.where(LABELS == 7, 2, 0))
    assert np.array_equal(load_labels(plate.fields[0]), expected)


def test_one_coco_image_of_two_fields_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "film.tif", np.zeros((2, 40, 50), np.uint16), imagej=True, metadata={"axes": "TYX"})
    write_labels(tmp_path / "labels" / "film_masks.tif", LABELS)
    export(tmp_path / "labels", "coco", tmp_path / "exported")
    with pytest.raises(InputError, match="its film would be the image of 2 fields"):
        find_plate(tmp_path / "film.tif", labels=tmp_path / "exported")


def test_what_a_label_image_cannot_show_of_outlines_is_said(tmp_path, caplog):
    """A cell that lies wholly under another was not counted, without a word."""
    under, over = ([[2, 2], [8, 2], [8, 8], [2, 8]], [[1, 1], [9, 1], [9, 9], [1, 9]])
    shapes = [roifile.ImagejRoi.frompoints(np.array(ring), name=str(k)) for k, ring in enumerate((under, over), 1)]
    roifile.roiwrite(tmp_path / "A01_rois.zip", shapes)
    with caplog.at_level(logging.WARNING):
        assert np.unique(read_any_labels(tmp_path / "A01_rois.zip", (12, 12))).tolist() == [0, 2]
    assert "cells overlap in 36 px" in caplog.text
    assert "1 of 2 lie wholly under others" in caplog.text
    caplog.clear()
    (tmp_path / "b.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    read_any_labels(tmp_path / "b.txt", (12, 12))
    assert "1 cells have a box and no outline" in caplog.text


def test_outlines_without_an_image_say_what_to_do(tmp_path, capsys):
    for time in (1, 2):
        geojson(tmp_path / f"a_t{time}.geojson")
    argv = ["track", str(tmp_path), "--out", str(tmp_path / "out"), "--pattern", r"(?P<series>.+)_t(?P<timepoint>\d+)"]
    assert main(argv) == EXIT_ERROR
    assert "cellular export OUTLINES --images IMAGES --to cellpose" in capsys.readouterr().err


@pytest.mark.parametrize("value", [1, 2, 255])
def test_a_mask_of_foreground_is_refused_by_whatever_takes_labels(value, images, tmp_path, capsys):
    mask = np.where(LABELS > 0, value, 0).astype(np.uint8)
    write_labels(tmp_path / "labels" / "A01_s1_masks.tif", mask)
    given, out = str(tmp_path / "labels"), str(tmp_path / "out")
    roles = ["--channels", "mRFP=w2", "EGFP=w1"]
    for argv in (["measure", str(images), given, *roles], ["analyse", str(images), "--labels", given, *roles]):
        assert main([*argv, "--out", out]) == EXIT_ERROR
        assert f"A01_s1_masks.tif: its one label, {value}, is in 2 pieces" in capsys.readouterr().err
        assert not (tmp_path / "out" / "cells.csv").exists()


@pytest.mark.parametrize("value", [1, 255])
def test_a_foreground_of_touching_cells_is_refused_though_it_is_in_one_piece(value, caplog):
    """Twenty diamonds that touch by their tips: a gap is left at each of the 5 x 6 corners of their squares."""
    cell = np.abs(np.mgrid[-4:5, -4:5]).sum(axis=0) <= 4
    sheet = np.tile(cell, (4, 5)).astype(np.uint8) * value
    with pytest.raises(InputError, match=f"a.png: its one label, {value}, surrounds 30 gaps"):
        check_cells(sheet, "a.png")
    check_cells(np.tile(cell, (2, 2)).astype(np.uint8) * value, "a.png")  # of four cells it cannot be told
    assert ("its one label is 255, white, and taken for one cell" in caplog.text) == (value == 255)


def test_one_cell_with_a_speck_is_a_cell():
    labels = np.zeros((20, 20), np.uint16)
    labels[2:12, 2:12] = 1
    labels[15:17, 15:17] = 1
    assert check_cells(labels, "a.tif") is labels
    labels[14:18, 14:18] = 1
    with pytest.raises(InputError, match="in 2 pieces"):
        check_cells(labels, "a.tif")
    assert check_cells(labels * 0, "a.tif").max() == 0
    labels[0, 0] = 2
    assert check_cells(labels, "a.tif") is labels


def test_labels_beside_images(images):
    np.save(images / "A01_s1_seg.npy", {"masks": LABELS}, allow_pickle=True)
    plate = find_plate(images)
    np.testing.assert_array_equal(load_labels(plate.fields[0]), LABELS)


def test_images_of_kinds_that_are_not_read_are_named(images):
    (images / "B01.bmp").write_bytes(b"")
    (images / "C01.webp").write_bytes(b"")
    assert find_plate(images).notes == ("2 files are not read, first B01.bmp; save .bmp, .webp as TIFF",)
    for path in images.glob("*.tif"):
        path.unlink()
    with pytest.raises(InputError, match=r"holds no images, only .bmp, .webp: save them as TIFF or PNG"):
        find_plate(images)


@pytest.mark.parametrize(("unit", "per_unit", "size"), [("inch", 72, None), ("cm", 28.35, None), ("um", 2, 0.5)])
def test_dots_an_inch_that_imagej_took_for_a_scale_are_none(tmp_path, unit, per_unit, size):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, LABELS, imagej=True, resolution=(per_unit, per_unit), metadata={"unit": unit})
    assert describe_image(path)[0].pixel_size_um == size


@pytest.mark.parametrize("beside", [True, False])
def test_labels_of_each_of_a_fields_channels_are_nobodys(tmp_path, beside):
    """Those that came first were taken for the cells, of a folder of images those that a set gave first."""
    place = tmp_path if beside else tmp_path / "labels"
    for n in (1, 2):
        write_image(tmp_path / f"x_w{n}.tif", np.zeros(LABELS.shape, np.uint16))
        write_labels(place / f"x_w{n}_masks.tif", LABELS)
    labels = None if beside else place
    with pytest.raises(InputError, match=r"Two label images for field x: .*x_w1_masks\.tif and .*x_w2_masks\.tif"):
        find_plate(tmp_path, labels=labels)
    write_labels(place / "x_masks.tif", LABELS)
    assert find_plate(tmp_path, labels=labels).fields[0].labels == place / "x_masks.tif"
    for name in ("x", "x_w2"):
        (place / f"{name}_masks.tif").unlink()
    assert find_plate(tmp_path, labels=labels).fields[0].labels == place / "x_w1_masks.tif"


@pytest.mark.parametrize(
    ("names", "shape", "labels"),
    [
        (["film.tif"], (3, 40, 50), "film_masks.tif"),
        (["C1-film.tif", "C2-film.tif"], (3, 40, 50), "C1-film_masks.tif"),
        (["Pos0/img_000000000_GFP_000.tif", "Pos1/img_000000000_GFP_000.tif"], (40, 50), "img_000000000_GFP_000.png"),
    ],
)
def test_one_label_image_is_not_that_of_several_fields(tmp_path, names, shape, labels):
    """The cells of one timepoint, or of one position, were those of all of them."""
    for name in names:
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        axes = {"imagej": True, "metadata": {"axes": "TYX"}} if len(shape) == 3 else {}
        tifffile.imwrite(tmp_path / "images" / name, np.ones(shape, np.uint16), **axes)
    write_labels(tmp_path / "labels" / labels, LABELS)
    with pytest.raises(InputError, match=r"would be of .* and of .*, by the names of their images: give each its own"):
        find_plate(tmp_path / "images", labels=tmp_path / "labels")
    for item in find_plate(tmp_path / "images").fields:
        write_labels(tmp_path / "own" / f"{item.name}_masks.tif", LABELS)
    assert all(item.labels for item in find_plate(tmp_path / "images", labels=tmp_path / "own").fields)


def test_a_folder_of_images_of_other_names_is_not_passed_over_in_silence(tmp_path, capsys):
    write_image(tmp_path / "images" / "A1_01_1_1_GFP_001.tif", np.ones((40, 50), np.uint16))
    write_labels(tmp_path / "labels" / "A01_s1_masks.tif", LABELS)
    command = ["export", str(tmp_path / "labels"), "--to", "cellpose", "--images", str(tmp_path / "images")]
    assert main([*command, "-o", str(tmp_path / "out")]) == EXIT_ERROR
    assert "holds no image called as A01_s1_masks.tif, nor as any other of 1" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_labels_of_a_file_of_timepoints_are_not_exported_with_one_of_them(tmp_path, capsys):
    tifffile.imwrite(tmp_path / "film.tif", np.ones((3, 40, 50), np.uint16), imagej=True, metadata={"axes": "TYX"})
    write_labels(tmp_path / "labels" / "film_masks.tif", LABELS)
    command = ["export", str(tmp_path / "labels"), "--to", "cellpose", "--images", str(tmp_path)]
    assert main([*command, "-o", str(tmp_path / "out")]) == EXIT_ERROR
    assert "labels called film would be of film_t001 and of film_t002, one file" in capsys.readouterr().err
