"""Figures of a comparison: SuperPlots, means over time, a map of all cells. Readable without seeing red or green."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cellular.autophagy.compare.design import in_order
from cellular.autophagy.measure.documentation import axis_label
from cellular.errors import InputError, import_extra
from cellular.report.style import treatment_looks, unit_looks

CELLS_SHOWN = 4000


def superplot(cells: pd.DataFrame, feature: str, *, unit: str = "well", seed: int = 0) -> Figure:
    """Every cell as a dot, every unit's mean as a large marker on top, side by side by treatment.

    Parameters
    ----------
    cells : nested table (:func:`cellular.autophagy.compare.design.nest`): ``field, treatment``, `feature` and `unit`.
    unit : whose means are shown: the biological replicate, or the well where there is only one.
    seed : of the sideways jitter, and of the draw of cells where there are more than 4,000.

    Lord et al., J Cell Biol 219, e202001064 (2020). A unit has one colour and marker in both treatments; where a unit
    occurs in both, a line joins its means.
    """
    known = _known(cells, [feature], unit)
    treatments = _ordered(known["treatment"])
    units = in_order(known[unit])
    look = unit_looks(units)
    rng = np.random.default_rng(seed)
    shown = known.sample(CELLS_SHOWN, random_state=seed) if len(known) > CELLS_SHOWN else known
    # as in the comparison, images count alike, however many cells they hold
    images = known.groupby([unit, "treatment", "field"])[feature].mean()
    means = images.groupby([unit, "treatment"]).mean().unstack("treatment").reindex(units, columns=treatments)
    figure, axes = plt.subplots(figsize=(1.6 + 1.7 * len(treatments), 4.2))
    for name, group in shown.groupby(unit):
        at = group["treatment"].map(treatments.index).to_numpy() + rng.uniform(-0.3, 0.3, len(group))
        axes.scatter(at, group[feature], s=5, color=look[name][0], alpha=0.3, linewidths=0, rasterized=True)
    for number, (name, row) in enumerate(means.iterrows()):
        shift = (number - (len(means) - 1) / 2) * min(0.08, 0.5 / max(1, len(means)))
        colour, marker = look[name]
        axes.plot(np.arange(len(treatments)) + shift, row, color="0.2", linewidth=0.8, zorder=3)
        axes.scatter(
            np.arange(len(treatments)) + shift,
            row,
            s=80,
            color=colour,
            marker=marker,
            edgecolors="k",
            zorder=4,
            label=str(name),
        )
    low, high = np.nanpercentile(shown[feature], [0.5, 99.5])
    margin = 0.05 * (high - low) or 1
    bottom, top = min(low, np.nanmin(means)) - margin, max(high, np.nanmax(means)) + margin
    axes.set_ylim(bottom, top)
    axes.set_xticks(range(len(treatments)), treatments)
    axes.set(
        xlim=(-0.6, len(treatments) - 0.4),
        ylabel=axis_label(feature),
        title=f"{len(known):,} cells, {len(units)} {unit}s"
        + _not_seen(len(known), shown[feature].between(bottom, top)),
    )
    if len(units) <= 12:
        axes.legend(title=unit, frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def _not_seen(cells: int, seen: pd.Series) -> str:
    """How many of `cells` have no dot, in a line: of those that are drawn `seen` (bool) lie within the axis."""
    drawn = [f"{len(seen):,} of them drawn"] if len(seen) < cells else []
    beyond = [f"{(~seen).sum():,} beyond the axis"] if not seen.all() else []
    return "\n" * bool(drawn or beyond) + ", ".join([*drawn, *beyond])


def superplot_data(cells: pd.DataFrame, feature: str, unit: str = "well") -> pd.DataFrame:
    """What :func:`superplot` draws: a row a cell, ``field, label (where known), treatment``, `unit` and `feature`."""
    known = _known(cells, [feature], unit)
    return known.assign(label=cells.loc[known.index, "label"]) if "label" in cells else known


def over_time(means: pd.DataFrame, features: Sequence[str], level: float = 0.95, page: Sequence[str] = ()) -> Figure:
    """Mean of each treatment at each timepoint with its interval, one panel a feature.

    `means` is ``Comparison.over_time``; a point without a bar rests on one unit. `page` are all treatments of the page
    that the figure is on: in all its figures they look the same.
    """
    chosen = means[means["feature"].isin(features)]
    if chosen.empty:
        raise InputError(f"No means of {list(features)}")
    treatments = _ordered(chosen["treatment"])
    looks = treatment_looks(treatments, page)
    rows = -(-len(features) // 2)
    figure, panels = plt.subplots(rows, min(2, len(features)), figsize=(3.9 * min(2, len(features)), 2.9 * rows))
    panels = np.atleast_1d(panels).ravel()
    for axes in panels[len(features) :]:
        axes.remove()
    for axes, feature in zip(panels, features):
        for number, treatment in enumerate(treatments):
            points = chosen[(chosen["feature"] == feature) & (chosen["treatment"] == treatment)]
            at = points["timepoint"] + 0.06 * (number - (len(treatments) - 1) / 2)
            bars = np.abs(points[["ci_low", "ci_high"]].to_numpy().T - points["mean"].to_numpy())
            colour, marker = looks[treatment]
            axes.errorbar(at, points["mean"], yerr=bars, color=colour, marker=marker, capsize=3, label=treatment)
        axes.set(xlabel="timepoint", ylabel=axis_label(feature))
        axes.xaxis.get_major_locator().set_params(integer=True)
    panels[0].legend(frameon=False, fontsize=8)
    figure.suptitle(f"mean of {chosen['unit'].iloc[0]} means, {level:.0%} interval", fontsize=9)
    figure.tight_layout()
    return figure


def cell_map(
    cells: pd.DataFrame, features: Sequence[str], *, method: str = "pca", seed: int = 0, page: Sequence[str] = ()
) -> tuple[Figure, pd.DataFrame]:
    """All cells in two dimensions, coloured by treatment: PCA, or UMAP (extra ``umap``).

    Features are centred on their median and scaled by their interquartile range; cells with a missing value take the
    median. Returns the figure and the table ``field, label (where known), treatment, first, second``. Distances
    between groups in the picture are no test of anything. `page` as of :func:`over_time`.
    """
    known = cells["treatment"].notna().to_numpy()
    fewest = 20 if method == "umap" else 5
    scaled = _scaled(cells, features, known)
    if scaled.shape[1] < 2 or len(scaled) < fewest:
        found = f"got {scaled.shape[1]} and {len(scaled)}"
        raise InputError(f"A map needs two features that differ and {fewest} cells, {found}")
    points, names = _embed(scaled, method, seed)
    told = [name for name in ("field", "label", "treatment") if name in cells]
    table = cells.loc[known, told].reset_index(drop=True)
    table = table.assign(first=points[:, 0], second=points[:, 1])
    treatments = _ordered(table["treatment"])
    looks = treatment_looks(treatments, page)
    figure, axes = plt.subplots(figsize=(5, 4.4))
    shown = table.sample(min(len(table), CELLS_SHOWN), random_state=seed)
    drawn = _not_seen(len(table), pd.Series(True, shown.index))
    for treatment in treatments:
        group, (colour, marker) = shown[shown["treatment"] == treatment], looks[treatment]
        axes.scatter(
            group["first"],
            group["second"],
            s=9,
            marker=marker,
            color=colour,
            alpha=0.45,
            linewidths=0,
            label=treatment,
            rasterized=True,
        )
    axes.set(xlabel=names[0], ylabel=names[1], title=f"{len(table):,} cells, {scaled.shape[1]} features{drawn}")
    axes.legend(frameon=False, markerscale=2)
    return figure, table


def _scaled(cells: pd.DataFrame, features: Sequence[str], known: np.ndarray) -> np.ndarray:
    """(N, F) float32: features that differ, from their median in interquartile ranges, at most 8.

    A handful of extreme cells would otherwise own the first component. Filled column by column: millions of cells fit.
    """
    scaled, used = np.empty((known.sum(), len(features)), np.float32, order="F"), 0
    for feature in features:
        values = cells[feature].to_numpy(np.float64, na_value=np.nan)[known]
        values = np.where(np.isfinite(values), values, np.nan)
        if np.isnan(values).all() or np.nanmin(values) == np.nanmax(values):
            continue
        low, middle, high = np.nanquantile(values, [0.25, 0.5, 0.75])
        distances = (values - middle) / ((high - low) or 1.0)
        scaled[:, used] = np.clip(np.nan_to_num(distances, nan=0.0), -8, 8)
        used += 1
    return scaled[:, :used]


def _embed(scaled: np.ndarray, method: str, seed: int) -> tuple[np.ndarray, tuple[str, str]]:
    if method == "pca":
        points, (first, second) = _components(scaled)
        return points, (f"component 1 ({first:.0%} of variance)", f"component 2 ({second:.0%})")
    if method == "umap":
        model = import_extra("umap", "umap").UMAP(n_components=2, random_state=seed, n_jobs=1)
        return model.fit_transform(scaled), ("UMAP 1", "UMAP 2")
    raise InputError(f"Unknown map '{method}'; use pca or umap")


def _components(scaled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, 2) principal components of (N, F), which is centred in place, and their shares of the variance.

    Signs as scikit-learn's: a component's largest loading is positive.
    """
    scaled -= scaled.mean(axis=0)
    variances, loadings = np.linalg.eigh(scaled.T @ scaled)
    loadings = loadings[:, :-3:-1]
    loadings = loadings * np.sign(loadings[np.abs(loadings).argmax(axis=0), [0, 1]])
    return scaled @ loadings, variances[:-3:-1] / variances.clip(0).sum()


