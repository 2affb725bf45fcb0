"""Tracks with states."""

import pandas as pd


def table(*tracks: tuple[str, list[float]]) -> pd.DataFrame:
    """Tracks as (series, probability of activation at timepoints 1, 2, ...)."""
    return pd.DataFrame(
        [
            {"series": series, "track": number, "timepoint": t, "probability_activated": p}
            for number, (series, values) in enumerate(tracks, 1)
            for t, p in enumerate(values, 1)
        ]
    )
