"""Flux against t-tests of the replicates' own numbers, and what is refused."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats

from cellular.autophagy.compare.design import StatsSettings, nest
from cellular.autophagy.compare.effects import ALL, compare
from cellular.autophagy.compare.factorial import compare_factor
from cellular.autophagy.compare.flux import compare_flux
from cellular.autophagy.compare.inhibitor import find_arms
from cellular.errors import InputError

# yellow puncta of the two cells of every well: replicate -> (DMSO, DMSO + Baf, EBSS, EBSS + Baf)
COUNTS = {
    "a": ((5, 7), (20, 24), (9, 9), (36, 40)),
    "b": ((6, 6), (21, 17), (8, 12), (41, 39)),
    "c": ((4, 8), (25, 27), (10, 8), (35, 31)),
}
ARMS = (("DMSO", "none"), ("DMSO", "BafA1"), ("EBSS", "none"), ("EBSS", "BafA1"))
SETTINGS = StatsSettings(control="DMSO", replicate="batch")


def plate(counts=COUNTS, **columns) -> pd.DataFrame:
    rows = []
    for batch, wells in counts.items():
        for column, ((treatment, inhibitor), values) in enumerate(zip(ARMS, wells), 1):
            for label, value in enumerate(values, 1):
                given = {"treatment": treatment, "inhibitor": inhibitor, "batch": batch, "plate": f"P{batch}"}
                place = {"field": f"{batch}{column}", "well": f"A0{column}", "label": label}
                rows.append({**place, **given, "puncta_yellow": value, "intensity": 1.5 * value})
    return pd.DataFrame(rows).assign(**columns)


def flux(cells: pd.DataFrame, features=("puncta_yellow", "intensity"), settings=SETTINGS):
    table = nest(cells, settings)
    return compare_flux(table, find_arms(table, settings), list(features), settings)


def test_flux_is_the_paired_t_test_of_the_replicates_and_its_difference_the_t_test_of_differences():
    means = np.array([[np.mean(pair) for pair in wells] for wells in COUNTS.values()])
    rows = flux(plate()).table.set_index(["quantity", "feature", "measure", "treatment"])
    own = rows.loc[("flux", "puncta_yellow", "difference of rates", "EBSS")]
    expected = scipy_stats.ttest_rel(means[:, 3], means[:, 2])
    assert own["estimate"] == pytest.approx((means[:, 3] - means[:, 2]).mean())
    assert (own["p_value"], own["df"], own["replicates"]) == (pytest.approx(expected.pvalue), 2, 3)
    both = rows.loc[("difference of fluxes", "intensity", "difference of differences", "EBSS")]
    change = 1.5 * (means[:, 3] - means[:, 2] - means[:, 1] + means[:, 0])
    expected = scipy_stats.ttest_1samp(change, 0)
    interval = expected.confidence_interval()
    assert both["estimate"] == pytest.approx(change.mean())
    assert both["p_value"] == pytest.approx(expected.pvalue)
    assert (both["ci_low"], both["ci_high"]) == (pytest.approx(interval.low), pytest.approx(interval.high))


def test_counts_also_give_the_ratio_of_ratios_by_leaving_out_replicates():
    totals = np.array([[np.sum(pair) for pair in wells] for wells in COUNTS.values()], float)

    def log_ratio(kept):
        dmso, dmso_baf, ebss, ebss_baf = totals[kept].sum(0)
        return np.log(ebss_baf / ebss) - np.log(dmso_baf / dmso)

    middle = log_ratio([0, 1, 2])
    left_out = np.array([log_ratio(kept) for kept in ([1, 2], [0, 2], [0, 1])])
    error = np.sqrt(2 / 3 * np.sum((left_out - middle) ** 2))
    rows = flux(plate()).table.set_index(["feature", "measure"])
    row = rows.loc[[("puncta_yellow", "ratio of ratios of rates")]].iloc[0]
    assert row["estimate"] == pytest.approx(np.exp(middle), rel=1e-5)
    assert row["p_value"] == pytest.approx(2 * scipy_stats.t.sf(abs(middle / error), 2), rel=1e-4)
    assert "ratio of ratios of rates" not in rows.loc["intensity"].index


def test_replicates_without_both_arms_are_left_out_and_fewer_than_three_are_refused():
    cells = plate({**COUNTS, "d": ((90, 90), (1, 1), (3, 3), (4, 4))})
    cells = cells[~((cells["batch"] == "d") & (cells["inhibitor"] == "BafA1") & (cells["treatment"] == "DMSO"))]
    rows = flux(cells).table.set_index(["quantity", "measure", "treatment"])
    dmso = rows.loc[("flux", "difference of rates", "DMSO")]
    assert (dmso["replicates"], dmso["replicates_left_out"], dmso["estimate"]) == (3, 1, pytest.approx(49 / 3))
    assert rows.loc[("flux", "difference of rates", "EBSS"), "replicates"] == 4
    assert rows.loc[("difference of fluxes", "difference of differences of rates", "EBSS"), "replicates"] == 3
    few = flux(plate({name: COUNTS[name] for name in "ab"})).table
    assert few["p_value"].isna().all()
    assert few["refusal"].str.contains("3 biological replicates are needed").all()
    # arms are told by their names
    assert few["refusal"].str.contains(r"\d (?:DMSO|EBSS), BafA1 and \d (?:DMSO|EBSS), ").all()
    apart = plate()
    apart.loc[apart["batch"] == "a", "inhibitor"] = "none"
    apart.loc[apart["batch"] != "a", "inhibitor"] = "BafA1"
    apart["batch"] = apart["field"]
    own = flux(apart).table.query("quantity == 'flux'")
    assert own["p_value"].isna().all(), "replicates that hold one arm each are no flux"


def test_flux_is_of_plates_that_hold_both_arms():
    """Wells without inhibitor of a further plate, dimmer by 100, are in no flux, nor in the difference of two."""
    cells = plate()
    further = cells[cells["inhibitor"] == "none"].assign(
        plate=lambda t: t["plate"] + " too", field=lambda t: t["field"] + "x"
    )
    further["intensity"] -= 100
    both = pd.concat([cells, further], ignore_index=True)
    wanted, found = flux(cells).table, flux(both)
    pd.testing.assert_frame_equal(found.table, wanted)
    assert any("of DMSO, EBSS with BafA1" in w and "Pa too, Pb too, Pc too" in w for w in found.warnings)
    # a dose that goes with the inhibitor, as its own does, hides no plate
    both["dose"] = np.where(both["inhibitor"] == "BafA1", 100.0, np.nan)
    numbers = ["estimate", "ci_low", "ci_high", "p_value", "wells"]
    pd.testing.assert_frame_equal(flux(both).table[numbers], wanted[numbers])


def test_wells_without_a_level_of_the_factor_are_in_no_flux_beside_doses():
    """They ended in a TypeError, where the table had doses."""
    cells = plate().assign(dose=5.0, genotype="WT")
    further = cells.assign(genotype=None, field=lambda t: t["field"] + "x")
    further["well"] = "B0" + cells["well"].str[-1]
    settings = replace(SETTINGS, factor="genotype")
    wanted = flux(cells, settings=settings).table
    pd.testing.assert_frame_equal(flux(pd.concat([cells, further], ignore_index=True), settings=settings).table, wanted)


def test_a_dose_of_zero_is_none():
    """Wells without inhibitor whose dose is 0 in the map, and empty in others, are one arm."""
    cells = plate().assign(dose=lambda t: np.where(t["treatment"] == "EBSS", 5.0, np.nan))
    further = cells[(cells["treatment"] == "DMSO") & (cells["inhibitor"] == "none")]
    further = further.assign(
        dose=0.0, field=lambda t: t["field"] + "x", well="B01", intensity=lambda t: t["intensity"] + 9
    )
    cells = pd.concat([cells, further], ignore_index=True)
    pd.testing.assert_frame_equal(flux(cells).table, flux(cells.assign(dose=cells["dose"].replace(0, np.nan))).table)


def test_flux_is_of_the_doses_that_were_given_with_the_inhibitor():
    """EBSS at 5 with and without inhibitor; wells of 1, without it alone and dimmer by 100, are in no flux."""
    cells = plate().assign(dose=lambda t: np.where(t["treatment"] == "EBSS", 5.0, np.nan))
    lower = cells[(cells["treatment"] == "EBSS") & (cells["inhibitor"] == "none")]
    lower = lower.assign(
        dose=1.0, field=lambda t: t["field"] + "x", well="B01", intensity=lambda t: t["intensity"] - 100
    )
    both = pd.concat([cells, lower], ignore_index=True)
    wanted, found = flux(cells), flux(both)
    pd.testing.assert_frame_equal(found.table, wanted.table)
    pd.testing.assert_frame_equal(found.pools, wanted.pools)
    assert [w for w in found.warnings if w not in wanted.warnings] == [
        "Flux of EBSS is that of dose 5, given with and without inhibitor"
    ]
    both.loc[(both["treatment"] == "EBSS") & (both["inhibitor"] == "BafA1"), "dose"] = 20.0
    said = "EBSS had other doses without inhibitor (1, 5) than with (20): both are in its flux"
    assert said in flux(both).warnings


@pytest.mark.parametrize(
    ("levels", "none", "expected"),
    [
        (("none", "BafA1"), None, "none"),
        (("-", "Baf"), None, "-"),
        (("0", "100"), None, "0"),
        (("DMSO", "CQ"), None, "DMSO"),
        (("Vehicle", "CQ"), None, "Vehicle"),
        (("x", "y"), "x", "x"),
        ((None, "CQ"), "", ""),
    ],
)
def test_the_level_without_inhibitor_is_recognised_or_told(levels, none, expected):
    cells = plate()
    cells["inhibitor"] = cells["inhibitor"].map(dict(zip(("none", "BafA1"), levels)))
    table = nest(cells, StatsSettings(control="DMSO", no_inhibitor=none))
    arms = find_arms(table, StatsSettings(control="DMSO", no_inhibitor=none))
    assert (arms.none, arms.inhibitors) == (expected, (levels[1],))


@pytest.mark.parametrize(
    ("levels", "none", "said"),
    [
        (("x", "y"), None, "holds 'x', 'y'; name one with --no_inhibitor"),
        (("none", "vehicle"), None, "Which wells had no inhibitor"),
        ((None, "CQ"), None, "'' for empty fields"),
        (("none", "CQ"), "water", "--no_inhibitor water"),
    ],
)
def test_an_unclear_inhibitor_is_refused_and_never_pooled(levels, none, said):
    cells = plate()
    cells["inhibitor"] = cells["inhibitor"].map(dict(zip(("none", "BafA1"), levels)))
    with pytest.raises(InputError, match=said):
        compare(cells, StatsSettings(control="DMSO", replicate="batch", no_inhibitor=none))


def test_treatments_are_compared_in_wells_without_inhibitor():
    settings = StatsSettings(control="DMSO", replicate="batch", features=("intensity",))
    result = compare(plate(), settings)
    alone = compare(plate().query("inhibitor == 'none'").drop(columns="inhibitor"), settings)
    pd.testing.assert_frame_equal(result.effects, alone.effects)
    assert "never pooled" in result.notes[0]
    assert "12 cells with BafA1" in result.notes[0]
    assert len(result.with_inhibitor) == 24


def test_an_inhibitor_that_does_nothing_and_arms_on_two_plates_are_warned_of():
    idle = {name: (wells[0], wells[0][::-1], *wells[2:]) for name, wells in COUNTS.items()}
    warned = "; ".join(flux(plate(idle)).warnings)
    assert "BafA1 does not raise yellow puncta in DMSO" in warned
    assert "in EBSS" not in warned
    cells = plate()
    cells["plate"] += cells["inhibitor"].where(cells["batch"] == "b", "")
    assert "Wells with and without BafA1 are of different plates or days in replicate(s) b:" in "; ".join(
        flux(cells).warnings
    )
    assert flux(plate()).warnings == ()


def test_treatments_that_differ_in_the_inhibitor_too_are_said():
    """No treatment has both arms: there is no flux, and nothing to keep apart."""
    cells = plate()
    cells = cells[(cells["treatment"] == "EBSS") == (cells["inhibitor"] == "BafA1")]
    result = compare(cells, SETTINGS)
    assert result.arms is None
    assert (
        "Treatments differ in 'inhibitor' too ('DMSO' none, 'EBSS' BafA1): what is told of one is of both"
        in result.notes
    )
    assert not [note for note in compare(plate(), SETTINGS).notes if "differ in" in note]


def test_wells_of_several_doses_of_the_inhibitor_are_said_to_be_pooled():
    low = plate()
    high = low.assign(field="h" + low["field"], well=low["well"].str.replace("A", "B"), inhibitor_nM=100.0)
    cells = pd.concat([low.assign(inhibitor_nM=10.0), high])
    cells.loc[cells["inhibitor"] == "none", "inhibitor_nM"] = np.nan
    pooled = [note.partition(":")[0] for note in compare(cells, SETTINGS).notes if "pools" in note]
    assert pooled == [
        f"Treatment '{t}' with 'BafA1' pools wells of different inhibitor_nM (10, 100)" for t in ("DMSO", "EBSS")
    ]


def test_a_factor_shows_the_effect_at_each_level_and_their_difference():
    cells = plate().rename(columns={"inhibitor": "genotype"}).replace({"genotype": {"none": "KO", "BafA1": "WT"}})
    settings = StatsSettings(control="DMSO", replicate="batch", factor="genotype", features=("intensity",))
    result = compare(cells, settings)
    rows = compare_factor(result, settings)
    assert rows["at"].tolist() == ["WT", "KO", "KO"]
    assert rows["against"].fillna("").tolist() == ["", "", "WT"]
    means = 1.5 * np.array([[np.mean(pair) for pair in wells] for wells in COUNTS.values()])
    change = (means[:, 2] - means[:, 0]) - (means[:, 3] - means[:, 1])
    assert rows["estimate"].iloc[2] == pytest.approx(change.mean())
    assert rows["p_value"].iloc[2] == pytest.approx(scipy_stats.ttest_1samp(change, 0).pvalue)
    with pytest.raises(InputError, match="a factor has 2 to 12"):
        compare_factor(result, StatsSettings(control="DMSO", factor="puncta_yellow", replicate="batch"))
    with pytest.raises(InputError, match="No factor is named: give its column with --factor"):
        compare_factor(result, StatsSettings(control="DMSO", replicate="batch"))


def test_wells_alone_make_an_interval_but_no_p_value():
    """One date, two wells of each arm: the difference of fluxes is an ordinary regression on eight wells."""
    values = {"a": COUNTS["a"], "b": COUNTS["b"]}
    cells = plate(values)
    cells["well"] = cells["batch"].map({"a": "A", "b": "B"}) + cells["well"].str[1:]
    cells = cells.assign(batch="day", plate="P")
    row = flux(cells).table.set_index(["quantity", "feature"]).loc[[("difference of fluxes", "intensity")]].iloc[0]
    means = 1.5 * np.array([[np.mean(pair) for pair in wells] for wells in values.values()])
    pooled = np.mean(means.var(axis=0, ddof=1))
    half = scipy_stats.t.ppf(0.975, 4) * np.sqrt(pooled * 4 / 2)
    estimate = means.mean(0) @ [1, -1, -1, 1]
    assert (row["unit"], row["df"], row["timepoint"]) == ("well", 4, ALL)
    assert (row["ci_low"], row["ci_high"]) == (pytest.approx(estimate - half), pytest.approx(estimate + half))
    assert np.isnan(row["p_value"])


def test_one_treatment_has_its_flux_and_no_difference():
    cells = plate().query("treatment == 'EBSS'")
    settings = StatsSettings(replicate="batch", features=("intensity",))
    result = compare(cells, settings)
    assert result.effects.empty
    assert (result.control, result.features) == ("EBSS", ("intensity",))
    assert any("its flux stands alone" in note for note in result.notes)
    rows = compare_flux(result.with_inhibitor, result.arms, ["intensity"], settings).table
    assert rows["quantity"].tolist() == ["flux"] * len(rows)
    means = 1.5 * np.array([[np.mean(pair) for pair in wells[2:]] for wells in COUNTS.values()])
    expected = scipy_stats.ttest_rel(means[:, 1], means[:, 0])
    row = rows.query("feature == 'intensity'").iloc[0]
    assert (row["estimate"], row["p_value"]) == (
        pytest.approx((means[:, 1] - means[:, 0]).mean()),
        pytest.approx(expected.pvalue),
    )
    few = compare(cells.query("batch != 'a'"), settings)
    (refusal,) = compare_flux(few.with_inhibitor, few.arms, ["intensity"], settings).table["refusal"].unique()
    assert "3 biological replicates are needed" in refusal
    with pytest.raises(InputError, match="Only one treatment"):
        compare(cells.query("inhibitor == 'none'"), settings)


def test_every_n_is_told_before_and_after_fields_are_left_out():
    """Of 12 fields of two cells two go: the well of replicate b with DMSO alone, and that of c with EBSS and BafA1."""
    settings = StatsSettings(control="DMSO", replicate="batch", features=("intensity",))
    result = compare(plate(), settings, left_out=["b1", "c4"])
    units = result.units.set_index("treatment")
    told = ["replicates", "replicates_before", "images", "images_before", "cells", "cells_before"]
    assert units.loc["DMSO", told].tolist() == [2, 3, 2, 3, 4, 6]
    assert units.loc["EBSS", told].tolist() == [3, 3, 3, 3, 6, 6]
    effect = result.effects.iloc[0]
    assert effect[["wells_control", "wells_control_before", "cells_treated_before"]].tolist() == [2, 3, 6]
    time = result.over_time.set_index("treatment").loc["DMSO"]
    assert time[["wells", "wells_before", "cells", "cells_before"]].tolist() == [2, 3, 4, 6]
    found = compare_flux(result.with_inhibitor, result.arms, ["intensity"], settings, result.before)
    rows = found.table[found.table["feature"] == "intensity"].set_index(["quantity", "treatment"])
    n = ["replicates", "replicates_before", "replicates_left_out", "wells", "wells_before", "cells", "cells_before"]
    assert rows.loc[("flux", "DMSO"), n].tolist() == [2, 3, 1, 4, 6, 8, 12]
    assert rows.loc[("difference of fluxes", "EBSS"), n].tolist() == [1, 3, 2, 4, 12, 8, 24]
    pools = found.pools.set_index(["feature", "treatment", "inhibitor", "replicate"])
    assert ("intensity", "DMSO", "none", "b") not in pools.index
    assert pools.loc[("intensity", "DMSO", "none", "a"), ["images", "images_before"]].tolist() == [1, 1]
    assert "images_before" not in compare(plate(), settings).units
    with pytest.raises(InputError, match="leaves nothing: all 12"):
        compare(plate(), settings, left_out=plate()["field"].tolist())
