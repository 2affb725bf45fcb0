"""Comparisons against textbook tests on designs where the two must agree, and against chance."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats
from scipy.optimize import brentq
from statsmodels.stats.multitest import multipletests

from cellular.autophagy.compare.design import StatsSettings, nest
from cellular.autophagy.compare.effects import ALL, choose_features, compare, is_count, means_over_time
from cellular.autophagy.compare.images import sum_images
from cellular.autophagy.compare.models import fit_count, fit_mean
from cellular.errors import InputError


def experiment(
    rng: np.random.Generator,
    *,
    replicates: int = 4,
    side_by_side: bool = True,
    wells: int = 2,
    cells: int = 20,
    effect: float = 0.0,
    spread: tuple[float, float, float, float] = (0.4, 0.3, 0.3, 0.2),
    timepoints: int = 1,
) -> pd.DataFrame:
    """Cells of nested random effects: replicate, treatment in replicate, well, image. Two sites a well."""
    rows = []
    for r in range(replicates):
        replicate = rng.normal(0, spread[0])
        for treated in (0, 1) if side_by_side else (r % 2,):
            arm = replicate + rng.normal(0, spread[1]) + effect * treated
            for w in range(wells):
                well = arm + rng.normal(0, spread[2])
                for site in (1, 2):
                    for t in range(1, timepoints + 1):
                        mean = well + rng.normal(0, spread[3])
                        name = f"Timepoint_{t:03d}_{220500 + r}-ST_{'CI'[treated]}{w + 2:02d}_s{site}"
                        counts = rng.negative_binomial(2, 2 / (2 + np.exp(1 + mean)), cells)
                        rows.append(
                            pd.DataFrame({"field": name, "ratio": rng.normal(mean, 1, cells), "puncta_total": counts})
                        )
    return pd.concat(rows, ignore_index=True)


def arm_means(cells: pd.DataFrame, value: str = "ratio") -> pd.DataFrame:
    """Replicates by treatments, means of image means."""
    table = nest(cells, StatsSettings())
    images = table.groupby(["replicate", "treatment", "image"])[value].mean()
    return images.groupby(level=["replicate", "treatment"]).mean().unstack()


def overall(cells: pd.DataFrame, feature: str, **settings) -> pd.Series:
    effects = compare(cells, StatsSettings(features=(feature,), **settings)).effects
    return effects[effects["timepoint"] == ALL].iloc[0]


def test_side_by_side_replicates_agree_with_the_paired_t_test():
    """In a balanced design whose replicates differ in their response, the mixed model is the paired t-test."""
    cells = experiment(np.random.default_rng(1), replicates=5, spread=(1, 1, 0.05, 0.05), effect=1.5)
    means = arm_means(cells)
    expected = scipy_stats.ttest_rel(means["starved"], means["fed"])
    row = overall(cells, "ratio")
    assert row["estimate"] == pytest.approx((means["starved"] - means["fed"]).mean())
    assert row["p_value"] == pytest.approx(expected.pvalue, rel=0.02)
    interval = expected.confidence_interval()
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((interval.low, interval.high), rel=0.02)
    assert row[["replicates_control", "wells_treated", "cells_treated"]].tolist() == [5, 10, 400]


def test_replicates_apart_agree_with_the_t_test():
    cells = experiment(np.random.default_rng(2), replicates=8, side_by_side=False, spread=(1, 0, 0.1, 0.1), effect=1)
    means = arm_means(cells)
    expected = scipy_stats.ttest_ind(means["starved"].dropna(), means["fed"].dropna())
    row = overall(cells, "ratio")
    assert (row["unit"], row["df"]) == ("replicate", 6)
    assert row["p_value"] == pytest.approx(expected.pvalue, rel=0.05)


def test_standard_error_is_that_of_statsmodels():
    """Where no variance is zero, ours and the Hessian's agree."""
    import statsmodels.api as sm

    cells = nest(experiment(np.random.default_rng(5), wells=3, spread=(0.5, 0, 0.8, 0.3)), StatsSettings())
    images = sum_images(cells, ["ratio"]).of("ratio")
    images["treated"] = (images["treatment"] == "starved").astype(float)
    reference = sm.MixedLM.from_formula("value ~ treated + C(replicate)", images, groups="well").fit(reml=True)
    fit = fit_mean(images, "well")
    assert fit.estimate == pytest.approx(reference.fe_params["treated"], rel=1e-3)
    assert fit.standard_error == pytest.approx(reference.bse_fe["treated"], rel=1e-2)


