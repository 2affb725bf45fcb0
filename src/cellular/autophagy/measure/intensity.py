"""The light of each cell, channel by channel and one channel against the other."""

import numpy as np

from cellular.autophagy.measure.unmix import REPORTER, Channels
from cellular.labels.regions import Regions

# A pixel counts as bright, for Manders' coefficients, above this share of its cell's maximum (CellProfiler's default).
MANDERS_THRESHOLD = 0.15


def measure_intensity(channels: Channels, regions: Regions) -> dict[str, np.ndarray]:
    """Columns (N,) per channel, the field's background subtracted; see :mod:`cellular.autophagy.measure.columns`."""
    columns: dict[str, np.ndarray] = {}
    for index, name in enumerate(channels.names):
        values = regions.values(channels.planes[name]) - channels.background[index]
        median, upper = regions.quantiles(values, (0.5, 0.99))
        mean = regions.mean(values)
        deviation = np.sqrt(regions.mean((values - regions.spread(mean)) ** 2))
        columns |= {
            f"mean__{name}": mean,
            f"median__{name}": median,
            f"integrated__{name}": regions.sum(values),
            f"upper__{name}": upper,
            f"deviation__{name}": deviation,
            f"saturated__{name}": regions.mean(regions.values(channels.saturated[index])),
        }
    shares = [columns[f"saturated__{name}"] for name in channels.reporter or channels.names]
    columns["saturated"] = np.any([share > 0 for share in shares], axis=0)
    return columns


def measure_ratio(channels: Channels, regions: Regions) -> dict[str, np.ndarray]:
    """log2(mRFP/EGFP) of the background-subtracted means (N,); NaN where either is not above the field's noise."""
    means = [
        regions.mean(regions.values(channels.planes[name]) - channels.off(name)[0])
        for name in REPORTER  # not the plane's difference: that is in single precision
    ]
    seen = np.logical_and(*(mean > channels.off(name)[1] for name, mean in zip(REPORTER, means)))
    ratio = np.full(regions.labels.size, np.nan)
    ratio[seen] = np.log2(means[0][seen] / means[1][seen])
    return {"log2_ratio": ratio}


def measure_colocalisation(
    channels: Channels, regions: Regions, names: tuple[str, str] = REPORTER
) -> dict[str, np.ndarray]:
    """Pearson's correlation, Manders' M1 and M2 of the pixels of each cell (N,); NaN where they are not defined.

    M1 is the share of the first channel in pixels that are bright in the second, M2 the other way about; a pixel is
    bright above :data:`MANDERS_THRESHOLD` of its cell's maximum. Both rest on background-subtracted light, negative
    values taken for 0. (Manders et al., J Microsc 169, 375, 1993.)
    """
    first, second = (regions.values(channels.planes[name]) - channels.off(name)[0] for name in names)
    off = [values - regions.spread(regions.mean(values)) for values in (first, second)]
    power = np.sqrt(regions.sum(off[0] ** 2) * regions.sum(off[1] ** 2))
    columns = {"pearson": divide(regions.sum(off[0] * off[1]), power)}
    light = [np.maximum(values, 0) for values in (first, second)]
    bright = [values > MANDERS_THRESHOLD * regions.spread(regions.max(values)) for values in light]
    columns["manders_m1"] = divide(regions.sum(light[0] * bright[1]), regions.sum(light[0]))
    columns["manders_m2"] = divide(regions.sum(light[1] * bright[0]), regions.sum(light[1]))
    return columns


def divide(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Quotients (N,); NaN where `below` is not above 0."""
    above, below = np.asarray(above, float), np.asarray(below, float)
    return np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)
