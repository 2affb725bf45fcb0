"""The cells of a label image against scikit-image."""

import numpy as np
import pytest
from pictures import field_image
from skimage.measure import regionprops

from cellular.autophagy.state.crops import cut_crops
from cellular.labels.cells import areas_of, cells_of
from cellular.labels.diameter import median_diameter
from cellular.report.outlines import outlines_of
from cellular.train.samples import make_sample


def test_centroids_and_boxes_are_those_of_skimage():
    labels = np.zeros((40, 30), np.uint32)
    labels[3:20, 5:9], labels[25:31, 2:28], labels[8, 20] = 7, 3, 2
    labels[10:14, 5:7] = 0
    for numbered in (labels, np.where(labels == 7, 4_000_000_000, labels).astype(np.uint32)):  # with a wide gap
        cells = cells_of(numbered)
        assert [label for label, _ in cells] == sorted(set(numbered.ravel().tolist()) - {0})
        for (_, cell), region in zip(cells, regionprops(labels)):
            assert (cell.box, cell.area) == (region.bbox, region.area)
            assert cell.centroid == pytest.approx(region.centroid)


def test_ids_of_a_database_are_numbers_as_others(tmp_path, monkeypatch):
    """Above 2 ** 31 a cell's crop was left out; memory went by the highest number elsewhere."""
    monkeypatch.setenv("CELLULAR_CACHE", str(tmp_path))
    plain = np.zeros((60, 60), np.uint16)
    plain[5:25, 5:25], plain[30:50, 10:40], plain[40:45, 50:55] = 1, 2, 3
    ids = np.array([0, 7, 3_000_000_001, 4_000_000_000], np.uint32)
    labels = ids[plain]
    assert areas_of(labels).tolist() == areas_of(plain).tolist() == [400, 600, 25]
    assert median_diameter(labels) == median_diameter(plain) == pytest.approx(np.sqrt(400 * 4 / np.pi))
    light = np.full((60, 60, 2), 9, np.uint16)
    crops, others = (cut_crops(field_image(light), one, "f", side_px=32, size=32) for one in (labels, plain))
    assert crops.cells["label"].tolist() == ids[1:].tolist()
    np.testing.assert_array_equal(crops.pixels, others.pixels)
    assert list(outlines_of(labels)) == ids[1:].tolist()
    assert make_sample("f", np.zeros((1, 60, 60)), labels).cells == 3
