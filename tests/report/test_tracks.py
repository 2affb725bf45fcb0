import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection

from cellular.report.tracks import draw_lengths, draw_tracks, shares_by_length


@pytest.fixture
def tracks() -> pd.DataFrame:
    """Track 1 steps twice, 2 divides into 3 and 4, 5 is seen once."""
    rows = [(0, 1, 0, 5), (1, 1, 0, 6), (2, 1, 0, 7), (0, 2, 0, 20), (1, 3, 2, 18), (1, 4, 2, 22), (2, 5, 0, 30)]
    return pd.DataFrame(rows, columns=["frame", "track", "parent", "x"]).assign(y=10.0, label=1, lineage=1, series="a")


def test_every_step_and_every_division_is_drawn(tracks):
    axes = draw_tracks(tracks, np.zeros((40, 40), int), "a").axes[0]
    steps = [c for c in axes.collections if isinstance(c, LineCollection)]
    assert [len(c.get_segments()) for c in steps] == [2]
    births = [line for line in axes.lines if line.get_linestyle() == ":"]
    assert [line.get_xdata().tolist() for line in births] == [[20, 18], [20, 22]]
    singles = axes.collections[-1].get_offsets()
    assert np.asarray(singles).tolist() == [[30, 10]]
    plt.close("all")


def test_lengths_are_shares_of_cells(tracks):
    line = draw_lengths(shares_by_length(tracks)).axes[0].lines[0]
    assert line.get_xdata().tolist() == [1, 2, 3]
    assert line.get_ydata().tolist() == pytest.approx([4 / 7, 0, 3 / 7])
    plt.close("all")
