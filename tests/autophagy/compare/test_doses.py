"""The curve against R's drc, Page's test against its definition, and what the doses must span."""

import numpy as np
import pandas as pd
import pytest

from cellular.autophagy.compare.design import StatsSettings, nest
from cellular.autophagy.compare.doses import (
    Curve,
    compare_doses,
    curve_row,
    dose_means,
    dose_series,
    fit_curve,
    levelled,
    not_spanned,
    trend,
)
from cellular.errors import InputError

# Root length of ryegrass (cm) over ferulic acid (mM): the data set of R's drc (Inderjit et al., Ecol 2002).
RYEGRASS = {
    0: (7.58, 8.0, 8.3285714, 7.25, 7.375, 7.9625),
    0.94: (8.3555556, 6.9142857, 7.75),
    1.88: (6.8714286, 6.45, 5.9222222),
    3.75: (1.925, 2.8857143, 4.2333333),
    7.5: (1.1875, 0.8571429, 1.0571429),
    15: (0.6875, 0.525, 0.825),
    30: (0.25, 0.22, 0.44),
}
DOSES = (0, 1, 4, 16, 64, 256)


def replicates(seed=0, scatter=0.1, rows=4, **curve) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    values = Curve(**({"zero": 2, "plateau": 10, "ec50": 12, "slope": 1.5} | curve)).at(np.array(DOSES, float))
    noise = rng.normal(0, scatter, (rows, len(DOSES))) + rng.normal(0, 1, (rows, 1))
    return pd.DataFrame(
        values + noise, index=list("abcdefgh")[:rows], columns=pd.Index(DOSES, dtype=float, name="dose")
    )


def named(means: pd.DataFrame) -> pd.DataFrame:
    return means.rename_axis(index="replicate")


def test_the_curve_is_that_of_drc():
    """drm(rootl ~ conc, data = ryegrass, fct = LL.4()): b 2.98222, c 0.48141, d 7.79296, e 3.05795, residual 0.5196."""
    dose = np.repeat(list(RYEGRASS), [len(v) for v in RYEGRASS.values()]).astype(float)
    curve = fit_curve(dose, np.concatenate(list(RYEGRASS.values())))
    assert (curve.slope, curve.plateau) == (pytest.approx(2.98222, abs=2e-4), pytest.approx(0.48141, abs=1e-4))
    assert (curve.zero, curve.ec50) == (pytest.approx(7.79296, abs=1e-4), pytest.approx(3.05795, abs=1e-4))
    assert np.sqrt(curve.rss / 20) == pytest.approx(0.5196, abs=1e-4)
    assert not_spanned(curve, dose) == ""


def test_the_curve_is_halfway_at_the_ec50_and_zero_at_dose_zero():
    curve = Curve(2, 10, 12, 1.5)
    assert curve.at(np.array([0, 12, 1e12])) == pytest.approx([2, 6, 10])
    assert curve.share(np.array([12 * 4.6805 ** (1 / 1.5)])) == pytest.approx([0.824], abs=1e-3)


def test_intervals_hold_the_truth_and_narrow_with_less_scatter():
    row = curve_row(named(replicates()), StatsSettings())
    assert row["ec50_low"] < 12 < row["ec50_high"]
    assert row["plateau_low"] < row["plateau"] < row["plateau_high"]
    assert (row["trend"], row["refusal"], row["note"]) == ("rises", "", "")
    tight = curve_row(named(replicates(scatter=0.01)), StatsSettings())
    assert tight["ec50_high"] / tight["ec50_low"] < row["ec50_high"] / row["ec50_low"]
    assert tight["ec50"] == pytest.approx(12, rel=0.02)


@pytest.mark.parametrize(
    ("curve", "said"),
    [
        ({"ec50": 2000}, "EC50 lies above|reaches"),
        ({"ec50": 120, "slope": 0.7}, "the highest dose reaches|EC50 lies above"),
        ({"ec50": 0.1}, "below the lowest"),
    ],
)
def test_doses_that_do_not_show_the_whole_curve_are_refused(curve, said):
    row = curve_row(named(replicates(scatter=0.005, **curve)), StatsSettings())
    assert pd.Series([row["refusal"]]).str.contains(said).all()
    assert np.isnan(row["ec50"])


