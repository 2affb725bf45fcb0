"""Cells' pixels by cell, against plain indexing."""

import numpy as np
import pytest

from cellular.errors import InputError
from cellular.labels.checks import as_labels
from cellular.labels.regions import Regions


def test_runs_pixels_and_sums_by_hand():
    labels = np.array([[7, 7, 0, 7], [7, 2, 2, 0]], np.uint16)
    regions = Regions.of(labels)
    assert regions.labels.tolist() == [2, 7]
    assert regions.runs.tolist() == [[1, 1, 2], [0, 0, 1], [0, 3, 3], [1, 0, 0]]
    assert regions.first_runs.tolist() == [0, 1]
    assert regions.pixels.tolist() == [5, 6, 0, 1, 3, 4]
    assert regions.area.tolist() == [2, 4]
    image = np.arange(8, dtype=np.float32).reshape(2, 4)
    assert [piece.tolist() for piece in regions.pieces(image)] == [[5, 6], [0, 1, 3, 4]]
    assert regions.sum(regions.values(image)).tolist() == [11, 8]


def test_random_labels_as_boolean_masks_tell_them():
    labels = np.random.default_rng(0).integers(0, 5, (40, 30)).astype(np.uint32) * 100_000
    regions = Regions.of(labels)
    np.testing.assert_array_equal(regions.labels, [100_000, 200_000, 300_000, 400_000])
    for label, piece in zip(regions.labels, regions.pieces(np.arange(labels.size).reshape(labels.shape))):
        np.testing.assert_array_equal(piece, np.flatnonzero(labels == label))
    lengths = regions.runs[:, 2] - regions.runs[:, 1] + 1
    np.testing.assert_array_equal(np.add.reduceat(lengths, regions.first_runs), regions.area)


def test_an_image_without_cells():
    regions = Regions.of(np.zeros((3, 4), np.uint16))
    assert regions.labels.size == regions.pixels.size == len(regions.runs) == 0
    assert regions.pieces(np.zeros((3, 4))) == []
    assert regions.sum(np.zeros(0)).size == 0


@pytest.mark.parametrize(
    ("odd", "said"),
    [
        (np.array([[0, -1]]), "this image has -1"),
        (np.array([[0, 1.5]]), "fractions"),
        (np.array([[0, np.nan]]), "fractions"),
        (np.array([[0, 2**32]]), "label 4294967296 does not fit"),
    ],
)
def test_numbers_that_are_no_labels_never_become_some(odd, said):
    """-1 became cell 65,535."""
    with pytest.raises(InputError, match=said):
        as_labels(odd)
    assert as_labels(np.array([[0.0, 70000.0]])).tolist() == [[0, 70000]]