def test_counts_give_the_ratio_of_means():
    """Without covariates the negative binomial's ratio of rates is the ratio of means, whatever the dispersion."""
    cells = experiment(np.random.default_rng(3), effect=0.7, side_by_side=False)
    table = nest(cells, StatsSettings())
    means = table.groupby("treatment")["puncta_total"].mean()
    row = overall(cells, "puncta_total")
    assert (row["kind"], row["measure"]) == ("count", "rate ratio")
    assert row["estimate"] == pytest.approx(means["starved"] / means["fed"], rel=1e-6)
    assert row["ci_low"] < row["estimate"] < row["ci_high"]


def test_jackknife_by_hand():
    """Leave each of three replicates out, take the logarithm of the ratio of means each time.

    Equally full replicates, and counts that scatter no more than Poisson's: then blocks change nothing.
    """
    counts = {"a": ([2, 4], [8, 8]), "b": ([1, 3], [2, 2]), "c": ([5, 3], [9, 7])}

    def sums(values):
        return {"size": len(values), "total": sum(values), "squares": sum(v * v for v in values)}

    rows = [
        {"replicate": r, "plate": r, "well": f"{r}{arm}", "treated": float(arm), "timepoint": 1, **sums(values)}
        for r, arms in counts.items()
        for arm, values in enumerate(arms)
    ]

    def log_ratio(names):
        pooled = [np.mean([v for name in names for v in counts[name][arm]]) for arm in (0, 1)]
        return np.log(pooled[1] / pooled[0])

    everything = log_ratio("abc")
    without = [log_ratio(names) for names in ("bc", "ac", "ab")]
    fit = fit_count(pd.DataFrame(rows), "replicate")
    assert fit.estimate == pytest.approx(everything, rel=1e-5)
    assert fit.standard_error == pytest.approx(np.sqrt(2 / 3 * np.sum((np.array(without) - everything) ** 2)), rel=1e-5)


def test_a_ratio_is_within_replicates_however_full_they_are():
    """Days that differ threefold, many cells of one arm where the other has few: each day's ratio is 1.5, 1.4, 1.6.

    All cells in one pot give 2.65. Poisson's maximum is where the treated cells of all days are as many as expected:
    sum of y1 = sum of y N1 r / (N0 + N1 r), solved by bisection.
    """
    cells_of, rate, times = np.array([[40, 4], [4, 40], [20, 10]]), np.array([10.0, 30.0, 20.0]), [1.5, 1.4, 1.6]
    means = np.stack([rate, rate * times], axis=1)
    rows = [
        {"replicate": f"r{r}", "plate": f"r{r}", "well": f"{r}{arm}", "treated": float(arm), "timepoint": 1}
        | {"size": n, "total": n * mean, "squares": n * mean**2}
        for r, arms in enumerate(zip(cells_of, means))
        for arm, (n, mean) in enumerate(zip(*arms))
    ]
    total = cells_of * means

    def missing(ratio):
        expected = total.sum(1) * cells_of[:, 1] * ratio / (cells_of[:, 0] + cells_of[:, 1] * ratio)
        return total[:, 1].sum() - expected.sum()

    fit = fit_count(pd.DataFrame(rows), "replicate")
    assert np.exp(fit.estimate) == pytest.approx(brentq(missing, 0.1, 10), rel=1e-5)
    assert 1.4 < np.exp(fit.estimate) < 1.6
    pooled = total.sum(0) / cells_of.sum(0)
    assert pooled[1] / pooled[0] == pytest.approx(2.654, abs=1e-3)


def test_one_date_is_described_and_not_tested():
    cells = experiment(np.random.default_rng(0), replicates=1, wells=3, effect=3, timepoints=2)
    result = compare(cells)
    assert result.effects["p_value"].isna().all()
    assert result.effects["q_value"].isna().all()
    row = result.effects.iloc[0]
    assert row["ci_low"] > 0  # the interval is there, as wide as the wells differ
    assert (row["unit"], row["df"]) == ("well", 4)
    assert len(result.refusals) == 1
    assert "technical replicates" in result.refusals[0]


