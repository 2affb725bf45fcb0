import json
import pickle
import zipfile

import numpy as np
import pytest
from pycocotools import mask as coco

from cellular.data.formats import draw, find_annotations, read_annotations
from cellular.data.formats.coco import unpack_counts
from cellular.data.formats.images import write_image, write_labels
from cellular.errors import InputError, MissingInputError
from cellular.jobs.prepare import PrepareSettings, prepare
from cellular.labels.cells import cells_of

SHAPE = (6, 8)
LABELS = np.zeros(SHAPE, np.uint16)
LABELS[1:3, 1:4] = 1
LABELS[3:6, 5:8] = 2
SQUARE = [1, 1, 4, 1, 4, 3, 1, 3]  # label 1 along pixel edges, x y


def write_coco(path, segmentations, names=("fed",), **image):
    content = {
        "images": [{"id": 7, "file_name": "a.png", "height": 6, "width": 8, **image}],
        "categories": [{"id": n, "name": name} for n, name in enumerate(names)],
        "annotations": [
            {"id": n, "image_id": 7, "category_id": 0, "segmentation": s, "bbox": [1, 1, 3, 2]}
            for n, s in enumerate(segmentations)
        ],
    }
    path.write_text(json.dumps(content))
    return path


def test_cells_of_a_label_image_with_gaps():
    cells = cells_of(LABELS * 1000)
    assert [label for label, _ in cells] == [1000, 2000]
    assert cells[0][1].box == (1, 1, 3, 4)
    assert cells_of(np.zeros(SHAPE, np.uint16)) == []


def test_label_images(tmp_path):
    write_labels(tmp_path / "a_masks.png", LABELS)
    np.testing.assert_array_equal(draw(read_annotations(tmp_path / "a_masks.png", SHAPE), SHAPE), LABELS)
    with pytest.raises(InputError, match=r"a_masks.png: label image of \(6, 8\) px, the field has \(5, 5\)"):
        read_annotations(tmp_path / "a_masks.png", (5, 5))


def test_mask_folders_as_published(tmp_path):
    for name, label in (("fed", 1), ("unfed", 2)):
        write_image(tmp_path / "a" / name / "1.png", (label == LABELS).astype(np.uint8) * 200)
    found = read_annotations(tmp_path / "a", SHAPE)
    assert [item.class_name for item in found] == ["fed", "unfed"]
    np.testing.assert_array_equal(draw(found, SHAPE), LABELS)


def test_cellposes_seg_npy(tmp_path):
    np.save(tmp_path / "a_seg.npy", {"masks": LABELS, "outlines": LABELS * 0, "filename": "a.tif", "flows": [LABELS]})
    np.testing.assert_array_equal(draw(read_annotations(tmp_path / "a_seg.npy", SHAPE), SHAPE), LABELS)
    np.save(tmp_path / "b_seg.npy", {"outlines": LABELS})
    with pytest.raises(InputError, match="b_seg.npy holds no 2-D label image"):
        read_annotations(tmp_path / "b_seg.npy", SHAPE)


class Harmful:
    def __reduce__(self):
        return (__import__("os").system, ("touch harmed",))


def test_code_in_a_seg_npy_is_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("a_seg.npy", {"masks": LABELS, "extra": Harmful()})
    with pytest.raises(InputError, match=r"posix.system"):
        read_annotations("a_seg.npy", SHAPE)
    assert not (tmp_path / "harmed").exists()
    pickle.loads(pickle.dumps(Harmful()))  # it would have
    assert (tmp_path / "harmed").exists()


@pytest.mark.parametrize("kind", ["polygon", "packed", "counts"])
def test_coco(tmp_path, kind):
    mask = (LABELS == 1).astype(np.uint8)
    packed = coco.encode(np.asfortranarray(mask))
    segmentation = {
        "polygon": [SQUARE],
        "packed": {"size": [6, 8], "counts": packed["counts"].decode()},
        "counts": {"size": [6, 8], "counts": [7, 2, 4, 2, 4, 2, 27]},
    }[kind]
    found = read_annotations(write_coco(tmp_path / "a.json", [segmentation]), SHAPE)
    assert [item.class_name for item in found] == ["fed"]
    assert found[0].drawn
    np.testing.assert_array_equal(found[0].cell.full(), mask)


def test_coco_parts_are_joined_and_bare_boxes_become_ellipses(tmp_path):
    path = write_coco(tmp_path / "a.json", [[SQUARE, [0, 0, 2, 0, 2, 2, 0, 2]], None])
    parts, box = read_annotations(path, SHAPE)
    assert parts.cell.area == 6 + 4 - 1
    assert not box.drawn
    assert box.cell.box == (1, 1, 3, 4)


