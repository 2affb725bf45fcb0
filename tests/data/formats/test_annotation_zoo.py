"""Annotation files as the tools write them, in the variants that their documentation or source names."""

import json
import pathlib
import zipfile

import cv2
import numpy as np
import pandas as pd
import pytest
from pycocotools import mask as coco
from scipy import ndimage

from cellular.cli.main import main
from cellular.data.fields import possible_fields
from cellular.data.formats import Remarks, annotated_fields, read_annotations, read_any_labels
from cellular.data.formats.images import read_labels, write_image, write_labels
from cellular.data.formats.labelled import find_labelled
from cellular.data.formats.write import EXPORTS
from cellular.data.masks.mask_png import read_mask
from cellular.errors import InputError, OutputError, OutputExistsError
from cellular.jobs.prepare import PrepareSettings, prepare

SHAPE = (20, 30)
SQUARE = [2, 3, 8, 3, 8, 9, 2, 9]  # 36 px: x 2..7, y 3..8
NO_SPLIT = PrepareSettings(val_pattern="", test_pattern="")


def block(y0, x0, y1, x1):
    mask = np.zeros(SHAPE, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def picture(path):
    return write_image(path, np.full((*SHAPE, 3), 90, np.uint8))


def read(path, **how):
    remarks = Remarks()
    return read_annotations(path, SHAPE, remarks=remarks, **how), remarks


def named(found):
    return [(item.class_name, item.cell.area) for item in found]


# QuPath


def box(x, y, width, height):
    corners = [[x, y], [x + width, y], [x + width, y + height], [x, y + height], [x, y]]
    return {"type": "Polygon", "coordinates": [corners]}


def feature(geometry, kind=None, class_name=None, legacy=False, **properties):
    if class_name is not None:
        properties["classification"] = class_name if isinstance(class_name, dict) else {"name": class_name}
    if kind and not legacy:
        properties["objectType"] = kind
    return {"type": "Feature", "id": kind if legacy else "x", "geometry": geometry, "properties": properties}


REGION, CELLS = box(0, 0, 28, 18), [box(2, 3, 6, 6), box(12, 3, 5, 5)]


@pytest.mark.parametrize(
    ("region", "cells"),
    [
        ({"kind": "annotation"}, {"kind": "cell", "class_name": "fed"}),
        ({"kind": "annotation"}, {"kind": "detection"}),
        ({"kind": "PathAnnotationObject", "legacy": True}, {"kind": "PathCellObject", "legacy": True}),
        ({"kind": "annotation", "class_name": "Region*"}, {"kind": "annotation", "class_name": "fed"}),
        ({"kind": "annotation"}, {"kind": "annotation"}),
        ({}, {}),
        ({"kind": "tile"}, {"kind": "cell"}),
    ],
)
def test_qupaths_region_is_not_a_cell(tmp_path, region, cells):
    features = [feature(REGION, **region), *(feature(cell, **cells) for cell in CELLS)]
    found, remarks = read(put(tmp_path / "f.geojson", {"type": "FeatureCollection", "features": features}))
    assert [item.cell.area for item in found] == [36, 25]
    assert len(remarks.notices) == 1
    assert not remarks.problems


def test_qupaths_empty_region_and_parts_of_cells_are_not_cells(tmp_path):
    features = [
        feature(box(20, 10, 9, 9), "annotation"),
        feature(CELLS[0], "cell", "fed"),
        feature(box(3, 4, 2, 2), "detection", "Subcellular spot"),
        feature(CELLS[1], "annotation", "fed"),  # added by hand where detection missed it
    ]
    found, remarks = read(put(tmp_path / "f.geojson", features))
    assert named(found) == [("fed", 36), ("fed", 25)]
    assert "a region around 0 objects" in remarks.notices[0]
    assert "a part of a cell" in remarks.notices[1]


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        ("fed: positive", "fed: positive"),
        ({"names": ["fed", "positive"], "color": [1, 2, 3]}, "fed: positive"),
        ({"name": "None"}, "None"),
        ({}, "cell"),
    ],
)
def test_qupaths_classes(tmp_path, written, read_as):
    found, _ = read(put(tmp_path / "f.geojson", feature(CELLS[0], "cell", written)))
    assert named(found) == [(read_as, 36)]


