"""Treatments compared with statistics that respect how cells are nested; never a p-value with the cell as the unit."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import t as student
from statsmodels.stats.multitest import multipletests

from cellular.autophagy.compare.design import (
    LEVELS,
    Inference,
    StatsSettings,
    control_of,
    count_units,
    inference,
    nest,
)
from cellular.autophagy.compare.models import Fit, fit_count, fit_mean
from cellular.autophagy.measure.columns import IMAGES
from cellular.errors import InputError
from cellular.progress import progress

ALL = "all"

# Who a cell is and where, not what it is like.
_IDENTITY = {
    *LEVELS,
    *("field", "label", "cell", "series", "site", "timepoint", "date", "treatment", "class", "source", "frame"),
    *("track", "parent", "lineage", "y", "x", "row", "column", "pixel_size_um", "threshold"),
}
_IDENTITY_PATTERN = re.compile(r"^(centroid|bbox|box|touches|is_|saturat|border|center|image_)|_(y|x)$")
_COUNT_PATTERN = re.compile(r"^(n|puncta|count)_(?!.*(area|fraction|density|mean|median|intensity))|_count(__.*)?$")


@dataclass(frozen=True)
class Comparison:
    """Result of :func:`compare`.

    Attributes
    ----------
    effects : one row per feature, treatment and timepoint (``"all"`` or a number); see :func:`compare`.
    over_time : mean and interval of every feature per treatment and timepoint.
    units : n at every level per treatment.
    control : treatment the others are compared with.
    refusals : why there are no p-values, where there are none; each reason once.
    cells : the nested table the comparison rests on.
    """

    effects: pd.DataFrame
    over_time: pd.DataFrame
    units: pd.DataFrame
    control: str
    refusals: tuple[str, ...]
    cells: pd.DataFrame


def compare(
    cells: pd.DataFrame, settings: StatsSettings | None = None, images: pd.DataFrame | None = None
) -> Comparison:
    """Compare every treatment with the control, feature by feature, over all timepoints and at each.

    Parameters
    ----------
    cells, images : see :func:`cellular.autophagy.compare.design.nest`.

    Returns
    -------
    ``effects`` has the columns ``feature, kind`` (mean or count), ``treatment, control, timepoint, measure``
    (difference or rate ratio), ``estimate, ci_low, ci_high, standardised, standardised_low, standardised_high`` (the
    difference in standard deviations of cells within a treatment; means only), ``p_value, q_value``
    (Benjamini and Hochberg, J R Stat Soc B 57, 289, 1995, over the features), ``unit`` (whose scatter the interval
    shows), ``df, model``, ``note`` (why an estimate or interval is missing), ``refusal`` (why there is no p-value),
    and ``<level>s_control, <level>s_treated`` for n at every level. Means are compared by linear mixed models,
    counts by negative binomial regression (:mod:`cellular.autophagy.compare.models`).

    Raises InputError for unknown features, fewer than two treatments or an unclear control.
    """
    settings = settings or StatsSettings()
    table = nest(cells, settings, images)
    control = control_of(table, settings)
    features = choose_features(table, settings)
    pairs = [(*pair, feature) for pair in _comparisons(table, control) for feature in features]
    rows = [
        _effect(part, feature, control, treatment, timepoint, settings)
        for treatment, timepoint, part, feature in progress(pairs, desc="compare", unit="test")
    ]
    effects = _with_q_values(pd.DataFrame(rows))
    return Comparison(
        effects=effects,
        over_time=means_over_time(table, features, settings),
        units=count_units(table),
        control=control,
        refusals=tuple(effects.loc[(effects["timepoint"] == ALL) & (effects["refusal"] != ""), "refusal"].unique()),
        cells=table,
    )


def choose_features(table: pd.DataFrame, settings: StatsSettings) -> list[str]:
    """The columns to compare: those asked for, or every number that describes a cell and is not constant.

    What describes the image (its background, its count of cells) is compared only where it is asked for.
    """
    if settings.features:
        missing = [name for name in settings.features if name not in table]
        if missing:
            raise InputError(f"No column(s) {missing}; there are: {', '.join(map(str, table.columns[:60]))}")
        words = [name for name in settings.features if table[name].dtype.kind not in "iufb"]
        if words:
            raise InputError(f"Column(s) {words} hold no numbers")
        return list(dict.fromkeys(settings.features))
    return [
        name
        for name in table.columns
        if table[name].dtype.kind in "iuf"
        and name not in _IDENTITY
        and name not in IMAGES
        and not _IDENTITY_PATTERN.search(name)
        and table[name].nunique() > 1
    ]


def is_count(name: str, values: pd.Series, settings: StatsSettings) -> bool:
    """Whether a column counts things: named so, or declared so, and all values whole and not negative."""
    if not (name in settings.counts or _COUNT_PATTERN.search(name)):
        return False
    known = values.dropna()
    return bool((known >= 0).all() and (known == known.round()).all())


def _comparisons(table: pd.DataFrame, control: str) -> Iterator[tuple[str, int | str, pd.DataFrame]]:
    """Rows of the control and one treatment, over all timepoints and then at each that has both."""
    for treatment in sorted(set(table["treatment"]) - {control}):
        pair = table[table["treatment"].isin([control, treatment])]
        yield treatment, ALL, pair
        if pair["timepoint"].nunique() > 1:
            for timepoint, part in pair.groupby("timepoint"):
                if part["treatment"].nunique() == 2:
                    yield treatment, int(timepoint), part


def _effect(
    part: pd.DataFrame, feature: str, control: str, treatment: str, timepoint: int | str, settings: StatsSettings
) -> dict:
    values = part[feature].astype(np.float64).replace([np.inf, -np.inf], np.nan)
    known = part.assign(value=values, treated=(part["treatment"] == treatment).astype(float))
    known = known[known["value"].notna()]
    count = is_count(feature, part[feature], settings)
    row = {
        "feature": feature,
        "kind": "count" if count else "mean",
        "treatment": treatment,
        "control": control,
        "timepoint": timepoint,
        "measure": "rate ratio" if count else "difference",
    }
    allowed = inference(known, settings) if known["treated"].nunique() == 2 else Inference("well", 0)
    fit = (fit_count if count else fit_mean)(known, allowed.unit)
    row |= _interval(fit, allowed, settings, np.exp if count else float)
    row |= _standardised(row, known) if not count else dict.fromkeys(_STANDARDISED, np.nan)
    row |= {
        "unit": allowed.unit,
        "df": allowed.df,
        "model": fit.model,
        "note": fit.problem,
        "refusal": allowed.refusal,
    }
    for name, arm in (("control", known[known["treated"] == 0]), ("treated", known[known["treated"] == 1])):
        row |= {f"{level}s_{name}": arm[level].nunique() for level in LEVELS} | {f"cells_{name}": len(arm)}
    return row


_STANDARDISED = ("standardised", "standardised_low", "standardised_high")


def _interval(fit: Fit, allowed: Inference, settings: StatsSettings, scale) -> dict[str, float]:
    """Estimate, interval and p-value by Student's t; `scale` turns logarithms back into ratios."""
    if not np.isfinite(fit.standard_error) or fit.standard_error <= 0 or allowed.df < 1:
        return {"estimate": scale(fit.estimate), "ci_low": np.nan, "ci_high": np.nan, "p_value": np.nan}
    half = student.ppf((1 + settings.level) / 2, allowed.df) * fit.standard_error
    p = np.nan if allowed.refusal else 2 * student.sf(abs(fit.estimate / fit.standard_error), allowed.df)
    return {
        "estimate": scale(fit.estimate),
        "ci_low": scale(fit.estimate - half),
        "ci_high": scale(fit.estimate + half),
        "p_value": p,
    }


