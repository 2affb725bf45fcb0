"""The regressions against arithmetic: unit means for balanced designs, statsmodels for the others."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from cellular.autophagy.compare.design import StatsSettings
from cellular.autophagy.compare.effects import compare
from cellular.autophagy.compare.models import fit_count, fit_mean
from cellular.autophagy.compare.reml import least_squares, nest_levels


def images_of(design: list[tuple[str, int]], wells: int, sites: int, times: int) -> pd.DataFrame:
    """Images of every (replicate, treated) of `design`, equally many in each."""
    rows = [
        (r, f"{r}/{arm}{w}", f"{r}/{arm}{w}/{s}", f"{r}/{arm}{w}/{s}/{t}", t, arm)
        for r, arm in design
        for w in range(wells)
        for s in range(sites)
        for t in range(times)
    ]
    names = ["replicate", "well", "position", "image", "timepoint", "treated"]
    return pd.DataFrame(rows, columns=names).assign(plate=lambda t: t["replicate"])


balanced = {
    "control": st.integers(2, 6),
    "treated": st.integers(2, 6),
    "wells": st.integers(1, 3),
    "sites": st.integers(1, 3),
    "times": st.integers(1, 2),
    "spread": st.tuples(*[st.sampled_from([0.0, 0.1, 1.0, 30.0])] * 3),
    "offset": st.sampled_from([0.0, -3.0, 1e4]),
    "seed": st.integers(0, 10**6),
}


def scattered(images: pd.DataFrame, spread: tuple[float, float, float], offset: float, seed: int) -> pd.DataFrame:
    """Images with a value in which replicates, treatments in them and wells differ by `spread`, images by 1."""
    rng = np.random.default_rng(seed)
    arms = images["replicate"] + images["treated"].astype(str)
    value = offset + images["treated"] + images["timepoint"] + rng.normal(size=len(images))
    for level, deviation in zip((images["replicate"], arms, images["well"]), spread):
        codes = pd.factorize(level)[0]
        value += deviation * rng.normal(size=codes.max() + 1)[codes]
    return images.assign(value=value)


def unit_means(images: pd.DataFrame, unit: str) -> list[pd.Series]:
    means = images.groupby(["treated", unit])["value"].mean()
    return [means[1], means[0]]


@settings(max_examples=60, deadline=None)
@given(**balanced, unit=st.sampled_from(["replicate", "well"]))
def test_apart_it_is_the_t_test_of_unit_means(control, treated, wells, sites, times, spread, offset, seed, unit):
    """Any variance may come out as zero: estimate, error and degrees of freedom stay those of the unit means."""
    design = [(f"a{r}", 0) for r in range(control)] + [(f"b{r}", 1) for r in range(treated)]
    images = scattered(images_of(design, wells, sites, times), spread, offset, seed)
    expected = scipy_stats.ttest_ind(*unit_means(images, unit))
    fit = fit_mean(images, unit)
    assert fit.df == expected.df
    assert fit.estimate / fit.standard_error == pytest.approx(expected.statistic, rel=1e-6)
    low, high = expected.confidence_interval()
    assert fit.estimate == pytest.approx((low + high) / 2, rel=1e-6, abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(**balanced)
def test_side_by_side_it_is_the_paired_t_test(control, treated, wells, sites, times, spread, offset, seed):
    design = [(f"r{r}", arm) for r in range(control) for arm in (0, 1)]
    images = scattered(images_of(design, wells, sites, times), spread, offset, seed)
    expected = scipy_stats.ttest_rel(*unit_means(images, "replicate"))
    fit = fit_mean(images, "replicate")
    assert fit.df == expected.df
    assert fit.estimate / fit.standard_error == pytest.approx(expected.statistic, rel=1e-6, abs=1e-9)
    low, high = expected.confidence_interval()
    assert fit.estimate == pytest.approx((low + high) / 2, rel=1e-6, abs=1e-6)


@pytest.mark.long
def test_thousands_of_balanced_designs():
    rng = np.random.default_rng(0)
    for seed in range(3000):
        design = [(f"{arm}{r}", arm) for arm in (0, 1) for r in range(rng.integers(2, 7))]
        images = images_of(design, *rng.integers(1, 4, 3))
        images = scattered(images, tuple(rng.choice([0, 0.1, 1, 30], 3)), 0.0, seed)
        for unit in ("replicate", "well"):
            expected = scipy_stats.ttest_ind(*unit_means(images, unit))
            fit = fit_mean(images, unit)
            assert fit.estimate / fit.standard_error == pytest.approx(expected.statistic, rel=1e-6, abs=1e-9)


def test_days_that_differ_less_than_their_images():
    """Four days a treatment, three images each, all variance inside the days: a mixed model once gave 0 and p = 1."""
    noise = np.random.default_rng(2).normal(size=24)
    cells = pd.DataFrame(
        {
            "field": f"Timepoint_001_2205{10 * arm + day:02d}-P_{'DE'[arm]}01_s{site}",
            "drug": ("no", "yes")[arm],
            "f": arm + noise[12 * arm + 3 * (day - 1) + site - 1] + 0.01 * (cell - 5.5),
        }
        for arm in (0, 1)
        for day in (1, 2, 3, 4)
        for site in (1, 2, 3)
        for cell in range(1, 11)
    )
    row = compare(cells, StatsSettings(treatment="drug", control="no", features=("f",))).effects.iloc[0]
    days = cells.groupby(["drug", cells["field"].str[14:20]])["f"].mean()
    expected = scipy_stats.ttest_ind(days["yes"], days["no"])
    assert row["estimate"] == pytest.approx(0.96497, abs=1e-5)
    assert row["p_value"] == pytest.approx(expected.pvalue) == pytest.approx(0.000795, abs=1e-6)


def test_weights_are_those_of_restricted_maximum_likelihood():
    """Unequal units, three levels: coefficients as statsmodels' MixedLM, where no variance is zero."""
    rng = np.random.default_rng(3)
    images = images_of([(f"{arm}{r}", arm) for arm in (0, 1) for r in range(6)], 3, 4, 1)
    images = scattered(images, (0.0, 1.5, 1.0), 0.0, 1)[rng.random(len(images)) < 0.6].reset_index(drop=True)
    model = sm.MixedLM.from_formula(
        "value ~ treated", images, groups="replicate", re_formula="1", vc_formula={"well": "0 + C(well)"}
    ).fit(reml=True)
    fixed = np.column_stack([images["treated"], np.ones(len(images))]).astype(float)
    nested = nest_levels([images["replicate"].to_numpy(str), images["well"].to_numpy(str)])
    found = least_squares(images["value"].to_numpy(), fixed, nested)
    assert found.coefficients == pytest.approx(model.fe_params[["treated", "Intercept"]].to_numpy(), rel=1e-3)
    # given the weights, the scatter of the units says nearly what the variances predict
    assert np.sqrt(found.covariance[0, 0]) == pytest.approx(model.bse_fe["treated"], rel=0.1)