def test_qupaths_stack_is_not_laid_over_itself(tmp_path):
    features = [feature({**cell, "plane": {"c": -1, "z": z, "t": 0}}) for z, cell in enumerate(CELLS)]
    with pytest.raises(InputError, match=r"f.geojson holds objects of 2 planes"):
        read(put(tmp_path / "f.geojson", features))
    assert len(read(put(tmp_path / "f.geojson", features[1:]))[0]) == 1


def test_points_lines_and_nothing_are_left_out_of_geojson(tmp_path):
    others = [{"type": "Point", "coordinates": [9, 9]}, {"type": "LineString", "coordinates": [[1, 1], [9, 9]]}, None]
    others += [{"type": "Polygon", "coordinates": []}, box(100, 100, 5, 5)]
    found, remarks = read(put(tmp_path / "f.geojson", [feature(geometry) for geometry in (CELLS[0], *others)]))
    assert [item.cell.area for item in found] == [36]
    assert len(remarks.problems) == 5
    assert remarks.problems[0].startswith("f.geojson#1 is a Point")


# ImageJ

roifile = pytest.importorskip("roifile", reason="needs cellular[export]")
KIND, SUB, OPTIONS = roifile.ROI_TYPE, roifile.ROI_SUBTYPE, roifile.ROI_OPTIONS


def roi(kind=KIND.POLYGON, corners=SQUARE, name="r", **values):
    made = roifile.ImagejRoi.frompoints(np.reshape(corners, (-1, 2)), name=name)
    made.roitype = kind
    for key, value in values.items():
        setattr(made, key, value)
    return made.tobytes()


def rectangle(kind=KIND.RECT, **values):
    made = roifile.ImagejRoi(roitype=kind, name="r", left=2, top=3, right=8, bottom=9)
    for key, value in values.items():
        setattr(made, key, value)
    return made.tobytes()


def rois(path, *contents):
    with zipfile.ZipFile(path, "w") as archive:
        for number, content in enumerate(contents):
            archive.writestr(f"{number:04d}.roi", content)
    return path


def test_imagejs_points_lines_and_texts_are_left_out(tmp_path):
    others = [roi(KIND.LINE), roi(KIND.POINT, [9, 9]), roi(KIND.FREELINE), rectangle(subtype=SUB.TEXT), b"Iout"]
    found, remarks = read(rois(tmp_path / "f_rois.zip", roi(), *others))
    assert [item.cell.area for item in found] == [36]
    assert len(remarks.problems) == 5


@pytest.mark.parametrize(
    "places",
    [({"position": 1}, {"position": 3}), ({"z_position": 1}, {"z_position": 2}), ({"t_position": 1}, {"t_position": 2})]
    + [({"name": "0001-0006-0005"}, {"name": "0002-0006-0005"})],
)
def test_imagejs_slices_are_not_laid_over_each_other(tmp_path, places):
    path = rois(tmp_path / "f.zip", *(roi(**place) for place in places))
    with pytest.raises(InputError, match=r"f.zip holds ROIs of 2 slices"):
        read(path)
    assert len(read(rois(path, *(roi(**{**places[0], "c_position": c}) for c in (1, 2))))[0]) == 2


def test_imagejs_sub_pixel_rectangles_and_ovals(tmp_path):
    half = {"options": OPTIONS.SUB_PIXEL_RESOLUTION, "xd": 2.6, "yd": 3.0, "widthd": 5.0, "heightd": 6.0}
    half["version"] = 226  # an older roifile writes 217, of before ImageJ had them
    found, _ = read(rois(tmp_path / "f.zip", rectangle(**half), rectangle(KIND.OVAL, **half)))
    np.testing.assert_array_equal(found[0].cell.full(), block(3, 3, 9, 8))  # centres 3.5 to 7.5 lie in 2.6 to 7.6
    assert found[1].cell.box == (3, 3, 9, 8)


def test_imagejs_rounded_rectangle_lacks_its_corners(tmp_path):
    found, _ = read(rois(tmp_path / "f.zip", rectangle(rounded_rect_arc_size=4)))
    # The arc of radius 2 around (4, 5) leaves out the pixel centre (2.5, 3.5): 1.5² + 1.5² > 2².
    expected = block(3, 2, 9, 8)
    expected[[3, 3, 8, 8], [2, 7, 2, 7]] = False
    np.testing.assert_array_equal(found[0].cell.full(), expected)


