"""Plates of one name on several dates are several, wherever plates are told or written."""

from dataclasses import replace

import numpy as np
import pytest
import tifffile

from cellular.data.plate import FieldFiles, Plate, Source
from cellular.files import read_csv
from cellular.jobs.export_plate import export_plates
from cellular.jobs.inspect import inspect


@pytest.fixture
def plate(tmp_path):
    """Well A01 of plate P on two days; its names tell no site."""
    items = []
    for day, light in (("240301", 100), ("240308", 900)):
        image = tmp_path / f"{day}.tif"
        tifffile.imwrite(image, np.full((16, 16), light, np.uint16))
        item = FieldFiles(f"P_{day}", (Source("EGFP", "", "EGFP", ((image, 0),)),))
        items.append(replace(item, plate="P", well="A01", date=day))
    return Plate(tmp_path, "plain", tuple(items))


def test_each_day_has_a_store(plate, tmp_path):
    """Both days' fields were sites 1 and 2 of one well of one plate."""
    zarr = pytest.importorskip("zarr", reason="the extra zarr is not installed")
    stores, problems = export_plates(plate, tmp_path / "out")
    assert ([store.name for store in stores], problems) == (["P 240301.ome.zarr", "P 240308.ome.zarr"], {})
    for store, light in zip(stores, (100, 900)):
        well = zarr.open_group(store / "A" / "01", mode="r")
        assert list(well.group_keys()) == ["1"]
        assert {int(value) for _, pixels in well["1"].arrays() for value in pixels[:].ravel()} == {light}


def test_each_day_is_drawn(plate, tmp_path):
    inspect(plate, tmp_path / "out")
    assert read_csv(tmp_path / "out" / "plate.csv")["plate"].tolist() == ["P 240301", "P 240308"]


def test_wells_are_counted_on_each(plate):
    assert plate.summary()[0] == "plate: 2 fields, 2 wells, 2 plates (P 240301, P 240308); names as plain"
