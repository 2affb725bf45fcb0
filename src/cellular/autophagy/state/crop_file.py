"""A trained crop classifier on disk: weights in safetensors, everything else as JSON in the file's header."""

import json
import math
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from cellular.autophagy.state.crop_model import Calibration, CropModel, CropSettings
from cellular.autophagy.state.files import read_header, with_words
from cellular.autophagy.state.network import CropNetwork
from cellular.device import resolve_device
from cellular.errors import CellularError, InputError
from cellular.files import write_bytes
from cellular.settings import settings_from

FORMAT = "cellular-crops-1"


def save_crop_model(path: str | Path, model: CropModel) -> Path:
    """Write a model with its settings, brightness, calibration and kind of images."""
    about = {
        "format": FORMAT,
        "settings": asdict(model.settings),
        "scale": model.scale,
        "usual": model.usual,
        "calibration": asdict(model.calibration),
        "source": model.source,
        "pixel_size_um": model.pixel_size_um,
    }
    state = {name: value.detach().cpu().contiguous() for name, value in model.network.state_dict().items()}
    write_bytes(path, save(state, {"cellular": json.dumps(about)}))
    return Path(path)


def load_crop_model(path: str | Path, device: str = "auto") -> CropModel:
    """Read a model of :func:`save_crop_model`; nothing in the file is executed.

    Raises MissingInputError where there is no file, InputError for one that is not such a model.
    """
    about = read_header(path)
    if about["format"] != FORMAT:
        raise InputError(f"{path} is a {about['format']}, not a crop model of cellular classify ({FORMAT})")
    try:
        settings = settings_from(CropSettings, with_words(about["settings"], "channels", "states"))
        channels, states = len(settings.channels), len(settings.known)
        (slope,) = _levels(about["calibration"]["slope"])
        calibration = Calibration(slope, _levels(*about["calibration"]["bias"]))
        scale, usual, source = _levels(*about["scale"]), _levels(*about["usual"]), about["source"]
        if (len(calibration.bias), len(scale), len(usual)) != (states, channels, channels) or min(scale) <= 0:
            raise InputError(f"bias {calibration.bias}, scale {scale} or usual {usual} do not fit its settings")
        if source not in ("raw", "composite"):
            raise InputError(f"it was trained on {source!r} images, not raw or composite ones")
        # Files of earlier versions do not say.
        (pixel_size_um,) = _levels(about["pixel_size_um"]) if about.get("pixel_size_um") else (None,)
        network = _network(load_file(path), channels, states, settings.width)
    except (CellularError, SafetensorError, RuntimeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path} is not a crop model of cellular classify: {error}") from error
    network = network.to(resolve_device(device)).eval()
    return CropModel(network, settings, scale, usual, calibration, source, pixel_size_um)


def _network(weights: dict[str, torch.Tensor], channels: int, states: int, width: int) -> CropNetwork:
    """The network of a file's weights; memory is taken for these alone, whatever width the file speaks of."""
    for name, values in weights.items():
        if values.dtype != torch.float32 or not torch.isfinite(values).all():
            raise InputError(f"{name} is {values.dtype}, or not finite")
    with torch.device("meta"):
        network = CropNetwork(channels + 1, states, width)
    network.load_state_dict(weights, assign=True)
    return network


def _levels(*values: object) -> tuple[float, ...]:
    """Finite numbers from a file's header."""
    levels = []
    for value in values:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise TypeError(f"{value!r} is not a number")
        levels.append(float(value))
    return tuple(levels)
