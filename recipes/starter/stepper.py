"""A step of training, its crops included, as a CUDA graph: hundreds of small kernels started at once."""

from contextlib import nullcontext

import torch
from atlas import Crops

from cellular.segment.model.network import CPnet
from cellular.train.loop import move_average
from cellular.train.loss import flow_loss

WARM_UP_STEPS = 3


class Stepper:
    """Trains `network` on `crops`, and keeps the running mean `average` of its weights.

    On a GPU the step is captured at the first call and replayed on a stream of its own, so that trainings run beside
    each other; the processor does not wait for it.

    Parameters
    ----------
    keep : of the running mean at every step; what is captured keeps the first step's.

    Attributes
    ----------
    total : () sum of the losses so far, on the device.
    """

    def __init__(self, network: CPnet, average: CPnet, crops: Crops, weight_decay: float, keep: float):
        self.network, self.average, self.crops, self.keep = network, average, crops, keep
        self.device = network.diam_mean.device
        self.on_gpu = self.device.type == "cuda"
        trained = [p for p in network.parameters() if p.requires_grad]
        self.rate, self.total = (torch.zeros((), device=self.device) for _ in range(2))
        self.optimizer = torch.optim.AdamW(
            trained,
            self.rate if self.on_gpu else 0.0,
            weight_decay=weight_decay,
            fused=self.on_gpu,
            capturable=self.on_gpu,
        )
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, rate: float) -> None:
        """A step at a learning rate."""
        if not self.on_gpu:
            self.optimizer.param_groups[0]["lr"] = rate
            self._step()
            return
        if self.graph is None:
            self._capture()
        with torch.cuda.stream(self.stream):
            self.rate.fill_(rate)
            self.graph.replay()

    def _capture(self) -> None:
        torch.cuda.synchronize()
        self.stream = torch.cuda.Stream()
        with torch.cuda.stream(self.stream):
            for _ in range(WARM_UP_STEPS):
                self._step()
        torch.cuda.synchronize()
        self.optimizer.zero_grad(set_to_none=True)
        self.graph = torch.cuda.CUDAGraph()
        self.graph.register_generator_state(self.crops.generator)
        with torch.cuda.graph(self.graph, stream=self.stream):
            self._step()

    def _step(self) -> None:
        image, target = self.crops.batch()
        # Casts of weights must not be kept from one replay to the next.
        with torch.autocast("cuda", torch.bfloat16, cache_enabled=False) if self.on_gpu else nullcontext():
            output, _ = self.network(image)
        loss = flow_loss(output.float(), target)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.total += loss.detach()
        move_average(self.average, self.network, self.keep)

    def restart_mean(self) -> None:
        """Let the running mean begin here: the first weights are noise."""
        with torch.cuda.stream(self.stream) if self.on_gpu else nullcontext():
            move_average(self.average, self.network, keep=0.0)
