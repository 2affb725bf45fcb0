"""The page of `cellular analyse`: what was understood, done, left out and found."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cellular.autophagy.compare.effects import Comparison
from cellular.data.plate import Plate
from cellular.files import read_csv
from cellular.report.comparison import Figures, add_to_page
from cellular.report.explorer import Explored, explorer
from cellular.report.gallery import Gallery
from cellular.report.html import Page
from cellular.report.provenance import add_provenance

# Series whose tracks are drawn on the page.
PICTURES = 8

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


@dataclass(frozen=True)
class Analysis:
    """What the page tells.

    Attributes
    ----------
    plate : as it was understood. tables : cells and images among them. problems : what was passed over and why.
    comparison, figures, no_comparison : the treatments, or why they could not be compared.
    tracks, tracks_summary : tables of tracks, None without any; their pictures lie in ``tracks/``.
    explored, still, words : what can be looked into (None where no picture could be read), pictures for paper by their
        captions, and sentences about the choice.
    settings, versions : what was used. excluded : the ledger of what was left out; None where nothing was to be.
    gallery : strips of cells. add_quality : adds the section on the quality of fields.
    """

    plate: Plate
    tables: Mapping[str, pd.DataFrame]
    problems: Mapping[str, str]
    comparison: Comparison | None
    figures: Figures | None
    no_comparison: str
    tracks: pd.DataFrame | None
    tracks_summary: pd.DataFrame | None
    explored: Explored | None
    still: Mapping[str, np.ndarray]
    words: Sequence[str]
    settings: Mapping[str, Any]
    versions: Mapping[str, str]
    excluded: pd.DataFrame | None = None
    gallery: Gallery = field(default_factory=Gallery)
    add_quality: Callable[[Page, pd.DataFrame | None], Page] = lambda page, excluded: page


def analysis_page(analysis: Analysis, out: Path) -> Page:
    """The page of a run whose files lie in `out`."""
    plate, cells = analysis.plate, analysis.tables["cells"]
    fields = analysis.tables["images"]["field"].nunique()
    title = f"Analysis of {plate.folder.resolve().name}"
    page = Page(title, subtitle="cellular analyse", footer="Made by cellular.", folder=out)
    facts = {"fields": fields, "cells": len(cells), "cells per field": round(len(cells) / max(1, fields))}
    if analysis.tracks is not None:
        facts["tracks"] = len(analysis.tracks[["series", "track"]].drop_duplicates())
    if "cells_edited" in analysis.tables["images"]:
        facts["cells edited by hand"] = int(analysis.tables["images"]["cells_edited"].sum())
    if "state_by_hand" in cells:
        facts["states told by hand"] = int(cells["state_by_hand"].sum())
    page.facts(facts | {"problems": len(analysis.problems)})
    page.section("Plate").text("What was understood of names, files and plate map. If this is wrong, so is the rest.")
    page.table(
        pd.DataFrame(
            {
                "what": [line.partition(": ")[0] for line in plate.summary()],
                "understood": [line.partition(": ")[2] for line in plate.summary()],
            }
        )
    )
    if analysis.problems:
        page.section("Problems").text("These were reported and passed over:")
        page.table(pd.DataFrame({"field": list(analysis.problems), "problem": list(analysis.problems.values())}))
    if not len(cells):
        page.section("No cells").caveat(
            f"No cell was found in any of the {fields} fields. Blank wells show none; else the model, the diameter or "
            "the channels are not right for these images."
        )
    _add_cells(page, analysis)
    if analysis.gallery.strips:
        page.section("Gallery").text(analysis.gallery.words)
        for caption, path in analysis.gallery.strips.items():
            page.figure(path, caption)
    analysis.add_quality(page, analysis.excluded)
    if analysis.comparison is not None and analysis.figures is not None:
        add_to_page(page, analysis.comparison, analysis.figures)
    else:
        page.section("Treatments").caveat(f"No comparison: {analysis.no_comparison}")
    if analysis.tracks is not None:
        _add_tracks(page, analysis.tracks_summary, out / "tracks")
    excluded = analysis.excluded
    typed = ["cellular", "analyse", str(plate.folder), "--config", str(out / "config.toml"), "--out", str(out)]
    return add_provenance(
        page,
        analysis.settings,
        fields=plate.fields,
        commands=[shlex.join(typed)],
        made_with=analysis.versions,
        excluded="" if excluded is None else f"Left out of the comparison: {', '.join(excluded['field'])}.",
    )


def _add_cells(page: Page, analysis: Analysis) -> None:
    page.section("Cells").text(
        "Look at outlines and puncta first; if they are wrong, nothing below can be right. A cell that is selected in "
        "the picture, a plot or the table is selected in all"
        + ("." if analysis.explored is None or analysis.explored.wells is None else "; a well stands for its cells.")
    )
    for sentence in analysis.words:
        page.text(sentence)
    if analysis.explored is not None:
        page.interactive(explorer(analysis.explored), analysis.still)


def _add_tracks(page: Page, summary: pd.DataFrame, folder: Path) -> None:
    page.section("Tracks").table(
        summary.rename(columns=_TRACK_WORDS)[list(_TRACK_WORDS.values())],
        caption="Length and consistency of the tracks, series by series:",
    )
    page.text(
        "'Same backwards' is the share of links found again when time runs backwards. It is consistency, not truth: "
        "look at the paths."
        + (f" Drawn are the first {PICTURES} of {len(summary)} series." if len(summary) > PICTURES else "")
    )
    page.figures(
        {
            f"{series}: paths from thin to thick, over the last outlines.": folder / "figures" / f"{series}.svg"
            for series in summary["series"].head(PICTURES)
        }
    )
    if (folder / "transitions.csv").is_file():
        page.table(
            read_csv(folder / "transitions.csv"),
            caption="From one timepoint to the next, the classifier's doubt allowed for, all wells together:",
        )
        page.table(
            read_csv(folder / "activated_over_time.csv"),
            caption="Share of tracks activated by each timepoint, all wells together:",
        )