def test_imagejs_composite_with_curves_and_a_hole(tmp_path):
    # ShapeRoi's path: a rectangle of lines with a hole whose top side is a cubic curve along a line.
    path = [0, 2, 3, 1, 12, 3, 1, 12, 13, 1, 2, 13, 4]
    path += [0, 4, 5, 3, 5, 5, 6, 5, 8, 5, 2, 8, 7, 8, 9, 1, 4, 9, 4]
    composite = roifile.ImagejRoi(roitype=KIND.RECT, name="c", left=2, top=3, right=12, bottom=13)
    composite.multi_coordinates = np.array(path, np.float32)
    composite.shape_roi_size = len(path)
    found, _ = read(rois(tmp_path / "f.zip", composite.tobytes()))
    np.testing.assert_array_equal(found[0].cell.full(), block(3, 2, 13, 12) & ~block(5, 4, 9, 8))


# Cellpose

CELLPOSE = np.zeros(SHAPE, np.uint16)
CELLPOSE[3:9, 2:8] = 1
CELLPOSE[10:18, 12:25] = 2
CELLPOSE[10, 12] = 0


def contours():
    """What `cellpose.utils.outlines_list` gives: the outer border pixels of every cell, x and y."""
    for label in (1, 2):
        traced, _ = cv2.findContours((label == CELLPOSE).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        yield traced[0].squeeze()


@pytest.mark.parametrize(
    ("masks", "more"),
    [
        (CELLPOSE, {}),
        (CELLPOSE.astype(np.int32) - 1, {}),
        (CELLPOSE[None], {}),
        (CELLPOSE.astype(np.float32), {}),
        (CELLPOSE, {"filename": pathlib.PurePosixPath("/data/f.tif"), "diameter": np.float64(30), "flows": [CELLPOSE]}),
        (CELLPOSE, {"filename": pathlib.PureWindowsPath("C:\\f.tif")}),
        (CELLPOSE, {"filename": pathlib.Path("/data/f.tif")}),
    ],
)
def test_cellposes_own_files(tmp_path, masks, more):
    np.save(tmp_path / "f_seg.npy", {"masks": masks, "outlines": masks, **more}, allow_pickle=True)
    np.testing.assert_array_equal(read_any_labels(tmp_path / "f_seg.npy", SHAPE), CELLPOSE)


def test_cellposes_stack_is_refused(tmp_path):
    np.save(tmp_path / "f_seg.npy", {"masks": np.stack([CELLPOSE] * 2)}, allow_pickle=True)
    with pytest.raises(InputError, match=r"their shape is \(2, 20, 30\)"):
        read_any_labels(tmp_path / "f_seg.npy", SHAPE)


def test_cellposes_outlines_as_text_and_as_rois(tmp_path):
    lines = [",".join(map(str, contour.ravel())) for contour in contours()]
    path = put(tmp_path / "f_cp_outlines.txt", "\n".join(lines) + "\n")
    np.testing.assert_array_equal(read_any_labels(path, SHAPE), CELLPOSE)
    roifile.roiwrite(tmp_path / "f_rois.zip", [roifile.ImagejRoi.frompoints(contour) for contour in contours()])
    np.testing.assert_array_equal(read_any_labels(tmp_path / "f_rois.zip", SHAPE), CELLPOSE)


def test_the_file_that_cellposes_gui_corrects_is_taken(tmp_path):
    picture(tmp_path / "f.png")
    np.save(tmp_path / "f_seg.npy", {"masks": CELLPOSE}, allow_pickle=True)
    write_labels(tmp_path / "f_cp_masks.tif", CELLPOSE * 0)
    result = prepare(tmp_path, tmp_path / "out", NO_SPLIT)
    assert result.cells == {"cell": 2}
    assert any("f_seg.npy was taken" in notice for notice in result.notices)


# COCO


def coco_file(path, annotations, images=({"id": 0, "file_name": "f.png"},), categories=({"id": 0, "name": "fed"},)):
    return put(path, {"images": list(images), "annotations": annotations, "categories": list(categories)})


def test_coco_run_lengths_of_a_brush_are_cells(tmp_path):
    packed = coco.encode(np.asfortranarray(block(3, 2, 9, 8).astype(np.uint8)))
    plain = [2 * 20 + 3, 6, 14, 6, 14, 6, 14, 6, 14, 6, 14, 6, 20 * 30 - 2 * 20 - 3 - 6 * 6 - 14 * 5]
    items = [
        {"image_id": 0, "category_id": 0, "iscrowd": 1, "segmentation": {"size": [20, 30], "counts": counts}}
        for counts in (packed["counts"].decode(), plain)
    ]
    found, remarks = read(coco_file(tmp_path / "a.json", items))
    assert [notice[:70] for notice in remarks.notices] == [
        "a.json: 2 of 2 annotations of f.png are marked iscrowd; each is taken "
    ]
    assert [item.class_name for item in found] == ["fed", "fed"]
    for item in found:
        np.testing.assert_array_equal(item.cell.full(), block(3, 2, 9, 8))


def test_coco_ids_as_text_and_a_flat_polygon_as_via_writes(tmp_path):
    item = {"id": "0", "image_id": "0", "category_id": "0", "segmentation": SQUARE, "bbox": [2, 3, 6, 6]}
    found, _ = read(coco_file(tmp_path / "a.json", [item], [{"id": 0, "file_name": "f.png", "width": 0, "height": 0}]))
    assert named(found) == [("fed", 36)]


def test_coco_items_without_area_are_left_out(tmp_path):
    items = [{"id": n, "image_id": 0, "segmentation": s} for n, s in enumerate([[SQUARE], [[9, 9]], [SQUARE, [1, 1]]])]
    items += [{"id": 3, "image_id": 0, "keypoints": [1, 2, 2]}, {"id": 4, "image_id": 0, "segmentation": {"size": 1}}]
    found, remarks = read(coco_file(tmp_path / "a.json", items))
    assert [item.source for item in found] == ["a.json#0", "a.json#2"]
    assert [problem[:8] for problem in remarks.problems] == ["a.json#1", "a.json#3", "a.json#4"]


def test_coco_classes_nobody_listed_are_not_one(tmp_path):
    items = [{"image_id": 0, "category_id": n, "segmentation": [SQUARE]} for n in (0, 7)] + [
        {"image_id": 0, "segmentation": [SQUARE]}
    ]
    found, _ = read(coco_file(tmp_path / "a.json", items))
    assert [item.class_name for item in found] == ["fed", "category_7", "cell"]
    twice = [{"id": 0, "name": "fed"}, {"id": 0, "name": "unfed"}]
    with pytest.raises(InputError, match="categories 'fed' and 'unfed' have one id, 0"):
        read(coco_file(tmp_path / "b.json", items, categories=twice))


def test_coco_images_of_one_id_are_refused(tmp_path):
    images = [{"id": 0, "file_name": "f.png"}, {"id": 0, "file_name": "g.png"}]
    path = coco_file(tmp_path / "a.json", [{"image_id": 0, "segmentation": [SQUARE]}], images)
    with pytest.raises(InputError, match="several images have the id 0"):
        read(path, field="f")


@pytest.mark.parametrize(
    ("image", "field"),
    [
        ({"file_name": "images\\f.png"}, "f"),
        ({"file_name": "images/cb0618f6-f.png"}, "f"),
        ({"file_name": "images/cb0618f6-f.png"}, "cb0618f6-f"),
        ({"file_name": "/data/local-files/?d=plate/f.png"}, "f"),
        ({"file_name": "f_png.rf.0a1b.jpg", "extra": {"name": "f.png"}}, "f"),
        ({"file_name": "f_w1.TIF"}, "f"),
        ({"file_name": "Zo\u0308.png"}, "Z\u00f6"),
    ],
)
def test_coco_names_of_images(tmp_path, image, field):
    picture(tmp_path / f"{field}.png")
    text = json.dumps({"images": [{"id": 1, **image}], "annotations": [{"image_id": 1, "segmentation": [SQUARE]}]})
    put(tmp_path / "a.json", "\ufeff" + text)  # and a byte order mark
    assert annotated_fields(tmp_path / "a.json").fields == (field,)
    assert len(read(tmp_path / "a.json", field=field)[0]) == 1


def test_possible_fields_do_not_cut_a_name_of_digits():
    assert possible_fields("20220518-ST") == ["20220518-ST", "ST"]
    assert possible_fields("plate") == ["plate"]


def test_what_has_no_home_is_said(tmp_path):
    picture(tmp_path / "f.png")
    images = [{"id": 0, "file_name": "f.png"}, {"id": 1, "file_name": "lost.png"}]
    items = [{"image_id": number, "segmentation": [SQUARE]} for number in (0, 1, 9)]
    said = annotated_fields(coco_file(tmp_path / "a.json", items, images)).said
    assert any("1 annotation(s)" in text and "belong to no image" in text for text in said)
    assert any("1 image(s) that are not there were left out, first lost" in text for text in said)


# YOLO

POLYGON = "0.1 0.15 0.4 0.15 0.4 0.45 0.1 0.45"  # x 3..11, y 3..8 of 20 x 30


@pytest.mark.parametrize(
    ("line", "area", "drawn"),
    [
        (f"0 {POLYGON}", 54, True),
        (f"0 {POLYGON} 0.93", 54, True),  # save_conf
        (f"0 {POLYGON} 0.93 7", 54, True),  # save_conf and a track number
        (f"0 {POLYGON} 7", 54, True),
        ("0 0.25 0.3 0.3 0.3", None, False),
        ("0 0.25 0.3 0.3 0.3 0.93", None, False),
        ("0 0.25 0.3 0.3 0.3 0.93 7", None, False),
        ("0.0 0.25 0.3 0.3 0.3", None, False),
    ],
)
def test_yolo_lines(tmp_path, line, area, drawn):
    (item,), _ = read(put(tmp_path / "f.txt", line))
    assert item.drawn is drawn
    assert item.cell.box == (3, 3, 9, 12)
    assert area in (None, item.cell.area)


def test_yolo_bad_lines_are_left_out(tmp_path):
    bad = ["0 30 40 10 10", "1.7 0.2 0.2 0.1 0.1", "-1 0.2 0.2 0.1 0.1", "0 0.1 0.2", "cell 0.2 0.2 0.1 0.1"]
    found, remarks = read(put(tmp_path / "f.txt", "\n".join([f"0 {POLYGON}", *bad])))
    assert len(found) == 1
    assert len(remarks.problems) == len(bad)


def test_yolo_names_by_number_from_a_folder_above_and_key_points(tmp_path):
    pytest.importorskip("yaml", reason="needs cellular[export]")
    put(tmp_path / "data.yaml", "names: {1: fed, 3: unfed}\nkpt_shape: [2, 3]\n")
    points = "0.2 0.2 2 0.3 0.3 1"
    path = put(tmp_path / "labels" / "train" / "f.txt", f"3 0.25 0.3 0.3 0.3 {points}\n1 0.25 0.3 0.3 0.3 {points} 0.9")
    found, _ = read(path)
    assert [(item.class_name, item.drawn, item.cell.box) for item in found] == [
        ("unfed", False, (3, 3, 9, 12)),
        ("fed", False, (3, 3, 9, 12)),
    ]


# Label images and masks


def test_a_mask_of_foreground_is_no_label_image(tmp_path):
    foreground = ((CELLPOSE > 0) * 255).astype(np.uint8)
    write_image(tmp_path / "f_masks.png", foreground)
    with pytest.raises(InputError, match="its one label, 255, is in 2 pieces"):
        read(tmp_path / "f_masks.png")
    write_image(tmp_path / "g_masks.jpg", foreground)
    with pytest.raises(InputError, match="JPEG changes the numbers"):
        read(tmp_path / "g_masks.jpg")


def test_a_jpegs_noise_is_not_the_cell(tmp_path):
    yy, xx = np.mgrid[:64, :64]
    disc = (yy - 30) ** 2 + (xx - 30) ** 2 < 200
    cv2.imwrite(str(tmp_path / "c.jpg"), disc.astype(np.uint8) * 255, [cv2.IMWRITE_JPEG_QUALITY, 90])
    assert np.count_nonzero(cv2.imread(str(tmp_path / "c.jpg"), cv2.IMREAD_GRAYSCALE)) > disc.sum()
    np.testing.assert_array_equal(read_mask(tmp_path / "c.jpg").full(), disc)


def test_boolean_tiffs_and_palettes(tmp_path):
    import tifffile
    from PIL import Image

    picture(tmp_path / "f.png")
    tifffile.imwrite(tmp_path / "f_masks.tif", block(3, 2, 9, 8))
    assert named(read(tmp_path / "f_masks.tif")[0]) == [("cell", 36)]
    coloured = Image.fromarray(CELLPOSE.astype(np.uint8), "P")
    coloured.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0] + [0] * 759)
    coloured.save(tmp_path / "g_masks.png")
    np.testing.assert_array_equal(read_any_labels(tmp_path / "g_masks.png", SHAPE), CELLPOSE)
    tifffile.imwrite(tmp_path / "one.tif", block(3, 2, 9, 8))
    np.testing.assert_array_equal(read_mask(tmp_path / "one.tif", SHAPE).full(), block(3, 2, 9, 8))


