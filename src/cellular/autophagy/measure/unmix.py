"""The channels of a field, from raw planes or from the composite that mixes transmitted light in."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from cellular.autophagy.quality.saturation import saturated_pixels
from cellular.data.channels import MARKER
from cellular.data.image import FieldImage
from cellular.errors import InputError

REPORTER = ("mRFP", "EGFP")
DNA = "DNA"
# The fit of the transmitted light uses what is finer than this (px): the medium's glow and the lamp vary more slowly.
_FINE_PX = 6.0
# Off the cells by this many px, where their halo of scattered light has faded.
_CLEAR_PX = 12
_ENOUGH_PIXELS = 2000
# A median of fewer is none.
_FEWEST_PIXELS = 100
_NOISE_STEP = 4
# Standard deviation of what rounding to whole levels does, which a dark 8-bit background shows none of.
_ROUNDING = 12**-0.5


@dataclass(frozen=True)
class Channels:
    """A field's light, channel by channel: the reporter's first, then DNA, then markers.

    Attributes
    ----------
    names : (C) what the channels are: "mRFP", "EGFP", "DNA", and the names of markers.
    pixels : (C) of (Y, X) float32, raw counts or grey levels, background not subtracted.
    saturated : (C, Y, X) bool, pixels at the top of the image's range.
    source : "raw" or "composite".
    transmitted_share : (C) multiples of the transmitted light that were taken off; 0 for raw channels.
    background, noise : (C) median off the cells, and a pixel's noise there.
    counts : (C) whether pixels go in steps of one level; not in fractions, whose unit may be any.
    """

    names: tuple[str, ...]
    pixels: tuple[np.ndarray, ...]
    saturated: np.ndarray
    source: str
    transmitted_share: tuple[float, ...]
    background: tuple[float, ...]
    noise: tuple[float, ...]
    counts: tuple[bool, ...]

    @property
    def planes(self) -> dict[str, np.ndarray]:
        """(Y, X) of each channel by name."""
        return dict(zip(self.names, self.pixels))

    @property
    def mrfp(self) -> np.ndarray:
        """(Y, X) of mRFP."""
        return self.planes["mRFP"]

    @property
    def egfp(self) -> np.ndarray:
        """(Y, X) of EGFP."""
        return self.planes["EGFP"]

    @property
    def reporter(self) -> tuple[str, ...]:
        """Those of mRFP and EGFP that the field has."""
        return tuple(name for name in self.names if name in REPORTER)

    @property
    def markers(self) -> tuple[str, ...]:
        """Names of the further channels, DNA left out."""
        return tuple(name for name in self.names if name not in (*REPORTER, DNA))

    def off(self, name: str) -> tuple[float, float]:
        """Background and noise of a channel."""
        index = self.names.index(name)
        return self.background[index], self.noise[index]

    def light(self, name: str) -> np.ndarray:
        """(Y, X) float32 of a channel, the field's background subtracted."""
        return self.planes[name] - np.float32(self.off(name)[0])


def unmix(
    image: FieldImage, labels: np.ndarray, need: Sequence[str] = REPORTER, others: np.ndarray | None = None
) -> Channels:
    """Take a field apart into its channels, transmitted light left out.

    In a composite, blue is transmitted light alone, which is in red and green too. The multiple that is there is fitted
    on pixels off the cells, on fine structure alone, and subtracted. Raw channels are taken as they are.

    Parameters
    ----------
    image : for a composite with transmitted light.
    labels : (Y, X), 0 = background.
    need : roles that the image must have.
    others : (Y, X) bool, pixels of further cells, which are no background; see :func:`clear_of_cells`.

    Raises InputError for an image without these channels or without any, of another size than its labels, with values
    that are no numbers, or full of cells, for nothing is left to tell the background.
    """
    roles = measured_roles(image.roles)
    for role in need:
        image.plane(role)
    if not roles:
        raise InputError("no channel's role is known; name the channels with --channels, such as EGFP=w1 DNA=w2")
    planes: list[np.ndarray] = [np.ascontiguousarray(image.plane(role), dtype=np.float32) for role in roles]
    if image.shape != labels.shape:
        raise InputError(f"image {image.shape} and labels {labels.shape} differ in size")
    if image.pixels.dtype.kind == "f" and not all(np.isfinite(plane).all() for plane in planes):
        raise InputError("the image holds NaN or infinite intensities; mend them, or leave the field out")
    clear = clear_of_cells(labels, others)
    if (off := np.count_nonzero(clear)) < min(_FEWEST_PIXELS, labels.size // 10):
        raise InputError(
            f"{off} of {labels.size} pixels are off the cells: light is measured over the background, which these do "
            "not tell; leave the field out, or a cell that is none"
        )
    saturated = np.stack([saturated_pixels(image, image.roles.index(role)) for role in roles])
    shares = (0.0,) * len(roles)
    composite = image.kind == "composite"
    if composite:
        transmitted = np.ascontiguousarray(image.plane("transmitted"))
        shares = transmitted_shares([np.ascontiguousarray(image.plane(role)) for role in roles], transmitted, clear)
        transmitted = transmitted.astype(np.float32)
        planes = [plane - share * transmitted for plane, share in zip(planes, shares)]
    counts = tuple(image.in_counts(role) for role in roles)
    levels = _backgrounds(planes, clear, [1.0 if composite else _ROUNDING * whole for whole in counts])
    return Channels(
        tuple(channel_name(role) for role in roles),
        tuple(planes),
        saturated,
        "composite" if composite else "raw",
        shares,
        tuple(level for level, _ in levels),
        tuple(noise for _, noise in levels),
        counts,
    )


def measured_roles(roles: Sequence[str | None]) -> list[str]:
    """The roles that are measured, mRFP, EGFP, DNA and markers, in this order.

    Raises InputError where two of them would be called the same in tables.
    """
    order = [*REPORTER, DNA]
    known = {role for role in roles if role and (role in order or role.startswith(MARKER))}
    found = sorted(known, key=lambda role: (order.index(role), "") if role in order else (len(order), role))
    names = [channel_name(role) for role in found]
    if twins := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"two channels would be called {twins[0]} in tables; name one otherwise with --channels")
    return found


