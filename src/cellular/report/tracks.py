"""Pictures of tracks: where the cells went, and how long they were followed."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import AutoLocator
from skimage.segmentation import find_boundaries

from cellular.report.style import PALETTE
from cellular.track.summary import track_lengths


def draw_tracks(tracks: pd.DataFrame, labels: np.ndarray, title: str = "") -> Figure:
    """Outlines of the last frame, and every track's path on it.

    Parameters
    ----------
    tracks : table of one series (``frame, label, y, x, track, parent, lineage``).
    labels : label image (Y, X) of its last frame.

    Paths run from thin to thick. Orange paths meet at divisions; grey dots are cells seen in one frame only.
    """
    figure, axes = plt.subplots(figsize=(8, 8))
    edge = find_boundaries(labels, mode="inner")
    axes.imshow(np.where(edge, 0.72, 1.0), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    lengths = tracks.groupby("track")["frame"].transform("size")
    born = set(tracks.loc[tracks["parent"] > 0, "parent"]) | set(tracks.loc[tracks["parent"] > 0, "track"])
    family = tracks["track"].isin(born)
    _paths(axes, tracks[(lengths > 1) & ~family], PALETTE[0])
    _paths(axes, tracks[family], PALETTE[1])
    _births(axes, tracks)
    single = tracks[(lengths == 1) & ~family]
    axes.scatter(single["x"], single["y"], s=9, color="0.45", linewidths=0, zorder=3)
    axes.set(xlim=(0, labels.shape[1]), ylim=(labels.shape[0], 0), xticks=[], yticks=[], title=title)
    for colour, name in ((PALETTE[0], "track"), (PALETTE[1], "track with a division"), ("0.45", "one frame only")):
        axes.plot([], [], color=colour, marker="o", markersize=4, label=name)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 0), ncols=3, frameon=False, fontsize=9)
    return figure


def _paths(axes: Axes, tracks: pd.DataFrame, colour: str) -> None:
    """Each step of each track as a line, the later the thicker."""
    ordered = tracks.sort_values(["track", "frame"])
    following = ordered.groupby("track")[["y", "x"]].shift(-1)
    step = following["x"].notna()
    if step.any():
        start, stop = ordered.loc[step, ["x", "y"]].to_numpy(), following.loc[step, ["x", "y"]].to_numpy()
        widths = 0.8 + 2.2 * ordered.loc[step, "frame"] / max(1, ordered["frame"].max())
        axes.add_collection(LineCollection(list(np.stack([start, stop], axis=1)), colors=colour, linewidths=widths))
    ends = ordered.groupby("track").tail(1)
    axes.scatter(ends["x"], ends["y"], s=5, color=colour, linewidths=0, zorder=3)


def _births(axes: Axes, tracks: pd.DataFrame) -> None:
    """Dashed lines from where a parent was last seen to where its daughters were first."""
    ordered = tracks.sort_values("frame")
    last, first = ordered.groupby("track").tail(1).set_index("track"), ordered.groupby("track").head(1)
    for child in first[first["parent"] > 0].itertuples():
        parent = last.loc[child.parent]
        axes.plot([parent["x"], child.x], [parent["y"], child.y], color=PALETTE[1], linewidth=1.2, linestyle=":")


def shares_by_length(tracks: pd.DataFrame) -> pd.DataFrame:
    """Share of cells by the length of the track they are in: ``series, timepoints, share``; `tracks` has ``series``."""
    rows = []
    for series, group in tracks.groupby("series"):
        lengths = track_lengths(group)["cells"]
        rows += [(series, n, float(n * (lengths == n).sum() / lengths.sum())) for n in range(1, lengths.max() + 1)]
    return pd.DataFrame(rows, columns=["series", "timepoints", "share"])


def draw_lengths(shares: pd.DataFrame) -> Figure:
    """Cells by the length of the track they are in, one line a series; of :func:`shares_by_length`."""
    figure, axes = plt.subplots(figsize=(6, 3.6))
    count = shares["series"].nunique()
    for colour, (series, group) in zip(_cycle(count), shares.groupby("series")):
        axes.plot(group["timepoints"], group["share"], marker="o", color=colour, label=series)
    axes.set(xlabel="timepoints in which the track is seen", ylabel="share of cells", ylim=(0, None))
    whole = AutoLocator()
    whole.set_params(integer=True)
    axes.xaxis.set_major_locator(whole)
    if 0 < count <= 12:
        axes.legend(frameon=False, fontsize=8)
    return figure


def _cycle(n: int) -> list[str]:
    return [PALETTE[i % len(PALETTE)] for i in range(n)]
