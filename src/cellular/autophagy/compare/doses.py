"""Dose and response: a four-parameter log-logistic curve over the replicates, and a test that it rises or falls.

The curve is LL.4 of Ritz, Baty, Streibig & Gerhard (PLoS ONE 10, e0146021, 2015): ``zero + (plateau - zero) /
(1 + (ec50 / dose) ^ slope)``, by least squares of the doses' means. Whether the doses span it is judged by its bend
points (Sebaugh & McCray, Pharm Stat 2, 167, 2003; Sebaugh, Pharm Stat 10, 128, 2011).
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.optimize import least_squares
from scipy.stats import page_trend_test
from scipy.stats import t as student

from cellular.autophagy.compare.design import UNKNOWN, StatsSettings, as_text, in_order, told
from cellular.autophagy.compare.images import ImageSums, connected, sum_images, with_n
from cellular.data.doses import split_unit
from cellular.errors import InputError
from cellular.files import as_numbers

# Shares of the way from zero to plateau at which the curve bends most: 1 / (1 + k) and k / (1 + k), k = 4.6805.
BENDS = (0.1760, 0.8240)
FEWEST_DOSES = 5
_NAMES = ("zero", "plateau", "ec50", "slope")


@dataclass(frozen=True)
class Curve:
    """``zero + (plateau - zero) / (1 + (ec50 / dose) ** slope)``, slope positive; ``rss`` is what it leaves."""

    zero: float
    plateau: float
    ec50: float
    slope: float
    rss: float = 0.0

    def at(self, dose: np.ndarray) -> np.ndarray:
        """Expected responses at doses of any shape, zero included."""
        return self.zero + (self.plateau - self.zero) * self.share(dose)

    def share(self, dose: np.ndarray) -> np.ndarray:
        """How much of the way from zero to plateau is gone, 0..1."""
        dose = np.asarray(dose, np.float64)
        with np.errstate(divide="ignore"):
            return np.where(dose > 0, _logistic(np.log(dose), np.log(self.ec50), self.slope), 0.0)


def _logistic(log_dose: np.ndarray, log_ec50: float, slope: float) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(slope * (log_dose - log_ec50), -500, 500)))


def fit_curve(dose: np.ndarray, response: np.ndarray, weight: np.ndarray | None = None) -> Curve:
    """The curve of least squares.

    Parameters
    ----------
    dose, response : (N,) float64, doses not negative. weight : (N,) of each point; None takes all alike.

    Zero and plateau enter linearly and are solved for at every trial of the other two (variable projection; Golub &
    Pereyra, SIAM J Numer Anal 10, 413, 1973); the search starts from every tested dose and three slopes, so that no
    local minimum is taken for the best. The EC50 is sought within a hundredfold of the tested doses and the slope
    within 0.1 to 20: beyond, data that do not determine them drift off.
    """
    dose, response = np.asarray(dose, np.float64), np.asarray(response, np.float64)
    root = np.sqrt(np.ones_like(response) if weight is None else weight)
    tested = np.unique(dose[dose > 0])
    with np.errstate(divide="ignore"):
        logs = np.log(dose)
    scale = response.std() or 1.0

    def solved(parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        share = np.where(dose > 0, _logistic(logs, parameters[0], np.exp(parameters[1])), 0.0)
        design = np.column_stack([1 - share, share]) * root[:, None]
        limits = np.linalg.lstsq(design, response * root)[0]
        return limits, (design @ limits - response * root) / scale

    bounds = np.log([[tested[0] / 100, 0.1], [tested[-1] * 100, 20.0]])
    starts = [(np.log(ec50), np.log(slope)) for ec50 in tested for slope in (0.7, 1.5, 4.0)]
    found = [least_squares(lambda p: solved(p)[1], start, bounds=bounds, xtol=1e-12, ftol=1e-12) for start in starts]
    best = min(found, key=lambda result: result.cost)
    limits, rest = solved(best.x)
    (zero, plateau), (ec50, slope) = limits, np.exp(best.x)
    return Curve(float(zero), float(plateau), float(ec50), float(slope), float(np.sum((rest * scale) ** 2)))


def dose_means(table: pd.DataFrame, doses: pd.Series, feature: str) -> pd.DataFrame:
    """Replicates by doses (rising): means of image means; NaN where a replicate has no such dose.

    Plates of a replicate that have a dose in common have their own levels taken off, as replicates have theirs
    (:func:`levelled`): with low doses on one and high ones on the other, what plates differ by would bend the curve.
    """
    plates = told(table["plate"]).fillna("")
    known = table.assign(dose=doses, plate=plates)[doses.notna() & np.isfinite(table[feature].astype(float))]
    images = known.groupby(["replicate", "plate", "dose", "image"], observed=True)[feature].mean()
    rows = {name: _of_plates(part.droplevel("replicate")) for name, part in images.groupby(level="replicate")}
    return pd.DataFrame(rows).T.rename_axis(index="replicate", columns="dose").sort_index(axis=1)


def _of_plates(images: pd.Series) -> pd.Series:
    """Mean of each dose in the images (by ``plate, dose``) of one replicate."""
    plates = images.groupby(level=["plate", "dose"]).mean().unstack("dose")
    if len(plates) > 1 and _hang_together(plates):
        return levelled(plates.rename_axis(index="replicate"))[0]
    return images.groupby(level="dose").mean()


def levelled(means: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Mean response of each dose with the replicates' own levels taken off, and in how many replicates it was tested.

    Replicates may lack doses, so their levels are estimated with the doses (two-way least squares), and one that is
    brighter as a whole bends nothing.
    """
    long = means.stack().dropna().rename("value").reset_index()
    doses, replicates = (pd.get_dummies(long[name]).astype(float) for name in ("dose", "replicate"))
    centred = replicates - replicates.mean()
    fitted = np.linalg.lstsq(np.column_stack([doses, centred]), long["value"].to_numpy(float))[0]
    return pd.Series(fitted[: doses.shape[1]], doses.columns), means.notna().sum()


