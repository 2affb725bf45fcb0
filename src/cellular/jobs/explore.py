"""What a page lets its reader look into: fields chosen by rule, read and made light; their cells, puncta and tracks."""

import logging
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from cellular.autophagy.compare.design import as_text
from cellular.data.image import FieldImage, load_labels, read_field
from cellular.data.plate import FieldFiles, Plate, plates_apart
from cellular.data.platemap import SAMPLE
from cellular.files import read_csv
from cellular.jobs.conditions import conditions, samples_apart
from cellular.jobs.processes import here
from cellular.jobs.runner import attempt
from cellular.report.choice import Choice, choose_fields
from cellular.report.colours import EDGE, STATES
from cellular.report.explorer import Explored, measurements, unit_means, well_table
from cellular.report.linked import choose_rows
from cellular.report.outlines import PLAIN, Ring, colour_image, outline_overlay, outlines_of
from cellular.report.pictures import size_choice
from cellular.report.viewer import Frame, frame_of
from cellular.tables import puncta_of

logger = logging.getLogger(__name__)

# Longer side of a picture for paper, px; steps of a track that are drawn behind a cell.
_STILL, _STEPS = 700, 12
# Outlines by state: a dash beside the colour, and what other states are drawn in.
_STATES = {state: (STATES[state], dash) for state, dash in (("basal", "solid"), ("activated", "dashed"))}
_FREE_STATES = (("#CC79A7", "dotted"), ("#F0E442", "dotdash"), ("#FFFFFF", "dashdot"))


@dataclass(frozen=True)
class Exploring:
    """What a page shows: `told` to Bokeh (None where no picture could be read), `still` on paper, `words` about it."""

    told: Explored | None
    still: dict[str, np.ndarray]
    words: list[str]


def explore(
    plate: Plate,
    tables: Mapping[str, pd.DataFrame],
    *,
    treatment: str = "treatment",
    inhibitor: str = "inhibitor",
    replicate: str | None = None,
    unit: str = "well",
    replicates: Mapping[str, str] | None = None,
    treatments: Sequence[str] = (),
    first: Sequence[str] = (),
    drawn_map: Path | None = None,
    tracks: pd.DataFrame | None = None,
    left_out: Collection[str] = (),
) -> Exploring:
    """The fields to show, read, and everything about their cells.

    Parameters
    ----------
    plate : with label images. tables : "cells" and, where there are any, "puncta", "marker_puncta" and "quality".
    treatment, inhibitor, replicate, unit : columns. replicates : those of the comparison, by field, whatever a column
    of this name says. treatments : of the comparison. first : measurements to show first.
    drawn_map : ``map_<method>.csv``.
    tracks : ``field, frame, series, track, y, x``. left_out : fields of which no mean is made, as in the comparison.
    """
    fields = {item.name: item for item in plate.fields}
    positions = {name: item.series if tracks is not None and item.series else name for name, item in fields.items()}
    quality = tables.get("quality", pd.DataFrame({"field": list(fields)}))
    choice = choose_fields(_about(plate, quality, positions, treatment))
    shown = [name for place in choice.why for name in fields if positions[name] == place]
    frames, outlines, still, lost = _read(shown, fields, positions, choice)
    if not frames:
        return Exploring(None, {}, [f"No picture could be read: {next(iter(lost.values()), 'there are no fields')}"])
    names = [frame.field for frame in frames]
    every, unit = _told(plate, tables["cells"], (treatment, inhibitor, replicate), replicates, unit)
    cells = _cells(every, quality, names, drawn_map)
    features = measurements(cells, first)
    compared = every[~every["field"].isin(left_out)]
    known = "treatment" in cells
    told = Explored(
        frames,
        outlines,
        cells,
        features,
        unit_means(compared, features, unit) if known and unit in cells else None,
        well_table(compared, features) if "well" in every and every["well"].notna().any() else None,
        _puncta(tables, names),
        None if tracks is None else _steps(tracks, names),
        _states(cells),
        unit=unit if unit in cells else "field",
        treatments=treatments,
    )
    words = [choice.words, size_choice([p for frame in frames for _, p in frame.channels.values()])]
    words += [f"{len(cells):,} of {len(tables['cells']):,} cells are on this page."] * (
        len(cells) < len(tables["cells"])
    )
    words += [f"Means of units and wells are without the {len(left_out)} field(s) left out of the comparison."] * (
        len(left_out) > 0
    )
    return Exploring(told, still, words + [f"{name} could not be shown: {why}" for name, why in lost.items()])


def _about(plate: Plate, quality: pd.DataFrame, positions: Mapping[str, str], treatment: str) -> pd.DataFrame:
    """A row a field, as :func:`choose_fields` takes them; sharpness is that of the first channel that has one."""
    table = plate.table()[["field"]].assign(position=lambda rows: rows["field"].map(positions))
    given = plate.table()
    if treatment in given:
        table["treatment"] = given[treatment]
    sharp = next((name for name in quality if name.startswith("sharpness")), None)
    known = quality[["field", *(["flagged"] if "flagged" in quality else []), *([sharp] if sharp else [])]]
    table = table.merge(known.rename(columns={sharp: "sharpness"}), on="field", how="left")
    table = table.fillna({name: 0.0 for name in ("sharpness",) if name in table})
    return table.assign(flagged=table["flagged"].eq(True)) if "flagged" in table else table


