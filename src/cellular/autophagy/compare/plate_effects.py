"""What the place on the plate does to a well, and how far a plate's controls lie apart.

Wells at the rim dry out and warm up first, dispensers have rows and columns. Such effects are told from treatments only
where a treatment lies in several places; where none does, they are refused and the layout is to blame.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import f as fisher

from cellular.autophagy.compare.design import LEVELS, as_text, told
from cellular.autophagy.compare.images import sum_images, with_n
from cellular.data.wells import PLATE_SIZES, plate_size, row_number, split_well, well_name

# A normal distribution's standard deviation in median absolute deviations.
_MAD = 1.4826
_POSITIVE = {"positive", "pos", "+", "high"}
_NEGATIVE = {"negative", "neg", "-", "low", "vehicle"}


def well_means(
    table: pd.DataFrame, features: Sequence[str], given: Sequence[str] = (), before: pd.DataFrame | None = None
) -> pd.DataFrame:
    """A row a well and feature: ``plate, well, row, column, <given>, feature, value`` (mean of image means), and n.

    Parameters
    ----------
    table : nested (:func:`cellular.autophagy.compare.design.nest`); wells without a name have no place and go out.
    given : columns that say what the well was given.
    before : the table before fields were left out; then ``images, cells`` have their ``<n>_before``.
    """
    needed = [*LEVELS, "timepoint", "treatment", *given, *features]
    known, keys = _placed(table, needed), ["plate", "well"]
    sums = sum_images(known, features)
    images = pd.DataFrame(sums.mean, columns=list(features), index=pd.MultiIndex.from_frame(sums.images[keys]))
    means = images.groupby(level=keys).mean()
    about = known.groupby(keys, observed=True)[list(given)].first() if given else pd.DataFrame(index=means.index)
    wide = means.join(about).reset_index()
    parts = [split_well(well) for well in wide["well"].str.rsplit("/", n=1).str[-1]]
    wide["row"], wide["column"] = [row_number(letters) for letters, _ in parts], [column for _, column in parts]
    known_columns = ["plate", "well", "row", "column", *given]
    long = wide.melt(known_columns, list(features), "feature", "value").dropna(subset="value", ignore_index=True)
    old = None if before is None else sum_images(_placed(before, needed), features)
    long = with_n(long, sums, keys, old).drop(columns=_NOT_OF_WELLS, errors="ignore")
    long["well"] = long["well"].str.rsplit("/", n=1).str[-1]
    return long


def wells_of_several(table: pd.DataFrame, given: Sequence[str]) -> list[str]:
    """Known wells (of a nested table) whose cells differ in one of the columns `given`: a mean of these is of no arm.

    Where the treatment is a state of cells, or a drug was added in the course of imaging.
    """
    arms = told(table[["well", *given]].drop_duplicates()["well"]).dropna()
    return sorted(arms[arms.duplicated()].unique())


_NOT_OF_WELLS = [name + end for name in ("replicates", "wells") for end in ("", "_before")]


def _placed(table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """The columns `names` of the cells of wells that have a place on the plate."""
    wells = table["well"].unique()
    places = {well for well in wells if well_name(str(well).rsplit("/", 1)[-1])}
    if len(places) == len(wells):
        return table
    return table.loc[table["well"].isin(places), [name for name in dict.fromkeys(names) if name in table]]


def grid_of(wells: pd.DataFrame, values: str = "value", size: int | None = None) -> np.ndarray:
    """(rows, columns) float64 of one plate, 6 to 1,536 wells, NaN where there is no well.

    `wells` has ``well, row, column`` and the column `values`; `size` is the plate's number of wells, else the smallest
    that holds them.
    """
    grid = np.full(PLATE_SIZES[size or plate_size(wells["well"])], np.nan)
    grid[wells["row"].to_numpy() - 1, wells["column"].to_numpy() - 1] = wells[values]
    return grid


def median_polish(grid: np.ndarray, rounds: int = 10, tolerance: float = 0.01) -> tuple[float, np.ndarray, np.ndarray]:
    """Overall level, row (R,) and column (C,) effects by Tukey's median polish; NaN wells are passed over.

    Tukey, Exploratory Data Analysis (1977), chapter 10; the order and the stopping rule (the sum of absolute residuals
    changes by less than `tolerance` of itself) are those of R's ``medpolish``.
    """
    rest, rows, columns = grid.astype(float).copy(), np.zeros(grid.shape[0]), np.zeros(grid.shape[1])
    level, before = 0.0, 0.0
    for _ in range(rounds):
        change = _medians(rest, 1)
        rest, rows = rest - change[:, None], rows + change
        middle = float(np.median(columns))
        columns, level = columns - middle, level + middle
        change = _medians(rest, 0)
        rest, columns = rest - change, columns + change
        middle = float(np.median(rows))
        rows, level = rows - middle, level + middle
        left = float(np.nansum(np.abs(rest)))
        if left == 0 or abs(left - before) < tolerance * left:
            break
        before = left
    return level, rows, columns


def _medians(grid: np.ndarray, axis: int) -> np.ndarray:
    """Medians of what is known, 0 where nothing is."""
    known = np.isfinite(grid)
    filled = np.where(known.any(axis=axis, keepdims=True), grid, 0.0)
    return np.nanmedian(filled, axis=axis)


def b_scores(grid: np.ndarray) -> np.ndarray:
    """What median polish leaves, over its median absolute deviation; NaN where the plate leaves nothing.

    Brideau, Gunter, Pikounis & Liaw, J Biomol Screen 8, 634 (2003); Malo et al., Nat Biotechnol 24, 167 (2006). For
    plates on which most wells do nothing: rows full of one treatment lose it.
    """
    used_rows, used_columns = (np.isfinite(grid).any(axis=axis) for axis in (1, 0))
    inner = grid[np.ix_(used_rows, used_columns)]
    scores = np.full(grid.shape, np.nan)
    level, rows, columns = median_polish(inner)
    rest = inner - level - rows[:, None] - columns
    spread = _MAD * np.nanmedian(np.abs(rest - np.nanmedian(rest)))
    if spread > 1e-10 * np.nanmax(np.abs(inner)):
        scores[np.ix_(used_rows, used_columns)] = rest / spread
    return scores


def place_effects(wells: pd.DataFrame, given: Sequence[str]) -> pd.DataFrame:
    """How much edge, row and column add to what a well was given.

    Parameters
    ----------
    wells : :func:`well_means`, all plates. given : the columns that make up an arm.

    Returns
    -------
    ``feature, effect, size, unit_sd, share, p_value, note, wells``. ``size`` is edge minus inside, or the largest less
    the smallest row or column effect; ``unit_sd`` the same in standard deviations of wells of one arm and plate;
    ``share`` of their variance, adjusted for chance (negative: none). `note` says why there is no estimate.

    Ordinary least squares of the wells' values on plate by arm, and the place; wells are what is described, so p-values
    hold for these plates.
    """
    rows = []
    for feature, here in wells.groupby("feature", sort=False):
        arms = here[list(given)].astype(str).fillna("").agg("|".join, axis=1) if given else pd.Series("", here.index)
        cell = pd.factorize(here["plate"] + "|" + arms)[0]
        for effect, place in _places(here).items():
            found = _effect(here["value"].to_numpy(), cell, place)
            rows.append({"feature": feature, "effect": effect, **found, "wells": len(here)})
    return pd.DataFrame(rows)


def _places(wells: pd.DataFrame) -> dict[str, np.ndarray]:
    shape = PLATE_SIZES[plate_size(wells["well"])]
    row, column = wells["row"].to_numpy(), wells["column"].to_numpy()
    return {"edge": np.isin(row, (1, shape[0])) | np.isin(column, (1, shape[1])), "row": row, "column": column}


def _effect(values: np.ndarray, cell: np.ndarray, place: np.ndarray) -> dict:
    nothing = {"size": np.nan, "unit_sd": np.nan, "share": np.nan, "p_value": np.nan}
    within = pd.get_dummies(cell).to_numpy(float)
    names, code = np.unique(place, return_inverse=True)
    if len(names) < 2:
        return {**nothing, "note": "all wells are in one such place"}
    dummies = pd.get_dummies(code).to_numpy(float)
    left = _off(values, within)
    inside = _off(dummies, within)
    rank = np.linalg.matrix_rank(inside, tol=1e-9)
    if rank < len(names) - 1:
        return {**nothing, "note": "cannot be told from what the wells were given: no arm lies in several such places"}
    freedom = len(values) - within.shape[1]
    if freedom <= rank:
        return {**nothing, "note": "too few wells of one arm on one plate to judge by"}
    effects = np.linalg.lstsq(inside, left)[0]
    rest = float(np.sum((left - inside @ effects) ** 2))
    total = float(np.sum(left**2))
    if total <= (1e-10 * np.abs(values).max()) ** 2:
        return {**nothing, "note": "wells of one arm do not differ"}
    size = float(effects[1] - effects[0]) if place.dtype == bool else float(np.ptp(effects))
    error = rest / (freedom - rank)
    ratio = (total - rest) / rank / error if error > 0 else np.inf
    return {
        "size": size,
        "unit_sd": size / np.sqrt(total / freedom),
        "share": 1 - error / (total / freedom),
        "p_value": float(fisher.sf(ratio, rank, freedom - rank)),
        "note": "",
    }


def _off(values: np.ndarray, within: np.ndarray) -> np.ndarray:
    return values - within @ np.linalg.lstsq(within, values)[0]


def normalised(wells: pd.DataFrame, control: pd.Series) -> pd.DataFrame:
    """The wells with ``over_control`` and ``minus_control``: against the mean of the control wells of the same plate.

    `control` (bool, a row each) marks them; NaN where a plate has none, or their mean is zero.
    """
    level = wells["value"].where(control).groupby([wells["plate"], wells["feature"]]).transform("mean")
    return wells.assign(over_control=wells["value"] / level.replace(0, np.nan), minus_control=wells["value"] - level)


def with_b_scores(wells: pd.DataFrame) -> pd.DataFrame:
    """The wells with ``b_score``, plate by plate and feature by feature."""
    scored = wells.assign(b_score=np.nan)
    for _, part in wells.groupby(["plate", "feature"], sort=False):
        scores = b_scores(grid_of(part))
        scored.loc[part.index, "b_score"] = scores[part["row"].to_numpy() - 1, part["column"].to_numpy() - 1]
    return scored


def control_kinds(values: pd.Series) -> pd.Series:
    """``positive``, ``negative`` or missing, from the map's column of controls."""
    text = as_text(values).str.strip().str.lower()
    return text.map({**dict.fromkeys(_POSITIVE, "positive"), **dict.fromkeys(_NEGATIVE, "negative")})


