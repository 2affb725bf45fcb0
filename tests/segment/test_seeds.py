"""Nuclei as seeds of cells."""

import numpy as np

from cellular.segment.seeds import part_by_nuclei

# Two cells that were taken for one (columns 1 to 18), narrow in probability at column 9, and one by itself (21 to 28).
CELLS = np.zeros((10, 30), np.uint16)
CELLS[1:9, 1:19], CELLS[1:9, 21:29] = 1, 2
PROBABILITY = np.full((10, 30), 4.0, np.float32)
PROBABILITY[:, 9] = 1


def nuclei(*columns, width=3):
    """Nuclei of `width` px from each column on, 4 rows high."""
    image = np.zeros_like(CELLS)
    for number, column in enumerate(columns, 1):
        image[3:7, column : column + width] = number
    return image


def test_a_cell_of_two_nuclei_is_cut_where_the_network_was_least_sure():
    found = part_by_nuclei(CELLS, PROBABILITY, nuclei(3, 13, 23))
    assert found.labels[5, 1:9].tolist() == [1] * 8
    assert found.labels[5, 10:19].tolist() == [3] * 9
    assert set(found.labels[1:9, 9]) <= {1, 3}
    assert np.array_equal(found.labels == 2, CELLS == 2)
    assert np.array_equal(found.labels > 0, CELLS > 0)
    assert found.parted.tolist() == [True, False, True]
    assert found.nuclei.tolist() == [1, 1, 1]


def test_without_an_edge_the_cut_lies_midway():
    found = part_by_nuclei(CELLS, np.full_like(PROBABILITY, 4), nuclei(3, 13))
    assert found.labels[5, 1:19].tolist() == [1] * 8 + [found.labels[5, 9]] + [3] * 9


def test_two_nuclei_that_touch_are_a_binucleate_cells_and_three_are_not():
    for second in (6, 7):  # nothing between, a pixel between
        twins = part_by_nuclei(CELLS, PROBABILITY, nuclei(3, second))
        assert (twins.labels.max(), twins.nuclei.tolist()) == (2, [2, 0])
        assert not twins.parted.any()
    assert part_by_nuclei(CELLS, PROBABILITY, nuclei(3, 8)).labels.max() == 3
    assert part_by_nuclei(CELLS, PROBABILITY, nuclei(3, 6, 13)).nuclei.tolist() == [1, 0, 1, 1]


def test_a_nucleus_beside_its_cell_makes_none_and_a_cell_without_one_stays():
    beside = nuclei(19)  # columns 19 to 21: two of three in no cell
    found = part_by_nuclei(CELLS, PROBABILITY, beside)
    assert np.array_equal(found.labels, CELLS)
    assert found.nuclei.tolist() == [0, 0]
    nothing = part_by_nuclei(np.zeros_like(CELLS), PROBABILITY, beside)
    assert (nothing.labels.max(), nothing.nuclei.tolist()) == (0, [])


def test_a_nucleus_that_a_notch_of_its_cell_cuts_in_two_is_one_seed():
    notched = CELLS.copy()
    notched[3:9, 8:11] = 0
    one = np.zeros_like(CELLS)
    one[4:6, 4:15] = 1  # 4 px in either arm, 3 in the notch
    other = one.copy()
    other[1, 16] = 2
    assert part_by_nuclei(notched, PROBABILITY, one).labels.max() == 2
    assert part_by_nuclei(notched, PROBABILITY, other).labels.max() == 3
