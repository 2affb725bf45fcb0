"""A comparison of treatments as sections of a page."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cellular.autophagy.compare.design import well_word
from cellular.autophagy.compare.effects import ALL, Comparison
from cellular.autophagy.measure.documentation import axis_label, meaning
from cellular.report.assay import Assay, add_assay
from cellular.report.counts import BEFORE, interval_name, intervals, number, told_n
from cellular.report.html import Page

NOT_FLUX = (
    "Green is quenched in acid: a yellow punctum is an autophagosome, a red-only one an autolysosome. Green tells "
    "'not acidified', not 'not degraded', and counts at one time are not flux: more autophagosomes can mean more made "
    "or fewer removed."
)


@dataclass(frozen=True)
class Figures:
    """Paths of the figures of one comparison, by what they show; `level` is the coverage of its intervals, 0..1."""

    superplots: dict[str, Path]
    over_time: Path | None
    maps: dict[str, Path]
    forest: Path | None
    assay: Assay | None = None
    level: float = 0.95


def add_to_page(page: Page, result: Comparison, figures: Figures) -> Page:
    """The comparison as sections of a page."""
    alone, called = len(result.units) == 1, well_word(result.cells)
    who = f"One treatment, '{result.control}'" if alone else f"Every treatment against '{result.control}'"
    left = ", 'of' as many as there were before fields were left out" if result.before is not None else ""
    page.section("Treatments").text(f"{who}. n at every level{left}:")
    page.table(_units_table(result))
    for refusal in result.refusals:
        page.caveat(refusal[0].upper() + refusal[1:] + ".")
    for warning in (*medium_warnings(result), *result.notes):
        page.caveat(warning)
    page.caveat(NOT_FLUX)
    overall = result.effects[result.effects["timepoint"] == ALL]
    first = overall[overall["feature"].isin(figures.superplots)]
    if len(overall):
        which = " over all timepoints" if result.over_time["timepoint"].nunique() > 1 else ""
        page.table(_effects_table(first, figures.level, called), caption=f"Effects{which}, with their intervals:")
    if len(result.states):
        state = result.states["state"].iloc[0]
        page.table(
            _states_table(result.states, figures.level, called),
            caption=f"How many cells are {state}, learned from all of them together. Told cell by cell, errors of the "
            "classifier count as states; means of its probability are drawn towards a half:",
            folded=result.states["timepoint"].nunique() > 1,
        )
    page.text("Each dot is a cell, each large marker the mean of one unit. Compare the large markers.")
    page.figures({f"{axis_label(name)}. {meaning(name)}": path for name, path in figures.superplots.items()})
    if figures.over_time:
        page.figure(
            figures.over_time,
            "Means over time. A point without a bar rests on a single unit; with two units a bar may be so wide that "
            "it leaves the possible values.",
        )
    if figures.forest:
        page.figure(figures.forest, "All measurements by the size of their effect (the thirty largest).")
    for method, path in figures.maps.items():
        page.figure(
            path, f"All cells by all measurements ({method.upper()}), coloured by treatment. A picture, not a test."
        )
    if len(overall):
        page.table(_effects_table(overall, figures.level, called), caption="All measurements", rows=200, folded=True)
    return add_assay(page, figures.assay) if figures.assay else page


def _units_table(result: Comparison) -> pd.DataFrame:
    """n at every level that something tells: images of no plate have none of a plate's."""
    known = [name for name in result.units if name not in ("plates", "positions") or result.units[name].any()]
    known = [name for name in known if name.removesuffix(BEFORE) in known]
    return told_n(result.units[known]).rename(columns={"wells": f"{well_word(result.cells)}s"})


def medium_warnings(result: Comparison) -> list[str]:
    """Channels whose light off the cells sets all wells of a treatment apart from all of the control: a sentence each.

    Told only with two wells or more of both. Background is subtracted, but light scattered into cells and the scaling
    of composites go with it.
    """
    warnings = []
    levels = [name for name in result.cells if name.startswith("background__")]
    for column in [name for name in levels if result.cells[name].dtype.kind in "iuf"]:
        wells = result.cells.groupby(["treatment", "well"], observed=True)[column].mean()
        spans = wells.groupby("treatment").agg(["min", "max", "size"]).query("size > 1")
        if result.control not in spans.index:
            continue
        low, high, _ = spans.loc[result.control]
        for treatment, span in spans.drop(result.control).iterrows():
            if span["min"] > high or span["max"] < low:
                channel = column.removeprefix("background__")
                a, b, c, d = map(number, (span["min"], span["max"], low, high))
                warnings.append(
                    f"The medium tells {treatment} from {result.control}: {channel} off the cells is "
                    f"{a} to {b} in {treatment} {well_word(result.cells)}s, {c} to {d} in {result.control} ones. A "
                    "difference in the cells' light may come from there, not from autophagy."
                )
    return warnings


def _states_table(states: pd.DataFrame, level: float, called: str) -> pd.DataFrame:
    """`states` for reading: intervals in one column, timepoints where there are several."""
    table = pd.DataFrame(
        {
            "treatment": states["treatment"],
            "timepoint": states["timepoint"],
            "share": states["share"],
            interval_name(level): intervals(states["ci_low"], states["ci_high"]),
            "called so": states["called"],
            "cells": states["cells"],
            "unit": states["unit"].replace("well", called),
            "n": states["n"],
        }
    )
    return table if table["timepoint"].nunique() > 1 else table.drop(columns="timepoint")


def _effects_table(effects: pd.DataFrame, level: float, called: str) -> pd.DataFrame:
    """`effects` for reading: intervals in one column, p- and q-values only where there are any."""
    table = pd.DataFrame(
        {
            "measurement": effects["feature"].map(axis_label),
            "treatment": effects["treatment"],
            "measure": effects["measure"],
            "estimate": effects["estimate"].astype(float),
            interval_name(level): intervals(effects["ci_low"], effects["ci_high"]),
            "in SDs of cells": effects["standardised"].astype(float),
        }
    )
    if effects["p_value"].notna().any():
        table = table.assign(p=effects["p_value"].astype(float), q=effects["q_value"].astype(float))
    effects = told_n(effects)
    n = {
        f"{told}, treated / control": effects[f"{level}_treated"].astype(str)
        + " / "
        + effects[f"{level}_control"].astype(str)
        for level, told in (("replicates", "replicates"), ("images", "fields"), ("cells", "cells"))
    }
    return table.assign(unit=effects["unit"].replace("well", called), df=effects["df"], **n)
