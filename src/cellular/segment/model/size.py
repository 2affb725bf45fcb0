"""Cellpose's size model: a linear map from the network's style to the logarithm of the cell diameter."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cellular.data.formats.numpy_pickle import load_pickled_array
from cellular.errors import WeightsError


@dataclass(frozen=True)
class SizeModel:
    """log(diameter / diam_mean) = coefficients @ (style - mean_style) + offset (Stringer et al. 2021, Methods)."""

    coefficients: np.ndarray
    mean_style: np.ndarray
    offset: float
    diam_mean: float

    def estimate(self, style: np.ndarray) -> float:
        """Cell diameter in px (at least 5) of an image whose style at the network's own scale is `style`."""
        log_ratio = float(np.squeeze(self.coefficients @ (style - self.mean_style).ravel())) + self.offset
        return max(5.0, float(np.exp(log_ratio) * self.diam_mean))


def load_size_model(path: Path) -> SizeModel:
    """Read Cellpose's ``size_*.npy`` without running anything in it.

    Raises WeightsError for a file that is none.
    """
    values = load_pickled_array(path)
    if not isinstance(values, dict) or not {"A", "smean", "ymean", "diam_mean"} <= set(values):
        raise WeightsError(f"{path} is not a Cellpose size model; delete it and fetch it again")
    return SizeModel(
        np.asarray(values["A"]), np.asarray(values["smean"]).ravel(), float(values["ymean"]), float(values["diam_mean"])
    )
