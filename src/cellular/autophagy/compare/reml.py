"""Generalised least squares of nested units: how unequal units are weighed, and how far they agree.

The images of a unit share its deviation, those of a well inside it the well's, and so on. With r_k the variance of
level k over that of the images, their covariance is V = I + sum r_k Z_k Z_k'. Levels are nested, so that V^-1 and its
determinant follow from sums over groups, finest level first, without any matrix of images by images: one evaluation
costs the number of groups (the Woodbury identity, level by level; Searle, Casella & McCulloch, Variance Components,
1992, chapter 6).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.optimize import minimize


@dataclass(frozen=True)
class Nested:
    """Groups of images at each level, and who holds whom.

    Attributes
    ----------
    finest : (I,) int, the finest group of each image.
    parents : for each level but the coarsest, finest first: (groups,) int, the group of the next level.
    counts : groups at each level, finest first; the last are the units.
    """

    finest: np.ndarray
    parents: tuple[np.ndarray, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True)
class Estimate:
    """Least squares estimates, and the units' means that they rest on.

    Attributes
    ----------
    coefficients : (P,) estimates.
    covariance : (P, P) their covariance, from the scatter of the units about the fit.
    df : degrees of freedom of that scatter.
    """

    coefficients: np.ndarray
    covariance: np.ndarray
    df: float


def nest_levels(levels: Sequence[np.ndarray]) -> Nested:
    """Groups from labels, (I,) a level, coarsest first; a level that does not lie inside the one before is divided.

    Levels that hold one image a group, or the same groups as the level before, add nothing and are left out.
    """
    codes = [np.unique(levels[0], return_inverse=True)[1]]
    for level in levels[1:]:
        inner = np.unique(level, return_inverse=True)[1]
        code = np.unique(codes[-1] * (inner.max() + 1) + inner, return_inverse=True)[1]
        if codes[-1].max() < code.max() < len(code) - 1:
            codes.append(code)
    codes.reverse()
    parents = []
    for fine, coarse in pairwise(codes):
        parent = np.empty(fine.max() + 1, np.intp)
        parent[fine] = coarse
        parents.append(parent)
    return Nested(codes[0], tuple(parents), tuple(int(code.max()) + 1 for code in codes))


def least_squares(outcome: np.ndarray, fixed: np.ndarray, nested: Nested) -> Estimate:
    """Estimates of ``outcome = fixed @ coefficients``, weighed by restricted maximum likelihood.

    Parameters
    ----------
    outcome : (I,) float64, one value an image, of the order of one.
    fixed : (I, P) float64, of full rank.
    nested : see :func:`nest_levels`.

    The variance ratios give the weights. The scale of the covariance is the weighted scatter of the units' means about
    the fit over its degrees of freedom, as in meta-analysis (Knapp & Hartung, Stat Med 22, 2693, 2003), and not what
    the variances predict: a variance of the units estimated as zero would otherwise put all images in their place.
    With equally full units the estimate and its error are therefore the arithmetic of unit means, whatever the
    variances.
    """
    start = np.linalg.lstsq(fixed, outcome, rcond=None)[0]
    sums = _Sums(np.column_stack([fixed, outcome - fixed @ start]), nested)
    ratios = _variance_ratios(sums)
    return _scaled(sums, ratios, start)


class _Sums:
    """Sums over the finest groups of the columns of ``[fixed, residual]``: all that any evaluation needs."""

    def __init__(self, columns: np.ndarray, nested: Nested) -> None:
        self.nested, self.rows = nested, len(columns)
        self.products = columns.T @ columns
        self.sizes = np.bincount(nested.finest, minlength=nested.counts[0]).astype(float)
        self.totals = _added(columns, nested.finest, nested.counts[0])

    def weighed(self, ratios: np.ndarray) -> tuple[np.ndarray, float, np.ndarray, np.ndarray]:
        """``A' V^-1 A``, log det V, and per unit ``1' W 1`` and ``1' W A``; W is V^-1 without the units' own term."""
        products, sizes, totals, log_det = self.products, self.sizes, self.totals, 0.0
        for level, ratio in enumerate(ratios):
            inflation = 1 + ratio * sizes
            log_det += np.log(inflation).sum()
            products = products - (totals * (ratio / inflation)[:, None]).T @ totals
            if level < len(ratios) - 1:
                parent, count = self.nested.parents[level], self.nested.counts[level + 1]
                sizes = np.bincount(parent, sizes / inflation, minlength=count)
                totals = _added(totals / inflation[:, None], parent, count)
        return products, log_det, sizes, totals

    def criterion(self, ratios: np.ndarray) -> float:
        """-2 log restricted likelihood, the residual variance profiled out, up to a constant."""
        products, log_det, _, _ = self.weighed(ratios)
        information, moment, square = products[:-1, :-1], products[:-1, -1], products[-1, -1]
        rest = max(square - moment @ np.linalg.solve(information, moment), 1e-12 * self.products[-1, -1])
        freedom = self.rows - len(information)
        return freedom * np.log(rest) + log_det + np.linalg.slogdet(information)[1]


def _added(columns: np.ndarray, groups: np.ndarray, count: int) -> np.ndarray:
    return np.column_stack([np.bincount(groups, column, minlength=count) for column in columns.T])


def _variance_ratios(sums: _Sums) -> np.ndarray:
    """(levels,) ratios, finest first, none negative, that make the restricted likelihood largest.

    Sought as standard deviations, whose bound at zero is smooth. Where every unit holds one image, or nothing is left
    to estimate from, there is nothing to weigh.
    """
    levels = len(sums.nested.counts)
    single = sums.nested.counts[0] == sums.rows
    if single or sums.rows <= len(sums.products) - 1 or sums.products[-1, -1] <= 0:
        return np.zeros(levels)
    start, bounds = np.full(levels, 0.5), [(0, 1e3)] * levels
    found = minimize(lambda deviations: sums.criterion(deviations**2), start, method="L-BFGS-B", bounds=bounds)
    return found.x**2


def _scaled(sums: _Sums, ratios: np.ndarray, start: np.ndarray) -> Estimate:
    products, _, sizes, totals = sums.weighed(ratios)
    inverse = np.linalg.inv(products[:-1, :-1])
    change = inverse @ products[:-1, -1]
    means = totals / sizes[:, None]
    weights = 1 / (1 / sizes + ratios[-1])
    scatter = np.sum(weights * (means[:, -1] - means[:, :-1] @ change) ** 2)
    used = np.einsum("g,gp,pq,gq->", weights, means[:, :-1], inverse, means[:, :-1])
    df = round(float(len(weights) - used), 6)
    scale = scatter / df if df > 0 else np.nan
    return Estimate(start + change, scale * inverse, df)
