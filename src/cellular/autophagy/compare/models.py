"""The two regressions behind every comparison: nested least squares for means, a negative binomial for counts."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from cellular.autophagy.compare.design import LEVELS
from cellular.autophagy.compare.reml import least_squares, nest_levels

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
    replicates that hold both treatments are blocks. (Laird & Ware, Biometrics 38, 963, 1982; weights and error:
    :func:`cellular.autophagy.compare.reml.least_squares`.)

    Parameters
    ----------
    images : one row an image with ``value, treated`` (0 or 1), ``timepoint`` and the columns of LEVELS.
    unit : ``"replicate"`` or ``"well"``, whose scatter the standard error shows.
    """
    value, treated = images["value"].to_numpy(np.float64), images["treated"].to_numpy(np.float64)
    crude = float(value[treated == 1].mean() - value[treated == 0].mean()) if len(set(treated)) == 2 else np.nan
    blocked = unit == "replicate" and images.groupby("replicate")["treated"].nunique().max() == 2
    fixed = _fixed_effects(images, ["timepoint", "replicate"] if blocked else ["timepoint"])
    if fixed is None:
        return Fit(crude, np.nan, "means", "treatment and timepoint cannot be told apart")
    spread, smallest = value.std(), _ROUNDING * np.abs(value).max()
    if not np.isfinite(spread):
        return Fit(crude, np.nan, "means", "values too large to compute with")
    if spread <= smallest:
        return Fit(0.0, np.nan, "means", "the images do not differ")
    units = images[unit].astype(str) + np.where(treated == 1, "/treated", "/control") if blocked else images[unit]
    finer = LEVELS[LEVELS.index("well") : -1] if unit == "replicate" else ("position",)
    nested = nest_levels([units.to_numpy(str), *(images[level].to_numpy(str) for level in finer)])
    found = least_squares((value - value.mean()) / spread, fixed, nested)
    name = f"mixed model of image means, {unit}s" + (" as blocks" if blocked else "")
    estimate, error = found.coefficients[0] * spread, np.sqrt(found.covariance[0, 0]) * spread
    if np.isnan(error):
        return Fit(float(estimate), np.nan, name, f"too few {unit}s to tell how far they differ")
    if error <= smallest:
        return Fit(float(estimate), np.nan, name, f"the {unit}s of a treatment do not differ: no error to judge by")
    return Fit(float(estimate), float(error), name, df=found.df)


def _fixed_effects(images: pd.DataFrame, factors: list[str]) -> np.ndarray | None:
    """(I, P): treated, and an orthonormal basis of the intercept and `factors`; None where treated lies within that."""
    treated = images["treated"].to_numpy(np.float64)
    dummies = [pd.get_dummies(images[name]).to_numpy(np.float64) for name in factors]
    left, sizes, _ = np.linalg.svd(np.column_stack([np.ones(len(images)), *dummies]), full_matrices=False)
    others = left[:, sizes > 1e-9 * sizes[0]]
    apart = treated - others @ (others.T @ treated)
    return np.column_stack([treated, others]) if np.linalg.norm(apart) > 1e-9 * np.sqrt(len(treated)) else None


