"""Random flips, rotations, scales and crops, with the distribution of Cellpose 3's ``random_rotate_and_resize``.

The random numbers (a :class:`Crop`) are drawn apart from the warping, so that OpenCV on the CPU and torch on a GPU make
the same crops of them.
"""

from collections.abc import Sequence
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
    cos, sin = float(np.cos(crop.angle)), float(np.sin(crop.angle))
    target[:2] = _turned(warp(sample.flows[0]), warp(sample.flows[1]), cos, sin, -1 if crop.flip else 1)
    target[2] = warp(sample.cell, cv2.INTER_NEAREST)
    target[3] = 1 if sample.ignore is None else 1 - warp(sample.ignore, cv2.INTER_NEAREST)
    return image * crop.gain[:, None, None] + crop.offset[:, None, None], target


def crops_on_device(
    fields: Sequence[torch.Tensor], crops: Sequence[Crop], size: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The same of a batch on any torch device: images (B, C, size, size) and targets (B, 4, size, size).

    Each of the B `fields` (C + 4, Y, X) is a field's image, flow y, flow x, cell and weight. A GPU takes longer to be
    told of an operation than to do it on one crop, so all but the sampling is done for all crops at once.
    """
    device, channels = fields[0].device, len(fields[0]) - 4
    table = torch.from_numpy(np.stack([_parameters(c, f.shape[1:]) for c, f in zip(crops, fields)]))
    # From pinned memory the copy need not be waited for.
    table = table.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else table.to(device)
    placing, cos, sin, mirror, gain, offset = table[..., None, None].split([6, 1, 1, 1, channels, channels], dim=1)
    down, across, start = placing.unflatten(1, (3, 2)).unbind(1)
    pixel = torch.arange(size, device=device, dtype=torch.float32)
    grid = (down * pixel[:, None] + across * pixel + start).permute(0, 2, 3, 1)

    def warp(planes: slice, mode: str) -> torch.Tensor:
        parts = [
            functional.grid_sample(f[None, planes], g[None], mode=mode, padding_mode="zeros", align_corners=True)
            for f, g in zip(fields, grid)
        ]
        return torch.cat(parts)

    smooth, sharp = warp(slice(None, -2), "bilinear"), warp(slice(-2, None), "nearest")
    flows = _turned(smooth[:, -2], smooth[:, -1], cos[:, 0], sin[:, 0], mirror[:, 0])
    # What lies outside the field is background that counts, as on the CPU.
    weight = torch.where((grid.abs() > 1).any(dim=-1), 1.0, sharp[:, 1])
    return smooth[:, :-2] * gain + offset, torch.stack([*flows, sharp[:, 0], weight], dim=1)


def _parameters(crop: Crop, shape: Sequence[int]) -> np.ndarray:
    """What :func:`crops_on_device` knows of a crop of a field of `shape` (Y, X), (9 + 2 C,) float32.

    First how much a pixel down and one to the right in the crop move the place (x, y) in the field, and the place of
    the crop's first pixel, where -1 and 1 are the centres of the field's first and last pixel.
    """
    height, width = shape
    inverse = np.linalg.inv(np.vstack([_unflipped(crop, width), [0, 0, 1]]))[:2]
    placing = 2 * inverse / np.maximum([[width - 1], [height - 1]], 1)
    placing[:, 2] -= 1
    turn = np.cos(crop.angle), np.sin(crop.angle), -1 if crop.flip else 1
    return np.concatenate([placing[:, [1, 0, 2]].T.ravel(), turn, crop.gain, crop.offset]).astype(np.float32)


def _unflipped(crop: Crop, width: int) -> np.ndarray:
    """`crop.matrix` with the flip folded in: x becomes width - 1 - x first."""
    if not crop.flip:
        return crop.matrix
    mirror = np.array([[-1, 0, width - 1], [0, 1, 0], [0, 0, 1]], float)
    return crop.matrix @ mirror


_Plane = TypeVar("_Plane", np.ndarray, torch.Tensor)


def _turned(
    flow_y: _Plane, flow_x: _Plane, cos: float | _Plane, sin: float | _Plane, mirror: int | _Plane
) -> tuple[_Plane, _Plane]:
    """Flow vectors mirrored, where `mirror` is -1, and rotated with the image."""
    flow_x = mirror * flow_x
    return flow_x * sin + flow_y * cos, flow_x * cos - flow_y * sin
