"""The two regressions behind every comparison: a mixed model for means, a negative binomial for counts."""

import contextlib
import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
import statsmodels.api as sm
from numpy.linalg import LinAlgError

from cellular.autophagy.compare.design import LEVELS


@dataclass(frozen=True)
class Fit:
    """Effect of the treatment: difference of means, or logarithm of the ratio of rates.

    `standard_error` is NaN, and `problem` says why, where the data do not determine it.
    """

    estimate: float
    standard_error: float
    model: str
    problem: str = ""


def fit_mean(cells: pd.DataFrame, unit: str) -> Fit:
    """Linear mixed model of the image means: treatment and timepoint fixed, what images share random.

    Cells are averaged per image first. For a treatment that is the same for all cells of an image this loses nothing
    with equally full images, is some two hundred times faster than a model of single cells, and keeps a crowded image
    from outvoting the others. Random intercepts then stand for `unit`, for treatment within replicate, for wells and
    for positions, as far as the data tell these apart; images are the residual. Restricted maximum likelihood,
    statsmodels' MixedLM. (Laird & Ware, Biometrics 38, 963, 1982.)

    Parameters
    ----------
    cells : rows with ``value, treated`` (0 or 1), ``timepoint`` and the columns of LEVELS.
    unit : ``"replicate"`` or ``"well"``; the outermost random intercept.
    """
    images = cells.groupby([*LEVELS, "timepoint", "treated"], as_index=False)["value"].mean()
    fixed = _fixed_effects(images)
    if fixed is None:
        return Fit(_crude_difference(images), np.nan, "means", "treatment and timepoint cannot be told apart")
    spread = images["value"].std()
    if not spread > 0:
        return Fit(0.0, np.nan, "means", "the images do not differ")
    # fitted in units of the spread: the optimiser's tolerances are absolute
    outcome = (images["value"] - images["value"].mean()) / spread
    parts = _variance_parts(images, unit)
    if not parts and images[unit].nunique() == len(images):
        result = sm.OLS(outcome.to_numpy(), fixed).fit()
        return Fit(result.params[1] * spread, result.bse[1] * spread, "linear model of image means")
    result = _fit_mixed(outcome, fixed, images, unit, parts)
    if result is None:
        return Fit(_crude_difference(images), np.nan, "mixed model", "the mixed model does not converge")
    name = "mixed model of image means: " + ", ".join([unit, *parts])
    error = _standard_error(fixed, images[unit], parts, np.r_[result.cov_re.iloc[0, 0], result.vcomp], result.scale)
    return Fit(float(result.fe_params.iloc[1]) * spread, error * spread, name)


def _fixed_effects(images: pd.DataFrame) -> np.ndarray | None:
    """Columns 1, treated, and each timepoint but the first; None where they are not independent."""
    times = pd.get_dummies(images["timepoint"], drop_first=True).to_numpy(np.float64)
    fixed = np.column_stack([np.ones(len(images)), images["treated"], times])
    independent = np.linalg.matrix_rank(fixed) == fixed.shape[1] < len(images)
    return fixed if independent else None


def _crude_difference(images: pd.DataFrame) -> float:
    means = images.groupby("treated")["value"].mean()
    return float(means.get(1.0, np.nan) - means.get(0.0, np.nan))


def _variance_parts(images: pd.DataFrame, unit: str) -> dict[str, pd.Series]:
    """Levels inside `unit` that hold more than one image each and are finer than the level before."""
    candidates = {"well": images["well"], "position": images["position"]}
    if unit == "replicate":
        arm = images["replicate"] + images["treated"].astype(str)
        candidates = {"treatment in replicate": arm, **candidates}
    else:
        candidates.pop("well")
    chosen: dict[str, pd.Series] = {}
    coarser = images[unit].nunique()
    for name, level in candidates.items():
        if coarser < level.nunique() < len(images):
            chosen[name] = level
            coarser = level.nunique()
    return chosen