def test_flat_responses_few_doses_and_few_replicates_are_refused_with_the_reason():
    flat = curve_row(named(replicates(plateau=2, scatter=0.5)), StatsSettings())
    assert flat["refusal"].startswith("no trend with the dose")
    few = curve_row(named(replicates().iloc[:, :4]), StatsSettings())
    assert few["refusal"].startswith("4 doses, zero included: 5 are needed")
    two = curve_row(named(replicates(rows=2)), StatsSettings())
    assert np.isnan(two["p_trend"])
    assert np.isnan(two["ec50_low"])
    assert two["note"].startswith("no interval and no p-value: 2 biological replicate(s)")
    assert two["ec50"] == pytest.approx(12, rel=0.3)


def test_trend_is_pages_and_two_sided():
    """Three doses rising in both of two replicates: L is largest, 1 of 36 orders; either direction counts."""
    columns = pd.Index([0.0, 1.0, 2.0])
    assert trend(pd.DataFrame([[1, 2, 3], [5, 6, 9]], columns=columns)) == pytest.approx(2 / 36)
    assert trend(pd.DataFrame([[3, 2, 1], [9, 6, 5]], columns=columns)) == pytest.approx(2 / 36)


def test_a_trend_rests_on_as_many_replicates_as_a_p_value_needs():
    """Page's statistic by exact enumeration: three replicates in the order of four doses, of 24^3 ways one each."""
    means = named(replicates(rows=3, scatter=0))
    means.iloc[0, 1] = means.iloc[1, 2] = np.nan  # one replicate holds every dose: four doses are in all
    row = curve_row(means, StatsSettings())
    assert row["p_trend"] == pytest.approx(2 / 24**3)
    assert (row["replicates"], row["note"], row["refusal"]) == (3, "", "")
    means.iloc[2, :4] = np.nan
    row = curve_row(means, StatsSettings())
    assert np.isnan(row["p_trend"])
    assert "fewer than three doses" in row["note"]


def test_a_replicate_of_one_dose_is_none_of_a_curve():
    """Days on which the control alone was imaged were replicates, and an interval that of four where two were."""
    means = named(replicates(rows=4))
    means.iloc[2:, 1:] = np.nan
    row = curve_row(means, StatsSettings())
    assert row["replicates"] == 2
    assert np.isnan(row["ec50_low"])
    assert row == pytest.approx(curve_row(means.iloc[:2], StatsSettings()), nan_ok=True)


def test_curves_need_replicates_that_hang_together_also_without_each_of_them():
    means = named(replicates(rows=4))
    means.iloc[:2, 3:] = means.iloc[2:, :3] = np.nan
    assert "no dose in common" in curve_row(means, StatsSettings())["refusal"]
    means.iloc[1, 3:] = replicates(rows=4).iloc[1, 3:]  # alone links the others
    row = curve_row(means, StatsSettings())
    assert row["ec50"] == pytest.approx(12, rel=0.1)
    assert np.isnan(row["ec50_low"])
    assert "without replicate b the curve is not determined" in row["note"]


def test_a_dose_that_is_no_number_is_no_missing_one():
    rows = [{"batch": "a", "treatment": "DMSO", "dose": "vehicle"}]
    rows += [{"batch": "a", "treatment": "drug", "dose": dose} for dose in ("1", "10", "100", "1 uM")]
    with pytest.raises(InputError, match="'dose' holds '1 uM', which is no number"):
        dose_series(table_of(rows), StatsSettings(), "DMSO")
    found = dose_series(table_of(rows[:-1]), StatsSettings(), "DMSO")
    assert found["drug"].tolist() == [0, 1, 10, 100]
    levels = [rows[0], *({**rows[1], "dose": level} for level in ("low", "middle", "high"))]
    assert dose_series(table_of(levels), StatsSettings(), "DMSO") == {}