def test_more_cells_of_the_same_wells_are_no_more_evidence():
    """Ten times the cells, identical in distribution, must not narrow an interval that rests on wells."""
    rng = np.random.default_rng(7)
    cells = experiment(rng, replicates=1, wells=3, cells=200, spread=(0, 0, 0.5, 0.1))
    few = cells.groupby("field").head(20)
    wide, narrow = (row["ci_high"] - row["ci_low"] for row in (overall(few, "ratio"), overall(cells, "ratio")))
    assert narrow > 0.6 * wide


def test_false_discovery_rate_is_over_features():
    cells = experiment(np.random.default_rng(4))
    rng = np.random.default_rng(0)
    cells = cells.assign(**{f"feature_{i}": rng.normal(size=len(cells)) for i in range(5)})
    effects = compare(cells).effects
    assert effects["q_value"].to_numpy() == pytest.approx(multipletests(effects["p_value"], method="fdr_bh")[1])


def test_effects_at_each_timepoint():
    cells = experiment(np.random.default_rng(6), timepoints=3, replicates=3)
    effects = compare(cells, StatsSettings(features=("ratio",))).effects
    assert effects["timepoint"].tolist() == [ALL, 1, 2, 3]
    assert effects["images_control"].tolist() == [36, 12, 12, 12]


def test_treatment_confounded_with_time_is_not_estimated():
    cells = experiment(np.random.default_rng(6), replicates=3)
    late = cells["field"].str.contains("_I")
    cells.loc[late, "field"] = cells.loc[late, "field"].str.replace("Timepoint_001", "Timepoint_002")
    row = overall(cells, "ratio")
    assert "cannot be told apart" in row["note"]
    assert np.isnan(row["p_value"])
    assert np.isnan(row["ci_low"])


def test_missing_infinite_and_constant_values():
    cells = experiment(np.random.default_rng(8))
    cells["holes"] = cells["ratio"].where(np.arange(len(cells)) % 3 > 0)
    cells.loc[1, "holes"] = np.inf
    cells["flat"] = 2.0
    cells["none"] = np.where(cells["field"].str.contains("_I"), 1.0, np.nan)
    effects = compare(cells, StatsSettings(features=("holes", "flat", "none"))).effects.set_index("feature")
    assert effects.loc["holes", "cells_control"] == 212  # of 320: every third missing, one infinite
    assert np.isfinite(effects.loc["holes", "estimate"])
    assert effects.loc["flat", "note"] == "the images do not differ"
    assert np.isnan(effects.loc["none", "estimate"])


def test_counts_absent_from_one_arm_have_no_ratio():
    cells = experiment(np.random.default_rng(8))
    cells.loc[cells["field"].str.contains("_C"), "puncta_total"] = 0
    row = overall(cells, "puncta_total")
    assert "no counts at all in the control cells" in row["note"]
    assert np.isnan(row["ci_low"])


def test_which_columns_are_compared():
    cells = experiment(np.random.default_rng(0)).assign(
        label=lambda table: np.arange(len(table)), area=3.5, y=1.0, touches_border=0
    )
    cells["area"] += np.arange(len(cells))
    assert choose_features(nest(cells, StatsSettings()), StatsSettings()) == ["ratio", "puncta_total", "area"]
    with pytest.raises(InputError, match="nothing_like_it"):
        compare(cells, StatsSettings(features=("nothing_like_it",)))
    with pytest.raises(InputError, match="hold what is no number: field"):
        compare(cells, StatsSettings(features=("field",)))


@pytest.mark.parametrize(
    ("name", "values", "count"),
    [
        ("puncta_yellow", [0, 3], True),
        ("puncta_yellow", [0, 3.5], False),
        ("puncta_area_fraction", [0, 1], False),
        ("spot_count__mRFP", [0, 1], True),
        ("area", [10, 12], False),
    ],
)
def test_counts_are_recognised(name, values, count):
    assert is_count(name, pd.Series(values), StatsSettings()) is count


