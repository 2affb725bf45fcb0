"""Shape against hand-made cells and scikit-image."""

import numpy as np
import pytest
from skimage.draw import ellipse
from skimage.measure import regionprops_table
from skimage.morphology import convex_hull_image

from cellular.autophagy.measure.shape import hull_pixels, measure_shape
from cellular.labels.regions import Regions


def test_a_rectangle_by_hand():
    labels = np.zeros((20, 30), np.uint16)
    labels[4:8, 10:20] = 5  # 4 x 10 px
    shape = measure_shape(labels, Regions.of(labels))
    assert shape["area"].tolist() == [40]
    assert (shape["y"][0], shape["x"][0]) == (5.5, 14.5)
    # variance of n equally spaced pixels: (n^2 - 1) / 12
    assert shape["major_axis"][0] == pytest.approx(4 * np.sqrt(99 / 12))
    assert shape["minor_axis"][0] == pytest.approx(4 * np.sqrt(15 / 12))
    assert shape["eccentricity"][0] == pytest.approx(np.sqrt(1 - 15 / 99))
    assert shape["orientation"][0] == pytest.approx(np.pi / 2)  # along the columns
    assert shape["solidity"][0] == shape["extent"][0] == 1
    assert shape["perimeter"][0] == 24  # through the centres of the border pixels: 2 * (3 + 9)
    assert not shape["touches_border"][0]


def test_all_agree_with_scikit_image(rng):
    labels = np.zeros((120, 160), np.uint16)
    for k, (y, x, a, b, turn) in enumerate([(30, 30, 20, 12, 0.4), (80, 110, 30, 15, 1.2), (90, 30, 9, 25, 0)], 1):
        rows, columns = ellipse(y, x, a, b, labels.shape, turn)
        labels[rows, columns] = k * 7
    labels[rng.random(labels.shape) < 0.02] = 0  # holes and notches
    ours = measure_shape(labels, Regions.of(labels))
    theirs = regionprops_table(
        labels,
        properties=(
            *("area", "perimeter", "eccentricity", "extent", "orientation", "solidity", "centroid"),
            *("axis_major_length", "axis_minor_length"),
        ),
    )
    renamed = {"axis_major_length": "major_axis", "axis_minor_length": "minor_axis", "centroid-0": "y"}
    renamed["centroid-1"] = "x"
    for name, values in theirs.items():
        tolerance = 0.035 if name == "solidity" else 1e-9
        np.testing.assert_allclose(ours[renamed.get(name, name)], values, rtol=tolerance, err_msg=name)


def test_hull_counts_lattice_points_as_scikit_image_does(rng):
    for _ in range(5):
        mask = np.zeros((30, 40), bool)
        mask[rng.integers(0, 30, 12), rng.integers(0, 40, 12)] = True
        assert (
            hull_pixels(np.argwhere(mask).astype(np.int32)) == convex_hull_image(mask, offset_coordinates=False).sum()
        )


def test_one_pixel_and_the_border():
    labels = np.zeros((5, 6), np.uint16)
    labels[0, 3], labels[2, 2] = 1, 2
    shape = measure_shape(labels, Regions.of(labels))
    assert shape["touches_border"].tolist() == [True, False]
    assert shape["solidity"].tolist() == [1, 1]
    assert shape["circularity"].tolist() == [1, 1]
    assert shape["eccentricity"].tolist() == [0, 0]


def test_no_cells():
    labels = np.zeros((5, 6), np.uint16)
    assert all(values.size == 0 for values in measure_shape(labels, Regions.of(labels)).values())
