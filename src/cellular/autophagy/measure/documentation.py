"""The documented columns in words: on an axis, under a figure, and as the table ``columns.csv``."""

from collections.abc import Iterable, Mapping

import pandas as pd

from cellular.autophagy.measure.columns import IN_MICROMETRES, OPTIONAL, PATTERNS, TABLES, describe


def axis_label(name: str) -> str:
    """A measurement's name as an axis shows it, with its unit where it has one.

    >>> axis_label("mean__EGFP")
    'mean EGFP (level)'
    """
    column = describe("cells", name)
    words = name.replace("__", " ").replace("_", " ")
    return f"{words} ({column.unit})" if column and column.unit not in ("", "1") else words


def meaning(name: str) -> str:
    """The sentence that documents a measurement of cells; empty for one that is not ours."""
    column = describe("cells", name)
    return column.meaning if column else ""


def _names_of(table: str) -> list[str]:
    """Every column that a table may have."""
    known = (TABLES, IN_MICROMETRES, OPTIONAL)
    return [
        *(name for columns in known for name in columns.get(table, {})),
        *(
            f"{feature}__CHANNEL" + ("__OTHER" if "{other}" in column.meaning else "")
            for feature, column in PATTERNS.get(table, {}).items()
        ),
    ]


def documentation(tables: Mapping[str, Iterable[str]] | None = None) -> pd.DataFrame:
    """The table behind ``columns.csv``: ``table, column, unit, dtype, meaning``.

    Of the columns of `tables` (tables, or names of their columns), as far as they are ours; without them of all that
    there may be, channels that may be called anything as CHANNEL and OTHER.
    """
    every = dict.fromkeys((*TABLES, *OPTIONAL))
    names = {
        table: list(tables[table]) if tables else _names_of(table) for table in every if table in (tables or every)
    }
    rows = [(table, name, describe(table, name)) for table, columns in names.items() for name in columns]
    return pd.DataFrame(
        [
            {"table": table, "column": name, "unit": c.unit, "dtype": c.dtype, "meaning": c.meaning}
            for table, name, c in rows
            if c is not None
        ]
    )
