"""`cellular analyse`: a plate in; cells, puncta, states, tracks, statistics and a page to look at out."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from cellular.autophagy.compare.design import StatsSettings
from cellular.autophagy.compare.effects import Comparison
from cellular.autophagy.measure.field import MeasureSettings, measure_field
from cellular.data.find import find_plate
from cellular.data.formats.images import write_labels
from cellular.data.image import load_labels, read_field
from cellular.data.plate import FieldFiles, Plate
from cellular.errors import InputError
from cellular.files import write_json
from cellular.jobs.classify import classify_field, read_state_model
from cellular.jobs.measure import (
    NEEDED,
    about_fields,
    draw_puncta,
    roles_of,
    spread,
    with_puncta_sizes,
    with_wells,
    write_tables,
)
from cellular.jobs.runner import Work, claimed, each_field, files_of, write_problems
from cellular.jobs.segment import (
    cell_table,
    draw_outlines,
    files_of_images,
    label_path,
    model_record,
    overlay_path,
    plate_diameter,
    segment_image,
)
from cellular.jobs.stats import Figures, compare_tables
from cellular.jobs.track import TrackResult, track
from cellular.report.analysis import PICTURES, Analysis, analysis_page
from cellular.segment.segmenter import Segmenter
from cellular.segment.settings import SegmentSettings
from cellular.settings import settings_to_dict
from cellular.track.link import TrackSettings

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
    """

    model: str = "starter"
    device: str = "auto"
    segment: SegmentSettings = field(default_factory=SegmentSettings)
    measure: MeasureSettings = field(default_factory=MeasureSettings)
    track: TrackSettings = field(default_factory=TrackSettings)
    stats: StatsSettings = field(default_factory=StatsSettings)
    state_model: str | None = None
    overlays: int = 8


@dataclass(frozen=True)
class AnalyseResult:
    """What came out.

    Attributes
    ----------
    plate : as it was understood.
    tables : cells, puncta, images and outlines of all fields.
    tracks : None where no position was imaged twice.
    comparison : None where there was nothing to compare; `no_comparison` says why.
    problems : by field or series, what was passed over and why.
    page : the report.
    """

    plate: Plate
    tables: dict[str, pd.DataFrame]
    tracks: TrackResult | None
    comparison: Comparison | None
    no_comparison: str
    problems: dict[str, str]
    page: Path

    @property
    def cells(self) -> pd.DataFrame:
        """The cells of all fields, with their tracks where there are any."""
        return self.tables["cells"]


def analyse(
    plate: Plate | str | Path,
    out: str | Path,
    settings: AnalyseSettings | None = None,
    *,
    labels: str | Path | None = None,
) -> AnalyseResult:
    """Analyse every field of `plate` and write everything to `out`.

    Each field is decoded once: it is segmented, measured, its cells' states are told and its pictures drawn in one go.

    Parameters
    ----------
    plate : or a folder for :func:`cellular.data.find.find_plate`; it needs the channels mRFP and EGFP.
    out : gets ``labels/``, ``fields/<field>/``, ``cells.csv``, ``puncta.csv``, ``images.csv``, ``outlines.csv``,
        ``columns.csv``, ``overlays/``, ``tracks/``, ``stats/``, ``problems.csv``, ``plate.json``, ``analyse.json`` and
        ``report.html``.
    labels : folder of label images, in place of segmenting.

    Raises
    ------
    InputError : a channel is not known, or no field could be done. A single bad field is reported and passed over.
    OutputExistsError : `out` was begun with other settings or another plate. With the same, it is continued.
    """
    settings, out = settings or AnalyseSettings(), Path(out)
    plate = plate if isinstance(plate, Plate) else find_plate(plate, labels=labels)
    plate.require(*NEEDED, what="analysing the reporter")
    # models and labels are opened before anything is written: a wrong name must not cost a night, or claim the folder
    segmenter = None if labels is not None else Segmenter.from_pretrained(settings.model, settings.device)
    state_model = read_state_model(settings.state_model) if settings.state_model else None
    settings = _settled(plate, segmenter, settings)
    record = {**settings_to_dict(settings), "plate": str(plate.folder), "labels": str(labels) if labels else None}
    record |= {"channels": roles_of(plate), "map": plate.map_file}
    record |= model_record(segmenter) if segmenter else {}
    with claimed(out, "analyse", record):
        write_json(out / "plate.json", plate.as_dict())
        labelled = plate if segmenter else replace(plate, fields=tuple(f for f in plate.fields if f.labels))
        missing = {f.name: f"no label image in {labels}" for f in plate.fields if not segmenter and not f.labels}
        work = _work(labelled, out, settings, segmenter, state_model)
        done = each_field(labelled, out, work, desc="analyse")
        tables = dict(done.tables)
        tables["cells"] = with_wells(tables["cells"], tables["images"])
        write_tables(tables, out, ("csv",))
        problems = missing | done.problems
        tracks = _tracks(labelled, done.names, out, settings, segmenter is not None)
        if tracks is not None:
            problems |= tracks.problems
            told = tracks.tracks[["field", "label", "track", "lineage"]]
            tables["cells"] = tables["cells"].merge(told, on=["field", "label"], how="left")
        comparison, figures, reason = _comparison(tables, out, settings)
        write_problems(out, problems)
        page = Analysis(
            plate,
            tables,
            problems,
            comparison,
            figures,
            reason,
            None if tracks is None else tracks.tracks,
            None if tracks is None else tracks.summary,
            _pictures(labelled, done.names, out, settings),
            record,
        )
        analysis_page(page, out).write(out / "report.html")
    return AnalyseResult(plate, tables, tracks, comparison, reason, problems, out / "report.html")


