"""Settle a model's thresholds and scores on annotated fields that it was not trained on."""

import itertools
import logging
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from cellular.data.find import find_annotated
from cellular.data.image import load_ignore, load_labels, read_field
from cellular.data.plate import Plate
from cellular.errors import InputError, OutputExistsError
from cellular.evaluate.scores import FieldScores, score_field, summary
from cellular.files import alone_in
from cellular.jobs.learned import learned_from
from cellular.jobs.segment import segment_image
from cellular.progress import progress
from cellular.segment.model.registry import Model, save_model
from cellular.segment.scores import EVIDENCE, ScoreModel, score_measurements
from cellular.segment.segmentation import Segmentation
from cellular.segment.segmenter import Segmenter
from cellular.segment.settings import SegmentSettings

logger = logging.getLogger(__name__)

# From Cellpose's own flow threshold to one that drops hardly a cell; logits around Cellpose's 0.
FLOW_THRESHOLDS = (0.4, 0.6, 0.8)
CELLPROB_THRESHOLDS = (-1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0)


@dataclass(frozen=True)
class Calibration:
    """A model with thresholds and scores settled, and what they were chosen from.

    Attributes
    ----------
    model : as given, with new `flow_threshold`, `cellprob_threshold` and, where they could be fitted, `score`.
    grid : a row for every pair of thresholds: mean_ap (Cellpose's AP, mean of IoU 0.50 to 0.95), f1 (at IoU 0.5).
    """

    model: Model
    grid: pd.DataFrame


def calibrate(
    model: str | Path | Segmenter,
    folder: Plate | str | Path,
    settings: SegmentSettings | None = None,
    flow_thresholds: Sequence[float] = FLOW_THRESHOLDS,
    cellprob_thresholds: Sequence[float] = CELLPROB_THRESHOLDS,
    *,
    out: str | Path | None = None,
) -> Calibration:
    """`model` with the thresholds of the best mean AP on `folder`, and scores fitted there.

    The score of a cell is the chance that it is right (IoU of at least 0.5 with a true cell, matched one to one), a
    logistic regression on its :func:`score_measurements` (Platt, Advances in Large Margin Classifiers, 1999). What the
    result scores on `folder` itself flatters it: evaluate it on other fields.

    Parameters
    ----------
    model : a model's name or file, or a Segmenter.
    folder : images with ``<field>_masks`` beside them, as ``cellular prepare`` wrote: the validation fields.
    settings : how to segment; its two thresholds are not looked at.
    flow_thresholds : above 0. cellprob_thresholds : logits.
    out : file to write the settled model to; None writes nothing.

    Raises
    ------
    InputError, MissingInputError : the folder cannot be used, or shows no cell.
    OutputExistsError : `out` is there.

    Examples
    --------
    >>> import cellular
    >>> from cellular.simulate import SimulationSettings
    >>> made = cellular.simulate("sim", SimulationSettings(fields=1, size_px=160, diameter_px=30))
    >>> from cellular.segment import SegmentSettings
    >>> folder = cellular.prepare(made.folder, "prepared").output / "all" / "train"
    >>> how = SegmentSettings(diameter=30, augment=False)
    >>> result = cellular.calibrate("starter", folder, how, (0.4, 0.8), (0.0,), out="settled.safetensors")
    >>> result.grid["flow_threshold"].tolist()
    [0.4, 0.8]
    """
    settings = settings or SegmentSettings()
    if out is not None and Path(out).exists():
        raise OutputExistsError(f"{out} exists; name another file with --output_model")
    segmenter = model if isinstance(model, Segmenter) else Segmenter.from_pretrained(model)
    grid = list(itertools.product(flow_thresholds, cellprob_thresholds))
    scores: dict[tuple[float, float], list[FieldScores]] = {pair: [] for pair in grid}
    measured: dict[tuple[float, float], list[tuple[np.ndarray, np.ndarray]]] = {pair: [] for pair in grid}
    plate = folder if isinstance(folder, Plate) else find_annotated(folder)
    learned_from(plate.fields, segmenter.model)
    for item in progress(plate.fields, desc="calibrate", unit="field"):
        image, diameter = read_field(item), settings.diameter
        truth = load_labels(item, image.shape)
        ignore = load_ignore(item, image.shape)
        for cellprob in cellprob_thresholds:
            # A stricter flow threshold only drops cells, so one segmentation serves them all.
            wanted = replace(settings, flow_threshold=max(flow_thresholds), cellprob_threshold=cellprob)
            found = segment_image(image, segmenter, replace(wanted, diameter=diameter))
            diameter = found.diameter  # where it had to be estimated, once is enough
            for flow in flow_thresholds:
                field, table, right = _scored(truth, ignore, found, flow)
                scores[flow, cellprob].append(field)
                measured[flow, cellprob].append((table, right))
    if not any(field.n_true for field in scores[grid[0]]):
        raise InputError(f"{folder} shows no cell: there is nothing to settle thresholds by")
    table = pd.DataFrame([_row(pair, scores[pair]) for pair in grid])
    best = grid[int(table["mean_ap"].argmax())]
    if len(cellprob_thresholds) > 1 and best[1] in (min(cellprob_thresholds), max(cellprob_thresholds)):
        logger.warning("%s: the best cell probability, %s, is the last one tried", folder, best[1])
    measurements, right = (np.concatenate(parts) for parts in zip(*measured[best]))
    score = fit_scores(measurements, right)
    if score is None:
        logger.warning("%s: all cells found are right, or all are wrong; scores stay as they were", folder)
    info = segmenter.model.info
    info = replace(info, flow_threshold=best[0], cellprob_threshold=best[1], score=score or info.score)
    if out is not None:
        with alone_in(Path(out).parent, deep=False):
            save_model(Path(out), segmenter.model.network, info)
    return Calibration(replace(segmenter.model, info=info), table)


def fit_scores(measurements: np.ndarray, right: np.ndarray) -> dict[str, float] | None:
    """Coefficients of :class:`cellular.segment.scores.ScoreModel`; None where the cells are all right or all wrong.

    `measurements` (N, M) float, columns as :func:`score_measurements` names them; `right` (N,) bool.
    """
    if right.all() or not right.any():
        return None
    fit = LogisticRegression(C=10, max_iter=1000).fit(measurements, right)
    return {field.name: float(v) for field, v in zip(fields(ScoreModel), (*fit.intercept_, *fit.coef_[0]))}


def _scored(
    truth: np.ndarray, ignore: np.ndarray | None, found: Segmentation, flow_threshold: float
) -> tuple[FieldScores, np.ndarray, np.ndarray]:
    """Scores of the cells within `flow_threshold`, their measurements (N, M), and which of them are right (N,)."""
    kept = np.flatnonzero(found.evidence[:, EVIDENCE.index("flow_error")] <= flow_threshold) + 1
    number = np.zeros(len(found.evidence) + 1, found.labels.dtype)
    number[kept] = kept
    scores = score_field(truth, number[found.labels], ignore)
    table = np.stack(list(score_measurements(found.evidence[kept - 1]).values()), axis=1)
    counted = np.isin(kept, scores.predicted_labels)
    return scores, table[counted], ~np.isin(kept[counted], scores.spurious)


def _row(thresholds: tuple[float, float], scores: list[FieldScores]) -> dict[str, float]:
    values = summary(scores)
    names = {"mean_ap": "instance.mean_ap", "f1": "instance.0.50.f1"}
    return dict(zip(("flow_threshold", "cellprob_threshold"), thresholds)) | {k: values[v] for k, v in names.items()}