def _standardised(row: dict, known: pd.DataFrame) -> dict[str, float]:
    """Cohen's d: the difference over the cells' standard deviation within treatments, pooled."""
    arms = [group["value"] for _, group in known.groupby("treated")]
    freedom = sum(len(arm) - 1 for arm in arms)
    spread = np.sqrt(sum((len(arm) - 1) * arm.var() for arm in arms if len(arm) > 1) / freedom) if freedom > 0 else 0
    keys = ("estimate", "ci_low", "ci_high")
    return {name: row[key] / spread if spread > 0 else np.nan for name, key in zip(_STANDARDISED, keys)}


def _with_q_values(effects: pd.DataFrame) -> pd.DataFrame:
    """Add ``q_value``: false discovery rate over features, apart for 'all' and for the single timepoints."""
    effects = effects.copy()
    effects.insert(effects.columns.get_loc("p_value") + 1, "q_value", np.nan)
    for family in (effects["timepoint"] == ALL, effects["timepoint"] != ALL):
        tested = family & effects["p_value"].notna()
        if tested.any():
            effects.loc[tested, "q_value"] = multipletests(effects.loc[tested, "p_value"], method="fdr_bh")[1]
    return effects


def means_over_time(table: pd.DataFrame, features: list[str], settings: StatsSettings) -> pd.DataFrame:
    """Mean of unit means with Student's interval: ``feature, treatment, timepoint, mean, ci_low, ci_high, unit, n``.

    Units are biological replicates where each treatment has at least `min_replicates`, else wells. Cells are averaged
    within images first, images within units next, so that a crowded field does not outvote the others.
    """
    unit = "replicate" if table.groupby("treatment")["replicate"].nunique().min() >= settings.min_replicates else "well"
    numbers = table[features].astype(np.float64).replace([np.inf, -np.inf], np.nan)
    keys = ["treatment", "timepoint", unit]
    per_image = pd.concat([table[[*keys, "image"]], numbers], axis=1).groupby([*keys, "image"])[features].mean()
    per_unit = per_image.groupby(level=keys).mean()
    groups = per_unit.groupby(level=["treatment", "timepoint"])
    long = pd.concat(
        {"mean": groups.mean().stack(), "sd": groups.std().stack(), "n": groups.count().stack()}, axis=1
    ).rename_axis(["treatment", "timepoint", "feature"])
    half = student.ppf((1 + settings.level) / 2, (long["n"] - 1).clip(lower=1)) * long["sd"] / np.sqrt(long["n"])
    half = half.where(long["n"] > 1)
    long = long.assign(ci_low=long["mean"] - half, ci_high=long["mean"] + half, unit=unit).reset_index()
    return long[["feature", "treatment", "timepoint", "mean", "ci_low", "ci_high", "unit", "n"]].sort_values(
        ["feature", "treatment", "timepoint"], ignore_index=True
    )
