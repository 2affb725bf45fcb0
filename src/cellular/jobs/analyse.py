"""`cellular analyse`: a plate in; cells, puncta, states, tracks, statistics and a page to look at out."""

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from cellular.autophagy.measure.field import measure_field
from cellular.autophagy.state.by_hand import check_words
from cellular.data.find import as_plate
from cellular.data.formats.images import write_labels
from cellular.data.formats.suffixes import label_path
from cellular.data.image import load_labels, load_others
from cellular.data.listing import PLATE
from cellular.data.plate import FieldFiles, Plate
from cellular.files import sha256_of, write_json, write_text
from cellular.jobs.conclude import AnalyseResult, AnalyseSettings, conclude, outlined
from cellular.jobs.corrections import Corrections, check_states, corrected, only_labelled, told_states
from cellular.jobs.engines import HERE, Engine
from cellular.jobs.export_plate import check_stores, export_plates
from cellular.jobs.flat_field import FlatField, open_flat_field, settle
from cellular.jobs.measure import (
    OUTLINES,
    draw_puncta,
    roles_of,
    with_puncta_sizes,
    with_reporter,
)
from cellular.jobs.nuclei import NucleiSource, nuclei_source, require_seeds
from cellular.jobs.quality import Looking, check_exclusions
from cellular.jobs.runner import Work, claimed, each_field, files_of, spread, write_problems
from cellular.jobs.runs import MADE_WITH
from cellular.jobs.scale import Scale, common_scale, known_of, read_comparable
from cellular.jobs.segment import (
    cell_table,
    draw_outlines,
    forget_overlays,
    model_record,
    overlay_path,
    plate_diameter,
    segment_field,
)
from cellular.jobs.wells import check_map
from cellular.report.provenance import versions
from cellular.segment.segmenter import Segmenter
from cellular.settings import settings_to_dict

if TYPE_CHECKING:
    from cellular.autophagy.state.crop_model import CropModel
    from cellular.autophagy.state.tree_model import TreeModel

logger = logging.getLogger(__name__)


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
    csv: bool = False,
) -> AnalyseResult:
    """Analyse every field of `plate` and write everything to `out`.

    Each field is decoded once: it is segmented, measured, its cells' states are told and its pictures drawn in one go.

    Parameters
    ----------
    plate : or a folder for :func:`cellular.data.find.find_plate`; its channels as for
        :func:`cellular.jobs.measure.with_reporter`.
    out : gets ``labels/``, ``fields/<field>/``, the tables ``cells``, ``puncta``, ``images``, ``outlines`` and
        ``quality`` as Parquet and, up to a spreadsheet's 1,048,575 rows, as CSV, ``columns.csv``,
        ``drift.csv``, ``flat_field/``, ``overlays/``, ``thumbnails/``, ``gallery/``, ``tracks/``, ``stats/``,
        ``problems.csv``, ``plate.json``, ``analyse.json`` and ``report.html``.
    labels : folder of label images, in place of segmenting.
    exclude : fields to leave out of the comparison: "flagged", names, or files that list them. They are measured all
        the same; with others the same run is continued.
    config : what the command line was told, as TOML, to keep as ``config.toml``.
    ome_zarr : write each plate as ``ome-zarr/<plate>.ome.zarr`` too: images, outlines and cells' tables.
    corrections : folder of corrections of the run's label images: the fields that it corrects are measured by these,
        the same run is continued, and ``images`` tells how many cells were edited; states told by hand stand in
        ``cells`` over the model's.
    engine : where the fields are done; the result is the same. See :mod:`cellular.jobs.engines`.
    csv : write tables of any length as CSV too.

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
    check_map(plate)
    settings = replace(settings, measure=with_reporter(plate, settings.measure))
    # models and labels are opened before anything is written: a wrong name must not cost a night, or claim the folder
    check_exclusions(exclude, plate)
    if ome_zarr:
        check_stores(plate)
    if settings.segment.seeds:
        require_seeds(plate, settings.nuclei, labels)
    flat = open_flat_field(plate, settings.flat_field)
    segmenter = None if labels is not None else Segmenter.from_pretrained(settings.model, settings.device)
    state_model = _state_model(settings.state_model) if settings.state_model else None
    settings = _settled(plate, segmenter, settings)
    nuclei = nuclei_source(plate, settings.nuclei, labels, settings.device, settings.segment.precision)
    given, edits = _given(plate, out, segmenter is not None, corrections)
    if state_model is not None and (told := told_states(given, edits)) is not None:
        check_words(told, state_model.settings.known)
    record = {**settings_to_dict(settings), "plate": str(plate.folder), "labels": str(labels) if labels else None}
    record |= {"channels": roles_of(plate), "map": plate.map_file}
    record |= model_record(segmenter) if segmenter else {}
    record |= {"nuclei_from": nuclei.record()} if nuclei else {}
    record |= {"state_model_sha256": sha256_of(settings.state_model)} if settings.state_model else {}
    record |= flat.record()
    with claimed(out, "analyse", record, engine):
        write_json(out / PLATE, given.as_dict())
        if config is not None:
            write_text(out / "config.toml", config)
        used = {"exclude": list(exclude), "corrections": _told_from(out, corrections)}
        write_json(out / MADE_WITH, {"versions": versions(), **used})
        labelled = given if segmenter else only_labelled(given)
        missing = {f.name: f"no label image in {labels}" for f in given.fields if not segmenter and not f.labels}
        flat = settle(flat, given, out, engine)  # as measure: light falls on fields without outlines too
        work = _work(labelled, out, settings, segmenter, state_model, nuclei, flat)
        done = each_field(labelled, out, work, desc="analyse", engine=engine)
        found = conclude(given, done, out, settings, record, flat, exclude, missing, edits, engine, csv)
        if state_model is not None:
            _warn_of_states(state_model, found)
        if ome_zarr:
            problems = found.problems | _stores(outlined(given, done.names, out), out, found.tables["cells"])
            write_problems(out, problems)
            found = replace(found, problems=problems)
        elif (out / "ome-zarr").is_dir():
            logger.warning("%s is of an earlier run; --ome_zarr writes it again", out / "ome-zarr")
    return found


def _state_model(path: str) -> "CropModel | TreeModel":
    from cellular.jobs.classify import read_state_model  # slow to import, and most runs tell no states

    return read_state_model(path)


def _warn_of_states(model: "CropModel | TreeModel", found: AnalyseResult) -> None:
    from cellular.jobs.classify import warn_of_run

    warn_of_run(model, found.tables.files["cells"])


def _told_from(out: Path, folder: str | Path | None) -> str | None:
    """A folder as the run in `out` tells of it: one of its own by its place there, which stays when `out` is moved.

    Another is told whole: by a place in some working directory it may be called as one of the run's own.
    """
    if folder is None:
        return None
    whole, own = Path(folder).resolve(), out.resolve()
    return whole.relative_to(own).as_posix() if whole.is_relative_to(own) else str(whole)


def _settled(plate: Plate, segmenter: Segmenter | None, settings: AnalyseSettings) -> AnalyseSettings:
    """The settings with the cells' diameter and the sizes of puncta decided, one choice for the whole plate."""
    how = settings.segment.settled(segmenter) if segmenter else settings.segment
    if segmenter is not None and plate.scheme != "cellular" and how.diameter in (None, "auto"):
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
    state_model: "CropModel | TreeModel | None",
    source: NucleiSource | None,
    flat: FlatField,
) -> Work:
    """Everything that is done to one field."""
    shown = {item.name for item in spread(plate.fields, settings.overlays)}
    forget_overlays(out, (path(out, name) for name in shown for path in (overlay_path, puncta_path)))
    light, scale = flat.to_apply(), common_scale(plate.fields)
    one = _Analysing(out, settings, segmenter, state_model, source, light, shown, Looking.at(plate), scale)
    return Work(one.do, one.inputs, one.outputs, one.known)


