"""Every cell of a scored field: was it found, how well, how large and how bright it is."""

import numpy as np
import pandas as pd
from scipy import ndimage

from cellular.evaluate.overlap import overlap
from cellular.evaluate.scores import FieldScores

COLUMNS = ("label", "verdict", "iou", "area", "brightness", "y", "x")


def cell_verdicts(
    truth: np.ndarray,
    prediction: np.ndarray,
    scores: FieldScores,
    image: np.ndarray,
    ignore: np.ndarray | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tables of the true and of the predicted cells that were scored, :data:`COLUMNS` each.

    Parameters
    ----------
    truth, prediction : label images (Y, X). scores : of this field; they say what was matched at IoU 0.5.
    image : (Y, X) or (Y, X, C); brightness is the mean over the cell of the mean of its channels.
    ignore : as in :func:`cellular.evaluate.overlap.overlap`.

    `iou` is the best with any cell of the other side, 0 without overlap; ``verdict`` is matched, missed or spurious.
    """
    found = overlap(truth, prediction, ignore)
    true, predicted, iou = found.pairs
    best_true, best_predicted = np.zeros(len(found.true_labels)), np.zeros(len(found.predicted_labels))
    np.maximum.at(best_true, true, iou)
    np.maximum.at(best_predicted, predicted, iou)
    light = image if image.ndim == 2 else image.mean(axis=2)
    return (
        _table(truth, found.true_labels, best_true, np.isin(found.true_labels, scores.missed), "missed", light),
        _table(
            prediction, found.predicted_labels, best_predicted, np.isin(found.predicted_labels, scores.spurious),
            "spurious", light,
        ),
    )  # fmt: skip


def _table(
    labels: np.ndarray, chosen: np.ndarray, iou: np.ndarray, wrong: np.ndarray, word: str, light: np.ndarray
) -> pd.DataFrame:
    if not len(chosen):
        return pd.DataFrame({name: pd.Series(dtype=object if name == "verdict" else float) for name in COLUMNS})
    middle = np.array(ndimage.center_of_mass(np.ones_like(labels), labels, chosen))
    return pd.DataFrame(
        {
            "label": chosen.astype(np.int64),
            "verdict": np.where(wrong, word, "matched"),
            "iou": iou,
            "area": ndimage.sum_labels(np.ones_like(labels, np.int64), labels, chosen).astype(np.int64),
            "brightness": ndimage.mean(light, labels, chosen),
            "y": middle[:, 0],
            "x": middle[:, 1],
        }
    )


def errors_by(true: pd.DataFrame, column: str, parts: int = 4) -> pd.DataFrame:
    """Share of true cells that were found, by equally large groups of `column`: ``from, to, cells, found, recall``."""
    known = true[true[column].notna()]
    if known.empty:
        return pd.DataFrame(columns=[column, "cells", "found", "recall", "median IoU"])
    group = pd.qcut(known[column].rank(method="first"), min(parts, len(known)), labels=False)
    rows = []
    for _, cells in known.groupby(group):
        hit = cells["verdict"] == "matched"
        digits = ",.0f" if known[column].max() >= 100 else ".3g"
        span = f"{cells[column].min():{digits}} to {cells[column].max():{digits}}"
        rows.append({column: span, "cells": len(cells), "found": int(hit.sum()), "recall": float(hit.mean())})
        rows[-1]["median IoU"] = float(cells["iou"].median())
    return pd.DataFrame(rows)


def calibration(score: np.ndarray, correct: np.ndarray, bins: int = 10) -> pd.DataFrame:
    """What scores promise and what came true: ``score, share_correct, predictions`` by score from 0 to 1 in `bins`.

    >>> calibration(np.array([0.1, 0.9, 0.95]), np.array([False, True, False]), bins=2).round(3).values.tolist()
    [[0.1, 0.0, 1.0], [0.925, 0.5, 2.0]]
    """
    at = np.minimum((np.clip(score, 0, 1) * bins).astype(int), bins - 1)
    table = pd.DataFrame({"bin": at, "score": score, "share_correct": np.asarray(correct, float), "predictions": 1})
    how = {"score": "mean", "share_correct": "mean", "predictions": "sum"}
    return table.groupby("bin").agg(how).reset_index(drop=True)