def test_packed_counts_agree_with_pycocotools():
    rng = np.random.default_rng(0)
    for density in (0.0, 0.02, 0.5, 1.0):
        mask = (rng.random((97, 83)) < density).astype(np.uint8)
        counts = unpack_counts(coco.encode(np.asfortranarray(mask))["counts"].decode())
        decoded = np.repeat(np.arange(len(counts)) % 2, counts).reshape(mask.shape, order="F")
        np.testing.assert_array_equal(decoded, mask)


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ({"size": [6, 8], "counts": [48, 1]}, "do not fill"),
        ({"size": [6, 8], "counts": "\x01\x02"}, "characters"),
        ({"size": [6, 8], "counts": "o" * 40}, "no COCO file"),
        ([[1, 2]], "3 or more corners"),
        ([["a", "b", "c"]], "cannot be read as coco"),
    ],
)
def test_broken_coco_is_named(tmp_path, segmentation, message):
    path = write_coco(tmp_path / "a.json", [segmentation])
    with pytest.raises(InputError, match=rf"a.json.*{message}"):
        read_annotations(path, SHAPE)


def test_coco_of_several_images_needs_the_field(tmp_path):
    path = write_coco(tmp_path / "all.json", [[SQUARE]])
    content = json.loads(path.read_text())
    content["images"].append({"id": 8, "file_name": "sub/b.png", "height": 6, "width": 8})
    path.write_text(json.dumps(content))
    assert len(read_annotations(path, SHAPE, field="a")) == 1
    assert read_annotations(path, SHAPE, field="b") == []
    with pytest.raises(InputError, match="has 2 images"):
        read_annotations(path, SHAPE)
    with pytest.raises(InputError, match="has height 6, the field 9"):
        read_annotations(path, (9, 8), field="a")


def test_yolo_boxes_and_polygons(tmp_path):
    (tmp_path / "labels").mkdir()
    path = tmp_path / "labels" / "a.txt"
    path.write_text("1 0.125 0.16666667 0.5 0.1666667 0.5 0.5 0.125 0.5\n\n0 0.5 0.5 0.5 0.5\n5 0.5 0.5 0.5 0.5 0.9\n")
    (tmp_path / "classes.txt").write_text("fed\nunfed\n")
    polygon, box, scored = read_annotations(path, SHAPE)
    assert (polygon.class_name, box.class_name, scored.class_name) == ("unfed", "fed", "class_5")
    np.testing.assert_array_equal(polygon.cell.full(), LABELS == 1)
    assert (polygon.drawn, box.drawn, scored.drawn) == (True, False, False)
    assert box.cell.box == (2, 2, 4, 6)
    path.write_text("0 0.5 0.5\n")
    with pytest.raises(InputError, match=r"a.txt, line 1: 2 numbers"):
        read_annotations(path, SHAPE)
    path.write_text("cell 0.5 0.5 0.1 0.1\n")
    with pytest.raises(InputError, match=r"line 1: expected numbers"):
        read_annotations(path, SHAPE)


def test_yolo_class_names_from_yaml(tmp_path):
    pytest.importorskip("yaml", reason="needs cellular[export]")
    (tmp_path / "a.txt").write_text("1 0.5 0.5 0.5 0.5\n")
    for text in ("names: [fed, unfed]", "names:\n  0: fed\n  1: unfed"):
        (tmp_path / "data.yaml").write_text(text)
        assert read_annotations(tmp_path / "a.txt", SHAPE)[0].class_name == "unfed"
    (tmp_path / "data.yaml").write_text("names: !!python/object/apply:os.system ['touch harmed']")
    with pytest.raises(InputError, match="no list of class"):
        read_annotations(tmp_path / "a.txt", SHAPE)


