"""A network that tells a cell's state from its picture: settings, the trained model, prediction."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from cellular.autophagy.measure.unmix import REPORTER
from cellular.autophagy.state.crops import CHANNELS, Crops
from cellular.autophagy.state.network import CropNetwork
from cellular.autophagy.state.unseen import StateSettings, require_whole
from cellular.data.formats.image_info import square
from cellular.errors import InputError, SettingsError

# Brightness over the training cells' 99th percentile is cut off here, so that one debris pixel outshines no cell.
_BRIGHTEST = 4.0
BATCH = 256


@dataclass(frozen=True)
class CropSettings(StateSettings):
    """How cells are cut out and the network is trained.

    Attributes
    ----------
    states, unidentified, folds, seed : as in :class:`StateSettings`.
    channels : of mRFP, EGFP and transmitted.
    side_px, size : side of the square about a cell in px of the image, and of the crop made of it in its own pixels.
    brightness : "kept" shows the network how bright a cell is; "relative" divides each cell's channels by their own
        maximum, so that only the pattern is left.
    width : feature maps of the first block.
    epochs, cells_per_epoch, batch : length of training, in cells; every state and every well is drawn equally often.
    learning_rate, weight_decay : of AdamW, the rate falling to 0 along a cosine.
    device : where to train.
    """

    channels: tuple[str, ...] = REPORTER
    side_px: int = 160
    size: int = 80
    brightness: str = "kept"
    width: int = 16
    epochs: int = 16
    cells_per_epoch: int = 1536
    batch: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    device: str = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.channels or set(self.channels) - set(CHANNELS):
            raise SettingsError(f"channels are {list(self.channels)}; choose of {', '.join(CHANNELS)}")
        if self.brightness not in ("kept", "relative"):
            raise SettingsError(f"brightness is '{self.brightness}'; choose kept or relative")
        require_whole(self, side_px=(16, 2048), size=(16, 2048), width=(1, 512), epochs=(1, 100_000))
        require_whole(self, cells_per_epoch=(1, 10**9), batch=(1, 100_000))
        if not 16 <= self.size <= self.side_px:
            raise SettingsError(f"size {self.size} and side_px {self.side_px}: want 16 <= size <= side_px")
        for name, least in (("learning_rate", "above 0"), ("weight_decay", "0 or above")):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < np.inf:
                raise SettingsError(f"{name} is {value!r}; give a number {least}")
        if not self.learning_rate > 0:
            raise SettingsError(f"learning_rate is {self.learning_rate}; it must be above 0")


@dataclass(frozen=True)
class Calibration:
    """Probabilities are the softmax of ``slope * logits + bias``; `bias` has one value per state."""

    slope: float
    bias: tuple[float, ...]

    def logits(self, raw: np.ndarray) -> np.ndarray:
        """(N, K) calibrated logits of the network's."""
        return self.slope * raw + np.array(self.bias)


@dataclass(frozen=True)
class CropModel:
    """A trained network with what is needed to use it.

    Attributes
    ----------
    scale : per channel, the brightness that becomes 1 (counts or grey levels).
    usual : per channel, the mean brightness of training cells, as the network sees it.
    source : "raw" or "composite", the kind of images it was trained on.
    pixel_size_um : side of their pixels, µm; None where it was not known, or the file is of an earlier version.
    """

    network: CropNetwork
    settings: CropSettings
    scale: tuple[float, ...]
    usual: tuple[float, ...]
    calibration: Calibration
    source: str
    pixel_size_um: float | None = None

    @property
    def states(self) -> list[str]:
        """What the network's outputs stand for, in order."""
        return self.settings.known


def predict_crops(model: CropModel, crops: Crops) -> pd.DataFrame:
    """``field, label, state, probability_<positive>`` of every crop.

    With Unidentified as a class, the probability is that of the positive state among the two. Raises InputError for
    crops of the other kind of images than the model's, or of pixels of another size.
    """
    if crops.source != model.source:
        raise InputError(
            f"The model was trained on {model.source} images, these are {crops.source}; their intensities differ"
        )
    learned, seen = model.pixel_size_um, crops.pixel_size_um
    if learned and seen and square(learned, seen) is None:
        raise InputError(
            f"The model was trained on pixels of {learned:.4g} um, these are of {seen:.4g} um: cells look larger or "
            "smaller to it than those it learned from; train one on such images, or give --pixel_size if that is wrong"
        )
    raw = raw_logits(model.network, crops, np.arange(len(crops)), np.array(model.scale), model.settings)
    return crops.cells.join(told_states(model.calibration.logits(raw), model.settings))


def told_states(logits: np.ndarray, settings: CropSettings) -> pd.DataFrame:
    """``state`` and ``probability_<positive>`` of calibrated logits (N, K)."""
    odds = logits[:, 1] - logits[:, 0]
    return pd.DataFrame(
        {
            "state": np.array(settings.known, object)[logits.argmax(axis=1)],
            settings.probability: 1 / (1 + np.exp(-odds.clip(-500, 500))),
        }
    )


def network_inputs(crops: Crops, rows: np.ndarray, scale: np.ndarray, settings: CropSettings) -> torch.Tensor:
    """(B, C + 1, S, S) float32 as the network sees crops `rows`."""
    pixels = torch.from_numpy(crops.pixels[rows].astype(np.float32))
    light = pixels[:, :-1]
    if settings.brightness == "relative":
        brightest = light.amax(dim=(2, 3), keepdim=True)
        light /= torch.where(brightest > 0, brightest, 1)
    else:
        light /= torch.from_numpy(scale.astype(np.float32))[:, None, None]
    light.clamp_(-1, _BRIGHTEST)
    return pixels


@torch.no_grad()
def raw_logits(
    network: CropNetwork, crops: Crops, rows: np.ndarray, scale: np.ndarray, settings: CropSettings
) -> np.ndarray:
    """(N, K) float64 of crops `rows`."""
    device = device_of(network)
    parts = [network(network_inputs(crops, part, scale, settings).to(device)).cpu() for part in batches(rows, BATCH)]
    return torch.cat(parts).double().numpy() if parts else np.empty((0, network.head[1].out_features))


def batches(rows: np.ndarray, size: int) -> list[np.ndarray]:
    """`rows` (N,) in their order, `size` at a time."""
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def device_of(network: CropNetwork) -> torch.device:
    """Where the network's weights lie."""
    return next(network.parameters()).device
