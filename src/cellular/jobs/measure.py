"""`cellular measure`: images and label images in; tables of cells, puncta and images out."""

import io
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from cellular.autophagy.measure.columns import OPTIONAL, TABLES
from cellular.autophagy.measure.documentation import documentation
from cellular.autophagy.measure.field import MeasureSettings, measure_field
from cellular.autophagy.measure.puncta_settings import SIGMAS_PX
from cellular.autophagy.measure.unmix import REPORTER, measured_roles
from cellular.autophagy.state.by_hand import BY_HAND, PLACE, not_there, with_states
from cellular.data.channels import MARKER
from cellular.data.find import as_plate
from cellular.data.formats.images import write_image
from cellular.data.image import FieldImage, load_labels, load_others
from cellular.data.listing import PLATE
from cellular.data.plate import FieldFiles, Plate
from cellular.errors import CellularError, InputError, import_extra
from cellular.files import of_words, write_bytes, write_csv, write_json
from cellular.jobs.corrected_meanwhile import as_measured_by
from cellular.jobs.corrections import check_states, corrected, only_labelled, told_states, with_counts
from cellular.jobs.engines import HERE, Engine
from cellular.jobs.flat_field import FlatField, open_flat_field, settle
from cellular.jobs.nuclei import AUTO, NucleiSource, nuclei_source
from cellular.jobs.runner import Joined, Work, claimed, each_field, files_of, spread, write_problems
from cellular.jobs.scale import Scale, common_scale, known_of, read_comparable
from cellular.jobs.segment import forget_overlays, overlay_path
from cellular.jobs.wells import about_fields, as_known, check_map, told_of_wells, with_wells
from cellular.labels.diameter import median_diameter
from cellular.report.autophagy import puncta_overlay
from cellular.report.outlines import colour_image
from cellular.settings import settings_to_dict
from cellular.tables import Tables, from_frame, read_table, to_frame, write_table

logger = logging.getLogger(__name__)

# Tables of cells, and of what is in them: each row tells of its well.
OF_CELLS = ("cells", "puncta", "nuclei", "marker_puncta")
# What `analyse` tells of the outlines that it made.
OUTLINES = "outlines"
H5AD = "cells.h5ad"
# The cells' diameter, where puncta's sizes go by it, is the median over this many fields.
DIAMETER_FIELDS = 8


@dataclass(frozen=True)
class MeasureResult:
    """What came out: the tables of all fields by name, read when asked for; by field what was passed over and why."""

    tables: Tables
    problems: dict[str, str]

    @property
    def cells(self) -> pd.DataFrame:
        """A row a cell."""
        return self.tables["cells"]

    @property
    def images(self) -> pd.DataFrame:
        """A row a field."""
        return self.tables["images"]

    @property
    def puncta(self) -> pd.DataFrame:
        """A row a punctum of the reporter; empty where there is none."""
        return self.tables["puncta"] if "puncta" in self.tables else pd.DataFrame()


