"""COCO box average precision, matched by pycocotools."""

import contextlib
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from cellular.errors import InputError
from cellular.evaluate.scores import THRESHOLDS

# COCO keeps 100 detections an image; a field holds hundreds of cells.
MOST_DETECTIONS = 100_000
RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True)
class Boxes:
    """Boxes of one field: `boxes` (N, 4) float as y0, x0, y1, x1 in px; `scores` (N,) for predictions."""

    boxes: np.ndarray
    scores: np.ndarray | None = None


@dataclass(frozen=True)
class Detections:
    """Predictions of many fields, matched to their truth.

    Attributes
    ----------
    field : (D,) index of the field of each prediction. score : (D,) its score.
    correct : (10, D) whether it matched a true box, at each of THRESHOLDS.
    true_boxes : (F,) number of true boxes a field.
    """

    field: np.ndarray
    score: np.ndarray
    correct: np.ndarray
    true_boxes: np.ndarray

    def sha256(self) -> str:
        """The same for the same predictions, scores and truth, in the same order."""
        parts = (self.field.astype("<i8"), self.score.astype("<f8"), self.correct, self.true_boxes.astype("<i8"))
        return hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest()


def match_boxes(truth: Sequence[Boxes], predictions: Sequence[Boxes]) -> Detections:
    """Match predicted to true boxes field by field with COCO's rule (highest score first, IoU 0.5 to 0.95)."""
    images = [{"id": k + 1} for k in range(len(truth))]
    annotations = [
        {"id": 0, "image_id": k + 1, "category_id": 1, "iscrowd": 0, "bbox": box, "area": box[2] * box[3]}
        for k, one in enumerate(truth)
        for box in _xywh(one.boxes)
    ]
    for number, annotation in enumerate(annotations, start=1):
        annotation["id"] = number
    results = [
        {"image_id": k + 1, "category_id": 1, "bbox": box, "score": float(score)}
        for k, one in enumerate(predictions)
        for box, score in zip(_xywh(one.boxes), _scores(one))
    ]
    counts = np.array([len(one.boxes) for one in truth])
    if not results:
        nothing = np.zeros(0)
        return Detections(nothing.astype(int), nothing, np.zeros((len(THRESHOLDS), 0), bool), counts)
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints as it goes
        coco = COCO()
        coco.dataset = {"info": {}, "images": images, "annotations": annotations, "categories": [{"id": 1}]}
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(results), "bbox")
        evaluation.params.maxDets = [MOST_DETECTIONS]
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.evaluate()
    matched = [image for image in evaluation.evalImgs if image is not None]
    return Detections(
        np.concatenate([np.full(len(image["dtScores"]), image["image_id"] - 1) for image in matched]),
        np.concatenate([np.asarray(image["dtScores"], float) for image in matched]),
        np.concatenate([image["dtMatches"] > 0 for image in matched], axis=1),
        counts,
    )


def average_precision(found: Detections, threshold: float, weights: np.ndarray | None = None) -> float:
    """COCO average precision at one IoU threshold: mean of the precision envelope at 101 recalls.

    `weights` (F,) counts each field that many times (for the bootstrap). Nothing to find and nothing found in the
    fields that count gives 1, something found where there is nothing 0.
    """
    return float(_average_precision(found, np.array([THRESHOLDS.index(threshold)]), weights)[0])


def mean_average_precision(found: Detections, weights: np.ndarray | None = None) -> float:
    """COCO AP, averaged over IoU 0.50 to 0.95."""
    return float(_average_precision(found, np.arange(len(THRESHOLDS)), weights).mean())


def precision_recall(
    found: Detections, threshold: float, weights: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Recall and (raw) precision after each prediction, highest score first."""
    order = np.argsort(-found.score, kind="mergesort")
    weight = np.ones(len(order)) if weights is None else np.asarray(weights, float)[found.field[order]]
    total = float((found.true_boxes * (1 if weights is None else weights)).sum())
    right = np.cumsum(found.correct[THRESHOLDS.index(threshold), order] * weight)
    return right / max(total, 1), right / np.maximum(np.cumsum(weight), 1e-12)


def _average_precision(found: Detections, thresholds: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    counted = np.ones(len(found.true_boxes)) if weights is None else np.asarray(weights)
    if not found.true_boxes[counted > 0].any():
        return np.full(len(thresholds), float(not counted[found.field].any()))
    values = np.empty(len(thresholds))
    for k, threshold in enumerate(thresholds):
        recall, precision = precision_recall(found, THRESHOLDS[threshold], weights)
        envelope = np.maximum.accumulate(precision[::-1])[::-1]
        at = np.searchsorted(recall, RECALLS, side="left")
        values[k] = np.where(at < len(envelope), np.append(envelope, 0)[np.minimum(at, len(envelope))], 0).mean()
    return values


def _scores(predicted: Boxes) -> np.ndarray:
    if predicted.scores is None:
        raise InputError("predicted boxes need scores: COCO's rule takes them by falling score")
    return predicted.scores


def _xywh(boxes: np.ndarray) -> list[list[float]]:
    y0, x0, y1, x1 = np.asarray(boxes, float).reshape(-1, 4).T
    return np.stack([x0, y0, x1 - x0, y1 - y0], axis=1).tolist()
