"""`cellular analyse`: a plate folder in; cells, states, tracks, statistics and a page to look at out."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from cellular.autophagy.compare.effects import Comparison, StatsSettings
from cellular.data.fields import parse_field
from cellular.data.pairs import Pair, find_pairs, load_image, load_labels
from cellular.errors import CellularError, InputError
from cellular.files import INPUTS, claim_folder, made_of, read_csv, together, write_csv, write_inputs
from cellular.jobs.classify import classifier, read_state_model
from cellular.jobs.stats import Figures, add_to_page, compare_tables
from cellular.jobs.track import TrackResult, track_folder
from cellular.progress import progress
from cellular.report.html import Page
from cellular.report.outlines import draw_overlays
from cellular.settings import settings_to_dict
from cellular.track.link import TrackSettings
from cellular.track.series import find_label_images

logger = logging.getLogger(__name__)

# Fields shown with their outlines on the page.
PICTURES = 4

# What the page calls the columns of the tracks' summary.
_TRACK_WORDS = {
    "series": "series",
    "frames": "timepoints",
    "cells": "cells",
    "tracks": "tracks",
    "single_frame_tracks": "seen once",
    "divisions": "divisions",
    "bridged_gaps": "gaps bridged",
    "cells_in_full_lineages": "cells followed throughout",
    "median_step_px": "median step (px)",
    "reversed_agreement": "same backwards",
}

# Image (Y, X, C), label image (Y, X) and field name in; tables of the field by name out, "cells" among them.
Measure = Callable[[np.ndarray, np.ndarray, str], dict[str, pd.DataFrame]]
Classify = Callable[[pd.DataFrame], pd.DataFrame]


@dataclass(frozen=True)
class AnalyseSettings:
    """The settings of every stage.

    Attributes
    ----------
    model : segmentation model, by name or file. diameter : cell diameter in px; None leaves it to the model.
    channels : image channels for the network (:func:`cellular.segment.image.normalize.to_network_input`); None takes
        the model's.
    device : where to segment. track, stats : see :class:`TrackSettings`, :class:`StatsSettings`.
    state_model : ``model.safetensors`` of classify; None leaves states untold.
    """

    model: str = "starter"
    diameter: float | None = None
    channels: tuple[int, ...] | None = None
    device: str = "auto"
    state_model: str | None = None
    track: TrackSettings = field(default_factory=TrackSettings)
    stats: StatsSettings = field(default_factory=StatsSettings)


@dataclass(frozen=True)
class AnalyseResult:
    """What came out.

    Attributes
    ----------
    cells : all cells of all fields. tracks : None where no position was imaged twice.
    comparison : None where there was nothing to compare; `no_comparison` says why.
    problems : by field or series, what was passed over and why.
    page : the report.
    """

    cells: pd.DataFrame
    tracks: TrackResult | None
    comparison: Comparison | None
    no_comparison: str
    problems: dict[str, str]
    page: Path


def analyse(
    folder: str | Path,
    out: str | Path,
    settings: AnalyseSettings | None = None,
    *,
    measure: Measure | None = None,
    labels: str | Path | None = None,
    classify: Classify | None = None,
) -> AnalyseResult:
    """Analyse every field of `folder` and write everything to `out`.

    Parameters
    ----------
    folder : images named by field: composites, or raw channels ``_w1``, ``_w2``, ``_w3``.
    out : gets ``labels/``, ``fields/<field>/``, ``cells.csv`` and the other tables of `measure`, ``tracks/``,
        ``stats/``, ``problems.csv`` and ``report.html``.
    measure : measures one field; None is :func:`cellular.autophagy.measure.field.measure_field`.
    labels : folder of label images, in place of segmenting.
    classify : adds ``probability_activated`` to the table of all cells; None uses the settings' state model, if any.

    A field that cannot be read, segmented or measured is reported and passed over. Run again with the same settings,
    fields that are done are kept; with others, OutputExistsError is raised.
    """
    settings, out = settings or AnalyseSettings(), Path(out)
    pairs = find_pairs(folder, labels=False)
    # models and labels are opened before anything is written: a wrong name must not cost a night, or claim the folder
    outline = _outliner(out, settings, labels)
    state_model = read_state_model(settings.state_model) if settings.state_model and classify is None else None
    record = {**settings_to_dict(settings), "folder": str(folder), "labels": str(labels) if labels else None}
    claim_folder(out, "analyse.json", record, "another folder, other settings or labels")
    outlines, problems = outline(pairs)
    outlined = [pair for pair in pairs if pair.name in outlines]
    tables = _measure_fields(outlined, outlines, out, measure or default_measure(), problems)
    cells = tables["cells"]
    if state_model is not None:
        fields = {pair.name: replace(pair, labels=outlines[pair.name]) for pair in outlined}
        classify = classifier(state_model, fields)
    if classify is not None:
        cells = classify(cells)
    for name, table in {**tables, "cells": cells}.items():
        write_csv(out / f"{name}.csv", table)
    tracks = _tracks(outlines, out, settings, problems)
    if tracks is not None:
        cells = cells.merge(tracks.tracks[["field", "label", "track", "lineage"]], on=["field", "label"], how="left")
    comparison, figures, reason = _comparison(cells, out, settings)
    write_csv(out / "problems.csv", pd.DataFrame({"where": list(problems), "problem": list(problems.values())}))
    shown = [pair for pair in pairs if pair.name in set(cells["field"])]
    draw_overlays(shown[:: max(1, len(shown) // PICTURES)][:PICTURES], outlines, out)
    result = AnalyseResult(cells, tracks, comparison, reason, problems, out / "report.html")
    _page(result, folder, figures).write(result.page)
    return result


def default_measure() -> Measure:
    """What `cellular measure` measures."""
    from cellular.autophagy.measure.field import measure_field

    return measure_field


def _outliner(
    out: Path, settings: AnalyseSettings, labels: str | Path | None
) -> Callable[[Sequence[Pair]], tuple[dict[str, Path], dict[str, str]]]:
    """What finds the label image of each field in `labels`, or has it made by the model; and why some have none."""
    if labels is None:
        from cellular.jobs.segment import segment_files
        from cellular.segment.segmenter import Segmenter
        from cellular.segment.settings import SegmentSettings

        segmenter = Segmenter.from_pretrained(settings.model, settings.device)
        how = SegmentSettings(diameter=settings.diameter, channels=settings.channels)

        def made(pairs: Sequence[Pair]) -> tuple[dict[str, Path], dict[str, str]]:
            done = segment_files(pairs, segmenter, out / "labels", how)
            return done.labels, dict(done.problems)

        return made
    found = find_label_images(labels)

    def looked_up(pairs: Sequence[Pair]) -> tuple[dict[str, Path], dict[str, str]]:
        missing = {pair.name: f"no label image in {labels}" for pair in pairs if pair.name not in found}
        return {pair.name: found[pair.name] for pair in pairs if pair.name in found}, missing

    return looked_up


def _measure_fields(
    pairs: Sequence[Pair], outlines: dict[str, Path], out: Path, measure: Measure, problems: dict[str, str]
) -> dict[str, pd.DataFrame]:
    """Tables of all fields together; each field's stay in ``fields/<field>/`` while its files are the same."""
    fields = []
    for pair in progress(pairs, desc="measure", unit="field"):
        folder = out / "fields" / pair.name
        try:
            inputs = (*pair.images, outlines[pair.name])
            if not made_of(folder / INPUTS, inputs):
                (folder / INPUTS).unlink(missing_ok=True)
                image = load_image(pair)
                labels = load_labels(replace(pair, labels=outlines[pair.name]), image.shape[:2])
                found = measure(image, labels, pair.name)
                for name in found:
                    write_csv(folder / f"{name}.csv", found[name])
                write_inputs(folder / INPUTS, inputs)
            fields.append({path.stem: read_csv(path) for path in sorted(folder.glob("*.csv"))})
        except CellularError as error:
            problems[pair.name] = str(error)
    if not fields:
        raise InputError(f"No field could be measured; first problem: {next(iter(problems.values()), 'no fields')}")
    names = list(dict.fromkeys(name for tables in fields for name in tables))
    return {name: together([tables[name] for tables in fields if name in tables]) for name in names}


