"""Flux, doses, a second factor and the plate: figures, and their sections of a page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cellular.autophagy.compare.design import in_order
from cellular.autophagy.compare.doses import Curve
from cellular.autophagy.compare.effects import ALL
from cellular.autophagy.compare.flux import Flux
from cellular.autophagy.measure.documentation import axis_label
from cellular.data.wells import plate_size
from cellular.report.counts import interval_name, intervals, told_n
from cellular.report.html import Page
from cellular.report.style import MARKERS, treatment_looks, unit_looks

FLUX = (
    "Flux is the pool with the inhibitor less the pool without, replicate by replicate; a treatment changes it by the "
    "difference of fluxes. Yellow puncta (autophagosomes) pile up where the block works; red-only ones fall where it "
    "also takes the acid away, so they are no measure of flux."
)


@dataclass(frozen=True)
class Assay:
    """What a plate's map allows beyond treatments.

    Attributes
    ----------
    flux : None without an inhibitor. factor : rows of :func:`~cellular.autophagy.compare.factorial.answer`, or None.
    curves, points : of doses; empty without. wells : a row a well and feature. places : edge, row and column.
    quality : Z' and SSMD, empty without controls. notes : what was taken for granted.
    shown : features that are drawn. level : 0..1, coverage of intervals. called : what its wells are called.
    pictures : by section ('flux', 'doses', 'plate'), caption to path.
    """

    flux: Flux | None
    factor: pd.DataFrame | None
    curves: pd.DataFrame
    points: pd.DataFrame
    wells: pd.DataFrame
    places: pd.DataFrame
    quality: pd.DataFrame
    notes: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    level: float = 0.95
    called: str = "well"
    pictures: Mapping[str, Mapping[str, Path]] = field(default_factory=dict)


def flux_figure(flux: Flux, feature: str, inhibitor: str, page: Sequence[str] = ()) -> Figure:
    """Left, the pools of every replicate without and with inhibitor; right, what piled up, with its interval.

    `page` as of :func:`cellular.report.statistics.over_time`.
    """
    pools = flux.pools[flux.pools["feature"] == feature]
    rows = flux.table[(flux.table["feature"] == feature) & (flux.table["inhibitor"] == inhibitor)]
    rows = rows[(rows["timepoint"] == ALL) & (rows["quantity"] == "flux")].drop_duplicates("treatment")
    treatments = in_order(rows["treatment"])
    colours = {name: colour for name, (colour, _) in treatment_looks(treatments, page).items()}
    replicates = in_order(pools["replicate"])
    width = 1.5 + 1.2 * len(treatments)
    figure, (left, right) = plt.subplots(1, 2, figsize=(2 * width, 3.4))
    wide = pools.pivot_table(index=["treatment", "replicate"], columns="inhibitor", values="mean")
    for place, treatment in enumerate(treatments):
        for number, replicate in enumerate(replicates):
            if (treatment, replicate) in wide.index:
                pair = wide.loc[(treatment, replicate)].reindex([flux.arms.none, inhibitor])
                look = {"color": colours[treatment], "marker": MARKERS[number % len(MARKERS)]}
                left.plot([place - 0.2, place + 0.2], pair, markersize=6, **look)
        row = rows[rows["treatment"] == treatment].iloc[0]
        ends = np.array([[row["estimate"] - row["ci_low"]], [row["ci_high"] - row["estimate"]]], float)
        bars = ends if np.isfinite(ends).all() else None
        right.errorbar(place, row["estimate"], yerr=bars, color=colours[treatment], marker="o", capsize=4)
    for number, replicate in enumerate(replicates[:8]):
        left.plot([], [], MARKERS[number % len(MARKERS)], color="0.4", label=replicate)
    left.legend(title="replicate", frameon=False, fontsize=7, title_fontsize=7)
    right.axhline(0, color="0.6", linewidth=0.8)
    for axes in (left, right):
        axes.set_xticks(range(len(treatments)), treatments)
        axes.set_xlim(-0.6, len(treatments) - 0.4)
    left.set(ylabel=axis_label(feature), title=f"pool: left {flux.arms.none or 'without'}, right {inhibitor}")
    right.set(ylabel=f"flux: {rows['measure'].iloc[0]}", title="what piles up")
    figure.tight_layout()
    return figure


def course_figure(flux: Flux, feature: str, inhibitor: str) -> Figure:
    """Pools of the replicates after the block, a panel a treatment: filled with inhibitor, open without; J a line."""
    points = flux.courses[flux.courses["feature"] == feature]
    rows = flux.turnover[(flux.turnover["feature"] == feature) & (flux.turnover["inhibitor"] == inhibitor)]
    slopes = rows[rows["quantity"] == "J"].set_index("treatment")["estimate"]
    treatments = in_order(slopes.index)
    looks = unit_looks(in_order(points["replicate"]))
    figure, panels = plt.subplots(1, len(treatments), figsize=(2.8 * len(treatments) + 0.6, 3), sharey=True)
    for axes, treatment in zip(np.atleast_1d(panels), treatments):
        here = points[points["treatment"] == treatment]
        for replicate, own in here.groupby("replicate"):
            look = dict(zip(("color", "marker"), looks[replicate]))
            for arm, filled in ((inhibitor, True), (flux.arms.none, False)):
                part = own[own["inhibitor"] == arm]
                fill = "full" if filled else "none"
                axes.plot(part["time"], part["mean"], linestyle="", fillstyle=fill, **look)
        blocked = here[here["inhibitor"] == inhibitor]
        at = np.array([blocked["time"].min(), blocked["time"].max()])
        if np.isfinite(slopes[treatment]):
            axes.plot(at, blocked["mean"].mean() + slopes[treatment] * (at - blocked["time"].mean()), color="0.2")
        told = f"J = {slopes[treatment]:.3g}" if np.isfinite(slopes[treatment]) else "no J"
        axes.set(xlabel="time after the block", title=f"{treatment}: {told}")
    np.atleast_1d(panels)[0].set_ylabel(axis_label(feature))
    figure.tight_layout()
    return figure


def dose_figure(curve: pd.Series, points: pd.DataFrame, replicates: Sequence[str] = ()) -> Figure:
    """Means of replicates over the dose (zero at the left, set apart), the curve and the EC50 with its interval.

    `replicates` are all of the page: in all its figures they look the same.
    """
    figure, axes = plt.subplots(figsize=(4.4, 3.4))
    tested = np.sort(points.loc[points["dose"] > 0, "dose"].unique())
    zero_at = tested[0] ** 2 / tested[1]
    looks = unit_looks(in_order([*replicates, *points["replicate"]]))
    for replicate in in_order(points["replicate"]):
        here = points[points["replicate"] == replicate]
        look: dict[str, Any] = dict(zip(("color", "marker"), looks[replicate]))
        axes.plot(here["dose"].where(here["dose"] > 0, zero_at), here["mean"], linestyle="", label=replicate, **look)
    if np.isfinite(curve["ec50"]):
        fitted = Curve(*(float(curve[name]) for name in ("zero", "plateau", "ec50", "slope")))
        doses = np.geomspace(tested[0] / 2, tested[-1] * 1.5, 200)
        axes.plot(doses, fitted.at(doses), color="0.2")
        axes.axvline(fitted.ec50, color="0.5", linestyle=":")
        if np.isfinite(curve["ec50_low"]):
            ends = max(curve["ec50_low"], zero_at), min(curve["ec50_high"], tested[-1] * 2)
            axes.axvspan(*ends, color="0.9", zorder=0)
    else:
        axes.set_title("no curve: the reason is above", fontsize=9)
    axes.set_xscale("log")
    marks = [*([zero_at] if (points["dose"] == 0).any() else []), *tested]
    axes.set_xticks(marks, [f"{0 if mark == zero_at else mark:g}" for mark in marks], fontsize=8)
    axes.minorticks_off()
    if points["replicate"].nunique() <= 8:
        axes.legend(title="replicate", frameon=False, fontsize=7, title_fontsize=7)
    unit = f" ({curve['unit']})" if curve["unit"] else ""
    axes.set(xlabel=f"{curve['treatment']}{unit}", ylabel=axis_label(curve["feature"]))
    figure.tight_layout()
    return figure


def add_assay(page: Page, assay: Assay) -> Page:
    """The sections of flux, doses, the second factor and the plate, as far as there are any."""
    if assay.flux is not None:
        _add_flux(page, assay, assay.flux)
    if assay.factor is not None:
        factor = assay.factor["between"].iloc[0]
        page.section(f"By {factor}").text(
            f"The effect of each treatment at each {factor}, and how much it differs from the first: the interaction."
        )
        rows = assay.factor[assay.factor["feature"].isin(assay.shown) & (assay.factor["timepoint"] == ALL)]
        page.table(_contrasts(rows.rename(columns={"at": factor}), ["high", factor, "against"], assay), rows=80)
    if len(assay.curves):
        _add_doses(page, assay)
    if len(assay.wells):
        _add_plate(page, assay)
    return page


def _add_flux(page: Page, assay: Assay, flux: Flux) -> None:
    page.section("Flux").text(FLUX)
    rows = flux.table[(flux.table["timepoint"] == ALL) & flux.table["feature"].isin(assay.shown)]
    for sentence in (*flux.warnings, *rows.loc[rows["refusal"] != "", "refusal"].unique()):
        page.caveat(sentence[0].upper() + sentence[1:] + ".")
    page.table(
        _contrasts(rows, ["quantity", "treatment", "control", "inhibitor"], assay),
        caption="Counts twice: the difference of rates is the puncta per cell that pile up; the ratio of rates asks "
        "whether the pool grows by another factor. n of what went in:",
        rows=80,
    )
    page.figures(assay.pictures.get("flux", {}))
    if len(flux.turnover):
        shown = flux.turnover[flux.turnover["feature"].isin(assay.shown)]
        page.table(
            told_n(_with_interval(shown, assay.level))[
                ["feature", "inhibitor", "treatment", "quantity", "estimate", interval_name(assay.level), "replicates"]
                + ["images", "cells", "note"]
            ],
            caption="J is the slope of the pool after the block (puncta per cell and unit of time), the transition "
            "time the pool before over J:",
            rows=80,
        )


def _add_doses(page: Page, assay: Assay) -> None:
    shown = assay.curves[assay.curves["feature"].isin(assay.shown)]
    page.section("Doses").text(
        "A four-parameter log-logistic curve through the replicates. The trend is Page's test; a curve is drawn only "
        "where there is a trend and the doses show both ends of it."
    )
    table = told_n(shown.assign(measurement=shown["feature"].map(axis_label))).rename(columns={"images": "fields"})
    interval = interval_name(assay.level)
    for name in ("ec50", "plateau"):
        table[f"{name}, {interval}"] = intervals(table[f"{name}_low"], table[f"{name}_high"])
    columns = ["measurement", "treatment", "unit", "doses", "replicates", "trend", "p_trend", "zero", "ec50"]
    columns += [f"ec50, {interval}", "plateau", f"plateau, {interval}", "slope", "fields", "cells"]
    page.table(table[columns])
    for row in shown.itertuples():
        if row.refusal or row.note:
            page.caveat(f"{axis_label(row.feature)}, {row.treatment}: {row.refusal or row.note}.")
    page.figures(assay.pictures.get("doses", {}))


def _add_plate(page: Page, assay: Assay) -> None:
    page.section("Wells on the plate").text(
        "Means of wells where they are. The edge is that of a plate of "
        f"{plate_size(assay.wells['well']):,} wells, the smallest that holds these: on a larger one it is another."
    )
    page.figures(assay.pictures.get("plate", {}))
    places = assay.places[assay.places["feature"].isin(assay.shown)]
    told = places[places["note"] == ""]
    if len(told):
        page.text(
            "How much edge, row and column add to what the wells were given; the share is of the variance between "
            "wells of one arm on one plate:"
        )
        table = told.assign(measurement=told["feature"].map(axis_label), **{"in SDs of wells": told["unit_sd"]})
        page.table(table[["measurement", "effect", "size", "in SDs of wells", "share", "p_value", "wells"]])
    for note, group in places[places["note"] != ""].groupby("note", sort=False):
        page.caveat(f"No effect of {', '.join(dict.fromkeys(group['effect']))} can be given: {note}.")
    if len(assay.quality):
        page.table(assay.quality[assay.quality["feature"].isin(assay.shown)], caption="Z' and SSMD of the controls:")


def _contrasts(rows: pd.DataFrame, columns: Sequence[str], assay: Assay) -> pd.DataFrame:
    rows = _with_interval(rows.assign(measurement=rows["feature"].map(axis_label)), assay.level)
    shown = ["measurement", *columns, "measure", "estimate", interval_name(assay.level)]
    if rows["p_value"].notna().any():
        rows = rows.assign(p=rows["p_value"].astype(float), q=rows["q_value"].astype(float))
        shown += ["p", "q"]
    wells = f"{assay.called}s"
    rows = told_n(rows).rename(columns={"images": "fields", "wells": wells, "high": "treatment"})
    rows["unit"] = rows["unit"].replace("well", assay.called)
    return rows[
        [*("treatment" if name == "high" else name for name in shown), "unit", "replicates", wells, "fields", "cells"]
    ]


def _with_interval(rows: pd.DataFrame, level: float) -> pd.DataFrame:
    return rows.assign(**{interval_name(level): intervals(rows["ci_low"], rows["ci_high"])})
