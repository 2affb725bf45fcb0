"""What was said of cells stays with the cell it was said of: worked out by hand on tiny fields."""

import numpy as np
import pytest

from cellular.errors import InputError
from cellular.labels import edit
from cellular.labels.follow import check_say, follow, say

FIELD = np.array([[1, 1, 0, 2, 2], [1, 1, 0, 2, 2], [3, 3, 3, 3, 3]], np.uint16)


def words(said):
    return {cell: one.word for cell, one in said.items()}


def test_a_word_stands_with_the_place_of_its_cell():
    said = say(FIELD, {}, {2: "basal", 3: "basal"})
    assert {cell: (one.word, one.area, one.y, one.x) for cell, one in said.items()} == {
        2: ("basal", 4, 0.5, 3.5),
        3: ("basal", 5, 2.0, 2.0),
    }
    assert words(say(FIELD, said, {3: "activated"})) == {2: "basal", 3: "activated"}
    assert words(say(FIELD, said, {3: None})) == {2: "basal"}


@pytest.mark.parametrize(
    ("cells", "word", "match"),
    [
        ([], "basal", "1 cell"),
        ([9], "basal", "no cell 9"),
        ([2], "basal", "basal was told by hand of these cells already"),
        ([1], None, "no state was told by hand of these cells"),
    ],
)
def test_what_says_nothing_new_is_refused(cells, word, match):
    with pytest.raises(InputError, match=match):
        check_say(FIELD, say(FIELD, {}, {2: "basal"}), cells, word)


def test_a_deleted_cell_takes_its_word_with_it_and_others_keep_theirs():
    said = say(FIELD, {}, {1: "basal", 2: "basal"})
    assert words(follow(said, FIELD, edit.delete(FIELD, [1]))) == {2: "basal"}


def test_the_parts_of_a_cell_inherit_nothing():
    said = say(FIELD, {}, {3: "basal"})
    parted = edit.split_by_line(FIELD, 3, [(2.5, 2), (2.5, 3)], [4, 5])
    assert follow(said, FIELD, parted) == {}


@pytest.mark.parametrize(
    ("told", "merged"),
    [
        ({1: "basal", 2: "basal"}, {4: "basal"}),
        ({1: "basal", 2: "activated"}, {}),
        ({1: "basal"}, {}),
    ],
    ids=["the same", "different", "one of them"],
)
def test_merged_cells_hand_on_what_was_said_of_all_of_them(told, merged):
    said = say(FIELD, {}, told)
    after = edit.merge(FIELD, [1, 2], 4)
    found = follow(said, FIELD, after, [1, 2], 4)
    assert words(found) == merged
    if merged:
        assert (found[4].area, found[4].y, found[4].x) == (8, 0.5, 2.0)


def test_a_reshaped_cell_keeps_its_word_while_it_covers_what_was_looked_at():
    said = say(FIELD, {}, {3: "basal"})
    half = FIELD.copy()
    half[2] = [3, 3, 3, 0, 0]  # IoU 3 / 5
    kept = follow(said, FIELD, half)
    assert (kept[3].word, kept[3].area, kept[3].x) == ("basal", 3, 1.0)
    crept = half.copy()
    crept[2] = [3, 3, 0, 0, 0]  # 2 / 3 of the step before, 2 / 5 of what was looked at
    assert follow(kept, half, crept) == {}


def test_a_number_painted_elsewhere_does_not_carry_its_word_there():
    said = say(FIELD, {}, {1: "basal"})
    swapped = FIELD.copy()
    swapped[FIELD == 1], swapped[FIELD == 2] = 2, 1
    assert follow(said, FIELD, swapped) == {}
