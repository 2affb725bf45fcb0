"""Intervals that respect what was sampled: wells, not cells."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from cellular.data.plate import FieldFiles
from cellular.errors import SettingsError

Unit = Literal["well", "field"]

RESAMPLES = 1000
LEVEL = 0.95
# With fewer clusters the resamples repeat a handful of values and the interval says nothing.
FEWEST_CLUSTERS = 3


@dataclass(frozen=True)
class Clusters:
    """What is resampled: `unit` (well, field, position), `of_field` (F,) cluster index of each field, their `count`.

    `wells` is how many wells the fields come from where fields are resampled though their names show wells, else None.
    """

    unit: str
    of_field: np.ndarray
    count: int
    wells: int | None = None

    @property
    def note(self) -> str:
        """One line for people: what the intervals rest on."""
        if self.count < FEWEST_CLUSTERS:
            return f"no intervals: {self.count} {self.unit}(s) cannot show how {self.unit}s differ"
        note = f"95 % bootstrap intervals over {self.count} {self.unit}s (percentile, {RESAMPLES} resamples)"
        if self.wells:
            note += f"; fields of {self.wells} well(s) are alike, so for other wells they are too narrow"
        elif self.unit != "well":
            note += "; the names do not all show wells, and if fields share one they are too narrow"
        return note


def clusters_of(fields: Sequence[FieldFiles], unit: Unit = "well") -> Clusters:
    """Wells of the fields, or the fields themselves: where asked for, and where nothing tells a well.

    Without wells, all timepoints of a position are one: they show the same cells.

    Raises SettingsError for another unit.
    """
    if unit not in get_args(Unit):
        raise SettingsError(f"Intervals resample {' or '.join(get_args(Unit))}, got {unit!r}")
    wells = [(item.date, item.plate, item.well) for item in fields]
    known = all(w[2] for w in wells)
    drawn: str = unit
    if not known:
        keys = [item.series or item.name for item in fields]
        drawn = "field" if len(set(keys)) == len(keys) else "position"
    else:
        keys = list(map(str, wells)) if unit == "well" else [item.name for item in fields]
    index = np.unique(keys, return_inverse=True)[1] if keys else np.zeros(0, int)
    return Clusters(drawn, index, len(set(keys)), len(set(wells)) if known and unit == "field" else None)


def intervals(
    statistic: Callable[[np.ndarray], dict[str, float]], clusters: Clusters, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """Percentile intervals of `statistic(weights)`, weights (F,) = how often each field is drawn.

    Clusters are drawn with replacement, as many as there are (Davison & Hinkley 1997, 3.8). Empty with fewer than
    three clusters.
    """
    if clusters.count < FEWEST_CLUSTERS:
        return {}
    rng = np.random.default_rng(seed)
    # few clusters are drawn in few ways, each of them many times
    known: dict[bytes, dict[str, float]] = {}
    draws = []
    for _ in range(RESAMPLES):
        drawn = np.bincount(rng.integers(clusters.count, size=clusters.count), minlength=clusters.count)
        if (key := drawn.tobytes()) not in known:
            known[key] = statistic(drawn[clusters.of_field])
        draws.append(known[key])
    tail = (1 - LEVEL) / 2
    ends = {name: np.quantile([draw[name] for draw in draws], (tail, 1 - tail)) for name in draws[0]}
    return {name: (float(low), float(high)) for name, (low, high) in ends.items()}