def test_equal_units_leave_no_error():
    """What rounding leaves of equal numbers is not scatter: no interval of width 1e-17."""
    images = images_of([(f"{arm}{r}", arm) for arm in (0, 1) for r in range(3)], 2, 2, 1)
    constant = fit_mean(images.assign(value=0.1 + 1e-17), "replicate")
    assert (constant.estimate, constant.problem) == (0.0, "the images do not differ")
    steady = fit_mean(images.assign(value=0.1 + images["treated"] / 3), "replicate")
    assert steady.estimate == pytest.approx(1 / 3)
    assert "do not differ" in steady.problem
    assert np.isnan(steady.standard_error)


def test_timepoints_that_units_do_not_share_cost_degrees_of_freedom():
    """One image a well, at one of two times: the wells also pay for time, as in ordinary regression."""
    images = images_of([("r", 0), ("r", 1)], 4, 1, 1).assign(timepoint=[1, 1, 2, 2] * 2)
    images["value"] = np.random.default_rng(0).normal(size=8)
    fit = fit_mean(images, "well")
    late = (images["timepoint"] == 2).astype(float)
    expected = sm.OLS(images["value"], np.column_stack([images["treated"], np.ones(8), late])).fit()
    assert fit.df == expected.df_resid == 5
    assert (fit.estimate, fit.standard_error) == pytest.approx((expected.params.iloc[0], expected.bse.iloc[0]))


