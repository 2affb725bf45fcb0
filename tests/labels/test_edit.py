"""Corrections of a label image, on arrays small enough to draw."""

import numpy as np
import pytest

from cellular.errors import InputError
from cellular.labels.edit import (
    NONZERO,
    changed_cells,
    delete,
    draw,
    merge,
    paint,
    painting,
    reshape,
    split_by_line,
    split_by_seeds,
)

FIELD = np.array(
    [
        [1, 1, 0, 2, 2],
        [1, 1, 0, 2, 2],
        [0, 0, 0, 2, 2],
        [3, 3, 3, 3, 3],
    ],
    np.uint16,
)


def rows(*texts):
    return [[int(letter) for letter in text] for text in texts]


def test_delete_takes_the_named_cells_alone():
    assert delete(FIELD, [2, 3]).tolist() == rows("11000", "11000", "00000", "00000")
    assert FIELD[3].tolist() == [3] * 5, "the original stays"


def test_merge_gives_a_new_number_to_what_was_two():
    assert merge(FIELD, [2, 3], 9).tolist() == rows("11099", "11099", "00099", "99999")


def test_merging_under_a_number_that_is_taken_is_refused():
    with pytest.raises(InputError, match="number 1 "):
        merge(FIELD, [2, 3], 1)


def test_split_by_a_line_shares_its_pixels_with_the_nearest_part():
    long = np.full((1, 7), 5, np.uint16)
    cut = split_by_line(long, 5, [(2.5, -1), (2.5, 2)], [8, 9])
    assert cut.tolist()[0][3:] == [8, 8, 8, 8], "the larger part has the first number"
    assert cut.tolist()[0][:2] == [9, 9]
    assert cut[0, 2] in (8, 9)


def test_a_line_aslant_lets_nothing_through_at_its_corners():
    square = np.ones((6, 6), np.uint16)
    cut = split_by_line(square, 1, [(0, 0), (6, 6)], [2, 3])
    assert sorted(np.unique(cut)) == [2, 3]
    assert cut[5, 0] != cut[0, 5]


def test_a_line_that_does_not_cut_is_refused():
    with pytest.raises(InputError, match="does not cut cell 3"):
        split_by_line(FIELD, 3, [(0.5, 3.5), (1.5, 3.5)], [8, 9])


def test_split_by_seeds_parts_two_discs_at_their_waist():
    y, x = np.mgrid[:21, :41]
    discs = (((y - 10) ** 2 + (x - 12) ** 2 <= 64) | ((y - 10) ** 2 + (x - 28) ** 2 <= 64)).astype(np.uint16)
    parts = split_by_seeds(discs, 1, [(12.5, 10.5), (28.5, 10.5)], [2, 3])
    assert abs(int((parts == 2).sum()) - int((parts == 3).sum())) <= 17, "no more than the column they share"
    assert (parts[:, :20][discs[:, :20] > 0] == parts[10, 12]).all()
    assert (parts[:, 21:][discs[:, 21:] > 0] == parts[10, 28]).all()


def test_a_seed_outside_of_the_cell_is_refused():
    with pytest.raises(InputError, match="splitting cell 1"):
        split_by_seeds(FIELD, 1, [(0.5, 0.5), (4.5, 0.5)], [8, 9])


def test_draw_takes_only_what_is_free():
    # the square over x 1..4, y 0..3 holds pixels of cells 1 and 2
    assert draw(FIELD, [(1, 0), (4, 0), (4, 3), (1, 3)], 4).tolist() == rows("11422", "11422", "04422", "33333")


def test_drawing_over_cells_alone_is_refused():
    with pytest.raises(InputError, match="no pixel that is free"):
        draw(FIELD, [(0, 0), (2, 0), (2, 2), (0, 2)], 4)


def test_reshape_moves_the_cell_and_keeps_its_number_and_its_neighbours():
    assert reshape(FIELD, 1, [(1, 0), (4, 0), (4, 3), (1, 3)]).tolist() == rows("01122", "01122", "01122", "33333")


def test_a_cell_that_is_not_there_is_named():
    with pytest.raises(InputError, match="no cell 7"):
        delete(FIELD, [7])


def test_a_number_above_16_bits_is_not_wrapped():
    assert merge(FIELD, [1, 2], 70_000).dtype == np.uint32


def test_changed_cells_are_told_from_those_that_are_gone():
    edited = np.where(FIELD == 1, 0, FIELD)  # 1 is gone
    edited[3, 4] = 0  # 3 lost a pixel
    edited[2, 0] = 8  # 8 is new
    assert changed_cells(FIELD, edited) == ([3, 8], [1])


def test_painting_and_paint_are_each_other_s_way_back():
    rng = np.random.default_rng(3)
    before, after = (rng.integers(0, 4, (9, 7)).astype(np.uint16) for _ in range(2))
    assert paint(before, painting(before, after)).tolist() == after.tolist()
    assert painting(before, before) == []


def test_painting_ends_a_run_where_the_number_changes_and_not_where_the_row_does():
    before, after = np.zeros((2, 3), np.uint16), np.array([[0, 5, 5], [5, 6, 0]])
    assert painting(before, after) == [[1, 3, 5], [4, 1, 6]]


def test_more_numbers_than_16_bits_hold_are_not_wrapped():
    assert paint(np.zeros((1, 2), np.uint16), [[1, 1, 70_000]]).tolist() == [[0, 70_000]]


@pytest.mark.parametrize("run", [[5, 2, 1], [-1, 1, 1], [0, 0, 1], [0, 1, -1], [0, 1, 2**32]])
def test_a_run_outside_of_the_field_is_refused(run):
    with pytest.raises(InputError, match="do not fit 6 pixels"):
        paint(np.zeros((2, 3), np.uint16), [run])


def test_a_stroke_that_goes_around_twice_leaves_no_hole():
    """A pen that went past where it began left a hole in the cell, and none where it was drawn the other way round."""
    once, again = [(0, 0), (6, 0), (6, 5), (0, 5)], [(1, 1), (5, 1), (5, 4), (1, 4)]
    twice = [*once, once[0], *again, again[0]]
    free = np.zeros((5, 7), np.uint16)
    full = rows("9999990", "9999990", "9999990", "9999990", "9999990")
    for polygon in (twice, twice[::-1], once):
        assert draw(free, polygon, 9, NONZERO).tolist() == full
        assert reshape(np.where(np.eye(5, 7) > 0, 9, free), 9, polygon, NONZERO).tolist() == full
    hole = rows("9999990", "9000090", "9000090", "9000090", "9999990")
    assert draw(free, twice, 9).tolist() == hole, "strokes made before are replayed as they were"
    eight = [(0, 0), (3, 4), (0, 4), (3, 0)]  # turns that go against each other
    assert draw(free, eight, 9, NONZERO).tolist() == draw(free, eight, 9).tolist()
    with pytest.raises(InputError, match="unknown rule 'odd'"):
        draw(free, once, 9, "odd")
