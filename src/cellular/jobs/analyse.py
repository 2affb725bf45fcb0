"""`cellular analyse`: a plate in; cells, puncta, states, tracks, statistics and a page to look at out."""

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pandas as pd

from cellular.autophagy.compare.design import StatsSettings
from cellular.autophagy.compare.effects import Comparison
from cellular.autophagy.measure.field import MeasureSettings, measure_field
from cellular.autophagy.state.crop_model import CropModel
from cellular.autophagy.state.tree_model import TreeModel
from cellular.data.find import as_plate
from cellular.data.formats.images import write_labels
from cellular.data.formats.suffixes import label_path
from cellular.data.image import load_labels, read_field
from cellular.data.plate import FieldFiles, Plate
from cellular.errors import InputError
from cellular.files import write_json, write_text
from cellular.jobs.classify import classify_field, read_state_model
from cellular.jobs.corrections import Corrections, corrected, only_labelled, with_counts
from cellular.jobs.engines import HERE, Engine
from cellular.jobs.export_plate import export_plates
from cellular.jobs.flat_field import FlatField, open_flat_field, settle
from cellular.jobs.gallery import gallery
from cellular.jobs.measure import (
    draw_puncta,
    roles_of,
    spread,
    told_wells,
    with_puncta_sizes,
    with_reporter,
    write_tables,
)
from cellular.jobs.nuclei import AUTO, NucleiSource, nuclei_source
from cellular.jobs.quality import LIGHT, Looking, check_exclusions, judge, left_out
from cellular.jobs.runner import Work, claimed, each_field, files_of, write_problems
from cellular.jobs.segment import (
    cell_table,
    draw_outlines,
    model_record,
    overlay_path,
    plate_diameter,
    segment_image,
)
from cellular.jobs.shards import for_the_rest
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
    exclude: Sequence[str] = (),
    config: str | None = None,
    ome_zarr: bool = False,
    corrections: str | Path | None = None,
    engine: Engine = HERE,
) -> AnalyseResult:
    """Analyse every field of `plate` and write everything to `out`.

    Each field is decoded once: it is segmented, measured, its cells' states are told and its pictures drawn in one go.

    Parameters
    ----------
    plate : or a folder for :func:`cellular.data.find.find_plate`; its channels as for
        :func:`cellular.jobs.measure.with_reporter`.
    out : gets ``labels/``, ``fields/<field>/``, ``cells.csv``, ``puncta.csv``, ``images.csv``, ``outlines.csv``,
        ``columns.csv``, ``quality.csv``, ``drift.csv``, ``flat_field/``, ``overlays/``, ``thumbnails/``, ``gallery/``,
        ``tracks/``, ``stats/``, ``problems.csv``, ``plate.json``, ``analyse.json`` and ``report.html``.
    labels : folder of label images, in place of segmenting.
    exclude : fields to leave out of the comparison: "flagged", names, or files that list them. They are measured all
        the same; with others the same run is continued.
    config : what the command line was told, as TOML, to keep as ``config.toml``.
    ome_zarr : write each plate as ``ome-zarr/<plate>.ome.zarr`` too: images, outlines and cells' tables.
    corrections : folder of corrections of the run's label images: the fields that it corrects are measured by these,
        the same run is continued, and ``images`` tells how many cells were edited.
    engine : where the fields are done; the result is the same. See :mod:`cellular.jobs.engines`.

    Raises
    ------
    InputError : a channel is not known, or no field could be done. A single bad field is reported and passed over.
    OutputExistsError : `out` was begun with other settings or another plate. With the same, it is continued.

    Examples
    --------
    >>> import cellular
    >>> from cellular.simulate import SimulationSettings
    >>> made = cellular.simulate("sim", SimulationSettings(fields=2, size_px=160, diameter_px=30))
    >>> result = cellular.analyse(made.images, "analysis", labels=made.truth)
    >>> len(result.cells) == made.cells, result.page.name, result.problems
    (True, 'report.html', {})
    """
    settings, out = settings or AnalyseSettings(), Path(out)
    plate = as_plate(plate, labels)
    settings = replace(settings, measure=with_reporter(plate, settings.measure))
    # models and labels are opened before anything is written: a wrong name must not cost a night, or claim the folder
    check_exclusions(exclude, plate)
    flat = open_flat_field(plate, settings.flat_field)
    segmenter = None if labels is not None else Segmenter.from_pretrained(settings.model, settings.device)
    state_model = read_state_model(settings.state_model) if settings.state_model else None
    settings = _settled(plate, segmenter, settings)
    nuclei = nuclei_source(plate, settings.nuclei, labels, settings.device)
    given, edits = _given(plate, out, segmenter is not None, corrections)
    record = {**settings_to_dict(settings), "plate": str(plate.folder), "labels": str(labels) if labels else None}
    record |= {"channels": roles_of(plate), "map": plate.map_file}
    record |= model_record(segmenter) if segmenter else {}
    record |= {"nuclei_from": nuclei.record()} if nuclei else {}
    with claimed(out, "analyse", record, engine):
        write_json(out / "plate.json", plate.as_dict())
        if config is not None:
            write_text(out / "config.toml", config)
        labelled = given if segmenter else only_labelled(given)
        missing = {f.name: f"no label image in {labels}" for f in given.fields if not segmenter and not f.labels}
        flat = settle(flat, labelled, out, engine)
        work = _work(labelled, out, settings, segmenter, state_model, nuclei, flat)
        done = each_field(labelled, out, work, desc="analyse", engine=engine)
        tables = told_wells({**done.tables, "images": with_counts(done.tables["images"], edits)})
        quality = judge(labelled, tables, out, flat)
        tables = {name: table for name, table in tables.items() if name != LIGHT} | {"quality": quality.table}
        write_tables(tables, out, ("csv",))
        problems = missing | done.problems
        outlined = _outlined(labelled, done.names, out)
        tracks = _tracks(outlined, out, settings, engine)
        if tracks is not None:
            problems |= tracks.problems
            told = tracks.tracks[["field", "label", "track", "lineage"]]
            tables["cells"] = tables["cells"].merge(told, on=["field", "label"], how="left")
        comparison, figures, reason = _comparison(tables, out, settings, exclude)
        if ome_zarr:
            problems |= _stores(outlined, out, tables["cells"])
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
            gallery(outlined, tables, out, settings.stats.treatment),
            partial(quality.add_to, excluded=left_out(exclude, tables)),
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
    plate: Plate,
    out: Path,
    settings: AnalyseSettings,
    segmenter: Segmenter | None,
    state_model: CropModel | TreeModel | None,
    source: NucleiSource | None,
    flat: FlatField,
) -> Work:
    """Everything that is done to one field."""
    shown = {item.name for item in spread(plate.fields, settings.overlays)}
    one = _Analysing(out, settings, segmenter, state_model, source, flat.to_apply(), shown, Looking.at(plate))
    return Work(one.do, one.inputs, one.outputs)


