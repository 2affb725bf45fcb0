"""An OME-Zarr plate: every field's image, labels and tables in one store that viewers and ngio open.

Source: OME-NGFF 0.4 and 0.5, sections plate and well; tables as ngio's feature table, version 1, backend anndata.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cellular.data.formats.write_ome_zarr import (
    check_version,
    open_group,
    update_attributes,
    whole_store,
    write_image_group,
    write_label_image,
)
from cellular.errors import InputError, import_extra


@dataclass(frozen=True)
class PlateField:
    """One field of a plate, as it is written.

    Attributes
    ----------
    well, site : ``A01`` and the field's number in its well, which is its place in the store.
    image : (C, Y, X).
    channels : C names; roles where they are known.
    colours : hex colour by channel name; None takes those of the roles.
    labels : label images (Y, X) by name.
    tables : a row a cell by name, with the column "label"; a table belongs to the labels of its own name, else to the
        first.
    pixel_size_um : side of a pixel; None where it is not known.
    acquisition : number of the run of the microscope, where a plate was taken several times.
    """

    well: str
    site: int
    image: np.ndarray
    channels: Sequence[str]
    colours: Mapping[str, str] | None = None
    labels: Mapping[str, np.ndarray] = field(default_factory=dict)
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    pixel_size_um: float | None = None
    acquisition: int = 0


def write_plate(
    out: str | Path, fields: Iterable[PlateField], *, name: str | None = None, version: str = "0.4"
) -> Path:
    """Write the plate `out`, one field after the other, so that one is in memory at a time. Whole or not at all.

    Parameters
    ----------
    out : path of the store, e.g. ``plate.ome.zarr``.
    name : of the plate; None takes the store's.
    version : of OME-Zarr, "0.4" (Zarr 2) or "0.5" (Zarr 3).

    Raises OutputExistsError where `out` is there, InputError for no fields, for two fields of one place and for what
    does not fit together, MissingExtraError without the `zarr` (tables: the `anndata`) extra.
    """
    check_version(version)
    out = Path(out)
    wells: dict[tuple[str, str], dict[int, int]] = {}  # acquisition by site
    with whole_store(out) as partial:
        plate, _ = open_group(partial, version)
        for item in fields:
            row, column = _place(item)
            sites = wells.setdefault((row, column), {})
            if item.site in sites:
                raise InputError(f"{out}: two fields of well {item.well}, site {item.site}")
            sites[item.site] = item.acquisition
            open_group(partial / row, version, mode="a")
            open_group(partial / row / column, version, mode="a")
            _write_field(partial / row / column / str(item.site), item, version)
        if not wells:
            raise InputError(f"{out}: no fields to write")
        _describe_plate(plate, wells, name or out.name.split(".")[0], version)
        for (row, column), sites in wells.items():
            images = [{"path": str(site), "acquisition": sites[site]} for site in sorted(sites)]
            well = {"images": images} | ({"version": version} if version == "0.4" else {})
            update_attributes(plate[f"{row}/{column}"], version, {"well": well})
    return out


def _place(item: PlateField) -> tuple[str, str]:
    """Row and column of a field's well."""
    row, column = item.well.rstrip("0123456789"), item.well.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    if not row or not column.isdigit() or row + column != item.well:
        raise InputError(f"'{item.well}' is no well; expected a row's letter and a column's number, such as A01")
    if item.site < 0:
        raise InputError(f"well {item.well}: site {item.site}; sites count from 0 or 1")
    return row, column


def _write_field(path: Path, item: PlateField, version: str) -> None:
    where = f"{item.well}, site {item.site}"
    write_image_group(
        path, item.image, item.channels, colours=item.colours, pixel_size_um=item.pixel_size_um, name=where,
        version=version,
    )  # fmt: skip
    for name, labels in item.labels.items():
        if labels.shape != item.image.shape[1:]:
            raise InputError(f"{where}: labels '{name}' of {labels.shape} px on an image of {item.image.shape[1:]}")
        write_label_image(path, name, labels, item.pixel_size_um, version)
    if item.tables:
        _write_tables(path, item, version)


def _write_tables(path: Path, item: PlateField, version: str) -> None:
    if not item.labels:
        raise InputError(f"{item.well}, site {item.site}: tables of cells without labels")
    group, _ = open_group(path / "tables", version)
    for name, table in item.tables.items():
        region = name if name in item.labels else next(iter(item.labels))
        _write_table(group, path / "tables" / name, table, region, version)
    group.attrs["tables"] = list(item.tables)


def _write_table(group: Any, path: Path, table: pd.DataFrame, region: str, version: str) -> None:
    """A feature table: numbers in X, everything else and the label in obs."""
    anndata = import_extra("anndata", "anndata")
    if "label" not in table or table["label"].duplicated().any():
        raise InputError(f"{path.name}: a table of cells needs the column 'label', each label once")
    numbers = [name for name in table.columns if name != "label" and pd.api.types.is_numeric_dtype(table[name])]
    numbers = [name for name in numbers if not pd.api.types.is_bool_dtype(table[name])]
    others = table[[name for name in table.columns if name not in {*numbers, "label"}]]
    # missing text is of no letters, not the word nan
    others = others.astype(object).where(others.notna(), "").astype(str)
    obs = others.assign(label=table["label"].astype(np.int64).to_numpy())
    obs.index = [str(label) for label in obs["label"]]
    content = anndata.AnnData(
        table[numbers].to_numpy(np.float64), obs=obs, var=pd.DataFrame(index=[str(name) for name in numbers])
    )
    with anndata.settings.override(zarr_write_format=2 if version == "0.4" else 3):
        content.write_zarr(path)
    made = group[path.name]
    made.attrs.update(
        {
            "type": "feature_table",
            "table_version": "1",
            "region": {"path": f"../labels/{region}"},
            "backend": "anndata",
            "index_key": "label",
            "index_type": "int",
            "instance_key": "label",
        }
    )


def _describe_plate(plate: Any, wells: Mapping[tuple[str, str], Mapping[int, int]], name: str, version: str) -> None:
    rows = sorted({row for row, _ in wells}, key=lambda row: (len(row), row))
    columns = sorted({column for _, column in wells}, key=int)
    acquisitions = sorted({number for sites in wells.values() for number in sites.values()})
    content: dict[str, Any] = {
        "name": name,
        "rows": [{"name": row} for row in rows],
        "columns": [{"name": column} for column in columns],
        "wells": [
            {"path": f"{row}/{column}", "rowIndex": rows.index(row), "columnIndex": columns.index(column)}
            for row, column in sorted(wells, key=lambda well: (rows.index(well[0]), columns.index(well[1])))
        ],
        "acquisitions": [{"id": number} for number in acquisitions],
        "field_count": max(len(sites) for sites in wells.values()),
    }
    update_attributes(plate, version, {"plate": content | ({"version": version} if version == "0.4" else {})})
