"""What training minimises."""

import torch
from torch.nn import functional


def flow_loss(output: torch.Tensor, target: torch.Tensor, count: torch.Tensor | None = None) -> torch.Tensor:
    """Cellpose's loss: half the mean squared error of five times the flows, plus cross-entropy of cell against not.

    Parameters
    ----------
    output : (B, 3, Y, X) of the network: flow y, flow x, cell probability (logit).
    target : (B, 4, Y, X): flow y, flow x (unit vectors), cell (0 or 1), weight (1, or 0 for pixels left out).
    count : pixels of weight 1 that the mean is over, where `target` is only a part of them; None counts its own.

    References
    ----------
    Stringer et al., Nature Methods 18 (2021), Methods, "Training"; the factors are those of Cellpose 3's ``train_seg``.
    """
    cell, weight = target[:, 2], target[:, 3]
    count = (weight.sum() if count is None else count).clamp(min=1)
    flow_error = ((output[:, :2] - 5 * target[:, :2]) ** 2 * weight[:, None]).sum() / (2 * count)
    cross_entropy = functional.binary_cross_entropy_with_logits(output[:, 2], cell, weight, reduction="sum") / count
    return flow_error / 2 + cross_entropy