@dataclass(frozen=True)
class _Analysing:
    out: Path
    settings: AnalyseSettings
    segmenter: Segmenter | None
    state_model: CropModel | TreeModel | None
    source: NucleiSource | None
    flat: FlatField
    shown: set[str]
    looking: Looking

    def do(self, item: FieldFiles) -> Mapping[str, pd.DataFrame]:
        recorded = read_field(item)
        image = self.flat.correct(recorded, item)
        tables, folder = {}, self.out / "labels"
        if item.labels is not None:
            labels, scores = load_labels(item, image.shape), None
        else:
            found = segment_image(image, self.segmenter, self.settings.segment)
            labels, scores = found.labels, found.scores
            write_labels(label_path(folder, item.name), labels, image.pixel_size_um)
        if self.segmenter is not None:
            tables["outlines"] = cell_table(item.name, labels, scores)
        tables |= self.looking.look(item, recorded, labels)
        nuclei = self.source.write(item, image, labels, folder) if self.source else None
        about = self.looking.about[item.name]
        tables |= measure_field(image, labels, item.name, self.settings.measure, about, nuclei)
        if self.state_model is not None:
            tables["cells"] = classify_field(self.state_model, tables["cells"], image, labels)
        if item.name in self.shown:
            draw_outlines(overlay_path(self.out, item.name), image, labels)
            draw_puncta(puncta_path(self.out, item.name), image, labels, tables, nuclei)
        return tables

    def outputs(self, item: FieldFiles) -> list[Path]:
        made = [] if item.labels else [label_path(self.out / "labels", item.name)]
        made += self.source.outputs(item, self.out / "labels") if self.source else []
        drawn = [overlay_path(self.out, item.name), puncta_path(self.out, item.name)]
        return made + (drawn if item.name in self.shown else [])

    def inputs(self, item: FieldFiles) -> tuple[Path, ...]:
        return (*files_of(item), *(self.source.inputs(item) if self.source else ()))


