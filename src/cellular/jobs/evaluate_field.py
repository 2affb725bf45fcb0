"""Scoring one field, as tables that the runner keeps: its counts, its true cells, its predicted cells."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cellular.data.formats.read import read_any_labels
from cellular.data.image import load_ignore, load_labels, read_cells
from cellular.data.plate import FieldFiles
from cellular.evaluate.scores import THRESHOLDS, FieldScores, score_field
from cellular.labels.cells import cell_boxes

# The runner's records of what was scored and drawn, by split; hidden, since models may be scored into any folder.
RECORDS = ".evaluate"
COUNTS, TRUE, PREDICTED = "counts", "true", "predicted"
_PIXELS, _TP = ("tn", "fp", "fn", "tp"), tuple(f"tp_{threshold:.2f}" for threshold in THRESHOLDS)
_AJI, _AJI_CELLPOSE = ("aji_shared", "aji_union"), ("aji_cellpose_shared", "aji_cellpose_union")
_BOUNDARY = ("near_predicted", "edge_predicted", "near_true", "edge_true")
BOX = ("y0", "x0", "y1", "x1")


@dataclass(frozen=True)
class ScoreField:
    """Scoring one field against its true labels.

    Attributes
    ----------
    labels : predicted label image, or outlines, by field.
    given : they are a user's files: a mask of foreground among them is refused.
    """

    labels: Mapping[str, Path]
    given: bool = False

    def inputs(self, item: FieldFiles) -> list[Path]:
        """The two label images, and what is to be ignored."""
        return [path for path in (item.labels, item.ignore, self.labels[item.name]) if path is not None]

    def __call__(self, item: FieldFiles) -> Mapping[str, pd.DataFrame]:
        """Counts, and the cells of both label images: whether each counts, whether it is wrong, its box (px)."""
        path = self.labels[item.name]
        truth = load_labels(item)
        prediction = (read_cells if self.given else read_any_labels)(path, truth.shape, field=item.name)
        scores = score_field(truth, prediction, load_ignore(item, truth.shape), item.name)
        return {
            COUNTS: _counts(scores, truth.shape),
            TRUE: _cells(item.name, truth, scores.true_labels, scores.missed),
            PREDICTED: _cells(item.name, prediction, scores.predicted_labels, scores.spurious),
        }


@dataclass(frozen=True)
class ScoredField:
    """One field's scores; its size, (Y, X) px; its cells, true and predicted: label, counts, wrong, y0, x0, y1, x1."""

    scores: FieldScores
    shape: tuple[int, int]
    true: pd.DataFrame
    predicted: pd.DataFrame


def _counts(scores: FieldScores, shape: tuple[int, int]) -> pd.DataFrame:
    row = {"field": scores.name, "height_px": shape[0], "width_px": shape[1]}
    row |= dict(zip(_PIXELS, (*scores.pixel_counts[0], *scores.pixel_counts[1])))
    row |= dict(zip(_TP, scores.tp)) | {"matched_iou": scores.matched_iou}
    row |= dict(zip(_AJI, scores.aji_counts)) | dict(zip(_AJI_CELLPOSE, scores.aji_cellpose_counts))
    return pd.DataFrame([row | dict(zip(_BOUNDARY, scores.boundary_counts))])


def _cells(name: str, labels: np.ndarray, counted: np.ndarray, wrong: np.ndarray) -> pd.DataFrame:
    numbers, boxes = cell_boxes(labels)
    told = {"field": name, "label": numbers, "counts": np.isin(numbers, counted), "wrong": np.isin(numbers, wrong)}
    return pd.DataFrame({**told, **dict(zip(BOX, boxes.T))})


def scored_fields(tables: Mapping[str, pd.DataFrame]) -> Iterator[ScoredField]:
    """What :class:`ScoreField` told of each field, from its tables put together."""
    true, predicted = (dict(tuple(tables[name].groupby("field", sort=False))) for name in (TRUE, PREDICTED))
    nothing = pd.DataFrame({"label": np.zeros(0, int), "counts": np.zeros(0, bool), "wrong": np.zeros(0, bool)})
    nothing = nothing.assign(**dict.fromkeys(BOX, np.zeros(0)))
    for row in tables[COUNTS].to_dict("records"):
        cells = true.get(row["field"], nothing), predicted.get(row["field"], nothing)
        yield ScoredField(_scores(row, *cells), (row["height_px"], row["width_px"]), *cells)


def _scores(row: Mapping, true: pd.DataFrame, predicted: pd.DataFrame) -> FieldScores:
    tn, fp, fn, tp = (int(row[key]) for key in _PIXELS)
    near_predicted, edge_predicted, near_true, edge_true = (int(row[key]) for key in _BOUNDARY)
    aji, aji_cellpose = ((float(row[shared]), float(row[union])) for shared, union in (_AJI, _AJI_CELLPOSE))
    labels = [table.loc[table["counts"], "label"].to_numpy(int) for table in (true, predicted)]
    wrong = [table.loc[table["wrong"], "label"].to_numpy(int) for table in (true, predicted)]
    return FieldScores(
        row["field"],
        len(labels[0]),
        len(labels[1]),
        ((tn, fp), (fn, tp)),
        tuple(int(row[key]) for key in _TP),
        float(row["matched_iou"]),
        aji,
        aji_cellpose,
        (near_predicted, edge_predicted, near_true, edge_true),
        *labels,
        *wrong,
    )
