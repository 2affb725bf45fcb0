"""Numbering, holes and small cells, by hand."""

import numpy as np

from cellular.segment.flows.numba.tidy import areas, fill_holes_and_drop_small, keep_labels


def tidied(labels: list, min_size: int) -> list:
    labels = np.array(labels, np.uint32)
    fill_holes_and_drop_small(labels, min_size)
    return labels.tolist()


def test_labels_are_numbered_as_they_first_appear():
    labels = np.array([[0, 5, 5], [2, 9, 5]], np.uint32)
    former = keep_labels(labels, np.array([True] * 8 + [False]))
    assert labels.tolist() == [[0, 1, 1], [2, 0, 1]]
    assert former.tolist() == [5, 2]


def test_areas_count_missing_numbers_as_zero():
    assert areas(np.array([[1, 3], [3, 0]], np.uint32)).tolist() == [1, 0, 2]


def test_the_small_cell_goes_also_where_numbers_are_missing():
    # Cellpose takes the areas (3, 1) for those of labels 1 and 2, and so erases label 2, the larger cell.
    assert tidied([[2, 2, 2, 0, 4]], 2) == [[1, 1, 1, 0, 0]]
    assert tidied([[2, 0, 4, 4, 4]], 2) == [[0, 0, 1, 1, 1]]


def test_holes_are_filled_and_bays_are_not():
    assert tidied([[1, 1, 1, 1], [1, 0, 1, 0], [1, 1, 1, 1]], 1) == [[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 1, 1]]


def test_a_diagonal_gap_does_not_open_a_hole():
    assert tidied([[0, 1, 0], [1, 0, 1], [0, 1, 0]], 1) == [[0, 1, 0], [1, 1, 1], [0, 1, 0]]


def test_a_cell_inside_a_hole_is_taken_over():
    assert tidied([[1, 1, 1], [1, 2, 1], [1, 1, 1]], 1) == [[1, 1, 1]] * 3


def test_a_cell_is_large_enough_once_when_the_count_before_filling_says_so():
    ring = [[1, 1, 1], [1, 0, 1], [1, 1, 1]]
    assert tidied(ring, 9) == [[0, 0, 0]] * 3
    assert tidied(ring, 8) == [[1, 1, 1]] * 3


def test_former_numbers_pass_through_both_filters():
    labels = np.array([[7, 2, 2, 2, 0, 5, 5, 5], [0, 2, 9, 2, 0, 5, 0, 5], [0, 2, 2, 2, 0, 5, 5, 5]], np.uint32)
    assert fill_holes_and_drop_small(labels, 2).tolist() == [2, 5]


def test_nothing_is_dropped_without_a_smallest_size():
    assert tidied([[3, 0, 1]], 0) == [[1, 0, 2]]
