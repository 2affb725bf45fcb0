"""J and the transition time by hand, and pools that do not grow along a line."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats

from cellular.autophagy.compare.design import StatsSettings, nest
from cellular.autophagy.compare.turnover import line_of, turnover
from cellular.errors import InputError

SETTINGS = StatsSettings(control="DMSO", replicate="batch", time="hours")


def course(pool_of, batches="abc") -> pd.DataFrame:
    """One cell a well; pool_of(treatment, batch number, hours, blocked)."""
    rows = []
    for number, batch in enumerate(batches):
        for treatment in ("DMSO", "EBSS"):
            for arm in ("none", "Baf"):
                for hours in (0, 1, 2, 4):
                    value = pool_of(treatment, number, hours, arm == "Baf")
                    well = f"{'AB'[treatment == 'EBSS']}{1 + hours + 6 * (arm == 'Baf'):02d}"
                    given = {"treatment": treatment, "arm": arm, "batch": batch, "plate": batch, "well": well}
                    rows.append({"field": f"{batch}{well}", **given, "hours": hours, "puncta_yellow": value})
    return nest(pd.DataFrame(rows), SETTINGS)


def rows_of(table: pd.DataFrame) -> pd.DataFrame:
    controls = {"DMSO": "DMSO", "EBSS": "DMSO"}
    found = turnover(table, "none", ["puncta_yellow"], controls, SETTINGS)[0]
    return found.set_index(["treatment", "quantity"])


def test_slope_and_transition_time_are_those_of_the_replicates():
    slopes, pools = {"DMSO": [2, 3, 4], "EBSS": [8, 9, 13]}, [6, 6, 9]
    wiggle = {0: 0.01, 1: -0.01, 2: 0.0, 4: 0.0}
    found = rows_of(
        course(lambda t, n, h, blocked: pools[n] + (slopes[t][n] * h + wiggle[h] * (n - 1) if blocked else 0.0))
    )
    j = found.loc[("EBSS", "J")]
    assert j["estimate"] == pytest.approx(10, abs=0.01)
    expected = scipy_stats.ttest_1samp([8, 9, 13], 0).confidence_interval()
    assert (j["ci_low"], j["ci_high"]) == (pytest.approx(expected.low, abs=0.1), pytest.approx(expected.high, abs=0.1))
    assert found.loc[("EBSS", "difference of J"), "estimate"] == pytest.approx(np.mean([6, 6, 9]), abs=0.01)
    times = np.array(pools) / [8, 9, 13]
    assert found.loc[("EBSS", "transition time"), "estimate"] == pytest.approx(scipy_stats.gmean(times), abs=0.01)
    assert (j["replicates"], j["times"]) == (3, 4)


def test_n_is_of_what_a_row_rests_on():
    """Cells are one a well. Batch d lacks DMSO with inhibitor; c has no images at two hours of EBSS with inhibitor."""
    rng = np.random.default_rng(2)
    table = course(lambda t, n, h, blocked: 6 + rng.normal(0, 0.1) + 3 * h * blocked, "abcd")
    lost = table["batch"].eq("d") & table["treatment"].eq("DMSO") & table["arm"].eq("Baf")
    late = table["batch"].eq("c") & table["treatment"].eq("EBSS") & table["arm"].eq("Baf") & table["hours"].eq(2)
    found = rows_of(table[~(lost | late)])
    assert found.loc[("DMSO", "J"), ["replicates", "times", "wells", "cells"]].tolist() == [3, 4, 24, 24]
    assert found.loc[("EBSS", "J"), ["replicates", "times", "wells", "cells"]].tolist() == [4, 3, 28, 28]
    difference = found.loc[("EBSS", "difference of J")]
    assert difference[["replicates", "times", "wells", "images", "cells"]].tolist() == [3, 3, 45, 45, 45]
    controls = {"DMSO": "DMSO", "EBSS": "DMSO"}
    told = turnover(table[~(lost | late)], "none", ["puncta_yellow"], controls, SETTINGS, table)[0]
    told = told.set_index(["treatment", "quantity"]).loc[("EBSS", "difference of J")]
    assert told[["replicates", "replicates_before", "cells", "cells_before"]].tolist() == [3, 4, 45, 64]


def test_a_pool_that_levels_off_has_no_slope():
    rng = np.random.default_rng(0)
    found = rows_of(course(lambda t, n, h, b: 6 + rng.normal(0, 0.2) + (20 * (1 - np.exp(-h)) if b else 0)))
    assert found.loc[("EBSS", "J"), "note"].startswith("the pool does not grow along a line")
    assert np.isnan(found.loc[("EBSS", "J"), "estimate"])
    assert ("EBSS", "transition time") not in found.index


def test_no_growth_has_no_transition_time():
    rng = np.random.default_rng(1)
    found = rows_of(course(lambda t, n, h, b: 6 + rng.normal(0, 0.5)))
    assert "means nothing" in found.loc[("DMSO", "transition time"), "note"]


@pytest.mark.parametrize(("time", "said"), [("2 h", "'2 h', which is no number"), (np.nan, "holds no numbers")])
def test_a_time_that_is_no_number_is_refused(time, said):
    table = course(lambda t, n, h, b: 6.0 + h)
    table["hours"] = table["hours"].astype(object).where(table["hours"].lt(2) & isinstance(time, str), time)
    with pytest.raises(InputError, match=said):
        turnover(table, "none", ["puncta_yellow"], {}, SETTINGS)


def test_fewer_than_three_times_are_no_course():
    table = course(lambda t, n, h, b: 6.0 + h)
    assert turnover(table[table["hours"] < 2], "none", ["puncta_yellow"], {}, SETTINGS)[0].empty


def test_lack_of_fit_with_three_times_is_the_t_test_of_the_curvatures():
    """T = 3: one contrast a replicate, 1, -2, 1, and F is its t squared."""
    times, values = np.array([0.0, 1.0, 2.0]), np.array([[1, 2.5, 3.0], [2, 3.0, 4.4], [0, 1.9, 3.0]])
    slopes, p = line_of(times, values)
    assert slopes == pytest.approx([1.0, 1.2, 1.5])
    assert p == pytest.approx(scipy_stats.ttest_1samp(values @ [1, -2, 1], 0).pvalue)


def on_plates(plates_at) -> pd.DataFrame:
    """Two wells at each time of three batches, the second one's plate brighter by 5: ``plates_at(hours)`` of them."""
    slopes, rows = {"a": 1.0, "b": 2.0, "c": 3.0}, []
    for batch, slope in slopes.items():
        for arm in ("none", "Baf"):
            for hours in (0, 1, 2, 4):
                for plate in plates_at(hours):
                    value = 10 + slope * hours * (arm == "Baf") + 5 * (plate == "second")
                    well = f"A{1 + hours + 6 * (arm == 'Baf'):02d}"
                    given = {"treatment": "DMSO", "arm": arm, "batch": batch, "plate": batch + plate, "well": well}
                    rows.append({"field": f"{batch}{plate}{well}", **given, "hours": hours, "puncta_yellow": value})
    return nest(pd.DataFrame(rows), SETTINGS)


