"""A plate, its label images and its cells as OME-Zarr plates: one store a plate, which viewers and ngio open."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from cellular.autophagy.state.by_hand import check_measured
from cellular.data.formats.write_plate import PlateField, write_plate
from cellular.data.image import load_labels, read_field
from cellular.data.plate import IDENTITY, FieldFiles, Plate, plates_apart
from cellular.errors import CellularError, InputError, import_extra
from cellular.progress import progress
from cellular.tables import find_table, read_table


def check_stores(plate: Plate) -> None:
    """Raise, before hours of work, MissingExtraError where what writes stores is not there, InputError: no wells."""
    import_extra("anndata", "anndata")
    import_extra("ome_zarr", "zarr")
    _placed(plate)


def _placed(plate: Plate) -> list[FieldFiles]:
    """The fields of wells, at the first timepoint."""
    placed = [item for item in plate.fields if item.well and item.timepoint in (None, _first_time(plate))]
    if not placed:
        raise InputError(
            f"{plate.folder}: no field has a well, and a plate's store is made of wells; see --pattern. Of images of "
            "no plate, cellular export RUN --to ome-zarr writes a store a field"
        )
    return placed


def export_plates(
    plate: Plate, out: str | Path, cells: pd.DataFrame | None = None, *, version: str = "0.4"
) -> tuple[list[Path], dict[str, str]]:
    """Write ``out/<plate>.ome.zarr`` for each plate: images, label images "cells" and, where given, their table.

    Parameters
    ----------
    plate : fields with wells; those with label images carry them.
    cells : a row a cell with ``field`` and ``label``, as `measure` and `analyse` write.
    version : of OME-Zarr, "0.4" or "0.5".

    Returns
    -------
    The stores, and by field what was left out and why.

    Raises
    ------
    InputError : no field has a well. OutputExistsError : a store is there already.
    """
    placed = _placed(plate)
    left_out = [item.name for item in plate.fields if item not in placed]
    problems = dict.fromkeys(left_out, "no well, or a later timepoint; a plate's store holds one")
    stores = []
    apart = dict(zip((item.name for item in plate.fields), plates_apart(plate.table())))
    for name in sorted({apart[item.name] for item in placed}):
        fields = [item for item in placed if apart[item.name] == name]
        name = name or "plate"
        path = Path(out) / f"{name}.ome.zarr"
        told = table_of_names(cells, plate.map_columns)
        stores.append(write_plate(path, _written(fields, told, problems, name), name=name, version=version))
    return stores, problems


def table_of_run(run: str | Path, plate: Plate) -> pd.DataFrame | None:
    """A run's table of cells as :func:`export_plates` takes it; None where there is none."""
    path = find_table(Path(run), "cells")
    table = read_table(path) if path else None
    table = table.rename(columns={"image": "field"}) if table is not None and "field" not in table else table
    return table_of_names(table, plate.map_columns)


def table_of_names(cells: pd.DataFrame | None, map_columns: Sequence[str]) -> pd.DataFrame | None:
    """The cells with where they are and what they were given as words: a store's numbers are measurements."""
    if cells is None:
        return None
    words = [name for name in (*IDENTITY, *map_columns) if name in cells]
    return cells.astype(dict.fromkeys(words, str))


def _first_time(plate: Plate) -> int | None:
    times = [item.timepoint for item in plate.fields if item.timepoint is not None]
    return min(times, default=None)


def _written(
    fields: Sequence[FieldFiles], cells: pd.DataFrame | None, problems: dict[str, str], name: str
) -> Iterator[PlateField]:
    """The fields as they are written, one in memory at a time; one that cannot be read is left out and named."""
    sites: dict[str | None, int] = {}
    by_field: Mapping[str, pd.DataFrame] = {} if cells is None else dict(tuple(cells.groupby("field", sort=False)))
    for item in progress(fields, desc=f"export {name}", unit="field"):
        sites[item.well] = sites.get(item.well, 0) + 1
        rows = by_field.get(item.name)
        try:
            image = read_field(item)
            labels = {"cells": load_labels(item, image.shape)} if item.labels else {}
            if labels and rows is not None:
                check_measured(item.name, rows, labels["cells"])
        except CellularError as error:
            problems[item.name] = str(error)
            continue
        called = image.names or ("",) * len(image.roles)
        names = [role or name or f"channel {k + 1}" for k, (role, name) in enumerate(zip(image.roles, called))]
        tables = {"cells": rows.drop(columns="field")} if labels and rows is not None and len(rows) else {}
        yield PlateField(
            well=item.well,
            site=sites[item.well] if item.site is None else item.site,
            image=np.moveaxis(image.pixels, -1, 0),
            channels=names,
            labels=labels,
            tables=tables,
            pixel_size_um=image.pixel_size_um,
        )
