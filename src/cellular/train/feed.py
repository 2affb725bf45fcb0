"""Batches of random crops: made ahead on the CPU, or on the GPU from fields that live there."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from cellular.train.augment import Crop, crop_on_cpu, crops_on_device, draw_crop
from cellular.train.parallel import ALONE, Share
from cellular.train.samples import Sample
from cellular.train.settings import TrainSettings

# Of the GPU's free memory, what the training fields may take; beyond it, crops are cut on the CPU and sent over.
RESIDENT_FRACTION = 0.5
# The first word of every random stream, so that no two uses share one.
ORDER, TRAIN, VALID = 0, 1, 2


class Feed:
    """Random crops of `samples`; the same seed, epoch and batch always give the same crops.

    Of each batch only the crops of this process's `share` are cut; the last batch may leave it none.
    """

    def __init__(
        self,
        samples: list[Sample],
        settings: TrainSettings,
        diam_mean: float,
        device: torch.device,
        share: Share = ALONE,
    ):
        self.samples, self.settings, self.diam_mean, self.device = samples, settings, diam_mean, device
        self.share = share
        self.resident = _resident(samples, device)

    def epoch(self, epoch: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Batches (image (B, C, Y, X), target (B, 4, Y, X)) of one training epoch, in random order of fields."""
        settings = self.settings
        rng = np.random.default_rng([settings.seed, ORDER, epoch])
        count = settings.fields_per_epoch or len(self.samples)
        order = rng.permutation(count) if count == len(self.samples) else rng.integers(len(self.samples), size=count)
        yield from self._batches(order, [settings.seed, TRAIN, epoch])

    def validation(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Batches of one crop a field, the same at every call."""
        yield from self._batches(np.arange(len(self.samples)), [self.settings.seed, VALID])

    def _batches(self, order: np.ndarray, stream: list[int]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Cut each batch in a thread of its own while the caller works on the one before."""
        size = self.settings.batch_size
        parts = [order[start : start + size] for start in range(0, len(order), size)]
        with ThreadPoolExecutor(1) as worker:
            following = worker.submit(self._batch, parts[0], [*stream, 0])
            for number in range(len(parts)):
                batch = following.result()
                if number + 1 < len(parts):
                    following = worker.submit(self._batch, parts[number + 1], [*stream, number + 1])
                yield batch

    def _batch(self, indices: np.ndarray, stream: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        rng = np.random.default_rng(stream)
        # All are drawn, whoever cuts them: each crop takes its turn of the random numbers.
        crops = [(int(k), self._draw(self.samples[k], rng)) for k in indices][self.share.rank :: self.share.of]
        size = self.settings.crop_size
        if not crops:
            images, targets = (torch.zeros((0, c, size, size)) for c in (len(self.samples[0].image), 4))
            return images.to(self.device), targets.to(self.device)
        if self.resident is not None:
            images, targets = crops_on_device([self.resident[k] for k, _ in crops], [crop for _, crop in crops], size)
        else:
            arrays = [crop_on_cpu(self.samples[k], crop, size) for k, crop in crops]
            images, targets = (torch.from_numpy(np.stack(part)) for part in zip(*arrays))
            if self.device.type == "cuda":
                images, targets = (t.pin_memory().to(self.device, non_blocking=True) for t in (images, targets))
        return images.contiguous(memory_format=torch.channels_last), targets

    def _draw(self, sample: Sample, rng: np.random.Generator) -> Crop:
        diameter = self.settings.diameter or sample.diameter
        return draw_crop(sample.image.shape, diameter, self.diam_mean, self.settings, rng)


def _resident(samples: list[Sample], device: torch.device) -> list[torch.Tensor] | None:
    """All fields on the GPU, where half of its free memory holds them; None otherwise and on the CPU."""
    if device.type != "cuda":
        return None
    needed = sum((s.image.shape[0] + 4) * s.cell.size * 4 for s in samples)
    if needed > RESIDENT_FRACTION * torch.cuda.mem_get_info(device)[0]:
        return None
    return [torch.from_numpy(stacked(sample)).to(device) for sample in samples]


def stacked(sample: Sample) -> np.ndarray:
    """Image, flows, cell and weight of a sample as one (C + 4, Y, X) float32 array."""
    weight = np.ones(sample.cell.shape, np.float32) if sample.ignore is None else 1 - sample.ignore.astype(np.float32)
    return np.concatenate([sample.image, sample.flows, sample.cell[None].astype(np.float32), weight[None]])
