import json
import subprocess
import sys

import numpy as np
import pytest
from microscopes import write_plate

from cellular.cli.export import LABEL_FORMATS
from cellular.cli.main import main
from cellular.data.formats import draw, read_annotations
from cellular.data.formats.images import read_labels, write_image, write_labels
from cellular.data.formats.write import EXPORTS

LABELS = np.pad(np.array([[1, 1, 0, 2], [1, 0, 0, 2]], np.uint16), 3)


def test_the_command_offers_every_format():
    assert set(LABEL_FORMATS) == set(EXPORTS)


@pytest.mark.parametrize("name", ["cellpose", "coco", "geojson"])
def test_labels_are_exported(tmp_path, capsys, name):
    write_labels(tmp_path / "in" / "a_masks.png", LABELS)
    assert main(["export", str(tmp_path / "in"), "--to", name, "-o", str(tmp_path / "out")]) == 0
    assert "1 field(s)" in capsys.readouterr().out
    written = [path for path in (tmp_path / "out").iterdir() if path.is_file()]
    path = next(path for path in written if path.suffix not in (".tif", ".toml"))
    np.testing.assert_array_equal(draw(read_annotations(path, LABELS.shape), LABELS.shape), LABELS)


def test_cells_to_be_ignored_are_not_lost_without_a_word(tmp_path, caplog):
    for field in "ab":
        write_labels(tmp_path / "in" / f"{field}_masks.png", LABELS)
    write_labels(tmp_path / "in" / "c_ignore.png", LABELS)  # of no field that is exported
    argv = ["export", str(tmp_path / "in"), "--to", "coco", "-o", str(tmp_path / "out")]
    assert main(argv) == 0
    assert "to be ignored" not in caplog.text
    write_labels(tmp_path / "in" / "b_ignore.png", LABELS)
    assert main(argv) == 0
    assert f"1 field(s) have cells that are to be ignored, first in {tmp_path / 'in' / 'b_ignore.png'}" in caplog.text


@pytest.mark.parametrize("name", sorted(EXPORTS))
def test_a_damaged_label_image_is_named_and_the_rest_exported(tmp_path, capsys, name):
    pytest.importorskip({"ome-zarr": "ome_zarr", "imagej": "roifile", "hdf5": "h5py"}.get(name, "numpy"))
    for field in "ab":
        write_labels(tmp_path / "in" / f"{field}_masks.png", LABELS)
        write_image(tmp_path / "in" / f"{field}.tif", np.zeros((*LABELS.shape, 3), np.uint8))
    cut = tmp_path / "in" / "b_masks.png"
    cut.write_bytes(cut.read_bytes()[:50])
    assert main(["export", str(tmp_path / "in"), "--to", name, "-o", str(tmp_path / "out")]) == 1
    said = capsys.readouterr()
    assert "1 field(s)" in said.out
    assert f"passed over b: {cut}" in said.out + said.err
    assert not [path for path in (tmp_path / "out").rglob("b*") if path.is_file() and ".export" not in path.parts]


@pytest.mark.parametrize("name", sorted(EXPORTS))
def test_what_is_exported_is_kept_while_its_files_are_the_same(tmp_path, name):
    pytest.importorskip({"ome-zarr": "ome_zarr", "imagej": "roifile", "hdf5": "h5py"}.get(name, "numpy"))
    for field in "abc":
        write_labels(tmp_path / "in" / f"{field}_masks.png", LABELS)
        write_image(tmp_path / "in" / f"{field}.tif", np.zeros((*LABELS.shape, 3), np.uint8))
    argv = ["export", str(tmp_path / "in"), "--to", name, "-o", str(tmp_path / "out")]
    shared = {"classes.txt", "data.yaml", "annotations.json", "export.toml"}

    def made():
        files = (path for path in (tmp_path / "out").rglob("*") if path.is_file() and ".export" not in path.parts)
        return {path: path.stat().st_mtime_ns for path in files if path.name not in shared}

    assert main(argv) == 0
    first = made()
    assert main(argv) == 0
    assert made() == first
    if name != "ome-zarr":  # whose stores are never written over
        write_labels(tmp_path / "in" / "b_masks.png", np.where(LABELS == 2, 0, LABELS).astype(np.uint16))
        assert main(argv) == 0
        changed = {path.name[0] for path, time in made().items() if time != first[path]}
        assert changed == ({"b"} if name != "coco" else set())
    if name == "coco":
        told = json.loads((tmp_path / "out" / "annotations.json").read_text())
        assert [row["image_id"] for row in told["annotations"]] == [1, 1, 2, 3, 3]
        assert [row["area"] for row in told["annotations"]] == [3, 2, 3, 3, 2]


