"""Slow change over a plate's timepoints: bleaching, a lamp that warms up, focus that creeps away."""

import pandas as pd
from scipy.stats import theilslopes

from cellular.data.plate import plates_apart

MEASURES = ("signal", "background", "power_slope")
FEWEST_TIMEPOINTS = 4
# A change over the whole series that is worth a sentence: a quarter of the light, half a unit of slope.
_MUCH = {"signal": 0.25, "background": 0.25, "power_slope": 0.5}


def measure_drift(quality: pd.DataFrame) -> pd.DataFrame:
    """A row a plate, channel and measure with four timepoints or more.

    Of the positions that were imaged at the plate's first and last timepoint, where there are any: those that join
    later, or leave, have their own light. Columns: ``plate, channel, measure, timepoints, first, last`` (medians over
    the fields at the first and last timepoint), ``change`` from first to last along the Theil-Sen line through the
    medians (as a share of the line's start; for power_slope in its own unit), ``low, high`` its 95 % interval, and
    ``drifts``: zero is outside and the change is much.
    """
    channels = [name.removeprefix("signal__") for name in quality if name.startswith("signal__")]
    timed = quality[quality["timepoint"].notna()]
    rows = []
    for plate, every in timed.groupby(plates_apart(timed), sort=True):
        part = _from_first_to_last(every)
        for channel in channels:
            for measure in MEASURES:
                medians = part.groupby("timepoint")[f"{measure}__{channel}"].median().dropna()
                if len(medians) >= FEWEST_TIMEPOINTS:
                    rows.append({"plate": plate, "channel": channel, "measure": measure, **_line(medians, measure)})
    names = ("plate", "channel", "measure", "timepoints", "first", "last", "change", "low", "high", "drifts")
    return pd.DataFrame(rows, columns=list(names))


def _from_first_to_last(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of positions that are there at the first and the last timepoint; all where none is."""
    time = rows["timepoint"]
    ends = rows.groupby(["well", "site"], dropna=False)["timepoint"]
    whole = (ends.transform("min") == time.min()) & (ends.transform("max") == time.max())
    return rows[whole] if whole.any() else rows


def _line(medians: pd.Series, measure: str) -> dict[str, object]:
    times = medians.index.to_numpy(float)
    slope, intercept, low, high = theilslopes(medians.to_numpy(float), times)
    start = intercept + slope * times[0]
    unit = 1.0 if measure == "power_slope" else max(abs(start), 1e-9)
    change, low, high = (value * (times[-1] - times[0]) / unit for value in (slope, low, high))
    return {
        "timepoints": len(medians),
        "first": float(medians.iloc[0]),
        "last": float(medians.iloc[-1]),
        "change": change,
        "low": low,
        "high": high,
        "drifts": bool(low * high > 0 and abs(change) > _MUCH[measure]),
    }


def drift_notes(drift: pd.DataFrame) -> list[str]:
    """A sentence for each row that drifts."""
    return [
        f"{row.channel} {row.measure.replace('_', ' ')} drifts over time"
        + (f" on plate {row.plate}: " if row.plate else ": ")
        + (f"{row.change:+.2f}" if row.measure == "power_slope" else f"{row.change:+.0%}")
        + f" along the line through its {row.timepoints} timepoints"
        + f" (median {row.first:.4g} at the first, {row.last:.4g} at the last)"
        for row in drift[drift["drifts"].astype(bool)].itertuples()
    ]
