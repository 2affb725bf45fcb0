"""`cellular measure`: images and label images in; tables of cells, puncta and images out."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from cellular.autophagy.measure.columns import documentation
from cellular.autophagy.measure.field import MeasureSettings, measure_field
from cellular.autophagy.measure.puncta import SIGMAS_PX
from cellular.data.find import find_plate
from cellular.data.formats.image_file import describe_image
from cellular.data.formats.images import write_image
from cellular.data.image import FieldImage, load_labels, read_field
from cellular.data.plate import FieldFiles, Plate
from cellular.errors import CellularError, InputError, import_extra
from cellular.files import whole_file, write_csv, write_json
from cellular.jobs.runner import Work, claimed, each_field, files_of, write_problems
from cellular.labels.diameter import median_diameter
from cellular.report.autophagy import puncta_overlay
from cellular.settings import settings_to_dict

logger = logging.getLogger(__name__)

TABLES = ("puncta", "images", "cells")
NEEDED = ("mRFP", "EGFP")
# The cells' diameter, where puncta's sizes go by it, is the median over this many fields.
DIAMETER_FIELDS = 8


@dataclass(frozen=True)
class MeasureResult:
    """What came out: the tables of all fields, and by field what was passed over and why."""

    cells: pd.DataFrame
    puncta: pd.DataFrame
    images: pd.DataFrame
    problems: dict[str, str]


def measure(
    plate: Plate | str | Path,
    labels: str | Path | None,
    out: str | Path,
    settings: MeasureSettings | None = None,
    *,
    formats: Sequence[str] = ("csv",),
    overlays: int = 4,
) -> MeasureResult:
    """Measure every field of `plate` that has a label image, and write the tables to folder `out`.

    `out` gets ``cells``, ``puncta`` and ``images`` in each of `formats` (csv, parquet, anndata), ``columns.csv`` with
    the unit and meaning of every column, ``problems.csv``, ``measure.json``, ``plate.json``, ``overlays/`` with
    pictures of the puncta of `overlays` fields, and ``fields/``. A field that cannot be read or measured is reported
    and passed
    over; run again with the same settings, fields that are done are kept. With others, OutputExistsError is raised.

    Parameters
    ----------
    plate : or a folder for :func:`cellular.data.find.find_plate`; it needs the channels mRFP and EGFP.
    labels : folder of label images; None takes those of the plate.

    Raises
    ------
    InputError : a channel is not known, or no field could be measured.
    """
    settings = settings or MeasureSettings()
    _check_formats(formats)
    plate = plate if isinstance(plate, Plate) else find_plate(plate, labels=labels)
    plate.require(*NEEDED, what="measuring the reporter")
    labelled = tuple(item for item in plate.fields if item.labels)
    where = labels or plate.folder
    if not labelled:
        raise InputError(
            f"{where} holds no label image of any of the {len(plate)} fields, such as {plate.fields[0].name}"
        )
    settings = with_puncta_sizes(settings, plate, labelled)
    record = {
        **settings_to_dict(settings),
        "images": str(plate.folder),
        "labels": str(where),
        "channels": roles_of(plate),
    }
    with claimed(out, "measure", record) as folder:
        write_json(folder / "plate.json", plate.as_dict())
        shown = spread(labelled, overlays)
        work = measure_work(plate, folder, settings, {item.name for item in shown})
        done = each_field(replace(plate, fields=labelled), folder, work, desc="measure")
        problems = {item.name: f"no label image in {where}" for item in plate.fields if not item.labels} | done.problems
        tables = {name: done.tables[name] for name in TABLES}
        tables["cells"] = with_wells(tables["cells"], tables["images"])
        write_tables(tables, folder, formats)
        write_problems(folder, problems)
    return MeasureResult(problems=problems, **tables)


def measure_work(plate: Plate, out: Path, settings: MeasureSettings, shown: set[str]) -> Work:
    """Measuring one field that has labels; fields in `shown` get a picture of their puncta."""
    about = about_fields(plate)

    def do(item: FieldFiles) -> Mapping[str, pd.DataFrame]:
        image = read_field(item)
        labels = load_labels(item, image.shape)
        tables = measure_field(image, labels, item.name, settings, about[item.name])
        if item.name in shown:
            draw_puncta(out / "overlays" / f"{item.name}.jpg", image, labels, tables["puncta"])
        return tables

    return Work(do, files_of)


def draw_puncta(path: Path, image: FieldImage, labels: np.ndarray, puncta: pd.DataFrame) -> None:
    """Write the picture of a field's puncta."""
    write_image(path, puncta_overlay(image.array(), labels, puncta))


def about_fields(plate: Plate) -> dict[str, dict]:
    """What is known of each field besides its pixels, by name: see :meth:`Plate.table`."""
    table = plate.table().set_index("field")
    return {name: row.where(row.notna(), None).to_dict() for name, row in table.astype(object).iterrows()}


