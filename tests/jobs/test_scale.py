"""Fields whose numbers do not mean the same are not measured together."""

import numpy as np
import pytest
import tifffile

from cellular.autophagy.measure.field import MeasureSettings
from cellular.autophagy.measure.puncta_settings import PunctaSettings
from cellular.data.find import find_plate
from cellular.jobs.measure import measure
from cellular.jobs.runner import spread

CELL = np.zeros((48, 48), np.uint16)
CELL[10:30, 10:30] = 1
LIGHT = {"mRFP": "w1", "EGFP": "w2"}


@pytest.fixture
def plate(tmp_path):
    """Ten fields, s1 to s10, of 16 bit and 0.5 um a pixel; and how to write one of them otherwise."""

    def write(site, dtype="uint16", um=0.5):
        for token in LIGHT.values():
            light = (100 + CELL.astype(float) * 90).astype(dtype)
            tifffile.imwrite(
                tmp_path / "images" / f"P_A01_s{site}_{token}.tif",
                light / np.float32(255) if dtype == "float32" else light,
                imagej=True,
                resolution=(1 / um, 1 / um),
                metadata={"unit": "um"},
            )
        tifffile.imwrite(tmp_path / "labels" / f"P_A01_s{site}.tif", CELL)

    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    for site in range(1, 11):
        write(site)
    return write


@pytest.mark.parametrize(
    ("odd", "said"),
    [
        ({"dtype": "uint8"}, "8-bit counts"),
        ({"dtype": "float32"}, "floating-point"),
        ({"um": 1.0}, "a pixel is 1 um"),
        ({"um": 0.501}, None),
    ],
)
@pytest.mark.parametrize("site", [1, 7])
def test_a_field_of_another_kind_is_named_and_left_out(odd, said, site, plate, tmp_path):
    plate(site, **odd)
    found = find_plate(tmp_path / "images", channels=[f"{role}={token}" for role, token in LIGHT.items()])
    made = measure(found, tmp_path / "labels", tmp_path / "out", overlays=0)
    name = f"P_A01_s{site}"
    if said is None:
        assert made.problems == {}
    else:
        assert list(made.problems) == [name]
        assert said in made.problems[name]
        assert f"{name}_w1.tif" in made.problems[name]
    assert set(made.images["field"]) == {f"P_A01_s{n}" for n in range(1, 11)} - set(made.problems)


@pytest.mark.parametrize("reporter", ["uint16", "uint8"])
def test_a_channel_of_another_kind_than_in_most_fields_is_named(reporter, plate, tmp_path):
    """That channel alone: the reporter's may be of another kind than DNA's, where they are so throughout."""
    for site in range(1, 11):
        plate(site, dtype=reporter)
        dna = (100 + CELL * 90).astype("uint8" if site == 7 else "uint16")
        tifffile.imwrite(tmp_path / "images" / f"P_A01_s{site}_w4.tif", dna)
    roles = [f"{role}={token}" for role, token in (LIGHT | {"DNA": "w4"}).items()]
    made = measure(
        find_plate(tmp_path / "images", channels=roles), tmp_path / "labels", tmp_path / "out", overlays=0, nuclei="off"
    )
    assert list(made.problems) == ["P_A01_s7"]
    assert "P_A01_s7_w4.tif: its pixels are 8-bit counts" in made.problems["P_A01_s7"]
    assert made.cells["mean__DNA"].tolist() == [90.0] * 9


def test_a_channel_of_fractions_leaves_the_others_their_levels(plate, tmp_path):
    """What rounding does to noise, and what a camera of 12 bit is full at."""
    for site in range(1, 11):
        for token in LIGHT.values():
            light = np.where(CELL > 0, 4095, 100).astype(np.uint16)
            tifffile.imwrite(tmp_path / "images" / f"P_A01_s{site}_{token}.tif", light)
        tifffile.imwrite(tmp_path / "images" / f"P_A01_s{site}_w4.tif", CELL.astype(np.float32) / 4)
    roles = [f"{role}={token}" for role, token in (LIGHT | {"DNA": "w4"}).items()]
    settings = MeasureSettings(puncta=PunctaSettings(1.4, 4.0))
    found = find_plate(tmp_path / "images", channels=roles)
    made = measure(found, tmp_path / "labels", tmp_path / "out", settings, overlays=0, nuclei="off")
    assert made.problems == {}
    assert made.cells[["mean__mRFP", "saturated__mRFP", "mean__DNA"]].to_numpy().tolist() == [[3995, 1, 0.25]] * 10
    assert made.images["noise__mRFP"].tolist() == pytest.approx([12**-0.5] * 10)
    assert made.images["noise__DNA"].tolist() == [0] * 10


def test_sums_of_8_bit_slices_are_comparable(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    for site in (1, 2):
        stack = np.broadcast_to((100 + CELL * 50).astype(np.uint8), (3, 2, 48, 48))
        tifffile.imwrite(tmp_path / "images" / f"P_A01_s{site}.tif", stack, imagej=True, metadata={"axes": "ZCYX"})
        tifffile.imwrite(tmp_path / "labels" / f"P_A01_s{site}.tif", CELL)
    found = find_plate(tmp_path / "images", channels=["mRFP=1", "EGFP=2"], z="sum")
    settings = MeasureSettings(puncta=PunctaSettings(1.4, 4.0))
    made = measure(found, tmp_path / "labels", tmp_path / "out", settings, overlays=0)
    assert made.problems == {}
    assert made.cells["mean__mRFP"].tolist() == [3 * 50] * 2


def test_one_bit_is_no_fluorescence(plate, tmp_path):
    """Bilevel files say now that 0 is white, now that it is black, for the same masks."""
    for token in LIGHT.values():
        tifffile.imwrite(tmp_path / "images" / f"P_A01_s3_{token}.tif", CELL > 0)
    found = find_plate(tmp_path / "images", channels=[f"{role}={token}" for role, token in LIGHT.items()])
    made = measure(found, tmp_path / "labels", tmp_path / "out", overlays=0)
    assert list(made.problems) == ["P_A01_s3"]
    assert "one bit a pixel is a mask" in made.problems["P_A01_s3"]


def test_what_is_spread_reaches_the_end():
    assert list(spread(range(17), 9)) == [0, 1, 3, 5, 7, 9, 11, 13, 15]
    assert list(spread(range(3), 9)) == [0, 1, 2]
    assert list(spread(range(3), 0)) == []
