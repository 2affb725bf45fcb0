"""The page of an evaluation: how good, how sure, against what, and where it goes wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cellular.evaluate.detection import average_precision
from cellular.evaluate.result import EvaluationResult
from cellular.evaluate.scores import THRESHOLDS
from cellular.report.colours import rgb
from cellular.report.explorer import Explored, explorer
from cellular.report.html import Page
from cellular.report.outlines import display_image, labels_at
from cellular.report.provenance import add_provenance
from cellular.report.style import unit_looks

# Scores that people ask for first (docs/metrics.md), as they are called on the page.
HEADLINES = {
    "instance.0.50.f1": "cell F1 at IoU 0.5",
    "instance.0.50.precision": "precision of cells",
    "instance.0.50.recall": "recall of cells",
    "instance.0.75.ap": "AP at IoU 0.75",
    "panoptic.pq": "panoptic quality",
    "aji": "aggregated Jaccard",
    "boundary.f1": "outline F1, 2 px",
    "pixel.average.f1": "pixel F1",
    "box.ap50": "box AP50",
}
# Outlines by verdict: Okabe and Ito's colours, and a dash for those who do not see them.
VERDICTS = {
    "matched": ("#56B4E9", "solid"),
    "missed": ("#E69F00", "dashed"),
    "spurious": ("#CC79A7", "dotted"),
}
WORST = 20
_SIDE, _ACROSS = 150, 5


@dataclass(frozen=True)
class Evaluated:
    """What the page tells of one or more models on the same fields.

    Attributes
    ----------
    results : by model. true, predicted : of the last model, a row a cell with ``field`` and what
        :func:`cellular.evaluate.cells.cell_verdicts` says, ``score`` for predictions.
    differences : of the last model to each other, by that one's name. figures : paths by caption.
    by_size, by_brightness : recall of groups of cells. worst : picture of the worst cells (Y, X, 3).
    explored, still, words, settings, versions : as of the page of analyse. commands : that make it again.
    """

    results: Mapping[str, EvaluationResult]
    differences: Mapping[str, pd.DataFrame]
    figures: Mapping[str, Path]
    by_size: pd.DataFrame
    by_brightness: pd.DataFrame
    worst: np.ndarray | None
    explored: Explored
    still: Mapping[str, np.ndarray]
    words: Sequence[str]
    settings: Mapping[str, Any]
    commands: Sequence[str]
    versions: Mapping[str, str]


def evaluation_page(told: Evaluated, out: Path) -> Page:
    """The page; its files lie in `out`."""
    name, result = list(told.results.items())[-1]
    page = Page(f"Evaluation of {name}", subtitle=f"fields of {result.split}", footer="Made by cellular.", folder=out)
    page.facts(
        {
            "fields": len(result.fields),
            "true cells": sum(one.n_true for one in result.fields),
            "cell F1": round(result.values["instance.0.50.f1"], 3),
            "problems": len(result.problems),
        }
    )
    page.section("Scores").text(f"{result.clusters.note}. What they mean: docs/metrics.md.")
    page.table(scores_table(told.results))
    for other, table in told.differences.items():
        page.text(f"{name} less {other}, on the same fields, resampled together:")
        page.table(_differences_table(table, other, name))
    if result.problems:
        page.section("Problems").table(
            pd.DataFrame({"field": list(result.problems), "problem": list(result.problems.values())})
        )
    page.section("Where it goes wrong").text("Solid outlines are matched, dashed ones missed, dotted ones spurious.")
    for sentence in told.words:
        page.text(sentence)
    page.interactive(explorer(told.explored), told.still)
    if told.worst is not None:
        page.section("The worst cells").picture(told.worst, WORST_WORDS)
    page.section("By IoU, score, size and brightness").figures(told.figures)
    page.table(told.by_size, caption="Cells found (IoU 0.5 or more) by their size, px: four groups of equal number")
    page.table(told.by_brightness, caption="The same by mean brightness, grey levels of the image")
    passed_over = ", ".join(result.problems)
    return add_provenance(
        page,
        told.settings,
        fields=result.items,
        commands=told.commands,
        made_with=told.versions,
        excluded=f"Passed over, and in no score: {passed_over}." if passed_over else "",
    )


WORST_WORDS = (
    f"The {WORST} worst cells, worst first: true cells by the best overlap that any prediction has with them, spurious "
    "ones by their score, in turn. Truth is white, the prediction coloured."
)


def scores_table(results: Mapping[str, EvaluationResult]) -> pd.DataFrame:
    """A row a score, a column a model, intervals in brackets."""
    columns: dict[str, list[str]] = {"score": list(HEADLINES.values())}
    for name, result in results.items():
        columns[name] = [_with_interval(result.values[key], *result.intervals.get(key, ())) for key in HEADLINES]
    return pd.DataFrame(columns)


def _with_interval(value: float, *ends: float) -> str:
    shown = not ends or any(end != end for end in ends)
    return f"{value:.3f}" if shown else f"{value:.3f} [{ends[0]:.3f}, {ends[1]:.3f}]"


def _differences_table(table: pd.DataFrame, first: str, second: str) -> pd.DataFrame:
    told = [_with_interval(d, low, high) for d, low, high in zip(table["difference"], table["low"], table["high"])]
    return pd.DataFrame(
        {"score": table["score"].map(HEADLINES), first: table["first"], second: table["second"], "difference": told}
    )


def iou_data(results: Mapping[str, EvaluationResult]) -> pd.DataFrame:
    """AP of whole cells and of boxes at every IoU: ``model, iou, cell_ap, box_ap``."""
    rows = [
        (name, t, result.values[f"instance.{t:.2f}.ap"], average_precision(result.detections, t))
        for name, result in results.items()
        for t in THRESHOLDS
    ]
    return pd.DataFrame(rows, columns=["model", "iou", "cell_ap", "box_ap"])


def iou_figure(data: pd.DataFrame) -> Figure:
    """Average precision against the IoU that is asked for; cells solid, boxes dashed."""
    figure, axes = plt.subplots(figsize=(5, 3.4))
    looks = unit_looks(data["model"].unique())
    for name, rows in data.groupby("model", sort=False):
        look: dict[str, Any] = dict(zip(("color", "marker"), looks[name]))
        axes.plot(rows["iou"], rows["cell_ap"], label=f"{name}: cells", markersize=4, **look)
        axes.plot(rows["iou"], rows["box_ap"], "--", label=f"{name}: boxes", markersize=4, **look)
    axes.set(xlabel="IoU asked for", ylabel="average precision", ylim=(0, 1.02))
    axes.legend(frameon=False, fontsize=7)
    return figure


def calibration_figure(data: pd.DataFrame, models: Sequence[str]) -> Figure:
    """Share of predictions that are right against their score; cells solid, boxes dashed.

    `data` has ``model``, ``of`` (cells or boxes) and the columns of ``calibration``. `models` are all of the page, of
    which some may predict nothing: in all its figures they look the same.
    """
    figure, axes = plt.subplots(figsize=(4, 3.4))
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=0.8)
    looks = unit_looks(models)
    for name, rows in data.groupby("model", sort=False):
        look: dict[str, Any] = dict(zip(("color", "marker"), looks[name]))
        for (kind, part), line in zip(rows.groupby("of", sort=False), ("-", "--")):
            axes.plot(part["score"], part["share_correct"], line, label=f"{name}: {kind}", markersize=4, **look)
    axes.set(xlabel="score", ylabel="share that is right (IoU 0.5)", xlim=(0, 1), ylim=(0, 1.02))
    if len(data):
        axes.legend(frameon=False, fontsize=7)
    return figure


def worst_cells(true: pd.DataFrame, predicted: pd.DataFrame, most: int = WORST) -> pd.DataFrame:
    """The worst cells: true ones by IoU and spurious ones by score, in turn; at most `most`."""
    lost = true.sort_values(["iou", "area"], ascending=[True, False], kind="stable")
    made_up = predicted[predicted["verdict"] == "spurious"].sort_values("score", ascending=False, kind="stable")
    turns = [row for k in range(most) for table in (lost, made_up) for row in table.iloc[k : k + 1].to_dict("records")]
    return pd.DataFrame(turns[:most])


def cell_crop(image: np.ndarray, truth: np.ndarray, prediction: np.ndarray, row: Mapping[str, Any]) -> np.ndarray:
    """A square about a cell, `_SIDE` px a side: truth white, prediction in the verdict's colour, words below."""
    half = max(24, round(1.2 * np.sqrt(row["area"])))
    corner = [max(0, min(round(row[a]) - half, n - 2 * half)) for a, n in zip(("y", "x"), truth.shape)]
    window = tuple(slice(start, start + 2 * half) for start in corner)
    shown = cv2.resize(display_image(image)[window], (_SIDE, _SIDE), interpolation=cv2.INTER_NEAREST)
    colour = rgb(VERDICTS[row["verdict"]][0])
    for labels, paint in ((prediction, colour), (truth, (255, 255, 255))):
        large = labels_at(labels[window], (_SIDE, _SIDE))
        shown[(large > 0) & (cv2.erode(large, np.ones((3, 3), np.uint8)) != large)] = paint
    told = f"score {row['score']:.2f}" if row["verdict"] == "spurious" else f"IoU {row['iou']:.2f}"
    words = f"{row['verdict']}, {told}"
    band = np.full((34, _SIDE, 3), 255, np.uint8)
    for y, text in ((13, words), (28, f"{row['field'][-15:]} {row['label']}")):
        cv2.putText(band, text, (0, y), cv2.FONT_HERSHEY_SIMPLEX, 0.36, (0, 0, 0), 1, cv2.LINE_AA)
    return np.vstack([shown, band])


def contact_sheet(crops: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures of one size in rows of five, 6 px apart."""
    high, wide = crops[0].shape[:2]
    rows = -(-len(crops) // _ACROSS)
    sheet = np.full((rows * (high + 6), min(len(crops), _ACROSS) * (wide + 6), 3), 255, np.uint8)
    for k, crop in enumerate(crops):
        y, x = k // _ACROSS * (high + 6), k % _ACROSS * (wide + 6)
        sheet[y : y + high, x : x + wide] = crop
    return sheet