def test_one_replicate_has_a_curve_and_no_p_value():
    row = curve_row(named(replicates(rows=1, scatter=0)), StatsSettings())
    assert row["ec50"] == pytest.approx(12, rel=1e-3)
    assert np.isnan([row["p_trend"], row["ec50_low"]]).all()
    assert row["note"].startswith("no interval and no p-value: 1 biological replicate(s)")


def test_a_replicate_that_lacks_a_dose_bends_nothing():
    whole = named(replicates(scatter=0.0, rows=3))
    lacking = whole.copy()
    lacking.iloc[0, 5] = np.nan
    levels = levelled(lacking)[0]
    steps = (whole.loc["a"] - whole.loc["a", 0.0]).to_numpy()
    assert (levels - levels.iloc[0]).to_numpy() == pytest.approx(steps)


def test_an_ec50_between_two_doses_that_nothing_tells_is_refused():
    """A steep curve goes from zero to plateau between 10 and 100: 30 and 70 fit alike; with a dose of 30 it is told."""

    def row(doses, slope, scatter):
        rng = np.random.default_rng(1)
        values = Curve(2, 10, 30, slope).at(np.array(doses, float)) + rng.normal(0, scatter, (4, len(doses)))
        means = pd.DataFrame(values, index=list("abcd"), columns=pd.Index(doses, dtype=float, name="dose"))
        return curve_row(named(means), StatsSettings())

    for scatter in (0.1, 0.5):
        assert row((0, 1, 10, 100, 1000), 8, scatter)["refusal"].startswith(
            "no dose lies on the slope: the EC50 is somewhere between 10 and 100"
        )
    told = row((0, 1, 10, 30, 100, 1000), 8, 0.5)
    assert told["refusal"] == ""
    assert told["ec50"] == pytest.approx(30, rel=0.2)
    # shares of 0.1 and 0.92 beside it are no plateaus, where the scatter does not hide that
    assert row((0, 1, 10, 100, 1000), 2, 0.1)["ec50"] == pytest.approx(30, rel=0.1)


def test_plates_of_one_day_bend_nothing():
    """Low doses and the control on one plate, high ones and the control on another that is brighter by 5."""
    doses, cells = (0.0, 1.0, 4.0, 0.0, 16.0, 64.0), []
    for column, dose in enumerate(doses, 1):
        plate = column > 3
        place = {"field": f"f{column}", "plate": f"p{plate:d}", "well": f"A{column:02d}", "date": "2024-01-01"}
        cells.append({**place, "treatment": "drug" if dose else "none", "dose": dose, "area": 5.0 * plate + dose})
    table = nest(pd.DataFrame(cells), StatsSettings())
    means = dose_means(table, table["dose"], "area").iloc[0]
    assert (means - means[0]).tolist() == pytest.approx([0, 1, 4, 16, 64])
    unlinked = table[table["dose"] > 0]  # no dose is on both: nothing tells the plates' levels
    assert dose_means(unlinked, unlinked["dose"], "area").iloc[0].tolist() == [1, 4, 21, 69]