def channel_name(role: str) -> str:
    """What tables call a channel: its role, and the name of a marker with its blanks and signs as underscores.

    >>> channel_name("EGFP"), channel_name("marker:LC3 Alexa-647")
    ('EGFP', 'LC3_Alexa_647')
    """
    return re.sub(r"[\W_]+", "_", role.removeprefix(MARKER)).strip("_") or "marker"


def clear_of_cells(labels: np.ndarray, others: np.ndarray | None = None) -> np.ndarray:
    """(Y, X) bool: background away from cells; nearer to them where a crowded field has too little.

    Away from `others` (Y, X) bool, too: cells that are not measured, as somebody deleted them, shine all the same.
    Where these leave next to nothing, they may be none (an outline around everything, deleted), and count for nothing.
    """
    cells = labels > 0
    for occupied in [cells] if others is None else [cells | others, cells]:
        for reach, enough in ((_CLEAR_PX, _ENOUGH_PIXELS), (2, _ENOUGH_PIXELS), (0, _FEWEST_PIXELS)):
            grown = cv2.dilate(occupied.view(np.uint8), np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
            if np.count_nonzero(grown == 0) >= min(enough, labels.size // 10):
                return grown == 0
    return ~cells


def transmitted_shares(planes: Sequence[np.ndarray], transmitted: np.ndarray, clear: np.ndarray) -> tuple[float, ...]:
    """The multiple of `transmitted` contained in each plane: least squares on fine structure at the `clear` pixels.

    All arrays are (Y, X). Clipped to 0..2; 0 where the transmitted light has no structure at all.
    """
    clear = clear & (transmitted < 250)
    fine, shares = _fine(transmitted), []
    for plane in planes:
        there = fine * (clear & (plane < 250))
        power = _product(there, fine)
        shares.append(float(np.clip(_product(there, _fine(plane)) / power, 0, 2)) if power > 0 else 0.0)
    return tuple(shares)


def _fine(plane: np.ndarray) -> np.ndarray:
    """(Y, X) float32 of what is finer than `_FINE_PX` in a plane, whose own type is the fastest to smooth."""
    kernel = cv2.getGaussianKernel(2 * int(4 * _FINE_PX) + 1, _FINE_PX)
    return plane - cv2.sepFilter2D(plane, cv2.CV_32F, kernel, kernel)


def _product(one: np.ndarray, other: np.ndarray) -> float:
    """Sum of the products of two planes (Y, X) float32; rows are short enough to be summed in single precision."""
    return float(np.einsum("ij,ij->i", one, other).sum(dtype=np.float64))


def _backgrounds(
    planes: Sequence[np.ndarray], clear: np.ndarray, rounding: Sequence[float]
) -> list[tuple[float, float]]:
    """Median of each plane's `clear` pixels, and the noise of one from differences between pixels `_NOISE_STEP` apart.

    Differences, because the medium's glow varies over the field. JPEG evens out a composite's quiet places, and
    rounding those of dark images, so noise is never put below each one's `rounding`.
    """
    pairs = np.zeros_like(clear)
    pairs[:, :-_NOISE_STEP] = clear[:, _NOISE_STEP:] & clear[:, :-_NOISE_STEP]
    at, left = _some(clear), _some(pairs)
    levels = []
    for plane, least in zip(planes, rounding):
        flat = plane.ravel()
        steps = np.abs(flat[left + _NOISE_STEP] - flat[left])
        noise = np.median(steps) / 0.6745 / np.sqrt(2) if steps.size else 0.0
        levels.append((float(np.median(flat[at])), max(float(noise), least)))
    return levels


def _some(mask: np.ndarray) -> np.ndarray:
    """Flat indices of pixels of a mask, evenly spread, as many as a median needs."""
    at = np.flatnonzero(mask)
    return at[:: max(1, at.size // 200_000)]
