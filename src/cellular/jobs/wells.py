"""What is known of each field's place and well: laid over tables of what was measured, each time they are put together.

What is kept of a field is what its pixels say. A plate map may be mended after that, and then measures nothing anew.
"""

from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute

from cellular.autophagy.measure.columns import MEASURED, OF_IMAGES
from cellular.autophagy.measure.typed import typed
from cellular.data.plate import IDENTITY, Plate
from cellular.errors import InputError

_PLACES = frozenset({*IDENTITY, "treatment"})


def check_map(plate: Plate) -> None:
    """InputError where a column of the plate's map is called like a measurement, beside which it would be lost."""
    taken = {name.lower() for name in MEASURED}
    for name in plate.map_columns:
        if name.lower() in taken:
            raise InputError(f"the plate map's column '{name}' would hide what is measured under that name; rename it")


def about_fields(plate: Plate) -> dict[str, dict[str, Any]]:
    """Where each field is, by name: what is kept with its measurements."""
    return {item.name: {name: getattr(item, name) for name in IDENTITY} for item in plate.fields}


def as_known(table: pd.DataFrame, plate: Plate, kind: str = "images") -> pd.DataFrame:
    """A table of "images" or "quality", a row a field, with what `plate` knows of each field now.

    That is its place, and in "images" what its well was given.
    """
    known = plate.table().set_index("field").loc[table["field"]].reset_index(drop=True)
    old, new = list(IDENTITY), known[list(IDENTITY)]
    if kind == "images":
        old, new = told_of_wells(table), known if "treatment" in known else known.assign(treatment=None)
    # whole numbers with gaps are fractions, as in every table that is put together
    whole = {name: "float64" if new[name].hasnans else "int64" for name in ("site", "timepoint")}
    return typed(kind, dict(table.drop(columns=old, errors="ignore")) | dict(new.astype(whole)))


def with_wells(part: pa.Table, images: pa.Table) -> pa.Table:
    """The part of a table with the columns of `images` (a row a field) that it has not, after its field and label."""
    names = [name for name in images.column_names if name not in part.column_names]
    known = images.select(names).take(pa.compute.index_in(part["field"], images["field"].combine_chunks()))
    columns = dict(zip(part.column_names, part.columns))
    lead = {name: columns.pop(name) for name in ("field", "nucleus", "label") if name in columns}
    return pa.table({**lead, **dict(zip(names, known.columns)), **columns})


def told_of_wells(images: pd.DataFrame) -> list[str]:
    """The columns of a table of images that say where a field is, and what its well was given."""
    return [name for name in images if "__" not in name and (name in _PLACES or name not in OF_IMAGES)]
