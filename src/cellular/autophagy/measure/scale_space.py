"""A plane at several scales, how much each place looks like a spot of each, and how much noise alone would."""

import math

import cv2
import numpy as np

from cellular.jit import njit

# A sampled Gaussian narrower than this, px, is no longer one: smoothing begins at the plane again.
_LEAST_STEP = 1.0
# Spots are taken away out to this many of their sigmas: the Laplacian of what is left shows no edge there.
_REACH = 5.0
# Every how many pixels the local noise is sampled, and over how wide a window (px), about half a cell.
_STRIDE, _WINDOW = 3, 63
_CLIPPINGS, _CLIPPED_MEAN = 6, 0.736


class ScaleSpace:
    """A plane (Y, X) float32 smoothed by Gaussians.

    The response to a spot is the scale-normalised Laplacian of Gaussian, negated: half the peak of a Gaussian of the
    scale's own sigma. At the border pixels the plane is mirrored.

    Attributes
    ----------
    sigmas : (S,) of the Gaussians, px, rising.
    layers : (S, Y, X) float32, the plane smoothed by each.
    """

    def __init__(self, plane: np.ndarray, sigmas: np.ndarray) -> None:
        """Smooth each layer from the one before: variances add up, so the Gaussians between are narrower."""
        self.sigmas = sigmas
        self.layers = np.empty((len(sigmas), *plane.shape), np.float32)
        source, before = plane, 0.0
        for layer, sigma in zip(self.layers, sigmas):
            step = float(np.sqrt(sigma**2 - before**2))
            source, step = (source, step) if step >= _LEAST_STEP else (plane, float(sigma))
            cv2.GaussianBlur(source, (0, 0), step, dst=layer)
            source, before = layer, sigma

    def responses(self, allowed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The strongest response over the scales (Y, X), and the noise of each scale every few pixels (S, Y', X').

        Noise among the `allowed` pixels (Y, X), for :func:`noise_at`.
        """
        strongest, response = np.empty(allowed.shape, np.float32), np.empty(allowed.shape, np.float32)
        weight = allowed[::_STRIDE, ::_STRIDE].astype(np.float32)
        noise = np.empty((len(self.sigmas), *weight.shape), np.float32)
        for k, (local, layer, sigma) in enumerate(zip(noise, self.layers, self.sigmas)):
            cv2.Laplacian(layer, cv2.CV_32F, dst=response, scale=-(float(sigma) ** 2))
            cv2.max(strongest if k else response, response, dst=strongest)
            _local_noise(response[::_STRIDE, ::_STRIDE], weight, local)
        return strongest, noise

    def response(self, scale: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Response at points in their scales; `scale`, `y` and `x` are broadcast."""
        height, width = self.layers.shape[1:]
        rows = (np.abs(y - 1), height - 1 - np.abs(height - 2 - y))
        columns = (np.abs(x - 1), width - 1 - np.abs(width - 2 - x))
        around = sum(self.level(scale, row, x) for row in rows) + sum(self.level(scale, y, col) for col in columns)
        return self.sigmas[scale] ** 2 * (4 * self.level(scale, y, x) - around)

    def level(self, scale: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Smoothed plane at points in their scales, float64; `scale`, `y` and `x` are broadcast."""
        return self.layers[scale, y, x].astype(np.float64)

    def take_away(self, spots: np.ndarray) -> None:
        """Subtract Gaussians, (P, 4) of y, x, sigma and height in the plane: smoothed, they are wider and lower."""
        for layer, scale in zip(self.layers, self.sigmas):
            _subtract(layer, spots, scale)


def noise_at(noise: np.ndarray, scale: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The `noise` of :meth:`ScaleSpace.responses` at points in their scales, above 0."""
    return np.maximum(noise[scale, y // _STRIDE, x // _STRIDE], 1e-6)


def _local_noise(response: np.ndarray, weight: np.ndarray, noise: np.ndarray) -> None:
    """Standard deviation of a response about each pixel, weighted, into `noise`; all are (Y', X') float32.

    From the mean absolute response, clipped again and again at twice its mean so that the spots themselves, their rings
    and saturated edges count for little. (So clipped, |x| of a standard normal x has the mean `_CLIPPED_MEAN`.)
    """
    window = (_WINDOW // _STRIDE,) * 2
    half = (cv2.boxFilter(weight, -1, window) + np.float32(1e-6)) / 2
    size = np.abs(response)
    clipped = size * weight
    for again in range(_CLIPPINGS + 1):
        if again:  # `noise` is twice the mean here
            np.multiply(np.minimum(size, noise, out=clipped), weight, out=clipped)
        cv2.boxFilter(clipped, -1, window, dst=noise)
        noise /= half
    noise /= 2 * _CLIPPED_MEAN


@njit(fastmath=True)
def _subtract(layer: np.ndarray, spots: np.ndarray, scale: float) -> None:  # pragma: no cover - compiled
    """Subtract each spot (y, x, sigma, height) from the layer (Y, X) that was smoothed by `scale`."""
    down, across = np.empty(layer.shape[0], np.float32), np.empty(layer.shape[1], np.float32)
    for n in range(spots.shape[0]):
        y, x, sigma, peak = spots[n]
        top, bottom = _profile(y, sigma, scale, down)
        left, right = _profile(x, sigma, scale, across)
        beside = across[left:right]
        for row in range(top, bottom):
            place, height = layer[row, left:right], np.float32(peak) * down[row]
            for k in range(len(place)):
                place[k] -= height * beside[k]


@njit
def _profile(
    centre: float, sigma: float, scale: float, values: np.ndarray
) -> tuple[int, int]:  # pragma: no cover - compiled
    """A Gaussian smoothed along an axis, into the `values` of its pixels from the first to before the last returned.

    The plane is mirrored at its border pixels, where the Gaussian ends: of what reaches a pixel, or its mirror images,
    only the part from inside counts.
    """
    end, wide = len(values) - 1, np.hypot(sigma, scale)
    reach, narrow = _REACH * wide, sigma * scale / wide * np.sqrt(2)
    first, last = max(0, int(np.ceil(centre - reach))), min(end, int(np.floor(centre + reach))) + 1
    bordering = centre < reach or centre > end - reach
    for at in range(first, last):
        if not bordering:
            values[at] = sigma / wide * np.exp(-(((at - centre) / wide) ** 2) / 2)
            continue
        total = 0.0
        for image in (at, -at, 2 * end - at):
            middle = (image * sigma**2 + centre * scale**2) / wide**2
            inside = (math.erf(middle / narrow) - math.erf((middle - end) / narrow)) / 2
            total += inside * np.exp(-(((image - centre) / wide) ** 2) / 2)
        values[at] = sigma / wide * total
    return first, last
