"""Numbers as a page tells them; how many went into a result: "7", or "7 of 8" where fields were left out."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

BEFORE = "_before"


def interval_name(level: float) -> str:
    """What a column of intervals is called.

    >>> interval_name(0.95)
    '95 % interval'
    """
    return f"{100 * level:.3g} % interval"


def number(value: float) -> str:
    """Four digits, thousands set apart.

    >>> number(0.031567), number(2404.4), number(9999.7)
    ('0.03157', '2,404', '10,000')
    """
    return f"{value:,.0f}" if abs(value) >= 999.95 else f"{value:.4g}"


def intervals(low: pd.Series, high: pd.Series) -> list[str | None]:
    """The ends of each interval in the digits of its estimate, which lies between them in print too; None for none."""
    pairs = zip(low.astype(float), high.astype(float))
    return [None if np.isnan(a) else f"{number(a)} to {number(b)}" for a, b in pairs]


def told_n(table: pd.DataFrame, names: Sequence[str] | None = None) -> pd.DataFrame:
    """The table with its ``<n>`` and ``<n>_before`` (integers) as one column of text.

    Without `names`, of every column that has a ``<n>_before``. Where nothing was left out they stay the numbers they
    are.

    >>> told_n(pd.DataFrame({"wells": [3, 2], "wells_before": [3, 3]}))["wells"].tolist()
    ['3', '2 of 3']
    """
    names = names or [name.removesuffix(BEFORE) for name in table if name.endswith(BEFORE)]
    told = {
        name: [f"{n:,}" if n == old else f"{n:,} of {old:,}" for n, old in zip(table[name], table[name + BEFORE])]
        for name in names
        if name + BEFORE in table
    }
    return table.assign(**told).drop(columns=[name + BEFORE for name in told])
