"""From an image to labelled cells with a trained network."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch

from cellular.device import resolve_device, resolve_precision
from cellular.errors import SettingsError
from cellular.labels.checks import as_labels
from cellular.labels.diameter import median_diameter
from cellular.labels.enlarge import enlarge_labels
from cellular.segment.flows.to_labels import flows_to_labels, labels_and_errors
from cellular.segment.image.normalize import intensity_ranges, to_network_input
from cellular.segment.image.stitch import measure_by_windows
from cellular.segment.image.tiles import run_network
from cellular.segment.model.inference import for_inference
from cellular.segment.model.network import CPnet
from cellular.segment.model.registry import Model, load_model
from cellular.segment.scores import cell_evidence, scores_of
from cellular.segment.segmentation import Segmentation
from cellular.segment.settings import WINDOW, Precision, Tiling, check_sizes

# Cellpose follows flows for this many steps at the network's scale (30 px cells), more in proportion on larger images.
STEPS = 200
# An estimated diameter that is within this share of the one the network was last run at is not worth another run: on
# forty images of nuclei F1 is 0.920 with it and 0.919 without.
SAME_SCALE = 0.2
# Where the diameter is estimated, images are enlarged at most so many times.
MOST_ENLARGED = 4.0
# Neighbouring windows share this many cell diameters: then every cell is whole in one of them.
OVERLAP_DIAMETERS = 2


class Segmenter:
    """A network ready to segment images.

    Examples
    --------
    >>> import cellular
    >>> from cellular.simulate import SimulationSettings, simulate_field
    >>> field = simulate_field(SimulationSettings(size_px=160, diameter_px=30))
    >>> segmenter = cellular.Segmenter.from_pretrained("starter")
    >>> found = segmenter.segment(field.composite(), diameter=30, augment=False)
    >>> found.labels.shape, found.labels.dtype.name
    ((160, 160), 'uint16')
    """

    def __init__(self, model: Model, device: str | torch.device = "auto"):
        self.device = device if isinstance(device, torch.device) else resolve_device(device)
        self.model = model
        self._networks: dict[Precision, CPnet] = {}

    def __reduce__(self) -> tuple:
        """It travels as its model does: the weights are read from their file where they arrive."""
        return Segmenter, (self.model, str(self.device))

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, device: str | torch.device = "auto") -> "Segmenter":
        """Segmenter with a named model ("starter", "nuclei", "cyto2", "cyto3", ...) or a model file.

        Raises
        ------
        WeightsError, MissingInputError
            There is no such model, or it cannot be had; no other is ever taken instead.
        DeviceError
            This machine has no such device.
        """
        return cls(load_model(name_or_path), device)

    def precision(self, asked: Precision = "auto", tiling: Tiling = "whole") -> Precision:
        """The precision that the network runs in where `asked` is wanted: "float32" or "bfloat16".

        "auto" is bfloat16 on a processor that computes in it, where it is several times faster and as accurate
        (docs/accuracy.md), and float32 elsewhere, and for Cellpose's tiling, which is there to equal Cellpose.

        Raises
        ------
        SettingsError
            There is no such precision.
        """
        return "float32" if asked == "auto" and tiling == "cellpose" else resolve_precision(asked, self.device)

    def network(self, precision: Precision = "float32") -> CPnet:
        """The model's network as it is run here in a precision.

        Raises
        ------
        SettingsError
            `precision` is neither "float32" nor "bfloat16".
        """
        if precision == "auto":
            raise SettingsError("the network is run in float32 or bfloat16; Segmenter.precision says which for auto")
        if precision not in self._networks:
            made = for_inference(self.model.network, getattr(torch, precision))
            self._networks[precision] = made.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return self._networks[precision]

    def segment(
        self,
        image: np.ndarray,
        diameter: float | Literal["auto"] | None = None,
        channels: Sequence[int] | None = None,
        *,
        flow_threshold: float | None = None,
        cellprob_threshold: float | None = None,
        min_size: int = 15,
        niter: int | None = None,
        augment: bool | None = None,
        tiling: Tiling = "whole",
        resample: bool | None = None,
        invert: bool = False,
        batch_size: int = 8,
        window: int = WINDOW,
        precision: Precision = "auto",
    ) -> Segmentation:
        """Segment one image.

        An image with a side above `window` is taken in overlapping windows whose cells are stitched, never cut
        (:func:`segment_by_windows`), in memory bounded by the window's; it may be a ``numpy.memmap``. Intensities are
        scaled by those of the whole image, the diameter is estimated in its middle window, and of the network's output
        nothing is kept: `flows` and `cell_probability` of the result are None.

        Parameters
        ----------
        image : (Y, X) or (Y, X, C), any real dtype.
        diameter : cell diameter in px. "auto" estimates it from the image; None takes the mean diameter of the
            model's training labels or, for a stock Cellpose model, "auto".
        channels : network inputs as image channels (see :func:`to_network_input`); None takes those of the training.
            A grey image is taken for every channel.
        flow_threshold : cells whose flows differ more than this from those of their outline are dropped; 0 keeps all.
            None takes the model's, 0.4 for Cellpose's own.
        cellprob_threshold : logit above which a pixel belongs to a cell; None takes the model's, 0 for Cellpose's own.
        min_size : smallest cell in px of the image; smaller ones are dropped.
        niter : steps to follow the flows; None takes Cellpose's, 200 in proportion to the rescaling.
        augment : average the network over four flips; None takes the model's choice, False for Cellpose's own.
        tiling : "whole", or "cellpose" to equal Cellpose 3 (see :func:`run_network`).
        resample : follow the flows at the image's own scale instead of the network's, where that is coarser (many
            times faster; outlines are smoothed). None takes the model's choice, True for Cellpose's own.
        invert : for dark cells on bright ground.
        batch_size : tiles at a time.
        window : largest side in px that is segmented in one piece; raised where it is under four diameters.
        precision : of the network's convolutions, see :meth:`precision`.

        Returns
        -------
        Segmentation

        Raises
        ------
        InputError
            `image` has other axes, fewer channels than `channels` name, or values that are not finite.
        SettingsError
            `channels` are not as many as the model takes, or `diameter` or `window` is out of range.
        """
        info, channels = self.model.info, self._channels(channels)
        ranges = intensity_ranges(image, channels)
        prepare = partial(to_network_input, channels=channels, invert=invert, ranges=ranges)
        augment = info.augment if augment is None else augment
        resample = info.resample if resample is None else resample
        network: dict[str, Any] = {"tiling": tiling, "augment": augment, "batch_size": batch_size}
        network["precision"] = self.precision(precision, tiling)
        diameter = self.model.diameter or "auto" if diameter is None else diameter
        output = None
        if diameter == "auto":
            # Flips would cost four times the time, and the cells they gain or lose do not move the median.
            tried, found, made = self._estimate(prepare(_middle(image, window)), network | {"augment": False})
            same = abs(found / tried - 1) <= SAME_SCALE
            diameter = tried if same else found
            output = made if same and not augment and max(image.shape[:2]) <= window else None
        check_sizes(diameter, window)
        dynamics = {
            "niter": niter,
            "flow_threshold": info.flow_threshold if flow_threshold is None else flow_threshold,
            "cellprob_threshold": info.cellprob_threshold if cellprob_threshold is None else cellprob_threshold,
            "min_size": min_size,
        }
        shape, score_model = image.shape[:2], self.model.score_model
        if max(shape) <= window:
            labels, output, evidence = self._segment(prepare(image), diameter, network, dynamics, resample, output)
            scores = scores_of(evidence, score_model)
            return Segmentation(labels, output[:2], output[2], scores, evidence, float(diameter))

        def segment_window(y0: int, y1: int, x0: int, x1: int) -> tuple[np.ndarray, np.ndarray]:
            part = prepare(image[y0:y1, x0:x1])
            labels, _, evidence = self._segment(part, diameter, network, dynamics, resample)
            return labels, evidence

        overlap = int(np.ceil(OVERLAP_DIAMETERS * diameter))
        labels, evidence = measure_by_windows(segment_window, shape, max(window, 2 * overlap), overlap)
        scores = scores_of(evidence, score_model)
        return Segmentation(as_labels(labels), None, None, scores, evidence, float(diameter))

    def diameter(
        self,
        image: np.ndarray,
        channels: Sequence[int] | None = None,
        *,
        invert: bool = False,
        precision: Precision = "auto",
    ) -> float:
        """Estimate the diameter (px) of the cells of an image (Y, X[, C]), as :meth:`segment` does for "auto".

        Raises
        ------
        InputError, SettingsError
            As :meth:`segment`.
        """
        channels = self._channels(channels)
        middle = _middle(image, WINDOW)
        ranges = intensity_ranges(image, channels)
        planes = to_network_input(middle, channels=channels, invert=invert, ranges=ranges)
        how = {"tiling": "whole", "augment": False, "batch_size": 8, "precision": self.precision(precision)}
        return self._estimate(planes, how)[1]

    def _channels(self, channels: Sequence[int] | None) -> tuple[int, ...]:
        channels = self.model.info.channels if channels is None else tuple(channels)
        if len(channels) != self.model.network.channels:
            raise SettingsError(
                f"this model takes {self.model.network.channels} channel(s), {len(channels)} were given: {channels}"
            )
        return channels

    def _segment(
        self,
        planes: np.ndarray,
        diameter: float,
        network: dict,
        dynamics: dict,
        resample: bool,
        output: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Labels and network output of `planes` at their own scale, and the cells' :func:`cell_evidence`.

        `output` of the network at that diameter, where it is there already.
        """
        shape, scale = planes.shape[1:], self._scale(diameter)
        if output is None:
            output, _ = self._run(planes, diameter, network)
        # Where the network's scale is the finer one, following flows there would cost more and lose small cells.
        resample = resample or scale >= 1
        if resample:
            output = _resize(output, shape)
        else:
            dynamics = dynamics | {"min_size": dynamics["min_size"] * scale**2}
        if dynamics["niter"] is None:
            dynamics = dynamics | {"niter": int(STEPS / scale if resample else STEPS)}
        flows, cell_probability = output[:2], output[2]
        labels, errors = labels_and_errors(flows, cell_probability, **dynamics)
        evidence = cell_evidence(labels, flows, cell_probability, errors)
        return enlarge_labels(labels, shape), _resize(output, shape), evidence

    def _scale(self, diameter: float) -> float:
        """Side of a pixel of the image in pixels of the network's scale, for cells of `diameter` px of the image."""
        return float(self.model.network.diam_mean) / diameter

    def _run(self, planes: np.ndarray, diameter: float, network: dict) -> tuple[np.ndarray, np.ndarray]:
        """Network output at the network's scale, and the style."""
        height, width = (max(1, int(side * self._scale(diameter))) for side in planes.shape[1:])
        how = {name: value for name, value in network.items() if name != "precision"}
        return run_network(self.network(network["precision"]), _resize(planes, (height, width)), **how)

    def _estimate(self, planes: np.ndarray, network: dict) -> tuple[float, float, np.ndarray]:
        """The cell diameter of an image, in two passes: the one last tried, that of the cells found so, and the output.

        The first pass is Cellpose's size model (a linear map of the style) where its file is at hand, otherwise the
        median diameter (px of the image) of cells found at the network's own scale; the second segments at that guess.
        """
        mean = float(self.model.network.diam_mean)
        output, style = self._run(planes, mean, network)
        guess = self.model.size.estimate(style) if self.model.size else self._found_diameter(output, mean)
        guess = max(guess, mean / MOST_ENLARGED)
        output, _ = self._run(planes, guess, network)
        return guess, max(self._found_diameter(output, guess), mean / MOST_ENLARGED), output

    def _found_diameter(self, output: np.ndarray, diameter: float) -> float:
        """Median diameter (px of the image) of cells in the network's output for `diameter`; without any, that."""
        info = self.model.info
        thresholds: dict[str, Any] = {
            "flow_threshold": info.flow_threshold,
            "cellprob_threshold": info.cellprob_threshold,
        }
        labels = flows_to_labels(output[:2], output[2], niter=STEPS, **thresholds)
        found = median_diameter(labels)
        return found / self._scale(diameter) if found else diameter


def _resize(planes: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Planes (C, Y, X) resized bilinearly to `shape` (Y, X), as Cellpose does."""
    if planes.shape[1:] == tuple(shape):
        return planes
    return np.stack([cv2.resize(plane, shape[::-1], interpolation=cv2.INTER_LINEAR) for plane in planes])


def _middle(image: np.ndarray, side: int) -> np.ndarray:
    """The middle of an image (Y, X[, C]), at most `side` px a side."""
    return image[
        tuple(slice(max(0, (length - side) // 2), max(0, (length - side) // 2) + side) for length in image.shape[:2])
    ]
