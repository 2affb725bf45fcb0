"""Tables with their documented columns, in order and type."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from cellular.autophagy.measure.columns import OPTIONAL, TABLES, Column, describe


def typed(table: str, values: Mapping[str, np.ndarray | list]) -> pd.DataFrame:
    """A table of `values` in documented order and types (text is object, missing None), further columns after them."""
    first = [name for name in TABLES.get(table, OPTIONAL.get(table, {})) if name in values]
    names = [*first, *(name for name in values if name not in first)]
    # column by column and put together once: a frame that is changed afterwards costs more than a small field's pixels
    return pd.DataFrame({name: _column(values[name], describe(table, name)) for name in names})


def _column(given: np.ndarray | list, about: Column | None) -> pd.Series:
    """Whole numbers with missing ones among them (a site that the name does not tell) are nullable integers."""
    if about is None or about.dtype == "str":
        return pd.Series(given, dtype=object)
    values = pd.Series(given)
    if about.dtype == "int64":
        return values.astype("Int64" if values.hasnans else "int64")
    return values.astype(about.dtype)
