"""Labels out, and back in through each format's own independent reader."""

import json

import numpy as np
import pandas as pd
import pytest
import tifffile
from pycocotools.coco import COCO
from skimage.draw import polygon

from cellular.data.formats import draw, read_annotations
from cellular.data.formats.image_file import describe_image, read_pixels
from cellular.data.formats.images import read_labels, write_image, write_labels
from cellular.data.formats.labelled import find_labelled
from cellular.data.formats.write import EXPORTS
from cellular.data.formats.write_ome_zarr import export_ome_zarr
from cellular.errors import InputError, MissingExtraError, MissingInputError, OutputExistsError

FIELD = "Timepoint_001_220518-ST_C03_s1"


def difficult_labels():
    """Five cells: round, with a hole, in two pieces, touching another by a corner, and one pixel at the edge."""
    labels = np.zeros((90, 120), np.uint16)
    yy, xx = np.mgrid[:90, :120]
    labels[(yy - 20) ** 2 + (xx - 20) ** 2 < 150] = 1
    labels[40:60, 30:55] = 2
    labels[46:52, 38:47] = 0
    labels[5:15, 60:70] = 3
    labels[5:15, 80:95] = 3
    labels[60:70, 55:75] = 4
    labels[89, 119] = 5
    return labels


LABELS = difficult_labels()
CLASSES = ["fed", "unfed", "fed", "unfed", "fed"]


@pytest.fixture
def fields(tmp_path):
    image = np.random.default_rng(0).integers(0, 60000, (*LABELS.shape, 3), dtype=np.uint16)
    folder = tmp_path / "prepared" / "all" / "train"
    write_image(folder / f"{FIELD}.tif", image)
    write_labels(folder / f"{FIELD}_masks.png", LABELS)
    table = pd.DataFrame({"field": FIELD, "label": range(1, 6), "class": CLASSES})
    table.to_csv(tmp_path / "prepared" / "cells.csv", index=False)
    return find_labelled(folder)


def test_fields_are_found_with_their_image_and_classes(fields, tmp_path):
    (field,) = fields
    assert field.name == FIELD
    assert field.image().shape == (90, 120, 3)
    assert [field.class_of(n) for n in range(1, 7)] == [*CLASSES, "cell"]
    (alone,) = find_labelled(field.labels_path, cells=tmp_path / "prepared" / "cells.csv")
    assert alone == field
    with pytest.raises(MissingInputError, match="No such label image"):
        find_labelled(tmp_path / "none")
    with pytest.raises(InputError, match="holds no label images or outlines"):
        find_labelled(tmp_path / "prepared")
    (tmp_path / "bad.csv").write_text("field,cell\n")
    with pytest.raises(InputError, match=r"bad.csv lacks the column\(s\) label"):
        find_labelled(field.labels_path, cells=tmp_path / "bad.csv")


def test_a_class_folder_counts_its_own_labels(fields, tmp_path):
    folder = tmp_path / "prepared" / "unfed" / "train"
    write_labels(folder / f"{FIELD}_masks.png", (LABELS == 2) * np.uint16(1))
    table = pd.read_csv(tmp_path / "prepared" / "cells.csv")
    table["class_label"] = [1, 1, 2, 2, 3]
    table.to_csv(tmp_path / "prepared" / "cells.csv", index=False)
    (field,) = find_labelled(folder)
    assert field.classes == {1: "unfed", 2: "unfed"}


@pytest.mark.parametrize(
    ("name", "file", "classes"),
    [
        ("cellpose", f"{FIELD}_seg.npy", False),
        ("coco", "annotations.json", True),
        ("yolo", f"labels/{FIELD}.txt", True),
        ("geojson", f"{FIELD}.geojson", True),
        ("imagej", f"{FIELD}_rois.zip", True),
    ],
)
def test_the_round_trip_is_exact(fields, tmp_path, name, file, classes):
    EXPORTS[name](fields, tmp_path / "out")
    found = read_annotations(tmp_path / "out" / file, LABELS.shape)
    np.testing.assert_array_equal(draw(found, LABELS.shape), LABELS)
    if classes:
        assert [item.class_name for item in found] == CLASSES


@pytest.mark.parametrize("name", EXPORTS)
def test_no_cells_and_no_image_are_no_problem(tmp_path, name):
    if name == "ome-zarr":
        pytest.importorskip("zarr", minversion="3", reason="needs cellular[zarr]")
    write_labels(tmp_path / "empty.tif", np.zeros((20, 30), np.uint16))
    assert all(path.exists() for path in EXPORTS[name](find_labelled(tmp_path / "empty.tif"), tmp_path / "out"))


