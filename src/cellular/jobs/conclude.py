"""The second half of `analyse`: from the tables of all fields to quality, tracks, statistics and the page.

It needs the run's folder, and the images only for pictures: `cellular report` does it again.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from cellular.autophagy.compare.design import StatsSettings
from cellular.autophagy.compare.effects import Comparison
from cellular.autophagy.compare.inhibitor import inhibitor_column
from cellular.autophagy.measure.field import MeasureSettings
from cellular.data.formats.suffixes import label_path
from cellular.data.plate import Plate
from cellular.errors import InputError, MissingInputError
from cellular.files import read_json
from cellular.jobs.corrected_meanwhile import as_measured_by
from cellular.jobs.corrections import Corrections, told_states, with_counts
from cellular.jobs.engines import HERE, Engine
from cellular.jobs.flat_field import FlatField
from cellular.jobs.gallery import gallery
from cellular.jobs.measure import lost_states, write_tables
from cellular.jobs.nuclei import AUTO
from cellular.jobs.quality import judge, left_out
from cellular.jobs.runner import Done, write_problems
from cellular.jobs.runs import MADE_WITH
from cellular.jobs.shards import for_the_rest
from cellular.jobs.stats import HEADLINES, compare_tables, forget, headlines, treatments_of, unit_of
from cellular.jobs.wells import as_known
from cellular.report.comparison import Figures
from cellular.report.gallery import Gallery
from cellular.segment.settings import SegmentSettings
from cellular.tables import Tables, read_table
from cellular.track.link import TrackSettings

if TYPE_CHECKING:
    from cellular.jobs.track import TrackResult

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class AnalyseSettings:
    """The settings of every stage.

    Attributes
    ----------
    model : segmentation model, by name or file. device : where to segment.
    segment : how to segment. A diameter of None is the model's own for CELLULAR's fields, and estimated once for the
        plate for all others.
    measure, track, stats : of those stages.
    state_model : ``model.safetensors`` of classify; None leaves states untold.
    overlays : pictures of outlines and puncta, of as many fields.
    nuclei : "auto" finds them where DNA is imaged, "off", or a folder of label images.
    flat_field : "auto" or a folder of flat-field images evens out the light before all else; None only reports it.
    """

    model: str = "starter"
    device: str = "auto"
    segment: SegmentSettings = field(default_factory=SegmentSettings)
    measure: MeasureSettings = field(default_factory=MeasureSettings)
    track: TrackSettings = field(default_factory=TrackSettings)
    stats: StatsSettings = field(default_factory=StatsSettings)
    state_model: str | None = None
    overlays: int = 8
    nuclei: str = AUTO
    flat_field: str | None = None


@dataclass(frozen=True)
class AnalyseResult:
    """What came out.

    Attributes
    ----------
    plate : as it was understood.
    tables : cells, puncta, images and outlines of all fields; read when they are asked for, but for cells.
    tracks : None where no position was imaged twice.
    comparison : None where there was nothing to compare; `no_comparison` says why.
    problems : by field or series, what was passed over and why.
    page : the report.
    quality_notes : what is odd about all fields of a plate, a sentence each.
    """

    plate: Plate
    tables: Tables
    tracks: "TrackResult | None"
    comparison: Comparison | None
    no_comparison: str
    problems: dict[str, str]
    page: Path
    quality_notes: tuple[str, ...]

    @property
    def cells(self) -> pd.DataFrame:
        """The cells of all fields, with their tracks where there are any."""
        return self.tables["cells"]


def conclude(
    plate: Plate,
    done: Done,
    out: Path,
    settings: AnalyseSettings,
    record: Mapping[str, Any],
    flat: FlatField,
    exclude: Sequence[str],
    missing: Mapping[str, str],
    edits: Corrections | None = None,
    engine: Engine = HERE,
    csv: bool = False,
) -> AnalyseResult:
    """Judge, track and compare the fields that are `done`, and write tables, figures and page to `out`.

    Fields of `plate` have a label image where it was given, or corrected; those of the others are the run's own.
    `record` says what was used. `missing` are fields without outlines, and why. `edits` are what was corrected by hand.
    `engine` is where the series are tracked. `csv` asks for tables of any length as CSV too.
    """
    # for the page alone: Bokeh, which no worker that measures fields needs to wait for
    from cellular.jobs.explore import explore
    from cellular.report.analysis import Analysis, analysis_page

    labelled = outlined(plate, done.names, out)
    told = as_measured_by(edits, labelled)
    _forget_conclusions(out)
    quality = judge(labelled, done.tables, out, flat)
    held = {"images": with_counts(as_known(done.tables["images"], plate), told), "quality": quality.table}
    states = told_states(plate, told)
    tables = write_tables(done.tables, held, out, csv, states)
    # of what grows with the plate the cells alone are held, once
    tables = tables.holding(cells=read_table(tables.files["cells"], settings.stats.words))
    problems = {**lost_states(tables, states), **missing, **done.problems}
    tracks = _tracks(labelled, out, settings.track, engine)
    if tracks is not None:
        problems |= tracks.problems
        lines = tracks.tracks[["field", "label", "track", "lineage"]]
        tables = tables.holding(cells=tables["cells"].merge(lines, on=["field", "label"], how="left"))
    comparison, figures, reason = _comparison(plate, tables, out, settings.stats, exclude, engine)
    write_problems(out, problems)
    excluded = left_out(exclude, tables, plate)
    given: dict[str, Any] = {
        "treatment": settings.stats.treatment,
        "inhibitor": inhibitor_column(settings.stats),
        "replicate": settings.stats.replicate,
        "left_out": () if excluded is None else list(excluded["field"]),
    }
    exploring = explore(
        labelled,
        tables,
        **given,
        unit=unit_of(comparison) if comparison else "well",
        replicates=comparison.replicates if comparison else None,
        treatments=treatments_of(comparison) if comparison else (),
        first=headlines(comparison) if comparison else HEADLINES,
        drawn_map=next((out / "stats" / f"map_{name}.csv" for name in (figures.maps if figures else ())), None),
        tracks=None if tracks is None else tracks.tracks,
    )
    page = Analysis(
        plate,
        tables,
        problems,
        comparison,
        figures,
        reason,
        None if tracks is None else tracks.tracks,
        None if tracks is None else tracks.summary,
        exploring.told,
        exploring.still,
        exploring.words,
        record,
        read_json(out / MADE_WITH)["versions"],
        excluded,
        _gallery(labelled, tables, out, given),
        quality.add_to,
    )
    as_measured_by(edits, labelled)  # whose outlines its pictures show
    analysis_page(page, out).write(out / "report.html")
    return AnalyseResult(plate, tables, tracks, comparison, reason, problems, out / "report.html", tuple(quality.notes))


def _forget_conclusions(out: Path) -> None:
    """Who is cut short leaves nothing of other cells beside new tables."""
    forget(out / "stats")
    for old in (out / "report.html", out / "quality.parquet", *(out / "tracks").glob("*.csv")):
        old.unlink(missing_ok=True)


def outlined(plate: Plate, names: Sequence[str], out: Path) -> Plate:
    """The named fields with their label images, those that the run in `out` made included."""
    wanted = set(names)
    done = [item for item in plate.fields if item.name in wanted]
    own = [item.labels or label_path(out / "labels", item.name) for item in done]
    return replace(plate, fields=tuple(replace(item, labels=path) for item, path in zip(done, own)))


def _gallery(plate: Plate, tables: Mapping[str, pd.DataFrame], out: Path, given: Mapping[str, Any]) -> Gallery:
    """The strips of cells; none where images are gone since they were measured."""
    try:
        return gallery(plate, tables, out, **given)
    except MissingInputError as error:
        logger.warning("no gallery: %s", error)
        return Gallery()


def _tracks(plate: Plate, out: Path, settings: TrackSettings, engine: Engine) -> "TrackResult | None":
    """Tracks, where any position was imaged more than once."""
    timed = replace(plate, fields=tuple(item for item in plate.fields if item.timepoint is not None))
    if len({item.series for item in timed.fields}) == len(timed):
        logger.info("no position was imaged twice: nothing to track")
        return None
    from cellular.jobs.track import track  # slow to import, and most plates are imaged once

    return track(timed, out / "tracks", settings, cells=out / "cells.parquet", engine=for_the_rest(engine))


def _comparison(
    plate: Plate,
    tables: Mapping[str, pd.DataFrame],
    out: Path,
    settings: StatsSettings,
    exclude: Sequence[str],
    engine: Engine,
) -> tuple[Comparison | None, Figures | None, str]:
    """Statistics, where there is something to compare; else the reason why not."""
    try:
        how = {"images": tables["images"], "quality": tables["quality"], "exclude": exclude}
        how |= {"fields": [item.name for item in plate.fields], "engine": for_the_rest(engine)}
        return *compare_tables(tables["cells"], out / "stats", settings, **how), ""
    except InputError as error:
        forget(out / "stats")
        return None, None, str(error)
