"""`cellular stats`: measured cells in; tables of effects, figures and a page out."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from cellular.autophagy.compare.design import StatsSettings, in_order, well_word
from cellular.autophagy.compare.effects import ALL, Comparison, Features, compare
from cellular.autophagy.compare.inhibitor import inhibitor_column
from cellular.autophagy.compare.notes import check_agree
from cellular.autophagy.quality.exclusions import exclusion_note, is_flagged, ledger, read_exclusions, with_places
from cellular.autophagy.state.by_hand import by_hand_note
from cellular.data.listing import PLATE
from cellular.data.plate import Plate
from cellular.data.platemap import SAMPLE
from cellular.errors import InputError
from cellular.files import LOCK, alone_in, plain_names, read_json, write_csv, write_json
from cellular.jobs.assay import TABLES as ASSAY
from cellular.jobs.assay import assess, write_assay
from cellular.jobs.cells_by_hand import told_by_hand
from cellular.jobs.engines import HERE, Engine
from cellular.jobs.runner import attempt
from cellular.report.assay import Assay
from cellular.report.comparison import Figures, add_to_page
from cellular.report.html import Page
from cellular.report.statistics import cell_map, forest, over_time, superplot, superplot_data
from cellular.report.style import save
from cellular.settings import settings_to_dict
from cellular.tables import find_table, read_table

logger = logging.getLogger(__name__)

LEDGER, RECORD = "exclusions.csv", "stats.json"
TABLES = ("effects", "over_time", "units", "states")

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
    exclude: Sequence[str] = (),
    quality: str | Path | pd.DataFrame | None = None,
    fields: Sequence[str] = (),
    corrections: str | Path | None = None,
    engine: Engine = HERE,
) -> tuple[Comparison, Figures]:
    """Compare the treatments of a table of measured cells and write the results to folder `out`.

    `cells` is ``cells.csv`` of measure or classify, `images` its ``images.csv`` (found beside a file by itself); files
    or tables. `out` gets ``effects.csv``, ``over_time.csv``, ``units.csv``, ``states.csv`` where cells have states,
    ``map_<method>.csv``, ``stats.json``, ``figures/`` and ``stats.html``, and what
    :func:`cellular.jobs.assay.write_assay` writes.

    `exclude` names fields to leave out: "flagged" for those of `quality` (``quality.csv``, found beside a file by
    itself), names, or files that list them. Then ``exclusions.csv`` says which and why, and n is told before and after.
    `fields` are all fields of the plate, which may be named though they could not be measured; ``plate.json`` beside a
    file tells them by itself.

    `corrections` is a folder of corrections whose states by hand stand over those of `cells`; outlines that were
    corrected are measured by ``analyse`` and ``measure`` alone.

    `engine` is where the features are compared; the result is the same. See :mod:`cellular.jobs.engines`.

    Raises
    ------
    MissingInputError, InputError
        No such table, one without rows, a column or treatment that is not there, or nothing left to compare.
    OutputExistsError
        `out` is a file, or another command is writing there.
    OutputError
        `out` cannot be written.

    Examples
    --------
    >>> import cellular
    >>> from cellular.simulate import SimulationSettings
    >>> made = cellular.simulate("sim", SimulationSettings(fields=2, size_px=160, diameter_px=30))
    >>> tables = cellular.measure(made.images, made.truth, "measured", overlays=0)
    >>> result, figures = cellular.compare("measured/cells.csv", "stats", maps=())
    >>> result.control, result.units["treatment"].tolist()
    ('fed', ['fed', 'starved'])
    """
    settings, out = settings or StatsSettings(), Path(out)
    text = settings.words
    table = cells if isinstance(cells, pd.DataFrame) else read_table(cells, text)
    if not len(table) and not isinstance(cells, pd.DataFrame):
        raise InputError(f"{cells} has no rows: there is no cell to compare")
    if corrections is not None:
        table = told_by_hand(table, corrections)
    given = _beside(cells, "images", images, text)
    judged = _beside(cells, "quality", quality, ())
    settings, of_map = _with_replicates(settings, table, given)
    result, excluded = _compared(table, settings, given, exclude, judged, [*fields, *_of_plate(cells)], engine)
    assay = assess(result, settings, headlines(result))
    result = replace(result, notes=(*of_map, *result.notes, *assay.notes, *filter(None, [by_hand_note(table)])))
    with alone_in(out):
        figures = _write(result, assay, excluded, out, settings, maps)
    return result, figures


def _with_replicates(
    settings: StatsSettings, cells: pd.DataFrame, images: pd.DataFrame | None
) -> tuple[StatsSettings, Sequence[str]]:
    """The settings with the replicates of the plate map, where it tells some and no other column was named; a note."""
    told = cells if "replicate" in cells or images is None else images
    if settings.replicate or "replicate" not in told or told["replicate"].isna().all():
        return settings, ()
    note = "Biological replicates are those of the column 'replicate'; --replicate date takes each date for one"
    return replace(settings, replicate="replicate"), (note,)


def forget(out: Path) -> None:
    """Delete what an earlier comparison wrote to `out`: a table of it would be taken for today's.

    Files that were there without it stay.
    """
    told = read_json(out / RECORD) if (out / RECORD).is_file() else {}
    for name in sorted(told.get("files", ()), key=RECORD.__eq__):  # the record last: it says what is left to delete
        (out / name).unlink(missing_ok=True)


def _write(
    result: Comparison,
    assay: Assay,
    excluded: pd.DataFrame | None,
    out: Path,
    settings: StatsSettings,
    maps: Sequence[str],
) -> Figures:
    """Write tables, figures and page of a comparison, in place of those of an earlier one."""
    forget(out)
    before = _files(out)
    # until all is there, what there may be of it: who is cut short leaves no table that the next would not take away
    may = {LEDGER, "stats.html", *(f"{name}.csv" for name in (*TABLES, *ASSAY, *(f"map_{one}" for one in maps)))}
    write_json(out / RECORD, {"files": [*sorted(may.difference(before)), RECORD]})
    if excluded is not None:
        write_csv(out / LEDGER, excluded)
    for name in TABLES:
        if name != "states" or len(result.states):
            write_csv(out / f"{name}.csv", getattr(result, name))
    figures = replace(
        draw(result, out, settings, maps), assay=write_assay(assay, out, treatments_of(result)), level=settings.level
    )
    page = Page("Treatments compared", subtitle="cellular stats", folder=out)
    add_to_page(page, result, figures).write(out / "stats.html")
    made = {name for name, when in _files(out).items() if before.get(name) != when and name != LOCK}
    told = {"settings": settings_to_dict(settings), "control": result.control, "refusals": list(result.refusals)}
    write_json(out / RECORD, {**told, "notes": list(result.notes), "files": sorted({*made, RECORD})})
    return figures


def _files(out: Path) -> dict[str, int]:
    """The files in `out` and its figures, and when each was written, ns."""
    paths = [path for path in (*out.glob("*"), *(out / "figures").glob("*")) if path.is_file()]
    return {path.relative_to(out).as_posix(): path.stat().st_mtime_ns for path in paths}


def _beside(
    cells: str | Path | pd.DataFrame, name: str, given: str | Path | pd.DataFrame | None, text: Sequence[str]
) -> pd.DataFrame | None:
    """A table as given, or the one that lies beside the file of cells; None where there is none."""
    if given is None and not isinstance(cells, pd.DataFrame) and (given := find_table(Path(cells).parent, name)):
        logger.info("%s: %s", name, given)
    return read_table(given, text) if isinstance(given, str | Path) else given


def _of_plate(cells: str | Path | pd.DataFrame) -> list[str]:
    """The fields of the plate that a file of cells is of, where ``plate.json`` beside it tells."""
    path = None if isinstance(cells, pd.DataFrame) else Path(cells).parent / PLATE
    return [item.name for item in Plate.from_dict(read_json(path)).fields] if path and path.is_file() else []


def _compared(
    cells: pd.DataFrame,
    settings: StatsSettings,
    images: pd.DataFrame | None,
    exclude: Sequence[str],
    quality: pd.DataFrame | None,
    fields: Sequence[str],
    engine: Engine,
) -> tuple[Comparison, pd.DataFrame | None]:
    """The comparison without the fields of `exclude`, n before and after told, and the ledger of these fields."""
    each = partial(_by_engine, engine)
    if images is not None:
        check_agree(cells, images, settings)
    if quality is not None and len(cells) and "field" in cells:
        _check_quality(quality, cells["field"].astype(str))
    if not exclude:
        result = compare(cells, settings, images, each=each)
        odd = 0 if quality is None else int(is_flagged(quality).sum())
        note = f"{odd} field(s) are flagged in quality.csv and were not left out; --exclude flagged does"
        return (replace(result, notes=(*result.notes, note)) if odd else result), None
    tables = [table["field"].astype(str) for table in (images, quality) if table is not None]
    names = [name for told in (*tables, fields) for name in told]
    excluded = ledger(read_exclusions(exclude, quality), cells, names)
    result = compare(cells, settings, images, excluded["field"], each)
    after = result.cells if result.with_inhibitor is None else result.with_inhibitor
    if result.before is not None:
        result = replace(result, notes=(exclusion_note(excluded, result.before, after), *result.notes))
        given = [name for name in ("treatment", inhibitor_column(settings), settings.dose) if name]
        excluded = with_places(excluded, result.before, given)
    else:
        result = replace(result, notes=(f"--exclude {' '.join(exclude)}: no field is left out", *result.notes))
    return result, excluded


def _check_quality(quality: pd.DataFrame, fields: pd.Series) -> None:
    """InputError where a table of quality is of other fields than those of the cells."""
    if len(quality) and not fields.isin(quality["field"].astype(str)).any():
        raise InputError(
            f"The table of quality knows no field of the cells, such as {fields.iloc[0]}; its own are "
            f"{quality['field'].iloc[0]} ...: nothing that it flags would be left out"
        )


def _by_engine(engine: Engine, do: Callable[[Any], Any], parts: Sequence[Features]) -> Iterator[Any]:
    """What `do` gives for each of the parts, done by an engine."""
    results, problems = attempt(parts, do, desc="compare", unit="part", engine=engine)
    for name, problem in problems.items():
        raise InputError(f"{name} could not be compared: {problem}")
    yield from results.values()


def headlines(result: Comparison, most: int = 4) -> list[str]:
    """The features to show first: those of :data:`HEADLINES` that were compared, else the largest effects."""
    compared = set(result.features)
    known = [name for name in HEADLINES if name in compared]
    overall = result.effects[result.effects["timepoint"] == ALL]
    largest = overall.reindex(overall["standardised"].abs().sort_values(ascending=False).index)["feature"]
    return (known or list(dict.fromkeys([*largest, *result.features])))[:most]


def unit_of(result: Comparison) -> str:
    """Whose means are shown: the biological replicate, or the well, or sample, where there is only one."""
    units = result.effects["unit"] if len(result.effects) else result.over_time["unit"]
    return "replicate" if units.eq("replicate").any() else well_word(result.cells)


def treatments_of(result: Comparison) -> list[str]:
    """All that are compared, in the order in which they are told: in every figure of a page they look the same."""
    return in_order(result.units["treatment"])


def draw(result: Comparison, out: Path, settings: StatsSettings, maps: Sequence[str]) -> Figures:
    """Draw and save every figure that the data allow."""
    folder, shown, page = out / "figures", headlines(result), treatments_of(result)
    unit, files = unit_of(result), plain_names(shown)
    cells = result.cells.rename(columns={"well": unit}) if unit == SAMPLE else result.cells
    superplots = {
        name: save(
            superplot(cells, name, unit=unit),
            folder / f"{files[name]}.svg",
            superplot_data(cells, name, unit),
        )
        for name in shown
    }
    timepoints = result.over_time["timepoint"].nunique()
    lines = (
        save(
            over_time(result.over_time, shown, settings.level, page),
            folder / "over_time.svg",
            result.over_time[result.over_time["feature"].isin(shown)],
        )
        if timepoints > 1
        else None
    )
    overall = result.effects[result.effects["timepoint"] == ALL]
    estimated = overall["standardised"].notna().any()
    drawn = {}
    for method in maps:
        try:
            figure, table = cell_map(result.cells, result.measurements, method=method, page=page)
        except InputError as error:
            logger.warning("no %s map: %s", method, error)
            continue
        write_csv(out / f"map_{method}.csv", table)
        drawn[method] = save(figure, folder / f"map_{method}.svg", table)
    return Figures(
        superplots,
        lines,
        drawn,
        save(forest(overall, page=page), folder / "effects.svg", overall) if estimated else None,
    )