BY_MODELS = """
import sys, zarr
from ome_zarr_models.v04 import HCS
print(*(well.path for well in HCS.from_zarr(zarr.open_group(sys.argv[1], mode="r")).attributes.plate.wells))
"""


@pytest.mark.skipif(sys.version_info < (3, 11), reason="ome-zarr needs Python 3.11")
@pytest.mark.parametrize("way", ["run", "plate"])
def test_a_plate_or_a_run_becomes_plates_that_ngio_and_ome_zarr_models_open(tmp_path, way, capsys):
    pytest.importorskip("ome_zarr_models")
    ngio = pytest.importorskip("ngio")
    images, labels, told = write_plate(tmp_path, "ometiff"), str(tmp_path / "labels"), str(tmp_path / "map.csv")
    if way == "run":
        run = ["measure", str(images), labels, "--plate_map", told, "--nuclei", "off", "--overlays", "0"]
        assert main([*run, "--out", str(tmp_path / "run")]) == 0
        source = [str(tmp_path / "run")]
    else:
        source = [str(images), "--is_plate", "--labels", labels]
    assert main(["export", *source, "--to", "ome-zarr", "-o", str(tmp_path / "out")]) == 0
    assert "6 field(s) in 3 file(s)" in capsys.readouterr().out
    stores = sorted(path.name for path in (tmp_path / "out").glob("*.zarr"))
    assert stores == ["P1.ome.zarr", "P2.ome.zarr", "P3.ome.zarr"]
    path = tmp_path / "out" / "P2.ome.zarr"
    plate = ngio.open_ome_zarr_plate(path, mode="r")
    assert sorted(plate.get_images()) == ["C/03/1", "I/02/1"]
    image = plate.get_image("C", "03", "1")
    assert image.channel_labels == ["mRFP", "EGFP", "DNA"]
    assert image.get_image().pixel_size.x == pytest.approx(0.3)
    assert image.get_label("cells").get_as_numpy().max() == 4
    # in a process of its own: what it is built of fails once ngio has opened a plate beside it
    told = subprocess.run([sys.executable, "-c", BY_MODELS, path], capture_output=True, text=True, check=False)
    assert told.stdout.split() == ["C/03", "I/02"], told.stderr
    if way == "run":
        table = image.get_table("cells").dataframe
        assert table["puncta_yellow"].tolist() == [2, 2, 2, 3]
        assert set(table["treatment"]) == {"EBSS"}
        assert "site" not in table.select_dtypes("number")


