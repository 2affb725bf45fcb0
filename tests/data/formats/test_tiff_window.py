"""Parts of a plane against the same part of the whole."""

import numpy as np
import pytest
import tifffile

from cellular.data.formats.tiff_window import read_tiff_window

IMAGE = np.random.default_rng(0).integers(0, 60_000, (70, 90), np.uint16)
WINDOWS = [
    (slice(0, 70, 1), slice(0, 90, 1)),
    (slice(5, 69, 3), slice(17, 18, 1)),
    (slice(33, 70, 16), slice(1, 90, 7)),
]


@pytest.mark.parametrize("window", WINDOWS, ids=["whole", "a column", "sparse"])
@pytest.mark.parametrize(
    "how",
    [
        {},
        {"compression": "zlib"},
        {"compression": "zlib", "rowsperstrip": 16},
        {"compression": "zlib", "tile": (16, 32), "predictor": True},
        {"tile": (32, 16)},
        {"byteorder": ">", "compression": "zlib", "tile": (16, 16)},
    ],
    ids=["plain", "one strip", "strips", "tiles", "tiles, not packed", "other bytes"],
)
def test_a_part_is_that_part_of_the_whole(tmp_path, how, window):
    tifffile.imwrite(tmp_path / "a.tif", IMAGE, photometric="minisblack", **how)
    assert read_tiff_window(tmp_path / "a.tif", 0, 0, 0, 0, window).tolist() == IMAGE[window].tolist()


def test_channels_and_planes_are_told_apart(tmp_path):
    stack = np.random.default_rng(1).integers(0, 255, (3, 2, 40, 48), np.uint8)
    tifffile.imwrite(tmp_path / "a.ome.tif", stack, metadata={"axes": "ZCYX"}, tile=(16, 16), compression="zlib")
    found = read_tiff_window(tmp_path / "a.ome.tif", 0, 0, 2, 1, (slice(3, 33, 2), slice(0, 48, 5)))
    assert found.tolist() == stack[2, 1, 3:33:2, ::5].tolist()
    colours = np.random.default_rng(2).integers(0, 255, (40, 48, 3), np.uint8)
    tifffile.imwrite(tmp_path / "c.tif", colours, photometric="rgb", tile=(16, 16), compression="zlib")
    found = read_tiff_window(tmp_path / "c.tif", 0, 0, 0, 2, (slice(0, 40, 4), slice(9, 20, 1)))
    assert found.tolist() == colours[::4, 9:20, 2].tolist()


def test_a_coarse_look_is_taken_from_the_small_copy(tmp_path):
    with tifffile.TiffWriter(tmp_path / "p.tif") as file:
        file.write(np.zeros((64, 64), np.uint16), tile=(16, 16), compression="zlib", subifds=1)
        file.write(np.full((16, 16), 7, np.uint16), tile=(16, 16), compression="zlib", subfiletype=1)
    assert (
        read_tiff_window(tmp_path / "p.tif", 0, 0, 0, 0, (slice(0, 64, 4), slice(0, 64, 4))).tolist() == [[7] * 16] * 16
    )
    assert read_tiff_window(tmp_path / "p.tif", 0, 0, 0, 0, (slice(0, 64, 2), slice(0, 64, 2))).max() == 0


def test_what_cannot_be_had_in_part_is_left_to_others(tmp_path):
    tifffile.imwrite(tmp_path / "w.tif", IMAGE, photometric="miniswhite")
    assert read_tiff_window(tmp_path / "w.tif", 0, 0, 0, 0, WINDOWS[0]) is None
