import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as coco

from cellular.errors import InputError
from cellular.labels.cells import crop_mask
from cellular.labels.outlines import ellipse_in, fill, outline, rings_of, single_ring

shapely = pytest.importorskip("shapely", reason="needs cellular[export]")
RING_AND_DOT = np.array([[1, 1, 1, 0, 0], [1, 0, 1, 0, 1], [1, 1, 1, 0, 0]], bool)


def test_the_outline_runs_along_pixel_edges():
    shape = outline(crop_mask(np.pad(np.ones((2, 3), bool), 1)))
    assert shape.bounds == (1, 1, 4, 3)
    assert shape.area == 6


def test_holes_and_pieces_are_kept():
    shape = outline(crop_mask(RING_AND_DOT))
    assert shape.is_valid
    assert shape.area == 9
    assert len(rings_of(shape)) == 3


@given(arrays.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
@settings(max_examples=150, deadline=None)
def test_any_mask_comes_back_exactly(mask):
    if not mask.any():
        return
    shape = outline(crop_mask(mask))
    assert shape.is_valid
    rings = rings_of(shape)
    np.testing.assert_array_equal(fill(rings, mask.shape).full(), mask)
    np.testing.assert_array_equal(fill([single_ring(rings)], mask.shape).full(), mask)


def test_pycocotools_fills_the_same_pixels():
    yy, xx = np.mgrid[:40, :50]
    mask = (yy - 20) ** 2 / 200 + (xx - 25) ** 2 / 400 < 1
    ring = rings_of(outline(crop_mask(mask)))[0]
    theirs = coco.decode(coco.frPyObjects([ring.ravel().astype(float).tolist()], 40, 50))[..., 0]
    np.testing.assert_array_equal(theirs, mask)


def test_what_lies_outside_the_field_is_cut_off():
    assert fill([[(-5, -5), (2, -5), (2, 2), (-5, 2)]], (4, 4)).full().sum() == 4
    assert fill([[(10, 10), (20, 10), (20, 20)]], (4, 4)).area == 0
    assert fill([[(-1e300, -1e300), (1e300, -1e300), (1e300, 1e300), (-1e300, 1e300)]], (4, 4)).area in range(17)


@pytest.mark.parametrize("ring", [[(0, 0), (1, 1)], [(0, 0), (1, np.nan), (2, 2)], [(0, 0, 0)] * 3])
def test_what_is_no_polygon_is_refused(ring):
    with pytest.raises(InputError, match="a polygon needs"):
        fill([ring], (4, 4))


def test_an_ellipse_fills_its_box():
    cell = fill([ellipse_in(10, 20, 40, 20)], (100, 100))
    assert cell.box == (20, 10, 40, 50)
    assert cell.area == pytest.approx(np.pi * 20 * 10, rel=0.02)
