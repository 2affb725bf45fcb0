"""What segmenting one image gives."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Segmentation:
    """Result of :meth:`cellular.segment.Segmenter.segment` on one image of (Y, X) pixels.

    Attributes
    ----------
    labels : (Y, X) uint16 or uint32, 0 = background, 1..N = cells.
    flows : (2, Y, X) float32, (dy, dx) as the network gives them, five times the unit vectors; None for an image
        segmented window by window.
    cell_probability : (Y, X) float32 logits; above 0 is cell; None likewise.
    scores : (N,) float32 in 0..1, confidence of cell i + 1.
    evidence : (N, 4) float64, what the scores are made of (see :func:`cellular.segment.scores.cell_evidence`), measured
        where the flows were followed.
    diameter : cell diameter in px that the image was rescaled by.
    """

    labels: np.ndarray
    flows: np.ndarray | None
    cell_probability: np.ndarray | None
    scores: np.ndarray
    evidence: np.ndarray
    diameter: float