def test_an_ome_zarr_too_old_to_write_is_named(fields, tmp_path, monkeypatch):
    older = pytest.importorskip("ome_zarr.format", reason="needs cellular[zarr]")
    monkeypatch.delattr(older, "FormatV05", raising=False)
    with pytest.raises(MissingExtraError, match=r"ome-zarr 0.12 or newer"):
        EXPORTS["ome-zarr"](fields, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_cellpose_opens_its_file(fields, tmp_path):
    EXPORTS["cellpose"](fields, tmp_path)
    content = np.load(tmp_path / f"{FIELD}_seg.npy", allow_pickle=True).item()
    np.testing.assert_array_equal(content["masks"], LABELS)
    assert content["colors"].shape == (5, 3)
    outlines = content["outlines"]
    assert set(np.unique(outlines)) == {0, 1, 2, 3, 4, 5}
    assert outlines[50, 34] == 0  # well inside cell 2
    assert outlines[40, 30] == 2


def test_pycocotools_opens_coco(fields, tmp_path):
    (path,) = EXPORTS["coco"](fields, tmp_path)
    opened = COCO(path)
    assert opened.getCatIds(["unfed"]) == [2]
    for number, annotation in enumerate(opened.loadAnns(opened.getAnnIds()), 1):
        np.testing.assert_array_equal(opened.annToMask(annotation).astype(bool), number == LABELS)
        assert annotation["area"] == (number == LABELS).sum()
    assert opened.loadAnns([1])[0]["bbox"] == [8, 8, 25, 25]


def test_roifile_opens_imagej(fields, tmp_path):
    roifile = pytest.importorskip("roifile", reason="needs cellular[export]")
    (path,) = EXPORTS["imagej"](fields, tmp_path)
    rois = roifile.roiread(path)
    assert [roi.name for roi in rois] == ["00001-fed", "00002-unfed", "00003-fed", "00004-unfed", "00005-fed"]
    assert [roi.group for roi in rois] == [1, 2, 1, 2, 1]
    assert (rois[0].left, rois[0].top, rois[0].right, rois[0].bottom) == (8, 8, 33, 33)
    drawn = np.zeros(LABELS.shape, int)
    for number, roi in enumerate(rois, 1):
        corners = roi.coordinates()
        drawn[polygon(corners[:, 1] - 0.5, corners[:, 0] - 0.5, LABELS.shape)] = number
    np.testing.assert_array_equal(drawn, LABELS)


def test_shapely_finds_geojson_valid(fields, tmp_path):
    shapely = pytest.importorskip("shapely", reason="needs cellular[export]")
    (path,) = EXPORTS["geojson"](fields, tmp_path)
    features = json.loads(path.read_text())["features"]
    for number, feature in enumerate(features, 1):
        shape = shapely.from_geojson(json.dumps(feature["geometry"]))
        assert shape.is_valid
        assert shape.area == (number == LABELS).sum()
    assert [f["geometry"]["type"] for f in features] == ["Polygon", "Polygon", "MultiPolygon", "Polygon", "Polygon"]
    assert features[1]["properties"]["classification"]["name"] == "unfed"


def test_yolo_lists_its_classes(fields, tmp_path):
    yaml = pytest.importorskip("yaml", reason="needs cellular[export]")
    EXPORTS["yolo"](fields, tmp_path)
    assert yaml.safe_load((tmp_path / "data.yaml").read_text())["names"] == {0: "fed", 1: "unfed"}
    values = np.loadtxt((tmp_path / "labels" / f"{FIELD}.txt").read_text().splitlines()[:1])
    assert values[1:].min() >= 0
    assert values[1:].max() <= 1


def test_h5py_opens_torch_ems_layout(fields, tmp_path):
    h5py = pytest.importorskip("h5py", reason="needs cellular[export]")
    (path,) = EXPORTS["hdf5"](fields, tmp_path)
    image = fields[0].image()
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["labels/instances"], LABELS)
        for channel, name in enumerate(("texas_red", "fitc", "brightfield")):
            np.testing.assert_array_equal(file[f"raw/{name}"], image[..., channel])
        assert file["labels/semantic"].attrs["classes"].tolist() == ["fed", "unfed"]
        expected = np.select([np.isin(LABELS, [1, 3, 5]), np.isin(LABELS, [2, 4])], [1, 2])
        np.testing.assert_array_equal(file["labels/semantic"], expected)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr_opens_ome_zarr(fields, tmp_path, version):
    pytest.importorskip("zarr", minversion="3", reason="needs cellular[zarr]")
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    (field,) = fields
    (path,) = export_ome_zarr(field, tmp_path, version=version).files
    image = next(iter(Reader(parse_url(path))()))
    np.testing.assert_array_equal(np.moveaxis(image.data[0].compute(), 0, -1), fields[0].image())
    assert image.metadata["channel_names"] == ["mRFP", "EGFP", "transmitted"]
    nodes = list(Reader(parse_url(path / "labels" / "cells"))())
    labels = next(node for node in nodes if "properties" in node.metadata)
    np.testing.assert_array_equal(np.squeeze(labels.data[0].compute()), LABELS)
    assert labels.metadata["properties"][2]["class"] == "unfed"
    assert export_ome_zarr(field, tmp_path, version=version).files == [path], "the same again, as after an interruption"
    next(found for found in path.rglob("*") if found.is_file()).write_text("another image")
    with pytest.raises(OutputExistsError, match="is there already"):
        export_ome_zarr(field, tmp_path, version=version)
    with pytest.raises(InputError, match="OME-Zarr version '1'"):
        export_ome_zarr(field, tmp_path, version="1")


