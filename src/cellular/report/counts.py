"""How many went into a result, as a page tells it: "7", or "7 of 8" where fields were left out."""

from collections.abc import Sequence

import pandas as pd

BEFORE = "_before"


def interval_name(level: float) -> str:
    """What a column of intervals is called.

    >>> interval_name(0.95)
    '95 % interval'
    """
    return f"{100 * level:.3g} % interval"


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
