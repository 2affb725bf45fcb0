"""Fields gathered into time series."""

import math
from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise

from cellular.data.plate import FieldFiles
from cellular.errors import InputError


def group_series(fields: Iterable[FieldFiles]) -> dict[str, list[FieldFiles]]:
    """Fields of every series, in order of their timepoint: name of the series -> its fields.

    Raises InputError for a field without a timepoint, and where two fields are one timepoint of one series.

    >>> fields = [FieldFiles(f"a_t{t}", (), timepoint=t, series="a") for t in (10, 2)]
    >>> [field.name for field in group_series(fields)["a"]]
    ['a_t2', 'a_t10']
    """
    series: dict[str, dict[int, FieldFiles]] = defaultdict(dict)
    for item in fields:
        if item.timepoint is None:
            raise InputError(
                f"{item.labels or item.name}: no timepoint in the name '{item.name}'; give a pattern such as "
                r"--pattern '(?P<series>.+)_t(?P<timepoint>\d+)'"
            )
        if (other := series[item.series].setdefault(item.timepoint, item)) is not item:
            raise InputError(
                f"{other.labels or other.name} and {item.labels or item.name} are both timepoint {item.timepoint} of "
                f"{item.series}"
            )
    return {name: [frames[t] for t in sorted(frames)] for name, frames in sorted(series.items())}


def step_of(series: Iterable[Iterable[int]]) -> int:
    """From one timepoint to the next where none is lost: the largest step that all series' steps are multiples of.

    >>> step_of([[0, 10, 30], [5, 15]])
    10
    """
    steps = [after - before for times in series for before, after in pairwise(sorted(set(times)))]
    return math.gcd(*steps) or 1
