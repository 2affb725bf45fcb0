"""From cells to pixels: fluorescence in three focal planes, transmitted light, medium, camera."""

import cv2
import numpy as np

from cellular.simulate.population import SPREAD, Cell
from cellular.simulate.puncta import Puncta
from cellular.simulate.shapes import Shape

# The camera: counts = OFFSET + COUNTS_PER_GREY x grey level, where grey levels are those of the 8-bit composite.
OFFSET_COUNTS = 200
COUNTS_PER_GREY = 40.0
COUNTS_PER_ELECTRON = 2.0
READ_NOISE_ELECTRONS = 3.0

FOCUS_SIGMAS = (1.0, 2.2, 4.5)  # px in the real fields, sharp to far out of focus
MEDIUM_GREY = {"fed": (18.0, 22.0), "starved": (15.0, 5.5)}  # (mRFP, EGFP) of the medium
LAMP_GREY = 59.0
# How each build looks in transmitted light: thickness over radius (drives the rims), granularity (grey levels).
RELIEF = {"flat": (0.55, 6.5), "round": (4.2, 17.0), "spiky": (1.2, 8.0), "vacuolated": (2.8, 10.0)}
# Fall-off of the fluorescence towards the outline: (1 - rho^2) to this power.
FALL_OFF = {"flat": 1.6, "round": 0.5, "spiky": 1.1, "vacuolated": 0.45}


def focus_sigmas(scale: float) -> np.ndarray:
    """Blur of the focal planes in px; never sharper than the camera's pixels allow."""
    return np.maximum(np.array(FOCUS_SIGMAS) * scale, 0.7)


