"""`cellular stats`: measured cells in; tables of effects, figures and a page out."""

import logging
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from cellular.autophagy.compare.effects import ALL, Comparison, StatsSettings, compare
from cellular.errors import InputError
from cellular.files import read_csv, write_csv, write_json
from cellular.report.comparison import Figures, add_to_page
from cellular.report.html import Page
from cellular.report.statistics import cell_map, forest, over_time, superplot
from cellular.report.style import save
from cellular.settings import settings_to_dict

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


def compare_tables(
    cells: str | Path | pd.DataFrame,
    out: str | Path,
    settings: StatsSettings | None = None,
    *,
    images: str | Path | pd.DataFrame | None = None,
    maps: Sequence[str] = ("pca",),
) -> tuple[Comparison, Figures]:
    """Compare the treatments of a table of measured cells and write the results to folder `out`.

    `cells` is ``cells.csv`` of measure or classify, `images` its ``images.csv`` (found beside a file by itself); files
    or tables. `out` gets ``effects.csv``, ``over_time.csv``, ``units.csv``, ``map_<method>.csv``, ``stats.json``,
    ``figures/`` and ``stats.html``.
    """
    settings, out = settings or StatsSettings(), Path(out)
    text = [name for name in (settings.treatment, settings.replicate) if name]
    table = cells if isinstance(cells, pd.DataFrame) else read_csv(cells, text)
    if images is None and not isinstance(cells, pd.DataFrame) and (Path(cells).parent / "images.csv").is_file():
        images = Path(cells).parent / "images.csv"
        logger.info("images: %s", images)
    given = read_csv(images, text) if isinstance(images, str | Path) else images
    result = compare(table, settings, given)
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