# Through prepare


@pytest.mark.parametrize("kind", ["labels", "coco", "geojson", "yolo"])
def test_a_field_in_which_nobody_found_a_cell_is_kept(tmp_path, kind):
    for name in "ab":
        picture(tmp_path / f"{name}.png")
        has = name == "a"
        if kind == "labels":
            write_labels(tmp_path / f"{name}_masks.TIF", CELLPOSE * has)
        elif kind == "geojson":
            put(tmp_path / f"{name}.geojson", {"type": "FeatureCollection", "features": [feature(CELLS[0])] * has})
        elif kind == "yolo":
            put(tmp_path / f"{name}.txt", f"0 {POLYGON}\n" * has)
    if kind == "coco":
        images = [{"id": n, "file_name": f"{name}.png"} for n, name in enumerate("ab")]
        coco_file(tmp_path / "ann.json", [{"image_id": 0, "category_id": 0, "segmentation": [SQUARE]}], images)
    source = tmp_path / "ann.json" if kind == "coco" else tmp_path
    result = prepare(source, tmp_path / "out", NO_SPLIT)
    assert (result.fields["train"], result.problems) == (2, ())
    assert not read_labels(tmp_path / "out" / "all" / "train" / "b_masks.png").any()
    again = prepare(source, tmp_path / "out", NO_SPLIT)  # its own output among the annotations is none of them
    assert again.cells == result.cells


