"""How long tracks are and how far they can be trusted, without a truth to compare with."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd

from cellular.track.costs import PairCosts, cells_of, drift
from cellular.track.link import TrackSettings, link


def track_lengths(tracks: pd.DataFrame) -> pd.DataFrame:
    """One row per track: ``track, parent, lineage, first, last`` (frames), ``cells`` (frames seen), ``gaps``."""
    lengths = tracks.groupby("track").agg(
        parent=("parent", "first"),
        lineage=("lineage", "first"),
        first=("frame", "min"),
        last=("frame", "max"),
        cells=("frame", "size"),
    )
    lengths["gaps"] = lengths["last"] - lengths["first"] + 1 - lengths["cells"]
    return lengths.reset_index()


def summarise(
    tracks: pd.DataFrame,
    images: Sequence[np.ndarray],
    settings: TrackSettings,
    times: Sequence[int] | None = None,
    features: Sequence[pd.DataFrame] | None = None,
) -> dict[str, float]:
    """Length and consistency of the tracks of one series, as one row of ``summary.csv``.

    ``frames, cells, tracks, single_frame_tracks, divisions, bridged_gaps`` (a track may bridge several);
    ``cells_in_full_lineages``: share of cells whose lineage (divisions included) is seen in every frame;
    ``median_overlap``: median intersection over union of linked outlines after drift; ``median_step_px``: median step
    after drift; ``largest_drift_px``; ``reversed_agreement``: F1 between the links and those found with time running
    backwards (without divisions, of which only the nearer daughter can count). Shares and medians are NaN where there
    are no links. `times` and `features` as in :func:`link`, to which they were given: a timepoint that was lost is a
    gap to be bridged, and what lies on its two sides is no step.
    """
    places = np.arange(len(images)) if times is None else np.array([time - times[0] for time in times])
    placed = tracks.assign(frame=places[tracks["frame"]])
    lengths = track_lengths(placed)
    seen = tracks.groupby("lineage")["frame"].nunique()
    full = seen.index[seen == len(images)]
    return {
        "frames": len(images),
        "cells": len(tracks),
        "tracks": len(lengths),
        "single_frame_tracks": int((lengths["cells"] == 1).sum()),
        "divisions": int(lengths.loc[lengths["parent"] > 0, "parent"].nunique()),
        "bridged_gaps": int((placed.sort_values(["track", "frame"]).groupby("track")["frame"].diff() > 1).sum()),
        "cells_in_full_lineages": float(tracks["lineage"].isin(full).mean()) if len(tracks) else float("nan"),
        **_link_quality(tracks, images, places),
        "reversed_agreement": _reversed_agreement(tracks, images, settings, times, features),
    }


def links(tracks: pd.DataFrame) -> pd.DataFrame:
    """One row per link inside a track: ``frame, label, next_frame, next_label``."""
    ordered = tracks.sort_values(["track", "frame"])
    following = ordered.groupby("track")[["frame", "label"]].shift(-1).add_prefix("next_")
    return pd.concat([ordered[["frame", "label"]], following], axis=1).dropna().astype(int).reset_index(drop=True)


def _link_quality(tracks: pd.DataFrame, images: Sequence[np.ndarray], places: np.ndarray) -> dict[str, float]:
    """Overlap and step of links between neighbouring timepoints, at which the images are."""
    found = links(tracks)
    overlaps, steps, drifts = [], [], [0.0]
    for frame, (before, after) in enumerate(pairwise([cells_of(image) for image in images])):
        if places[frame + 1] != places[frame] + 1:
            continue
        shift = drift(before, after)
        pair = PairCosts(before, after, shift)
        here = found[(found["frame"] == frame) & (found["next_frame"] == frame + 1)]
        i = np.searchsorted(before.labels, here["label"])
        j = np.searchsorted(after.labels, here["next_label"])
        overlaps.append(pair.overlap[i, j])
        steps.append(pair.distance[i, j])
        drifts.append(float(np.hypot(*shift)))
    overlap, step = (np.concatenate(values) if values else np.empty(0) for values in (overlaps, steps))
    return {
        "median_overlap": float(np.median(overlap)) if len(overlap) else float("nan"),
        "median_step_px": float(np.median(step)) if len(step) else float("nan"),
        "largest_drift_px": max(drifts),
    }


def _reversed_agreement(
    tracks: pd.DataFrame,
    images: Sequence[np.ndarray],
    settings: TrackSettings,
    times: Sequence[int] | None,
    features: Sequence[pd.DataFrame] | None,
) -> float:
    reverse = None if times is None else [-time for time in reversed(times)]
    looks = None if features is None else features[::-1]
    backward = link(images[::-1], replace(settings, divisions=False), looks, reverse)
    backward["frame"] = len(images) - 1 - backward["frame"]
    forward = set(links(tracks).itertuples(index=False, name=None))
    other = set(links(backward).itertuples(index=False, name=None))
    return 2 * len(forward & other) / (len(forward) + len(other)) if forward or other else float("nan")
