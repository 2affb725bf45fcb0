"""The page of `cellular analyse`: what was understood, done, left out and found."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from cellular.autophagy.compare.effects import Comparison
from cellular.data.plate import Plate
from cellular.files import read_csv
from cellular.report.comparison import Figures, add_to_page
from cellular.report.gallery import GALLERY_WORDS
from cellular.report.html import Page

# Fields and series shown on the page.
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
    pictures : pictures of outlines and puncta by field.
    settings : what was used. gallery : a strip of cells by caption, of each condition.
    add_quality : adds the section on the quality of fields.
    """

    plate: Plate
    tables: Mapping[str, pd.DataFrame]
    problems: Mapping[str, str]
    comparison: Comparison | None
    figures: Figures | None
    no_comparison: str
    tracks: pd.DataFrame | None
    tracks_summary: pd.DataFrame | None
    pictures: Mapping[str, Sequence[Path]]
    settings: Mapping[str, Any]
    gallery: Mapping[str, Path] = field(default_factory=dict)
    add_quality: Callable[[Page], Page] = lambda page: page


def analysis_page(analysis: Analysis, out: Path) -> Page:
    """The page of a run whose files lie in `out`."""
    plate, cells = analysis.plate, analysis.tables["cells"]
    fields = analysis.tables["images"]["field"].nunique()
    page = Page(f"Analysis of {plate.folder.resolve().name}", subtitle="cellular analyse", footer="Made by cellular.")
    facts = {"fields": fields, "cells": len(cells), "cells per field": round(len(cells) / max(1, fields))}
    if analysis.tracks is not None:
        facts["tracks"] = len(analysis.tracks[["series", "track"]].drop_duplicates())
    if "cells_edited" in analysis.tables["images"]:
        facts["cells edited by hand"] = int(analysis.tables["images"]["cells_edited"].sum())
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
    page.section("Cells").text("Outlines over a few of the fields; if they look wrong, nothing below can be right.")
    page.figures(_captioned(plate, analysis.pictures))
    if analysis.gallery:
        page.section("Gallery").text(GALLERY_WORDS)
        for caption, path in analysis.gallery.items():
            page.figure(path, caption)
    analysis.add_quality(page)
    if analysis.comparison is not None and analysis.figures is not None:
        add_to_page(page, analysis.comparison, analysis.figures)
    else:
        page.section("Treatments").caveat(f"No comparison: {analysis.no_comparison}")
    if analysis.tracks is not None:
        _add_tracks(page, analysis.tracks_summary, out / "tracks")
    page.section("Settings").table(
        _flat(analysis.settings), caption="What was used, defaults included", rows=200, folded=True
    )
    return page


def _captioned(plate: Plate, pictures: Mapping[str, Sequence[Path]]) -> dict[str, Path]:
    """Pictures by caption: the field, what its well was given, and what is drawn."""
    given = {item.name: plate.given(item) for item in plate.fields}
    captions = {}
    for name, paths in pictures.items():
        told = ", ".join(_told(given.get(name, {})))
        for path, what in zip(paths, ("outlines", "puncta")):
            captions[f"{name}{f' ({told})' if told else ''}: {what}"] = path
    return captions


def _told(given: Mapping[str, Any]) -> list[str]:
    """What a well was given, in words; a dose with its unit, and no unit without a dose."""
    known = {name: value for name, value in given.items() if value is not None and value == value}
    unit = known.pop("dose_unit", "")
    return [f"{value:g} {unit}".strip() if name == "dose" else str(value) for name, value in known.items()]


def _flat(settings: Mapping[str, Any], before: str = "") -> pd.DataFrame:
    rows = []
    for name, value in settings.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{before}{name}.").to_dict("records")
        else:
            rows.append({"setting": f"{before}{name}", "value": str(value)})
    return pd.DataFrame(rows)


def _add_tracks(page: Page, summary: pd.DataFrame, folder: Path) -> None:
    page.section("Tracks").table(
        summary.rename(columns=_TRACK_WORDS)[list(_TRACK_WORDS.values())],
        caption="Length and consistency of the tracks, series by series:",
    )
    page.text(
        "'Same backwards' is the share of links found again when time runs backwards. It is consistency, not truth: "
        "look at the paths."
    )
    page.figures(
        {
            f"{series}: paths from thin to thick, over the last outlines.": folder / "figures" / f"{series}.png"
            for series in summary["series"].head(PICTURES)
        }
    )
    if (folder / "transitions.csv").is_file():
        page.table(read_csv(folder / "transitions.csv"), caption="From one timepoint to the next, by classified state:")
        page.table(read_csv(folder / "activated_over_time.csv"), caption="Share of tracks activated by each timepoint:")