@dataclass(frozen=True)
class _Analysing:
    out: Path
    settings: AnalyseSettings
    segmenter: Segmenter | None
    state_model: "CropModel | TreeModel | None"
    source: NucleiSource | None
    flat: FlatField
    shown: set[str]
    looking: Looking
    scale: Scale | None

    def do(self, item: FieldFiles) -> Mapping[str, pd.DataFrame]:
        recorded = read_comparable(item, self.scale)
        image = self.flat.correct(recorded, item)
        tables, folder = {}, self.out / "labels"
        if item.labels is not None or self.segmenter is None:
            labels, nuclei = load_labels(item, image.shape), None
            outlines = cell_table(item.name, labels)
        else:
            how = self.settings.segment
            labels, outlines, nuclei = segment_field(item, image, self.segmenter, how, self.source)
            write_labels(label_path(folder, item.name), labels, image.pixel_size_um)
        if self.segmenter is not None:
            tables[OUTLINES] = outlines
        others = load_others(item, image.shape)
        tables |= self.looking.look(item, recorded, labels, others)
        nuclei = self.source.write(item, image, labels, folder, nuclei) if self.source else None
        about = self.looking.about[item.name]
        tables |= measure_field(image, labels, item.name, self.settings.measure, about, nuclei, others)
        if self.state_model is not None:
            from cellular.jobs.classify import classify_field

            tables["cells"] = classify_field(self.state_model, tables["cells"], recorded, labels, others)
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

    def known(self, item: FieldFiles) -> dict[str, Any]:
        return known_of(item, self.scale)


def puncta_path(out: Path, name: str) -> Path:
    """Where the picture of a field's puncta goes."""
    return out / "overlays" / f"{name}_puncta.jpg"


def _given(
    plate: Plate, out: Path, segmented: bool, corrections: str | Path | None
) -> tuple[Plate, Corrections | None]:
    """The plate with the label images that are not to be made: those given, and corrected ones; and the corrections."""
    if not segmented:
        given, edits = corrected(plate, corrections)
        check_states(given, edits)
        return given, edits
    made = {item.name: label_path(out / "labels", item.name) for item in plate.fields}
    made = {name: path for name, path in made.items() if path.is_file()}
    fixed, edits = corrected(plate.with_labels(made), corrections)
    check_states(fixed, edits)
    mended = {f.name: f.labels for f in fixed.fields if f.labels and f.labels != made.get(f.name)}
    return fixed.with_labels(mended), edits


def _stores(plate: Plate, out: Path, cells: pd.DataFrame) -> dict[str, str]:
    """Write the plates as OME-Zarr, those of an earlier run anew; by field, what was left out and why."""
    shutil.rmtree(out / "ome-zarr", ignore_errors=True)
    return export_plates(plate, out / "ome-zarr", cells)[1]
