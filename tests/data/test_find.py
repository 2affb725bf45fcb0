"""Fields as their names and files say, and what is refused when it is read."""

import numpy as np
import pytest
import tifffile

from cellular.data.find import find_plate
from cellular.data.formats.images import write_image
from cellular.data.image import read_field
from cellular.errors import InputError


@pytest.mark.parametrize("channels", [("w1",), ("w1", "w2")])
def test_a_stack_in_a_file_named_as_one_channel_is_refused(tmp_path, channels):
    """Its first slice alone would look like a whole image."""
    for channel in channels:
        path = tmp_path / f"P_A01_s1_{channel}.tif"
        tifffile.imwrite(path, np.zeros((3, 16, 16), np.uint16), imagej=True, metadata={"axes": "ZYX"})
    plate = find_plate(tmp_path, channels=["EGFP=w1"])
    with pytest.raises(InputError, match=r"w1\.tif: by its name one channel, but it holds \{'Z': 3\}"):
        read_field(plate.fields[0])


def test_one_plane_named_as_one_channel_is_read(tmp_path):
    tifffile.imwrite(tmp_path / "P_A01_s1_w1.tif", np.full((16, 16), 7, np.uint16))
    image = read_field(find_plate(tmp_path, channels=["EGFP=w1"]).fields[0])
    assert (image.pixels.shape, image.roles, image.pixels.max()) == ((16, 16, 1), ("EGFP",), 7)


def test_a_folder_that_is_named_like_an_image_is_none(tmp_path):
    write_image(tmp_path / "A01.tif", np.zeros((8, 8), np.uint16))
    (tmp_path / "A02.tif").mkdir()
    assert [item.name for item in find_plate(tmp_path).fields] == ["A01"]
