"""What users' annotation files hold besides: overlapping parts, bare geometries, boxes by corners, odd class names."""

import json
import re
import zipfile

import numpy as np
import pytest

from cellular.cli.main import EXIT_ERROR, main
from cellular.data.formats import Remarks, read_annotations
from cellular.data.formats.images import write_image, write_labels
from cellular.errors import InputError

SHAPE = (40, 50)


def ring(x, y, width, height):
    return [[x, y], [x + width, y], [x + width, y + height], [x, y + height], [x, y]]


def put(path, content):
    path.write_text(json.dumps(content))
    return path


def areas(path, remarks=None, field="f"):
    found = read_annotations(path, SHAPE, field=field, remarks=remarks or Remarks())
    return [(item.class_name, item.cell.area) for item in found]


def geo(tmp_path, geometry, **properties):
    return put(tmp_path / "f.geojson", [{"type": "Feature", "geometry": geometry, "properties": properties}])


def test_parts_of_a_multipolygon_are_joined_and_their_holes_kept(tmp_path):
    parts = [[ring(2, 2, 10, 10)], [ring(7, 7, 10, 10), ring(14, 14, 2, 2)]]
    assert areas(geo(tmp_path, {"type": "MultiPolygon", "coordinates": parts})) == [("cell", 100 + 100 - 25 - 4)]


@pytest.mark.parametrize("name", ["f.geojson", "f.json"])
def test_geometries_without_features_around_them(tmp_path, name):
    square = {"type": "Polygon", "coordinates": [ring(2, 2, 10, 10)]}
    assert areas(put(tmp_path / name, square)) == [("cell", 100)]
    assert (
        areas(put(tmp_path / name, {"type": "GeometryCollection", "geometries": [square, square]}))
        == [("cell", 100)] * 2
    )


def test_a_plane_of_nulls_is_the_first_and_null_is_no_feature(tmp_path):
    square = {"type": "Polygon", "coordinates": [ring(2, 2, 10, 10)], "plane": {"c": -1, "z": None, "t": None}}
    content = {"features": [None, {"type": "Feature", "geometry": square, "properties": None}]}
    remarks = Remarks()
    assert areas(put(tmp_path / "f.geojson", content), remarks) == [("cell", 100)]
    assert remarks.problems == ["f.geojson#0 has no geometry; left out"]


def test_the_whole_field_is_never_a_cell(tmp_path):
    """QuPath's 'full image annotation', around one cell of no class, or around nothing: somebody looked."""
    whole = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring(0, 0, 50, 40)]}, "properties": {}}
    cell = whole | {"geometry": {"type": "Polygon", "coordinates": [ring(2, 2, 10, 10)]}}
    remarks = Remarks()
    assert areas(put(tmp_path / "f.geojson", [whole, cell]), remarks) == [("cell", 100)]
    assert remarks.notices == ["f.geojson#0 is the whole field, not a cell; left out"]
    assert areas(put(tmp_path / "f.geojson", [whole])) == []


def coco(tmp_path, *items, file_name="f.png", name="fed"):
    items = [{"id": n, "image_id": 1, "category_id": 1, **item} for n, item in enumerate(items)]
    images = [{"id": 1, "file_name": file_name}]
    return put(tmp_path / "f.json", {"images": images, "annotations": items, "categories": [{"id": 1, "name": name}]})


def test_an_outline_of_nothing_is_a_box(tmp_path):
    for empty in ([], [[]], None):
        (found,) = read_annotations(coco(tmp_path, {"segmentation": empty, "bbox": [2, 2, 10, 10]}), SHAPE)
        assert not found.drawn
        assert found.cell.area == pytest.approx(np.pi * 25, rel=0.06)


def test_a_box_by_two_corners_is_no_cell(tmp_path):
    square = {"segmentation": [np.ravel(ring(2, 2, 10, 10)[:4]).tolist()]}
    remarks = Remarks()
    assert areas(coco(tmp_path, square, {"bbox": [30, 20, 48, 38]}), remarks) == [("fed", 100)]
    (problem,) = remarks.problems
    assert "lies mostly outside of the field; COCO's boxes are x, y, width, height, not two corners" in problem
    assert areas(coco(tmp_path, {"bbox": [44, 10, 10, 10]})) == [("fed", 50)], "a cell cut by the border is one"


