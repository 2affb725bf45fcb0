import errno
import json
import os
import re
import shutil
import sys
import threading
import tracemalloc

import cv2
import numpy as np
import pandas as pd
import pytest
import tifffile

from cellular.data.find import find_annotated
from cellular.data.formats.images import read_labels
from cellular.data.image import load_labels, read_field
from cellular.data.masks.combine import LabelCanvas
from cellular.errors import InputError, MissingInputError, OutputError, OutputExistsError, SettingsError
from cellular.files import alone_in
from cellular.jobs.engines import HERE, Threads
from cellular.jobs.prepare import PrepareSettings, prepare
from cellular.labels.cells import CellMask, crop_mask

MODULE = sys.modules["cellular.jobs.prepare_field"]
SHAPE = (6, 8)
TRAIN, VALID, TEST = (f"Timepoint_001_220518-ST_{well}_s1" for well in ("C05", "I06", "C03"))


def box(y0, x0, y1, x1, shape=SHAPE):
    mask = np.zeros((*shape, 3), np.uint8)
    mask[y0:y1, x0:x1] = (0, 180, 40)
    return mask


def write(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image)
    return path


def add_field(root, field, masks, shape=SHAPE):
    """`masks`: {"fed/1.png": array}."""
    write(root / "images-color" / f"{field}.png", np.full((*shape, 3), 90, np.uint8))
    for name, mask in masks.items():
        write(root / "masks" / field / name, mask)


@pytest.fixture
def dataset(tmp_path):
    """Three fields; the training one has two overlapping fed cells, an unfed one and one that is Unidentified."""
    root = tmp_path / "data"
    add_field(
        root,
        TRAIN,
        {
            "fed/c_2.png": box(0, 0, 2, 3),
            "fed/c_10.png": box(1, 1, 3, 4),
            "unfed/c_1.png": box(4, 0, 6, 2),
            "Unidentified/c_1.png": box(4, 5, 6, 8),
        },
    )
    add_field(root, VALID, {"unfed/c_1.png": box(0, 0, 2, 2)})
    add_field(root, TEST, {"fed/c_1.png": box(1, 1, 4, 4)})
    return root


def labels_of(folder, split, field=TRAIN, kind="masks"):
    return read_labels(folder / split / f"{field}_{kind}.png").astype(int).tolist()


def files_in(folder):
    """What is seen in a folder: all but the records of what is done."""
    files = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in files if not name.startswith(".prepare/"))


def test_label_images_as_worked_out_by_hand(dataset, tmp_path):
    result = prepare(dataset, tmp_path / "out")
    assert labels_of(tmp_path / "out" / "all", "train") == [
        [1, 1, 1, 0, 0, 0, 0, 0],
        [1, 2, 2, 2, 0, 0, 0, 0],
        [0, 2, 2, 2, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0],
        [3, 3, 0, 0, 0, 0, 0, 0],
        [3, 3, 0, 0, 0, 0, 0, 0],
    ]
    assert labels_of(tmp_path / "out" / "unfed", "train")[4:] == [[1, 1, 0, 0, 0, 0, 0, 0]] * 2
    assert labels_of(tmp_path / "out" / "all", "train", kind="ignore")[3:] == [
        [0, 0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 1, 1, 1],
        [0, 0, 0, 0, 0, 1, 1, 1],
    ]
    assert result.fields == {"train": 1, "valid": 1, "test": 1}
    assert result.cells == {"fed": 3, "unfed": 2, "Unidentified": 1}
    assert result.problems == ()


def test_folders_as_published(dataset, tmp_path):
    prepare(dataset, tmp_path / "out")
    assert files_in(tmp_path / "out") == sorted(
        [
            "cells.csv",
            "manifest.json",
            *(f"{folder}/train/{TRAIN}{end}" for folder in ("all", "fed", "unfed") for end in (".png", "_masks.png")),
            *(f"{folder}/train/{TRAIN}_ignore.png" for folder in ("all", "fed", "unfed")),
            *(f"{folder}/valid/{VALID}{end}" for folder in ("all", "unfed") for end in (".png", "_masks.png")),
            *(f"{folder}/test/{TEST}{end}" for folder in ("all", "fed") for end in (".png", "_masks.png")),
        ]
    )
    (item,) = find_annotated(tmp_path / "out" / "all" / "train").fields
    assert item.ignore is not None
    assert load_labels(item, read_field(item).shape).max() == 3


