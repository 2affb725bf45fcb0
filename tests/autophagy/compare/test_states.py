"""Shares of states against cells of known states, seen through a classifier whose errors are known."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student

from cellular.autophagy.compare.design import StatsSettings, nest
from cellular.autophagy.compare.states import states_over_time
from cellular.errors import InputError

# Of two normal distributions so far apart the area under the curve is 0.80.
APART = 1.19


def told(rng: np.random.Generator, share: dict[str, float], *, replicates: int = 3, cells: int = 400) -> pd.DataFrame:
    """Cells as a classifier tells them that sees one normal number of each; wells C and I are fed and starved."""
    rows = []
    for replicate in range(replicates):
        for row, treatment in (("C", "fed"), ("I", "starved")):
            activated = rng.random(cells) < share[treatment]
            seen = rng.normal(APART * (activated - 0.5))
            field = f"Timepoint_001_{220518 + replicate}-ST_{row}05_s1"
            rows.append(pd.DataFrame({"field": field, "label": np.arange(1, cells + 1), "seen": seen}))
    table = pd.concat(rows, ignore_index=True)
    probability = 1 / (1 + np.exp(-APART * table["seen"]))
    return table.assign(probability_activated=probability, state=np.where(probability > 0.5, "activated", "basal"))


def states(cells: pd.DataFrame, **settings) -> pd.DataFrame:
    chosen = StatsSettings(**settings)
    return states_over_time(nest(cells, chosen), chosen).set_index("treatment")


def test_shares_are_those_of_the_cells_not_of_the_calls(rng):
    table = states(told(rng, {"fed": 0.1, "starved": 0.85}, cells=2000))
    assert table["share"].to_list() == pytest.approx([0.1, 0.85], abs=0.03)
    assert table.loc["fed", "called"] > 0.25  # 0.28 of the basal cells are called so
    assert table.loc["starved", "called"] < 0.75
    assert (table["ci_low"] < [0.1, 0.85]).all()
    assert (table["ci_high"] > [0.1, 0.85]).all()
    assert table["unit"].eq("replicate").all()
    assert table["n"].eq(3).all()
    assert table["cells"].eq(6000).all()


def test_no_cell_and_every_cell_may_be_in_the_state(rng):
    table = states(told(rng, {"fed": 0.0, "starved": 1.0}))
    assert table.loc["fed", "share"] < 0.05
    assert table.loc["starved", "share"] > 0.95
    assert table.loc["fed", "ci_low"] == 0
    assert 0.02 < table.loc["fed", "ci_high"] < 0.3


def test_share_and_interval_are_of_the_likelihood(rng):
    cells = told(rng, {"fed": 0.3, "starved": 0.6}, replicates=4, cells=60)
    found, grid = states(cells).loc["fed"], np.linspace(0, 1, 20001)
    p = cells["probability_activated"].to_numpy()
    replicate = cells["field"].str.slice(14, 20).astype("category").cat.codes.to_numpy()
    fed = cells["field"].str.contains("_C").to_numpy()

    def likelihood(used):
        return np.log(np.outer(1 - grid, 1 - p[used]) + np.outer(grid, p[used])).sum(axis=1)

    whole = likelihood(fed)
    best = whole.argmax()
    without = np.array([grid[likelihood(fed & (replicate != one)).argmax()] for one in range(4)])
    spread = 3 / 4 * ((without - grid[best]) ** 2).sum()
    curvature = -np.diff(whole, 2)[best - 1] / (grid[1] - grid[0]) ** 2
    allowed = max(1, spread * curvature) * student.ppf(0.975, 3) ** 2
    likely = grid[2 * (whole[best] - whole) <= allowed]
    assert found["share"] == pytest.approx(grid[best], abs=1e-4)
    assert [found["ci_low"], found["ci_high"]] == pytest.approx([likely[0], likely[-1]], abs=1e-3)


def test_of_cells_told_for_certain_a_share_is_the_mean_of_the_units():
    parts = {"220518-ST_C05_s1": (1, 4), "220518-ST_C05_s2": (10, 20), "220519-ST_C05_s1": (3, 3)}
    rows = [
        {"field": f"Timepoint_001_{field}", "label": k + 1, "state": "x", "probability_activated": float(k < activated)}
        for field, (activated, cells) in parts.items()
        for k in range(cells)
    ]
    found = states(pd.DataFrame(rows), min_replicates=2).loc["fed"]
    assert found["share"] == pytest.approx(((1 / 4 + 10 / 20) / 2 + 1) / 2, abs=1e-4)
    assert found["called"] == pytest.approx(found["share"], abs=1e-4)


def test_unidentified_cells_and_those_without_a_state_are_left_out(rng):
    cells = told(rng, {"fed": 0.2, "starved": 0.6}, cells=50)
    more = cells.assign(label=cells["label"] + 50, state="Unidentified", probability_activated=1.0)
    untold = cells.assign(label=cells["label"] + 100, state=None, probability_activated=np.nan)
    together = states(pd.concat([cells, more, untold], ignore_index=True))
    pd.testing.assert_frame_equal(together, states(cells))


def test_one_unit_has_no_interval_and_no_state_no_row(rng):
    cells = told(rng, {"fed": 0.2, "starved": 0.6}, replicates=1)
    assert states(cells)[["ci_low", "ci_high"]].isna().all(axis=None)
    assert states(cells.drop(columns="state")).empty
    assert states(cells.assign(probability_activated=np.nan)).empty


def test_a_classifier_that_tells_nothing_tells_no_share(rng):
    cells = told(rng, {"fed": 0.2, "starved": 0.6}).assign(probability_activated=0.5)
    assert states(cells)[["share", "ci_low", "ci_high"]].isna().all(axis=None)


def test_percentages_are_no_probabilities(rng):
    cells = told(rng, {"fed": 0.2, "starved": 0.6})
    with pytest.raises(InputError, match=r"probability_activated must lie in 0\.\.1, found \d"):
        states(cells.assign(probability_activated=cells["probability_activated"] * 100))
