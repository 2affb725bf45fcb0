"""Tracking: seconds for 250 cells in five timepoints of 2048 x 2048 px, and scores on simulated truth.

    python -m benchmarks.tracking [--simulated FOLDER]

`FOLDER` is what `cellular simulate FOLDER --fields 2 --timepoints 5` writes; without it only the time is measured, on
outlines made here. LapTrack with its own defaults (squared distance of centroids) is timed and scored beside.
"""

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import pandas as pd

from cellular.data.find import find_label_fields
from cellular.data.formats.images import read_labels
from cellular.files import read_csv
from cellular.track.costs import cells_of
from cellular.track.link import link
from cellular.track.series import group_series

SIZE, CELLS, TIMEPOINTS, REPEATS = 2048, 250, 5, 5


def crowded_series(seed: int = 0) -> list[np.ndarray]:
    """Ellipses on a shaken grid, as many and as large as in a real field; they drift, crawl, and touch."""
    rng = np.random.default_rng(seed)
    side = int(np.ceil(np.sqrt(CELLS)))
    step = SIZE / side
    places = np.stack([g.ravel() for g in np.meshgrid(np.arange(side), np.arange(side))], axis=1)[:CELLS]
    centres = (places + 0.5) * step + rng.normal(0, step / 10, (CELLS, 2))
    radii = rng.uniform(0.3, 0.55, (CELLS, 2)) * step
    frames = []
    for _ in range(TIMEPOINTS):
        frames.append(_ellipses(centres, radii))
        centres = centres + (6.0, -4.0) + rng.normal(0, step / 14, (CELLS, 2))
    return frames


def _ellipses(centres: np.ndarray, radii: np.ndarray) -> np.ndarray:
    image = np.zeros((SIZE, SIZE), np.uint16)
    for label, ((cy, cx), (ry, rx)) in enumerate(zip(centres, radii), 1):
        rows = slice(max(0, int(cy - ry)), max(0, int(cy + ry) + 1))
        columns = slice(max(0, int(cx - rx)), max(0, int(cx + rx) + 1))
        y, x = np.ogrid[rows, columns]
        part = image[rows, columns]
        inside = ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 <= 1
        part[inside[: part.shape[0], : part.shape[1]]] = label
    return image


def seconds(work, repeats: int = REPEATS) -> float:
    """Median time of `repeats` calls after one that is not counted (compilation)."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def laptrack_defaults(frames: list[np.ndarray]):
    """Centroids by LapTrack as it comes, with gaps and divisions within 60 px."""
    from laptrack import LapTrack

    points = [cells_of(frame).centroids for frame in frames]
    return LapTrack(cutoff=60**2, gap_closing_cutoff=60**2, splitting_cutoff=60**2).predict(points)


def with_missing(images: list[np.ndarray], share: float, seed: int = 0) -> list[np.ndarray]:
    """The label images with `share` of the cells of each removed."""
    rng = np.random.default_rng(seed)
    left = []
    for image in images:
        labels = np.unique(image)[1:]
        gone = rng.choice(labels, round(share * len(labels)), replace=False)
        left.append(np.where(np.isin(image, gone), 0, image))
    return left


def best_possible(truth: pd.DataFrame, images: list[np.ndarray]) -> pd.DataFrame:
    """The true tracks of the cells that are in the images."""
    here = [pd.DataFrame({"frame": t, "label": np.unique(image)[1:].astype(int)}) for t, image in enumerate(images)]
    tracks = pd.concat(here).merge(truth, on=["frame", "label"]).sort_values(["frame", "label"], ignore_index=True)
    return tracks.assign(parent=tracks["parent"].where(tracks["parent"].isin(tracks["track"]), 0))


def scores(folder: Path, missing: float) -> pd.DataFrame:
    """traccuracy's scores of every simulated series, on all cells and with some missing, and the best then possible."""
    from dataclasses import asdict

    from cellular.track.scores import score_tracks

    truths = read_csv(folder / "truth" / "tracks.csv").rename(columns={"cell": "label"})
    rows = []
    for name, frames in group_series(find_label_fields(folder / "truth").fields).items():
        images = [read_labels(frame.labels) for frame in frames]
        number = {frame.timepoint: t for t, frame in enumerate(frames)}
        truth = truths[truths["series"] == name].reset_index(drop=True)
        truth["frame"] = truth["timepoint"].map(number)
        left = with_missing(images, missing)
        rows += [
            {"series": name, "cells are": kind, **asdict(score_tracks(truth, images, tracks, seen))}
            for kind, tracks, seen in (
                ("all there", link(images), images),
                (f"{missing:.0%} missing", link(left), left),
                (f"{missing:.0%} missing, at best", best_possible(truth, left), left),
            )
        ]
    return pd.DataFrame(rows)


def main(argv: list[str] | None = None) -> None:
    """Print the time of tracking beside LapTrack's, and the scores where there is a truth."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulated", type=Path, help="folder written by `cellular simulate --timepoints`")
    parser.add_argument("--missing", type=float, default=0.05, help="share of cells removed from each label image")
    args = parser.parse_args(argv)
    frames = crowded_series()
    ours, theirs = seconds(lambda: link(frames)), seconds(lambda: laptrack_defaults(frames))
    print(f"{CELLS} cells x {TIMEPOINTS} timepoints, {SIZE} x {SIZE} px, median of {REPEATS}")
    print(f"  cellular track (outlines to tracks)   {ours:6.2f} s")
    print(f"  LapTrack's defaults on the centroids  {theirs:6.2f} s")
    if args.simulated:
        print(scores(args.simulated, args.missing).round(3).to_string(index=False))


if __name__ == "__main__":
    main()
