"""All training images on one device as a single list of pixels, and random crops cut from it a batch at a time.

cellular.train.augment cuts crop by crop; a GPU that learns from a thousand crops a second needs whole batches at once.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

# Planes of a packed image: mRFP, EGFP and transmitted light as in the composite, then mRFP and EGFP without the
# transmitted light that the composite adds to them. ZERO stands for a channel that was not recorded.
PLANES = 5
ZERO = PLANES
ALL, REPORTER, RED, GREEN, GREY = (0, 1, 2), (3, 4, ZERO), (3, 3, 3), (4, 4, 4), (0, 0, 0)
BLUR_REACH = 3


@dataclass(frozen=True)
class Packed:
    """An image with its truth, ready to be uploaded.

    Attributes
    ----------
    smooth : (Y, X, PLANES + 2) float16: the image's planes, flow y, flow x. sharp : (Y, X, 2) float16: cell, weight.
    diameter : px of its cells.
    """

    smooth: np.ndarray
    sharp: np.ndarray
    diameter: float


@dataclass(frozen=True)
class Source:
    """Images drawn alike: their numbers in the atlas, the share of all crops, and the views with their shares."""

    images: list[int]
    share: float
    views: dict[tuple[int, ...], float]


class Atlas:
    """Pixels of many images of any sizes, one after the other, on `device`."""

    def __init__(self, images: list[Packed], device: torch.device):
        self.device = device
        self.shapes = np.array([image.sharp.shape[:2] for image in images])
        self.diameters = np.array([image.diameter for image in images])
        self.starts = np.concatenate([[0], np.cumsum(self.shapes.prod(axis=1))])
        self.smooth = torch.empty((self.starts[-1], PLANES + 2), dtype=torch.float16, device=device)
        self.sharp = torch.empty((self.starts[-1], 2), dtype=torch.float16, device=device)
        for image, start, stop in zip(images, self.starts, self.starts[1:]):
            self.smooth[start:stop] = torch.from_numpy(np.array(image.smooth)).view(-1, PLANES + 2).to(device)
            self.sharp[start:stop] = torch.from_numpy(np.array(image.sharp)).view(-1, 2).to(device)

    def batch(
        self, sources: list[Source], count: int, side: int, diam_mean: float, strong: bool, rng: np.random.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Images (B, C, side, side) and targets (B, 4, side, side) as `flow_loss` wants them; C is the views' length.

        Every crop turns, flips and scales its image (0.75 to 1.25 about `diam_mean` px a cell) as Cellpose does.
        `strong` adds: three crops in ten at half to 1.6 times that scale, stretching, and :func:`disturbed`.
        """
        chosen = rng.choice(len(sources), size=count, p=[source.share for source in sources])
        numbers = np.array([rng.choice(sources[k].images) for k in chosen])
        views = [
            list(sources[k].views)[rng.choice(len(sources[k].views), p=list(sources[k].views.values()))] for k in chosen
        ]
        scale = rng.uniform(0.75, 1.25, count)
        stretch = np.ones((count, 2))
        if strong:
            scale = np.where(rng.random(count) < 0.3, np.exp(rng.uniform(np.log(0.5), np.log(1.6), count)), scale)
            stretch = np.exp(rng.uniform(-0.15, 0.15, (count, 1)) * [1, -1])
        scale = scale * diam_mean / self.diameters[numbers]
        angle, flip = rng.uniform(0, 2 * np.pi, count), rng.choice([-1, 1], count)
        # Maps offsets (x, y) in the image to offsets in the crop.
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]).transpose(2, 0, 1)
        matrix = scale[:, None, None] * turn * (stretch * np.stack([flip, np.ones(count)], axis=1))[:, None, :]
        extent = self.shapes[numbers][:, ::-1].astype(float)
        margin = np.minimum(side / 2 / scale[:, None], extent / 2)
        centre = margin + rng.random((count, 2)) * (extent - 2 * margin) - 0.5
        image, target = self._cut(numbers, matrix, centre, side)
        index = self._tensor(np.array(views), torch.int64)
        image = (
            functional.pad(image, (0, 1)).gather(3, index[:, None, None].expand(-1, side, side, -1)).permute(0, 3, 1, 2)
        )
        image = disturbed(image, rng, strong) * (index != ZERO)[:, :, None, None]
        return image.contiguous(memory_format=torch.channels_last), target

    def _cut(
        self, numbers: np.ndarray, matrix: np.ndarray, centre: np.ndarray, side: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Image planes (B, side, side, PLANES) and target (B, 4, side, side) of crops whose middle shows `centre`."""
        axis = torch.arange(side, device=self.device, dtype=torch.float32) - (side - 1) / 2
        place = torch.stack([axis[None].expand(side, side), axis[:, None].expand(side, side)], dim=-1)
        inverse, middle = self._tensor(np.linalg.inv(matrix)), self._tensor(centre)
        x, y = (torch.einsum("bij,yxj->byxi", inverse, place) + middle[:, None, None]).unbind(-1)
        start, size = self._tensor(self.starts[numbers], torch.int64), self._tensor(self.shapes[numbers], torch.int64)
        start, height, width = (v[:, None, None] for v in (start, size[:, 0], size[:, 1]))

        def pixels(table: torch.Tensor, row: torch.Tensor, column: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            at = start + torch.where(inside, row * width + column, 0)
            return table[at] * inside[..., None], inside

        top, left = y.floor(), x.floor()
        smooth = 0
        for dy in (0, 1):
            for dx in (0, 1):
                weight = (1 - (y - top - dy).abs()) * (1 - (x - left - dx).abs())
                smooth = smooth + weight[..., None] * pixels(self.smooth, top.long() + dy, left.long() + dx)[0]
        sharp, inside = pixels(self.sharp, y.round().long(), x.round().long())
        # The direction to a cell's centre turns and stretches with the image; its length stays.
        flow_y, flow_x = smooth[..., PLANES], smooth[..., PLANES + 1]
        flow = torch.einsum("bij,byxj->biyx", self._tensor(matrix), torch.stack([flow_x, flow_y], -1))
        flow = flow * (torch.hypot(flow_x, flow_y) / torch.hypot(flow[:, 0], flow[:, 1]).clamp(min=1e-6))[:, None]
        # What lies outside the field is background that counts.
        weight = torch.where(inside, sharp[..., 1].float(), 1.0)
        return smooth[..., :PLANES], torch.stack([flow[:, 1], flow[:, 0], sharp[..., 0].float(), weight], dim=1)

    def _tensor(self, values: np.ndarray, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.device, dtype)


def disturbed(image: torch.Tensor, rng: np.random.Generator, strong: bool) -> torch.Tensor:
    """`image` (B, C, Y, X) with a random gain and offset for each channel (0.3, as the starter was trained with).

    `strong`: before that each of uneven light, blur (to 1.5 px), gamma, clipping at a ceiling (saturation) and noise in
    three of ten channels.
    """
    count, channels, side, _ = image.shape

    def drawn(low: float, high: float, neutral: float = 0.0, rate: float = 0.3) -> torch.Tensor:
        values = rng.uniform(low, high, (count, channels, 1, 1))
        values = np.where(rng.random(values.shape) < rate, values, neutral)
        return torch.from_numpy(values.astype(np.float32)).to(image.device)

    if strong:
        ramp = torch.linspace(-1, 1, side, device=image.device)
        image = image * (1 + drawn(-0.25, 0.25) * ramp + drawn(-0.25, 0.25) * ramp[:, None])
        image = blurred(image, drawn(0.5, 1.5, neutral=0.05))
        image = torch.where(image > 0, image.clamp(min=1e-4) ** drawn(0.6, 1.6, neutral=1.0), image)
        image = torch.minimum(image, drawn(0.4, 1.5, neutral=1e4))
        image = image + drawn(0, 0.12) * torch.randn_like(image)
    return image * drawn(0.7, 1.3, rate=1.0) + drawn(-0.3, 0.3, rate=1.0)


def blurred(image: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """`image` (B, C, Y, X), each channel under its own Gaussian `sigma` (B, C, 1, 1), px."""
    reach = torch.arange(-BLUR_REACH, BLUR_REACH + 1, device=image.device)
    kernel = torch.exp(-0.5 * (reach / sigma.view(-1, 1, 1, 1)) ** 2)
    kernel = kernel / kernel.sum(dim=3, keepdim=True)
    flat = image.reshape(1, -1, *image.shape[2:])
    flat = functional.conv2d(flat, kernel, padding=(0, BLUR_REACH), groups=flat.shape[1])
    return functional.conv2d(flat, kernel.transpose(2, 3), padding=(BLUR_REACH, 0), groups=flat.shape[1]).view(
        image.shape
    )
