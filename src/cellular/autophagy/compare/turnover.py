"""Flux as a slope: how fast the pool grows after the block, and how long it takes to be turned over.

Once nothing is removed, the pool grows as fast as it is made: J is the slope of the count over time, and at steady
state the pool before the block over J is the transition time (Loos, du Toit & Hofmeyr, Autophagy 10, 2087, 2014; du
Toit, Hofmeyr, Gniadek & Loos, Autophagy 14, 1060, 2018). Only a line has one slope: a pool that levels off is refused.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.stats import f as fisher
from scipy.stats import t as student

from cellular.autophagy.compare.design import StatsSettings, in_order, told
from cellular.autophagy.compare.images import beside_before, connected
from cellular.errors import InputError
from cellular.files import as_numbers

# A line is given up where so bad a fit would be chance in fewer than one of twenty.
_CHANCE = 0.05
_KEYS = ["treatment", "arm", "replicate", "time"]
_DIFFERENCE = "difference of J"


def turnover(
    table: pd.DataFrame,
    none: str,
    features: list[str],
    controls: Mapping[str, str],
    settings: StatsSettings,
    before: pd.DataFrame | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """J, its difference from the control's, and the transition time of every count; empty with fewer than three times.

    Parameters
    ----------
    table : nested, with ``arm`` (text); times come from ``settings.time`` (else the timepoints).
    none : the arm without inhibitor. controls : the control of each treatment.
    before : the table before fields were left out, to tell every n before and after.

    Returns
    -------
    rows : ``feature, inhibitor, treatment, quantity`` ('J', 'difference of J', 'transition time'), ``estimate, ci_low,
    ci_high, p_value, note, refusal, replicates, times, wells, images, cells``. points : ``feature, treatment,
    inhibitor, replicate, time, mean`` of both arms. Each replicate that holds both arms at three times gives one
    slope; intervals are Student's over those. n are of what a row rests on, the control's too in a difference.
    ``note`` says why there is no estimate, or what is in it besides, ``refusal`` why no p-value. Plates of a replicate
    have their own levels taken off.
    """
    known = _timed(table, settings)
    if known.loc[known["arm"] != none, "time"].nunique() < 3:
        return pd.DataFrame(), pd.DataFrame()
    old = None if before is None else _timed(before, settings)
    images = _images(known, features)
    means, parts = _means(known, features)
    images_before = None if old is None else _images(old, features)
    rows = []
    for inhibitor in in_order(set(known["arm"]) - {none}):
        for feature in features:
            lines = _lines(means[feature], parts[feature], inhibitor, none)
            lines_before = {}
            if old is not None:
                means_before, parts_before = _means(old, [feature])
                lines_before = _lines(means_before[feature], parts_before[feature], inhibitor, none)
            for treatment, line in lines.items():
                control = controls.get(treatment, "")
                other = lines.get(control)
                for row in _rows(line, other if other is not line else None, settings):
                    who = (treatment, control) if row["quantity"] == _DIFFERENCE else (treatment,)
                    n = _n(images, feature, lines, who, (none, inhibitor))
                    if images_before is not None:
                        n = beside_before(n, _n(images_before, feature, lines_before, who, (none, inhibitor)))
                    rows.append({"feature": feature, "inhibitor": inhibitor, "treatment": treatment, **row, **n})
    points = means.stack().dropna().rename("mean").rename_axis([*_KEYS, "feature"]).reset_index()
    return pd.DataFrame(rows), points.rename(columns={"arm": "inhibitor"})


def _timed(table: pd.DataFrame, settings: StatsSettings) -> pd.DataFrame:
    """Cells whose replicate, arm and ``time`` are known."""
    at = as_numbers(table[settings.time]) if settings.time else table["timepoint"].astype(float)
    if settings.time and (at.isna().all() or at[table[settings.time].notna()].isna().any()):
        given = table.loc[at.isna(), settings.time].dropna()
        held = f"'{given.iloc[0]}', which is no number" if len(given) else "no numbers"
        raise InputError(f"Column '{settings.time}' holds {held}: give the time after the block in one unit")
    return table.assign(time=at)[told(table["replicate"]).notna() & table["arm"].notna() & at.notna()]


def _means(known: pd.DataFrame, features: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Means of image means by :data:`_KEYS`, and in which part of its replicate each is.

    Plates of a replicate that hold the same treatment, arm and time have their own levels taken off (two-way least
    squares): where a brighter one is missing at some time, what they differ by would go into the slope. Plates that
    hang together so, directly or by others, are one part; of each feature, by the images that have it.
    """
    images = known.assign(plate=told(known["plate"]).fillna(""))
    images = images.groupby([*_KEYS, "plate", "image"], observed=True)[features].mean()
    levelled, parts = [], []
    for _, own in images.groupby(level="replicate"):
        keys, plates = (own.index.droplevel(names) for names in (["plate", "image"], [*_KEYS, "image"]))
        cell, _ = pd.factorize(keys)
        plate, names = pd.factorize(plates)
        part = own.notna().apply(_parts, raw=True, args=(cell, plate))
        levelled.append(own - _levels(own, cell, plate, part.to_numpy()) if len(names) > 1 else own)
        parts.append(part)
    means = pd.concat(levelled).groupby(level=_KEYS).mean()
    return means, pd.concat(parts).groupby(level=_KEYS).first()


