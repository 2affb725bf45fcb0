"""A run that goes on after something changed that no image tells: the same as a new one."""

import numpy as np
import pandas as pd
import pytest
import tifffile
from works import Doing, Thing

from cellular.autophagy.measure.field import MeasureSettings
from cellular.autophagy.measure.puncta_settings import PunctaSettings
from cellular.data.find import find_plate
from cellular.data.platemap import read_plate_map
from cellular.errors import InputError
from cellular.jobs.analyse import analyse
from cellular.jobs.measure import measure
from cellular.jobs.quality import quality
from cellular.jobs.runner import Work, each

CELL = np.zeros((48, 48), np.uint16)
CELL[10:30, 10:30] = 1
CHANNELS = ["mRFP=1", "EGFP=2"]
SETTINGS = MeasureSettings(puncta=PunctaSettings(min_sigma=1.0, max_sigma=2.0))
WELLS = ("A01", "A02", "A03", "A04")


@pytest.fixture
def images(tmp_path):
    """Four wells, a file each: two channels of three slices with 10, 20 and 60 levels in the cell."""
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    for well in WELLS:
        stack = np.stack([[100 + CELL * level] * 2 for level in (10, 20, 60)]).astype(np.uint16)
        path = tmp_path / "images" / f"P_{well}_s1.tif"
        tifffile.imwrite(path, stack, imagej=True, metadata={"axes": "ZCYX"})
        tifffile.imwrite(tmp_path / "labels" / f"P_{well}_s1.tif", CELL)
    return tmp_path / "images"


def plate_of(images, text=None, z="max", channels=CHANNELS):
    if text is not None:
        (images.parent / "map.csv").write_text(text)
    given = None if text is None else read_plate_map(images.parent / "map.csv")
    return find_plate(images, channels=channels, plate_map=given, z=z)


def test_a_corrected_map_reaches_every_table_and_measures_nothing_anew(images, tmp_path):
    first = "well,treatment,lot\nA01,DMSO,001\nA02,DMSO,1\nA03,EBSS,001\nA04,EBSS,1\n"
    mended = "well,treatment,lot,dose_nM\nA01,EBSS,001,0\nA02,EBSS,1,0\nA03,DMSO,001,5\nA04,,1,\n"
    measure(plate_of(images, first), tmp_path / "labels", tmp_path / "out", SETTINGS, overlays=0)
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "fields").rglob("*.csv")}
    again = measure(plate_of(images, mended), tmp_path / "labels", tmp_path / "out", SETTINGS, overlays=0)
    measure(plate_of(images, mended), tmp_path / "labels", tmp_path / "new", SETTINGS, overlays=0)

    assert again.images["treatment"].tolist()[:3] == ["EBSS", "EBSS", "DMSO"]
    assert again.images["treatment"].isna().tolist() == [False, False, False, True]
    cells = pd.read_csv(tmp_path / "out" / "cells.csv", dtype=str).set_index("well")
    assert cells["lot"].tolist() == ["001", "1", "001", "1"]  # as they were written: two lots, not one
    assert cells["dose"].tolist()[:3] == ["0.0", "0.0", "5.0"]
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    made = [path.relative_to(tmp_path / "new") for path in (tmp_path / "new").rglob("*.csv")]
    assert len(made) > 5
    assert all((tmp_path / "out" / path).read_bytes() == (tmp_path / "new" / path).read_bytes() for path in made)


def test_a_column_of_the_map_called_like_a_measurement_is_refused(images, tmp_path):
    plate = plate_of(images, "well,treatment,Area\nA01,DMSO,7\nA02,EBSS,8\n")
    for verb in (measure, analyse):
        with pytest.raises(InputError, match="column 'Area' would hide what is measured"):
            verb(plate, labels=tmp_path / "labels", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_another_pattern_moves_fields_to_other_wells_and_plates(images, tmp_path):
    """`A01_s1` read as a well and a site, or the other way about: quality and measurements are told of both."""
    for well in WELLS:
        (images / f"P_{well}_s1.tif").rename(images / f"{well}_B0{well[-1]}.tif")
        (tmp_path / "labels" / f"P_{well}_s1.tif").rename(tmp_path / "labels" / f"{well}_B0{well[-1]}.tif")
    patterns = {"A": r"(?P<series>(?P<well>A\d\d)_B\d\d)", "B": r"(?P<series>A\d\d_(?P<well>B\d\d))"}
    for row, pattern in patterns.items():
        found = find_plate(images, pattern=pattern, channels=CHANNELS, z="max")
        assert len(found) == 4
        wells = [f"{row}0{n}" for n in range(1, 5)]
        made = measure(found, tmp_path / "labels", tmp_path / "out", SETTINGS, overlays=0)
        assert made.images["well"].tolist() == wells
        table, _ = quality(found, tmp_path / "quality")
        assert table.table["well"].tolist() == wells


def test_another_projection_of_the_same_files_is_measured_anew(images, tmp_path):
    means = {}
    for z in ("max", "sum", "2"):
        made = measure(plate_of(images, z=z), tmp_path / "labels", tmp_path / "out", SETTINGS, overlays=0)
        means[z] = made.cells["mean__mRFP"].tolist()
    assert means == {"max": [60.0] * 4, "sum": [90.0] * 4, "2": [20.0] * 4}


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        (("z2_w1",), "EGFP has 3 slices, mRFP 2"),
        (("z2_w1", "z2_w2"), "2 slices of its channel w1, most fields 3"),
        (("z1_w1", "z1_w2", "z2_w1", "z2_w2"), "1 slices of its channel w1, most fields 3"),
    ],
)
def test_a_stack_that_lost_a_slice_is_named_and_left_out(lost, said, tmp_path):
    """The sum of two slices is no sum of three, one is no sum at all; nor is the third the one that comes third."""
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    for well in WELLS:
        tifffile.imwrite(tmp_path / "labels" / f"P_{well}_s1.tif", CELL)
        for z, level in enumerate((10, 20, 60), 1):
            for token in ("w1", "w2"):
                plane = (100 + CELL * level).astype(np.uint16)
                tifffile.imwrite(tmp_path / "images" / f"P_{well}_s1_z{z}_{token}.tif", plane)
    for slice in lost:
        (tmp_path / "images" / f"P_A02_s1_{slice}.tif").unlink()
    found = {z: plate_of(tmp_path / "images", z=z, channels=["mRFP=w1", "EGFP=w2"]) for z in ("sum", 3)}
    made = measure(found["sum"], tmp_path / "labels", tmp_path / "out", SETTINGS, overlays=0)
    assert made.cells["mean__mRFP"].tolist() == [90.0] * 3
    assert list(made.problems) == ["P_A02_s1"]
    assert said in made.problems["P_A02_s1"]
    third = measure(found[3], tmp_path / "labels", tmp_path / "third", SETTINGS, overlays=0)
    assert third.cells["mean__mRFP"].tolist() == [60.0] * 4


def test_what_is_known_of_an_item_besides_its_files_makes_it_anew(tmp_path):
    doing = Doing(tmp_path / "marks")
    doing.marks.mkdir()
    for known in (1, 1, 2):
        work = Work(doing.do, doing.inputs, known=lambda item, known=known: (known,))
        each([Thing("one")], tmp_path / "out", work, desc="test")
    assert len(list(doing.marks.iterdir())) == 2
