"""How an image is cut for the network."""

from itertools import pairwise

import pytest

from cellular.segment.image.tiles import WHOLE, _layout


@pytest.mark.parametrize("side", [16, WHOLE, WHOLE + 16, 1200, 1232, 2048, 4112])
def test_tiles_cover_the_image_overlap_and_cost_little_more_than_it(side):
    layout = _layout((side, side), "whole")
    (size, _), (starts, _) = layout.size, layout.starts
    assert starts[0] == 0
    assert starts[-1] + size == side
    assert all(after <= before + size - WHOLE // 10 + 1 for before, after in pairwise(starts))
    assert size % 16 == 0
    assert size <= WHOLE
    assert (size * len(starts) / side) ** 2 < 1.6