class Canvas:
    """The light of one field, summed cell by cell, then developed into camera counts.

    Parameters
    ----------
    size : side of the field in px.
    scale : length over length in the real fields.
    treatment : 'fed' or 'starved': sets the medium.
    rng : draws the field's textures, background and noise.
    """

    def __init__(self, size: int, scale: float, treatment: str, rng: np.random.Generator) -> None:
        self.size, self.scale, self.rng = size, scale, rng
        self.medium = np.array(MEDIUM_GREY[treatment]) * rng.lognormal(0, 0.12, 2)
        self.lamp = LAMP_GREY * rng.lognormal(0, 0.1)
        self.planes = np.zeros((3, 2, size, size), np.float32)  # focus, (mRFP, EGFP)
        self.spots = np.zeros((2, size, size), np.float32)
        self.relief = np.zeros((2, size, size), np.float32)  # near and far from focus
        self.granularity = np.zeros((size, size), np.float32)
        self.texture = 1 + 0.06 * self._noise(2.0) + 0.08 * self._noise(8.0)

    def _noise(self, sigma: float) -> np.ndarray:
        """(size, size) float32 noise of unit standard deviation, smooth over `sigma` px of the real fields."""
        noise = self.rng.standard_normal((self.size, self.size), dtype=np.float32)
        smooth = cv2.GaussianBlur(noise, (0, 0), max(sigma * self.scale, 0.6))
        return np.asarray(smooth / smooth.std())

    def add_cell(self, cell: Cell, shape: Shape, holes: np.ndarray) -> None:
        """Add a cell's diffuse light and relief; `holes` (same shape as its mask) is 1 inside vacuoles, 0 outside."""
        window = shape.window
        dome = np.clip(1 - shape.rho**2, 0, 1)
        if cell.build in SPREAD:
            dome = dome * self._fibres(shape)
        light = (0.04 + 0.96 * dome ** FALL_OFF[cell.build]) * shape.mask
        middle = shape.distance / np.float32(cell.radius)
        nucleus = shape.mask / (1 + np.exp((middle - 0.36) * 30))
        light *= (1 + 0.3 * nucleus) * (1 - 0.92 * holes) * self.texture[window]
        red = cell.expression * light
        self.planes[cell.focus, 0][window] += red
        self.planes[cell.focus, 1][window] += cell.green * red
        height, grain = RELIEF[cell.build]
        # Organelles crowd around the nucleus; the spread edge is clear.
        grains = 0.25 + np.exp(-((middle - 0.42) ** 2) / 0.06) if cell.build in SPREAD else 0.3 + dome
        grain *= self.rng.lognormal(0, 0.4)
        thickness = cell.radius * (height * np.sqrt(dome) + 0.8 * nucleus - 0.4 * height * holes) * shape.mask
        self.relief[min(cell.focus, 1)][window] += thickness
        self.granularity[window] += grain * grains * shape.mask * (1 - holes)

    def _fibres(self, shape: Shape) -> np.ndarray:
        """(box) float32 about 1: radial streaks of the spread edge, none at the centre."""
        streaks = self.rng.standard_normal(90).astype(np.float32)
        angle = (shape.theta * np.float32(90 / (2 * np.pi))).astype(np.int32) % 90
        return np.clip(1 + 0.16 * shape.rho**3 * streaks[angle], 0.3, 1.5)

    def add_puncta(self, puncta: Puncta) -> None:
        """Add Gaussians, as they will be in the image (they are not blurred again)."""
        for y, x, sigma, red, green in zip(puncta.y, puncta.x, puncta.sigma, puncta.red, puncta.green):
            y0, y1 = max(0, int(y - 4 * sigma)), min(self.size, int(y + 4 * sigma) + 2)
            x0, x1 = max(0, int(x - 4 * sigma)), min(self.size, int(x + 4 * sigma) + 2)
            column = np.exp(-0.5 * ((np.arange(y0, y1) - y) / sigma) ** 2).astype(np.float32)
            row = np.exp(-0.5 * ((np.arange(x0, x1) - x) / sigma) ** 2).astype(np.float32)
            spot = column[:, None] * row
            self.spots[0, y0:y1, x0:x1] += np.float32(red) * spot
            self.spots[1, y0:y1, x0:x1] += np.float32(green) * spot

    def develop(self) -> np.ndarray:
        """(3, Y, X) uint16 camera counts: EGFP, mRFP, transmitted light, the archive's w1, w2, w3."""
        red, green = (self._fluorescence(channel) for channel in (0, 1))
        return np.stack([self._expose(light) for light in (green, red, self._transmitted())])

    def _fluorescence(self, channel: int) -> np.ndarray:
        total = self.planes[:, channel].sum(axis=0)
        light = sum(
            cv2.GaussianBlur(plane, (0, 0), sigma)
            for plane, sigma in zip(self.planes[:, channel], focus_sigmas(self.scale))
        )
        small = cv2.resize(total, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
        haze = cv2.GaussianBlur(small, (0, 0), max(5 * self.scale, 0.6))
        haze = cv2.resize(haze, (self.size, self.size), interpolation=cv2.INTER_LINEAR)
        return 0.8 * light + 0.2 * haze + self.spots[channel] + self.medium[channel]

    def _transmitted(self) -> np.ndarray:
        """Transmitted light slightly out of focus, over uneven illumination, with the grain of organelles.

        Intensity follows minus the Laplacian of the thickness (transport of intensity, Teague 1983).
        """
        light = self._illumination()
        for relief, sigma in zip(self.relief, (2.4, 5.0)):
            sigma = max(sigma * self.scale, 0.8)
            smooth = cv2.GaussianBlur(relief, (0, 0), sigma)
            light -= 6.0 * sigma * cv2.Laplacian(smooth, cv2.CV_32F)
        grain = self._noise(2.2) - 0.5 * self._noise(4.5)
        light += 2.0 * self._noise(1.0) + 1.4 * self._noise(5.0)  # dust and dirt of the dish, out of focus
        light += cv2.GaussianBlur(self.granularity, (0, 0), max(2.0 * self.scale, 0.6)) * grain
        return np.maximum(light, 4.0)

    def _illumination(self) -> np.ndarray:
        tilt = self.rng.normal(0, 0.02, 2)
        ramp = np.linspace(-1, 1, self.size, dtype=np.float32)
        shade = 1 + tilt[0] * ramp[:, None] + tilt[1] * ramp[None] - 0.02 * (ramp[:, None] ** 2 + ramp[None] ** 2)
        return (self.lamp * shade).astype(np.float32)

    def _expose(self, light: np.ndarray) -> np.ndarray:
        """Photon and read noise, offset and 16-bit saturation. Photon noise is normal: counts are in the hundreds."""
        electrons = light * np.float32(COUNTS_PER_GREY / COUNTS_PER_ELECTRON)
        noise = self.rng.standard_normal(light.shape, dtype=np.float32)
        electrons += noise * np.sqrt(electrons + np.float32(READ_NOISE_ELECTRONS**2))
        counts = np.rint(OFFSET_COUNTS + COUNTS_PER_ELECTRON * electrons)
        return np.clip(counts, 0, np.iinfo(np.uint16).max).astype(np.uint16)


def composite_of(channels: np.ndarray) -> np.ndarray:
    """(Y, X, 3) uint8 RGB from (3, Y, X) EGFP, mRFP, transmitted: red mRFP, green EGFP, transmitted light in all."""
    egfp, mrfp, transmitted = (channels.astype(np.float32) - OFFSET_COUNTS) / COUNTS_PER_GREY
    planes = (mrfp + transmitted, egfp + transmitted, transmitted)
    return np.stack([np.clip(np.rint(plane), 0, 255) for plane in planes], axis=-1).astype(np.uint8)
