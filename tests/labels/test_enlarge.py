"""Label images at a finer scale."""

import numpy as np
import pytest

from cellular.labels.enlarge import enlarge_labels


def test_half_pixels_by_hand():
    labels = np.array([[0, 3], [0, 3]], np.uint16)
    expected = np.array([[0, 0, 3, 3]] * 4, np.uint16)
    np.testing.assert_array_equal(enlarge_labels(labels, (4, 4)), expected)


def test_a_corner_is_rounded_off():
    labels = np.zeros((20, 20), np.uint16)
    labels[5:15, 5:15] = 1
    found = enlarge_labels(labels, (100, 100))
    blocks = np.kron(labels, np.ones((5, 5), np.uint16))
    assert found[25, 25] == 0, "the outermost pixel of the corner"
    assert found[25, 50] == 1, "the middle of the edge"
    assert 0 < np.count_nonzero(found != blocks) < 40


@pytest.mark.parametrize("shape", [(31, 33), (40, 60), (97, 31)])
def test_no_label_is_lost(shape):
    labels = np.zeros((30, 30), np.uint32)
    labels[::2, ::2] = np.arange(1, 226).reshape(15, 15)
    found = enlarge_labels(labels, shape)
    assert found.dtype == labels.dtype
    assert set(np.unique(found)) == set(range(226))


def test_the_same_shape_is_the_same_image():
    labels = np.arange(6, dtype=np.uint16).reshape(2, 3)
    assert enlarge_labels(labels, (2, 3)) is labels