@pytest.mark.skipif(sys.version_info < (3, 11), reason="ome-zarr needs Python 3.11")
def test_a_run_of_images_of_no_plate_becomes_a_store_a_field(tmp_path, capsys):
    """It was said to hold no label images, which lie in its folder labels."""
    pytest.importorskip("ome_zarr")
    labels = np.pad(LABELS, 20)
    for day in ("2024-03-01", "2024-03-08"):
        write_image(tmp_path / "images" / day / "ctrl_01.tif", labels * 100)
        write_labels(tmp_path / "labels" / f"{day}_ctrl_01_masks.tif", labels)
    how = ["--channels", "EGFP=1", "--pattern", "(?P<series>.+/.+)", "--overlays", "0"]
    how += ["--min_sigma", "1", "--max_sigma", "2", "--out", str(tmp_path / "run")]
    images, outlines = str(tmp_path / "images"), str(tmp_path / "labels")
    assert main(["analyse", images, "--labels", outlines, *how, "--ome_zarr"]) == 2
    assert "cellular export RUN --to ome-zarr writes a store a field" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    assert main(["measure", images, outlines, *how]) == 0
    assert main(["export", str(tmp_path / "run"), "--to", "ome-zarr", "-o", str(tmp_path / "out")]) == 0
    assert "2 field(s) in 2 file(s)" in capsys.readouterr().out
    stored = read_labels(tmp_path / "out" / "2024-03-01_ctrl_01.ome.zarr" / "labels" / "cells")
    np.testing.assert_array_equal(stored, labels)


def test_a_plate_of_images_has_one_format(tmp_path, capsys):
    words = ["export", str(write_plate(tmp_path, "ometiff")), "--is_plate", "--to", "coco", "-o", str(tmp_path / "out")]
    assert main(words) == 2
    assert "to ome-zarr, not to coco" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_what_is_not_there_is_named(tmp_path, capsys):
    assert main(["export", str(tmp_path / "none"), "--to", "coco", "-o", str(tmp_path)]) == 2
    assert "No such label image or folder" in capsys.readouterr().err
    assert main(["export", str(tmp_path / "none"), "--to", "onnx", "-o", str(tmp_path / "m")]) == 2
    assert "No model" in capsys.readouterr().err


def test_prepare_takes_what_export_wrote(tmp_path, capsys):
    """Labels of three fields leave as COCO and come back through prepare as they were."""
    names = ["a_ST_A01_s1", "a_ST_I06_s1", "a_ST_C03_s1"]
    for name in names:
        write_labels(tmp_path / "in" / f"{name}_masks.png", LABELS)
        write_image(tmp_path / "lab" / "images" / f"{name}.tif", np.zeros((*LABELS.shape, 3), np.uint8))
    assert main(["export", str(tmp_path / "in"), "--to", "coco", "-o", str(tmp_path / "lab")]) == 0
    assert main(["prepare", "-i", str(tmp_path / "lab"), "-o", str(tmp_path / "out")]) == 0
    for name, split in zip(names, ("train", "valid", "test")):
        np.testing.assert_array_equal(read_labels(tmp_path / "out" / "all" / split / f"{name}_masks.png"), LABELS)


@pytest.mark.parametrize("name", ["geojson", "yolo", "coco", "ome-zarr"])
def test_nothing_stays_of_labels_that_are_gone_or_cannot_be_read_any_more(tmp_path, capsys, name):
    pytest.importorskip({"ome-zarr": "ome_zarr"}.get(name, "numpy"))
    for folder, fields in (("in", "abc"), ("other", "d")):
        for field in fields:
            write_labels(tmp_path / folder / f"{field}_masks.png", LABELS)
            write_image(tmp_path / folder / f"{field}.tif", np.zeros((*LABELS.shape, 3), np.uint8))
        assert main(["export", str(tmp_path / folder), "--to", name, "-o", str(tmp_path / "out")]) == 0
    (tmp_path / "in" / "a_masks.png").unlink()
    (tmp_path / "in" / "b_masks.png").write_bytes(b"cut")
    assert main(["export", str(tmp_path / "in"), "--to", name, "-o", str(tmp_path / "out")]) == 1
    files = [path for path in (tmp_path / "out").rglob("*") if ".export" not in path.parts]
    # COCO names its images; to YOLO one without lines is a field without cells
    files = [path for path in files if name != "coco" or path.parent.name != "images"]
    names = {path.name.partition(".")[0] for path in files}
    assert not names & {"a", "b"}
    assert names >= ({"annotations"} if name == "coco" else {"c", "d"})  # of another folder that is still there