def _read(
    shown: Sequence[str], fields: Mapping[str, FieldFiles], positions: Mapping[str, str], choice: Choice
) -> tuple[list[Frame], dict[tuple[str, int], Ring], dict[str, np.ndarray], dict[str, str]]:
    """Frames, outlines by (field, label), pictures for paper, and what could not be read."""
    drawn = {next(name for name in shown if positions[name] == place) for place in choice.why}

    def look(item: FieldFiles) -> tuple[Frame, dict[int, Ring], np.ndarray | None]:
        image = read_field(item)
        labels = load_labels(item, image.shape)
        frame = frame_of(image, item.name, len(shown), positions[item.name], item.timepoint)
        return frame, outlines_of(labels), _still(image, labels) if item.name in drawn else None

    # unpacking and packing pictures holds no interpreter's lock
    read, lost = attempt([fields[name] for name in shown], look, desc="pictures", engine=here())
    frames = [frame for frame, _, _ in read.values()]
    kept = [frame for frame in frames if set(frame.channels) == set(frames[0].channels)]
    lost |= {f.field: "its channels are others than the first field's" for f in frames if f not in kept}
    outlines = {(name, label): ring for name, (_, rings, _) in read.items() for label, ring in rings.items()}
    still = {name: picture for name, (_, _, picture) in read.items() if picture is not None}
    words = "{}: {}; at its own brightness"
    return kept, outlines, {words.format(name, choice.why[positions[name]]): p for name, p in still.items()}, lost


def _still(image: FieldImage, labels: np.ndarray) -> np.ndarray:
    return for_paper(outline_overlay(colour_image(image), [(labels, PLAIN)]))


def for_paper(picture: np.ndarray) -> np.ndarray:
    """The picture (Y, X, 3), its longer side at most 700 px."""
    scale = _STILL / max(picture.shape[:2])
    return cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else picture


def _told(
    plate: Plate,
    cells: pd.DataFrame,
    given: tuple[str, str, str | None],
    replicates: Mapping[str, str] | None,
    unit: str,
) -> tuple[pd.DataFrame, str]:
    """All cells with conditions in ``treatment``, names that tell plates apart in ``plate``; the column of their units.

    A name in it is of one unit: "dish 1" of another day is another dish. `given` are the columns of treatment,
    inhibitor and replicate.
    """
    told = dict(cells.items())  # a frame with so many columns warns of each that is added
    for name in {"replicate", SAMPLE} & told.keys():  # a table's numbers are names here: dish 1 is not "1.0"
        told[name] = as_text(told[name])
    if given[0] in told:
        told["treatment"] = conditions(plate, cells, *given)
    fields = plate.table()
    told["plate"] = cells["field"].map(dict(zip(fields["field"], plates_apart(fields)))).fillna("")
    if replicates:
        told["replicate"] = cells["field"].map(replicates)
    if unit in ("well", SAMPLE) and SAMPLE in told and ("well" not in told or told["well"].isna().all()):
        unit = SAMPLE
        told[SAMPLE] = samples_apart(pd.DataFrame({n: told[n] for n in (SAMPLE, "replicate") if n in told}))
    elif unit == "well" and unit in told and told["plate"].nunique() > 1:
        unit, told["plate and well"] = "plate and well", told["plate"] + " " + told["well"].astype(str)
    return pd.DataFrame(told, copy=False), unit


def _cells(cells: pd.DataFrame, quality: pd.DataFrame, shown: list[str], drawn_map: Path | None) -> pd.DataFrame:
    """The rows that the page holds, with their field's quality and place on the map."""
    cells = choose_rows(cells, shown)
    if "flagged" in quality:
        flagged = set(quality.loc[quality["flagged"].eq(True), "field"])
        cells = cells.assign(flagged=cells["field"].isin(flagged))
    if drawn_map is not None and drawn_map.is_file():
        places = read_csv(drawn_map)
        with suppress(KeyError):
            cells = cells.merge(places[["field", "label", "first", "second"]], on=["field", "label"], how="left")
    return cells.reset_index(drop=True)


def _puncta(tables: Mapping[str, pd.DataFrame], shown: list[str]) -> pd.DataFrame | None:
    here = puncta_of(tables, shown)
    if here is None:
        return None
    return here.assign(frame=here["field"].map(shown.index).astype(int) if len(here) else 0)


def _states(cells: pd.DataFrame) -> dict[str, tuple[str, str, str, str]]:
    """A layer of outlines a state; none where states are not told."""
    if "state" not in cells:
        return {}
    free = iter(_FREE_STATES)
    told = sorted(cells["state"].dropna().astype(str).unique())
    looks = {state: _STATES.get(state) or next(free, _FREE_STATES[-1]) for state in told}
    return {f"state: {state} ({dash})": ("state", state, colour, dash) for state, (colour, dash) in looks.items()} | {
        "state not told": ("state", "", EDGE, "solid")
    }


def _steps(tracks: pd.DataFrame, shown: list[str]) -> pd.DataFrame:
    """For every frame the steps by which its cells came there: ``frame, label, x0, y0, x1, y1``."""
    rows = []
    for _, track in tracks[tracks["field"].isin(shown)].sort_values("frame").groupby(["series", "track"]):
        points = list(zip(track["field"], track["x"], track["y"], track["label"]))
        steps = [(x0, y0, x1, y1) for (_, x0, y0, _), (_, x1, y1, _) in pairwise(points)]
        for at in range(1, len(points)):
            frame = shown.index(points[at][0])
            rows += [(frame, points[at][-1], *step) for step in steps[max(0, at - _STEPS) : at]]
    return pd.DataFrame(rows, columns=["frame", "label", "x0", "y0", "x1", "y1"])