def forest(effects: pd.DataFrame, title: str = "", page: Sequence[str] = ()) -> Figure:
    """Standardised differences with their intervals, largest first; rows as in ``Comparison.effects``.

    Every row names its treatment, and the title the control; `title` stands in for that.
    `page` as of :func:`over_time`.
    """
    rows = effects[effects["standardised"].notna()]
    rows = rows.iloc[np.argsort(rows["standardised"].abs())].tail(30)
    if rows.empty:
        raise InputError("No effect to draw: none could be estimated")
    treatments = in_order(rows["treatment"])
    looks = treatment_looks(treatments, page)
    figure, axes = plt.subplots(figsize=(6, 0.8 + 0.24 * len(rows)))
    axes.axvline(0, color="0.6", linewidth=0.8)
    for treatment in treatments:
        at, (colour, marker) = np.flatnonzero(rows["treatment"] == treatment), looks[treatment]
        ends = rows[["standardised_low", "standardised_high"]].to_numpy()[at].T
        axes.hlines(at, ends[0], ends[1], color=colour)
        axes.plot(rows["standardised"].iloc[at], at, marker, color=colour, label=treatment)
    names = rows["feature"].map(axis_label)
    axes.set_yticks(range(len(rows)), names if len(treatments) == 1 else names + ", " + rows["treatment"], fontsize=8)
    title = title or f"{', '.join(treatments[:4])}{', ...' * (len(treatments) > 4)} against {rows['control'].iloc[0]}"
    axes.set(xlabel="difference, in standard deviations of cells", title=title, ylim=(-0.8, len(rows) - 0.2))
    if len(treatments) > 1:
        axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def _known(cells: pd.DataFrame, columns: list[str], unit: str) -> pd.DataFrame:
    used = list(dict.fromkeys(["field", "treatment", unit, *columns]))
    missing = [name for name in used if name not in cells]
    if missing:
        raise InputError(f"No column(s) {missing} to draw")
    finite = np.isfinite(cells[columns].to_numpy(np.float64, na_value=np.nan)).all(axis=1)
    known = cells.loc[finite & cells["treatment"].notna(), used]
    if known.empty:
        raise InputError(f"No values of {columns} to draw")
    return known


def _ordered(treatments: pd.Series) -> list[str]:
    return in_order(treatments.astype(str).unique())