def _parts(known: np.ndarray, cell: np.ndarray, plate: np.ndarray) -> np.ndarray:
    """(I,) number of the part that each `known` image is in, NaN for the others."""
    part = np.full(len(known), np.nan)
    part[known] = connected(cell[known], plate[known])
    return part


def _levels(images: pd.DataFrame, cell: np.ndarray, plate: np.ndarray, part: np.ndarray) -> np.ndarray:
    """(I, F) level of each image's plate over the mean of all images of its part; treatment, arm and time are `cell`.

    Images, too few of which tell no level, are of one replicate; 0 where the image has no value.
    """
    levels = np.zeros(images.shape)
    for column, values in enumerate(images.to_numpy(float).T):
        known = np.isfinite(values)
        if not known.any():
            continue
        design = pd.get_dummies(plate[known]).to_numpy(float)
        both = pd.DataFrame(np.column_stack([values[known], design]))
        within = (both - both.groupby(cell[known]).transform("mean")).to_numpy()
        level = pd.Series(design @ np.linalg.lstsq(within[:, 1:], within[:, 0])[0])
        levels[known, column] = level - level.groupby(part[known, column]).transform("mean")
    return levels


def _images(known: pd.DataFrame, features: list[str]) -> pd.DataFrame:
    """How many cells of every image have each feature."""
    return known.groupby([*_KEYS, "well", "image"], observed=True)[features].count().reset_index()


def _n(
    images: pd.DataFrame, feature: str, lines: Mapping[str, dict], treatments: Sequence[str], arms: tuple[str, str]
) -> dict[str, int]:
    """n of what the lines of the `treatments` rest on: their replicates, and the times of the arm with inhibitor."""
    none, inhibitor = arms
    replicates = set.intersection(*(set(lines[name]["replicates"]) for name in treatments))
    used = pd.Series(False, images.index)
    for name in treatments:
        grown = images["arm"].eq(inhibitor) & images["time"].isin(lines[name]["times"])
        used |= images["treatment"].eq(name) & (grown | images["arm"].eq(none))
    here = images[used & images["replicate"].isin(replicates) & (images[feature] > 0)]
    return {
        "replicates": len(replicates),
        "times": min(len(lines[name]["times"]) for name in treatments),
        "wells": told(here["well"]).nunique(),
        "images": here["image"].nunique(),
        "cells": int(here[feature].sum()),
    }


def _lines(means: pd.Series, parts: pd.Series, inhibitor: str, none: str) -> dict[str, dict]:
    """What :func:`_line` tells, by treatment."""
    treatments = in_order(means.index.get_level_values("treatment"))
    return {name: _line(means, parts, name, inhibitor, none) for name in treatments}


def _line(means: pd.Series, parts: pd.Series, treatment: str, inhibitor: str, none: str) -> dict:
    """Slopes and pools of the replicates (Series by replicate), what they rest on, and why there is no line.

    ``parts`` and ``pool parts`` of their `parts`, with the inhibitor and without, are by replicate and time.
    """
    grown, pool = (_grid(means, treatment, arm) for arm in (inhibitor, none))
    shared = grown.index.intersection(pool.index)
    grown = grown.loc[shared].dropna(axis=1)
    if grown.shape[0] < 2 or grown.shape[1] < 3:
        found = f"{grown.shape[0]} replicate(s) with both arms, {grown.shape[1]} time(s) that all of them have"
        return {"problem": f"{found}: a line needs 2 and 3", "replicates": shared, "times": grown.columns}
    slopes, fit = line_of(grown.columns.to_numpy(float), grown.to_numpy())
    problem = f"the pool does not grow along a line (lack of fit, p = {fit:.2g})" if fit < _CHANCE else ""
    drift = pool.loc[shared].dropna(axis=1)
    warning = ""
    if drift.shape[1] >= 3:
        drifts = line_of(drift.columns.to_numpy(float), drift.to_numpy())[0]
        if _interval(drifts, 0.95)[3] < _CHANCE:
            warning = "without inhibitor the pool changes too: no steady state, so a transition time means little"
    return {
        "slopes": pd.Series(slopes, shared),
        "pools": pool.loc[shared].mean(axis=1),
        "problem": problem,
        "warning": warning,
        "replicates": shared,
        "times": grown.columns,
        "parts": _grid(parts, treatment, inhibitor).loc[shared, grown.columns].astype(int),
        "pool parts": _grid(parts, treatment, none).loc[shared],
    }


