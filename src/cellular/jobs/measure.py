"""`cellular measure`: images and label images in; tables of cells, puncta and images out."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from cellular.autophagy.measure.columns import documentation
from cellular.autophagy.measure.field import MeasureSettings, measure_field
from cellular.data.formats.images import write_image
from cellular.data.pairs import Pair, find_pairs, load_image, load_labels
from cellular.errors import CellularError, InputError, import_extra
from cellular.files import INPUTS, claim_folder, made_of, read_csv, together, whole_file, write_csv, write_inputs
from cellular.progress import progress
from cellular.report.autophagy import puncta_overlay
from cellular.settings import settings_to_dict
from cellular.track.series import find_label_images

logger = logging.getLogger(__name__)

TABLES = ("puncta", "images", "cells")


@dataclass(frozen=True)
class MeasureResult:
    """What came out: the tables of all fields, and by field what was passed over and why."""

    cells: pd.DataFrame
    puncta: pd.DataFrame
    images: pd.DataFrame
    problems: dict[str, str]


def measure_files(
    images: str | Path,
    labels: str | Path,
    out: str | Path,
    settings: MeasureSettings | None = None,
    *,
    formats: Sequence[str] = ("csv",),
    overlays: int = 4,
) -> MeasureResult:
    """Measure every field of `images` that has a label image in `labels`, and write the tables to folder `out`.

    `out` gets ``cells``, ``puncta`` and ``images`` in each of `formats` (csv, parquet, anndata), ``columns.csv`` with
    the unit and meaning of every column, ``problems.csv``, ``measure.json``, ``overlays/`` with pictures of the puncta
    of `overlays` fields, and ``fields/``. A field that cannot be read or measured is reported and passed over; run
    again with the same settings, fields that are done are kept. With others, OutputExistsError is raised.
    """
    settings, out = settings or MeasureSettings(), Path(out)
    _check_formats(formats)
    pairs = find_pairs(images, labels=False)
    found = find_label_images(labels)
    record = {**settings_to_dict(settings), "images": str(images), "labels": str(labels)}
    claim_folder(out, "measure.json", record, "other settings, images or labels")
    problems = {pair.name: f"no label image in {labels}" for pair in pairs if pair.name not in found}
    pairs = [replace(pair, labels=found[pair.name]) for pair in pairs if pair.name in found]
    shown = {pair.name for pair in pairs[:: max(1, len(pairs) // max(1, overlays))][:overlays]}
    done: list[Path] = []
    for pair in progress(pairs, desc="measure", unit="field"):
        try:
            done.append(_measure_one(pair, out, settings, overlay=pair.name in shown))
        except CellularError as error:
            problems[pair.name] = str(error)
    if not done:
        raise InputError(f"No field could be measured; first problem: {next(iter(problems.values()))}")
    tables = {name: together([read_csv(folder / f"{name}.csv") for folder in done]) for name in TABLES}
    write_tables(tables, out, formats)
    write_csv(out / "problems.csv", pd.DataFrame({"field": list(problems), "problem": list(problems.values())}))
    return MeasureResult(problems=problems, **tables)


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
    features = cells.drop(columns=[*names, "y", "x"])
    about = images[["field", "plate", "well", "site", "timepoint", "treatment"]]
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


def _measure_one(pair: Pair, out: Path, settings: MeasureSettings, *, overlay: bool) -> Path:
    """Folder with the tables of one field, kept where it was made of the same files, unchanged."""
    folder = out / "fields" / pair.name
    inputs = (*pair.images, pair.labels)
    if made_of(folder / INPUTS, inputs):
        return folder
    (folder / INPUTS).unlink(missing_ok=True)
    image = load_image(pair)
    labels = load_labels(pair, image.shape[:2])
    tables = measure_field(image, labels, pair.name, settings)
    if overlay:
        write_image(out / "overlays" / f"{pair.name}.jpg", puncta_overlay(image, labels, tables["puncta"]))
    for name in TABLES:
        write_csv(folder / f"{name}.csv", tables[name])
    write_inputs(folder / INPUTS, inputs)
    return folder