@pytest.mark.parametrize(
    "file_name", ["/data/local-files/?d=my%20project%2Ff.png", "https://host/bucket/f.png", "C:\\\\lab\\\\f.png"]
)
def test_addresses_of_images(tmp_path, file_name):
    square = {"segmentation": [np.ravel(ring(2, 2, 10, 10)[:4]).tolist()]}
    assert areas(coco(tmp_path, square, file_name=file_name)) == [("fed", 100)]


def test_a_seg_npy_of_foreground_is_refused(tmp_path):
    masks = np.zeros(SHAPE, bool)
    masks[2:8, 2:8] = masks[20:26, 20:26] = True
    np.save(tmp_path / "f_seg.npy", {"masks": masks}, allow_pickle=True)
    with pytest.raises(InputError, match="its one label, 1, is in 2 pieces"):
        areas(tmp_path / "f_seg.npy")


def test_our_own_export_of_no_cells_is_a_field_without_cells(tmp_path):
    write_labels(tmp_path / "f_masks.tif", np.zeros(SHAPE, np.uint16))
    for name, file in (("imagej", "f_rois.zip"), ("geojson", "f.geojson"), ("cellpose", "f_seg.npy")):
        assert main(["export", str(tmp_path / "f_masks.tif"), "--to", name, "-o", str(tmp_path / name)]) == 0
        assert areas(tmp_path / name / file) == []
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as other:
        other.writestr("readme.txt", "no ROI")
    with pytest.raises(InputError, match="holds no ImageJ ROIs"):
        areas(tmp_path / "other.zip")


@pytest.fixture
def lab(tmp_path):
    for name in ("f", "g"):
        write_image(tmp_path / "images" / f"{name}.png", np.full((*SHAPE, 3), 90, np.uint8))
    (tmp_path / "drawn").mkdir()

    def go():
        argv = ["prepare", "-i", tmp_path / "drawn", "-o", tmp_path / "out", "--corresponding", tmp_path / "images"]
        return main([str(word) for word in [*argv, "-v", "", "-t", ""]])

    return go


@pytest.mark.parametrize(("name", "folder"), [("a\0b\nc", "a_b_c"), ("a/b", "a_b"), ("  ", "cell"), (" fed ", "fed")])
def test_class_names_that_cannot_be_folders(lab, tmp_path, name, folder):
    coco(tmp_path / "drawn", {"segmentation": [np.ravel(ring(2, 2, 10, 10)[:4]).tolist()]}, name=name)
    lab()
    assert (tmp_path / "out" / folder / "train" / "f_masks.png").is_file()


def test_label_images_under_the_names_of_their_fields(lab, tmp_path):
    labels = np.zeros(SHAPE, np.uint16)
    labels[2:8, 2:8], labels[20:26, 20:26] = 1, 2
    write_labels(tmp_path / "drawn" / "f.png", labels)
    lab()
    assert len(list((tmp_path / "out" / "all" / "train").glob("*_masks.png"))) == 1


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("annotations.xml", "<annotations/>", r"annotations.xml is none that is read; those are .*COCO"),
        ("z.geojson", "[]", r"such as f: the first that it holds is of z \(z.geojson\)"),
        ("f.json", '{"shapes": []}', "can export COCO"),
        (
            "f.json",
            '{"features": [{"geometry": {"type": "Point", "coordinates": [1, 1]}}]}',
            "is a Point, which has no",
        ),
    ],
    ids=["cvat", "names", "labelme", "reason"],
)
def test_a_folder_of_which_nothing_can_be_used_says_why(lab, tmp_path, capsys, file, content, said):
    (tmp_path / "drawn" / file).write_text(content)
    assert lab() == EXIT_ERROR
    err = capsys.readouterr().err

    assert re.search(said, err), err


def test_names_in_a_split_may_be_files_and_those_of_no_field_are_told(lab, tmp_path, capsys):
    for name in "fg":
        (tmp_path / "drawn" / f"{name}.geojson").write_text("[]")
    put(tmp_path / "split.json", {"train": ["f.png", "typo"], "valid": ["g"]})
    argv = ["prepare", "-i", tmp_path / "drawn", "-o", tmp_path / "out", "--corresponding", tmp_path / "images"]
    assert main([str(word) for word in [*argv, "--split", tmp_path / "split.json"]]) == 1
    said = capsys.readouterr()
    assert "1 name(s) in" in said.out + said.err
    assert "are no field, first typo" in said.out + said.err
    assert (tmp_path / "out" / "all" / "train" / "f_masks.png").is_file()
    assert (tmp_path / "out" / "all" / "valid" / "g_masks.png").is_file()