@pytest.mark.parametrize("feature", ["ratio", "puncta_total"])
def test_a_day_on_which_the_control_alone_was_imaged_changes_no_pairs(feature):
    cells = experiment(np.random.default_rng(3), replicates=4, effect=0.5)
    fed_alone = cells[~cells["field"].str.contains("220503-ST_I")].copy()
    fed_alone.loc[fed_alone["field"].str.contains("220503"), ["ratio", "puncta_total"]] *= 10
    pairs = cells[~cells["field"].str.contains("220503")]
    settings = StatsSettings(features=(feature,))
    found, wanted = compare(fed_alone, settings), compare(pairs, settings)
    pd.testing.assert_frame_equal(found.effects, wanted.effects)
    said = [note for note in found.notes if note not in wanted.notes and "220503" in note]
    assert any(note.startswith("Replicate(s) 220503 hold one of 'starved' and its control alone") for note in said)


def test_replicates_and_wells_that_nobody_knows_are_no_units_of_means_over_time():
    cells = experiment(np.random.default_rng(4), replicates=3)
    parts = cells["field"].str.extract(r"_(?P<date>22\d+)-ST_(?P<well>...)")
    cells = cells.assign(treatment=parts["well"].str[0], well=parts["well"], plate=parts["date"])
    cells["date"] = parts["date"].where(parts["date"] != "220502", "unknown")
    settings = StatsSettings(features=("ratio",), control="C")
    over_time = compare(cells, settings).over_time
    assert over_time[["unit", "n", "replicates"]].to_numpy().tolist() == [["well", 6, 2]] * 2
    cells["well"] = parts["well"].where(parts["date"] != "220502")
    assert compare(cells, settings).over_time[["ci_low", "ci_high"]].isna().all(axis=None)


def test_means_over_time_by_hand():
    cells = pd.DataFrame(
        {
            # a crowded field (three cells of 0) and a sparse one (one cell of 4) weigh the same within a well
            "field": ["Timepoint_001_220518-ST_C03_s1"] * 3
            + ["Timepoint_001_220518-ST_C03_s2", "Timepoint_001_220518-ST_C05_s1", "Timepoint_001_220518-ST_I04_s1"],
            "ratio": [0.0, 0, 0, 4, 6, 1],
        }
    )
    table = means_over_time(sum_images(nest(cells, StatsSettings()), ["ratio"]), ["ratio"], StatsSettings()).set_index(
        "treatment"
    )
    assert table.loc["fed", ["mean", "n", "unit"]].tolist() == [4.0, 2, "well"]
    low, high = scipy_stats.t.interval(0.95, 1, loc=4, scale=np.std([2, 6], ddof=1) / np.sqrt(2))
    assert table.loc["fed", ["ci_low", "ci_high"]].tolist() == pytest.approx([low, high])
    assert np.isnan(table.loc["starved", "ci_low"])


@pytest.mark.long
@pytest.mark.parametrize("feature", ["ratio", "puncta_total"])
@pytest.mark.parametrize(("replicates", "side_by_side"), [(3, True), (5, True), (6, False), (10, False)])
def test_p_values_are_honest_under_the_null(feature, replicates, side_by_side):
    """No effect, but replicates, wells and images that differ: 5 % of p-values below 0.05, half below one half.

    For comparison the t-test on cells is shown to call most of these experiments significant.
    """
    p_values, naive = [], []
    for seed in range(300):
        cells = experiment(np.random.default_rng(seed), replicates=replicates, side_by_side=side_by_side)
        p_values.append(overall(cells, feature)["p_value"])
        treated = cells["field"].str.contains("_I")
        naive.append(scipy_stats.ttest_ind(cells.loc[treated, feature], cells.loc[~treated, feature]).pvalue)
    p = np.array(p_values)
    # a mixed model that does not converge is reported and gives no p-value; that must be rare
    assert np.isfinite(p).mean() >= 0.97
    p = p[np.isfinite(p)]
    # binomial limits at 300 draws: 0.05 + 3 * 0.0126
    assert np.mean(p < 0.05) <= 0.088
    assert np.mean(p < 0.2) <= 0.27
    assert 0.35 <= np.mean(p < 0.5) <= 0.62
    assert np.mean(np.array(naive) < 0.05) > 0.3


def test_a_real_effect_is_found():
    assert overall(experiment(np.random.default_rng(11), replicates=5, effect=2), "ratio")["p_value"] < 0.01