def _tracks(
    outlines: dict[str, Path], out: Path, settings: AnalyseSettings, problems: dict[str, str]
) -> TrackResult | None:
    """Tracks, where any position was imaged more than once."""
    timed = {name: path for name, path in outlines.items() if parse_field(name).timepoint is not None}
    if len({parse_field(name).series for name in timed}) == len(timed):
        logger.info("no position was imaged twice: nothing to track")
        return None
    result = track_folder(timed, out / "tracks", settings.track, cells=out / "cells.csv")
    problems.update(result.problems)
    return result


def _comparison(
    cells: pd.DataFrame, out: Path, settings: AnalyseSettings
) -> tuple[Comparison | None, Figures | None, str]:
    """Statistics, where there is something to compare; else the reason why not."""
    images = out / "images.csv"
    try:
        given = images if images.is_file() else None
        return *compare_tables(cells, out / "stats", settings.stats, images=given), ""
    except InputError as error:
        return None, None, str(error)


def _page(result: AnalyseResult, folder: str | Path, figures: Figures | None) -> Page:
    out = result.page.parent
    fields = result.cells["field"].nunique()
    page = Page(f"Analysis of {Path(folder).resolve().name}", subtitle="cellular analyse", footer="Made by cellular.")
    facts = {"fields": fields, "cells": len(result.cells), "cells per field": round(len(result.cells) / max(1, fields))}
    if result.tracks is not None:
        facts["tracks"] = len(result.tracks.tracks[["series", "track"]].drop_duplicates())
    page.facts(facts | {"problems": len(result.problems)})
    if result.problems:
        page.section("Problems").text("These were reported and passed over:")
        page.table(read_csv(out / "problems.csv"))
    page.section("Cells").text("Outlines over a few of the fields; if they look wrong, nothing below can be right.")
    page.figures({path.stem: path for path in sorted((out / "overlays").glob("*.jpg"))[:PICTURES]})
    if result.comparison is not None and figures is not None:
        add_to_page(page, result.comparison, figures)
    else:
        page.section("Treatments").caveat(f"No comparison: {result.no_comparison}")
    if result.tracks is not None:
        _add_tracks(page, result.tracks, out / "tracks")
    return page


def _add_tracks(page: Page, tracks: TrackResult, folder: Path) -> None:
    page.section("Tracks").table(
        tracks.summary.rename(columns=_TRACK_WORDS)[list(_TRACK_WORDS.values())],
        caption="Length and consistency of the tracks, series by series:",
    )
    page.text(
        "'Same backwards' is the share of links found again when time runs backwards. It is consistency, not truth: "
        "look at the paths."
    )
    page.figures(
        {
            f"{series}: paths from thin to thick, over the last outlines.": folder / "figures" / f"{series}.png"
            for series in tracks.summary["series"].head(PICTURES)
        }
    )
    if (folder / "transitions.csv").is_file():
        page.table(read_csv(folder / "transitions.csv"), caption="From one timepoint to the next, by classified state:")
        page.table(read_csv(folder / "activated_over_time.csv"), caption="Share of tracks activated by each timepoint:")
