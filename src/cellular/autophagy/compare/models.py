"""The two regressions behind every comparison: nested least squares for means, a negative binomial for counts."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from cellular.autophagy.compare.design import LEVELS
from cellular.autophagy.compare.images import FACTOR, blocks_of, parts_of
from cellular.autophagy.compare.reml import Nested, least_squares, nest_levels

# Differences below this share of the values are what rounding leaves of equal numbers.
_ROUNDING = 1e-10


@dataclass(frozen=True)
class Fit:
    """Effect of the treatment: difference of means, or logarithm of the ratio of rates.

    `standard_error` is NaN, and `problem` says why, where the data do not determine it. `df` are the degrees of freedom
    of the units' scatter, where timepoints that units do not share take some of them.
    """

    estimate: float
    standard_error: float
    model: str
    problem: str = ""
    df: float = np.inf


def fit_mean(images: pd.DataFrame, unit: str) -> Fit:
    """Linear mixed model of the image means: treatment and timepoint fixed, what images share random.

    Cells are averaged per image first. For a treatment that is the same for all cells of an image this loses nothing
    with equally full images, is some two hundred times faster than a model of single cells, and keeps a crowded image
    from outvoting the others. Units (`unit`; each treatment of a replicate where replicates hold both) have random
    intercepts, wells and positions inside them too, as far as the data tell these apart; images are the residual, and
    replicates that hold both treatments are blocks, or their plates that do. (Laird & Ware, Biometrics 38, 963, 1982;
    weights and error: :func:`cellular.autophagy.compare.reml.least_squares`.)

    Parameters
    ----------
    images : one row an image with ``value, treated`` (0 or 1), ``timepoint`` and the columns of LEVELS.
    unit : ``"replicate"`` or ``"well"``, whose scatter the standard error shows.
    """
    return mean_model(images, unit).fit(images["value"].to_numpy(np.float64))


def mean_model(images: pd.DataFrame, unit: str) -> "MeanModel":
    """The model of :func:`fit_mean`; `images` need no ``value``."""
    treated = images["treated"].to_numpy(np.float64)
    blocks = _blocks(images, unit)
    units = images[unit]
    if unit == "replicate" and blocks is not None:
        units = units.astype(str) + np.where(treated == 1, "/treated", "/control")
    fixed = [images["timepoint"], *([] if blocks is None else [blocks])]
    return _mean_model(
        images, treated, fixed, units, (unit, f"mixed model of image means, {_named(images, unit, blocks)}")
    )


def _blocks(images: pd.DataFrame, unit: str) -> pd.Series | None:
    """The block of each image (:func:`blocks_of`); None without, as wells of one block need none."""
    blocks = blocks_of(images, images["treated"])
    arms = images.groupby(blocks)["treated"].nunique()
    return blocks if arms.max() == 2 and (unit == "replicate" or len(arms) > 1) else None


def _named(images: pd.DataFrame, unit: str, blocks: pd.Series | None) -> str:
    """The units, and what the blocks are."""
    if blocks is None:
        return f"{unit}s"
    named = "replicates"
    if blocks.nunique() > images["replicate"].nunique():
        named = "plates and levels" if FACTOR in images and blocks.isin(parts_of(images)[-1]).any() else "plates"
    named += " as blocks"
    return f"wells, {named}" if unit == "well" else named


def fit_mean_interaction(images: pd.DataFrame, unit: str) -> Fit:
    """How much larger the effect of ``treated`` is where ``group`` is 1 than where it is 0; otherwise :func:`fit_mean`.

    With replicates as units, both effects may differ from replicate to replicate: each replicate is its own block for
    the treatment and for the group, so that its difference of differences is its one observation (df = R - 1), and with
    equally full units the result is the t-test of those. Plates are blocks, too, where this leaves the effect.

    Parameters
    ----------
    images : as in :func:`fit_mean`, with ``group`` (0 or 1).
    """
    treated, group = (images[name].to_numpy(np.float64) for name in ("treated", "group"))
    arms = images["treated"].astype(str) + "/" + images["group"].astype(str)
    if unit == "replicate":
        units, used = images["replicate"].astype(str) + "/" + arms, images["replicate"]
        blocks = [images["replicate"].astype(str) + "/" + images[name].astype(str) for name in ("treated", "group")]
    else:
        units, used = images[unit], _blocks(images, unit)
        blocks = [images["treated"], images["group"], *([] if used is None else [images["replicate"]])]
    plates = _plates_told_apart(images, treated * group, blocks)
    if not plates.equals(images["replicate"]):
        blocks, used = [*blocks, plates], plates
    name = f"mixed model of image means, {_named(images, unit, used)}, interaction"
    model = _mean_model(images, treated * group, [images["timepoint"], *blocks], units, (unit, name))
    return model.fit(images["value"].to_numpy(np.float64))


def _plates_told_apart(images: pd.DataFrame, effect: np.ndarray, blocks: list[pd.Series]) -> pd.Series:
    """The part of each image: the finest (:func:`parts_of`) that leaves its replicate `effect` (I,) beside `blocks`."""
    names = images["replicate"].copy()
    for rows in images.groupby("replicate").indices.values():
        for parts in parts_of(images.iloc[rows]):
            own = [*(block.iloc[rows] for block in blocks), parts]
            if parts.nunique() > 1 and _fixed_effects(effect[rows], own) is not None:
                names.iloc[rows] = parts
    return names


@dataclass(frozen=True)
class MeanModel:
    """A linear mixed model but for the values it is fitted to.

    Attributes
    ----------
    effect : (I,) 1 where the treatment has its effect, else 0.
    fixed : (I, P): `effect` and what else is fixed; None where these cannot be told apart.
    nested : what images share. unit : whose scatter the standard error shows. name : of the model, in words.
    """

    effect: np.ndarray
    fixed: np.ndarray | None
    nested: Nested
    unit: str
    name: str

    def fit(self, value: np.ndarray) -> Fit:
        """Coefficient of `effect` for the images' means `value` (I,), its error from the scatter of the units."""
        arms = [value[self.effect == arm] for arm in (1, 0)]
        crude = float(arms[0].mean() - arms[1].mean()) if all(map(len, arms)) else np.nan
        if self.fixed is None:
            return Fit(crude, np.nan, "means", "treatment and timepoint cannot be told apart")
        spread, smallest = value.std(), _ROUNDING * np.abs(value).max()
        if not np.isfinite(spread):
            return Fit(crude, np.nan, "means", "values too large to compute with")
        if spread <= smallest:
            return Fit(0.0, np.nan, "means", "the images do not differ")
        found = least_squares((value - value.mean()) / spread, self.fixed, self.nested)
        estimate, error = found.coefficients[0] * spread, np.sqrt(found.covariance[0, 0]) * spread
        if np.isnan(error):
            return Fit(float(estimate), np.nan, self.name, f"too few {self.unit}s to tell how far they differ")
        if error <= smallest:
            problem = f"the {self.unit}s of a treatment do not differ: no error to judge by"
            return Fit(float(estimate), np.nan, self.name, problem)
        return Fit(float(estimate), float(error), self.name, df=found.df)


