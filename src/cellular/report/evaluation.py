"""Pictures of an evaluation: what was found, missed and made up, and precision against recall."""

from pathlib import Path

import cv2
import matplotlib.pyplot as plt
import numpy as np

from cellular.data.formats.images import read_labels, write_image
from cellular.data.pairs import Pair, load_image, load_labels
from cellular.evaluate.detection import average_precision, precision_recall
from cellular.evaluate.result import EvaluationResult
from cellular.evaluate.scores import FieldScores
from cellular.progress import progress
from cellular.report.outlines import MATCHED, MISSED, SPURIOUS, outline_overlay
from cellular.report.style import PALETTE, save

LEGEND = (("matched (prediction)", MATCHED), ("missed (truth)", MISSED), ("spurious (prediction)", SPURIOUS))


def draw_evaluation(result: EvaluationResult) -> None:
    """Write ``figures/<field>.jpg`` for every field and ``figures/precision_recall.png`` into the output folder."""
    folder = result.output_dir / "figures"
    scores = {one.name: one for one in result.fields}
    for pair in progress(result.pairs, desc="draw", unit="field"):
        picture = field_picture(pair, result.labels[pair.name], scores[pair.name])
        write_image(folder / f"{pair.name}.jpg", picture)
    _draw_precision_recall(result, folder / "precision_recall.png")


def field_picture(pair: Pair, labels: Path, scores: FieldScores, model: str = "") -> np.ndarray:
    """The field (Y', X', 3) uint8 with matched, missed and spurious cells outlined, a title and a legend.

    `model` is named in front of the title.
    """
    image, prediction = load_image(pair), read_labels(labels)
    truth = load_labels(pair, image.shape)
    layers = [
        (np.where(np.isin(prediction, np.setdiff1d(scores.predicted_labels, scores.spurious)), prediction, 0), MATCHED),
        (np.where(np.isin(truth, scores.missed), truth, 0), MISSED),
        (np.where(np.isin(prediction, scores.spurious), prediction, 0), SPURIOUS),
    ]
    title = f"{model}   " * bool(model) + f"{pair.name}   F1 at IoU 0.5: {scores.instance(0.5).f1:.2f}   "
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


def _draw_precision_recall(result: EvaluationResult, path: Path) -> None:
    figure, axes = plt.subplots(figsize=(4.2, 3.6))
    for threshold, colour in zip((0.5, 0.75, 0.9), PALETTE):
        recall, precision = precision_recall(result.detections, threshold)
        area = average_precision(result.detections, threshold)
        axes.plot(recall, precision, color=colour, label=f"IoU {threshold:.2f}: AP {area:.3f}")
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall of boxes", ylabel="precision of boxes")
    axes.legend(frameon=False, loc="lower left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(f"{result.split}: {len(result.fields)} fields", fontsize=10)
    save(figure, path)
