"""Median polish against R's published example; edge, Z' and SSMD by hand."""

import numpy as np
import pandas as pd
import pytest

from cellular.autophagy.compare.design import StatsSettings, nest
from cellular.autophagy.compare.plate_effects import (
    assay_quality,
    b_scores,
    control_kinds,
    grid_of,
    median_polish,
    normalised,
    place_effects,
    well_means,
    wells_of_several,
    with_b_scores,
)
from cellular.data.wells import row_letters


def wells_of(values: np.ndarray, plate="P", **columns) -> pd.DataFrame:
    rows, cols = (index.ravel() + 1 for index in np.indices(values.shape))
    names = [f"{row_letters(row)}{column:02d}" for row, column in zip(rows, cols)]
    table = {"plate": plate, "well": names, "row": rows, "column": cols, "feature": "x", "value": values.ravel()}
    return pd.DataFrame(table).assign(**columns).dropna(subset="value", ignore_index=True)


def test_median_polish_is_that_of_r():
    """Deaths from sport parachuting (ABC of EDA, p. 224), the example of R's medpolish, whose residuals sum to 19."""
    deaths = np.array([[14, 15, 14], [7, 4, 7], [8, 2, 10], [15, 9, 10], [0, 2, 0]])
    level, rows, columns = median_polish(deaths)
    assert (level, rows.tolist(), columns.tolist()) == (8, [6, -1, 0, 2, -8], [0, -1, 0])
    assert np.abs(deaths - level - rows[:, None] - columns).sum() == 19


def test_b_scores_are_residuals_in_median_absolute_deviations():
    grid = np.random.default_rng(0).normal(0, 1, (5, 6)) + np.arange(5)[:, None] * 10 + np.arange(6) * 3
    grid[1, 2] += 9
    level, rows, columns = median_polish(grid)
    left = grid - level - rows[:, None] - columns
    assert b_scores(grid) == pytest.approx(left / (1.4826 * np.median(np.abs(left - np.median(left)))), nan_ok=True)
    assert np.nanargmax(b_scores(grid)) == 8
    assert np.isnan(b_scores(np.ones((4, 6)))).all()
    holes = np.full((8, 12), np.nan)
    holes[2:7, 3:9] = grid
    both = b_scores(grid), b_scores(holes)[2:7, 3:9]
    assert both[0] == pytest.approx(both[1], nan_ok=True), "rows without a well change nothing"


@pytest.mark.parametrize(("well", "shape"), [("B03", (2, 3)), ("C01", (3, 4)), ("H12", (8, 12)), ("AF48", (32, 48))])
def test_plates_of_6_to_1536_wells_have_their_grid(well, shape):
    letters, column = well[:-2], int(well[-2:])
    row = ord(letters[-1]) - 64 + 26 * (len(letters) > 1)
    grid = grid_of(pd.DataFrame({"well": [well], "row": [row], "column": [column], "value": [7.0]}))
    assert grid.shape == shape
    assert grid[row - 1, column - 1] == 7
    assert np.isnan(grid).sum() == grid.size - 1


def test_edge_effect_is_edge_less_inside_within_a_treatment():
    values = np.full((4, 6), 10.0)
    values[1:3, 1:5] += 2
    noise = np.tile([0.1, -0.1], 12).reshape(4, 6)
    noise[:, 4:] *= -1
    wells = wells_of(values + noise, treatment="a")
    found = place_effects(wells, ["treatment"]).set_index("effect")
    inside = np.zeros((4, 6), bool)
    inside[1:3, 1:5] = True
    expected = (values + noise)[~inside].mean() - (values + noise)[inside].mean()
    assert found.loc["edge", "size"] == pytest.approx(expected)
    assert found.loc["edge", "share"] > 0.95
    assert found.loc["edge", "p_value"] < 1e-6
    # a treatment that owns the edge hides it
    mixed = wells.assign(treatment=np.where(inside.ravel(), "b", "a"))
    assert "cannot be told" in place_effects(mixed, ["treatment"]).set_index("effect").loc["edge", "note"]
    # a treatment that adds to its column only is none of the plate's doing
    column = wells_of(np.tile([0.0, 1, 2, 3, 4, 5], (4, 1)) + noise)
    arm = column["column"].astype(str)
    note = place_effects(column.assign(treatment=arm), ["treatment"]).set_index("effect").loc["column", "note"]
    assert "cannot be told" in note


