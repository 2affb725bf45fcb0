"""Spotiflow as an extra way to find the places of puncta; what they are is measured as for all others."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from cellular.errors import InputError, WeightsError, import_extra

# A channel (Y, X) in, the places (P, 2) of its spots out: y, x in px, sub-pixel.
Detector = Callable[[np.ndarray], np.ndarray]


@lru_cache(maxsize=1)
def spotiflow_detector(model: str, probability: float | None = None) -> Detector:
    """Spots by Spotiflow (Dominguez Mantes et al., Nat Methods 22, 1495, 2025), channel by channel.

    Parameters
    ----------
    model : a folder with ``config.yaml`` and ``best.pt``, or a name that Spotiflow knows ("general"), fetched by it.
    probability : least probability of a spot; None takes the model's own threshold.

    Raises MissingExtraError without the extra ``spotiflow``, InputError for a name or folder that is no 2-D model of
    one channel, WeightsError where the named model cannot be fetched.
    """
    network = _load(model)
    if network.config.is_3d or network.config.in_channels != 1 or network.config.out_channels != 1:
        raise InputError(f"Spotiflow model '{model}' is not for single-channel 2-D images")

    def places(plane: np.ndarray) -> np.ndarray:
        found, _ = network.predict(plane, prob_thresh=probability, verbose=False)
        return np.asarray(found, np.float64).reshape(-1, 2)

    return places


def _load(model: str) -> Any:
    spotiflow = import_extra("spotiflow.model", "spotiflow")
    if Path(model).is_dir():
        missing = [name for name in ("config.yaml", "best.pt") if not (Path(model) / name).is_file()]
        if missing:
            raise InputError(f"{model} is not a Spotiflow model: it has no {' and no '.join(missing)}")
        try:
            return spotiflow.Spotiflow.from_folder(model)
        except Exception as error:  # yaml, torch and Spotiflow raise many kinds for a damaged model
            raise InputError(f"{model} is not a Spotiflow model: {str(error).splitlines()[0]}") from error
    known = import_extra("spotiflow.model.pretrained", "spotiflow").list_registered()
    if model not in known:
        raise InputError(f"No Spotiflow model '{model}': give a model's folder, or one of {', '.join(sorted(known))}")
    try:
        return spotiflow.Spotiflow.from_pretrained(model, verbose=False)
    except Exception as error:  # Spotiflow raises a bare Exception where a download fails
        raise WeightsError(
            f"Spotiflow's model '{model}' could not be fetched: {error}. Fetch and unzip it where there is a "
            "connection, and give its folder"
        ) from error
