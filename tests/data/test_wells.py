"""Wells by name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellular.data.wells import PLATE_SIZES, plate_size, row_letters, row_number, split_well, well_at, well_name

numbers = st.tuples(st.integers(1, 32), st.integers(1, 48))


@given(numbers, st.booleans(), st.sampled_from(["", "0", " - ", " - 0"]))
def test_every_spelling_of_a_well_is_the_same_well(place, small, between):
    row, column = place
    letters = row_letters(row).lower() if small else row_letters(row)
    assert well_name(f"{letters}{between}{column}") == well_at(row, column)
    assert split_well(well_at(row, column)) == (row_letters(row), column)
    assert row_number(row_letters(row)) == row


@pytest.mark.parametrize("text", ["", "A", "A0", "A00", "A49", "AG01", "BA01", "01", "A1B", "A-1-1", "A\u0661", "A 1"])
def test_what_is_no_well(text):
    assert well_name(text) is None


@pytest.mark.parametrize(
    ("wells", "size"),
    [((), 6), (("A01",), 6), (("B03", "A01"), 6), (("C01",), 12), (("H12",), 96), (("H13",), 384), (("Q01",), 1536)],
)
def test_the_smallest_plate_that_holds_all(wells, size):
    assert plate_size(wells) == size


def test_the_largest_well_is_on_the_largest_plate():
    assert plate_size([well_at(*PLATE_SIZES[1536])]) == 1536