def test_cells_table(dataset, tmp_path):
    prepare(dataset, tmp_path / "out")
    cells = pd.read_csv(tmp_path / "out" / "cells.csv")
    train = cells[cells.field == TRAIN].set_index("source")
    first = train.loc[f"{TRAIN}/fed/c_2.png"]
    assert first[["split", "class", "label", "class_label", "ignore_label"]].tolist() == ["train", "fed", 1, 1, 0]
    assert first[["area_px", "y0", "x0", "y1", "x1", "lost_px", "class_lost_px"]].tolist() == [6, 0, 0, 2, 3, 2, 2]
    unidentified = train.loc[f"{TRAIN}/Unidentified/c_1.png"]
    assert unidentified[["label", "class_label", "ignore_label", "area_px", "lost_px"]].tolist() == [0, 0, 1, 6, 0]
    assert train.loc[f"{TRAIN}/unfed/c_1.png", ["label", "class_label"]].tolist() == [3, 1]


def test_manifest_names_settings_versions_counts_and_inputs(dataset, tmp_path):
    prepare(dataset, tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["settings"]["overlap"] == "last"
    assert manifest["fields"] == {"train": 1, "valid": 1, "test": 1}
    assert {"cellular", "numpy", "deflate"} <= set(manifest["versions"])
    assert set(manifest["inputs"]) == {TRAIN, VALID, TEST}
    assert len(manifest["inputs"][TRAIN]["sha256"]) == 64


@pytest.mark.parametrize(
    ("overlap", "owners"),
    [("last", [1, 2, 3]), ("first", [1, 1, 1]), ("smallest", [1, 2, 2])],
)
def test_overlap_policies(overlap, owners):
    # One row; areas 6, 3, 4: at x=2 only the first, at x=3 first and second, at x=5 all three.
    canvas = LabelCanvas((1, 8), overlap)
    for x0, x1 in ((0, 6), (3, 6), (5, 9)):
        mask = np.zeros((1, 8), bool)
        mask[0, x0:x1] = True
        canvas.add(crop_mask(mask))
    assert canvas.labels[0, [2, 3, 5]].tolist() == owners
    claimed, kept = 6 + 3 + 3, np.count_nonzero(canvas.labels)
    assert canvas.lost().sum() == claimed - kept == 4


def test_smallest_gives_a_tie_to_the_first():
    canvas = LabelCanvas((1, 4), "smallest")
    for x0 in (0, 1):
        mask = np.zeros((1, 4), bool)
        mask[0, x0 : x0 + 2] = True
        canvas.add(crop_mask(mask))
    assert canvas.labels.tolist() == [[1, 1, 2, 0]]


def test_more_than_65535_cells_turn_32_bit():
    canvas = LabelCanvas((300, 300))
    for y, x in np.ndindex(300, 300):
        canvas.add(CellMask((300, 300), y, x, np.ones((1, 1), bool)))
        if len(canvas.areas) == 65_536:
            assert canvas.labels.dtype == np.uint16
    assert canvas.labels.dtype == np.uint32
    assert canvas.labels[-1, -1] == 90_000
    assert np.unique(canvas.labels).size == 90_000


def test_tif_labels_and_all_raw_channels_are_carried(dataset, tmp_path):
    for path in (dataset / "images-color").iterdir():
        path.unlink()
    for field in (TRAIN, VALID, TEST):
        for channel in (1, 2, 3):
            path = dataset / "images" / f"{field}_w{channel}.TIF"
            path.parent.mkdir(exist_ok=True)
            tifffile.imwrite(path, np.full(SHAPE, channel, np.uint16))
    (dataset / "images-color").rmdir()
    prepare(dataset, tmp_path / "out", PrepareSettings(format="tif"))
    (item,) = find_annotated(tmp_path / "out" / "all" / "valid").fields
    assert item.labels.suffix == ".tif"
    assert read_field(item).pixels[0, 0].tolist() == [2, 1, 3]


def test_images_named_and_beside_and_in_the_folder_itself(dataset, tmp_path):
    elsewhere = dataset.rename(tmp_path / "moved") / "images-color"
    masks = tmp_path / "moved" / "masks"
    assert prepare(masks, tmp_path / "beside").problems == ()
    assert prepare(masks, tmp_path / "named", PrepareSettings(images=str(elsewhere))).problems == ()
    for path in list(elsewhere.iterdir()):
        path.rename(tmp_path / "moved" / path.name)
    elsewhere.rmdir()
    assert prepare(tmp_path / "moved", tmp_path / "itself").problems == ()
    with pytest.raises(MissingInputError, match="nowhere"):
        prepare(masks, tmp_path / "no", PrepareSettings(images=str(tmp_path / "nowhere")))


def test_fields_and_images_side_by_side(dataset, tmp_path):
    for path in (dataset / "images-color").iterdir():
        path.rename(dataset / "masks" / path.name)
    (dataset / "images-color").rmdir()
    assert prepare(dataset / "masks", tmp_path / "out").problems == ()


def test_output_inside_the_masks_is_refused(dataset):
    with pytest.raises(SettingsError, match="lies inside the masks"):
        prepare(dataset, dataset / "masks" / "prepared")
    assert not (dataset / "masks" / "prepared").exists()


def test_a_cell_wholly_under_others_is_said(dataset, tmp_path):
    write(dataset / "masks" / TEST / "fed" / "c_0.png", box(2, 2, 3, 3))
    result = prepare(dataset, tmp_path / "out")
    assert "1 cell(s) lie wholly under others" in result.notices[0]
    assert f"{TEST}/fed/c_0.png" in result.notices[0]


def test_site_10_does_not_take_the_image_of_site_1(dataset, tmp_path):
    ten = TRAIN + "0"
    add_field(dataset, ten, {"fed/c_1.png": box(0, 0, 2, 2)})
    prepare(dataset, tmp_path / "out")
    train = tmp_path / "out" / "fed" / "train"
    assert {path.name for path in train.glob("*[01].png")} == {f"{TRAIN}.png", f"{ten}.png"}
    prepared = prepare(dataset, tmp_path / "again", PrepareSettings(val_pattern="", test_pattern=f"{TEST}"))
    assert prepared.fields == {"train": 3, "valid": 0, "test": 1}


def problems_of(dataset, out, **settings):
    return prepare(dataset, out, PrepareSettings(**settings)).problems


def break_unreadable(root):
    path = root / "masks" / TRAIN / "fed" / "c_2.png"
    path.write_bytes(path.read_bytes()[:-15])


def break_checksum(root):
    path = root / "masks" / TRAIN / "fed" / "c_2.png"
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)