def test_corrected_annotations_are_prepared_again(tmp_path):
    """Of the same size in bytes: what is in the file counts, and no cell of the first time stays."""
    picture(tmp_path / "in" / "f.png")
    path = tmp_path / "in" / "f.txt"
    put(path, f"0 {POLYGON}\n1 {POLYGON}\n")
    assert prepare(tmp_path / "in", tmp_path / "out", NO_SPLIT).cells == {"class_0": 1, "class_1": 1}
    put(path, f"2 {POLYGON}\n2 {POLYGON}\n")
    assert prepare(tmp_path / "in", tmp_path / "out", NO_SPLIT).cells == {"class_2": 2}


def test_a_refused_folder_is_left_empty(tmp_path):
    picture(tmp_path / "in" / "f.png")
    put(tmp_path / "in" / "f.txt", "nothing\n")
    with pytest.raises(InputError, match="No field of"):
        prepare(tmp_path / "in", tmp_path / "out", NO_SPLIT)
    assert not (tmp_path / "out").exists()


def test_a_class_called_like_a_file_of_ours_is_refused(tmp_path):
    picture(tmp_path / "in" / "f.png")
    put(tmp_path / "in" / "f.geojson", feature(CELLS[0], "cell", "cells.csv"))
    with pytest.raises(InputError, match=r"a class cannot be called 'cells.csv'"):
        prepare(tmp_path / "in", tmp_path / "out", NO_SPLIT)