def test_what_is_known_of_wells_is_no_measurement():
    """Doses, plate numbers and levels of the medium, from either table: they are the same for all cells of an image."""
    cells = experiment(np.random.default_rng(0), replicates=3)
    cells["dose"] = cells["field"].str.contains("_I") * 10.0
    fields = cells["field"].unique()
    images = pd.DataFrame(
        {"field": fields, "plate_number": np.arange(len(fields)), "ph": np.linspace(6, 7, len(fields))}
    )
    result = compare(cells, StatsSettings(), images)
    assert set(result.effects["feature"]) == {"ratio", "puncta_total"} == set(result.measurements)
    asked = compare(cells, StatsSettings(features=("ph",)), images)
    assert set(asked.effects["feature"]) == {"ph"}
    assert asked.measurements == result.measurements


@pytest.mark.parametrize("feature", ["ratio", "puncta_total"])
def test_columns_empty_or_constant_in_one_treatment_stop_nothing(feature):
    cells = experiment(np.random.default_rng(1), replicates=3, timepoints=2)
    control = cells["field"].str.contains("_C")
    gone = compare(cells.assign(**{feature: cells[feature].where(~control)})).effects
    assert (gone.loc[gone["feature"] == feature, "note"] == "no values in the control cells").all()
    constant = compare(cells.assign(**{feature: cells[feature].where(~control, 3)})).effects
    rows = constant[constant["feature"] == feature]
    assert np.isfinite(rows["estimate"]).all()
    empty = compare(cells.assign(nothing=np.nan, same=1.0)).effects
    assert set(empty["feature"]) == {"ratio", "puncta_total"}


def test_replicates_are_the_dates_and_this_is_said():
    cells = experiment(np.random.default_rng(1), replicates=3)
    assert "Each date is taken as one biological replicate" in compare(cells).notes[0]
    assert compare(cells.assign(batch=cells["field"].str[14:20]), StatsSettings(replicate="batch")).notes == ()


def test_what_is_true_or_false_is_a_share_and_words_among_numbers_are_said():
    cells = experiment(np.random.default_rng(6), replicates=3)
    cells = cells.assign(many=cells["ratio"] > 0, level=["<LOD", *range(1, len(cells))], said="1,234.5", genotype="wt")
    result = compare(cells, StatsSettings(features=("many",)))
    shares = cells.groupby("field")["many"].mean().groupby(lambda name: "_I" in name).mean()
    assert overall(cells, "many")["estimate"] == pytest.approx(shares[True] - shares[False])
    assert [note for note in result.notes if "is no number" in note] == [
        "Column 'level' is not compared: '<LOD' in it is no number"
    ]
    with pytest.raises(InputError, match=r"level \('<LOD'\)"):
        compare(cells, StatsSettings(features=("level",)))


def on_plates(holds: list[dict[str, int]], values, replicates: int = 3) -> pd.DataFrame:
    """Cells of `replicates` days with the same plates, which hold so many wells of each treatment; `values` fills one.

    `values` takes (rng, plate, treatment) and gives the level of a well.
    """
    rng, rows = np.random.default_rng(4), []
    for day in range(1, replicates + 1):
        for plate, wells in enumerate(holds):
            for row, (treatment, count) in enumerate(wells.items()):
                for column in range(1, count + 1):
                    level = day + values(plate, treatment) + rng.normal(0, 0.1)
                    place = {"date": f"2024-01-{day:02d}", "plate": f"p{plate}", "well": f"{'AB'[row]}{column:02d}"}
                    name = "_".join(place.values())
                    cells = {
                        "ratio": level + np.array([-1.0, 0.0, 1.0]),
                        "puncta_total": rng.poisson(np.exp(level / 2), 3),
                    }
                    rows.append(pd.DataFrame({"field": name, **place, "treatment": treatment, **cells}))
    return pd.concat(rows, ignore_index=True)


@pytest.mark.parametrize("feature", ["ratio", "puncta_total"])
def test_a_treatment_is_compared_with_the_control_of_its_own_plate(feature):
    """The second plate of each day is brighter by 3: wells of the first say nothing of a treatment on the second."""
    cells = on_plates([{"none": 3}, {"none": 3, "drug": 3}], lambda plate, _: 3 * plate)
    settings = StatsSettings(control="none", features=(feature,))
    found, wanted = compare(cells, settings), compare(cells[cells["plate"] == "p1"], settings)
    pd.testing.assert_frame_equal(found.effects, wanted.effects)
    assert any("of its own plates" in note and "2024-01-01-p0" in note for note in found.notes)
    assert not any("plates" in note for note in wanted.notes if "however many plates" not in note)