BREAKS = {
    "unreadable": (break_unreadable, "fed/c_2.png is damaged.*truncated"),
    "checksum": (break_checksum, "fed/c_2.png is damaged.*CRC"),
    "zero bytes": (lambda root: (root / "masks" / TRAIN / "fed" / "c_2.png").write_bytes(b""), "c_2.png is empty"),
    "other size": (
        lambda root: write(root / "masks" / TRAIN / "fed" / "c_2.png", box(0, 0, 1, 1, (5, 5))),
        "c_2.png is 5 x 5 px but its field is 6 x 8 px",
    ),
    "empty mask": (
        lambda root: write(root / "masks" / TRAIN / "fed" / "c_2.png", box(0, 0, 0, 0)),
        "c_2.png is an empty mask",
    ),
    "stray file": (lambda root: (root / "masks" / TRAIN / "fed" / "notes.txt").write_text(""), "notes.txt is not"),
    "loose mask": (lambda root: write(root / "masks" / TRAIN / "c.png", box(0, 0, 1, 1)), "c.png: a mask belongs"),
}


@pytest.mark.parametrize("kind", BREAKS)
def test_a_bad_mask_is_named_and_the_rest_goes_on(dataset, tmp_path, kind):
    damage, message = BREAKS[kind]
    damage(dataset)
    result = prepare(dataset, tmp_path / "out")
    (problem,) = result.problems
    assert re.search(message, problem)
    assert result.fields == {"train": 1, "valid": 1, "test": 1}
    with pytest.raises(InputError, match=message):
        prepare(dataset, tmp_path / "strict", PrepareSettings(strict=True))