def puncta_path(out: Path, name: str) -> Path:
    """Where the picture of a field's puncta goes."""
    return out / "overlays" / f"{name}_puncta.jpg"


def _pictures(
    plate: Plate, names: tuple[str, ...], out: Path, settings: AnalyseSettings
) -> dict[str, tuple[Path, Path]]:
    """Outlines and puncta of the fields that were drawn and done, by field."""
    shown = [item.name for item in spread(plate.fields, settings.overlays) if item.name in set(names)]
    return {name: (overlay_path(out, name), puncta_path(out, name)) for name in shown[:PICTURES]}


def _given(
    plate: Plate, out: Path, segmented: bool, corrections: str | Path | None
) -> tuple[Plate, Corrections | None]:
    """The plate with the label images that are not to be made: those given, and corrected ones; and the corrections."""
    if not segmented:
        return corrected(plate, corrections)
    made = {item.name: label_path(out / "labels", item.name) for item in plate.fields}
    made = {name: path for name, path in made.items() if path.is_file()}
    fixed, edits = corrected(plate.with_labels(made), corrections)
    return fixed.with_labels({f.name: f.labels for f in fixed.fields if f.labels != made.get(f.name)}), edits


def _outlined(plate: Plate, names: tuple[str, ...], out: Path) -> Plate:
    """The fields that are done, with their label images, those that the run made included."""
    done = [item for item in plate.fields if item.name in set(names)]
    own = [item.labels or label_path(out / "labels", item.name) for item in done]
    return replace(plate, fields=tuple(replace(item, labels=path) for item, path in zip(done, own)))


def _stores(plate: Plate, out: Path, cells: pd.DataFrame) -> dict[str, str]:
    """Write the plates as OME-Zarr, those of an earlier run anew; by field, what was left out and why."""
    shutil.rmtree(out / "ome-zarr", ignore_errors=True)
    return export_plates(plate, out / "ome-zarr", cells)[1]


def _tracks(plate: Plate, out: Path, settings: AnalyseSettings, engine: Engine) -> TrackResult | None:
    """Tracks, where any position was imaged more than once."""
    done = tuple(item for item in plate.fields if item.timepoint is not None)
    if len({item.series for item in done}) == len(done):
        logger.info("no position was imaged twice: nothing to track")
        return None
    timed = replace(plate, fields=done)
    return track(timed, out / "tracks", settings.track, cells=out / "cells.csv", engine=for_the_rest(engine))


def _comparison(
    tables: Mapping[str, pd.DataFrame], out: Path, settings: AnalyseSettings, exclude: Sequence[str]
) -> tuple[Comparison | None, Figures | None, str]:
    """Statistics, where there is something to compare; else the reason why not."""
    try:
        how = {"images": tables["images"], "quality": tables["quality"], "exclude": exclude}
        return *compare_tables(tables["cells"], out / "stats", settings.stats, **how), ""
    except InputError as error:
        return None, None, str(error)
