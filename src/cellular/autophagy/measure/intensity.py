"""The light of each cell, channel by channel and one channel against the other."""

from collections.abc import Mapping

import numpy as np

from cellular.autophagy.measure.unmix import REPORTER, Channels
from cellular.labels.regions import Regions

# A pixel counts as bright, for Manders' coefficients, above this share of its cell's maximum (CellProfiler's default).
MANDERS_THRESHOLD = 0.15


def measure_intensity(channels: Channels, regions: Regions) -> dict[str, np.ndarray]:
    """Columns (N,) per channel, the field's background subtracted; see :mod:`cellular.autophagy.measure.columns`."""
    columns: dict[str, np.ndarray] = {}
    for index, name in enumerate(channels.names):
        pieces = regions.pieces(channels.planes[name])
        mean, deviation, median, upper = np.array([_levels(piece) for piece in pieces]).reshape(-1, 4).T
        background = channels.background[index]
        columns |= {
            f"mean__{name}": mean - background,
            f"median__{name}": median - background,
            f"integrated__{name}": (mean - background) * regions.area,
            f"upper__{name}": upper - background,
            f"deviation__{name}": deviation,
            f"saturated__{name}": regions.mean(channels.saturated[index].ravel()[regions.pixels]),
        }
    shares = [columns[f"saturated__{name}"] for name in channels.reporter or channels.names]
    columns["saturated"] = np.any([share > 0 for share in shares], axis=0)
    return columns


def _levels(pixels: np.ndarray) -> tuple[float, float, float, float]:
    """Mean, standard deviation, median and 99 % quantile of a cell's pixels (n,)."""
    exact, ordered = pixels.astype(np.float64), np.sort(pixels)
    at = 0.99 * (pixels.size - 1)
    below = int(at)
    high = ordered[below : below + 2].astype(np.float64)
    upper = high[0] + (high[-1] - high[0]) * (at - below)
    median = (float(ordered[(pixels.size - 1) // 2]) + float(ordered[pixels.size // 2])) / 2
    return exact.mean(), exact.std(), median, upper


def light_means(channels: Channels, regions: Regions) -> dict[str, np.ndarray]:
    """Mean of each cell (N,) by channel, the field's background subtracted."""
    values = {name: plane.ravel()[regions.pixels] for name, plane in channels.planes.items()}
    return {name: regions.mean(own) - channels.off(name)[0] for name, own in values.items()}


def measure_ratio(channels: Channels, means: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """log2(mRFP/EGFP) of the :func:`light_means` (N,); NaN where either is not above the field's noise."""
    red, green = (means[name] for name in REPORTER)
    seen = np.logical_and(*(means[name] > channels.off(name)[1] for name in REPORTER))
    ratio = np.full(red.size, np.nan)
    ratio[seen] = np.log2(red[seen] / green[seen])
    return {"log2_ratio": ratio}


def measure_colocalisation(
    channels: Channels, regions: Regions, names: tuple[str, str] = REPORTER
) -> dict[str, np.ndarray]:
    """Pearson's correlation, Manders' M1 and M2 of the pixels of each cell (N,); NaN where they are not defined.

    M1 is the share of the first channel in pixels that are bright in the second, M2 the other way about; a pixel is
    bright above :data:`MANDERS_THRESHOLD` of its cell's maximum. Both rest on background-subtracted light, negative
    values taken for 0. (Manders et al., J Microsc 169, 375, 1993.)
    """
    pieces = (regions.pieces(channels.planes[name]) for name in names)
    backgrounds = [channels.off(name)[0] for name in names]
    found = [
        _together(*(piece - np.float64(level) for piece, level in zip(pair, backgrounds))) for pair in zip(*pieces)
    ]
    return dict(zip(("pearson", "manders_m1", "manders_m2"), np.array(found, float).reshape(-1, 3).T))


def _together(first: np.ndarray, second: np.ndarray) -> tuple[float, ...]:
    """Pearson's correlation, M1 and M2 of a cell's pixels (n,), background subtracted."""
    off, other = first - first.mean(), second - second.mean()
    differ = np.ptp(first) > 0 and np.ptp(second) > 0  # of a constant, rounding leaves a correlation of 1 or -1
    power = np.sqrt((off @ off) * (other @ other)) if differ else 0.0
    light, glow = np.maximum(first, 0), np.maximum(second, 0)
    shares = [
        (own @ (beside > MANDERS_THRESHOLD * beside.max()), own.sum()) for own, beside in ((light, glow), (glow, light))
    ]
    return tuple(above / below if below > 0 else np.nan for above, below in ((off @ other, power), *shares))


def divide(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Quotients (N,); NaN where `below` is not above 0."""
    above, below = np.asarray(above, float), np.asarray(below, float)
    return np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)
