"""From an image to the network's input: choose channels, normalise intensities, as Cellpose 3 does."""

from collections.abc import Sequence

import numpy as np

from cellular.errors import InputError

PERCENTILES = (1.0, 99.0)


def to_network_input(
    image: np.ndarray,
    channels: Sequence[int] = (0, 0),
    percentiles: tuple[float, float] = PERCENTILES,
    invert: bool = False,
) -> np.ndarray:
    """Channels of `image` as the network wants them, each scaled so that `percentiles` become 0 and 1.

    Parameters
    ----------
    image : (Y, X) or (Y, X, C), any real dtype.
    channels : one number per network input, 1-based (1 red, 2 green, 3 blue, ...). 0 in first place is grey, the
        mean of all channels; 0 further on is an empty channel. (0, 0) is the published setting.
    percentiles : intensities (in %) that become 0 and 1. A constant channel becomes 0.
    invert : turn 0..1 into 1..0, for dark cells on bright ground.

    Returns
    -------
    (len(channels), Y, X) float32.

    Raises
    ------
    InputError : not an image, a channel that is not there, or intensities that are not finite.
    """
    if image.ndim not in (2, 3) or 0 in image.shape:
        raise InputError(f"expected an image of shape (Y, X) or (Y, X, C), got {image.shape}")
    planes = image[:, :, None] if image.ndim == 2 else image
    count = planes.shape[2]
    if any(not 0 <= c <= count for c in channels):
        raise InputError(f"channels {tuple(channels)} were asked for but the image has {count} channel(s)")
    output = np.zeros((len(channels), *image.shape[:2]), np.float32)
    for position, channel in enumerate(channels):
        if channel == 0 and position > 0:
            continue
        plane = planes.mean(axis=2, dtype=np.float32) if channel == 0 else planes[:, :, channel - 1]
        output[position] = _scale(plane, percentiles, invert)
    return output


def _scale(plane: np.ndarray, percentiles: tuple[float, float], invert: bool) -> np.ndarray:
    low, high = _percentiles(plane, percentiles)
    if not np.isfinite(low + high):
        raise InputError("the image holds NaN or infinite intensities")
    # Cellpose's own bound for "nothing to see here".
    if high - low <= 1e-3:
        return np.zeros(plane.shape, np.float32)
    scaled = (plane.astype(np.float32) - np.float32(low)) / np.float32(high - low)
    return 1 - scaled if invert else scaled


def _percentiles(plane: np.ndarray, percentiles: tuple[float, float]) -> tuple[float, float]:
    """`np.percentile` with linear interpolation; for 8- and 16-bit images exactly, from the histogram (much faster)."""
    if plane.dtype not in (np.uint8, np.uint16):
        low, high = np.percentile(plane, percentiles)
        return float(low), float(high)
    cumulative = np.cumsum(np.bincount(plane.ravel(), minlength=1))
    ranks = np.asarray(percentiles) / 100 * (plane.size - 1)
    below = np.searchsorted(cumulative, np.floor(ranks), side="right")
    above = np.searchsorted(cumulative, np.ceil(ranks), side="right")
    low, high = below + (above - below) * (ranks - np.floor(ranks))
    return float(low), float(high)
