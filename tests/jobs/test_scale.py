"""Fields whose numbers do not mean the same are not measured together."""

import numpy as np
import pytest
import tifffile

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