def roles_of(plate: Plate) -> dict[str, str | None]:
    """Role of each channel by its token, for the record."""
    return {source.token: source.role for source in plate.channels}


def spread(items: Sequence[FieldFiles], count: int) -> Sequence[FieldFiles]:
    """`count` of the items, evenly spread."""
    return items[:: max(1, len(items) // max(1, count))][:count]


def with_wells(cells: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    """The cells with plate, well, site, timepoint and what the plate map says after their field and label."""
    documented = {"field", "date", "height", "width", "pixel_size_um", "source", "cells", "puncta"}
    names = [name for name in images if name not in documented and "__" not in name and name not in cells]
    known = images.set_index("field")[names].reindex(cells["field"])
    told = [name for name in names if known[name].notna().any()]
    parts = [cells[["field", "label"]], known[told].set_axis(cells.index), cells.drop(columns=["field", "label"])]
    return pd.concat(parts, axis=1)


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
    if plate.scheme == "cellular":
        return replace(settings, puncta=replace(puncta, min_sigma=SIGMAS_PX[0], max_sigma=SIGMAS_PX[1], unit="px"))
    size = settings.pixel_size_um or pixel_size_of(items)
    cell_px = None if size else cell_px or labelled_diameter(items)
    puncta = puncta.resolved(size, cell_px)
    by = "the pixel size" if size else f"the cells' diameter of {cell_px:.0f} px; give --pixel_size or --min_sigma"
    logger.info("puncta of sigma %.3g to %.3g %s, by %s", puncta.min_sigma, puncta.max_sigma, puncta.unit, by)
    return replace(settings, puncta=puncta)


def pixel_size_of(items: Sequence[FieldFiles]) -> float | None:
    """Pixel size, um, of the first field that can be read; None where its file does not say."""
    for item in items:
        if item.pixel_size_um:
            return item.pixel_size_um
        try:
            source = item.sources[0]
            return describe_image(source.slices[0][0])[source.scene].pixel_size_um
        except CellularError:
            continue
    return None


def labelled_diameter(items: Sequence[FieldFiles]) -> float:
    """Median diameter, px, of the cells of a few label images."""
    found = []
    for item in spread(items, DIAMETER_FIELDS):
        try:
            found.append(median_diameter(load_labels(item)))
        except CellularError as error:
            logger.debug("%s", error)
    found = [value for value in found if value > 0]
    if not found:
        raise InputError("No label image shows a cell to go by: give puncta's sizes with --min_sigma and --max_sigma")
    return round(float(np.median(found)), 1)


def write_tables(tables: Mapping[str, pd.DataFrame], out: Path, formats: Sequence[str]) -> None:
    """Write the tables in each format, and the documentation of their columns beside them."""
    for name, table in tables.items():
        if "csv" in formats:
            write_csv(out / f"{name}.csv", table)
        if "parquet" in formats:
            with whole_file(out / f"{name}.parquet") as temporary:
                table.to_parquet(temporary, index=False)
    if "anndata" in formats:
        with whole_file(out / "cells.h5ad") as temporary:
            to_anndata(tables["cells"], tables["images"]).write_h5ad(temporary)
    write_csv(out / "columns.csv", documentation())


def to_anndata(cells: pd.DataFrame, images: pd.DataFrame):
    """AnnData of the cells: X the features (N, F), obs the cell and its image, ``obsm["spatial"]`` x and y in px.

    Raises MissingExtraError without the extra `anndata`.
    """
    anndata = import_extra("anndata", "anndata")
    names = ["field", "label", "touches_border", "saturated"]
    given = [name for name in images if name != "field" and "__" not in name]
    features = cells.drop(columns=[*names, "y", "x", *given], errors="ignore")
    about = images[["field", *[n for n in given if n not in ("height", "width", "cells", "puncta", "pixel_size_um")]]]
    obs = cells[names].merge(about, on="field", how="left", validate="many_to_one")
    for name in obs.select_dtypes("object"):
        obs[name] = obs[name].astype("category")
    obs.index = cells["field"] + "/" + cells["label"].astype(str)
    units = documentation().query("table == 'cells'").set_index("column").loc[features.columns, ["unit", "meaning"]]
    return anndata.AnnData(
        X=features.to_numpy(np.float32), obs=obs, var=units, obsm={"spatial": cells[["x", "y"]].to_numpy()}
    )


def _check_formats(formats: Sequence[str]) -> None:
    unknown = sorted(set(formats) - {"csv", "parquet", "anndata"})
    if unknown or "csv" not in formats:
        raise InputError(f"formats {list(formats)}: csv is always written; parquet and anndata may be added")
    if "parquet" in formats:
        import_extra("pyarrow", "parquet")
    if "anndata" in formats:
        import_extra("anndata", "anndata")