def fit_count(images: pd.DataFrame, unit: str) -> Fit:
    """Negative binomial regression (NB2, log link) of counts per cell; standard error by jackknife over `unit`.

    The dispersion is estimated by moments from all cells; then units (replicates or wells, never cells) are
    left out one at a time and the regression repeated: the scatter of the results is the standard error
    (CV3 of MacKinnon, Nielsen & Webb, J Appl Econom 38, 671, 2023), which stays honest with few units where the usual
    sandwich does not. Treatment and timepoint are the only covariates, so that sums over the cells of an image hold all
    that the likelihood needs.

    Parameters
    ----------
    images : as in :func:`fit_mean`, with ``size, total, squares``: cells, sum of their counts and of the squares.
    unit : as in :func:`fit_mean`.
    """
    model = f"negative binomial, jackknife over {unit}s"
    if _fixed_effects(images, ["timepoint"]) is None:
        return Fit(np.nan, np.nan, model, "treatment and timepoint cannot be told apart")
    totals = images.groupby("treated")["total"].sum()
    empty = [name for name, arm in (("control", 0), ("treated", 1)) if totals[arm] == 0]
    if empty:
        return Fit(np.nan, np.nan, model, f"no counts at all in the {' and '.join(empty)} cells")
    # (units, arms, timepoints) arrays: a model of treatment and timepoint has one expected value in each
    units, names = pd.factorize(images[unit], sort=True)
    times = pd.factorize(images["timepoint"])[0]
    place = np.ravel_multi_index(
        (units, images["treated"].astype(int), times), shape := (len(names), 2, int(times.max()) + 1)
    )
    sizes, counts, squares = (
        np.bincount(place, images[name], minlength=int(np.prod(shape))).reshape(shape)
        for name in ("size", "total", "squares")
    )
    if not _determined(sizes.sum(0), counts.sum(0)):
        return Fit(np.nan, np.nan, model, "no timepoint with counts in both arms")
    alpha = _dispersion(sizes.sum(0), counts.sum(0), squares.sum(0))
    estimate = _log_ratio(sizes.sum(0), counts.sum(0), alpha)
    left_out = []
    for number, name in enumerate(names):
        kept_sizes, kept_counts = (values.sum(0) - values[number] for values in (sizes, counts))
        if not _determined(kept_sizes, kept_counts):
            return Fit(estimate, np.nan, model, f"without {unit} {name} the effect is not determined")
        left_out.append(_log_ratio(kept_sizes, kept_counts, alpha))
    n = len(left_out)
    error = float(np.sqrt((n - 1) / n * np.sum((np.array(left_out) - estimate) ** 2)))
    if error <= _ROUNDING:
        return Fit(estimate, np.nan, model, f"the {unit}s of a treatment do not differ: no error to judge by")
    return Fit(estimate, error, model)


def _dispersion(sizes: np.ndarray, counts: np.ndarray, squares: np.ndarray) -> float:
    """NB2's alpha (variance = mean + alpha mean^2) by moments about Poisson-fitted means; at least 1e-6.

    Arrays (2, T) of cells, sums and sums of squares. Cameron & Trivedi, Regression Analysis of Count Data, section
    3.3: the regression through the origin of ((y - mean)^2 - y) / mean on mean. The estimate of the effect hardly
    depends on it.
    """
    means = _means(sizes, counts, 0.0)
    excess = np.sum(squares - 2 * means * counts + sizes * means**2 - counts)
    return max(1e-6, float(excess / np.sum(sizes * means**2)))


def _determined(sizes: np.ndarray, counts: np.ndarray) -> bool:
    """Whether some timepoints hold cells of both arms, and both arms count something there; arrays (2, T)."""
    shared = (sizes > 0).all(0)
    return bool((counts[:, shared].sum(1) > 0).all())


def _log_ratio(sizes: np.ndarray, counts: np.ndarray, alpha: float) -> float:
    """Logarithm of the ratio of rates, from sums (2, T) over cells."""
    means = _means(sizes, counts, alpha)
    at = int(np.argmax(means[0]))
    return float(np.log(means[1, at] / means[0, at]))


def _means(sizes: np.ndarray, counts: np.ndarray, alpha: float) -> np.ndarray:
    """(2, T) expected counts of a cell: log-linear in arm and timepoint, of greatest NB2 likelihood.

    The likelihood is concave in the coefficients; Newton's steps are halved where they overshoot. A timepoint
    without any count has the mean 0 and says nothing of the ratio.
    """
    seen = counts.sum(0) > 0
    n, y = sizes[:, seen], counts[:, seen]
    arms, times = np.indices(n.shape)
    design = np.column_stack([arms.ravel() == 1, *(times.ravel() == t for t in range(n.shape[1]))]).astype(float)
    n, y = n.ravel(), y.ravel()

    def likelihood(eta: np.ndarray) -> float:
        rest = n * np.exp(eta) if alpha == 0 else (y + n / alpha) * np.log1p(alpha * np.exp(eta))
        return float(np.sum(y * eta - rest))

    coefficients = np.r_[0.0, np.log(counts[:, seen].sum(0) / sizes[:, seen].sum(0))]
    for _ in range(100):
        eta = design @ coefficients
        mean = np.exp(eta)
        score = design.T @ ((y - n * mean) / (1 + alpha * mean))
        weights = mean * (n + alpha * y) / (1 + alpha * mean) ** 2
        step = np.linalg.lstsq(design.T @ (design * weights[:, None]), score)[0]
        before = likelihood(eta)
        while likelihood(design @ (coefficients + step)) < before - 1e-9 * abs(before) and np.abs(step).max() > 1e-12:
            step = step / 2
        coefficients = coefficients + step
        if np.abs(step).max() < 1e-10:
            break
    means = np.zeros(counts.shape)
    means[:, seen] = np.exp(design @ coefficients).reshape(2, -1)
    return means
