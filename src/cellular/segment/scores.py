"""How sure the model is of each cell."""

from dataclasses import dataclass

import numpy as np

from cellular.segment.masks import flow_error


@dataclass(frozen=True)
class ScoreModel:
    """Logistic model of a cell's being right.

    The measurements are the mean cell probability (logit), the flow error, the mean length of the flows, and the log
    of the cell's area over that of a cell of the image's median. The default weighs the first two by hand; a trained
    model carries coefficients fitted on its training fields.
    """

    intercept: float = 0.0
    cell_probability: float = 1.0
    flow_error: float = -5.0
    flow_length: float = 0.0
    log_area: float = 0.0
    log_area_squared: float = 0.0


def cell_scores(
    labels: np.ndarray, flows: np.ndarray, cell_probability: np.ndarray, model: ScoreModel | None = None
) -> np.ndarray:
    """Score in 0..1 of each cell 1..N of `labels` (Y, X), as (N,) float32; higher is surer.

    `flows` (2, Y, X) and `cell_probability` (Y, X) are the network's, at the labels' scale.
    """
    model = model or ScoreModel()
    values = score_measurements(labels, flows, cell_probability)
    logit = np.full(len(values["log_area"]), model.intercept)
    for name, value in values.items():
        logit += getattr(model, name) * value
    return (1 / (1 + np.exp(-logit))).astype(np.float32)


def score_measurements(labels: np.ndarray, flows: np.ndarray, cell_probability: np.ndarray) -> dict[str, np.ndarray]:
    """The measurements a :class:`ScoreModel` weighs, each (N,) float64 over cells 1..N."""
    flat = labels.ravel()
    count = int(flat.max(initial=0))
    area = np.bincount(flat, minlength=count + 1)[1:].astype(float)
    inside = np.maximum(area, 1)
    probability = np.bincount(flat, cell_probability.ravel(), minlength=count + 1)[1:] / inside
    length = np.bincount(flat, np.hypot(*flows).ravel(), minlength=count + 1)[1:] / inside / 5
    log_area = np.log(inside / np.median(area)) if count else area
    return {
        "cell_probability": probability,
        "flow_error": flow_error(labels, flows),
        "flow_length": length,
        "log_area": log_area,
        "log_area_squared": log_area**2,
    }
