"""Cellpose's residual U-Net with a style vector (Stringer et al., Nature Methods 2021, Methods, "Neural network").

Module names are Cellpose's own, so a state dict of any Cellpose 1-3 model loads here and ours loads there.
"""

import itertools
from collections.abc import Sequence
from typing import cast

import torch
from torch import nn
from torch.nn import functional

from cellular.segment.model.norm_relu import can_fuse, norm_relu

LEVELS = 4
# oneDNN shares a convolution to fewer channels than a vector holds out among threads so that their number rounds it.
_VECTOR = 16


class _FewOutputs(nn.Conv2d):
    """A 1x1 convolution to few channels; in inference on a CPU the same to the last bit for any number of threads."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not torch.is_inference_mode_enabled() or x.device.type != "cpu":
            return super().forward(x)
        more = max(0, _VECTOR - self.out_channels)
        weight = functional.pad(self.weight, (0, 0, 0, 0, 0, 0, 0, more))
        bias = None if self.bias is None else functional.pad(self.bias, (0, more))
        return functional.conv2d(x, weight, bias)[:, : self.out_channels]


def _batch_norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-5, momentum=0.05)


class NormReluConv(nn.Sequential):
    """Pre-activation convolution: batch norm (0), ReLU (1), convolution (2)."""

    def __init__(self, inputs: int, outputs: int, size: int, conv: type[nn.Conv2d] = nn.Conv2d):
        convolution = conv(inputs, outputs, size, padding=size // 2)
        super().__init__(_batch_norm(inputs), nn.ReLU(inplace=True), convolution)

    def forward(self, x: torch.Tensor, shift: torch.Tensor | None = None) -> torch.Tensor:
        """Of `x` (B, C, Y, X), every pixel of an image shifted by `shift` (B, C)."""
        norm, relu, convolution = self
        if can_fuse(norm, x):
            return convolution(norm_relu(norm, x, shift))
        if shift is None:
            return super().forward(x)
        if not torch.is_inference_mode_enabled() or len(x) > 1:
            return super().forward(x + shift[:, :, None, None].to(x.dtype))
        # An image by itself in inference: the normalisation's mean takes the shift, which saves a pass over x.
        norm = cast(nn.BatchNorm2d, norm)
        mean = cast(torch.Tensor, norm.running_mean) - shift[0]
        x = functional.batch_norm(x, mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)
        return convolution(relu(x))


def _norm_conv(inputs: int, outputs: int) -> nn.Sequential:
    """Projection of a residual branch: batch norm (0), 1x1 convolution (1)."""
    return nn.Sequential(_batch_norm(inputs), nn.Conv2d(inputs, outputs, 1))


class ResidualDown(nn.Module):
    """Four pre-activation convolutions in two residual steps."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.conv = nn.ModuleDict({f"conv_{t}": NormReluConv(outputs if t else inputs, outputs, 3) for t in range(4)})
        self.proj = _norm_conv(inputs, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.proj(x) + self.conv["conv_1"](self.conv["conv_0"](x))
        return x + self.conv["conv_3"](self.conv["conv_2"](x))


class Encoder(nn.Module):
    """Residual blocks with 2x2 max-pooling between them; gives the feature map of every level."""

    def __init__(self, nbase: Sequence[int]):
        super().__init__()
        blocks = [ResidualDown(a, b) for a, b in itertools.pairwise(nbase)]
        self.down = nn.ModuleDict({f"res_down_{n}": block for n, block in enumerate(blocks)})

    @property
    def dtype(self) -> torch.dtype:
        """What its convolutions compute in."""
        return next(layer.weight.dtype for layer in self.modules() if isinstance(layer, nn.Conv2d))

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        features: list[torch.Tensor] = []
        for block in self.down.values():
            features.append(block(functional.max_pool2d(features[-1], 2) if features else x))
        return features


class StyleConv(nn.Module):
    """Pre-activation convolution whose input is shifted, channel by channel, by a linear map of the style."""

    def __init__(self, inputs: int, outputs: int, style: int):
        super().__init__()
        self.conv = NormReluConv(inputs, outputs, 3)
        self.full = nn.Linear(style, outputs)

    def forward(self, style: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x, self.full(style))


class ResidualUp(nn.Module):
    """Decoder block: adds the encoder's map of the same level, then two residual steps under the style."""

    def __init__(self, inputs: int, outputs: int, style: int):
        super().__init__()
        convs: dict[str, nn.Module] = {"conv_0": NormReluConv(inputs, outputs, 3)}
        convs |= {f"conv_{t}": StyleConv(outputs, outputs, style) for t in (1, 2, 3)}
        self.conv = nn.ModuleDict(convs)
        self.proj = _norm_conv(inputs, outputs)

    def forward(self, x: torch.Tensor, skip: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
        x = self.proj(x) + self.conv["conv_1"](style, self.conv["conv_0"](x) + skip)
        return x + self.conv["conv_3"](style, self.conv["conv_2"](style, x))


class Decoder(nn.Module):
    """Residual blocks from the deepest level up, nearest-neighbour upsampling between them."""

    def __init__(self, nbase: Sequence[int]):
        super().__init__()
        blocks = [ResidualUp(nbase[n], nbase[n - 1], nbase[-1]) for n in range(1, len(nbase))]
        self.up = nn.ModuleDict({f"res_up_{n}": block for n, block in enumerate(blocks)})

    def forward(self, style: torch.Tensor, features: list[torch.Tensor]) -> torch.Tensor:
        x = features[-1]
        blocks = list(self.up.values())
        for level in range(len(blocks) - 1, -1, -1):
            x = blocks[level](x, features[level], style)
            if level:
                x = functional.interpolate(x, scale_factor=2, mode="nearest")
        return x


class CPnet(nn.Module):
    """Residual U-Net that maps an image to flows and cell probability.

    Parameters
    ----------
    nbase : channels of the input and of each level, e.g. ``[2, 32, 64, 128, 256]`` for Cellpose's own models.
    nout : output channels; 3 = flow y, flow x (both five times the unit vector), cell probability (logit).

    Attributes
    ----------
    diam_mean : (1,) cell diameter in px the network works at; images are rescaled to it.
    diam_labels : (1,) mean cell diameter in px of the labels it was trained on.
    """

    def __init__(self, nbase: Sequence[int], nout: int = 3):
        super().__init__()
        self.nbase = list(nbase)
        self.nout = nout
        self.downsample = Encoder(nbase)
        self.upsample = Decoder([*nbase[1:], nbase[-1]])
        self.output = NormReluConv(nbase[1], nout, 1, _FewOutputs)
        self.diam_mean = nn.Parameter(torch.full((1,), 30.0), requires_grad=False)
        self.diam_labels = nn.Parameter(torch.full((1,), 30.0), requires_grad=False)

    @property
    def channels(self) -> int:
        """Number of input channels."""
        return self.nbase[0]

    @property
    def divisor(self) -> int:
        """Height and width of the input must be multiples of this many pixels."""
        return 2 ** (len(self.nbase) - 2)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Map (B, C, Y, X) images to the (B, nout, Y, X) output and the (B, 8 * width) unit-length style."""
        features = self.downsample(x.to(self.downsample.dtype))
        style = features[-1].float().mean(dim=(2, 3))
        style = style / (style**2).sum(dim=1, keepdim=True) ** 0.5
        return self.output(self.upsample(style, features).float()), style


def build_network(channels: int = 2, width: int = 32, nout: int = 3) -> CPnet:
    """Freshly initialised network of `width` channels at the first level (Cellpose's own: 32), doubled per level."""
    return CPnet([channels, *(width * 2**level for level in range(LEVELS))], nout)