def test_a_brighter_plate_that_lacks_the_last_time_does_not_bend_the_slope():
    # pooled: 2.5 over at all but the last time, whose squared distances are 8.75 in all: 2 - 2.5 * 2.25 / 8.75 = 1.36
    found = rows_of(on_plates(lambda hours: ("first", "second") if hours < 4 else ("first",)))
    assert found.loc[("DMSO", "J"), "estimate"] == pytest.approx(2)
    assert found.loc[("DMSO", "J"), "note"] == ""


def test_plates_that_share_no_time_are_named():
    found = rows_of(on_plates(lambda hours: ("first",) if hours < 2 else ("second",)))
    assert "lack of fit" in found.loc[("DMSO", "J"), "note"]
    late = on_plates(lambda hours: ("first",) if hours < 2 else ("second",))
    late["puncta_yellow"] += np.random.default_rng(0).normal(0, 4, len(late))
    told = rows_of(late).loc[("DMSO", "J")]
    assert np.isfinite(told["estimate"])
    assert told["note"] == ("in a, b, c times lie on plates that have nothing in common: what these differ by is in J")


def test_a_pool_on_plates_of_its_own_is_named_in_the_transition_time():
    table = course(lambda t, n, h, blocked: 6 + (3 + n) * h * blocked, "abc")
    table["puncta_yellow"] += np.random.default_rng(0).normal(0, 0.1, len(table))
    told = rows_of(table)
    assert told.loc["DMSO", "note"].tolist() == ["", ""]
    table.loc[table["arm"].eq("none"), "plate"] += "other"
    told = rows_of(table)
    assert told.loc[("DMSO", "J"), "note"] == ""
    assert told.loc[("DMSO", "transition time"), "note"].startswith("in a, b, c times or arms lie on plates that have")


def test_plates_of_treatment_and_control_are_alike_where_another_replicate_lacks_a_time():
    # what the plates of the late times differ by is in both slopes, and not in their difference
    table = course(lambda t, n, h, blocked: 6 + (3 + n) * h * blocked, "abcd")
    table["puncta_yellow"] += np.random.default_rng(1).normal(0, 0.1, len(table))
    table["plate"] += np.where(table["hours"] > 1, "late", "")
    assert rows_of(table).loc[("EBSS", "difference of J"), "note"] == ""
    lost = table["batch"].eq("d") & table["treatment"].eq("DMSO")
    only = lost & (table["arm"].eq("none") | table["hours"].eq(2))
    assert rows_of(table[~only]).loc[("EBSS", "difference of J"), "note"] == ""


def test_plates_are_apart_where_the_images_that_join_them_lack_the_count():
    table = on_plates(lambda hours: ("first",) if hours < 2 else ("first", "second") if hours == 2 else ("second",))
    table["puncta_yellow"] += np.random.default_rng(0).normal(0, 4, len(table))
    assert rows_of(table).loc[("DMSO", "J"), "note"] == ""
    joint = table["plate"].str.endswith("second") & table["hours"].eq(2)
    table.loc[joint, "puncta_yellow"] = np.nan
    assert rows_of(table).loc[("DMSO", "J"), "note"].startswith("in a, b, c times lie on plates")
