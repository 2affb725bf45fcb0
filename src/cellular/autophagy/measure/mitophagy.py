"""Reporters of mitophagy, by the rules of their own papers: mito-QC and mt-Keima."""

import math

import numpy as np
from scipy import ndimage

from cellular.autophagy.measure.intensity import divide
from cellular.autophagy.measure.unmix import REPORTER, Channels
from cellular.labels.regions import Regions

# The roles that the two excitations of Keima must have: about 561 nm (acid) and 440 to 458 nm (neutral).
KEIMA = ("marker:Keima-acid", "marker:Keima-neutral")
KEIMA_NAMES = ("Keima_acid", "Keima_neutral")
# Defaults of the macro mito-QC Counter of October 2019: radius of its median filter (px), and how far the ratio
# must be over the field's mean ratio.
_MEDIAN_PX, _OVER_MEAN_RATIO = 1, 0.5
# What ImageJ makes of a plane of fractions: 16 bit, its range on as many levels.
_LEVELS = 65535
# Mitochondria are seen in Keima where its two lights together are this many noises above the background.
_SEEN = 3


def mito_qc(channels: Channels, regions: Regions) -> dict[str, np.ndarray]:
    """Mitolysosomes of each cell (N,) by mito-QC, mCherry-GFP on mitochondria: acid ones are red without green.

    The rule of the macro mito-QC Counter (Montava-Garriga et al., Mech Ageing Dev 185, 111196, 2020; reporter:
    McWilliams et al., J Cell Biol 214, 333, 2016): both channels are median-filtered and stretched between the field's
    minimum and maximum; a pixel is acid where red over green is more than 0.5 above the field's mean ratio, and red at
    least the field's mean. Fractions are levels of the 16 bit that ImageJ makes of them. What differs: the macro counts
    maxima of the ratio, here patches of acid pixels are counted.
    """
    red, green = (_median(channels.planes[name]) for name in REPORTER)
    level = 1 if channels.counts[channels.names.index("EGFP")] else np.ptp(green) / _LEVELS or 1
    ratio = _stretched(red, 0) / _stretched(green, level)
    acid = (ratio > ratio.mean() + _OVER_MEAN_RATIO) & (red >= red.mean())
    patches = _patches(acid, regions)
    area = regions.sum(regions.values(acid))
    return {
        "mitolysosomes": patches,
        "mitolysosome_area": area.astype(np.int64),
        "mitolysosome_share": divide(area, regions.area),
    }


def _median(plane: np.ndarray) -> np.ndarray:
    """ImageJ's median filter of radius 1: the 3 x 3 pixels about each."""
    side = 2 * _MEDIAN_PX + 1
    return ndimage.median_filter(plane.astype(np.float64), size=(side, side), mode="nearest")


def _stretched(plane: np.ndarray, least: float) -> np.ndarray:
    """Between the minimum, which becomes `least`, and the maximum, which becomes 1."""
    low, high = plane.min(), plane.max()
    return (plane - low + least) / (high - low + least or 1.0)


def _patches(mask: np.ndarray, regions: Regions) -> np.ndarray:
    """(N,) connected patches (8 neighbours) of a mask (Y, X) inside each cell; one in two cells counts twice."""
    numbered, _ = ndimage.label(mask, np.ones((3, 3)))
    cell = np.repeat(np.arange(regions.labels.size), regions.area)
    patch = numbered.ravel()[regions.pixels]
    pairs = np.unique(np.stack([cell, patch])[:, patch > 0], axis=1)
    return np.bincount(pairs[0], minlength=regions.labels.size)


def mt_keima(channels: Channels, regions: Regions, high_ratio: float) -> dict[str, np.ndarray]:
    """Acid mitochondria of each cell (N,) by mt-Keima, whose excitation moves from 440 to about 561 nm in acid.

    Mitochondria are the pixels where the two lights together are three noises above the background; acid are those of
    them whose ratio, acid over neutral, is at least `high_ratio`; their share of all mitochondria is the index of
    mitophagy (Katayama et al., Chem Biol 18, 1042, 2011; Sun et al., Nat Protoc 12, 1576, 2017). The ratio goes with
    the lasers' power, so there is no threshold that holds anywhere: it is set on a control of the same day.
    """
    acid, neutral = (regions.values(channels.planes[name]) - channels.off(name)[0] for name in KEIMA_NAMES)
    noise = math.hypot(*(channels.off(name)[1] for name in KEIMA_NAMES))
    seen = acid + neutral > _SEEN * noise
    high = seen & (acid >= high_ratio * np.maximum(neutral, 0))
    area = regions.sum(seen.astype(float))
    return {
        "keima_ratio": divide(regions.sum(acid * seen), regions.sum(neutral * seen)),
        "mitochondria_area": area.astype(np.int64),
        "acid_area": regions.sum(high.astype(float)).astype(np.int64),
        "acid_share": divide(regions.sum(high.astype(float)), area),
    }
