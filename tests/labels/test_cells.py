"""The cells of a label image against scikit-image."""

import numpy as np
import pytest
from skimage.measure import regionprops

from cellular.labels.cells import cells_of


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
