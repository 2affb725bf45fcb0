"""Pictures of an evaluation: what was found, missed and made up, and precision against recall."""

import cv2
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cellular.evaluate.detection import average_precision, precision_recall
from cellular.evaluate.result import EvaluationResult
from cellular.evaluate.scores import FieldScores
from cellular.report.outlines import MATCHED, MISSED, SPURIOUS, outline_overlay
from cellular.report.style import PALETTE

LEGEND = (("matched (prediction)", MATCHED), ("missed (truth)", MISSED), ("spurious (prediction)", SPURIOUS))


def field_picture(
    image: np.ndarray, truth: np.ndarray, prediction: np.ndarray, scores: FieldScores, model: str = ""
) -> np.ndarray:
    """The field (Y', X', 3) uint8 with matched, missed and spurious cells outlined, a title and a legend.

    `image` is (Y, X) or (Y, X, C), `truth` and `prediction` are label images (Y, X); `model` is named in front of the
    title.
    """
    layers = [
        (np.where(np.isin(prediction, np.setdiff1d(scores.predicted_labels, scores.spurious)), prediction, 0), MATCHED),
        (np.where(np.isin(truth, scores.missed), truth, 0), MISSED),
        (np.where(np.isin(prediction, scores.spurious), prediction, 0), SPURIOUS),
    ]
    title = f"{model}   " * bool(model) + f"{scores.name}   F1 at IoU 0.5: {scores.instance(0.5).f1:.2f}   "
    title += f"{scores.n_true} true, {scores.n_predicted} predicted"
    return _with_legend(outline_overlay(image, layers), title)


def _with_legend(picture: np.ndarray, title: str) -> np.ndarray:
    """The picture with a band on top: what it shows, and the colours."""
    width = max(picture.shape[1], 640)
    scale = width / 1500
    band = np.full((round(70 * scale) + 10, width, 3), 255, np.uint8)
    text = {"fontFace": cv2.FONT_HERSHEY_SIMPLEX, "fontScale": 0.72 * scale, "lineType": cv2.LINE_AA}
    cv2.putText(band, title, (8, round(28 * scale) + 2), color=(0, 0, 0), **text)
    x = 8
    for name, colour in LEGEND:
        cv2.rectangle(band, (x, round(42 * scale)), (x + round(22 * scale), round(64 * scale)), colour, cv2.FILLED)
        cv2.putText(band, name, (x + round(30 * scale), round(62 * scale)), color=(0, 0, 0), **text)
        x += round(340 * scale)
    body = np.full((picture.shape[0], width, 3), 255, np.uint8)
    body[:, : picture.shape[1]] = picture
    return np.vstack([band, body])


def precision_recall_data(result: EvaluationResult) -> pd.DataFrame:
    """Recall and precision of boxes after each prediction, best score first: ``iou, recall, precision, ap``."""
    curves = []
    for threshold in (0.5, 0.75, 0.9):
        recall, precision = precision_recall(result.detections, threshold)
        area = average_precision(result.detections, threshold)
        curves.append(pd.DataFrame({"iou": threshold, "recall": recall, "precision": precision, "ap": area}))
    return pd.concat(curves)


def precision_recall_figure(data: pd.DataFrame, title: str = "") -> Figure:
    """Precision of boxes against their recall, a line an IoU; `data` as of :func:`precision_recall_data`."""
    figure, axes = plt.subplots(figsize=(4.2, 3.6))
    for (threshold, curve), colour in zip(data.groupby("iou"), PALETTE):
        label = f"IoU {threshold:.2f}: AP {curve['ap'].iloc[0]:.3f}"
        axes.plot(curve["recall"], curve["precision"], color=colour, label=label)
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall of boxes", ylabel="precision of boxes")
    if len(data):
        axes.legend(frameon=False, loc="lower left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(title, fontsize=10)
    return figure