def _mean_model(
    images: pd.DataFrame, effect: np.ndarray, blocks: list[pd.Series], units: pd.Series, named: tuple[str, str]
) -> MeanModel:
    """Of `effect` (I,) beside the fixed `blocks`, in `units`; `named` are their level and the model."""
    unit, name = named
    finer = LEVELS[LEVELS.index("well") : -1] if unit == "replicate" else ("position",)
    nested = nest_levels([np.asarray(names, str) for names in (units, *(images[level] for level in finer))])
    return MeanModel(effect, _fixed_effects(effect, blocks), nested, unit, name)


def _fixed_effects(effect: np.ndarray, factors: list[pd.Series]) -> np.ndarray | None:
    """(I, P): effect, and an orthonormal basis of the intercept and `factors`; None where effect lies within that."""
    dummies = [pd.get_dummies(factor).to_numpy(np.float64) for factor in factors]
    left, sizes, _ = np.linalg.svd(np.column_stack([np.ones(len(effect)), *dummies]), full_matrices=False)
    others = left[:, sizes > 1e-9 * sizes[0]]
    apart = effect - others @ (others.T @ effect)
    return np.column_stack([effect, others]) if np.linalg.norm(apart) > 1e-9 * np.sqrt(len(effect)) else None


def fit_count(images: pd.DataFrame, unit: str) -> Fit:
    """Negative binomial regression (NB2, log link) of counts per cell; standard error by jackknife over `unit`.

    The dispersion is estimated by moments from all cells; then units (replicates or wells, never cells) are
    left out one at a time and the regression repeated: the scatter of the results is the standard error
    (CV3 of MacKinnon, Nielsen & Webb, J Appl Econom 38, 671, 2023), which stays honest with few units where the usual
    sandwich does not. The covariates are the treatment and, in one factor, timepoint and blocks as in
    :func:`fit_mean`: of days that differ, one with many treated cells and few of the control would pass for an effect.
    So sums over the cells of an image hold all that the likelihood needs.

    Parameters
    ----------
    images : as in :func:`fit_mean`, with ``size, total, squares``: cells, sum of their counts and of the squares.
    unit : as in :func:`fit_mean`.
    """
    return _jackknifed([images], unit)


