"""Scores of one field and of many, all read off one overlap of true and predicted cells."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment

from cellular.evaluate.boundary import boundary_counts
from cellular.evaluate.overlap import Overlap, overlap

THRESHOLDS = tuple(np.round(np.arange(0.5, 1.0, 0.05), 2).tolist())
# How far (px) a predicted outline may lie from a true one and still count.
BOUNDARY_TOLERANCE = 2.0


@dataclass(frozen=True)
class Rates:
    """Precision, recall, F1 and Jaccard (Jaccard = TP / (TP + FP + FN), which Cellpose calls average precision)."""

    precision: float
    recall: float
    f1: float
    jaccard: float


def rates(tp: float, fp: float, fn: float) -> Rates:
    """Rates of counts. Nothing to find and nothing found is perfect, 1; where only one side is empty all are 0.

    >>> rates(3, 1, 1)
    Rates(precision=0.75, recall=0.75, f1=0.75, jaccard=0.6)
    """
    if tp + fp + fn == 0:
        return Rates(1.0, 1.0, 1.0, 1.0)
    if tp == 0:
        return Rates(0.0, 0.0, 0.0, 0.0)
    return Rates(
        *(float(v) for v in (tp / (tp + fp), tp / (tp + fn), 2 * tp / (2 * tp + fp + fn), tp / (tp + fp + fn)))
    )


@dataclass(frozen=True)
class FieldScores:
    """All scores of one field.

    Attributes
    ----------
    name : field name.
    n_true, n_predicted : cells scored (ignored ones left out).
    pixel_counts : (2, 2) pixels by [true cell?][predicted cell?].
    tp : true positives at each of THRESHOLDS, matched one to one (as Cellpose and StarDist do).
    matched_iou : sum of the IoU of pairs matched at 0.5.
    aji_counts : intersection and union summed for the aggregated Jaccard index (Kumar et al. 2017).
    aji_cellpose_counts : the same for Cellpose's variant, matched one to one over the union of all cells' pixels.
    boundary_counts : outline pixels, see :func:`boundary_counts`.
    true_labels, missed : labels of the true cells, and those of them not matched at 0.5.
    predicted_labels, spurious : the same for predicted cells.
    """

    name: str
    n_true: int
    n_predicted: int
    pixel_counts: tuple[tuple[int, ...], ...]
    tp: tuple[int, ...]
    matched_iou: float
    aji_counts: tuple[float, float]
    aji_cellpose_counts: tuple[float, float]
    boundary_counts: tuple[int, int, int, int]
    true_labels: np.ndarray = field(repr=False)
    predicted_labels: np.ndarray = field(repr=False)
    missed: np.ndarray = field(repr=False)
    spurious: np.ndarray = field(repr=False)

    def instance(self, threshold: float = 0.5) -> Rates:
        """Rates of whole cells at an IoU threshold."""
        tp = self.tp[THRESHOLDS.index(threshold)]
        return rates(tp, self.n_predicted - tp, self.n_true - tp)

    def pixel(self) -> dict[str, Rates]:
        """Rates of pixels for `background`, `cell` and their plain mean, `average` (the published keys)."""
        (tn, fp), (fn, tp) = self.pixel_counts
        background, cell = rates(tn, fn, fp), rates(tp, fp, fn)
        mean = Rates(*((a + b) / 2 for a, b in zip(asdict(background).values(), asdict(cell).values())))
        return {"background": background, "cell": cell, "average": mean}

    def panoptic(self) -> dict[str, float]:
        """Panoptic, segmentation and recognition quality at IoU 0.5 (Kirillov et al., CVPR 2019, eq. 1)."""
        recognition = self.instance(0.5).f1
        tp = self.tp[0]
        segmentation = self.matched_iou / tp if tp else float(self.n_true == self.n_predicted == 0)
        return {"pq": segmentation * recognition, "sq": segmentation, "rq": recognition}

    def boundary(self) -> Rates:
        """Precision, recall and F1 of outline pixels within BOUNDARY_TOLERANCE; Jaccard from the F1."""
        near_predicted, predicted, near_true, true = self.boundary_counts
        if predicted + true == 0:
            return Rates(1.0, 1.0, 1.0, 1.0)
        precision, recall = (a / b if b else 0.0 for a, b in ((near_predicted, predicted), (near_true, true)))
        f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
        return Rates(precision, recall, f1, f1 / (2 - f1))

    def row(self) -> dict[str, float | str | int]:
        """One flat row for the per-image table."""
        row: dict[str, float | str | int] = {"field": self.name, "n_true": self.n_true, "n_predicted": self.n_predicted}
        row["count_error"] = self.n_predicted - self.n_true
        for part, values in self.pixel().items():
            row |= {f"pixel_{part}_{key}": value for key, value in asdict(values).items()}
        for threshold in THRESHOLDS:
            instance = self.instance(threshold)
            row[f"f1_{threshold:.2f}"], row[f"ap_{threshold:.2f}"] = instance.f1, instance.jaccard
        row |= {"precision_0.50": self.instance(0.5).precision, "recall_0.50": self.instance(0.5).recall}
        row |= self.panoptic() | {"matched_iou": self.panoptic()["sq"], "aji": ratio(*self.aji_counts)}
        row |= {"aji_cellpose": ratio(*self.aji_cellpose_counts), "boundary_f1": self.boundary().f1}
        return row


def ratio(part: float, whole: float) -> float:
    """part / whole; of nothing, 1: there was nothing to get wrong."""
    return float(part / whole) if whole else 1.0


def score_field(
    truth: np.ndarray, prediction: np.ndarray, ignore: np.ndarray | None = None, name: str = ""
) -> FieldScores:
    """Score one predicted label image (Y, X) against the truth (Y, X); `ignore` as in :func:`overlap`."""
    found = overlap(truth, prediction, ignore)
    n_true, n_predicted = len(found.true_labels), len(found.predicted_labels)
    true, predicted, iou = found.pairs
    matches = [match(true, predicted, iou, threshold) for threshold in THRESHOLDS]
    at_half = matches[0]
    missed, spurious = np.ones(n_true, bool), np.ones(n_predicted, bool)
    missed[true[at_half]] = False
    spurious[predicted[at_half]] = False
    return FieldScores(
        name,
        n_true,
        n_predicted,
        tuple(tuple(int(v) for v in row) for row in found.background),
        tuple(len(m) for m in matches),
        float(iou[at_half].sum()),
        _aggregated_jaccard(found),
        _aggregated_jaccard_cellpose(found),
        boundary_counts(truth, prediction, BOUNDARY_TOLERANCE, ignore),
        found.true_labels,
        found.predicted_labels,
        found.true_labels[missed],
        found.predicted_labels[spurious],
    )


def match(true: np.ndarray, predicted: np.ndarray, iou: np.ndarray, threshold: float) -> np.ndarray:
    """Indices into the pairs of the best one-to-one matching with IoU >= `threshold` (>= 0.5).

    Most pairs, then highest IoU, as in Cellpose's and StarDist's assignment. At 0.5 and above only pairs of exactly
    half can compete for a cell; those few are assigned optimally, all others are theirs without contest.
    """
    chosen = np.flatnonzero(iou >= threshold)
    rivals = (np.bincount(true[chosen])[true[chosen]] > 1) | (np.bincount(predicted[chosen])[predicted[chosen]] > 1)
    if not rivals.any():
        return chosen
    contested = chosen[rivals]
    rows, row_of = np.unique(true[contested], return_inverse=True)
    columns, column_of = np.unique(predicted[contested], return_inverse=True)
    gain = np.zeros((len(rows), len(columns)))
    gain[row_of, column_of] = 1 + iou[contested] / (2 * min(gain.shape))
    pair = np.full(gain.shape, -1)
    pair[row_of, column_of] = contested
    won = pair[linear_sum_assignment(-gain)]
    return np.concatenate([chosen[~rivals], won[won >= 0]])


def _aggregated_jaccard(found: Overlap) -> tuple[float, float]:
    """Intersection and union of Kumar et al. (IEEE TMI 2017), algorithm 1: each true cell with its best prediction."""
    true, predicted, iou = found.pairs
    order = np.lexsort((-iou, true))
    first = order[np.unique(true[order], return_index=True)[1]]
    shared = np.asarray(found.shared[true[first], predicted[first]]).ravel() if len(first) else np.zeros(0)
    alone = np.setdiff1d(np.arange(len(found.true_area)), true[first])
    unused = np.setdiff1d(np.arange(len(found.predicted_area)), predicted[first])
    union = found.true_area[true[first]] + found.predicted_area[predicted[first]] - shared
    return float(shared.sum()), float(union.sum() + found.true_area[alone].sum() + found.predicted_area[unused].sum())


def _aggregated_jaccard_cellpose(found: Overlap) -> tuple[float, float]:
    """Shared pixels of an optimal one-to-one matching by IoU, and the pixels of any cell (``cellpose.metrics``)."""
    true, predicted, iou = found.pairs
    table = np.zeros(found.shared.shape)
    table[true, predicted] = iou
    rows, columns = linear_sum_assignment(-table)
    shared = np.asarray(found.shared[rows, columns]).sum() if len(rows) else 0
    return float(shared), float(found.background.sum() - found.background[0, 0])


def summary(fields: Sequence[FieldScores]) -> dict[str, float]:
    """Flat name -> value over many fields.

    Pixel scores and AP are means over fields (as published and as Cellpose); whole-cell precision, recall, F1, PQ, AJI
    and boundary F1 are of the pooled counts.
    """
    if not fields:
        return {}
    total = pooled(fields)
    values = {}
    for part in ("background", "cell", "average"):
        for key in ("precision", "recall", "f1", "jaccard"):
            values[f"pixel.{part}.{key}"] = float(np.mean([getattr(f.pixel()[part], key) for f in fields]))
    for threshold in THRESHOLDS:
        instance = total.instance(threshold)
        for key in ("precision", "recall", "f1"):
            values[f"instance.{threshold:.2f}.{key}"] = getattr(instance, key)
        values[f"instance.{threshold:.2f}.ap"] = float(np.mean([f.instance(threshold).jaccard for f in fields]))
    values["instance.mean_ap"] = float(np.mean([values[f"instance.{t:.2f}.ap"] for t in THRESHOLDS]))
    values |= {f"panoptic.{key}": value for key, value in total.panoptic().items()}
    values |= {"aji": ratio(*total.aji_counts), "aji_cellpose": ratio(*total.aji_cellpose_counts)}
    boundary = total.boundary()
    values |= {f"boundary.{key}": getattr(boundary, key) for key in ("precision", "recall", "f1")}
    values["count.bias"] = float(np.mean([f.n_predicted - f.n_true for f in fields]))
    values["count.mean_absolute_error"] = float(np.mean([abs(f.n_predicted - f.n_true) for f in fields]))
    return values


def pooled(fields: Sequence[FieldScores]) -> FieldScores:
    """One FieldScores of the summed counts."""

    def added(name: str) -> tuple:
        return tuple(np.sum([getattr(f, name) for f in fields], axis=0).tolist())

    nothing = np.zeros(0, int)
    return FieldScores(
        "all",
        sum(f.n_true for f in fields),
        sum(f.n_predicted for f in fields),
        tuple(map(tuple, added("pixel_counts"))),
        added("tp"),
        sum(f.matched_iou for f in fields),
        added("aji_counts"),
        added("aji_cellpose_counts"),
        added("boundary_counts"),
        *(nothing,) * 4,
    )
