"""What a reader refuses, with the file and what is wrong with it in the message."""

import json

import numpy as np
import pytest

from cellular.data.formats.boxes import from_box
from cellular.data.formats.labels import load_seg_npy
from cellular.data.formats.ome_zarr import ome_attributes, ome_zarr_plate
from cellular.data.formats.pixels import upright
from cellular.errors import InputError


@pytest.mark.parametrize(
    ("masks", "said"),
    [
        (np.zeros((2, 4, 4), int), r"their shape is \(2, 4, 4\)"),
        (np.full((4, 4), 1.5), "whole numbers, its 'masks' have fractions"),
        (np.full((4, 4), -2), "its 'masks' have -2"),
    ],
)
def test_masks_of_cellpose_that_are_no_label_image(masks, said, tmp_path):
    path = tmp_path / "a_seg.npy"
    np.save(path, np.array({"masks": masks}, object), allow_pickle=True)
    with pytest.raises(InputError, match=f"a_seg.npy.*{said}"):
        load_seg_npy(path)


def test_damaged_groups_of_zarr(tmp_path):
    (tmp_path / ".zattrs").write_text('{"plate": ')
    with pytest.raises(InputError, match=r"cannot be read as OME-Zarr: \.zattrs is damaged"):
        ome_attributes(tmp_path)


@pytest.mark.parametrize(
    ("wells", "said"),
    [
        ([{"row": "A"}], "list of wells and images is damaged or incomplete"),
        ([{"path": "A/1"}], "damaged or incomplete"),
    ],
)
def test_a_plate_whose_list_is_damaged(wells, said, tmp_path):
    (tmp_path / ".zattrs").write_text(json.dumps({"plate": {"wells": wells}}))
    with pytest.raises(InputError, match=said):
        ome_zarr_plate(tmp_path)


def test_numbers_that_cannot_be(tmp_path):
    with pytest.raises(InputError, match="a box 0 px wide and 3 px high"):
        from_box(1, 1, 0, 3, (9, 9))
    with pytest.raises(InputError, match="a.tif: orientation 9 is none of 1 to 8"):
        upright(np.zeros((2, 3, 1)), 9, tmp_path / "a.tif")
