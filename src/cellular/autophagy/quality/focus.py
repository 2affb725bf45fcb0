"""Whether a plane is in focus, by two measures that are told by different things."""

import numpy as np
from scipy import fft

# CellProfiler looks at frequencies up to this share of the shorter side.
_FINEST = 8


def power_slope(plane: np.ndarray) -> float:
    """Slope of log power against log frequency of a plane (Y, X); more negative where it is more blurred.

    Defined as CellProfiler's MeasureImageQuality does PowerLogLogSlope (Bray et al., J Biomol Screen 17, 266, 2012), to
    the number: the power of all frequencies of one ring of radius 2, 3, ... is summed, up to an eighth of the shorter
    side, and a line is fitted by least squares. (Its rings take -1 for 0, -2 for -1 and so on; ours do too. It scales
    the plane first, which no slope sees.) NaN for a plane of one value or with fewer than two rings, under 32 px, where
    CellProfiler says 0.
    """
    rings = np.arange(2, min(plane.shape) // _FINEST)
    centred = _centred(plane)
    if rings.size < 2 or not centred.any():
        return float("nan")
    # the power at column -l and row k is that at column l and row -k: half of the transform tells all
    columns = np.arange(rings[-1])
    rows = np.concatenate([columns, np.arange(plane.shape[0])[-rings[-1] :]])
    shown = fft.fft(fft.rfft(centred, axis=1)[:, : rings[-1] + 1], axis=0)
    power = shown.real.astype(np.float64) ** 2 + shown.imag.astype(np.float64) ** 2
    radius = 1 + np.floor(np.hypot(np.minimum(rows, plane.shape[0] - 1 - rows)[:, None], columns)).astype(int)
    both = power[rows][:, columns] + power[-rows][:, columns + 1]
    summed = np.bincount(radius.ravel(), both.ravel())[rings]
    seen = summed > 0
    return float(np.polyfit(np.log(rings[seen]), np.log(summed[seen]), 1)[0]) if seen.sum() > 1 else float("nan")


def sharpness(plane: np.ndarray) -> float:
    """1 - C(2) / C(1) of a plane (Y, X), C(k) its autocovariance k px on, mean of both directions; 0..1 in practice.

    How much of what neighbouring pixels share is lost a pixel farther: near 0 where structures are wide, higher where
    they are fine. Made of Vollath's F4, C(1) - C(2) (J Microsc 151, 133, 1988), divided by C(1) so that neither
    brightness nor contrast counts; noise, which neighbours do not share, adds nothing. NaN where they share nothing.
    """
    centred = _centred(plane)
    near, far = (_covariance(centred, step) for step in (1, 2))
    return 1 - far / near if near > 0 else float("nan")


def _centred(plane: np.ndarray) -> np.ndarray:
    """The plane less its mean, float32, or float64 where it is; what is summed up of it needs no more."""
    return np.subtract(plane, plane.mean(dtype=np.float64), dtype=np.result_type(plane.dtype, np.float32))


def _covariance(centred: np.ndarray, step: int) -> float:
    down = np.einsum("ij,ij->i", centred[step:], centred[:-step])
    across = np.einsum("ij,ij->i", centred[:, step:], centred[:, :-step])
    height, width = centred.shape
    return (
        float(
            down.sum(dtype=np.float64) / (height - step) / width
            + across.sum(dtype=np.float64) / height / (width - step)
        )
        / 2
    )