def measure(
    plate: Plate | str | Path,
    labels: str | Path | None,
    out: str | Path,
    settings: MeasureSettings | None = None,
    *,
    formats: Sequence[str] = (),
    overlays: int = 4,
    nuclei: str = AUTO,
    device: str = "auto",
    flat_field: str | None = None,
    corrections: str | Path | None = None,
    engine: Engine = HERE,
) -> MeasureResult:
    """Measure every field of `plate` that has a label image, and write the tables to folder `out`.

    `out` gets ``cells``, ``images``, ``puncta`` (with a reporter), ``nuclei`` (with DNA) and ``marker_puncta`` (with
    markers) as Parquet, and as CSV up to a spreadsheet's 1,048,575 rows, ``columns.csv`` with the unit and meaning of
    every column,
    ``problems.csv``, ``measure.json``, ``plate.json``, ``labels/`` with label images of nuclei, ``overlays/`` with
    pictures of the puncta of `overlays` fields, and ``fields/``. A field that cannot be read or measured is reported
    and passed over; run again with the same settings, fields that are done are kept. With others, OutputExistsError is
    raised.

    Parameters
    ----------
    plate : or a folder for :func:`cellular.data.find.find_plate`; see :func:`with_reporter`.
    formats : "csv" writes tables of any length as CSV too, "anndata" the cells as ``cells.h5ad``.
    labels : folder of label images; None takes those of the plate.
    nuclei, device : "auto", "off" or a folder, and on what they are found; see
        :func:`cellular.jobs.nuclei.nuclei_source`.
    flat_field : "auto" evens out the light where that helps, a folder by its flat-field images; ``flat_field/`` tells.
    corrections : folder of corrections (see :mod:`cellular.jobs.corrections`): corrected fields are measured anew, no
        others; ``images`` tells how many cells were edited, ``cells`` what states were told by hand.
    engine : where the fields are done; the result is the same. See :mod:`cellular.jobs.engines`.

    Raises
    ------
    InputError : a channel is not known, no field could be measured, or a label image has changed since its correction.

    Examples
    --------
    >>> import cellular
    >>> from cellular.simulate import SimulationSettings
    >>> made = cellular.simulate("sim", SimulationSettings(fields=1, size_px=160, diameter_px=30))
    >>> tables = cellular.measure(made.images, made.truth, "measured", overlays=0)
    >>> len(tables.cells) == made.cells, {"field", "label", "area", "puncta_yellow"} <= set(tables.cells)
    (True, True)
    """
    settings = settings or MeasureSettings()
    _check_formats(formats)
    plate = as_plate(plate, labels)
    check_map(plate)
    settings = with_reporter(plate, settings)
    labelled = tuple(item for item in plate.fields if item.labels)
    where = labels or plate.folder
    if not labelled:
        raise InputError(
            f"{where} holds no label image of any of the {len(plate)} fields, such as {plate.fields[0].name}"
        )
    settings = with_puncta_sizes(settings, plate, labelled)
    source = nuclei_source(replace(plate, fields=labelled), nuclei, labels, device)
    flat = open_flat_field(plate, flat_field)
    # after all that is settled by the cells' size: a corrected outline must not move the settings of the plate
    corrected_plate, edits = corrected(plate, corrections)
    check_states(corrected_plate, edits)
    labelled = only_labelled(corrected_plate).fields
    record = {
        **settings_to_dict(settings),
        "images": str(plate.folder),
        "labels": str(where),
        "channels": roles_of(plate),
        "nuclei": {"from": nuclei, **(source.record() if source else {})},
        "flat_field": flat_field,
        **flat.record(),
    }
    with claimed(out, "measure", record, engine) as folder:
        write_json(folder / PLATE, corrected_plate.as_dict())
        shown = {item.name for item in spread(labelled, overlays)}
        forget_overlays(folder, (overlay_path(folder, name) for name in shown))
        flat = settle(flat, plate, folder, engine)
        work = measure_work(plate, folder, settings, shown, flat, source)
        done = each_field(replace(plate, fields=labelled), folder, work, desc="measure", engine=engine)
        problems = {
            item.name: f"no label image in {where}" for item in corrected_plate.fields if not item.labels
        } | done.problems
        told = as_measured_by(edits, plate)
        held = {"images": with_counts(as_known(done.tables["images"], plate), told)}
        states = told_states(plate, told)
        (folder / H5AD).unlink(missing_ok=True)
        tables = write_tables(done.tables, held, folder, "csv" in formats, states)
        problems = lost_states(tables, states) | problems
        if "anndata" in formats:
            write_h5ad(folder / H5AD, to_anndata(tables["cells"], tables["images"]))
        write_problems(folder, problems)
    return MeasureResult(tables, problems)


def with_reporter(plate: Plate, settings: MeasureSettings) -> MeasureSettings:
    """The settings with the reporter decided for the whole plate; InputError where a channel it needs is not known.

    A field that lacks what the others have is then passed over, not measured by other rules. A plate without mRFP or
    EGFP is measured by what it has, as long as each of its channels is known: else the missing one may be there, and
    nobody has named it.
    """
    plate.require(*settings.needs, what=f"the reporter {settings.reporter}")
    missing = [role for role in REPORTER if not any(item.has(role) for item in plate.fields)]
    known = measured_roles([source.role for source in plate.channels]) or any(
        f.kind == "composite" for f in plate.fields
    )
    if not known:
        token = next((source.token for source in plate.channels if source.token), "w1")
        instead = f" or, without these, a role for every channel (such as DNA={token} or marker:NAME={token})"
        plate.require(*missing, what="measuring", instead=instead)
    if settings.reporter != "auto":
        return settings
    if not missing:
        return replace(settings, reporter="tandem")
    if any(source.role is None for source in plate.channels):
        plate.require(*missing, what="the tandem reporter (--reporter none measures only the channels that are named)")
    logger.info("without %s no puncta are told to be yellow or red-only", " and ".join(missing))
    return settings


