"""All training images on one device as a single list of pixels, and random crops cut from it a batch at a time.

cellular.train.augment cuts crop by crop; a GPU that learns from a thousand crops a second needs whole batches at once,
drawn where they are cut: nothing here waits for the processor, so that a CUDA graph can hold all of it.
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
    smooth : (Y, X, PLANES + 2) float16: the image's planes, flow y, flow x.
    sharp : (Y, X, 3) float16: cell, weight, weight where close cells count more (planes.py).
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


@dataclass(frozen=True)
class Cut:
    """How crops are cut: how many at once, their side in px, px a cell, and what is done to them.

    Attributes
    ----------
    strong : see :meth:`Crops.batch`. close : whether close and small cells weigh more.
    """

    count: int
    side: int
    diam_mean: float
    strong: bool = False
    close: bool = False


class Atlas:
    """Pixels of many images of any sizes, one after the other, on `device`."""

    def __init__(self, images: list[Packed], device: torch.device):
        self.device = device
        shapes = np.array([image.sharp.shape[:2] for image in images])
        starts = np.concatenate([[0], np.cumsum(shapes.prod(axis=1))])
        self.smooth = torch.empty((starts[-1], PLANES + 2), dtype=torch.float16, device=device)
        self.sharp = torch.empty((starts[-1], 3), dtype=torch.float16, device=device)
        for image, start, stop in zip(images, starts, starts[1:]):
            self.smooth[start:stop] = torch.from_numpy(np.array(image.smooth)).view(-1, PLANES + 2).to(device)
            self.sharp[start:stop] = torch.from_numpy(np.array(image.sharp)).view(-1, 3).to(device)
        self.shapes = torch.from_numpy(shapes).to(device)
        self.starts = torch.from_numpy(starts[:-1]).to(device)
        self.diameters = torch.tensor([image.diameter for image in images], dtype=torch.float32, device=device)


class Crops:
    """Random crops of an atlas, drawn from `sources` by a generator of their own."""

    def __init__(self, atlas: Atlas, sources: list[Source], cut: Cut, seed: int):
        self.atlas, self.cut = atlas, cut
        self.generator = torch.Generator(atlas.device).manual_seed(seed)
        most = max(len(source.views) for source in sources)
        channels = len(next(iter(sources[0].views)))
        views = np.zeros((len(sources), most, channels), np.int64)
        bounds = np.ones((len(sources), most))
        for k, source in enumerate(sources):
            views[k, : len(source.views)] = list(source.views)
            bounds[k, : len(source.views)] = np.cumsum(list(source.views.values()))
        counts = [len(source.images) for source in sources]
        self.source_bounds = self._tensor(np.cumsum([source.share for source in sources])[:-1])
        self.view_bounds, self.views = self._tensor(bounds[:, :-1]), self._tensor(views, torch.int64)
        self.images = self._tensor(np.concatenate([source.images for source in sources]), torch.int64)
        self.counts = self._tensor(np.array(counts), torch.int64)
        self.firsts = self._tensor(np.cumsum([0, *counts[:-1]]), torch.int64)

    def batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Images (B, C, side, side) and targets (B, 4, side, side) as `flow_loss` wants them; C is the views' length.

        Every crop turns, flips and scales its image (0.75 to 1.25 about `diam_mean` px a cell) as Cellpose does.
        `strong` adds: three crops in ten at half to 1.6 times that scale, stretching, and :meth:`_disturbed`.
        """
        atlas, cut, count = self.atlas, self.cut, self.cut.count
        chosen = (self._uniform(count, 1) >= self.source_bounds).sum(1)
        numbers = self.images[self.firsts[chosen] + (self._uniform(count) * self.counts[chosen]).long()]
        index = self.views[chosen, (self._uniform(count, 1) >= self.view_bounds[chosen]).sum(1)]
        scale, stretch = self._between(0.75, 1.25, count), torch.ones((count, 2), device=atlas.device)
        if cut.strong:
            wide = torch.exp(self._between(float(np.log(0.5)), float(np.log(1.6)), count))
            scale = torch.where(self._uniform(count) < 0.3, wide, scale)
            tall = torch.exp(self._between(-0.15, 0.15, count))
            stretch = torch.stack([tall, 1 / tall], dim=1)
        scale = scale * cut.diam_mean / atlas.diameters[numbers]
        angle = self._between(0, float(2 * np.pi), count)
        flip = torch.where(self._uniform(count) < 0.5, -1.0, 1.0)
        # Maps offsets (x, y) in the image to offsets in the crop.
        cosine, sine = angle.cos(), angle.sin()
        turn = torch.stack([cosine, -sine, sine, cosine], dim=1).view(count, 2, 2)
        matrix = scale[:, None, None] * turn
        matrix = matrix * (stretch * torch.stack([flip, torch.ones_like(flip)], dim=1))[:, None, :]
        extent = atlas.shapes[numbers].flip(1).float()
        margin = torch.minimum(cut.side / 2 / scale[:, None], extent / 2)
        centre = margin + self._uniform(count, 2) * (extent - 2 * margin) - 0.5
        image, target = self._cut(numbers, matrix, centre)
        image = functional.pad(image, (0, 1)).gather(3, index[:, None, None].expand(-1, cut.side, cut.side, -1))
        image = self._disturbed(image.permute(0, 3, 1, 2)) * (index != ZERO)[:, :, None, None]
        return image.contiguous(memory_format=torch.channels_last), target

    def _cut(
        self, numbers: torch.Tensor, matrix: torch.Tensor, centre: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Image planes (B, side, side, PLANES) and target (B, 4, side, side) of crops whose middle shows `centre`."""
        atlas, side = self.atlas, self.cut.side
        axis = torch.arange(side, device=atlas.device, dtype=torch.float32) - (side - 1) / 2
        place = torch.stack([axis[None].expand(side, side), axis[:, None].expand(side, side)], dim=-1)
        (a, b), (c, d) = (row.unbind(1) for row in matrix.unbind(1))
        inverse = torch.stack([d, -b, -c, a], dim=1).view(-1, 2, 2) / (a * d - b * c)[:, None, None]
        x, y = (torch.einsum("bij,yxj->byxi", inverse, place) + centre[:, None, None]).unbind(-1)
        start, height, width = (
            v[:, None, None] for v in (atlas.starts[numbers], atlas.shapes[numbers, 0], atlas.shapes[numbers, 1])
        )

        def pixels(table: torch.Tensor, row: torch.Tensor, column: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            at = start + torch.where(inside, row * width + column, 0)
            return table[at] * inside[..., None], inside

        top, left = y.floor(), x.floor()
        smooth = 0
        for dy in (0, 1):
            for dx in (0, 1):
                weight = (1 - (y - top - dy).abs()) * (1 - (x - left - dx).abs())
                smooth = smooth + weight[..., None] * pixels(atlas.smooth, top.long() + dy, left.long() + dx)[0]
        sharp, inside = pixels(atlas.sharp, y.round().long(), x.round().long())
        # The direction to a cell's centre turns and stretches with the image; its length stays.
        flow_y, flow_x = smooth[..., PLANES], smooth[..., PLANES + 1]
        flow = torch.einsum("bij,byxj->biyx", matrix, torch.stack([flow_x, flow_y], -1))
        flow = flow * (torch.hypot(flow_x, flow_y) / torch.hypot(flow[:, 0], flow[:, 1]).clamp(min=1e-6))[:, None]
        # What lies outside the field is background that counts.
        weight = torch.where(inside, sharp[..., 2 if self.cut.close else 1].float(), 1.0)
        return smooth[..., :PLANES], torch.stack([flow[:, 1], flow[:, 0], sharp[..., 0].float(), weight], dim=1)

    def _disturbed(self, image: torch.Tensor) -> torch.Tensor:
        """`image` (B, C, Y, X) with a random gain and offset a channel (0.3, as the starter was trained with).

        `strong`: before that each of uneven light, blur (to 1.5 px), gamma, clipping at a ceiling (saturation) and
        noise in three of ten channels.
        """
        shape = (*image.shape[:2], 1, 1)

        def drawn(low: float, high: float, neutral: float = 0.0, rate: float = 0.3) -> torch.Tensor:
            values = self._between(low, high, *shape)
            return torch.where(self._uniform(*shape) < rate, values, neutral)

        if self.cut.strong:
            ramp = torch.linspace(-1, 1, image.shape[2], device=image.device)
            image = image * (1 + drawn(-0.25, 0.25) * ramp + drawn(-0.25, 0.25) * ramp[:, None])
            image = blurred(image, drawn(0.5, 1.5, neutral=0.05))
            image = torch.where(image > 0, image.clamp(min=1e-4) ** drawn(0.6, 1.6, neutral=1.0), image)
            image = torch.minimum(image, drawn(0.4, 1.5, neutral=1e4))
            noise = torch.randn(image.shape, device=image.device, generator=self.generator)
            image = image + drawn(0, 0.12) * noise
        return image * drawn(0.7, 1.3, rate=1.0) + drawn(-0.3, 0.3, rate=1.0)

    def _uniform(self, *shape: int) -> torch.Tensor:
        return torch.rand(shape, device=self.atlas.device, generator=self.generator)

    def _between(self, low: float, high: float, *shape: int) -> torch.Tensor:
        return low + (high - low) * self._uniform(*shape)

    def _tensor(self, values: np.ndarray, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.atlas.device, dtype)


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
