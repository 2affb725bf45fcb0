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


def two_channels(path, names, levels):
    planes = np.stack([np.full((9, 12), level, np.uint16) for level in levels])
    metadata = {"axes": "CYX", "Channel": {"Name": names}}
    tifffile.imwrite(path, planes, ome=True, photometric="minisblack", metadata=metadata)


def light_of(plate):
    images = [read_field(item) for item in plate.fields]
    return [{role: int(image.plane(role).max()) for role in image.roles if role} for image in images]


def test_files_whose_channels_are_in_another_order_keep_their_light(tmp_path):
    """The names of one file's channels stood for all files': red was green in the others."""
    two_channels(tmp_path / "A01.ome.tif", ["EGFP", "mRFP"], [100, 500])
    two_channels(tmp_path / "A02.ome.tif", ["mRFP", "EGFP"], [500, 100])
    plate = find_plate(tmp_path)
    assert light_of(plate) == [{"mRFP": 500, "EGFP": 100}] * 2
    assert {source.called for source in plate.channels} == {"1 (EGFP)", "2 (mRFP)", "1 (mRFP)", "2 (EGFP)"}


def test_a_name_stands_for_a_channel_wherever_it_is(tmp_path):
    two_channels(tmp_path / "A01.ome.tif", ["488", "561"], [100, 500])
    two_channels(tmp_path / "A02.ome.tif", ["561", "488"], [500, 100])
    plate = find_plate(tmp_path, channels=["EGFP=488", "mRFP=561"])
    assert light_of(plate) == [{"mRFP": 500, "EGFP": 100}] * 2
    with pytest.raises(InputError, match="channel 1 is 488 in some files, 561 in others; say its name"):
        find_plate(tmp_path, channels=["EGFP=1", "mRFP=2"])


def test_a_file_without_names_has_no_roles_by_the_others(tmp_path):
    two_channels(tmp_path / "A01.ome.tif", ["EGFP", "mRFP"], [100, 500])
    tifffile.imwrite(tmp_path / "A02.tif", np.zeros((2, 9, 12), np.uint16), imagej=True, metadata={"axes": "CYX"})
    assert light_of(find_plate(tmp_path)) == [{"mRFP": 500, "EGFP": 100}, {}]
    # By number all files are meant: none of them says otherwise.
    assert light_of(find_plate(tmp_path, channels=["EGFP=1", "mRFP=2"]))[1] == {"mRFP": 0, "EGFP": 0}


def test_two_channels_of_one_role_in_a_file_have_none(tmp_path):
    two_channels(tmp_path / "A01.ome.tif", ["GFP", "EGFP"], [100, 500])
    plate = find_plate(tmp_path)
    assert light_of(plate) == [{}]
    assert "channels 1 and 2 could both be EGFP" in plate.notes[0]