def test_z_prime_and_ssmd_by_hand():
    wells = wells_of(np.array([[10.0, 12, 14], [1, 2, 3], [50, 60, 70]]))
    kind = control_kinds(pd.Series(["positive"] * 3 + ["NEG"] * 3 + ["sample", None, ""]))
    row = assay_quality(wells, kind).iloc[0]
    assert row["z_prime"] == pytest.approx(1 - 3 * (2 + 1) / 10)
    assert row["ssmd"] == pytest.approx(10 / np.sqrt(5))
    assert (row["positives"], row["negatives"]) == (3, 3)
    assert assay_quality(wells.iloc[:4], kind.iloc[:4]).iloc[0]["note"] == "fewer than two wells of a kind"


def test_a_column_of_controls_may_be_empty():
    assert control_kinds(pd.Series([None, None])).isna().all()
    assert control_kinds(pd.Series([np.nan, np.nan])).isna().all()


def test_each_plate_is_normalised_to_its_own_control():
    wells = pd.concat([wells_of(np.array([[2.0, 4, 9]]), "P1"), wells_of(np.array([[20.0, 40, 90]]), "P2")])
    wells = wells.reset_index(drop=True)
    found = normalised(wells, wells["column"] < 3)
    assert found["over_control"].tolist() == pytest.approx([2 / 3, 4 / 3, 3, 2 / 3, 4 / 3, 3])
    assert found["minus_control"].tolist() == pytest.approx([-1, 1, 6, -10, 10, 60])
    without = normalised(wells, (wells["column"] < 3) & (wells["plate"] == "P1"))
    assert without.loc[3:, "over_control"].isna().all()
    assert with_b_scores(wells).shape == (6, 7)


def test_wells_are_means_of_images_and_keep_what_they_were_given():
    rows = [("f1", "a1", 1.0), ("f1", "a1", 3.0), ("f2", "a1", 10.0), ("f3", "B02", 5.0), ("f4", None, 1.0)]
    cells = pd.DataFrame(rows, columns=["field", "well", "x"]).assign(plate="P", treatment="t", dose=1.5)
    cells["site"] = cells["field"]
    found = well_means(nest(cells, StatsSettings()), ["x"], ["treatment", "dose"])
    assert found["well"].tolist() == ["A01", "B02"]
    assert found["value"].tolist() == [6.0, 5.0]
    assert found.loc[0, ["plate", "row", "column", "treatment", "dose"]].tolist() == ["P", 1, 1, "t", 1.5]


def test_what_is_not_finite_is_in_no_mean_of_a_well_nor_in_its_control():
    cells = pd.DataFrame({"field": list("aabb"), "label": [1, 2] * 2, "well": ["A01"] * 2 + ["A02"] * 2})
    cells = cells.assign(plate="P", treatment=["DMSO"] * 2 + ["EBSS"] * 2, x=[4.0, np.inf, 6.0, 2.0])
    wells = well_means(nest(cells, StatsSettings()), ["x"], ["treatment"])
    assert wells[["well", "value", "cells"]].to_numpy().tolist() == [["A01", 4, 1], ["A02", 4, 2]]
    assert normalised(wells, wells["treatment"] == "DMSO")["over_control"].tolist() == [1, 1]


def test_a_well_whose_cells_were_given_different_things_is_known():
    cells = pd.DataFrame({"field": list("aabbc"), "label": [1, 2] * 2 + [1], "well": list("XXYYZ")})
    cells = cells.assign(plate="P", treatment="t", inhibitor=[None, "Baf", "Baf", "Baf", None])
    cells["well"] = cells["well"].map({"X": "A01", "Y": "A02", "Z": "A03"})
    table = nest(cells, StatsSettings())
    assert wells_of_several(table, ["treatment", "inhibitor"]) == ["P/A01"]
    assert wells_of_several(table, ["treatment"]) == []
