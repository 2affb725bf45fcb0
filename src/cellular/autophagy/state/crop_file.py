"""A trained crop classifier on disk: weights in safetensors, everything else as JSON in the file's header."""

import json
from dataclasses import asdict
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from cellular.autophagy.state.crop_model import Calibration, CropModel, CropSettings
from cellular.autophagy.state.files import read_header
from cellular.autophagy.state.network import CropNetwork
from cellular.device import resolve_device
from cellular.errors import CellularError, InputError
from cellular.files import whole_file
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
    }
    state = {name: value.detach().cpu().contiguous() for name, value in model.network.state_dict().items()}
    with whole_file(path) as temporary:
        save_file(state, temporary, {"cellular": json.dumps(about)})
    return Path(path)


def load_crop_model(path: str | Path, device: str = "auto") -> CropModel:
    """Read a model of :func:`save_crop_model`; nothing in the file is executed.

    Raises MissingInputError where there is no file, InputError for one that is not such a model.
    """
    about = read_header(path)
    if about["format"] != FORMAT:
        raise InputError(f"{path} is a {about['format']}, not a crop model of cellular classify ({FORMAT})")
    try:
        kept = about["settings"]
        settings = settings_from(CropSettings, {**kept, "channels": tuple(kept["channels"])})
        calibration = Calibration(about["calibration"]["slope"], tuple(about["calibration"]["bias"]))
        network = CropNetwork(len(settings.channels) + 1, len(calibration.bias), settings.width)
        network.load_state_dict(load_file(path))
        scale, usual = (tuple(float(level) for level in about[name]) for name in ("scale", "usual"))
        source = str(about["source"])
    except CellularError:
        raise
    except (SafetensorError, RuntimeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path} is not a crop model of cellular classify: {error}") from error
    return CropModel(network.to(resolve_device(device)).eval(), settings, scale, usual, calibration, source)