@pytest.mark.parametrize(("name", "module", "extra"), [("imagej", "roifile", "export"), ("hdf5", "h5py", "export")])
def test_missing_extras_are_named(fields, tmp_path, monkeypatch, name, module, extra):
    monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(MissingExtraError, match=rf"'{module}'.*cellular\[{extra}\]"):
        EXPORTS[name](fields, tmp_path)


def test_more_than_65535_cells_stay_apart(tmp_path):
    labels = np.arange(70_000, dtype=np.uint32).reshape(250, 280)
    path = write_labels(tmp_path / "many.tif", labels)
    seg, masks = EXPORTS["cellpose"](find_labelled(path), tmp_path / "out")
    np.testing.assert_array_equal(np.load(seg, allow_pickle=True).item()["masks"], labels)


@pytest.fixture
def green_first(tmp_path):
    """A field whose file has EGFP before mRFP, of 100 and 500; it is read in the order of roles."""
    planes = np.stack([np.full(LABELS.shape, level, np.uint16) for level in (100, 500)])
    metadata = {"axes": "CYX", "Channel": {"Name": ["GFP-LC3", "mCherry"]}, "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
    tifffile.imwrite(tmp_path / "A01.ome.tif", planes, ome=True, photometric="minisblack", metadata=metadata)
    write_labels(tmp_path / "A01_masks.tif", LABELS)
    return find_labelled(tmp_path)[0]


def test_names_in_ome_zarr_go_with_their_planes(green_first, tmp_path):
    """They stood in the file's order beside planes in the order of roles."""
    pytest.importorskip("zarr", minversion="3", reason="needs cellular[zarr]")
    (path,) = export_ome_zarr(green_first, tmp_path).files
    (info,) = describe_image(path)
    assert info.channels == ("mCherry", "GFP-LC3")
    assert read_pixels(path)[0, 0].tolist() == [500, 100]
    assert info.pixel_size_um == 0.5


def test_hdf5_calls_only_the_datasets_own_channels_by_its_names(tmp_path):
    """Any three channels were called texas_red, fitc and brightfield."""
    h5py = pytest.importorskip("h5py", reason="needs cellular[export]")
    planes = np.stack([np.full(LABELS.shape, level, np.uint16) for level in (1, 2, 3)])
    metadata = {"axes": "CYX", "Channel": {"Name": ["DAPI", "GFP", "LAMP1"]}}
    tifffile.imwrite(tmp_path / "A01.ome.tif", planes, ome=True, photometric="minisblack", metadata=metadata)
    write_labels(tmp_path / "A01_masks.tif", LABELS)
    (path,) = EXPORTS["hdf5"](find_labelled(tmp_path), tmp_path)
    with h5py.File(path) as file:
        assert list(file["raw"]) == ["image"]
        assert file["raw/image"][0, 0].tolist() == [2, 1, 3]


def test_cellpose_gets_the_first_cell_where_there_is_no_background(tmp_path):
    labels = np.repeat([[3, 7]], 6, axis=0).astype(np.uint16)
    write_labels(tmp_path / "A01_masks.tif", labels)
    (tmp_path / "out").mkdir()
    EXPORTS["cellpose"](find_labelled(tmp_path), tmp_path / "out")
    assert read_labels(tmp_path / "out" / "A01_masks.tif").tolist() == [[1, 2]] * 6
    content = np.load(tmp_path / "out" / "A01_seg.npy", allow_pickle=True).item()
    assert content["masks"].tolist() == [[1, 2]] * 6
    assert content["classes"] == ["cell", "cell"]