def _settled(plate: Plate, segmenter: Segmenter | None, settings: AnalyseSettings) -> AnalyseSettings:
    """The settings with the cells' diameter and the sizes of puncta decided, one choice for the whole plate."""
    how = settings.segment
    estimated = segmenter is not None and plate.scheme != "cellular" and how.diameter in (None, "auto")
    if estimated:
        how = replace(how, diameter=plate_diameter(plate, segmenter, how))
        logger.info(
            "cells are about %.0f px across (median over a few fields); --diameter says otherwise", how.diameter
        )
    if segmenter is None:
        measure = with_puncta_sizes(settings.measure, plate, [item for item in plate.fields if item.labels])
    else:
        size = how.diameter if isinstance(how.diameter, int | float) else None
        measure = with_puncta_sizes(settings.measure, plate, plate.fields, size)
    return replace(settings, segment=how, measure=measure)


def _work(
    plate: Plate, out: Path, settings: AnalyseSettings, segmenter: Segmenter | None, state_model: object | None
) -> Work:
    """Everything that is done to one field."""
    about = about_fields(plate)
    shown = {item.name for item in spread(plate.fields, settings.overlays)}

    def do(item: FieldFiles) -> Mapping[str, pd.DataFrame]:
        image = read_field(item)
        tables = {}
        if segmenter is None:
            labels = load_labels(item, image.shape)
        else:
            found = segment_image(image, segmenter, settings.segment)
            labels, tables["outlines"] = found.labels, cell_table(item.name, found)
            write_labels(label_path(out / "labels", item.name), labels)
        tables |= measure_field(image, labels, item.name, settings.measure, about[item.name])
        if state_model is not None:
            tables["cells"] = classify_field(state_model, tables["cells"], image, labels)
        if item.name in shown:
            draw_outlines(overlay_path(out, item.name), image, labels)
            draw_puncta(puncta_path(out, item.name), image, labels, tables["puncta"])
        return tables

    def outputs(item: FieldFiles) -> list[Path]:
        made = [label_path(out / "labels", item.name)] if segmenter else []
        return made + ([overlay_path(out, item.name), puncta_path(out, item.name)] if item.name in shown else [])

    return Work(do, files_of_images if segmenter else files_of, outputs)


def puncta_path(out: Path, name: str) -> Path:
    """Where the picture of a field's puncta goes."""
    return out / "overlays" / f"{name}_puncta.jpg"


def _pictures(
    plate: Plate, names: tuple[str, ...], out: Path, settings: AnalyseSettings
) -> dict[str, tuple[Path, Path]]:
    """Outlines and puncta of the fields that were drawn and done, by field."""
    shown = [item.name for item in spread(plate.fields, settings.overlays) if item.name in set(names)]
    return {name: (overlay_path(out, name), puncta_path(out, name)) for name in shown[:PICTURES]}


def _tracks(
    plate: Plate, names: tuple[str, ...], out: Path, settings: AnalyseSettings, segmented: bool
) -> TrackResult | None:
    """Tracks, where any position was imaged more than once."""
    done = [item for item in plate.fields if item.name in set(names) and item.timepoint is not None]
    if len({item.series for item in done}) == len(done):
        logger.info("no position was imaged twice: nothing to track")
        return None
    if segmented:
        done = [replace(item, labels=label_path(out / "labels", item.name)) for item in done]
    timed = replace(plate, fields=tuple(done))
    return track(timed, out / "tracks", settings.track, cells=out / "cells.csv")


def _comparison(
    tables: Mapping[str, pd.DataFrame], out: Path, settings: AnalyseSettings
) -> tuple[Comparison | None, Figures | None, str]:
    """Statistics, where there is something to compare; else the reason why not."""
    try:
        return *compare_tables(tables["cells"], out / "stats", settings.stats, images=tables["images"]), ""
    except InputError as error:
        return None, None, str(error)
