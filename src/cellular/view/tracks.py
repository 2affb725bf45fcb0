"""Where the cells of a field come from and go to, as the picture draws it."""

from typing import Any

import pandas as pd
from bokeh.palettes import Colorblind

from cellular.data.plate import FieldFiles

# Colours that all eyes tell apart; neighbours by number are apart.
PALETTE = Colorblind[7]
NO_TRACK = "#999999"


def colour_of(track: float) -> str:
    """The colour of a track, the same in every frame; grey for a cell on none."""
    return NO_TRACK if pd.isna(track) else PALETTE[int(track) % len(PALETTE)]


def with_tracks(cells: pd.DataFrame, tracks: pd.DataFrame | None, field: str) -> pd.DataFrame:
    """`cells` with ``label`` and a column ``track`` more, missing for a cell on none; as they were without tracks."""
    if tracks is None:
        return cells
    mine = tracks.loc[tracks["field"] == field, ["label", "track"]].drop_duplicates("label")
    return cells.drop(columns="track", errors="ignore").merge(mine, on="label", how="left")


def paths(tracks: pd.DataFrame | None, item: FieldFiles) -> dict[str, list[Any]]:
    """Columns ``xs``, ``ys`` (px) and ``colour`` of the whole paths of the tracks that are seen in this field."""
    drawn: dict[str, list[Any]] = {"xs": [], "ys": [], "colour": []}
    if tracks is None:
        return drawn
    here = tracks[tracks["series"] == item.series]
    seen = here.loc[here["field"] == item.name, "track"]
    for track, steps in here[here["track"].isin(seen)].sort_values("timepoint").groupby("track"):
        drawn["xs"].append((steps["x"] + 0.5).tolist())
        drawn["ys"].append((steps["y"] + 0.5).tolist())
        drawn["colour"].append(colour_of(track))
    return drawn