def _grid(means: pd.Series, treatment: str, arm: str) -> pd.DataFrame:
    """Replicates by times."""
    here = means[
        (means.index.get_level_values("treatment") == treatment) & (means.index.get_level_values("arm") == arm)
    ]
    return here.droplevel(["treatment", "arm"]).unstack("time")


def line_of(times: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, float]:
    """Least squares slope of each replicate (R,), and the p-value that all lie on lines; values are (R, T).

    Lack of fit: the mean departure from the replicates' lines against the scatter of these departures between
    replicates, F with T - 2 and (R - 1)(T - 2) degrees of freedom.
    """
    design = np.column_stack([np.ones(len(times)), times])
    coefficients = np.linalg.lstsq(design, values.T)[0]
    departures = values - (design @ coefficients).T
    count, freedom = len(values), len(times) - 2
    middle = departures.mean(axis=0)
    scatter = np.sum((departures - middle) ** 2) / ((count - 1) * freedom)
    lack = count * np.sum(middle**2) / freedom
    smallest = (1e-10 * np.abs(values).max()) ** 2
    if scatter <= smallest:
        return coefficients[1], 1.0 if lack <= smallest else 0.0
    return coefficients[1], float(fisher.sf(lack / scatter, freedom, (count - 1) * freedom))


def _rows(line: dict, control: dict | None, settings: StatsSettings) -> Iterator[dict]:
    if line["problem"]:
        yield {"quantity": "J", **_nothing(line["problem"])}
        return
    yield {"quantity": "J", **_estimate(line["slopes"].to_numpy(), settings), "note": _confounded(line["parts"], "J")}
    if control is not None and not control["problem"]:
        both = line["slopes"].index.intersection(control["slopes"].index)
        differences = (line["slopes"][both] - control["slopes"][both]).to_numpy()
        if len(both) > 1:
            own, others = (one["parts"].loc[both] for one in (line, control))
            alike = own.equals(others)  # so that what plates differ by is in both slopes
            note = "" if alike else _confounded(own, _DIFFERENCE) or _confounded(others, _DIFFERENCE)
            yield {"quantity": _DIFFERENCE, **_estimate(differences, settings), "note": note}
    quantity = {"quantity": "transition time"}
    slopes, pools = line["slopes"].to_numpy(), line["pools"].to_numpy()
    low = _interval(slopes, settings.level)[1]
    if not low > 0 or (slopes <= 0).any() or (pools <= 0).any():
        yield {**quantity, **_nothing("J is not above zero beyond doubt: the pool over it means nothing")}
        return
    row = _estimate(np.log(pools / slopes), settings)
    row |= {name: np.exp(row[name]) for name in ("estimate", "ci_low", "ci_high")}
    apart = _confounded(pd.concat([line["parts"], line["pool parts"]], axis=1), "it", "times or arms")
    note = "; ".join(filter(None, [line["warning"], apart]))
    yield {**quantity, **row, "p_value": np.nan, "refusal": "", "note": note}


def _confounded(parts: pd.DataFrame, what: str, apart: str = "times") -> str:
    """A note where the times of replicates lie on plates that nothing holds together; empty where they do not.

    `what` these plates are in, `apart` what lies on them.
    """
    split = parts.index[parts.nunique(axis=1) > 1]
    which = f"in {', '.join(split)} {apart} lie on plates that have nothing in common"
    return f"{which}: what these differ by is in {what}" if len(split) else ""


def _interval(values: np.ndarray, level: float) -> tuple[float, float, float, float]:
    """Mean, Student's interval and p-value against zero; NaN without scatter."""
    mean, error = float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))
    if error <= 1e-10 * np.abs(values).max():
        return mean, np.nan, np.nan, np.nan
    df = len(values) - 1
    half = student.ppf((1 + level) / 2, df) * error
    return mean, mean - half, mean + half, float(2 * student.sf(abs(mean / error), df))


def _estimate(values: np.ndarray, settings: StatsSettings) -> dict:
    estimate, low, high, p = _interval(values, settings.level)
    few = len(values) < settings.min_replicates
    refusal = f"no p-value: {len(values)} biological replicates, {settings.min_replicates} are needed" if few else ""
    numbers = {"estimate": estimate, "ci_low": low, "ci_high": high, "p_value": np.nan if few else p}
    return numbers | {"note": "", "refusal": refusal}


def _nothing(why: str) -> dict:
    return {**dict.fromkeys(("estimate", "ci_low", "ci_high", "p_value"), np.nan), "note": why, "refusal": ""}
