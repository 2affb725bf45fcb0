"""`cellular track`: a folder of label images in; tables, exports and pictures of tracks out."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from cellular.data.formats.images import read_labels
from cellular.errors import CellularError, InputError
from cellular.files import read_csv, write_csv, write_json
from cellular.progress import progress
from cellular.report.style import save
from cellular.report.tracks import draw_lengths, draw_tracks
from cellular.settings import settings_to_dict
from cellular.track.export import EXPORTS, write_export
from cellular.track.link import TrackSettings, link
from cellular.track.scores import score_tracks
from cellular.track.series import Frame, find_label_images, group_series
from cellular.track.states import activated_over_time, activation_times, transitions
from cellular.track.summary import summarise

logger = logging.getLogger(__name__)

PROBABILITY = "probability_activated"
COLUMNS = ("series", "field", "timepoint", "frame", "label", "y", "x", "area", "track", "parent", "lineage")


@dataclass(frozen=True)
class TrackResult:
    """What was followed: the table of all series, its summary, scores where there was a truth, and what went wrong."""

    tracks: pd.DataFrame
    summary: pd.DataFrame
    scores: pd.DataFrame | None = None
    problems: dict[str, str] = field(default_factory=dict)


def track_folder(
    labels: str | Path | Mapping[str, Path],
    out: str | Path,
    settings: TrackSettings | None = None,
    *,
    pattern: str | None = None,
    cells: str | Path | None = None,
    appearance: Sequence[str] = (),
    truth: str | Path | None = None,
    exports: Sequence[str] = (),
) -> TrackResult:
    """Follow the cells of every series in folder `labels` and write the results to folder `out`.

    Parameters
    ----------
    labels : folder of label images named by field, or their files by field name (see
        :func:`cellular.track.series.group_series`).
    out : gets ``tracks.csv``, ``summary.csv``, ``track.json``, ``figures/`` and, as asked for, ``scores.csv``,
        ``exports/<kind>/<series>/``, ``transitions.csv``, ``activation.csv``, ``activated_over_time.csv``.
    cells : table with ``field, label`` and the columns named in `appearance`, compared when linking; and, where it has
        a column ``probability_activated``, the states that are followed along the tracks.
    truth : table of true tracks (``series, track, timepoint, field, cell, parent``) whose label images
        ``<field>_labels.tif`` lie beside it; the tracks are scored against it.

    Raises InputError where no position was imaged twice. A series with a file that cannot be read, or with images of
    different sizes, is reported and passed over.
    """
    settings, out = settings or TrackSettings(), Path(out)
    _check_exports(exports)
    series = group_series(labels if isinstance(labels, Mapping) else find_label_images(labels), pattern)
    if all(len(frames) < 2 for frames in series.values()):
        raise InputError(
            f"{labels}: {len(series)} position(s), none imaged at two timepoints, so there is nothing to follow. Where "
            "the names hide the timepoint, --pattern tells how to read it"
        )
    measured = _read_cells(cells, appearance) if cells else None
    truths = read_csv(truth).rename(columns={"cell": "label"}) if truth else None
    tables, rows, scores, problems = [], [], [], {}
    for name, frames in progress(series.items(), desc="track", unit="series"):
        try:
            images = [read_labels(frame.path) for frame in frames]
            features = [_features(measured, frame, appearance) for frame in frames] if appearance else None
            tracks = link(images, settings, features)
            rows.append({"series": name, **summarise(tracks, images, settings)})
            if truths is not None:
                scores.append({"series": name, **_scores(truths, Path(truth).parent, name, frames, tracks, images)})
            for kind in exports:
                write_export(kind, tracks, images, out / "exports" / kind / name)
            save(draw_tracks(tracks, images[-1], f"{name}: {len(frames)} timepoints"), out / "figures" / f"{name}.png")
            tables.append(_named(tracks, name, frames))
        except CellularError as error:
            problems[name] = str(error)
    if not tables:
        raise InputError(f"No series could be tracked; first problem: {next(iter(problems.values()))}")
    result = TrackResult(
        pd.concat(tables, ignore_index=True),
        pd.DataFrame(rows),
        pd.DataFrame(scores) if truths is not None else None,
        problems,
    )
    _write(result, out, settings)
    if measured is not None and PROBABILITY in measured:
        write_states(result.tracks.merge(measured[["field", "label", PROBABILITY]], how="left"), out)
    return result


def _check_exports(exports: Sequence[str]) -> None:
    unknown = sorted(set(exports) - set(EXPORTS))
    if unknown:
        raise InputError(f"Unknown export(s) {unknown}; known: {', '.join(EXPORTS)}")


def _read_cells(path: str | Path, appearance: Sequence[str]) -> pd.DataFrame:
    table = read_csv(path)
    missing = sorted({"field", "label", *appearance} - set(table.columns))
    if missing:
        raise InputError(f"{path} lacks the column(s) {missing}")
    return table


def _features(measured: pd.DataFrame, frame: Frame, appearance: Sequence[str]) -> pd.DataFrame:
    here = measured[measured["field"] == frame.field]
    return here.set_index("label")[list(appearance)]


def _named(tracks: pd.DataFrame, series: str, frames: Sequence[Frame]) -> pd.DataFrame:
    """The table with names in place of frame numbers alone."""
    named = tracks.assign(
        series=series,
        field=[frames[t].field for t in tracks["frame"]],
        timepoint=[frames[t].timepoint for t in tracks["frame"]],
    )
    return named[list(COLUMNS)]


def _scores(
    truths: pd.DataFrame,
    folder: Path,
    series: str,
    frames: Sequence[Frame],
    tracks: pd.DataFrame,
    images: Sequence[np.ndarray],
) -> dict[str, float]:
    number = {frame.timepoint: t for t, frame in enumerate(frames)}
    truth = truths[(truths["series"] == series) & truths["timepoint"].isin(number)]
    if truth.empty:
        raise InputError(f"{folder}: no true tracks for series {series}")
    truth_images = [read_labels(folder / f"{frame.field}_labels.tif") for frame in frames]
    truth = truth.assign(frame=truth["timepoint"].map(number)).reset_index(drop=True)
    return asdict(score_tracks(truth, truth_images, tracks, images))


def _write(result: TrackResult, out: Path, settings: TrackSettings) -> None:
    write_csv(out / "tracks.csv", result.tracks.round({"y": 3, "x": 3}))
    write_csv(out / "summary.csv", result.summary)
    if result.scores is not None:
        write_csv(out / "scores.csv", result.scores)
    save(draw_lengths(result.tracks), out / "figures" / "track_lengths.png")
    write_json(out / "track.json", {"settings": settings_to_dict(settings), "problems": result.problems})


def write_states(tracks: pd.DataFrame, out: Path) -> None:
    """Write ``transitions.csv``, ``activation.csv`` and ``activated_over_time.csv`` for tracks with probabilities."""
    found = transitions(tracks)
    write_csv(out / "transitions.csv", found.table().assign(method=found.method, series=found.series))
    write_csv(out / "activation.csv", activation_times(tracks))
    write_csv(out / "activated_over_time.csv", activated_over_time(tracks))