def measure_work(
    plate: Plate,
    out: Path,
    settings: MeasureSettings,
    shown: set[str],
    flat: FlatField,
    source: NucleiSource | None = None,
) -> Work:
    """Measuring one field that has labels; fields in `shown` get a picture of their puncta."""
    one = _Measuring(out, settings, shown, flat.to_apply(), source, about_fields(plate), common_scale(plate.fields))
    return Work(one.do, one.inputs, one.outputs, one.known)


@dataclass(frozen=True)
class _Measuring:
    out: Path
    settings: MeasureSettings
    shown: set[str]
    flat: FlatField
    source: NucleiSource | None
    about: Mapping[str, dict]
    scale: Scale | None

    def do(self, item: FieldFiles) -> Mapping[str, pd.DataFrame]:
        image = self.flat.correct(read_comparable(item, self.scale), item)
        labels = load_labels(item, image.shape)
        nuclei = self.source.write(item, image, labels, self.out / "labels") if self.source else None
        about, others = self.about[item.name], load_others(item, image.shape)
        tables = measure_field(image, labels, item.name, self.settings, about, nuclei, others)
        if item.name in self.shown:
            draw_puncta(overlay_path(self.out, item.name), image, labels, tables, nuclei)
        return tables

    def inputs(self, item: FieldFiles) -> tuple[Path, ...]:
        return (*files_of(item), *(self.source.inputs(item) if self.source else ()))

    def outputs(self, item: FieldFiles) -> Sequence[Path]:
        made = self.source.outputs(item, self.out / "labels") if self.source else []
        return [*made, *([overlay_path(self.out, item.name)] if item.name in self.shown else [])]

    def known(self, item: FieldFiles) -> dict[str, Any]:
        return known_of(item, self.scale)


def draw_puncta(
    path: Path,
    image: FieldImage,
    labels: np.ndarray,
    tables: Mapping[str, pd.DataFrame],
    nuclei: np.ndarray | None = None,
) -> None:
    """Write the picture of a field's puncta, those of the reporter or else of markers, and of its nuclei."""
    puncta = tables.get("puncta", tables.get("marker_puncta"))
    write_image(path, puncta_overlay(colour_image(image), labels, puncta, nuclei))


def roles_of(plate: Plate) -> dict[str, str | None]:
    """Role of each channel by what it is called, for the record."""
    return {source.called: source.role for source in plate.channels}


def with_puncta_sizes(
    settings: MeasureSettings, plate: Plate, items: Sequence[FieldFiles], cell_px: float | None = None
) -> MeasureSettings:
    """The settings with sizes of puncta: as given, CELLULAR's own, by the pixel size, or by the cells' diameter.

    One choice for the whole plate: fields measured by different rules could not be compared. `cell_px` is the diameter
    where it is known, px; else it is taken from the label images of `items`.
    """
    puncta = settings.puncta
    if puncta.min_sigma is not None:
        return settings
    # where none are sought any sizes do, and no pixels are too coarse for them
    if (plate.scheme == "cellular" and puncta.unit == "px") or not _seeks_puncta(plate, settings):
        return replace(settings, puncta=replace(puncta, min_sigma=SIGMAS_PX[0], max_sigma=SIGMAS_PX[1], unit="px"))
    scale = None if settings.pixel_size_um else common_scale(items)
    size = settings.pixel_size_um or (scale.pixel_size_um if scale else None)
    cell_px = None if size else cell_px or labelled_diameter(items)
    puncta = puncta.resolved(size, cell_px)
    by = "the pixel size" if size else f"the cells' diameter of {cell_px:.0f} px; give --pixel_size or --min_sigma"
    logger.info("puncta of sigma %.3g to %.3g %s, by %s", puncta.min_sigma, puncta.max_sigma, puncta.unit, by)
    return replace(settings, puncta=puncta)


def _seeks_puncta(plate: Plate, settings: MeasureSettings) -> bool:
    """Whether there is a reporter that is no network, or a marker."""
    markers = any((source.role or "").startswith(MARKER) for source in plate.channels)
    reporter = any(item.has(role) for item in plate.fields for role in REPORTER)
    return markers or (reporter and settings.reporter not in ("mito-qc", "mt-keima"))


def labelled_diameter(items: Sequence[FieldFiles]) -> float:
    """Median diameter, px, of the cells of a few label images."""
    few = spread(items, DIAMETER_FIELDS)
    return round(median_of_fields(few, "puncta's sizes with --min_sigma and --max_sigma"), 1)