# Exports


@pytest.fixture
def labelled(tmp_path):
    write_labels(tmp_path / "in" / "f_cp_masks.png", CELLPOSE)
    picture(tmp_path / "in" / "f.png")
    table = pd.DataFrame(
        {"image": ["f", "f"], "label": [1, 2], "well": ["A1", "A1"], "red": [1.5, np.nan], "n": [3, 4]}
    )
    table.to_csv(tmp_path / "cells.csv", index=False)
    return find_labelled(tmp_path / "in", cells=tmp_path / "cells.csv")


def test_measures_own_table_goes_into_geojson(labelled, tmp_path):
    (path,) = EXPORTS["geojson"](labelled, tmp_path / "out")
    found = [item["properties"]["measurements"] for item in json.loads(path.read_text())["features"]]
    assert found == [{"area_px": 36, "red": 1.5, "n": 3.0}, {"area_px": 103, "n": 4.0}]
    put(tmp_path / "other.csv", "field,label\ng,1\n")
    with pytest.raises(InputError, match="has no row of field f; its fields: g"):
        find_labelled(tmp_path / "in", cells=tmp_path / "other.csv")
    put(tmp_path / "twice.csv", "field,label\nf,1\nf,1\n")
    with pytest.raises(InputError, match="two rows for label 1 of field f"):
        find_labelled(tmp_path / "in", cells=tmp_path / "twice.csv")


