"""Nuclei matched with cells and measured, on arrays small enough to count by eye."""

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import distance_transform_edt
from skimage.measure import regionprops_table

from cellular.autophagy.measure.nuclei import match_nuclei, measure_nuclei, nuclei_of_cells, nucleus_distances
from cellular.autophagy.measure.unmix import Channels
from cellular.errors import InputError
from cellular.labels.regions import Regions

CELLS = np.array(
    [
        [2, 2, 2, 2, 0, 0, 0],
        [2, 2, 2, 2, 0, 5, 5],
        [2, 2, 2, 2, 0, 5, 5],
        [7, 7, 0, 0, 0, 5, 5],
    ],
    np.uint16,
)
# 1 and 4 lie in cell 2, the second is the larger; 3 lies in cell 5 by two of three pixels; 6 by half in cell 7.
NUCLEI = np.array(
    [
        [1, 0, 4, 4, 0, 0, 0],
        [0, 0, 4, 0, 0, 0, 0],
        [0, 0, 0, 0, 3, 3, 3],
        [0, 6, 6, 0, 0, 0, 0],
    ],
    np.uint16,
)


def channels(**planes):
    pixels = tuple(np.asarray(plane, np.float32) for plane in planes.values())
    n = len(planes)
    saturated = np.zeros((n, *pixels[0].shape), bool)
    return Channels(tuple(planes), pixels, saturated, "raw", (0.0,) * n, (10.0,) * n, (1.0,) * n, (True,) * n)


def test_a_nucleus_has_its_cells_number_and_a_second_one_a_further_one():
    found = match_nuclei(NUCLEI, CELLS)
    assert found.numbers.tolist() == [2, 5, 8, 9]
    assert found.cells.tolist() == [2, 5, 2, 0]
    assert found.labels.tolist() == [
        [8, 0, 2, 2, 0, 0, 0],
        [0, 0, 2, 0, 0, 0, 0],
        [0, 0, 0, 0, 5, 5, 5],
        [0, 9, 9, 0, 0, 0, 0],
    ]


def test_matching_what_was_matched_changes_nothing():
    once = match_nuclei(NUCLEI, CELLS)
    again = match_nuclei(once.labels, CELLS)
    assert again.labels.tolist() == once.labels.tolist()
    assert again.cells.tolist() == once.cells.tolist()


def test_no_nuclei_and_no_cells():
    assert match_nuclei(np.zeros_like(NUCLEI), CELLS).numbers.tolist() == []
    assert match_nuclei(NUCLEI, np.zeros_like(CELLS)).cells.tolist() == [0, 0, 0, 0]
    with pytest.raises(InputError, match="differ in size"):
        match_nuclei(NUCLEI[:2], CELLS)


def test_counts_areas_and_light_in_and_out_of_nuclei():
    plane = np.where(CELLS == 2, 14, 10)
    plane[NUCLEI > 0] = 30
    found = match_nuclei(NUCLEI, CELLS)
    got = nuclei_of_cells(found, Regions.of(CELLS), channels(DNA=plane))
    assert got["nuclei"].tolist() == [2, 1, 0]
    assert got["nuclei_flagged"].tolist() == [True, False, True]
    assert got["nucleus_area"].tolist() == [4, 3, 0]
    assert got["nucleus_share"].tolist() == [4 / 12, 2 / 6, 0]
    assert got["nucleus_mean__DNA"][:2].tolist() == [20, 20]
    assert np.isnan(got["nucleus_mean__DNA"][2])
    assert got["nucleus_integrated__DNA"].tolist() == [80, 40, 0]
    # a nucleus that is not the cell's own counts as its cytoplasm
    assert got["cytoplasm_mean__DNA"].tolist() == [4, 0, 10]
    assert got["nuclear_ratio__DNA"][0] == 5
    assert np.isnan(got["nuclear_ratio__DNA"][1:]).all()


def test_cells_with_ids_of_a_database_are_measured_alike():
    """By number of label a table of them would take 32 GB."""
    plane = np.arange(CELLS.size).reshape(CELLS.shape)
    ids = np.where(CELLS > 0, CELLS + np.uint32(4_000_000_000), 0).astype(np.uint32)
    few, many = (
        nuclei_of_cells(match_nuclei(NUCLEI, cells), Regions.of(cells), channels(DNA=plane)) for cells in (CELLS, ids)
    )
    for name, values in few.items():
        assert np.array_equal(many[name], values, equal_nan=True)


def test_the_table_of_nuclei_as_in_scikit_image(rng):
    plane = rng.uniform(20, 90, NUCLEI.shape)
    found = match_nuclei(NUCLEI, CELLS)
    got = measure_nuclei(found, channels(DNA=plane), "f")
    light = np.float32(plane) - 10
    wanted = regionprops_table(found.labels, light, ("label", "area", "intensity_mean", "centroid"))
    assert got["nucleus"].tolist() == wanted["label"].tolist()
    assert got["area"].tolist() == wanted["area"].tolist()
    assert got["mean__DNA"] == pytest.approx(wanted["intensity_mean"], rel=1e-5)
    assert got["y"] == pytest.approx(wanted["centroid-0"])
    assert got["label"].tolist() == [2, 5, 2, 0]


def test_distances_are_those_of_scipys_transform():
    found = match_nuclei(NUCLEI, CELLS)
    places = pd.DataFrame({"label": [2, 2, 2, 5, 7], "y": [2, 1, 0, 3, 3], "x": [3, 1, 2, 6, 0]}, dtype=float)
    own = distance_transform_edt(~np.isin(found.labels, (2, 8)))
    other = distance_transform_edt(found.labels != 5)
    got = nucleus_distances(places, found)
    assert got[:4].tolist() == [own[2, 3], own[1, 1], 0, other[3, 6]]
    assert got[0] == pytest.approx(np.sqrt(2))  # nearer to cell 5's nucleus, which is not its own
    assert np.isnan(got[4])
    assert nucleus_distances(places.iloc[:0], found).tolist() == []


def test_inside_a_nucleus_the_distance_is_nought_between_pixels_too():
    cells = np.ones((5, 5), np.uint16)
    nuclei = np.zeros_like(cells)
    nuclei[1:4, 1:4] = 1
    spots = pd.DataFrame({"label": [1, 1], "y": [2.4, 0.0], "x": [2.3, 2.0]})
    assert nucleus_distances(spots, match_nuclei(nuclei, cells)).tolist() == [0, 1]