def median_of_fields(items: Sequence[FieldFiles], remedy: str) -> float:
    """Median over fields of the median diameter (px) of their cells; `remedy` is what to give where there are none.

    Raises InputError where no label image can be read or shows a cell.
    """
    found, wrong = [], []
    for item in items:
        try:
            found.append(median_diameter(load_labels(item)))
        except CellularError as error:
            wrong.append(str(error))
    if wrong and not found:
        raise InputError(f"No label image can be read, first: {wrong[0]}")
    found = [value for value in found if value > 0]
    if not found:
        raise InputError(f"No label image shows a cell to go by: give {remedy}")
    return float(np.median(found))


def write_tables(
    found: Joined,
    held: Mapping[str, pd.DataFrame],
    out: Path,
    csv: bool = False,
    states: pd.DataFrame | None = None,
) -> Tables:
    """Write the tables that were `found` of each field, and those `held`, and the documentation of their columns.

    `held` has "images": tables of cells and of what is in them get what it knows of wells. `csv` as for
    :func:`cellular.tables.write_table`. `states` are those told by hand: what is kept of a field is the model's own, so
    that a stroke measures nothing anew. No table is ever in memory but those that are held.
    """
    images = held["images"]
    told = [name for name in told_of_wells(images) if name != "date"]
    about = from_frame(images[["field", *told]])
    names = [name for name in (*TABLES, *OPTIONAL, OUTLINES) if name in found or name in held]
    for path in (out / f"{name}{end}" for name in names for end in (".parquet", ".csv")):
        path.unlink(missing_ok=True)  # who is cut short leaves no puncta of other cells
    for name in names:
        if name in held:
            write_table(out, name, [from_frame(held[name])], csv=csv)
        elif name in OF_CELLS:
            parts = (with_wells(part, about) for part in found.parts(name))
            parts = parts if states is None or name != "cells" else (_with_hand(part, states) for part in parts)
            write_table(out, name, parts, csv=csv, without=told)
        else:
            write_table(out, name, found.parts(name), csv=csv)
    tables = Tables(out, names, held)
    write_csv(out / "columns.csv", documentation({name: tables.columns(name) for name in names}))
    return tables


def _with_hand(part: pa.Table, states: pd.DataFrame) -> pa.Table:
    """The cells of some fields with their states as told by hand; other columns are not touched."""
    known = [n for n in part.column_names if n in ("field", "label", *PLACE) or n.startswith(("state", "probability_"))]
    told = from_frame(with_states(to_frame(part.select(known)), states))
    return pa.table(dict(zip(part.column_names, part.columns)) | dict(zip(told.column_names, told.columns)))


def lost_states(tables: Tables, states: pd.DataFrame | None) -> dict[str, str]:
    """By field, which of the `states` told by hand stand at none of the cells of `tables`, and why."""
    if states is None:
        return {}
    cells = read_table(tables.files["cells"], columns=("field", "label", BY_HAND))
    logger.info("%d state(s) told by hand", int(cells[BY_HAND].sum()))
    return not_there(cells, states)


def write_h5ad(path: Path, table: Any) -> None:
    """Write an AnnData. HDF5's library cannot close a file on a full disk, so it gets memory to write to."""
    h5py, write_elem = import_extra("h5py", "anndata"), import_extra("anndata.io", "anndata").write_elem
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        write_elem(file, "/", table)
    write_bytes(path, content.getvalue())


def to_anndata(cells: pd.DataFrame, images: pd.DataFrame) -> Any:
    """AnnData of the cells: X the features (N, F), obs the cell and its image, ``obsm["spatial"]`` x and y in px.

    Raises MissingExtraError without the extra `anndata`.
    """
    anndata = import_extra("anndata", "anndata")
    names = ["field", "label", "touches_border", "saturated", *(n for n in ("state", BY_HAND) if n in cells)]
    given = told_of_wells(images)
    features = cells.drop(columns=[*names, "y", "x", *given], errors="ignore")
    about = images[["field", *given]]
    obs = cells[names].merge(about, on="field", how="left", validate="many_to_one")
    for name in (name for name in obs if of_words(obs[name])):
        obs[name] = obs[name].astype("category")
    obs.index = cells["field"] + "/" + cells["label"].astype(str)
    units = documentation({"cells": cells}).set_index("column").loc[features.columns, ["unit", "meaning"]]
    return anndata.AnnData(
        X=features.to_numpy(np.float32), obs=obs, var=units, obsm={"spatial": cells[["x", "y"]].to_numpy()}
    )


def _check_formats(formats: Sequence[str]) -> None:
    if unknown := sorted(set(formats) - {"csv", "anndata"}):
        raise InputError(f"formats {unknown} are not known: Parquet is always written, csv and anndata when asked for")
    if "anndata" in formats:
        import_extra("anndata", "anndata")
