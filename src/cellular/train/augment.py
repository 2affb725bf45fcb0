"""Random flips, rotations, scales and crops, with the distribution of Cellpose 3's ``random_rotate_and_resize``.

The random numbers (a :class:`Crop`) are drawn apart from the warping, so that OpenCV on the CPU and torch on a GPU make
the same crops of them.
"""

from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
import torch
from torch.nn import functional

from cellular.train.samples import Sample
from cellular.train.settings import TrainSettings


@dataclass(frozen=True)
class Crop:
    """One random view of a field.

    Attributes
    ----------
    matrix : (2, 3) float64, maps field coordinates (x, y), after the flip, to crop coordinates.
    angle : rotation, radians. flip : mirror the field left to right first.
    gain, offset : (C,) float32; a channel's intensities become gain * intensity + offset.
    """

    matrix: np.ndarray
    angle: float
    flip: bool
    gain: np.ndarray
    offset: np.ndarray


def draw_crop(
    shape: tuple[int, int, int],
    diameter: float,
    diam_mean: float,
    settings: TrainSettings,
    rng: np.random.Generator,
) -> Crop:
    """Random view of a field of `shape` (C, Y, X) px whose cells measure `diameter` px.

    The centre of the crop is uniform over where the whole crop stays inside the scaled field, along each axis on its
    own; where the scaled field is smaller than the crop, it is centred and the rest stays empty.
    """
    flip = bool(rng.random() > 0.5)
    angle = rng.random() * 2 * np.pi
    scale = 1 - settings.scale_range / 2 + settings.scale_range * rng.random()
    if settings.rescale:
        scale *= diam_mean / diameter
    size = settings.crop_size
    extent = np.array([shape[2], shape[1]])
    shift = (rng.random(2) - 0.5) * np.maximum(0, extent * scale - size)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centre = size / 2 + shift - turn @ (extent / 2)
    change = (settings.jitter * (2 * rng.random((2, shape[0])) - 1)).astype(np.float32)
    return Crop(np.column_stack([turn, centre]), angle, flip, 1 + change[0], change[1])


def crop_on_cpu(sample: Sample, crop: Crop, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Image (C, size, size) and target (4, size, size) float32: flow y, flow x, cell, weight."""
    matrix = _unflipped(crop, sample.image.shape[2])

    def warp(plane: np.ndarray, interpolation: int = cv2.INTER_LINEAR) -> np.ndarray:
        return cv2.warpAffine(plane, matrix, (size, size), flags=interpolation)

    image = np.stack([warp(plane) for plane in sample.image])
    target = np.empty((4, size, size), np.float32)
    target[:2] = _turned(warp(sample.flows[0]), warp(sample.flows[1]), crop)
    target[2] = warp(sample.cell, cv2.INTER_NEAREST)
    target[3] = 1 if sample.ignore is None else 1 - warp(sample.ignore, cv2.INTER_NEAREST)
    return image * crop.gain[:, None, None] + crop.offset[:, None, None], target


def crop_on_device(planes: torch.Tensor, crop: Crop, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The same on any torch device; `planes` (C + 4, Y, X) is the field's image, flow y, flow x, cell and weight."""
    height, width = planes.shape[1:]
    inverse = np.linalg.inv(np.vstack([_unflipped(crop, width), [0, 0, 1]]))[:2]
    pixel = torch.arange(size, device=planes.device, dtype=torch.float32)
    y, x = torch.meshgrid(pixel, pixel, indexing="ij")
    (a, b, c), (d, e, f) = inverse.tolist()
    source_x, source_y = a * x + b * y + c, d * x + e * y + f
    # align_corners: -1 and 1 are the centres of the first and last pixel.
    grid = torch.stack([2 * source_x / max(width - 1, 1) - 1, 2 * source_y / max(height - 1, 1) - 1], dim=-1)[None]

    def warp(part: torch.Tensor, mode: str) -> torch.Tensor:
        return functional.grid_sample(part[None], grid, mode=mode, padding_mode="zeros", align_corners=True)[0]

    smooth, sharp = warp(planes[:-2], "bilinear"), warp(planes[-2:], "nearest")
    flow_y, flow_x = _turned(smooth[-2], smooth[-1], crop)
    # What lies outside the field is background that counts, as on the CPU.
    outside = (grid.abs() > 1).any(dim=-1)[0]
    weight = torch.where(outside, 1.0, sharp[1])
    gain, offset = (torch.from_numpy(v[:, None, None]).to(planes.device) for v in (crop.gain, crop.offset))
    return smooth[:-2] * gain + offset, torch.stack([flow_y, flow_x, sharp[0], weight])


def _unflipped(crop: Crop, width: int) -> np.ndarray:
    """`crop.matrix` with the flip folded in: x becomes width - 1 - x first."""
    if not crop.flip:
        return crop.matrix
    mirror = np.array([[-1, 0, width - 1], [0, 1, 0], [0, 0, 1]], float)
    return crop.matrix @ mirror


_Plane = TypeVar("_Plane", np.ndarray, torch.Tensor)


def _turned(flow_y: _Plane, flow_x: _Plane, crop: Crop) -> tuple[_Plane, _Plane]:
    """Flow vectors mirrored and rotated with the image."""
    if crop.flip:
        flow_x = -flow_x
    cos, sin = float(np.cos(crop.angle)), float(np.sin(crop.angle))
    return flow_x * sin + flow_y * cos, flow_x * cos - flow_y * sin
