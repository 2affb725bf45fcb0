"""The two reporter channels of a field, from raw planes or from the composite that mixes transmitted light in."""

from dataclasses import dataclass

import cv2
import numpy as np

from cellular.data.image import FieldImage
from cellular.errors import InputError

REPORTER = ("mRFP", "EGFP")
# The fit of the transmitted light uses what is finer than this (px): the medium's glow and the lamp vary more slowly.
_FINE_PX = 6.0
# Off the cells by this many px, where their halo of scattered light has faded.
_CLEAR_PX = 12
_ENOUGH_PIXELS = 2000
_NOISE_STEP = 4


@dataclass(frozen=True)
class Channels:
    """A field's light, channel by channel.

    Attributes
    ----------
    mrfp, egfp : (Y, X) float32, raw counts or grey levels, background not subtracted.
    saturated : (2, Y, X) bool, pixels of mRFP and EGFP at the top of the image's range.
    source : "raw" or "composite".
    transmitted_share : multiples of the transmitted light that were taken off mRFP and EGFP; 0, 0 for raw channels.
    background, noise : median of mRFP and EGFP off the cells, and a pixel's noise there.
    """

    mrfp: np.ndarray
    egfp: np.ndarray
    saturated: np.ndarray
    source: str
    transmitted_share: tuple[float, float]
    background: tuple[float, float]
    noise: tuple[float, float]

    @property
    def planes(self) -> dict[str, np.ndarray]:
        """mRFP and EGFP by name."""
        return dict(zip(REPORTER, (self.mrfp, self.egfp)))


def unmix(image: FieldImage, labels: np.ndarray) -> Channels:
    """Take a field apart into mRFP and EGFP.

    In a composite, blue is transmitted light alone, which is in red and green too. The multiple that is there is fitted
    on pixels off the cells, on fine structure alone, and subtracted. Raw channels are taken as they are.

    Parameters
    ----------
    image : with channels mRFP and EGFP, and for a composite transmitted light.
    labels : (Y, X), 0 = background.

    Raises InputError for an image without these channels, of another size than its labels, or with values that are no
    numbers.
    """
    planes = [np.ascontiguousarray(image.plane(role), dtype=np.float32) for role in REPORTER]
    if image.shape != labels.shape:
        raise InputError(f"image {image.shape} and labels {labels.shape} differ in size")
    if image.pixels.dtype.kind == "f" and not all(np.isfinite(plane).all() for plane in planes):
        raise InputError("the image holds NaN or infinite intensities; mend them, or leave the field out")
    clear = clear_of_cells(labels)
    saturated = np.stack([_saturated(image.plane(role), image.white) for role in REPORTER])
    shares = (0.0, 0.0)
    if image.kind == "composite":
        transmitted = image.plane("transmitted").astype(np.float32)
        shares = tuple(transmitted_share(plane, transmitted, clear) for plane in planes)
        planes = [plane - share * transmitted for plane, share in zip(planes, shares)]
    levels = [_background(plane, clear, rounding=1.0 if image.kind == "composite" else 0.0) for plane in planes]
    return Channels(
        planes[0],
        planes[1],
        saturated,
        "composite" if image.kind == "composite" else "raw",
        shares,
        tuple(level for level, _ in levels),
        tuple(noise for _, noise in levels),
    )


def clear_of_cells(labels: np.ndarray) -> np.ndarray:
    """(Y, X) bool: background away from cells; nearer to them, or everywhere, where a crowded field has too little."""
    cells = (labels > 0).astype(np.uint8)
    for reach in (_CLEAR_PX, 2, 0):
        grown = cv2.dilate(cells, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
        if np.count_nonzero(grown == 0) >= min(_ENOUGH_PIXELS, labels.size // 10):
            return grown == 0
    return np.ones(labels.shape, bool)


def transmitted_share(plane: np.ndarray, transmitted: np.ndarray, clear: np.ndarray) -> float:
    """The multiple of `transmitted` contained in `plane`: least squares on fine structure at the `clear` pixels.

    All arrays are (Y, X). Clipped to 0..2; 0 where the transmitted light has no structure at all.
    """
    fine = [image - cv2.GaussianBlur(image, (0, 0), _FINE_PX) for image in (plane, transmitted)]
    inside = clear & (plane < 250) & (transmitted < 250)
    y, x = fine[0][inside].astype(np.float64), fine[1][inside].astype(np.float64)
    power = float(x @ x)
    return float(np.clip(x @ y / power, 0, 2)) if power > 0 else 0.0


def _saturated(plane: np.ndarray, white: float | None) -> np.ndarray:
    """Pixels at the top: of what the file says of its camera, of the type, or of 8-, 12- and 14-bit cameras."""
    if plane.dtype.kind == "f":
        return np.zeros(plane.shape, bool) if white is None else plane >= white
    top = int(plane.max())
    if plane.dtype == np.uint8:
        # JPEG rounds: 254 beside a wall of 255 is as saturated
        return plane >= 254 if top == 255 else np.zeros(plane.shape, bool)
    camera_tops = {np.iinfo(plane.dtype).max, 255, 4095, 16383} | ({int(white)} if white else set())
    return plane >= top if top in camera_tops else np.zeros(plane.shape, bool)


def _background(plane: np.ndarray, clear: np.ndarray, rounding: float) -> tuple[float, float]:
    """Median of the `clear` pixels, and the noise of one of them from differences between pixels `_NOISE_STEP` apart.

    Differences, because the medium's glow varies over the field. JPEG evens out a composite's quiet places, so its
    noise is never put below `rounding`.
    """
    values = plane[clear]
    middle = np.median(values[:: max(1, values.size // 200_000)])
    both = clear[:, _NOISE_STEP:] & clear[:, :-_NOISE_STEP]
    steps = np.abs(plane[:, _NOISE_STEP:] - plane[:, :-_NOISE_STEP])[both]
    noise = np.median(steps[:: max(1, steps.size // 200_000)]) / 0.6745 / np.sqrt(2) if steps.size else 0.0
    return float(middle), max(float(noise), rounding)