def field_without_image(root):
    (root / "images-color" / f"{TRAIN}.png").unlink()
    add_field(root, TRAIN + "1", {"fed/1.png": box(0, 0, 1, 1)})


def two_images(root):
    write(root / "images-color" / f"{TRAIN}.jpg", np.zeros(SHAPE, np.uint8))


def field_without_masks(root):
    for path in (root / "masks" / TRAIN).rglob("*.png"):
        path.unlink()


def unreadable_image(root):
    (root / "images-color" / f"{TRAIN}.png").write_bytes(b"\x89PNG")


def class_called_all(root):
    (root / "masks" / TRAIN / "fed").rename(root / "masks" / TRAIN / "all")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (field_without_image, f"{TRAIN}: no image named {TRAIN}\\.\\*"),
        (two_images, f"two images with one name.*{TRAIN}\\.jpg.*{TRAIN}\\.png"),
        (field_without_masks, f"{TRAIN} holds no masks"),
        (unreadable_image, f"{TRAIN}.png cannot be read"),
        (class_called_all, "a class cannot be called 'all'"),
    ],
)
def test_a_bad_field_is_named_and_left_out(dataset, tmp_path, damage, message):
    add_field(dataset, "Timepoint_002_220518-ST_C05_s1", {"fed/1.png": box(0, 0, 2, 2)})
    damage(dataset)
    result = prepare(dataset, tmp_path / "out")
    assert [problem for problem in result.problems if re.search(message, problem)]
    assert not [name for name in files_in(tmp_path / "out") if f"{TRAIN}." in name or f"{TRAIN}_" in name]
    with pytest.raises(InputError, match=message):
        prepare(dataset, tmp_path / "strict", PrepareSettings(strict=True))


def test_an_image_without_masks_is_a_notice(dataset, tmp_path):
    write(dataset / "images-color" / "Timepoint_009_220518-ST_C05_s1.png", np.zeros(SHAPE, np.uint8))
    result = prepare(dataset, tmp_path / "out", PrepareSettings(strict=True))
    assert result.problems == ()
    assert "1 image(s) without masks were left out, first Timepoint_009" in result.notices[0]


def test_zero_fields_in_a_split(dataset, tmp_path):
    (problem,) = problems_of(dataset, tmp_path / "out", val_pattern="ST_Z99")
    assert "in split 'valid' (pattern 'ST_Z99')" in problem
    with pytest.raises(InputError, match="split 'valid'"):
        problems_of(dataset, tmp_path / "strict", val_pattern="ST_Z99", strict=True)
    assert not (tmp_path / "strict").exists()


def test_fields_in_no_list_are_left_out_and_said(dataset, tmp_path):
    (tmp_path / "split.json").write_text(json.dumps({"train": [TRAIN], "valid": [VALID]}))
    result = prepare(dataset, tmp_path / "out", PrepareSettings(split=str(tmp_path / "split.json")))
    assert result.fields == {"train": 1, "valid": 1, "test": 0}
    assert result.problems == ()
    assert TEST in result.notices[0]


