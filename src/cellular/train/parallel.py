"""One run of training by several processes, each with its share of every batch: ``torchrun -m cellular train``.

A batch is cut into as many parts as there are processes. Batch normalisation, the loss and the gradients take the
batch as a whole, so that 2 processes of 4 crops learn what 1 of 8 does, within rounding.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import distributed, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn.parallel import DistributedDataParallel

from cellular.errors import SettingsError
from cellular.segment.model.network import CPnet


@dataclass(frozen=True)
class Share:
    """Which process this is, from 0, and of how many; the first alone writes."""

    rank: int = 0
    of: int = 1

    @property
    def first(self) -> bool:
        """Whether it is the one that writes."""
        return self.rank == 0

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """The sum of every process's `values`, which have no gradient."""
        if self.of > 1:
            values = values.clone()
            distributed.all_reduce(values)
        return values

    def wait(self) -> None:
        """Wait until every process is here."""
        if self.of > 1:
            distributed.barrier()

    def told(self, value: Any = None) -> Any:
        """The first process's `value`, in every one."""
        values = [value]
        if self.of > 1:
            distributed.broadcast_object_list(values)
        return values[0]

    def learner(self, network: CPnet) -> nn.Module:
        """What is to be called in training; what it learns is learned by `network`, in every process alike."""
        if self.of == 1:
            return network
        _normalise_together(network)
        return DistributedDataParallel(network, broadcast_buffers=False)


ALONE = Share()


def first_process() -> bool:
    """Whether this is the only process, or the first of those that torchrun has started: the one that speaks."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def together(device: str) -> Iterator[tuple[Share, str]]:
    """Join the processes that torchrun has started; this one's share, and the device that it computes on.

    Raises SettingsError for one GPU that all of them are told to take.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1 or distributed.is_initialized():
        yield ALONE, device
        return
    gpu = device.startswith("cuda") or (device == "auto" and torch.cuda.is_available())
    if gpu and ":" in device:
        raise SettingsError(
            f"{count} processes cannot share {device}; give --device cuda, and each takes one of its own"
        )
    own = f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if gpu else device
    if not first_process():
        logging.getLogger("cellular").setLevel(logging.ERROR)
    distributed.init_process_group("nccl" if gpu else "gloo")
    try:
        yield Share(distributed.get_rank(), count), own
    finally:
        distributed.destroy_process_group()


class _TogetherNorm(nn.BatchNorm2d):
    """Batch normalisation by mean and variance of all processes' parts of a batch (torch's own is for GPUs alone)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return super().forward(x)
        values, axes = x.float(), (0, 2, 3)
        count = torch.full((), float(x.numel() // x.shape[1]), device=x.device)
        distributed.all_reduce(count)
        mean = all_reduce(values.sum(axes)) / count
        centred = values - mean[:, None, None]
        variance = all_reduce((centred**2).sum(axes)) / count
        self._follow(mean.detach(), variance.detach() * count / (count - 1))
        scale = self.weight * (variance + self.eps).rsqrt()
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)

    def _follow(self, mean: torch.Tensor, variance: torch.Tensor) -> None:
        running: Any = (self.running_mean, self.running_var)
        for kept, value in zip(running, (mean, variance)):
            kept.lerp_(value, self.momentum or 0.0)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)


def _normalise_together(network: CPnet) -> None:
    for layer in network.modules():
        if type(layer) is nn.BatchNorm2d:
            layer.__class__ = _TogetherNorm
