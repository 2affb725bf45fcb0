"""How sure the model is of each cell."""

from dataclasses import dataclass

import numpy as np

from cellular.jit import njit
from cellular.segment.flows.numba.follow import FLOW_SCALE
from cellular.segment.flows.to_labels import flow_error

EVIDENCE = ("area", "cell_probability", "flow_error", "flow_length")


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


def cell_evidence(
    labels: np.ndarray, flows: np.ndarray, cell_probability: np.ndarray, errors: np.ndarray | None = None
) -> np.ndarray:
    """What speaks for each cell 1..N of `labels` (Y, X): (N, 4) float64 in the order of EVIDENCE.

    That is the area (px), the mean cell probability (logit), the flow error and the mean length of the flows (in unit
    vectors). They are a cell's own, whatever else is in the image; :func:`scores_of` compares cells with each other.
    `flows` (2, Y, X) and `cell_probability` (Y, X) are the network's, at the labels' scale. `errors` (N,) are the
    cells' flow errors where they are known already (:func:`labels_and_errors`); None computes them, which takes about
    as long as labels -> flows.
    """
    area, probability, length = _sums(labels, cell_probability, flows, int(labels.max(initial=0)))
    inside = np.maximum(area, 1)
    errors = flow_error(labels, flows) if errors is None else errors
    return np.stack([area, probability / inside, errors, length / inside / FLOW_SCALE], axis=1)


@njit
def _sums(labels: np.ndarray, cell_probability: np.ndarray, flows: np.ndarray, count: int) -> np.ndarray:
    """Area, summed cell probability and summed length of the flows of each cell 1..count: (3, count) float64."""
    sums = np.zeros((3, count))
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            k = np.int64(labels[y, x]) - 1
            if k >= 0:
                sums[0, k] += 1
                sums[1, k] += cell_probability[y, x]
                sums[2, k] += np.hypot(flows[0, y, x], flows[1, y, x])
    return sums


def scores_of(evidence: np.ndarray, model: ScoreModel) -> np.ndarray:
    """Scores (N,) float32 in 0..1 of all cells of an image, higher is surer, from their :func:`cell_evidence`."""
    logit = np.full(len(evidence), model.intercept)
    for name, value in score_measurements(evidence).items():
        logit += getattr(model, name) * value
    return (1 / (1 + np.exp(-logit))).astype(np.float32)


def score_measurements(evidence: np.ndarray) -> dict[str, np.ndarray]:
    """The measurements a :class:`ScoreModel` weighs, each (N,) float64, from :func:`cell_evidence` of an image."""
    area, probability, error, length = evidence.T
    log_area = np.log(np.maximum(area, 1) / np.median(area)) if len(area) else area
    return {
        "cell_probability": probability,
        "flow_error": error,
        "flow_length": length,
        "log_area": log_area,
        "log_area_squared": log_area**2,
    }