def fit_count_interaction(images: pd.DataFrame, unit: str) -> Fit:
    """Logarithm of the ratio of the ratios of rates, ``group`` 1 over ``group`` 0; otherwise :func:`fit_count`.

    A unit is left out of both groups at once, so what a replicate does to both is not taken for an interaction.
    """
    groups = [images[images["group"] == group] for group in (0, 1)]
    return _jackknifed(groups, unit)


def _jackknifed(groups: list[pd.DataFrame], unit: str) -> Fit:
    """The log ratio of rates of one group of images, or that of the second less that of the first."""
    names = sorted(set().union(*(group[unit] for group in groups)))
    blocks = [_blocks(images, unit) for images in groups]
    if any(one is None for one in blocks):
        blocks = [None] * len(groups)
    named = "" if blocks[0] is None else f", {_named(groups[0], 'replicate', blocks[0])}"
    model = f"negative binomial{named}, jackknife over {unit}s{', interaction' if len(groups) > 1 else ''}"
    tables = []
    for images, block in zip(groups, blocks):
        if _fixed_effects(images["treated"].to_numpy(np.float64), [images["timepoint"]]) is None:
            return Fit(np.nan, np.nan, model, "treatment and timepoint cannot be told apart")
        totals = images.groupby("treated")["total"].sum()
        empty = [name for name, arm in (("control", 0), ("treated", 1)) if totals[arm] == 0]
        if empty:
            return Fit(np.nan, np.nan, model, f"no counts at all in the {' and '.join(empty)} cells")
        sizes, counts, squares = _by_unit(images, unit, names, block)
        if not _determined(sizes.sum(0), counts.sum(0)):
            shared = "timepoint" if block is None else f"{named.split()[1].rstrip('s')} and timepoint"
            return Fit(np.nan, np.nan, model, f"no {shared} with counts in both arms")
        tables.append((sizes, counts, _dispersion(sizes.sum(0), counts.sum(0), squares.sum(0))))

    everything = np.ones(len(names), bool)
    estimate, left_out = _ratio_of(tables, everything), []
    for number, name in enumerate(names):
        kept = np.arange(len(names)) != number
        if not all(_determined(n[kept].sum(0), y[kept].sum(0)) for n, y, _ in tables):
            return Fit(estimate, np.nan, model, f"without {unit} {name} the effect is not determined")
        left_out.append(_ratio_of(tables, kept))
    n = len(left_out)
    error = float(np.sqrt((n - 1) / n * np.sum((np.array(left_out) - estimate) ** 2)))
    if error <= _ROUNDING:
        return Fit(estimate, np.nan, model, f"the {unit}s of a treatment do not differ: no error to judge by")
    if unit == "replicate":
        return Fit(estimate, error, model)
    spent = sum(block.nunique() + 1 for block in blocks if block is not None)  # each block's level, and the effect
    if not spent:
        return Fit(estimate, error, model)
    return Fit(estimate, error, model, df=max(0, n - spent))