def _fit_mixed(outcome: pd.Series, fixed: np.ndarray, images: pd.DataFrame, unit: str, parts: dict[str, pd.Series]):
    """MixedLM, random intercept for `unit`, variance components for `parts`; None where it does not converge."""
    data = pd.DataFrame(fixed, columns=[f"fixed_{i}" for i in range(fixed.shape[1])])
    names = list(data.columns)
    data["outcome"], data["unit"] = outcome.to_numpy(), images[unit].to_numpy()
    components = {}
    for number, level in enumerate(parts.values()):
        data[f"part_{number}"] = level.to_numpy()
        components[f"part_{number}"] = f"0 + C(part_{number})"
    model = sm.MixedLM.from_formula(
        "outcome ~ 0 + " + " + ".join(names), data, groups="unit", re_formula="1", vc_formula=components or None
    )
    with warnings.catch_warnings():
        # a variance of zero is a common and honest answer; statsmodels warns about every one
        warnings.simplefilter("ignore")
        for methods in (["lbfgs", "cg", "bfgs", "cg"], ["powell"], ["nm"]):
            # within a list each method goes on from the last; the slow ones use no gradient, which overshoots
            # where there are few units
            with contextlib.suppress(LinAlgError):
                result = model.fit(method=methods, reml=True)
                if result.converged:
                    return result
    return None


def _standard_error(
    fixed: np.ndarray, units: pd.Series, parts: dict[str, pd.Series], variances: np.ndarray, residual: float
) -> float:
    """Standard error of the treatment's effect by generalised least squares, given the variances.

    statsmodels takes it from the Hessian of all parameters, which fails where a variance is zero.
    """
    information = np.zeros((fixed.shape[1], fixed.shape[1]))
    for rows in units.groupby(units).groups.values():
        covariance = residual * np.eye(len(rows)) + variances[0]
        for level, variance in zip(parts.values(), variances[1:]):
            codes = pd.factorize(level.loc[rows])[0]
            covariance += variance * (codes[:, None] == codes)
        here = fixed[rows]
        information += here.T @ np.linalg.solve(covariance, here)
    return float(np.sqrt(np.linalg.inv(information)[1, 1]))


def fit_count(cells: pd.DataFrame, unit: str) -> Fit:
    """Negative binomial regression (NB2, log link) of counts per cell; standard error by jackknife over `unit`.

    The dispersion is estimated by moments from all cells; then units (replicates or wells, never cells) are
    left out one at a time and the regression repeated: the scatter of the results is the standard error
    (CV3 of MacKinnon, Nielsen & Webb, J Appl Econom 38, 671, 2023), which stays honest with few units where the usual
    sandwich does not. Arguments as in :func:`fit_mean`.
    """
    model = f"negative binomial, jackknife over {unit}s"
    fixed = _fixed_effects(cells)
    if fixed is None:
        return Fit(np.nan, np.nan, model, "treatment and timepoint cannot be told apart")
    counts, groups = cells["value"].to_numpy(), cells[unit].to_numpy()
    empty = [name for name, arm in (("control", 0), ("treated", 1)) if counts[cells["treated"] == arm].sum() == 0]
    if empty:
        return Fit(np.nan, np.nan, model, f"no counts at all in the {' and '.join(empty)} cells")
    family = sm.families.NegativeBinomial(alpha=_dispersion(counts, fixed))
    estimate = _log_ratio(counts, fixed, family)
    left_out = []
    for group in np.unique(groups):
        kept = groups != group
        if np.linalg.matrix_rank(fixed[kept]) < fixed.shape[1] or not _both_arms_count(counts[kept], fixed[kept]):
            return Fit(estimate, np.nan, model, f"without {unit} {group} the effect is not determined")
        left_out.append(_log_ratio(counts[kept], fixed[kept], family))
    n = len(left_out)
    return Fit(estimate, float(np.sqrt((n - 1) / n * np.sum((np.array(left_out) - estimate) ** 2))), model)


def _both_arms_count(counts: np.ndarray, fixed: np.ndarray) -> bool:
    return counts[fixed[:, 1] == 0].sum() > 0 and counts[fixed[:, 1] == 1].sum() > 0


def _dispersion(counts: np.ndarray, fixed: np.ndarray) -> float:
    """NB2's alpha (variance = mean + alpha mean^2) by moments about Poisson-fitted means; at least 1e-6.

    Cameron & Trivedi, Regression Analysis of Count Data, section 3.3: the regression through the origin of
    ((y - mean)^2 - y) / mean on mean. The estimate of the effect hardly depends on it.
    """
    means = sm.GLM(counts, fixed, family=sm.families.Poisson()).fit().mu
    return max(1e-6, float(np.sum((counts - means) ** 2 - counts) / np.sum(means**2)))


def _log_ratio(counts: np.ndarray, fixed: np.ndarray, family) -> float:
    return float(sm.GLM(counts, fixed, family=family).fit().params[1])
