"""`cellular stats`: measured cells in; tables of effects, figures and a page out."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cellular.autophagy.columns import axis_label, meaning
from cellular.autophagy.stats import ALL, Comparison, StatsSettings, compare
from cellular.errors import InputError
from cellular.report.html import Page
from cellular.report.statistics import cell_map, forest, over_time, superplot
from cellular.report.style import save
from cellular.settings import settings_to_dict
from cellular.tables import read_csv, write_csv, write_json

logger = logging.getLogger(__name__)

# The columns of `measure` that the dataset exists for, in the order in which people ask about them.
HEADLINES = (
    "red_only_fraction",
    "log2_ratio",
    "puncta_red_only",
    "puncta_yellow",
    "puncta_total",
    "probability_activated",
)
NOT_FLUX = (
    "Green is quenched in acid: a yellow punctum is an autophagosome, a red-only one an autolysosome. Green tells "
    "'not acidified', not 'not degraded', and counts at one time are not flux: more autophagosomes can mean more made "
    "or fewer removed."
)


@dataclass(frozen=True)
class Figures:
    """Paths of the figures of one comparison, by what they show."""

    superplots: dict[str, Path]
    over_time: Path | None
    maps: dict[str, Path]
    forest: Path | None


def compare_tables(
    cells: str | Path | pd.DataFrame,
    out: str | Path,
    settings: StatsSettings | None = None,
    *,
    images: str | Path | None = None,
    maps: Sequence[str] = ("pca",),
) -> tuple[Comparison, Figures]:
    """Compare the treatments of a table of measured cells and write the results to folder `out`.

    `cells` is ``cells.csv`` of measure or classify (file or table), `images` its ``images.csv`` (found beside a file by
    itself). `out` gets ``effects.csv``, ``over_time.csv``, ``units.csv``, ``map_<method>.csv``, ``stats.json``,
    ``figures/`` and ``stats.html``.
    """
    settings, out = settings or StatsSettings(), Path(out)
    text = [name for name in (settings.treatment, settings.replicate) if name]
    table = cells if isinstance(cells, pd.DataFrame) else read_csv(cells, text)
    if images is None and not isinstance(cells, pd.DataFrame) and (Path(cells).parent / "images.csv").is_file():
        images = Path(cells).parent / "images.csv"
        logger.info("images: %s", images)
    result = compare(table, settings, read_csv(images, text) if images else None)
    write_csv(out / "effects.csv", result.effects)
    write_csv(out / "over_time.csv", result.over_time)
    write_csv(out / "units.csv", result.units)
    figures = draw(result, out, settings, maps)
    write_json(
        out / "stats.json",
        {
            "settings": settings_to_dict(settings),
            "control": result.control,
            "refusals": list(result.refusals),
            "notes": list(result.notes),
        },
    )
    add_to_page(Page("Treatments compared", subtitle="cellular stats"), result, figures).write(out / "stats.html")
    return result, figures


def headlines(result: Comparison, most: int = 4) -> list[str]:
    """The features to show first: those of :data:`HEADLINES` that were compared, else the largest effects."""
    compared = set(result.effects["feature"])
    known = [name for name in HEADLINES if name in compared]
    overall = result.effects[result.effects["timepoint"] == ALL]
    largest = overall.reindex(overall["standardised"].abs().sort_values(ascending=False).index)["feature"]
    return (known or list(dict.fromkeys(largest)))[:most]


def draw(result: Comparison, out: Path, settings: StatsSettings, maps: Sequence[str]) -> Figures:
    """Draw and save every figure that the data allow."""
    folder, shown = out / "figures", headlines(result)
    unit = "replicate" if result.effects["unit"].eq("replicate").any() else "well"
    superplots = {name: save(superplot(result.cells, name, unit=unit), folder / f"{name}.png") for name in shown}
    timepoints = result.over_time["timepoint"].nunique()
    lines = (
        save(over_time(result.over_time, shown, settings.level), folder / "over_time.png") if timepoints > 1 else None
    )
    overall = result.effects[result.effects["timepoint"] == ALL]
    estimated = overall["standardised"].notna().any()
    drawn = {}
    for method in maps:
        try:
            figure, table = cell_map(result.cells, result.measurements, method=method)
        except InputError as error:
            logger.warning("no %s map: %s", method, error)
            continue
        write_csv(out / f"map_{method}.csv", table)
        drawn[method] = save(figure, folder / f"map_{method}.png")
    return Figures(superplots, lines, drawn, save(forest(overall), folder / "effects.png") if estimated else None)


def add_to_page(page: Page, result: Comparison, figures: Figures) -> Page:
    """The comparison as sections of a page."""
    page.section("Treatments").text(f"Every treatment against '{result.control}'. n at every level:")
    page.table(result.units)
    for refusal in result.refusals:
        page.caveat(refusal[0].upper() + refusal[1:] + ".")
    for warning in (*medium_warnings(result), *result.notes):
        page.caveat(warning)
    page.caveat(NOT_FLUX)
    overall = result.effects[result.effects["timepoint"] == ALL]
    first = overall[overall["feature"].isin(figures.superplots)]
    page.table(_effects_table(first), caption="Effects over all timepoints, with their 95 % intervals:")
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
    return page.table(_effects_table(overall), caption="All measurements", rows=200, folded=True)


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
                warnings.append(
                    f"The medium tells {treatment} from {result.control}: {channel} off the cells is "
                    f"{span['min']:.3g} to {span['max']:.3g} in {treatment} wells, {low:.3g} to {high:.3g} in "
                    f"{result.control} ones. A difference in the cells' light may come from there, not from autophagy."
                )
    return warnings


def _effects_table(effects: pd.DataFrame) -> pd.DataFrame:
    """`effects` for reading: intervals in one column, p- and q-values only where there are any."""
    ends = effects[["ci_low", "ci_high"]].astype(float).itertuples(index=False)
    interval = [None if np.isnan(low) else f"{low:.3g} to {high:.3g}" for low, high in ends]
    table = pd.DataFrame(
        {
            "measurement": effects["feature"].map(axis_label),
            "treatment": effects["treatment"],
            "measure": effects["measure"],
            "estimate": effects["estimate"].astype(float),
            "95 % interval": interval,
            "in SDs of cells": effects["standardised"].astype(float),
        }
    )
    if effects["p_value"].notna().any():
        table = table.assign(p=effects["p_value"].astype(float), q=effects["q_value"].astype(float))
    return table.assign(unit=effects["unit"], df=effects["df"])