def test_plates_are_blocks_however_many_wells_of_a_treatment_they_hold():
    """Six wells of the control and one treated, then one and six, on a plate brighter by 3: the means are 2 apart.

    Wells differ by next to nothing within their plate and treatment, so the effect is 0.5 on both plates.
    """
    holds = [{"none": 6, "drug": 1}, {"none": 1, "drug": 6}]
    cells = on_plates(holds, lambda plate, treatment: 3 * plate + 0.5 * (treatment == "drug"))
    row = overall(cells, "ratio", control="none")
    wells = cells.groupby(["date", "plate", "treatment", "well"])["ratio"].mean()
    plates = wells.groupby(level=["date", "plate", "treatment"]).mean().unstack()
    assert row["estimate"] == pytest.approx((plates["drug"] - plates["none"]).mean(), abs=0.05)
    assert row["ci_low"] < 0.5 < row["ci_high"]
    assert "plates as blocks" in row["model"]
    assert overall(cells[cells["date"] == "2024-01-01"], "ratio", control="none")["estimate"] == pytest.approx(
        0.5, abs=0.2
    )


def test_treatments_that_share_no_plate_are_compared_and_this_is_said():
    cells = on_plates([{"none": 2}, {"drug": 2}], lambda plate, _: 3 * plate)
    found = compare(cells, StatsSettings(control="none", features=("ratio",)))
    assert found.effects["estimate"].iloc[0] == pytest.approx(3, abs=0.2)
    assert any("'drug' shares no plate with 'none' in replicate(s) 2024-01-01, 2024-01-02" in n for n in found.notes)


def test_a_drug_given_at_one_level_of_a_factor_is_compared_there():
    """Knock-outs are brighter by 3, and the drug was given to the wild type alone: its control is the wild type's."""
    cells = on_plates([{"none": 4, "drug": 2}], lambda plate, _: 0)
    knocked_out = (cells["treatment"] == "none") & cells["well"].isin(["A03", "A04"])
    cells = cells.assign(genotype=np.where(knocked_out, "KO", "WT"), ratio=cells["ratio"] + 3 * knocked_out)
    settings = StatsSettings(control="none", features=("ratio",), factor="genotype")
    found = compare(cells, settings)
    wanted = compare(cells[~knocked_out], StatsSettings(control="none", features=("ratio",))).effects
    numbers = ["estimate", "ci_low", "ci_high", "p_value", "wells_control", "wells_treated", "plates_control"]
    pd.testing.assert_frame_equal(found.effects[numbers], wanted[numbers])
    assert any("'none' of its own plates and levels" in n and "2024-01-01-p0, KO" in n for n in found.notes)


def test_only_plates_that_no_comparison_has_are_named_as_left_out_of_all():
    cells = on_plates([{"none": 2, "a": 2}, {"none": 2, "b": 2}, {"none": 2}], lambda plate, _: 0)
    notes = compare(cells, StatsSettings(control="none", features=("ratio",))).notes
    said = next(note for note in notes if "of its own plates" in note)
    assert said.startswith("each of 'a', 'b' is compared")
    assert "left out (of all: 2024-01-01-p2, 2024-01-02-p2, 2024-01-03-p2)" in said


def test_a_factor_that_goes_with_the_treatment_hides_no_plate():
    """The drug was given without serum: no level holds both arms, but one of two plates of each day does."""
    cells = on_plates([{"none": 3}, {"none": 3, "drug": 3}], lambda plate, _: 3 * plate)
    cells["serum"] = np.where(cells["treatment"] == "drug", "no", "yes")
    found, wanted = (
        compare(cells, StatsSettings(control="none", features=("ratio",), factor=factor)) for factor in ("serum", None)
    )
    numbers = ["estimate", "ci_low", "ci_high", "p_value", "wells_control", "wells_treated"]
    pd.testing.assert_frame_equal(found.effects[numbers], wanted.effects[numbers])
    said = [note for note in found.notes if "is in the comparison" in note]
    days = "2024-01-01, 2024-01-02, 2024-01-03"
    what = "what levels differ by is in the comparison"  # and what plates differ by is not
    assert said == [f"'drug' shares no level of a plate with 'none' in replicate(s) {days}: {what}"]
