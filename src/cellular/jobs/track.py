"""`cellular track`: a folder of label images in; tables, exports and pictures of tracks out."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cellular.autophagy.state.by_hand import PLACE, check_tracked
from cellular.data.find import find_label_fields
from cellular.data.formats.images import read_labels
from cellular.data.image import load_labels
from cellular.data.plate import FieldFiles, Plate
from cellular.errors import InputError, SettingsError
from cellular.files import as_numbers, read_csv, write_csv
from cellular.jobs.corrections import corrected
from cellular.jobs.engines import HERE, Engine
from cellular.jobs.runner import Work, claimed, each, write_problems
from cellular.report.style import save
from cellular.report.tracks import draw_lengths, draw_tracks, shares_by_length
from cellular.settings import settings_to_dict
from cellular.tables import read_table
from cellular.track.export import EXPORTS, write_export
from cellular.track.link import TrackSettings, link
from cellular.track.scores import score_tracks
from cellular.track.series import group_series, step_of
from cellular.track.states import activated_over_time, activation_times
from cellular.track.summary import summarise
from cellular.track.transitions import transitions

logger = logging.getLogger(__name__)

PROBABILITY = "probability_activated"
# What is told of states along the tracks, where cells with states are given.
STATES = ("transitions", "activation", "activated_over_time")
COLUMNS = ("series", "field", "timepoint", "frame", "label", "y", "x", "area", "track", "parent", "lineage")


@dataclass(frozen=True)
class Series:
    """One position over time: its name and its fields, in order of their timepoint."""

    name: str
    frames: list[FieldFiles]


@dataclass(frozen=True)
class TrackResult:
    """What was followed: the table of all series, its summary, scores where there was a truth, and what went wrong."""

    tracks: pd.DataFrame
    summary: pd.DataFrame
    scores: pd.DataFrame | None = None
    problems: dict[str, str] = field(default_factory=dict)


def track(
    labels: str | Path | Plate,
    out: str | Path,
    settings: TrackSettings | None = None,
    *,
    pattern: str | None = None,
    cells: str | Path | None = None,
    appearance: Sequence[str] = (),
    truth: str | Path | None = None,
    exports: Sequence[str] = (),
    corrections: str | Path | None = None,
    engine: Engine = HERE,
) -> TrackResult:
    """Follow the cells of every series in folder `labels` and write the results to folder `out`.

    Parameters
    ----------
    labels : folder of label images named by field, or a plate whose fields have label images.
    out : gets ``tracks.csv``, ``summary.csv``, ``track.json``, ``figures/`` and, as asked for, ``scores.csv``,
        ``exports/<kind>/<series>/``, ``transitions.csv``, ``activation.csv``, ``activated_over_time.csv``.
    cells : table with ``field, label`` and the columns named in `appearance`, compared when linking; and, where it has
        a column ``probability_activated``, the states that are followed along the tracks.
    truth : table of true tracks (``series, track, timepoint, field, cell, parent``) whose label images
        ``<field>_labels.tif`` lie beside it; the tracks are scored against it.
    corrections : folder of corrections of these label images; only the series of corrected fields are followed anew.
    engine : where the series are done; the result is the same. See :mod:`cellular.jobs.engines`.

    Raises
    ------
    InputError : no position was imaged twice, or an export is not known. A series with a file that cannot be read, or
        with images of different sizes, is reported and passed over. `cells` were measured on other outlines.
    SettingsError : `appearance` without `cells`.

    Examples
    --------
    >>> import cellular
    >>> from cellular.simulate import SimulationSettings
    >>> made = cellular.simulate("sim", SimulationSettings(fields=1, timepoints=2, size_px=160, diameter_px=30))
    >>> result = cellular.track(made.truth, "tracks")
    >>> result.tracks.columns[:3].tolist(), result.summary["series"].tolist()
    (['series', 'field', 'timepoint'], ['220518-ST_C05_s1'])
    """
    settings, out = settings or TrackSettings(), Path(out)
    _check_exports(exports)
    if appearance and not cells:
        asked = " ".join(appearance)
        raise SettingsError(f"--appearance {asked} names columns of a table of cells: give it with --cells")
    plate = labels if isinstance(labels, Plate) else find_label_fields(labels, pattern=pattern)
    plate, _ = corrected(plate, corrections)
    series = group_series(item for item in plate.fields if item.labels)
    if all(len(frames) < 2 for frames in series.values()):
        raise InputError(
            f"{plate.folder}: {len(series)} position(s), none imaged at two timepoints, so there is nothing to follow. "
            "Where the names hide the timepoint, --pattern tells how to read it"
        )
    measured = _read_cells(cells, appearance, plate) if cells else None
    step = _step(plate, series)
    truths = _read_truth(truth) if truth else None

    given = tuple(Path(path) for path in (truth, cells if appearance else None) if path)
    folder = Path(truth).parent if truth else None
    named = list(dict.fromkeys(("field", "label", *appearance)))
    looks = dict(tuple(measured[named].groupby("field"))) if appearance and measured is not None else None
    one = _Tracking(out, settings, looks, tuple(appearance), step, truths, folder, tuple(exports), given)
    record = {**settings_to_dict(settings), "labels": str(plate.folder), "pattern": pattern}
    record |= {"appearance": list(appearance), "truth": str(truth) if truth else None, "exports": list(exports)}
    with claimed(out, "track", record, engine):
        work = Work(one.do, one.inputs, one.outputs, one.known)
        followed = [Series(*item) for item in series.items()]
        done = each(followed, out, work, desc="track", unit="series", engine=engine)
        write_problems(out, done.problems)
        if not done.names:
            raise InputError(f"No series could be tracked; first problem: {next(iter(done.problems.values()))}")
        if measured is not None:
            check_tracked(done.tables["tracks"], measured)
        result = TrackResult(done.tables["tracks"], done.tables["summary"], done.tables.get("scores"), done.problems)
        for name in ("tracks", "summary", "scores", *STATES):
            (out / f"{name}.csv").unlink(missing_ok=True)
        _write(result, out)
        if measured is not None and PROBABILITY in measured:
            write_states(result.tracks.merge(measured[["field", "label", PROBABILITY]], how="left"), out, step)
    return result


def _times(frames: Sequence[FieldFiles]) -> list[int]:
    """Timepoints of the frames of a series, which all have one."""
    return [frame.timepoint for frame in frames if frame.timepoint is not None]


def _step(plate: Plate, series: dict[str, list[FieldFiles]]) -> int:
    """From one timepoint to the next. One gap tells nothing where names count images: 1 and 3 have lost 2."""
    step = step_of(_times(frames) for frames in series.values())
    times = {time for frames in series.values() for time in _times(frames)}
    if len(times) == 2 and plate.scheme != "pattern":
        return 1
    if step > 1:
        logger.info("timepoints go in steps of %d", step)
    return step


@dataclass(frozen=True)
class _Tracking:
    """Following the cells of one series."""

    out: Path
    settings: TrackSettings
    looks: Mapping[str, pd.DataFrame] | None
    appearance: tuple[str, ...]
    step: int
    truths: pd.DataFrame | None
    truth_folder: Path | None
    exports: tuple[str, ...]
    given: tuple[Path, ...]

    def do(self, one: Series) -> dict[str, pd.DataFrame]:
        images = [load_labels(frame) for frame in one.frames]
        looks, columns = self.looks, self.appearance
        features = None if looks is None else [_features(looks, frame, columns) for frame in one.frames]
        first, *_ = numbers = _times(one.frames)
        times = [(number - first) // self.step for number in numbers]
        tracks = link(images, self.settings, features, times)
        summary = summarise(tracks, images, self.settings, times, features)
        tables = {"summary": pd.DataFrame([{"series": one.name, **summary}])}
        if self.truths is not None and self.truth_folder is not None:
            scores = _scores(self.truths, self.truth_folder, one.name, one.frames, tracks, images)
            tables["scores"] = pd.DataFrame([{"series": one.name, **scores}])
        for kind in self.exports:
            write_export(kind, tracks, images, self.out / "exports" / kind / one.name)
        figure = draw_tracks(tracks, images[-1], f"{one.name}: {len(one.frames)} timepoints")
        save(figure, self.out / "figures" / f"{one.name}.svg", tracks)
        return tables | {"tracks": _named(tracks, one.name, one.frames).round({"y": 3, "x": 3})}

    def inputs(self, one: Series) -> tuple[Path, ...]:
        return (*(frame.labels for frame in one.frames if frame.labels), *self.given)

    def known(self, one: Series) -> dict[str, Any]:
        return {"times": _times(one.frames), "step": self.step}

    def outputs(self, one: Series) -> tuple[Path, ...]:
        return (self.out / "figures" / f"{one.name}.svg",)


def _check_exports(exports: Sequence[str]) -> None:
    unknown = sorted(set(exports) - set(EXPORTS))
    if unknown:
        raise InputError(f"Unknown export(s) {unknown}; known: {', '.join(EXPORTS)}")


def _read_cells(path: str | Path, appearance: Sequence[str], plate: Plate) -> pd.DataFrame:
    table = read_table(path, columns=("field", "label", PROBABILITY, *PLACE, *appearance))
    missing = sorted({"field", "label", *appearance} - set(table.columns))
    if missing:
        raise InputError(f"{path} lacks the column(s) {missing}")
    twice = table.duplicated(["field", "label"])
    if twice.any():
        cell = table[twice].iloc[0]
        raise InputError(f"{path} has two rows for cell {cell['label']} of field {cell['field']}: was it joined twice?")
    if len(table) and not table["field"].isin([item.name for item in plate.fields]).any():
        raise InputError(
            f"{path} knows no field of the label images, such as {plate.fields[0].name}; "
            f"its own are {table['field'].iloc[0]} ..."
        )
    return table


def _read_truth(path: str | Path) -> pd.DataFrame:
    """The table of true tracks with whole numbers in its numbers; where cells lie is read off the label images."""
    table = read_csv(path)
    table = table.drop(columns="label", errors="ignore").rename(columns={"cell": "label"}) if "cell" in table else table
    numbers = ["timepoint", "label", "track", "parent"]
    if missing := [name for name in ("series", *numbers) if name not in table]:
        raise InputError(f"{path} lacks the column(s) {', '.join('cell' if n == 'label' else n for n in missing)}")
    for name in numbers:
        values = as_numbers(table[name])
        wrong = ~((values >= 0) & (values < 2**53) & (values % 1 == 0))
        if wrong.any():
            said = "cell" if name == "label" else name
            raise InputError(f"{path}: {said} is a whole number from 0, not '{table[name][wrong].iloc[0]}'")
        table[name] = values.astype(np.int64)
    return table[["series", *numbers]].assign(y=0.0, x=0.0)


def _features(looks: Mapping[str, pd.DataFrame], frame: FieldFiles, appearance: Sequence[str]) -> pd.DataFrame:
    here = looks.get(frame.name, pd.DataFrame(columns=["label", *appearance]))
    return here.set_index("label")[list(appearance)]


def _named(tracks: pd.DataFrame, series: str, frames: Sequence[FieldFiles]) -> pd.DataFrame:
    """The table with names in place of frame numbers alone."""
    named = tracks.assign(
        series=series,
        field=[frames[t].name for t in tracks["frame"]],
        timepoint=[frames[t].timepoint for t in tracks["frame"]],
    )
    return named[list(COLUMNS)]


def _scores(
    truths: pd.DataFrame,
    folder: Path,
    series: str,
    frames: Sequence[FieldFiles],
    tracks: pd.DataFrame,
    images: Sequence[np.ndarray],
) -> dict[str, float]:
    number = {frame.timepoint: t for t, frame in enumerate(frames)}
    truth = truths[(truths["series"] == series) & truths["timepoint"].isin(number)]
    if truth.empty:
        raise InputError(f"{folder}: no true tracks for series {series}")
    truth_images = [read_labels(folder / f"{frame.name}_labels.tif") for frame in frames]
    truth = truth.assign(frame=truth["timepoint"].map(number)).reset_index(drop=True)
    for frame, image, rows in (
        (frames[t].name, truth_images[t], truth[truth["frame"] == t]) for t in range(len(frames))
    ):
        if sorted(rows["label"]) != np.unique(image[image > 0]).tolist():
            raise InputError(f"{folder / frame}_labels.tif and the table of true tracks do not hold the same cells")
    return asdict(score_tracks(truth, truth_images, tracks, images))


def _write(result: TrackResult, out: Path) -> None:
    write_csv(out / "tracks.csv", result.tracks)
    write_csv(out / "summary.csv", result.summary)
    if result.scores is not None:
        write_csv(out / "scores.csv", result.scores)
    shares = shares_by_length(result.tracks)
    save(draw_lengths(shares), out / "figures" / "track_lengths.svg", shares)


def write_states(tracks: pd.DataFrame, out: Path, step: int = 1) -> None:
    """Write ``transitions.csv``, ``activation.csv`` and ``activated_over_time.csv`` for tracks with probabilities.

    `step` is from one timepoint to the next.
    """
    found = transitions(tracks, step=step)
    tables = found.table().assign(method=found.method, series=found.series), activation_times(tracks)
    for name, table in zip(STATES, (*tables, activated_over_time(tracks))):
        write_csv(out / f"{name}.csv", table)
