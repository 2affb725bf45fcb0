"""Whether two channels of one field, or outlines and light, lie on each other."""

from collections.abc import Iterable
from typing import NamedTuple

import cv2
import numpy as np
from scipy import fft

from cellular.autophagy.measure.mitophagy import KEIMA_NAMES
from cellular.autophagy.measure.unmix import REPORTER

# The column that tells whether outlines lie on the light.
OUTLINES = "outline_agreement"
# Planes are made smaller until their longer side is at most so many px: cells tell a shift to a tenth of these.
_SIDE = 512
# Standard deviations, px of the smaller plane: finer is noise, wider how the field is lit.
_FINEST, _WIDEST = 1.0, 16.0


def reporter_pair(channels: Iterable[str]) -> tuple[str, str] | None:
    """The two of `channels` that show the same cells, those of a reporter; None where they are not all there."""
    there = set(channels)
    return next((pair for pair in (REPORTER, KEIMA_NAMES) if there.issuperset(pair)), None)


class Alignment(NamedTuple):
    """How two planes lie on each other.

    Attributes
    ----------
    down, right : px that the second lies below and to the right of the first where they agree best.
    agreement : how well they agree there, their correlation, -1 to 1; 0 where one of them shows nothing.
    at_rest : the same as they lie.
    """

    down: float
    right: float
    agreement: float
    at_rest: float


def align(first: np.ndarray, second: np.ndarray) -> Alignment:
    """How two planes (Y, X) of one field, of any real dtype, lie on each other.

    The place of the largest normalised cross-correlation of both planes, band-passed and faded out towards their
    edges, between pixels by parabolas (as in Guizar-Sicairos et al., Opt Lett 33, 156, 2008, without their finer
    grid). For planes that show the same structures; of others it is the place of a chance.
    """
    step = -(-max(first.shape) // _SIDE)
    one, other = _prepared(first, step), _prepared(second, step)
    energy = np.sqrt(float((one**2).sum()) * float((other**2).sum()))
    if energy == 0:
        return Alignment(0.0, 0.0, 0.0, 0.0)
    product = np.conj(fft.rfft2(one)) * fft.rfft2(other)
    found = fft.fftshift(fft.irfft2(product, s=one.shape)) / energy
    rest = found.shape[0] // 2, found.shape[1] // 2
    y, x = np.unravel_index(np.argmax(found), found.shape)
    down, right = y - rest[0] + _top(found[:, x], int(y)), x - rest[1] + _top(found[y], int(x))
    return Alignment(float(step * down), float(step * right), float(found[y, x]), float(found[rest]))


def _prepared(plane: np.ndarray, step: int) -> np.ndarray:
    size = (max(1, plane.shape[1] // step), max(1, plane.shape[0] // step))
    small = cv2.resize(plane.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    band = cv2.GaussianBlur(small, (0, 0), _FINEST) - cv2.GaussianBlur(small, (0, 0), _WIDEST)
    fade = [np.hanning(side + 2)[1:-1].astype(np.float32) for side in band.shape]
    return (band - band.mean()) * fade[0][:, None] * fade[1]


def _top(line: np.ndarray, place: int) -> float:
    """How far from its largest value, at `place`, the top of a line (N,) lies, by the parabola through three values."""
    if not 0 < place < len(line) - 1:
        return 0.0
    before, most, after = (float(value) for value in line[place - 1 : place + 2])
    bend = before - 2 * most + after
    return 0.5 * (before - after) / bend if bend else 0.0