def trend(means: pd.DataFrame, fewest: int = 2) -> float:
    """Two-sided p-value of Page's test that responses rise or fall with the dose, replicates as blocks.

    Page, J Am Stat Assoc 58, 216 (1963). Replicates that lack a dose are left out; where that leaves less than the
    `fewest`, the doses that some replicate lacks. NaN where three doses of `fewest` replicates are not to be had.
    """
    rows = means.dropna()
    whole = (rows if len(rows) >= fewest else means.dropna(axis=1)).to_numpy()
    if len(whole) < fewest or whole.shape[1] < 3:
        return np.nan
    rising, falling = (page_trend_test(values).pvalue for values in (whole, whole[:, ::-1]))
    return min(1.0, 2 * min(rising, falling))


def dose_series(table: pd.DataFrame, settings: StatsSettings, control: str) -> dict[str, pd.Series]:
    """Doses of every treatment that has three or more above zero, the control's wells as its dose zero.

    Control wells without a dose of their own were given none. Where the doses are the treatments, all wells are one
    series. Series by treatment, NaN for cells that are not of it.
    """
    if settings.dose not in table:
        return {}
    doses = as_numbers(table[settings.dose])
    words = table.loc[doses.isna() & table[settings.dose].notna() & (table["treatment"] != control), settings.dose]
    if len(words) and doses[doses > 0].nunique() >= 3:
        raise InputError(
            f"Column '{settings.dose}' holds '{words.iloc[0]}', which is no number: its wells would be left out of the "
            "curve; give all doses as numbers of one unit"
        )
    if (doses < 0).any():
        raise InputError(f"Column '{settings.dose}' holds a negative dose, {doses.min():g}")
    if settings.treatment == settings.dose:
        return {settings.dose: doses} if doses[doses > 0].nunique() >= 3 else {}
    found = {}
    for treatment in in_order(table["treatment"]):
        own = table["treatment"] == treatment
        if treatment == control or doses[own & (doses > 0)].nunique() < 3:
            continue
        untreated = (table["treatment"] == control) & (doses.isna() | (doses == 0))
        found[treatment] = doses.where(own).mask(untreated, 0.0)
    return found