def test_nothing_to_prepare(tmp_path):
    with pytest.raises(MissingInputError, match="nowhere"):
        prepare(tmp_path / "nowhere", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no field folders"):
        prepare(tmp_path / "empty", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_archive_in_place_of_a_folder_is_refused(dataset, tmp_path):
    """As the masks come from Zenodo: beside the images, and where there is none."""
    packed = shutil.make_archive(str(dataset / "masks"), "zip", dataset / "masks")
    alone = shutil.copy(packed, tmp_path / "alone.zip")
    for archive in (packed, alone):
        with pytest.raises(InputError, match="holds no ImageJ ROIs .*the archive of a dataset is unpacked"):
            prepare(archive, tmp_path / "out")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "labels.geojson").write_text("{}")
    with pytest.raises(MissingInputError, match="empty holds no image that .*labels.geojson could be of"):
        prepare(tmp_path / "empty" / "labels.geojson", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_settings_are_checked():
    for wrong in (
        {"format": "jpg"},
        {"overlap": "biggest"},
        {"exclude": "all"},
        {"exclude": ("all",)},
    ):
        with pytest.raises(SettingsError, match=next(iter(wrong)) + "|all"):
            PrepareSettings(**wrong)


def test_output_that_holds_something_else_is_refused(dataset, tmp_path):
    out = tmp_path / "out"
    write(out / "mine.png", box(0, 0, 1, 1))
    with pytest.raises(OutputExistsError, match="out holds something else"):
        prepare(dataset, out)
    assert files_in(out) == ["mine.png"]


def test_output_of_other_settings_is_refused(dataset, tmp_path):
    prepare(dataset, tmp_path / "out")
    with pytest.raises(OutputExistsError, match="other settings .overlap was 'last', now 'first'"):
        prepare(dataset, tmp_path / "out", PrepareSettings(overlap="first"))


def test_output_that_another_run_is_filling_is_refused(dataset, tmp_path):
    prepare(dataset, tmp_path / "out")
    with alone_in(tmp_path / "out"), pytest.raises(OutputExistsError, match="by another command"):
        prepare(dataset, tmp_path / "out")


def test_a_damaged_record_is_refused_or_done_again(dataset, tmp_path):
    prepare(dataset, tmp_path / "out")
    (tmp_path / "out" / ".prepare" / "fields" / TEST / "made_of.json").write_text("{")
    assert prepare(dataset, tmp_path / "out").fields == {"train": 1, "valid": 1, "test": 1}
    (tmp_path / "out" / ".prepare" / "prepare.json").write_text("{")
    with pytest.raises(OutputExistsError, match=r"prepare\.json is not valid JSON"):
        prepare(dataset, tmp_path / "out")


def test_a_field_that_went_from_the_input_is_refused(dataset, tmp_path):
    add_field(dataset, "Timepoint_002_220518-ST_C05_s1", {"fed/1.png": box(0, 0, 2, 2)})
    prepare(dataset, tmp_path / "out")
    (dataset / "masks" / TEST).rename(tmp_path / "gone")
    with pytest.raises(InputError, match=TEST):
        prepare(dataset, tmp_path / "out", PrepareSettings())


def contents(folder):
    return {name: (folder / name).read_bytes() for name in files_in(folder)}


def test_interrupted_run_is_finished_by_the_next(dataset, tmp_path, monkeypatch):
    prepare(dataset, tmp_path / "whole")
    real, calls = MODULE._place, []

    def interrupted(source, target, first):
        calls.append(target)
        if len(calls) == 3:
            (target.parent / ".partial-left.png").write_bytes(b"half")
            raise KeyboardInterrupt
        return real(source, target, first)

    monkeypatch.setattr(MODULE, "_place", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare(dataset, tmp_path / "out", engine=HERE)
    assert not (tmp_path / "out" / "manifest.json").exists()
    monkeypatch.setattr(MODULE, "_place", real)
    prepare(dataset, tmp_path / "out")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_second_run_does_only_what_is_left(dataset, tmp_path, monkeypatch):
    break_unreadable(dataset)
    out = tmp_path / "out"
    assert prepare(dataset, out).problems
    (out / "fed" / "test" / f"{TEST}_masks.png").unlink()
    write(dataset / "masks" / TRAIN / "fed" / "c_2.png", box(0, 0, 2, 3))
    real, done = MODULE.FieldWork.__call__, []
    monkeypatch.setattr(MODULE.FieldWork, "__call__", lambda self, field: done.append(field.name) or real(self, field))
    assert prepare(dataset, out).problems == ()
    assert sorted(done) == sorted([TEST, TRAIN])  # one lost a file, one had a problem; the valid field is whole
    prepare(dataset, tmp_path / "whole")
    assert contents(out) == contents(tmp_path / "whole")


def test_full_disk_is_named_and_leaves_nothing_half_written(dataset, tmp_path, monkeypatch):

    def full(source, target):
        target.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(MODULE.shutil, "copy2", full)
    with pytest.raises(OutputError, match=r"\.png cannot be written: No space left"):
        prepare(dataset, tmp_path / "out")
    assert files_in(tmp_path / "out") == []
    monkeypatch.undo()
    assert prepare(dataset, tmp_path / "out").problems == ()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_read_only_folder(dataset, tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    with pytest.raises(OutputError, match="locked"):
        prepare(dataset, locked / "out")


def test_output_below_a_file(dataset, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        prepare(dataset, tmp_path / "file" / "out")
    with pytest.raises(OutputExistsError, match="something else"):
        prepare(dataset, tmp_path / "file")


@pytest.mark.parametrize("name", ["with space", "Zellkörper_β_細胞", "dots.in.name", "a" * 200])
def test_any_name_a_disk_can_hold(tmp_path, name):
    add_field(tmp_path / "data", name, {"fed/1.png": box(0, 0, 2, 2)})
    result = prepare(tmp_path / "data", tmp_path / "out", PrepareSettings(val_pattern="", test_pattern=""))
    assert result.problems == ()
    (item,) = find_annotated(tmp_path / "out" / "all" / "train").fields
    assert item.name == name


def test_a_name_that_no_table_can_hold(dataset, tmp_path):
    try:
        write(dataset / "masks" / TRAIN / "fed" / "c_3.png", box(0, 0, 1, 1)).rename(
            os.fsdecode(os.fsencode(dataset / "masks" / TRAIN / "fed") + b"/\xff.png")
        )
    except OSError:
        pytest.skip("this disk keeps no such names")
    (problem,) = problems_of(dataset, tmp_path / "out")
    assert "not UTF-8 text" in problem


def test_a_split_that_names_no_field(dataset, tmp_path):
    (tmp_path / "split.json").write_text('{"train": []}')
    with pytest.raises(InputError, match="names no field"):
        prepare(dataset, tmp_path / "out", PrepareSettings(split=str(tmp_path / "split.json")))


def test_name_too_long_for_its_label_image(dataset, tmp_path):
    name = "a" * 250
    add_field(dataset, name, {"fed/1.png": box(0, 0, 2, 2)})
    (problem,) = problems_of(dataset, tmp_path / "out")
    assert problem.startswith(f"{name}: its name is too long")
    assert not [path for path in files_in(tmp_path / "out") if name in path]
    assert name not in set(pd.read_csv(tmp_path / "out" / "cells.csv")["field"]), "its cells were counted"


def test_images_are_linked_where_the_disk_can_and_copied_where_not(dataset, tmp_path, monkeypatch):
    prepare(dataset, tmp_path / "linked")

    def no_links(source, target):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", no_links)
    prepare(dataset, tmp_path / "copied")
    path = f"fed/train/{TRAIN}.png"
    assert (tmp_path / "linked" / path).stat().st_nlink == 3
    assert (tmp_path / "copied" / path).stat().st_nlink == 1
    assert (tmp_path / "copied" / path).read_bytes() == (tmp_path / "linked" / path).read_bytes()


def test_threads_change_nothing(dataset, tmp_path):
    for number in range(8):
        add_field(dataset, f"field_{number}", {"fed/1.png": box(0, 0, 2, 2 + number % 5)})
    before = threading.active_count()
    prepare(dataset, tmp_path / "one", engine=HERE)
    prepare(dataset, tmp_path / "many", engine=Threads(4))
    assert contents(tmp_path / "one") == contents(tmp_path / "many")
    # tqdm keeps one thread of its own; the workers are gone.
    assert threading.active_count() <= before + 1


def test_memory_does_not_grow_with_the_number_of_masks(tmp_path):
    """400 masks of 1 MB unpacked each: peak allocations stay far below one of ten of them."""
    shape = (512, 683)
    for count in (20, 400):
        root = tmp_path / str(count)
        add_field(root, "field", {"fed/0.png": box(9, 9, 40, 40, shape)}, shape)
        for number in range(1, count):
            os.link(root / "masks/field/fed/0.png", root / f"masks/field/fed/{number}.png")
    peaks, no_split = {}, PrepareSettings(val_pattern="", test_pattern="")
    for count in (20, 20, 400):  # the first run warms caches
        tracemalloc.start()
        prepare(tmp_path / str(count), tmp_path / f"out{len(peaks)}{count}", no_split)
        peaks[count] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peaks[400] < peaks[20] + 2e6


def test_a_class_to_exclude_that_is_nowhere_is_said(dataset, tmp_path):
    result = prepare(dataset, tmp_path / "out", PrepareSettings(exclude=("unidentified",)))
    assert any(
        "'unidentified' is to be excluded, but the classes are Unidentified, fed, unfed" in p for p in result.problems
    )
