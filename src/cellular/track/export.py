"""Tracks for other programs: LapTrack's tables, the Cell Tracking Challenge's layout, GEFF, napari.

Every function takes the table of :func:`cellular.track.link.link` for one series.
"""

from collections.abc import Sequence
from pathlib import Path

import networkx as nx
import numpy as np
import pandas as pd

from cellular.data.formats.images import write_labels
from cellular.errors import InputError, import_extra
from cellular.files import whole_file, write_csv, write_json, writing


def to_laptrack(tracks: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """LapTrack's tables: spots (``frame, index, label, y, x, track_id, tree_id``) and splits, ids from 0."""
    spots = pd.DataFrame(
        {
            "frame": tracks["frame"],
            "index": tracks.groupby("frame").cumcount(),
            "label": tracks["label"],
            "y": tracks["y"],
            "x": tracks["x"],
            "track_id": tracks["track"] - 1,
            "tree_id": tracks["lineage"] - 1,
        }
    )
    splits = tracks.loc[tracks["parent"] > 0, ["parent", "track"]].drop_duplicates() - 1
    return spots, splits.set_axis(["parent_track_id", "child_track_id"], axis=1).reset_index(drop=True)


def write_laptrack(tracks: pd.DataFrame, folder: str | Path) -> None:
    """Write :func:`to_laptrack` as ``track_df.csv`` and ``split_df.csv``."""
    spots, splits = to_laptrack(tracks)
    write_csv(Path(folder) / "track_df.csv", spots)
    write_csv(Path(folder) / "split_df.csv", splits)


def to_ctc(tracks: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Cell Tracking Challenge form: ``L, B, E, P`` per track, and the L of every row of `tracks`.

    A CTC track is in every frame from B to E. One that skips a frame is therefore cut there, and its second piece
    names the first as parent (an only child, which the CTC reads as a gap and not as a division).
    """
    ordered = tracks.sort_values(["track", "frame"])
    starts = (ordered["track"] != ordered["track"].shift()) | (ordered["frame"] != ordered["frame"].shift() + 1)
    pieces = ordered.assign(L=starts.cumsum())
    table = pieces.groupby("L").agg(
        B=("frame", "min"), E=("frame", "max"), track=("track", "first"), parent=("parent", "first")
    )
    table = table.reset_index()
    last_piece = table.groupby("track")["L"].max()
    same = table["track"] == table["track"].shift()
    table["P"] = np.where(same, table["L"] - 1, table["parent"].map(last_piece).fillna(0)).astype(int)
    return table[["L", "B", "E", "P"]], pieces.loc[tracks.index, ["frame", "label", "L"]]


def write_ctc(tracks: pd.DataFrame, images: Sequence[np.ndarray], folder: str | Path) -> None:
    """Write ``res_track.txt`` and ``mask000.tif``… whose label numbers are track numbers.

    Raises InputError for more tracks than 16 bits hold.
    """
    table, rows = to_ctc(tracks)
    if len(table) > np.iinfo(np.uint16).max:
        raise InputError(f"{len(table)} tracks do not fit the Cell Tracking Challenge's 16-bit masks")
    folder = Path(folder)
    digits = max(3, len(str(len(images) - 1)))
    for frame, image in enumerate(images):
        here = rows[rows["frame"] == frame].sort_values("label")
        labels = np.r_[0, here["label"]]
        numbers = np.r_[0, here["L"]].astype(np.uint16)
        write_labels(folder / f"mask{frame:0{digits}d}.tif", numbers[np.searchsorted(labels, image)])
    with whole_file(folder / "res_track.txt") as temporary:
        temporary.write_text("".join(f"{row.L} {row.B} {row.E} {row.P}\n" for row in table.itertuples()))


def to_graph(tracks: pd.DataFrame) -> nx.DiGraph:
    """Graph of cells: node = row number of `tracks` + 1, with ``t, y, x, label, track``; edges forward in time."""
    ordered = tracks.reset_index(drop=True)
    graph = nx.DiGraph()
    for row in ordered.itertuples():
        graph.add_node(
            int(row.Index) + 1,
            t=int(row.frame),
            y=float(row.y),
            x=float(row.x),
            label=int(row.label),
            track=int(row.track),
        )
    last: dict[int, int] = {}
    for row in ordered.sort_values("frame", kind="stable").itertuples():
        before = last.get(row.track) or last.get(row.parent)
        if before is not None:
            graph.add_edge(before, int(row.Index) + 1)
        last[row.track] = int(row.Index) + 1
    return graph


def write_geff(tracks: pd.DataFrame, path: str | Path) -> None:
    """Write the graph as GEFF (Graph Exchange File Format, Zarr); needs the extra ``track``.

    An existing store at `path` is replaced.
    """
    geff = import_extra("geff", "track")
    with writing(path):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        geff.write(
            to_graph(tracks),
            Path(path),
            axis_names=["t", "y", "x"],
            axis_units=["frame", "pixel", "pixel"],
            axis_types=["time", "space", "space"],
            overwrite=True,
        )


def to_napari(tracks: pd.DataFrame) -> tuple[np.ndarray, dict[int, list[int]]]:
    """Data and graph of a napari Tracks layer: (N, 4) rows (track, t, y, x), and parents of each daughter track."""
    data = tracks.sort_values(["track", "frame"])[["track", "frame", "y", "x"]].to_numpy(np.float64)
    born = tracks.loc[tracks["parent"] > 0, ["track", "parent"]].drop_duplicates()
    return data, {int(track): [int(parent)] for track, parent in born.itertuples(index=False)}


def write_napari(tracks: pd.DataFrame, folder: str | Path) -> None:
    """Write ``tracks.csv`` (napari's own column names; drag it into napari) and ``graph.json``."""
    data, graph = to_napari(tracks)
    table = pd.DataFrame(data, columns=["ID", "T", "Y", "X"]).astype({"ID": int, "T": int})
    write_csv(Path(folder) / "tracks.csv", table)
    write_json(Path(folder) / "graph.json", {str(track): parents for track, parents in graph.items()})


EXPORTS = ("laptrack", "ctc", "geff", "napari")


def write_export(kind: str, tracks: pd.DataFrame, images: Sequence[np.ndarray], folder: str | Path) -> None:
    """Write one of :data:`EXPORTS` into `folder` (GEFF: the store ``folder/tracks.geff``).

    Raises InputError for an unknown `kind`.
    """
    folder = Path(folder)
    if kind == "laptrack":
        write_laptrack(tracks, folder)
    elif kind == "ctc":
        write_ctc(tracks, images, folder)
    elif kind == "geff":
        write_geff(tracks, folder / "tracks.geff")
    elif kind == "napari":
        write_napari(tracks, folder)
    else:
        raise InputError(f"Unknown export '{kind}'; known: {', '.join(EXPORTS)}")
