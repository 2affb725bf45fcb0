"""Make tests/segment/fixtures/cellpose_network.npz with cellpose==3.1.1.3: run in the peer's environment.

    benchmarks/.venv-peer/bin/python benchmarks/make_network_fixtures.py

A narrow, randomly initialised Cellpose network with lively batch norms, its output and style on random input, and what
Cellpose's own pipeline (normalise, rescale, tile, blend) makes of a random image with it.
"""

from pathlib import Path

import numpy as np
import torch
from cellpose import models, transforms
from cellpose.resnet_torch import CPnet

NBASE = [2, 4, 6, 8, 10]
OUT = Path(__file__).parent.parent / "tests" / "segment" / "fixtures" / "cellpose_network.npz"


class WideStyle(torch.nn.Module):
    """Cellpose's tiling expects a style of 256 numbers; the narrow network's is filled up with zeros."""

    def __init__(self, network: CPnet):
        super().__init__()
        self.network, self.nout, self.mkldnn = network, network.nout, False

    @property
    def device(self) -> torch.device:
        return self.network.device

    def forward(self, x: torch.Tensor) -> tuple:
        output, style, features = self.network(x)
        return output, torch.nn.functional.pad(style, (0, 256 - style.shape[1])), features


def main() -> None:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    network = CPnet(list(NBASE), 3, 3, mkldnn=False)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.2)
    network.eval()
    x = torch.from_numpy(rng.normal(size=(2, 2, 32, 48)).astype(np.float32))
    with torch.no_grad():
        y, style, _ = network(x)
    image = np.random.default_rng(1).integers(0, 255, (300, 420, 3)).astype(np.uint8)  # the test draws it again
    model = models.CellposeModel(gpu=False, pretrained_model=None, model_type=None)
    model.net = WideStyle(network)
    planes = transforms.normalize_img(transforms.convert_image(image, [0, 0], nchan=2)[None])
    flows, probability, tiled_style = model._run_net(planes, rescale=30 / 45)
    rows = slice(0, None, 17)  # every 17th row keeps the file small
    np.savez_compressed(
        OUT,
        **{f"state.{key}": value.numpy() for key, value in network.state_dict().items()},
        x=x.numpy(),
        y=y.numpy(),
        style=style.numpy(),
        diameter=45.0,
        normalized=planes[0].transpose(2, 0, 1)[:, rows],
        tiled=np.concatenate([flows[:, 0], probability])[:, rows],
        tiled_style=tiled_style[: NBASE[-1]],
    )


if __name__ == "__main__":
    main()
