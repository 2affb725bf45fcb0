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
    labels: np.ndarray,
    flows: np.ndarray,
    cell_probability: np.ndarray,
    model: ScoreModel | None = None,
    errors: np.ndarray | None = None,
) -> np.ndarray:
    """Score in 0..1 of each cell 1..N of `labels` (Y, X), as (N,) float32; higher is surer.

    `flows` (2, Y, X) and `cell_probability` (Y, X) are the network's, at the labels' scale. `errors` (N,) are the
    cells' flow errors where they are known already (:func:`labels_and_errors`); None computes them, which takes about
    as long as labels -> flows.
    """
    return scores_of(*cell_means(labels, flows, cell_probability, errors), model or ScoreModel())


def score_measurements(
    labels: np.ndarray, flows: np.ndarray, cell_probability: np.ndarray, errors: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """The measurements a :class:`ScoreModel` weighs, each (N,) float64 over cells 1..N."""
    return _measurements(*cell_means(labels, flows, cell_probability, errors))


def cell_means(
    labels: np.ndarray, flows: np.ndarray, cell_probability: np.ndarray, errors: np.ndarray | None = None
) -> tuple[np.ndarray, ...]:
    """Area (px), mean cell probability, flow error and mean flow length, each (N,) float64 over cells 1..N.

    They are a cell's own, whatever else is in the image; :func:`scores_of` compares cells with each other.
    """
    flat = labels.ravel()
    count = int(flat.max(initial=0))
    area = np.bincount(flat, minlength=count + 1)[1:].astype(float)
    inside = np.maximum(area, 1)
    probability = np.bincount(flat, cell_probability.ravel(), minlength=count + 1)[1:] / inside
    length = np.bincount(flat, np.hypot(*flows).ravel(), minlength=count + 1)[1:] / inside / 5
    return area, probability, flow_error(labels, flows) if errors is None else errors, length


def scores_of(
    area: np.ndarray, probability: np.ndarray, error: np.ndarray, length: np.ndarray, model: ScoreModel
) -> np.ndarray:
    """Scores (N,) float32 of all cells of an image from what :func:`cell_means` gives of each."""
    logit = np.full(len(area), model.intercept)
    for name, value in _measurements(area, probability, error, length).items():
        logit += getattr(model, name) * value
    return (1 / (1 + np.exp(-logit))).astype(np.float32)


def _measurements(
    area: np.ndarray, probability: np.ndarray, error: np.ndarray, length: np.ndarray
) -> dict[str, np.ndarray]:
    log_area = np.log(np.maximum(area, 1) / np.median(area)) if len(area) else area
    return {
        "cell_probability": probability,
        "flow_error": error,
        "flow_length": length,
        "log_area": log_area,
        "log_area_squared": log_area**2,
    }
