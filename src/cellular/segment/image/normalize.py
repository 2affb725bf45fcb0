"""From an image to the network's input: choose channels, normalise intensities, as Cellpose 3 does."""

from collections.abc import Sequence

import numpy as np

from cellular.errors import InputError

PERCENTILES = (1.0, 99.0)
# Rows are counted in bands of this many pixels, so that an image on disk need not come into memory at once.
BAND = 1 << 22


Range = tuple[float, float]


def to_network_input(
    image: np.ndarray,
    channels: Sequence[int] = (0, 0),
    percentiles: tuple[float, float] = PERCENTILES,
    invert: bool = False,
    ranges: Sequence[Range | None] | None = None,
) -> np.ndarray:
    """Channels of `image` as the network wants them, each scaled so that `percentiles` become 0 and 1.

    Parameters
    ----------
    image : (Y, X) or (Y, X, C), any real dtype.
    channels : one number per network input, 1-based (1 red, 2 green, 3 blue, ...). 0 in first place is grey, the
        mean of all channels; 0 further on is an empty channel. (0, 0) is the published setting. An image of one
        channel is taken for every channel asked for: a grey image fits a network of colour images.
    percentiles : intensities (in %) that become 0 and 1. A constant channel becomes 0.
    invert : turn 0..1 into 1..0, for dark cells on bright ground.
    ranges : of :func:`intensity_ranges`, where `image` is a part of a larger one; None takes the image's own.

    Returns
    -------
    (len(channels), Y, X) float32.

    Raises
    ------
    InputError : not an image, a channel that is not there, or intensities that are not finite.
    """
    planes = _planes(image, channels)
    if ranges is None:
        ranges = intensity_ranges(image, channels, percentiles)
    output = np.zeros((len(channels), *image.shape[:2]), np.float32)
    for position, (channel, limits) in enumerate(zip(channels, ranges, strict=True)):
        if limits is not None:
            source = _source(planes, channel)
            plane = source[:, :, 0] if source.shape[2] == 1 else source.mean(axis=2, dtype=np.float32)
            output[position] = _scale(plane, limits, invert)
    return output


def intensity_ranges(
    image: np.ndarray, channels: Sequence[int] = (0, 0), percentiles: tuple[float, float] = PERCENTILES
) -> list[Range | None]:
    """The intensities that become 0 and 1 in each of `channels` (None for an empty one), as `to_network_input` does.

    For 8- and 16-bit images exactly and in little memory, from histograms taken band by band of rows.
    """
    planes = _planes(image, channels)
    needed = {c for position, c in enumerate(channels) if c > 0 or position == 0}
    found = {c: _percentiles(_source(planes, c), percentiles) for c in needed}
    return [found[c] if c > 0 or position == 0 else None for position, c in enumerate(channels)]


def _planes(image: np.ndarray, channels: Sequence[int]) -> np.ndarray:
    """`image` as (Y, X, C), once `channels` are known to be there."""
    if image.ndim not in (2, 3) or 0 in image.shape:
        raise InputError(f"expected an image of shape (Y, X) or (Y, X, C), got {image.shape}")
    planes = image[:, :, None] if image.ndim == 2 else image
    count = planes.shape[2]
    if min(channels, default=0) < 0 or max(channels, default=0) > count > 1:
        raise InputError(
            f"channels {tuple(channels)} were asked for but the image has {count} channel(s); give "
            "all that the model takes (the starter: mRFP, EGFP, transmitted light), other --channels or another model"
        )
    return planes


def _source(planes: np.ndarray, channel: int) -> np.ndarray:
    """The channels (Y, X, 1 or C) whose mean is channel `channel`."""
    return planes if channel == 0 or planes.shape[2] == 1 else planes[:, :, channel - 1 : channel]


def _scale(plane: np.ndarray, limits: Range, invert: bool) -> np.ndarray:
    low, high = limits
    if high <= low:
        return np.zeros(plane.shape, np.float32)
    scaled = (plane.astype(np.float32) - np.float32(low)) / np.float32(high - low)
    return 1 - scaled if invert else scaled


def _percentiles(planes: np.ndarray, percentiles: tuple[float, float]) -> Range:
    """`np.percentile` with linear interpolation of the mean over the channels of `planes` (Y, X, C).

    Where there is nothing to see, both are the lower one: in integers at Cellpose's own bound of 1e-3 grey levels, in
    floats, which may be counts / 65535, where they differ by less than float32 can tell.
    """
    low, high = _two_percentiles(planes, percentiles)
    bound = 1e-3 if planes.dtype.kind in "ui" else float(np.finfo(np.float32).eps) * max(abs(low), abs(high))
    return (low, high) if high - low > bound else (low, low)


def _two_percentiles(planes: np.ndarray, percentiles: tuple[float, float]) -> Range:
    height, width, count = planes.shape
    if planes.dtype not in (np.uint8, np.uint16):
        if not np.isfinite(planes).all():
            raise InputError("the image holds NaN or infinite intensities")
        low, high = np.percentile(planes.mean(axis=2, dtype=np.float32) if count > 1 else planes, percentiles)
        return float(low), float(high)
    histogram = np.zeros(count * np.iinfo(planes.dtype).max + 1, np.int64)
    rows = max(1, BAND // width)
    for y in range(0, height, rows):
        band = planes[y : y + rows]
        total = band.sum(axis=2, dtype=np.uint32) if count > 1 else band
        histogram += np.bincount(total.ravel(), minlength=len(histogram))
    cumulative = np.cumsum(histogram)
    ranks = np.asarray(percentiles) / 100 * (height * width - 1)
    below = np.searchsorted(cumulative, np.floor(ranks), side="right")
    above = np.searchsorted(cumulative, np.ceil(ranks), side="right")
    low, high = (below + (above - below) * (ranks - np.floor(ranks))) / count
    return float(low), float(high)
