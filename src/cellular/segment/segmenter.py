"""From an image to labelled cells with a trained network."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from cellular.device import resolve_device
from cellular.errors import SettingsError
from cellular.segment.diameter import median_diameter
from cellular.segment.masks import flows_to_labels
from cellular.segment.models import Model, load_model
from cellular.segment.normalize import to_network_input
from cellular.segment.scores import cell_scores
from cellular.segment.segmentation import Segmentation
from cellular.segment.tiles import Tiling, run_network

# Cellpose follows flows for this many steps at the network's scale (30 px cells), more in proportion on larger images.
STEPS = 200
# The network works at its own scale; a diameter outside these bounds (px) is a typing error or asks for terabytes.
DIAMETER_BOUNDS = (1.0, 2000.0)


class Segmenter:
    """A network ready to segment images.

    Examples
    --------
    >>> segmenter = Segmenter.from_pretrained("starter")  # doctest: +SKIP
    >>> segmenter.segment(image).labels  # doctest: +SKIP
    """

    def __init__(self, model: Model, device: str | torch.device = "auto"):
        self.device = device if isinstance(device, torch.device) else resolve_device(device)
        self.model = model
        self.network = model.network.to(self.device, memory_format=torch.channels_last).eval()

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, device: str | torch.device = "auto") -> "Segmenter":
        """Segmenter with a named model ("starter", "cyto", "cyto2", "cyto3", ...) or a model file.

        Raises WeightsError or MissingInputError where there is no such model; no other is ever taken instead.
        """
        return cls(load_model(name_or_path), device)

    def segment(
        self,
        image: np.ndarray,
        diameter: float | None = None,
        channels: Sequence[int] | None = None,
        *,
        flow_threshold: float = 0.4,
        cellprob_threshold: float = 0.0,
        min_size: int = 15,
        niter: int | None = None,
        augment: bool = False,
        tiling: Tiling = "whole",
        resample: bool = True,
        invert: bool = False,
        batch_size: int = 8,
    ) -> Segmentation:
        """Segment one image.

        Parameters
        ----------
        image : (Y, X) or (Y, X, C), any real dtype.
        diameter : cell diameter in px. None takes the mean diameter of the model's training labels or, for a stock
            Cellpose model, estimates it from the image.
        channels : network inputs as image channels (see :func:`to_network_input`); None takes those of the training.
        flow_threshold : cells whose flows differ more than this from those of their outline are dropped; 0 keeps all.
        cellprob_threshold : logit above which a pixel belongs to a cell.
        min_size : smallest cell in px; smaller ones are dropped.
        niter : steps to follow the flows; None takes Cellpose's, 200 in proportion to the rescaling.
        augment : average the network over four flips.
        tiling : "whole", or "cellpose" to equal Cellpose 3 (see :func:`run_network`).
        resample : follow the flows at the image's own scale (smooth outlines) instead of the network's (faster).
        invert : for dark cells on bright ground.
        batch_size : tiles at a time.

        Returns
        -------
        Segmentation
        """
        channels = self.model.info.channels if channels is None else tuple(channels)
        if len(channels) != self.network.channels:
            raise SettingsError(
                f"this model takes {self.network.channels} channel(s), {len(channels)} were given: {tuple(channels)}"
            )
        planes = to_network_input(image, channels, invert=invert)
        network = {"tiling": tiling, "augment": augment, "batch_size": batch_size}
        if diameter is None:
            diameter = self._diameter(planes, network)
        if not DIAMETER_BOUNDS[0] <= diameter <= DIAMETER_BOUNDS[1]:
            raise SettingsError(f"diameter is in pixels, {DIAMETER_BOUNDS[0]} to {DIAMETER_BOUNDS[1]}, got {diameter}")
        output, _, scale = self._run(planes, diameter, network)
        if resample and scale != 1:
            output = _resize(output, image.shape[:2])
        flows, cell_probability = output[:2], output[2]
        steps = int(STEPS / scale if resample else STEPS) if niter is None else niter
        labels = flows_to_labels(
            flows,
            cell_probability,
            niter=steps,
            flow_threshold=flow_threshold,
            cellprob_threshold=cellprob_threshold,
            min_size=min_size,
        )
        scores = cell_scores(labels, flows, cell_probability, self.model.score_model)
        if labels.shape != image.shape[:2]:
            labels = cv2.resize(labels.astype(np.float64), image.shape[1::-1], interpolation=cv2.INTER_NEAREST).astype(
                labels.dtype
            )
            output = _resize(output, image.shape[:2])
        return Segmentation(labels, output[:2], output[2], scores, float(diameter))

    def _run(self, planes: np.ndarray, diameter: float, network: dict) -> tuple[np.ndarray, np.ndarray, float]:
        """Network output at the network's scale, the style, and that scale relative to the image's."""
        scale = float(self.network.diam_mean) / diameter
        if scale != 1:
            shape = tuple(max(1, int(side * scale)) for side in planes.shape[1:])
            planes = _resize(planes, shape)
        return *run_network(self.network, planes, **network), scale

    def _diameter(self, planes: np.ndarray, network: dict) -> float:
        """Diameter of the training labels; for a stock model the image's own, estimated in two passes.

        The first pass is Cellpose's size model (a linear map of the style) where its file is at hand, otherwise the
        median diameter of cells found at the network's own scale; the second segments at that first guess.
        """
        if self.model.diameter is not None:
            return self.model.diameter
        mean = float(self.network.diam_mean)
        _, style, _ = self._run(planes, mean, network)
        guess = self.model.size.estimate(style) if self.model.size else self._found_diameter(planes, mean, network)
        return self._found_diameter(planes, guess, network)

    def _found_diameter(self, planes: np.ndarray, diameter: float, network: dict) -> float:
        """Median diameter (px of the image) of cells found when it is rescaled for `diameter`."""
        output, _, scale = self._run(planes, diameter, network)
        found = median_diameter(flows_to_labels(output[:2], output[2], niter=STEPS))
        return found / scale if found else diameter


def _resize(planes: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Planes (C, Y, X) resized bilinearly to `shape` (Y, X), as Cellpose does."""
    return np.stack([cv2.resize(plane, shape[::-1], interpolation=cv2.INTER_LINEAR) for plane in planes])
