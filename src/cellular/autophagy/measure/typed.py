"""Tables with their documented columns, in order and type."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from cellular.autophagy.measure.columns import OPTIONAL, TABLES, describe


def typed(table: str, values: Mapping[str, np.ndarray | list]) -> pd.DataFrame:
    """A table of `values` in documented order and types (text is object, missing None), further columns after them."""
    first = [name for name in TABLES.get(table, OPTIONAL[table]) if name in values]
    names = [*first, *(name for name in values if name not in first)]
    found = {name: describe(table, name) for name in names}
    types = {name: "object" if c is None or c.dtype == "str" else c.dtype for name, c in found.items()}
    return pd.DataFrame({name: pd.Series(values[name]) for name in types}).astype(
        {name: kind for name, kind in types.items() if kind != "int64"} | _whole(types, values)
    )


def _whole(types: Mapping[str, str], values: Mapping[str, np.ndarray | list]) -> dict[str, str]:
    """Whole-number columns; those with missing values (a site that the name does not tell) as nullable integers."""
    return {
        name: "Int64" if pd.isna(pd.Series(values[name])).any() else "int64"
        for name, kind in types.items()
        if kind == "int64"
    }