def _ratio_of(tables: list[tuple[np.ndarray, np.ndarray, float]], kept: np.ndarray) -> float:
    """The log ratio of the units `kept`; of two tables, the second's less the first's."""
    logs = [_log_ratio(sizes[kept].sum(0), counts[kept].sum(0), alpha) for sizes, counts, alpha in tables]
    return logs[0] if len(logs) == 1 else logs[1] - logs[0]


def _by_unit(images: pd.DataFrame, unit: str, names: list[str], blocks: pd.Series | None) -> list[np.ndarray]:
    """Cells, sums and sums of squares, (units, arms, strata): the model has one expected value for an arm in a stratum.

    Strata are timepoints, or those of each block.
    """
    units = pd.Index(names).get_indexer(images[unit])
    strata = images["timepoint"] if blocks is None else images["timepoint"].astype(str) + "/" + blocks
    number = pd.factorize(strata)[0]
    shape = (len(names), 2, int(number.max()) + 1)
    place = np.ravel_multi_index((units, images["treated"].astype(int), number), shape)
    columns = ("size", "total", "squares")
    return [np.bincount(place, images[name], minlength=int(np.prod(shape))).reshape(shape) for name in columns]


def _dispersion(sizes: np.ndarray, counts: np.ndarray, squares: np.ndarray) -> float:
    """NB2's alpha (variance = mean + alpha mean^2) by moments about Poisson-fitted means; at least 1e-6.

    Arrays (2, S) of cells, sums and sums of squares. Cameron & Trivedi, Regression Analysis of Count Data, section
    3.3: the regression through the origin of ((y - mean)^2 - y) / mean on mean. The estimate of the effect hardly
    depends on it.
    """
    means = _means(sizes, counts, 0.0)
    excess = np.sum(squares - 2 * means * counts + sizes * means**2 - counts)
    return max(1e-6, float(excess / np.sum(sizes * means**2)))


def _determined(sizes: np.ndarray, counts: np.ndarray) -> bool:
    """Whether some strata hold cells of both arms, and both arms count something there; arrays (2, S)."""
    shared = (sizes > 0).all(0)
    return bool((counts[:, shared].sum(1) > 0).all())


def _log_ratio(sizes: np.ndarray, counts: np.ndarray, alpha: float) -> float:
    """Logarithm of the ratio of rates, from sums (2, S) over cells."""
    means = _means(sizes, counts, alpha)
    at = int(np.argmax(means[0]))
    return float(np.log(means[1, at] / means[0, at]))


def _means(sizes: np.ndarray, counts: np.ndarray, alpha: float) -> np.ndarray:
    """(2, S) expected counts of a cell: log-linear in arm and stratum, of greatest NB2 likelihood.

    The likelihood is concave in the coefficients; Newton's steps are halved where they overshoot. A stratum
    without any count has the mean 0 and says nothing of the ratio.
    """
    seen = counts.sum(0) > 0
    n, y = sizes[:, seen], counts[:, seen]

    def likelihood(effect: float, levels: np.ndarray) -> float:
        eta = np.stack([levels, levels + effect])
        rest = n * np.exp(eta) if alpha == 0 else (y + n / alpha) * np.log1p(alpha * np.exp(eta))
        return float(np.sum(y * eta - rest))

    effect, levels = 0.0, np.log(y.sum(0) / n.sum(0))
    for _ in range(100):
        mean = np.exp([levels, levels + effect])
        score = (y - n * mean) / (1 + alpha * mean)
        weights = mean * (n + alpha * y) / (1 + alpha * mean) ** 2
        # Strata share no term: what is left of the effect's equation once theirs are solved.
        share = weights[1] / weights.sum(0)
        step = np.sum(score[1] - share * score.sum(0)) / np.sum(share * weights[0])
        steps = score.sum(0) / weights.sum(0) - share * step
        before = likelihood(effect, levels)
        largest = max(abs(step), np.abs(steps).max())
        while likelihood(effect + step, levels + steps) < before - 1e-9 * abs(before) and largest > 1e-12:
            step, steps, largest = step / 2, steps / 2, largest / 2
        effect, levels = effect + step, levels + steps
        if largest < 1e-10:
            break
    means = np.zeros(counts.shape)
    means[:, seen] = np.exp([levels, levels + effect])
    return means