def compare_doses(
    table: pd.DataFrame,
    features: list[str],
    settings: StatsSettings,
    control: str,
    before: pd.DataFrame | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Curves of every treatment given in doses, and the points they rest on.

    Returns
    -------
    curves : ``feature, treatment, unit, doses, replicates, trend, p_trend``, then ``zero, plateau, ec50, slope`` with
        ``_low, _high`` each, ``refusal`` (why there is no curve) and ``note`` (why no interval or p-value).
    points : ``feature, treatment, dose, replicate, mean``.

    Both with n, ``wells, images, cells``; with `before`, the table before fields were left out, each with its
    ``<n>_before``.

    Intervals leave out one replicate at a time (jackknife, on the logarithm for EC50 and slope) and are Student's with
    R - 1 degrees of freedom, as for counts elsewhere.
    """
    curves, points = [], []
    all_before = {} if before is None else dose_series(before, settings, control)
    placed = table
    if settings.factor and settings.factor != settings.dose:  # whose levels are taken off as those of plates are
        placed = table.assign(plate=table["plate"] + ", " + as_text(table[settings.factor]).fillna(UNKNOWN))
    for treatment, doses in dose_series(table, settings, control).items():
        doses, apart = _linked(table, doses)
        unit = _unit(table[doses.notna()], settings)
        rows, means_of = [], []
        for feature in features:
            means = dose_means(placed, doses, feature)
            if means.empty:
                continue
            rows.append({"feature": feature, "treatment": treatment, "unit": unit, **curve_row(means, settings)})
            rows[-1]["note"] = "; ".join(filter(None, (rows[-1]["note"], apart)))
            long = means.stack().dropna().rename("mean").reset_index().assign(feature=feature, treatment=treatment)
            means_of.append(long[["feature", "treatment", "dose", "replicate", "mean"]])
        if not rows:
            continue
        sums = _dose_sums(table, doses, features)
        old = None
        if before is not None and treatment in all_before:
            old = _dose_sums(before, _linked(before, all_before[treatment])[0], features)
        counted = with_n(pd.DataFrame(rows).assign(series=""), sums, ["series"], old)
        curves.append(counted.drop(columns="series"))
        points.append(
            with_n(pd.concat(means_of), sums, ["dose", "replicate"], old).drop(columns=_REPLICATES, errors="ignore")
        )
    if not curves:
        return pd.DataFrame(), pd.DataFrame()
    return pd.concat(curves, ignore_index=True), pd.concat(points, ignore_index=True)


def _linked(table: pd.DataFrame, doses: pd.Series) -> tuple[pd.Series, str]:
    """The `doses`, missing on plates that have none in common with the others of their replicate; and what to say.

    What such a plate differs by stands in its doses. All stay where no plates of three doses above zero hang together.
    They are missing in replicates of one dose, too, which tell nothing of a curve.
    """
    places = pd.DataFrame({"replicate": table["replicate"], "plate": told(table["plate"]).fillna(""), "dose": doses})
    given = places.groupby("replicate")["dose"].nunique()
    alone = in_order(given.index[given == 1]) if (given > 1).any() else []
    said = [f"without replicates of one dose: {', '.join(alone)}"] if alone else []
    doses = doses.mask(table["replicate"].isin(alone))
    left: list[tuple[str, str]] = []
    for replicate, own in places[doses.notna()].drop_duplicates().groupby("replicate"):
        part = pd.Series(connected(own["plate"].to_numpy(), own["dose"].to_numpy()), own.index)
        held = own.groupby(part)["plate"].nunique()
        above = own["dose"].where(own["dose"] > 0).groupby(part).nunique().where(held > 1, 0)
        best = above.idxmax()
        if above[best] >= 3:
            left += [(str(replicate), name) for name in own.loc[part != best, "plate"].unique()]
    if left:
        doses = doses.mask(pd.MultiIndex.from_frame(places[["replicate", "plate"]]).isin(left))
        named = ", ".join(in_order(name for _, name in left))
        said.append(f"without plates that have no dose in common with the others: {named}")
    return doses, "; ".join(said)


_REPLICATES = ["replicates", "replicates_before"]


def _dose_sums(table: pd.DataFrame, doses: pd.Series, features: list[str]) -> ImageSums:
    """Sums of the images of one series, with their ``dose``."""
    known = doses.notna()
    sums = sum_images(table[known].assign(treatment=""), features)
    dose = doses[known].groupby(table.loc[known, "image"]).first()
    return replace(sums, images=sums.images.assign(dose=sums.images["image"].map(dose).astype(float), series=""))


def _unit(table: pd.DataFrame, settings: StatsSettings) -> str:
    """The unit that a column beside the doses tells, else their own column's name."""
    column = f"{settings.dose}_unit"
    units = table[column].dropna().unique() if column in table else []
    if len(units) > 1:
        raise InputError(f"Column '{column}' holds {', '.join(map(str, units))}: give all doses in one unit")
    return str(units[0]) if len(units) else split_unit(settings.dose) or ""


def curve_row(means: pd.DataFrame, settings: StatsSettings) -> dict:
    """One row of the curves, from means of replicates (rows) by doses (columns).

    A replicate of one dose, of the control alone say, shows its own level and nothing of the curve.
    """
    if (several := means.notna().sum(axis=1) > 1).any():
        means = means[several].dropna(axis=1, how="all")
    replicates = int(told(pd.Series(means.index)).notna().sum())
    few = replicates < settings.min_replicates or replicates < len(means)
    p = np.nan if few else trend(means, settings.min_replicates)
    row = {"doses": means.shape[1], "replicates": replicates, "trend": _direction(means), "p_trend": p}
    row |= dict.fromkeys([n + end for n in _NAMES for end in ("", "_low", "_high")], np.nan)
    note, needed = "", f"{settings.min_replicates} are needed"
    if few:
        note = f"no interval and no p-value: {replicates} biological replicate(s), {needed}"
    elif np.isnan(p):
        note = "no p-value: fewer than three doses are in all replicates"
    row |= {"refusal": "", "note": note}
    if means.shape[1] < FEWEST_DOSES:
        return row | {
            "refusal": f"{means.shape[1]} doses, zero included: {FEWEST_DOSES} are needed for four parameters"
        }
    if not _hang_together(means):
        return row | {"refusal": "some replicates have no dose in common with the others: their levels cannot be told"}
    if p >= 0.05:
        return row | {"refusal": f"no trend with the dose (p = {p:.2g}): a curve would be drawn through noise"}
    levels, tested = levelled(means)
    curve = fit_curve(levels.index.to_numpy(float), levels.to_numpy(), tested.to_numpy(float))
    problem = not_spanned(curve, levels.index.to_numpy(float)) or not_told(curve, means)
    if problem:
        return row | {"refusal": problem}
    row |= {name: getattr(curve, name) for name in _NAMES}
    if few:
        return row
    needs = next((name for name in means.index if not _determined(means.drop(name))), None)
    if needs is not None:
        without = f"no interval: without replicate {needs} the curve is not determined"
        return row | {"note": "; ".join(filter(None, [row["note"], without]))}
    return row | _jackknifed(means, curve, settings)


def _hang_together(means: pd.DataFrame) -> bool:
    """Whether all replicates have doses in common, directly or by others."""
    return not connected(*np.argwhere(means.notna().to_numpy()).T).any()  # all in the first part


def _determined(means: pd.DataFrame) -> bool:
    """Whether a curve can be fitted: a dose for each of its parameters, and replicates that hang together."""
    return int(means.notna().any().sum()) >= len(_NAMES) and _hang_together(means)


def _direction(means: pd.DataFrame) -> str:
    levels = levelled(means)[0]
    ranks = np.arange(len(levels)) - (len(levels) - 1) / 2
    return "rises" if ranks @ levels.to_numpy() > 0 else "falls"


def not_spanned(curve: Curve, doses: np.ndarray) -> str:
    """Why the doses do not show the whole curve; empty where they do.

    One dose at least beyond each bend; wells of dose zero do for the lower one.
    """
    tested = doses[doses > 0]
    low, high = curve.share(np.array([doses.min(), doses.max()]))
    if curve.ec50 < tested.min() or curve.ec50 > tested.max():
        side = "below the lowest" if curve.ec50 < tested.min() else "above the highest"
        return f"the EC50 lies {side} of the doses tested ({tested.min():g} to {tested.max():g}): test further there"
    if high < BENDS[1]:
        return f"the highest dose reaches {high:.0%} of the plateau, {BENDS[1]:.0%} are needed: test higher doses"
    if low > BENDS[0]:
        return f"the lowest dose is at {low:.0%} of the way already: test lower doses, or wells without"
    return ""


def not_told(curve: Curve, means: pd.DataFrame) -> str:
    """Why the EC50 could be anywhere between two neighbouring doses; empty where the means tell it.

    Where no dose lies between the bends, EC50 and slope follow from how little the doses beside the EC50 depart from
    zero and plateau. Once that is lost in the scatter of replicates (about doses and replicates; at least a hundredth
    of the way from zero to plateau), the least squares have a valley, and leaving out replicates stays in it. Then the
    EC50's standard error to the first order, twice, is wider than half the gap between the doses.
    """
    levels, tested = levelled(means)
    doses = levels.index.to_numpy(float)
    low, high = doses[doses < curve.ec50].max(), doses[doses >= curve.ec50].min()
    shares, way = curve.share(doses), abs(curve.plateau - curve.zero)
    if low <= 0 or shares[doses == low] > BENDS[0] or shares[doses == high] < BENDS[1]:
        return ""
    steep = np.where(doses > 0, curve.slope * shares * (1 - shares), 0.0)
    logs = np.log(np.where(doses > 0, doses, curve.ec50) / curve.ec50)
    root = np.sqrt(tested.to_numpy(float))
    others = np.column_stack([1 - shares, shares, steep * logs]) * root[:, None]
    own = steep * root
    own -= others @ np.linalg.lstsq(others, own)[0]
    rest = means - levels
    rest = rest.sub(rest.mean(axis=1), axis=0)
    freedom = int(tested.sum()) - len(levels) - len(means) + 1
    scatter = np.sqrt(np.nansum(rest.to_numpy() ** 2) / freedom) if freedom > 0 else 0.0
    if 2 * max(scatter, way / 100) < np.log(high / low) / 2 * way * np.linalg.norm(own):
        return ""
    return f"no dose lies on the slope: the EC50 is somewhere between {low:g} and {high:g}; test doses between these"


def _jackknifed(means: pd.DataFrame, curve: Curve, settings: StatsSettings) -> dict:
    """Intervals of the four parameters, by leaving out one replicate at a time."""
    scales = {name: (np.log, np.exp) if name in ("ec50", "slope") else (float, float) for name in _NAMES}
    left_out = []
    for number in range(len(means)):
        levels, tested = levelled(means.drop(means.index[number]).dropna(axis=1, how="all"))
        left_out.append(fit_curve(levels.index.to_numpy(float), levels.to_numpy(), tested.to_numpy(float)))
    count = len(means)
    row: dict[str, float] = {}
    quantile = student.ppf((1 + settings.level) / 2, count - 1)
    for name, (there, back) in scales.items():
        middle = there(getattr(curve, name))
        others = np.array([there(getattr(one, name)) for one in left_out])
        half = quantile * np.sqrt((count - 1) / count * np.sum((others - middle) ** 2))
        row |= {name + "_low": float(back(middle - half)), name + "_high": float(back(middle + half))}
    return row