def test_imagej_rois_of_every_kind_with_an_area(tmp_path):
    roifile = pytest.importorskip("roifile", reason="needs cellular[export]")
    corners = np.array(SQUARE).reshape(-1, 2)
    polygon = roifile.ImagejRoi.frompoints(corners, name="p")
    polygon.group = 3
    floats = roifile.ImagejRoi.frompoints(corners.astype(np.float32), name="f")
    floats.props = "class: fed\n"
    rectangle = roifile.ImagejRoi(roitype=roifile.ROI_TYPE.RECT, name="r", left=1, top=1, right=4, bottom=3)
    oval = roifile.ImagejRoi(roitype=roifile.ROI_TYPE.OVAL, name="o", left=1, top=1, right=4, bottom=3)
    path = tmp_path / "a_rois.zip"
    roifile.roiwrite(path, [polygon, floats, rectangle, oval])
    found = read_annotations(path, SHAPE)
    assert [item.class_name for item in found] == ["group_3", "fed", "cell", "cell"]
    for item in found[:3]:
        np.testing.assert_array_equal(item.cell.full(), LABELS == 1)
    assert found[3].cell.box == (1, 1, 3, 4)
    roifile.roiwrite(tmp_path / "one.roi", polygon)
    assert len(read_annotations(tmp_path / "one.roi", SHAPE)) == 1
    roifile.roiwrite(path, [roifile.ImagejRoi(roitype=roifile.ROI_TYPE.LINE, name="l")], mode="w")
    with pytest.raises(InputError, match="is a line, which has no area"):
        read_annotations(path, SHAPE)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "nothing")
    with pytest.raises(InputError, match="holds no ImageJ ROIs"):
        read_annotations(path, SHAPE)


def test_qupath_geojson_with_a_hole(tmp_path):
    outer, hole = [[0, 0], [5, 0], [5, 5], [0, 5], [0, 0]], [[1, 1], [2, 1], [2, 2], [1, 2], [1, 1]]
    feature = {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [outer, hole]},
        "properties": {"classification": {"name": "fed", "color": [0, 255, 0]}},
    }
    for content in ({"type": "FeatureCollection", "features": [feature]}, [feature], feature):
        (tmp_path / "a.geojson").write_text(json.dumps(content))
        (found,) = read_annotations(tmp_path / "a.geojson", SHAPE)
        assert found.class_name == "fed"
        assert found.cell.area == 24
        assert not found.cell.full()[1, 1]
    feature["geometry"] = {"type": "Point", "coordinates": [1, 1]}
    (tmp_path / "a.geojson").write_text(json.dumps(feature))
    with pytest.raises(InputError, match="is a Point"):
        read_annotations(tmp_path / "a.geojson", SHAPE)


def test_unknown_and_missing_files_are_named(tmp_path):
    (tmp_path / "a.xyz").write_text("")
    with pytest.raises(InputError, match=r"unknown annotation format '.xyz'; known: folder, labels"):
        read_annotations(tmp_path / "a.xyz", SHAPE)
    with pytest.raises(MissingInputError, match="No such annotations"):
        read_annotations(tmp_path / "none.json", SHAPE)


def test_annotations_are_found_by_field(tmp_path):
    (tmp_path / "labels").mkdir()
    for name in ("a_seg.npy", "labels/b.txt", "c_masks.png", "classes.txt", "d.tif", "x.txt"):
        (tmp_path / name).write_bytes(b"")
    files, said = find_annotations(tmp_path, {"a", "b", "c", "d"})
    assert files == {
        "a": tmp_path / "a_seg.npy",
        "b": tmp_path / "labels" / "b.txt",
        "c": tmp_path / "c_masks.png",
    }
    assert said == ["annotations of 1 image(s) that are not there were left out, first x (x.txt)"]
    (tmp_path / "a.geojson").write_bytes(b"")
    files, _ = find_annotations(tmp_path, {"a", "b"})
    assert files["a"].startswith("Two annotations of field a")
    assert files["b"] == tmp_path / "labels" / "b.txt"
    with pytest.raises(InputError, match="of none of the 1 fields"):
        find_annotations(tmp_path, {"z"})


def test_what_a_lab_has_goes_through_prepare(tmp_path):
    """Three fields in three formats in one folder."""
    names = ["f_ST_A01_s1", "f_ST_I06_s1", "f_ST_C03_s1"]
    for name in names:
        write_image(tmp_path / "images" / f"{name}.tif", np.zeros((*SHAPE, 3), np.uint8))
    source = tmp_path / "annotations"
    write_labels(source / f"{names[0]}_masks.tif", LABELS)
    write_coco(source / "b.json", [[SQUARE]], file_name=f"{names[1]}.tif")
    (source / f"{names[2]}.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    result = prepare(source, tmp_path / "out", PrepareSettings(images=str(tmp_path / "images")))
    assert any("1 cells have a box and no outline" in notice for notice in result.notices)
    assert result.fields == {"train": 1, "valid": 1, "test": 1}
    assert result.cells == {"cell": 2, "class_0": 1, "fed": 1}
    assert not result.problems