def test_a_plate_that_nothing_links_to_the_others_is_in_no_curve():
    """Dose 16 alone on a third plate, brighter by 50: without the control there, nothing tells that from the dose."""
    holds = {"p0": (0, 1, 2), "p1": (0, 4, 8), "p2": (16,)}
    cells = pd.DataFrame(
        {
            "field": f"{day}{plate}{dose}",
            **{"plate": plate, "well": f"A{dose + 1:02d}", "date": f"2024-01-0{day}", "dose": dose},
            "treatment": "drug" if dose else "none",
            "area": [day + dose + 5.0 * (plate == "p1") + 50.0 * (plate == "p2")],
        }
        for day in (1, 2, 3)
        for plate, doses in holds.items()
        for dose in doses
    ).explode("area")
    table = nest(cells.assign(area=cells["area"].astype(float)), StatsSettings(control="none"))
    curves, points = compare_doses(table, ["area"], StatsSettings(), "none")
    assert curves["doses"].tolist() == [5]
    assert curves["wells"].tolist() == [18]
    assert "no dose in common with the others: 2024-01-01-p2, 2024-01-02-p2" in curves["note"].iloc[0]
    assert points["dose"].max() == 8
    first = points[points["replicate"] == "2024-01-01"].set_index("dose")["mean"]
    assert (first - first[0]).tolist() == pytest.approx([0, 1, 2, 4, 8])
    # a day of the control alone is none of a curve's
    day = table[(table["replicate"] == "2024-01-01") & (table["dose"] == 0)]
    day = day.assign(**{name: day[name].str.replace("01-01", "01-04") for name in ("replicate", "plate", "well")})
    more, shown = compare_doses(
        pd.concat([table, day.assign(image="4" + day["image"])]), ["area"], StatsSettings(), "none"
    )
    assert more["note"].iloc[0].startswith("without replicates of one dose: 2024-01-04")
    pd.testing.assert_frame_equal(more.drop(columns="note"), curves.drop(columns="note"))
    pd.testing.assert_frame_equal(shown, points)
    # wells of the control on two plates and all doses on a third: without these there is no curve
    own = table[table["plate"].str.endswith("p0") | (table["dose"] == 0)]
    own = own.assign(plate=own["plate"].where(own["dose"] == 0, own["plate"] + "x"))
    own = pd.concat([own, own[own["dose"] > 0].assign(dose=5, image="f5" + own["image"])])
    assert compare_doses(own, ["area"], StatsSettings(), "none")[0]["doses"].tolist() == [4]
    by_dose = compare_doses(table, ["area"], StatsSettings(factor="dose"), "none")
    pd.testing.assert_frame_equal(by_dose[1], points)


def table_of(rows: list[dict]) -> pd.DataFrame:
    cells = [
        {"field": f"{r['batch']}{i}", "well": f"A{i + 1:02d}", "plate": r["batch"], **r} for i, r in enumerate(rows)
    ]
    return nest(pd.DataFrame(cells), StatsSettings(replicate="batch"))


def test_doses_are_numbers_in_their_order_and_the_control_is_dose_zero():
    rows = [{"batch": b, "treatment": "DMSO", "dose": None, "dose_unit": None, "x": 1.0} for b in "abc"]
    rows += [
        {"batch": b, "treatment": "drug", "dose": dose, "dose_unit": "nM", "x": float(dose)}
        for b in "abc"
        for dose in (1000, 10, 9)
    ]
    table = table_of(rows)
    curves, points = compare_doses(table, ["x"], StatsSettings(), "DMSO")
    assert points["dose"].drop_duplicates().tolist() == [0, 9, 10, 1000]
    assert curves.loc[0, ["unit", "doses", "replicates"]].tolist() == ["nM", 4, 3]
    fewer = table[~((table["dose"] == 9) & (table["replicate"] == "a"))]
    curves, points = compare_doses(fewer, ["x"], StatsSettings(), "DMSO", table)
    assert curves.loc[0, ["images", "images_before", "cells", "cells_before"]].tolist() == [11, 12, 11, 12]
    nine = points[(points["dose"] == 10) & (points["replicate"] == "a")].iloc[0]
    assert (nine["wells"], nine["wells_before"], nine["images"]) == (1, 1, 1)
    assert dose_series(table, StatsSettings(dose="nothing"), "DMSO") == {}
    assert list(dose_series(table, StatsSettings(treatment="dose"), "0")) == ["dose"]
    # a column of the user's own, with the unit in its name
    own = table.rename(columns={"dose": "Conc. (uM)"}).drop(columns="dose_unit")
    curves, _ = compare_doses(own, ["x"], StatsSettings(dose="Conc. (uM)"), "DMSO")
    assert curves.loc[0, "unit"] == "µM"
    with pytest.raises(InputError, match="in one unit"):
        compare_doses(table.assign(dose_unit=["nM", "uM"] * 6), ["x"], StatsSettings(), "DMSO")
