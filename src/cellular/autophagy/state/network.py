"""A small residual network that looks at one cell at a time."""

import torch
from torch import nn


class CropNetwork(nn.Module):
    """Crops (N, C + 1, S, S), the outline last, to logits (N, K).

    Three residual blocks (He et al., CVPR 2016) at a half, a quarter and an eighth of the crop's size, then the mean
    over the cell beside the maximum: puncta are few and small, a mean alone would drown them. Normalised in groups
    (Wu & He, ECCV 2018), so that a cell's logits depend on no other cell.

    Parameters
    ----------
    channels : C + 1. classes : K. width : feature maps of the first block; the third has four times as many.
    """

    def __init__(self, channels: int, classes: int, width: int = 16) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(channels, width, 3, 2, 1, bias=False), _norm(width), nn.ReLU())
        self.blocks = nn.Sequential(Block(width, width), Block(width, 2 * width, 2), Block(2 * width, 4 * width, 2))
        self.head = nn.Sequential(nn.Dropout(0.3), nn.Linear(8 * width, classes))

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        """Logits (N, K)."""
        features = self.blocks(self.stem(crops)).float()
        inside = nn.functional.adaptive_avg_pool2d(crops[:, -1:].float(), features.shape[2:])
        mean = (features * inside).sum(dim=(2, 3)) / inside.sum(dim=(2, 3)).clamp(min=1e-3)
        return self.head(torch.cat([mean, (features * inside).amax(dim=(2, 3))], dim=1))


class Block(nn.Module):
    """Two convolutions and a shortcut; `stride` 2 halves the size."""

    def __init__(self, before: int, after: int, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, 1, bias=False),
            _norm(after),
            nn.ReLU(),
            nn.Conv2d(after, after, 3, 1, 1, bias=False),
            _norm(after),
        )
        same = before == after and stride == 1
        self.shortcut = nn.Identity() if same else nn.Conv2d(before, after, 1, stride, bias=False)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(N, C', S', S')."""
        return torch.relu(self.body(features) + self.shortcut(features))


def _norm(width: int) -> nn.GroupNorm:
    return nn.GroupNorm(max(1, width // 8), width)