def assay_quality(wells: pd.DataFrame, kind: pd.Series) -> pd.DataFrame:
    """Z' and SSMD of each plate and feature: ``plate, feature, z_prime, ssmd, positives, negatives, note``.

    Z' = 1 - 3 (s_p + s_n) / |m_p - m_n| (Zhang, Chung & Oldenburg, J Biomol Screen 4, 67, 1999); SSMD = (m_p - m_n) /
    sqrt(s_p^2 + s_n^2), with unequal variances (Zhang, Genomics 89, 552, 2007). Both describe a plate's wells: they
    are no test of a treatment. Fewer than two wells of either kind: no value.
    """
    rows = []
    for (plate, feature), part in wells.assign(kind=kind).groupby(["plate", "feature"], sort=False):
        positive, negative = (part.loc[part["kind"] == name, "value"].to_numpy() for name in ("positive", "negative"))
        row = {"plate": plate, "feature": feature, "z_prime": np.nan, "ssmd": np.nan}
        row |= {"positives": len(positive), "negatives": len(negative), "note": ""}
        if min(len(positive), len(negative)) < 2:
            rows.append(row | {"note": "fewer than two wells of a kind"})
            continue
        apart, spreads = positive.mean() - negative.mean(), (positive.std(ddof=1), negative.std(ddof=1))
        if apart == 0 or sum(spreads) == 0:
            rows.append(row | {"note": "the control wells do not differ"})
            continue
        rows.append(row | {"z_prime": 1 - 3 * sum(spreads) / abs(apart), "ssmd": apart / np.hypot(*spreads)})
    return pd.DataFrame(rows)
