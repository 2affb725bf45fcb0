"""A plane at several scales, how much each place looks like a spot of each, and how much noise alone would."""

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
        """Subtract Gaussians, (P, 4) of y, x, sigma and height in the plane.

        Smoothed, a Gaussian is a wider and lower one. As the plane is mirrored, so are the spots near its border.
        """
        far = _REACH * np.hypot(spots[:, 2].max(initial=0), self.sigmas[-1])
        for axis, side in enumerate(self.layers.shape[1:]):
            copies = [spots.copy() for _ in range(3)]
            copies[1][:, axis] = -spots[:, axis]
            copies[2][:, axis] = 2 * (side - 1) - spots[:, axis]
            spots = np.concatenate([c[(c[:, axis] > -far) & (c[:, axis] < side + far)] for c in copies])
        y, x, sigma, height = spots.T
        for layer, scale in zip(self.layers, self.sigmas):
            wide = np.hypot(sigma, scale)
            _subtract(layer, np.stack([y, x, wide, height * (sigma / wide) ** 2], axis=1))


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
def _subtract(layer: np.ndarray, spots: np.ndarray) -> None:  # pragma: no cover - compiled
    """Subtract each spot (y, x, sigma, height) from a layer (Y, X)."""
    height, width = layer.shape
    across = np.empty(width, np.float32)
    for n in range(spots.shape[0]):
        y, x, sigma, peak = spots[n]
        reach = _REACH * sigma
        left, right = max(0, int(np.ceil(x - reach))), min(width, int(np.floor(x + reach)) + 1)
        if right <= left:
            continue
        for column in range(left, right):
            across[column - left] = np.exp(-((column - x) ** 2) / (2 * sigma**2))
        for row in range(max(0, int(np.ceil(y - reach))), min(height, int(np.floor(y + reach)) + 1)):
            down = np.float32(peak * np.exp(-((row - y) ** 2) / (2 * sigma**2)))
            place = layer[row, left:right]
            for column in range(len(place)):
                place[column] -= down * across[column]
