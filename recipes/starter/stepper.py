"""A step of training as a CUDA graph: hundreds of small kernels started at once, far faster than one by one."""

from contextlib import nullcontext

import torch

from cellular.segment.model.network import CPnet
from cellular.train.loss import flow_loss

WARM_UP_STEPS = 3


class Stepper:
    """Trains `network`, and keeps the running mean `average` of its weights; captured once and replayed on a GPU.

    Parameters
    ----------
    keep : of the running mean at every step.
    """

    def __init__(self, network: CPnet, average: CPnet, weight_decay: float, keep: float):
        self.network, self.average, self.keep = network, average, keep
        self.device = network.diam_mean.device
        on_gpu = self.device.type == "cuda"
        trained = [p for p in network.parameters() if p.requires_grad]
        self.rate = torch.zeros((), device=self.device)
        self.optimizer = torch.optim.AdamW(
            trained, self.rate if on_gpu else 0.0, weight_decay=weight_decay, fused=on_gpu, capturable=on_gpu
        )
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, image: torch.Tensor, target: torch.Tensor, rate: float) -> torch.Tensor:
        """Loss () of a step on (B, C, Y, X) and (B, 4, Y, X), always of the same shape, at a learning rate."""
        self.rate.fill_(rate)
        if self.device.type != "cuda":
            self.optimizer.param_groups[0]["lr"] = rate
            return self._step(image, target)
        if self.graph is None:
            self._capture(image, target)
        self.image.copy_(image)
        self.target.copy_(target)
        self.graph.replay()
        return self.loss

    def _capture(self, image: torch.Tensor, target: torch.Tensor) -> None:
        self.image, self.target = image.clone(memory_format=torch.channels_last), target.clone()
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP_STEPS):
                self._step(self.image, self.target)
        torch.cuda.current_stream().wait_stream(stream)
        self.optimizer.zero_grad(set_to_none=True)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.loss = self._step(self.image, self.target)

    def _step(self, image: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        # Casts of weights must not be kept from one replay to the next.
        with torch.autocast("cuda", torch.bfloat16, cache_enabled=False) if image.is_cuda else nullcontext():
            output, _ = self.network(image)
        loss = flow_loss(output.float(), target)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self._move()
        return loss.detach()

    @torch.no_grad()
    def _move(self) -> None:
        pairs = zip(self.average.state_dict().values(), self.network.state_dict().values())
        means, values = zip(*[pair for pair in pairs if pair[0].is_floating_point()])
        torch._foreach_lerp_(means, values, 1 - self.keep)