def test_wells_of_two_days_are_compared_within_their_day():
    """Two days are too few for a p-value; the effect is within them all the same, as ordinary regression has it.

    The second day is brighter and holds most of the treated wells, which would pass for an effect.
    """
    arms = [("r0", 0)] * 4 + [("r0", 1)] * 2 + [("r1", 0)] * 2 + [("r1", 1)] * 4
    images = pd.concat(
        [images_of([arm], 1, 1, 1).assign(well=f"w{k}", image=f"w{k}") for k, arm in enumerate(arms)], ignore_index=True
    )
    late = (images["replicate"] == "r1").astype(float)
    noise = np.random.default_rng(0).normal(size=len(images)) / 10
    images["value"] = 3 * late + 0.2 * images["treated"] + noise
    fit = fit_mean(images, "well")
    expected = sm.OLS(images["value"], np.column_stack([images["treated"], np.ones(len(images)), late])).fit()
    assert fit.df == expected.df_resid == 9
    assert (fit.estimate, fit.standard_error) == pytest.approx((expected.params.iloc[0], expected.bse.iloc[0]))
    counts = np.round(10 * np.exp(images["value"]).to_numpy())[:, None] * np.ones((1, 8))
    rates = fit_count(counted(counts, images), "well")
    assert rates.df == 9
    cells = images.loc[images.index.repeat(8)].assign(count=counts.ravel())
    assert rates.estimate == pytest.approx(regression(cells, cells["replicate"])(slice(None)), rel=1e-5)
    pooled = counts[images["treated"] == 1].mean() / counts[images["treated"] == 0].mean()
    assert np.log(pooled) > 0.6


def counted(counts: np.ndarray, images: pd.DataFrame) -> pd.DataFrame:
    """Images with the sums of their cells' counts, (I, cells)."""
    return images.assign(size=counts.shape[1], total=counts.sum(1), squares=(counts**2).sum(1))


def regression(cells: pd.DataFrame, strata: pd.Series):
    """Effect on the `count` of the cells kept, by statsmodels, with the dispersion of all."""
    fixed = pd.get_dummies(strata).astype(float).assign(x=cells["treated"])
    poisson = sm.GLM(cells["count"], fixed, family=sm.families.Poisson()).fit().mu
    alpha = max(1e-6, ((cells["count"] - poisson) ** 2 - cells["count"]).sum() / (poisson**2).sum())

    def effect(kept):
        rows, family = fixed[kept], sm.families.NegativeBinomial(alpha=alpha)
        model = sm.GLM(cells["count"][kept], rows.loc[:, rows.any()], family=family)
        return model.fit(maxiter=1000, tol=1e-12).params["x"]

    return effect


@pytest.mark.parametrize("shape", [0.5, 3.0, 1e6])
@pytest.mark.parametrize("side_by_side", [True, False])
def test_counts_agree_with_statsmodels_on_every_cell(shape, side_by_side):
    """The same regression, jackknife and dispersion (about 0 for the last), from sums and from single cells.

    Of replicates that hold both arms, each at each timepoint has a level of its own.
    """
    rng = np.random.default_rng(1)
    pairs = [(f"r{r}", arm) for r in range(4) for arm in (0, 1)]
    pairs = pairs if side_by_side else [(f"r{r}", r % 2) for r in range(4)]
    images = images_of(pairs, 1, 2 if side_by_side else 4, 3).sample(frac=0.8, random_state=0)
    mean = np.exp(0.5 + 0.4 * images["treated"] + 0.3 * images["timepoint"]).to_numpy()[:, None]
    counts = rng.poisson(rng.gamma(shape, mean / shape, (len(images), 15)))
    cells = images.loc[images.index.repeat(15)].assign(count=counts.ravel())
    strata = cells["timepoint"].astype(str) + cells["replicate"] if side_by_side else cells["timepoint"]
    effect = regression(cells, strata)
    everything = effect(np.ones(len(cells), bool))
    without = np.array([effect((cells["replicate"] != name).to_numpy()) for name in ("r0", "r1", "r2", "r3")])
    fit = fit_count(counted(counts, images), "replicate")
    assert fit.estimate == pytest.approx(everything, rel=1e-5)
    assert fit.standard_error == pytest.approx(np.sqrt(3 / 4 * np.sum((without - everything) ** 2)), rel=1e-4)


def test_counts_that_do_not_determine_a_ratio():
    images = images_of([(f"r{r}", arm) for r in range(3) for arm in (0, 1)], 1, 1, 2)
    ones = np.ones((len(images), 5))
    late = (images["timepoint"] == 1).to_numpy()[:, None]
    assert (
        "do not differ" in fit_count(counted(ones * (1 + images[["treated"]].to_numpy()), images), "replicate").problem
    )
    only = fit_count(counted(ones * (images["replicate"] == "r0").to_numpy()[:, None], images), "replicate")
    assert only.problem == "without replicate r0 the effect is not determined"
    silent = fit_count(counted(ones * late * (1 + images[["treated"]].to_numpy()), images), "replicate")
    assert silent.estimate == pytest.approx(np.log(2)), "a timepoint without counts says nothing"