def test_coco_and_yolo_name_images_that_are_there(labelled, tmp_path):
    (path,) = EXPORTS["coco"](labelled, tmp_path / "coco")
    (image,) = json.loads(path.read_text())["images"]
    assert (path.parent / image["file_name"]).read_bytes() == (tmp_path / "in" / "f.png").read_bytes()
    EXPORTS["yolo"](labelled, tmp_path / "yolo")
    # Ultralytics' img2label_paths: images/ turned into labels/, the ending into .txt.
    assert [file.name for file in (tmp_path / "yolo" / "images").iterdir()] == ["f.png"]
    assert (tmp_path / "yolo" / "labels" / "f.txt").is_file()
    write_image(tmp_path / "taken" / "images" / "f.png", np.zeros((*SHAPE, 3), np.uint8))
    with pytest.raises(OutputExistsError, match=r"f.png is there already and is another image"):
        EXPORTS["coco"](labelled, tmp_path / "taken")
    assert not (tmp_path / "taken" / "annotations.json").exists()


@pytest.mark.parametrize(
    ("name", "file"), [("geojson", "f.geojson"), ("imagej", "f_rois.zip"), ("cellpose", "f_seg.npy")]
)
def test_corrected_outlines_are_label_images_with_the_same_numbers(tmp_path, name, file):
    labels = CELLPOSE * 5
    write_labels(tmp_path / "f_masks.tif", labels)
    EXPORTS[name](find_labelled(tmp_path / "f_masks.tif"), tmp_path / "out")
    read_back = read_any_labels(tmp_path / "out" / file, SHAPE)
    np.testing.assert_array_equal(read_back, CELLPOSE if name == "cellpose" else labels)  # Cellpose counts 1..N


def test_a_cell_drawn_anew_gets_the_next_number(tmp_path):
    features = [feature(CELLS[0], name="7"), feature(CELLS[1])]
    labels = read_any_labels(put(tmp_path / "f.geojson", features), SHAPE)
    assert [int(labels[4, 3]), int(labels[4, 13])] == [7, 8]
    with pytest.raises(InputError, match="do not say how large the field is"):
        read_any_labels(tmp_path / "f.geojson", None)


def test_outlines_are_exported_too(tmp_path):
    picture(tmp_path / "in" / "f.png")
    put(tmp_path / "in" / "f.geojson", [feature(cell) for cell in CELLS])
    assert main(["export", str(tmp_path / "in"), "--to", "coco", "-o", str(tmp_path / "out")]) == 0
    assert len(json.loads((tmp_path / "out" / "annotations.json").read_text())["annotations"]) == 2


def test_hdf5_on_a_full_disk_ends_in_one_error(labelled, tmp_path, monkeypatch):
    pytest.importorskip("h5py", reason="needs cellular[export]")

    def full(self, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pathlib.Path, "write_bytes", full)
    with pytest.raises(OutputError, match=r"f.h5 cannot be written: No space left"):
        EXPORTS["hdf5"](labelled, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_contours_of_random_blobs_come_back(tmp_path):
    """Any cell without holes in one piece is what its border pixels enclose."""
    rng = np.random.default_rng(0)
    smooth = ndimage.gaussian_filter(rng.random((20, 60, 60)), (0, 4, 4))
    for plane in smooth:
        pieces, count = ndimage.label(plane > np.median(plane), np.ones((3, 3)))
        cell = ndimage.binary_fill_holes(pieces == np.argmax(np.bincount(pieces.ravel())[1:]) + 1)
        traced, _ = cv2.findContours(cell.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        path = put(tmp_path / "f_cp_outlines.txt", ",".join(map(str, traced[0].ravel())))
        np.testing.assert_array_equal(read_any_labels(path, (60, 60)) > 0, cell)
