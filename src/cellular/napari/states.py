"""States of cells, those that a model told and those told by hand, over time: an image of them, and tracks by them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from napari.utils.colormaps import DirectLabelColormap
from skimage.util import map_array

from cellular.autophagy.state.by_hand import as_measured, as_the_model_said, overlaid, states_of
from cellular.autophagy.state.words import UNIDENTIFIED
from cellular.jobs.corrections import FieldCorrections
from cellular.jobs.view import Run
from cellular.report.colours import EDGE, STATES
from cellular.tables import of_fields

# Of what cannot be told, and of cells on a track of which nothing was told.
UNSURE, NOT_TOLD = "#999999", "#555555"


def label_features(tables: Mapping[str, pd.DataFrame], found: FieldCorrections) -> pd.DataFrame:
    """The cells' table of one field as napari takes it, with the states told by hand of its cells.

    ``index`` is a cell's number in the label image. Cells that are not measured as they are now have a state alone.
    """
    cells, told = of_fields(tables, "cells", [found.field]), found.states
    cells = (
        pd.DataFrame({"label": pd.Series(dtype=int)})
        if cells is None
        else as_the_model_said(as_measured(cells, found.labels))
    )
    if told:
        new = [cell for cell in told if cell not in set(cells["label"])]
        cells = pd.concat([cells, pd.DataFrame({"label": new})], ignore_index=True) if new else cells
        cells = overlaid(cells, cells["label"].map(told))
    about = cells.drop(columns=["field", "label"], errors="ignore")
    return about.assign(index=cells["label"]).reset_index(drop=True)


def colours(run: Run) -> dict[str, str]:
    """The states that there are in a run, each with its colour: the two that its model tells apart come first."""
    cells = run.tables.get("cells")
    negative, positive = states_of(cells)
    known = {negative: STATES["basal"], positive: STATES["activated"], UNIDENTIFIED: UNSURE}
    words = [] if cells is None or "state" not in cells else sorted(cells["state"].dropna().astype(str).unique())
    return known | {word: STATES.get(word, EDGE) for word in words if word not in known}


def states_told(run: Run, corrections: Sequence[FieldCorrections]) -> pd.DataFrame:
    """The cells whose state is told, ``frame, label, state``, the state by its place in :func:`colours` from 1."""
    places = {word: place for place, word in enumerate(colours(run), 1)}
    parts = [pd.DataFrame(columns=["frame", "label", "state"], dtype=int)]
    for frame, found in enumerate(corrections):
        cells = label_features(run.tables, found)
        if "state" in cells:
            told = pd.DataFrame({"frame": frame, "label": cells["index"], "state": cells["state"].map(places)})
            parts.append(told.dropna().astype(int))
    return pd.concat(parts, ignore_index=True)


def states_image(told: pd.DataFrame, corrections: Sequence[FieldCorrections]) -> np.ndarray:
    """The state at each pixel, (Y, X) or (T, Y, X) uint8, by :func:`states_told`; 0 where none is told."""
    planes = []
    for frame, found in enumerate(corrections):
        here = told[told["frame"] == frame]
        planes.append(map_array(found.labels, here["label"].to_numpy(), here["state"].to_numpy(np.uint8)))
    return planes[0] if len(planes) == 1 else np.stack(planes)


def states_on_tracks(run: Run, told: pd.DataFrame, data: np.ndarray, features: pd.DataFrame) -> dict[str, Any]:
    """What has napari colour tracks by the states `told`: `data` (N, 4) of its layer, `features` with ``label``."""
    steps = pd.DataFrame({"frame": data[:, 1].astype(int), "label": features["label"].to_numpy()})
    state = steps.merge(told, "left", ["frame", "label"])["state"].fillna(0).to_numpy(int)
    by_number = {"state": colormap(run, NOT_TOLD)}
    return {"features": features.assign(state=state), "colormaps_dict": by_number, "color_by": "state"}


def drawn_states(run: Run) -> dict[str, Any]:
    """How napari draws an image of states: their colours, and the word for the one under the mouse."""
    words = list(colours(run))
    features = pd.DataFrame({"index": range(1, len(words) + 1), "state": words})
    return {"features": features, "colormap": colormap(run, "transparent"), "opacity": 0.6}


def colormap(run: Run, none: str) -> DirectLabelColormap:
    """The colour of each state by its number, `none` where it is not told."""
    by_number: dict[int | None, str] = {None: none, 0: none}
    return DirectLabelColormap(color_dict=by_number | dict(enumerate(colours(run).values(), 1)))
